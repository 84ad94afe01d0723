/* What a verb is, and what verbs share. A verb is one file and one line of the table in main.c. */
#ifndef GRADUS_CLI_H
#define GRADUS_CLI_H

#include <gradus/gradus.h>

#include <jansson.h>

#include <stdbool.h>
#include <stdio.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 130 };

enum { CLI_MOST_WORDS = 256 };

typedef struct cli_args { /* what is on the command line after the verb */
    const char *word[CLI_MOST_WORDS]; /* neither an option nor an override */
    int n_words;
    const char *override[CLI_MOST_WORDS]; /* key=value */
    int n_overrides;
    bool json, quiet, confusion, profile;
    const char *stage, *split, *weights; /* stage=NAME split=NAME weights=FILE: no keys of a config */
    const char *out; /* --out FILE */
    const char *dir, *from, *sha256; /* --dir DIR --from DIR --sha256 HEX */
    int threads, workers; /* 0: not given; -1: not given */
    double seconds;
    int count, epochs; /* --count N --epochs N; 0: not given */
} cli_args;

typedef struct cli_verb {
    const char *name, *usage, *summary, *help; /* name: one word or two ("data check") */
    int (*run)(const cli_args *args);
    bool computes; /* in threads that wait for each other */
} cli_verb;

/* All verbs, in the order of help; each is verb_NAME in NAME.c. */
#define CLI_VERBS(X) \
    X(train)         \
    X(eval)          \
    X(check)         \
    X(gradcheck)     \
    X(linear)        \
    X(ops)           \
    X(show)          \
    X(bench)         \
    X(data_fetch)    \
    X(data_check)    \
    X(data_stats)    \
    X(data_show)     \
    X(data_bench)    \
    X(version)
#define CLI_DECLARE(name) extern const cli_verb verb_##name;
CLI_VERBS(CLI_DECLARE)

extern const volatile int *const cli_stop; /* becomes 1 at the first Ctrl-C */

/* Opens a context and the run at args->word[0]; progress goes to stderr. On failure: says so and
 * returns the exit code, else 0. */
int cli_open(const cli_args *args, grd_ctx **ctx, grd_pipeline **pipeline);
/* Prints the error of ctx, closes it, returns the exit code that belongs to its status. */
int cli_fail(grd_ctx *ctx);
int cli_usage(const cli_verb *verb, const char *what); /* EXIT_USAGE */
json_t *cli_number(double value);                      /* null if it is not finite */
void cli_print_json(json_t *value);                    /* one object on stdout; takes the reference */

#endif
