/* impute: a number for what is missing (NaN), per column: the mean or median of the training set, or a given one. */
#include "data/learned.h"
#include "data/rows.h"

#include <math.h>
#include <stdlib.h>

enum { MEAN, MEDIAN, CONSTANT };

typedef struct opts {
    int with;
    double value;
    const char *field;
} opts;

typedef struct column_values { /* of all samples, column by column; NaN left out */
    float *x;
    int64_t *n, room;
} column_values;

static grd_status see_value(void *user, int64_t channel, const float *x, int64_t n)
{
    column_values *v = user;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            v->x[channel * v->room + v->n[channel]++] = x[i];
    return GRD_OK;
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static grd_status learn_medians(const grd_transform_open *call, int index, grd_learned *l)
{
    int64_t channels, size;
    size_t count;
    grd_channels(&call->in[index].shape, &channels, &size);
    GRD_TRY(grd_dataset_by_number(call->fit, "median"));
    column_values v = { .room = grd_dataset_length(call->fit) * size };
    if (size < 0 || !grd_size_mul((size_t)v.room, (size_t)channels * sizeof(float), &count))
        return grd_fail(l->host, GRD_ERR_ARG, "median: field \"%s\" varies or is too large", call->in[index].name);
    v.x = grd_alloc_raw(l->host, count);
    v.n = GRD_NEW_N(l->host, int64_t, channels);
    grd_status status = v.x && v.n ? grd_learned_pass(call, index, see_value, &v) : GRD_ERR_MEMORY;
    for (int64_t c = 0; c < channels && status == GRD_OK; c++) {
        float *x = v.x + c * v.room;
        const int64_t n = v.n[c];
        if (n == 0) {
            status = grd_learned_nothing(call, index, c);
            break;
        }
        qsort(x, (size_t)n, sizeof *x, ascending);
        l->v[0][c] = n % 2 ? x[n / 2] : ((double)x[n / 2 - 1] + x[n / 2]) / 2;
    }
    grd_free(l->host, v.x);
    grd_free(l->host, v.n);
    return status;
}

static grd_status learn_means(const grd_transform_open *call, int index, grd_learned *l)
{
    grd_learned *both;
    GRD_TRY(grd_learned_new(call, index, "mean", "std", &both));
    grd_status status = grd_learned_moments(call, index, both);
    for (int64_t c = 0; c < l->n; c++)
        l->v[0][c] = both->v[0][c];
    grd_learned_free(both);
    return status;
}

static grd_status open_impute(const grd_transform_open *call, void **state)
{
    const opts *o = call->options;
    int i;
    GRD_TRY(grd_learned_field(&call->ctx->host, call->in, call->n, o->field, &i));
    if (o->with == CONSTANT)
        return GRD_OK;
    return grd_learned_make(call, i, "value", NULL, o->with == MEAN ? learn_means : learn_medians, state);
}

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    int i;
    return grd_learned_field(&ctx->host, field, n, ((const opts *)options)->field, &i);
}

static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    const grd_learned *l = call->state;
    const int i = grd_field_find(call->in, call->n, o->field);
    float *x = sample->data[i];
    int64_t channels, size;
    grd_channels(&sample->shape[i], &channels, &size);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t k = 0; k < size; k++, x++)
            if (isnan(*x))
                *x = (float)(l ? l->v[0][c] : o->value);
    return GRD_OK;
}

static const grd_option options_table[] = {
    GRD_ENUM(opts, with, MEAN, "mean|median|constant", "of the column in the training set, or `value`"),
    GRD_REAL(opts, value, 0, 0, 0, "with constant: this number"),
    GRD_TEXT(opts, field, "features", "which field"),
    GRD_END,
};

static const char *const impute_samples[] = { "field=soft", "with=median field=soft", "with=constant value=2 field=soft", NULL };

const grd_transform grd_transform_impute = {
    .name = "impute",
    .doc = "Numbers for missing ones (NaN), per column, learned from the training set.",
    .options = options_table,
    .options_size = sizeof(opts),
    .fields = fields,
    .apply = apply,
    .keeps_classes = true,
    .open = open_impute,
    .close = grd_learned_free,
    .save = grd_learned_save,
    .samples = impute_samples,
};
