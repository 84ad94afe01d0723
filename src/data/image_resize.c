/* Resize in two passes, along rows and then along columns. Every new pixel is a weighted sum of `taps` old ones that lie side
 * by side from `first` on; weights are found once a call. Bytes take whole-number weights of 16 bits and are rounded after
 * each pass, as in PyTorch and Pillow. */
#include "backend/cpu/kernels.h"
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

typedef struct axis {
    grd_image_axis bytes;  /* w is NULL for floats */
    float *real;           /* [n][taps], of floats */
} axis;

typedef struct parts {
    axis x, y;
    double *w;             /* weights of one pixel */
    int32_t *pair;         /* a row of words for the kernel */
    void *rows;            /* after the first pass: as many rows as the input has, out->width each */
} parts;

/* ---- weights ---- */

static double triangle(double x) { return fabs(x) < 1 ? 1 - fabs(x) : 0; }

static double cubic(double x, double a) /* Keys 1981 */
{
    x = fabs(x);
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double ratio(int in, int out) { return (double)in / out; }

static int taps_of(const grd_resize *r, int in, int out)
{
    double scale = ratio(in, out), reach = r->filter == GRD_FILTER_BICUBIC ? 2 : 1;
    double wide = r->filter == GRD_FILTER_AREA ? scale + 2
                  : r->antialias               ? 2 * reach * (scale > 1 ? scale : 1) + 1
                                               : 2 * reach;
    int taps = (int)ceil(wide);
    return taps < in ? taps : in;
}

static int clamped(int i, int n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* The weights w[0..taps) of new pixel i, which stand for old pixels from the returned one on. */
static int weights(const grd_resize *r, int in, int out, int i, int taps, double *w)
{
    double scale = ratio(in, out), sum = 0;
    bool cube = r->filter == GRD_FILTER_BICUBIC;
    int begin, end, from;
    memset(w, 0, sizeof *w * (size_t)taps);
    if (r->filter == GRD_FILTER_AREA) {
        begin = (int)((int64_t)i * in / out);
        end = (int)(((int64_t)(i + 1) * in + out - 1) / out);
    } else if (r->antialias) {
        double wide = scale > 1 ? scale : 1, reach = (cube ? 2 : 1) * wide, center = scale * (i + 0.5);
        begin = clamped((int)floor(center - reach + 0.5), in);
        end = clamped((int)floor(center + reach + 0.5) - 1, in) + 1;
    } else { /* places beyond the edge are the edge */
        double at = scale * (i + 0.5) - 0.5;
        at = cube || at > 0 ? at : 0;
        int at_floor = (int)floor(at), left = cube ? -1 : 0, right = cube ? 2 : 1;
        double t = at - at_floor;
        from = clamped(at_floor + left, in);
        from = from < in - taps ? from : in - taps;
        for (int k = left; k <= right; k++)
            w[clamped(at_floor + k, in) - from] += cube ? cubic(k - t, -0.75) : triangle(k - t);
        return from;
    }
    from = begin < in - taps ? begin : in - taps;
    for (int k = begin; k < end; k++) {
        double wide = scale > 1 ? scale : 1, x = (k + 0.5 - scale * (i + 0.5)) / wide;
        double v = r->filter == GRD_FILTER_AREA ? 1 : cube ? cubic(x, -0.5) : triangle(x);
        w[k - from] = v;
        sum += v;
    }
    for (int k = 0; k < taps; k++)
        w[k] /= sum;
    return from;
}

/* As many bits as keep the largest weight below 2^15, up to 22. */
static int shift_for(double largest)
{
    int shift = 0;
    while (shift < 22 && (int)(0.5 + largest * (1 << (shift + 1))) < 1 << 15)
        shift++;
    return shift;
}

/* Of new pixels `begin` to begin + n; `w` is room for taps. Bytes' weights are as fine as the whole picture's largest allows, so
 * that a part of it has the same pixels. */
static void fill_axis(const grd_resize *r, axis *to, int out, int begin, double *w)
{
    grd_image_axis *a = &to->bytes;
    double largest = 0;
    for (int i = 0; to->real && i < a->n; i++) {
        a->first[i] = weights(r, a->n_in, out, begin + i, a->taps, w);
        for (int k = 0; k < a->taps; k++)
            to->real[i * a->taps + k] = (float)w[k];
    }
    if (to->real)
        return;
    for (int i = 0; i < out; i++) {
        weights(r, a->n_in, out, i, a->taps, w);
        for (int k = 0; k < a->taps; k++)
            largest = w[k] > largest ? w[k] : largest;
    }
    a->shift = shift_for(largest);
    for (int i = 0; i < a->n; i++) {
        a->first[i] = weights(r, a->n_in, out, begin + i, a->taps, w);
        for (int k = 0; k < a->taps; k++)
            a->w[(int64_t)k * a->n + i] = (int16_t)floor(w[k] * (1 << a->shift) + 0.5);
    }
}

/* ---- passes of floats ---- */

static inline void row_of(const float *restrict in, float *restrict out, const axis *a, int taps)
{
    const float *w = a->real;
    for (int x = 0; x < a->bytes.n; x++, w += taps) {
        const float *from = in + a->bytes.first[x];
        float sum = 0;
        for (int k = 0; k < taps; k++)
            sum += from[k] * w[k];
        out[x] = sum;
    }
}

/* Numbers of taps known to the compiler are unrolled. */
static void along(const float *in, float *out, const axis *a)
{
    switch (a->bytes.taps) {
    case 2: row_of(in, out, a, 2); break;
    case 3: row_of(in, out, a, 3); break;
    case 4: row_of(in, out, a, 4); break;
    default: row_of(in, out, a, a->bytes.taps);
    }
}

/* New row i from rows side by side. */
static void across(const float *restrict rows, float *restrict out, int width, const axis *a, int i)
{
    const float *w = a->real + (int64_t)i * a->bytes.taps, *from = rows + (int64_t)a->bytes.first[i] * width;
    for (int x = 0; x < width; x++)
        out[x] = from[x] * w[0];
    for (int k = 1; k < a->bytes.taps; k++)
        for (int x = 0; x < width; x++)
            out[x] += from[(int64_t)k * width + x] * w[k];
}

/* ---- one plane; of the input only rows that are wanted, which only go up ---- */

static int first_row(const parts *p) { return p->y.bytes.first[0]; }
static int last_row(const parts *p) { return p->y.bytes.first[p->y.bytes.n - 1] + p->y.bytes.taps; }

static void plane_of_bytes(const parts *p, const grd_cpu_table *cpu, const grd_pixels *in, const grd_pixels *out, int c)
{
    const uint8_t *from = (const uint8_t *)in->data + c * in->plane;
    uint8_t *to = (uint8_t *)out->data + c * out->plane, *rows = p->rows;
    for (int y = first_row(p); y < last_row(p); y++)
        cpu->image_along(&p->x.bytes, from + y * in->row, p->pair, rows + (int64_t)y * out->width);
    for (int y = 0; y < out->height; y++)
        cpu->image_across(&p->y.bytes, y, rows, out->width, to + y * out->row);
}

static void plane_of_floats(const parts *p, const grd_pixels *in, const grd_pixels *out, int c)
{
    const float *from = (const float *)in->data + c * in->plane;
    float *to = (float *)out->data + c * out->plane, *rows = p->rows;
    for (int y = first_row(p); y < last_row(p); y++)
        along(from + y * in->row, rows + (int64_t)y * out->width, &p->x);
    for (int y = 0; y < out->height; y++)
        across(rows, to + y * out->row, out->width, &p->y, y);
}

/* ---- nearest ---- */

static int nearest_of(float scale, int i, int in)
{
    int at = (int)floorf((float)i * scale);
    return at < in ? at : in - 1;
}

#define NEAREST(name, type)                                                                                         \
    static void name(const grd_pixels *in, const grd_pixels *out, const int32_t *column, const grd_resize *r)       \
    {                                                                                                               \
        float scale = (float)in->height / (float)r->height;                                                         \
        for (int c = 0; c < out->channels; c++)                                                                     \
            for (int y = 0; y < out->height; y++) {                                                                 \
                int from = nearest_of(scale, r->top + y, in->height);                                               \
                const type *row = (const type *)in->data + c * in->plane + from * in->row;                          \
                type *to = (type *)out->data + c * out->plane + y * out->row;                                       \
                for (int x = 0; x < out->width; x++)                                                                \
                    to[x] = row[column[x]];                                                                         \
            }                                                                                                       \
    }
NEAREST(nearest_8, uint8_t)
NEAREST(nearest_32, uint32_t)

static void nearest(const grd_resize *r, const grd_pixels *in, const grd_pixels *out, int32_t *column)
{
    float scale = (float)in->width / (float)r->width;
    for (int x = 0; x < out->width; x++)
        column[x] = nearest_of(scale, r->left + x, in->width);
    if (out->dtype == GRD_U8)
        nearest_8(in, out, column, r);
    else
        nearest_32(in, out, column, r);
}

/* ---- both passes ---- */

static size_t round_up(size_t n) { return (n + 15) & ~(size_t)15; }

/* Lays parts one behind the other; with `at` NULL it only counts. */
static void *take(uint8_t *at, size_t *used, size_t bytes)
{
    void *here = at ? at + *used : NULL;
    *used += round_up(bytes);
    return here;
}

static size_t lay_out(const grd_resize *r, const grd_pixels *in, const grd_pixels *out, uint8_t *at, parts *p)
{
    bool bytes = out->dtype == GRD_U8;
    size_t used = 0, size = bytes ? sizeof(uint8_t) : sizeof(float), weight = bytes ? sizeof(int16_t) : sizeof(float);
    *p = (parts){ .x.bytes = { .n_in = in->width, .n = out->width, .taps = taps_of(r, in->width, r->width) },
                  .y.bytes = { .n_in = in->height, .n = out->height, .taps = taps_of(r, in->height, r->height) } };
    axis *axes[] = { &p->x, &p->y };
    for (int i = 0; i < 2; i++) {
        grd_image_axis *a = &axes[i]->bytes;
        a->first = take(at, &used, sizeof *a->first * (size_t)a->n);
        void *w = take(at, &used, weight * (size_t)a->n * (size_t)a->taps);
        a->w = bytes ? w : NULL;
        axes[i]->real = bytes ? NULL : w;
    }
    int most = p->x.bytes.taps > p->y.bytes.taps ? p->x.bytes.taps : p->y.bytes.taps;
    p->w = take(at, &used, sizeof *p->w * (size_t)most);
    p->pair = take(at, &used, bytes ? sizeof *p->pair * (size_t)in->width : 0);
    p->rows = take(at, &used, size * (size_t)in->height * (size_t)out->width);
    return used;
}

size_t grd_pixels_resize_scratch(const grd_resize *r, const grd_pixels *in, const grd_pixels *out)
{
    parts p;
    return r->filter == GRD_FILTER_NEAREST ? sizeof(int32_t) * (size_t)out->width : lay_out(r, in, out, NULL, &p);
}

void grd_pixels_resize(const grd_resize *r, const grd_pixels *in, const grd_pixels *out, void *scratch)
{
    if (r->filter == GRD_FILTER_NEAREST) {
        nearest(r, in, out, scratch);
        return;
    }
    parts p;
    const grd_cpu_table *cpu = grd_cpu();
    lay_out(r, in, out, scratch, &p);
    fill_axis(r, &p.x, r->width, r->left, p.w);
    fill_axis(r, &p.y, r->height, r->top, p.w);
    for (int c = 0; c < out->channels; c++)
        if (out->dtype == GRD_U8)
            plane_of_bytes(&p, cpu, in, out, c);
        else
            plane_of_floats(&p, in, out, c);
}
