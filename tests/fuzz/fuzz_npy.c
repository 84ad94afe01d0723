/* libFuzzer target: any bytes as a .npy or, if the first byte is odd, as a .npz.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base, src/tensor and src/format;
 * tests/format/test_tables_fuzz.c runs it for a while with a mutator of its own. */
#include "format/npy.h"

#include <stdlib.h>
#include <string.h>

int fuzz_npy(const uint8_t *data, size_t size);

/* Reads every element, as the widest type. */
static void look_at_array(grd_npy *npy)
{
    double few[64];
    for (int64_t i = 0; i < npy->count; i += 64) {
        int64_t n = npy->count - i < 64 ? npy->count - i : 64;
        grd_status status = grd_npy_convert(npy, "fuzz", i, n, GRD_F64, few);
        if (status != GRD_OK && npy->type != GRD_NPY_I64 && npy->type != GRD_NPY_U64)
            abort();
        grd_npy_convert(npy, "fuzz", i, n, GRD_U8, few);
    }
    grd_npy_close(npy);
}

int fuzz_npy(const uint8_t *data, size_t size)
{
    grd_host host;
    grd_npy npy;
    grd_npz npz;
    if (!size)
        return 0;
    grd_host_init(&host, NULL);
    if (!(data[0] & 1)) {
        if (grd_npy_parse(&host, "fuzz", data + 1, size - 1, &npy) == GRD_OK)
            look_at_array(&npy);
        else if (npy.owned || strncmp(host.err.text, "fuzz: ", 6) != 0)
            abort();
        return 0;
    }
    if (grd_npz_parse(&host, "fuzz", data + 1, size - 1, &npz) != GRD_OK)
        return 0;
    for (size_t i = 0; i < npz.zip.n; i++) {
        char name[64];
        const grd_zip_entry *e = &npz.zip.entry[i];
        if (e->name_size < 4 || e->name_size > sizeof name || e->size > 1 << 20)
            continue;
        memcpy(name, e->name, e->name_size - 4);
        name[e->name_size - 4] = 0;
        if (grd_npz_load(&npz, name, &npy) == GRD_OK)
            look_at_array(&npy);
    }
    grd_npz_close(&npz);
    return 0;
}

#ifndef GRADUS_FUZZ_TEST
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_npy(data, size); }
#endif
