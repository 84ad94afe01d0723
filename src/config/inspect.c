/* Looking before training: `check` and the gradient check of a whole model. */
#include "config/pipeline.h"

#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

/* What run: {memory: low} would be worth. */
static grd_status print_low(const grd_stage_net *net, grd_compile_opts opts, const grd_shape *shape, FILE *out)
{
    grd_plan *plan;
    opts.flags |= GRD_PLAN_LOW_MEMORY;
    GRD_TRY(grd_model_plan(net->model, &opts, shape, &plan));
    fprintf(out, "with run: {memory: low}: ");
    grd_plan_print_again(plan, out);
    return GRD_OK;
}

static grd_status print_plan(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, FILE *out)
{
    grd_one_batch b;
    grd_plan *plan;
    GRD_TRY(grd_one_batch_open(s->pipeline, data->train, net->model, s->run.batch, 0, false, &b));
    grd_compile_opts opts = { .train = true, .loss = net->loss, .backward = true };
    grd_status status = grd_model_plan(net->model, &opts, b.shape, &plan);
    if (status == GRD_OK) {

        fputc('\n', out);
        grd_graph_print(net->model, plan, out);
        fprintf(out, "\ntraining step, batch %lld, %d threads:\n", (long long)b.n, grd_model_threads(net->model));
        grd_plan_print(plan, out);
        grd_plan_info info = grd_plan_describe(plan);
        fprintf(out, "memory: parameters %zu bytes, gradients %zu, state %zu, values %zu (%zu without reuse)\n", info.param_bytes,
                info.grad_bytes, info.state_bytes, info.arena_bytes, info.no_reuse_bytes);
    }
    if (status == GRD_OK && s->run.memory != GRD_MEMORY_LOW)
        status = print_low(net, opts, b.shape, out);
    grd_one_batch_close(&b);
    return status;
}

static void print_length(const grd_dataset *set, const char *what, FILE *out)
{
    const int64_t n = set ? grd_dataset_length(set) : 0;
    if (!set)
        return;
    if (n < 0)
        fprintf(out, "a stream%s", what);
    else
        fprintf(out, "%lld%s", (long long)n, what);
}

static void print_data(const grd_stage *s, const grd_stage_data *data, FILE *out)
{
    fprintf(out, "stage %s: ", s->config->name);
    print_length(data->train, grd_dataset_length(data->train) < 0 ? " to train on" : " samples to train on", out);
    fputs(data->val ? ", " : "", out);
    print_length(data->val, " to choose by", out);
    fputs(data->test ? ", " : "", out);
    print_length(data->test, " to test on", out);
    fputc('\n', out);
    for (int f = 0; f < data->n_fields; f++) {
        const grd_field *field = &data->field[f];
        char shape[80];
        fprintf(out, "  field %s: %s %s", field->name, grd_dtype_name(field->dtype),
                grd_shape_text(&field->shape, shape, sizeof shape));
        if (field->classes)
            fprintf(out, ", %lld classes", (long long)field->classes);
        fputc('\n', out);
    }
}

/* Returns how many are errors. */
static int print_findings(const grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, FILE *out)
{
    grd_finding found[GRD_MAX_FINDINGS];
    int n = grd_doctor(s, data, net, found), errors = 0;
    fprintf(out, n ? "the doctor found:\n" : "the doctor found nothing\n");
    for (int i = 0; i < n; i++) {
        fprintf(out, "  %s: %s: %s\n", found[i].is_error ? "error" : "warning", found[i].name, found[i].text);
        errors += found[i].is_error;
    }
    return errors;
}

static grd_status check_stage(grd_stage *s, const grd_stage_data *data, FILE *out, int *errors)
{
    grd_stage_net net;
    print_data(s, data, out);
    GRD_TRY(grd_dataset_verify(s->pipeline->ctx, data->train, NULL, 0));
    if (s->linear) {
        fprintf(out, "  ridge regression in closed form\n");
        return GRD_OK;
    }
    GRD_TRY(grd_stage_build(s, data, GRD_F32, &net));
    grd_status status = print_plan(s, data, &net, out);
    if (status == GRD_OK)
        *errors += print_findings(s, data, &net, out);
    if (status == GRD_OK && grd_stage_has_baseline(data))
        fprintf(out, "the baseline to beat: gradus linear %s%s%s\n", s->pipeline->config.path, s->index ? " stage=" : "",
                s->index ? s->config->name : "");
    grd_stage_free_net(&net);
    return status;
}

grd_status grd_pipeline_check(grd_pipeline *p, FILE *out, int *errors)
{
    *errors = 0;
    for (int i = 0; i < p->config.n_stages; i++) {
        grd_stage_data data;
        if (i)
            fputc('\n', out);
        GRD_TRY(grd_stage_open_data(&p->stage[i], &data));
        grd_status status = check_stage(&p->stage[i], &data, out, errors);
        grd_stage_close_data(&data);
        GRD_TRY(status);
    }
    return GRD_OK;
}

/* What a double model reads: reals as double, made in `wide`; indices as they are. */
static grd_status widen(const grd_stage_net *net, const grd_one_batch *b, grd_arena *wide, grd_run *run)
{
    for (int i = 0; i < grd_model_inputs(net->model); i++) {
        run->input[i] = b->input[i];
        if (net->graph->inputs.item[i].dtype != GRD_F32 || !b->input[i])
            continue;
        int64_t count = grd_count(&b->shape[i]);
        double *copy = grd_arena_alloc(wide, sizeof(double) * (size_t)count);
        if (!copy)
            return GRD_ERR_MEMORY;
        for (int64_t e = 0; e < count; e++)
            copy[e] = ((const float *)b->input[i])[e];
        run->input[i] = copy;
    }
    return GRD_OK;
}

static grd_status gradcheck_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, grd_gradcheck_result *results,
                                int most, int *n)
{
    enum { SAMPLES = 4, PER_PARAMETER = 8 };
    grd_pipeline *p = s->pipeline;
    grd_one_batch b;
    if (grd_model_count(net->model) > most)
        return grd_fail(p->host, GRD_ERR_ARG, "gradient check: %d parameters, room for %d", grd_model_count(net->model), most);
    GRD_TRY(grd_one_batch_open(p, data->train, net->model, SAMPLES, (uint64_t)s->run.seed, true, &b));
    grd_run run = { .no_commit = true };
    grd_arena wide;
    grd_arena_init(&wide, p->host);
    grd_status status = widen(net, &b, &wide, &run);
    if (status == GRD_OK)
        status = grd_gradcheck_model(net->model, net->loss, b.shape, &run, PER_PARAMETER, results, n);
    for (int i = 0; status == GRD_OK && i < *n; i++)
        if (!(results[i].name = grd_arena_strdup(&p->arena, results[i].name)))
            status = GRD_ERR_MEMORY;
    grd_arena_free(&wide);
    grd_one_batch_close(&b);
    return status;
}

grd_status grd_pipeline_gradcheck(grd_pipeline *p, const char *name, grd_gradcheck_result *results, int most, int *n)
{
    grd_stage *s;
    grd_stage_data data;
    grd_stage_net net;
    *n = 0;
    GRD_TRY(grd_stage_find(p, name, &s));
    if (s->linear)
        return GRD_OK; /* nothing is learned by gradients */
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_build(s, &data, GRD_F64, &net);
    if (status == GRD_OK) {
        status = gradcheck_net(s, &data, &net, results, most, n);
        grd_stage_free_net(&net);
    }
    grd_stage_close_data(&data);
    return status;
}
