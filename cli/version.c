#include "cli.h"

static int run(const cli_args *args)
{
    if (args->json)
        cli_print_json(json_pack("{s:s}", "version", grd_version()));
    else
        printf("gradus %s\n", grd_version());
    return EXIT_DONE;
}

const cli_verb verb_version = { "version", "[--json]", "the version", "", run, false };
