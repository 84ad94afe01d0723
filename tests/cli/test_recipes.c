/* The recipes of real data sets, where the data are: `gradus check` opens and verifies them and has nothing to say. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "helper_cli.h"

#include <gradus/data.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* needs: a file of the data set, below GRADUS_DATA. */
static void check_recipe(const char *name, const char *needs, const char *samples)
{
    char path[1200], line[1200];
    if (!getenv("GRADUS_DATA"))
        setenv("GRADUS_DATA", GRD_SOURCE_DIR "/../shared/data", 1);
    if (needs[0] == '/')
        snprintf(path, sizeof path, "%s", needs);
    else
        snprintf(path, sizeof path, "%s/%s", getenv("GRADUS_DATA"), needs);
    if (!is_there(path)) {
        fprintf(stderr, "skipped: %s is not there\n", path);
        skip();
    }
    snprintf(line, sizeof line, "check " GRD_SOURCE_DIR "/recipes/data/%s.yaml", name);
    result r = gradus(line);
    if (r.code != 0 || !strstr(r.out, samples) || !strstr(r.out, "the doctor found nothing"))
        fail_msg("%s: exit code %d\n%s%s", name, r.code, r.out, r.err);
}

static void mnist(void **state)
{
    (void)state;
    check_recipe("mnist", "mnist/train-images-idx3-ubyte.gz", "54000 samples to train on, 6000 to choose by, 10000 to test on");
}

static void fashion_mnist(void **state)
{
    (void)state;
    check_recipe("fashion-mnist", "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz", "54000 samples to train on");
}

static void cifar10(void **state)
{
    (void)state;
    check_recipe("cifar10", "cifar10/cifar-10-batches-bin.tar.xz",
                 "45000 samples to train on, 5000 to choose by, 10000 to test on");
}

static void keypoints(void **state)
{
    (void)state;
    check_recipe("keypoints", "keypoints/train-images-idx3-ubyte.gz",
                 "1546 samples to train on, 298 to choose by, 160 to test on");
}

static void msrc(void **state)
{
    (void)state;
    check_recipe("msrc", "msrc/train.txt", "276 samples to train on, 59 to choose by, 56 to test on");
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = { ONE(mnist), ONE(fashion_mnist), ONE(cifar10), ONE(keypoints), ONE(msrc) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
