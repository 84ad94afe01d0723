/* Noise with random labels: what benchmarks and tests of other parts run on when the content does not matter. */
#include "base/ctx.h"
#include "data/rows.h"
#include "tensor/tensor.h"

typedef struct opts {
    int64_t n;
    grd_ints shape;
    int64_t classes, seed;
} opts;

typedef struct state {
    grd_host *host;
    opts o;
    grd_shape shape;
    grd_key key;
} state;

static grd_status open_random(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    if (o->shape.n >= GRD_MAX_RANK)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "shape: %d dimensions, expected at most %d", o->shape.n, GRD_MAX_RANK - 1);
    for (int k = 0; k < o->shape.n; k++)
        if (o->shape.v[k] < 1)
            return grd_fail(&ctx->host, GRD_ERR_ARG, "shape: dimension %lld, expected at least 1", (long long)o->shape.v[k]);
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->o = *o;
    s->shape = grd_shape_of(o->shape.n, o->shape.v);
    s->key = (grd_key){ .seed = grd_hash((uint64_t)o->seed, "random") };
    *out = s;
    return GRD_OK;
}

static void close_random(void *self) { grd_free(((state *)self)->host, self); }

static int64_t length(const void *self) { return ((const state *)self)->o.n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "image", .dtype = GRD_F32, .shape = s->shape, .hi = 1 };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = (double)s->o.classes - 1, .classes = s->o.classes };
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    uint32_t word[4];
    float *x = out->data[0];
    int64_t n = grd_count(&s->shape);
    for (int64_t e = 0; e < n; e += 4) {
        grd_random4(&s->key, (uint64_t)i, 1 + (uint64_t)e / 4, word);
        for (int k = 0; k < 4 && e + k < n; k++)
            x[e + k] = (float)grd_uniform(word[k]);
    }
    grd_random4(&s->key, (uint64_t)i, 0, word);
    *(int32_t *)out->data[1] = (int32_t)(((uint64_t)word[0] * (uint64_t)s->o.classes) >> 32);
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_INT(opts, n, 1000, 1, 1e9, "number of samples"),
    GRD_INTS(opts, shape, "1,28,28", "of an image"),
    GRD_INT(opts, classes, 10, 1, 1000000, "number of classes"),
    GRD_INT(opts, seed, 0, 0, 0, "of images and labels"),
    GRD_END,
};

const grd_source grd_source_random = {
    .name = "random", .doc = "Uniform noise in [0, 1) with random labels: image f32, label i32. Generated.",
    .options = options_table, .options_size = sizeof(opts), .open = open_random, .length = length, .fields = fields, .get = get,
    .close = close_random,
};
