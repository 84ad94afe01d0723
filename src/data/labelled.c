#include "data/labelled.h"

#include "base/file.h"
#include "data/texts.h"

#include <string.h>

enum { MOST_CLASSES = 65536, PATH = 2048 };

/* ---- a table ---- */

static grd_status open_table(grd_labelled *s, const grd_labelled_opts *o)
{
    static const char *const none[] = { NULL }; /* the table keeps a pointer to it */
    const grd_csv_opts csv = { .separator = strcmp(o->separator, "tab") == 0 ? '\t' : o->separator[0], .no_header = o->no_header,
                               .no_quotes = !o->quotes, .missing = none };
    if (strlen(o->separator) != 1 && strcmp(o->separator, "tab") != 0)
        return grd_fail(s->host, GRD_ERR_ARG, "separator: \"%.40s\", expected one character or tab", o->separator);
    GRD_TRY(grd_csv_read(s->host, s->path, &csv, &s->csv));
    s->table = true;
    GRD_TRY(grd_csv_column(&s->csv, "text", o->text, &s->text));
    GRD_TRY(grd_csv_column(&s->csv, "label", o->label, &s->label));
    if (s->text == s->label)
        return grd_fail(s->host, GRD_ERR_ARG, "%s: text and label are both column %d", s->path, s->text + 1);
    return s->csv.n_rows ? GRD_OK
                         : grd_fail(s->host, GRD_ERR_DATA, "%s: no texts, expected at least one", s->path);
}

static grd_status classes_of_table(const grd_labelled *s, grd_arena *arena, grd_class_names *classes)
{
    grd_csv_levels levels;
    GRD_TRY(grd_csv_levels_of(&s->csv, s->label, MOST_CLASSES, &levels));
    classes->n = levels.n;
    classes->name = grd_arena_alloc(arena, sizeof *classes->name * (size_t)levels.n);
    grd_status status = classes->name ? GRD_OK : GRD_ERR_MEMORY;
    for (int k = 0; k < levels.n && status == GRD_OK; k++)
        if (!(classes->name[k] = grd_arena_strdup(arena, levels.text[k])))
            status = GRD_ERR_MEMORY;
    grd_csv_levels_free(&levels);
    return status;
}

static grd_status each_row(const grd_labelled *s, grd_status (*visit)(void *user, const grd_labelled_text *text), void *user)
{
    for (int64_t i = 0; i < s->csv.n_rows; i++) {
        const char *text = grd_csv_cell(&s->csv, i, s->text);
        GRD_TRY(visit(user, &(grd_labelled_text){ text, grd_csv_cell(&s->csv, i, s->label), strlen(text), s->path,
                                                   s->csv.row[i].line }));
    }
    return GRD_OK;
}

/* ---- folders ---- */

static bool is_folder(const grd_labelled *s, const char *name)
{
    for (int i = 0; i < s->folders.n; i++)
        if (strcmp(s->folders.item[i], name) == 0)
            return true;
    return false;
}

static grd_status add_folder(grd_labelled *s, const char *name)
{
    grd_listing files;
    const char *dir = grd_arena_format(&s->arena, "%s/%s", s->path, name);
    if (!dir)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_list_texts(&s->arena, dir, &files));
    grd_status status = files.n ? GRD_OK : grd_fail(s->host, GRD_ERR_DATA, "%s: no texts in it (txt, txt.gz, txt.xz)", dir);
    for (int i = 0; i < files.n && status == GRD_OK; i++) {
        const char *path = grd_arena_format(&s->arena, "%s/%s", name, files.item[i]);
        if (path && GRD_RESERVE(s->host, &s->files))
            s->files.item[s->files.n++] = path;
        else
            status = GRD_ERR_MEMORY;
    }
    grd_free(s->host, files.item);
    return status;
}

/* Those that are given; else all. */
static grd_status open_folders(grd_labelled *s)
{
    GRD_TRY(grd_list_folders(&s->arena, s->path, true, &s->folders));
    if (s->folders.n == 0 || s->folders.n > MOST_CLASSES)
        return grd_fail(s->host, GRD_ERR_DATA, "%s: %d folders, expected one for each class", s->path, s->folders.n);
    for (int i = 0; i < s->n_given; i++) {
        if (!is_folder(s, s->given[i]))
            return grd_fail(s->host, GRD_ERR_DATA, "classes: %s: no folder \"%.80s\" in it", s->path, s->given[i]);
        GRD_TRY(add_folder(s, s->given[i]));
    }
    for (int i = 0; i < s->folders.n && !s->n_given; i++)
        GRD_TRY(add_folder(s, s->folders.item[i]));
    return GRD_OK;
}

static grd_status classes_of_folders(const grd_labelled *s, grd_arena *arena, grd_class_names *classes)
{
    classes->n = s->folders.n;
    classes->name = grd_arena_alloc(arena, sizeof *classes->name * (size_t)s->folders.n);
    for (int k = 0; k < s->folders.n && classes->name; k++)
        if (!(classes->name[k] = grd_arena_strdup(arena, s->folders.item[k])))
            return GRD_ERR_MEMORY;
    return classes->name ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status each_file(const grd_labelled *s, grd_status (*visit)(void *user, const grd_labelled_text *text), void *user)
{
    for (int i = 0; i < s->files.n; i++) {
        char path[PATH], label[PATH];
        grd_text_file file;
        const char *name = s->files.item[i];
        GRD_TRY(grd_path_join(s->host, path, sizeof path, s->path, name));
        snprintf(label, sizeof label, "%.*s", (int)strcspn(name, "/"), name);
        GRD_TRY(grd_text_open(s->host, path, &file));
        size_t size = file.size; /* the end of its last line is no part of a text */
        size -= size && file.bytes[size - 1] == '\n';
        size -= size && file.bytes[size - 1] == '\r';
        grd_status status = visit(user, &(grd_labelled_text){ file.bytes, label, size, name, 1 });
        grd_free(s->host, file.bytes);
        GRD_TRY(status);
    }
    return GRD_OK;
}

/* ---- either ---- */

static grd_status open_set(grd_labelled *s, const grd_labelled_opts *o, int part)
{
    if (!o->file == !o->folder)
        return grd_fail(s->host, GRD_ERR_ARG, "expected one of file (a text and its class a line) and folder (a folder "
                                              "for each class)");
    GRD_TRY(grd_text_names(&s->arena, "classes", o->classes, &s->given, &s->n_given));
    for (int i = 0; i < s->n_given; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(s->given[i], s->given[k]) == 0)
                return grd_fail(s->host, GRD_ERR_ARG, "classes: \"%.80s\" stands there twice", s->given[i]);
    GRD_TRY(grd_text_part(&s->arena, o->file ? "file" : "folder", o->file ? o->file : o->folder, part, &s->path));
    return o->file ? open_table(s, o) : open_folders(s);
}

grd_status grd_labelled_open(grd_host *host, const grd_labelled_opts *opts, int part, grd_labelled *set)
{
    *set = (grd_labelled){ .host = host };
    grd_arena_init(&set->arena, host);
    grd_status status = open_set(set, opts, part);
    if (status != GRD_OK)
        grd_labelled_close(set);
    return status;
}

void grd_labelled_close(grd_labelled *s)
{
    if (s->table)
        grd_csv_close(&s->csv);
    grd_free(s->host, s->folders.item);
    grd_free(s->host, s->files.item);
    grd_arena_free(&s->arena);
}

int64_t grd_labelled_count(const grd_labelled *s) { return s->table ? s->csv.n_rows : s->files.n; }

grd_status grd_labelled_classes(const grd_labelled *s, grd_arena *arena, grd_class_names *classes)
{
    *classes = (grd_class_names){ 0 };
    if (!s->n_given)
        return s->table ? classes_of_table(s, arena, classes) : classes_of_folders(s, arena, classes);
    classes->n = s->n_given;
    classes->name = grd_arena_alloc(arena, sizeof *classes->name * (size_t)s->n_given);
    for (int k = 0; k < s->n_given && classes->name; k++)
        if (!(classes->name[k] = grd_arena_strdup(arena, s->given[k])))
            return GRD_ERR_MEMORY;
    return classes->name ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_labelled_each(const grd_labelled *s, grd_status (*visit)(void *user, const grd_labelled_text *text), void *user)
{
    return s->table ? each_row(s, visit, user) : each_file(s, visit, user);
}
