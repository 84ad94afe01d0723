/* train: {ema: ...} at the command line: what later stages take, what is left alone, what is said of it. */
#include "helper_cli.h"

#include "base/host.h"
#include "format/pth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One stage with an average, and one that starts from it with its body frozen. The learning rate is large: weights and average
 * differ. */
static const char config[] = "run: {epochs: 3, batch: 16, seed: 3}\n"
                             "data: {source: spirals, n: 200, classes: 3, subsets: {fit: {per_class: 50}, choose: {}}, train: fit,\n"
                             "       val: choose, test: choose}\n"
                             "model: {blocks: {body: [{linear: 12}, batchnorm, relu], head: [{linear: 3}]}, layers: [body, head]}\n"
                             "loss: cross_entropy\n"
                             "optim: {adam: {lr: 0.04}}\n"
                             "train: {ema: 0.9}\n"
                             "stages:\n"
                             "  first: {}\n"
                             "  second: {init: {from: first, layers: body, freeze: true}}\n";

static int enter(void **state)
{
    int failed = enter_folder(state);
    write_text("run.yaml", config);
    return failed;
}

typedef struct file { grd_host host; grd_pth pth; } file;

static void open_file(file *f, const char *path)
{
    grd_host_init(&f->host, NULL);
    assert_int_equal(grd_pth_read(&f->host, path, &f->pth), GRD_OK);
}

static const grd_value *tensor_of(const file *f, const char *dict, const char *name)
{
    const grd_value *value = grd_value_get(grd_value_get(f->pth.root, dict), name);
    assert_true(grd_value_is(value, GRD_VALUE_TENSOR));
    return value;
}

static void a_later_stage_takes_the_average_and_frozen_layers_keep_it(void **state)
{
    (void)state;
    static const char *const frozen[] = { "body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias" };
    expect("train run.yaml run.dir=r --quiet", 0, "");
    file best, last, second, second_last;
    open_file(&best, "r/first/best.pth");
    open_file(&last, "r/first/last.pth");
    open_file(&second, "r/second/best.pth");
    open_file(&second_last, "r/second/last.pth");
    for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++) {
        const grd_value *average = tensor_of(&best, "state_dict", frozen[i]);
        assert_false(grd_value_equal(average, tensor_of(&last, "state_dict", frozen[i])));
        assert_true(grd_value_equal(average, tensor_of(&second, "state_dict", frozen[i])));
        assert_true(grd_value_equal(average, tensor_of(&second_last, "state_dict", frozen[i])));
        assert_true(grd_value_equal(average, tensor_of(&second_last, "state_dict_ema", frozen[i])));
    }
    assert_false(grd_value_equal(tensor_of(&second_last, "state_dict", "head.0.weight"),
                                 tensor_of(&second_last, "state_dict_ema", "head.0.weight")));
    grd_pth_close(&best.pth);
    grd_pth_close(&last.pth);
    grd_pth_close(&second.pth);
    grd_pth_close(&second_last.pth);
}

/* The number after `key` in what a command prints, behind `after`. */
static double printed(const char *line, const char *after, const char *key)
{
    result r = gradus(line);
    const char *from = strstr(r.out, after), *found = from ? strstr(from, key) : NULL;
    if (!found)
        fail_msg("gradus %s: exit %d, no %s: %s%s", line, r.code, key, r.out, r.err);
    return strtod(found + strlen(key), NULL);
}

static void what_is_evaluated_is_what_was_chosen(void **state)
{
    (void)state;
    expect("train run.yaml run.dir=r --quiet", 0, "");
    double chosen = printed("show r --json", "\"second\"", "\"val_loss\": ");
    const double found[] = { printed("show r --json", "\"second\"", "\"loss\": "), /* of the test: the same samples */
                             printed("eval r split=val --json", "", "\"loss\": "),
                             printed("eval r split=test --json", "", "\"loss\": ") };
    for (int i = 0; i < 3; i++)
        assert_true(fabs(found[i] - chosen) < 1e-6 * chosen); /* other batches, so other sums */
}

static void show_tells_of_it(void **state)
{
    (void)state;
    expect("train run.yaml run.dir=r --quiet", 0, "");
    expect("show r/first/best.pth", 0, ">the weights are a moving average (ema 0.9)");
    expect("show r/first/last.pth", 0, ">moving average of the weights (ema 0.9) beside them, as state_dict_ema");
    expect("show r/first/best.pth --json", 0, ">\"ema_key\": \"state_dict\"");
    expect("show r/first/last.pth --json", 0, ">\"ema_key\": \"state_dict_ema\"");
    expect("train run.yaml run.dir=plain train.ema=off --quiet", 0, "");
    result plain = gradus("show plain/first/last.pth");
    assert_null(strstr(plain.out, "average"));
}

static void the_doctor_sees_an_average_that_is_too_long_for_the_run(void **state)
{
    (void)state;
    /* 150 samples, 10 batches, 3 epochs: the first of 30 steps has 0.999^29 = 97 %; 0.9^29 = 5 % are left of it with 0.9019 */
    expect("check run.yaml train.ema=0.999", 0, ">warning: moving average: after 30 steps the average is still the first step's "
                                                "weights by 97 %; with ema: 0.9019 it would be by 5 %");
    expect("check run.yaml run.epochs=1 train.ema=0.9 train.accumulate=2", 0, ">after 5 steps");
    expect("check run.yaml run.max_steps=7 train.ema=0.9", 0, ">after 7 steps");
    expect("check run.yaml train.ema=0.9", 0, ">the doctor found nothing");
    expect("check run.yaml train.ema=off", 0, ">the doctor found nothing");
}

static void a_wrong_decay_and_a_change_of_mind_are_refused(void **state)
{
    (void)state;
    expect("train run.yaml run.dir=r train.ema=1", 2, "train: ema: 1 is out of range, expected 0 to 0.999999");
    expect("train run.yaml run.dir=r run.max_steps=2 --quiet", 0, "");
    assert_int_equal(system("rm r/first/done.json r/second/done.json"), 0);
    expect("train r train.ema=off", 2, "written by a run with ema, this one has it off");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_later_stage_takes_the_average_and_frozen_layers_keep_it, enter, leave_folder),
        cmocka_unit_test_setup_teardown(what_is_evaluated_is_what_was_chosen, enter, leave_folder),
        cmocka_unit_test_setup_teardown(show_tells_of_it, enter, leave_folder),
        cmocka_unit_test_setup_teardown(the_doctor_sees_an_average_that_is_too_long_for_the_run, enter, leave_folder),
        cmocka_unit_test_setup_teardown(a_wrong_decay_and_a_change_of_mind_are_refused, enter, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
