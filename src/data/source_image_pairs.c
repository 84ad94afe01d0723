/* A folder of pictures and one of masks, paired by their names. */
#include "data/listing.h"
#include "data/pictures.h"
#include "data/rows.h"

#include <stdlib.h>
#include <string.h>

typedef struct opts {
    const char *dir;
    int part;
    const char *images, *masks, *mask_suffix, *classes;
    int64_t no_label;
    grd_pictures_opts view;
} opts;

typedef struct entry { /* of one of the folders */
    const char *stem, *path;
} entry;

static int by_stem(const void *a, const void *b) { return strcmp(((const entry *)a)->stem, ((const entry *)b)->stem); }

/* A path without extension and suffix. */
static grd_status stem_of(grd_arena *arena, const char *folder, const char *path, const char *suffix, const char **stem)
{
    size_t n = (size_t)(strrchr(path, '.') - path), m = strlen(suffix);
    if (n < m || memcmp(path + n - m, suffix, m) != 0)
        return grd_fail(arena->host, GRD_ERR_DATA, "%s/%s: expected a name that ends with \"%s\" before the dot", folder, path,
                        suffix);
    *stem = grd_arena_format(arena, "%.*s", (int)(n - m), path);
    return *stem ? GRD_OK : GRD_ERR_MEMORY;
}

/* All pictures below root/folder by their stems; grd_free(entries). */
static grd_status list_half(grd_pictures *p, const char *folder, const char *suffix, entry **entries, int *n)
{
    grd_listing files;
    const char *dir = grd_arena_format(&p->texts, "%s/%s", p->root, folder);
    *entries = NULL;
    if (!dir)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_list_pictures(&p->texts, dir, false, &files));
    *n = files.n;
    entry *e = GRD_NEW_N(p->host, entry, files.n);
    grd_status status = e ? GRD_OK : GRD_ERR_MEMORY;
    for (int i = 0; i < files.n && status == GRD_OK; i++) {
        e[i].path = files.item[i];
        status = stem_of(&p->texts, dir, files.item[i], suffix, &e[i].stem);
    }
    if (status == GRD_OK && files.n > 1)
        qsort(e, (size_t)files.n, sizeof *e, by_stem);
    for (int i = 1; i < files.n && status == GRD_OK; i++)
        if (strcmp(e[i].stem, e[i - 1].stem) == 0)
            status = grd_fail(p->host, GRD_ERR_DATA, "%s: %s and %s have the same name", dir, e[i - 1].path, e[i].path);
    grd_free(p->host, files.item);
    *entries = e;
    return status;
}

/* Both halves are sorted: the first stem that is not in both is the fault. */
static grd_status pair(grd_pictures *p, const char *images, const entry *image, int n, const char *masks, const entry *mask,
                       int m)
{
    for (int i = 0; i < n || i < m; i++) {
        int order = i == n ? 1 : i == m ? -1 : strcmp(image[i].stem, mask[i].stem);
        if (order < 0)
            return grd_fail(p->host, GRD_ERR_DATA, "%s/%s/%s: no mask of that name in %s", p->root, images, image[i].path, masks);
        if (order > 0)
            return grd_fail(p->host, GRD_ERR_DATA, "%s/%s/%s: no picture of that name in %s", p->root, masks, mask[i].path,
                            images);
        grd_listed item = { .image = grd_arena_format(&p->texts, "%s/%s", images, image[i].path),
                             .mask = grd_arena_format(&p->texts, "%s/%s", masks, mask[i].path) };
        if (!item.image || !item.mask)
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_pictures_add(p, &item));
    }
    return GRD_OK;
}

static grd_status fill(grd_pictures *p, const opts *o, grd_ctx *ctx)
{
    entry *image = NULL, *mask = NULL;
    int n = 0, m = 0;
    const char *images = grd_fill_path(&p->texts, o->images, o->part, ""),
               *masks = grd_fill_path(&p->texts, o->masks, o->part, "");
    p->root = grd_fill_path(&p->texts, o->dir, o->part, "");
    if (!images || !masks || !p->root)
        return GRD_ERR_MEMORY;
    p->has_mask = true;
    p->no_label = o->no_label;
    p->part = o->part;
    GRD_TRY(grd_class_names_read(&p->texts, "", o->classes, &p->classes));
    grd_status status = list_half(p, images, "", &image, &n);
    if (status == GRD_OK)
        status = list_half(p, masks, o->mask_suffix, &mask, &m);
    if (status == GRD_OK)
        status = pair(p, images, image, n, masks, mask, m);
    grd_free(p->host, image);
    grd_free(p->host, mask);
    return status == GRD_OK ? grd_pictures_ready(p, ctx) : status;
}

static grd_status open_pairs(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_pictures *p;
    const char *told_by = strstr(o->images, "{part}") && strstr(o->masks, "{part}") ? o->images : o->dir;
    GRD_TRY(grd_check_part(&ctx->host, "dir", told_by, o->part));
    GRD_TRY(grd_pictures_new(&ctx->host, &o->view, "", &p));
    grd_status status = fill(p, o, ctx);
    if (status == GRD_OK)
        *out = p;
    else
        grd_pictures_close(p);
    return status;
}

static const grd_option pairs_options[] = {
    GRD_PATH_OF_PART(opts, dir, "folder with both folders; {part} in it (or in images and masks) stands for train, val and test"),
    GRD_ENUM(opts, part, 0, GRD_PARTS, "which part, where the folders tell them apart"),
    { "images", GRD_OPTION_TEXT, offsetof(opts, images), 0, 0, 0, "images", GRD_OPTION_PARTS, "folder of the pictures, in dir" },
    { "masks", GRD_OPTION_TEXT, offsetof(opts, masks), 0, 0, 0, "masks", GRD_OPTION_PARTS, "folder of the masks, in dir" },
    GRD_TEXT(opts, mask_suffix, "", "what a mask's name has more than its picture's, before the dot: _GT"),
    GRD_TEXT_REQUIRED(opts, classes, "number of classes, or file of their names (a line: [number] name [r g b])"),
    GRD_VOID_OPTION(opts),
    GRD_PICTURES_OPTIONS(opts),
    GRD_END,
};

const grd_source grd_source_image_pairs = GRD_PICTURES_ROW(
    "image_pairs",
    "A folder of pictures and one of masks of the same names: image u8 [C,H,W], mask i32 [H,W]. A file without its other half\n"
    "is an error. Masks hold indices (a palette or grey), or the colours that `classes` gives.",
    pairs_options, opts, open_pairs);
