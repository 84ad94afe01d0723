/* libFuzzer target: any bytes as a picture. The last byte chooses options, and whether checksums of a PNG are made right: they
 * would stop nearly all mutations at the door. What succeeds must be as a probe said, every pixel readable; what fails must say
 * why and leave nothing.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base and src/format. */
#include "format/image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(uint8_t *bytes, size_t size)
{
    if (size < 8 || memcmp(bytes, "\x89PNG", 4) != 0)
        return;
    for (size_t at = 8; size - at >= 12;) {
        size_t length = (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (length > size - at - 12)
            return;
        uint32_t crc = 0xffffffffu;
        for (size_t i = at + 4; i < at + 8 + length; i++) {
            crc ^= bytes[i];
            for (int k = 0; k < 8; k++)
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
        for (int k = 0; k < 4; k++)
            bytes[at + 8 + length + (size_t)k] = (uint8_t)(~crc >> (24 - 8 * k));
        at += 12 + length;
    }
}

static void decode(const uint8_t *data, size_t size, unsigned choice)
{
    static const int channels[] = { 0, 1, 3, 4 };
    grd_image_opts opts = { .channels = channels[choice & 3],
                            .indices = choice & 4,
                            .planes = choice & 8,
                            .eight_bit = choice & 16,
                            .min_width = choice & 32 ? 3 : 0,
                            .max_pixels = 1 << 18 };
    grd_host host;
    grd_image image, probed;
    grd_host_init(&host, NULL);
    grd_status status = grd_image_decode(&host, "fuzz", data, size, &opts, &image);
    if (status != GRD_OK) {
        if (image.pixels || !host.err.text[0])
            abort();
        return;
    }
    volatile uint8_t sum = 0;
    const uint8_t *pixels = image.pixels;
    size_t bytes = (size_t)image.width * (size_t)image.height * (size_t)(image.channels * image.depth / 8);
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + pixels[i]);
    if (grd_image_probe(&host, "fuzz", data, size, &opts, &probed) != GRD_OK || probed.pixels || probed.width != image.width ||
        probed.height != image.height || probed.channels != image.channels || probed.depth != image.depth)
        abort();
    grd_image_free(&host, &image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *bytes = malloc(size);
    memcpy(bytes, data, size);
    unsigned choice = bytes[--size];
    if (choice & 64)
        repair(bytes, size);
    uint8_t *exact = realloc(bytes, size ? size : 1); /* so that a byte too far is seen */
    decode(exact, size, choice);
    free(exact);
    return 0;
}
