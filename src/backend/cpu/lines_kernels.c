/* Kernels along one axis: normalisation, softmax, cross entropy, sums by column. A line is a run of n numbers. Sums are
 * made in 16 float lanes in a fixed order; those over lines in double. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vmath.h"

#include <math.h>

/* ---- layernorm ---- */

void GRD_KERNEL(layernorm)(const grd_norm_job *j, int64_t begin, int64_t end)
{
    const int64_t m = j->m;
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * m;
        float *y = j->y + r * m, sum, squares;
        GRD_LANE_SUM(sum, m, i, x[i]);
        const float mean = sum / (float)m;
        GRD_LANE_SUM(squares, m, i, (x[i] - mean) * (x[i] - mean));
        const float r_std = 1 / sqrtf(squares / (float)m + j->eps);
        if (j->stats) {
            j->stats[2 * r] = mean;
            j->stats[2 * r + 1] = r_std;
        }
        const float *w = j->w, *b = j->b;
        if (w && b) {
            GRD_VECTOR_LOOP
            for (int64_t i = 0; i < m; i++)
                y[i] = (x[i] - mean) * r_std * w[i] + b[i];
        } else {
            for (int64_t i = 0; i < m; i++)
                y[i] = (x[i] - mean) * r_std * (w ? w[i] : 1) + (b ? b[i] : 0);
        }
    }
}

/* dw and db of these lines are written to dw[0..m-1], db[0..m-1]. */
void GRD_KERNEL(layernorm_gradient)(const grd_norm_job *j, int64_t begin, int64_t end, float *restrict dw, float *restrict db)
{
    const int64_t m = j->m;
    const float *w = j->w;
    memset(dw, 0, sizeof *dw * (size_t)m);
    memset(db, 0, sizeof *db * (size_t)m);
    for (int64_t r = begin; r < end; r++) {
        const float *x = j->x + r * m, *dy = j->dy + r * m;
        const float mean = j->stats[2 * r], r_std = j->stats[2 * r + 1];
        for (int64_t i = 0; i < m; i++) {
            dw[i] += dy[i] * ((x[i] - mean) * r_std);
            db[i] += dy[i];
        }
        if (!j->dx)
            continue;
        float sum, product, *dx = j->dx + r * m; /* of g = w dy, and of g (x - mean) */
        if (w) {
            GRD_LANE_SUM(sum, m, i, dy[i] * w[i]);
            GRD_LANE_SUM(product, m, i, dy[i] * w[i] * (x[i] - mean));
        } else {
            GRD_LANE_SUM(sum, m, i, dy[i]);
            GRD_LANE_SUM(product, m, i, dy[i] * (x[i] - mean));
        }
        const float shift = sum / (float)m, slope = product / (float)m * r_std * r_std;
        if (w) {
            GRD_VECTOR_LOOP
            for (int64_t i = 0; i < m; i++)
                dx[i] = r_std * (dy[i] * w[i] - shift - (x[i] - mean) * slope);
        } else {
            GRD_VECTOR_LOOP
            for (int64_t i = 0; i < m; i++)
                dx[i] = r_std * (dy[i] - shift - (x[i] - mean) * slope);
        }
    }
}

/* ---- softmax over contiguous lines ---- */

void GRD_KERNEL(softmax)(float *y, const float *x, int64_t n, bool logarithm)
{
    const float most = vmath_largest(x, n);
    float sum;
    if (logarithm) {
        GRD_LANE_SUM(sum, n, i, vmath_exp(x[i] - most));
        const float shift = most + logf(sum);
        GRD_VECTOR_LOOP
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i] - shift;
        return;
    }
    GRD_VECTOR_LOOP
    for (int64_t i = 0; i < n; i++)
        y[i] = vmath_exp(x[i] - most);
    GRD_LANE_SUM(sum, n, i, y[i]);
    const float scale = 1 / sum;
    for (int64_t i = 0; i < n; i++)
        y[i] *= scale;
}

void GRD_KERNEL(softmax_gradient)(float *dx, const float *y, const float *dy, int64_t n, bool logarithm)
{
    float sum;
    if (logarithm) {
        GRD_LANE_SUM(sum, n, i, dy[i]);
        GRD_VECTOR_LOOP
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] - vmath_exp(y[i]) * sum;
        return;
    }
    GRD_LANE_SUM(sum, n, i, dy[i] * y[i]);
    GRD_VECTOR_LOOP
    for (int64_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - sum);
}

/* ---- cross entropy ---- */

double GRD_KERNEL(class_loss)(const grd_class_job *j, int64_t begin, int64_t end, double *weight)
{
    double sum = 0, count = 0;
    for (int64_t i = begin; i < end; i++) {
        const float *x = j->x + i * j->classes;
        const int32_t label = j->label[i];
        if (label == j->ignore)
            continue;
        count++;
        if (label < 0 || label >= j->classes) {
            sum = count = NAN;
            break;
        }
        const float most = vmath_largest(x, j->classes);
        float total;
        GRD_LANE_SUM(total, j->classes, c, vmath_exp(x[c] - most));
        sum += log((double)total) + ((double)most - (double)x[label]);
    }
    *weight = count;
    return sum;
}

void GRD_KERNEL(class_loss_gradient)(const grd_class_job *j, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        const float *x = j->x + i * j->classes;
        float *dx = j->dx + i * j->classes, total;
        const int32_t label = j->label[i];
        if (label == j->ignore || label < 0 || label >= j->classes) {
            for (int64_t c = 0; c < j->classes; c++)
                dx[c] = label == j->ignore ? 0 : NAN;
            continue;
        }
        const float most = vmath_largest(x, j->classes);
        GRD_VECTOR_LOOP
        for (int64_t c = 0; c < j->classes; c++)
            dx[c] = vmath_exp(x[c] - most);
        GRD_LANE_SUM(total, j->classes, c, dx[c]);
        const float scale = j->g / total;
        for (int64_t c = 0; c < j->classes; c++)
            dx[c] *= scale;
        dx[label] -= j->g;
    }
}

/* Positions are taken a few at a time, so that a class's are a short run of numbers. */
enum { POSITIONS = 64 };

typedef struct crowd {
    float most[POSITIONS], total[POSITIONS]; /* largest logit; sum of exp(logit - largest) */
} crowd;

static void meet(const grd_class_job *j, int64_t at, int64_t n, crowd *c)
{
    for (int64_t i = 0; i < n; i++) {
        c->most[i] = j->x[at + i];
        c->total[i] = 0;
    }
    for (int64_t k = 1; k < j->classes; k++) {
        const float *x = j->x + k * j->stride + at;
        for (int64_t i = 0; i < n; i++)
            c->most[i] = x[i] > c->most[i] ? x[i] : c->most[i];
    }
    for (int64_t k = 0; k < j->classes; k++) {
        const float *x = j->x + k * j->stride + at;
        GRD_VECTOR_LOOP
        for (int64_t i = 0; i < n; i++)
            c->total[i] += vmath_exp(x[i] - c->most[i]);
    }
}

double GRD_KERNEL(class_loss_planes)(const grd_class_job *j, int64_t begin, int64_t end, double *weight)
{
    double sum = 0, count = 0;
    crowd c;
    for (int64_t at = begin; at < end; at += POSITIONS) {
        const int64_t n = end - at < POSITIONS ? end - at : POSITIONS;
        meet(j, at, n, &c);
        for (int64_t i = 0; i < n; i++) {
            const int32_t label = j->label[at + i];
            if (label == j->ignore)
                continue;
            count++;
            if (label < 0 || label >= j->classes)
                sum = count = NAN;
            else
                sum += log((double)c.total[i]) + ((double)c.most[i] - (double)j->x[label * j->stride + at + i]);
        }
    }
    *weight = count;
    return sum;
}

/* What was computed for a position whose label does not count, or is none. */
static void spoil(const grd_class_job *j, int64_t at, float with)
{
    for (int64_t k = 0; k < j->classes; k++)
        j->dx[k * j->stride + at] = with;
}

void GRD_KERNEL(class_loss_planes_gradient)(const grd_class_job *j, int64_t begin, int64_t end)
{
    crowd c;
    for (int64_t at = begin; at < end; at += POSITIONS) {
        const int64_t n = end - at < POSITIONS ? end - at : POSITIONS;
        meet(j, at, n, &c);
        for (int64_t i = 0; i < n; i++)
            c.total[i] = j->g / c.total[i];
        for (int64_t k = 0; k < j->classes; k++) {
            const float *x = j->x + k * j->stride + at;
            float *dx = j->dx + k * j->stride + at;
            GRD_VECTOR_LOOP
            for (int64_t i = 0; i < n; i++)
                dx[i] = vmath_exp(x[i] - c.most[i]) * c.total[i];
        }
        for (int64_t i = 0; i < n; i++) {
            const int32_t label = j->label[at + i];
            if (label == j->ignore)
                spoil(j, at + i, 0);
            else if (label < 0 || label >= j->classes)
                spoil(j, at + i, NAN);
            else
                j->dx[label * j->stride + at + i] -= j->g;
        }
    }
}

/* ---- sums ---- */

void GRD_KERNEL(add_into)(float *restrict y, const float *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

double GRD_KERNEL(sum)(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t at = 0; at < n; at += 1024) {
        const int64_t some = n - at < 1024 ? n - at : 1024;
        float part;
        GRD_LANE_SUM(part, some, i, x[at + i]);
        sum += (double)part;
    }
    return sum;
}

/* ---- two inputs: rows of `cols`, b the same for each row if ldb is 0 ---- */

#define BINARY(name, F)                                                                                                  \
    void GRD_KERNEL(name)(float *y, const float *a, const float *b, int64_t rows, int64_t cols, int64_t ldb)            \
    {                                                                                                                    \
        for (int64_t r = 0; r < rows; r++) {                                                                             \
            const float *p = a + r * cols, *q = b + r * ldb;                                                             \
            float *to = y + r * cols;                                                                                    \
            GRD_VECTOR_LOOP                                                                                              \
            for (int64_t i = 0; i < cols; i++)                                                                           \
                to[i] = F;                                                                                               \
        }                                                                                                                \
    }

BINARY(add, p[i] + q[i])
BINARY(sub, p[i] - q[i])
BINARY(mul, p[i] * q[i])
