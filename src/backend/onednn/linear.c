/* linear and linear_act: three products by gemm, bias and activation by our fused kernels while the numbers are in the cache.
 * Everything is plain. Measured against oneDNN's inner product with plain and with blocked weights at the sizes of bench/: gemm
 * is as fast or faster, but for sums over thousands of inputs forward, where blocked weights would save a fifth. Our own panels
 * (panel_kernels.c, AVX2) are between 13 % slower and 13 % faster, by shape; on the whole nothing is won. */
#include "backend/cpu/kernels.h"
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"
#include "op/fused.h"

#include <stdio.h>
#include <string.h>

typedef struct linear_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t rows, in, out;
    int act;
    float slope;
    int threads;
} linear_state;

typedef struct job { const linear_state *s; const grd_args *args; grd_gemm gemm; const float *b; } job;

/* ---- forward ---- */

static void forward_piece(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const linear_state *s = j->s;
    grd_gemm_piece(&j->gemm, begin, end);
    if (!j->b && s->act == GRD_ACT_NONE)
        return;
    bool by_rows = grd_gemm_by_rows(&j->gemm);
    int64_t row = by_rows ? begin : 0, column = by_rows ? 0 : begin;
    grd_act_job act = { .b = j->b ? j->b + column : NULL,
                        .y = j->gemm.c + row * s->out + column,
                        .rows = by_rows ? end - begin : s->rows,
                        .cols = by_rows ? s->out : end - begin,
                        .ld = s->out,
                        .act = s->act,
                        .slope = s->slope };
    s->cpu->act_bias(&act);
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    const linear_state *s = impl->state;
    job j = { .s = s, .b = args->n_in > 2 ? args->in[2] : NULL };
    j.gemm = (grd_gemm){
        false, true, s->rows, s->out, s->in, s->in, s->in, s->out, args->in[0], args->in[1], (float *)(void *)args->out[0]
    };
    grd_parallel_for(s->threads, grd_gemm_pieces(&j.gemm), GRD_GEMM_GRAIN, forward_piece, &j);
}

/* ---- backward ---- */

/* dz = dy act'(y) and db, for some output features. */
static void gradient_columns(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const linear_state *s = j->s;
    const grd_args *a = j->args;
    float *db = a->n_in > 2 ? (float *)(void *)a->din[2] : NULL;
    grd_act_job act = { .y = s->act ? (float *)(void *)a->out[0] + begin : NULL,
                        .dy = (const float *)(const void *)a->dout[0] + begin,
                        .dz = s->act ? (float *)a->scratch + begin : NULL,
                        .db = db ? db + begin : NULL,
                        .rows = s->rows,
                        .cols = end - begin,
                        .ld = s->out,
                        .act = s->act,
                        .slope = s->slope };
    s->cpu->act_gradient(&act);
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    const linear_state *s = impl->state;
    const float *x = args->in[0], *w = args->in[1], *dz = s->act ? args->scratch : (const float *)(const void *)args->dout[0];
    job j = { .s = s, .args = args };
    if (s->act || (args->n_in > 2 && args->din[2]))
        grd_parallel_for(s->threads, s->out, 64, gradient_columns, &j);
    if (args->din[1]) { /* dW [O,I] = dZ' X */
        grd_gemm g = { true, false, s->out, s->in, s->rows, s->out, s->in, s->in, dz, x, (float *)(void *)args->din[1] };
        grd_gemm_shared(&g, s->threads);
    }
    if (args->din[0]) { /* dX [M,I] = dZ W */
        grd_gemm g = { false, false, s->rows, s->in, s->out, s->out, s->in, s->in, dz, w, (float *)(void *)args->din[0] };
        grd_gemm_shared(&g, s->threads);
    }
}

/* ---- prepare ---- */

static void drop(grd_impl *impl, grd_host *host)
{
    grd_free(host, impl->state);
    impl->state = NULL;
}

GRD_PREPARE(grd_onednn_linear)
{
    linear_state *s = GRD_NEW(env->host, linear_state);
    if (!s)
        return "out of memory";
    const grd_shape *w = &node->in_shape[1];
    *s = (linear_state){ .base = { drop }, .cpu = grd_cpu(), .in = w->dim[1], .out = w->dim[0] };
    s->rows = grd_count(&node->in_shape[0]) / s->in;
    s->threads = grd_parallel_worth(env->threads, (double)s->rows * (double)s->in * (double)s->out);
    if (strcmp(node->op->name, "linear_act") == 0) {
        const grd_linear_act_opts *o = node->attr;
        s->act = o->act;
        s->slope = (float)o->slope;
    }
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    impl->scratch = pass == GRD_BACKWARD && s->act ? sizeof(float) * (size_t)(s->rows * s->out) : 0;
    snprintf(impl->name, sizeof impl->name, "gemm:%s", grd_isa_name());
    return NULL;
}
