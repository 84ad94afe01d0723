/* normalize: (x - mean) / std, per channel (the first dimension) or with one value for all; given, or those of the training
 * set. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "data/learned.h"
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

/* Of the options, or what was learned. */
static double at(const grd_reals *list, int64_t channel) { return list->v[list->n == 1 ? 0 : channel]; }
static double mean_of(const opts *o, const grd_learned *l, int64_t c) { return l ? l->v[0][c] : at(&o->mean, c); }
static double std_of(const opts *o, const grd_learned *l, int64_t c) { return l ? l->v[1][c] : at(&o->std, c); }

static grd_status learn(const grd_transform_open *call, int index, grd_learned *l)
{
    GRD_TRY(grd_learned_moments(call, index, l));
    for (int64_t c = 0; c < l->n; c++)
        if (!(l->v[1][c] > 0))
            return grd_fail(l->host, GRD_ERR_DATA,
                            "channel %lld of \"%s\" is %g in all of the training set: there is nothing to divide by",
                            (long long)c, call->in[index].name, l->v[0][c]);
    return GRD_OK;
}

static grd_status open_normalize(const grd_transform_open *call, void **state)
{
    const opts *o = call->options;
    int i;
    GRD_TRY(grd_learned_field(&call->ctx->host, call->in, call->n, o->field, &i));
    if (o->mean.n || o->std.n)
        return o->mean.n && o->std.n ? GRD_OK
                                     : grd_fail(&call->ctx->host, GRD_ERR_ARG, "give both mean and std, or none of them");
    return grd_learned_make(call, i, "mean", "std", learn, state);
}

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    const opts *o = options;
    const grd_learned *l = state;
    grd_host *host = &ctx->host;
    int i;
    GRD_TRY(grd_learned_field(host, field, n, o->field, &i));
    grd_field *f = &field[i];
    if (!l) {
        GRD_TRY(check_list(host, "mean", &o->mean, f));
        GRD_TRY(check_list(host, "std", &o->std, f));
    }
    double lo = 0, hi = 0;
    for (int64_t c = 0; c < (l ? l->n : o->mean.n > o->std.n ? o->mean.n : o->std.n); c++) {
        double mean = mean_of(o, l, c), std = std_of(o, l, c);
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
    const float mean = (float)mean_of(o, call->state, channel), std = (float)std_of(o, call->state, channel);
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
    GRD_REALS(opts, mean, NULL, "one value, or one a channel; without mean and std: those of the training set, per channel"),
    GRD_REALS(opts, std, NULL, "standard deviations, likewise"),
    GRD_TEXT(opts, field, "image", "which field"),
    GRD_END,
};

static const char *const samples[] = { "mean=0.5 std=0.25", "mean=[0.1,0.2,0.3] std=[1,2,3]", "", NULL };

const grd_transform grd_transform_normalize = {
    .name = "normalize", .doc = "(x - mean) / std per channel, the first dimension of the field.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = apply,
    .keeps_classes = true, .samples = samples, .open = open_normalize, .close = grd_learned_free, .save = grd_learned_save,
};
