/* The command stopped by Ctrl-C and killed, at whatever moment, and gone on with: the same metrics and the same weights as never
 * stopped. The same whatever the number of loader workers. Of samples drawn at random, of texts of all lengths in buckets, of
 * pictures that are changed at random. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include "base/host.h"
#include "format/pth.h"

#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct job {
    const char *config;
    int stages;
    const char *stage[2];
    void (*make)(void); /* its data; NULL: none */
} job;

/* Two stages, the second with an average of the weights, dropout, batch norm, clipping, accumulation with a short last group, a
 * schedule, workers; saves at every step. */
static const job spirals = { "run: {epochs: 3, batch: 16, seed: 3, threads: 1}\n"
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
                             "  second: {init: {from: first, layers: body}, run: {epochs: 4}, train: {ema: 0.9}}\n",
                             2, { "first", "second" }, NULL };

/* Fields whose length varies, in batches of like length. */
static void make_texts(void)
{
    FILE *out = fopen("t.tsv", "w");
    unsigned random = 1;
    assert_non_null(out);
    fputs("label\ttext\n", out);
    for (int i = 0; i < 240; i++) {
        fprintf(out, "%s\t", i % 2 ? "good" : "bad");
        for (int k = 0, n = 1 + i * 7 % 23; k < n; k++) {
            random = random * 1103515245u + 12345u;
            fprintf(out, "%c%c ", "abcdef"[random >> 16 & 3], i % 2 ? 'x' : 'y');
        }
        fputc('\n', out);
    }
    assert_int_equal(fclose(out), 0);
}

static const job texts = { "run: {epochs: 3, batch: 8, seed: 3, threads: 1}\n"
                           "data: {source: labelled_text, file: t.tsv, sampler: bucketed, workers: 3,\n"
                           "       val_fraction: 0.2, stratify: label}\n"
                           "model: {layers: [{embedding: {num: 12, dim: 8}}, {lstm: {hidden: 8, output: last}}, {dropout: 0.2},\n"
                           "                 {linear: 2}]}\n"
                           "loss: cross_entropy\n"
                           "optim: {adam: {lr: 1e-2}}\n"
                           "train: {checkpoint_seconds: 0.000001}\n",
                           1, { "train" }, make_texts };

/* Pictures of all sizes, changed at random, one by one and as a batch. */
static void make_pictures(void)
{
    static png_byte pixels[40 * 40 * 3];
    assert_true(mkdir("p", 0777) == 0 && mkdir("p/a", 0777) == 0 && mkdir("p/b", 0777) == 0);
    for (unsigned i = 0; i < 80; i++) {
        char path[40];
        png_image image = { .version = PNG_IMAGE_VERSION, .width = 16 + i * 5 % 23, .height = 16 + i * 11 % 19,
                            .format = PNG_FORMAT_RGB };
        for (unsigned k = 0; k < sizeof pixels; k++)
            pixels[k] = (png_byte)(k * k * (i + 3) >> 7);
        snprintf(path, sizeof path, "p/%c/%u.png", i % 2 ? 'a' : 'b', i);
        assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
    }
}

static const job pictures = { "run: {epochs: 3, batch: 6, seed: 3, threads: 1}\n"
                              "data:\n"
                              "  source: image_folder\n"
                              "  dir: p\n"
                              "  workers: 3\n"
                              "  val_fraction: 0.2\n"
                              "  transform: [augment, scale]\n"
                              "  augment: [{random_rotation: 20}, {random_crop: {size: 16, padding: 2, pad_if_needed: true}},\n"
                              "            random_horizontal_flip, {color_jitter: {brightness: 0.3, hue: 0.1}},\n"
                              "            {random_erasing: {p: 0.5}}, {gaussian_noise: {sigma: 0.05}}]\n"
                              "  evaluate: [{center_crop: 16}]\n"
                              "model: {layers: [{conv2d: {out: 4, kernel: 3}}, batchnorm, relu, {maxpool2d: 2}, flatten,\n"
                              "                 {linear: 2}]}\n"
                              "loss: cross_entropy\n"
                              "optim: {adam: {lr: 1e-2}}\n"
                              "train: {checkpoint_seconds: 0.000001}\n",
                              1, { "train" }, make_pictures };

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

static void assert_same_run(const job *j, const char *run_a, const char *run_b)
{
    char a[300], b[300];
    for (int i = 0; i < j->stages; i++) {
        path_of(a, run_a, j->stage[i], "");
        path_of(b, run_b, j->stage[i], "");
        char *metrics[2] = { read_metrics(a), read_metrics(b) };
        assert_string_equal(metrics[0], metrics[1]);
        free(metrics[0]);
        free(metrics[1]);
        static const char *const same[] = { "best.pth", "done.json" };
        for (int k = 0; k < 2; k++) {
            path_of(a, run_a, j->stage[i], same[k]);
            path_of(b, run_b, j->stage[i], same[k]);
            assert_same_file(a, b);
        }
        path_of(a, run_a, j->stage[i], "last.pth");
        path_of(b, run_b, j->stage[i], "last.pth");
        assert_same_last(a, b, i == 1);
    }
}

static void begin(const job *j, const char *more, const char *dir)
{
    char line[200];
    if (j->make && !is_there("run.yaml"))
        j->make();
    write_text("run.yaml", j->config);
    snprintf(line, sizeof line, "train run.yaml run.dir=%s --quiet%s", dir, more);
    expect(line, 0, "");
}

static void two_runs_are_the_same(void **state)
{
    (void)state;
    begin(&spirals, "", "a");
    begin(&spirals, "", "b");
    assert_same_run(&spirals, "a", "b");
    begin(&spirals, " run.seed=4", "c");
    char *a = read_metrics("a/first"), *c = read_metrics("c/first");
    assert_string_not_equal(a, c);
    free(a);
    free(c);
}

static void workers_change_nothing(const job *j)
{
    begin(j, " data.workers=0", "w0");
    begin(j, " data.workers=1", "w1");
    begin(j, " data.workers=3", "w3");
    begin(j, " data.workers=8", "w8");
    assert_same_run(j, "w0", "w1");
    assert_same_run(j, "w0", "w3");
    assert_same_run(j, "w0", "w8");
}

static void workers_change_nothing_with_spirals(void **state)
{
    (void)state;
    workers_change_nothing(&spirals);
}

static void workers_change_nothing_with_texts(void **state)
{
    (void)state;
    workers_change_nothing(&texts);
}

static void workers_change_nothing_with_pictures(void **state)
{
    (void)state;
    workers_change_nothing(&pictures);
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

/* Whether the run is in the middle of an epoch of its first stage. */
static bool is_within_an_epoch(const job *j)
{
    char path[300];
    grd_host host;
    grd_pth file;
    path_of(path, "parts", j->stage[0], "last.pth");
    if (!is_there(path))
        return false;
    grd_host_init(&host, NULL);
    assert_int_equal(grd_pth_read(&host, path, &file), GRD_OK);
    const grd_value *closed = grd_value_find(file.root, "gradus/epoch_closed");
    assert_non_null(closed);
    const bool within = !grd_value_to_bool(closed, true);
    grd_pth_close(&file);
    return within;
}

static void stopped_and_resumed(const job *j, int number, int code_if_stopped)
{
    enum { STOPS = 25, MOST = 400 };
    begin(j, "", "once"); /* the files are in the cache: what it takes now is what it takes */
    double begun = seconds();
    begin(j, "", "whole");
    double whole = seconds() - begun;
    unsigned random = 12345;
    int stops = 0, within = 0;
    for (int i = 0; i < STOPS || ((stops < 4 || within < 1) && i < MOST); i++) { /* a machine with other work needs more */
        random = random * 1103515245u + 12345u;
        int code = interrupted("parts", whole * ((double)(random >> 16 & 0x7fff) / 0x7fff), number);
        stops += code == code_if_stopped;
        within += code == code_if_stopped && is_within_an_epoch(j);
        if (code == 0) { /* it was through: another */
            assert_same_run(j, "whole", "parts");
            expect("train parts --quiet", 0, "");
            assert_int_equal(system("rm -rf parts"), 0);
        } else if (code != code_if_stopped) {
            char *log = read_text("log", NULL);
            fail_msg("exit %d, expected %d: %s", code, code_if_stopped, log);
        }
    }
    assert_true(stops > 3 && within > 0);
    if (!is_there("parts/config.yaml"))
        begin(j, "", "parts");
    expect("train parts --quiet", 0, "");
    assert_same_run(j, "whole", "parts");
}

static void killed_at_any_moment(void **state)
{
    (void)state;
    stopped_and_resumed(&spirals, SIGKILL, 128 + SIGKILL);
}

static void interrupted_at_any_moment(void **state)
{
    (void)state;
    stopped_and_resumed(&spirals, SIGINT, 130);
}

static void killed_at_any_moment_with_buckets_of_texts(void **state)
{
    (void)state;
    stopped_and_resumed(&texts, SIGKILL, 128 + SIGKILL);
}

static void killed_at_any_moment_with_pictures_changed_at_random(void **state)
{
    (void)state;
    stopped_and_resumed(&pictures, SIGKILL, 128 + SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_runs_are_the_same, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(workers_change_nothing_with_spirals, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(workers_change_nothing_with_texts, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(workers_change_nothing_with_pictures, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(killed_at_any_moment, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(interrupted_at_any_moment, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(killed_at_any_moment_with_buckets_of_texts, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(killed_at_any_moment_with_pictures_changed_at_random, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
