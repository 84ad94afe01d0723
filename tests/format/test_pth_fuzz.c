/* The fuzz target of tests/fuzz with a mutator of our own, for a few seconds. GRADUS_FUZZ_SECONDS and GRADUS_FUZZ_SEED change
 * how long and from where. */
#define _GNU_SOURCE
#include "../fuzz/fuzz_pth.c"

#include "format/zip.h"

#include <stdio.h>
#include <time.h>

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

enum { ROOM = 16384 };

/* Some of: flip, overwrite with an interesting byte, insert, remove, copy a piece elsewhere. */
static size_t mutate(uint8_t *bytes, size_t size)
{
    static const uint8_t interesting[] = "\0\1\2\x7f\x80\xff()]}KMJX.tRQeusabchq\x85\x86\x87\x8a\x93\x94N";
    for (uint32_t n = 1 + draw(6); n && size > 1; n--) {
        size_t at = 1 + draw((uint32_t)size - 1), length = 1 + draw(8);
        length = length > size - at ? size - at : length;
        switch (draw(5)) {
        case 0:
            bytes[at] ^= (uint8_t)(1 << draw(8));
            break;
        case 1:
            bytes[at] = interesting[draw(sizeof interesting)];
            break;
        case 2:
            if (size + length > ROOM)
                break;
            memmove(bytes + at + length, bytes + at, size - at);
            size += length;
            break;
        case 3:
            memmove(bytes + at, bytes + at + length, size - at - length);
            size -= length;
            break;
        default:
            memmove(bytes + 1 + draw((uint32_t)(size - length)), bytes + at, length);
        }
    }
    return size;
}

static void mutated_files_never_do_harm(void **state)
{
    (void)state;
    const char *seconds = getenv("GRADUS_FUZZ_SECONDS"), *from = getenv("GRADUS_FUZZ_SEED");
    grd_host host;
    grd_arena arena;
    size_t size;
    uint64_t budget = 0;
    grd_zip zip;
    seed = from ? strtoull(from, NULL, 10) : (uint64_t)time(NULL);
    grd_host_init(&host, NULL);
    grd_arena_init(&arena, &host);
    uint8_t *file = tree_bytes(&host, sample_tree(&arena), &size);
    OK(&host, grd_zip_open(&zip, &arena, "own", file, size, &budget));
    const grd_zip_entry *pickle = grd_zip_find(&zip, "archive/data.pkl", 16);
    OK(&host, grd_zip_load(&zip, (grd_zip_entry *)pickle));
    uint8_t *bytes = malloc(ROOM);
    uint64_t first = seed, runs = 0;
    clock_t until = clock() + (clock_t)(CLOCKS_PER_SEC * (seconds ? atof(seconds) : 3.0));
    while (clock() < until) {
        bool inner = draw(4) > 0;
        size_t n = inner ? (size_t)pickle->size : size;
        bytes[0] = inner;
        memcpy(bytes + 1, inner ? pickle->data : file, n);
        n = mutate(bytes, n + 1);
        uint8_t *exact = malloc(n);
        memcpy(exact, bytes, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
        runs++;
    }
    print_message("seed %llu: %llu files\n", (unsigned long long)first, (unsigned long long)runs);
    assert_true(runs > 100);
    free(bytes);
    grd_free(&host, file);
    grd_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mutated_files_never_do_harm) };
    return cmocka_run_group_tests_name("pth fuzz", tests, NULL, remove_temp_dir);
}
