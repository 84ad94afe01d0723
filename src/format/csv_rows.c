#include "format/csv_rows.h"

#include "format/stream.h"

#include <string.h>

enum { BLOCK = 1 << 16, MOST = 1 << 30 }; /* bytes of a block, but for a row that is longer; of such a row */

/* Bytes of the whole rows at the beginning of text[0..n). A quote counts where a cell begins, as for the parser. */
static size_t whole_rows(const char *text, size_t n, const grd_csv_opts *o)
{
    size_t whole = 0;
    bool quoted = false, begins = true; /* a cell */
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (quoted) {
            quoted = c != '"' || (i + 1 < n && text[i + 1] == '"');
            i += c == '"' && quoted;
            continue;
        }
        quoted = c == '"' && begins && !o->no_quotes;
        begins = c == o->separator || c == '\n' || c == '\r';
        if (c == '\n' || (c == '\r' && i + 1 < n && text[i + 1] != '\n'))
            whole = i + 1;
    }
    return whole;
}

static uint64_t lines_in(const char *text, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n' || (text[i] == '\r' && (i + 1 == n || text[i + 1] != '\n'));
    return lines;
}

/* Makes `want` bytes available, if there are so many. */
static grd_status fill(grd_csv_rows *r, size_t want)
{
    size_t got, have = r->filled - r->taken;
    if (have >= want || r->all)
        return GRD_OK;
    if (want > r->room) {
        char *larger = grd_alloc_raw(r->host, want);
        if (!larger)
            return grd_fail_in(r->host, "%s: a row of more than %zu bytes: ", grd_stream_name(r->stream), want / 2);
        if (have)
            memcpy(larger, r->text + r->taken, have);
        grd_free(r->host, r->text);
        r->text = larger;
        r->room = want;
    } else if (r->taken) {
        memmove(r->text, r->text + r->taken, have);
    }
    r->taken = 0;
    r->filled = have;
    GRD_TRY(grd_stream_read(r->stream, r->text + have, want - have, &got));
    r->filled += got;
    r->all = got < want - have;
    return GRD_OK;
}

/* The next bytes that are rows as a whole; *n 0: the end. */
static grd_status take(grd_csv_rows *r, size_t *n)
{
    for (size_t window = BLOCK;; window *= 2) {
        GRD_TRY(fill(r, window));
        const size_t have = r->filled - r->taken;
        if (r->all && have <= window) {
            *n = have;
            return GRD_OK;
        }
        *n = whole_rows(r->text + r->taken, window, &r->opts);
        if (*n)
            return GRD_OK;
        if (window >= MOST)
            return grd_fail(r->host, GRD_ERR_FORMAT,
                            "%s:%llu: a row of more than %d bytes, or a quote that is never closed",
                            grd_stream_name(r->stream), (unsigned long long)r->next.line, MOST);
    }
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] != '\n' && text[i] != '\r')
            return false;
    return true;
}

grd_status grd_csv_rows_next(grd_csv_rows *r, bool *end)
{
    size_t n;
    bool blank;
    if (r->block.n_columns)
        grd_csv_close(&r->block);
    do {
        r->place = r->next;
        GRD_TRY(take(r, &n));
        blank = is_blank(r->text + r->taken, n);
        *end = n == 0;
        if (!*end && !blank) {
            grd_csv_opts opts = r->opts;
            opts.first_line = r->place.line;
            opts.no_header = opts.no_header || r->place.offset > 0;
            GRD_TRY(grd_csv_parse(r->host, grd_stream_name(r->stream), r->text + r->taken, n, &opts, &r->block));
            r->opts.columns = r->block.n_columns;
        }
        r->next.line += lines_in(r->text + r->taken, n);
        r->next.offset += n;
        r->taken += n;
    } while (blank && !*end);
    return GRD_OK;
}

grd_status grd_csv_rows_open(grd_host *host, const char *path, const grd_csv_opts *opts, const grd_csv_place *place,
                             grd_csv_rows *rows)
{
    uint64_t passed;
    *rows = (grd_csv_rows){ .host = host, .opts = *opts, .next = place ? *place : (grd_csv_place){ 0, 1 } };
    GRD_TRY(grd_stream_open(host, path, &rows->stream));
    grd_status status = grd_stream_skip(rows->stream, rows->next.offset, &passed);
    if (status == GRD_OK && passed < rows->next.offset)
        status = grd_fail(host, GRD_ERR_DATA, "%s: it has %llu bytes, expected at least %llu: it has changed", path,
                          (unsigned long long)passed, (unsigned long long)rows->next.offset);
    if (status != GRD_OK)
        grd_csv_rows_close(rows);
    return status;
}

void grd_csv_rows_close(grd_csv_rows *r)
{
    if (r->block.n_columns)
        grd_csv_close(&r->block);
    grd_stream_close(r->stream);
    grd_free(r->host, r->text);
    *r = (grd_csv_rows){ .host = r->host };
}
