/* Sources whose pictures are files: folders, lists and pairs, good and bad. Every pixel of a picture here is its `shade`. */
#define _POSIX_C_SOURCE 200809L /* symlink */
#include "helper_setup.h"

#include "base/file.h"
#include "base/host.h"
#include "data/listing.h"
#include "format/png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[512];

/* ---- files ---- */

static const char *in(const char *name)
{
    grd_host host;
    char folder[512];
    grd_host_init(&host, NULL);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_int_equal(grd_make_dirs(&host, folder), GRD_OK);
    return path;
}

static void text(const char *name, const char *content)
{
    in(name);
    put_text(name, content);
}

static void png(const char *name, int width, int height, int channels, int shade)
{
    grd_host host;
    uint8_t pixels[4096];
    memset(pixels, shade, sizeof pixels);
    assert_true(width * height * channels <= (int)sizeof pixels);
    grd_host_init(&host, NULL);
    assert_int_equal(grd_png_write(&host, in(name), width, height, channels, pixels), GRD_OK);
}

/* A BMP of one byte a pixel with two colours, black and (0, 128, 0); rows from the bottom, pixel k of them is index[k]. */
static void palette_bmp(const char *name, int width, int height, const uint8_t *index)
{
    uint8_t b[512] = "BM";
    const int row = (width + 3) / 4 * 4, head = 14 + 40 + 8;
    b[10] = (uint8_t)head;
    b[14] = 40;
    b[18] = (uint8_t)width;
    b[22] = (uint8_t)height;
    b[26] = 1;
    b[28] = 8;
    b[46] = 2;
    b[14 + 40 + 5] = 128;
    for (int y = 0; y < height; y++)
        memcpy(b + head + y * row, index + y * width, (size_t)width);
    in(name);
    put(dir, name, (bytes){ b, sizeof b }, (size_t)(head + row * height));
}

static grd_status open_with(const char *source, const char *format, grd_dataset **d)
{
    char spec[1200]; /* each %s is the folder */
    snprintf(spec, sizeof spec, format, dir, dir, dir);
    return grd_dataset_open(ctx, source, spec, d);
}

static void has_names(const grd_dataset *d, int n, const char *const *name)
{
    char found[256];
    assert_int_equal(grd_dataset_length(d), n);
    for (int i = 0; i < n; i++)
        assert_string_equal(grd_dataset_name(d, i, found, sizeof found), name[i]);
}

static void expect_get(const grd_dataset *d, int64_t i, grd_status status, const char *message)
{
    grd_sample *s;
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, i, NULL, s), status);
    if (message && !strstr(s->error, message))
        fail_msg("found \"%s\", expected \"%s\"", s->error, message);
    grd_sample_free(s, ctx);
}

/* ---- folders ---- */

static void small_folders(void)
{
    png("set/b/x.PNG", 4, 3, 3, 7);
    png("set/a/10.png", 4, 3, 3, 10);
    png("set/a/9.png", 4, 3, 3, 9);
    png("set/a/sub/1.png", 4, 3, 3, 1);
    png("set/.hidden/1.png", 4, 3, 3, 1);
    text("set/a/notes.txt", "no picture");
    text("set/readme.txt", "no folder");
}

static void folders_are_classes_in_torchvisions_order(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    const grd_field *f;
    small_folders();
    ok(ctx, open_with("image_folder", "dir=%s/set", &d));
    has_names(d, 4, (const char *[]){ "a/10.png", "a/9.png", "a/sub/1.png", "b/x.PNG" });
    assert_int_equal(grd_dataset_fields(d, &f), 2);
    assert_true(grd_shape_equal(&f[0].shape, &(grd_shape){ 3, { 3, 3, 4 } })); /* all of one size: a fixed shape */
    assert_int_equal(f[1].classes, 2);
    assert_string_equal(grd_dataset_class(d, 1), "b");
    assert_null(grd_dataset_class(d, 2));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 3, NULL, s), GRD_OK);
    assert_int_equal(*(int32_t *)s->data[1], 1);
    for (int k = 0; k < 36; k++)
        assert_int_equal(((uint8_t *)s->data[0])[k], 7);
    grd_sample_free(s, ctx);
    ok(ctx, open_with("image_folder", "dir=%s/set order=natural channels=1", &d));
    has_names(d, 4, (const char *[]){ "a/9.png", "a/10.png", "a/sub/1.png", "b/x.PNG" });
    grd_dataset_fields(d, &f);
    assert_true(grd_shape_equal(&f[0].shape, &(grd_shape){ 3, { 1, 3, 4 } }));
}

static void natural_order_counts_as_people_do(void **state)
{
    (void)state;
    static const char *const sorted[] = { "", "a", "a1", "a2b9", "a2b10", "a10", "a010", "a011", "b", "b1c" };
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            int order = grd_compare_natural(sorted[i], sorted[j]);
            bool same_number = (i == 5 && j == 6) || (i == 6 && j == 5); /* then by bytes */
            assert_true(same_number ? order != 0 : (order > 0) - (order < 0) == (i > j) - (i < j));
        }
}

static void a_class_that_a_part_lacks_moves_no_label(void **state)
{
    (void)state;
    grd_dataset *d;
    png("train/a/1.png", 2, 2, 3, 0);
    png("train/b/1.png", 2, 2, 3, 0);
    png("val/b/1.png", 2, 2, 3, 0);
    png("test/c/1.png", 2, 2, 3, 0);
    ok(ctx, open_with("image_folder", "dir=%s/{part} part=val", &d));
    int64_t counts[2];
    ok(ctx, grd_dataset_verify(ctx, d, counts, 2));
    assert_true(counts[0] == 0 && counts[1] == 1);
    fails(ctx, GRD_ERR_DATA, "/test: folder \"c\" is none of the 2 classes of the training part",
          open_with("image_folder", "dir=%s/{part} part=test", &d));
    fails(ctx, GRD_ERR_ARG, "there is no part val; where it has one, {part} stands for its name",
          open_with("image_folder", "dir=%s/train part=val", &d));
}

static void bad_folders_are_named(void **state)
{
    (void)state;
    grd_dataset *d;
    fails(ctx, GRD_ERR_IO, "/none: no such folder", open_with("image_folder", "dir=%s/none", &d));
    text("plain/x.png", "");
    fails(ctx, GRD_ERR_DATA, "/plain: 0 folders, expected one for each class", open_with("image_folder", "dir=%s/plain", &d));
    text("empty/a/x.webp", "");
    fails(ctx, GRD_ERR_DATA, "/empty/a: no pictures in it (png, jpg, jpeg, bmp)", open_with("image_folder", "dir=%s/empty", &d));
    png("loop/a/1.png", 1, 1, 3, 0);
    in("loop/a/back");
    assert_int_equal(symlink("..", path), 0);
    fails(ctx, GRD_ERR_DATA, "a link to a folder above it", open_with("image_folder", "dir=%s/loop", &d));
    text("set/a/1.png", "GIF89a");
    ok(ctx, open_with("image_folder", "dir=%s/set", &d));
    expect_get(d, 0, GRD_ERR_UNSUPPORTED, "image_folder: sample 0 (a/1.png): ");
    expect_get(d, 0, GRD_ERR_UNSUPPORTED, "/set/a/1.png: a GIF file, expected a PNG, JPEG or BMP");
}

static void what_is_cached_needs_no_file(void **state)
{
    (void)state;
    grd_dataset *none, *kept;
    png("set/a/1.png", 4, 3, 3, 5);
    png("set/a/2.png", 2, 3, 3, 6);
    ok(ctx, open_with("image_folder", "dir=%s/set", &none));
    ok(ctx, open_with("image_folder", "dir=%s/set cache=memory", &kept));
    ok(ctx, grd_dataset_verify(ctx, kept, NULL, 0));
    assert_int_equal(unlink(in("set/a/1.png")), 0);
    expect_get(none, 0, GRD_ERR_IO, "1.png: cannot open");
    ok(ctx, grd_dataset_verify(ctx, kept, NULL, 0));
    grd_sample *s;
    ok(ctx, grd_sample_new(kept, ctx, &s));
    assert_int_equal(grd_dataset_get(kept, 0, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 3, 3, 4 } }));
    assert_int_equal(((uint8_t *)s->data[0])[35], 5);
    grd_sample_free(s, ctx);
}

/* ---- lists ---- */

static void a_list_gives_labels_by_number_or_name(void **state)
{
    (void)state;
    grd_dataset *d;
    png("p/1.png", 2, 2, 3, 1);
    png("p/2 2.png", 3, 2, 3, 2);
    text("numbers.txt", "\xef\xbb\xbf# a comment\r\n\r\np/1.png 2\r\np/1.png\t 0 \r\n");
    ok(ctx, open_with("file_list", "list=%s/numbers.txt separator=blank", &d));
    assert_int_equal(grd_dataset_length(d), 2);
    const grd_field *f;
    grd_dataset_fields(d, &f);
    assert_int_equal(f[1].classes, 3);
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
    text("train.txt", "p/1.png,frog\np/2 2.png, cat \n");
    text("val.txt", "p/1.png,frog\n");
    ok(ctx, open_with("file_list", "list=%s/{part}.txt part=val", &d));
    assert_string_equal(grd_dataset_class(d, 0), "cat"); /* of the training list */
    assert_string_equal(grd_dataset_class(d, 1), "frog");
    int64_t counts[2];
    ok(ctx, grd_dataset_verify(ctx, d, counts, 2));
    assert_true(counts[1] == 1);
    text("classes.txt", "dog\nfrog\ncat\n");
    ok(ctx, open_with("file_list", "list=%s/train.txt classes=classes.txt", &d));
    has_names(d, 2, (const char *[]){ "p/1.png", "p/2 2.png" });
    assert_string_equal(grd_dataset_class(d, 2), "cat");
}

static void a_list_gives_points_and_targets(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    png("images/1.png", 2, 2, 3, 1);
    text("l/points.txt", "1 0.5 -1e1 3 4\n1 1 2 3 4\n");
    ok(ctx, open_with("file_list", "list=%s/l/points.txt columns=image,points root=../images image={}.png", &d));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[1], &(grd_shape){ 2, { 2, 2 } }));
    assert_true(((float *)s->data[1])[1] == -10 && ((float *)s->data[1])[3] == 4);
    grd_sample_free(s, ctx);
    text("t.txt", "images/1.png 7 99\n");
    ok(ctx, open_with("file_list", "list=%s/t.txt columns=image,-,target", &d));
    const grd_field *f;
    grd_dataset_fields(d, &f);
    assert_string_equal(f[1].name, "target");
    assert_true(grd_shape_equal(&f[1].shape, &(grd_shape){ 1, { 1 } }));
}

static void a_bad_list_says_its_line(void **state)
{
    (void)state;
    static const struct { const char *list, *options, *message; } bad[] = {
        { "", "", "l.txt: no samples, expected one a line" },
        { "# only this\n", "", "l.txt: no samples, expected one a line" },
        { "a 1\n\nb\n", "", "l.txt:3: 1 words, expected 2: no label" },
        { "a 1\nb 1 c\n", "", "l.txt:2: \"c\" after the last of 2 columns" },
        { "a,1\nb 1\n", "", "l.txt:2: 1 words, expected 2: no label" },
        { "a 1\nb -1\n", "classes=3", "l.txt:2: label -1, expected 0..2" },
        { "a 1\nb 137\n", "classes=10", "l.txt:2: label 137, expected 0..9" },
        { "a 1\nb frog\n", "classes=10", "l.txt:2: label frog, expected 0..9" },
        { "a x\nb frog\n", "classes=names.txt", "l.txt:2: label \"frog\", expected one of 2 classes (x, ...)" },
        { "a 70000\n", "", "l.txt: 70001 classes, expected at most 65536" },
        { "a 1\n", "classes=0", "classes: 0, expected 1 to 65536 or a file of names" },
        { "a 1\n", "classes=none.txt", "none.txt: cannot open" },
        { "a 1\n", "classes=twice.txt", "twice.txt: two classes are called \"x\"" },
        { "a 1\n", "classes=gap.txt", "gap.txt:2: \"2 b\", expected the classes' numbers to count from 0" },
        { "a 1\n", "classes=colors.txt", "colors.txt: class 1 (b): another class has its colour 1 2 3" },
        { "a 1\n", "classes=some.txt", "some.txt:2: \"1 b\", expected a colour on each line or on none" },
        { "a 1 2 3\nb 1 2\n", "columns=image,points", "l.txt:1: 3 numbers, expected an x and a y for each point" },
        { "a 1 2\nb 1 2 3 4\n", "columns=image,points", "l.txt:2: 4 numbers, expected 2 as before" },
        { "a 1 x\n", "columns=image,points", "l.txt:1: \"x\", expected a number" },
        { "a 1 1e39\n", "columns=image,target", "l.txt:1: \"1e39\", expected a number" },
        { "a b\n", "columns=image,mask", "classes: not given; for masks, their number or a file of names, a class a line" },
        { "a 1\n", "columns=label", "columns: \"label\": no image" },
        { "a 1\n", "columns=image,image", "columns: \"image,image\": image twice" },
        { "a 1\n", "columns=target,image", "columns: \"target,image\": target takes the rest of the line and comes last" },
        { "a 1\n", "columns=image,lable", "columns: \"lable\", expected image, mask, label, points, target or -" },
        { "a 1\n", "void=0", "void: 0, but there are no masks" },
        { "a b\n", "columns=image,mask classes=2 min_size=5",
          "min_size: pictures of another size than their file do not fit their masks" },
    };
    text("names.txt", "x\ny\n");
    text("twice.txt", "x\ny\nx\n");
    text("gap.txt", "0 a\n2 b\n");
    text("colors.txt", "0 a 1 2 3\n1 b 1 2 3\n");
    text("some.txt", "0 a 1 2 3\n1 b\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char spec[600];
        grd_dataset *d;
        text("l.txt", bad[i].list);
        snprintf(spec, sizeof spec, "list=%s/l.txt %s", dir, bad[i].options);
        assert_int_not_equal(grd_dataset_open(ctx, "file_list", spec, &d), GRD_OK);
        if (!strstr(grd_error(ctx), bad[i].message))
            fail_msg("%d: found \"%s\", expected \"%s\"", (int)i, grd_error(ctx), bad[i].message);
    }
    put(dir, "l.txt", (bytes){ (uint8_t *)"a 1\nb\0 1\n", 9 }, 9);
    grd_dataset *d;
    fails(ctx, GRD_ERR_FORMAT, "l.txt:2: a zero byte, expected text", open_with("file_list", "list=%s/l.txt", &d));
}

/* ---- masks ---- */

static void a_list_of_masks(const char *mask)
{
    char line[100];
    png("i.png", 3, 2, 3, 50);
    snprintf(line, sizeof line, "i.png %s\n", mask);
    text("l.txt", line);
}

/* What label each pixel of the only mask becomes. */
static void expect_mask(const char *options, const int32_t *label, int64_t classes, int64_t ignore)
{
    char spec[600];
    grd_dataset *d;
    grd_sample *s;
    const grd_field *f;
    snprintf(spec, sizeof spec, "list=%s/l.txt columns=image,mask %s", dir, options);
    ok(ctx, grd_dataset_open(ctx, "file_list", spec, &d));
    grd_dataset_fields(d, &f);
    assert_string_equal(f[1].name, "mask");
    assert_true(f[1].classes == classes && f[1].ignore == ignore && f[1].pad == (double)ignore);
    ok(ctx, grd_sample_new(d, ctx, &s));
    if (grd_dataset_get(d, 0, NULL, s) != GRD_OK)
        fail_msg("%s", s->error);
    assert_true(grd_shape_equal(&s->shape[1], &(grd_shape){ 2, { 2, 3 } }));
    for (int k = 0; k < 6; k++)
        assert_int_equal(((int32_t *)s->data[1])[k], label[k]);
    grd_sample_free(s, ctx);
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
}

static void masks_are_indices_or_colours(void **state)
{
    (void)state;
    a_list_of_masks("m.bmp");
    palette_bmp("m.bmp", 3, 2, (const uint8_t[]){ 1, 1, 0, 0, 1, 0 }); /* rows from the bottom */
    expect_mask("classes=2", (const int32_t[]){ 0, 1, 0, 1, 1, 0 }, 2, 0);
    expect_mask("classes=2 void=0", (const int32_t[]){ -1, 0, -1, 0, 0, -1 }, 1, -1);
    expect_mask("classes=2 void=255", (const int32_t[]){ 0, 1, 0, 1, 1, 0 }, 2, -1);
    text("classes.txt", "0 grass 0 128 0\n1 sky 9 9 9\n2 void 0 0 0\n"); /* colours say what an index means */
    expect_mask("classes=classes.txt void=2", (const int32_t[]){ -1, 0, -1, 0, 0, -1 }, 2, -1);
    a_list_of_masks("grey.png");
    png("grey.png", 3, 2, 1, 4);
    expect_mask("classes=9 void=1", (const int32_t[]){ 3, 3, 3, 3, 3, 3 }, 8, -1);
    a_list_of_masks("rgb.png");
    png("rgb.png", 3, 2, 3, 9);
    expect_mask("classes=classes.txt", (const int32_t[]){ 1, 1, 1, 1, 1, 1 }, 3, 0);
}

static void expect_bad_mask(const char *options, const char *message)
{
    char spec[600];
    grd_dataset *d;
    snprintf(spec, sizeof spec, "list=%s/l.txt columns=image,mask %s", dir, options);
    ok(ctx, grd_dataset_open(ctx, "file_list", spec, &d));
    expect_get(d, 0, GRD_ERR_DATA, message);
}

static void a_bad_mask_names_pixel_or_both_files(void **state)
{
    (void)state;
    a_list_of_masks("m.png");
    png("m.png", 3, 3, 1, 0);
    expect_bad_mask("classes=2", "/m.png: 3 x 3, its picture i.png is 3 x 2");
    png("m.png", 3, 2, 1, 5);
    expect_bad_mask("classes=5", "/m.png: pixel 0, 0: class 5, expected 0..4");
    png("m.png", 3, 2, 3, 5);
    expect_bad_mask("classes=5", "/m.png: 3 channels, expected a palette or grey: `classes` gives no colours");
    text("classes.txt", "0 grass 0 128 0\n1 sky 9 9 9\n");
    expect_bad_mask("classes=classes.txt", "/m.png: pixel 0, 0: colour 5 5 5, which no class has");
    a_list_of_masks("m.bmp");
    palette_bmp("m.bmp", 3, 2, (const uint8_t[]){ 1, 1, 1, 1, 1, 0 });
    expect_bad_mask("classes=classes.txt", "/m.bmp: pixel 2, 0: colour 0 0 0, which no class has");
}

static void pairs_go_by_name(void **state)
{
    (void)state;
    grd_dataset *d;
    png("images/b.png", 3, 2, 3, 1);
    png("images/a.png", 2, 2, 3, 1);
    png("masks/a_GT.png", 2, 2, 1, 1);
    png("masks/b_GT.png", 3, 2, 1, 0);
    ok(ctx, open_with("image_pairs", "dir=%s classes=2 mask_suffix=_GT", &d));
    has_names(d, 2, (const char *[]){ "images/a.png", "images/b.png" });
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
    fails(ctx, GRD_ERR_DATA, "/images/a.png: no mask of that name in masks", open_with("image_pairs", "dir=%s classes=2", &d));
    png("masks/aa_GT.png", 2, 2, 1, 1);
    fails(ctx, GRD_ERR_DATA, "/masks/aa_GT.png: no picture of that name in images",
          open_with("image_pairs", "dir=%s classes=2 mask_suffix=_GT", &d));
    png("masks/c.png", 2, 2, 1, 1);
    fails(ctx, GRD_ERR_DATA, "/masks/c.png: expected a name that ends with \"_GT\" before the dot",
          open_with("image_pairs", "dir=%s classes=2 mask_suffix=_GT", &d));
    png("images/a.JPEG", 2, 2, 3, 1);
    fails(ctx, GRD_ERR_DATA, "/images: a.JPEG and a.png have the same name", open_with("image_pairs", "dir=%s classes=2", &d));
}

/* ---- memory ---- */

static void refused_memory_is_an_error_wherever_it_happens(void **state)
{
    (void)state;
    a_list_of_masks("m.png");
    png("m.png", 3, 2, 1, 1);
    text("classes.txt", "0 a\n1 b\n");
    char spec[600];
    snprintf(spec, sizeof spec, "list=%s/l.txt columns=image,mask classes=classes.txt cache=memory", dir);
    bool done = false;
    for (int refuse = 1; !done; refuse++) {
        counter c = { 0 };
        grd_allocator a = counting(&c);
        grd_ctx *own = grd_open(&(grd_opts){ .allocator = &a });
        grd_dataset *d;
        grd_sample *s;
        c.refuse = c.calls + refuse;
        grd_status status = grd_dataset_open(own, "file_list", spec, &d);
        if (status == GRD_OK)
            status = grd_sample_new(d, own, &s);
        if (status == GRD_OK) {
            status = grd_dataset_get(d, 0, NULL, s);
            grd_sample_free(s, own);
        }
        assert_true(status == GRD_OK || status == GRD_ERR_MEMORY);
        done = c.calls < c.refuse;
        grd_close(own);
        assert_int_equal(c.live, 0);
    }
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(folders_are_classes_in_torchvisions_order),
        ONE(natural_order_counts_as_people_do),
        ONE(a_class_that_a_part_lacks_moves_no_label),
        ONE(bad_folders_are_named),
        ONE(what_is_cached_needs_no_file),
        ONE(a_list_gives_labels_by_number_or_name),
        ONE(a_list_gives_points_and_targets),
        ONE(a_bad_list_says_its_line),
        ONE(masks_are_indices_or_colours),
        ONE(a_bad_mask_names_pixel_or_both_files),
        ONE(pairs_go_by_name),
        ONE(refused_memory_is_an_error_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
