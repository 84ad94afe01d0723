/* Work on the pixels of one picture: what transforms are made of. Knows nothing of data sets.
 *
 * Pixels lie in planes, [channels][height][width], as the fields of a sample do: rows of one channel side by side are what vector
 * units like, a grey picture and a mask are the same case with one plane, and nothing is turned round before the network sees it
 * (grd_image_decode gives planes on request). Rows and planes may be apart: a crop is a view.
 *
 * Bytes are 0..255, floats 0..1 (hue, clamping). The results are those of torchvision.transforms.v2.functional on tensors:
 * docs/transforms.md has the largest differences. No function allocates or keeps anything: scratch comes from the caller (its
 * size is asked before), so any number of threads may work at once. Input and output must not overlap unless a comment says so.
 * Sizes are at least 1 and fit together, element types are as the comments say: the caller has checked. */
#ifndef GRD_DATA_IMAGE_PIXELS_H
#define GRD_DATA_IMAGE_PIXELS_H

#include <gradus/tensor.h>

enum { GRD_PIXELS_MAX_CHANNELS = 4, GRD_PIXELS_MAX_SIZE = 1 << 24 };

typedef struct grd_pixels {
    void *data;
    grd_dtype dtype; /* GRD_U8, GRD_F32; GRD_I32 where "any type" is said */
    int channels, height, width;
    int64_t row, plane; /* elements from one row, one plane to the next */
} grd_pixels;

/* Rows and planes without gaps. */
grd_pixels grd_pixels_of(void *data, grd_dtype dtype, int channels, int height, int width);
/* A part of it; no pixel is copied. top + height <= p->height, left + width <= p->width. */
grd_pixels grd_pixels_crop(const grd_pixels *p, int top, int left, int height, int width);

/* ---- resize (image_resize.c) ---- */

typedef enum grd_filter {
    GRD_FILTER_NEAREST, /* any type */
    GRD_FILTER_BILINEAR,
    GRD_FILTER_BICUBIC, /* Keys: a = -0.75, with antialias -0.5 */
    GRD_FILTER_AREA     /* mean of all pixels that the new one touches, as interpolate(mode="area") */
} grd_filter;

typedef struct grd_resize {
    grd_filter filter;
    bool antialias;    /* of BILINEAR and BICUBIC: the filter is as wide as a new pixel */
    int height, width; /* the new picture, whole */
    int top, left;     /* where `out` begins in it: a crop behind a resize makes only what is kept */
} grd_resize;

/* Bytes for these sizes; only type and sizes of in and out are looked at. */
size_t grd_pixels_resize_scratch(const grd_resize *r, const grd_pixels *in, const grd_pixels *out);
/* scratch aligned to 16 bytes (grd_alloc). out: same type and channels. */
void grd_pixels_resize(const grd_resize *r, const grd_pixels *in, const grd_pixels *out, void *scratch);

/* ---- moves (image_move.c): any type, bit by bit; out has the same type and channels ---- */

typedef enum grd_border {
    GRD_BORDER_CONSTANT,
    GRD_BORDER_REFLECT,
    GRD_BORDER_EDGE
} grd_border; /* reflect: the edge pixel once */

void grd_pixels_copy(const grd_pixels *in, const grd_pixels *out);            /* of the same size: a crop made real */
void grd_pixels_flip_horizontal(const grd_pixels *in, const grd_pixels *out); /* in place: out as in */
void grd_pixels_flip_vertical(const grd_pixels *in, const grd_pixels *out);   /* in place: out as in */
/* out is in with `top` rows above, `left` columns before and the rest behind; top and left may be negative (a crop). fill: of
 * CONSTANT, one for each channel, NULL = 0; rounded for whole numbers. REFLECT: each border is smaller than the picture. */
void grd_pixels_pad(const grd_pixels *in, const grd_pixels *out, int top, int left, grd_border border, const float *fill);

/* ---- warps (image_warp.c) ---- */

/* Where pixels come from: the centre of output pixel (x, y) is (x + 0.5, y + 0.5), and
 * (u, v, w) = m (x + 0.5, y + 0.5, 1)^T says that the input's place is (u / w, v / w). Row by row. */
typedef struct grd_warp {
    double m[9];
    grd_filter filter; /* NEAREST (any type) or BILINEAR */
    const float *fill; /* outside, one for each channel; NULL = 0 without blending at the edge, as fill=None */
} grd_warp;

/* torchvision's affine: shear, scale, turn about the centre, then move. */
typedef struct grd_affine {
    double angle;        /* degrees; affine: clockwise, as torchvision's affine. rotate(a) is angle = -a */
    double translate[2]; /* x, y in pixels */
    double scale;        /* 0 = 1 */
    double shear[2];     /* degrees, x and y */
    bool has_center;
    double center[2]; /* x, y; else the middle of the picture */
} grd_affine;
/* The map of grd_warp for a picture of this size; out of the same size. False if it has no inverse (shear of 90 degrees). */
bool grd_warp_affine(double m[9], const grd_affine *a, int height, int width);
/* Corners x, y of `start` go to `end`, as torchvision's perspective(startpoints, endpoints). False if no map does that. */
bool grd_warp_perspective(double m[9], const double start[8], const double end[8]);
void grd_pixels_warp(const grd_warp *w, const grd_pixels *in, const grd_pixels *out);

/* ---- colour (image_color.c): u8 and f32; in place: out as in ---- */

void grd_pixels_brightness(const grd_pixels *in, const grd_pixels *out, float factor);
void grd_pixels_contrast(const grd_pixels *in, const grd_pixels *out, float factor);   /* 1 or 3 channels */
void grd_pixels_saturation(const grd_pixels *in, const grd_pixels *out, float factor); /* 1 (a copy) or 3 channels */
void grd_pixels_hue(const grd_pixels *in, const grd_pixels *out, float shift);         /* turns, -0.5..0.5; 1 (a copy) or 3 */
/* 0.2989 R + 0.587 G + 0.114 B into every channel of out (1 or 3); in has 3. */
void grd_pixels_grayscale(const grd_pixels *in, const grd_pixels *out);
/* out f32 = in * scale[c] + shift[c]: bytes to [0, 1] and mean and standard deviation at once. */
void grd_pixels_scale(const grd_pixels *in, const grd_pixels *out, const float *scale, const float *shift);

/* ---- blur (image_blur.c): u8 and f32 ---- */

typedef struct grd_blur {
    int kernel_h, kernel_w; /* odd; half of it smaller than the picture */
    double sigma_h, sigma_w;
} grd_blur;
size_t grd_pixels_blur_scratch(const grd_blur *b, const grd_pixels *in);
void grd_pixels_blur(const grd_blur *b, const grd_pixels *in, const grd_pixels *out, void *scratch); /* borders reflect */

/* ---- points (image_points.c) ----
 * Where a point of the input lands. (0, 0) is the centre of the first pixel, so a flip is x -> width - 1 - x. A map is a 3x3
 * matrix, row by row, for points (x, y, 1); maps of transforms in a row are multiplied. */

void grd_points_none(double m[9]);
void grd_points_resize(double m[9], int in_h, int in_w, int out_h, int out_w);
void grd_points_flip_horizontal(double m[9], int width);
void grd_points_flip_vertical(double m[9], int height);
void grd_points_shift(double m[9], double x, double y);         /* pad: (left, top); crop: (-left, -top) */
bool grd_points_warp(double m[9], const double warp[9]);        /* of grd_warp.m; false if it has no inverse */
void grd_points_then(double m[9], const double next[9]);        /* m = next m: first m, then next */
void grd_points_apply(const double m[9], float *xy, int64_t n); /* n points x, y in place */

#endif
