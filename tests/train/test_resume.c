/* Stopped, killed, out of disk: what is on disk is whole, and a resumed run ends with the same bits as one never stopped. */
#define _GNU_SOURCE
#include "helper_train.h"

#include "base/ctx.h"
#include "format/pth.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EPOCHS = 4, STEPS = 4 * EPOCHS /* 7 batches in groups of 2 */ };

static volatile int stop;
static double ema; /* decay of the runs' average of the weights; 0: none */

typedef struct stopper {
    int64_t at;                /* step at which the flag goes up */
    int pause;                 /* microseconds a step */
    bool best_in_second_epoch; /* found: best.pth was there when the second epoch began */
} stopper;
static stopper stopping;

static grd_status on_stopper(void *state, grd_event event, const grd_train_state *now, grd_trainer *trainer)
{
    (void)state, (void)trainer;
    if (event == GRD_EVENT_EPOCH_BEGIN && now->epoch == 2)
        stopping.best_in_second_epoch = is_there(now->dir, "best.pth");
    if (event == GRD_EVENT_STEP_END && stopping.pause)
        nanosleep(&(struct timespec){ .tv_nsec = 1000L * stopping.pause }, NULL);
    if (event == GRD_EVENT_STEP_END && now->step == stopping.at)
        stop = 1;
    return GRD_OK;
}

static const grd_handler stopper_row = { .name = "stopper", .on = on_stopper };

/* One part of a run in `dir`, with all that has state: plateau schedule, early stopping, momentum, dropout, batch norm. */
static grd_status part(run *r, const char *dir, int64_t epochs, double seconds)
{
    stop = 0;
    run_open(r, NULL);
    r->opts.dir = dir;
    r->opts.resume = true;
    r->opts.epochs = epochs;
    r->opts.accumulate = 2;
    r->opts.ema = ema;
    r->opts.optim = "adam lr=5e-2";
    r->opts.schedule = "plateau patience=1 threshold=0.5 factor=0.5";
    r->opts.patience = 1000;
    r->opts.checkpoint_seconds = seconds;
    r->opts.stop = &stop;
    r->opts.workers = 1;
    run_start(r);
    OK(r->ctx, grd_trainer_add(r->trainer, &stopper_row, NULL));
    return grd_trainer_fit(r->trainer);
}

static void append(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void write_bytes(const char *dir, const char *name, const char *bytes, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* What a run leaves. */
typedef struct result {
    char *metrics, *best;
    size_t best_size, values_size;
    void *values;
} result;

static result result_of(run *r, const char *dir)
{
    result out = { .metrics = read_metrics(dir) };
    out.best = read_text(dir, "best.pth", &out.best_size);
    out.values = model_values(r, &out.values_size);
    return out;
}

static void free_result(result *out)
{
    free(out->metrics);
    free(out->best);
    free(out->values);
}

static void assert_same(const result *a, const result *b)
{
    assert_string_equal(a->metrics, b->metrics);
    assert_int_equal(a->best_size, b->best_size);
    assert_memory_equal(a->best, b->best, a->best_size);
    assert_memory_equal(a->values, b->values, a->values_size);
}

/* The weights, their average and optimizer of two last.pth. */
static void assert_same_last(const char *dir_a, const char *dir_b)
{
    grd_host host;
    grd_pth a, b;
    char path[512];
    grd_host_init(&host, NULL);
    snprintf(path, sizeof path, "%s/last.pth", dir_a);
    assert_int_equal(grd_pth_read(&host, path, &a), GRD_OK);
    snprintf(path, sizeof path, "%s/last.pth", dir_b);
    assert_int_equal(grd_pth_read(&host, path, &b), GRD_OK);
    static const char *const parts[] = {
        "state_dict",         "optimizer",           "lr", "epoch", "gradus/schedule", "gradus/best_loss", "gradus/epoch_sum",
        "gradus/closed_step", "gradus/epoch_closed", "state_dict_ema" /* the last */
    };
    size_t n = sizeof parts / sizeof *parts - (ema == 0);
    assert_true((grd_value_find(a.root, "state_dict_ema") != NULL) == (ema != 0));
    for (size_t i = 0; i < n; i++) {
        assert_non_null(grd_value_find(a.root, parts[i]));
        assert_true(grd_value_equal(grd_value_find(a.root, parts[i]), grd_value_find(b.root, parts[i])));
    }
    grd_pth_close(&a);
    grd_pth_close(&b);
}

static result reference(char dir[256], int64_t epochs)
{
    run r;
    make_folder(dir, "whole");
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, epochs, GRD_OFF));
    result out = result_of(&r, dir);
    run_close(&r);
    return out;
}

static void resume_is_bit_exact(void **state)
{
    (void)state;
    char whole_dir[256];
    result whole = reference(whole_dir, EPOCHS);
    for (int at = 1; at <= STEPS; at++) {
        run r;
        char dir[256];
        make_folder(dir, "parts");
        stopping = (stopper){ .at = at };
        assert_int_equal(part(&r, dir, EPOCHS, GRD_OFF), GRD_ERR_STOPPED);
        assert_non_null(strstr(grd_error(r.ctx), "train: stopped in epoch"));
        assert_true(is_there(dir, "last.pth"));
        if (at > 4) { /* an epoch has been judged: its weights are what the model holds */
            grd_metric value[1];
            int n;
            OK(r.ctx, grd_evaluate(r.model, &(grd_eval_opts){ .loss = r.loss, .data = r.val, .batch = 16 }, value, &n));
            assert_true(value[0].value == grd_trainer_state(r.trainer)->best_loss);
        }
        run_close(&r);
        for (int line = 0; line < 40; line++) /* a killed run may have written on after its last checkpoint */
            append(dir, "metrics.jsonl",
                   "{\"event\": \"epoch\", \"epoch\": 99, \"train_loss\": 1, \"val_loss\": 1, \"seconds\": 1}\n");
        stopping = (stopper){ 0 };
        grd_status status = part(&r, dir, EPOCHS, GRD_OFF);
        OK(r.ctx, status);
        result out = result_of(&r, dir);
        run_close(&r);
        assert_same(&out, &whole);
        assert_same_last(dir, whole_dir);
        assert_int_equal(count_files(dir, "_best_eval_loss_"), 1);
        assert_int_equal(count_files(dir, ".tmp"), 0);
        free_result(&out);
        remove_folder(dir);
    }
    free_result(&whole);
    remove_folder(whole_dir);
}

static void how_often_it_is_saved_changes_nothing(void **state)
{
    (void)state;
    char whole_dir[256], dir[256];
    result whole = reference(whole_dir, EPOCHS);
    assert_true(stopping.best_in_second_epoch);
    run r;
    make_folder(dir, "often");
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, EPOCHS, 1e-6)); /* after every step */
    result out = result_of(&r, dir);
    run_close(&r);
    assert_same(&out, &whole);
    assert_same_last(dir, whole_dir);
    free_result(&out);
    free_result(&whole);
    remove_folder(dir);
    remove_folder(whole_dir);
}

static bool carries_best(const char *dir)
{
    grd_host host;
    grd_pth pth;
    char path[512];
    grd_host_init(&host, NULL);
    snprintf(path, sizeof path, "%s/last.pth", dir);
    assert_int_equal(grd_pth_read(&host, path, &pth), GRD_OK);
    bool carries = grd_value_is(grd_value_find(pth.root, "gradus/best_state"), GRD_VALUE_DICT);
    grd_pth_close(&pth);
    return carries;
}

/* As if killed after last.pth was renamed and before best.pth was: best.pth is still that of the first epoch. */
static void killed_between_the_two_files_it_is_bit_exact(void **state)
{
    (void)state;
    char whole_dir[256], dir[256];
    result whole = reference(whole_dir, EPOCHS);
    run r;
    bool carried = false;
    for (int try = 0; try < 10 && !carried; try++) { /* the second epoch's end must come soon enough not to be saved by itself */
        size_t size;
        make_folder(dir, "between");
        stopping = (stopper){ .at = 5 };
        assert_int_equal(part(&r, dir, EPOCHS, GRD_OFF), GRD_ERR_STOPPED);
        run_close(&r);
        char *first = read_text(dir, "best.pth", &size);
        remove_folder(dir);
        make_folder(dir, "between");
        stopping = (stopper){ .at = 9 };
        assert_int_equal(part(&r, dir, EPOCHS, GRD_OFF), GRD_ERR_STOPPED);
        run_close(&r);
        carried = carries_best(dir);
        if (carried) {
            write_bytes(dir, "best.pth", first, size);
            stopping = (stopper){ 0 };
            assert_int_equal(part(&r, dir, EPOCHS, GRD_OFF), GRD_OK);
            result out = result_of(&r, dir);
            run_close(&r);
            assert_same(&out, &whole);
            free_result(&out);
        }
        free(first);
        remove_folder(dir);
    }
    assert_true(carried);
    free_result(&whole);
    remove_folder(whole_dir);
}

static void stopped_after_every_step_it_still_is(void **state)
{
    (void)state;
    char whole_dir[256], dir[256];
    result whole = reference(whole_dir, EPOCHS);
    make_folder(dir, "steps");
    run r;
    for (int at = 1; at <= STEPS; at++) {
        stopping = (stopper){ .at = at };
        assert_int_equal(part(&r, dir, EPOCHS, 1e-6), GRD_ERR_STOPPED);
        run_close(&r);
    }
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, EPOCHS, GRD_OFF));
    result out = result_of(&r, dir);
    run_close(&r);
    assert_same(&out, &whole);
    assert_same_last(dir, whole_dir);
    assert_int_equal(count_files(dir, "tfevents"), STEPS + 1);
    /* and a run that is over has nothing left to do */
    assert_int_equal(GRD_OK, part(&r, dir, EPOCHS, GRD_OFF));
    free_result(&out);
    out = result_of(&r, dir);
    assert_int_equal(grd_trainer_state(r.trainer)->step, STEPS);
    run_close(&r);
    assert_same(&out, &whole);
    free_result(&out);
    free_result(&whole);
    remove_folder(dir);
    remove_folder(whole_dir);
}

/* ---- kill -9 ---- */

enum { LONG = 60 };

static int child(const char *dir)
{
    run r;
    stopping = (stopper){ .pause = 500 };
    return part(&r, dir, LONG, 0.015) == GRD_OK ? 0 : 3;
}

static int start_child(const char *dir)
{
    pid_t pid = fork();
    if (pid == 0) {
        char decay[32];
        snprintf(decay, sizeof decay, "%.17g", ema);
        execl("/proc/self/exe", "test_resume", "child", dir, decay, (char *)NULL);
        _exit(4);
    }
    return pid;
}

static void killed_at_any_moment_and_resumed_it_is_bit_exact(void **state)
{
    (void)state;
    char whole_dir[256], dir[256];
    result whole = reference(whole_dir, LONG);
    make_folder(dir, "killed");
    unsigned random = 12345;
    int killed = 0, status;
    for (int i = 0; i < 60 && killed < 12; i++) {
        random = random * 1103515245u + 12345u;
        pid_t pid = start_child(dir);
        long wait = 15 + (long)(random >> 16) % 60; /* milliseconds; the whole run takes some 200 */
        nanosleep(&(struct timespec){ .tv_nsec = wait * 1000000L }, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
    }
    assert_true(killed > 1);
    run r;
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, LONG, GRD_OFF));
    result out = result_of(&r, dir);
    run_close(&r);
    assert_same(&out, &whole);
    assert_same_last(dir, whole_dir);
    assert_int_equal(count_files(dir, ".tmp"), 0);
    assert_int_equal(count_files(dir, "_best_eval_loss_"), 1);
    free_result(&out);
    free_result(&whole);
    remove_folder(dir);
    remove_folder(whole_dir);
}

/* ---- trouble ---- */

static void a_full_disk_is_one_error_and_leaves_no_half_file(void **state)
{
    (void)state;
    char dir[256];
    make_folder(dir, "full");
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (int limit = 100; limit < 8000; limit += 900) {
        run r;
        small = old;
        small.rlim_cur = (rlim_t)limit;
        stopping = (stopper){ 0 };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        grd_status status = part(&r, dir, EPOCHS, GRD_OFF);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, GRD_ERR_IO);
        assert_non_null(strstr(grd_error(r.ctx), dir));
        assert_null(strchr(grd_error(r.ctx), '\n'));
        run_close(&r);
        assert_false(is_there(dir, "last.pth"));
        assert_int_equal(count_files(dir, ".tmp"), 0);
    }
    signal(SIGXFSZ, handler);
    remove_folder(dir);
}

static void a_damaged_or_foreign_checkpoint_is_refused(void **state)
{
    (void)state;
    char dir[256], path[512];
    run r;
    make_folder(dir, "damaged");
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, 1, GRD_OFF));
    run_close(&r);
    snprintf(path, sizeof path, "%s/last.pth", dir);
    size_t size;
    char *bytes = read_text(dir, "last.pth", &size);
    for (size_t cut = 0; cut < size; cut += 1 + size / 23) {
        FILE *file = fopen(path, "wb");
        fwrite(bytes, 1, cut, file);
        fclose(file);
        grd_status status = part(&r, dir, 2, GRD_OFF);
        assert_int_equal(status, GRD_ERR_FORMAT);
        assert_non_null(strstr(grd_error(r.ctx), "last.pth"));
        run_close(&r);
    }
    free(bytes);
    run_open(&r, NULL); /* a bare state_dict */
    OK(r.ctx, grd_model_save(r.model, path));
    run_close(&r);
    assert_int_equal(part(&r, dir, 2, GRD_OFF), GRD_ERR_FORMAT);
    assert_non_null(strstr(grd_error(r.ctx), "no state of a training run"));
    run_close(&r);
    remove_folder(dir);
}

/* Best losses are of the one or the other: an average is not begun, nor dropped, in the middle of a run. */
static void an_average_neither_begins_nor_ends_in_the_middle_of_a_run(void **state)
{
    (void)state;
    static const char *const found[2] = { "written by a run with ema, this one has it off",
                                          "written by a run without ema, this one has it on" };
    for (int way = 0; way < 2; way++) {
        char dir[256];
        run r;
        make_folder(dir, "average");
        stopping = (stopper){ 0 };
        ema = way ? 0 : 0.9;
        assert_int_equal(part(&r, dir, 1, GRD_OFF), GRD_OK);
        run_close(&r);
        ema = way ? 0.9 : 0;
        assert_int_equal(part(&r, dir, 2, GRD_OFF), GRD_ERR_ARG);
        assert_non_null(strstr(grd_error(r.ctx), found[way]));
        run_close(&r);
        remove_folder(dir);
    }
}

static void other_settings_than_the_checkpoint_s_are_refused(void **state)
{
    (void)state;
    char dir[256];
    run r;
    make_folder(dir, "settings");
    stopping = (stopper){ 0 };
    assert_int_equal(GRD_OK, part(&r, dir, 1, GRD_OFF));
    run_close(&r);
    run_open(&r, NULL);
    r.opts.dir = dir;
    r.opts.resume = true;
    r.opts.accumulate = 2;
    r.opts.batch = 20;
    assert_int_equal(run_fit(&r), GRD_ERR_ARG);
    assert_non_null(strstr(grd_error(r.ctx), "written by a run with batch_size 16, this one has 20"));
    run_close(&r);
    remove_folder(dir);
}

static int average_on(void **state)
{
    (void)state;
    ema = 0.9;
    return 0;
}

static int average_off(void **state)
{
    (void)state;
    ema = 0;
    return 0;
}

#define AVERAGED(test) { "averaged_" #test, test, average_on, average_off, NULL }

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        ema = strtod(argv[3], NULL);
        return child(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_is_bit_exact),
        cmocka_unit_test(how_often_it_is_saved_changes_nothing),
        cmocka_unit_test(killed_between_the_two_files_it_is_bit_exact),
        cmocka_unit_test(stopped_after_every_step_it_still_is),
        cmocka_unit_test(killed_at_any_moment_and_resumed_it_is_bit_exact),
        AVERAGED(resume_is_bit_exact),
        AVERAGED(how_often_it_is_saved_changes_nothing),
        AVERAGED(killed_between_the_two_files_it_is_bit_exact),
        AVERAGED(stopped_after_every_step_it_still_is),
        AVERAGED(killed_at_any_moment_and_resumed_it_is_bit_exact),
        cmocka_unit_test(a_full_disk_is_one_error_and_leaves_no_half_file),
        cmocka_unit_test(a_damaged_or_foreign_checkpoint_is_refused),
        cmocka_unit_test_teardown(an_average_neither_begins_nor_ends_in_the_middle_of_a_run, average_off),
        cmocka_unit_test(other_settings_than_the_checkpoint_s_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
