/* Picture files for tests, written by libpng and libjpeg or by hand, independent of what reads them. Free the bytes. */
#ifndef GRD_TESTS_FORMAT_HELPER_IMAGE_H
#define GRD_TESTS_FORMAT_HELPER_IMAGE_H

#include "helper_format.h"

typedef struct picture_bytes {
    uint8_t *data;
    size_t size;
} picture_bytes;

/* samples: one a byte for bits <= 8, two (high first) for 16; rows as libpng wants them, packed. type: PNG_COLOR_TYPE_*. The
 * palette of 2^bits colours is (i, 2 i, 3 i) mod 256, alpha of the first two 0 and 100 if `transparent`. */
picture_bytes png_file(int width, int height, int type, int bits, bool interlaced, bool transparent, const uint8_t *rows);
/* components 1, 3, 4 (CMYK); orientation 0 = no EXIF, else in Intel order, or Motorola order if `big`. */
picture_bytes jpeg_file(int width, int height, int components, bool progressive, int orientation, bool big,
                        const uint8_t *pixels);

typedef struct bmp_kind {
    int header, width, height, bits, compression; /* height < 0: from the top */
    const uint32_t *masks;                        /* n_masks of them */
    int n_masks;
    const uint8_t *palette; /* n_colors of 4 bytes, 3 with header 12 */
    int n_colors;
    const void *pixels;
    size_t size;
} bmp_kind;
picture_bytes bmp_file(const bmp_kind *kind);

#endif
