/* 2-D convolution by definition, shared by conv2d and conv2d_act: for each pair of an output and an input plane, one kernel.
 * The innermost loops run along a row of the output. */
#ifndef GRD_OP_ROWS_CONV_H
#define GRD_OP_ROWS_CONV_H

#include "op/rows/sums.h"

/* S is the options struct, `at` the way to the convolution's part of it ("conv." or nothing). */
#define CONV2D_OPTIONS(S, at)                                                                                  \
    { "stride", GRD_OPTION_PAIR, offsetof(S, at stride), 1, 1, 1e6, NULL, 0, "step of the window" },           \
    { "pad", GRD_OPTION_PAIR, offsetof(S, at pad), 0, 0, 1e6, NULL, 0, "zeros around the picture" },           \
    { "dilation", GRD_OPTION_PAIR, offsetof(S, at dilation), 1, 1, 1e6, NULL, 0, "distance of kernel points" }, \
    { "groups", GRD_OPTION_INT, offsetof(S, at groups), 1, 1, 1e9, NULL, 0, "channel groups that do not see each other" }

/* One axis: size of picture, kernel and output; output o and kernel point k meet the picture at o stride + k dilation - pad. */
typedef struct conv_axis {
    int64_t in, kernel, out, stride, pad, dilation;
} conv_axis;

typedef struct conv_dims {
    int64_t batch, groups, inputs, outputs; /* channels of a group */
    conv_axis y, x;
} conv_dims;

static inline conv_axis conv_axis_of(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation)
{
    int64_t room = in + 2 * pad - (dilation * (kernel - 1) + 1);
    return (conv_axis){ in, kernel, room < 0 ? 0 : room / stride + 1, stride, pad, dilation };
}

static inline conv_dims conv_dims_of(const grd_shape *in, const grd_f_conv2d_opts *o)
{
    const grd_shape *x = &in[0], *w = &in[1];
    return (conv_dims){ x->dim[0], o->groups, w->dim[1], w->dim[0] / o->groups,
                        conv_axis_of(x->dim[2], w->dim[2], o->stride, o->pad, o->dilation),
                        conv_axis_of(x->dim[3], w->dim[3], o->stride_w, o->pad_w, o->dilation_w) };
}

static inline grd_status conv_shape(grd_infer *f, const grd_f_conv2d_opts *o)
{
    const grd_shape *x = &f->in[0], *w = &f->in[1];
    if (x->rank != 4 || w->rank != 4)
        return grd_refuse(f, "x [N,C,H,W] and w [O,C/groups,KH,KW] expected");
    if (o->groups < 1 || x->dim[1] % o->groups || w->dim[0] % o->groups)
        return grd_refuse(f, "%lld input and %lld output channels cannot be cut into %lld equal groups", (long long)x->dim[1],
                          (long long)w->dim[0], (long long)o->groups);
    if (x->dim[1] / o->groups != w->dim[1])
        return grd_refuse(f, "channels of x and w differ");
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != w->dim[0]))
        return grd_refuse(f, "b must have %lld values, one per output channel", (long long)w->dim[0]);
    conv_dims d = conv_dims_of(f->in, o);
    if (d.y.out < 1 || d.x.out < 1)
        return grd_refuse(f, "the kernel is larger than the padded picture");
    f->out[0] = (grd_shape){ 4, { x->dim[0], w->dim[0], d.y.out, d.x.out } };
    f->flops = 2.0 * (double)grd_count(&f->out[0]) * (double)grd_span(w, 1, 4);
    return GRD_OK;
}

/* Outputs begin..end-1 meet the picture with kernel point k, output o at o stride + shift. */
typedef struct conv_run {
    int64_t begin, end, shift;
} conv_run;

static inline conv_run conv_run_of(const conv_axis *a, int64_t k)
{
    conv_run r = { .shift = k * a->dilation - a->pad };
    int64_t last = a->in - 1 - r.shift;
    r.begin = r.shift < 0 ? (-r.shift + a->stride - 1) / a->stride : 0;
    r.end = last < 0 ? 0 : last / a->stride + 1;
    r.end = r.end > a->out ? a->out : r.end;
    return r;
}

/* ---- one picture plane, one kernel, one output plane ---- */

/* y += w * x */
static inline void conv_plane(const conv_dims *d, const real *x, const real *w, real *y)
{
    for (int64_t ky = 0; ky < d->y.kernel; ky++)
        for (int64_t kx = 0; kx < d->x.kernel; kx++, w++) {
            conv_run v = conv_run_of(&d->y, ky), h = conv_run_of(&d->x, kx);
            for (int64_t oy = v.begin; oy < v.end; oy++) {
                const real *from = x + (oy * d->y.stride + v.shift) * d->x.in + h.shift;
                real *to = y + oy * d->x.out;
                if (d->x.stride == 1)
                    for (int64_t ox = h.begin; ox < h.end; ox++)
                        to[ox] += *w * from[ox];
                else
                    for (int64_t ox = h.begin; ox < h.end; ox++)
                        to[ox] += *w * from[ox * d->x.stride];
            }
        }
}

/* dx += w^T * dy */
static inline void conv_plane_dx(const conv_dims *d, const real *dy, const real *w, real *dx)
{
    for (int64_t ky = 0; ky < d->y.kernel; ky++)
        for (int64_t kx = 0; kx < d->x.kernel; kx++, w++) {
            conv_run v = conv_run_of(&d->y, ky), h = conv_run_of(&d->x, kx);
            for (int64_t oy = v.begin; oy < v.end; oy++) {
                const real *from = dy + oy * d->x.out;
                real *to = dx + (oy * d->y.stride + v.shift) * d->x.in + h.shift;
                if (d->x.stride == 1)
                    for (int64_t ox = h.begin; ox < h.end; ox++)
                        to[ox] += *w * from[ox];
                else
                    for (int64_t ox = h.begin; ox < h.end; ox++)
                        to[ox * d->x.stride] += *w * from[ox];
            }
        }
}

/* dw += dy * x */
static inline void conv_plane_dw(const conv_dims *d, const real *x, const real *dy, real *dw)
{
    for (int64_t ky = 0; ky < d->y.kernel; ky++)
        for (int64_t kx = 0; kx < d->x.kernel; kx++, dw++) {
            conv_run v = conv_run_of(&d->y, ky), h = conv_run_of(&d->x, kx);
            real sum = 0;
            for (int64_t oy = v.begin; oy < v.end; oy++) {
                const real *row = x + (oy * d->y.stride + v.shift) * d->x.in + h.shift, *g = dy + oy * d->x.out;
                if (d->x.stride == 1 && h.end > h.begin)
                    sum += dot(g + h.begin, row + h.begin, h.end - h.begin);
                else
                    for (int64_t ox = h.begin; ox < h.end; ox++)
                        sum += g[ox] * row[ox * d->x.stride];
            }
            *dw += sum;
        }
}

/* ---- all planes ---- */

static inline void conv_forward(const grd_args *a, const grd_f_conv2d_opts *opts)
{
    const conv_dims d = conv_dims_of(a->in_shape, opts);
    const int64_t out = d.y.out * d.x.out, in = d.y.in * d.x.in, kernel = d.y.kernel * d.x.kernel;
    const int64_t channels = d.groups * d.outputs;
    const real *x = a->in[0], *w = a->in[1], *b = a->n_in > 2 ? a->in[2] : NULL;
    for (int64_t p = 0; p < d.batch * channels; p++) {
        real *y = a->out[0] + p * out;
        const int64_t n = p / channels, o = p % channels, first = (n * d.groups + o / d.outputs) * d.inputs;
        for (int64_t e = 0; e < out; e++)
            y[e] = b ? b[o] : 0;
        for (int64_t i = 0; i < d.inputs; i++)
            conv_plane(&d, x + (first + i) * in, w + (o * d.inputs + i) * kernel, y);
    }
}

/* dy: of the convolution itself, before any activation that is part of the op. */
static inline void conv_backward(const grd_args *a, const grd_f_conv2d_opts *opts, const real *dy)
{
    const conv_dims d = conv_dims_of(a->in_shape, opts);
    const int64_t out = d.y.out * d.x.out, in = d.y.in * d.x.in, kernel = d.y.kernel * d.x.kernel;
    const int64_t channels = d.groups * d.outputs;
    const real *x = a->in[0], *w = a->in[1];
    real *dx = a->din[0], *dw = a->din[1], *db = a->n_in > 2 ? a->din[2] : NULL;
    for (int i = 0; i < a->n_in; i++)
        if (a->din[i])
            set_zero(a->din[i], grd_count(&a->in_shape[i]));
    for (int64_t p = 0; p < d.batch * channels; p++) {
        const real *g = dy + p * out;
        const int64_t n = p / channels, o = p % channels, first = (n * d.groups + o / d.outputs) * d.inputs;
        for (int64_t i = 0; dx && i < d.inputs; i++)
            conv_plane_dx(&d, g, w + (o * d.inputs + i) * kernel, dx + (first + i) * in);
        for (int64_t i = 0; dw && i < d.inputs; i++)
            conv_plane_dw(&d, x + (first + i) * in, g, dw + (o * d.inputs + i) * kernel);
        if (db)
            db[o] += (real)sum_of(g, out);
    }
}

#endif
