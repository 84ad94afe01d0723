/* NumPy's legacy order: MT19937 (Matsumoto, Nishimura 1998) seeded by one word, Fisher-Yates from the end, numbers below a bound by
 * masking and rejection. So that splits of courses and papers can be had again. */
#include "data/split.h"

enum { WORDS = 624, MIDDLE = 397 };

typedef struct twister { uint32_t word[WORDS]; int at; } twister;

static void seed_twister(twister *t, uint32_t seed)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        t->word[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    t->at = WORDS;
}

static void refill(twister *t)
{
    for (int i = 0; i < WORDS; i++) {
        uint32_t y = (t->word[i] & 0x80000000u) | (t->word[(i + 1) % WORDS] & 0x7fffffffu);
        t->word[i] = t->word[(i + MIDDLE) % WORDS] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    t->at = 0;
}

static uint32_t next_word(twister *t)
{
    if (t->at == WORDS)
        refill(t);
    uint32_t y = t->word[t->at++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* In 0 .. most. */
static uint32_t below(twister *t, uint32_t most)
{
    uint32_t mask = most, value;
    for (int shift = 1; shift < 32; shift *= 2)
        mask |= mask >> shift;
    do
        value = next_word(t) & mask;
    while (value > most);
    return value;
}

grd_status grd_numpy_permutation(grd_host *host, uint64_t seed, int64_t *order, int64_t n)
{
    if (seed > UINT32_MAX)
        return grd_fail(host, GRD_ERR_ARG, "split: seed %llu, NumPy's order takes 0 to 4294967295", (unsigned long long)seed);
    twister t;
    seed_twister(&t, (uint32_t)seed);
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = below(&t, (uint32_t)i), keep = order[i];
        order[i] = order[j];
        order[j] = keep;
    }
    return GRD_OK;
}
