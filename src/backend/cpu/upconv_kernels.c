/* conv_transpose2d with kernel 2 at stride 2: every output place has one input place, so there is nothing to add up but channels. A row
 * of the input makes two rows of the output; products keep their sums in registers. */
#include "backend/cpu/vectors.h"

#include <string.h>

/* W lanes: one block of channels. ROWS places of a product at once, two vectors each; GROUP channels of x in a gradient of weights. */
#if defined GRD_ISA_avx512
enum { W = GRD_WIDEST, ROWS = 10, GROUP = 8 };
#elif defined GRD_ISA_avx2
enum { W = GRD_WIDEST, ROWS = 6, GROUP = 4 };
#else
enum { W = GRD_WIDEST, ROWS = 2, GROUP = 2 };
#endif
typedef grd_wide V;

#define LOAD(p) (*(const grd_vn *)(p))
#define STORE(p, value) (*(grd_vn *)(p) = (value))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* ---- weights [C,O,2,2] as the products read them, for input (data) or output blocks begin..end-1 ---- */

void GRD_KERNEL(upconv_weights)(const grd_upconv_job *j, bool data, int64_t begin, int64_t end)
{
    for (int64_t b = begin; b < end; b++) {
        float *u = j->u + b * W * 4 * (data ? j->o : j->c);
        /* forward: [i][c][j][lane of o]; data: [i][j][o][lane of c] */
        for (int64_t tap = 0; tap < 4; tap++)
            for (int64_t k = 0; k < (data ? j->o : j->c); k++)
                for (int64_t l = 0; l < W; l++) {
                    const float from = data ? j->w[((b * W + l) * j->o + k) * 4 + tap] : j->w[(k * j->o + b * W + l) * 4 + tap];
                    u[data ? (tap * j->o + k) * W + l : ((tap / 2 * j->c + k) * 2 + tap % 2) * W + l] = from;
                }
    }
}

/* ---- forward ---- */

/* n places of one row: both vectors of each lie side by side in y. */
INLINE void forward_places(const grd_upconv_job *j, int n, const float *x, const float *u, const float *bias, float *y)
{
    V s[ROWS][2], start = { 0 };
    if (bias)
        start = LOAD(bias);
    UNROLL
    for (int p = 0; p < n; p++)
        s[p][0] = s[p][1] = start;
    for (int64_t b = 0; b < j->c / W; b++, x += j->height * j->width * W)
        for (int l = 0; l < W; l++, u += 2 * W) {
            const V left = LOAD(u), right = LOAD(u + W);
            UNROLL
            for (int p = 0; p < n; p++) {
                s[p][0] += x[p * W + l] * left;
                s[p][1] += x[p * W + l] * right;
            }
        }
    UNROLL
    for (int p = 0; p < n; p++) {
        STORE(y + 2 * p * W, s[p][0]);
        STORE(y + (2 * p + 1) * W, s[p][1]);
    }
}

/* Rows of the input begin..end-1, counted through the pictures. */
void GRD_KERNEL(upconv_forward)(const grd_upconv_job *j, int64_t begin, int64_t end)
{
    const int64_t plane = j->height * j->width * W;
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / j->height, iy = r % j->height;
        const float *x = j->x + n * (j->c / W) * plane + iy * j->width * W;
        for (int64_t b = 0; b < j->o / W; b++)
            for (int i = 0; i < 2; i++) {
                float *y = j->y + (n * (j->o / W) + b) * 4 * plane + (2 * iy + i) * 2 * j->width * W;
                const float *u = j->u + (b * 2 + i) * j->c * 2 * W, *bias = j->bias ? j->bias + b * W : NULL;
                int64_t p = 0;
                for (; p + ROWS <= j->width; p += ROWS)
                    forward_places(j, ROWS, x + p * W, u, bias, y + 2 * p * W);
                for (; p + 2 <= j->width; p += 2)
                    forward_places(j, 2, x + p * W, u, bias, y + 2 * p * W);
                for (; p < j->width; p++)
                    forward_places(j, 1, x + p * W, u, bias, y + 2 * p * W);
            }
    }
}

/* ---- gradient of x ---- */

/* n places of one row of `wide` blocks of input channels. */
INLINE void data_places(const grd_upconv_job *j, int n, int wide, const float *dy, const float *u, float *dx)
{
    const int64_t plane = j->height * j->width * W, block = 4 * j->o * W;
    V s[ROWS][2] = { { { 0 } } };
    for (int tap = 0; tap < 4; tap++) {
        const float *from = dy + (tap / 2 * 2 * j->width + tap % 2) * W;
        for (int64_t b = 0; b < j->o / W; b++, from += 4 * plane)
            for (int l = 0; l < W; l++, u += W) {
                const V first = LOAD(u), second = LOAD(wide > 1 ? u + block : u);
                UNROLL
                for (int p = 0; p < n; p++) {
                    s[p][0] += from[2 * p * W + l] * first;
                    if (wide > 1)
                        s[p][1] += from[2 * p * W + l] * second;
                }
            }
    }
    UNROLL
    for (int p = 0; p < n; p++)
        for (int k = 0; k < wide; k++)
            STORE(dx + k * plane + p * W, s[p][k]);
}

INLINE void data_row(const grd_upconv_job *j, int wide, const float *dy, const float *u, float *dx)
{
    int64_t p = 0;
    for (; p + ROWS <= j->width; p += ROWS)
        data_places(j, ROWS, wide, dy + 2 * p * W, u, dx + p * W);
    for (; p + 2 <= j->width; p += 2)
        data_places(j, 2, wide, dy + 2 * p * W, u, dx + p * W);
    for (; p < j->width; p++)
        data_places(j, 1, wide, dy + 2 * p * W, u, dx + p * W);
}

void GRD_KERNEL(upconv_data)(const grd_upconv_job *j, int64_t begin, int64_t end)
{
    const int64_t plane = j->height * j->width * W, blocks = j->c / W;
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / j->height, iy = r % j->height;
        const float *dy = j->dy + n * (j->o / W) * 4 * plane + 4 * iy * j->width * W;
        float *dx = j->dx + n * blocks * plane + iy * j->width * W;
        int64_t b = 0;
        for (; b + 2 <= blocks; b += 2)
            data_row(j, 2, dy, j->u + b * 4 * j->o * W, dx + b * plane);
        if (b < blocks)
            data_row(j, 1, dy, j->u + b * 4 * j->o * W, dx + b * plane);
    }
}

/* ---- gradient of weights and bias ---- */

/* sums [c][block of o][i][j][lane of o], GROUP channels of x against one row of dy. */
INLINE void correlate_row(const grd_upconv_job *j, const float *x, const float *dy, float *sums, int64_t step)
{
    V s[GROUP][2];
    UNROLL
    for (int g = 0; g < GROUP; g++) {
        s[g][0] = LOAD(sums + g * step);
        s[g][1] = LOAD(sums + g * step + W);
    }
    for (int64_t p = 0; p < j->width; p++, x += W, dy += 2 * W) {
        const V left = LOAD(dy), right = LOAD(dy + W);
        UNROLL
        for (int g = 0; g < GROUP; g++) {
            s[g][0] += x[g] * left;
            s[g][1] += x[g] * right;
        }
    }
    UNROLL
    for (int g = 0; g < GROUP; g++) {
        STORE(sums + g * step, s[g][0]);
        STORE(sums + g * step + W, s[g][1]);
    }
}

static void sum_row(const float *dy, int64_t places, float *db)
{
    V a = LOAD(db), b = { 0 };
    for (int64_t p = 0; p < places; p += 2) {
        a += LOAD(dy + p * W);
        b += LOAD(dy + (p + 1) * W);
    }
    STORE(db, a + b);
}

void GRD_KERNEL(upconv_correlate)(const grd_upconv_job *j, int64_t begin, int64_t end)
{
    const int64_t plane = j->height * j->width * W, o_blocks = j->o / W, step = o_blocks * 4 * W;
    if (j->sums)
        memset(j->sums, 0, sizeof(float) * (size_t)(4 * j->c * j->o));
    if (j->db)
        memset(j->db, 0, sizeof(float) * (size_t)j->o);
    for (int64_t r = begin; r < end; r++) {
        const int64_t n = r / j->height, iy = r % j->height;
        const float *x = j->x + n * (j->c / W) * plane + iy * j->width * W;
        for (int64_t b = 0; b < o_blocks; b++)
            for (int i = 0; i < 2; i++) {
                const float *dy = j->dy + (n * o_blocks + b) * 4 * plane + (2 * iy + i) * 2 * j->width * W;
                for (int64_t c = 0; j->sums && c < j->c; c += GROUP)
                    correlate_row(j, x + c / W * plane + c % W, dy, j->sums + c * step + (b * 2 + i) * 2 * W, step);
                if (j->db)
                    sum_row(dy, 2 * j->width, j->db + b * W);
            }
    }
}

/* dw [C,O,2,2] of channels begin..end-1 from the sums of `shares` threads, `apart` floats from one to the next, added in order. */
void GRD_KERNEL(upconv_fold)(const grd_upconv_job *j, int shares, int64_t apart, float *dw, int64_t begin, int64_t end)
{
    for (int64_t c = begin; c < end; c++)
        for (int64_t b = 0; b < j->o / W; b++)
            for (int tap = 0; tap < 4; tap++) {
                const float *from = j->sums + ((c * (j->o / W) + b) * 4 + tap) * W;
                V all = LOAD(from);
                for (int t = 1; t < shares; t++)
                    all += LOAD(from + t * apart);
                for (int64_t l = 0; l < W; l++)
                    dw[(c * j->o + b * W + l) * 4 + tap] = all[l];
            }
}
