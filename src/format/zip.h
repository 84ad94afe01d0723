/* Zip archives: written stored and aligned, read bounded and checked. Knows nothing of what the records mean. */
#ifndef GRD_FORMAT_ZIP_H
#define GRD_FORMAT_ZIP_H

#include "format/bytes.h"

#include <stdio.h>

/* ---- writing ---- */

typedef struct grd_zip_writer {
    grd_host *host;
    const char *name;      /* begins messages */
    FILE *file;
    uint64_t offset;       /* bytes written so far */
    uint64_t entries;
    uint64_t zip64_from;   /* sizes and offsets from here on take 64 bits: 0xFFFFFFFF; tests set less */
    grd_bytes directory;
} grd_zip_writer;

void grd_zip_begin(grd_zip_writer *zip, grd_host *host, const char *name, FILE *file);
/* One stored record; its data starts at a multiple of 64 bytes. */
grd_status grd_zip_add(grd_zip_writer *zip, const char *entry, const void *data, uint64_t size);
grd_status grd_zip_end(grd_zip_writer *zip); /* writes the directory; call grd_zip_drop afterwards all the same */
void grd_zip_drop(grd_zip_writer *zip);

/* ---- reading ---- */

typedef struct grd_zip_entry {
    const char *name;      /* in the archive's bytes, not ended by a zero */
    size_t name_size;
    unsigned method, flags;
    uint32_t crc;
    uint64_t packed, size, offset; /* offset: of the local header */
    const uint8_t *data;   /* NULL until read and checked */
} grd_zip_entry;

typedef struct grd_zip {
    grd_arena *arena;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    grd_zip_entry *entry;  /* sorted by name; names are unique */
    size_t n;
    uint64_t *budget;      /* bytes that may still be allocated for what is unpacked */
} grd_zip;

/* Reads the directory. The bytes must outlive the zip, which lives in the arena. */
grd_status grd_zip_open(grd_zip *zip, grd_arena *arena, const char *name, const uint8_t *bytes, size_t size, uint64_t *budget);
grd_zip_entry *grd_zip_find(const grd_zip *zip, const char *name, size_t name_size); /* NULL if there is none */
/* entry->data: stored records stay where they are, deflated ones go to the arena. The CRC is checked the first time. */
grd_status grd_zip_load(grd_zip *zip, grd_zip_entry *entry);

#endif
