/* center_crop, random_crop and pad: the picture's pixels at another place in a frame of another size. */
#include "data/transform_image.h"

#include <math.h>

typedef struct opts {
    grd_ints size;     /* of crops */
    grd_ints padding;
    bool pad_if_needed;
    grd_reals fill;
    int padding_mode;  /* GRD_BORDER_* */
} opts;

typedef struct borders { int left, top, right, bottom; } borders;

/* One value: all; two: [left and right, top and bottom]; four: [left, top, right, bottom], as torchvision. */
static borders borders_of(const grd_ints *p)
{
    if (p->n == 0)
        return (borders){ 0 };
    const int64_t *v = p->v;
    int last = p->n - 1;
    return (borders){ (int)v[0], (int)v[last > 0], (int)v[last == 3 ? 2 : 0], (int)v[last] };
}

static grd_status check_padding(grd_ctx *ctx, const grd_ints *p)
{
    bool good = p->n == 0 || p->n == 1 || p->n == 2 || p->n == 4;
    for (int k = 0; k < p->n && good; k++)
        good = p->v[k] >= 0 && p->v[k] <= GRD_PIXELS_MAX_SIZE / 4;
    if (!good)
        return grd_source_fail(ctx, GRD_ERR_ARG, "padding: expected one, two or four numbers, 0 to %d: all, [left and right, top and "
                               "bottom], [left, top, right, bottom]", GRD_PIXELS_MAX_SIZE / 4);
    return GRD_OK;
}

static grd_status check(const opts *o, const grd_field *field, int n, grd_ctx *ctx)
{
    GRD_TRY(grd_scene_check(ctx, field, n));
    GRD_TRY(check_padding(ctx, &o->padding));
    return grd_fill_check(ctx, &o->fill, &field[grd_scene_of(field, n).image]);
}

static void promise(const opts *o, bool filled, grd_field *field, int n, int64_t height, int64_t width)
{
    grd_field *image = &field[grd_scene_of(field, n).image];
    for (int k = 0; filled && k < o->fill.n; k++)
        grd_field_widen(image, o->fill.v[k]);
    grd_scene_resized(field, n, height, width);
}

/* Whether the border of one axis can be made by reflection. */
static bool reflects(int before, int frame, int size) { return before < size && frame - before - size < size; }

static grd_status check_reflection(const grd_move *m, grd_sample *sample, int height, int width)
{
    if (m->border != GRD_BORDER_REFLECT || (reflects(m->top, m->height, height) && reflects(m->left, m->width, width)))
        return GRD_OK;
    return grd_sample_fail(sample, GRD_ERR_DATA, "a picture of %d x %d pixels (width x height) is too small for this border: "
                           "padding_mode reflect takes less than the picture has", width, height);
}

/* ---- the middle ---- */

static grd_status center_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_size_check(ctx, &o->size));
    GRD_TRY(check(o, field, n, ctx));
    promise(o, true, field, n, grd_size_height(&o->size), grd_size_width(&o->size));
    return GRD_OK;
}

/* Where the old axis begins in the new one: as torchvision, which rounds halves to even where it crops and down where it pads. */
static int centred(int size, int frame) { return size < frame ? (frame - size) / 2 : -(int)rint((size - frame) / 2.0); }

static grd_status center_move(const grd_transform_call *call, grd_sample *sample, int height, int width, grd_move *m)
{
    (void)sample;
    const opts *o = call->options;
    int h = grd_size_height(&o->size), w = grd_size_width(&o->size);
    *m = (grd_move){ .kind = GRD_MOVE_PLACE, .height = h, .width = w, .top = centred(height, h), .left = centred(width, w),
                     .fill = o->fill };
    return GRD_OK;
}

/* ---- at random ---- */

static grd_status random_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_size_check(ctx, &o->size));
    GRD_TRY(check(o, field, n, ctx));
    const int64_t *dim = field[grd_scene_of(field, n).image].shape.dim;
    const borders b = borders_of(&o->padding);
    int64_t h = grd_size_height(&o->size), w = grd_size_width(&o->size);
    if (!o->pad_if_needed && ((dim[1] > 0 && dim[1] + b.top + b.bottom < h) || (dim[2] > 0 && dim[2] + b.left + b.right < w)))
        return grd_source_fail(ctx, GRD_ERR_ARG, "size: %lld x %lld (width x height), the picture has %lld x %lld with its padding; "
                               "pad_if_needed would fill it up", (long long)w, (long long)h, (long long)dim[2] + b.left + b.right,
                               (long long)dim[1] + b.top + b.bottom);
    promise(o, (b.left || b.top || b.right || b.bottom || o->pad_if_needed) && o->padding_mode == GRD_BORDER_CONSTANT, field, n, h, w);
    return GRD_OK;
}

/* Of one axis: the place of the old one in the new; false: it does not fit. */
static bool draw_place(grd_draws *d, int size, int frame, int before, int after, bool pad_if_needed, int *place)
{
    int64_t whole = (int64_t)size + before + after;
    if (whole < frame && !pad_if_needed)
        return false;
    if (whole < frame) { /* as much on both sides as is missing in all */
        before += (int)(frame - whole);
        whole += 2 * (frame - whole);
    }
    *place = before - (int)(d->key ? grd_draw_below(d, whole - frame + 1) : (whole - frame) / 2);
    return true;
}

static grd_status random_move(const grd_transform_call *call, grd_sample *sample, int height, int width, grd_move *m)
{
    const opts *o = call->options;
    const borders b = borders_of(&o->padding);
    grd_draws d = grd_draws_of(call);
    *m = (grd_move){ .kind = GRD_MOVE_PLACE, .height = grd_size_height(&o->size), .width = grd_size_width(&o->size),
                     .border = (grd_border)o->padding_mode, .fill = o->fill };
    if (!draw_place(&d, height, m->height, b.top, b.bottom, o->pad_if_needed, &m->top) ||
        !draw_place(&d, width, m->width, b.left, b.right, o->pad_if_needed, &m->left))
        return grd_sample_fail(sample, GRD_ERR_DATA, "a picture of %d x %d pixels (width x height) is smaller than the crop of %d x %d; "
                               "pad_if_needed would fill it up", width, height, m->width, m->height);
    return check_reflection(m, sample, height, width);
}

/* ---- pad ---- */

static grd_status pad_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(check(o, field, n, ctx));
    const int64_t *dim = field[grd_scene_of(field, n).image].shape.dim;
    const borders b = borders_of(&o->padding);
    promise(o, o->padding_mode == GRD_BORDER_CONSTANT, field, n, dim[1] < 0 ? -1 : dim[1] + b.top + b.bottom,
            dim[2] < 0 ? -1 : dim[2] + b.left + b.right);
    return GRD_OK;
}

static grd_status pad_move(const grd_transform_call *call, grd_sample *sample, int height, int width, grd_move *m)
{
    const opts *o = call->options;
    const borders b = borders_of(&o->padding);
    *m = (grd_move){ .kind = GRD_MOVE_PLACE, .height = height + b.top + b.bottom, .width = width + b.left + b.right, .top = b.top,
                     .left = b.left, .border = (grd_border)o->padding_mode, .fill = o->fill };
    return check_reflection(m, sample, height, width);
}

/* ---- all of them ---- */

typedef grd_status (*mover)(const grd_transform_call *call, grd_sample *sample, int height, int width, grd_move *m);

static grd_status place(mover move, const grd_transform_call *call, grd_sample *sample)
{
    grd_pixels image;
    grd_move m;
    GRD_TRY(grd_scene_picture(sample, grd_scene_of(call->in, call->n).image, &image));
    GRD_TRY(move(call, sample, image.height, image.width, &m));
    return grd_move_apply(&m, call, sample);
}

static grd_status center_apply(const grd_transform_call *call, grd_sample *s) { return place(center_move, call, s); }
static grd_status random_apply(const grd_transform_call *call, grd_sample *s) { return place(random_move, call, s); }
static grd_status pad_apply(const grd_transform_call *call, grd_sample *s) { return place(pad_move, call, s); }

bool grd_crop_of(const grd_transform *row) { return row == &grd_transform_center_crop || row == &grd_transform_random_crop; }

grd_status grd_crop_move(const grd_transform *row, const grd_transform_call *call, grd_sample *sample, int height, int width,
                         grd_move *move)
{
    return (row == &grd_transform_center_crop ? center_move : random_move)(call, sample, height, width, move);
}

#define CROP_SIZE \
    { "size", GRD_OPTION_INTS, offsetof(opts, size), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "one number, or [height, width]" }
#define PADDING_MODE GRD_ENUM(opts, padding_mode, GRD_BORDER_CONSTANT, "constant|reflect|edge", "what stands in the border")

static const grd_option center_options[] = { CROP_SIZE, GRD_FILL(opts), GRD_END };

static const grd_option random_options[] = {
    CROP_SIZE,
    GRD_INTS(opts, padding, NULL, "first this border: all sides, [left and right, top and bottom], or [left, top, right, bottom]"),
    GRD_FLAG(opts, pad_if_needed, "a picture that is still too small is filled up; else it is an error"),
    GRD_FILL(opts), PADDING_MODE, GRD_END,
};

static const grd_option pad_options[] = {
    { "padding", GRD_OPTION_INTS, offsetof(opts, padding), 0, 0, 0, NULL, GRD_OPTION_REQUIRED,
      "all sides, [left and right, top and bottom], or [left, top, right, bottom]" },
    GRD_FILL(opts), PADDING_MODE, GRD_END,
};

static const char *const center_samples[] = { "size=13", "size=[30,14]", "[20,16] fill=0.5", NULL };
static const char *const random_samples[] = { "size=15 pad_if_needed=true", "size=[6,7] padding=[1,2,3,4] pad_if_needed=true",
                                              "9 padding=2 pad_if_needed=true padding_mode=edge", NULL };
static const char *const pad_samples[] = { "padding=3", "padding=[1,2] padding_mode=edge", "[1,0,2,3] fill=0.25", NULL };

const grd_transform grd_transform_center_crop = {
    .name = "center_crop", .doc = "The middle of a picture, filled up where it is smaller; as torchvision's CenterCrop.",
    .options = center_options, .options_size = sizeof(opts), .fields = center_fields, .apply = center_apply, .keeps_classes = true,
    .samples = center_samples,
};

const grd_transform grd_transform_random_crop = {
    .name = "random_crop", .doc = "A part of fixed size from anywhere in the picture; as torchvision's RandomCrop.",
    .options = random_options, .options_size = sizeof(opts), .fields = random_fields, .apply = random_apply, .random = true,
    .keeps_classes = true, .samples = random_samples,
};

const grd_transform grd_transform_pad = {
    .name = "pad", .doc = "A border around the picture; as torchvision's Pad.", .options = pad_options, .options_size = sizeof(opts),
    .fields = pad_fields, .apply = pad_apply, .keeps_classes = true, .samples = pad_samples,
};
