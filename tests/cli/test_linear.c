/* gradus linear: what it prints, and for what it is not made. */
#include "helper_cli.h"

#include <gradus/gradus.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *printed(const char *line)
{
    result r = gradus(line);
    if (r.code != 0)
        fail_msg("gradus %s: exit %d: %s", line, r.code, r.err);
    json_t *value = json_loads(r.out, 0, NULL);
    assert_non_null(value);
    return value;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static const char config[] = "data: {source: moons, n: 400, noise: 0.1, val_fraction: 0.25}\n"
                             "model: {layers: [{linear: 2}]}\n"
                             "loss: cross_entropy\n";

static void of_classes_both_models_are_told(void **state)
{
    (void)state;
    write_text("moons.yaml", config);
    json_t *all = printed("linear moons.yaml --json");
    assert_true(number(all, "features") == 2 && number(all, "classes") == 2);
    const char *const models[] = { "ridge", "logistic" };
    for (int i = 0; i < 2; i++) {
        const json_t *model = json_object_get(all, models[i]), *val = json_object_get(model, "val");
        assert_true(number(model, "lambda") > 0);
        assert_true(number(val, "accuracy") > 0.75 && number(val, "accuracy") < 0.97); /* no line parts moons */
    }
    assert_true(number(json_object_get(json_object_get(all, "logistic"), "val"), "log_loss") < 0.6);
    json_decref(all);
    expect("linear moons.yaml", 0, ">logistic               1");
    assert_false(is_there("runs"));
}

/* 200 rows that a line can tell. */
static void write_classes(void)
{
    char text[6000];
    int n = snprintf(text, sizeof text, "a,b,kind\n");
    for (int i = 0; i < 200; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%d,%c,%s\n", i, "3141592653"[i % 10], i < 100 ? "low" : "high");
    write_text("c.csv", text);
}

static void a_finished_run_shows_the_line_to_beat(void **state)
{
    (void)state;
    write_classes();
    write_text("c.yaml", "run: {batch: 32, epochs: 1}\n"
                         "data: {source: csv, file: c.csv, target: kind, parts: [0.6, 0.2, 0.2], val: val, transform: [standardize]}\n"
                         "model: {layers: [{linear: 2}]}\n"
                         "loss: cross_entropy\nmetrics: [accuracy]\n");
    json_t *linear = printed("linear c.yaml --json"), *all = printed("train c.yaml run.name=a --json");
    const json_t *stage = json_object_get(json_object_get(all, "stages"), "train");
    const double expected = number(json_object_get(json_object_get(linear, "ridge"), "test"), "accuracy");
    assert_true(expected == 1);
    assert_true(number(json_object_get(stage, "ridge"), "accuracy") == expected);
    json_decref(linear);
    json_decref(all);
    all = printed("train runs/a --json"); /* done before: read again */
    stage = json_object_get(json_object_get(all, "stages"), "train");
    assert_true(number(json_object_get(stage, "ridge"), "accuracy") == expected);
    json_decref(all);
    expect("train runs/a", 0, ">  ridge              -       -              -              -       100.00 %");
    expect("train runs/a", 0, ">ridge: a linear model of the same data, the baseline to beat");
    result r = gradus("train c.yaml run.name=b train.baseline=false");
    assert_int_equal(r.code, 0);
    assert_null(strstr(r.out, "ridge"));
    r = gradus("train c.yaml run.name=c data.num_samples=8"); /* too few for its folds */
    assert_int_equal(r.code, 0);
    assert_null(strstr(r.out, "ridge"));
}

static void the_command_line_is_held_to_account(void **state)
{
    (void)state;
    write_text("moons.yaml", config);
    expect("linear", 2, "expected one config");
    expect("linear moons.yaml stage=none", 2, "none");
    expect("linear moons.yaml data.n=4 data.val_fraction=0", 1, "expected at least 5");
    expect("help linear", 0, ">usage: gradus linear CONFIG|RUN");
    expect("check moons.yaml", 0, ">the baseline to beat: gradus linear moons.yaml\n");
    write_text("two.yaml", "data: {source: moons, n: 400}\nmodel: {layers: [{linear: 2}]}\nloss: cross_entropy\n"
                           "stages: {a: {}, b: {}}\n");
    expect("check two.yaml", 0, ">the baseline to beat: gradus linear two.yaml stage=b\n");
}

/* ---- numbers: a source of this test, y = 2 a - b + 3 and a little more ---- */

static grd_status plane_open(void **state, const void *options, grd_ctx *ctx)
{
    (void)options, (void)ctx;
    *state = NULL;
    return GRD_OK;
}

static int64_t plane_length(const void *state)
{
    (void)state;
    return 100;
}

static int plane_fields(const void *state, grd_field *out, int max)
{
    (void)state, (void)max;
    out[0] = (grd_field){ .name = "target", .dtype = GRD_F32, .shape = { .rank = 0 } };
    out[1] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { .rank = 1, .dim = { 2 } } };
    return 2;
}

static grd_status plane_get(const void *state, int64_t index, grd_sample *out)
{
    (void)state;
    double i = (double)index, a = sin(3 * i), b = cos(5 * i);
    float *x = out->data[1];
    x[0] = (float)a;
    x[1] = (float)b;
    *(float *)out->data[0] = (float)(2 * a - b + 3 + 0.01 * sin(i * i));
    return GRD_OK;
}

static const grd_source plane = { .name = "plane", .doc = "A plane.", .open = plane_open, .length = plane_length,
                                  .fields = plane_fields, .get = plane_get };

static grd_pipeline *open_plane(grd_ctx *ctx, const char *more)
{
    char text[500];
    grd_pipeline *p;
    snprintf(text, sizeof text, "run: {dir: plane}\n"
                                "data: {source: plane, subsets: {fit: {count: 80}, choose: {}}, train: fit, val: choose, test: choose}\n%s",
             more);
    write_text("plane.yaml", text);
    if (grd_source_register(ctx, &plane) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    if (grd_pipeline_open(ctx, "plane.yaml", &(grd_pipeline_opts){ .progress = GRD_PROGRESS_OFF }, &p) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    return p;
}

static void of_numbers_ridge_is_told_and_a_stage_fits_it(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_baselines b;
    grd_pipeline *p = open_plane(ctx, "model: {layers: [{linear: 1}]}\nloss: mse\n");
    if (grd_pipeline_baselines(p, NULL, &b) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    assert_true(b.n == 1 && b.classes == 0 && b.outputs == 1 && b.features == 2 && b.samples == 80 && !b.too_large);
    assert_true(b.item[0].has_val && b.item[0].val.r2 > 0.999 && b.item[0].val.mse < 1e-3 && isnan(b.item[0].val.accuracy));
    grd_close(ctx);
    ctx = grd_open(NULL);
    p = open_plane(ctx, "stages: {line: {kind: linear, ridge: {lambda: 1e-3}}}\n");
    if (grd_pipeline_train(p) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    const grd_stage_result *r = grd_pipeline_result(p, 0);
    assert_true(r->done && r->val_loss < 1e-3 && r->n_test == 2 && r->test[1].value > 0.999);
    assert_string_equal(r->test[1].name, "r2");
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_classes_both_models_are_told, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(of_numbers_ridge_is_told_and_a_stage_fits_it, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_finished_run_shows_the_line_to_beat, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(the_command_line_is_held_to_account, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
