/* libFuzzer target: any bytes as a tar archive, plain or packed. Checksums would stop nearly all mutations at the door, so if the
 * first byte is odd those of all blocks that look like headers are made right.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base and src/format; tests/format/test_tables_fuzz.c
 * runs it for a while with a mutator of its own. */
#include "format/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fuzz_tar(const uint8_t *data, size_t size);

static void repair(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 512 <= size; at += 512) {
        unsigned sum = 0;
        if (!bytes[at])
            continue;
        memset(bytes + at + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += bytes[at + i];
        snprintf((char *)bytes + at + 148, 8, "%06o", sum);
    }
}

int fuzz_tar(const uint8_t *data, size_t size)
{
    grd_host host;
    grd_tar *tar;
    grd_tar_entry entry;
    bool more = true;
    if (!size)
        return 0;
    uint8_t *bytes = malloc(size);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1)
        repair(bytes, size - 1);
    grd_host_init(&host, NULL);
    if (grd_tar_memory(&host, "fuzz", bytes, size - 1, &tar) == GRD_OK) {
        volatile size_t sum = 0;
        size_t got = 1;
        uint8_t piece[300];
        while (grd_tar_next(tar, &entry, &more) == GRD_OK && more) {
            sum += strlen(entry.name);
            while (got && grd_tar_read(tar, piece, sizeof piece, &got) == GRD_OK && sum < 10000)
                sum += got;
            got = 1;
        }
        if (more && strncmp(host.err.text, "fuzz: ", 6) != 0 && host.err.status != GRD_OK)
            abort();
        grd_tar_close(tar);
    }
    free(bytes);
    return 0;
}

#ifndef GRADUS_FUZZ_TEST
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_tar(data, size); }
#endif
