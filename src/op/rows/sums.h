/* Sums and products over runs of numbers, in lanes: a fixed order, and the compiler can use vectors without being allowed
 * to reorder. What may become long (statistics, losses) is summed in double whatever the type. */
#ifndef GRD_OP_SUMS_H
#define GRD_OP_SUMS_H

#include "op/row.h"

enum { GRD_LANES = 8, GRD_WIDE_LANES = 4 };

static inline real dot(const real *a, const real *b, int64_t n)
{
    real lane[GRD_LANES] = { 0 }, sum = 0;
    int64_t i = 0;
    for (; i + GRD_LANES <= n; i += GRD_LANES)
        for (int k = 0; k < GRD_LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (int k = 0; k < GRD_LANES; k++)
        sum += lane[k];
    return sum;
}

/* y += a x */
static inline void add_scaled(real *y, real a, const real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Sum of f over i = 0..n-1, in double lanes; f is an expression in i. */
#define GRD_WIDE_SUM(result, n, i, f)                                                      \
    do {                                                                                   \
        double lane_[GRD_WIDE_LANES] = { 0 }, rest_ = 0;                                   \
        int64_t base_ = 0, count_ = (n);                                                   \
        for (; base_ + GRD_WIDE_LANES <= count_; base_ += GRD_WIDE_LANES)                  \
            for (int k_ = 0; k_ < GRD_WIDE_LANES; k_++) {                                  \
                const int64_t i = base_ + k_;                                              \
                lane_[k_] += (f);                                                          \
            }                                                                              \
        for (int64_t i = base_; i < count_; i++)                                           \
            rest_ += (f);                                                                  \
        (result) = ((lane_[0] + lane_[1]) + (lane_[2] + lane_[3])) + rest_;                \
    } while (0)

static inline double sum_of(const real *x, int64_t n)
{
    double sum;
    GRD_WIDE_SUM(sum, n, i, (double)x[i]);
    return sum;
}

/* sum (x - mean)^2 */
static inline double sum_squares(const real *x, double mean, int64_t n)
{
    double sum;
    GRD_WIDE_SUM(sum, n, i, ((double)x[i] - mean) * ((double)x[i] - mean));
    return sum;
}

/* sum g (x - mean) */
static inline double sum_products(const real *g, const real *x, double mean, int64_t n)
{
    double sum;
    GRD_WIDE_SUM(sum, n, i, (double)g[i] * ((double)x[i] - mean));
    return sum;
}

static inline void set_zero(real *x, int64_t n)
{
    memset(x, 0, sizeof *x * (size_t)n);
}

#endif
