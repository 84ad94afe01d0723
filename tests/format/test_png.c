/* Pictures: the pixels that libpng reads back are those that were drawn. */
#include "helper_format.h"

#include "format/picture.h"
#include "format/png.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

/* RGB of a PNG in memory; free it. */
static uint8_t *decoded(const void *bytes, size_t size, unsigned *width, unsigned *height)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    assert_true(png_image_begin_read_from_memory(&image, bytes, size));
    image.format = PNG_FORMAT_RGB;
    uint8_t *rgb = malloc(PNG_IMAGE_SIZE(image));
    assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
    *width = image.width;
    *height = image.height;
    return rgb;
}

static void a_png_holds_the_pixels_it_was_given(void **state)
{
    (void)state;
    grd_host host;
    uint8_t pixels[7 * 5 * 4];
    grd_host_init(&host, NULL);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = i % 4 == 3 ? 255 : (uint8_t)(i * 37);
    for (int channels = 1; channels <= 4; channels++) {
        void *bytes;
        size_t size;
        unsigned w, h;
        if (channels == 2) {
            FAILS(&host, GRD_ERR_ARG, "7 x 5 pixels with 2 channels", grd_png_encode(&host, 7, 5, 2, pixels, &bytes, &size));
            continue;
        }
        OK(&host, grd_png_encode(&host, 7, 5, channels, pixels, &bytes, &size));
        uint8_t *rgb = decoded(bytes, size, &w, &h);
        assert_int_equal(w * 100 + h, 705);
        for (int i = 0; i < 35 && channels < 4; i++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(rgb[3 * i + c], pixels[i * channels + (channels == 3 ? c : 0)]);
        free(rgb);
        grd_free(&host, bytes);
    }
    void *bytes;
    size_t size;
    FAILS(&host, GRD_ERR_ARG, "0 x 5", grd_png_encode(&host, 0, 5, 1, pixels, &bytes, &size));
    FAILS(&host, GRD_ERR_IO, "no-such-folder", grd_png_write(&host, "/no-such-folder/x.png", 7, 5, 1, pixels));
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    static const float image[28 * 28] = { 0 };
    for (int64_t n = 1;; n++) {
        counter memory = { .refuse = n };
        grd_host host;
        grd_picture picture;
        counting_host(&host, &memory);
        grd_picture_row row = { "row", image };
        grd_status status = grd_picture_from_grid(
            &picture, &host,
            &(grd_picture_grid){ .row = &row, .rows = 1, .columns = 1, .channels = 1, .height = 28, .width = 28 });
        if (status == GRD_OK)
            status = grd_picture_write(&picture, in_temp_dir("m.png"));
        bool refused = memory.calls >= n;
        assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
        grd_picture_free(&picture);
        assert_int_equal(memory.live, 0);
        if (!refused) {
            assert_true(n > 4);
            break;
        }
    }
}

static uint32_t pixel(const grd_picture *p, int x, int y)
{
    const uint8_t *at = p->rgb + (y * p->width + x) * 3;
    return (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
}

static void images_are_enlarged_and_cut_at_the_edges(void **state)
{
    (void)state;
    grd_host host;
    grd_picture p;
    grd_host_init(&host, NULL);
    OK(&host, grd_picture_init(&p, &host, 20, 10, 0x123456));
    const uint8_t grey[4] = { 0, 85, 170, 255 };
    grd_picture_image(&p, 2, 3, 2, 2, 1, grey, 3);
    assert_int_equal(pixel(&p, 1, 3), 0x123456);
    assert_int_equal(pixel(&p, 2, 3), 0x000000);
    assert_int_equal(pixel(&p, 4, 5), 0x000000);
    assert_int_equal(pixel(&p, 5, 3), 0x555555);
    assert_int_equal(pixel(&p, 7, 8), 0xFFFFFF);
    assert_int_equal(pixel(&p, 8, 8), 0x123456);
    const float planes[12] = { 0, 1, 2, NAN, 0, 0.5f, 0, 0, 1, 0, -1, 0 };
    grd_picture_planes(&p, 10, 0, 2, 2, 3, planes, 0, 1, 1);
    assert_int_equal(pixel(&p, 10, 0), 0x0000FF);
    assert_int_equal(pixel(&p, 11, 0), 0xFF8000);
    assert_int_equal(pixel(&p, 10, 1), 0xFF0000); /* beyond lo and hi */
    assert_int_equal(pixel(&p, 11, 1), 0xFF00FF); /* NaN */
    grd_picture_fill(&p, -5, -5, 1000, 6, 0xFFFFFF);
    grd_picture_fill(&p, 2147483647, 0, 2147483647, 5, 0);
    grd_picture_fill(&p, -2147483647, 2, 3, 5, 0);
    grd_picture_image(&p, -3, -3, 2, 2, 1, grey, 100);
    grd_picture_text(&p, -4, 8, "text \xff beyond the edges", 0, 3);
    grd_picture_free(&p);
    FAILS(&host, GRD_ERR_ARG, "0 x 10 pixels", grd_picture_init(&p, &host, 0, 10, 0));
}

static void every_letter_has_its_own_shape(void **state)
{
    (void)state;
    grd_host host;
    grd_picture p;
    grd_host_init(&host, NULL);
    OK(&host, grd_picture_init(&p, &host, 97 * 6, 9, 0xFFFFFF));
    char text[97] = "";
    for (int i = 0; i < 95; i++)
        text[i] = (char)(32 + i);
    text[95] = '\x7f';
    grd_picture_text(&p, 0, 0, text, 0, 1);
    assert_int_equal(grd_picture_text_width(text, 1), 96 * 6 - 1);
    for (int a = 0; a < 96; a++)
        for (int b = 0; b < a; b++) {
            bool same = true;
            for (int y = 0; y < 9; y++)
                for (int x = 0; x < 6; x++)
                    same = same && pixel(&p, a * 6 + x, y) == pixel(&p, b * 6 + x, y);
            assert_false(same);
        }
    grd_picture_free(&p);
}

static void a_grid_shows_each_image_in_its_place(void **state)
{
    (void)state;
    grd_host host;
    grd_picture p;
    float images[6 * 8 * 8];
    grd_host_init(&host, NULL);
    for (int i = 0; i < 6 * 64; i++)
        images[i] = (float)(i / 64) / 5;
    grd_picture_row rows[2] = { { "original", images }, { "made", images + 3 * 64 } };
    grd_picture_grid grid = { .title = "a title that is wider than the images",
                              .row = rows,
                              .rows = 2,
                              .columns = 3,
                              .channels = 1,
                              .height = 8,
                              .width = 8,
                              .column_caption = (const char *const[]){ "cat", "dog", "a longer one" } };
    OK(&host, grd_picture_from_grid(&p, &host, &grid));
    /* each level of grey occurs as one square of 56 x 56 pixels */
    for (int i = 0; i < 6; i++) {
        uint32_t grey = (uint32_t)(i / 5.0 * 255 + 0.5) * 0x010101u;
        int count = 0;
        for (int y = 0; y < p.height; y++)
            for (int x = 0; x < p.width; x++)
                count += pixel(&p, x, y) == grey;
        if (i < 5) /* white is paper, too */
            assert_int_equal(count, 56 * 56);
    }
    grd_picture_free(&p);
    grid.columns = 100000;
    FAILS(&host, GRD_ERR_ARG, "2 x 100000 images", grd_picture_from_grid(&p, &host, &grid));
    grid.columns = 3;
    grid.scale = 10000;
    FAILS(&host, GRD_ERR_ARG, "expected at most 32768 each way", grd_picture_from_grid(&p, &host, &grid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_png_holds_the_pixels_it_was_given),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(images_are_enlarged_and_cut_at_the_edges),
        cmocka_unit_test(every_letter_has_its_own_shape),
        cmocka_unit_test(a_grid_shows_each_image_in_its_place),
    };
    return cmocka_run_group_tests_name("png and picture", tests, NULL, remove_temp_dir);
}
