/* Tables: cells to samples, the course's cut of the house prices, what is said of files and options that do not fit; and what
 * transforms learn from the training set. */
#include "helper_setup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *spec_of(const char *name, const char *more)
{
    static char spec[700];
    snprintf(spec, sizeof spec, "file=%s/%s %s", dir, name, more);
    return spec;
}

static grd_dataset *table(const char *name, const char *more)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, "csv", spec_of(name, more), &d));
    return d;
}

static grd_dataset *with(const grd_dataset *d, const char *spec)
{
    grd_dataset *t;
    ok(ctx, grd_dataset_transform(d, spec, &t));
    return t;
}

/* Element k of field f of sample i. */
static double value(const grd_dataset *d, int64_t i, int f, int k)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    if (grd_dataset_get(d, i, NULL, s) != GRD_OK)
        fail_msg("%s", s->error);
    double v = s->field[f].dtype == GRD_F32 ? (double)((float *)s->data[f])[k] : ((int32_t *)s->data[f])[k];
    grd_sample_free(s, ctx);
    return v;
}

static const char pets[] = "kind,weight,color,seen\n"
                           "cat,4.5,red,3\n"
                           "\n"
                           "dog,NA,,1\n"
                           "cat,\"5\",blue,3\n"
                           "ant,1e-3,red,2\n";

/* ---- cells to samples ---- */

static void numbers_categories_and_classes_become_fields(void **state)
{
    (void)state;
    put_text("pets.csv", pets);
    grd_dataset *d = table("pets.csv", "target=kind");
    assert_int_equal(grd_dataset_length(d), 4);
    assert_string_equal(field(d, 0)->name, "features");
    assert_true(grd_shape_equal(&field(d, 0)->shape, &(grd_shape){ 1, { 3 } }));
    assert_string_equal(field(d, 1)->name, "label");
    assert_int_equal(field(d, 1)->classes, 3);
    assert_string_equal(grd_dataset_class(d, 0), "ant");
    assert_string_equal(grd_dataset_class(d, 2), "dog");
    assert_true(value(d, 0, 0, 0) == 4.5 && value(d, 2, 0, 0) == 5 && value(d, 3, 0, 0) == (double)1e-3f);
    assert_true(isnan(value(d, 1, 0, 0)) && isnan(value(d, 1, 0, 1)));
    assert_true(value(d, 0, 0, 1) == 1 && value(d, 2, 0, 1) == 0 && value(d, 3, 0, 2) == 2);
    assert_true(value(d, 0, 1, 0) == 1 && value(d, 1, 1, 0) == 2 && value(d, 3, 1, 0) == 0);
    char name[300], expected[300];
    snprintf(expected, sizeof expected, "%s/pets.csv:4", dir);
    assert_string_equal(grd_dataset_name(d, 1, name, sizeof name), expected);
}

static void columns_are_chosen_by_name_or_number(void **state)
{
    (void)state;
    put_text("pets.csv", pets);
    grd_dataset *d = table("pets.csv", "target=kind features=seen,2");
    assert_true(field(d, 0)->shape.dim[0] == 2 && value(d, 0, 0, 0) == 3 && value(d, 0, 0, 1) == 4.5);
    d = table("pets.csv", "target=kind drop=color,seen");
    assert_true(field(d, 0)->shape.dim[0] == 1);
    d = table("pets.csv", "target=kind drop=weight group=seen categories=onehot");
    assert_true(field(d, 0)->shape.dim[0] == 2 && value(d, 0, 0, 1) == 1 && value(d, 0, 0, 0) == 0 && value(d, 2, 0, 0) == 1);
    assert_true(value(d, 1, 0, 0) == 0 && value(d, 1, 0, 1) == 0); /* missing */
    assert_string_equal(field(d, 2)->name, "group");
    assert_true(value(d, 0, 2, 0) == value(d, 2, 2, 0) && value(d, 0, 2, 0) != value(d, 1, 2, 0));
}

static void a_column_tells_which_rows_are_whose(void **state)
{
    (void)state;
    put_text("parts.csv", "a,y,part\n1,0,Training\n2,1,PrivateTest\n3,0,Training\n4,1,PublicTest\n5,0,Training\n");
    const char *const spec = "target=y task=classification part_column=part part_values=Training,PublicTest,PrivateTest part=";
    static const struct { const char *part; int64_t n; double first; } each[] = { { "train", 3, 1 }, { "val", 1, 4 }, { "test", 1, 2 } };
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        snprintf(text, sizeof text, "%s%s", spec, each[i].part);
        grd_dataset *d = table("parts.csv", text);
        assert_int_equal(grd_dataset_length(d), each[i].n);
        assert_true(field(d, 0)->shape.dim[0] == 1 && value(d, 0, 0, 0) == each[i].first);
        assert_int_equal(field(d, 1)->classes, 2);
    }
}

static void a_target_of_numbers_is_regression_unless_told(void **state)
{
    (void)state;
    put_text("pets.csv", pets);
    grd_dataset *d = table("pets.csv", "target=seen drop=kind,color");
    assert_string_equal(field(d, 1)->name, "target");
    assert_true(grd_shape_equal(&field(d, 1)->shape, &(grd_shape){ 1, { 1 } }) && value(d, 0, 1, 0) == 3);
    d = table("pets.csv", "target=seen drop=kind,color task=classification");
    assert_true(field(d, 1)->classes == 3 && value(d, 0, 1, 0) == 2);
    assert_string_equal(grd_dataset_class(d, 2), "3");
    d = table("pets.csv", "target=kind drop=color classes=dog,cat,ant,bee");
    assert_true(field(d, 1)->classes == 4 && value(d, 0, 1, 0) == 1 && value(d, 3, 1, 0) == 2);
}

static void all_parts_have_the_categories_of_train(void **state)
{
    (void)state;
    grd_dataset *d;
    put_text("train.csv", "x,color,y\n1,red,a\n2,blue,b\n3,green,a\n");
    put_text("val.csv", "x,color,y\n4,green,b\n");
    put_text("test.csv", "x,color,y\n4,green,a\n5,pink,b\n");
    d = table("{part}.csv", "target=y part=val");
    assert_true(grd_dataset_length(d) == 1 && value(d, 0, 0, 1) == 1 && value(d, 0, 1, 0) == 1);
    fails(ctx, GRD_ERR_DATA, "test.csv:3: column \"color\": \"pink\" is none of train's 3 categories",
          grd_dataset_open(ctx, "csv", spec_of("{part}.csv", "target=y part=test"), &d));
    put_text("test.csv", "x,color,y\n4,green,c\n");
    fails(ctx, GRD_ERR_DATA, "test.csv:2: target \"y\": \"c\" is none of the 2 classes of train",
          grd_dataset_open(ctx, "csv", spec_of("{part}.csv", "target=y part=test"), &d));
    put_text("test.csv", "x,colour,y\n4,green,c\n");
    fails(ctx, GRD_ERR_DATA, "test.csv: column 2 is \"colour\", in ",
          grd_dataset_open(ctx, "csv", spec_of("{part}.csv", "target=y part=test"), &d));
    fails(ctx, GRD_ERR_ARG, "does not hold {part}: there is no part val",
          grd_dataset_open(ctx, "csv", spec_of("train.csv", "target=y part=val"), &d));
}

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct { const char *text, *options, *message; grd_status status; } wrong[] = {
        { "a,b\n1,2\n", "target=c", "target: no column \"c\"", GRD_ERR_ARG },
        { "weight,b\n1,2\n", "features=wieght", "features: no column \"wieght\"; did you mean \"weight\"?", GRD_ERR_ARG },
        { "a,b\n1,2\n", "features=a,a", "features: column \"a\" stands there twice", GRD_ERR_ARG },
        { "a,b\n1,2\n", "features=a target=a", "features: column \"a\" is the target", GRD_ERR_ARG },
        { "a,b\n1,2\n", "features=a drop=b", "give one of them", GRD_ERR_ARG },
        { "a,b\n1,2\n", "features=a,,b", "found none at place 2", GRD_ERR_ARG },
        { "a,b,p\n1,2,train\n1,2,dev\n", "target=b part_column=p",
          ":3: part_column \"p\": \"dev\", expected \"train\", \"val\" or \"test\" (part_values)", GRD_ERR_DATA },
        { "a,b,p\n1,2,train\n", "target=b part_column=p part=test", "no row whose \"p\" is \"test\": test would be empty",
          GRD_ERR_DATA },
        { "a,b,p\n1,2,train\n", "target=b part_column=p part_values=a,b", "part_values: 2 texts, expected three", GRD_ERR_ARG },
        { "a,b,p\n1,2,train\n", "target=b part_column=q", "part_column: no column \"q\"", GRD_ERR_ARG },
        { "a,b,p\n1,2,train\n", "target=b part_column=p features=p", "features: column \"p\" is part_column", GRD_ERR_ARG },
        { "a,b,p\n1,2,train\n", "target=b part_column=p parts=[0.5,0.2,0.3]", "give one of them", GRD_ERR_ARG },
        { "a,b\n1,2\n", "binarize=[0.3,0.7]", "speak of the target: give target", GRD_ERR_ARG },
        { "a,b\n1,2\n", "target=b binarize=[0.7,0.3]", "binarize: expected two shares of the rows", GRD_ERR_ARG },
        { "a,b\n1,2\n", "target=b binarize=[0.3,0.7]", "binarize: both bounds of \"b\" are 2", GRD_ERR_DATA },
        { "a,b\n1,2\n", "target=b parts=[0.9,0.1,0.2]", "whose sum is", GRD_ERR_ARG },
        { "a,b\n1,2\n", "target=b parts=[0.5,0.2,0.3]", "parts: train would be empty: the file has 1 rows", GRD_ERR_DATA },
        { "a,b\n1,2\n", "target=b classes=2,2", "classes: \"2\" stands there twice", GRD_ERR_ARG },
        { "a,b\n1,2\n", "target=b classes=1", ":2: target \"b\": \"2\" is none of the 1 classes given", GRD_ERR_DATA },
        { "a,b\n1,2\n3,\n", "target=b", ":3: target \"b\" is missing", GRD_ERR_DATA },
        { "a,b\n1,2\n3,inf\n", "target=b", ":3: target \"b\" is inf, expected a finite number", GRD_ERR_DATA },
        { "a,b\n1,x\n3,4\n", "target=b task=regression", "\"x\"", GRD_ERR_FORMAT },
        { "a,b\n1,2024-01-31\n3,2024-02-01\n", "target=a", "column \"b\" holds dates", GRD_ERR_DATA },
        { "a,b\n1,\n3,NA\n", "target=a", "column \"b\" has no value in any row: leave it out by drop", GRD_ERR_DATA },
        { "a,b\n", "target=a", "no rows", GRD_ERR_DATA },
        { "a,b\n1,2,3\n", "target=a", ":2: 3 columns, expected 2 as in line 1", GRD_ERR_FORMAT },
        { "a,b\n1,\"2\n", "target=a", ":2: a quote is opened and never closed", GRD_ERR_FORMAT },
        { "a\n1\n", "target=a features=1", "is the target", GRD_ERR_ARG },
        { "a,b\n1,2\n", "separator=ab", "separator: \"ab\", expected one character, tab or space", GRD_ERR_ARG },
        { "a,b\n1,2\n", "decimal=;", "decimal: \";\", expected", GRD_ERR_ARG },
        { "g,b\n1,2\n,3\n", "group=g", ":3: group \"g\" is missing", GRD_ERR_DATA },
    };
    grd_dataset *d;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_text("wrong.csv", wrong[i].text);
        fails(ctx, wrong[i].status, wrong[i].message, grd_dataset_open(ctx, "csv", spec_of("wrong.csv", wrong[i].options), &d));
    }
    fails(ctx, GRD_ERR_IO, "none.csv", grd_dataset_open(ctx, "csv", spec_of("none.csv", ""), &d));
}

/* ---- the course's exercise 04 ---- */

static void house_prices_are_cut_as_in_the_course(void **state)
{
    (void)state;
    char spec[1200], learned[200];
    static const char *const part[] = { "train", "val", "test" };
    static const int all[] = { 876, 292, 292 }, some[] = { 533, 167, 177 };
    const char *folder = real_dir("housing", "housing_train.csv");
    if (!folder)
        skip();
    grd_dataset *d, *first = NULL;
    for (int k = 0; k < 3; k++) {
        int n = snprintf(spec, sizeof spec,
                         "file=%s/housing_train.csv target=SalePrice features=GrLivArea parts=[0.6,0.2,0.2] part=%s", folder,
                         part[k]);
        ok(ctx, grd_dataset_open(ctx, "csv", spec, &d));
        assert_int_equal(grd_dataset_length(d), all[k]);
        first = k ? first : d;
        snprintf(spec + n, sizeof spec - (size_t)n, " binarize=[0.3,0.7]");
        ok(ctx, grd_dataset_open(ctx, "csv", spec, &d));
        assert_int_equal(grd_dataset_length(d), some[k]);
        assert_string_equal(grd_dataset_class(d, 0), "<= 135500"); /* the 30th and 70th percentile of all 1460 */
        assert_string_equal(grd_dataset_class(d, 1), ">= 198620");
    }
    char name[300];
    grd_dataset_name(first, 0, name, sizeof name);
    assert_string_equal(strrchr(name, ':'), ":531"); /* house 530, the header before it */
    first = with(with(first, "min_max"), "min_max field=target");
    grd_dataset_learned(first, learned, sizeof learned);
    assert_string_equal(learned, "{\"min\": [34900], \"max\": [745000]}");
    snprintf(spec, sizeof spec, "file=%s/housing_train.csv target=SalePrice features=GrLivArea parts=[0.6,0.2,0.2]", folder);
    ok(ctx, grd_dataset_open(ctx, "csv", spec, &d));
    grd_dataset_learned(with(d, "min_max"), learned, sizeof learned);
    assert_string_equal(learned, "{\"min\": [334], \"max\": [5642]}");
}

/* ---- transforms ---- */

/* Columns (1, 2, 6, NaN) and (10, 10, 10, 10); then a sample of another set. */
static grd_dataset *numbers(bool other)
{
    static const float x[] = { 1, 10, 2, 10, 6, 10, NAN, 10 }, y[] = { 11, NAN, NAN, 20 };
    const grd_field f = { .name = "features", .dtype = GRD_F32, .shape = { 1, { 2 } } };
    grd_dataset *d;
    ok(ctx, grd_dataset_from_arrays(ctx, other ? 2 : 4, 1, &f, (const void *const[]){ other ? y : x }, true, &d));
    return d;
}

/* What the second set becomes, learned from the first, and the same from what was saved. */
static void expect_values(const char *spec, const char *learned, const double expected[4])
{
    char saved[200];
    grd_dataset *fitted = with(numbers(false), spec), *followed, *restored, *base = numbers(true);
    ok(ctx, grd_dataset_transform_as(base, fitted, &followed));
    grd_dataset_learned(fitted, saved, sizeof saved);
    assert_string_equal(saved, learned);
    ok(ctx, grd_dataset_transform_saved(base, spec, saved[0] ? saved : NULL, &restored));
    for (int i = 0; i < 4; i++) {
        const double a = value(followed, i / 2, 0, i % 2), b = value(restored, i / 2, 0, i % 2);
        assert_true(isnan(expected[i]) ? isnan(a) && isnan(b) : a == (double)(float)expected[i] && b == a);
    }
}

static void what_is_learned_comes_from_the_training_set_without_the_missing(void **state)
{
    (void)state;
    expect_values("impute", "{\"value\": [3, 10]}", (double[]){ 11, 10, 3, 20 });
    expect_values("impute median", "{\"value\": [2, 10]}", (double[]){ 11, 10, 2, 20 });
    expect_values("impute constant value=-1", "", (double[]){ 11, -1, -1, 20 });
    expect_values("min_max", "{\"min\": [1, 10], \"max\": [6, 10]}", (double[]){ 2, NAN, NAN, 10 });
    expect_values("min_max [-1,1] clip=true", "{\"min\": [1, 10], \"max\": [6, 10]}", (double[]){ 1, NAN, NAN, 1 });
    expect_values("standardize", "{\"mean\": [3, 10], \"std\": [2.1602468994692869, 0]}",
                  (double[]){ 8 / 2.1602468994692869, NAN, NAN, 10 });
    expect_values("clip [0,12]", "", (double[]){ 11, NAN, NAN, 12 });
    expect_values("log", "", (double[]){ log(12), NAN, NAN, log(21) });
}

static void transforms_of_tables_refuse_with_a_sentence(void **state)
{
    (void)state;
    grd_dataset *t, *d = numbers(false);
    const grd_field f = { .name = "features", .dtype = GRD_F32, .shape = { 1, { 2 } } };
    grd_dataset *empty;
    ok(ctx, grd_dataset_from_arrays(ctx, 1, 1, &f, (const void *const[]){ (float[]){ 1, NAN } }, true, &empty));
    fails(ctx, GRD_ERR_ARG, "impute: no field \"x\"", grd_dataset_transform(d, "impute field=x", &t));
    static const char *const learners[] = { "impute", "impute median", "min_max", "standardize" };
    for (int i = 0; i < 4; i++)
        fails(ctx, GRD_ERR_DATA, "column 1 of \"features\" (from 0) has no number in the 1 samples of the training set",
              grd_dataset_transform(empty, learners[i], &t));
    fails(ctx, GRD_ERR_ARG, "min_max: to: expected two numbers", grd_dataset_transform(d, "min_max [1,0]", &t));
    fails(ctx, GRD_ERR_ARG, "clip: range: expected two numbers, [lo, hi]", grd_dataset_transform(d, "clip [2,1]", &t));
    fails(ctx, GRD_ERR_FORMAT, "what was learned: \"mean\": expected a list of 2 numbers",
          grd_dataset_transform_saved(d, "standardize", "{\"mean\": [1], \"std\": [1, 1]}", &t));
    fails(ctx, GRD_ERR_FORMAT, "what was learned: \"std\": item 1 is no number",
          grd_dataset_transform_saved(d, "standardize", "{\"mean\": [1, 2], \"std\": [1, \"x\"]}", &t));
    fails(ctx, GRD_ERR_FORMAT, "what was learned: ", grd_dataset_transform_saved(d, "standardize", "{\"mean\"", &t));
    fails(ctx, GRD_ERR_ARG, "one_hot: field \"features\" is not one class index",
          grd_dataset_transform(d, "one_hot features", &t));
    grd_sample *s;
    t = with(d, "log -1");
    ok(ctx, grd_sample_new(t, ctx, &s));
    assert_int_equal(grd_dataset_get(t, 0, NULL, s), GRD_ERR_DATA);
    assert_non_null(strstr(s->error, "log: sample 0: field \"features\": element 0 is 1, expected more than 1"));
    grd_sample_free(s, ctx);
}

static void one_hot_has_a_one_at_the_class(void **state)
{
    (void)state;
    put_text("pets.csv", pets);
    grd_dataset *d = with(table("pets.csv", "target=kind"), "one_hot");
    assert_true(grd_shape_equal(&field(d, 1)->shape, &(grd_shape){ 1, { 3 } }) && field(d, 1)->classes == 0);
    for (int k = 0; k < 3; k++)
        assert_true(value(d, 1, 1, k) == (k == 2));
}

/* Against two passes in double over all of MNIST's bytes. */
static void normalize_learns_mean_and_deviation_of_real_pictures(void **state)
{
    (void)state;
    char spec[1100], learned[200], *end;
    const char *folder = real_dir("mnist", "train-images-idx3-ubyte.gz");
    if (!folder)
        skip();
    snprintf(spec, sizeof spec, "dir=%s", folder);
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, "mnist", spec, &d));
    d = with(with(d, "scale"), "normalize");
    grd_dataset_learned(d, learned, sizeof learned);
    const double mean = strtod(strstr(learned, "[") + 1, &end), std = strtod(strstr(end + 1, "[") + 1, NULL);
    assert_true(fabs(mean - 0.1306604762738429) < 1e-8); /* NumPy's of the bytes / 255 in float64 */
    assert_true(fabs(std - 0.30810780385646264) < 1e-8);
}

static void normalize_refuses_what_it_cannot_learn(void **state)
{
    (void)state;
    grd_dataset *t, *d = numbers(false);
    fails(ctx, GRD_ERR_DATA, "normalize: channel 1 of \"features\" is 10 in all of the training set",
          grd_dataset_transform(d, "normalize field=features", &t));
    fails(ctx, GRD_ERR_ARG, "normalize: give both mean and std, or none of them",
          grd_dataset_transform(d, "normalize field=features mean=[1]", &t));
}

/* ---- hostile bytes ---- */

/* A few bytes of a good table changed, 3000 times: opened, or a sentence; every sample that it then promises can be read. */
static void any_bytes_are_a_table_or_an_error(void **state)
{
    (void)state;
    static const char *const options[] = { "target=kind", "target=4 binarize=[0.2,0.8]", "features=2,3 categories=onehot group=1",
                                           "target=1 task=classification header=false", "parts=[0.5,0.25,0.25] part=test" };
    static const char bytes_of[] = ",\"\n\r\t;|NA-.e9#\\\0\xff";
    uint64_t random = 1;
    int opened = 0;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof pets];
        memcpy(text, pets, sizeof pets);
        for (int k = 0; k < 1 + round % 4; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[(random >> 33) % (sizeof pets - 1)] = bytes_of[(random >> 20) % (sizeof bytes_of - 1)];
        }
        put(dir, "f.csv", (bytes){ (uint8_t *)text, sizeof text - 1 }, sizeof text - 1 - (size_t)(round % 7));
        grd_dataset *d;
        if (grd_dataset_open(ctx, "csv", spec_of("f.csv", options[round % 5]), &d) != GRD_OK) {
            assert_true(strlen(grd_error(ctx)) > 10);
            continue;
        }
        opened++;
        grd_sample *s;
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < grd_dataset_length(d); i++)
            assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
        grd_sample_free(s, ctx);
        grd_dataset_free(d);
    }
    assert_true(opened > 300);
}

/* ---- memory ---- */

static grd_status everything(grd_ctx *c)
{
    grd_dataset *d, *t;
    static const char *const chain[] = { "impute median", "min_max", "standardize", "normalize field=features",
                                         "clip [0,1]",    "log",     "one_hot" };
    grd_status status = grd_dataset_open(c, "csv", spec_of("{part}.csv", "target=y part=val group=x categories=onehot"), &d);
    if (status == GRD_OK)
        status = grd_dataset_open(
            c, "csv", spec_of("cut.csv", "target=x features=z,y binarize=[0.4,0.6] parts=[0.8,0.1,0.1] missing=NA,-"), &d);
    for (int i = 0; i < 7 && status == GRD_OK; i++, d = t)
        status = grd_dataset_transform(d, chain[i], &t);
    return status;
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    put_text("train.csv", "x,color,y\n1,red,a\n2,blue,b\n3,green,a\n");
    put_text("val.csv", "x,color,y\n4,green,b\n");
    put_text("cut.csv", "x,y,z\n1,4,5\n2,-,7\n3,1,NA\n4,3,2\n5,9,1\n6,0,8\n7,7,7\n8,8,4\n9,2,3\n");
    for (int64_t n = 1;; n++) {
        counter counted = { .refuse = n };
        grd_allocator a = counting(&counted);
        grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
        if (c) {
            grd_status status = everything(c);
            bool refused = counted.calls >= n;
            if (status != (refused ? GRD_ERR_MEMORY : GRD_OK))
                fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(c));
            grd_close(c);
            assert_int_equal(counted.live, 0);
            if (!refused)
                break;
        }
        assert_int_equal(counted.live, 0);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(numbers_categories_and_classes_become_fields),
        TEST(columns_are_chosen_by_name_or_number),
        TEST(a_column_tells_which_rows_are_whose),
        TEST(a_target_of_numbers_is_regression_unless_told),
        TEST(all_parts_have_the_categories_of_train),
        TEST(what_does_not_fit_is_refused_with_a_sentence),
        TEST(house_prices_are_cut_as_in_the_course),
        TEST(what_is_learned_comes_from_the_training_set_without_the_missing),
        TEST(transforms_of_tables_refuse_with_a_sentence),
        TEST(one_hot_has_a_one_at_the_class),
        TEST(normalize_learns_mean_and_deviation_of_real_pictures),
        TEST(normalize_refuses_what_it_cannot_learn),
        TEST(any_bytes_are_a_table_or_an_error),
        TEST(refused_allocations_leak_and_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
