#include "backend/onednn/gemm.h"

#include <dnnl.h>

void grd_gemm_serial(const grd_gemm *g)
{
    dnnl_sgemm(g->ta ? 'T' : 'N', g->tb ? 'T' : 'N', g->m, g->n, g->k, 1.0f, g->a, g->lda, g->b, g->ldb, 0.0f, g->c, g->ldc);
}

void grd_gemm_rows(const grd_gemm *g, int64_t begin, int64_t end)
{
    grd_gemm part = *g;
    part.m = end - begin;
    part.a += g->ta ? begin : begin * g->lda;
    part.c += begin * g->ldc;
    grd_gemm_serial(&part);
}

void grd_gemm_columns(const grd_gemm *g, int64_t begin, int64_t end)
{
    grd_gemm part = *g;
    part.n = end - begin;
    part.b += g->tb ? begin * g->ldb : begin;
    part.c += begin;
    grd_gemm_serial(&part);
}

int grd_gemm_threads(int threads, double multiply_adds)
{
    /* a wake-up costs some 3 us, in which a core does about 150,000 multiply-adds */
    return multiply_adds < 4e5 ? 1 : threads;
}
