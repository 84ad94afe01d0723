/* Pooling over windows of pictures [N,C,H,W]. A plane is one channel of one picture. */
#include "op/rows/sums.h"

/* Rows y0..y1-1 and columns x0..x1-1 of a plane. */
typedef struct window {
    int64_t y0, y1, x0, x1;
} window;

/* ---- maxpool2d, avgpool2d ---- */

typedef struct pool_dims {
    int64_t planes, h, w, oh, ow, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
} pool_dims;

static pool_dims dims_of(const grd_shape *x, const grd_pool2d_opts *o)
{
    pool_dims d = { .planes = x->dim[0] * x->dim[1], .h = x->dim[2], .w = x->dim[3] };
    d.kernel_h = o->kernel;
    d.kernel_w = o->kernel_w;
    d.stride_h = o->stride ? o->stride : o->kernel;
    d.stride_w = o->stride_w ? o->stride_w : o->kernel_w;
    d.pad_h = o->pad;
    d.pad_w = o->pad_w;
    d.oh = d.h + 2 * d.pad_h < d.kernel_h ? 0 : (d.h + 2 * d.pad_h - d.kernel_h) / d.stride_h + 1;
    d.ow = d.w + 2 * d.pad_w < d.kernel_w ? 0 : (d.w + 2 * d.pad_w - d.kernel_w) / d.stride_w + 1;
    return d;
}

static grd_status pool_shape(grd_infer *f)
{
    if (f->in[0].rank != 4)
        return grd_refuse(f, "x has rank %d, expected [N,C,H,W]", f->in[0].rank);
    pool_dims d = dims_of(&f->in[0], f->attr);
    if (d.pad_h > d.kernel_h / 2 || d.pad_w > d.kernel_w / 2)
        return grd_refuse(f, "pad %lld x %lld is more than half the window %lld x %lld", (long long)d.pad_h, (long long)d.pad_w,
                          (long long)d.kernel_h, (long long)d.kernel_w);
    if (d.oh < 1 || d.ow < 1)
        return grd_refuse(f, "the window is larger than the padded picture");
    f->out[0] = (grd_shape){ 4, { f->in[0].dim[0], f->in[0].dim[1], d.oh, d.ow } };
    f->flops = (double)grd_count(&f->out[0]) * (double)(d.kernel_h * d.kernel_w);
    return GRD_OK;
}

/* The part of an output's window that lies in the picture; never empty, as pad is at most half the window. */
static inline window window_of(const pool_dims *d, int64_t oy, int64_t ox)
{
    int64_t y = oy * d->stride_h - d->pad_h, x = ox * d->stride_w - d->pad_w;
    return (window){ y < 0 ? 0 : y, y + d->kernel_h < d->h ? y + d->kernel_h : d->h, x < 0 ? 0 : x,
                     x + d->kernel_w < d->w ? x + d->kernel_w : d->w };
}

#define POOL_OPTIONS                                                                            \
    GRD_PAIR_REQUIRED(grd_pool2d_opts, kernel, 1, 1e6, "size of the window"),                   \
        GRD_PAIR(grd_pool2d_opts, stride, 0, 0, 1e6, "step of the window; 0: its size"),        \
        GRD_PAIR(grd_pool2d_opts, pad, 0, 0, 1e6, "border; at most half the window")

/* ---- max: save holds, for every output, where in its plane the maximum was ---- */

static grd_status max_shape(grd_infer *f)
{
    grd_status status = pool_shape(f);
    if (status != GRD_OK)
        return status;
    if (f->in[0].dim[2] > INT32_MAX / f->in[0].dim[3])
        return grd_refuse(f, "a plane has more points than an int32 can name");
    f->save = sizeof(int32_t) * (size_t)grd_count(&f->out[0]);
    return GRD_OK;
}

static int64_t largest_in(const real *x, int64_t width, const window *v)
{
    int64_t best = v->y0 * width + v->x0;
    for (int64_t y = v->y0; y < v->y1; y++)
        for (int64_t i = y * width + v->x0; i < y * width + v->x1; i++)
            if (x[i] > x[best] || isnan(x[i]))
                best = i;
    return best;
}

static void max_forward(const grd_args *a)
{
    pool_dims d = dims_of(a->in_shape, a->attr);
    int32_t *where = a->save;
    for (int64_t p = 0, e = 0; p < d.planes; p++) {
        const real *x = (const real *)a->in[0] + p * d.h * d.w;
        for (int64_t k = 0; k < d.oh * d.ow; k++, e++) {
            window v = window_of(&d, k / d.ow, k % d.ow);
            int64_t best = largest_in(x, d.w, &v);
            a->out[0][e] = x[best];
            if (where)
                where[e] = (int32_t)best;
        }
    }
}

static void max_backward(const grd_args *a)
{
    pool_dims d = dims_of(a->in_shape, a->attr);
    const int32_t *where = a->save;
    real *dx = a->din[0];
    if (!dx)
        return;
    set_zero(dx, grd_count(a->in_shape));
    for (int64_t p = 0, e = 0; p < d.planes; p++)
        for (int64_t k = 0; k < d.oh * d.ow; k++, e++)
            dx[p * d.h * d.w + where[e]] += a->dout[0][e];
}

static const grd_option max_options[] = { POOL_OPTIONS, GRD_END };

static const grd_op_sample max_samples[] = {
    { "kernel=2", "x[2,3,4,6]" },
    { "kernel=3 stride=2 pad=1", "x[1,2,7,5]" },
    { "kernel=[1,3] stride=[2,1]", "x[2,1,5,4]" },
    { "kernel=[2,3] pad=[1,0] stride=3", "x[1,3,5,7]" },
};

const grd_op GRD_ROW(maxpool2d) = {
    .name = "maxpool2d",
    .doc = "Largest value of each window; the border never wins.\n"
           "y = max of x over the window\n"
           "dx = dy at the place of the maximum (the first of equal ones), summed over windows: dx = S^T dy, S the selection.\n"
           "x [N,C,H,W]. Output size floor((H + 2 pad - kernel) / stride) + 1. A NaN in the window is its maximum.",
    .n_in = 1,
    .n_out = 1,
    .flags = GRD_BWD_SAVE | GRD_CHEAP,
    .options = max_options,
    .options_size = sizeof(grd_pool2d_opts),
    .shape = max_shape,
    .forward = max_forward,
    .backward = max_backward,
    GRD_SAMPLES(max_samples),
};

/* ---- average ---- */

static inline real sum_window(const real *x, int64_t width, const window *v)
{
    real sum = 0;
    for (int64_t y = v->y0; y < v->y1; y++)
        for (int64_t i = y * width + v->x0; i < y * width + v->x1; i++)
            sum += x[i];
    return sum;
}

static inline void add_to_window(real *x, int64_t width, const window *v, real value)
{
    for (int64_t y = v->y0; y < v->y1; y++)
        for (int64_t i = y * width + v->x0; i < y * width + v->x1; i++)
            x[i] += value;
}

static inline real points_in(const window *v) { return (real)((v->y1 - v->y0) * (v->x1 - v->x0)); }

static void avg_forward(const grd_args *a)
{
    const grd_pool2d_opts *o = a->attr;
    pool_dims d = dims_of(a->in_shape, o);
    for (int64_t p = 0, e = 0; p < d.planes; p++)
        for (int64_t k = 0; k < d.oh * d.ow; k++, e++) {
            window v = window_of(&d, k / d.ow, k % d.ow);
            real size = o->no_count_pad ? points_in(&v) : (real)(d.kernel_h * d.kernel_w);
            a->out[0][e] = sum_window((const real *)a->in[0] + p * d.h * d.w, d.w, &v) / size;
        }
}

static void avg_backward(const grd_args *a)
{
    const grd_pool2d_opts *o = a->attr;
    pool_dims d = dims_of(a->in_shape, o);
    real *dx = a->din[0];
    if (!dx)
        return;
    set_zero(dx, grd_count(a->in_shape));
    for (int64_t p = 0, e = 0; p < d.planes; p++)
        for (int64_t k = 0; k < d.oh * d.ow; k++, e++) {
            window v = window_of(&d, k / d.ow, k % d.ow);
            real size = o->no_count_pad ? points_in(&v) : (real)(d.kernel_h * d.kernel_w);
            add_to_window(dx + p * d.h * d.w, d.w, &v, a->dout[0][e] / size);
        }
}

static const grd_option avg_options[] = {
    POOL_OPTIONS,
    GRD_FLAG_ON(grd_pool2d_opts, count_pad, "the border counts as zeros"),
    GRD_END,
};

static const grd_op_sample avg_samples[] = {
    { "kernel=2", "x[2,3,4,6]" },
    { "kernel=3 stride=2 pad=1", "x[1,2,7,5]" },
    { "kernel=[1,3] stride=[2,1]", "x[2,1,5,4]" },
    { "kernel=2 pad=1 count_pad=false", "x[2,2,5,5]" },
};

const grd_op GRD_ROW(avgpool2d) = {
    .name = "avgpool2d",
    .doc = "Mean of each window.\n"
           "y = sum of x over the window / its size (count_pad: with the border; else only the points in the picture)\n"
           "dx = dy / size, summed over the windows that hold x: dx = A^T dy where y = A x.\n"
           "x [N,C,H,W]. Output size floor((H + 2 pad - kernel) / stride) + 1.",
    .n_in = 1,
    .n_out = 1,
    .flags = GRD_CHEAP,
    .options = avg_options,
    .options_size = sizeof(grd_pool2d_opts),
    .shape = pool_shape,
    .forward = avg_forward,
    .backward = avg_backward,
    GRD_SAMPLES(avg_samples),
};

/* ---- adaptive average ---- */

static grd_status adaptive_shape(grd_infer *f)
{
    const grd_adaptive_pool2d_opts *o = f->attr;
    if (f->in[0].rank != 4)
        return grd_refuse(f, "x has rank %d, expected [N,C,H,W]", f->in[0].rank);
    if (o->size < 1 || o->size_w < 1)
        return grd_refuse(f, "size is %lld x %lld, expected 1 or more", (long long)o->size, (long long)o->size_w);
    f->out[0] = (grd_shape){ 4, { f->in[0].dim[0], f->in[0].dim[1], o->size, o->size_w } };
    f->flops = (double)grd_count(&f->in[0]) + (double)grd_count(&f->out[0]);
    return GRD_OK;
}

/* Window i of s covers floor(i n / s) to ceil((i + 1) n / s). */
static inline window adaptive_window(const grd_shape *in, const grd_shape *out, int64_t oy, int64_t ox)
{
    int64_t h = in->dim[2], w = in->dim[3], sh = out->dim[2], sw = out->dim[3];
    return (window){ oy * h / sh, ((oy + 1) * h + sh - 1) / sh, ox * w / sw, ((ox + 1) * w + sw - 1) / sw };
}

static void adaptive_forward(const grd_args *a)
{
    const grd_shape *in = a->in_shape, *out = a->out_shape;
    int64_t plane = in->dim[2] * in->dim[3], points = out->dim[2] * out->dim[3], all = grd_count(out);
    for (int64_t e = 0; e < all; e++) {
        window v = adaptive_window(in, out, e % points / out->dim[3], e % out->dim[3]);
        a->out[0][e] = sum_window((const real *)a->in[0] + e / points * plane, in->dim[3], &v) / points_in(&v);
    }
}

static void adaptive_backward(const grd_args *a)
{
    const grd_shape *in = a->in_shape, *out = a->out_shape;
    int64_t plane = in->dim[2] * in->dim[3], points = out->dim[2] * out->dim[3], all = grd_count(out);
    if (!a->din[0])
        return;
    set_zero(a->din[0], grd_count(in));
    for (int64_t e = 0; e < all; e++) {
        window v = adaptive_window(in, out, e % points / out->dim[3], e % out->dim[3]);
        add_to_window(a->din[0] + e / points * plane, in->dim[3], &v, a->dout[0][e] / points_in(&v));
    }
}

static const grd_option adaptive_options[] = {
    GRD_PAIR(grd_adaptive_pool2d_opts, size, 1, 1, 1e6, "output height and width"),
    GRD_END,
};

static const grd_op_sample adaptive_samples[] = {
    { NULL, "x[2,3,4,5]" },
    { "size=[2,3]", "x[1,2,5,7]" },
    { "size=4", "x[2,1,3,6]" },
    { "size=[2,1]", "x[1,3,1,1]" },
};

const grd_op GRD_ROW(adaptive_avgpool2d) = {
    .name = "adaptive_avgpool2d",
    .doc = "Mean over as many windows as the output is to have; they may share rows or columns.\n"
           "y[i,j] = mean of x over rows floor(i H / S) to ceil((i + 1) H / S), columns alike\n"
           "dx = dy / size of the window, summed over the windows that hold x: dx = A^T dy where y = A x.\n"
           "x [N,C,H,W], y [N,C,S,S']. Windows as PyTorch's.",
    .n_in = 1,
    .n_out = 1,
    .flags = GRD_CHEAP,
    .options = adaptive_options,
    .options_size = sizeof(grd_adaptive_pool2d_opts),
    .shape = adaptive_shape,
    .forward = adaptive_forward,
    .backward = adaptive_backward,
    GRD_SAMPLES(adaptive_samples),
};
