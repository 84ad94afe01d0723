/* The closed form against its normal equations, and on MNIST. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 3 };

static grd_status ridge(grd_ctx *ctx, const grd_dataset *train, const grd_dataset *val, const char *input, const char *target,
                        double lambda, grd_linear_model **model)
{
    const grd_linear_fit_opts opts = { .input = input, .target = target, .lambda = lambda, .val = val };
    return grd_ridge_fit(ctx, train, &opts, model);
}

/* n samples of d numbers, classes in turn, from a fixed recipe. */
static grd_dataset *samples(grd_ctx *ctx, int n, int d, float *x, int32_t *y)
{
    for (int i = 0; i < n; i++) {
        y[i] = i % CLASSES;
        for (int k = 0; k < d; k++)
            x[i * d + k] = (float)(sin(1.7 * i * (k + 1)) + 0.3 * (y[i] == k % CLASSES) + 5);
    }
    grd_field field[2] = { { .name = "x", .dtype = GRD_F32, .shape = { 1, { d } } },
                           { .name = "label", .dtype = GRD_I32, .classes = CLASSES } };
    grd_dataset *data;
    OK(ctx, grd_dataset_from_arrays(ctx, n, 2, field, (const void *const[]){ x, y }, false, &data));
    return data;
}

/* At the minimum, for every class c: sum_i (w x_i + b - y_ic) x_i + lambda w = 0 and sum_i (w x_i + b - y_ic) = 0. */
static double largest_gradient(const grd_linear_model *r, int n, int d, const float *x, const int32_t *y)
{
    double largest = 0;
    const double *w = grd_linear_model_weight(r);
    for (int c = 0; c < CLASSES; c++) {
        double sum = 0, g[64] = { 0 };
        for (int i = 0; i < n; i++) {
            double error = grd_linear_model_bias(r)[c] - (y[i] == c);
            for (int k = 0; k < d; k++)
                error += w[c * d + k] * (double)x[i * d + k];
            sum += error;
            for (int k = 0; k < d; k++)
                g[k] += error * (double)x[i * d + k];
        }
        largest = fmax(largest, fabs(sum));
        for (int k = 0; k < d; k++)
            largest = fmax(largest, fabs(g[k] + grd_linear_model_lambda(r) * w[c * d + k]));
    }
    return largest;
}

static void both_systems_solve_the_normal_equations(void **state)
{
    (void)state;
    static float x[600 * 40];
    static int32_t y[600];
    for (int way = 0; way < 4; way++) {
        int n = way % 2 ? 12 : 600, d = way % 2 ? 40 : 7; /* samples outnumber features, or not */
        grd_ctx *ctx = grd_open(NULL);
        grd_dataset *data = samples(ctx, n, d, x, y);
        grd_linear_model *r;
        OK(ctx, ridge(ctx, data, NULL, "x", "label", way < 2 ? 0.5 : GRD_RIDGE_DEFAULT, &r));
        assert_int_equal(grd_linear_model_features(r), d);
        assert_int_equal(grd_linear_model_classes(r), CLASSES);
        assert_true(largest_gradient(r, n, d, x, y) < 1e-9);
        double scores[CLASSES];
        grd_linear_scores found;
        int64_t confusion[CLASSES * CLASSES], right = 0, all = 0;
        OK(ctx, grd_linear_model_evaluate(r, data, &found, confusion));
        for (int i = 0; i < n; i++)
            right += grd_linear_model_predict(r, x + i * d, scores) == y[i];
        for (int i = 0; i < CLASSES * CLASSES; i++)
            all += confusion[i];
        assert_int_equal(all, n);
        assert_int_equal(confusion[0] + confusion[4] + confusion[8], right);
        assert_true(fabs(found.accuracy - (double)right / n) < 1e-15);
        grd_close(ctx);
    }
}

static void its_file_is_a_linear_layer(void **state)
{
    (void)state;
    static float x[30 * 5];
    static int32_t y[30];
    char dir[256], path[512];
    make_folder(dir, "ridge");
    snprintf(path, sizeof path, "%s/best.pth", dir);
    grd_ctx *ctx = grd_open(NULL);
    grd_linear_model *r;
    OK(ctx, ridge(ctx, samples(ctx, 30, 5, x, y), NULL, "x", "label", 0.1, &r));
    OK(ctx, grd_linear_model_save(r, path));
    grd_graph *g = grd_graph_new(ctx);
    grd_var in = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 5 });
    grd_var w = grd_param(g, "weight", (grd_init){ 0 }, 2, (int64_t[]){ CLASSES, 5 });
    grd_f_linear(in, w, grd_param(g, "bias", (grd_init){ 0 }, 1, (int64_t[]){ CLASSES }));
    grd_model *model;
    OK(ctx, grd_model_new(g, NULL, &model));
    OK(ctx, grd_model_load(model, path, NULL, NULL));
    for (int i = 0; i < CLASSES * 5; i++)
        assert_true(((float *)grd_model_tensor(model, 0).data)[i] == (float)grd_linear_model_weight(r)[i]);
    grd_close(ctx);
    remove_folder(dir);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    float x[6] = { 0 };
    int32_t y[6];
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *data = samples(ctx, 3, 2, x, y);
    grd_linear_model *r;
    assert_int_equal(ridge(ctx, data, NULL, "image", "label", 1, &r), GRD_ERR_DATA);
    assert_int_equal(ridge(ctx, data, NULL, "x", "x", 1, &r), GRD_ERR_DATA);
    assert_int_equal(ridge(ctx, data, NULL, "x", "label", -1, &r), GRD_ERR_ARG);
    assert_int_equal(ridge(ctx, data, NULL, "x", "label", GRD_RIDGE_AUTO, &r), GRD_ERR_ARG);
    y[1] = 7;
    assert_int_equal(ridge(ctx, data, NULL, "x", "label", 1, &r), GRD_ERR_DATA);
    assert_non_null(strstr(grd_error(ctx), "label 7"));
    grd_close(ctx);
}

/* 10 labels a class, three draws: 66 % on all test images is what such a model reaches. */
static void a_hundred_mnist_labels_give_64_percent(void **state)
{
    (void)state;
    const char *root = getenv("GRADUS_DATA");
    char spec[512];
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *part[2], *scaled[2];
    snprintf(spec, sizeof spec, "dir=%s/mnist part=train", root ? root : GRD_SOURCE_DIR "/../shared/data");
    bool there = grd_dataset_open(ctx, "idx", spec, &part[0]) == GRD_OK;
    snprintf(spec, sizeof spec, "dir=%s/mnist part=test", root ? root : GRD_SOURCE_DIR "/../shared/data");
    there = there && grd_dataset_open(ctx, "idx", spec, &part[1]) == GRD_OK;
    if (!there) {
        print_message("no MNIST: %s\n", grd_error(ctx));
        grd_close(ctx);
        skip();
    }
    for (int i = 0; i < 2; i++)
        OK(ctx, grd_dataset_transform(part[i], "scale", &scaled[i]));
    double mean = 0, chosen = 0;
    grd_linear_scores found;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        grd_dataset *set[2];
        grd_subset want[2] = { { .name = "labelled", .per_class = 10 }, { .name = "holdout", .per_class = 10 } };
        grd_linear_model *r;
        OK(ctx, grd_dataset_subsets(scaled[0], want, 2, seed, set));
        OK(ctx, ridge(ctx, set[0], NULL, "image", "label", GRD_RIDGE_DEFAULT, &r));
        OK(ctx, grd_linear_model_evaluate(r, scaled[1], &found, NULL));
        mean += found.accuracy / 3;
        OK(ctx, ridge(ctx, set[0], set[1], "image", "label", GRD_RIDGE_AUTO, &r));
        OK(ctx, grd_linear_model_evaluate(r, scaled[1], &found, NULL));
        chosen += found.accuracy / 3;
    }
    print_message("test accuracy, mean of three: %.4f, lambda chosen on validation: %.4f\n", mean, chosen);
    assert_true(mean >= 0.64 && chosen >= 0.64);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_systems_solve_the_normal_equations),
        cmocka_unit_test(its_file_is_a_linear_layer),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(a_hundred_mnist_labels_give_64_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
