/* parallel_text: two files whose lines are translations of each other. */
#include "base/ctx.h"
#include "data/rows.h"
#include "data/texts.h"
#include "data/tokens.h"

#include <stdio.h>
#include <string.h>

enum { FROM, TO, SIDES };

typedef struct opts {
    const char *file[SIDES];
    int part;
    const char *part_names;
    int64_t length;
    const char *vocab[SIDES], *save_vocab[SIDES];
    grd_tokens_opts tokens; /* of both sides, but for vocab and save_vocab */
} opts;

typedef struct state {
    grd_host *host;
    grd_arena arena;
    const char *file[SIDES];
    grd_token_texts texts[SIDES];
} state;

static const char *const special[] = { "<pad>", "<unk>", "<bos>", "<eos>", NULL };
static const char *const key[SIDES] = { "from", "to" };

static void close_parallel(void *self)
{
    state *s = self;
    for (int k = 0; k < SIDES; k++)
        grd_token_texts_free(&s->texts[k]);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

/* {part} by the name that part_names gives the part. */
static grd_status path_of(state *s, const opts *o, int side, int part, const char **path)
{
    const char **name, *at = o->file[side], *text = "";
    int n;
    GRD_TRY(grd_text_names(&s->arena, "part_names", o->part_names, &name, &n));
    if (n != 3)
        return grd_fail(s->host, GRD_ERR_ARG, "part_names: %d names, expected three: of train, val and test", n);
    if (part != GRD_PART_TRAIN && !strstr(at, "{part}"))
        return grd_text_part(&s->arena, key[side], at, part, path);
    for (const char *hole; text && (hole = strstr(at, "{part}")); at = hole + strlen("{part}"))
        text = grd_arena_format(&s->arena, "%s%.*s%s", text, (int)(hole - at), at, name[part]);
    *path = text ? grd_arena_format(&s->arena, "%s%s", text, at) : NULL;
    return *path ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status see_lines(void *user, grd_tokens *tokens)
{
    grd_text_file f;
    GRD_TRY(grd_text_open(tokens->host, user, &f));
    grd_status status = grd_tokens_see_lines(tokens, &f);
    grd_free(tokens->host, f.bytes);
    if (status == GRD_OK && f.line == 0)
        return grd_fail(tokens->host, GRD_ERR_DATA, "%s: no lines, expected at least one", (const char *)user);
    return status;
}

static grd_status learn(state *s, const opts *o, int side)
{
    const char *path;
    grd_tokens_opts tokens = o->tokens;
    tokens.vocab = o->vocab[side];
    tokens.save_vocab = o->save_vocab[side];
    GRD_TRY(path_of(s, o, side, GRD_PART_TRAIN, &path));
    return grd_tokens_learn(&s->texts[side].tokens, &tokens, o->part == GRD_PART_TRAIN, special, see_lines, (void *)path);
}

static grd_status take(state *s, const opts *o, int side)
{
    grd_text_file f;
    const char *line;
    size_t size;
    GRD_TRY(grd_text_open(s->host, s->file[side], &f));
    grd_status status = GRD_OK;
    while (status == GRD_OK && grd_text_line(&f, &line, &size))
        status = grd_token_texts_add(&s->texts[side], line, size, o->length, s->file[side], f.line);
    grd_free(s->host, f.bytes);
    return status;
}

static grd_status read_all(state *s, const opts *o)
{
    for (int k = 0; k < SIDES; k++) {
        GRD_TRY(path_of(s, o, k, o->part, &s->file[k]));
        GRD_TRY(learn(s, o, k));
        GRD_TRY(take(s, o, k));
    }
    if (s->texts[FROM].n != s->texts[TO].n)
        return grd_fail(s->host, GRD_ERR_DATA, "%s has %lld lines, %s %lld: they do not belong together", s->file[FROM],
                        (long long)s->texts[FROM].n, s->file[TO], (long long)s->texts[TO].n);
    if (!s->texts[FROM].n)
        return grd_fail(s->host, GRD_ERR_DATA, "%s: no lines", s->file[FROM]);
    return GRD_OK;
}

static grd_status open_parallel(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = host;
    grd_arena_init(&s->arena, host);
    for (int k = 0; k < SIDES; k++)
        grd_token_texts_init(&s->texts[k], host, &o->tokens);
    grd_status status = read_all(s, o);
    if (status == GRD_OK)
        *out = s;
    else
        close_parallel(s);
    return status;
}

static int64_t length(const void *self) { return ((const state *)self)->texts[FROM].n; }

/* What is read; what has been written so far, from <bos> on; what is to be written next, up to <eos>. */
static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 3) {
        out[0] = grd_tokens_field(&s->texts[FROM].tokens, "source", -1);
        out[1] = grd_tokens_field(&s->texts[TO].tokens, "target", -1);
        out[2] = grd_tokens_target(&s->texts[TO].tokens, "label", -1);
    }
    return 3;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    GRD_TRY(grd_token_texts_get(&s->texts[FROM], i, out, 0));
    return grd_token_texts_get_next(&s->texts[TO], i, out, 1);
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    snprintf(text, size, "%s:%lld", ((const state *)self)->file[FROM], (long long)i + 1);
}

#define SIDE(option, field, flags, help) { option, GRD_OPTION_TEXT, offsetof(opts, field), 0, 0, 0, NULL, flags, help }
static const grd_option options[] = {
    SIDE("from", file[FROM], GRD_OPTION_REQUIRED | GRD_OPTION_PARTS, "sentences, one a line, plain, .gz or .xz; may hold {part}"),
    SIDE("to", file[TO], GRD_OPTION_REQUIRED | GRD_OPTION_PARTS, "their translations, line by line"),
    GRD_ENUM(opts, part, 0, "train|val|test", "which part; the vocabularies are always those of train"),
    GRD_TEXT(opts, part_names, "train,val,test", "what {part} becomes"),
    GRD_INT(opts, length, 0, 0, 1e9, "sentences are cut off after so many tokens; 0: not"),
    { "tokenizer", GRD_OPTION_ENUM, offsetof(opts, tokens.tokenizer), GRD_TOKENS_WORDS, 0, 0, GRD_TOKENIZERS, 0,
      "what a token is" },
    SIDE("from_vocab", vocab[FROM], 0, "JSON file with the vocabulary of `from`, instead of one fitted on train"),
    SIDE("to_vocab", vocab[TO], 0, "the same of `to`"),
    SIDE("from_save_vocab", save_vocab[FROM], 0, "JSON file that it is written to when it is fitted for the part train"),
    SIDE("to_save_vocab", save_vocab[TO], 0, "the same of `to`"),
    { "max_vocab", GRD_OPTION_INT, offsetof(opts, tokens.max_vocab), 0, 0, 10000000, NULL, 0,
      "most tokens of each; 0: all, of bpe 8192" },
    { "min_count", GRD_OPTION_INT, offsetof(opts, tokens.min_count), 0, 0, 1e15, NULL, 0, "rarer ones are left out" },
    GRD_END,
};

const grd_source grd_source_parallel_text = {
    .name = "parallel_text",
    .doc = "Sentences and their translations: source i32 [-1], target i32 [-1] from <bos> on, label i32 [-1] up to <eos>.",
    .options = options, .options_size = sizeof(opts), .open = open_parallel, .length = length, .fields = fields, .get = get,
    .close = close_parallel, .name_of = name_of,
};
