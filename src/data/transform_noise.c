/* gaussian_blur, gaussian_noise and random_erasing: the picture loses detail. */
#include "data/transform_image.h"

#include <math.h>
#include <string.h>

/* ---- gaussian_blur ---- */

typedef struct blur_opts {
    grd_ints kernel_size;
    grd_reals sigma;
} blur_opts;

static grd_blur kernel_of(const blur_opts *o)
{
    const grd_ints *k = &o->kernel_size;
    return (grd_blur){ .kernel_h = (int)k->v[k->n - 1], .kernel_w = (int)k->v[0] }; /* torchvision: [width, height] */
}

static grd_status blur_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    enum { MOST = 1023 };
    (void)state;
    const blur_opts *o = options;
    const grd_ints *k = &o->kernel_size;
    GRD_TRY(grd_scene_check(ctx, field, n));
    bool good = k->n == 1 || k->n == 2;
    for (int i = 0; i < k->n && good; i++)
        good = k->v[i] >= 1 && k->v[i] <= MOST && k->v[i] % 2 == 1;
    if (!good)
        return grd_source_fail(ctx, GRD_ERR_ARG, "kernel_size: expected one odd number or [width, height], 1 to %d", MOST);
    if (o->sigma.n < 1 || o->sigma.n > 2 || !(o->sigma.v[0] > 0) || !(o->sigma.v[o->sigma.n - 1] >= o->sigma.v[0]))
        return grd_source_fail(ctx, GRD_ERR_ARG, "sigma: expected one number or [lo, hi], more than 0");
    const int64_t *dim = field[grd_scene_of(field, n).image].shape.dim;
    const grd_blur b = kernel_of(o);
    if ((dim[1] > 0 && b.kernel_h / 2 >= dim[1]) || (dim[2] > 0 && b.kernel_w / 2 >= dim[2]))
        return grd_source_fail(ctx, GRD_ERR_ARG,
                               "kernel_size: half of %d x %d (width x height) is not smaller than the picture, %lld x %lld",
                               b.kernel_w, b.kernel_h, (long long)dim[2], (long long)dim[1]);
    return GRD_OK;
}

static grd_status blur_apply(const grd_transform_call *call, grd_sample *sample)
{
    const blur_opts *o = call->options;
    const int i = grd_scene_of(call->in, call->n).image;
    grd_draws d = grd_draws_of(call);
    grd_pixels in;
    GRD_TRY(grd_scene_picture(sample, i, &in));
    grd_blur b = kernel_of(o);
    if (b.kernel_h / 2 >= in.height || b.kernel_w / 2 >= in.width)
        return grd_sample_fail(sample, GRD_ERR_DATA, "a picture of %d x %d pixels (width x height) is too small for a kernel of %d x %d",
                               in.width, in.height, b.kernel_w, b.kernel_h);
    b.sigma_h = b.sigma_w = grd_draw(&d, o->sigma.v[0], o->sigma.v[o->sigma.n - 1]);
    void *scratch = grd_sample_scratch(sample, grd_pixels_blur_scratch(&b, &in));
    void *room = scratch ? grd_sample_room(sample, i, &sample->shape[i]) : NULL;
    if (!room)
        return GRD_ERR_MEMORY;
    const grd_pixels out = grd_pixels_of(room, in.dtype, in.channels, in.height, in.width);
    grd_pixels_blur(&b, &in, &out, scratch);
    return GRD_OK;
}

static const grd_option blur_options[] = {
    { "kernel_size", GRD_OPTION_INTS, offsetof(blur_opts, kernel_size), 0, 0, 0, NULL, GRD_OPTION_REQUIRED,
      "pixels, odd: one number, or [width, height]" },
    GRD_REALS(blur_opts, sigma, "0.1,2", "standard deviation in pixels: [lo, hi], or one number"),
    GRD_END,
};

static const char *const blur_samples[] = { "3", "kernel_size=[5,3] sigma=1", NULL };

const grd_transform grd_transform_gaussian_blur = {
    .name = "gaussian_blur", .doc = "Blurred by a Gaussian of random width; as torchvision's GaussianBlur.", .options = blur_options,
    .options_size = sizeof(blur_opts), .fields = blur_fields, .apply = blur_apply, .random = true, .keeps_classes = true,
    .samples = blur_samples,
};

/* ---- normal numbers ---- */

/* Four of them from block `block` of the row's draws (Box and Muller, 1958). */
static void normal4(const grd_key *key, uint64_t row, uint64_t block, float out[4])
{
    uint32_t word[4];
    grd_random4(key, row, block, word);
    for (int k = 0; k < 4; k += 2) {
        float radius = sqrtf(-2 * logf(((float)(word[k] >> 8) + 1) * (1.0f / 16777217.0f)));
        float angle = (float)(word[k + 1] >> 8) * (6.2831853f / 16777216.0f);
        out[k] = radius * cosf(angle);
        out[k + 1] = radius * sinf(angle);
    }
}

/* ---- gaussian_noise ---- */

typedef struct noise_opts {
    double mean, sigma;
    bool no_clip;
} noise_opts;

static grd_status noise_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const noise_opts *o = options;
    GRD_TRY(grd_scene_check(ctx, field, n));
    grd_field *image = &field[grd_scene_of(field, n).image];
    if (image->dtype == GRD_F32 && !o->no_clip && image->lo < image->hi && (image->lo < 0 || image->hi > 1))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is f32 from %g to %g, expected 0 to 1: put it before `normalize`, or "
                               "say clip: false", image->lo, image->hi);
    image->lo = 0;
    image->hi = image->dtype == GRD_U8 ? 255 : o->no_clip ? 0 : 1;
    return GRD_OK;
}

static inline float clip(float v, float most) { return v < 0 ? 0 : v > most ? most : v; }

static grd_status noise_apply(const grd_transform_call *call, grd_sample *sample)
{
    const noise_opts *o = call->options;
    grd_pixels p;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &p));
    if (!call->key)
        return GRD_OK;
    const float mean = (float)o->mean, sigma = (float)o->sigma;
    float z[4];
    for (int64_t i = 0; i < p.plane * p.channels; i++) {
        if (i % 4 == 0)
            normal4(call->key, 0, (uint64_t)i / 4, z);
        float noise = mean + sigma * z[i % 4];
        if (p.dtype == GRD_U8) {
            uint8_t *x = (uint8_t *)p.data + i;
            *x = (uint8_t)rintf(clip((float)*x + 255 * noise, 255));
        } else {
            float *x = (float *)p.data + i;
            *x = o->no_clip ? *x + noise : clip(*x + noise, 1);
        }
    }
    return GRD_OK;
}

static const grd_option noise_options[] = {
    GRD_REAL(noise_opts, mean, 0, -1, 1, "of the noise; 1 is the whole range, of bytes too"),
    GRD_REAL(noise_opts, sigma, 0.1, 0, 10, "standard deviation"),
    GRD_FLAG_ON(noise_opts, clip, "floats stay within 0 to 1; bytes always stay bytes"),
    GRD_END,
};

static const char *const noise_samples[] = { "", "sigma=0.02 mean=0.1", "sigma=0.3 clip=false", NULL };

const grd_transform grd_transform_gaussian_noise = {
    .name = "gaussian_noise", .doc = "Normal noise is added to every value; as torchvision's GaussianNoise.", .options = noise_options,
    .options_size = sizeof(noise_opts), .fields = noise_fields, .apply = noise_apply, .random = true, .keeps_classes = true,
    .samples = noise_samples,
};

/* ---- random_erasing ---- */

typedef struct erase_opts {
    double p;
    grd_reals scale, ratio, value;
    bool noise;
} erase_opts;

static grd_status erase_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const erase_opts *o = options;
    GRD_TRY(grd_scene_check(ctx, field, n));
    GRD_TRY(grd_range_check(ctx, "scale", &o->scale, 0, 1));
    GRD_TRY(grd_range_check(ctx, "ratio", &o->ratio, 1e-3, 1e3));
    grd_field *image = &field[grd_scene_of(field, n).image];
    if (o->noise && image->dtype != GRD_F32)
        return grd_source_fail(ctx, GRD_ERR_ARG, "noise: field \"image\" is u8, expected f32: put it behind `normalize`");
    GRD_TRY(grd_fill_check(ctx, &o->value, image));
    for (int k = 0; k < o->value.n; k++)
        grd_field_widen(image, o->value.v[k]);
    if (o->noise)
        image->lo = image->hi = 0;
    return GRD_OK;
}

static void erase(const erase_opts *o, const grd_key *key, const grd_pixels *p)
{
    float z[4];
    int64_t drawn = 0;
    for (int c = 0; c < p->channels; c++)
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++) {
                int64_t at = c * p->plane + y * p->row + x;
                float value = (float)o->value.v[o->value.n == 1 ? 0 : c];
                if (o->noise) {
                    if (drawn % 4 == 0) /* row 1: row 0 is where it erases */
                        normal4(key, 1, (uint64_t)drawn / 4, z);
                    value = z[drawn++ % 4];
                }
                if (p->dtype == GRD_U8)
                    ((uint8_t *)p->data)[at] = (uint8_t)rintf(value);
                else
                    ((float *)p->data)[at] = value;
            }
}

/* Ten tries at an area and a ratio that fit, as torchvision's RandomErasing. */
static grd_status erase_apply(const grd_transform_call *call, grd_sample *sample)
{
    enum { TRIES = 10 };
    const erase_opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    grd_pixels image;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    if (!grd_draw_chance(&d, o->p))
        return GRD_OK;
    for (int i = 0; i < TRIES; i++) {
        double area = (double)image.height * image.width * grd_draw(&d, o->scale.v[0], o->scale.v[1]);
        double ratio = exp(grd_draw(&d, log(o->ratio.v[0]), log(o->ratio.v[1])));
        double h = rint(sqrt(area * ratio)), w = rint(sqrt(area / ratio));
        if (!(h >= 1 && w >= 1 && h < image.height && w < image.width))
            continue;
        int top = (int)grd_draw_below(&d, image.height - (int64_t)h + 1), left = (int)grd_draw_below(&d, image.width - (int64_t)w + 1);
        const grd_pixels part = grd_pixels_crop(&image, top, left, (int)h, (int)w);
        erase(o, call->key, &part);
        break;
    }
    return GRD_OK;
}

static const grd_option erase_options[] = {
    GRD_REAL(erase_opts, p, 0.5, 0, 1, "how often"),
    GRD_REALS(erase_opts, scale, "0.02,0.33", "[lo, hi]: area, as a share of the picture's"),
    GRD_REALS(erase_opts, ratio, "0.3,3.3", "[lo, hi]: height / width, drawn evenly in its logarithm"),
    GRD_REALS(erase_opts, value, "0", "what stands there: one value, or one a channel"),
    GRD_FLAG(erase_opts, noise, "normal noise stands there (torchvision's value=\"random\")"),
    GRD_END,
};

static const char *const erase_samples[] = { "", "p=1 value=0", "p=1 scale=[0.3,0.5]", NULL };

const grd_transform grd_transform_random_erasing = {
    .name = "random_erasing", .doc = "A rectangle of the picture is covered, mask and points stay; as torchvision's RandomErasing.",
    .options = erase_options, .options_size = sizeof(erase_opts), .fields = erase_fields, .apply = erase_apply, .random = true,
    .keeps_classes = true, .samples = erase_samples,
};
