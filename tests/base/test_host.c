/* Memory as the context hands it out. */
#include "base/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void blocks_of_any_size_are_aligned_and_cleared(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    static const size_t of[] = { 0, 1, 63, 65, 4095, 1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (6 << 20) + 4097 };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        unsigned char *memory = grd_alloc(&host, of[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t k = 0; k < of[i]; k++)
            if (memory[k] != 0)
                fail_msg("byte %zu of %zu is not cleared", k, of[i]);
        memset(memory, 0xff, of[i]);
        grd_free(&host, memory);
    }
}

static void large_blocks_begin_at_a_huge_page(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    void *memory = grd_alloc_raw(&host, (4 << 20) + 1);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % (2 << 20), 0);
    grd_free(&host, memory);
}

static void sizes_that_no_memory_has_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const size_t of[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 63, SIZE_MAX - (2 << 20), SIZE_MAX / 2 };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        grd_host host;
        grd_host_init(&host, NULL);
        assert_null(grd_alloc_raw(&host, of[i]));
        assert_int_equal(host.err.status, GRD_ERR_MEMORY);
        assert_non_null(strstr(host.err.text, "out of memory: "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_any_size_are_aligned_and_cleared),
        cmocka_unit_test(large_blocks_begin_at_a_huge_page),
        cmocka_unit_test(sizes_that_no_memory_has_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
