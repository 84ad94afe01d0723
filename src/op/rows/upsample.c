/* upsample: pictures [N,C,H,W] (and signals [N,C,T]) at another size. Where an output lies in the input is counted in whole numbers:
 * no rounding moves it. */
#include "op/rows/sums.h"

/* One axis: output o lies `part` of the way from place `low` to place `high`. */
typedef struct tap {
    int64_t low, high;
    real part;
} tap;

typedef struct upsample_dims {
    int64_t planes, h, w, oh, ow;
} upsample_dims;

static upsample_dims dims_of(const grd_shape *x, const grd_shape *y)
{
    const int last = x->rank - 1;
    return (upsample_dims){ x->dim[0] * x->dim[1], last == 3 ? x->dim[2] : 1, x->dim[last], last == 3 ? y->dim[2] : 1, y->dim[last] };
}

static grd_status shape(grd_infer *f)
{
    const grd_upsample_opts *o = f->attr;
    const grd_shape *x = &f->in[0];
    if (x->rank != 3 && x->rank != 4)
        return grd_refuse(f, "x has rank %d, expected [N,C,H,W] or [N,C,T]", x->rank);
    if (!o->size == !o->scale || !o->size != !o->size_w || !o->scale != !o->scale_w)
        return grd_refuse(f, "expected either scale or size, 1 or more along both axes");
    if (x->rank == 3 && (o->scale != o->scale_w || o->size != o->size_w))
        return grd_refuse(f, "x [N,C,T] has one size to change, found two values");
    if (x->rank == 3 && o->mode != 0)
        return grd_refuse(f, "x [N,C,T] goes by nearest only");
    if (o->align_corners && o->mode == 0)
        return grd_refuse(f, "align_corners goes with bilinear only");
    grd_shape y = *x;
    for (int i = 2; i < x->rank; i++) {
        const int64_t scale = i == 2 ? o->scale : o->scale_w, size = i == 2 ? o->size : o->size_w;
        if (x->dim[i] > INT32_MAX)
            return grd_refuse(f, "dimension %d is longer than an int32 can count", i);
        y.dim[i] = scale ? x->dim[i] * scale : size;
    }
    upsample_dims d = dims_of(x, &y);
    if (d.oh > INT32_MAX / d.ow)
        return grd_refuse(f, "an output plane of %lld x %lld has more points than an int32 can count", (long long)d.oh,
                          (long long)d.ow);
    f->out[0] = y;
    f->flops = (o->mode ? 8.0 : 1.0) * (double)grd_count(&y);
    return GRD_OK;
}

/* The middle of output o lies at (o + 1/2) in / out - 1/2 of the input, not before its first point; with corners aligned at
 * o (in - 1) / (out - 1). */
static inline tap tap_of(int64_t o, int64_t in, int64_t out, bool align)
{
    int64_t above = align ? o * (in - 1) : (2 * o + 1) * in - out, below = align ? out - 1 : 2 * out;
    if (above < 0 || below == 0)
        return (tap){ 0, in > 1, 0 };
    const int64_t low = above / below;
    return (tap){ low, low + (low < in - 1), (real)(above % below) / (real)below };
}

static void nearest_forward(const upsample_dims *d, const real *x, real *y)
{
    for (int64_t oy = 0; oy < d->oh; oy++)
        for (int64_t ox = 0; ox < d->ow; ox++)
            *y++ = x[oy * d->h / d->oh * d->w + ox * d->w / d->ow];
}

static void nearest_backward(const upsample_dims *d, const real *dy, real *dx)
{
    for (int64_t oy = 0; oy < d->oh; oy++)
        for (int64_t ox = 0; ox < d->ow; ox++)
            dx[oy * d->h / d->oh * d->w + ox * d->w / d->ow] += *dy++;
}

static void bilinear_forward(const upsample_dims *d, bool align, const real *x, real *y)
{
    for (int64_t oy = 0; oy < d->oh; oy++) {
        const tap v = tap_of(oy, d->h, d->oh, align);
        const real *top = x + v.low * d->w, *bottom = x + v.high * d->w;
        for (int64_t ox = 0; ox < d->ow; ox++) {
            const tap u = tap_of(ox, d->w, d->ow, align);
            *y++ = (1 - v.part) * ((1 - u.part) * top[u.low] + u.part * top[u.high]) +
                   v.part * ((1 - u.part) * bottom[u.low] + u.part * bottom[u.high]);
        }
    }
}

static void bilinear_backward(const upsample_dims *d, bool align, const real *dy, real *dx)
{
    for (int64_t oy = 0; oy < d->oh; oy++) {
        const tap v = tap_of(oy, d->h, d->oh, align);
        real *top = dx + v.low * d->w, *bottom = dx + v.high * d->w;
        for (int64_t ox = 0; ox < d->ow; ox++) {
            const tap u = tap_of(ox, d->w, d->ow, align);
            const real g = *dy++;
            top[u.low] += (1 - v.part) * (1 - u.part) * g;
            top[u.high] += (1 - v.part) * u.part * g;
            bottom[u.low] += v.part * (1 - u.part) * g;
            bottom[u.high] += v.part * u.part * g;
        }
    }
}

static void forward(const grd_args *a)
{
    const grd_upsample_opts *o = a->attr;
    const upsample_dims d = dims_of(a->in_shape, a->out_shape);
    for (int64_t p = 0; p < d.planes; p++) {
        const real *x = (const real *)a->in[0] + p * d.h * d.w;
        real *y = a->out[0] + p * d.oh * d.ow;
        if (o->mode == 0)
            nearest_forward(&d, x, y);
        else
            bilinear_forward(&d, o->align_corners, x, y);
    }
}

static void backward(const grd_args *a)
{
    const grd_upsample_opts *o = a->attr;
    const upsample_dims d = dims_of(a->in_shape, a->out_shape);
    if (!a->din[0])
        return;
    set_zero(a->din[0], grd_count(a->in_shape));
    for (int64_t p = 0; p < d.planes; p++) {
        const real *dy = a->dout[0] + p * d.oh * d.ow;
        real *dx = a->din[0] + p * d.h * d.w;
        if (o->mode == 0)
            nearest_backward(&d, dy, dx);
        else
            bilinear_backward(&d, o->align_corners, dy, dx);
    }
}

static const grd_option options[] = {
    GRD_PAIR(grd_upsample_opts, scale, 0, 0, 1e6, "times as high and wide; 0: see size"),
    GRD_PAIR(grd_upsample_opts, size, 0, 0, 1e6, "output height and width; 0: see scale"),
    GRD_ENUM(grd_upsample_opts, mode, 0, "nearest|bilinear", "the nearest point, or a mean of the four around"),
    GRD_FLAG(grd_upsample_opts, align_corners, "bilinear: the corner points of both pictures lie on each other"),
    GRD_END,
};

static const grd_op_sample samples[] = {
    { "scale=2", "x[2,3,3,4]" },
    { "scale=[1,3]", "x[1,2,3,2]" },
    { "size=[7,3]", "x[2,1,3,5]" },
    { "scale=3", "x[2,3,5]" },
    { "scale=2 mode=bilinear", "x[2,3,3,4]" },
    { "size=[5,8] mode=bilinear", "x[1,2,3,3]" },
    { "size=[2,3] mode=bilinear", "x[1,2,5,7]" },
    { "scale=2 mode=bilinear align_corners=true", "x[1,2,3,4]" },
    { "size=[1,9] mode=bilinear align_corners=true", "x[2,1,4,4]" },
    { "scale=4 mode=bilinear", "x[1,3,1,1]" },
};

const grd_op GRD_ROW(upsample) = {
    .name = "upsample",
    .doc = "Pictures at another size, each output read from where its middle lies in the input.\n"
           "nearest: y[o] = x[floor(o in / out)]; along both axes.\n"
           "bilinear: along each axis s = (o + 1/2) in / out - 1/2, at least 0, or with align_corners s = o (in - 1) / (out - 1);\n"
           "y[o] = (1 - t) x[i] + t x[i+1], i = floor(s), t = s - i; past the last point that point.\n"
           "dx = A^T dy where y = A x.\n"
           "x [N,C,H,W]; nearest also x [N,C,T]. Either scale (whole numbers) or size. As PyTorch's nn.Upsample, but for\n"
           "places that PyTorch's float arithmetic rounds to a neighbour.",
    .n_in = 1,
    .n_out = 1,
    .options = options,
    .options_size = sizeof(grd_upsample_opts),
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
