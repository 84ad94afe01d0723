/* Loss, metrics and confusion of a stage's best weights: for the test at its end, and for the verb. */
#include "config/pipeline.h"

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

grd_status grd_stage_ridge(grd_stage *s, const grd_stage_data *data, grd_ridge **ridge)
{
    const char *input = NULL, *label = NULL;
    for (int i = 0; i < data->n_fields; i++) {
        const grd_field *f = &data->field[i];
        input = !input && !f->classes ? f->name : input;
        label = !label && f->classes ? f->name : label;
    }
    if (!input || !label)
        return grd_fail(s->pipeline->host, GRD_ERR_CONFIG, "stage \"%s\": kind linear needs data with a class field and another",
                        s->config->name);
    return grd_ridge_fit(s->pipeline->ctx, data->train, data->val, input, label, s->lambda, ridge);
}

grd_status grd_stage_evaluate_ridge(const grd_ridge *ridge, const grd_dataset *set, grd_metric *values, int *n, int64_t *counts)
{
    double loss, accuracy;
    GRD_TRY(grd_ridge_evaluate(ridge, set, &loss, &accuracy, counts));
    values[0] = (grd_metric){ "loss", loss };
    values[1] = (grd_metric){ "accuracy", accuracy };
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
    grd_ridge *ridge;
    GRD_TRY(grd_stage_ridge(s, data, &ridge));
    grd_status status = new_counts(s->pipeline, e, grd_ridge_classes(ridge));
    if (status == GRD_OK)
        status = grd_stage_evaluate_ridge(ridge, set, e->value, &e->n, s->pipeline->confusion);
    grd_ridge_free(ridge);
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
