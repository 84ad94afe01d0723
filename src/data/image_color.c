/* Colours. On bytes torchvision computes in float, clamps and drops the fraction; what depends on one byte alone is a table. */
#include "backend/cpu/kernels.h"
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

static float clamp(float v, float most)
{
    return v < 0 ? 0 : v > most ? most : v;
}

static uint8_t *bytes_at(const grd_pixels *p, int c, int y)
{
    return (uint8_t *)p->data + c * p->plane + y * p->row;
}
static float *floats_at(const grd_pixels *p, int c, int y)
{
    return (float *)p->data + c * p->plane + y * p->row;
}

/* out = in factor + other, clamped; `other` is the same everywhere. */
static void blend_with_one(const grd_pixels *in, const grd_pixels *out, float factor, float other)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)clamp((float)i * factor + other, 255);
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < in->height; y++)
            if (in->dtype == GRD_U8) {
                const uint8_t *from = bytes_at(in, c, y);
                uint8_t *to = bytes_at(out, c, y);
                for (int x = 0; x < in->width; x++)
                    to[x] = table[from[x]];
            } else {
                const float *from = floats_at(in, c, y);
                float *to = floats_at(out, c, y);
                for (int x = 0; x < in->width; x++)
                    to[x] = clamp(from[x] * factor + other, 1);
            }
}

void grd_pixels_brightness(const grd_pixels *in, const grd_pixels *out, float factor)
{
    blend_with_one(in, out, factor, 0);
}

static inline float grey_of(float r, float g, float b)
{
    return 0.2989f * r + 0.587f * g + 0.114f * b;
}

/* Sum of a row's grey; bytes without their fractions. */
static double grey_sum(const grd_pixels *in, int y)
{
    double sum = 0;
    int whole = 0; /* a row is shorter than 2^23 */
    bool colour = in->channels == 3;
    if (in->dtype == GRD_U8) {
        const uint8_t *r = bytes_at(in, 0, y), *g = bytes_at(in, colour ? 1 : 0, y), *b = bytes_at(in, colour ? 2 : 0, y);
        for (int x = 0; x < in->width; x++)
            whole += colour ? (int)grey_of(r[x], g[x], b[x]) : r[x];
        return whole;
    }
    const float *r = floats_at(in, 0, y), *g = floats_at(in, colour ? 1 : 0, y), *b = floats_at(in, colour ? 2 : 0, y);
    for (int x = 0; x < in->width; x++)
        sum += (double)(colour ? grey_of(r[x], g[x], b[x]) : r[x]);
    return sum;
}

void grd_pixels_contrast(const grd_pixels *in, const grd_pixels *out, float factor)
{
    double sum = 0;
    for (int y = 0; y < in->height; y++)
        sum += grey_sum(in, y);
    float mean = (float)(sum / ((double)in->width * in->height));
    blend_with_one(in, out, factor, mean * (1 - factor));
}

/* ---- of three channels at once ---- */

typedef struct rows_u8 {
    const uint8_t *in[3];
    uint8_t *out[3];
} rows_u8;
typedef struct rows_f32 {
    const float *in[3];
    float *out[3];
} rows_f32;

static rows_u8 rows_of_bytes(const grd_pixels *in, const grd_pixels *out, int y)
{
    rows_u8 r;
    for (int c = 0; c < 3; c++) {
        r.in[c] = bytes_at(in, c, y);
        r.out[c] = bytes_at(out, c < out->channels ? c : 0, y);
    }
    return r;
}

static rows_f32 rows_of_floats(const grd_pixels *in, const grd_pixels *out, int y)
{
    rows_f32 r;
    for (int c = 0; c < 3; c++) {
        r.in[c] = floats_at(in, c, y);
        r.out[c] = floats_at(out, c < out->channels ? c : 0, y);
    }
    return r;
}

static void saturate_floats(rows_f32 r, int n, float factor)
{
    for (int x = 0; x < n; x++) {
        float rgb[3] = { r.in[0][x], r.in[1][x], r.in[2][x] }, other = grey_of(rgb[0], rgb[1], rgb[2]) * (1 - factor);
        for (int c = 0; c < 3; c++)
            r.out[c][x] = clamp(rgb[c] * factor + other, 1);
    }
}

static void copy_unless_in_place(const grd_pixels *in, const grd_pixels *out)
{
    if (in->data != out->data)
        grd_pixels_copy(in, out);
}

void grd_pixels_saturation(const grd_pixels *in, const grd_pixels *out, float factor)
{
    if (in->channels != 3) {
        copy_unless_in_place(in, out);
        return;
    }
    const grd_cpu_table *cpu = grd_cpu();
    for (int y = 0; y < in->height; y++)
        if (in->dtype == GRD_U8) {
            rows_u8 r = rows_of_bytes(in, out, y);
            cpu->image_saturate(r.in, r.out, in->width, factor);
        } else {
            saturate_floats(rows_of_floats(in, out, y), in->width, factor);
        }
}

/* ---- hue ---- */

/* Through the hexagon of HSV and back, without its six cases: a channel is v - range * clamp(min(k, 4 - k), 0, 1) with
 * k = (n + 6 h) mod 6 and n = 5, 3, 1 for red, green, blue. */
static inline void turn(float rgb[3], float sixths)
{
    float r = rgb[0], g = rgb[1], b = rgb[2];
    float most = r > g ? r : g, least = r < g ? r : g;
    most = most > b ? most : b;
    least = least < b ? least : b;
    float range = most - least, divisor = range > 0 ? range : 1;
    float h = most == r ? (g - b) / divisor + 6 : most == g ? (b - r) / divisor + 2 : (r - g) / divisor + 4;
    h += sixths;
    for (int c = 0; c < 3; c++) {
        float k = h + (float)(5 - 2 * c);
        float turns = k * (1.0f / 6);
        turns = turns >= 0 && turns < 4 ? turns : 0; /* always so, but of NaN */
        k -= 6 * (float)(int)turns;
        k = k < 4 - k ? k : 4 - k;
        rgb[c] = most - range * clamp(k, 1);
    }
}

void grd_pixels_hue(const grd_pixels *in, const grd_pixels *out, float shift)
{
    if (in->channels != 3) {
        copy_unless_in_place(in, out);
        return;
    }
    float sixths = 6 * (shift < 0 ? shift + 1 : shift);
    for (int y = 0; y < in->height; y++)
        if (in->dtype == GRD_U8) {
            rows_u8 r = rows_of_bytes(in, out, y);
            for (int x = 0; x < in->width; x++) {
                float rgb[3] = { (float)r.in[0][x] * (1 / 255.0f), (float)r.in[1][x] * (1 / 255.0f),
                                 (float)r.in[2][x] * (1 / 255.0f) };
                turn(rgb, sixths);
                for (int c = 0; c < 3; c++)
                    r.out[c][x] = (uint8_t)(int)(clamp(rgb[c], 1) * (256 - 1e-3f)); /* as torchvision's float to byte */
            }
        } else {
            rows_f32 r = rows_of_floats(in, out, y);
            for (int x = 0; x < in->width; x++) {
                float rgb[3] = { r.in[0][x], r.in[1][x], r.in[2][x] };
                turn(rgb, sixths);
                for (int c = 0; c < 3; c++)
                    r.out[c][x] = clamp(rgb[c], 1);
            }
        }
}

/* ---- to grey, to floats ---- */

void grd_pixels_grayscale(const grd_pixels *in, const grd_pixels *out)
{
    for (int y = 0; y < in->height; y++)
        if (in->dtype == GRD_U8) {
            rows_u8 r = rows_of_bytes(in, out, y);
            for (int x = 0; x < in->width; x++)
                r.out[0][x] = r.out[1][x] = r.out[2][x] = (uint8_t)(int)grey_of(r.in[0][x], r.in[1][x], r.in[2][x]);
        } else {
            rows_f32 r = rows_of_floats(in, out, y);
            for (int x = 0; x < in->width; x++)
                r.out[0][x] = r.out[1][x] = r.out[2][x] = grey_of(r.in[0][x], r.in[1][x], r.in[2][x]);
        }
}

void grd_pixels_scale(const grd_pixels *in, const grd_pixels *out, const float *scale, const float *shift)
{
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < in->height; y++) {
            float a = scale[c], b = shift[c], *to = floats_at(out, c, y);
            if (in->dtype == GRD_U8) {
                const uint8_t *from = bytes_at(in, c, y);
                for (int x = 0; x < in->width; x++)
                    to[x] = (float)from[x] * a + b;
            } else {
                const float *from = floats_at(in, c, y);
                for (int x = 0; x < in->width; x++)
                    to[x] = from[x] * a + b;
            }
        }
}
