/* Options that are texts: paths that hold the name of a part, and lists of names. */
#ifndef GRD_DATA_TEXTS_H
#define GRD_DATA_TEXTS_H

#include "base/host.h"

#define GRD_MAX_NAMES 4096

enum { GRD_PART_TRAIN, GRD_PART_VAL, GRD_PART_TEST };

/* `path` with the part's name for each "{part}". A path without it has the part train only: another one is an error that
 * names the option `key`. Memory is the arena's. */
grd_status grd_text_part(grd_arena *arena, const char *key, const char *path, int part, const char **out);

/* The names between commas, without blanks around them; an empty list for NULL and "". *names ends with NULL. */
grd_status grd_text_names(grd_arena *arena, const char *key, const char *list, const char ***names, int *n);

/* A text file, plain, gzipped or xz, and its lines one after the other. On failure nothing is left; else grd_free(host,
 * bytes). */
typedef struct grd_text_file {
    const char *path;
    char *bytes;
    size_t size;
    const char *at;   /* what grd_text_line gives next */
    uint64_t line;    /* the number of the one it gave, from 1 */
} grd_text_file;
grd_status grd_text_open(grd_host *host, const char *path, grd_text_file *file);
/* The next line without its end ("\n" or "\r\n"); false after the last one. */
bool grd_text_line(grd_text_file *file, const char **line, size_t *size);

#endif
