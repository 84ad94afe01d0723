/* random_rotation, random_affine and random_perspective: pixels fetched from where a drawn map says. */
#include "data/transform_image.h"

#include <math.h>

typedef struct opts {
    grd_reals degrees, translate, scale, shear;
    double distortion_scale, p;
    int interpolation; /* 0 nearest, 1 bilinear: as GRD_FILTER_* */
    grd_reals fill;
} opts;

/* The picture keeps its size; where it does not reach, its pixels fade to 0 and the fill. */
static grd_status warped(const opts *o, grd_field *field, int n, grd_ctx *ctx)
{
    GRD_TRY(grd_scene_check(ctx, field, n));
    grd_field *image = &field[grd_scene_of(field, n).image];
    GRD_TRY(grd_fill_check(ctx, &o->fill, image));
    for (int k = 0; k < o->fill.n; k++)
        grd_field_widen(image, o->fill.v[k]);
    if (o->interpolation == GRD_FILTER_BILINEAR)
        grd_field_widen(image, 0);
    grd_scene_resized(field, n, image->shape.dim[1], image->shape.dim[2]);
    return GRD_OK;
}

static grd_status warp(const opts *o, const double m[9], const grd_transform_call *call, grd_sample *sample)
{
    grd_move move = { .kind = GRD_MOVE_WARP, .warp = { .filter = (grd_filter)o->interpolation }, .fill = o->fill };
    for (int k = 0; k < 9; k++)
        move.warp.m[k] = m[k];
    return grd_move_apply(&move, call, sample);
}

/* a is -a..a. */
static grd_status check_degrees(grd_ctx *ctx, const char *name, const grd_reals *r, double most)
{
    bool good = r->n == 1 ? r->v[0] >= 0 && r->v[0] <= most
                          : r->n == 2 && r->v[0] <= r->v[1] && fabs(r->v[0]) <= most && fabs(r->v[1]) <= most;
    if (!good)
        return grd_source_fail(ctx, GRD_ERR_ARG, "%s: expected [lo, hi] within %g to %g, or one number a for [-a, a]", name, -most, most);
    return GRD_OK;
}

static double draw_degrees(grd_draws *d, const grd_reals *r)
{
    return r->n == 1 ? grd_draw(d, -r->v[0], r->v[0]) : grd_draw(d, r->v[0], r->v[1]);
}

/* ---- rotation, affine ---- */

static grd_status rotation_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(check_degrees(ctx, "degrees", &o->degrees, 360));
    return warped(o, field, n, ctx);
}

static grd_status turn(const grd_affine *a, const grd_transform_call *call, grd_sample *sample)
{
    grd_pixels image;
    double m[9];
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    return grd_warp_affine(m, a, image.height, image.width) ? warp(call->options, m, call, sample) : GRD_OK;
}

static grd_status rotation_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    return call->key ? turn(&(grd_affine){ .angle = -draw_degrees(&d, &o->degrees) }, call, sample) : GRD_OK;
}

static grd_status affine_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(check_degrees(ctx, "degrees", &o->degrees, 360));
    if (o->translate.n != 0 && (o->translate.n != 2 || !(o->translate.v[0] >= 0 && o->translate.v[0] <= 1) ||
                                !(o->translate.v[1] >= 0 && o->translate.v[1] <= 1)))
        return grd_source_fail(ctx, GRD_ERR_ARG, "translate: expected two numbers of 0 to 1: shares of width and height");
    if (o->scale.n != 0)
        GRD_TRY(grd_range_check(ctx, "scale", &o->scale, 1e-3, 1e3));
    const grd_reals *s = &o->shear;
    const grd_reals y = { 2, { s->v[2], s->v[3] } }, x = s->n == 4 ? (grd_reals){ 2, { s->v[0], s->v[1] } } : *s;
    if (s->n != 0)
        GRD_TRY(check_degrees(ctx, "shear", &x, 89));
    if (s->n == 4)
        GRD_TRY(check_degrees(ctx, "shear", &y, 89));
    return warped(o, field, n, ctx);
}

/* In torchvision's order: angle, translation, scale, shear. */
static grd_status affine_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    grd_pixels image;
    if (!call->key)
        return GRD_OK;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    grd_affine a = { .angle = draw_degrees(&d, &o->degrees) };
    const int side[2] = { image.width, image.height };
    for (int k = 0; k < o->translate.n; k++) {
        double most = o->translate.v[k] * side[k];
        a.translate[k] = rint(grd_draw(&d, -most, most));
    }
    if (o->scale.n)
        a.scale = grd_draw(&d, o->scale.v[0], o->scale.v[1]);
    if (o->shear.n == 4) {
        a.shear[0] = grd_draw(&d, o->shear.v[0], o->shear.v[1]);
        a.shear[1] = grd_draw(&d, o->shear.v[2], o->shear.v[3]);
    } else if (o->shear.n) {
        a.shear[0] = draw_degrees(&d, &o->shear);
    }
    return turn(&a, call, sample);
}

/* ---- perspective ---- */

static grd_status perspective_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    return warped(options, field, n, ctx);
}

/* Every corner moves inwards by at most half the distortion, as torchvision's RandomPerspective. */
static grd_status perspective_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    grd_pixels image;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    if (!grd_draw_chance(&d, o->p))
        return GRD_OK;
    const int w = image.width, h = image.height;
    const int reach_x = (int)(o->distortion_scale * (w / 2)) + 1, reach_y = (int)(o->distortion_scale * (h / 2)) + 1;
    const double start[8] = { 0, 0, w - 1, 0, w - 1, h - 1, 0, h - 1 };
    double end[8], m[9];
    for (int k = 0; k < 4; k++) { /* clockwise from the top left */
        double x = (double)grd_draw_below(&d, reach_x), y = (double)grd_draw_below(&d, reach_y);
        end[2 * k] = k == 1 || k == 2 ? w - 1 - x : x;
        end[2 * k + 1] = k >= 2 ? h - 1 - y : y;
    }
    return grd_warp_perspective(m, start, end) ? warp(o, m, call, sample) : GRD_OK;
}

/* ---- rows ---- */

#define DEGREES \
    { "degrees", GRD_OPTION_REALS, offsetof(opts, degrees), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "[lo, hi], or one number a for [-a, a]" }

static const grd_option rotation_options[] = { DEGREES, GRD_INTERPOLATION(opts, GRD_FILTER_NEAREST, "nearest|bilinear"),
                                               GRD_FILL(opts), GRD_END };

static const grd_option affine_options[] = {
    DEGREES,
    GRD_REALS(opts, translate, NULL, "[x, y]: moved by at most these shares of width and height; default: not"),
    GRD_REALS(opts, scale, NULL, "[lo, hi]: how large it becomes; default: as it is"),
    GRD_REALS(opts, shear, NULL, "degrees of x: a for [-a, a], [lo, hi]; of x and y: [lo, hi, lo, hi]; default: none"),
    GRD_INTERPOLATION(opts, GRD_FILTER_NEAREST, "nearest|bilinear"), GRD_FILL(opts), GRD_END,
};

static const grd_option perspective_options[] = {
    GRD_REAL(opts, distortion_scale, 0.5, 0, 1, "how far corners move, as a share of half the picture"),
    GRD_REAL(opts, p, 0.5, 0, 1, "how often"), GRD_INTERPOLATION(opts, GRD_FILTER_BILINEAR, "nearest|bilinear"), GRD_FILL(opts), GRD_END,
};

static const char *const rotation_samples[] = { "30", "degrees=[20,80] interpolation=bilinear", "15 fill=1", NULL };
static const char *const affine_samples[] = { "20", "degrees=0 translate=[0.1,0.2]", "10 scale=[0.8,1.3] shear=10 interpolation=bilinear",
                                              "10 shear=[-5,5,-8,8]", NULL };
static const char *const perspective_samples[] = { "p=1", "p=1 distortion_scale=0.3 interpolation=nearest", NULL };

const grd_transform grd_transform_random_rotation = {
    .name = "random_rotation", .doc = "Turned about the middle, counter-clockwise, in its frame; as torchvision's RandomRotation.",
    .options = rotation_options, .options_size = sizeof(opts), .fields = rotation_fields, .apply = rotation_apply, .random = true,
    .keeps_classes = true, .samples = rotation_samples,
};

const grd_transform grd_transform_random_affine = {
    .name = "random_affine", .doc = "Turned (clockwise), moved, scaled and sheared about the middle; as torchvision's RandomAffine.",
    .options = affine_options, .options_size = sizeof(opts), .fields = affine_fields, .apply = affine_apply, .random = true,
    .keeps_classes = true, .samples = affine_samples,
};

const grd_transform grd_transform_random_perspective = {
    .name = "random_perspective", .doc = "Seen from another place: its corners move inwards; as torchvision's RandomPerspective.",
    .options = perspective_options, .options_size = sizeof(opts), .fields = perspective_fields, .apply = perspective_apply,
    .random = true, .keeps_classes = true, .samples = perspective_samples,
};
