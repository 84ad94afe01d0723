/* prelu: a rectifier whose slope below zero is learned. x is seen as runs of elements that share a slope. */
#include "op/row.h"

static grd_status shape(grd_infer *f)
{
    const grd_shape *x = &f->in[0], *w = &f->in[1];
    if (w->rank != 1 || (w->dim[0] != 1 && (x->rank < 2 || w->dim[0] != x->dim[1])))
        return grd_refuse(f, "w must have one value, or one per channel of x");
    f->out[0] = *x;
    return GRD_OK;
}

static int64_t run_length(const grd_args *a)
{
    const grd_shape *x = a->in_shape;
    return a->in_shape[1].dim[0] == 1 ? grd_count(x) : grd_span(x, 2, x->rank);
}

static void forward(const grd_args *a)
{
    const real *x = a->in[0], *w = a->in[1];
    int64_t n = grd_count(a->in_shape), run = run_length(a), slopes = a->in_shape[1].dim[0];
    for (int64_t r = 0; r < n / run; r++) {
        real slope = w[r % slopes];
        for (int64_t i = r * run; i < (r + 1) * run; i++)
            a->out[0][i] = x[i] > 0 ? x[i] : slope * x[i];
    }
}

static void backward(const grd_args *a)
{
    const real *x = a->in[0], *w = a->in[1], *dy = a->dout[0];
    real *dx = a->din[0], *dw = a->din[1];
    int64_t n = grd_count(a->in_shape), run = run_length(a), slopes = a->in_shape[1].dim[0];
    if (dw)
        memset(dw, 0, sizeof *dw * (size_t)slopes);
    for (int64_t r = 0; r < n / run; r++) {
        real slope = w[r % slopes];
        double sum = 0;
        for (int64_t i = r * run; i < (r + 1) * run; i++) {
            real g = dy[i];
            sum += x[i] > 0 ? 0 : (double)g * (double)x[i];
            if (dx)
                dx[i] = x[i] > 0 ? g : slope * g;
        }
        if (dw)
            dw[r % slopes] += (real)sum;
    }
}

static const grd_op_sample samples[] = {
    { NULL, "x[4,6] w[1]:0.25..0.25" },
    { NULL, "x[2,3,2,2] w[3]:0.1..0.4" },
    { NULL, "x[2,5] w[5]:-0.2..0.3" },
    { NULL, "x[7] w[1]" },
};

const grd_op GRD_ROW(prelu) = {
    .name = "prelu",
    .doc = "Rectifier with a learned slope below zero.\n"
           "y = x for x > 0, else w x\n"
           "dx = dy where x > 0, else w dy; dw = sum of dy x where x <= 0\n"
           "x [N,...] with w [1], or x [N,C,...] with w [C].\n"
           "He et al. 2015",
    .n_in = 2,
    .n_out = 1,
    .in_names = "x w",
    .flags = GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 3,
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
