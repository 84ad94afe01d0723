/* Every row, unasked: what the design promises of a row is tried on each of its samples, in double and in float. A new row needs
 * no new test. GRADUS_TEST_SEED=N tries other values; a failure prints its seed. */
#include "helper_rows.h"

#include "base/ctx.h"
#include "op/registry.h"

#include <gradus/plan.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed_given(void)
{
    const char *text = getenv("GRADUS_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 11;
}

static void rows_keep_their_promises(grd_dtype dtype)
{
    grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &exact_memory });
    int broken = 0;
    row_case c = { .host = &ctx->host, .dtype = dtype, .seed = seed_given() };
    for (int i = 0; (c.op = grd_op_at(ctx, i, dtype)); i++) {
        c.wide = dtype == GRD_F32 ? grd_op_at(ctx, i, GRD_F64) : NULL;
        const char *promise = first_broken(&c);
        if (promise) {
            print_error("%s %s, seed %llu: %s: %s\n", c.op->name, grd_dtype_name(dtype), (unsigned long long)c.seed, promise,
                        c.why);
            broken++;
        }
    }
    grd_close(ctx);
    assert_int_equal(broken, 0);
}

static void double_rows_keep_their_promises(void **state)
{
    (void)state;
    rows_keep_their_promises(GRD_F64);
}

static void float_rows_keep_their_promises(void **state)
{
    (void)state;
    rows_keep_their_promises(GRD_F32);
}

static void every_row_is_described_and_has_samples(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    char why[200];
    int n = 0;
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F64)); i++, n++) {
        const grd_op *narrow = grd_op_at(ctx, i, GRD_F32);
        if (grd_op_validate(op, why, sizeof why) != GRD_OK)
            fail_msg("%s", why);
        if (!strchr(op->doc, '=') || !strchr(op->doc, '\n'))
            fail_msg("%s: its doc has no formula", op->name);
        for (const grd_option *o = op->options; o && o->name; o++)
            if (!o->help || !*o->help || o->offset >= op->options_size)
                fail_msg("%s: option %s has no help line, or lies outside of its struct", op->name, o->name);
        assert_ptr_equal(grd_op_find(ctx, op->name, GRD_F64), op);
        assert_string_equal(narrow->name, op->name);
        assert_int_equal(narrow->flags, op->flags);
        assert_int_equal(narrow->n_samples, op->n_samples);
    }
    assert_true(n >= 60);
    grd_close(ctx);
}

static void the_public_gradient_check_passes_all_rows_and_knows_its_names(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    grd_gradcheck_result r;
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F64)); i++) {
        assert_int_equal(grd_gradcheck_op(ctx, op->name, &r), GRD_OK);
        if (!r.pass || !(r.max_rel_error <= GRD_GRADCHECK_BOUND))
            fail_msg("%s: error %g", op->name, r.max_rel_error);
    }
    assert_int_equal(grd_gradcheck_op(ctx, "no_such_op", &r), GRD_ERR_ARG);
    assert_non_null(strstr(grd_error(ctx), "no_such_op"));
    grd_close(ctx);
}

/* An allocator that refuses the n-th request. */
typedef struct refusing { int left; } refusing;

static void *refuse_alloc(void *user, size_t bytes)
{
    refusing *r = user;
    return r->left-- == 0 ? NULL : exact_memory.alloc(NULL, bytes);
}

static void refuse_free(void *user, void *memory)
{
    (void)user;
    exact_memory.free(NULL, memory);
}

static void the_gradient_check_survives_any_refused_allocation(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        refusing r = { .left = 1 << 30 };
        grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &(grd_allocator){ refuse_alloc, refuse_free, &r } });
        grd_gradcheck_result result;
        r.left = n - 1;
        grd_status status = grd_gradcheck_op(ctx, "linear", &result);
        const bool refused = r.left < 0;
        grd_close(ctx);
        assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
        if (!refused)
            break;
    }
}

/* ---- samples of all sorts ---- */

static grd_status parse(grd_ctx *ctx, const char *op, const char *attr, const char *in)
{
    grd_trial t;
    grd_op_sample sample = { attr, in };
    grd_status status = grd_trial_begin(&t, &ctx->host, grd_op_find(ctx, op, GRD_F64), GRD_F64, &sample, 1);
    grd_trial_end(&t);
    return status;
}

static void samples_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    assert_int_equal(parse(ctx, "relu", NULL, "x[2,3]"), GRD_OK);
    assert_int_equal(parse(ctx, "relu", NULL, " x[]:-2..2 "), GRD_OK);
    static const char *const bad[] = { "", "x", "x[", "x[2", "x[2;3]", "x[a]", "x[1,2,3,4,5,6,7]", "x[2]:", "x[2]:1", "x[2]:1..",
                                       "x[2]:..1", "x[2]:2..1",
                                       "x[2]:a..b", "x[2]y[3]", "x[2] y[2]", "x[2]:0..1e300" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(ctx, "relu", NULL, bad[i]) != GRD_ERR_ARG)
            fail_msg("\"%s\" was accepted", bad[i]);
    assert_int_equal(parse(ctx, "relu", NULL, "x[0]"), GRD_ERR_SHAPE);
    assert_int_equal(parse(ctx, "relu", NULL, "x[-3]"), GRD_ERR_SHAPE);
    assert_int_equal(parse(ctx, "relu", NULL, "x[4000000000,4000000000,4000000000]"), GRD_ERR_MEMORY);
    assert_int_equal(parse(ctx, "elu", "alpha=much", "x[2]"), GRD_ERR_CONFIG);
    assert_int_equal(parse(ctx, "elu", "beta=1", "x[2]"), GRD_ERR_CONFIG);
    assert_int_equal(parse(ctx, "linear", NULL, "x[2,3] w[4,3]"), GRD_OK);
    assert_int_equal(parse(ctx, "linear", NULL, "x[2,3]"), GRD_ERR_ARG);
    assert_int_equal(parse(ctx, "linear", NULL, "x[2,3] w[4,5]"), GRD_ERR_SHAPE);
    grd_close(ctx);
}

static void values_of_a_sample_differ_and_miss_zero(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op = grd_op_find(ctx, "add", GRD_F64);
    for (int n = 1; n < 60; n++) {
        char text[64];
        grd_trial t;
        snprintf(text, sizeof text, "a[%d] b[%d]", n, n);
        assert_int_equal(grd_trial_begin(&t, &ctx->host, op, GRD_F64, &(grd_op_sample){ NULL, text }, 7), GRD_OK);
        for (int i = 0; i < 2; i++)
            for (int64_t e = 0; e < n; e++) {
                const double x = grd_trial_get(&t, t.in[i], e);
                assert_true(x > -1 && x < 1 && x != 0 && (double)(float)x == x);
                for (int64_t f = 0; f < n; f++) {
                    assert_true(f == e || x != grd_trial_get(&t, t.in[i], f));
                    assert_true(i == 0 || x != grd_trial_get(&t, t.in[0], f));
                }
            }
        grd_trial_end(&t);
    }
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_described_and_has_samples),
        cmocka_unit_test(samples_that_make_no_sense_are_refused),
        cmocka_unit_test(values_of_a_sample_differ_and_miss_zero),
        cmocka_unit_test(double_rows_keep_their_promises),
        cmocka_unit_test(float_rows_keep_their_promises),
        cmocka_unit_test(the_public_gradient_check_passes_all_rows_and_knows_its_names),
        cmocka_unit_test(the_gradient_check_survives_any_refused_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
