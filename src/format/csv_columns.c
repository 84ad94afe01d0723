/* What is in a CSV's columns: their kind, numbers, and the levels of categories. */
#include "format/csv.h"

#include "format/bytes.h"
#include "format/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const grd_csv_missing_words[] = { "", "NA", "N/A", "nan", "NaN", "null", "?", NULL };

bool grd_csv_is_missing(const grd_csv *csv, const char *cell)
{
    for (const char *const *word = csv->opts.missing; *word; word++)
        if (**word == *cell && strcmp(*word, cell) == 0)
            return true;
    return false;
}

const char *grd_csv_kind_name(grd_csv_kind kind)
{
    static const char *const names[] = { "nothing", "integers", "numbers", "dates", "text" };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

static grd_csv_kind kind_of(const grd_csv *csv, const char *cell, double *value)
{
    int64_t whole;
    if (grd_parse_integer(cell, &whole)) {
        *value = (double)whole;
        return GRD_CSV_INTEGER;
    }
    if (grd_parse_number(cell, csv->opts.point, value))
        return GRD_CSV_NUMBER;
    return grd_parse_date(cell) ? GRD_CSV_DATE : GRD_CSV_TEXT;
}

/* The narrowest kind that holds both. */
static grd_csv_kind joined(grd_csv_kind a, grd_csv_kind b)
{
    if (a == GRD_CSV_NOTHING || a == b)
        return b;
    return a <= GRD_CSV_NUMBER && b <= GRD_CSV_NUMBER ? GRD_CSV_NUMBER : GRD_CSV_TEXT;
}

grd_csv_type grd_csv_type_of(const grd_csv *csv, int column)
{
    grd_csv_type type = { .kind = GRD_CSV_NOTHING, .exception = -1, .lo = HUGE_VAL, .hi = -HUGE_VAL };
    for (int64_t i = 0; i < csv->n_rows; i++) {
        const char *cell = grd_csv_cell(csv, i, column);
        double value;
        if (grd_csv_is_missing(csv, cell)) {
            type.missing++;
            continue;
        }
        grd_csv_kind kind = kind_of(csv, cell, &value);
        type.kind = joined(type.kind, kind);
        if (kind > GRD_CSV_NUMBER) {
            type.exception = type.exception < 0 ? i : type.exception;
        } else if (!isnan(value)) {
            type.lo = value < type.lo ? value : type.lo;
            type.hi = value > type.hi ? value : type.hi;
        }
    }
    if (type.lo > type.hi)
        type.lo = type.hi = 0;
    return type;
}

/* ---- numbers ---- */

static grd_status bad_cell(const grd_csv *csv, int64_t row, int column, const char *expected)
{
    const char *cell = grd_csv_cell(csv, row, column);
    char name[GRD_PRINTABLE], text[GRD_PRINTABLE];
    return grd_fail(csv->host, GRD_ERR_FORMAT, "%s:%llu: column \"%s\": \"%s\"%s, expected %s", csv->name,
                    (unsigned long long)csv->row[row].line, grd_printable(csv->column[column], strlen(csv->column[column]), name),
                    grd_printable(cell, strlen(cell), text), grd_parse_date(cell) ? " is a date" : "", expected);
}

grd_status grd_csv_numbers(const grd_csv *csv, int column, double *out, int64_t stride)
{
    for (int64_t i = 0; i < csv->n_rows; i++) {
        const char *cell = grd_csv_cell(csv, i, column);
        if (grd_csv_is_missing(csv, cell))
            out[i * stride] = (double)NAN;
        else if (!grd_parse_number(cell, csv->opts.point, &out[i * stride]))
            return bad_cell(csv, i, column, "a number");
    }
    return GRD_OK;
}

grd_status grd_csv_integers(const grd_csv *csv, int column, int64_t *out, int64_t stride)
{
    for (int64_t i = 0; i < csv->n_rows; i++)
        if (!grd_parse_integer(grd_csv_cell(csv, i, column), &out[i * stride]))
            return bad_cell(csv, i, column, "an integer");
    return GRD_OK;
}

/* ---- levels ---- */

/* Texts by their bytes; found by bisection. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = 0, y = 0;
    grd_parse_integer(*(const char *const *)a, &x);
    grd_parse_integer(*(const char *const *)b, &y);
    return x != y ? (x < y ? -1 : 1) : by_text(a, b); /* "1" and "01" are two texts */
}

typedef struct table { /* open addressing, at most half full; slots hold level + 1 */
    grd_host *host;
    int *slot;
    size_t size;
    const char **text;
    int n;
} table;

static size_t hash_of(const char *text)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static int *slot_of(const table *t, const char *text)
{
    size_t at = hash_of(text) & (t->size - 1);
    while (t->slot[at] && strcmp(t->text[t->slot[at] - 1], text) != 0)
        at = (at + 1) & (t->size - 1);
    return &t->slot[at];
}

static bool enlarge(table *t)
{
    size_t size = t->size ? 2 * t->size : 64;
    int *slot = GRD_NEW_N(t->host, int, size), *old = t->slot;
    const char **text = grd_grow(t->host, t->text, sizeof *text * (size_t)t->n, sizeof *text * size / 2);
    if (text)
        t->text = text;
    if (!slot || !text) {
        grd_free(t->host, slot);
        return false;
    }
    t->slot = slot;
    t->size = size;
    for (int k = 0; k < t->n; k++)
        *slot_of(t, t->text[k]) = k + 1;
    grd_free(t->host, old);
    return true;
}

static grd_status collect(const grd_csv *csv, int column, int most, table *t, bool *numeric)
{
    char name[GRD_PRINTABLE];
    int64_t whole;
    for (int64_t i = 0; i < csv->n_rows; i++) {
        const char *cell = grd_csv_cell(csv, i, column);
        if (grd_csv_is_missing(csv, cell))
            continue;
        if ((size_t)t->n >= t->size / 2 && !enlarge(t))
            return grd_fail_in(csv->host, "%s: ", csv->name);
        int *slot = slot_of(t, cell);
        if (*slot)
            continue;
        if (t->n == most)
            return grd_fail(csv->host, GRD_ERR_FORMAT, "%s:%llu: column \"%s\" has more than %d different values",
                            csv->name, (unsigned long long)csv->row[i].line,
                            grd_printable(csv->column[column], strlen(csv->column[column]), name), most);
        t->text[t->n++] = cell;
        *slot = t->n;
        *numeric = *numeric && grd_parse_integer(cell, &whole);
    }
    return GRD_OK;
}

static void count_levels(const grd_csv *csv, int column, grd_csv_levels *levels)
{
    for (int64_t i = 0; i < csv->n_rows; i++) {
        int level = grd_csv_level(levels, grd_csv_cell(csv, i, column));
        if (level >= 0)
            levels->count[level]++;
    }
}

grd_status grd_csv_levels_of(const grd_csv *csv, int column, int most, grd_csv_levels *levels)
{
    table t = { .host = csv->host };
    *levels = (grd_csv_levels){ .host = csv->host, .numeric = true };
    grd_status status = collect(csv, column, most, &t, &levels->numeric);
    grd_free(csv->host, t.slot);
    levels->text = t.text;
    levels->n = t.n;
    if (status == GRD_OK && !(levels->count = GRD_NEW_N(csv->host, int64_t, t.n)))
        status = grd_fail_in(csv->host, "%s: ", csv->name);
    if (status != GRD_OK) {
        grd_csv_levels_free(levels);
        return status;
    }
    if (t.n)
        qsort(levels->text, (size_t)t.n, sizeof *levels->text, levels->numeric ? by_value : by_text);
    count_levels(csv, column, levels);
    return GRD_OK;
}

void grd_csv_levels_free(grd_csv_levels *levels)
{
    grd_free(levels->host, levels->text);
    grd_free(levels->host, levels->count);
    *levels = (grd_csv_levels){ .host = levels->host };
}

int grd_csv_level(const grd_csv_levels *levels, const char *cell)
{
    int64_t whole;
    if (!levels->n || (levels->numeric && !grd_parse_integer(cell, &whole)))
        return -1;
    const char **at = bsearch(&cell, levels->text, (size_t)levels->n, sizeof *levels->text, levels->numeric ? by_value : by_text);
    return at ? (int)(at - levels->text) : -1;
}

grd_status grd_csv_categories(const grd_csv *csv, int column, const grd_csv_levels *levels, int32_t *out, int64_t stride)
{
    for (int64_t i = 0; i < csv->n_rows; i++) {
        const char *cell = grd_csv_cell(csv, i, column);
        int level = grd_csv_level(levels, cell);
        if (level < 0 && !grd_csv_is_missing(csv, cell))
            return bad_cell(csv, i, column, "one of the known categories");
        out[i * stride] = level;
    }
    return GRD_OK;
}
