/* Pictures in memory from PNG, JPEG and BMP, told apart by their first bytes. The pixels are those that Pillow gives for the
 * same file. Nothing in a file is believed: sizes have a cap, and a file that ends early is an error that says how far it went.
 * No state outside the arguments: any number of threads may decode at once, each with a host of its own. */
#ifndef GRD_FORMAT_IMAGE_H
#define GRD_FORMAT_IMAGE_H

#include "base/host.h"

#define GRD_IMAGE_MAX_PIXELS (INT64_C(1) << 27) /* unless told otherwise */

typedef enum grd_image_format { GRD_IMAGE_PNG = 1, GRD_IMAGE_JPEG, GRD_IMAGE_BMP } grd_image_format;

typedef struct grd_image {
    int width, height;
    int channels; /* 1 grey (or index), 2 grey + alpha, 3 RGB, 4 RGBA */
    int depth;    /* bits a channel: 8 (uint8_t) or 16 (uint16_t, of this machine) */
    void *pixels; /* [height][width][channels], with opts.planes [channels][height][width]; NULL after a probe */
    grd_image_format format;
    int colors;              /* of the file's palette; 0 = it has none */
    uint8_t palette[256][4]; /* RGBA; entries from `colors` on are 0 */
} grd_image;

/* Zeroed: all as the file has it, upright. */
typedef struct grd_image_opts {
    int channels;        /* 1, 3 or 4; 0 = the file's. 1 is L = (19595 R + 38470 G + 7471 B + 32768) >> 16 (ITU-R BT.601) */
    bool eight_bit;      /* 16 bits a channel become 8: the high byte */
    bool indices;        /* a picture with a palette stays indices, 1 channel (label masks); others: an error */
    bool planes;         /* pixels as [channels][height][width] */
    bool no_orientation; /* do not turn a JPEG as its EXIF says */
    int min_width,
        min_height; /* a JPEG may come smaller: by the smallest M/8 with both sides (upright) at least these; 0, 0 = full size */
    int64_t max_pixels; /* more are an error; 0 = GRD_IMAGE_MAX_PIXELS */
} grd_image_opts;

/* `name` begins the messages; opts NULL = zeroed. On success the pixels are from host: grd_image_free. On failure: NULL. */
grd_status grd_image_decode(grd_host *host, const char *name, const void *bytes, size_t size, const grd_image_opts *opts,
                            grd_image *image);
/* The same of the file at `path`. */
grd_status grd_image_read(grd_host *host, const char *path, const grd_image_opts *opts, grd_image *image);
/* What grd_image_decode would give with these options, but the pixels: from the header alone, in microseconds. */
grd_status grd_image_probe(grd_host *host, const char *name, const void *bytes, size_t size, const grd_image_opts *opts,
                           grd_image *image);
void grd_image_free(grd_host *host, grd_image *image);

#endif
