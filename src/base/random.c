/* Philox4x32-10: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011. */
#include <gradus/base.h>

uint64_t grd_hash(uint64_t seed, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed; /* FNV-1a over the name, then a finaliser (splitmix64's) */
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        h = (h ^ *c) * 0x100000001b3u;
    h ^= h >> 30;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 27;
    h *= 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

void grd_random4(const grd_key *key, uint64_t row, uint64_t block, uint32_t out[4])
{
    /* 128 bits of counter: 40 of row (the batch's first row added), 40 of step, 48 of block */
    uint64_t r = key->row + row;
    uint32_t c0 = (uint32_t)block;
    uint32_t c1 = (uint32_t)(block >> 32 & 0xffff) | (uint32_t)(r >> 32 & 0xff) << 16 | (uint32_t)(key->step >> 32 & 0xff) << 24;
    uint32_t c2 = (uint32_t)r, c3 = (uint32_t)key->step;
    uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
