/* Reading zip archives from memory. Every offset and size is checked against the file before it is used. */
#include "format/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LOCAL_SIZE = 30, DIRECTORY_SIZE = 46, END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56 };
enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1 };
#define SATURATED 0xFFFFFFFFu

typedef struct directory {
    uint64_t entries, size, offset;
} directory;

static grd_status broken(const grd_zip *zip, const char *what)
{
    return grd_fail(zip->arena->host, GRD_ERR_FORMAT, "%s: broken zip archive: %s", zip->name, what);
}

static grd_status broken_entry(const grd_zip *zip, const grd_zip_entry *entry, const char *what)
{
    char text[GRD_PRINTABLE];
    return grd_fail(zip->arena->host, GRD_ERR_FORMAT, "%s: record \"%s\": %s", zip->name,
                    grd_printable(entry->name, entry->name_size, text), what);
}

/* The end record is the last thing in the file but for its comment. */
static const uint8_t *find_end(const grd_zip *zip)
{
    if (zip->size < END_SIZE)
        return NULL;
    size_t last = zip->size - END_SIZE, first = last > 0xFFFF ? last - 0xFFFF : 0;
    for (size_t at = last + 1; at-- > first;) {
        const uint8_t *end = zip->bytes + at;
        if (grd_little(end, 4) == 0x06054b50 && grd_little(end + 20, 2) == last - at)
            return end;
    }
    return NULL;
}

static grd_status find_directory(const grd_zip *zip, directory *dir)
{
    const uint8_t *end = find_end(zip);
    if (!end)
        return broken(zip, "no end record; the file is cut short");
    *dir = (directory){ grd_little(end + 10, 2), grd_little(end + 12, 4), grd_little(end + 16, 4) };
    size_t limit = (size_t)(end - zip->bytes);
    const uint8_t *locator = limit >= LOCATOR_SIZE ? end - LOCATOR_SIZE : NULL;
    if (locator && grd_little(locator, 4) == 0x07064b50) {
        uint64_t at = grd_little(locator + 8, 8);
        limit -= LOCATOR_SIZE;
        if (at > limit || limit - at < END64_SIZE || grd_little(zip->bytes + at, 4) != 0x06064b50)
            return broken(zip, "the zip64 end record is not where its locator says");
        const uint8_t *end64 = zip->bytes + at;
        *dir = (directory){ grd_little(end64 + 32, 8), grd_little(end64 + 40, 8), grd_little(end64 + 48, 8) };
        limit = (size_t)at;
    }
    if (dir->offset > limit || dir->size > limit - dir->offset)
        return broken(zip, "the directory lies outside the file");
    if (dir->entries > dir->size / DIRECTORY_SIZE)
        return broken(zip, "the directory is shorter than its number of records");
    return GRD_OK;
}

/* Takes from the zip64 extra field the values that did not fit 32 bits. */
static grd_status long_fields(const grd_zip *zip, grd_zip_entry *entry, const uint8_t *extra, size_t size)
{
    uint64_t *wanted[3];
    int n = 0;
    if (entry->size == SATURATED)
        wanted[n++] = &entry->size;
    if (entry->packed == SATURATED)
        wanted[n++] = &entry->packed;
    if (entry->offset == SATURATED)
        wanted[n++] = &entry->offset;
    while (n && size >= 4) {
        size_t length = (size_t)grd_little(extra + 2, 2);
        if (length > size - 4)
            return broken_entry(zip, entry, "its extra field is too long");
        if (grd_little(extra, 2) == 1) {
            if (length < (size_t)n * 8)
                return broken_entry(zip, entry, "its zip64 field is too short");
            for (int i = 0; i < n; i++)
                *wanted[i] = grd_little(extra + 4 + 8 * i, 8);
            return GRD_OK;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return GRD_OK;
}

static grd_status read_entry(const grd_zip *zip, grd_zip_entry *entry, const uint8_t **at, size_t *left)
{
    const uint8_t *d = *at;
    if (*left < DIRECTORY_SIZE || grd_little(d, 4) != 0x02014b50)
        return broken(zip, "a directory entry has the wrong signature");
    size_t name = (size_t)grd_little(d + 28, 2), extra = (size_t)grd_little(d + 30, 2), comment = (size_t)grd_little(d + 32, 2);
    if (name + extra + comment > *left - DIRECTORY_SIZE)
        return broken(zip, "a directory entry is cut short");
    *entry = (grd_zip_entry){ .name = (const char *)d + DIRECTORY_SIZE, .name_size = name,
                              .flags = (unsigned)grd_little(d + 8, 2), .method = (unsigned)grd_little(d + 10, 2),
                              .crc = (uint32_t)grd_little(d + 16, 4), .packed = grd_little(d + 20, 4),
                              .size = grd_little(d + 24, 4), .offset = grd_little(d + 42, 4) };
    *at += DIRECTORY_SIZE + name + extra + comment;
    *left -= DIRECTORY_SIZE + name + extra + comment;
    return long_fields(zip, entry, d + DIRECTORY_SIZE + name, extra);
}

static int compare_names(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

static int by_name(const void *a, const void *b)
{
    const grd_zip_entry *x = a, *y = b;
    return compare_names(x->name, x->name_size, y->name, y->name_size);
}

grd_status grd_zip_open(grd_zip *zip, grd_arena *arena, const char *name, const uint8_t *bytes, size_t size, uint64_t *budget)
{
    *zip = (grd_zip){ .arena = arena, .name = name, .bytes = bytes, .size = size, .budget = budget };
    directory dir = { 0 };
    GRD_TRY(find_directory(zip, &dir));
    zip->entry = grd_arena_alloc(arena, (size_t)(dir.entries + 1) * sizeof *zip->entry);
    if (!zip->entry)
        return GRD_ERR_MEMORY;
    const uint8_t *at = bytes + dir.offset;
    size_t left = (size_t)dir.size;
    for (; zip->n < dir.entries; zip->n++)
        GRD_TRY(read_entry(zip, &zip->entry[zip->n], &at, &left));
    qsort(zip->entry, zip->n, sizeof *zip->entry, by_name);
    for (size_t i = 1; i < zip->n; i++)
        if (by_name(&zip->entry[i - 1], &zip->entry[i]) == 0)
            return broken_entry(zip, &zip->entry[i], "is there twice");
    return GRD_OK;
}

grd_zip_entry *grd_zip_find(const grd_zip *zip, const char *name, size_t name_size)
{
    grd_zip_entry key = { .name = name, .name_size = name_size };
    return zip->n ? bsearch(&key, zip->entry, zip->n, sizeof *zip->entry, by_name) : NULL;
}

/* Where the packed bytes begin, by the local header. */
static grd_status packed_bytes(const grd_zip *zip, const grd_zip_entry *entry, const uint8_t **packed)
{
    if (entry->offset > zip->size || zip->size - entry->offset < LOCAL_SIZE ||
        grd_little(zip->bytes + entry->offset, 4) != 0x04034b50)
        return broken_entry(zip, entry, "is not where the directory says");
    const uint8_t *header = zip->bytes + entry->offset;
    size_t left = zip->size - (size_t)entry->offset - LOCAL_SIZE;
    size_t name = (size_t)grd_little(header + 26, 2), extra = (size_t)grd_little(header + 28, 2);
    if (name + extra > left || entry->packed > left - name - extra)
        return broken_entry(zip, entry, "reaches past the end of the file");
    *packed = header + LOCAL_SIZE + name + extra;
    return GRD_OK;
}

static void *zlib_alloc(void *host, unsigned items, unsigned size)
{
    return grd_alloc(host, (size_t)items * size);
}

static void zlib_free(void *host, void *memory)
{
    grd_free(host, memory);
}

static grd_status inflate_all(grd_host *host, const uint8_t *packed, size_t packed_size, uint8_t *out, size_t size)
{
    z_stream stream = { .next_in = (Bytef *)packed, .zalloc = zlib_alloc, .zfree = zlib_free, .opaque = host };
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return GRD_ERR_MEMORY;
    const size_t piece = 1u << 30; /* zlib counts in 32 bits */
    size_t in_left = packed_size, out_left = size;
    stream.next_out = out;
    int result = Z_OK;
    while (result == Z_OK) {
        stream.avail_in = (uInt)(in_left < piece ? in_left : piece);
        stream.avail_out = (uInt)(out_left < piece ? out_left : piece);
        uInt in_before = stream.avail_in, out_before = stream.avail_out;
        result = inflate(&stream, Z_NO_FLUSH);
        in_left -= in_before - stream.avail_in;
        out_left -= out_before - stream.avail_out;
    }
    inflateEnd(&stream);
    if (result == Z_MEM_ERROR)
        return GRD_ERR_MEMORY;
    return result == Z_STREAM_END && out_left == 0 && in_left == 0 ? GRD_OK : GRD_ERR_FORMAT;
}

static grd_status unpack(grd_zip *zip, const grd_zip_entry *entry, const uint8_t *packed, const uint8_t **data)
{
    if (entry->size / 1040 > entry->packed + 1) /* deflate cannot do better than 1032 to 1 */
        return broken_entry(zip, entry, "its size is more than its bytes can unpack to");
    if (entry->size > *zip->budget)
        return broken_entry(zip, entry, "unpacks to far more than the file's size; unpack the archive and store it uncompressed");
    *zip->budget -= entry->size;
    uint8_t *out = grd_arena_alloc(zip->arena, (size_t)entry->size + 1);
    if (!out)
        return GRD_ERR_MEMORY;
    grd_status status = inflate_all(zip->arena->host, packed, (size_t)entry->packed, out, (size_t)entry->size);
    if (status == GRD_ERR_MEMORY)
        return grd_fail(zip->arena->host, GRD_ERR_MEMORY, "%s: out of memory while unpacking", zip->name);
    if (status != GRD_OK)
        return broken_entry(zip, entry, "its deflated bytes are damaged");
    *data = out;
    return GRD_OK;
}

grd_status grd_zip_load(grd_zip *zip, grd_zip_entry *entry)
{
    if (entry->data)
        return GRD_OK;
    const uint8_t *packed = NULL, *data = NULL;
    GRD_TRY(packed_bytes(zip, entry, &packed));
    if (entry->flags & ENCRYPTED)
        return broken_entry(zip, entry, "is encrypted");
    if (entry->method == DEFLATED) {
        GRD_TRY(unpack(zip, entry, packed, &data));
    } else if (entry->method == STORED) {
        if (entry->packed != entry->size)
            return broken_entry(zip, entry, "is stored, but its two sizes differ");
        data = packed;
    } else {
        char what[96];
        snprintf(what, sizeof what, "is compressed by method %u, expected stored (0) or deflated (8)", entry->method);
        return broken_entry(zip, entry, what);
    }
    uint32_t crc = (uint32_t)crc32_z(crc32_z(0, Z_NULL, 0), data, (size_t)entry->size);
    if (crc != entry->crc) {
        char what[96];
        snprintf(what, sizeof what, "its CRC-32 is %08lx, expected %08lx: the file is damaged", (unsigned long)crc,
                 (unsigned long)entry->crc);
        return broken_entry(zip, entry, what);
    }
    entry->data = data;
    return GRD_OK;
}
