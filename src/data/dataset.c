/* Data sets: opening a source, selecting from it, adding transforms, reading one sample. Knows no file format. */
#include "data/dataset.h"

#include "base/options.h"
#include "data/rows.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

/* ---- fields ---- */

int grd_field_find(const grd_field *field, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(field[i].name, name) == 0)
            return i;
    return -1;
}

static grd_status check_field(grd_host *host, const char *who, const grd_field *f)
{
    char shape[96];
    if (f->dtype != GRD_F32 && f->dtype != GRD_I32 && f->dtype != GRD_U8)
        return grd_fail(host, GRD_ERR_ARG, "%s: field \"%s\" has dtype %d, expected f32, i32 or u8", who, f->name, (int)f->dtype);
    if (f->shape.rank < 0 || f->shape.rank >= GRD_MAX_RANK)
        return grd_fail(host, GRD_ERR_SHAPE, "%s: field \"%s\" has rank %d, expected 0 to %d", who, f->name, f->shape.rank,
                        GRD_MAX_RANK - 1);
    size_t bytes = grd_dtype_size(f->dtype);
    grd_shape_text(&f->shape, shape, sizeof shape);
    for (int k = 0; k < f->shape.rank; k++) {
        int64_t d = f->shape.dim[k];
        if (d < 0)
            return grd_fail(host, GRD_ERR_UNSUPPORTED, "%s: field \"%s\" %s varies from sample to sample; batches need one shape",
                            who, f->name, shape);
        if (d == 0 || (uint64_t)d > SIZE_MAX / 2 || !grd_size_mul(bytes, (size_t)d, &bytes) || bytes > SIZE_MAX / 4)
            return grd_fail(host, GRD_ERR_SHAPE, "%s: field \"%s\" has the impossible shape %s", who, f->name, shape);
    }
    if (f->classes < 0 || f->classes > INT32_MAX || (f->classes > 0 && f->dtype != GRD_I32))
        return grd_fail(host, GRD_ERR_ARG, "%s: field \"%s\" has %lld classes, dtype %s and shape %s; class indices are i32",
                        who, f->name, (long long)f->classes, grd_dtype_name(f->dtype), shape);
    return GRD_OK;
}

grd_status grd_fields_check(grd_host *host, const char *who, const grd_field *field, int n)
{
    if (n < 1 || n > GRD_MAX_FIELDS)
        return grd_fail(host, GRD_ERR_ARG, "%s: %d fields, expected 1 to %d", who, n, GRD_MAX_FIELDS);
    for (int i = 0; i < n; i++) {
        if (!field[i].name[0] || !memchr(field[i].name, 0, GRD_FIELD_NAME))
            return grd_fail(host, GRD_ERR_ARG, "%s: field %d has no name, or one of more than %d letters", who, i,
                            GRD_FIELD_NAME - 1);
        if (grd_field_find(field, i, field[i].name) >= 0)
            return grd_fail(host, GRD_ERR_ARG, "%s: two fields are named \"%s\"", who, field[i].name);
        GRD_TRY(check_field(host, who, &field[i]));
    }
    return GRD_OK;
}

/* ---- what data sets share ---- */

static void release_source(grd_host *host, grd_opened *source)
{
    if (!source || --source->refs > 0)
        return;
    if (source->row->close)
        source->row->close(source->state);
    grd_free(host, source);
}

static void release_step(grd_host *host, grd_step *step)
{
    if (!step || --step->refs > 0)
        return;
    grd_arena_free(&step->texts);
    grd_free(host, step->options);
    grd_free(host, step);
}

/* The row's own message with its name in front, or one for a row that left none. */
static grd_status row_failed(grd_host *host, const char *name, grd_status status)
{
    if (host->err.text[0])
        grd_fail_in(host, "%s: ", name);
    else
        grd_fail(host, status, "%s: failed without a message (%s)", name, grd_status_name(status));
    return status;
}

static grd_status describe_source(grd_host *host, grd_opened *source)
{
    const char *name = source->row->name;
    source->length = source->row->length(source->state);
    if (source->length < 0 || source->length > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(host, GRD_ERR_ARG, "%s: length %lld, expected 0 to %lld", name, (long long)source->length,
                        (long long)GRD_MAX_SAMPLES);
    source->n_fields = source->row->fields(source->state, source->field, GRD_MAX_FIELDS);
    return grd_fields_check(host, name, source->field, source->n_fields);
}

static grd_status open_source(grd_ctx *ctx, const grd_source *row, const void *options, grd_opened **out)
{
    grd_host *host = &ctx->host;
    grd_opened *source = GRD_NEW(host, grd_opened);
    void *resolved = grd_alloc(host, row->options_size);
    grd_status status = source && resolved ? GRD_OK : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_options_resolve(host, row->options, row->options_size, row->name, options, resolved);
    if (status == GRD_OK) {
        grd_clear(host);
        status = row->open(&source->state, resolved, ctx);
        if (status != GRD_OK)
            row_failed(host, row->name, status);
    }
    grd_free(host, resolved);
    if (status != GRD_OK) {
        grd_free(host, source);
        return status;
    }
    source->row = row;
    source->refs = 1;
    status = describe_source(host, source);
    if (status == GRD_OK)
        *out = source;
    else
        release_source(host, source);
    return status;
}

/* ---- data sets ---- */

static void describe_set(grd_dataset *d)
{
    int n = d->source->n_fields;
    d->field = d->n_steps ? d->step[d->n_steps - 1]->field : d->source->field;
    for (int f = 0; f < n; f++) {
        d->room[f] = d->align[f] = 0;
        for (int k = -1; k < d->n_steps; k++) {
            const grd_field *field = k < 0 ? &d->source->field[f] : &d->step[k]->field[f];
            size_t wide = grd_dtype_size(field->dtype), bytes = wide * (size_t)grd_count(&field->shape);
            d->bytes[f] = bytes;
            d->room[f] = bytes > d->room[f] ? bytes : d->room[f];
            d->align[f] = wide > d->align[f] ? wide : d->align[f];
        }
    }
}

static void free_dataset(void *self) { grd_dataset_free(self); }

void grd_dataset_free(grd_dataset *d)
{
    if (!d)
        return;
    grd_host *host = &d->ctx->host;
    grd_disown(&d->child);
    for (int k = 0; k < d->n_steps; k++)
        release_step(host, d->step[k]);
    grd_free(host, d->step);
    release_source(host, d->source);
    grd_free(host, d->index);
    grd_free(host, d);
}

/* Takes over the caller's reference to `source` and the list `index`, also on failure. */
static grd_status new_set(grd_ctx *ctx, grd_opened *source, int64_t *index, int64_t n, int n_steps, bool adopt, grd_dataset **out)
{
    grd_host *host = &ctx->host;
    grd_dataset *d = GRD_NEW(host, grd_dataset);
    grd_step **step = n_steps ? GRD_NEW_N(host, grd_step *, n_steps) : NULL;
    if (!d || (n_steps && !step)) {
        release_source(host, source);
        grd_free(host, index);
        grd_free(host, step);
        grd_free(host, d);
        return GRD_ERR_MEMORY;
    }
    d->ctx = ctx;
    d->source = source;
    d->index = index;
    d->n = n;
    d->step = step;
    if (adopt)
        grd_adopt(&ctx->root, &d->child, free_dataset);
    *out = d;
    return GRD_OK;
}

/* base's source, index list (copied unless `index` is given) and transforms, with room for `more` transforms. */
static grd_status derive(const grd_dataset *base, int64_t *index, int64_t n, int more, bool adopt, grd_dataset **out)
{
    if (!index && base->index) {
        index = GRD_NEW_N(&base->ctx->host, int64_t, n);
        if (!index)
            return GRD_ERR_MEMORY;
        memcpy(index, base->index, (size_t)n * sizeof *index);
    }
    base->source->refs++;
    GRD_TRY(new_set(base->ctx, base->source, index, n, base->n_steps + more, adopt, out));
    for (int k = 0; k < base->n_steps; k++) {
        (*out)->step[k] = base->step[k];
        base->step[k]->refs++;
    }
    (*out)->n_steps = base->n_steps;
    describe_set(*out);
    return GRD_OK;
}

grd_status grd_dataset_view(const grd_dataset *base, int64_t *index, int64_t n, bool adopt, grd_dataset **out)
{
    return derive(base, index, n, 0, adopt, out);
}

grd_status grd_dataset_open_source(grd_ctx *ctx, const grd_source *row, const void *options, grd_dataset **dataset)
{
    grd_opened *source;
    *dataset = NULL;
    GRD_TRY(open_source(ctx, row, options, &source));
    GRD_TRY(new_set(ctx, source, NULL, source->length, 0, true, dataset));
    describe_set(*dataset);
    return GRD_OK;
}

static grd_status no_such(grd_host *host, const char *kind, grd_nearest *nearest)
{
    char hint[80];
    return grd_fail(host, GRD_ERR_CONFIG, "data: no %s \"%s\"%s", kind, nearest->word,
                    grd_nearest_text(nearest, hint, sizeof hint));
}

grd_status grd_dataset_open(grd_ctx *ctx, const char *name, const char *spec, grd_dataset **dataset)
{
    grd_host *host = &ctx->host;
    *dataset = NULL;
    const grd_source *row = grd_source_find(ctx, name);
    if (!row) {
        grd_nearest nearest = { name, NULL, 0 };
        for (int i = 0; (row = grd_source_at(ctx, i)); i++)
            grd_nearest_try(&nearest, row->name);
        return no_such(host, "source", &nearest);
    }
    grd_arena texts;
    grd_arena_init(&texts, host);
    void *options = grd_alloc(host, row->options_size);
    grd_status status = options ? grd_options_parse(host, &texts, row->options, options, row->name, spec) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_dataset_open_source(ctx, row, options, dataset);
    grd_free(host, options);
    grd_arena_free(&texts);
    return status;
}

int64_t grd_dataset_length(const grd_dataset *d) { return d->n; }

int grd_dataset_fields(const grd_dataset *d, const grd_field **field)
{
    if (field)
        *field = d->field;
    return d->source->n_fields;
}

int64_t grd_dataset_index(const grd_dataset *d, int64_t i)
{
    if (i < 0 || i >= d->n)
        return -1;
    return d->index ? d->index[i] : i;
}

const char *grd_dataset_class(const grd_dataset *d, int64_t label)
{
    const grd_source *row = d->source->row;
    return row->class_name ? row->class_name(d->source->state, label) : NULL;
}

grd_status grd_dataset_select(const grd_dataset *base, const int64_t *pick, int64_t n, grd_dataset **out)
{
    grd_host *host = &base->ctx->host;
    *out = NULL;
    if (n < 0 || n > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(host, GRD_ERR_ARG, "select: %lld samples, expected 0 to %lld", (long long)n, (long long)GRD_MAX_SAMPLES);
    for (int64_t i = 0; i < n; i++)
        if (pick[i] < 0 || pick[i] >= base->n)
            return grd_fail(host, GRD_ERR_ARG, "select: entry %lld: sample %lld, the data set has %lld", (long long)i,
                            (long long)pick[i], (long long)base->n);
    int64_t *index = GRD_NEW_N(host, int64_t, n);
    if (!index)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        index[i] = grd_dataset_index(base, pick[i]);
    return grd_dataset_view(base, index, n, true, out);
}

/* ---- transforms ---- */

static grd_status new_step(grd_ctx *ctx, const grd_dataset *base, const grd_transform *row, const char *spec, grd_step **out)
{
    grd_host *host = &ctx->host;
    grd_step *step = GRD_NEW(host, grd_step);
    if (!step)
        return GRD_ERR_MEMORY;
    step->refs = 1;
    step->row = row;
    grd_arena_init(&step->texts, host);
    memcpy(step->field, base->field, sizeof step->field);
    step->options = grd_alloc(host, row->options_size);
    grd_status status = step->options ? grd_options_parse(host, &step->texts, row->options, step->options, row->name, spec)
                                      : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_options_resolve(host, row->options, row->options_size, row->name, step->options, step->options);
    if (status == GRD_OK) {
        grd_clear(host);
        status = row->fields(step->options, step->field, base->source->n_fields, ctx);
        if (status != GRD_OK)
            row_failed(host, row->name, status);
    }
    if (status == GRD_OK)
        status = grd_fields_check(host, row->name, step->field, base->source->n_fields);
    if (status == GRD_OK)
        *out = step;
    else
        release_step(host, step);
    return status;
}

grd_status grd_dataset_transform(const grd_dataset *base, const char *spec, grd_dataset **out)
{
    grd_ctx *ctx = base->ctx;
    char name[64];
    *out = NULL;
    spec = grd_spec_name(spec, name, sizeof name);
    const grd_transform *row = grd_transform_find(ctx, name);
    if (!row) {
        grd_nearest nearest = { name, NULL, 0 };
        for (int i = 0; (row = grd_transform_at(ctx, i)); i++)
            grd_nearest_try(&nearest, row->name);
        return no_such(&ctx->host, "transform", &nearest);
    }
    grd_step *step;
    GRD_TRY(new_step(ctx, base, row, spec, &step));
    grd_status status = derive(base, NULL, base->n, 1, true, out);
    if (status != GRD_OK) {
        release_step(&ctx->host, step);
        return status;
    }
    (*out)->step[(*out)->n_steps++] = step;
    describe_set(*out);
    return GRD_OK;
}

/* ---- samples ---- */

grd_status grd_sample_new(const grd_dataset *d, grd_ctx *ctx, grd_sample **out)
{
    size_t bytes = grd_align_up(sizeof(grd_sample), 64), offset[GRD_MAX_FIELDS];
    *out = NULL;
    for (int f = 0; f < d->source->n_fields; f++) {
        offset[f] = bytes;
        bytes += grd_align_up(d->room[f], 64);
        if (bytes > SIZE_MAX / 2 || bytes < offset[f])
            return grd_fail(&ctx->host, GRD_ERR_MEMORY, "%s: one sample does not fit into memory", d->source->row->name);
    }
    grd_sample *sample = grd_alloc(&ctx->host, bytes);
    if (!sample)
        return GRD_ERR_MEMORY;
    sample->n = d->source->n_fields;
    sample->field = d->field;
    for (int f = 0; f < sample->n; f++) {
        sample->data[f] = (char *)sample + offset[f];
        sample->capacity[f] = d->room[f];
        sample->shape[f] = d->field[f].shape;
    }
    *out = sample;
    return GRD_OK;
}

void grd_sample_free(grd_sample *sample, grd_ctx *ctx) { grd_free(&ctx->host, sample); }

grd_status grd_sample_fail(grd_sample *sample, grd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sample->error, sizeof sample->error, format, args);
    va_end(args);
    return status;
}

/* Puts who failed and at which of the source's samples before the row's own message. */
static grd_status read_failed(const grd_dataset *d, const char *row, int64_t i, grd_sample *out, grd_status status)
{
    char text[sizeof out->error];
    snprintf(text, sizeof text, "%s", out->error[0] ? out->error : grd_status_name(status));
    return grd_sample_fail(out, status, "%s: sample %lld: %s", row, (long long)grd_dataset_index(d, i), text);
}

grd_status grd_dataset_get(const grd_dataset *d, int64_t i, const grd_key *key, grd_sample *out)
{
    const grd_opened *source = d->source;
    out->error[0] = 0;
    if (i < 0 || i >= d->n)
        return grd_sample_fail(out, GRD_ERR_ARG, "%s: sample %lld, the data set has %lld", source->row->name, (long long)i,
                               (long long)d->n);
    const grd_field *in = out->field = source->field;
    grd_status status = source->row->get(source->state, grd_dataset_index(d, i), out);
    if (status != GRD_OK)
        return read_failed(d, source->row->name, i, out, status);
    for (int k = 0; k < d->n_steps; k++) {
        const grd_step *step = d->step[k];
        grd_key own;
        if (key && step->row->random) /* the place in the chain tells two rows of one name apart */
            own = (grd_key){ grd_hash(key->seed + (uint64_t)k, step->row->name), key->step, key->row };
        status = step->row->apply(step->options, in, step->field, source->n_fields, key && step->row->random ? &own : NULL, out);
        if (status != GRD_OK)
            return read_failed(d, step->row->name, i, out, status);
        in = out->field = step->field;
    }
    return GRD_OK;
}
