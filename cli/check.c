#include "cli.h"

static int run(const cli_args *args)
{
    grd_ctx *ctx;
    grd_pipeline *p;
    int errors;
    if (args->n_words != 1)
        return cli_usage(&verb_check, "expected one config, or the folder of a run");
    int code = cli_open(args, &ctx, &p);
    if (code)
        return code;
    if (grd_pipeline_check(p, stdout, &errors) != GRD_OK) {
        fflush(stdout);
        return cli_fail(ctx);
    }
    grd_close(ctx);
    return errors ? EXIT_FAILED : EXIT_DONE;
}

const cli_verb verb_check = {
    "check", "CONFIG|RUN [key.sub=value ...] [--threads N]",
    "look before training: data, layers, memory, plan, and what looks wrong",
    "Reads all training samples and checks each against what its source promises; prints for every stage the layers with "
    "parameters and\n"
    "FLOPs, the steps of one training step with implementation and layout, the memory they take, and the doctor's findings;\n"
    "exit code 1 if one of them is an error.\n",
    run, false
};
