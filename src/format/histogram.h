/* Histograms with the bins that PyTorch's add_histogram has by default. */
#ifndef GRD_FORMAT_HISTOGRAM_H
#define GRD_FORMAT_HISTOGRAM_H

#include <gradus/tensor.h>

enum { GRD_HISTOGRAM_MAX = 1600 };

typedef struct grd_histogram {
    double min, max, count, sum, sum_squares; /* of the finite values */
    int n;                                    /* bins: an empty one, then from the first to the last that is not empty */
    double right[GRD_HISTOGRAM_MAX];          /* right edges */
    double in_bin[GRD_HISTOGRAM_MAX];
} grd_histogram;

/* Counts n values (F32 or F64). Edges: 0 and +-1e-12 * 1.1^k below 1e20; what lies beyond counts in the outermost bins; NaN and
 * infinity are left out. */
void grd_histogram_count(grd_histogram *histogram, grd_dtype dtype, const void *values, int64_t n);

#endif
