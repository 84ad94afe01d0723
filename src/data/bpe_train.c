/* Training of byte-pair encoding: counts of neighbours are kept as words change, the most frequent pair is on top of a heap.
 *
 * To give the merges that `tokenizers` gives, ties go to the smaller ids, and a pair keeps the list of words where it was last
 * seen to grow: a heap entry owns that list, later ones have lists of their own. */
#include "data/tokenize.h"

#include <stdlib.h>
#include <string.h>

typedef struct places { /* words that hold a pair */
    int32_t *item;
    int n, cap;
} places;

typedef struct pair {
    int32_t a, b;
    int64_t count;
    places grown;    /* where it has become more frequent since it was put on the heap */
    bool touched;    /* listed in `touched` */
} pair;

typedef struct entry {
    int64_t count;   /* may be out of date */
    int32_t pair;
    places where;
} entry;

typedef struct word {
    int32_t *symbol;
    int32_t n;
    int64_t count;
} word;

typedef struct trainer {
    grd_host *host;
    grd_bpe *bpe;
    word *word;
    int32_t words;
    int32_t *symbols;                              /* of all words */
    struct { pair *item; int n, cap; } pairs;
    struct { entry *item; int n, cap; } heap;
    struct { int32_t *item; int n, cap; } touched; /* pairs that have grown in this merge */
    int32_t *slot;                                 /* hash table: pair index + 1 */
    size_t slots;
} trainer;

/* ---- pairs ---- */

static int32_t *slot_of(const trainer *t, int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(h >> 32) & (t->slots - 1);
    for (; t->slot[at]; at = (at + 1) & (t->slots - 1)) {
        const pair *p = &t->pairs.item[t->slot[at] - 1];
        if (p->a == a && p->b == b)
            break;
    }
    return &t->slot[at];
}

static grd_status enlarge_slots(trainer *t)
{
    size_t slots = t->slots ? 2 * t->slots : 4096;
    int32_t *slot = GRD_NEW_N(t->host, int32_t, slots);
    if (!slot)
        return GRD_ERR_MEMORY;
    grd_free(t->host, t->slot);
    t->slot = slot;
    t->slots = slots;
    for (int32_t i = 0; i < t->pairs.n; i++)
        *slot_of(t, t->pairs.item[i].a, t->pairs.item[i].b) = i + 1;
    return GRD_OK;
}

/* Adds `change` to the pair's count; a growth is noted with its word. */
static grd_status change_pair(trainer *t, int32_t a, int32_t b, int64_t change, int32_t where)
{
    if ((size_t)t->pairs.n >= t->slots / 2)
        GRD_TRY(enlarge_slots(t));
    int32_t *slot = slot_of(t, a, b);
    if (!*slot) {
        if (t->pairs.n > INT32_MAX / 4 || !GRD_RESERVE(t->host, &t->pairs))
            return GRD_ERR_MEMORY;
        t->pairs.item[t->pairs.n++] = (pair){ .a = a, .b = b };
        *slot = t->pairs.n;
    }
    pair *p = &t->pairs.item[*slot - 1];
    p->count += change;
    if (change < 0 || (p->grown.n && p->grown.item[p->grown.n - 1] == where))
        return GRD_OK;
    if (!p->touched) {
        if (!GRD_RESERVE(t->host, &t->touched))
            return GRD_ERR_MEMORY;
        t->touched.item[t->touched.n++] = *slot - 1;
        p->touched = true;
    }
    if (!GRD_RESERVE(t->host, &p->grown))
        return GRD_ERR_MEMORY;
    p->grown.item[p->grown.n++] = where;
    return GRD_OK;
}

/* ---- the heap: the largest count on top, then the smallest ids ---- */

static bool above(const trainer *t, const entry *x, const entry *y)
{
    const pair *a = &t->pairs.item[x->pair], *b = &t->pairs.item[y->pair];
    if (x->count != y->count)
        return x->count > y->count;
    return a->a != b->a ? a->a < b->a : a->b < b->b;
}

static grd_status push(trainer *t, entry e)
{
    if (!GRD_RESERVE(t->host, &t->heap)) {
        grd_free(t->host, e.where.item);
        return GRD_ERR_MEMORY;
    }
    int at = t->heap.n++;
    for (; at && above(t, &e, &t->heap.item[(at - 1) / 2]); at = (at - 1) / 2)
        t->heap.item[at] = t->heap.item[(at - 1) / 2];
    t->heap.item[at] = e;
    return GRD_OK;
}

static entry pop(trainer *t)
{
    entry *heap = t->heap.item, top = heap[0], last = heap[--t->heap.n];
    int at = 0;
    for (;;) {
        int child = 2 * at + 1;
        if (child >= t->heap.n)
            break;
        child += child + 1 < t->heap.n && above(t, &heap[child + 1], &heap[child]);
        if (!above(t, &heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static grd_status push_touched(trainer *t)
{
    for (int i = 0; i < t->touched.n; i++) {
        int32_t index = t->touched.item[i];
        pair *p = &t->pairs.item[index];
        places where = p->grown;
        p->grown = (places){ 0 };
        p->touched = false;
        if (p->count > 0)
            GRD_TRY(push(t, (entry){ p->count, index, where }));
        else
            grd_free(t->host, where.item);
    }
    t->touched.n = 0;
    return GRD_OK;
}

/* ---- words ---- */

static grd_status first_pairs(trainer *t)
{
    for (int32_t w = 0; w < t->words; w++)
        for (int32_t i = 0; i + 1 < t->word[w].n; i++)
            GRD_TRY(change_pair(t, t->word[w].symbol[i], t->word[w].symbol[i + 1], t->word[w].count, w));
    return push_touched(t);
}

/* Joins a, b in the word from left to right and tells what that does to their neighbours. */
static grd_status merge_word(trainer *t, int32_t w, int32_t a, int32_t b, int32_t joined)
{
    word *x = &t->word[w];
    int32_t to = 0;
    for (int32_t from = 0; from < x->n; from++) {
        int32_t *s = x->symbol;
        if (s[from] != a || from + 1 == x->n || s[from + 1] != b) {
            s[to++] = s[from];
            continue;
        }
        if (to) {
            GRD_TRY(change_pair(t, s[to - 1], a, -x->count, w));
            GRD_TRY(change_pair(t, s[to - 1], joined, x->count, w));
        }
        s[to++] = joined;
        from++;
        if (from + 1 < x->n) {
            GRD_TRY(change_pair(t, b, s[from + 1], -x->count, w));
            GRD_TRY(change_pair(t, joined, s[from + 1], x->count, w));
        }
    }
    x->n = to;
    return GRD_OK;
}

static grd_status add_joined(trainer *t, int32_t a, int32_t b, int32_t *id)
{
    size_t na, nb;
    const char *x = grd_vocab_text(&t->bpe->vocab, a, &na), *y = grd_vocab_text(&t->bpe->vocab, b, &nb);
    char *text = grd_alloc(t->host, na + nb);
    if (!text)
        return GRD_ERR_MEMORY;
    memcpy(text, x, na);
    memcpy(text + na, y, nb);
    grd_status status = grd_vocab_add(&t->bpe->vocab, text, na + nb, id);
    grd_free(t->host, text);
    return status;
}

static grd_status merge_pair(trainer *t, entry *top)
{
    int32_t a = t->pairs.item[top->pair].a, b = t->pairs.item[top->pair].b, joined;
    GRD_TRY(add_joined(t, a, b, &joined));
    t->bpe->merge[t->bpe->merges++] = (grd_bpe_merge){ a, b, joined };
    for (int i = 0; i < top->where.n; i++)
        GRD_TRY(merge_word(t, top->where.item[i], a, b, joined));
    return push_touched(t);
}

static grd_status merge_all(trainer *t, int32_t vocab_size, int32_t max_merges, int64_t least)
{
    while (t->heap.n && t->bpe->vocab.n < vocab_size && t->bpe->merges < max_merges) {
        entry top = pop(t);
        int64_t count = t->pairs.item[top.pair].count;
        if (top.count != count) {
            top.count = count;
            GRD_TRY(push(t, top));
            continue;
        }
        grd_status status = GRD_OK;
        bool enough = count >= least;
        if (enough)
            status = merge_pair(t, &top);
        grd_free(t->host, top.where.item);
        if (!enough || status != GRD_OK)
            return status;
    }
    return GRD_OK;
}

/* ---- */

static int by_code(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Special tokens, then the bytes in the order of the code points that stand for them. */
static grd_status first_tokens(grd_bpe *bpe, const char *const *special)
{
    uint32_t code[256], sorted[256];
    int32_t id;
    for (int32_t k = 0; special && special[k]; k++) {
        size_t size = strlen(special[k]);
        GRD_TRY(grd_vocab_add(&bpe->vocab, special[k], size, &id));
        if (id != k || size < 2)
            return grd_fail(bpe->host, GRD_ERR_ARG, "special token \"%s\": expected two bytes or more, and each token once",
                            special[k]);
        GRD_TRY(grd_bpe_add_special(bpe, id));
    }
    grd_bpe_alphabet(code);
    memcpy(sorted, code, sizeof code);
    qsort(sorted, 256, sizeof *sorted, by_code);
    for (int k = 0; k < 256; k++) {
        int byte = 0;
        while (code[byte] != sorted[k])
            byte++;
        GRD_TRY(grd_vocab_add(&bpe->vocab, &(char){ (char)byte }, 1, &id));
    }
    return grd_bpe_index(bpe, "bpe"); /* no merges yet: the bytes */
}

static grd_status make_words(trainer *t, const grd_counts *counts)
{
    size_t used = 0, size;
    t->words = counts->vocab.n;
    t->word = GRD_NEW_N(t->host, word, t->words);
    t->symbols = GRD_NEW_N(t->host, int32_t, counts->vocab.n ? counts->vocab.start[counts->vocab.n] : 0);
    if (!t->word || !t->symbols)
        return GRD_ERR_MEMORY;
    for (int32_t w = 0; w < t->words; w++) {
        const char *text = grd_vocab_text(&counts->vocab, w, &size);
        if (size > INT32_MAX)
            return grd_fail(t->host, GRD_ERR_UNSUPPORTED, "a word of %zu bytes", size);
        t->word[w] = (word){ t->symbols + used, (int32_t)size, counts->count[w] };
        for (size_t i = 0; i < size; i++)
            t->symbols[used++] = t->bpe->byte[(unsigned char)text[i]];
    }
    return GRD_OK;
}

static void drop(trainer *t)
{
    for (int i = 0; i < t->heap.n; i++)
        grd_free(t->host, t->heap.item[i].where.item);
    for (int i = 0; i < t->pairs.n; i++)
        grd_free(t->host, t->pairs.item[i].grown.item);
    grd_free(t->host, t->heap.item);
    grd_free(t->host, t->pairs.item);
    grd_free(t->host, t->touched.item);
    grd_free(t->host, t->slot);
    grd_free(t->host, t->word);
    grd_free(t->host, t->symbols);
}

static grd_status train(trainer *t, const grd_counts *counts, const grd_bpe_opts *opts)
{
    GRD_TRY(first_tokens(t->bpe, opts->special));
    int32_t base = t->bpe->vocab.n, max_merges = opts->vocab_size - base;
    if (max_merges < 0)
        return grd_fail(t->host, GRD_ERR_ARG, "vocab_size %d, expected at least %d: 256 bytes and the special tokens",
                        opts->vocab_size, base);
    grd_free(t->host, t->bpe->merge);
    t->bpe->merge = GRD_NEW_N(t->host, grd_bpe_merge, max_merges);
    if (!t->bpe->merge)
        return GRD_ERR_MEMORY;
    GRD_TRY(make_words(t, counts));
    GRD_TRY(first_pairs(t));
    GRD_TRY(merge_all(t, opts->vocab_size, max_merges, opts->min_count > 0 ? opts->min_count : 2));
    grd_free(t->host, t->bpe->slot);
    t->bpe->slot = NULL;
    return grd_bpe_index(t->bpe, "bpe");
}

grd_status grd_bpe_train(const grd_counts *counts, const grd_bpe_opts *opts, grd_bpe *bpe)
{
    grd_host *host = counts->vocab.host;
    trainer t = { .host = host, .bpe = bpe };
    if (counts->kind != GRD_PIECES_GPT2) {
        *bpe = (grd_bpe){ .host = host };
        return grd_fail(host, GRD_ERR_ARG, "byte-pair encoding is trained on pieces of GPT-2's pattern");
    }
    grd_status status = grd_bpe_init(bpe, host, 0);
    if (status == GRD_OK)
        status = train(&t, counts, opts);
    drop(&t);
    if (status != GRD_OK)
        grd_bpe_free(bpe);
    return status;
}
