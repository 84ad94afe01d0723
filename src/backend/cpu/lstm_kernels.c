/* The LSTM between its products: one step of one row of the batch, gates in the order i f g o. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vmath.h"

/* z: sums of products -> gates. c and h: state before -> after. */
void GRD_KERNEL(lstm_cell)(int64_t n, const float *b, float *restrict z, float *restrict c, float *restrict h)
{
    float *restrict zi = z, *restrict zf = z + n, *restrict zg = z + 2 * n, *restrict zo = z + 3 * n;
    for (int64_t k = 0; k < n; k++) {
        const float i = vmath_sigmoid(zi[k] + b[k]), f = vmath_sigmoid(zf[k] + b[n + k]);
        const float g = vmath_tanh(zg[k] + b[2 * n + k]), o = vmath_sigmoid(zo[k] + b[3 * n + k]);
        const float next = GRD_FMA(f, c[k], i * g);
        zi[k] = i;
        zf[k] = f;
        zg[k] = g;
        zo[k] = o;
        c[k] = next;
        h[k] = o * vmath_tanh(next);
    }
}

/* dh: gradient of h after the step. dc: of c after -> before. dz: of the sums of products. before: c before the step. */
void GRD_KERNEL(lstm_cell_gradient)(int64_t n, const float *restrict z, const float *restrict c, const float *restrict before,
                                    const float *restrict dh, float *restrict dc, float *restrict dz)
{
    for (int64_t k = 0; k < n; k++) {
        const float i = z[k], f = z[n + k], g = z[2 * n + k], o = z[3 * n + k], t = vmath_tanh(c[k]);
        const float d = GRD_FMA(dh[k] * o, 1 - t * t, dc[k]);
        dz[k] = d * g * i * (1 - i);
        dz[n + k] = d * before[k] * f * (1 - f);
        dz[2 * n + k] = d * i * (1 - g * g);
        dz[3 * n + k] = dh[k] * t * o * (1 - o);
        dc[k] = d * f;
    }
}
