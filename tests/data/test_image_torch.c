/* torchvision as oracle over 200 real pictures: the largest difference of each transform, as a table. Skipped unless
 * GRADUS_PYTHON names a Python with torchvision, Pillow and numpy, and GRADUS_DATA has msrc and cifar10. GRADUS_PICTURES changes how many. */
#define _GNU_SOURCE
#include "helper_data.h"
#include "helper_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    char name[40], kind[8];
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

static bool next_case(FILE *from, line *lines, int *n)
{
    char name[40], kind[8];
    int in_size[3], out_size[3];
    double p[IMAGE_PARAMETERS];
    if (fscanf(from, "%39s %7s %d %d %d %d %d %d", name, kind, &in_size[0], &in_size[1], &in_size[2], &out_size[0], &out_size[1],
               &out_size[2]) != 8)
        return false;
    for (int i = 0; i < IMAGE_PARAMETERS; i++)
        assert_int_equal(fscanf(from, "%lf", &p[i]), 1);
    assert_int_equal(fgetc(from), '\n');
    grd_dtype type = strcmp(kind, "u8") == 0 ? GRD_U8 : GRD_F32, out_type = strcmp(name, "normalize") == 0 ? GRD_F32 : type;
    size_t n_in = (size_t)in_size[0] * (size_t)in_size[1] * (size_t)in_size[2] * (type == GRD_U8 ? 1 : 4);
    size_t n_out = (size_t)out_size[0] * (size_t)out_size[1] * (size_t)out_size[2] * (out_type == GRD_U8 ? 1 : 4);
    void *data = block(from, n_in), *expected = block(from, n_out), *found = malloc(n_out);
    grd_pixels in = grd_pixels_of(data, type, in_size[0], in_size[1], in_size[2]);
    grd_pixels out = grd_pixels_of(found, out_type, out_size[0], out_size[1], out_size[2]);
    assert_true(image_case(name, p, &in, &out));
    image_difference d = image_compare(&out, expected);
    int i = 0;
    while (i < *n && (strcmp(lines[i].name, name) != 0 || strcmp(lines[i].kind, kind) != 0))
        i++;
    if (i == *n) {
        lines[(*n)++] = (line){ .largest = 0 };
        strcpy(lines[i].name, name);
        strcpy(lines[i].kind, kind);
    }
    lines[i].largest = d.largest > lines[i].largest || d.largest != d.largest ? d.largest : lines[i].largest;
    lines[i].share = d.share > lines[i].share ? d.share : lines[i].share;
    lines[i].pictures++;
    free(data);
    free(expected);
    free(found);
    return true;
}

static void real_pictures_come_out_as_from_torchvision(void **state)
{
    (void)state;
    const char *python = getenv("GRADUS_PYTHON"), *dir = getenv("GRADUS_DATA"), *many = getenv("GRADUS_PICTURES");
    char command[4096];
    snprintf(command, sizeof command, "'%s' -c 'import torchvision, PIL, numpy' 2>/dev/null", python ? python : "");
    if (!python || !dir || system(command) != 0)
        skip();
    static line lines[128];
    int n = 0;
    snprintf(command, sizeof command, "'%s' -W ignore '%s/tests/data/image_oracle.py' stream '%s' %d", python, GRD_SOURCE_DIR,
             dir, many ? atoi(many) : 200);
    FILE *from = popen(command, "r");
    assert_non_null(from);
    while (next_case(from, lines, &n)) {
    }
    assert_int_equal(pclose(from), 0);
    assert_true(n > 50);
    int faults = 0;
    printf("| transform | type | largest difference (of 255) | values beyond 1, worst picture |\n| --- | --- | --- | --- |\n");
    for (int i = 0; i < n; i++) {
        printf("| `%s` | %s | %.3g | %.2g %% |\n", lines[i].name, lines[i].kind, lines[i].largest, 100 * lines[i].share);
        faults += !(lines[i].largest <= bound_of(lines[i].name)) || lines[i].share > 0.005;
    }
    assert_int_equal(faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(real_pictures_come_out_as_from_torchvision) };
    return cmocka_run_group_tests_name("image kernels and torchvision", tests, NULL, NULL);
}
