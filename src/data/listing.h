/* Picture files of a folder, and paths that hold the name of a part. */
#ifndef GRD_DATA_LISTING_H
#define GRD_DATA_LISTING_H

#include "base/host.h"

#define GRD_PARTS "train|val|test" /* of sources whose paths may hold {part} */

/* The option that tells parts apart. */
#define GRD_PATH_OF_PART(S, field, help) \
    { #field, GRD_OPTION_TEXT, offsetof(S, field), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS, help }

typedef struct grd_listing {
    const char **item; /* below the folder: "cat/1.png"; in an arena */
    int n, cap;
} grd_listing;

/* As people count: runs of digits by their value ("9" before "10"), all else by its bytes. */
int grd_compare_natural(const char *a, const char *b);

/* All PNG, JPEG and BMP files in dir and its folders, by folder, then by name; hidden ones are left out. On failure nothing
 * is left; else grd_free(host, listing->item). */
grd_status grd_list_pictures(grd_arena *arena, const char *dir, bool natural, grd_listing *listing);
/* Likewise all texts (.txt, plain, .gz or .xz), in natural order. */
grd_status grd_list_texts(grd_arena *arena, const char *dir, grd_listing *listing);
/* The folders in dir, sorted. */
grd_status grd_list_folders(grd_arena *arena, const char *dir, bool natural, grd_listing *listing);

/* `text` with the part's name for each "{part}", `what` for each "{}". NULL with a message: no memory. */
char *grd_fill_path(grd_arena *arena, const char *text, int part, const char *what);
/* The folder that paths in the list `file` begin at: that of the list, or `root` (NULL = none given; may hold {part}) below it.
 * NULL with a message: no memory. */
const char *grd_list_root(grd_arena *arena, const char *file, const char *root, int part);
/* Whether there is this part: `text`, the value of option `key`, has {part} in it, or it is the first one. */
grd_status grd_check_part(grd_host *host, const char *key, const char *text, int part);

#endif
