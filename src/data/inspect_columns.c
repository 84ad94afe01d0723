/* The columns of a table one by one: where their values lie, and how well each alone tells the target. */
#include "data/inspect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 20, FEW_VALUES = 64, MOST_BINS = 256, PER_BIN = 20, MOST_CLASSES = 1000 };

typedef struct value {
    double x;
    int64_t sample;
} value;

typedef struct work {
    grd_report *r;
    value *list;     /* [n]: the column's finite values, sorted */
    double *number;  /* [n] */
    double *rank[2]; /* [n]: of column and target */
    int64_t *count;  /* [MOST_BINS][classes][2] */
} work;

static int by_value(const void *x, const void *y)
{
    const value *a = x, *b = y;
    return a->x < b->x ? -1 : a->x > b->x ? 1 : a->sample < b->sample ? -1 : a->sample > b->sample;
}

static int by_number(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* ---- where the values lie ---- */

static void gather(work *w, grd_column *c, int64_t k)
{
    const grd_report *r = w->r;
    for (int64_t i = 0; i < r->n; i++) {
        float x = r->features.row[i * r->features.n + k];
        if (r->seen[i].flags & GRD_SEEN_UNREADABLE)
            continue;
        if (isfinite(x))
            w->list[c->n++] = (value){ x, i };
        else
            c->missing++;
    }
    qsort(w->list, (size_t)c->n, sizeof *w->list, by_value);
}

static void describe(work *w, grd_column *c)
{
    double sum = 0, square = 0;
    if (!c->n)
        return;
    for (int64_t i = 0; i < c->n; i++)
        sum += w->list[i].x;
    c->mean = sum / (double)c->n;
    c->median = w->list[c->n / 2].x;
    for (int64_t i = 0; i < c->n; i++) {
        square += (w->list[i].x - c->mean) * (w->list[i].x - c->mean);
        w->number[i] = fabs(w->list[i].x - c->median);
    }
    qsort(w->number, (size_t)c->n, sizeof *w->number, by_number);
    c->std = sqrt(square / (double)c->n);
    c->mad = w->number[c->n / 2];
    c->min = w->list[0].x;
    c->max = w->list[c->n - 1].x;
}

/* ---- a number as target: correlation, of values and of ranks ---- */

static double correlation(const double *x, const double *y, int64_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? fabs(xy / sqrt(xx * yy)) : 0;
}

/* Sorted values become their ranks, equal ones the mean of theirs; rank[list[i].sample]. */
static void rank_values(const value *list, int64_t n, double *rank)
{
    for (int64_t i = 0, k; i < n; i = k) {
        for (k = i; k < n && list[k].x == list[i].x; k++)
            ;
        for (int64_t e = i; e < k; e++)
            rank[list[e].sample] = (double)(i + k - 1) / 2;
    }
}

static double tells_number(work *w, const grd_column *c)
{
    const grd_report *r = w->r;
    int64_t n = 0;
    double *x = w->number, *y = w->rank[1];
    rank_values(w->list, c->n, w->rank[0]);
    for (int64_t i = 0; i < c->n; i++)
        if (isfinite(r->seen[w->list[i].sample].target))
            w->list[n++] = w->list[i];
    if (n < LEAST)
        return 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = w->list[i].x;
        y[i] = r->seen[w->list[i].sample].target;
    }
    double straight = correlation(x, y, n);
    for (int64_t i = 0; i < n; i++)
        w->list[i].x = r->seen[w->list[i].sample].target;
    qsort(w->list, (size_t)n, sizeof *w->list, by_value);
    rank_values(w->list, n, w->rank[1]);
    for (int64_t i = 0; i < n; i++) /* sorted by target: place i was read before it is written */
        x[i] = w->rank[0][w->list[i].sample];
    double *ordered = w->rank[0];
    for (int64_t i = 0; i < n; i++)
        ordered[i] = w->rank[1][w->list[i].sample];
    return fmax(straight, correlation(x, ordered, n));
}

/* ---- a class as target ---- */

/* Accuracy of the best threshold between two classes; the list is sorted. */
static double best_threshold(const work *w, int64_t n)
{
    int64_t ones = 0, seen = 0, best = 0;
    const grd_seen *s = w->r->seen;
    for (int64_t i = 0; i < n; i++)
        ones += s[w->list[i].sample].label == 1;
    for (int64_t i = 0; i < n; i++) { /* ones among the first i + 1, if the threshold can stand behind them */
        seen += s[w->list[i].sample].label == 1;
        if (i + 1 < n && w->list[i + 1].x == w->list[i].x)
            continue;
        int64_t right = (i + 1 - seen) + (ones - seen), other = n - right;
        best = right > best ? right : best;
        best = other > best ? other : best;
    }
    return (double)best / (double)n;
}

/* Accuracy of the class that is most frequent in each bin of values, told by one half of the samples for the other. */
static double best_mapping(work *w, int64_t n)
{
    const int64_t classes = w->r->classes;
    int64_t distinct = 1, bins = n / PER_BIN < MOST_BINS ? n / PER_BIN : MOST_BINS, bin = 0, right = 0;
    for (int64_t i = 1; i < n; i++)
        distinct += w->list[i].x != w->list[i - 1].x;
    memset(w->count, 0, sizeof *w->count * (size_t)(MOST_BINS * classes * 2));
    for (int64_t i = 0; i < n; i++) {
        bool other = i && w->list[i].x != w->list[i - 1].x;
        if (other && (distinct <= FEW_VALUES || i * bins / n > bin) && bin + 1 < MOST_BINS)
            bin = distinct <= FEW_VALUES ? bin + 1 : i * bins / n;
        w->count[(bin * classes + w->r->seen[w->list[i].sample].label) * 2 + w->list[i].sample % 2]++;
    }
    for (int64_t b = 0; b <= bin; b++)
        for (int half = 0; half < 2; half++) {
            const int64_t *count = w->count + b * classes * 2;
            int64_t best = 0;
            for (int64_t c = 1; c < classes; c++)
                best = count[c * 2 + half] > count[best * 2 + half] ? c : best;
            right += count[best * 2 + half] ? count[best * 2 + !half] : 0;
        }
    return (double)right / (double)n;
}

static double tells_class(work *w, const grd_column *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (w->r->seen[w->list[i].sample].label >= 0)
            w->list[n++] = w->list[i];
    if (n < LEAST || w->r->classes > MOST_CLASSES)
        return 0;
    double mapping = best_mapping(w, n);
    return w->r->classes == 2 ? fmax(mapping, best_threshold(w, n)) : mapping;
}

/* ---- all of it ---- */

grd_status grd_columns_look(grd_report *r)
{
    work w = { .r = r };
    if (r->n_columns == 0 || r->n == 0)
        return GRD_OK;
    w.list = GRD_NEW_N(r->host, value, r->n);
    w.number = GRD_NEW_N(r->host, double, r->n);
    w.rank[0] = GRD_NEW_N(r->host, double, r->n);
    w.rank[1] = GRD_NEW_N(r->host, double, r->n);
    w.count = GRD_NEW_N(r->host, int64_t, MOST_BINS * 2 * (r->classes <= MOST_CLASSES ? r->classes : 0));
    grd_status status = w.list && w.number && w.rank[0] && w.rank[1] && w.count ? GRD_OK : GRD_ERR_MEMORY;
    for (int k = 0; k < r->n_columns && status == GRD_OK; k++) {
        grd_column *c = &r->column[k];
        gather(&w, c, k);
        describe(&w, c);
        if (c->n && !r->opts.only_stats)
            c->leak = r->label >= 0 ? tells_class(&w, c) : tells_number(&w, c);
        status = grd_report_progress(r, "looking at columns", k + 1, r->n_columns);
    }
    void *const owned[] = { w.list, w.number, w.rank[0], w.rank[1], w.count };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(r->host, owned[i]);
    return status;
}
