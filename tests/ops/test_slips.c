/* The checks of test_rows must be able to fail: rows with one planted slip each turn them red at the same bounds. */
#include "helper_rows.h"

#include "base/ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const grd_op *original(grd_ctx *ctx, const char *name) { return grd_op_find(ctx, name, GRD_F64); }

/* Kernels with a slip call the right one first. cmocka runs tests one after the other, so one pointer will do. */
static const grd_op *right;

static double *gradient(const grd_args *a, int i) { return (double *)(void *)a->din[i]; }

static void wrong_factor(const grd_args *a)
{
    right->backward(a);
    for (int64_t e = 0; a->din[0] && e < grd_count(&a->in_shape[0]); e++)
        gradient(a, 0)[e] *= 1 + 1e-6;
}

static void one_element_wrong(const grd_args *a)
{
    right->backward(a);
    if (a->din[1])
        gradient(a, 1)[grd_count(&a->in_shape[1]) - 1] += 1e-5;
}

static void adding(const grd_args *a)
{
    double before[64] = { 0 };
    int64_t n = a->din[0] ? grd_count(&a->in_shape[0]) : 0;
    for (int64_t e = 0; e < n && e < 64; e++)
        before[e] = gradient(a, 0)[e] == gradient(a, 0)[e] ? gradient(a, 0)[e] : 0;
    right->backward(a);
    for (int64_t e = 0; e < n && e < 64; e++)
        gradient(a, 0)[e] += before[e];
}

static void ignoring_null(const grd_args *a)
{
    right->backward(a);
    if (a->din[1] && !a->din[0])
        gradient(a, 1)[0] += 0.5;
}

static void mean_for_sum(const grd_args *a)
{
    right->backward(a);
    int64_t rows = a->out_shape->dim[0];
    for (int64_t e = 0; a->din[2] && e < grd_count(&a->in_shape[2]); e++)
        gradient(a, 2)[e] /= (double)rows;
}

static void neighbour(const grd_args *a) /* each output is made from the one before */
{
    const double *x = a->in[0];
    double *y = (double *)(void *)a->out[0];
    for (int64_t e = 0; e < grd_count(a->in_shape); e++)
        y[e] = x[e] + (e ? x[e - 1] : 0);
}

static void hole(const grd_args *a)
{
    double kept = ((double *)(void *)a->out[0])[0];
    right->forward(a);
    ((double *)(void *)a->out[0])[0] = kept;
}

static void zero_for_nan(const grd_args *a)
{
    right->forward(a);
    for (int64_t e = 0; e < grd_count(a->in_shape); e++)
        if (((double *)(void *)a->out[0])[e] != ((double *)(void *)a->out[0])[e])
            ((double *)(void *)a->out[0])[e] = 0;
}

static grd_status anything_goes(grd_infer *f)
{
    f->out[0] = f->in[0];
    f->out[0].dim[f->in[0].rank > 0 ? f->in[0].rank - 1 : 0] = f->in[1].dim[0];
    return GRD_OK;
}

static void expect_broken(grd_ctx *ctx, grd_op slip, const char *promise)
{
    row_case c = { .host = &ctx->host, .op = right, .dtype = GRD_F64, .seed = 11 };
    assert_null(first_broken(&c));
    c.op = &slip;
    const char *broken = first_broken(&c);
    if (!broken)
        fail_msg("%s: the slip against \"%s\" was not noticed", slip.name, promise);
    assert_string_equal(broken, promise);
}

#define SLIP(test, row, promise, change)           \
    static void test(void **state)                 \
    {                                              \
        (void)state;                               \
        grd_ctx *ctx = grd_open(NULL);             \
        right = original(ctx, row);                \
        grd_op slip = *right;                      \
        change;                                    \
        expect_broken(ctx, slip, promise);         \
        grd_close(ctx);                            \
    }

SLIP(a_factor_off_by_a_millionth_is_seen, "tanh", "gradient agrees with differences", slip.backward = wrong_factor)
SLIP(one_wrong_element_is_seen, "linear", "gradient agrees with differences", slip.backward = one_element_wrong)
SLIP(a_mean_for_a_sum_is_seen, "linear", "gradient agrees with differences", slip.backward = mean_for_sum)
SLIP(a_lying_input_flag_is_seen, "square", "backward reads only what the row says", slip.bwd_in = 0)
SLIP(a_lying_output_flag_is_seen, "sigmoid", "backward reads only what the row says", slip.bwd_out = 0)
SLIP(a_lying_save_flag_is_seen, "layernorm", "backward reads only what the row says", slip.flags &= ~(unsigned)GRD_BWD_SAVE)
SLIP(adding_for_writing_is_seen, "relu", "backward writes, and does not add", slip.backward = adding)
SLIP(a_gradient_that_leans_on_another_is_seen, "mul", "unwanted gradients are skipped", slip.backward = ignoring_null)
SLIP(in_place_that_is_not_is_seen, "prelu", "in place gives the same bits", (slip.forward = neighbour, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(element_wise_that_is_not_is_seen, "abs", "element-wise where it says so",
     (slip.forward = neighbour, slip.backward = NULL, slip.flags = (slip.flags & ~(unsigned)GRD_INPLACE) | GRD_NO_GRAD))
SLIP(zero_at_zero_that_is_not_is_seen, "cos", "keeps zeros where it says so", slip.flags |= GRD_ZERO_AT_ZERO)
SLIP(an_unwritten_element_is_seen, "mean", "everything is written", (slip.forward = hole, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(a_swallowed_nan_is_seen, "exp", "NaN goes through, infinity does not crash",
     (slip.forward = zero_for_nan, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(a_shape_rule_that_takes_anything_is_seen, "linear", "mutated samples are refused or consistent",
     (slip.shape = anything_goes, slip.forward = right->forward))

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_factor_off_by_a_millionth_is_seen), cmocka_unit_test(one_wrong_element_is_seen),
        cmocka_unit_test(a_mean_for_a_sum_is_seen), cmocka_unit_test(a_lying_input_flag_is_seen),
        cmocka_unit_test(a_lying_output_flag_is_seen), cmocka_unit_test(a_lying_save_flag_is_seen),
        cmocka_unit_test(adding_for_writing_is_seen), cmocka_unit_test(a_gradient_that_leans_on_another_is_seen),
        cmocka_unit_test(in_place_that_is_not_is_seen), cmocka_unit_test(element_wise_that_is_not_is_seen),
        cmocka_unit_test(zero_at_zero_that_is_not_is_seen), cmocka_unit_test(an_unwritten_element_is_seen),
        cmocka_unit_test(a_swallowed_nan_is_seen), cmocka_unit_test(a_shape_rule_that_takes_anything_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
