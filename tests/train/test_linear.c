/* Ridge and logistic regression beside golden numbers of other programs (NumPy's solve, torch's LBFGS, in double), the
 * conditions of their minima, and lambda by folds beside one fit for each fold. */
#include "helper_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60, D = 4, WIDE = 90, MOST = 3 };

typedef struct numbers {
    float x[N * WIDE], target[N * 2];
    int32_t label[N];
    int d, classes;
} numbers;

/* n samples of d numbers; `classes` labels that hang loosely on the first of them; two targets. */
static numbers made(int d, int classes)
{
    numbers s = { .d = d, .classes = classes };
    for (int i = 0; i < N; i++) {
        float *x = s.x + i * d;
        for (int k = 0; k < d; k++)
            x[k] = (float)(sin(1.7 * i * (k + 1)) + 0.01 * k * i + 2);
        int label = (int)floor((sin(2.3 * i) * 0.5 + 0.5) * 0.999 * classes * 0.7 + 0.3 * classes * ((double)x[0] - 1) / 2.0);
        s.label[i] = label < 0 ? 0 : label < classes ? label : classes - 1;
        s.target[2 * i] = (float)(cos(0.9 * i) + 2 * (double)x[1]);
        s.target[2 * i + 1] = (float)((double)x[0] - 0.5 * (double)x[3] + 1);
    }
    return s;
}

static grd_dataset *set_of(grd_ctx *ctx, const numbers *s, int n)
{
    grd_field field[3] = { { .name = "x", .dtype = GRD_F32, .shape = { 1, { s->d } } },
                           { .name = "label", .dtype = GRD_I32, .classes = s->classes },
                           { .name = "target", .dtype = GRD_F32, .shape = { 1, { 2 } } } };
    grd_dataset *data;
    OK(ctx, grd_dataset_from_arrays(ctx, n, 3, field, (const void *const[]){ s->x, s->label, s->target }, true, &data));
    return data;
}

static void assert_near(const double *found, const double *expected, int n, double bound)
{
    for (int i = 0; i < n; i++)
        if (!(fabs(found[i] - expected[i]) <= bound))
            fail_msg("number %d: %.12g, expected %.12g", i, found[i], expected[i]);
}

static void ridge_on_numbers_is_numpy_s(void **state)
{
    (void)state;
    static const double weight[2 * D] = { 4.770767233347e-02, 1.995660917506,      -7.246532549448e-02, -3.812713006614e-02,
                                          9.916429886269e-01, -4.865978001644e-04, -6.514099443978e-04, -4.967981006764e-01 };
    static const double bias[2] = { 0.217525328278, 1.010240104753 };
    grd_ctx *ctx = grd_open(NULL);
    numbers s = made(D, 2);
    grd_dataset *data = set_of(ctx, &s, N);
    grd_linear_model *m;
    grd_linear_scores found;
    OK(ctx, grd_ridge_fit(ctx, data, &(grd_linear_fit_opts){ .input = "x", .target = "target", .lambda = 0.25 }, &m));
    assert_int_equal(grd_linear_model_classes(m), 0);
    assert_int_equal(grd_linear_model_outputs(m), 2);
    assert_near(grd_linear_model_weight(m), weight, 2 * D, 1e-11);
    assert_near(grd_linear_model_bias(m), bias, 2, 1e-11);
    OK(ctx, grd_linear_model_evaluate(m, data, &found, NULL));
    assert_near(&found.mse, (const double[]){ 0.2496740635059292 }, 1, 1e-12);
    assert_near(&found.r2, (const double[]){ 0.8488300261550413 }, 1, 1e-12);
    assert_true(isnan(found.accuracy) && isnan(found.log_loss));
    grd_close(ctx);
}

static void logistic_regression_is_torch_s_minimum(void **state)
{
    (void)state;
    static const struct {
        int classes;
        double weight[MOST * D], bias[MOST], log_loss, accuracy;
    } gold[] = { { 2, { 0, 0, 0, 0, 0.402572786116, 0.418393258254, 0.118009530899, -0.033903578321 }, { 0, -1.689476569883 },
                   0.6600486192439494, 31.0 / 60 },
                 { 3, { -0.801004199189, -0.285565663664, 0.088924316001, -0.112365990832, 0.281066376594, 0.010076081761,
                       0.123332648373, 0.185083803373, 0.519937822594, 0.275489581903, -0.212256964373, -0.072717812541 },
                   { 2.176380278085, -1.129514961239, -1.046865316846 }, 0.9888339633446084, 27.0 / 60 } };
    for (int k = 0; k < 2; k++) {
        grd_ctx *ctx = grd_open(NULL);
        numbers s = made(D, gold[k].classes);
        grd_dataset *data = set_of(ctx, &s, N);
        grd_linear_model *m;
        grd_linear_scores found;
        OK(ctx, grd_logistic_fit(ctx, data, &(grd_linear_fit_opts){ .input = "x", .target = "label", .lambda = 0.5 }, &m));
        assert_near(grd_linear_model_weight(m), gold[k].weight, gold[k].classes * D, 1e-6);
        assert_near(grd_linear_model_bias(m), gold[k].bias, gold[k].classes, 1e-6);
        OK(ctx, grd_linear_model_evaluate(m, data, &found, NULL));
        assert_near(&found.log_loss, &gold[k].log_loss, 1, 1e-7);
        assert_true(fabs(found.accuracy - gold[k].accuracy) < 1e-12);
        grd_close(ctx);
    }
}

/* At the minimum sum_i (p_ic - y_ic) x_i + lambda w_c = 0 and sum_i (p_ic - y_ic) = 0, but for row 0 of two classes. */
static double largest_gradient(const grd_linear_model *m, const numbers *s, int n, double lambda)
{
    double largest = 0, score[MOST];
    int classes = s->classes;
    for (int c = classes == 2; c < classes; c++)
        for (int k = 0; k <= s->d; k++) {
            double sum = k < s->d ? lambda * grd_linear_model_weight(m)[c * s->d + k] : 0;
            for (int i = 0; i < n; i++) {
                double all = 0;
                grd_linear_model_predict(m, s->x + i * s->d, score);
                for (int j = 0; j < classes; j++)
                    all += exp(score[j]);
                sum += (exp(score[c]) / all - (s->label[i] == c)) * (k < s->d ? (double)s->x[i * s->d + k] : 1);
            }
            largest = fmax(largest, fabs(sum));
        }
    return largest;
}

static void logistic_regression_has_no_gradient_left(void **state)
{
    (void)state;
    static const struct { int n, d, classes; double lambda; } way[] = {
        { N, D, 2, 1 }, { N, D, 3, 1 }, { 20, WIDE, 2, 0.1 }, { 20, WIDE, 3, 0.1 }, { N, D, 3, 1e-6 }, { N, D, 2, 1e5 },
        { 1, D, 2, 1 },
    };
    for (size_t k = 0; k < sizeof way / sizeof *way; k++) {
        grd_ctx *ctx = grd_open(NULL);
        numbers s = made(way[k].d, way[k].classes);
        grd_linear_model *m;
        OK(ctx, grd_logistic_fit(ctx, set_of(ctx, &s, way[k].n),
                                 &(grd_linear_fit_opts){ .input = "x", .target = "label", .lambda = way[k].lambda }, &m));
        double left = largest_gradient(m, &s, way[k].n, way[k].lambda);
        if (!(left < 1e-6))
            fail_msg("%zu: gradient %g", k, left);
        grd_close(ctx);
    }
}

/* Another way: one fit and one pass for each fold and lambda. */
static double error_by_folds(grd_ctx *ctx, const grd_dataset *data, const char *target, int folds, double lambda)
{
    bool classes = strcmp(target, "label") == 0;
    double sum = 0;
    for (int k = 0; k < folds; k++) {
        grd_dataset *part[2];
        grd_linear_model *m;
        grd_linear_scores found;
        const grd_split_opts split = { .seed = 9, .stratify = classes ? "label" : NULL };
        OK(ctx, grd_dataset_fold(data, folds, k, &split, &part[0], &part[1]));
        OK(ctx, grd_ridge_fit(ctx, part[0], &(grd_linear_fit_opts){ .input = "x", .target = target, .lambda = lambda }, &m));
        OK(ctx, grd_linear_model_evaluate(m, part[1], &found, NULL));
        sum += found.mse * (double)grd_dataset_length(part[1]);
    }
    return sum;
}

/* Of the samples' distances from their mean. */
static double mean_square(const numbers *s, int n)
{
    double sum = 0;
    for (int k = 0; k < s->d; k++) {
        double mean = 0;
        for (int i = 0; i < n; i++)
            mean += (double)s->x[i * s->d + k] / n;
        for (int i = 0; i < n; i++)
            sum += pow((double)s->x[i * s->d + k] - mean, 2) / n;
    }
    return sum;
}

static void lambda_by_folds_is_that_of_a_fit_for_each_fold(void **state)
{
    (void)state;
    static const struct { int n, d; const char *target; } way[] = {
        { N, D, "target" }, { N, D, "label" }, { 30, WIDE, "target" }, { 30, WIDE, "label" }
    };
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        grd_ctx *ctx = grd_open(NULL);
        numbers s = made(way[i].d, 3);
        grd_dataset *data = set_of(ctx, &s, way[i].n);
        grd_linear_model *chosen, *again;
        grd_linear_fit_opts opts = { .input = "x", .target = way[i].target, .folds = 4, .seed = 9 };
        OK(ctx, grd_ridge_fit(ctx, data, &opts, &chosen));
        double scale = mean_square(&s, way[i].n), lambda = grd_linear_model_lambda(chosen), best = 0, least = INFINITY;
        for (int power = 2; power >= -6; power--) {
            double error = error_by_folds(ctx, data, way[i].target, 4, scale * pow(10, power));
            best = error < least ? scale * pow(10, power) : best;
            least = fmin(error, least);
        }
        assert_true(fabs(lambda - best) < 1e-9 * best);
        opts = (grd_linear_fit_opts){ .input = "x", .target = way[i].target, .lambda = lambda };
        OK(ctx, grd_ridge_fit(ctx, data, &opts, &again));
        int64_t count = grd_linear_model_outputs(again) * way[i].d;
        assert_near(grd_linear_model_weight(chosen), grd_linear_model_weight(again), (int)count, 1e-7);
        grd_close(ctx);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    numbers s = made(WIDE, 3);
    static double kept[2][MOST * WIDE];
    for (int threads = 1; threads <= 3; threads++)
        for (int logistic = 0; logistic < 2; logistic++) {
            grd_ctx *ctx = grd_open(&(grd_opts){ .threads = threads });
            grd_linear_model *m;
            grd_linear_fit_opts opts = { .input = "x", .target = "label", .lambda = 1 };
            grd_dataset *data = set_of(ctx, &s, 40);
            OK(ctx, logistic ? grd_logistic_fit(ctx, data, &opts, &m) : grd_ridge_fit(ctx, data, &opts, &m));
            if (threads == 1)
                memcpy(kept[logistic], grd_linear_model_weight(m), sizeof *kept);
            assert_memory_equal(grd_linear_model_weight(m), kept[logistic], sizeof *kept);
            grd_close(ctx);
        }
}

static void what_cannot_be_fitted_is_refused(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    numbers s = made(D, 3);
    grd_linear_model *m;
    grd_dataset *data = set_of(ctx, &s, N);
    assert_int_equal(grd_logistic_fit(ctx, data, &(grd_linear_fit_opts){ .input = "x", .target = "target" }, &m), GRD_ERR_DATA);
    assert_non_null(strstr(grd_error(ctx), "has 0 classes, expected 2 or more"));
    grd_linear_fit_opts opts = { .input = "x", .target = "label", .lambda = -1 };
    assert_int_equal(grd_logistic_fit(ctx, data, &opts, &m), GRD_ERR_ARG);
    opts = (grd_linear_fit_opts){ .input = "x", .target = "label", .folds = 21 };
    assert_int_equal(grd_ridge_fit(ctx, data, &opts, &m), GRD_ERR_ARG);
    assert_non_null(strstr(grd_error(ctx), "21 folds of 60 samples"));
    s.x[17] = NAN;
    opts.folds = 0;
    assert_int_equal(grd_ridge_fit(ctx, set_of(ctx, &s, N), &opts, &m), GRD_ERR_NUMBER);
    assert_non_null(strstr(grd_error(ctx), "not finite"));
    assert_null(m);
    grd_close(ctx);
    ctx = grd_open(NULL); /* 1367 unknowns a class, three of them */
    enum { LARGE = 1366 };
    float *x = calloc((size_t)LARGE * LARGE, sizeof *x);
    int32_t *label = calloc(LARGE, sizeof *label);
    assert_true(x && label);
    grd_field field[2] = { { .name = "x", .dtype = GRD_F32, .shape = { 1, { LARGE } } },
                           { .name = "label", .dtype = GRD_I32, .classes = 3 } };
    OK(ctx, grd_dataset_from_arrays(ctx, LARGE, 2, field, (const void *const[]){ x, label }, false, &data));
    assert_int_equal(grd_logistic_fit(ctx, data, &opts, &m), GRD_ERR_ARG);
    assert_non_null(strstr(grd_error(ctx), "3 classes of 1366 features are too many unknowns"));
    grd_close(ctx);
    free(x);
    free(label);
}

static void refused_memory_is_reported(void **state)
{
    (void)state;
    numbers s = made(D, 3), wide = made(WIDE, 3);
    for (int way = 0; way < 4; way++)
        for (long at = 1, done = 0; !done; at++) {
            counter c = { 0 };
            grd_allocator allocator = counting(&c);
            grd_ctx *ctx = grd_open(&(grd_opts){ .threads = 1, .allocator = &allocator });
            grd_dataset *data = way % 2 ? set_of(ctx, &wide, 8) : set_of(ctx, &s, 20);
            grd_linear_model *m;
            grd_linear_fit_opts opts = { .input = "x", .target = "label", .lambda = 1, .folds = 2 };
            c.fail_at = c.calls + at;
            grd_status status = way < 2 ? grd_ridge_fit(ctx, data, &opts, &m) : grd_logistic_fit(ctx, data, &opts, &m);
            done = status == GRD_OK;
            if (!done && (status != GRD_ERR_MEMORY || m || !strstr(grd_error(ctx), "memory")))
                fail_msg("way %d, request %ld: %s: %s", way, at, grd_status_name(status), grd_error(ctx));
            grd_close(ctx);
        }
}

/* A ridge classifier on all of MNIST gives 86 %. */
static void five_thousand_mnist_pictures_give_82_percent(void **state)
{
    (void)state;
    const char *root = getenv("GRADUS_DATA");
    char spec[512];
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *part[2], *scaled[2], *few[2];
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
    grd_subset want[2] = { { .name = "many", .per_class = 500 }, { .name = "few", .per_class = 10 } };
    grd_linear_model *m;
    grd_linear_scores ridge, logistic;
    OK(ctx, grd_dataset_subsets(scaled[0], want, 2, 1, few));
    OK(ctx, grd_ridge_fit(ctx, few[0], &(grd_linear_fit_opts){ .input = "image", .target = "label", .folds = 5 }, &m));
    OK(ctx, grd_linear_model_evaluate(m, scaled[1], &ridge, NULL));
    OK(ctx, grd_logistic_fit(ctx, few[1], &(grd_linear_fit_opts){ .input = "image", .target = "label" }, &m));
    OK(ctx, grd_linear_model_evaluate(m, scaled[1], &logistic, NULL));
    print_message("test accuracy: ridge %.4f, logistic regression on 100: %.4f\n", ridge.accuracy, logistic.accuracy);
    assert_true(ridge.accuracy >= 0.82 && logistic.accuracy >= 0.64);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ridge_on_numbers_is_numpy_s),
        cmocka_unit_test(logistic_regression_is_torch_s_minimum),
        cmocka_unit_test(logistic_regression_has_no_gradient_left),
        cmocka_unit_test(lambda_by_folds_is_that_of_a_fit_for_each_fold),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(what_cannot_be_fitted_is_refused),
        cmocka_unit_test(refused_memory_is_reported),
        cmocka_unit_test(five_thousand_mnist_pictures_give_82_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
