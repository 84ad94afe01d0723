/* standardize: each column gets mean 0 and standard deviation 1 in the training set. */
#include "data/learned.h"
#include "data/rows.h"

typedef struct opts {
    const char *field;
} opts;

static grd_status open_standardize(const grd_transform_open *call, void **state)
{
    const opts *o = call->options;
    int i;
    GRD_TRY(grd_learned_field(&call->ctx->host, call->in, call->n, o->field, &i));
    return grd_learned_make(call, i, "mean", "std", grd_learned_moments, state);
}

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    int i;
    (void)state;
    GRD_TRY(grd_learned_field(&ctx->host, field, n, ((const opts *)options)->field, &i));
    field[i].lo = field[i].hi = 0;
    return GRD_OK;
}

/* A column that is constant in the training set is only shifted. */
static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const grd_learned *l = call->state;
    const int i = grd_field_find(call->in, call->n, ((const opts *)call->options)->field);
    float *x = sample->data[i];
    int64_t channels, size;
    grd_channels(&sample->shape[i], &channels, &size);
    for (int64_t c = 0; c < channels; c++) {
        const double mean = l->v[0][c], std = l->v[1][c] > 0 ? l->v[1][c] : 1;
        for (int64_t k = 0; k < size; k++, x++)
            *x = (float)((*x - mean) / std);
    }
    return GRD_OK;
}

static const grd_option options_table[] = { GRD_TEXT(opts, field, "features", "which field"), GRD_END };

static const char *const standardize_samples[] = { "field=soft", NULL };

const grd_transform grd_transform_standardize = {
    .name = "standardize", .doc = "(x - mean) / std per column, both of the training set (std over n, not n - 1); NaN stays.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = apply, .keeps_classes = true,
    .open = open_standardize, .close = grd_learned_free, .save = grd_learned_save,
    .samples = standardize_samples,
};
