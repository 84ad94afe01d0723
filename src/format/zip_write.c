/* Writing stored zip archives. The CRC of a record is taken before its header is written, so the headers are true and no data
 * descriptors are needed. */
#include "format/zip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { LOCAL_SIZE = 30, ALIGNMENT = 64, PADDING_ID = 0x4246 /* "FB", as PyTorch */, ZIP64_ID = 1 };
enum { UTF8_NAME = 0x0800, DOS_EPOCH = 0x0021 /* 1980-01-01 */ };
#define SATURATED 0xFFFFFFFFu

void grd_zip_begin(grd_zip_writer *zip, grd_host *host, const char *name, FILE *file)
{
    *zip = (grd_zip_writer){ .host = host, .name = name, .file = file, .zip64_from = SATURATED };
    grd_bytes_init(&zip->directory, host);
}

void grd_zip_drop(grd_zip_writer *zip)
{
    grd_bytes_free(&zip->directory);
}

static grd_status put(grd_zip_writer *zip, const void *data, size_t size)
{
    if (size && fwrite(data, 1, size, zip->file) != size)
        return grd_fail(zip->host, GRD_ERR_IO, "%s: cannot write: %s", zip->name, strerror(errno));
    zip->offset += size;
    return GRD_OK;
}

static grd_status put_and_free(grd_zip_writer *zip, grd_bytes *bytes)
{
    grd_status status = grd_bytes_status(bytes);
    if (status == GRD_OK)
        status = put(zip, bytes->data, bytes->size);
    grd_bytes_free(bytes);
    return status;
}

/* A 32-bit field, and whether the true value stands in the zip64 extra instead. */
static uint64_t short_form(const grd_zip_writer *zip, uint64_t value)
{
    return value >= zip->zip64_from ? SATURATED : value;
}

/* The fields that a local header and a directory entry share: from "version needed" to "extra length". */
static void common_fields(grd_bytes *b, const grd_zip_writer *zip, const char *entry, uint32_t crc, uint64_t size, size_t extra,
                          bool zip64)
{
    grd_bytes_number(b, zip64 ? 45 : 20, 2);
    grd_bytes_number(b, UTF8_NAME, 2);
    grd_bytes_number(b, 0, 2); /* stored */
    grd_bytes_number(b, 0, 2);
    grd_bytes_number(b, DOS_EPOCH, 2);
    grd_bytes_number(b, crc, 4);
    grd_bytes_number(b, short_form(zip, size), 4);
    grd_bytes_number(b, short_form(zip, size), 4);
    grd_bytes_number(b, strlen(entry), 2);
    grd_bytes_number(b, extra, 2);
}

static grd_status local_header(grd_zip_writer *zip, const char *entry, uint32_t crc, uint64_t size)
{
    bool zip64 = size >= zip->zip64_from;
    size_t zip64_size = zip64 ? 20 : 0;
    uint64_t data = zip->offset + LOCAL_SIZE + strlen(entry) + zip64_size + 4;
    size_t padding = (size_t)((ALIGNMENT - data % ALIGNMENT) % ALIGNMENT);
    grd_bytes b;
    grd_bytes_init(&b, zip->host);
    grd_bytes_number(&b, 0x04034b50, 4);
    common_fields(&b, zip, entry, crc, size, zip64_size + 4 + padding, zip64);
    grd_bytes_text(&b, entry);
    if (zip64) {
        grd_bytes_number(&b, ZIP64_ID, 2);
        grd_bytes_number(&b, 16, 2);
        grd_bytes_number(&b, size, 8);
        grd_bytes_number(&b, size, 8);
    }
    grd_bytes_number(&b, PADDING_ID, 2);
    grd_bytes_number(&b, padding, 2);
    for (size_t i = 0; i < padding; i++)
        grd_bytes_put(&b, "Z", 1);
    return put_and_free(zip, &b);
}

static void directory_entry(grd_zip_writer *zip, const char *entry, uint32_t crc, uint64_t size, uint64_t offset)
{
    bool long_size = size >= zip->zip64_from, long_offset = offset >= zip->zip64_from;
    size_t fields = (long_size ? 16 : 0) + (long_offset ? 8 : 0), extra = fields ? 4 + fields : 0;
    grd_bytes *b = &zip->directory;
    grd_bytes_number(b, 0x02014b50, 4);
    grd_bytes_number(b, extra ? 45 : 20, 2);
    common_fields(b, zip, entry, crc, size, extra, extra != 0);
    grd_bytes_zeros(b, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    grd_bytes_number(b, short_form(zip, offset), 4);
    grd_bytes_text(b, entry);
    if (!extra)
        return;
    grd_bytes_number(b, ZIP64_ID, 2);
    grd_bytes_number(b, fields, 2);
    if (long_size) {
        grd_bytes_number(b, size, 8);
        grd_bytes_number(b, size, 8);
    }
    if (long_offset)
        grd_bytes_number(b, offset, 8);
}

grd_status grd_zip_add(grd_zip_writer *zip, const char *entry, const void *data, uint64_t size)
{
    uint32_t crc = (uint32_t)crc32_z(0, Z_NULL, 0);
    if (size)
        crc = (uint32_t)crc32_z(crc, data, (size_t)size);
    uint64_t offset = zip->offset;
    GRD_TRY(local_header(zip, entry, crc, size));
    GRD_TRY(put(zip, data, (size_t)size));
    directory_entry(zip, entry, crc, size, offset);
    zip->entries++;
    return grd_bytes_status(&zip->directory);
}

static void zip64_end(const grd_zip_writer *zip, grd_bytes *b)
{
    uint64_t size = zip->directory.size;
    grd_bytes_number(b, 0x06064b50, 4);
    grd_bytes_number(b, 56 - 12, 8); /* what follows of this record */
    grd_bytes_number(b, 45, 2);
    grd_bytes_number(b, 45, 2);
    grd_bytes_zeros(b, 4 + 4);
    grd_bytes_number(b, zip->entries, 8);
    grd_bytes_number(b, zip->entries, 8);
    grd_bytes_number(b, size, 8);
    grd_bytes_number(b, zip->offset, 8);
    grd_bytes_number(b, 0x07064b50, 4);
    grd_bytes_zeros(b, 4);
    grd_bytes_number(b, zip->offset + size, 8);
    grd_bytes_number(b, 1, 4);
}

grd_status grd_zip_end(grd_zip_writer *zip)
{
    uint64_t size = zip->directory.size;
    uint64_t entries = zip->entries < 0xFFFF ? zip->entries : 0xFFFF;
    grd_bytes b;
    grd_bytes_init(&b, zip->host);
    if (entries == 0xFFFF || size >= zip->zip64_from || zip->offset >= zip->zip64_from)
        zip64_end(zip, &b);
    grd_bytes_number(&b, 0x06054b50, 4);
    grd_bytes_zeros(&b, 4);
    grd_bytes_number(&b, entries, 2);
    grd_bytes_number(&b, entries, 2);
    grd_bytes_number(&b, short_form(zip, size), 4);
    grd_bytes_number(&b, short_form(zip, zip->offset), 4);
    grd_bytes_zeros(&b, 2);
    grd_status status = put(zip, zip->directory.data, zip->directory.size);
    if (status == GRD_OK)
        return put_and_free(zip, &b);
    grd_bytes_free(&b);
    return status;
}
