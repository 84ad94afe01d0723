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

/* In this order:
 *   START                              once; a resumed run has its state back
 *     EPOCH_BEGIN                      also when a resumed run comes in at the middle of an epoch (batch > 0)
 *       STEP_BEGIN, STEP_END           around each optimizer step (a group of `accumulate` batches)
 *       CHECKPOINT                     if asked for; all handlers have seen all that was before
 *     EVAL_END                         with a validation set: val_loss, metric, improved are new
 *     EPOCH_END                        val_loss, improved, best_* are new
 *     CHECKPOINT                       if asked for, and once before a run ends well or is stopped
 *   ERROR                              if it fails; error is the message
 *   END                                always; the model holds the best weights by now
 * A handler's failure ends the run with its status (in ERROR it is ignored). */
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
    int64_t batch, batches;        /* batches done in this epoch, of how many; -1: of a stream, nobody knows before its end */
    int64_t samples;               /* done in this epoch */
    int64_t skipped;               /* left out of it because they could not be read */
    double loss;                   /* of the last group (micro-batches of one step), mean */
    double train_loss;             /* mean over this epoch so far */
    double lr, grad_norm;
    bool clipped;                  /* the last step's gradient was longer than clip_norm */
    int64_t clipped_steps;         /* in this epoch */
    double clip_norm, clip_value;  /* 0 = off */
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
    /* What an exact resume needs, as text (JSON) written to a checkpoint and given back after open, before START. Both may be
     * NULL. */
    grd_status (*save)(void *state, char *text, size_t size);
    grd_status (*load)(void *state, const char *text);
} grd_handler;

/* Adds a handler; they run in the order: early_stop, checkpoint, metrics_log, tensorboard, progress, then users' in the
 * order they were added. opts may be NULL. */
GRD_API grd_status grd_trainer_add(grd_trainer *trainer, const grd_handler *handler, const void *opts);
extern GRD_API const grd_handler grd_handler_early_stop, grd_handler_checkpoint, grd_handler_metrics_log, grd_handler_tensorboard,
    grd_handler_progress;

typedef struct grd_early_stop_opts { int64_t patience; double min_delta; } grd_early_stop_opts;  /* 10 epochs, 0 */
typedef struct grd_checkpoint_opts { double seconds; } grd_checkpoint_opts;  /* 60: between two within an epoch; GRD_OFF */
typedef struct grd_metrics_log_opts { int64_t every; } grd_metrics_log_opts; /* 50: steps between two records of steps */
typedef struct grd_tensorboard_opts { int64_t every; } grd_tensorboard_opts; /* 10: steps between two points */
typedef struct grd_progress_opts {
    int mode;         /* GRD_PROGRESS_*: auto (a bar if `file` is a terminal, else plain lines) */
    double interval;  /* 0.1 s between two drawings of the bar; plain lines come at most every 100 intervals, and at epoch ends */
    bool ascii;       /* the bar of # and digits, not of eighth blocks (UTF-8) */
    FILE *file;       /* where it goes; NULL = nowhere: the library prints nothing by itself */
} grd_progress_opts;

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
    int64_t steps_per_epoch;      /* 0 = an epoch is a pass over the data. Else it is so many optimizer steps: the next epoch goes
                                   * on in the pass where this one stopped, and where the data end a new pass begins */
    int64_t batch;                /* 32 */
    int64_t eval_batch;           /* 0 = batch */
    int64_t accumulate;           /* micro-batches a step, 1 */
    double clip_norm;             /* 2; GRD_OFF */
    double clip_value;            /* off */
    double ema;                   /* decay of a moving average of the weights, below 1 (grd_optim_set_ema); off. Training goes on with the
                                   * weights as they are; validation, best.pth and what the model holds in the end are the average */
    int workers;                  /* loader threads, 0 */
    bool no_shuffle, drop_last;
    int sampler;                  /* as grd_loader_opts.sampler; plain, balanced or bucketed */
    int64_t shuffle_buffer;       /* as grd_loader_opts.shuffle_buffer, of a stream: 1000 */
    int64_t pad_multiple;         /* as grd_loader_opts.pad_multiple */
    int on_error;                 /* as grd_loader_opts.on_error */
    uint64_t seed;                /* 0 = the context's */
    const char *dir;              /* NULL = no files */
    bool resume;                  /* go on from dir/last.pth if it is there */
    int64_t patience;             /* early stopping, in epochs; 10; GRD_OFF */
    int progress;                 /* as grd_progress_opts.mode */
    FILE *progress_file;          /* as grd_progress_opts.file: NULL = no progress line */
    bool progress_ascii;
    double checkpoint_seconds;    /* also in the middle of an epoch, at most this often; 60; GRD_OFF = at epoch ends only */
    unsigned debug;               /* GRD_PLAN_* */
    const volatile int *stop;     /* becomes non-zero (signal handler): finish the step, save, return GRD_ERR_STOPPED */
} grd_trainer_opts;

GRD_API grd_status grd_trainer_new(grd_ctx *ctx, const grd_trainer_opts *opts, grd_trainer **trainer);
GRD_API void grd_trainer_free(grd_trainer *trainer); /* before its model */
/* Trains, once. However it ends, the model then holds the best weights seen (by validation loss; by train loss without one), and
 * dir/best.pth too. */
GRD_API grd_status grd_trainer_fit(grd_trainer *trainer);
GRD_API grd_model *grd_trainer_model(const grd_trainer *trainer);
GRD_API const grd_train_state *grd_trainer_state(const grd_trainer *trainer);
GRD_API grd_ctx *grd_trainer_ctx(const grd_trainer *trainer);
/* The parameters that are evaluated, as grd_run.params: the average with `ema`, else NULL, the model's. */
GRD_API const void *grd_trainer_eval_params(const grd_trainer *trainer);
GRD_API void grd_trainer_stop(grd_trainer *trainer); /* from a handler: end after this step, as a success (early stop) */
GRD_API void grd_trainer_checkpoint(grd_trainer *trainer); /* from a handler: CHECKPOINT follows when all have seen this event */

/* Loss and metrics over a data set with the model as it is (evaluation mode). values: 1 + number of metrics, loss first. */
typedef struct grd_eval_opts {
    grd_var loss, metrics[GRD_MAX_METRICS];
    const char *metric_names[GRD_MAX_METRICS];
    const grd_dataset *data;
    int64_t batch;
    int workers;
    int64_t pad_multiple;
    int on_error;              /* as grd_loader_opts.on_error */
    grd_var confusion;         /* a confusion op, or GRD_NONE; counts (rows: truth) go to confusion_out [C*C] */
    int64_t *confusion_out;
    const void *params;        /* as grd_run.params: another parameter arena; NULL = the model's */
} grd_eval_opts;
GRD_API grd_status grd_evaluate(grd_model *model, const grd_eval_opts *opts, grd_metric *values, int *n);

/* ---- checkpoints (.pth) --------------------------------------------------------------------------------- */

/* A state_dict alone, or with optimizer and the rest: what torch.load(weights_only=True) reads. Written beside, synced,
 * renamed. */
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

/* ---- linear models, fitted at once ------------------------------------------------------------------------ */

/* y = W x + b in double: the baseline that a network has to beat. input: field f32 or u8 of any fixed shape, flattened; target: a
 * class index (as many outputs as classes), or f32 of a fixed shape (as many outputs as numbers; for grd_ridge_fit). */
typedef struct grd_linear_model grd_linear_model;

typedef struct grd_linear_fit_opts {
    const char *input, *target; /* fields */
    double lambda;              /* see below */
    const grd_dataset *val;     /* only read for GRD_RIDGE_AUTO */
    int folds;                  /* ridge: from 2 on, up to 20: lambda is chosen by them, see below */
    uint64_t seed;              /* of the folds */
} grd_linear_fit_opts;

/* Ridge regression on the targets, of classes one-hot (Hoerl, Kennard 1970): W minimises sum |Y - X W' - b|^2 + lambda |W|^2, the
 * intercept b is not penalised. Solved by Cholesky; fewer samples than features are turned by an LQ decomposition into a problem
 * of as many features as samples. lambda > 0 is taken as it is; else
 *   GRD_RIDGE_DEFAULT   a tenth of the mean squared distance of a sample from the mean sample
 *   GRD_RIDGE_AUTO      of 0.001, 0.01, 0.1, 1, 10 times that distance the one with the best accuracy (of numbers: least squared
 *                       error) on `val`; a tie: the larger
 *   with `folds`        of 1e-6, 1e-5, ..., 100 times that distance the one with the least squared error on folds left out
 * Owned by ctx. */
#define GRD_RIDGE_DEFAULT 0
#define GRD_RIDGE_AUTO GRD_OFF
GRD_API grd_status grd_ridge_fit(grd_ctx *ctx, const grd_dataset *train, const grd_linear_fit_opts *opts,
                                 grd_linear_model **model);

/* Logistic regression of classes by Newton's method: minimises the sum of -log softmax(W x + b)[class] + lambda/2 |W|^2, b free;
 * lambda 0 stands for 1 (another program's C is 1 / lambda). Of two classes row 0 of W and b is 0: one logit. Unknowns are (features
 * or samples, whichever is less, + 1) times logits: at most GRD_LOGISTIC_UNKNOWNS. */
#define GRD_LOGISTIC_UNKNOWNS 4096
GRD_API grd_status grd_logistic_fit(grd_ctx *ctx, const grd_dataset *train, const grd_linear_fit_opts *opts,
                                    grd_linear_model **model);

GRD_API void grd_linear_model_free(grd_linear_model *model);
GRD_API int64_t grd_linear_model_classes(const grd_linear_model *model);       /* 0: it predicts numbers */
GRD_API int64_t grd_linear_model_outputs(const grd_linear_model *model);
GRD_API int64_t grd_linear_model_features(const grd_linear_model *model);
GRD_API double grd_linear_model_lambda(const grd_linear_model *model);        /* the one that was used */
GRD_API const double *grd_linear_model_weight(const grd_linear_model *model); /* [outputs, features] */
GRD_API const double *grd_linear_model_bias(const grd_linear_model *model);   /* [outputs] */
/* Scores of one sample x [features] into scores [outputs]; returns the place of the largest. */
GRD_API int64_t grd_linear_model_predict(const grd_linear_model *model, const float *x, double *scores);

typedef struct grd_linear_scores {
    double mse;      /* over samples and outputs; of classes against one-hot */
    double r2;       /* 1 - squared error / squared distance from the mean, both summed over outputs; NaN: all targets are alike */
    double accuracy, log_loss; /* of classes, the latter with softmax of the scores; else NaN */
} grd_linear_scores;

/* One pass; confusion [classes, classes] (rows: truth) may be NULL. */
GRD_API grd_status grd_linear_model_evaluate(const grd_linear_model *model, const grd_dataset *data, grd_linear_scores *scores,
                                             int64_t *confusion);
/* A .pth with state_dict {"weight", "bias"} in float: that of nn.Linear. */
GRD_API grd_status grd_linear_model_save(const grd_linear_model *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
