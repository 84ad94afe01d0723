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
        if (d == -1)
            continue; /* varies from sample to sample */
        if (d <= 0 || (uint64_t)d > SIZE_MAX / 2 || !grd_size_mul(bytes, (size_t)d, &bytes) || bytes > SIZE_MAX / 4)
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

void grd_step_release(grd_host *host, grd_step *step)
{
    if (!step || --step->refs > 0)
        return;
    if (step->origin) {
        grd_step_release(host, step->origin);
    } else {
        if (step->row->close && step->state)
            step->row->close(step->state);
        grd_arena_free(&step->texts);
        grd_free(host, step->options);
    }
    grd_free(host, step);
}

grd_status grd_row_failed(grd_host *host, const char *name, grd_status status)
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
    const grd_stream_calls *stream = source->row->stream;
    const int64_t n = stream ? stream->shards(source->state) : source->row->length(source->state);
    if (n < 0 || n > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(host, GRD_ERR_ARG, "%s: %s %lld, expected 0 to %lld", name, stream ? "shards" : "length", (long long)n,
                        (long long)GRD_MAX_SAMPLES);
    source->length = stream ? -1 : n;
    source->shards = stream ? n : 0;
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
            grd_row_failed(host, row->name, status);
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

/* Sizes of field f along the chain. */
static void describe_field(grd_dataset *d, int f)
{
    d->room[f] = d->bytes[f] = d->wide[f] = 0;
    d->varies[f] = false;
    d->length_of[f] = -1;
    for (int k = -1; k < d->n_steps; k++) {
        const grd_field *field = k < 0 ? &d->source->field[f] : &d->step[k]->field[f];
        size_t wide = grd_dtype_size(field->dtype);
        bool varies = grd_shape_varies(&field->shape);
        d->bytes[f] = varies ? 0 : wide * (size_t)grd_count(&field->shape);
        d->room[f] = d->bytes[f] > d->room[f] ? d->bytes[f] : d->room[f];
        d->wide[f] = wide > d->wide[f] ? wide : d->wide[f];
        d->varies[f] = d->varies[f] || varies;
    }
    if (d->varies[f])
        d->room[f] = 0;
}

/* A list whose length varies brings its length with it, as a field of its own behind the others. */
static void add_length(grd_dataset *d, int f)
{
    char name[GRD_FIELD_NAME + 8];
    snprintf(name, sizeof name, "%s_length", d->field[f].name);
    if (d->field[f].shape.rank != 1 || d->field[f].shape.dim[0] >= 0 || d->n_fields == GRD_MAX_FIELDS ||
        strlen(name) >= GRD_FIELD_NAME || grd_field_find(d->field, d->n_fields, name) >= 0)
        return;
    int at = d->n_fields++;
    d->field[at] = (grd_field){ .dtype = GRD_I32 };
    memcpy(d->field[at].name, name, strlen(name) + 1);
    d->bytes[at] = d->room[at] = d->wide[at] = sizeof(int32_t);
    d->varies[at] = false;
    d->length_of[at] = f;
}

static void describe_set(grd_dataset *d)
{
    int n = d->n_fields = d->source->n_fields;
    memcpy(d->field, d->n_steps ? d->step[d->n_steps - 1]->field : d->source->field, sizeof d->field);
    for (int f = 0; f < n; f++)
        describe_field(d, f);
    for (int f = 0; f < n; f++)
        add_length(d, f);
}

static void free_dataset(void *self) { grd_dataset_free(self); }

void grd_dataset_free(grd_dataset *d)
{
    if (!d)
        return;
    grd_host *host = &d->ctx->host;
    grd_disown(&d->child);
    for (int k = 0; k < d->n_steps; k++)
        grd_step_release(host, d->step[k]);
    grd_free(host, d->step);
    if (d->labels && --d->labels->refs == 0)
        grd_free(host, d->labels);
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
    (*out)->labels = base->labels;
    if (base->labels)
        base->labels->refs++;
    describe_set(*out);
    return GRD_OK;
}

grd_status grd_dataset_extend(const grd_dataset *base, grd_step *step, grd_dataset **out)
{
    GRD_TRY(derive(base, NULL, base->n, 1, true, out));
    (*out)->step[(*out)->n_steps++] = step;
    step->refs++;
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

grd_status grd_dataset_open(grd_ctx *ctx, const char *name, const char *spec, grd_dataset **dataset)
{
    grd_host *host = &ctx->host;
    *dataset = NULL;
    const grd_source *row = grd_source_find(ctx, name);
    if (!row) {
        grd_nearest nearest = { name, NULL, 0 };
        for (int i = 0; (row = grd_source_at(ctx, i)); i++)
            grd_nearest_try(&nearest, row->name);
        char hint[80];
        return grd_fail(host, GRD_ERR_CONFIG, "data: no source \"%s\"%s", name, grd_nearest_text(&nearest, hint, sizeof hint));
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

grd_status grd_dataset_by_number(const grd_dataset *d, const char *who)
{
    if (d->n >= 0)
        return GRD_OK;
    return grd_fail(&d->ctx->host, GRD_ERR_ARG, "%s: %s is a stream: its samples are read in turn and cannot be picked", who,
                    d->source->row->name);
}

int grd_dataset_fields(const grd_dataset *d, const grd_field **field)
{
    if (field)
        *field = d->field;
    return d->n_fields;
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

const char *grd_dataset_name(const grd_dataset *d, int64_t i, char *text, size_t size)
{
    int64_t index = grd_dataset_index(d, i);
    if (d->source->row->name_of && index >= 0)
        d->source->row->name_of(d->source->state, index, text, size);
    else
        snprintf(text, size, "%lld", (long long)index);
    return text;
}

const char *grd_dataset_element(const grd_dataset *d, int field, int64_t element)
{
    const grd_opened *s = d->source;
    if (!s->row->element_name || field < 0 || field >= s->n_fields || element < 0)
        return NULL;
    const grd_shape *shape = &s->field[field].shape;
    if (!grd_shape_equal(shape, &d->field[field].shape) || (!grd_shape_varies(shape) && element >= grd_count(shape)))
        return NULL;
    return s->row->element_name(s->state, field, element);
}

grd_status grd_dataset_select(const grd_dataset *base, const int64_t *pick, int64_t n, grd_dataset **out)
{
    grd_host *host = &base->ctx->host;
    *out = NULL;
    GRD_TRY(grd_dataset_by_number(base, "select"));
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
