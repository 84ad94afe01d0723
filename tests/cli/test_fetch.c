/* gradus data fetch, from folders: what is fetched over HTTP is in tests/data. */
#define _GNU_SOURCE
#include "helper_cli.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HASH_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void an_address_is_fetched_by_its_last_part(void **state)
{
    (void)state;
    assert_int_equal(mkdir("from", 0777), 0);
    write_text("from/abc.txt", "abc");
    expect("data fetch http://host.invalid/a/abc.txt?x=1&y=/z --from from --sha256 " HASH_OF_ABC, 0,
           ">abc.txt: 3 bytes, fetched, verified");
    expect("data fetch http://host.invalid/a/abc.txt --from from --sha256 " HASH_OF_ABC, 0,
           ">abc.txt: 3 bytes, was there, verified");
    expect("data fetch http://host.invalid/abc.txt --from from --dir new/folder", 0,
           ">new/folder/abc.txt: 3 bytes, fetched, no hash is known to compare with: SHA-256 " HASH_OF_ABC);
}

static void a_wrong_hash_is_a_failure_that_names_both(void **state)
{
    (void)state;
    write_text("abc.txt", "abd");
    expect("data fetch http://host.invalid/abc.txt --from . --dir there --sha256 " HASH_OF_ABC, 1,
           "gradus: fetch: ./abc.txt: SHA-256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, "
           "expected " HASH_OF_ABC);
    assert_false(is_there("there/abc.txt"));
}

static void sets_go_where_recipes_look(void **state)
{
    (void)state;
    unsetenv("GRADUS_DATA");
    expect("data fetch iris --from .", 1, "gradus: iris: ./iris.data: cannot open: No such file");
    assert_true(is_there("data/iris"));
    setenv("GRADUS_DATA", "elsewhere", 1);
    expect("data fetch iris --from .", 1, "gradus: iris: ./iris.data: cannot open");
    assert_true(is_there("elsewhere/iris"));
}

static void the_list_names_sets_addresses_and_hashes(void **state)
{
    (void)state;
    expect("data fetch", 0, ">mnist                 11.6 MB  handwritten digits");
    expect("data fetch", 0, ">(no hash is known)");
    result r = gradus("data fetch --json");
    assert_int_equal(r.code, 0);
    json_t *all = json_loads(r.out, 0, NULL), *set = json_array_get(json_object_get(all, "sets"), 0);
    assert_string_equal(json_string_value(json_object_get(set, "name")), "mnist");
    assert_int_equal(json_array_size(json_object_get(set, "files")), 4);
    assert_true(json_array_size(json_object_get(set, "mirrors")) > 1);
    json_decref(all);
}

static void what_was_fetched_is_told_as_json(void **state)
{
    (void)state;
    write_text("abc.txt", "abc");
    result r = gradus("data fetch http://host.invalid/abc.txt --from . --dir there --json --sha256 " HASH_OF_ABC);
    assert_int_equal(r.code, 0);
    json_t *all = json_loads(r.out, 0, NULL), *file = json_array_get(json_object_get(all, "files"), 0);
    assert_string_equal(json_string_value(json_object_get(file, "path")), "there/abc.txt");
    assert_string_equal(json_string_value(json_object_get(file, "sha256")), HASH_OF_ABC);
    assert_int_equal(json_integer_value(json_object_get(file, "bytes")), 3);
    assert_true(json_is_true(json_object_get(file, "verified")));
    json_decref(all);
}

static void wrong_command_lines_are_refused(void **state)
{
    (void)state;
    expect("data fetch minst", 2, "no data set \"minst\" is known; `gradus data fetch` lists those that are");
    expect("data fetch mnist iris", 2, "expected one name or address");
    expect("data fetch mnist --sha256 " HASH_OF_ABC, 2, "--sha256 belongs to an address");
    expect("data fetch http://host.invalid", 2, "expected an address that ends with a file's name");
    expect("data fetch http://host.invalid/folder/", 2, "expected an address that ends with a file's name");
    expect("data fetch http://host.invalid/a --sha256 12", 2, "gradus: fetch: a: SHA-256 \"12\", expected 64 hexadecimal digits");
    expect("data fetch http://host.invalid/.hidden --from .", 2, "expected a name without a folder and without a dot in front");
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_address_is_fetched_by_its_last_part),
        IN_FOLDER(a_wrong_hash_is_a_failure_that_names_both),
        IN_FOLDER(sets_go_where_recipes_look),
        IN_FOLDER(the_list_names_sets_addresses_and_hashes),
        IN_FOLDER(what_was_fetched_is_told_as_json),
        IN_FOLDER(wrong_command_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
