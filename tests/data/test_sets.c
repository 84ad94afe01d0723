/* Data sets: sources by name, selecting, splitting, subsets, verifying. */
#include "helper_setup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup_flaky(void **state)
{
    return setup(state) || grd_source_register(ctx, &flaky_source) != GRD_OK;
}

/* n samples with the given labels, of `classes` classes; sample i carries i in field "id". */
static grd_dataset *labelled(int64_t n, const int32_t *label, int64_t classes)
{
    grd_dataset *d;
    int32_t *id = calloc((size_t)n, sizeof *id);
    for (int64_t i = 0; i < n; i++)
        id[i] = (int32_t)i;
    const grd_field field[2] = { { .name = "id", .dtype = GRD_I32 }, { .name = "label", .dtype = GRD_I32, .classes = classes } };
    ok(ctx, grd_dataset_from_arrays(ctx, n, 2, field, (const void *const[]){ id, label }, true, &d));
    free(id);
    return d;
}

static void count_classes(const grd_dataset *d, int64_t *count, int64_t n)
{
    ok(ctx, grd_dataset_verify(ctx, d, count, n));
}

/* Adds 1 to seen[source index] of every sample. */
static void mark(const grd_dataset *d, int *seen)
{
    for (int64_t i = 0; i < grd_dataset_length(d); i++)
        seen[grd_dataset_index(d, i)]++;
}

static void expect_order(const grd_dataset *d, const int64_t *order, int64_t n)
{
    assert_int_equal(grd_dataset_length(d), n);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(grd_dataset_index(d, i), order[i]);
}

/* ---- sources ---- */

static void users_source_is_found_and_read(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=20 bad=8", &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 6, NULL, s), GRD_OK);
    assert_true(((float *)s->data[0])[2] == 62);
    assert_int_equal(*(int32_t *)s->data[2], 2);
    assert_int_equal(grd_dataset_get(d, 7, NULL, s), GRD_ERR_DATA);
    assert_string_equal(s->error, "flaky: sample 7: flaky.bin: record 7: found rubbish");
    assert_int_equal(grd_dataset_get(d, 20, NULL, s), GRD_ERR_ARG);
    assert_string_equal(s->error, "flaky: sample 20, the data set has 20");
    grd_sample_free(s, ctx);
    fails(ctx, GRD_ERR_DATA, "flaky: n: 13 brings bad luck", grd_dataset_open(ctx, "flaky", "n=13", &d));
    fails(ctx, GRD_ERR_ARG, "source \"flaky\": there is one of that name already", grd_source_register(ctx, &flaky_source));
    fails(ctx, GRD_ERR_ARG, "source \"half\" lacks one of open, length, fields, get",
          grd_source_register(ctx, &(grd_source){ .name = "half", .doc = "" }));
    bool found = false;
    for (int i = 0; grd_source_at(ctx, i); i++)
        found = found || grd_source_at(ctx, i) == &flaky_source;
    assert_true(found);
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    grd_dataset *d;
    fails(ctx, GRD_ERR_CONFIG, "data: no source \"fashon-mnist\"; did you mean \"fashion-mnist\"?",
          grd_dataset_open(ctx, "fashon-mnist", NULL, &d));
    fails(ctx, GRD_ERR_CONFIG, "moons: no option \"nois\"; did you mean \"noise\"?",
          grd_dataset_open(ctx, "moons", "nois=1", &d));
    ok(ctx, grd_dataset_open(ctx, "moons", NULL, &d));
    grd_dataset *t;
    fails(ctx, GRD_ERR_CONFIG, "data: no transform \"normalise\"; did you mean \"normalize\"?",
          grd_dataset_transform(d, "normalise mean=1", &t));
    assert_null(t);
}

static void every_row_has_a_doc_and_help(void **state)
{
    (void)state;
    const grd_source *source;
    const grd_transform *transform;
    for (int i = 0; (source = grd_source_at(ctx, i)); i++) {
        assert_true(strlen(source->doc) > 10 && grd_source_find(ctx, source->name) == source);
        for (const grd_option *o = source->options; o && o->name; o++)
            assert_true(o->help && strlen(o->help) > 5);
    }
    for (int i = 0; (transform = grd_transform_at(ctx, i)); i++)
        assert_true(strlen(transform->doc) > 10 && grd_transform_find(ctx, transform->name) == transform);
}

static void generated_samples_depend_on_seed_and_index_alone(void **state)
{
    (void)state;
    static const char *const spec[][2] = { { "spirals", "n=50 classes=4" },
                                           { "moons", "n=50" },
                                           { "random", "n=50 shape=[2,5]" },
                                           { "random", "n=50 shape=[30] tokens=9 label_shape=[30]" },
                                           { "random", "n=50 shape=[2,5] label=real label_shape=[2]" } };
    for (int k = 0; k < 5; k++) {
        grd_dataset *a, *b, *c;
        grd_sample *x, *y;
        char longer[80];
        snprintf(longer, sizeof longer, "%s seed=5", spec[k][1]);
        ok(ctx, grd_dataset_open(ctx, spec[k][0], longer, &a));
        ok(ctx, grd_dataset_open(ctx, spec[k][0], longer, &b));
        ok(ctx, grd_dataset_open(ctx, spec[k][0], spec[k][1], &c));
        ok(ctx, grd_sample_new(a, ctx, &x));
        ok(ctx, grd_sample_new(b, ctx, &y));
        ok(ctx, grd_dataset_verify(ctx, a, NULL, 0));
        const grd_field *f;
        grd_dataset_fields(a, &f);
        size_t size = 4 * (size_t)grd_count(&f[0].shape);
        for (int64_t i = 0; i < 50; i++) {
            assert_int_equal(grd_dataset_get(a, 49 - i, NULL, x), GRD_OK);
            assert_int_equal(grd_dataset_get(b, 49 - i, NULL, y), GRD_OK);
            assert_memory_equal(x->data[0], y->data[0], size);
            assert_int_equal(*(int32_t *)x->data[1], *(int32_t *)y->data[1]);
            assert_int_equal(grd_dataset_get(c, 49 - i, NULL, y), GRD_OK);
            assert_memory_not_equal(x->data[0], y->data[0], size);
        }
        grd_sample_free(x, ctx);
        grd_sample_free(y, ctx);
    }
}

static void spirals_without_noise_lie_on_their_arms(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    ok(ctx, grd_dataset_open(ctx, "spirals", "n=300 classes=3 noise=0 turns=1.5", &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    double farthest = 0;
    for (int64_t i = 0; i < 300; i++) {
        assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        const float *x = s->data[0];
        double r = hypot(x[0], x[1]), angle = 6.283185307179586 * (*(int32_t *)s->data[1] / 3.0 + 1.5 * r);
        assert_true(fabs(x[0] - r * cos(angle)) < 1e-5 && fabs(x[1] - r * sin(angle)) < 1e-5);
        farthest = r > farthest ? r : farthest;
    }
    assert_true(farthest > 0.95 && farthest < 1);
    grd_sample_free(s, ctx);
}

static void arrays_are_copied_or_borrowed_and_their_labels_checked(void **state)
{
    (void)state;
    float x[6] = { 0, 1, 2, 3, 4, 5 };
    int32_t y[3] = { 0, 1, 5 };
    const void *const data[2] = { x, y };
    grd_field field[2] = { { .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } } },
                           { .name = "label", .dtype = GRD_I32, .classes = 3 } };
    grd_dataset *copy, *lent;
    grd_sample *s;
    fails(ctx, GRD_ERR_DATA, "array: record 2: label 5, expected 0..2",
          grd_dataset_from_arrays(ctx, 3, 2, field, data, true, &copy));
    y[2] = 2;
    ok(ctx, grd_dataset_from_arrays(ctx, 3, 2, field, data, true, &copy));
    ok(ctx, grd_dataset_from_arrays(ctx, 3, 2, field, data, false, &lent));
    x[4] = 40;
    ok(ctx, grd_sample_new(copy, ctx, &s));
    assert_int_equal(grd_dataset_get(copy, 2, NULL, s), GRD_OK);
    assert_true(((float *)s->data[0])[0] == 4);
    assert_int_equal(grd_dataset_get(lent, 2, NULL, s), GRD_OK);
    assert_true(((float *)s->data[0])[0] == 40);
    grd_sample_free(s, ctx);
}

static void impossible_fields_are_refused_with_a_sentence(void **state)
{
    (void)state;
    float x[4] = { 0 };
    const void *const data[2] = { x, x };
    grd_dataset *d;
    const struct {
        grd_field field[2];
        const char *message;
    } bad[] = {
        { { { .name = "x", .shape = { 1, { -1 } } }, { .name = "y" } },
          "array: from arrays: field \"x\" varies from sample to sample; an array has one shape" },
        { { { .name = "x", .shape = { 2, { 3, 0 } } }, { .name = "y" } },
          "array: from arrays: field \"x\" has the impossible shape [3,0]" },
        { { { .name = "x", .shape = { 3, { 1LL << 40, 1LL << 40, 4 } } }, { .name = "y" } }, "has the impossible shape" },
        { { { .name = "x" }, { .name = "x" } }, "two fields are named \"x\"" },
        { { { .name = "x" }, { .name = "" } }, "field 1 has no name" },
        { { { .name = "x", .dtype = GRD_I64 }, { .name = "y" } }, "field \"x\" has dtype 3, expected f32, i32 or u8" },
        { { { .name = "x", .classes = 3 }, { .name = "y" } },
          "field \"x\" has 3 classes, dtype f32 and shape []; class indices are i32" },
    };
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_not_equal(grd_dataset_from_arrays(ctx, 1, 2, bad[k].field, data, true, &d), GRD_OK);
        if (!strstr(grd_error(ctx), bad[k].message))
            fail_msg("found \"%s\", expected \"%s\"", grd_error(ctx), bad[k].message);
    }
}

/* ---- views ---- */

static void a_view_outlives_what_it_was_made_from(void **state)
{
    (void)state;
    grd_dataset *d, *part, *scaled;
    grd_sample *s;
    ok(ctx, grd_dataset_open(ctx, "random", "n=10 shape=4", &d));
    ok(ctx, grd_dataset_select(d, (int64_t[]){ 9, 3, 3 }, 3, &part));
    ok(ctx, grd_dataset_transform(part, "scale to=[-1,1]", &scaled));
    ok(ctx, grd_dataset_select(scaled, (int64_t[]){ 2, 0 }, 2, &part));
    grd_dataset_free(d);
    grd_dataset_free(scaled);
    expect_order(part, (int64_t[]){ 3, 9 }, 2);
    ok(ctx, grd_sample_new(part, ctx, &s));
    assert_int_equal(grd_dataset_get(part, 0, NULL, s), GRD_OK);
    grd_sample_free(s, ctx);
    assert_int_equal(grd_dataset_index(part, 2), -1);
    fails(ctx, GRD_ERR_ARG, "select: entry 1: sample 2, the data set has 2",
          grd_dataset_select(part, (int64_t[]){ 0, 2 }, 2, &d));
    grd_dataset_free(NULL);
}

static void split_has_a_golden_order(void **state)
{
    (void)state; /* computed by another implementation of Philox and of the shuffle (Python) */
    static const int64_t order[10] = { 4, 3, 6, 8, 0, 1, 5, 2, 9, 7 };
    grd_dataset *d, *part[2];
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=10", &d));
    ok(ctx, grd_dataset_split(d, (double[]){ 0.7, 0.3 }, 2, &(grd_split_opts){ .seed = 1 }, part));
    expect_order(part[0], order, 7);
    expect_order(part[1], order + 7, 3);
}

static void split_parts_are_disjoint_and_complete(void **state)
{
    (void)state;
    grd_dataset *d, *part[3], *again[3], *other[3];
    int seen[1001] = { 0 };
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=1001", &d));
    ok(ctx, grd_dataset_split(d, (double[]){ 0.6, 0.2, 0.2 }, 3, &(grd_split_opts){ .seed = 3 }, part));
    assert_int_equal(grd_dataset_length(part[0]), 601);
    assert_int_equal(grd_dataset_length(part[1]), 200);
    assert_int_equal(grd_dataset_length(part[2]), 200);
    for (int k = 0; k < 3; k++)
        mark(part[k], seen);
    for (int i = 0; i < 1001; i++)
        assert_int_equal(seen[i], 1);
    ok(ctx, grd_dataset_split(d, (double[]){ 0.6, 0.2, 0.2 }, 3, &(grd_split_opts){ .seed = 3 }, again));
    ok(ctx, grd_dataset_split(d, (double[]){ 0.6, 0.2, 0.2 }, 3, &(grd_split_opts){ .seed = 4 }, other));
    int same = 0;
    for (int64_t i = 0; i < 601; i++) {
        assert_int_equal(grd_dataset_index(again[0], i), grd_dataset_index(part[0], i));
        same += grd_dataset_index(other[0], i) == grd_dataset_index(part[0], i);
    }
    assert_true(same < 20);
}

static void stratified_split_keeps_every_classes_proportions(void **state)
{
    (void)state;
    int32_t label[730];
    int n = 0, seen[730] = { 0 };
    for (int c = 0; c < 10; c++) /* 5, 20, 35, ... of class c */
        for (int k = 0; k < 5 + 15 * c && n < 730; k++)
            label[n++] = c;
    grd_dataset *d = labelled(n, label, 10), *part[3];
    const double fraction[3] = { 0.5, 0.3, 0.15 };
    ok(ctx, grd_dataset_split(d, fraction, 3, &(grd_split_opts){ .seed = 9, .stratify = "label" }, part));
    for (int k = 0; k < 3; k++) {
        int64_t count[10];
        count_classes(part[k], count, 10);
        mark(part[k], seen);
        assert_true(fabs((double)grd_dataset_length(part[k]) - fraction[k] * n) <= 1);
        for (int c = 0; c < 10; c++)
            assert_true(fabs((double)count[c] - fraction[k] * (5 + 15 * c)) <= 1.5);
    }
    for (int i = 0; i < n; i++)
        assert_true(seen[i] <= 1);
}

static void many_small_classes_do_not_all_round_the_same_way(void **state)
{
    (void)state;
    int32_t label[50];
    for (int i = 0; i < 50; i++)
        label[i] = i % 10;
    grd_dataset *d = labelled(50, label, 10), *part[2];
    ok(ctx, grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .seed = 0, .stratify = "label" }, part));
    assert_int_equal(grd_dataset_length(part[0]), 25);
    assert_int_equal(grd_dataset_length(part[1]), 25);
    for (int k = 0; k < 2; k++) {
        int64_t count[10];
        count_classes(part[k], count, 10);
        for (int c = 0; c < 10; c++)
            assert_in_range(count[c], 2, 3);
    }
}

static void bad_splits_are_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_dataset *d, *part[2];
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=10", &d));
    fails(ctx, GRD_ERR_ARG, "split: the fractions add up to 1.2, expected at most 1",
          grd_dataset_split(d, (double[]){ 0.7, 0.5 }, 2, &(grd_split_opts){ .seed = 1 }, part));
    fails(ctx, GRD_ERR_ARG, "split: fraction -0.1 of part 1, expected more than 0 and at most 1",
          grd_dataset_split(d, (double[]){ 0.7, -0.1 }, 2, &(grd_split_opts){ .seed = 1 }, part));
    fails(ctx, GRD_ERR_ARG, "split: fraction nan of part 0",
          grd_dataset_split(d, (double[]){ NAN, 0.5 }, 2, &(grd_split_opts){ .seed = 1 }, part));
    fails(ctx, GRD_ERR_ARG, "split: part 1 (fraction 0.01 of 10 samples) would be empty",
          grd_dataset_split(d, (double[]){ 0.99, 0.01 }, 2, &(grd_split_opts){ .seed = 1 }, part));
    assert_null(part[0]);
    fails(ctx, GRD_ERR_ARG, "split: no field \"lable\"",
          grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .seed = 1, .stratify = "lable" }, part));
    fails(ctx, GRD_ERR_ARG, "split: no single class index is field \"x\"",
          grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .seed = 1, .stratify = "x" }, part));
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=10 bad=4", &d));
    fails(ctx, GRD_ERR_DATA, "split: flaky: sample 3: flaky.bin: record 3: found rubbish",
          grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .seed = 1, .stratify = "label" }, part));
}

/* ---- subsets ---- */

static void subsets_are_disjoint_and_hold_n_of_each_class(void **state)
{
    (void)state;
    int32_t label[600];
    int seen[600] = { 0 };
    for (int i = 0; i < 600; i++)
        label[i] = i * i % 7 == 1 ? 1 : i % 3 == 0 ? 0 : 2;
    grd_dataset *d = labelled(600, label, 3), *part[5];
    const grd_subset want[5] = { { .name = "labelled", .per_class = 10 },
                                 { .name = "rest" },
                                 { .name = "holdout", .per_class = 7 },
                                 { .name = "some", .count = 50 },
                                 { .name = "tenth", .fraction = 0.1, .stratify = "label" } };
    static const int64_t length[5] = { 30, 439, 21, 50, 60 };
    int64_t count[3];
    ok(ctx, grd_dataset_subsets(d, want, 5, 1, part));
    for (int k = 0; k < 5; k++) {
        assert_int_equal(grd_dataset_length(part[k]), length[k]);
        mark(part[k], seen);
    }
    for (int i = 0; i < 600; i++)
        assert_int_equal(seen[i], 1);
    count_classes(part[0], count, 3);
    assert_true(count[0] == 10 && count[1] == 10 && count[2] == 10);
    count_classes(part[2], count, 3);
    assert_true(count[0] == 7 && count[1] == 7 && count[2] == 7);
    int64_t all[3];
    count_classes(d, all, 3);
    count_classes(part[4], count, 3);
    for (int c = 0; c < 3; c++)
        assert_true(llabs(count[c] - all[c] / 10) <= 3);
}

static void subsets_have_a_golden_order(void **state)
{
    (void)state; /* as for split */
    grd_dataset *d, *part[2];
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=10", &d));
    ok(ctx, grd_dataset_subsets(d, (grd_subset[]){ { .name = "few", .count = 4 }, { .name = "rest" } }, 2, 1, part));
    expect_order(part[0], (int64_t[]){ 3, 5, 0, 7 }, 4);
    expect_order(part[1], (int64_t[]){ 4, 8, 6, 2, 9, 1 }, 6);
}

static void fractions_that_add_up_to_one_take_everything(void **state)
{
    (void)state;
    grd_dataset *d, *part[3];
    for (int n = 4; n < 40; n++) {
        char spec[32];
        snprintf(spec, sizeof spec, "n=%d", n == 13 ? 113 : n);
        ok(ctx, grd_dataset_open(ctx, "flaky", spec, &d));
        const grd_subset want[3] = { { .name = "a", .fraction = 0.5 }, { .name = "b", .fraction = 0.25, .stratify = "label" },
                                     { .name = "c", .fraction = 0.25 } };
        ok(ctx, grd_dataset_subsets(d, want, 3, 1, part));
        assert_int_equal(grd_dataset_length(part[0]) + grd_dataset_length(part[1]) + grd_dataset_length(part[2]),
                         grd_dataset_length(d));
    }
}

static void asking_for_too_many_says_how_many_there_are(void **state)
{
    (void)state;
    grd_dataset *d, *part[2];
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=42", &d)); /* classes 0 and 1: 11, 2 and 3: 10 */
    fails(ctx, GRD_ERR_ARG, "subset \"a\": 11 of each class wanted, class 2 has 10 left",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .per_class = 11 } }, 1, 1, part));
    fails(ctx, GRD_ERR_ARG, "subset \"b\": 6 of each class wanted, class 2 has 5 left",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .per_class = 5 }, { .name = "b", .per_class = 6 } }, 2, 1, part));
    assert_null(part[0]);
    fails(ctx, GRD_ERR_ARG, "subset \"b\": 13 samples wanted, 12 of 42 are left",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .count = 30 }, { .name = "b", .count = 13 } }, 2, 1, part));
    fails(ctx, GRD_ERR_ARG, "subset \"b\": no samples are left for it (of 42)",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .count = 42 }, { .name = "b" } }, 2, 1, part));
    fails(ctx, GRD_ERR_ARG, "subset \"b\": \"a\" takes the rest already",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a" }, { .name = "b" } }, 2, 1, part));
    fails(ctx, GRD_ERR_ARG, "subset \"a\": give one of per_class, count and fraction",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .count = 3, .fraction = 0.1 } }, 1, 1, part));
    fails(ctx, GRD_ERR_ARG, "subset \"a\": per_class 0, count -3, fraction 0: out of range",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .count = -3 } }, 1, 1, part));
    float x[2] = { 0 };
    grd_field field = { .name = "x" };
    ok(ctx, grd_dataset_from_arrays(ctx, 2, 1, &field, (const void *const[]){ x }, true, &d));
    fails(ctx, GRD_ERR_ARG, "subset \"a\": no field \"label\"",
          grd_dataset_subsets(d, (grd_subset[]){ { .name = "a", .per_class = 1 } }, 1, 1, part));
}

/* ---- verify ---- */

static void verify_names_the_first_broken_promise(void **state)
{
    (void)state;
    float x[4] = { 0, 0.5f, 1.5f, NAN };
    int64_t counts[4];
    grd_dataset *d, *part;
    grd_field field = { .name = "x", .lo = 0, .hi = 1, .shape = { 1, { 2 } } };
    ok(ctx, grd_dataset_from_arrays(ctx, 2, 1, &field, (const void *const[]){ x }, true, &d));
    fails(ctx, GRD_ERR_DATA, "array: sample 1: x: 1.5 at element 0, expected 0..1", grd_dataset_verify(ctx, d, NULL, 0));
    x[2] = 1;
    ok(ctx, grd_dataset_from_arrays(ctx, 2, 1, &field, (const void *const[]){ x }, true, &d));
    fails(ctx, GRD_ERR_DATA, "array: sample 1: x: nan at element 1", grd_dataset_verify(ctx, d, NULL, 0));
    ok(ctx, grd_dataset_select(d, (int64_t[]){ 0 }, 1, &part));
    ok(ctx, grd_dataset_verify(ctx, part, NULL, 0));
    fails(ctx, GRD_ERR_ARG, "verify: no class index \"label\" to count", grd_dataset_verify(ctx, part, counts, 4));
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=41", &d));
    ok(ctx, grd_dataset_verify(ctx, d, counts, 4));
    assert_true(counts[0] == 11 && counts[1] == 10 && counts[2] == 10 && counts[3] == 10);
    fails(ctx, GRD_ERR_ARG, "verify: room for 3 counts, there are 4 classes", grd_dataset_verify(ctx, d, counts, 3));
    ok(ctx, grd_dataset_open(ctx, "flaky", "n=41 bad=40", &d));
    fails(ctx, GRD_ERR_DATA, "flaky: sample 39: flaky.bin: record 39: found rubbish", grd_dataset_verify(ctx, d, NULL, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_flaky, teardown)
    const struct CMUnitTest tests[] = {
        TEST(users_source_is_found_and_read), TEST(unknown_names_get_the_nearest), TEST(every_row_has_a_doc_and_help),
        TEST(generated_samples_depend_on_seed_and_index_alone), TEST(spirals_without_noise_lie_on_their_arms),
        TEST(arrays_are_copied_or_borrowed_and_their_labels_checked), TEST(impossible_fields_are_refused_with_a_sentence),
        TEST(a_view_outlives_what_it_was_made_from), TEST(split_has_a_golden_order), TEST(split_parts_are_disjoint_and_complete),
        TEST(stratified_split_keeps_every_classes_proportions), TEST(many_small_classes_do_not_all_round_the_same_way),
        TEST(bad_splits_are_refused_with_a_sentence), TEST(subsets_are_disjoint_and_hold_n_of_each_class),
        TEST(subsets_have_a_golden_order), TEST(fractions_that_add_up_to_one_take_everything),
        TEST(asking_for_too_many_says_how_many_there_are), TEST(verify_names_the_first_broken_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
