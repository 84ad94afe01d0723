/* Sums and means over axes. */
#include "op/row.h"

static const grd_option options[] = {
    { "axes", GRD_OPTION_INTS, offsetof(grd_reduce_opts, axes), 0, 0, 0, NULL, 0, "dimensions to reduce; none given: all; negative from the end" },
    GRD_FLAG(grd_reduce_opts, keepdim, "leave the reduced dimensions with size 1"),
    GRD_END
};

/* Which dimensions go; false if an axis is out of range or named twice. */
static bool marked(const grd_reduce_opts *o, int rank, bool *gone)
{
    for (int i = 0; i < GRD_MAX_RANK; i++)
        gone[i] = o->axes.n == 0 && i < rank;
    for (int k = 0; k < o->axes.n; k++) {
        int axis = grd_axis(o->axes.v[k], rank);
        if (axis < 0 || gone[axis])
            return false;
        gone[axis] = true;
    }
    return true;
}

static grd_status shape(grd_infer *f)
{
    const grd_reduce_opts *o = f->attr;
    bool gone[GRD_MAX_RANK];
    if (!marked(o, f->in[0].rank, gone))
        return grd_refuse(f, "axes are out of range or named twice; the rank is %d", f->in[0].rank);
    grd_shape *y = &f->out[0];
    y->rank = 0;
    for (int i = 0; i < f->in[0].rank; i++)
        if (!gone[i] || o->keepdim)
            y->dim[y->rank++] = gone[i] ? 1 : f->in[0].dim[i];
    return GRD_OK;
}

/* Offset in the output for each element of the input, kept up to date as the input is walked. */
typedef struct walk {
    int rank;
    int64_t dim[GRD_MAX_RANK], stride[GRD_MAX_RANK], index[GRD_MAX_RANK], at, group; /* group: elements that one output gets */
} walk;

static walk start(const grd_shape *x, const grd_reduce_opts *o)
{
    walk w = { .rank = x->rank, .group = 1 };
    bool gone[GRD_MAX_RANK];
    marked(o, x->rank, gone);
    int64_t stride = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        w.dim[i] = x->dim[i];
        w.stride[i] = gone[i] ? 0 : stride;
        stride *= gone[i] ? 1 : x->dim[i];
        w.group *= gone[i] ? x->dim[i] : 1;
    }
    return w;
}

static inline void step(walk *w)
{
    for (int i = w->rank - 1; i >= 0; i--) {
        w->at += w->stride[i];
        if (++w->index[i] < w->dim[i])
            return;
        w->at -= w->stride[i] * w->dim[i];
        w->index[i] = 0;
    }
}

static void reduce(const grd_args *a, bool mean)
{
    const real *x = a->in[0];
    real *y = a->out[0];
    int64_t n = grd_count(a->in_shape), m = grd_count(a->out_shape);
    memset(y, 0, sizeof(real) * (size_t)m);
    walk w = start(a->in_shape, a->attr);
    for (int64_t i = 0; i < n; i++, step(&w))
        y[w.at] += x[i];
    for (int64_t i = 0; mean && i < m; i++)
        y[i] /= (real)w.group;
}

static void spread(const grd_args *a, bool mean)
{
    real *dx = a->din[0];
    if (!dx)
        return;
    int64_t n = grd_count(a->in_shape);
    walk w = start(a->in_shape, a->attr);
    for (int64_t i = 0; i < n; i++, step(&w))
        dx[i] = mean ? a->dout[0][w.at] / (real)w.group : a->dout[0][w.at];
}

static void sum_forward(const grd_args *a) { reduce(a, false); }
static void sum_backward(const grd_args *a) { spread(a, false); }
static void mean_forward(const grd_args *a) { reduce(a, true); }
static void mean_backward(const grd_args *a) { spread(a, true); }

static const grd_op_sample samples[] = {
    { NULL, "x[3,4]:-1..2" }, { "axes=[1]", "x[3,4,2]:-1..3" }, { "axes=[0,-1] keepdim=true", "x[3,4,2]:-1..3" }, { "axes=[-2]", "x[1,5,3]:-1..3" },
};

const grd_op GRD_ROW(sum) = {
    .name = "sum", .doc = "Sum over axes.\ny = sum of x over the axes\ndx = dy, repeated along them",
    .n_in = 1, .n_out = 1, .options = options, .options_size = sizeof(grd_reduce_opts),
    .shape = shape, .forward = sum_forward, .backward = sum_backward, GRD_SAMPLES(samples),
};

const grd_op GRD_ROW(mean) = {
    .name = "mean", .doc = "Mean over axes.\ny = mean of x over the axes\ndx = dy / count, repeated along them",
    .n_in = 1, .n_out = 1, .options = options, .options_size = sizeof(grd_reduce_opts),
    .shape = shape, .forward = mean_forward, .backward = mean_backward, GRD_SAMPLES(samples),
};
