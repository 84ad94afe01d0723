#define _GNU_SOURCE
#include "cli.h"

#include <time.h>
#include <unistd.h>

/* A line that is drawn again and again, on a terminal only. */
typedef struct line {
    double drawn;
    bool there;
} line;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw_progress(void *user, const char *what, int64_t done, int64_t total)
{
    line *l = user;
    if (now() < l->drawn + 0.1)
        return;
    l->drawn = now();
    l->there = true;
    fprintf(stderr, "\r%-20s %3.0f %% of %lld\033[K", what, total ? 100.0 * (double)done / (double)total : 100.0,
            (long long)total);
    fflush(stderr);
}

/* Data that cannot even be opened: the one finding that there then is. */
static int fail(const cli_args *args, grd_ctx *ctx)
{
    grd_status status = grd_error_status(ctx);
    if (args->json && (status == GRD_ERR_FORMAT || status == GRD_ERR_IO || status == GRD_ERR_DATA))
        cli_print_json(json_pack("{s:[{s:s, s:s, s:i, s:[], s:[], s:s, s:s}], s:[]}", "findings", "rule", "unreadable", "level",
                                 "error", "count", 1, "samples", "sets", "text", grd_error(ctx), "advice",
                                 "get the files again from where they came", "suspects"));
    return cli_fail(ctx);
}

/* What statistics leave out is said beside them. */
static void say_findings(const grd_report *report)
{
    const grd_check_finding *f;
    int n = grd_report_findings(report, &f);
    for (int i = 0; i < n; i++)
        fprintf(stderr, "gradus: %s\n", f[i].text);
}

static int report_on(const cli_args *args, bool only_stats, grd_ctx *ctx, grd_pipeline *p)
{
    line l = { 0, false };
    grd_report *report;
    grd_check_opts opts = { .only_stats = only_stats,
                            .user = &l,
                            .progress = !args->quiet && isatty(STDERR_FILENO) ? draw_progress : NULL };
    grd_status status = grd_pipeline_data_check(p, args->stage, &opts, &report);
    if (l.there)
        fputs("\r\033[K", stderr);
    if (status != GRD_OK)
        return fail(args, ctx);
    if (args->out && grd_report_write(report, args->out) != GRD_OK)
        return cli_fail(ctx);
    if (args->json && grd_report_json(report, stdout) != GRD_OK)
        return cli_fail(ctx);
    if (only_stats && !args->json)
        say_findings(report);
    if (!args->json)
        (only_stats ? grd_report_stats : grd_report_print)(report, stdout);
    int code = grd_report_count(report, GRD_FINDING_ERROR) ? EXIT_FAILED : EXIT_DONE;
    grd_close(ctx);
    return code;
}

static int look(const cli_args *args, const cli_verb *verb, bool only_stats)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    if (args->n_words != 1)
        return cli_usage(verb, "expected one config");
    cli_args quiet = *args;
    quiet.quiet = true;
    int code = cli_open(&quiet, &ctx, &p);
    if (code)
        return code;
    return report_on(args, only_stats, ctx, p);
}

static int check(const cli_args *args)
{
    return look(args, &verb_data_check, false);
}
static int stats(const cli_args *args)
{
    return look(args, &verb_data_stats, true);
}

const cli_verb verb_data_check = {
    "data check", "CONFIG [--json] [--out FILE.html] [stage=NAME] [key=value ...] [--threads N]",
    "verify the data before training on them",
    "Reads every sample of the first stage's sets once, before any transform, and tells what is wrong with them: unreadable "
    "files,\n"
    "labels and values out of range, masks of another size, missing values, constant columns and pictures, equal and similar "
    "samples\n"
    "within and across the sets, groups in two sets, columns that tell the target, rare classes, outliers; and suspects: "
    "samples\n"
    "whose label a quick cross-validated model contradicts. Each finding is an error, a warning or a note and says what to do;\n"
    "exit code 1 if one is an error. Acting on it: data.exclude and data.relabel take lists of names.\n"
    "--out writes a page with pictures, and beside it NAME-exclude.txt and NAME-relabel.txt; --json prints\n"
    "{\"findings\": [{\"rule\", \"level\", \"count\", \"samples\", \"sets\", \"text\", \"advice\"}], \"suspects\": [{\"name\", "
    "\"label\", \"predicted\",\n"
    "\"score\", \"set\", \"confident\"}], \"sets\", \"columns\", \"classes\", \"model_accuracy\", \"seconds\"}.\n",
    check, true
};

const cli_verb verb_data_stats = {
    "data stats", "CONFIG [--json] [stage=NAME] [key=value ...] [--threads N]",
    "sizes, ranges, mean and std, classes of each set",
    "One pass over the sets of the first stage as the files have them, before any transform: sizes, smallest and largest value, "
    "mean\n"
    "and standard deviation by channel, missing values, how often each class stands in each set, the columns of tables.\n"
    "Samples that cannot be read are left out and told of; the exit code is then 1.\n",
    stats, false
};
