/* UTF-8 to code points and back, and what kind of code point one is. */
#ifndef GRD_FORMAT_UTF8_H
#define GRD_FORMAT_UTF8_H

#include "format/bytes.h"

typedef enum grd_char_class { GRD_CHAR_OTHER, GRD_CHAR_LETTER, GRD_CHAR_NUMBER, GRD_CHAR_SPACE } grd_char_class;
#define GRD_CHAR_INVALID 0xFFFFFFFFu

grd_char_class grd_char_class_of(uint32_t c); /* GRD_CHAR_OTHER for what is no code point */
uint32_t grd_char_lower(uint32_t c);          /* the one code point that is its lower case, or c */

/* left >= 1. Returns the bytes that the code point takes; a byte that belongs to none is one GRD_CHAR_INVALID. */
size_t grd_utf8_decode(const char *text, size_t left, uint32_t *c);
size_t grd_utf8_encode(uint32_t c, char text[4]); /* returns the number of bytes */

#endif
