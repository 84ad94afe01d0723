/* Row-major float products by oneDNN's gemm, cut into pieces for threads by us: each thread runs a whole product on its share, so the cut
 * depends on sizes and thread count only. */
#ifndef GRD_BACKEND_ONEDNN_GEMM_H
#define GRD_BACKEND_ONEDNN_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* C [m,n] = op(A) [m,k] op(B) [k,n]; rows of the stored matrices are lda, ldb, ldc apart. */
typedef struct grd_gemm {
    bool ta, tb;
    int64_t m, n, k, lda, ldb, ldc;
    const float *a, *b;
    float *c;
} grd_gemm;

void grd_gemm_serial(const grd_gemm *g);                /* on the calling thread */
/* Rows of C begin..end-1. */
void grd_gemm_rows(const grd_gemm *g, int64_t begin, int64_t end);
void grd_gemm_columns(const grd_gemm *g, int64_t begin, int64_t end);
/* Threads that are worth their wake-up for so many multiply-adds. */
int grd_gemm_threads(int threads, double multiply_adds);

#endif
