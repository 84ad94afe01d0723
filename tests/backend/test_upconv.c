/* conv_transpose2d 2x2 at stride 2 by our own kernels, for every instruction set this CPU has, against the reference row in double. */
#define _GNU_SOURCE
#include "helper_step.h"

#include "backend/cpu/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double BOUND = 4e-6; /* largest seen: 1.5e-6 */

/* Widths that leave 0, 1 and more of a strip, an odd number of blocks for 8 and for 16 lanes, no bias, each gradient alone. */
static const step_case cases[] = {
    { "conv_transpose2d", "stride=2", "x[2,48,3,13] w[48,16,2,2] b[16]", 7 },
    { "conv_transpose2d", "stride=2", "x[1,16,5,1] w[16,48,2,2]", 3 },
    { "conv_transpose2d", "stride=2", "x[3,32,4,23] w[32,32,2,2] b[32]", 7 },
    { "conv_transpose2d", "stride=2", "x[2,128,30,30] w[128,64,2,2] b[64]", 7 },
    { "conv_transpose2d", "stride=2", "x[2,32,7,12] w[32,16,2,2] b[16]", 1 },
    { "conv_transpose2d", "stride=2", "x[2,32,7,12] w[32,16,2,2] b[16]", 2 },
    { "conv_transpose2d", "stride=2", "x[2,32,7,12] w[32,16,2,2] b[16]", 4 },
};

static void it_agrees_with_double_on_every_instruction_set(void **state)
{
    (void)state;
    static const char *const cap[] = { "SSE41", "AVX2", "AVX512_CORE" };
    for (int level = 0; level < 3; level++) {
        if (!grd_cpu_level(level))
            continue;
        setenv("DNNL_MAX_CPU_ISA", cap[level], 1);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int threads = 1; threads <= 2; threads++) {
                step_result r = step_run(&grd_backend_cpu, &cases[i], threads, 2);
                if (r.refused)
                    fail_msg("%s: refused: %s", cases[i].in, r.refused);
                if (!(r.error <= BOUND))
                    fail_msg("%s, %s, %d threads: %s is off by %g", cases[i].in, r.name, threads, r.where, r.error);
                step_release(&r);
            }
    }
    unsetenv("DNNL_MAX_CPU_ISA");
}

static void two_runs_give_the_same_bits(void **state)
{
    (void)state;
    step_result a = step_run(&grd_backend_cpu, &cases[0], 2, 1), b = step_run(&grd_backend_cpu, &cases[0], 2, 3);
    assert_memory_equal(a.out, b.out, sizeof(float) * (size_t)a.out_count);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(a.din[i], b.din[i], sizeof(float) * (size_t)a.din_count[i]);
    step_release(&a);
    step_release(&b);
}

static void others_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct { step_case c; const char *why; } refused[] = {
        { { "conv_transpose2d", "stride=2", "x[1,16,4,4] w[16,16,3,3]", 3 }, "2x2" },
        { { "conv_transpose2d", "stride=[2,1]", "x[1,16,4,4] w[16,16,2,2]", 3 }, "2x2" },
        { { "conv_transpose2d", "stride=2 pad=1", "x[1,16,4,4] w[16,16,2,2]", 3 }, "padded" },
        { { "conv_transpose2d", "stride=2 output_pad=1", "x[1,16,4,4] w[16,16,2,2]", 3 }, "padded" },
        { { "conv_transpose2d", "stride=2 groups=2", "x[1,16,4,4] w[16,8,2,2]", 3 }, "groups" },
        { { "conv_transpose2d", "stride=2", "x[1,16,4,4] w[16,20,2,2]", 3 }, "fill" },
        { { "conv_transpose2d", "stride=2", "x[1,3,4,4] w[3,16,2,2]", 3 }, "fill" },
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        step_result r = step_run(&grd_backend_cpu, &refused[i].c, 1, 1);
        assert_non_null(r.refused);
        assert_non_null(strstr(r.refused, refused[i].why));
        step_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_double_on_every_instruction_set),
        cmocka_unit_test(two_runs_give_the_same_bits),
        cmocka_unit_test(others_are_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
