#include "data/sampler.h"

#include "data/classes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is read once ---- */

static grd_status use_weights(grd_sampler *s, const double *weights)
{
    double sum = 0;
    s->cumulative = GRD_NEW_N(s->host, double, s->n);
    if (!s->cumulative)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < s->n; i++) {
        if (!(weights[i] >= 0) || !isfinite(weights[i]))
            return grd_fail(s->host, GRD_ERR_ARG, "loader: weight %g of sample %lld, expected a number of 0 or more", weights[i],
                            (long long)i);
        s->cumulative[i] = sum += weights[i];
    }
    return sum > 0 ? GRD_OK : grd_fail(s->host, GRD_ERR_ARG, "loader: all weights are 0");
}

static grd_status balance(grd_sampler *s, const grd_dataset *data)
{
    grd_classes c = { .field = -1 };
    double *weight = GRD_NEW_N(s->host, double, s->n);
    int64_t *count = NULL;
    grd_status status = weight ? grd_classes_read(data, "loader: sampler balanced", "label", &c) : GRD_ERR_MEMORY;
    if (status == GRD_OK && !(count = GRD_NEW_N(s->host, int64_t, c.n)))
        status = GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        for (int64_t i = 0; i < s->n; i++)
            count[c.of[i]]++;
        for (int64_t i = 0; i < s->n; i++)
            weight[i] = 1 / (double)count[c.of[i]];
        status = use_weights(s, weight);
    }
    grd_free(s->host, weight);
    grd_free(s->host, count);
    grd_free(s->host, c.of);
    return status;
}

static grd_status measure(grd_sampler *s, const grd_dataset *data)
{
    int f = 0;
    while (f < data->n_fields && !grd_shape_varies(&data->field[f].shape))
        f++;
    if (f == data->n_fields)
        return grd_fail(s->host, GRD_ERR_ARG, "loader: sampler bucketed: no field's length varies, expected one such as text");
    s->length = GRD_NEW_N(s->host, int64_t, s->n);
    s->room = GRD_NEW_N(s->host, int64_t, s->n);
    s->place = GRD_NEW_N(s->host, int64_t, s->n / s->batch + 1);
    return s->length && s->room && s->place ? grd_lengths_read(data, "loader: sampler bucketed", f, s->length) : GRD_ERR_MEMORY;
}

grd_status grd_sampler_init(grd_sampler *s, const grd_dataset *data, const grd_loader_opts *o, int64_t batch)
{
    grd_host *host = &data->ctx->host;
    *s = (grd_sampler){ .host = host, .kind = o->sampler, .shuffle = o->shuffle, .seed = o->seed, .n = data->n, .batch = batch,
                        .rank = o->rank, .ranks = o->ranks ? o->ranks : 1 };
    if (s->ranks < 1 || s->rank < 0 || s->rank >= s->ranks)
        return grd_fail(host, GRD_ERR_ARG, "loader: rank %d of %d, expected 0..%d", s->rank, s->ranks, s->ranks - 1);
    s->n_order = (s->n - 1) / s->ranks + 1;
    switch (s->kind) {
    case GRD_SAMPLER_PLAIN: break;
    case GRD_SAMPLER_WEIGHTED:
        if (!o->weights)
            return grd_fail(host, GRD_ERR_ARG, "loader: sampler weighted without weights");
        GRD_TRY(use_weights(s, o->weights));
        break;
    case GRD_SAMPLER_BALANCED: GRD_TRY(balance(s, data)); break;
    case GRD_SAMPLER_BUCKETED: GRD_TRY(measure(s, data)); break;
    default: return grd_fail(host, GRD_ERR_ARG, "loader: sampler %d, expected 0..%d", s->kind, GRD_SAMPLER_BUCKETED);
    }
    if (s->kind == GRD_SAMPLER_PLAIN && !s->shuffle && s->ranks == 1)
        return GRD_OK;
    s->order = GRD_NEW_N(host, int64_t, s->n + s->ranks);
    return s->order ? GRD_OK : GRD_ERR_MEMORY;
}

void grd_sampler_drop(grd_sampler *s)
{
    grd_free(s->host, s->cumulative);
    grd_free(s->host, s->length);
    grd_free(s->host, s->room);
    grd_free(s->host, s->place);
    grd_free(s->host, s->order);
    s->cumulative = NULL;
    s->length = s->room = s->place = s->order = NULL;
}

/* ---- an epoch ---- */

/* n draws with replacement: each the first sample whose cumulative weight is larger than a uniform share of the sum. */
static void draw(grd_sampler *s, int64_t epoch)
{
    const grd_key key = { grd_hash(s->seed, "draw"), (uint64_t)epoch, 0 };
    const double sum = s->cumulative[s->n - 1];
    for (int64_t i = 0; i < s->n; i++) {
        uint32_t word[4];
        grd_random4(&key, (uint64_t)i, 0, word);
        double x = ((double)(((uint64_t)word[0] << 21) ^ (word[1] >> 11)) / 9007199254740992.0) * sum; /* 53 bits */
        int64_t lo = 0, hi = s->n - 1;
        while (lo < hi) {
            int64_t mid = lo + (hi - lo) / 2;
            if (s->cumulative[mid] > x)
                hi = mid;
            else
                lo = mid + 1;
        }
        s->order[i] = lo;
    }
}

/* Sorts order[0..n) by length, short ones first; equal ones stay as they are (merge sort, `room` for n). */
static void sort_by_length(const int64_t *length, int64_t *order, int64_t *room, int64_t n)
{
    if (n < 2)
        return;
    int64_t half = n / 2, a = 0, b = half;
    sort_by_length(length, order, room, half);
    sort_by_length(length, order + half, room, n - half);
    for (int64_t i = 0; i < n; i++)
        room[i] = b == n || (a < half && length[order[a]] <= length[order[b]]) ? order[a++] : order[b++];
    memcpy(order, room, (size_t)n * sizeof *order);
}

/* Within pools of 50 batches samples are sorted by length; then whole batches change places. A short last batch stays the last. */
static void bucket(grd_sampler *s, int64_t epoch)
{
    enum { POOL = 50 };
    const int64_t whole = s->n / s->batch;
    for (int64_t i = 0; i < s->n; i += POOL * s->batch)
        sort_by_length(s->length, s->order + i, s->room, s->n - i < POOL * s->batch ? s->n - i : POOL * s->batch);
    if (!s->shuffle)
        return;
    const grd_key key = { grd_hash(s->seed, "buckets"), (uint64_t)epoch, 0 };
    for (int64_t b = 0; b < whole; b++)
        s->place[b] = b;
    grd_shuffle(&key, s->place, whole);
    memcpy(s->room, s->order, (size_t)s->n * sizeof *s->room);
    for (int64_t b = 0; b < whole; b++)
        memcpy(s->order + b * s->batch, s->room + s->place[b] * s->batch, (size_t)s->batch * sizeof *s->room);
}

/* This process' share; the first of the order fill up what the last ranks lack. In place: place i is read from i * ranks or later. */
static void share(grd_sampler *s)
{
    for (int64_t i = s->n; i < s->n_order * s->ranks; i++)
        s->order[i] = s->order[(i - s->n) % s->n];
    for (int64_t i = 0; i < s->n_order; i++)
        s->order[i] = s->order[i * s->ranks + s->rank];
}

void grd_sampler_start(grd_sampler *s, int64_t epoch)
{
    if (!s->order)
        return;
    if (s->cumulative) {
        draw(s, epoch);
    } else {
        for (int64_t i = 0; i < s->n; i++)
            s->order[i] = i;
        if (s->shuffle) {
            grd_key key = { grd_hash(s->seed, "shuffle"), (uint64_t)epoch, 0 };
            grd_shuffle(&key, s->order, s->n);
        }
        if (s->length)
            bucket(s, epoch);
    }
    if (s->ranks > 1)
        share(s);
}
