/* One row on one backend, as a plan would run it, beside the same row in double by the reference kernels. */
#ifndef TEST_BACKEND_HELPER_STEP_H
#define TEST_BACKEND_HELPER_STEP_H

#include "backend/backend.h"
#include "base/ctx.h"

#include <gradus/op.h>

typedef struct step_case {
    const char *op, *attr; /* "kernel=3", NULL = defaults */
    const char *in;        /* "x[2,3] w[4,3] b[4]" */
    unsigned want;         /* gradients, bit i = of input i */
} step_case;

typedef struct step_result {
    double error;          /* max|a-b| / (max|b| + 1e-6), largest over outputs and wanted gradients */
    const char *where;     /* which one had it */
    double out_error, din_error[GRD_MAX_IN]; /* of each */
    const char *refused;   /* by forward or backward; NULL = both ran */
    bool forward_plain;    /* output and input layouts of forward are all plain */
    char name[48];
    float *out, *din[GRD_MAX_IN]; /* the last run, plain; released by step_release */
    int64_t out_count, din_count[GRD_MAX_IN];
} step_result;

/* Runs forward, then backward, `repeats` times with the same buffers. */
step_result step_run(const grd_backend *backend, const step_case *c, int threads, int repeats);
void step_release(step_result *r);
/* How far two float arrays are apart, as above. */
double step_error(const float *a, const double *b, int64_t n);

#endif
