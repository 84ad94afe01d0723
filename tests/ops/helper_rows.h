/* The checks every row must pass, as functions that say what is wrong: test_rows runs them on all rows, test_slips on rows with
 * planted faults. */
#ifndef GRD_TESTS_HELPER_ROWS_H
#define GRD_TESTS_HELPER_ROWS_H

#include "op/check.h"

/* Each returns true and writes a sentence into why if the row breaks the promise on that sample. wide: the double row. */
typedef bool (*row_check)(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size);

typedef struct row_promise { const char *name; row_check broken; } row_promise;
extern const row_promise row_promises[]; /* ends with NULL */

/* The first promise that a row breaks on any sample, in its double form; NULL if it keeps all. */
const char *first_broken(grd_host *host, const grd_op *op, grd_dtype dtype, char *why, size_t size);

/* max|a-b| / (max|b| + 1e-6) of two buffers of different types */
double relative_error(const grd_trial *ta, const void *a, const grd_trial *tb, const void *b, int64_t n);
double row_bound(const grd_op *op);

#endif
