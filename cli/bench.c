#include "cli.h"

static int run(const cli_args *args)
{
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
        if (grd_pipeline_bench(p, args->seconds, &r, args->profile ? stderr : NULL) != GRD_OK)
            return cli_fail(ctx);
        cli_print_json(json_pack("{s:s, s:i, s:f, s:f, s:I, s:f}", "workload", r.workload, "threads", r.threads, "median_ms",
                                 r.median_ms, "min_ms", r.min_ms, "params", (json_int_t)r.params, "rss_mib", r.rss_mib));
        fflush(stdout);
        grd_close(ctx);
    }
    return EXIT_DONE;
}

const cli_verb verb_bench = {
    "bench", "CONFIG ... [--threads N] [--seconds S] [--profile]", "time of one training step",
    "Loss, all gradients and the optimizer's update, on one batch of the first stage; median and minimum over about 6 seconds.\n"
    "One JSON object a line: {\"workload\", \"threads\", \"median_ms\", \"min_ms\", \"params\", \"rss_mib\"}. --profile: each "
    "step of the plan.\n",
    run
};
