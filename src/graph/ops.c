/* The bodies of the op functions: the table in gradus/ops.h once more, and the few written by hand. */
#include "graph/graph.h"

#include <gradus/ops.h>

#define BODY_UNARY(name, o) \
    grd_var grd_##name(grd_var x) { return grd_apply(#name, NULL, &x, 1); }
#define BODY_UNARY_O(name, o) \
    grd_var grd_##name(grd_var x, const grd_##o##_opts *opts) { return grd_apply(#name, opts, &x, 1); }
#define BODY_BINARY(name, o) \
    grd_var grd_##name(grd_var a, grd_var b) { return grd_apply(#name, NULL, (grd_var[]){ a, b }, 2); }
#define BODY_BINARY_O(name, o) \
    grd_var grd_##name(grd_var a, grd_var b, const grd_##o##_opts *opts) { return grd_apply(#name, opts, (grd_var[]){ a, b }, 2); }
#define BODY_MANY_O(name, o) \
    grd_var grd_##name(const grd_var *list, int n, const grd_##o##_opts *opts) { return grd_apply(#name, opts, list, n); }
#define BODY_ROW(name, o)
#define BODY(kind, name, o) BODY_##kind(name, o)
GRD_PUBLIC_OPS(BODY)

/* Applies `op` to the inputs up to the first GRD_NONE. */
static grd_var apply_given(const char *op, const void *opts, const grd_var *in, int n_in)
{
    int n = 0;
    while (n < n_in && in[n].graph)
        n++;
    return grd_apply(op, opts, in, n);
}

grd_var grd_flatten(grd_var x) { return grd_apply("flatten", NULL, &x, 1); }

grd_var grd_dropout(grd_var x, double p)
{
    return grd_apply("dropout", &(grd_dropout_opts){ .p = p == 0 ? GRD_ZERO : p }, &x, 1);
}

grd_var grd_dropout2d(grd_var x, double p)
{
    return grd_apply("dropout", &(grd_dropout_opts){ .p = p == 0 ? GRD_ZERO : p, .channel = true }, &x, 1);
}

grd_var grd_f_linear(grd_var x, grd_var w, grd_var b) { return apply_given("linear", NULL, (grd_var[]){ x, w, b }, 3); }

grd_var grd_f_conv2d(grd_var x, grd_var w, grd_var b, const grd_f_conv2d_opts *opts)
{
    return apply_given("conv2d", opts, (grd_var[]){ x, w, b }, 3);
}

grd_var grd_f_conv_transpose2d(grd_var x, grd_var w, grd_var b, const grd_f_conv_transpose2d_opts *opts)
{
    return apply_given("conv_transpose2d", opts, (grd_var[]){ x, w, b }, 3);
}

grd_var grd_f_prelu(grd_var x, grd_var w) { return grd_apply("prelu", NULL, (grd_var[]){ x, w }, 2); }

grd_var grd_f_batchnorm(grd_var x, grd_var w, grd_var b, grd_var mean, grd_var var, grd_var count, const grd_f_batchnorm_opts *opts)
{
    return grd_apply("batchnorm", opts, (grd_var[]){ x, w, b, mean, var, count }, 6);
}

grd_var grd_f_groupnorm(grd_var x, grd_var w, grd_var b, const grd_f_groupnorm_opts *opts)
{
    return apply_given("groupnorm", opts, (grd_var[]){ x, w, b }, 3);
}

grd_var grd_f_layernorm(grd_var x, grd_var w, grd_var b, const grd_f_layernorm_opts *opts)
{
    return apply_given("layernorm", opts, (grd_var[]){ x, w, b }, 3);
}

grd_var grd_f_embedding(grd_var index, grd_var w, const grd_f_embedding_opts *opts)
{
    return grd_apply("embedding", opts, (grd_var[]){ index, w }, 2);
}

grd_var grd_cross_entropy(grd_var logits, grd_var labels, const grd_cross_entropy_opts *opts)
{
    return grd_apply("cross_entropy", opts, (grd_var[]){ logits, labels }, 2);
}

grd_var grd_cross_entropy_weighted(grd_var logits, grd_var labels, grd_var class_weight, const grd_cross_entropy_opts *opts)
{
    return grd_apply("cross_entropy", opts, (grd_var[]){ logits, labels, class_weight }, 3);
}

/* A vector of zeros as long as w has rows, for a bias that is not there. */
static grd_var zero_bias(grd_var w)
{
    grd_var sums = grd_sum(w, &(grd_reduce_opts){ .axes = { 1, { 1 } } });
    return grd_scale(sums, &(grd_scale_opts){ .scale = GRD_ZERO });
}

static grd_var recurrent(const char *op, grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh)
{
    if (lengths.graph && !b_ih.graph) /* the row's optional inputs are left out from the right */
        b_ih = b_hh = zero_bias(w_ih);
    return apply_given(op, NULL, (grd_var[]){ x, w_ih, w_hh, b_ih, b_hh, lengths }, 6);
}

grd_var grd_f_lstm(grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh)
{
    return recurrent("lstm", x, lengths, w_ih, w_hh, b_ih, b_hh);
}

grd_var grd_f_gru(grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh)
{
    return recurrent("gru", x, lengths, w_ih, w_hh, b_ih, b_hh);
}

grd_var grd_attention(grd_var q, grd_var k, grd_var v, grd_var lengths, const grd_attention_opts *opts)
{
    return apply_given("attention", opts, (grd_var[]){ q, k, v, lengths }, 4);
}

grd_var grd_attention_qkv(grd_var qkv, grd_var lengths, const grd_attention_opts *opts)
{
    return apply_given("attention_qkv", opts, (grd_var[]){ qkv, lengths }, 2);
}

grd_var grd_loss_mix(const grd_var *loss, const double *factor, int n)
{
    grd_loss_mix_opts opts = { .factor = { .n = n } };
    grd_var in[2 * GRD_MAX_LIST];
    if (n < 1 || (n > GRD_MAX_LIST && !loss[0].graph))
        return GRD_NONE;
    if (n > GRD_MAX_LIST)
        return grd_graph_fail(loss[0].graph, GRD_ERR_ARG, "loss_mix: %d terms, expected 1 to %d", n, GRD_MAX_LIST);
    for (int k = 0; k < n; k++) {
        in[2 * k] = loss[k];
        in[2 * k + 1] = grd_output(loss[k], 1);
        opts.factor.v[k] = factor ? factor[k] : 1;
    }
    return grd_apply("loss_mix", &opts, in, 2 * n);
}
