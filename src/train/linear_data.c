/* Data sets as matrices: fields, batches, and the rows that are fitted. */
#include "train/linear.h"

#include "data/dataset.h"
#include "train/dense.h"

#include <math.h>
#include <string.h>

/* ---- fields ---- */

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

/* Numbers in one sample; 0: it varies, or is impossible. */
static int64_t width_of(const grd_field *f)
{
    const int64_t most = INT64_MAX / 64 / GRD_LINEAR_CHUNK;
    int64_t n = 1;
    for (int d = 0; d < f->shape.rank; d++) {
        if (f->shape.dim[d] < 1 || n > most / f->shape.dim[d])
            return 0;
        n *= f->shape.dim[d];
    }
    return n;
}

grd_status grd_linear_match(grd_linear_model *m, const grd_dataset *data)
{
    grd_host *host = &m->ctx->host;
    grd_field x, y;
    char shape[80];
    m->input = find_field(data, m->input_name, &x);
    m->target = find_field(data, m->target_name, &y);
    if (m->input < 0 || m->target < 0)
        return grd_fail(host, GRD_ERR_DATA, "%s: the data has no field \"%s\"", m->who,
                        m->input < 0 ? m->input_name : m->target_name);
    int64_t features = width_of(&x), outputs = width_of(&y), classes = y.dtype == GRD_I32 ? y.classes : 0;
    if ((x.dtype != GRD_F32 && x.dtype != GRD_U8) || features < 1)
        return grd_fail(host, GRD_ERR_DATA, "%s: field \"%s\" is %s %s, expected f32 or u8 of a fixed shape", m->who,
                        m->input_name, grd_dtype_name(x.dtype), grd_shape_text(&x.shape, shape, sizeof shape));
    if (m->input == m->target || !(classes > 0 ? outputs == 1 : y.dtype == GRD_F32 && outputs > 0))
        return grd_fail(host, GRD_ERR_DATA, "%s: field \"%s\" is %s %s with %lld classes, expected one class index, or f32 of a "
                        "fixed shape", m->who, m->target_name, grd_dtype_name(y.dtype),
                        grd_shape_text(&y.shape, shape, sizeof shape), (long long)y.classes);
    outputs = classes > 0 ? classes : outputs;
    if (m->features && (features != m->features || outputs != m->outputs || classes != m->classes))
        return grd_fail(host, GRD_ERR_DATA, "%s: %lld features and %lld outputs, fitted with %lld and %lld", m->who,
                        (long long)features, (long long)outputs, (long long)m->features, (long long)m->outputs);
    m->features = features;
    m->outputs = outputs;
    m->classes = classes;
    return GRD_OK;
}

/* ---- batches ---- */

static grd_status check_labels(const grd_linear_model *m, const grd_batch *batch)
{
    const int32_t *y = batch->data[m->target];
    for (int64_t i = 0; i < batch->n && m->classes; i++)
        if (y[i] < 0 || y[i] >= m->classes)
            return grd_fail(&m->ctx->host, GRD_ERR_DATA, "%s: sample %lld: label %d, expected 0 to %lld", m->who,
                            (long long)batch->index[i], (int)y[i], (long long)m->classes - 1);
    return GRD_OK;
}

grd_status grd_linear_each(const grd_linear_model *m, const grd_dataset *data, grd_linear_use use, void *user)
{
    grd_loader *loader;
    GRD_TRY(grd_loader_new(m->ctx, data, &(grd_loader_opts){ .batch = GRD_LINEAR_CHUNK }, &loader));
    grd_status status = grd_loader_start(loader, 0, 0);
    while (status == GRD_OK) {
        const grd_batch *batch;
        status = grd_loader_next(loader, &batch);
        if (status != GRD_OK || !batch)
            break;
        status = check_labels(m, batch);
        if (status == GRD_OK)
            status = use(user, batch);
    }
    grd_loader_free(loader);
    return status;
}

void grd_linear_input(const grd_linear_model *m, const grd_batch *batch, int64_t i, double *x)
{
    const void *data = batch->data[m->input];
    bool bytes = batch->field[m->input].dtype == GRD_U8;
    for (int64_t d = 0; d < m->features; d++)
        x[d] = bytes ? ((const uint8_t *)data)[i * m->features + d] : (double)((const float *)data)[i * m->features + d];
}

void grd_linear_target(const grd_linear_model *m, const grd_batch *batch, int64_t i, double *y)
{
    const void *data = batch->data[m->target];
    for (int64_t o = 0; o < m->outputs; o++)
        y[o] = m->classes ? ((const int32_t *)data)[i] == o : (double)((const float *)data)[i * m->outputs + o];
}

/* ---- the rows that are fitted ---- */

static grd_status open_parts(grd_linear_data *d, const grd_dataset *train, int folds, uint64_t seed)
{
    d->parts = folds > 1 ? folds : 1;
    GRD_TRY(grd_dataset_by_number(train, d->model->who));
    d->n = grd_dataset_length(train);
    if (d->n < 1)
        return grd_fail(d->host, GRD_ERR_DATA, "%s: there are no samples to fit", d->model->who);
    if (d->parts > GRD_LINEAR_FOLDS || d->parts > d->n)
        return grd_fail(d->host, GRD_ERR_ARG, "%s: %d folds of %lld samples, expected at most %d and no more than samples",
                        d->model->who, folds, (long long)d->n, GRD_LINEAR_FOLDS);
    d->part[0] = train;
    const grd_split_opts split = { .seed = seed, .stratify = d->model->classes ? d->model->target_name : NULL };
    for (int k = 0; k < d->parts && folds > 1; k++) {
        grd_dataset *others;
        GRD_TRY(grd_dataset_fold(train, folds, k, &split, &others, &d->own[k]));
        grd_dataset_free(others);
        d->part[k] = d->own[k];
    }
    for (int k = 0; k < d->parts; k++)
        d->begin[k + 1] = d->begin[k] + grd_dataset_length(d->part[k]);
    return GRD_OK;
}

static grd_status allocate(grd_linear_data *d)
{
    int64_t features = d->model->features, outputs = d->model->outputs, rows = d->held ? d->n : GRD_LINEAR_CHUNK;
    const int64_t most = INT64_MAX / 64;
    d->size = d->turned ? d->n : features;
    if (rows > most / features || rows > most / outputs || d->size > INT32_MAX / 8)
        return grd_fail(d->host, GRD_ERR_MEMORY, "%s: %lld samples of %lld features are too many", d->model->who, (long long)d->n,
                        (long long)features);
    d->mean = GRD_NEW_N(d->host, double, features);
    d->y_mean = GRD_NEW_N(d->host, double, outputs);
    d->x = GRD_NEW_N(d->host, double, rows * d->size);
    d->y = GRD_NEW_N(d->host, double, rows * outputs);
    if (!d->mean || !d->y_mean || !d->x || !d->y)
        return GRD_ERR_MEMORY;
    if (!d->turned)
        return GRD_OK;
    d->raw = GRD_NEW_N(d->host, double, d->n * features);
    d->tau = GRD_NEW_N(d->host, double, d->n);
    return d->raw && d->tau ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status add_mean(void *user, const grd_batch *batch)
{
    grd_linear_data *d = user;
    int64_t features = d->model->features, outputs = d->model->outputs;
    double *x = d->turned ? d->raw : d->x;
    for (int64_t i = 0; i < batch->n; i++) {
        grd_linear_input(d->model, batch, i, x);
        grd_linear_target(d->model, batch, i, d->y);
        for (int64_t k = 0; k < features; k++)
            d->mean[k] += x[k];
        for (int64_t o = 0; o < outputs; o++)
            d->y_mean[o] += d->y[o];
    }
    return GRD_OK;
}

static grd_status find_means(grd_linear_data *d)
{
    for (int k = 0; k < d->parts; k++)
        GRD_TRY(grd_linear_each(d->model, d->part[k], add_mean, d));
    double sum = 0;
    for (int64_t k = 0; k < d->model->features; k++)
        sum += d->mean[k] /= (double)d->n;
    for (int64_t o = 0; o < d->model->outputs; o++)
        sum += d->y_mean[o] /= (double)d->n;
    return isfinite(sum) ? GRD_OK
                         : grd_fail(d->host, GRD_ERR_NUMBER, "%s: fields \"%s\" and \"%s\" are not finite numbers throughout",
                                    d->model->who, d->model->input_name, d->model->target_name);
}

typedef struct pass {
    grd_linear_data *d;
    grd_linear_use_rows use; /* NULL: rows stay where they are put */
    void *user;
    int64_t first;           /* row of the part's first sample, where rows are held */
} pass;

static grd_status take_rows(void *user, const grd_batch *batch)
{
    pass *p = user;
    grd_linear_data *d = p->d;
    int64_t features = d->model->features, outputs = d->model->outputs, row = p->use ? 0 : p->first + batch->first;
    double *x = d->turned ? d->raw : d->x;
    for (int64_t i = 0; i < batch->n; i++) {
        double *here = x + (row + i) * features;
        grd_linear_input(d->model, batch, i, here);
        grd_linear_target(d->model, batch, i, d->y + (row + i) * outputs);
        for (int64_t k = 0; k < features; k++)
            here[k] -= d->mean[k];
    }
    return p->use ? p->use(p->user, x, d->y, batch->n) : GRD_OK;
}

static grd_status hold_rows(grd_linear_data *d)
{
    for (int k = 0; k < d->parts; k++)
        GRD_TRY(grd_linear_each(d->model, d->part[k], take_rows, &(pass){ .d = d, .first = d->begin[k] }));
    if (!d->turned)
        return GRD_OK;
    grd_dense_lq(d->model->ctx->threads, d->raw, d->n, d->model->features, d->tau);
    for (int64_t i = 0; i < d->n; i++)
        memcpy(d->x + i * d->n, d->raw + i * d->model->features, sizeof *d->x * (size_t)(i + 1));
    return GRD_OK;
}

grd_status grd_linear_data_open(grd_linear_data *d, grd_linear_model *model, const grd_dataset *train, int folds, uint64_t seed,
                                bool hold)
{
    memset(d, 0, sizeof *d);
    d->model = model;
    d->host = &model->ctx->host;
    GRD_TRY(open_parts(d, train, folds, seed));
    d->turned = d->n < model->features;
    d->held = hold || d->turned;
    GRD_TRY(allocate(d));
    GRD_TRY(find_means(d));
    return d->held ? hold_rows(d) : GRD_OK;
}

void grd_linear_data_close(grd_linear_data *d)
{
    void *const owned[] = { d->mean, d->y_mean, d->raw, d->tau, d->x, d->y };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(d->host, owned[i]);
    for (int k = 0; k < d->parts && k < GRD_LINEAR_FOLDS; k++)
        grd_dataset_free(d->own[k]);
}

grd_status grd_linear_data_rows(grd_linear_data *d, int part, grd_linear_use_rows use, void *user)
{
    int64_t from = d->begin[part];
    if (!d->held)
        return grd_linear_each(d->model, d->part[part], take_rows, &(pass){ .d = d, .use = use, .user = user });
    return use(user, d->x + from * d->size, d->y + from * d->model->outputs, d->begin[part + 1] - from);
}

void grd_linear_data_back(const grd_linear_data *d, int64_t o, const double *w, double at_mean)
{
    int64_t features = d->model->features;
    double *row = d->model->weight + o * features, dot = 0;
    memcpy(row, w, sizeof *row * (size_t)d->size);
    if (d->turned)
        grd_dense_from_lq(d->raw, d->n, features, d->tau, row);
    for (int64_t k = 0; k < features; k++)
        dot += row[k] * d->mean[k];
    d->model->bias[o] = at_mean - dot;
}
