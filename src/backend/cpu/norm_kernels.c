/* Batch norm over one run of rows x lanes (planes.h). Sums are taken in float over short stretches and carried on in double; the
 * variance comes from squares of x - k with k one of the channel's values, so that one pass does. The gate of a following ReLU is found
 * again from x, by the same expression as forward. */
#include "backend/cpu/vectors.h"

enum { STRETCH = 64 }; /* rows whose sum is taken in float */

/* g where z > 0, else 0; a NaN z opens. */
#define GATE(z, g) ((V)((I)(g) & ~(I)((z) <= 0)))

#define V grd_v16
#define I grd_i16
#define W 16
#define N(name) name##_16
#include "backend/cpu/norm_template.h"
#undef V
#undef I
#undef W
#undef N
#define V grd_v8
#define I grd_i8
#define W 8
#define N(name) name##_8
#include "backend/cpu/norm_template.h"
#undef V
#undef I
#undef W
#undef N
#define V grd_v1
#define I grd_i1
#define W 1
#define N(name) name##_1
#include "backend/cpu/norm_template.h"

/* One channel's numbers, sixteen times: a run of one channel is walked as if it had sixteen. */
typedef struct wide {
    float mean[16], scale[16], shift[16], offset[16], slope[16];
} wide;

static grd_bn_job widen(const grd_bn_job *j, wide *w)
{
    grd_bn_job job = *j;
    for (int l = 0; l < 16; l++) {
        w->mean[l] = *j->mean;
        w->scale[l] = *j->scale;
        w->shift[l] = *j->shift;
        w->offset[l] = j->offset ? *j->offset : 0;
        w->slope[l] = j->slope ? *j->slope : 0;
    }
    job.mean = w->mean;
    job.scale = w->scale;
    job.shift = w->shift;
    job.offset = w->offset;
    job.slope = w->slope;
    return job;
}

static void add_all(const double from[16], double *to)
{
    for (int l = 0; l < 16; l++)
        *to += from[l];
}

/* The job of channels l and on. */
static grd_bn_job from_lane(const grd_bn_job *j, int64_t l)
{
    grd_bn_job job = *j;
    job.mean += l;
    job.scale += l;
    job.shift += l;
    job.offset = j->offset ? j->offset + l : NULL;
    job.slope = j->slope ? j->slope + l : NULL;
    return job;
}

/* Calls name_16, name_8 or name_1 for lanes l.. as many as fit. */
#define EACH_LANE(lanes, l, call16, call8, call1) \
    for (int64_t l = 0; l < (lanes);) {           \
        if ((lanes) - l >= 16) {                  \
            call16;                               \
            l += 16;                              \
        } else if ((lanes) - l >= 8) {            \
            call8;                                \
            l += 8;                               \
        } else {                                  \
            call1;                                \
            l++;                                  \
        }                                         \
    }

void GRD_KERNEL(bn_sums)(const float *x, const float *k, int64_t rows, int64_t lanes, double *sum, double *square)
{
    if (lanes == 1) {
        double s[16] = { 0 }, q[16] = { 0 };
        float shift[16];
        for (int l = 0; l < 16; l++)
            shift[l] = *k;
        sums_16(x, shift, rows / 16, 16, s, q);
        sums_1(x + rows / 16 * 16, k, rows % 16, 1, s, q);
        add_all(s, sum);
        add_all(q, square);
        return;
    }
    EACH_LANE(lanes, l, sums_16(x + l, k + l, rows, lanes, sum + l, square + l),
              sums_8(x + l, k + l, rows, lanes, sum + l, square + l), sums_1(x + l, k + l, rows, lanes, sum + l, square + l))
}

void GRD_KERNEL(bn_apply)(const grd_bn_job *j, const float *x, const float *add, float *y, int64_t rows, int64_t lanes)
{
    if (lanes == 1) {
        wide w;
        grd_bn_job job = widen(j, &w);
        int64_t n = rows / 16 * 16;
        apply_16(&job, x, add, y, rows / 16, 16);
        apply_1(j, x + n, add ? add + n : NULL, y + n, rows - n, 1);
        return;
    }
#define CALL(W) (job = from_lane(j, l), apply_##W(&job, x + l, add ? add + l : NULL, y + l, rows, lanes))
    grd_bn_job job;
    EACH_LANE(lanes, l, CALL(16), CALL(8), CALL(1))
#undef CALL
}

void GRD_KERNEL(bn_grad_sums)(const grd_bn_job *j, const float *x, const float *dy, const float *y, int64_t rows, int64_t lanes,
                              double *sum, double *product)
{
    if (lanes == 1) {
        double s[16] = { 0 }, p[16] = { 0 };
        wide w;
        grd_bn_job job = widen(j, &w);
        int64_t n = rows / 16 * 16;
        grad_sums_16(&job, x, dy, y, rows / 16, 16, s, p);
        grad_sums_1(j, x + n, dy + n, y ? y + n : NULL, rows - n, 1, s, p);
        add_all(s, sum);
        add_all(p, product);
        return;
    }
#define CALL(W) \
    (job = from_lane(j, l), grad_sums_##W(&job, x + l, dy + l, y ? y + l : NULL, rows, lanes, sum + l, product + l))
    grd_bn_job job;
    EACH_LANE(lanes, l, CALL(16), CALL(8), CALL(1))
#undef CALL
}

void GRD_KERNEL(bn_grad)(const grd_bn_job *j, const float *x, const float *dy, const float *y, float *dx, float *dadd, int64_t rows,
                         int64_t lanes)
{
    if (lanes == 1) {
        wide w;
        grd_bn_job job = widen(j, &w);
        int64_t n = rows / 16 * 16;
        grad_16(&job, x, dy, y, dx, dadd, rows / 16, 16);
        grad_1(j, x + n, dy + n, y ? y + n : NULL, dx ? dx + n : NULL, dadd ? dadd + n : NULL, rows - n, 1);
        return;
    }
#define CALL(W)                \
    (job = from_lane(j, l),    \
     grad_##W(&job, x + l, dy + l, y ? y + l : NULL, dx ? dx + l : NULL, dadd ? dadd + l : NULL, rows, lanes))
    grd_bn_job job;
    EACH_LANE(lanes, l, CALL(16), CALL(8), CALL(1))
#undef CALL
}
