/* scale: a field's range to another one, as float; pictures of bytes become numbers in [0, 1]. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "data/rows.h"
#include "data/transform_normalize.h"
#include "tensor/tensor.h"

#include <string.h>

typedef struct opts {
    const char *field;
    grd_reals from, to;
} opts;

typedef struct range { /* y = (x - lo) / span * to_span + to_lo, in float, in this order: for bytes to [0, 1] it is x / 255 */
    float lo, span, to_lo, to_span;
} range;

static bool known_range(const opts *o, const grd_field *f, double from[2])
{
    bool known = o->from.n == 2 || f->lo < f->hi || f->dtype == GRD_U8;
    from[0] = o->from.n == 2 ? o->from.v[0] : f->lo < f->hi ? f->lo : 0;
    from[1] = o->from.n == 2 ? o->from.v[1] : f->lo < f->hi ? f->hi : 255;
    return known;
}

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    grd_host *host = &ctx->host;
    double from[2];
    int i = grd_field_find(field, n, o->field);
    if (i < 0)
        return grd_fail(host, GRD_ERR_ARG, "no field \"%s\"", o->field);
    grd_field *f = &field[i];
    if (f->classes)
        return grd_fail(host, GRD_ERR_ARG, "field \"%s\" is a class index, not a quantity", o->field);
    if ((o->from.n != 0 && (o->from.n != 2 || !(o->from.v[0] < o->from.v[1]))) || o->to.n != 2 || o->to.v[0] == o->to.v[1])
        return grd_fail(host, GRD_ERR_ARG, "from and to are two numbers each: [lo, hi]");
    if (!known_range(o, f, from))
        return grd_fail(host, GRD_ERR_ARG, "the range of field \"%s\" is not known; give from=[lo, hi]", o->field);
    if (f->lo < f->hi || f->dtype == GRD_U8) { /* what it promised, mapped: not always all of `to` */
        double slope = (o->to.v[1] - o->to.v[0]) / (from[1] - from[0]);
        double lo = f->lo < f->hi ? f->lo : 0, hi = f->lo < f->hi ? f->hi : 255;
        double a = (lo - from[0]) * slope + o->to.v[0], b = (hi - from[0]) * slope + o->to.v[0];
        f->lo = a < b ? a : b;
        f->hi = a < b ? b : a;
    }
    f->dtype = GRD_F32;
    return GRD_OK;
}

static inline float map(range r, float x) { return (x - r.lo) / r.span * r.to_span + r.to_lo; }

/* In place, from the end: the floats of a block never reach the bytes that are still to be read. */
static void map_bytes(range r, uint8_t *bytes, float *out, int64_t n)
{
    enum { BLOCK = 64 };
    uint8_t block[BLOCK] = { 0 };
    int64_t whole = n / BLOCK * BLOCK;
    memcpy(block, bytes + whole, (size_t)(n - whole));
    for (int64_t k = 0; k < n - whole; k++)
        out[whole + k] = map(r, block[k]);
    for (int64_t begin = whole - BLOCK; begin >= 0; begin -= BLOCK) {
        memcpy(block, bytes + begin, BLOCK);
        for (int k = 0; k < BLOCK; k++)
            out[begin + k] = map(r, block[k]);
    }
}

static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    int i = grd_field_find(call->in, call->n, o->field);
    double from[2];
    known_range(o, &call->in[i], from);
    const range r = { (float)from[0], (float)(from[1] - from[0]), (float)o->to.v[0], (float)(o->to.v[1] - o->to.v[0]) };
    int64_t count = grd_count(&sample->shape[i]);
    float *x = sample->data[i];
    const int32_t *whole = sample->data[i];
    if (call->in[i].dtype == GRD_U8)
        map_bytes(r, sample->data[i], x, count);
    else if (call->in[i].dtype == GRD_I32)
        for (int64_t k = 0; k < count; k++)
            x[k] = map(r, (float)whole[k]);
    else
        for (int64_t k = 0; k < count; k++)
            x[k] = map(r, x[k]);
    return GRD_OK;
}

/* Bytes to normalized floats in one pass, by a table of what the two rows make of each byte. */
static grd_status scale_and_normalize(const grd_transform_call *call, const grd_transform *next, const grd_transform_call *next_call,
                                      grd_sample *sample, bool *done)
{
    const opts *o = call->options;
    const int i = grd_field_find(call->in, call->n, o->field);
    double from[2];
    if (next != &grd_transform_normalize || call->in[i].dtype != GRD_U8 || grd_normalize_field(next_call) != i)
        return GRD_OK;
    known_range(o, &call->in[i], from);
    const range r = { (float)from[0], (float)(from[1] - from[0]), (float)o->to.v[0], (float)(o->to.v[1] - o->to.v[0]) };
    const int64_t count = grd_count(&sample->shape[i]), planes = sample->shape[i].rank ? sample->shape[i].dim[0] : 1;
    const uint8_t *in = sample->data[i];
    const grd_shape shape = sample->shape[i];
    float *out = grd_sample_room(sample, i, &shape), table[256];
    if (!out)
        return GRD_ERR_MEMORY;
    for (int64_t c = 0; c < planes; c++) {
        for (int b = 0; b < 256; b++)
            table[b] = map(r, (float)b);
        grd_normalize_channel(next_call, c, table, 256);
        for (int64_t k = 0; k < count / planes; k++)
            *out++ = table[*in++];
    }
    *done = true;
    return GRD_OK;
}

static const char *const samples[] = { "", "from=[0,255] to=[-1,1]", NULL };

static const grd_option options_table[] = {
    GRD_TEXT(opts, field, "image", "which field"),
    GRD_REALS(opts, from, NULL, "[lo, hi] that becomes `to`; default: the field's own range, 0 to 255 for bytes"),
    GRD_REALS(opts, to, "0,1", "[lo, hi] of the result"),
    GRD_END,
};

const grd_transform grd_transform_scale = {
    .name = "scale",
    .doc = "A field's range to another one, as f32: (x - from.lo) / (from.hi - from.lo) * (to.hi - to.lo) + to.lo.",
    .options = options_table,
    .options_size = sizeof(opts),
    .fields = fields,
    .apply = apply,
    .apply_both = scale_and_normalize,
    .keeps_classes = true,
    .samples = samples,
};
