/* The loader: same batches whatever the number of workers, errors in their place, exact restart, no allocation, no hang. */
#define _GNU_SOURCE
#include "helper_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup_flaky(void **state)
{
    return setup(state) || grd_source_register(ctx, &flaky_source) != GRD_OK;
}

static grd_dataset *flaky(const char *spec)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, "flaky", spec, &d));
    return d;
}

static grd_loader *loader(const grd_dataset *d, const grd_loader_opts *o)
{
    grd_loader *l;
    ok(ctx, grd_loader_new(ctx, d, o, &l));
    return l;
}

/* ---- a batch, or its error, as text: what must be equal ---- */

typedef struct text {
    char *at;
    size_t used, size;
} text;

static void add(text *t, const void *from, size_t n)
{
    if (t->used + n > t->size)
        assert_non_null(t->at = realloc(t->at, t->size = 2 * (t->used + n)));
    memcpy(t->at + t->used, from, n);
    t->used += n;
}

static void add_batch(text *t, grd_status status, const grd_batch *b)
{
    add(t, &status, sizeof status);
    if (status != GRD_OK) {
        add(t, grd_error(ctx), strlen(grd_error(ctx)));
        return;
    }
    add(t, &b->n, sizeof b->n);
    add(t, &b->first, sizeof b->first);
    add(t, &b->number, sizeof b->number);
    add(t, b->index, (size_t)b->n * sizeof *b->index);
    for (int f = 0; f < b->n_fields; f++) {
        assert_int_equal((uintptr_t)b->data[f] % 64, 0);
        assert_int_equal(b->shape[f].rank, b->field[f].shape.rank + 1);
        assert_int_equal(b->shape[f].dim[0], b->n);
        add(t, b->data[f], (size_t)grd_count(&b->shape[f]) * grd_dtype_size(b->field[f].dtype));
    }
}

/* The rest of the epoch from where the loader is; returns how many batches and errors. */
static int64_t drain(grd_loader *l, text *t)
{
    for (int64_t n = 0;; n++) {
        const grd_batch *b;
        grd_status status = grd_loader_next(l, &b);
        if (status == GRD_OK && !b)
            return n;
        add_batch(t, status, b);
    }
}

static text epochs(const grd_dataset *d, grd_loader_opts o, int n)
{
    text t = { 0 };
    grd_loader *l = loader(d, &o);
    for (int e = 0; e < n; e++) {
        ok(ctx, grd_loader_start(l, e, 0));
        assert_int_equal(drain(l, &t), grd_loader_batches(l));
    }
    grd_loader_free(l);
    return t;
}

static void workers_0_1_3_8_give_identical_batches(void **state)
{
    (void)state;
    const grd_dataset *sets[] = { flaky("n=203 slow=200"), flaky("n=203 bad=40 slow=200") };
    static const grd_loader_opts opts[] = { { .batch = 16 }, { .batch = 16, .shuffle = true, .seed = 5 },
                                            { .batch = 7, .shuffle = true, .drop_last = true, .prefetch = 1 } };
    static const int workers[] = { 1, 3, 8 };
    for (int s = 0; s < 2; s++)
        for (int k = 0; k < 3; k++) {
            grd_loader_opts o = opts[k];
            text expected = epochs(sets[s], o, 2);
            for (int w = 0; w < 3; w++) {
                o.workers = workers[w];
                text found = epochs(sets[s], o, 2);
                assert_int_equal(found.used, expected.used);
                assert_memory_equal(found.at, expected.at, found.used);
                free(found.at);
            }
            free(expected.at);
        }
}

static void each_sample_comes_once_with_its_own_values(void **state)
{
    (void)state;
    grd_loader *l = loader(flaky("n=103"), &(grd_loader_opts){ .batch = 10, .shuffle = true, .workers = 2 });
    int seen[103] = { 0 };
    const grd_batch *b;
    assert_int_equal(grd_loader_batches(l), 11);
    ok(ctx, grd_loader_start(l, 0, 0));
    for (int64_t k = 0; k < 11; k++) {
        ok(ctx, grd_loader_next(l, &b));
        assert_int_equal(b->number, k);
        assert_int_equal(b->first, 10 * k);
        assert_int_equal(b->n, k < 10 ? 10 : 3);
        for (int64_t r = 0; r < b->n; r++) {
            int64_t i = b->index[r];
            seen[i]++;
            for (int e = 0; e < 3; e++)
                assert_true(((float *)b->data[0])[3 * r + e] == (float)(10 * i + e));
            assert_int_equal(((uint8_t *)b->data[1])[r], i);
            assert_int_equal(((int32_t *)b->data[2])[r], i % 4);
        }
    }
    ok(ctx, grd_loader_next(l, &b));
    assert_null(b);
    ok(ctx, grd_loader_next(l, &b)); /* and again */
    assert_null(b);
    for (int i = 0; i < 103; i++)
        assert_int_equal(seen[i], 1);
}

static void drop_last_leaves_out_the_short_batch(void **state)
{
    (void)state;
    text t = { 0 };
    grd_loader *l = loader(flaky("n=103"), &(grd_loader_opts){ .batch = 10, .drop_last = true });
    assert_int_equal(grd_loader_batches(l), 10);
    ok(ctx, grd_loader_start(l, 0, 0));
    assert_int_equal(drain(l, &t), 10);
    free(t.at);
    assert_int_equal(grd_loader_batches(loader(flaky("n=100"), &(grd_loader_opts){ .batch = 10 })), 10);
    assert_int_equal(grd_loader_batches(loader(flaky("n=9"), &(grd_loader_opts){ .batch = 10 })), 1);
    assert_int_equal(grd_loader_batches(loader(flaky("n=65"), NULL)), 3);
}

static void expect_indices(grd_loader *l, int64_t epoch, const int64_t *index, int64_t n)
{
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, epoch, 0));
    ok(ctx, grd_loader_next(l, &b));
    assert_int_equal(b->n, n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(b->index[i], index[i]);
}

static void shuffled_order_is_golden(void **state)
{
    (void)state; /* computed by another implementation of Philox and of the shuffle (Python) */
    grd_loader *l = loader(flaky("n=12"), &(grd_loader_opts){ .batch = 12, .shuffle = true, .seed = 7 });
    expect_indices(l, 0, (int64_t[]){ 6, 3, 9, 7, 10, 11, 1, 2, 8, 4, 0, 5 }, 12);
    expect_indices(l, 3, (int64_t[]){ 6, 9, 0, 2, 4, 8, 3, 1, 10, 5, 7, 11 }, 12);
    expect_indices(l, 0, (int64_t[]){ 6, 3, 9, 7, 10, 11, 1, 2, 8, 4, 0, 5 }, 12);
    l = loader(flaky("n=60000"), &(grd_loader_opts){ .batch = 60000, .shuffle = true, .seed = 1 });
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 1, 0));
    ok(ctx, grd_loader_next(l, &b));
    int64_t sum = 0;
    for (int64_t i = 0; i < b->n; i++)
        sum += i * b->index[i];
    assert_int_equal(b->index[0], 50269);
    assert_int_equal(b->index[59999], 19757);
    assert_true(sum == 53935738974555);
}

static void restart_in_mid_epoch_equals_going_on(void **state)
{
    (void)state;
    const grd_dataset *d = flaky("n=211 bad=50 slow=100");
    for (int workers = 0; workers <= 4; workers += 2) {
        const grd_loader_opts o = { .batch = 8, .shuffle = true, .workers = workers, .seed = 3 };
        grd_loader *l = loader(d, &o), *fresh = loader(d, &o);
        for (int64_t stop = 0; stop <= grd_loader_batches(l); stop += 9) {
            text going_on = { 0 }, restarted = { 0 }, first = { 0 };
            ok(ctx, grd_loader_start(l, 4, 0));
            for (int64_t k = 0; k < stop; k++) {
                const grd_batch *b;
                grd_status status = grd_loader_next(l, &b);
                add_batch(&first, status, b);
            }
            drain(l, &going_on);
            ok(ctx, grd_loader_start(fresh, 4, stop)); /* drops what it prefetched before */
            drain(fresh, &restarted);
            assert_int_equal(going_on.used, restarted.used);
            if (going_on.used)
                assert_memory_equal(going_on.at, restarted.at, restarted.used);
            ok(ctx, grd_loader_start(fresh, 9, 2)); /* leaves it in the middle of something else */
            free(going_on.at);
            free(restarted.at);
            free(first.at);
        }
    }
}

static void restart_while_workers_are_busy_leaves_nothing_behind(void **state)
{
    (void)state;
    const grd_dataset *d = flaky("n=120 slow=150");
    const grd_loader_opts o = { .batch = 5, .shuffle = true, .seed = 3 };
    grd_loader *calm = loader(d, &o),
               *busy = loader(d, &(grd_loader_opts){ .batch = 5, .shuffle = true, .seed = 3, .workers = 4 });
    for (int64_t round = 0; round < 60; round++) {
        text expected = { 0 }, found = { 0 };
        const grd_batch *b;
        int64_t epoch = round % 7, first = round * 5 % 20;
        ok(ctx, grd_loader_start(calm, epoch, first));
        ok(ctx, grd_loader_start(busy, epoch, first)); /* the others are in the middle of batches of the round before */
        for (int k = 0; k < 2; k++) {
            ok(ctx, grd_loader_next(calm, &b));
            add_batch(&expected, GRD_OK, b);
            ok(ctx, grd_loader_next(busy, &b));
            add_batch(&found, GRD_OK, b);
        }
        assert_int_equal(found.used, expected.used);
        assert_memory_equal(found.at, expected.at, found.used);
        free(expected.at);
        free(found.at);
    }
}

static void errors_arrive_at_their_batch_and_the_next_one_follows(void **state)
{
    (void)state;
    for (int workers = 0; workers <= 3; workers += 3) {
        grd_loader *l = loader(flaky("n=40 bad=25"), &(grd_loader_opts){ .batch = 10, .workers = workers });
        const grd_batch *b;
        ok(ctx, grd_loader_start(l, 0, 0));
        ok(ctx, grd_loader_next(l, &b));
        ok(ctx, grd_loader_next(l, &b));
        assert_int_equal(grd_loader_next(l, &b), GRD_ERR_DATA);
        assert_null(b);
        assert_string_equal(grd_error(ctx), "batch 2: flaky: sample 24: flaky.bin: record 24: found rubbish");
        ok(ctx, grd_loader_next(l, &b));
        assert_int_equal(b->number, 3);
        ok(ctx, grd_loader_next(l, &b));
        assert_null(b);
    }
}

static void freed_in_mid_epoch_neither_hangs_nor_leaks(void **state)
{
    (void)state;
    grd_dataset *d = flaky("n=500 slow=300");
    for (int workers = 0; workers < 5; workers++)
        for (int taken = 0; taken < 4; taken++) {
            grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 9, .workers = workers, .shuffle = true });
            const grd_batch *b;
            if (taken)
                ok(ctx, grd_loader_start(l, 0, 0));
            for (int k = 1; k < taken; k++)
                ok(ctx, grd_loader_next(l, &b));
            grd_loader_free(l);
        }
    grd_loader_free(NULL);
    grd_loader *l = loader(d, &(grd_loader_opts){ .workers = 3 }); /* left to the context, its data set freed before it */
    grd_dataset_free(d);
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
}

static void epochs_allocate_nothing(void **state)
{
    (void)state;
    grd_dataset *d, *t;
    ok(ctx, grd_dataset_open(ctx, "random", "n=300 shape=[1,8,8]", &d));
    ok(ctx, grd_dataset_transform(d, "normalize 0.5 0.5", &t));
    for (int workers = 0; workers <= 3; workers++) {
        grd_loader *l = loader(t, &(grd_loader_opts){ .batch = 16, .shuffle = true, .workers = workers });
        int64_t before = memory.calls;
        for (int e = 0; e < 5; e++) {
            const grd_batch *b = NULL;
            ok(ctx, grd_loader_start(l, e, 0));
            do
                ok(ctx, grd_loader_next(l, &b));
            while (b);
        }
        assert_int_equal(memory.calls, before);
        grd_loader_free(l);
    }
}

static void bad_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_loader *l;
    grd_dataset *d = flaky("n=20"), *none;
    const grd_batch *b;
    fails(ctx, GRD_ERR_ARG, "loader: batch -1, expected at least 1",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .batch = -1 }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: 257 workers, expected 0 to 256",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .workers = 257 }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: prefetch -2, expected 0 to",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .prefetch = -2 }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: drop_last leaves nothing: 20 samples, batch 32",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .drop_last = true }, &l));
    ok(ctx, grd_dataset_select(d, NULL, 0, &none));
    fails(ctx, GRD_ERR_ARG, "loader: the data set has no samples", grd_loader_new(ctx, none, NULL, &l));
    assert_null(l);
    l = loader(d, &(grd_loader_opts){ .batch = 6 });
    fails(ctx, GRD_ERR_ARG, "loader: grd_loader_start comes before grd_loader_next", grd_loader_next(l, &b));
    fails(ctx, GRD_ERR_ARG, "loader: batch 5, the epoch has 4", grd_loader_start(l, 0, 5));
    fails(ctx, GRD_ERR_ARG, "loader: batch -1, the epoch has 4", grd_loader_start(l, 0, -1));
    ok(ctx, grd_loader_start(l, 0, 4));
    ok(ctx, grd_loader_next(l, &b));
    assert_null(b);
}

/* ---- transforms in workers ---- */

static grd_status bytes_fields(const void *options, const void *own, grd_field *field, int n, grd_ctx *c)
{
    (void)options;
    (void)own;
    (void)n;
    (void)c;
    field[0].dtype = GRD_U8; /* smaller than what it is made from: cannot be made in the batch's own place */
    return GRD_OK;
}

static grd_status to_random_bytes(const grd_transform_call *call, grd_sample *s)
{
    uint32_t word[4];
    grd_random4(call->key, 0, 0, word);
    const float *x = s->data[0];
    uint8_t *y = s->data[0];
    for (int64_t e = 0; e < grd_count(&call->out[0].shape); e++)
        y[e] = (uint8_t)((int)x[e] + (int)word[e % 4]);
    return GRD_OK;
}

static const grd_transform noise_row = { .name = "noise", .doc = "test", .fields = bytes_fields, .apply = to_random_bytes,
                                         .random = true };

static void random_transforms_do_not_depend_on_workers(void **state)
{
    (void)state;
    grd_dataset *d;
    ok(ctx, grd_transform_register(ctx, &noise_row));
    ok(ctx, grd_dataset_transform(flaky("n=150 slow=50"), "noise", &d));
    grd_loader_opts o = { .batch = 16 };
    text expected = epochs(d, o, 2);
    size_t one = expected.used / 2; /* the same order in both epochs: only what the transform draws tells them apart */
    assert_memory_not_equal(expected.at, expected.at + one, one);
    for (o.workers = 1; o.workers <= 8; o.workers += 3) {
        text found = epochs(d, o, 2);
        assert_int_equal(found.used, expected.used);
        assert_memory_equal(found.at, expected.at, found.used);
        free(found.at);
    }
    free(expected.at);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_flaky, teardown)
    const struct CMUnitTest tests[] = {
        TEST(workers_0_1_3_8_give_identical_batches),
        TEST(random_transforms_do_not_depend_on_workers),
        TEST(each_sample_comes_once_with_its_own_values),
        TEST(drop_last_leaves_out_the_short_batch),
        TEST(shuffled_order_is_golden),
        TEST(restart_in_mid_epoch_equals_going_on),
        TEST(restart_while_workers_are_busy_leaves_nothing_behind),
        TEST(errors_arrive_at_their_batch_and_the_next_one_follows),
        TEST(freed_in_mid_epoch_neither_hangs_nor_leaks),
        TEST(epochs_allocate_nothing),
        TEST(bad_options_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
