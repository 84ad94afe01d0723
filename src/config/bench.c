/* The time of one training step: loss read, all gradients, the optimizer's update. */
#define _GNU_SOURCE
#include "config/pipeline.h"

#include "plan/model.h"
#include "plan/plan.h"

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

enum { WARM_UP = 3, LEAST_STEPS = 5, MOST_STEPS = 20000 };

/* Largest resident size in MiB. The kernel's own figure for this program first: that of getrusage counts what a process was
 * before it became this one, such as a copy of whoever started it. */
static double peak_memory(void)
{
    char line[128];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (status)
        fclose(status);
    struct rusage usage;
    if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kib = (double)usage.ru_maxrss;
    return kib / 1024;
}

/* One workload while it is measured. */
typedef struct bench {
    const grd_stage *stage;
    const grd_bench_opts *opts;
    grd_model *model;
    grd_plan *plan;
    grd_optim *optim;
    double *ms;             /* of each step; room for MOST_STEPS */
    double optim_seconds;   /* of one update, on average; only with a profile */
} bench;

static grd_status update(bench *b)
{
    const grd_train_section *train = &b->stage->train;
    double sum, weight;
    grd_plan_loss(b->plan, &sum, &weight);
    return grd_optim_step(
        b->optim, &(grd_step_opts){ .weight = weight, .clip_norm = train->clip_norm, .clip_value = train->clip_value }, NULL);
}

static grd_status time_steps(bench *b, const grd_one_batch *batch, grd_bench_result *r)
{
    double end = 0;
    grd_run run = { .row = 0 };
    memcpy(run.input, batch->input, sizeof run.input);
    r->start_ms = (seconds_now() - b->opts->began) * 1e3;
    for (int64_t i = -WARM_UP; i < MOST_STEPS; i++) {
        double begin = seconds_now(), middle;
        if (i == 0)
            end = begin + b->opts->seconds;
        if (i >= LEAST_STEPS && begin >= end)
            break;
        run.step = (uint64_t)(i + WARM_UP);
        GRD_TRY(grd_plan_run(b->plan, &run));
        middle = b->opts->profile ? seconds_now() : 0;
        GRD_TRY(update(b));
        if (i < 0)
            continue;
        double now = seconds_now();
        b->ms[i] = (now - begin) * 1e3;
        b->optim_seconds += b->opts->profile ? now - middle : 0;
        r->steps = i + 1;
    }
    b->optim_seconds /= (double)r->steps;
    return GRD_OK;
}

static void summarise(const bench *b, grd_bench_result *r)
{
    grd_plan_info info = grd_plan_describe(b->plan);
    qsort(b->ms, (size_t)r->steps, sizeof *b->ms, by_value);
    r->workload = b->stage->pipeline->name;
    r->threads = grd_model_threads(b->model);
    r->median_ms = b->ms[r->steps / 2];
    r->min_ms = b->ms[0];
    r->params = grd_model_params(b->model);
    r->rss_mib = peak_memory();
    r->flops = info.flops;
    r->moved_bytes = info.moved_bytes + grd_optim_moved_bytes(b->optim);
}

/* Beside the machine's limits, which are measured last: it takes memory, and time that is not a step's. */
static grd_status compare(const bench *b, grd_bench_result *r)
{
    grd_machine *machine = b->opts->machine;
    double moved = grd_optim_moved_bytes(b->optim);
    if (machine && machine->threads != r->threads)
        GRD_TRY(grd_machine_measure(b->stage->pipeline->ctx, r->threads, machine));
    if (machine)
        r->roofline_ms = (grd_plan_roofline(b->plan, machine) + grd_roofline(machine, 0, moved)) * 1e3;
    if (b->opts->profile)
        grd_profile_print(
            b->plan, machine,
            (grd_profile_line){ .name = grd_optim_name(b->optim), .seconds = b->optim_seconds, .moved_bytes = moved },
            b->opts->profile);
    return GRD_OK;
}

static grd_status bench_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, const grd_bench_opts *opts,
                            grd_bench_result *r)
{
    grd_pipeline *p = s->pipeline;
    grd_one_batch batch;
    bench b = { .stage = s, .opts = opts, .model = net->model };
    GRD_TRY(grd_one_batch_open(p, data->train, net->model, s->run.batch, (uint64_t)s->run.seed, true, &batch));
    b.ms = GRD_NEW_N(p->host, double, MOST_STEPS);
    grd_compile_opts compile = { .train = true, .loss = net->loss, .backward = true,
                                 .flags = opts->profile ? GRD_PLAN_PROFILE : 0 };
    grd_status status = b.ms ? grd_model_plan(net->model, &compile, batch.shape, &b.plan) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_optim_new(net->model, s->optim, &b.optim);
    if (status == GRD_OK && s->train.ema > 0)
        status = grd_optim_set_ema(b.optim, s->train.ema);
    if (status == GRD_OK)
        status = time_steps(&b, &batch, r);
    if (status == GRD_OK) {
        summarise(&b, r);
        status = compare(&b, r);
    }
    grd_free(p->host, b.ms);
    grd_one_batch_close(&batch);
    return status;
}

grd_status grd_pipeline_bench(grd_pipeline *p, const grd_bench_opts *given, grd_bench_result *result)
{
    grd_stage *s = &p->stage[0];
    grd_stage_data data;
    grd_stage_net net;
    grd_bench_opts opts = *given;
    if (opts.began == 0)
        opts.began = seconds_now();
    memset(result, 0, sizeof *result);
    if (s->linear)
        return grd_fail(p->host, GRD_ERR_CONFIG, "bench: the first stage is linear in closed form: it has no steps");
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_build(s, &data, GRD_F32, &net);
    if (status == GRD_OK) {
        status = bench_net(s, &data, &net, &opts, result);
        grd_stage_free_net(&net);
    }
    grd_stage_close_data(&data);
    return status;
}
