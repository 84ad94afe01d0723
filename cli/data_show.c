#include "cli.h"

#include <string.h>

static void print_row(void *user, const grd_shown *shown)
{
    json_t *rows = user;
    if (rows)
        json_array_append_new(rows, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)shown->index, "name", shown->name, "label",
                                              shown->label));
    else
        printf("%4lld  %-24s  %s\n", (long long)shown->place + 1, shown->label, shown->name);
}

static int show(const cli_args *args, grd_ctx *ctx, grd_pipeline *p)
{
    const char *set = args->split ? args->split : "train", *path = args->out ? args->out : "samples.png";
    json_t *rows = args->json ? json_array() : NULL;
    grd_dataset *data;
    grd_loader_opts opts;
    const grd_sheet_opts sheet = { .n = args->count, .each = print_row, .user = rows };
    if (grd_pipeline_dataset(p, args->stage, set, &data) != GRD_OK || grd_pipeline_loader(p, args->stage, &opts) != GRD_OK) {
        json_decref(rows);
        return cli_fail(ctx);
    }
    if (!data) {
        fprintf(stderr, "gradus data show: the stage has no set \"%s\"; expected train, val or test\n", set);
        json_decref(rows);
        grd_close(ctx);
        return EXIT_USAGE;
    }
    if (strcmp(set, "train") != 0) { /* as they are evaluated: in order */
        opts.shuffle = false;
        opts.sampler = GRD_SAMPLER_PLAIN;
    }
    if (grd_dataset_sheet(ctx, data, &opts, &sheet, path) != GRD_OK) {
        json_decref(rows);
        return cli_fail(ctx);
    }
    if (rows)
        cli_print_json(json_pack("{s:s, s:o}", "file", path, "samples", rows));
    else
        printf("%s\n", path);
    grd_close(ctx);
    return EXIT_DONE;
}

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    if (args->n_words != 1)
        return cli_usage(&verb_data_show, "expected one config");
    cli_args quiet = *args;
    quiet.quiet = true;
    int code = cli_open(&quiet, &ctx, &p);
    return code ? code : show(args, ctx, p);
}

const cli_verb verb_data_show = {
    "data show", "CONFIG [--count N] [--out FILE] [--json] [split=train|val|test] [stage=NAME] [key=value ...]",
    "pictures as the network will see them",
    "Writes a PNG (samples.png) of the first 16 pictures of the first epoch, in its order and with all transforms of the set: masks over\n"
    "them in colours, points on them, labels and names under them; floats from their smallest (black) to their largest (white).\n"
    "Prints their labels and names.\n",
    run, false
};
