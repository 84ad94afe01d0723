/* `gradus data bench` as a user runs it; and that loading takes no more memory in the twentieth epoch than in the second. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
/* Sanitizers keep freed memory for a while: what the process takes says nothing there. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { KEEPS_FREED_MEMORY = 1 };
#else
enum { KEEPS_FREED_MEMORY = 0 };
#endif

static json_t *bench(const char *line)
{
    result r = gradus(line);
    if (r.code != 0)
        fail_msg("%s: exit code %d: %s", line, r.code, r.err);
    json_t *figures = json_loads(r.out, 0, NULL);
    assert_non_null(figures);
    return figures;
}

/* MiB by which 18 more epochs made the process larger. */
static double growth(const char *line)
{
    json_t *figures = bench(line);
    const json_t *memory = json_object_get(figures, "rss_mib");
    assert_int_equal(json_integer_value(json_object_get(figures, "epochs")), 20);
    double first = json_number_value(json_array_get(memory, 0)), last = json_number_value(json_array_get(memory, 1));
    print_message("%s: %.2f MiB after 2 epochs, %.2f after 20\n", line, first, last);
    assert_true(first > 1);
    json_decref(figures);
    return last - first;
}

static void so_many_epochs_are_made(void **state)
{
    (void)state;
    json_t *figures = bench("data bench ok.yaml --epochs 3 --json");
    assert_int_equal(json_integer_value(json_object_get(figures, "epochs")), 3);
    assert_int_equal(json_integer_value(json_object_get(figures, "samples")), 3 * 120);
    assert_int_equal(json_array_size(json_object_get(figures, "rss_mib")), 2);
    json_decref(figures);
    expect("data bench ok.yaml --epochs 0", 2, "--epochs: expected 1 to 100000");
    expect("data bench ok.yaml --epochs 2", 0, "> MiB of memory");
}

static void memory_does_not_grow_with_texts_of_all_lengths(void **state)
{
    (void)state;
    if (KEEPS_FREED_MEMORY)
        skip();
    FILE *out = fopen("t.tsv", "w");
    assert_non_null(out);
    fputs("label\ttext\n", out);
    for (int i = 0; i < 3000; i++) {
        fprintf(out, "%d\t", i % 2);
        for (int k = 0; k < 1 + i * 7 % 123; k++)
            fprintf(out, "w%d ", i * k % 97);
        fputc('\n', out);
    }
    assert_int_equal(fclose(out), 0);
    write_text("t.yaml", "run: {batch: 32}\ndata: {source: labelled_text, file: t.tsv, sampler: bucketed}\n"
                         "model: {layers: [{embedding: {num: 100, dim: 4}}, {lstm: {hidden: 4, output: last}}]}\n"
                         "loss: cross_entropy\n");
    assert_true(growth("data bench t.yaml --epochs 20 --json --workers 0") < 1);
    assert_true(growth("data bench t.yaml --epochs 20 --json --workers 3") < 1);
}

/* A config of bench/data, with so many samples, if its data are there. */
static void memory_does_not_grow(const char *name, const char *file, int samples)
{
    char line[600];
    const char *dir = getenv("GRADUS_DATA");
    snprintf(line, sizeof line, "%s/%s", dir ? dir : GRD_SOURCE_DIR "/../shared/data", file);
    if (KEEPS_FREED_MEMORY || !is_there(line)) {
        print_message("%s is not there, or a sanitizer is\n", line);
        skip();
    }
    setenv("GRADUS_DATA", GRD_SOURCE_DIR "/../shared/data", 0);
    for (int workers = 0; workers <= 2; workers += 2) {
        snprintf(line, sizeof line, "data bench " GRD_SOURCE_DIR "/bench/data/%s.yaml --epochs 20 --json --workers %d data.num_samples=%d",
                 name, workers, samples);
        assert_true(growth(line) < 1);
    }
}

static void memory_does_not_grow_with_photographs(void **state)
{
    (void)state;
    memory_does_not_grow("msrc", "msrc/train.txt", 48);
}

/* Unpacking them takes long: with GRADUS_FULL set only. */
static void memory_does_not_grow_with_small_pictures(void **state)
{
    (void)state;
    if (!getenv("GRADUS_FULL"))
        skip();
    memory_does_not_grow("cifar", "cifar10/cifar-10-batches-bin.tar.xz", 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(so_many_epochs_are_made, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(memory_does_not_grow_with_texts_of_all_lengths, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(memory_does_not_grow_with_photographs, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(memory_does_not_grow_with_small_pictures, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
