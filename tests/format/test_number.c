/* Decimal numbers give the same bits as the C library's strtod in the "C" locale, which is this program's. */
#include "helper_format.h"

#include "format/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 1;

static uint64_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 32 ^ seed << 21;
}

static void expect_like_strtod(const char *text)
{
    double expected = strtod(text, NULL), found = -1;
    if (!grd_parse_number(text, '.', &found) || memcmp(&expected, &found, sizeof found) != 0)
        fail_msg("%.80s: found %a, expected %a", text, found, expected);
}

static void every_number_has_the_bits_of_strtod(void **state)
{
    (void)state;
    static const char *const hard[] = {
        "0",
        "-0",
        "1",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e400",
        "1e-400",
        "2.2250738585072011e-308",
        "9007199254740993",
        "9007199254740992.5",
        "123456789012345678901234567890",
        "1e22",
        "1e23",
        "8.5e-22",
        "0.1",
        ".5",
        "5.",
        "+7",
        "0000000000000000000000001.50",
        "0.000000000000000000000000000000000000000000000000001",
        "6.02214076e23",
        "1e999999999999",
        "0e999999999999",
    };
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        expect_like_strtod(hard[i]);
    for (int i = 0; i < 200000; i++) {
        char text[1200];
        uint64_t bits = draw();
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        snprintf(text, sizeof text, "%.*e", (int)(draw() % 25), v);
        expect_like_strtod(text);
        snprintf(text, sizeof text, "%.*f", (int)(draw() % 12), (double)(int64_t)bits / 1e12);
        expect_like_strtod(text);
    }
}

static void halfway_cases_round_to_even_however_long_they_are(void **state)
{
    (void)state;
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = (draw() & 0x7fefffffffffffffu) >> (draw() % 12), above = bits + 1;
        char text[1300];
        double a, b;
        memcpy(&a, &bits, sizeof a);
        memcpy(&b, &above, sizeof b);
        if (LDBL_MANT_DIG <= 53 || !isfinite(b))
            continue;
        snprintf(text, sizeof text, "%.1150Le", ((long double)a + (long double)b) / 2);
        expect_like_strtod(text);
        *strchr(text, 'e') = '\0'; /* and a hair above it, far behind */
        char *last = text + strlen(text) - 1;
        *last = '1';
        expect_like_strtod(text);
    }
}

static void the_locale_is_not_asked(void **state)
{
    (void)state;
    double v;
    const char *german = setlocale(LC_NUMERIC, "de_DE.UTF-8"); /* may not be installed: the rest holds all the same */
    assert_true(grd_parse_number("1.5", '.', &v) && v == 1.5);
    assert_true(grd_parse_number("1,5", ',', &v) && v == 1.5);
    assert_false(grd_parse_number("1,5", '.', &v));
    assert_false(grd_parse_number("1.5", ',', &v));
    (void)german;
    setlocale(LC_NUMERIC, "C");
}

static void the_whole_text_is_a_number_or_it_is_none(void **state)
{
    (void)state;
    static const char *const none[] = { "",    " ",    "-",  ".",   "e5", "1e",   "1e+",  "1.2.3",
                                        "1 2", "0x10", "1f", "--1", "in", "nano", "1,000" };
    double v;
    int64_t n;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (grd_parse_number(none[i], '.', &v))
            fail_msg("\"%s\" was taken as %g", none[i], v);
    assert_true(grd_parse_number(" -Inf\t", '.', &v) && v == -HUGE_VAL);
    assert_true(grd_parse_number("NaN", '.', &v) && isnan(v));
    assert_true(grd_parse_integer("-9223372036854775808", &n) && n == INT64_MIN);
    assert_true(grd_parse_integer(" +9223372036854775807 ", &n) && n == INT64_MAX);
    assert_false(grd_parse_integer("9223372036854775808", &n));
    assert_false(grd_parse_integer("1.0", &n));
    assert_false(grd_parse_integer("", &n));
}

static void dates_are_told_from_numbers(void **state)
{
    (void)state;
    static const struct { const char *text; grd_date_order order;
    } cases[] = {
        { "2024-01-31", GRD_DATE_YMD },
        { "2024/1/3", GRD_DATE_YMD },
        { "31.01.2024", GRD_DATE_DMY },
        { "1.2.24", GRD_DATE_DMY },
        { "01/31/2024", GRD_DATE_MDY },
        { "2024-01-31 12:30", GRD_DATE_YMD },
        { "2024-01-31T12:30:59.5Z", GRD_DATE_YMD },
        { "2024-13-01", GRD_DATE_NONE },
        { "31/01/2024", GRD_DATE_NONE },
        { "01.31.2024", GRD_DATE_NONE },
        { "1.5", GRD_DATE_NONE },
        { "192.168.1.1", GRD_DATE_NONE },
        { "2024-01", GRD_DATE_NONE },
        { "1/2", GRD_DATE_NONE },
        { "", GRD_DATE_NONE },
        { "2024-01-31x", GRD_DATE_NONE },
        { "12345-01-31", GRD_DATE_NONE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (grd_parse_date(cases[i].text) != cases[i].order)
            fail_msg("\"%s\": %d, expected %d", cases[i].text, grd_parse_date(cases[i].text), cases[i].order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_has_the_bits_of_strtod),
        cmocka_unit_test(halfway_cases_round_to_even_however_long_they_are),
        cmocka_unit_test(the_locale_is_not_asked),
        cmocka_unit_test(the_whole_text_is_a_number_or_it_is_none),
        cmocka_unit_test(dates_are_told_from_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
