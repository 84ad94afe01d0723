/* Contact sheets: what is drawn where, and what is said of each picture. */
#include "helper_scenes.h"

#include "format/image.h"

#include "base/ctx.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct seen { int n; char label[16][160]; } seen;

static void remember(void *user, const grd_shown *shown)
{
    seen *s = user;
    assert_int_equal(shown->place, s->n);
    snprintf(s->label[s->n++ % 16], sizeof s->label[0], "%s", shown->label);
}

static void a_sheet_shows_pictures_masks_and_points(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *d = scenes(ctx, (scene_opts){ .height = 40, .width = 60, .floats = true }), *shown;
    char path[300];
    const char *dir = temp_dir();
    seen s = { 0 };
    grd_image image;
    snprintf(path, sizeof path, "%s/sheet.png", dir);
    ok(ctx, grd_dataset_transform(d, "normalize mean=0.5 std=0.1", &shown));
    ok(ctx, grd_dataset_sheet(ctx, shown, &(grd_loader_opts){ .batch = 4 },
                              &(grd_sheet_opts){ .n = 6, .columns = 3, .each = remember, .user = &s }, path));
    assert_int_equal(s.n, 6);
    assert_string_equal(s.label[3], "3");
    ok(ctx, grd_image_read(&ctx->host, path, NULL, &image));
    assert_int_equal(image.width, 8 + 3 * (60 + 8));
    const uint8_t *rgb = image.pixels;
    const uint8_t *ground = rgb + (8 * image.width + 8) * 3, *marker = rgb + ((8 + 13 - 2) * image.width + 8 + 20 - 2) * 3,
                  *point = rgb + ((8 + 13) * image.width + 8 + 20) * 3;
    assert_true(ground[0] < 20 && ground[1] < 20);                          /* the darkest is black */
    assert_true(marker[0] != marker[1] || marker[1] != marker[2]);          /* white, tinted by its class */
    assert_true(point[0] == 0xe0 && point[1] == 0 && point[2] == 0x30);     /* a cross in its middle */
    grd_image_free(&ctx->host, &image);
    remove_dir(dir);
    grd_close(ctx);
}

static void soft_labels_and_sizes_that_vary_are_shown_too(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *d = scenes(ctx, (scene_opts){ .noise = true });
    char path[300];
    const char *dir = temp_dir();
    grd_image image;
    snprintf(path, sizeof path, "%s/sheet.png", dir);
    ok(ctx, grd_dataset_sheet(ctx, d, NULL, NULL, path)); /* 6 samples, filled up to the largest */
    ok(ctx, grd_image_read(&ctx->host, path, NULL, &image));
    assert_int_equal(image.channels, 3);
    grd_image_free(&ctx->host, &image);
    fails(ctx, GRD_ERR_ARG, "sheet: 500 pictures in 0 columns, expected 1 to 400",
          grd_dataset_sheet(ctx, d, NULL, &(grd_sheet_opts){ .n = 500 }, path));
    const grd_field other = { .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } } };
    ok(ctx, grd_dataset_from_arrays(ctx, 1, 1, &other, (const void *const[]){ (float[]){ 1, 2 } }, true, &d));
    fails(ctx, GRD_ERR_ARG, "sheet: the data set has no pictures", grd_dataset_sheet(ctx, d, NULL, NULL, path));
    remove_dir(dir);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sheet_shows_pictures_masks_and_points),
        cmocka_unit_test(soft_labels_and_sizes_that_vary_are_shown_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
