/* Winograd convolution: the transforms, and the matrix products between them with their sums in registers. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vectors.h"
#include "backend/cpu/winograd.h"

#include "op/fused.h"

#include <string.h>

/* W lanes a vector: one block of channels. Products keep ROWS x WIDE vectors of sums in registers (of 32 on AVX-512, else of 16), over
 * tiles SUM_ROWS x WIDE (a divisor of W). FEW finishes what ROWS leaves. */
#if defined GRD_ISA_avx512
enum { W = GRD_WIDEST, ROWS = 14, FEW = 4, WIDE = 2, SUM_ROWS = 8 };
#elif defined GRD_ISA_avx2
enum { W = GRD_WIDEST, ROWS = 6, FEW = 2, WIDE = 2, SUM_ROWS = 4 };
#else
enum { W = GRD_WIDEST, ROWS = 6, FEW = 2, WIDE = 1, SUM_ROWS = 4 };
#endif
typedef grd_wide V;
typedef grd_iwide I;

#define LOAD(p) (*(const grd_vn *)(p))
#define STORE(p, value) (*(grd_vn *)(p) = (value))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

void GRD_KERNEL(wino_sizes)(int *lanes, int *rows)
{
    *lanes = W;
    *rows = ROWS;
}

/* ---- activations ---- */

static void gate_gradient(const grd_wino_map *s, const float *y, const float *dy, float *dz, int64_t n)
{
    const grd_act_job act = { .y = (float *)(uintptr_t)y, .dy = dy, .dz = dz, .rows = 1, .cols = n, .ld = n, .act = s->gate,
                              .slope = s->slope };
    GRD_KERNEL(act_gradient)(&act);
}

/* The activation over n vectors of y; channels from `lanes` on are none: zero, whatever went in. */
INLINE void finish(const grd_wino_map *s, V *y, int n, int64_t lanes)
{
    if (s->act == GRD_ACT_RELU) {
        for (int k = 0; k < n; k++)
            y[k] = (V)((I)y[k] & ~(y[k] < 0));
    } else if (s->act != GRD_ACT_NONE) {
        const grd_act_job act = { .y = (float *)y, .rows = 1, .cols = n * W, .ld = n * W, .act = s->act, .slope = s->slope };
        GRD_KERNEL(act_bias)(&act);
    }
    for (int64_t l = lanes; l < W; l++)
        for (int k = 0; k < n; k++)
            y[k][l] = 0;
}

/* ---- products at one point, convolution: T [tiles x O] = V [tiles x C] U [C x O] ---- */

/* rows tiles, wide blocks of O: sums in registers over all C. Places in V and T: [block][tile][lane], blocks `far` apart. */
INLINE void product_rows(const int rows, const int wide, const grd_wino_map *s, const float *v, const float *u, float *t)
{
    const int64_t far = s->group * W;
    V sum[ROWS][WIDE];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int q = 0; q < wide; q++)
            sum[r][q] = (V){ 0 };
    for (int64_t left = s->channels; left > 0; left -= W, v += far)
        for (int64_t c = 0; c < W && c < left; c++, u += wide * W) {
            V right[WIDE];
            UNROLL for (int q = 0; q < wide; q++)
                right[q] = LOAD(u + q * W);
            UNROLL for (int r = 0; r < rows; r++)
                UNROLL for (int q = 0; q < wide; q++)
                    sum[r][q] += v[r * W + c] * right[q];
        }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int q = 0; q < wide; q++)
            STORE(t + q * far + r * W, sum[r][q]);
}

INLINE void product_panel(const int wide, const grd_wino_map *s, const float *v, const float *u, float *t, int64_t n)
{
    int64_t k = 0;
    for (; k + ROWS <= n; k += ROWS)
        product_rows(ROWS, wide, s, v + k * W, u, t + k * W);
    for (; k + FEW <= n; k += FEW)
        product_rows(FEW, wide, s, v + k * W, u, t + k * W);
    for (; k < n; k++)
        product_rows(1, wide, s, v + k * W, u, t + k * W);
}

/* U at a point: panels of WIDE blocks of O (the last may have fewer), in each [C][block][lane]. */
static void product(const grd_wino_job *j, int point, int64_t n)
{
    const grd_wino_map *s = j->map;
    const float *v = j->v + point * s->v_step, *u = j->u + point * s->u_step;
    float *t = j->t + point * s->m_step;
    int64_t b = 0;
    for (; b + WIDE <= s->o_blocks; b += WIDE, u += s->channels * WIDE * W)
        product_panel(WIDE, s, v, u, t + b * s->group * W, n);
    for (; b < s->o_blocks; b++, u += s->channels * W)
        product_panel(1, s, v, u, t + b * s->group * W, n);
}

/* ---- products at one point, gradient: S [C x O] += V' [C x tiles] D [tiles x O] ---- */

/* SUM_ROWS channels of C, wide blocks of O; S: [block of C][block of O][lane of C][lane of O]. */
INLINE void sum_rows(const int wide, const grd_wino_map *s, const float *v, const float *d, float *to, int64_t n, bool begin)
{
    const int64_t far = s->group * W;
    V sum[SUM_ROWS][WIDE];
    UNROLL for (int r = 0; r < SUM_ROWS; r++)
        UNROLL for (int q = 0; q < wide; q++)
            sum[r][q] = (V){ 0 };
    for (int64_t k = 0; k < n; k++, v += W, d += W) {
        V right[WIDE];
        UNROLL for (int q = 0; q < wide; q++)
            right[q] = LOAD(d + q * far);
        UNROLL for (int r = 0; r < SUM_ROWS; r++)
            UNROLL for (int q = 0; q < wide; q++)
                sum[r][q] += v[r] * right[q];
    }
    UNROLL for (int q = 0; q < wide; q++)
        UNROLL for (int r = 0; r < SUM_ROWS; r++) {
            float *place = to + q * W * W + r * W;
            STORE(place, begin ? sum[r][q] : sum[r][q] + LOAD(place));
        }
}

static void add_products(const grd_wino_job *j, int point, int64_t n, bool begin)
{
    const grd_wino_map *s = j->map;
    const int64_t far = s->group * W;
    for (int64_t c = 0; c < s->blocks; c++)
        for (int r = 0; r < W; r += SUM_ROWS) {
            const float *v = j->v + point * s->v_step + c * far + r, *d = j->t + point * s->m_step;
            float *to = j->sums + point * s->u_step + c * s->o_blocks * W * W + r * W;
            int64_t b = 0;
            for (; b + WIDE <= s->o_blocks; b += WIDE)
                sum_rows(WIDE, s, v, d + b * far, to + b * W * W, n, begin);
            for (; b < s->o_blocks; b++)
                sum_rows(1, s, v, d + b * far, to + b * W * W, n, begin);
        }
}

/* ---- F(4x4, 3x3): points 0, +-a, +-b with a^2 = 1/2, b^2 = 2, and infinity ----
 * Against the usual 0, +-1, +-2: errors a quarter as large, and no more operations, since a b = 1. */

static const float a1 = 0.70710678118654752f, b1 = 1.41421356237309505f;

INLINE void four_line_b(V *t, const V *x)
{
    const V even_a = x[4] - 2.0f * x[2], odd_a = x[3] - 2.0f * x[1], even_b = x[4] - 0.5f * x[2], odd_b = x[3] - 0.5f * x[1];
    t[0] = x[0] - 2.5f * x[2] + x[4];
    t[1] = even_a + a1 * odd_a;
    t[2] = even_a - a1 * odd_a;
    t[3] = even_b + b1 * odd_b;
    t[4] = even_b - b1 * odd_b;
    t[5] = x[1] - 2.5f * x[3] + x[5];
}

/* rows 1, a, a^2 over 2 a^2 (a^2 - b^2) = -3/2; 1, b, b^2 over 2 b^2 (b^2 - a^2) = 6 */
INLINE void four_line_g(V *t, const V *w)
{
    const float over_a = -2.0f / 3, over_b = 1.0f / 6;
    const V even_a = over_a * w[0] + over_a / 2 * w[2], odd_a = over_a * a1 * w[1];
    const V even_b = over_b * w[0] + over_b * 2 * w[2], odd_b = over_b * b1 * w[1];
    t[0] = w[0];
    t[1] = even_a + odd_a;
    t[2] = even_a - odd_a;
    t[3] = even_b + odd_b;
    t[4] = even_b - odd_b;
    t[5] = w[2];
}

INLINE void four_line_gt(V *w, const V *t)
{
    const float over_a = -2.0f / 3, over_b = 1.0f / 6;
    const V sum_a = over_a * (t[1] + t[2]), sum_b = over_b * (t[3] + t[4]);
    w[0] = t[0] + sum_a + sum_b;
    w[1] = over_a * a1 * (t[1] - t[2]) + over_b * b1 * (t[3] - t[4]);
    w[2] = 0.5f * sum_a + 2.0f * sum_b + t[5];
}

INLINE void four_line_a(V *y, const V *t)
{
    const V sum_a = t[1] + t[2], sum_b = t[3] + t[4], diff_a = t[1] - t[2], diff_b = t[3] - t[4];
    y[0] = t[0] + sum_a + sum_b;
    y[1] = a1 * diff_a + b1 * diff_b;
    y[2] = 0.5f * sum_a + 2.0f * sum_b;
    y[3] = 0.5f * a1 * diff_a + 2.0f * b1 * diff_b + t[5];
}

INLINE void four_line_at(V *t, const V *y)
{
    const V even_a = y[0] + 0.5f * y[2], odd_a = y[1] + 0.5f * y[3], even_b = y[0] + 2.0f * y[2], odd_b = y[1] + 2.0f * y[3];
    t[0] = y[0];
    t[1] = even_a + a1 * odd_a;
    t[2] = even_a - a1 * odd_a;
    t[3] = even_b + b1 * odd_b;
    t[4] = even_b - b1 * odd_b;
    t[5] = y[3];
}

#define M 4
#define N(name) four_##name
#include "backend/cpu/winograd_template.h"
#undef M
#undef N

/* ---- F(2x2, 3x3): points 0, 1, -1 and infinity ---- */

INLINE void two_line_b(V *t, const V *x)
{
    t[0] = x[0] - x[2];
    t[1] = x[1] + x[2];
    t[2] = x[2] - x[1];
    t[3] = x[3] - x[1];
}

INLINE void two_line_g(V *t, const V *w)
{
    const V even = 0.5f * (w[0] + w[2]), odd = 0.5f * w[1];
    t[0] = w[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = w[2];
}

INLINE void two_line_gt(V *w, const V *t)
{
    const V half = 0.5f * (t[1] + t[2]);
    w[0] = t[0] + half;
    w[1] = 0.5f * (t[1] - t[2]);
    w[2] = half + t[3];
}

INLINE void two_line_a(V *y, const V *t)
{
    y[0] = t[0] + t[1] + t[2];
    y[1] = t[1] - t[2] + t[3];
}

INLINE void two_line_at(V *t, const V *y)
{
    t[0] = y[0];
    t[1] = y[0] + y[1];
    t[2] = y[0] - y[1];
    t[3] = y[1];
}

#define M 2
#define N(name) two_##name
#include "backend/cpu/winograd_template.h"
#undef M
#undef N

/* ---- what the driver calls ---- */

/* Channels begin..end-1 of the source. */
void GRD_KERNEL(wino_weights)(const grd_wino_map *s, const grd_wino_weights *j, int64_t begin, int64_t end)
{
    for (int64_t c = begin; c < end; c++)
        for (int64_t b = 0; b < s->o_blocks; b++) {
            V w[9];
            for (int64_t l = 0; l < W; l++) {
                const int64_t o = b * W + l;
                const float *from = j->w + o * j->o_step + c * j->c_step;
                for (int k = 0; k < 9; k++)
                    w[k][l] = o < s->o_channels ? from[j->turned ? 8 - k : k] : 0;
            }
            const int64_t panel = b / WIDE, paneled = s->o_blocks / WIDE, wide = panel < paneled ? WIDE : 1;
            const int64_t before = panel < paneled ? panel * WIDE : b; /* blocks of the panels before this one */
            float *u = j->u + (before * s->channels + c * wide + b - before) * W;
            if (s->m == 4)
                four_weights_in(w, u, s->u_step);
            else
                two_weights_in(w, u, s->u_step);
        }
}

void GRD_KERNEL(wino_convolve)(const grd_wino_job *j, int64_t begin, int64_t end)
{
    if (j->map->m == 4)
        four_convolve(j, begin, end);
    else
        two_convolve(j, begin, end);
}

void GRD_KERNEL(wino_correlate)(const grd_wino_job *j, int64_t begin, int64_t end)
{
    if (j->map->m == 4)
        four_correlate(j, begin, end);
    else
        two_correlate(j, begin, end);
}

/* dw [O,C,3,3] of source channels begin..end-1 from the sums of `shares` threads, `apart` floats from one to the next, added in order. */
void GRD_KERNEL(wino_fold)(const grd_wino_map *s, const float *sums, int shares, int64_t apart, float *dw, int64_t begin, int64_t end)
{
    const int points = (s->m + 2) * (s->m + 2);
    for (int64_t c = begin; c < end; c++)
        for (int64_t b = 0; b < s->o_blocks; b++) {
            V all[36], w[9];
            const float *from = sums + ((c / W * s->o_blocks + b) * W + c % W) * W;
            for (int k = 0; k < points; k++) {
                all[k] = LOAD(from + k * s->u_step);
                for (int t = 1; t < shares; t++)
                    all[k] += LOAD(from + k * s->u_step + t * apart);
            }
            if (s->m == 4)
                four_weights_out(all, w);
            else
                two_weights_out(all, w);
            for (int64_t l = 0; l < W && b * W + l < s->o_channels; l++)
                for (int k = 0; k < 9; k++)
                    dw[((b * W + l) * s->channels + c) * 9 + k] = w[k][l];
        }
}
