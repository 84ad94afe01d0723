/* Samples whose pictures are files, decoded when they are asked for: what the sources of folders and lists share. A source fills
 * in the list; fields, reading, caching and names are here. */
#ifndef GRD_DATA_PICTURES_H
#define GRD_DATA_PICTURES_H

#include "base/ctx.h"
#include "data/class_names.h"
#include "format/image.h"

#include <gradus/data.h>

typedef struct grd_pictures_opts { /* in a source's options as `view` */
    int channels, cache;
    int64_t min_size, min_size_w, cache_mb;
    const char *cache_file;
} grd_pictures_opts;

#define GRD_PICTURES_OPTIONS(S)                                                                                              \
    { "channels", GRD_OPTION_ENUM, offsetof(S, view.channels), 1, 0, 0, "1|3|4", 0, "of the pictures: grey, RGB or RGBA" },  \
        { "min_size", GRD_OPTION_PAIR, offsetof(S, view.min_size), 0, 0, 65535, NULL, 0,                                     \
          "height and width that suffice: JPEGs may come smaller, by n/8, which is faster; 0 = full size" },                 \
        { "cache", GRD_OPTION_ENUM, offsetof(S, view.cache), 0, 0, 0, "none|memory|packed", 0,                                \
          "where pictures stay once decoded; packed: in one file, for later runs too" },                                     \
        { "cache_mb", GRD_OPTION_INT, offsetof(S, view.cache_mb), 1024, 1, 1 << 20, NULL, 0,                                  \
          "megabytes that cache: memory may take" },                                                                         \
        { "cache_file", GRD_OPTION_TEXT, offsetof(S, view.cache_file), 0, 0, 0, NULL, 0,                                      \
          "of cache: packed; may hold {part}; default: runs/pictures-HASH.cache. Made anew when a picture's size or time of " \
          "change, or an option here, is another" }

/* `void`: the class that means no label. A mask's indices are those of the classes with it left out. */
#define GRD_VOID_OPTION(S)                                                                \
    { "void", GRD_OPTION_INT, offsetof(S, no_label), -1, -1, GRD_CLASSES_MAX, NULL, 0,    \
      "class in the masks that means no label and becomes -1; those behind it move up; -1 = none" }

typedef struct grd_listed {
    const char *image, *mask; /* paths below root, or absolute; mask: NULL without masks */
    int64_t line;             /* of the list, or 0 */
    int32_t label;
} grd_listed;

typedef struct grd_pictures {
    grd_host *host;
    grd_arena texts;  /* all names and paths */
    const char *root;
    struct { grd_listed *item; int n, cap; } list;
    struct { float *item; int n, cap; } number; /* n_numbers for each picture */
    int64_t n_numbers;
    const char *number_name; /* of their field, "points" ([n / 2, 2]) or "target" ([n]) */
    bool has_mask, has_label;
    grd_class_names classes; /* of label and mask, with the void class */
    int64_t no_label;        /* the void class; -1 = none */
    grd_pictures_opts view;   /* resolved */
    int part;                /* which one it is */
    int64_t height, width;   /* of all pictures; 0 = they differ */
    struct grd_pictures_cache *cache;
    struct grd_pictures_pack *pack;
} grd_pictures;

/* For `open`: an empty list; then it is filled, and grd_pictures_ready looks whether all fits and at the pictures' sizes. */
grd_status grd_pictures_new(grd_host *host, const grd_pictures_opts *view, const char *root, grd_pictures **pictures);
grd_status grd_pictures_ready(grd_pictures *pictures, grd_ctx *ctx);
/* One more; what it points to is the list's (in `texts`). */
grd_status grd_pictures_add(grd_pictures *pictures, const grd_listed *picture);

int grd_pictures_channels(const grd_pictures *pictures);
/* Picture i and, with masks, its mask from their files, checked: grd_image_free, grd_free; both also after a failure. Messages
 * go to host. */
grd_status grd_pictures_decode(const grd_pictures *pictures, grd_host *host, int64_t i, grd_image *image, int32_t **mask);

/* The functions of a source's row; self: a grd_pictures. */
int64_t grd_pictures_length(const void *self);
int grd_pictures_fields(const void *self, grd_field *out, int max);
grd_status grd_pictures_get(const void *self, int64_t i, grd_sample *out);
void grd_pictures_close(void *self);
const char *grd_pictures_class(const void *self, int64_t label);
void grd_pictures_name(const void *self, int64_t i, char *text, size_t size);
bool grd_pictures_peek(const void *self, int64_t i, int field, double *value);

#define GRD_PICTURES_ROW(row_name, row_doc, row_options, row_opts, row_open)                                                     \
    { .name = row_name, .doc = row_doc, .options = row_options, .options_size = sizeof(row_opts), .open = row_open,              \
      .length = grd_pictures_length, .fields = grd_pictures_fields, .get = grd_pictures_get, .close = grd_pictures_close,        \
      .class_name = grd_pictures_class, .name_of = grd_pictures_name, .peek = grd_pictures_peek }

/* ---- masks ---- */

typedef struct grd_mask_rule {
    const grd_class_names *classes; /* with colours: they decide, else indices */
    int64_t no_label;
} grd_mask_rule;

int64_t grd_mask_classes(const grd_mask_rule *rule); /* without the void class */
/* The picture at `path` as class indices [height][width]; grd_free. */
grd_status grd_mask_read(grd_host *host, const char *path, const grd_mask_rule *rule, int32_t **out, int64_t *height,
                         int64_t *width);

/* ---- a cache of decoded samples, filled from any thread, never emptied ---- */

typedef struct grd_cached {
    int64_t height, width;
    size_t image_bytes, mask_bytes;
    uint8_t bytes[]; /* image, then mask */
} grd_cached;

grd_status grd_pictures_cache_new(grd_host *host, int64_t n, int64_t megabytes, struct grd_pictures_cache **cache);
void grd_pictures_cache_free(struct grd_pictures_cache *cache);
const grd_cached *grd_pictures_cache_find(const struct grd_pictures_cache *cache, int64_t i); /* NULL: not there */
/* Keeps a copy if there is room. */
void grd_pictures_cache_keep(struct grd_pictures_cache *cache, int64_t i, int64_t height, int64_t width, const void *image,
                            size_t image_bytes, const void *mask, size_t mask_bytes);

/* ---- the same in a file that later runs read, too: pictures_pack.c ---- */

typedef struct grd_pixels {
    int64_t height, width;
    const void *image, *mask;
    bool narrow; /* the mask is bytes, of label + 1; else int32_t */
} grd_pixels;

/* Finds the file or makes it; says what it does, and what was wrong, in the context's log. */
grd_status grd_pictures_pack_open(grd_ctx *ctx, const grd_pictures *pictures, struct grd_pictures_pack **pack);
void grd_pictures_pack_free(struct grd_pictures_pack *pack);
bool grd_pictures_pack_find(const struct grd_pictures_pack *pack, int64_t i, grd_pixels *pixels); /* false: not there */

#endif
