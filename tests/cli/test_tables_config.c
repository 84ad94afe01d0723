/* Tables and texts as a user trains on them: what transforms learned stays with the run; the recipes fit their data. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 40 rows: two columns, one of them with holes, and a class that the first one tells. */
static void write_table(double shift)
{
    char text[4000];
    int n = snprintf(text, sizeof text, "a,b,kind\n");
    for (int i = 0; i < 40; i++)
        n += i % 7 == 3 ? snprintf(text + n, sizeof text - (size_t)n, "%g,,%s\n", i + shift, i < 20 ? "low" : "high")
                        : snprintf(text + n, sizeof text - (size_t)n, "%g,%d,%s\n", i + shift, i % 5, i < 20 ? "low" : "high");
    write_text("t.csv", text);
}

static int enter(void **state)
{
    int code = enter_folder(state);
    write_table(0);
    write_text("c.yaml", "run: {name: r, batch: 8, epochs: 2, seed: 1}\n"
                         "data: {source: csv, file: t.csv, target: kind, val_fraction: 0.25, transform: [impute, standardize]}\n"
                         "model: {layers: [{linear: 2}]}\n"
                         "loss: cross_entropy\n");
    return code;
}

static void what_was_learned_is_written_once_and_read_by_what_goes_on(void **state)
{
    (void)state;
    expect("train c.yaml", 0, "");
    char *before = read_text("runs/r/train/transforms.json", NULL);
    assert_non_null(strstr(before, "[{\"transform\": \"impute\", \"learned\": {\"value\": ["));
    assert_non_null(strstr(before, "{\"transform\": \"standardize\", \"learned\": {\"mean\": ["));
    result first = gradus("eval runs/r split=val"), second;
    assert_int_equal(first.code, 0);
    char *printed = strdup(first.out); /* the next command takes it away */
    write_table(1000); /* the model's own numbers hold, not those of the table as it is now */
    expect("train runs/r run.epochs=3", 0, "");
    char *after = read_text("runs/r/train/transforms.json", NULL);
    assert_string_equal(before, after);
    write_table(0);
    write_text("runs/r/train/transforms.json",
               "[{\"transform\": \"impute\", \"learned\": {\"value\": [0, 0]}},"
               " {\"transform\": \"standardize\", \"learned\": {\"mean\": [900, 0], \"std\": [1, 1]}}]");
    second = gradus("eval runs/r split=val");
    assert_int_equal(second.code, 0);
    assert_string_not_equal(printed, second.out);
    free(printed);
    free(before);
    free(after);
}

static void other_transforms_than_the_run_was_begun_with_are_refused(void **state)
{
    (void)state;
    expect("train c.yaml", 0, "");
    expect("eval runs/r split=val data.transform=[impute]", 1, "the run was begun with 2 transforms that learn, now there are 1");
    expect("eval runs/r split=val data.transform=[impute,min_max]", 2, "it knows nothing that \"min_max\" learned as number 2");
    write_text("runs/r/train/transforms.json", "[{\"transform\": \"impute\", \"learned\": {\"value\": [0]}}]");
    expect("eval runs/r split=val", 2, "impute: what was learned: \"value\": expected a list of 2 numbers");
    write_text("runs/r/train/transforms.json", "{");
    expect("eval runs/r split=val", 1, "transforms.json: line 1:");
    write_text("runs/r/train/transforms.json", "{}");
    expect("eval runs/r split=val", 1, "transforms.json: expected a JSON list");
}

static void a_column_cuts_a_table_into_sets(void **state)
{
    (void)state;
    char text[2000];
    int n = snprintf(text, sizeof text, "a,kind,part\n");
    for (int i = 0; i < 40; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%d,%s,%s\n", i, i % 2 ? "low" : "high",
                      i % 8 == 0 ? "test" : i % 4 == 0 ? "val" : "train");
    write_text("p.csv", text);
    write_text("p.yaml", "run: {name: r, batch: 8}\n"
                         "data: {source: csv, file: p.csv, target: kind, part_column: part, val: val}\n"
                         "model: {layers: [{linear: 2}]}\n"
                         "loss: cross_entropy\n");
    expect("check p.yaml", 0, ">30 samples to train on, 5 to choose by, 5 to test on");
}

static void recipes_fit_their_data(void **state)
{
    (void)state;
    static const struct { const char *recipe, *file, *sizes; } each[] = {
        { "housing", "housing/housing_train.csv", ">876 samples to train on, 292 to choose by, 292 to test on" },
        { "housing-course", "housing/housing_train.csv", ">533 samples to train on, 167 to choose by, 177 to test on" },
        { "california", "housing/california_housing.csv", ">14448 samples to train on, 2064 to choose by, 4128 to test on" },
        { "iris", "tabular/iris.csv", ">120 samples to train on, 30 to choose by" },
        { "wine", "tabular/wine.csv", ">142 samples to train on, 36 to choose by" },
        { "banknote", "tabular/banknote_authentication.csv", ">1098 samples to train on, 274 to choose by" },
        { "imdb", "imdb/train.tsv.gz", ">9154 samples to train on, 3133 to choose by, 3083 to test on" },
        { "tinyshakespeare", "text/tinyshakespeare.txt", ">15685 samples to train on, 871 to choose by, 871 to test on" },
        { "names", "text/names.txt", ">28830 samples to train on, 3203 to choose by" },
        { "multi30k", "text/multi30k/train.de.gz", ">29000 samples to train on, 1014 to choose by, 1000 to test on" },
    };
    const char *given = getenv("GRADUS_DATA"), *data = given ? given : GRD_SOURCE_DIR "/../shared/data";
    int found = 0;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char line[600];
        snprintf(line, sizeof line, "%s/%s", data, each[i].file);
        if (!is_there(line))
            continue;
        setenv("GRADUS_DATA", data, 1);
        snprintf(line, sizeof line, "check %s/recipes/data/%s.yaml", GRD_SOURCE_DIR, each[i].recipe);
        expect(line, 0, each[i].sizes);
        found++;
    }
    if (!given)
        unsetenv("GRADUS_DATA");
    if (!found)
        skip();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave_folder)
    const struct CMUnitTest tests[] = { TEST(what_was_learned_is_written_once_and_read_by_what_goes_on),
                                        TEST(other_transforms_than_the_run_was_begun_with_are_refused),
                                        TEST(a_column_cuts_a_table_into_sets), TEST(recipes_fit_their_data) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
