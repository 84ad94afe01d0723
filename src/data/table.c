/* From a table of cells to samples. Categories, classes and what kind of column each is come from the part train, whichever
 * part is opened, so that all parts agree. */
#include "data/table.h"

#include "base/options.h"
#include "data/dataset.h"
#include "data/split.h"
#include "data/texts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEVELS 65536
#define MOST_WIDTH (1 << 20)

enum { NUMBERS, INDEX, ONEHOT };

typedef struct column {
    int at, width, kind;
    grd_csv_levels levels; /* of INDEX and ONEHOT */
} column;

typedef struct reading {
    grd_host *host;
    const grd_table_opts *o;
    grd_arena *arena;           /* what the table keeps */
    grd_table *t;
    grd_csv own, other;         /* of the part; of train, if that is another file */
    bool own_open, other_open;
    const grd_csv *train;       /* one of them */
    column *column;             /* features */
    int n_columns;
    int target, group, image, part; /* -1 = none */
    int64_t *row;               /* which rows are samples, in order */
    int64_t n;
    int task;                   /* never AUTO */
    grd_csv_levels classes;
    double bound[2];            /* of binarize */
} reading;

/* ---- options ---- */

static grd_status one_byte(grd_host *host, const char *key, const char *text, char *out)
{
    static const char *const word[] = { "tab", "space", "\\t" };
    *out = 0;
    if (!text)
        return GRD_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(text, word[i]) == 0)
            *out = "\t \t"[i];
    if (!*out && strlen(text) == 1)
        *out = text[0];
    return *out ? GRD_OK : grd_fail(host, GRD_ERR_ARG, "%s: \"%.40s\", expected one character, tab or space", key, text);
}

grd_status grd_table_csv_opts(grd_arena *arena, const grd_table_opts *o, grd_csv_opts *csv)
{
    grd_host *host = arena->host;
    const char **missing;
    int n;
    *csv = (grd_csv_opts){ .no_header = o->no_header, .no_quotes = o->no_quotes, .trim = o->trim };
    GRD_TRY(one_byte(host, "separator", o->separator, &csv->separator));
    GRD_TRY(one_byte(host, "comment", o->comment, &csv->comment));
    GRD_TRY(one_byte(host, "decimal", o->decimal, &csv->point));
    if (csv->point && csv->point != '.' && csv->point != ',')
        return grd_fail(host, GRD_ERR_ARG, "decimal: \"%s\", expected \".\" or \",\"", o->decimal);
    if (o->missing) {
        GRD_TRY(grd_text_names(arena, "missing", o->missing, &missing, &n));
        memmove(missing + 1, missing, sizeof *missing * (size_t)n); /* an empty cell is always missing */
        missing[0] = "";
        csv->missing = missing;
    }
    return GRD_OK;
}

static grd_status open_files(reading *r)
{
    const grd_table_opts *o = r->o;
    grd_arena *arena = r->arena;
    grd_csv_opts csv;
    const char *train;
    const bool cut = o->parts.n > 0 || o->part_column;
    GRD_TRY(grd_table_csv_opts(arena, o, &csv));
    if (cut && strstr(o->file, "{part}"))
        return grd_fail(r->host, GRD_ERR_ARG, "%s: file \"%.200s\" holds {part}: each part is a file already",
                        o->parts.n ? "parts" : "part_column", o->file);
    GRD_TRY(grd_text_part(arena, "file", o->file, cut ? GRD_PART_TRAIN : o->part, &r->t->file));
    GRD_TRY(grd_text_part(arena, "file", o->file, GRD_PART_TRAIN, &train));
    GRD_TRY(grd_csv_read(r->host, r->t->file, &csv, &r->own));
    r->own_open = true;
    r->train = &r->own;
    if (strcmp(train, r->t->file) == 0)
        return GRD_OK;
    GRD_TRY(grd_csv_read(r->host, train, &csv, &r->other));
    r->other_open = true;
    r->train = &r->other;
    if (r->own.n_columns != r->other.n_columns)
        return grd_fail(r->host, GRD_ERR_DATA, "%s has %d columns, %s %d: the parts do not belong together", r->t->file,
                        r->own.n_columns, train, r->other.n_columns);
    for (int c = 0; c < r->own.n_columns && !o->no_header; c++)
        if (strcmp(r->own.column[c], r->other.column[c]) != 0)
            return grd_fail(r->host, GRD_ERR_DATA, "%s: column %d is \"%.80s\", in %s it is \"%.80s\"", r->t->file, c + 1,
                            r->own.column[c], train, r->other.column[c]);
    return GRD_OK;
}

/* ---- columns ---- */

static grd_status one_column(const reading *r, const char *key, const char *name, int *out)
{
    *out = -1;
    return name ? grd_csv_column(r->train, key, name, out) : GRD_OK;
}

/* The features' columns into order, which has room for all. */
static grd_status choose_columns(reading *r, int *order)
{
    const char **name;
    int n, at;
    bool *take = grd_arena_alloc(r->arena, (size_t)r->train->n_columns); /* which columns are features */
    if (!take)
        return GRD_ERR_MEMORY;
    GRD_TRY(one_column(r, "target", r->o->target, &r->target));
    GRD_TRY(one_column(r, "group", r->o->group, &r->group));
    GRD_TRY(one_column(r, "image", r->o->image, &r->image));
    if (r->image >= 0 && (r->image == r->target || r->image == r->group))
        return grd_fail(r->host, GRD_ERR_ARG, "image: column \"%.80s\" is the %s", r->o->image,
                        r->image == r->target ? "target" : "group");
    GRD_TRY(grd_text_names(r->arena, "features", r->o->features, &name, &n));
    for (int i = 0; i < n; i++) {
        GRD_TRY(grd_csv_column(r->train, "features", name[i], &at));
        if (take[at])
            return grd_fail(r->host, GRD_ERR_ARG, "features: column \"%.80s\" stands there twice", name[i]);
        if (at == r->target)
            return grd_fail(r->host, GRD_ERR_ARG, "features: column \"%.80s\" is the target", name[i]);
        if (at == r->image)
            return grd_fail(r->host, GRD_ERR_ARG, "features: column \"%.80s\" is the picture", name[i]);
        if (at == r->part)
            return grd_fail(r->host, GRD_ERR_ARG, "features: column \"%.80s\" is part_column", name[i]);
        take[at] = true;
        order[r->n_columns++] = at;
    }
    if (n > 0 && r->o->drop)
        return grd_fail(r->host, GRD_ERR_ARG, "features and drop each say which columns are features: give one of them");
    if (n > 0)
        return GRD_OK;
    for (int c = 0; c < r->train->n_columns; c++)
        take[c] = c != r->target && c != r->group && c != r->image && c != r->part;
    GRD_TRY(grd_text_names(r->arena, "drop", r->o->drop, &name, &n));
    for (int i = 0; i < n; i++) {
        GRD_TRY(grd_csv_column(r->train, "drop", name[i], &at));
        take[at] = false;
    }
    for (int c = 0; c < r->train->n_columns; c++)
        if (take[c])
            order[r->n_columns++] = c;
    return GRD_OK;
}

grd_status grd_table_columns(grd_arena *arena, const grd_csv *csv, const grd_table_opts *o, int *target, int *order, int *n)
{
    reading r = { .host = arena->host, .o = o, .arena = arena, .train = csv, .part = -1 };
    GRD_TRY(choose_columns(&r, order));
    *target = r.target;
    *n = r.n_columns;
    return GRD_OK;
}

/* What the column holds in train decides. */
static grd_status describe_column(reading *r, column *c)
{
    const grd_csv_type type = grd_csv_type_of(r->train, c->at);
    const char *name = r->train->column[c->at];
    c->width = 1;
    if (type.kind == GRD_CSV_NOTHING)
        return grd_fail(r->host, GRD_ERR_DATA, "%s: column \"%.80s\" has no value in any row: leave it out by drop",
                        r->train->name, name);
    if (type.kind == GRD_CSV_DATE)
        return grd_fail(r->host, GRD_ERR_DATA,
                        "%s: column \"%.80s\" holds dates, which are no quantity as they stand: leave it out by "
                        "drop, or make numbers of it (days since some day, weekday)",
                        r->train->name, name);
    if (type.kind != GRD_CSV_TEXT)
        return GRD_OK;
    GRD_TRY(grd_csv_levels_of(r->train, c->at, MOST_LEVELS, &c->levels));
    c->kind = r->o->categories ? ONEHOT : INDEX;
    if (c->kind == ONEHOT)
        c->width = c->levels.n;
    return GRD_OK;
}

/* Columns that are x and y in turn. */
static grd_status check_points(const reading *r)
{
    for (int i = 0; i < r->n_columns; i++)
        if (r->column[i].kind != NUMBERS)
            return grd_fail(r->host, GRD_ERR_DATA, "%s: points: column \"%.80s\" holds texts, expected numbers", r->train->name,
                            r->train->column[r->column[i].at]);
    return r->n_columns && r->n_columns % 2 == 0
               ? GRD_OK
               : grd_fail(r->host, GRD_ERR_ARG, "%s: points: %d columns, expected x and y in turn", r->train->name, r->n_columns);
}

static grd_status keep_name(const reading *r, int at, const char **name)
{
    *name = at >= 0 ? grd_arena_strdup(&r->t->arena, r->train->column[at]) : NULL;
    return at < 0 || *name ? GRD_OK : GRD_ERR_MEMORY;
}

/* Names outlive the files. */
static grd_status keep_names(reading *r)
{
    grd_table *t = r->t;
    int64_t n = 0;
    GRD_TRY(keep_name(r, r->target, &t->target));
    GRD_TRY(keep_name(r, r->group, &t->grouped_by));
    t->column = grd_arena_alloc(&t->arena, sizeof *t->column * (size_t)t->width);
    if (!t->column)
        return GRD_ERR_MEMORY;
    for (int i = 0; i < r->n_columns; i++) {
        const column *c = &r->column[i];
        for (int k = 0; k < c->width; k++, n++) {
            t->column[n] = c->kind == ONEHOT ? grd_arena_format(&t->arena, "%s=%s", r->train->column[c->at], c->levels.text[k])
                                             : grd_arena_strdup(&t->arena, r->train->column[c->at]);
            if (!t->column[n])
                return GRD_ERR_MEMORY;
        }
    }
    return GRD_OK;
}

static grd_status describe_columns(reading *r)
{
    const size_t n = (size_t)r->train->n_columns;
    int *order = grd_arena_alloc(r->arena, sizeof *order * n);
    r->column = grd_arena_alloc(r->arena, sizeof *r->column * n);
    if (!order || !r->column)
        return GRD_ERR_MEMORY;
    GRD_TRY(choose_columns(r, order));
    for (int i = 0; i < r->n_columns; i++) {
        r->column[i].at = order[i];
        GRD_TRY(describe_column(r, &r->column[i]));
        r->t->width += r->column[i].width;
        if (r->t->width > MOST_WIDTH)
            return grd_fail(r->host, GRD_ERR_DATA, "%s: more than %d features at column \"%.80s\"", r->train->name, MOST_WIDTH,
                            r->train->column[order[i]]);
    }
    if (!r->t->width && r->target < 0 && r->image < 0)
        return grd_fail(r->host, GRD_ERR_ARG, "%s: neither features nor a target", r->train->name);
    if (r->o->points)
        GRD_TRY(check_points(r));
    return keep_names(r);
}

/* ---- rows ---- */

static grd_status choose_rows(reading *r)
{
    const int64_t n = r->own.n_rows;
    if (n == 0 || r->train->n_rows == 0)
        return grd_fail(r->host, GRD_ERR_DATA, "%s: no rows, expected at least one", n ? r->train->name : r->own.name);
    if (n > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(r->host, GRD_ERR_DATA, "%s: %lld rows, expected at most %lld", r->own.name, (long long)n,
                        (long long)GRD_MAX_SAMPLES);
    r->row = GRD_NEW_N(r->host, int64_t, n);
    if (!r->row)
        return GRD_ERR_MEMORY;
    GRD_TRY(one_column(r, "part_column", r->o->part_column, &r->part));
    return grd_table_rows(&r->own, r->part, r->o, r->arena, r->row, &r->n);
}

/* ---- the target ---- */

static grd_status need_target(const reading *r, const grd_csv *csv)
{
    for (int64_t i = 0; i < csv->n_rows; i++)
        if (grd_csv_is_missing(csv, grd_csv_cell(csv, i, r->target)))
            return grd_fail(r->host, GRD_ERR_DATA, "%s:%llu: target \"%.80s\" is missing, expected a value in every row", csv->name,
                            (unsigned long long)csv->row[i].line, csv->column[r->target]);
    return GRD_OK;
}

/* Given names in their order, each of which must be there for itself; or all that occur in train, sorted. */
static grd_status read_classes(reading *r)
{
    const char **given;
    int n;
    grd_table *t = r->t;
    GRD_TRY(grd_csv_levels_of(r->train, r->target, MOST_LEVELS, &r->classes));
    GRD_TRY(grd_text_names(&t->arena, "classes", r->o->classes, &given, &n));
    t->classes = n ? n : r->classes.n;
    t->class_name = grd_arena_alloc(&t->arena, sizeof *t->class_name * (size_t)t->classes);
    if (!t->class_name)
        return GRD_ERR_MEMORY;
    for (int64_t k = 0; k < t->classes; k++) {
        t->class_name[k] = n ? given[k] : grd_arena_strdup(&t->arena, r->classes.text[k]);
        if (!t->class_name[k])
            return GRD_ERR_MEMORY;
        for (int64_t j = 0; j < k && n; j++)
            if (strcmp(given[j], given[k]) == 0)
                return grd_fail(r->host, GRD_ERR_ARG, "classes: \"%.80s\" stands there twice", given[k]);
    }
    return GRD_OK;
}

static int class_of(const reading *r, const char *cell)
{
    if (!r->o->classes)
        return grd_csv_level(&r->classes, cell);
    for (int k = 0; k < r->t->classes; k++)
        if (strcmp(r->t->class_name[k], cell) == 0)
            return k;
    return -1;
}

static grd_status fill_labels(reading *r)
{
    grd_table *t = r->t;
    t->label = GRD_NEW_N(r->host, int32_t, r->n);
    if (!t->label)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < r->n; i++) {
        const char *cell = grd_csv_cell(&r->own, r->row[i], r->target);
        t->label[i] = class_of(r, cell);
        if (t->label[i] < 0)
            return grd_fail(r->host, GRD_ERR_DATA, "%s:%llu: target \"%.80s\": \"%.80s\" is none of the %lld classes%s (\"%.40s\", ...)",
                            r->own.name, (unsigned long long)r->own.row[r->row[i]].line, r->own.column[r->target], cell,
                            (long long)t->classes, r->o->classes ? " given" : " of train", t->class_name[0]);
    }
    return GRD_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NumPy's percentile, linear between neighbours. sorted: n >= 1 values. */
static double quantile(const double *sorted, int64_t n, double q)
{
    double place = q * (double)(n - 1), low = floor(place);
    int64_t i = (int64_t)low, k = i + 1 < n ? i + 1 : i;
    return sorted[i] + (sorted[k] - sorted[i]) * (place - low);
}

static grd_status find_bounds(reading *r)
{
    const grd_reals *q = &r->o->binarize;
    if (q->n != 2 || !(q->v[0] >= 0 && q->v[0] < q->v[1] && q->v[1] <= 1))
        return grd_fail(r->host, GRD_ERR_ARG,
                        "binarize: expected two shares of the rows, as [0.3, 0.7]: below the first is 0, above the "
                        "second 1");
    const int64_t n = r->train->n_rows;
    double *value = GRD_NEW_N(r->host, double, n);
    if (!value)
        return GRD_ERR_MEMORY;
    grd_status status = grd_csv_numbers(r->train, r->target, value, 1);
    if (status == GRD_OK) {
        qsort(value, (size_t)n, sizeof *value, ascending);
        r->bound[0] = quantile(value, n, q->v[0]);
        r->bound[1] = quantile(value, n, q->v[1]);
        if (!(r->bound[0] < r->bound[1]))
            status = grd_fail(r->host, GRD_ERR_DATA, "binarize: both bounds of \"%.80s\" are %g", r->train->column[r->target],
                              r->bound[0]);
    }
    grd_free(r->host, value);
    return status;
}

/* The two classes are named by their bounds. */
static grd_status name_sides(reading *r)
{
    grd_table *t = r->t;
    t->class_name = grd_arena_alloc(&t->arena, 2 * sizeof *t->class_name);
    if (!t->class_name)
        return GRD_ERR_MEMORY;
    t->classes = 2;
    for (int k = 0; k < 2; k++) {
        char text[40];
        snprintf(text, sizeof text, "%s %.10g", k ? ">=" : "<=", r->bound[k]);
        t->class_name[k] = grd_arena_strdup(&t->arena, text);
        if (!t->class_name[k])
            return GRD_ERR_MEMORY;
    }
    return GRD_OK;
}

/* Labels instead of values; what is in between leaves the rows. */
static grd_status binarize(reading *r, const double *value)
{
    grd_table *t = r->t;
    int64_t kept = 0;
    t->label = GRD_NEW_N(r->host, int32_t, r->n);
    if (!t->label)
        return GRD_ERR_MEMORY;
    GRD_TRY(name_sides(r));
    for (int64_t i = 0; i < r->n; i++) {
        const double v = value[r->row[i]];
        if (v > r->bound[0] && v < r->bound[1])
            continue;
        t->label[kept] = v >= r->bound[1];
        r->row[kept++] = r->row[i];
    }
    r->n = kept;
    return kept ? GRD_OK : grd_fail(r->host, GRD_ERR_DATA, "binarize: no row is left");
}

static grd_status fill_values(reading *r)
{
    grd_table *t = r->t;
    if (r->o->binarize.n)
        GRD_TRY(find_bounds(r));
    double *value = GRD_NEW_N(r->host, double, r->own.n_rows);
    if (!value)
        return GRD_ERR_MEMORY;
    grd_status status = grd_csv_numbers(&r->own, r->target, value, 1);
    for (int64_t i = 0; i < r->own.n_rows && status == GRD_OK; i++)
        if (!isfinite(value[i]))
            status = grd_fail(r->host, GRD_ERR_DATA, "%s:%llu: target \"%.80s\" is %g, expected a finite number", r->own.name,
                              (unsigned long long)r->own.row[i].line, r->own.column[r->target], value[i]);
    if (status == GRD_OK && r->o->binarize.n) {
        status = binarize(r, value);
    } else if (status == GRD_OK) {
        t->value = GRD_NEW_N(r->host, float, r->n);
        status = t->value ? GRD_OK : GRD_ERR_MEMORY;
        for (int64_t i = 0; i < r->n && t->value; i++)
            t->value[i] = (float)value[r->row[i]];
    }
    grd_free(r->host, value);
    return status;
}

static grd_status read_target(reading *r)
{
    const grd_table_opts *o = r->o;
    if (r->target < 0) {
        if (o->binarize.n || o->classes || o->task)
            return grd_fail(r->host, GRD_ERR_ARG, "binarize, classes and task speak of the target: give target");
        return GRD_OK;
    }
    GRD_TRY(need_target(r, r->train));
    if (r->train != &r->own)
        GRD_TRY(need_target(r, &r->own));
    const grd_csv_kind kind = grd_csv_type_of(r->train, r->target).kind;
    const bool numbers = kind == GRD_CSV_INTEGER || kind == GRD_CSV_NUMBER;
    r->task = o->binarize.n ? GRD_TABLE_REGRESSION : o->classes ? GRD_TABLE_CLASSIFICATION : o->task;
    if (r->task == GRD_TABLE_AUTO)
        r->task = numbers ? GRD_TABLE_REGRESSION : GRD_TABLE_CLASSIFICATION;
    if (o->binarize.n && (o->classes || o->task == GRD_TABLE_REGRESSION))
        return grd_fail(r->host, GRD_ERR_ARG, "binarize makes two classes of a number: neither classes nor task: regression fit");
    if (o->classes && o->task == GRD_TABLE_REGRESSION)
        return grd_fail(r->host, GRD_ERR_ARG, "classes: task is regression");
    if (r->task == GRD_TABLE_REGRESSION)
        return fill_values(r);
    GRD_TRY(read_classes(r));
    return fill_labels(r);
}

/* ---- features ---- */

static grd_status fill_numbers(reading *r, const column *c, int64_t offset, double *buffer)
{
    GRD_TRY(grd_csv_numbers(&r->own, c->at, buffer, 1));
    for (int64_t i = 0; i < r->n; i++)
        r->t->feature[i * r->t->width + offset] = (float)buffer[r->row[i]];
    return GRD_OK;
}

/* A missing category is NaN, or zeros among one-hot columns. */
static grd_status fill_categories(reading *r, const column *c, int64_t offset)
{
    for (int64_t i = 0; i < r->n; i++) {
        const char *cell = grd_csv_cell(&r->own, r->row[i], c->at);
        float *out = r->t->feature + i * r->t->width + offset;
        const bool missing = grd_csv_is_missing(&r->own, cell);
        const int level = missing ? -1 : grd_csv_level(&c->levels, cell);
        if (!missing && level < 0)
            return grd_fail(r->host, GRD_ERR_DATA, "%s:%llu: column \"%.80s\": \"%.80s\" is none of train's %d categories",
                            r->own.name, (unsigned long long)r->own.row[r->row[i]].line, r->own.column[c->at], cell, c->levels.n);
        if (c->kind == INDEX)
            *out = missing ? NAN : (float)level;
        else if (level >= 0)
            out[level] = 1;
    }
    return GRD_OK;
}

static grd_status fill_features(reading *r)
{
    grd_table *t = r->t;
    size_t bytes;
    int64_t offset = 0;
    if (!t->width)
        return GRD_OK;
    if (!grd_size_mul((size_t)r->n, (size_t)t->width * sizeof(float), &bytes))
        return grd_fail(r->host, GRD_ERR_MEMORY, "out of memory: %lld rows of %lld features", (long long)r->n,
                        (long long)t->width);
    double *buffer = GRD_NEW_N(r->host, double, r->own.n_rows);
    t->feature = buffer ? grd_alloc(r->host, bytes) : NULL;
    grd_status status = t->feature ? GRD_OK : GRD_ERR_MEMORY;
    for (int i = 0; i < r->n_columns && status == GRD_OK; offset += r->column[i++].width)
        status = r->column[i].kind == NUMBERS ? fill_numbers(r, &r->column[i], offset, buffer)
                                              : fill_categories(r, &r->column[i], offset);
    grd_free(r->host, buffer);
    return status;
}

/* Equal cells have equal numbers, within this file. */
static grd_status fill_groups(reading *r)
{
    grd_table *t = r->t;
    grd_csv_levels levels;
    if (r->group < 0)
        return GRD_OK;
    t->group = GRD_NEW_N(r->host, int32_t, r->n);
    if (!t->group)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_csv_levels_of(&r->own, r->group, INT32_MAX, &levels));
    t->groups = levels.n;
    grd_status status = GRD_OK;
    for (int64_t i = 0; i < r->n && status == GRD_OK; i++) {
        t->group[i] = grd_csv_level(&levels, grd_csv_cell(&r->own, r->row[i], r->group));
        if (t->group[i] < 0)
            status = grd_fail(r->host, GRD_ERR_DATA, "%s:%llu: group \"%.80s\" is missing", r->own.name,
                              (unsigned long long)r->own.row[r->row[i]].line, r->own.column[r->group]);
    }
    grd_csv_levels_free(&levels);
    return status;
}

static grd_status fill_lines(reading *r)
{
    grd_table *t = r->t;
    t->n = r->n;
    t->line = GRD_NEW_N(r->host, uint64_t, r->n);
    for (int64_t i = 0; i < r->n && t->line; i++)
        t->line[i] = r->own.row[r->row[i]].line;
    return t->line ? GRD_OK : GRD_ERR_MEMORY;
}

/* ---- all of it ---- */

static grd_status read_all(reading *r)
{
    GRD_TRY(open_files(r));
    GRD_TRY(choose_rows(r));
    GRD_TRY(describe_columns(r));
    GRD_TRY(read_target(r));
    GRD_TRY(fill_features(r));
    GRD_TRY(fill_groups(r));
    GRD_TRY(fill_lines(r));
    return grd_table_images(&r->own, r->image, r->row, r->n, r->o, r->t);
}

static void end_reading(reading *r)
{
    for (int i = 0; i < r->n_columns && r->column; i++)
        grd_csv_levels_free(&r->column[i].levels);
    grd_csv_levels_free(&r->classes);
    if (r->own_open)
        grd_csv_close(&r->own);
    if (r->other_open)
        grd_csv_close(&r->other);
    grd_free(r->host, r->row);
}

grd_status grd_table_open(grd_host *host, const grd_table_opts *opts, grd_table *table)
{
    memset(table, 0, sizeof *table);
    table->host = host;
    grd_arena_init(&table->arena, host);
    reading r = { .host = host, .o = opts, .arena = &table->arena, .t = table, .target = -1, .group = -1, .image = -1, .part = -1 };
    grd_status status = read_all(&r);
    end_reading(&r);
    if (status != GRD_OK)
        grd_table_close(table);
    return status;
}

void grd_table_close(grd_table *t)
{
    grd_free(t->host, t->feature);
    grd_free(t->host, t->value);
    grd_free(t->host, t->label);
    grd_free(t->host, t->group);
    grd_free(t->host, t->line);
    grd_free(t->host, t->pixels);
    grd_arena_free(&t->arena);
}
