#define _GNU_SOURCE
#include "cli.h"

#include <string.h>
#include <sys/stat.h>

static int show_run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    cli_args quiet = *args;
    quiet.quiet = true;
    int code = cli_open(&quiet, &ctx, &p);
    if (code)
        return code;
    json_t *all = json_object();
    if (!args->json)
        printf("run %s in %s\n", grd_pipeline_name(p), grd_pipeline_dir(p));
    for (int i = 0; i < grd_pipeline_stages(p); i++) {
        const grd_stage_result *r = grd_pipeline_result(p, i);
        if (args->json) {
            json_t *test = json_object();
            for (int k = 0; k < r->n_test; k++)
                json_object_set_new(test, r->test[k].name, cli_number(r->test[k].value));
            json_object_set_new(all, r->name,
                                json_pack("{s:b, s:I, s:I, s:o, s:o}", "done", r->done, "epochs", (json_int_t)r->epochs,
                                          "best_epoch", (json_int_t)r->best_epoch, "val_loss", cli_number(r->val_loss), "test",
                                          test));
            continue;
        }
        printf("  %-14s %s", r->name, r->done ? "done" : "not done");
        if (r->done)
            printf(", %lld epochs, best %lld", (long long)r->epochs, (long long)r->best_epoch);
        for (int k = 0; k < r->n_test; k++)
            printf(", test %s %.6g", r->test[k].name, r->test[k].value);
        putchar('\n');
    }
    if (args->json)
        cli_print_json(all);
    else
        json_decref(all);
    grd_close(ctx);
    return EXIT_DONE;
}

static int run(const cli_args *args)
{
    struct stat info;
    if (args->n_words != 1)
        return cli_usage(&verb_show, "expected one checkpoint, or the folder of a run");
    if (stat(args->word[0], &info) == 0 && S_ISDIR(info.st_mode))
        return show_run(args);
    grd_ctx *ctx = grd_open(NULL);
    if (!ctx || grd_checkpoint_show(ctx, args->word[0], args->json, stdout) != GRD_OK)
        return cli_fail(ctx);
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_show = {
    "show", "FILE.pth|RUN [--json]", "what is in a checkpoint or a run",
    "A checkpoint: its tensors with shape and type, and what else it holds. A run: its stages and their results.\n", run, false
};
