/* Names of classes from a text file, a class a line: its name alone, or its number, its name and maybe the colour it has in label
 * pictures ("2 grass 0 128 0"). */
#ifndef GRD_DATA_CLASS_NAMES_H
#define GRD_DATA_CLASS_NAMES_H

#include "base/host.h"

#define GRD_CLASSES_MAX 65536

typedef struct grd_class_names {
    int n;
    const char **name;   /* NULL: unknown */
    uint8_t (*color)[3]; /* RGB; NULL: the file gives none */
} grd_class_names;

/* All memory is the arena's. The numbers must count from 0; a name or a colour that stands twice is an error. */
grd_status grd_class_names_parse(grd_arena *arena, const char *file, const char *text, size_t size, grd_class_names *names);
/* `spec`: how many classes there are, or the file's path below `root`. */
grd_status grd_class_names_read(grd_arena *arena, const char *root, const char *spec, grd_class_names *names);
/* Of n texts the distinct ones, sorted by their bytes (shared, not copied). */
grd_status grd_class_names_of(grd_arena *arena, const char *const *text, int n, grd_class_names *names);
int grd_class_names_find(const grd_class_names *names, const char *name); /* -1: none of them */

#endif
