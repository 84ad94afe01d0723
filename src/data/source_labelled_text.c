/* labelled_text: a text and its class a line, between them a tab. */
#include "base/ctx.h"
#include "data/rows.h"
#include "data/texts.h"
#include "data/tokens.h"
#include "format/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CLASSES 65536

typedef struct opts {
    const char *file;
    int part;
    const char *text, *label, *separator;
    bool no_header, quotes;
    int64_t length;
    grd_tokens_opts tokens;
} opts;

typedef struct state {
    grd_host *host;
    grd_arena arena;
    const char *file;
    grd_tokens tokens;
    grd_token_texts texts;
    int32_t *label;
    uint64_t *line;
    int64_t classes;
    const char **class_name;
} state;

static const char *const special[] = { "<pad>", "<unk>", NULL };

static void close_labelled(void *self)
{
    state *s = self;
    grd_tokens_free(&s->tokens);
    grd_token_texts_free(&s->texts);
    grd_free(s->host, s->label);
    grd_free(s->host, s->line);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

typedef struct reading {
    grd_csv csv;
    int text, label;
} reading;

/* On failure nothing is left to close. */
static grd_status open_table(grd_host *host, const opts *o, const char *path, reading *r)
{
    const grd_csv_opts csv = { .separator = strcmp(o->separator, "tab") == 0 ? '\t' : o->separator[0], .no_header = o->no_header,
                               .no_quotes = !o->quotes, .missing = (const char *const[]){ NULL } };
    GRD_TRY(grd_csv_read(host, path, &csv, &r->csv));
    grd_status status = grd_csv_column(&r->csv, "text", o->text, &r->text);
    if (status == GRD_OK)
        status = grd_csv_column(&r->csv, "label", o->label, &r->label);
    if (status == GRD_OK && r->text == r->label)
        status = grd_fail(host, GRD_ERR_ARG, "%s: text and label are both column %d", path, r->text + 1);
    if (status == GRD_OK && r->csv.n_rows == 0)
        status = grd_fail(host, GRD_ERR_DATA, "%s: no texts, expected at least one", path);
    if (status != GRD_OK)
        grd_csv_close(&r->csv);
    return status;
}

/* The vocabulary, unless a file has it, and the classes. */
static grd_status learn(state *s, const opts *o, const reading *train)
{
    grd_csv_levels levels;
    GRD_TRY(grd_csv_levels_of(&train->csv, train->label, MOST_CLASSES, &levels));
    s->classes = levels.n;
    s->class_name = grd_arena_alloc(&s->arena, sizeof *s->class_name * (size_t)levels.n);
    grd_status status = s->class_name ? GRD_OK : GRD_ERR_MEMORY;
    for (int k = 0; k < levels.n && status == GRD_OK; k++)
        if (!(s->class_name[k] = grd_arena_strdup(&s->arena, levels.text[k])))
            status = GRD_ERR_MEMORY;
    grd_csv_levels_free(&levels);
    if (status != GRD_OK || o->tokens.vocab)
        return status == GRD_OK ? grd_tokens_load(&s->tokens, o->tokens.vocab, special) : status;
    for (int64_t i = 0; i < train->csv.n_rows && status == GRD_OK; i++) {
        const char *text = grd_csv_cell(&train->csv, i, train->text);
        status = grd_tokens_see(&s->tokens, text, strlen(text));
    }
    grd_tokens_opts tokens = o->tokens;
    tokens.save_vocab = o->part == GRD_PART_TRAIN ? tokens.save_vocab : NULL;
    return status == GRD_OK ? grd_tokens_fit(&s->tokens, &tokens, special) : status;
}

static int32_t class_of(const state *s, const char *name)
{
    for (int64_t k = 0; k < s->classes; k++)
        if (strcmp(s->class_name[k], name) == 0)
            return (int32_t)k;
    return -1;
}

static grd_status take(state *s, const opts *o, const reading *own)
{
    const int64_t n = own->csv.n_rows;
    s->label = GRD_NEW_N(s->host, int32_t, n);
    s->line = GRD_NEW_N(s->host, uint64_t, n);
    if (!s->label || !s->line)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        const char *text = grd_csv_cell(&own->csv, i, own->text), *label = grd_csv_cell(&own->csv, i, own->label);
        s->line[i] = own->csv.row[i].line;
        s->label[i] = class_of(s, label);
        if (s->label[i] < 0)
            return grd_fail(s->host, GRD_ERR_DATA, "%s:%llu: label \"%.80s\" is none of train's %lld classes", s->file,
                            (unsigned long long)s->line[i], label, (long long)s->classes);
        GRD_TRY(grd_token_texts_add(&s->texts, &s->tokens, text, strlen(text), o->length, s->file, s->line[i]));
    }
    return GRD_OK;
}

static grd_status read_all(state *s, const opts *o)
{
    reading own, train;
    const char *path;
    GRD_TRY(grd_text_part(&s->arena, "file", o->file, o->part, &s->file));
    GRD_TRY(grd_text_part(&s->arena, "file", o->file, GRD_PART_TRAIN, &path));
    if (strlen(o->separator) != 1 && strcmp(o->separator, "tab") != 0)
        return grd_fail(s->host, GRD_ERR_ARG, "separator: \"%.40s\", expected one character or tab", o->separator);
    GRD_TRY(open_table(s->host, o, path, &train));
    grd_status status = learn(s, o, &train);
    if (status == GRD_OK && o->part == GRD_PART_TRAIN)
        status = take(s, o, &train);
    grd_csv_close(&train.csv);
    if (status != GRD_OK || o->part == GRD_PART_TRAIN)
        return status;
    GRD_TRY(open_table(s->host, o, s->file, &own));
    status = take(s, o, &own);
    grd_csv_close(&own.csv);
    return status;
}

static grd_status open_labelled(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = s->texts.host = host;
    grd_arena_init(&s->arena, host);
    grd_tokens_init(&s->tokens, host, o->tokens.tokenizer);
    grd_status status = read_all(s, o);
    if (status == GRD_OK)
        *out = s;
    else
        close_labelled(s);
    return status;
}

static int64_t length(const void *self) { return ((const state *)self)->texts.n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "text",
                              .dtype = GRD_I32,
                              .shape = { 1, { -1 } },
                              .hi = (double)grd_tokens_size(&s->tokens) - 1,
                              .pad = grd_tokens_special(&s->tokens, special[0]) };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = (double)s->classes - 1, .classes = s->classes };
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    *(int32_t *)out->data[1] = s->label[i];
    return grd_token_texts_get(&s->texts, i, out, 0);
}

static const char *class_name(const void *self, int64_t label)
{
    const state *s = self;
    return label >= 0 && label < s->classes ? s->class_name[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const state *s = self;
    snprintf(text, size, "%s:%llu", s->file, (unsigned long long)s->line[i]);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    *value = ((const state *)self)->label[i];
    return field == 1;
}

static const grd_option options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "lines of label and text, plain, .gz or .xz; {part} in it becomes train, val or test" },
    GRD_ENUM(opts, part, 0, "train|val|test", "which part; vocabulary and classes are always those of train"),
    GRD_TEXT(opts, text, "text", "column with the text, by name or number from 1"),
    GRD_TEXT(opts, label, "label", "column with the class"),
    GRD_TEXT(opts, separator, "tab", "between columns: one character, or tab"),
    GRD_FLAG_ON(opts, header, "the first line names the columns"),
    GRD_FLAG(opts, quotes, "quotes enclose cells"),
    GRD_INT(opts, length, 0, 0, 1e9, "texts are cut off after so many tokens; 0: not"),
    GRD_TOKENS_OPTIONS(opts, GRD_TOKENS_WORDS),
    GRD_END,
};

const grd_source grd_source_labelled_text = {
    .name = "labelled_text",
    .doc = "Texts with classes, one a line: text i32 [-1] (token ids; <pad> 0, <unk> 1), label i32.",
    .options = options, .options_size = sizeof(opts), .open = open_labelled, .length = length, .fields = fields, .get = get,
    .close = close_labelled, .class_name = class_name, .name_of = name_of, .peek = peek,
};
