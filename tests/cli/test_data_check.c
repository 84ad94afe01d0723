/* `gradus data check` and `data stats` as a user runs them; and MNIST with planted faults: 1 % of the labels changed, 50 pictures
 * of the test part copied into the training part; a nearly empty class; house prices with a column that leaks; photographs cut
 * short. All of MNIST with GRADUS_FULL set (`make check-suspects`), else 5,000 of it. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <jansson.h>
#include <zlib.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const config = "run: {batch: 8, epochs: 1}\n"
                                  "data: {source: idx, dir: ., transform: [scale]}\n"
                                  "model: {layers: [flatten, {linear: 10}]}\n"
                                  "loss: cross_entropy\n";

enum { SIDE = 28, PIXELS = SIDE * SIDE, HEAD = 16, LABEL_HEAD = 8, COPIES = 50 };

/* ---- idx files ---- */

typedef struct part {
    int n;
    uint8_t *images, *labels;
} part; /* with their heads */

static part new_part(int n)
{
    const uint8_t images[HEAD] = { 0, 0, 8, 3, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, SIDE, 0, 0, 0, SIDE };
    const uint8_t labels[LABEL_HEAD] = { 0, 0, 8, 1, 0, 0, (uint8_t)(n >> 8), (uint8_t)n };
    part p = { n, calloc(1, HEAD + (size_t)n * PIXELS), calloc(1, LABEL_HEAD + (size_t)n) };
    assert_true(p.images && p.labels);
    memcpy(p.images, images, HEAD);
    memcpy(p.labels, labels, LABEL_HEAD);
    return p;
}

static uint8_t *image(const part *p, int i)
{
    return p->images + HEAD + (size_t)i * PIXELS;
}

static void write_part(part *p, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "%s-images-idx3-ubyte", name);
    write_bytes(path, p->images, HEAD + (size_t)p->n * PIXELS);
    snprintf(path, sizeof path, "%s-labels-idx1-ubyte", name);
    write_bytes(path, p->labels, LABEL_HEAD + (size_t)p->n);
    free(p->images);
    free(p->labels);
}

static uint32_t next(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

/* Noise on a bright block whose place is the class. */
static part made_up(int n, uint32_t seed)
{
    part p = new_part(n);
    for (int i = 0; i < n; i++) {
        int c = i % 10;
        for (int e = 0; e < PIXELS; e++) {
            bool block = e / SIDE / 7 == c / 4 && e % SIDE / 7 == c % 4;
            image(&p, i)[e] = (uint8_t)(next(&seed) % 128 + (block ? 120 : 0));
        }
        p.labels[LABEL_HEAD + i] = (uint8_t)c;
    }
    return p;
}

/* ---- reports ---- */

static json_t *check(const char *line, int code)
{
    result r = gradus(line);
    if (r.code != code)
        fail_msg("%s: exit code %d, expected %d: %s%s", line, r.code, code, r.out, r.err);
    json_t *report = json_loads(r.out, 0, NULL);
    assert_non_null(report);
    return report;
}

static const json_t *found(const json_t *report, const char *rule)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(report, "findings"), i,
                       f) if (strcmp(json_string_value(json_object_get(f, "rule")), rule) == 0) return f;
    return NULL;
}

static bool lists(const json_t *finding, const char *set, int i)
{
    const json_t *samples = json_object_get(finding, "samples"), *sets = json_object_get(finding, "sets");
    char name[32];
    snprintf(name, sizeof name, "%s/%d", set, i);
    for (size_t k = 0; k < json_array_size(samples); k++)
        if (strcmp(json_string_value(json_array_get(samples, k)), name) == 0 &&
            strcmp(json_string_value(json_array_get(sets, k)), set) == 0)
            return true;
    return false;
}

static int enter(void **state)
{
    int code = enter_folder(state);
    part train = made_up(300, 1), test = made_up(100, 2);
    write_part(&train, "train");
    write_part(&test, "t10k");
    write_text("c.yaml", config);
    return code;
}

static void clean_data_pass(void **state)
{
    (void)state;
    expect("data check c.yaml", 0, ">400 samples: 0 errors, 0 warnings, 0 notes");
    json_t *report = check("data check c.yaml --json", 0);
    assert_int_equal(json_array_size(json_object_get(report, "findings")), 0);
    assert_int_equal(json_array_size(json_object_get(report, "suspects")), 0);
    json_decref(report);
}

static void a_leak_fails_and_its_list_mends_it(void **state)
{
    (void)state;
    part train = made_up(300, 1), test = made_up(100, 2);
    memcpy(image(&train, 170), image(&test, 80), PIXELS);
    train.labels[LABEL_HEAD + 170] = test.labels[LABEL_HEAD + 80];
    write_part(&train, "train");
    write_part(&test, "t10k");
    json_t *report = check("data check c.yaml --json --out leak.html", 1);
    const json_t *f = found(report, "duplicate-across-splits");
    assert_non_null(f);
    assert_string_equal(json_string_value(json_object_get(f, "level")), "error");
    assert_int_equal(json_integer_value(json_object_get(f, "count")), 2);
    assert_true(lists(f, "train", 170) && lists(f, "test", 80));
    json_decref(report);
    assert_true(is_there("leak.html"));
    expect("data check c.yaml data.exclude=leak-exclude.txt", 0, "> 0 errors");
    expect("data check c.yaml", 1, ">error: duplicate-across-splits: 2 samples in 1 group ");
}

static void a_nearly_empty_class_is_told(void **state)
{
    (void)state;
    part train = made_up(300, 1);
    for (int i = 0; i < 290; i++)
        train.labels[LABEL_HEAD + i] = (uint8_t)(i % 9);
    for (int i = 290; i < 300; i++)
        train.labels[LABEL_HEAD + i] = (uint8_t)(i == 299 ? 9 : i % 9);
    write_part(&train, "train");
    expect("data check c.yaml", 0, ">warning: imbalance: 1 of 10 classes");
}

static void stats_are_a_table(void **state)
{
    (void)state;
    expect("data stats c.yaml", 0, ">train: 300 samples");
    expect("data stats c.yaml", 0, ">image: u8 [1,28,28], 0 to 247, mean");
    json_t *report = check("data stats c.yaml --json", 0);
    const json_t *sets = json_object_get(report, "sets");
    assert_int_equal(json_array_size(sets), 2);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(json_array_get(sets, 1), "class_counts"), 3)), 10);
    json_decref(report);
}

static void a_file_that_ends_early_is_unreadable(void **state)
{
    (void)state;
    size_t size;
    char *bytes = read_text("train-images-idx3-ubyte", &size);
    write_bytes("train-images-idx3-ubyte", bytes, size - 5);
    free(bytes);
    json_t *report = check("data check c.yaml --json", 1);
    const json_t *f = found(report, "unreadable");
    assert_non_null(f);
    assert_non_null(strstr(json_string_value(json_object_get(f, "text")), "train-images-idx3-ubyte"));
    json_decref(report);
}

static void wrong_words_are_refused(void **state)
{
    (void)state;
    expect("data check", 2, "expected one config");
    expect("data check c.yaml data.group=person", 2, "group: the data has no field \"person\"");
    expect("data check none.yaml", 2, "none.yaml");
    expect("data check c.yaml --out none/page.html", 1, "none/page.html");
}

/* ---- MNIST ---- */

/* A path below the folder of real data; false, and said, if there is no such file. */
static bool real_path(char path[600], const char *name)
{
    const char *dir = getenv("GRADUS_DATA");
    snprintf(path, 600, "%s/%s", dir ? dir : GRD_SOURCE_DIR "/../shared/data", name);
    if (!is_there(path))
        print_message("%s is not there\n", path);
    return is_there(path);
}

static bool read_gz(const char *name, int skip, uint8_t *out, int size)
{
    char path[600], file_name[120];
    uint8_t head[HEAD];
    snprintf(file_name, sizeof file_name, "mnist/%s.gz", name);
    if (!real_path(path, file_name))
        return false;
    gzFile file = gzopen(path, "rb");
    bool whole = file && gzread(file, head, (unsigned)skip) == skip && gzread(file, out, (unsigned)size) == size;
    if (file)
        gzclose(file);
    return whole;
}

static bool mnist(int n, const char *name, part *p)
{
    char path[100];
    *p = new_part(n);
    snprintf(path, sizeof path, "%s-images-idx3-ubyte", name);
    bool whole = read_gz(path, HEAD, p->images + HEAD, n * PIXELS);
    snprintf(path, sizeof path, "%s-labels-idx1-ubyte", name);
    whole = whole && read_gz(path, LABEL_HEAD, p->labels + LABEL_HEAD, n);
    if (!whole) {
        free(p->images);
        free(p->labels);
    }
    return whole;
}

/* Suspects among the first `most` that are of the training part and were changed. */
static int hits(const json_t *report, const bool *changed, size_t most)
{
    int n = 0;
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(report, "suspects"), i,
                       s) if (i < most && strcmp(json_string_value(json_object_get(s, "set")), "train") == 0) n +=
        changed[atoi(strchr(json_string_value(json_object_get(s, "name")), '/') + 1)];
    return n;
}

static void planted_faults_of_mnist_are_found(void **state)
{
    (void)state;
    const int n = getenv("GRADUS_FULL") ? 60000 : 5000, n_test = n / 6;
    part train, test;
    uint32_t seed = 7;
    if (!mnist(n, "train", &train) || !mnist(n_test, "t10k", &test))
        skip();
    bool *changed = calloc((size_t)n, sizeof *changed);
    assert_non_null(changed);
    for (int k = 0; k < n / 100;) {
        int i = (int)(next(&seed) % (uint32_t)n);
        if (changed[i] || i % (n / COPIES) == 0)
            continue;
        changed[i] = true;
        train.labels[LABEL_HEAD + i] = (uint8_t)((train.labels[LABEL_HEAD + i] + 1 + next(&seed) % 9) % 10);
        k++;
    }
    for (int k = 0; k < COPIES; k++) {
        int to = k * (n / COPIES), from = k * (n_test / COPIES);
        memcpy(image(&train, to), image(&test, from), PIXELS);
        train.labels[LABEL_HEAD + to] = test.labels[LABEL_HEAD + from];
    }
    write_part(&train, "train");
    write_part(&test, "t10k");
    json_t *report = check("data check c.yaml --json --out page.html", 1);
    const json_t *f = found(report, "duplicate-across-splits");
    assert_non_null(f);
    assert_int_equal(json_integer_value(json_object_get(f, "count")), 2 * COPIES);
    for (int k = 0; k < COPIES; k++)
        assert_true(lists(f, "train", k * (n / COPIES)) && lists(f, "test", k * (n_test / COPIES)));
    int right = hits(report, changed, (size_t)(n / 50));
    double seconds = json_number_value(json_object_get(report, "seconds"));
    print_message("%d of %d changed labels among the first %d suspects; quick model %.1f %% right; %.1f s\n", right, n / 100,
                  n / 50, 100 * json_number_value(json_object_get(report, "model_accuracy")), seconds);
    assert_true(right * 100 >= n / 100 * 80);
    assert_true(n < 60000 || seconds < 180);
    json_decref(report);
    free(changed);
}

static void a_nearly_empty_class_of_mnist_is_found(void **state)
{
    (void)state;
    enum { N = 5000, N_TEST = 800, RARE = 7, LEFT = 4 };
    part all, test;
    if (!mnist(N, "train", &all) || !mnist(N_TEST, "t10k", &test))
        skip();
    int n = 0, rare = 0;
    for (int i = 0; i < N; i++) {
        const uint8_t label = all.labels[LABEL_HEAD + i];
        if (label == RARE && rare++ >= LEFT)
            continue;
        memmove(image(&all, n), image(&all, i), PIXELS);
        all.labels[LABEL_HEAD + n++] = label;
    }
    all.n = n;
    all.images[6] = all.labels[6] = (uint8_t)(n >> 8);
    all.images[7] = all.labels[7] = (uint8_t)n;
    write_part(&all, "train");
    write_part(&test, "t10k");
    json_t *report = check("data check c.yaml --json", 0);
    const json_t *f = found(report, "imbalance");
    assert_non_null(f);
    assert_int_equal(json_integer_value(json_object_get(f, "count")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(f, "text")), ": 7 (4)"));
    json_decref(report);
}

/* ---- house prices ---- */

static const char *const houses = "data: {source: csv, file: h.csv, target: SalePrice, drop: Id, categories: onehot, "
                                  "parts: [0.6, 0.2, 0.2]}\n"
                                  "model: {layers: [{linear: 1}]}\n"
                                  "loss: mse\n";

/* The table with one more column: the price in thousands. */
static void write_leaking_houses(const char *table)
{
    FILE *out = fopen("h.csv", "w");
    assert_non_null(out);
    for (const char *line = table; *line;) {
        size_t n = strcspn(line, "\r\n");
        const char *price = line + n;
        while (price[-1] != ',')
            price--;
        fprintf(out, "%.*s,", (int)n, line);
        fprintf(out, line == table ? "Appraisal\n" : "%.0f\n", atof(price) / 1000);
        line += n + strspn(line + n, "\r\n");
    }
    assert_int_equal(fclose(out), 0);
}

static void a_leaking_column_of_house_prices_is_found(void **state)
{
    (void)state;
    char path[600];
    if (!real_path(path, "housing/housing_train.csv"))
        skip();
    char *table = read_text(path, NULL);
    write_text("h.yaml", houses);
    write_text("h.csv", table);
    json_t *report = check("data check h.yaml --json", 0);
    assert_null(found(report, "target-leak")); /* as they are nothing leaks */
    json_decref(report);
    write_leaking_houses(table);
    report = check("data check h.yaml --json", 1);
    const json_t *f = found(report, "target-leak");
    assert_non_null(f);
    assert_int_equal(json_integer_value(json_object_get(f, "count")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(f, "text")), "\"SalePrice\": Appraisal ("));
    json_decref(report);
    free(table);
}

/* ---- photographs ---- */

enum { PICTURES = 40, CUT = 5 };

/* Copies the picture number i and its mask; of every eighth only a part of the picture is there. Its name. */
static const char *copy_picture(int i, const char *name)
{
    static char to[64];
    char from[100], path[600];
    size_t size, kept[CUT] = { 20, 300 };
    snprintf(from, sizeof from, "msrc/labels/%s.png", name);
    assert_true(real_path(path, from));
    char *bytes = read_text(path, &size);
    write_bytes(from + strlen("msrc/"), bytes, size);
    free(bytes);
    snprintf(from, sizeof from, "msrc/images/%s.jpg", name);
    assert_true(real_path(path, from));
    bytes = read_text(path, &size);
    kept[2] = size / 3, kept[3] = size - size / 10, kept[4] = size - 100;
    snprintf(to, sizeof to, "images/%s.jpg", name);
    write_bytes(to, bytes, i % (PICTURES / CUT) == 3 ? kept[i / (PICTURES / CUT)] : size);
    free(bytes);
    return to;
}

static void photographs_cut_short_are_found(void **state)
{
    (void)state;
    char path[600], name[51], spoilt[CUT][64];
    FILE *list = real_path(path, "msrc/train.txt") ? fopen(path, "r") : NULL;
    if (!list)
        skip();
    assert_true(mkdir("images", 0777) == 0 && mkdir("labels", 0777) == 0);
    FILE *out = fopen("train.txt", "w");
    assert_non_null(out);
    for (int i = 0; i < PICTURES; i++) {
        assert_int_equal(fscanf(list, "%50s", name), 1);
        fprintf(out, "%s\n", name);
        const char *image = copy_picture(i, name);
        if (i % (PICTURES / CUT) == 3)
            strcpy(spoilt[i / (PICTURES / CUT)], image);
    }
    fclose(list);
    assert_int_equal(fclose(out), 0);
    write_text("p.yaml", "data: {source: file_list, list: train.txt, columns: image, image: \"images/{}.jpg\", mask: \"labels/{}.png\", "
                         "classes: 24}\n"
                         "model: {layers: [{conv2d: {out: 24, kernel: 1}}]}\nloss: {cross_entropy: {target: mask}}\n");
    json_t *report = check("data check p.yaml --json", 1);
    const json_t *f = found(report, "unreadable"), *samples = json_object_get(f, "samples");
    assert_non_null(f);
    assert_int_equal(json_integer_value(json_object_get(f, "count")), CUT);
    for (size_t k = 0; k < CUT; k++)
        assert_string_equal(json_string_value(json_array_get(samples, k)), spoilt[k]);
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clean_data_pass, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_leak_fails_and_its_list_mends_it, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_nearly_empty_class_is_told, enter, leave_folder),
        cmocka_unit_test_setup_teardown(stats_are_a_table, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_file_that_ends_early_is_unreadable, enter, leave_folder),
        cmocka_unit_test_setup_teardown(wrong_words_are_refused, enter, leave_folder),
        cmocka_unit_test_setup_teardown(planted_faults_of_mnist_are_found, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_nearly_empty_class_of_mnist_is_found, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_leaking_column_of_house_prices_is_found, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(photographs_cut_short_are_found, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
