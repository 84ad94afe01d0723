/* CRC-32C (Castagnoli), as event files use it. */
#ifndef GRD_FORMAT_CRC32C_H
#define GRD_FORMAT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t grd_crc32c(const void *data, size_t size);

#endif
