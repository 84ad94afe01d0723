/* Layers that hold parameters. Names, shapes and initial distributions are PyTorch's: linear and convolution draw weight and
 * bias from U(-k, k) with k = 1/sqrt(fan_in), recurrent layers with k = 1/sqrt(hidden), embeddings from N(0, 1). */
#include "nn/layers.h"

#include "graph/graph.h"

#include <gradus/ops.h>

#include <math.h>
#include <stdio.h>

static grd_init uniform(double fan_in)
{
    double k = 1 / sqrt(fan_in);
    return (grd_init){ GRD_INIT_UNIFORM, -k, k, 0 };
}

static grd_init constant(double value) { return (grd_init){ GRD_INIT_CONSTANT, value, 0, 0 }; }

static grd_var vector(grd_graph *g, const char *name, grd_init init, int64_t n)
{
    return grd_param(g, name, init, 1, &n);
}

/* Size of dimension d, which must not vary. */
static int64_t fixed_dim(grd_var x, int d, const char *what)
{
    grd_shape s = grd_var_shape(x);
    int axis = d < 0 ? d + s.rank : d;
    if (axis >= 0 && axis < s.rank && s.dim[axis] > 0)
        return s.dim[axis];
    char text[80];
    if (grd_valid(x))
        grd_graph_fail(x.graph, GRD_ERR_SHAPE, "%s: dimension %d of x \"%s\" %s is not fixed, expected one size in all batches", what, d,
                       grd_var_name(x), grd_shape_text(&s, text, sizeof text));
    return 0;
}

static grd_var invalid(grd_var x) { return (grd_var){ x.graph, -1 }; }

/* ---- linear ---- */

static const grd_option linear_options[] = {
    GRD_INT_REQUIRED(grd_linear_opts, out, 1, 1e9, "output features"),
    GRD_FLAG_ON(grd_linear_opts, bias, "add a bias"),
    GRD_END
};

static grd_var build_linear(grd_var x, const void *options)
{
    const grd_linear_opts *o = options;
    int64_t in = fixed_dim(x, -1, "linear");
    if (!in)
        return invalid(x);
    grd_var w = grd_param(x.graph, "weight", uniform((double)in), 2, (int64_t[]){ o->out, in });
    grd_var b = o->no_bias ? GRD_NONE : vector(x.graph, "bias", uniform((double)in), o->out);
    return grd_f_linear(x, w, b);
}

const grd_layer grd_layer_linear = {
    .name = "linear",
    .doc = "y = x W' + b over the last dimension; W [out, in], b [out]",
    .options = linear_options,
    .options_size = sizeof(grd_linear_opts),
    .build = build_linear,
};

grd_var grd_linear(grd_var x, const grd_linear_opts *opts) { return grd_layer_apply(&grd_layer_linear, x, opts ? opts->as : NULL, opts); }

/* ---- conv2d ---- */

static const grd_option conv2d_options[] = {
    GRD_INT_REQUIRED(grd_conv2d_opts, out, 1, 1e9, "output channels"),
    GRD_PAIR_REQUIRED(grd_conv2d_opts, kernel, 1, 1e6, "kernel size"),
    GRD_PAIR(grd_conv2d_opts, stride, 1, 1, 1e6, "step of the window"),
    GRD_PAIR(grd_conv2d_opts, pad, 0, 0, 1e6, "zeros around the picture"),
    GRD_PAIR(grd_conv2d_opts, dilation, 1, 1, 1e6, "distance of kernel points"),
    GRD_INT(grd_conv2d_opts, groups, 1, 1, 1e9, "groups of channels that do not see each other"),
    GRD_FLAG_ON(grd_conv2d_opts, bias, "add a bias (off before a batch norm)"),
    GRD_END
};

static int64_t or_zero(int64_t v) { return v ? v : GRD_ZERO; }

static grd_var build_conv2d(grd_var x, const void *options)
{
    const grd_conv2d_opts *o = options;
    int64_t in = fixed_dim(x, 1, "conv2d");
    if (!in)
        return invalid(x);
    if (in % o->groups || o->out % o->groups)
        return grd_graph_fail(x.graph, GRD_ERR_SHAPE, "conv2d: %lld input and %lld output channels do not divide into %lld groups",
                              (long long)in, (long long)o->out, (long long)o->groups);
    double fan_in = (double)(in / o->groups * o->kernel * o->kernel_w);
    grd_var w = grd_param(x.graph, "weight", uniform(fan_in), 4, (int64_t[]){ o->out, in / o->groups, o->kernel, o->kernel_w });
    grd_var b = o->no_bias ? GRD_NONE : vector(x.graph, "bias", uniform(fan_in), o->out);
    return grd_f_conv2d(x, w, b,
                        &(grd_f_conv2d_opts){ .stride = o->stride, .stride_w = o->stride_w, .pad = o->pad, .pad_w = or_zero(o->pad_w),
                                              .dilation = o->dilation, .dilation_w = o->dilation_w, .groups = o->groups });
}

const grd_layer grd_layer_conv2d = {
    .name = "conv2d",
    .doc = "2-D convolution of x [N,C,H,W] with W [out, C/groups, K, K]",
    .options = conv2d_options,
    .options_size = sizeof(grd_conv2d_opts),
    .build = build_conv2d,
};

grd_var grd_conv2d(grd_var x, const grd_conv2d_opts *opts) { return grd_layer_apply(&grd_layer_conv2d, x, opts ? opts->as : NULL, opts); }

/* ---- conv_transpose2d ---- */

static const grd_option conv_transpose2d_options[] = {
    GRD_INT_REQUIRED(grd_conv_transpose2d_opts, out, 1, 1e9, "output channels"),
    GRD_PAIR_REQUIRED(grd_conv_transpose2d_opts, kernel, 1, 1e6, "kernel size"),
    GRD_PAIR(grd_conv_transpose2d_opts, stride, 1, 1, 1e6, "step of the window over the output"),
    GRD_PAIR(grd_conv_transpose2d_opts, pad, 0, 0, 1e6, "border of the output that is left out"),
    GRD_PAIR(grd_conv_transpose2d_opts, output_pad, 0, 0, 1e6, "rows and columns more at the output's end"),
    GRD_PAIR(grd_conv_transpose2d_opts, dilation, 1, 1, 1e6, "distance of kernel points"),
    GRD_INT(grd_conv_transpose2d_opts, groups, 1, 1, 1e9, "groups of channels that do not see each other"),
    GRD_FLAG_ON(grd_conv_transpose2d_opts, bias, "add a bias (off before a batch norm)"),
    GRD_END
};

static grd_var build_conv_transpose2d(grd_var x, const void *options)
{
    const grd_conv_transpose2d_opts *o = options;
    int64_t in = fixed_dim(x, 1, "conv_transpose2d");
    if (!in)
        return invalid(x);
    if (in % o->groups || o->out % o->groups)
        return grd_graph_fail(x.graph, GRD_ERR_SHAPE,
                              "conv_transpose2d: %lld input and %lld output channels do not divide into %lld groups", (long long)in,
                              (long long)o->out, (long long)o->groups);
    double fan_in = (double)(o->out / o->groups * o->kernel * o->kernel_w); /* as PyTorch: the weight's second dimension */
    grd_var w = grd_param(x.graph, "weight", uniform(fan_in), 4, (int64_t[]){ in, o->out / o->groups, o->kernel, o->kernel_w });
    grd_var b = o->no_bias ? GRD_NONE : vector(x.graph, "bias", uniform(fan_in), o->out);
    return grd_f_conv_transpose2d(
        x, w, b,
        &(grd_f_conv_transpose2d_opts){ .stride = o->stride, .stride_w = o->stride_w, .pad = o->pad, .pad_w = or_zero(o->pad_w),
                                        .output_pad = o->output_pad, .output_pad_w = or_zero(o->output_pad_w),
                                        .dilation = o->dilation, .dilation_w = o->dilation_w, .groups = o->groups });
}

const grd_layer grd_layer_conv_transpose2d = {
    .name = "conv_transpose2d",
    .doc = "Transposed 2-D convolution of x [N,C,H,W] with W [C, out/groups, K, K]: stride 2 doubles the picture",
    .options = conv_transpose2d_options,
    .options_size = sizeof(grd_conv_transpose2d_opts),
    .build = build_conv_transpose2d,
};

grd_var grd_conv_transpose2d(grd_var x, const grd_conv_transpose2d_opts *opts)
{
    return grd_layer_apply(&grd_layer_conv_transpose2d, x, opts ? opts->as : NULL, opts);
}

/* ---- norms ---- */

static const grd_option batchnorm_options[] = {
    GRD_REAL(grd_batchnorm_opts, momentum, 0.1, 0, 1, "weight of the new batch in the running statistics"),
    GRD_REAL(grd_batchnorm_opts, eps, 1e-5, 0, 1, "added to the variance"),
    GRD_END
};

static grd_var build_batchnorm(grd_var x, const void *options)
{
    const grd_batchnorm_opts *o = options;
    int64_t c = fixed_dim(x, 1, "batchnorm");
    if (!c)
        return invalid(x);
    grd_graph *g = x.graph;
    grd_var w = vector(g, "weight", constant(1), c), b = vector(g, "bias", constant(0), c);
    grd_var mean = grd_state(g, "running_mean", 0, false, 1, &c), var = grd_state(g, "running_var", 1, false, 1, &c);
    grd_var count = grd_state(g, "num_batches_tracked", 0, true, 0, NULL);
    return grd_f_batchnorm(x, w, b, mean, var, count,
                           &(grd_f_batchnorm_opts){ .momentum = o->momentum ? o->momentum : GRD_ZERO, .eps = o->eps ? o->eps : GRD_ZERO });
}

const grd_layer grd_layer_batchnorm = {
    .name = "batchnorm",
    .doc = "batch normalisation over all but dimension 1 (Ioffe, Szegedy 2015)",
    .options = batchnorm_options,
    .options_size = sizeof(grd_batchnorm_opts),
    .build = build_batchnorm,
};

grd_var grd_batchnorm(grd_var x, const grd_batchnorm_opts *opts)
{
    return grd_layer_apply(&grd_layer_batchnorm, x, opts ? opts->as : NULL, opts);
}

static const grd_option groupnorm_options[] = {
    GRD_INT_REQUIRED(grd_groupnorm_opts, groups, 1, 1e6, "groups of channels"),
    GRD_REAL(grd_groupnorm_opts, eps, 1e-5, 0, 1, "added to the variance"),
    GRD_FLAG_ON(grd_groupnorm_opts, affine, "learn a scale and a shift"),
    GRD_END
};

static grd_var build_groupnorm(grd_var x, const void *options)
{
    const grd_groupnorm_opts *o = options;
    int64_t c = fixed_dim(x, 1, "groupnorm");
    if (!c)
        return invalid(x);
    grd_var w = o->no_affine ? GRD_NONE : vector(x.graph, "weight", constant(1), c);
    grd_var b = o->no_affine ? GRD_NONE : vector(x.graph, "bias", constant(0), c);
    return grd_f_groupnorm(x, w, b, &(grd_f_groupnorm_opts){ .groups = o->groups, .eps = o->eps ? o->eps : GRD_ZERO });
}

const grd_layer grd_layer_groupnorm = {
    .name = "groupnorm",
    .doc = "normalisation within groups of channels of one sample (Wu, He 2018)",
    .options = groupnorm_options,
    .options_size = sizeof(grd_groupnorm_opts),
    .build = build_groupnorm,
};

grd_var grd_groupnorm(grd_var x, const grd_groupnorm_opts *opts)
{
    return grd_layer_apply(&grd_layer_groupnorm, x, opts ? opts->as : NULL, opts);
}

static const grd_option layernorm_options[] = {
    GRD_INT(grd_layernorm_opts, dims, 1, 1, GRD_MAX_RANK, "how many last dimensions are normalised together"),
    GRD_REAL(grd_layernorm_opts, eps, 1e-5, 0, 1, "added to the variance"),
    GRD_FLAG_ON(grd_layernorm_opts, affine, "learn a scale and a shift"),
    GRD_END
};

static grd_var build_layernorm(grd_var x, const void *options)
{
    const grd_layernorm_opts *o = options;
    int64_t dim[GRD_MAX_RANK];
    int n = (int)o->dims;
    for (int i = 0; i < n; i++)
        if (!(dim[i] = fixed_dim(x, i - n, "layernorm")))
            return invalid(x);
    grd_var w = o->no_affine ? GRD_NONE : grd_param(x.graph, "weight", constant(1), n, dim);
    grd_var b = o->no_affine ? GRD_NONE : grd_param(x.graph, "bias", constant(0), n, dim);
    return grd_f_layernorm(x, w, b, &(grd_f_layernorm_opts){ .dims = o->dims, .eps = o->eps ? o->eps : GRD_ZERO });
}

const grd_layer grd_layer_layernorm = {
    .name = "layernorm",
    .doc = "normalisation over the last dimensions of one sample (Ba, Kiros, Hinton 2016)",
    .options = layernorm_options,
    .options_size = sizeof(grd_layernorm_opts),
    .build = build_layernorm,
};

grd_var grd_layernorm(grd_var x, const grd_layernorm_opts *opts)
{
    return grd_layer_apply(&grd_layer_layernorm, x, opts ? opts->as : NULL, opts);
}

/* ---- embedding ---- */

static const grd_option embedding_options[] = {
    GRD_INT_REQUIRED(grd_embedding_opts, num, 1, 1e9, "number of indices"),
    GRD_INT_REQUIRED(grd_embedding_opts, dim, 1, 1e9, "features of each"),
    GRD_INT(grd_embedding_opts, padding_idx, -1, -1, 1e9, "index whose row is zero and stays so; -1: none"),
    GRD_END
};

static grd_var build_embedding(grd_var x, const void *options)
{
    const grd_embedding_opts *o = options;
    grd_init init = { GRD_INIT_NORMAL, 0, 1, o->padding_idx + 1 };
    grd_var w = grd_param(x.graph, "weight", init, 2, (int64_t[]){ o->num, o->dim });
    return grd_f_embedding(x, w, &(grd_f_embedding_opts){ .padding_idx = o->padding_idx ? o->padding_idx : GRD_ZERO });
}

const grd_layer grd_layer_embedding = {
    .name = "embedding",
    .doc = "row x of a table [num, dim] for every index x",
    .options = embedding_options,
    .options_size = sizeof(grd_embedding_opts),
    .build = build_embedding,
};

grd_var grd_embedding(grd_var index, const grd_embedding_opts *opts)
{
    return grd_layer_apply(&grd_layer_embedding, index, opts ? opts->as : NULL, opts);
}

/* ---- prelu ---- */

static const grd_option prelu_options[] = {
    GRD_INT(grd_prelu_opts, num, 1, 1, 1e9, "slopes: 1, or one per channel"),
    GRD_REAL(grd_prelu_opts, init, 0.25, -1e6, 1e6, "first slope"),
    GRD_END
};

static grd_var build_prelu(grd_var x, const void *options)
{
    const grd_prelu_opts *o = options;
    return grd_f_prelu(x, vector(x.graph, "weight", constant(o->init), o->num));
}

const grd_layer grd_layer_prelu = {
    .name = "prelu",
    .doc = "relu with a learned slope below zero (He et al. 2015)",
    .options = prelu_options,
    .options_size = sizeof(grd_prelu_opts),
    .build = build_prelu,
};

grd_var grd_prelu(grd_var x, const grd_prelu_opts *opts) { return grd_layer_apply(&grd_layer_prelu, x, opts ? opts->as : NULL, opts); }

/* ---- lstm, gru ---- */

#define RECURRENT_OPTIONS(S)                                                                              \
    GRD_INT_REQUIRED(S, hidden, 1, 1e6, "units"),                                                         \
        GRD_INT(S, layers, 1, 1, 64, "layers on top of each other"),                                      \
        GRD_REAL(S, dropout, 0, 0, 0.999, "dropout between layers"),                                      \
        GRD_FLAG_ON(S, bias, "add two biases, as PyTorch does"),                                          \
        GRD_ENUM(S, output, 0, "all|last", "all steps [N,T,H], or the last valid one [N,H]"), GRD_END

static const grd_option lstm_options[] = { RECURRENT_OPTIONS(grd_lstm_opts) };
static const grd_option gru_options[] = { RECURRENT_OPTIONS(grd_gru_opts) };

typedef struct recurrent {
    const char *name;
    int gates;
    grd_var (*op)(grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh);
} recurrent;

static const recurrent of_lstm = { "lstm", 4, grd_f_lstm }, of_gru = { "gru", 3, grd_f_gru };

/* Options are resolved: output 0 all, 1 last. */
static grd_var build_recurrent(grd_var x, grd_var lengths, const recurrent *r, int64_t hidden, int64_t layers, double dropout,
                               bool no_bias, int output)
{
    grd_graph *g = x.graph;
    grd_var y = x;
    for (int l = 0; l < (int)layers; l++) {
        int64_t in = fixed_dim(x, -1, r->name), gates = r->gates * hidden;
        if (!in)
            return invalid(x);
        grd_init init = uniform((double)hidden);
        char name[4][32];
        static const char *const stem[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
        for (int k = 0; k < 4; k++)
            snprintf(name[k], sizeof name[k], "%s_l%d", stem[k], l);
        grd_var w_ih = grd_param(g, name[0], init, 2, (int64_t[]){ gates, in });
        grd_var w_hh = grd_param(g, name[1], init, 2, (int64_t[]){ gates, hidden });
        grd_var b_ih = no_bias ? GRD_NONE : vector(g, name[2], init, gates);
        grd_var b_hh = no_bias ? GRD_NONE : vector(g, name[3], init, gates);
        if (l && dropout > 0)
            x = grd_dropout(x, dropout);
        y = r->op(x, lengths, w_ih, w_hh, b_ih, b_hh);
        x = y;
    }
    return output == 1 ? grd_output(y, 1) : y;
}

static grd_var build_lstm(grd_var x, grd_var lengths, const void *options)
{
    const grd_lstm_opts *o = options;
    return build_recurrent(x, lengths, &of_lstm, o->hidden, o->layers, o->dropout, o->no_bias, o->output);
}

static grd_var build_gru(grd_var x, grd_var lengths, const void *options)
{
    const grd_gru_opts *o = options;
    return build_recurrent(x, lengths, &of_gru, o->hidden, o->layers, o->dropout, o->no_bias, o->output);
}

const grd_layer grd_layer_lstm = {
    .name = "lstm",
    .doc = "long short-term memory over x [N,T,F] (Hochreiter, Schmidhuber 1997); gates i f g o",
    .options = lstm_options,
    .options_size = sizeof(grd_lstm_opts),
    .build_with = build_lstm,
};

const grd_layer grd_layer_gru = {
    .name = "gru",
    .doc = "gated recurrent unit over x [N,T,F] (Cho et al. 2014); gates r z n",
    .options = gru_options,
    .options_size = sizeof(grd_gru_opts),
    .build_with = build_gru,
};

grd_var grd_lstm(grd_var x, grd_var lengths, const grd_lstm_opts *opts)
{
    return grd_layer_apply_with(&grd_layer_lstm, x, lengths, opts ? opts->as : NULL, opts);
}

grd_var grd_gru(grd_var x, grd_var lengths, const grd_gru_opts *opts)
{
    return grd_layer_apply_with(&grd_layer_gru, x, lengths, opts ? opts->as : NULL, opts);
}

/* ---- positions ---- */

static const grd_option positions_options[] = {
    GRD_REAL(grd_positions_opts, std, 0.02, 0, 1e6, "standard deviation of the first values"),
    GRD_END
};

static grd_var build_positions(grd_var x, const void *options)
{
    const grd_positions_opts *o = options;
    int64_t t = fixed_dim(x, 1, "positions"), d = t ? fixed_dim(x, 2, "positions") : 0;
    if (!d)
        return invalid(x);
    return grd_add(x, grd_param(x.graph, "weight", (grd_init){ GRD_INIT_NORMAL, 0, o->std, 0 }, 2, (int64_t[]){ t, d }));
}

const grd_layer grd_layer_positions = {
    .name = "positions",
    .doc = "adds a learned vector to each step: x [N,T,D] + weight [T,D]; T is fixed",
    .options = positions_options,
    .options_size = sizeof(grd_positions_opts),
    .build = build_positions,
};

grd_var grd_positions(grd_var x, const grd_positions_opts *opts)
{
    return grd_layer_apply(&grd_layer_positions, x, opts ? opts->as : NULL, opts);
}

/* ---- self_attention: parameters and first values as nn.MultiheadAttention ---- */

static const grd_option self_attention_options[] = {
    GRD_INT(grd_self_attention_opts, heads, 1, 1, 4096, "heads: equal parts of the features that attend on their own"),
    GRD_FLAG(grd_self_attention_opts, causal, "a step sees itself and those before it"),
    GRD_FLAG_ON(grd_self_attention_opts, bias, "add biases to both projections"),
    GRD_END
};

static grd_var build_self_attention(grd_var x, grd_var lengths, const void *options)
{
    const grd_self_attention_opts *o = options;
    grd_graph *g = x.graph;
    int64_t d = fixed_dim(x, -1, "self_attention");
    if (!d)
        return invalid(x);
    double k = sqrt(6.0 / (double)(4 * d)); /* Glorot, Bengio 2010, of the whole [3D,D] */
    grd_var w = grd_param(g, "in_proj_weight", (grd_init){ GRD_INIT_UNIFORM, -k, k, 0 }, 2, (int64_t[]){ 3 * d, d });
    grd_var b = o->no_bias ? GRD_NONE : vector(g, "in_proj_bias", constant(0), 3 * d);
    grd_var y = grd_attention_qkv(grd_f_linear(x, w, b), lengths,
                                  &(grd_attention_opts){ .heads = o->heads, .causal = o->causal });
    grd_scope_push(g, "out_proj");
    w = grd_param(g, "weight", uniform((double)d), 2, (int64_t[]){ d, d });
    b = o->no_bias ? GRD_NONE : vector(g, "bias", constant(0), d);
    y = grd_f_linear(y, w, b);
    grd_scope_pop(g);
    return y;
}

const grd_layer grd_layer_self_attention = {
    .name = "self_attention",
    .doc = "multi-head attention of x [N,T,D] to itself between two linear layers (Vaswani et al. 2017)",
    .options = self_attention_options,
    .options_size = sizeof(grd_self_attention_opts),
    .build_with = build_self_attention,
};

grd_var grd_self_attention(grd_var x, grd_var lengths, const grd_self_attention_opts *opts)
{
    return grd_layer_apply_with(&grd_layer_self_attention, x, lengths, opts ? opts->as : NULL, opts);
}
