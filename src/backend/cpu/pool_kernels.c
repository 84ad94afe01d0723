/* Pooling of one run of places x lanes (planes.h). The inner loops run over the channels of a block. */
#include "backend/cpu/vectors.h"

#include <string.h>

/* Rows y0..y1-1 and columns x0..x1-1 of the picture: the part of an output's window that lies in it. */
typedef struct window {
    int64_t y0, y1, x0, x1;
} window;

static inline window window_of(const grd_pool_job *j, int64_t oy, int64_t ox)
{
    if (j->adaptive)
        return (window){ oy * j->h / j->oh, ((oy + 1) * j->h + j->oh - 1) / j->oh, ox * j->w / j->ow,
                         ((ox + 1) * j->w + j->ow - 1) / j->ow };
    int64_t y = oy * j->stride_h - j->pad_h, x = ox * j->stride_w - j->pad_w;
    return (window){ y < 0 ? 0 : y, y + j->kernel_h < j->h ? y + j->kernel_h : j->h, x < 0 ? 0 : x,
                     x + j->kernel_w < j->w ? x + j->kernel_w : j->w };
}

static inline float factor_of(const grd_pool_job *j, const window *v)
{
    int64_t points = j->count_pad ? j->kernel_h * j->kernel_w : (v->y1 - v->y0) * (v->x1 - v->x0);
    return 1 / (float)points;
}

/* ---- for a number of lanes that is known when compiling ---- */

#define V grd_v16
#define I grd_i16
#define B grd_b16
#define W 16
#define N(name) name##_16
#include "backend/cpu/pool_template.h"
#undef V
#undef I
#undef B
#undef W
#undef N
#define V grd_v8
#define I grd_i8
#define B grd_b8
#define W 8
#define N(name) name##_8
#include "backend/cpu/pool_template.h"
#undef V
#undef I
#undef B
#undef W
#undef N
#define V grd_v1
#define I grd_i1
#define B grd_b1
#define W 1
#define N(name) name##_1
#include "backend/cpu/pool_template.h"

#define BY_LANES(j, name, ...)                       \
    ((j)->lanes == 16  ? name##_16(j, __VA_ARGS__)   \
     : (j)->lanes == 8 ? name##_8(j, __VA_ARGS__)    \
                       : name##_1(j, __VA_ARGS__))

void GRD_KERNEL(maxpool)(const grd_pool_job *j, const float *x, float *y, uint8_t *where)
{
    BY_LANES(j, maxpool, x, y, where);
}

void GRD_KERNEL(maxpool_grad)(const grd_pool_job *j, const float *dy, const uint8_t *where, float *dx)
{
    BY_LANES(j, maxpool_grad, dy, where, dx);
}

void GRD_KERNEL(avgpool)(const grd_pool_job *j, const float *x, float *y)
{
    BY_LANES(j, avgpool, x, y);
}

void GRD_KERNEL(avgpool_grad)(const grd_pool_job *j, const float *dy, float *dx)
{
    BY_LANES(j, avgpool_grad, dy, dx);
}
