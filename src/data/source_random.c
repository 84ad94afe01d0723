/* Noise with random labels or targets: what benchmarks and tests of other parts run on when the content does not matter. */
#include "base/ctx.h"
#include "data/rows.h"
#include "tensor/tensor.h"

typedef struct opts {
    int64_t n;
    grd_ints shape, label_shape, targets;
    int64_t vocabulary, classes, seed;
} opts;

typedef struct state {
    grd_host *host;
    opts o;
    grd_shape x, y;
    grd_key key;
} state;

static grd_status read_shape(grd_ctx *ctx, const char *name, const grd_ints *list, grd_shape *shape)
{
    if (list->n >= GRD_MAX_RANK)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "%s: %d dimensions, expected at most %d", name, list->n, GRD_MAX_RANK - 1);
    for (int k = 0; k < list->n; k++)
        if (list->v[k] < 1)
            return grd_fail(&ctx->host, GRD_ERR_ARG, "%s: dimension %lld, expected at least 1", name, (long long)list->v[k]);
    *shape = grd_shape_of(list->n, list->v);
    return GRD_OK;
}

static grd_status open_random(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_shape x, y;
    if (o->targets.n && o->label_shape.n)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "label_shape is for labels: with targets there are none");
    GRD_TRY(read_shape(ctx, "shape", &o->shape, &x));
    GRD_TRY(o->targets.n ? read_shape(ctx, "targets", &o->targets, &y) : read_shape(ctx, "label_shape", &o->label_shape, &y));
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    *s = (state){ &ctx->host, *o, x, y, { .seed = grd_hash((uint64_t)o->seed, "random") } };
    *out = s;
    return GRD_OK;
}

static void close_random(void *self) { grd_free(((state *)self)->host, self); }

static int64_t length(const void *self) { return ((const state *)self)->o.n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    const opts *o = &s->o;
    if (max < 2)
        return 2;
    out[0] = o->vocabulary ? (grd_field){ .name = "tokens", .dtype = GRD_I32, .shape = s->x, .hi = (double)o->vocabulary - 1 }
                           : (grd_field){ .name = "image", .dtype = GRD_F32, .shape = s->x, .hi = 1 };
    out[1] = o->targets.n
                 ? (grd_field){ .name = "target", .dtype = GRD_F32, .shape = s->y, .hi = 1 }
                 : (grd_field){ .name = "label", .dtype = GRD_I32, .shape = s->y, .hi = (double)o->classes - 1, .classes = o->classes };
    return 2;
}

/* n numbers of sample i from the stream `first`, of uniform words: reals in [0, 1), or indices below `below`. */
static void fill(const state *s, int64_t i, uint64_t first, void *to, int64_t n, int64_t below)
{
    uint32_t word[4];
    for (int64_t e = 0; e < n; e += 4) {
        grd_random4(&s->key, (uint64_t)i, first + (uint64_t)e / 4, word);
        for (int k = 0; k < 4 && e + k < n; k++) {
            if (below)
                ((int32_t *)to)[e + k] = (int32_t)(((uint64_t)word[k] * (uint64_t)below) >> 32);
            else
                ((float *)to)[e + k] = (float)grd_uniform(word[k]);
        }
    }
}

enum { LABEL_STREAM = 1 << 30 }; /* beyond any input's */

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    bool one_label = !s->o.targets.n && s->y.rank == 0;
    fill(s, i, 1, out->data[0], grd_count(&s->x), s->o.vocabulary);
    fill(s, i, one_label ? 0 : LABEL_STREAM, out->data[1], grd_count(&s->y), s->o.targets.n ? 0 : s->o.classes);
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_INT(opts, n, 1000, 1, 1e9, "number of samples"),
    GRD_INTS(opts, shape, "1,28,28", "of an image, or of the tokens"),
    GRD_INT(opts, vocabulary, 0, 0, 1000000, "tokens below this instead of an image; 0: an image"),
    GRD_INT(opts, classes, 10, 1, 1000000, "number of classes"),
    GRD_INTS(opts, label_shape, NULL, "of the labels of a sample, one a pixel or token; default: one label"),
    GRD_INTS(opts, targets, NULL, "shape of real targets in [0, 1) instead of labels"),
    GRD_INT(opts, seed, 0, 0, 0, "of all of it"),
    GRD_END,
};

const grd_source grd_source_random = {
    .name = "random", .doc = "Uniform noise in [0, 1) with random labels: image f32 (or tokens i32), label i32 (or target f32). Generated.",
    .options = options_table, .options_size = sizeof(opts), .open = open_random, .length = length, .fields = fields, .get = get,
    .close = close_random,
};
