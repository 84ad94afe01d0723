/* A lane of a stream: some of its shards read one after the other, sample by sample, from any place on. Used by one thread at a
 * time. And all samples of a data set in turn, whatever its kind. */
#ifndef GRD_DATA_LANE_H
#define GRD_DATA_LANE_H

#include "data/dataset.h"

typedef struct grd_position { /* behind a sample */
    int64_t turn;             /* which shard of the order; the number of shards or more: the lane has ended */
    int64_t place;            /* samples of the shard before it */
    char text[GRD_POSITION];  /* the cursor's own; "" = place says it */
    int64_t taken;            /* of a shuffled lane: samples given of the block that begins there */
} grd_position;

typedef struct grd_lane_sample {
    grd_sample *sample;       /* as the source left it */
    int64_t shard, place;
    grd_status status;        /* of reading it; its message is in the sample */
    bool broken;              /* this was the end of its shard */
} grd_lane_sample;

typedef struct grd_lane_block { /* of a shuffled lane: samples read ahead */
    grd_lane_sample *item;    /* [room], their samples are the block's */
    int64_t *order;           /* [room] */
    int64_t room, n, at;      /* at: the next one in that order */
    grd_position start;       /* where it begins */
} grd_lane_block;

typedef struct grd_lane {
    const grd_dataset *data;
    uint64_t seed;
    int64_t epoch;
    const int64_t *order;     /* of shards; NULL = 0, 1, 2, ... */
    int64_t step;             /* from a shard's turn to that of the lane's next one */
    int64_t turn, place;      /* of the next sample, as in a position */
    void *cursor;             /* if open */
    bool open;
    bool plain;               /* transforms draw nothing */
    grd_lane_block block;     /* no room: not shuffled */
} grd_lane;

/* Puts a zeroed lane with data, step and order at the beginning of an epoch. */
void grd_lane_start(grd_lane *lane, uint64_t seed, int64_t epoch, int64_t first);
void grd_lane_close(grd_lane *lane);
static inline bool grd_lane_ended(const grd_lane *l) { return l->turn >= l->data->source->shards && l->block.at == l->block.n; }

/* Room for a block of n samples. Freed by grd_lane_close, also after a failure. */
grd_status grd_lane_shuffle(grd_lane *lane, int64_t n);

/* The next sample as the source gives it, in `room` or in the lane's block; *end: there is none. A sample that could not be read
 * is one too: next->status. A failure of the function is the lane's own; its message is in room. */
grd_status grd_lane_next(grd_lane *lane, grd_sample *room, grd_lane_sample *next, bool *end);
/* Transforms it. */
grd_status grd_lane_complete(const grd_lane *lane, const grd_lane_sample *next);

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
