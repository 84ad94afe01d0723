#define _GNU_SOURCE
#include "cli.h"

#include <time.h>

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static json_t *as_json(const grd_bench_result *r)
{
    return json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:I}", "workload", r->workload, "threads", r->threads,
                     "median_ms", r->median_ms, "min_ms", r->min_ms, "roofline_ms", r->roofline_ms, "gflop", r->flops * 1e-9,
                     "moved_mb", r->moved_bytes * 1e-6, "start_ms", r->start_ms, "params", (json_int_t)r->params, "rss_mib",
                     r->rss_mib, "steps", (json_int_t)r->steps);
}

static int run(const cli_args *args)
{
    grd_machine machine = { 0 };
    /* The process began earlier, by the time that loading it took: it has done nothing else but run till here. */
    double began = seconds_of(CLOCK_MONOTONIC) - seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    if (args->n_words < 1)
        return cli_usage(&verb_bench, "expected one or more configs");
    for (int i = 0; i < args->n_words; i++) {
        grd_ctx *ctx;
        grd_pipeline *p;
        grd_bench_result r;
        cli_args one = *args;
        one.word[0] = args->word[i];
        one.quiet = true;
        int code = cli_open(&one, &ctx, &p);
        if (code)
            return code;
        grd_bench_opts opts = { .seconds = args->seconds, .began = began, .machine = &machine,
                                .profile = args->profile ? stderr : NULL };
        if (grd_pipeline_bench(p, &opts, &r) != GRD_OK)
            return cli_fail(ctx);
        cli_print_json(as_json(&r));
        fflush(stdout);
        grd_close(ctx);
        began = seconds_of(CLOCK_MONOTONIC);
    }
    return EXIT_DONE;
}

const cli_verb verb_bench = {
    "bench", "CONFIG ... [--threads N] [--seconds S] [--profile]", "time of one training step",
    "Loss, all gradients and the optimizer's update, on one batch of the first stage; median and minimum over about 6 seconds.\n"
    "One JSON object a line:\n"
    "  workload, threads, params\n"
    "  median_ms, min_ms, steps   time of a step, and how many were timed\n"
    "  roofline_ms                time of a step at this machine's limits: for each step of the plan the larger of its direct\n"
    "                             FLOPs at the peak of multiply-adds and the bytes that it must move (inputs, outputs,\n"
    "                             parameters and moments, once each) at the speed of a stream through memory, summed, with\n"
    "                             the optimizer's. What stays in cache or needs fewer FLOPs (Winograd) may be faster.\n"
    "  gflop, moved_mb            those FLOPs (1e9) and bytes (1e6)\n"
    "  start_ms                   from the start of the process (the next config: from its own) to that of the first step\n"
    "  rss_mib                    largest resident size of the process so far\n"
    "The limits are measured after the steps, with as many threads and the same instruction set (DNNL_MAX_CPU_ISA caps it).\n"
    "--profile: on stderr each step of the plan, its time, share, GFLOP/s, GB/s, its roofline and how many times that it took.\n",
    run, true
};
