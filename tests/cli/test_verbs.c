/* What the verbs print: with --json one object on stdout and nothing else, in the form the help promises. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The JSON that a command prints; it must be one line. json_decref it. */
static json_t *printed(const char *line)
{
    result r = gradus(line);
    if (r.code != 0)
        fail_msg("gradus %s: exit %d: %s", line, r.code, r.err);
    const char *end = strchr(r.out, '\n');
    assert_true(end && !end[1]);
    json_error_t error;
    json_t *value = json_loads(r.out, 0, &error);
    if (!value)
        fail_msg("gradus %s: not JSON: %s: %s", line, error.text, r.out);
    return value;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
    const char *value = json_string_value(json_object_get(object, key));
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void write_stages(void)
{
    write_idx(".", "train", 100);
    write_idx(".", "t10k", 40);
    write_text("stages.yaml", "run: {epochs: 2, batch: 10}\n"
                              "data:\n"
                              "  source: fashion-mnist\n"
                              "  dir: .\n"
                              "  subsets: {fit: {per_class: 4}, choose: {per_class: 2}, rest: {}}\n"
                              "  transform: [scale]\n"
                              "model:\n"
                              "  blocks:\n"
                              "    encoder: [flatten, {linear: 6}, relu]\n"
                              "    decoder: [{linear: 16}, {reshape: [1, 4, 4]}]\n"
                              "    head: [{linear: 10}]\n"
                              "metrics: [accuracy]\n"
                              "stages:\n"
                              "  linear: {kind: linear, data: {train: fit, val: choose}}\n"
                              "  pretrain: {data: {train: rest, val: choose}, model: {layers: [encoder, decoder]},\n"
                              "             loss: {mse: {target: image}}, metrics: []}\n"
                              "  tune: {data: {train: fit, val: choose}, model: {layers: [encoder, head]}, loss: cross_entropy,\n"
                              "         init: {from: pretrain, layers: encoder, freeze: true}}\n");
}

static void train_tells_every_stage(void **state)
{
    (void)state;
    write_stages();
    json_t *all = printed("train stages.yaml run.dir=r --json");
    assert_text(all, "run", "r");
    assert_int_equal(json_object_size(all), 2);
    json_t *stages = json_object_get(all, "stages");
    assert_int_equal(json_object_size(stages), 3);
    const json_t *linear = json_object_get(stages, "linear"), *pretrain = json_object_get(stages, "pretrain"),
                 *tune = json_object_get(stages, "tune");
    assert_true(number(linear, "epochs") == 1 && number(tune, "epochs") == 2 && number(tune, "best_epoch") >= 1);
    assert_true(number(tune, "val_loss") > 0);
    assert_true(number(json_object_get(linear, "test"), "accuracy") >= 0.1);
    assert_true(number(json_object_get(tune, "test"), "loss") > 0);
    assert_true(number(json_object_get(pretrain, "test"), "mse") > 0);
    assert_null(json_object_get(json_object_get(pretrain, "test"), "accuracy"));

    /* the table says the same, and where the pictures are */
    result r = gradus("train r");
    char text[32];
    snprintf(text, sizeof text, "%.5f", number(tune, "val_loss"));
    assert_true(r.code == 0 && strstr(r.out, "linear") && strstr(r.out, "tune") && strstr(r.out, text));
    assert_true(is_there("r/loss-curves.svg") && is_there("r/reconstructions.png"));
    assert_non_null(strstr(r.err, "r/reconstructions.png"));

    /* eval repeats the test's figures from the files alone */
    json_t *eval = printed("eval r --json");
    assert_text(eval, "split", "test");
    assert_true(fabs(number(eval, "loss") - number(json_object_get(tune, "test"), "loss")) < 1e-6);
    assert_true(number(eval, "accuracy") == number(json_object_get(tune, "test"), "accuracy"));
    json_decref(eval);
    eval = printed("eval r stage=pretrain --json");
    assert_true(fabs(number(eval, "mse") - number(json_object_get(pretrain, "test"), "mse")) < 1e-7);
    json_decref(eval);
    json_decref(all);
}

static void runs_get_folders_of_their_own(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        json_t *all = printed("train ok.yaml --json --quiet");
        assert_text(all, "run", i == 1 ? "runs/small" : i == 2 ? "runs/small-2" : "runs/small-3");
        json_decref(all);
    }
}

static void the_resolved_config_repeats_the_run(void **state)
{
    (void)state;
    expect("train ok.yaml run.dir=a run.seed=5 optim.adam.lr=3e-3 --quiet", 0, "");
    expect("train a/config.yaml run.dir=b --quiet", 0, "");
    char *a = read_metrics("a/train"), *b = read_metrics("b/train");
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\"lr\": 0.003"));
    free(a);
    free(b);
}

static void gradcheck_lists_ops_or_parameters(void **state)
{
    (void)state;
    json_t *all = printed("gradcheck --json"), *ops = json_object_get(all, "ops"), *op;
    size_t i;
    assert_true(json_array_size(ops) > 60);
    json_array_foreach(ops, i, op)
        assert_true(json_is_true(json_object_get(op, "pass")) && number(op, "max_rel_error") <= 1e-7);
    json_decref(all);
    all = printed("gradcheck ok.yaml --json");
    ops = json_object_get(all, "ops");
    assert_int_equal(json_array_size(ops), 4);
    assert_text(json_array_get(ops, 0), "name", "0.weight");
    json_decref(all);
}

static void bench_prints_one_object_a_line(void **state)
{
    (void)state;
    write_text("wide.yaml", "extends: ok.yaml\nmodel: {layers: [{linear: 100}, relu, {linear: 3}]}\nrun: {name: wide}\n");
    result r = gradus("bench ok.yaml wide.yaml --threads 2 --seconds 0.1");
    assert_int_equal(r.code, 0);
    static const char *const name[] = { "small", "wide" };
    char *line = r.out;
    for (int i = 0; i < 2; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        json_t *one = json_loads(line, 0, NULL);
        assert_non_null(one);
        assert_text(one, "workload", name[i]);
        assert_true(number(one, "threads") == 2 && number(one, "params") == (i ? 603 : 51));
        assert_true(number(one, "min_ms") > 0 && number(one, "min_ms") <= number(one, "median_ms"));
        assert_true(number(one, "rss_mib") > 1 && number(one, "steps") >= 5);
        assert_true(number(one, "start_ms") > 0 && number(one, "start_ms") < 5000);
        assert_true(number(one, "roofline_ms") > 0 && number(one, "roofline_ms") < 1);
        assert_true(number(one, "gflop") > 0 && number(one, "moved_mb") > 0);
        json_decref(one);
        line = end + 1;
    }
    assert_string_equal(line, "");
}

static void check_says_what_a_step_takes(void **state)
{
    (void)state;
    expect("check ok.yaml", 0, ">stage train: 120 samples to train on, 40 to choose by");
    expect("check ok.yaml", 0, ">51 parameters, 0 of them frozen");
    expect("check ok.yaml", 0, ">the doctor found nothing");
    expect("check ok.yaml", 0, ">with run: {memory: low}: values ");
    expect("check ok.yaml run.memory=low", 0, ">memory low: values ");
    expect("check ok.yaml optim.adam.lr=1", 0, ">warning: learning rate: ");
    expect("check ok.yaml optim.adam.lr=1e-3 train.clip_norm=off", 0, ">warning: clipping: ");
    assert_false(is_there("runs"));
}

static void help_is_there_for_everything(void **state)
{
    (void)state;
    expect("help", 0, ">usage: gradus VERB");
    expect("--help", 0, ">usage: gradus VERB");
    expect("help train", 0, ">usage: gradus train CONFIG|RUN");
    expect("train --help", 0, ">usage: gradus train CONFIG|RUN");
    expect("help config", 0, ">clip_norm");
    expect("version", 0, ">gradus ");
    expect("ops", 0, ">conv2d");
    expect("ops conv2d", 0, ">stride");
    static const char *const verbs[] = { "train", "eval", "check", "gradcheck", "ops", "show", "bench", "version" };
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char line[64];
        snprintf(line, sizeof line, "help %s", verbs[i]);
        expect(line, 0, ">usage: gradus ");
        snprintf(line, sizeof line, ">  %s ", verbs[i]);
        expect("help", 0, line);
    }
}

static void what_is_not_a_terminal_gets_plain_lines(void **state)
{
    (void)state;
    result r = gradus("train ok.yaml run.dir=r");
    assert_int_equal(r.code, 0);
    assert_null(strchr(r.err, '\r'));
    assert_null(strchr(r.err, '\033'));
    assert_null(strchr(r.out, '\033'));
    assert_non_null(strstr(r.err, "Epoch [2/2]"));
    r = gradus("train ok.yaml run.dir=q --quiet --json");
    assert_string_equal(r.err, "");
}

/* What GNU's OpenMP read when it was loaded: each time the command is, so that the last one counts. */
static void threads_wait_briefly_unless_told_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *line, *told, *expected;
    } rows[] = {
        { "train ok.yaml run.epochs=1 --quiet", NULL, "GOMP_SPINCOUNT = '3000'" },
        { "train ok.yaml run.epochs=1 --quiet", "123", "GOMP_SPINCOUNT = '123'" },
        { "train ok.yaml run.epochs=1 --quiet --threads 1", NULL, "GOMP_SPINCOUNT = '300000'" },
        { "version", NULL, "GOMP_SPINCOUNT = '300000'" },
    };
    write_text("ok.yaml", small_config);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        skip();
    setenv("OMP_DISPLAY_ENV", "verbose", 1);
    unsetenv("OMP_WAIT_POLICY");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].told)
            setenv("GOMP_SPINCOUNT", rows[i].told, 1);
        else
            unsetenv("GOMP_SPINCOUNT");
        const result r = gradus(rows[i].line);
        assert_int_equal(r.code, 0);
        const char *last = NULL;
        for (const char *at = r.err; (at = strstr(at, "GOMP_SPINCOUNT")); at++)
            last = at;
        if (!last || strncmp(last, rows[i].expected, strlen(rows[i].expected)) != 0)
            fail_msg("%s: found %.30s, expected %s", rows[i].line, last ? last : "nothing", rows[i].expected);
    }
    unsetenv("OMP_DISPLAY_ENV");
    unsetenv("GOMP_SPINCOUNT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(train_tells_every_stage, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(runs_get_folders_of_their_own, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(the_resolved_config_repeats_the_run, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(gradcheck_lists_ops_or_parameters, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(bench_prints_one_object_a_line, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(check_says_what_a_step_takes, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(help_is_there_for_everything, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(what_is_not_a_terminal_gets_plain_lines, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(threads_wait_briefly_unless_told_otherwise, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
