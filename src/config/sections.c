/* Option tables of the sections, and reading a map by them. */
#include "config/sections.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

/* ---- tables ---- */

static const grd_option run_options[] = {
    GRD_TEXT(grd_run_section, name, NULL, "name of the run; default: the config's file name"),
    GRD_TEXT(grd_run_section, dir, NULL, "folder of the run; default: runs/NAME, runs/NAME-2, ..."),
    GRD_INT(grd_run_section, seed, 0, 0, 9e15, "of weights, splits, order, dropout: the same seed gives the same run"),
    GRD_INT(grd_run_section, batch, 32, 1, 1e6, "samples in a batch"),
    GRD_INT(grd_run_section, eval_batch, 0, 0, 1e6, "samples in a batch of evaluation; 0: as batch"),
    GRD_INT(grd_run_section, epochs, 10, 1, 1e9, "passes over the training set, at most"),
    GRD_INT(grd_run_section, max_steps, 0, 0, 1e15, "optimizer steps, at most; 0: no limit"),
    GRD_INT(grd_run_section, threads, 0, 0, 1024, "of kernels; 0: all cores"),
    GRD_ENUM(grd_run_section, backend, 0, "auto|ref|onednn|cpu", "the only one beside ref that may be used"),
    GRD_FLAG(grd_run_section, exact_conv, "no 3x3 convolution by Winograd: slower, rounding errors as of plain sums"),
    GRD_ENUM(grd_run_section, memory, 0, "normal|low",
             "low: cheap values are made again in backward instead of kept; slower, the same bits"),
    GRD_ENUM(grd_run_section, device, 0, "cpu", "where it runs"),
    GRD_END
};

static const grd_option data_options[] = {
    GRD_TEXT_REQUIRED(grd_data_section, source, "where samples come from; its own options stand beside it"),
    GRD_TEXT(grd_data_section, train, "train", "what is trained on: a subset, or train for the source's whole train part"),
    GRD_TEXT(grd_data_section, val, NULL, "what the best weights are chosen by: a subset, or the name of a part"),
    GRD_TEXT(grd_data_section, test, "test", "what is read once at the end: a subset, or the source's part test"),
    GRD_REAL(grd_data_section, val_fraction, 0, 0, 0.9, "without val: this share of train, drawn by seed"),
    GRD_INT(grd_data_section, folds, 0, 0, 1000, "without val: train is cut into this many folds by seed; 0: not"),
    GRD_INT(grd_data_section, fold, 0, 0, 999, "which of the folds is val; the others are train"),
    GRD_TEXT(grd_data_section, stratify, NULL, "class field whose proportions val_fraction and folds keep"),
    GRD_TEXT(grd_data_section, group, NULL, "field of whole numbers (a person): val_fraction and folds keep equal ones together"),
    GRD_ENUM(grd_data_section, order, 0, "philox|numpy", "of val_fraction and folds: numpy: as numpy.random.seed(seed); permutation(n)"),
    GRD_TEXT(grd_data_section, exclude, NULL, "file of names, one a line: samples that are left out everywhere"),
    GRD_TEXT(grd_data_section, relabel, NULL, "file of lines NAME LABEL (a class' number or name): labels that stand instead"),
    GRD_INT(grd_data_section, num_samples, 0, 0, 1e12,
            "only so many samples of train, drawn by seed (of a train that val was split from: the first); 0: all"),
    GRD_INT(grd_data_section, overfit, 0, 0, 1e12,
            "train and choose by the same few samples, without augment: a loss that goes to 0 shows that the pipeline learns"),
    GRD_FLAG_ON(grd_data_section, shuffle, "a new order in every epoch"),
    GRD_INT(grd_data_section, shuffle_buffer, 1000, 1, 1e9, "of a stream: samples that are read ahead and put in random order"),
    GRD_FLAG(grd_data_section, drop_last, "leave out the last batch if it is short"),
    GRD_INT(grd_data_section, workers, 0, 0, 64, "threads that load; 0: samples are made in the training thread"),
    GRD_ENUM(grd_data_section, sampler, 0, "plain|balanced|bucketed",
             "of training: balanced: every class equally often, with replacement; bucketed: batches of samples of like length"),
    GRD_INT(grd_data_section, pad_multiple, 1, 1, 65536, "lengths in a batch are filled up to a multiple of this: fewer different shapes"),
    GRD_ENUM(grd_data_section, on_error, 0, "stop|skip", "a sample that cannot be read ends the run, or is left out and counted"),
    GRD_END
};

const int grd_sampler_choices[] = { GRD_SAMPLER_PLAIN, GRD_SAMPLER_BALANCED, GRD_SAMPLER_BUCKETED };

static const grd_option subset_options[] = {
    GRD_INT(grd_subset_section, per_class, 0, 0, 1e12, "this many of each class, or"),
    GRD_INT(grd_subset_section, count, 0, 0, 1e12, "this many in all, or"),
    GRD_REAL(grd_subset_section, fraction, 0, 0, 1, "this share; none of the three: all others"),
    GRD_TEXT(grd_subset_section, stratify, NULL, "with count or fraction: class field whose proportions are kept"),
    GRD_TEXT(grd_subset_section, list, NULL, "or: file of names, one a line; its samples are not drawn for the other subsets"),
    GRD_END
};

static const grd_option model_options[] = {
    GRD_TEXT(grd_model_section, input, NULL, "field that feeds the first layer; default: the first that is not a label"), GRD_END
};

static const grd_option loss_options[] = {
    GRD_TEXT(grd_loss_section, output, NULL, "name (`as`) of the value it looks at; default: the last"),
    GRD_TEXT(grd_loss_section, target, NULL, "field it is compared with; default: label"),
    GRD_REAL(grd_loss_section, weight, 1, -1e9, 1e9, "factor in a list of losses"), GRD_END
};

static const grd_option train_options[] = {
    GRD_REAL_OFF(grd_train_section, clip_norm, 2, 0, 1e9, "largest L2 norm of the whole gradient"),
    GRD_REAL_OFF(grd_train_section, clip_value, 0, 0, 1e9, "then each element into -v..v"),
    GRD_INT(grd_train_section, accumulate, 1, 1, 1e6, "batches a step"),
    GRD_INT(grd_train_section, steps_per_epoch, 0, 0, 1e15,
            "an epoch is so many steps, the next one goes on from there, and data that end begin anew; 0: a pass over the data"),
    GRD_REAL_OFF(grd_train_section, ema, 0, 0, 0.999999,
                 "decay of a moving average of the weights, 0.999: it is what is validated, saved as best, tested and taken by later "
                 "stages"),
    GRD_REAL_OFF(grd_train_section, checkpoint_seconds, 60, 0, 1e9, "save in the middle of an epoch, this often at most"),
    GRD_FLAG_ON(grd_train_section, baseline,
                "where it takes a second or so, a ridge regression on the same data is tested too: a line of the results to beat"),
    GRD_ENUM(grd_train_section, debug, 0, "none|nan|check|noreuse|trace",
             "nan: stop at the first; check: every step also by the reference, a run ends at the first that is off; "
             "noreuse: no memory shared; trace: log every step"),
    GRD_END
};

static const grd_option stop_options[] = {
    GRD_INT(grd_stop_section, patience, 10, 1, 1e9, "stop after this many epochs without a better loss"),
    GRD_REAL(grd_stop_section, min_delta, 0, 0, 1e9, "how much better it must be"), GRD_END
};

static const grd_option init_options[] = {
    GRD_TEXT(grd_init_section, from, NULL, "stage, or .pth file, whose weights are taken"),
    GRD_FLAG(grd_init_section, freeze, "the layers named in `layers` (else all) are not trained"), GRD_END
};

const grd_section grd_section_run = { "run", "how it runs", run_options, sizeof(grd_run_section), "" };
const grd_section grd_section_data = { "data", "what it learns from", data_options, sizeof(grd_data_section),
                                       "subsets transform augment evaluate" };
const grd_section grd_section_subset = { "subsets", "disjoint parts of train, drawn by seed in their order", subset_options,
                                         sizeof(grd_subset_section), "" };
const grd_section grd_section_model = { "model", "layers and blocks; other keys are constants, written $key in layers",
                                        model_options, sizeof(grd_model_section), "layers blocks" };
const grd_section grd_section_loss = { "loss", "a loss by name, with its own options and these; or a list of them", loss_options,
                                       sizeof(grd_loss_section), "kind" };
const grd_section grd_section_train = { "train", "what a step does", train_options, sizeof(grd_train_section), "early_stop" };
const grd_section grd_section_stop = { "early_stop", "in train: {patience: 10}, or off", stop_options, sizeof(grd_stop_section),
                                       "" };
const grd_section grd_section_init = { "init", "where a stage starts", init_options, sizeof(grd_init_section), "layers" };

const grd_section *const grd_sections[] = { &grd_section_run,   &grd_section_data, &grd_section_subset,
                                            &grd_section_model, &grd_section_loss, &grd_section_train,
                                            &grd_section_stop,  &grd_section_init, NULL };

const grd_top_key grd_top_keys[] = {
    { "run", "how it runs: name, seed, batch, epochs, ..." },
    { "data", "source, subsets, transform (every set), augment (training only), evaluate (the others only), train, val, test" },
    { "model", "layers, blocks, constants" },
    { "loss", "what is made small" },
    { "metrics", "what is reported beside it: [accuracy]" },
    { "optim", "the optimizer and its options: {adam: {lr: 1e-3}}" },
    { "schedule", "how the learning rate changes: cosine" },
    { "train", "clipping, accumulation, averaging, early stop, checkpoints" },
    { "init", "where weights come from: {from: STAGE, layers: NAME, freeze: true}" },
    { "kind", "of a stage: train, or linear (ridge in closed form)" },
    { "ridge", "options of kind linear" },
    { NULL, NULL },
};

const char *grd_backend_choice(int backend)
{
    static const char *const names[] = { "auto", "ref", "onednn", "cpu" };
    return names[backend];
}

const unsigned grd_debug_flags[] = { 0, GRD_PLAN_NAN, GRD_PLAN_CHECK, GRD_PLAN_NO_REUSE, GRD_PLAN_TRACE };

/* ---- keys ---- */

/* Whether `key` is a word of `words`; if `nearest` is given, tries all words on it. */
static bool in_words(const char *words, const char *key, grd_nearest *nearest, char room[8][32])
{
    bool found = false;
    for (int k = 0; words && *words && k < 8; k++) {
        size_t n = strcspn(words, " ");
        snprintf(room[k], 32, "%.*s", (int)n, words);
        found = found || strcmp(room[k], key) == 0;
        if (nearest)
            grd_nearest_try(nearest, room[k]);
        words += n + strspn(words + n, " ");
    }
    return found;
}

grd_status grd_check_keys(grd_host *host, const char *who, const grd_yaml *map, const grd_option *table, const grd_option *other,
                          const char *more)
{
    if (map->kind != GRD_YAML_MAP)
        return grd_yaml_fail(host, map, "%s: expected a map of keys, found %s", who, grd_yaml_kind_name(map));
    char room[8][32];
    for (const grd_yaml *c = map->first; c; c = c->next) {
        if (grd_options_find(table, c->key) || grd_options_find(other, c->key) || in_words(more, c->key, NULL, room))
            continue;
        grd_nearest nearest = { c->key, NULL, 0 };
        in_words(more, c->key, &nearest, room);
        for (const grd_option *o = table; o && o->name; o++)
            grd_nearest_try(&nearest, o->name);
        for (const grd_option *o = other; o && o->name; o++)
            grd_nearest_try(&nearest, o->name);
        char hint[96];
        return grd_yaml_fail(host, c, "%s: no option \"%.80s\"%s", who, c->key, grd_nearest_text(&nearest, hint, sizeof hint));
    }
    return GRD_OK;
}

const char *grd_hint(const char *word, const char *(*next)(const void *ctx, int i), const void *ctx, char *text, size_t size)
{
    grd_nearest nearest = { word, NULL, 0 };
    const char *candidate;
    for (int i = 0; (candidate = next(ctx, i)); i++)
        grd_nearest_try(&nearest, candidate);
    return grd_nearest_text(&nearest, text, size);
}

/* ---- values ---- */

grd_status grd_option_read(grd_host *host, const grd_option *table, void *opts, const char *who, const char *key,
                           const grd_yaml *value)
{
    const char *words[GRD_MAX_LIST + 1] = { NULL };
    int n = 0;
    if (value->kind == GRD_YAML_MAP)
        return grd_yaml_fail(host, value, "%s: %s: expected a value, found a map", who, key);
    if (value->kind == GRD_YAML_SCALAR)
        words[n++] = value->text;
    for (const grd_yaml *c = value->first; c; c = c->next, n++) {
        if (c->kind != GRD_YAML_SCALAR)
            return grd_yaml_fail(host, c, "%s: %s: expected single values in the list, found %s", who, key,
                                 grd_yaml_kind_name(c));
        if (n < GRD_MAX_LIST)
            words[n] = c->text;
    }
    grd_status status = grd_options_set(host, table, opts, who, key, words, n, value->kind == GRD_YAML_LIST);
    return status == GRD_OK ? GRD_OK : grd_yaml_fail_in(host, value);
}

grd_status grd_section_read(grd_host *host, const grd_section *section, const grd_yaml *map, const grd_option *other, void *out)
{
    memset(out, 0, section->size);
    if (map) {
        GRD_TRY(grd_check_keys(host, section->name, map, section->options, other, section->more));
        for (const grd_yaml *c = map->first; c; c = c->next)
            if (grd_options_find(section->options, c->key) && !grd_yaml_is_null(c))
                GRD_TRY(grd_option_read(host, section->options, out, section->name, c->key, c));
    }
    grd_status status = grd_options_resolve(host, section->options, section->size, section->name, out, out);
    return status == GRD_OK || !map ? status : grd_yaml_fail_in(host, map);
}

/* ---- rows ---- */

grd_status grd_row_read(grd_host *host, const char *what, const grd_yaml *node, const char *beside, grd_row_ref *row)
{
    *row = (grd_row_ref){ .node = node };
    if (node->kind == GRD_YAML_SCALAR && node->text[0]) {
        row->name = node->text;
        return GRD_OK;
    }
    if (node->kind != GRD_YAML_MAP)
        return grd_yaml_fail(host, node, "%s: expected NAME or {NAME: {...}}, found %s", what, grd_yaml_kind_name(node));
    for (const grd_yaml *c = node->first; c; c = c->next) {
        if (beside && strcmp(c->key, beside) == 0)
            continue;
        if (row->name)
            return grd_yaml_fail(host, c, "%s: expected one name, found \"%.60s\" and \"%.60s\"", what, row->name, c->key);
        row->name = c->key;
        row->node = c;
        row->value = grd_yaml_is_null(c) ? NULL : c;
    }
    if (!row->name)
        return grd_yaml_fail(host, node, "%s: expected NAME or {NAME: {...}}, found an empty map", what);
    return GRD_OK;
}

grd_status grd_row_options(grd_host *host, const grd_row_ref *row, const grd_option *table, const grd_option *other,
                           const char *more, void *opts)
{
    const grd_yaml *value = row->value;
    if (!value)
        return GRD_OK;
    if (value->kind != GRD_YAML_MAP) {
        if (!grd_options_count(table))
            return grd_yaml_fail(host, value, "%s: takes no options", row->name);
        return grd_option_read(host, table, opts, row->name, table->name, value);
    }
    GRD_TRY(grd_check_keys(host, row->name, value, table, other, more));
    for (const grd_yaml *c = value->first; c; c = c->next)
        if (grd_options_find(table, c->key) && !grd_yaml_is_null(c))
            GRD_TRY(grd_option_read(host, table, opts, row->name, c->key, c));
    return GRD_OK;
}

static grd_status row_text(grd_arena *arena, const grd_yaml *node, const char *who, char **text);

/* The value of an option that holds rows: "(pad 3)(hflip)"; a list of names stays one. */
static grd_status rows_text(grd_arena *arena, const char *who, const grd_yaml *value, char **text)
{
    char *row;
    *text = grd_arena_strdup(arena, "");
    if (value->kind == GRD_YAML_MAP) {
        GRD_TRY(row_text(arena, value, who, &row));
        *text = grd_arena_format(arena, "(%s)", row);
    }
    for (const grd_yaml *c = value->kind == GRD_YAML_LIST ? value->first : NULL; c && *text; c = c->next) {
        GRD_TRY(row_text(arena, c, who, &row));
        *text = grd_arena_format(arena, "%s(%s)", *text, row);
    }
    return *text ? GRD_OK : GRD_ERR_MEMORY;
}

/* Appends " key=value", " key=[1,2]" or " key=(row)(row)". rows: the option may hold rows. */
static grd_status spec_option(grd_arena *arena, const char *who, const grd_yaml *value, const char *key, bool rows, char **spec)
{
    char *text = NULL;
    bool nested = rows && value->kind != GRD_YAML_SCALAR;
    for (const grd_yaml *c = value->first; c && nested && value->kind == GRD_YAML_LIST; c = c->next)
        if (c->kind == GRD_YAML_LIST)
            return grd_yaml_fail(arena->host, c, "%s: %s: expected rows in the list, found a list", who, key ? key : "option");
    if (nested)
        GRD_TRY(rows_text(arena, who, value, &text));
    else if (value->kind == GRD_YAML_MAP)
        return grd_yaml_fail(arena->host, value, "%s: %s: expected a value, found a map", who, key ? key : "option");
    if (value->kind == GRD_YAML_SCALAR)
        text = grd_arena_strdup(arena, value->text);
    if (value->kind == GRD_YAML_LIST && !nested)
        text = grd_arena_strdup(arena, "[");
    for (const grd_yaml *c = nested ? NULL : value->first; c && text; c = c->next) {
        if (c->kind != GRD_YAML_SCALAR)
            return grd_yaml_fail(arena->host, c, "%s: expected single values in the list, found %s", who, grd_yaml_kind_name(c));
        text = grd_arena_format(arena, "%s%s%s", text, c->text, c->next ? "," : "]");
    }
    if (text && value->kind == GRD_YAML_LIST && !value->first)
        text = grd_arena_strdup(arena, "[]");
    if (text && !nested && (strpbrk(text, " ()") || !text[0]))
        return grd_yaml_fail(arena->host, value, "%s: \"%.80s\": a value without spaces and ( ) is expected", who, text);
    *spec = !text ? NULL
            : key ? grd_arena_format(arena, "%s %s=%s", *spec, key, text)
                  : grd_arena_format(arena, "%s %s", *spec, text);
    return *spec ? GRD_OK : GRD_ERR_MEMORY;
}

/* known: whether `table` is the row's. Where it is not, any option may hold rows. */
static grd_status spec_of(grd_arena *arena, const grd_row_ref *row, const grd_option *table, bool known, char **spec)
{
    *spec = grd_arena_strdup(arena, row->name);
    if (!*spec)
        return GRD_ERR_MEMORY;
    if (!row->value)
        return GRD_OK;
    if (row->value->kind != GRD_YAML_MAP)
        return spec_option(arena, row->name, row->value, NULL, false, spec);
    for (const grd_yaml *c = row->value->first; c; c = c->next) {
        const grd_option *o = grd_options_find(table, c->key);
        bool rows = known ? o && (o->flags & GRD_OPTION_ROWS) : c->kind == GRD_YAML_MAP || (c->first && c->first->kind == GRD_YAML_MAP);
        if (!grd_yaml_is_null(c))
            GRD_TRY(spec_option(arena, row->name, c, c->key, rows, spec));
    }
    return GRD_OK;
}

static grd_status row_text(grd_arena *arena, const grd_yaml *node, const char *who, char **text)
{
    grd_row_ref row;
    GRD_TRY(grd_row_read(arena->host, who, node, NULL, &row));
    return spec_of(arena, &row, NULL, false, text);
}

grd_status grd_row_spec(grd_arena *arena, const grd_row_ref *row, const grd_option *table, char **spec)
{
    if (table)
        GRD_TRY(grd_check_keys(arena->host, row->name,
                               row->value && row->value->kind == GRD_YAML_MAP ? row->value : &(grd_yaml){ .kind = GRD_YAML_MAP },
                               table, NULL, ""));
    return spec_of(arena, row, table, table != NULL, spec);
}
