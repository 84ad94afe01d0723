/* The real files, where they are: MNIST in GRADUS_DATA, Fashion-MNIST where Debian's package puts it. */
#include "helper_data.h"

#include <stdio.h>
#include <string.h>

/* Opens part, checks every sample, the number of each class, and the sum of all bytes. */
static void expect_set(grd_ctx *ctx, const char *source, const char *spec, int64_t n, const int64_t count[10], int64_t byte_sum)
{
    grd_dataset *d;
    grd_sample *s;
    int64_t found[10], sum = 0;
    ok(ctx, grd_dataset_open(ctx, source, spec, &d));
    assert_int_equal(grd_dataset_length(d), n);
    ok(ctx, grd_dataset_verify(ctx, d, found, 10));
    for (int c = 0; c < 10; c++)
        assert_int_equal(found[c], count[c]);
    ok(ctx, grd_sample_new(d, ctx, &s));
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        for (int e = 0; e < 784; e++)
            sum += ((uint8_t *)s->data[0])[e];
    }
    assert_true(sum == byte_sum);
    grd_sample_free(s, ctx);
}

static void mnist_is_read_whole(void **state)
{
    (void)state;
    char spec[1100];
    const char *dir = real_dir("mnist", "train-images-idx3-ubyte.gz");
    if (!dir)
        skip();
    grd_ctx *ctx = grd_open(NULL);
    snprintf(spec, sizeof spec, "dir=%s", dir);
    expect_set(ctx, "mnist", spec, 60000, (int64_t[]){ 5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949 }, 1567298545);
    snprintf(spec, sizeof spec, "dir=%s part=test", dir);
    expect_set(ctx, "fashion-mnist", spec, 10000, (int64_t[]){ 980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009 },
               264923200);
    grd_close(ctx);
}

static void fashion_mnist_is_found_where_debian_puts_it(void **state)
{
    (void)state;
    if (!real_dir("/usr/share/datasets/fashion-mnist", "train-images-idx3-ubyte.gz"))
        skip();
    grd_ctx *ctx = grd_open(NULL);
    int64_t count[10];
    for (int c = 0; c < 10; c++)
        count[c] = 6000;
    expect_set(ctx, "fashion-mnist", NULL, 60000, count, 3431114169);
    for (int c = 0; c < 10; c++)
        count[c] = 1000;
    expect_set(ctx, "fashion-mnist", "part=test", 10000, count, 573469082);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mnist_is_read_whole),
                                        cmocka_unit_test(fashion_mnist_is_found_where_debian_puts_it) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
