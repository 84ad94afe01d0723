/* Elementary functions for *_kernels.c: straight-line code on one float, which the compiler turns into vectors of the instruction
 * set at hand. NaN goes through. Coefficients are minimax fits of our own; errors are the largest seen over the whole range,
 * held by tests/backend/test_vmath.c. */
#ifndef GRD_BACKEND_CPU_VMATH_H
#define GRD_BACKEND_CPU_VMATH_H

#include "backend/cpu/vectors.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Loops marked so may run in place (each element is read before it is written) and still use vectors. */
#if defined(__clang__)
#define GRD_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define GRD_VECTOR_LOOP _Pragma("GCC ivdep")
#endif

/* a b + c, rounded once where the machine can. */
#ifdef __FMA__
#define GRD_FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define GRD_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float vmath_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t vmath_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* yes ? a : b, both computed: a compiler that minds floating-point traps would make a branch of the operator and no vectors. */
static inline float vmath_select(int yes, float a, float b)
{
    const uint32_t mask = 0u - (uint32_t)yes;
    return vmath_of_bits((vmath_bits(a) & mask) | (vmath_bits(b) & ~mask));
}

static inline float vmath_abs(float x) { return vmath_of_bits(vmath_bits(x) & 0x7fffffffu); }

/* |x| with the sign of s */
static inline float vmath_sign(float x, float s)
{
    return vmath_of_bits((vmath_bits(x) & 0x7fffffffu) | (vmath_bits(s) & 0x80000000u));
}

/* exp(x) = (1 + *tail) *first *second: x is cut to where float has numbers, its multiple of log 2 goes into two powers of 2
 * (one would overflow or underflow too early), the rest, at most log(2) / 2, into a polynomial. */
static inline void vmath_exp_parts(float x, float *tail, float *first, float *second)
{
    const float whole = 12582912.0f; /* 1.5 2^23: adding it rounds to whole numbers */
    x = vmath_select(x < -104.0f, -104.0f, x);
    x = vmath_select(x > 89.0f, 89.0f, x);
    const float shifted = GRD_FMA(x, 1.44269504f, whole), n = shifted - whole;
    const float r = GRD_FMA(n, -1.42860677e-6f, GRD_FMA(n, -0.693145752f, x));
    const uint32_t i = vmath_bits(shifted) - vmath_bits(whole) + 256, half = i >> 1;
    float p = GRD_FMA(0.00138131424f, r, 0.00836941879f);
    p = GRD_FMA(p, r, 0.041668456f);
    p = GRD_FMA(p, r, 0.166665152f);
    p = GRD_FMA(p, r, 0.49999994f);
    *tail = GRD_FMA(p * r, r, r);
    *first = vmath_of_bits((half - 1) << 23); /* 2^(half - 128) */
    *second = vmath_of_bits((i - half - 1) << 23);
}

/* relative error 2.4e-7 (2 units in the last place) where the result is a normal number */
static inline float vmath_exp(float x)
{
    float tail, first, second;
    vmath_exp_parts(x, &tail, &first, &second);
    return (1 + tail) * first * second;
}

/* exp(x) - 1 for x <= 0, relative error 3e-7 also near 0 */
static inline float vmath_expm1(float x)
{
    float tail, first, second;
    vmath_exp_parts(x, &tail, &first, &second);
    const float scale = first * second;
    return GRD_FMA(tail, scale, scale - 1);
}

/* absolute error 1e-7, relative 2e-7 */
static inline float vmath_sigmoid(float x) { return 1 / (1 + vmath_exp(-x)); }

/* relative error 3e-7: near 0 by a polynomial, elsewhere 1 - 2 / (exp(2 |x|) + 1) */
static inline float vmath_tanh(float x)
{
    const float a = vmath_abs(x), u = x * x;
    float p = GRD_FMA(-0.0056039053f, u, 0.0205517113f);
    p = GRD_FMA(p, u, -0.053714104f);
    p = GRD_FMA(p, u, 0.133311525f);
    p = GRD_FMA(p, u, -0.333332717f);
    const float small = GRD_FMA(p * u, x, x), large = 1 - 2 / (vmath_exp(2 * a) + 1);
    return vmath_select(a < 0.625f, small, vmath_sign(large, x));
}

/* Normal distribution function Phi(x) and its density phi(x). Phi from erfc(z) = exp(-z^2) t Q(t), t = 1 / (1 + z / 2),
 * z = |x| / sqrt(2). Absolute error 2e-7; relative error 1e-6 down to x = -5, growing with x^2 beyond. */
static inline float vmath_normal(float x, float *density)
{
    const float a = vmath_abs(x), e = vmath_exp(-0.5f * x * x), t = 1 / GRD_FMA(a, 0.353553391f, 1);
    float q = GRD_FMA(-0.0590689667f, t, 0.284574986f);
    q = GRD_FMA(q, t, -0.487199962f);
    q = GRD_FMA(q, t, 0.278067201f);
    q = GRD_FMA(q, t, -0.0266256966f);
    q = GRD_FMA(q, t, 0.202686876f);
    q = GRD_FMA(q, t, 0.243103758f);
    q = GRD_FMA(q, t, 0.282375306f);
    q = GRD_FMA(q, t, 0.282086432f);
    const float above = 0.5f * e * t * q; /* Phi(-|x|) */
    *density = 0.398942280f * e;
    return vmath_select(x < 0, above, 1 - above);
}

/* ---- 16 lanes in a fixed order, whatever the instruction set ---- */

enum { GRD_VLANES = 16 };

/* lane by lane the larger, b where a is NaN (vectors of grd_v8) */
#define GRD_LARGER(a, b) ((grd_v8)(((grd_i8)(a) & ((a) > (b))) | ((grd_i8)(b) & ~((a) > (b)))))

/* -infinity if n is 0 or all are NaN; NaN is not seen */
static inline float vmath_largest(const float *x, int64_t n)
{
    float most = -INFINITY;
    if (n < 8) {
        for (int64_t i = 0; i < n; i++)
            most = x[i] > most ? x[i] : most;
        return most;
    }
    grd_v8 lane = { 0 };
    lane += most;
    grd_v8 other = lane;
    for (int64_t i = 0; i + 16 <= n; i += 16) {
        const grd_v8 first = *(const grd_v8 *)(x + i), second = *(const grd_v8 *)(x + i + 8);
        lane = GRD_LARGER(first, lane);
        other = GRD_LARGER(second, other);
    }
    const grd_v8 before_last = *(const grd_v8 *)(x + (n < 16 ? 0 : n - 16)), last = *(const grd_v8 *)(x + n - 8);
    lane = GRD_LARGER(before_last, lane); /* some of them once more */
    other = GRD_LARGER(last, other);
    lane = GRD_LARGER(lane, other);
    other = __builtin_shufflevector(lane, lane, 4, 5, 6, 7, 0, 1, 2, 3);
    lane = GRD_LARGER(lane, other);
    other = __builtin_shufflevector(lane, lane, 2, 3, 0, 1, 6, 7, 4, 5);
    lane = GRD_LARGER(lane, other);
    return lane[0] > lane[1] ? lane[0] : lane[1];
}

/* sum of an expression in i over 0..n-1, as float */
#define GRD_LANE_SUM(result, n, i, f)                                            \
    do {                                                                         \
        float lane_[GRD_VLANES] = { 0 };                                         \
        int64_t base_ = 0;                                                       \
        const int64_t count_ = (n);                                              \
        for (; base_ + GRD_VLANES <= count_; base_ += GRD_VLANES)                \
            for (int k_ = 0; k_ < GRD_VLANES; k_++) {                            \
                const int64_t i = base_ + k_;                                    \
                lane_[k_] += (f);                                                \
            }                                                                    \
        for (int k_ = 0; k_ < GRD_VLANES && base_ < count_; base_++, k_++) {     \
            const int64_t i = base_;                                             \
            lane_[k_] += (f);                                                    \
        }                                                                        \
        for (int width_ = GRD_VLANES / 2; width_ > 0; width_ /= 2)               \
            for (int k_ = 0; k_ < width_; k_++)                                  \
                lane_[k_] += lane_[k_ + width_];                                 \
        (result) = lane_[0];                                                     \
    } while (0)

#endif
