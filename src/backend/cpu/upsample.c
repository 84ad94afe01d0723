/* upsample on plain and channel-blocked layouts, a run (a block of channels of one picture) at a time. Where each output lies, and
 * which outputs each place feeds, is worked out once for each axis. */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"

#include "base/parallel.h"

enum { GRAIN = 16384 }; /* elements */

typedef struct upsample_state {
    const grd_cpu_table *cpu;
    grd_upsample_job job;
    int64_t runs, in, out; /* elements of a run */
    bool bilinear;
} upsample_state;

typedef struct runs { const upsample_state *s; const grd_args *a; } runs;

static void forward_runs(void *ctx, int64_t begin, int64_t end)
{
    const runs *r = ctx;
    const upsample_state *s = r->s;
    const float *x = r->a->in[0];
    float *y = (float *)(void *)r->a->out[0];
    for (int64_t i = begin; i < end; i++)
        (s->bilinear ? s->cpu->upsample_bilinear : s->cpu->upsample_nearest)(&s->job, x + i * s->in, y + i * s->out);
}

static void backward_runs(void *ctx, int64_t begin, int64_t end)
{
    const runs *r = ctx;
    const upsample_state *s = r->s;
    const float *dy = (const float *)(const void *)r->a->dout[0];
    float *dx = (float *)(void *)r->a->din[0];
    for (int64_t i = begin; i < end; i++)
        s->cpu->upsample_grad(&s->job, dy + i * s->out, dx + i * s->in);
}

static int64_t grain(const upsample_state *s)
{
    const int64_t most = s->in > s->out ? s->in : s->out;
    return most >= GRAIN ? 1 : GRAIN / most;
}

static void forward(const grd_impl *impl, const grd_args *a)
{
    const upsample_state *s = impl->state;
    grd_parallel_for(impl->threads, s->runs, grain(s), forward_runs, &(runs){ s, a });
}

static void backward(const grd_impl *impl, const grd_args *a)
{
    const upsample_state *s = impl->state;
    if (a->din[0])
        grd_parallel_for(impl->threads, s->runs, grain(s), backward_runs, &(runs){ s, a });
}

/* ---- the axes ---- */

static grd_upsample_tap tap_of(const grd_upsample_opts *o, int64_t at, int64_t in, int64_t out)
{
    if (o->mode == 0) {
        const int32_t place = (int32_t)(at * in / out);
        return (grd_upsample_tap){ place, place, 0 };
    }
    const bool align = o->align_corners;
    const int64_t above = align ? at * (in - 1) : (2 * at + 1) * in - out, below = align ? out - 1 : 2 * out;
    if (above < 0 || below == 0)
        return (grd_upsample_tap){ 0, in > 1, 0 };
    const int64_t low = above / below;
    return (grd_upsample_tap){ (int32_t)low, (int32_t)(low + (low < in - 1)), (float)(above % below) / (float)below };
}

/* Outputs run from left to right with the places they read, so those of a place are neighbours; an output has two at most. */
static void fill_axis(const grd_upsample_axis *axis, grd_upsample_tap *tap, grd_upsample_touch *touch, float *weight,
                      const grd_upsample_opts *o)
{
    for (int64_t at = 0; at < axis->out; at++)
        tap[at] = tap_of(o, at, axis->in, axis->out);
    int64_t used = 0, begin = 0;
    for (int64_t i = 0; i < axis->in; i++) {
        while (begin < axis->out && tap[begin].high < i)
            begin++;
        int64_t at = begin;
        touch[i].first = used;
        for (; at < axis->out && tap[at].low <= i; at++)
            weight[used++] = (tap[at].low == i ? 1 - tap[at].part : 0) + (tap[at].high == i ? tap[at].part : 0);
        touch[i].begin = (int32_t)begin;
        touch[i].end = (int32_t)at;
    }
}

/* The state and behind it the tables of both axes; NULL: no memory. */
static upsample_state *new_state(grd_host *host, int64_t h, int64_t w, int64_t oh, int64_t ow, const grd_upsample_opts *o)
{
    const int64_t out = oh + ow, in = h + w;
    upsample_state *s = grd_alloc(host, sizeof *s + sizeof(grd_upsample_touch) * (size_t)in +
                                        (sizeof(grd_upsample_tap) + 2 * sizeof(float)) * (size_t)out);
    if (!s)
        return NULL;
    grd_upsample_touch *touch = (grd_upsample_touch *)(s + 1);
    grd_upsample_tap *tap = (grd_upsample_tap *)(touch + in);
    float *weight = (float *)(tap + out);
    s->job.y = (grd_upsample_axis){ h, oh, tap, touch, weight };
    s->job.x = (grd_upsample_axis){ w, ow, tap + oh, touch + h, weight + 2 * oh };
    fill_axis(&s->job.y, tap, touch, weight, o);
    fill_axis(&s->job.x, tap + oh, touch + h, weight + 2 * oh, o);
    return s;
}

GRD_CPU_PREPARE(grd_cpu_upsample)
{
    static const grd_layout plain;
    const grd_upsample_opts *o = node->attr;
    const grd_shape *x = node->in_shape, *y = node->out_shape;
    const int last = x->rank - 1;
    const grd_layout *layout = &node->in_layout[0];
    grd_planes p;
    if (layout->kind != GRD_LAYOUT_BLOCKED || !grd_planes_of(layout, x, &p)) {
        layout = &plain;
        p = (grd_planes){ .n = x->dim[0], .blocks = x->dim[1], .lanes = 1 };
    }
    upsample_state *s = new_state(env->host, last == 3 ? x->dim[2] : 1, x->dim[last], last == 3 ? y->dim[2] : 1, y->dim[last], o);
    if (!s)
        return "out of memory";
    impl->state = s;
    impl->owns_state = true;
    s->cpu = grd_cpu();
    s->bilinear = o->mode != 0;
    s->job.lanes = p.lanes;
    s->runs = grd_planes_count(&p);
    s->in = s->job.y.in * s->job.x.in * p.lanes;
    s->out = s->job.y.out * s->job.x.out * p.lanes;
    impl->in[0] = *layout;
    impl->out[0] = grd_planes_layout(layout, y);
    impl->run = forward;
    if (pass == GRD_BACKWARD) {
        impl->din[0] = *layout;
        impl->dout[0] = impl->out[0];
        impl->run = backward;
    }
    return NULL;
}
