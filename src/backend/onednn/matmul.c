/* matmul: one gemm per matrix; threads share the matrices, or the longer side of one if there is only one. Gradients that sum
 * over broadcast matrices are left to `ref`. */
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"

#include <gradus/ops.h>

#include <stdio.h>

typedef struct matmul_state {
    grd_onednn_state base;
    bool ta, tb;
    int64_t m, n, k, batches;
    int threads;
    bool once[2];  /* that input is one matrix for all */
} matmul_state;

typedef struct job { const matmul_state *s; const float *a, *b; float *c; grd_gemm shape; int64_t step_a, step_b, step_c; } job;

static void some_matrices(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    for (int64_t i = begin; i < end; i++) {
        grd_gemm g = j->shape;
        g.a = j->a + i * j->step_a;
        g.b = j->b + i * j->step_b;
        g.c = j->c + i * j->step_c;
        grd_gemm_whole(&g);
    }
}

/* C = op(A) op(B) for every matrix of the batch; sizes as in grd_gemm, leading dimensions dense. */
static void product(const matmul_state *s, const float *a, bool ta, int64_t step_a, const float *b, bool tb, int64_t step_b,
                    float *c, int64_t m, int64_t n, int64_t k)
{
    job j = { s, a, b, c, { ta, tb, m, n, k, ta ? m : k, tb ? k : n, n, a, b, c }, step_a, step_b, m * n };
    if (s->batches == 1)
        grd_gemm_shared(&j.shape, s->threads);
    else
        grd_parallel_for(s->threads, s->batches, 1, some_matrices, &j);
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    const matmul_state *s = impl->state;
    product(s, args->in[0], s->ta, s->once[0] ? 0 : s->m * s->k, args->in[1], s->tb, s->once[1] ? 0 : s->k * s->n,
            (float *)(void *)args->out[0], s->m, s->n, s->k);
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    const matmul_state *s = impl->state;
    const float *a = args->in[0], *b = args->in[1], *dy = (const float *)(const void *)args->dout[0];
    float *da = (float *)(void *)args->din[0], *db = (float *)(void *)args->din[1];
    int64_t size_a = s->m * s->k, size_b = s->k * s->n, size_y = s->m * s->n;
    if (da && !s->ta)
        product(s, dy, false, size_y, b, !s->tb, size_b, da, s->m, s->k, s->n);
    else if (da)
        product(s, b, s->tb, size_b, dy, true, size_y, da, s->k, s->m, s->n);
    if (db && !s->tb)
        product(s, a, !s->ta, size_a, dy, false, size_y, db, s->k, s->n, s->m);
    else if (db)
        product(s, dy, true, size_y, a, s->ta, size_a, db, s->n, s->k, s->m);
}

static void drop(grd_impl *impl, grd_host *host)
{
    grd_free(host, impl->state);
    impl->state = NULL;
}

/* Product of the leading dimensions. */
static int64_t matrices(const grd_shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank - 2; i++)
        n *= s->dim[i];
    return n;
}

GRD_PREPARE(grd_onednn_matmul)
{
    const grd_matmul_opts *o = node->attr;
    const grd_shape *x = node->in_shape, *y = node->out_shape;
    int64_t m = y->dim[y->rank - 2], batches = matrices(y);
    bool once[2];
    for (int i = 0; i < 2; i++)
        once[i] = matrices(&x[i]) == 1 && batches > 1;
    if (once[1] && !o->transpose_a && matrices(&x[0]) == batches) { /* all rows of A are one tall matrix */
        m *= batches;
        batches = 1;
        once[1] = false;
    }
    for (int i = 0; i < 2 && batches > 1; i++) {
        if (!once[i] && matrices(&x[i]) != batches)
            return "leading dimensions that broadcast in part";
        if (once[i] && pass == GRD_BACKWARD)
            return "the gradient of a matrix that is used many times";
    }
    matmul_state *s = GRD_NEW(env->host, matmul_state);
    if (!s)
        return "out of memory";
    *s = (matmul_state){ .base = { drop }, .ta = o->transpose_a, .tb = o->transpose_b, .m = m, .n = y->dim[y->rank - 1],
                         .k = x->dim[x->rank - 1 - o->transpose_a], .batches = batches, .once = { once[0], once[1] } };
    s->threads = grd_parallel_worth(env->threads, (double)batches * (double)s->m * (double)s->n * (double)s->k);
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "gemm:%s", grd_isa_name());
    return NULL;
}
