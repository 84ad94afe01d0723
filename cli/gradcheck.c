#include "cli.h"

#include <string.h>

enum { MOST = 1024 };

typedef struct report {
    json_t *list;
    bool json;
    int failed, n;
} report;

static void add(report *r, const char *prefix, const grd_gradcheck_result *result)
{
    char name[400];
    snprintf(name, sizeof name, "%s%s", prefix, result->name);
    if (r->json) {
        json_t *item = json_object();
        json_object_set_new(item, "name", json_string(name));
        json_object_set_new(item, "max_rel_error", cli_number(result->max_rel_error));
        json_object_set_new(item, "pass", json_boolean(result->pass));
        json_array_append_new(r->list, item);
    } else {
        printf("%-32s %10.3e  %s\n", name, result->max_rel_error, result->pass ? "pass" : "FAIL");
    }
    r->failed += !result->pass;
    r->n++;
}

static int check_ops(const cli_args *args, report *r)
{
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    if (!ctx)
        return cli_fail(NULL);
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F64)); i++) {
        grd_gradcheck_result result;
        bool wanted = args->n_words == 0;
        for (int k = 0; k < args->n_words; k++)
            wanted = wanted || strcmp(args->word[k], op->name) == 0;
        if (!wanted || (op->flags & GRD_NO_GRAD))
            continue;
        if (grd_gradcheck_op(ctx, op->name, &result) != GRD_OK)
            return cli_fail(ctx);
        add(r, "", &result);
    }
    grd_close(ctx);
    return r->n ? 0 : cli_usage(&verb_gradcheck, "no such op, and no such config");
}

static int check_config(const cli_args *args, report *r)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    int code = cli_open(args, &ctx, &p);
    if (code)
        return code;
    for (int s = 0; s < grd_pipeline_stages(p); s++) {
        static grd_gradcheck_result result[MOST];
        const char *stage = grd_pipeline_stage(p, s);
        char prefix[80];
        int n;
        if (args->stage && strcmp(args->stage, stage) != 0)
            continue;
        if (grd_pipeline_gradcheck(p, stage, result, MOST, &n) != GRD_OK)
            return cli_fail(ctx);
        snprintf(prefix, sizeof prefix, grd_pipeline_stages(p) > 1 ? "%s/" : "%.0s", stage);
        for (int i = 0; i < n; i++)
            add(r, prefix, &result[i]);
    }
    grd_close(ctx);
    return 0;
}

static int run(const cli_args *args)
{
    grd_ctx *ctx = grd_open(NULL);
    bool op = args->n_words == 0 || (ctx && grd_op_find(ctx, args->word[0], GRD_F64));
    grd_close(ctx);
    report r = { json_array(), args->json, 0, 0 };
    int code = op ? check_ops(args, &r) : check_config(args, &r);
    if (code) {
        json_decref(r.list);
        return code;
    }
    if (args->json) {
        json_t *all = json_object();
        json_object_set_new(all, "ops", r.list);
        cli_print_json(all);
    } else {
        printf("%d gradients checked, %d failed; bound %.0e\n", r.n, r.failed, GRD_GRADCHECK_BOUND);
        json_decref(r.list);
    }
    return r.failed ? EXIT_FAILED : EXIT_DONE;
}

const cli_verb verb_gradcheck = {
    "gradcheck", "[OP ...|CONFIG [stage=NAME] [key.sub=value ...]] [--json]", "gradients against finite differences, in double",
    "Without words: every op on its samples. With a config: every parameter of each stage's whole model, on a batch of four.\n"
    "The error is max|a-n| / (max|a| + max|n| + 1e-12) per tensor, a the gradient, n a fourth-order central difference.\n"
    "--json prints one object: {\"ops\": [{\"name\", \"max_rel_error\", \"pass\"}]}.\n",
    run, false
};
