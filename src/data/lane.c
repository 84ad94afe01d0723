#include "data/lane.h"

#include <stdio.h>
#include <string.h>

static const grd_stream_calls *calls_of(const grd_lane *l) { return l->data->source->row->stream; }
static int64_t shard_of(const grd_lane *l) { return l->order ? l->order[l->turn] : l->turn; }

/* Puts who failed, and where in the stream, before the row's own message; sample < 0: before the first one. */
static grd_status failed(const grd_lane *l, const char *row, int64_t shard, int64_t sample, grd_sample *out, grd_status status)
{
    const grd_opened *source = l->data->source;
    char name[160] = "", at[40] = "";
    if (source->row->name_of) {
        char own[128] = "";
        source->row->name_of(source->state, shard, own, sizeof own);
        snprintf(name, sizeof name, " (%s)", own);
    }
    if (sample >= 0)
        snprintf(at, sizeof at, ", sample %lld", (long long)sample);
    return grd_sample_fail_in(out, status, "%s: shard %lld%s%s: ", row, (long long)shard, name, at);
}

/* ---- cursors ---- */

static grd_status open_cursor(grd_lane *l, grd_sample *errors)
{
    const grd_key key = { grd_hash(l->seed, "stream"), (uint64_t)l->epoch, (uint64_t)shard_of(l) };
    grd_status status = calls_of(l)->begin(l->data->source->state, shard_of(l), &key, &l->cursor, errors);
    l->open = status == GRD_OK;
    return status;
}

static void close_cursor(grd_lane *l)
{
    if (l->open && calls_of(l)->end)
        calls_of(l)->end(l->cursor);
    l->open = false;
    l->cursor = NULL;
}

static void leave_shard(grd_lane *l)
{
    close_cursor(l);
    l->turn += l->step;
    l->place = 0;
}

void grd_lane_start(grd_lane *l, uint64_t seed, int64_t epoch, int64_t first)
{
    close_cursor(l);
    l->seed = seed;
    l->epoch = epoch;
    l->turn = first;
    l->place = l->block.n = l->block.at = 0;
}

grd_status grd_lane_shuffle(grd_lane *l, int64_t n)
{
    grd_ctx *ctx = l->data->ctx;
    l->block.item = GRD_NEW_N(&ctx->host, grd_lane_sample, n);
    l->block.order = GRD_NEW_N(&ctx->host, int64_t, n);
    if (!l->block.item || !l->block.order)
        return GRD_ERR_MEMORY;
    for (; l->block.room < n; l->block.room++)
        GRD_TRY(grd_sample_new(l->data, ctx, &l->block.item[l->block.room].sample));
    return GRD_OK;
}

void grd_lane_close(grd_lane *l)
{
    if (!l->data)
        return;
    close_cursor(l);
    for (int64_t i = 0; i < l->block.room; i++)
        grd_sample_free(l->block.item[i].sample, l->data->ctx);
    grd_free(&l->data->ctx->host, l->block.item);
    grd_free(&l->data->ctx->host, l->block.order);
}

/* ---- samples ---- */

/* The source's part of a sample; *over: the shard has no more. *broken: nor could it say so. */
static grd_status read_raw(grd_lane *l, grd_sample *out, bool *over, bool *broken)
{
    const char *name = l->data->source->row->name;
    *over = false;
    *broken = true;
    GRD_TRY(grd_sample_begin(l->data, out));
    if (!l->open) {
        grd_status status = open_cursor(l, out);
        if (status != GRD_OK)
            return failed(l, name, shard_of(l), -1, out, status);
    }
    grd_status status = calls_of(l)->next(l->cursor, out, over);
    *broken = status != GRD_OK && status != GRD_ERR_DATA;
    return status == GRD_OK ? GRD_OK : failed(l, name, shard_of(l), l->place, out, status);
}

/* In the stream's own order. False: the lane has no more. */
static bool read_next(grd_lane *l, grd_lane_sample *next)
{
    while (l->turn < l->data->source->shards) {
        bool over;
        next->shard = shard_of(l);
        next->place = l->place;
        next->status = read_raw(l, next->sample, &over, &next->broken);
        if (next->broken || (next->status == GRD_OK && over))
            leave_shard(l);
        else
            l->place++;
        if (next->status != GRD_OK || !over)
            return true;
    }
    return false;
}

static grd_status tell_raw(const grd_lane *l, grd_position *p, grd_sample *errors);

/* Samples are made in their own memory: batches that they went to before are gone. */
static void keep_apart(grd_sample *sample)
{
    for (int f = 0; f < sample->n; f++)
        sample->memory->place[f] = sample->memory->last[f] = NULL;
}

static grd_status read_block(grd_lane *l, grd_sample *errors)
{
    grd_lane_block *b = &l->block;
    b->n = b->at = 0;
    grd_status status = tell_raw(l, &b->start, errors);
    if (status != GRD_OK) {
        leave_shard(l); /* or it would fail for ever */
        return status;
    }
    for (; b->n < b->room; b->n++) {
        keep_apart(b->item[b->n].sample);
        if (!read_next(l, &b->item[b->n]))
            break;
        b->order[b->n] = b->n;
    }
    char turn[32];
    snprintf(turn, sizeof turn, "%lld", (long long)b->start.turn);
    const grd_key key = { grd_hash(grd_hash(l->seed, "shuffle"), turn), (uint64_t)l->epoch, (uint64_t)b->start.place };
    grd_shuffle(&key, b->order, b->n);
    return GRD_OK;
}

grd_status grd_lane_next(grd_lane *l, grd_sample *room, grd_lane_sample *next, bool *end)
{
    grd_lane_block *b = &l->block;
    *next = (grd_lane_sample){ .sample = room };
    if (!b->room) {
        *end = !read_next(l, next);
        return GRD_OK;
    }
    if (b->at == b->n)
        GRD_TRY(read_block(l, room));
    *end = b->n == 0;
    if (!*end)
        *next = b->item[b->order[b->at++]];
    return GRD_OK;
}

grd_status grd_lane_complete(const grd_lane *l, const grd_lane_sample *next)
{
    char shard[32];
    const char *who;
    snprintf(shard, sizeof shard, "%lld", (long long)next->shard);
    const grd_key key = { grd_hash(grd_hash(l->seed, "transform"), shard), (uint64_t)l->epoch, (uint64_t)next->place };
    grd_status status = grd_sample_complete(l->data, -1, l->plain ? NULL : &key, next->sample, &who);
    return status == GRD_OK ? GRD_OK : failed(l, who, next->shard, next->place, next->sample, status);
}

/* ---- positions ---- */

static bool is_position(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c < '!' || *c > '~')
            return false;
    return *text;
}

static grd_status tell_raw(const grd_lane *l, grd_position *p, grd_sample *errors)
{
    *p = (grd_position){ .turn = l->turn, .place = l->place };
    if (l->place == 0 || !calls_of(l)->tell)
        return GRD_OK;
    calls_of(l)->tell(l->cursor, p->text, sizeof p->text);
    if (!memchr(p->text, 0, sizeof p->text) || !is_position(p->text))
        return grd_sample_fail(errors, GRD_ERR_ARG, "%s: shard %lld: its position is not 1 to %d visible ASCII characters",
                               l->data->source->row->name, (long long)shard_of(l), GRD_POSITION - 1);
    return GRD_OK;
}

grd_status grd_lane_tell(const grd_lane *l, grd_position *p, grd_sample *errors)
{
    if (l->block.at == l->block.n)
        return tell_raw(l, p, errors);
    *p = l->block.start;
    p->taken = l->block.at;
    return GRD_OK;
}

static grd_status changed(const grd_lane *l, int64_t found, int64_t expected, grd_sample *out)
{
    return grd_sample_fail(out, GRD_ERR_DATA, "%s: shard %lld has %lld samples, expected at least %lld: the data have changed",
                           l->data->source->row->name, (long long)shard_of(l), (long long)found, (long long)expected);
}

/* Reads again what lies before the place. */
static grd_status read_again(grd_lane *l, int64_t place, grd_sample *out)
{
    for (l->place = 0; l->place < place; l->place++) {
        bool over, broken;
        grd_status status = read_raw(l, out, &over, &broken);
        if (broken)
            return status;
        if (over)
            return changed(l, l->place, place, out);
    }
    return GRD_OK;
}

static grd_status seek_raw(grd_lane *l, const grd_position *p, grd_sample *errors)
{
    close_cursor(l);
    l->turn = p->turn;
    l->place = p->place;
    if (grd_lane_ended(l) || p->place == 0)
        return GRD_OK; /* begun when it is read */
    if (!p->text[0])
        return read_again(l, p->place, errors);
    errors->error[0] = 0;
    grd_status status = calls_of(l)->seek ? open_cursor(l, errors) : grd_sample_fail(errors, GRD_ERR_ARG, "it has no seek");
    if (status == GRD_OK)
        status = calls_of(l)->seek(l->cursor, p->text, errors);
    return status == GRD_OK ? GRD_OK : failed(l, l->data->source->row->name, shard_of(l), p->place, errors, status);
}

grd_status grd_lane_seek(grd_lane *l, const grd_position *p, grd_sample *errors)
{
    l->block.n = l->block.at = 0;
    GRD_TRY(seek_raw(l, p, errors));
    if (p->taken == 0)
        return GRD_OK;
    GRD_TRY(read_block(l, errors));
    if (p->taken > l->block.n)
        return grd_sample_fail(errors, GRD_ERR_DATA,
                               "%s: %lld samples to be shuffled, expected at least %lld: the data have changed",
                               l->data->source->row->name, (long long)l->block.n, (long long)p->taken);
    l->block.at = p->taken;
    return GRD_OK;
}

/* ---- all samples in turn ---- */

grd_walk grd_walk_begin(const grd_dataset *data)
{
    return (grd_walk){ .lane = { .data = data, .step = 1, .plain = true } };
}

grd_status grd_walk_next(grd_walk *w, grd_sample *out, bool *end)
{
    const grd_dataset *d = w->lane.data;
    if (d->n < 0) {
        grd_lane_sample next;
        GRD_TRY(grd_lane_next(&w->lane, out, &next, end));
        w->place = next.place;
        return *end || next.status != GRD_OK ? next.status : grd_lane_complete(&w->lane, &next);
    }
    *end = w->next == d->n;
    if (*end)
        return GRD_OK;
    w->place = grd_dataset_index(d, w->next);
    return grd_dataset_get(d, w->next++, NULL, out);
}

void grd_walk_end(grd_walk *w) { grd_lane_close(&w->lane); }
