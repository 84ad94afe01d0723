/* Building, merging and printing config trees. */
#include "config/tree.h"

#include <string.h>

grd_yaml *grd_yaml_new(grd_arena *arena, grd_yaml_kind kind, const grd_yaml *where)
{
    grd_yaml *node = grd_arena_alloc(arena, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    if (where) {
        node->file = where->file;
        node->line = where->line;
        node->key = where->key;
    }
    return node;
}

bool grd_yaml_is_null(const grd_yaml *node)
{
    return node->kind == GRD_YAML_SCALAR && !node->quoted &&
           (!node->text[0] || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

bool grd_yaml_is(const grd_yaml *node, const char *text)
{
    return node && node->kind == GRD_YAML_SCALAR && strcmp(node->text, text) == 0;
}

static grd_yaml *find(const grd_yaml *map, const char *key)
{
    if (map && map->kind == GRD_YAML_MAP)
        for (grd_yaml *c = map->first; c; c = c->next)
            if (strcmp(c->key, key) == 0)
                return c;
    return NULL;
}

const grd_yaml *grd_yaml_get(const grd_yaml *map, const char *key)
{
    const grd_yaml *child = find(map, key);
    return child && !grd_yaml_is_null(child) ? child : NULL;
}

void grd_yaml_append(grd_yaml *parent, grd_yaml *child)
{
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->n++;
}

bool grd_yaml_same(const grd_yaml *a, const grd_yaml *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->n != b->n ||
        (a->kind == GRD_YAML_SCALAR && (strcmp(a->text, b->text) != 0 || a->quoted != b->quoted)))
        return false;
    const grd_yaml *d = b->first;
    for (const grd_yaml *c = a->first; c; c = c->next, d = d->next)
        if ((c->key && strcmp(c->key, d->key) != 0) || !grd_yaml_same(c, d))
            return false;
    return true;
}

grd_yaml *grd_yaml_copy(grd_arena *arena, const grd_yaml *node)
{
    grd_yaml *copy = grd_yaml_new(arena, node->kind, node);
    if (!copy)
        return NULL;
    copy->text = node->text;
    copy->quoted = node->quoted;
    for (const grd_yaml *c = node->first; c; c = c->next) {
        grd_yaml *child = grd_yaml_copy(arena, c);
        if (!child)
            return NULL;
        grd_yaml_append(copy, child);
    }
    return copy;
}

/* Keys whose value is one row and its options: two different rows do not merge. */
static bool names_row(const char *key)
{
    static const char *const rows[] = { "optim", "schedule", "loss" };
    for (size_t i = 0; key && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(key, rows[i]) == 0)
            return true;
    return false;
}

static bool merges(const grd_yaml *base, const grd_yaml *over)
{
    if (base->kind != GRD_YAML_MAP || over->kind != GRD_YAML_MAP)
        return false;
    return !names_row(over->key) || (base->n == 1 && over->n == 1 && strcmp(base->first->key, over->first->key) == 0);
}

grd_yaml *grd_yaml_merge(grd_arena *arena, const grd_yaml *base, const grd_yaml *over)
{
    if (!base || !over || !merges(base, over))
        return grd_yaml_copy(arena, over ? over : base);
    grd_yaml *both = grd_yaml_new(arena, GRD_YAML_MAP, over->line ? over : base); /* a whole map is not one override's fault */
    if (!both)
        return NULL;
    for (const grd_yaml *b = base->first; b; b = b->next) {
        grd_yaml *child = grd_yaml_merge(arena, b, find(over, b->key));
        if (!child)
            return NULL;
        grd_yaml_append(both, child);
    }
    for (const grd_yaml *o = over->first; o; o = o->next) {
        if (find(base, o->key))
            continue;
        grd_yaml *child = grd_yaml_copy(arena, o);
        if (!child)
            return NULL;
        grd_yaml_append(both, child);
    }
    return both;
}

/* ---- errors ---- */

grd_status grd_yaml_fail(grd_host *host, const grd_yaml *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    grd_vfail(host, GRD_ERR_CONFIG, format, args);
    va_end(args);
    return grd_yaml_fail_in(host, node);
}

grd_status grd_yaml_fail_in(grd_host *host, const grd_yaml *node)
{
    if (host->err.status == GRD_ERR_MEMORY)
        return GRD_ERR_MEMORY;
    host->err.status = GRD_ERR_CONFIG;
    if (node->line)
        return grd_fail_in(host, "%s:%d: ", node->file, node->line);
    return grd_fail_in(host, "%s: ", node->file);
}

const char *grd_yaml_kind_name(const grd_yaml *node)
{
    static const char *const names[] = { "a single value", "a list", "a map" };
    return grd_yaml_is_null(node) ? "nothing" : names[node->kind];
}

/* ---- printing ---- */

/* Whether text may stand without quotes, in flow style too. */
static bool is_plain(const char *text)
{
    size_t n = strlen(text);
    if (!n || strchr("-?:,[]{}#&*!|>'\"%@` ~", text[0]) || text[n - 1] == ' ' || text[n - 1] == ':') {
        bool number = n > 1 && text[0] == '-' && strchr("0123456789.", text[1]);
        if (!number)
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || strchr(",[]{}\"'\\", text[i]) || strncmp(text + i, ": ", 2) == 0 ||
            strncmp(text + i, " #", 2) == 0)
            return false;
    return strcmp(text, "null") != 0 && strncmp(text, "...", 3) != 0;
}

static void print_text(const char *text, FILE *out)
{
    if (is_plain(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            fprintf(out, "\\x%02x", (unsigned)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

/* Letters in flow style, roughly; over `most` it stops counting. */
static size_t flow_length(const grd_yaml *node, size_t most)
{
    size_t length = (node->key ? strlen(node->key) + 2 : 0) + 2;
    if (node->kind == GRD_YAML_SCALAR)
        return length + strlen(node->text);
    for (const grd_yaml *c = node->first; c && length <= most; c = c->next)
        length += flow_length(c, most) + 2;
    return length;
}

static void print_flow(const grd_yaml *node, FILE *out)
{
    if (node->kind == GRD_YAML_SCALAR) {
        if (grd_yaml_is_null(node))
            fputs("~", out);
        else
            print_text(node->text, out);
        return;
    }
    bool map = node->kind == GRD_YAML_MAP;
    fputc(map ? '{' : '[', out);
    for (const grd_yaml *c = node->first; c; c = c->next) {
        if (map) {
            print_text(c->key, out);
            fputs(": ", out);
        }
        print_flow(c, out);
        if (c->next)
            fputs(", ", out);
    }
    fputc(map ? '}' : ']', out);
}

void grd_yaml_print_at(const grd_yaml *node, int indent, FILE *out)
{
    enum { WIDTH = 110 };
    for (const grd_yaml *c = node->first; c; c = c->next) {
        fprintf(out, "%*s", indent, "");
        if (node->kind == GRD_YAML_MAP) {
            print_text(c->key, out);
            fputc(':', out);
        } else {
            fputc('-', out);
        }
        if (c->kind == GRD_YAML_SCALAR || c->n == 0 || flow_length(c, WIDTH) + (size_t)indent <= WIDTH) {
            fputc(' ', out);
            print_flow(c, out);
            fputc('\n', out);
        } else {
            fputc('\n', out);
            grd_yaml_print_at(c, indent + 2, out);
        }
    }
}

void grd_yaml_print(const grd_yaml *map, FILE *out)
{
    if (map->n)
        grd_yaml_print_at(map, 0, out);
    else
        fputs("{}\n", out);
}
