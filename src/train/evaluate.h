/* Loss and metrics over a data set, as a thing that can be run again and again without allocating. */
#ifndef GRD_TRAIN_EVALUATE_H
#define GRD_TRAIN_EVALUATE_H

#include "train/feed.h"

#include <gradus/train.h>

typedef struct grd_evaluator {
    grd_model *model;
    grd_host *host;
    const char *who;                            /* begins messages */
    grd_feed feed;
    grd_loader *loader;
    grd_compile_opts compile;
    int64_t length, batch;
    grd_var metric[GRD_MAX_METRICS];
    grd_metric result[1 + GRD_MAX_METRICS];     /* loss first; of the last run */
    int n_metrics;
    grd_var confusion;
    int64_t *counts, n_counts;                  /* NULL: not wanted */
    const void *params;                         /* as grd_run.params */
} grd_evaluator;

/* Compiles the plans of the full and of the last short batch. The evaluator is zeroed before. */
grd_status grd_evaluator_open(grd_evaluator *evaluator, grd_model *model, const grd_eval_opts *opts, uint64_t seed,
                              unsigned debug, const char *who);
grd_status grd_evaluator_run(grd_evaluator *evaluator); /* one pass over the data */
void grd_evaluator_close(grd_evaluator *evaluator);

/* The two outputs (sum, weight) of a loss or metric; an error that begins with `who` if it is none of this model's. */
grd_status grd_ratio_outputs(const grd_model *model, grd_var v, const char *who, const char *what, grd_var *sum, grd_var *weight);
const char *grd_metric_op(grd_var v);          /* the name of its op */

#endif
