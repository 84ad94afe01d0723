/* The only user of OpenMP: the same runtime (libgomp) as oneDNN's. */
#ifndef GRD_BASE_PARALLEL_H
#define GRD_BASE_PARALLEL_H

#include <stdint.h>

/* Calls fn(ctx, begin, end) over [0, n) on up to `threads` threads, each at least `grain` items (the last fewer). The cut
 * depends on n, grain and threads only. With one piece it is a plain call. */
void grd_parallel_for(int threads, int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* Threads to cut a product for: 1 if waking another costs as much as the product. */
int grd_parallel_worth(int threads, double multiply_adds);
int grd_cores(void); /* that this process may use */
/* Sets the calling thread's number of OpenMP threads (libraries called from it use it); returns the one before. */
int grd_parallel_threads(int threads);

#endif
