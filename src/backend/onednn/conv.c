/* conv2d, conv2d_act and conv_transpose2d. oneDNN chooses the layouts of forward (format any); backward keeps those of x and y and
 * chooses the weights' anew. Weights in groups have one dimension more for oneDNN than for us, transposed ones another order, those
 * of Winograd a form only it knows: they stay plain outside and are reordered inside the step. Each direction runs by Winograd if
 * the rule and oneDNN say so, else directly. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/planes.h"
#include "backend/onednn/program.h"

#include "base/parallel.h"
#include "op/fused.h"

#include <stdio.h>
#include <string.h>

enum { GRAIN = 16384 }; /* elements a thread */

typedef struct conv_state {
    grd_dnn_program program;
    const grd_cpu_table *cpu;
    int64_t elements;    /* of y, padding included */
    int act;
    float slope;
    size_t dz;           /* where dz is in scratch */
    grd_planes planes;   /* of dy, for db */
    size_t sums;         /* where those of each run of dy are in scratch */
} conv_state;

/* What prepare works with. Descriptors are released together. */
typedef struct builder {
    const grd_node *node;
    grd_dnn_program *p;
    shim_conv geometry;
    int act;
    float slope;
    bool bias, exact;
    int w_rank;          /* 5 with groups */
    int64_t w_dims[5];   /* [groups] outputs, inputs, height, width */
    int64_t outputs;
    bool same_weights;   /* oneDNN sees them as we do */
    shim_md any_x, any_w, any_y, b, plain_w;
    int made;            /* how many of the five */
    dnnl_primitive_desc_t forward, winograd; /* forward ones; winograd NULL: not by it */
} builder;

static shim_md_in described(dnnl_primitive_desc_t pd, dnnl_query_t what) { return dnnl_primitive_desc_query_md(pd, what, 0); }

/* ---- activation and its gradient, on y's layout ---- */

typedef struct act_job { const conv_state *s; const grd_args *args; } act_job;

/* Only relu: oneDNN's own turns NaN into 0. */
static void relu_range(void *ctx, int64_t begin, int64_t end)
{
    const act_job *j = ctx;
    grd_act_job act = {
        .y = (float *)(void *)j->args->out[0] + begin, .rows = 1, .cols = end - begin, .ld = end - begin, .act = GRD_ACT_RELU
    };
    j->s->cpu->act_bias(&act);
}

static void relu_forward(const grd_impl *impl, const grd_args *args)
{
    act_job job = { impl->state, args };
    grd_parallel_for(impl->threads, job.s->elements, GRAIN, relu_range, &job);
}

static void gradient_range(void *ctx, int64_t begin, int64_t end)
{
    const act_job *j = ctx;
    const conv_state *s = j->s;
    grd_act_job act = { .y = (float *)(void *)j->args->out[0] + begin,
                        .dy = (const float *)(const void *)j->args->dout[0] + begin,
                        .dz = (float *)(void *)((char *)j->args->scratch + s->dz) + begin,
                        .rows = 1,
                        .cols = end - begin,
                        .ld = end - begin,
                        .act = s->act,
                        .slope = s->slope };
    s->cpu->act_gradient(&act);
}

static void gradient_before(const grd_impl *impl, const grd_args *args)
{
    act_job job = { impl->state, args };
    grd_parallel_for(impl->threads, job.s->elements, GRAIN, gradient_range, &job);
}

/* ---- the bias's gradient, where oneDNN adds one float to the next ---- */

static double *sums_in(const act_job *j) { return (double *)(void *)((char *)j->args->scratch + j->s->sums); }

static void sum_runs(void *ctx, int64_t begin, int64_t end)
{
    static const float zeros[16];
    const act_job *j = ctx;
    const grd_planes *p = &j->s->planes;
    for (int64_t i = begin; i < end; i++) {
        const float *dy = (const float *)(const void *)j->args->dout[0] + i * grd_planes_run(p);
        double *sum = sums_in(j) + i * p->lanes, squares[16] = { 0 };
        for (int64_t l = 0; l < p->lanes; l++)
            sum[l] = 0;
        j->s->cpu->bn_sums(dy, zeros, p->rows, p->lanes, sum, squares);
    }
}

static void bias_after(const grd_impl *impl, const grd_args *args)
{
    act_job job = { impl->state, args };
    const grd_planes *p = &job.s->planes;
    const int64_t outputs = args->out_shape[0].dim[1];
    const double *sum = sums_in(&job);
    grd_parallel_for(impl->threads, grd_planes_count(p), 1, sum_runs, &job);
    for (int64_t o = 0; o < outputs; o++) {
        double total = 0;
        for (int64_t n = 0; n < p->n; n++)
            total += sum[n * p->channels + o];
        ((float *)(void *)args->din[2])[o] = (float)total;
    }
}

/* Whether db is ours. */
static bool build_bias(builder *c, const grd_impl *impl)
{
    conv_state *s = (conv_state *)(void *)c->p;
    if (!c->geometry.transposed || !grd_planes_of(&impl->dout[0], &c->node->out_shape[0], &s->planes) || s->planes.lanes > 16)
        return false;
    s->cpu = grd_cpu();
    s->sums = grd_dnn_temp(c->p, sizeof(double) * (size_t)(s->planes.n * s->planes.channels)).offset;
    c->p->after = bias_after;
    return true;
}

/* ---- descriptors ---- */

static void read_conv(builder *c, const grd_f_conv2d_opts *o)
{
    const int64_t *w = c->node->in_shape[1].dim, g = o->groups;
    c->geometry = (shim_conv){ .stride = { o->stride, o->stride_w },
                               .dilation = { o->dilation - 1, o->dilation_w - 1 },
                               .pad = { o->pad, o->pad_w },
                               .pad_end = { o->pad, o->pad_w } };
    c->outputs = w[0];
    c->w_rank = g > 1 ? 5 : 4;
    c->same_weights = g == 1;
    if (g > 1)
        memcpy(c->w_dims, (const int64_t[]){ g, w[0] / g, w[1], w[2], w[3] }, sizeof c->w_dims);
    else
        memcpy(c->w_dims, w, 4 * sizeof *w);
}

static void read_transposed(builder *c, const grd_f_conv_transpose2d_opts *o)
{
    const int64_t *w = c->node->in_shape[1].dim, g = o->groups;
    c->geometry = (shim_conv){ .stride = { o->stride, o->stride_w },
                               .dilation = { o->dilation - 1, o->dilation_w - 1 },
                               .pad = { o->pad, o->pad_w },
                               .pad_end = { o->pad - o->output_pad, o->pad_w - o->output_pad_w },
                               .transposed = true };
    c->outputs = w[1] * g;
    c->w_rank = g > 1 ? 5 : 4;
    if (g > 1)
        memcpy(c->w_dims, (const int64_t[]){ g, w[1], w[0] / g, w[2], w[3] }, sizeof c->w_dims);
    else
        memcpy(c->w_dims, (const int64_t[]){ w[1], w[0], w[2], w[3] }, 4 * sizeof *w);
}

static void read_options(builder *c)
{
    const grd_node *n = c->node;
    c->bias = n->n_in > 2;
    if (strcmp(n->op->name, "conv_transpose2d") == 0) {
        read_transposed(c, n->attr);
    } else if (strcmp(n->op->name, "conv2d_act") == 0) {
        const grd_conv2d_act_opts *fused = n->attr;
        read_conv(c, &fused->conv);
        c->act = fused->act;
        c->slope = c->act == GRD_ACT_LEAKY_RELU ? (float)fused->slope : 0;
    } else {
        read_conv(c, n->attr);
    }
}

/* Our weights as they lie: [O,I,..] in order, or, transposed, [I,O,..] with inputs and outputs of w_dims changing places. */
static bool describe_weights(const builder *c, shim_md *md)
{
    dnnl_dims_t dims = { 0 }, stride = { 0 };
    int64_t step = 1;
    int o = c->w_rank - 4, order[5] = { 0, 1, 2, 3, 4 };
    if (c->geometry.transposed) {
        order[o] = o + 1;
        order[o + 1] = o;
    }
    for (int i = c->w_rank - 1; i >= 0; i--) {
        dims[order[i]] = c->w_dims[order[i]];
        stride[order[i]] = step;
        step *= c->w_dims[order[i]];
    }
    return shim_md_by_strides(md, c->w_rank, dims, stride) == dnnl_success;
}

static bool any_md(int rank, const int64_t *size, shim_md *md)
{
    dnnl_dims_t dims = { 0 };
    memcpy(dims, size, sizeof *size * (size_t)rank);
    return shim_md_by_tag(md, rank, dims, dnnl_format_tag_any) == dnnl_success;
}

static bool describe_all(builder *c)
{
    const grd_node *n = c->node;
    c->made = 0;
    if (!any_md(4, n->in_shape[0].dim, &c->any_x))
        return false;
    c->made++;
    if (!any_md(c->w_rank, c->w_dims, &c->any_w))
        return false;
    c->made++;
    if (!any_md(4, n->out_shape[0].dim, &c->any_y))
        return false;
    c->made++;
    if (!grd_dnn_plain(1, &c->outputs, &c->b))
        return false;
    c->made++;
    if (!describe_weights(c, &c->plain_w))
        return false;
    c->made++;
    return true;
}

static void release_all(builder *c)
{
    shim_md *all[] = { &c->any_x, &c->any_w, &c->any_y, &c->b, &c->plain_w };
    for (int i = 0; i < c->made; i++)
        shim_md_release(all[i]);
    if (c->forward)
        dnnl_primitive_desc_destroy(c->forward);
    if (c->winograd)
        dnnl_primitive_desc_destroy(c->winograd);
}

/* Attributes of the forward convolution: its activation in the same pass over y. */
static bool append_activation(const builder *c, dnnl_primitive_attr_t attr)
{
    static const dnnl_alg_kind_t kind[] = { [GRD_ACT_SIGMOID] = dnnl_eltwise_logistic, [GRD_ACT_TANH] = dnnl_eltwise_tanh,
                                            [GRD_ACT_LEAKY_RELU] = dnnl_eltwise_relu };
    dnnl_post_ops_t ops;
    if (c->act == GRD_ACT_NONE || c->act == GRD_ACT_RELU)
        return true;
    if (dnnl_post_ops_create(&ops) != dnnl_success)
        return false;
    bool ok = shim_append_eltwise(ops, kind[c->act], c->slope) == dnnl_success &&
              dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    dnnl_post_ops_destroy(ops);
    return ok;
}

/* A forward descriptor, or NULL. */
static dnnl_primitive_desc_t describe_forward(builder *c, dnnl_alg_kind_t algorithm, bool activate)
{
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd = NULL;
    shim_md_in b = c->bias ? SHIM_MD(c->b) : NULL;
    if (dnnl_primitive_attr_clone(&attr, c->p->attr) != dnnl_success)
        return NULL;
    c->geometry.algorithm = algorithm;
    bool made = (!activate || append_activation(c, attr)) &&
                shim_conv_forward(&pd, c->p->engine, &c->geometry, SHIM_MD(c->any_x), SHIM_MD(c->any_w), b, SHIM_MD(c->any_y),
                                  attr) == dnnl_success;
    dnnl_primitive_attr_destroy(attr);
    return made ? pd : NULL;
}

/* Where Winograd pays: 3x3 at stride 1 with 32 channels or more on both sides (measured; oneDNN has it for AVX-512 only). */
static bool winograd_pays(const builder *c)
{
    const int64_t *w = c->w_dims;
    const shim_conv *g = &c->geometry;
    bool plain_3x3 = c->same_weights && w[2] == 3 && w[3] == 3 && g->stride[0] == 1 && g->stride[1] == 1 && g->dilation[0] == 0 &&
                     g->dilation[1] == 0;
    return !c->exact && plain_3x3 && w[0] >= 32 && w[1] >= 32;
}

static void note_name(const dnnl_primitive_desc_t pd, grd_impl *impl)
{
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    snprintf(impl->name, sizeof impl->name, "%s", name);
}

/* The forward descriptor with its layouts: what runs forward, and the hint both backward ones ask for. NULL or the reason. */
static const char *choose_forward(builder *c, grd_impl *impl, bool activate)
{
    c->forward = describe_forward(c, dnnl_convolution_direct, activate);
    if (!c->forward)
        return "oneDNN has no convolution for these sizes";
    note_name(c->forward, impl);
    if (strncmp(impl->name, "ref", 3) == 0)
        return "oneDNN has only its reference code for these sizes";
    if (!winograd_pays(c))
        return NULL;
    c->winograd = describe_forward(c, dnnl_convolution_winograd, activate);
    bool fits = c->winograd &&
                dnnl_memory_desc_equal(described(c->winograd, dnnl_query_src_md), described(c->forward, dnnl_query_src_md)) &&
                dnnl_memory_desc_equal(described(c->winograd, dnnl_query_dst_md), described(c->forward, dnnl_query_dst_md));
    if (c->winograd && !fits) {
        dnnl_primitive_desc_destroy(c->winograd);
        c->winograd = NULL;
    }
    return NULL;
}

static const grd_dnn_slot slot_x = { GRD_DNN_IN, 0, 0 }, slot_w = { GRD_DNN_IN, 1, 0 }, slot_b = { GRD_DNN_IN, 2, 0 },
                          slot_y = { GRD_DNN_OUT, 0, 0 }, slot_dx = { GRD_DNN_DIN, 0, 0 }, slot_dw = { GRD_DNN_DIN, 1, 0 },
                          slot_db = { GRD_DNN_DIN, 2, 0 };

/* Where the primitive finds its weights: as they come, in the layout it wants, or reordered here. */
static grd_dnn_slot weights_in(builder *c, grd_impl *impl, shim_md_in wanted)
{
    grd_layout blocks;
    if (c->same_weights && shim_md_blocks(wanted, &blocks)) {
        impl->in[1] = grd_dnn_layout(wanted, &c->node->in_shape[1], "oihw");
        return slot_w;
    }
    return grd_dnn_reorder(c->p, SHIM_MD(c->plain_w), slot_w, wanted, GRD_DNN_NO_SLOT);
}

static conv_state *activation_state(builder *c, shim_md_in y)
{
    conv_state *s = (conv_state *)(void *)c->p;
    s->elements = (int64_t)(dnnl_memory_desc_get_size(y) / sizeof(float));
    s->cpu = grd_cpu();
    s->act = c->act;
    s->slope = c->slope;
    return s;
}

/* ---- forward ---- */

static void build_forward(builder *c, grd_impl *impl)
{
    dnnl_primitive_desc_t pd = c->winograd ? c->winograd : c->forward;
    shim_md_in x = described(pd, dnnl_query_src_md), w = described(pd, dnnl_query_weights_md);
    shim_md_in y = described(pd, dnnl_query_dst_md);
    note_name(pd, impl);
    activation_state(c, y);
    c->p->after = c->act == GRD_ACT_RELU ? relu_forward : NULL;
    grd_dnn_slot weights = weights_in(c, impl, w);
    impl->in[0] = grd_dnn_layout(x, &c->node->in_shape[0], "nchw");
    impl->out[0] = grd_dnn_layout(y, &c->node->out_shape[0], "nchw");
    grd_dnn_add(c->p, pd);
    grd_dnn_arg(c->p, DNNL_ARG_SRC, x, slot_x);
    grd_dnn_arg(c->p, DNNL_ARG_WEIGHTS, w, weights);
    if (c->bias)
        grd_dnn_arg(c->p, DNNL_ARG_BIAS, SHIM_MD(c->b), slot_b);
    grd_dnn_arg(c->p, DNNL_ARG_DST, y, slot_y);
}

/* ---- backward ---- */

/* By Winograd if that is to be and can be, else directly; NULL: neither. */
static dnnl_primitive_desc_t describe_backward_data(builder *c, shim_md_in x, shim_md_in y)
{
    dnnl_primitive_desc_t pd;
    for (int winograd = c->winograd != NULL; winograd >= 0; winograd--) {
        c->geometry.algorithm = winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
        if (shim_conv_backward_data(&pd, c->p->engine, &c->geometry, x, SHIM_MD(c->any_w), y, winograd ? c->winograd : c->forward,
                                    c->p->attr) == dnnl_success)
            return pd;
    }
    return NULL;
}

static bool is_reference(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return strncmp(name, "ref", 3) == 0;
}

static dnnl_primitive_desc_t try_backward_weights(builder *c, dnnl_alg_kind_t algorithm, shim_md_in x, shim_md_in b, shim_md_in y)
{
    dnnl_primitive_desc_t pd;
    bool winograd = algorithm == dnnl_convolution_winograd;
    c->geometry.algorithm = algorithm;
    return shim_conv_backward_weights(&pd, c->p->engine, &c->geometry, x, SHIM_MD(c->any_w), b, y,
                                      winograd ? c->winograd : c->forward, c->p->attr) == dnnl_success
               ? pd
               : NULL;
}

/* As for data; where oneDNN has only its reference code for the blocked layouts (few input channels on AVX2), on plain ones. */
static dnnl_primitive_desc_t describe_backward_weights(builder *c, shim_md_in x, shim_md_in b, shim_md_in y)
{
    dnnl_primitive_desc_t pd = c->winograd ? try_backward_weights(c, dnnl_convolution_winograd, x, b, y) : NULL;
    if (!pd)
        pd = try_backward_weights(c, dnnl_convolution_direct, x, b, y);
    if (!pd || !is_reference(pd))
        return pd;
    shim_md plain_x, plain_y;
    if (!grd_dnn_plain(4, c->node->in_shape[0].dim, &plain_x))
        return pd;
    if (grd_dnn_plain(4, c->node->out_shape[0].dim, &plain_y)) {
        dnnl_primitive_desc_t other = try_backward_weights(c, dnnl_convolution_direct, SHIM_MD(plain_x), b, SHIM_MD(plain_y));
        if (other && !is_reference(other)) {
            dnnl_primitive_desc_t swap = pd;
            pd = other;
            other = swap;
        }
        if (other)
            dnnl_primitive_desc_destroy(other);
        shim_md_release(&plain_y);
    }
    shim_md_release(&plain_x);
    return pd;
}

static void build_backward_data(builder *c, grd_impl *impl, shim_md_in x, shim_md_in y, grd_dnn_slot dz)
{
    dnnl_primitive_desc_t pd = describe_backward_data(c, x, y);
    if (!pd) {
        c->p->failed = true;
        return;
    }
    note_name(pd, impl);
    shim_md_in w = described(pd, dnnl_query_weights_md);
    grd_dnn_slot weights = weights_in(c, impl, w);
    impl->din[0] = grd_dnn_layout(x, &c->node->in_shape[0], "nchw");
    grd_dnn_add(c->p, pd);
    grd_dnn_arg(c->p, DNNL_ARG_DIFF_DST, y, dz);
    grd_dnn_arg(c->p, DNNL_ARG_WEIGHTS, w, weights);
    grd_dnn_arg(c->p, DNNL_ARG_DIFF_SRC, x, slot_dx);
    dnnl_primitive_desc_destroy(pd);
}

static void build_backward_weights(builder *c, grd_impl *impl, shim_md_in x, shim_md_in y, grd_dnn_slot dz, bool want_dw,
                                   bool want_db)
{
    dnnl_primitive_desc_t pd = describe_backward_weights(c, x, want_db ? SHIM_MD(c->b) : NULL, y);
    if (!pd) {
        c->p->failed = true;
        return;
    }
    shim_md_in dw = described(pd, dnnl_query_diff_weights_md);
    bool direct = want_dw && (c->same_weights || dnnl_memory_desc_equal(dw, SHIM_MD(c->plain_w)));
    grd_dnn_slot target = direct ? slot_dw : grd_dnn_temp(c->p, dnnl_memory_desc_get_size(dw));
    if (direct && c->same_weights)
        impl->din[1] = grd_dnn_layout(dw, &c->node->in_shape[1], "oihw");
    shim_md_in wanted_x = described(pd, dnnl_query_src_md), wanted_y = described(pd, dnnl_query_diff_dst_md);
    grd_dnn_slot from_x = grd_dnn_reorder(c->p, x, slot_x, wanted_x, GRD_DNN_NO_SLOT);
    grd_dnn_slot from_dz = grd_dnn_reorder(c->p, y, dz, wanted_y, GRD_DNN_NO_SLOT);
    if (!(c->node->want_din & 1))
        note_name(pd, impl);
    grd_dnn_add(c->p, pd);
    grd_dnn_arg(c->p, DNNL_ARG_SRC, wanted_x, from_x);
    grd_dnn_arg(c->p, DNNL_ARG_DIFF_DST, wanted_y, from_dz);
    grd_dnn_arg(c->p, DNNL_ARG_DIFF_WEIGHTS, dw, target);
    if (want_db)
        grd_dnn_arg(c->p, DNNL_ARG_DIFF_BIAS, SHIM_MD(c->b), slot_db);
    if (want_dw && target.from == GRD_DNN_TEMP)
        grd_dnn_reorder(c->p, dw, target, SHIM_MD(c->plain_w), slot_dw);
    dnnl_primitive_desc_destroy(pd);
}

static void build_backward(builder *c, grd_impl *impl)
{
    const grd_node *n = c->node;
    shim_md_in x = described(c->forward, dnnl_query_src_md), y = described(c->forward, dnnl_query_dst_md);
    impl->in[0] = grd_dnn_layout(x, &n->in_shape[0], "nchw");
    impl->dout[0] = impl->out[0] = grd_dnn_layout(y, &n->out_shape[0], "nchw");
    grd_dnn_slot dz = { GRD_DNN_DOUT, 0, 0 };
    if (c->act != GRD_ACT_NONE) {
        dz = grd_dnn_temp(c->p, dnnl_memory_desc_get_size(y));
        activation_state(c, y)->dz = dz.offset;
        c->p->before = gradient_before;
    }
    bool want_dw = n->want_din & 2, want_db = c->bias && (n->want_din & 4);
    if (n->want_din & 1)
        build_backward_data(c, impl, x, y, dz);
    if (want_dw && want_db && build_bias(c, impl))
        want_db = false;
    if (want_dw || want_db)
        build_backward_weights(c, impl, x, y, dz, want_dw, want_db);
}

GRD_PREPARE(grd_onednn_conv2d)
{
    builder c = { .node = node, .exact = env->exact_conv };
    read_options(&c);
    c.p = grd_dnn_open(env->host, sizeof(conv_state));
    if (!c.p)
        return "out of memory";
    const char *reason = NULL;
    c.p->failed |= !describe_all(&c);
    if (!c.p->failed)
        reason = choose_forward(&c, impl, pass == GRD_FORWARD);
    if (!c.p->failed && !reason) {
        if (pass == GRD_FORWARD)
            build_forward(&c, impl);
        else
            build_backward(&c, impl);
    }
    c.p->failed |= reason != NULL;
    const char *closed = grd_dnn_close(c.p, impl, env->host);
    release_all(&c);
    return reason ? reason : closed;
}
