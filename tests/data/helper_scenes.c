#include "helper_scenes.h"

#include <stdlib.h>

static const int sizes[SCENES][2] = { { 24, 31 }, { 11, 13 }, { 1, 1 }, { 1, 9 }, { 9, 1 }, { 40, 24 } };

static grd_status open_scenes(void **out, const void *options, grd_ctx *ctx)
{
    (void)ctx;
    scene_opts *o = malloc(sizeof *o);
    if (!o)
        return GRD_ERR_MEMORY;
    *o = *(const scene_opts *)options;
    *out = o;
    return GRD_OK;
}

static int64_t length(const void *self)
{
    (void)self;
    return SCENES;
}

static int fields(const void *self, grd_field *out, int max)
{
    const scene_opts *o = self;
    int64_t h = o->height ? o->height : -1, w = o->width ? o->width : -1;
    if (max < SCENE_FIELDS)
        return SCENE_FIELDS;
    out[SCENE_IMAGE] = (grd_field){ .name = "image", .dtype = o->floats ? GRD_F32 : GRD_U8, .shape = { 3, { 3, h, w } },
                                    .hi = o->floats ? 1 : 255 };
    out[SCENE_MASK] = (grd_field){ .name = "mask", .dtype = GRD_I32, .shape = { 2, { h, w } }, .hi = 2, .classes = 3, .ignore = -1 };
    out[SCENE_POINTS] = (grd_field){ .name = "points", .dtype = GRD_F32, .shape = { 2, { 2, 2 } } };
    out[SCENE_LABEL] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = 3, .classes = 4 };
    out[SCENE_SOFT] = (grd_field){ .name = "soft", .dtype = GRD_F32, .shape = { 1, { 4 } }, .hi = 1 };
    return SCENE_FIELDS;
}

/* The centres are a third and two thirds of the way; markers are 5 pixels wide. */
static int marker_at(int h, int w, int y, int x)
{
    for (int k = 1; k <= 2; k++)
        if (abs(y - k * h / 3) <= 2 && abs(x - k * w / 3) <= 2)
            return k;
    return 0;
}

static void colour(const scene_opts *o, int64_t i, int h, int w, int y, int x, uint8_t rgb[3])
{
    for (int c = 0; c < 3; c++)
        rgb[c] = o->noise ? (uint8_t)((y * 37 + x * 61 + c * 101 + (int)i * 7 + y * x * 11) % 256)
                          : marker_at(h, w, y, x) ? 255 : (uint8_t)(8 + 4 * c);
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const scene_opts *o = self;
    int h = o->height ? (int)o->height : sizes[i][0], w = o->width ? (int)o->width : sizes[i][1];
    uint8_t *u8 = grd_sample_room(out, SCENE_IMAGE, &(grd_shape){ 3, { 3, h, w } });
    int32_t *mask = grd_sample_room(out, SCENE_MASK, &(grd_shape){ 2, { h, w } });
    float *f32 = (float *)(void *)u8, *points = out->data[SCENE_POINTS], *soft = out->data[SCENE_SOFT];
    if (!u8 || !mask)
        return GRD_ERR_MEMORY;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t rgb[3];
            colour(o, i, h, w, y, x, rgb);
            mask[y * w + x] = marker_at(h, w, y, x);
            for (int c = 0; c < 3; c++)
                if (o->floats)
                    f32[(c * h + y) * w + x] = (float)rgb[c] / 255;
                else
                    u8[(c * h + y) * w + x] = rgb[c];
        }
    for (int k = 0; k < 2; k++) {
        points[2 * k] = (float)((k + 1) * w / 3);
        points[2 * k + 1] = (float)((k + 1) * h / 3);
    }
    *(int32_t *)out->data[SCENE_LABEL] = (int32_t)i % 4;
    for (int k = 0; k < 4; k++)
        soft[k] = k == i % 4;
    return GRD_OK;
}

static void close_scenes(void *self) { free(self); }

static const grd_source scene_source = { .name = "scenes", .doc = "Markers.", .options_size = sizeof(scene_opts), .open = open_scenes,
                                         .length = length, .fields = fields, .get = get, .close = close_scenes };

grd_dataset *scenes(grd_ctx *ctx, scene_opts o)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open_source(ctx, &scene_source, &o, &d));
    return d;
}
