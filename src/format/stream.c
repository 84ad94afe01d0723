/* Streams: an input (file or memory) in pieces, and a decoder between it and the reader. */
#define _POSIX_C_SOURCE 200809L /* fileno */
#include "format/stream.h"

#include "base/parallel.h"

#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { PIECE = 1 << 16 };
static const uint64_t xz_memory = (uint64_t)192 << 20; /* xz -9 takes 65 MB to unpack */
static const size_t xz_large = (size_t)16 << 20; /* files from here on are unpacked by threads, if they came in blocks */

typedef enum coding { PLAIN, GZIP, XZ } coding;

struct grd_stream {
    grd_host *host;
    char *name;
    FILE *file;            /* NULL: all input is in next, left */
    const uint8_t *next;   /* input not yet used */
    size_t left;
    uint64_t file_size;
    coding coding;
    bool ended;            /* the decoder has seen the end and compared its checksum */
    z_stream gz;
    lzma_stream xz;
    lzma_allocator xz_allocator;
    uint8_t piece[PIECE];  /* of the file */
};

static void *zlib_alloc(void *host, unsigned n, unsigned size) { return grd_alloc_raw(host, (size_t)n * size); }
static void zlib_free(void *host, void *memory) { grd_free(host, memory); }

/* May be called from liblzma's threads, so it leaves no message in the host. */
static void *lzma_alloc(void *opaque, size_t n, size_t size)
{
    const grd_allocator *mem = opaque;
    return size && n > SIZE_MAX / size ? NULL : mem->alloc(mem->user, n * size);
}

static void lzma_give_back(void *opaque, void *memory)
{
    const grd_allocator *mem = opaque;
    if (memory)
        mem->free(mem->user, memory);
}

/* ---- input ---- */

/* Afterwards `left` is 0 only at the end of the input. */
static grd_status fill(grd_stream *s)
{
    if (s->left || !s->file)
        return GRD_OK;
    s->next = s->piece;
    s->left = fread(s->piece, 1, PIECE, s->file);
    if (!s->left && ferror(s->file))
        return grd_fail(s->host, GRD_ERR_IO, "%s: cannot read: %s", s->name, strerror(errno));
    return GRD_OK;
}

static size_t take_plain(grd_stream *s, uint8_t *out, size_t want)
{
    size_t n = want < s->left ? want : s->left;
    if (out && n)
        memcpy(out, s->next, n);
    s->next += n;
    s->left -= n;
    return n;
}

/* ---- decoders: each makes some progress on next, left and out, or fails ---- */

static grd_status cut_off(const grd_stream *s, const char *format)
{
    return grd_fail(s->host, GRD_ERR_FORMAT, "%s: the %s stream ends early: the file was cut off", s->name, format);
}

/* gzip files may be joined: another one may follow the end of one, and nothing else. */
static grd_status next_member(grd_stream *s)
{
    GRD_TRY(fill(s));
    s->ended = s->left == 0;
    if (s->ended)
        return GRD_OK;
    if (s->next[0] != 0x1f)
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: other bytes after the end of the gzip stream", s->name);
    return inflateReset(&s->gz) == Z_OK ? GRD_OK : grd_fail(s->host, GRD_ERR_FORMAT, "%s: bad gzip", s->name);
}

static grd_status run_gzip(grd_stream *s, uint8_t *out, size_t want, size_t *got)
{
    const size_t most = 1u << 30; /* zlib counts in unsigned int */
    size_t feed = s->left < most ? s->left : most, room = want < most ? want : most;
    s->gz.next_in = (Bytef *)s->next; /* zlib does not write to it */
    s->gz.avail_in = (uInt)feed;
    s->gz.next_out = out;
    s->gz.avail_out = (uInt)room;
    int result = inflate(&s->gz, Z_NO_FLUSH);
    s->next += feed - s->gz.avail_in;
    s->left -= feed - s->gz.avail_in;
    *got = room - s->gz.avail_out;
    switch (result) {
    case Z_OK:
        return GRD_OK;
    case Z_STREAM_END:
        return next_member(s);
    case Z_BUF_ERROR:
        return cut_off(s, "gzip");
    case Z_MEM_ERROR:
        return grd_fail_in(s->host, "%s: ", s->name);
    default:
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: bad gzip: %s", s->name, s->gz.msg ? s->gz.msg : "not a gzip stream");
    }
}

static grd_status run_xz(grd_stream *s, uint8_t *out, size_t want, size_t *got)
{
    s->xz.next_in = s->next;
    s->xz.avail_in = s->left;
    s->xz.next_out = out;
    s->xz.avail_out = want;
    lzma_ret result = lzma_code(&s->xz, s->left ? LZMA_RUN : LZMA_FINISH);
    s->next = s->xz.next_in;
    s->left = s->xz.avail_in;
    *got = want - s->xz.avail_out;
    switch (result) {
    case LZMA_OK:
        return GRD_OK;
    case LZMA_STREAM_END:
        s->ended = true;
        return GRD_OK;
    case LZMA_BUF_ERROR:
        return cut_off(s, "xz");
    case LZMA_MEM_ERROR:
        return grd_fail(s->host, GRD_ERR_MEMORY, "%s: out of memory while unpacking xz", s->name);
    case LZMA_MEMLIMIT_ERROR:
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: unpacking this xz stream takes %llu MB of memory, expected at most %llu",
                        s->name, (unsigned long long)(lzma_memusage(&s->xz) >> 20), (unsigned long long)(xz_memory >> 20));
    case LZMA_OPTIONS_ERROR:
        return grd_fail(s->host, GRD_ERR_UNSUPPORTED, "%s: the xz stream uses a filter that is not known here", s->name);
    default:
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: bad xz: the data are damaged", s->name);
    }
}

grd_status grd_stream_read(grd_stream *s, void *out, size_t want, size_t *got)
{
    uint8_t *to = out;
    for (*got = 0; *got < want && !s->ended;) {
        size_t n = 0;
        if (s->coding == PLAIN && s->file && !s->left && want - *got >= PIECE) { /* large reads need no piece between */
            n = fread(to + *got, 1, want - *got, s->file);
            *got += n;
            if (n)
                continue;
        }
        GRD_TRY(fill(s));
        if (s->coding == PLAIN) {
            s->ended = s->left == 0;
            n = take_plain(s, to + *got, want - *got);
        } else if (s->coding == GZIP) {
            GRD_TRY(run_gzip(s, to + *got, want - *got, &n));
        } else {
            GRD_TRY(run_xz(s, to + *got, want - *got, &n));
        }
        *got += n;
    }
    return GRD_OK;
}

grd_status grd_stream_skip(grd_stream *s, uint64_t size, uint64_t *passed)
{
    uint8_t waste[4096];
    *passed = 0;
    while (*passed < size && !s->ended) {
        size_t n;
        if (s->coding == PLAIN) {
            GRD_TRY(fill(s));
            s->ended = s->left == 0;
            n = take_plain(s, NULL, size - *passed < s->left ? (size_t)(size - *passed) : s->left);
        } else {
            GRD_TRY(grd_stream_read(s, waste, size - *passed < sizeof waste ? (size_t)(size - *passed) : sizeof waste, &n));
        }
        *passed += n;
    }
    return GRD_OK;
}

/* ---- opening ---- */

static lzma_ret start_decoder(grd_stream *s)
{
#if LZMA_VERSION >= 50040002 /* 5.4.0 */
    const uint32_t most = 8, cores = (uint32_t)grd_cores();
    lzma_mt threads = { .flags = LZMA_CONCATENATED, .threads = cores < most ? cores : most, .memlimit_stop = xz_memory,
                        .memlimit_threading = xz_memory }; /* fewer threads where they would take more */
    if (s->file_size >= xz_large && cores > 1)
        return lzma_stream_decoder_mt(&s->xz, &threads);
#endif
    return lzma_stream_decoder(&s->xz, xz_memory, LZMA_CONCATENATED);
}

static grd_status start_xz(grd_stream *s)
{
    s->xz_allocator = (lzma_allocator){ lzma_alloc, lzma_give_back, &s->host->mem };
    s->xz = (lzma_stream)LZMA_STREAM_INIT;
    s->xz.allocator = &s->xz_allocator;
    if (start_decoder(s) != LZMA_OK)
        return grd_fail(s->host, GRD_ERR_MEMORY, "%s: out of memory while unpacking xz", s->name);
    s->coding = XZ;
    return GRD_OK;
}

static grd_status start(grd_stream *s)
{
    GRD_TRY(fill(s));
    if (s->left >= 6 && memcmp(s->next, "\xfd" "7zXZ", 6) == 0) /* six bytes with the zero at the end */
        return start_xz(s);
    if (s->left < 2 || s->next[0] != 0x1f || s->next[1] != 0x8b)
        return GRD_OK;
    s->gz.zalloc = zlib_alloc;
    s->gz.zfree = zlib_free;
    s->gz.opaque = s->host;
    const int gzip_only = 16;
    if (inflateInit2(&s->gz, MAX_WBITS + gzip_only) != Z_OK)
        return grd_fail_in(s->host, "%s: ", s->name);
    s->coding = GZIP;
    return GRD_OK;
}

static grd_status make(grd_host *host, const char *name, grd_stream **stream)
{
    *stream = NULL;
    grd_stream *s = grd_alloc_raw(host, sizeof *s);
    if (!s)
        return GRD_ERR_MEMORY;
    memset(s, 0, offsetof(grd_stream, piece));
    s->host = host;
    s->name = grd_strdup(host, name);
    if (!s->name) {
        grd_free(host, s);
        return GRD_ERR_MEMORY;
    }
    *stream = s;
    return GRD_OK;
}

static grd_status started(grd_stream **stream)
{
    grd_status status = start(*stream);
    if (status != GRD_OK) {
        grd_stream_close(*stream);
        *stream = NULL;
    }
    return status;
}

grd_status grd_stream_memory(grd_host *host, const char *name, const void *bytes, size_t size, grd_stream **stream)
{
    GRD_TRY(make(host, name, stream));
    (*stream)->next = bytes;
    (*stream)->left = size;
    (*stream)->file_size = size;
    return started(stream);
}

grd_status grd_stream_open(grd_host *host, const char *path, grd_stream **stream)
{
    struct stat info;
    GRD_TRY(make(host, path, stream));
    grd_stream *s = *stream;
    s->file = fopen(path, "rb");
    grd_status status = GRD_OK;
    if (!s->file)
        status = grd_fail(host, GRD_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    else if (fstat(fileno(s->file), &info) != 0 || S_ISDIR(info.st_mode))
        status = grd_fail(host, GRD_ERR_IO, "%s: not a file", path);
    if (status != GRD_OK) {
        grd_stream_close(s);
        *stream = NULL;
        return status;
    }
    s->file_size = (uint64_t)info.st_size;
    setvbuf(s->file, NULL, _IONBF, 0); /* pieces are large enough */
    return started(stream);
}

void grd_stream_close(grd_stream *s)
{
    if (!s)
        return;
    if (s->coding == GZIP)
        inflateEnd(&s->gz);
    if (s->coding == XZ)
        lzma_end(&s->xz);
    if (s->file)
        fclose(s->file);
    grd_free(s->host, s->name);
    grd_free(s->host, s);
}

const char *grd_stream_name(const grd_stream *s)
{
    return s->name;
}

/* ---- all of it ---- */

static grd_status enlarge(grd_stream *s, uint8_t **bytes, size_t used, size_t *room, size_t wanted)
{
    uint8_t *larger = grd_alloc_raw(s->host, wanted);
    if (!larger)
        return grd_fail_in(s->host, "%s: ", s->name);
    if (used)
        memcpy(larger, *bytes, used);
    grd_free(s->host, *bytes);
    *bytes = larger;
    *room = wanted;
    return GRD_OK;
}

static grd_status read_all(grd_stream *s, size_t max_bytes, uint8_t **bytes, size_t *size)
{
    const uint64_t first = s->coding == PLAIN ? s->file_size : s->file_size < (64u << 20) ? 4 * s->file_size : s->file_size;
    size_t room = 0;
    if (first > SIZE_MAX / 4)
        return grd_fail(s->host, GRD_ERR_MEMORY, "%s: too large for this machine's memory", s->name);
    GRD_TRY(enlarge(s, bytes, 0, &room, (size_t)first + 4096));
    for (;;) {
        size_t got;
        GRD_TRY(grd_stream_read(s, *bytes + *size, room - *size - 1, &got));
        *size += got;
        if (max_bytes && *size > max_bytes)
            return grd_fail(s->host, GRD_ERR_FORMAT, "%s: more than %zu bytes, which is the limit", s->name, max_bytes);
        if (*size < room - 1)
            break;
        GRD_TRY(enlarge(s, bytes, *size, &room, room + room / 2));
    }
    (*bytes)[*size] = 0;
    return GRD_OK;
}

grd_status grd_stream_all(grd_stream *s, size_t max_bytes, void **bytes, size_t *size)
{
    uint8_t *all = NULL;
    *bytes = NULL;
    *size = 0;
    grd_status status = read_all(s, max_bytes, &all, size);
    if (status != GRD_OK) {
        grd_free(s->host, all);
        *size = 0;
        return status;
    }
    *bytes = all;
    return GRD_OK;
}
