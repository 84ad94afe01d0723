/* Two half circles in the plane that reach into each other. */
#include "base/ctx.h"
#include "data/draw.h"
#include "data/rows.h"

typedef struct opts {
    int64_t n;
    double noise;
    int64_t seed;
} opts;

typedef struct state {
    grd_host *host;
    opts o;
    grd_key key;
} state;

static grd_status open_moons(void **out, const void *options, grd_ctx *ctx)
{
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->o = *(const opts *)options;
    s->key = (grd_key){ .seed = grd_hash((uint64_t)s->o.seed, "moons") };
    *out = s;
    return GRD_OK;
}

static void close_moons(void *self) { grd_free(((state *)self)->host, self); }

static int64_t length(const void *self) { return ((const state *)self)->o.n; }

static int fields(const void *self, grd_field *out, int max)
{
    (void)self;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } } };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = 1, .classes = 2 };
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    uint32_t word[4];
    double noise[2];
    grd_random4(&s->key, (uint64_t)i, 0, word);
    grd_normal2(word, noise);
    bool inner = i % 2;
    double angle = GRD_PI * grd_uniform(word[2]), x = cos(angle), y = sin(angle);
    float *point = out->data[0];
    point[0] = (float)((inner ? 1 - x : x) + s->o.noise * noise[0]);
    point[1] = (float)((inner ? 0.5 - y : y) + s->o.noise * noise[1]);
    *(int32_t *)out->data[1] = inner;
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_INT(opts, n, 1000, 1, 1e9, "number of samples; even ones are class 0"),
    GRD_REAL_OFF(opts, noise, 0.1, 0, 1e3, "standard deviation added to each coordinate; the radius is 1"),
    GRD_INT(opts, seed, 0, 0, 0, "of the points"),
    GRD_END,
};

const grd_source grd_source_moons = {
    .name = "moons", .doc = "Two half circles that reach into each other: x f32 [2], label i32. Generated.",
    .options = options_table, .options_size = sizeof(opts), .open = open_moons, .length = length, .fields = fields, .get = get,
    .close = close_moons,
};
