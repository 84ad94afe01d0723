/* What image.c and the decoders share. A decoder fills the picture as it lies in the file (its channels, before turning). */
#ifndef GRD_FORMAT_IMAGE_CODEC_H
#define GRD_FORMAT_IMAGE_CODEC_H

#include "format/image.h"

typedef struct grd_image_input {
    grd_host *host;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    grd_image_opts opts;   /* max_pixels is set */
    bool probe;            /* no pixels wanted */
    int orientation;       /* set by the decoder, EXIF 1..8; 1 = upright */
} grd_image_input;

/* Fails if the picture is empty or larger than the cap. */
grd_status grd_image_check_size(const grd_image_input *in, int64_t width, int64_t height);
/* Memory for the pixels of image (width, height, channels and depth are set). */
grd_status grd_image_alloc(const grd_image_input *in, grd_image *image);

/* On failure image->pixels may be set: the caller frees it. */
grd_status grd_png_decode(grd_image_input *in, grd_image *image);
grd_status grd_jpeg_decode(grd_image_input *in, grd_image *image);
grd_status grd_bmp_decode(grd_image_input *in, grd_image *image);

#endif
