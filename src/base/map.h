/* Files seen as memory, for reading. */
#ifndef GRD_BASE_MAP_H
#define GRD_BASE_MAP_H

#include "base/host.h"

typedef struct grd_map {
    const uint8_t *bytes; /* NULL: an empty file */
    size_t size;
} grd_map;

/* The pages come when they are read, and go when memory is short. What is written into the file shows; whoever cuts the file off
 * while it is mapped takes the pages away, and reading them ends the process (SIGBUS). A file that is replaced under its name
 * (rename) stays what it was. On failure nothing is left to close. */
grd_status grd_map_open(grd_host *host, const char *path, grd_map *map);
void grd_map_close(grd_map *map);

#endif
