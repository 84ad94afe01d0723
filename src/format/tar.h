/* Tar archives read as a stream, plain, gzipped or xz: ustar, GNU's long names, PAX. Nothing is ever unpacked to disk and names
 * are given as they are. Memory is bounded whatever the archive says. */
#ifndef GRD_FORMAT_TAR_H
#define GRD_FORMAT_TAR_H

#include "base/host.h"

typedef struct grd_tar grd_tar;

typedef struct grd_tar_entry {
    const char *name; /* valid until the next call of grd_tar_next */
    char type;        /* 'f' a file, 'd' a folder, 'l' a link of either kind, 'o' other */
    uint64_t size;    /* of its bytes in the archive */
} grd_tar_entry;

/* On failure *tar is NULL. */
grd_status grd_tar_open(grd_host *host, const char *path, grd_tar **tar);
grd_status grd_tar_memory(grd_host *host, const char *name, const void *bytes, size_t size, grd_tar **tar); /* bytes outlive it */
void grd_tar_close(grd_tar *tar); /* NULL is allowed */

/* The next entry, passing over what is left of this one; *more is false at the end, where the checksum of what packs the archive
 * has been compared. A wrong header checksum, an archive that is cut off and sparse files are errors. */
grd_status grd_tar_next(grd_tar *tar, grd_tar_entry *entry, bool *more);
/* Up to `want` bytes of the entry; *got is less only at its end. */
grd_status grd_tar_read(grd_tar *tar, void *out, size_t want, size_t *got);

/* The file called `member` (a leading "./" in the archive is passed over), and one zero byte that is not counted; grd_free. More
 * than max_bytes (0 = no limit) is an error, and so is an archive without it. */
grd_status grd_tar_load(grd_host *host, const char *path, const char *member, size_t max_bytes, void **bytes, size_t *size);

#endif
