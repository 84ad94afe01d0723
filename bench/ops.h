/* Every op that the nine workloads spend time in, at its sizes there, and the rest of the kinds at like sizes. */
#ifndef GRD_BENCH_OPS_H
#define GRD_BENCH_OPS_H

#include <stddef.h>

typedef struct ops_case {
    const char *workload; /* whose size it is */
    const char *op;       /* a row, or "reorder": between plain and blocked */
    const char *attr;     /* options, NULL = defaults */
    const char *in;       /* as in grd_op_sample */
    unsigned want;        /* gradients, bit i = of input i */
} ops_case;

#define NORM(c) " w[" c "]:0.5..1.5 b[" c "] mean[" c "] var[" c "]:0.5..2 count[1]:3..3"

static const ops_case ops_cases[] = {
    /* products */
    { "tiny", "linear_act", NULL, "x[16,4] w[16,4] b[16]", 6 },
    { "tiny", "linear", NULL, "x[16,16] w[3,16] b[3]", 7 },
    { "ae", "linear_act", NULL, "x[128,784] w[256,784] b[256]", 6 },
    { "ae", "linear_act", NULL, "x[128,256] w[64,256] b[64]", 7 },
    { "ae", "linear", NULL, "x[128,256] w[784,256] b[784]", 7 },
    { "mlp", "linear_act", NULL, "x[128,3072] w[512,3072] b[512]", 6 },
    { "mlp", "linear_act", NULL, "x[128,512] w[256,512] b[256]", 7 },
    { "keypoint", "linear_act", NULL, "x[32,9216] w[512,9216] b[512]", 7 },
    { "cnn", "linear", NULL, "x[128,2048] w[10,2048] b[10]", 7 },
    { "gpt", "linear", NULL, "x[32,128,128] w[384,128] b[384]", 7 },
    { "gpt", "linear", NULL, "x[32,128,128] w[512,128] b[512]", 7 },
    { "gpt", "linear", NULL, "x[32,128,512] w[128,512] b[128]", 7 },
    { "gpt", "linear", NULL, "x[32,128,128] w[65,128] b[65]", 7 },
    { "gpt", "matmul", NULL, "a[128,128,32] b[128,32,128]", 3 },
    { "gpt", "attention_qkv", "heads=4 causal=true", "qkv[32,128,384]", 1 },
    { "gpt", "attention", "heads=4 causal=true", "q[32,128,128] k[32,128,128] v[32,128,128]", 7 },
    { "lstm", "lstm", NULL, "x[32,110,150] w[512,150]:-0.1..0.1 u[512,128]:-0.1..0.1 b[512] c[512]", 31 },
    /* convolutions */
    { "cnn", "conv2d", "pad=1", "x[128,3,32,32] w[32,3,3,3]", 2 },
    { "cnn", "conv2d", "pad=1", "x[128,32,32,32] w[32,32,3,3]", 3 },
    { "cnn", "conv2d", "pad=1", "x[128,32,16,16] w[64,32,3,3]", 3 },
    { "cnn", "conv2d", "pad=1", "x[128,64,16,16] w[64,64,3,3]", 3 },
    { "cnn", "conv2d", "pad=1", "x[128,128,8,8] w[128,128,3,3]", 3 },
    { "resnet20", "conv2d", "pad=1", "x[128,16,32,32] w[16,16,3,3]", 3 },
    { "resnet20", "conv2d", "pad=1 stride=2", "x[128,16,32,32] w[32,16,3,3]", 3 },
    { "resnet20", "conv2d", "stride=2", "x[128,16,32,32] w[32,16,1,1]", 3 },
    { "resnet20", "conv2d", "pad=1", "x[128,32,16,16] w[32,32,3,3]", 3 },
    { "resnet20", "conv2d", "pad=1", "x[128,64,8,8] w[64,64,3,3]", 3 },
    { "keypoint", "conv2d", "pad=1", "x[32,1,96,96] w[32,1,3,3]", 2 },
    { "keypoint", "conv2d", "pad=1", "x[32,32,48,48] w[64,32,3,3]", 3 },
    { "keypoint", "conv2d", "pad=1", "x[32,64,24,24] w[128,64,3,3]", 3 },
    { "keypoint", "conv2d", "pad=1", "x[32,128,12,12] w[256,128,3,3]", 3 },
    { "unet", "conv2d", "pad=1", "x[4,16,240,240] w[16,16,3,3]", 3 },
    { "unet", "conv2d", "pad=1", "x[4,64,60,60] w[64,64,3,3]", 3 },
    { "unet", "conv2d", "pad=1", "x[4,128,30,30] w[128,128,3,3]", 3 },
    { "unet", "conv2d", NULL, "x[4,16,240,240] w[23,16,1,1] b[23]", 7 },
    { "unet", "conv_transpose2d", "stride=2", "x[4,128,30,30] w[128,64,2,2] b[64]", 7 },
    { "unet", "conv_transpose2d", "stride=2", "x[4,32,120,120] w[32,16,2,2] b[16]", 7 },
    /* norms */
    { "cnn", "batchnorm_relu", NULL, "x[128,32,32,32]" NORM("32"), 7 },
    { "cnn", "batchnorm_relu", NULL, "x[128,128,8,8]" NORM("128"), 7 },
    { "resnet20", "batchnorm", NULL, "x[128,16,32,32]" NORM("16"), 7 },
    { "resnet20", "batchnorm_add_relu", NULL, "x[128,16,32,32]" NORM("16") " r[128,16,32,32]", 71 },
    { "unet", "batchnorm_relu", NULL, "x[4,16,240,240]" NORM("16"), 7 },
    { "unet", "groupnorm", "groups=4", "x[4,16,240,240] w[16] b[16]", 7 },
    { "gpt", "layernorm", NULL, "x[32,128,128] w[128] b[128]", 7 },
    /* pooling */
    { "cnn", "maxpool2d", "kernel=2", "x[128,32,32,32]", 1 },
    { "keypoint", "maxpool2d", "kernel=2", "x[32,32,96,96]", 1 },
    { "unet", "maxpool2d", "kernel=2", "x[4,16,240,240]", 1 },
    { "resnet20", "adaptive_avgpool2d", NULL, "x[128,64,8,8]", 1 },
    { "cnn", "avgpool2d", "kernel=2", "x[128,32,32,32]", 1 },
    /* element-wise */
    { "cnn", "relu", NULL, "x[128,32,32,32]", 1 },
    { "gpt", "gelu", NULL, "x[32,128,512]", 1 },
    { "gpt", "silu", NULL, "x[32,128,512]", 1 },
    { "gpt", "sigmoid", NULL, "x[32,128,512]", 1 },
    { "gpt", "tanh", NULL, "x[32,128,512]", 1 },
    { "gpt", "exp", NULL, "x[32,128,512]", 1 },
    { "gpt", "add", NULL, "a[32,128,128] b[32,128,128]", 3 },
    { "gpt", "add", NULL, "a[32,128,128] b[128,128]", 3 },
    { "gpt", "mul", NULL, "a[32,128,128] b[32,128,128]", 3 },
    { "resnet20", "add_relu", NULL, "a[128,16,32,32] b[128,16,32,32]", 3 },
    { "keypoint", "dropout", "p=0.3", "x[32,512]", 1 },
    /* shapes, tables, losses */
    { "unet", "concat", NULL, "a[4,16,240,240] b[4,16,240,240]", 3 },
    { "unet", "concat", NULL, "a[4,64,60,60] b[4,64,60,60]", 3 },
    { "gpt", "transpose", "perm=[0,2,1]", "x[32,128,512]", 1 },
    { "gpt", "embedding", NULL, "x[32,128]:0..64 w[65,128]", 2 },
    { "lstm", "embedding", "padding_idx=0", "x[32,110]:0..5001 w[5002,150]", 2 },
    { "gpt", "softmax", NULL, "x[32,128,65]", 1 },
    { "gpt", "cross_entropy", "axis=-1", "x[32,128,65] y[32,128]:0..64", 1 },
    { "unet", "cross_entropy", "ignore_index=-1", "x[4,23,240,240] y[4,240,240]:0..22", 1 },
    { "cnn", "cross_entropy", NULL, "x[128,10] y[128]:0..9", 1 },
    { "ae", "mse", NULL, "a[128,784] b[128,784]", 1 },
    { "lstm", "bce_logits", NULL, "x[32,1] t[32,1]:0..1", 1 },
    /* between layouts */
    { "cnn", "reorder", NULL, "x[128,32,32,32]", 0 },
    { "unet", "reorder", NULL, "x[4,16,240,240]", 0 },
    { "keypoint", "reorder", NULL, "x[32,256,6,6]", 0 },
};

#endif
