/* A growing byte buffer, and numbers to and from little-endian bytes. */
#ifndef GRD_FORMAT_BYTES_H
#define GRD_FORMAT_BYTES_H

#include "base/host.h"

/* The first refusal sticks: later calls do nothing, so a whole message is built and `failed` is checked once. */
typedef struct grd_bytes {
    grd_host *host;
    uint8_t *data;
    size_t size, cap;
    bool failed;
} grd_bytes;

void grd_bytes_init(grd_bytes *bytes, grd_host *host);
void grd_bytes_free(grd_bytes *bytes);
grd_status grd_bytes_status(const grd_bytes *bytes);
void grd_bytes_put(grd_bytes *bytes, const void *data, size_t size);
void grd_bytes_text(grd_bytes *bytes, const char *text);
void grd_bytes_print(grd_bytes *bytes, const char *format, ...) GRD_PRINTF(2, 3);
void grd_bytes_zeros(grd_bytes *bytes, size_t size);
void grd_bytes_number(grd_bytes *bytes, uint64_t number, int size); /* its low `size` bytes, the lowest first */

/* Bytes from a file as text for a message: what is not printable ASCII becomes ?, what does not fit is cut off. Returns text. */
#define GRD_PRINTABLE 80
const char *grd_printable(const void *bytes, size_t size, char text[GRD_PRINTABLE]);

/* Length of the UTF-8 sequence at text (1 to 4), or 0 if it is none: overlong, a surrogate, beyond U+10FFFF, cut short. */
size_t grd_utf8_length(const char *text, size_t left);

static inline uint64_t grd_little(const uint8_t *bytes, int size)
{
    uint64_t number = 0;
    for (int i = size - 1; i >= 0; i--)
        number = number << 8 | bytes[i];
    return number;
}

#endif
