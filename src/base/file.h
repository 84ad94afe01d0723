/* Whole files in, atomic files out. */
#ifndef GRD_BASE_FILE_H
#define GRD_BASE_FILE_H

#include "base/host.h"

#include <stdio.h>

/* The whole file into memory (one zero byte more, not counted). max_bytes 0 = no limit; a larger file is an error. */
grd_status grd_file_read(grd_host *host, const char *path, size_t max_bytes, void **bytes, size_t *size);

/* Written beside under a temporary name; grd_atomic_commit flushes, syncs, renames and syncs the folder; a failure at any
 * time removes the temporary and leaves the old file as it was. */
typedef struct grd_atomic {
    FILE *file;
    char path[1024], temporary[1080]; /* the latter unlike any other's, of this process or another */
} grd_atomic;
grd_status grd_atomic_open(grd_host *host, grd_atomic *atomic, const char *path);
grd_status grd_atomic_commit(grd_host *host, grd_atomic *atomic);
void grd_atomic_abort(grd_atomic *atomic);
/* All of `bytes` under `path`, atomically. */
grd_status grd_file_write(grd_host *host, const char *path, const void *bytes, size_t size);

/* From one name to another in a folder, so that it lasts; what the file holds must have been synced. */
grd_status grd_file_rename(grd_host *host, const char *from, const char *to);

grd_status grd_make_dirs(grd_host *host, const char *path); /* like mkdir -p */
bool grd_file_exists(const char *path);
/* "a/b" from "a" and "b" into `out`; an absolute second part stays. GRD_ERR_ARG if it does not fit. */
grd_status grd_path_join(grd_host *host, char *out, size_t size, const char *dir, const char *name);

#endif
