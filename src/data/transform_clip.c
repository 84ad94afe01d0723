/* clip and log: numbers changed one by one. */
#include "data/learned.h"
#include "data/rows.h"
#include "tensor/tensor.h"

#include <math.h>

/* ---- clip ---- */

typedef struct clip_opts {
    grd_reals range;
    const char *field;
} clip_opts;

static grd_status clip_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    const clip_opts *o = options;
    int i;
    (void)state;
    GRD_TRY(grd_learned_field(&ctx->host, field, n, o->field, &i));
    if (o->range.n != 2 || !(o->range.v[0] < o->range.v[1]))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "range: expected two numbers, [lo, hi]");
    field[i].lo = o->range.v[0];
    field[i].hi = o->range.v[1];
    return GRD_OK;
}

static grd_status clip_apply(const grd_transform_call *call, grd_sample *sample)
{
    const clip_opts *o = call->options;
    const int i = grd_field_find(call->in, call->n, o->field);
    const float lo = (float)o->range.v[0], hi = (float)o->range.v[1];
    float *x = sample->data[i];
    for (int64_t k = 0, n = grd_count(&sample->shape[i]); k < n; k++)
        x[k] = x[k] < lo ? lo : x[k] > hi ? hi : x[k]; /* NaN stays */
    return GRD_OK;
}

static const grd_option clip_options[] = {
    { "range", GRD_OPTION_REALS, offsetof(clip_opts, range), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, "[lo, hi]" },
    GRD_TEXT(clip_opts, field, "features", "which field"),
    GRD_END,
};

static const char *const clip_samples[] = { "range=[0.25,0.75] field=soft", NULL };

const grd_transform grd_transform_clip = {
    .name = "clip", .doc = "Numbers below lo become lo, above hi hi; NaN stays.", .options = clip_options,
    .options_size = sizeof(clip_opts), .fields = clip_fields, .apply = clip_apply, .keeps_classes = true,
    .samples = clip_samples,
};

/* ---- log ---- */

typedef struct log_opts {
    double add;
    const char *field;
} log_opts;

static grd_status log_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    const log_opts *o = options;
    int i;
    (void)state;
    GRD_TRY(grd_learned_field(&ctx->host, field, n, o->field, &i));
    const bool known = field[i].lo < field[i].hi && field[i].lo + o->add > 0;
    field[i].lo = known ? log(field[i].lo + o->add) : 0;
    field[i].hi = known ? log(field[i].hi + o->add) : 0;
    return GRD_OK;
}

static grd_status log_apply(const grd_transform_call *call, grd_sample *sample)
{
    const log_opts *o = call->options;
    const int i = grd_field_find(call->in, call->n, o->field);
    float *x = sample->data[i];
    for (int64_t k = 0, n = grd_count(&sample->shape[i]); k < n; k++) {
        const double y = x[k] + o->add;
        if (y <= 0)
            return grd_sample_fail(sample, GRD_ERR_DATA, "field \"%s\": element %lld is %g, expected more than %g",
                                   call->in[i].name, (long long)k, x[k], -o->add);
        x[k] = (float)log(y); /* of NaN: NaN */
    }
    return GRD_OK;
}

static const grd_option log_options[] = {
    GRD_REAL(log_opts, add, 1, 0, 0, "added before"),
    GRD_TEXT(log_opts, field, "features", "which field"),
    GRD_END,
};

static const char *const log_samples[] = { "field=soft", "add=0.5 field=soft", NULL };

const grd_transform grd_transform_log = {
    .name = "log", .doc = "ln(x + add): for quantities over many magnitudes; NaN stays.", .options = log_options,
    .options_size = sizeof(log_opts), .fields = log_fields, .apply = log_apply, .keeps_classes = true,
    .samples = log_samples,
};
