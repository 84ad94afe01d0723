/* Which rows of a table are a part's: all, a share drawn at random, or those whose cell says so. */
#include "data/table.h"

#include "data/split.h"
#include "data/texts.h"

#include <math.h>
#include <string.h>

static const char *const part_name[] = { "train", "val", "test" };

/* ---- shares ---- */

static grd_status check_shares(grd_host *host, const grd_reals *share)
{
    double sum = 0;
    for (int i = 0; i < share->n; i++) {
        if (!(share->v[i] > 0))
            return grd_fail(host, GRD_ERR_ARG, "parts: %g, expected more than 0", share->v[i]);
        sum += share->v[i];
    }
    return share->n == 3 && sum <= 1 + 1e-9
               ? GRD_OK
               : grd_fail(host, GRD_ERR_ARG, "parts: %d fractions whose sum is %g, expected three of at most 1: train, val, test",
                          share->n, sum);
}

static grd_status draw_rows(const grd_csv *csv, const grd_table_opts *o, int64_t *row, int64_t *n)
{
    const grd_reals *share = &o->parts;
    double before = 0;
    GRD_TRY(check_shares(csv->host, share));
    for (int i = 0; i < o->part; i++)
        before += share->v[i];
    GRD_TRY(grd_numpy_permutation(csv->host, (uint64_t)o->parts_seed, row, csv->n_rows));
    const double all = (double)csv->n_rows;
    int64_t first = (int64_t)floor(before * all + 1e-6), last = (int64_t)floor((before + share->v[o->part]) * all + 1e-6);
    last = last < csv->n_rows ? last : csv->n_rows;
    *n = last - first;
    memmove(row, row + first, sizeof *row * (size_t)*n);
    return *n > 0 ? GRD_OK
                  : grd_fail(csv->host, GRD_ERR_DATA, "parts: %s would be empty: the file has %lld rows", part_name[o->part],
                             (long long)csv->n_rows);
}

/* ---- a column ---- */

static grd_status pick_rows(const grd_csv *csv, int column, const grd_table_opts *o, grd_arena *arena, int64_t *row, int64_t *n)
{
    const char **name;
    int names;
    GRD_TRY(grd_text_names(arena, "part_values", o->part_values, &name, &names));
    if (names != 3)
        return grd_fail(csv->host, GRD_ERR_ARG, "part_values: %d texts, expected three: of train, val and test", names);
    *n = 0;
    for (int64_t i = 0; i < csv->n_rows; i++) {
        const char *cell = grd_csv_cell(csv, i, column);
        int part = 0;
        while (part < 3 && strcmp(cell, name[part]) != 0)
            part++;
        if (part == 3)
            return grd_fail(csv->host, GRD_ERR_DATA,
                            "%s:%llu: part_column \"%.80s\": \"%.80s\", expected \"%.40s\", \"%.40s\" or \"%.40s\" (part_values)",
                            csv->name, (unsigned long long)csv->row[i].line, csv->column[column], cell, name[0], name[1], name[2]);
        if (part == o->part)
            row[(*n)++] = i;
    }
    return *n > 0 ? GRD_OK
                  : grd_fail(csv->host, GRD_ERR_DATA, "%s: no row whose \"%.80s\" is \"%.40s\": %s would be empty", csv->name,
                             csv->column[column], name[o->part], part_name[o->part]);
}

grd_status grd_table_rows(const grd_csv *csv, int part_column, const grd_table_opts *o, grd_arena *arena, int64_t *row, int64_t *n)
{
    *n = csv->n_rows;
    for (int64_t i = 0; i < *n; i++)
        row[i] = i;
    if (o->parts.n && part_column >= 0)
        return grd_fail(csv->host, GRD_ERR_ARG, "parts and part_column each say which rows are whose: give one of them");
    if (part_column >= 0)
        return pick_rows(csv, part_column, o, arena, row, n);
    return o->parts.n ? draw_rows(csv, o, row, n) : GRD_OK;
}
