/* One GRU layer over padded sequences. Rows of the batch are independent; each is walked alone through its valid steps.
 * save: [N,T,4,H], the gates r z n after their non-linearity, then q, what r is a factor of. */
#include "op/rows/recurrent.h"

enum { Y, LAST_H }; /* outputs */

static grd_status shape(grd_infer *f)
{
    grd_status status = recurrent_shape(f, 3, "r z n", 4);
    if (status != GRD_OK)
        return status;
    const int64_t h = f->in[W_HH].dim[1];
    f->scratch = sizeof(real) * 4 * (size_t)h;
    f->scratch_back = sizeof(real) * 7 * (size_t)h;
    return GRD_OK;
}

/* Row j of w v + b; v NULL: zero. */
static inline real sum_at(const real *w, const real *b, const real *v, int64_t j, int64_t n)
{
    real sum = v ? dot(w + j * n, v, n) : 0;
    return b ? sum + b[j] : sum;
}

/* s: r z n q. h NULL: zero. */
static void gates(const grd_args *a, const recurrent_dims *d, const real *x, const real *h, real *s)
{
    const real *w_ih = a->in[W_IH], *w_hh = a->in[W_HH];
    const real *b_ih = a->n_in > B_HH ? a->in[B_IH] : NULL, *b_hh = a->n_in > B_HH ? a->in[B_HH] : NULL;
    for (int64_t j = 0; j < 2 * d->h; j++)
        s[j] = sigmoid(sum_at(w_ih, b_ih, x, j, d->f) + sum_at(w_hh, b_hh, h, j, d->h));
    for (int64_t k = 0, j = 2 * d->h; k < d->h; k++, j++) {
        s[j + d->h] = sum_at(w_hh, b_hh, h, j, d->h);
        s[j] = REAL(tanh)(sum_at(w_ih, b_ih, x, j, d->f) + s[k] * s[j + d->h]);
    }
}

static void forward(const grd_args *a)
{
    recurrent_dims d = dims_of(a->in_shape);
    for (int64_t n = 0; n < d.n; n++) {
        const real *x = (const real *)a->in[X] + n * d.t * d.f;
        real *y = a->out[Y] + n * d.t * d.h, *last_h = a->out[LAST_H] + n * d.h;
        int64_t length = length_of(a, n, d.t);
        for (int64_t t = 0; t < length; t++) {
            real *s = a->save ? (real *)a->save + (n * d.t + t) * 4 * d.h : a->scratch;
            const real *before = t ? y + (t - 1) * d.h : NULL, *z = s + d.h, *new = s + 2 * d.h;
            gates(a, &d, x + t * d.f, before, s);
            for (int64_t k = 0; k < d.h; k++)
                y[t * d.h + k] = (1 - z[k]) * new[k] + (before ? z[k] * before[k] : 0);
        }
        set_zero(y + length * d.h, (d.t - length) * d.h);
        if (length)
            memcpy(last_h, y + (length - 1) * d.h, sizeof *y * (size_t)d.h);
        else
            set_zero(last_h, d.h);
    }
}

/* One step back: from_x and from_h are the gradients of w_ih x + b_ih and w_hh h + b_hh; dh becomes what goes past the gates. */
static void cell_backward(int64_t h, const real *s, const real *before, real *dh, real *from_x, real *from_h)
{
    const real *r = s, *z = s + h, *new = s + 2 * h, *q = s + 3 * h;
    for (int64_t k = 0; k < h; k++) {
        real dn = dh[k] * (1 - z[k]) * (1 - new[k] * new[k]);
        from_x[k] = from_h[k] = dn * q[k] * r[k] * (1 - r[k]);
        from_x[h + k] = from_h[h + k] = dh[k] * ((before ? before[k] : 0) - new[k]) * z[k] * (1 - z[k]);
        from_x[2 * h + k] = dn;
        from_h[2 * h + k] = dn * r[k];
        dh[k] *= z[k];
    }
}

static void backward(const grd_args *a)
{
    recurrent_dims d = dims_of(a->in_shape);
    real *dh = a->scratch, *from_x = dh + d.h, *from_h = from_x + 3 * d.h;
    for (int i = X; i <= B_HH; i++)
        if (a->din[i])
            set_zero(a->din[i], grd_count(&a->in_shape[i]));
    for (int64_t n = 0; n < d.n; n++) {
        const real *x = (const real *)a->in[X] + n * d.t * d.f, *y = a->out[Y] + n * d.t * d.h;
        const real *save = (const real *)a->save + n * d.t * 4 * d.h;
        set_zero(dh, d.h);
        if (a->dout[LAST_H])
            add_scaled(dh, 1, a->dout[LAST_H] + n * d.h, d.h);
        for (int64_t t = length_of(a, n, d.t) - 1; t >= 0; t--) {
            const real *before = t ? y + (t - 1) * d.h : NULL;
            real *dx = a->din[X] ? a->din[X] + (n * d.t + t) * d.f : NULL;
            if (a->dout[Y])
                add_scaled(dh, 1, a->dout[Y] + (n * d.t + t) * d.h, d.h);
            cell_backward(d.h, save + t * 4 * d.h, before, dh, from_x, from_h);
            recurrent_backward(a, &d, from_x, from_h, x + t * d.f, before, dx, dh);
        }
    }
}

static const grd_op_sample samples[] = {
    { NULL, "x[3,5,2] w_ih[9,2] w_hh[9,3] b_ih[9] b_hh[9] lengths[3]:1..5" },
    { NULL, "x[2,4,3] w_ih[15,3] w_hh[15,5] b_ih[15] b_hh[15]" },
    { NULL, "x[1,3,1] w_ih[3,1] w_hh[3,1]" },
    { NULL, "x[4,3,2] w_ih[6,2] w_hh[6,2] b_ih[6] b_hh[6] lengths[4]:0..4" },
    { NULL, "x[3,1,4] w_ih[6,4] w_hh[6,2] b_ih[6] b_hh[6]" },
};

const grd_op GRD_ROW(gru) = {
    .name = "gru",
    .doc = "Gated recurrent unit, one layer, one direction, from a zero state. For each step t of a row, the gates in the order r z n:\n"
           "r, z = sigmoid(w_ih x_t + b_ih + w_hh h_{t-1} + b_hh), q = w_hn h_{t-1} + b_hn, n = tanh(w_in x_t + b_in + r q);\n"
           "h_t = (1 - z) n + z h_{t-1}.\n"
           "Outputs: y [N,T,H], all h_t, zero past a row's length; h [N,H] at the last valid step.\n"
           "Backward through time, with dh_t the sum of all that reads h_t and s' a gate's derivative:\n"
           "dn = dh_t (1 - z) n', dr = dn q r', dz = dh_t (h_{t-1} - n) z'; u = (dr, dz, dn), v = (dr, dz, dn r);\n"
           "dx_t = w_ih^T u, dh_{t-1} = z dh_t + w_hh^T v, dw_ih = sum u x_t^T, dw_hh = sum v h_{t-1}^T, db_ih = sum u,\n"
           "db_hh = sum v.\n"
           "x [N,T,F], w_ih [3H,F], w_hh [3H,H], b_ih and b_hh [3H] (both or none), lengths [N] (i32; none: all T). Lengths\n"
           "come after the biases: who has the first and not the second gives zeros.\n"
           "A length outside 0..T counts as the nearer of the two; 0 gives zeros.\n"
           "Cho et al. 2014, with r behind the product as in PyTorch.",
    .n_in = 6,
    .n_out = 2,
    .n_in_min = 3,
    .in_names = "x w_ih w_hh b_ih b_hh lengths",
    .in_kind = recurrent_kinds,
    .flags = GRD_BWD_SAVE,
    .bwd_in = 1u << X | 1u << W_IH | 1u << W_HH | 1u << LENGTHS,
    .bwd_out = 1u << Y,
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
