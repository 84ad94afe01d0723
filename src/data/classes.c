#include "data/classes.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

/* Calls `use` with every sample, until it or reading fails. */
static grd_status for_each(const grd_dataset *d, const char *who, void *ctx,
                           grd_status (*use)(void *ctx, int64_t i, const grd_sample *sample))
{
    grd_sample *sample;
    grd_status status = grd_sample_new(d, d->ctx, &sample);
    for (int64_t i = 0; i < d->n && status == GRD_OK; i++) {
        status = grd_dataset_get(d, i, NULL, sample);
        if (status != GRD_OK)
            grd_fail(&d->ctx->host, status, "%s: %s", who, sample->error);
        else
            status = use(ctx, i, sample);
    }
    grd_sample_free(sample, d->ctx);
    return status;
}

/* Why the field called `name` will not do, which was found at f; `what` it should be. */
static grd_status no_such(const grd_dataset *d, const char *who, const char *name, int f, const char *what)
{
    char hint[96], all[96] = "";
    grd_nearest nearest = { name, NULL, 0 };
    for (int i = 0; i < d->n_fields; i++) {
        const size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s\"%s\"", i ? ", " : "; there are ", d->field[i].name);
        grd_nearest_try(&nearest, d->field[i].name);
    }
    return f < 0 ? grd_fail(&d->ctx->host, GRD_ERR_ARG, "%s: no field \"%s\"%s", who, name,
                            nearest.best ? grd_nearest_text(&nearest, hint, sizeof hint) : all)
                 : grd_fail(&d->ctx->host, GRD_ERR_ARG, "%s: no single %s is field \"%s\"", who, what, name);
}

typedef struct reading {
    int field, dim;
    int64_t *out;
} reading;

static grd_status read_number(void *ctx, int64_t i, const grd_sample *sample)
{
    reading *r = ctx;
    const void *at = sample->data[r->field];
    r->out[i] = sample->field[r->field].dtype == GRD_U8 ? *(const uint8_t *)at : *(const int32_t *)at;
    return GRD_OK;
}

/* The source's own word, without making samples; false where it has none or transforms may change it. */
static bool peek_numbers(const grd_dataset *d, int field, int64_t *out)
{
    const grd_opened *source = d->source;
    double value;
    for (int k = 0; k < d->n_steps; k++)
        if (!d->step[k]->row->keeps_classes)
            return false;
    if (!source->row->peek || field >= source->n_fields)
        return false;
    for (int64_t i = 0; i < d->n; i++) {
        if (!source->row->peek(source->state, grd_dataset_index(d, i), field, &value))
            return false;
        out[i] = (int64_t)value;
        int32_t other;
        if (d->labels && d->labels->field == field && grd_labels_find(d->labels, grd_dataset_index(d, i), &other))
            out[i] = other;
    }
    return true;
}

grd_status grd_numbers_read(const grd_dataset *d, const char *who, const char *name, int64_t *out)
{
    int f = grd_field_find(d->field, d->n_fields, name);
    if (f < 0 || d->field[f].shape.rank != 0 || d->field[f].dtype == GRD_F32)
        return no_such(d, who, name, f, "whole number");
    reading r = { .field = f, .out = out };
    return peek_numbers(d, f, out) ? GRD_OK : for_each(d, who, &r, read_number);
}

grd_status grd_classes_read(const grd_dataset *d, const char *who, const char *name, grd_classes *c)
{
    grd_host *host = &d->ctx->host;
    int f = grd_field_find(d->field, d->n_fields, name);
    if (f < 0 || d->field[f].classes < 1 || d->field[f].shape.rank != 0)
        return no_such(d, who, name, f, "class index");
    if (c->of && c->field == f)
        return GRD_OK;
    grd_free(host, c->of);
    *c = (grd_classes){ .field = f, .n = d->field[f].classes, .of = GRD_NEW_N(host, int32_t, d->n) };
    int64_t *number = c->of ? GRD_NEW_N(host, int64_t, d->n) : NULL;
    grd_status status = number ? grd_numbers_read(d, who, name, number) : GRD_ERR_MEMORY;
    for (int64_t i = 0; i < d->n && status == GRD_OK; i++) {
        c->of[i] = (int32_t)number[i];
        if (number[i] < 0 || number[i] >= c->n)
            status = grd_fail(host, GRD_ERR_DATA, "%s: sample %lld: %s %lld, expected 0..%lld", who,
                              (long long)grd_dataset_index(d, i), name, (long long)number[i], (long long)c->n - 1);
    }
    grd_free(host, number);
    return status;
}

static grd_status read_length(void *ctx, int64_t i, const grd_sample *sample)
{
    reading *r = ctx;
    r->out[i] = sample->shape[r->field].dim[r->dim];
    return GRD_OK;
}

grd_status grd_lengths_read(const grd_dataset *d, const char *who, int f, int64_t *out)
{
    reading r = { .field = f, .out = out };
    while (d->field[f].shape.dim[r.dim] >= 0)
        r.dim++;
    return for_each(d, who, &r, read_length);
}
