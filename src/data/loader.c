/* Batches, in order, from worker threads.
 *
 * Slots are filled for tickets 0, 1, 2, ..., ticket t in slot t % n_slots. Workers claim the next ticket under the lock, fill
 * its slot without it, and mark it ready; the caller takes tickets in order and gives the slot of the one before back. A ticket
 * stands for a batch of a set, or for the next batch of a lane of a stream. What is in a batch depends on (data set, options,
 * seed, epoch, number) alone, so it does not matter who fills it or when.
 * All memory is allocated when the loader is made, but for the buffers of fields that vary, which grow to what they need. */
#define _GNU_SOURCE
#include "data/loader.h"

#include "tensor/tensor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MAX_WORKERS 256
#define MAX_PREFETCH 4096

/* ---- one ticket ---- */

static grd_slot *slot_of(const grd_loader *l, int64_t ticket) { return &l->slots[ticket % l->n_slots]; }

static void make(grd_loader *l, grd_worker *w, int64_t ticket)
{
    grd_slot *s = slot_of(l, ticket);
    s->status = l->lanes ? grd_lanes_fill(l, w, s) : grd_slot_fill(l, w, s, ticket);
    if (s->status != GRD_OK)
        memcpy(s->error, w->sample->error, sizeof s->error);
}

/* Whether there is one for a worker that has nothing to do. */
static bool can_claim(const grd_loader *l)
{
    if (l->paused || l->next_made >= l->oldest + l->n_slots)
        return false;
    return l->lanes ? grd_lanes_ready(l) : l->next_made < l->batches;
}

static int64_t claim(grd_loader *l)
{
    if (l->lanes)
        grd_lanes_claim(l, slot_of(l, l->next_made));
    return l->next_made++;
}

static void release(grd_loader *l, int64_t ticket)
{
    slot_of(l, ticket)->ready = true;
    if (l->lanes)
        grd_lanes_release(l, slot_of(l, ticket));
}

/* Nothing comes after the tickets that have been claimed. */
static bool no_more(const grd_loader *l)
{
    int lane;
    int64_t round;
    return l->lanes ? !grd_lanes_next(l->lanes, &lane, &round) : l->next_made >= l->batches;
}

/* ---- worker threads ---- */

static void *work(void *self)
{
    grd_worker *w = self;
    grd_loader *l = w->loader;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->quit && !can_claim(l))
            pthread_cond_wait(&l->work, &l->lock);
        if (l->quit)
            break;
        int64_t ticket = claim(l);
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        make(l, w, ticket);
        pthread_mutex_lock(&l->lock);
        l->busy--;
        release(l, ticket);
        if (l->lanes)
            pthread_cond_broadcast(&l->work); /* its lane is free */
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
    grd_lanes_close(l);
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

static grd_status init_slot(grd_loader *l, grd_slot *s)
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
    l->workers = GRD_NEW_N(&l->ctx->host, grd_worker, n);
    if (!l->workers)
        return GRD_ERR_MEMORY;
    for (; l->n_samples < n; l->n_samples++) {
        grd_worker *w = &l->workers[l->n_samples];
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
    l->n_slots = o->workers == 0 ? 1 : (int)(prefetch + 1 < l->batches || l->lanes ? prefetch + 1 : l->batches);
    l->slots = GRD_NEW_N(host, grd_slot, l->n_slots);
    if (!l->slots)
        return GRD_ERR_MEMORY;
    for (int k = 0; k < l->n_slots; k++)
        GRD_TRY(init_slot(l, &l->slots[k]));
    l->paused = true; /* nothing to do before the first start */
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
    if (o->drop_last && d->n >= 0 && d->n < batch)
        return grd_fail(host, GRD_ERR_ARG, "loader: drop_last leaves nothing: %lld samples, batch %lld", (long long)d->n,
                        (long long)batch);
    return GRD_OK;
}

/* The order of a set's samples, or of a stream's. */
static grd_status init_order(grd_loader *l, const grd_loader_opts *o)
{
    if (l->data->n < 0) {
        l->batches = -1;
        return grd_lanes_open(l, o);
    }
    GRD_TRY(grd_sampler_init(&l->sampler, l->data, o, l->batch));
    l->batches = o->drop_last ? l->sampler.n_order / l->batch : (l->sampler.n_order - 1) / l->batch + 1;
    return l->batches ? GRD_OK : grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: drop_last leaves nothing");
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
    l->batch = batch < dataset->n || dataset->n < 0 ? batch : dataset->n;
    l->drop_last = o->drop_last;
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
        status = init_order(l, o);
    if (status == GRD_OK)
        status = init(l, o);
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

/* With the lock: no worker is at work, nothing is ready. */
static void pause_work(grd_loader *l)
{
    atomic_store(&l->drop, true);
    l->paused = true;
    while (l->busy > 0)
        pthread_cond_wait(&l->done, &l->lock);
    atomic_store(&l->drop, false);
    for (int k = 0; k < l->n_slots; k++)
        l->slots[k].ready = false;
}

static void resume_work(grd_loader *l, int64_t first_ticket)
{
    l->skipped = 0;
    l->next_made = l->next_given = l->oldest = first_ticket;
    l->paused = false;
    l->started = true;
    pthread_cond_broadcast(&l->work);
}

grd_status grd_loader_start(grd_loader *l, int64_t epoch, int64_t first_batch)
{
    if (l->lanes && first_batch != 0)
        return grd_fail(&l->ctx->host, GRD_ERR_ARG,
                        "loader: batch %lld of a stream: it begins at 0, and grd_loader_restore goes on in the middle",
                        (long long)first_batch);
    if (first_batch < 0 || (!l->lanes && first_batch > l->batches))
        return grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: batch %lld, the epoch has %lld", (long long)first_batch,
                        (long long)l->batches);
    pthread_mutex_lock(&l->lock);
    pause_work(l);
    l->epoch = epoch;
    if (l->lanes)
        grd_lanes_start(l);
    else
        grd_sampler_start(&l->sampler, epoch);
    resume_work(l, first_batch);
    pthread_mutex_unlock(&l->lock);
    return GRD_OK;
}

int grd_loader_save(const grd_loader *l, char *text, size_t size)
{
    if (l->lanes)
        return grd_lanes_save(l, text, size);
    return snprintf(text, size, "epoch %lld batch %lld", (long long)l->epoch, (long long)l->next_given);
}

grd_status grd_loader_restore(grd_loader *l, const char *text)
{
    long long epoch, batch;
    int end = 0;
    if (!l->lanes) {
        if (sscanf(text, "epoch %18lld batch %18lld%n", &epoch, &batch, &end) != 2 || text[end])
            return grd_fail(&l->ctx->host, GRD_ERR_FORMAT, "loader: \"%.60s\" is no place in an epoch of this data set", text);
        return grd_loader_start(l, epoch, batch);
    }
    pthread_mutex_lock(&l->lock);
    pause_work(l);
    l->started = false;
    grd_status status = grd_lanes_restore(l, text);
    if (status == GRD_OK)
        resume_work(l, 0);
    pthread_mutex_unlock(&l->lock);
    return status;
}

/* Gives the caller's slot back and waits for a ticket; false: there is none. */
static bool await(grd_loader *l, int64_t ticket)
{
    grd_slot *s = slot_of(l, ticket);
    pthread_mutex_lock(&l->lock);
    l->oldest = ticket;
    pthread_cond_signal(&l->work); /* one slot has become free: work for one */
    while (!s->ready && !(l->next_made <= ticket && no_more(l)))
        pthread_cond_wait(&l->done, &l->lock);
    bool there = s->ready;
    s->ready = false;
    pthread_mutex_unlock(&l->lock);
    return there;
}

/* The same without workers. */
static bool make_now(grd_loader *l)
{
    if (no_more(l))
        return false;
    const int64_t ticket = claim(l);
    make(l, &l->workers[0], ticket);
    release(l, ticket);
    return true;
}

grd_status grd_loader_next(grd_loader *l, const grd_batch **batch)
{
    grd_slot *s;
    *batch = NULL;
    if (!l->started)
        return grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: grd_loader_start comes before grd_loader_next");
    do {
        if (!(l->n_threads ? await(l, l->next_given) : make_now(l)))
            return GRD_OK;
        s = slot_of(l, l->next_given++);
        if (l->lanes)
            grd_lanes_given(l, s);
    } while (s->empty);
    l->skipped += s->batch.skipped;
    if (s->status != GRD_OK)
        return grd_fail(&l->ctx->host, s->status, "batch %lld: %s", (long long)s->batch.number, s->error);
    *batch = &s->batch;
    return GRD_OK;
}

int64_t grd_loader_skipped(const grd_loader *l) { return l->skipped; }
