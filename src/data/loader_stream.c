/* What a loader gives of a stream: tickets for lanes in turn, batches of one lane, and the place in an epoch as text. */
#include "data/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static grd_status check(const grd_loader *l, const grd_loader_opts *o)
{
    const char *name = l->data->source->row->name;
    grd_host *host = &l->ctx->host;
    if (o->shuffle && o->shuffle_buffer < 1)
        return grd_fail(host, GRD_ERR_ARG,
                        "loader: %s is a stream: to shuffle it samples must be read ahead; give shuffle_buffer, or switch shuffle "
                        "off", name);
    if (o->sampler != GRD_SAMPLER_PLAIN)
        return grd_fail(host, GRD_ERR_ARG, "loader: %s is a stream: of the samplers only plain can be used", name);
    if (o->ranks > 1)
        return grd_fail(host, GRD_ERR_ARG, "loader: %s is a stream: it cannot be shared out among %d ranks", name, o->ranks);
    if (l->data->source->shards == 0)
        return grd_fail(host, GRD_ERR_ARG, "loader: %s has no shards", name);
    return GRD_OK;
}

static grd_status open_shuffle(grd_loader *l, int64_t buffer)
{
    grd_lanes *a = l->lanes;
    a->buffer = (buffer - 1) / a->n + 1;
    if (a->buffer > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(&l->ctx->host, GRD_ERR_ARG, "loader: shuffle_buffer %lld is too large", (long long)buffer);
    a->order = GRD_NEW_N(&l->ctx->host, int64_t, l->data->source->shards);
    if (!a->order)
        return GRD_ERR_MEMORY;
    for (int k = 0; k < a->n; k++) {
        a->item[k].lane.order = a->order;
        GRD_TRY(grd_lane_shuffle(&a->item[k].lane, a->buffer));
    }
    return GRD_OK;
}

grd_status grd_lanes_open(grd_loader *l, const grd_loader_opts *o)
{
    GRD_TRY(check(l, o));
    l->lanes = GRD_NEW(&l->ctx->host, grd_lanes);
    if (!l->lanes)
        return GRD_ERR_MEMORY;
    const int64_t shards = l->data->source->shards;
    l->lanes->n = shards < GRD_MAX_LANES ? (int)shards : GRD_MAX_LANES;
    for (int k = 0; k < l->lanes->n; k++)
        l->lanes->item[k].lane = (grd_lane){ .data = l->data, .step = l->lanes->n };
    return o->shuffle ? open_shuffle(l, o->shuffle_buffer) : GRD_OK;
}

void grd_lanes_close(grd_loader *l)
{
    if (!l->lanes)
        return;
    for (int k = 0; k < l->lanes->n; k++)
        grd_lane_close(&l->lanes->item[k].lane);
    grd_free(&l->ctx->host, l->lanes->order);
    grd_free(&l->ctx->host, l->lanes);
}

/* The order of shards in the epoch. */
static void shuffle_shards(grd_loader *l)
{
    const int64_t n = l->lanes->order ? l->data->source->shards : 0;
    const grd_key key = { grd_hash(l->seed, "shards"), (uint64_t)l->epoch, 0 };
    for (int64_t i = 0; i < n; i++)
        l->lanes->order[i] = i;
    grd_shuffle(&key, l->lanes->order, n);
}

void grd_lanes_start(grd_loader *l)
{
    grd_lanes *a = l->lanes;
    shuffle_shards(l);
    for (int k = 0; k < a->n; k++) {
        grd_lane_start(&a->item[k].lane, l->seed, l->epoch, k);
        a->item[k].behind = (grd_position){ .turn = k };
        a->item[k].busy = a->item[k].ended = false;
    }
    a->next = a->given = 0;
    a->round = a->given_round = 0;
    a->batches = a->samples = 0;
}

/* ---- tickets ---- */

bool grd_lanes_next(const grd_lanes *a, int *lane, int64_t *round)
{
    for (int k = a->next; k < a->next + a->n; k++) {
        *lane = k % a->n;
        *round = a->round + k / a->n;
        if (!a->item[*lane].ended)
            return true;
    }
    return false;
}

bool grd_lanes_ready(const grd_loader *l)
{
    int lane;
    int64_t round;
    return grd_lanes_next(l->lanes, &lane, &round) && !l->lanes->item[lane].busy;
}

void grd_lanes_claim(grd_loader *l, grd_slot *s)
{
    grd_lanes *a = l->lanes;
    grd_lanes_next(a, &s->lane, &s->round);
    a->item[s->lane].busy = true;
    a->next = (s->lane + 1) % a->n;
    a->round = s->round + (a->next == 0);
}

void grd_lanes_release(grd_loader *l, grd_slot *s)
{
    l->lanes->item[s->lane].busy = false;
    l->lanes->item[s->lane].ended = grd_lane_ended(&l->lanes->item[s->lane].lane);
}

void grd_lanes_given(grd_loader *l, grd_slot *s)
{
    grd_lanes *a = l->lanes;
    a->item[s->lane].behind = s->behind;
    a->given = (s->lane + 1) % a->n;
    a->given_round = s->round + (a->given == 0);
    if (s->empty)
        return;
    s->batch.number = a->batches++;
    s->batch.first = a->samples;
    a->samples += s->batch.n + s->batch.skipped;
}

/* ---- one batch ---- */

/* The lane's next sample into the batch. The message of a failure is in the worker's sample. */
static grd_status read_row(const grd_loader *l, grd_worker *w, grd_slot *s, bool *end)
{
    grd_lane *lane = &l->lanes->item[s->lane].lane;
    grd_lane_sample next;
    grd_slot_aim(l, s, w->sample);
    GRD_TRY(grd_lane_next(lane, w->sample, &next, end));
    if (*end)
        return GRD_OK;
    if (next.sample != w->sample)
        grd_slot_aim(l, s, next.sample);
    grd_status status = next.status == GRD_OK ? grd_lane_complete(lane, &next) : next.status;
    if (!next.broken) /* if it is, more than a sample is lost: never passed over */
        status = grd_slot_settle(l, s, next.sample, next.place, status);
    if (status != GRD_OK && next.sample != w->sample)
        memcpy(w->sample->error, next.sample->error, sizeof w->sample->error);
    return status;
}

static grd_status read_rows(grd_loader *l, grd_worker *w, grd_slot *s, bool *end)
{
    while (!*end && s->batch.n + s->batch.skipped < l->batch && !atomic_load_explicit(&l->drop, memory_order_relaxed))
        GRD_TRY(read_row(l, w, s, end));
    return GRD_OK;
}

grd_status grd_lanes_fill(grd_loader *l, grd_worker *w, grd_slot *s)
{
    bool end = false;
    grd_slot_clear(s);
    grd_status status = read_rows(l, w, s, &end), told = grd_lane_tell(&l->lanes->item[s->lane].lane, &s->behind, w->sample);
    status = status == GRD_OK ? told : status;
    const int64_t n = s->batch.n + s->batch.skipped;
    s->empty = end && (n == 0 || (l->drop_last && n < l->batch));
    if (status != GRD_OK || s->empty)
        return status;
    return grd_slot_finish(l, w, s, (uint64_t)s->round * (uint64_t)l->lanes->n + (uint64_t)s->lane);
}

/* ---- the place as text ---- */

enum { HEAD = 400 };

/* What must be the same in a loader that goes on. Returns its length. */
static int head_text(const grd_loader *l, char head[HEAD])
{
    const grd_opened *source = l->data->source;
    return snprintf(head, HEAD, "stream %.200s shards %lld lanes %d batch %lld seed %llu shuffle %lld", source->row->name,
                    (long long)source->shards, l->lanes->n, (long long)l->batch, (unsigned long long)l->seed,
                    (long long)l->lanes->buffer);
}

/* The rest of a text that is being written, as snprintf leaves it. */
#define PUT(...) at += snprintf((size_t)at < size ? text + at : NULL, (size_t)at < size ? size - (size_t)at : 0, __VA_ARGS__)

int grd_lanes_save(const grd_loader *l, char *text, size_t size)
{
    const grd_lanes *a = l->lanes;
    int at = 0;
    char head[HEAD];
    head_text(l, head);
    PUT("%s epoch %lld batches %lld samples %lld round %lld lane %d", head, (long long)l->epoch, (long long)a->batches,
        (long long)a->samples, (long long)a->given_round, a->given);
    for (int k = 0; k < a->n; k++) {
        const grd_position *p = &a->item[k].behind;
        PUT(" | %lld %lld %s %lld", (long long)p->turn, (long long)p->place, p->text[0] ? p->text : "-", (long long)p->taken);
    }
    return at;
}

/* The next word of *text, into `word`; false: it is missing, or too long. */
static bool take_word(const char **text, char word[GRD_POSITION])
{
    *text += strspn(*text, " ");
    size_t n = strcspn(*text, " ");
    if (n == 0 || n >= GRD_POSITION)
        return false;
    memcpy(word, *text, n);
    word[n] = 0;
    *text += n;
    return true;
}

/* A number of 0 or more, after the word `key` if one is given. */
static bool take_number(const char **text, const char *key, int64_t *number)
{
    char word[GRD_POSITION];
    if (key && (!take_word(text, word) || strcmp(word, key) != 0))
        return false;
    if (!take_word(text, word) || strlen(word) > 18 || strspn(word, "0123456789") != strlen(word))
        return false;
    *number = strtoll(word, NULL, 10);
    return true;
}

static bool take_head(const grd_loader *l, const char **text)
{
    char head[HEAD];
    const size_t n = (size_t)head_text(l, head);
    if (strncmp(*text, head, n) != 0 || (*text)[n] != ' ')
        return false;
    *text += n;
    return true;
}

static bool take_position(const grd_loader *l, const char **text, int k, grd_position *p)
{
    char bar[GRD_POSITION];
    const int64_t shards = l->data->source->shards, n = l->lanes->n;
    bool good = take_word(text, bar) && strcmp(bar, "|") == 0 && take_number(text, NULL, &p->turn) &&
                take_number(text, NULL, &p->place) && take_word(text, p->text) && take_number(text, NULL, &p->taken);
    if (good && strcmp(p->text, "-") == 0)
        p->text[0] = 0;
    return good && p->turn % n == k && p->turn < shards + n && p->taken <= l->lanes->buffer &&
           (p->turn < shards || (p->place == 0 && p->taken == 0));
}

static bool take_place(grd_loader *l, const char *text)
{
    grd_lanes *a = l->lanes;
    int64_t lane;
    bool good = take_head(l, &text) && take_number(&text, "epoch", &l->epoch) && take_number(&text, "batches", &a->batches) &&
                take_number(&text, "samples", &a->samples) && take_number(&text, "round", &a->round) &&
                take_number(&text, "lane", &lane) && lane < a->n;
    for (int k = 0; k < a->n && good; k++)
        good = take_position(l, &text, k, &a->item[k].behind);
    if (!good || *text)
        return false;
    a->next = a->given = (int)lane;
    a->given_round = a->round;
    return true;
}

grd_status grd_lanes_restore(grd_loader *l, const char *text)
{
    grd_lanes *a = l->lanes;
    grd_host *host = &l->ctx->host;
    char head[HEAD];
    head_text(l, head);
    if (!take_place(l, text))
        return grd_fail(host, GRD_ERR_FORMAT, "loader: \"%.200s\" is no place in this stream (%s)", text, head);
    shuffle_shards(l);
    for (int k = 0; k < a->n; k++) {
        grd_sample *sample = l->workers[0].sample;
        grd_lane_start(&a->item[k].lane, l->seed, l->epoch, k);
        grd_status status = grd_lane_seek(&a->item[k].lane, &a->item[k].behind, sample);
        if (status != GRD_OK)
            return grd_fail(host, status, "loader: %s", sample->error);
        a->item[k].busy = false;
        a->item[k].ended = grd_lane_ended(&a->item[k].lane);
    }
    return GRD_OK;
}
