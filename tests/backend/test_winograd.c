/* Our Winograd convolutions against the reference rows in double, on every instruction set this CPU has, in every direction. */
#define _POSIX_C_SOURCE 200809L
#include "helper_step.h"

#include "backend/cpu/rows.h"
#include "backend/cpu/kernels.h"
#include "base/options.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Largest error relative to the largest value, numbers even in -1..1: what is printed below, with room. The bound that a plan is told
 * (GRD_WINOGRAD_BOUND) is wider still, for values that cancel. */
static const double BOUND = 1e-5;
/* Behind sigmoid and tanh the largest value is 1, of sums that reach 15. */
static const double BOUND_SATURATED = 5e-5;

static const char *const caps[] = { "SSE41", "AVX2", "AVX512_CORE" };

/* Runs `test` on each instruction set. */
static void on_every_level(void (*test)(void))
{
    const char *before = getenv("DNNL_MAX_CPU_ISA");
    char *kept = before ? strdup(before) : NULL;
    for (int level = 0; level < 3 && grd_cpu_level(level); level++) {
        setenv("DNNL_MAX_CPU_ISA", caps[level], 1);
        assert_int_equal(grd_isa_level(), level);
        test();
    }
    if (kept)
        setenv("DNNL_MAX_CPU_ISA", kept, 1);
    else
        unsetenv("DNNL_MAX_CPU_ISA");
    free(kept);
}

typedef struct errors { double forward, dx, dw, db; } errors; /* the largest so far */

static void expect_right(const step_case *c, int threads, double bound, errors *worst)
{
    step_result r = step_run(&grd_backend_cpu, c, threads, 2);
    if (r.refused)
        fail_msg("%s %s %s on %s: refused: %s", c->op, c->attr ? c->attr : "", c->in, grd_isa_name(), r.refused);
    if (!(r.error <= bound))
        fail_msg("%s %s %s, %d threads: %s is off by %g (%s)", c->op, c->attr ? c->attr : "", c->in, threads, r.where, r.error, r.name);
    assert_non_null(strstr(r.name, "winograd"));
    assert_false(r.forward_plain);
    worst->forward = fmax(worst->forward, r.out_error);
    worst->dx = fmax(worst->dx, r.din_error[0]);
    worst->dw = fmax(worst->dw, r.din_error[1]);
    worst->db = fmax(worst->db, r.din_error[2]);
    step_release(&r);
}

static void expect_right_on_threads(const step_case *c, double bound, errors *worst)
{
    for (int threads = 1; threads <= 3; threads += 2)
        expect_right(c, threads, bound, worst);
}

static void print(const errors *worst)
{
    print_message("%s: largest error forward %.1e, dx %.1e, dw %.1e, db %.1e\n", grd_isa_name(), worst->forward, worst->dx, worst->dw,
                  worst->db);
}

/* ---- shapes ---- */

static void all_shapes(void)
{
    errors worst = { 0 };
    static const char *const shape[] = {
        "x[2,16,8,8] w[16,16,3,3]",      "x[1,16,1,1] w[16,16,3,3]",    "x[3,16,4,4] w[32,16,3,3]",     "x[1,32,5,7] w[16,32,3,3]",
        "x[2,48,6,13] w[48,48,3,3]",     "x[2,24,9,10] w[16,24,3,3]",   "x[1,27,11,3] w[43,27,3,3]",    "x[5,32,2,9] w[59,32,3,3]",
        "x[1,96,3,17] w[80,96,3,3]",     "x[7,16,12,20] w[29,16,3,3]",  "x[1,64,21,4] w[64,64,3,3]",    "x[2,150,5,5] w[31,150,3,3]",
        "x[40,32,8,8] w[32,32,3,3]",     "x[1,16,50,41] w[16,16,3,3]",  "x[3,64,28,28] w[32,64,3,3]",
    };
    static const unsigned want[] = { 0, 1, 2, 7 };
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (int k = 0; k < 4; k++) {
            const step_case c = { "conv2d", "pad=1", shape[i], want[k] };
            expect_right_on_threads(&c, BOUND, &worst);
        }
    print(&worst);
}

static void every_shape_agrees_with_double(void **state)
{
    (void)state;
    on_every_level(all_shapes);
}

static void large_sums(void)
{
    static const char *const shape[] = { "x[8,64,32,32] w[64,64,3,3] b[64]", "x[20,128,8,8] w[128,128,3,3] b[128]",
                                         "x[2,512,4,4] w[256,512,3,3] b[256]" };
    errors worst = { 0 };
    for (int i = 0; i < 3; i++) {
        const step_case c = { "conv2d", "pad=1", shape[i], 7 };
        expect_right_on_threads(&c, BOUND, &worst);
    }
    print(&worst);
}

static void large_sums_stay_within_the_bound(void **state)
{
    (void)state;
    on_every_level(large_sums);
}

static void all_pads(void)
{
    errors worst = { 0 };
    static const char *const pad[] = { "pad=0", "pad=1", "pad=2", "pad=[0,2]", "pad=[2,1]" };
    static const char *const shape[] = { "x[2,16,7,9] w[32,16,3,3] b[32]", "x[1,22,3,3] w[16,22,3,3] b[16]",
                                         "x[3,32,16,5] w[22,32,3,3] b[22]" };
    for (int p = 0; p < 5; p++)
        for (int i = 0; i < 3; i++) {
            const step_case c = { "conv2d", pad[p], shape[i], 7 };
            expect_right_on_threads(&c, BOUND, &worst);
        }
}

static void every_pad_agrees_with_double(void **state)
{
    (void)state;
    on_every_level(all_pads);
}

static void all_activations(void)
{
    errors worst = { 0 };
    static const char *const act[] = { "pad=1 act=none", "pad=1 act=relu", "pad=1 act=sigmoid", "pad=1 act=tanh",
                                       "pad=1 act=leaky_relu slope=0.2", "pad=0 act=relu" };
    static const char *const shape[] = { "x[2,16,8,8] w[22,16,3,3] b[22]", "x[3,24,7,10] w[16,24,3,3]",
                                         "x[1,32,6,6] w[27,32,3,3] b[27]" };
    for (int a = 0; a < 6; a++)
        for (int i = 0; i < 3; i++)
            for (unsigned want = 0; want < 8; want++) {
                const step_case c = { "conv2d_act", act[a], shape[i], i == 1 ? want & 3 : want };
                expect_right_on_threads(&c, a == 2 || a == 3 ? BOUND_SATURATED : BOUND, &worst);
            }
}

static void every_activation_and_choice_of_gradients_agrees_with_double(void **state)
{
    (void)state;
    on_every_level(all_activations);
}

/* ---- bits ---- */

static void same(const float *a, const float *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: element %lld differs", grd_isa_name(), what, (long long)i);
}

static void threads_and_bits(void)
{
    const step_case c = { "conv2d_act", "pad=1 act=relu", "x[9,32,15,13] w[48,32,3,3] b[48]", 7 };
    step_result one = step_run(&grd_backend_cpu, &c, 1, 1);
    for (int threads = 2; threads <= 3; threads++) {
        step_result a = step_run(&grd_backend_cpu, &c, threads, 1), b = step_run(&grd_backend_cpu, &c, threads, 3);
        same(one.out, a.out, one.out_count, "y, threads against one");
        same(one.din[0], a.din[0], one.din_count[0], "dx, threads against one");
        for (int i = 0; i < 3; i++)
            same(a.din[i], b.din[i], a.din_count[i], "run again");
        step_release(&a);
        step_release(&b);
    }
    step_release(&one);
}

/* dw and db are sums over all tiles, cut by threads: the same from run to run, but not from one number of threads to another. */
static void threads_change_no_bit_of_y_and_dx_and_no_run_differs(void **state)
{
    (void)state;
    on_every_level(threads_and_bits);
}

/* ---- the rule ---- */

typedef struct asked { const char *op, *attr, *in; } asked;

/* What prepare says to a forward step; NULL: taken. `bound`: what it states. */
static const char *answer(const asked *q, bool exact, double *bound)
{
    grd_ctx *ctx = grd_open(NULL);
    grd_arena arena;
    grd_arena_init(&arena, &ctx->host);
    const grd_op *op = grd_op_find(ctx, q->op, GRD_F32);
    void *attr = grd_arena_alloc(&arena, op->options_size);
    assert_int_equal(grd_options_parse(&ctx->host, &arena, op->options, attr, q->op, q->attr), GRD_OK);
    assert_int_equal(grd_options_resolve(&ctx->host, op->options, op->options_size, q->op, attr, attr), GRD_OK);
    grd_shape in[2] = { { .rank = 4 }, { .rank = 4 } };
    sscanf(q->in, "x[%ld,%ld,%ld,%ld] w[%ld,%ld,%ld,%ld]", &in[0].dim[0], &in[0].dim[1], &in[0].dim[2], &in[0].dim[3], &in[1].dim[0],
           &in[1].dim[1], &in[1].dim[2], &in[1].dim[3]);
    grd_infer f = { .attr = attr, .n_in = 2, .in = in, .train = true };
    assert_int_equal(op->shape(&f), GRD_OK);
    const grd_env env = { .host = &ctx->host, .threads = 1, .exact_conv = exact };
    const grd_node node = { .op = op, .attr = attr, .path = "conv", .n_in = 2, .n_out = 1, .in_shape = in, .out_shape = f.out };
    grd_impl impl = { .backend = &grd_backend_cpu };
    const char *reason = grd_backend_cpu.prepare(&impl, &node, GRD_FORWARD, &env);
    *bound = impl.bound;
    if (!reason)
        grd_backend_cpu.drop(&impl, &ctx->host);
    grd_arena_free(&arena);
    grd_close(ctx);
    return reason;
}

static void refuses_what_is_not_its_own(void)
{
    static const asked no[] = {
        { "conv2d", "pad=2", "x[2,32,8,8] w[32,32,5,5]" },           { "conv2d", "pad=1 stride=2", "x[2,32,8,8] w[32,32,3,3]" },
        { "conv2d", "pad=1 stride=[1,2]", "x[2,32,8,8] w[32,32,3,3]" }, { "conv2d", "pad=2 dilation=2", "x[2,32,8,8] w[32,32,3,3]" },
        { "conv2d", "pad=1 groups=2", "x[2,32,8,8] w[32,16,3,3]" },  { "conv2d", "pad=3", "x[2,32,8,8] w[32,32,3,3]" },
        { "conv2d", "pad=1", "x[2,3,8,8] w[32,3,3,3]" },             { "conv2d_act", "conv.pad=1", "x[2,32,8,8] w[8,32,3,3]" },
    };
    double bound;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        asked q = no[i];
        if (strcmp(q.op, "conv2d_act") == 0)
            q.attr = "pad=1";
        const char *reason = answer(&q, false, &bound);
        if (!reason || strlen(reason) < 20)
            fail_msg("%s %s: %s", q.attr, q.in, reason ? reason : "taken");
    }
}

static void exact_conv_switches_it_off(void)
{
    static const asked q = { "conv2d", "pad=1", "x[8,64,16,16] w[64,64,3,3]" };
    double bound;
    assert_null(answer(&q, false, &bound));
    assert_true(bound == GRD_WINOGRAD_BOUND);
    assert_non_null(answer(&q, true, &bound));
}

static void other_convolutions_are_refused_with_a_sentence(void **state)
{
    (void)state;
    on_every_level(refuses_what_is_not_its_own);
}

static void exact_conv_refuses_winograd(void **state)
{
    (void)state;
    on_every_level(exact_conv_switches_it_off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_agrees_with_double),
        cmocka_unit_test(large_sums_stay_within_the_bound),
        cmocka_unit_test(every_pad_agrees_with_double),
        cmocka_unit_test(every_activation_and_choice_of_gradients_agrees_with_double),
        cmocka_unit_test(threads_change_no_bit_of_y_and_dx_and_no_run_differs),
        cmocka_unit_test(other_convolutions_are_refused_with_a_sentence),
        cmocka_unit_test(exact_conv_refuses_winograd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
