/* The trainer's inside, for src/train only: what the loop, the checkpoint and setting up share. */
#ifndef GRD_TRAIN_TRAINER_H
#define GRD_TRAIN_TRAINER_H

#include "base/clock.h"
#include "base/ctx.h"
#include "train/evaluate.h"
#include "train/feed.h"

#include <gradus/train.h>

typedef struct grd_added {             /* a handler of this run */
    const grd_handler *row;
    void *options, *state;
} grd_added;

typedef struct grd_best {              /* the best weights so far, beside the model's */
    void *params, *states;             /* arenas like the model's */
    int64_t step;                      /* optimizer steps they had; -1: none yet */
    int64_t epoch;
    double loss;
} grd_best;

struct grd_trainer {
    grd_child child;
    grd_ctx *ctx;
    grd_host *host;
    grd_arena texts;
    grd_trainer_opts opts;             /* resolved: real values, off is 0 */
    grd_model *model;
    bool own_model, fitted;
    grd_optim *optim;
    grd_schedule *schedule;
    grd_loader *loader;
    int64_t pass;                      /* over the data, from 1: the loader's epoch */
    bool pass_over;                    /* the stream has ended and so has the epoch */
    const grd_batch *ahead;            /* had from the loader, and not used yet */
    const char *place;                 /* of a resumed run, for the loader; NULL = the epoch's batch says it */
    grd_feed feed;
    grd_compile_opts compile;
    grd_evaluator eval;                /* of opts.val, if there is one */
    struct { grd_added *item; int n, cap; } handlers;
    grd_train_state now;
    grd_best best;

    /* where the run is, besides `now` */
    bool epoch_closed;                 /* epoch `now.epoch` has been evaluated and ended (0: before the first) */
    int64_t closed_step;               /* step of the last evaluation */
    double epoch_sum, epoch_weight;    /* of the loss in this epoch */
    int64_t saved_step;                /* of the last CHECKPOINT; -1: none */
    bool stop_asked, checkpoint_asked;
    double begun, seconds_before;      /* clock at START; of earlier parts of a resumed run */
    char error[640];                   /* now.error points here */
};

/* Whether epoch and batch do not say where the data are: a stream, or epochs that are no passes. */
static inline bool grd_trainer_needs_place(const grd_trainer *t) { return t->opts.steps_per_epoch > 0 || t->now.batches < 0; }
double grd_trainer_seconds(const grd_trainer *trainer);

/* best.c */
grd_status grd_best_open(grd_trainer *trainer);
void grd_best_close(grd_trainer *trainer);
void grd_best_take(grd_trainer *trainer, double loss);   /* what was evaluated, now */
void grd_best_give(grd_trainer *trainer);                /* back into the model, if there are any */

/* snapshot.c: last.pth and best.pth */
/* Everything an exact resume needs. with_best: the best weights too, because best.pth does not hold them yet. */
grd_status grd_snapshot_save(grd_trainer *trainer, const char *path, bool with_best);
grd_status grd_snapshot_save_best(grd_trainer *trainer, const char *path);
/* Puts the trainer where dir/last.pth was written. */
grd_status grd_snapshot_load(grd_trainer *trainer, const char *path);
/* The step whose weights a best.pth holds; -1: no such file, or not one of ours. */
int64_t grd_snapshot_best_step(grd_trainer *trainer, const char *path);

#endif
