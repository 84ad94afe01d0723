/* Suspects by confident learning (Northcutt, Jiang, Chuang 2021): a quick model tells each sample's class without having seen it
 * (5 folds); where it is surer of another class than of the label, the label is suspect.
 *
 * The quick model is ridge regression on one-hot labels, in closed form, of fixed random features: of pictures what random
 * patches of other pictures find in each of 3 x 3 regions (Coates, Ng 2011), of tables the columns and random cosines of them
 * (Rahimi, Recht 2007), of texts the hashed tokens. Each fold's sums are made once; a fold is left out by subtracting them. */
#define _GNU_SOURCE
#include "data/inspect.h"

#include "base/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDS = 5, CHUNK = 512, PATCH = 5, REGIONS = 3, MOST_LINEAR = 1024, LEAST = 50, MOST_CLASSES = 1000, LAMBDAS = 5, ROWS = 4,
       LANES = 8 };
enum { FILTERS = 112, FEW_FILTERS = 32, COSINES = 384, FEW_COSINES = 128, MANY = 4000 }; /* few for less than MANY samples */
static const double lambda[LAMBDAS] = { 10, 1, 1e-1, 1e-2, 1e-3 }; /* beside a diagonal of ones */
#define THRESHOLD 0.2f /* of a filter's response to a patch: their cosine */

typedef struct quick {
    grd_report *r;
    int64_t n, *who; /* samples with a label, ordered by fold */
    int64_t begin[FOLDS + 1];
    int64_t in, size, classes; /* numbers of a row, of its random features (a multiple of LANES), classes */
    float *mean, *scale;       /* [in] of the rows */
    int patch, pixels;         /* of pictures: side, numbers of a patch */
    int drawn;                 /* how many filters, or cosines */
    float *filter;             /* [pixels][drawn], or [in][drawn] */
    float *phase;              /* [drawn] */
    float *phi;                /* [CHUNK][size] */
    int64_t first, count;      /* the chunk: of who */
    double *gram[FOLDS + 1], *right[FOLDS + 1], *sum[FOLDS + 1]; /* [size,size], [size,classes], [size]; the last: of all */
    double *total;                                               /* [FOLDS + 1][classes] */
    double *system[FOLDS], *solution[FOLDS];
    float *weight[FOLDS], *bias[FOLDS]; /* [size][classes], [classes] */
    double at_lambda;
    int32_t *predicted;             /* [n] */
    float *of_label, *of_predicted; /* [n]: probabilities */
} quick;

/* ---- features ---- */

static float clean(const quick *q, const float *row, int64_t k)
{
    float x = (row[k] - q->mean[k]) * q->scale[k];
    return isfinite(x) ? x < -6 ? -6 : x > 6 ? 6 : x : 0;
}

/* The patch at y, x with mean 0 and length at most 1; false if there is nothing in it. */
static bool cut_patch(const quick *q, const float *picture, int y, int x, float *patch)
{
    const grd_features *p = &q->r->features;
    float sum = 0, square = 0;
    int n = 0;
    for (int c = 0; c < p->channels; c++)
        for (int i = 0; i < q->patch; i++)
            for (int j = 0; j < q->patch; j++)
                sum += patch[n++] = picture[(c * p->height + y + i) * p->width + x + j];
    sum /= (float)n;
    for (int k = 0; k < n; k++) {
        patch[k] -= sum;
        square += patch[k] * patch[k];
    }
    float by = 1 / sqrtf(square + 0.02f * (float)n);
    for (int k = 0; k < n; k++)
        patch[k] *= by;
    return square > 0.02f * (float)n;
}

static void picture_features(const quick *q, const float *row, float *out)
{
    const grd_features *p = &q->r->features;
    float picture[16 * 16 * 4], patch[PATCH * PATCH * 4];
    const int n = q->drawn, rows = p->height - q->patch + 1, columns = p->width - q->patch + 1;
    for (int64_t k = 0; k < q->in; k++)
        picture[k] = clean(q, row, k);
    memset(out, 0, sizeof *out * (size_t)q->size);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            float found[FILTERS] = { 0 }, *region = out + (y * REGIONS / rows * REGIONS + x * REGIONS / columns) * n;
            cut_patch(q, picture, y, x, patch);
            for (int e = 0; e < q->pixels; e++)
                for (int k = 0; k < n; k++)
                    found[k] += patch[e] * q->filter[e * n + k];
            for (int k = 0; k < n; k++)
                region[k] += found[k] > THRESHOLD ? found[k] - THRESHOLD : 0;
        }
}

static void cosine_features(const quick *q, const float *row, float *out)
{
    float turn[COSINES];
    const int n = q->drawn;
    const int64_t linear = q->in <= MOST_LINEAR ? q->in : 0;
    memset(out, 0, sizeof *out * (size_t)q->size);
    memcpy(turn, q->phase, sizeof *turn * (size_t)n);
    for (int64_t e = 0; e < q->in; e++) {
        float x = clean(q, row, e);
        if (linear)
            out[e] = x;
        for (int k = 0; k < n && x != 0; k++)
            turn[k] += x * q->filter[e * n + k];
    }
    for (int k = 0; k < n; k++)
        out[linear + k] = cosf(turn[k]);
}

static void feature_rows(void *ctx, int64_t begin, int64_t end)
{
    quick *q = ctx;
    const grd_report *r = q->r;
    for (int64_t i = begin; i < end; i++) {
        const float *row = r->features.row + q->who[q->first + i] * q->in;
        float *out = q->phi + i * q->size;
        if (r->features.kind == GRD_FEATURES_PICTURE)
            picture_features(q, row, out);
        else if (r->features.kind == GRD_FEATURES_TABLE)
            cosine_features(q, row, out);
        else
            memcpy(out, row, sizeof *out * (size_t)q->size);
    }
}

/* Features of the chunk that begins at `first`; returns where the next one begins. Chunks stay within a fold. */
static int64_t make_chunk(quick *q, int64_t first, int64_t end)
{
    q->first = first;
    q->count = end - first < CHUNK ? end - first : CHUNK;
    grd_parallel_for(q->r->ctx->threads, q->count, 8, feature_rows, q);
    return first + q->count;
}

/* ---- what the features need ---- */

/* Pictures get one mean and one scale, columns each their own. */
static void standardise(quick *q)
{
    const bool one = q->r->features.kind == GRD_FEATURES_PICTURE;
    double all = 0, squares = 0, count = 0;
    for (int64_t k = 0; k < q->in; k++) {
        double sum = 0, square = 0, n = 0;
        for (int64_t i = 0; i < q->n; i++) {
            double x = q->r->features.row[q->who[i] * q->in + k];
            if (isfinite(x)) {
                sum += x;
                square += x * x;
                n++;
            }
        }
        double mean = n > 0 ? sum / n : 0, var = n > 0 ? square / n - mean * mean : 0;
        q->mean[k] = (float)mean;
        q->scale[k] = var > 1e-12 * mean * mean && var > 0 ? (float)(1 / sqrt(var)) : 0;
        all += sum, squares += square, count += n;
    }
    double mean = count > 0 ? all / count : 0, var = count > 0 ? squares / count - mean * mean : 0;
    for (int64_t k = 0; k < q->in && one; k++) {
        q->mean[k] = (float)mean;
        q->scale[k] = var > 0 ? (float)(1 / sqrt(var)) : 0;
    }
}

static double uniform(uint64_t row, uint64_t block, int word)
{
    uint32_t bits[4];
    grd_random4(&(grd_key){ .seed = grd_hash(0, "data check") }, row, block, bits);
    return grd_uniform(bits[word]);
}

/* Patches of random samples at random places; one without content is drawn again, a few times. */
static void draw_filters(quick *q)
{
    const grd_features *p = &q->r->features;
    float picture[16 * 16 * 4], patch[PATCH * PATCH * 4];
    for (int k = 0; k < q->drawn; k++) {
        for (int attempt = 0; attempt < 20; attempt++) {
            const float *row =
                q->r->features.row + q->who[(int64_t)(uniform((uint64_t)k, (uint64_t)attempt, 0) * (double)q->n)] * q->in;
            for (int64_t e = 0; e < q->in; e++)
                picture[e] = clean(q, row, e);
            int y = (int)(uniform((uint64_t)k, (uint64_t)attempt, 1) * (p->height - q->patch + 1));
            int x = (int)(uniform((uint64_t)k, (uint64_t)attempt, 2) * (p->width - q->patch + 1));
            if (cut_patch(q, picture, y, x, patch))
                break;
        }
        float square = 1e-12f;
        for (int e = 0; e < q->pixels; e++)
            square += patch[e] * patch[e];
        for (int e = 0; e < q->pixels; e++)
            q->filter[e * q->drawn + k] = patch[e] / sqrtf(square);
    }
}

static void draw_cosines(quick *q)
{
    for (int k = 0; k < q->drawn; k++)
        q->phase[k] = (float)(2 * M_PI * uniform((uint64_t)k, 0, 0));
    for (int64_t e = 0; e < q->in; e++)
        for (int k = 0; k < q->drawn; k++) { /* normal numbers, by Box and Muller */
            double a = uniform((uint64_t)k, (uint64_t)e + 1, 0), b = uniform((uint64_t)k, (uint64_t)e + 1, 1);
            q->filter[e * q->drawn + k] = (float)(sqrt(-2 * log(1 - a)) * cos(2 * M_PI * b) / sqrt((double)q->in));
        }
}

/* ---- sums ---- */

/* Rows begin..end-1, in blocks of ROWS, of the chunk's phi' phi from the diagonal on, into the fold's. */
typedef struct product {
    const quick *q;
    double *gram;
} product;

static void gram_rows(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    const quick *q = p->q;
    for (int64_t b = begin; b < end; b++)
        for (int64_t j = b * ROWS / LANES * LANES; j < q->size; j += LANES) {
            float sum[ROWS][LANES] = { { 0 } };
            for (int64_t s = 0; s < q->count; s++) {
                const float *x = q->phi + s * q->size + b * ROWS, *y = q->phi + s * q->size + j;
                for (int u = 0; u < ROWS; u++)
                    for (int v = 0; v < LANES; v++)
                        sum[u][v] += x[u] * y[v];
            }
            for (int u = 0; u < ROWS; u++)
                for (int v = 0; v < LANES; v++)
                    p->gram[(b * ROWS + u) * q->size + j + v] += sum[u][v];
        }
}

static void add_labels(quick *q, int fold)
{
    for (int64_t i = 0; i < q->count; i++) {
        int32_t label = q->r->seen[q->who[q->first + i]].label;
        q->total[fold * q->classes + label]++;
        for (int64_t k = 0; k < q->size; k++) {
            float x = q->phi[i * q->size + k];
            q->right[fold][k * q->classes + label] += x;
            q->sum[fold][k] += x;
        }
    }
}

static void add_up(double *to, const double *from, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        to[k] += from[k];
}

static grd_status make_sums(quick *q)
{
    for (int fold = 0; fold < FOLDS; fold++) {
        for (int64_t at = q->begin[fold]; at < q->begin[fold + 1];) {
            at = make_chunk(q, at, q->begin[fold + 1]);
            product p = { q, q->gram[fold] };
            grd_parallel_for(q->r->ctx->threads, q->size / ROWS, 1, gram_rows, &p);
            add_labels(q, fold);
            GRD_TRY(grd_report_progress(q->r, "quick model", at, 2 * q->n));
        }
        add_up(q->gram[FOLDS], q->gram[fold], q->size * q->size);
        add_up(q->right[FOLDS], q->right[fold], q->size * q->classes);
        add_up(q->sum[FOLDS], q->sum[fold], q->size);
        add_up(q->total + FOLDS * q->classes, q->total + fold * q->classes, q->classes);
    }
    return GRD_OK;
}

/* ---- solving ---- */

/* Cholesky of the upper part in place, and both substitutions. A pivot that is not positive (it cannot be but by rounding)
 * counts as one of lambda's size. */
static void solve_system(double *a, int64_t n, double *s, int64_t classes, double least)
{
    for (int64_t k = 0; k < n; k++) {
        double root = sqrt(a[k * n + k] > least ? a[k * n + k] : least);
        a[k * n + k] = root;
        for (int64_t j = k + 1; j < n; j++)
            a[k * n + j] /= root;
        for (int64_t i = k + 1; i < n; i++) {
            double aki = a[k * n + i];
            for (int64_t j = i; j < n && aki != 0; j++)
                a[i * n + j] -= aki * a[k * n + j];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++)
            for (int64_t c = 0; c < classes; c++)
                s[i * classes + c] -= a[k * n + i] * s[k * classes + c];
        for (int64_t c = 0; c < classes; c++)
            s[i * classes + c] /= a[i * n + i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        for (int64_t k = i + 1; k < n; k++)
            for (int64_t c = 0; c < classes; c++)
                s[i * classes + c] -= a[i * n + k] * s[k * classes + c];
        for (int64_t c = 0; c < classes; c++)
            s[i * classes + c] /= a[i * n + i];
    }
}

/* The model without `fold`: features centred and of variance 1, so that one lambda suits all. */
static void solve_fold(quick *q, int fold)
{
    const int64_t n = q->size, classes = q->classes;
    double count = (double)(q->n - (q->begin[fold + 1] - q->begin[fold])), *a = q->system[fold], *s = q->solution[fold];
    const double *sums[2] = { q->sum[FOLDS], q->sum[fold] };
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++)
            a[i * n + j] = (q->gram[FOLDS][i * n + j] - q->gram[fold][i * n + j]) / count -
                           (sums[0][i] - sums[1][i]) / count * ((sums[0][j] - sums[1][j]) / count);
    float *bias = q->bias[fold], *weight = q->weight[fold];
    for (int64_t c = 0; c < classes; c++)
        bias[c] = (float)((q->total[FOLDS * classes + c] - q->total[fold * classes + c]) / count);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < classes; c++)
            s[i * classes + c] = (q->right[FOLDS][i * classes + c] - q->right[fold][i * classes + c]) / count -
                                 (sums[0][i] - sums[1][i]) / count * bias[c];
    for (int64_t i = 0; i < n; i++) /* the diagonal last: it scales the rest */
        for (int64_t j = i + 1; j < n; j++) {
            double scale = a[i * n + i] * a[j * n + j];
            a[i * n + j] *= scale > 1e-18 ? 1 / sqrt(scale) : 0;
        }
    for (int64_t i = 0; i < n; i++) {
        double by = a[i * n + i] > 1e-9 ? 1 / sqrt(a[i * n + i]) : 0;
        for (int64_t c = 0; c < classes; c++) {
            s[i * classes + c] *= by;
            weight[i * classes + c] = (float)by;
        }
        a[i * n + i] = 1 + q->at_lambda;
    }
    solve_system(a, n, s, classes, q->at_lambda);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < classes; c++) {
            weight[i * classes + c] *= (float)s[i * classes + c];
            bias[c] -= weight[i * classes + c] * (float)((sums[0][i] - sums[1][i]) / count);
        }
}

typedef struct folds {
    quick *q;
    int first;
} folds;

static void solve_folds(void *ctx, int64_t begin, int64_t end)
{
    const folds *f = ctx;
    for (int64_t fold = begin; fold < end; fold++)
        solve_fold(f->q, f->first + (int)fold);
}

/* ---- predicting ---- */

typedef struct predicting {
    quick *q;
    int fold;
} predicting;

static void predict_rows(void *ctx, int64_t begin, int64_t end)
{
    const predicting *p = ctx;
    quick *q = p->q;
    float value[MOST_CLASSES];
    for (int64_t i = begin; i < end; i++) {
        const float *x = q->phi + i * q->size;
        int64_t at = q->first + i, best = 0;
        memcpy(value, q->bias[p->fold], sizeof *value * (size_t)q->classes);
        for (int64_t k = 0; k < q->size; k++)
            for (int64_t c = 0; c < q->classes; c++)
                value[c] += x[k] * q->weight[p->fold][k * q->classes + c];
        float sum = 1e-6f;
        for (int64_t c = 0; c < q->classes; c++) {
            value[c] = value[c] < 0 ? 0 : value[c] > 1 ? 1 : value[c];
            sum += value[c];
            best = value[c] > value[best] ? c : best;
        }
        q->predicted[at] = (int32_t)best;
        q->of_predicted[at] = value[best] / sum;
        q->of_label[at] = value[q->r->seen[q->who[at]].label] / sum;
    }
}

/* Returns how many of the fold are told right. */
static int64_t predict_fold(quick *q, int fold)
{
    int64_t right = 0;
    for (int64_t at = q->begin[fold]; at < q->begin[fold + 1];) {
        at = make_chunk(q, at, q->begin[fold + 1]);
        predicting p = { q, fold };
        grd_parallel_for(q->r->ctx->threads, q->count, 8, predict_rows, &p);
    }
    for (int64_t at = q->begin[fold]; at < q->begin[fold + 1]; at++)
        right += q->predicted[at] == q->r->seen[q->who[at]].label;
    return right;
}

/* Lambda by the first fold, then all the others with it. */
static grd_status predict(quick *q)
{
    int64_t most = -1, right = 0;
    double best = lambda[0];
    for (int k = 0; k < LAMBDAS; k++) {
        q->at_lambda = lambda[k];
        solve_fold(q, 0);
        int64_t now = predict_fold(q, 0);
        if (now > most) {
            most = now;
            best = lambda[k];
        }
        GRD_TRY(grd_report_progress(q->r, "quick model", q->n + (k + 1) * q->n / 10, 2 * q->n));
    }
    q->at_lambda = best;
    folds all = { q, 0 };
    grd_parallel_for(q->r->ctx->threads, FOLDS, 1, solve_folds, &all);
    for (int fold = 0; fold < FOLDS; fold++) {
        right += predict_fold(q, fold);
        GRD_TRY(grd_report_progress(q->r, "quick model", q->n + (LAMBDAS + fold) * q->n / 10, 2 * q->n));
    }
    q->r->model_accuracy = (double)right / (double)q->n;
    return grd_report_progress(q->r, "quick model", 2 * q->n, 2 * q->n);
}

/* ---- suspects ---- */

static int by_score(const void *x, const void *y)
{
    const grd_suspect *a = x, *b = y;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->sample < b->sample ? -1 : a->sample > b->sample;
}

/* Those whose prediction is another class, the worst first, at most 2 % of all. Confident: at least as sure as the model is on
 * average for samples labelled with the predicted class. */
static grd_status list_suspects(quick *q)
{
    grd_report *r = q->r;
    double *sure = GRD_NEW_N(r->host, double, 2 * q->classes);
    if (!sure)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < q->n; i++) {
        int32_t label = r->seen[q->who[i]].label;
        sure[label] += q->of_label[i];
        sure[q->classes + label]++;
    }
    grd_status status = GRD_OK;
    for (int64_t i = 0; i < q->n && status == GRD_OK; i++) {
        grd_suspect s = { q->who[i], r->seen[q->who[i]].label, q->predicted[i], q->of_predicted[i] - q->of_label[i], false };
        if (s.predicted == s.label)
            continue;
        s.confident = q->of_predicted[i] * sure[q->classes + s.predicted] >= sure[s.predicted];
        r->n_confident += s.confident;
        if (!GRD_RESERVE(r->host, &r->suspects))
            status = GRD_ERR_MEMORY;
        else
            r->suspects.item[r->suspects.n++] = s;
    }
    grd_free(r->host, sure);
    if (r->suspects.n)
        qsort(r->suspects.item, (size_t)r->suspects.n, sizeof *r->suspects.item, by_score);
    int64_t most = q->n / 50 > 20 ? q->n / 50 : 20;
    r->suspects.n = r->suspects.n < most ? r->suspects.n : (int)most;
    return status;
}

/* ---- life ---- */

/* Equal inputs come into one fold: a model that has seen a copy is no judge. */
static void deal_folds(quick *q)
{
    const grd_report *r = q->r;
    for (int fold = 0; fold < FOLDS; fold++) {
        for (int64_t i = 0; i < r->n; i++)
            if (r->seen[i].label >= 0 && !(r->seen[i].flags & GRD_SEEN_UNREADABLE) &&
                r->seen[i].hash[0] % FOLDS == (uint64_t)fold)
                q->who[q->n++] = i;
        q->begin[fold + 1] = q->n;
    }
}

static void plan_features(quick *q)
{
    const grd_features *p = &q->r->features;
    int64_t size = p->n;
    if (p->kind == GRD_FEATURES_PICTURE) {
        q->patch = p->height < PATCH || p->width < PATCH ? p->height < p->width ? p->height : p->width : PATCH;
        q->pixels = q->patch * q->patch * p->channels;
        q->drawn = q->n < MANY ? FEW_FILTERS : FILTERS;
        size = REGIONS * REGIONS * q->drawn;
    } else if (p->kind == GRD_FEATURES_TABLE) {
        q->drawn = q->n < MANY ? FEW_COSINES : COSINES;
        size = (p->n <= MOST_LINEAR ? p->n : 0) + q->drawn;
    }
    q->in = p->n;
    q->size = (size + LANES - 1) / LANES * LANES;
}

static grd_status allocate(quick *q)
{
    grd_host *host = q->r->host;
    q->mean = GRD_NEW_N(host, float, q->in);
    q->scale = GRD_NEW_N(host, float, q->in);
    q->filter = GRD_NEW_N(host, float, (q->pixels ? q->pixels : q->in) * q->drawn);
    q->phase = GRD_NEW_N(host, float, q->drawn);
    q->phi = GRD_NEW_N(host, float, CHUNK * q->size);
    q->total = GRD_NEW_N(host, double, (FOLDS + 1) * q->classes);
    q->predicted = GRD_NEW_N(host, int32_t, q->n);
    q->of_label = GRD_NEW_N(host, float, q->n);
    q->of_predicted = GRD_NEW_N(host, float, q->n);
    bool whole =
        q->mean && q->scale && q->filter && q->phase && q->phi && q->total && q->predicted && q->of_label && q->of_predicted;
    for (int k = 0; k <= FOLDS && whole; k++) {
        q->gram[k] = GRD_NEW_N(host, double, q->size * q->size);
        q->right[k] = GRD_NEW_N(host, double, q->size * q->classes);
        q->sum[k] = GRD_NEW_N(host, double, q->size);
        whole = q->gram[k] && q->right[k] && q->sum[k];
    }
    for (int k = 0; k < FOLDS && whole; k++) {
        q->system[k] = GRD_NEW_N(host, double, q->size * q->size);
        q->solution[k] = GRD_NEW_N(host, double, q->size * q->classes);
        q->weight[k] = GRD_NEW_N(host, float, q->size * q->classes);
        q->bias[k] = GRD_NEW_N(host, float, q->classes);
        whole = q->system[k] && q->solution[k] && q->weight[k] && q->bias[k];
    }
    return whole ? GRD_OK : GRD_ERR_MEMORY;
}

static void release(quick *q)
{
    grd_host *host = q->r->host;
    void *const owned[] = { q->who, q->mean,  q->scale,     q->filter,   q->phase,
                            q->phi, q->total, q->predicted, q->of_label, q->of_predicted };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(host, owned[i]);
    for (int k = 0; k <= FOLDS; k++) {
        grd_free(host, q->gram[k]);
        grd_free(host, q->right[k]);
        grd_free(host, q->sum[k]);
    }
    for (int k = 0; k < FOLDS; k++) {
        grd_free(host, q->system[k]);
        grd_free(host, q->solution[k]);
        grd_free(host, q->weight[k]);
        grd_free(host, q->bias[k]);
    }
}

static grd_status judge(quick *q)
{
    GRD_TRY(allocate(q));
    if (q->r->features.kind != GRD_FEATURES_TOKENS)
        standardise(q);
    if (q->r->features.kind == GRD_FEATURES_PICTURE)
        draw_filters(q);
    else if (q->r->features.kind == GRD_FEATURES_TABLE)
        draw_cosines(q);
    GRD_TRY(make_sums(q));
    GRD_TRY(predict(q));
    return list_suspects(q);
}

grd_status grd_suspects_find(grd_report *r)
{
    quick q = { .r = r, .classes = r->classes };
    if (r->label < 0 || r->features.kind == GRD_FEATURES_NONE || r->classes < 2 || r->classes > MOST_CLASSES)
        return GRD_OK;
    q.who = GRD_NEW_N(r->host, int64_t, r->n);
    if (!q.who)
        return GRD_ERR_MEMORY;
    deal_folds(&q);
    plan_features(&q);
    grd_status status = q.n >= LEAST ? judge(&q) : GRD_OK;
    release(&q);
    return status;
}
