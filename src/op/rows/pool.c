/* Pooling over windows of pictures [N,C,H,W]. */
#include "op/rows/sums.h"

static const grd_option options[] = {
    GRD_PAIR_REQUIRED(grd_pool2d_opts, kernel, 1, 1e6, "size of the window"),
    GRD_PAIR(grd_pool2d_opts, stride, 0, 0, 1e6, "step of the window; 0: its size"),
    GRD_PAIR(grd_pool2d_opts, pad, 0, 0, 1e6, "border; at most half the window"),
    GRD_FLAG_ON(grd_pool2d_opts, count_pad, "average: the border counts as zeros"),
    GRD_END
};

typedef struct window { int64_t planes, h, w, oh, ow, kh, kw, sh, sw, ph, pw; } window;

static window window_of(const grd_pool2d_opts *o, const grd_shape *x)
{
    window v = { x->dim[0] * x->dim[1], x->dim[2], x->dim[3], 0, 0, o->kernel, o->kernel_w, o->stride, o->stride_w, o->pad, o->pad_w };
    v.sh = v.sh ? v.sh : v.kh;
    v.sw = v.sw ? v.sw : v.kw;
    v.oh = v.h + 2 * v.ph < v.kh ? 0 : (v.h + 2 * v.ph - v.kh) / v.sh + 1;
    v.ow = v.w + 2 * v.pw < v.kw ? 0 : (v.w + 2 * v.pw - v.kw) / v.sw + 1;
    return v;
}

static grd_status shape(grd_infer *f)
{
    if (f->in[0].rank != 4)
        return grd_refuse(f, "x [N,C,H,W] expected");
    window v = window_of(f->attr, &f->in[0]);
    if (v.ph > v.kh / 2 || v.pw > v.kw / 2)
        return grd_refuse(f, "pad %lld x %lld is more than half the window %lld x %lld", (long long)v.ph, (long long)v.pw, (long long)v.kh, (long long)v.kw);
    if (v.oh < 1 || v.ow < 1)
        return grd_refuse(f, "the window is larger than the padded picture");
    f->out[0] = f->in[0];
    f->out[0].dim[2] = v.oh;
    f->out[0].dim[3] = v.ow;
    f->flops = (double)grd_count(&f->out[0]) * (double)(v.kh * v.kw);
    return GRD_OK;
}

/* The part of output (oy, ox)'s window that lies in the picture. */
typedef struct span { int64_t y0, y1, x0, x1; } span;

static inline span span_of(const window *v, int64_t oy, int64_t ox)
{
    int64_t y = oy * v->sh - v->ph, x = ox * v->sw - v->pw;
    return (span){ y < 0 ? 0 : y, y + v->kh < v->h ? y + v->kh : v->h, x < 0 ? 0 : x, x + v->kw < v->w ? x + v->kw : v->w };
}

/* ---- max: save holds, for every output, the offset of its maximum in the plane ---- */

static grd_status max_shape(grd_infer *f)
{
    grd_status status = shape(f);
    f->save = sizeof(int32_t) * (size_t)(status == GRD_OK ? grd_count(&f->out[0]) : 0);
    return status;
}

static void max_forward(const grd_args *a)
{
    window v = window_of(a->attr, a->in_shape);
    int32_t *where = a->save;
    real *y = a->out[0];
    for (int64_t p = 0, e = 0; p < v.planes; p++) {
        const real *x = (const real *)a->in[0] + p * v.h * v.w;
        for (int64_t oy = 0; oy < v.oh; oy++)
            for (int64_t ox = 0; ox < v.ow; ox++, e++) {
                span s = span_of(&v, oy, ox);
                int64_t best = s.y0 * v.w + s.x0;
                for (int64_t iy = s.y0; iy < s.y1; iy++)
                    for (int64_t ix = s.x0; ix < s.x1; ix++)
                        if (x[iy * v.w + ix] > x[best] || isnan(x[iy * v.w + ix]))
                            best = iy * v.w + ix;
                y[e] = x[best];
                if (where)
                    where[e] = (int32_t)best;
            }
    }
}

static void max_backward(const grd_args *a)
{
    window v = window_of(a->attr, a->in_shape);
    const int32_t *where = a->save;
    if (!a->din[0])
        return;
    set_zero(a->din[0], grd_count(a->in_shape));
    for (int64_t p = 0, e = 0; p < v.planes; p++)
        for (int64_t k = 0; k < v.oh * v.ow; k++, e++)
            a->din[0][p * v.h * v.w + where[e]] += a->dout[0][e];
}

static const grd_op_sample samples[] = {
    { "kernel=2", "x[2,3,4,6]" }, { "kernel=3 stride=2 pad=1", "x[1,2,7,5]" }, { "kernel=[1,3] stride=[2,1]", "x[2,1,5,4]" },
    { "kernel=2 pad=1 count_pad=false", "x[2,2,5,5]" },
};

const grd_op GRD_ROW(maxpool2d) = {
    .name = "maxpool2d",
    .doc = "Largest value of each window; the border never wins.\ny = max of x over the window\ndx = dy at the place of the maximum (the first of equal ones), summed\n"
           "Output size floor((H + 2 pad - kernel) / stride) + 1.",
    .n_in = 1, .n_out = 1, .flags = GRD_BWD_SAVE, .options = options, .options_size = sizeof(grd_pool2d_opts),
    .shape = max_shape, .forward = max_forward, .backward = max_backward, GRD_SAMPLES(samples),
};

/* ---- average ---- */

static inline real share(const window *v, const grd_pool2d_opts *o, const span *s, int64_t oy, int64_t ox)
{
    if (o->no_count_pad)
        return 1 / (real)((s->y1 - s->y0) * (s->x1 - s->x0));
    /* the window cut at the padded picture */
    int64_t y = oy * v->sh - v->ph, x = ox * v->sw - v->pw;
    int64_t height = (y + v->kh < v->h + v->ph ? y + v->kh : v->h + v->ph) - y, width = (x + v->kw < v->w + v->pw ? x + v->kw : v->w + v->pw) - x;
    return 1 / (real)(height * width);
}

static void avg_forward(const grd_args *a)
{
    window v = window_of(a->attr, a->in_shape);
    real *y = a->out[0];
    for (int64_t p = 0; p < v.planes; p++) {
        const real *x = (const real *)a->in[0] + p * v.h * v.w;
        for (int64_t oy = 0; oy < v.oh; oy++)
            for (int64_t ox = 0; ox < v.ow; ox++) {
                span s = span_of(&v, oy, ox);
                real sum = 0;
                for (int64_t iy = s.y0; iy < s.y1; iy++)
                    for (int64_t ix = s.x0; ix < s.x1; ix++)
                        sum += x[iy * v.w + ix];
                *y++ = sum * share(&v, a->attr, &s, oy, ox);
            }
    }
}

static void avg_backward(const grd_args *a)
{
    window v = window_of(a->attr, a->in_shape);
    const real *dy = a->dout[0];
    if (!a->din[0])
        return;
    set_zero(a->din[0], grd_count(a->in_shape));
    for (int64_t p = 0; p < v.planes; p++) {
        real *dx = a->din[0] + p * v.h * v.w;
        for (int64_t oy = 0; oy < v.oh; oy++)
            for (int64_t ox = 0; ox < v.ow; ox++) {
                span s = span_of(&v, oy, ox);
                real g = *dy++ * share(&v, a->attr, &s, oy, ox);
                for (int64_t iy = s.y0; iy < s.y1; iy++)
                    for (int64_t ix = s.x0; ix < s.x1; ix++)
                        dx[iy * v.w + ix] += g;
            }
    }
}

const grd_op GRD_ROW(avgpool2d) = {
    .name = "avgpool2d",
    .doc = "Mean of each window.\ny = sum of x over the window / its size (with count_pad: border included)\ndx = dy / size, summed over the windows that hold x\n"
           "Output size as maxpool2d.",
    .n_in = 1, .n_out = 1, .options = options, .options_size = sizeof(grd_pool2d_opts),
    .shape = shape, .forward = avg_forward, .backward = avg_backward, GRD_SAMPLES(samples),
};

/* ---- adaptive average: window i of S is floor(i H / S) .. ceil((i + 1) H / S) ---- */

static const grd_option adaptive_options[] = { GRD_PAIR(grd_adaptive_pool2d_opts, size, 1, 1, 1e6, "output height and width"), GRD_END };

static grd_status adaptive_shape(grd_infer *f)
{
    const grd_adaptive_pool2d_opts *o = f->attr;
    if (f->in[0].rank != 4)
        return grd_refuse(f, "x [N,C,H,W] expected");
    f->out[0] = f->in[0];
    f->out[0].dim[2] = o->size;
    f->out[0].dim[3] = o->size_w;
    f->flops = (double)grd_count(&f->in[0]);
    return GRD_OK;
}

static inline int64_t low(int64_t i, int64_t n, int64_t s) { return i * n / s; }
static inline int64_t high(int64_t i, int64_t n, int64_t s) { return ((i + 1) * n + s - 1) / s; }

/* forward: y from x; else dx from dy */
static void adaptive(const grd_args *a, bool forward)
{
    const grd_shape *in = a->in_shape, *out = a->out_shape;
    int64_t h = in->dim[2], w = in->dim[3], sh = out->dim[2], sw = out->dim[3], e = 0;
    for (int64_t p = 0; p < in->dim[0] * in->dim[1]; p++)
        for (int64_t oy = 0; oy < sh; oy++)
            for (int64_t ox = 0; ox < sw; ox++, e++) {
                int64_t y0 = low(oy, h, sh), y1 = high(oy, h, sh), x0 = low(ox, w, sw), x1 = high(ox, w, sw);
                real n = (real)((y1 - y0) * (x1 - x0)), sum = 0;
                for (int64_t iy = y0; iy < y1; iy++)
                    for (int64_t ix = x0; ix < x1; ix++) {
                        int64_t at = (p * h + iy) * w + ix;
                        if (forward)
                            sum += ((const real *)a->in[0])[at];
                        else
                            a->din[0][at] += a->dout[0][e] / n;
                    }
                if (forward)
                    a->out[0][e] = sum / n;
            }
}

static void adaptive_forward(const grd_args *a) { adaptive(a, true); }

static void adaptive_backward(const grd_args *a)
{
    if (!a->din[0])
        return;
    set_zero(a->din[0], grd_count(a->in_shape));
    adaptive(a, false);
}

static const grd_op_sample adaptive_samples[] = { { NULL, "x[2,3,4,5]" }, { "size=[2,3]", "x[1,2,5,7]" }, { "size=4", "x[2,1,3,6]" } };

const grd_op GRD_ROW(adaptive_avgpool2d) = {
    .name = "adaptive_avgpool2d",
    .doc = "Mean over as many windows as the output is to have.\ny[i,j] = mean of x over rows floor(i H / S) to ceil((i + 1) H / S) and columns alike\n"
           "dx = dy / size of the window, summed",
    .n_in = 1, .n_out = 1, .options = adaptive_options, .options_size = sizeof(grd_adaptive_pool2d_opts),
    .shape = adaptive_shape, .forward = adaptive_forward, .backward = adaptive_backward, GRD_SAMPLES(adaptive_samples),
};
