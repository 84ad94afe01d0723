/* CSV as it is met: quotes, line ends, separators, what is missing; and what is refused, each with its sentence. */
#include "helper_format.h"

#include "format/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_host host;
static grd_csv csv;

static int setup(void **state)
{
    (void)state;
    grd_host_init(&host, NULL);
    return 0;
}

static grd_status parse(const char *text, const grd_csv_opts *opts)
{
    return grd_csv_parse(&host, "t.csv", text, strlen(text), opts, &csv);
}

/* All cells as "a|b\nc|d\n", the header first. */
static void expect(const char *text, const grd_csv_opts *opts, const char *cells)
{
    char found[1000] = "";
    OK(&host, parse(text, opts));
    for (int64_t i = csv.opts.no_header ? 0 : -1; i < csv.n_rows; i++)
        for (int k = 0; k < csv.n_columns; k++) {
            strcat(found, i < 0 ? csv.column[k] : grd_csv_cell(&csv, i, k));
            strcat(found, k + 1 < csv.n_columns ? "|" : "\n");
        }
    assert_string_equal(found, cells);
    grd_csv_close(&csv);
}

static void quotes_hold_separators_quotes_and_newlines(void **state)
{
    (void)state;
    expect("a,b\n\"1,2\",\"say \"\"hi\"\"\"\n\"two\r\nlines\",\"\"\n", NULL, "a|b\n1,2|say \"hi\"\ntwo\r\nlines|\n");
    expect("a,b\n\"\"\"\",\"x\"\"\"\"y\"", NULL, "a|b\n\"|x\"\"y\n");
    expect("a,b\n5'11\",x\"y\n", NULL, "a|b\n5'11\"|x\"y\n"); /* a quote inside a plain cell is a byte like others */
}

static void every_line_end_and_none_at_the_end_are_the_same(void **state)
{
    (void)state;
    expect("a,b\n1,2\n3,4\n", NULL, "a|b\n1|2\n3|4\n");
    expect("a,b\r\n1,2\r\n3,4", NULL, "a|b\n1|2\n3|4\n");
    expect("a,b\r1,2\r3,4\r", NULL, "a|b\n1|2\n3|4\n");
    expect("\xef\xbb\xbf" "a,b\n\n1,2\n   \n\r\n3,4\n\n", NULL, "a|b\n1|2\n3|4\n");
    expect("a,b\n1,\n,2\n,", NULL, "a|b\n1|\n|2\n|\n");
}

static void the_separator_is_found(void **state)
{
    (void)state;
    expect("a;b\n1,5;2,5\n", NULL, "a|b\n1,5|2,5\n");
    expect("1,5;2,5\n3,5;4,5\n", &(grd_csv_opts){ .no_header = true }, "1,5|2,5\n3,5|4,5\n");
    expect("label\ttext\n1\tone, two; three\n", NULL, "label|text\n1|one, two; three\n");
    expect("a|b\n1|2\n", NULL, "a|b\n1|2\n");
    expect("\"x;y\",b\n\"1;2\",3\n", NULL, "x;y|b\n1;2|3\n");
    expect("one\n1\n2\n", NULL, "one\n1\n2\n");
    expect("a b\n1 2\n", &(grd_csv_opts){ .separator = ' ' }, "a|b\n1|2\n");
    OK(&host, parse("a;b\n1;2\n", NULL));
    assert_int_equal(csv.opts.separator, ';');
    grd_csv_close(&csv);
}

static void comments_blanks_and_missing_headers_are_options(void **state)
{
    (void)state;
    expect("# made by hand\na,b\n#1,2\n3,#4\n", &(grd_csv_opts){ .comment = '#' }, "a|b\n3|#4\n");
    expect(" a , b\n 1 ,\" x \" \n  ,2  \n", &(grd_csv_opts){ .trim = true }, "a|b\n1| x \n|2\n");
    expect(" a , b\n", NULL, " a | b\n");
    expect("n\ts\n1\t\"So\" he said\n2\t\"\n", &(grd_csv_opts){ .no_quotes = true }, "n|s\n1|\"So\" he said\n2|\"\n");
    OK(&host, parse("1,2\n3,4\n", &(grd_csv_opts){ .no_header = true }));
    assert_int_equal(csv.n_rows, 2);
    assert_string_equal(csv.column[1], "column 2");
    assert_int_equal(grd_csv_find(&csv, "column 2"), 1);
    assert_int_equal(grd_csv_find(&csv, "b"), -1);
    grd_csv_close(&csv);
}

static void bad_tables_end_in_one_clear_line(void **state)
{
    (void)state;
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:4: 3 columns, expected 2 as in line 1", parse("a,b\n\n1,2\n3,4,5\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:5: 1 column, expected 2 as in line 1", parse("a,b\n\"1\n\n\",2\n3\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:2: a quote is opened and never closed", parse("a,b\n1,\"2\n3,4\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:2: \"x,2\" after a closing quote", parse("a,b\n\"1\"x,2\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv: no line of data in 0 bytes", parse("", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv: no line of data in 2 bytes", parse("\n\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "UTF-16", parse("\xff\xfe" "a", NULL));
    FAILS(&host, GRD_ERR_FORMAT, ":2: a zero byte", grd_csv_parse(&host, "t.csv", "a,b\n1,\0\n", 8, NULL, &csv));
    FAILS(&host, GRD_ERR_FORMAT, ":2: a zero byte", grd_csv_parse(&host, "t.csv", "a,b\n1,\"\0\"\n", 10, NULL, &csv));
    FAILS(&host, GRD_ERR_ARG, "separator", parse("a", &(grd_csv_opts){ .separator = '"' }));
    FAILS(&host, GRD_ERR_ARG, "separator", parse("a", &(grd_csv_opts){ .separator = ';', .comment = ';' }));
    FAILS(&host, GRD_ERR_ARG, "expected . or ,", parse("a", &(grd_csv_opts){ .point = ';' }));
    FAILS(&host, GRD_ERR_IO, "none.csv", grd_csv_read(&host, in_temp_dir("none.csv"), NULL, &csv));
}

static void columns_get_the_narrowest_kind(void **state)
{
    (void)state;
    static const char *const dash[] = { "-", NULL };
    grd_csv_type t;
    OK(&host, parse("i,n,d,t,m,e\n1,1,2024-01-31,x,1,\n-2,0.5,2024-02-01,1,2024-01-31,NA\nNA,?,,2,3,nan\n", NULL));
    t = grd_csv_type_of(&csv, 0);
    assert_true(t.kind == GRD_CSV_INTEGER && t.missing == 1 && t.lo == -2 && t.hi == 1 && t.exception == -1);
    t = grd_csv_type_of(&csv, 1);
    assert_true(t.kind == GRD_CSV_NUMBER && t.missing == 1 && t.lo == 0.5);
    t = grd_csv_type_of(&csv, 2);
    assert_true(t.kind == GRD_CSV_DATE && t.missing == 1 && t.exception == 0);
    assert_string_equal(grd_csv_kind_name(t.kind), "dates");
    assert_int_equal(grd_csv_type_of(&csv, 3).kind, GRD_CSV_TEXT);
    t = grd_csv_type_of(&csv, 4);
    assert_true(t.kind == GRD_CSV_TEXT && t.exception == 1);
    t = grd_csv_type_of(&csv, 5);
    assert_true(t.kind == GRD_CSV_NOTHING && t.missing == 3 && t.lo == 0 && t.hi == 0);
    grd_csv_close(&csv);
    OK(&host, parse("a;b\n1,5;x\n-;2\n", &(grd_csv_opts){ .point = ',', .missing = dash }));
    t = grd_csv_type_of(&csv, 0);
    assert_true(t.kind == GRD_CSV_NUMBER && t.missing == 1 && t.hi == 1.5);
    grd_csv_close(&csv);
}

static void numbers_come_out_and_bad_cells_are_named(void **state)
{
    (void)state;
    double v[6];
    int64_t n[3];
    OK(&host, parse("a,b,c\n1,2.5,x\n2,NA,2024-01-31\n3,1e3,z\n", NULL));
    OK(&host, grd_csv_numbers(&csv, 0, v, 2));
    OK(&host, grd_csv_numbers(&csv, 1, v + 1, 2));
    assert_true(v[0] == 1 && v[1] == 2.5 && v[2] == 2 && isnan(v[3]) && v[4] == 3 && v[5] == 1000);
    OK(&host, grd_csv_integers(&csv, 0, n, 1));
    assert_true(n[0] == 1 && n[2] == 3);
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:2: column \"c\": \"x\", expected a number", grd_csv_numbers(&csv, 2, v, 1));
    FAILS(&host, GRD_ERR_FORMAT, "t.csv:2: column \"b\": \"2.5\", expected an integer", grd_csv_integers(&csv, 1, n, 1));
    grd_csv_close(&csv);
    OK(&host, parse("d\n1.1.2024\n", NULL));
    FAILS(&host, GRD_ERR_FORMAT, "\"1.1.2024\" is a date, expected a number", grd_csv_numbers(&csv, 0, v, 1));
    grd_csv_close(&csv);
}

static void levels_are_sorted_counted_and_found(void **state)
{
    (void)state;
    grd_csv_levels levels;
    int32_t index[6];
    OK(&host, parse("t,n\nb,10\na,9\nNA,9\nb,-1\n\"\",10\nc,10\n", NULL));
    OK(&host, grd_csv_levels_of(&csv, 0, 3, &levels));
    assert_int_equal(levels.n, 3);
    assert_string_equal(levels.text[0], "a");
    assert_int_equal(levels.count[1], 2);
    assert_int_equal(grd_csv_level(&levels, "c"), 2);
    assert_int_equal(grd_csv_level(&levels, "d"), -1);
    OK(&host, grd_csv_categories(&csv, 0, &levels, index, 1));
    assert_memory_equal(index, ((int32_t[]){ 1, 0, -1, 1, -1, 2 }), sizeof index);
    FAILS(&host, GRD_ERR_FORMAT, ":2: column \"n\": \"10\", expected one of", grd_csv_categories(&csv, 1, &levels, index, 1));
    grd_csv_levels_free(&levels);
    OK(&host, grd_csv_levels_of(&csv, 1, 10, &levels));
    assert_true(levels.numeric && levels.n == 3);
    assert_string_equal(levels.text[1], "9"); /* by value: 10 is last */
    assert_int_equal(levels.count[2], 3);
    grd_csv_levels_free(&levels);
    FAILS(&host, GRD_ERR_FORMAT, ":7: column \"t\" has more than 2 different values", grd_csv_levels_of(&csv, 0, 2, &levels));
    grd_csv_close(&csv);
}

static void many_levels_are_found_again(void **state)
{
    (void)state;
    grd_bytes b;
    grd_csv_levels levels;
    grd_bytes_init(&b, &host);
    grd_bytes_text(&b, "x\n");
    for (int i = 0; i < 5000; i++)
        grd_bytes_print(&b, "v%d\n", i * 7 % 2500);
    OK(&host, grd_csv_parse(&host, "many", b.data, b.size, NULL, &csv));
    OK(&host, grd_csv_levels_of(&csv, 0, 2500, &levels));
    assert_int_equal(levels.n, 2500);
    for (int k = 0; k < levels.n; k++)
        assert_true(levels.count[k] == 2 && grd_csv_level(&levels, levels.text[k]) == k);
    grd_csv_levels_free(&levels);
    grd_csv_close(&csv);
    grd_bytes_free(&b);
}

static void packed_tables_are_unpacked_by_their_bytes(void **state)
{
    (void)state;
    static const char text[] = "a,b\n1,2\n";
    size_t n;
    void *packed[2] = { pack_gzip(text, strlen(text), &n), NULL };
    put_file(in_temp_dir("t.csv"), packed[0], n);
    OK(&host, grd_csv_read(&host, in_temp_dir("t.csv"), NULL, &csv));
    assert_string_equal(grd_csv_cell(&csv, 0, 1), "2");
    grd_csv_close(&csv);
    FAILS(&host, GRD_ERR_FORMAT, "the gzip stream ends early", grd_csv_parse(&host, "t", packed[0], n - 3, NULL, &csv));
    packed[1] = pack_xz(text, strlen(text), &n);
    OK(&host, grd_csv_parse(&host, "t", packed[1], n, NULL, &csv));
    assert_string_equal(grd_csv_cell(&csv, 0, 0), "1");
    grd_csv_close(&csv);
    free(packed[0]);
    free(packed[1]);
}

static void refused_memory_is_survived_everywhere(void **state)
{
    (void)state;
    static const char text[] = "a,b\nx,2\ny,4\n\"q\"\"\",5\n";
    bool done = false;
    for (int refuse = 1; !done; refuse++) {
        counter c = { .refuse = refuse };
        grd_host counted;
        grd_csv_levels levels;
        counting_host(&counted, &c);
        grd_status status = grd_csv_parse(&counted, "t", text, strlen(text), &(grd_csv_opts){ .no_header = refuse % 2 }, &csv);
        if (status == GRD_OK) {
            status = grd_csv_levels_of(&csv, 0, 100, &levels);
            if (status == GRD_OK)
                grd_csv_levels_free(&levels);
            grd_csv_close(&csv);
        }
        assert_true(status == GRD_OK || status == GRD_ERR_MEMORY);
        assert_int_equal(c.live, 0);
        done = c.calls < refuse;
        assert_true(refuse < 100);
    }
}

static void real_tables_are_read(void **state)
{
    (void)state;
    const char *path = real_file("housing/housing_train.csv");
    if (!path)
        skip();
    OK(&host, grd_csv_read(&host, path, NULL, &csv));
    assert_int_equal(csv.n_rows, 1460);
    assert_int_equal(csv.n_columns, 81);
    grd_csv_type t = grd_csv_type_of(&csv, grd_csv_find(&csv, "SalePrice"));
    assert_true(t.kind == GRD_CSV_INTEGER && t.lo == 34900 && t.hi == 755000 && t.missing == 0);
    assert_int_equal(grd_csv_type_of(&csv, grd_csv_find(&csv, "LotFrontage")).missing, 259);
    assert_int_equal(grd_csv_type_of(&csv, grd_csv_find(&csv, "MSZoning")).kind, GRD_CSV_TEXT);
    grd_csv_close(&csv);
    OK(&host, grd_csv_read(&host, real_file("imdb/train.tsv.gz"), &(grd_csv_opts){ .no_quotes = true }, &csv));
    assert_int_equal(csv.n_rows, 9154);
    assert_int_equal(csv.n_columns, 2);
    assert_true(grd_csv_type_of(&csv, 0).hi == 1);
    grd_csv_close(&csv);
    OK(&host, grd_csv_read(&host, real_file("keypoints/val-keypoints68.csv.gz"), NULL, &csv));
    assert_int_equal(csv.n_rows, 298);
    assert_int_equal(csv.n_columns, 137);
    grd_csv_close(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_hold_separators_quotes_and_newlines),
        cmocka_unit_test(every_line_end_and_none_at_the_end_are_the_same),
        cmocka_unit_test(the_separator_is_found),
        cmocka_unit_test(comments_blanks_and_missing_headers_are_options),
        cmocka_unit_test(bad_tables_end_in_one_clear_line),
        cmocka_unit_test(columns_get_the_narrowest_kind),
        cmocka_unit_test(numbers_come_out_and_bad_cells_are_named),
        cmocka_unit_test(levels_are_sorted_counted_and_found),
        cmocka_unit_test(many_levels_are_found_again),
        cmocka_unit_test(packed_tables_are_unpacked_by_their_bytes),
        cmocka_unit_test(refused_memory_is_survived_everywhere),
        cmocka_unit_test(real_tables_are_read),
    };
    return cmocka_run_group_tests(tests, setup, remove_temp_dir);
}
