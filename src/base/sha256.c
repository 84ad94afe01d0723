#define _GNU_SOURCE
#include "base/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ = 1 << 16 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void mix(uint32_t h[8], const uint8_t *block)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t one = v[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
        uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += one;
        v[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

void grd_sha256_begin(grd_sha256 *s)
{
    /* likewise of the square roots of the first 8 primes */
    static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(s->h, first, sizeof first);
    s->bytes = 0;
}

void grd_sha256_add(grd_sha256 *s, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    size_t there = s->bytes % 64;
    s->bytes += n;
    if (there) {
        size_t take = n < 64 - there ? n : 64 - there;
        memcpy(s->block + there, in, take);
        if (there + take < 64)
            return;
        mix(s->h, s->block);
        in += take;
        n -= take;
    }
    for (; n >= 64; in += 64, n -= 64)
        mix(s->h, in);
    memcpy(s->block, in, n);
}

void grd_sha256_end(grd_sha256 *s, char hex[GRD_SHA256_HEX + 1])
{
    static const uint8_t end[64] = { 0x80 };
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(s->bytes * 8 >> (56 - 8 * i));
    grd_sha256_add(s, end, 1 + (119 - s->bytes % 64) % 64);
    grd_sha256_add(s, length, sizeof length);
    for (int i = 0; i < 8; i++)
        snprintf(hex + 8 * i, 9, "%08x", (unsigned)s->h[i]);
}

grd_status grd_sha256_fd(grd_host *host, int fd, const char *path, char hex[GRD_SHA256_HEX + 1])
{
    grd_sha256 s;
    uint8_t *bytes = grd_alloc_raw(host, READ);
    if (!bytes)
        return grd_fail_in(host, "%s: ", path);
    grd_sha256_begin(&s);
    ssize_t n = 0;
    off_t at = 0;
    while ((n = pread(fd, bytes, READ, at)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0)
            grd_sha256_add(&s, bytes, (size_t)n);
        at += n > 0 ? n : 0;
    }
    int error = errno;
    grd_free(host, bytes);
    if (n < 0)
        return grd_fail(host, GRD_ERR_IO, "%s: cannot read: %s", path, strerror(error));
    grd_sha256_end(&s, hex);
    return GRD_OK;
}
