/* Pictures in folders, one a class, as torchvision's ImageFolder reads them. */
#include "data/listing.h"
#include "data/pictures.h"
#include "data/rows.h"

#include <string.h>

typedef struct opts {
    const char *dir;
    int part, order;
    const char *classes;
    grd_pictures_opts view;
} opts;

/* The classes are those of the training part, so that a class that another part lacks does not move the others. */
static grd_status find_classes(grd_pictures *p, const opts *o)
{
    if (o->classes) {
        GRD_TRY(grd_class_names_read(&p->texts, "", o->classes, &p->classes));
        return p->classes.name
                   ? GRD_OK
                   : grd_fail(p->host, GRD_ERR_ARG, "classes: \"%s\", expected a file with the folders' names", o->classes);
    }
    grd_listing folders;
    const char *dir = grd_fill_path(&p->texts, o->dir, 0, "");
    if (!dir)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_list_folders(&p->texts, dir, o->order == 1, &folders));
    p->classes.n = folders.n;
    p->classes.name = grd_arena_alloc(&p->texts, sizeof *folders.item * (size_t)(folders.n + 1));
    if (p->classes.name && folders.n)
        memcpy(p->classes.name, folders.item, sizeof *folders.item * (size_t)folders.n);
    grd_free(p->host, folders.item);
    if (!p->classes.name)
        return GRD_ERR_MEMORY;
    if (folders.n == 0 || folders.n > GRD_CLASSES_MAX)
        return grd_fail(p->host, GRD_ERR_DATA, "%s: %d folders, expected one for each class", dir, folders.n);
    return GRD_OK;
}

static grd_status add_folder(grd_pictures *p, const opts *o, const char *folder, int32_t label)
{
    grd_listing files;
    const char *dir = grd_arena_format(&p->texts, "%s/%s", p->root, folder);
    if (!dir)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_list_pictures(&p->texts, dir, o->order == 1, &files));
    grd_status status = files.n ? GRD_OK : grd_fail(p->host, GRD_ERR_DATA, "%s: no pictures in it (png, jpg, jpeg, bmp)", dir);
    for (int i = 0; i < files.n && status == GRD_OK; i++) {
        const char *path = grd_arena_format(&p->texts, "%s/%s", folder, files.item[i]);
        status = path ? grd_pictures_add(p, &(grd_listed){ .image = path, .label = label }) : GRD_ERR_MEMORY;
    }
    grd_free(p->host, files.item);
    return status;
}

static grd_status add_all(grd_pictures *p, const opts *o)
{
    grd_listing folders;
    p->has_label = true;
    GRD_TRY(find_classes(p, o));
    GRD_TRY(grd_list_folders(&p->texts, p->root, o->order == 1, &folders));
    grd_status status = GRD_OK;
    for (int i = 0; i < folders.n && status == GRD_OK; i++) {
        int label = grd_class_names_find(&p->classes, folders.item[i]);
        status = label >= 0 ? add_folder(p, o, folders.item[i], label)
                            : grd_fail(p->host, GRD_ERR_DATA, "%s: folder \"%s\" is none of the %d classes of %s", p->root,
                                       folders.item[i], p->classes.n, o->classes ? o->classes : "the training part");
    }
    grd_free(p->host, folders.item);
    return status;
}

static grd_status open_folder(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    grd_pictures *p;
    GRD_TRY(grd_check_part(host, "dir", o->dir, o->part));
    GRD_TRY(grd_pictures_new(host, &o->view, "", &p));
    p->part = o->part;
    p->root = grd_fill_path(&p->texts, o->dir, o->part, "");
    grd_status status = p->root ? add_all(p, o) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_pictures_ready(p, ctx);
    if (status == GRD_OK)
        *out = p;
    else
        grd_pictures_close(p);
    return status;
}

static const grd_option folder_options[] = {
    GRD_PATH_OF_PART(opts, dir, "folder with a folder for each class; {part} in it stands for train, val and test"),
    GRD_ENUM(opts, part, 0, GRD_PARTS, "which part, where dir tells them apart"),
    GRD_ENUM(opts, order, 0, "plain|natural", "of classes and files: by their bytes, or as people count (9 before 10)"),
    GRD_TEXT(opts, classes, NULL, "file with the folders' names in the order of the labels; else they are sorted"),
    GRD_PICTURES_OPTIONS(opts),
    GRD_END,
};

const grd_source grd_source_image_folder = GRD_PICTURES_ROW(
    "image_folder", "Pictures in folders, one a class, with all folders below it: image u8 [C,H,W], label i32. PNG, JPEG, BMP.",
    folder_options, opts, open_folder);
