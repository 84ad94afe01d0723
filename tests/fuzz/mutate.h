/* A mutator for the short runs of fuzz targets that ctest makes: the same bytes for the same seed. */
#ifndef GRD_TESTS_FUZZ_MUTATE_H
#define GRD_TESTS_FUZZ_MUTATE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct mutator {
    uint64_t state;
} mutator;

static uint32_t mutator_draw(mutator *m, uint32_t n)
{
    m->state = m->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->state >> 33) % n;
}

/* Some of: flip a bit, overwrite with a byte of the format, remove or repeat a piece. `bytes` has room for 2 * size + 8. */
static size_t mutate(mutator *m, uint8_t *bytes, size_t size, const char *interesting)
{
    for (uint32_t n = 1 + mutator_draw(m, 5); n && size > 2; n--) {
        size_t at = 1 + mutator_draw(m, (uint32_t)size - 1), length = 1 + mutator_draw(m, 12);
        length = length > size - at ? size - at : length;
        switch (mutator_draw(m, 4)) {
        case 0:
            bytes[at] ^= (uint8_t)(1 << mutator_draw(m, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)interesting[mutator_draw(m, (uint32_t)strlen(interesting) + 1)];
            break;
        case 2:
            memmove(bytes + at, bytes + at + length, size - at - length);
            size -= length;
            break;
        default:
            memmove(bytes + at + length, bytes + at, size - at);
            size += length;
        }
    }
    return size;
}

/* Runs `target` on `runs` mutations of the seed bytes (the first of which chooses the target's way and is left alone). */
static void run_mutated(int (*target)(const uint8_t *data, size_t size), const void *seed, size_t size, const char *interesting,
                        int runs)
{
    mutator m = { 1 };
    uint8_t *bytes = malloc(2 * size + 128);
    for (int i = 0; i < runs; i++) {
        memcpy(bytes, seed, size);
        size_t n = i ? mutate(&m, bytes, size, interesting) : size;
        uint8_t *exact = malloc(n); /* so that a sanitizer sees a byte too many */
        memcpy(exact, bytes, n);
        target(exact, n);
        free(exact);
    }
    free(bytes);
}

#endif
