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

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    if (args->n_words != 1)
        return cli_usage(&verb_eval, "expected the folder of a run");
    int code = cli_open(args, &ctx, &p);
    if (code)
        return code;
    grd_metric value[1 + GRD_MAX_METRICS];
    int n;
    const int64_t *confusion;
    int64_t classes;
    const char *split = args->split ? args->split : "test";
    if (grd_pipeline_eval(p, args->stage, split, value, &n, &confusion, &classes) != GRD_OK)
        return cli_fail(ctx);
    if (args->json) {
        json_t *all = json_object();
        json_object_set_new(all, "split", json_string(split));
        for (int i = 0; i < n; i++)
            json_object_set_new(all, value[i].name, cli_number(value[i].value));
        if (args->confusion && confusion)
            json_object_set_new(all, "confusion", confusion_array(confusion, classes));
        cli_print_json(all);
    } else {
        printf("%-14s %s\n", "split", split);
        for (int i = 0; i < n; i++)
            printf("%-14s %.6g\n", value[i].name, value[i].value);
        if (args->confusion && confusion)
            print_confusion(confusion, classes);
    }
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_eval = {
    "eval", "RUN [stage=NAME] [split=test|val|train] [--confusion] [--json]", "loss and metrics of a run's best weights",
    "The last stage unless stage=NAME says another; the test set unless split=NAME does. --confusion adds the table of truth and\n"
    "prediction. --json prints one object: {\"split\", \"loss\", \"accuracy\", ...}.\n",
    run
};
