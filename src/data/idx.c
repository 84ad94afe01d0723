/* IDX: two zero bytes, 08 for unsigned bytes, the number of dimensions, each dimension as a big-endian 32-bit word, then
 * the bytes (Y. LeCun, MNIST's page). What the header promises is checked against the size of the input before memory of
 * that size is asked for. */
#include "data/idx.h"

#include "base/file.h"

#include <string.h>
#include <zlib.h>

typedef struct input { /* plain or gzipped bytes, read in turn */
    grd_host *host;
    const char *name;
    const uint8_t *next;
    size_t left;
    bool gz, ended;    /* ended: the gzip stream's own end was seen, its checksum compared */
    z_stream z;
} input;

static void *zlib_alloc(void *host, unsigned n, unsigned size) { return grd_alloc(host, (size_t)n * size); }
static void zlib_free(void *host, void *memory) { grd_free(host, memory); }

static grd_status input_open(input *in, grd_host *host, const char *name, const void *bytes, size_t size)
{
    *in = (input){ .host = host, .name = name, .next = bytes, .left = size };
    if (size < 2 || in->next[0] != 0x1f || in->next[1] != 0x8b)
        return GRD_OK;
    in->gz = true;
    in->z.zalloc = zlib_alloc;
    in->z.zfree = zlib_free;
    in->z.opaque = host;
    const int gzip_only = 16;
    return inflateInit2(&in->z, MAX_WBITS + gzip_only) == Z_OK ? GRD_OK : grd_fail_in(host, "%s: ", name);
}

static void input_close(input *in)
{
    if (in->gz)
        inflateEnd(&in->z);
}

static size_t read_plain(input *in, void *out, size_t want)
{
    size_t n = want < in->left ? want : in->left;
    memcpy(out, in->next, n);
    in->next += n;
    in->left -= n;
    return n;
}

/* Up to `want` bytes; *got is less only where the input ends. */
static grd_status read_some(input *in, void *out, size_t want, size_t *got)
{
    const size_t most = 1u << 30; /* zlib counts in unsigned int */
    if (!in->gz) {
        *got = read_plain(in, out, want);
        return GRD_OK;
    }
    for (*got = 0; *got < want && !in->ended;) {
        size_t room = want - *got < most ? want - *got : most, feed = in->left < most ? in->left : most;
        in->z.next_in = (Bytef *)in->next; /* zlib does not write to it */
        in->z.avail_in = (uInt)feed;
        in->z.next_out = (Bytef *)out + *got;
        in->z.avail_out = (uInt)room;
        int result = inflate(&in->z, Z_NO_FLUSH);
        in->next += feed - in->z.avail_in;
        in->left -= feed - in->z.avail_in;
        *got += room - in->z.avail_out;
        in->ended = result == Z_STREAM_END;
        if (result == Z_MEM_ERROR)
            return grd_fail_in(in->host, "%s: ", in->name);
        if (result == Z_BUF_ERROR)
            return grd_fail(in->host, GRD_ERR_FORMAT, "%s: the gzip stream ends early: the file was cut off", in->name);
        if (result != Z_OK && result != Z_STREAM_END)
            return grd_fail(in->host, GRD_ERR_FORMAT, "%s: bad gzip: %s", in->name, in->z.msg ? in->z.msg : "not a gzip stream");
    }
    return GRD_OK;
}

/* Nothing may follow the array: neither bytes of it, nor bytes after the gzip stream. */
static grd_status expect_end(input *in, const char *promise)
{
    uint8_t extra;
    size_t left = in->left, got;
    GRD_TRY(read_some(in, &extra, 1, &got));
    if (got && !in->gz)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: %zu bytes after the last record; the header says %s", in->name, left,
                        promise);
    if (got)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: more bytes after the last record; the header says %s", in->name, promise);
    if (in->left)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: %zu bytes after the end of the gzip stream", in->name, in->left);
    return GRD_OK;
}

/* ---- header ---- */

static uint32_t big_endian(const uint8_t *b) { return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]; }

static grd_status read_header(input *in, int rank, grd_idx *idx)
{
    uint8_t head[4 + 4 * GRD_IDX_MAX_RANK];
    size_t want = 4 + 4 * (size_t)rank, got;
    GRD_TRY(read_some(in, head, want, &got));
    if (got >= 4 && big_endian(head) != 0x800u + (uint32_t)rank)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: magic number 0x%08x, expected 0x%08x (unsigned bytes, %d dimension%s)",
                        in->name, (unsigned)big_endian(head), 0x800u + (unsigned)rank, rank, rank > 1 ? "s" : "");
    if (got < want)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: %zu bytes, expected a header of %zu", in->name, got, want);
    for (int k = 0; k < rank; k++) {
        idx->dim[k] = big_endian(head + 4 + 4 * k);
        if (idx->dim[k] == 0)
            return grd_fail(in->host, GRD_ERR_FORMAT, "%s: dimension %d of %d is 0", in->name, k + 1, rank);
    }
    return GRD_OK;
}

/* The product of the dimensions, or an error if the rest of the input cannot hold as many bytes. */
static grd_status body_size(const input *in, int rank, const grd_idx *idx, const char *promise, size_t *size)
{
    const size_t gzip_ratio = 1032; /* of deflate, at most; what inflate holds back is far less than the header it has passed */
    size_t limit = !in->gz ? in->left : in->left > (SIZE_MAX >> 12) ? SIZE_MAX : (in->left + 64) * gzip_ratio;
    *size = 1;
    bool fits = true;
    for (int k = 0; k < rank; k++) {
        fits = fits && (uint64_t)idx->dim[k] <= limit / *size;
        *size = fits ? *size * (size_t)idx->dim[k] : *size;
    }
    if (fits)
        return GRD_OK;
    if (in->gz)
        return grd_fail(in->host, GRD_ERR_FORMAT,
                        "%s: the header says %s bytes, more than the %zu bytes of gzip after it can hold", in->name, promise,
                        in->left);
    return grd_fail(in->host, GRD_ERR_FORMAT, "%s: the header says %s bytes, the file holds %zu: it was cut off", in->name,
                    promise, in->left);
}

static grd_status parse(input *in, int rank, grd_idx *idx)
{
    char promise[64];
    size_t size, got;
    GRD_TRY(read_header(in, rank, idx));
    if (rank == 1)
        snprintf(promise, sizeof promise, "%lld", (long long)idx->dim[0]);
    else
        snprintf(promise, sizeof promise, "%lld x %lld x %lld", (long long)idx->dim[0], (long long)idx->dim[1],
                 (long long)idx->dim[2]);
    GRD_TRY(body_size(in, rank, idx, promise, &size));
    idx->bytes = grd_alloc(in->host, size);
    if (!idx->bytes)
        return grd_fail_in(in->host, "%s: ", in->name);
    GRD_TRY(read_some(in, idx->bytes, size, &got));
    if (got < size)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: the header says %s bytes, the file holds %zu: it was cut off", in->name,
                        promise, got);
    return expect_end(in, promise);
}

grd_status grd_idx_parse(grd_host *host, const char *name, const void *bytes, size_t size, int rank, grd_idx *idx)
{
    input in;
    *idx = (grd_idx){ .dim = { 1, 1, 1 } };
    GRD_TRY(input_open(&in, host, name, bytes, size));
    grd_status status = parse(&in, rank, idx);
    input_close(&in);
    if (status != GRD_OK) {
        grd_free(host, idx->bytes);
        idx->bytes = NULL;
    }
    return status;
}

grd_status grd_idx_read(grd_host *host, const char *path, int rank, grd_idx *idx)
{
    void *bytes;
    size_t size;
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_idx_parse(host, path, bytes, size, rank, idx);
    grd_free(host, bytes);
    return status;
}
