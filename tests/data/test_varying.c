/* Samples of different sizes: made, stacked with padding, bucketed; samplers; samples that are left out; transforms that learn and
 * those of whole batches. */
#include "helper_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a source: text i32 [T], picture u8 [1,H,W], label ---- */

enum { N = 40 };

static int64_t text_length_of(int64_t i) { return i * 7 % 11; } /* 0 to 10 */

static grd_status rag_open(void **state, const void *options, grd_ctx *c)
{
    (void)options;
    (void)c;
    *state = NULL;
    return GRD_OK;
}

static int64_t rag_length(const void *state)
{
    (void)state;
    return N;
}

static int rag_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max >= 3) {
        out[0] = (grd_field){ .name = "text", .dtype = GRD_I32, .shape = { 1, { -1 } }, .lo = 0, .hi = 1000, .pad = 7 };
        out[1] = (grd_field){ .name = "picture", .dtype = GRD_U8, .shape = { 3, { 1, -1, -1 } }, .pad = 9 };
        out[2] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = 4, .hi = 3 };
    }
    return 3;
}

static int32_t label_of(int64_t i) { return i < 4 ? (int32_t)i : 3; } /* classes 0, 1, 2 have one sample each */

static grd_status rag_get(const void *state, int64_t i, grd_sample *out)
{
    (void)state;
    int64_t t = text_length_of(i), h = 1 + i % 3, w = 1 + i % 5;
    int32_t *text = grd_sample_room(out, 0, &(grd_shape){ 1, { t } });
    uint8_t *picture = text ? grd_sample_room(out, 1, &(grd_shape){ 3, { 1, h, w } }) : NULL;
    if (!picture)
        return GRD_ERR_MEMORY;
    for (int64_t k = 0; k < t; k++)
        text[k] = (int32_t)(100 + k);
    for (int64_t k = 0; k < h * w; k++)
        picture[k] = (uint8_t)(10 * i + k);
    *(int32_t *)out->data[2] = label_of(i);
    return i == 13 ? grd_sample_fail(out, GRD_ERR_DATA, "unlucky") : GRD_OK;
}

static void rag_name(const void *state, int64_t i, char *text, size_t size)
{
    (void)state;
    snprintf(text, size, "rag/%lld.txt", (long long)i);
}

static const grd_source rag = { .name = "rag", .doc = "test", .open = rag_open, .length = rag_length, .fields = rag_fields,
                                .get = rag_get, .name_of = rag_name };

static int setup_rag(void **state)
{
    return setup(state) || grd_source_register(ctx, &rag) != GRD_OK;
}

static grd_dataset *rags(void)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, "rag", NULL, &d));
    return d;
}

static grd_dataset *first(grd_dataset *d, int64_t n)
{
    int64_t index[N];
    grd_dataset *out;
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    ok(ctx, grd_dataset_select(d, index, n, &out));
    return out;
}

static grd_loader *loader(const grd_dataset *d, grd_loader_opts o)
{
    grd_loader *l;
    ok(ctx, grd_loader_new(ctx, d, &o, &l));
    ok(ctx, grd_loader_start(l, 0, 0));
    return l;
}

static const grd_batch *next(grd_loader *l)
{
    const grd_batch *b;
    ok(ctx, grd_loader_next(l, &b));
    return b;
}

/* ---- stacking ---- */

static void expect_row(const grd_batch *b, int64_t r)
{
    const int64_t i = b->index[r], t = text_length_of(i), h = 1 + i % 3, w = 1 + i % 5;
    const int64_t most = b->shape[0].dim[1], mh = b->shape[1].dim[2], mw = b->shape[1].dim[3];
    for (int64_t k = 0; k < most; k++)
        assert_int_equal(((int32_t *)b->data[0])[r * most + k], k < t ? 100 + k : 7);
    for (int64_t y = 0; y < mh; y++)
        for (int64_t x = 0; x < mw; x++)
            assert_int_equal(((uint8_t *)b->data[1])[(r * mh + y) * mw + x],
                             y < h && x < w ? (uint8_t)(10 * i + y * w + x) : 9);
    assert_int_equal(((int32_t *)b->data[2])[r], label_of(i));
    assert_int_equal(((int32_t *)b->data[3])[r], t);
}

static void shorter_samples_are_filled_up_and_lengths_are_told(void **state)
{
    (void)state;
    grd_dataset *d = first(rags(), 12);
    const grd_field *f;
    assert_int_equal(grd_dataset_fields(d, &f), 4);
    assert_string_equal(f[3].name, "text_length");
    for (int workers = 0; workers < 3; workers++) {
        grd_loader *l = loader(d, (grd_loader_opts){ .batch = 5, .shuffle = true, .workers = workers });
        int64_t seen = 0;
        for (const grd_batch *b; (b = next(l)); seen += b->n) {
            int64_t longest = 0, highest = 0;
            for (int64_t r = 0; r < b->n; r++) {
                int64_t i = b->index[r];
                longest = text_length_of(i) > longest ? text_length_of(i) : longest;
                highest = 1 + i % 3 > highest ? 1 + i % 3 : highest;
                expect_row(b, r);
            }
            assert_int_equal(b->shape[0].dim[1], longest ? longest : 1);
            assert_int_equal(b->shape[1].dim[2], highest);
        }
        assert_int_equal(seen, 12);
        grd_loader_free(l);
    }
}

static void lengths_are_rounded_up_to_a_multiple(void **state)
{
    (void)state;
    grd_loader *l = loader(first(rags(), 12), (grd_loader_opts){ .batch = 4, .pad_multiple = 8 });
    for (const grd_batch *b; (b = next(l));) {
        assert_int_equal(b->shape[0].dim[1] % 8, 0);
        assert_int_equal(b->shape[1].dim[3] % 8, 0);
        for (int64_t r = 0; r < b->n; r++)
            expect_row(b, r);
    }
}

static void memory_is_constant_after_the_first_epoch(void **state)
{
    (void)state;
    grd_loader *l = loader(first(rags(), 12), (grd_loader_opts){ .batch = 4, .workers = 1 });
    while (next(l))
        ;
    int64_t calls = memory.calls;
    for (int64_t e = 1; e < 4; e++) {
        ok(ctx, grd_loader_start(l, 0, 0)); /* the same epoch again: the same sizes in the same slots */
        while (next(l))
            ;
    }
    assert_int_equal(memory.calls, calls);
}

/* ---- what cannot be read ---- */

static void a_bad_sample_names_itself(void **state)
{
    (void)state;
    grd_loader *l = loader(rags(), (grd_loader_opts){ .batch = 10 });
    const grd_batch *b;
    assert_non_null(next(l));
    fails(ctx, GRD_ERR_DATA, "batch 1: rag: sample 13 (rag/13.txt): unlucky", grd_loader_next(l, &b));
    assert_int_equal(next(l)->n, 10);
}

static void bad_samples_are_skipped_and_counted_if_asked_for(void **state)
{
    (void)state;
    for (int workers = 0; workers < 4; workers += 3) {
        grd_loader *l = loader(rags(), (grd_loader_opts){ .batch = 10, .workers = workers, .on_error = GRD_ERRORS_SKIP });
        int64_t n = 0;
        for (const grd_batch *b; (b = next(l));) {
            assert_int_equal(b->n, b->number == 1 ? 9 : 10);
            assert_int_equal(b->shape[2].dim[0], b->n);
            for (int64_t r = 0; r < b->n; r++)
                expect_row(b, r);
            n += b->n;
        }
        assert_int_equal(n, N - 1);
        assert_int_equal(grd_loader_skipped(l), 1);
        grd_loader_free(l);
    }
    int64_t bad = 13;
    grd_dataset *d;
    const grd_batch *b;
    ok(ctx, grd_dataset_select(rags(), &bad, 1, &d));
    grd_loader *l = loader(d, (grd_loader_opts){ .on_error = GRD_ERRORS_SKIP });
    fails(ctx, GRD_ERR_DATA, "none of its 1 samples can be read; the last one: rag: sample 13", grd_loader_next(l, &b));
}

/* ---- samplers ---- */

static void buckets_hold_samples_of_like_length_once_each(void **state)
{
    (void)state;
    grd_loader_opts o = { .batch = 3, .shuffle = true, .sampler = GRD_SAMPLER_BUCKETED, .seed = 3 };
    grd_loader *l = loader(first(rags(), 12), o);
    int seen[12] = { 0 };
    int64_t spread = 0, order[2][4] = { 0 };
    for (int e = 0; e < 2; e++) {
        ok(ctx, grd_loader_start(l, e, 0));
        for (const grd_batch *b; (b = next(l));) {
            int64_t lo = 100, hi = 0;
            for (int64_t r = 0; r < b->n; r++) {
                int64_t t = text_length_of(b->index[r]);
                lo = t < lo ? t : lo;
                hi = t > hi ? t : hi;
                seen[b->index[r]]++;
            }
            spread += hi - lo;
            order[e][b->number] = lo;
        }
    }
    for (int i = 0; i < 12; i++)
        assert_int_equal(seen[i], 2);
    assert_true(spread <= 2 * (10 - 0)); /* sorted lengths 0 to 10 in four batches: the steps between batches are left out */
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
}

static void count_draws(grd_loader *l, int64_t n[4])
{
    memset(n, 0, 4 * sizeof *n);
    for (int64_t e = 0; e < 200; e++) {
        ok(ctx, grd_loader_start(l, e, 0));
        for (const grd_batch *b; (b = next(l));)
            for (int64_t r = 0; r < b->n; r++)
                n[((int32_t *)b->data[2])[r]]++;
    }
}

static void balanced_draws_every_class_equally_often(void **state)
{
    (void)state;
    int64_t n[4];
    count_draws(loader(first(rags(), 12), (grd_loader_opts){ .batch = 12, .sampler = GRD_SAMPLER_BALANCED }), n);
    for (int c = 0; c < 4; c++)
        assert_in_range(n[c], 510, 690); /* 600 of 2400; a standard deviation is 21 */
}

static void weights_are_proportions(void **state)
{
    (void)state;
    double w[12] = { 1, 3 };
    int64_t n[4];
    grd_loader *l;
    count_draws(loader(first(rags(), 12), (grd_loader_opts){ .batch = 12, .sampler = GRD_SAMPLER_WEIGHTED, .weights = w }), n);
    assert_in_range(n[0], 510, 690);
    assert_int_equal(n[0] + n[1], 2400);
    w[5] = -1;
    fails(ctx, GRD_ERR_ARG, "loader: weight -1 of sample 5, expected a number of 0 or more",
          grd_loader_new(ctx, first(rags(), 12), &(grd_loader_opts){ .sampler = GRD_SAMPLER_WEIGHTED, .weights = w }, &l));
    fails(ctx, GRD_ERR_ARG, "sampler weighted without weights",
          grd_loader_new(ctx, first(rags(), 12), &(grd_loader_opts){ .sampler = GRD_SAMPLER_WEIGHTED }, &l));
}

static void ranks_share_an_epoch(void **state)
{
    (void)state;
    int seen[13] = { 0 };
    grd_dataset *d = first(rags(), 13);
    for (int rank = 0; rank < 4; rank++) {
        grd_loader *l = loader(first(d, 11), (grd_loader_opts){ .batch = 2, .shuffle = true, .rank = rank, .ranks = 4 });
        int64_t n = 0;
        for (const grd_batch *b; (b = next(l)); n += b->n)
            for (int64_t r = 0; r < b->n; r++)
                seen[b->index[r]]++;
        assert_int_equal(n, 3); /* 11 samples for 4: the first of the order comes twice */
    }
    int twice = 0;
    for (int i = 0; i < 11; i++) {
        assert_in_range(seen[i], 1, 2);
        twice += seen[i] == 2;
    }
    assert_int_equal(twice, 1);
    grd_loader *l;
    fails(ctx, GRD_ERR_ARG, "loader: rank 4 of 4, expected 0..3", grd_loader_new(ctx, d, &(grd_loader_opts){ .rank = 4, .ranks = 4 }, &l));
}

/* ---- transforms that learn, and those of whole batches ---- */

static grd_status no_change(const void *options, const void *own, grd_field *field, int n, grd_ctx *c)
{
    (void)options;
    (void)own;
    (void)field;
    (void)n;
    (void)c;
    return GRD_OK;
}

/* subtracts the smallest label of the training set */
static grd_status least_open(const grd_transform_open *call, void **state)
{
    int32_t *least = malloc(sizeof *least);
    assert_non_null(least);
    *least = 1000;
    if (call->saved)
        *least = (int32_t)strtol(call->saved, NULL, 10);
    else
        for (int64_t i = 0; i < grd_dataset_length(call->fit); i++) {
            grd_sample *s;
            ok(ctx, grd_sample_new(call->fit, ctx, &s));
            assert_int_equal(grd_dataset_get(call->fit, i, NULL, s), GRD_OK);
            *least = *(int32_t *)s->data[2] < *least ? *(int32_t *)s->data[2] : *least;
            grd_sample_free(s, ctx);
        }
    *state = least;
    return GRD_OK;
}

static grd_status least_apply(const grd_transform_call *call, grd_sample *s)
{
    *(int32_t *)s->data[2] -= *(const int32_t *)call->state;
    return GRD_OK;
}

static int least_save(const void *state, char *text, size_t size) { return snprintf(text, size, "%d", *(const int32_t *)state); }

static const grd_transform least = { .name = "least", .doc = "test", .fields = no_change, .apply = least_apply, .open = least_open,
                                     .close = free, .save = least_save };

static int32_t label_at(const grd_dataset *d, int64_t i)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
    int32_t label = *(int32_t *)s->data[2];
    grd_sample_free(s, ctx);
    return label;
}

static void what_is_learned_on_one_set_serves_another(void **state)
{
    (void)state;
    ok(ctx, grd_transform_register(ctx, &least));
    int64_t late[] = { 2, 3, 4 };
    grd_dataset *train, *train_t, *val = first(rags(), 5), *val_t, *again;
    ok(ctx, grd_dataset_select(rags(), late, 3, &train));
    ok(ctx, grd_dataset_transform(train, "least", &train_t));
    assert_int_equal(label_at(train_t, 0), 0);
    ok(ctx, grd_dataset_transform_as(val, train_t, &val_t));
    grd_dataset_free(train_t); /* what it learned stays as long as it is used */
    assert_int_equal(label_at(val_t, 0), -2);
    char text[32];
    assert_int_equal(grd_dataset_learned(val_t, text, sizeof text), 1);
    ok(ctx, grd_dataset_transform_saved(val, "least", text, &again));
    assert_int_equal(label_at(again, 0), -2);
    fails(ctx, GRD_ERR_ARG, "the set to follow has no transforms", grd_dataset_transform_as(val, train, &again));
}

static grd_status swap_labels(const grd_transform_call *call, grd_batch *b, grd_sample *errors)
{
    (void)errors;
    assert_non_null(call->key);
    int32_t *label = b->data[2];
    for (int64_t r = 0; r < b->n / 2; r++) {
        int32_t x = label[r];
        label[r] = label[b->n - 1 - r];
        label[b->n - 1 - r] = x;
    }
    return GRD_OK;
}

static const grd_transform swap = { .name = "swap", .doc = "test", .fields = no_change, .apply_batch = swap_labels, .random = true };

static void whole_batches_are_changed_once_they_are_full(void **state)
{
    (void)state;
    ok(ctx, grd_transform_register(ctx, &swap));
    grd_dataset *d;
    ok(ctx, grd_dataset_transform(first(rags(), 4), "swap", &d));
    for (int workers = 0; workers < 2; workers++) {
        grd_loader *l = loader(d, (grd_loader_opts){ .batch = 4, .workers = workers });
        const int32_t *label = next(l)->data[2];
        for (int i = 0; i < 4; i++)
            assert_int_equal(label[i], 3 - i);
        grd_loader_free(l);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_rag, teardown)
    const struct CMUnitTest tests[] = {
        TEST(shorter_samples_are_filled_up_and_lengths_are_told),
        TEST(lengths_are_rounded_up_to_a_multiple),
        TEST(memory_is_constant_after_the_first_epoch),
        TEST(a_bad_sample_names_itself),
        TEST(bad_samples_are_skipped_and_counted_if_asked_for),
        TEST(buckets_hold_samples_of_like_length_once_each),
        TEST(balanced_draws_every_class_equally_often),
        TEST(weights_are_proportions),
        TEST(ranks_share_an_epoch),
        TEST(what_is_learned_on_one_set_serves_another),
        TEST(whole_batches_are_changed_once_they_are_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
