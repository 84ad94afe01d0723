/* conv_transpose2d with kernel 2 at stride 2, the step up of a U-net, on pictures blocked by the instruction set's lanes. Threads share
 * the rows of the pictures. scratch: the weights as the products read them, or for their gradient each thread's sums. */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <stdio.h>

typedef struct upconv_state {
    const grd_cpu_table *cpu;
    grd_upconv_job job;      /* the sizes */
    int64_t lanes, rows;     /* rows of all pictures */
    int workers;
    size_t share;            /* floats of a worker's sums of weights and of bias */
} upconv_state;

typedef struct upconv_run {
    const upconv_state *s;
    grd_upconv_job job;
    bool data, bias;
    float *dw;
} upconv_run;

static void weights_range(void *ctx, int64_t begin, int64_t end)
{
    const upconv_run *r = ctx;
    r->s->cpu->upconv_weights(&r->job, r->data, begin, end);
}

static void rows_range(void *ctx, int64_t begin, int64_t end)
{
    const upconv_run *r = ctx;
    (r->data ? r->s->cpu->upconv_data : r->s->cpu->upconv_forward)(&r->job, begin, end);
}

static void convolve(upconv_run *r)
{
    const upconv_state *s = r->s;
    grd_parallel_for(s->workers, (r->data ? s->job.c : s->job.o) / s->lanes, 1, weights_range, r);
    grd_parallel_for(s->workers, s->rows, 1, rows_range, r);
}

static void forward(const grd_impl *impl, const grd_args *a)
{
    upconv_run r = { .s = impl->state };
    r.job = r.s->job;
    r.job.x = a->in[0];
    r.job.w = a->in[1];
    r.job.bias = a->n_in > 2 ? a->in[2] : NULL;
    r.job.y = (float *)(void *)a->out[0];
    r.job.u = a->scratch;
    convolve(&r);
}

static void correlate_workers(void *ctx, int64_t begin, int64_t end)
{
    const upconv_run *r = ctx;
    const upconv_state *s = r->s;
    for (int64_t k = begin; k < end; k++) {
        grd_upconv_job job = r->job;
        float *share = r->job.sums + s->share * (size_t)k;
        job.sums = r->dw ? share : NULL;
        job.db = r->bias ? share + 4 * job.c * job.o : NULL;
        s->cpu->upconv_correlate(&job, s->rows * k / s->workers, s->rows * (k + 1) / s->workers);
    }
}

static void fold_range(void *ctx, int64_t begin, int64_t end)
{
    const upconv_run *r = ctx;
    r->s->cpu->upconv_fold(&r->job, r->s->workers, (int64_t)r->s->share, r->dw, begin, end);
}

static void backward(const grd_impl *impl, const grd_args *a)
{
    const upconv_state *s = impl->state;
    float *db = a->n_in > 2 ? (float *)(void *)a->din[2] : NULL;
    upconv_run r = { .s = s, .job = s->job, .data = true, .bias = db != NULL, .dw = (float *)(void *)a->din[1] };
    r.job.x = a->in[0];
    r.job.w = a->in[1];
    r.job.dy = (const float *)(const void *)a->dout[0];
    r.job.dx = (float *)(void *)a->din[0];
    r.job.u = r.job.sums = a->scratch; /* one after the other */
    if (r.job.dx)
        convolve(&r);
    if (!r.dw && !db)
        return;
    grd_parallel_for(s->workers, s->workers, 1, correlate_workers, &r);
    if (r.dw)
        grd_parallel_for(s->workers, s->job.c, 1, fold_range, &r);
    for (int64_t o = 0; db && o < s->job.o; o++) {
        const float *part = r.job.sums + 4 * s->job.c * s->job.o + o;
        db[o] = *part;
        for (int k = 1; k < s->workers; k++)
            db[o] += part[s->share * (size_t)k];
    }
}

static const char *refusal(const grd_node *node, int64_t lanes)
{
    const grd_f_conv_transpose2d_opts *o = node->attr;
    const grd_shape *w = &node->in_shape[1];
    if (w->dim[2] != 2 || w->dim[3] != 2 || o->stride != 2 || o->stride_w != 2)
        return "not a 2x2 kernel at stride 2";
    if (o->pad || o->pad_w || o->output_pad || o->output_pad_w || o->dilation != 1 || o->dilation_w != 1 || o->groups != 1)
        return "padded, dilated or in groups";
    if (w->dim[0] % lanes || w->dim[1] % lanes)
        return "channels do not fill their blocks";
    return NULL;
}

GRD_CPU_PREPARE(grd_cpu_upconv)
{
    const grd_shape *x = &node->in_shape[0], *w = &node->in_shape[1];
    int lanes, unused;
    grd_cpu()->wino_sizes(&lanes, &unused);
    const char *reason = refusal(node, lanes);
    if (reason)
        return reason;
    upconv_state *s = GRD_NEW(env->host, upconv_state);
    if (!s)
        return "out of memory";
    *s = (upconv_state){ .cpu = grd_cpu(), .lanes = lanes, .rows = x->dim[0] * x->dim[2],
                         .job = { .c = w->dim[0], .o = w->dim[1], .height = x->dim[2], .width = x->dim[3] } };
    const int64_t weights = 4 * s->job.c * s->job.o, least = 1 + 1000000 / (weights * x->dim[3]); /* multiply-adds worth a thread */
    s->workers = (int)grd_cpu_pieces(env->threads, s->rows, least);
    s->share = (size_t)(weights + s->job.o);
    const grd_layout like = { .kind = GRD_LAYOUT_BLOCKED, .inner_size = { lanes } };
    impl->in[0] = impl->din[0] = grd_planes_layout(&like, &node->in_shape[0]);
    impl->out[0] = impl->dout[0] = grd_planes_layout(&like, &node->out_shape[0]);
    impl->scratch = sizeof(float) * (pass == GRD_FORWARD ? (size_t)weights : s->share * (size_t)s->workers);
    impl->state = s;
    impl->owns_state = true;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "2x2:%s", grd_isa_name());
    return NULL;
}
