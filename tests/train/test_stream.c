/* Training on a stream: stopped or killed anywhere it goes on to the same bits; epochs of so many steps; unknown lengths. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- points of three classes on five reels of unequal length, other ones in every pass ---- */

enum { REELS = 5, BATCHES = 11 /* of 8 samples: 4 + 1 + 0 + 3 + 3 */ };
static const int64_t reel[REELS] = { 30, 3, 0, 24, 18 };

typedef struct cursor {
    grd_key key;
    int64_t n, at;
} cursor;

static grd_status spool_open(void **state, const void *options, grd_ctx *ctx)
{
    (void)options, (void)ctx;
    *state = NULL;
    return GRD_OK;
}

static int spool_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    assert_true(max >= 2);
    out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } } };
    out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = 3 };
    return 2;
}

static int64_t spool_shards(const void *state)
{
    (void)state;
    return REELS;
}

static grd_status spool_begin(const void *state, int64_t shard, const grd_key *key, void **out, grd_sample *errors)
{
    (void)state, (void)errors;
    cursor *c = malloc(sizeof *c);
    assert_non_null(c);
    *c = (cursor){ .key = *key, .n = reel[shard] };
    *out = c;
    return GRD_OK;
}

static grd_status spool_next(void *self, grd_sample *out, bool *end)
{
    cursor *c = self;
    uint32_t word[4];
    *end = c->at == c->n;
    if (*end)
        return GRD_OK;
    grd_random4(&c->key, (uint64_t)c->at++, 0, word);
    float *x = out->data[0];
    x[0] = (float)grd_uniform(word[0]);
    x[1] = (float)grd_uniform(word[1]);
    *(int32_t *)out->data[1] = x[0] > x[1] ? 2 : x[0] > 0.3f;
    return GRD_OK;
}

static void spool_tell(const void *self, char *text, size_t size)
{
    snprintf(text, size, "%lld", (long long)((const cursor *)self)->at);
}

static grd_status spool_seek(void *self, const char *position, grd_sample *errors)
{
    (void)errors;
    ((cursor *)self)->at = atoll(position);
    return GRD_OK;
}

static int64_t no_shards(const void *state)
{
    (void)state;
    return 1;
}

static grd_status nothing(void *self, grd_sample *out, bool *end)
{
    (void)self, (void)out;
    *end = true;
    return GRD_OK;
}

static const grd_source spool = {
    .name = "spool", .doc = "a stream", .open = spool_open, .fields = spool_fields,
    .stream = &(const grd_stream_calls){ .shards = spool_shards, .begin = spool_begin, .next = spool_next, .tell = spool_tell,
                                         .seek = spool_seek, .end = free },
};
static const grd_source barren = {
    .name = "barren", .doc = "a stream of nothing", .open = spool_open, .fields = spool_fields,
    .stream = &(const grd_stream_calls){ .shards = no_shards, .begin = spool_begin, .next = nothing, .end = free },
};

/* ---- runs ---- */

static volatile int stop;

typedef struct watch {
    int64_t stop_at, kill_at; /* steps */
    int64_t steps, epochs;    /* seen */
    double loss[100];         /* of each step */
    int64_t ends[100];        /* step at which each epoch ended */
} watch;
static watch seen;

static grd_status on_watch(void *state, grd_event event, const grd_train_state *now, grd_trainer *trainer)
{
    (void)state, (void)trainer;
    if (event == GRD_EVENT_STEP_END) {
        seen.loss[seen.steps++] = now->loss;
        if (now->step == seen.kill_at)
            raise(SIGKILL);
        if (now->step == seen.stop_at)
            stop = 1;
    }
    if (event == GRD_EVENT_EPOCH_END)
        seen.ends[seen.epochs++] = now->step;
    return GRD_OK;
}

static const grd_handler watcher = { .name = "watcher", .on = on_watch };

static bool shuffled;

static void begin(run *r, const char *dir, int64_t steps_per_epoch)
{
    grd_dataset *data;
    stop = 0;
    run_open(r, NULL);
    OK(r->ctx, grd_source_register(r->ctx, &spool));
    OK(r->ctx, grd_source_register(r->ctx, &barren));
    OK(r->ctx, grd_dataset_open(r->ctx, "spool", NULL, &data));
    r->opts.train = r->opts.val = data;
    r->opts.no_shuffle = !shuffled;
    r->opts.shuffle_buffer = 40;
    r->opts.batch = 8;
    r->opts.accumulate = 2;
    r->opts.workers = 2;
    r->opts.dir = dir;
    r->opts.resume = true;
    r->opts.steps_per_epoch = steps_per_epoch;
    r->opts.epochs = 4;
    r->opts.checkpoint_seconds = 1e-9;
    r->opts.stop = &stop;
}

static grd_status fit(run *r, int64_t stop_at, int64_t kill_at)
{
    seen = (watch){ .stop_at = stop_at, .kill_at = kill_at };
    run_start(r);
    OK(r->ctx, grd_trainer_add(r->trainer, &watcher, NULL));
    return grd_trainer_fit(r->trainer);
}

static void an_epoch_is_a_pass(void **state)
{
    (void)state;
    run r;
    begin(&r, NULL, 0);
    OK(r.ctx, fit(&r, 0, 0));
    const grd_train_state *now = grd_trainer_state(r.trainer);
    const int64_t steps = (BATCHES + 1) / 2; /* the last group is of one batch */
    assert_int_equal(now->epoch, 4);
    assert_int_equal(now->step, 4 * steps);
    assert_int_equal(now->batches, -1);
    assert_int_equal(now->batch, BATCHES);
    assert_int_equal(now->samples, 75);
    for (int e = 0; e < 4; e++)
        assert_int_equal(seen.ends[e], (e + 1) * steps);
    run_close(&r);
}

/* What a whole run leaves, and one that ends after a step, every `between`-th in turn, and is resumed. */
static void same_bits(int64_t steps_per_epoch, int64_t max_steps, int64_t between)
{
    char whole_dir[256], dir[256];
    size_t size, best_size;
    run r;
    make_folder(whole_dir, "stream");
    begin(&r, whole_dir, steps_per_epoch);
    r.opts.max_steps = max_steps;
    OK(r.ctx, fit(&r, 0, 0));
    const int64_t steps = grd_trainer_state(r.trainer)->step;
    void *whole = model_values(&r, &size);
    run_close(&r);
    char *metrics = read_metrics(whole_dir), *best = read_text(whole_dir, "best.pth", &best_size);
    for (int64_t at = 1; at < steps; at += between) {
        const bool killed = at % 2;
        make_folder(dir, "stream");
        if (killed) {
            pid_t child = fork();
            if (child == 0) {
                begin(&r, dir, steps_per_epoch);
                r.opts.max_steps = max_steps;
                fit(&r, 0, at);
                _exit(1);
            }
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        } else {
            begin(&r, dir, steps_per_epoch);
            r.opts.max_steps = max_steps;
            assert_int_equal(fit(&r, at, 0), GRD_ERR_STOPPED);
            run_close(&r);
        }
        begin(&r, dir, steps_per_epoch);
        r.opts.max_steps = max_steps;
        OK(r.ctx, fit(&r, 0, 0));
        assert_int_equal(grd_trainer_state(r.trainer)->resumed, at > 1);
        assert_int_equal(seen.steps, steps - at + killed); /* a killed run's last step was not saved */
        size_t found;
        void *values = model_values(&r, &found);
        char *its_metrics = read_metrics(dir), *its_best = read_text(dir, "best.pth", &found);
        assert_memory_equal(values, whole, size);
        assert_string_equal(its_metrics, metrics);
        assert_int_equal(found, best_size);
        assert_memory_equal(its_best, best, best_size);
        free(values);
        free(its_metrics);
        free(its_best);
        run_close(&r);
        remove_folder(dir);
    }
    remove_folder(whole_dir);
    free(whole);
    free(metrics);
    free(best);
}

static void stopped_or_killed_after_any_step_it_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    same_bits(0, 0, 1);
    same_bits(4, 0, 3);
    same_bits(0, 9, 3); /* cut off in the middle of a pass */
    shuffled = true;
    same_bits(0, 0, 4);
    same_bits(4, 0, 5);
    shuffled = false;
}

static void with_steps_per_epoch_the_data_go_on_where_the_epoch_ended(void **state)
{
    (void)state;
    run r;
    for (int set = 0; set < 2; set++) { /* a stream, and 100 samples in 13 batches */
        double passes[2 * 13];
        const int64_t n = set ? 13 : BATCHES;
        begin(&r, NULL, 0);
        r.opts.accumulate = 1;
        r.opts.epochs = 2;
        r.opts.train = set ? r.train : r.opts.train;
        r.opts.val = NULL;
        OK(r.ctx, fit(&r, 0, 0));
        assert_int_equal(seen.steps, 2 * n);
        memcpy(passes, seen.loss, sizeof passes);
        run_close(&r);
        begin(&r, NULL, 5); /* 5 * 4: into the second pass */
        r.opts.accumulate = 1;
        r.opts.train = set ? r.train : r.opts.train;
        r.opts.val = NULL;
        OK(r.ctx, fit(&r, 0, 0));
        assert_int_equal(seen.epochs, 4);
        assert_int_equal(seen.steps, 20);
        for (int e = 0; e < 4; e++)
            assert_int_equal(seen.ends[e], 5 * (e + 1));
        assert_int_equal(grd_trainer_state(r.trainer)->batches, 5);
        for (int k = 0; k < 20; k++)
            assert_true(seen.loss[k] == passes[k]);
        run_close(&r);
    }
}

static void what_needs_the_number_of_steps_says_so(void **state)
{
    (void)state;
    static const struct { const char *schedule, *message; } bad[] = {
        { "cosine",
          "schedule: cosine goes by the number of steps, and that of a stream is not known: give steps_per_epoch or max_steps" },
        { "step",
          "schedule: step goes by the number of steps in an epoch, and that of a stream is not known: give steps_per_epoch" },
        { "multistep", "give steps_per_epoch" },
        { "exponential", "give steps_per_epoch" },
    };
    run r;
    begin(&r, NULL, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r.opts.schedule = bad[i].schedule;
        assert_int_equal(grd_trainer_new(r.ctx, &r.opts, &r.trainer), GRD_ERR_CONFIG);
        assert_non_null(strstr(grd_error(r.ctx), bad[i].message));
        r.opts.steps_per_epoch = 5;
        OK(r.ctx, grd_trainer_new(r.ctx, &r.opts, &r.trainer));
        r.opts.steps_per_epoch = 0;
    }
    r.opts.schedule = "cosine";
    r.opts.max_steps = 10;
    OK(r.ctx, grd_trainer_new(r.ctx, &r.opts, &r.trainer));
    r.opts.schedule = "plateau";
    r.opts.max_steps = 0;
    OK(r.ctx, grd_trainer_new(r.ctx, &r.opts, &r.trainer));
    run_close(&r);
}

static void a_stream_of_nothing_is_an_error(void **state)
{
    (void)state;
    run r;
    for (int steps = 0; steps < 4; steps += 3) {
        grd_dataset *data;
        begin(&r, NULL, steps);
        OK(r.ctx, grd_dataset_open(r.ctx, "barren", NULL, &data));
        r.opts.train = data;
        assert_int_equal(fit(&r, 0, 0), GRD_ERR_DATA);
        assert_non_null(strstr(grd_error(r.ctx), steps ? "train: epoch 1: the data ended after 0 of 6 batches"
                                                       : "train: epoch 1: the stream has no batch"));
        run_close(&r);
    }
}

static void other_epochs_cannot_be_resumed(void **state)
{
    (void)state;
    char dir[256];
    run r;
    make_folder(dir, "stream");
    begin(&r, dir, 4);
    assert_int_equal(fit(&r, 3, 0), GRD_ERR_STOPPED);
    run_close(&r);
    begin(&r, dir, 5);
    assert_int_equal(fit(&r, 0, 0), GRD_ERR_ARG);
    assert_non_null(strstr(grd_error(r.ctx), "written by a run with steps_per_epoch 4, this one has 5: it cannot go on from"));
    run_close(&r);
    remove_folder(dir);
}

static void the_progress_line_has_no_total(void **state)
{
    (void)state;
    run r;
    for (int mode = GRD_PROGRESS_BAR; mode <= GRD_PROGRESS_PLAIN; mode++) {
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);
        begin(&r, NULL, 0);
        grd_progress_opts o = { .mode = mode, .interval = 0.001, .file = file };
        seen = (watch){ 0 };
        run_start(&r);
        OK(r.ctx, grd_trainer_add(r.trainer, &grd_handler_progress, &o));
        OK(r.ctx, grd_trainer_fit(r.trainer));
        fclose(file);
        assert_non_null(strstr(text, "Epoch [1/4]: 11 [00:00, "));
        assert_null(strchr(text, '%'));
        assert_null(strstr(text, "-1"));
        if (mode == GRD_PROGRESS_BAR)
            assert_non_null(strstr(text, "\rEpoch [1/4]: 0 [00:00, ?it/s]"));
        free(text);
        run_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_is_a_pass),
        cmocka_unit_test(stopped_or_killed_after_any_step_it_goes_on_to_the_same_bits),
        cmocka_unit_test(with_steps_per_epoch_the_data_go_on_where_the_epoch_ended),
        cmocka_unit_test(what_needs_the_number_of_steps_says_so),
        cmocka_unit_test(a_stream_of_nothing_is_an_error),
        cmocka_unit_test(other_epochs_cannot_be_resumed),
        cmocka_unit_test(the_progress_line_has_no_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
