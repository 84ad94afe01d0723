/* What plans promise: gradients, the same bits with and without reuse and fusion within bounds, memory as printed, accumulation,
 * freezing, running statistics, determinism, no allocation while running. */
#include <gradus/nn.h>
#include <gradus/ops.h>
#include <gradus/plan.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct net {
    grd_ctx *ctx;
    grd_graph *g;
    grd_var x, y, logits, loss;
    grd_model *m;
    float *image;
    int32_t *label;
    int n;
} net;

static void fill(net *t, int n, int64_t features, int classes)
{
    grd_key key = { .seed = 7 };
    t->n = n;
    t->image = malloc(sizeof(float) * (size_t)n * (size_t)features);
    t->label = malloc(sizeof(int32_t) * (size_t)n);
    for (int i = 0; i < n; i++) {
        uint32_t w[4];
        for (int64_t k = 0; k < features; k++) {
            grd_random4(&key, (uint64_t)i, (uint64_t)k, w);
            t->image[i * features + k] = (float)(2 * grd_uniform(w[0]) - 1);
        }
        t->label[i] = (int32_t)(w[1] % (uint32_t)classes);
    }
}

/* conv - norm - relu - pool - conv - add - relu - flatten - dropout - linear - relu - linear */
static net convnet(const char *backend, int threads, grd_dtype dtype, const grd_allocator *allocator)
{
    net t = { .ctx = grd_open(&(grd_opts){ .seed = 3, .threads = threads, .backend = backend, .allocator = allocator }) };
    assert_non_null(t.ctx);
    t.g = grd_graph_new(t.ctx);
    t.x = grd_input(t.g, "image", GRD_F32, 4, (int64_t[]){ GRD_VARIES, 3, 12, 12 });
    t.y = grd_input(t.g, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_conv2d(t.x, &(grd_conv2d_opts){ .out = 16, .kernel = 3, .pad = 1, .no_bias = true });
    h = grd_relu(grd_batchnorm(h, NULL));
    h = grd_maxpool2d(h, &(grd_pool2d_opts){ .kernel = 2 });
    grd_var skip = h;
    h = grd_conv2d(h, &(grd_conv2d_opts){ .out = 16, .kernel = 3, .pad = 1 });
    h = grd_relu(grd_add(h, skip));
    h = grd_linear(grd_dropout(grd_flatten(h), 0.25), &(grd_linear_opts){ .as = "hidden", .out = 24 });
    t.logits = grd_linear(grd_relu(h), &(grd_linear_opts){ .as = "head", .out = 5 });
    t.loss = grd_cross_entropy(t.logits, t.y, NULL);
    if (grd_model_new(t.g, &(grd_model_opts){ .dtype = dtype }, &t.m) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    fill(&t, 9, 3 * 12 * 12, 5);
    return t;
}

static void end(net *t)
{
    free(t->image);
    free(t->label);
    grd_close(t->ctx);
}

static grd_plan *plan_of(net *t, int n, bool train, unsigned flags)
{
    grd_shape shape[2] = { { 4, { n, 3, 12, 12 } }, { 1, { n } } };
    grd_compile_opts opts = { .train = train, .loss = t->loss, .backward = train, .flags = flags, .keep = { t->logits }, .n_keep = 1 };
    grd_plan *p;
    if (grd_model_plan(t->m, &opts, shape, &p) != GRD_OK)
        fail_msg("%s", grd_error(t->ctx));
    return p;
}

static double run_plan(net *t, grd_plan *p, int first, bool accumulate)
{
    grd_run run = { .input = { t->image + first * 432, t->label + first }, .row = (uint64_t)first,
                    .accumulate = accumulate, .no_commit = true };
    if (grd_plan_run(p, &run) != GRD_OK)
        fail_msg("%s", grd_error(t->ctx));
    double sum, weight;
    grd_plan_loss(p, &sum, &weight);
    return sum;
}

static float *copy_grads(net *t, int64_t *n)
{
    grd_model_arena(t->m, n);
    float *copy = malloc(sizeof(float) * (size_t)*n);
    memcpy(copy, grd_model_grad_arena(t->m), sizeof(float) * (size_t)*n);
    return copy;
}

static double largest_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        size = fmax(size, fabs((double)b[i]));
    }
    return worst / (size + 1e-12);
}

/* ---- the promises ---- */

static void whole_model_gradients_agree_with_differences(void **state)
{
    (void)state;
    net t = convnet("ref", 1, GRD_F64, NULL);
    double *image = malloc(sizeof(double) * 4 * 432);
    for (int i = 0; i < 4 * 432; i++)
        image[i] = t.image[i];
    grd_shape shape[2] = { { 4, { 4, 3, 12, 12 } }, { 1, { 4 } } };
    grd_gradcheck_result results[32];
    int n;
    grd_run run = { .input = { image, t.label } };
    if (grd_gradcheck_model(t.m, t.loss, shape, &run, 6, results, &n) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    assert_int_equal(n, 9); /* conv w, norm w b, conv w b, hidden w b, head w b */
    for (int i = 0; i < n; i++)
        if (!results[i].pass)
            fail_msg("%s: %g", results[i].name, results[i].max_rel_error);
    free(image);
    end(&t);
}

static void reuse_and_no_reuse_give_the_same_bits(void **state)
{
    (void)state;
    const char *const backend[] = { "ref", "auto" };
    for (int b = 0; b < 2; b++) {
        net t = convnet(backend[b], 2, GRD_F32, NULL);
        int64_t n;
        grd_plan *lean = plan_of(&t, 9, true, 0);
        double loss = run_plan(&t, lean, 0, false);
        float *first = copy_grads(&t, &n);
        grd_plan *wide = plan_of(&t, 9, true, GRD_PLAN_NO_REUSE | GRD_PLAN_NO_INPLACE);
        assert_true(loss == run_plan(&t, wide, 0, false));
        assert_memory_equal(first, grd_model_grad_arena(t.m), sizeof(float) * (size_t)n);
        grd_plan_info a = grd_plan_describe(lean), w = grd_plan_describe(wide);
        assert_true((double)a.arena_bytes < 0.75 * (double)w.arena_bytes);
        assert_int_equal(w.arena_bytes, w.no_reuse_bytes);
        assert_true((double)a.arena_bytes <= 1.1 * (double)a.lower_bound_bytes);
        free(first);
        end(&t);
    }
}

static void fused_equals_unfused(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    int64_t n;
    grd_plan *fused = plan_of(&t, 9, true, 0), *apart = plan_of(&t, 9, true, GRD_PLAN_NO_FUSE);
    assert_int_equal(grd_plan_describe(fused).fused, 3); /* batchnorm_relu, add_relu, linear_act */
    assert_int_equal(grd_plan_describe(apart).fused, 0);
    double a = run_plan(&t, fused, 0, false);
    float *grads = copy_grads(&t, &n);
    double b = run_plan(&t, apart, 0, false);
    assert_true(fabs(a - b) <= 1e-5 * fabs(b));
    assert_true(largest_difference(grads, grd_model_grad_arena(t.m), n) < 1e-4);
    free(grads);
    end(&t);
}

static void every_backend_agrees_with_the_reference(void **state)
{
    (void)state;
    net t = convnet("auto", 2, GRD_F32, NULL);
    grd_plan *p = plan_of(&t, 9, true, GRD_PLAN_CHECK);
    run_plan(&t, p, 0, false);
    const char *where;
    double error = grd_plan_check_error(p, &where);
    if (error > 2e-5)
        fail_msg("%s: %g", where, error);
    end(&t);
}

static void accumulated_gradients_are_those_of_the_whole_batch(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    /* batch norm sees other batches when cut: freeze it, so that it uses its running statistics */
    assert_int_equal(grd_model_freeze(t.m, "1", true), 2);
    int64_t n;
    run_plan(&t, plan_of(&t, 9, true, 0), 0, false);
    float *whole = copy_grads(&t, &n);
    run_plan(&t, plan_of(&t, 5, true, 0), 0, false);
    run_plan(&t, plan_of(&t, 4, true, 0), 5, true); /* dropout keyed by row: the same masks */
    assert_true(largest_difference(grd_model_grad_arena(t.m), whole, n) < 2e-5);
    free(whole);
    end(&t);
}

static void frozen_layers_get_no_gradient_and_keep_their_statistics(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    grd_plan_info before = grd_plan_describe(plan_of(&t, 9, true, 0));
    grd_model_freeze(t.m, "0", true);
    grd_model_freeze(t.m, "1", true);
    grd_plan *p = plan_of(&t, 9, true, 0);
    assert_true(grd_plan_describe(p).steps < before.steps);
    int64_t n;
    float *states = grd_model_state_arena(t.m, &n);
    float mean = states[0];
    grd_run run = { .input = { t.image, t.label } };
    assert_int_equal(grd_plan_run(p, &run), GRD_OK);
    assert_true(states[0] == mean);
    grd_tensor w = grd_model_tensor(t.m, grd_model_find(t.m, "0.weight"));
    for (int64_t i = 0; i < grd_count(&w.shape); i++)
        assert_true(((float *)w.grad)[i] == 0);
    end(&t);
}

static void running_statistics_are_committed_after_the_step(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    grd_plan *p = plan_of(&t, 9, true, 0);
    grd_tensor count = grd_model_tensor(t.m, grd_model_find(t.m, "1.num_batches_tracked"));
    grd_run run = { .input = { t.image, t.label } };
    run.no_commit = true;
    assert_int_equal(grd_plan_run(p, &run), GRD_OK);
    assert_true(*(float *)count.data == 0);
    run.no_commit = false;
    for (int i = 0; i < 3; i++)
        assert_int_equal(grd_plan_run(p, &run), GRD_OK);
    assert_true(*(float *)count.data == 3);
    end(&t);
}

static void thread_counts_change_nothing_on_the_reference(void **state)
{
    (void)state;
    net one = convnet("ref", 1, GRD_F32, NULL), two = convnet("ref", 2, GRD_F32, NULL);
    int64_t n;
    double a = run_plan(&one, plan_of(&one, 9, true, 0), 0, false), b = run_plan(&two, plan_of(&two, 9, true, 0), 0, false);
    assert_true(a == b);
    float *grads = copy_grads(&one, &n);
    assert_memory_equal(grads, grd_model_grad_arena(two.m), sizeof(float) * (size_t)n);
    free(grads);
    end(&one);
    end(&two);
}

typedef struct counter { long calls, live; long fail_at; } counter;

static void *counting_alloc(void *user, size_t bytes)
{
    counter *c = user;
    if (++c->calls == c->fail_at)
        return NULL;
    c->live++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void counting_free(void *user, void *memory)
{
    ((counter *)user)->live--;
    free(memory);
}

static void nothing_is_allocated_while_running(void **state)
{
    (void)state;
    counter c = { 0, 0, 0 };
    grd_allocator allocator = { counting_alloc, counting_free, &c };
    net t = convnet("auto", 2, GRD_F32, &allocator);
    grd_plan *p = plan_of(&t, 9, true, 0);
    run_plan(&t, p, 0, false);
    long before = c.calls;
    for (int i = 0; i < 100; i++)
        run_plan(&t, p, 0, false);
    assert_int_equal(c.calls, before);
    end(&t);
    assert_int_equal(c.live, 0);
}

static void plans_are_found_again_by_shape(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    grd_plan *a = plan_of(&t, 9, true, 0), *b = plan_of(&t, 4, true, 0);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(a, plan_of(&t, 9, true, 0));
    assert_ptr_equal(b, plan_of(&t, 4, true, 0));
    end(&t);
}

static bool build_and_run(const grd_allocator *allocator)
{
    grd_ctx *ctx = grd_open(&(grd_opts){ .seed = 3, .threads = 1, .allocator = allocator });
    if (!ctx)
        return false;
    grd_graph *g = grd_graph_new(ctx);
    bool ok = g != NULL;
    if (ok) {
        grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 6 });
        grd_var y = grd_input(g, "y", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
        grd_var h = grd_relu(grd_linear(x, &(grd_linear_opts){ .out = 40 }));
        grd_var loss = grd_cross_entropy(grd_linear(h, &(grd_linear_opts){ .out = 3 }), y, NULL);
        grd_model *m;
        grd_plan *p;
        grd_shape shape[2] = { { 2, { 8, 6 } }, { 1, { 8 } } };
        static float data[48];
        static int32_t label[8];
        ok = grd_model_new(g, NULL, &m) == GRD_OK &&
             grd_model_plan(m, &(grd_compile_opts){ .train = true, .loss = loss, .backward = true }, shape, &p) == GRD_OK &&
             grd_plan_run(p, &(grd_run){ .input = { data, label } }) == GRD_OK;
    }
    if (!ok)
        assert_true(grd_error_status(ctx) != GRD_OK && *grd_error(ctx));
    grd_close(ctx);
    return ok;
}

static void a_refused_allocation_anywhere_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    counter c = { 0, 0, 0 };
    grd_allocator allocator = { counting_alloc, counting_free, &c };
    assert_true(build_and_run(&allocator));
    long all = c.calls;
    for (long n = 1; n <= all; n++) {
        c = (counter){ 0, 0, n };
        assert_false(build_and_run(&allocator));
        assert_int_equal(c.live, 0);
    }
}

static void nan_is_found_where_it_is_made(void **state)
{
    (void)state;
    net t = convnet("auto", 1, GRD_F32, NULL);
    grd_plan *p = plan_of(&t, 9, true, GRD_PLAN_NAN);
    grd_tensor w = grd_model_tensor(t.m, grd_model_find(t.m, "hidden.weight"));
    ((float *)w.data)[5] = NAN;
    grd_run run = { .input = { t.image, t.label } };
    assert_int_equal(grd_plan_run(p, &run), GRD_ERR_NUMBER);
    assert_non_null(strstr(grd_error(t.ctx), "\"hidden\" forward"));
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_model_gradients_agree_with_differences),
        cmocka_unit_test(reuse_and_no_reuse_give_the_same_bits),
        cmocka_unit_test(fused_equals_unfused),
        cmocka_unit_test(every_backend_agrees_with_the_reference),
        cmocka_unit_test(accumulated_gradients_are_those_of_the_whole_batch),
        cmocka_unit_test(frozen_layers_get_no_gradient_and_keep_their_statistics),
        cmocka_unit_test(running_statistics_are_committed_after_the_step),
        cmocka_unit_test(thread_counts_change_nothing_on_the_reference),
        cmocka_unit_test(nothing_is_allocated_while_running),
        cmocka_unit_test(plans_are_found_again_by_shape),
        cmocka_unit_test(a_refused_allocation_anywhere_is_an_error_and_leaks_nothing),
        cmocka_unit_test(nan_is_found_where_it_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
