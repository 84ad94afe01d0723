/* Products and convolutions by oneDNN against the reference rows in double. */
#include "helper_step.h"

#include "op/fused.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef GRD_HAVE_ONEDNN

static const double BOUND = 1e-5;

static void expect_right(const step_case *c, int threads)
{
    step_result r = step_run(&grd_backend_onednn, c, threads, 2);
    if (r.refused)
        fail_msg("%s %s %s: refused: %s", c->op, c->attr ? c->attr : "", c->in, r.refused);
    if (!(r.error <= BOUND))
        fail_msg("%s %s %s, %d threads: %s is off by %g (%s)", c->op, c->attr ? c->attr : "", c->in, threads, r.where, r.error,
                 r.name);
    step_release(&r);
}

static void expect_all_right(const step_case *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int threads = 1; threads <= 2; threads++)
            expect_right(&list[i], threads);
}

static void linear_agrees_with_double(void **state)
{
    (void)state;
    static const step_case list[] = {
        { "linear", NULL, "x[3,4] w[5,4] b[5]", 7 },          { "linear", NULL, "x[1,1] w[1,1]", 3 },
        { "linear", NULL, "x[128,784] w[256,784] b[256]", 6 }, { "linear", NULL, "x[7,3,33] w[19,33] b[19]", 7 },
        { "linear", NULL, "x[1,200] w[301,200] b[301]", 1 },  { "linear", NULL, "x[64,100] w[10,100] b[10]", 4 },
        { "linear", NULL, "x[100,64] w[130,64] b[130]", 2 },
    };
    expect_all_right(list, sizeof list / sizeof *list);
}

static void linear_act_agrees_with_double(void **state)
{
    (void)state;
    static const step_case list[] = {
        { "linear_act", "act=relu", "x[128,64] w[256,64] b[256]", 7 },
        { "linear_act", "act=relu", "x[5,17] w[23,17]", 3 },
        { "linear_act", "act=sigmoid", "x[33,40] w[50,40] b[50]", 7 },
        { "linear_act", "act=tanh", "x[33,40] w[50,40] b[50]", 7 },
        { "linear_act", "act=leaky_relu slope=0.2", "x[4,3,9] w[70,9] b[70]", 7 },
        { "linear_act", "act=relu", "x[64,100] w[90,100] b[90]", 4 },
        { "linear_act", "act=none", "x[6,5] w[4,5] b[4]", 7 },
    };
    expect_all_right(list, sizeof list / sizeof *list);
}

static void matmul_agrees_with_double(void **state)
{
    (void)state;
    static const step_case list[] = {
        { "matmul", NULL, "a[3,4] b[4,5]", 3 },
        { "matmul", "transpose_a=true", "a[70,33] b[70,41]", 3 },
        { "matmul", "transpose_b=true", "a[6,33,17] b[6,21,17]", 3 },
        { "matmul", "transpose_a=true transpose_b=true", "a[2,3,40,30] b[2,3,50,40]", 3 },
        { "matmul", NULL, "a[2,3,4,5] b[5,2]", 3 },
        { "matmul", "transpose_b=true", "a[4,30,50] b[20,50]", 3 },
        { "matmul", "transpose_a=true", "a[4,50,30] b[50,20]", 0 },
        { "matmul", NULL, "a[3,4] b[2,4,5]", 0 },
        { "matmul", NULL, "a[120,90] b[90,110]", 1 },
    };
    expect_all_right(list, sizeof list / sizeof *list);
}

static void matmul_leaves_broadcast_gradients_alone(void **state)
{
    (void)state;
    step_result r = step_run(&grd_backend_onednn, &(step_case){ "matmul", NULL, "a[3,4] b[2,4,5]", 3 }, 1, 1);
    assert_non_null(r.refused);
    step_release(&r);
    r = step_run(&grd_backend_onednn, &(step_case){ "matmul", NULL, "a[2,1,3,4] b[3,4,2]", 0 }, 1, 1);
    assert_non_null(r.refused);
    step_release(&r);
}

static void conv2d_agrees_with_double(void **state)
{
    (void)state;
    static const step_case list[] = {
        { "conv2d", "pad=1", "x[2,3,12,12] w[16,3,3,3] b[16]", 7 },
        { "conv2d", "pad=1", "x[2,16,9,9] w[32,16,3,3]", 3 },
        { "conv2d", NULL, "x[1,1,28,28] w[6,1,5,5] b[6]", 7 },
        { "conv2d", "stride=2 pad=1", "x[3,17,11,13] w[19,17,3,3] b[19]", 7 },
        { "conv2d", "stride=[2,1] pad=[0,2]", "x[2,16,8,9] w[16,16,3,5] b[16]", 7 },
        { "conv2d", "dilation=2 pad=2", "x[2,16,12,12] w[16,16,3,3] b[16]", 7 },
        { "conv2d", NULL, "x[2,32,7,7] w[48,32,1,1] b[48]", 7 },
        { "conv2d", "groups=2 pad=1", "x[2,32,8,8] w[32,16,3,3] b[32]", 7 },
        { "conv2d", "groups=3", "x[2,6,6,6] w[9,2,3,3] b[9]", 7 },
        { "conv2d", "groups=16 pad=1", "x[2,16,10,10] w[16,1,3,3] b[16]", 7 },
        { "conv2d", "pad=1", "x[2,16,9,9] w[32,16,3,3] b[32]", 1 },
        { "conv2d", "pad=1", "x[2,16,9,9] w[32,16,3,3] b[32]", 2 },
        { "conv2d", "pad=1", "x[2,16,9,9] w[32,16,3,3] b[32]", 4 },
        { "conv2d", "groups=2", "x[1,4,5,5] w[6,2,2,2] b[6]", 5 },
        { "conv2d", NULL, "x[1,5,1,1] w[7,5,1,1] b[7]", 7 },
    };
    expect_all_right(list, sizeof list / sizeof *list);
}

static void conv2d_act_agrees_with_double(void **state)
{
    (void)state;
    static const step_case list[] = {
        { "conv2d_act", "pad=1 act=relu", "x[2,16,8,8] w[16,16,3,3] b[16]", 7 },
        { "conv2d_act", "pad=1 act=sigmoid", "x[2,3,8,8] w[20,3,3,3] b[20]", 7 },
        { "conv2d_act", "act=tanh", "x[2,16,8,8] w[21,16,3,3]", 3 },
        { "conv2d_act", "act=leaky_relu slope=0.3 stride=2", "x[2,5,9,9] w[7,5,3,3] b[7]", 7 },
        { "conv2d_act", "act=relu groups=2", "x[2,32,8,8] w[32,16,3,3] b[32]", 7 },
    };
    expect_all_right(list, sizeof list / sizeof *list);
}

static void convolution_picks_blocked_layouts(void **state)
{
    (void)state;
    step_result r = step_run(&grd_backend_onednn, &(step_case){ "conv2d", "pad=1", "x[2,32,12,12] w[32,32,3,3]", 3 }, 1, 1);
    assert_null(r.refused);
    if (grd_isa_level() > 0)
        assert_false(r.forward_plain);
    step_release(&r);
}

static void two_runs_give_the_same_bits(void **state)
{
    (void)state;
    static const step_case list[] = { { "linear_act", "act=relu", "x[128,300] w[200,300] b[200]", 7 },
                                      { "conv2d", "pad=1", "x[4,32,12,12] w[32,32,3,3] b[32]", 7 } };
    for (int i = 0; i < 2; i++) {
        step_result a = step_run(&grd_backend_onednn, &list[i], 2, 1), b = step_run(&grd_backend_onednn, &list[i], 2, 3);
        assert_memory_equal(a.out, b.out, sizeof(float) * (size_t)a.out_count);
        for (int k = 0; k < 3; k++)
            assert_memory_equal(a.din[k], b.din[k], sizeof(float) * (size_t)a.din_count[k]);
        step_release(&a);
        step_release(&b);
    }
}

/* A network that has diverged must look diverged: a rectifier may not turn NaN into 0. */
static void activations_let_nan_through(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_shape in[] = { { 4, { 1, 16, 6, 6 } }, { 4, { 16, 16, 3, 3 } } }, out = { 4, { 1, 16, 4, 4 } };
    float *buffer[3];
    for (int i = 0; i < 3; i++) {
        buffer[i] = aligned_alloc(64, 1 << 16);
        for (int e = 0; e < (1 << 16) / 4; e++)
            buffer[i][e] = i == 1 ? 1.0f : NAN;
    }
    for (int act = GRD_ACT_RELU; act <= GRD_ACT_LEAKY_RELU; act++) {
        const grd_conv2d_act_opts opts = { { 1, 1, 0, 0, 1, 1, 1 }, act, 0.1 };
        grd_env env = { .host = &ctx->host, .threads = 1 };
        grd_impl impl = { .backend = &grd_backend_onednn, .threads = 1 };
        grd_node node = { .op = grd_op_find(ctx, "conv2d_act", GRD_F32),
                          .attr = &opts,
                          .dtype = GRD_F32,
                          .n_in = 2,
                          .n_out = 1,
                          .in_shape = in,
                          .out_shape = &out };
        assert_null(grd_backend_onednn.prepare(&impl, &node, GRD_FORWARD, &env));
        grd_args args = { .attr = &opts, .n_in = 2, .n_out = 1, .in_shape = in, .out_shape = &out, .in = { buffer[0], buffer[1] },
                          .out = { buffer[2] }, .scratch = malloc(impl.scratch + 64) };
        for (int e = 0; e < 256; e++)
            buffer[2][e] = 0;
        impl.run(&impl, &args);
        for (int e = 0; e < 256; e++)
            assert_true(isnan(buffer[2][e]));
        free(args.scratch);
        grd_backend_onednn.drop(&impl, &ctx->host);
    }
    for (int i = 0; i < 3; i++)
        free(buffer[i]);
    grd_close(ctx);
}

/* ---- reorders ---- */

static grd_layout blocked(const grd_shape *shape, int dim, int size)
{
    grd_layout l;
    memset(&l, 0, sizeof l);
    l.kind = GRD_LAYOUT_BLOCKED;
    l.n_inner = 1;
    l.inner_dim[0] = dim;
    l.inner_size[0] = size;
    int64_t step = size;
    for (int i = shape->rank - 1; i >= 0; i--) {
        l.padded[i] = i == dim ? (shape->dim[i] + size - 1) / size * size : shape->dim[i];
        l.stride[i] = step;
        step *= i == dim ? l.padded[i] / size : l.padded[i];
    }
    l.bytes = (size_t)step * sizeof(float);
    return l;
}

static void reorder_is_the_definition(const grd_layout *from, const grd_layout *to, const grd_shape *shape)
{
    grd_ctx *ctx = grd_open(NULL);
    grd_env env = { .host = &ctx->host, .threads = 1 };
    size_t from_bytes = grd_layout_bytes(from, shape, sizeof(float)), to_bytes = grd_layout_bytes(to, shape, sizeof(float));
    float *plain = malloc(sizeof(float) * (size_t)grd_count(shape)), *src = aligned_alloc(64, from_bytes / 64 * 64 + 64);
    float *dst = aligned_alloc(64, to_bytes / 64 * 64 + 64), *expected = malloc(to_bytes);
    for (int64_t i = 0; i < grd_count(shape); i++)
        plain[i] = (float)i + 0.5f;
    static const grd_layout row_major;
    grd_layout_copy(&row_major, plain, from, src, shape, sizeof(float));
    grd_layout_copy(from, src, to, expected, shape, sizeof(float));
    memset(dst, 0xff, to_bytes);
    grd_node node = {
        .path = "r", .dtype = GRD_F32, .n_in = 1, .n_out = 1, .in_shape = shape, .out_shape = shape, .from = from, .to = to
    };
    grd_impl impl = { .backend = &grd_backend_onednn, .run = grd_backend_onednn.run, .threads = 1 };
    const char *refused = grd_backend_onednn.prepare(&impl, &node, GRD_REORDER, &env);
    if (refused)
        fail_msg("refused: %s", refused);
    void *scratch = aligned_alloc(64, impl.scratch / 64 * 64 + 64);
    grd_args args = {
        .n_in = 1, .n_out = 1, .in_shape = shape, .out_shape = shape, .in = { src }, .out = { dst }, .scratch = scratch
    };
    impl.run(&impl, &args);
    assert_memory_equal(dst, expected, to_bytes);
    grd_backend_onednn.drop(&impl, &ctx->host);
    free(plain);
    free(src);
    free(dst);
    free(expected);
    free(scratch);
    grd_close(ctx);
}

static void reorders_agree_with_their_definition(void **state)
{
    (void)state;
    static const grd_layout plain;
    const grd_shape shapes[] = { { 4, { 2, 16, 5, 3 } }, { 4, { 3, 21, 4, 4 } }, { 4, { 1, 3, 7, 9 } } };
    for (int i = 0; i < 3; i++)
        for (int size = 8; size <= 16; size *= 2) {
            grd_layout b = blocked(&shapes[i], 1, size);
            reorder_is_the_definition(&plain, &b, &shapes[i]);
            reorder_is_the_definition(&b, &plain, &shapes[i]);
        }
}

static void unknown_layouts_are_refused(void **state)
{
    (void)state;
    static const grd_layout plain;
    grd_shape shape = { 4, { 2, 16, 5, 3 } };
    grd_layout odd = blocked(&shape, 1, 7), secret = { .kind = GRD_LAYOUT_OPAQUE, .bytes = 4096 };
    grd_ctx *ctx = grd_open(NULL);
    grd_env env = { .host = &ctx->host, .threads = 1 };
    const grd_layout *list[] = { &odd, &secret };
    for (int i = 0; i < 2; i++) {
        grd_impl impl = { 0 };
        grd_node node = { .path = "r",
                          .dtype = GRD_F32,
                          .n_in = 1,
                          .n_out = 1,
                          .in_shape = &shape,
                          .out_shape = &shape,
                          .from = list[i],
                          .to = &plain };
        assert_non_null(grd_backend_onednn.prepare(&impl, &node, GRD_REORDER, &env));
        assert_null(impl.state);
    }
    grd_close(ctx);
}

static void double_and_other_ops_are_refused(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_env env = { .host = &ctx->host, .threads = 1 };
    grd_impl impl = { 0 };
    grd_node node = { .op = grd_op_find(ctx, "linear", GRD_F64), .dtype = GRD_F64 };
    assert_string_equal(grd_backend_onednn.prepare(&impl, &node, GRD_FORWARD, &env), "float only");
    node = (grd_node){ .op = grd_op_find(ctx, "exp", GRD_F32), .dtype = GRD_F32 };
    assert_non_null(grd_backend_onednn.prepare(&impl, &node, GRD_FORWARD, &env));
    grd_close(ctx);
}

/* ---- no memory ---- */

typedef struct meter { int left, live; } meter;

static void *meter_alloc(void *user, size_t bytes)
{
    meter *m = user;
    if (m->left-- == 0)
        return NULL;
    m->live++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void meter_free(void *user, void *memory)
{
    ((meter *)user)->live--;
    free(memory);
}

static void a_refused_allocation_is_said_and_leaks_nothing(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_shape in[] = { { 4, { 2, 16, 5, 5 } }, { 4, { 16, 16, 3, 3 } } }, out = { 4, { 2, 16, 3, 3 } };
    const grd_f_conv2d_opts opts = { 1, 1, 0, 0, 1, 1, 1 };
    for (int fail = 0; fail < 2; fail++) {
        meter m = { fail, 0 };
        grd_host host;
        grd_host_init(&host, &(grd_allocator){ meter_alloc, meter_free, &m });
        grd_env env = { .host = &host, .threads = 1 };
        grd_impl impl = { .backend = &grd_backend_onednn };
        grd_node node = { .op = grd_op_find(ctx, "conv2d", GRD_F32),
                          .attr = &opts,
                          .dtype = GRD_F32,
                          .n_in = 2,
                          .n_out = 1,
                          .in_shape = in,
                          .out_shape = &out };
        const char *refused = grd_backend_onednn.prepare(&impl, &node, GRD_FORWARD, &env);
        assert_int_equal(refused != NULL, fail == 0);
        if (!refused)
            grd_backend_onednn.drop(&impl, &host);
        else
            assert_int_equal(host.err.status, GRD_ERR_MEMORY);
        assert_int_equal(m.live, 0);
    }
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_agrees_with_double),
        cmocka_unit_test(linear_act_agrees_with_double),
        cmocka_unit_test(matmul_agrees_with_double),
        cmocka_unit_test(matmul_leaves_broadcast_gradients_alone),
        cmocka_unit_test(conv2d_agrees_with_double),
        cmocka_unit_test(conv2d_act_agrees_with_double),
        cmocka_unit_test(convolution_picks_blocked_layouts),
        cmocka_unit_test(two_runs_give_the_same_bits),
        cmocka_unit_test(activations_let_nan_through),
        cmocka_unit_test(reorders_agree_with_their_definition),
        cmocka_unit_test(unknown_layouts_are_refused),
        cmocka_unit_test(double_and_other_ops_are_refused),
        cmocka_unit_test(a_refused_allocation_is_said_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("built without oneDNN: nothing to test");
    return 77;
}

#endif
