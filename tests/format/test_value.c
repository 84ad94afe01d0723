/* The tree of plain data: what is put in is found again. */
#include "helper_format.h"

#include <stdio.h>
#include <string.h>

static void a_dict_keeps_order_and_replaces(void **state)
{
    (void)state;
    grd_host host;
    grd_arena a;
    grd_host_init(&host, NULL);
    grd_arena_init(&a, &host);
    grd_value *d = grd_value_dict(&a);
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        OK(&host, grd_value_set(&a, d, key, grd_value_int(&a, i)));
        OK(&host, grd_value_set_int(&a, d, i * 3 - 500, grd_value_int(&a, -i)));
    }
    OK(&host, grd_value_set(&a, d, "key 7", grd_value_text(&a, "new")));
    assert_int_equal(grd_value_count(d), 2000);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_string_equal(d->dict.item[2 * i].key->text.bytes, key);
        assert_int_equal(grd_value_to_int(grd_value_get(d, key), -1), i == 7 ? -1 : i);
        assert_int_equal(grd_value_to_int(grd_value_get_int(d, i * 3 - 500), 1), -i);
    }
    assert_string_equal(grd_value_to_text(grd_value_get(d, "key 7"), NULL), "new");
    assert_null(grd_value_get(d, "key 1000"));
    assert_null(grd_value_get_int(d, 2));
    grd_arena_free(&a);
}

static void a_path_follows_keys_numbers_and_indices(void **state)
{
    (void)state;
    grd_host host;
    grd_arena a;
    grd_host_init(&host, NULL);
    grd_arena_init(&a, &host);
    grd_value *root = sample_tree(&a);
    assert_non_null(root);
    assert_int_equal(grd_value_to_int(grd_value_find(root, "list/2"), 0), 256);
    assert_string_equal(grd_value_to_text(grd_value_find(root, "state/-70000"), ""),
                        "h\xc3\xa4\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_true(grd_value_is(grd_value_find(root, "state/0"), GRD_VALUE_NONE));
    assert_true(grd_value_to_real(grd_value_find(root, "betas/0"), 0) == 0.9);
    assert_true(grd_value_to_real(grd_value_find(root, "state_dict/count"), 0) == 12345);
    assert_true(grd_value_is(grd_value_find(root, "state_dict/0.weight"), GRD_VALUE_TENSOR));
    const char *const missing[] = { "",        "list/99",  "list/-1",
                                    "list/x",  "list/2/3", "nothing/at/all",
                                    "state/1", "betas/",   "list/99999999999999" };
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_null(grd_value_find(root, missing[i]));
    assert_null(grd_value_find(NULL, "x"));
    grd_arena_free(&a);
}

static void a_value_of_another_kind_gives_the_fallback(void **state)
{
    (void)state;
    const grd_value text = { .kind = GRD_VALUE_TEXT, .text = { "x", 1 } };
    assert_int_equal(grd_value_to_int(&text, 5), 5);
    assert_true(grd_value_to_real(&text, 2.5) == 2.5);
    assert_true(grd_value_to_bool(&text, true));
    assert_null(grd_value_to_text(NULL, NULL));
    assert_null(grd_value_item(&text, 0));
    assert_int_equal(grd_value_count(NULL), 0);
}

static void a_misuse_is_an_error_with_a_sentence(void **state)
{
    (void)state;
    grd_host host;
    grd_arena a;
    grd_host_init(&host, NULL);
    grd_arena_init(&a, &host);
    FAILS(&host, GRD_ERR_ARG, "cannot append to a dict", grd_value_append(&a, grd_value_dict(&a), grd_value_none(&a)));
    FAILS(&host, GRD_ERR_ARG, "in a list", grd_value_set(&a, grd_value_list(&a), "x", grd_value_none(&a)));
    assert_int_equal(grd_value_append(&a, grd_value_list(&a), NULL), GRD_ERR_MEMORY);
    grd_arena_free(&a);
}

static void equality_sees_every_difference(void **state)
{
    (void)state;
    grd_host host;
    grd_arena a;
    grd_host_init(&host, NULL);
    grd_arena_init(&a, &host);
    grd_value *x = sample_tree(&a), *y = sample_tree(&a);
    assert_true(grd_value_equal(x, y));
    float other[24] = { 1.5f, -2, 3e-40f, 1e30f, 0.1f, 0.0f }; /* 0 for -0 */
    grd_value *state_dict = grd_value_get(y, "state_dict"), *weight = grd_value_get(state_dict, "0.weight");
    weight->tensor.data = other;
    assert_false(grd_value_equal(x, y));
    y = sample_tree(&a);
    grd_value_get(y, "state_dict")->dict.ordered = false;
    assert_false(grd_value_equal(x, y));
    y = sample_tree(&a);
    OK(&host, grd_value_append(&a, grd_value_get(y, "list"), grd_value_none(&a)));
    assert_false(grd_value_equal(x, y));
    assert_false(grd_value_equal(x, NULL));
    grd_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dict_keeps_order_and_replaces),
        cmocka_unit_test(a_path_follows_keys_numbers_and_indices),
        cmocka_unit_test(a_value_of_another_kind_gives_the_fallback),
        cmocka_unit_test(a_misuse_is_an_error_with_a_sentence),
        cmocka_unit_test(equality_sees_every_difference),
    };
    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}
