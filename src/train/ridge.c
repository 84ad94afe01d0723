/* A linear classifier in closed form: ridge regression on one-hot targets. With X centred [N,D] and Y centred [N,C],
 *   W' = (X'X + lambda I)^-1 X'Y = X' (XX' + lambda I)^-1 Y,   b = mean(y) - W mean(x);
 * the smaller of the two systems is solved, in double. */
#include "base/ctx.h"
#include "base/parallel.h"
#include "format/pth.h"

#include <gradus/train.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 256 };          /* samples read at a time */
enum { CANDIDATES = 5 };
static const double candidate[CANDIDATES] = { 1e-3, 1e-2, 0.1, 1, 10 }; /* times the mean squared distance from the mean */
enum { BY_DEFAULT = 2 };

struct grd_ridge {
    grd_child child;
    grd_ctx *ctx;
    int64_t features, classes;
    double lambda;
    double *weight, *bias;     /* [C,D], [C] */
    int input, label;          /* fields */
    char input_name[GRD_FIELD_NAME], label_name[GRD_FIELD_NAME];
};

typedef struct fit {
    grd_ridge *r;
    grd_host *host;
    const grd_dataset *train;
    int64_t n, size;           /* samples; of the system: min(N, D) */
    bool dual;
    double *mean;              /* [D] */
    double *prior;             /* [C]: mean of y, the share of each class */
    double *x;                 /* dual: all of it, centred [N,D]; else a chunk [CHUNK,D] */
    int32_t *y;                /* [N] */
    double *system, *factor;   /* [size,size] */
    double *right, *solution;  /* [size,C] */
} fit;

/* ---- data ---- */

static int find_field(const grd_dataset *data, const char *name, grd_field *out)
{
    const grd_field *field;
    int n = grd_dataset_fields(data, &field);
    for (int i = 0; i < n; i++)
        if (strcmp(field[i].name, name) == 0) {
            *out = field[i];
            return i;
        }
    return -1;
}

static grd_status match_fields(grd_ridge *r, const grd_dataset *data, const char *input, const char *label)
{
    grd_host *host = &r->ctx->host;
    grd_field x, y;
    char shape[80];
    r->input = find_field(data, input, &x);
    r->label = find_field(data, label, &y);
    if (r->input < 0 || r->label < 0)
        return grd_fail(host, GRD_ERR_DATA, "ridge: the data has no field \"%s\"", r->input < 0 ? input : label);
    int64_t features = 1;
    bool fixed = true;
    for (int d = 0; d < x.shape.rank; d++) {
        fixed = fixed && x.shape.dim[d] > 0;
        features *= fixed ? x.shape.dim[d] : 1;
    }
    if ((x.dtype != GRD_F32 && x.dtype != GRD_U8) || !fixed)
        return grd_fail(host, GRD_ERR_DATA, "ridge: field \"%s\" is %s %s, expected f32 or u8 of a fixed shape", input,
                        grd_dtype_name(x.dtype), grd_shape_text(&x.shape, shape, sizeof shape));
    if (y.dtype != GRD_I32 || grd_count(&y.shape) != 1 || y.classes < 1)
        return grd_fail(host, GRD_ERR_DATA, "ridge: field \"%s\" is %s %s with %lld classes, expected one class index", label,
                        grd_dtype_name(y.dtype), grd_shape_text(&y.shape, shape, sizeof shape), (long long)y.classes);
    if (r->features && (features != r->features || y.classes != r->classes))
        return grd_fail(host, GRD_ERR_DATA, "ridge: %lld features and %lld classes, fitted with %lld and %lld",
                        (long long)features, (long long)y.classes, (long long)r->features, (long long)r->classes);
    r->features = features;
    r->classes = y.classes;
    return GRD_OK;
}

/* Calls `use` with one batch after the other: x [n,D] as float or u8, y [n]. */
typedef grd_status (*use_batch)(void *user, const grd_batch *batch, const int32_t *y);

static grd_status each_batch(const grd_ridge *r, const grd_dataset *data, use_batch use, void *user)
{
    grd_loader *loader;
    GRD_TRY(grd_loader_new(r->ctx, data, &(grd_loader_opts){ .batch = CHUNK }, &loader));
    grd_status status = grd_loader_start(loader, 0, 0);
    while (status == GRD_OK) {
        const grd_batch *batch;
        status = grd_loader_next(loader, &batch);
        if (status != GRD_OK || !batch)
            break;
        const int32_t *y = batch->data[r->label];
        for (int64_t i = 0; i < batch->n && status == GRD_OK; i++)
            if (y[i] < 0 || y[i] >= r->classes)
                status = grd_fail(&r->ctx->host, GRD_ERR_DATA, "ridge: sample %lld: label %d, expected 0 to %lld",
                                  (long long)batch->index[i], (int)y[i], (long long)r->classes - 1);
        if (status == GRD_OK)
            status = use(user, batch, y);
    }
    grd_loader_free(loader);
    return status;
}

static void widen(const grd_ridge *r, const grd_batch *batch, int64_t i, double *x)
{
    const void *data = batch->data[r->input];
    bool bytes = batch->field[r->input].dtype == GRD_U8;
    for (int64_t d = 0; d < r->features; d++)
        x[d] = bytes ? ((const uint8_t *)data)[i * r->features + d] : (double)((const float *)data)[i * r->features + d];
}

/* ---- the system ---- */

static grd_status add_mean(void *user, const grd_batch *batch, const int32_t *y)
{
    fit *f = user;
    for (int64_t i = 0; i < batch->n; i++) {
        widen(f->r, batch, i, f->x);
        for (int64_t d = 0; d < f->r->features; d++)
            f->mean[d] += f->x[d];
        f->prior[y[i]]++;
        f->y[batch->first + i] = y[i];
    }
    return GRD_OK;
}

typedef struct product {       /* c [rows,cols of upper part] += of rows of a */
    const double *a;           /* [count, width] */
    double *c;
    int64_t count, width, size;
    bool dual;
} product;

/* Rows begin..end-1 of X'X (adding) or of XX', from the diagonal on. Each element is summed in one fixed order. */
static void product_rows(void *ctx, int64_t begin, int64_t end)
{
    const product *p = ctx;
    for (int64_t k = 0; k < p->count && !p->dual; k++) {
        const double *x = p->a + k * p->width;
        for (int64_t i = begin; i < end; i++) {
            double *c = p->c + i * p->size, xi = x[i];
            for (int64_t j = i; j < p->size && xi != 0; j++)
                c[j] += xi * x[j];
        }
    }
    for (int64_t i = begin; i < end && p->dual; i++)
        for (int64_t j = i; j < p->size; j++) {
            double sum = 0;
            for (int64_t d = 0; d < p->width; d++)
                sum += p->a[i * p->width + d] * p->a[j * p->width + d];
            p->c[i * p->size + j] = sum;
        }
}

static grd_status add_chunk(void *user, const grd_batch *batch, const int32_t *y)
{
    fit *f = user;
    int64_t features = f->r->features, classes = f->r->classes;
    double *x = f->dual ? f->x + batch->first * features : f->x;
    for (int64_t i = 0; i < batch->n; i++) {
        double *row = x + i * features;
        widen(f->r, batch, i, row);
        for (int64_t d = 0; d < features; d++)
            row[d] -= f->mean[d];
        if (f->dual)
            continue;
        for (int64_t d = 0; d < features; d++)
            for (int64_t c = 0; c < classes; c++)
                f->right[d * classes + c] += row[d] * ((y[i] == c) - f->prior[c]);
    }
    if (!f->dual) {
        product p = { x, f->system, batch->n, features, features, false };
        grd_parallel_for(f->r->ctx->threads, features, 32, product_rows, &p);
    }
    return GRD_OK;
}

static grd_status build(fit *f)
{
    grd_ridge *r = f->r;
    GRD_TRY(each_batch(r, f->train, add_mean, f));
    for (int64_t d = 0; d < r->features; d++)
        f->mean[d] /= (double)f->n;
    for (int64_t c = 0; c < r->classes; c++)
        f->prior[c] /= (double)f->n;
    GRD_TRY(each_batch(r, f->train, add_chunk, f));
    if (!f->dual)
        return GRD_OK;
    for (int64_t i = 0; i < f->n; i++)
        for (int64_t c = 0; c < r->classes; c++)
            f->right[i * r->classes + c] = (f->y[i] == c) - f->prior[c];
    product p = { f->x, f->system, f->n, r->features, f->n, true };
    grd_parallel_for(r->ctx->threads, f->n, 4, product_rows, &p);
    return GRD_OK;
}

static double mean_square(const fit *f)
{
    double trace = 0;
    for (int64_t i = 0; i < f->size; i++)
        trace += f->system[i * f->size + i];
    return trace / (double)f->n;
}

/* ---- solving ---- */

/* Cholesky of the upper part: factor' factor = system + lambda I. */
static grd_status factorise(fit *f, double lambda)
{
    int64_t n = f->size;
    double *a = f->factor;
    memcpy(a, f->system, sizeof *a * (size_t)(n * n));
    for (int64_t i = 0; i < n; i++)
        a[i * n + i] += lambda;
    for (int64_t k = 0; k < n; k++) {
        double pivot = a[k * n + k];
        if (!(pivot > 0) || !isfinite(pivot))
            return grd_fail(f->host, GRD_ERR_NUMBER, "ridge: lambda %g is too small: the system is singular (pivot %lld is %g)",
                            lambda, (long long)k, pivot);
        double root = sqrt(pivot);
        for (int64_t j = k; j < n; j++)
            a[k * n + j] /= root;
        for (int64_t i = k + 1; i < n; i++) {
            double aki = a[k * n + i];
            for (int64_t j = i; j < n && aki != 0; j++)
                a[i * n + j] -= aki * a[k * n + j];
        }
    }
    return GRD_OK;
}

static void substitute(fit *f)
{
    int64_t n = f->size, classes = f->r->classes;
    const double *a = f->factor;
    double *s = f->solution;
    memcpy(s, f->right, sizeof *s * (size_t)(n * classes));
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

static grd_status solve(fit *f, double lambda)
{
    grd_ridge *r = f->r;
    GRD_TRY(factorise(f, lambda));
    substitute(f);
    memset(r->weight, 0, sizeof *r->weight * (size_t)(r->classes * r->features));
    for (int64_t i = 0; i < f->size; i++)
        for (int64_t c = 0; c < r->classes; c++) {
            double s = f->solution[i * r->classes + c], *w = r->weight + c * r->features;
            if (!f->dual)
                w[i] = s;
            for (int64_t d = 0; d < r->features && f->dual; d++)
                w[d] += s * f->x[i * r->features + d];
        }
    for (int64_t c = 0; c < r->classes; c++) {
        double dot = 0;
        for (int64_t d = 0; d < r->features; d++)
            dot += r->weight[c * r->features + d] * f->mean[d];
        r->bias[c] = f->prior[c] - dot;
    }
    r->lambda = lambda;
    return GRD_OK;
}

static grd_status choose(fit *f, const grd_dataset *val, double scale)
{
    double best = -1, best_lambda = 0;
    for (int k = 0; k < CANDIDATES; k++) {
        double loss, accuracy;
        GRD_TRY(solve(f, candidate[k] * scale));
        GRD_TRY(grd_ridge_evaluate(f->r, val, &loss, &accuracy, NULL));
        if (accuracy >= best) {
            best = accuracy;
            best_lambda = f->r->lambda;
        }
    }
    return solve(f, best_lambda);
}

/* ---- life ---- */

static void free_ridge(void *self) { grd_ridge_free(self); }

void grd_ridge_free(grd_ridge *r)
{
    if (!r)
        return;
    grd_disown(&r->child);
    grd_host *host = &r->ctx->host;
    grd_free(host, r->weight);
    grd_free(host, r->bias);
    grd_free(host, r);
}

static grd_status allocate(fit *f)
{
    grd_ridge *r = f->r;
    f->n = grd_dataset_length(f->train);
    if (f->n < 1)
        return grd_fail(f->host, GRD_ERR_DATA, "ridge: there are no samples to fit");
    f->dual = f->n < r->features;
    f->size = f->dual ? f->n : r->features;
    if (f->size > INT32_MAX / 8 || r->features > INT64_MAX / 64 / CHUNK || r->classes > INT32_MAX)
        return grd_fail(f->host, GRD_ERR_MEMORY, "ridge: %lld samples of %lld features are too many", (long long)f->n,
                        (long long)r->features);
    int64_t rows = f->dual ? f->n : CHUNK;
    r->weight = GRD_NEW_N(f->host, double, r->classes * r->features);
    r->bias = GRD_NEW_N(f->host, double, r->classes);
    f->mean = GRD_NEW_N(f->host, double, r->features);
    f->prior = GRD_NEW_N(f->host, double, r->classes);
    f->x = GRD_NEW_N(f->host, double, rows * r->features);
    f->y = GRD_NEW_N(f->host, int32_t, f->n);
    f->system = GRD_NEW_N(f->host, double, f->size * f->size);
    f->factor = GRD_NEW_N(f->host, double, f->size * f->size);
    f->right = GRD_NEW_N(f->host, double, f->size * r->classes);
    f->solution = GRD_NEW_N(f->host, double, f->size * r->classes);
    return r->weight && r->bias && f->mean && f->prior && f->x && f->y && f->system && f->factor && f->right && f->solution
               ? GRD_OK
               : GRD_ERR_MEMORY;
}

static grd_status run_fit(fit *f, const grd_dataset *val, double lambda)
{
    GRD_TRY(allocate(f));
    GRD_TRY(build(f));
    double scale = mean_square(f);
    if (!(scale > 0)) /* all samples are alike: any lambda gives W = 0 */
        scale = 1;
    if (lambda == GRD_RIDGE_AUTO)
        return choose(f, val, scale);
    return solve(f, lambda == GRD_RIDGE_DEFAULT ? candidate[BY_DEFAULT] * scale : lambda);
}

grd_status grd_ridge_fit(grd_ctx *ctx, const grd_dataset *train, const grd_dataset *val, const char *input_field,
                         const char *label_field, double lambda, grd_ridge **ridge)
{
    *ridge = NULL;
    grd_host *host = &ctx->host;
    if (lambda != GRD_RIDGE_AUTO && !(lambda >= 0 && isfinite(lambda)))
        return grd_fail(host, GRD_ERR_ARG, "ridge: lambda %g, expected more than 0", lambda);
    if (lambda == GRD_RIDGE_AUTO && !val)
        return grd_fail(host, GRD_ERR_ARG, "ridge: lambda is to be chosen, and there is no validation set to choose by");
    fit f = { .host = host, .train = train };
    f.r = GRD_NEW(host, grd_ridge);
    if (!f.r)
        return GRD_ERR_MEMORY;
    f.r->ctx = ctx;
    snprintf(f.r->input_name, sizeof f.r->input_name, "%s", input_field);
    snprintf(f.r->label_name, sizeof f.r->label_name, "%s", label_field);
    grd_adopt(&ctx->root, &f.r->child, free_ridge);
    grd_status status = match_fields(f.r, train, input_field, label_field);
    if (status == GRD_OK)
        status = run_fit(&f, val, lambda);
    void *const owned[] = { f.mean, f.prior, f.x, f.y, f.system, f.factor, f.right, f.solution };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(host, owned[i]);
    if (status == GRD_OK)
        *ridge = f.r;
    else
        grd_ridge_free(f.r);
    return status;
}

/* ---- using it ---- */

int64_t grd_ridge_classes(const grd_ridge *r) { return r->classes; }
int64_t grd_ridge_features(const grd_ridge *r) { return r->features; }
double grd_ridge_lambda(const grd_ridge *r) { return r->lambda; }
const double *grd_ridge_weight(const grd_ridge *r) { return r->weight; }
const double *grd_ridge_bias(const grd_ridge *r) { return r->bias; }

/* Scores of x, float or bytes. */
static int64_t score(const grd_ridge *r, const void *x, bool bytes, double *scores)
{
    int64_t best = 0;
    for (int64_t c = 0; c < r->classes; c++) {
        const double *w = r->weight + c * r->features;
        double sum = r->bias[c];
        for (int64_t d = 0; d < r->features; d++)
            sum += w[d] * (bytes ? ((const uint8_t *)x)[d] : (double)((const float *)x)[d]);
        scores[c] = sum;
        best = sum > scores[best] ? c : best;
    }
    return best;
}

int64_t grd_ridge_predict(const grd_ridge *r, const float *x, double *scores) { return score(r, x, false, scores); }

typedef struct tally {
    const grd_ridge *r;
    double *scores, squares;
    int64_t n, right, *confusion;
} tally;

static grd_status count_batch(void *user, const grd_batch *batch, const int32_t *y)
{
    tally *t = user;
    bool bytes = batch->field[t->r->input].dtype == GRD_U8;
    size_t row = (size_t)t->r->features * (bytes ? 1 : sizeof(float));
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t guess = score(t->r, (const char *)batch->data[t->r->input] + (size_t)i * row, bytes, t->scores);
        for (int64_t c = 0; c < t->r->classes; c++) {
            double error = t->scores[c] - (y[i] == c);
            t->squares += error * error;
        }
        t->right += guess == y[i];
        if (t->confusion)
            t->confusion[y[i] * t->r->classes + guess]++;
    }
    t->n += batch->n;
    return GRD_OK;
}

grd_status grd_ridge_evaluate(const grd_ridge *r, const grd_dataset *data, double *loss, double *accuracy, int64_t *confusion)
{
    grd_ridge here = *r; /* where the fields are in this data */
    GRD_TRY(match_fields(&here, data, r->input_name, r->label_name));
    tally t = { .r = &here, .confusion = confusion, .scores = GRD_NEW_N(&r->ctx->host, double, r->classes) };
    if (!t.scores)
        return GRD_ERR_MEMORY;
    if (confusion)
        memset(confusion, 0, sizeof *confusion * (size_t)(r->classes * r->classes));
    grd_status status = each_batch(&here, data, count_batch, &t);
    grd_free(&r->ctx->host, t.scores);
    if (status != GRD_OK)
        return status;
    if (!t.n)
        return grd_fail(&r->ctx->host, GRD_ERR_DATA, "ridge: there are no samples to evaluate on");
    *loss = t.squares / (double)(t.n * r->classes);
    *accuracy = (double)t.right / (double)t.n;
    return GRD_OK;
}

static grd_value *as_float(grd_arena *arena, const double *from, int rank, int64_t rows, int64_t columns)
{
    int64_t n = rank == 2 ? rows * columns : rows;
    float *to = grd_arena_alloc(arena, (size_t)n * sizeof *to);
    for (int64_t i = 0; to && i < n; i++)
        to[i] = (float)from[i];
    return to ? grd_value_tensor(arena, GRD_F32, &(grd_shape){ .rank = rank, .dim = { rows, columns } }, to) : NULL;
}

grd_status grd_ridge_save(const grd_ridge *r, const char *path)
{
    grd_arena arena;
    grd_arena_init(&arena, &r->ctx->host);
    grd_value *root = grd_value_dict(&arena), *dict = grd_value_ordered(&arena);
    grd_status status = grd_value_set(&arena, dict, "weight", as_float(&arena, r->weight, 2, r->classes, r->features));
    if (status == GRD_OK)
        status = grd_value_set(&arena, dict, "bias", as_float(&arena, r->bias, 1, r->classes, 0));
    if (status == GRD_OK)
        status = grd_value_set(&arena, root, "state_dict", dict);
    if (status == GRD_OK)
        status = grd_pth_write(&r->ctx->host, path, root);
    grd_arena_free(&arena);
    return status;
}
