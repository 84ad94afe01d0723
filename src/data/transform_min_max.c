/* min_max: each column's range in the training set becomes [0, 1], or another one. */
#include "data/learned.h"
#include "data/rows.h"

#include <math.h>

typedef struct opts {
    grd_reals to;
    bool clip;
    const char *field;
} opts;

static grd_status see_range(void *user, int64_t channel, const float *x, int64_t n)
{
    grd_learned *l = user;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            continue;
        l->v[0][channel] = fmin(l->v[0][channel], x[i]);
        l->v[1][channel] = fmax(l->v[1][channel], x[i]);
    }
    return GRD_OK;
}

static grd_status learn(const grd_transform_open *call, int index, grd_learned *l)
{
    for (int64_t c = 0; c < l->n; c++) {
        l->v[0][c] = HUGE_VAL;
        l->v[1][c] = -HUGE_VAL;
    }
    GRD_TRY(grd_learned_pass(call, index, see_range, l));
    for (int64_t c = 0; c < l->n; c++) {
        if (l->v[0][c] > l->v[1][c])
            return grd_learned_nothing(call, index, c);
        if (!isfinite(l->v[0][c]) || !isfinite(l->v[1][c]))
            return grd_fail(l->host, GRD_ERR_DATA, "column %lld of \"%s\" (from 0) is not finite", (long long)c,
                            call->in[index].name);
    }
    return GRD_OK;
}

static grd_status open_min_max(const grd_transform_open *call, void **state)
{
    const opts *o = call->options;
    grd_host *host = &call->ctx->host;
    int i;
    GRD_TRY(grd_learned_field(host, call->in, call->n, o->field, &i));
    if (o->to.n != 2 || !(o->to.v[0] < o->to.v[1]))
        return grd_fail(host, GRD_ERR_ARG, "to: expected two numbers, [lo, hi]");
    return grd_learned_make(call, i, "min", "max", learn, state);
}

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    const opts *o = options;
    int i;
    (void)state;
    GRD_TRY(grd_learned_field(&ctx->host, field, n, o->field, &i));
    field[i].lo = o->clip ? o->to.v[0] : 0; /* samples of other sets may lie outside */
    field[i].hi = o->clip ? o->to.v[1] : 0;
    return GRD_OK;
}

/* A column that is constant in the training set becomes `to`'s lower end wherever it has that value. */
static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    const grd_learned *l = call->state;
    const int i = grd_field_find(call->in, call->n, o->field);
    const double lo = o->to.v[0], hi = o->to.v[1];
    float *x = sample->data[i];
    int64_t channels, size;
    grd_channels(&sample->shape[i], &channels, &size);
    for (int64_t c = 0; c < channels; c++) {
        const double min = l->v[0][c], span = l->v[1][c] > min ? l->v[1][c] - min : 1;
        for (int64_t k = 0; k < size; k++, x++) {
            double y = (*x - min) / span * (hi - lo) + lo;
            if (o->clip)
                y = y < lo ? lo : y > hi ? hi : y; /* NaN stays */
            *x = (float)y;
        }
    }
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_REALS(opts, to, "0,1", "[lo, hi] that the training set's range becomes"),
    GRD_FLAG(opts, clip, "what lies outside, in other sets, becomes lo or hi"),
    GRD_TEXT(opts, field, "features", "which field"),
    GRD_END,
};

static const char *const min_max_samples[] = { "field=soft", "to=[-1,1] clip=true field=soft", NULL };

const grd_transform grd_transform_min_max = {
    .name = "min_max", .doc = "(x - min) / (max - min) per column, min and max of the training set; NaN stays.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = apply, .keeps_classes = true,
    .open = open_min_max, .close = grd_learned_free, .save = grd_learned_save,
    .samples = min_max_samples,
};
