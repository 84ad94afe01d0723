/* Models over sequences: embedding, positions, attention and recurrence in one graph. */
#include <gradus/gradus.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 3, T = 6, V = 7, D = 8 };

typedef struct net {
    grd_ctx *ctx;
    grd_graph *g;
    grd_model *m;
    grd_var loss;
    int32_t text[N * T], label[N * T], lengths[N];
    grd_shape shape[3];
} net;

/* Tokens, their successors as labels, lengths 6, 3 and 1. */
static void begin(net *t)
{
    memset(t, 0, sizeof *t);
    t->ctx = grd_open(&(grd_opts){ .seed = 3 });
    t->g = grd_graph_new(t->ctx);
    for (int i = 0; i < N * T; i++)
        t->text[i] = (i * i + 3) % V;
    for (int i = 0; i < N * T; i++)
        t->label[i] = t->text[(i + 1) % (N * T)];
    t->lengths[0] = T;
    t->lengths[1] = 3;
    t->lengths[2] = 1;
}

static grd_var tokens(net *t) { return grd_input(t->g, "text", GRD_I32, 2, (int64_t[]){ GRD_VARIES, T }); }
static grd_var labels(net *t) { return grd_input(t->g, "label", GRD_I32, 2, (int64_t[]){ GRD_VARIES, T }); }
static grd_var lengths(net *t) { return grd_input(t->g, "lengths", GRD_I32, 1, (int64_t[]){ GRD_VARIES }); }

static void finish(net *t, grd_dtype dtype)
{
    if (grd_model_new(t->g, &(grd_model_opts){ .dtype = dtype, .threads = 2 }, &t->m) != GRD_OK)
        fail_msg("%s", grd_error(t->ctx));
    t->shape[0] = t->shape[1] = (grd_shape){ 2, { N, T } };
    t->shape[2] = (grd_shape){ 1, { N } };
}

static grd_run bound(const net *t) { return (grd_run){ .input = { t->text, t->label, t->lengths } }; }

/* A block of a transformer, then a score per class at each step. */
static void transformer(net *t, grd_dtype dtype)
{
    begin(t);
    grd_var x = tokens(t), y = labels(t), n = lengths(t);
    x = grd_embedding(x, &(grd_embedding_opts){ .as = "e", .num = V, .dim = D });
    x = grd_positions(x, &(grd_positions_opts){ .as = "p" });
    x = grd_add(x, grd_self_attention(grd_layernorm(x, &(grd_layernorm_opts){ .as = "n1" }), n,
                                      &(grd_self_attention_opts){ .as = "attn", .heads = 2, .causal = true }));
    grd_var h = grd_linear(grd_layernorm(x, &(grd_layernorm_opts){ .as = "n2" }), &(grd_linear_opts){ .as = "f1", .out = 12 });
    x = grd_add(x, grd_linear(grd_gelu(h, NULL), &(grd_linear_opts){ .as = "f2", .out = D }));
    x = grd_linear(x, &(grd_linear_opts){ .as = "head", .out = V });
    t->loss = grd_cross_entropy(x, y, &(grd_cross_entropy_opts){ .axis = -1 });
    finish(t, dtype);
}

/* Two layers, the last valid step, one class for each row: the first label. */
static void recurrent(net *t, grd_dtype dtype)
{
    begin(t);
    grd_var x = tokens(t), y = labels(t), n = lengths(t);
    x = grd_embedding(x, &(grd_embedding_opts){ .as = "e", .num = V, .dim = D });
    x = grd_lstm(x, n, &(grd_lstm_opts){ .as = "lstm", .hidden = 5, .layers = 2, .output = GRD_LSTM_LAST });
    x = grd_linear(x, &(grd_linear_opts){ .as = "head", .out = V * T });
    x = grd_reshape(x, &(grd_reshape_opts){ .shape = { 2, { V, T } } });
    t->loss = grd_cross_entropy(x, y, NULL);
    finish(t, dtype);
}

/* The same of gates r z n, without biases. */
static void gated(net *t, grd_dtype dtype)
{
    begin(t);
    grd_var x = tokens(t), y = labels(t), n = lengths(t);
    x = grd_embedding(x, &(grd_embedding_opts){ .as = "e", .num = V, .dim = D });
    x = grd_gru(x, GRD_NONE, &(grd_gru_opts){ .as = "first", .hidden = 4 });
    x = grd_gru(x, n, &(grd_gru_opts){ .as = "gru", .hidden = 5, .layers = 2, .no_bias = true, .output = GRD_GRU_LAST });
    x = grd_linear(x, &(grd_linear_opts){ .as = "head", .out = V * T });
    x = grd_reshape(x, &(grd_reshape_opts){ .shape = { 2, { V, T } } });
    t->loss = grd_cross_entropy(x, y, NULL);
    finish(t, dtype);
}

static void gradients_agree(void (*build)(net *, grd_dtype))
{
    net t;
    grd_gradcheck_result result[32];
    int n;
    build(&t, GRD_F64);
    const grd_run run = bound(&t);
    if (grd_gradcheck_model(t.m, t.loss, t.shape, &run, 100, result, &n) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    assert_true(n > 8);
    for (int i = 0; i < n; i++)
        if (!result[i].pass)
            fail_msg("%s: %g", result[i].name, result[i].max_rel_error);
    grd_close(t.ctx);
}

static void gradients_of_a_transformer_agree_with_differences(void **state)
{
    (void)state;
    gradients_agree(transformer);
}

static void gradients_of_a_recurrent_net_agree_with_differences(void **state)
{
    (void)state;
    gradients_agree(recurrent);
    gradients_agree(gated);
}

/* Reference beside backend, each step. */
static void backends_agree(void (*build)(net *, grd_dtype))
{
    net t;
    grd_plan *plan;
    const char *worst = "";
    build(&t, GRD_F32);
    const grd_run run = bound(&t);
    const grd_compile_opts opts = { .train = true, .loss = t.loss, .backward = true, .flags = GRD_PLAN_CHECK };
    if (grd_model_plan(t.m, &opts, t.shape, &plan) != GRD_OK || grd_plan_run(plan, &run) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    if (!(grd_plan_check_error(plan, &worst) <= 1e-5))
        fail_msg("%s: %g", worst, grd_plan_check_error(plan, &worst));
    grd_close(t.ctx);
}

static void every_step_agrees_with_the_reference(void **state)
{
    (void)state;
    backends_agree(transformer);
    backends_agree(recurrent);
    backends_agree(gated);
}

static void parameters_are_named_as_in_pytorch(void **state)
{
    (void)state;
    static const char *const attention[] = { "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight",
                                             "attn.out_proj.bias", "p.weight" };
    static const char *const lstm[] = { "lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l1", "lstm.bias_hh_l1" };
    static const char *const gru[] = { "first.weight_ih_l0", "first.bias_hh_l0", "gru.weight_ih_l0", "gru.weight_hh_l1" };
    net t;
    transformer(&t, GRD_F32);
    for (size_t i = 0; i < sizeof attention / sizeof *attention; i++)
        assert_true(grd_model_find(t.m, attention[i]) >= 0);
    assert_int_equal(grd_model_params(t.m), V * D + T * D + 4 * D + (3 * D * D + 3 * D) + (D * D + D) + (12 * D + 12) +
                                                (12 * D + D) + (V * D + V));
    grd_close(t.ctx);
    recurrent(&t, GRD_F32);
    for (size_t i = 0; i < sizeof lstm / sizeof *lstm; i++)
        assert_true(grd_model_find(t.m, lstm[i]) >= 0);
    grd_close(t.ctx);
    gated(&t, GRD_F32);
    for (size_t i = 0; i < sizeof gru / sizeof *gru; i++)
        assert_true(grd_model_find(t.m, gru[i]) >= 0);
    assert_int_equal(grd_model_params(t.m), V * D + (12 * D + 12 * 4 + 2 * 12) + (15 * 4 + 3 * 15 * 5) + (5 * V * T + V * T));
    grd_close(t.ctx);
}

/* What a causal model says of a step does not depend on later ones. */
static void the_future_is_not_seen(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(&(grd_opts){ .seed = 4 });
    grd_graph *g = grd_graph_new(ctx);
    grd_var x = grd_input(g, "x", GRD_F32, 3, (int64_t[]){ GRD_VARIES, T, D });
    grd_var y = grd_self_attention(x, GRD_NONE, &(grd_self_attention_opts){ .heads = 4, .causal = true });
    grd_model *m;
    grd_plan *plan;
    float in[T * D], before[T * D];
    const grd_shape shape = { 3, { 1, T, D } };
    const grd_compile_opts opts = { .keep = { y }, .n_keep = 1 };
    assert_int_equal(grd_model_new(g, NULL, &m), GRD_OK);
    assert_int_equal(grd_model_plan(m, &opts, &shape, &plan), GRD_OK);
    const grd_run run = { .input = { in } };
    for (int i = 0; i < T * D; i++)
        in[i] = (float)(i % 5) - 2;
    assert_int_equal(grd_plan_run(plan, &run), GRD_OK);
    memcpy(before, grd_plan_value(plan, y, NULL), sizeof before);
    in[4 * D + 1] += 3;
    assert_int_equal(grd_plan_run(plan, &run), GRD_OK);
    assert_memory_equal(before, grd_plan_value(plan, y, NULL), sizeof(float) * 4 * D);
    assert_memory_not_equal(before + 4 * D, (const float *)grd_plan_value(plan, y, NULL) + 4 * D, sizeof(float) * D);
    grd_close(ctx);
}

/* Loss and gradients of a recurrent layer over x with NaN past each row's length. */
static void padding_is_not_read(grd_var (*layer)(grd_var x, grd_var lengths))
{
    net t;
    begin(&t);
    float x[N * T * D], target[N * 5] = { 0 };
    for (int i = 0; i < N * T * D; i++)
        x[i] = i / D % T < t.lengths[i / (T * D)] ? 0.1f * (float)(i % 7) : NAN;
    grd_var in = grd_input(t.g, "x", GRD_F32, 3, (int64_t[]){ GRD_VARIES, T, D }), n = lengths(&t);
    grd_var y = grd_input(t.g, "y", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 5 });
    t.loss = grd_mse(layer(in, n), y);
    finish(&t, GRD_F32);
    const grd_shape shape[3] = { { 3, { N, T, D } }, { 1, { N } }, { 2, { N, 5 } } };
    const grd_run run = { .input = { x, t.lengths, target } };
    grd_plan *plan;
    double loss, weight;
    int64_t params;
    if (grd_model_plan(t.m, &(grd_compile_opts){ .train = true, .loss = t.loss, .backward = true }, shape, &plan) != GRD_OK ||
        grd_plan_run(plan, &run) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    grd_plan_loss(plan, &loss, &weight);
    assert_true(isfinite(loss));
    grd_model_arena(t.m, &params);
    for (int64_t i = 0; i < params; i++)
        assert_true(isfinite(((const float *)grd_model_grad_arena(t.m))[i]));
    grd_close(t.ctx);
}

static grd_var lstm_of_5(grd_var x, grd_var n)
{
    return grd_lstm(x, n, &(grd_lstm_opts){ .hidden = 5, .output = GRD_LSTM_LAST });
}

static grd_var gru_of_5(grd_var x, grd_var n)
{
    return grd_gru(x, n, &(grd_gru_opts){ .hidden = 5, .output = GRD_GRU_LAST });
}

static void recurrence_does_not_read_past_a_length(void **state)
{
    (void)state;
    padding_is_not_read(lstm_of_5);
    padding_is_not_read(gru_of_5);
}

static void sequences_that_do_not_fit_are_refused_with_a_hint(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_graph *g = grd_graph_new(ctx);
    grd_var x = grd_input(g, "x", GRD_F32, 3, (int64_t[]){ GRD_VARIES, T, V });
    grd_var y = grd_input(g, "y", GRD_I32, 2, (int64_t[]){ GRD_VARIES, T });
    assert_false(grd_valid(grd_cross_entropy(x, y, NULL)));
    assert_non_null(strstr(grd_error(ctx), "classes that come last want axis: -1"));
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_a_transformer_agree_with_differences),
        cmocka_unit_test(gradients_of_a_recurrent_net_agree_with_differences),
        cmocka_unit_test(every_step_agrees_with_the_reference),
        cmocka_unit_test(parameters_are_named_as_in_pytorch),
        cmocka_unit_test(the_future_is_not_seen),
        cmocka_unit_test(recurrence_does_not_read_past_a_length),
        cmocka_unit_test(sequences_that_do_not_fit_are_refused_with_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
