/* The progress line, as a terminal and as a log file see it. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that a run of two epochs prints. */
static char *printed(int mode)
{
    run r;
    run_open(&r, NULL);
    FILE *file = tmpfile();
    assert_non_null(file);
    r.opts.epochs = 2;
    r.opts.progress = mode;
    r.opts.progress_file = file;
    OK(r.ctx, run_fit(&r));
    run_close(&r);
    long size = ftell(file);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    rewind(file);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

static void a_log_file_gets_no_carriage_returns(void **state)
{
    (void)state;
    for (int mode = 0; mode <= GRD_PROGRESS_PLAIN; mode += GRD_PROGRESS_PLAIN) { /* auto, and the file is no terminal */
        char *text = printed(mode);
        assert_null(strchr(text, '\r'));
        assert_non_null(strstr(text, "train: gradients clipped at norm 2\n"));
        assert_non_null(strstr(text, "Epoch [1/2]: 7/7 ["));
        assert_non_null(strstr(text, "Epoch [2/2]: 7/7 ["));
        assert_non_null(strstr(text, " train_loss="));
        assert_non_null(strstr(text, " val_loss="));
        assert_non_null(strstr(text, " accuracy="));
        int lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        assert_int_equal(lines, 3);
        free(text);
    }
}

static void off_and_no_file_print_nothing(void **state)
{
    (void)state;
    char *text = printed(GRD_PROGRESS_OFF);
    assert_string_equal(text, "");
    free(text);
}

/* What the handler writes when it is shown these states; the last line drawn is returned. */
static void draw(const grd_progress_opts *opts, const grd_train_state *now, char *line, size_t size)
{
    run r;
    void *state;
    run_open(&r, NULL);
    run_start(&r);
    grd_progress_opts mine = *opts;
    FILE *file = tmpfile();
    assert_non_null(file);
    mine.file = file;
    mine.mode = GRD_PROGRESS_BAR - 1; /* resolved */
    OK(r.ctx, grd_handler_progress.open(&state, &mine, r.trainer));
    grd_train_state first = *now;
    first.batch = 0;
    OK(r.ctx, grd_handler_progress.on(state, GRD_EVENT_EPOCH_BEGIN, &first, r.trainer));
    OK(r.ctx, grd_handler_progress.on(state, GRD_EVENT_STEP_END, now, r.trainer));
    grd_handler_progress.close(state);
    run_close(&r);
    char all[4096] = "";
    rewind(file);
    assert_true(fread(all, 1, sizeof all - 1, file) > 0);
    fclose(file);
    const char *last = strrchr(all, '\r');
    assert_non_null(last);
    snprintf(line, size, "%s", last + 1);
}

static const grd_train_state middle = { .stage = "train",
                                        .epoch = 3,
                                        .epochs = 20,
                                        .step = 211,
                                        .batch = 211,
                                        .batches = 469,
                                        .loss = 0.123,
                                        .train_loss = 0.2,
                                        .lr = 1e-5,
                                        .val_loss = NAN };

static void the_bar_reads_as_in_the_course(void **state)
{
    (void)state;
    char line[1024];
    draw(&(grd_progress_opts){ .interval = 1e-9, .ascii = true }, &middle, line, sizeof line);
    /* 10 cells where no width is known: 44 tenths are full */
    const char *head = "Epoch [3/20]:  44%|####4     | 211/469 [00:00<00:00, ";
    assert_memory_equal(line, head, strlen(head));
    assert_non_null(strstr(line, "it/s, curr_loss=0.123, learning_rate=1e-5, running_mean=0.2, last_50_mean=0.123]"));
}

static void eighth_blocks_fill_the_bar_unless_ascii_is_asked_for(void **state)
{
    (void)state;
    char line[1024];
    grd_train_state now = middle;
    now.batches = 400; /* 211/400: 42 eighths: five full cells and two eighths */
    draw(&(grd_progress_opts){ .interval = 1e-9 }, &now, line, sizeof line);
    assert_non_null(strstr(line, "|\xE2\x96\x88\xE2\x96\x88\xE2\x96\x88\xE2\x96\x88\xE2\x96\x88\xE2\x96\x8E    |"));
}

static void redraws_are_no_closer_than_the_interval(void **state)
{
    (void)state;
    char line[1024];
    draw(&(grd_progress_opts){ .interval = 1000, .ascii = true }, &middle, line, sizeof line);
    assert_memory_equal(line, "Epoch [3/20]:   0%|", 19); /* that of the epoch's beginning */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_file_gets_no_carriage_returns),
        cmocka_unit_test(off_and_no_file_print_nothing),
        cmocka_unit_test(the_bar_reads_as_in_the_course),
        cmocka_unit_test(eighth_blocks_fill_the_bar_unless_ascii_is_asked_for),
        cmocka_unit_test(redraws_are_no_closer_than_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
