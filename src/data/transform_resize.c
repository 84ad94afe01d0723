/* resize and random_resized_crop. */
#include "data/transform_image.h"

#include "format/image.h"

#include <math.h>

enum { BILINEAR = GRD_FILTER_BILINEAR };

typedef struct opts {
    grd_ints size;
    int interpolation; /* GRD_FILTER_* */
    bool no_antialias;
    grd_reals scale, ratio; /* of random_resized_crop */
} opts;

/* Weights of cubes go below 0: a float picture may leave its range. */
static void leave_range(const opts *o, grd_field *image)
{
    if (o->interpolation != GRD_FILTER_BICUBIC)
        return;
    image->lo = 0;
    image->hi = image->dtype == GRD_U8 ? 255 : 0;
}

/* ---- resize ---- */

/* One number is the new shorter side; the other follows, its fraction dropped. */
static void new_size(const opts *o, int64_t height, int64_t width, int64_t *new_height, int64_t *new_width)
{
    int64_t shorter = o->size.v[0];
    if (o->size.n == 2) {
        *new_height = o->size.v[0];
        *new_width = o->size.v[1];
    } else if (height < 0 || width < 0) {
        *new_height = *new_width = -1;
    } else {
        *new_height = height < width ? shorter : shorter * height / width;
        *new_width = height < width ? shorter * width / height : shorter;
    }
}

static bool too_large(int64_t height, int64_t width)
{
    return height > GRD_PIXELS_MAX_SIZE || width > GRD_PIXELS_MAX_SIZE || height * width > GRD_IMAGE_MAX_PIXELS;
}

static grd_status resize_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    int64_t height, width;
    GRD_TRY(grd_scene_check(ctx, field, n));
    GRD_TRY(grd_size_check(ctx, &o->size));
    grd_field *image = &field[grd_scene_of(field, n).image];
    new_size(o, image->shape.dim[1], image->shape.dim[2], &height, &width);
    if (too_large(height, width))
        return grd_source_fail(ctx, GRD_ERR_ARG, "size: a picture of %lld x %lld pixels (width x height), expected at most %lld in all",
                               (long long)width, (long long)height, (long long)GRD_IMAGE_MAX_PIXELS);
    leave_range(o, image);
    grd_scene_resized(field, n, height, width);
    return GRD_OK;
}

static grd_move stretch(const opts *o, int height, int width)
{
    return (grd_move){ .kind = GRD_MOVE_RESIZE, .height = height, .width = width,
                       .resize = { .filter = (grd_filter)o->interpolation, .antialias = !o->no_antialias, .height = height,
                                   .width = width } };
}

static grd_status resize_move(const grd_transform_call *call, grd_sample *sample, grd_move *move)
{
    const opts *o = call->options;
    grd_pixels image;
    int64_t height, width;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    new_size(o, image.height, image.width, &height, &width);
    if (too_large(height, width))
        return grd_sample_fail(sample, GRD_ERR_DATA, "a picture of %d x %d pixels would become %lld x %lld (width x height)",
                               image.width, image.height, (long long)width, (long long)height);
    *move = stretch(o, (int)height, (int)width);
    move->part.height = image.height;
    move->part.width = image.width;
    return GRD_OK;
}

static grd_status resize_apply(const grd_transform_call *call, grd_sample *sample)
{
    grd_move move;
    GRD_TRY(resize_move(call, sample, &move));
    return grd_move_apply(&move, call, sample);
}

/* With a crop behind it only the crop's window is made, where all of it lies in the picture. */
static grd_status resize_and_crop(const grd_transform_call *call, const grd_transform *next, const grd_transform_call *next_call,
                                  grd_sample *sample, bool *done)
{
    grd_move move, crop;
    if (!grd_crop_of(next))
        return GRD_OK;
    GRD_TRY(resize_move(call, sample, &move));
    GRD_TRY(grd_crop_move(next, next_call, sample, move.height, move.width, &crop));
    if (crop.top > 0 || crop.left > 0 || crop.height - crop.top > move.height || crop.width - crop.left > move.width)
        return GRD_OK;
    move.resize.top = -crop.top;
    move.resize.left = -crop.left;
    move.height = crop.height;
    move.width = crop.width;
    *done = true;
    return grd_move_apply(&move, call, sample);
}

#define SIZE_HELP_END GRD_INTERPOLATION(opts, BILINEAR, "nearest|bilinear|bicubic|area"), \
    GRD_FLAG_ON(opts, antialias, "of bilinear and bicubic: the filter is as wide as a new pixel")

static const grd_option resize_options[] = {
    { "size", GRD_OPTION_INTS, offsetof(opts, size), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "new shorter side, or [height, width]" },
    SIZE_HELP_END, GRD_END,
};

static const char *const resize_samples[] = { "size=5",     "size=[6,9]",     "size=12 antialias=false", "size=7 interpolation=nearest",
                                              "9 interpolation=area", "[16,12] interpolation=bicubic", NULL };

const grd_transform grd_transform_resize = {
    .name = "resize",
    .doc = "A picture of another size, its mask and points with it; as torchvision's Resize. One number: the shorter side.",
    .options = resize_options, .options_size = sizeof(opts), .fields = resize_fields, .apply = resize_apply,
    .apply_both = resize_and_crop, .keeps_classes = true, .samples = resize_samples,
};

/* ---- random_resized_crop ---- */

static grd_status crop_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_scene_check(ctx, field, n));
    GRD_TRY(grd_size_check(ctx, &o->size));
    GRD_TRY(grd_range_check(ctx, "scale", &o->scale, 1e-6, 1));
    GRD_TRY(grd_range_check(ctx, "ratio", &o->ratio, 1e-3, 1e3));
    if (too_large(grd_size_height(&o->size), grd_size_width(&o->size)))
        return grd_source_fail(ctx, GRD_ERR_ARG, "size: expected at most %lld pixels in all", (long long)GRD_IMAGE_MAX_PIXELS);
    leave_range(o, &field[grd_scene_of(field, n).image]);
    grd_scene_resized(field, n, grd_size_height(&o->size), grd_size_width(&o->size));
    return GRD_OK;
}

/* The largest part in the middle whose width / height is within the ratios. */
static void middle(const opts *o, grd_move *m, int height, int width)
{
    double ratio = (double)width / height;
    m->part.height = ratio < o->ratio.v[0] ? (int)rint(width / o->ratio.v[0]) : height;
    m->part.width = ratio > o->ratio.v[1] ? (int)rint(height * o->ratio.v[1]) : width;
    m->part.height = m->part.height < 1 ? 1 : m->part.height > height ? height : m->part.height;
    m->part.width = m->part.width < 1 ? 1 : m->part.width > width ? width : m->part.width;
    m->part.top = (height - m->part.height) / 2;
    m->part.left = (width - m->part.width) / 2;
}

/* Ten tries at an area and a ratio that fit, as torchvision's RandomResizedCrop. */
static void draw_part(const opts *o, const grd_key *key, grd_move *m, int height, int width)
{
    enum { TRIES = 10 };
    grd_draws d = { .key = key };
    double area = (double)height * width;
    for (int i = 0; key && i < TRIES; i++) {
        double part = area * grd_draw(&d, o->scale.v[0], o->scale.v[1]);
        double ratio = exp(grd_draw(&d, log(o->ratio.v[0]), log(o->ratio.v[1])));
        double w = rint(sqrt(part * ratio)), h = rint(sqrt(part / ratio));
        if (w < 1 || h < 1 || w > width || h > height)
            continue;
        m->part.height = (int)h;
        m->part.width = (int)w;
        m->part.top = (int)grd_draw_below(&d, height - m->part.height + 1);
        m->part.left = (int)grd_draw_below(&d, width - m->part.width + 1);
        return;
    }
    middle(o, m, height, width);
}

static grd_status crop_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_pixels image;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    grd_move move = stretch(o, grd_size_height(&o->size), grd_size_width(&o->size));
    draw_part(o, call->key, &move, image.height, image.width);
    return grd_move_apply(&move, call, sample);
}

static const grd_option crop_options[] = {
    { "size", GRD_OPTION_INTS, offsetof(opts, size), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "of the result: one number or [height, width]" },
    GRD_REALS(opts, scale, "0.08,1", "[lo, hi]: area of the part, as a share of the picture's"),
    GRD_REALS(opts, ratio, "0.75,1.3333333333333333", "[lo, hi]: the part's width / height, drawn evenly in its logarithm"),
    SIZE_HELP_END, GRD_END,
};

static const char *const crop_samples[] = { "size=16", "size=[15,18] scale=[0.5,1]", "17 ratio=[1,1] interpolation=nearest", NULL };

const grd_transform grd_transform_random_resized_crop = {
    .name = "random_resized_crop",
    .doc = "A random part of the picture at a fixed size; as torchvision's RandomResizedCrop.",
    .options = crop_options, .options_size = sizeof(opts), .fields = crop_fields, .apply = crop_apply, .random = true,
    .keeps_classes = true, .samples = crop_samples,
};
