/* IDX files, good and bad: what is right opens, everything else ends in its own sentence. */
#include "helper_setup.h"

#include "base/host.h"
#include "data/idx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_status open_dir(const char *more, grd_dataset **d)
{
    char spec[600];
    snprintf(spec, sizeof spec, "dir=%s %s", dir, more);
    return grd_dataset_open(ctx, "idx", spec, d);
}

static void expect_pair(grd_dataset *d, int64_t n)
{
    const grd_field *f;
    grd_sample *s;
    assert_int_equal(grd_dataset_length(d), n);
    assert_int_equal(grd_dataset_fields(d, &f), 2);
    assert_string_equal(f[0].name, "image");
    assert_int_equal(f[0].dtype, GRD_U8);
    assert_true(grd_shape_equal(&f[0].shape, &(grd_shape){ 3, { 1, 4, 3 } }));
    assert_true(f[0].lo == 0 && f[0].hi == 255);
    assert_string_equal(f[1].name, "label");
    assert_int_equal(f[1].dtype, GRD_I32);
    assert_int_equal(f[1].shape.rank, 0);
    assert_int_equal(f[1].classes, 10);
    ok(ctx, grd_sample_new(d, ctx, &s));
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        for (int e = 0; e < 12; e++)
            assert_int_equal(((uint8_t *)s->data[0])[e], (i * 12 + e) % 251);
        assert_int_equal(*(int32_t *)s->data[1], i % 10);
    }
    grd_sample_free(s, ctx);
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
}

static void plain_and_gz_give_the_same_samples(void **state)
{
    (void)state;
    grd_dataset *d;
    put_idx_pair(dir, 25, "");
    ok(ctx, open_dir("", &d));
    expect_pair(d, 25);
    char path[400];
    snprintf(path, sizeof path, "%s/train-images-idx3-ubyte", dir);
    assert_int_equal(remove(path), 0);
    put_idx_pair(dir, 25, ".gz"); /* images only as .gz now, labels in both forms */
    ok(ctx, open_dir("", &d));
    expect_pair(d, 25);
}

static void other_usual_names_and_given_names_are_found(void **state)
{
    (void)state;
    grd_dataset *d;
    int64_t n = 7;
    bytes images = idx_bytes(3, (int64_t[]){ n, 4, 3 }, 251), labels = idx_bytes(1, &n, 10);
    put(dir, "t10k-images.idx3-ubyte", images, images.size);
    put(dir, "t10k-labels.idx1-ubyte", labels, labels.size);
    ok(ctx, open_dir("part=test", &d));
    expect_pair(d, n);
    put(dir, "my.images", images, images.size);
    bytes gz = gzipped(labels);
    put(dir, "my.labels.gz", gz, gz.size);
    ok(ctx, open_dir("images=my.images labels=my.labels", &d));
    expect_pair(d, n);
    free(gz.data);
    free(images.data);
    free(labels.data);
}

static void missing_files_say_what_was_looked_for(void **state)
{
    (void)state;
    grd_dataset *d;
    char text[800];
    fails(ctx, GRD_ERR_IO, "idx: /no/such/place: no such folder", grd_dataset_open(ctx, "idx", "dir=/no/such/place", &d));
    assert_null(d);
    fails(ctx, GRD_ERR_IO,
          "fashion-mnist: /no/such/place: no such folder; install Debian's package dataset-fashion-mnist, or give dir",
          grd_dataset_open(ctx, "fashion-mnist", "dir=/no/such/place", &d));
    snprintf(text, sizeof text,
             "idx: %s: no such file; looked for train-images-idx3-ubyte, train-images-idx3-ubyte.gz, train-images.idx3-ubyte, "
             "train-images.idx3-ubyte.gz", dir);
    fails(ctx, GRD_ERR_IO, text, open_dir("", &d));
    snprintf(text, sizeof text, "idx: %s: no such file; looked for mine, mine.gz", dir);
    fails(ctx, GRD_ERR_IO, text, open_dir("images=mine", &d));
    fails(ctx, GRD_ERR_CONFIG, "idx: dir is required", grd_dataset_open(ctx, "idx", NULL, &d));
    fails(ctx, GRD_ERR_CONFIG, "idx: part: expected one of train|test, found \"val\"", open_dir("part=val", &d));
}

/* Writes labels (n records) or images over the good pair and expects this message; %s in it is the path of the bad file. */
static void expect_bad(bool labels, bytes b, size_t size, grd_status status, const char *message)
{
    grd_dataset *d;
    char path[400], text[800];
    const char *name = labels ? "train-labels-idx1-ubyte" : "train-images-idx3-ubyte";
    put_idx_pair(dir, 10, "");
    put(dir, name, b, size);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(text, sizeof text, "idx: %s: %s", path, message);
    assert_int_equal(open_dir("", &d), status);
    assert_string_equal(grd_error(ctx), text);
    assert_null(d);
}

static void bad_plain_files_end_in_one_clear_line(void **state)
{
    (void)state;
    int64_t n = 10;
    bytes images = idx_bytes(3, (int64_t[]){ 10, 4, 3 }, 251), labels = idx_bytes(1, &n, 10);
    expect_bad(false, images, 0, GRD_ERR_FORMAT, "0 bytes, expected a header of 16");
    expect_bad(false, images, 15, GRD_ERR_FORMAT, "15 bytes, expected a header of 16");
    expect_bad(true, labels, 5, GRD_ERR_FORMAT, "5 bytes, expected a header of 8");
    expect_bad(false, images, 135, GRD_ERR_FORMAT, "the header says 10 x 4 x 3 bytes, the file holds 119: it was cut off");
    expect_bad(true, labels, 17, GRD_ERR_FORMAT, "the header says 10 bytes, the file holds 9: it was cut off");
    expect_bad(false, labels, labels.size, GRD_ERR_FORMAT,
               "magic number 0x00000801, expected 0x00000803 (unsigned bytes, 3 dimensions)");
    expect_bad(true, images, images.size, GRD_ERR_FORMAT,
               "magic number 0x00000803, expected 0x00000801 (unsigned bytes, 1 dimension)");
    bytes longer = { realloc(images.data, images.size + 3), images.size + 3 };
    memset(longer.data + images.size, 0, 3);
    expect_bad(false, longer, longer.size, GRD_ERR_FORMAT, "3 bytes after the last record; the header says 10 x 4 x 3");
    labels.data[8 + 7] = 137;
    expect_bad(true, labels, labels.size, GRD_ERR_DATA, "record 7: label 137, expected 0..9");
    memset(longer.data + 4, 0xff, 12);
    expect_bad(false, longer, longer.size, GRD_ERR_FORMAT,
               "the header says 4294967295 x 4294967295 x 4294967295 bytes, the file holds 123: it was cut off");
    memset(longer.data + 8, 0, 4);
    expect_bad(false, longer, longer.size, GRD_ERR_FORMAT, "dimension 2 of 3 is 0");
    free(longer.data);
    free(labels.data);
}

static void bad_gzip_files_end_in_one_clear_line(void **state)
{
    (void)state;
    bytes plain = idx_bytes(3, (int64_t[]){ 10, 4, 3 }, 251), gz = gzipped(plain);
    expect_bad(false, gz, gz.size - 9, GRD_ERR_FORMAT, "the gzip stream ends early: the file was cut off");
    expect_bad(false, gz, gz.size - 1, GRD_ERR_FORMAT, "the gzip stream ends early: the file was cut off");
    expect_bad(false, gz, 3, GRD_ERR_FORMAT, "the gzip stream ends early: the file was cut off");
    bytes longer = { realloc(gz.data, gz.size + 2), gz.size + 2 };
    longer.data[gz.size] = longer.data[gz.size + 1] = 'x';
    expect_bad(false, longer, longer.size, GRD_ERR_FORMAT, "2 bytes after the end of the gzip stream");
    longer.data[gz.size - 6] ^= 1; /* of the checksum */
    expect_bad(false, longer, gz.size, GRD_ERR_FORMAT, "bad gzip: incorrect data check");
    longer.data[3] = 0xff;
    expect_bad(false, longer, gz.size, GRD_ERR_FORMAT, "bad gzip: unknown header flags set");
    free(longer.data);
    plain.data[7] = 9; /* nine images promised, ten there */
    gz = gzipped(plain);
    expect_bad(false, gz, gz.size, GRD_ERR_FORMAT, "more bytes after the last record; the header says 9 x 4 x 3");
    free(gz.data);
    plain.data[7] = 11;
    gz = gzipped(plain);
    expect_bad(false, gz, gz.size, GRD_ERR_FORMAT, "the header says 11 x 4 x 3 bytes, the file holds 120: it was cut off");
    free(gz.data);
    memset(plain.data + 4, 0xff, 12);
    gz = gzipped(plain);
    grd_dataset *d;
    put(dir, "train-images-idx3-ubyte", gz, gz.size);
    fails(ctx, GRD_ERR_FORMAT, "4294967295 x 4294967295 x 4294967295 bytes, more than the ", open_dir("", &d));
    free(gz.data);
    free(plain.data);
}

static void images_and_labels_of_different_counts_are_refused(void **state)
{
    (void)state;
    int64_t n = 9;
    grd_dataset *d;
    char text[1000];
    bytes labels = idx_bytes(1, &n, 10);
    put_idx_pair(dir, 10, "");
    put(dir, "train-labels-idx1-ubyte", labels, labels.size);
    snprintf(text, sizeof text,
             "idx: %s/train-images-idx3-ubyte holds 10 records, %s/train-labels-idx1-ubyte 9: they do not belong together", dir,
             dir);
    assert_int_equal(open_dir("", &d), GRD_ERR_FORMAT);
    assert_string_equal(grd_error(ctx), text);
    free(labels.data);
}

static void classes_bounds_the_labels(void **state)
{
    (void)state;
    grd_dataset *d;
    put_idx_pair(dir, 10, "");
    fails(ctx, GRD_ERR_DATA, "record 5: label 5, expected 0..4", open_dir("classes=5", &d));
    fails(ctx, GRD_ERR_CONFIG, "idx: classes: 300 is out of range, expected 1 to 256", open_dir("classes=300", &d));
    ok(ctx, open_dir("classes=47", &d));
    assert_null(grd_dataset_class(d, 3));
    char spec[400];
    snprintf(spec, sizeof spec, "dir=%s", dir);
    ok(ctx, grd_dataset_open(ctx, "fashion-mnist", spec, &d));
    assert_string_equal(grd_dataset_class(d, 9), "Ankle boot");
    assert_null(grd_dataset_class(d, 10));
    assert_null(grd_dataset_class(d, -1));
    ok(ctx, grd_dataset_open(ctx, "mnist", spec, &d));
    assert_string_equal(grd_dataset_class(d, 4), "4");
}

/* Every cut and every flipped byte of a small file: an error or a well-formed array, never a crash or a leak (sanitizers). */
static void damaged_bytes_never_crash(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    bytes plain = idx_bytes(3, (int64_t[]){ 5, 2, 2 }, 251), gz = gzipped(plain);
    for (int form = 0; form < 2; form++) {
        bytes b = form ? gz : plain;
        for (size_t cut = 0; cut <= b.size; cut++) {
            grd_idx idx;
            uint8_t *exact = malloc(cut ? cut : 1); /* so that a read past the end is seen */
            memcpy(exact, b.data, cut);
            grd_status status = grd_idx_parse(&host, "bytes", exact, cut, 3, &idx);
            assert_int_equal(status == GRD_OK, cut == b.size);
            grd_free(&host, idx.bytes);
            free(exact);
        }
        for (size_t at = 0; at < b.size; at++)
            for (int bit = 0; bit < 8; bit++) {
                grd_idx idx;
                b.data[at] ^= (uint8_t)(1 << bit);
                if (grd_idx_parse(&host, "bytes", b.data, b.size, 3, &idx) == GRD_OK)
                    assert_int_equal(idx.dim[0] * idx.dim[1] * idx.dim[2], 20);
                grd_free(&host, idx.bytes);
                b.data[at] ^= (uint8_t)(1 << bit);
            }
    }
    free(plain.data);
    free(gz.data);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(plain_and_gz_give_the_same_samples), TEST(other_usual_names_and_given_names_are_found),
        TEST(missing_files_say_what_was_looked_for), TEST(bad_plain_files_end_in_one_clear_line),
        TEST(bad_gzip_files_end_in_one_clear_line), TEST(images_and_labels_of_different_counts_are_refused),
        TEST(classes_bounds_the_labels), TEST(damaged_bytes_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
