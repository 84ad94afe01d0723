/* The fuzz target of tests/fuzz with a mutator of our own: 20,000 files, the same in every run. GRADUS_FUZZ_SEED: others. */
#include "../fuzz/fuzz_image.c"

#include "helper_image.h"

#include <png.h>
#include <string.h>

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* Flips, interesting bytes, pieces copied or cut off. */
static size_t mutate(uint8_t *bytes, size_t size)
{
    static const uint8_t interesting[] = "\0\1\2\x7f\x80\xff\xc0\xc2\xc4\xd8\xd9\xda\xdb\xdd\xe1\x10\x20";
    for (uint32_t n = 1 + draw(5); n && size > 1; n--) {
        size_t at = draw(4) ? draw((uint32_t)size) : draw(size < 64 ? (uint32_t)size : 64), length = 1 + draw(8);
        length = length > size - at ? size - at : length;
        switch (draw(5)) {
        case 0:
            size = draw(8) ? size : at + 1;
            break;
        case 1:
            bytes[at] = interesting[draw(sizeof interesting)];
            break;
        case 2:
            memmove(bytes + draw((uint32_t)(size - length + 1)), bytes + at, length);
            break;
        default:
            bytes[at] ^= (uint8_t)(1 << draw(8));
        }
    }
    return size;
}

static void mutated_files_never_do_harm(void **state)
{
    (void)state;
    enum { RUNS = 20000, W = 20, H = 12 };
    static uint8_t rows[W * H * 4];
    const char *from = getenv("GRADUS_FUZZ_SEED");
    seed = from ? strtoull(from, NULL, 10) : 1;
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = (uint8_t)(i / 7 * (i % 4 + 1));
    static const uint8_t runs[] = { 9, 1, 0, 4, 3, 2, 1, 0, 7, 2, 0, 0, 0, 2, 2, 1, 1, 2, 0, 1 };
    static const uint32_t masks[] = { 0xf800, 0x7e0, 0x1f };
    picture_bytes files[] = {
        png_file(W, H, PNG_COLOR_TYPE_RGB, 8, false, true, rows),
        png_file(W, H, PNG_COLOR_TYPE_PALETTE, 4, true, true, rows),
        png_file(W, H, PNG_COLOR_TYPE_GRAY_ALPHA, 16, false, false, rows),
        jpeg_file(W, H, 3, false, 6, false, rows),
        jpeg_file(W, H, 1, true, 0, false, rows),
        jpeg_file(W, H, 4, false, 3, true, rows),
        bmp_file(&(bmp_kind){ .header = 40, .width = W, .height = H, .bits = 24, .pixels = rows, .size = W * H * 3 }),
        bmp_file(&(bmp_kind){ .header = 108,
                              .width = W,
                              .height = -H,
                              .bits = 16,
                              .compression = 3,
                              .masks = masks,
                              .n_masks = 3,
                              .pixels = rows,
                              .size = W * H * 2 }),
        bmp_file(&(bmp_kind){ .header = 40,
                              .width = W,
                              .height = H,
                              .bits = 8,
                              .compression = 1,
                              .palette = rows,
                              .n_colors = 16,
                              .pixels = runs,
                              .size = sizeof runs }),
        bmp_file(&(bmp_kind){ .header = 40,
                              .width = W,
                              .height = H,
                              .bits = 4,
                              .compression = 2,
                              .palette = rows,
                              .n_colors = 16,
                              .pixels = runs,
                              .size = sizeof runs }),
    };
    for (int run = 0; run < RUNS; run++) {
        const picture_bytes *file = &files[draw(sizeof files / sizeof *files)];
        uint8_t *bytes = malloc(file->size + 1);
        memcpy(bytes, file->data, file->size);
        size_t size = mutate(bytes, file->size);
        bytes[size] = (uint8_t)(64 | draw(64)); /* checksums are made right */
        uint8_t *exact = malloc(size + 1); /* a byte too far is found */
        memcpy(exact, bytes, size + 1);
        LLVMFuzzerTestOneInput(exact, size + 1);
        free(bytes);
        free(exact);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        free(files[i].data);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mutated_files_never_do_harm) };
    return cmocka_run_group_tests_name("image fuzz", tests, NULL, NULL);
}
