/* conv2d. */
#include "op/rows/conv.h"

static grd_status shape(grd_infer *f) { return conv_shape(f, f->attr); }

static void forward(const grd_args *a) { conv_forward(a, a->attr); }

static void backward(const grd_args *a) { conv_backward(a, a->attr, a->dout[0]); }

static const grd_option options[] = { CONV2D_OPTIONS(grd_f_conv2d_opts, ), GRD_END };

static const grd_op_sample samples[] = {
    { "pad=1", "x[2,3,5,6] w[4,3,3,3] b[4]" },
    { "stride=2 pad=[0,2]", "x[2,2,7,5] w[3,2,3,2]" },
    { "dilation=[2,1] groups=2", "x[1,4,6,5] w[6,2,2,3] b[6]" },
    { "groups=3 stride=[1,3]", "x[2,3,3,7] w[3,1,1,1]" },
    { "pad=3 stride=[3,2] dilation=2", "x[1,1,2,3] w[2,1,3,3]" },
    { "pad=1", "x[1,16,6,6] w[32,16,3,3] b[32]" },
};

const grd_op GRD_ROW(conv2d) = {
    .name = "conv2d",
    .doc = "Cross-correlation of pictures with kernels, as every framework's convolution.\n"
           "y[n,o,i,j] = b[o] + sum_{c,k,l} w[o,c,k,l] x[n,c, i stride + k dilation - pad, j stride + l dilation - pad]\n"
           "dx = W^T dy, the transposed convolution (W the matrix that takes x to y); dw[o,c] = sum_n dy[n,o] * x[n,c], a\n"
           "correlation too; db[o] = sum of dy[:,o]\n"
           "x [N,C,H,W], w [O,C/groups,KH,KW], b [O] or none; c runs over the channels of o's group, x is 0 outside.\n"
           "Output size floor((H + 2 pad - dilation (K - 1) - 1) / stride) + 1.\n"
           "LeCun et al. 1989",
    .n_in = 3,
    .n_in_min = 2,
    .n_out = 1,
    .in_names = "x w b",
    .bwd_in = 3,
    .options = options,
    .options_size = sizeof(grd_f_conv2d_opts),
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
