/* A table with a column of pictures, as numbers or as paths, and points beside them. */
#include "helper_setup.h"

#include "base/host.h"
#include "format/png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void png(const char *name, int width, int height, int shade)
{
    grd_host host;
    char path[400];
    uint8_t pixels[1024];
    memset(pixels, shade, sizeof pixels);
    grd_host_init(&host, NULL);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(grd_png_write(&host, path, width, height, 1, pixels), GRD_OK);
}

static grd_status open_table(const char *name, const char *more, grd_dataset **d)
{
    char spec[900];
    snprintf(spec, sizeof spec, "file=%s/%s %s", dir, name, more);
    return grd_dataset_open(ctx, "csv", spec, d);
}

/* Two eyes and a picture of 2 x 3. */
static const char faces[] = "left_x,left_y,right_x,right_y,Image\n"
                            "0.5,1,2,1,0 1 2 3 4 255\n"
                            "1,0,,,\" 9  8\t7 6 5 4 \"\n";

static void numbers_in_a_cell_are_a_picture(void **state)
{
    (void)state;
    grd_dataset *d, *flipped;
    grd_sample *s;
    const grd_field *f;
    put_text("faces.csv", faces);
    ok(ctx, open_table("faces.csv", "image=Image image_shape=[2,3]", &d));
    assert_int_equal(grd_dataset_fields(d, &f), 2);
    assert_true(strcmp(f[0].name, "image") == 0 && f[0].dtype == GRD_U8);
    assert_true(strcmp(f[1].name, "features") == 0 && f[1].shape.dim[0] == 4);
    ok(ctx, open_table("faces.csv", "image=Image image_shape=[1,2,3] points=true", &d));
    ok(ctx, grd_dataset_transform(d, "random_horizontal_flip p=1", &flipped));
    ok(ctx, grd_sample_new(flipped, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 1, 2, 3 } }));
    assert_true(grd_shape_equal(&s->shape[1], &(grd_shape){ 2, { 2, 2 } }));
    assert_memory_equal(s->data[0], ((uint8_t[]){ 9, 8, 7, 6, 5, 4 }), 6);
    grd_key key = { 1, 0, 0 };
    assert_int_equal(grd_dataset_get(flipped, 0, &key, s), GRD_OK);
    assert_memory_equal(s->data[0], ((uint8_t[]){ 2, 1, 0, 255, 4, 3 }), 6);
    const float *points = s->data[1];
    assert_true(points[0] == 1.5f && points[1] == 1 && points[2] == 0 && points[3] == 1); /* moved along */
    grd_sample_free(s, ctx);
}

static void three_channels_stand_one_after_the_other(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    put_text("t.csv", "pixels,kind,who\n1 2 3 4 5 6,b,7\n6 5 4 3 2 1,a,6\n");
    ok(ctx, open_table("t.csv", "image=pixels image_shape=[3,1,2] target=kind group=who", &d));
    ok(ctx, grd_dataset_verify(ctx, d, NULL, 0));
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
    assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 3, 1, 2 } }));
    assert_memory_equal(s->data[0], ((uint8_t[]){ 1, 2, 3, 4, 5, 6 }), 6);
    assert_true(s->n == 3 && *(int32_t *)s->data[1] == 1 && *(int32_t *)s->data[2] == 1);
    grd_dataset *part[2]; /* peeks at the field that it is told */
    ok(ctx, grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, &(grd_split_opts){ .group = "group" }, part));
    ok(ctx, grd_dataset_subsets(d, &(grd_subset){ .name = "a", .per_class = 1 }, 1, 1, part));
    assert_int_equal(grd_dataset_length(part[0]), 2);
    grd_sample_free(s, ctx);
}

static void paths_in_a_column_are_pictures(void **state)
{
    (void)state;
    static const char *const each[] = { "", "cache=memory", "cache=packed" };
    put_text("t-train.csv", "file,kind\na.png,cat\nb.png,dog\n");
    put_text("t-val.csv", "file,kind\nb.png,dog\nmissing.png,cat\n");
    png("a.png", 3, 2, 5);
    png("b.png", 4, 2, 6);
    for (int k = 0; k < 3; k++)
        for (int part = 0; part < 2; part++) {
            grd_dataset *d;
            grd_sample *s;
            char more[500];
            snprintf(more, sizeof more, "image=file target=kind channels=1 part=%s %s", part ? "val" : "train", each[k]);
            if (k == 2)
                snprintf(more + strlen(more), sizeof more - strlen(more), " cache_file=%s/{part}.pack", dir);
            ok(ctx, open_table("t-{part}.csv", more, &d));
            ok(ctx, grd_sample_new(d, ctx, &s));
            assert_int_equal(grd_dataset_get(d, !part, NULL, s), GRD_OK);
            assert_true(grd_shape_equal(&s->shape[0], &(grd_shape){ 3, { 1, 2, 4 } }));
            assert_true(((uint8_t *)s->data[0])[7] == 6 && *(int32_t *)s->data[1] == 1);
            if (part) {
                assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_ERR_IO);
                assert_non_null(strstr(s->error, "t-val.csv:3): "));
                assert_non_null(strstr(s->error, "/missing.png: cannot open"));
            }
            grd_sample_free(s, ctx);
        }
    grd_dataset *d;
    grd_sample *s;
    char more[300];
    put_text("bare.csv", "a.png\n");
    snprintf(more, sizeof more, "header=false image=1 image_root=%s", dir);
    ok(ctx, open_table("bare.csv", more, &d)); /* nothing but pictures */
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 0, NULL, s), GRD_OK);
    assert_true(s->n == 1 && s->shape[0].dim[0] == 3);
    grd_sample_free(s, ctx);
}

static void what_does_not_fit_says_line_and_column(void **state)
{
    (void)state;
    static const struct { const char *text, *more, *message; grd_status status; } wrong[] = {
        { "a,Image\n1,1 2 3\n", "image=Image image_shape=[2,2]",
          "/t.csv:2: column \"Image\": 3 numbers, expected 4 of a picture of 1 x 2 x 2", GRD_ERR_DATA },
        { "a,Image\n1,1 2 3 4\n\n2,1 2 3 4 5 \n", "image=Image image_shape=[2,2]",
          "/t.csv:4: column \"Image\": 5 numbers, expected 4 of a picture of 1 x 2 x 2", GRD_ERR_DATA },
        { "a,Image\n1,1 2 256 4\n", "image=Image image_shape=[2,2]",
          "/t.csv:2: column \"Image\": number 3 is \"256\", expected a whole number from 0 to 255", GRD_ERR_DATA },
        { "a,Image\n1,1 2 99999999999999999999 4\n", "image=Image image_shape=[2,2]",
          "number 3 is \"99999999999999999999\", expected a whole number from 0 to 255", GRD_ERR_DATA },
        { "a,Image\n1,1 -2 3 4\n", "image=Image image_shape=[2,2]", "number 2 is \"-2\", expected", GRD_ERR_DATA },
        { "a,Image\n1,1 0.5 3 4\n", "image=Image image_shape=[2,2]", "number 2 is \"0.5\", expected", GRD_ERR_DATA },
        { "a,Image\n1,\n", "image=Image image_shape=[2,2]", "/t.csv:2: column \"Image\": the picture is missing", GRD_ERR_DATA },
        { "a,file\n1,x.png\n2,NA\n", "image=file", "/t.csv:3: column \"file\": the picture is missing", GRD_ERR_DATA },
        { "a,Image\n1,1\n", "image=image", "/t.csv: image: no column \"image\"", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image image_shape=[4]", "image_shape: expected [height, width] or [channels, ", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image image_shape=[3,65536,65536]", "of a picture of at most 2147483647 numbers",
          GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image image_shape=[0,4]", "image_shape: expected [height, width] or [channels, ",
          GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image_shape=[1,1]", "image_shape and image_root speak of pictures: give image", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image_root=x", "image_shape and image_root speak of pictures: give image", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image image_shape=[1,1] cache=memory",
          "image_root, cache and min_size are of pictures in files, image_shape of numbers in cells", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image target=Image", "image: column \"Image\" is the target", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image group=Image", "image: column \"Image\" is the group", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image features=a,Image", "features: column \"Image\" is the picture", GRD_ERR_ARG },
        { "a,Image\n1,1\n", "image=Image points=true image_shape=[1,1]", "points: 1 columns, expected x and y in turn",
          GRD_ERR_ARG },
        { "a,b,Image\n1,u,1\n", "image=Image points=true image_shape=[1,1]", "points: column \"b\" holds texts, expected numbers",
          GRD_ERR_DATA },
        { "a,b,file\n1,2,x.png\n", "image=file points=true min_size=4",
          "min_size: pictures of another size than their file do not fit their points", GRD_ERR_ARG },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        grd_dataset *d;
        put_text("t.csv", wrong[i].text);
        grd_status status = open_table("t.csv", wrong[i].more, &d);
        if (status != wrong[i].status || !strstr(grd_error(ctx), wrong[i].message))
            fail_msg("%s: %s: %s", wrong[i].more, grd_status_name(status), grd_error(ctx));
    }
}

static void refused_memory_is_an_error_wherever_it_happens(void **state)
{
    (void)state;
    static const char *const each[] = { "image=Image image_shape=[2,3] points=true", "image=Image" };
    put_text("faces.csv", faces);
    for (int k = 0; k < 2; k++) {
        bool done = false;
        for (int refuse = 1; !done; refuse++) {
            counter c = { 0 };
            grd_allocator a = counting(&c);
            grd_ctx *own = grd_open(&(grd_opts){ .allocator = &a });
            grd_dataset *d;
            char spec[500];
            snprintf(spec, sizeof spec, "file=%s/faces.csv %s", dir, each[k]);
            c.refuse = c.calls + refuse;
            grd_status status = grd_dataset_open(own, "csv", spec, &d);
            done = c.calls < c.refuse;
            assert_true(status == (done ? GRD_OK : GRD_ERR_MEMORY));
            grd_close(own);
            assert_int_equal(c.live, 0);
        }
    }
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(numbers_in_a_cell_are_a_picture),
        ONE(three_channels_stand_one_after_the_other),
        ONE(paths_in_a_column_are_pictures),
        ONE(what_does_not_fit_says_line_and_column),
        ONE(refused_memory_is_an_error_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
