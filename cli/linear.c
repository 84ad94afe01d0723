#define _GNU_SOURCE
#include "cli.h"

static json_t *scores_json(const grd_baselines *all, const grd_baseline *item, const grd_linear_scores *s)
{
    if (!all->classes)
        return json_pack("{s:o, s:o}", "mse", cli_number(s->mse), "r2", cli_number(s->r2));
    return json_pack("{s:o, s:o}", "accuracy", cli_number(s->accuracy), item->logits ? "log_loss" : "mse",
                     cli_number(item->logits ? s->log_loss : s->mse));
}

static void print_json(const grd_baselines *b)
{
    json_t *all = json_pack("{s:I, s:I, s:I, s:I}", "samples", (json_int_t)b->samples, "features", (json_int_t)b->features,
                            "outputs", (json_int_t)b->outputs, "classes", (json_int_t)b->classes);
    for (int i = 0; i < b->n; i++) {
        const grd_baseline *item = &b->item[i];
        json_t *one = json_pack("{s:o}", "lambda", cli_number(item->lambda));
        if (item->has_val)
            json_object_set_new(one, "val", scores_json(b, item, &item->val));
        if (item->has_test)
            json_object_set_new(one, "test", scores_json(b, item, &item->test));
        json_object_set_new(all, item->name, one);
    }
    cli_print_json(all);
}

/* Two columns of a set: accuracy and log loss of classes, mean squared error and R2 of numbers. */
static void print_scores(const grd_baselines *b, const grd_baseline *item, bool there, const grd_linear_scores *s)
{
    if (!there)
        printf("%12s%12s", "-", "-");
    else if (b->classes && item->logits)
        printf("%10.2f %%%12.5f", 100 * s->accuracy, s->log_loss);
    else if (b->classes)
        printf("%10.2f %%%12s", 100 * s->accuracy, "-");
    else
        printf("%12.6g%12.4f", s->mse, s->r2);
}

static void print_table(const grd_baselines *b)
{
    printf("%lld samples, %lld features, %lld %s\n", (long long)b->samples, (long long)b->features, (long long)b->outputs,
           b->classes ? "classes" : b->outputs == 1 ? "number to predict" : "numbers to predict");
    const char *const first = b->classes ? "accuracy" : "mse", *const second = b->classes ? "log loss" : "R2";
    printf("%24s%24s%24s\n", "", "val", "test");
    printf("%-12s%12s%12s%12s%12s%12s\n", "model", "lambda", first, second, first, second);
    for (int i = 0; i < b->n; i++) {
        const grd_baseline *item = &b->item[i];
        printf("%-12s%12.4g", item->name, item->lambda);
        print_scores(b, item, item->has_val, &item->val);
        print_scores(b, item, item->has_test, &item->test);
        putchar('\n');
    }
    if (b->too_large)
        printf("logistic regression is left out: more than %d unknowns\n", GRD_LOGISTIC_UNKNOWNS);
}

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    grd_baselines b;
    if (args->n_words != 1)
        return cli_usage(&verb_linear, "expected one config, or the folder of a run");
    cli_args quiet = *args;
    quiet.quiet = true;
    int code = cli_open(&quiet, &ctx, &p);
    if (code)
        return code;
    if (grd_pipeline_baselines(p, args->stage, &b) != GRD_OK)
        return cli_fail(ctx);
    if (args->json)
        print_json(&b);
    else
        print_table(&b);
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_linear = {
    "linear", "CONFIG|RUN [--json] [--threads N] [stage=NAME] [key=value ...]", "what linear models reach: the baseline to beat",
    "Fits linear models on the training set of the first stage as it comes from its transforms, inputs flattened, and evaluates\n"
    "them on its validation and test sets; nothing is written. Of classes: ridge regression on one-hot targets and logistic\n"
    "regression (lambda 1, up to 4096 unknowns). Of numbers (field target): ridge regression. Ridge's lambda is chosen by five\n"
    "folds of the training set.\n",
    run, true
};
