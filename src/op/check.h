/* Runs a row on one of its samples, without any graph: what the op tests and the gradient check stand on. */
#ifndef GRD_OP_CHECK_H
#define GRD_OP_CHECK_H

#include "base/host.h"

#include <gradus/op.h>

enum { GRD_TRIAL_BUFFERS = 2 * GRD_MAX_IN + GRD_MAX_STATE + 2 * GRD_MAX_OUT + 4 };

/* A sample made real: inputs, outputs, gradients and buffers of one row, in the row's type. Every buffer is an allocation of its
 * own of exactly its size, so that a sanitizer sees a kernel that steps past its end. */
typedef struct grd_trial {
    const grd_op *op;
    grd_host *host;
    grd_arena arena;               /* of the options */
    size_t element;                /* bytes of a real */
    void *attr;                    /* resolved */
    int n_in;
    grd_shape in_shape[GRD_MAX_IN];
    struct { double lo, hi; } range[GRD_MAX_IN];
    grd_infer infer;
    grd_args args;                 /* ready for forward and backward, but for scratch */
    void *in[GRD_MAX_IN];          /* writable twins of args.in */
    void *scratch, *scratch_back;
    void *owned[GRD_TRIAL_BUFFERS];
    int n_owned;
} grd_trial;

/* Parses the sample (its text is documented at grd_op_sample): attr, n_in, in_shape and range. grd_trial_end in any case. */
grd_status grd_trial_open(grd_trial *trial, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample);
/* Runs the shape rule on in_shape, which may have been changed, makes values by seed (such that float holds them exactly) and
 * fills all that is to be written with NaN. GRD_ERR_SHAPE: the rule refused, infer.why says why. */
grd_status grd_trial_make(grd_trial *trial, uint64_t seed);
grd_status grd_trial_begin(grd_trial *trial, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample,
                           uint64_t seed); /* both */
void grd_trial_end(grd_trial *trial);

/* Scratch holds NaN when a kernel begins. */
void grd_trial_forward(grd_trial *trial);
void grd_trial_backward(grd_trial *trial);

grd_kind grd_trial_kind(const grd_trial *trial, int i);  /* of input i */
bool grd_trial_has_gradient(const grd_trial *trial, int k); /* output k */
double grd_trial_get(const grd_trial *trial, const void *reals, int64_t i);
void grd_trial_set(const grd_trial *trial, void *reals, int64_t i, double value);

/* Gradient of a randomly projected output against fourth-order central differences: the largest max|a-n| / (max|a| + max|n| +
 * floor) over the inputs; 1 if anything is not finite. At most `most` elements of an input are moved, spread over it. Double
 * rows. */
enum { GRD_TRIAL_ELEMENTS = 512 };
grd_status grd_trial_gradient_error(grd_trial *trial, int64_t most, double floor, double *error);

#endif
