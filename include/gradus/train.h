/* Gradus, chapter "training": the trainer (a loop and its events), handlers, checkpoints. */
#ifndef GRADUS_TRAIN_H
#define GRADUS_TRAIN_H

#include <gradus/data.h>
#include <gradus/optim.h>
#include <gradus/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRD_MAX_METRICS 8

typedef struct grd_trainer grd_trainer;

/* ---- events and handlers ------------------------------------------------------------------------ */

typedef enum grd_event {
    GRD_EVENT_START, GRD_EVENT_EPOCH_BEGIN, GRD_EVENT_STEP_BEGIN, GRD_EVENT_STEP_END, GRD_EVENT_EVAL_END,
    GRD_EVENT_EPOCH_END, GRD_EVENT_CHECKPOINT, GRD_EVENT_ERROR, GRD_EVENT_END, GRD_EVENTS
} grd_event;

typedef struct grd_metric {   /* a result: sum / weight */
    const char *name;         /* "loss", "accuracy" */
    double value;
} grd_metric;

typedef struct grd_train_state {   /* what a handler may look at; valid during the event */
    const char *stage;             /* "train", "pretrain", ... */
    int64_t epoch, epochs;         /* epoch from 1 */
    int64_t step;                  /* optimizer steps done */
    int64_t batch, batches;        /* batches done in this epoch, of how many */
    int64_t samples;               /* done in this epoch */
    double loss;                   /* of the last group (micro-batches of one step), mean */
    double train_loss;             /* mean over this epoch so far */
    double lr, grad_norm;
    bool clipped;
    double val_loss;               /* after EVAL_END; NaN without a validation set */
    bool improved;                 /* val_loss (train_loss without validation) is the best so far */
    int64_t best_epoch;
    double best_loss;
    grd_metric metric[GRD_MAX_METRICS]; /* of validation, after EVAL_END */
    int n_metrics;
    double seconds;                /* since START, of earlier parts of a resumed run too */
    const char *error;             /* during ERROR */
    bool resumed;
    const char *dir;               /* the stage's folder; NULL = nothing is written */
} grd_train_state;

typedef struct grd_handler {
    const char *name, *doc;
    const grd_option *options;
    size_t options_size;
    grd_status (*open)(void **state, const void *options, grd_trainer *trainer);
    grd_status (*on)(void *state, grd_event event, const grd_train_state *now, grd_trainer *trainer);
    void (*close)(void *state);
    /* What an exact resume needs, as text (JSON) written to a checkpoint and given back after open. Both may be NULL. */
    grd_status (*save)(void *state, char *text, size_t size);
    grd_status (*load)(void *state, const char *text);
} grd_handler;

/* Adds a handler; they run in the order: early_stop, checkpoint, metrics_log, tensorboard, progress, then users' in the
 * order they were added. opts may be NULL. */
GRD_API grd_status grd_trainer_add(grd_trainer *trainer, const grd_handler *handler, const void *opts);
extern GRD_API const grd_handler grd_handler_early_stop, grd_handler_checkpoint, grd_handler_metrics_log, grd_handler_tensorboard,
    grd_handler_progress;

typedef struct grd_early_stop_opts { int64_t patience; double min_delta; } grd_early_stop_opts;  /* 10, 0 */
typedef struct grd_progress_opts { int mode; void *file; double interval; } grd_progress_opts;   /* auto | bar | plain | off; FILE *, stderr; 0.1 s */

/* ---- trainer ---------------------------------------------------------------------------------------- */

typedef struct grd_trainer_opts {
    const char *stage;            /* "train" */
    grd_model *model;             /* NULL: made from loss.graph and owned by the trainer */
    grd_var loss;                 /* a loss (sum, weight) */
    grd_var metrics[GRD_MAX_METRICS];
    const char *metric_names[GRD_MAX_METRICS]; /* NULL = the op's name */
    const grd_dataset *train, *val; /* val may be NULL */
    const char *optim, *schedule; /* "adam", "constant" */
    int64_t epochs;               /* 10 */
    int64_t max_steps;            /* 0 = no limit */
    int64_t batch;                /* 32 */
    int64_t eval_batch;           /* 0 = batch */
    int64_t accumulate;           /* micro-batches a step, 1 */
    double clip_norm;             /* 2; GRD_OFF */
    double clip_value;            /* off */
    int workers;                  /* loader threads, 0 */
    bool no_shuffle, drop_last;
    uint64_t seed;                /* 0 = the context's */
    const char *dir;              /* NULL = no files */
    bool resume;                  /* go on from dir/last.pth if it is there */
    int64_t patience;             /* early stopping, in epochs; 10; GRD_OFF */
    int progress;                 /* as grd_progress_opts.mode */
    double checkpoint_seconds;    /* also in the middle of an epoch, at most this often; 60; GRD_OFF = at epoch ends only */
    unsigned debug;               /* GRD_PLAN_* */
    const volatile int *stop;     /* becomes non-zero (signal handler): finish the step, save, return GRD_ERR_STOPPED */
} grd_trainer_opts;

GRD_API grd_status grd_trainer_new(grd_ctx *ctx, const grd_trainer_opts *opts, grd_trainer **trainer);
GRD_API void grd_trainer_free(grd_trainer *trainer);
/* Trains. However it ends, the model then holds the best weights seen (by validation loss; by train loss without one), and
 * dir/best.pth too. */
GRD_API grd_status grd_trainer_fit(grd_trainer *trainer);
GRD_API grd_model *grd_trainer_model(const grd_trainer *trainer);
GRD_API const grd_train_state *grd_trainer_state(const grd_trainer *trainer);
GRD_API void grd_trainer_stop(grd_trainer *trainer); /* from a handler: end after this step, as a success (early stop) */

/* Loss and metrics over a data set with the model as it is (evaluation mode). values: 1 + number of metrics, loss first. */
typedef struct grd_eval_opts {
    grd_var loss, metrics[GRD_MAX_METRICS];
    const char *metric_names[GRD_MAX_METRICS];
    const grd_dataset *data;
    int64_t batch;
    int workers;
    grd_var confusion;         /* a confusion op, or GRD_NONE; counts (rows: truth) go to confusion_out [C*C] */
    int64_t *confusion_out;
} grd_eval_opts;
GRD_API grd_status grd_evaluate(grd_model *model, const grd_eval_opts *opts, grd_metric *values, int *n);

/* ---- checkpoints (.pth) --------------------------------------------------------------------------------- */

/* A state_dict alone, or with optimizer and the rest: what torch.load(weights_only=True) reads. Written beside, synced, renamed. */
GRD_API grd_status grd_model_save(grd_model *model, const char *path);
typedef struct grd_load_opts {
    const char *prefix;   /* only parameters whose path starts with it; NULL = all */
    bool partial;         /* parameters that the file lacks keep their values (else an error) */
} grd_load_opts;
/* Names and shapes must agree; extra tensors in the file are ignored with `prefix` or `partial`, else an error.
 * Reads state_dicts, {'state_dict'|'model'|'model_state_dict': ...}; strips "module." and "_orig_mod.". *loaded: how many. */
GRD_API grd_status grd_model_load(grd_model *model, const char *path, const grd_load_opts *opts, int *loaded);
/* Prints what is in a checkpoint: tensors with shape and dtype, epoch, lr, sizes. JSON object if json. */
GRD_API grd_status grd_checkpoint_show(grd_ctx *ctx, const char *path, bool json, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
