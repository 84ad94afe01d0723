/* Every row, unasked: what the design promises of a row is tried on each of its samples, in double and in float; then float and every backend
 * against double. A new row needs no new test. */
#include "helper_rows.h"

#include "backend/backend.h"
#include "base/ctx.h"
#include "op/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void rows_keep_their_promises(grd_dtype dtype)
{
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    int broken = 0;
    char why[400];
    for (int i = 0; (op = grd_op_at(ctx, i, dtype)); i++) {
        const char *promise = first_broken(&ctx->host, op, dtype, why, sizeof why);
        if (promise) {
            print_error("%s %s: %s: %s\n", op->name, grd_dtype_name(dtype), promise, why);
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
        if (grd_op_validate(op, why, sizeof why) != GRD_OK)
            fail_msg("%s", why);
        if (!strchr(op->doc, '='))
            fail_msg("%s: its doc has no formula", op->name);
        assert_ptr_equal(grd_op_find(ctx, op->name, GRD_F64), op);
        assert_string_equal(grd_op_at(ctx, i, GRD_F32)->name, op->name);
    }
    assert_true(n >= 60);
    grd_close(ctx);
}

/* ---- float kernels of all backends against the double row ---- */

typedef struct comparison { grd_host *host; const grd_op *op; const grd_backend *backend; grd_trial f, d; double worst; int run; } comparison;

static const grd_layout plain;

/* A copy of `memory` in another layout, or from it. */
static void *in_layout(comparison *c, const grd_layout *from, const grd_layout *to, const void *memory, const grd_shape *shape)
{
    void *copy = grd_arena_alloc(&c->f.arena, grd_layout_bytes(to, shape, sizeof(float)) + 64);
    grd_layout_copy(from, memory, to, copy, shape, sizeof(float));
    return copy;
}

static const void *as_wanted(comparison *c, const grd_layout *want, const void *memory, const grd_shape *shape)
{
    return want->kind == GRD_LAYOUT_PLAIN || !memory ? memory : in_layout(c, &plain, want, memory, shape);
}

static void judge(comparison *c, const grd_layout *layout, const void *got, const void *wanted, const grd_shape *shape)
{
    if (layout->kind != GRD_LAYOUT_PLAIN)
        got = in_layout(c, layout, &plain, got, shape);
    double error = relative_error(&c->f, got, &c->d, wanted, grd_count(shape));
    c->worst = error > c->worst ? error : c->worst;
}

static bool prepare(comparison *c, grd_impl *impl, grd_pass pass, const grd_impl *forward, int threads)
{
    static const grd_layout none[GRD_MAX_IN];
    grd_env env = { c->host, threads };
    grd_node node = { .op = c->op, .attr = c->f.attr, .path = "sample", .dtype = GRD_F32, .train = true, .n_in = c->f.n_in, .n_out = c->op->n_out,
                      .in_shape = c->f.in_shape, .out_shape = c->f.infer.out, .in_layout = none, .out_layout = none, .dout_layout = none,
                      .forward = forward };
    for (int i = 0; i < c->f.n_in; i++)
        node.want_din |= c->f.args.din[i] ? 1u << i : 0;
    for (int k = 0; k < c->op->n_out; k++)
        node.have_dout |= c->f.args.dout[k] ? 1u << k : 0;
    memset(impl, 0, sizeof *impl);
    impl->backend = c->backend;
    impl->run = c->backend->run;
    impl->threads = threads;
    impl->save = c->f.infer.save;
    impl->scratch = pass == GRD_FORWARD ? c->f.infer.scratch : c->f.infer.scratch_back;
    return c->backend->prepare(impl, &node, pass, &env) == NULL;
}

static void compare_forward(comparison *c, grd_impl *impl)
{
    grd_args args = c->f.args;
    for (int i = 0; i < c->f.n_in; i++)
        args.in[i] = as_wanted(c, &impl->in[i], args.in[i], &c->f.in_shape[i]);
    for (int k = 0; k < c->op->n_out; k++)
        args.out[k] = grd_arena_alloc(&c->f.arena, grd_layout_bytes(&impl->out[k], &c->f.infer.out[k], sizeof(float)) + 64);
    args.scratch = grd_arena_alloc(&c->f.arena, impl->scratch + 64);
    args.save = grd_arena_alloc(&c->f.arena, impl->save + 64);
    impl->run(impl, &args);
    for (int k = 0; k < c->op->n_out; k++)
        judge(c, &impl->out[k], args.out[k], c->d.args.out[k], &c->f.infer.out[k]);
    if (!impl->private_save)
        memcpy(c->f.args.save, args.save, c->f.infer.save);
}

static void compare_backward(comparison *c, grd_impl *impl)
{
    grd_args args = c->f.args;
    for (int i = 0; i < c->f.n_in; i++) {
        args.in[i] = as_wanted(c, &impl->in[i], args.in[i], &c->f.in_shape[i]);
        if (args.din[i])
            args.din[i] = grd_arena_alloc(&c->f.arena, grd_layout_bytes(&impl->din[i], &c->f.in_shape[i], sizeof(float)) + 64);
    }
    for (int k = 0; k < c->op->n_out; k++) {
        args.out[k] = (void *)(uintptr_t)as_wanted(c, &impl->out[k], args.out[k], &c->f.infer.out[k]);
        args.dout[k] = as_wanted(c, &impl->dout[k], args.dout[k], &c->f.infer.out[k]);
    }
    args.scratch = grd_arena_alloc(&c->f.arena, impl->scratch + 64);
    impl->run(impl, &args);
    for (int i = 0; i < c->f.n_in; i++)
        if (args.din[i])
            judge(c, &impl->din[i], args.din[i], c->d.args.din[i], &c->f.in_shape[i]);
}

static void compare_sample(comparison *c, const grd_op_sample *sample, const grd_op *wide, int threads)
{
    assert_int_equal(grd_trial_begin(&c->f, c->host, c->op, GRD_F32, sample, 11, 0), GRD_OK);
    assert_int_equal(grd_trial_begin(&c->d, c->host, wide, GRD_F64, sample, 11, 0), GRD_OK);
    for (int i = 0; i < c->f.n_in; i++) /* the double row sees the numbers that the float one sees */
        for (int64_t e = 0; grd_trial_kind(&c->f, i) != GRD_KIND_INDEX && e < grd_count(&c->f.in_shape[i]); e++)
            grd_trial_set(&c->d, c->d.in[i], e, grd_trial_get(&c->f, c->f.in[i], e));
    wide->forward(&c->d.args);
    if (wide->backward)
        wide->backward(&c->d.args);
    c->op->forward(&c->f.args); /* outputs and save for backward */
    grd_impl forward, backward;
    bool runs = prepare(c, &forward, GRD_FORWARD, NULL, threads);
    if (runs) {
        compare_forward(c, &forward);
        c->run++;
    }
    if (c->op->backward && prepare(c, &backward, GRD_BACKWARD, runs ? &forward : NULL, threads)) {
        compare_backward(c, &backward);
        c->run++;
        c->backend->drop(&backward, c->host);
    }
    if (runs)
        c->backend->drop(&forward, c->host);
    grd_trial_end(&c->f);
    grd_trial_end(&c->d);
}

static void every_backend_stays_within_the_stated_bound(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    int beyond = 0;
    for (const grd_backend *const *b = grd_backends; *b; b++) {
        int run = 0;
        const grd_op *op;
        for (int i = 0; (op = grd_op_at(ctx, i, GRD_F32)); i++) {
            comparison c = { .host = &ctx->host, .op = op, .backend = *b };
            for (int s = 0; s < op->n_samples; s++)
                for (int threads = 1; threads <= 2; threads++)
                    compare_sample(&c, &op->samples[s], grd_op_at(ctx, i, GRD_F64), threads);
            run += c.run;
            if (c.worst > row_bound(op)) {
                print_error("%s on %s: error %.3g, bound %.3g\n", op->name, (*b)->name, c.worst, row_bound(op));
                beyond++;
            }
        }
        print_message("%s ran %d passes\n", (*b)->name, run);
        assert_true(run > 0);
    }
    grd_close(ctx);
    assert_int_equal(beyond, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_described_and_has_samples),
        cmocka_unit_test(double_rows_keep_their_promises),
        cmocka_unit_test(float_rows_keep_their_promises),
        cmocka_unit_test(every_backend_stays_within_the_stated_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
