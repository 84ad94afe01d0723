/* csv_stream: the rows of whole tables, from any row on, in memory that does not grow. */
#define _GNU_SOURCE
#include "helper_setup.h"

#include "format/csv_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_text(const char *name, const char *text)
{
    const bytes b = { (uint8_t *)(size_t)text, strlen(text) };
    bytes packed = { 0 };
    if (strstr(name, ".gz"))
        packed = gzipped(b);
    put(dir, name, packed.data ? packed : b, packed.data ? packed.size : b.size);
    free(packed.data);
}

/* n rows, some of them with a quoted cell that holds separators, quotes and line ends. */
static char *table_text(int n, int from, const char *line_end)
{
    char *text = malloc((size_t)n * 200 + 100);
    int at = sprintf(text, "a,note,b,y%s", line_end);
    for (int i = 0; i < n; i++)
        at += sprintf(text + at, i % 3 ? "%d,%.*s,%g,%d%s" : "%d,\"x,\"\"y\"\"\n%.*s\",%g,%d%s", from + i, i % 90,
                      "a pipe and much more text that makes rows of quite different lengths so that blocks end anywhere....",
                      i % 7 ? i / 4. : (double)NAN, i % 2, line_end);
    return text;
}

static char *files_spec(const char *pattern, const char *more)
{
    static char spec[600];
    snprintf(spec, sizeof spec, "files=%s/%s %s", dir, pattern, more);
    return spec;
}

static grd_dataset *open_tables(const char *pattern, const char *more)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, "csv_stream", files_spec(pattern, more), &d));
    return d;
}

static void rows_are_those_of_the_whole_table(void **state)
{
    (void)state;
    static const char *const ends[] = { "\n", "\r\n", "\r" }, *const names[] = { "t1.csv", "t2.csv.gz", "t10.csv" };
    for (int k = 0; k < 3; k++) {
        char *text = table_text(4000, 10000 * k, ends[k]); /* several blocks */
        assert_true(strlen(text) > 3 * 65536);
        write_text(names[k], text);
        free(text);
    }
    grd_dataset *stream = open_tables("t*.csv*", "target=y drop=note"), *whole;
    grd_loader *l;
    const grd_batch *b;
    ok(ctx, grd_loader_new(ctx, stream, &(grd_loader_opts){ .batch = 100, .workers = 2 }, &l));
    ok(ctx, grd_loader_start(l, 0, 0));
    int64_t seen = 0;
    while (grd_loader_next(l, &b) == GRD_OK && b) {
        for (int64_t i = 0; i < b->n; i++) {
            const float *x = (const float *)b->data[0] + 2 * i;
            const int row = (int)b->index[i];
            assert_true((int)x[0] % 10000 == row && (int)x[0] / 10000 == (int)(b->number % 3));
            assert_true(row % 7 ? x[1] == (float)(row / 4.) : isnan(x[1]));
            assert_true(((const float *)b->data[1])[i] == (float)(row % 2));
        }
        seen += b->n;
    }
    assert_string_equal(grd_error(ctx), "");
    assert_int_equal(seen, 12000);
    char spec[400];
    snprintf(spec, sizeof spec, "file=%s/t2.csv.gz target=y drop=note task=regression", dir);
    ok(ctx, grd_dataset_open(ctx, "csv", spec, &whole)); /* the other reader agrees on how many */
    assert_int_equal(grd_dataset_length(whole), 4000);
}

static void restored_after_any_batch_the_rest_is_the_same(void **state)
{
    (void)state;
    char *text = table_text(2500, 0, "\n");
    write_text("a.csv", text);
    write_text("b.csv.gz", text);
    write_text("c.csv", "a,note,b,y\n");
    free(text);
    grd_dataset *d = open_tables("?.csv*", "target=y classes=0,1 features=b,a");
    const grd_loader_opts o = { .batch = 130, .workers = 2 };
    grd_loader *l, *fresh;
    ok(ctx, grd_loader_new(ctx, d, &o, &l));
    ok(ctx, grd_loader_new(ctx, d, &o, &fresh));
    for (int stop = 0; stop <= 40; stop += 3) {
        const grd_batch *x, *y;
        char place[1000];
        ok(ctx, grd_loader_start(l, 0, 0));
        for (int k = 0; k < stop; k++)
            ok(ctx, grd_loader_next(l, &x));
        grd_loader_save(l, place, sizeof place);
        ok(ctx, grd_loader_restore(fresh, place));
        do {
            ok(ctx, grd_loader_next(l, &x));
            ok(ctx, grd_loader_next(fresh, &y));
            assert_true(!x == !y);
            if (x) {
                assert_int_equal(x->n, y->n);
                assert_int_equal(x->number, y->number);
                assert_memory_equal(x->data[0], y->data[0], (size_t)x->n * 2 * sizeof(float));
                assert_memory_equal(x->data[1], y->data[1], (size_t)x->n * sizeof(int32_t));
            }
        } while (x);
    }
}

static grd_status first_batch(grd_dataset *d, int on_error, const grd_batch **b)
{
    static grd_loader *l;
    ok(ctx, grd_loader_new(ctx, d, &(grd_loader_opts){ .batch = 4, .on_error = on_error }, &l));
    ok(ctx, grd_loader_start(l, 0, 0));
    return grd_loader_next(l, b);
}

static void faults_are_told_with_file_line_and_column(void **state)
{
    (void)state;
    static const struct { const char *text, *options, *message; grd_status status; } bad[] = {
        { "a,y\n1,2\nx,3\n", "target=y", "bad.csv), sample 1: line 3: column \"a\": \"x\", expected a number", GRD_ERR_DATA },
        { "a,y\n1,\n", "target=y", "sample 0: line 2: column \"y\": \"\", expected a number", GRD_ERR_DATA },
        { "a,y\n1,cat\n2,dog\n3,cow\n", "target=y classes=cat,dog",
          "sample 2: line 4: column \"y\": \"cow\", expected one of the classes given", GRD_ERR_DATA },
        { "a,y\n1,2\n3,4,5\n", "target=y", "bad.csv:3: 3 columns, expected 2 as in line 1", GRD_ERR_FORMAT },
        { "a,y\n1,\"2\n3,4\n", "target=y", "bad.csv:2: a quote is opened and never closed", GRD_ERR_FORMAT },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const grd_batch *b;
        grd_dataset *d;
        write_text("bad.csv", bad[i].text);
        grd_status status = grd_dataset_open(ctx, "csv_stream", files_spec("bad.csv", bad[i].options), &d); /* the first block */
        fails(ctx, bad[i].status, bad[i].message, status == GRD_OK ? first_batch(d, GRD_ERRORS_STOP, &b) : status);
    }
    const grd_batch *b;
    write_text("bad.csv", "a,y\n1,2\nx,3\n4,5\n");
    ok(ctx, first_batch(open_tables("bad.csv", "target=y"), GRD_ERRORS_SKIP, &b));
    assert_int_equal(b->n, 2);
    assert_int_equal(b->skipped, 1);
    assert_true(((const float *)b->data[0])[1] == 4);
    write_text("good.csv", "a,y\n1,2\n");
    write_text("other.csv", "a,z\n1,2\n");
    write_text("third.csv", "a\n1\n");
    grd_loader *l;
    ok(ctx, grd_loader_new(ctx, open_tables("[got][oth]*.csv", "target=y"), &(grd_loader_opts){ .workers = 1 }, &l));
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
    fails(ctx, GRD_ERR_FORMAT, "other.csv), sample 0: column 2 is \"z\", in ", grd_loader_next(l, &b));
    fails(ctx, GRD_ERR_FORMAT, "third.csv), sample 0: 1 columns, expected 2 as in ", grd_loader_next(l, &b));
}

static void bad_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_dataset *d;
    write_text("t.csv", "a,b,y\n1,2,3\n");
    write_text("empty.csv", "");
    static const struct { const char *pattern, *more, *message; } bad[] = {
        { "none*.csv", "", "csv_stream: files: \"" },
        { "t.csv", "target=z", "t.csv: target: no column \"z\"" },
        { "t.csv", "features=y target=y", "features: column \"y\" is the target" },
        { "t.csv", "drop=a,b target=y", "t.csv: no column is a feature" },
        { "t.csv", "classes=a,b", "classes without a target" },
        { "t.csv", "separator=::", "separator: \"::\", expected one character, tab or space" },
        { "empty.csv", "", "empty.csv: the first file is empty" },
        { "t.csv", "part=val", "does not hold {part}: there is no part val" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(grd_dataset_open(ctx, "csv_stream", files_spec(bad[i].pattern, bad[i].more), &d), GRD_OK);
        if (!strstr(grd_error(ctx), bad[i].message))
            fail_msg("found \"%s\", expected \"%s\"", grd_error(ctx), bad[i].message);
    }
    grd_loader *l;
    ok(ctx, grd_loader_new(ctx, open_tables("t.csv", "target=y"), &(grd_loader_opts){ .batch = 1 }, &l));
    static const char *const places[] = { "1:2", "-1:1:1", "9999:1:1", "0:1:7", "0:1:1x", "6:2:2" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char text[300];
        snprintf(text, sizeof text, "stream csv_stream shards 1 lanes 1 batch 1 seed 0 shuffle 0 epoch 0 batches 1 samples 1 "
                                    "round 1 lane 0 | 0 1 %s 0", places[i]);
        assert_int_not_equal(grd_loader_restore(l, text), GRD_OK);
        assert_non_null(strstr(grd_error(ctx), "loader: csv_stream: shard 0 ("));
    }
}

static void *largest(void *user, size_t size)
{
    size_t *most = user;
    *most = size > *most ? size : *most;
    return aligned_alloc(64, (size + 63) / 64 * 64);
}

static void release(void *user, void *at)
{
    (void)user;
    free(at);
}

static void memory_does_not_grow_with_the_file(void **state)
{
    (void)state;
    size_t most[2] = { 0, 0 };
    for (int k = 0; k < 2; k++) {
        char *text = table_text(k ? 40000 : 4000, 0, "\n");
        write_text("t.csv", text);
        const grd_allocator watching = { .alloc = largest, .free = release, .user = &most[k] };
        grd_ctx *c = grd_open(&(grd_opts){ .allocator = &watching });
        grd_dataset *d;
        grd_loader *l;
        const grd_batch *b;
        ok(c, grd_dataset_open(c, "csv_stream", files_spec("t.csv", "target=y drop=note"), &d));
        ok(c, grd_loader_new(c, d, NULL, &l));
        ok(c, grd_loader_start(l, 0, 0));
        do
            ok(c, grd_loader_next(l, &b));
        while (b);
        grd_close(c);
        assert_true(most[k] < strlen(text) / 2);
        free(text);
    }
    assert_true(most[1] < most[0] + 1000);
}

static void a_file_cut_anywhere_is_no_crash(void **state)
{
    (void)state;
    const char *text = "\xef\xbb\xbf" "a,\"b \"\"c\"\"\",y\r\n1,\"2\",3\r\n\r\n4,NA,\"6\"\r\n\"7\",8,9";
    for (size_t n = 0; n <= strlen(text); n++) {
        grd_dataset *d;
        grd_loader *l;
        const grd_batch *b;
        put(dir, "cut.csv", (bytes){ (uint8_t *)(size_t)text, strlen(text) }, n);
        if (grd_dataset_open(ctx, "csv_stream", files_spec("cut.csv", "target=y"), &d) != GRD_OK)
            continue;
        ok(ctx, grd_loader_new(ctx, d, &(grd_loader_opts){ .batch = 2 }, &l));
        ok(ctx, grd_loader_start(l, 0, 0));
        for (int k = 0; k < 4; k++)
            (void)grd_loader_next(l, &b);
    }
}

static grd_status use(grd_ctx *c)
{
    grd_dataset *d;
    grd_loader *l;
    const grd_batch *b;
    char place[1000];
    grd_status s;
#define TRY(call) \
    if ((s = (call)) != GRD_OK) \
    return s
    TRY(grd_dataset_open(c, "csv_stream", files_spec("?.csv", "target=y classes=0,1 drop=note"), &d));
    TRY(grd_loader_new(c, d, &(grd_loader_opts){ .batch = 700 }, &l));
    TRY(grd_loader_start(l, 0, 0));
    for (int k = 0; k < 2; k++)
        TRY(grd_loader_next(l, &b));
    grd_loader_save(l, place, sizeof place);
    TRY(grd_loader_restore(l, place));
    do
        TRY(grd_loader_next(l, &b));
    while (b);
    return GRD_OK;
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    char *text = table_text(900, 0, "\n");
    write_text("a.csv", text);
    write_text("b.csv", text);
    free(text);
    for (int64_t n = 1, refused = 1; refused; n++) {
        counter all = { .refuse = n };
        grd_allocator a = counting(&all);
        grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
        if (!c)
            continue;
        grd_status status = use(c);
        refused = all.calls >= n;
        if (status != (refused ? GRD_ERR_MEMORY : GRD_OK) || (refused && !strstr(grd_error(c), "memory")))
            fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(c));
        grd_close(c);
        assert_int_equal(all.live, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_are_those_of_the_whole_table),
        TEST(restored_after_any_batch_the_rest_is_the_same),
        TEST(faults_are_told_with_file_line_and_column),
        TEST(bad_options_are_refused_with_a_sentence),
        TEST(memory_does_not_grow_with_the_file),
        TEST(a_file_cut_anywhere_is_no_crash),
        TEST(refused_allocations_leak_and_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
