/* From a table of cells to samples: which columns are features, what the target is, which rows are seen. */
#ifndef GRD_DATA_TABLE_H
#define GRD_DATA_TABLE_H

#include "data/pictures.h"
#include "format/csv.h"

enum { GRD_TABLE_AUTO, GRD_TABLE_REGRESSION, GRD_TABLE_CLASSIFICATION };

typedef struct grd_table_opts { /* of the source csv */
    const char *file;
    int part;
    const char *separator, *comment, *decimal, *missing;
    bool no_header, no_quotes, trim;
    const char *features, *drop, *target, *group, *classes;
    int task;
    int categories; /* 0 = index, 1 = onehot */
    grd_reals binarize, parts;
    int64_t parts_seed;
    const char *part_column, *part_values;
    bool points;
    const char *image, *image_root;
    grd_ints image_shape;
    grd_pictures_opts view;
} grd_table_opts;

typedef struct grd_table {
    grd_host *host;
    grd_arena arena;
    const char *file;    /* as opened */
    int64_t n;           /* samples */
    int64_t width;       /* features of one */
    float *feature;      /* [n][width]; NULL = no features */
    const char **column; /* [width]: what the features are called: "area", "color=red" */
    const char *target, *grouped_by; /* columns; NULL = none */
    float *value;        /* regression: the target */
    int32_t *label;      /* classification */
    int32_t *group;
    uint64_t *line;      /* of the file */
    int64_t classes, groups;
    const char **class_name;
    uint8_t *pixels;        /* [n] pictures of image_shape; or NULL */
    grd_shape image_shape;
    const char **image_path; /* [n], pictures in files; or NULL */
} grd_table;

/* Reads and checks everything. On failure nothing is left to close. */
grd_status grd_table_open(grd_host *host, const grd_table_opts *opts, grd_table *table);
void grd_table_close(grd_table *table);

/* table_parts.c: the rows of part opts->part, in row (room for all) and *n; part_column < 0: no column tells. */
grd_status grd_table_rows(const grd_csv *csv, int part_column, const grd_table_opts *opts, grd_arena *arena, int64_t *row, int64_t *n);

/* table_image.c: the pictures of column `image`, of the rows row[0..n), into table. */
grd_status grd_table_images(const grd_csv *csv, int image, const int64_t *row, int64_t n, const grd_table_opts *opts,
                            grd_table *table);

/* Parts of it that a stream of tables uses: how cells are read; which columns are features (order has room for all, *n are), and
 * the target, -1 = none. */
grd_status grd_table_csv_opts(grd_arena *arena, const grd_table_opts *opts, grd_csv_opts *csv);
grd_status grd_table_columns(grd_arena *arena, const grd_csv *csv, const grd_table_opts *opts, int *target, int *order, int *n);

#endif
