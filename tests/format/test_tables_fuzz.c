/* The fuzz targets of tables, arrays and archives with a mutator of our own; the same files each time. */
#define GRADUS_FUZZ_TEST
#include "../fuzz/fuzz_csv.c"
#include "../fuzz/fuzz_npy.c"
#include "../fuzz/fuzz_tar.c"
#include "../fuzz/mutate.h"

#include "helper_format.h"
#include "helper_tar.h"

static void mutated_tables_never_do_harm(void **state)
{
    (void)state;
    static const char table[] = "_a,b;c\n\"1,\"\"2\",x;#\r\n3,NA;2024-01-31\n-1.5e3, y ;\n";
    char seed[sizeof table];
    memcpy(seed, table, sizeof table);
    for (int options = 0; options < 64; options++) {
        seed[0] = (char)options;
        run_mutated(fuzz_csv, seed, sizeof seed - 1, "\",;\r\n\t|#. 0-", 300);
    }
}

static void mutated_arrays_never_do_harm(void **state)
{
    (void)state;
    static const char array[] =
        "\0\x93NUMPY\1\0\x3c\0{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), } \n\1\0\2\0\3\0\4\0\5\0\6";
    grd_host host;
    zip_maker zip;
    run_mutated(fuzz_npy, array, sizeof array, "<>|bifu0123456789(),{}'\":TF", 20000);
    grd_host_init(&host, NULL);
    zip_start(&zip, &host);
    zip_put(&zip, "a.npy", array + 1, sizeof array - 1);
    zip_finish(&zip);
    grd_bytes seed;
    grd_bytes_init(&seed, &host);
    grd_bytes_text(&seed, "\1");
    grd_bytes_put(&seed, zip.out.data, zip.out.size);
    run_mutated(fuzz_npy, seed.data, seed.size, "PK\1\2\5\6", 5000);
    grd_bytes_free(&seed);
    grd_bytes_free(&zip.out);
}

static void mutated_archives_never_do_harm(void **state)
{
    (void)state;
    grd_host host;
    grd_bytes seed;
    grd_host_init(&host, NULL);
    grd_bytes_init(&seed, &host);
    grd_bytes_text(&seed, "\1");
    tar_put(&seed, "x", 'x', "16 path=long/one\n16 comment=abcd\n", 33);
    tar_put(&seed, "a", '0', "hello", 5);
    tar_put(&seed, "L", 'L', "another", 7);
    tar_put(&seed, "b/", '5', "", 0);
    tar_end(&seed);
    run_mutated(fuzz_tar, seed.data, seed.size, "0123457xgLKS=\n/", 10000);
    size_t n;
    void *packed = pack_gzip(seed.data + 1, seed.size - 1, &n);
    grd_bytes_free(&seed);
    grd_bytes_zeros(&seed, 1);
    grd_bytes_put(&seed, packed, n);
    run_mutated(fuzz_tar, seed.data, seed.size, "\x1f\x8b", 5000);
    free(packed);
    grd_bytes_free(&seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(mutated_tables_never_do_harm),
                                        cmocka_unit_test(mutated_arrays_never_do_harm),
                                        cmocka_unit_test(mutated_archives_never_do_harm) };
    return cmocka_run_group_tests_name("tables fuzz", tests, NULL, remove_temp_dir);
}
