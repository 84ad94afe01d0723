/* Tables as text: CSV, TSV and their kin (RFC 4180 and what is met beside it), plain, gzipped or xz. The text is read once and
 * cells stay where they are in it, each ended by a zero; per cell there are four bytes more. */
#ifndef GRD_FORMAT_CSV_H
#define GRD_FORMAT_CSV_H

#include "base/host.h"

typedef struct grd_csv_opts {
    char separator; /* one byte; 0 = found out: the one of tab ; | , that divides the first lines evenly */
    char comment;   /* lines that begin with it are passed over; 0 = none */
    char point;     /* of decimal numbers; 0 = '.' */
    bool no_header; /* the first line is data */
    bool no_quotes; /* quotes are bytes like others, as in lists of sentences between tabs */
    bool trim;      /* blanks around cells are not part of them */
    const char *const *missing; /* ends with NULL: cells that stand for no value (not copied: they outlive
                                   the grd_csv); NULL = grd_csv_missing_words */
    uint64_t first_line; /* of a text that is a part of a file: its first line's number, from 1; 0 = 1 */
    int columns;         /* how many a row must have; 0 = as many as the first one */
} grd_csv_opts;

/* "", "NA", "N/A", "nan", "NaN", "null", "?", NULL */
extern const char *const grd_csv_missing_words[];

typedef struct grd_csv_row {
    uint64_t text; /* where its first cell begins */
    uint64_t line; /* in the file, from 1 */
} grd_csv_row;

typedef struct grd_csv {
    grd_host *host;
    char *name;          /* begins the messages */
    grd_csv_opts opts;   /* as given, zeros replaced by what was found or the default */
    int n_columns;       /* >= 1 */
    int64_t n_rows;      /* without the header; may be 0 */
    const char **column; /* the header's cells, as they are (maybe empty or equal); without a header "column 1", ... */
    char *text;
    size_t size;
    grd_csv_row *row;
    uint32_t *cell;      /* [n_rows][n_columns]: where it begins, from the row's text on */
    void *all_rows, *all_cells; /* as allocated: with the header's */
} grd_csv;

/* Blank lines are passed over. A row of another number of cells than the first, text after a closing quote, a quote that is never
 * closed, a zero byte and UTF-16 are errors that say the line. On failure nothing is left to close. */
grd_status grd_csv_read(grd_host *host, const char *path, const grd_csv_opts *opts, grd_csv *csv); /* opts may be NULL */
grd_status grd_csv_parse(grd_host *host, const char *name, const void *bytes, size_t size, const grd_csv_opts *opts,
                         grd_csv *csv);
void grd_csv_close(grd_csv *csv);

static inline const char *grd_csv_cell(const grd_csv *csv, int64_t row, int column)
{
    return csv->text + csv->row[row].text + csv->cell[row * csv->n_columns + column];
}
int grd_csv_find(const grd_csv *csv, const char *column); /* the first of that name; -1 = none */
/* By its name or its number from 1; else a message that begins with `key`. */
grd_status grd_csv_column(const grd_csv *csv, const char *key, const char *name, int *column);
bool grd_csv_is_missing(const grd_csv *csv, const char *cell);

/* ---- what is in a column ---- */

typedef enum grd_csv_kind {
    GRD_CSV_NOTHING, /* every cell is missing */
    GRD_CSV_INTEGER,
    GRD_CSV_NUMBER,
    GRD_CSV_DATE,
    GRD_CSV_TEXT
} grd_csv_kind;
const char *grd_csv_kind_name(grd_csv_kind kind); /* "integers" */

/* The narrowest kind that holds every cell that is not missing. */
typedef struct grd_csv_type {
    grd_csv_kind kind;
    int64_t missing;      /* how many cells */
    int64_t exception;    /* the first row that holds no number, -1 = none; says why a column is text */
    double lo, hi;        /* of integers and numbers; infinities count */
} grd_csv_type;
grd_csv_type grd_csv_type_of(const grd_csv *csv, int column);

/* All cells of a column as numbers, missing ones as NaN: out[i * stride] for row i. Anything else is an error that names line,
 * column and cell; a date is called one. */
grd_status grd_csv_numbers(const grd_csv *csv, int column, double *out, int64_t stride);
grd_status grd_csv_integers(const grd_csv *csv, int column, int64_t *out, int64_t stride); /* a missing cell is an error */

/* The distinct cells of a column, missing ones left out: whole numbers by value if all are, else texts by their bytes. */
typedef struct grd_csv_levels {
    grd_host *host;
    int n;
    const char **text;   /* in the csv's text */
    int64_t *count;
    bool numeric;        /* sorted by value */
} grd_csv_levels;
/* More than `most` levels are an error. On failure nothing is left to free. */
grd_status grd_csv_levels_of(const grd_csv *csv, int column, int most, grd_csv_levels *levels);
void grd_csv_levels_free(grd_csv_levels *levels);
int grd_csv_level(const grd_csv_levels *levels, const char *cell); /* -1 = none of them */
/* The level of each cell, missing ones as -1; a cell that is no level is an error. */
grd_status grd_csv_categories(const grd_csv *csv, int column, const grd_csv_levels *levels, int32_t *out, int64_t stride);

#endif
