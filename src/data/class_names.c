#include "data/class_names.h"

#include "base/file.h"
#include "data/words.h"
#include "format/number.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 22 };

typedef struct reading {
    grd_arena *arena;
    const char *file;
    grd_class_names *out;
    int64_t line;
    bool numbered; /* lines begin with the class's number */
} reading;

static grd_status give_up(reading *r, const char *text, const char *expected)
{
    return grd_fail(r->arena->host, GRD_ERR_FORMAT, "%s:%lld: \"%.60s\", expected %s", r->file, (long long)r->line, text,
                    expected);
}

/* Takes three numbers 0..255 from the end of the line; false: they are not there. */
static bool take_color(char *line, uint8_t color[3])
{
    char *cut = line + strlen(line);
    for (int c = 2; c >= 0; c--) {
        int64_t value;
        while (cut > line && grd_is_blank(cut[-1]))
            cut--;
        *cut = 0;
        while (cut > line && !grd_is_blank(cut[-1]))
            cut--;
        if (cut == line || !grd_parse_integer(cut, &value) || value < 0 || value > 255)
            return false;
        color[c] = (uint8_t)value;
    }
    *cut = 0;
    grd_trim_end(line);
    return true;
}

/* One class; `line` is cut to pieces. */
static grd_status take_line(reading *r, char *line)
{
    grd_class_names *out = r->out;
    char whole[64];
    snprintf(whole, sizeof whole, "%s", line);
    if (out->n == GRD_CLASSES_MAX)
        return give_up(r, whole, "65536 classes at most");
    char *name = line;
    int64_t number;
    size_t digits = strspn(line, "0123456789");
    bool numbered = digits && grd_is_blank(line[digits]);
    if (numbered) {
        line[digits] = 0;
        if (!grd_parse_integer(line, &number) || number != out->n)
            return give_up(r, whole, "the classes' numbers to count from 0");
        name = grd_skip_blanks(line + digits + 1);
    }
    if (out->n > 0 && numbered != r->numbered)
        return give_up(r, whole, "a number on each line or on none");
    r->numbered = numbered;
    uint8_t color[3];
    bool colored = numbered && take_color(name, color);
    if (numbered && !*name)
        return give_up(r, whole, "a name after the number");
    if (out->n > 0 && colored != (out->color != NULL))
        return give_up(r, whole, "a colour on each line or on none");
    if (colored && !out->color)
        out->color = grd_arena_alloc(r->arena, GRD_CLASSES_MAX * sizeof *out->color);
    if (colored && !out->color)
        return GRD_ERR_MEMORY;
    if (colored)
        memcpy(out->color[out->n], color, 3);
    out->name[out->n++] = name;
    return GRD_OK;
}

/* ---- nothing twice ---- */

static int by_bytes(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static grd_status check_names(reading *r)
{
    grd_class_names *out = r->out, sorted;
    GRD_TRY(grd_class_names_of(r->arena, out->name, out->n, &sorted));
    if (sorted.n == out->n)
        return GRD_OK;
    for (int i = 0; i < out->n; i++)
        if (grd_class_names_find(out, out->name[i]) < i)
            return grd_fail(r->arena->host, GRD_ERR_FORMAT, "%s: two classes are called \"%.60s\"", r->file, out->name[i]);
    return GRD_OK;
}

static grd_status check_colors(reading *r)
{
    const grd_class_names *out = r->out;
    uint8_t *seen = grd_alloc(r->arena->host, (size_t)1 << 21); /* a bit a colour */
    if (!seen)
        return GRD_ERR_MEMORY;
    grd_status status = GRD_OK;
    for (int i = 0; i < out->n && status == GRD_OK; i++) {
        const uint8_t *c = out->color[i];
        uint32_t at = (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
        if (seen[at / 8] >> at % 8 & 1)
            status = grd_fail(r->arena->host, GRD_ERR_FORMAT, "%s: class %d (%.60s): another class has its colour %d %d %d",
                              r->file, i, out->name[i], c[0], c[1], c[2]);
        seen[at / 8] |= (uint8_t)(1 << at % 8);
    }
    grd_free(r->arena->host, seen);
    return status;
}

/* ---- from outside ---- */

grd_status grd_class_names_parse(grd_arena *arena, const char *file, const char *text, size_t size, grd_class_names *names)
{
    *names = (grd_class_names){ 0 };
    reading r = { .arena = arena, .file = file, .out = names };
    grd_lines lines;
    char *copy = grd_arena_alloc(arena, size + 1);
    names->name = grd_arena_alloc(arena, GRD_CLASSES_MAX * sizeof *names->name);
    if (!copy || !names->name)
        return GRD_ERR_MEMORY;
    memcpy(copy, text, size);
    GRD_TRY(grd_lines_start(&lines, arena->host, file, copy, size));
    for (char *line; (line = grd_lines_next(&lines));) {
        r.line = lines.number;
        GRD_TRY(take_line(&r, line));
    }
    if (names->n == 0)
        return grd_fail(arena->host, GRD_ERR_FORMAT, "%s: no classes, expected one a line", file);
    GRD_TRY(check_names(&r));
    return names->color ? check_colors(&r) : GRD_OK;
}

grd_status grd_class_names_read(grd_arena *arena, const char *root, const char *spec, grd_class_names *names)
{
    int64_t n;
    char path[1024];
    void *text;
    size_t size;
    *names = (grd_class_names){ 0 };
    if (grd_parse_integer(spec, &n)) {
        if (n < 1 || n > GRD_CLASSES_MAX)
            return grd_fail(arena->host, GRD_ERR_ARG, "classes: %lld, expected 1 to %d or a file of names", (long long)n,
                            GRD_CLASSES_MAX);
        names->n = (int)n;
        return GRD_OK;
    }
    GRD_TRY(grd_path_join(arena->host, path, sizeof path, root, spec));
    GRD_TRY(grd_file_read(arena->host, path, MOST_BYTES, &text, &size));
    grd_status status = grd_class_names_parse(arena, path, text, size, names);
    grd_free(arena->host, text);
    return status;
}

grd_status grd_class_names_of(grd_arena *arena, const char *const *text, int n, grd_class_names *names)
{
    *names = (grd_class_names){ 0 };
    names->name = grd_arena_alloc(arena, sizeof *names->name * (size_t)(n > 0 ? n : 1));
    if (!names->name)
        return GRD_ERR_MEMORY;
    if (n > 0) {
        memcpy(names->name, text, sizeof *text * (size_t)n);
        qsort(names->name, (size_t)n, sizeof *names->name, by_bytes);
    }
    for (int i = 0; i < n; i++)
        if (names->n == 0 || strcmp(names->name[names->n - 1], names->name[i]) != 0)
            names->name[names->n++] = names->name[i];
    return GRD_OK;
}

int grd_class_names_find(const grd_class_names *names, const char *name)
{
    for (int i = 0; names->name && i < names->n; i++)
        if (strcmp(names->name[i], name) == 0)
            return i;
    return -1;
}
