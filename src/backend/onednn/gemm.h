/* Row-major float products by oneDNN's gemm. Large ones are cut into pieces for threads by us (for long sums nearly twice as fast
 * at two threads as oneDNN's own cut); the cut depends on sizes and thread count only. */
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

enum { GRD_GEMM_GRAIN = 16 }; /* rows or columns: a piece is not smaller */

/* All of it. Called from a piece: on this thread; called from outside: oneDNN may use the threads it finds worth while. */
void grd_gemm_whole(const grd_gemm *g);
/* Rows or columns begin..end-1 of C, whichever are more. */
void grd_gemm_piece(const grd_gemm *g, int64_t begin, int64_t end);
static inline bool grd_gemm_by_rows(const grd_gemm *g) { return g->m > g->n; }
static inline int64_t grd_gemm_pieces(const grd_gemm *g) { return g->m > g->n ? g->m : g->n; }
/* All of it on so many threads. */
void grd_gemm_shared(const grd_gemm *g, int threads);

#endif
