#include "data/file_list.h"

#include "data/listing.h"
#include "data/words.h"
#include "format/number.h"

#include <math.h>
#include <string.h>

enum { MOST_NUMBERS = 1 << 16 };

static const char *const column_name[] = { "-", "image", "mask", "label", "points", "target" };
enum { KINDS = sizeof column_name / sizeof *column_name };

/* ---- columns ---- */

static bool are_numbers(grd_list_column column) { return column == GRD_LIST_POINTS || column == GRD_LIST_TARGET; }

static bool has_column(const grd_list_rule *rule, grd_list_column column)
{
    for (int c = 0; c < rule->n; c++)
        if (rule->column[c] == column)
            return true;
    return false;
}

static grd_status add_column(grd_host *host, const char *text, const char *word, grd_list_rule *rule)
{
    int kind = 0;
    while (kind < KINDS && strcmp(column_name[kind], word) != 0)
        kind++;
    if (kind == KINDS)
        return grd_fail(host, GRD_ERR_ARG, "columns: \"%.40s\", expected image, mask, label, points, target or -", word);
    if (rule->n == GRD_LIST_COLUMNS)
        return grd_fail(host, GRD_ERR_ARG, "columns: \"%.60s\": more than %d", text, GRD_LIST_COLUMNS);
    if (rule->n > 0 && are_numbers(rule->column[rule->n - 1]))
        return grd_fail(host, GRD_ERR_ARG, "columns: \"%.60s\": %s takes the rest of the line and comes last", text,
                        column_name[rule->column[rule->n - 1]]);
    if (kind != GRD_LIST_SKIP && has_column(rule, (grd_list_column)kind))
        return grd_fail(host, GRD_ERR_ARG, "columns: \"%.60s\": %s twice", text, word);
    rule->column[rule->n++] = (grd_list_column)kind;
    return GRD_OK;
}

grd_status grd_list_columns(grd_host *host, const char *text, grd_list_rule *rule)
{
    char copy[256], *rest = copy;
    rule->n = 0;
    if (strlen(text) >= sizeof copy)
        return grd_fail(host, GRD_ERR_ARG, "columns: %zu letters, expected names of columns", strlen(text));
    memcpy(copy, text, strlen(text) + 1);
    for (char *c = copy; (c = strchr(c, ','));)
        *c = ' ';
    for (char *word; (word = grd_next_word(&rest, ' '));)
        GRD_TRY(add_column(host, text, word, rule));
    return has_column(rule, GRD_LIST_IMAGE) ? GRD_OK : grd_fail(host, GRD_ERR_ARG, "columns: \"%.60s\": no image", text);
}

/* ---- lines ---- */

typedef struct reading {
    grd_pictures *p;
    const char *file;
    const grd_list_rule *rule;
    grd_label_words *words;
    grd_lines lines;
    char separator;
} reading;

static grd_status bad_line(const reading *r, const char *what)
{
    return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: %s", r->file, (long long)r->lines.number, what);
}

static grd_status add_number(const reading *r, const char *word, int64_t *n)
{
    double value;
    if (!grd_parse_number(word, '.', &value) || !isfinite(value) || !isfinite((float)value))
        return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: \"%.40s\", expected a number", r->file, (long long)r->lines.number,
                        word);
    if (++*n > MOST_NUMBERS)
        return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: more than %d numbers", r->file, (long long)r->lines.number,
                        MOST_NUMBERS);
    if (r->p->number.n >= INT32_MAX / 2)
        return bad_line(r, "too many numbers for one list");
    if (!GRD_RESERVE(r->p->host, &r->p->number))
        return GRD_ERR_MEMORY;
    r->p->number.item[r->p->number.n++] = (float)value;
    return GRD_OK;
}

/* The rest of a line; the first line decides how many there are. */
static grd_status add_numbers(const reading *r, char *word, char **rest, grd_list_column column)
{
    int64_t n = 0;
    for (; word; word = grd_next_word(rest, r->separator))
        GRD_TRY(add_number(r, word, &n));
    if (r->p->n_numbers && n != r->p->n_numbers)
        return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: %lld numbers, expected %lld as before", r->file,
                        (long long)r->lines.number, (long long)n, (long long)r->p->n_numbers);
    if (column == GRD_LIST_POINTS && n % 2)
        return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: %lld numbers, expected an x and a y for each point", r->file,
                        (long long)r->lines.number, (long long)n);
    r->p->n_numbers = n;
    r->p->number_name = column_name[column];
    return GRD_OK;
}

static grd_status keep_label(const reading *r, const char *word)
{
    if (!GRD_RESERVE(r->p->host, r->words))
        return GRD_ERR_MEMORY;
    r->words->item[r->words->n] = grd_arena_strdup(&r->p->texts, word);
    return r->words->item[r->words->n++] ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status path_of(const reading *r, const char *pattern, const char *word, const char **path)
{
    if (strlen(word) > 1000)
        return bad_line(r, "a path of more than 1000 letters");
    *path = grd_fill_path(&r->p->texts, pattern, r->rule->part, word);
    return *path ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status take_word(const reading *r, grd_list_column column, char *word, char **rest, grd_listed *item)
{
    switch (column) { /* columns, not ops */
    case GRD_LIST_IMAGE:
        GRD_TRY(path_of(r, r->rule->image, word, &item->image));
        return r->rule->mask && !has_column(r->rule, GRD_LIST_MASK) ? path_of(r, r->rule->mask, word, &item->mask) : GRD_OK;
    case GRD_LIST_MASK:
        return path_of(r, r->rule->mask ? r->rule->mask : "{}", word, &item->mask);
    case GRD_LIST_LABEL:
        return keep_label(r, word);
    case GRD_LIST_POINTS:
    case GRD_LIST_TARGET:
        return add_numbers(r, word, rest, column);
    case GRD_LIST_SKIP:
        break;
    }
    return GRD_OK;
}

static grd_status take_line(const reading *r, char *line)
{
    const grd_list_rule *rule = r->rule;
    grd_listed item = { .line = r->lines.number };
    char *rest = line;
    if (rule->n == 1) { /* a path may hold blanks where nothing else is on its line */
        GRD_TRY(take_word(r, rule->column[0], line, &rest, &item));
        return grd_pictures_add(r->p, &item);
    }
    for (int c = 0; c < rule->n; c++) {
        char *word = grd_next_word(&rest, r->separator);
        if (!word || !*word)
            return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: %d words, expected %d: no %s", r->file,
                            (long long)r->lines.number, c, rule->n, rule->column[c] ? column_name[rule->column[c]] : "more");
        GRD_TRY(take_word(r, rule->column[c], word, &rest, &item));
    }
    char *more = grd_next_word(&rest, r->separator);
    if (more)
        return grd_fail(r->p->host, GRD_ERR_FORMAT, "%s:%lld: \"%.40s\" after the last of %d columns", r->file,
                        (long long)r->lines.number, more, rule->n);
    return grd_pictures_add(r->p, &item);
}

grd_status grd_list_parse(grd_pictures *p, const char *file, char *text, size_t size, const grd_list_rule *rule,
                          grd_label_words *words)
{
    reading r = { .p = p, .file = file, .rule = rule, .words = words, .separator = rule->separator };
    *words = (grd_label_words){ 0 };
    p->has_label = has_column(rule, GRD_LIST_LABEL);
    p->has_mask = rule->mask || has_column(rule, GRD_LIST_MASK);
    GRD_TRY(grd_lines_start(&r.lines, p->host, file, text, size));
    for (char *line; (line = grd_lines_next(&r.lines));) {
        if (!r.separator)
            r.separator = strchr(line, '\t') ? '\t' : strchr(line, ',') ? ',' : ' ';
        GRD_TRY(take_line(&r, line));
    }
    return p->list.n ? GRD_OK : grd_fail(p->host, GRD_ERR_FORMAT, "%s: no samples, expected one a line", file);
}

/* ---- labels ---- */

grd_status grd_list_classes(grd_arena *arena, const char *file, const grd_label_words *words, grd_class_names *classes)
{
    int64_t value, most = -1;
    bool numbers = true;
    for (int i = 0; i < words->n && numbers; i++) {
        numbers = grd_parse_integer(words->item[i], &value) && value >= 0;
        most = numbers && value > most ? value : most;
    }
    *classes = (grd_class_names){ .n = (int)(most + 1) };
    if (numbers && most < GRD_CLASSES_MAX)
        return GRD_OK;
    if (!numbers)
        GRD_TRY(grd_class_names_of(arena, words->item, words->n, classes));
    if (numbers || classes->n > GRD_CLASSES_MAX)
        return grd_fail(arena->host, GRD_ERR_DATA, "%s: %lld classes, expected at most %d", file,
                        numbers ? (long long)most + 1 : (long long)classes->n, GRD_CLASSES_MAX);
    return GRD_OK;
}

grd_status grd_list_labels(grd_pictures *p, const char *file, const grd_label_words *words)
{
    const grd_class_names *classes = &p->classes;
    for (int i = 0; i < words->n; i++) {
        int64_t label = grd_class_names_find(classes, words->item[i]), line = p->list.item[i].line;
        bool number = label < 0 && grd_parse_integer(words->item[i], &label);
        if (label < 0 || label >= classes->n)
            return number || !classes->name
                       ? grd_fail(p->host, GRD_ERR_DATA, "%s:%lld: label %.40s, expected 0..%d", file, (long long)line,
                                  words->item[i], classes->n - 1)
                       : grd_fail(p->host, GRD_ERR_DATA, "%s:%lld: label \"%.40s\", expected one of %d classes (%.40s, ...)",
                                  file, (long long)line, words->item[i], classes->n, classes->name[0]);
        p->list.item[i].label = (int32_t)label;
    }
    return GRD_OK;
}
