#include "helper_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef void (*run)(const double *p, const grd_pixels *in, const grd_pixels *out);

static void resize(grd_filter filter, bool antialias, const grd_pixels *in, const grd_pixels *out)
{
    grd_resize r = { .filter = filter, .antialias = antialias, .height = out->height, .width = out->width };
    size_t size = grd_pixels_resize_scratch(&r, in, out);
    void *scratch = aligned_alloc(64, (size + 63) / 64 * 64);
    grd_pixels_resize(&r, in, out, scratch);
    free(scratch);
}

#define RESIZE(name, filter, antialias)                                                                                          \
    static void name(const double *p, const grd_pixels *in, const grd_pixels *out)                                               \
    {                                                                                                                            \
        (void)p;                                                                                                                 \
        resize(filter, antialias, in, out);                                                                                      \
    }
RESIZE(resize_nearest, GRD_FILTER_NEAREST, false)
RESIZE(resize_bilinear, GRD_FILTER_BILINEAR, false)
RESIZE(resize_bilinear_aa, GRD_FILTER_BILINEAR, true)
RESIZE(resize_bicubic, GRD_FILTER_BICUBIC, false)
RESIZE(resize_bicubic_aa, GRD_FILTER_BICUBIC, true)
RESIZE(resize_area, GRD_FILTER_AREA, false)

static void warp(grd_filter filter, const double m[9], const double *fill, const grd_pixels *in, const grd_pixels *out)
{
    float value[3];
    for (int c = 0; fill && c < 3; c++)
        value[c] = (float)fill[c];
    grd_warp w = { .filter = filter, .fill = fill ? value : NULL };
    memcpy(w.m, m, sizeof w.m);
    grd_pixels_warp(&w, in, out);
}

static void turned(grd_filter filter, const double *p, const double *fill, const grd_pixels *in, const grd_pixels *out)
{
    double m[9];
    grd_warp_affine(m, &(grd_affine){ .angle = p[0] }, in->height, in->width);
    warp(filter, m, fill, in, out);
}
static void rotate_nearest(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    turned(GRD_FILTER_NEAREST, p, p + 1, in, out);
}
static void rotate_bilinear(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    turned(GRD_FILTER_BILINEAR, p, p + 1, in, out);
}
static void rotate_bilinear_nofill(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    turned(GRD_FILTER_BILINEAR, p, NULL, in, out);
}

static void affine(grd_filter filter, const double *p, const grd_pixels *in, const grd_pixels *out)
{
    double m[9];
    grd_warp_affine(m, &(grd_affine){ .angle = p[0], .translate = { p[1], p[2] }, .scale = p[3], .shear = { p[4], p[5] } },
                    in->height, in->width);
    warp(filter, m, p + 6, in, out);
}
static void affine_nearest(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    affine(GRD_FILTER_NEAREST, p, in, out);
}
static void affine_bilinear(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    affine(GRD_FILTER_BILINEAR, p, in, out);
}

static void perspective(grd_filter filter, const double *p, const grd_pixels *in, const grd_pixels *out)
{
    double m[9], w = in->width - 1, h = in->height - 1, start[8] = { 0, 0, w, 0, w, h, 0, h };
    grd_warp_perspective(m, start, p);
    warp(filter, m, p + 8, in, out);
}
static void perspective_nearest(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    perspective(GRD_FILTER_NEAREST, p, in, out);
}
static void perspective_bilinear(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    perspective(GRD_FILTER_BILINEAR, p, in, out);
}

static void flip_horizontal(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    (void)p;
    grd_pixels_flip_horizontal(in, out);
}
static void flip_vertical(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    (void)p;
    grd_pixels_flip_vertical(in, out);
}
static void crop(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels part = grd_pixels_crop(in, (int)p[0], (int)p[1], out->height, out->width);
    grd_pixels_copy(&part, out);
}
static void pad_constant(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_pad(in, out, (int)p[0], (int)p[1], GRD_BORDER_CONSTANT, NULL);
}
static void pad_reflect(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_pad(in, out, (int)p[0], (int)p[1], GRD_BORDER_REFLECT, NULL);
}
static void pad_edge(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_pad(in, out, (int)p[0], (int)p[1], GRD_BORDER_EDGE, NULL);
}

static void brightness(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_brightness(in, out, (float)p[0]);
}
static void contrast(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_contrast(in, out, (float)p[0]);
}
static void saturation(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_saturation(in, out, (float)p[0]);
}
static void hue(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_pixels_hue(in, out, (float)p[0]);
}
static void grayscale(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    (void)p;
    grd_pixels_grayscale(in, out);
}
static void blur(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    grd_blur b = { .kernel_h = (int)p[0], .kernel_w = (int)p[1], .sigma_h = p[2], .sigma_w = p[3] };
    void *scratch = malloc(grd_pixels_blur_scratch(&b, in));
    grd_pixels_blur(&b, in, out, scratch);
    free(scratch);
}
static void normalize(const double *p, const grd_pixels *in, const grd_pixels *out)
{
    float scale[3], shift[3], most = in->dtype == GRD_U8 ? 255 : 1;
    for (int c = 0; c < 3; c++) {
        scale[c] = (float)(1 / (p[3 + c] * (double)most));
        shift[c] = (float)(-p[c] / p[3 + c]);
    }
    grd_pixels_scale(in, out, scale, shift);
}

#define X(name)                                                                                                                  \
    {                                                                                                                            \
#name, name                                                                                                              \
    }
static const struct {
    const char *name;
    run run;
} runs[] = { X(resize_nearest),
             X(resize_bilinear),
             X(resize_bilinear_aa),
             X(resize_bicubic),
             X(resize_bicubic_aa),
             X(resize_area),
             X(rotate_nearest),
             X(rotate_bilinear),
             X(rotate_bilinear_nofill),
             X(affine_nearest),
             X(affine_bilinear),
             X(perspective_nearest),
             X(perspective_bilinear),
             X(flip_horizontal),
             X(flip_vertical),
             X(crop),
             X(pad_constant),
             X(pad_reflect),
             X(pad_edge),
             X(brightness),
             X(contrast),
             X(saturation),
             X(hue),
             X(grayscale),
             X(blur),
             X(normalize) };

bool image_case(const char *name, const double p[IMAGE_PARAMETERS], const grd_pixels *in, const grd_pixels *out)
{
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (strcmp(runs[i].name, name) == 0) {
            runs[i].run(p, in, out);
            return true;
        }
    return false;
}

image_difference image_compare(const grd_pixels *found, const void *expected)
{
    image_difference d = { 0, 0 };
    int64_t n = found->plane * found->channels, far = 0;
    for (int64_t i = 0; i < n; i++) {
        bool bytes = found->dtype == GRD_U8;
        double a = bytes ? ((const uint8_t *)found->data)[i] : ((const float *)found->data)[i] * 255.0;
        double b = bytes ? ((const uint8_t *)expected)[i] : ((const float *)expected)[i] * 255.0, apart = fabs(a - b);
        d.largest = apart > d.largest || apart != apart ? apart : d.largest;
        far += !(apart <= 1);
    }
    d.share = (double)far / (double)n;
    return d;
}
