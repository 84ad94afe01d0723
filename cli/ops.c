#include "cli.h"

#include <string.h>

static const char *const kinds[] = { "real", "index (i32)", "state" };

static void first_line(const char *doc, char *text, size_t size)
{
    snprintf(text, size, "%.*s", (int)strcspn(doc, "\n"), doc);
}

static const char *type_of(const grd_option *o)
{
    static const char *const names[] = { "integer", "number",          "true|false",       "choice",
                                         "text",    "integer or pair", "list of integers", "list of numbers" };
    return o->type == GRD_OPTION_ENUM ? o->text : names[o->type];
}

static void default_of(const grd_option *o, char *text, size_t size)
{
    if (o->flags & GRD_OPTION_REQUIRED)
        snprintf(text, size, "required");
    else if (o->type == GRD_OPTION_BOOL)
        snprintf(text, size, "%s", o->flags & GRD_OPTION_INVERTED ? "true" : "false");
    else if (o->type == GRD_OPTION_TEXT || o->type == GRD_OPTION_INTS || o->type == GRD_OPTION_REALS)
        snprintf(text, size, "%s", o->text ? o->text : "none");
    else if (o->type == GRD_OPTION_ENUM) {
        const char *c = o->text;
        for (int i = 0; i < (int)o->def && strchr(c, '|'); i++)
            c = strchr(c, '|') + 1;
        snprintf(text, size, "%.*s", (int)strcspn(c, "|"), c);
    } else
        snprintf(text, size, o->def == 0 && (o->flags & GRD_OPTION_CAN_OFF) ? "off" : "%g", o->def);
}

static void print_options(const grd_option *options)
{
    char def[64];
    if (!options)
        return;
    printf("\noptions\n");
    for (const grd_option *o = options; o->name; o++) {
        default_of(o, def, sizeof def);
        printf("  %-16s %-18s default %-10s %s\n", o->name, type_of(o), def, o->help);
    }
}

/* The i-th word of "x w b"; the last for any further input. */
static void input_name(const grd_op *op, int i, char *text, size_t size)
{
    const char *c = op->in_names ? op->in_names : "x";
    for (; i > 0 && strchr(c, ' '); i--)
        c = strchr(c, ' ') + 1;
    snprintf(text, size, "%.*s", (int)strcspn(c, " "), c);
}

static void print_op(const grd_op *op)
{
    static const struct {
        unsigned flag;
        const char *text;
    } flags[] = {
        { GRD_ELEMENTWISE, "element by element" }, { GRD_INPLACE, "may write over its input" },
        { GRD_VIEW, "a view: costs nothing" },     { GRD_RANDOM, "random in training" },
        { GRD_LOSS, "a loss: (sum, weight)" },     { GRD_NO_GRAD, "no gradient" },
        { GRD_INTERNAL, "made by fusion only" },   { GRD_EVAL_IDENTITY, "does nothing in evaluation" },
    };
    printf("%s\n\n%s\n\ninputs\n", op->name, op->doc);
    for (int i = 0; i < (op->n_in < 0 ? 1 : op->n_in); i++) {
        char name[32];
        input_name(op, i, name, sizeof name);
        printf("  %-16s %s%s\n", op->n_in < 0 ? "any number" : name, kinds[op->in_kind && op->n_in > 0 ? op->in_kind[i] : 0],
               op->n_in > 0 && op->n_in_min && i >= op->n_in_min ? ", may be left out" : "");
    }
    printf("\nshapes it is tested on (inputs, options)\n");
    for (int s = 0; s < op->n_samples; s++)
        printf("  %s%s%s\n", op->samples[s].in, op->samples[s].attr ? "   " : "", op->samples[s].attr ? op->samples[s].attr : "");
    print_options(op->options);
    bool any = false;
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
        if (!(op->flags & flags[k].flag))
            continue;
        printf("%s%s", any ? ", " : "\n", flags[k].text);
        any = true;
    }
    if (any)
        putchar('\n');
}

static void list_all(const grd_ctx *ctx)
{
    const grd_op *op;
    const grd_layer *layer;
    char line[160];
    printf("ops\n");
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F32)); i++) {
        first_line(op->doc, line, sizeof line);
        if (!(op->flags & GRD_INTERNAL))
            printf("  %-20s %s\n", op->name, line);
    }
    printf("\nlayers with parameters (what a config's `layers` may name beside the ops of one input)\n");
    for (int i = 0; (layer = grd_layer_at(ctx, i)); i++) {
        first_line(layer->doc, line, sizeof line);
        if (!layer->raw)
            printf("  %-20s %s\n", layer->name, line);
    }
    printf("\n`gradus ops NAME` prints one in full.\n");
}

static int run(const cli_args *args)
{
    grd_ctx *ctx = grd_open(NULL);
    if (!ctx)
        return cli_fail(NULL);
    if (!args->n_words)
        list_all(ctx);
    for (int k = 0; k < args->n_words; k++) {
        const grd_op *op = grd_op_find(ctx, args->word[k], GRD_F32);
        const grd_layer *layer = grd_layer_find(ctx, args->word[k]);
        if (!op && !layer) {
            grd_close(ctx);
            fprintf(stderr, "gradus ops: no op or layer \"%s\"; `gradus ops` lists them\n", args->word[k]);
            return EXIT_USAGE;
        }
        if (k)
            printf("\n");
        if (op)
            print_op(op);
        if (layer && !layer->raw) {
            printf("%slayer %s\n\n%s\n", op ? "\n" : "", layer->name, layer->doc);
            print_options(layer->options);
        }
    }
    grd_close(ctx);
    return EXIT_DONE;
}

const cli_verb verb_ops = { "ops", "[NAME ...]", "the ops and layers, or one as documentation",
                            "Without a name: all, a line each. With one: what it does, its formula, its gradient in matrix form, "
                            "inputs, shapes, options.\n",
                            run, false };
