/* The check of data sets: every planted fault is found under its rule, by its samples' names; clean data have none. */
#define _GNU_SOURCE
#include "helper_data.h"

#include <gradus/inspect.h>

#include <jansson.h>

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pictures: 3 classes, noise of their own, a mask as large, a group of 4 neighbours ---- */

enum { PICTURES = 600, TRAIN = 400, SIDE = 16, PIXELS = SIDE * SIDE, CLASSES = 3 };
enum {
    BROKEN = 7,
    BAD_LABEL = 11,
    TWIN = 30,
    TWIN_OF = 31,
    BLANK = 60,
    LEAK = 90,
    LEAK_OF = 500,
    NEAR = 120,
    NEAR_OF = 121,
    SMALL_MASK = 150,
    OTHER_GROUP = 200,
    CHANGED = 250
};

typedef struct faults {
    bool on;
} faults;
static const grd_option fault_options[] = { GRD_FLAG(faults, on, "with faults"), GRD_END };

static grd_status open_pictures(void **state, const void *options, grd_ctx *ctx)
{
    static faults both[2] = { { false }, { true } };
    (void)ctx;
    *state = &both[((const faults *)options)->on];
    return GRD_OK;
}

static int64_t count_pictures(const void *state)
{
    (void)state;
    return PICTURES;
}

static int picture_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max < 4)
        return 0;
    out[0] = (grd_field){ .name = "image", .dtype = GRD_U8, .shape = { 3, { 1, SIDE, SIDE } }, .hi = 255 };
    out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = CLASSES };
    out[2] = (grd_field){ .name = "mask", .dtype = GRD_I32, .shape = { 2, { -1, -1 } }, .classes = 2 };
    out[3] = (grd_field){ .name = "person", .dtype = GRD_I32 };
    return 4;
}

static int class_of(int64_t i)
{
    return (int)(i % CLASSES);
}

static void draw(int64_t i, uint8_t *pixels)
{
    uint32_t bits[4];
    for (int e = 0; e < PIXELS; e++) {
        int stripe = class_of(i) == 0 ? e / SIDE / 4 % 2 : class_of(i) == 1 ? e % SIDE / 4 % 2 : (e / SIDE + e % SIDE) / 6 % 2;
        grd_random4(&(grd_key){ .seed = 1 }, (uint64_t)i, (uint64_t)e, bits);
        pixels[e] = (uint8_t)(60 * stripe + (int)(grd_uniform(bits[0]) * 160));
    }
}

static grd_status get_picture(const void *state, int64_t i, grd_sample *out)
{
    bool wrong = ((const faults *)state)->on;
    int64_t like = i;
    int32_t label = class_of(i);
    if (wrong && i == BROKEN)
        return grd_sample_fail(out, GRD_ERR_FORMAT, "7.png: ends after 12 bytes");
    if (wrong && (i == TWIN || i == LEAK || i == NEAR))
        like = i == TWIN ? TWIN_OF : i == LEAK ? LEAK_OF : NEAR_OF;
    draw(like, out->data[0]);
    if (wrong && i == NEAR)
        ((uint8_t *)out->data[0])[40] ^= 3;
    if (wrong && i == BLANK)
        memset(out->data[0], 9, PIXELS);
    if (wrong && i >= CHANGED && i < CHANGED + 8)
        label = (label + 1) % CLASSES;
    if (wrong && i == BAD_LABEL)
        label = 9;
    *(int32_t *)out->data[1] = label;
    int side = wrong && i == SMALL_MASK ? SIDE / 2 : SIDE;
    int32_t *mask = grd_sample_room(out, 2, &(grd_shape){ 2, { side, side } });
    if (!mask)
        return GRD_ERR_MEMORY;
    memset(mask, 0, sizeof *mask * (size_t)(side * side));
    *(int32_t *)out->data[3] = (int32_t)(wrong && i == OTHER_GROUP ? PICTURES / 4 - 1 : i / 4);
    return GRD_OK;
}

static void name_picture(const void *state, int64_t i, char *text, size_t size)
{
    (void)state;
    snprintf(text, size, "pictures/%d.png", (int)i);
}

static const grd_source pictures = { "planted",      "pictures with faults",
                                     fault_options,  sizeof(faults),
                                     open_pictures,  count_pictures,
                                     picture_fields, get_picture,
                                     NULL,           NULL,
                                     name_picture,   NULL,
                                     NULL };

static grd_status check_pictures(grd_ctx *ctx, bool wrong, grd_report **report)
{
    grd_dataset *all, *part[2];
    int64_t index[PICTURES];
    for (int64_t i = 0; i < PICTURES; i++)
        index[i] = i;
    grd_status status = grd_dataset_open_source(ctx, &pictures, &(faults){ wrong }, &all);
    if (status == GRD_OK)
        status = grd_dataset_select(all, index, TRAIN, &part[0]);
    if (status == GRD_OK)
        status = grd_dataset_select(all, index + TRAIN, PICTURES - TRAIN, &part[1]);
    const grd_check_set set[] = { { "train", status == GRD_OK ? part[0] : NULL }, { "test", status == GRD_OK ? part[1] : NULL } };
    if (status == GRD_OK)
        status = grd_data_check(ctx, set, 2, &(grd_check_opts){ .title = "planted", .group = "person" }, report);
    return status;
}

/* ---- what is asked of a report ---- */

static const grd_check_finding *found(const grd_report *r, const char *rule)
{
    const grd_check_finding *f;
    int n = grd_report_findings(r, &f);
    for (int i = 0; i < n; i++)
        if (strcmp(f[i].rule, rule) == 0)
            return &f[i];
    return NULL;
}

/* The rule found these samples, in this order, and no others; -1 ends the list. */
static void finds(const grd_report *r, const char *rule, int level, const int *sample)
{
    const grd_check_finding *f = found(r, rule);
    int n = 0;
    if (!f)
        fail_msg("no finding %s", rule);
    assert_int_equal(f->level, level);
    for (; sample[n] >= 0; n++) {
        char name[64], expected[64];
        snprintf(expected, sizeof expected, "pictures/%d.png", sample[n]);
        assert_true(n < f->n);
        assert_string_equal(grd_report_name(r, f->sample[n], NULL, name, sizeof name), expected);
    }
    assert_int_equal(f->n, n);
    assert_true(f->text[0] && f->advice[0]);
}
#define LIST(...) ((const int[]){ __VA_ARGS__, -1 })

static grd_ctx *open_ctx(int threads)
{
    return grd_open(&(grd_opts){ .threads = threads });
}

static void every_planted_fault_is_found_and_named(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(2);
    grd_report *r;
    ok(ctx, check_pictures(ctx, true, &r));
    finds(r, "unreadable", GRD_FINDING_ERROR, LIST(BROKEN));
    assert_non_null(strstr(found(r, "unreadable")->text, "7.png: ends after 12 bytes"));
    finds(r, "label-range", GRD_FINDING_ERROR, LIST(BAD_LABEL));
    finds(r, "mask-size", GRD_FINDING_ERROR, LIST(SMALL_MASK));
    finds(r, "constant", GRD_FINDING_WARNING, LIST(BLANK));
    finds(r, "duplicate", GRD_FINDING_WARNING, LIST(TWIN, TWIN_OF));
    finds(r, "near-duplicate", GRD_FINDING_NOTE, LIST(NEAR, NEAR_OF));
    finds(r, "duplicate-across-splits", GRD_FINDING_ERROR, LIST(LEAK, LEAK_OF));
    finds(r, "label-conflict", GRD_FINDING_WARNING, LIST(TWIN, TWIN_OF, LEAK, LEAK_OF));
    finds(r, "group-leak", GRD_FINDING_ERROR, LIST(OTHER_GROUP, 596, 597, 598, 599));
    grd_close(ctx);
}

static void changed_labels_are_the_first_suspects(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(2);
    grd_report *r;
    const grd_suspect *s;
    ok(ctx, check_pictures(ctx, true, &r));
    int64_t n = grd_report_suspects(r, &s), hits = 0;
    assert_true(n >= 8 && n <= 20);
    for (int64_t i = 0; i < n; i++) {
        assert_true(i == 0 || s[i].score <= s[i - 1].score);
        assert_true(s[i].score > 0 && s[i].score <= 1 && s[i].label != s[i].predicted);
        if (i < 12 && s[i].sample >= CHANGED && s[i].sample < CHANGED + 8) {
            hits++;
            assert_int_equal(s[i].predicted, class_of(s[i].sample));
        }
    }
    assert_int_equal(hits, 8);
    grd_close(ctx);
}

static void clean_data_have_no_findings(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    const grd_check_finding *f;
    ok(ctx, check_pictures(ctx, false, &r));
    for (int i = 0; i < grd_report_findings(r, &f); i++)
        fail_msg("%s: %s", f[i].rule, f[i].text);
    grd_close(ctx);
}

static char *text_of(const grd_report *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(grd_report_json(r, out), GRD_OK);
    fclose(out);
    *strstr(text, "\"seconds\"") = 0;
    return text;
}

static void threads_change_nothing(void **state)
{
    (void)state;
    char *text[2];
    for (int k = 0; k < 2; k++) {
        grd_ctx *ctx = open_ctx(k ? 3 : 1);
        grd_report *r;
        ok(ctx, check_pictures(ctx, true, &r));
        text[k] = text_of(r);
        grd_close(ctx);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

/* ---- tables ---- */

enum { ROWS = 500, COLUMNS = 6, LEAKING = 3, CONSTANT = 4, FAR_ROW = 77, EMPTY_ROW = 12 };

static void make_table(float *x, float *y, int32_t *label)
{
    uint32_t bits[4];
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < COLUMNS; k++) {
            grd_random4(&(grd_key){ .seed = 3 }, (uint64_t)i, (uint64_t)k, bits);
            x[i * COLUMNS + k] = (float)(grd_uniform(bits[0]) * 4 - 2);
        }
        y[i] = x[i * COLUMNS] + 2 * x[i * COLUMNS + 1] + (float)(grd_uniform(bits[1]) - 0.5);
        label[i] = y[i] > 0;
        x[i * COLUMNS + LEAKING] = tanhf(y[i] / 2); /* by rank only */
        x[i * COLUMNS + CONSTANT] = 5;
    }
    x[FAR_ROW * COLUMNS + 2] = 400;
    x[EMPTY_ROW * COLUMNS] = NAN;
}

static void check_table(grd_ctx *ctx, bool classes, int64_t columns, grd_report **r)
{
    static float x[ROWS * COLUMNS], packed[ROWS * COLUMNS], y[ROWS];
    static int32_t label[ROWS];
    grd_dataset *table;
    make_table(x, y, label);
    for (int64_t i = 0; i < ROWS; i++)
        memcpy(packed + i * columns, x + i * COLUMNS, sizeof *x * (size_t)columns);
    grd_field field[] = { { .name = "x", .shape = { 1, { columns } } }, { .name = "y" } };
    if (classes)
        field[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = 2 };
    ok(ctx, grd_dataset_from_arrays(ctx, ROWS, 2, field, (const void *const[]){ packed, classes ? (const void *)label : y }, true,
                                    &table));
    ok(ctx, grd_data_check(ctx, &(grd_check_set){ "train", table }, 1, NULL, r));
}

static void a_column_that_tells_the_target_is_a_leak(void **state)
{
    (void)state;
    for (int classes = 0; classes < 2; classes++) {
        grd_ctx *ctx = open_ctx(1);
        grd_report *r;
        check_table(ctx, classes, COLUMNS, &r);
        const grd_check_finding *f = found(r, "target-leak");
        assert_non_null(f);
        assert_int_equal(f->level, GRD_FINDING_ERROR);
        assert_int_equal(f->count, 1);
        assert_non_null(strstr(f->text, "x[3]"));
        check_table(ctx, classes, LEAKING, &r); /* without it */
        assert_null(found(r, "target-leak"));
        assert_int_equal(grd_report_count(r, GRD_FINDING_ERROR), 0);
        grd_close(ctx);
    }
}

static void gaps_outliers_and_constant_columns_are_found(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    check_table(ctx, true, COLUMNS, &r);
    const grd_check_finding *f = found(r, "missing");
    assert_non_null(f);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->sample[0], EMPTY_ROW);
    f = found(r, "outlier");
    assert_non_null(f);
    assert_true(f->sample[0] == FAR_ROW && f->n == 1 && strstr(f->text, "x[2]"));
    f = found(r, "constant");
    assert_non_null(f);
    assert_non_null(strstr(f->text, "x[4]"));
    grd_close(ctx);
}

enum { WRONG_EVERY = 50 }; /* every so many-th label is changed */

/* Of the changed labels 80 % are among twice as many suspects. */
static void are_first(const grd_report *r, int64_t n)
{
    const grd_suspect *s;
    int64_t wrong = n / WRONG_EVERY, hits = 0, listed = grd_report_suspects(r, &s);
    for (int64_t i = 0; i < listed && i < 2 * wrong; i++)
        hits += s[i].sample % WRONG_EVERY == 0;
    assert_true(hits * 10 >= wrong * 8);
}

static void changed_labels_of_a_table_are_suspects(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    grd_dataset *set;
    static float x[ROWS * 2];
    static int32_t label[ROWS];
    uint32_t bits[4];
    for (int i = 0; i < ROWS; i++) { /* a ring around a disc: no line tells them apart */
        grd_random4(&(grd_key){ .seed = 5 }, (uint64_t)i, 0, bits);
        double angle = 6.2831853 * grd_uniform(bits[0]), radius = grd_uniform(bits[1]) + (i % 2 ? 2 : 0);
        x[2 * i] = (float)(1000 + radius * cos(angle));
        x[2 * i + 1] = (float)(radius * sin(angle));
        label[i] = i % WRONG_EVERY == 0 ? 1 - i % 2 : i % 2;
    }
    const grd_field field[] = { { .name = "x", .shape = { 1, { 2 } } }, { .name = "label", .dtype = GRD_I32, .classes = 2 } };
    ok(ctx, grd_dataset_from_arrays(ctx, ROWS, 2, field, (const void *const[]){ x, label }, true, &set));
    ok(ctx, grd_data_check(ctx, &(grd_check_set){ "train", set }, 1, NULL, &r));
    are_first(r, ROWS);
    grd_close(ctx);
}

static int text_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max < 2)
        return 0;
    out[0] = (grd_field){ .name = "text", .dtype = GRD_I32, .shape = { 1, { -1 } } };
    out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = 2 };
    return 2;
}

/* 10 to 40 words of 500; those of class 1 are rather the later ones. */
static grd_status get_text(const void *state, int64_t i, grd_sample *out)
{
    (void)state;
    uint32_t bits[4];
    int32_t class = (int32_t)(i % 2);
    const int64_t n = 10 + i * 7 % 31;
    int32_t *word = grd_sample_room(out, 0, &(grd_shape){ 1, { n } });
    if (!word)
        return GRD_ERR_MEMORY;
    for (int64_t k = 0; k < n; k++) {
        grd_random4(&(grd_key){ .seed = 6 }, (uint64_t)i, (uint64_t)k, bits);
        word[k] = (int32_t)(500 * pow(grd_uniform(bits[0]), class ? 0.5 : 2));
    }
    *(int32_t *)out->data[1] = i % WRONG_EVERY == 0 ? 1 - class : class;
    return GRD_OK;
}

static const grd_source texts = { "texts", "words", fault_options, sizeof(faults), open_pictures, count_pictures,
                                  text_fields, get_text, NULL, NULL, NULL, NULL, NULL };

static void changed_labels_of_texts_are_suspects(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    grd_dataset *set;
    ok(ctx, grd_dataset_open_source(ctx, &texts, &(faults){ false }, &set));
    ok(ctx, grd_data_check(ctx, &(grd_check_set){ "train", set }, 1, NULL, &r));
    are_first(r, PICTURES);
    assert_int_equal(grd_report_count(r, GRD_FINDING_ERROR), 0);
    grd_close(ctx);
}

static void a_nearly_empty_class_is_found(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    grd_dataset *set;
    float x[ROWS];
    int32_t label[ROWS];
    for (int i = 0; i < ROWS; i++) {
        x[i] = (float)i;
        label[i] = i < 2 ? 2 : i % 2;
    }
    const grd_field field[] = { { .name = "x", .shape = { 1, { 1 } } }, { .name = "label", .dtype = GRD_I32, .classes = 3 } };
    ok(ctx, grd_dataset_from_arrays(ctx, ROWS, 2, field, (const void *const[]){ x, label }, true, &set));
    ok(ctx, grd_data_check(ctx, &(grd_check_set){ "train", set }, 1, NULL, &r));
    const grd_check_finding *f = found(r, "imbalance");
    assert_non_null(f);
    assert_true(f->level == GRD_FINDING_WARNING && f->count == 1 && f->n == 2 && f->sample[0] == 0 && f->sample[1] == 1);
    assert_non_null(strstr(f->text, "2 (2)"));
    grd_close(ctx);
}

/* ---- what is written ---- */

static void json_is_as_promised(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    ok(ctx, check_pictures(ctx, true, &r));
    char *text = NULL;
    size_t size = 0, i;
    FILE *out = open_memstream(&text, &size);
    ok(ctx, grd_report_json(r, out));
    fclose(out);
    json_t *all = json_loads(text, 0, NULL), *item;
    assert_non_null(all);
    assert_true(json_array_size(json_object_get(all, "findings")) >= 9);
    json_array_foreach(json_object_get(all, "findings"), i, item)
    {
        const char *rule, *level;
        json_t *samples, *sets;
        int count;
        assert_int_equal(json_unpack(item, "{s:s, s:s, s:i, s:o, s:o}", "rule", &rule, "level", &level, "count", &count,
                                     "samples", &samples, "sets", &sets),
                         0);
        assert_true(strcmp(level, "error") == 0 || strcmp(level, "warning") == 0 || strcmp(level, "note") == 0);
        assert_int_equal(json_array_size(samples), json_array_size(sets));
        if (strcmp(rule, "unreadable") == 0)
            assert_string_equal(json_string_value(json_array_get(samples, 0)), "pictures/7.png");
    }
    json_array_foreach(json_object_get(all, "suspects"), i, item)
    {
        const char *name;
        int label, predicted;
        double score;
        assert_int_equal(
            json_unpack(item, "{s:s, s:i, s:i, s:f}", "name", &name, "label", &label, "predicted", &predicted, "score", &score),
            0);
    }
    const json_t *train = json_array_get(json_object_get(all, "sets"), 0);
    assert_int_equal(json_integer_value(json_object_get(train, "samples")), TRAIN);
    assert_int_equal(json_array_size(json_object_get(train, "class_counts")), CLASSES);
    json_decref(all);
    free(text);
    grd_close(ctx);
}

static char *read_whole(const char *path)
{
    char *text = calloc(1, 4 << 20);
    FILE *file = fopen(path, "rb");
    assert_non_null(text);
    if (!file)
        fail_msg("no %s", path);
    assert_true(fread(text, 1, (4 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static void the_page_stands_alone_and_lists_stand_beside(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_report *r;
    char dir[256], path[300];
    snprintf(dir, sizeof dir, "%s", temp_dir());
    ok(ctx, check_pictures(ctx, true, &r));
    snprintf(path, sizeof path, "%s/check.html", dir);
    ok(ctx, grd_report_write(r, path));
    char *page = read_whole(path);
    assert_non_null(strstr(page, "duplicate-across-splits"));
    assert_non_null(strstr(page, "data:image/png;base64,iVBOR"));
    assert_non_null(strstr(page, "pictures/7.png"));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "http"));
    free(page);
    snprintf(path, sizeof path, "%s/check-exclude.txt", dir);
    char *list = read_whole(path);
    assert_non_null(strstr(list, "\npictures/11.png\npictures/150.png\npictures/31.png\npictures/7.png\npictures/90.png\n"));
    free(list);
    snprintf(path, sizeof path, "%s/check-relabel.txt", dir);
    list = read_whole(path);
    char line[64];
    snprintf(line, sizeof line, "pictures/%d.png %d\n", CHANGED, class_of(CHANGED));
    assert_non_null(strstr(list, line));
    free(list);
    remove_dir(dir);
    grd_close(ctx);
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    for (int64_t refuse = 1, done = 0; !done; refuse += refuse < 60 ? 1 : 7) {
        counter c = { 0 };
        grd_allocator mem = counting(&c);
        grd_ctx *ctx = grd_open(&(grd_opts){ .threads = 1, .allocator = &mem });
        grd_report *r;
        assert_non_null(ctx);
        atomic_store(&c.refuse, atomic_load(&c.calls) + refuse);
        grd_status status = check_pictures(ctx, true, &r);
        done = status == GRD_OK;
        if (!done)
            assert_int_equal(status, GRD_ERR_MEMORY);
        grd_close(ctx);
        assert_int_equal(atomic_load(&c.live), 0);
    }
}

static void stops_on_request(void **state)
{
    (void)state;
    grd_ctx *ctx = open_ctx(1);
    grd_dataset *all;
    grd_report *r;
    const int stop = 1;
    ok(ctx, grd_dataset_open_source(ctx, &pictures, &(faults){ false }, &all));
    const grd_check_set set = { "train", all };
    fails(ctx, GRD_ERR_STOPPED, "data check: stopped", grd_data_check(ctx, &set, 1, &(grd_check_opts){ .stop = &stop }, &r));
    fails(ctx, GRD_ERR_CONFIG, "group: the data has no field \"none\"",
          grd_data_check(ctx, &set, 1, &(grd_check_opts){ .group = "none" }, &r));
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_planted_fault_is_found_and_named),
        cmocka_unit_test(changed_labels_are_the_first_suspects),
        cmocka_unit_test(clean_data_have_no_findings),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_column_that_tells_the_target_is_a_leak),
        cmocka_unit_test(gaps_outliers_and_constant_columns_are_found),
        cmocka_unit_test(changed_labels_of_a_table_are_suspects),
        cmocka_unit_test(changed_labels_of_texts_are_suspects),
        cmocka_unit_test(a_nearly_empty_class_is_found),
        cmocka_unit_test(json_is_as_promised),
        cmocka_unit_test(the_page_stands_alone_and_lists_stand_beside),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(stops_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
