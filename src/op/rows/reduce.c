/* Sums and means over axes. */
#include "op/rows/sums.h"
#include "op/rows/walk.h"

static const grd_option options[] = {
    { "axes", GRD_OPTION_INTS, offsetof(grd_reduce_opts, axes), 0, 0, 0, NULL, 0,
      "dimensions to reduce; none given: all; negative from the end" },
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
    f->scratch = sizeof(double) * (size_t)grd_count(y);
    return GRD_OK;
}

/* Over x, with the offsets in y: 0 along what is reduced. */
static walk start(const grd_args *a)
{
    const grd_shape *x = a->in_shape;
    int64_t stride[2][GRD_MAX_RANK] = { { 0 } }, size = 1;
    bool gone[GRD_MAX_RANK];
    marked(a->attr, x->rank, gone);
    for (int i = x->rank - 1; i >= 0; i--) {
        stride[0][i] = gone[i] ? 0 : size;
        size *= gone[i] ? 1 : x->dim[i];
    }
    return walk_start(x, stride);
}

/* Sums are kept in double, whatever the type: they may be long. */
static void reduce(const grd_args *a, double factor)
{
    const real *x = a->in[0];
    double *sum = a->scratch;
    int64_t m = grd_count(a->out_shape);
    memset(sum, 0, sizeof *sum * (size_t)m);
    walk w = start(a);
    for (int64_t run = 0; run < w.runs; run++, walk_next(&w), x += w.n) {
        if (w.step[0] == 0)
            sum[w.at[0]] += sum_of(x, w.n);
        else
            for (int64_t i = 0; i < w.n; i++)
                sum[w.at[0] + i] += (double)x[i];
    }
    for (int64_t i = 0; i < m; i++)
        a->out[0][i] = (real)(sum[i] * factor);
}

static void repeat(const grd_args *a, double factor)
{
    real *dx = a->din[0];
    walk w = start(a);
    for (int64_t run = 0; dx && run < w.runs; run++, walk_next(&w), dx += w.n) {
        const real *dy = a->dout[0] + w.at[0];
        for (int64_t i = 0; i < w.n; i++)
            dx[i] = (real)((double)dy[w.step[0] ? i : 0] * factor);
    }
}

static double one_over_group(const grd_args *a) { return (double)grd_count(a->out_shape) / (double)grd_count(a->in_shape); }

static void sum_forward(const grd_args *a) { reduce(a, 1); }
static void sum_backward(const grd_args *a) { repeat(a, 1); }
static void mean_forward(const grd_args *a) { reduce(a, one_over_group(a)); }
static void mean_backward(const grd_args *a) { repeat(a, one_over_group(a)); }

static const grd_op_sample samples[] = {
    { NULL, "x[3,4]" }, { "axes=[1]", "x[3,4,2]" }, { "axes=[0,-1] keepdim=true", "x[3,4,2]" }, { "axes=[-2]", "x[1,5,3]" },
    { "axes=[0]", "x[7,3]:0.5..2" }, { NULL, "x[]" },
};

const grd_op GRD_ROW(sum) = {
    .name = "sum", .doc = "Sum over axes.\ny = sum of x over the axes\ndx = dy, repeated along them",
    .n_in = 1, .n_out = 1, .options = options, .options_size = sizeof(grd_reduce_opts),
    .shape = shape, .forward = sum_forward, .backward = sum_backward, GRD_SAMPLES(samples),
};

const grd_op GRD_ROW(mean) = {
    .name = "mean", .doc = "Mean over axes.\ny = (sum of x over the axes) / count\ndx = dy / count, repeated along them",
    .n_in = 1, .n_out = 1, .options = options, .options_size = sizeof(grd_reduce_opts),
    .shape = shape, .forward = mean_forward, .backward = mean_backward, GRD_SAMPLES(samples),
};
