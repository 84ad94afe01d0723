/* Transforms: values against the formula, descriptions of fields along the chain, sentences for what does not fit. */
#include "helper_setup.h"

#include <math.h>
#include <string.h>

/* 2 samples of u8 [3,7,7] (all 256 values, a size that no block divides), or the same numbers in another dtype. */
static grd_dataset *pictures(grd_dtype dtype, double lo, double hi)
{
    enum { N = 2 * 3 * 49 };
    static uint8_t u8[N];
    static int32_t i32[N];
    static float f32[N];
    int32_t label[2] = { 0, 1 };
    for (int i = 0; i < N; i++) {
        u8[i] = (uint8_t)i;
        i32[i] = u8[i];
        f32[i] = u8[i];
    }
    const void *image = dtype == GRD_U8 ? (void *)u8 : dtype == GRD_I32 ? (void *)i32 : (void *)f32;
    const grd_field field[2] = { { .name = "image", .dtype = dtype, .shape = { 3, { 3, 7, 7 } }, .lo = lo, .hi = hi },
                                 { .name = "label", .dtype = GRD_I32, .hi = 1, .classes = 2 } };
    grd_dataset *d;
    ok(ctx, grd_dataset_from_arrays(ctx, 2, 2, field, (const void *const[]){ image, label }, true, &d));
    return d;
}

static grd_dataset *with(grd_dataset *d, const char *spec)
{
    grd_dataset *t;
    ok(ctx, grd_dataset_transform(d, spec, &t));
    return t;
}

/* Both samples of d are f(byte, channel), bit for bit. */
static void expect_values(const grd_dataset *d, float (*f)(float x, int channel))
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        for (int e = 0; e < 147; e++)
            assert_true(((float *)s->data[0])[e] == f((float)((i * 147 + e) % 256), e / 49));
        assert_int_equal(*(int32_t *)s->data[1], i);
    }
    grd_sample_free(s, ctx);
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
}

static float by_255(float x, int channel) { return channel < 3 ? x / 255 : 0; }
static float to_pm1(float x, int channel) { return channel < 3 ? x / 255 * 2 + -1 : 0; }
static float normalized(float x, int channel)
{
    static const float mean[3] = { 0.5f, 0.25f, 0.125f }, std[3] = { 0.5f, 0.2f, 1.5f };
    return (x / 255 - mean[channel]) / std[channel];
}

static void expect_range(const grd_dataset *d, double lo, double hi)
{
    const grd_field *f;
    grd_dataset_fields(d, &f);
    assert_int_equal(f[0].dtype, GRD_F32);
    assert_true(grd_shape_equal(&f[0].shape, &(grd_shape){ 3, { 3, 7, 7 } }));
    assert_true(fabs(f[0].lo - lo) < 1e-12 && fabs(f[0].hi - hi) < 1e-12);
    assert_int_equal(f[1].classes, 2);
}

static void scale_divides_bytes_by_255(void **state)
{
    (void)state;
    grd_dataset *d = with(pictures(GRD_U8, 0, 255), "scale");
    expect_range(d, 0, 1);
    expect_values(d, by_255);
    d = with(pictures(GRD_U8, 0, 0), "scale"); /* bytes are 0 to 255 unless their source knows better */
    expect_range(d, 0, 1);
    expect_values(d, by_255);
}

static void scale_takes_any_dtype_and_range(void **state)
{
    (void)state;
    expect_values(with(pictures(GRD_I32, 0, 255), "scale"), by_255);
    expect_values(with(pictures(GRD_F32, 0, 255), "scale"), by_255);
    expect_values(with(pictures(GRD_F32, 0, 0), "scale from=[0,255]"), by_255);
    grd_dataset *d = with(pictures(GRD_U8, 0, 255), "scale to=[-1,1]");
    expect_range(d, -1, 1);
    expect_values(d, to_pm1);
    expect_range(with(pictures(GRD_U8, 0, 255), "scale from=[0,510]"), 0, 0.5);
    expect_range(with(pictures(GRD_U8, 0, 255), "scale to=[1,0]"), 0, 1);
    expect_values(with(with(pictures(GRD_U8, 0, 255), "scale"), "scale"), by_255);
}

static void normalize_works_per_channel_and_tracks_the_range(void **state)
{
    (void)state;
    grd_dataset *d = with(with(pictures(GRD_U8, 0, 255), "scale"), "normalize mean=[0.5,0.25,0.125] std=[0.5,0.2,1.5]");
    expect_range(d, -1.25, 3.75);
    expect_values(d, normalized);
    expect_range(with(with(pictures(GRD_U8, 0, 255), "scale"), "normalize 0.5 0.5"), -1, 1);
}

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_dataset *u8 = pictures(GRD_U8, 0, 255), *f32 = pictures(GRD_F32, 0, 0), *out;
    fails(ctx, GRD_ERR_ARG, "normalize: field \"image\" is u8, expected f32: put `scale` before it",
          grd_dataset_transform(u8, "normalize 0.5 0.5", &out));
    fails(ctx, GRD_ERR_ARG, "normalize: mean: 2 values, expected one or 3 (channels of \"image\" [3,7,7])",
          grd_dataset_transform(f32, "normalize mean=[1,2] std=1", &out));
    fails(ctx, GRD_ERR_ARG, "normalize: std: 0, expected more than 0",
          grd_dataset_transform(f32, "normalize mean=1 std=0", &out));
    fails(ctx, GRD_ERR_ARG, "normalize: give both mean and std, or none of them", grd_dataset_transform(f32, "normalize mean=1", &out));
    fails(ctx, GRD_ERR_ARG, "normalize: no field \"picture\"", grd_dataset_transform(f32, "normalize 0 1 field=picture", &out));
    fails(ctx, GRD_ERR_ARG, "scale: no field \"x\"", grd_dataset_transform(u8, "scale x", &out));
    fails(ctx, GRD_ERR_ARG, "scale: field \"label\" is a class index, not a quantity",
          grd_dataset_transform(u8, "scale label", &out));
    fails(ctx, GRD_ERR_ARG, "scale: the range of field \"image\" is not known; give from=[lo, hi]",
          grd_dataset_transform(f32, "scale", &out));
    fails(ctx, GRD_ERR_ARG, "scale: from and to are two numbers each: [lo, hi]",
          grd_dataset_transform(f32, "scale from=3", &out));
    fails(ctx, GRD_ERR_ARG, "scale: from and to are two numbers each", grd_dataset_transform(f32, "scale from=[5,5]", &out));
    assert_null(out);
}

/* ---- a user's transforms ---- */

/* jitter: adds a whole number drawn by the key to every element. */
static grd_status keep_fields(const void *options, const void *own, grd_field *field, int n, grd_ctx *c)
{
    (void)options;
    (void)own;
    (void)field;
    return n == 2 ? GRD_OK : grd_source_fail(c, GRD_ERR_ARG, "%d fields, expected 2", n);
}

static grd_status jitter(const grd_transform_call *call, grd_sample *sample)
{
    uint32_t word[4] = { 0 };
    if (call->key)
        grd_random4(call->key, 0, 0, word);
    for (int64_t e = 0; e < grd_count(&call->in[0].shape); e++)
        ((float *)sample->data[0])[e] += (float)(word[0] % 1000);
    return GRD_OK;
}

static grd_status refuse_odd(const grd_transform_call *call, grd_sample *sample)
{
    assert_null(call->key); /* it is not random */
    return *(int32_t *)sample->data[1] % 2 ? grd_sample_fail(sample, GRD_ERR_DATA, "label is odd") : GRD_OK;
}

static const grd_transform jitter_row = {
    .name = "jitter", .doc = "test", .fields = keep_fields, .apply = jitter, .random = true
};
static const grd_transform even_row = { .name = "even", .doc = "test", .fields = keep_fields, .apply = refuse_odd };

static grd_status shrink_fields(const void *options, const void *own, grd_field *field, int n, grd_ctx *c)
{
    (void)options;
    (void)own;
    (void)n;
    (void)c;
    field[0].shape = (grd_shape){ 1, { 10 } };
    return GRD_OK;
}

static grd_status keep_ten(const grd_transform_call *call, grd_sample *sample)
{
    int64_t skip_n = grd_count(&call->in[0].shape) - grd_count(&call->out[0].shape);
    float *x = sample->data[0];
    memmove(x, x + skip_n, (size_t)grd_count(&call->out[0].shape) * sizeof *x);
    return GRD_OK;
}

static const grd_transform last_ten_row = { .name = "last_ten", .doc = "test", .fields = shrink_fields, .apply = keep_ten };

static void samples_have_room_for_the_widest_step(void **state)
{
    (void)state;
    ok(ctx, grd_transform_register(ctx, &last_ten_row));
    grd_dataset *d = with(with(pictures(GRD_U8, 0, 255), "scale"), "last_ten");
    const grd_field *f;
    grd_sample *s;
    grd_loader *l;
    const grd_batch *b;
    grd_dataset_fields(d, &f);
    assert_int_equal(grd_count(&f[0].shape), 10);
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_OK);
    ok(ctx, grd_loader_new(ctx, d, NULL, &l));
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
    for (int e = 0; e < 20; e++)
        assert_true(((float *)b->data[0])[e] == (float)((e / 10 * 147 + 137 + e % 10) % 256) / 255);
    assert_memory_equal(s->data[0], (float *)b->data[0] + 10, 10 * sizeof(float));
    assert_int_equal(((int32_t *)b->data[1])[1], 1);
    grd_sample_free(s, ctx);
}

static float first_element(const grd_dataset *d, const grd_key *key)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 0, key, s), GRD_OK);
    float x = *(float *)s->data[0];
    grd_sample_free(s, ctx);
    return x;
}

static void users_transforms_get_their_own_keys_and_their_errors_arrive(void **state)
{
    (void)state;
    ok(ctx, grd_transform_register(ctx, &jitter_row));
    ok(ctx, grd_transform_register(ctx, &even_row));
    fails(ctx, GRD_ERR_ARG, "there is one of that name already", grd_transform_register(ctx, &jitter_row));
    grd_dataset *once = with(pictures(GRD_F32, 0, 0), "jitter"), *twice = with(once, "jitter");
    const grd_key a = { 1, 2, 3 }, b = { 1, 2, 4 };
    assert_true(first_element(once, NULL) == 0);
    float x = first_element(once, &a), y = first_element(twice, &a);
    assert_true(x == first_element(once, &a) && x != first_element(once, &b));
    assert_true(y != x && y != 2 * x); /* the second one draws for itself */
    grd_sample *s;
    grd_dataset *even = with(once, "even");
    ok(ctx, grd_sample_new(even, ctx, &s));
    assert_int_equal(grd_dataset_get(even, 0, &a, s), GRD_OK);
    assert_int_equal(grd_dataset_get(even, 1, &a, s), GRD_ERR_DATA);
    assert_string_equal(s->error, "even: sample 1: label is odd");
    grd_sample_free(s, ctx);
    grd_dataset *moons, *out;
    float v = 0;
    grd_field field = { .name = "x" };
    ok(ctx, grd_dataset_from_arrays(ctx, 1, 1, &field, (const void *const[]){ &v }, true, &moons));
    fails(ctx, GRD_ERR_ARG, "even: 1 fields, expected 2", grd_dataset_transform(moons, "even", &out));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(scale_divides_bytes_by_255), TEST(scale_takes_any_dtype_and_range),
        TEST(normalize_works_per_channel_and_tracks_the_range), TEST(what_does_not_fit_is_refused_with_a_sentence),
        TEST(samples_have_room_for_the_widest_step), TEST(users_transforms_get_their_own_keys_and_their_errors_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
