/* What lstm and gru have in common: inputs, sizes, lengths, and the gradients of two products at one step. */
#ifndef GRD_OP_ROWS_RECURRENT_H
#define GRD_OP_ROWS_RECURRENT_H

#include "op/rows/sums.h"

enum { X, W_IH, W_HH, B_IH, B_HH, LENGTHS }; /* inputs */

static const grd_kind recurrent_kinds[] = { GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_INDEX };

typedef struct recurrent_dims {
    int64_t n, t, f, h;
} recurrent_dims;

static inline recurrent_dims dims_of(const grd_shape *in)
{
    return (recurrent_dims){ in[X].dim[0], in[X].dim[1], in[X].dim[2], in[W_HH].dim[1] };
}

/* Inputs of an op with that many gates, "i f g o" their order; saved: values of H that forward keeps for each step. */
static inline grd_status recurrent_shape(grd_infer *f, int gates, const char *order, int saved)
{
    const grd_shape *in = f->in;
    if (in[X].rank != 3)
        return grd_refuse(f, "x has rank %d, expected [N,T,F]", in[X].rank);
    if (in[W_HH].rank != 2 || in[W_HH].dim[0] % gates || in[W_HH].dim[0] / gates != in[W_HH].dim[1])
        return grd_refuse(f, "w_hh must be [%dH,H]: gates %s", gates, order);
    recurrent_dims d = dims_of(in);
    if (in[W_IH].rank != 2 || in[W_IH].dim[0] != gates * d.h || in[W_IH].dim[1] != d.f)
        return grd_refuse(f, "w_ih must be [%dH,F] = [%lld,%lld]", gates, (long long)(gates * d.h), (long long)d.f);
    if (f->n_in == B_HH)
        return grd_refuse(f, "b_ih without b_hh: give both or none");
    for (int i = B_IH; i <= B_HH && i < f->n_in; i++)
        if (in[i].rank != 1 || in[i].dim[0] != gates * d.h)
            return grd_refuse(f, "%s must be [%dH] = [%lld]", i == B_IH ? "b_ih" : "b_hh", gates, (long long)(gates * d.h));
    if (f->n_in > LENGTHS && (in[LENGTHS].rank != 1 || in[LENGTHS].dim[0] != d.n))
        return grd_refuse(f, "lengths must hold one number per row of x");
    f->out[0] = (grd_shape){ 3, { d.n, d.t, d.h } };
    f->out[1] = (grd_shape){ 2, { d.n, d.h } };
    f->save = sizeof(real) * (size_t)saved * (size_t)(d.n * d.t * d.h);
    f->flops = 2.0 * gates * (double)d.n * (double)d.t * (double)d.h * (double)(d.f + d.h);
    return GRD_OK;
}

static inline int64_t length_of(const grd_args *a, int64_t n, int64_t t)
{
    int64_t length = a->n_in > LENGTHS ? ((const int32_t *)a->in[LENGTHS])[n] : t;
    return length < 0 ? 0 : length > t ? t : length;
}

static inline real sigmoid(real v)
{
    real e = REAL(exp)(-REAL(fabs)(v));
    return v < 0 ? e / (1 + e) : 1 / (1 + e);
}

/* What the gradients of w_ih x + b_ih (from_x) and w_hh h + b_hh (from_h) at one step add to those of inputs, weights and the h before.
 * h NULL: zero, and nobody reads dh. */
static inline void recurrent_backward(const grd_args *a, const recurrent_dims *d, const real *from_x, const real *from_h,
                                      const real *x, const real *h, real *dx, real *dh)
{
    const real *w_ih = a->in[W_IH], *w_hh = a->in[W_HH];
    const int64_t rows = a->in_shape[W_IH].dim[0];
    for (int64_t j = 0; j < rows; j++) {
        if (dx)
            add_scaled(dx, from_x[j], w_ih + j * d->f, d->f);
        if (a->din[W_IH])
            add_scaled(a->din[W_IH] + j * d->f, from_x[j], x, d->f);
        if (a->din[W_HH] && h)
            add_scaled(a->din[W_HH] + j * d->h, from_h[j], h, d->h);
        if (a->din[B_IH])
            a->din[B_IH][j] += from_x[j];
        if (a->din[B_HH])
            a->din[B_HH][j] += from_h[j];
        if (h)
            add_scaled(dh, from_h[j], w_hh + j * d->h, d->h);
    }
}

#endif
