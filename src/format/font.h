/* A bitmap font for pictures. */
#ifndef GRD_FORMAT_FONT_H
#define GRD_FORMAT_FONT_H

#include <stdint.h>

enum { GRD_FONT_WIDTH = 5, GRD_FONT_HEIGHT = 9, GRD_FONT_FIRST = 32, GRD_FONT_LAST = 126 };

extern const uint8_t grd_font[95][GRD_FONT_HEIGHT]; /* [letter][row], the leftmost pixel is bit 4 */

#endif
