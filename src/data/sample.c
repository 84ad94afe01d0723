/* One sample: its memory, and making it: source, then transforms. */
#include "data/dataset.h"

#include "tensor/tensor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ---- */

enum { LEAST_ROOM = 64 }; /* bytes; an empty text has a place too */

grd_status grd_sample_new(const grd_dataset *d, grd_ctx *ctx, grd_sample **out)
{
    const size_t head = grd_align_up(sizeof(grd_sample), 64);
    *out = NULL;
    grd_sample *sample = grd_alloc(&ctx->host, head + sizeof(grd_sample_memory));
    if (!sample)
        return GRD_ERR_MEMORY;
    grd_sample_memory *m = sample->memory = (grd_sample_memory *)(void *)((char *)sample + head);
    sample->n = d->n_fields;
    sample->field = d->field;
    m->mem = ctx->host.mem;
    for (int f = 0; f < sample->n; f++) {
        m->wide[f] = d->wide[f];
        m->room[f] = d->room[f];
        m->bytes[f] = d->bytes[f];
        sample->shape[f] = d->field[f].shape;
        if (d->varies[f])
            continue;
        m->buffer[f][0] = grd_alloc(&ctx->host, d->room[f]);
        m->capacity[f][0] = d->room[f];
        sample->data[f] = m->buffer[f][0];
        if (!m->buffer[f][0]) {
            grd_sample_free(sample, ctx);
            return grd_fail_in(&ctx->host, "%s: one sample: ", d->source->row->name);
        }
    }
    *out = sample;
    return GRD_OK;
}

void grd_sample_free(grd_sample *sample, grd_ctx *ctx)
{
    if (!sample)
        return;
    for (int f = 0; f < GRD_MAX_FIELDS; f++)
        for (int k = 0; k < 2; k++)
            grd_free(&ctx->host, sample->memory->buffer[f][k]);
    grd_free(&ctx->host, sample->memory->scratch);
    grd_free(&ctx->host, sample);
}

/* Bytes of `shape` in the widest element of field i; false, with a message, if it cannot be. */
static bool bytes_of(grd_sample *s, int i, const grd_shape *shape, size_t *bytes)
{
    *bytes = s->memory->wide[i];
    for (int k = 0; k < shape->rank; k++) {
        int64_t d = shape->dim[k];
        if (d < 0 || (uint64_t)d > SIZE_MAX / 2 || !grd_size_mul(*bytes, (size_t)d, bytes) || *bytes > SIZE_MAX / 4) {
            char text[96];
            grd_sample_fail(s, GRD_ERR_SHAPE, "field \"%s\": impossible shape %s", s->field[i].name,
                            grd_shape_text(shape, text, sizeof text));
            return false;
        }
    }
    return true;
}

void *grd_sample_room(grd_sample *s, int i, const grd_shape *shape)
{
    grd_sample_memory *m = s->memory;
    size_t bytes;
    if (!bytes_of(s, i, shape, &bytes))
        return NULL;
    if (m->at_last && m->last[i] && bytes == m->bytes[i] && s->data[i] != m->last[i]) {
        s->shape[i] = *shape;
        return s->data[i] = m->last[i];
    }
    int k = s->data[i] && s->data[i] == m->buffer[i][0];
    if (!m->buffer[i][k] || m->capacity[i][k] < bytes) {
        size_t roomy = bytes + bytes / 4; /* samples of slowly growing size do not allocate each time */
        roomy = roomy > m->room[i] ? roomy : m->room[i];
        roomy = roomy > LEAST_ROOM ? roomy : LEAST_ROOM;
        void *larger = m->mem.alloc(m->mem.user, roomy);
        if (!larger) {
            grd_sample_fail(s, GRD_ERR_MEMORY, "field \"%s\": out of memory: %zu bytes wanted", s->field[i].name, roomy);
            return NULL;
        }
        if (m->buffer[i][k])
            m->mem.free(m->mem.user, m->buffer[i][k]);
        m->buffer[i][k] = larger;
        m->capacity[i][k] = roomy;
    }
    s->shape[i] = *shape;
    return s->data[i] = m->buffer[i][k];
}

void *grd_sample_scratch(grd_sample *s, size_t bytes)
{
    grd_sample_memory *m = s->memory;
    if (m->scratch_capacity >= bytes && m->scratch)
        return m->scratch;
    size_t roomy = bytes < SIZE_MAX / 2 ? bytes + bytes / 4 + LEAST_ROOM : bytes;
    if (m->scratch)
        m->mem.free(m->mem.user, m->scratch);
    m->scratch = m->mem.alloc(m->mem.user, roomy);
    m->scratch_capacity = m->scratch ? roomy : 0;
    if (!m->scratch)
        grd_sample_fail(s, GRD_ERR_MEMORY, "out of memory: %zu bytes wanted to work in", roomy);
    return m->scratch;
}

/* ---- messages ---- */

grd_status grd_sample_fail(grd_sample *sample, grd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(sample->error, sizeof sample->error, format, args);
    va_end(args);
    return status;
}

grd_status grd_sample_fail_in(grd_sample *sample, grd_status status, const char *format, ...)
{
    char text[sizeof sample->error], before[sizeof sample->error];
    va_list args;
    va_start(args, format);
    vsnprintf(before, sizeof before, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s", sample->error[0] ? sample->error : grd_status_name(status));
    int n = snprintf(sample->error, sizeof sample->error, "%s", before);
    if (n >= 0 && (size_t)n < sizeof sample->error)
        snprintf(sample->error + n, sizeof sample->error - (size_t)n, "%s", text);
    return status;
}

/* Puts who failed and at which of the source's samples before the row's own message. */
static grd_status read_failed(const grd_dataset *d, const char *row, int64_t i, grd_sample *out, grd_status status)
{
    char name[160] = "";
    int64_t index = grd_dataset_index(d, i);
    if (d->source->row->name_of) {
        char own[128];
        snprintf(name, sizeof name, " (%s)", grd_dataset_name(d, i, own, sizeof own));
    }
    return grd_sample_fail_in(out, status, "%s: sample %lld%s: ", row, (long long)index, name);
}

/* ---- making it ---- */

/* A source writes fields of fixed shape where they lie, also those that vary further along the chain. */
grd_status grd_sample_begin(const grd_dataset *d, grd_sample *out)
{
    const grd_opened *source = d->source;
    grd_sample_memory *m = out->memory;
    out->error[0] = 0;
    out->field = source->field;
    m->at_last = false;
    for (int f = 0; f < source->n_fields; f++) {
        out->shape[f] = source->field[f].shape;
        out->data[f] = m->place[f] ? m->place[f] : m->room[f] ? m->buffer[f][0] : NULL;
        if (!out->data[f] && !grd_shape_varies(&out->shape[f]) && !grd_sample_room(out, f, &source->field[f].shape))
            return GRD_ERR_MEMORY;
    }
    return GRD_OK;
}

/* Whether a row left what its fields promise: a shape that varies has been filled in. */
static grd_status check_shapes(grd_sample *s, const grd_field *field, int n)
{
    for (int f = 0; f < n; f++) {
        bool fits = s->shape[f].rank == field[f].shape.rank && s->data[f];
        for (int k = 0; fits && k < s->shape[f].rank; k++)
            fits = s->shape[f].dim[k] >= 0 && (field[f].shape.dim[k] < 0 || field[f].shape.dim[k] == s->shape[f].dim[k]);
        if (!fits) {
            char found[96], expected[96];
            return grd_sample_fail(s, GRD_ERR_SHAPE, "field \"%s\" is %s, expected %s", field[f].name,
                                   grd_shape_text(&s->shape[f], found, sizeof found),
                                   grd_shape_text(&field[f].shape, expected, sizeof expected));
        }
    }
    return GRD_OK;
}

/* What a step did in place has the shape that its fields say, where they say one. */
static void take_fixed_shapes(grd_sample *s, const grd_field *in, const grd_field *out, int n)
{
    for (int f = 0; f < n; f++)
        if (!grd_shape_varies(&out[f].shape) && grd_shape_equal(&s->shape[f], &in[f].shape))
            s->shape[f] = out[f].shape;
}

/* The key of number k of a chain: the place tells two rows of one name apart. NULL: nothing is random. */
static const grd_key *key_of(const grd_step *step, int k, const grd_key *key, grd_key *own)
{
    if (!key || !step->row->random)
        return NULL;
    *own = (grd_key){ grd_hash(key->seed + (uint64_t)k, step->row->name), key->step, key->row };
    return own;
}

static grd_transform_call call_of(const grd_step *step, const grd_field *in, int n, const grd_key *key)
{
    return (grd_transform_call){ .options = step->options, .state = step->state, .in = in, .out = step->field, .n = n, .key = key };
}

static grd_status finish(const grd_step *step, const grd_field *in, int n, grd_sample *out)
{
    take_fixed_shapes(out, in, step->field, n);
    out->field = step->field;
    return check_shapes(out, step->field, n);
}

grd_status grd_step_apply(const grd_step *step, int k, int n, const grd_key *key, grd_sample *out)
{
    grd_key own;
    const grd_transform_call call = call_of(step, out->field, n, key_of(step, k, key, &own));
    GRD_TRY(step->row->apply(&call, out));
    return finish(step, call.in, n, out);
}

/* Whether no step from k on changes single samples. */
static bool no_more(const grd_dataset *d, int k)
{
    while (k < d->n_steps && !d->step[k]->row->apply)
        k++;
    return k == d->n_steps;
}

/* Steps k and k + 1 in one go, if they can. */
static grd_status apply_both(const grd_dataset *d, int k, const grd_key *key, grd_sample *out, bool *done)
{
    const grd_step *first = d->step[k], *second = k + 1 < d->n_steps ? d->step[k + 1] : NULL;
    const int n = d->source->n_fields;
    grd_key own[2];
    *done = false;
    if (!first->row->apply_both || !second || !second->row->apply)
        return GRD_OK;
    const grd_transform_call call = call_of(first, out->field, n, key_of(first, k, key, &own[0]));
    const grd_transform_call next = call_of(second, first->field, n, key_of(second, k + 1, key, &own[1]));
    out->memory->at_last = no_more(d, k + 2);
    GRD_TRY(first->row->apply_both(&call, second->row, &next, out, done));
    return *done ? finish(second, call.in, n, out) : GRD_OK;
}

/* Step *k, which becomes the last one that was applied. */
static grd_status apply(const grd_dataset *d, int *k, const grd_key *key, grd_sample *out)
{
    bool both;
    GRD_TRY(apply_both(d, *k, key, out, &both));
    if (both) {
        ++*k;
        return GRD_OK;
    }
    out->memory->at_last = no_more(d, *k + 1);
    return grd_step_apply(d->step[*k], *k, d->source->n_fields, key, out);
}

grd_status grd_sample_complete(const grd_dataset *d, int64_t index, const grd_key *key, grd_sample *out, const char **who)
{
    const grd_opened *source = d->source;
    *who = source->row->name;
    GRD_TRY(check_shapes(out, source->field, source->n_fields));
    if (d->labels)
        grd_labels_find(d->labels, index, out->data[d->labels->field]);
    for (int k = 0; k < d->n_steps; k++) {
        if (!d->step[k]->row->apply)
            continue; /* of whole batches */
        *who = d->step[k]->row->name;
        GRD_TRY(apply(d, &k, key, out));
    }
    out->field = d->field;
    for (int f = source->n_fields; f < d->n_fields; f++) {
        out->shape[f] = d->field[f].shape;
        out->data[f] = out->memory->place[f] ? out->memory->place[f] : out->memory->buffer[f][0];
        *(int32_t *)out->data[f] = (int32_t)out->shape[d->length_of[f]].dim[0];
    }
    return GRD_OK;
}

grd_status grd_dataset_get(const grd_dataset *d, int64_t i, const grd_key *key, grd_sample *out)
{
    const grd_opened *source = d->source;
    const char *who = source->row->name;
    GRD_TRY(grd_sample_begin(d, out));
    if (d->n < 0)
        return grd_sample_fail(out, GRD_ERR_ARG, "%s: a stream: its samples are read in turn, by a loader", who);
    if (i < 0 || i >= d->n)
        return grd_sample_fail(out, GRD_ERR_ARG, "%s: sample %lld, the data set has %lld", who, (long long)i, (long long)d->n);
    const int64_t index = grd_dataset_index(d, i);
    grd_status status = source->row->get(source->state, index, out);
    if (status == GRD_OK)
        status = grd_sample_complete(d, index, key, out, &who);
    return status == GRD_OK ? GRD_OK : read_failed(d, who, i, out, status);
}
