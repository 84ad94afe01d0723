/* Kernels on pixels: against torchvision's results on a small picture, against themselves on views and windows, and points
 * against pixels. */
#include "helper_data.h"
#include "helper_image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden {
    const char *name, *kind;
    int size[3];
    double p[IMAGE_PARAMETERS];
    const int16_t *values;
} golden;
#include "golden_image.h"

enum { C = 3, H = 7, W = 8, ROOM = 3 * 64 * 64 };

static void small_picture(uint8_t *pixels, float *floats)
{
    for (int i = 0; i < C * H * W; i++) {
        pixels[i] = (uint8_t)((i * 37 + i * i * 11) % 251);
        floats[i] = (float)pixels[i] / 255;
    }
}

static void every_transform_gives_what_torchvision_gives(void **state)
{
    (void)state;
    static uint8_t pixels[C * H * W], found_bytes[ROOM];
    static float floats[C * H * W], found_floats[ROOM];
    small_picture(pixels, floats);
    for (size_t g = 0; g < sizeof goldens / sizeof *goldens; g++) {
        const golden *k = &goldens[g];
        bool whole = strcmp(k->kind, "u8") == 0, whole_out = whole && strcmp(k->name, "normalize") != 0;
        grd_pixels in = grd_pixels_of(whole ? (void *)pixels : floats, whole ? GRD_U8 : GRD_F32, C, H, W);
        grd_pixels out = grd_pixels_of(whole_out ? (void *)found_bytes : found_floats, whole_out ? GRD_U8 : GRD_F32, k->size[0],
                                       k->size[1], k->size[2]);
        assert_true(image_case(k->name, k->p, &in, &out));
        for (int i = 0; i < k->size[0] * k->size[1] * k->size[2]; i++) {
            double value = whole_out ? found_bytes[i] : (double)found_floats[i] * 10000, bound = whole_out ? 1 : 2;
            if (!(fabs(value - k->values[i]) <= bound))
                fail_msg("%s %s (%g, ...): value %d is %g, torchvision's %d", k->name, k->kind, k->p[0], i, value, k->values[i]);
        }
    }
}

static void a_window_of_a_resize_is_that_part_of_the_whole(void **state)
{
    (void)state;
    static float in_data[C * H * W], whole_data[ROOM], part_data[ROOM];
    static uint8_t in_bytes[C * H * W];
    small_picture(in_bytes, in_data);
    for (int filter = GRD_FILTER_NEAREST; filter <= GRD_FILTER_AREA; filter++)
        for (int kind = 0; kind < 2; kind++) {
            grd_dtype type = kind ? GRD_F32 : GRD_U8;
            grd_pixels in = grd_pixels_of(kind ? (void *)in_data : in_bytes, type, C, H, W);
            grd_pixels whole = grd_pixels_of(whole_data, type, C, 17, 5), part = grd_pixels_of(part_data, type, C, 9, 3);
            grd_resize r = { .filter = (grd_filter)filter, .antialias = true, .height = 17, .width = 5 };
            void *scratch = malloc(grd_pixels_resize_scratch(&r, &in, &whole));
            grd_pixels_resize(&r, &in, &whole, scratch);
            free(scratch);
            r.top = 6;
            r.left = 2;
            scratch = malloc(grd_pixels_resize_scratch(&r, &in, &part));
            grd_pixels_resize(&r, &in, &part, scratch);
            free(scratch);
            grd_pixels view = grd_pixels_crop(&whole, 6, 2, 9, 3), copy = grd_pixels_of(whole_data + ROOM / 2, type, C, 9, 3);
            grd_pixels_copy(&view, &copy);
            assert_memory_equal(part.data, copy.data, (size_t)(C * 9 * 3) * (kind ? 4 : 1));
        }
}

/* Views in, views out, and what lies around a view stays as it was. */
static void views_are_respected(void **state)
{
    (void)state;
    static const char *const names[] = {
        "resize_bilinear_aa", "resize_nearest", "flip_horizontal", "flip_vertical", "pad_reflect", "rotate_bilinear",
        "affine_nearest",     "brightness",     "contrast",        "saturation",    "hue",         "blur"
    };
    static const double p[IMAGE_PARAMETERS] = { 1, 1, 1, 1 }, blur[IMAGE_PARAMETERS] = { 3, 5, 1, 1 };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        static uint8_t pixels[C * H * W], around[C * 20 * 20], copied[C * 4 * 5], expected[C * 4 * 5];
        static float floats[C * H * W];
        small_picture(pixels, floats);
        memset(around, 77, sizeof around);
        const double *parameters = strcmp(names[k], "blur") == 0 ? blur : p;
        grd_pixels picture = grd_pixels_of(pixels, GRD_U8, C, H, W), view = grd_pixels_crop(&picture, 2, 1, 4, 5);
        grd_pixels tight = grd_pixels_of(copied, GRD_U8, C, 4, 5), want = grd_pixels_of(expected, GRD_U8, C, 4, 5);
        grd_pixels room = grd_pixels_of(around, GRD_U8, C, 20, 20), out = grd_pixels_crop(&room, 7, 9, 4, 5);
        grd_pixels_copy(&view, &tight);
        assert_true(image_case(names[k], parameters, &tight, &want));
        assert_true(image_case(names[k], parameters, &view, &out));
        for (int i = 0; i < C * 400; i++) {
            int c = i / 400, y = i / 20 % 20 - 7, x = i % 20 - 9;
            bool inside = y >= 0 && y < 4 && x >= 0 && x < 5;
            if (around[i] != (inside ? expected[(c * 4 + y) * 5 + x] : 77))
                fail_msg("%s: plane %d, row %d, column %d", names[k], c, y, x);
        }
    }
}

static void in_place_is_the_same(void **state)
{
    (void)state;
    static const char *const names[] = { "flip_horizontal", "flip_vertical", "brightness", "contrast", "saturation", "hue" };
    static const double p[IMAGE_PARAMETERS] = { 0.4 };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (int kind = 0; kind < 2; kind++) {
            static uint8_t pixels[C * H * W];
            static float floats[C * H * W], expected[C * H * W];
            small_picture(pixels, floats);
            grd_pixels in = grd_pixels_of(kind ? (void *)floats : pixels, kind ? GRD_F32 : GRD_U8, C, H, W), out = in;
            out.data = expected;
            image_case(names[k], p, &in, &out);
            image_case(names[k], p, &in, &in);
            assert_memory_equal(in.data, expected, C * H * W * (kind ? 4 : 1));
        }
}

static void masks_keep_their_numbers(void **state)
{
    (void)state;
    static int32_t mask[H * W], out_data[ROOM];
    for (int i = 0; i < H * W; i++)
        mask[i] = 1000000 * (i % 5) - 7;
    grd_pixels in = grd_pixels_of(mask, GRD_I32, 1, H, W), out = grd_pixels_of(out_data, GRD_I32, 1, 13, 5);
    grd_resize r = { .filter = GRD_FILTER_NEAREST, .height = 13, .width = 5 };
    int32_t scratch[5];
    assert_true(grd_pixels_resize_scratch(&r, &in, &out) <= sizeof scratch);
    grd_pixels_resize(&r, &in, &out, scratch);
    for (int y = 0; y < 13; y++)
        for (int x = 0; x < 5; x++)
            assert_int_equal(out_data[5 * y + x], mask[y * H / 13 * W + x * W / 5]);
    grd_warp w = { .filter = GRD_FILTER_NEAREST, .fill = (float[]){ 255 } };
    assert_true(grd_warp_affine(w.m, &(grd_affine){ .translate = { 2, -1 } }, H, W));
    out = grd_pixels_of(out_data, GRD_I32, 1, H, W);
    grd_pixels_warp(&w, &in, &out);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            assert_int_equal(out_data[y * W + x], y + 1 < H && x >= 2 ? mask[(y + 1) * W + x - 2] : 255);
    grd_pixels_pad(&in, &out, -2, 3, GRD_BORDER_CONSTANT, (float[]){ -1 });
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            assert_int_equal(out_data[y * W + x], y + 2 < H && x >= 3 ? mask[(y + 2) * W + x - 3] : -1);
}

/* ---- points ---- */

/* The middle of the light of one plane. */
static void centre(const grd_pixels *p, double *x, double *y)
{
    double sum = 0;
    *x = *y = 0;
    for (int i = 0; i < p->height; i++)
        for (int k = 0; k < p->width; k++) {
            double v = (double)((float *)p->data)[i * p->width + k];
            *x += v * k;
            *y += v * i;
            sum += v;
        }
    *x /= sum;
    *y /= sum;
}

static void expect_point(const double m[9], const grd_pixels *in, const grd_pixels *out, double within)
{
    double x, y, to_x, to_y;
    centre(in, &x, &y);
    centre(out, &to_x, &to_y);
    float xy[2] = { (float)x, (float)y };
    grd_points_apply(m, xy, 1);
    if (fabs((double)xy[0] - to_x) > within || fabs((double)xy[1] - to_y) > within)
        fail_msg("the point goes to (%g, %g), the light to (%g, %g)", (double)xy[0], (double)xy[1], to_x, to_y);
}

static void points_go_where_their_pixels_go(void **state)
{
    (void)state;
    enum { PH = 40, PW = 56 };
    static float spot[PH * PW], moved[ROOM];
    static const double p[IMAGE_PARAMETERS] = { 25, 3, -2, 1.2, 5, 4 }, none[IMAGE_PARAMETERS] = { 0 };
    for (int i = 0; i < PH * PW; i++) /* a soft one, so that its middle is exact after resampling */
        spot[i] = expf(-((float)((i / PW - 17) * (i / PW - 17)) + (float)((i % PW - 30) * (i % PW - 30))) / 8);
    grd_pixels in = grd_pixels_of(spot, GRD_F32, 1, PH, PW), out = grd_pixels_of(moved, GRD_F32, 1, PH, PW);
    grd_pixels large = grd_pixels_of(moved, GRD_F32, 1, 61, 90), padded = grd_pixels_of(moved, GRD_F32, 1, PH + 5, PW + 7);
    double m[9], warp[9];
    image_case("resize_bilinear_aa", none, &in, &large);
    grd_points_resize(m, PH, PW, 61, 90);
    expect_point(m, &in, &large, 0.02);
    image_case("flip_horizontal", none, &in, &out);
    grd_points_flip_horizontal(m, PW);
    expect_point(m, &in, &out, 1e-3);
    image_case("flip_vertical", none, &in, &out);
    grd_points_flip_vertical(m, PH);
    expect_point(m, &in, &out, 1e-3);
    grd_pixels_pad(&in, &padded, 5, 2, GRD_BORDER_CONSTANT, NULL);
    grd_points_shift(m, 2, 5);
    expect_point(m, &in, &padded, 1e-3);
    image_case("affine_bilinear", p, &in, &out);
    assert_true(grd_warp_affine(
        warp, &(grd_affine){ .angle = p[0], .translate = { p[1], p[2] }, .scale = p[3], .shear = { p[4], p[5] } }, PH, PW));
    assert_true(grd_points_warp(m, warp));
    expect_point(m, &in, &out, 0.02);
    const double end[IMAGE_PARAMETERS] = { 4, 2, PW - 1, 0, PW - 4, PH - 3, 1, PH - 1 };
    double start[8] = { 0, 0, PW - 1, 0, PW - 1, PH - 1, 0, PH - 1 };
    image_case("perspective_bilinear", end, &in, &out);
    assert_true(grd_warp_perspective(warp, start, end));
    assert_true(grd_points_warp(m, warp));
    expect_point(m, &in, &out,
                 0.7); /* torchvision's corners are half a pixel from its map's, and the spot's middle moves with its size */
    grd_points_none(m);
    grd_points_flip_horizontal(warp, 10);
    grd_points_then(m, warp);
    grd_points_shift(warp, -2, 0);
    grd_points_then(m, warp);
    float xy[4] = { 0, 1, 9, 5 };
    grd_points_apply(m, xy, 2);
    assert_memory_equal(xy, ((float[]){ 7, 1, -2, 5 }), sizeof xy);
}

static void maps_without_an_inverse_are_refused(void **state)
{
    (void)state;
    double m[9], flat[9] = { 1, 2, 3, 2, 4, 6, 0, 0, 1 };
    assert_false(grd_points_warp(m, flat));
    assert_false(grd_warp_affine(m, &(grd_affine){ .shear = { 90, 0 } }, 4, 4));
    assert_false(grd_warp_perspective(m, (double[]){ 0, 0, 1, 0, 1, 1, 0, 1 }, (double[]){ 0, 0, 1, 1, 2, 2, 3, 3 }));
}

static void pictures_of_one_pixel_survive(void **state)
{
    (void)state;
    static const char *const names[] = { "resize_bilinear",   "resize_bilinear_aa", "resize_bicubic",
                                         "resize_bicubic_aa", "resize_area",        "resize_nearest" };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        uint8_t one[3] = { 200, 0, 255 }, many[3 * 35], back[3];
        grd_pixels in = grd_pixels_of(one, GRD_U8, 3, 1, 1), out = grd_pixels_of(many, GRD_U8, 3, 5, 7),
                   last = grd_pixels_of(back, GRD_U8, 3, 1, 1);
        image_case(names[k], NULL, &in, &out);
        for (int i = 0; i < 105; i++)
            assert_int_equal(many[i], one[i / 35]);
        image_case(names[k], NULL, &out, &last);
        assert_memory_equal(back, one, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transform_gives_what_torchvision_gives),
        cmocka_unit_test(a_window_of_a_resize_is_that_part_of_the_whole),
        cmocka_unit_test(views_are_respected),
        cmocka_unit_test(in_place_is_the_same),
        cmocka_unit_test(masks_keep_their_numbers),
        cmocka_unit_test(points_go_where_their_pixels_go),
        cmocka_unit_test(maps_without_an_inverse_are_refused),
        cmocka_unit_test(pictures_of_one_pixel_survive),
    };
    return cmocka_run_group_tests_name("image kernels", tests, NULL, NULL);
}
