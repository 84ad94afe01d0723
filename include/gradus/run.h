/* Gradus, chapter "training": runs described by a config file. The command `gradus` is a thin layer over this. */
#ifndef GRADUS_RUN_H
#define GRADUS_RUN_H

#include <gradus/inspect.h>
#include <gradus/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct grd_pipeline grd_pipeline;

typedef struct grd_pipeline_opts {
    const char *const *overrides; /* "run.epochs=3", "stages.pretrain.run.epochs=3" */
    int n_overrides;
    FILE *out;    /* messages, progress, tables; NULL = nothing */
    int progress; /* GRD_PROGRESS_* */
    bool ascii;
    const volatile int *stop; /* as grd_trainer_opts.stop */
} grd_pipeline_opts;

/* `path`: a config file, or the folder of a run that is to be looked at or gone on with. Reads and checks the whole config;
 * nothing is written. The overrides are copied. */
GRD_API grd_status grd_pipeline_open(grd_ctx *ctx, const char *path, const grd_pipeline_opts *opts, grd_pipeline **pipeline);
GRD_API void grd_pipeline_free(grd_pipeline *pipeline);
GRD_API const char *grd_pipeline_dir(const grd_pipeline *pipeline); /* the run's folder; "" before grd_pipeline_train */
GRD_API const char *grd_pipeline_name(const grd_pipeline *pipeline);
GRD_API int grd_pipeline_stages(const grd_pipeline *pipeline);
GRD_API const char *grd_pipeline_stage(const grd_pipeline *pipeline, int i); /* its name; NULL past the end */

#define GRD_MAX_RESULTS (2 + GRD_MAX_METRICS) /* loss, metrics, and a regression loss under its own name */

typedef struct grd_stage_result {
    const char *name;
    bool done, linear;
    int64_t epochs, best_epoch;
    double val_loss;                  /* of the best weights; NaN if there was no validation set */
    grd_metric test[GRD_MAX_RESULTS]; /* loss first; on the test part, read once */
    int n_test;
    grd_metric baseline;              /* what ridge regression reaches on the test part; name NULL: not known */
} grd_stage_result;

/* The set that a stage (NULL: the first) trains, chooses or is tested on, "train", "val" or "test", transforms applied; *set NULL if the
 * stage has none of that name. Owned by the context; the caller may free it earlier. */
GRD_API grd_status grd_pipeline_dataset(grd_pipeline *pipeline, const char *stage, const char *set, grd_dataset **dataset);
/* How the stage's training set is loaded. */
GRD_API grd_status grd_pipeline_loader(grd_pipeline *pipeline, const char *stage, grd_loader_opts *opts);

/* The sets of a stage (NULL: the first) looked at before training (inspect.h), as they are before any transform, with the
 * config's lists, splits and group applied. opts may be NULL; its title, input, target, group and stop come from the config where
 * it has none. */
GRD_API grd_status grd_pipeline_data_check(grd_pipeline *pipeline, const char *stage, const grd_check_opts *opts,
                                           grd_report **report);

/* Runs all stages that are not done yet, in order; afterwards writes RUN/loss-curves.svg, and RUN/reconstructions.png if a
 * stage's target is its input. GRD_ERR_STOPPED: what had to be saved is saved, opening the run's folder and training again goes on. */
GRD_API grd_status grd_pipeline_train(grd_pipeline *pipeline);
GRD_API const grd_stage_result *grd_pipeline_result(const grd_pipeline *pipeline, int i);
/* The results of all stages as a table. */
GRD_API void grd_pipeline_table(const grd_pipeline *pipeline, FILE *out);

typedef struct grd_pipeline_eval_opts {
    const char *stage;   /* NULL = the last */
    const char *split;   /* "train", "val" or "test" (NULL) */
    const char *weights; /* a .pth file; NULL = the stage's best.pth */
} grd_pipeline_eval_opts;

typedef struct grd_evaluation {
    const char *split;
    grd_metric value[GRD_MAX_RESULTS]; /* loss first */
    int n;
    const int64_t *confusion; /* counts [classes, classes], rows: truth; owned by the pipeline; NULL if it does not classify */
    int64_t classes;
} grd_evaluation;

GRD_API grd_status grd_pipeline_eval(grd_pipeline *pipeline, const grd_pipeline_eval_opts *opts, grd_evaluation *evaluation);

/* No training: for each stage data, layers, plan, memory and what the doctor finds. *errors: findings that training can only fail
 * by. */
GRD_API grd_status grd_pipeline_check(grd_pipeline *pipeline, FILE *out, int *errors);

/* Gradients of a stage's whole model on a small batch, in double; stage NULL: the last. results: room for `most`.
 * A linear stage has none. */
GRD_API grd_status grd_pipeline_gradcheck(grd_pipeline *pipeline, const char *stage, grd_gradcheck_result *results, int most,
                                          int *n);

typedef struct grd_bench_opts {
    double seconds;       /* to measure for; at least 5 steps */
    double began;         /* what start_ms counts from, in seconds of CLOCK_MONOTONIC; 0 = the call */
    grd_machine *machine; /* its limits, measured after the steps if they are not those of as many threads; NULL = no roofline */
    FILE *profile;        /* a line for each step of the plan and for the optimizer; NULL = none */
} grd_bench_opts;

typedef struct grd_bench_result {
    const char *workload;
    int threads;
    double median_ms, min_ms;
    int64_t params;
    double rss_mib;     /* largest resident size of the process so far, before the machine was measured */
    double start_ms;    /* to the beginning of the first step: config, data, model, plan */
    double flops, moved_bytes; /* of a step, see grd_plan_roofline; the optimizer moves bytes only */
    double roofline_ms; /* a step at the machine's limits; 0 without `machine` */
    int64_t steps;
} grd_bench_result;

/* Time of one training step of the first stage (loss read, all gradients, optimizer) on one batch from its source. */
GRD_API grd_status grd_pipeline_bench(grd_pipeline *pipeline, const grd_bench_opts *opts, grd_bench_result *result);

typedef struct grd_baseline {
    const char *name;            /* "ridge", "logistic" */
    double lambda;
    bool has_val, has_test;
    bool logits;                 /* its scores are: log_loss counts, and mse does not */
    grd_linear_scores val, test; /* on the stage's sets */
} grd_baseline;

typedef struct grd_baselines {
    int64_t samples, features, outputs, classes; /* classes 0: numbers are predicted */
    grd_baseline item[2];
    int n;
    bool too_large;              /* for logistic regression: more than GRD_LOGISTIC_UNKNOWNS */
} grd_baselines;

/* What linear models reach on the data of a stage (NULL: the first) as it comes from its transforms: ridge regression, lambda by
 * five folds of the training set; of classes also logistic regression with lambda 1. What is predicted is the first class field
 * or, without one, the numbers of field "target", from the first other field. */
GRD_API grd_status grd_pipeline_baselines(grd_pipeline *pipeline, const char *stage, grd_baselines *baselines);

/* Every key of a config with its default and meaning. */
GRD_API void grd_config_describe(FILE *out);

#ifdef __cplusplus
}
#endif
#endif
