/* The nine workloads of bench/, smaller, under the debug executor: every step of two training steps beside the reference kernels. */
#include "helper_cli.h"

#include <stdio.h>

static void every_step_agrees_with_the_reference(void **state)
{
    (void)state;
    static const struct { const char *name; int batch; const char *more; } workloads[] = {
        { "tiny", 16, "" }, { "ae", 16, "" }, { "mlp", 8, "" }, { "cnn", 3, "" }, { "resnet20", 2, "" },
        { "keypoint", 2, "data.shape=[1,48,48]" }, { "unet", 2, "data.shape=[3,64,64] data.label_shape=[64,64]" }, { "lstm", 2, "" },
        { "gpt", 1, "" },
    };
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        char line[400];
        snprintf(line, sizeof line, "train " GRD_SOURCE_DIR "/bench/%s.yaml run.dir=%s train.debug=check run.epochs=2 run.batch=%d "
                 "data.n=%d --quiet %s", workloads[i].name, workloads[i].name, workloads[i].batch, workloads[i].batch, workloads[i].more);
        expect(line, 0, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_step_agrees_with_the_reference, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
