/* Fields of pictures, moves of all of them together, and drawing. */
#include "data/transform_image.h"

#include "tensor/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

grd_scene grd_scene_of(const grd_field *field, int n)
{
    return (grd_scene){ grd_field_find(field, n, "image"), grd_field_find(field, n, "mask"), grd_field_find(field, n, "points") };
}

static grd_status check_image(grd_ctx *ctx, const grd_field *f)
{
    char shape[96];
    if ((f->dtype != GRD_U8 && f->dtype != GRD_F32) || f->shape.rank != 3)
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is %s %s, expected u8 or f32 [channels, height, width]",
                               grd_dtype_name(f->dtype), grd_shape_text(&f->shape, shape, sizeof shape));
    if (f->shape.dim[0] < 1 || f->shape.dim[0] > GRD_PIXELS_MAX_CHANNELS)
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is %s, expected 1 to %d channels",
                               grd_shape_text(&f->shape, shape, sizeof shape), GRD_PIXELS_MAX_CHANNELS);
    for (int k = 1; k < 3; k++)
        if (f->shape.dim[k] == 0 || f->shape.dim[k] > GRD_PIXELS_MAX_SIZE)
            return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is %s, expected sides of 1 to %d",
                                   grd_shape_text(&f->shape, shape, sizeof shape), GRD_PIXELS_MAX_SIZE);
    return GRD_OK;
}

static bool fits(int64_t a, int64_t b) { return a == b || a < 0 || b < 0; }

static grd_status check_mask(grd_ctx *ctx, const grd_field *f, const grd_field *image)
{
    char shape[96], other[96];
    int rank = f->shape.rank;
    const int64_t *side = f->shape.dim + rank - 2;
    if ((f->dtype != GRD_U8 && f->dtype != GRD_I32) || (rank != 2 && (rank != 3 || f->shape.dim[0] != 1)))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"mask\" is %s %s, expected u8 or i32 [height, width] or [1, height, width]",
                               grd_dtype_name(f->dtype), grd_shape_text(&f->shape, shape, sizeof shape));
    if (!fits(side[0], image->shape.dim[1]) || !fits(side[1], image->shape.dim[2]))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"mask\" is %s, field \"image\" %s: expected the same height and width",
                               grd_shape_text(&f->shape, shape, sizeof shape),
                               grd_shape_text(&image->shape, other, sizeof other));
    return GRD_OK;
}

grd_status grd_scene_check(grd_ctx *ctx, const grd_field *field, int n)
{
    grd_scene s = grd_scene_of(field, n);
    char shape[96];
    if (s.image < 0)
        return grd_source_fail(ctx, GRD_ERR_ARG, "no field \"image\"");
    GRD_TRY(check_image(ctx, &field[s.image]));
    if (s.mask >= 0)
        GRD_TRY(check_mask(ctx, &field[s.mask], &field[s.image]));
    const grd_field *p = s.points >= 0 ? &field[s.points] : NULL;
    if (p && (p->dtype != GRD_F32 || p->shape.rank != 2 || p->shape.dim[1] != 2))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"points\" is %s %s, expected f32 [points, 2]", grd_dtype_name(p->dtype),
                               grd_shape_text(&p->shape, shape, sizeof shape));
    return GRD_OK;
}

grd_status grd_colours_check(grd_ctx *ctx, const grd_field *field, int n)
{
    GRD_TRY(grd_scene_check(ctx, field, n));
    const grd_field *f = &field[grd_scene_of(field, n).image];
    if (f->shape.dim[0] != 1 && f->shape.dim[0] != 3)
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" has %lld channels, expected 1 or 3", (long long)f->shape.dim[0]);
    if (f->dtype == GRD_F32 && f->lo < f->hi && (f->lo < 0 || f->hi > 1))
        return grd_source_fail(ctx, GRD_ERR_ARG, "field \"image\" is f32 from %g to %g, expected 0 to 1: put it before `normalize`",
                               f->lo, f->hi);
    return GRD_OK;
}

void grd_scene_resized(grd_field *field, int n, int64_t height, int64_t width)
{
    grd_scene s = grd_scene_of(field, n);
    field[s.image].shape.dim[1] = height;
    field[s.image].shape.dim[2] = width;
    if (s.mask >= 0) {
        int64_t *side = field[s.mask].shape.dim + field[s.mask].shape.rank - 2;
        side[0] = height;
        side[1] = width;
    }
    if (s.points >= 0)
        field[s.points].lo = field[s.points].hi = 0;
}

void grd_field_widen(grd_field *f, double value)
{
    if (!(f->lo < f->hi))
        return;
    f->lo = value < f->lo ? value : f->lo;
    f->hi = value > f->hi ? value : f->hi;
}

grd_status grd_fill_check(grd_ctx *ctx, const grd_reals *fill, const grd_field *image)
{
    if (fill->n > 1 && fill->n != image->shape.dim[0])
        return grd_source_fail(ctx, GRD_ERR_ARG, "fill: %d values, expected one or %lld (channels)", fill->n,
                               (long long)image->shape.dim[0]);
    for (int k = 0; k < fill->n; k++)
        if (image->dtype == GRD_U8 ? !(fill->v[k] >= 0 && fill->v[k] <= 255) : !(fabs(fill->v[k]) < 1e9))
            return grd_source_fail(ctx, GRD_ERR_ARG, "fill: %g, expected %s", fill->v[k],
                                   image->dtype == GRD_U8 ? "0 to 255, as the picture is bytes" : "a number");
    return GRD_OK;
}

/* ---- one sample ---- */

grd_status grd_scene_picture(grd_sample *sample, int image, grd_pixels *out)
{
    const grd_shape *s = &sample->shape[image];
    int64_t h = s->dim[1], w = s->dim[2];
    if (h < 1 || w < 1 || h > GRD_PIXELS_MAX_SIZE || w > GRD_PIXELS_MAX_SIZE)
        return grd_sample_fail(sample, GRD_ERR_DATA, "a picture of %lld x %lld pixels (width x height), expected 1 to %d each",
                               (long long)w, (long long)h, GRD_PIXELS_MAX_SIZE);
    *out = grd_pixels_of(sample->data[image], sample->field[image].dtype, (int)s->dim[0], (int)h, (int)w);
    return GRD_OK;
}

static void run(const grd_move *m, const grd_pixels *in, const grd_pixels *out, bool is_mask, const float *fill, void *scratch)
{
    if (m->kind == GRD_MOVE_RESIZE) {
        grd_resize r = m->resize;
        grd_pixels part = grd_pixels_crop(in, m->part.top, m->part.left, m->part.height, m->part.width);
        r.filter = is_mask ? GRD_FILTER_NEAREST : r.filter;
        grd_pixels_resize(&r, &part, out, scratch);
    } else if (m->kind == GRD_MOVE_PLACE) {
        grd_pixels_pad(in, out, m->top, m->left, m->border, fill);
    } else if (m->kind == GRD_MOVE_FLIP_HORIZONTAL) {
        grd_pixels_flip_horizontal(in, out);
    } else if (m->kind == GRD_MOVE_FLIP_VERTICAL) {
        grd_pixels_flip_vertical(in, out);
    } else {
        grd_warp w = m->warp;
        w.fill = fill;
        w.filter = is_mask ? GRD_FILTER_NEAREST : w.filter;
        grd_pixels_warp(&w, in, out);
    }
}

static size_t scratch_of(const grd_move *m, const grd_pixels *in, const grd_pixels *out, bool is_mask)
{
    if (m->kind != GRD_MOVE_RESIZE)
        return 0;
    grd_resize r = m->resize;
    grd_pixels part = grd_pixels_crop(in, 0, 0, m->part.height, m->part.width);
    r.filter = is_mask ? GRD_FILTER_NEAREST : r.filter;
    return grd_pixels_resize_scratch(&r, &part, out);
}

static bool in_place(const grd_move *m) { return m->kind == GRD_MOVE_FLIP_HORIZONTAL || m->kind == GRD_MOVE_FLIP_VERTICAL; }
static bool same_size(const grd_move *m) { return m->kind != GRD_MOVE_RESIZE && m->kind != GRD_MOVE_PLACE; }

/* Image or mask f: in has its old place and size. */
static grd_status move_field(const grd_move *m, grd_sample *sample, int f, const grd_pixels *in, bool is_mask)
{
    const grd_field *field = &sample->field[f];
    float fill[GRD_PIXELS_MAX_CHANNELS];
    for (int c = 0; c < in->channels; c++)
        fill[c] = is_mask ? (float)field->ignore : m->fill.n == 0 ? 0 : (float)m->fill.v[m->fill.n == 1 ? 0 : c];
    grd_pixels out = *in;
    if (!in_place(m)) {
        grd_shape shape = sample->shape[f];
        if (!same_size(m)) {
            shape.dim[shape.rank - 2] = m->height;
            shape.dim[shape.rank - 1] = m->width;
        }
        void *room = grd_sample_room(sample, f, &shape);
        if (!room)
            return GRD_ERR_MEMORY;
        out = grd_pixels_of(room, in->dtype, in->channels, same_size(m) ? in->height : m->height,
                            same_size(m) ? in->width : m->width);
    }
    size_t bytes = scratch_of(m, in, &out, is_mask);
    void *scratch = bytes ? grd_sample_scratch(sample, bytes) : NULL;
    if (bytes && !scratch)
        return GRD_ERR_MEMORY;
    run(m, in, &out, is_mask, fill, scratch);
    return GRD_OK;
}

static grd_status mask_of(grd_sample *sample, int f, const grd_pixels *image, grd_pixels *out)
{
    const grd_shape *s = &sample->shape[f];
    const int64_t *side = s->dim + s->rank - 2;
    if (side[0] != image->height || side[1] != image->width)
        return grd_sample_fail(sample, GRD_ERR_DATA, "the mask has %lld x %lld pixels (width x height), its picture %d x %d",
                               (long long)side[1], (long long)side[0], image->width, image->height);
    *out = grd_pixels_of(sample->data[f], sample->field[f].dtype, 1, image->height, image->width);
    return GRD_OK;
}

static bool map_of(const grd_move *m, int height, int width, double map[9])
{
    double next[9];
    grd_points_none(map);
    switch (m->kind) { /* the kind of a move, not of an op */
    case GRD_MOVE_NONE: return true;
    case GRD_MOVE_RESIZE:
        grd_points_shift(map, -m->part.left, -m->part.top);
        grd_points_resize(next, m->part.height, m->part.width, m->resize.height, m->resize.width);
        grd_points_then(map, next);
        grd_points_shift(next, -m->resize.left, -m->resize.top);
        grd_points_then(map, next);
        return true;
    case GRD_MOVE_PLACE: grd_points_shift(map, m->left, m->top); return true;
    case GRD_MOVE_FLIP_HORIZONTAL: grd_points_flip_horizontal(map, width); return true;
    case GRD_MOVE_FLIP_VERTICAL: grd_points_flip_vertical(map, height); return true;
    case GRD_MOVE_WARP: return grd_points_warp(map, m->warp.m);
    }
    return false;
}

/* Nothing would change. */
static bool idle(const grd_move *m, const grd_pixels *in)
{
    if (m->kind == GRD_MOVE_NONE)
        return true;
    bool whole = m->height == in->height && m->width == in->width;
    if (m->kind == GRD_MOVE_PLACE)
        return whole && m->top == 0 && m->left == 0;
    return m->kind == GRD_MOVE_RESIZE && whole && m->part.height == in->height && m->part.width == in->width &&
           m->resize.height == in->height && m->resize.width == in->width;
}

grd_status grd_move_apply(const grd_move *m, const grd_transform_call *call, grd_sample *sample)
{
    const grd_scene s = grd_scene_of(call->in, call->n);
    grd_pixels image, mask;
    double map[9];
    GRD_TRY(grd_scene_picture(sample, s.image, &image));
    if (s.mask >= 0)
        GRD_TRY(mask_of(sample, s.mask, &image, &mask));
    if (idle(m, &image) || !map_of(m, image.height, image.width, map))
        return GRD_OK;
    GRD_TRY(move_field(m, sample, s.image, &image, false));
    if (s.mask >= 0)
        GRD_TRY(move_field(m, sample, s.mask, &mask, true));
    if (s.points >= 0) {
        float *xy = sample->data[s.points];
        int64_t n = sample->shape[s.points].dim[0];
        grd_points_apply(map, xy, n);
        if (m->pairs)
            return grd_pairs(NULL, m->pairs, n, xy);
    }
    return GRD_OK;
}

grd_status grd_pairs(grd_ctx *ctx, const char *pairs, int64_t n, float *xy)
{
    for (const char *c = pairs; c && *c; c += *c == ',') {
        char *end, *last;
        long a = strtol(c, &end, 10), b = *end == '-' ? strtol(end + 1, &last, 10) : -1;
        bool good = end > c && *end == '-' && last > end + 1 && (*last == ',' || !*last) && a >= 0 && b >= 0;
        if (!good && ctx)
            return grd_source_fail(ctx, GRD_ERR_ARG, "pairs: \"%.40s\", expected pairs of points as 0-1,2-4", c);
        if (good && n >= 0 && (a >= n || b >= n) && ctx)
            return grd_source_fail(ctx, GRD_ERR_ARG, "pairs: %ld-%ld, there are points 0 to %lld", a, b, (long long)n - 1);
        if (xy && good && a < n && b < n) {
            float other[2];
            memcpy(other, xy + 2 * a, sizeof other);
            memcpy(xy + 2 * a, xy + 2 * b, sizeof other);
            memcpy(xy + 2 * b, other, sizeof other);
        }
        if (!good)
            break;
        c = last;
    }
    return GRD_OK;
}

/* ---- drawing ---- */

uint32_t grd_draw_word(grd_draws *d)
{
    if (!d->key)
        return UINT32_C(1) << 31;
    if (d->n % 4 == 0)
        grd_random4(d->key, 0, d->n / 4, d->word);
    return d->word[d->n++ % 4];
}

double grd_draw(grd_draws *d, double lo, double hi) { return lo + (hi - lo) * grd_uniform(grd_draw_word(d)); }

int64_t grd_draw_below(grd_draws *d, int64_t n) { return (int64_t)(((uint64_t)grd_draw_word(d) * (uint64_t)n) >> 32); }

bool grd_draw_chance(grd_draws *d, double p) { return d->key && grd_uniform(grd_draw_word(d)) < p; }

/* ---- options ---- */

grd_status grd_range_check(grd_ctx *ctx, const char *name, const grd_reals *r, double least, double most)
{
    if (r->n != 2 || !(r->v[0] <= r->v[1]) || r->v[0] < least || r->v[1] > most)
        return grd_source_fail(ctx, GRD_ERR_ARG, "%s: expected [lo, hi] within %g to %g", name, least, most);
    return GRD_OK;
}

grd_status grd_size_check(grd_ctx *ctx, const grd_ints *size)
{
    bool good = size->n == 1 || size->n == 2;
    for (int k = 0; k < size->n && good; k++)
        good = size->v[k] >= 1 && size->v[k] <= GRD_PIXELS_MAX_SIZE;
    if (!good)
        return grd_source_fail(ctx, GRD_ERR_ARG, "size: expected one number or [height, width], 1 to %d", GRD_PIXELS_MAX_SIZE);
    return GRD_OK;
}
