#define _GNU_SOURCE
#include "helper_data.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static void *count_alloc(void *user, size_t size)
{
    counter *c = user;
    if (++c->calls == c->refuse)
        return NULL;
    void *memory = size < SIZE_MAX / 2 ? aligned_alloc(64, (size + 63) / 64 * 64) : NULL;
    c->live += memory != NULL;
    return memory;
}

static void count_free(void *user, void *memory)
{
    ((counter *)user)->live -= memory != NULL;
    free(memory);
}

grd_allocator counting(counter *c) { return (grd_allocator){ count_alloc, count_free, c }; }

/* ---- files ---- */

bytes idx_bytes(int rank, const int64_t *dim, int modulus)
{
    size_t n = 1, head = 4 + 4 * (size_t)rank;
    for (int k = 0; k < rank; k++)
        n *= (size_t)dim[k];
    bytes b = { calloc(head + n, 1), head + n };
    b.data[2] = 8;
    b.data[3] = (uint8_t)rank;
    for (int k = 0; k < rank; k++)
        for (int j = 0; j < 4; j++)
            b.data[4 + 4 * k + j] = (uint8_t)(dim[k] >> (24 - 8 * j));
    for (size_t i = 0; i < n; i++)
        b.data[head + i] = (uint8_t)(i % (size_t)modulus);
    return b;
}

bytes gzipped(bytes plain)
{
    bytes b = { malloc(plain.size + 1000), plain.size + 1000 };
    z_stream z = { 0 };
    deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    z.next_in = plain.data;
    z.avail_in = (uInt)plain.size;
    z.next_out = b.data;
    z.avail_out = (uInt)b.size;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.size = z.total_out;
    deflateEnd(&z);
    return b;
}

void put(const char *dir, const char *name, bytes b, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(size <= b.size);
    assert_int_equal(fwrite(b.data, 1, size, f), size);
    fclose(f);
}

void put_idx_pair(const char *dir, int64_t n, const char *end)
{
    char name[64];
    bool gz = strcmp(end, ".gz") == 0;
    bytes plain[2] = { idx_bytes(3, (int64_t[]){ n, 4, 3 }, 251), idx_bytes(1, &n, 10) };
    for (int k = 0; k < 2; k++) {
        bytes b = gz ? gzipped(plain[k]) : plain[k];
        snprintf(name, sizeof name, "train-%s-ubyte%s", k ? "labels-idx1" : "images-idx3", end);
        put(dir, name, b, b.size);
        free(plain[k].data);
        if (gz)
            free(b.data);
    }
}

const char *temp_dir(void)
{
    static char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/gradus-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

void remove_dir(const char *dir) { nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

const char *real_dir(const char *name, const char *file)
{
    static char path[1024];
    char full[1200];
    const char *base = getenv("GRADUS_DATA");
    if (name[0] == '/')
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "%s/%s", base && *base ? base : GRD_SOURCE_DIR "/../shared/data", name);
    snprintf(full, sizeof full, "%s/%s", path, file);
    if (access(full, R_OK) == 0)
        return path;
    fprintf(stderr, "skipped: %s is not there\n", full);
    return NULL;
}

/* ---- a user's source ---- */

typedef struct flaky_opts {
    int64_t n, bad, slow;
} flaky_opts;

static grd_status flaky_open(void **state, const void *options, grd_ctx *ctx)
{
    if (((const flaky_opts *)options)->n == 13)
        return grd_source_fail(ctx, GRD_ERR_DATA, "n: 13 brings bad luck");
    flaky_opts *s = malloc(sizeof *s);
    if (!s)
        return grd_source_fail(ctx, GRD_ERR_MEMORY, "out of memory");
    *s = *(const flaky_opts *)options;
    *state = s;
    return GRD_OK;
}

static int64_t flaky_length(const void *state) { return ((const flaky_opts *)state)->n; }

static int flaky_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max >= 3) {
        out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 3 } } };
        out[1] = (grd_field){ .name = "tag", .dtype = GRD_U8 };
        out[2] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = 3, .classes = 4 };
    }
    return 3;
}

static grd_status flaky_get(const void *state, int64_t i, grd_sample *out)
{
    const flaky_opts *s = state;
    if (s->slow) {
        grd_key key = { 99, 0, 0 };
        uint32_t word[4];
        grd_random4(&key, (uint64_t)i, 0, word);
        nanosleep(&(struct timespec){ 0, (long)(word[0] % (uint32_t)(s->slow * 1000)) }, NULL);
    }
    if (s->bad && i % s->bad == s->bad - 1)
        return grd_sample_fail(out, GRD_ERR_DATA, "flaky.bin: record %lld: found rubbish", (long long)i);
    for (int k = 0; k < 3; k++)
        ((float *)out->data[0])[k] = (float)(10 * i + k);
    *(uint8_t *)out->data[1] = (uint8_t)(i % 251);
    *(int32_t *)out->data[2] = (int32_t)(i % 4);
    return GRD_OK;
}

static const grd_option flaky_table[] = {
    GRD_INT(flaky_opts, n, 100, 1, 1e9, "number of samples"),
    GRD_INT(flaky_opts, bad, 0, 0, 1e9, "every bad-th sample cannot be read; 0 = none"),
    GRD_INT(flaky_opts, slow, 0, 0, 1e6, "microseconds a sample takes, at random up to this"),
    GRD_END,
};

const grd_source flaky_source = {
    .name = "flaky",
    .doc = "A source of the tests.",
    .options = flaky_table,
    .options_size = sizeof(flaky_opts),
    .open = flaky_open,
    .length = flaky_length,
    .fields = flaky_fields,
    .get = flaky_get,
    .close = free,
};
