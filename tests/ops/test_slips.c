/* The checks of test_rows must be able to fail: rows with one planted slip each turn them red at the same bounds. */
#include "helper_rows.h"

#include "base/ctx.h"

#include <math.h>
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

static void infinite(const grd_args *a)
{
    right->backward(a);
    if (a->din[0])
        gradient(a, 0)[0] = INFINITY;
}

static void wrong_for_a_batch_of_one(const grd_args *a)
{
    right->backward(a);
    for (int64_t e = 0; a->din[0] && a->in_shape->dim[0] == 1 && e < grd_count(&a->in_shape[0]); e++)
        gradient(a, 0)[e] *= 2;
}

static void wrong_without_second_gradient(const grd_args *a)
{
    right->backward(a);
    if (a->din[0] && !a->dout[1])
        gradient(a, 0)[0] += 1;
}

static void wrong_in_evaluation(const grd_args *a)
{
    right->forward(a);
    if (!a->train)
        ((double *)(void *)a->out[0])[0] *= 2;
}

static void first_before_second(const grd_args *a) /* din[0] may lie over dy, which din[1] still needs */
{
    for (int64_t e = 0; a->din[0] && e < grd_count(a->in_shape); e++)
        gradient(a, 0)[e] = 2 * ((const double *)(const void *)a->dout[0])[e];
    for (int64_t e = 0; a->din[1] && e < grd_count(a->in_shape); e++)
        gradient(a, 1)[e] = 2 * ((const double *)(const void *)a->dout[0])[e];
}

static void twice_the_sum(const grd_args *a)
{
    right->forward(a);
    for (int64_t e = 0; e < grd_count(a->out_shape); e++)
        ((double *)(void *)a->out[0])[e] *= 2;
}

static void narrow_and_off(const grd_args *a)
{
    const float *x = a->in[0];
    for (int64_t e = 0; e < grd_count(a->in_shape); e++)
        ((float *)(void *)a->out[0])[e] = x[e] * x[e] * (1 + 3e-5f);
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
SLIP(in_place_that_is_not_is_seen, "prelu", "in place gives the same bits",
     (slip.forward = neighbour, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(element_wise_that_is_not_is_seen, "abs", "element-wise where it says so",
     (slip.forward = neighbour, slip.backward = NULL, slip.flags = (slip.flags & ~(unsigned)GRD_INPLACE) | GRD_NO_GRAD))
SLIP(zero_at_zero_that_is_not_is_seen, "cos", "keeps zeros where it says so", slip.flags |= GRD_ZERO_AT_ZERO)
SLIP(an_unwritten_element_is_seen, "mean", "everything is written",
     (slip.forward = hole, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(a_swallowed_nan_is_seen, "exp", "NaN goes through, infinity does not crash",
     (slip.forward = zero_for_nan, slip.backward = NULL, slip.flags |= GRD_NO_GRAD))
SLIP(a_shape_rule_that_takes_anything_is_seen, "linear", "mutated samples are refused or consistent",
     (slip.shape = anything_goes, slip.forward = right->forward))

SLIP(an_infinite_gradient_is_seen, "tanh", "gradient agrees with differences", slip.backward = infinite)
SLIP(a_slip_for_batches_of_one_is_seen, "silu", "batches of one and odd ones work",
     (slip.backward = wrong_for_a_batch_of_one, slip.n_samples = 1))
SLIP(an_output_that_must_have_a_gradient_is_seen, "lstm", "outputs without gradient are skipped",
     slip.backward = wrong_without_second_gradient)
SLIP(an_identity_that_is_none_is_seen, "dropout", "evaluation needs nothing of training", slip.forward = wrong_in_evaluation)
SLIP(an_infinite_slope_over_padding_is_seen, "sqrt", "keeps zeros where it says so", slip.flags |= GRD_ZERO_AT_ZERO)

static const grd_op_sample equal_shapes[] = { { NULL, "a[3,4] b[3,4]" } };
SLIP(an_order_that_spoils_in_place_is_seen, "add", "in place gives the same bits",
     (slip.forward = twice_the_sum, slip.backward = first_before_second, slip.samples = equal_shapes, slip.n_samples = 1,
      slip.flags &= ~(unsigned)GRD_ZERO_AT_ZERO))

static void a_float_row_that_is_off_is_seen(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_op slip = *grd_op_find(ctx, "square", GRD_F32);
    row_case c = { .host = &ctx->host, .op = &slip, .dtype = GRD_F32, .wide = grd_op_find(ctx, "square", GRD_F64), .seed = 11 };
    assert_null(first_broken(&c));
    slip.forward = narrow_and_off;
    assert_string_equal(first_broken(&c), "float agrees with double");
    grd_close(ctx);
}

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
        cmocka_unit_test(an_infinite_gradient_is_seen), cmocka_unit_test(a_slip_for_batches_of_one_is_seen),
        cmocka_unit_test(an_output_that_must_have_a_gradient_is_seen), cmocka_unit_test(an_identity_that_is_none_is_seen),
        cmocka_unit_test(an_infinite_slope_over_padding_is_seen), cmocka_unit_test(an_order_that_spoils_in_place_is_seen),
        cmocka_unit_test(a_float_row_that_is_off_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
