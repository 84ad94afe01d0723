/* One pass over a data set in evaluation mode. Sums are kept in double, weighted as the ops say: the last short batch
 * counts for what it holds. */
#include "train/evaluate.h"

#include "graph/graph.h"
#include "plan/model.h"

#include <math.h>
#include <string.h>

static const grd_call *call_of(grd_var v)
{
    const grd_value *value = &v.graph->values.item[v.id];
    return value->origin == GRD_FROM_NODE ? &v.graph->calls.item[value->index] : NULL;
}

const char *grd_metric_op(grd_var v)
{
    const grd_call *call = grd_valid(v) ? call_of(v) : NULL;
    return call ? call->op[0]->name : "metric";
}

grd_status grd_ratio_outputs(const grd_model *model, grd_var v, const char *who, const char *what, grd_var *sum, grd_var *weight)
{
    if (!grd_valid(v) || v.graph != grd_model_graph(model))
        return grd_fail(&model->ctx->host, GRD_ERR_ARG, "%s: the %s is not a value of the model's graph", who, what);
    const grd_call *call = call_of(v);
    if (!call || call->n_out != 2 || grd_count(&v.graph->values.item[call->out[0]].shape) != 1 ||
        grd_count(&v.graph->values.item[call->out[1]].shape) != 1)
        return grd_fail(&model->ctx->host, GRD_ERR_ARG, "%s: the %s, \"%s\", is not an op that gives (sum, weight)", who, what,
                        grd_var_name(v));
    *sum = (grd_var){ v.graph, call->out[0] };
    *weight = (grd_var){ v.graph, call->out[1] };
    return GRD_OK;
}

static grd_status add_confusion(grd_evaluator *e, const grd_eval_opts *opts)
{
    if (!opts->confusion_out)
        return GRD_OK;
    grd_shape shape = grd_var_shape(opts->confusion);
    if (!grd_valid(opts->confusion) || opts->confusion.graph != grd_model_graph(e->model) || shape.rank != 2 ||
        shape.dim[0] != shape.dim[1] || shape.dim[0] < 1)
        return grd_fail(e->host, GRD_ERR_ARG, "%s: the confusion is not an op that gives [C,C] counts", e->who);
    if (e->compile.n_keep == GRD_MAX_KEEP)
        return grd_fail(e->host, GRD_ERR_ARG, "%s: at most %d metrics beside a confusion", e->who, GRD_MAX_METRICS - 1);
    e->confusion = e->compile.keep[e->compile.n_keep++] = opts->confusion;
    e->counts = opts->confusion_out;
    e->n_counts = grd_count(&shape);
    return GRD_OK;
}

static grd_status add_metrics(grd_evaluator *e, const grd_eval_opts *opts)
{
    grd_var unused;
    GRD_TRY(grd_ratio_outputs(e->model, opts->loss, e->who, "loss", &e->compile.loss, &unused));
    e->result[0].name = "loss";
    for (; e->n_metrics < GRD_MAX_METRICS && grd_valid(opts->metrics[e->n_metrics]); e->n_metrics++) {
        int k = e->n_metrics;
        grd_var *keep = e->compile.keep + e->compile.n_keep;
        GRD_TRY(grd_ratio_outputs(e->model, opts->metrics[k], e->who, "metric", &keep[0], &keep[1]));
        e->compile.n_keep += 2;
        e->metric[k] = opts->metrics[k];
        e->result[1 + k].name = opts->metric_names[k] ? opts->metric_names[k] : grd_metric_op(opts->metrics[k]);
    }
    return add_confusion(e, opts);
}

static grd_status compile_ahead(grd_evaluator *e)
{
    int64_t sizes[2] = { e->length < 0 || e->batch < e->length ? e->batch : e->length, e->length < 0 ? 0 : e->length % e->batch };
    for (int i = 0; i < 2 && !e->feed.varies; i++) {
        grd_shape shape[GRD_MAX_INPUTS];
        grd_plan *plan;
        grd_feed_shapes(&e->feed, sizes[i], shape);
        if (sizes[i])
            GRD_TRY(grd_model_plan(e->model, &e->compile, shape, &plan));
    }
    return GRD_OK;
}

grd_status grd_evaluator_open(grd_evaluator *e, grd_model *model, const grd_eval_opts *opts, uint64_t seed, unsigned debug,
                              const char *who)
{
    e->model = model;
    e->host = &model->ctx->host;
    e->who = who;
    if (!opts->data || grd_dataset_length(opts->data) == 0)
        return grd_fail(e->host, GRD_ERR_DATA, "%s: there are no samples to evaluate on", who);
    e->length = grd_dataset_length(opts->data);
    e->batch = opts->batch > 0 ? opts->batch : 32;
    e->params = opts->params;
    e->compile.flags = debug;
    GRD_TRY(add_metrics(e, opts));
    grd_var root[1 + GRD_MAX_KEEP] = { e->compile.loss };
    memcpy(root + 1, e->compile.keep, sizeof *root * (size_t)e->compile.n_keep);
    GRD_TRY(grd_feed_init(&e->feed, model, opts->data, who, root, 1 + e->compile.n_keep));
    grd_loader_opts loader = { .batch = e->batch, .workers = opts->workers, .seed = seed, .pad_multiple = opts->pad_multiple,
                               .on_error = opts->on_error };
    GRD_TRY(grd_loader_new(model->ctx, opts->data, &loader, &e->loader));
    return compile_ahead(e);
}

void grd_evaluator_close(grd_evaluator *e)
{
    grd_loader_free(e->loader);
    e->loader = NULL;
    if (e->host)
        grd_feed_drop(&e->feed);
}

static double scalar(const grd_evaluator *e, const grd_plan *plan, grd_var v)
{
    const void *data = grd_plan_value(plan, v, NULL);
    return e->model->dtype == GRD_F64 ? *(const double *)data : (double)*(const float *)data;
}

static void add_batch(grd_evaluator *e, const grd_plan *plan, double *sum, double *weight)
{
    double s, w;
    grd_plan_loss(plan, &s, &w);
    sum[0] += s;
    weight[0] += w;
    for (int k = 0; k < e->n_metrics; k++) {
        sum[1 + k] += scalar(e, plan, e->compile.keep[2 * k]);
        weight[1 + k] += scalar(e, plan, e->compile.keep[2 * k + 1]);
    }
    if (!e->counts)
        return;
    const void *count = grd_plan_value(plan, e->confusion, NULL);
    for (int64_t i = 0; i < e->n_counts; i++)
        e->counts[i] += llrint(e->model->dtype == GRD_F64 ? ((const double *)count)[i] : (double)((const float *)count)[i]);
}

grd_status grd_evaluator_run(grd_evaluator *e)
{
    double sum[1 + GRD_MAX_METRICS] = { 0 }, weight[1 + GRD_MAX_METRICS] = { 0 };
    if (e->counts)
        memset(e->counts, 0, sizeof *e->counts * (size_t)e->n_counts);
    GRD_TRY(grd_loader_start(e->loader, 0, 0));
    for (;;) {
        const grd_batch *batch;
        grd_shape shape[GRD_MAX_INPUTS];
        grd_run run = { .no_commit = true, .params = e->params };
        grd_plan *plan;
        GRD_TRY(grd_loader_next(e->loader, &batch));
        if (!batch)
            break;
        run.row = (uint64_t)batch->first;
        GRD_TRY(grd_feed_batch(&e->feed, batch, shape, &run));
        GRD_TRY(grd_model_plan(e->model, &e->compile, shape, &plan));
        GRD_TRY(grd_plan_run(plan, &run));
        add_batch(e, plan, sum, weight);
    }
    for (int k = 0; k <= e->n_metrics; k++)
        e->result[k].value = weight[k] != 0 ? sum[k] / weight[k] : NAN;
    return GRD_OK;
}

grd_status grd_evaluate(grd_model *model, const grd_eval_opts *opts, grd_metric *values, int *n)
{
    grd_evaluator e = { 0 };
    grd_status status = grd_evaluator_open(&e, model, opts, model->seed, 0, "evaluate");
    if (status == GRD_OK)
        status = grd_evaluator_run(&e);
    if (status == GRD_OK) {
        memcpy(values, e.result, sizeof *values * (size_t)(1 + e.n_metrics));
        *n = 1 + e.n_metrics;
    }
    grd_evaluator_close(&e);
    return status;
}
