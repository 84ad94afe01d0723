/* PNG files, 8 bits a channel, written (image.h reads them) with libpng; no time stamp: the same pixels give the same bytes. */
#ifndef GRD_FORMAT_PNG_H
#define GRD_FORMAT_PNG_H

#include "base/file.h"

#include <stdint.h>

/* pixels: [height][width][channels], channels 1 (grey), 3 (RGB) or 4 (RGBA). */
/* Into memory: *bytes is allocated from host and owned by the caller. */
grd_status grd_png_encode(grd_host *host, int width, int height, int channels, const uint8_t *pixels, void **bytes, size_t *size);
/* Into a file, atomically. */
grd_status grd_png_write(grd_host *host, const char *path, int width, int height, int channels, const uint8_t *pixels);

#endif
