/* libFuzzer target: any bytes as a .pth file. The CRCs of a zip would stop nearly all mutations at the door, so the first byte
 * chooses: the bytes as a file, or as the pickle inside an archive made around them.
 * Build with clang -fsanitize=fuzzer,address,undefined together with tests/format/helper_format.c, src/base, src/tensor and
 * src/format; tests/format/test_pth_fuzz.c runs it for some seconds with a mutator of its own. */
#include "../format/helper_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every element that the tree promises. */
static unsigned touch(const grd_value *value)
{
    unsigned sum = 0;
    if (value->kind == GRD_VALUE_TENSOR) {
        const uint8_t *bytes = value->tensor.data;
        size_t size = (size_t)grd_count(&value->tensor.shape) * grd_dtype_size(value->tensor.dtype);
        for (size_t i = 0; i < size; i += i < 4096 ? 1 : 4096)
            sum += bytes[i];
        return size ? sum + bytes[size - 1] : 0;
    }
    for (int i = 0; i < grd_value_count(value); i++)
        sum += touch(value->kind == GRD_VALUE_DICT ? value->dict.item[i].value : value->list.item[i]);
    return sum;
}

static void parse(grd_host *host, const void *bytes, size_t size)
{
    grd_pth pth;
    if (grd_pth_parse(host, "fuzz", bytes, size, &pth) != GRD_OK) {
        if (pth.root || strncmp(host->err.text, "fuzz: ", 6) != 0)
            abort();
        return;
    }
    volatile unsigned sum = touch(pth.root);
    (void)sum;
    grd_pth_close(&pth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float storage[16] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    if (!size)
        return 0;
    counter memory = { 0 };
    grd_host host;
    counting_host(&host, &memory);
    if (data[0] & 1) {
        zip_maker zip;
        zip_pth(&zip, &host, (const char *)data + 1, size - 1, storage, sizeof storage);
        parse(&host, zip.out.data, zip.out.size);
        grd_bytes_free(&zip.out);
    } else {
        parse(&host, data + 1, size - 1);
    }
    if (memory.live)
        abort();
    return 0;
}
