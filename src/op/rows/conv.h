/* 2-D convolution by definition, shared by conv2d and conv2d_act. The inner loop runs along a row of the output. */
#ifndef GRD_OP_ROWS_CONV_H
#define GRD_OP_ROWS_CONV_H

#include "op/rows/sums.h"

#define CONV2D_OPTIONS(S, at)                                                                                                 \
    { "stride", GRD_OPTION_PAIR, offsetof(S, at stride), 1, 1, 1e6, NULL, 0, "step of the window" },                          \
    { "pad", GRD_OPTION_PAIR, offsetof(S, at pad), 0, 0, 1e6, NULL, 0, "zeros around the picture" },                          \
    { "dilation", GRD_OPTION_PAIR, offsetof(S, at dilation), 1, 1, 1e6, NULL, 0, "distance of kernel points" },               \
    { "groups", GRD_OPTION_INT, offsetof(S, at groups), 1, 1, 1e9, NULL, 0, "groups of channels that do not see each other" }

static inline int64_t conv_size(int64_t x, int64_t k, int64_t stride, int64_t pad, int64_t dilation)
{
    int64_t room = x + 2 * pad - (dilation * (k - 1) + 1);
    return room < 0 ? 0 : room / stride + 1;
}

static inline grd_status conv_shape(grd_infer *f, const grd_f_conv2d_opts *o)
{
    const grd_shape *x = &f->in[0], *w = &f->in[1];
    if (x->rank != 4 || w->rank != 4)
        return grd_refuse(f, "x [N,C,H,W] and w [O,C/groups,K,K] expected");
    if (x->dim[1] % o->groups || w->dim[0] % o->groups)
        return grd_refuse(f, "%lld input and %lld output channels do not divide into %lld groups", (long long)x->dim[1], (long long)w->dim[0],
                          (long long)o->groups);
    if (x->dim[1] / o->groups != w->dim[1])
        return grd_refuse(f, "channels of x and w differ");
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != w->dim[0]))
        return grd_refuse(f, "b must have %lld values, one per output channel", (long long)w->dim[0]);
    int64_t h = conv_size(x->dim[2], w->dim[2], o->stride, o->pad, o->dilation), v = conv_size(x->dim[3], w->dim[3], o->stride_w, o->pad_w, o->dilation_w);
    if (h < 1 || v < 1)
        return grd_refuse(f, "the kernel is larger than the padded picture");
    f->out[0] = (grd_shape){ 4, { x->dim[0], w->dim[0], h, v } };
    f->flops = 2.0 * (double)grd_count(&f->out[0]) * (double)grd_span(w, 1, 4);
    return GRD_OK;
}

/* For one kernel column: the output columns [begin, end) that it touches inside the picture. */
static inline void conv_columns(int64_t kx, int64_t pad, int64_t stride, int64_t dilation, int64_t in, int64_t out, int64_t *begin, int64_t *end)
{
    int64_t first = pad - kx * dilation, last = in - 1 + pad - kx * dilation; /* stride ox in [first, last] */
    *begin = first <= 0 ? 0 : (first + stride - 1) / stride;
    *end = last < 0 ? 0 : last / stride + 1;
    *end = *end > out ? out : *end;
}

typedef struct conv_line { const grd_args *a; const grd_f_conv2d_opts *o; int64_t channels, outputs, oh, ow, h, w, kh, kw; } conv_line;

static inline conv_line conv_of(const grd_args *a, const grd_f_conv2d_opts *o)
{
    const grd_shape *x = a->in_shape, *w = &a->in_shape[1], *y = a->out_shape;
    return (conv_line){ a, o, w->dim[1], w->dim[0] / o->groups, y->dim[2], y->dim[3], x->dim[2], x->dim[3], w->dim[2], w->dim[3] };
}

/* Calls `body` with x row, y row and w for every (n, o, c, ky, oy, kx): xi[ox stride] goes with yi[ox], ox in begin..end-1. */
#define CONV_EACH(c, body)                                                                                                    \
    for (int64_t n = 0; n < (c).a->in_shape[0].dim[0]; n++)                                                                   \
        for (int64_t o = 0; o < (c).outputs * (c).o->groups; o++)                                                             \
            for (int64_t i = 0; i < (c).channels; i++)                                                                        \
                for (int64_t ky = 0; ky < (c).kh; ky++)                                                                       \
                    for (int64_t oy = 0; oy < (c).oh; oy++) {                                                                 \
                        int64_t iy = oy * (c).o->stride - (c).o->pad + ky * (c).o->dilation;                                  \
                        if (iy < 0 || iy >= (c).h)                                                                            \
                            continue;                                                                                         \
                        int64_t ic = o / (c).outputs * (c).channels + i;                                                      \
                        int64_t x_row = ((n * (c).channels * (c).o->groups + ic) * (c).h + iy) * (c).w;                       \
                        int64_t y_row = ((n * (c).outputs * (c).o->groups + o) * (c).oh + oy) * (c).ow;                       \
                        for (int64_t kx = 0; kx < (c).kw; kx++) {                                                             \
                            int64_t w_at = ((o * (c).channels + i) * (c).kh + ky) * (c).kw + kx, begin, end;                  \
                            int64_t shift = kx * (c).o->dilation_w - (c).o->pad_w, stride = (c).o->stride_w;                  \
                            conv_columns(kx, (c).o->pad_w, stride, (c).o->dilation_w, (c).w, (c).ow, &begin, &end);           \
                            body                                                                                              \
                        }                                                                                                     \
                    }

static inline void conv_forward(const grd_args *a, const grd_f_conv2d_opts *opts)
{
    conv_line c = conv_of(a, opts);
    const real *x = a->in[0], *w = a->in[1], *b = a->n_in > 2 ? a->in[2] : NULL;
    real *y = a->out[0];
    int64_t plane = c.oh * c.ow, all = grd_count(a->out_shape);
    for (int64_t e = 0; e < all; e++)
        y[e] = b ? b[e / plane % a->out_shape->dim[1]] : 0;
    CONV_EACH(c, {
        real v = w[w_at];
        for (int64_t ox = begin; ox < end; ox++)
            y[y_row + ox] += v * x[x_row + ox * stride + shift];
    })
}

static inline void conv_backward(const grd_args *a, const grd_f_conv2d_opts *opts, const real *dy)
{
    conv_line c = conv_of(a, opts);
    const real *x = a->in[0], *w = a->in[1];
    real *dx = a->din[0], *dw = a->din[1], *db = a->n_in > 2 ? a->din[2] : NULL;
    if (dx) {
        set_zero(dx, grd_count(&a->in_shape[0]));
        CONV_EACH(c, {
            real v = w[w_at];
            for (int64_t ox = begin; ox < end; ox++)
                dx[x_row + ox * stride + shift] += v * dy[y_row + ox];
        })
    }
    if (dw) {
        set_zero(dw, grd_count(&a->in_shape[1]));
        CONV_EACH(c, {
            real sum = 0;
            for (int64_t ox = begin; ox < end; ox++)
                sum += dy[y_row + ox] * x[x_row + ox * stride + shift];
            dw[w_at] += sum;
        })
    }
    int64_t plane = c.oh * c.ow, channels = a->out_shape->dim[1];
    for (int64_t o = 0; db && o < channels; o++) {
        double sum = 0;
        for (int64_t n = 0; n < a->out_shape->dim[0]; n++)
            sum += sum_of(dy + (n * channels + o) * plane, plane);
        db[o] = (real)sum;
    }
}

#endif
