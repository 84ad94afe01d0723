#include "data/lane.h"

#include <stdio.h>
#include <string.h>

static const grd_stream_calls *calls_of(const grd_lane *l) { return l->data->source->row->stream; }
static int64_t shard_of(const grd_lane *l) { return l->order ? l->order[l->turn] : l->turn; }

/* Puts who failed, and where in the stream, before the row's own message; sample < 0: before the first one. */
static grd_status failed(const grd_lane *l, const char *row, int64_t sample, grd_sample *out, grd_status status)
{
    const grd_opened *source = l->data->source;
    char name[160] = "", at[40] = "";
    if (source->row->name_of) {
        char own[128] = "";
        source->row->name_of(source->state, shard_of(l), own, sizeof own);
        snprintf(name, sizeof name, " (%s)", own);
    }
    if (sample >= 0)
        snprintf(at, sizeof at, ", sample %lld", (long long)sample);
    return grd_sample_fail_in(out, status, "%s: shard %lld%s%s: ", row, (long long)shard_of(l), name, at);
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
    l->place = 0;
}

void grd_lane_close(grd_lane *l)
{
    if (l->data)
        close_cursor(l);
}

/* ---- samples ---- */

/* The source's part of a sample; *over: the shard has no more. */
static grd_status read_raw(grd_lane *l, grd_sample *out, bool *over)
{
    GRD_TRY(grd_sample_begin(l->data, out));
    if (!l->open) {
        grd_status status = open_cursor(l, out);
        if (status != GRD_OK) {
            failed(l, l->data->source->row->name, -1, out, status);
            l->broken = true;
            return status;
        }
    }
    grd_status status = calls_of(l)->next(l->cursor, out, over);
    if (status == GRD_OK)
        return GRD_OK;
    failed(l, l->data->source->row->name, l->place, out, status);
    l->broken = status != GRD_ERR_DATA;
    return status;
}

static grd_status complete(const grd_lane *l, int64_t place, grd_sample *out)
{
    char shard[32];
    const char *who;
    snprintf(shard, sizeof shard, "%lld", (long long)shard_of(l));
    const grd_key key = { grd_hash(grd_hash(l->seed, "transform"), shard), (uint64_t)l->epoch, (uint64_t)place };
    grd_status status = grd_sample_complete(l->data, -1, l->plain ? NULL : &key, out, &who);
    return status == GRD_OK ? GRD_OK : failed(l, who, place, out, status);
}

grd_status grd_lane_next(grd_lane *l, grd_sample *out, int64_t *place, bool *end)
{
    *end = false;
    while (!grd_lane_ended(l)) {
        bool over = false;
        l->broken = false;
        grd_status status = read_raw(l, out, &over);
        if (l->broken || (status == GRD_OK && over)) {
            leave_shard(l);
            if (status == GRD_OK)
                continue;
            return status;
        }
        *place = l->place++;
        return status == GRD_OK ? complete(l, *place, out) : status;
    }
    *end = true;
    return GRD_OK;
}

/* ---- positions ---- */

static bool is_position(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c < '!' || *c > '~')
            return false;
    return *text;
}

grd_status grd_lane_tell(const grd_lane *l, grd_position *p, grd_sample *errors)
{
    p->turn = l->turn;
    p->place = l->place;
    p->text[0] = 0;
    if (l->place == 0 || !calls_of(l)->tell)
        return GRD_OK;
    calls_of(l)->tell(l->cursor, p->text, sizeof p->text);
    if (!memchr(p->text, 0, sizeof p->text) || !is_position(p->text))
        return grd_sample_fail(errors, GRD_ERR_ARG, "%s: shard %lld: its position is not 1 to %d visible ASCII characters",
                               l->data->source->row->name, (long long)shard_of(l), GRD_POSITION - 1);
    return GRD_OK;
}

/* Reads again what lies before the place. */
static grd_status read_again(grd_lane *l, int64_t place, grd_sample *out)
{
    for (l->place = 0; l->place < place; l->place++) {
        bool over = false;
        l->broken = false;
        grd_status status = read_raw(l, out, &over);
        if (status != GRD_OK && status != GRD_ERR_DATA)
            return status;
        if (over)
            return grd_sample_fail(out, GRD_ERR_DATA,
                                   "%s: shard %lld has %lld samples, expected at least %lld: the data have changed",
                                   l->data->source->row->name, (long long)shard_of(l), (long long)l->place, (long long)place);
    }
    return GRD_OK;
}

grd_status grd_lane_seek(grd_lane *l, const grd_position *p, grd_sample *errors)
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
    return status == GRD_OK ? GRD_OK : failed(l, l->data->source->row->name, p->place, errors, status);
}

/* ---- all samples in turn ---- */

grd_walk grd_walk_begin(const grd_dataset *data)
{
    return (grd_walk){ .lane = { .data = data, .step = 1, .plain = true } };
}

grd_status grd_walk_next(grd_walk *w, grd_sample *out, bool *end)
{
    const grd_dataset *d = w->lane.data;
    if (d->n < 0)
        return grd_lane_next(&w->lane, out, &w->place, end);
    *end = w->next == d->n;
    if (*end)
        return GRD_OK;
    w->place = grd_dataset_index(d, w->next);
    return grd_dataset_get(d, w->next++, NULL, out);
}

void grd_walk_end(grd_walk *w) { grd_lane_close(&w->lane); }
