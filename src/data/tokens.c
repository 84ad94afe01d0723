/* Texts as token ids. A vocabulary of words or characters is kept as a JSON list of its texts by id, one of byte pairs as the
 * tokenizer.json that others read, too. */
#include "data/tokens.h"

#include "base/file.h"
#include "data/dataset.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_pieces pieces_of(int kind)
{
    return kind == GRD_TOKENS_CHARS ? GRD_PIECES_CHARS : kind == GRD_TOKENS_WORDS ? GRD_PIECES_WORDS : GRD_PIECES_GPT2;
}

static void free_tokens(grd_tokens *t)
{
    if (t->fitting)
        grd_counts_free(&t->counts);
    if (t->ready && t->kind == GRD_TOKENS_BPE)
        grd_bpe_free(&t->bpe);
    else if (t->ready)
        grd_vocab_free(&t->vocab);
    t->fitting = t->ready = false;
}

grd_status grd_tokens_see(grd_tokens *t, const char *text, size_t size)
{
    if (!t->fitting)
        grd_counts_init(&t->counts, t->host, pieces_of(t->kind));
    t->fitting = true;
    return grd_counts_add(&t->counts, text, size);
}

grd_status grd_tokens_see_lines(grd_tokens *t, grd_text_file *file)
{
    const char *line;
    size_t size;
    while (grd_text_line(file, &line, &size))
        GRD_TRY(grd_tokens_see(t, line, size));
    return GRD_OK;
}

static int32_t special_id(const grd_tokens *t, const char *text)
{
    return t->kind == GRD_TOKENS_BPE ? grd_bpe_special(&t->bpe, text) : grd_vocab_find(&t->vocab, text, strlen(text));
}

static void made(grd_tokens *t)
{
    t->ready = true;
    t->pad = special_id(t, "<pad>");
    t->unknown = special_id(t, "<unk>");
    t->begin = special_id(t, "<bos>");
    t->end = special_id(t, "<eos>");
}

/* ---- files ---- */

static grd_status write_list(const grd_tokens *t, const char *path)
{
    json_t *list = json_array();
    bool fine = list != NULL;
    for (int32_t id = 0; id < t->vocab.n && fine; id++) {
        size_t size;
        const char *text = grd_vocab_text(&t->vocab, id, &size);
        json_t *item = json_stringn(text, size); /* NULL also for bytes that are no UTF-8 */
        if (!item) {
            json_decref(list);
            return grd_fail(t->host, GRD_ERR_DATA, "save_vocab: %s: token %d is no valid UTF-8: a JSON file cannot hold it", path,
                            (int)id);
        }
        fine = json_array_append_new(list, item) == 0;
    }
    char *text = fine ? json_dumps(list, JSON_INDENT(0)) : NULL;
    grd_status status =
        text ? grd_file_write(t->host, path, text, strlen(text)) : grd_fail(t->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    free(text);
    json_decref(list);
    return status;
}

static grd_status add_items(grd_tokens *t, const char *path, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        int32_t id;
        if (!json_is_string(item) || json_string_length(item) == 0)
            return grd_fail(t->host, GRD_ERR_FORMAT, "%s: item %zu is %s, expected a token's text", path, i,
                            json_is_string(item) ? "an empty text" : "no text");
        GRD_TRY(grd_vocab_add(&t->vocab, json_string_value(item), json_string_length(item), &id));
        if ((size_t)id != i)
            return grd_fail(t->host, GRD_ERR_FORMAT, "%s: item %zu: \"%.80s\" stands there twice", path, i,
                            json_string_value(item));
    }
    return t->vocab.n ? GRD_OK : grd_fail(t->host, GRD_ERR_FORMAT, "%s: an empty vocabulary", path);
}

static grd_status read_list(grd_tokens *t, const char *path)
{
    void *bytes;
    size_t size;
    json_error_t error;
    GRD_TRY(grd_file_read(t->host, path, (size_t)1 << 30, &bytes, &size));
    json_t *list = json_loadb(bytes, size, 0, &error);
    grd_free(t->host, bytes);
    if (!json_is_array(list)) {
        json_decref(list);
        return grd_fail(t->host, GRD_ERR_FORMAT, "%s: expected a JSON list of texts%s%s", path, list ? "" : ": ",
                        list ? "" : error.text);
    }
    grd_vocab_init(&t->vocab, t->host);
    grd_status status = add_items(t, path, list);
    json_decref(list);
    if (status != GRD_OK)
        grd_vocab_free(&t->vocab);
    return status;
}

static grd_status load(grd_tokens *t, const char *path, const char *const *special)
{
    GRD_TRY(t->kind == GRD_TOKENS_BPE ? grd_bpe_read(t->host, path, &t->bpe) : read_list(t, path));
    made(t);
    for (int i = 0; special && special[i]; i++)
        if (special_id(t, special[i]) < 0)
            return grd_fail(t->host, GRD_ERR_DATA, "%s: no token %s, which is needed here", path, special[i]);
    return GRD_OK;
}

/* ---- fitting ---- */

static grd_status fit(grd_tokens *t, const grd_tokens_opts *o, const char *const *special)
{
    enum { USUAL_BPE = 8192, LEAST_BPE = 256 };
    int32_t n_special = 0;
    while (special && special[n_special])
        n_special++;
    if (!t->fitting)
        return grd_fail(t->host, GRD_ERR_DATA, "no text to make a vocabulary of");
    if (t->kind == GRD_TOKENS_BPE) {
        if (o->max_vocab && o->max_vocab < LEAST_BPE + n_special)
            return grd_fail(t->host, GRD_ERR_ARG, "max_vocab: %lld, expected at least %d: all bytes and special tokens",
                            (long long)o->max_vocab, LEAST_BPE + n_special);
        const grd_bpe_opts opts = { .vocab_size = o->max_vocab ? (int32_t)o->max_vocab : USUAL_BPE, .min_count = o->min_count,
                                    .special = special };
        GRD_TRY(grd_bpe_train(&t->counts, &opts, &t->bpe));
    } else {
        if (o->max_vocab && o->max_vocab <= n_special)
            return grd_fail(t->host, GRD_ERR_ARG, "max_vocab: %lld, expected more than the %d special tokens",
                            (long long)o->max_vocab, (int)n_special);
        const grd_vocab_opts opts = { .special = special, .min_count = o->min_count,
                                      .max_pieces = o->max_vocab ? (int32_t)o->max_vocab - n_special : 0 };
        GRD_TRY(grd_vocab_make(&t->counts, &opts, &t->vocab));
    }
    made(t);
    grd_counts_free(&t->counts);
    t->fitting = false;
    if (!o->save_vocab)
        return GRD_OK;
    return t->kind == GRD_TOKENS_BPE ? grd_bpe_write(t->host, o->save_vocab, &t->bpe) : write_list(t, o->save_vocab);
}

grd_status grd_tokens_learn(grd_tokens *t, const grd_tokens_opts *o, bool keep, const char *const *special,
                            grd_status (*tell)(void *user, grd_tokens *tokens), void *user)
{
    grd_tokens_opts opts = *o;
    if (o->vocab)
        return load(t, o->vocab, special);
    if (!keep)
        opts.save_vocab = NULL;
    GRD_TRY(tell(user, t));
    return fit(t, &opts, special);
}

/* ---- use ---- */

static int32_t size_of(const grd_tokens *t) { return t->kind == GRD_TOKENS_BPE ? t->bpe.vocab.n : t->vocab.n; }

grd_field grd_tokens_field(const grd_tokens *t, const char *name, int64_t length)
{
    grd_field f = { .dtype = GRD_I32, .shape = { 1, { length } }, .hi = size_of(t) - 1, .pad = length < 0 ? t->pad : 0 };
    snprintf(f.name, sizeof f.name, "%s", name);
    return f;
}

grd_field grd_tokens_target(const grd_tokens *t, const char *name, int64_t length)
{
    grd_field f = grd_tokens_field(t, name, length);
    f.classes = size_of(t);
    if (length < 0)
        f.pad = f.ignore = -1;
    return f;
}

/* Ids of a text. *n counts all, the first `room` are written. */
static grd_status encode(const grd_tokens *t, const char *text, size_t size, int32_t *ids, size_t room, size_t *n)
{
    if (t->kind == GRD_TOKENS_BPE)
        return grd_bpe_encode(&t->bpe, t->host, text, size, ids, room, n);
    grd_vocab_encode(&t->vocab, pieces_of(t->kind), t->unknown, text, size, ids, room, n);
    return GRD_OK;
}

/* ---- many texts ---- */

void grd_token_texts_init(grd_token_texts *x, grd_host *host, const grd_tokens_opts *opts)
{
    *x = (grd_token_texts){ .host = host, .tokens = { .host = host, .kind = opts->tokenizer, .unknown = -1 } };
}

static grd_status make_room(grd_token_texts *x, int64_t more)
{
    if (x->n + 2 > x->room) {
        const int64_t room = x->room ? 2 * x->room : 1024;
        int64_t *start = grd_grow(x->host, x->start, sizeof *start * (size_t)x->room, sizeof *start * (size_t)room);
        if (!start)
            return GRD_ERR_MEMORY;
        x->start = start;
        x->room = room;
    }
    const int64_t used = x->start[x->n];
    if (used + more <= x->ids_room)
        return GRD_OK;
    const int64_t room = 2 * (used + more);
    int32_t *id = grd_grow(x->host, x->id, sizeof *id * (size_t)x->ids_room, sizeof *id * (size_t)room);
    if (!id)
        return GRD_ERR_MEMORY;
    x->id = id;
    x->ids_room = room;
    return GRD_OK;
}

grd_status grd_token_texts_add(grd_token_texts *x, const char *text, size_t size, int64_t most, const char *file, uint64_t line)
{
    const grd_tokens *t = &x->tokens;
    size_t n;
    GRD_TRY(make_room(x, (int64_t)size + 2)); /* never more tokens than bytes */
    int32_t *out = x->id + x->start[x->n];
    GRD_TRY(encode(t, text, size, out, size + 2, &n));
    if (n == 0 && t->unknown < 0)
        return grd_fail(x->host, GRD_ERR_DATA, "%s:%llu: a text without any token, expected at least one", file, (unsigned long long)line);
    if (n == 0)
        out[n++] = t->unknown;
    if (most > 0 && n > (size_t)most)
        n = (size_t)most;
    x->start[x->n + 1] = x->start[x->n] + (int64_t)n;
    x->n++;
    return GRD_OK;
}

grd_status grd_token_texts_get(const grd_token_texts *x, int64_t i, grd_sample *out, int f)
{
    const int64_t n = x->start[i + 1] - x->start[i];
    int32_t *id = grd_sample_room(out, f, &(grd_shape){ 1, { n } });
    if (!id)
        return GRD_ERR_MEMORY;
    memcpy(id, x->id + x->start[i], sizeof *id * (size_t)n);
    return GRD_OK;
}

grd_status grd_token_texts_get_next(const grd_token_texts *x, int64_t i, grd_sample *out, int f)
{
    const int64_t n = x->start[i + 1] - x->start[i];
    const grd_shape shape = { 1, { n + 1 } };
    int32_t *text = grd_sample_room(out, f, &shape), *next = text ? grd_sample_room(out, f + 1, &shape) : NULL;
    if (!next)
        return GRD_ERR_MEMORY;
    text[0] = x->tokens.begin;
    memcpy(text + 1, x->id + x->start[i], sizeof *text * (size_t)n);
    memcpy(next, text + 1, sizeof *text * (size_t)n);
    next[n] = x->tokens.end;
    return GRD_OK;
}

void grd_token_texts_free(grd_token_texts *x)
{
    free_tokens(&x->tokens);
    grd_free(x->host, x->start);
    grd_free(x->host, x->id);
}
