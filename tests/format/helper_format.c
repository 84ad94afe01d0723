#define _GNU_SOURCE
#include "helper_format.h"

#include <dirent.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void *counted_alloc(void *user, size_t bytes)
{
    counter *c = user;
    if (++c->calls == c->refuse || bytes > (size_t)1 << 40)
        return NULL;
    c->live++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void counted_free(void *user, void *memory)
{
    ((counter *)user)->live--;
    free(memory);
}

void counting_host(grd_host *host, counter *c)
{
    grd_host_init(host, &(grd_allocator){ counted_alloc, counted_free, c });
}

/* ---- files ---- */

static char folder[64];

const char *temp_dir(void)
{
    if (!*folder) {
        strcpy(folder, "/tmp/gradus-format-XXXXXX");
        if (!mkdtemp(folder))
            abort();
    }
    return folder;
}

int remove_temp_dir(void **state)
{
    (void)state;
    DIR *dir = *folder ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            unlink(in_temp_dir(entry->d_name));
    if (dir) {
        closedir(dir);
        rmdir(folder);
    }
    *folder = 0;
    return 0;
}

char *in_temp_dir(const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", temp_dir(), name);
    return p;
}

void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- trees ---- */

grd_value *sample_tree(grd_arena *a)
{
    static const float f32[24] = { 1.5f, -2, 3e-40f, 1e30f, 0.1f, -0.0f };
    static const double f64[3] = { 0.1, -1e300, 3 };
    static const int64_t i64[2] = { INT64_MIN, 7 }, count = 12345;
    static const int32_t i32[3] = { -1, 0, INT32_MAX };
    static const uint8_t u8[5] = { 0, 1, 127, 128, 255 };
    grd_value *root = grd_value_dict(a), *state = grd_value_ordered(a), *list = grd_value_list(a), *tuple = grd_value_tuple(a);
    grd_value *long_tuple = grd_value_tuple(a), *inner = grd_value_dict(a);
    bool good = true;
#define SET(dict, key, value) good = good && grd_value_set(a, (dict), (key), (value)) == GRD_OK
#define ADD(to, value) good = good && grd_value_append(a, (to), (value)) == GRD_OK
    SET(state, "0.weight", grd_value_tensor(a, GRD_F32, &(grd_shape){ 2, { 4, 6 } }, f32));
    SET(state, "tied.weight", grd_value_tensor(a, GRD_F32, &(grd_shape){ 3, { 2, 3, 4 } }, f32));
    SET(state, "f64", grd_value_tensor(a, GRD_F64, &(grd_shape){ 1, { 3 } }, f64));
    SET(state, "i64", grd_value_tensor(a, GRD_I64, &(grd_shape){ 1, { 2 } }, i64));
    SET(state, "i32", grd_value_tensor(a, GRD_I32, &(grd_shape){ 6, { 1, 1, 3, 1, 1, 1 } }, i32));
    SET(state, "u8", grd_value_tensor(a, GRD_U8, &(grd_shape){ 1, { 5 } }, u8));
    SET(state, "count", grd_value_tensor(a, GRD_I64, &(grd_shape){ 0 }, &count));
    SET(state, "empty", grd_value_tensor(a, GRD_F32, &(grd_shape){ 3, { 2, 0, 5 } }, NULL));
    SET(root, "state_dict", state);
    const int64_t integers[] = {
        0, 255, 256, 65535, 65536, -1, INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1, INT64_MAX, INT64_MIN
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        ADD(list, grd_value_int(a, integers[i]));
    ADD(list, grd_value_list(a));
    ADD(list, grd_value_tuple(a));
    ADD(list, grd_value_dict(a));
    SET(root, "list", list);
    ADD(tuple, grd_value_real(a, 0.9));
    ADD(tuple, grd_value_real(a, -1e-300));
    SET(root, "betas", tuple);
    for (int i = 0; i < 5; i++)
        ADD(long_tuple, grd_value_bool(a, i % 2));
    SET(root, "flags", long_tuple);
    good = good && grd_value_set_int(a, inner, 0, grd_value_none(a)) == GRD_OK;
    good = good &&
           grd_value_set_int(a, inner, -70000, grd_value_text(a, "h\xc3\xa4\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80")) == GRD_OK;
    SET(root, "state", inner);
    SET(root, "empty text", grd_value_text(a, ""));
    SET(root, "text with a zero", grd_value_bytes(a, "a\0b", 3));
#undef SET
#undef ADD
    return good ? root : NULL;
}

void *tree_bytes(grd_host *host, const grd_value *root, size_t *size)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    OK(host, grd_pth_write_file(host, "tree", file, root));
    *size = (size_t)ftell(file);
    void *bytes = grd_alloc(host, *size + 1);
    rewind(file);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* ---- zip ---- */

void zip_start(zip_maker *zip, grd_host *host)
{
    *zip = (zip_maker){ 0 };
    grd_bytes_init(&zip->out, host);
    grd_bytes_init(&zip->directory, host);
}

static void zip_header(grd_bytes *b, bool deflated, uint32_t crc, size_t packed, size_t size, size_t name)
{
    grd_bytes_number(b, 20, 2);
    grd_bytes_number(b, 0, 2);
    grd_bytes_number(b, deflated ? 8 : 0, 2);
    grd_bytes_number(b, 0, 4);
    grd_bytes_number(b, crc, 4);
    grd_bytes_number(b, packed, 4);
    grd_bytes_number(b, size, 4);
    grd_bytes_number(b, name, 2);
    grd_bytes_number(b, 0, 2);
}

void zip_put(zip_maker *zip, const char *name, const void *data, size_t size)
{
    uint32_t crc = (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)size);
    uLong room = compressBound(size) + 64;
    uint8_t *packed = malloc(room);
    size_t packed_size = size;
    if (zip->deflate) {
        z_stream s = { .next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = packed, .avail_out = (uInt)room };
        deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        packed_size = s.total_out;
        deflateEnd(&s);
    } else {
        memcpy(packed, data, size);
    }
    size_t offset = zip->out.size;
    grd_bytes_number(&zip->out, 0x04034b50, 4);
    zip_header(&zip->out, zip->deflate, crc, packed_size, size, strlen(name));
    grd_bytes_text(&zip->out, name);
    grd_bytes_put(&zip->out, packed, packed_size);
    free(packed);
    grd_bytes_number(&zip->directory, 0x02014b50, 4);
    grd_bytes_number(&zip->directory, 20, 2);
    zip_header(&zip->directory, zip->deflate, crc, packed_size, size, strlen(name));
    grd_bytes_zeros(&zip->directory, 10);
    grd_bytes_number(&zip->directory, offset, 4);
    grd_bytes_text(&zip->directory, name);
    zip->entries++;
}

void zip_finish(zip_maker *zip)
{
    size_t offset = zip->out.size;
    grd_bytes_put(&zip->out, zip->directory.data, zip->directory.size);
    grd_bytes_number(&zip->out, 0x06054b50, 4);
    grd_bytes_zeros(&zip->out, 4);
    grd_bytes_number(&zip->out, (uint64_t)zip->entries, 2);
    grd_bytes_number(&zip->out, (uint64_t)zip->entries, 2);
    grd_bytes_number(&zip->out, zip->directory.size, 4);
    grd_bytes_number(&zip->out, offset, 4);
    grd_bytes_zeros(&zip->out, 2);
    grd_bytes_free(&zip->directory);
}

void zip_pth(zip_maker *zip, grd_host *host, const char *pickle, size_t pickle_size, const void *storage, size_t storage_size)
{
    zip_start(zip, host);
    zip_put(zip, "x/data.pkl", pickle, pickle_size);
    if (storage)
        zip_put(zip, "x/data/0", storage, storage_size);
    zip_put(zip, "x/version", "3\n", 2);
    zip_finish(zip);
}

/* ---- packed bytes, and real data ---- */

void *pack_gzip(const void *bytes, size_t size, size_t *packed)
{
    size_t room = compressBound(size) + 64;
    void *out = malloc(room);
    z_stream s = { .next_in = (Bytef *)bytes, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room };
    deflateInit2(&s, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    *packed = s.total_out;
    deflateEnd(&s);
    return out;
}

void *pack_xz(const void *bytes, size_t size, size_t *packed)
{
    size_t room = lzma_stream_buffer_bound(size);
    void *out = malloc(room);
    *packed = 0;
    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, bytes, size, out, packed, room), LZMA_OK);
    return out;
}

const char *real_file(const char *name)
{
    static char path[1024];
    const char *base = getenv("GRADUS_DATA");
    snprintf(path, sizeof path, "%s/%s", base && *base ? base : GRD_SOURCE_DIR "/../shared/data", name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is not there\n", path);
    return NULL;
}

/* ---- Python ---- */

bool python_has(const char *module)
{
    const char *name = getenv("GRADUS_PYTHON");
    char command[1024];
    snprintf(command, sizeof command, "'%s' -c 'import %s' 2>/dev/null", name ? name : "", module);
    return name && system(command) == 0;
}

void run_python(const char *script, const char *argument)
{
    char command[2048];
    const char *path = in_temp_dir("oracle.py");
    put_file(path, script, strlen(script));
    snprintf(command, sizeof command, "'%s' -W ignore '%s' '%s'", getenv("GRADUS_PYTHON"), path, argument);
    if (system(command) != 0)
        fail_msg("the script failed:\n%s", script);
}
