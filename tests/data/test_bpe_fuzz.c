/* The fuzz target of byte-pair encoding with a mutator of our own; the same bytes each time. */
#define GRADUS_FUZZ_TEST
#include "../fuzz/fuzz_bpe.c"
#include "../fuzz/mutate.h"

#include "helper_data.h"

#include "base/file.h"

#include <stdio.h>

static void mutated_texts_come_back(void **state)
{
    (void)state;
    static const char text[] = "\0low lower lowest  low\n\n don't 12 \xc3\xa4 \xf0\x9f\x98\x80 aaaaaaaa";
    run_mutated(fuzz_bpe, text, sizeof text - 1, " \n'st19aw\xc3\xf0\xff", 2000);
}

static void mutated_json_never_does_harm(void **state)
{
    (void)state;
    char dir[280], path[300];
    void *json;
    size_t size;
    grd_host host;
    grd_counts counts;
    grd_bpe bpe;
    grd_host_init(&host, NULL);
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(path, sizeof path, "%s/t.json", dir);
    grd_counts_init(&counts, &host, GRD_PIECES_GPT2);
    assert_int_equal(grd_counts_add(&counts, "low lower low lower", 19), GRD_OK);
    assert_int_equal(grd_bpe_train(&counts, &(grd_bpe_opts){ .vocab_size = 260 }, &bpe), GRD_OK);
    assert_int_equal(grd_bpe_write(&host, path, &bpe), GRD_OK);
    assert_int_equal(grd_file_read(&host, path, 0, &json, &size), GRD_OK);
    uint8_t *seed = malloc(size + 1);
    seed[0] = 1;
    memcpy(seed + 1, json, size);
    run_mutated(fuzz_bpe, seed, size + 1, "\"{}[],:0129ab\\u", 1500);
    free(seed);
    grd_free(&host, json);
    grd_bpe_free(&bpe);
    grd_counts_free(&counts);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mutated_texts_come_back),
                                        cmocka_unit_test(mutated_json_never_does_harm) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
