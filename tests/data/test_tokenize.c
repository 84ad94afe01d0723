/* Tokens: pieces where they should be, vocabularies in order, byte-pair encoding gives text back and survives its JSON. */
#include "helper_data.h"

#include "data/tokenize.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_host host;

static int setup(void **state)
{
    (void)state;
    grd_host_init(&host, NULL);
    return 0;
}

#define good(call)                                    \
    do {                                              \
        if ((call) != GRD_OK)                         \
            fail_msg("%s: %s", #call, host.err.text); \
    } while (0)
#define bad(status, sentence, call)                                                      \
    do {                                                                                 \
        assert_int_equal((call), (status));                                              \
        if (!strstr(host.err.text, (sentence)))                                          \
            fail_msg("found \"%s\", expected \"%s\"", host.err.text, (sentence));        \
    } while (0)

static void expect_pieces(grd_pieces kind, const char *text, const char *pieces)
{
    char found[500] = "", word[GRD_MAX_WORD];
    const char *piece;
    size_t left = strlen(text), size, used = 0;
    while (grd_next_piece(kind, &text, &left, word, &piece, &size))
        used += (size_t)snprintf(found + used, sizeof found - used, "%.*s|", (int)size, piece);
    assert_string_equal(found, pieces);
}

static void words_are_runs_of_letters_numbers_and_underscores(void **state)
{
    (void)state;
    expect_pieces(GRD_PIECES_WORDS, "It's GREAT!<br /><br />10_0 \xc3\x84rger, \xd0\x9f\xd1\x80",
                  "it|s|great|br|br|10_0|\xc3\xa4rger|\xd0\xbf\xd1\x80|");
    expect_pieces(GRD_PIECES_WORDS, " ... ", "");
    expect_pieces(GRD_PIECES_CHARS, "a\xc3\xa4\xf0\x9f\x98\x80\xff", "a|\xc3\xa4|\xf0\x9f\x98\x80|\xff|");
    char longer[400], word[GRD_MAX_WORD];
    const char *at = longer, *piece;
    size_t left = sizeof longer, size;
    memset(longer, 'X', sizeof longer);
    assert_true(grd_next_piece(GRD_PIECES_WORDS, &at, &left, word, &piece, &size));
    assert_true(size == GRD_MAX_WORD && left == 0 && word[255] == 'x');
}

static void gpt2_pieces_are_where_its_pattern_puts_them(void **state)
{
    (void)state;
    expect_pieces(GRD_PIECES_GPT2, "Hello world", "Hello| world|");
    expect_pieces(GRD_PIECES_GPT2, "I've don't '' 's", "I|'ve| don|'t| ''| '|s|");
    expect_pieces(GRD_PIECES_GPT2, "a  b\n\nc \n", "a| | b|\n|\n|c| \n|");
    expect_pieces(GRD_PIECES_GPT2, "x=12.5, (y)", "x|=|12|.|5|,| (|y|)|");
    expect_pieces(GRD_PIECES_GPT2, "   ", "   |");
    expect_pieces(GRD_PIECES_GPT2, "\xc3\xa4\xc2\xa0 \xd9\xa0", "\xc3\xa4|\xc2\xa0| \xd9\xa0|");
}

static void vocabularies_are_sorted_and_bounded(void **state)
{
    (void)state;
    static const char text[] = "the cat the dog a cat the z";
    grd_counts counts;
    grd_vocab vocab;
    int32_t ids[8];
    size_t n, size;
    const char *const special[] = { "<eos>", "<unk>", NULL };
    grd_counts_init(&counts, &host, GRD_PIECES_WORDS);
    good(grd_counts_add(&counts, text, strlen(text)));
    good(grd_vocab_make(&counts, &(grd_vocab_opts){ .special = special, .max_pieces = 4 }, &vocab));
    assert_int_equal(vocab.n, 6);
    assert_int_equal(grd_vocab_find(&vocab, "the", 3), 2);
    assert_int_equal(grd_vocab_find(&vocab, "cat", 3), 3);
    assert_int_equal(grd_vocab_find(&vocab, "a", 1), 4); /* as frequent as dog and z */
    assert_int_equal(grd_vocab_find(&vocab, "z", 1), -1);
    grd_vocab_encode(&vocab, GRD_PIECES_WORDS, 1, "The Z, the dog!", 15, ids, 3, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(ids, ((int32_t[]){ 2, 1, 2 }), 3 * sizeof *ids);
    grd_vocab_encode(&vocab, GRD_PIECES_WORDS, -1, "The Z", 5, ids, 8, &n);
    assert_int_equal(n, 1);
    grd_vocab_free(&vocab);
    good(grd_vocab_make(&counts, &(grd_vocab_opts){ .min_count = 2 }, &vocab));
    assert_int_equal(vocab.n, 2);
    grd_vocab_free(&vocab);
    bad(GRD_ERR_ARG, "\"a\" is there twice",
        grd_vocab_make(&counts, &(grd_vocab_opts){ .special = (const char *const[]){ "a", "a", NULL } }, &vocab));
    grd_counts_free(&counts);
    grd_counts_init(&counts, &host, GRD_PIECES_CHARS);
    good(grd_counts_add(&counts, "cab\xc3\xa4 cc", 8));
    good(grd_vocab_make(&counts, NULL, &vocab));
    assert_int_equal(vocab.n, 5);
    assert_memory_equal(grd_vocab_text(&vocab, 0, &size), " ", 1);
    assert_int_equal(grd_vocab_find(&vocab, "\xc3\xa4", 2), 4);
    grd_vocab_free(&vocab);
    grd_counts_free(&counts);
}

/* ---- byte-pair encoding ---- */

static void train(const char *text, size_t size, int32_t vocab_size, grd_bpe *bpe)
{
    grd_counts counts;
    grd_counts_init(&counts, &host, GRD_PIECES_GPT2);
    good(grd_counts_add(&counts, text, size));
    good(grd_bpe_train(
        &counts, &(grd_bpe_opts){ .vocab_size = vocab_size, .special = (const char *const[]){ "<pad>", "<eos>", NULL } }, bpe));
    grd_counts_free(&counts);
}

/* The course's example: counts 10, 5, 12, 4, 5; merges ug, un, hug. */
static void the_textbook_example_is_merged_as_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        int n;
    } words[] = { { "hug", 10 }, { "pug", 5 }, { "pun", 12 }, { "bun", 4 }, { "hugs", 5 } };
    static const char *const merges[] = { "ug", "un", "hug" };
    grd_counts counts;
    grd_bpe bpe;
    size_t size;
    grd_counts_init(&counts, &host, GRD_PIECES_GPT2);
    for (size_t k = 0; k < 5; k++)
        for (int i = 0; i < words[k].n; i++)
            good(grd_counts_add(&counts, words[k].word, strlen(words[k].word)));
    good(grd_bpe_train(&counts, &(grd_bpe_opts){ .vocab_size = 259 }, &bpe));
    assert_int_equal(bpe.merges, 3);
    for (int k = 0; k < 3; k++) {
        const char *text = grd_vocab_text(&bpe.vocab, bpe.merge[k].joined, &size);
        assert_true(size == strlen(merges[k]) && memcmp(text, merges[k], size) == 0);
    }
    grd_bpe_free(&bpe);
    bad(GRD_ERR_ARG, "vocab_size 255, expected at least 256", grd_bpe_train(&counts, &(grd_bpe_opts){ .vocab_size = 255 }, &bpe));
    grd_counts_free(&counts);
}

static void expect_back(const grd_bpe *bpe, const char *text, size_t size)
{
    int32_t *ids = malloc(sizeof *ids * (size + 1));
    char *back = malloc(size + 1);
    size_t n, length;
    good(grd_bpe_encode(bpe, &host, text, size, ids, size, &n));
    assert_true(n <= size);
    grd_bpe_decode(bpe, ids, n, false, back, size, &length);
    assert_int_equal(length, size);
    assert_memory_equal(back, text, size);
    free(ids);
    free(back);
}

static const char sample[] =
    "low lower lowest, newer newest; low low lower, don't newer \"new\" 12 12 112\n\n  \xc3\xa4\xc3\xa4 \xc3\xa4\xc3\xa4";

static void any_bytes_come_back_from_their_ids(void **state)
{
    (void)state;
    grd_bpe bpe;
    char all[2048], same[1000];
    size_t length;
    train(sample, sizeof sample - 1, 300, &bpe);
    for (int i = 0; i < 2048; i++)
        all[i] = (char)(i * 7 + i / 256);
    expect_back(&bpe, all, sizeof all);
    expect_back(&bpe, sample, sizeof sample - 1);
    memset(same, 'w', sizeof same); /* one piece, longer than what fits the stack */
    expect_back(&bpe, same, sizeof same);
    expect_back(&bpe, "", 0);
    assert_int_equal(grd_bpe_special(&bpe, "<eos>"), 1);
    assert_int_equal(grd_bpe_special(&bpe, "low"), -1);
    char text[16];
    grd_bpe_decode(&bpe, (int32_t[]){ 1, 999999, -1, 0 }, 4, true, text, sizeof text, &length);
    assert_true(length == 10 && memcmp(text, "<eos><pad>", 10) == 0);
    grd_bpe_decode(&bpe, (int32_t[]){ 1, 0 }, 2, false, text, sizeof text, &length);
    assert_int_equal(length, 0);
    grd_bpe_free(&bpe);
}

static void json_gives_the_same_tokenizer(void **state)
{
    (void)state;
    grd_bpe bpe, read;
    char path[300], dir[280];
    int32_t a[200], b[200];
    size_t na, nb;
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    train(sample, sizeof sample - 1, 300, &bpe);
    good(grd_bpe_write(&host, path, &bpe));
    good(grd_bpe_read(&host, path, &read));
    assert_int_equal(read.vocab.n, bpe.vocab.n);
    assert_int_equal(read.merges, bpe.merges);
    assert_memory_equal(read.merge, bpe.merge, sizeof *read.merge * (size_t)read.merges);
    assert_int_equal(read.specials, 2);
    good(grd_bpe_encode(&bpe, &host, sample, sizeof sample, a, 200, &na));
    good(grd_bpe_encode(&read, &host, sample, sizeof sample, b, 200, &nb));
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na * sizeof *a);
    grd_bpe_free(&bpe);
    grd_bpe_free(&read);
    remove_dir(dir);
}

static void foreign_and_broken_json_is_refused(void **state)
{
    (void)state;
#define PRE "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
    static const struct { const char *json; grd_status status; const char *text; } cases[] = {
        { "{", GRD_ERR_FORMAT, "line 1: bad JSON" },
        { "[]", GRD_ERR_FORMAT, "no model with vocab and merges" },
        { "{\"model\":{\"vocab\":{},\"merges\":[],\"type\":\"Unigram\"}}", GRD_ERR_UNSUPPORTED, "type Unigram, expected BPE" },
        { "{\"model\":{\"vocab\":{},\"merges\":[]}}", GRD_ERR_UNSUPPORTED, "a pre-tokenizer of type null, expected ByteLevel" },
        { "{\"normalizer\":{\"type\":\"NFC\"},\"model\":{\"vocab\":{},\"merges\":[]}}", GRD_ERR_UNSUPPORTED, "normalizer" },
        { "{\"model\":{\"dropout\":0.1,\"vocab\":{},\"merges\":[]}," PRE "}", GRD_ERR_UNSUPPORTED, "sets dropout" },
        { "{\"model\":{\"vocab\":{},\"merges\":[]}," PRE "}", GRD_ERR_FORMAT, "no token for byte 0x00" },
        { "{\"model\":{\"vocab\":{\"a\":1},\"merges\":[]}," PRE "}", GRD_ERR_FORMAT, "token \"a\": its id is not below" },
        { "{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}," PRE "}", GRD_ERR_FORMAT, "its id is another token's" },
        { "{\"model\":{\"vocab\":{\"a b\":0},\"merges\":[]}," PRE "}", GRD_ERR_FORMAT, "stands for no byte" },
        { "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"ab\"]}," PRE "}", GRD_ERR_FORMAT, "merge 1 is not two tokens" },
        { "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\"]]}," PRE "}", GRD_ERR_FORMAT, "merge 1: its tokens" },
        { "{\"added_tokens\":[{}],\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}," PRE "}", GRD_ERR_FORMAT, "without content" },
    };
    grd_bpe bpe;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        bad(cases[i].status, cases[i].text, grd_bpe_parse(&host, "t.json", cases[i].json, strlen(cases[i].json), &bpe));
#undef PRE
}

static void refused_memory_is_survived_everywhere(void **state)
{
    (void)state;
    char dir[280], path[300];
    snprintf(dir, sizeof dir, "%s", temp_dir());
    snprintf(path, sizeof path, "%s/t.json", dir);
    for (int64_t refuse = 1;; refuse += 1 + refuse / 40) {
        counter c = { .refuse = refuse };
        grd_allocator mem = counting(&c);
        grd_host counted;
        grd_counts counts;
        grd_bpe bpe, read;
        grd_host_init(&counted, &mem);
        grd_counts_init(&counts, &counted, GRD_PIECES_GPT2);
        grd_status status = grd_counts_add(&counts, sample, sizeof sample);
        if (status == GRD_OK && (status = grd_bpe_train(&counts, &(grd_bpe_opts){ .vocab_size = 262 }, &bpe)) == GRD_OK) {
            status = grd_bpe_write(&counted, path, &bpe);
            if (status == GRD_OK && (status = grd_bpe_read(&counted, path, &read)) == GRD_OK)
                grd_bpe_free(&read);
            grd_bpe_free(&bpe);
        }
        grd_counts_free(&counts);
        assert_int_equal(c.live, 0);
        if (status == GRD_OK)
            break;
        assert_int_equal(status, GRD_ERR_MEMORY);
        assert_true(refuse < 50000);
    }
    remove_dir(dir);
}

static void shakespeare_comes_back_from_a_thousand_tokens(void **state)
{
    (void)state;
    char path[1100];
    void *text;
    size_t size;
    grd_bpe bpe;
    const char *dir = real_dir("text", "tinyshakespeare.txt");
    if (!dir)
        skip();
    snprintf(path, sizeof path, "%s/tinyshakespeare.txt", dir);
    good(grd_file_read(&host, path, 0, &text, &size));
    train(text, size, 1000, &bpe);
    assert_int_equal(bpe.vocab.n, 1000);
    expect_back(&bpe, text, size);
    grd_bpe_free(&bpe);
    grd_free(&host, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_of_letters_numbers_and_underscores),
        cmocka_unit_test(gpt2_pieces_are_where_its_pattern_puts_them),
        cmocka_unit_test(vocabularies_are_sorted_and_bounded),
        cmocka_unit_test(the_textbook_example_is_merged_as_it_says),
        cmocka_unit_test(any_bytes_come_back_from_their_ids),
        cmocka_unit_test(json_gives_the_same_tokenizer),
        cmocka_unit_test(foreign_and_broken_json_is_refused),
        cmocka_unit_test(refused_memory_is_survived_everywhere),
        cmocka_unit_test(shakespeare_comes_back_from_a_thousand_tokens),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
