/* SHA-256 (FIPS 180-4). */
#ifndef GRD_BASE_SHA256_H
#define GRD_BASE_SHA256_H

#include "base/host.h"

enum { GRD_SHA256_HEX = 64 };

typedef struct grd_sha256 {
    uint32_t h[8];
    uint64_t bytes;       /* so far */
    uint8_t block[64];    /* the last bytes % 64 of them */
} grd_sha256;

void grd_sha256_begin(grd_sha256 *s);
void grd_sha256_add(grd_sha256 *s, const void *bytes, size_t n);
void grd_sha256_end(grd_sha256 *s, char hex[GRD_SHA256_HEX + 1]); /* in small letters */

/* Of what an open file holds, from its beginning to its end. */
grd_status grd_sha256_fd(grd_host *host, int fd, const char *path, char hex[GRD_SHA256_HEX + 1]);

#endif
