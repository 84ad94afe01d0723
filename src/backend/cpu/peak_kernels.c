/* What a core can do at most: multiply-adds in registers, and a stream through memory. For measuring, no step uses them. */
#include "backend/cpu/kernels.h"

#ifdef GRD_ISA_avx512
#define BYTES 64
#elif defined GRD_ISA_avx2
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float vec __attribute__((vector_size(BYTES)));

/* Enough chains that two units of four cycles' latency never wait (8), few enough for 16 registers. */
enum { CHAINS = 12, LANES = BYTES / sizeof(float) };

/* x = 0.75 x + 0.25 in all lanes of all chains: stays at 1. */
double GRD_KERNEL(peak_chains)(int64_t rounds, float *sink)
{
    vec x[CHAINS], factor = { 0 }, term = { 0 };
    factor += 0.75f;
    term += 0.25f;
    for (int c = 0; c < CHAINS; c++)
        x[c] = term + (float)c;
    for (int64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++)
            x[c] = x[c] * factor + term;
    for (int c = 0; c < CHAINS; c++)
        *sink += x[c][c % LANES];
    return 2.0 * CHAINS * LANES * (double)rounds;
}

void GRD_KERNEL(peak_triad)(float *restrict a, const float *restrict b, const float *restrict c, float k, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] = b[i] + k * c[i];
}
