/* The loader's inside: what the threads (loader.c), the filling of a slot (loader_fill.c) and streams (loader_stream.c) share. */
#ifndef GRD_DATA_LOADER_H
#define GRD_DATA_LOADER_H

#include "data/lane.h"
#include "data/sampler.h"
#include "data/stack.h"

#include <pthread.h>
#include <stdatomic.h>

#define GRD_MAX_LANES 16

typedef struct grd_slot {
    grd_batch batch;
    int64_t *index;
    void *memory;      /* of the fields' data and the index */
    grd_stack stack[GRD_MAX_FIELDS]; /* of fields that vary */
    bool ready;
    grd_status status; /* of making it; the text is in `error` */
    char error[sizeof((grd_sample *)0)->error];

    /* of a stream */
    int lane;
    int64_t round;       /* how many batches the lane has given before */
    bool empty;          /* the lane had ended: there is no such batch */
    grd_position behind; /* where the lane was after it */
} grd_slot;

typedef struct grd_worker {
    struct grd_loader *loader;
    grd_sample *sample;            /* its own: fields that are not made in place are copied from it */
    pthread_t thread;
} grd_worker;

/* Of a stream. Tickets are what slots are filled for, one after the other: the next batch of each lane in turn. A lane that has
 * ended may have got one more; it stays empty and the caller passes over it. */
typedef struct grd_lanes {
    int n;
    int64_t *order;      /* of shards, if they are shuffled */
    int64_t buffer;      /* samples of each lane's block; 0: not shuffled */
    struct {
        grd_lane lane;   /* of the worker that is filling a slot from it */
        bool busy, ended;
        grd_position behind; /* of the last batch that the caller has had */
    } item[GRD_MAX_LANES];
    int next;            /* lane of the next ticket, if it has not ended */
    int64_t round;
    int given;           /* lane of the ticket behind the caller's last one, and its round */
    int64_t given_round;
    int64_t batches, samples; /* that the caller has had in this epoch */
} grd_lanes;

struct grd_loader {
    grd_child child;
    grd_ctx *ctx;
    grd_dataset *data;   /* a view of our own: the caller may free his */
    int64_t batch, batches; /* batches: -1 of a stream */
    uint64_t seed;
    int64_t epoch;
    grd_sampler sampler;
    grd_lanes *lanes;    /* NULL: no stream */
    int64_t pad_multiple;
    bool skip;           /* what cannot be read is left out */
    bool drop_last;
    int64_t skipped;     /* in this epoch, by the batches that the caller has had */
    bool in_place[GRD_MAX_FIELDS]; /* samples are made directly in the batch */
    grd_slot *slots;
    int n_slots;
    grd_worker *workers; /* at least one; with no threads the first works for the caller */
    int n_threads, n_samples;
    bool started;        /* grd_loader_start was called */

    pthread_mutex_t lock; /* for all below, and the lanes' tickets */
    pthread_cond_t work, done; /* something to claim; something was finished */
    int64_t next_made;   /* first ticket that nobody has claimed: of a set the number of a batch */
    int64_t next_given;  /* first ticket that the caller has not had */
    int64_t oldest;      /* first ticket whose slot is in use: the one the caller holds, or next_given */
    int busy;            /* workers that are filling a slot */
    bool quit;
    bool paused;         /* nothing may be claimed */
    atomic_bool drop;    /* what is being filled is not wanted any more */
};

/* loader_fill.c: the next free row of a slot is made in place where that can be; then it is taken over. */
void grd_slot_clear(grd_slot *slot);
void grd_slot_aim(const grd_loader *loader, const grd_slot *slot, grd_sample *sample);
/* What became of a sample, made with `status`: it is taken, left out, or the batch's failure (the message is the sample's). */
grd_status grd_slot_settle(const grd_loader *loader, grd_slot *slot, grd_sample *sample, int64_t index, grd_status status);
/* Puts fields that vary side by side, then changes the whole batch by transforms with the key's `row`. */
grd_status grd_slot_finish(grd_loader *loader, grd_worker *worker, grd_slot *slot, uint64_t row);
/* Batch `number` of a set. */
grd_status grd_slot_fill(grd_loader *loader, grd_worker *worker, grd_slot *slot, int64_t number);

/* loader_stream.c */
grd_status grd_lanes_open(grd_loader *loader, const grd_loader_opts *opts);
void grd_lanes_close(grd_loader *loader);
void grd_lanes_start(grd_loader *loader);
/* The lane whose turn it is, from *lane in *round on; false: all have ended. */
bool grd_lanes_next(const grd_lanes *lanes, int *lane, int64_t *round);
bool grd_lanes_ready(const grd_loader *loader);            /* there is a next ticket, and its lane is free */
void grd_lanes_claim(grd_loader *loader, grd_slot *slot);  /* takes it, and gives it back */
void grd_lanes_release(grd_loader *loader, grd_slot *slot);
grd_status grd_lanes_fill(grd_loader *loader, grd_worker *worker, grd_slot *slot);
void grd_lanes_given(grd_loader *loader, grd_slot *slot);  /* the caller has it */
int grd_lanes_save(const grd_loader *loader, char *text, size_t size);
grd_status grd_lanes_restore(grd_loader *loader, const char *text);

#endif
