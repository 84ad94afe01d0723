/* Pixels fetched from wherever a map says: turns, shears, perspectives. */
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

/* ---- maps ---- */

static double radians(double degrees)
{
    return degrees * (3.14159265358979323846 / 180);
}

/* The forward map of the plane about the centre is R(angle) Shear(sx, sy) scale; here its inverse, with the moves. */
bool grd_warp_affine(double m[9], const grd_affine *f, int height, int width)
{
    double turn = radians(f->angle), sx = radians(f->shear[0]), sy = radians(f->shear[1]), scale = f->scale != 0 ? f->scale : 1;
    double a = cos(turn - sy) / cos(sy), b = -cos(turn - sy) * tan(sx) / cos(sy) - sin(turn);
    double c = sin(turn - sy) / cos(sy), d = -sin(turn - sy) * tan(sx) / cos(sy) + cos(turn);
    double cx = f->has_center ? f->center[0] : width / 2.0, cy = f->has_center ? f->center[1] : height / 2.0;
    if (!(fabs(cos(sy)) > 1e-9) || !(fabs(cos(sx)) > 1e-9)) /* the determinant is 1 otherwise */
        return false;
    double x = cx + f->translate[0], y = cy + f->translate[1];
    memcpy(m, (double[9]){ d / scale, -b / scale, 0, -c / scale, a / scale, 0, 0, 0, 1 }, sizeof(double[9]));
    m[2] = cx - m[0] * x - m[1] * y;
    m[5] = cy - m[3] * x - m[4] * y;
    return true;
}

/* Gauss with pivots on 8 equations of 8 unknowns, the right side behind. */
static bool solve(double e[8][9])
{
    for (int k = 0; k < 8; k++) {
        int best = k;
        for (int i = k + 1; i < 8; i++)
            best = fabs(e[i][k]) > fabs(e[best][k]) ? i : best;
        if (!(fabs(e[best][k]) > 1e-9))
            return false;
        for (int j = 0; j < 9; j++) {
            double other = e[k][j];
            e[k][j] = e[best][j];
            e[best][j] = other;
        }
        for (int i = 0; i < 8; i++) {
            double factor = i == k ? 0 : e[i][k] / e[k][k];
            for (int j = k; j < 9; j++)
                e[i][j] -= factor * e[k][j];
        }
    }
    return true;
}

/* u = (m0 x + m1 y + m2) / (m6 x + m7 y + 1) for the four corners: linear in m. */
bool grd_warp_perspective(double m[9], const double start[8], const double end[8])
{
    double e[8][9];
    for (int i = 0; i < 4; i++) {
        double x = end[2 * i], y = end[2 * i + 1], u = start[2 * i], v = start[2 * i + 1];
        memcpy(e[2 * i], (double[9]){ x, y, 1, 0, 0, 0, -u * x, -u * y, u }, sizeof e[0]);
        memcpy(e[2 * i + 1], (double[9]){ 0, 0, 0, x, y, 1, -v * x, -v * y, v }, sizeof e[0]);
    }
    if (!solve(e))
        return false;
    for (int i = 0; i < 8; i++)
        m[i] = e[i][8] / e[i][i];
    m[8] = 1;
    return true;
}

/* ---- fetching ---- */

enum { RUN = 256 }; /* places found at once */
#define FAR 1e9f    /* outside of any picture; also for what divides by 0 */

typedef struct places {
    float u[RUN], v[RUN];
} places;

static float tamed(float v)
{
    return v > -FAR && v < FAR ? v : FAR;
}

/* Where new pixels x..x+n-1 of row y come from; 0 is the centre of the first pixel. */
static void find(const double m[9], int y, int x, int n, places *p)
{
    double at_y = y + 0.5;
    float u0 = (float)(m[1] * at_y + m[2]), v0 = (float)(m[4] * at_y + m[5]), w0 = (float)(m[7] * at_y + m[8]);
    float mu = (float)m[0], mv = (float)m[3], mw = (float)m[6];
    bool flat = m[6] == 0 && m[7] == 0 && m[8] == 1;
    for (int i = 0; i < n; i++) {
        float at = (float)(x + i) + 0.5f;
        p->u[i] = mu * at + u0;
        p->v[i] = mv * at + v0;
    }
    for (int i = 0; i < n && !flat; i++) {
        float w = mw * ((float)(x + i) + 0.5f) + w0;
        p->u[i] /= w;
        p->v[i] /= w;
    }
    for (int i = 0; i < n; i++) {
        p->u[i] = tamed(p->u[i] - 0.5f);
        p->v[i] = tamed(p->v[i] - 0.5f);
    }
}

#define NEAREST(name, type)                                                                                                      \
    static void name(const grd_pixels *in, const grd_pixels *out, int y, int x, int n, const places *p, const type *fill)        \
    {                                                                                                                            \
        for (int i = 0; i < n; i++) {                                                                                            \
            int64_t u = (int64_t)rintf(p->u[i]), v = (int64_t)rintf(p->v[i]);                                                    \
            bool inside = u >= 0 && u < in->width && v >= 0 && v < in->height;                                                   \
            const type *from = (const type *)in->data + (inside ? v * in->row + u : 0);                                          \
            type *to = (type *)out->data + y * out->row + x + i;                                                                 \
            for (int c = 0; c < out->channels; c++)                                                                              \
                to[c * out->plane] = inside ? from[c * in->plane] : fill[c];                                                     \
        }                                                                                                                        \
    }
NEAREST(nearest_8, uint8_t)
NEAREST(nearest_32, uint32_t)

typedef struct corner { /* the four pixels around a place: offsets, weights (0 outside), and the sum of weights */
    int64_t at[4];
    float w[4], cover;
} corner;

static int floor_of(float v)
{
    return (int)v - (v < (float)(int)v);
}

static corner corner_of(const grd_pixels *in, float u, float v)
{
    corner k = { .cover = 0 };
    int x = floor_of(u), y = floor_of(v);
    float tx = u - (float)x, ty = v - (float)y;
    for (int i = 0; i < 4; i++) {
        int cx = x + (i & 1), cy = y + (i >> 1);
        if (cx < 0 || cx >= in->width || cy < 0 || cy >= in->height)
            continue;
        k.at[i] = cy * in->row + cx;
        k.w[i] = (i & 1 ? tx : 1 - tx) * (i >> 1 ? ty : 1 - ty);
        k.cover += k.w[i];
    }
    return k;
}

static uint8_t byte_of(float v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : (int)rintf(v));
}
static float same(float v)
{
    return v;
}

/* The sum of weighted pixels already fades at the picture's edge; it is blended with the fill by its cover again, as torchvision
 * does with its mask. */
#define BILINEAR(name, type, end)                                                                                                \
    static void name(const grd_pixels *in, const grd_pixels *out, int y, int x, int n, const places *p, const float *fill)       \
    {                                                                                                                            \
        for (int i = 0; i < n; i++) {                                                                                            \
            corner k = corner_of(in, p->u[i], p->v[i]);                                                                          \
            for (int c = 0; c < out->channels; c++) {                                                                            \
                const type *from = (const type *)in->data + c * in->plane;                                                       \
                float v = (float)from[k.at[0]] * k.w[0] + (float)from[k.at[1]] * k.w[1] + (float)from[k.at[2]] * k.w[2] +        \
                          (float)from[k.at[3]] * k.w[3];                                                                         \
                v = fill ? (v - fill[c]) * k.cover + fill[c] : v;                                                                \
                ((type *)out->data)[c * out->plane + y * out->row + x + i] = end(v);                                             \
            }                                                                                                                    \
        }                                                                                                                        \
    }
BILINEAR(bilinear_u8, uint8_t, byte_of)
BILINEAR(bilinear_f32, float, same)

void grd_pixels_warp(const grd_warp *w, const grd_pixels *in, const grd_pixels *out)
{
    uint8_t fill_8[GRD_PIXELS_MAX_CHANNELS] = { 0 };
    uint32_t fill_32[GRD_PIXELS_MAX_CHANNELS] = { 0 };
    for (int c = 0; w->fill && c < out->channels; c++) {
        int32_t whole = (int32_t)lrintf(w->fill[c]);
        fill_8[c] = byte_of(w->fill[c]);
        memcpy(&fill_32[c], out->dtype == GRD_F32 ? (const void *)&w->fill[c] : (const void *)&whole, sizeof fill_32[c]);
    }
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x += RUN) {
            places p;
            int n = out->width - x < RUN ? out->width - x : RUN;
            find(w->m, y, x, n, &p);
            if (w->filter == GRD_FILTER_BILINEAR && out->dtype == GRD_U8)
                bilinear_u8(in, out, y, x, n, &p, w->fill);
            else if (w->filter == GRD_FILTER_BILINEAR)
                bilinear_f32(in, out, y, x, n, &p, w->fill);
            else if (out->dtype == GRD_U8)
                nearest_8(in, out, y, x, n, &p, fill_8);
            else
                nearest_32(in, out, y, x, n, &p, fill_32);
        }
}
