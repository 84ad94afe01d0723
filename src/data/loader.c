/* Batches, in order, from worker threads.
 *
 * Batch b of an epoch lives in slot b % n_slots. Workers claim the next batch number under the lock, fill its slot without
 * it, and mark it ready; the caller takes batches in order and gives the slot of the one before back. What is in a batch
 * depends on (data set, options, seed, epoch, number) alone, so it does not matter who fills it or when.
 * All memory is allocated when the loader is made, but for the buffers of fields that vary, which grow to what they need. */
#define _GNU_SOURCE
#include "data/sampler.h"
#include "data/stack.h"
#include "tensor/tensor.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORKERS 256
#define MAX_PREFETCH 4096

typedef struct slot {
    grd_batch batch;
    int64_t *index;
    void *memory;      /* of the fields' data and the index */
    grd_stack stack[GRD_MAX_FIELDS]; /* of fields that vary */
    bool ready;
    grd_status status; /* of making it; the text is in `error` */
    char error[sizeof((grd_sample *)0)->error];
} slot;

typedef struct worker {
    struct grd_loader *loader;
    grd_sample *sample;            /* its own: fields that are not made in place are copied from it */
    pthread_t thread;
} worker;

struct grd_loader {
    grd_child child;
    grd_ctx *ctx;
    grd_dataset *data;   /* a view of our own: the caller may free his */
    int64_t batch, batches;
    uint64_t seed;
    int64_t epoch;
    grd_sampler sampler;
    int64_t pad_multiple;
    bool skip;           /* what cannot be read is left out */
    int64_t skipped;     /* in this epoch, by the batches that the caller has had */
    bool in_place[GRD_MAX_FIELDS]; /* samples are made directly in the batch */
    slot *slots;
    int n_slots;
    worker *workers;     /* at least one; with no threads the first works for the caller */
    int n_threads, n_samples;
    bool started;        /* grd_loader_start was called */

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work, done; /* something to claim; something was finished */
    int64_t next_made;   /* first batch that nobody has claimed */
    int64_t next_given;  /* first batch that the caller has not had */
    int64_t oldest;      /* first batch whose slot is in use: the one the caller holds, or next_given */
    int busy;            /* workers that are filling a slot */
    bool quit;
    atomic_bool drop;    /* what is being filled is not wanted any more */
};

/* ---- one batch ---- */

/* Sample i becomes row r of the batch. */
static grd_status add_row(grd_loader *l, worker *w, slot *s, int64_t r, int64_t i)
{
    const grd_dataset *d = l->data;
    grd_sample *sample = w->sample;
    const grd_key key = { grd_hash(l->seed, "transform"), (uint64_t)l->epoch, (uint64_t)i };
    for (int f = 0; f < sample->n; f++) {
        char *to = (char *)s->batch.data[f] + (size_t)r * d->bytes[f];
        sample->memory->place[f] = l->in_place[f] ? to : NULL;
        sample->memory->last[f] = !s->stack[f].field ? to : NULL;
    }
    GRD_TRY(grd_dataset_get(d, i, &key, sample));
    s->index[r] = grd_dataset_index(d, i);
    for (int f = 0; f < sample->n; f++) {
        char *to = (char *)s->batch.data[f] + (size_t)r * d->bytes[f];
        if (s->stack[f].field) {
            if (grd_stack_add(&s->stack[f], sample->data[f], &sample->shape[f]) != GRD_OK)
                return grd_sample_fail(sample, GRD_ERR_MEMORY, "field \"%s\": out of memory for a batch", d->field[f].name);
        } else if (sample->data[f] != to) {
            memcpy(to, sample->data[f], d->bytes[f]);
        }
    }
    return GRD_OK;
}

/* Puts fields that vary side by side, then changes the whole batch. */
static grd_status finish(grd_loader *l, worker *w, slot *s)
{
    const grd_dataset *d = l->data;
    grd_sample *sample = w->sample;
    for (int f = 0; f < s->batch.n_fields; f++) {
        s->batch.shape[f].dim[0] = s->batch.n;
        if (s->stack[f].field && grd_stack_lay(&s->stack[f], l->pad_multiple, &s->batch.shape[f], &s->batch.data[f]) != GRD_OK)
            return grd_sample_fail(sample, GRD_ERR_MEMORY, "field \"%s\": out of memory for a batch", d->field[f].name);
    }
    for (int k = 0; k < d->n_steps; k++) {
        const grd_step *step = d->step[k];
        if (!step->row->apply_batch)
            continue;
        const grd_key key = { grd_hash(l->seed + (uint64_t)k, step->row->name), (uint64_t)l->epoch, (uint64_t)s->batch.number };
        const grd_transform_call call = { .options = step->options, .state = step->state, .in = step->field, .out = step->field,
                                          .n = d->source->n_fields, .key = step->row->random ? &key : NULL };
        GRD_TRY(step->row->apply_batch(&call, &s->batch, sample));
    }
    return GRD_OK;
}

static grd_status fill(grd_loader *l, worker *w, slot *s, int64_t number)
{
    int64_t first = number * l->batch, left = l->sampler.n_order - first, n = left < l->batch ? left : l->batch;
    s->batch.number = number;
    s->batch.first = first;
    s->batch.n = s->batch.skipped = 0;
    for (int f = 0; f < s->batch.n_fields; f++)
        grd_stack_clear(&s->stack[f]);
    for (int64_t r = 0; r < n && !atomic_load_explicit(&l->drop, memory_order_relaxed); r++) {
        grd_status status = add_row(l, w, s, s->batch.n, grd_sampler_at(&l->sampler, first + r));
        if (status == GRD_OK)
            s->batch.n++;
        else if (l->skip && status != GRD_ERR_MEMORY)
            s->batch.skipped++;
        else
            return status;
    }
    if (s->batch.n == 0 && s->batch.skipped > 0)
        return grd_sample_fail_in(w->sample, GRD_ERR_DATA, "none of its %lld samples can be read; the last one: ", (long long)n);
    return finish(l, w, s);
}

static void make(grd_loader *l, worker *w, int64_t number)
{
    slot *s = &l->slots[number % l->n_slots];
    s->status = fill(l, w, s, number);
    if (s->status != GRD_OK)
        memcpy(s->error, w->sample->error, sizeof s->error);
}

/* ---- worker threads ---- */

static bool can_claim(const grd_loader *l) { return l->next_made < l->batches && l->next_made < l->oldest + l->n_slots; }

static void *work(void *self)
{
    worker *w = self;
    grd_loader *l = w->loader;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->quit && !can_claim(l))
            pthread_cond_wait(&l->work, &l->lock);
        if (l->quit)
            break;
        int64_t number = l->next_made++;
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        make(l, w, number);
        pthread_mutex_lock(&l->lock);
        l->busy--;
        l->slots[number % l->n_slots].ready = true;
        pthread_cond_signal(&l->done); /* only the caller waits for it */
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Signals stay with the caller's threads: a worker that took Ctrl-C would hide it from them. */
static grd_status start_threads(grd_loader *l, int n)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    for (int k = 0; k < n && !error; k++) {
        error = pthread_create(&l->workers[k].thread, NULL, work, &l->workers[k]);
        l->n_threads += !error;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return grd_fail(&l->ctx->host, GRD_ERR_MEMORY, "loader: cannot start worker thread %d of %d: %s", l->n_threads + 1, n,
                        strerror(error));
    return GRD_OK;
}

/* ---- making and freeing ---- */

static void free_loader(void *self) { grd_loader_free(self); }

void grd_loader_free(grd_loader *l)
{
    if (!l)
        return;
    grd_host *host = &l->ctx->host;
    grd_disown(&l->child);
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    atomic_store(&l->drop, true);
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int k = 0; k < l->n_threads; k++)
        pthread_join(l->workers[k].thread, NULL);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    for (int k = 0; k < l->n_samples; k++)
        grd_sample_free(l->workers[k].sample, l->ctx);
    for (int k = 0; l->slots && k < l->n_slots; k++) {
        grd_free(host, l->slots[k].memory);
        for (int f = 0; f < GRD_MAX_FIELDS; f++)
            grd_stack_drop(&l->slots[k].stack[f], host);
    }
    grd_free(host, l->workers);
    grd_free(host, l->slots);
    grd_sampler_drop(&l->sampler);
    grd_dataset_free(l->data);
    grd_free(host, l);
}

static grd_status init_locks(grd_loader *l)
{
    bool lock = pthread_mutex_init(&l->lock, NULL) == 0, wake = lock && pthread_cond_init(&l->work, NULL) == 0;
    if (wake && pthread_cond_init(&l->done, NULL) == 0)
        return GRD_OK;
    if (wake)
        pthread_cond_destroy(&l->work);
    if (lock)
        pthread_mutex_destroy(&l->lock);
    return grd_fail(&l->ctx->host, GRD_ERR_MEMORY, "loader: the system has no room for a lock");
}

static grd_status init_slot(grd_loader *l, slot *s)
{
    const grd_dataset *d = l->data;
    size_t offset[GRD_MAX_FIELDS], total, bytes;
    int n = d->n_fields;
    bool fits = grd_size_mul((size_t)l->batch, sizeof *s->index, &total);
    for (int f = 0; f < n && fits; f++) {
        offset[f] = total = grd_align_up(total, 64);
        fits = grd_size_mul((size_t)l->batch, d->bytes[f], &bytes) && bytes < SIZE_MAX / 2 - total;
        total += bytes;
    }
    if (!fits)
        return grd_fail(&l->ctx->host, GRD_ERR_MEMORY, "loader: a batch of %lld samples does not fit into memory",
                        (long long)l->batch);
    s->memory = grd_alloc(&l->ctx->host, total);
    if (!s->memory)
        return grd_fail_in(&l->ctx->host, "loader: a batch of %lld: ", (long long)l->batch);
    s->index = s->memory;
    s->batch.index = s->index;
    s->batch.n_fields = n;
    s->batch.field = d->field;
    for (int f = 0; f < n; f++) {
        s->batch.data[f] = (char *)s->memory + offset[f];
        s->batch.shape[f].rank = d->field[f].shape.rank + 1;
        memcpy(s->batch.shape[f].dim + 1, d->field[f].shape.dim, (size_t)d->field[f].shape.rank * sizeof(int64_t));
        if (grd_shape_varies(&d->field[f].shape))
            GRD_TRY(grd_stack_init(&s->stack[f], &l->ctx->host, &d->field[f], l->batch));
    }
    return GRD_OK;
}

static grd_status init_workers(grd_loader *l, int n)
{
    l->workers = GRD_NEW_N(&l->ctx->host, worker, n);
    if (!l->workers)
        return GRD_ERR_MEMORY;
    for (; l->n_samples < n; l->n_samples++) {
        worker *w = &l->workers[l->n_samples];
        w->loader = l;
        GRD_TRY(grd_sample_new(l->data, l->ctx, &w->sample));
    }
    return GRD_OK;
}

static grd_status init(grd_loader *l, const grd_loader_opts *o)
{
    grd_host *host = &l->ctx->host;
    const grd_dataset *d = l->data;
    for (int f = 0; f < d->n_fields; f++)
        l->in_place[f] = d->bytes[f] && d->room[f] == d->bytes[f] && d->bytes[f] % d->wide[f] == 0;
    int64_t prefetch = o->prefetch ? o->prefetch : o->workers > 1 ? 2 * o->workers : 2;
    l->n_slots = o->workers == 0 ? 1 : (int)(prefetch + 1 < l->batches ? prefetch + 1 : l->batches);
    l->slots = GRD_NEW_N(host, slot, l->n_slots);
    if (!l->slots)
        return GRD_ERR_MEMORY;
    for (int k = 0; k < l->n_slots; k++)
        GRD_TRY(init_slot(l, &l->slots[k]));
    l->next_made = l->batches; /* nothing to do before the first start */
    GRD_TRY(init_workers(l, o->workers ? o->workers : 1));
    return start_threads(l, o->workers);
}

static grd_status check(grd_host *host, const grd_dataset *d, const grd_loader_opts *o, int64_t batch)
{
    if (batch < 1)
        return grd_fail(host, GRD_ERR_ARG, "loader: batch %lld, expected at least 1", (long long)batch);
    if (o->workers < 0 || o->workers > MAX_WORKERS)
        return grd_fail(host, GRD_ERR_ARG, "loader: %d workers, expected 0 to %d", o->workers, MAX_WORKERS);
    if (o->prefetch < 0 || o->prefetch > MAX_PREFETCH)
        return grd_fail(host, GRD_ERR_ARG, "loader: prefetch %d, expected 0 to %d", o->prefetch, MAX_PREFETCH);
    if (d->n == 0)
        return grd_fail(host, GRD_ERR_ARG, "loader: the data set has no samples");
    if (o->pad_multiple < 0)
        return grd_fail(host, GRD_ERR_ARG, "loader: pad_multiple %lld, expected 0 or more", (long long)o->pad_multiple);
    if (o->drop_last && d->n < batch)
        return grd_fail(host, GRD_ERR_ARG, "loader: drop_last leaves nothing: %lld samples, batch %lld", (long long)d->n,
                        (long long)batch);
    return GRD_OK;
}

grd_status grd_loader_new(grd_ctx *ctx, const grd_dataset *dataset, const grd_loader_opts *opts, grd_loader **loader)
{
    static const grd_loader_opts defaults;
    const grd_loader_opts *o = opts ? opts : &defaults;
    int64_t batch = o->batch ? o->batch : 32;
    *loader = NULL;
    GRD_TRY(check(&ctx->host, dataset, o, batch));
    grd_loader *l = GRD_NEW(&ctx->host, grd_loader);
    if (!l)
        return GRD_ERR_MEMORY;
    l->ctx = ctx;
    l->seed = o->seed;
    l->batch = batch < dataset->n ? batch : dataset->n;
    l->pad_multiple = o->pad_multiple;
    l->skip = o->on_error == GRD_ERRORS_SKIP;
    l->sampler.host = &ctx->host;
    atomic_init(&l->drop, false);
    grd_status status = init_locks(l);
    if (status != GRD_OK) {
        grd_free(&ctx->host, l);
        return status;
    }
    status = grd_dataset_view(dataset, NULL, dataset->n, false, &l->data);
    if (status == GRD_OK)
        status = grd_sampler_init(&l->sampler, l->data, o, l->batch);
    if (status == GRD_OK) {
        l->batches = o->drop_last ? l->sampler.n_order / batch : (l->sampler.n_order - 1) / l->batch + 1;
        status = l->batches ? init(l, o) : grd_fail(&ctx->host, GRD_ERR_ARG, "loader: drop_last leaves nothing");
    }
    if (status != GRD_OK) {
        grd_loader_free(l);
        return status;
    }
    grd_adopt(&ctx->root, &l->child, free_loader);
    *loader = l;
    return GRD_OK;
}

/* ---- an epoch ---- */

int64_t grd_loader_batches(const grd_loader *l) { return l->batches; }

grd_status grd_loader_start(grd_loader *l, int64_t epoch, int64_t first_batch)
{
    if (first_batch < 0 || first_batch > l->batches)
        return grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: batch %lld, the epoch has %lld", (long long)first_batch,
                        (long long)l->batches);
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->drop, true);
    l->next_made = l->batches; /* nothing more to claim */
    while (l->busy > 0)
        pthread_cond_wait(&l->done, &l->lock);
    atomic_store(&l->drop, false);
    for (int k = 0; k < l->n_slots; k++)
        l->slots[k].ready = false;
    l->epoch = epoch;
    l->skipped = 0;
    grd_sampler_start(&l->sampler, epoch);
    l->next_made = l->next_given = l->oldest = first_batch;
    l->started = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return GRD_OK;
}

/* Gives the caller's slot back and waits for batch `number`. */
static void await(grd_loader *l, int64_t number)
{
    slot *s = &l->slots[number % l->n_slots];
    pthread_mutex_lock(&l->lock);
    l->oldest = number;
    pthread_cond_signal(&l->work); /* one slot has become free: work for one */
    while (!s->ready)
        pthread_cond_wait(&l->done, &l->lock);
    s->ready = false;
    pthread_mutex_unlock(&l->lock);
}

grd_status grd_loader_next(grd_loader *l, const grd_batch **batch)
{
    *batch = NULL;
    if (!l->started)
        return grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: grd_loader_start comes before grd_loader_next");
    if (l->next_given == l->batches)
        return GRD_OK;
    int64_t number = l->next_given++;
    if (l->n_threads)
        await(l, number);
    else
        make(l, &l->workers[0], number);
    const slot *s = &l->slots[number % l->n_slots];
    l->skipped += s->batch.skipped;
    if (s->status != GRD_OK)
        return grd_fail(&l->ctx->host, s->status, "batch %lld: %s", (long long)number, s->error);
    *batch = &s->batch;
    return GRD_OK;
}

int64_t grd_loader_skipped(const grd_loader *l) { return l->skipped; }
