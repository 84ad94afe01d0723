/* The reference matrix product and the pieces of `linear`, shared by linear, linear_act and matmul. */
#ifndef GRD_OP_ROWS_PRODUCT_H
#define GRD_OP_ROWS_PRODUCT_H

#include "op/rows/sums.h"

/* C [m,n] += op(A) [m,k] op(B) [k,n]; op transposes. The inner loop runs along rows of B and C, or along k where rows of A and B
 * are both contiguous; only with both transposed it has a stride. */
static inline void product_add(const real *a, bool ta, const real *b, bool tb, real *c, int64_t m, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < m; i++) {
        real *row = c + i * n;
        for (int64_t p = 0; !tb && p < k; p++)
            add_scaled(row, ta ? a[p * m + i] : a[i * k + p], b + p * n, n);
        for (int64_t j = 0; tb && !ta && j < n; j++)
            row[j] += dot(a + i * k, b + j * k, k);
        for (int64_t p = 0; tb && ta && p < k; p++)
            for (int64_t j = 0; j < n; j++)
                row[j] += a[p * m + i] * b[j * k + p];
    }
}

static inline grd_status linear_shape(grd_infer *f)
{
    const grd_shape *x = &f->in[0], *w = &f->in[1];
    if (x->rank < 1 || w->rank != 2)
        return grd_refuse(f, "x needs rank 1 or more, w rank 2");
    int64_t in = x->dim[x->rank - 1];
    if (in != w->dim[1])
        return grd_refuse(f, "last dimension of x is %lld, w takes %lld", (long long)in, (long long)w->dim[1]);
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != w->dim[0]))
        return grd_refuse(f, "b must have %lld values, as w has rows", (long long)w->dim[0]);
    f->out[0] = *x;
    f->out[0].dim[x->rank - 1] = w->dim[0];
    f->flops = 2.0 * (double)grd_count(&f->out[0]) * (double)in;
    return GRD_OK;
}

/* y = x W' + b; in: x, w, b or not */
static inline void linear_product(const grd_args *a, real *y)
{
    int64_t in = a->in_shape[1].dim[1], out = a->in_shape[1].dim[0], rows = grd_count(&a->in_shape[0]) / in;
    const real *b = a->n_in > 2 ? a->in[2] : NULL;
    for (int64_t i = 0; i < rows; i++) {
        if (b)
            memcpy(y + i * out, b, sizeof(real) * (size_t)out);
        else
            set_zero(y + i * out, out);
    }
    product_add(a->in[0], false, a->in[1], true, y, rows, out, in);
}

/* dX = dY W, dW = dY' X, db = dY' 1 */
static inline void linear_gradients(const grd_args *a, const real *dy)
{
    int64_t in = a->in_shape[1].dim[1], out = a->in_shape[1].dim[0], rows = grd_count(&a->in_shape[0]) / in;
    if (a->din[0]) {
        set_zero(a->din[0], rows * in);
        product_add(dy, false, a->in[1], false, a->din[0], rows, in, out);
    }
    if (a->din[1]) {
        set_zero(a->din[1], out * in);
        product_add(dy, true, a->in[0], false, a->din[1], out, in, rows);
    }
    if (a->n_in > 2 && a->din[2]) {
        set_zero(a->din[2], out);
        for (int64_t i = 0; i < rows; i++)
            add_scaled(a->din[2], 1, dy + i * out, out);
    }
}

#endif
