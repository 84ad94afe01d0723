/* gradus linear: what it prints, and for what it is not made. */
#include "helper_cli.h"

#include <jansson.h>
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
        assert_true(number(val, "accuracy") > 0.75 && number(val, "accuracy") < 0.97); /* moons are not quite separable by a line */
    }
    assert_true(number(json_object_get(json_object_get(all, "logistic"), "val"), "log_loss") < 0.6);
    json_decref(all);
    expect("linear moons.yaml", 0, ">logistic               1");
    assert_false(is_there("runs"));
}

static void the_command_line_is_held_to_account(void **state)
{
    (void)state;
    write_text("moons.yaml", config);
    expect("linear", 2, "expected one config");
    expect("linear moons.yaml stage=none", 2, "none");
    expect("linear moons.yaml data.n=4 data.val_fraction=0", 1, "expected at least 5");
    expect("help linear", 0, ">usage: gradus linear CONFIG|RUN");
    expect("check moons.yaml", 0, ">the baseline to beat: gradus linear moons.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_classes_both_models_are_told, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(the_command_line_is_held_to_account, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
