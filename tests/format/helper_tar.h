/* Tar archives made by hand. */
#ifndef GRD_TESTS_FORMAT_HELPER_TAR_H
#define GRD_TESTS_FORMAT_HELPER_TAR_H

#include "format/bytes.h"

/* A ustar header with a right checksum and the data, padded. */
void tar_put(grd_bytes *b, const char *name, char type, const void *data, size_t size);
void tar_end(grd_bytes *b); /* two blocks of zeros */

#endif
