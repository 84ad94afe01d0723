/* Text to token ids: vocabularies of characters and words, and byte-pair encoding. Knows nothing of data sets.
 *
 * All go the same way: count the pieces of the training text (grd_counts), make a vocabulary or a grd_bpe of the counts, encode.
 * What encodes is only read, so any number of threads may share it. */
#ifndef GRD_DATA_TOKENIZE_H
#define GRD_DATA_TOKENIZE_H

#include "base/host.h"

/* ---- texts with ids 0, 1, 2, ...; the bytes may be any ---- */
typedef struct grd_vocab {
    grd_host *host;
    int32_t n;
    size_t *start;      /* [n + 1]: text i is bytes + start[i] to bytes + start[i + 1] */
    char *bytes;
    int32_t *slot;      /* the hash table */
    size_t slots, room, bytes_room;
} grd_vocab;

void grd_vocab_init(grd_vocab *vocab, grd_host *host);
void grd_vocab_free(grd_vocab *vocab);
int32_t grd_vocab_find(const grd_vocab *vocab, const char *text, size_t size); /* -1 = it is not there */
grd_status grd_vocab_add(grd_vocab *vocab, const char *text, size_t size, int32_t *id); /* or finds it */
const char *grd_vocab_text(const grd_vocab *vocab, int32_t id, size_t *size); /* not ended by a zero */

/* ---- pieces of text ---- */
typedef enum grd_pieces {
    GRD_PIECES_CHARS, /* code points */
    GRD_PIECES_WORDS, /* runs of letters, numbers and _, in lower case; at most GRD_MAX_WORD bytes of each */
    GRD_PIECES_GPT2   /* words with the blank before them, numbers, other signs, blanks: what byte-pair encoding never joins */
} grd_pieces;
#define GRD_MAX_WORD 256

/* The next piece of the text at *at; false at its end. `word` is used for words only; *piece points into it or into the text. */
bool grd_next_piece(grd_pieces kind, const char **at, size_t *left, char word[GRD_MAX_WORD], const char **piece, size_t *size);

typedef struct grd_counts {
    grd_pieces kind;
    grd_vocab vocab;
    int64_t *count;
    int32_t room;
} grd_counts;

void grd_counts_init(grd_counts *counts, grd_host *host, grd_pieces kind);
void grd_counts_free(grd_counts *counts);
grd_status grd_counts_add(grd_counts *counts, const char *text, size_t size);

/* ---- vocabularies of characters and words ---- */
typedef struct grd_vocab_opts {
    const char *const *special; /* ends with NULL: ids 0, 1, ...; NULL = none */
    int64_t min_count;          /* rarer pieces are left out; 0 = 1 */
    int32_t max_pieces;         /* besides the special ones; 0 = no limit */
} grd_vocab_opts;

/* Special tokens, then characters by code point, or words from the most frequent one on (equally frequent ones by their bytes).
 * The vocab is initialised here; on failure nothing is left to free. */
grd_status grd_vocab_make(const grd_counts *counts, const grd_vocab_opts *opts, grd_vocab *vocab);
/* Ids of the text's pieces; `unknown` (>= 0, or -1 to leave them out) for those that are not there. *n counts all of them, the
 * first `room` are written. Allocates nothing. */
void grd_vocab_encode(const grd_vocab *vocab, grd_pieces kind, int32_t unknown, const char *text, size_t size, int32_t *ids,
                      size_t room, size_t *n);

/* ---- byte-pair encoding: byte level, as GPT-2 and `tokenizers` do it ---- */
typedef struct grd_bpe_merge {
    int32_t a, b, joined; /* ids */
} grd_bpe_merge;

typedef struct grd_bpe {
    grd_host *host;
    grd_vocab vocab;     /* texts as plain bytes */
    int32_t specials;    /* how many ids are special tokens */
    int32_t *special;    /* their ids, sorted */
    int32_t byte[256];   /* the id of each byte */
    int32_t merges;
    grd_bpe_merge *merge; /* by rank */
    int32_t *slot;       /* hash table of pairs */
    size_t slots;
    bool prefix_space;   /* a blank is put before a text that begins with none (read from JSON only) */
} grd_bpe;

typedef struct grd_bpe_opts {
    int32_t vocab_size;         /* all together; >= 256 + special tokens */
    int64_t min_count;          /* of a pair that is merged; 0 = 2 */
    const char *const *special; /* ends with NULL: ids 0, 1, ...; NULL = none */
} grd_bpe_opts;

/* `counts` are of GRD_PIECES_GPT2. The vocabulary is smaller than asked for when there is nothing left to merge. On failure of
 * this and of reading nothing is left to free. */
grd_status grd_bpe_train(const grd_counts *counts, const grd_bpe_opts *opts, grd_bpe *bpe);
void grd_bpe_free(grd_bpe *bpe);
bool grd_bpe_is_special(const grd_bpe *bpe, int32_t id);
int32_t grd_bpe_special(const grd_bpe *bpe, const char *text); /* its id; -1 = no special token */

/* Special tokens are never found in a text: who wants them puts their ids. *n counts all ids, the first `room` are written; never
 * more than `size` (+ 1 with prefix_space). `host` is the calling thread's: pieces of more than 128 bytes (and prefix_space) take
 * memory from it, given back before return. */
grd_status grd_bpe_encode(const grd_bpe *bpe, grd_host *host, const char *text, size_t size, int32_t *ids, size_t room,
                          size_t *n);
/* The bytes of the tokens; special ones are left out unless `specials`. *size counts all bytes, the first `room` are written. An
 * id outside of the vocabulary is left out. */
void grd_bpe_decode(const grd_bpe *bpe, const int32_t *ids, size_t n, bool specials, char *text, size_t room, size_t *size);

/* tokenizer.json, as Python's `tokenizers` reads and writes it. Other models, normalizers and pre-tokenizers than ours are
 * refused with a sentence. */
grd_status grd_bpe_write(grd_host *host, const char *path, const grd_bpe *bpe);
grd_status grd_bpe_read(grd_host *host, const char *path, grd_bpe *bpe);
grd_status grd_bpe_parse(grd_host *host, const char *name, const void *json, size_t size, grd_bpe *bpe);

/* For the two files that make a grd_bpe. */
grd_status grd_bpe_init(grd_bpe *bpe, grd_host *host, int32_t max_merges);
grd_status grd_bpe_add_special(grd_bpe *bpe, int32_t id);
grd_status grd_bpe_index(grd_bpe *bpe, const char *name); /* when vocab and merges are there: bytes and the hash table */
/* The one code point that stands for a byte in tokenizer.json: printable Latin-1 as itself, the others from U+0100 on. */
void grd_bpe_alphabet(uint32_t code[256]);

#endif
