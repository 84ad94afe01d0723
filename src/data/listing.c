#define _GNU_SOURCE
#include "data/listing.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { PATH = 2048, DEEPEST = 32, MOST_FILES = INT32_MAX / 4 };

static const char *const part_name[] = { "train", "val", "test" };

/* ---- order ---- */

int grd_compare_natural(const char *a, const char *b)
{
    const char *x = a, *y = b;
    while (*x && *y) {
        size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
        if (!n || !m) {
            if (*x != *y)
                return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
            x++;
            y++;
            continue;
        }
        const char *x_end = x + n, *y_end = y + m;
        x += strspn(x, "0") < n ? strspn(x, "0") : n; /* leading zeros say nothing */
        y += strspn(y, "0") < m ? strspn(y, "0") : m;
        n = (size_t)(x_end - x);
        m = (size_t)(y_end - y);
        int order = n != m ? (n < m ? -1 : 1) : strncmp(x, y, n);
        if (order)
            return order;
        x = x_end;
        y = y_end;
    }
    return *x ? 1 : *y ? -1 : strcmp(a, b);
}

static int compare(const char *a, size_t n, const char *b, size_t m, bool natural)
{
    if (natural) {
        char x[PATH], y[PATH];
        snprintf(x, sizeof x, "%.*s", (int)n, a);
        snprintf(y, sizeof y, "%.*s", (int)m, b);
        return grd_compare_natural(x, y);
    }
    int order = memcmp(a, b, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

/* By folder, then by name in it. */
static int by_path(const void *pa, const void *pb, void *natural)
{
    const char *a = *(const char *const *)pa, *b = *(const char *const *)pb, *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    size_t n = name_a ? (size_t)(name_a - a) : 0, m = name_b ? (size_t)(name_b - b) : 0;
    int order = compare(a, n, b, m, *(bool *)natural);
    if (order)
        return order;
    name_a = name_a ? name_a : a;
    name_b = name_b ? name_b : b;
    return compare(name_a, strlen(name_a), name_b, strlen(name_b), *(bool *)natural);
}

static void sort(grd_listing *listing, bool natural)
{
    if (listing->n > 1)
        qsort_r(listing->item, (size_t)listing->n, sizeof *listing->item, by_path, &natural);
}

/* ---- reading folders ---- */

/* Endings of names, in small letters. */
static const char *const pictures[] = { ".png", ".jpg", ".jpeg", ".bmp", NULL };
static const char *const texts[] = { ".txt", ".txt.gz", ".txt.xz", NULL };

static bool ends_with_one_of(const char *name, const char *const *ends)
{
    const size_t n = strlen(name);
    for (; *ends; ends++)
        if (n >= strlen(*ends) && strcasecmp(name + n - strlen(*ends), *ends) == 0)
            return true;
    return false;
}

typedef struct level { /* a folder that is being read */
    const struct level *above;
    dev_t device;
    ino_t number;
} level;

typedef struct walk {
    grd_arena *arena;
    const char *root;
    grd_listing *out;
    const char *const *ends; /* of files; NULL: the folders of the root instead */
} walk;

static grd_status keep(walk *w, const char *path)
{
    grd_listing *out = w->out;
    if (out->n >= MOST_FILES)
        return grd_fail(w->arena->host, GRD_ERR_ARG, "%s: more than %d files", w->root, MOST_FILES);
    if (!GRD_RESERVE(w->arena->host, out))
        return GRD_ERR_MEMORY;
    out->item[out->n] = grd_arena_strdup(w->arena, path);
    return out->item[out->n++] ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status walk_folder(walk *w, const char *below, const level *above);

static grd_status look_at(walk *w, const char *below, const struct dirent *entry, const level *here)
{
    char path[PATH], full[PATH];
    struct stat info;
    GRD_TRY(grd_path_join(w->arena->host, path, sizeof path, below, entry->d_name));
    bool folder = entry->d_type == DT_DIR;
    if (entry->d_type != DT_DIR && entry->d_type != DT_REG) { /* a link, or the file system does not say */
        GRD_TRY(grd_path_join(w->arena->host, full, sizeof full, w->root, path));
        if (stat(full, &info) != 0)
            return grd_fail(w->arena->host, GRD_ERR_IO, "%s: %s", full, strerror(errno));
        folder = S_ISDIR(info.st_mode);
    }
    if (!w->ends)
        return folder ? keep(w, path) : GRD_OK;
    if (folder)
        return walk_folder(w, path, here);
    return ends_with_one_of(entry->d_name, w->ends) ? keep(w, path) : GRD_OK;
}

/* A link that leads back would never end. */
static grd_status enter(grd_host *host, const char *path, DIR *dir, const level *above, level *here)
{
    struct stat info;
    int depth = 0;
    if (fstat(dirfd(dir), &info) != 0)
        return grd_fail(host, GRD_ERR_IO, "%s: %s", path, strerror(errno));
    *here = (level){ above, info.st_dev, info.st_ino };
    for (; above; above = above->above, depth++)
        if (above->device == here->device && above->number == here->number)
            return grd_fail(host, GRD_ERR_DATA, "%.400s: a link to a folder above it", path);
    return depth < DEEPEST ? GRD_OK : grd_fail(host, GRD_ERR_DATA, "%.400s: more than %d folders deep", path, DEEPEST);
}

static grd_status walk_folder(walk *w, const char *below, const level *above)
{
    grd_host *host = w->arena->host;
    char full[PATH];
    level here;
    if (*below)
        GRD_TRY(grd_path_join(host, full, sizeof full, w->root, below));
    else
        snprintf(full, sizeof full, "%s", w->root);
    DIR *dir = opendir(full);
    if (!dir)
        return grd_fail(host, GRD_ERR_IO, "%s: %s", full, errno == ENOENT ? "no such folder" : strerror(errno));
    grd_status status = enter(host, full, dir, above, &here);
    for (const struct dirent *entry; status == GRD_OK && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            status = look_at(w, below, entry, &here);
    closedir(dir);
    return status;
}

static grd_status list(grd_arena *arena, const char *dir, bool natural, const char *const *ends, grd_listing *listing)
{
    *listing = (grd_listing){ 0 };
    walk w = { arena, dir, listing, ends };
    grd_status status = walk_folder(&w, "", NULL);
    if (status == GRD_OK) {
        sort(listing, natural);
    } else {
        grd_free(arena->host, listing->item);
        *listing = (grd_listing){ 0 };
    }
    return status;
}

grd_status grd_list_pictures(grd_arena *arena, const char *dir, bool natural, grd_listing *listing)
{
    return list(arena, dir, natural, pictures, listing);
}

grd_status grd_list_texts(grd_arena *arena, const char *dir, grd_listing *listing)
{
    return list(arena, dir, true, texts, listing);
}

grd_status grd_list_folders(grd_arena *arena, const char *dir, bool natural, grd_listing *listing)
{
    return list(arena, dir, natural, NULL, listing);
}

/* ---- parts ---- */

char *grd_fill_path(grd_arena *arena, const char *text, int part, const char *what)
{
    const size_t longest = strlen(part_name[0]) > strlen(what) ? strlen(part_name[0]) : strlen(what);
    char *out = grd_arena_alloc(arena, strlen(text) * (longest + 1) / 2 + strlen(text) + 1), *to = out;
    while (out && *text) {
        const char *word = NULL;
        size_t skip = 1;
        if (strncmp(text, "{part}", 6) == 0) {
            word = part_name[part];
            skip = 6;
        } else if (strncmp(text, "{}", 2) == 0) {
            word = what;
            skip = 2;
        }
        size_t n = word ? strlen(word) : 1;
        memcpy(to, word ? word : text, n);
        to += n;
        text += skip;
    }
    return out;
}

const char *grd_list_root(grd_arena *arena, const char *file, const char *root, int part)
{
    const char *slash = strrchr(file, '/');
    root = root ? grd_fill_path(arena, root, part, "") : "";
    if (!root || *root == '/')
        return root;
    if (!slash)
        return *root ? root : ".";
    return grd_arena_format(arena, "%.*s%s%s", (int)(slash - file + (slash == file)), file, *root && slash != file ? "/" : "",
                            root);
}

grd_status grd_check_part(grd_host *host, const char *key, const char *text, int part)
{
    if (part == 0 || strstr(text, "{part}"))
        return GRD_OK;
    return grd_fail(host, GRD_ERR_ARG, "%s: \"%s\": there is no part %s; where it has one, {part} stands for its name", key, text,
                    part_name[part]);
}
