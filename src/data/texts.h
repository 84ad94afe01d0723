/* Options that are texts: paths that hold the name of a part, and lists of names. */
#ifndef GRD_DATA_TEXTS_H
#define GRD_DATA_TEXTS_H

#include "base/host.h"

#define GRD_MAX_NAMES 4096

enum { GRD_PART_TRAIN, GRD_PART_VAL, GRD_PART_TEST };

/* `path` with the part's name for each "{part}". A path without it has the part train only: another one is an error that names the
 * option `key`. Memory is the arena's. */
grd_status grd_text_part(grd_arena *arena, const char *key, const char *path, int part, const char **out);

/* The names between commas, without blanks around them; an empty list for NULL and "". *names ends with NULL. */
grd_status grd_text_names(grd_arena *arena, const char *key, const char *list, const char ***names, int *n);

#endif
