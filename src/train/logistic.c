/* Logistic regression by Newton's method: minimises sum_i -log p(y_i | x_i) + lambda/2 |W|^2, biases free, to machine precision.
 * Two classes: one logit, that of class 1 (class 0's is 0). More: softmax over all; class 0's bias is held at 0 meanwhile, for a
 * number added to all biases changes nothing. Unknowns are [logits, E], E = features + 1, a row's last one its bias. */
#include "train/dense.h"
#include "train/linear.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MOST_STEPS = 200, HALVINGS = 60 };
#define CLOSE 1e-13   /* of the objective: what Newton's model of it still promises */

typedef struct fit {
    grd_linear_data data;
    grd_host *host;
    int64_t classes, logits, first, width, unknowns; /* first: class of the first logit; width: E */
    double lambda;
    double *theta, *trial, *step, *gradient; /* [unknowns] */
    double *hessian, *block;                 /* [unknowns, unknowns], [E,E] */
    double *wide, *p, *s;                    /* rows with a 1 behind them [N,E], probabilities [N,logits], weights [N] */
} fit;

/* ---- one evaluation ---- */

/* Logits of row i into z [logits]; returns the row's loss, leaves probabilities in z. */
static double row_loss(const fit *f, const double *theta, int64_t i, double *z)
{
    const double *x = f->wide + i * f->width, *y = f->data.y + i * f->classes;
    double largest = f->first ? 0 : -INFINITY, truth = 0, sum;
    for (int64_t c = 0; c < f->logits; c++) {
        const double *w = theta + c * f->width;
        z[c] = 0;
        for (int64_t k = 0; k < f->width; k++)
            z[c] += w[k] * x[k];
        largest = fmax(largest, z[c]);
        truth += y[c + f->first] * z[c];
    }
    sum = f->first ? exp(-largest) : 0; /* class 0 */
    for (int64_t c = 0; c < f->logits; c++)
        sum += z[c] = exp(z[c] - largest);
    for (int64_t c = 0; c < f->logits; c++)
        z[c] /= sum;
    return log(sum) + largest - truth;
}

static double objective(fit *f, const double *theta)
{
    double sum = 0;
    for (int64_t i = 0; i < f->data.n; i++)
        sum += row_loss(f, theta, i, f->p + i * f->logits);
    for (int64_t u = 0; u < f->unknowns; u++)
        sum += (u + 1) % f->width ? f->lambda / 2 * theta[u] * theta[u] : 0;
    return sum;
}

static bool held_at_zero(const fit *f, int64_t u) { return !f->first && u == f->width - 1; }

/* At theta, whose probabilities are in p. */
static void differentiate(fit *f)
{
    for (int64_t u = 0; u < f->unknowns; u++)
        f->gradient[u] = (u + 1) % f->width ? f->lambda * f->theta[u] : 0;
    for (int64_t i = 0; i < f->data.n; i++)
        for (int64_t c = 0; c < f->logits; c++) {
            double off = f->p[i * f->logits + c] - f->data.y[i * f->classes + c + f->first];
            for (int64_t k = 0; k < f->width; k++)
                f->gradient[c * f->width + k] += off * f->wide[i * f->width + k];
        }
}

static void add_block(fit *f, int64_t a, int64_t b)
{
    int64_t e = f->width, n = f->unknowns;
    for (int64_t i = 0; i < f->data.n; i++) {
        const double *p = f->p + i * f->logits;
        f->s[i] = p[a] * ((a == b) - p[b]);
    }
    memset(f->block, 0, sizeof *f->block * (size_t)(e * e));
    grd_dense_gram(f->data.model->ctx->threads, f->wide, f->s, f->data.n, e, f->block);
    for (int64_t i = 0; i < e; i++)
        for (int64_t j = i; j < e; j++) {
            f->hessian[(a * e + i) * n + b * e + j] = f->block[i * e + j];
            f->hessian[(a * e + j) * n + b * e + i] = f->block[i * e + j]; /* below the diagonal of a block off the diagonal */
        }
}

static grd_status find_step(fit *f)
{
    int64_t n = f->unknowns;
    for (int64_t a = 0; a < f->logits; a++)
        for (int64_t b = a; b < f->logits; b++)
            add_block(f, a, b);
    for (int64_t u = 0; u < n; u++) {
        double *row = f->hessian + u * n;
        if (held_at_zero(f, u)) {
            for (int64_t v = 0; v < n; v++)
                row[v] = f->hessian[v * n + u] = 0;
            row[u] = 1;
            f->gradient[u] = 0;
        } else if ((u + 1) % f->width) {
            row[u] += f->lambda;
        } else {
            row[u] += 1e-12 * (double)f->data.n; /* a class without samples has no finite bias */
        }
    }
    memcpy(f->step, f->gradient, sizeof *f->step * (size_t)n);
    if (grd_dense_cholesky(f->data.model->ctx->threads, f->hessian, n) >= 0)
        return grd_fail(f->host, GRD_ERR_NUMBER, "logistic: lambda %g is too small: the system is singular", f->lambda);
    grd_dense_substitute(f->hessian, n, f->step, 1);
    return GRD_OK;
}

/* ---- Newton ---- */

/* The first of 1, 1/2, 1/4, ... of the step that lowers the objective as it should. False: none, rounding is all there is. */
static bool go(fit *f, double *value, double decrement)
{
    double share = 1;
    for (int i = 0; i < HALVINGS; i++, share /= 2) {
        for (int64_t u = 0; u < f->unknowns; u++)
            f->trial[u] = f->theta[u] - share * f->step[u];
        double now = objective(f, f->trial);
        if (now <= *value - 1e-4 * share * decrement) {
            memcpy(f->theta, f->trial, sizeof *f->theta * (size_t)f->unknowns);
            *value = now;
            return true;
        }
    }
    return false;
}

static grd_status newton(fit *f)
{
    double value = objective(f, f->theta);
    for (int i = 0; i < MOST_STEPS; i++) {
        double decrement = 0;
        differentiate(f);
        GRD_TRY(find_step(f));
        for (int64_t u = 0; u < f->unknowns; u++)
            decrement += f->gradient[u] * f->step[u];
        if (decrement > CLOSE * (1 + value)) {
            if (!go(f, &value, decrement))
                return GRD_OK;
            continue;
        }
        for (int64_t u = 0; u < f->unknowns; u++) /* the last step squares what is left, far below what the objective can tell */
            f->theta[u] -= f->step[u];
        return GRD_OK;
    }
    return grd_fail(f->host, GRD_ERR_NUMBER, "logistic: no minimum after %d steps with lambda %g: take a larger one, or inputs "
                    "of about -1..1", MOST_STEPS, f->lambda);
}

/* Into the model. Of a softmax the biases' mean goes: they count only beside each other. */
static void give(fit *f)
{
    grd_linear_model *m = f->data.model;
    double mean = 0;
    for (int64_t c = 0; c < f->logits; c++) {
        const double *w = f->theta + c * f->width;
        grd_linear_data_back(&f->data, c + f->first, w, w[f->width - 1]);
    }
    for (int64_t c = 0; c < f->classes && !f->first; c++)
        mean += m->bias[c] / (double)f->classes;
    for (int64_t c = 0; c < f->classes && !f->first; c++)
        m->bias[c] -= mean;
    m->lambda = f->lambda;
}

/* ---- life ---- */

static grd_status allocate(fit *f)
{
    int64_t n = f->data.n, u = f->unknowns;
    f->theta = GRD_NEW_N(f->host, double, 4 * u);
    f->hessian = GRD_NEW_N(f->host, double, u * u);
    f->block = GRD_NEW_N(f->host, double, f->width * f->width);
    f->wide = GRD_NEW_N(f->host, double, n * f->width);
    f->p = GRD_NEW_N(f->host, double, n * f->logits);
    f->s = GRD_NEW_N(f->host, double, n);
    if (!f->theta || !f->hessian || !f->block || !f->wide || !f->p || !f->s)
        return GRD_ERR_MEMORY;
    f->trial = f->theta + u;
    f->step = f->trial + u;
    f->gradient = f->step + u;
    for (int64_t i = 0; i < n; i++) {
        memcpy(f->wide + i * f->width, f->data.x + i * f->data.size, sizeof *f->wide * (size_t)f->data.size);
        f->wide[i * f->width + f->data.size] = 1;
    }
    return GRD_OK;
}

static grd_status run(fit *f, const grd_dataset *train)
{
    grd_linear_model *m = f->data.model;
    int64_t n = grd_dataset_length(train), size = n < m->features ? n : m->features;
    f->classes = m->classes;
    f->first = m->classes == 2;
    f->logits = m->classes - f->first;
    if (size + 1 > GRD_LOGISTIC_UNKNOWNS / f->logits)
        return grd_fail(f->host, GRD_ERR_ARG, "logistic: %" PRId64 " classes of %" PRId64 " features are too many unknowns for "
                        "Newton's method, expected at most %d", f->classes, size, GRD_LOGISTIC_UNKNOWNS);
    GRD_TRY(grd_linear_data_open(&f->data, m, train, 0, 0, true));
    f->width = f->data.size + 1;
    f->unknowns = f->logits * f->width;
    GRD_TRY(allocate(f));
    GRD_TRY(newton(f));
    give(f);
    return GRD_OK;
}

grd_status grd_logistic_fit(grd_ctx *ctx, const grd_dataset *train, const grd_linear_fit_opts *o, grd_linear_model **model)
{
    *model = NULL;
    fit f = { .host = &ctx->host, .lambda = o->lambda == 0 ? 1 : o->lambda };
    if (!(f.lambda > 0 && isfinite(f.lambda)))
        return grd_fail(f.host, GRD_ERR_ARG, "logistic: lambda %g, expected more than 0", o->lambda);
    grd_linear_model *m;
    GRD_TRY(grd_linear_model_new(ctx, "logistic", train, o->input, o->target, &m));
    f.data.model = m;
    f.data.host = f.host;
    grd_status status;
    if (m->classes < 2)
        status = grd_fail(f.host, GRD_ERR_DATA, "logistic: field \"%s\" has %lld classes, expected 2 or more", o->target,
                          (long long)m->classes);
    else
        status = run(&f, train);
    void *const owned[] = { f.theta, f.hessian, f.block, f.wide, f.p, f.s };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(f.host, owned[i]);
    grd_linear_data_close(&f.data);
    if (status == GRD_OK)
        *model = m;
    else
        grd_linear_model_free(m);
    return status;
}
