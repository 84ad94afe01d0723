/* Many random words at once: Philox4x32-10 as in base/random.c, which says where it comes from. */
#include "backend/cpu/kernels.h"

#include <gradus/base.h>

/* The rounds of grd_random4 on several blocks side by side. */
void GRD_KERNEL(random_first)(const struct grd_key *key, uint64_t row, uint64_t block, int n, uint32_t *out)
{
    enum { SIDE = 64 }; /* many: or the compiler unrolls what it should vectorise */
    uint64_t r = key->row + row;
    uint32_t high = (uint32_t)(r >> 32 & 0xff) << 16 | (uint32_t)(key->step >> 32 & 0xff) << 24;
    for (int at = 0; at < n; at += SIDE) {
        uint32_t c0[SIDE], c1[SIDE], c2[SIDE], c3[SIDE];
        uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
        for (int i = 0; i < SIDE; i++) {
            uint64_t b = block + (uint64_t)(at + i);
            c0[i] = (uint32_t)b;
            c1[i] = (uint32_t)(b >> 32 & 0xffff) | high;
            c2[i] = (uint32_t)r;
            c3[i] = (uint32_t)key->step;
        }
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < SIDE; i++) {
                uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
                c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
                c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
                c1[i] = (uint32_t)p1;
                c3[i] = (uint32_t)p0;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int i = 0; i < SIDE && at + i < n; i++)
            out[at + i] = c0[i];
    }
}
