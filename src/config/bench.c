/* The time of one training step: loss read, all gradients, the optimizer's update. */
#define _GNU_SOURCE
#include "config/pipeline.h"

#include "plan/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { WARM_UP = 5, LEAST_STEPS = 10, MOST_STEPS = 20000 };

/* ms: room for MOST_STEPS; *n: how many were timed. */
static grd_status time_steps(const grd_stage *s, grd_plan *plan, grd_optim *optim, const grd_one_batch *b, double length,
                             double *ms, int64_t *n)
{
    double end = 0;
    grd_run run = { .row = 0 };
    memcpy(run.input, b->input, sizeof run.input);
    for (int64_t i = -WARM_UP; i < MOST_STEPS; i++) {
        double begin = seconds_now(), sum, weight;
        if (i == 0)
            end = begin + length;
        if (i >= LEAST_STEPS && begin >= end)
            break;
        run.step = (uint64_t)(i + WARM_UP);
        GRD_TRY(grd_plan_run(plan, &run));
        grd_plan_loss(plan, &sum, &weight);
        GRD_TRY(grd_optim_step(
            optim, &(grd_step_opts){ .weight = weight, .clip_norm = s->train.clip_norm, .clip_value = s->train.clip_value },
            NULL));
        if (i >= 0) {
            ms[i] = (seconds_now() - begin) * 1e3;
            *n = i + 1;
        }
    }
    return GRD_OK;
}

static void summarise(const grd_stage *s, const grd_stage_net *net, double *ms, grd_bench_result *r)
{
    struct rusage usage;
    qsort(ms, (size_t)r->steps, sizeof *ms, by_value);
    getrusage(RUSAGE_SELF, &usage);
    r->workload = s->pipeline->name;
    r->threads = grd_model_threads(net->model);
    r->median_ms = ms[r->steps / 2];
    r->min_ms = ms[0];
    r->params = grd_model_params(net->model);
    r->rss_mib = (double)usage.ru_maxrss / 1024;
}

static grd_status bench_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, double length,
                            grd_bench_result *r, FILE *profile)
{
    grd_pipeline *p = s->pipeline;
    grd_one_batch b;
    grd_plan *plan;
    grd_optim *optim;
    GRD_TRY(grd_one_batch_open(p, data->train, net->model, s->run.batch, (uint64_t)s->run.seed, true, &b));
    double *ms = GRD_NEW_N(p->host, double, MOST_STEPS);
    grd_compile_opts opts = { .train = true, .loss = net->loss, .backward = true, .flags = profile ? GRD_PLAN_PROFILE : 0 };
    grd_status status = ms ? grd_model_plan(net->model, &opts, b.shape, &plan) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_optim_new(net->model, s->optim, &optim);
    if (status == GRD_OK)
        status = time_steps(s, plan, optim, &b, length, ms, &r->steps);
    if (status == GRD_OK) {
        summarise(s, net, ms, r);
        if (profile)
            grd_plan_profile(plan, profile);
    }
    grd_free(p->host, ms);
    grd_one_batch_close(&b);
    return status;
}

grd_status grd_pipeline_bench(grd_pipeline *p, double length, grd_bench_result *result, FILE *profile)
{
    grd_stage *s = &p->stage[0];
    grd_stage_data data;
    grd_stage_net net;
    memset(result, 0, sizeof *result);
    if (s->linear)
        return grd_fail(p->host, GRD_ERR_CONFIG, "bench: the first stage is linear in closed form: it has no steps");
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_build(s, &data, GRD_F32, &net);
    if (status == GRD_OK) {
        status = bench_net(s, &data, &net, length, result, profile);
        grd_stage_free_net(&net);
    }
    grd_stage_close_data(&data);
    return status;
}
