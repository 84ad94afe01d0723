/* What the definition of layouts promises: every element has a place of its own, copies lose nothing, padding is zero. */
#include "plan/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Row-major over the blocks; inner blocks as listed. */
static grd_layout make(const grd_shape *shape, int n_inner, const int *dim, const int *size)
{
    grd_layout l;
    memset(&l, 0, sizeof l);
    l.kind = GRD_LAYOUT_BLOCKED;
    l.n_inner = n_inner;
    int64_t block[GRD_MAX_RANK], step = 1;
    for (int i = 0; i < shape->rank; i++)
        block[i] = 1;
    for (int k = 0; k < n_inner; k++) {
        l.inner_dim[k] = dim[k];
        l.inner_size[k] = size[k];
        block[dim[k]] *= size[k];
        step *= size[k];
    }
    for (int i = shape->rank - 1; i >= 0; i--) {
        l.padded[i] = (shape->dim[i] + block[i] - 1) / block[i] * block[i];
        l.stride[i] = step;
        step *= l.padded[i] / block[i];
    }
    l.bytes = (size_t)step * sizeof(float);
    return l;
}

typedef struct sample { grd_shape shape; grd_layout layout; } sample;

enum { N_SAMPLES = 6 };

static void make_samples(sample s[N_SAMPLES])
{
    static const grd_shape shapes[N_SAMPLES] = { { 4, { 2, 16, 3, 5 } }, { 4, { 2, 19, 3, 5 } }, { 4, { 20, 9, 3, 3 } },
                                                 { 2, { 5, 7 } },        { 4, { 2, 6, 4, 3 } },  { 1, { 5 } } };
    s[0].layout = make(&shapes[0], 1, (int[]){ 1 }, (int[]){ 16 });                        /* nChw16c */
    s[1].layout = make(&shapes[1], 1, (int[]){ 1 }, (int[]){ 8 });                         /* nChw8c, padded */
    s[2].layout = make(&shapes[2], 3, (int[]){ 1, 0, 1 }, (int[]){ 4, 16, 4 });            /* OIhw4i16o4i, both padded */
    s[3].layout = make(&shapes[3], 2, (int[]){ 0, 1 }, (int[]){ 2, 4 });
    s[4].layout = make(&shapes[4], 0, NULL, NULL);
    memcpy(s[4].layout.stride, (int64_t[]){ 72, 1, 18, 6 }, 4 * sizeof(int64_t));          /* nhwc */
    s[5].layout = (grd_layout){ 0 };                                                       /* plain */
    for (int i = 0; i < N_SAMPLES; i++)
        s[i].shape = shapes[i];
}

static void every_element_has_its_own_place(void **state)
{
    (void)state;
    sample s[N_SAMPLES];
    make_samples(s);
    for (int k = 0; k < N_SAMPLES; k++) {
        int64_t places = (int64_t)(grd_layout_bytes(&s[k].layout, &s[k].shape, sizeof(float)) / sizeof(float)),
                index[GRD_MAX_RANK] = { 0 };
        char *taken = calloc((size_t)places, 1);
        for (int64_t e = 0; e < grd_count(&s[k].shape); e++) {
            int64_t at = grd_layout_offset(&s[k].layout, &s[k].shape, index);
            assert_in_range(at, 0, places - 1);
            assert_int_equal(taken[at], 0);
            taken[at] = 1;
            for (int i = s[k].shape.rank - 1; i >= 0 && ++index[i] == s[k].shape.dim[i]; i--)
                index[i] = 0;
        }
        free(taken);
    }
}

static void known_offsets(void **state)
{
    (void)state;
    sample s[N_SAMPLES];
    make_samples(s);
    /* nChw8c of [2,19,3,5]: n 1, c 10, h 2, w 3 -> ((1*3 + 1)*3 + 2)*5 + 3 blocks of 8, element 2 */
    assert_int_equal(grd_layout_offset(&s[1].layout, &s[1].shape, (int64_t[]){ 1, 10, 2, 3 }),
                     (((1 * 3 + 1) * 3 + 2) * 5 + 3) * 8 + 2);
    /* OIhw4i16o4i of [20,9,3,3]: o 17, i 6, h 1, w 2 -> block (1,0,1,2), inside i/4 = 1, o%16 = 1, i%4 = 2 */
    assert_int_equal(grd_layout_offset(&s[2].layout, &s[2].shape, (int64_t[]){ 17, 6, 1, 2 }),
                     ((1 * 3 + 1) * 3 + 2) * 256 + (1 * 16 + 1) * 4 + 2);
    assert_int_equal(grd_layout_offset(&s[5].layout, &s[5].shape, (int64_t[]){ 4 }), 4);
}

static void there_and_back_is_the_same(void **state)
{
    (void)state;
    static const grd_layout plain;
    sample s[N_SAMPLES];
    make_samples(s);
    for (int k = 0; k < N_SAMPLES; k++) {
        size_t n = (size_t)grd_count(&s[k].shape), bytes = grd_layout_bytes(&s[k].layout, &s[k].shape, sizeof(float));
        float *x = malloc(n * sizeof *x), *back = malloc(n * sizeof *back), *there = malloc(bytes);
        for (size_t i = 0; i < n; i++)
            x[i] = (float)(i + 1);
        memset(there, 0xff, bytes);
        grd_layout_copy(&plain, x, &s[k].layout, there, &s[k].shape, sizeof(float));
        grd_layout_copy(&s[k].layout, there, &plain, back, &s[k].shape, sizeof(float));
        assert_memory_equal(x, back, n * sizeof *x);
        double sum = 0; /* NaN if padding were left as it was */
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            sum += (double)there[i];
        assert_true(sum == (double)n * (double)(n + 1) / 2);
        free(x);
        free(back);
        free(there);
    }
}

static void padding_is_seen(void **state)
{
    (void)state;
    static const bool padded[N_SAMPLES] = { false, true, true, true, false, false };
    sample s[N_SAMPLES];
    make_samples(s);
    for (int k = 0; k < N_SAMPLES; k++)
        assert_int_equal(grd_layout_has_padding(&s[k].layout, &s[k].shape), padded[k]);
    const grd_layout opaque = { .kind = GRD_LAYOUT_OPAQUE, .bytes = 64 };
    assert_true(grd_layout_has_padding(&opaque, &s[0].shape)); /* nobody knows */
}

static void only_equal_layouts_are_equal(void **state)
{
    (void)state;
    sample s[N_SAMPLES];
    make_samples(s);
    for (int a = 0; a < N_SAMPLES; a++)
        for (int b = 0; b < N_SAMPLES; b++)
            assert_int_equal(grd_layout_equal(&s[a].layout, &s[b].layout), a == b);
    grd_layout named = s[0].layout;
    named.name[0] = 'x';
    assert_true(grd_layout_equal(&named, &s[0].layout)); /* the name is for people */
    const grd_layout one = { .kind = GRD_LAYOUT_OPAQUE, .bytes = 64, .opaque = 1 },
                     two = { .kind = GRD_LAYOUT_OPAQUE, .bytes = 64, .opaque = 2 };
    assert_false(grd_layout_equal(&one, &two));
    assert_true(grd_layout_equal(&one, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_has_its_own_place), cmocka_unit_test(known_offsets),
        cmocka_unit_test(there_and_back_is_the_same),      cmocka_unit_test(padding_is_seen),
        cmocka_unit_test(only_equal_layouts_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
