/* Splits beyond plain ones: NumPy's order, groups, folds, lists of names, other labels. */
#include "helper_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n samples: label = i % 3, but the last fifth is class 0; person = i * 7 % persons. */
static grd_dataset *people(int64_t n, int32_t persons)
{
    int32_t *label = malloc((size_t)n * sizeof *label), *person = malloc((size_t)n * sizeof *person);
    assert_true(label && person);
    for (int64_t i = 0; i < n; i++) {
        label[i] = i < n * 4 / 5 ? (int32_t)(i % 3) : 0;
        person[i] = (int32_t)(i * 7 % persons);
    }
    const grd_field field[2] = { { .name = "label", .dtype = GRD_I32, .hi = 2, .classes = 3 }, { .name = "person", .dtype = GRD_I32 } };
    grd_dataset *d;
    ok(ctx, grd_dataset_from_arrays(ctx, n, 2, field, (const void *const[]){ label, person }, true, &d));
    free(label);
    free(person);
    return d;
}

static void numpys_order_is_numpys(void **state)
{
    (void)state;
    static const int64_t ten[10] = { 2, 8, 4, 9, 1, 6, 7, 3, 0, 5 }, many[6] = { 24166, 42699, 15927, 7473, 5070, 33926 };
    grd_dataset *two[2];
    ok(ctx, grd_dataset_split(people(10, 3), (double[]){ 0.6, 0.4 }, 2, &(grd_split_opts){ .order = GRD_ORDER_NUMPY }, two));
    for (int i = 0; i < 10; i++)
        assert_int_equal(grd_dataset_index(two[i / 6], i % 6), ten[i]);
    ok(ctx, grd_dataset_split(people(50000, 3), (double[]){ 1 }, 1, &(grd_split_opts){ .seed = 5, .order = GRD_ORDER_NUMPY }, two));
    for (int i = 0; i < 6; i++)
        assert_int_equal(grd_dataset_index(two[0], i), many[i]);
    fails(ctx, GRD_ERR_ARG, "seed 4294967296, NumPy's order takes 0 to 4294967295",
          grd_dataset_split(people(10, 3), (double[]){ 1 }, 1, &(grd_split_opts){ .seed = 1ull << 32, .order = GRD_ORDER_NUMPY }, two));
}

static void mark_people(const grd_dataset *d, int32_t persons, int part, int *where, int64_t count[3])
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    memset(count, 0, 3 * sizeof *count);
    for (int64_t i = 0; i < grd_dataset_length(d); i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        int32_t person = *(int32_t *)s->data[1];
        assert_in_range(person, 0, persons - 1);
        assert_true(where[person] == 0 || where[person] == part); /* nobody stands in two parts */
        where[person] = part;
        count[*(int32_t *)s->data[0]]++;
    }
    grd_sample_free(s, ctx);
}

static void nobody_stands_in_two_parts(void **state)
{
    (void)state;
    grd_dataset *d = people(1000, 40), *part[3];
    for (uint64_t seed = 0; seed < 5; seed++) {
        int where[40] = { 0 };
        int64_t count[3], total = 0;
        const double fraction[3] = { 0.6, 0.2, 0.2 };
        ok(ctx, grd_dataset_split(d, fraction, 3, &(grd_split_opts){ .seed = seed, .group = "person", .stratify = "label" }, part));
        for (int k = 0; k < 3; k++) {
            mark_people(part[k], 40, k + 1, where, count);
            int64_t n = grd_dataset_length(part[k]);
            total += n;
            assert_in_range(n, (int64_t)(1000 * fraction[k]) - 30, (int64_t)(1000 * fraction[k]) + 30);
            assert_in_range(count[1] * 1000 / n, 230, 300); /* 267 of 1000 are class 1 */
        }
        assert_int_equal(total, 1000);
    }
    fails(ctx, GRD_ERR_ARG, "split by group: no field \"peson\"",
          grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .group = "peson" }, part));
}

static void each_sample_is_validated_once_over_the_folds(void **state)
{
    (void)state;
    static const grd_split_opts opts[] = { { .seed = 1 }, { .seed = 2, .stratify = "label" }, { .seed = 3, .group = "person" } };
    grd_dataset *d = people(103, 20), *train, *val;
    for (int o = 0; o < 3; o++) {
        int seen[103] = { 0 };
        for (int fold = 0; fold < 5; fold++) {
            ok(ctx, grd_dataset_fold(d, 5, fold, &opts[o], &train, &val));
            assert_int_equal(grd_dataset_length(train) + grd_dataset_length(val), 103);
            assert_in_range(grd_dataset_length(val), o == 2 ? 16 : 19, o == 2 ? 25 : 22);
            int in_val[103] = { 0 };
            for (int64_t i = 0; i < grd_dataset_length(val); i++) {
                seen[grd_dataset_index(val, i)]++;
                in_val[grd_dataset_index(val, i)] = 1;
            }
            for (int64_t i = 0; i < grd_dataset_length(train); i++)
                assert_false(in_val[grd_dataset_index(train, i)]);
        }
        for (int i = 0; i < 103; i++)
            assert_int_equal(seen[i], 1);
    }
    fails(ctx, GRD_ERR_ARG, "folds: fold 5 of 5, expected 0..4", grd_dataset_fold(d, 5, 5, NULL, &train, &val));
    fails(ctx, GRD_ERR_ARG, "folds: 1 of 103 samples, expected 2 to", grd_dataset_fold(d, 1, 0, NULL, &train, &val));
}

static void names_choose_and_leave_out(void **state)
{
    (void)state;
    static const char *const names[] = { "7", "2", "99" };
    grd_dataset *d = people(10, 3), *out;
    bool found[3] = { false };
    ok(ctx, grd_dataset_named(d, names, 2, false, NULL, &out));
    assert_int_equal(grd_dataset_length(out), 2);
    assert_int_equal(grd_dataset_index(out, 0), 7);
    assert_int_equal(grd_dataset_index(out, 1), 2);
    ok(ctx, grd_dataset_named(d, names, 2, true, NULL, &out));
    assert_int_equal(grd_dataset_length(out), 8);
    assert_int_equal(grd_dataset_index(out, 2), 3);
    fails(ctx, GRD_ERR_ARG, "names: no sample \"99\" among 10; they are called like \"0\"",
          grd_dataset_named(d, names, 3, true, NULL, &out));
    ok(ctx, grd_dataset_named(d, names, 3, true, found, &out));
    assert_true(found[0] && found[1] && !found[2]);
    fails(ctx, GRD_ERR_ARG, "\"2\" stands twice",
          grd_dataset_named(d, (const char *const[]){ "2", "3", "2" }, 3, true, NULL, &out));
}

static int32_t label_at(const grd_dataset *d, int64_t i)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
    int32_t label = *(int32_t *)s->data[0];
    grd_sample_free(s, ctx);
    return label;
}

static void other_labels_stand_instead_of_the_sources(void **state)
{
    (void)state;
    static const char *const names[] = { "7", "2" };
    static const int32_t labels[] = { 0, 1 };
    grd_dataset *d = people(10, 3), *out, *part[2];
    ok(ctx, grd_dataset_relabel(d, names, labels, 2, NULL, &out));
    grd_dataset_free(d);
    assert_int_equal(label_at(out, 7), 0);
    assert_int_equal(label_at(out, 2), 1);
    assert_int_equal(label_at(out, 1), 1);
    ok(ctx, grd_dataset_split(out, (double[]){ 0.5, 0.5 }, 2, NULL, part)); /* views keep them */
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < grd_dataset_length(part[k]); i++)
            if (grd_dataset_index(part[k], i) == 7)
                assert_int_equal(label_at(part[k], i), 0);
    fails(ctx, GRD_ERR_ARG, "relabel: \"2\": label 3, expected 0..2",
          grd_dataset_relabel(people(10, 3), names, (const int32_t[]){ 0, 3 }, 2, NULL, &out));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(numpys_order_is_numpys),
        TEST(nobody_stands_in_two_parts),
        TEST(each_sample_is_validated_once_over_the_folds),
        TEST(names_choose_and_leave_out),
        TEST(other_labels_stand_instead_of_the_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
