/* color_jitter, grayscale and random_grayscale. */
#include "data/transform_image.h"

typedef struct opts {
    grd_reals brightness, contrast, saturation, hue;
    int64_t num_output_channels; /* of grayscale */
    double p;                    /* of random_grayscale */
} opts;

/* ---- color_jitter ---- */

enum { BRIGHTNESS, CONTRAST, SATURATION, HUE, KINDS };
static const char *const kind_name[KINDS] = { "brightness", "contrast", "saturation", "hue" };

static const grd_reals *list_of(const opts *o, int kind)
{
    return kind == BRIGHTNESS ? &o->brightness : kind == CONTRAST ? &o->contrast : kind == SATURATION ? &o->saturation : &o->hue;
}

/* One number a: 1 - a (at least 0) to 1 + a, of hue -a to a. False: not changed at all. */
static bool range_of(const opts *o, int kind, double range[2])
{
    const grd_reals *r = list_of(o, kind);
    double middle = kind == HUE ? 0 : 1;
    if (r->n == 0)
        return false;
    range[0] = r->n == 2 ? r->v[0] : middle - r->v[0];
    range[1] = r->n == 2 ? r->v[1] : middle + r->v[0];
    if (kind != HUE && range[0] < 0 && r->n == 1)
        range[0] = 0;
    return range[0] != middle || range[1] != middle;
}

static grd_status jitter_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_colours_check(ctx, field, n));
    grd_field *image = &field[grd_scene_of(field, n).image];
    for (int k = 0; k < KINDS; k++) {
        const grd_reals *r = list_of(o, k);
        double range[2] = { 0, 0 }, least = k == HUE ? -0.5 : 0, most = k == HUE ? 0.5 : 100;
        bool changes = range_of(o, k, range);
        if (r->n > 2 || (r->n == 1 && r->v[0] < 0) || !(range[0] <= range[1]) || range[0] < least || range[1] > most)
            return grd_source_fail(ctx, GRD_ERR_ARG, "%s: expected one number or [lo, hi], factors within %g to %g", kind_name[k],
                                   least, most);
        if (changes && image->lo < image->hi) { /* clamped to the whole range */
            image->lo = 0;
            image->hi = image->dtype == GRD_U8 ? 255 : 1;
        }
    }
    return GRD_OK;
}

static void change(int kind, const grd_pixels *p, float factor)
{
    if (kind == BRIGHTNESS)
        grd_pixels_brightness(p, p, factor);
    else if (kind == CONTRAST)
        grd_pixels_contrast(p, p, factor);
    else if (kind == SATURATION)
        grd_pixels_saturation(p, p, factor);
    else
        grd_pixels_hue(p, p, factor);
}

/* The order is drawn too. */
static grd_status jitter_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    grd_pixels image;
    int order[KINDS] = { BRIGHTNESS, CONTRAST, SATURATION, HUE };
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    if (!call->key)
        return GRD_OK;
    for (int k = KINDS - 1; k > 0; k--) {
        int other = (int)grd_draw_below(&d, k + 1), kept = order[k];
        order[k] = order[other];
        order[other] = kept;
    }
    for (int k = 0; k < KINDS; k++) {
        double range[2];
        if (range_of(o, order[k], range))
            change(order[k], &image, (float)grd_draw(&d, range[0], range[1]));
    }
    return GRD_OK;
}

static const grd_option jitter_options[] = {
    GRD_REALS(opts, brightness, NULL, "factor: a for [1 - a, 1 + a], or [lo, hi]; default: as it is"),
    GRD_REALS(opts, contrast, NULL, "the same, towards the mean grey"),
    GRD_REALS(opts, saturation, NULL, "the same, towards each pixel's grey"),
    GRD_REALS(opts, hue, NULL, "turned by: a for [-a, a], or [lo, hi], within -0.5 to 0.5 of a whole turn"),
    GRD_END,
};

static const char *const jitter_samples[] = { "brightness=0.4", "0.2 0.2 0.2 0.1", "contrast=[0.5,1.5]", "saturation=0.8", "hue=0.3",
                                              NULL };

const grd_transform grd_transform_color_jitter = {
    .name = "color_jitter", .doc = "Brightness, contrast, saturation and hue, each by a random factor, in random order; as torchvision's "
                                   "ColorJitter.",
    .options = jitter_options, .options_size = sizeof(opts), .fields = jitter_fields, .apply = jitter_apply, .random = true,
    .keeps_classes = true, .samples = jitter_samples,
};

/* ---- grayscale ---- */

static grd_status grey_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_colours_check(ctx, field, n));
    if (o->num_output_channels != 1 && o->num_output_channels != 3)
        return grd_source_fail(ctx, GRD_ERR_ARG, "num_output_channels: %lld, expected 1 or 3", (long long)o->num_output_channels);
    grd_field *image = &field[grd_scene_of(field, n).image];
    image->shape.dim[0] = o->num_output_channels;
    grd_field_widen(image, 0); /* the weights sum up to a little less than 1 */
    return GRD_OK;
}

static grd_status grey_apply(const grd_transform_call *call, grd_sample *sample)
{
    const int i = grd_scene_of(call->in, call->n).image;
    const int64_t channels = call->out[i].shape.dim[0];
    grd_pixels in;
    GRD_TRY(grd_scene_picture(sample, i, &in));
    if (in.channels == channels && channels == 1)
        return GRD_OK;
    grd_shape shape = sample->shape[i];
    shape.dim[0] = channels;
    void *room = grd_sample_room(sample, i, &shape);
    if (!room)
        return GRD_ERR_MEMORY;
    grd_pixels out = grd_pixels_of(room, in.dtype, (int)channels, in.height, in.width);
    if (in.channels == 3) {
        grd_pixels_grayscale(&in, &out);
        return GRD_OK;
    }
    out.channels = 1; /* grey already: three times the same */
    for (int c = 0; c < channels; c++, out.data = (char *)out.data + (size_t)out.plane * grd_dtype_size(out.dtype))
        grd_pixels_copy(&in, &out);
    return GRD_OK;
}

static grd_status random_grey_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)options, (void)state;
    GRD_TRY(grd_colours_check(ctx, field, n));
    grd_field_widen(&field[grd_scene_of(field, n).image], 0);
    return GRD_OK;
}

static grd_status random_grey_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    grd_pixels image;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    if (grd_draw_chance(&d, o->p) && image.channels == 3)
        grd_pixels_grayscale(&image, &image);
    return GRD_OK;
}

static const grd_option grey_options[] = { GRD_INT(opts, num_output_channels, 1, 1, 3, "1, or 3 equal ones"), GRD_END };
static const grd_option random_grey_options[] = { GRD_REAL(opts, p, 0.1, 0, 1, "how often"), GRD_END };

static const char *const grey_samples[] = { "", "3", NULL };
static const char *const random_grey_samples[] = { "p=0.5", "p=1", NULL };

const grd_transform grd_transform_grayscale = {
    .name = "grayscale", .doc = "0.2989 R + 0.587 G + 0.114 B; as torchvision's Grayscale.", .options = grey_options,
    .options_size = sizeof(opts), .fields = grey_fields, .apply = grey_apply, .keeps_classes = true, .samples = grey_samples,
};

const grd_transform grd_transform_random_grayscale = {
    .name = "random_grayscale", .doc = "Now and then grey, with as many channels as before; as torchvision's RandomGrayscale.",
    .options = random_grey_options, .options_size = sizeof(opts), .fields = random_grey_fields, .apply = random_grey_apply,
    .random = true, .keeps_classes = true, .samples = random_grey_samples,
};
