/* What cutting a data set into parts is made of. */
#ifndef GRD_DATA_SPLIT_H
#define GRD_DATA_SPLIT_H

#include "data/classes.h"

#define GRD_MAX_FOLDS 1000

/* Whole groups to parts: part[place] (0 .. n_parts-1) for each place of `order`, so that each part gets its share of all samples, and of
 * every class, as well as the groups allow. */
grd_status grd_split_groups(const grd_dataset *data, const char *field, const int64_t *order, const grd_classes *classes,
                            const double *share, int n_parts, int32_t *part);

/* order[0..n) as numpy.random.seed(seed); numpy.random.permutation(n) gives it. Seeds are 32 bits, n is at most 2^32. */
grd_status grd_numpy_permutation(grd_host *host, uint64_t seed, int64_t *order, int64_t n);

#endif
