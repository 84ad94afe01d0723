/* Reading CSV: one pass over the text that ends each cell by a zero where its separator or closing quote stood. */
#include "format/csv.h"

#include "base/options.h"
#include "format/bytes.h"
#include "format/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    grd_csv *csv;
    char *next, *end;          /* *end is 0 and may be written */
    uint64_t line;
    bool special[256];         /* bytes that end a run of plain ones: separator, line ends, zero */
    uint32_t *cell;            /* of all rows, the header's too */
    size_t n_cells, cell_room;
    grd_csv_row *row;
    size_t n_rows, row_room;
} reader;

static grd_status bad_line(const reader *r, uint64_t line, const char *what)
{
    return grd_fail(r->csv->host, GRD_ERR_FORMAT, "%s:%llu: %s", r->csv->name, (unsigned long long)line, what);
}

/* ---- the separator ---- */

enum { SNIFFED_LINES = 30 };
static const char candidates[] = "\t;|,"; /* a comma may also be a decimal point, so it comes last */

/* How often each candidate stands in the line at c, outside of quotes. Returns where the next line begins. */
static const char *count_line(const char *c, const char *end, bool quotes, int count[4])
{
    bool quoted = false;
    memset(count, 0, 4 * sizeof *count);
    for (; c < end && (quoted || (*c != '\n' && *c != '\r')); c++) {
        if (quotes && *c == '"')
            quoted = !quoted;
        const char *which = quoted || !*c ? NULL : strchr(candidates, *c);
        if (which)
            count[which - candidates]++;
    }
    while (c < end && (*c == '\n' || *c == '\r'))
        c++;
    return c;
}

static char sniff(const char *text, const char *end, const grd_csv_opts *opts)
{
    int first[4] = { 0 }, count[4], lines = 0;
    bool even[4] = { true, true, true, true };
    while (text < end && lines < SNIFFED_LINES) {
        bool passed = (opts->comment && *text == opts->comment) || *text == '\n' || *text == '\r';
        text = count_line(text, end, !opts->no_quotes, count);
        if (passed)
            continue;
        if (!lines++)
            memcpy(first, count, sizeof first);
        for (int k = 0; k < 4; k++)
            even[k] = even[k] && count[k] == first[k];
    }
    int best = 3;
    for (int k = 3; k >= 0; k--)
        if (first[k] > first[best])
            best = k;
    for (int k = 3; k >= 0; k--)
        if (even[k] && first[k])
            best = k;
    return candidates[best];
}

/* ---- growing ---- */

static grd_status grow(reader *r, void **item, size_t used, size_t *room, size_t size)
{
    size_t wanted = *room ? *room + *room / 2 : 1024;
    void *larger = wanted > SIZE_MAX / size ? NULL : grd_alloc_raw(r->csv->host, wanted * size);
    if (!larger)
        return grd_fail(r->csv->host, GRD_ERR_MEMORY, "%s: out of memory at line %llu", r->csv->name,
                        (unsigned long long)r->line);
    if (used)
        memcpy(larger, *item, used * size);
    grd_free(r->csv->host, *item);
    *item = larger;
    *room = wanted;
    return GRD_OK;
}

static grd_status add_cell(reader *r, const char *at)
{
    size_t offset = (size_t)(at - r->csv->text - (ptrdiff_t)r->row[r->n_rows].text);
    if (offset > UINT32_MAX)
        return bad_line(r, r->row[r->n_rows].line, "a row of more than 4 GB");
    if (r->n_cells == r->cell_room)
        GRD_TRY(grow(r, (void **)&r->cell, r->n_cells, &r->cell_room, sizeof *r->cell));
    r->cell[r->n_cells++] = (uint32_t)offset;
    return GRD_OK;
}

/* ---- cells ---- */

static bool is_blank(const reader *r, char c) { return (c == ' ' || c == '\t') && c != r->csv->opts.separator; }

/* r->next is behind the opening quote. Doubled quotes become one, so the text moves left behind the first of them. */
static grd_status read_quoted(reader *r, char **stop)
{
    uint64_t begun = r->line;
    char *to = r->next, *from = r->next;
    for (;;) {
        char *quote = memchr(from, '"', (size_t)(r->end - from));
        if (!quote)
            return bad_line(r, begun, "a quote is opened and never closed");
        for (char *c = from; c < quote; c++) {
            if (*c == 0)
                return bad_line(r, r->line, "a zero byte; this is no text file");
            r->line += *c == '\n' || (*c == '\r' && c[1] != '\n');
        }
        memmove(to, from, (size_t)(quote - from));
        to += quote - from;
        from = quote + 1;
        if (*from != '"')
            break;
        *to++ = *from++;
    }
    r->next = from;
    *stop = to;
    if (r->csv->opts.trim)
        while (is_blank(r, *r->next))
            r->next++;
    if (r->next == r->end || (*r->next && r->special[(unsigned char)*r->next]))
        return GRD_OK;
    char text[GRD_PRINTABLE];
    grd_printable(r->next, strcspn(r->next, "\r\n"), text);
    return grd_fail(r->csv->host, GRD_ERR_FORMAT,
                    "%s:%llu: \"%s\" after a closing quote, expected the separator or the line's end", r->csv->name,
                    (unsigned long long)r->line, text);
}

static grd_status read_plain(reader *r, char **stop)
{
    char *c = r->next, *begin = c;
    while (!r->special[(unsigned char)*c])
        c++;
    r->next = c;
    if (!*c && c != r->end)
        return bad_line(r, r->line, "a zero byte; this is no text file");
    if (r->csv->opts.trim)
        while (c > begin && is_blank(r, c[-1]))
            c--;
    *stop = c;
    return GRD_OK;
}

/* One cell and what ends it. *last: it was the line's last. */
static grd_status read_cell(reader *r, bool *last)
{
    char *stop = NULL;
    if (r->csv->opts.trim)
        while (is_blank(r, *r->next))
            r->next++;
    bool quoted = *r->next == '"' && !r->csv->opts.no_quotes;
    r->next += quoted;
    GRD_TRY(add_cell(r, r->next));
    GRD_TRY(quoted ? read_quoted(r, &stop) : read_plain(r, &stop));
    char ended_by = *r->next;
    *last = r->next == r->end || ended_by != r->csv->opts.separator;
    *stop = 0;
    if (r->next == r->end)
        return GRD_OK;
    *r->next++ = 0;
    if (ended_by == '\r' && *r->next == '\n')
        r->next++;
    r->line += *last;
    return GRD_OK;
}

static bool pass_line(reader *r)
{
    char *c = r->next;
    if (r->csv->opts.comment && *c == r->csv->opts.comment) {
        c += strcspn(c, "\r\n");
    } else {
        while (*c == ' ' && r->csv->opts.separator != ' ')
            c++;
        if (*c != '\r' && *c != '\n' && c != r->end)
            return false;
    }
    if (!*c && c != r->end)
        return false; /* a zero byte: left to the cells to refuse */
    if (*c == '\r' && c[1] == '\n')
        c++;
    r->next = c == r->end ? c : c + 1;
    r->line++;
    return true;
}

static grd_status read_row(reader *r)
{
    grd_csv *csv = r->csv;
    if (r->n_rows == r->row_room)
        GRD_TRY(grow(r, (void **)&r->row, r->n_rows, &r->row_room, sizeof *r->row));
    r->row[r->n_rows] = (grd_csv_row){ (uint64_t)(r->next - csv->text), r->line };
    size_t before = r->n_cells;
    for (bool last = false; !last;)
        GRD_TRY(read_cell(r, &last));
    size_t n = r->n_cells - before;
    if (!csv->n_columns && n > INT32_MAX)
        return bad_line(r, r->row[0].line, "too many columns");
    if (!csv->n_columns)
        csv->n_columns = (int)n;
    if (n != (size_t)csv->n_columns)
        return grd_fail(csv->host, GRD_ERR_FORMAT, "%s:%llu: %zu column%s, expected %d as in line %llu", csv->name,
                        (unsigned long long)r->row[r->n_rows].line, n, n == 1 ? "" : "s", csv->n_columns,
                        (unsigned long long)(csv->opts.columns ? 1 : r->row[0].line));
    r->n_rows++;
    return GRD_OK;
}

/* ---- the whole ---- */

static grd_status name_columns(reader *r)
{
    grd_csv *csv = r->csv;
    csv->column = GRD_NEW_N(csv->host, const char *, csv->n_columns);
    if (!csv->column)
        return grd_fail_in(csv->host, "%s: ", csv->name);
    if (!csv->opts.no_header) {
        for (int k = 0; k < csv->n_columns; k++)
            csv->column[k] = csv->text + r->row[0].text + r->cell[k];
        csv->row++;
        csv->cell += csv->n_columns;
        csv->n_rows--;
        return GRD_OK;
    }
    for (int k = 0; k < csv->n_columns; k++)
        if (!(csv->column[k] = grd_format(csv->host, "column %d", k + 1)))
            return grd_fail_in(csv->host, "%s: ", csv->name);
    return GRD_OK;
}

static grd_status start_of_text(reader *r)
{
    grd_csv *csv = r->csv;
    const unsigned char *b = (const unsigned char *)csv->text;
    if (csv->size >= 2 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff)))
        return grd_fail(csv->host, GRD_ERR_FORMAT, "%s: the text is UTF-16, expected UTF-8: save it as such", csv->name);
    r->next = csv->text;
    r->end = csv->text + csv->size;
    if (csv->size >= 3 && memcmp(b, "\xef\xbb\xbf", 3) == 0)
        r->next += 3;
    return GRD_OK;
}

static grd_status parse_text(reader *r)
{
    grd_csv *csv = r->csv;
    GRD_TRY(start_of_text(r));
    if (!csv->opts.separator)
        csv->opts.separator = sniff(r->next, r->end, &csv->opts);
    r->special[0] = r->special['\n'] = r->special['\r'] = r->special[(unsigned char)csv->opts.separator] = true;
    r->line = csv->opts.first_line ? csv->opts.first_line : 1;
    csv->n_columns = csv->opts.columns;
    while (r->next < r->end)
        if (!pass_line(r))
            GRD_TRY(read_row(r));
    if (!r->n_rows)
        return grd_fail(csv->host, GRD_ERR_FORMAT, "%s: no line of data in %zu bytes", csv->name, csv->size);
    csv->n_rows = (int64_t)r->n_rows;
    return GRD_OK;
}

static grd_status check_opts(const grd_csv *csv)
{
    const grd_csv_opts *o = &csv->opts;
    bool bad = (o->separator && strchr("\"\r\n", o->separator)) || (o->comment && strchr("\"\r\n", o->comment));
    if (bad || (o->separator && o->separator == o->comment))
        return grd_fail(csv->host, GRD_ERR_ARG, "%s: separator and comment must be two bytes other than quote and line end",
                        csv->name);
    if (o->point != '.' && o->point != ',')
        return grd_fail(csv->host, GRD_ERR_ARG, "%s: decimal point '%c', expected . or ,", csv->name, o->point);
    return GRD_OK;
}

static grd_status parse(grd_csv *csv, grd_stream *stream)
{
    reader r = { .csv = csv };
    void *text;
    csv->opts.point = csv->opts.point ? csv->opts.point : '.';
    csv->opts.missing = csv->opts.missing ? csv->opts.missing : grd_csv_missing_words;
    GRD_TRY(check_opts(csv));
    GRD_TRY(grd_stream_all(stream, 0, &text, &csv->size));
    csv->text = text;
    grd_status status = parse_text(&r);
    csv->row = r.row;
    csv->cell = r.cell;
    csv->all_rows = r.row;
    csv->all_cells = r.cell;
    return status == GRD_OK ? name_columns(&r) : status;
}

static grd_status parse_stream(grd_host *host, const char *name, grd_stream *stream, const grd_csv_opts *opts, grd_csv *csv)
{
    *csv = (grd_csv){ .host = host };
    if (opts)
        csv->opts = *opts;
    csv->name = grd_strdup(host, name);
    grd_status status = csv->name ? parse(csv, stream) : GRD_ERR_MEMORY;
    grd_stream_close(stream);
    if (status != GRD_OK)
        grd_csv_close(csv);
    return status;
}

grd_status grd_csv_read(grd_host *host, const char *path, const grd_csv_opts *opts, grd_csv *csv)
{
    grd_stream *stream;
    *csv = (grd_csv){ .host = host };
    GRD_TRY(grd_stream_open(host, path, &stream));
    return parse_stream(host, path, stream, opts, csv);
}

grd_status grd_csv_parse(grd_host *host, const char *name, const void *bytes, size_t size, const grd_csv_opts *opts, grd_csv *csv)
{
    grd_stream *stream;
    *csv = (grd_csv){ .host = host };
    GRD_TRY(grd_stream_memory(host, name, bytes, size, &stream));
    return parse_stream(host, name, stream, opts, csv);
}

void grd_csv_close(grd_csv *csv)
{
    for (int k = 0; csv->opts.no_header && csv->column && k < csv->n_columns; k++)
        grd_free(csv->host, (void *)csv->column[k]);
    grd_free(csv->host, csv->column);
    grd_free(csv->host, csv->all_rows);
    grd_free(csv->host, csv->all_cells);
    grd_free(csv->host, csv->text);
    grd_free(csv->host, csv->name);
    *csv = (grd_csv){ .host = csv->host };
}

int grd_csv_find(const grd_csv *csv, const char *column)
{
    for (int k = 0; k < csv->n_columns; k++)
        if (strcmp(csv->column[k], column) == 0)
            return k;
    return -1;
}

grd_status grd_csv_column(const grd_csv *csv, const char *key, const char *name, int *column)
{
    char *end, hint[96], all[96] = "";
    long number = strtol(name, &end, 10);
    *column = grd_csv_find(csv, name);
    if (*column < 0 && end != name && !*end && number >= 1 && number <= csv->n_columns)
        *column = (int)number - 1;
    if (*column >= 0)
        return GRD_OK;
    grd_nearest nearest = { name, NULL, 0 };
    for (int k = 0; k < csv->n_columns; k++) {
        const size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s\"%s\"", k ? ", " : "; there are ", csv->column[k]);
        grd_nearest_try(&nearest, csv->column[k]);
    }
    return grd_fail(csv->host, GRD_ERR_ARG, "%s: %s: no column \"%.80s\"%s", csv->name, key, name,
                    nearest.best ? grd_nearest_text(&nearest, hint, sizeof hint) : all);
}
