/* Counting values into bins that grow by a tenth. */
#include "format/histogram.h"

#include <math.h>
#include <string.h>

/* Ascending: the negative edges, 0, the positive ones. */
static int make_edges(double edge[GRD_HISTOGRAM_MAX])
{
    int side = 0;
    double positive[GRD_HISTOGRAM_MAX / 2];
    for (double v = 1e-12; v < 1e20; v *= 1.1)
        positive[side++] = v;
    for (int i = 0; i < side; i++) {
        edge[i] = -positive[side - 1 - i];
        edge[side + 1 + i] = positive[i];
    }
    edge[side] = 0;
    return 2 * side + 1;
}

/* The bin i with edge[i] <= value < edge[i + 1]. */
static int find_bin(const double *edge, int edges, double value)
{
    int low = 0, high = edges - 2;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (value >= edge[middle])
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

void grd_histogram_count(grd_histogram *h, grd_dtype dtype, const void *values, int64_t n)
{
    double edge[GRD_HISTOGRAM_MAX];
    int edges = make_edges(edge), first = edges, last = -1;
    memset(h, 0, sizeof *h);
    for (int64_t i = 0; i < n; i++) {
        double value = dtype == GRD_F64 ? ((const double *)values)[i] : ((const float *)values)[i];
        if (!isfinite(value))
            continue;
        int bin = find_bin(edge, edges, value);
        h->in_bin[bin]++;
        first = bin < first ? bin : first;
        last = bin > last ? bin : last;
        h->min = h->count == 0 || value < h->min ? value : h->min;
        h->max = h->count == 0 || value > h->max ? value : h->max;
        h->count++;
        h->sum += value;
        h->sum_squares += value * value;
    }
    if (last < 0) { /* a reader wants at least one bin */
        h->n = 1;
        return;
    }
    int before = first > 0; /* the empty bin below gives the first one its left edge */
    h->n = last - first + 1 + before;
    memmove(h->in_bin, h->in_bin + first - before, sizeof *h->in_bin * (size_t)h->n);
    for (int i = 0; i < h->n; i++)
        h->right[i] = edge[first - before + i + 1];
}
