/* Measures what the machine can do at most. The best of short pieces counts: whoever else runs makes it slower, nothing
 * faster. */
#define _GNU_SOURCE
#include "backend/backend.h"
#include "backend/cpu/kernels.h"

#include "base/ctx.h"
#include "base/parallel.h"

#include <gradus/plan.h>

#include <time.h>
#include <unistd.h>

static const double PIECE = 5e-3, LENGTH = 0.08; /* seconds: of a piece, of a measurement */
enum { CACHE_UNKNOWN = 32 << 20, MEMORY_LEAST = 64 << 20, MEMORY_MOST = 512 << 20 }; /* bytes */

typedef struct job {
    const grd_cpu_table *cpu;
    int64_t rounds;       /* of the chains, a thread */
    double flops;         /* in them, of the first thread: all have as many */
    float *a, *b, *c;
} job;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- multiply-adds ---- */

static void chains(void *ctx, int64_t begin, int64_t end)
{
    job *j = ctx;
    float sink = 0;
    double flops = 0;
    for (int64_t i = begin; i < end; i++)
        flops += j->cpu->peak_chains(j->rounds, &sink);
    j->a[begin * 16] = sink; /* keeps the chains from being left out; 64 bytes apart */
    if (begin == 0)
        j->flops = flops;
}

static double run_chains(job *j, int threads)
{
    double begin = now();
    grd_parallel_for(threads, threads, 1, chains, j);
    return now() - begin;
}

/* The piece's length is found on one thread: where others run too, waking a second one may take as long as many chains. */
static double measure_fma(job *j, int threads)
{
    double begin, best = 0;
    for (j->rounds = 1 << 14; run_chains(j, 1) < PIECE || run_chains(j, 1) < PIECE; j->rounds *= 2)
        ;
    begin = now();
    for (int i = 0; i < 5 || now() - begin < LENGTH; i++) {
        double seconds = run_chains(j, threads), rate = j->flops * threads / seconds;
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- memory ---- */

static void triad(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    j->cpu->peak_triad(j->a + begin, j->b + begin, j->c + begin, 0.5f, end - begin);
}

/* Of three arrays together, so that none of it is in the cache when it is read again. */
static size_t memory_size(void)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t size = 4 * (size_t)(cache > 0 ? cache : CACHE_UNKNOWN);
    return size < MEMORY_LEAST ? MEMORY_LEAST : size > MEMORY_MOST ? MEMORY_MOST : size;
}

static double measure_stream(job *j, int64_t n, int threads)
{
    double begin = now(), best = 0;
    for (int i = 0; i < 5 || now() - begin < LENGTH; i++) {
        double start = now();
        grd_parallel_for(threads, n, 1, triad, j);
        double rate = 3.0 * sizeof(float) * (double)n / (now() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

grd_status grd_machine_measure(grd_ctx *ctx, int threads, grd_machine *machine)
{
    *machine = (grd_machine){ .threads = threads > 0 ? threads : ctx->threads, .isa = grd_isa_name() };
    int64_t n = (int64_t)(memory_size() / (3 * sizeof(float)) / 16 * 16);
    if (n < 16 * (int64_t)machine->threads)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "machine: %d threads are too many to measure", machine->threads);
    float *memory = grd_alloc(&ctx->host, 3 * sizeof(float) * (size_t)n);
    if (!memory)
        return GRD_ERR_MEMORY;
    job j = { .cpu = grd_cpu(), .a = memory, .b = memory + n, .c = memory + 2 * n };
    int before = grd_parallel_threads(machine->threads);
    machine->stream = measure_stream(&j, n, machine->threads);
    machine->fma_peak = measure_fma(&j, machine->threads);
    grd_parallel_threads(before);
    grd_free(&ctx->host, memory);
    return GRD_OK;
}
