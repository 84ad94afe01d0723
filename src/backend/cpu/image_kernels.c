/* Rows of bytes of pictures. What is wanted may lie where the input lies only where kernels.h says so. */
#include "backend/cpu/kernels.h"

#include <string.h>

enum { BLOCK = 256 };

void GRD_KERNEL(image_split3)(const uint8_t *restrict in, uint8_t *restrict r, uint8_t *restrict g, uint8_t *restrict b,
                              int64_t n)
{
    for (int64_t x = 0; x < n; x++) {
        r[x] = in[3 * x];
        g[x] = in[3 * x + 1];
        b[x] = in[3 * x + 2];
    }
}

static inline uint8_t cut(int32_t sum, int shift)
{
    int32_t v = sum >> shift;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* A pixel and the one behind it in one word: vector units fetch words, not bytes. */
void GRD_KERNEL(image_along)(const grd_image_axis *a, const uint8_t *restrict in, int32_t *restrict pair, uint8_t *restrict out)
{
    int32_t sum[BLOCK];
    for (int x = 0; x + 1 < a->n_in; x++)
        pair[x] = in[x] | in[x + 1] << 16;
    pair[a->n_in - 1] = in[a->n_in - 1];
    for (int begin = 0; begin < a->n; begin += BLOCK) {
        int n = a->n - begin < BLOCK ? a->n - begin : BLOCK, k = 0;
        const int32_t *first = a->first + begin;
        for (int x = 0; x < n; x++)
            sum[x] = 1 << a->shift >> 1;
        for (; k + 1 < a->taps; k += 2) {
            const int16_t *w0 = a->w + (int64_t)k * a->n + begin, *w1 = w0 + a->n;
            const int32_t *from = pair + k;
            for (int x = 0; x < n; x++) {
                int32_t v = from[first[x]];
                sum[x] += (v & 0xffff) * w0[x] + (v >> 16) * w1[x];
            }
        }
        if (k < a->taps)
            for (int x = 0; x < n; x++)
                sum[x] += (pair[first[x] + k] & 0xffff) * a->w[(int64_t)k * a->n + begin + x];
        for (int x = 0; x < n; x++)
            out[begin + x] = cut(sum[x], a->shift);
    }
}

void GRD_KERNEL(image_across)(const grd_image_axis *a, int i, const uint8_t *restrict rows, int width, uint8_t *restrict out)
{
    int32_t sum[BLOCK];
    const uint8_t *from = rows + (int64_t)a->first[i] * width;
    for (int begin = 0; begin < width; begin += BLOCK) {
        int n = width - begin < BLOCK ? width - begin : BLOCK, k = 0;
        for (int x = 0; x < n; x++)
            sum[x] = 1 << a->shift >> 1;
        for (; k + 1 < a->taps; k += 2) {
            const uint8_t *row = from + (int64_t)k * width + begin, *next = row + width;
            int16_t w0 = a->w[(int64_t)k * a->n + i], w1 = a->w[(int64_t)(k + 1) * a->n + i];
            for (int x = 0; x < n; x++)
                sum[x] += row[x] * w0 + next[x] * w1;
        }
        if (k < a->taps)
            for (int x = 0; x < n; x++)
                sum[x] += from[(int64_t)k * width + begin + x] * a->w[(int64_t)k * a->n + i];
        for (int x = 0; x < n; x++)
            out[begin + x] = cut(sum[x], a->shift);
    }
}

static inline float clamp(float v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

void GRD_KERNEL(image_saturate)(const uint8_t *const in[3], uint8_t *const out[3], int n, float factor)
{
    uint8_t done[3][BLOCK];
    float rest = 1 - factor;
    for (int begin = 0; begin < n; begin += BLOCK) {
        int many = n - begin < BLOCK ? n - begin : BLOCK;
        const uint8_t *r = in[0] + begin, *g = in[1] + begin, *b = in[2] + begin;
        for (int x = 0; x < many; x++) {
            float other = (float)(int)(0.2989f * r[x] + 0.587f * g[x] + 0.114f * b[x]) * rest;
            done[0][x] = (uint8_t)(int)clamp((float)r[x] * factor + other);
            done[1][x] = (uint8_t)(int)clamp((float)g[x] * factor + other);
            done[2][x] = (uint8_t)(int)clamp((float)b[x] * factor + other);
        }
        for (int c = 0; c < 3; c++)
            memcpy(out[c] + begin, done[c], (size_t)many);
    }
}
