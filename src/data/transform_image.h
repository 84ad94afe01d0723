/* What transforms of pictures share: the fields `image`, `mask` and `points` of a sample go the same way. A row draws its numbers,
 * says where the picture goes as a grd_move, and the three fields follow: the picture by its filter, the mask by the nearest
 * pixel, the points by the map of their places. */
#ifndef GRD_DATA_TRANSFORM_IMAGE_H
#define GRD_DATA_TRANSFORM_IMAGE_H

#include "base/ctx.h"
#include "data/dataset.h"
#include "data/image_pixels.h"
#include "data/rows.h"

/* ---- fields ---- */

typedef struct grd_scene { int image, mask, points; } grd_scene; /* indices of fields; -1 = there is none */

grd_scene grd_scene_of(const grd_field *field, int n);
/* Whether the picture is one: u8 or f32 [C,H,W], C 1 to 4; the mask as large, the points [K,2]; else a sentence. */
grd_status grd_scene_check(grd_ctx *ctx, const grd_field *field, int n);
/* Of a row that works on values: the picture only, bytes or floats of 0 to 1, with 1 or 3 channels. */
grd_status grd_colours_check(grd_ctx *ctx, const grd_field *field, int n);
/* Picture and mask have this size from here on (-1 = varies); the points may lie anywhere. */
void grd_scene_resized(grd_field *field, int n, int64_t height, int64_t width);
/* The promised range includes this value too, if there is one. */
void grd_field_widen(grd_field *f, double value);
/* fill: none, one value or one a channel. */
grd_status grd_fill_check(grd_ctx *ctx, const grd_reals *fill, const grd_field *image);

/* ---- one sample ---- */

/* The picture in the sample; its size is checked: a sentence if it has none, or is larger than can be. */
grd_status grd_scene_picture(grd_sample *sample, int image, grd_pixels *out);

typedef enum grd_move_kind {
    GRD_MOVE_NONE,
    GRD_MOVE_RESIZE, /* a part of the old picture is stretched; of what results a window is made */
    GRD_MOVE_PLACE,  /* crop and pad: the old picture begins at (top, left) of the new one */
    GRD_MOVE_FLIP_HORIZONTAL,
    GRD_MOVE_FLIP_VERTICAL,
    GRD_MOVE_WARP
} grd_move_kind;

typedef struct grd_move {
    grd_move_kind kind;
    int height, width;  /* of the new picture: RESIZE, PLACE */
    int top, left;      /* PLACE */
    struct { int top, left, height, width; } part; /* RESIZE: of the old picture */
    grd_resize resize;  /* RESIZE */
    grd_border border;  /* PLACE */
    grd_warp warp;      /* WARP; its fill is not looked at */
    grd_reals fill;     /* PLACE, WARP: none = 0, one value or one a channel. A mask gets its `ignore`, or 0 */
    const char *pairs;  /* flips: points that change places: "0-1,2-4"; NULL = none */
} grd_move;

grd_status grd_move_apply(const grd_move *move, const grd_transform_call *call, grd_sample *sample);

/* "0-1,2-4" against n_points (-1 = not known): a sentence if it is none. ctx NULL: it was checked. Swaps rows of xy if not NULL. */
grd_status grd_pairs(grd_ctx *ctx, const char *pairs, int64_t n_points, float *xy);

/* ---- drawing: numbers of one sample in order; without a key every draw is the one in the middle ---- */

typedef struct grd_draws {
    const grd_key *key;
    uint64_t n;
    uint32_t word[4];
} grd_draws;

static inline grd_draws grd_draws_of(const grd_transform_call *call) { return (grd_draws){ .key = call->key }; }
uint32_t grd_draw_word(grd_draws *d);
double grd_draw(grd_draws *d, double lo, double hi);       /* [lo, hi) */
int64_t grd_draw_below(grd_draws *d, int64_t n);           /* 0 .. n-1 */
bool grd_draw_chance(grd_draws *d, double p);              /* true with probability p; without a key false */

/* ---- options of several rows ---- */

#define GRD_INTERPOLATION(S, def, choices) GRD_ENUM(S, interpolation, def, choices, "of the picture; a mask takes the nearest pixel")
#define GRD_FILL(S) \
    GRD_REALS(S, fill, "0", "where there was no picture: one value, or one a channel, in its own units; a mask gets its `ignore`, or 0")

/* [lo, hi] in order, within least..most; else a sentence. */
grd_status grd_range_check(grd_ctx *ctx, const char *name, const grd_reals *range, double least, double most);
/* One value is a square, two are [height, width]. */
grd_status grd_size_check(grd_ctx *ctx, const grd_ints *size);
static inline int grd_size_height(const grd_ints *size) { return (int)size->v[0]; }
static inline int grd_size_width(const grd_ints *size) { return (int)size->v[size->n - 1]; }

/* Where a crop (center_crop, random_crop) takes its window from a picture of this size: a move of PLACE. For `resize`, which makes
 * no more than the crop behind it keeps. False: the row is no crop. */
bool grd_crop_of(const grd_transform *row);
grd_status grd_crop_move(const grd_transform *row, const grd_transform_call *call, grd_sample *sample, int height, int width,
                         grd_move *move);

#endif
