/* Pictures from PNG, JPEG and BMP: pixels, options, and files that lie or end early. Pillow is asked in test_image_pillow.c. */
#include "helper_image.h"

#include "format/image.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

static uint32_t noise;
static uint8_t draw(void)
{
    noise = noise * 1664525u + 1013904223u;
    return (uint8_t)(noise >> 24);
}

static grd_image decoded(grd_host *host, picture_bytes b, const grd_image_opts *opts)
{
    grd_image image, probed;
    OK(host, grd_image_decode(host, "a", b.data, b.size, opts, &image));
    OK(host, grd_image_probe(host, "a", b.data, b.size, opts, &probed));
    assert_null(probed.pixels);
    assert_int_equal(probed.width, image.width);
    assert_int_equal(probed.height, image.height);
    assert_int_equal(probed.channels, image.channels);
    assert_int_equal(probed.depth, image.depth);
    assert_int_equal(probed.colors, image.colors);
    return image;
}

/* ---- PNG ---- */

/* The value of sample i of row y in libpng's packed rows, at its full range: of `depth` bits. */
static unsigned sample(const uint8_t *rows, size_t stride, int y, int i, int bits, bool stretch)
{
    const uint8_t *row = rows + (size_t)y * stride;
    if (bits == 16)
        return (unsigned)row[2 * i] << 8 | row[2 * i + 1];
    unsigned v = (unsigned)row[i * bits / 8] >> (8 - bits - i * bits % 8) & ((1u << bits) - 1);
    return stretch ? v * (255u / ((1u << bits) - 1)) : v;
}

static void expect_png(int type, int bits, bool interlaced, bool transparent)
{
    enum { W = 13, H = 11 };
    static uint8_t rows[H * W * 8];
    int in = type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_PALETTE ? 1
             : type == PNG_COLOR_TYPE_GRAY_ALPHA                           ? 2
             : type == PNG_COLOR_TYPE_RGB                                  ? 3
                                                                           : 4;
    size_t stride = (size_t)(W * in * bits + 7) / 8;
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = draw();
    memcpy(rows, bits == 16 ? "\0\1\0\2\0\3" : "\1\2\3", bits == 16 ? 6 : 3); /* the transparent colour, once */
    picture_bytes b = png_file(W, H, type, bits, interlaced, transparent, rows);
    grd_host host;
    grd_host_init(&host, NULL);
    grd_image image = decoded(&host, b, NULL);
    bool colors = type == PNG_COLOR_TYPE_PALETTE;
    assert_int_equal(image.format, GRD_IMAGE_PNG);
    assert_int_equal(image.width * 100 + image.height, W * 100 + H);
    assert_int_equal(image.depth, bits == 16 ? 16 : 8);
    assert_int_equal(image.channels, (colors ? 3 : in) + transparent);
    assert_int_equal(image.colors, colors ? 1 << bits : 0);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            unsigned v[4], raw[4];
            for (int c = 0; c < in; c++) {
                v[c] = sample(rows, stride, y, x * in + c, bits, !colors);
                raw[c] = sample(rows, stride, y, x * in + c, bits, false);
            }
            if (colors) {
                unsigned i = v[0];
                memcpy(v, (unsigned[]){ i & 255, 2 * i & 255, 3 * i & 255, i == 0 ? 0 : i == 1 ? 100 : 255 }, sizeof v);
            } else if (transparent) {
                bool key = in == 1 ? raw[0] == 1 : raw[0] == 1 && raw[1] == 2 && raw[2] == 3;
                v[in] = key ? 0 : bits == 16 ? 65535 : 255;
            }
            for (int c = 0; c < image.channels; c++) {
                size_t at = (size_t)((y * W + x) * image.channels + c);
                assert_int_equal(bits == 16 ? ((uint16_t *)image.pixels)[at] : ((uint8_t *)image.pixels)[at], v[c]);
            }
        }
    grd_image_free(&host, &image);
    if (bits == 16) {
        image = decoded(&host, b, &(grd_image_opts){ .eight_bit = true });
        assert_int_equal(((uint8_t *)image.pixels)[image.channels], rows[2 * in]); /* the high byte */
        grd_image_free(&host, &image);
    }
    if (colors) {
        image = decoded(&host, b, &(grd_image_opts){ .indices = true });
        assert_int_equal(image.channels, 1);
        assert_int_equal(image.palette[3 & ((1 << bits) - 1)][1], 6 & (2 * ((1 << bits) - 1)));
        assert_int_equal(image.palette[1][3], transparent ? 100 : 255);
        for (int i = 0; i < W * H; i++)
            assert_int_equal(((uint8_t *)image.pixels)[i], sample(rows, stride, i / W, i % W, bits, false));
        grd_image_free(&host, &image);
    } else {
        FAILS(&host, GRD_ERR_FORMAT, "without a palette",
              grd_image_decode(&host, "a", b.data, b.size, &(grd_image_opts){ .indices = true }, &image));
        assert_null(image.pixels);
    }
    free(b.data);
}

static void png_of_every_kind_gives_its_samples(void **state)
{
    (void)state;
    for (int interlaced = 0; interlaced < 2; interlaced++)
        for (int transparent = 0; transparent < 2; transparent++)
            for (int bits = 1; bits <= 16; bits *= 2) {
                expect_png(PNG_COLOR_TYPE_GRAY, bits, interlaced, transparent);
                if (bits <= 8)
                    expect_png(PNG_COLOR_TYPE_PALETTE, bits, interlaced, transparent);
                if (bits >= 8)
                    expect_png(PNG_COLOR_TYPE_RGB, bits, interlaced, transparent);
                if (bits >= 8 && !transparent) {
                    expect_png(PNG_COLOR_TYPE_GRAY_ALPHA, bits, interlaced, false);
                    expect_png(PNG_COLOR_TYPE_RGBA, bits, interlaced, false);
                }
            }
}

static void channels_are_converted_on_request(void **state)
{
    (void)state;
    static const uint8_t rgba[] = { 10, 200, 30, 40, 255, 0, 1, 0 }, ga[] = { 7, 8, 250, 9 };
    grd_host host;
    grd_host_init(&host, NULL);
    picture_bytes colour = png_file(2, 1, PNG_COLOR_TYPE_RGBA, 8, false, false, rgba),
                  grey = png_file(2, 1, PNG_COLOR_TYPE_GRAY_ALPHA, 8, false, false, ga);
    grd_image image = decoded(&host, colour, &(grd_image_opts){ .channels = 1 });
    assert_memory_equal(image.pixels,
                        ((uint8_t[]){ (10 * 19595 + 200 * 38470 + 30 * 7471 + 32768) >> 16, (255 * 19595 + 7471 + 32768) >> 16 }),
                        2);
    grd_image_free(&host, &image);
    image = decoded(&host, colour, &(grd_image_opts){ .channels = 3, .planes = true });
    assert_memory_equal(image.pixels, ((uint8_t[]){ 10, 255, 200, 0, 30, 1 }), 6);
    grd_image_free(&host, &image);
    image = decoded(&host, grey, &(grd_image_opts){ .channels = 1 });
    assert_memory_equal(image.pixels, ((uint8_t[]){ 7, 250 }), 2);
    grd_image_free(&host, &image);
    image = decoded(&host, grey, &(grd_image_opts){ .channels = 4 });
    assert_memory_equal(image.pixels, ((uint8_t[]){ 7, 7, 7, 8, 250, 250, 250, 9 }), 8);
    grd_image_free(&host, &image);
    picture_bytes wide = png_file(1, 1, PNG_COLOR_TYPE_RGB, 16, false, false, (uint8_t[]){ 255, 255, 255, 255, 255, 255 });
    image = decoded(&host, wide, &(grd_image_opts){ .channels = 1 });
    assert_int_equal(((uint16_t *)image.pixels)[0], 65535);
    grd_image_free(&host, &image);
    FAILS(&host, GRD_ERR_ARG, "2 channels wanted",
          grd_image_decode(&host, "a", wide.data, wide.size, &(grd_image_opts){ .channels = 2 }, &image));
    free(colour.data);
    free(grey.data);
    free(wide.data);
}

/* ---- JPEG ---- */

enum { JW = 40, JH = 24 };

static const uint8_t *smooth(int components)
{
    static uint8_t pixels[JW * JH * 4];
    for (int y = 0; y < JH; y++)
        for (int x = 0; x < JW; x++)
            for (int c = 0; c < components; c++)
                pixels[(y * JW + x) * components + c] = (uint8_t)(c == 0 ? 6 * x : c == 1 ? 10 * y : c == 2 ? 3 * (x + y) : 200);
    return pixels;
}

static void jpeg_gives_what_was_drawn(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    for (int components = 1; components <= 4; components++)
        for (int progressive = 0; progressive < 2 && components != 2; progressive++) {
            const uint8_t *drawn = smooth(components);
            picture_bytes b = jpeg_file(JW, JH, components, progressive, 0, false, drawn);
            grd_image image = decoded(&host, b, NULL);
            assert_int_equal(image.format, GRD_IMAGE_JPEG);
            assert_int_equal(image.width * 100 + image.height, JW * 100 + JH);
            assert_int_equal(image.channels, components == 1 ? 1 : 3);
            for (int i = 0; i < JW * JH; i++)
                for (int c = 0; c < image.channels; c++) {
                    int v = drawn[i * components + c], found = ((uint8_t *)image.pixels)[i * image.channels + c];
                    v = components < 4 ? v : v * drawn[i * 4 + 3] / 255; /* inverted ink: light let through */
                    assert_in_range(found + 16 - v, 0, 32);
                }
            grd_image_free(&host, &image);
            free(b.data);
        }
}

static void jpeg_is_turned_as_exif_says(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    for (int o = 1; o <= 8; o++)
        for (int big = 0; big < 2; big++) {
            picture_bytes b = jpeg_file(JW, JH, 3, false, o, big, smooth(3));
            grd_image lying = decoded(&host, b, &(grd_image_opts){ .no_orientation = true });
            grd_image upright = decoded(&host, b, &(grd_image_opts){ .planes = big });
            assert_int_equal(upright.width, o >= 5 ? JH : JW);
            for (int y = 0; y < upright.height; y++)
                for (int x = 0; x < upright.width; x++) {
                    int last_x = upright.width - 1, last_y = upright.height - 1; /* where the upright pixel lies in the file */
                    int fx = o == 1 || o == 4 ? x : o == 2 || o == 3 ? last_x - x : o == 5 || o == 6 ? y : last_y - y;
                    int fy = o == 1 || o == 2 ? y : o == 3 || o == 4 ? last_y - y : o == 5 || o == 8 ? x : last_x - x;
                    for (int c = 0; c < 3; c++)
                        assert_int_equal(
                            ((uint8_t *)
                                 upright.pixels)[big ? (c * JH * JW + y * upright.width + x) : (y * upright.width + x) * 3 + c],
                            ((uint8_t *)lying.pixels)[(fy * JW + fx) * 3 + c]);
                }
            grd_image_free(&host, &lying);
            grd_image_free(&host, &upright);
            free(b.data);
        }
}

static void jpeg_comes_no_smaller_than_wanted(void **state)
{
    (void)state;
    static const struct {
        int orientation, min_w, min_h, w, h;
    } cases[] = {
        { 0, 0, 0, 40, 24 },  { 0, 20, 0, 20, 12 },  { 0, 20, 13, 25, 15 }, { 0, 1, 1, 5, 3 },
        { 0, 36, 1, 40, 24 }, { 0, 100, 1, 40, 24 }, { 6, 12, 20, 12, 20 }, { 6, 1, 26, 18, 30 },
    };
    grd_host host;
    grd_host_init(&host, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        picture_bytes b = jpeg_file(JW, JH, 1, false, cases[i].orientation, false, smooth(1));
        grd_image image = decoded(&host, b, &(grd_image_opts){ .min_width = cases[i].min_w, .min_height = cases[i].min_h });
        assert_int_equal(image.width, cases[i].w);
        assert_int_equal(image.height, cases[i].h);
        grd_image_free(&host, &image);
        free(b.data);
    }
}

/* ---- BMP ---- */

static void expect_bmp(const bmp_kind *kind, const grd_image_opts *opts, int channels, const uint8_t *pixels)
{
    grd_host host;
    grd_host_init(&host, NULL);
    picture_bytes b = bmp_file(kind);
    grd_image image = decoded(&host, b, opts);
    int height = kind->height < 0 ? -kind->height : kind->height;
    assert_int_equal(image.format, GRD_IMAGE_BMP);
    assert_int_equal(image.width * 100 + image.height, kind->width * 100 + height);
    assert_int_equal(image.channels, channels);
    assert_memory_equal(image.pixels, pixels, (size_t)(kind->width * height * channels));
    grd_image_free(&host, &image);
    free(b.data);
}

static const uint8_t four_colors[] = { 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0 }; /* BGR0 */

static void bmp_of_every_kind_gives_its_pixels(void **state)
{
    (void)state;
    static const uint8_t by_color[] = { 6, 5, 4, 3, 2, 1, 3, 2, 1, 6, 5, 4 }; /* indices 1 0 / 0 1 */
    static const grd_image_opts indices = { .indices = true };
    static const uint8_t one[] = { 0x40, 0, 0, 0, 0x80, 0, 0, 0 }, four[] = { 0x01, 0, 0, 0, 0x10, 0, 0, 0 };
    static const uint8_t eight[] = { 0, 1, 0, 0, 1, 0, 0, 0 };
    bmp_kind k = {
        .header = 40, .width = 2, .height = 2, .bits = 1, .palette = four_colors, .n_colors = 2, .pixels = one, .size = 8
    };
    expect_bmp(&k, NULL, 3, by_color);
    expect_bmp(&k, &indices, 1, (uint8_t[]){ 1, 0, 0, 1 });
    k.bits = 4;
    k.pixels = four;
    k.header = 124;
    expect_bmp(&k, NULL, 3, by_color);
    k.bits = 8;
    k.pixels = eight;
    k.header = 64;
    expect_bmp(&k, NULL, 3, by_color);
    k.height = -2;
    expect_bmp(&k, &indices, 1, (uint8_t[]){ 0, 1, 1, 0 });
    expect_bmp(&(bmp_kind){ .header = 12,
                            .width = 2,
                            .height = 1,
                            .bits = 1,
                            .palette = (uint8_t[]){ 1, 2, 3, 4, 5, 6 },
                            .n_colors = 2,
                            .pixels = "\x40",
                            .size = 1 },
               NULL, 3, (uint8_t[]){ 3, 2, 1, 6, 5, 4 });
    expect_bmp(&(bmp_kind){ .header = 40,
                            .width = 2,
                            .height = 1,
                            .bits = 1,
                            .palette = (uint8_t[]){ 9, 9, 9, 0, 80, 80, 80, 0 },
                            .n_colors = 2,
                            .pixels = "\x40",
                            .size = 1 },
               NULL, 1, (uint8_t[]){ 9, 80 }); /* greys only: grey */
    expect_bmp(&(bmp_kind){ .header = 40, .width = 1, .height = 2, .bits = 24, .pixels = "\1\2\3\0\4\5\6", .size = 7 }, NULL, 3,
               (uint8_t[]){ 6, 5, 4, 3, 2, 1 });
    expect_bmp(&(bmp_kind){ .header = 40, .width = 1, .height = 1, .bits = 32, .pixels = "\1\2\3\4", .size = 4 }, NULL, 3,
               (uint8_t[]){ 3, 2, 1 });
    expect_bmp(&(bmp_kind){ .header = 40, .width = 2, .height = 1, .bits = 16, .pixels = "\x01\x7c\xe0\x03", .size = 4 }, NULL, 3,
               (uint8_t[]){ 255, 0, 8, 0, 255, 0 });
    static const uint32_t m565[] = { 0xf800, 0x7e0, 0x1f }, argb[] = { 0xff, 0xff00, 0xff0000, 0xff000000 },
                          ten[] = { 0x3ff00000, 0xffc00, 0x3ff };
    expect_bmp(&(bmp_kind){ .header = 40,
                            .width = 2,
                            .height = 1,
                            .bits = 16,
                            .compression = 3,
                            .masks = m565,
                            .n_masks = 3,
                            .pixels = "\x00\xf8\xe1\x07",
                            .size = 4 },
               NULL, 3, (uint8_t[]){ 255, 0, 0, 0, 255, 8 });
    expect_bmp(&(bmp_kind){ .header = 40,
                            .width = 1,
                            .height = 1,
                            .bits = 32,
                            .compression = 3,
                            .masks = ten,
                            .n_masks = 3,
                            .pixels = "\x00\xfc\x0f\x20",
                            .size = 4 },
               NULL, 3, (uint8_t[]){ 127, 255, 0 });
    for (int header = 40; header <= 124; header += header == 40 ? 16 : header == 56 ? 52 : 16)
        expect_bmp(&(bmp_kind){ .header = header,
                                .width = 1,
                                .height = 1,
                                .bits = 32,
                                .compression = header == 40 ? 6 : 3,
                                .masks = argb,
                                .n_masks = 4,
                                .pixels = "\1\2\3\4",
                                .size = 4 },
                   NULL, 4, (uint8_t[]){ 1, 2, 3, 4 });
}

static void bmp_runs_are_followed(void **state)
{
    (void)state;
    static const grd_image_opts indices = { .indices = true };
    static const uint8_t eight[] = {
        2, 1, 0, 3, 3, 2, 1, 0, /* row: 1 1 3 2 1 */ 0, 0, 0, 2, 2, 1, 1, 2, /* up a row, right 2: 2 */ 0, 1
    };
    bmp_kind k = { .header = 40,
                   .width = 5,
                   .height = 4,
                   .bits = 8,
                   .compression = 1,
                   .palette = four_colors,
                   .n_colors = 4,
                   .pixels = eight,
                   .size = sizeof eight };
    expect_bmp(&k, &indices, 1, (uint8_t[]){ 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 2, 1 });
    static const uint8_t four[] = { 3, 0x12, 0, 0, 0, 5, 0x31, 0x20, 0x10, 0, 0, 1 };
    k = (bmp_kind){ .header = 40,
                    .width = 5,
                    .height = 2,
                    .bits = 4,
                    .compression = 2,
                    .palette = four_colors,
                    .n_colors = 4,
                    .pixels = four,
                    .size = sizeof four };
    expect_bmp(&k, &indices, 1, (uint8_t[]){ 3, 1, 2, 0, 1, 1, 2, 1, 0, 0 });
    grd_host host;
    grd_image image;
    grd_host_init(&host, NULL);
    k.pixels = "\x06\x12";
    k.size = 2;
    picture_bytes b = bmp_file(&k);
    FAILS(&host, GRD_ERR_FORMAT, "the run at byte 70 leaves the picture or the file after 0 of 2 rows",
          grd_image_decode(&host, "a", b.data, b.size, NULL, &image));
    free(b.data);
    k.pixels = "\x05\x12\0\0";
    k.size = 4;
    b = bmp_file(&k);
    FAILS(&host, GRD_ERR_FORMAT, "truncated after 1 of 2 rows", grd_image_decode(&host, "a", b.data, b.size, NULL, &image));
    free(b.data);
}

/* ---- files that lie ---- */

static void files_that_end_early_say_how_far_they_went(void **state)
{
    (void)state;
    enum { W = 64, H = 50 };
    static uint8_t rows[W * H * 3];
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = draw();
    picture_bytes files[] = {
        png_file(W, H, PNG_COLOR_TYPE_RGB, 8, false, false, rows), png_file(W, H, PNG_COLOR_TYPE_RGB, 8, true, false, rows),
        jpeg_file(W, H, 3, false, 0, false, rows), jpeg_file(W, H, 3, true, 0, false, rows),
        bmp_file(&(bmp_kind){ .header = 40, .width = W, .height = H, .bits = 24, .pixels = rows, .size = sizeof rows })
    };
    static const char *const half[] = { "a: PNG: truncated after 2", "of pass 6 of 7", "a: JPEG: truncated after ",
                                        "a: JPEG: truncated in scan ", "a: BMP: truncated after 2" };
    grd_host host;
    grd_image image;
    grd_host_init(&host, NULL);
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        FAILS(&host, GRD_ERR_FORMAT, half[f], grd_image_decode(&host, "a", files[f].data, files[f].size / 2, NULL, &image));
        for (size_t size = 0; size < files[f].size - (f < 2 ? 16 : 2); size += size < 700 ? 1 : 97) {
            uint8_t *exact = malloc(size ? size : 1); /* a byte too far is found */
            memcpy(exact, files[f].data, size);
            assert_int_equal(grd_image_decode(&host, "a", exact, size, NULL, &image), GRD_ERR_FORMAT);
            assert_null(image.pixels);
            free(exact);
        }
        free(files[f].data);
    }
}

static void sizes_have_a_cap_and_headers_are_not_believed(void **state)
{
    (void)state;
    static const uint8_t rows[64] = { 0 };
    grd_host host;
    grd_image image;
    grd_host_init(&host, NULL);
    picture_bytes files[] = { png_file(8, 8, PNG_COLOR_TYPE_GRAY, 8, false, false, rows),
                              jpeg_file(8, 8, 1, false, 0, false, rows),
                              bmp_file(&(bmp_kind){ .header = 40,
                                                    .width = 4,
                                                    .height = 16,
                                                    .bits = 8,
                                                    .palette = four_colors,
                                                    .n_colors = 4,
                                                    .pixels = rows,
                                                    .size = 64 }) };
    for (int f = 0; f < 3; f++) {
        FAILS(&host, GRD_ERR_FORMAT, "pixels, expected at most 63 together",
              grd_image_probe(&host, "a", files[f].data, files[f].size, &(grd_image_opts){ .max_pixels = 63 }, &image));
        OK(&host, grd_image_decode(&host, "a", files[f].data, files[f].size, &(grd_image_opts){ .max_pixels = 64 }, &image));
        grd_image_free(&host, &image);
    }
    memcpy(files[2].data + 18, "\xff\xff\xff\x7f", 4);
    FAILS(&host, GRD_ERR_FORMAT, "a: 2147483647 x 16 pixels",
          grd_image_decode(&host, "a", files[2].data, files[2].size, NULL, &image));
    memcpy(files[2].data + 18, "\xff\xff\xff\xff", 4);
    FAILS(&host, GRD_ERR_FORMAT, "a: -1 x 16 pixels", grd_image_decode(&host, "a", files[2].data, files[2].size, NULL, &image));
    picture_bytes wide = png_file(4000, 1, PNG_COLOR_TYPE_RGB, 16, false, false, (uint8_t[24000]){ 0 });
    uint8_t header[] = "\0\0\x20\0\0\0\x20\0\x10\2\0\0\0\x14\xd2\x46\x8f"; /* 8192 x 8192, 16 bits, RGB */
    memcpy(wide.data + 16, header, 13);
    uint32_t crc = 0xffffffffu;
    for (int i = 12; i < 29; i++) {
        crc ^= wide.data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    for (int k = 0; k < 4; k++)
        wide.data[29 + k] = (uint8_t)(~crc >> (24 - 8 * k));
    FAILS(&host, GRD_ERR_FORMAT, "8192 x 8192 pixels, more than ",
          grd_image_decode(&host, "a", wide.data, wide.size, NULL, &image));
    free(wide.data);
    for (int f = 0; f < 3; f++)
        free(files[f].data);
}

static void what_is_no_picture_is_named(void **state)
{
    (void)state;
    grd_host host;
    grd_image image;
    grd_host_init(&host, NULL);
    FAILS(&host, GRD_ERR_FORMAT, "x: no bytes, expected", grd_image_decode(&host, "x", "", 0, NULL, &image));
    FAILS(&host, GRD_ERR_FORMAT, "x: begins with \"<html>?!\", expected a PNG, JPEG or BMP",
          grd_image_decode(&host, "x", "<html>\n!!!", 10, NULL, &image));
    FAILS(&host, GRD_ERR_UNSUPPORTED, "x: a GIF file", grd_image_decode(&host, "x", "GIF89a....", 10, NULL, &image));
    FAILS(&host, GRD_ERR_UNSUPPORTED, "x: a WebP file", grd_image_decode(&host, "x", "RIFF....WEBPVP8 ", 16, NULL, &image));
    FAILS(&host, GRD_ERR_IO, "no-such", grd_image_read(&host, "/no-such-folder/x.png", NULL, &image));
    put_file(in_temp_dir("p.bmp"), "BM", 2);
    FAILS(&host, GRD_ERR_FORMAT, "p.bmp: BMP: truncated in its header: 2 bytes",
          grd_image_read(&host, in_temp_dir("p.bmp"), NULL, &image));
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    static const uint8_t rows[16 * 16 * 4] = { 0 };
    picture_bytes files[] = {
        png_file(16, 16, PNG_COLOR_TYPE_RGB, 8, true, false, rows), jpeg_file(16, 16, 4, false, 6, false, rows),
        bmp_file(&(bmp_kind){ .header = 40, .width = 16, .height = 16, .bits = 32, .pixels = rows, .size = sizeof rows })
    };
    for (int f = 0; f < 3; f++) {
        for (int64_t n = 1;; n++) {
            counter memory = { .refuse = n };
            grd_host host;
            grd_image image;
            counting_host(&host, &memory);
            grd_status status = grd_image_decode(&host, "a", files[f].data, files[f].size,
                                                 &(grd_image_opts){ .channels = 4, .planes = true }, &image);
            bool refused = memory.calls >= n;
            assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
            grd_image_free(&host, &image);
            assert_int_equal(memory.live, 0);
            if (!refused) {
                assert_true(n > 3);
                break;
            }
        }
        free(files[f].data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_of_every_kind_gives_its_samples),
        cmocka_unit_test(channels_are_converted_on_request),
        cmocka_unit_test(jpeg_gives_what_was_drawn),
        cmocka_unit_test(jpeg_is_turned_as_exif_says),
        cmocka_unit_test(jpeg_comes_no_smaller_than_wanted),
        cmocka_unit_test(bmp_of_every_kind_gives_its_pixels),
        cmocka_unit_test(bmp_runs_are_followed),
        cmocka_unit_test(files_that_end_early_say_how_far_they_went),
        cmocka_unit_test(sizes_have_a_cap_and_headers_are_not_believed),
        cmocka_unit_test(what_is_no_picture_is_named),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, remove_temp_dir);
}
