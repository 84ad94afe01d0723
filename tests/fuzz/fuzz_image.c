/* libFuzzer target: any bytes as a picture. The last byte chooses options. What succeeds must be as a probe said, every pixel
 * readable; what fails must say why and leave nothing.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base and src/format. */
#include "format/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static const int channels[] = { 0, 1, 3, 4 };
    unsigned choice = data[--size];
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
        return 0;
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
    return 0;
}
