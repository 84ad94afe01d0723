/* Texts as token ids: a tokenizer that was fitted on texts or read from a file, and what it makes of texts. */
#ifndef GRD_DATA_TOKENS_H
#define GRD_DATA_TOKENS_H

#include "data/tokenize.h"

#include <gradus/data.h>

enum { GRD_TOKENS_WORDS, GRD_TOKENS_CHARS, GRD_TOKENS_BPE };
#define GRD_TOKENIZERS "words|chars|bpe"

typedef struct grd_tokens_opts {
    int tokenizer;
    const char *vocab;     /* JSON file that is read instead of fitting; NULL */
    const char *save_vocab; /* where what was fitted is written; NULL */
    int64_t max_vocab, min_count; /* special ones included; 0 = no limit, or what BPE takes without being told */
} grd_tokens_opts;

/* Their lines in an option table. */
#define GRD_TOKENS_OPTIONS(S, default_tokenizer)                                                                             \
    { "tokenizer", GRD_OPTION_ENUM, offsetof(S, tokens.tokenizer), (default_tokenizer), 0, 0, GRD_TOKENIZERS, 0,              \
      "what a token is" },                                                                                                    \
    { "vocab", GRD_OPTION_TEXT, offsetof(S, tokens.vocab), 0, 0, 0, NULL, 0,                                                  \
      "JSON file with the vocabulary, instead of one fitted on the part train" },                                             \
    { "save_vocab", GRD_OPTION_TEXT, offsetof(S, tokens.save_vocab), 0, 0, 0, NULL, 0,                                        \
      "JSON file that the vocabulary is written to when it is fitted for the part train" },                                   \
    { "max_vocab", GRD_OPTION_INT, offsetof(S, tokens.max_vocab), 0, 0, 10000000, NULL, 0,                                    \
      "most tokens, special ones too; 0: all there are, of bpe 8192" },                                                       \
    { "min_count", GRD_OPTION_INT, offsetof(S, tokens.min_count), 0, 0, 1e15, NULL, 0,                                        \
      "rarer ones are left out; 0: 1, of pairs of bpe 2" }

typedef struct grd_tokens {
    grd_host *host;
    int kind;              /* GRD_TOKENS_* */
    grd_counts counts;     /* while it is fitted */
    grd_vocab vocab;
    grd_bpe bpe;
    bool fitting, ready;
    int32_t unknown;       /* -1 = there is no such token */
} grd_tokens;

/* Begin; then either grd_tokens_see each text and grd_tokens_fit, or grd_tokens_load. `special` ends with NULL. */
void grd_tokens_init(grd_tokens *tokens, grd_host *host, int kind);
grd_status grd_tokens_see(grd_tokens *tokens, const char *text, size_t size);
grd_status grd_tokens_fit(grd_tokens *tokens, const grd_tokens_opts *opts, const char *const *special);
grd_status grd_tokens_load(grd_tokens *tokens, const char *path, const char *const *special);
/* The vocabulary that a source's options speak of: read, or fitted on what `tell` lets it see; of these, only the one that is
 * fitted for the part train itself (keep) is saved. */
grd_status grd_tokens_learn(grd_tokens *tokens, const grd_tokens_opts *opts, bool keep, const char *const *special,
                            grd_status (*tell)(void *user, grd_tokens *tokens), void *user);
void grd_tokens_free(grd_tokens *tokens);

int32_t grd_tokens_size(const grd_tokens *tokens);
int32_t grd_tokens_special(const grd_tokens *tokens, const char *text); /* -1 = none of that name */
/* Ids of a text. *n counts all, the first `room` are written. Without an unknown token what is not in the vocabulary is left
 * out. */
grd_status grd_tokens_encode(const grd_tokens *tokens, const char *text, size_t size, int32_t *ids, size_t room, size_t *n);

/* Many texts, one after the other. */
typedef struct grd_token_texts {
    grd_host *host;
    int64_t n, room;
    int64_t *start;        /* [n + 1] */
    int32_t *id;
    int64_t ids_room;
} grd_token_texts;
/* At most `most` tokens of the text (0 = all). A text without any is one unknown token, if there is such, else an error that
 * `where` (file and line) begins. */
grd_status grd_token_texts_add(grd_token_texts *texts, const grd_tokens *tokens, const char *text, size_t size, int64_t most,
                               const char *file, uint64_t line);
/* Text i into field f of a sample. */
grd_status grd_token_texts_get(const grd_token_texts *texts, int64_t i, grd_sample *out, int f);
void grd_token_texts_free(grd_token_texts *texts);

#endif
