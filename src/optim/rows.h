/* Optimizers as rows: adding one is a row in rows.c and its kernel. */
#ifndef GRD_OPTIM_ROWS_H
#define GRD_OPTIM_ROWS_H

#include "backend/cpu/kernels.h"

#include <gradus/optim.h>

typedef struct optim_row {
    const char *name, *doc;
    const grd_option *options;
    size_t options_size;
    const char *moments[GRD_MAX_MOMENTS];                    /* PyTorch's names */
    int (*n_moments)(const void *options);
    double (*lr)(const void *options);
    const char *(*check)(const void *options);               /* options that do not go together: a sentence; may be NULL */
    /* Fills what depends on the options and on t, the number of this update of these parameters, from 1. */
    void (*prepare)(const void *options, double lr, int64_t t, grd_step_job *job);
    void (*(*kernel)(const grd_cpu_table *table, bool wide))(const grd_step_job *job, int64_t begin, int64_t end);
} optim_row;

#define GRD_OPTIM_MAX_OPTIONS 256 /* bytes of the largest options struct */

extern const optim_row *const grd_optim_rows[]; /* ends with NULL */

#endif
