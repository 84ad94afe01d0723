/* Valid files for libFuzzer to begin with: seeds FOLDER makes FOLDER/NAME/ for each target fuzz_NAME. */
#define _POSIX_C_SOURCE 200809L
#include "../format/helper_image.h"
#include "../format/helper_tar.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder;

/* A file of `target`, numbered, of up to three pieces; the first bytes and the last one choose the target's ways. */
static void seed(const char *target, const char *head, size_t head_size, const void *data, size_t size, int last)
{
    static int number;
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%03d", folder, target, number++);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(head, 1, head_size, file) != head_size || fwrite(data, 1, size, file) != size ||
        (last >= 0 && fputc(last, file) == EOF) || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void idx_seeds(void)
{
    static const char images[] = "\0\0\x08\3\0\0\0\2\0\0\0\2\0\0\0\3abcdefghijkl", labels[] = "\0\0\x08\1\0\0\0\3\1\2\3";
    size_t n;
    seed("idx", "\1", 1, images, sizeof images - 1, -1);
    seed("idx", "\0", 1, labels, sizeof labels - 1, -1);
    void *packed = pack_gzip(images, sizeof images - 1, &n);
    seed("idx", "\1", 1, packed, n, -1);
    free(packed);
}

static void csv_seeds(void)
{
    static const char *const tables[] = { "a,b;c\n\"1,\"\"2\",x;#\r\n3,NA;2024-01-31\n-1.5e3, y ;\n", "x;y\n1,5;2\n3;4,25\n",
                                          "a\tb\n1\t2\n# no\n3\t4\n", "date,n\n2024-02-29,1\n2024-03-01,\n", "\xef\xbb\xbf_,b\n1,2\n" };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char options[] = { 0, 16, 32, 8, 7 };
        seed("csv", options + i, 1, tables[i], strlen(tables[i]), -1);
        size_t n;
        void *packed = i % 2 ? pack_gzip(tables[i], strlen(tables[i]), &n) : pack_xz(tables[i], strlen(tables[i]), &n);
        seed("csv", "\0", 1, packed, n, -1);
        free(packed);
    }
}

static void image_seeds(void)
{
    enum { W = 20, H = 12 };
    static uint8_t rows[W * H * 8];
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = (uint8_t)(i / 7 * (i % 4 + 1));
    static const uint8_t runs[] = { 9, 1, 0, 4, 3, 2, 1, 0, 7, 2, 0, 0, 0, 2, 2, 1, 1, 2, 0, 1 };
    static const uint32_t masks[] = { 0xf800, 0x7e0, 0x1f };
    picture_bytes files[] = {
        png_file(W, H, PNG_COLOR_TYPE_RGB, 8, false, true, rows),
        png_file(W, H, PNG_COLOR_TYPE_PALETTE, 4, true, true, rows),
        png_file(W, H, PNG_COLOR_TYPE_GRAY, 1, false, false, rows),
        png_file(W, H, PNG_COLOR_TYPE_GRAY_ALPHA, 16, false, false, rows),
        jpeg_file(W, H, 3, false, 6, false, rows),
        jpeg_file(W, H, 1, true, 0, false, rows),
        jpeg_file(W, H, 4, false, 3, true, rows),
        bmp_file(&(bmp_kind){ .header = 40, .width = W, .height = H, .bits = 24, .pixels = rows, .size = W * H * 3 }),
        bmp_file(&(bmp_kind){ .header = 108, .width = W, .height = -H, .bits = 16, .compression = 3, .masks = masks, .n_masks = 3,
                              .pixels = rows, .size = W * H * 2 }),
        bmp_file(&(bmp_kind){ .header = 40, .width = W, .height = H, .bits = 8, .compression = 1, .palette = rows, .n_colors = 16,
                              .pixels = runs, .size = sizeof runs }),
        bmp_file(&(bmp_kind){ .header = 40, .width = W, .height = H, .bits = 4, .compression = 2, .palette = rows, .n_colors = 16,
                              .pixels = runs, .size = sizeof runs }),
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        static const int choices[] = { 64, 64 + 2 + 8 + 16, 64 + 4 };
        for (size_t k = 0; k < sizeof choices / sizeof *choices; k++)
            seed("image", "", 0, files[i].data, files[i].size, choices[k]);
        free(files[i].data);
    }
}

static void npy_seeds(grd_host *host)
{
    static const char *const heads[] = { "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), } \n",
                                         "{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }     \n",
                                         "{'descr': '|b1', 'fortran_order': False, 'shape': (), }       \n" };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char array[200];
        zip_maker zip;
        size_t n = strlen(heads[i]);
        memcpy(array, "\x93NUMPY\1\0", 8);
        array[8] = (char)n;
        array[9] = 0;
        memcpy(array + 10, heads[i], n);
        memset(array + 10 + n, 1, 12);
        seed("npy", "\0", 1, array, 22 + n, -1);
        zip_start(&zip, host);
        zip.deflate = i == 1;
        zip_put(&zip, "a.npy", array, 22 + n);
        zip_finish(&zip);
        seed("npy", "\1", 1, zip.out.data, zip.out.size, -1);
        grd_bytes_free(&zip.out);
    }
}

static void tar_seeds(grd_host *host)
{
    grd_bytes b;
    size_t n;
    grd_bytes_init(&b, host);
    tar_put(&b, "x", 'x', "16 path=long/one\n16 comment=abcd\n", 33);
    tar_put(&b, "a", '0', "hello", 5);
    tar_put(&b, "L", 'L', "another", 7);
    tar_put(&b, "b/", '5', "", 0);
    tar_end(&b);
    seed("tar", "\1", 1, b.data, b.size, -1);
    void *packed = pack_gzip(b.data, b.size, &n);
    seed("tar", "\0", 1, packed, n, -1);
    free(packed);
    packed = pack_xz(b.data, b.size, &n);
    seed("tar", "\0", 1, packed, n, -1);
    free(packed);
    grd_bytes_free(&b);
}

/* A tokenizer of 256 bytes and one merge, written by hand: each byte under the code point that stands for it. */
static void bpe_seeds(grd_host *host)
{
    static const char text[] = "low lower lowest  low\n\n don't 12 \xc3\xa4 \xf0\x9f\x98\x80 aaaaaaaa";
    grd_bytes b;
    seed("bpe", "\0", 1, text, sizeof text - 1, -1);
    grd_bytes_init(&b, host);
    grd_bytes_text(&b, "{\"added_tokens\": [{\"id\": 257, \"content\": \"<eos>\", \"special\": true}], \"pre_tokenizer\": {\"type\": "
                       "\"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}, \"decoder\": "
                       "{\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int i = 0, next = 256; i < 256; i++) {
        char entry[40];
        bool printable = (i > 32 && i < 127) || (i > 160 && i != 173);
        snprintf(entry, sizeof entry, "\"\\u%04x\": %d, ", (unsigned)(printable ? i : next), i);
        next += !printable;
        grd_bytes_text(&b, entry);
    }
    grd_bytes_text(&b, "\"lo\": 256, \"<eos>\": 257}, \"merges\": [\"l o\"]}}");
    seed("bpe", "\1", 1, b.data, b.size, -1);
    grd_bytes_free(&b);
}

static void list_seeds(void)
{
    static const char list[] = "# one\na b/c.png 3\nb\t7 4.5\n\nc,1,2,-1e3\r\nd cat 5 6";
    static const char names[] = "0 void 0 0 0\n1 building 128 0 0\n2 green grass 0 128 0\n";
    for (char way = 0; way < 48; way++)
        seed("file_list", &way, 1, list, sizeof list - 1, -1);
    seed("file_list", "@", 1, names, sizeof names - 1, -1);
}

static void pth_seeds(grd_host *host)
{
    static const char pickle[] = "\x80\x02}q\0U\1aq\1K\2s.";
    grd_arena arena;
    size_t size;
    grd_arena_init(&arena, host);
    uint8_t *file = tree_bytes(host, sample_tree(&arena), &size);
    seed("pth", "\0", 1, file, size, -1);
    seed("pth", "\1", 1, pickle, sizeof pickle - 1, -1);
    grd_free(host, file);
    grd_arena_free(&arena);
}

int main(int argc, char **argv)
{
    grd_host host;
    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    grd_host_init(&host, NULL);
    idx_seeds();
    csv_seeds();
    image_seeds();
    npy_seeds(&host);
    tar_seeds(&host);
    bpe_seeds(&host);
    list_seeds();
    pth_seeds(&host);
    return 0;
}
