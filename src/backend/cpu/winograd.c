/* conv2d and conv2d_act by Winograd: which ones, how they are cut and shared among threads. The arithmetic is in winograd_kernels.c.
 *
 * Pictures lie channel-blocked by the instruction set's lanes; weights, their gradient and bias plain. Forward and backward data are one
 * kernel (weights turned and transposed for the latter), threads taking tiles, so that their number changes no bit. Backward weights
 * sums over tiles: each thread its own, added in order at the end, so that bits depend on the number of threads (as on seed and data),
 * and on nothing else. */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/winograd.h"

#include "base/parallel.h"
#include "op/fused.h"

#include <stdio.h>
#include <string.h>

enum {
    CACHE = 576 * 1024, /* bytes of a group's transformed tiles: they and a point's weights stay in the second-level cache */
    LINE = 16           /* floats of a cache line */
};
static const double WAKE = 2e6; /* multiply-adds of direct convolution: below, a second thread costs more than it saves */

typedef struct wino_pass { /* one direction */
    grd_wino_map map;
    int workers;
    size_t u;              /* floats: transformed weights, shared */
    size_t v, t, sums, db; /* floats of a worker */
    size_t share;          /* their sum */
} wino_pass;

typedef struct wino_state {
    const grd_cpu_table *cpu;
    int64_t in, out;       /* channels */
    int act;
    float slope;
    wino_pass forward, data, weights;
} wino_state;

static const grd_f_conv2d_opts *conv_of(const grd_node *node)
{
    const grd_conv2d_act_opts *fused = node->attr;
    return strcmp(node->op->name, "conv2d_act") == 0 ? &fused->conv : node->attr;
}

/* ---- the rule ---- */

static int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Too much of the vectors would be padding. */
static bool wasteful(int64_t channels, int lanes) { return 3 * (rounded(channels, lanes) - channels) > rounded(channels, lanes); }

const char *grd_cpu_winograd_reason(const grd_node *node, int level)
{
    const grd_f_conv2d_opts *o = conv_of(node);
    const grd_shape *w = &node->in_shape[1];
    const int lanes = level == 2 ? 16 : 8;
    if (w->dim[2] != 3 || w->dim[3] != 3)
        return "Winograd is for 3x3 kernels";
    if (o->stride != 1 || o->stride_w != 1 || o->dilation != 1 || o->dilation_w != 1 || o->groups != 1)
        return "Winograd is for stride, dilation and groups of 1";
    if (o->pad > 2 || o->pad_w > 2)
        return "Winograd is for pads up to 2";
    if (w->dim[0] < 16 || w->dim[1] < 16 || wasteful(w->dim[0], lanes) || wasteful(w->dim[1], lanes))
        return "Winograd does not pay with so few channels";
    return NULL;
}

/* ---- cutting ---- */

static int64_t tiles_along(int64_t places, int m) { return (places + m - 1) / m; }

/* The scheme with fewer products; between equals the smaller, whose errors are smaller. */
static int tile_size(int64_t h, int64_t w)
{
    const int64_t four = 36 * tiles_along(h, 4) * tiles_along(w, 4), two = 16 * tiles_along(h, 2) * tiles_along(w, 2);
    return two <= four ? 2 : 4;
}

static int64_t all_tiles(const grd_wino_map *s) { return s->batch * s->tiles_h * s->tiles_w; }

/* An odd number of cache lines: the points of a tile do not all fall into one set of the cache. */
static int64_t odd_lines(int64_t floats) { return ((floats + LINE - 1) / LINE | 1) * LINE; }

static void cut(wino_pass *p, const grd_cpu_table *cpu, int threads)
{
    int lanes, rows;
    grd_wino_map *s = &p->map;
    cpu->wino_sizes(&lanes, &rows);
    s->m = tile_size(s->oh, s->ow);
    s->tiles_h = tiles_along(s->oh, s->m);
    s->tiles_w = tiles_along(s->ow, s->m);
    s->blocks = (s->channels + lanes - 1) / lanes;
    s->o_blocks = (s->o_channels + lanes - 1) / lanes;
    const int64_t tiles = all_tiles(s), points = (s->m + 2) * (s->m + 2), channels = (s->blocks + s->o_blocks) * lanes;
    const double work = 9.0 * (double)(s->batch * s->oh * s->ow) * (double)s->channels * (double)s->o_channels;
    p->workers = work < WAKE || tiles < 2 * rows ? 1 : threads;
    p->workers = p->workers > tiles / rows ? (int)(tiles / rows) : p->workers;
    p->workers = p->workers < 1 ? 1 : p->workers;
    s->group = CACHE / (int64_t)sizeof(float) / (points * channels) / rows * rows;
    s->group = s->group < 2 * rows ? 2 * rows : s->group;
    const int64_t most = (tiles + p->workers - 1) / p->workers;
    s->group = s->group > most ? most : s->group;
    s->v_step = odd_lines(s->group * s->blocks * lanes);
    s->m_step = odd_lines(s->group * s->o_blocks * lanes);
    p->v = (size_t)(points * s->v_step);
    p->t = (size_t)(points * s->m_step);
}

static void cut_convolution(wino_pass *p, const grd_cpu_table *cpu, int threads)
{
    int lanes, rows;
    cpu->wino_sizes(&lanes, &rows);
    cut(p, cpu, threads);
    p->map.u_step = odd_lines(p->map.channels * p->map.o_blocks * lanes);
    p->u = (size_t)((p->map.m + 2) * (p->map.m + 2) * p->map.u_step);
    p->share = p->v + p->t;
}

static void cut_gradient(wino_pass *p, const grd_cpu_table *cpu, int threads)
{
    int lanes, rows;
    cpu->wino_sizes(&lanes, &rows);
    cut(p, cpu, threads);
    p->map.u_step = odd_lines(p->map.blocks * lanes * p->map.o_blocks * lanes);
    p->sums = (size_t)((p->map.m + 2) * (p->map.m + 2) * p->map.u_step);
    p->db = (size_t)rounded(p->map.o_blocks * lanes, LINE);
    p->share = p->v + p->t + p->sums + p->db;
}

static size_t scratch_of(const wino_pass *p) { return sizeof(float) * (p->u + p->share * (size_t)p->workers); }

/* ---- convolution: forward, backward data ---- */

typedef struct wino_run {
    const wino_state *s;
    const wino_pass *pass;
    grd_wino_job job;      /* what all workers have in common */
    grd_wino_weights weights;
    float *scratch, *dw;
} wino_run;

static void weights_range(void *ctx, int64_t begin, int64_t end)
{
    const wino_run *r = ctx;
    r->s->cpu->wino_weights(&r->pass->map, &r->weights, begin, end);
}

static void convolve_workers(void *ctx, int64_t begin, int64_t end)
{
    const wino_run *r = ctx;
    const int64_t tiles = all_tiles(&r->pass->map), n = r->pass->workers;
    for (int64_t k = begin; k < end; k++) {
        grd_wino_job job = r->job;
        job.v = r->scratch + r->pass->u + r->pass->share * (size_t)k;
        job.t = job.v + r->pass->v;
        r->s->cpu->wino_convolve(&job, tiles * k / n, tiles * (k + 1) / n);
    }
}

static void convolve(wino_run *r)
{
    r->weights.u = r->scratch;
    r->job.u = r->scratch;
    r->job.map = &r->pass->map;
    grd_parallel_for(r->pass->workers, r->pass->map.channels, 1, weights_range, r);
    grd_parallel_for(r->pass->workers, r->pass->workers, 1, convolve_workers, r);
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    const wino_state *s = impl->state;
    wino_run r = { .s = s, .pass = &s->forward, .scratch = args->scratch };
    r.weights = (grd_wino_weights){ .w = args->in[1], .o_step = s->in * 9, .c_step = 9 };
    r.job = (grd_wino_job){ .x = args->in[0], .y = (float *)(void *)args->out[0], .bias = args->n_in > 2 ? args->in[2] : NULL };
    convolve(&r);
}

static const float *gate_of(const wino_state *s, const grd_args *args)
{
    return s->act != GRD_ACT_NONE ? (const float *)(const void *)args->out[0] : NULL;
}

static void backward_data(const wino_state *s, const grd_args *args)
{
    wino_run r = { .s = s, .pass = &s->data, .scratch = args->scratch };
    r.weights = (grd_wino_weights){ .w = args->in[1], .o_step = 9, .c_step = s->in * 9, .turned = true };
    r.job = (grd_wino_job){ .x = (const float *)(const void *)args->dout[0], .gate = gate_of(s, args),
                            .y = (float *)(void *)args->din[0] };
    convolve(&r);
}

/* ---- gradient: backward weights and bias ---- */

static void correlate_workers(void *ctx, int64_t begin, int64_t end)
{
    const wino_run *r = ctx;
    const wino_pass *p = r->pass;
    const int64_t tiles = all_tiles(&p->map), n = p->workers;
    for (int64_t k = begin; k < end; k++) {
        grd_wino_job job = r->job;
        job.v = r->scratch + p->share * (size_t)k;
        job.t = job.v + p->v;
        job.sums = r->dw ? job.t + p->t : NULL;
        job.db = r->job.db ? job.t + p->t + p->sums : NULL;
        r->s->cpu->wino_correlate(&job, tiles * k / n, tiles * (k + 1) / n);
    }
}

static void fold_range(void *ctx, int64_t begin, int64_t end)
{
    const wino_run *r = ctx;
    const wino_pass *p = r->pass;
    r->s->cpu->wino_fold(&p->map, r->scratch + p->v + p->t, p->workers, (int64_t)p->share, r->dw, begin, end);
}

static void backward_weights(const wino_state *s, const grd_args *args)
{
    const wino_pass *p = &s->weights;
    float *db = args->n_in > 2 ? (float *)(void *)args->din[2] : NULL;
    wino_run r = { .s = s, .pass = p, .scratch = args->scratch, .dw = (float *)(void *)args->din[1] };
    r.job = (grd_wino_job){ .map = &p->map, .x = args->in[0], .gate = gate_of(s, args),
                            .dy = (const float *)(const void *)args->dout[0], .db = db };
    grd_parallel_for(p->workers, p->workers, 1, correlate_workers, &r);
    if (r.dw)
        grd_parallel_for(p->workers, p->map.channels, 1, fold_range, &r);
    for (int64_t o = 0; db && o < s->out; o++) {
        const float *part = r.scratch + p->v + p->t + p->sums + o;
        db[o] = *part;
        for (int k = 1; k < p->workers; k++)
            db[o] += part[p->share * (size_t)k];
    }
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    const wino_state *s = impl->state;
    if (args->din[0])
        backward_data(s, args);
    if (args->din[1] || (args->n_in > 2 && args->din[2]))
        backward_weights(s, args);
}

/* ---- prepare ---- */

static void prepare_passes(wino_state *s, const grd_node *node, grd_pass pass, int threads)
{
    const grd_f_conv2d_opts *o = conv_of(node);
    const grd_shape *x = &node->in_shape[0], *y = &node->out_shape[0];
    grd_wino_map there = { .batch = x->dim[0], .h = x->dim[2], .w = x->dim[3], .oh = y->dim[2], .ow = y->dim[3], .pad_h = o->pad,
                           .pad_w = o->pad_w, .channels = s->in, .o_channels = s->out, .slope = s->slope };
    grd_wino_map back = { .batch = x->dim[0], .h = y->dim[2], .w = y->dim[3], .oh = x->dim[2], .ow = x->dim[3], .pad_h = 2 - o->pad,
                          .pad_w = 2 - o->pad_w, .channels = s->out, .o_channels = s->in, .gate = s->act, .slope = s->slope };
    s->forward.map = s->weights.map = there;
    s->data.map = back;
    s->forward.map.act = s->weights.map.gate = s->act;
    if (pass == GRD_FORWARD)
        cut_convolution(&s->forward, s->cpu, threads);
    if (pass == GRD_BACKWARD && (node->want_din & 1))
        cut_convolution(&s->data, s->cpu, threads);
    if (pass == GRD_BACKWARD && (node->want_din & 6))
        cut_gradient(&s->weights, s->cpu, threads);
}

GRD_CPU_PREPARE(grd_cpu_winograd)
{
    const char *reason = env->exact_conv ? "exact_conv is on" : grd_cpu_winograd_reason(node, grd_isa_level());
    if (reason)
        return reason;
    wino_state *s = GRD_NEW(env->host, wino_state);
    if (!s)
        return "out of memory";
    int lanes, rows;
    s->cpu = grd_cpu();
    s->cpu->wino_sizes(&lanes, &rows);
    s->in = node->in_shape[1].dim[1];
    s->out = node->in_shape[1].dim[0];
    if (strcmp(node->op->name, "conv2d_act") == 0) {
        const grd_conv2d_act_opts *o = node->attr;
        s->act = o->act;
        s->slope = (float)o->slope;
    }
    prepare_passes(s, node, pass, env->threads);
    const grd_layout like = { .kind = GRD_LAYOUT_BLOCKED, .inner_size = { lanes } };
    impl->in[0] = impl->din[0] = grd_planes_layout(&like, &node->in_shape[0]);
    impl->out[0] = impl->dout[0] = grd_planes_layout(&like, &node->out_shape[0]);
    const size_t data = scratch_of(&s->data), weights = scratch_of(&s->weights);
    impl->scratch = pass == GRD_FORWARD ? scratch_of(&s->forward) : data > weights ? data : weights;
    impl->state = s;
    impl->owns_state = true;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    impl->bound = GRD_WINOGRAD_BOUND;
    const grd_wino_map *shown = pass == GRD_FORWARD || !(node->want_din & 1) ? &s->weights.map : &s->data.map;
    const int m = tile_size(shown->oh, shown->ow);
    snprintf(impl->name, sizeof impl->name, "winograd %dx%d:%s", m, m, grd_isa_name());
    return NULL;
}
