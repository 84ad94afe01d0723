/* A text file of samples, one a line: file_list.h knows its form. */
#include "data/file_list.h"
#include "data/listing.h"
#include "data/rows.h"

#include "base/file.h"

#include <string.h>

typedef struct opts {
    const char *list;
    int part;
    const char *columns, *root, *image, *mask;
    int separator;
    const char *classes;
    int64_t no_label;
    grd_pictures_opts view;
} opts;

/* The list of `part` into p; path: where it is. */
static grd_status read_list(grd_pictures *p, const opts *o, int part, grd_list_rule rule, const char **path,
                            grd_label_words *words)
{
    void *text;
    size_t size;
    *words = (grd_label_words){ 0 };
    *path = grd_fill_path(&p->texts, o->list, part, "");
    if (!*path)
        return GRD_ERR_MEMORY;
    rule.part = part;
    GRD_TRY(grd_file_read(p->host, *path, 0, &text, &size));
    grd_status status = grd_list_parse(p, *path, text, size, &rule, words);
    grd_free(p->host, text);
    return status;
}

/* Classes are those of the training part's list: every part gives a class the same number. */
static grd_status classes_of_training(grd_pictures *p, const opts *o, const grd_list_rule *rule)
{
    grd_pictures *training;
    grd_label_words words;
    const char *path;
    GRD_TRY(grd_pictures_new(p->host, &o->view, "", &training));
    grd_status status = read_list(training, o, 0, *rule, &path, &words);
    if (status == GRD_OK)
        status = grd_list_classes(&p->texts, path, &words, &p->classes);
    for (int i = 0; i < p->classes.n && p->classes.name && status == GRD_OK; i++) { /* they lie in training's arena */
        p->classes.name[i] = grd_arena_strdup(&p->texts, p->classes.name[i]);
        status = p->classes.name[i] ? GRD_OK : GRD_ERR_MEMORY;
    }
    grd_free(p->host, words.item);
    grd_pictures_close(training);
    return status;
}

static grd_status find_classes(grd_pictures *p, const opts *o, const grd_list_rule *rule, const char *path,
                               const grd_label_words *words)
{
    if (o->classes)
        return grd_class_names_read(&p->texts, p->root, o->classes, &p->classes);
    if (p->has_mask)
        return grd_fail(p->host, GRD_ERR_ARG, "classes: not given; for masks, their number or a file of names, a class a line");
    if (!p->has_label)
        return GRD_OK;
    return o->part == 0 ? grd_list_classes(&p->texts, path, words, &p->classes) : classes_of_training(p, o, rule);
}

static grd_status fill(grd_pictures *p, const opts *o, grd_ctx *ctx)
{
    static const char separators[] = { 0, ' ', '\t', ',' };
    grd_list_rule rule = { .image = o->image, .mask = o->mask, .separator = separators[o->separator] };
    grd_label_words words;
    const char *path;
    GRD_TRY(grd_list_columns(p->host, o->columns, &rule));
    grd_status status = read_list(p, o, o->part, rule, &path, &words);
    if (status == GRD_OK) {
        p->root = grd_list_root(&p->texts, path, o->root, o->part);
        status = p->root ? find_classes(p, o, &rule, path, &words) : GRD_ERR_MEMORY;
    }
    if (status == GRD_OK)
        status = grd_list_labels(p, path, &words);
    grd_free(p->host, words.item);
    p->no_label = o->no_label;
    p->part = o->part;
    if (status == GRD_OK && p->no_label >= 0 && !p->has_mask)
        status = grd_fail(p->host, GRD_ERR_ARG, "void: %lld, but there are no masks", (long long)o->no_label);
    return status == GRD_OK ? grd_pictures_ready(p, ctx) : status;
}

static grd_status open_list(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_pictures *p;
    GRD_TRY(grd_check_part(&ctx->host, "list", o->list, o->part));
    GRD_TRY(grd_pictures_new(&ctx->host, &o->view, "", &p));
    grd_status status = fill(p, o, ctx);
    if (status == GRD_OK)
        *out = p;
    else
        grd_pictures_close(p);
    return status;
}

static const grd_option list_options[] = {
    GRD_PATH_OF_PART(opts, list, "text file, a sample a line; {part} in its name stands for train, val and test"),
    GRD_ENUM(opts, part, 0, GRD_PARTS, "which part, where list tells them apart"),
    GRD_TEXT(opts, columns, "image label",
             "what is on a line: image, mask, label, points or target (numbers, the rest), - (not used)"),
    GRD_TEXT(opts, root, NULL, "folder that the paths begin at, below the list's, which is the default"),
    GRD_TEXT(opts, image, "{}", "an image's path, {} being the word on the line: images/{}.jpg"),
    GRD_TEXT(opts, mask, NULL, "a mask's path; without a column mask, {} is the image's word: labels/{}.png"),
    GRD_ENUM(opts, separator, 0, "auto|blank|tab|comma",
             "between words; auto: the first of tab, comma, blank that the first line has"),
    GRD_TEXT(opts, classes, NULL, "number of classes, or file of their names (a line: [number] name [r g b]), below root"),
    GRD_VOID_OPTION(opts),
    GRD_PICTURES_OPTIONS(opts),
    GRD_END,
};

const grd_source grd_source_file_list = GRD_PICTURES_ROW(
    "file_list",
    "Pictures listed in a text file: image u8 [C,H,W] with label i32, mask i32 [H,W], points f32 [n/2,2] or target f32 [n].\n"
    "Lines that begin with # are comments. Masks hold indices (a palette or grey), or the colours that `classes` gives.\n"
    "Without `classes`, labels are the numbers or the sorted words of the training part's list.",
    list_options, opts, open_list);
