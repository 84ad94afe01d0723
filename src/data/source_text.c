/* text: a file to learn language from; windows of so many tokens, or a sample a line. The target of each token is the one
 * after it. */
#include "base/ctx.h"
#include "data/rows.h"
#include "data/texts.h"
#include "data/tokens.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct opts {
    const char *file;
    int part;
    int64_t length, stride;
    bool lines;
    grd_reals parts;
    grd_tokens_opts tokens;
} opts;

typedef struct state {
    grd_host *host;
    grd_arena arena;
    const char *file;
    grd_token_texts texts; /* all of the part, as one; or its lines */
    uint64_t *line;        /* of lines */
    bool lines;
    int64_t length, stride, n;
} state;

static const char *const no_special[] = { NULL }, *const unknown_word[] = { "<unk>", NULL };
static const char *const of_lines[] = { "<pad>", "<unk>", "<bos>", "<eos>", NULL };

static const char *const *special_of(const opts *o)
{
    return o->lines ? of_lines : o->tokens.tokenizer == GRD_TOKENS_WORDS ? unknown_word : no_special;
}

static void close_text(void *self)
{
    state *s = self;
    grd_token_texts_free(&s->texts);
    grd_free(s->host, s->line);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

/* ---- opening ---- */

/* Which bytes of the file are part `part`: fractions of it, from the first byte on; never in the middle of a code point or,
 * of lines, of a line. */
static grd_status cut(grd_host *host, const opts *o, const grd_text_file *f, int part, size_t *from, size_t *to)
{
    const grd_reals *p = &o->parts;
    double before = 0, sum = 0;
    *from = 0;
    *to = f->size;
    if (!p->n)
        return GRD_OK;
    for (int i = 0; i < p->n; i++) {
        if (!(p->v[i] > 0))
            return grd_fail(host, GRD_ERR_ARG, "parts: %g, expected more than 0", p->v[i]);
        before += i < part ? p->v[i] : 0;
        sum += p->v[i];
    }
    if (p->n != 3 || sum > 1 + 1e-9)
        return grd_fail(host, GRD_ERR_ARG, "parts: %d fractions whose sum is %g, expected three of at most 1: train, val, test", p->n,
                        sum);
    size_t bound[2] = { (size_t)floor(before * (double)f->size + 1e-6),
                        (size_t)floor((before + p->v[part]) * (double)f->size + 1e-6) };
    for (int k = 0; k < 2; k++) {
        bound[k] = bound[k] < f->size ? bound[k] : f->size;
        while (bound[k] < f->size && bound[k] &&
               (o->lines ? f->bytes[bound[k] - 1] != '\n' : (f->bytes[bound[k]] & 0xC0) == 0x80))
            bound[k]++;
    }
    *from = bound[0];
    *to = bound[1];
    return GRD_OK;
}

typedef struct learning {
    const opts *o;
    const char *path;
} learning;

/* The part train of the file, whole or line by line. */
static grd_status see_train(void *user, grd_tokens *tokens)
{
    const learning *l = user;
    grd_text_file f;
    size_t from, to;
    GRD_TRY(grd_text_open(tokens->host, l->path, &f));
    grd_status status = cut(tokens->host, l->o, &f, GRD_PART_TRAIN, &from, &to);
    f.at = f.bytes + from;
    f.size = to;
    if (status == GRD_OK)
        status = l->o->lines ? grd_tokens_see_lines(tokens, &f) : grd_tokens_see(tokens, f.at, to - from);
    grd_free(tokens->host, f.bytes);
    return status;
}

/* Where there is no token for what is unknown, nothing may be: the text would close up around it. */
static grd_status all_known(const state *s, const char *text, size_t size, int64_t n)
{
    const char *at = text, *piece;
    char word[GRD_MAX_WORD];
    size_t left = size, piece_size;
    int64_t pieces = 0;
    if (s->texts.tokens.kind != GRD_TOKENS_CHARS || s->texts.tokens.unknown >= 0)
        return GRD_OK;
    while (grd_next_piece(GRD_PIECES_CHARS, &at, &left, word, &piece, &piece_size)) {
        pieces++;
        if (grd_vocab_find(&s->texts.tokens.vocab, piece, piece_size) < 0)
            return grd_fail(s->host, GRD_ERR_DATA,
                            "%s: character \"%.*s\" at byte %lld is not in the vocabulary of train, and no <unk>: "
                            "give a vocab with it, or another tokenizer",
                            s->file, (int)piece_size, piece, (long long)(piece - text));
    }
    return pieces == n ? GRD_OK : grd_fail(s->host, GRD_ERR_DATA, "%s: %lld of %lld characters are known", s->file, (long long)n,
                                           (long long)pieces);
}

static grd_status take_windows(state *s, const opts *o, const char *text, size_t size)
{
    GRD_TRY(grd_token_texts_add(&s->texts, text, size, 0, s->file, 1));
    const int64_t all = s->texts.start[1];
    GRD_TRY(all_known(s, text, size, all));
    s->length = o->length;
    s->stride = o->stride ? o->stride : o->length;
    if (all < s->length + 1)
        return grd_fail(s->host, GRD_ERR_DATA,
                        "%s: %lld tokens, expected at least %lld: a window of length %lld and its last target", s->file,
                        (long long)all, (long long)s->length + 1, (long long)s->length);
    s->n = (all - 1 - s->length) / s->stride + 1;
    return GRD_OK;
}

static grd_status take_lines(state *s, const opts *o, grd_text_file *f)
{
    const char *line;
    size_t size;
    int64_t room = 0;
    s->lines = true;
    while (grd_text_line(f, &line, &size)) {
        if (!size)
            continue;
        if (s->n == room) {
            uint64_t *more = grd_grow(s->host, s->line, sizeof *more * (size_t)room, sizeof *more * (size_t)(2 * room + 1024));
            if (!more)
                return GRD_ERR_MEMORY;
            s->line = more;
            room = 2 * room + 1024;
        }
        s->line[s->n++] = f->line;
        GRD_TRY(grd_token_texts_add(&s->texts, line, size, o->length, s->file, f->line));
    }
    return s->n ? GRD_OK : grd_fail(s->host, GRD_ERR_DATA, "%s: no lines", s->file);
}

static grd_status read_all(state *s, const opts *o)
{
    grd_text_file f;
    const char *train;
    size_t from, to;
    if (o->parts.n && strstr(o->file, "{part}"))
        return grd_fail(s->host, GRD_ERR_ARG, "parts: file \"%.200s\" holds {part}: each part is a file already", o->file);
    if (!o->lines && !o->length)
        return grd_fail(s->host, GRD_ERR_ARG, "length: 0: windows need a length");
    GRD_TRY(grd_text_part(&s->arena, "file", o->file, o->parts.n ? GRD_PART_TRAIN : o->part, &s->file));
    GRD_TRY(grd_text_part(&s->arena, "file", o->file, GRD_PART_TRAIN, &train));
    GRD_TRY(grd_tokens_learn(&s->texts.tokens, &o->tokens, o->part == GRD_PART_TRAIN, special_of(o), see_train,
                             &(learning){ o, train }));
    GRD_TRY(grd_text_open(s->host, s->file, &f));
    grd_status status = cut(s->host, o, &f, o->part, &from, &to);
    if (status == GRD_OK && !o->lines)
        status = take_windows(s, o, f.bytes + from, to - from);
    for (const char *c = f.bytes; status == GRD_OK && c < f.bytes + from; c++)
        f.line += *c == '\n';
    f.at = f.bytes + from;
    f.size = to;
    if (status == GRD_OK && o->lines)
        status = take_lines(s, o, &f);
    grd_free(s->host, f.bytes);
    return status;
}

static grd_status open_text(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = host;
    grd_arena_init(&s->arena, host);
    grd_token_texts_init(&s->texts, host, &o->tokens);
    grd_status status = read_all(s, o);
    if (status == GRD_OK)
        *out = s;
    else
        close_text(s);
    return status;
}

/* ---- reading ---- */

static int64_t length(const void *self) { return ((const state *)self)->n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    const int64_t tokens = s->lines ? -1 : s->length;
    if (max >= 2) {
        out[0] = grd_tokens_field(&s->texts.tokens, "text", tokens);
        out[1] = grd_tokens_target(&s->texts.tokens, "target", tokens);
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    if (s->lines)
        return grd_token_texts_get_next(&s->texts, i, out, 0);
    const int32_t *from = s->texts.id + i * s->stride;
    memcpy(out->data[0], from, sizeof *from * (size_t)s->length);
    memcpy(out->data[1], from + 1, sizeof *from * (size_t)s->length);
    return GRD_OK;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const state *s = self;
    if (s->lines)
        snprintf(text, size, "%s:%llu", s->file, (unsigned long long)s->line[i]);
    else
        snprintf(text, size, "%s:token %lld", s->file, (long long)(i * s->stride));
}

static const grd_option options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "the text, plain, .gz or .xz; {part} in it becomes train, val or test" },
    GRD_ENUM(opts, part, 0, "train|val|test", "which part; the vocabulary is always that of train"),
    GRD_INT(opts, length, 0, 0, 1e9, "tokens of a window; with lines: the most of a line, 0 for all"),
    GRD_INT(opts, stride, 0, 0, 1e9, "tokens from one window to the next; 0: length"),
    GRD_FLAG(opts, lines, "a sample a line, <bos> before it in text and <eos> after it in target"),
    { "parts", GRD_OPTION_REALS, offsetof(opts, parts), 0, 0, 0, NULL, GRD_OPTION_CUTS,
      "fractions of the text, in its order, that are train, val, test" },
    GRD_TOKENS_OPTIONS(opts, GRD_TOKENS_CHARS),
    GRD_END,
};

const grd_source grd_source_text = {
    .name = "text",
    .doc = "Text to learn language from: text i32 [length] (or [-1], lines), and target, the token after each.",
    .options = options, .options_size = sizeof(opts), .open = open_text, .length = length, .fields = fields, .get = get,
    .close = close_text, .name_of = name_of,
};
