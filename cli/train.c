#include "cli.h"

static json_t *stage_object(const grd_stage_result *r)
{
    json_t *stage = json_object(), *test = json_object();
    for (int i = 0; i < r->n_test; i++)
        json_object_set_new(test, r->test[i].name, cli_number(r->test[i].value));
    json_object_set_new(stage, "epochs", json_integer(r->epochs));
    json_object_set_new(stage, "best_epoch", json_integer(r->best_epoch));
    json_object_set_new(stage, "val_loss", cli_number(r->val_loss));
    json_object_set_new(stage, "test", test);
    if (r->baseline.name)
        json_object_set_new(stage, "ridge", json_pack("{s:o}", r->baseline.name, cli_number(r->baseline.value)));
    return stage;
}

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    if (args->n_words != 1)
        return cli_usage(&verb_train, "expected one config, or the folder of a run");
    int code = cli_open(args, &ctx, &p);
    if (code)
        return code;
    grd_status status = grd_pipeline_train(p);
    if (status == GRD_ERR_STOPPED) {
        fprintf(stderr, "stopped; to go on: gradus train %s\n", grd_pipeline_dir(p));
        grd_close(ctx);
        return EXIT_STOPPED;
    }
    if (status != GRD_OK)
        return cli_fail(ctx);
    if (!args->json || !args->quiet)
        grd_pipeline_table(p, args->json ? stderr : stdout);
    if (args->json) {
        json_t *all = json_object(), *stages = json_object();
        for (int i = 0; i < grd_pipeline_stages(p); i++)
            json_object_set_new(stages, grd_pipeline_stage(p, i), stage_object(grd_pipeline_result(p, i)));
        json_object_set_new(all, "run", json_string(grd_pipeline_dir(p)));
        json_object_set_new(all, "stages", stages);
        cli_print_json(all);
    }
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_train = {
    "train", "CONFIG|RUN [key.sub=value ...] [--threads N] [--json] [--quiet]",
    "train what a config describes, or go on with a run",
    "A config starts a new run in runs/NAME (run.dir=PATH: there). The folder of a run goes on with it, to the same bits as if "
    "it had\n"
    "never been stopped. Any key can be overridden: run.epochs=3 in all stages, stages.pretrain.run.epochs=3 in one.\n"
    "Ctrl-C finishes the step, saves, and leaves with 130; a second one quits at once.\n"
    "--json prints one object on stdout: {\"run\", \"stages\": {NAME: {\"epochs\", \"best_epoch\", \"val_loss\", \"test\"}}}.\n"
    "Every key: gradus help config.\n",
    run, true
};
