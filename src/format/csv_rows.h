/* A table as text, read a block of rows at a time: memory stays the same however long the file is. For what a row looks like see
 * csv.h. */
#ifndef GRD_FORMAT_CSV_ROWS_H
#define GRD_FORMAT_CSV_ROWS_H

#include "format/csv.h"

typedef struct grd_csv_place { /* of a block: where it begins, in the unpacked text */
    uint64_t offset, line;     /* line: from 1 */
} grd_csv_place;

typedef struct grd_csv_rows {
    grd_host *host;
    struct grd_stream *stream;
    grd_csv_opts opts;
    char *text;          /* what was read and not parsed yet is at [taken, filled) */
    size_t room, taken, filled;
    bool all;            /* the file has been read to its end */
    grd_csv_place place, next; /* of the block that is open, of the next one */
    grd_csv block;       /* its rows; 0 columns: none is open */
} grd_csv_rows;

/* Opens the file at a block's place (NULL: its beginning); opts must say the separator, and behind the beginning how many columns
 * there are. No block is open yet. On failure nothing is left to close. */
grd_status grd_csv_rows_open(grd_host *host, const char *path, const grd_csv_opts *opts, const grd_csv_place *place,
                             grd_csv_rows *rows);
/* Opens the next block; *end: there is none. Which rows a block holds depends on its place alone. */
grd_status grd_csv_rows_next(grd_csv_rows *rows, bool *end);
void grd_csv_rows_close(grd_csv_rows *rows);

#endif
