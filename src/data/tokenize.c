/* Pieces of text, their counts, and vocabularies of characters and words. */
#include "data/tokenize.h"

#include "format/utf8.h"

#include <stdlib.h>
#include <string.h>

/* ---- vocabulary ---- */

void grd_vocab_init(grd_vocab *v, grd_host *host)
{
    *v = (grd_vocab){ .host = host };
}

void grd_vocab_free(grd_vocab *v)
{
    grd_free(v->host, v->start);
    grd_free(v->host, v->bytes);
    grd_free(v->host, v->slot);
    grd_vocab_init(v, v->host);
}

const char *grd_vocab_text(const grd_vocab *v, int32_t id, size_t *size)
{
    *size = v->start[id + 1] - v->start[id];
    return v->bytes + v->start[id];
}

/* Where the text is, or where it would go. Slots hold id + 1; at most half of them are taken. */
static int32_t *slot_of(const grd_vocab *v, const char *text, size_t size)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    size_t at = (size_t)(h ^ h >> 29) & (v->slots - 1), length;
    for (; v->slot[at]; at = (at + 1) & (v->slots - 1)) {
        const char *known = grd_vocab_text(v, v->slot[at] - 1, &length);
        if (length == size && memcmp(known, text, size) == 0)
            break;
    }
    return &v->slot[at];
}

int32_t grd_vocab_find(const grd_vocab *v, const char *text, size_t size)
{
    return v->slots ? *slot_of(v, text, size) - 1 : -1;
}

static grd_status rehash(grd_vocab *v)
{
    size_t slots = v->slots ? 2 * v->slots : 256, size;
    int32_t *slot = GRD_NEW_N(v->host, int32_t, slots);
    size_t *start = slot ? grd_grow(v->host, v->start, v->room * sizeof *start, (slots / 2 + 1) * sizeof *start) : NULL;
    if (!start) {
        grd_free(v->host, slot);
        return GRD_ERR_MEMORY;
    }
    grd_free(v->host, v->slot);
    v->slot = slot;
    v->slots = slots;
    v->start = start;
    v->room = slots / 2 + 1;
    for (int32_t i = 0; i < v->n; i++) {
        const char *text = grd_vocab_text(v, i, &size);
        *slot_of(v, text, size) = i + 1;
    }
    return GRD_OK;
}

grd_status grd_vocab_add(grd_vocab *v, const char *text, size_t size, int32_t *id)
{
    if ((size_t)v->n + 2 > v->room) {
        if (v->n > INT32_MAX / 4)
            return grd_fail(v->host, GRD_ERR_MEMORY, "a vocabulary of more than %d entries", v->n);
        GRD_TRY(rehash(v));
    }
    int32_t *slot = slot_of(v, text, size);
    *id = *slot - 1;
    if (*slot)
        return GRD_OK;
    size_t used = v->start[v->n];
    if (size > v->bytes_room - used) {
        size_t room = 2 * v->bytes_room + size + 4096;
        char *bytes = grd_grow(v->host, v->bytes, used, room);
        if (!bytes)
            return GRD_ERR_MEMORY;
        v->bytes = bytes;
        v->bytes_room = room;
    }
    if (size)
        memcpy(v->bytes + used, text, size);
    *id = v->n++;
    v->start[v->n] = used + size;
    *slot = v->n;
    return GRD_OK;
}

/* ---- pieces ---- */

typedef struct cursor {
    const char *at;
    size_t left, length; /* of the code point at `at`; 0 at the end */
    uint32_t c;
    grd_char_class class;
} cursor;

static void look(cursor *k)
{
    k->length = k->left ? grd_utf8_decode(k->at, k->left, &k->c) : 0;
    if (!k->length)
        return;
    unsigned char b = (unsigned char)*k->at;
    if (b >= 128)
        k->class = grd_char_class_of(k->c);
    else
        k->class = (unsigned)((b | 32) - 'a') < 26 ? GRD_CHAR_LETTER
                   : b >= '0' && b <= '9'          ? GRD_CHAR_NUMBER
                   : b == ' ' || (b >= 9 && b <= 13) ? GRD_CHAR_SPACE
                                                     : GRD_CHAR_OTHER;
}

static void step(cursor *k)
{
    k->at += k->length;
    k->left -= k->length;
    look(k);
}

static bool in_word(const cursor *k)
{
    return k->length && (k->class == GRD_CHAR_LETTER || k->class == GRD_CHAR_NUMBER || k->c == '_');
}

static size_t next_word(cursor *k, char word[GRD_MAX_WORD])
{
    size_t size = 0;
    bool whole = true;
    while (k->length && !in_word(k))
        step(k);
    for (; in_word(k); step(k)) {
        char lower[4];
        size_t n = grd_utf8_encode(grd_char_lower(k->c), lower);
        whole = whole && size + n <= GRD_MAX_WORD;
        if (!whole)
            continue;
        memcpy(word + size, lower, n);
        size += n;
    }
    return size;
}

/* 's 't 're 've 'm 'll 'd: their length with the apostrophe, or 0 */
static size_t contraction(const cursor *k)
{
    static const char *const ends[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (k->left >= n && memcmp(k->at, ends[i], n) == 0)
            return n;
    }
    return 0;
}

/* GPT-2's pattern, one alternative after the other:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+   (Radford et al. 2019) */
static void next_gpt2(cursor *k)
{
    size_t short_end = *k->at == '\'' ? contraction(k) : 0;
    if (short_end) {
        k->at += short_end;
        k->left -= short_end;
        look(k);
        return;
    }
    if (k->c == ' ') {
        cursor next = *k;
        step(&next);
        if (next.length && next.class != GRD_CHAR_SPACE)
            *k = next;
    }
    grd_char_class class = k->class;
    if (class != GRD_CHAR_SPACE) {
        while (k->length && k->class == class)
            step(k);
        return;
    }
    cursor last = *k; /* the last blank before something else is left to it, unless it is the only one */
    bool several = false;
    for (step(k); k->length && k->class == GRD_CHAR_SPACE; step(k)) {
        last = *k;
        several = true;
    }
    if (k->length && several)
        *k = last;
}

bool grd_next_piece(grd_pieces kind, const char **at, size_t *left, char word[GRD_MAX_WORD], const char **piece, size_t *size)
{
    cursor k = { .at = *at, .left = *left };
    look(&k);
    *piece = k.at;
    if (kind == GRD_PIECES_WORDS) {
        *size = next_word(&k, word);
        *piece = word;
    } else if (k.length) {
        if (kind == GRD_PIECES_CHARS)
            step(&k);
        else
            next_gpt2(&k);
        *size = (size_t)(k.at - *piece);
    } else {
        *size = 0;
    }
    *at = k.at;
    *left = k.left;
    return *size > 0;
}

/* ---- counts ---- */

void grd_counts_init(grd_counts *counts, grd_host *host, grd_pieces kind)
{
    *counts = (grd_counts){ .kind = kind };
    grd_vocab_init(&counts->vocab, host);
}

void grd_counts_free(grd_counts *counts)
{
    grd_free(counts->vocab.host, counts->count);
    counts->count = NULL;
    counts->room = 0;
    grd_vocab_free(&counts->vocab);
}

grd_status grd_counts_add(grd_counts *counts, const char *text, size_t size)
{
    char word[GRD_MAX_WORD];
    const char *piece;
    size_t length;
    while (grd_next_piece(counts->kind, &text, &size, word, &piece, &length)) {
        int32_t id;
        GRD_TRY(grd_vocab_add(&counts->vocab, piece, length, &id));
        if (id >= counts->room) {
            int32_t room = counts->room ? 2 * counts->room : 256;
            int64_t *count = grd_grow(counts->vocab.host, counts->count, sizeof *count * (size_t)counts->room,
                                      sizeof *count * (size_t)room);
            if (!count)
                return GRD_ERR_MEMORY;
            counts->count = count;
            counts->room = room;
        }
        counts->count[id]++;
    }
    return GRD_OK;
}

/* ---- vocabularies of characters and words ---- */

typedef struct candidate {
    const char *text;
    size_t size;
    int64_t count;
} candidate;

static int by_count(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static int by_bytes(const void *a, const void *b)
{
    candidate x = *(const candidate *)a, y = *(const candidate *)b;
    x.count = y.count = 0;
    return by_count(&x, &y);
}

static grd_status fill_vocab(const grd_counts *counts, const grd_vocab_opts *opts, candidate *all, grd_vocab *vocab)
{
    int32_t id, n = 0;
    int64_t least = opts->min_count > 0 ? opts->min_count : 1;
    for (int32_t k = 0; opts->special && opts->special[k]; k++) {
        GRD_TRY(grd_vocab_add(vocab, opts->special[k], strlen(opts->special[k]), &id));
        if (id != k)
            return grd_fail(vocab->host, GRD_ERR_ARG, "special token \"%s\" is there twice", opts->special[k]);
    }
    for (int32_t i = 0; i < counts->vocab.n; i++) {
        if (counts->count[i] < least)
            continue;
        all[n].text = grd_vocab_text(&counts->vocab, i, &all[n].size);
        all[n++].count = counts->count[i];
    }
    if (n)
        qsort(all, (size_t)n, sizeof *all, by_count);
    n = opts->max_pieces > 0 && opts->max_pieces < n ? opts->max_pieces : n;
    if (n && counts->kind == GRD_PIECES_CHARS)
        qsort(all, (size_t)n, sizeof *all, by_bytes); /* UTF-8 sorts as its code points do */
    for (int32_t i = 0; i < n; i++)
        GRD_TRY(grd_vocab_add(vocab, all[i].text, all[i].size, &id));
    return GRD_OK;
}

grd_status grd_vocab_make(const grd_counts *counts, const grd_vocab_opts *opts, grd_vocab *vocab)
{
    static const grd_vocab_opts none = { 0 };
    grd_host *host = counts->vocab.host;
    grd_vocab_init(vocab, host);
    candidate *all = GRD_NEW_N(host, candidate, counts->vocab.n);
    if (!all)
        return GRD_ERR_MEMORY;
    grd_status status = fill_vocab(counts, opts ? opts : &none, all, vocab);
    grd_free(host, all);
    if (status != GRD_OK)
        grd_vocab_free(vocab);
    return status;
}

void grd_vocab_encode(const grd_vocab *vocab, grd_pieces kind, int32_t unknown, const char *text, size_t size, int32_t *ids,
                      size_t room, size_t *n)
{
    char word[GRD_MAX_WORD];
    const char *piece;
    size_t length;
    *n = 0;
    while (grd_next_piece(kind, &text, &size, word, &piece, &length)) {
        int32_t id = grd_vocab_find(vocab, piece, length);
        id = id < 0 ? unknown : id;
        if (id < 0)
            continue;
        if (*n < room)
            ids[*n] = id;
        ++*n;
    }
}
