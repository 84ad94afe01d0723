/* torchvision as oracle over 200 real pictures: the largest difference of each transform, as a table. Skipped unless
 * GRADUS_PYTHON names a Python with torchvision, Pillow and numpy, and GRADUS_DATA has msrc and cifar10. GRADUS_PICTURES changes how
 * many. */
#define _GNU_SOURCE
#include "helper_data.h"
#include "helper_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LINES = 128 };

typedef struct line {
    char name[100], kind[8];
    double largest, share; /* share: the worst picture's */
    int pictures;
} line;

static double bound_of(const char *name)
{
    return strstr(name, "nearest") ? 255 : 1; /* a place between two pixels may fall to either: there the share counts */
}

static void *block(FILE *from, size_t size)
{
    void *data = malloc(size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, size, from), size);
    return data;
}

/* One case of the oracle: a transform by name or by its row's text, a picture before and after. */
typedef struct picture_case {
    char name[100], kind[8];
    grd_dtype type, out_type;
    int in_size[3], out_size[3];
    double p[IMAGE_PARAMETERS];
    void *in, *expected, *found;
} picture_case;

static size_t bytes_in(const int size[3], grd_dtype type)
{
    return (size_t)size[0] * (size_t)size[1] * (size_t)size[2] * grd_dtype_size(type);
}

static bool read_case(FILE *from, picture_case *c)
{
    *c = (picture_case){ .in = NULL };
    if (fscanf(from, "%99s %7s %d %d %d %d %d %d", c->name, c->kind, &c->in_size[0], &c->in_size[1], &c->in_size[2], &c->out_size[0],
               &c->out_size[1], &c->out_size[2]) != 8)
        return false;
    for (int i = 0; i < IMAGE_PARAMETERS; i++)
        assert_int_equal(fscanf(from, "%lf", &c->p[i]), 1);
    assert_int_equal(fgetc(from), '\n');
    c->type = strcmp(c->kind, "u8") == 0 ? GRD_U8 : GRD_F32;
    c->out_type = strcmp(c->name, "normalize") == 0 ? GRD_F32 : c->type;
    c->in = block(from, bytes_in(c->in_size, c->type));
    c->expected = block(from, bytes_in(c->out_size, c->out_type));
    c->found = malloc(bytes_in(c->out_size, c->out_type));
    assert_non_null(c->found);
    return true;
}

static void free_case(picture_case *c)
{
    free(c->in);
    free(c->expected);
    free(c->found);
}

static grd_pixels pixels_found(const picture_case *c)
{
    return grd_pixels_of(c->found, c->out_type, c->out_size[0], c->out_size[1], c->out_size[2]);
}

static void by_kernel(picture_case *c)
{
    grd_pixels in = grd_pixels_of(c->in, c->type, c->in_size[0], c->in_size[1], c->in_size[2]), out = pixels_found(c);
    assert_true(image_case(c->name, c->p, &in, &out));
}

static void by_row(picture_case *c)
{
    char spec[sizeof c->name];
    for (size_t i = 0; i < sizeof spec; i++)
        spec[i] = c->name[i] == '+' ? ' ' : c->name[i];
    grd_ctx *ctx = grd_open(NULL);
    grd_dataset *plain, *changed;
    grd_field field = { .name = "image", .dtype = c->type, .shape = { 3, { c->in_size[0], c->in_size[1], c->in_size[2] } },
                        .hi = c->type == GRD_U8 ? 255 : 1 };
    ok(ctx, grd_dataset_from_arrays(ctx, 1, 1, &field, (const void *const[]){ c->in }, true, &plain));
    ok(ctx, grd_dataset_transform(plain, spec, &changed));
    grd_sample *sample;
    ok(ctx, grd_sample_new(changed, ctx, &sample));
    if (grd_dataset_get(changed, 0, &(grd_key){ .seed = 1 }, sample) != GRD_OK)
        fail_msg("%s: %s", spec, sample->error);
    for (int k = 0; k < 3; k++)
        assert_int_equal(sample->shape[0].dim[k], c->out_size[k]);
    memcpy(c->found, sample->data[0], bytes_in(c->out_size, c->out_type));
    grd_sample_free(sample, ctx);
    grd_close(ctx);
}

static bool next_case(FILE *from, void (*transform)(picture_case *), line *lines, int *n)
{
    picture_case c;
    if (!read_case(from, &c))
        return false;
    transform(&c);
    grd_pixels found = pixels_found(&c);
    image_difference d = image_compare(&found, c.expected);
    int i = 0;
    while (i < *n && (strcmp(lines[i].name, c.name) != 0 || strcmp(lines[i].kind, c.kind) != 0))
        i++;
    if (i == *n) {
        assert_true(*n < MOST_LINES);
        lines[(*n)++] = (line){ .largest = 0 };
        strcpy(lines[i].name, c.name);
        strcpy(lines[i].kind, c.kind);
    }
    lines[i].largest = d.largest > lines[i].largest || d.largest != d.largest ? d.largest : lines[i].largest;
    lines[i].share = d.share > lines[i].share ? d.share : lines[i].share;
    lines[i].pictures++;
    free_case(&c);
    return true;
}

static void compare_all(const char *mode, void (*transform)(picture_case *), int least)
{
    const char *python = getenv("GRADUS_PYTHON"), *dir = getenv("GRADUS_DATA"), *many = getenv("GRADUS_PICTURES");
    char command[4096];
    snprintf(command, sizeof command, "'%s' -c 'import torchvision, PIL, numpy' 2>/dev/null", python ? python : "");
    if (!python || !dir || system(command) != 0)
        skip();
    static line lines[MOST_LINES];
    int n = 0;
    snprintf(command, sizeof command, "'%s' -W ignore '%s/tests/data/image_oracle.py' %s '%s' %d", python, GRD_SOURCE_DIR, mode,
             dir, many ? atoi(many) : 200);
    FILE *from = popen(command, "r");
    assert_non_null(from);
    while (next_case(from, transform, lines, &n)) {
    }
    assert_int_equal(pclose(from), 0);
    assert_true(n >= least);
    int faults = 0;
    printf("| transform | type | largest difference (of 255) | values beyond 1, worst picture |\n| --- | --- | --- | --- |\n");
    for (int i = 0; i < n; i++) {
        printf("| `%s` | %s | %.3g | %.2g %% |\n", lines[i].name, lines[i].kind, lines[i].largest, 100 * lines[i].share);
        faults += !(lines[i].largest <= bound_of(lines[i].name)) || lines[i].share > 0.005;
    }
    assert_int_equal(faults, 0);
}

static void kernels_make_of_real_pictures_what_torchvision_makes(void **state)
{
    (void)state;
    compare_all("stream", by_kernel, 50);
}

static void rows_mean_by_their_options_what_torchvision_means(void **state)
{
    (void)state;
    compare_all("rows", by_row, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kernels_make_of_real_pictures_what_torchvision_makes),
                                        cmocka_unit_test(rows_mean_by_their_options_what_torchvision_means) };
    return cmocka_run_group_tests_name("pictures and torchvision", tests, NULL, NULL);
}
