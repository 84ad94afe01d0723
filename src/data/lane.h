/* A lane of a stream: some of its shards read one after the other, sample by sample, from any place on. Used by one thread at a
 * time. And all samples of a data set in turn, whatever its kind. */
#ifndef GRD_DATA_LANE_H
#define GRD_DATA_LANE_H

#include "data/dataset.h"

typedef struct grd_position { /* behind a sample */
    int64_t turn;             /* which shard of the order; the number of shards or more: the lane has ended */
    int64_t place;            /* samples of the shard before it */
    char text[GRD_POSITION];  /* the cursor's own; "" = place says it */
} grd_position;

typedef struct grd_lane {
    const grd_dataset *data;
    uint64_t seed;
    int64_t epoch;
    const int64_t *order;     /* of shards; NULL = 0, 1, 2, ... */
    int64_t step;             /* from a shard's turn to that of the lane's next one */
    int64_t turn, place;      /* of the next sample, as in a position */
    void *cursor;             /* if open */
    bool open, broken;        /* broken: the last failure was the end of its shard */
    bool plain;               /* transforms draw nothing */
} grd_lane;

/* Puts a zeroed lane with data, step and order at the beginning of an epoch. */
void grd_lane_start(grd_lane *lane, uint64_t seed, int64_t epoch, int64_t first);
void grd_lane_close(grd_lane *lane);
static inline bool grd_lane_ended(const grd_lane *l) { return l->turn >= l->data->source->shards; }

/* The next sample, transformed, and its place in its shard; *end: there is none. After a failure the lane stands behind the sample
 * that could not be read, or at its next shard. */
grd_status grd_lane_next(grd_lane *lane, grd_sample *out, int64_t *place, bool *end);

/* Messages are left in the sample. */
grd_status grd_lane_tell(const grd_lane *lane, grd_position *position, grd_sample *errors);
grd_status grd_lane_seek(grd_lane *lane, const grd_position *position, grd_sample *errors);

/* ---- all samples in turn, nothing random ---- */

typedef struct grd_walk {
    grd_lane lane;
    int64_t next, place; /* place: of the last sample, its index in the source or its place in its shard */
} grd_walk;

grd_walk grd_walk_begin(const grd_dataset *data);
grd_status grd_walk_next(grd_walk *walk, grd_sample *out, bool *end);
void grd_walk_end(grd_walk *walk);

#endif
