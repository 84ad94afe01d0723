/* 3x3 convolutions by oneDNN directly, by oneDNN's Winograd (v2.6 on AVX-512, where its rule takes it) and by our own, one shape after
 * the other, measured in turn: median milliseconds of a step, GFLOP/s of direct convolution's operations, and, with `errors`, the
 * largest error against double, relative to the largest value.
 *
 *   build/bench_conv [threads=1] [rounds=15] [shape=K] [errors]        DNNL_MAX_CPU_ISA=AVX2 for that instruction set
 *
 * A step is what a plan would run: pictures in the layout the step wants; weights as it wants them (ours transforms them inside). */
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "base/ctx.h"
#include "base/parallel.h"

#include <gradus/ops.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAYS = 3, MAX_ROUNDS = 200 };

typedef struct shape { int64_t batch, in, out, size; } shape;

static const shape shapes[] = {
    { 128, 16, 16, 32 }, { 128, 32, 32, 32 },  { 128, 32, 64, 16 }, { 128, 64, 64, 16 },  { 128, 64, 128, 8 }, { 128, 128, 128, 8 },
    { 4, 16, 16, 240 },  { 4, 32, 32, 120 },   { 4, 64, 64, 60 },   { 4, 128, 128, 30 },  { 4, 256, 256, 15 }, { 16, 256, 256, 8 },
    { 16, 512, 512, 4 }, { 128, 24, 24, 32 },  { 128, 48, 48, 16 }, { 32, 64, 64, 7 },    { 32, 64, 64, 6 },   { 1, 64, 64, 56 },
    { 4, 64, 32, 120 },  { 4, 32, 16, 240 },   { 1, 32, 32, 8 },    { 4, 16, 16, 12 },
};

static const char *const way_name[WAYS] = { "direct", "oneDNN's", "ours" }, *const direction_name[] = { "forward", "data", "weights" };

typedef struct values { grd_shape shape[3], out_shape; float *in[3], *dout; } values; /* plain */

typedef struct way {
    grd_impl impl;
    grd_args args;
    bool ready;
    double ms[MAX_ROUNDS];
} way;

static const grd_layout plain;

static void *memory(size_t bytes)
{
    void *m = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!m)
        exit(1);
    memset(m, 0, (bytes + 127) / 64 * 64);
    return m;
}

static float *random_values(const grd_shape *s, uint64_t row)
{
    const grd_key key = { .seed = 5 };
    float *v = memory(sizeof *v * (size_t)grd_count(s));
    for (int64_t i = 0; i < grd_count(s); i++) {
        uint32_t w[4];
        grd_random4(&key, row, (uint64_t)i, w);
        v[i] = (float)(2 * grd_uniform(w[0]) - 1);
    }
    return v;
}

static void *laid_out(const grd_layout *l, const float *v, const grd_shape *s)
{
    void *m = memory(grd_layout_bytes(l, s, sizeof(float)));
    if (v)
        grd_layout_copy(&plain, v, l, m, s, sizeof(float));
    return m;
}

/* ---- one way of one direction ---- */

static void open_way(way *w, const values *v, int direction, int which, int threads, grd_ctx *ctx, const grd_f_conv2d_opts *o)
{
    static const grd_layout none[GRD_MAX_IN];
    const grd_backend *backend = which < 2 ? &grd_backend_onednn : &grd_backend_cpu;
    const grd_env env = { .host = &ctx->host, .threads = threads, .exact_conv = which == 0 };
    const grd_node node = { .op = grd_op_find(ctx, "conv2d", GRD_F32), .attr = o, .path = "conv", .dtype = GRD_F32, .train = true,
                            .n_in = 2, .n_out = 1, .in_shape = v->shape, .out_shape = &v->out_shape, .in_layout = none,
                            .out_layout = none, .dout_layout = none, .have_dout = direction > 0,
                            .want_din = direction == 1 ? 1 : direction == 2 ? 2 : 0 };
    memset(w, 0, sizeof *w);
    w->impl = (grd_impl){ .backend = backend, .run = backend->run, .threads = threads };
    w->ready = !backend->prepare(&w->impl, &node, direction ? GRD_BACKWARD : GRD_FORWARD, &env);
    if (!w->ready)
        return;
    const grd_impl *m = &w->impl;
    w->args = (grd_args){ .attr = o, .n_in = 2, .n_out = 1, .in_shape = v->shape, .out_shape = &v->out_shape, .train = true,
                          .threads = threads, .scratch = memory(m->scratch) };
    for (int i = 0; i < 2; i++)
        w->args.in[i] = laid_out(&m->in[i], v->in[i], &v->shape[i]);
    if (direction) {
        w->args.dout[0] = laid_out(&m->dout[0], v->dout, &v->out_shape);
        w->args.din[direction - 1] = laid_out(&m->din[direction - 1], NULL, &v->shape[direction - 1]);
    } else {
        w->args.out[0] = laid_out(&m->out[0], NULL, &v->out_shape);
    }
}

static void close_way(way *w, grd_ctx *ctx)
{
    if (!w->ready)
        return;
    w->impl.backend->drop(&w->impl, &ctx->host);
    free(w->args.scratch);
    for (int i = 0; i < 2; i++) {
        free((void *)(uintptr_t)w->args.in[i]);
        free(w->args.din[i]);
    }
    free(w->args.out[0]);
    free((void *)(uintptr_t)w->args.dout[0]);
}

static void run_once(way *w, int round)
{
    /* one thread: its own time, whoever else is on the machine */
    const clockid_t clock = w->impl.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    struct timespec a, b;
    clock_gettime(clock, &a);
    w->impl.run(&w->impl, &w->args);
    clock_gettime(clock, &b);
    if (round >= 0)
        w->ms[round] = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) * 1e-6;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *v, int n)
{
    double copy[MAX_ROUNDS];
    memcpy(copy, v, sizeof *v * (size_t)n);
    qsort(copy, (size_t)n, sizeof *copy, compare);
    return copy[n / 2];
}

/* ---- errors ---- */

static double *widened(const float *v, int64_t n)
{
    double *d = memory(sizeof *d * (size_t)n);
    for (int64_t i = 0; v && i < n; i++)
        d[i] = v[i];
    return d;
}

/* y, dx or dw in double, by the row's own kernel. */
static double *truth(const values *v, int direction, grd_ctx *ctx, const grd_f_conv2d_opts *o)
{
    const grd_op *op = grd_op_find(ctx, "conv2d", GRD_F64);
    double *x = widened(v->in[0], grd_count(&v->shape[0])), *w = widened(v->in[1], grd_count(&v->shape[1]));
    double *dy = widened(v->dout, grd_count(&v->out_shape));
    double *result = widened(NULL, grd_count(direction ? &v->shape[direction - 1] : &v->out_shape));
    grd_args a = { .attr = o, .n_in = 2, .n_out = 1, .in_shape = v->shape, .out_shape = &v->out_shape, .in = { x, w } };
    a.dout[0] = (void *)dy;
    if (direction) {
        a.din[direction - 1] = (void *)result;
        op->backward(&a);
    } else {
        a.out[0] = (void *)result;
        op->forward(&a);
    }
    free(x);
    free(w);
    free(dy);
    return result;
}

static double error_of(const way *w, const values *v, int direction, const double *right)
{
    const grd_shape *s = direction ? &v->shape[direction - 1] : &v->out_shape;
    const grd_layout *l = direction ? &w->impl.din[direction - 1] : &w->impl.out[0];
    const void *got = direction ? (const void *)w->args.din[direction - 1] : (const void *)w->args.out[0];
    float *flat = memory(sizeof *flat * (size_t)grd_count(s));
    double worst = 0, largest = 0;
    grd_layout_copy(l, got, &plain, flat, s, sizeof(float));
    for (int64_t i = 0; i < grd_count(s); i++) {
        worst = fmax(worst, fabs((double)flat[i] - right[i]));
        largest = fmax(largest, fabs(right[i]));
    }
    free(flat);
    return worst / largest;
}

/* ---- the table ---- */

static void measure(const values *v, int direction, int threads, int rounds, bool errors, grd_ctx *ctx, const grd_f_conv2d_opts *o)
{
    way ways[WAYS];
    double flops = 18.0 * (double)grd_count(&v->out_shape) * (double)v->shape[1].dim[1];
    for (int k = 0; k < WAYS; k++) {
        open_way(&ways[k], v, direction, k, threads, ctx, o);
        if (ways[k].ready)
            run_once(&ways[k], -1);
    }
    for (int r = 0; r < rounds; r++)
        for (int k = 0; k < WAYS; k++)
            if (ways[k].ready)
                run_once(&ways[k], r);
    printf("%4lld x %3lld->%-3lld %3lldx%-3lld %-8s", (long long)v->shape[0].dim[0], (long long)v->shape[1].dim[1],
           (long long)v->shape[1].dim[0], (long long)v->shape[0].dim[2], (long long)v->shape[0].dim[3], direction_name[direction]);
    double *right = errors ? truth(v, direction, ctx, o) : NULL;
    for (int k = 0; k < WAYS; k++) {
        const double ms = ways[k].ready ? median(ways[k].ms, rounds) : NAN;
        printf("  %8.3f ms %6.1f", ms, flops / ms * 1e-6);
        if (errors && ways[k].ready)
            printf(" %.1e", error_of(&ways[k], v, direction, right));
    }
    for (int k = 0; k < WAYS - 1 && ways[WAYS - 1].ready; k++) {
        double ratio[MAX_ROUNDS];
        for (int r = 0; r < rounds; r++)
            ratio[r] = ways[k].ms[r] / ways[WAYS - 1].ms[r];
        printf("  %5.2f", median(ratio, rounds));
    }
    printf("  %s | %s | %s\n", ways[0].impl.name, ways[1].impl.name, ways[2].impl.name);
    fflush(stdout);
    free(right);
    for (int k = 0; k < WAYS; k++)
        close_way(&ways[k], ctx);
}

int main(int argc, char **argv)
{
    int threads = 1, rounds = 15, only = -1;
    bool errors = false;
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "threads=%d", &threads) != 1 && sscanf(argv[i], "rounds=%d", &rounds) != 1 &&
            sscanf(argv[i], "shape=%d", &only) != 1)
            errors |= strcmp(argv[i], "errors") == 0;
    }
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    grd_ctx *ctx = grd_open(NULL);
    if (!ctx)
        return 1;
    grd_parallel_threads(threads);
    const grd_f_conv2d_opts o = { 1, 1, 1, 1, 1, 1, 1 };
    printf("%s, %d threads: ms and GFLOP/s%s of %s, %s, %s; then ours is so many times as fast\n", grd_isa_name(), threads,
           errors ? " and error" : "", way_name[0], way_name[1], way_name[2]);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        if (only >= 0 && (size_t)only != i)
            continue;
        values v = { .shape = { { 4, { s->batch, s->in, s->size, s->size } }, { 4, { s->out, s->in, 3, 3 } } },
                     .out_shape = { 4, { s->batch, s->out, s->size, s->size } } };
        for (int k = 0; k < 2; k++)
            v.in[k] = random_values(&v.shape[k], (uint64_t)k);
        v.dout = random_values(&v.out_shape, 2);
        for (int direction = 0; direction < 3; direction++)
            measure(&v, direction, threads, rounds, errors, ctx, &o);
        free(v.in[0]);
        free(v.in[1]);
        free(v.dout);
    }
    grd_close(ctx);
    return 0;
}
