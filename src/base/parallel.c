/* libgomp by its stable entry points: the same binary interface from gcc and clang, and always one runtime with oneDNN. */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <sched.h>
#include <stddef.h>

extern void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int);

typedef struct grd_share {
    void (*fn)(void *, int64_t, int64_t);
    void *ctx;
    int64_t n, pieces;
} grd_share;

/* Piece p is [n p / pieces, n (p+1) / pieces): whoever runs it, the cut is the same. */
static void run_pieces(void *data)
{
    const grd_share *s = data;
    int me = omp_get_thread_num(), team = omp_get_num_threads();
    for (int64_t p = me; p < s->pieces; p += team)
        s->fn(s->ctx, s->n * p / s->pieces, s->n * (p + 1) / s->pieces);
}

void grd_parallel_for(int threads, int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx)
{
    if (n <= 0)
        return;
    int64_t pieces = grain > 0 ? n / grain : n;
    if (pieces > threads)
        pieces = threads;
    if (pieces <= 1) {
        fn(ctx, 0, n);
        return;
    }
    grd_share share = { fn, ctx, n, pieces };
    GOMP_parallel(run_pieces, &share, (unsigned)pieces, 0);
}

int grd_parallel_worth(int threads, double multiply_adds)
{
    /* a wake-up costs some 3 us, in which a core does about 150,000 multiply-adds */
    return multiply_adds < 4e5 ? 1 : threads;
}

int grd_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

int grd_parallel_threads(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}
