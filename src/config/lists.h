/* Files of names that the data section points to: one sample a line, for `relabel` with a label behind it. */
#ifndef GRD_CONFIG_LISTS_H
#define GRD_CONFIG_LISTS_H

#include "config/tree.h"

#include <gradus/data.h>

typedef struct grd_name_list {
    const char **name;
    const char **word; /* what stands behind the name; NULL: lists of names only */
    bool *found;       /* in some set so far */
    int64_t n;
} grd_name_list;

/* Empty lines and what follows # at a line's beginning are left out. with_word: each line is NAME WORD, the word after the last
 * blank. Lives in the arena. where: begins messages. */
grd_status grd_name_list_read(grd_arena *arena, const grd_yaml *where, const char *path, bool with_word, grd_name_list *list);
/* *set without the listed samples, or with the labels of the list; the old one is freed. */
grd_status grd_name_list_exclude(grd_name_list *list, grd_dataset **set);
grd_status grd_name_list_relabel(grd_name_list *list, grd_arena *arena, const char *path, grd_dataset **set);
/* An error if a name was in no set. */
grd_status grd_name_list_check(const grd_name_list *list, grd_host *host, const grd_yaml *where, const char *path);

#endif
