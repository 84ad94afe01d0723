/* normalize: (x - mean) / std, per channel (the first dimension) or with one value for all. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "data/rows.h"
#include "data/transform_normalize.h"
#include "tensor/tensor.h"

typedef struct opts {
    grd_reals mean, std;
    const char *field;
} opts;

static int64_t channels(const grd_field *f) { return f->shape.rank ? f->shape.dim[0] : 1; }

static grd_status check_list(grd_host *host, const char *name, const grd_reals *list, const grd_field *f)
{
    char shape[96];
    if (list->n == 1 || list->n == channels(f))
        return GRD_OK;
    return grd_fail(host, GRD_ERR_ARG, "%s: %d values, expected one or %lld (channels of \"%s\" %s)", name, list->n,
                    (long long)channels(f), f->name, grd_shape_text(&f->shape, shape, sizeof shape));
}

static double at(const grd_reals *list, int64_t channel) { return list->v[list->n == 1 ? 0 : channel]; }

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    grd_host *host = &ctx->host;
    int i = grd_field_find(field, n, o->field);
    if (i < 0)
        return grd_fail(host, GRD_ERR_ARG, "no field \"%s\"", o->field);
    grd_field *f = &field[i];
    if (f->dtype != GRD_F32)
        return grd_fail(host, GRD_ERR_ARG, "field \"%s\" is %s, expected f32: put `scale` before it", o->field,
                        grd_dtype_name(f->dtype));
    GRD_TRY(check_list(host, "mean", &o->mean, f));
    GRD_TRY(check_list(host, "std", &o->std, f));
    double lo = 0, hi = 0;
    for (int64_t c = 0; c < (o->mean.n > o->std.n ? o->mean.n : o->std.n); c++) {
        double mean = at(&o->mean, c), std = at(&o->std, c);
        if (!(std > 0))
            return grd_fail(host, GRD_ERR_ARG, "std: %g, expected more than 0", std);
        double a = (f->lo - mean) / std, b = (f->hi - mean) / std;
        lo = c && lo < a ? lo : a;
        hi = c && hi > b ? hi : b;
    }
    if (f->lo < f->hi) {
        f->lo = lo;
        f->hi = hi;
    }
    return GRD_OK;
}

int grd_normalize_field(const grd_transform_call *call)
{
    const opts *o = call->options;
    return grd_field_find(call->in, call->n, o->field);
}

void grd_normalize_channel(const grd_transform_call *call, int64_t channel, float *x, int64_t n)
{
    const opts *o = call->options;
    const float mean = (float)at(&o->mean, channel), std = (float)at(&o->std, channel);
    for (int64_t k = 0; k < n; k++)
        x[k] = (x[k] - mean) / std;
}

static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const int i = grd_normalize_field(call);
    float *x = sample->data[i];
    int64_t planes = sample->shape[i].rank ? sample->shape[i].dim[0] : 1, size = grd_count(&sample->shape[i]) / planes;
    for (int64_t c = 0; c < planes; c++, x += size)
        grd_normalize_channel(call, c, x, size);
    return GRD_OK;
}

static const grd_option options_table[] = {
    { "mean", GRD_OPTION_REALS, offsetof(opts, mean), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "one value, or one a channel" },
    { "std", GRD_OPTION_REALS, offsetof(opts, std), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "standard deviations, likewise" },
    GRD_TEXT(opts, field, "image", "which field"),
    GRD_END,
};

static const char *const samples[] = { "mean=0.5 std=0.25", "mean=[0.1,0.2,0.3] std=[1,2,3]", NULL };

const grd_transform grd_transform_normalize = {
    .name = "normalize", .doc = "(x - mean) / std per channel, the first dimension of the field.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = apply,
    .keeps_classes = true, .samples = samples,
};
