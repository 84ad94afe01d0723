/* Fused element-wise kernels. Comparisons are written so that NaN goes through. */
#include "backend/cpu/kernels.h"

#include "op/fused.h"

#include <math.h>

void GRD_KERNEL(add_relu)(float *y, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float s = a[i] + b[i];
        y[i] = s < 0 ? 0 : s;
    }
}

void GRD_KERNEL(relu_gradient)(float *dx, const float *y, const float *dy, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

static inline float slope_of(const grd_act_job *j, float y)
{
    if (j->act == GRD_ACT_RELU)
        return y > 0 ? 1.0f : 0.0f;
    if (j->act == GRD_ACT_LEAKY_RELU)
        return y > 0 ? 1.0f : j->slope;
    return j->act == GRD_ACT_SIGMOID ? y * (1 - y) : j->act == GRD_ACT_TANH ? 1 - y * y : 1;
}

static inline float activate(const grd_act_job *j, float z)
{
    if (j->act == GRD_ACT_LEAKY_RELU)
        return z < 0 ? j->slope * z : z;
    return j->act == GRD_ACT_SIGMOID ? 1 / (1 + expf(-z)) : j->act == GRD_ACT_TANH ? tanhf(z) : z;
}

void GRD_KERNEL(act_bias)(const grd_act_job *j)
{
    for (int64_t r = 0; r < j->rows; r++) {
        float *restrict y = j->y + r * j->ld;
        const float *restrict b = j->b;
        for (int64_t c = 0; b && c < j->cols; c++)
            y[c] += b[c];
        if (j->act == GRD_ACT_RELU)
            for (int64_t c = 0; c < j->cols; c++)
                y[c] = y[c] < 0 ? 0 : y[c];
        else if (j->act != GRD_ACT_NONE)
            for (int64_t c = 0; c < j->cols; c++)
                y[c] = activate(j, y[c]);
    }
}

void GRD_KERNEL(act_gradient)(const grd_act_job *j)
{
    for (int64_t c = 0; j->db && c < j->cols; c++)
        j->db[c] = 0;
    for (int64_t r = 0; r < j->rows; r++) {
        const float *restrict dy = j->dy + r * j->ld, *restrict y = j->y ? j->y + r * j->ld : NULL;
        float *restrict dz = j->dz ? j->dz + r * j->ld : NULL, *restrict db = j->db;
        if (y && j->act == GRD_ACT_RELU)
            for (int64_t c = 0; c < j->cols; c++)
                dz[c] = y[c] > 0 ? dy[c] : 0;
        else if (y)
            for (int64_t c = 0; c < j->cols; c++)
                dz[c] = dy[c] * slope_of(j, y[c]);
        const float *sum = y ? dz : dy;
        for (int64_t c = 0; db && c < j->cols; c++)
            db[c] += sum[c];
    }
}
