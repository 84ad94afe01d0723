/* Element-wise ops of one input. A line of the table at the end says y from x, and dy/dx from the variable that the row keeps
 * for backward (x, y, or neither). */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vmath.h"

#include <gradus/ops.h>

#include <math.h>

#define LOOPS(name, opts, variable, F, DF)                                                                              \
    static void forward_##name(float *y, const float *in, int64_t n, const void *attr)                                 \
    {                                                                                                                   \
        const opts *o = attr;                                                                                           \
        (void)o;                                                                                                        \
        GRD_VECTOR_LOOP                                                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            const float x = in[i];                                                                                      \
            y[i] = F;                                                                                                   \
        }                                                                                                               \
    }                                                                                                                   \
    static void backward_##name(float *dx, const float *from, const float *dy, int64_t n, const void *attr)             \
    {                                                                                                                   \
        const opts *o = attr;                                                                                           \
        (void)o;                                                                                                        \
        GRD_VECTOR_LOOP                                                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            const float variable = from[i];                                                                             \
            dx[i] = dy[i] * (DF);                                                                                       \
            (void)variable;                                                                                             \
        }                                                                                                               \
    }

static inline float clamp(float x, float lo, float hi) { return vmath_select(x < lo, lo, vmath_select(x > hi, hi, x)); }
static inline float one_if(int yes) { return vmath_select(yes, 1, 0); }

static inline float silu_slope(float x)
{
    const float s = vmath_sigmoid(x);
    return s * (1 + x * (1 - s));
}

static inline float gelu(float x)
{
    float density;
    return x * vmath_normal(x, &density);
}

static inline float gelu_slope(float x)
{
    float density;
    const float below = vmath_normal(x, &density);
    return below + x * density;
}

/* By tanh: (1 + tanh(u)) / 2 = sigmoid(2 u), 2 u = 1.59576912 (x + 0.044715 x^3). */
static inline float gelu_share(float x) { return vmath_sigmoid(1.59576912f * x * (1 + 0.044715f * x * x)); }

static inline float gelu_tanh_slope(float x)
{
    const float s = gelu_share(x);
    return s + x * s * (1 - s) * 1.59576912f * (1 + 0.134145f * x * x);
}

#define SELU_SCALE 1.0507009873554805f
#define SELU_ALPHA 1.6732632423543773f
/* alpha (exp(x / alpha') - 1) below zero: the other side of the elu family; the argument is cut so that no infinity comes up */
#define BELOW(x) vmath_expm1(vmath_select((x) > 0, 0, x))

/* X(name, options, variable of the slope, y, slope) */
#define LINES(X)                                                                                                        \
    X(relu, void, y, vmath_select(x < 0, 0, x), one_if(y > 0))                                                          \
    X(relu6, void, y, clamp(x, 0, 6), one_if((y > 0) & (y < 6)))                                                        \
    X(leaky_relu, grd_leaky_relu_opts, y, vmath_select(x < 0, (float)o->slope * x, x),                                  \
      vmath_select(y > 0, 1, (float)o->slope))                                                                          \
    X(elu, grd_elu_opts, y, vmath_select(x > 0, x, (float)o->alpha * BELOW(x)),                                         \
      vmath_select(y > 0, 1, y + (float)o->alpha))                                                                      \
    X(celu, grd_elu_opts, y, vmath_select(x > 0, x, (float)o->alpha * BELOW(x / (float)o->alpha)),                      \
      vmath_select(y > 0, 1, y / (float)o->alpha + 1))                                                                  \
    X(selu, void, y, SELU_SCALE * vmath_select(x > 0, x, SELU_ALPHA * BELOW(x)),                                        \
      vmath_select(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA))                                                     \
    X(silu, void, x, x * vmath_sigmoid(x), silu_slope(x))                                                               \
    X(sigmoid, void, y, vmath_sigmoid(x), y * (1 - y))                                                                  \
    X(hardsigmoid, void, y, clamp(x + 3, 0, 6) / 6, one_if((y > 0) & (y < 1)) * (1.0f / 6))                             \
    X(hardswish, void, x, x * clamp(x + 3, 0, 6) / 6,                                                                   \
      vmath_select(x <= -3, 0, vmath_select(x >= 3, 1, (2 * x + 3) / 6)))                                               \
    X(tanh, void, y, vmath_tanh(x), 1 - y * y)                                                                          \
    X(softsign, void, y, x / (1 + vmath_abs(x)), (1 - vmath_abs(y)) * (1 - vmath_abs(y)))                               \
    X(hardtanh, grd_hardtanh_opts, y, clamp(x, (float)o->min, (float)o->max),                                           \
      one_if((y > (float)o->min) & (y < (float)o->max)))                                                                \
    X(exp, void, y, vmath_exp(x), y)                                                                                    \
    X(sqrt, void, y, sqrtf(x), 0.5f / y)                                                                                \
    X(square, void, x, x * x, 2 * x)                                                                                    \
    X(abs, void, x, vmath_abs(x), one_if(x > 0) - one_if(x < 0))                                                        \
    X(neg, void, dy_, -x, -1)                                                                                           \
    X(reciprocal, void, y, 1 / x, -y * y)                                                                               \
    X(scale, grd_scale_opts, dy_, (float)o->scale * x + (float)o->shift, (float)o->scale)

LINES(LOOPS)
LOOPS(gelu_exact, void, x, gelu(x), gelu_slope(x))
LOOPS(gelu_tanh, void, x, x * gelu_share(x), gelu_tanh_slope(x))

static void forward_gelu(float *y, const float *x, int64_t n, const void *attr)
{
    (((const grd_gelu_opts *)attr)->approximate ? forward_gelu_tanh : forward_gelu_exact)(y, x, n, attr);
}

static void backward_gelu(float *dx, const float *x, const float *dy, int64_t n, const void *attr)
{
    (((const grd_gelu_opts *)attr)->approximate ? backward_gelu_tanh : backward_gelu_exact)(dx, x, dy, n, attr);
}

#define ROW(name, opts, variable, F, DF) { #name, forward_##name, backward_##name },

const grd_unary_kernel *GRD_KERNEL(unary)(const char *op)
{
    static const grd_unary_kernel rows[] = { LINES(ROW) ROW(gelu, , , , ) };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    return NULL;
}
