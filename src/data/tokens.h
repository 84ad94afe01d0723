/* Texts as token ids: a tokenizer that was fitted on texts or read from a file, what it makes of texts, and the fields and samples
 * that the sources of texts give. */
#ifndef GRD_DATA_TOKENS_H
#define GRD_DATA_TOKENS_H

#include "data/texts.h"
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
    int32_t pad, unknown, begin, end; /* <pad>, <unk>, <bos>, <eos>; -1 = there is no such token */
} grd_tokens;

/* The vocabulary that a source's options speak of: read, or fitted on what `tell` lets it see; of these, only the one that is
 * fitted for the part train itself (keep) is saved. `special` ends with NULL. */
grd_status grd_tokens_learn(grd_tokens *tokens, const grd_tokens_opts *opts, bool keep, const char *const *special,
                            grd_status (*tell)(void *user, grd_tokens *tokens), void *user);
grd_status grd_tokens_see(grd_tokens *tokens, const char *text, size_t size);
grd_status grd_tokens_see_lines(grd_tokens *tokens, grd_text_file *file); /* all that are left */

/* A field of texts of `length` tokens; -1: it varies, and batches are filled up with <pad>. */
grd_field grd_tokens_field(const grd_tokens *tokens, const char *name, int64_t length);
/* The same of tokens that are to be told: they are classes, and what a batch is filled up with does not count. */
grd_field grd_tokens_target(const grd_tokens *tokens, const char *name, int64_t length);

/* Many texts, one after the other, by tokens of their own. */
typedef struct grd_token_texts {
    grd_host *host;
    grd_tokens tokens;
    int64_t n, room;
    int64_t *start;        /* [n + 1] */
    int32_t *id;
    int64_t ids_room;
} grd_token_texts;
void grd_token_texts_init(grd_token_texts *texts, grd_host *host, const grd_tokens_opts *opts);
/* At most `most` tokens of the text (0 = all). Without an unknown token what is not in the vocabulary is left out. A text without
 * any token is one unknown one, if there is such, else an error that file and line begin. */
grd_status grd_token_texts_add(grd_token_texts *texts, const char *text, size_t size, int64_t most, const char *file, uint64_t line);
/* Text i into field f of a sample. */
grd_status grd_token_texts_get(const grd_token_texts *texts, int64_t i, grd_sample *out, int f);
/* Text i with <bos> before it into field f, with <eos> behind it into field f + 1: there each token's place has the next one. */
grd_status grd_token_texts_get_next(const grd_token_texts *texts, int64_t i, grd_sample *out, int f);
void grd_token_texts_free(grd_token_texts *texts);

#endif
