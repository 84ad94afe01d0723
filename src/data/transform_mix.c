/* mixup and cutmix: pictures of a batch mixed with their neighbours', and their labels in the same proportion. */
#include "data/transform_image.h"

#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

typedef struct opts {
    double alpha;
    const char *label;
} opts;

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_scene_check(ctx, field, n));
    const grd_field *image = &field[grd_scene_of(field, n).image];
    int i = grd_field_find(field, n, o->label);
    char shape[96];
    if (i < 0)
        return grd_source_fail(ctx, GRD_ERR_ARG, "no field \"%s\"", o->label);
    const grd_field *label = &field[i];
    if (label->dtype != GRD_F32 || label->shape.rank != 1 || grd_shape_varies(&label->shape))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"%s\" is %s %s, expected f32 [classes]: put `one_hot` before it", o->label,
                               grd_dtype_name(label->dtype), grd_shape_text(&label->shape, shape, sizeof shape));
    if (grd_shape_varies(&image->shape))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is %s, expected a fixed size: put `resize` or a crop before it",
                               grd_shape_text(&image->shape, shape, sizeof shape));
    return GRD_OK;
}

static grd_status mixup_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    GRD_TRY(fields(options, state, field, n, ctx));
    grd_scene s = grd_scene_of(field, n);
    if (field[s.image].dtype != GRD_F32)
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is u8, expected f32: put `scale` before it");
    return GRD_OK;
}

/* ---- drawing a proportion ---- */

static double draw_normal(grd_draws *d)
{
    double u = grd_uniform(grd_draw_word(d)), v = grd_uniform(grd_draw_word(d));
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

/* The logarithm of a Gamma(alpha, 1) number: Marsaglia and Tsang, 2000; below 1 by alpha + 1 and a power of a uniform number. */
static double draw_log_gamma(grd_draws *d, double alpha)
{
    double less = alpha < 1 ? log(1 - grd_uniform(grd_draw_word(d))) / alpha : 0;
    double a = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, c = 1 / sqrt(9 * a);
    for (int tries = 0; tries < 1000; tries++) { /* all but a few succeed at once */
        double x = draw_normal(d), v = 1 + c * x, u = 1 - grd_uniform(grd_draw_word(d));
        v = v * v * v;
        if (v > 0 && log(u) < x * x / 2 + a - a * v + a * log(v))
            return log(a * v) + less;
    }
    return log(a) + less;
}

static double draw_beta(grd_draws *d, double alpha)
{
    double x = draw_log_gamma(d, alpha), y = draw_log_gamma(d, alpha);
    return 1 / (1 + exp(y - x));
}

/* ---- batches ---- */

/* Sample r gets a share 1 - keep of sample r - 1, the first one of the last. `last`: room for a sample. */
static void mix_floats(float *x, int64_t n, int64_t size, float keep, float *last)
{
    memcpy(last, x + (n - 1) * size, sizeof *x * (size_t)size);
    for (int64_t r = n - 1; r >= 0; r--) {
        float *to = x + r * size;
        const float *from = r ? to - size : last;
        for (int64_t i = 0; i < size; i++)
            to[i] = keep * to[i] + (1 - keep) * from[i];
    }
}

typedef struct parts { int image, label; int64_t image_size, label_size; void *last; } parts;

static grd_status find(const grd_transform_call *call, const grd_batch *batch, grd_sample *errors, parts *p)
{
    const opts *o = call->options;
    p->image = grd_scene_of(call->in, call->n).image;
    p->label = grd_field_find(call->in, call->n, o->label);
    p->image_size = grd_count(&batch->shape[p->image]) / batch->n;
    p->label_size = grd_count(&batch->shape[p->label]) / batch->n;
    int64_t larger = p->image_size > p->label_size ? p->image_size : p->label_size;
    p->last = grd_sample_scratch(errors, sizeof(float) * (size_t)larger);
    return p->last ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status mixup_apply(const grd_transform_call *call, grd_batch *batch, grd_sample *errors)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    parts p;
    if (!call->key || batch->n < 2)
        return GRD_OK;
    GRD_TRY(find(call, batch, errors, &p));
    float keep = (float)draw_beta(&d, o->alpha);
    mix_floats(batch->data[p.image], batch->n, p.image_size, keep, p.last);
    mix_floats(batch->data[p.label], batch->n, p.label_size, keep, p.last);
    return GRD_OK;
}

typedef struct box { int top, left, height, width; } box;

/* Of area 1 - keep around any pixel, cut off at the edges. */
static box draw_box(grd_draws *d, double keep, int height, int width)
{
    int64_t x = grd_draw_below(d, width), y = grd_draw_below(d, height);
    int64_t half_w = (int64_t)(0.5 * sqrt(1 - keep) * width), half_h = (int64_t)(0.5 * sqrt(1 - keep) * height);
    int64_t left = x > half_w ? x - half_w : 0, top = y > half_h ? y - half_h : 0;
    int64_t right = x + half_w < width ? x + half_w : width, bottom = y + half_h < height ? y + half_h : height;
    return (box){ (int)top, (int)left, (int)(bottom - top), (int)(right - left) };
}

static grd_status cutmix_apply(const grd_transform_call *call, grd_batch *batch, grd_sample *errors)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    parts p;
    if (!call->key || batch->n < 2)
        return GRD_OK;
    GRD_TRY(find(call, batch, errors, &p));
    const grd_shape *s = &batch->shape[p.image];
    const grd_dtype dtype = batch->field[p.image].dtype;
    const int c = (int)s->dim[1], h = (int)s->dim[2], w = (int)s->dim[3];
    const box b = draw_box(&d, draw_beta(&d, o->alpha), h, w);
    const size_t bytes = (size_t)p.image_size * grd_dtype_size(dtype);
    char *x = batch->data[p.image];
    memcpy(p.last, x + (size_t)(batch->n - 1) * bytes, bytes);
    for (int64_t r = batch->n - 1; r >= 0 && b.height > 0 && b.width > 0; r--) {
        grd_pixels to = grd_pixels_of(x + (size_t)r * bytes, dtype, c, h, w);
        grd_pixels from = grd_pixels_of(r ? x + (size_t)(r - 1) * bytes : p.last, dtype, c, h, w);
        to = grd_pixels_crop(&to, b.top, b.left, b.height, b.width);
        from = grd_pixels_crop(&from, b.top, b.left, b.height, b.width);
        grd_pixels_copy(&from, &to);
    }
    float keep = (float)(1 - (double)b.height * b.width / ((double)h * w));
    mix_floats(batch->data[p.label], batch->n, p.label_size, keep, p.last);
    return GRD_OK;
}

/* ---- rows ---- */

static const grd_option options_table[] = {
    GRD_REAL(opts, alpha, 1, 1e-3, 1e3, "the share that a sample keeps is drawn from Beta(alpha, alpha)"),
    GRD_TEXT(opts, label, "label", "field of the labels, f32 [classes]"),
    GRD_END,
};

static const char *const samples[] = { "", "alpha=0.2", "alpha=4", NULL };

const grd_transform grd_transform_mixup = {
    .name = "mixup",
    .doc = "Every sample of a batch blended with the one before it, labels too; as torchvision's MixUp (Zhang et al. 2018).",
    .options = options_table, .options_size = sizeof(opts), .fields = mixup_fields, .apply_batch = mixup_apply, .random = true,
    .samples = samples,
};

const grd_transform grd_transform_cutmix = {
    .name = "cutmix",
    .doc = "A rectangle of every sample from the one before it, labels by area; as torchvision's CutMix (Yun et al. 2019).",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply_batch = cutmix_apply, .random = true,
    .samples = samples,
};
