/* What is put into a slot: samples of a data set one under the other, then what is done to a whole batch. */
#include "data/loader.h"

#include "tensor/tensor.h"

#include <string.h>

/* ---- one row ---- */

static char *row_of(const grd_loader *l, const grd_slot *s, int f)
{
    return (char *)s->batch.data[f] + (size_t)s->batch.n * l->data->bytes[f];
}

void grd_slot_aim(const grd_loader *l, const grd_slot *s, grd_sample *sample)
{
    grd_sample_memory *m = sample->memory;
    for (int f = 0; f < sample->n; f++) {
        char *to = row_of(l, s, f);
        m->place[f] = l->in_place[f] ? to : NULL;
        m->last[f] = !s->stack[f].field ? to : NULL;
    }
}

static grd_status take(const grd_loader *l, grd_slot *s, grd_sample *sample, int64_t index)
{
    const grd_dataset *d = l->data;
    s->index[s->batch.n] = index;
    for (int f = 0; f < sample->n; f++) {
        char *to = row_of(l, s, f);
        if (s->stack[f].field) {
            if (grd_stack_add(&s->stack[f], sample->data[f], &sample->shape[f]) != GRD_OK)
                return grd_sample_fail(sample, GRD_ERR_MEMORY, "field \"%s\": out of memory for a batch", d->field[f].name);
        } else if (sample->data[f] != to) {
            memcpy(to, sample->data[f], d->bytes[f]);
        }
    }
    s->batch.n++;
    return GRD_OK;
}

grd_status grd_slot_settle(const grd_loader *l, grd_slot *s, grd_sample *sample, int64_t index, grd_status status)
{
    if (status == GRD_OK)
        return take(l, s, sample, index);
    if (!l->skip || status == GRD_ERR_MEMORY)
        return status;
    s->batch.skipped++;
    memcpy(s->error, sample->error, sizeof s->error);
    return GRD_OK;
}

/* ---- one batch ---- */

void grd_slot_clear(grd_slot *s)
{
    s->batch.n = s->batch.skipped = 0;
    for (int f = 0; f < s->batch.n_fields; f++)
        grd_stack_clear(&s->stack[f]);
}

grd_status grd_slot_finish(grd_loader *l, grd_worker *w, grd_slot *s, uint64_t row)
{
    const grd_dataset *d = l->data;
    grd_sample *sample = w->sample;
    if (s->batch.n == 0 && s->batch.skipped > 0)
        return grd_sample_fail(sample, GRD_ERR_DATA, "none of its %lld samples can be read; the last one: %s",
                               (long long)s->batch.skipped, s->error);
    for (int f = 0; f < s->batch.n_fields; f++) {
        s->batch.shape[f].dim[0] = s->batch.n;
        if (s->stack[f].field && grd_stack_lay(&s->stack[f], l->pad_multiple, &s->batch.shape[f], &s->batch.data[f]) != GRD_OK)
            return grd_sample_fail(sample, GRD_ERR_MEMORY, "field \"%s\": out of memory for a batch", d->field[f].name);
    }
    for (int k = 0; k < d->n_steps; k++) {
        const grd_step *step = d->step[k];
        if (!step->row->apply_batch)
            continue;
        const grd_key key = { grd_hash(l->seed + (uint64_t)k, step->row->name), (uint64_t)l->epoch, row };
        const grd_transform_call call = { .options = step->options, .state = step->state, .in = step->field, .out = step->field,
                                          .n = d->source->n_fields, .key = step->row->random ? &key : NULL };
        GRD_TRY(step->row->apply_batch(&call, &s->batch, sample));
    }
    return GRD_OK;
}

/* ---- from a set ---- */

grd_status grd_slot_fill(grd_loader *l, grd_worker *w, grd_slot *s, int64_t number)
{
    int64_t first = number * l->batch, left = l->sampler.n_order - first, n = left < l->batch ? left : l->batch;
    s->batch.number = number;
    s->batch.first = first;
    grd_slot_clear(s);
    for (int64_t r = 0; r < n && !atomic_load_explicit(&l->drop, memory_order_relaxed); r++) {
        const int64_t i = grd_sampler_at(&l->sampler, first + r);
        const grd_key key = { grd_hash(l->seed, "transform"), (uint64_t)l->epoch, (uint64_t)i };
        grd_slot_aim(l, s, w->sample);
        grd_status status = grd_dataset_get(l->data, i, &key, w->sample);
        GRD_TRY(grd_slot_settle(l, s, w->sample, grd_dataset_index(l->data, i), status));
    }
    return grd_slot_finish(l, w, s, (uint64_t)number);
}
