/* One LSTM layer over padded sequences. Rows of the batch are independent; each is walked alone through its valid steps.
 * save: [N,T,5,H], the gates i f g o after their non-linearity, then c. */
#include "op/rows/recurrent.h"

enum { Y, LAST_H, LAST_C }; /* outputs */

static grd_status shape(grd_infer *f)
{
    grd_status status = recurrent_shape(f, 4, "i f g o", 5);
    if (status != GRD_OK)
        return status;
    const int64_t h = f->in[W_HH].dim[1];
    f->out[LAST_C] = f->out[LAST_H];
    f->scratch = sizeof(real) * 5 * (size_t)h;
    f->scratch_back = sizeof(real) * 6 * (size_t)h;
    return GRD_OK;
}

/* z = w_ih x + b_ih + w_hh h + b_hh, then the gates' non-linearities. h NULL: zero. */
static void gates(const grd_args *a, const recurrent_dims *d, const real *x, const real *h, real *z)
{
    const real *w_ih = a->in[W_IH], *w_hh = a->in[W_HH];
    const real *b_ih = a->n_in > B_HH ? a->in[B_IH] : NULL, *b_hh = a->n_in > B_HH ? a->in[B_HH] : NULL;
    for (int64_t j = 0; j < 4 * d->h; j++) {
        real v = dot(w_ih + j * d->f, x, d->f);
        if (h)
            v += dot(w_hh + j * d->h, h, d->h);
        if (b_ih)
            v += b_ih[j] + b_hh[j];
        z[j] = j / d->h == 2 ? REAL(tanh)(v) : sigmoid(v);
    }
}

static void forward(const grd_args *a)
{
    recurrent_dims d = dims_of(a->in_shape);
    for (int64_t n = 0; n < d.n; n++) {
        const real *x = (const real *)a->in[X] + n * d.t * d.f;
        real *y = a->out[Y] + n * d.t * d.h, *last_h = a->out[LAST_H] + n * d.h, *c = a->out[LAST_C] + n * d.h;
        int64_t length = length_of(a, n, d.t);
        set_zero(c, d.h);
        set_zero(last_h, d.h);
        for (int64_t t = 0; t < length; t++) {
            real *z = a->save ? (real *)a->save + (n * d.t + t) * 5 * d.h : a->scratch;
            gates(a, &d, x + t * d.f, t ? y + (t - 1) * d.h : NULL, z);
            for (int64_t k = 0; k < d.h; k++) {
                c[k] = z[d.h + k] * c[k] + z[k] * z[2 * d.h + k];
                y[t * d.h + k] = z[3 * d.h + k] * REAL(tanh)(c[k]);
            }
            memcpy(z + 4 * d.h, c, sizeof *c * (size_t)d.h);
        }
        if (length)
            memcpy(last_h, y + (length - 1) * d.h, sizeof *y * (size_t)d.h);
        set_zero(y + length * d.h, (d.t - length) * d.h);
    }
}

/* One step back: dh and dc (of this step) become those of the step before; dz is the gradient before the non-linearities. */
static void cell_backward(int64_t h, const real *z, const real *c_before, const real *dh, real *dc, real *dz)
{
    const real *i = z, *f = z + h, *g = z + 2 * h, *o = z + 3 * h, *c = z + 4 * h;
    for (int64_t k = 0; k < h; k++) {
        real tanh_c = REAL(tanh)(c[k]);
        dc[k] += dh[k] * o[k] * (1 - tanh_c * tanh_c);
        dz[k] = dc[k] * g[k] * i[k] * (1 - i[k]);
        dz[h + k] = c_before ? dc[k] * c_before[k] * f[k] * (1 - f[k]) : 0;
        dz[2 * h + k] = dc[k] * i[k] * (1 - g[k] * g[k]);
        dz[3 * h + k] = dh[k] * tanh_c * o[k] * (1 - o[k]);
        dc[k] *= f[k];
    }
}

static void backward(const grd_args *a)
{
    recurrent_dims d = dims_of(a->in_shape);
    real *dh = a->scratch, *dc = dh + d.h, *dz = dc + d.h;
    for (int i = X; i <= B_HH; i++)
        if (a->din[i])
            set_zero(a->din[i], grd_count(&a->in_shape[i]));
    for (int64_t n = 0; n < d.n; n++) {
        const real *x = (const real *)a->in[X] + n * d.t * d.f, *y = a->out[Y] + n * d.t * d.h;
        const real *save = (const real *)a->save + n * d.t * 5 * d.h;
        set_zero(dh, 2 * d.h);
        if (a->dout[LAST_H])
            add_scaled(dh, 1, a->dout[LAST_H] + n * d.h, d.h);
        if (a->dout[LAST_C])
            add_scaled(dc, 1, a->dout[LAST_C] + n * d.h, d.h);
        for (int64_t t = length_of(a, n, d.t) - 1; t >= 0; t--) {
            if (a->dout[Y])
                add_scaled(dh, 1, a->dout[Y] + (n * d.t + t) * d.h, d.h);
            const real *z = save + t * 5 * d.h;
            cell_backward(d.h, z, t ? z - d.h : NULL, dh, dc, dz); /* c of the step before ends just where z begins */
            real *dx = a->din[X] ? a->din[X] + (n * d.t + t) * d.f : NULL;
            set_zero(dh, d.h);
            recurrent_backward(a, &d, dz, dz, x + t * d.f, t ? y + (t - 1) * d.h : NULL, dx, dh);
        }
    }
}

static const grd_op_sample samples[] = {
    { NULL, "x[3,5,2] w_ih[12,2] w_hh[12,3] b_ih[12] b_hh[12] lengths[3]:1..5" },
    { NULL, "x[2,4,3] w_ih[20,3] w_hh[20,5] b_ih[20] b_hh[20]" },
    { NULL, "x[1,3,1] w_ih[4,1] w_hh[4,1]" },
    { NULL, "x[4,3,2] w_ih[8,2] w_hh[8,2] b_ih[8] b_hh[8] lengths[4]:0..4" },
};

const grd_op GRD_ROW(lstm) = {
    .name = "lstm",
    .doc = "Long short-term memory, one layer, one direction, from a zero state. For each step t of a row:\n"
           "i, f, g, o = w_ih x_t + b_ih + w_hh h_{t-1} + b_hh (four parts of H); i, f, o through the sigmoid, g through tanh;\n"
           "c_t = f c_{t-1} + i g, h_t = o tanh(c_t).\n"
           "Outputs: y [N,T,H], all h_t, zero past a row's length; h [N,H] and c [N,H] at the last valid step.\n"
           "Backward through time, with dh_t the sum of all that reads h_t and s' a gate's derivative:\n"
           "dc_t = dh_t o (1 - tanh(c_t)^2) + f_{t+1} dc_{t+1}; dz = (dc g i', dc c_{t-1} f', dc i g', dh tanh(c) o');\n"
           "dx_t = w_ih^T dz, dh_{t-1} = w_hh^T dz, dw_ih = sum dz x_t^T, dw_hh = sum dz h_{t-1}^T, db_ih = db_hh = sum dz.\n"
           "x [N,T,F], w_ih [4H,F], w_hh [4H,H], b_ih and b_hh [4H] (both or none), lengths [N] (i32; none: all T). Lengths\n"
           "come after the biases: who has the first and not the second gives zeros.\n"
           "A length outside 0..T counts as the nearer of the two; 0 gives zeros.\n"
           "Hochreiter, Schmidhuber 1997; Gers et al. 2000; gate order and biases as PyTorch's.",
    .n_in = 6,
    .n_out = 3,
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
