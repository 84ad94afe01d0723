/* The elementary functions of the vector kernels, through the element-wise ops made of them, against double: over the range where
 * the result is a normal number, at the ends, and for every instruction set of this machine. */
#include "backend/cpu/kernels.h"

#include <gradus/ops.h>

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { N = 200003 }; /* odd: the last ones are no whole vector */

static double of_expm1(double x) { return x > 0 ? x : expm1(x); } /* elu with alpha 1 */
static double of_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double of_gelu(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752440); }

/* Largest errors over lo..hi; a bound of 0: not stated. */
static const struct {
    const char *op;
    double (*exact)(double);
    double lo, hi, absolute, relative;
} claims[] = {
    { "exp", exp, -87, 88.7, 0, 2.4e-7 },
    { "elu", of_expm1, -90, 0, 0, 3e-7 },
    { "elu", of_expm1, -0.01, 0, 0, 3e-7 },
    { "sigmoid", of_sigmoid, -80, 80, 1e-7, 2e-7 },
    { "tanh", tanh, -20, 20, 1e-7, 3e-7 },
    { "tanh", tanh, -0.01, 0.01, 0, 3e-7 },
    { "gelu", of_gelu, -5, 0, 0, 1e-6 },
    { "gelu", of_gelu, -9, 9, 1e-6, 0 },
};

static float x[N], y[N];

static void run(const grd_cpu_table *cpu, const char *op, int64_t n)
{
    const grd_elu_opts elu = { .alpha = 1 };
    const grd_gelu_opts gelu = { 0 };
    cpu->unary(op)->forward(y, x, n, op[0] == 'g' ? (const void *)&gelu : (const void *)&elu);
}

static void errors_are_as_stated(void **state)
{
    (void)state;
    const grd_cpu_table *cpu;
    for (int level = 0; (cpu = grd_cpu_level(level)) && level < 3; level++) {
        for (size_t c = 0; c < sizeof claims / sizeof *claims; c++) {
            double absolute = 0, relative = 0;
            for (int i = 0; i < N; i++)
                x[i] = (float)(claims[c].lo + (claims[c].hi - claims[c].lo) * i / (N - 1));
            run(cpu, claims[c].op, N);
            for (int i = 0; i < N; i++) {
                const double want = claims[c].exact((double)x[i]), off = fabs((double)y[i] - want);
                absolute = fmax(absolute, off);
                relative = want != 0 ? fmax(relative, off / fabs(want)) : relative;
                assert_false(isnan(y[i]));
            }
            if ((claims[c].absolute > 0 && !(absolute <= claims[c].absolute)) ||
                (claims[c].relative > 0 && !(relative <= claims[c].relative)))
                fail_msg("%s, level %d, %g..%g: absolute %.3g, relative %.3g", claims[c].op, level, claims[c].lo, claims[c].hi,
                         absolute, relative);
        }
    }
}

static void ends_are_right(void **state)
{
    (void)state;
    static const struct { const char *op; float x, y; } cases[] = {
        { "exp", INFINITY, INFINITY }, { "exp", 1e30f, INFINITY }, { "exp", 0, 1 },        { "exp", -INFINITY, 0 },
        { "sigmoid", INFINITY, 1 },    { "sigmoid", -INFINITY, 0 }, { "sigmoid", 0, 0.5f }, { "tanh", INFINITY, 1 },
        { "tanh", -INFINITY, -1 },     { "tanh", 0, 0 },            { "tanh", -1e30f, -1 }, { "gelu", 1e30f, 1e30f },
        { "gelu", 0, 0 },              { "gelu", -100, 0 },         { "elu", -INFINITY, -1 },
    };
    static const char *const ops[] = { "exp", "sigmoid", "tanh", "gelu", "elu", "silu", "relu" };
    const grd_cpu_table *cpu;
    for (int level = 0; (cpu = grd_cpu_level(level)) && level < 3; level++) {
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            for (int i = 0; i < 19; i++) /* in a vector and behind it */
                x[i] = cases[c].x;
            run(cpu, cases[c].op, 19);
            for (int i = 0; i < 19; i++)
                if (!(y[i] == cases[c].y))
                    fail_msg("%s, level %d: of %g is %g", cases[c].op, level, (double)x[i], (double)y[i]);
        }
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            for (int i = 0; i < 19; i++)
                x[i] = NAN;
            run(cpu, ops[k], 19);
            for (int i = 0; i < 19; i++)
                assert_true(isnan(y[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_as_stated),
        cmocka_unit_test(ends_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
