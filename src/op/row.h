/* What every op file includes. Files in op/rows/ are compiled twice: real is float, then double, and GRD_ROW(name) is the
 * symbol of the row for that type. They define rows and static functions only, nothing public. */
#ifndef GRD_OP_ROW_H
#define GRD_OP_ROW_H

#include <gradus/op.h>
#include <gradus/ops.h>

#include <math.h>
#include <string.h>

typedef grd_real real;

#ifdef GRD_REAL_IS_DOUBLE
#define GRD_ROW(name) grd_row_##name##_f64
#define REAL(x) x           /* math functions: REAL(exp)(v) */
#else
#define GRD_ROW(name) grd_row_##name##_f32
#define GRD_PASTE_F_(x) x##f
#define REAL(x) GRD_PASTE_F_(x)
#endif

#define GRD_COUNT_OF(array) ((int)(sizeof(array) / sizeof *(array)))
#define GRD_SAMPLES(array) .samples = array, .n_samples = GRD_COUNT_OF(array)

/* Negative axes count from the end. -1 if out of range. */
static inline int grd_axis(int64_t axis, int rank)
{
    int64_t a = axis < 0 ? axis + rank : axis;
    return a >= 0 && a < rank ? (int)a : -1;
}

/* Product of dimensions begin..end-1. */
static inline int64_t grd_span(const grd_shape *s, int begin, int end)
{
    int64_t n = 1;
    for (int i = begin; i < end; i++)
        n *= s->dim[i];
    return n;
}

#endif
