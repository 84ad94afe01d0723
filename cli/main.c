/* The command `gradus`: a table of verbs over the public API. Exit codes: 0 done, 1 the work failed, 2 the command line or the
 * config is wrong, 130 stopped by Ctrl-C. */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRY(name) &verb_##name,
static const cli_verb *const verbs[] = { CLI_VERBS(ENTRY) };
enum { N_VERBS = sizeof verbs / sizeof *verbs };

/* ---- stopping ---- */

static volatile int stop; /* an int, as the library takes it; it is only ever set to 1 */
const volatile int *const cli_stop = &stop;

static void on_signal(int number)
{
    if (stop)
        _exit(128 + number); /* the second time: at once */
    stop = 1;
}

/* ---- threads that wait ---- */

/* GNU's OpenMP lets threads wait for each other by spinning, for some 6 ms: where somebody else wants a core too, if only our own
 * loader's workers, they spin while the one they wait for stands still, and a step takes up to ten times as long. 3000 rounds (60 us)
 * cost nothing where all cores are ours. libgomp reads this only when it is loaded, so the command starts once more, which takes some
 * 5 ms; where that fails it goes on as it is. */
static void wait_briefly(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY") || sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    if (setenv("GOMP_SPINCOUNT", "3000", 0) == 0)
        execv("/proc/self/exe", argv);
}

/* ---- what verbs share ---- */

static int exit_code(grd_status status)
{
    if (status == GRD_ERR_STOPPED)
        return EXIT_STOPPED;
    return status == GRD_ERR_CONFIG || status == GRD_ERR_ARG || status == GRD_ERR_SHAPE ? EXIT_USAGE : EXIT_FAILED;
}

int cli_fail(grd_ctx *ctx)
{
    int code = exit_code(grd_error_status(ctx));
    fprintf(stderr, "gradus: %s\n", grd_error(ctx));
    grd_close(ctx);
    return code ? code : EXIT_FAILED;
}

int cli_usage(const cli_verb *verb, const char *what)
{
    fprintf(stderr, "gradus %s: %s\nusage: gradus %s %s\n", verb->name, what, verb->name, verb->usage);
    return EXIT_USAGE;
}

static void log_line(void *user, grd_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

int cli_open(const cli_args *args, grd_ctx **ctx, grd_pipeline **pipeline)
{
    const char *override[CLI_MOST_WORDS + 1];
    char threads[32];
    int n = 0;
    *ctx = grd_open(&(grd_opts){ .threads = args->threads, .log = log_line });
    if (!*ctx)
        return cli_fail(NULL);
    while (n < args->n_overrides) {
        override[n] = args->override[n];
        n++;
    }
    snprintf(threads, sizeof threads, "run.threads=%d", args->threads);
    if (args->threads)
        override[n++] = threads;
    grd_pipeline_opts opts = { .overrides = override,
                               .n_overrides = n,
                               .out = args->quiet ? NULL : stderr,
                               .progress = args->quiet ? GRD_PROGRESS_OFF : GRD_PROGRESS_AUTO,
                               .stop = &stop,
                               .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0 };
    return grd_pipeline_open(*ctx, args->word[0], &opts, pipeline) == GRD_OK ? 0 : cli_fail(*ctx);
}

json_t *cli_number(double value)
{
    return value - value == 0 ? json_real(value) : json_null();
}

void cli_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(value);
}

/* ---- command line ---- */

/* The value of "--name value" or "--name=value"; NULL if the word is another. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return !argv[*i][n] && *i + 1 < argc ? argv[++*i] : NULL;
}

static int read_option(const cli_verb *verb, cli_args *args, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        { "--json", &args->json },
        { "--quiet", &args->quiet },
        { "--confusion", &args->confusion },
        { "--profile", &args->profile },
    };
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        if (strcmp(argv[*i], flags[k].name) == 0) {
            *flags[k].flag = true;
            return 0;
        }
    }
    const char *value;
    char *end = NULL;
    if ((value = value_of("--threads", argc, argv, i))) {
        args->threads = (int)strtol(value, &end, 10);
        return *value && !*end && args->threads >= 1 && args->threads <= 1024 ? 0
                                                                              : cli_usage(verb, "--threads: expected 1 to 1024");
    }
    if ((value = value_of("--workers", argc, argv, i))) {
        args->workers = (int)strtol(value, &end, 10);
        return *value && !*end && args->workers >= 0 && args->workers <= 64 ? 0 : cli_usage(verb, "--workers: expected 0 to 64");
    }
    if ((value = value_of("--count", argc, argv, i))) {
        args->count = (int)strtol(value, &end, 10);
        return *value && !*end && args->count >= 1 && args->count <= 400 ? 0 : cli_usage(verb, "--count: expected 1 to 400");
    }
    if ((value = value_of("--epochs", argc, argv, i))) {
        args->epochs = (int)strtol(value, &end, 10);
        return *value && !*end && args->epochs >= 1 && args->epochs <= 100000 ? 0
                                                                              : cli_usage(verb, "--epochs: expected 1 to 100000");
    }
    if ((value = value_of("--out", argc, argv, i))) {
        args->out = value;
        return *value ? 0 : cli_usage(verb, "--out: expected the path of a file");
    }
    if ((value = value_of("--dir", argc, argv, i))) {
        args->dir = value;
        return *value ? 0 : cli_usage(verb, "--dir: expected a folder");
    }
    if ((value = value_of("--from", argc, argv, i))) {
        args->from = value;
        return *value ? 0 : cli_usage(verb, "--from: expected a folder");
    }
    if ((value = value_of("--sha256", argc, argv, i))) {
        args->sha256 = value;
        return *value ? 0 : cli_usage(verb, "--sha256: expected 64 hexadecimal digits");
    }
    if ((value = value_of("--seconds", argc, argv, i))) {
        args->seconds = strtod(value, &end);
        return *value && !*end && args->seconds > 0 && args->seconds <= 3600
                   ? 0
                   : cli_usage(verb, "--seconds: expected more than 0, at most 3600");
    }
    char text[200];
    snprintf(text, sizeof text, "no option \"%.100s\"", argv[*i]);
    return cli_usage(verb, text);
}

static bool read_word(cli_args *args, const char *text)
{
    const struct {
        const char *name;
        const char **value;
    } words[] = {
        { "stage=", &args->stage },
        { "split=", &args->split },
        { "weights=", &args->weights },
    };
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        size_t n = strlen(words[k].name);
        if (strncmp(text, words[k].name, n) == 0) {
            *words[k].value = text + n;
            return true;
        }
    }
    return false;
}

static int read_args(const cli_verb *verb, cli_args *args, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] == '-') {
            int code = read_option(verb, args, argc, argv, &i);
            if (code)
                return code;
        } else if (read_word(args, argv[i])) {
            continue;
        } else if (args->n_words == CLI_MOST_WORDS || args->n_overrides == CLI_MOST_WORDS) {
            return cli_usage(verb, "too many words");
        } else if (strchr(argv[i], '=') && access(argv[i], F_OK) != 0) {
            args->override[args->n_overrides++] = argv[i];
        } else {
            args->word[args->n_words++] = argv[i];
        }
    }
    return 0;
}

static void print_verbs(FILE *out)
{
    fprintf(out, "gradus %s: deep learning on an ordinary machine, without Python\n\nusage: gradus VERB ...\n\n", grd_version());
    for (int i = 0; i < N_VERBS; i++)
        fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->summary);
    fprintf(out, "  %-11s %s\n\n", "help VERB", "what a verb does; `gradus help config` lists every key of a config");
    fprintf(out, "Start with: gradus train recipes/autoencoder-transfer.yaml\n");
}

/* The verb that the first words name, one or two ("data check"), and how many words that took; NULL if there is none. */
static const cli_verb *find_verb(int argc, char **argv, int *words)
{
    char two[100] = "";
    if (argc > 1)
        snprintf(two, sizeof two, "%.40s %.40s", argv[0], argv[1]);
    for (int i = 0; i < N_VERBS; i++) {
        *words = strchr(verbs[i]->name, ' ') ? 2 : 1;
        if (strcmp(verbs[i]->name, *words == 2 ? two : argv[0]) == 0)
            return verbs[i];
    }
    return NULL;
}

/* Whether `name` is the first of two words. */
static bool begins(const cli_verb *verb, const char *name)
{
    size_t n = strlen(name);
    return strncmp(verb->name, name, n) == 0 && verb->name[n] == ' ';
}

/* The verbs that begin with that word, one a line; returns how many. */
static int print_family(const char *name, FILE *out)
{
    int n = 0;
    for (int i = 0; i < N_VERBS; i++) {
        if (!begins(verbs[i], name))
            continue;
        if (n++ == 0)
            fprintf(out, "usage: gradus %s ...\n\n", name);
        fprintf(out, "  %-11s %s\n", verbs[i]->name, verbs[i]->summary);
    }
    return n;
}

static int unknown_verb(const char *name)
{
    if (print_family(name, stderr))
        return EXIT_USAGE;
    fprintf(stderr, "gradus: no verb \"%s\"; known:", name);
    for (int i = 0; i < N_VERBS; i++)
        fprintf(stderr, " %s,", verbs[i]->name);
    fprintf(stderr, " help\n");
    return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    int words;
    if (argc < 1) {
        print_verbs(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[0], "config") == 0) {
        grd_config_describe(stdout);
        return EXIT_DONE;
    }
    const cli_verb *verb = find_verb(argc, argv, &words);
    if (!verb)
        return print_family(argv[0], stdout) ? EXIT_DONE : unknown_verb(argv[0]);
    printf("usage: gradus %s %s\n\n%s\n\n%s", verb->name, verb->usage, verb->summary, verb->help);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_verbs(stderr);
        return EXIT_USAGE;
    }
    bool wants_help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
    if (wants_help)
        return help(argc - 2, argv + 2);
    static char version[] = "version";
    argv[1] = strcmp(argv[1], "--version") == 0 ? version : argv[1];
    int words;
    const cli_verb *verb = find_verb(argc - 1, argv + 1, &words);
    if (!verb)
        return unknown_verb(argv[1]);
    char **all = argv;
    argc -= words;
    argv += words;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return help(words, argv - words + 1);
    static cli_args args;
    args.seconds = 6;
    args.workers = -1;
    int code = read_args(verb, &args, argc - 1, argv + 1);
    if (!code && verb->computes && args.threads != 1)
        wait_briefly(all);
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of write */
    if (!code)
        code = verb->run(&args);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gradus: cannot write the output: %s\n", strerror(errno));
        code = code ? code : EXIT_FAILED;
    }
    return code;
}
