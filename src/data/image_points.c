/* Where points land: 3x3 maps. */
#include "data/image_pixels.h"

#include <math.h>
#include <string.h>

static void set(double m[9], double scale_x, double move_x, double scale_y, double move_y)
{
    memcpy(m, (double[9]){ scale_x, 0, move_x, 0, scale_y, move_y, 0, 0, 1 }, sizeof(double[9]));
}

void grd_points_none(double m[9]) { set(m, 1, 0, 1, 0); }

void grd_points_resize(double m[9], int in_h, int in_w, int out_h, int out_w)
{
    double x = (double)out_w / in_w, y = (double)out_h / in_h; /* corners to corners: (x + 0.5) scale - 0.5 */
    set(m, x, (x - 1) / 2, y, (y - 1) / 2);
}

void grd_points_flip_horizontal(double m[9], int width) { set(m, -1, width - 1, 1, 0); }

void grd_points_flip_vertical(double m[9], int height) { set(m, 1, 0, -1, height - 1); }

void grd_points_shift(double m[9], double x, double y) { set(m, 1, x, 1, y); }

void grd_points_then(double m[9], const double next[9])
{
    double product[9] = { 0 };
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < 3; k++)
            product[i] += next[i / 3 * 3 + k] * m[3 * k + i % 3];
    memcpy(m, product, sizeof product);
}

static bool invert(const double m[9], double out[9])
{
    double det = 0, largest = 0;
    for (int i = 0; i < 9; i++) {
        int r = i % 3, c = i / 3; /* the adjugate is turned */
        int r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
        out[i] = m[3 * r1 + c1] * m[3 * r2 + c2] - m[3 * r1 + c2] * m[3 * r2 + c1];
        largest = fabs(m[i]) > largest ? fabs(m[i]) : largest;
    }
    for (int k = 0; k < 3; k++)
        det += m[k] * out[3 * k];
    if (!(fabs(det) > 1e-12 * largest))
        return false;
    for (int i = 0; i < 9; i++)
        out[i] /= det;
    return true;
}

bool grd_points_warp(double m[9], const double warp[9])
{
    double forth[9], back[9], inverse[9];
    if (!invert(warp, inverse))
        return false;
    grd_points_shift(forth, 0.5, 0.5); /* a warp counts from the corner */
    grd_points_shift(back, -0.5, -0.5);
    memcpy(m, forth, sizeof forth);
    grd_points_then(m, inverse);
    grd_points_then(m, back);
    return true;
}

void grd_points_apply(const double m[9], float *xy, int64_t n)
{
    for (int64_t i = 0; i < n; i++, xy += 2) {
        double x = xy[0], y = xy[1], w = m[6] * x + m[7] * y + m[8];
        xy[0] = (float)((m[0] * x + m[1] * y + m[2]) / w);
        xy[1] = (float)((m[3] * x + m[4] * y + m[5]) / w);
    }
}
