/* Spiral arms in the plane, one a class: a small problem that no linear model solves. */
#include "base/ctx.h"
#include "data/draw.h"
#include "data/rows.h"

typedef struct opts {
    int64_t n, classes;
    double noise, turns;
    int64_t seed;
} opts;

typedef struct state {
    grd_host *host;
    opts o;
    grd_key key;
} state;

static grd_status open_spirals(void **out, const void *options, grd_ctx *ctx)
{
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->o = *(const opts *)options;
    s->key = (grd_key){ .seed = grd_hash((uint64_t)s->o.seed, "spirals") };
    *out = s;
    return GRD_OK;
}

static void close_spirals(void *self) { grd_free(((state *)self)->host, self); }

static int64_t length(const void *self) { return ((const state *)self)->o.n; }

static int fields(const void *self, grd_field *out, int max)
{
    int64_t classes = ((const state *)self)->o.classes;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } } };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = (double)classes - 1, .classes = classes };
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
    int64_t label = i % s->o.classes;
    double radius = grd_uniform(word[2]), angle = 2 * GRD_PI * ((double)label / (double)s->o.classes + s->o.turns * radius);
    float *x = out->data[0];
    x[0] = (float)(radius * cos(angle) + s->o.noise * noise[0]);
    x[1] = (float)(radius * sin(angle) + s->o.noise * noise[1]);
    *(int32_t *)out->data[1] = (int32_t)label;
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_INT(opts, n, 1000, 1, 1e9, "number of samples"),
    GRD_INT(opts, classes, 3, 1, 1000, "number of arms; sample i is of class i mod classes"),
    GRD_REAL_OFF(opts, noise, 0.03, 0, 1e3, "standard deviation added to each coordinate; an arm has length 1"),
    GRD_REAL(opts, turns, 1, 0, 100, "how often an arm winds around the centre"),
    GRD_INT(opts, seed, 0, 0, 0, "of the points"),
    GRD_END,
};

const grd_source grd_source_spirals = {
    .name = "spirals", .doc = "Spiral arms in the plane, one a class: x f32 [2], label i32. Generated.",
    .options = options_table, .options_size = sizeof(opts), .open = open_spirals, .length = length, .fields = fields, .get = get,
    .close = close_spirals,
};
