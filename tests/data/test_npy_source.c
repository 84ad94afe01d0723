/* NumPy's arrays as fields: types, classes, parts, and what is said of arrays that do not fit. */
#include "format/npy.h"

#include "helper_data.h"

#include <stdio.h>
#include <string.h>

static grd_ctx *ctx;
static grd_host host;
static char dir[256];

static int setup(void **state)
{
    (void)state;
    ctx = grd_open(NULL);
    grd_host_init(&host, NULL);
    snprintf(dir, sizeof dir, "%s", temp_dir());
    return ctx ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    grd_close(ctx);
    remove_dir(dir);
    return 0;
}

static void write_array(const char *name, grd_npy_type type, int rank, const int64_t *dim, const void *data)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(grd_npy_write(&host, path, type, rank, dim, data), GRD_OK);
}

static const double x[] = { 0.5, 1, -2, 1e-3, 5, 6 };
static const int64_t y[] = { 2, 0, 1 }, bad[] = { 2, -1, 1 }, shape[] = { 3, 2 };

static char *spec_of(const char *text)
{
    static char spec[1200];
    size_t n = 0;
    for (const char *c = text; *c && n + 300 < sizeof spec; c++)
        n += (size_t)(*c == '%' ? snprintf(spec + n, sizeof spec - n, "%s", dir) : snprintf(spec + n, sizeof spec - n, "%c", *c));
    return spec;
}

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
    ok(ctx, grd_dataset_open(ctx, source, spec_of(spec), &d));
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
        grd_status status = grd_dataset_open(ctx, wrong[i].source, spec_of(wrong[i].spec), &d);
        if (status != wrong[i].status || !strstr(grd_error(ctx), wrong[i].message))
            fail_msg("%s: %s: %s", wrong[i].spec, grd_status_name(status), grd_error(ctx));
    }
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    static const char *const each[][2] = { { "npy", "arrays=features:%/x.npy,label:%/y.npy" }, { "npz", "file=%/train.npz" } };
    write_all();
    for (int k = 0; k < 2; k++)
        for (int64_t n = 1;; n++) {
            counter memory = { .refuse = n };
            grd_allocator a = counting(&memory);
            grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
            grd_dataset *d;
            bool refused = true;
            if (c) {
                grd_status status = grd_dataset_open(c, each[k][0], spec_of(each[k][1]), &d);
                refused = memory.calls >= n;
                if (status != (refused ? GRD_ERR_MEMORY : GRD_OK))
                    fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(c));
                grd_close(c);
            }
            assert_int_equal(memory.live, 0);
            if (!refused)
                break;
        }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = { TEST(arrays_become_fields), TEST(what_does_not_fit_is_refused_with_a_sentence),
                                        TEST(refused_allocations_leak_and_crash_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
