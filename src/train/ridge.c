/* Ridge regression in closed form, on numbers or one-hot classes. All it needs of the samples are sums, one set for each part:
 * with X, Y less their means over the parts that are fitted
 *   W' = (X'X + lambda I)^-1 X'Y,   b = mean(y) - W mean(x),
 * and the squared error on the part that is left out is a function of that part's sums. */
#include "train/dense.h"
#include "train/linear.h"

#include <math.h>
#include <string.h>

enum { CANDIDATES = 5, FINE = 9 };
static const double candidate[CANDIDATES] = { 1e-3, 1e-2, 0.1, 1, 10 }; /* times the mean squared distance from the mean */
static const double fine[FINE] = { 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100 };
enum { BY_DEFAULT = 2 };

typedef struct sums {      /* of a part; x [D] and y [O] less the means over all samples */
    double *xx, *xy;       /* [D,D] upper, [D,O] */
    double *x, *y, *yy;    /* [D], [O], [O] */
    double n;
} sums;

typedef struct fit {
    grd_linear_data data;
    grd_host *host;
    sums part[GRD_LINEAR_FOLDS], all; /* all: of those that are fitted */
    double *factor, *w;    /* [D,D], [D,O] */
    double *at_mean;       /* [O]: values at the mean of x */
    double *row;           /* [D] */
    double scale;
} fit;

/* ---- sums ---- */

static grd_status new_sums(fit *f, sums *s)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    s->xx = GRD_NEW_N(f->host, double, d * d);
    s->xy = GRD_NEW_N(f->host, double, d * outputs);
    s->x = GRD_NEW_N(f->host, double, d);
    s->y = GRD_NEW_N(f->host, double, 2 * outputs);
    s->yy = s->y ? s->y + outputs : NULL;
    return s->xx && s->xy && s->x && s->y ? GRD_OK : GRD_ERR_MEMORY;
}

static void free_sums(fit *f, sums *s)
{
    void *const owned[] = { s->xx, s->xy, s->x, s->y };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(f->host, owned[i]);
}

typedef struct adding { fit *f; sums *to; } adding;

static grd_status add_rows(void *user, const double *x, const double *y, int64_t n)
{
    const adding *a = user;
    sums *s = a->to;
    int64_t d = a->f->data.size, outputs = a->f->data.model->outputs;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < d; k++)
            s->x[k] += x[i * d + k];
    for (int64_t i = 0; i < n; i++)
        for (int64_t o = 0; o < outputs; o++) {
            double value = y[i * outputs + o] - a->f->data.y_mean[o];
            s->y[o] += value;
            s->yy[o] += value * value;
            for (int64_t k = 0; k < d && value != 0; k++)
                s->xy[k * outputs + o] += x[i * d + k] * value;
        }
    grd_dense_gram(a->f->data.model->ctx->threads, x, NULL, n, d, s->xx);
    s->n += (double)n;
    return GRD_OK;
}

static void add_array(double *to, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* Sums over all parts but one (-1: over all), about the means of those. */
static void gather(fit *f, int without)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    sums *s = &f->all;
    memset(s->xx, 0, sizeof *s->xx * (size_t)(d * d));
    memset(s->xy, 0, sizeof *s->xy * (size_t)(d * outputs));
    memset(s->x, 0, sizeof *s->x * (size_t)d);
    memset(s->y, 0, sizeof *s->y * (size_t)(2 * outputs));
    s->n = 0;
    for (int k = 0; k < f->data.parts; k++) {
        if (k == without)
            continue;
        const sums *p = &f->part[k];
        add_array(s->xx, p->xx, d * d);
        add_array(s->xy, p->xy, d * outputs);
        add_array(s->x, p->x, d);
        add_array(s->y, p->y, 2 * outputs);
        s->n += p->n;
    }
    for (int64_t i = 0; i < d; i++) {
        double mean = s->x[i] / s->n;
        for (int64_t j = i; j < d; j++)
            s->xx[i * d + j] -= mean * s->x[j];
        for (int64_t o = 0; o < outputs; o++)
            s->xy[i * outputs + o] -= mean * s->y[o];
    }
}

/* ---- solving ---- */

static grd_status solve(fit *f, double lambda)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    memcpy(f->factor, f->all.xx, sizeof *f->factor * (size_t)(d * d));
    for (int64_t i = 0; i < d; i++)
        f->factor[i * d + i] += lambda;
    int64_t bad = grd_dense_cholesky(f->data.model->ctx->threads, f->factor, d);
    if (bad >= 0)
        return grd_fail(f->host, GRD_ERR_NUMBER, "ridge: lambda %g is too small: the system is singular (pivot %lld of %lld)",
                        lambda, (long long)bad + 1, (long long)d);
    memcpy(f->w, f->all.xy, sizeof *f->w * (size_t)(d * outputs));
    grd_dense_substitute(f->factor, d, f->w, outputs);
    for (int64_t o = 0; o < outputs; o++) {
        double dot = 0;
        for (int64_t k = 0; k < d; k++)
            dot += f->w[k * outputs + o] * f->all.x[k];
        f->at_mean[o] = (f->all.y[o] - dot) / f->all.n;
    }
    return GRD_OK;
}

/* Into the model, in its own features. */
static void give(fit *f, double lambda)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    for (int64_t o = 0; o < outputs; o++) {
        for (int64_t k = 0; k < d; k++)
            f->row[k] = f->w[k * outputs + o];
        grd_linear_data_back(&f->data, o, f->row, f->at_mean[o] + f->data.y_mean[o]);
    }
    f->data.model->lambda = lambda;
}

/* sum over part p of (w x + b - y)^2, for output o. */
static double error_of(const fit *f, const sums *p, int64_t o)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    double b = f->at_mean[o], sum = p->yy[o] + b * (p->n * b - 2 * p->y[o]);
    for (int64_t i = 0; i < d; i++) {
        const double *xx = p->xx + i * d;
        double wi = f->w[i * outputs + o], half = wi * xx[i] / 2;
        for (int64_t j = i + 1; j < d; j++)
            half += f->w[j * outputs + o] * xx[j];
        sum += 2 * wi * (half + b * p->x[i] - p->xy[i * outputs + o]);
    }
    return sum;
}

/* By the squared error on each part, fitted on the others; a tie: the larger. */
static grd_status choose_by_folds(fit *f)
{
    double error[FINE] = { 0 };
    int best = FINE - 1;
    for (int k = 0; k < f->data.parts; k++) {
        gather(f, k);
        for (int c = 0; c < FINE; c++) {
            grd_status status = solve(f, fine[c] * f->scale);
            for (int64_t o = 0; status == GRD_OK && o < f->data.model->outputs; o++)
                error[c] += error_of(f, &f->part[k], o);
            error[c] = status == GRD_OK ? error[c] : INFINITY; /* too small a lambda is no choice */
        }
    }
    grd_clear(f->host);
    for (int c = FINE - 1; c >= 0; c--)
        best = error[c] < error[best] ? c : best;
    gather(f, -1);
    GRD_TRY(solve(f, fine[best] * f->scale));
    give(f, fine[best] * f->scale);
    return GRD_OK;
}

/* By accuracy, or squared error, on a set of its own; a tie: the larger. */
static grd_status choose_on(fit *f, const grd_dataset *val)
{
    double best = -INFINITY, best_lambda = 0;
    for (int k = 0; k < CANDIDATES; k++) {
        grd_linear_scores s;
        double lambda = candidate[k] * f->scale;
        GRD_TRY(solve(f, lambda));
        give(f, lambda);
        GRD_TRY(grd_linear_model_evaluate(f->data.model, val, &s, NULL));
        double good = f->data.model->classes ? s.accuracy : -s.mse;
        best_lambda = good >= best ? lambda : best_lambda;
        best = good >= best ? good : best;
    }
    GRD_TRY(solve(f, best_lambda));
    give(f, best_lambda);
    return GRD_OK;
}

static grd_status prepare(fit *f)
{
    int64_t d = f->data.size, outputs = f->data.model->outputs;
    GRD_TRY(new_sums(f, &f->all));
    for (int k = 0; k < f->data.parts; k++) {
        GRD_TRY(new_sums(f, &f->part[k]));
        GRD_TRY(grd_linear_data_rows(&f->data, k, add_rows, &(adding){ f, &f->part[k] }));
    }
    f->factor = GRD_NEW_N(f->host, double, d * d);
    f->w = GRD_NEW_N(f->host, double, d * outputs);
    f->at_mean = GRD_NEW_N(f->host, double, outputs);
    f->row = GRD_NEW_N(f->host, double, d);
    if (!f->factor || !f->w || !f->at_mean || !f->row)
        return GRD_ERR_MEMORY;
    gather(f, -1);
    for (int64_t i = 0; i < d; i++)
        f->scale += f->all.xx[i * d + i] / f->all.n;
    if (!(f->scale > 0)) /* all samples are alike: any lambda gives W = 0 */
        f->scale = 1;
    return GRD_OK;
}

static grd_status run(fit *f, const grd_dataset *train, const grd_linear_fit_opts *o)
{
    GRD_TRY(grd_linear_data_open(&f->data, f->data.model, train, o->folds, o->seed, false));
    GRD_TRY(prepare(f));
    if (o->folds > 1)
        return choose_by_folds(f);
    if (o->lambda == GRD_RIDGE_AUTO)
        return choose_on(f, o->val);
    double lambda = o->lambda == GRD_RIDGE_DEFAULT ? candidate[BY_DEFAULT] * f->scale : o->lambda;
    GRD_TRY(solve(f, lambda));
    give(f, lambda);
    return GRD_OK;
}

grd_status grd_ridge_fit(grd_ctx *ctx, const grd_dataset *train, const grd_linear_fit_opts *o, grd_linear_model **model)
{
    *model = NULL;
    fit f = { .host = &ctx->host };
    if (o->lambda != GRD_RIDGE_AUTO && !(o->lambda >= 0 && isfinite(o->lambda)))
        return grd_fail(f.host, GRD_ERR_ARG, "ridge: lambda %g, expected more than 0", o->lambda);
    if (o->lambda == GRD_RIDGE_AUTO && o->folds < 2 && !o->val)
        return grd_fail(f.host, GRD_ERR_ARG, "ridge: lambda is to be chosen, and there is no validation set to choose by");
    grd_linear_model *m;
    GRD_TRY(grd_linear_model_new(ctx, "ridge", train, o->input, o->target, &m));
    f.data.model = m;
    f.data.host = f.host;
    grd_status status = run(&f, train, o);
    free_sums(&f, &f.all);
    for (int k = 0; k < GRD_LINEAR_FOLDS; k++)
        free_sums(&f, &f.part[k]);
    void *const owned[] = { f.factor, f.w, f.at_mean, f.row };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(f.host, owned[i]);
    grd_linear_data_close(&f.data);
    if (status == GRD_OK)
        *model = m;
    else
        grd_linear_model_free(m);
    return status;
}
