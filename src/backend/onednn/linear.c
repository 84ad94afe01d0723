/* linear and linear_act: three products by gemm, bias and activation by our fused kernels in the same pass over memory. Everything plain. */
#include "backend/cpu/kernels.h"
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"
#include "op/fused.h"

#include <stdio.h>
#include <string.h>

typedef struct state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t rows, in, out;
    int act;
    float slope;
    int threads; /* for the products */
} state;

typedef struct job { const state *s; const grd_args *args; grd_gemm gemm; const float *dz; } job;

/* ---- forward: each thread some output features ---- */

static void forward_columns(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const state *s = j->s;
    grd_gemm_columns(&j->gemm, begin, end);
    const float *b = j->args->n_in > 2 ? j->args->in[2] : NULL;
    grd_act_job act = { .b = b ? b + begin : NULL, .y = j->gemm.c + begin, .rows = s->rows, .cols = end - begin, .ld = s->out, .act = s->act,
                        .slope = s->slope };
    if (b || s->act)
        s->cpu->act_bias(&act);
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    const state *s = impl->state;
    job j = { s, args, { false, true, s->rows, s->out, s->in, s->in, s->in, s->out, args->in[0], args->in[1], (float *)(void *)args->out[0] }, NULL };
    grd_parallel_for(s->threads, s->out, 16, forward_columns, &j);
}

/* ---- backward ---- */

static void gradient_columns(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const state *s = j->s;
    const grd_args *a = j->args;
    float *db = a->n_in > 2 ? (float *)(void *)a->din[2] : NULL;
    grd_act_job act = { .y = s->act ? (float *)(void *)a->out[0] + begin : NULL, .dy = (const float *)(const void *)a->dout[0] + begin,
                        .dz = s->act ? (float *)a->scratch + begin : NULL, .db = db ? db + begin : NULL, .rows = s->rows, .cols = end - begin,
                        .ld = s->out, .act = s->act, .slope = s->slope };
    s->cpu->act_gradient(&act);
}

static void gemm_rows(void *ctx, int64_t begin, int64_t end) { grd_gemm_rows(&((const job *)ctx)->gemm, begin, end); }

static void backward(const grd_impl *impl, const grd_args *args)
{
    const state *s = impl->state;
    job j = { .s = s, .args = args, .dz = s->act ? args->scratch : (const float *)(const void *)args->dout[0] };
    if (s->act || (args->n_in > 2 && args->din[2]))
        grd_parallel_for(s->threads, s->out, 64, gradient_columns, &j);
    if (args->din[1]) { /* dW [O,I] = dZ' X */
        j.gemm = (grd_gemm){ true, false, s->out, s->in, s->rows, s->out, s->in, s->in, j.dz, args->in[0], (float *)(void *)args->din[1] };
        grd_parallel_for(s->threads, s->out, 16, gemm_rows, &j);
    }
    if (args->din[0]) { /* dX [M,I] = dZ W */
        j.gemm = (grd_gemm){ false, false, s->rows, s->in, s->out, s->out, s->in, s->in, j.dz, args->in[1], (float *)(void *)args->din[0] };
        grd_parallel_for(s->threads, s->rows, 16, gemm_rows, &j);
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
    state *s = GRD_NEW(env->host, state);
    if (!s)
        return "out of memory";
    const grd_shape *w = &node->in_shape[1];
    *s = (state){ .base = { drop }, .cpu = grd_cpu(), .in = w->dim[1], .out = w->dim[0] };
    s->rows = grd_count(&node->in_shape[0]) / s->in;
    s->threads = grd_gemm_threads(env->threads, (double)s->rows * (double)s->in * (double)s->out);
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
