#include "data/classes.h"

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

typedef struct reading {
    const grd_dataset *data;
    const char *who, *name;
    int field, dim;
    int64_t classes;
    int32_t *class_of;
    int64_t *length;
} reading;

static grd_status keep_class(reading *r, int64_t i, double value)
{
    if (!(value >= 0 && value < (double)r->classes))
        return grd_fail(&r->data->ctx->host, GRD_ERR_DATA, "%s: sample %lld: %s %.0f, expected 0..%lld", r->who,
                        (long long)grd_dataset_index(r->data, i), r->name, value, (long long)r->classes - 1);
    r->class_of[i] = (int32_t)value;
    return GRD_OK;
}

static grd_status read_class(void *ctx, int64_t i, const grd_sample *sample)
{
    reading *r = ctx;
    return keep_class(r, i, *(const int32_t *)sample->data[r->field]);
}

/* The source's own word, without making samples; false where it has none or transforms may change it. */
static bool peek_classes(reading *r, grd_status *status)
{
    const grd_dataset *d = r->data;
    const grd_opened *source = d->source;
    double value;
    for (int k = 0; k < d->n_steps; k++)
        if (!d->step[k]->row->keeps_classes)
            return false;
    if (!source->row->peek || r->field >= source->n_fields)
        return false;
    *status = GRD_OK;
    for (int64_t i = 0; i < d->n && *status == GRD_OK; i++) {
        if (!source->row->peek(source->state, grd_dataset_index(d, i), r->field, &value))
            return false;
        *status = keep_class(r, i, value);
    }
    return true;
}

grd_status grd_classes_read(const grd_dataset *d, const char *who, const char *name, grd_classes *c)
{
    grd_host *host = &d->ctx->host;
    int f = grd_field_find(d->field, d->n_fields, name);
    if (f < 0 || d->field[f].classes < 1 || d->field[f].shape.rank != 0)
        return grd_fail(host, GRD_ERR_ARG, "%s: %s \"%s\"", who, f < 0 ? "no field" : "no single class index is field", name);
    if (c->of && c->field == f)
        return GRD_OK;
    grd_free(host, c->of);
    *c = (grd_classes){ .field = f, .n = d->field[f].classes, .of = GRD_NEW_N(host, int32_t, d->n) };
    if (!c->of)
        return GRD_ERR_MEMORY;
    reading r = { .data = d, .who = who, .name = name, .field = f, .classes = c->n, .class_of = c->of };
    grd_status status;
    return peek_classes(&r, &status) ? status : for_each(d, who, &r, read_class);
}

static grd_status read_length(void *ctx, int64_t i, const grd_sample *sample)
{
    reading *r = ctx;
    r->length[i] = sample->shape[r->field].dim[r->dim];
    return GRD_OK;
}

grd_status grd_lengths_read(const grd_dataset *d, const char *who, int f, int64_t *out)
{
    reading r = { .data = d, .who = who, .field = f, .length = out };
    while (d->field[f].shape.dim[r.dim] >= 0)
        r.dim++;
    return for_each(d, who, &r, read_length);
}
