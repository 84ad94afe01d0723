/* softmax and log_softmax over one axis, shifted by the largest value. */
#include "op/row.h"

static const grd_option options[] = {
    GRD_INT(grd_softmax_opts, axis, -1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension whose values sum to 1; not the batch"),
    GRD_END
};

static grd_status shape(grd_infer *f)
{
    if (grd_axis(((const grd_softmax_opts *)f->attr)->axis, f->in[0].rank) < 1)
        return grd_refuse(f, "axis %lld: one from 1 to %d expected", (long long)((const grd_softmax_opts *)f->attr)->axis,
                          f->in[0].rank - 1);
    f->out[0] = f->in[0];
    return GRD_OK;
}

typedef struct lines { int64_t outer, n, inner; } lines; /* line (o, i): elements o n inner + k inner + i */

static lines lines_of(const grd_args *a)
{
    const grd_shape *x = a->in_shape;
    int axis = grd_axis(((const grd_softmax_opts *)a->attr)->axis, x->rank);
    return (lines){ grd_span(x, 0, axis), x->dim[axis], grd_span(x, axis + 1, x->rank) };
}

static real largest(const real *x, const lines *l)
{
    real m = x[0];
    for (int64_t k = 1; k < l->n; k++)
        m = x[k * l->inner] > m ? x[k * l->inner] : m;
    return m;
}

static void forward(const grd_args *a, bool logarithm)
{
    lines l = lines_of(a);
    for (int64_t line = 0; line < l.outer * l.inner; line++) {
        int64_t at = line / l.inner * l.n * l.inner + line % l.inner;
        const real *x = (const real *)a->in[0] + at;
        real *y = a->out[0] + at, m = largest(x, &l), sum = 0;
        for (int64_t k = 0; k < l.n; k++) {
            real e = REAL(exp)(x[k * l.inner] - m);
            sum += e;
            y[k * l.inner] = logarithm ? x[k * l.inner] - m : e;
        }
        real log_sum = REAL(log)(sum);
        for (int64_t k = 0; k < l.n; k++)
            y[k * l.inner] = logarithm ? y[k * l.inner] - log_sum : y[k * l.inner] / sum;
    }
}

static void backward(const grd_args *a, bool logarithm)
{
    lines l = lines_of(a);
    for (int64_t line = 0; a->din[0] && line < l.outer * l.inner; line++) {
        int64_t at = line / l.inner * l.n * l.inner + line % l.inner;
        const real *y = a->out[0] + at, *dy = a->dout[0] + at;
        real *dx = a->din[0] + at, sum = 0;
        for (int64_t k = 0; k < l.n; k++)
            sum += logarithm ? dy[k * l.inner] : dy[k * l.inner] * y[k * l.inner];
        for (int64_t k = 0; k < l.n; k++) {
            int64_t i = k * l.inner;
            dx[i] = logarithm ? dy[i] - REAL(exp)(y[i]) * sum : y[i] * (dy[i] - sum);
        }
    }
}

static void softmax_forward(const grd_args *a) { forward(a, false); }
static void softmax_backward(const grd_args *a) { backward(a, false); }
static void log_softmax_forward(const grd_args *a) { forward(a, true); }
static void log_softmax_backward(const grd_args *a) { backward(a, true); }

static const grd_op_sample samples[] = { { NULL, "x[3,5]:-3..3" }, { "axis=1", "x[2,4,3]:-3..3" }, { "axis=2", "x[2,2,3,2]" } };

const grd_op GRD_ROW(softmax) = {
    .name = "softmax",
    .doc = "Positive values that sum to 1 along an axis.\ny_k = exp(x_k) / sum_j exp(x_j)\ndx = y (dy - <dy, y>)\n"
           "For training use cross_entropy on the logits instead.",
    .n_in = 1, .n_out = 1, .flags = GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP, .bwd_out = 1, .options = options,
    .options_size = sizeof(grd_softmax_opts),
    .shape = shape, .forward = softmax_forward, .backward = softmax_backward, GRD_SAMPLES(samples),
};

const grd_op GRD_ROW(log_softmax) = {
    .name = "log_softmax",
    .doc = "Logarithm of softmax.\ny_k = x_k - log sum_j exp(x_j)\ndx = dy - exp(y) sum(dy)",
    .n_in = 1, .n_out = 1, .flags = GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP, .bwd_out = 1, .options = options,
    .options_size = sizeof(grd_softmax_opts),
    .shape = shape, .forward = log_softmax_forward, .backward = log_softmax_backward, GRD_SAMPLES(samples),
};
