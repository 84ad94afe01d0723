/* csv_stream: tables of numbers that are never in memory as a whole, a file a shard. */
#include "base/ctx.h"
#include "data/listing.h"
#include "data/rows.h"
#include "data/table.h"
#include "data/texts.h"
#include "format/csv_rows.h"
#include "format/number.h"

#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef grd_table_opts opts; /* of its members those in the table below */

typedef struct tables {
    grd_host *host;
    grd_arena arena;
    const char **file;
    int n_files;
    grd_csv_opts csv;
    const char **column; /* of the first file */
    int n_columns;
    int *feature;        /* [width] columns */
    int width, target;   /* target: -1 = none */
    const char **class_name;
    int classes;         /* 0: the target is a number */
} tables;

/* ---- opening ---- */

static int by_name(const void *a, const void *b) { return grd_compare_natural(*(const char *const *)a, *(const char *const *)b); }

static grd_status copy_names(tables *t, const char *const *name, size_t n, const char ***out)
{
    *out = grd_arena_alloc(&t->arena, sizeof **out * n);
    for (size_t i = 0; i < n && *out; i++)
        if (!((*out)[i] = grd_arena_strdup(&t->arena, name[i])))
            return GRD_ERR_MEMORY;
    return *out ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status find_files(tables *t, const opts *o)
{
    const char *pattern;
    glob_t found;
    GRD_TRY(grd_text_part(&t->arena, "files", o->file, o->part, &pattern));
    const int failure = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (failure == GLOB_NOSPACE)
        return grd_fail(t->host, GRD_ERR_MEMORY, "files: out of memory");
    if (failure)
        return grd_fail(t->host, GRD_ERR_IO, "files: \"%.300s\": there is no such file", pattern);
    grd_status status = copy_names(t, (const char *const *)found.gl_pathv, found.gl_pathc, &t->file);
    if (status == GRD_OK && found.gl_pathc > INT32_MAX)
        status = grd_fail(t->host, GRD_ERR_ARG, "files: \"%.300s\" are too many", pattern);
    t->n_files = (int)found.gl_pathc;
    globfree(&found);
    if (status == GRD_OK)
        qsort(t->file, (size_t)t->n_files, sizeof *t->file, by_name);
    return status;
}

static grd_status read_columns(tables *t, const opts *o, const grd_csv *first)
{
    t->n_columns = first->n_columns;
    t->feature = grd_arena_alloc(&t->arena, sizeof *t->feature * (size_t)t->n_columns);
    if (!t->feature)
        return GRD_ERR_MEMORY;
    GRD_TRY(copy_names(t, first->column, (size_t)t->n_columns, &t->column));
    return grd_table_columns(&t->arena, first, o, &t->target, t->feature, &t->width);
}

static grd_status read_first(tables *t, const opts *o)
{
    grd_csv_rows rows;
    bool end;
    GRD_TRY(grd_csv_rows_open(t->host, t->file[0], &t->csv, NULL, &rows));
    grd_status status = grd_csv_rows_next(&rows, &end);
    if (status == GRD_OK && end)
        status = grd_fail(t->host, GRD_ERR_FORMAT, "%s: the first file is empty", t->file[0]);
    if (status == GRD_OK)
        status = read_columns(t, o, &rows.block);
    grd_csv_rows_close(&rows);
    return status;
}

static grd_status read_all(tables *t, const opts *o)
{
    GRD_TRY(find_files(t, o));
    GRD_TRY(grd_table_csv_opts(&t->arena, o, &t->csv));
    GRD_TRY(grd_text_names(&t->arena, "classes", o->classes, &t->class_name, &t->classes));
    GRD_TRY(read_first(t, o));
    if (t->classes && t->target < 0)
        return grd_fail(t->host, GRD_ERR_ARG, "classes without a target");
    return t->width ? GRD_OK : grd_fail(t->host, GRD_ERR_ARG, "%s: no column is a feature", t->file[0]);
}

static void close_tables(void *self)
{
    tables *t = self;
    grd_arena_free(&t->arena);
    grd_free(t->host, t);
}

static grd_status open_tables(void **out, const void *options, grd_ctx *ctx)
{
    tables *t = GRD_NEW(&ctx->host, tables);
    if (!t)
        return GRD_ERR_MEMORY;
    t->host = &ctx->host;
    grd_arena_init(&t->arena, t->host);
    grd_status status = read_all(t, options);
    if (status == GRD_OK)
        *out = t;
    else
        close_tables(t);
    return status;
}

static int fields(const void *self, grd_field *out, int max)
{
    const tables *t = self;
    if (max < 2)
        return 2;
    out[0] = (grd_field){ .name = "features", .dtype = GRD_F32, .shape = { 1, { t->width } } };
    if (t->classes)
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = t->classes - 1, .classes = t->classes };
    else
        out[1] = (grd_field){ .name = "target", .dtype = GRD_F32, .shape = { 1, { 1 } } };
    return t->target < 0 ? 1 : 2;
}

static const char *class_name(const void *self, int64_t label)
{
    const tables *t = self;
    return label >= 0 && label < t->classes ? t->class_name[label] : NULL;
}

static void name_of(const void *self, int64_t shard, char *text, size_t size)
{
    snprintf(text, size, "%s", ((const tables *)self)->file[shard]);
}

static int64_t shards(const void *self) { return ((const tables *)self)->n_files; }

/* ---- reading a file ---- */

typedef struct cursor {
    const tables *of;
    const char *file;
    grd_host host;      /* of this thread: messages */
    grd_csv_rows rows;
    int64_t row;        /* of the open block, the next one */
    bool begun;         /* a block is open, or was */
} cursor;

static grd_status said(const cursor *c, grd_status status, grd_sample *errors)
{
    return grd_sample_fail(errors, status, "%s", c->host.err.text);
}

static void end(void *self)
{
    cursor *c = self;
    grd_host host = c->host;
    if (c->rows.stream)
        grd_csv_rows_close(&c->rows);
    grd_free(&host, c);
}

static grd_status begin(const void *self, int64_t shard, const grd_key *key, void **out, grd_sample *errors)
{
    const tables *t = self;
    grd_host host;
    (void)key;
    grd_host_init(&host, &t->host->mem);
    cursor *c = GRD_NEW(&host, cursor);
    if (!c)
        return grd_sample_fail(errors, GRD_ERR_MEMORY, "%s", host.err.text);
    c->of = t;
    c->host = host;
    c->file = t->file[shard];
    grd_status status = grd_csv_rows_open(&c->host, c->file, &t->csv, NULL, &c->rows);
    if (status != GRD_OK) {
        said(c, status, errors);
        end(c);
        return status;
    }
    *out = c;
    return GRD_OK;
}

/* A file must have the columns of the first one. */
static grd_status check_columns(cursor *c)
{
    const tables *t = c->of;
    const grd_csv *b = &c->rows.block;
    if (b->n_columns != t->n_columns)
        return grd_fail(&c->host, GRD_ERR_FORMAT, "%d columns, expected %d as in %s", b->n_columns, t->n_columns, t->file[0]);
    for (int k = 0; k < b->n_columns; k++)
        if (strcmp(b->column[k], t->column[k]) != 0)
            return grd_fail(&c->host, GRD_ERR_FORMAT, "column %d is \"%.80s\", in %s it is \"%.80s\"", k + 1, b->column[k],
                            t->file[0], t->column[k]);
    return GRD_OK;
}

static grd_status next_block(cursor *c, bool *over)
{
    c->row = 0;
    GRD_TRY(grd_csv_rows_next(&c->rows, over));
    c->begun = true;
    return *over || c->rows.place.offset > 0 ? GRD_OK : check_columns(c);
}

static grd_status bad_cell(const cursor *c, int column, const char *what, grd_sample *out)
{
    const grd_csv *b = &c->rows.block;
    return grd_sample_fail(out, GRD_ERR_DATA, "line %" PRIu64 ": column \"%.60s\": \"%.60s\", expected %s",
                           b->row[c->row - 1].line, c->of->column[column], grd_csv_cell(b, c->row - 1, column), what);
}

/* A missing cell is NaN. */
static grd_status read_number(const cursor *c, int column, float *out, grd_sample *sample)
{
    const grd_csv *b = &c->rows.block;
    const char *cell = grd_csv_cell(b, c->row - 1, column);
    double value = NAN;
    if (!grd_csv_is_missing(b, cell) && !grd_parse_number(cell, b->opts.point, &value))
        return bad_cell(c, column, "a number", sample);
    *out = (float)value;
    return GRD_OK;
}

static grd_status read_target(const cursor *c, grd_sample *out)
{
    const tables *t = c->of;
    const char *cell = grd_csv_cell(&c->rows.block, c->row - 1, t->target);
    if (!t->classes) {
        GRD_TRY(read_number(c, t->target, out->data[1], out));
        return isnan(*(const float *)out->data[1]) ? bad_cell(c, t->target, "a number", out) : GRD_OK;
    }
    for (int k = 0; k < t->classes; k++)
        if (strcmp(t->class_name[k], cell) == 0) {
            *(int32_t *)out->data[1] = k;
            return GRD_OK;
        }
    return bad_cell(c, t->target, "one of the classes given", out);
}

static grd_status next(void *self, grd_sample *out, bool *over)
{
    cursor *c = self;
    const tables *t = c->of;
    while (!c->begun || c->row == c->rows.block.n_rows) {
        grd_status status = next_block(c, over);
        if (status != GRD_OK)
            return said(c, status, out);
        if (*over)
            return GRD_OK;
    }
    c->row++;
    for (int k = 0; k < t->width; k++)
        GRD_TRY(read_number(c, t->feature[k], (float *)out->data[0] + k, out));
    return t->target < 0 ? GRD_OK : read_target(c, out);
}

static void tell(const void *self, char *text, size_t size)
{
    const cursor *c = self;
    snprintf(text, size, "%" PRIu64 ":%" PRIu64 ":%" PRId64, c->rows.place.offset, c->rows.place.line, c->row);
}

static grd_status seek(void *self, const char *position, grd_sample *errors)
{
    cursor *c = self;
    grd_csv_opts csv = c->of->csv;
    grd_csv_place place;
    int64_t row;
    bool over;
    int at = 0;
    csv.columns = c->of->n_columns;
    if (sscanf(position, "%18" SCNu64 ":%18" SCNu64 ":%18" SCNd64 "%n", &place.offset, &place.line, &row, &at) != 3 ||
        position[at] || row < 0)
        return grd_sample_fail(errors, GRD_ERR_FORMAT, "position \"%s\", expected byte:line:row", position);
    grd_csv_rows_close(&c->rows);
    grd_status status = grd_csv_rows_open(&c->host, c->file, &csv, &place, &c->rows);
    if (status == GRD_OK)
        status = next_block(c, &over);
    if (status == GRD_OK && (over || row > c->rows.block.n_rows))
        status = grd_fail(&c->host, GRD_ERR_DATA, "position \"%s\" is behind the end: the file has changed", position);
    c->row = row;
    return status == GRD_OK ? GRD_OK : said(c, status, errors);
}

static const grd_option options[] = {
    { "files", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "the tables, plain, .gz or .xz, with * and ? as in a shell; {part} becomes train, val or test" },
    GRD_ENUM(opts, part, 0, GRD_PARTS, "which part"),
    GRD_TEXT(opts, target, NULL, "column that is to be predicted: field target, or label if there are classes"),
    GRD_TEXT(opts, classes, NULL, "names of the classes in order, with commas between"),
    GRD_TEXT(opts, features, NULL, "columns with commas between, by name or number from 1; default: all but target"),
    GRD_TEXT(opts, drop, NULL, "columns that are no features, instead"),
    GRD_TEXT(opts, separator, ",", "one character, tab or space"),
    GRD_FLAG_ON(opts, header, "the first line of each file names the columns"),
    GRD_FLAG_ON(opts, quotes, "quotes enclose cells"),
    GRD_TEXT(opts, decimal, ".", "decimal point: . or a comma"),
    GRD_TEXT(opts, missing, NULL,
             "cells that stand for no value, besides empty ones, with commas between; default: NA,N/A,nan,NaN,null,?"),
    GRD_END,
};

const grd_source grd_source_csv_stream = {
    .name = "csv_stream",
    .doc = "Tables of numbers read row by row, however large: features f32 [D] (missing ones NaN), and target f32 [1] or label "
           "i32. A stream; each file is a shard.",
    .options = options, .options_size = sizeof(opts), .open = open_tables, .fields = fields, .close = close_tables,
    .class_name = class_name, .name_of = name_of,
    .stream = &(const grd_stream_calls){ .shards = shards, .begin = begin, .next = next, .tell = tell, .seek = seek, .end = end },
};
