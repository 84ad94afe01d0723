/* Arrays of unsigned bytes in the IDX format of MNIST, plain or gzipped, from memory or a file. Trusts nothing it reads. */
#ifndef GRD_DATA_IDX_H
#define GRD_DATA_IDX_H

#include "base/host.h"

#define GRD_IDX_MAX_RANK 3

typedef struct grd_idx {
    int64_t dim[GRD_IDX_MAX_RANK]; /* records first; all >= 1 */
    uint8_t *bytes;                /* product of the dimensions; grd_free */
} grd_idx;

/* `name` begins the messages. The bytes must hold one array of exactly `rank` dimensions and nothing more. */
grd_status grd_idx_parse(grd_host *host, const char *name, const void *bytes, size_t size, int rank, grd_idx *idx);
grd_status grd_idx_read(grd_host *host, const char *path, int rank, grd_idx *idx);

#endif
