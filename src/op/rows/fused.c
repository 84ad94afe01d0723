/* Rows that only the fuse pass makes. Each is the two ops it stands for, in one; the gradient of the activation is taken
 * from y. */
#include "op/fused.h"

#include "op/rows/batchnorm.h"
#include "op/rows/conv.h"
#include "op/rows/product.h"

/* ---- activations ---- */

static inline real activate(real z, int act, real slope)
{
    if (act == GRD_ACT_RELU)
        return z < 0 ? 0 : z;
    if (act == GRD_ACT_LEAKY_RELU)
        return z < 0 ? slope * z : z;
    return act == GRD_ACT_SIGMOID ? 1 / (1 + REAL(exp)(-z)) : act == GRD_ACT_TANH ? REAL(tanh)(z) : z;
}

static inline real slope_at(real y, int act, real slope)
{
    if (act == GRD_ACT_RELU)
        return y > 0 ? 1 : 0;
    if (act == GRD_ACT_LEAKY_RELU)
        return y > 0 ? 1 : slope;
    return act == GRD_ACT_SIGMOID ? y * (1 - y) : act == GRD_ACT_TANH ? 1 - y * y : 1;
}

static void activate_all(real *y, int64_t n, int act, double slope)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = activate(y[i], act, (real)slope);
}

/* dz = dy act'(y) into scratch */
static const real *before_activation(const grd_args *a, int act, double slope)
{
    real *dz = a->scratch;
    int64_t n = grd_count(a->out_shape);
    for (int64_t i = 0; i < n; i++)
        dz[i] = a->dout[0][i] * slope_at(a->out[0][i], act, (real)slope);
    return dz;
}

/* Scratch for dz, besides what the op without activation says. A negative slope could not be told from y. */
static grd_status with_activation(grd_infer *f, grd_status status, double slope)
{
    if (status != GRD_OK)
        return status;
    if (!(slope >= 0))
        return grd_refuse(f, "slope is %g, expected 0 or more", slope);
    f->scratch_back = sizeof(real) * (size_t)grd_count(&f->out[0]);
    return GRD_OK;
}

#define ACT_OPTIONS(S)                                                                                         \
    { "act", GRD_OPTION_ENUM, offsetof(S, act), GRD_ACT_RELU, 0, 0, GRD_ACT_CHOICES, 0, "activation" },        \
    GRD_REAL(S, slope, 0.01, 0, 1e6, "of leaky_relu")

/* ---- linear_act ---- */

static grd_status linear_act_shape(grd_infer *f)
{
    return with_activation(f, linear_shape(f), ((const grd_linear_act_opts *)f->attr)->slope);
}

static void linear_act_forward(const grd_args *a)
{
    const grd_linear_act_opts *o = a->attr;
    linear_product(a, a->out[0]);
    activate_all(a->out[0], grd_count(a->out_shape), o->act, o->slope);
}

static void linear_act_backward(const grd_args *a)
{
    const grd_linear_act_opts *o = a->attr;
    linear_gradients(a, before_activation(a, o->act, o->slope));
}

static const grd_option linear_act_options[] = { ACT_OPTIONS(grd_linear_act_opts), GRD_END };

static const grd_op_sample linear_act_samples[] = {
    { NULL, "x[3,4] w[5,4] b[5]:0.11..0.37" },
    { "act=sigmoid", "x[2,3,7] w[2,7]" },
    { "act=tanh", "x[4,5] w[3,5] b[3]" },
    { "act=leaky_relu slope=0.2", "x[6,5] w[7,5] b[7]:0.13..0.29" },
    { "act=none", "x[1,3] w[2,3] b[2]" },
};

const grd_op GRD_ROW(linear_act) = {
    .name = "linear_act",
    .doc = "linear, then an activation.\n"
           "Y = act(X W^T + 1 b^T)\n"
           "dZ = dY act'(Y), then as linear: dX = dZ W, dW = dZ^T X, db = dZ^T 1",
    .n_in = 3,
    .n_in_min = 2,
    .n_out = 1,
    .in_names = "x w b",
    .flags = GRD_INTERNAL,
    .bwd_in = 3,
    .bwd_out = 1,
    .options = linear_act_options,
    .options_size = sizeof(grd_linear_act_opts),
    .shape = linear_act_shape,
    .forward = linear_act_forward,
    .backward = linear_act_backward,
    GRD_SAMPLES(linear_act_samples),
};

/* ---- conv2d_act ---- */

static grd_status conv2d_act_shape(grd_infer *f)
{
    const grd_conv2d_act_opts *o = f->attr;
    return with_activation(f, conv_shape(f, &o->conv), o->slope);
}

static void conv2d_act_forward(const grd_args *a)
{
    const grd_conv2d_act_opts *o = a->attr;
    conv_forward(a, &o->conv);
    activate_all(a->out[0], grd_count(a->out_shape), o->act, o->slope);
}

static void conv2d_act_backward(const grd_args *a)
{
    const grd_conv2d_act_opts *o = a->attr;
    conv_backward(a, &o->conv, before_activation(a, o->act, o->slope));
}

static const grd_option conv2d_act_options[] = {
    CONV2D_OPTIONS(grd_conv2d_act_opts, conv.),
    ACT_OPTIONS(grd_conv2d_act_opts),
    GRD_END,
};

static const grd_op_sample conv2d_act_samples[] = {
    { "pad=1", "x[2,2,3,3] w[2,2,3,3] b[2]:0.011..0.037" },
    { "stride=2 act=tanh", "x[1,2,5,6] w[3,2,3,2]" },
    { "groups=2 act=leaky_relu slope=0.3 dilation=2 pad=[1,2]", "x[1,4,3,4] w[2,2,2,3] b[2]:0.213..0.429" },
    { "act=sigmoid", "x[1,1,2,2] w[1,1,1,1] b[1]" },
};

const grd_op GRD_ROW(conv2d_act) = {
    .name = "conv2d_act",
    .doc = "conv2d, then an activation.\n"
           "y = act(w * x + b)\n"
           "dz = dy act'(y), then as conv2d",
    .n_in = 3,
    .n_in_min = 2,
    .n_out = 1,
    .in_names = "x w b",
    .flags = GRD_INTERNAL,
    .bwd_in = 3,
    .bwd_out = 1,
    .options = conv2d_act_options,
    .options_size = sizeof(grd_conv2d_act_opts),
    .shape = conv2d_act_shape,
    .forward = conv2d_act_forward,
    .backward = conv2d_act_backward,
    GRD_SAMPLES(conv2d_act_samples),
};

/* ---- add_relu ---- */

static grd_status add_relu_shape(grd_infer *f)
{
    if (!grd_shape_equal(&f->in[0], &f->in[1]))
        return grd_refuse(f, "the shapes differ");
    f->out[0] = f->in[0];
    return GRD_OK;
}

static void add_relu_forward(const grd_args *a)
{
    const real *p = a->in[0], *q = a->in[1];
    int64_t n = grd_count(a->in_shape);
    for (int64_t i = 0; i < n; i++)
        a->out[0][i] = activate(p[i] + q[i], GRD_ACT_RELU, 0);
}

static void add_relu_backward(const grd_args *a)
{
    int64_t n = grd_count(a->in_shape);
    for (int64_t i = 0; i < n; i++) {
        real g = a->out[0][i] > 0 ? a->dout[0][i] : 0;
        if (a->din[1])
            a->din[1][i] = g;
        if (a->din[0])
            a->din[0][i] = g;
    }
}

static const grd_op_sample add_relu_samples[] = {
    { NULL, "a[3,4]:-1..1.03 b[3,4]" },
    { NULL, "a[2,3,5,2]:-0.9..1.2 b[2,3,5,2]" },
};

const grd_op GRD_ROW(add_relu) = {
    .name = "add_relu",
    .doc = "Sum of two equal shapes, then the rectifier.\n"
           "y = max(a + b, 0)\n"
           "da = db = dy where y > 0, else 0",
    .n_in = 2,
    .n_out = 1,
    .in_names = "a b",
    .flags = GRD_INTERNAL | GRD_ELEMENTWISE | GRD_ZERO_AT_ZERO | GRD_INPLACE | GRD_INPLACE_BWD,
    .bwd_out = 1,
    .shape = add_relu_shape,
    .forward = add_relu_forward,
    .backward = add_relu_backward,
    GRD_SAMPLES(add_relu_samples),
};

/* ---- batchnorm_relu ---- */

static void batchnorm_relu_forward(const grd_args *a) { batchnorm_forward(a, true, NULL); }

static void batchnorm_relu_backward(const grd_args *a) { batchnorm_backward(a, a->out[0]); }

static const grd_option batchnorm_relu_options[] = { BATCHNORM_OPTIONS, GRD_END };

static const grd_op_sample batchnorm_relu_samples[] = {
    { NULL, "x[5,3] w[3]:0.5..1.5 b[3]:0.11..0.37 mean[3] var[3]:0.5..2 count[]:3..3" },
    { "momentum=0.3 eps=1e-3", "x[2,4,3,5] w[4] b[4]:0.13..0.41 mean[4] var[4]:0.5..2 count[1]:0..0" },
    { "frozen=true", "x[3,2,5] w[2] b[2]:0.17..0.43 mean[2] var[2]:0.5..2 count[1]:7..7" },
};

const grd_op GRD_ROW(batchnorm_relu) = {
    .name = "batchnorm_relu",
    .doc = "batchnorm, then the rectifier.\n"
           "y = max(w (x - m) r + b, 0)\n"
           "as batchnorm, with dy where y > 0, else 0, for dy",
    .n_in = 6,
    .n_out = 1,
    .in_names = "x w b mean var count",
    .in_kind = batchnorm_kinds,
    .flags = GRD_INTERNAL | GRD_BWD_SAVE | GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 1u << 0 | 1u << 1,
    .bwd_out = 1,
    .options = batchnorm_relu_options,
    .options_size = sizeof(grd_f_batchnorm_opts),
    .shape = batchnorm_shape,
    .forward = batchnorm_relu_forward,
    .backward = batchnorm_relu_backward,
    GRD_SAMPLES(batchnorm_relu_samples),
};

/* ---- batchnorm_add_relu ---- */

static const grd_kind batchnorm_add_kinds[] = { GRD_KIND_REAL,  GRD_KIND_REAL,  GRD_KIND_REAL, GRD_KIND_STATE,
                                                GRD_KIND_STATE, GRD_KIND_STATE, GRD_KIND_REAL };

static grd_status batchnorm_add_relu_shape(grd_infer *f)
{
    if (!grd_shape_equal(&f->in[0], &f->in[6]))
        return grd_refuse(f, "r must have the shape of x");
    return batchnorm_shape(f);
}

static void batchnorm_add_relu_forward(const grd_args *a)
{
    batchnorm_forward(a, true, a->in[6]);
}

static void batchnorm_add_relu_backward(const grd_args *a)
{
    int64_t n = grd_count(a->out_shape);
    if (a->din[6]) /* before din[0], which may be written over dout[0] */
        for (int64_t i = 0; i < n; i++)
            a->din[6][i] = batchnorm_gate(a->out[0], a->dout[0], i);
    batchnorm_backward(a, a->out[0]);
}

static const grd_option batchnorm_add_relu_options[] = { BATCHNORM_OPTIONS, GRD_END };

static const grd_op_sample batchnorm_add_relu_samples[] = {
    { NULL, "x[5,3] w[3]:0.5..1.5 b[3]:0.11..0.37 mean[3] var[3]:0.5..2 count[1]:3..3 r[5,3]:0.13..0.71" },
    { "momentum=0.3 eps=1e-3", "x[2,4,3,5] w[4] b[4]:0.13..0.41 mean[4] var[4]:0.5..2 count[1]:0..0 r[2,4,3,5]:0.17..0.67" },
    { "frozen=true", "x[3,2,5] w[2] b[2]:0.17..0.43 mean[2] var[2]:0.5..2 count[1]:7..7 r[3,2,5]:0.19..0.73" },
};

const grd_op GRD_ROW(batchnorm_add_relu) = {
    .name = "batchnorm_add_relu",
    .doc = "batchnorm, then a second value added, then the rectifier: the end of a residual block.\n"
           "y = max(w (x - m) s + b + r, 0), s = 1 / sqrt(v + eps)\n"
           "as batchnorm, with g = dy where y > 0, else 0, for dy; dr = g",
    .n_in = 7,
    .n_out = 1,
    .in_names = "x w b mean var count r",
    .in_kind = batchnorm_add_kinds,
    .flags = GRD_INTERNAL | GRD_BWD_SAVE | GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 1u << 0 | 1u << 1,
    .bwd_out = 1,
    .options = batchnorm_add_relu_options,
    .options_size = sizeof(grd_f_batchnorm_opts),
    .shape = batchnorm_add_relu_shape,
    .forward = batchnorm_add_relu_forward,
    .backward = batchnorm_add_relu_backward,
    GRD_SAMPLES(batchnorm_add_relu_samples),
};
