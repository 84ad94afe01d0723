/* Random orders: Fisher-Yates with unbiased whole numbers from Philox words. */
#include "data/dataset.h"

typedef struct words {
    const grd_key *key;
    uint64_t block;
    uint32_t word[4];
    int used;
} words;

static uint32_t next_word(words *w)
{
    if (w->used == 4) {
        grd_random4(w->key, 0, w->block++, w->word);
        w->used = 0;
    }
    return w->word[w->used++];
}

/* Uniform in [0, n): the high half of word * n, with the few words that would favour some results thrown away
 * (D. Lemire, "Fast random integer generation in an interval", 2019). */
static uint32_t draw_below(words *w, uint32_t n)
{
    uint64_t product = (uint64_t)next_word(w) * n;
    if ((uint32_t)product < n) {
        uint32_t unfair = (uint32_t)(0u - n) % n;
        while ((uint32_t)product < unfair)
            product = (uint64_t)next_word(w) * n;
    }
    return (uint32_t)(product >> 32);
}

void grd_shuffle(const grd_key *key, int64_t *order, int64_t n)
{
    words w = { .key = key, .used = 4 };
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = draw_below(&w, (uint32_t)(i + 1));
        int64_t moved = order[i];
        order[i] = order[j];
        order[j] = moved;
    }
}
