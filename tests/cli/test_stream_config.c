/* Streams as a user trains on them: what a config may say of them, and what it may not. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_table(const char *path, int n)
{
    char text[8000];
    int at = snprintf(text, sizeof text, "a,b,kind\n");
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%d,%d,%s\n", i * 37 % 101 - 50, i % 5, i * 37 % 101 > 50 ? "high" : "low");
    write_text(path, text);
}

static int enter(void **state)
{
    int code = enter_folder(state);
    write_table("train-1.csv", 200);
    write_table("train-2.csv", 50);
    write_table("train-10.csv", 130);
    write_table("val-1.csv", 60);
    write_text("c.yaml", "run: {name: r, batch: 16, epochs: 3, seed: 1}\n"
                         "data:\n"
                         "  source: csv_stream\n"
                         "  files: '{part}-*.csv'\n"
                         "  target: kind\n"
                         "  classes: low,high\n"
                         "  transform: [standardize]\n"
                         "  test: val\n"
                         "model: {layers: [{linear: 2}]}\n"
                         "loss: cross_entropy\n");
    return code;
}

static void epochs_are_passes_or_so_many_steps(void **state)
{
    (void)state;
    expect("check c.yaml", 0, ">a stream to train on, a stream to choose by, a stream to test on");
    expect("train c.yaml", 0, "Epoch [3/3]: 26 ["); /* 13 + 4 + 9 batches */
    expect("train c.yaml run.name=s train.steps_per_epoch=10 schedule=cosine", 0, "Epoch [3/3]: 10/10 [");
    expect("eval runs/r", 0, ">loss");
    char *split = read_text("runs/r/train/split.json", NULL);
    assert_non_null(strstr(split, "\"train\": null"));
    free(split);
}

static void workers_change_nothing_and_the_order_is_the_seeds(void **state)
{
    (void)state;
    expect("train c.yaml run.name=w0", 0, "");
    expect("train c.yaml run.name=w3 data.workers=3", 0, "");
    expect("train c.yaml run.name=plain data.shuffle=false", 0, "");
    char *one = read_metrics("runs/w0/train"), *three = read_metrics("runs/w3/train"), *plain = read_metrics("runs/plain/train");
    assert_string_equal(one, three);
    assert_string_not_equal(one, plain);
    free(one);
    free(three);
    free(plain);
}

static void what_a_stream_cannot_do_is_said_before_anything_is_written(void **state)
{
    (void)state;
    expect("train c.yaml schedule=cosine", 2, "schedule: cosine goes by the number of steps, and that of a stream is not known");
    expect("train c.yaml data.val_fraction=0.1", 2, "split: csv_stream is a stream: its samples are read in turn and cannot be picked");
    expect("train c.yaml data.folds=3", 2, "folds: csv_stream is a stream");
    expect("train c.yaml data.num_samples=10", 2, "num_samples, overfit: csv_stream is a stream");
    expect("train c.yaml data.overfit=10", 2, "num_samples, overfit: csv_stream is a stream");
    expect("train c.yaml data.files='none-{part}.csv'", 1, "there is no such file");
    expect("linear c.yaml", 2, "linear: csv_stream is a stream");
    expect("data check c.yaml", 2, "data check: csv_stream is a stream");
    assert_false(is_there("runs"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave_folder)
    const struct CMUnitTest tests[] = {
        TEST(epochs_are_passes_or_so_many_steps),
        TEST(workers_change_nothing_and_the_order_is_the_seeds),
        TEST(what_a_stream_cannot_do_is_said_before_anything_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
