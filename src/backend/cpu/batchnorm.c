/* batchnorm, batchnorm_relu, batchnorm_add_relu on plain and channel-blocked layouts. Channels are taken a few blocks at a time, so that
 * the second walk over them finds them in the cache. A picture's sums are kept apart and added in order: the result does not depend on
 * the number of threads.
 *
 *   save     floats: mean, 1/std, scale = w/std, shift = b, each for all channels with padding
 *   scratch  doubles: two sums for every picture and channel; then floats as in save (no backward), or offset, slope (backward) */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GRAIN = 16384 /* elements a thread */, CACHED = 2 << 20 /* elements of one input that stay in the cache */ };

typedef struct norm_state {
    const grd_cpu_table *cpu;
    grd_planes p;
    int64_t channels;  /* without padding */
    int64_t group;     /* blocks at a time */
    bool relu, add;
    bool constant;     /* running statistics are used */
    double eps, momentum, count;
} norm_state;

typedef struct norm_job {
    const norm_state *s;
    const grd_args *a;
    grd_bn_job bn;        /* of channel 0 */
    double *sums;
    int64_t first_block;
} norm_job;

/* Run i of the group: its first element, its first channel. */
typedef struct run_at {
    int64_t at, channel;
    double *sums; /* [2][lanes] */
} run_at;

static run_at find_run(const norm_job *j, int64_t i)
{
    const grd_planes *p = &j->s->p;
    int64_t block = j->first_block + i / p->n, picture = i % p->n;
    return (run_at){ (picture * p->blocks + block) * grd_planes_run(p), block * p->lanes,
                     j->sums + 2 * p->lanes * (block * p->n + picture) };
}

static grd_bn_job from_channel(const grd_bn_job *bn, int64_t c)
{
    grd_bn_job job = { bn->mean + c, bn->scale + c, bn->shift + c, NULL, NULL, bn->relu };
    if (bn->offset) {
        job.offset = bn->offset + c;
        job.slope = bn->slope + c;
    }
    return job;
}

/* Both sums of a channel over all pictures. */
static void add_up(const norm_job *j, int64_t c, double *first, double *second)
{
    const grd_planes *p = &j->s->p;
    const double *sums = j->sums + 2 * p->lanes * (c / p->lanes) * p->n + c % p->lanes;
    *first = *second = 0;
    for (int64_t i = 0; i < p->n; i++, sums += 2 * p->lanes) {
        *first += sums[0];
        *second += sums[p->lanes];
    }
}

/* fn over the runs of each group of blocks, `then` over its channels, `last` over its runs; any may be NULL. */
static void each_group(norm_job *j, int threads, void (*fn)(void *, int64_t, int64_t),
                       void (*then)(const norm_job *, int64_t begin, int64_t end), void (*last)(void *, int64_t, int64_t))
{
    const norm_state *s = j->s;
    int64_t run = grd_planes_run(&s->p), grain = run >= GRAIN ? 1 : GRAIN / run;
    for (int64_t b = 0; b < s->p.blocks; b += s->group) {
        int64_t blocks = b + s->group < s->p.blocks ? s->group : s->p.blocks - b;
        j->first_block = b;
        if (fn)
            grd_parallel_for(threads, blocks * s->p.n, grain, fn, j);
        then(j, b * s->p.lanes, (b + blocks) * s->p.lanes);
        if (last)
            grd_parallel_for(threads, blocks * s->p.n, grain, last, j);
    }
}

/* ---- forward ---- */

static void forward_sums(void *ctx, int64_t begin, int64_t end)
{
    const norm_job *j = ctx;
    const grd_planes *p = &j->s->p;
    const float *x = j->a->in[0];
    for (int64_t i = begin; i < end; i++) {
        run_at r = find_run(j, i);
        memset(r.sums, 0, sizeof *r.sums * 2 * (size_t)p->lanes);
        j->s->cpu->bn_sums(x + r.at, x + r.channel * p->rows, p->rows, p->lanes, r.sums, r.sums + p->lanes);
    }
}

static void next_state(const norm_job *j, int64_t c, double mean, double var)
{
    const norm_state *s = j->s;
    const grd_args *a = j->a;
    const float *old_mean = a->in[3], *old_var = a->in[4];
    float *to_mean = (float *)(void *)a->next_state[0], *to_var = (float *)(void *)a->next_state[1];
    double m = s->constant ? 0 : s->momentum;
    if (to_mean)
        to_mean[c] = (float)((1 - m) * (double)old_mean[c] + m * mean);
    if (to_var) /* the running variance is the unbiased one */
        to_var[c] = (float)((1 - m) * (double)old_var[c] + m * (s->constant ? var : var * s->count / (s->count - 1)));
}

static void find_statistics(const norm_job *j, int64_t begin, int64_t end)
{
    const norm_state *s = j->s;
    const float *x = j->a->in[0], *w = j->a->in[1], *b = j->a->in[2];
    float *mean = (float *)(uintptr_t)j->bn.mean, *rstd = mean + s->p.channels, *scale = rstd + s->p.channels,
          *shift = scale + s->p.channels;
    for (int64_t c = begin; c < end; c++) {
        double m, v;
        if (c >= s->channels) { /* padding stays zero */
            mean[c] = rstd[c] = scale[c] = shift[c] = 0;
            continue;
        }
        if (s->constant) {
            m = (double)((const float *)j->a->in[3])[c];
            v = (double)((const float *)j->a->in[4])[c];
        } else {
            double sum, square, k = (double)x[c / s->p.lanes * grd_planes_run(&s->p) + c % s->p.lanes];
            add_up(j, c, &sum, &square);
            sum /= s->count;
            v = square / s->count - sum * sum;
            v = v < 0 ? 0 : v;
            m = k + sum;
        }
        next_state(j, c, m, v);
        mean[c] = (float)m;
        rstd[c] = (float)(1 / sqrt(v + s->eps));
        scale[c] = rstd[c] * w[c];
        shift[c] = b[c];
    }
}

static void forward_apply(void *ctx, int64_t begin, int64_t end)
{
    const norm_job *j = ctx;
    const grd_args *a = j->a;
    for (int64_t i = begin; i < end; i++) {
        run_at r = find_run(j, i);
        grd_bn_job bn = from_channel(&j->bn, r.channel);
        j->s->cpu->bn_apply(&bn, (const float *)a->in[0] + r.at, j->s->add ? (const float *)a->in[6] + r.at : NULL,
                            (float *)(void *)a->out[0] + r.at, j->s->p.rows, j->s->p.lanes);
    }
}

static norm_job job_of(const norm_state *s, const grd_args *a, const float *statistics)
{
    int64_t c = s->p.channels;
    return (norm_job){ .s = s, .a = a, .sums = a->scratch,
                       .bn = { statistics, statistics + 2 * c, statistics + 3 * c, NULL, NULL, s->relu } };
}

static float *behind_sums(const norm_state *s, const grd_args *a)
{
    return (float *)((double *)a->scratch + 2 * s->p.n * s->p.channels);
}

static void forward(const grd_impl *impl, const grd_args *a)
{
    const norm_state *s = impl->state;
    norm_job j = job_of(s, a, a->save ? a->save : behind_sums(s, a));
    if (a->next_state[2])
        a->next_state[2][0] = ((const grd_real *)a->in[5])[0] + (s->constant ? 0 : 1);
    each_group(&j, impl->threads, s->constant ? NULL : forward_sums, find_statistics, forward_apply);
}

/* ---- backward ---- */

static const float *gate_of(const norm_job *j, int64_t at) /* with `add` the output itself, else x tells */
{
    return j->s->add && j->s->relu ? (const float *)(const void *)j->a->out[0] + at : NULL;
}

static void backward_sums(void *ctx, int64_t begin, int64_t end)
{
    const norm_job *j = ctx;
    const grd_planes *p = &j->s->p;
    const grd_args *a = j->a;
    for (int64_t i = begin; i < end; i++) {
        run_at r = find_run(j, i);
        grd_bn_job bn = from_channel(&j->bn, r.channel);
        memset(r.sums, 0, sizeof *r.sums * 2 * (size_t)p->lanes);
        j->s->cpu->bn_grad_sums(&bn, (const float *)a->in[0] + r.at, (const float *)(const void *)a->dout[0] + r.at,
                                gate_of(j, r.at), p->rows, p->lanes, r.sums, r.sums + p->lanes);
    }
}

static void find_gradients(const norm_job *j, int64_t begin, int64_t end)
{
    const norm_state *s = j->s;
    const float *rstd = j->bn.mean + s->p.channels;
    float *offset = (float *)(uintptr_t)j->bn.offset, *slope = (float *)(uintptr_t)j->bn.slope;
    float *dw = (float *)(void *)j->a->din[1], *db = (float *)(void *)j->a->din[2];
    for (int64_t c = begin; c < end; c++) {
        double sum, product, r = (double)rstd[c];
        add_up(j, c, &sum, &product);
        offset[c] = s->constant ? 0 : (float)(sum / s->count);
        slope[c] = s->constant ? 0 : (float)(product / s->count * r * r);
        if (dw && c < s->channels)
            dw[c] = (float)(product * r);
        if (db && c < s->channels)
            db[c] = (float)sum;
    }
}

static void backward_apply(void *ctx, int64_t begin, int64_t end)
{
    const norm_job *j = ctx;
    const grd_args *a = j->a;
    float *dx = (float *)(void *)a->din[0], *dadd = j->s->add ? (float *)(void *)a->din[6] : NULL;
    for (int64_t i = begin; i < end; i++) {
        run_at r = find_run(j, i);
        grd_bn_job bn = from_channel(&j->bn, r.channel);
        j->s->cpu->bn_grad(&bn, (const float *)a->in[0] + r.at, (const float *)(const void *)a->dout[0] + r.at, gate_of(j, r.at),
                           dx ? dx + r.at : NULL, dadd ? dadd + r.at : NULL, j->s->p.rows, j->s->p.lanes);
    }
}

static void backward(const grd_impl *impl, const grd_args *a)
{
    const norm_state *s = impl->state;
    norm_job j = job_of(s, a, a->save);
    j.bn.offset = behind_sums(s, a);
    j.bn.slope = j.bn.offset + s->p.channels;
    bool apply = a->din[0] || (s->add && a->din[6]);
    each_group(&j, impl->threads, backward_sums, find_gradients, apply ? backward_apply : NULL);
}

/* ---- prepare ---- */

static void fill_state(norm_state *s, const grd_node *node)
{
    const grd_f_batchnorm_opts *o = node->attr;
    s->cpu = grd_cpu();
    s->channels = node->in_shape[0].dim[1];
    s->relu = strcmp(node->op->name, "batchnorm") != 0;
    s->add = strcmp(node->op->name, "batchnorm_add_relu") == 0;
    s->constant = !node->train || o->frozen;
    s->eps = o->eps;
    s->momentum = o->momentum;
    s->count = (double)grd_count(&node->in_shape[0]) / (double)s->channels;
    int64_t block = s->p.n * grd_planes_run(&s->p);
    s->group = CACHED / block > 1 ? CACHED / block : 1;
}

GRD_CPU_PREPARE(grd_cpu_batchnorm)
{
    static const grd_layout plain;
    norm_state *s = GRD_NEW(env->host, norm_state);
    if (!s)
        return "out of memory";
    const grd_layout *layout = &node->in_layout[0];
    if (!grd_planes_of(layout, node->in_shape, &s->p)) {
        layout = &plain;
        grd_planes_of(layout, node->in_shape, &s->p); /* rank 2 and more: the shape rule has seen to it */
    }
    fill_state(s, node);
    impl->in[0] = impl->out[0] = *layout;
    if (s->add)
        impl->in[6] = *layout;
    size_t channels = (size_t)s->p.channels;
    impl->save = sizeof(float) * 4 * channels;
    impl->scratch = sizeof(double) * 2 * (size_t)s->p.n * channels + sizeof(float) * 4 * channels;
    impl->private_save = true;
    impl->state = s;
    impl->owns_state = true;
    impl->run = forward;
    if (pass == GRD_BACKWARD) {
        impl->dout[0] = impl->din[0] = *layout;
        if (s->add)
            impl->din[6] = *layout;
        impl->run = backward;
    }
    return NULL;
}
