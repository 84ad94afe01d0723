/* Tar archives made by hand, plain and packed: entries in order, long names, PAX, and what is refused. */
#include "helper_format.h"
#include "helper_tar.h"

#include "format/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static grd_host host;
static grd_bytes archive;

static int setup(void **state)
{
    (void)state;
    grd_host_init(&host, NULL);
    grd_bytes_init(&archive, &host);
    return 0;
}

static int teardown(void **state)
{
    grd_bytes_free(&archive);
    return remove_temp_dir(state);
}

/* All of it: "f a.txt hello\n" an entry. Returns the status that ended it. */
static grd_status listing(const void *bytes, size_t size, char text[2000])
{
    grd_tar *tar;
    grd_tar_entry entry;
    bool more = true;
    text[0] = 0;
    grd_status status = grd_tar_memory(&host, "t.tar", bytes, size, &tar);
    while (status == GRD_OK) {
        char data[600] = "";
        size_t got;
        status = grd_tar_next(tar, &entry, &more);
        if (status != GRD_OK || !more)
            break;
        status = grd_tar_read(tar, data, entry.size < 50 ? 50 : 3, &got); /* large ones are left early */
        size_t used = strlen(text);
        snprintf(text + used, 2000 - used, "%c %s %s\n", entry.type, entry.name, data);
    }
    grd_tar_close(tar);
    return status;
}

static void make_small(void)
{
    static const char large[3000] = "abcdef";
    archive.size = 0;
    tar_put(&archive, "d/", '5', "", 0);
    tar_put(&archive, "d/large", '0', large, sizeof large);
    tar_put(&archive, "a.txt", 0, "hello", 5);
    tar_put(&archive, "link", '2', "", 0);
    tar_end(&archive);
}
static const char small_listing[] = "d d/ \nf d/large abc\nf a.txt hello\nl link \n";

static void entries_come_in_order_whatever_packs_them(void **state)
{
    (void)state;
    char text[2000];
    size_t n;
    make_small();
    OK(&host, listing(archive.data, archive.size, text));
    assert_string_equal(text, small_listing);
    void *packed = pack_gzip(archive.data, archive.size, &n);
    OK(&host, listing(packed, n, text));
    assert_string_equal(text, small_listing);
    FAILS(&host, GRD_ERR_FORMAT, "t.tar: the gzip stream ends early", listing(packed, n - 4, text));
    free(packed);
    packed = pack_xz(archive.data, archive.size, &n);
    OK(&host, listing(packed, n, text));
    assert_string_equal(text, small_listing);
    FAILS(&host, GRD_ERR_FORMAT, "t.tar: the xz stream ends early", listing(packed, n - 4, text));
    ((uint8_t *)packed)[n / 2] ^= 4;
    FAILS(&host, GRD_ERR_FORMAT, "bad xz", listing(packed, n, text));
    free(packed);
}

static void long_names_and_pax_headers_are_taken(void **state)
{
    (void)state;
    char text[2000], name[251], expected[400];
    memset(name, 'n', 250);
    name[250] = 0;
    archive.size = 0;
    tar_put(&archive, "././@LongLink", 'L', name, sizeof name);
    tar_put(&archive, "cut", '0', "one", 3);
    tar_put(&archive, "pax", 'x', "17 path=from/pax\n", 17);
    tar_put(&archive, "cut", '0', "two", 3);
    tar_put(&archive, "pax", 'g', "15 comment=abc\n", 15);
    tar_put(&archive, "pax", 'x', "10 size=3\n15 comment=abc\n", 25);
    tar_put(&archive, "c", '0', "three", 5);
    tar_end(&archive);
    OK(&host, listing(archive.data, archive.size, text));
    snprintf(expected, sizeof expected, "f %s one\nf from/pax two\nf c thr\n", name);
    assert_string_equal(text, expected);
}

static void bad_archives_end_in_one_clear_line(void **state)
{
    (void)state;
    char text[2000];
    make_small();
    FAILS(&host, GRD_ERR_FORMAT, "t.tar: tar header at byte 5632: the archive was cut off",
          listing(archive.data, archive.size - 1024, text));
    FAILS(&host, GRD_ERR_FORMAT, "cut off", listing(archive.data, 512 + 512 + 100, text));
    archive.data[512] ^= 1;
    FAILS(&host, GRD_ERR_FORMAT, "tar header at byte 512: a wrong checksum: the archive is damaged",
          listing(archive.data, archive.size, text));
    archive.data[0] ^= 1;
    FAILS(&host, GRD_ERR_FORMAT, "not a tar archive", listing(archive.data, archive.size, text));
    FAILS(&host, GRD_ERR_FORMAT, "cut off", listing("", 0, text));
    static const struct { char type; const char *data, *text; } cases[] = {
        { 'S', "", "sparse" },
        { 'x', "22 GNU.sparse.major=1\n", "sparse" },
        { 'x', "99 path=x\n", "wrong length" },
        { 'x', "0 path=x\n", "wrong length" },
        { 'x', "path=x\n", "wrong length" },
        { 'x', "7 path\n", "without =" },
        { 'x', "11 size=-1\n", "no number" },
        { 'x', "34 size=9999999999999999999999999\n", "no number" },
        { 'L', "name", "ends where an entry was announced" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        archive.size = 0;
        tar_put(&archive, "x", cases[i].type, cases[i].data, strlen(cases[i].data));
        tar_end(&archive);
        FAILS(&host, GRD_ERR_FORMAT, cases[i].text, listing(archive.data, archive.size, text));
    }
}

static void a_member_is_loaded_by_its_name(void **state)
{
    (void)state;
    void *bytes;
    size_t size;
    make_small();
    const char *path = in_temp_dir("t.tar");
    put_file(path, archive.data, archive.size);
    OK(&host, grd_tar_load(&host, path, "./a.txt", 0, &bytes, &size));
    assert_int_equal(size, 5);
    assert_string_equal(bytes, "hello");
    grd_free(&host, bytes);
    OK(&host, grd_tar_load(&host, path, "d/large", 3000, &bytes, &size));
    assert_int_equal(size, 3000);
    grd_free(&host, bytes);
    FAILS(&host, GRD_ERR_FORMAT, "d/large: 3000 bytes, expected at most 2999",
          grd_tar_load(&host, path, "d/large", 2999, &bytes, &size));
    FAILS(&host, GRD_ERR_FORMAT, "no file \"b\" in the archive", grd_tar_load(&host, path, "b", 0, &bytes, &size));
    FAILS(&host, GRD_ERR_FORMAT, "no file \"link\"", grd_tar_load(&host, path, "link", 0, &bytes, &size));
}

static void refused_memory_is_survived_everywhere(void **state)
{
    (void)state;
    size_t n;
    make_small();
    void *packed = pack_xz(archive.data, archive.size, &n);
    put_file(in_temp_dir("r.tar.xz"), packed, n);
    free(packed);
    for (int refuse = 1;; refuse++) {
        counter c = { .refuse = refuse };
        grd_host counted;
        void *bytes;
        size_t size;
        counting_host(&counted, &c);
        grd_status status = grd_tar_load(&counted, in_temp_dir("r.tar.xz"), "a.txt", 0, &bytes, &size);
        grd_free(&counted, bytes);
        assert_int_equal(c.live, 0);
        if (status == GRD_OK)
            break;
        assert_int_equal(status, GRD_ERR_MEMORY);
        assert_true(refuse < 100);
    }
}

static void cifar_is_read_from_its_archive(void **state)
{
    (void)state;
    grd_tar *tar;
    grd_tar_entry entry;
    bool more = true;
    int batches = 0;
    const char *path = real_file("cifar10/cifar-10-batches-bin.tar.xz");
    if (!path)
        skip();
    OK(&host, grd_tar_open(&host, path, &tar));
    while (batches < 1) {
        uint8_t record[3073];
        size_t got;
        OK(&host, grd_tar_next(tar, &entry, &more));
        assert_true(more);
        if (entry.size != 30730000)
            continue;
        for (int i = 0; i < 10000; i++) {
            OK(&host, grd_tar_read(tar, record, sizeof record, &got));
            assert_true(got == sizeof record && record[0] < 10);
        }
        batches++;
    }
    grd_tar_close(tar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_order_whatever_packs_them), cmocka_unit_test(long_names_and_pax_headers_are_taken),
        cmocka_unit_test(bad_archives_end_in_one_clear_line),        cmocka_unit_test(a_member_is_loaded_by_its_name),
        cmocka_unit_test(refused_memory_is_survived_everywhere),     cmocka_unit_test(cifar_is_read_from_its_archive),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
