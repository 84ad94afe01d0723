/* Random numbers: the published answers of Philox4x32-10, and many at once as one by one. */
#include <gradus/base.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_published_answers_come_out(void **state)
{
    (void)state;
    uint32_t word[4]; /* counter and key all zero: Random123's kat_vectors */
    grd_random4(&(grd_key){ 0 }, 0, 0, word);
    assert_int_equal(word[0], 0x6627e8d5);
    assert_int_equal(word[1], 0xe169c58d);
    assert_int_equal(word[2], 0xbc57ac4c);
    assert_int_equal(word[3], 0x9b00dbd8);
}

static void many_first_words_are_those_of_single_calls(void **state)
{
    (void)state;
    const grd_key key = { .seed = 0x123456789abcdef0u, .step = 0x1200000007u, .row = 0x3400000005u };
    static const int lengths[] = { 1, 15, 16, 17, 100 };
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        uint32_t many[101], word[4];
        const uint64_t block = 0xfffffff0u; /* across a carry */
        many[lengths[k]] = 77;
        grd_random_first(&key, 3, block, lengths[k], many);
        for (int i = 0; i < lengths[k]; i++) {
            grd_random4(&key, 3, block + (uint64_t)i, word);
            assert_int_equal(many[i], word[0]);
        }
        assert_int_equal(many[lengths[k]], 77);
    }
}

static void names_and_seeds_give_other_streams(void **state)
{
    (void)state;
    assert_true(grd_hash(1, "a") != grd_hash(1, "b") && grd_hash(1, "a") != grd_hash(2, "a"));
    assert_true(grd_hash(1, "a") == grd_hash(1, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_answers_come_out),
        cmocka_unit_test(many_first_words_are_those_of_single_calls),
        cmocka_unit_test(names_and_seeds_give_other_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
