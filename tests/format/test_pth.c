/* .pth files: what is written is read back, and nothing that is read can do harm. */
#define _GNU_SOURCE
#include "helper_format.h"

#include "format/zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

typedef struct fixture {
    grd_host host;
    grd_arena arena;
    grd_value *tree;
    uint8_t *bytes; /* the tree, written */
    size_t size;
} fixture;

static fixture *begin(void)
{
    fixture *f = calloc(1, sizeof *f);
    grd_host_init(&f->host, NULL);
    grd_arena_init(&f->arena, &f->host);
    f->tree = sample_tree(&f->arena);
    assert_non_null(f->tree);
    f->bytes = tree_bytes(&f->host, f->tree, &f->size);
    return f;
}

static void end(fixture *f)
{
    grd_free(&f->host, f->bytes);
    grd_arena_free(&f->arena);
    free(f);
}

/* ---- writing and reading back ---- */

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    fixture *f = begin();
    const char *path = in_temp_dir("tree.pth");
    grd_pth pth;
    OK(&f->host, grd_pth_write(&f->host, path, f->tree));
    OK(&f->host, grd_pth_read(&f->host, path, &pth));
    assert_true(grd_value_equal(pth.root, f->tree));
    const grd_value *weight = grd_value_find(pth.root, "state_dict/0.weight"),
                    *tied = grd_value_find(pth.root, "state_dict/tied.weight");
    assert_string_equal(weight->tensor.stored, "float32");
    assert_ptr_equal(weight->tensor.data, tied->tensor.data); /* one storage */
    assert_int_equal((uintptr_t)weight->tensor.data % 64, 0);
    grd_pth_close(&pth);
    grd_pth_close(&pth);
    end(f);
}

static void the_same_tree_gives_the_same_bytes(void **state)
{
    (void)state;
    fixture *f = begin(), *g = begin();
    assert_int_equal(f->size, g->size);
    assert_memory_equal(f->bytes, g->bytes, f->size);
    end(f);
    end(g);
}

/* Header fields by the zip specification: aligned data, no time, true CRC and sizes, nothing compressed. */
static void records_are_stored_aligned_and_summed(void **state)
{
    (void)state;
    fixture *f = begin();
    size_t at = 0, records = 0;
    for (; grd_little(f->bytes + at, 4) == 0x04034b50; records++) {
        const uint8_t *h = f->bytes + at;
        size_t data = at + 30 + grd_little(h + 26, 2) + grd_little(h + 28, 2), size = grd_little(h + 18, 4);
        assert_int_equal(grd_little(h + 8, 2), 0);
        assert_int_equal(grd_little(h + 10, 4), 0x00210000); /* midnight of the first day that zip knows */
        assert_int_equal(data % 64, 0);
        assert_int_equal(grd_little(h + 22, 4), size);
        assert_int_equal(grd_little(h + 14, 4), crc32(crc32(0, NULL, 0), f->bytes + data, (uInt)size));
        assert_int_equal(memcmp(h + 30, "archive/", 8), 0);
        at = data + size;
    }
    assert_int_equal(records, 3 + 7); /* pickle, byteorder, version; tied tensors share a storage, an empty one has its own */
    end(f);
}

static void a_tree_that_cannot_be_written_leaves_the_old_file(void **state)
{
    (void)state;
    fixture *f = begin();
    const char *path = in_temp_dir("old.pth");
    put_file(path, "old", 3);
    OK(&f->host, grd_value_set(&f->arena, f->tree, "bad", grd_value_text(&f->arena, "\xff\xfe")));
    FAILS(&f->host, GRD_ERR_ARG, "is not UTF-8", grd_pth_write(&f->host, path, f->tree));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 3);
    FAILS(&f->host, GRD_ERR_IO, "no-such-folder", grd_pth_write(&f->host, in_temp_dir("no-such-folder/a.pth"), f->tree));
    grd_value *deep = grd_value_list(&f->arena), *inner = deep;
    for (int i = 0; i < 100; i++) {
        grd_value *next = grd_value_list(&f->arena);
        OK(&f->host, grd_value_append(&f->arena, inner, next));
        inner = next;
    }
    FAILS(&f->host, GRD_ERR_ARG, "64 deep", grd_pth_write(&f->host, path, deep));
    end(f);
}

static void overlong_and_broken_utf8_is_refused(void **state)
{
    (void)state;
    fixture *f = begin();
    const char *const bad[] = { "\x80",
                                "\xc0\x80",
                                "\xc3",
                                "\xe0\x80\x80",
                                "\xed\xa0\x80",
                                "\xf0\x80\x80\x80",
                                "\xf4\x90\x80\x80",
                                "\xf8\x88\x80\x80\x80",
                                "a\xe2\x82" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(&f->host, GRD_ERR_ARG, "UTF-8", grd_pth_write(&f->host, in_temp_dir("x.pth"), grd_value_text(&f->arena, bad[i])));
    end(f);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    fixture *f = begin();
    FILE *full = fopen("/dev/full", "wb");
    if (!full)
        skip();
    setvbuf(full, NULL, _IONBF, 0);
    FAILS(&f->host, GRD_ERR_IO, "full: cannot write: No space", grd_pth_write_file(&f->host, "full", full, f->tree));
    fclose(full);
    end(f);
}

/* ---- damage ---- */

/* Parses an exact copy, so that a sanitizer sees every byte read beyond it. */
static grd_status parse_copy(grd_host *host, const uint8_t *bytes, size_t size, grd_pth *pth, void **copy)
{
    *copy = malloc(size ? size : 1);
    memcpy(*copy, bytes, size);
    return grd_pth_parse(host, "copy", *copy, size, pth);
}

static void a_file_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    fixture *f = begin();
    for (size_t n = 0; n < f->size; n++) {
        grd_pth pth;
        void *copy;
        if (parse_copy(&f->host, f->bytes, n, &pth, &copy) == GRD_OK)
            fail_msg("the first %zu of %zu bytes were read as a whole file", n, f->size);
        assert_int_equal(strncmp(f->host.err.text, "copy: ", 6), 0);
        assert_null(pth.root);
        free(copy);
    }
    end(f);
}

static void any_flipped_bit_is_noticed_or_harmless(void **state)
{
    (void)state;
    fixture *f = begin();
    int noticed = 0;
    for (size_t bit = 0; bit < 8 * f->size; bit++) {
        grd_pth pth;
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (grd_pth_parse(&f->host, "flipped", f->bytes, f->size, &pth) != GRD_OK)
            noticed++;
        else if (!grd_value_equal(pth.root, f->tree))
            fail_msg("bit %zu of byte %zu: another tree, no error", bit % 8, bit / 8);
        grd_pth_close(&pth);
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(noticed > 10000);
    end(f);
}

static void a_wrong_sum_names_the_record(void **state)
{
    (void)state;
    fixture *f = begin();
    grd_pth pth;
    uint8_t *data = memmem(f->bytes, f->size, "\x00\x00\xc0\x3f\x00\x00\x00\xc0", 8); /* 1.5f, -2.0f */
    assert_non_null(data);
    *data ^= 1;
    FAILS(&f->host, GRD_ERR_FORMAT, "f.pth: record \"archive/data/0\": its CRC-32 is",
          grd_pth_parse(&f->host, "f.pth", f->bytes, f->size, &pth));
    end(f);
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    fixture *f = begin();
    for (int64_t n = 1;; n++) {
        counter memory = { .refuse = n };
        grd_host host;
        grd_pth pth;
        counting_host(&host, &memory);
        FILE *file = fopen("/dev/null", "wb");
        grd_status status = grd_pth_write_file(&host, "null", file, f->tree);
        fclose(file);
        if (status == GRD_OK)
            status = grd_pth_parse(&host, "bytes", f->bytes, f->size, &pth);
        bool refused = memory.calls >= n;
        assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
        if (status == GRD_OK)
            grd_pth_close(&pth);
        assert_int_equal(memory.live, 0);
        if (!refused) {
            assert_true(n > 10);
            break;
        }
    }
    end(f);
}

/* ---- zip variants ---- */

static void deflated_records_are_read(void **state)
{
    (void)state;
    fixture *f = begin();
    grd_zip zip;
    grd_arena arena;
    uint64_t budget = 1 << 20;
    grd_arena_init(&arena, &f->host);
    OK(&f->host, grd_zip_open(&zip, &arena, "own", f->bytes, f->size, &budget));
    zip_maker maker;
    zip_start(&maker, &f->host);
    maker.deflate = true;
    for (size_t i = 0; i < zip.n; i++) {
        char name[64];
        OK(&f->host, grd_zip_load(&zip, &zip.entry[i]));
        snprintf(name, sizeof name, "%.*s", (int)zip.entry[i].name_size, zip.entry[i].name);
        zip_put(&maker, name, zip.entry[i].data, (size_t)zip.entry[i].size);
    }
    zip_finish(&maker);
    grd_pth pth;
    OK(&f->host, grd_pth_parse(&f->host, "deflated", maker.out.data, maker.out.size, &pth));
    assert_true(grd_value_equal(pth.root, f->tree));
    grd_pth_close(&pth);
    for (size_t i = 40; i < maker.out.size; i += 7) { /* damage in deflated data is an error, too */
        maker.out.data[i] ^= 0x10;
        if (grd_pth_parse(&f->host, "deflated", maker.out.data, maker.out.size, &pth) == GRD_OK) {
            assert_true(grd_value_equal(pth.root, f->tree));
            grd_pth_close(&pth);
        }
        maker.out.data[i] ^= 0x10;
    }
    grd_bytes_free(&maker.out);
    grd_arena_free(&arena);
    end(f);
}

static void a_record_that_unpacks_to_too_much_is_refused(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    size_t size = (size_t)300 << 20;
    void *zeros = calloc(1, size);
    zip_maker maker;
    zip_start(&maker, &host);
    maker.deflate = true;
    zip_put(&maker, "x/data.pkl", zeros, size);
    zip_put(&maker, "x/version", "3\n", 2);
    zip_finish(&maker);
    free(zeros);
    grd_pth pth;
    FAILS(&host, GRD_ERR_FORMAT, "far more than the file's size",
          grd_pth_parse(&host, "bomb", maker.out.data, maker.out.size, &pth));
    grd_bytes_free(&maker.out);
}

/* The fields that only files of 4 GiB need, forced on small ones. */
static void zip64_fields_are_written_and_read(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    const char *path = in_temp_dir("zip64.zip");
    FILE *file = fopen(path, "wb");
    grd_zip_writer writer;
    grd_zip_begin(&writer, &host, path, file);
    writer.zip64_from = 200;
    OK(&host, grd_zip_add(&writer, "small", data, 10));
    OK(&host, grd_zip_add(&writer, "large", data, sizeof data));
    OK(&host, grd_zip_add(&writer, "last", data, 20));
    OK(&host, grd_zip_end(&writer));
    grd_zip_drop(&writer);
    fclose(file);
    void *bytes;
    size_t size;
    grd_zip zip;
    grd_arena arena;
    uint64_t budget = 0;
    OK(&host, grd_file_read(&host, path, 0, &bytes, &size));
    grd_arena_init(&arena, &host);
    OK(&host, grd_zip_open(&zip, &arena, "own", bytes, size, &budget));
    assert_int_equal(zip.n, 3);
    const struct {
        const char *name;
        size_t size;
    } expected[] = { { "small", 10 }, { "large", 300 }, { "last", 20 } };
    for (int i = 0; i < 3; i++) {
        grd_zip_entry *entry = grd_zip_find(&zip, expected[i].name, strlen(expected[i].name));
        assert_non_null(entry);
        OK(&host, grd_zip_load(&zip, entry));
        assert_int_equal(entry->size, expected[i].size);
        assert_int_equal((entry->data - (uint8_t *)bytes) % 64, 0);
        assert_memory_equal(entry->data, data, expected[i].size);
    }
    if (python_has("zipfile"))
        run_python("import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n"
                   "assert [i.file_size for i in z.infolist()] == [10, 300, 20]\n",
                   path);
    grd_arena_free(&arena);
    grd_free(&host, bytes);
}

static void more_records_than_16_bits_count_are_read(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    const char *path = in_temp_dir("many.zip");
    FILE *file = fopen(path, "wb");
    grd_zip_writer writer;
    grd_zip_begin(&writer, &host, path, file);
    char name[16];
    for (int i = 0; i < 66000; i++) {
        snprintf(name, sizeof name, "%d", i);
        OK(&host, grd_zip_add(&writer, name, &i, sizeof i));
    }
    OK(&host, grd_zip_end(&writer));
    grd_zip_drop(&writer);
    fclose(file);
    void *bytes;
    size_t size;
    grd_zip zip;
    grd_arena arena;
    uint64_t budget = 0;
    OK(&host, grd_file_read(&host, path, 0, &bytes, &size));
    grd_arena_init(&arena, &host);
    OK(&host, grd_zip_open(&zip, &arena, "own", bytes, size, &budget));
    assert_int_equal(zip.n, 66000);
    grd_zip_entry *entry = grd_zip_find(&zip, "65999", 5);
    OK(&host, grd_zip_load(&zip, entry));
    assert_int_equal(grd_little(entry->data, 4), 65999);
    grd_arena_free(&arena);
    grd_free(&host, bytes);
}

static void files_that_are_something_else_are_named(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    grd_pth pth;
    char tar[512] = "storages";
    memcpy(tar + 257, "ustar", 5);
    FAILS(&host, GRD_ERR_FORMAT, "a tar archive", grd_pth_parse(&host, "a", tar, sizeof tar, &pth));
    FAILS(&host, GRD_ERR_FORMAT, "not a .pth file", grd_pth_parse(&host, "a", "{\"x\": 1}", 8, &pth));
    FAILS(&host, GRD_ERR_FORMAT, "0 bytes in all", grd_pth_parse(&host, "a", "", 0, &pth));
    FAILS(&host, GRD_ERR_IO, "missing.pth", grd_pth_read(&host, in_temp_dir("missing.pth"), &pth));
    const struct {
        const char *name[3], *data[3], *text;
    } archives[] = {
        { { "x/data.pkl", "x/constants.pkl", "x/version" }, { "N.", "N.", "3\n" }, "a TorchScript archive" },
        { { "mimetype", "content.xml", "meta" }, { "a", "b", "c" }, "without FOLDER/data.pkl" },
        { { "x/data.pkl", "x/data/0", "x/other" }, { "N.", "b", "c" }, "no record \"version\"" },
        { { "x/data.pkl", "x/data/0", "x/version" }, { "N.", "b", "77\n" }, "file version \"77\", expected 1 to 10" },
        { { "x/data.pkl", "x/byteorder", "x/version" }, { "N.", "big", "3\n" }, "byte order \"big\", expected \"little\"" },
        { { "x/data.pkl", "x/data.pkl", "x/version" }, { "N.", "N.", "3\n" }, "is there twice" },
    };
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
        zip_maker zip;
        zip_start(&zip, &host);
        for (int k = 0; k < 3; k++)
            zip_put(&zip, archives[i].name[k], archives[i].data[k], strlen(archives[i].data[k]));
        zip_finish(&zip);
        FAILS(&host, GRD_ERR_FORMAT, archives[i].text, grd_pth_parse(&host, "a", zip.out.data, zip.out.size, &pth));
        grd_bytes_free(&zip.out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_same_tree_gives_the_same_bytes),
        cmocka_unit_test(records_are_stored_aligned_and_summed),
        cmocka_unit_test(a_tree_that_cannot_be_written_leaves_the_old_file),
        cmocka_unit_test(overlong_and_broken_utf8_is_refused),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error),
        cmocka_unit_test(any_flipped_bit_is_noticed_or_harmless),
        cmocka_unit_test(a_wrong_sum_names_the_record),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(deflated_records_are_read),
        cmocka_unit_test(a_record_that_unpacks_to_too_much_is_refused),
        cmocka_unit_test(zip64_fields_are_written_and_read),
        cmocka_unit_test(more_records_than_16_bits_count_are_read),
        cmocka_unit_test(files_that_are_something_else_are_named),
    };
    return cmocka_run_group_tests_name("pth", tests, NULL, remove_temp_dir);
}
