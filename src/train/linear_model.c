/* An affine map y = W x + b that was fitted at once: scores, metrics, file. */
#include "train/linear.h"

#include "format/pth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void free_model(void *self) { grd_linear_model_free(self); }

void grd_linear_model_free(grd_linear_model *m)
{
    if (!m)
        return;
    grd_disown(&m->child);
    grd_host *host = &m->ctx->host;
    grd_free(host, m->weight);
    grd_free(host, m->bias);
    grd_free(host, m);
}

static grd_status open_model(grd_linear_model *m, const grd_dataset *train)
{
    GRD_TRY(grd_linear_match(m, train));
    if (m->outputs > INT64_MAX / 64 / m->features)
        return grd_fail(&m->ctx->host, GRD_ERR_MEMORY, "%s: %lld outputs of %lld features are too many", m->who,
                        (long long)m->outputs, (long long)m->features);
    m->weight = GRD_NEW_N(&m->ctx->host, double, m->outputs * m->features);
    m->bias = GRD_NEW_N(&m->ctx->host, double, m->outputs);
    return m->weight && m->bias ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_linear_model_new(grd_ctx *ctx, const char *who, const grd_dataset *train, const char *input, const char *target,
                                grd_linear_model **model)
{
    grd_linear_model *m = GRD_NEW(&ctx->host, grd_linear_model);
    if (!m)
        return GRD_ERR_MEMORY;
    m->ctx = ctx;
    m->who = who;
    snprintf(m->input_name, sizeof m->input_name, "%s", input);
    snprintf(m->target_name, sizeof m->target_name, "%s", target);
    grd_adopt(&ctx->root, &m->child, free_model);
    grd_status status = open_model(m, train);
    if (status == GRD_OK)
        *model = m;
    else
        grd_linear_model_free(m);
    return status;
}

/* ---- using it ---- */

int64_t grd_linear_model_classes(const grd_linear_model *m) { return m->classes; }
int64_t grd_linear_model_outputs(const grd_linear_model *m) { return m->outputs; }
int64_t grd_linear_model_features(const grd_linear_model *m) { return m->features; }
double grd_linear_model_lambda(const grd_linear_model *m) { return m->lambda; }
const double *grd_linear_model_weight(const grd_linear_model *m) { return m->weight; }
const double *grd_linear_model_bias(const grd_linear_model *m) { return m->bias; }

/* Scores of x, float or bytes. */
static int64_t score(const grd_linear_model *m, const void *x, bool bytes, double *scores)
{
    int64_t best = 0;
    for (int64_t o = 0; o < m->outputs; o++) {
        const double *w = m->weight + o * m->features;
        double sum = m->bias[o];
        for (int64_t d = 0; d < m->features; d++)
            sum += w[d] * (bytes ? ((const uint8_t *)x)[d] : (double)((const float *)x)[d]);
        scores[o] = sum;
        best = sum > scores[best] ? o : best;
    }
    return best;
}

int64_t grd_linear_model_predict(const grd_linear_model *m, const float *x, double *scores) { return score(m, x, false, scores); }

typedef struct tally {
    const grd_linear_model *m;
    double *scores, *y, *sum, *squares; /* [O] each; sums of targets, and of their squares, less the first target */
    double *origin;
    double error, log_loss;
    int64_t n, right, *confusion;
} tally;

static double log_loss_of(const double *scores, int64_t n, int64_t best, int64_t truth)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++)
        sum += exp(scores[c] - scores[best]);
    return log(sum) + scores[best] - scores[truth];
}

static void add_targets(tally *t)
{
    for (int64_t o = 0; o < t->m->outputs; o++) {
        double off = t->scores[o] - t->y[o], from = t->y[o] - t->origin[o];
        t->error += off * off;
        t->sum[o] += from;
        t->squares[o] += from * from;
    }
}

static grd_status count_batch(void *user, const grd_batch *batch)
{
    tally *t = user;
    const grd_linear_model *m = t->m;
    bool bytes = batch->field[m->input].dtype == GRD_U8;
    size_t row = (size_t)m->features * (bytes ? 1 : sizeof(float));
    const int32_t *label = batch->data[m->target];
    for (int64_t i = 0; i < batch->n; i++) {
        int64_t guess = score(m, (const char *)batch->data[m->input] + (size_t)i * row, bytes, t->scores);
        grd_linear_target(m, batch, i, t->y);
        if (t->n + i == 0)
            memcpy(t->origin, t->y, sizeof *t->y * (size_t)m->outputs);
        add_targets(t);
        if (!m->classes)
            continue;
        t->right += guess == label[i];
        t->log_loss += log_loss_of(t->scores, m->outputs, guess, label[i]);
        if (t->confusion)
            t->confusion[label[i] * m->classes + guess]++;
    }
    t->n += batch->n;
    return GRD_OK;
}

static grd_status sum_up(const tally *t, grd_linear_scores *out)
{
    const grd_linear_model *m = t->m;
    double n = (double)t->n, spread = 0;
    if (!t->n)
        return grd_fail(&m->ctx->host, GRD_ERR_DATA, "%s: there are no samples to evaluate on", m->who);
    for (int64_t o = 0; o < m->outputs; o++)
        spread += t->squares[o] - t->sum[o] * t->sum[o] / n;
    out->mse = t->error / (n * (double)m->outputs);
    out->r2 = spread > 0 ? 1 - t->error / spread : NAN;
    out->accuracy = m->classes ? (double)t->right / n : NAN;
    out->log_loss = m->classes ? t->log_loss / n : NAN;
    return GRD_OK;
}

grd_status grd_linear_model_evaluate(const grd_linear_model *m, const grd_dataset *data, grd_linear_scores *scores,
                                     int64_t *confusion)
{
    grd_linear_model here = *m; /* where the fields are in this data */
    GRD_TRY(grd_linear_match(&here, data));
    double *room = GRD_NEW_N(&m->ctx->host, double, 5 * m->outputs);
    if (!room)
        return GRD_ERR_MEMORY;
    tally t = { .m = &here, .confusion = confusion, .scores = room, .y = room + m->outputs, .sum = room + 2 * m->outputs,
                .squares = room + 3 * m->outputs, .origin = room + 4 * m->outputs };
    if (confusion && m->classes)
        memset(confusion, 0, sizeof *confusion * (size_t)(m->classes * m->classes));
    grd_status status = grd_linear_each(&here, data, count_batch, &t);
    if (status == GRD_OK)
        status = sum_up(&t, scores);
    grd_free(&m->ctx->host, room);
    return status;
}

/* ---- its file ---- */

static grd_value *as_float(grd_arena *arena, const double *from, int rank, int64_t rows, int64_t columns)
{
    int64_t n = rank == 2 ? rows * columns : rows;
    float *to = grd_arena_alloc(arena, (size_t)n * sizeof *to);
    for (int64_t i = 0; to && i < n; i++)
        to[i] = (float)from[i];
    return to ? grd_value_tensor(arena, GRD_F32, &(grd_shape){ .rank = rank, .dim = { rows, columns } }, to) : NULL;
}

grd_status grd_linear_model_save(const grd_linear_model *m, const char *path)
{
    grd_arena arena;
    grd_arena_init(&arena, &m->ctx->host);
    grd_value *root = grd_value_dict(&arena), *dict = grd_value_ordered(&arena);
    grd_status status = grd_value_set(&arena, dict, "weight", as_float(&arena, m->weight, 2, m->outputs, m->features));
    if (status == GRD_OK)
        status = grd_value_set(&arena, dict, "bias", as_float(&arena, m->bias, 1, m->outputs, 0));
    if (status == GRD_OK)
        status = grd_value_set(&arena, root, "state_dict", dict);
    if (status == GRD_OK)
        status = grd_pth_write(&m->ctx->host, path, root);
    grd_arena_free(&arena);
    return status;
}
