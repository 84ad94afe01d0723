/* Random numbers: the published answers of Philox4x32-10. */
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
        cmocka_unit_test(names_and_seeds_give_other_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
