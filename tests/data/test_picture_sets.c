/* CIFAR and keypoints, in small sets made here and in the real ones where they are (GRADUS_DATA); MSRC as its recipe reads it. */
#include "helper_setup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_status open_set(const char *source, const char *where, const char *more, grd_dataset **d)
{
    char spec[1400];
    snprintf(spec, sizeof spec, "%s %s", where, more);
    return grd_dataset_open(ctx, source, spec, d);
}

static grd_status open_here(const char *source, const char *more, grd_dataset **d)
{
    char where[300];
    snprintf(where, sizeof where, "dir=%s", dir);
    return open_set(source, where, more, d);
}

/* ---- CIFAR ---- */

enum { RECORD = 3073 };

/* Two records with labels a and b; byte e of a picture is e % 251. */
static bytes batch(int a, int b)
{
    bytes all = { malloc(2 * RECORD), 2 * RECORD };
    for (int e = 0; e < 2 * RECORD; e++)
        all.data[e] = (uint8_t)(e % RECORD ? (e % RECORD - 1) % 251 : e ? b : a);
    return all;
}

static void put_batches(int last_label)
{
    for (int k = 1; k <= 5; k++) {
        char name[40];
        bytes b = batch(k, k == 5 ? last_label : 0);
        snprintf(name, sizeof name, "data_batch_%d.bin", k);
        put(dir, name, b, b.size);
        free(b.data);
    }
}

static void expect_ten(const grd_dataset *d)
{
    grd_sample *s;
    char name[64];
    int64_t counts[10];
    assert_int_equal(grd_dataset_length(d), 10);
    ok(ctx, grd_dataset_verify(ctx, d, counts, 10));
    assert_true(counts[0] == 4 && counts[1] == 1 && counts[5] == 1 && counts[9] == 1);
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 9, NULL, s), GRD_OK);
    for (int e = 0; e < 3072; e++)
        assert_int_equal(((uint8_t *)s->data[0])[e], e % 251);
    assert_int_equal(*(int32_t *)s->data[1], 9);
    assert_string_equal(grd_dataset_name(d, 9, name, sizeof name), "data_batch_5.bin:1");
    grd_sample_free(s, ctx);
}

/* One entry of a ustar archive at the end of `tar`, which has room. */
static void tar_add(bytes *tar, const char *name, char type, const void *data, size_t size)
{
    uint8_t *header = tar->data + tar->size;
    unsigned sum = 0;
    memset(header, 0, 512 + (size + 511) / 512 * 512);
    snprintf((char *)header, 100, "%s", name);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)size);
    memset(header + 148, ' ', 8);
    header[156] = (uint8_t)type;
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
    memcpy(header + 512, data, size);
    tar->size += 512 + (size + 511) / 512 * 512;
}

static void cifar_is_read_from_files_and_archives(void **state)
{
    (void)state;
    grd_dataset *d;
    bytes tar = { calloc(1, 1 << 16), 0 };
    put_batches(9);
    ok(ctx, open_here("cifar10", "", &d));
    expect_ten(d);
    assert_string_equal(grd_dataset_class(d, 1), "automobile");
    tar_add(&tar, "c/", '5', "", 0);
    for (int k = 5; k >= 1; k--) { /* in any order */
        char name[40];
        bytes b = batch(k, k == 5 ? 9 : 0);
        snprintf(name, sizeof name, "c/data_batch_%d.bin", k);
        tar_add(&tar, name, '0', b.data, b.size);
        free(b.data);
    }
    static const char names[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
    tar_add(&tar, "c/batches.meta.txt", '0', names, sizeof names - 1);
    tar.size += 1024; /* two blocks of zeros end it */
    bytes packed = gzipped(tar);
    put(dir, "any.tar.gz", packed, packed.size);
    char where[300];
    snprintf(where, sizeof where, "dir=%s/any.tar.gz", dir);
    ok(ctx, open_set("cifar10", where, "", &d));
    expect_ten(d);
    assert_string_equal(grd_dataset_class(d, 1), "b");
    fails(ctx, GRD_ERR_FORMAT, "any.tar.gz: no file test_batch.bin in it", open_set("cifar10", where, "part=test", &d));
    put(dir, "any.tar.gz", packed, packed.size / 2);
    assert_int_not_equal(open_set("cifar10", where, "", &d), GRD_OK);
    free(packed.data);
    free(tar.data);
}

static void a_bad_batch_names_file_and_record(void **state)
{
    (void)state;
    grd_dataset *d;
    fails(ctx, GRD_ERR_IO, "none of data_batch_1.bin, cifar-10-batches-bin and cifar-10-binary.tar.gz or .xz in it",
          open_here("cifar10", "", &d));
    put_batches(137);
    fails(ctx, GRD_ERR_DATA, "cifar10: data_batch_5.bin: record 1: label 137, expected 0..9", open_here("cifar10", "", &d));
    bytes b = batch(0, 0);
    put(dir, "data_batch_3.bin", b, b.size - 1);
    fails(ctx, GRD_ERR_FORMAT, "data_batch_3.bin: 6145 bytes, expected records of 3073", open_here("cifar10", "", &d));
    put(dir, "data_batch_3.bin", b, 0);
    fails(ctx, GRD_ERR_FORMAT, "data_batch_3.bin: 0 bytes, expected records of 3073", open_here("cifar10", "", &d));
    free(b.data);
    put_batches(0);
    put(dir, "batches.meta.txt", (bytes){ (uint8_t *)"a\nb\n", 4 }, 4);
    fails(ctx, GRD_ERR_FORMAT, "batches.meta.txt: 2 names, expected 10", open_here("cifar10", "", &d));
}

static void cifar100_has_two_labels(void **state)
{
    (void)state;
    enum { TWO = 3074 };
    grd_dataset *d;
    grd_sample *s;
    bytes b = { calloc(2, TWO), 2 * TWO };
    b.data[0] = 19;
    b.data[1] = 99;
    put(dir, "train.bin", b, b.size);
    ok(ctx, open_here("cifar100", "", &d));
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
    assert_true(*(int32_t *)s->data[1] == 99 && *(int32_t *)s->data[2] == 19);
    grd_sample_free(s, ctx);
    b.data[TWO] = 20;
    put(dir, "train.bin", b, b.size);
    fails(ctx, GRD_ERR_DATA, "train.bin: record 1: coarse label 20, expected 0..19", open_here("cifar100", "", &d));
    free(b.data);
}

/* Mean and standard deviation as NumPy's float64 gives them for the 50,000 pictures, values 0..1. */
static void the_training_pictures_of_cifar10_have_numpys_mean_and_std(void **state)
{
    (void)state;
    static const double mean[3] = { 0.4913996786, 0.4821584084, 0.4465309144 },
                        deviation[3] = { 0.2470322325, 0.2434851280, 0.2615878417 };
    char where[1100];
    grd_dataset *d;
    grd_sample *s;
    int64_t sum[3] = { 0 }, squares[3] = { 0 }, counts[10];
    const char *real = real_dir("cifar10", "cifar-10-batches-bin.tar.xz");
    if (!real)
        skip();
    snprintf(where, sizeof where, "dir=%s", real);
    ok(ctx, open_set("cifar10", where, "", &d));
    assert_int_equal(grd_dataset_length(d), 50000);
    assert_string_equal(grd_dataset_class(d, 9), "truck");
    ok(ctx, grd_dataset_verify(ctx, d, counts, 10));
    for (int c = 0; c < 10; c++)
        assert_int_equal(counts[c], 5000);
    ok(ctx, grd_sample_new(d, ctx, &s));
    for (int64_t i = 0; i < 50000; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        for (int e = 0; e < 3072; e++) {
            int64_t v = ((uint8_t *)s->data[0])[e];
            sum[e / 1024] += v;
            squares[e / 1024] += v * v;
        }
    }
    grd_sample_free(s, ctx);
    for (int c = 0; c < 3; c++) {
        const double n = 50000 * 1024.0, m = (double)sum[c] / n;
        assert_true(fabs(m / 255 - mean[c]) < 1e-6);
        assert_true(fabs(sqrt((double)squares[c] / n - m * m) / 255 - deviation[c]) < 1e-6);
    }
}

/* ---- keypoints ---- */

/* n faces of 4x3 with p points each: point k of face i is (100 i + k, -k). `with`: instead of x1 of the second face. */
static void put_faces(int n, int p, const char *with)
{
    static char csv[1 << 15];
    bytes b = idx_bytes(3, (int64_t[]){ n, 4, 3 }, 251);
    size_t at = (size_t)snprintf(csv, sizeof csv, "file");
    put(dir, "train-images-idx3-ubyte", b, b.size);
    free(b.data);
    for (int k = 0; k < p; k++)
        at += (size_t)snprintf(csv + at, sizeof csv - at, ",x%d,y%d", k, k);
    for (int i = 0; i < n; i++) {
        at += (size_t)snprintf(csv + at, sizeof csv - at, "\nface %d", i);
        for (int k = 0; k < p; k++)
            at += with && i == 1 && k == 1 ? (size_t)snprintf(csv + at, sizeof csv - at, ",%s,0", with)
                                           : (size_t)snprintf(csv + at, sizeof csv - at, ",%d,%d", 100 * i + k, -k);
    }
    put(dir, "train-keypoints68.csv", (bytes){ (uint8_t *)csv, at }, at);
}

static void pictures_and_points_stand_side_by_side(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    char name[40];
    put_faces(3, 68, NULL);
    ok(ctx, open_here("keypoints", "", &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 2, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 1, 4, 3 } }));
    assert_true(grd_shape_equal(&s->shape[1], &(grd_shape){ 2, { 68, 2 } }));
    assert_int_equal(((uint8_t *)s->data[0])[1], 25);
    const float *points = s->data[1];
    assert_true(points[2 * 67] == 267 && points[2 * 67 + 1] == -67);
    assert_string_equal(grd_dataset_name(d, 2, name, sizeof name), "face 2");
    grd_sample_free(s, ctx);
    ok(ctx, open_here("keypoints", "subset=15", &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[1], &(grd_shape){ 2, { 15, 2 } }));
    static const float expected[15] = { 44.5f, 38.5f, 42, 45, 39, 36, 22, 26, 21, 17, 30, 54, 48, 51, 57 };
    points = s->data[1];
    for (int k = 0; k < 15; k++)
        assert_true(points[2 * k] == 100 + expected[k] && points[2 * k + 1] == -expected[k]);
    grd_sample_free(s, ctx);
}

static void bad_points_say_where(void **state)
{
    (void)state;
    grd_dataset *d;
    fails(ctx, GRD_ERR_IO, "train-images-idx3-ubyte: no such file, nor with .gz", open_here("keypoints", "", &d));
    put_faces(2, 5, "");
    fails(ctx, GRD_ERR_DATA, "train-keypoints68.csv:3: x1: \"\", expected a number", open_here("keypoints", "", &d));
    put_faces(2, 5, "left");
    fails(ctx, GRD_ERR_FORMAT, "train-keypoints68.csv", open_here("keypoints", "", &d));
    put_faces(2, 5, NULL);
    fails(ctx, GRD_ERR_ARG, "subset: 15: ", open_here("keypoints", "subset=15", &d));
    fails(ctx, GRD_ERR_ARG, "there is no part val", open_here("keypoints", "part=val images=a points=b", &d));
    put_faces(2, 0, NULL);
    fails(ctx, GRD_ERR_FORMAT, "0 columns of x0, y0, x1, y1, ...", open_here("keypoints", "", &d));
    put_faces(2, 5, NULL);
    bytes b = idx_bytes(3, (int64_t[]){ 3, 4, 3 }, 251);
    put(dir, "train-images-idx3-ubyte", b, b.size);
    free(b.data);
    fails(ctx, GRD_ERR_FORMAT, "holds 3 pictures, ", open_here("keypoints", "", &d));
}

static void the_real_faces_are_all_there(void **state)
{
    (void)state;
    static const struct { const char *spec; int64_t n; } part[] = { { "", 1546 }, { "part=val", 298 }, { "part=test", 160 } };
    char where[1100];
    grd_dataset *d;
    const char *real = real_dir("keypoints", "train-images-idx3-ubyte.gz");
    if (!real)
        skip();
    snprintf(where, sizeof where, "dir=%s subset=15", real);
    for (int k = 0; k < 3; k++) {
        ok(ctx, open_set("keypoints", where, part[k].spec, &d));
        assert_int_equal(grd_dataset_length(d), part[k].n);
        ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
        grd_sample *s;
        int64_t mirrored = 0;
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < part[k].n; i++) { /* the subject's left eye is the picture's right one */
            assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
            mirrored += ((float *)s->data[1])[0] < ((float *)s->data[1])[2];
        }
        grd_sample_free(s, ctx);
        assert_int_equal(mirrored, 0);
    }
}

/* ---- MSRC ---- */

static void msrc_has_its_counts_and_classes(void **state)
{
    (void)state;
    static const struct { const char *spec; int64_t n; } part[] = { { "", 276 }, { "part=val", 59 }, { "part=test", 56 } };
    char where[1300];
    const char *real = real_dir("msrc", "classes.txt");
    if (!real)
        skip();
    snprintf(where, sizeof where,
             "list=%s/{part}.txt columns=image image=images/{}.jpg mask=labels/{}.png classes=classes.txt void=0", real);
    for (int k = 0; k < 3; k++) {
        grd_dataset *d;
        grd_sample *s;
        int64_t count[24] = { 0 }, pixels = 0; /* void last */
        ok(ctx, open_set("file_list", where, part[k].spec, &d));
        assert_int_equal(grd_dataset_length(d), part[k].n);
        assert_string_equal(grd_dataset_class(d, 0), "building");
        assert_string_equal(grd_dataset_class(d, 22), "boat");
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < part[k].n; i++) {
            if (grd_dataset_get(d, i, NULL, s) != GRD_OK)
                fail_msg("%s", s->error);
            const int64_t n = s->shape[1].dim[0] * s->shape[1].dim[1];
            pixels += n;
            for (int64_t e = 0; e < n; e++) {
                int32_t c = ((int32_t *)s->data[1])[e];
                assert_in_range(c + 1, 0, 23);
                count[c < 0 ? 23 : c]++;
            }
        }
        grd_sample_free(s, ctx);
        if (k == 0) /* void, grass; no horse to train on */
            assert_true(pixels == 19242560 && count[23] == 5547618 && count[1] == 2574052 && count[4] == 0);
    }
}

/* At full size, and as small as n/8 of it may be. */
static void a_jpeg_comes_smaller_where_that_suffices(void **state)
{
    (void)state;
    static const struct { const char *spec; int64_t height, width; } size[] = {
        { "", 213, 320 }, { "min_size=80", 80, 120 }, { "min_size=[80,200]", 134, 200 }, { "min_size=500", 213, 320 } };
    char where[1300];
    const char *real = real_dir("msrc", "classes.txt");
    if (!real)
        skip();
    snprintf(where, sizeof where, "list=%s/train.txt columns=image image=images/{}.jpg", real);
    for (int k = 0; k < 4; k++) {
        grd_dataset *d;
        grd_sample *s;
        ok(ctx, open_set("file_list", where, size[k].spec, &d));
        ok(ctx, grd_sample_new(d, ctx, &s));
        assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
        assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 3, size[k].height, size[k].width } }));
        grd_sample_free(s, ctx);
    }
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(cifar_is_read_from_files_and_archives),
        ONE(a_bad_batch_names_file_and_record),
        ONE(cifar100_has_two_labels),
        ONE(the_training_pictures_of_cifar10_have_numpys_mean_and_std),
        ONE(pictures_and_points_stand_side_by_side),
        ONE(bad_points_say_where),
        ONE(the_real_faces_are_all_there),
        ONE(msrc_has_its_counts_and_classes),
        ONE(a_jpeg_comes_smaller_where_that_suffices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
