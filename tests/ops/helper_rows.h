/* The promises every row must keep, as functions that say what is wrong: test_rows tries them on all rows, test_slips on rows
 * with planted faults. */
#ifndef GRD_TESTS_HELPER_ROWS_H
#define GRD_TESTS_HELPER_ROWS_H

#include "op/check.h"

typedef struct row_case {
    grd_host *host;
    const grd_op *op;
    grd_dtype dtype;      /* of op: GRD_F32 or GRD_F64 */
    const grd_op *wide;   /* the double row a float one is compared with; NULL = not compared */
    uint64_t seed;        /* of all values */
    const grd_op_sample *sample;
    char why[400];        /* filled by a check that finds something */
} row_case;

/* `broken` returns true and writes a sentence into `why` if the row breaks the promise on that sample. */
typedef struct row_promise { const char *name; bool (*broken)(row_case *c); } row_promise;
extern const row_promise row_promises[]; /* ends with NULL */

/* The first promise that a row breaks on any of its samples; NULL if it keeps all. */
const char *first_broken(row_case *c);

/* Sets the batch size of an opened trial: the first dimension of every input that has the first one's (`all`), or of the first
 * input and the indices only. */
void set_batch(grd_trial *t, int64_t n, bool all);

/* max|a-b| / (max|b| + 1e-6) of two buffers of different types */
double relative_error(const grd_trial *ta, const void *a, const grd_trial *tb, const void *b, int64_t n);
double row_bound(const grd_op *op);

/* Memory that ends exactly where it was asked to, so that a sanitizer sees the first byte past it. */
extern const grd_allocator exact_memory;

#endif
