/* NumPy's arrays as fields: types, classes, parts, and what is said of arrays that do not fit. */
#define _POSIX_C_SOURCE 200809L /* truncate */
#include "format/npy.h"

#include "helper_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static grd_host host;

static int setup_host(void **state)
{
    grd_host_init(&host, NULL);
    return setup(state);
}

static void write_array(const char *name, grd_npy_type type, int rank, const int64_t *dim, const void *data)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(grd_npy_write(&host, path, type, rank, dim, data), GRD_OK);
}

static const double x[] = { 0.5, 1, -2, 1e-3, 5, 6 };
static const int64_t y[] = { 2, 0, 1 }, bad[] = { 2, -1, 1 }, shape[] = { 3, 2 };

static void write_all(void)
{
    char path[400];
    write_array("x.npy", GRD_NPY_F64, 2, shape, x);
    write_array("y.npy", GRD_NPY_I64, 1, shape, y);
    write_array("bad.npy", GRD_NPY_I64, 1, shape, bad);
    write_array("two.npy", GRD_NPY_I64, 1, (int64_t[]){ 2 }, y);
    write_array("one.npy", GRD_NPY_F64, 0, shape, x);
    write_array("big.npy", GRD_NPY_I64, 1, shape, (int64_t[]){ 1, INT64_C(1) << 40, 2 });
    write_array("none.npy", GRD_NPY_I64, 1, (int64_t[]){ 0 }, y);
    const grd_npz_item item[] = { { "features", GRD_NPY_F64, 2, shape, x }, { "label", GRD_NPY_I64, 1, shape, y } };
    snprintf(path, sizeof path, "%s/train.npz", dir);
    assert_int_equal(grd_npz_write(&host, path, item, 2), GRD_OK);
}

static void expect_arrays(const char *source, const char *spec, int64_t classes)
{
    grd_dataset *d;
    grd_sample *s;
    const grd_field *f;
    ok(ctx, grd_dataset_open(ctx, source, with_dir(spec), &d));
    assert_int_equal(grd_dataset_fields(d, &f), 2);
    assert_int_equal(grd_dataset_length(d), 3);
    assert_true(f[0].dtype == GRD_F32 && grd_shape_equal(&f[0].shape, &(grd_shape){ 1, { 2 } }));
    assert_true(f[1].dtype == GRD_I32 && f[1].shape.rank == 0 && f[1].classes == classes);
    ok(ctx, grd_sample_new(d, ctx, &s));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        assert_true(((float *)s->data[0])[0] == (float)x[2 * i] && ((float *)s->data[0])[1] == (float)x[2 * i + 1]);
        assert_int_equal(*(int32_t *)s->data[1], y[i]);
    }
    grd_sample_free(s, ctx);
}

static void arrays_become_fields(void **state)
{
    (void)state;
    write_all();
    expect_arrays("npy", "arrays=features:%/x.npy,label:%/y.npy", 3);
    expect_arrays("npy", "arrays=features:%/x.npy,label:%/y.npy classes=7", 7);
    expect_arrays("npz", "file=%/train.npz", 3);
    expect_arrays("npz", "file=%/{part}.npz arrays=pixels:features,label:label", 3);
}

/* ---- mapped files ---- */

/* A .npy whose header has `pad` blanks more, so that its elements lie anywhere; bytes of element i: those of i + 1, the lowest
 * first, or last where the order is ">". Returns where the first one is. */
static long write_raw(const char *name, const char *descr, int size, const char *order, const char *dims, int count, int pad)
{
    uint8_t file[400] = "\x93NUMPY\1";
    int n = snprintf((char *)file + 10, sizeof file - 10, "{'descr': '%s', 'fortran_order': %s, 'shape': %s}%*s", descr, order,
                     dims, pad, "");
    file[8] = (uint8_t)n;
    n += 10;
    for (int i = 0; i < count; i++)
        file[n + i * size + (descr[0] == '>' ? size - 1 : 0)] = (uint8_t)(i + 1);
    put(dir, name, (bytes){ file, sizeof file }, (size_t)(n + count * size));
    return n;
}

/* Both sets give the same bytes for each sample. */
static void same_samples(const char *one, const char *other)
{
    grd_dataset *d[2];
    grd_sample *s[2];
    const grd_field *f[2];
    ok(ctx, grd_dataset_open(ctx, "npy", with_dir(one), &d[0]));
    ok(ctx, grd_dataset_open(ctx, "npy", with_dir(other), &d[1]));
    for (int k = 0; k < 2; k++) {
        assert_int_equal(grd_dataset_fields(d[k], &f[k]), 1);
        ok(ctx, grd_sample_new(d[k], ctx, &s[k]));
    }
    assert_int_equal(f[0]->dtype, f[1]->dtype);
    for (int64_t i = 0; i < grd_dataset_length(d[0]); i++) {
        for (int k = 0; k < 2; k++)
            assert_int_equal(grd_dataset_get(d[k], i, NULL, s[k]), GRD_OK);
        assert_memory_equal(s[0]->data[0], s[1]->data[0], 2 * (f[0]->dtype == GRD_U8 ? 1 : 4));
    }
    for (int k = 0; k < 2; k++) {
        grd_sample_free(s[k], ctx);
        grd_dataset_free(d[k]);
    }
}

static void a_mapped_file_gives_the_same_samples_in_every_type_and_byte_order(void **state)
{
    (void)state;
    static const struct { const char *name; int size; } type[] = {
        { "b1", 1 }, { "u1", 1 }, { "i1", 1 }, { "u2", 2 }, { "i2", 2 }, { "u4", 4 },
        { "i4", 4 }, { "u8", 8 }, { "i8", 8 }, { "f2", 2 }, { "f4", 4 }, { "f8", 8 } };
    for (size_t t = 0; t < sizeof type / sizeof *type; t++)
        for (int pad = 0; pad < 8; pad++)
            for (int big = 0; big < 2; big++) {
                char descr[8];
                snprintf(descr, sizeof descr, "%c%s", type[t].size == 1 ? '|' : big ? '>' : '<', type[t].name);
                write_raw("m.npy", descr, type[t].size, "False", "(3, 2)", 6, pad);
                same_samples("arrays=x:%/m.npy mmap=true", "arrays=x:%/m.npy mmap=false");
            }
}

static void a_mapped_array_is_converted_when_it_is_asked_for(void **state)
{
    (void)state;
    grd_dataset *d, *part[2];
    grd_sample *s;
    write_all();
    ok(ctx, grd_dataset_open(ctx, "npy", with_dir("arrays=group:%/big.npy,features:%/x.npy,label:%/y.npy mmap=true"), &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 2, NULL, s), GRD_OK);
    assert_true(*(int32_t *)s->data[0] == 2 && ((float *)s->data[1])[1] == 6 && *(int32_t *)s->data[2] == 1);
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_ERR_DATA);
    assert_non_null(strstr(s->error, "big.npy: element 1 of int64 is 1099511627776, which i32 cannot hold"));
    grd_sample_free(s, ctx);
    fails(ctx, GRD_ERR_DATA, "bad.npy: sample 1: label -1", /* labels are read and counted as ever */
          grd_dataset_open(ctx, "npy", with_dir("arrays=label:%/bad.npy mmap=true"), &d));
    ok(ctx, grd_dataset_open(ctx, "npy", with_dir("arrays=group:%/y.npy mmap=true"), &d));
    ok(ctx, grd_dataset_split(d, (double[]){ 0.6, 0.4 }, 2, &(grd_split_opts){ .group = "group" }, part));
    assert_int_equal(grd_dataset_length(part[0]) + grd_dataset_length(part[1]), 3);
}

static void set_byte(const char *name, long at, int value)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputc(value, f), value);
    assert_int_equal(fclose(f), 0);
}

/* What is written into a mapped file shows; a file that was read is done with. */
static void only_large_files_are_mapped_unasked(void **state)
{
    (void)state;
    enum { N = 65 << 20 };
    static const struct { const char *name, *more; bool mapped; } each[] = {
        { "small.npy", "", false }, { "small.npy", "mmap=true", true },
        { "large.npy", "", true }, { "large.npy", "mmap=false", false } };
    char path[400], text[60];
    snprintf(text, sizeof text, "(%d,)", N);
    const long start[] = { write_raw("small.npy", "|u1", 1, "False", "(3,)", 3, 0),
                           write_raw("large.npy", "|u1", 1, "False", text, 3, 0) };
    snprintf(path, sizeof path, "%s/large.npy", dir);
    assert_int_equal(truncate(path, start[1] + N), 0); /* a hole: it takes no room */
    for (int k = 0; k < 4; k++) {
        grd_dataset *d;
        grd_sample *s;
        const long first = start[k / 2];
        snprintf(path, sizeof path, "arrays=x:%s/%s %s", dir, each[k].name, each[k].more);
        set_byte(each[k].name, first, 1);
        ok(ctx, grd_dataset_open(ctx, "npy", path, &d));
        set_byte(each[k].name, first, 77);
        ok(ctx, grd_sample_new(d, ctx, &s));
        assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
        assert_int_equal(*(uint8_t *)s->data[0], each[k].mapped ? 77 : 1);
        assert_int_equal(grd_dataset_get(d, 2, NULL, s), GRD_OK);
        assert_int_equal(*(uint8_t *)s->data[0], 3);
        grd_sample_free(s, ctx);
        grd_dataset_free(d);
    }
}

static const uint8_t compressed[] = { /* x.npy of 7, 8, 9 as uint8, deflated */
    80, 75, 3, 4, 20, 0, 0, 0, 8, 0, 0, 0, 33, 0, 231, 64, 3, 1, 68, 0, 0, 0,
    71, 0, 0, 0, 5, 0, 0, 0, 120, 46, 110, 112, 121, 155, 236, 23, 234, 27, 16, 201, 200, 96,
    197, 80, 173, 158, 146, 90, 156, 92, 164, 110, 165, 160, 94, 83, 106, 168, 174, 163, 160, 158, 150, 95,
    84, 82, 148, 152, 23, 159, 95, 148, 146, 10, 18, 119, 75, 204, 41, 78, 5, 138, 23, 103, 36, 22,
    164, 2, 249, 26, 198, 58, 154, 58, 10, 181, 92, 236, 28, 156, 0, 80, 75, 1, 2, 20, 3, 20,
    0, 0, 0, 8, 0, 0, 0, 33, 0, 231, 64, 3, 1, 68, 0, 0, 0, 71, 0, 0, 0, 5,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 120, 46, 110, 112, 121,
    80, 75, 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, 51, 0, 0, 0, 103, 0, 0, 0, 0, 0,
};

static void what_cannot_be_mapped_says_why(void **state)
{
    (void)state;
    grd_dataset *d;
    write_all();
    write_raw("f.npy", "<i4", 4, "True", "(3, 2)", 6, 0);
    put(dir, "c.npz", (bytes){ (uint8_t *)(uintptr_t)compressed, sizeof compressed }, sizeof compressed);
    fails(ctx, GRD_ERR_UNSUPPORTED,
          "f.npy: in Fortran order, where a sample lies all over the file: it cannot be mapped; save it with "
          "numpy.ascontiguousarray",
          grd_dataset_open(ctx, "npy", with_dir("arrays=x:%/f.npy mmap=true"), &d));
    ok(ctx, grd_dataset_open(ctx, "npy", with_dir("arrays=x:%/f.npy"), &d));
    fails(ctx, GRD_ERR_UNSUPPORTED, "c.npz: x: compressed: it cannot be mapped; numpy.savez does not compress",
          grd_dataset_open(ctx, "npz", with_dir("file=%/c.npz mmap=true"), &d));
    ok(ctx, grd_dataset_open(ctx, "npz", with_dir("file=%/c.npz"), &d));
    assert_int_equal(grd_dataset_length(d), 3);
    expect_arrays("npz", "file=%/train.npz mmap=true", 3);
    expect_arrays("npy", "arrays=features:%/x.npy,label:%/y.npy mmap=true", 3);
    put(dir, "short.npy", (bytes){ (uint8_t *)(uintptr_t)compressed, 9 }, 0);
    fails(ctx, GRD_ERR_FORMAT, "short.npy: not a .npy file",
          grd_dataset_open(ctx, "npy", with_dir("arrays=x:%/short.npy mmap=true"), &d));
    put(dir, "short.npz", (bytes){ (uint8_t *)(uintptr_t)compressed, 9 }, 0);
    assert_int_equal(grd_dataset_open(ctx, "npz", with_dir("file=%/short.npz mmap=true"), &d), GRD_ERR_FORMAT);
}

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct { const char *source, *spec, *message; grd_status status; } wrong[] = {
        { "npy", "arrays=x.npy", "arrays: \"x.npy\", expected FIELD:NAME", GRD_ERR_ARG },
        { "npy", "arrays=x:%/x.npy,label:%/two.npy", "two.npy: 2 samples, expected 3 as field \"x\" has", GRD_ERR_DATA },
        { "npy", "arrays=x:%/one.npy", "one.npy: 0 dimensions, expected 1 to ", GRD_ERR_DATA },
        { "npy", "arrays=x:%/none.npy", "none.npy: an empty array", GRD_ERR_DATA },
        { "npy", "arrays=label:%/bad.npy", "bad.npy: sample 1: label -1, expected 0..", GRD_ERR_DATA },
        { "npy", "arrays=label:%/y.npy classes=2", "y.npy: sample 0: label 2, expected 0..1", GRD_ERR_DATA },
        { "npy", "arrays=x:%/big.npy", "big.npy", GRD_ERR_DATA },
        { "npy", "arrays=label:%/x.npy", "x.npy", GRD_ERR_DATA },
        { "npy", "arrays=x:%/missing.npy", "missing.npy", GRD_ERR_IO },
        { "npy", "arrays=x:%/x.npy part=test", "there is no part test", GRD_ERR_ARG },
        { "npz", "file=%/train.npz arrays=x:z", "features", GRD_ERR_FORMAT },
        { "npz", "file=%/x.npy", "x.npy", GRD_ERR_FORMAT },
    };
    grd_dataset *d;
    write_all();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        grd_status status = grd_dataset_open(ctx, wrong[i].source, with_dir(wrong[i].spec), &d);
        if (status != wrong[i].status || !strstr(grd_error(ctx), wrong[i].message))
            fail_msg("%s: %s: %s", wrong[i].spec, grd_status_name(status), grd_error(ctx));
    }
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    static const char *const each[][2] = { { "npy", "arrays=features:%/x.npy,label:%/y.npy" }, { "npz", "file=%/train.npz" },
                                           { "npy", "arrays=features:%/x.npy,label:%/y.npy mmap=true" },
                                           { "npz", "file=%/train.npz mmap=true" } };
    write_all();
    for (int k = 0; k < 4; k++)
        for (int64_t n = 1;; n++) {
            counter counted = { .refuse = n };
            grd_allocator a = counting(&counted);
            grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
            grd_dataset *d;
            bool refused = true;
            if (c) {
                grd_status status = grd_dataset_open(c, each[k][0], with_dir(each[k][1]), &d);
                refused = counted.calls >= n;
                if (status != (refused ? GRD_ERR_MEMORY : GRD_OK))
                    fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(c));
                grd_close(c);
            }
            assert_int_equal(counted.live, 0);
            if (!refused)
                break;
        }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_host, teardown)
    const struct CMUnitTest tests[] = { TEST(arrays_become_fields), TEST(what_does_not_fit_is_refused_with_a_sentence),
                                        TEST(a_mapped_file_gives_the_same_samples_in_every_type_and_byte_order),
                                        TEST(a_mapped_array_is_converted_when_it_is_asked_for),
                                        TEST(only_large_files_are_mapped_unasked), TEST(what_cannot_be_mapped_says_why),
                                        TEST(refused_allocations_leak_and_crash_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
