/* Transforms: adding one to a data set's chain, and what it learned. */
#include "data/dataset.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

static grd_status describe(grd_step *step, int n, grd_ctx *ctx)
{
    grd_host *host = &ctx->host;
    const grd_transform *row = step->row;
    grd_clear(host);
    grd_status status = row->fields(step->options, step->state, step->field, n, ctx);
    if (status != GRD_OK)
        return grd_row_failed(host, row->name, status);
    return grd_fields_check(host, row->name, step->field, n);
}

/* The row's once-only work. It sees the fields before it. */
static grd_status open_state(grd_step *step, int n, const grd_dataset *fit, const char *saved, grd_ctx *ctx)
{
    const grd_transform *row = step->row;
    if (!row->open)
        return GRD_OK;
    const grd_transform_open call = { .options = step->options, .in = step->field, .n = n, .fit = saved ? NULL : fit,
                                      .saved = saved, .ctx = ctx };
    grd_clear(&ctx->host);
    grd_status status = row->open(&call, &step->state);
    return status == GRD_OK ? GRD_OK : grd_row_failed(&ctx->host, row->name, status);
}

static grd_status no_row(grd_ctx *ctx, const char *name)
{
    char hint[80];
    const grd_transform *row;
    grd_nearest nearest = { name, NULL, 0 };
    for (int i = 0; (row = grd_transform_at(ctx, i)); i++)
        grd_nearest_try(&nearest, row->name);
    return grd_fail(&ctx->host, GRD_ERR_CONFIG, "data: no transform \"%s\"%s", name, grd_nearest_text(&nearest, hint, sizeof hint));
}

grd_status grd_step_new(grd_ctx *ctx, const grd_field *in, int n, const grd_dataset *fit, const char *spec, const char *saved,
                        grd_step **out)
{
    grd_host *host = &ctx->host;
    char name[64];
    *out = NULL;
    spec = grd_spec_name(spec, name, sizeof name);
    const grd_transform *row = grd_transform_find(ctx, name);
    if (!row)
        return no_row(ctx, name);
    grd_step *step = GRD_NEW(host, grd_step);
    if (!step)
        return GRD_ERR_MEMORY;
    step->refs = 1;
    step->row = row;
    grd_arena_init(&step->texts, host);
    memcpy(step->field, in, sizeof *in * (size_t)n);
    step->options = grd_alloc(host, row->options_size);
    grd_status status = step->options ? grd_options_parse(host, &step->texts, row->options, step->options, row->name, spec)
                                      : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_options_resolve(host, row->options, row->options_size, row->name, step->options, step->options);
    if (status == GRD_OK)
        status = open_state(step, n, fit, saved, ctx);
    if (status == GRD_OK)
        status = describe(step, n, ctx);
    if (status == GRD_OK)
        *out = step;
    else
        grd_step_release(host, step);
    return status;
}

static const grd_field *fields_of(const grd_dataset *d) { return d->n_steps ? d->step[d->n_steps - 1]->field : d->source->field; }

grd_status grd_dataset_transform_saved(const grd_dataset *base, const char *spec, const char *saved, grd_dataset **out)
{
    grd_step *step;
    *out = NULL;
    GRD_TRY(grd_step_new(base->ctx, fields_of(base), base->source->n_fields, base, spec, saved, &step));
    grd_status status = grd_dataset_extend(base, step, out);
    grd_step_release(&base->ctx->host, step);
    return status;
}

grd_status grd_dataset_transform(const grd_dataset *base, const char *spec, grd_dataset **out)
{
    return grd_dataset_transform_saved(base, spec, NULL, out);
}

/* Whether both mean the same but for their range, which is only a promise. */
static bool same_fields(const grd_field *a, const grd_field *b, int n)
{
    for (int f = 0; f < n; f++)
        if (strcmp(a[f].name, b[f].name) != 0 || a[f].dtype != b[f].dtype || a[f].shape.rank != b[f].shape.rank)
            return false;
    return true;
}

grd_status grd_dataset_transform_as(const grd_dataset *base, const grd_dataset *from, grd_dataset **out)
{
    grd_ctx *ctx = base->ctx;
    grd_host *host = &ctx->host;
    *out = NULL;
    if (from->n_steps == 0)
        return grd_fail(host, GRD_ERR_ARG, "transform: the set to follow has no transforms");
    const grd_step *model = from->step[from->n_steps - 1];
    const grd_field *before = from->n_steps > 1 ? from->step[from->n_steps - 2]->field : from->source->field;
    if (base->source->n_fields != from->source->n_fields || !same_fields(base->field, before, base->source->n_fields))
        return grd_fail(host, GRD_ERR_ARG, "%s: its fields are not those of the set that it was made for", model->row->name);
    grd_step *step = GRD_NEW(host, grd_step);
    if (!step)
        return GRD_ERR_MEMORY;
    step->refs = 1;
    step->row = model->row;
    step->origin = from->step[from->n_steps - 1];
    step->origin->refs++;
    step->options = model->options;
    step->state = model->state;
    memcpy(step->field, fields_of(base), sizeof step->field);
    grd_status status = describe(step, base->source->n_fields, ctx);
    if (status == GRD_OK)
        status = grd_dataset_extend(base, step, out);
    grd_step_release(host, step);
    return status;
}

int grd_dataset_learned(const grd_dataset *d, char *text, size_t size)
{
    const grd_step *step = d->n_steps ? d->step[d->n_steps - 1] : NULL;
    if (size)
        text[0] = 0;
    return step && step->row->save && step->state ? step->row->save(step->state, text, size) : 0;
}
