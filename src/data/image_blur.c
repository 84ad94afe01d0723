/* Gaussian blur, along rows and then along columns, in float; borders reflect. */
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

static size_t round_up(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* scratch: kernels, one row with its borders, one plane after the first pass */
size_t grd_pixels_blur_scratch(const grd_blur *b, const grd_pixels *in)
{
    size_t kernels = round_up((size_t)b->kernel_h + (size_t)b->kernel_w),
           line = round_up((size_t)in->width + (size_t)b->kernel_w);
    return sizeof(float) * (kernels + line + (size_t)in->width * (size_t)in->height);
}

static void gaussian(float *k, int n, double sigma)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp(-pow((i - (n - 1) / 2.0) / sigma, 2) / 2);
    for (int i = 0; i < n; i++)
        k[i] = (float)(exp(-pow((i - (n - 1) / 2.0) / sigma, 2) / 2) / sum);
}

static int reflected(int i, int n)
{
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

static float pixel(const grd_pixels *p, int64_t at)
{
    return p->dtype == GRD_U8 ? (float)((const uint8_t *)p->data)[at] : ((const float *)p->data)[at];
}

/* line: the row with half a kernel on both sides. */
static void load_row(const grd_pixels *in, int64_t begin, int half, float *line)
{
    for (int x = 0; x < in->width; x++)
        line[half + x] = pixel(in, begin + x);
    for (int x = 1; x <= half; x++) {
        line[half - x] = line[half + reflected(-x, in->width)];
        line[half + in->width - 1 + x] = line[half + reflected(in->width - 1 + x, in->width)];
    }
}

static void add_scaled(float *restrict to, const float *restrict from, float w, int n)
{
    for (int x = 0; x < n; x++)
        to[x] += from[x] * w;
}

static void store_row(const float *line, const grd_pixels *out, int64_t begin)
{
    if (out->dtype == GRD_F32) {
        memcpy((float *)out->data + begin, line, sizeof *line * (size_t)out->width);
        return;
    }
    uint8_t *to = (uint8_t *)out->data + begin;
    for (int x = 0; x < out->width; x++)
        to[x] = (uint8_t)(line[x] > 255 ? 255 : (int)rintf(line[x]));
}

void grd_pixels_blur(const grd_blur *b, const grd_pixels *in, const grd_pixels *out, void *scratch)
{
    float *along = scratch, *across = along + b->kernel_w;
    float *line = along + round_up((size_t)b->kernel_h + (size_t)b->kernel_w);
    float *plane = line + round_up((size_t)in->width + (size_t)b->kernel_w);
    gaussian(along, b->kernel_w, b->sigma_w);
    gaussian(across, b->kernel_h, b->sigma_h);
    for (int c = 0; c < in->channels; c++) {
        memset(plane, 0, sizeof *plane * (size_t)in->width * (size_t)in->height);
        for (int y = 0; y < in->height; y++) {
            load_row(in, c * in->plane + y * in->row, b->kernel_w / 2, line);
            for (int k = 0; k < b->kernel_w; k++)
                add_scaled(plane + (int64_t)y * in->width, line + k, along[k], in->width);
        }
        for (int y = 0; y < out->height; y++) {
            memset(line, 0, sizeof *line * (size_t)in->width);
            for (int k = 0; k < b->kernel_h; k++)
                add_scaled(line, plane + (int64_t)reflected(y + k - b->kernel_h / 2, in->height) * in->width, across[k],
                           in->width);
            store_row(line, out, c * out->plane + y * out->row);
        }
    }
}
