#include "config/lists.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static char *trim(char *line)
{
    line += strspn(line, " \t");
    size_t n = strlen(line);
    while (n && strchr(" \t\r", line[n - 1]))
        line[--n] = 0;
    return line;
}

static grd_status add_line(grd_arena *arena, const char *path, int64_t number, char *line, bool with_word, grd_name_list *list)
{
    line = trim(line);
    if (!*line || *line == '#')
        return GRD_OK;
    char *word = NULL;
    if (with_word) {
        for (char *c = line; *c; c++)
            if (*c == ' ' || *c == '\t')
                word = c;
        if (!word)
            return grd_fail(arena->host, GRD_ERR_CONFIG, "%s:%lld: expected NAME LABEL, found \"%.60s\"", path, (long long)number, line);
        *word++ = 0;
        line = trim(line);
        list->word[list->n] = word;
    }
    list->name[list->n++] = line;
    return GRD_OK;
}

static grd_status split_lines(grd_arena *arena, const char *path, char *text, size_t size, bool with_word, grd_name_list *list)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    list->name = grd_arena_alloc(arena, lines * sizeof *list->name);
    list->word = grd_arena_alloc(arena, lines * sizeof *list->word);
    list->found = grd_arena_alloc(arena, lines * sizeof *list->found);
    if (!list->name || !list->word || !list->found)
        return GRD_ERR_MEMORY;
    int64_t number = 1;
    for (char *line = text, *end; line; line = end, number++) {
        end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        GRD_TRY(add_line(arena, path, number, line, with_word, list));
    }
    return GRD_OK;
}

grd_status grd_name_list_read(grd_arena *arena, const grd_yaml *where, const char *path, bool with_word, grd_name_list *list)
{
    void *bytes;
    size_t size;
    *list = (grd_name_list){ .n = 0 };
    grd_status status = grd_file_read(arena->host, path, 0, &bytes, &size);
    if (status != GRD_OK)
        return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(arena->host, where);
    char *text = grd_arena_alloc(arena, size + 1);
    if (text)
        memcpy(text, bytes, size); /* a zero byte ends the list early: then its last name is not found */
    grd_free(arena->host, bytes);
    return text ? split_lines(arena, path, text, size, with_word, list) : GRD_ERR_MEMORY;
}

static void replace(grd_dataset **set, grd_dataset *next)
{
    grd_dataset_free(*set);
    *set = next;
}

grd_status grd_name_list_exclude(grd_name_list *list, grd_dataset **set)
{
    grd_dataset *next;
    GRD_TRY(grd_dataset_named(*set, list->name, list->n, true, list->found, &next));
    replace(set, next);
    return GRD_OK;
}

/* A class by its number or its name. */
static bool read_label(const grd_dataset *set, const char *word, int32_t *label)
{
    char *end;
    long value = strtol(word, &end, 10);
    if (*word && !*end && value >= 0 && value <= INT32_MAX) {
        *label = (int32_t)value;
        return true;
    }
    const char *name;
    for (int32_t c = 0; (name = grd_dataset_class(set, c)); c++)
        if (strcmp(name, word) == 0) {
            *label = c;
            return true;
        }
    return false;
}

grd_status grd_name_list_relabel(grd_name_list *list, grd_arena *arena, const char *path, grd_dataset **set)
{
    grd_dataset *next;
    const char *first = grd_dataset_class(*set, 0);
    int32_t *label = grd_arena_alloc(arena, (size_t)list->n * sizeof *label);
    if (!label)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < list->n; i++)
        if (!read_label(*set, list->word[i], &label[i]))
            return grd_fail(arena->host, GRD_ERR_CONFIG, "%s: \"%.60s\": label \"%.60s\", expected a class' number or name%s%.60s%s", path,
                            list->name[i], list->word[i], first ? " (\"" : "", first ? first : "", first ? "\", ...)" : "");
    GRD_TRY(grd_dataset_relabel(*set, list->name, label, list->n, list->found, &next));
    replace(set, next);
    return GRD_OK;
}

grd_status grd_name_list_check(const grd_name_list *list, grd_host *host, const grd_yaml *where, const char *path)
{
    int64_t missing = 0, first = -1;
    for (int64_t i = 0; i < list->n; i++) {
        missing += !list->found[i];
        first = first < 0 && !list->found[i] ? i : first;
    }
    if (!missing)
        return GRD_OK;
    return grd_yaml_fail(host, where, "%s: %lld of %lld names are those of no sample, the first is \"%.100s\"", path, (long long)missing,
                         (long long)list->n, list->name[first]);
}
