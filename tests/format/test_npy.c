/* .npy and .npz: bytes written by hand are read, what is written is what NumPy would write, all else ends in a sentence. */
#include "helper_format.h"

#include "format/npy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_host host;

static int setup(void **state)
{
    (void)state;
    grd_host_init(&host, NULL);
    return 0;
}

/* A version 1 file of this header and these data. */
static grd_bytes npy_file(const char *header, const void *data, size_t size)
{
    grd_bytes b;
    grd_bytes_init(&b, &host);
    grd_bytes_put(&b, "\x93NUMPY\1\0", 8);
    grd_bytes_number(&b, strlen(header), 2);
    grd_bytes_text(&b, header);
    grd_bytes_put(&b, data, size);
    return b;
}

#define HEADER(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }          \n"

/* The same values without a copy, wherever the bytes lie. */
static void expect_view(const grd_bytes *b, const grd_npy *parsed, bool refused)
{
    grd_npy npy;
    double found[16], values[16];
    uint8_t *room = malloc(b->size + 8);
    assert_int_equal(grd_npy_convert(parsed, "a.npy", 0, parsed->count, GRD_F64, values), GRD_OK);
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(room + shift, b->data, b->size);
        grd_status status = grd_npy_view(&host, "a.npy", room + shift, b->size, &npy);
        assert_int_equal(status, refused ? GRD_ERR_UNSUPPORTED : GRD_OK);
        if (refused)
            continue;
        OK(&host, grd_npy_convert(&npy, "a.npy", 0, npy.count, GRD_F64, found));
        assert_true(npy.count == parsed->count && memcmp(found, values, sizeof *found * (size_t)npy.count) == 0);
        assert_null(npy.owned);
        grd_npy_close(&npy);
    }
    free(room);
}

static void expect_f64(const char *header, const void *data, size_t size, int rank, const int64_t *dim, const double *values)
{
    grd_npy npy;
    double found[16];
    grd_bytes b = npy_file(header, data, size);
    OK(&host, grd_npy_parse(&host, "a.npy", b.data, b.size, &npy));
    assert_int_equal(npy.rank, rank);
    int64_t count = 1;
    for (int k = 0; k < rank; k++) {
        assert_int_equal(npy.dim[k], dim[k]);
        count *= dim[k];
    }
    assert_int_equal(npy.count, count);
    OK(&host, grd_npy_convert(&npy, "a.npy", 0, count, GRD_F64, found));
    for (int64_t i = 0; i < count; i++)
        assert_true(found[i] == values[i]);
    expect_view(&b, &npy, rank > 1 && count && strstr(header, "True"));
    grd_npy_close(&npy);
    grd_bytes_free(&b);
}

static void every_type_is_read_in_both_byte_orders(void **state)
{
    (void)state;
    const int64_t two[] = { 2 };
    expect_f64(HEADER("|b1", "False", "(2,)"), "\0\1", 2, 1, two, (double[]){ 0, 1 });
    expect_f64(HEADER("|u1", "False", "(2,)"), "\0\xff", 2, 1, two, (double[]){ 0, 255 });
    expect_f64(HEADER("|i1", "False", "(2,)"), "\1\xff", 2, 1, two, (double[]){ 1, -1 });
    expect_f64(HEADER("<u2", "False", "(2,)"), "\1\0\0\xff", 4, 1, two, (double[]){ 1, 65280 });
    expect_f64(HEADER(">u2", "False", "(2,)"), "\1\0\0\xff", 4, 1, two, (double[]){ 256, 255 });
    expect_f64(HEADER("<i2", "False", "(2,)"), "\1\0\xff\xff", 4, 1, two, (double[]){ 1, -1 });
    expect_f64(HEADER(">u4", "False", "(2,)"), "\0\0\0\1\xff\xff\xff\xff", 8, 1, two, (double[]){ 1, 4294967295.0 });
    expect_f64(HEADER("<i4", "False", "(2,)"), "\1\0\0\0\xfe\xff\xff\xff", 8, 1, two, (double[]){ 1, -2 });
    expect_f64(HEADER(">i8", "False", "(2,)"), "\0\0\0\0\0\0\1\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, 1, two,
               (double[]){ 256, -1 });
    expect_f64(HEADER("<u8", "False", "(2,)"), "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16, 1, two, (double[]){ 1, 2 });
    expect_f64(HEADER("<f2", "False", "(2,)"), "\0\x3c\1\x80", 4, 1, two, (double[]){ 1, -ldexp(1, -24) });
    expect_f64(HEADER(">f4", "False", "(2,)"), "\x3f\x80\0\0\xc0\x20\0\0", 8, 1, two, (double[]){ 1, -2.5 });
    expect_f64(HEADER("<f8", "False", "(2,)"), "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x04\xc0", 16, 1, two, (double[]){ 1, -2.5 });
}

static void fortran_order_is_transposed(void **state)
{
    (void)state;
    const int64_t dim[] = { 2, 3 }, cube[] = { 2, 1, 2 };
    expect_f64(HEADER("|u1", "True", "(2, 3)"), "\1\4\2\5\3\6", 6, 2, dim, (double[]){ 1, 2, 3, 4, 5, 6 });
    expect_f64(HEADER(">i2", "True", "(2, 1, 2)"), "\0\1\0\3\0\2\0\4", 8, 3, cube, (double[]){ 1, 2, 3, 4 });
    expect_f64(HEADER("|u1", "False", "(2, 3)"), "\1\2\3\4\5\6", 6, 2, dim, (double[]){ 1, 2, 3, 4, 5, 6 });
}

static void odd_shapes_and_headers_are_read(void **state)
{
    (void)state;
    const int64_t none[] = { 0, 3 }, two[] = { 2 };
    expect_f64(HEADER("|u1", "False", "()"), "\7", 1, 0, NULL, (double[]){ 7 });
    expect_f64(HEADER("<f4", "True", "(0, 3)"), "", 0, 2, none, NULL);
    expect_f64("{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"|u1\"}", "\7\10", 2, 1, two, (double[]){ 7, 8 });
}

static void bad_files_end_in_one_clear_line(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data; grd_status status; const char *text; } cases[] = {
        { HEADER("|O", "False", "(1,)"), 8, GRD_ERR_UNSUPPORTED, "Python objects" },
        { HEADER("<U5", "False", "(1,)"), 20, GRD_ERR_UNSUPPORTED, "text '<U5' cannot be read" },
        { HEADER("<M8[ns]", "False", "(1,)"), 8, GRD_ERR_UNSUPPORTED, "times" },
        { HEADER("<c8", "False", "(1,)"), 8, GRD_ERR_UNSUPPORTED, "complex" },
        { HEADER("<f16", "False", "(1,)"), 16, GRD_ERR_UNSUPPORTED, "'<f16' cannot be read" },
        { HEADER("|f4", "False", "(1,)"), 4, GRD_ERR_UNSUPPORTED, "'|f4'" },
        { "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, GRD_ERR_UNSUPPORTED, "structured" },
        { HEADER("<f4", "False", "(2,)"), 4, GRD_ERR_FORMAT, "more than the 4 bytes behind it: the file was cut off" },
        { HEADER("<f4", "False", "(2,)"), 9, GRD_ERR_FORMAT, "1 bytes after the last element" },
        { HEADER("<f8", "False", "(4611686018427387904, 4)"), 8, GRD_ERR_FORMAT, "cut off" },
        { HEADER("<f8", "False", "(99999999999999999999,)"), 8, GRD_ERR_FORMAT, "too large a dimension" },
        { HEADER("<f4", "False", "(-1,)"), 4, GRD_ERR_FORMAT, "no number in 'shape'" },
        { HEADER("<f4", "False", "(1)"), 4, GRD_ERR_FORMAT, "no tuple" },
        { HEADER("<f4", "0", "(1,)"), 4, GRD_ERR_FORMAT, "neither True nor False" },
        { "{'descr': '<f4', 'descr': '<f4'}", 4, GRD_ERR_FORMAT, "twice" },
        { "{'descr': '<f4', 'shape': (1,)}", 4, GRD_ERR_FORMAT, "missing" },
        { "{'descr': '<f4', 'x': 1}", 4, GRD_ERR_FORMAT, "an unknown key" },
        { "__import__('os')", 4, GRD_ERR_FORMAT, "no dict" },
        { HEADER("<f4", "False", "(1,)") "x", 4, GRD_ERR_FORMAT, "more after the dict" },
    };
    char zeros[32] = { 0 };
    grd_npy npy;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grd_bytes b = npy_file(cases[i].header, zeros, cases[i].data);
        FAILS(&host, cases[i].status, cases[i].text, grd_npy_parse(&host, "a.npy", b.data, b.size, &npy));
        assert_int_equal(strncmp(host.err.text, "a.npy: ", 7), 0);
        grd_bytes_free(&b);
    }
    FAILS(&host, GRD_ERR_FORMAT, "not a .npy file", grd_npy_parse(&host, "a", "\x93NUMPX\1\0\0\0", 10, &npy));
    FAILS(&host, GRD_ERR_UNSUPPORTED, "version 4.0", grd_npy_parse(&host, "a", "\x93NUMPY\4\0\0\0", 10, &npy));
    FAILS(&host, GRD_ERR_FORMAT, "longer than the file", grd_npy_parse(&host, "a", "\x93NUMPY\2\0\0\0\0\1", 12, &npy));
}

static void conversion_changes_no_value_unsaid(void **state)
{
    (void)state;
    const double values[] = { 1, 300, 2.5, -1, 1e300 };
    const uint64_t large = (uint64_t)1 << 63;
    grd_npy npy = { .host = &host, .type = GRD_NPY_F64, .rank = 1, .dim = { 5 }, .count = 5, .data = values };
    uint8_t u8[5];
    int32_t i32[5];
    float f32[5];
    OK(&host, grd_npy_convert(&npy, "a", 0, 2, GRD_I32, i32));
    assert_int_equal(i32[1], 300);
    FAILS(&host, GRD_ERR_DATA, "a: element 1 of float64 is 300, which u8 cannot hold",
          grd_npy_convert(&npy, "a", 0, 2, GRD_U8, u8));
    FAILS(&host, GRD_ERR_DATA, "element 2 of float64 is 2.5", grd_npy_convert(&npy, "a", 2, 1, GRD_I32, i32));
    FAILS(&host, GRD_ERR_DATA, "element 4 of float64 is 1", grd_npy_convert(&npy, "a", 0, 5, GRD_F32, f32));
    FAILS(&host, GRD_ERR_ARG, "elements 4 to 6 wanted, there are 5", grd_npy_convert(&npy, "a", 4, 2, GRD_F32, f32));
    npy = (grd_npy){ .host = &host, .type = GRD_NPY_U64, .count = 1, .data = &large };
    int64_t i64;
    FAILS(&host, GRD_ERR_DATA, "which i64 cannot hold", grd_npy_convert(&npy, "a", 0, 1, GRD_I64, &i64));
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    const float x[6] = { 1, 2, 3, 4, 5, 6.5f };
    const int64_t dim[] = { 2, 3 }, y[1] = { -7 };
    grd_npy npy;
    grd_npz npz;
    OK(&host, grd_npy_write(&host, in_temp_dir("x.npy"), GRD_NPY_F32, 2, dim, x));
    OK(&host, grd_npy_read(&host, in_temp_dir("x.npy"), &npy));
    assert_true(npy.rank == 2 && npy.dim[1] == 3 && npy.type == GRD_NPY_F32 && (uintptr_t)npy.data % 64 == 0);
    assert_memory_equal(npy.data, x, sizeof x);
    grd_npy_close(&npy);
    const grd_npz_item items[] = { { "x", GRD_NPY_F32, 2, dim, x }, { "y", GRD_NPY_I64, 0, NULL, y } };
    OK(&host, grd_npz_write(&host, in_temp_dir("xy.npz"), items, 2));
    OK(&host, grd_npz_open(&host, in_temp_dir("xy.npz"), &npz));
    OK(&host, grd_npz_load(&npz, "y", &npy));
    assert_true(npy.rank == 0 && *(const int64_t *)npy.data == -7);
    grd_npy_close(&npy);
    FAILS(&host, GRD_ERR_FORMAT, "no array \"z\"; there are: x, y", grd_npz_load(&npz, "z", &npy));
    grd_npz_close(&npz);
}

static void deflated_archives_are_read(void **state)
{
    (void)state;
    grd_npy npy;
    grd_npz npz;
    zip_maker zip;
    grd_bytes b = npy_file(HEADER("<i4", "False", "(2,)"), "\1\0\0\0\2\0\0\0", 8);
    zip_start(&zip, &host);
    zip.deflate = true;
    zip_put(&zip, "a.npy", b.data, b.size);
    zip_finish(&zip);
    OK(&host, grd_npz_parse(&host, "d.npz", zip.out.data, zip.out.size, &npz));
    OK(&host, grd_npz_load(&npz, "a", &npy));
    assert_int_equal(((const int32_t *)npy.data)[1], 2);
    grd_npy_close(&npy);
    grd_npz_close(&npz);
    grd_bytes_free(&zip.out);
    grd_bytes_free(&b);
}

static void numpy_reads_ours_and_we_read_numpys(void **state)
{
    (void)state;
    const double x[6] = { 1, 2, 3, 4, 5, 6.5 };
    const int64_t dim[] = { 3, 2 };
    grd_npy npy;
    grd_npz npz;
    if (!python_has("numpy"))
        skip();
    OK(&host, grd_npy_write(&host, in_temp_dir("x.npy"), GRD_NPY_F64, 2, dim, x));
    OK(&host, grd_npz_write(&host, in_temp_dir("x.npz"), &(grd_npz_item){ "x", GRD_NPY_F64, 2, dim, x }, 1));
    run_python("import numpy as np, sys\n"
               "d = sys.argv[1]\n"
               "e = np.array([[1, 2], [3, 4], [5, 6.5]])\n"
               "for x in (np.load(d + '/x.npy'), np.load(d + '/x.npz')['x']):\n"
               "    assert x.dtype == np.float64 and (x == e).all()\n"
               "np.savez_compressed(d + '/y.npz', f=np.asfortranarray(e.astype('>f4')), h=e.astype('f2'))\n"
               "np.savez(d + '/z.npz', b=np.array(True), i=np.arange(3))\n",
               temp_dir());
    OK(&host, grd_npz_open(&host, in_temp_dir("y.npz"), &npz));
    for (int k = 0; k < 2; k++) {
        double found[6];
        OK(&host, grd_npz_load(&npz, k ? "h" : "f", &npy));
        OK(&host, grd_npy_convert(&npy, "y", 0, 6, GRD_F64, found));
        assert_memory_equal(found, x, sizeof x);
        grd_npy_close(&npy);
    }
    grd_npz_close(&npz);
    OK(&host, grd_npz_open(&host, in_temp_dir("z.npz"), &npz));
    OK(&host, grd_npz_load(&npz, "i", &npy));
    assert_true(npy.type == GRD_NPY_I64 && ((const int64_t *)npy.data)[2] == 2);
    grd_npy_close(&npy);
    grd_npz_close(&npz);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_in_both_byte_orders), cmocka_unit_test(fortran_order_is_transposed),
        cmocka_unit_test(odd_shapes_and_headers_are_read),        cmocka_unit_test(bad_files_end_in_one_clear_line),
        cmocka_unit_test(conversion_changes_no_value_unsaid),     cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(deflated_archives_are_read),             cmocka_unit_test(numpy_reads_ours_and_we_read_numpys),
    };
    return cmocka_run_group_tests(tests, setup, remove_temp_dir);
}
