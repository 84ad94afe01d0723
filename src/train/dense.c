#include "train/dense.h"

#include "base/parallel.h"

#include <math.h>

/* ---- symmetric products ---- */

typedef struct gram {
    const double *x, *w;
    double *c;
    int64_t n, d;
} gram;

enum { TOGETHER = 4 };      /* rows that are added to another in one pass over it */

static void gram_row(const gram *g, int64_t i)
{
    double *c = g->c + i * g->d;
    int64_t k = 0;
    for (; k + TOGETHER <= g->n; k += TOGETHER) {
        const double *x0 = g->x + k * g->d, *x1 = x0 + g->d, *x2 = x1 + g->d, *x3 = x2 + g->d;
        double f0 = x0[i], f1 = x1[i], f2 = x2[i], f3 = x3[i];
        if (g->w) {
            f0 *= g->w[k];
            f1 *= g->w[k + 1];
            f2 *= g->w[k + 2];
            f3 *= g->w[k + 3];
        }
        for (int64_t j = i; j < g->d; j++)
            c[j] += (f0 * x0[j] + f1 * x1[j]) + (f2 * x2[j] + f3 * x3[j]);
    }
    for (; k < g->n; k++) {
        const double *x = g->x + k * g->d;
        double f = x[i] * (g->w ? g->w[k] : 1);
        for (int64_t j = i; j < g->d; j++)
            c[j] += f * x[j];
    }
}

/* A long row and a short one: pieces of equal work. */
static void gram_pairs(void *ctx, int64_t begin, int64_t end)
{
    const gram *g = ctx;
    for (int64_t i = begin; i < end; i++) {
        gram_row(g, i);
        if (g->d - 1 - i > i)
            gram_row(g, g->d - 1 - i);
    }
}

void grd_dense_gram(int threads, const double *x, const double *w, int64_t n, int64_t d, double *c)
{
    enum { CHUNK = 64 };    /* rows of x that stay in cache while all rows of c pass */
    for (int64_t k = 0; k < n; k += CHUNK) {
        gram g = { x + k * d, w ? w + k : 0, c, n - k < CHUNK ? n - k : CHUNK, d };
        grd_parallel_for(threads, (d + 1) / 2, 16, gram_pairs, &g);
    }
}

/* ---- Cholesky ---- */

typedef struct panel {      /* rows from..to-1 of u are done, those below are to be freed of them */
    double *a;
    int64_t n, from, to;
} panel;

static void subtract_rows(const panel *p, int64_t i)
{
    double *row = p->a + i * p->n;
    int64_t k = p->from;
    for (; k + TOGETHER <= p->to; k += TOGETHER) {
        const double *u0 = p->a + k * p->n, *u1 = u0 + p->n, *u2 = u1 + p->n, *u3 = u2 + p->n;
        double f0 = u0[i], f1 = u1[i], f2 = u2[i], f3 = u3[i];
        for (int64_t j = i; j < p->n; j++)
            row[j] -= (f0 * u0[j] + f1 * u1[j]) + (f2 * u2[j] + f3 * u3[j]);
    }
    for (; k < p->to; k++) {
        const double *u = p->a + k * p->n;
        double f = u[i];
        for (int64_t j = i; j < p->n; j++)
            row[j] -= f * u[j];
    }
}

static void subtract_pairs(void *ctx, int64_t begin, int64_t end)
{
    const panel *p = ctx;
    for (int64_t i = begin; i < end; i++) {
        int64_t low = p->to + i, high = p->n - 1 - i;
        subtract_rows(p, low);
        if (high > low)
            subtract_rows(p, high);
    }
}

int64_t grd_dense_cholesky(int threads, double *a, int64_t n)
{
    enum { BLOCK = 48 };
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = from + BLOCK < n ? from + BLOCK : n;
        for (int64_t k = from; k < to; k++) {
            double *row = a + k * n;
            panel above = { a, n, from, k };
            subtract_rows(&above, k);
            if (!(row[k] > 0) || !isfinite(row[k]))
                return k;
            double root = sqrt(row[k]);
            for (int64_t j = k; j < n; j++)
                row[j] /= root;
        }
        panel p = { a, n, from, to };
        grd_parallel_for(threads, (n - to + 1) / 2, 8, subtract_pairs, &p);
    }
    return -1;
}

void grd_dense_substitute(const double *u, int64_t n, double *b, int64_t k)
{
    for (int64_t i = 0; i < n; i++) {
        double *row = b + i * k;
        for (int64_t c = 0; c < k; c++)
            row[c] /= u[i * n + i];
        for (int64_t j = i + 1; j < n; j++)
            for (int64_t c = 0; c < k; c++)
                b[j * k + c] -= u[i * n + j] * row[c];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        double *row = b + i * k;
        for (int64_t j = i + 1; j < n; j++)
            for (int64_t c = 0; c < k; c++)
                row[c] -= u[i * n + j] * b[j * k + c];
        for (int64_t c = 0; c < k; c++)
            row[c] /= u[i * n + i];
    }
}

/* ---- LQ ---- */

typedef struct reflection { /* y -= tau v (v'y) with v = (1, v[1..]) */
    const double *v;
    double *x, tau;
    int64_t width, stride;
} reflection;

static void reflect(const reflection *r, double *y)
{
    double dot = y[0];
    for (int64_t j = 1; j < r->width; j++)
        dot += r->v[j] * y[j];
    dot *= r->tau;
    y[0] -= dot;
    for (int64_t j = 1; j < r->width; j++)
        y[j] -= dot * r->v[j];
}

static void reflect_rows(void *ctx, int64_t begin, int64_t end)
{
    const reflection *r = ctx;
    for (int64_t i = begin; i < end; i++)
        reflect(r, r->x + i * r->stride);
}

/* Golub, Van Loan: Matrix Computations, 5.1: the reflection that leaves of x [width] only its first element. */
static double reflector(double *x, int64_t width)
{
    double largest = 0, sum = 0;
    for (int64_t j = 0; j < width; j++)
        largest = fmax(largest, fabs(x[j]));
    if (largest == 0)
        return 0;
    for (int64_t j = 0; j < width; j++)
        sum += x[j] / largest * (x[j] / largest);
    double norm = largest * sqrt(sum), first = x[0], left = first > 0 ? -norm : norm;
    for (int64_t j = 1; j < width; j++)
        x[j] /= first - left;
    x[0] = left;
    return (left - first) / left;
}

void grd_dense_lq(int threads, double *x, int64_t n, int64_t d, double *tau)
{
    for (int64_t k = 0; k < n; k++) {
        double *row = x + k * d + k;
        tau[k] = reflector(row, d - k);
        reflection r = { row, row + d, tau[k], d - k, d };
        grd_parallel_for(threads, n - 1 - k, 16, reflect_rows, &r);
    }
}

void grd_dense_from_lq(const double *x, int64_t n, int64_t d, const double *tau, double *y)
{
    for (int64_t j = n; j < d; j++)
        y[j] = 0;
    for (int64_t k = n - 1; k >= 0; k--) {
        reflection r = { x + k * d + k, y, tau[k], d - k, 0 };
        reflect(&r, y + k);
    }
}
