/* maxpool2d, avgpool2d, adaptive_avgpool2d on plain and channel-blocked layouts, a run (a block of channels of one picture) at a time.
 * maxpool2d keeps a byte for every output: which place of its window won. */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <string.h>

enum { GRAIN = 16384, MOST_PLACES = 256 };

typedef struct pool_state {
    const grd_cpu_table *cpu;
    grd_pool_job job;
    int64_t runs, in, out; /* elements of a run */
    bool max;
} pool_state;

typedef struct runs { const pool_state *s; const grd_args *a; } runs;

static void forward_runs(void *ctx, int64_t begin, int64_t end)
{
    const runs *r = ctx;
    const pool_state *s = r->s;
    const float *x = r->a->in[0];
    float *y = (float *)(void *)r->a->out[0];
    uint8_t *where = r->a->save;
    for (int64_t i = begin; i < end; i++) {
        if (s->max)
            s->cpu->maxpool(&s->job, x + i * s->in, y + i * s->out, where ? where + i * s->out : NULL);
        else
            s->cpu->avgpool(&s->job, x + i * s->in, y + i * s->out);
    }
}

static void backward_runs(void *ctx, int64_t begin, int64_t end)
{
    const runs *r = ctx;
    const pool_state *s = r->s;
    const float *dy = (const float *)(const void *)r->a->dout[0];
    float *dx = (float *)(void *)r->a->din[0];
    for (int64_t i = begin; i < end; i++) {
        if (s->max)
            s->cpu->maxpool_grad(&s->job, dy + i * s->out, (const uint8_t *)r->a->save + i * s->out, dx + i * s->in);
        else
            s->cpu->avgpool_grad(&s->job, dy + i * s->out, dx + i * s->in);
    }
}

static int64_t grain(const pool_state *s) { return s->in >= GRAIN ? 1 : GRAIN / s->in; }

static void forward(const grd_impl *impl, const grd_args *a)
{
    const pool_state *s = impl->state;
    grd_parallel_for(impl->threads, s->runs, grain(s), forward_runs, &(runs){ s, a });
}

static void backward(const grd_impl *impl, const grd_args *a)
{
    const pool_state *s = impl->state;
    if (a->din[0])
        grd_parallel_for(impl->threads, s->runs, grain(s), backward_runs, &(runs){ s, a });
}

static grd_pool_job job_of(const grd_node *node, const grd_planes *p)
{
    grd_pool_job j = { .h = p->height, .w = p->width, .oh = node->out_shape->dim[2], .ow = node->out_shape->dim[3], .lanes = p->lanes };
    if (strcmp(node->op->name, "adaptive_avgpool2d") == 0) {
        j.adaptive = true;
        return j;
    }
    const grd_pool2d_opts *o = node->attr;
    j.kernel_h = o->kernel;
    j.kernel_w = o->kernel_w;
    j.stride_h = o->stride ? o->stride : o->kernel;
    j.stride_w = o->stride_w ? o->stride_w : o->kernel_w;
    j.pad_h = o->pad;
    j.pad_w = o->pad_w;
    j.count_pad = !o->no_count_pad;
    return j;
}

GRD_CPU_PREPARE(grd_cpu_pool)
{
    static const grd_layout plain;
    grd_planes p;
    const grd_layout *layout = &node->in_layout[0];
    if (layout->kind != GRD_LAYOUT_BLOCKED || !grd_planes_of(layout, node->in_shape, &p))
        layout = &plain;
    pool_state *s = GRD_NEW(env->host, pool_state);
    if (!s)
        return "out of memory";
    impl->state = s;
    impl->owns_state = true;
    if (layout == &plain)
        p = (grd_planes){ .n = node->in_shape->dim[0], .blocks = node->in_shape->dim[1], .lanes = 1, .height = node->in_shape->dim[2],
                          .width = node->in_shape->dim[3] };
    s->cpu = grd_cpu();
    s->job = job_of(node, &p);
    s->max = strcmp(node->op->name, "maxpool2d") == 0;
    if (s->max && s->job.kernel_h * s->job.kernel_w > MOST_PLACES)
        return "a window of more than 256 places";
    s->runs = p.n * p.blocks;
    s->in = s->job.h * s->job.w * p.lanes;
    s->out = s->job.oh * s->job.ow * p.lanes;
    impl->in[0] = *layout;
    impl->out[0] = grd_planes_layout(layout, node->out_shape);
    if (s->max) {
        impl->save = (size_t)(s->runs * s->out);
        impl->private_save = true;
    }
    impl->run = forward;
    if (pass == GRD_BACKWARD) {
        impl->din[0] = *layout;
        impl->dout[0] = impl->out[0];
        impl->run = backward;
    }
    return NULL;
}
