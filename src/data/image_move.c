/* Views, and pixels moved without being changed: copies, flips, borders. Elements are 1 or 4 bytes. */
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

static size_t size_of(grd_dtype dtype) { return dtype == GRD_U8 ? 1 : 4; }

grd_pixels grd_pixels_of(void *data, grd_dtype dtype, int channels, int height, int width)
{
    return (grd_pixels){ .data = data, .dtype = dtype, .channels = channels, .height = height, .width = width, .row = width,
                         .plane = (int64_t)width * height };
}

static void *row_at(const grd_pixels *p, int c, int y)
{
    return (uint8_t *)p->data + (c * p->plane + y * p->row) * (int64_t)size_of(p->dtype);
}

grd_pixels grd_pixels_crop(const grd_pixels *p, int top, int left, int height, int width)
{
    grd_pixels part = *p;
    part.data = (uint8_t *)row_at(p, 0, top) + (size_t)left * size_of(p->dtype);
    part.height = height;
    part.width = width;
    return part;
}

void grd_pixels_copy(const grd_pixels *in, const grd_pixels *out)
{
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < in->height; y++)
            memcpy(row_at(out, c, y), row_at(in, c, y), (size_t)in->width * size_of(in->dtype));
}

/* Eight from both ends at once are held, then written at the other, last byte first. */
static void reverse_8(const uint8_t *in, uint8_t *out, int n)
{
    int x = 0;
    for (; 2 * (x + 8) <= n; x += 8) {
        uint64_t head, tail;
        memcpy(&head, in + x, 8);
        memcpy(&tail, in + n - 8 - x, 8);
        head = __builtin_bswap64(head);
        tail = __builtin_bswap64(tail);
        memcpy(out + x, &tail, 8);
        memcpy(out + n - 8 - x, &head, 8);
    }
    for (; 2 * x < n; x++) {
        uint8_t head = in[x];
        out[x] = in[n - 1 - x];
        out[n - 1 - x] = head;
    }
}

static void reverse_32(const uint32_t *in, uint32_t *out, int n)
{
    for (int x = 0; 2 * x < n; x++) { /* in may be out */
        uint32_t head = in[x];
        out[x] = in[n - 1 - x];
        out[n - 1 - x] = head;
    }
}

void grd_pixels_flip_horizontal(const grd_pixels *in, const grd_pixels *out)
{
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < in->height; y++)
            if (in->dtype == GRD_U8)
                reverse_8(row_at(in, c, y), row_at(out, c, y), in->width);
            else
                reverse_32(row_at(in, c, y), row_at(out, c, y), in->width);
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t other = a[i];
        a[i] = b[i];
        b[i] = other;
    }
}

void grd_pixels_flip_vertical(const grd_pixels *in, const grd_pixels *out)
{
    size_t bytes = (size_t)in->width * size_of(in->dtype);
    bool in_place = in->data == out->data;
    for (int c = 0; c < in->channels; c++)
        for (int y = 0; y < (in_place ? in->height / 2 : in->height); y++)
            if (in_place)
                swap(row_at(in, c, y), row_at(in, c, in->height - 1 - y), bytes);
            else
                memcpy(row_at(out, c, y), row_at(in, c, in->height - 1 - y), bytes);
}

/* ---- borders ---- */

/* Where place i outside 0..n-1 takes its pixel from; -1 = nowhere. */
static int source_of(int i, int n, grd_border border)
{
    if (i >= 0 && i < n)
        return i;
    if (border == GRD_BORDER_CONSTANT)
        return -1;
    int at = border == GRD_BORDER_EDGE ? i : i < 0 ? -i : 2 * (n - 1) - i;
    return at < 0 ? 0 : at >= n ? n - 1 : at;
}

static uint32_t bits_of(float fill, grd_dtype dtype)
{
    uint32_t bits;
    int32_t whole = (int32_t)lrintf(fill);
    if (dtype == GRD_U8)
        return (uint32_t)(whole < 0 ? 0 : whole > 255 ? 255 : whole);
    memcpy(&bits, dtype == GRD_F32 ? (void *)&fill : (void *)&whole, sizeof bits);
    return bits;
}

/* in NULL: a row that lies outside. */
#define BORDER_ROW(name, type)                                                                                            \
    static void name(const type *in, int n_in, type *out, int n, int left, grd_border border, type fill)                  \
    {                                                                                                                     \
        int begin = left < 0 ? 0 : left < n ? left : n, end = left + n_in < n ? left + n_in : n; /* the picture itself */ \
        begin = in ? begin : n;                                                                                           \
        end = end < begin ? begin : end;                                                                                  \
        for (int side = 0; side < 2; side++)                                                                              \
            for (int x = side ? end : 0; x < (side ? n : begin); x++) {                                                   \
                int from = in ? source_of(x - left, n_in, border) : -1;                                                   \
                out[x] = from < 0 ? fill : in[from];                                                                      \
            }                                                                                                             \
        if (end > begin)                                                                                                  \
            memcpy(out + begin, in + (begin - left), sizeof(type) * (size_t)(end - begin));                               \
    }
BORDER_ROW(border_8, uint8_t)
BORDER_ROW(border_32, uint32_t)

void grd_pixels_pad(const grd_pixels *in, const grd_pixels *out, int top, int left, grd_border border, const float *fill)
{
    for (int c = 0; c < out->channels; c++) {
        uint32_t bits = bits_of(fill ? fill[c] : 0, out->dtype);
        for (int y = 0; y < out->height; y++) {
            int from = source_of(y - top, in->height, border);
            const void *row = from < 0 ? NULL : row_at(in, c, from);
            if (out->dtype == GRD_U8)
                border_8(row, in->width, row_at(out, c, y), out->width, left, border, (uint8_t)bits);
            else
                border_32(row, in->width, row_at(out, c, y), out->width, left, border, bits);
        }
    }
}
