#include "backend/onednn/gemm.h"

#include "base/parallel.h"

#include <dnnl.h>

void grd_gemm_whole(const grd_gemm *g)
{
    dnnl_sgemm(g->ta ? 'T' : 'N', g->tb ? 'T' : 'N', g->m, g->n, g->k, 1.0f, g->a, g->lda, g->b, g->ldb, 0.0f, g->c, g->ldc);
}

void grd_gemm_piece(const grd_gemm *g, int64_t begin, int64_t end)
{
    grd_gemm part = *g;
    if (grd_gemm_by_rows(g)) {
        part.m = end - begin;
        part.a += g->ta ? begin : begin * g->lda;
        part.c += begin * g->ldc;
    } else {
        part.n = end - begin;
        part.b += g->tb ? begin * g->ldb : begin;
        part.c += begin;
    }
    grd_gemm_whole(&part);
}

static void piece(void *ctx, int64_t begin, int64_t end) { grd_gemm_piece(ctx, begin, end); }

void grd_gemm_shared(const grd_gemm *g, int threads)
{
    grd_gemm copy = *g;
    grd_parallel_for(threads, grd_gemm_pieces(g), GRD_GEMM_GRAIN, piece, &copy);
}
