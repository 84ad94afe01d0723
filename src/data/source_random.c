/* Noise or tokens with random labels: what benchmarks and tests of other parts run on when the content does not matter. */
#include "base/ctx.h"
#include "data/rows.h"
#include "tensor/tensor.h"

typedef struct opts {
    int64_t n;
    grd_ints shape;
    int64_t tokens;
    int label;
    grd_ints label_shape;
    int64_t classes, seed;
} opts;

enum { LABEL_CLASS, LABEL_REAL };

typedef struct state {
    grd_host *host;
    opts o;
    grd_shape shape, label;
    grd_key key;
} state;

static grd_status check_shape(grd_ctx *ctx, const char *key, const grd_ints *shape)
{
    if (shape->n >= GRD_MAX_RANK)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "%s: %d dimensions, expected at most %d", key, shape->n, GRD_MAX_RANK - 1);
    for (int k = 0; k < shape->n; k++)
        if (shape->v[k] < 1)
            return grd_fail(&ctx->host, GRD_ERR_ARG, "%s: dimension %lld, expected at least 1", key, (long long)shape->v[k]);
    return GRD_OK;
}

static grd_status open_random(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    GRD_TRY(check_shape(ctx, "shape", &o->shape));
    GRD_TRY(check_shape(ctx, "label_shape", &o->label_shape));
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->o = *o;
    s->shape = grd_shape_of(o->shape.n, o->shape.v);
    s->label = grd_shape_of(o->label_shape.n, o->label_shape.v);
    s->key = (grd_key){ .seed = grd_hash((uint64_t)o->seed, "random") };
    *out = s;
    return GRD_OK;
}

static void close_random(void *self) { grd_free(((state *)self)->host, self); }

static int64_t length(const void *self) { return ((const state *)self)->o.n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max < 2)
        return 2;
    if (s->o.tokens)
        out[0] = (grd_field){ .name = "text", .dtype = GRD_I32, .shape = s->shape, .hi = (double)s->o.tokens - 1 };
    else
        out[0] = (grd_field){ .name = "image", .dtype = GRD_F32, .shape = s->shape, .hi = 1 };
    if (s->o.label == LABEL_REAL)
        out[1] = (grd_field){ .name = "label", .dtype = GRD_F32, .shape = s->label, .hi = 1 };
    else
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .shape = s->label, .hi = (double)s->o.classes - 1,
                              .classes = s->o.classes };
    return 2;
}

/* Draw `first` and those after it, four elements each: numbers in [0, 1), or if `below` whole ones in 0..below-1. */
static void fill(const state *s, int64_t i, uint64_t first, int64_t below, int64_t n, void *out)
{
    uint32_t word[4];
    for (int64_t e = 0; e < n; e += 4) {
        grd_random4(&s->key, (uint64_t)i, first + (uint64_t)e / 4, word);
        for (int k = 0; k < 4 && e + k < n; k++)
            if (below)
                ((int32_t *)out)[e + k] = (int32_t)(((uint64_t)word[k] * (uint64_t)below) >> 32);
            else
                ((float *)out)[e + k] = (float)grd_uniform(word[k]);
    }
}

/* The first label is draw 0; further ones are drawn from a range of their own. */
static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    enum { MORE_LABELS = 1 << 30 };
    const state *s = self;
    const int64_t classes = s->o.label == LABEL_REAL ? 0 : s->o.classes, labels = grd_count(&s->label);
    fill(s, i, 1, s->o.tokens, grd_count(&s->shape), out->data[0]);
    fill(s, i, 0, classes, labels < 4 ? labels : 4, out->data[1]);
    if (labels > 4)
        fill(s, i, MORE_LABELS, classes, labels - 4, (float *)out->data[1] + 4);
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_INT(opts, n, 1000, 1, 1e9, "number of samples"),
    GRD_INTS(opts, shape, "1,28,28", "of an image, or of a text"),
    GRD_INT(opts, tokens, 0, 0, 1e9, "field `text` of whole numbers below this; 0: field `image` of noise"),
    GRD_ENUM(opts, label, LABEL_CLASS, "class|real", "labels are class indices, or numbers in [0, 1)"),
    GRD_INTS(opts, label_shape, NULL, "of a label; none: one number"),
    GRD_INT(opts, classes, 10, 1, 1000000, "number of classes"),
    GRD_INT(opts, seed, 0, 0, 0, "of images and labels"),
    GRD_END,
};

const grd_source grd_source_random = {
    .name = "random",
    .doc = "Uniform noise in [0, 1), or random tokens, with random labels: image f32 or text i32, label i32 or f32. Generated.",
    .options = options_table, .options_size = sizeof(opts), .open = open_random, .length = length, .fields = fields, .get = get,
    .close = close_random,
};
