/* libFuzzer target: any bytes as an IDX file, plain or gzipped. The first byte chooses the number of dimensions.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base, src/tensor and src/data. */
#include "base/host.h"
#include "data/idx.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    grd_host host;
    grd_idx idx;
    int rank = data[0] & 1 ? 3 : 1;
    grd_host_init(&host, NULL);
    grd_status status = grd_idx_parse(&host, "fuzz", data + 1, size - 1, rank, &idx);
    if (status == GRD_OK) {
        volatile uint8_t sum = 0; /* every byte it promised can be read */
        for (int64_t i = 0; i < idx.dim[0] * idx.dim[1] * idx.dim[2]; i++)
            sum = (uint8_t)(sum + idx.bytes[i]);
    } else if (idx.bytes || !host.err.text[0]) {
        abort();
    }
    grd_free(&host, idx.bytes);
    return 0;
}
