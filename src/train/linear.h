/* Affine maps fitted at once, for src/train only: what ridge and logistic regression share. */
#ifndef GRD_TRAIN_LINEAR_H
#define GRD_TRAIN_LINEAR_H

#include "base/ctx.h"

#include <gradus/train.h>

enum { GRD_LINEAR_CHUNK = 256, GRD_LINEAR_FOLDS = 20 };  /* rows at a time; most folds */

struct grd_linear_model {
    grd_child child;
    grd_ctx *ctx;
    const char *who;               /* "ridge": begins messages */
    int64_t features, outputs, classes; /* classes: outputs, or 0 if numbers are predicted */
    double lambda;
    double *weight, *bias;         /* [O,D], [O] */
    int input, target;             /* fields */
    char input_name[GRD_FIELD_NAME], target_name[GRD_FIELD_NAME];
};

/* linear_data.c */

/* Finds the two fields in `data`; features, outputs and classes are set, or compared if they are. */
grd_status grd_linear_match(grd_linear_model *model, const grd_dataset *data);
typedef grd_status (*grd_linear_use)(void *user, const grd_batch *batch);
/* All batches; class indices are checked. */
grd_status grd_linear_each(const grd_linear_model *model, const grd_dataset *data, grd_linear_use use, void *user);
void grd_linear_input(const grd_linear_model *model, const grd_batch *batch, int64_t i, double *x);  /* [D] */
void grd_linear_target(const grd_linear_model *model, const grd_batch *batch, int64_t i, double *y); /* [O]; a class: one-hot */

/* What is fitted: samples in parts (the folds, else one), inputs centred. With fewer samples than features the problem is turned
 * into an equal one in as many features as samples: of X = L Q the rows of L have the inner products of those of X. */
typedef struct grd_linear_data {
    grd_linear_model *model;
    grd_host *host;
    grd_dataset *own[GRD_LINEAR_FOLDS];          /* folds */
    const grd_dataset *part[GRD_LINEAR_FOLDS];
    int parts;
    int64_t n, size;                             /* samples; features that are solved for: min(n, D) */
    int64_t begin[GRD_LINEAR_FOLDS + 1];         /* first sample of each part */
    bool turned, held;                           /* L Q; rows are in memory */
    double *mean, *y_mean;                       /* [D], [O] */
    double *raw, *tau;                           /* [n,D], Q of a turned one; [n] */
    double *x, *y;                               /* held: [n,size], [n,O]; else a chunk of them */
} grd_linear_data;

/* hold: rows are kept in memory in any case. Close it whatever this returns. */
grd_status grd_linear_data_open(grd_linear_data *data, grd_linear_model *model, const grd_dataset *train, int folds,
                                uint64_t seed, bool hold);
void grd_linear_data_close(grd_linear_data *data);
/* Rows of a part: x [n,size] centred, y [n,O] as it is. */
typedef grd_status (*grd_linear_use_rows)(void *user, const double *x, const double *y, int64_t n);
grd_status grd_linear_data_rows(grd_linear_data *data, int part, grd_linear_use_rows use, void *user);
/* Row o of the model's weight from w [size], the solution, and its bias from the value at the mean input. */
void grd_linear_data_back(const grd_linear_data *data, int64_t o, const double *w, double at_mean);

/* linear_model.c */
grd_status grd_linear_model_new(grd_ctx *ctx, const char *who, const grd_dataset *train, const char *input, const char *target,
                                grd_linear_model **model);

#endif
