/* Byte-pair encoding: a text's pieces are bytes at first; the pair of the lowest rank is joined, again and again. */
#include "data/tokenize.h"

#include <stdlib.h>
#include <string.h>

grd_status grd_bpe_init(grd_bpe *bpe, grd_host *host, int32_t max_merges)
{
    *bpe = (grd_bpe){ .host = host };
    grd_vocab_init(&bpe->vocab, host);
    bpe->merge = GRD_NEW_N(host, grd_bpe_merge, max_merges);
    return bpe->merge ? GRD_OK : GRD_ERR_MEMORY;
}

void grd_bpe_free(grd_bpe *bpe)
{
    grd_vocab_free(&bpe->vocab);
    grd_free(bpe->host, bpe->merge);
    grd_free(bpe->host, bpe->slot);
    grd_free(bpe->host, bpe->special);
    *bpe = (grd_bpe){ .host = bpe->host };
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

grd_status grd_bpe_add_special(grd_bpe *bpe, int32_t id)
{
    int32_t *special =
        grd_grow(bpe->host, bpe->special, sizeof id * (size_t)bpe->specials, sizeof id * ((size_t)bpe->specials + 1));
    if (!special)
        return GRD_ERR_MEMORY;
    special[bpe->specials++] = id;
    bpe->special = special;
    qsort(special, (size_t)bpe->specials, sizeof *special, by_id);
    return GRD_OK;
}

bool grd_bpe_is_special(const grd_bpe *bpe, int32_t id)
{
    return bpe->specials && bsearch(&id, bpe->special, (size_t)bpe->specials, sizeof id, by_id);
}

int32_t grd_bpe_special(const grd_bpe *bpe, const char *text)
{
    int32_t id = grd_vocab_find(&bpe->vocab, text, strlen(text));
    return id >= 0 && grd_bpe_is_special(bpe, id) ? id : -1;
}

/* ---- pairs ---- */

static int32_t *slot_of(const grd_bpe *bpe, int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(h >> 32) & (bpe->slots - 1);
    for (; bpe->slot[at]; at = (at + 1) & (bpe->slots - 1)) {
        const grd_bpe_merge *m = &bpe->merge[bpe->slot[at] - 1];
        if (m->a == a && m->b == b)
            break;
    }
    return &bpe->slot[at];
}

static int32_t rank_of(const grd_bpe *bpe, int32_t a, int32_t b)
{
    return *slot_of(bpe, a, b) - 1;
}

grd_status grd_bpe_index(grd_bpe *bpe, const char *name)
{
    for (int k = 0; k < 256; k++) {
        char byte = (char)k;
        bpe->byte[k] = grd_vocab_find(&bpe->vocab, &byte, 1);
        if (bpe->byte[k] < 0 || grd_bpe_is_special(bpe, bpe->byte[k]))
            return grd_fail(bpe->host, GRD_ERR_FORMAT, "%s: the vocabulary has no token for byte 0x%02x", name, k);
    }
    bpe->slots = 512;
    while (bpe->slots / 2 < (size_t)bpe->merges)
        bpe->slots *= 2;
    bpe->slot = GRD_NEW_N(bpe->host, int32_t, bpe->slots);
    if (!bpe->slot)
        return grd_fail_in(bpe->host, "%s: ", name);
    for (int32_t k = 0; k < bpe->merges; k++) {
        int32_t *slot = slot_of(bpe, bpe->merge[k].a, bpe->merge[k].b);
        *slot = *slot ? *slot : k + 1; /* of two that are the same the earlier counts */
    }
    return GRD_OK;
}

/* ---- joining: symbols are a list, candidates a heap by rank, then place ---- */

typedef struct symbol {
    int32_t id, prev, next; /* id -1: joined with the one before; prev, next -1: none */
} symbol;

typedef struct candidate {
    int32_t rank, at, joined;
} candidate;

enum { ON_STACK = 128 };

typedef struct joiner {
    const grd_bpe *bpe;
    symbol *symbol;
    candidate *heap;
    size_t n;
} joiner;

static bool before(candidate a, candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(joiner *j, candidate c)
{
    size_t at = j->n++;
    for (; at && before(c, j->heap[(at - 1) / 2]); at = (at - 1) / 2)
        j->heap[at] = j->heap[(at - 1) / 2];
    j->heap[at] = c;
}

static candidate pop(joiner *j)
{
    candidate top = j->heap[0], last = j->heap[--j->n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= j->n)
            break;
        child += child + 1 < j->n && before(j->heap[child + 1], j->heap[child]);
        if (!before(j->heap[child], last))
            break;
        j->heap[at] = j->heap[child];
        at = child;
    }
    j->heap[at] = last;
    return top;
}

static void offer(joiner *j, int32_t at)
{
    int32_t next = at >= 0 ? j->symbol[at].next : -1;
    int32_t rank = next >= 0 ? rank_of(j->bpe, j->symbol[at].id, j->symbol[next].id) : -1;
    if (rank >= 0)
        push(j, (candidate){ rank, at, j->bpe->merge[rank].joined });
}

/* A candidate may have been overtaken: then its pair is no longer there. At most two are pushed for each join, so the heap never
 * holds more than three times as many as there were symbols. */
static void join_all(joiner *j, int32_t n)
{
    for (int32_t i = 0; i + 1 < n; i++)
        offer(j, i);
    while (j->n) {
        candidate c = pop(j);
        symbol *s = &j->symbol[c.at];
        const grd_bpe_merge *m = &j->bpe->merge[c.rank];
        if (s->id != m->a || s->next < 0 || j->symbol[s->next].id != m->b)
            continue;
        symbol *gone = &j->symbol[s->next];
        gone->id = -1;
        s->id = c.joined;
        s->next = gone->next;
        if (s->next >= 0)
            j->symbol[s->next].prev = c.at;
        offer(j, s->prev);
        offer(j, c.at);
    }
}

typedef struct output {
    int32_t *ids;
    size_t room, n;
} output;

static void encode_in(const grd_bpe *bpe, const char *piece, size_t size, symbol *symbols, candidate *heap, output *out)
{
    joiner j = { .bpe = bpe, .symbol = symbols, .heap = heap };
    int32_t n = (int32_t)size;
    for (int32_t i = 0; i < n; i++)
        symbols[i] = (symbol){ bpe->byte[(unsigned char)piece[i]], i - 1, i + 1 < n ? i + 1 : -1 };
    join_all(&j, n);
    for (int32_t i = 0; i >= 0; i = symbols[i].next) {
        if (out->n < out->room)
            out->ids[out->n] = symbols[i].id;
        out->n++;
    }
}

static grd_status encode_piece(const grd_bpe *bpe, grd_host *host, const char *piece, size_t size, output *out)
{
    symbol few[ON_STACK];
    candidate heap[3 * ON_STACK];
    if (size <= ON_STACK) {
        encode_in(bpe, piece, size, few, heap, out);
        return GRD_OK;
    }
    if (size > INT32_MAX / 4)
        return grd_fail(host, GRD_ERR_UNSUPPORTED, "a word of %zu bytes", size);
    symbol *many = grd_alloc_raw(host, size * (sizeof *many + 3 * sizeof *heap));
    if (!many)
        return GRD_ERR_MEMORY;
    encode_in(bpe, piece, size, many, (candidate *)(many + size), out);
    grd_free(host, many);
    return GRD_OK;
}

static grd_status encode_text(const grd_bpe *bpe, grd_host *host, const char *text, size_t size, output *out)
{
    const char *piece;
    char word[GRD_MAX_WORD];
    size_t length;
    while (grd_next_piece(GRD_PIECES_GPT2, &text, &size, word, &piece, &length))
        GRD_TRY(encode_piece(bpe, host, piece, length, out));
    return GRD_OK;
}

static grd_status encode_with_blank(const grd_bpe *bpe, grd_host *host, const char *text, size_t size, output *out)
{
    char *copy = grd_alloc_raw(host, size + 1);
    if (!copy)
        return GRD_ERR_MEMORY;
    copy[0] = ' ';
    memcpy(copy + 1, text, size);
    grd_status status = encode_text(bpe, host, copy, size + 1, out);
    grd_free(host, copy);
    return status;
}

grd_status grd_bpe_encode(const grd_bpe *bpe, grd_host *host, const char *text, size_t size, int32_t *ids, size_t room, size_t *n)
{
    output out = { ids, room, 0 };
    bool blank = bpe->prefix_space && size && *text != ' ';
    grd_status status = (blank ? encode_with_blank : encode_text)(bpe, host, text, size, &out);
    *n = status == GRD_OK ? out.n : 0;
    return status;
}

void grd_bpe_decode(const grd_bpe *bpe, const int32_t *ids, size_t n, bool specials, char *text, size_t room, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length;
        if (ids[i] < 0 || ids[i] >= bpe->vocab.n || (!specials && grd_bpe_is_special(bpe, ids[i])))
            continue;
        const char *token = grd_vocab_text(&bpe->vocab, ids[i], &length);
        for (size_t k = 0; k < length && *size + k < room; k++)
            text[*size + k] = token[k];
        *size += length;
    }
}

void grd_bpe_alphabet(uint32_t code[256])
{
    uint32_t next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        code[b] = itself ? b : next++;
    }
}
