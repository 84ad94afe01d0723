/* A config as a tree of maps, lists and scalars, each knowing the file and line it came from. Knows nothing of what the
 * keys mean. All nodes live in one arena; a tree that has been handed out is never changed but by its owner. */
#ifndef GRD_CONFIG_TREE_H
#define GRD_CONFIG_TREE_H

#include "base/host.h"

#include <stdio.h>

typedef enum grd_yaml_kind { GRD_YAML_SCALAR, GRD_YAML_LIST, GRD_YAML_MAP } grd_yaml_kind;

typedef struct grd_yaml {
    grd_yaml_kind kind;
    bool quoted;      /* a scalar in quotes: never null */
    const char *file; /* or the override it came from, then line is 0 */
    int line;         /* from 1; of its key if it has one */
    const char *key;  /* in a map */
    const char *text; /* of a scalar */
    int n;            /* children */
    struct grd_yaml *first, *last, *next;
} grd_yaml;

#define GRD_YAML_MAX_DEPTH 32
#define GRD_YAML_MAX_NODES 20000
#define GRD_YAML_MAX_BYTES (1 << 20)

/* Reads YAML text (one document; no anchors, aliases, tags; duplicate keys are errors). `file` is kept by reference.
 * An override's text has line 0. */
grd_status grd_yaml_parse(grd_arena *arena, const char *file, bool is_override, const char *text, size_t size, grd_yaml **tree);

grd_yaml *grd_yaml_new(grd_arena *arena, grd_yaml_kind kind, const grd_yaml *where);
/* The child under `key`; NULL if there is none or it is null (`key:`, `key: ~`). */
const grd_yaml *grd_yaml_get(const grd_yaml *map, const char *key);
bool grd_yaml_is_null(const grd_yaml *node);
bool grd_yaml_is(const grd_yaml *node, const char *text); /* a scalar with that text */
void grd_yaml_append(grd_yaml *parent, grd_yaml *child);
bool grd_yaml_same(const grd_yaml *a, const grd_yaml *b); /* in content; either may be NULL */
grd_yaml *grd_yaml_copy(grd_arena *arena, const grd_yaml *node);
/* A new tree: maps merge, everything else in `over` replaces. A merged map stands where `over` does, or `base` if that is an
 * override. Where a map's one key names a row (optim, schedule, loss), another
 * row replaces it. Either may be NULL. */
grd_yaml *grd_yaml_merge(grd_arena *arena, const grd_yaml *base, const grd_yaml *over);

/* Fails with "file:line: text", or "override: text". */
grd_status grd_yaml_fail(grd_host *host, const grd_yaml *node, const char *format, ...) GRD_PRINTF(3, 4);
/* Puts "file:line: " before the message that is there and makes it a config error. */
grd_status grd_yaml_fail_in(grd_host *host, const grd_yaml *node);
const char *grd_yaml_kind_name(const grd_yaml *node); /* "a list", ... */

/* Writes the map so that grd_yaml_parse reads the same tree back. */
void grd_yaml_print(const grd_yaml *map, FILE *out);
void grd_yaml_print_at(const grd_yaml *map, int indent, FILE *out);

#endif
