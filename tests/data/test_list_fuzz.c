/* The fuzz target of lists and class files with a mutator of our own; the same bytes each time. */
#define GRADUS_FUZZ_TEST
#include "../fuzz/fuzz_file_list.c"
#include "../fuzz/mutate.h"

#include "helper_data.h"

static void mutated_lists_never_do_harm(void **state)
{
    (void)state;
    static const char list[] = "\0# one\na b/c.png 3\nb\t7 4.5\n\nc,1,2,-1e3\r\nd cat 5 6";
    char seed[sizeof list];
    memcpy(seed, list, sizeof list);
    for (int way = 0; way < 48; way++) {
        seed[0] = (char)way;
        run_mutated(fuzz_file_list, seed, sizeof seed - 1, " \t,\n\r#0123456789.-e{}", 300);
    }
}

static void mutated_class_files_never_do_harm(void **state)
{
    (void)state;
    static const char names[] = "@0 void 0 0 0\n1 building 128 0 0\n2 green grass 0 128 0\n";
    run_mutated(fuzz_file_list, names, sizeof names - 1, " \t\n\r#0123456789", 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mutated_lists_never_do_harm),
                                        cmocka_unit_test(mutated_class_files_never_do_harm) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
