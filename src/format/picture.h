/* A small RGB canvas for image grids with captions: rectangles, images enlarged by whole numbers, text in a built-in 5x9 font.
 * Coordinates are pixels from the top left; whatever lies outside the canvas is cut off. */
#ifndef GRD_FORMAT_PICTURE_H
#define GRD_FORMAT_PICTURE_H

#include "base/host.h"

#include <stdint.h>

typedef struct grd_picture {
    grd_host *host;
    int width, height;
    uint8_t *rgb;          /* [height][width][3] */
} grd_picture;

/* Colours are 0xRRGGBB. */
grd_status grd_picture_init(grd_picture *picture, grd_host *host, int width, int height, uint32_t colour);
void grd_picture_free(grd_picture *picture);
void grd_picture_fill(grd_picture *picture, int x, int y, int width, int height, uint32_t colour);
/* pixels: [height][width][channels], channels 1 or 3; each pixel becomes scale x scale. */
void grd_picture_image(grd_picture *picture, int x, int y, int width, int height, int channels, const uint8_t *pixels, int scale);
/* planes: [channels][height][width], channels 1 or 3; lo is black, hi is white, NaN is magenta. */
void grd_picture_planes(grd_picture *picture, int x, int y, int width, int height, int channels, const float *planes, float lo,
                        float hi, int scale);
/* One line of ASCII 32 to 126 (anything else shows as a box); x, y: the top left of the first letter. */
void grd_picture_text(grd_picture *picture, int x, int y, const char *text, uint32_t colour, int scale);
int grd_picture_text_width(const char *text, int scale);
int grd_picture_text_height(int scale);

/* Rows of images under each other with a caption at the left: originals above reconstructions. */
typedef struct grd_picture_row {
    const char *caption;
    const float *images;   /* [columns][channels][height][width] */
} grd_picture_row;

typedef struct grd_picture_grid {
    const char *title;     /* NULL = none */
    const grd_picture_row *row;
    int rows, columns;
    int channels, height, width;
    float lo, hi;          /* both 0: 0 to 1 */
    const char *const *column_caption; /* [columns], above the images; NULL = none */
    int scale;             /* 0: such that an image is some 56 pixels high */
} grd_picture_grid;
/* Makes a picture of the size it needs. */
grd_status grd_picture_from_grid(grd_picture *picture, grd_host *host, const grd_picture_grid *grid);

/* Writes it as a PNG file, atomically. */
grd_status grd_picture_write(const grd_picture *picture, const char *path);

#endif
