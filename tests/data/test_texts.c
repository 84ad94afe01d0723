/* Texts: lines to token ids, vocabularies of the part train, the course's reviews, and what is said of files that do not fit. */
#include "helper_setup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static grd_dataset *set_of(const char *source, const char *spec)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, source, with_dir(spec), &d));
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
    return d;
}

/* Field f of sample i is exactly these numbers; the list ends with -9. */
static void expect_ids(const grd_dataset *d, int64_t i, int f, const int *id)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    if (grd_dataset_get(d, i, NULL, s) != GRD_OK)
        fail_msg("%s", s->error);
    int n = 0;
    for (; id[n] != -9; n++)
        if (n >= grd_count(&s->shape[f]) || ((int32_t *)s->data[f])[n] != id[n])
            fail_msg("sample %d, field %s, token %d: expected %d", (int)i, s->field[f].name, n, id[n]);
    assert_int_equal(grd_count(&s->shape[f]), n);
    grd_sample_free(s, ctx);
}
#define ids(...) ((const int[]){ __VA_ARGS__, -9 })

/* ---- lines with labels ---- */

static void a_line_becomes_ids_and_a_class(void **state)
{
    (void)state;
    put_text("train.tsv", "label\ttext\ngood\tThe cat, the \"dog\"!\nbad\tthe cat\nbad\t...\n");
    put_text("val.tsv", "label\ttext\nbad\tthe cow\n");
    grd_dataset *d = set_of("labelled_text", "file=%/{part}.tsv");
    assert_int_equal(grd_dataset_length(d), 3);
    assert_true(field(d, 0)->hi == 4 && field(d, 0)->pad == 0 && field(d, 1)->classes == 2);
    expect_ids(d, 0, 0, ids(2, 3, 2, 4)); /* <pad> <unk> the cat dog */
    expect_ids(d, 0, 1, ids(1));
    expect_ids(d, 2, 0, ids(1)); /* no word in it */
    assert_string_equal(grd_dataset_class(d, 0), "bad");
    char name[300];
    assert_non_null(strstr(grd_dataset_name(d, 1, name, sizeof name), "train.tsv:3"));
    d = set_of("labelled_text", "file=%/{part}.tsv part=val");
    expect_ids(d, 0, 0, ids(2, 1)); /* by the words of train */
    d = set_of("labelled_text", "file=%/{part}.tsv length=2 max_vocab=3");
    expect_ids(d, 0, 0, ids(2, 1));
    d = set_of("labelled_text", "file=%/{part}.tsv text=1 label=2");
    expect_ids(d, 1, 0, ids(2));
}

static void a_vocabulary_is_saved_and_read_back(void **state)
{
    (void)state;
    put_text("train.tsv", "label\ttext\n1\tuno dos dos\n0\ttres dos uno\n");
    static const char *const kind[] = { "words", "chars", "bpe" };
    for (int k = 0; k < 3; k++) {
        char spec[300];
        snprintf(spec, sizeof spec, "file=%%/train.tsv tokenizer=%s save_vocab=%%/v%d.json", kind[k], k);
        grd_dataset *fitted = set_of("labelled_text", spec), *read;
        snprintf(spec, sizeof spec, "file=%%/train.tsv tokenizer=%s vocab=%%/v%d.json", kind[k], k);
        read = set_of("labelled_text", spec);
        assert_true(field(fitted, 0)->hi == field(read, 0)->hi);
        grd_sample *a, *b;
        ok(ctx, grd_sample_new(fitted, ctx, &a));
        ok(ctx, grd_sample_new(read, ctx, &b));
        for (int i = 0; i < 2; i++) {
            assert_int_equal(grd_dataset_get(fitted, i, NULL, a), GRD_OK);
            assert_int_equal(grd_dataset_get(read, i, NULL, b), GRD_OK);
            assert_true(grd_shape_equal(&a->shape[0], &b->shape[0]));
            assert_memory_equal(a->data[0], b->data[0], sizeof(int32_t) * (size_t)grd_count(&a->shape[0]));
        }
        grd_sample_free(a, ctx);
        grd_sample_free(b, ctx);
    }
}

/* ---- folders ---- */

static void make_folders(const char *const *name, int n)
{
    char path[400];
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        assert_int_equal(mkdir(path, 0777), 0);
    }
}

/* The layout of the archive of film reviews: train has texts without a class, too. */
static void put_reviews(void)
{
    make_folders((const char *const[]){ "train", "train/pos", "train/neg", "train/unsup", "test", "test/pos", "test/neg" }, 7);
    put_text("train/pos/10_9.txt", "very good");
    put_text("train/pos/9_7.txt", "good\n");
    put_text("train/neg/0_2.txt", "bad,\r\nvery bad\r\n");
    put_text("train/neg/notes.md", "no text");
    put_text("train/unsup/0_0.txt", "so so");
    put_text("test/pos/0_8.txt", "good film");
    put_text("test/neg/0_1.txt", "");
}

static void folders_are_classes_and_files_texts(void **state)
{
    (void)state;
    char name[300];
    put_reviews();
    grd_dataset *d = set_of("labelled_text", "folder=%/{part} classes=neg,pos");
    assert_int_equal(grd_dataset_length(d), 3);
    assert_int_equal(field(d, 1)->classes, 2);
    assert_string_equal(grd_dataset_class(d, 1), "pos");
    static const char *const names[] = { "neg/0_2.txt", "pos/9_7.txt", "pos/10_9.txt" }; /* as people count */
    for (int i = 0; i < 3; i++)
        assert_string_equal(grd_dataset_name(d, i, name, sizeof name), names[i]);
    expect_ids(d, 0, 0, ids(2, 4, 2)); /* <pad> <unk> bad good very */
    expect_ids(d, 1, 0, ids(3));
    expect_ids(d, 2, 0, ids(4, 3));
    expect_ids(d, 0, 1, ids(0));
    expect_ids(d, 2, 1, ids(1));
    d = set_of("labelled_text", "folder=%/{part} classes=neg,pos part=test");
    expect_ids(d, 0, 0, ids(1)); /* nothing is one unknown word */
    expect_ids(d, 1, 0, ids(3, 1));
    d = set_of("labelled_text", "folder=%/train tokenizer=chars");
    assert_int_equal(grd_dataset_length(d), 4);
    assert_string_equal(grd_dataset_class(d, 2), "unsup");
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_OK);
    assert_int_equal(s->shape[0].dim[0], 4); /* without the line's end */
    grd_sample_free(s, ctx);
}

static void folders_that_do_not_fit_are_named(void **state)
{
    (void)state;
    grd_dataset *d;
    put_reviews();
    make_folders((const char *const[]){ "none", "bare", "bare/a" }, 3);
    static const struct { const char *spec, *message; grd_status status; } wrong[] = {
        { "folder=%/{part} part=val classes=neg,pos", "/val: no such folder", GRD_ERR_IO },
        { "folder=%/train part=test", "folder: \"", GRD_ERR_ARG },
        { "folder=%/{part} classes=neg,good", "/train: no folder \"good\" in it", GRD_ERR_DATA },
        { "folder=%/{part} classes=neg,neg", "classes: \"neg\" stands there twice", GRD_ERR_ARG },
        { "folder=%/none", "/none: 0 folders, expected one for each class", GRD_ERR_DATA },
        { "folder=%/bare", "/bare/a: no texts in it (txt, txt.gz, txt.xz)", GRD_ERR_DATA },
        { "folder=%/train file=%/train.tsv", "expected one of file (a text and its class a line) and folder", GRD_ERR_ARG },
        { "", "expected one of file (a text and its class a line) and folder", GRD_ERR_ARG },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        fails(ctx, wrong[i].status, wrong[i].message, grd_dataset_open(ctx, "labelled_text", with_dir(wrong[i].spec), &d));
    make_folders((const char *const[]){ "test/odd" }, 1);
    put_text("test/odd/1.txt", "x");
    fails(ctx, GRD_ERR_DATA, "odd/1.txt:1: label \"odd\" is none of train's 3 classes",
          grd_dataset_open(ctx, "labelled_text", with_dir("folder=%/{part} part=test"), &d));
    put_text("t.tsv", "label\ttext\nb\tx\na\ty\n");
    ok(ctx, grd_dataset_open(ctx, "labelled_text", with_dir("file=%/t.tsv classes=b,a"), &d)); /* a table's, in another order */
    assert_string_equal(grd_dataset_class(d, 0), "b");
    expect_ids(d, 0, 1, ids(0));
    fails(ctx, GRD_ERR_DATA, "t.tsv:3: label \"a\" is none of train's 1 classes",
          grd_dataset_open(ctx, "labelled_text", with_dir("file=%/t.tsv classes=b"), &d));
}

static void reviews_are_those_of_the_course(void **state)
{
    (void)state;
    static const char *const part[] = { "train", "val", "test" };
    static const int n[] = { 9154, 3133, 3083 };
    char spec[1200];
    const char *folder = real_dir("imdb", "train.tsv.gz");
    if (!folder)
        skip();
    for (int k = 0; k < 3; k++) {
        grd_dataset *d;
        snprintf(spec, sizeof spec, "file=%s/{part}.tsv.gz part=%s max_vocab=5002", folder, part[k]);
        ok(ctx, grd_dataset_open(ctx, "labelled_text", spec, &d));
        assert_int_equal(grd_dataset_length(d), n[k]);
        assert_true(field(d, 0)->hi == 5001);
        int64_t longest = 0, tokens = 0, positive = 0;
        grd_sample *s;
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < n[k]; i++) {
            assert_int_equal(grd_dataset_get(d, i, NULL, s), GRD_OK);
            longest = s->shape[0].dim[0] > longest ? s->shape[0].dim[0] : longest;
            tokens += s->shape[0].dim[0];
            positive += *(int32_t *)s->data[1];
        }
        grd_sample_free(s, ctx);
        assert_int_equal(longest, 150);
        if (k == 0) {
            assert_int_equal(positive, 4662);
            assert_int_equal(tokens, 1013439); /* of re.split(r"\W+", text.lower()) without the empty ones */
        }
    }
}

/* ---- windows and lines of a text ---- */

static void windows_are_followed_by_their_next_token(void **state)
{
    (void)state;
    put_text("t.txt", "abcabdab\n");
    grd_dataset *d = set_of("text", "file=%/t.txt length=3"); /* ids: \n 0, a 1, b 2, c 3, d 4 */
    assert_int_equal(grd_dataset_length(d), 2);
    assert_true(field(d, 1)->classes == 5 && field(d, 0)->classes == 0 && field(d, 0)->shape.dim[0] == 3);
    expect_ids(d, 0, 0, ids(1, 2, 3));
    expect_ids(d, 0, 1, ids(2, 3, 1));
    expect_ids(d, 1, 1, ids(2, 4, 1));
    d = set_of("text", "file=%/t.txt length=3 stride=1");
    assert_int_equal(grd_dataset_length(d), 6);
    expect_ids(d, 5, 0, ids(4, 1, 2));
    expect_ids(d, 5, 1, ids(1, 2, 0));
}

static void parts_of_a_text_follow_each_other(void **state)
{
    (void)state;
    grd_dataset *d;
    put_text("t.txt", "abababababababbaabba");
    d = set_of("text", "file=%/t.txt length=2 parts=[0.7,0.2,0.1] part=val");
    assert_int_equal(grd_dataset_length(d), 1);
    expect_ids(d, 0, 0, ids(1, 0));
    put_text("t.txt", "abababababababcaabba");
    fails(ctx, GRD_ERR_DATA, "character \"c\" at byte 0 is not in the vocabulary of train",
          grd_dataset_open(ctx, "text", with_dir("file=%/t.txt length=2 parts=[0.7,0.2,0.1] part=val"), &d));
    d = set_of("text", "file=%/t.txt length=2 parts=[0.7,0.2,0.1] part=val tokenizer=bpe");
    assert_int_equal(grd_dataset_length(d), 1);
}

static void a_line_is_a_sample_between_two_marks(void **state)
{
    (void)state;
    put_text("names.txt", "eva\r\n\nava\n");
    grd_dataset *d = set_of("text", "file=%/names.txt lines=true"); /* 4 special ones, a 4, e 5, v 6 */
    assert_int_equal(grd_dataset_length(d), 2);
    expect_ids(d, 0, 0, ids(2, 5, 6, 4));
    expect_ids(d, 0, 1, ids(5, 6, 4, 3));
    assert_true(field(d, 1)->pad == -1 && field(d, 1)->ignore == -1);
    char name[300];
    assert_non_null(strstr(grd_dataset_name(d, 1, name, sizeof name), "names.txt:3"));
}

static void real_texts_have_their_known_sizes(void **state)
{
    (void)state;
    char spec[1200];
    const char *folder = real_dir("text", "tinyshakespeare.txt");
    grd_dataset *d;
    if (!folder)
        skip();
    snprintf(spec, sizeof spec, "file=%s/tinyshakespeare.txt length=64", folder);
    ok(ctx, grd_dataset_open(ctx, "text", spec, &d));
    assert_int_equal(field(d, 1)->classes, 65);
    assert_int_equal(grd_dataset_length(d), (1115394 - 1) / 64);
    snprintf(spec, sizeof spec, "file=%s/names.txt lines=true", folder);
    ok(ctx, grd_dataset_open(ctx, "text", spec, &d));
    assert_int_equal(grd_dataset_length(d), 32033);
    assert_int_equal(field(d, 1)->classes, 30);
}

/* ---- translations ---- */

static void translations_go_line_by_line(void **state)
{
    (void)state;
    put_text("train.en", "a dog\na cat\n");
    put_text("train.de", "ein Hund\neine Katze\n");
    put_text("val.en", "a cow\n");
    put_text("val.de", "eine Kuh\n");
    grd_dataset *d = set_of("parallel_text", "from=%/{part}.en to=%/{part}.de");
    assert_int_equal(grd_dataset_length(d), 2);
    expect_ids(d, 0, 0, ids(4, 6)); /* <pad> <unk> <bos> <eos> a cat dog */
    expect_ids(d, 0, 1, ids(2, 4, 6)); /* ein eine hund katze */
    expect_ids(d, 0, 2, ids(4, 6, 3));
    d = set_of("parallel_text", "from=%/{part}.en to=%/{part}.de part=val");
    expect_ids(d, 0, 0, ids(4, 1));
    expect_ids(d, 0, 2, ids(5, 1, 3));
    d = set_of("parallel_text", "from=%/{part}.en to=%/{part}.de part=test part_names=val,train,train length=1");
    assert_int_equal(grd_dataset_length(d), 2);
    put_text("val.de", "eine Kuh\n\nzwei\n");
    fails(ctx, GRD_ERR_DATA, "val.en has 1 lines, ",
          grd_dataset_open(ctx, "parallel_text", with_dir("from=%/{part}.en to=%/{part}.de part=val"), &d));
}

static void translations_keep_a_vocabulary_for_each_side(void **state)
{
    (void)state;
    grd_dataset *d;
    put_text("train.en", "a dog\na cat\n");
    put_text("train.de", "ein Hund\neine Katze\n");
    put_text("test.en", "a cow cat\n");
    put_text("test.de", "eine Kuh\n");
    set_of("parallel_text", "from=%/{part}.en to=%/{part}.de part=test from_save_vocab=%/en.json to_save_vocab=%/de.json");
    fails(ctx, GRD_ERR_IO, "en.json", /* it is train's to write */
          grd_dataset_open(ctx, "parallel_text", with_dir("from=%/{part}.en to=%/{part}.de from_vocab=%/en.json"), &d));
    set_of("parallel_text", "from=%/{part}.en to=%/{part}.de from_save_vocab=%/en.json to_save_vocab=%/de.json");
    put_text("train.en", "other\nwords\n");
    d = set_of("parallel_text", "from=%/{part}.en to=%/{part}.de part=test from_vocab=%/en.json to_vocab=%/de.json");
    expect_ids(d, 0, 0, ids(4, 1, 5));
    expect_ids(d, 0, 2, ids(5, 1, 3));
}

/* ---- what does not fit ---- */

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct { const char *source, *text, *options, *message; grd_status status;
    } wrong[] = {
        { "labelled_text", "label\ttext\n1\ta\n", "text=body", "text: no column \"body\"", GRD_ERR_ARG },
        { "labelled_text", "label\ttext\n1\ta\n", "text=label", "text and label are both column 1", GRD_ERR_ARG },
        { "labelled_text", "label\ttext\n", "", "w.txt: no texts", GRD_ERR_DATA },
        { "labelled_text", "label\ttext\n1\n", "", ":2: 1 column", GRD_ERR_FORMAT },
        { "labelled_text", "label\ttext\n1\ta\n", "separator=;;", "separator: \";;\", expected one character or tab",
          GRD_ERR_ARG },
        { "labelled_text", "label\ttext\n1\ta\n", "max_vocab=2", "max_vocab: 2, expected more than the 2 special tokens",
          GRD_ERR_ARG },
        { "labelled_text", "label\ttext\n1\ta\n", "tokenizer=bpe max_vocab=100", "max_vocab: 100, expected at least 258",
          GRD_ERR_ARG },
        { "labelled_text", "label\ttext\n1\ta\n", "vocab=%/w.txt", "w.txt: expected a JSON list of texts: ", GRD_ERR_FORMAT },
        { "labelled_text", "label\ttext\n1\ta\n", "vocab=%/twice.json", "twice.json: item 2: \"<pad>\" stands there twice",
          GRD_ERR_FORMAT },
        { "labelled_text", "label\ttext\n1\ta\n", "vocab=%/number.json", "number.json: item 1 is no text, expected a token's text",
          GRD_ERR_FORMAT },
        { "labelled_text", "label\ttext\n1\ta\n", "vocab=%/few.json", "few.json: no token <unk>, which is needed here",
          GRD_ERR_DATA },
        { "labelled_text", "label\ttext\n1\ta\n", "part=val", "does not hold {part}: there is no part val", GRD_ERR_ARG },
        { "text", "abc", "", "length: 0: windows need a length", GRD_ERR_ARG },
        { "text", "abc", "length=3", "3 tokens, expected at least 4: a window of length 3 and its last target", GRD_ERR_DATA },
        { "text", "\n\n", "lines=true", "w.txt: no lines", GRD_ERR_DATA },
        { "text", "abc", "length=1 parts=[0.9,0.2]", "whose sum is", GRD_ERR_ARG },
        { "parallel_text", "abc\n", "to=%/w.txt part_names=a,b", "part_names: 2 names, expected three", GRD_ERR_ARG },
    };
    grd_dataset *d;
    put_text("twice.json", "[\"<pad>\", \"<unk>\", \"<pad>\"]");
    put_text("number.json", "[\"<pad>\", 1]");
    put_text("few.json", "[\"<pad>\", \"a\"]");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char spec[400];
        snprintf(spec, sizeof spec, "%s=%%/w.txt %s", strcmp(wrong[i].source, "parallel_text") == 0 ? "from" : "file",
                 wrong[i].options);
        put_text("w.txt", wrong[i].text);
        fails(ctx, wrong[i].status, wrong[i].message, grd_dataset_open(ctx, wrong[i].source, with_dir(spec), &d));
    }
    put_text("train.tsv", "label\ttext\n1\ta\n");
    put_text("val.tsv", "label\ttext\n2\ta\n");
    fails(ctx, GRD_ERR_DATA, "val.tsv:2: label \"2\" is none of train's 1 classes",
          grd_dataset_open(ctx, "labelled_text", with_dir("file=%/{part}.tsv part=val"), &d));
}

/* ---- memory ---- */

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    static const char *const each[][2] = { { "labelled_text", "file=%/{part}.tsv part=val" },
                                           { "labelled_text", "file=%/{part}.tsv part=val tokenizer=bpe max_vocab=260" },
                                           { "labelled_text", "file=%/{part}.tsv vocab=%/v.json" },
                                           { "labelled_text", "folder=%/set classes=a,b" },
                                           { "labelled_text", "folder=%/set" },
                                           { "text", "file=%/t.txt length=3 parts=[0.5,0.3,0.2]" },
                                           { "text", "file=%/t.txt lines=true" },
                                           { "parallel_text", "from=%/t.txt to=%/t.txt" } };
    put_text("train.tsv", "label\ttext\ngood\tThe cat, the \"dog\"!\nbad\tthe cat\nbad\t...\n");
    put_text("val.tsv", "label\ttext\nbad\tthe cow\n");
    put_text("v.json", "[\"<pad>\", \"<unk>\", \"the\"]");
    put_text("t.txt", "abc\nabcabdbba\nabcd\n");
    make_folders((const char *const[]){ "set", "set/a", "set/b" }, 3);
    put_text("set/a/1.txt", "one");
    put_text("set/b/2.txt", "two");
    for (size_t k = 0; k < sizeof each / sizeof *each; k++)
        for (int64_t n = 1;; n++) {
            counter counted = { .refuse = n };
            grd_allocator a = counting(&counted);
            grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
            grd_dataset *d;
            grd_sample *s;
            bool refused = true;
            if (c) {
                grd_status status = grd_dataset_open(c, each[k][0], with_dir(each[k][1]), &d);
                if (status == GRD_OK)
                    status = grd_sample_new(d, c, &s);
                if (status == GRD_OK) {
                    status = grd_dataset_get(d, 0, NULL, s);
                    grd_sample_free(s, c);
                }
                refused = counted.calls >= n;
                if (status != (refused ? GRD_ERR_MEMORY : GRD_OK))
                    fail_msg("%s, allocation %lld: %s: %s", each[k][1], (long long)n, grd_status_name(status), grd_error(c));
                grd_close(c);
            }
            assert_int_equal(counted.live, 0);
            if (!refused)
                break;
        }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_line_becomes_ids_and_a_class), TEST(a_vocabulary_is_saved_and_read_back),
        TEST(folders_are_classes_and_files_texts), TEST(folders_that_do_not_fit_are_named),
        TEST(translations_keep_a_vocabulary_for_each_side), TEST(reviews_are_those_of_the_course),
        TEST(windows_are_followed_by_their_next_token), TEST(parts_of_a_text_follow_each_other),
        TEST(a_line_is_a_sample_between_two_marks), TEST(real_texts_have_their_known_sizes), TEST(translations_go_line_by_line),
        TEST(what_does_not_fit_is_refused_with_a_sentence), TEST(refused_allocations_leak_and_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
