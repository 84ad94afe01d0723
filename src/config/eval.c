/* Loss, metrics and confusion of a stage's best weights: for the test at its end, and for the verb. */
#include "config/pipeline.h"

#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

/* A regression loss is also reported under its own name: "mse" says what "loss" is. */
static void name_loss(const grd_stage_net *net, grd_metric *values, int *n)
{
    if (!net->one_loss || net->classes)
        return;
    for (int i = 0; i < *n; i++)
        if (strcmp(values[i].name, net->loss_op) == 0)
            return;
    values[(*n)++] = (grd_metric){ net->loss_op, values[0].value };
}

grd_status grd_stage_evaluate(grd_stage *s, const grd_stage_net *net, const grd_dataset *set, grd_metric *values, int *n,
                              int64_t *counts)
{
    enum { USUAL_BATCH = 256 };
    int64_t batch = s->run.eval_batch ? s->run.eval_batch : s->run.batch > USUAL_BATCH ? s->run.batch : USUAL_BATCH;
    grd_eval_opts o = { .loss = net->loss,
                        .data = set,
                        .batch = batch,
                        .workers = (int)s->data.workers,
                        .pad_multiple = s->data.pad_multiple,
                        .on_error = s->data.on_error ? GRD_ERRORS_SKIP : GRD_ERRORS_STOP,
                        .confusion = counts ? net->confusion : GRD_NONE,
                        .confusion_out = counts };
    for (int i = 0; i < net->n_metrics; i++) {
        o.metrics[i] = net->metric[i];
        o.metric_names[i] = net->metric_name[i];
    }
    GRD_TRY(grd_evaluate(net->model, &o, values, n));
    name_loss(net, values, n);
    for (int i = 0; i < *n; i++) /* the names outlive the model */
        if (!(values[i].name = grd_arena_strdup(&s->pipeline->arena, values[i].name)))
            return GRD_ERR_MEMORY;
    return GRD_OK;
}

/* ---- linear in closed form ---- */

/* The fields of a linear model: what is predicted is a class or, without one, the numbers of field "target". Returns the input. */
static const grd_field *find_linear(const grd_stage_data *data, grd_linear_fit_opts *o)
{
    const char *label = NULL, *target = NULL;
    const grd_field *input = NULL;
    for (int i = 0; i < data->n_fields; i++) {
        const grd_field *f = &data->field[i];
        bool numbers = !f->classes && strcmp(f->name, "target") == 0;
        label = !label && f->classes ? f->name : label;
        target = numbers ? f->name : target;
        input = !input && !f->classes && !numbers ? f : input;
    }
    o->target = label ? label : target;
    o->input = input ? input->name : NULL;
    return input;
}

static grd_status linear_fields(const grd_stage *s, const grd_stage_data *data, grd_linear_fit_opts *o)
{
    if (find_linear(data, o) && o->target)
        return GRD_OK;
    return grd_fail(s->pipeline->host, GRD_ERR_CONFIG,
                    "stage \"%s\": a linear model needs data with a class field, or a field \"target\", and another", s->config->name);
}

bool grd_stage_has_baseline(const grd_stage_data *data)
{
    grd_linear_fit_opts o = { 0 };
    const grd_field *input = find_linear(data, &o);
    bool fixed = input && o.target && input->dtype != GRD_I32;
    for (int d = 0; fixed && d < input->shape.rank; d++)
        fixed = input->shape.dim[d] > 0;
    return fixed;
}

grd_status grd_stage_ridge(grd_stage *s, const grd_stage_data *data, grd_linear_model **ridge)
{
    grd_linear_fit_opts o = { .lambda = s->lambda, .val = data->val };
    GRD_TRY(linear_fields(s, data, &o));
    return grd_ridge_fit(s->pipeline->ctx, data->train, &o, ridge);
}

grd_status grd_stage_evaluate_ridge(const grd_linear_model *ridge, const grd_dataset *set, grd_metric *values, int *n,
                                    int64_t *counts)
{
    grd_linear_scores s;
    GRD_TRY(grd_linear_model_evaluate(ridge, set, &s, counts));
    values[0] = (grd_metric){ "loss", s.mse };
    values[1] = grd_linear_model_classes(ridge) ? (grd_metric){ "accuracy", s.accuracy } : (grd_metric){ "r2", s.r2 };
    *n = 2;
    return GRD_OK;
}

/* ---- the verb ---- */

static grd_status new_counts(grd_pipeline *p, grd_evaluation *e, int64_t classes)
{
    grd_free(p->host, p->confusion);
    p->confusion = GRD_NEW_N(p->host, int64_t, classes * classes);
    e->confusion = p->confusion;
    e->classes = classes;
    return p->confusion ? GRD_OK : GRD_ERR_MEMORY;
}

/* The solve is exact and cheap: it is done again. */
static grd_status eval_linear(grd_stage *s, const grd_stage_data *data, const grd_dataset *set, grd_evaluation *e)
{
    grd_linear_model *ridge;
    GRD_TRY(grd_stage_ridge(s, data, &ridge));
    int64_t classes = grd_linear_model_classes(ridge);
    grd_status status = classes ? new_counts(s->pipeline, e, classes) : GRD_OK;
    if (status == GRD_OK)
        status = grd_stage_evaluate_ridge(ridge, set, e->value, &e->n, classes ? s->pipeline->confusion : NULL);
    grd_linear_model_free(ridge);
    return status;
}

static grd_status eval_net(grd_stage *s, const grd_stage_data *data, const grd_dataset *set, const char *weights,
                           grd_evaluation *e)
{
    grd_stage_net net;
    char path[1200];
    int loaded;
    GRD_TRY(grd_stage_path(s, "best.pth", path));
    GRD_TRY(grd_stage_build(s, data, GRD_F32, &net));
    grd_status status = grd_model_load(net.model, weights ? weights : path, NULL, &loaded);
    if (status == GRD_OK && net.classes)
        status = new_counts(s->pipeline, e, net.classes);
    if (status == GRD_OK)
        status = grd_stage_evaluate(s, &net, set, e->value, &e->n, net.classes ? s->pipeline->confusion : NULL);
    grd_stage_free_net(&net);
    return status;
}

grd_status grd_pipeline_eval(grd_pipeline *p, const grd_pipeline_eval_opts *opts, grd_evaluation *e)
{
    static const grd_pipeline_eval_opts none;
    grd_stage *s;
    grd_stage_data data;
    memset(e, 0, sizeof *e);
    opts = opts ? opts : &none;
    e->split = opts->split ? opts->split : "test";
    GRD_TRY(grd_stage_find(p, opts->stage, &s));
    if (opts->weights && s->linear)
        return grd_fail(p->host, GRD_ERR_CONFIG, "eval: stage \"%s\" is linear in closed form: it takes no weights from a file",
                        s->config->name);
    if (!p->resumes && !opts->weights)
        return grd_fail(p->host, GRD_ERR_CONFIG, "%s: eval needs the folder of a run, or weights=FILE.pth beside a config",
                        p->config.path);
    GRD_TRY(grd_stage_open_data(s, &data));
    const struct {
        const char *name;
        const grd_dataset *set;
    } split[] = { { "train", data.train }, { "val", data.val }, { "test", data.test } };
    const grd_dataset *set = NULL;
    for (int i = 0; i < 3; i++)
        set = strcmp(split[i].name, e->split) == 0 ? split[i].set : set;
    grd_status status;
    if (!set)
        status = grd_fail(p->host, GRD_ERR_CONFIG, "eval: split \"%s\": stage \"%s\" has train%s%s", e->split, s->config->name,
                          data.val ? ", val" : "", data.test ? ", test" : "");
    else
        status = s->linear ? eval_linear(s, &data, set, e) : eval_net(s, &data, set, opts->weights, e);
    grd_stage_close_data(&data);
    return status;
}

/* ---- linear models as baselines ---- */

enum { BASELINE_FOLDS = 5 };

static grd_status score_linear(const grd_linear_model *m, const grd_stage_data *data, grd_baseline *b)
{
    b->lambda = grd_linear_model_lambda(m);
    b->has_val = data->val != NULL;
    b->has_test = data->test != NULL;
    if (data->val)
        GRD_TRY(grd_linear_model_evaluate(m, data->val, &b->val, NULL));
    return data->test ? grd_linear_model_evaluate(m, data->test, &b->test, NULL) : GRD_OK;
}

/* Multiply-adds of the normal equations: a second or two. */
static bool is_cheap(const grd_dataset *train, const grd_field *input)
{
    enum { MOST_FEATURES = 2048 };
    const double n = (double)grd_dataset_length(train), d = (double)grd_count(&input->shape);
    return n >= 2 * BASELINE_FOLDS && d <= MOST_FEATURES && n * d * d <= 4e10;
}

static bool has_result(const grd_stage_result *r, const char *name)
{
    for (int i = 0; i < r->n_test; i++)
        if (strcmp(r->test[i].name, name) == 0)
            return true;
    return false;
}

/* A config with a linear stage has its line to beat. */
static bool has_linear(const grd_pipeline *p)
{
    for (int i = 0; i < p->config.n_stages; i++)
        if (p->stage[i].linear)
            return true;
    return false;
}

void grd_stage_add_baseline(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net)
{
    grd_linear_fit_opts o = { .folds = BASELINE_FOLDS, .seed = (uint64_t)s->run.seed };
    const grd_field *input = find_linear(data, &o);
    grd_linear_model *m;
    grd_linear_scores scores;
    const bool same = o.target && strcmp(net->target, o.target) == 0, classes = net->classes > 1;
    const bool comparable = classes ? has_result(&s->result, "accuracy") : net->one_loss && strcmp(net->loss_op, "mse") == 0;
    if (s->train.no_baseline || has_linear(s->pipeline) || !data->test || !same || !comparable ||
        !grd_stage_has_baseline(data) || !is_cheap(data->train, input))
        return;
    if (grd_ridge_fit(s->pipeline->ctx, data->train, &o, &m) == GRD_OK) {
        if (grd_linear_model_evaluate(m, data->test, &scores, NULL) == GRD_OK)
            s->result.baseline = classes ? (grd_metric){ "accuracy", scores.accuracy } : (grd_metric){ "loss", scores.mse };
        grd_linear_model_free(m);
    }
    grd_clear(s->pipeline->host); /* data that it cannot be fitted to (values are missing): there is none */
}

static grd_status fit_baselines(grd_stage *s, const grd_stage_data *data, grd_baselines *out)
{
    grd_ctx *ctx = s->pipeline->ctx;
    grd_linear_model *m;
    grd_linear_fit_opts o = { .folds = BASELINE_FOLDS, .seed = (uint64_t)s->run.seed };
    GRD_TRY(linear_fields(s, data, &o));
    GRD_TRY(grd_dataset_by_number(data->train, "linear"));
    out->samples = grd_dataset_length(data->train);
    if (out->samples < BASELINE_FOLDS)
        return grd_fail(s->pipeline->host, GRD_ERR_DATA, "stage \"%s\": %lld samples, expected at least %d to choose lambda by",
                        s->config->name, (long long)out->samples, BASELINE_FOLDS);
    GRD_TRY(grd_ridge_fit(ctx, data->train, &o, &m));
    out->features = grd_linear_model_features(m);
    out->outputs = grd_linear_model_outputs(m);
    out->classes = grd_linear_model_classes(m);
    out->item[out->n].name = "ridge";
    grd_status status = score_linear(m, data, &out->item[out->n++]);
    grd_linear_model_free(m);
    const int64_t size = out->samples < out->features ? out->samples : out->features;
    out->too_large = out->classes > 1 && size + 1 > GRD_LOGISTIC_UNKNOWNS / (out->classes - (out->classes == 2));
    if (status != GRD_OK || out->classes < 2 || out->too_large)
        return status;
    GRD_TRY(grd_logistic_fit(ctx, data->train, &o, &m));
    out->item[out->n].name = "logistic";
    out->item[out->n].logits = true;
    status = score_linear(m, data, &out->item[out->n++]);
    grd_linear_model_free(m);
    return status;
}

grd_status grd_pipeline_baselines(grd_pipeline *p, const char *name, grd_baselines *out)
{
    grd_stage *s = &p->stage[0];
    grd_stage_data data;
    memset(out, 0, sizeof *out);
    if (name)
        GRD_TRY(grd_stage_find(p, name, &s));
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = fit_baselines(s, &data, out);
    grd_stage_close_data(&data);
    return status;
}
