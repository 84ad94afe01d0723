#define _GNU_SOURCE
#include "cli.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What the process has in memory, in MiB; where that is not told, the most that it has had. */
static double memory_now(void)
{
    long pages = -1;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*s %ld", &pages) != 1)
        pages = -1;
    if (file)
        fclose(file);
    struct rusage usage = { 0 };
    if (pages >= 0)
        return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024 : 0;
}

typedef struct figures {
    double samples_per_s, first_ms;
    int64_t epochs, samples;
    double memory[2]; /* MiB, after the second epoch (of one: the first) and after the last */
} figures;

/* So many epochs, or (0) whole ones until the time is over; the best one counts, the first only if it is the only one. */
static grd_status measure(grd_loader *loader, int epochs, double seconds, figures *f)
{
    const double end = now() + seconds;
    f->first_ms = 1e9;
    do {
        const double begin = now();
        const grd_batch *batch;
        int64_t n = 0;
        grd_status status = grd_loader_start(loader, f->epochs, 0);
        double first = now() - begin;
        while (status == GRD_OK && (status = grd_loader_next(loader, &batch)) == GRD_OK && batch)
            n += batch->n;
        if (status != GRD_OK)
            return status;
        const double rate = (double)n / (now() - begin);
        f->samples_per_s = f->epochs <= 1 || rate > f->samples_per_s ? rate : f->samples_per_s;
        f->first_ms = first * 1e3 < f->first_ms ? first * 1e3 : f->first_ms;
        f->samples += n;
        f->epochs++;
        f->memory[1] = memory_now();
        f->memory[0] = f->epochs <= 2 ? f->memory[1] : f->memory[0];
    } while ((epochs ? f->epochs < epochs : now() < end) && !*cli_stop);
    return GRD_OK;
}

static int bench(const cli_args *args, grd_ctx *ctx, grd_pipeline *p)
{
    grd_dataset *train;
    grd_loader *loader;
    figures f = { 0 };
    grd_loader_opts opts;
    if (grd_pipeline_dataset(p, args->stage, "train", &train) != GRD_OK || grd_pipeline_loader(p, args->stage, &opts) != GRD_OK)
        return cli_fail(ctx);
    if (args->workers >= 0)
        opts.workers = args->workers;
    if (grd_loader_new(ctx, train, &opts, &loader) != GRD_OK || measure(loader, args->epochs, args->seconds, &f) != GRD_OK)
        return cli_fail(ctx);
    if (args->json)
        cli_print_json(json_pack("{s:f, s:i, s:I, s:I, s:I, s:f, s:[f,f]}", "samples_per_s", f.samples_per_s, "workers", opts.workers,
                                 "batch", (json_int_t)opts.batch, "epochs", (json_int_t)f.epochs, "samples", (json_int_t)f.samples,
                                 "epoch_start_ms", f.first_ms, "rss_mib", f.memory[0], f.memory[1]));
    else
        printf("%.0f samples a second with %d workers, batch %lld; %lld epochs, %lld samples; an epoch starts in %.3f ms; "
               "%.1f MiB of memory\n",
               f.samples_per_s, opts.workers, (long long)opts.batch, (long long)f.epochs, (long long)f.samples, f.first_ms, f.memory[1]);
    grd_loader_free(loader);
    return EXIT_DONE;
}

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    if (args->n_words != 1)
        return cli_usage(&verb_data_bench, "expected one config");
    cli_args quiet = *args;
    quiet.quiet = true;
    int code = cli_open(&quiet, &ctx, &p);
    if (code)
        return code;
    code = bench(args, ctx, p);
    if (code == EXIT_DONE)
        grd_close(ctx);
    return code;
}

const cli_verb verb_data_bench = {
    "data bench", "CONFIG [--workers N] [--seconds S] [--epochs N] [--json] [stage=NAME] [key=value ...]",
    "how fast a loader makes batches",
    "The training set of the first stage as it is trained on, with its transforms, batch size and order, batch after batch,\n"
    "whole epochs for about 6 seconds, or as many as are given; no training. samples_per_s is that of the best epoch, the first\n"
    "left out if there are more; epoch_start_ms the time to begin an epoch; rss_mib the memory of the process after two epochs\n"
    "and at the end.\n",
    run, false
};
