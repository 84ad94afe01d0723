/* Runs a row on one of its samples, without any graph: what the op tests and the gradient check stand on. */
#ifndef GRD_OP_CHECK_H
#define GRD_OP_CHECK_H

#include "base/host.h"

#include <gradus/op.h>

/* A sample made real: inputs, outputs, gradients and buffers of one row, in the row's type. */
typedef struct grd_trial {
    const grd_op *op;
    grd_host *host;
    grd_arena arena;
    size_t element;                /* bytes of a real */
    void *attr;
    int n_in;
    grd_shape in_shape[GRD_MAX_IN];
    grd_infer infer;
    grd_args args;                 /* ready for forward and backward */
    void *in[GRD_MAX_IN];          /* writable twins of args.in */
} grd_trial;

/* Parses the sample (its text is documented at grd_op_sample), makes values by seed and allocates everything with NaN in what is to be
 * written. `batch` > 0 replaces the first dimension of every input that has the size of the first one's and no name that begins with w. GRD_ERR_SHAPE: the
 * shape rule refused (trial->infer.why). grd_trial_end in any case. */
grd_status grd_trial_begin(grd_trial *trial, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, uint64_t seed,
                           int64_t batch);
void grd_trial_end(grd_trial *trial);

grd_kind grd_trial_kind(const grd_trial *trial, int i);  /* of input i */
bool grd_trial_has_gradient(const grd_trial *trial, int k); /* output k */
double grd_trial_get(const grd_trial *trial, const void *reals, int64_t i);
void grd_trial_set(const grd_trial *trial, void *reals, int64_t i, double value);

/* Gradient of a randomly projected output against fourth-order central differences: the largest error over inputs. Double rows. */
grd_status grd_trial_gradient_error(grd_trial *trial, double *error);

#endif
