/* conv_transpose2d: the gradient of a conv2d that takes y to x, as an op of its own. The loops are that convolution's. */
#include "op/rows/conv.h"

/* The convolution whose pictures are our outputs and whose outputs are our pictures. */
static conv_axis mirrored_axis(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t output_pad, int64_t dilation)
{
    int64_t out = (in - 1) * stride - 2 * pad + dilation * (kernel - 1) + output_pad + 1;
    return (conv_axis){ out, kernel, in, stride, pad, dilation };
}

static conv_dims mirrored_dims(const grd_shape *in, const grd_f_conv_transpose2d_opts *o)
{
    const grd_shape *x = &in[0], *w = &in[1];
    return (conv_dims){ x->dim[0], o->groups, w->dim[1], x->dim[1] / o->groups,
                        mirrored_axis(x->dim[2], w->dim[2], o->stride, o->pad, o->output_pad, o->dilation),
                        mirrored_axis(x->dim[3], w->dim[3], o->stride_w, o->pad_w, o->output_pad_w, o->dilation_w) };
}

static bool wide_output_pad(int64_t output_pad, int64_t stride, int64_t dilation)
{
    return output_pad >= (stride > dilation ? stride : dilation);
}

static grd_status shape(grd_infer *f)
{
    const grd_f_conv_transpose2d_opts *o = f->attr;
    const grd_shape *x = &f->in[0], *w = &f->in[1];
    if (x->rank != 4 || w->rank != 4)
        return grd_refuse(f, "x [N,C,H,W] and w [C,O/groups,KH,KW] expected");
    if (x->dim[1] != w->dim[0])
        return grd_refuse(f, "channels of x and w differ");
    if (o->groups < 1 || x->dim[1] % o->groups)
        return grd_refuse(f, "%lld channels cannot be cut into %lld equal groups", (long long)x->dim[1], (long long)o->groups);
    int64_t outputs = w->dim[1] * o->groups;
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != outputs))
        return grd_refuse(f, "b must have %lld values, one per output channel", (long long)outputs);
    if (wide_output_pad(o->output_pad, o->stride, o->dilation) || wide_output_pad(o->output_pad_w, o->stride_w, o->dilation_w))
        return grd_refuse(f, "output_pad %lld x %lld must be less than stride or dilation", (long long)o->output_pad,
                          (long long)o->output_pad_w);
    conv_dims d = mirrored_dims(f->in, o);
    if (d.y.in < 1 || d.x.in < 1)
        return grd_refuse(f, "pad leaves nothing of the output");
    f->out[0] = (grd_shape){ 4, { x->dim[0], outputs, d.y.in, d.x.in } };
    f->flops = 2.0 * (double)grd_count(x) * (double)grd_span(w, 1, 4);
    return GRD_OK;
}

static void forward(const grd_args *a)
{
    const conv_dims d = mirrored_dims(a->in_shape, a->attr);
    const int64_t in = d.y.out * d.x.out, out = d.y.in * d.x.in, kernel = d.y.kernel * d.x.kernel;
    const int64_t inputs = d.groups * d.outputs, outputs = d.groups * d.inputs;
    const real *x = a->in[0], *w = a->in[1], *b = a->n_in > 2 ? a->in[2] : NULL;
    for (int64_t p = 0; p < d.batch * outputs; p++)
        for (int64_t e = 0; e < out; e++)
            a->out[0][p * out + e] = b ? b[p % outputs] : 0;
    for (int64_t p = 0; p < d.batch * inputs; p++) {
        const int64_t n = p / inputs, c = p % inputs, first = (n * d.groups + c / d.outputs) * d.inputs;
        for (int64_t o = 0; o < d.inputs; o++)
            conv_plane_dx(&d, x + p * in, w + (c * d.inputs + o) * kernel, a->out[0] + (first + o) * out);
    }
}

static void backward(const grd_args *a)
{
    const conv_dims d = mirrored_dims(a->in_shape, a->attr);
    const int64_t in = d.y.out * d.x.out, out = d.y.in * d.x.in, kernel = d.y.kernel * d.x.kernel;
    const int64_t inputs = d.groups * d.outputs, outputs = d.groups * d.inputs;
    const real *x = a->in[0], *w = a->in[1], *dy = a->dout[0];
    real *dx = a->din[0], *dw = a->din[1], *db = a->n_in > 2 ? a->din[2] : NULL;
    for (int i = 0; i < a->n_in; i++)
        if (a->din[i])
            set_zero(a->din[i], grd_count(&a->in_shape[i]));
    for (int64_t p = 0; p < d.batch * inputs; p++) {
        const int64_t n = p / inputs, c = p % inputs, first = (n * d.groups + c / d.outputs) * d.inputs;
        for (int64_t o = 0; dx && o < d.inputs; o++)
            conv_plane(&d, dy + (first + o) * out, w + (c * d.inputs + o) * kernel, dx + p * in);
        for (int64_t o = 0; dw && o < d.inputs; o++)
            conv_plane_dw(&d, dy + (first + o) * out, x + p * in, dw + (c * d.inputs + o) * kernel);
    }
    for (int64_t p = 0; db && p < d.batch * outputs; p++)
        db[p % outputs] += (real)sum_of(dy + p * out, out);
}

static const grd_option options[] = {
    GRD_PAIR(grd_f_conv_transpose2d_opts, stride, 1, 1, 1e6, "step of the window over the output"),
    GRD_PAIR(grd_f_conv_transpose2d_opts, pad, 0, 0, 1e6, "border of the output that is left out"),
    GRD_PAIR(grd_f_conv_transpose2d_opts, output_pad, 0, 0, 1e6, "rows and columns more at the output's end"),
    GRD_PAIR(grd_f_conv_transpose2d_opts, dilation, 1, 1, 1e6, "distance of kernel points"),
    GRD_INT(grd_f_conv_transpose2d_opts, groups, 1, 1, 1e9, "channel groups that do not see each other"),
    GRD_END,
};

static const grd_op_sample samples[] = {
    { "stride=2", "x[2,3,3,4] w[3,2,2,2] b[2]" },
    { "pad=1", "x[1,2,4,5] w[2,3,3,3]" },
    { "stride=[2,3] pad=[1,0] output_pad=[1,2] groups=2", "x[2,4,3,2] w[4,2,3,2] b[4]" },
    { "dilation=[2,1] stride=[1,2]", "x[1,2,3,4] w[2,1,2,3] b[1]" },
    { "stride=2", "x[1,32,4,4] w[32,16,2,2] b[16]" },
};

const grd_op GRD_ROW(conv_transpose2d) = {
    .name = "conv_transpose2d",
    .doc = "Transposed convolution: each value of x lays its kernel, times itself, onto the output; what overlaps adds up.\n"
           "y = W^T x + b, W the matrix of the conv2d that takes y to x\n"
           "dx = W dy, that convolution of dy; dw[c,o] = sum_n x[n,c] * dy[n,o], a correlation; db[o] = sum of dy[:,o]\n"
           "x [N,C,H,W], w [C,O/groups,KH,KW], b [O] or none.\n"
           "Output size (H - 1) stride - 2 pad + dilation (K - 1) + output_pad + 1.\n"
           "Zeiler et al. 2010",
    .n_in = 3,
    .n_in_min = 2,
    .n_out = 1,
    .in_names = "x w b",
    .bwd_in = 3,
    .options = options,
    .options_size = sizeof(grd_f_conv_transpose2d_opts),
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
