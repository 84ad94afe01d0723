/* Files as they should not be, in the current folder: first some that are right, then what spoils them. For test_messages.c. */
#ifndef GRD_TESTS_CLI_SPOILT_FILES_H
#define GRD_TESTS_CLI_SPOILT_FILES_H

#include "helper_cli.h"

#include <stdint.h>
#include <stdio.h> /* jpeglib.h wants it first */

#include <jpeglib.h>
#include <lzma.h>
#include <png.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files that are right, to be spoilt ---- */

static void cut(const char *path, size_t size)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true((size_t)info.st_size > size);
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static void overwrite(const char *path, long at, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void png(const char *path, int width, int height, png_uint_32 format)
{
    static uint16_t pixels[64 * 64 * 3];
    png_image image = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)width,
                        .height = (png_uint_32)height, .format = format };
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = format & PNG_FORMAT_FLAG_LINEAR ? (uint16_t)(i * i * 7919) : 0;
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

static void jpeg(const char *path, int width, int height)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, file);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = 1;
    c.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < height; y++) {
        JSAMPLE row[64];
        for (int x = 0; x < width; x++)
            row[x] = (JSAMPLE)(x * y * 37);
        jpeg_write_scanlines(&c, &(JSAMPROW){ row }, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    fclose(file);
}

/* A .npy of version 1 with this header and n bytes. */
static void npy(const char *path, const char *header, size_t n)
{
    char bytes[600] = "\x93NUMPY\1";
    size_t size = strlen(header);
    bytes[8] = (char)size;
    memcpy(bytes + 10, header, size);
    assert_true(10 + size + n <= sizeof bytes);
    write_bytes(path, bytes, 10 + size + n);
}

static void idx(void)
{
    write_idx(".", "train", 40);
    write_idx(".", "t10k", 10);
}

static void two_classes(void)
{
    assert_int_equal(mkdir("cat", 0777), 0);
    assert_int_equal(mkdir("dog", 0777), 0);
    png("cat/1.png", 8, 8, PNG_FORMAT_GRAY);
    png("dog/1.png", 8, 8, PNG_FORMAT_GRAY);
}

static void picture_and_mask(void)
{
    assert_int_equal(mkdir("images", 0777), 0);
    assert_int_equal(mkdir("masks", 0777), 0);
    png("images/a.png", 8, 8, PNG_FORMAT_RGB);
    png("masks/a.png", 8, 8, PNG_FORMAT_GRAY);
}

/* ---- idx ---- */

static void idx_empty(void)
{
    idx();
    cut("train-images-idx3-ubyte", 0);
}

static void idx_short(void)
{
    idx();
    cut("train-images-idx3-ubyte", 300);
}

static void idx_magic(void)
{
    idx();
    overwrite("train-images-idx3-ubyte", 0, "\0\0\x0d\3", 4);
}

static void idx_count(void)
{
    idx();
    overwrite("train-images-idx3-ubyte", 4, "\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff", 12);
}

static void idx_unequal(void)
{
    idx();
    overwrite("train-labels-idx1-ubyte", 4, "\0\0\0\x27", 4);
    cut("train-labels-idx1-ubyte", 8 + 39);
}

static void idx_label(void)
{
    idx();
    overwrite("train-labels-idx1-ubyte", 8 + 17, "\x0b", 1);
}

static void idx_gzip(void)
{
    idx();
    unlink("train-images-idx3-ubyte");
    write_bytes("train-images-idx3-ubyte.gz", "\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x60", 12);
}

/* ---- cifar ---- */

static void cifar(void)
{
    static uint8_t record[3073];
    static const char *const names[] = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                         "data_batch_5.bin", "test_batch.bin" };
    for (int i = 0; i < 6; i++)
        write_bytes(names[i], record, sizeof record);
}

static void cifar_size(void)
{
    cifar();
    cut("data_batch_3.bin", 3000);
}

static void cifar_label(void)
{
    cifar();
    overwrite("data_batch_3.bin", 0, "\x89", 1);
}

static void cifar_missing(void)
{
    cifar();
    unlink("data_batch_4.bin");
}

static void tar_cut(void)
{
    char header[512] = "cifar-10-batches-bin/data_batch_1.bin";
    unsigned sum = 8 * ' ';
    memcpy(header + 124, "00000006001", 12);
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    write_bytes("cifar-10-binary.tar", header, sizeof header);
}

static void tar_checksum(void)
{
    tar_cut();
    overwrite("cifar-10-binary.tar", 3, "X", 1);
}

/* ---- tables and texts ---- */

static void xz_damaged(void)
{
    static const char table[] = "a,b,y\n1,2,x\n3,4,z\n";
    uint8_t packed[400];
    size_t n = 0;
    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, (const uint8_t *)table, sizeof table - 1, packed, &n,
                                             sizeof packed), LZMA_OK);
    packed[30] ^= 0x55;
    write_bytes("t.csv.xz", packed, n);
}

static void binary_table(void)
{
    write_bytes("t.csv", "a,b\n1,\0\n", 8);
}

static void unequal_lines(void)
{
    write_text("train.en", "one\ntwo\nthree\n");
    write_text("train.de", "eins\nzwei\n");
}

static void no_lines(void)
{
    write_text("train.en", "");
    write_text("train.de", "");
}

static void faces_of_half_points(void)
{
    char table[1000] = "x0,y0,x1\n";
    idx();
    for (int i = 0; i < 40; i++)
        strcat(table, "1,2,3\n");
    write_text("p.csv", table);
}

static void faces_few(void)
{
    idx();
    write_text("p.csv", "x0,y0\n1,2\n");
}

static void faces_of_words(void)
{
    char table[1000] = "x0,y0\n";
    idx();
    for (int i = 0; i < 40; i++)
        strcat(table, i == 4 ? "1,left\n" : "1,2\n");
    write_text("p.csv", table);
}

static void bpe_json(void)
{
    write_text("t.txt", "some text\n");
    write_text("v.json", "{\"model\": {\"type\": \"Unigram\", \"vocab\": {}, \"merges\": []}}");
}

static void vocab_json(void)
{
    write_text("t.txt", "some text\n");
    write_text("v.json", "[\"a\", \"b\",\n 7]");
}

static void vocab_utf8(void)
{
    write_text("t.txt", "some text\n");
    write_text("v.json", "[\"a\", \"b\xff\"]");
}

static void vocab_cut(void)
{
    write_text("t.txt", "some text\n");
    write_text("v.json", "[\"a\", \"b\",\n");
}

/* ---- arrays ---- */

static void npy_not(void) { write_text("x.npy", "not an array at all"); }
static void npy_header(void) { npy("x.npy", "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3), }\n", 24); }
static void npy_type(void) { npy("x.npy", "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }\n", 48); }
static void npy_object(void) { npy("x.npy", "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n", 48); }
static void npy_short(void) { npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 20); }
static void npy_huge(void) { npy("x.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", 8); }
static void npy_scalar(void) { npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4); }

static void npy_unequal(void)
{
    npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
    npy("y.npy", "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }\n", 12);
}

static void npy_label(void)
{
    npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
    npy("y.npy", "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", 4);
    overwrite("y.npy", -4, "\1\0\7\0", 4);
}

/* An archive of one stored array, `x.npy`. */
static void npz(void)
{
    uint8_t zip[600] = "PK\3\4\x14";
    static const char end[] = "PK\5\6\0\0\0\0\1\0\1\0";
    char *array;
    size_t n, at;
    npy_short();
    npy("x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24);
    array = read_text("x.npy", &n);
    const uint32_t sum = lzma_crc32((const uint8_t *)array, n, 0);
    uint8_t *fields = zip + 14;
    memcpy(fields, &sum, 4);
    fields[4] = fields[8] = (uint8_t)n;
    fields[12] = 5;
    memcpy(zip + 30, "x.npy", 5);
    memcpy(zip + 35, array, n);
    at = 35 + n;
    memcpy(zip + at, "PK\1\2\x14\0\x14", 7);
    memcpy(zip + at + 16, fields, 16);
    memcpy(zip + at + 46, "x.npy", 5);
    memcpy(zip + at + 51, end, sizeof end - 1);
    zip[at + 51 + 12] = 51;
    zip[at + 51 + 16] = (uint8_t)at;
    write_bytes("a.npz", zip, at + 51 + 22);
    free(array);
}

static void npz_cut(void)
{
    npz();
    cut("a.npz", 100);
}

static void npz_damaged(void)
{
    npz();
    overwrite("a.npz", 120, "?", 1);
}

/* ---- pictures ---- */

static void png_cut(void)
{
    two_classes();
    png("dog/2.png", 64, 64, PNG_FORMAT_LINEAR_Y);
    cut("dog/2.png", 700);
}

static void png_crc(void)
{
    two_classes();
    overwrite("dog/1.png", -16, "\xff\xff", 2); /* of the pixels' chunk */
}

static void png_header_only(void)
{
    two_classes();
    cut("dog/1.png", 20);
}

static void png_of_text(void)
{
    two_classes();
    write_text("dog/1.png", "no picture");
}

static void jpeg_cut(void)
{
    two_classes();
    jpeg("dog/2.jpg", 8, 8);
    jpeg("dog/3.jpg", 64, 64);
    cut("dog/3.jpg", 900);
}

static void jpeg_head(void)
{
    two_classes();
    jpeg("dog/2.jpg", 8, 8);
    cut("dog/2.jpg", 30);
}

static void bmp_of_jpeg(void)
{
    uint8_t bmp[60] = "BM";
    two_classes();
    bmp[10] = 54, bmp[14] = 40, bmp[18] = bmp[22] = 8, bmp[26] = 1, bmp[28] = 8, bmp[30] = 4;
    write_bytes("dog/1.bmp", bmp, sizeof bmp);
}

static void empty_picture(void)
{
    two_classes();
    cut("dog/1.png", 0);
}

static void another_size(void)
{
    two_classes();
    png("dog/2.png", 9, 8, PNG_FORMAT_GRAY);
}

static void empty_class(void)
{
    two_classes();
    assert_int_equal(mkdir("fox", 0777), 0);
}

static void no_class(void) { assert_int_equal(mkdir("none", 0777), 0); }

static void unknown_class(void)
{
    two_classes();
    write_text("names.txt", "cat\nbird\n");
}

static void mask_size(void)
{
    picture_and_mask();
    png("masks/a.png", 8, 7, PNG_FORMAT_GRAY);
}

static void mask_class(void)
{
    picture_and_mask();
    png("masks/a.png", 8, 8, PNG_FORMAT_LINEAR_Y);
}

static void mask_color(void)
{
    picture_and_mask();
    write_text("classes.txt", "0 void 9 9 9\n1 grass 0 128 0\n");
    png("masks/a.png", 8, 8, PNG_FORMAT_RGB);
}

static void mask_missing(void)
{
    picture_and_mask();
    unlink("masks/a.png");
    png("masks/b.png", 8, 8, PNG_FORMAT_GRAY);
}

static void two_of_a_color(void)
{
    picture_and_mask();
    write_text("classes.txt", "0 void 0 0 0\n1 grass 0 128 0\n2 tree 0 128 0\n");
}

static void one_picture(void) { png("a.png", 8, 8, PNG_FORMAT_GRAY); }

#endif
