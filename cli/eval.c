#include "cli.h"

static void print_confusion(const int64_t *counts, int64_t classes)
{
    printf("confusion (rows: truth, columns: prediction)\n%6s", "");
    for (int64_t c = 0; c < classes; c++)
        printf("%7lld", (long long)c);
    for (int64_t t = 0; t < classes; t++) {
        printf("\n%6lld", (long long)t);
        for (int64_t c = 0; c < classes; c++)
            printf("%7lld", (long long)counts[t * classes + c]);
    }
    putchar('\n');
}

static json_t *confusion_array(const int64_t *counts, int64_t classes)
{
    json_t *rows = json_array();
    for (int64_t t = 0; t < classes; t++) {
        json_t *row = json_array();
        for (int64_t c = 0; c < classes; c++)
            json_array_append_new(row, json_integer(counts[t * classes + c]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void print_json(const cli_args *args, const grd_evaluation *e)
{
    json_t *all = json_object();
    json_object_set_new(all, "split", json_string(e->split));
    for (int i = 0; i < e->n; i++)
        json_object_set_new(all, e->value[i].name, cli_number(e->value[i].value));
    if (args->confusion && e->confusion)
        json_object_set_new(all, "confusion", confusion_array(e->confusion, e->classes));
    cli_print_json(all);
}

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    grd_evaluation e;
    if (args->n_words != 1)
        return cli_usage(&verb_eval, "expected the folder of a run, or a config with weights=FILE");
    int code = cli_open(args, &ctx, &p);
    if (code)
        return code;
    const grd_pipeline_eval_opts opts = { .stage = args->stage, .split = args->split, .weights = args->weights };
    if (grd_pipeline_eval(p, &opts, &e) != GRD_OK)
        return cli_fail(ctx);
    if (args->json) {
        print_json(args, &e);
    } else {
        printf("%-14s %s\n", "split", e.split);
        for (int i = 0; i < e.n; i++)
            printf("%-14s %.6g\n", e.value[i].name, e.value[i].value);
        if (args->confusion && e.confusion)
            print_confusion(e.confusion, e.classes);
    }
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_eval = {
    "eval", "RUN|CONFIG [stage=NAME] [split=test|val|train] [weights=FILE.pth] [key.sub=value ...] [--confusion] [--json]",
    "loss and metrics of a run's best weights",
    "The last stage unless stage=NAME says another; the test set unless split=NAME does; the stage's best.pth unless "
    "weights=FILE names\n"
    "another checkpoint, of PyTorch's too: then a config will do. --confusion adds the table of truth and prediction.\n"
    "--json prints one object: {\"split\", \"loss\", \"accuracy\", ...}.\n",
    run, true
};
