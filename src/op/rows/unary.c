/* Element-wise ops of one input: each is one line of the table at the end. A line says how y follows from x and what dy/dx is,
 * from x (FROM_X) or from y (FROM_Y: x need not be kept). */
#include "op/row.h"

static grd_status same_shape(grd_infer *f)
{
    f->out[0] = f->in[0];
    return GRD_OK;
}

/* Each element is read before it is written, so that a run in place can use vectors too. */
#if defined(__GNUC__) && !defined(__clang__)
#define IN_PLACE_TOO _Pragma("GCC ivdep")
#else
#define IN_PLACE_TOO
#endif

static const grd_op_sample plain_samples[] = { { NULL, "x[4,6]:-2..2" }, { NULL, "x[2,3,2,5]:-6..6" }, { NULL, "x[1,2]:-1..1" } };
static const grd_op_sample wide_samples[] = { { NULL, "x[4,6]:-4..9" }, { NULL, "x[2,30]:-9..9" } };
static const grd_op_sample positive_samples[] = { { NULL, "x[4,6]:0.2..3" }, { NULL, "x[3,5,7]:0.5..9" } };

/* y = F, dx = dy DF. `o` is the row's options struct. */
#define FORWARD(name, opts, F)                                                \
    static void forward_##name(const grd_args *a)                             \
    {                                                                         \
        const opts *o = a->attr;                                              \
        const real *in = a->in[0];                                            \
        real *out = a->out[0];                                                \
        int64_t n = grd_count(a->in_shape);                                   \
        (void)o;                                                              \
        IN_PLACE_TOO                                                          \
        for (int64_t i = 0; i < n; i++) {                                     \
            real x = in[i];                                                   \
            out[i] = (real)(F);                                               \
        }                                                                     \
    }
#define BACKWARD(name, opts, read, variable, DF)                              \
    static void backward_##name(const grd_args *a)                            \
    {                                                                         \
        const opts *o = a->attr;                                              \
        const real *from = a->read[0], *dout = a->dout[0];                    \
        real *din = a->din[0];                                                \
        int64_t n = grd_count(a->in_shape);                                   \
        (void)o;                                                              \
        if (!din)                                                             \
            return;                                                           \
        IN_PLACE_TOO                                                          \
        for (int64_t i = 0; i < n; i++) {                                     \
            real variable = from[i];                                          \
            din[i] = dout[i] * (real)(DF);                                    \
            (void)variable;                                                   \
        }                                                                     \
    }
#define ROW(name_, rule, more, in_bits, out_bits, table, size, samples_, text) \
    const grd_op GRD_ROW(name_) = {                                           \
        .name = #name_, .doc = text, .n_in = 1, .n_out = 1,                   \
        .flags = GRD_ELEMENTWISE | GRD_INPLACE | GRD_INPLACE_BWD | (more),    \
        .bwd_in = in_bits, .bwd_out = out_bits, .options = table,             \
        .options_size = size, .shape = rule, .forward = forward_##name_,      \
        .backward = backward_##name_, GRD_SAMPLES(samples_),                  \
    };
#define FROM_X(name, flags, F, DF, samples, doc)                              \
    FORWARD(name, void, F)                                                    \
    BACKWARD(name, void, in, x, DF)                                           \
    ROW(name, same_shape, flags, 1, 0, NULL, 0, samples, doc)
#define FROM_Y(name, flags, F, DF, samples, doc)                              \
    FORWARD(name, void, F)                                                    \
    BACKWARD(name, void, out, y, DF)                                          \
    ROW(name, same_shape, flags, 0, 1, NULL, 0, samples, doc)
#define FROM_NEITHER(name, flags, F, DF, samples, doc)                        \
    FORWARD(name, void, F)                                                    \
    BACKWARD(name, void, dout, dy, DF)                                        \
    ROW(name, same_shape, flags, 0, 0, NULL, 0, samples, doc)
#define FROM_NEITHER_OPTS(name, opts, table, flags, F, DF, samples, doc)      \
    FORWARD(name, opts, F)                                                    \
    BACKWARD(name, opts, dout, dy, DF)                                        \
    ROW(name, same_shape, flags, 0, 0, table, sizeof(opts), samples, doc)
#define FROM_X_OPTS(name, opts, table, flags, F, DF, samples, doc)            \
    FORWARD(name, opts, F)                                                    \
    BACKWARD(name, opts, in, x, DF)                                           \
    ROW(name, same_shape, flags, 1, 0, table, sizeof(opts), samples, doc)
#define FROM_Y_OPTS(name, opts, table, flags, F, DF, samples, doc)            \
    FORWARD(name, opts, F)                                                    \
    BACKWARD(name, opts, out, y, DF)                                          \
    ROW(name, same_shape, flags, 0, 1, table, sizeof(opts), samples, doc)

/* ---- pieces ---- */

static inline real sigmoid(real x) { return 1 / (1 + REAL(exp)(-x)); }
static inline real softplus1(real x) { return (x > 0 ? x : 0) + REAL(log1p)(REAL(exp)(-REAL(fabs)(x))); }
static inline real clamp(real x, real lo, real hi) { return x < lo ? lo : x > hi ? hi : x; } /* keeps NaN */

static inline real mish(real x) { return x * REAL(tanh)(softplus1(x)); }
static inline real mish_slope(real x)
{
    real t = REAL(tanh)(softplus1(x));
    return t + x * sigmoid(x) * (1 - t * t);
}

static inline real silu_slope(real x)
{
    real s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

#define SQRT_HALF ((real)0.70710678118654752440)
#define ONE_OVER_SQRT_2PI ((real)0.39894228040143267794)
#define TWO_SQRT_2_OVER_PI ((real)1.59576912160573071176)

/* x times a share of it. Exact: erfc, since 1 + erf would cancel below zero; by tanh: (1 + tanh(u)) / 2 = sigmoid(2u), which does
 * not. */
static inline real gelu_share(real x, int by_tanh)
{
    return by_tanh ? sigmoid(TWO_SQRT_2_OVER_PI * x * (1 + (real)0.044715 * x * x)) : (real)0.5 * REAL(erfc)(-x * SQRT_HALF);
}

static inline real gelu_slope(real x, int by_tanh)
{
    const real s = gelu_share(x, by_tanh);
    if (by_tanh)
        return s + x * s * (1 - s) * TWO_SQRT_2_OVER_PI * (1 + 3 * (real)0.044715 * x * x);
    return s + x * ONE_OVER_SQRT_2PI * REAL(exp)((real)-0.5 * x * x);
}

static inline real hardswish_slope(real x) { return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6; }

static inline real power_slope(real x, real p) { return p == 0 ? 0 : p * REAL(pow)(x, p - 1); } /* of x^0 also at x = 0 */

#define SELU_SCALE ((real)1.0507009873554804934193349852946)
#define SELU_ALPHA ((real)1.6732632423543772848170429916717)

/* ---- options ---- */

static const grd_option leaky_relu_options[] = { GRD_REAL(grd_leaky_relu_opts, slope, 0.01, 0, 1e6, "slope below zero"),
                                                 GRD_END };
static const grd_option elu_options[] = { GRD_REAL(grd_elu_opts, alpha, 1, 1e-6, 1e6, "minus the limit at -infinity"), GRD_END };
static const grd_option gelu_options[] = { GRD_ENUM(grd_gelu_opts, approximate, 0, "none|tanh", "exact, or by tanh"), GRD_END };
static const grd_option softplus_options[] = { GRD_REAL(grd_softplus_opts, beta, 1, 1e-6, 1e6, "sharpness"),
                                               GRD_REAL(grd_softplus_opts, threshold, 20, 0, 1e6, "linear where beta x is above"),
                                               GRD_END };
static const grd_option hardtanh_options[] = { GRD_REAL(grd_hardtanh_opts, min, -1, 0, 0, "lower bound"),
                                               GRD_REAL(grd_hardtanh_opts, max, 1, 0, 0, "upper bound"), GRD_END };
static const grd_option shrink_options[] = { GRD_REAL(grd_shrink_opts, lambda, 0.5, 0, 1e9, "half width of the dead zone"),
                                             GRD_END };
static const grd_option pow_options[] = { GRD_REAL(grd_pow_opts, exponent, 2, 0, 0, "the power"), GRD_END };
static const grd_option scale_options[] = { GRD_REAL(grd_scale_opts, scale, 1, 0, 0, "factor"),
                                            GRD_REAL(grd_scale_opts, shift, 0, 0, 0, "added after"),
                                            GRD_END };

static grd_status ordered_bounds(grd_infer *f)
{
    const grd_hardtanh_opts *o = f->attr;
    return o->min <= o->max ? same_shape(f) : grd_refuse(f, "min %g is above max %g", o->min, o->max);
}

static const grd_op_sample leaky_relu_samples[] = { { NULL, "x[4,6]:-2..2" }, { "slope=0.3", "x[2,3,4]" } };
static const grd_op_sample elu_samples[] = { { NULL, "x[4,6]:-2..2" }, { "alpha=0.7", "x[2,3,4]:-3..3" } };
static const grd_op_sample gelu_samples[] = { { NULL, "x[4,6]:-3..3" }, { "approximate=tanh", "x[2,3,4]:-3..3" } };
static const grd_op_sample softplus_samples[] = { { NULL, "x[4,6]:-3..3" }, { "beta=2 threshold=3", "x[2,3,4]:-3..3" } };
static const grd_op_sample hardtanh_samples[] = { { NULL, "x[4,6]:-2..2" }, { "min=-0.4 max=1.5", "x[2,3,4]:-3..3" } };
static const grd_op_sample shrink_samples[] = { { NULL, "x[4,6]:-2..2" }, { "lambda=0.9", "x[2,3,4]:-2..2" } };
static const grd_op_sample pow_samples[] = { { NULL, "x[4,6]" }, { "exponent=3", "x[2,3,4]" },
                                             { "exponent=-0.5", "x[3,4]:0.5..2" } };
static const grd_op_sample scale_samples[] = { { "scale=3", "x[4,6]" }, { "scale=-2 shift=0.5", "x[2,3,4]" } };

#define ZERO GRD_ZERO_AT_ZERO

/* ---- the table ---- */

FROM_Y(relu, ZERO, x < 0 ? 0 : x, y > 0 ? 1 : 0, plain_samples,
       "Rectifier.\ny = max(x, 0)\ndx = dy [y > 0]\nNair, Hinton 2010")
FROM_Y(relu6, ZERO, clamp(x, 0, 6), y > 0 && y < 6 ? 1 : 0, wide_samples,
       "Rectifier with a ceiling of 6.\ny = min(max(x, 0), 6)\ndx = dy [0 < y < 6]\nKrizhevsky 2010")
FROM_Y_OPTS(leaky_relu, grd_leaky_relu_opts, leaky_relu_options, ZERO, x < 0 ? (real)o->slope * x : x, y > 0 ? 1 : (real)o->slope,
            leaky_relu_samples,
            "Rectifier with a slope below zero.\ny = x for x > 0, else slope x\ndx = dy (1 or slope)\nMaas, Hannun, Ng 2013")
FROM_Y_OPTS(elu, grd_elu_opts, elu_options, ZERO, x > 0 ? x : (real)o->alpha * REAL(expm1)(x), y > 0 ? 1 : y + (real)o->alpha,
            elu_samples,
            "Exponential linear unit.\ny = x for x > 0, else alpha (exp(x) - 1)\ndx = dy (1 or y + alpha)\n"
            "Clevert, Unterthiner, Hochreiter 2016")
FROM_Y_OPTS(celu, grd_elu_opts, elu_options, ZERO, x > 0 ? x : (real)o->alpha * REAL(expm1)(x / (real)o->alpha),
            y > 0 ? 1 : y / (real)o->alpha + 1, elu_samples,
            "Continuously differentiable elu.\ny = x for x > 0, else alpha (exp(x / alpha) - 1)\ndx = dy (1 or y / alpha + 1)\n"
            "Barron 2017")
FROM_Y(selu, ZERO, SELU_SCALE * (x > 0 ? x : SELU_ALPHA * REAL(expm1)(x)), y > 0 ? SELU_SCALE : y + SELU_SCALE * SELU_ALPHA,
       plain_samples,
       "Self-normalising elu.\ny = s x for x > 0, else s a (exp(x) - 1); s = 1.0507, a = 1.6733\ndx = dy (s or y + s a)\n"
       "Klambauer et al. 2017")
FROM_X_OPTS(gelu, grd_gelu_opts, gelu_options, ZERO, x * gelu_share(x, o->approximate), gelu_slope(x, o->approximate),
            gelu_samples,
            "Gaussian error linear unit.\ny = x Phi(x), Phi the normal distribution function\ndx = dy (Phi(x) + x phi(x))\n"
            "Hendrycks, Gimpel 2016")
FROM_X(silu, ZERO, x * sigmoid(x), silu_slope(x), plain_samples,
       "Sigmoid-weighted linear unit (swish).\ny = x s, s = 1 / (1 + exp(-x))\ndx = dy s (1 + x (1 - s))\n"
       "Elfwing, Uchibe, Doya 2017")
FROM_X(mish, ZERO, mish(x), mish_slope(x), plain_samples,
       "Mish.\ny = x t, t = tanh(softplus(x))\ndx = dy (t + x s (1 - t^2)), s = sigmoid(x)\nMisra 2019")
FROM_Y(sigmoid, 0, sigmoid(x), y * (1 - y), plain_samples, "Logistic function.\ny = 1 / (1 + exp(-x))\ndx = dy y (1 - y)")
FROM_Y(log_sigmoid, 0, -softplus1(-x), -REAL(expm1)(y), plain_samples,
       "Logarithm of the logistic function, stable for large |x|.\ny = -log(1 + exp(-x))\ndx = dy (1 - exp(y))")
FROM_Y(hardsigmoid, 0, clamp(x + 3, 0, 6) / 6, y > 0 && y < 1 ? (real)1 / 6 : 0, wide_samples,
       "Piecewise linear sigmoid.\ny = min(max(x + 3, 0), 6) / 6\ndx = dy / 6 [0 < y < 1]\nHoward et al. 2019")
FROM_X(hardswish, ZERO, x * clamp(x + 3, 0, 6) / 6, hardswish_slope(x), wide_samples,
       "Piecewise swish.\ny = x min(max(x + 3, 0), 6) / 6\ndx = dy (2 x + 3) / 6 [-3 < x < 3], dy for x >= 3\nHoward et al. 2019")
FROM_Y(tanh, ZERO, REAL(tanh)(x), 1 - y * y, plain_samples, "Hyperbolic tangent.\ny = tanh(x)\ndx = dy (1 - y^2)")
FROM_X(tanhshrink, ZERO, x - REAL(tanh)(x), REAL(tanh)(x) * REAL(tanh)(x), plain_samples,
       "x without its tanh.\ny = x - tanh(x)\ndx = dy tanh(x)^2")
FROM_Y(softsign, ZERO, x / (1 + REAL(fabs)(x)), (1 - REAL(fabs)(y)) * (1 - REAL(fabs)(y)), plain_samples,
       "Softsign.\ny = x / (1 + |x|)\ndx = dy (1 - |y|)^2\nBergstra et al. 2009")
FROM_X_OPTS(softplus, grd_softplus_opts, softplus_options, 0,
            x * (real)o->beta > (real)o->threshold ? x : softplus1(x * (real)o->beta) / (real)o->beta,
            x * (real)o->beta > (real)o->threshold ? 1 : sigmoid(x * (real)o->beta), softplus_samples,
            "Smooth rectifier.\ny = log(1 + exp(beta x)) / beta, and x where beta x > threshold\ndx = dy sigmoid(beta x)\n"
            "Dugas et al. 2001")
FORWARD(hardtanh, grd_hardtanh_opts, clamp(x, (real)o->min, (real)o->max))
BACKWARD(hardtanh, grd_hardtanh_opts, out, y, y > (real)o->min && y < (real)o->max ? 1 : 0)
ROW(hardtanh, ordered_bounds, 0, 0, 1, hardtanh_options, sizeof(grd_hardtanh_opts), hardtanh_samples,
    "Clamp.\ny = min(max(x, min), max)\ndx = dy [min < y < max]")
FROM_Y_OPTS(softshrink, grd_shrink_opts, shrink_options, ZERO,
            x > (real)o->lambda ? x - (real)o->lambda : x < -(real)o->lambda ? x + (real)o->lambda : x * 0,
            y != 0 ? 1 : 0, shrink_samples,
            "Soft threshold.\ny = x - lambda, x + lambda, or 0 for |x| <= lambda\ndx = dy [y != 0]")
FROM_Y_OPTS(hardshrink, grd_shrink_opts, shrink_options, ZERO, x > (real)o->lambda || x < -(real)o->lambda ? x : x * 0,
            y != 0 ? 1 : 0, shrink_samples, "Hard threshold.\ny = x, or 0 for |x| <= lambda\ndx = dy [y != 0]")
FROM_Y(exp, 0, REAL(exp)(x), y, plain_samples, "Exponential.\ny = exp(x)\ndx = dy y")
FROM_X(log, 0, REAL(log)(x), 1 / x, positive_samples, "Natural logarithm.\ny = log(x)\ndx = dy / x\nNaN below zero")
FROM_Y(sqrt, 0, REAL(sqrt)(x), (real)0.5 / y, positive_samples,
       "Square root.\ny = sqrt(x)\ndx = dy / (2 y)\nNaN below zero; infinite slope at zero")
FROM_X(square, ZERO, x * x, 2 * x, plain_samples, "Square.\ny = x^2\ndx = 2 x dy")
FROM_X(abs, ZERO, REAL(fabs)(x), x > 0 ? 1 : x < 0 ? -1 : 0, plain_samples, "Absolute value.\ny = |x|\ndx = dy sign(x), 0 at 0")
FROM_NEITHER(neg, ZERO, -x, -1, plain_samples, "Negative.\ny = -x\ndx = -dy")
FROM_Y(reciprocal, 0, 1 / x, -y * y, positive_samples, "One over x.\ny = 1 / x\ndx = -dy y^2")
FROM_X(sin, ZERO, REAL(sin)(x), REAL(cos)(x), plain_samples, "Sine.\ny = sin(x)\ndx = dy cos(x)")
FROM_X(cos, 0, REAL(cos)(x), -REAL(sin)(x), plain_samples, "Cosine.\ny = cos(x)\ndx = -dy sin(x)")
FROM_X_OPTS(pow, grd_pow_opts, pow_options, 0, REAL(pow)(x, (real)o->exponent), power_slope(x, (real)o->exponent), pow_samples,
            "Power.\ny = x^p\ndx = dy p x^(p-1)\nNaN for x < 0 unless p is whole")
FROM_NEITHER_OPTS(scale, grd_scale_opts, scale_options, 0, (real)o->scale * x + (real)o->shift, (real)o->scale, scale_samples,
            "Affine map by two numbers.\ny = scale x + shift\ndx = scale dy")
