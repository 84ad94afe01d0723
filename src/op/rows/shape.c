/* Ops that only move elements: reshape, flatten, transpose, slice, concat. */
#include "op/rows/walk.h"

static void copy(const grd_args *a)
{
    memmove(a->out[0], a->in[0], sizeof(real) * (size_t)grd_count(a->in_shape));
}

static void copy_back(const grd_args *a)
{
    if (a->din[0])
        memmove(a->din[0], a->dout[0], sizeof(real) * (size_t)grd_count(a->in_shape));
}

/* ---- reshape ---- */

static const grd_option reshape_options[] = {
    GRD_INTS(grd_reshape_opts, shape, NULL, "sizes after the batch dimension: 0 keeps the one of x, one -1 takes the rest"),
    GRD_END
};

static grd_status reshape_shape(grd_infer *f)
{
    const grd_ints *want = &((const grd_reshape_opts *)f->attr)->shape;
    const grd_shape *x = &f->in[0];
    grd_shape *y = &f->out[0];
    if (x->rank < 1 || want->n + 1 > GRD_MAX_RANK)
        return grd_refuse(f, "rank 1 to %d expected", GRD_MAX_RANK);
    int64_t total = grd_span(x, 1, x->rank), known = 1;
    int rest = -1;
    y->rank = want->n + 1;
    y->dim[0] = x->dim[0];
    for (int i = 0; i < want->n; i++) {
        int64_t d = want->v[i];
        if (d < -1 || d > total || (d == -1 && rest >= 0) || (d == 0 && i + 1 >= x->rank))
            return grd_refuse(f, "shape entry %d is %lld: sizes, 0 for one of x, and at most one -1 expected", i, (long long)d);
        if (d == -1)
            rest = i + 1;
        y->dim[i + 1] = d == 0 ? x->dim[i + 1] : d;
        known *= d == -1 ? 1 : y->dim[i + 1];
        if (known > total) /* before it can overflow */
            return grd_refuse(f, "%lld values a sample do not fill the wanted shape", (long long)total);
    }
    if (rest >= 0)
        y->dim[rest] = total / known;
    if (rest < 0 ? known != total : total % known != 0)
        return grd_refuse(f, "%lld values a sample do not fit into the wanted shape of %lld", (long long)total, (long long)known);
    return GRD_OK;
}

static const grd_op_sample reshape_samples[] = {
    { "shape=[3,4]", "x[2,12]" }, { "shape=[-1]", "x[2,3,4]" }, { "shape=[0,2,-1]", "x[2,3,8]" },
};

const grd_op GRD_ROW(reshape) = {
    .name = "reshape",
    .doc = "The same values in another shape; the batch dimension stays.\ny = x\ndx = dy\nA view: costs nothing.",
    .n_in = 1, .n_out = 1, .flags = GRD_VIEW, .options = reshape_options, .options_size = sizeof(grd_reshape_opts),
    .shape = reshape_shape, .forward = copy, .backward = copy_back, GRD_SAMPLES(reshape_samples),
};

/* ---- flatten ---- */

static const grd_option flatten_options[] = {
    GRD_INT(grd_flatten_opts, start, 1, 1, GRD_MAX_RANK, "first dimension of those that become one"),
    GRD_END
};

static grd_status flatten_shape(grd_infer *f)
{
    int start = (int)((const grd_flatten_opts *)f->attr)->start;
    const grd_shape *x = &f->in[0];
    if (start >= x->rank && !(start == 1 && x->rank == 1))
        return grd_refuse(f, "start %d, but the rank is %d", start, x->rank);
    f->out[0] = *x;
    f->out[0].rank = start + 1;
    f->out[0].dim[start] = grd_span(x, start, x->rank);
    return GRD_OK;
}

static const grd_op_sample flatten_samples[] = { { NULL, "x[2,3,4]" }, { "start=2", "x[2,3,4,2]" }, { NULL, "x[3,5]" } };

const grd_op GRD_ROW(flatten) = {
    .name = "flatten",
    .doc = "All dimensions from `start` on become one.\ny = x\ndx = dy\nA view: costs nothing.",
    .n_in = 1, .n_out = 1, .flags = GRD_VIEW, .options = flatten_options, .options_size = sizeof(grd_flatten_opts),
    .shape = flatten_shape, .forward = copy, .backward = copy_back, GRD_SAMPLES(flatten_samples),
};

/* ---- transpose ---- */

static const grd_option transpose_options[] = {
    GRD_INTS(grd_transpose_opts, perm, NULL, "which dimension of x each one of y is; none given: the last two exchanged"),
    GRD_END
};

static bool permutation(const grd_transpose_opts *o, int rank, int *perm)
{
    bool seen[GRD_MAX_RANK] = { false };
    if ((o->perm.n && o->perm.n != rank) || (!o->perm.n && rank < 2))
        return false;
    for (int i = 0; i < rank; i++) {
        perm[i] = o->perm.n ? grd_axis(o->perm.v[i], rank) : i < rank - 2 ? i : 2 * rank - 3 - i;
        if (perm[i] < 0 || seen[perm[i]])
            return false;
        seen[perm[i]] = true;
    }
    return true;
}

static grd_status transpose_shape(grd_infer *f)
{
    int perm[GRD_MAX_RANK];
    if (!permutation(f->attr, f->in[0].rank, perm))
        return grd_refuse(f, "perm is no permutation of the %d dimensions", f->in[0].rank);
    f->out[0].rank = f->in[0].rank;
    for (int i = 0; i < f->in[0].rank; i++)
        f->out[0].dim[i] = f->in[0].dim[perm[i]];
    return GRD_OK;
}

/* Walks y in order; `forward` copies x to y, else y's gradient to x's. */
static void permute(const grd_args *a, const real *from, real *to, bool forward)
{
    const grd_shape *x = a->in_shape;
    int perm[GRD_MAX_RANK];
    int64_t stride[2][GRD_MAX_RANK] = { { 0 } };
    permutation(a->attr, x->rank, perm);
    for (int i = 0; i < x->rank; i++)
        stride[0][i] = grd_span(x, perm[i] + 1, x->rank);
    walk w = walk_start(a->out_shape, stride);
    for (int64_t run = 0; run < w.runs; run++, walk_next(&w)) {
        const real *source = from + (forward ? w.at[0] : run * w.n);
        real *target = to + (forward ? run * w.n : w.at[0]);
        for (int64_t i = 0; forward && i < w.n; i++)
            target[i] = source[i * w.step[0]];
        for (int64_t i = 0; !forward && i < w.n; i++)
            target[i * w.step[0]] = source[i];
    }
}

static void transpose_forward(const grd_args *a) { permute(a, a->in[0], a->out[0], true); }

static void transpose_backward(const grd_args *a)
{
    if (a->din[0])
        permute(a, a->dout[0], a->din[0], false);
}

static const grd_op_sample transpose_samples[] = { { NULL, "x[3,4]" }, { NULL, "x[2,3,5]" }, { "perm=[0,2,3,1]", "x[2,3,4,5]" },
                                                   { "perm=[2,0,1]", "x[2,1,3]" },
                                                   { "perm=[1,-1,0,2]", "x[3,2,5,4]" } };

const grd_op GRD_ROW(transpose) = {
    .name = "transpose",
    .doc = "Exchanges dimensions.\ny[i_0, i_1, ...] = x with i_k at dimension perm[k]\ndx: the inverse permutation of dy",
    .n_in = 1, .n_out = 1, .flags = GRD_CHEAP, .options = transpose_options, .options_size = sizeof(grd_transpose_opts),
    .shape = transpose_shape, .forward = transpose_forward, .backward = transpose_backward, GRD_SAMPLES(transpose_samples),
};

/* ---- slice ---- */

static const grd_option slice_options[] = {
    GRD_INT(grd_slice_opts, axis, 1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension to cut"),
    GRD_INT(grd_slice_opts, start, 0, 0, 0, "first index; negative from the end"),
    GRD_INT(grd_slice_opts, stop, 0, 0, 0, "index after the last; negative from the end; 0: to the end"),
    GRD_INT(grd_slice_opts, step, 1, 1, 1e9, "every step-th"),
    GRD_END
};

typedef struct cut { int axis; int64_t start, count, step, outer, inner, size; } cut;

static bool cut_of(const grd_slice_opts *o, const grd_shape *x, cut *c)
{
    c->axis = grd_axis(o->axis, x->rank);
    if (c->axis < 0)
        return false;
    c->size = x->dim[c->axis];
    c->start = o->start < 0 ? o->start + c->size : o->start;
    int64_t stop = o->stop <= 0 ? o->stop + c->size : o->stop;
    if (c->start < 0 || stop > c->size || c->start >= stop)
        return false;
    c->step = o->step;
    c->outer = grd_span(x, 0, c->axis);
    c->inner = grd_span(x, c->axis + 1, x->rank);
    c->count = (stop - c->start + c->step - 1) / c->step;
    return true;
}

static grd_status slice_shape(grd_infer *f)
{
    const grd_slice_opts *o = f->attr;
    cut c;
    if (!cut_of(o, &f->in[0], &c))
        return grd_refuse(f, "axis %lld, %lld to %lld is no part of x", (long long)o->axis, (long long)o->start,
                          (long long)o->stop);
    f->out[0] = f->in[0];
    f->out[0].dim[c.axis] = c.count;
    return GRD_OK;
}

static void slice_forward(const grd_args *a)
{
    cut c;
    cut_of(a->attr, a->in_shape, &c);
    const real *x = a->in[0];
    real *y = a->out[0];
    for (int64_t i = 0; i < c.outer; i++)
        for (int64_t k = 0; k < c.count; k++, y += c.inner)
            memcpy(y, x + (i * c.size + c.start + k * c.step) * c.inner, sizeof(real) * (size_t)c.inner);
}

static void slice_backward(const grd_args *a)
{
    cut c;
    cut_of(a->attr, a->in_shape, &c);
    const real *dy = a->dout[0];
    real *dx = a->din[0];
    if (!dx)
        return;
    memset(dx, 0, sizeof(real) * (size_t)grd_count(a->in_shape));
    for (int64_t i = 0; i < c.outer; i++)
        for (int64_t k = 0; k < c.count; k++, dy += c.inner)
            memcpy(dx + (i * c.size + c.start + k * c.step) * c.inner, dy, sizeof(real) * (size_t)c.inner);
}

static const grd_op_sample slice_samples[] = {
    { "start=1", "x[2,4,3]" }, { "axis=-1 start=-3 stop=-1", "x[2,5]" }, { "axis=2 start=1 stop=6 step=2", "x[2,2,7]" },
    { "axis=0 stop=1", "x[3,2]" },
};

const grd_op GRD_ROW(slice) = {
    .name = "slice",
    .doc = "A part of one dimension.\ny = x[..., start:stop:step, ...]\ndx = dy there, 0 elsewhere",
    .n_in = 1, .n_out = 1, .flags = GRD_CHEAP, .options = slice_options, .options_size = sizeof(grd_slice_opts),
    .shape = slice_shape, .forward = slice_forward, .backward = slice_backward, GRD_SAMPLES(slice_samples),
};

/* ---- concat ---- */

static const grd_option concat_options[] = { GRD_INT(grd_axis_opts, axis, 1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension that grows"),
                                             GRD_END };

static grd_status concat_shape(grd_infer *f)
{
    int axis = grd_axis(((const grd_axis_opts *)f->attr)->axis, f->in[0].rank);
    if (axis < 0)
        return grd_refuse(f, "axis out of range; the rank is %d", f->in[0].rank);
    f->out[0] = f->in[0];
    for (int k = 1; k < f->n_in; k++) {
        bool fits = f->in[k].rank == f->in[0].rank;
        for (int i = 0; fits && i < f->in[0].rank; i++)
            fits = i == axis || f->in[k].dim[i] == f->in[0].dim[i];
        if (!fits)
            return grd_refuse(f, "input %d differs from the first in another dimension than %d", k, axis);
        f->out[0].dim[axis] += f->in[k].dim[axis];
    }
    return GRD_OK;
}

/* Copies between the parts and the whole. */
static void join(const grd_args *a, bool forward)
{
    const grd_shape *y = a->out_shape;
    int axis = grd_axis(((const grd_axis_opts *)a->attr)->axis, y->rank);
    int64_t outer = grd_span(y, 0, axis), row = grd_span(y, axis, y->rank), at = 0;
    for (int k = 0; k < a->n_in; k++) {
        int64_t part = grd_span(&a->in_shape[k], axis, y->rank);
        for (int64_t i = 0; i < outer; i++) {
            if (forward)
                memcpy(a->out[0] + i * row + at, (const real *)a->in[k] + i * part, sizeof(real) * (size_t)part);
            else if (a->din[k])
                memcpy(a->din[k] + i * part, a->dout[0] + i * row + at, sizeof(real) * (size_t)part);
        }
        at += part;
    }
}

static void concat_forward(const grd_args *a) { join(a, true); }
static void concat_backward(const grd_args *a) { join(a, false); }

static const grd_op_sample concat_samples[] = {
    { NULL, "a[2,3] b[2,4]" }, { "axis=-1", "a[2,3,1] b[2,3,2] c[2,3,3]" }, { "axis=0", "a[1,3] b[2,3]" }, { NULL, "a[2,3,2,2]" },
};

const grd_op GRD_ROW(concat) = {
    .name = "concat",
    .doc = "Joins any number of inputs along one dimension.\ny = [x_0, x_1, ...]\ndx_k = its part of dy",
    .n_in = -1, .n_out = 1, .flags = GRD_CHEAP, .options = concat_options, .options_size = sizeof(grd_axis_opts),
    .shape = concat_shape, .forward = concat_forward, .backward = concat_backward, GRD_SAMPLES(concat_samples),
};
