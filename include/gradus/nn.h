/* Gradus, chapter "simple": layers. They create and name their parameters (PyTorch's names, shapes and initial
 * distributions) in a scope of their own, then call ops. */
#ifndef GRADUS_NN_H
#define GRADUS_NN_H

#include <gradus/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every options struct starts with `as`: the layer's name in paths; NULL = its index among its siblings. (Not in the option
 * tables: a config says `as:` beside any layer.) */
typedef struct grd_linear_opts { const char *as; int64_t out; bool no_bias; } grd_linear_opts;
typedef struct grd_conv2d_opts {
    const char *as;
    int64_t out;
    int64_t kernel, kernel_w;
    int64_t stride, stride_w, pad, pad_w, dilation, dilation_w, groups;
    bool no_bias;
} grd_conv2d_opts;
typedef struct grd_conv_transpose2d_opts {
    const char *as;
    int64_t out;
    int64_t kernel, kernel_w;
    int64_t stride, stride_w, pad, pad_w, output_pad, output_pad_w, dilation, dilation_w, groups;
    bool no_bias;
} grd_conv_transpose2d_opts;
typedef struct grd_batchnorm_opts { const char *as; double momentum, eps; } grd_batchnorm_opts;
typedef struct grd_groupnorm_opts { const char *as; int64_t groups; double eps; bool no_affine; } grd_groupnorm_opts;
typedef struct grd_layernorm_opts { const char *as; int64_t dims; double eps; bool no_affine; } grd_layernorm_opts;
typedef struct grd_embedding_opts {
    const char *as;
    int64_t num, dim;
    int64_t padding_idx; /* -1 = none (default); GRD_ZERO = row 0 */
} grd_embedding_opts;
typedef struct grd_lstm_opts { const char *as; int64_t hidden, layers; double dropout; bool no_bias; int output; } grd_lstm_opts;
enum { GRD_LSTM_ALL = 1, GRD_LSTM_LAST }; /* output: all steps [N,T,H], or the last valid one [N,H] */
typedef struct grd_gru_opts { const char *as; int64_t hidden, layers; double dropout; bool no_bias; int output; } grd_gru_opts;
enum { GRD_GRU_ALL = 1, GRD_GRU_LAST }; /* as above */
typedef struct grd_prelu_opts { const char *as; int64_t num; double init; } grd_prelu_opts; /* 1, 0.25 */
typedef struct grd_positions_opts { const char *as; double std; } grd_positions_opts; /* 0.02; GRD_ZERO: all zeros */
typedef struct grd_self_attention_opts { const char *as; int64_t heads; bool causal, no_bias; } grd_self_attention_opts; /* 1 */

GRD_API grd_var grd_linear(grd_var x, const grd_linear_opts *opts);
GRD_API grd_var grd_conv2d(grd_var x, const grd_conv2d_opts *opts);
GRD_API grd_var grd_conv_transpose2d(grd_var x, const grd_conv_transpose2d_opts *opts);
GRD_API grd_var grd_batchnorm(grd_var x, const grd_batchnorm_opts *opts); /* [N,C] or [N,C,H,W] */
GRD_API grd_var grd_groupnorm(grd_var x, const grd_groupnorm_opts *opts);
GRD_API grd_var grd_layernorm(grd_var x, const grd_layernorm_opts *opts);
GRD_API grd_var grd_embedding(grd_var index, const grd_embedding_opts *opts);
GRD_API grd_var grd_lstm(grd_var x, grd_var lengths, const grd_lstm_opts *opts); /* lengths may be GRD_NONE */
GRD_API grd_var grd_gru(grd_var x, grd_var lengths, const grd_gru_opts *opts);   /* lengths may be GRD_NONE */
GRD_API grd_var grd_prelu(grd_var x, const grd_prelu_opts *opts);
GRD_API grd_var grd_positions(grd_var x, const grd_positions_opts *opts); /* x[N,T,D] + weight[T,D] */
GRD_API grd_var grd_self_attention(grd_var x, grd_var lengths, const grd_self_attention_opts *opts); /* x[N,T,D]; lengths may be GRD_NONE */

/* ---- layers as rows: what a config's `layers` may name -------------------------------------- */

typedef struct grd_layer {
    const char *name, *doc;
    const grd_option *options;   /* the first option takes the value of `{NAME: 3}` */
    size_t options_size;
    grd_var (*build)(grd_var x, const void *options); /* inside the layer's own scope; options resolved */
    bool raw;                    /* options are passed to build as given: it resolves them itself (ops do) */
    /* Instead of build, of layers along time: lengths, i32 [N], is the number of valid steps of each row, or GRD_NONE. */
    grd_var (*build_with)(grd_var x, grd_var lengths, const void *options);
} grd_layer;

/* Builds one layer in a scope of its own, named `as` or, if NULL, by its index. options: the layer's struct or NULL. */
GRD_API grd_var grd_layer_apply(const grd_layer *layer, grd_var x, const char *as, const void *options);
GRD_API grd_var grd_layer_apply_with(const grd_layer *layer, grd_var x, grd_var lengths, const char *as, const void *options);
GRD_API grd_status grd_layer_register(grd_ctx *ctx, const grd_layer *layer);
/* Layer or, if there is none of that name, a unary op offered as a layer. NULL if neither. */
GRD_API const grd_layer *grd_layer_find(const grd_ctx *ctx, const char *name);
GRD_API const grd_layer *grd_layer_at(const grd_ctx *ctx, int i); /* NULL past the end */

#ifdef __cplusplus
}
#endif
#endif
