/* Attention between its products: what happens to a tile of scores. Row r of the tile sees its first visible(r) keys. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vmath.h"

#include <math.h>

static inline int64_t visible(const grd_attend_job *j, int64_t r)
{
    const int64_t seen = j->seen + (j->causal ? r : 0);
    return seen < 0 ? 0 : seen > j->keys ? j->keys : seen;
}

/* Numbers are done 16 at a time, beyond the n that count too: no loop over the rest. */
static inline int64_t whole(int64_t n) { return (n + GRD_VLANES - 1) / GRD_VLANES * GRD_VLANES; }

/* 0 from s[n] on: to the last key, and as far as numbers were done. */
static inline void clear_rest(const grd_attend_job *j, float *s, int64_t n)
{
    const int64_t end = whole(n) > j->keys ? whole(n) : j->keys;
    memset(s + n, 0, sizeof *s * (size_t)(end - n));
}

/* Scores become exp(score - most), `most` the largest seen so far; what was summed before is scaled to the new one. */
void GRD_KERNEL(attend_scores)(const grd_attend_job *j)
{
    for (int64_t r = 0; r < j->rows; r++) {
        const int64_t n = visible(j, r);
        float *s = j->s + r * j->ld, *y = j->y + r * j->ldy;
        if (!n) {
            clear_rest(j, s, n);
            continue;
        }
        const float top = j->scale * vmath_largest(s, n), most = top > j->most[r] ? top : j->most[r], scale = j->scale;
        GRD_VECTOR_LOOP
        for (int64_t k = 0; k < whole(n); k++)
            s[k] = vmath_exp(scale * s[k] - most);
        clear_rest(j, s, n);
        float sum;
        GRD_LANE_SUM(sum, whole(n), k, s[k]);
        const float keep = j->first ? 0 : vmath_exp(j->most[r] - most);
        for (int64_t k = 0; !j->first && k < j->dv; k++)
            y[k] *= keep;
        j->sum[r] = j->sum[r] * keep + sum;
        j->most[r] = most;
    }
}

/* y is divided by the sum of its weights; total = log of the sum of exp(score). Zeros and infinity where no key was seen. */
void GRD_KERNEL(attend_finish)(const grd_attend_job *j, float *total)
{
    for (int64_t r = 0; r < j->rows; r++) {
        float *y = j->y + r * j->ldy;
        const bool blind = j->most[r] == -INFINITY;
        const float scale = blind ? 0 : 1 / j->sum[r];
        for (int64_t k = 0; k < j->dv; k++)
            y[k] *= scale;
        if (total)
            total[r] = blind ? INFINITY : j->most[r] + logf(j->sum[r]);
    }
}

/* s: scores -> probabilities; ds: dy v' -> gradient of the scores before scaling, times the scale. */
void GRD_KERNEL(attend_gradient)(const grd_attend_job *j, const float *total, const float *e, float *tile)
{
    for (int64_t r = 0; r < j->rows; r++) {
        const int64_t n = visible(j, r);
        float *s = j->s + r * j->ld, *ds = tile + r * j->ld;
        const float shift = total[r], mean = e[r], scale = j->scale;
        GRD_VECTOR_LOOP
        for (int64_t k = 0; k < whole(n); k++) {
            const float p = vmath_exp(scale * s[k] - shift);
            s[k] = p;
            ds[k] = scale * p * (ds[k] - mean);
        }
        clear_rest(j, s, n);
        clear_rest(j, ds, n);
    }
}

float GRD_KERNEL(dot)(const float *a, const float *b, int64_t n)
{
    float sum;
    GRD_LANE_SUM(sum, n, i, a[i] * b[i]);
    return sum;
}
