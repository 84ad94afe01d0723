/* A column that holds pictures: their numbers, in one cell with blanks between, or the paths of their files. */
#include "data/table.h"

#include "data/dataset.h"

#include <string.h>

typedef struct cell {
    grd_host *host;
    const char *file, *column;
    uint64_t line;
} cell;

static grd_status bad(const cell *c, const char *format, ...) GRD_PRINTF(2, 3);

static grd_status bad(const cell *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    grd_status status = grd_vfail(c->host, GRD_ERR_DATA, format, args);
    va_end(args);
    grd_fail_in(c->host, "%s:%llu: column \"%.80s\": ", c->file, (unsigned long long)c->line, c->column);
    return status;
}

/* ---- numbers ---- */

static grd_status read_shape(grd_host *host, const grd_ints *given, grd_shape *shape)
{
    *shape = (grd_shape){ 3, { 1, 0, 0 } };
    int64_t count = 1;
    bool fits = given->n == 2 || given->n == 3;
    for (int k = 0; k < given->n && fits; k++) {
        const int64_t d = shape->dim[3 - given->n + k] = given->v[k];
        fits = d > 0 && d <= INT32_MAX / count;
        count *= fits ? d : 1;
    }
    return fits ? GRD_OK
                : grd_fail(host, GRD_ERR_ARG, "image_shape: expected [height, width] or [channels, height, width] of a picture "
                                              "of at most %d numbers", INT32_MAX);
}

static bool is_gap(char c) { return c == ' ' || c == '\t'; }

static int64_t count_numbers(const char *text)
{
    int64_t n = 0;
    for (const char *c = text; *c; c++)
        n += !is_gap(*c) && (c == text || is_gap(c[-1]));
    return n;
}

static grd_status read_pixels(const cell *c, const char *text, const grd_shape *shape, uint8_t *out)
{
    const int64_t expected = shape->dim[0] * shape->dim[1] * shape->dim[2];
    const char *at = text;
    for (int64_t i = 0;; i++) {
        for (; is_gap(*at); at++)
            ;
        if (!*at || i == expected) {
            const int64_t found = count_numbers(text);
            return found == expected ? GRD_OK
                                     : bad(c, "%lld numbers, expected %lld of a picture of %lld x %lld x %lld", (long long)found,
                                           (long long)expected, (long long)shape->dim[0], (long long)shape->dim[1],
                                           (long long)shape->dim[2]);
        }
        const char *begin = at;
        int v = 0;
        for (; *at >= '0' && *at <= '9' && v <= 255; at++)
            v = 10 * v + (*at - '0');
        if (at == begin || v > 255 || (*at && !is_gap(*at)))
            return bad(c, "number %lld is \"%.*s\", expected a whole number from 0 to 255", (long long)i + 1,
                       (int)(strcspn(begin, " \t") < 40 ? strcspn(begin, " \t") : 40), begin);
        out[i] = (uint8_t)v;
    }
}

/* ---- all rows ---- */

static grd_status make_room(grd_table *t, int64_t n, bool numbers)
{
    size_t bytes = (size_t)n;
    if (!numbers) {
        t->image_path = grd_arena_alloc(&t->arena, sizeof *t->image_path * (size_t)n);
        return t->image_path ? GRD_OK : GRD_ERR_MEMORY;
    }
    for (int k = 0; k < 3; k++)
        if (!grd_size_mul(bytes, (size_t)t->image_shape.dim[k], &bytes))
            return grd_fail(t->host, GRD_ERR_MEMORY, "out of memory: %lld pictures", (long long)n);
    t->pixels = grd_alloc_raw(t->host, bytes);
    return t->pixels ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_table_images(const grd_csv *csv, int image, const int64_t *row, int64_t n, const grd_table_opts *o, grd_table *t)
{
    const bool numbers = o->image_shape.n > 0;
    if (image < 0)
        return !numbers && !o->image_root
                   ? GRD_OK
                   : grd_fail(t->host, GRD_ERR_ARG, "image_shape and image_root speak of pictures: give image");
    if (numbers && (o->image_root || o->view.cache || o->view.min_size))
        return grd_fail(t->host, GRD_ERR_ARG,
                        "image_root, cache and min_size are of pictures in files, image_shape of numbers in cells");
    if (numbers)
        GRD_TRY(read_shape(t->host, &o->image_shape, &t->image_shape));
    GRD_TRY(make_room(t, n, numbers));
    const int64_t size = t->image_shape.dim[0] * t->image_shape.dim[1] * t->image_shape.dim[2];
    for (int64_t i = 0; i < n; i++) {
        const cell c = { t->host, csv->name, csv->column[image], csv->row[row[i]].line };
        const char *text = grd_csv_cell(csv, row[i], image);
        if (grd_csv_is_missing(csv, text))
            return bad(&c, "the picture is missing");
        if (numbers)
            GRD_TRY(read_pixels(&c, text, &t->image_shape, t->pixels + i * size));
        else if (!(t->image_path[i] = grd_arena_strdup(&t->arena, text)))
            return GRD_ERR_MEMORY;
    }
    return GRD_OK;
}
