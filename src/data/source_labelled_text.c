/* labelled_text: texts and their classes, from a table or from a folder for each class. */
#include "base/ctx.h"
#include "data/labelled.h"
#include "data/rows.h"
#include "data/texts.h"
#include "data/tokens.h"

#include <stdio.h>

typedef struct opts {
    int part;
    int64_t length;
    grd_labelled_opts from;
    grd_tokens_opts tokens;
} opts;

typedef struct place { /* of a text */
    const char *file;
    uint64_t line;
} place;

typedef struct state {
    grd_host *host;
    grd_arena arena;
    bool folders; /* a file a text */
    grd_class_names classes;
    grd_token_texts texts;
    int32_t *label;
    place *place;
    int64_t length; /* most tokens of a text */
} state;

static const char *const special[] = { "<pad>", "<unk>", NULL };

static void close_labelled(void *self)
{
    state *s = self;
    grd_token_texts_free(&s->texts);
    grd_free(s->host, s->label);
    grd_free(s->host, s->place);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

/* ---- opening ---- */

static grd_status see(void *user, const grd_labelled_text *text) { return grd_tokens_see(user, text->text, text->size); }

static grd_status see_all(void *user, grd_tokens *tokens) { return grd_labelled_each(user, see, tokens); }

/* Where a text comes from outlives the set that it comes from. */
static grd_status keep_place(state *s, const grd_labelled_text *text)
{
    const int64_t i = s->texts.n;
    const bool same = i && !s->folders;
    s->place[i] = (place){ same ? s->place[i - 1].file : grd_arena_strdup(&s->arena, text->file), text->line };
    return s->place[i].file ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status take(void *user, const grd_labelled_text *text)
{
    state *s = user;
    const int64_t i = s->texts.n;
    GRD_TRY(keep_place(s, text));
    s->label[i] = grd_class_names_find(&s->classes, text->label);
    if (s->label[i] < 0)
        return grd_fail(s->host, GRD_ERR_DATA, "%s:%llu: label \"%.80s\" is none of train's %d classes", text->file,
                        (unsigned long long)text->line, text->label, s->classes.n);
    return grd_token_texts_add(&s->texts, text->text, text->size, s->length, text->file, text->line);
}

static grd_status take_all(state *s, const grd_labelled *set)
{
    const int64_t n = grd_labelled_count(set);
    s->folders = !set->table;
    s->label = GRD_NEW_N(s->host, int32_t, n);
    s->place = GRD_NEW_N(s->host, place, n);
    return s->label && s->place ? grd_labelled_each(set, take, s) : GRD_ERR_MEMORY;
}

static grd_status read_all(state *s, const opts *o)
{
    grd_labelled own, train;
    GRD_TRY(grd_labelled_open(s->host, &o->from, GRD_PART_TRAIN, &train));
    grd_status status = grd_labelled_classes(&train, &s->arena, &s->classes);
    if (status == GRD_OK)
        status = grd_tokens_learn(&s->texts.tokens, &o->tokens, o->part == GRD_PART_TRAIN, special, see_all, &train);
    if (status == GRD_OK && o->part == GRD_PART_TRAIN)
        status = take_all(s, &train);
    grd_labelled_close(&train);
    if (status != GRD_OK || o->part == GRD_PART_TRAIN)
        return status;
    GRD_TRY(grd_labelled_open(s->host, &o->from, o->part, &own));
    status = take_all(s, &own);
    grd_labelled_close(&own);
    return status;
}

static grd_status open_labelled(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = host;
    s->length = o->length;
    grd_arena_init(&s->arena, host);
    grd_token_texts_init(&s->texts, host, &o->tokens);
    grd_status status = read_all(s, o);
    if (status == GRD_OK)
        *out = s;
    else
        close_labelled(s);
    return status;
}

/* ---- samples ---- */

static int64_t length(const void *self) { return ((const state *)self)->texts.n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 2) {
        out[0] = grd_tokens_field(&s->texts.tokens, "text", -1);
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = (double)s->classes.n - 1, .classes = s->classes.n };
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
    return label >= 0 && label < s->classes.n ? s->classes.name[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const state *s = self;
    if (s->folders)
        snprintf(text, size, "%s", s->place[i].file);
    else
        snprintf(text, size, "%s:%llu", s->place[i].file, (unsigned long long)s->place[i].line);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    *value = ((const state *)self)->label[i];
    return field == 1;
}

static const grd_option options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, from.file), 0, 0, 0, NULL, GRD_OPTION_PARTS,
      "lines of label and text, plain, .gz or .xz; {part} in it becomes train, val or test" },
    { "folder", GRD_OPTION_TEXT, offsetof(opts, from.folder), 0, 0, 0, NULL, GRD_OPTION_PARTS,
      "instead: folder with a folder for each class, a text a file (.txt, .txt.gz, .txt.xz); may hold {part}" },
    GRD_ENUM(opts, part, 0, "train|val|test", "which part; vocabulary and classes are always those of train"),
    { "classes", GRD_OPTION_TEXT, offsetof(opts, from.classes), 0, 0, 0, NULL, 0,
      "names of the classes in order, with commas between; default: those of train, sorted. Other folders are left out" },
    { "text", GRD_OPTION_TEXT, offsetof(opts, from.text), 0, 0, 0, "text", 0,
      "column of file with the text, by name or number from 1" },
    { "label", GRD_OPTION_TEXT, offsetof(opts, from.label), 0, 0, 0, "label", 0, "column of file with the class" },
    { "separator", GRD_OPTION_TEXT, offsetof(opts, from.separator), 0, 0, 0, "tab", 0, "between columns: one character, or tab" },
    { "header", GRD_OPTION_BOOL, offsetof(opts, from.no_header), 1, 0, 0, NULL, GRD_OPTION_INVERTED,
      "the first line names the columns" },
    { "quotes", GRD_OPTION_BOOL, offsetof(opts, from.quotes), 0, 0, 0, NULL, 0, "quotes enclose cells" },
    GRD_INT(opts, length, 0, 0, 1e9, "texts are cut off after so many tokens; 0: not"),
    GRD_TOKENS_OPTIONS(opts, GRD_TOKENS_WORDS),
    GRD_END,
};

const grd_source grd_source_labelled_text = {
    .name = "labelled_text",
    .doc = "Texts with classes, a line or a file each: text i32 [-1] (token ids; <pad> 0, <unk> 1), label i32.",
    .options = options, .options_size = sizeof(opts), .open = open_labelled, .length = length, .fields = fields, .get = get,
    .close = close_labelled, .class_name = class_name, .name_of = name_of, .peek = peek,
};
