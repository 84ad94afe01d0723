/* Upsampling of one run of places x lanes (planes.h). The inner loops run over the channels of a block. */
#include "backend/cpu/vectors.h"

#include <string.h>

#define V grd_v16
#define W 16
#define N(name) name##_16
#include "backend/cpu/upsample_template.h"
#undef V
#undef W
#undef N
#define V grd_v8
#define W 8
#define N(name) name##_8
#include "backend/cpu/upsample_template.h"
#undef V
#undef W
#undef N
#define V grd_v1
#define W 1
#define N(name) name##_1
#include "backend/cpu/upsample_template.h"

#define BY_LANES(j, name, from, to)                     \
    ((j)->lanes == 16  ? name##_16(j, from, to)         \
     : (j)->lanes == 8 ? name##_8(j, from, to)          \
                       : name##_1(j, from, to))

void GRD_KERNEL(upsample_nearest)(const grd_upsample_job *j, const float *x, float *y) { BY_LANES(j, nearest, x, y); }
void GRD_KERNEL(upsample_bilinear)(const grd_upsample_job *j, const float *x, float *y) { BY_LANES(j, bilinear, x, y); }
void GRD_KERNEL(upsample_grad)(const grd_upsample_job *j, const float *dy, float *dx) { BY_LANES(j, grad, dy, dx); }
