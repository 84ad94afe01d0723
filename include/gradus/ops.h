/* Gradus, chapter "simple": the ops. A line in a table below is a prototype, its body and a registry entry at once.
 * `gradus ops NAME` prints formula, gradient, shapes and options of each. N is the batch, C channels, H W sizes, T time. */
#ifndef GRADUS_OPS_H
#define GRADUS_OPS_H

#include <gradus/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- options (zero = default) -------------------------------------------------------------- */

typedef struct grd_leaky_relu_opts { double slope; } grd_leaky_relu_opts;             /* 0.01 */
typedef struct grd_elu_opts { double alpha; } grd_elu_opts;                           /* 1 */
typedef struct grd_gelu_opts { int approximate; } grd_gelu_opts;                      /* none | tanh */
enum { GRD_GELU_NONE = 1, GRD_GELU_TANH };
typedef struct grd_softplus_opts { double beta, threshold; } grd_softplus_opts;       /* 1, 20 */
typedef struct grd_hardtanh_opts { double min, max; } grd_hardtanh_opts;              /* -1, 1 */
typedef struct grd_shrink_opts { double lambda; } grd_shrink_opts;                    /* 0.5 */
typedef struct grd_pow_opts { double exponent; } grd_pow_opts;                        /* 2 */
typedef struct grd_scale_opts { double scale, shift; } grd_scale_opts;                /* 1, 0: y = scale x + shift */
typedef struct grd_reduce_opts { grd_ints axes; bool keepdim; } grd_reduce_opts;      /* all axes; negative counts from the end */
typedef struct grd_reshape_opts {
    grd_ints shape;            /* without the batch dimension: 0 keeps, one -1 is the rest */
} grd_reshape_opts;
typedef struct grd_flatten_opts { int64_t start; } grd_flatten_opts;                  /* 1: dimensions start.. become one */
typedef struct grd_transpose_opts { grd_ints perm; } grd_transpose_opts;              /* default: the last two exchanged */
typedef struct grd_slice_opts {
    int64_t axis, start, stop; /* negative start/stop count from the end; stop 0 = to the end */
    int64_t step;              /* 1 */
} grd_slice_opts;
typedef struct grd_axis_opts { int64_t axis; } grd_axis_opts;                         /* concat: 1 */
typedef struct grd_softmax_opts { int64_t axis; } grd_softmax_opts;                   /* -1: the last (may not be 0) */
typedef struct grd_dropout_opts { double p; bool channel; } grd_dropout_opts;         /* 0.5; channel: whole channels */
typedef struct grd_matmul_opts { bool transpose_a, transpose_b; } grd_matmul_opts;
typedef struct grd_pool2d_opts {
    int64_t kernel, kernel_w;  /* required; _w 0 = the same */
    int64_t stride, stride_w;  /* the kernel */
    int64_t pad, pad_w;        /* 0 */
    bool no_count_pad;         /* average: count_pad (true, as PyTorch's count_include_pad) */
} grd_pool2d_opts;
typedef struct grd_adaptive_pool2d_opts { int64_t size, size_w; } grd_adaptive_pool2d_opts; /* 1 */
typedef struct grd_upsample_opts {
    int64_t scale, scale_w;    /* either this, _w 0 = the same */
    int64_t size, size_w;      /* or this */
    int mode;                  /* nearest | bilinear */
    bool align_corners;        /* bilinear only */
} grd_upsample_opts;
enum { GRD_UPSAMPLE_NEAREST = 1, GRD_UPSAMPLE_BILINEAR };
typedef struct grd_f_conv2d_opts {
    int64_t stride, stride_w, pad, pad_w, dilation, dilation_w, groups; /* 1, 0, 1, 1 */
} grd_f_conv2d_opts;
typedef struct grd_f_conv_transpose2d_opts {
    int64_t stride, stride_w, pad, pad_w, output_pad, output_pad_w, dilation, dilation_w, groups; /* 1, 0, 0, 1, 1 */
} grd_f_conv_transpose2d_opts;
typedef struct grd_f_batchnorm_opts {
    double momentum, eps;      /* 0.1, 1e-5 */
    bool frozen;               /* running statistics in training too */
} grd_f_batchnorm_opts;
typedef struct grd_f_groupnorm_opts { int64_t groups; double eps; } grd_f_groupnorm_opts;  /* required, 1e-5 */
typedef struct grd_f_layernorm_opts { int64_t dims; double eps; } grd_f_layernorm_opts;    /* 1: how many last dimensions; 1e-5 */
typedef struct grd_f_embedding_opts {
    int64_t padding_idx;       /* -1 = none; GRD_ZERO = row 0: that row gets no gradient */
} grd_f_embedding_opts;
typedef struct grd_attention_opts {
    int64_t heads;             /* 1 */
    bool causal;
    double scale;              /* 0: 1/sqrt(features of a head) */
} grd_attention_opts;
typedef struct grd_cross_entropy_opts { /* logits [N,C] or [N,C,...]; labels [N] or [N,...] */
    int64_t ignore_index;      /* -100 */
    double label_smoothing;    /* 0 */
    int64_t axis;              /* 1: classes */
} grd_cross_entropy_opts;
typedef struct grd_huber_opts { double delta; } grd_huber_opts;                       /* 1 */
typedef struct grd_smooth_l1_opts { double beta; } grd_smooth_l1_opts;                /* 1; GRD_ZERO: l1 */
typedef struct grd_bce_logits_opts { double pos_weight; } grd_bce_logits_opts;        /* 1 */
typedef struct grd_focal_opts { /* logits and labels as cross_entropy */
    double gamma, alpha;       /* 2, 1 (factor) */
    int64_t ignore_index, axis; /* -100, 1 */
} grd_focal_opts;
typedef struct grd_loss_mix_opts { grd_reals factor; } grd_loss_mix_opts;              /* one per term, all 1 */
typedef struct grd_accuracy_opts {
    int64_t ignore_index;      /* -100 */
    double threshold;          /* 0: with one output, class 1 from this value on */
    int64_t axis;              /* 1: classes */
} grd_accuracy_opts;

/* ---- the public rows -------------------------------------------------------------------------
 * X(kind, name):  UNARY (x)   UNARY_O (x, opts)   BINARY (a, b)   BINARY_O (a, b, opts)   MANY_O (list, n, opts)
 * ROW: registered here, called through a function written by hand (declared below or in nn.h). */
#define GRD_PUBLIC_OPS(X)                                                                                                  \
    /* element-wise (src/op/unary.c) */                                                                                    \
    X(UNARY, relu, void) X(UNARY, relu6, void) X(UNARY_O, leaky_relu, leaky_relu) X(UNARY_O, elu, elu)                     \
    X(UNARY_O, celu, elu) X(UNARY, selu, void) X(UNARY_O, gelu, gelu) X(UNARY, silu, void) X(UNARY, mish, void)            \
    X(UNARY, sigmoid, void) X(UNARY, log_sigmoid, void) X(UNARY, hardsigmoid, void) X(UNARY, hardswish, void)              \
    X(UNARY, tanh, void) X(UNARY, tanhshrink, void) X(UNARY, softsign, void) X(UNARY_O, softplus, softplus)                \
    X(UNARY_O, hardtanh, hardtanh) X(UNARY_O, softshrink, shrink) X(UNARY_O, hardshrink, shrink)                           \
    X(UNARY, exp, void) X(UNARY, log, void) X(UNARY, sqrt, void) X(UNARY, square, void) X(UNARY, abs, void)                \
    X(UNARY, neg, void) X(UNARY, reciprocal, void) X(UNARY, sin, void) X(UNARY, cos, void)                                 \
    X(UNARY_O, pow, pow) X(UNARY_O, scale, scale)                                                                          \
    /* with broadcasting (src/op/binary.c) */                                                                              \
    X(BINARY, add, void) X(BINARY, sub, void) X(BINARY, mul, void) X(BINARY, div, void)                                    \
    /* axes and shapes */                                                                                                  \
    X(UNARY_O, sum, reduce) X(UNARY_O, mean, reduce) X(UNARY_O, reshape, reshape) X(UNARY_O, transpose, transpose)         \
    X(UNARY_O, slice, slice) X(MANY_O, concat, axis) X(ROW, flatten, flatten) X(ROW, dropout, dropout)                     \
    X(UNARY_O, softmax, softmax) X(UNARY_O, log_softmax, softmax)                                                          \
    /* products, convolution, pooling */                                                                                   \
    X(BINARY_O, matmul, matmul) X(ROW, linear, void) X(ROW, conv2d, f_conv2d)                                              \
    X(ROW, conv_transpose2d, f_conv_transpose2d)                                                                           \
    X(UNARY_O, maxpool2d, pool2d) X(UNARY_O, avgpool2d, pool2d) X(UNARY_O, adaptive_avgpool2d, adaptive_pool2d)            \
    X(UNARY_O, upsample, upsample)                                                                                         \
    /* norms, embedding, recurrence */                                                                                     \
    X(ROW, prelu, void) X(ROW, batchnorm, f_batchnorm) X(ROW, groupnorm, f_groupnorm) X(ROW, layernorm, f_layernorm)       \
    X(ROW, embedding, f_embedding) X(ROW, lstm, void) X(ROW, attention, attention) X(ROW, attention_qkv, attention)        \
    X(ROW, gru, void)                                                                                                      \
    /* losses: (sum, weight) */                                                                                            \
    X(ROW, cross_entropy, cross_entropy) X(BINARY, mse, void) X(BINARY, l1, void) X(BINARY_O, huber, huber)                \
    X(BINARY_O, smooth_l1, smooth_l1) X(BINARY, bce, void) X(BINARY_O, bce_logits, bce_logits)                             \
    X(BINARY_O, focal, focal) X(ROW, loss_mix, void)                                                                       \
    /* metrics: (sum, weight), or counts; no gradient */                                                                   \
    X(BINARY_O, accuracy, accuracy) X(BINARY_O, confusion, accuracy)

#define GRD_PROTO_UNARY(name, o) GRD_API grd_var grd_##name(grd_var x);
#define GRD_PROTO_UNARY_O(name, o) GRD_API grd_var grd_##name(grd_var x, const grd_##o##_opts *opts);
#define GRD_PROTO_BINARY(name, o) GRD_API grd_var grd_##name(grd_var a, grd_var b);
#define GRD_PROTO_BINARY_O(name, o) GRD_API grd_var grd_##name(grd_var a, grd_var b, const grd_##o##_opts *opts);
#define GRD_PROTO_MANY_O(name, o) GRD_API grd_var grd_##name(const grd_var *list, int n, const grd_##o##_opts *opts);
#define GRD_PROTO_ROW(name, o)
#define GRD_PROTO(kind, name, o) GRD_PROTO_##kind(name, o)
GRD_PUBLIC_OPS(GRD_PROTO)

/* ---- functions written by hand --------------------------------------------------------------- */

GRD_API grd_var grd_flatten(grd_var x);             /* [N, ...] -> [N, rest] */
GRD_API grd_var grd_dropout(grd_var x, double p);   /* p: probability of dropping; survivors are scaled by 1/(1-p) */
GRD_API grd_var grd_dropout2d(grd_var x, double p); /* whole channels */

/* Functional forms, named as the layers in nn.h with f_ in front. `b` may be invalid ((grd_var){0}-like GRD_NONE): none. */
#define GRD_NONE ((grd_var){ NULL, -1 })
GRD_API grd_var grd_f_linear(grd_var x, grd_var w, grd_var b);  /* x[...,I] w[O,I] b[O] */
GRD_API grd_var grd_f_conv2d(grd_var x, grd_var w, grd_var b, const grd_f_conv2d_opts *opts); /* x[N,C,H,W] w[O,C/groups,K,K] b[O] */
GRD_API grd_var grd_f_conv_transpose2d(grd_var x, grd_var w, grd_var b, const grd_f_conv_transpose2d_opts *opts); /* w[C,O/groups,K,K] */
GRD_API grd_var grd_f_prelu(grd_var x, grd_var w);              /* w[1] or w[C] */
GRD_API grd_var grd_f_batchnorm(grd_var x, grd_var w, grd_var b, grd_var mean, grd_var var, grd_var count,
                                const grd_f_batchnorm_opts *opts);
GRD_API grd_var grd_f_groupnorm(grd_var x, grd_var w, grd_var b, const grd_f_groupnorm_opts *opts);
GRD_API grd_var grd_f_layernorm(grd_var x, grd_var w, grd_var b, const grd_f_layernorm_opts *opts);
GRD_API grd_var grd_f_embedding(grd_var index, grd_var w, const grd_f_embedding_opts *opts); /* index[...] w[V,D] */
/* x[N,T,F] lengths[N] (or GRD_NONE) w_ih[4H,F] w_hh[4H,H] b_ih[4H] b_hh[4H] (or both GRD_NONE); gates i f g o.
 * Output 0: all steps [N,T,H], zero past a row's length; 1: last valid h [N,H]; 2: last valid c [N,H]. */
GRD_API grd_var grd_f_lstm(grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh);
/* The same with w_ih[3H,F] w_hh[3H,H] b_ih[3H] b_hh[3H]; gates r z n. Output 0: all steps, 1: last valid h. */
GRD_API grd_var grd_f_gru(grd_var x, grd_var lengths, grd_var w_ih, grd_var w_hh, grd_var b_ih, grd_var b_hh);
/* q[N,T,D] k[N,S,D] v[N,S,E] -> [N,T,E]; lengths[N] (i32) of the keys, or GRD_NONE. */
GRD_API grd_var grd_attention(grd_var q, grd_var k, grd_var v, grd_var lengths, const grd_attention_opts *opts);
GRD_API grd_var grd_attention_qkv(grd_var qkv, grd_var lengths, const grd_attention_opts *opts); /* qkv[N,T,3D] -> [N,T,D] */

/* class_weight [C] or GRD_NONE. Labels i32. */
GRD_API grd_var grd_cross_entropy(grd_var logits, grd_var labels, const grd_cross_entropy_opts *opts);
GRD_API grd_var grd_cross_entropy_weighted(grd_var logits, grd_var labels, grd_var class_weight, const grd_cross_entropy_opts *opts);
/* sum_k factor[k] * loss_k; each term is normalised by its own weight within the batch, batches weigh by the first
 * term's weight. Up to 8 terms. */
GRD_API grd_var grd_loss_mix(const grd_var *loss, const double *factor, int n);

#ifdef __cplusplus
}
#endif
#endif
