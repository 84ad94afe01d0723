/* `memory: low`: the same bits in every backend, fused or not; a lower peak; running statistics committed once; only cheap steps run
 * again; off unless asked for. */
#define _GNU_SOURCE
#include "plan/plan.h"

#include <gradus/gradus.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 6, SIDE = 12, TOKENS = 16, WORDS = 11, CLASSES = 5 };

/* ---- networks ---- */

static grd_var conv(grd_var x, int64_t out)
{
    return grd_conv2d(x, &(grd_conv2d_opts){ .out = out, .kernel = 3, .pad = 1, .no_bias = true });
}

static grd_var conv_norm_relu(grd_var x, int64_t out) { return grd_relu(grd_batchnorm(conv(x, out), NULL)); }

static grd_var image(grd_graph *g)
{
    return grd_input(g, "x", GRD_F32, 4, (int64_t[]){ GRD_VARIES, 16, SIDE, SIDE });
}

/* All that a picture's network has; two heads of the same values are joined, so that views and sums of gradients occur. */
static grd_var pictures(grd_graph *g)
{
    grd_var a = grd_dropout(conv_norm_relu(image(g), 16), 0.3);
    grd_var b = grd_maxpool2d(a, &(grd_pool2d_opts){ .kernel = 2 });
    grd_var c = grd_avgpool2d(grd_silu(conv(a, 24)), &(grd_pool2d_opts){ .kernel = 2 });
    grd_var h = conv_norm_relu(grd_concat((grd_var[]){ b, c }, 2, NULL), 32);
    h = grd_dropout(grd_flatten(grd_maxpool2d(h, &(grd_pool2d_opts){ .kernel = 2 })), 0.2);
    return grd_add(grd_linear(grd_tanh(grd_linear(h, &(grd_linear_opts){ .out = 40 })), &(grd_linear_opts){ .out = CLASSES }),
                   grd_linear(h, &(grd_linear_opts){ .out = CLASSES }));
}

static grd_var residual(grd_var x)
{
    return grd_relu(grd_add(grd_batchnorm(conv(conv_norm_relu(x, 16), 16), NULL), x));
}

static grd_var residuals(grd_graph *g)
{
    grd_var h = conv_norm_relu(image(g), 16);
    for (int i = 0; i < 4; i++)
        h = residual(h);
    return grd_linear(grd_flatten(grd_maxpool2d(h, &(grd_pool2d_opts){ .kernel = 2 })), &(grd_linear_opts){ .out = CLASSES });
}

static grd_var linear(grd_var x, int64_t out) { return grd_linear(x, &(grd_linear_opts){ .out = out }); }

static grd_var transformer(grd_graph *g)
{
    grd_var x = grd_input(g, "x", GRD_I32, 2, (int64_t[]){ GRD_VARIES, TOKENS });
    grd_var h = grd_embedding(x, &(grd_embedding_opts){ .num = WORDS, .dim = 32 });
    for (int i = 0; i < 4; i++) {
        grd_var a = grd_attention_qkv(linear(grd_layernorm(h, NULL), 96), (grd_var){ 0 },
                                      &(grd_attention_opts){ .heads = 4, .causal = true });
        h = grd_add(h, grd_dropout(linear(a, 32), 0.1));
        h = grd_add(h, linear(grd_gelu(linear(grd_layernorm(h, NULL), 128), NULL), 32));
    }
    return linear(grd_flatten(h), CLASSES);
}

/* Nothing but products with a fused activation: there is nothing to make again. */
static grd_var products(grd_graph *g)
{
    return linear(grd_relu(linear(grd_relu(linear(grd_flatten(image(g)), 64)), 64)), CLASSES);
}

static const struct { const char *name; grd_var (*build)(grd_graph *g); } nets[] = {
    { "pictures", pictures }, { "residuals", residuals }, { "transformer", transformer },
};
enum { N_NETS = sizeof nets / sizeof *nets };

/* ---- one of them, compiled ---- */

typedef struct net {
    grd_ctx *ctx;
    grd_model *m;
    grd_var logits, loss;
    grd_shape shape[2];
    grd_run run;
} net;

static float pixels[N * 16 * SIDE * SIDE];
static int32_t words[N * TOKENS], labels[N];

static void fill(void)
{
    grd_key key = { .seed = 9 };
    uint32_t w[4];
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++) {
        grd_random4(&key, 0, i, w);
        pixels[i] = (float)(2 * grd_uniform(w[0]) - 1);
        words[i % (N * TOKENS)] = (int32_t)(w[1] % WORDS);
        labels[i % N] = (int32_t)(w[2] % CLASSES);
    }
}

static net open_net(grd_var (*build)(grd_graph *), const grd_model_opts *opts, const grd_allocator *allocator)
{
    net t = { .ctx = grd_open(&(grd_opts){ .seed = 5, .threads = 2, .allocator = allocator }) };
    assert_non_null(t.ctx);
    grd_graph *g = grd_graph_new(t.ctx);
    t.logits = build(g);
    grd_var y = grd_input(g, "y", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    t.loss = grd_cross_entropy(t.logits, y, NULL);
    if (grd_model_new(g, opts, &t.m) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    fill();
    bool text = build == transformer;
    t.shape[0] = text ? (grd_shape){ 2, { N, TOKENS } } : (grd_shape){ 4, { N, 16, SIDE, SIDE } };
    t.shape[1] = (grd_shape){ 1, { N } };
    t.run = (grd_run){ .input = { text ? (const void *)words : pixels, labels }, .row = 3 };
    return t;
}

static grd_plan *plan_of(net *t, unsigned flags)
{
    grd_compile_opts opts = { .train = true, .loss = t->loss, .backward = true, .flags = flags, .keep = { t->logits }, .n_keep = 1 };
    grd_plan *p;
    if (grd_model_plan(t->m, &opts, t->shape, &p) != GRD_OK)
        fail_msg("%s", grd_error(t->ctx));
    return p;
}

/* ---- the same bits ---- */

typedef struct bits {
    double loss[2], weight;
    float *grads, *states, logits[N * CLASSES];
    int64_t n_grads, n_states;
} bits;

static float *copy(const void *from, int64_t n)
{
    float *to = malloc(sizeof(float) * (size_t)n + 1);
    memcpy(to, from, sizeof(float) * (size_t)n);
    return to;
}

/* Two steps, statistics committed; the second step's dropout is another than the first's. */
static bits run_net(grd_var (*build)(grd_graph *), const grd_model_opts *opts, unsigned flags, grd_plan_info *info)
{
    net t = open_net(build, opts, NULL);
    grd_plan *p = plan_of(&t, flags);
    bits b;
    for (int i = 0; i < 2; i++) {
        t.run.step = (uint64_t)i;
        if (grd_plan_run(p, &t.run) != GRD_OK)
            fail_msg("%s", grd_error(t.ctx));
        grd_plan_loss(p, &b.loss[i], &b.weight);
    }
    memcpy(b.logits, grd_plan_value(p, t.logits, NULL), sizeof b.logits);
    grd_model_arena(t.m, &b.n_grads);
    b.grads = copy(grd_model_grad_arena(t.m), b.n_grads);
    const void *states = grd_model_state_arena(t.m, &b.n_states);
    b.states = copy(states, b.n_states);
    *info = grd_plan_describe(p);
    grd_close(t.ctx);
    return b;
}

static void free_bits(bits *b)
{
    free(b->grads);
    free(b->states);
}

static void assert_same_bits(const char *what, const bits *a, const bits *b)
{
    if (memcmp(a->loss, b->loss, sizeof a->loss) != 0 || memcmp(a->logits, b->logits, sizeof a->logits) != 0)
        fail_msg("%s: another loss or other logits", what);
    if (memcmp(a->grads, b->grads, sizeof *a->grads * (size_t)a->n_grads) != 0)
        fail_msg("%s: other gradients", what);
    if (memcmp(a->states, b->states, sizeof *a->states * (size_t)a->n_states) != 0)
        fail_msg("%s: other running statistics", what);
}

static void compare_net(int i, const char *backend, const char *no_fuse, unsigned flags)
{
    grd_plan_info plain, low;
    grd_model_opts opts = { .backend = backend, .no_fuse = no_fuse };
    char what[100];
    snprintf(what, sizeof what, "%s, backend %s, not fused: %s", nets[i].name, backend, no_fuse ? no_fuse : "none");
    bits a = run_net(nets[i].build, &opts, flags, &plain);
    opts.low_memory = true;
    bits b = run_net(nets[i].build, &opts, flags, &low);
    if (!low.again)
        fail_msg("%s: nothing was made again", what);
    assert_int_equal(plain.again, 0);
    assert_same_bits(what, &a, &b);
    free_bits(&a);
    free_bits(&b);
}

static void gradients_and_statistics_are_the_same_bits_in_every_backend(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        compare_net(i, "auto", NULL, 0);
        compare_net(i, "auto", "all", 0);
        for (const grd_backend *const *b = grd_backends; *b; b++) {
            compare_net(i, (*b)->name, NULL, 0);
            compare_net(i, (*b)->name, "all", 0);
        }
    }
}

static void neither_reuse_nor_in_place_changes_that(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        compare_net(i, "auto", NULL, GRD_PLAN_NO_REUSE);
        compare_net(i, "auto", NULL, GRD_PLAN_NO_INPLACE);
    }
}

static void the_checking_executor_agrees(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        net t = open_net(nets[i].build, NULL, NULL);
        grd_plan *p = plan_of(&t, GRD_PLAN_LOW_MEMORY | GRD_PLAN_CHECK);
        assert_true(grd_plan_describe(p).again > 0);
        assert_int_equal(grd_plan_run(p, &t.run), GRD_OK);
        const char *where;
        double error = grd_plan_check_error(p, &where);
        if (error > 2e-5)
            fail_msg("%s: %s: %g", nets[i].name, where, error);
        grd_close(t.ctx);
    }
}

/* ---- the peak ---- */

static void the_peak_is_lower_and_near_its_bound(void **state)
{
    (void)state;
    static const double share[N_NETS] = { 0.9, 0.75, 0.8 }; /* of the values' memory without it, at most */
    for (int i = 0; i < N_NETS; i++) {
        net t = open_net(nets[i].build, NULL, NULL);
        grd_plan_info plain = grd_plan_describe(plan_of(&t, 0)), low = grd_plan_describe(plan_of(&t, GRD_PLAN_LOW_MEMORY));
        if ((double)low.arena_bytes > share[i] * (double)plain.arena_bytes)
            fail_msg("%s: %zu bytes instead of %zu", nets[i].name, low.arena_bytes, plain.arena_bytes);
        assert_int_equal(low.plain_arena_bytes, plain.arena_bytes);
        assert_true((double)low.arena_bytes <= 1.1 * (double)low.lower_bound_bytes);
        assert_int_equal(low.steps, plain.steps + low.again);
        assert_true(low.flops == plain.flops + low.again_flops && low.moved_bytes == plain.moved_bytes + low.again_moved_bytes);
        grd_close(t.ctx);
    }
}

static void what_does_not_lower_the_peak_is_not_made_again(void **state)
{
    (void)state;
    net t = open_net(products, NULL, NULL);
    grd_plan_info plain = grd_plan_describe(plan_of(&t, 0)), low = grd_plan_describe(plan_of(&t, GRD_PLAN_LOW_MEMORY));
    assert_int_equal(low.again, 0);
    assert_int_equal(low.steps, plain.steps);
    assert_int_equal(low.arena_bytes, plain.arena_bytes);
    grd_close(t.ctx);
}

static const char *const dear[] = { "conv2d", "conv_transpose2d", "linear", "linear_act", "conv2d_act", "matmul", "attention",
                                    "attention_qkv", "lstm", NULL };

static bool listed(const char *const *list, const char *name)
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list;
}

static void only_cheap_rows_run_again_and_only_in_backward(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_NETS; i++) {
        net t = open_net(nets[i / 2].build, &(grd_model_opts){ .no_fuse = i % 2 ? "all" : NULL }, NULL);
        const grd_ir *ir = &plan_of(&t, GRD_PLAN_LOW_MEMORY)->ir;
        bool backward = false;
        for (int s = 0; s < ir->steps.n; s++) {
            const ir_step *step = &ir->steps.item[s];
            backward = backward || step->kind == IR_BACKWARD || step->again;
            assert_true(step->kind != IR_FORWARD || step->again == backward);
            assert_false(step->again && step->node >= 0 && listed(dear, ir->nodes.item[step->node].op->name));
        }
        grd_close(t.ctx);
    }
}

static void no_product_convolution_or_recurrence_says_it_is_cheap(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    int n = 0;
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F32)); i++) {
        n += (op->flags & GRD_CHEAP) != 0;
        assert_false((op->flags & (GRD_CHEAP | GRD_ELEMENTWISE)) && listed(dear, op->name));
        assert_false((op->flags & GRD_CHEAP) && (op->flags & (GRD_LOSS | GRD_VIEW | GRD_NO_GRAD)));
    }
    assert_true(n > 10);
    grd_close(ctx);
}

static void running_statistics_are_committed_once(void **state)
{
    (void)state;
    net t = open_net(residuals, &(grd_model_opts){ .low_memory = true }, NULL);
    grd_plan *p = plan_of(&t, 0);
    int norms_again = 0;
    for (int s = 0; s < p->ir.steps.n; s++)
        norms_again += p->ir.steps.item[s].again && p->ir.steps.item[s].next_state[0] >= 0;
    assert_true(norms_again > 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(grd_plan_run(p, &t.run), GRD_OK);
    for (int i = 0; i < grd_model_count(t.m); i++) {
        grd_tensor tensor = grd_model_tensor(t.m, i);
        if (tensor.counter)
            assert_true(*(float *)tensor.data == 3);
    }
    grd_close(t.ctx);
}

/* ---- asking for it ---- */

static char *printed(const grd_plan *p)
{
    char *text;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    assert_non_null(memory);
    grd_plan_print(p, memory);
    fclose(memory);
    return text;
}

static void it_is_off_unless_asked_for_and_marked_where_it_is_on(void **state)
{
    (void)state;
    net t = open_net(pictures, NULL, NULL);
    grd_plan *plain = plan_of(&t, 0), *low = plan_of(&t, GRD_PLAN_LOW_MEMORY);
    assert_ptr_not_equal(plain, low);
    assert_int_equal(grd_plan_describe(plain).again, 0);
    char *without = printed(plain), *with = printed(low);
    assert_null(strstr(without, "again"));
    assert_non_null(strstr(with, "  again     "));
    assert_non_null(strstr(with, "memory low: values "));
    free(without);
    free(with);
    grd_close(t.ctx);
}

static void evaluation_has_nothing_to_make_again(void **state)
{
    (void)state;
    net t = open_net(pictures, &(grd_model_opts){ .low_memory = true }, NULL);
    grd_plan *p;
    assert_int_equal(grd_model_plan(t.m, &(grd_compile_opts){ .loss = t.loss }, t.shape, &p), GRD_OK);
    assert_int_equal(grd_plan_describe(p).again, 0);
    assert_int_equal(grd_plan_run(p, &t.run), GRD_OK);
    grd_close(t.ctx);
}

static void plans_are_the_same_in_every_process_and_compile(void **state)
{
    (void)state;
    for (int i = 0; i < N_NETS; i++) {
        char *text[2];
        for (int k = 0; k < 2; k++) {
            net t = open_net(nets[i].build, &(grd_model_opts){ .low_memory = true }, NULL);
            text[k] = printed(plan_of(&t, 0));
            grd_close(t.ctx);
        }
        assert_string_equal(text[0], text[1]);
        free(text[0]);
        free(text[1]);
    }
}

/* ---- memory that is refused ---- */

typedef struct counter { long calls, live, fail_at; } counter;

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

static void a_refused_allocation_anywhere_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    counter c = { 0, 0, 0 };
    grd_allocator allocator = { counting_alloc, counting_free, &c };
    long errors = 0;
    for (long at = 1, refused = 1; refused; at += 3) {
        net t = open_net(pictures, &(grd_model_opts){ .low_memory = true }, &allocator);
        grd_compile_opts opts = { .train = true, .loss = t.loss, .backward = true };
        grd_plan *p;
        c.fail_at = c.calls + at;
        grd_status status = grd_model_plan(t.m, &opts, t.shape, &p);
        refused = c.calls >= c.fail_at;
        c.fail_at = 0;
        errors += status != GRD_OK;
        assert_true(status == GRD_OK || status == GRD_ERR_MEMORY); /* OK: a fusion that had no room was left out */
        grd_close(t.ctx);
        assert_int_equal(c.live, 0);
    }
    assert_true(errors > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_and_statistics_are_the_same_bits_in_every_backend),
        cmocka_unit_test(neither_reuse_nor_in_place_changes_that),
        cmocka_unit_test(the_checking_executor_agrees),
        cmocka_unit_test(the_peak_is_lower_and_near_its_bound),
        cmocka_unit_test(what_does_not_lower_the_peak_is_not_made_again),
        cmocka_unit_test(only_cheap_rows_run_again_and_only_in_backward),
        cmocka_unit_test(no_product_convolution_or_recurrence_says_it_is_cheap),
        cmocka_unit_test(running_statistics_are_committed_once),
        cmocka_unit_test(it_is_off_unless_asked_for_and_marked_where_it_is_on),
        cmocka_unit_test(evaluation_has_nothing_to_make_again),
        cmocka_unit_test(plans_are_the_same_in_every_process_and_compile),
        cmocka_unit_test(a_refused_allocation_anywhere_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
