/* The command stopped by Ctrl-C and killed, at whatever moment, and gone on with: the same metrics and the same weights as never
 * stopped. The same whatever the number of loader workers. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include "base/host.h"
#include "format/pth.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Two stages, the second with an average of the weights, dropout, batch norm, clipping, accumulation with a short last group, a
 * schedule, workers; saves at every step. */
static const char config[] = "run: {epochs: 3, batch: 16, seed: 3, threads: 1}\n"
                             "data: {source: spirals, n: 400, classes: 3, workers: 2, subsets: {fit: {per_class: 100}, choose: {}},\n"
                             "       train: fit, val: choose}\n"
                             "model: {blocks: {body: [{linear: 24}, batchnorm, relu, {dropout: 0.2}], head: [{linear: 3}]},\n"
                             "        layers: [body, head]}\n"
                             "loss: cross_entropy\n"
                             "metrics: [accuracy]\n"
                             "optim: {adam: {lr: 1e-2}}\n"
                             "schedule: cosine\n"
                             "train: {accumulate: 3, checkpoint_seconds: 0.000001}\n"
                             "stages:\n"
                             "  first: {}\n"
                             "  second: {init: {from: first, layers: body}, run: {epochs: 4}, train: {ema: 0.9}}\n";

static const char *const stages[] = { "first", "second" };
enum { STAGES = 2 };

static void assert_same_file(const char *a, const char *b)
{
    size_t sizes[2];
    char *text[2] = { read_text(a, &sizes[0]), read_text(b, &sizes[1]) };
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(text[0], text[1], sizes[0]);
    free(text[0]);
    free(text[1]);
}

/* Weights, their average and optimizer; the rest of last.pth holds times. */
static void assert_same_last(const char *a, const char *b, bool average)
{
    grd_host host;
    grd_pth file[2];
    grd_host_init(&host, NULL);
    assert_int_equal(grd_pth_read(&host, a, &file[0]), GRD_OK);
    assert_int_equal(grd_pth_read(&host, b, &file[1]), GRD_OK);
    static const char *const parts[] = { "state_dict", "optimizer", "epoch", "lr", "state_dict_ema" };
    size_t n = sizeof parts / sizeof *parts - !average;
    for (size_t i = 0; i < n; i++) {
        const grd_value *value = grd_value_find(file[0].root, parts[i]);
        assert_non_null(value);
        assert_true(grd_value_equal(value, grd_value_find(file[1].root, parts[i])));
    }
    grd_pth_close(&file[0]);
    grd_pth_close(&file[1]);
}

static void path_of(char path[300], const char *dir, const char *stage, const char *name)
{
    int n = snprintf(path, 300, "%s/%s%s%s", dir, stage, *name ? "/" : "", name);
    assert_true(n > 0 && n < 300);
}

static void assert_same_run(const char *run_a, const char *run_b)
{
    char a[300], b[300];
    for (int i = 0; i < STAGES; i++) {
        path_of(a, run_a, stages[i], "");
        path_of(b, run_b, stages[i], "");
        char *metrics[2] = { read_metrics(a), read_metrics(b) };
        assert_string_equal(metrics[0], metrics[1]);
        free(metrics[0]);
        free(metrics[1]);
        static const char *const same[] = { "best.pth", "done.json" };
        for (int k = 0; k < 2; k++) {
            path_of(a, run_a, stages[i], same[k]);
            path_of(b, run_b, stages[i], same[k]);
            assert_same_file(a, b);
        }
        path_of(a, run_a, stages[i], "last.pth");
        path_of(b, run_b, stages[i], "last.pth");
        assert_same_last(a, b, i == 1);
    }
}

static void begin(const char *more, const char *dir)
{
    char line[200];
    write_text("run.yaml", config);
    snprintf(line, sizeof line, "train run.yaml run.dir=%s --quiet%s", dir, more);
    expect(line, 0, "");
}

static void two_runs_are_the_same(void **state)
{
    (void)state;
    begin("", "a");
    begin("", "b");
    assert_same_run("a", "b");
    begin(" run.seed=4", "c");
    char *a = read_metrics("a/first"), *c = read_metrics("c/first");
    assert_string_not_equal(a, c);
    free(a);
    free(c);
}

static void workers_change_nothing(void **state)
{
    (void)state;
    begin(" data.workers=0", "w0");
    begin(" data.workers=1", "w1");
    begin(" data.workers=3", "w3");
    begin(" data.workers=8", "w8");
    assert_same_run("w0", "w1");
    assert_same_run("w0", "w3");
    assert_same_run("w0", "w8");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Starts the run, or goes on with it, sends `signal` after `wait` seconds; the exit code. */
static int interrupted(const char *dir, double wait, int number)
{
    char line[200], path[200];
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    snprintf(line, sizeof line, is_there(path) ? "train %s" : "train run.yaml run.dir=%s", dir);
    pid_t pid = gradus_start(line, "log");
    double end = seconds() + wait;
    while (seconds() < end)
        nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
    kill(pid, number);
    return gradus_wait(pid);
}

static void stopped_and_resumed(int number, int code_if_stopped)
{
    enum { STOPS = 25 };
    begin("", "once"); /* the files are in the cache: what it takes now is what it takes */
    double begun = seconds();
    begin("", "whole");
    double whole = seconds() - begun;
    unsigned random = 12345;
    int stops = 0;
    for (int i = 0; i < STOPS; i++) {
        random = random * 1103515245u + 12345u;
        int code = interrupted("parts", whole * ((double)(random >> 16 & 0x7fff) / 0x7fff), number);
        stops += code == code_if_stopped;
        if (code == 0) { /* it was through: another */
            assert_same_run("whole", "parts");
            expect("train parts --quiet", 0, "");
            assert_int_equal(system("rm -rf parts"), 0);
        } else if (code != code_if_stopped) {
            char *log = read_text("log", NULL);
            fail_msg("exit %d, expected %d: %s", code, code_if_stopped, log);
        }
    }
    assert_true(stops > 3);
    if (!is_there("parts/config.yaml"))
        begin("", "parts");
    expect("train parts --quiet", 0, "");
    assert_same_run("whole", "parts");
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    stopped_and_resumed(SIGKILL, 128 + SIGKILL);
}

static void interrupted_at_any_moment(void **state)
{
    (void)state;
    stopped_and_resumed(SIGINT, 130);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_runs_are_the_same, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(workers_change_nothing, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(killed_at_any_moment, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(interrupted_at_any_moment, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
