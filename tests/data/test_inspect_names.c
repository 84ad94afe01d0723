/* What `gradus data check` calls the columns of a table: by their names in the file. */
#include "helper_setup.h"

#include <gradus/inspect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 200 };

#define LONG "breite der fl\xc3\xbcgel in millimetern nach der methode von m\xc3\xb6ller gemessen"

/* noise, a column that tells the price, one of a single value, one with a gap, one with a far value, a colour; rows of a house
 * may stand in two sets. */
static void write_table(void)
{
    static char text[32000];
    size_t n = (size_t)snprintf(text, sizeof text, "noise,paid,\"two\nlines\",rooms," LONG ",color,house,price\n");
    for (int i = 0; i < ROWS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%d,%d,7,%s,%d,%s,h%d,%d\n", i * 7919 % 211, 2 * (i * 31 % 97) + 1,
                              i == 50 ? "" : i % 3 ? "3" : "4", i == 20 ? 9000 : i * 17 % 13, i % 2 ? "red" : "blue", i / 2,
                              i * 31 % 97);
    assert_true(n < sizeof text);
    put(dir, "t.csv", (bytes){ (uint8_t *)text, n }, n);
}

static grd_dataset *open_table(const char *more)
{
    char spec[600];
    grd_dataset *d;
    snprintf(spec, sizeof spec, "file=%s/t.csv target=price group=house %s", dir, more);
    ok(ctx, grd_dataset_open(ctx, "csv", spec, &d));
    return d;
}

static void finds(const grd_report *r, const char *rule, const char *text)
{
    const grd_check_finding *f;
    for (int n = grd_report_findings(r, &f); n > 0; n--, f++) {
        if (strcmp(f->rule, rule) != 0)
            continue;
        if (!strstr(f->text, text))
            fail_msg("found \"%s\", expected \"%s\"", f->text, text);
        return;
    }
    fail_msg("%s is not found", rule);
}

static void findings_name_columns_as_the_file_does(void **state)
{
    (void)state;
    grd_report *r;
    write_table();
    grd_dataset *all = open_table(""), *part[2];
    ok(ctx, grd_dataset_split(all, (double[]){ 0.5, 0.5 }, 2, NULL, part));
    ok(ctx, grd_data_check(ctx, (grd_check_set[]){ { "train", part[0] }, { "val", part[1] } }, 2,
                           &(grd_check_opts){ .group = "group" }, &r));
    finds(r, "target-leak", "1 of 6 columns alone tell \"price\": paid (1.0000) (correlation)");
    finds(r, "constant", "1 columns have one value in all samples: two lines");
    finds(r, "missing", "1 sample have values that are missing (NaN) or infinite: rooms");
    finds(r, "outlier", "1 samples lie far out in breite der fl\xc3\xbcgel in millimetern nach der methode von m\xc3\xb6ll");
    finds(r, "group-leak", "groups of \"house\" in more than one set");
}

static void elements_have_their_columns_names_until_a_transform_gives_them_another_shape(void **state)
{
    (void)state;
    grd_dataset *same, *wider;
    write_table();
    grd_dataset *d = open_table("categories=onehot");
    assert_string_equal(grd_dataset_element(d, 0, 1), "paid");
    assert_string_equal(grd_dataset_element(d, 0, 5), "color=blue");
    assert_string_equal(grd_dataset_element(d, 0, 6), "color=red");
    assert_null(grd_dataset_element(d, 0, 7));
    assert_null(grd_dataset_element(d, 0, -1));
    assert_string_equal(grd_dataset_element(d, 1, 0), "price");
    assert_string_equal(grd_dataset_element(d, 2, 0), "house");
    assert_null(grd_dataset_element(d, 3, 0));
    d = open_table("");
    ok(ctx, grd_dataset_transform(d, "standardize", &same));
    assert_string_equal(grd_dataset_element(same, 0, 5), "color");
    d = open_table("task=classification");
    assert_string_equal(grd_dataset_element(d, 1, 0), "price");
    ok(ctx, grd_dataset_transform(d, "one_hot", &wider));
    assert_null(grd_dataset_element(wider, 1, 0));
    assert_string_equal(grd_dataset_element(wider, 0, 5), "color");
    ok(ctx, grd_dataset_open(ctx, "moons", NULL, &d)); /* a source that names nothing */
    assert_null(grd_dataset_element(d, 0, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(findings_name_columns_as_the_file_does),
                                        TEST(elements_have_their_columns_names_until_a_transform_gives_them_another_shape) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
