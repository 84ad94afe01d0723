/* Decoded samples in one file, which is mapped: a head, an index, then each sample's mask and pixels, one behind the other, in
 * this machine's byte order. It belongs to the pictures whose paths, sizes and times of change make its key, with the options
 * that they were decoded with, and is read only if the key and all checksums are right; else a new one is made beside it, and
 * takes its place when it is whole. */
#define _POSIX_C_SOURCE 200809L
#include "data/pictures.h"

#include "base/file.h"
#include "base/map.h"
#include "base/sha256.h"
#include "data/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH = 2048, VERSION = 1, ORDER = 0x01020304, MOST_SIDE = 1 << 20 };
static const char magic[8] = "grdpics\n";

typedef struct head {
    char magic[8];
    uint32_t version, order;
    uint64_t n, size;        /* samples; bytes of the file */
    uint32_t channels, mask; /* of all pictures; bytes of a mask's element: 0, 1 (label + 1) or 4 */
    char key[GRD_SHA256_HEX];
    uint32_t index_sum, head_sum; /* CRC-32 of the index; of what stands before head_sum */
} head;
_Static_assert(sizeof(head) == 112, "the head has no gaps");

typedef struct entry {
    uint64_t at; /* 0: this sample could not be decoded */
    uint32_t height, width, sum, zero;
} entry;
_Static_assert(sizeof(entry) == 24, "entries have no gaps");

struct grd_pictures_pack {
    grd_host *host;
    grd_map map;
    entry *index; /* a copy: the file may be written to by others once it was checked */
    int64_t n;
    uint32_t channels, mask;
};

static uint32_t sum_of(const void *bytes, size_t n) { return (uint32_t)crc32_z(0, bytes, n); }

static size_t mask_bytes(const head *h, const entry *e) { return (size_t)h->mask * e->height * e->width; }
static size_t all_bytes(const head *h, const entry *e) { return mask_bytes(h, e) + (size_t)h->channels * e->height * e->width; }

/* ---- whose it is ---- */

static void add_text(grd_sha256 *s, const char *text) { grd_sha256_add(s, text, strlen(text) + 1); }

static void add_numbers(grd_sha256 *s, const int64_t *number, size_t n) { grd_sha256_add(s, number, n * sizeof *number); }

static grd_status add_file(grd_sha256 *s, const grd_pictures *p, const char *name)
{
    char path[PATH];
    struct stat info;
    GRD_TRY(grd_path_join(p->host, path, sizeof path, p->root, name));
    const bool there = stat(path, &info) == 0;
    add_numbers(s, (int64_t[]){ there ? (int64_t)info.st_size : -1, there ? (int64_t)info.st_mtim.tv_sec : 0,
                                there ? (int64_t)info.st_mtim.tv_nsec : 0 }, 3);
    return GRD_OK;
}

/* name: of the pictures and the options; key: of their files' sizes and times too. */
static grd_status identify(const grd_pictures *p, char name[GRD_SHA256_HEX + 1], char key[GRD_SHA256_HEX + 1])
{
    grd_sha256 s;
    const grd_class_names *c = &p->classes;
    grd_sha256_begin(&s);
    add_text(&s, GRD_VERSION); /* another version may decode otherwise */
    add_text(&s, p->root);
    add_numbers(&s, (int64_t[]){ p->list.n, p->view.channels, p->view.min_size, p->view.min_size_w, p->has_mask }, 5);
    if (p->has_mask)
        add_numbers(&s, (int64_t[]){ p->no_label, c->n, c->color != NULL }, 3);
    if (p->has_mask && c->color)
        grd_sha256_add(&s, c->color, sizeof *c->color * (size_t)c->n);
    for (int i = 0; i < p->list.n; i++) {
        add_text(&s, p->list.item[i].image);
        if (p->has_mask)
            add_text(&s, p->list.item[i].mask);
    }
    grd_sha256_end(&s, name);
    grd_sha256_begin(&s);
    add_text(&s, name);
    for (int i = 0; i < p->list.n; i++) {
        GRD_TRY(add_file(&s, p, p->list.item[i].image));
        if (p->has_mask)
            GRD_TRY(add_file(&s, p, p->list.item[i].mask));
    }
    grd_sha256_end(&s, key);
    return GRD_OK;
}

/* ---- is it what it says? ---- */

/* What the head should hold, but for sizes and sums. */
static head head_of(const grd_pictures *p, const char *key)
{
    const grd_mask_rule rule = { &p->classes, p->no_label };
    head h = { .version = VERSION, .order = ORDER, .n = (uint64_t)p->list.n, .channels = (uint32_t)grd_pictures_channels(p) };
    h.mask = !p->has_mask ? 0 : grd_mask_classes(&rule) <= UINT8_MAX ? 1 : 4;
    memcpy(h.magic, magic, sizeof magic);
    memcpy(h.key, key, sizeof h.key);
    return h;
}

/* A file that begins otherwise is somebody's who did not mean it to be overwritten. */
static bool is_ours(const grd_map *map)
{
    const size_t n = map->size < sizeof magic ? map->size : sizeof magic;
    return n == 0 || memcmp(map->bytes, magic, n) == 0;
}

static bool labels_fit(const uint8_t *mask, size_t pixels, uint32_t size, int64_t classes)
{
    bool fit = true;
    for (size_t i = 0; size == 1 && i < pixels; i++)
        fit &= mask[i] <= classes;
    for (size_t i = 0; size == 4 && i < pixels; i++) {
        int32_t label;
        memcpy(&label, mask + 4 * i, sizeof label);
        fit &= label >= -1 && label < classes;
    }
    return fit;
}

/* *next: where it should begin; becomes where it ends. */
static grd_status check_sample(const grd_pictures *p, const grd_map *map, const head *h, int64_t i, const entry *e,
                               uint64_t *next)
{
    const grd_mask_rule rule = { &p->classes, p->no_label };
    const char *what = p->list.item[i].image;
    if (!e->at)
        return GRD_OK;
    if (e->at != *next || e->height - 1 >= MOST_SIDE || e->width - 1 >= MOST_SIDE || e->zero ||
        (p->height && (e->height != p->height || e->width != p->width)) || all_bytes(h, e) > map->size - *next)
        return grd_fail(p->host, GRD_ERR_FORMAT, "its index is wrong at %s", what);
    *next += all_bytes(h, e);
    if (sum_of(map->bytes + e->at, all_bytes(h, e)) != e->sum ||
        !labels_fit(map->bytes + e->at, (size_t)e->height * e->width, h->mask, p->has_mask ? grd_mask_classes(&rule) : 0))
        return grd_fail(p->host, GRD_ERR_FORMAT, "damaged at %s", what);
    return GRD_OK;
}

static grd_status check_head(const grd_pictures *p, const grd_map *map, const head *expected, head *h)
{
    grd_host *host = p->host;
    if (map->size < sizeof *h)
        return grd_fail(host, GRD_ERR_FORMAT, "cut off after %zu bytes", map->size);
    memcpy(h, map->bytes, sizeof *h);
    if (h->version != VERSION || h->order != ORDER)
        return grd_fail(host, GRD_ERR_FORMAT, "written by another version or kind of machine");
    if (h->head_sum != sum_of(h, offsetof(head, head_sum)))
        return grd_fail(host, GRD_ERR_FORMAT, "damaged in its head");
    if (memcmp(h->key, expected->key, sizeof h->key) != 0)
        return grd_fail(host, GRD_ERR_FORMAT, "made of other pictures, or with other options");
    if (h->size != map->size)
        return grd_fail(host, GRD_ERR_FORMAT, "cut off after %zu of %llu bytes", map->size, (unsigned long long)h->size);
    if (h->n != expected->n || h->channels != expected->channels || h->mask != expected->mask ||
        h->n > (map->size - sizeof *h) / sizeof(entry))
        return grd_fail(host, GRD_ERR_FORMAT, "damaged in its head");
    return GRD_OK;
}

/* The message says only what is wrong. */
static grd_status check(const grd_pictures *p, const head *expected, struct grd_pictures_pack *pack)
{
    const grd_map *map = &pack->map;
    head h;
    GRD_TRY(check_head(p, map, expected, &h));
    const size_t index_bytes = (size_t)h.n * sizeof(entry);
    uint64_t next = sizeof h + index_bytes;
    memcpy(pack->index, map->bytes + sizeof h, index_bytes);
    pack->channels = h.channels;
    pack->mask = h.mask;
    if (sum_of(pack->index, index_bytes) != h.index_sum)
        return grd_fail(p->host, GRD_ERR_FORMAT, "damaged in its index");
    for (int64_t i = 0; i < pack->n; i++)
        GRD_TRY(check_sample(p, map, &h, i, &pack->index[i], &next));
    return next == map->size ? GRD_OK : grd_fail(p->host, GRD_ERR_FORMAT, "longer than its samples");
}

/* ---- making it ---- */

/* A mask's labels as they lie in the file, in place. */
static void narrow(int32_t *mask, size_t n)
{
    uint8_t *out = (uint8_t *)mask;
    for (size_t i = 0; i < n; i++) /* byte i lies at or before label i, which has been read */
        out[i] = (uint8_t)(mask[i] + 1);
}

static grd_status cannot_write(grd_host *host, const char *path)
{
    return grd_fail(host, GRD_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
}

/* Sample i at the end of the file; one that cannot be decoded is told when it is asked for. */
static grd_status write_sample(const grd_pictures *p, const head *h, int64_t i, grd_atomic *file, entry *e, uint64_t *next)
{
    grd_host quiet;
    grd_image image = { 0 };
    int32_t *mask = NULL;
    grd_host_init(&quiet, &p->host->mem);
    grd_status status = grd_pictures_decode(p, &quiet, i, &image, &mask);
    if (status == GRD_OK) {
        const size_t pixels = (size_t)image.height * (size_t)image.width;
        *e = (entry){ .at = *next, .height = (uint32_t)image.height, .width = (uint32_t)image.width };
        if (h->mask == 1)
            narrow(mask, pixels);
        const size_t first = mask_bytes(h, e), second = all_bytes(h, e) - first;
        e->sum = (uint32_t)crc32_z(first ? sum_of(mask, first) : 0, image.pixels, second);
        *next += first + second;
        if ((first && fwrite(mask, 1, first, file->file) != first) || fwrite(image.pixels, 1, second, file->file) != second)
            status = cannot_write(p->host, file->path);
    } else if (status == GRD_ERR_MEMORY) {
        status = grd_fail(p->host, status, "%s", quiet.err.text);
    } else {
        status = GRD_OK;
    }
    grd_free(&quiet, mask);
    grd_image_free(&quiet, &image);
    return status;
}

static grd_status write_front(grd_atomic *file, const head *h, const entry *index, grd_host *host)
{
    if (fseek(file->file, 0, SEEK_SET) != 0 || fwrite(h, sizeof *h, 1, file->file) != 1 ||
        fwrite(index, sizeof *index, (size_t)h->n, file->file) != (size_t)h->n)
        return cannot_write(host, file->path);
    return GRD_OK;
}

static grd_status write_all(const grd_pictures *p, head h, grd_atomic *file, entry *index)
{
    const size_t index_bytes = (size_t)h.n * sizeof *index;
    uint64_t next = sizeof h + index_bytes;
    memset(index, 0, index_bytes);
    GRD_TRY(write_front(file, &h, index, p->host)); /* their place */
    for (int64_t i = 0; i < p->list.n; i++)
        GRD_TRY(write_sample(p, &h, i, file, &index[i], &next));
    h.size = next;
    h.index_sum = sum_of(index, index_bytes);
    h.head_sum = sum_of(&h, offsetof(head, head_sum));
    GRD_TRY(write_front(file, &h, index, p->host));
    return fflush(file->file) == 0 ? GRD_OK : cannot_write(p->host, file->path);
}

/* Maps what was written before it gets its name: whoever gives that name to another file does no harm here. */
static grd_status make(const grd_pictures *p, const char *path, const head *expected, struct grd_pictures_pack *pack)
{
    grd_atomic file;
    char folder[PATH];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder) {
        *slash = 0;
        GRD_TRY(grd_make_dirs(p->host, folder));
    }
    GRD_TRY(grd_atomic_open(p->host, &file, path));
    grd_status status = write_all(p, *expected, &file, pack->index);
    if (status == GRD_OK)
        status = grd_map_open(p->host, file.temporary, &pack->map);
    if (status != GRD_OK) {
        grd_atomic_abort(&file);
        return status;
    }
    GRD_TRY(grd_atomic_commit(p->host, &file));
    status = check(p, expected, pack);
    return status == GRD_OK ? status : grd_fail_in(p->host, "%s: just written, but ", path);
}

/* ---- the file ---- */

static grd_status path_of(const grd_pictures *p, const char *name, char path[PATH])
{
    const char *given = p->view.cache_file;
    if (!given) {
        snprintf(path, PATH, "runs/pictures-%.16s.cache", name);
        return GRD_OK;
    }
    if (p->part && !strstr(given, "{part}"))
        return grd_fail(p->host, GRD_ERR_ARG, "cache_file: \"%.400s\", expected {part} in it: each part has a file of its own",
                        given);
    grd_arena arena;
    grd_arena_init(&arena, p->host);
    const char *filled = grd_fill_path(&arena, given, p->part, "{}");
    grd_status status = filled ? grd_path_join(p->host, path, PATH, "", filled) : GRD_ERR_MEMORY;
    grd_arena_free(&arena);
    return status;
}

/* Reads it if it is there and right; *found: it is. */
static grd_status look(grd_ctx *ctx, const grd_pictures *p, const char *path, const head *expected,
                       struct grd_pictures_pack *pack, bool *found)
{
    struct stat info;
    *found = false;
    if (stat(path, &info) != 0 && errno == ENOENT) {
        grd_say(ctx, GRD_LOG_INFO, "packing %d pictures into %s", p->list.n, path);
        return GRD_OK;
    }
    GRD_TRY(grd_map_open(p->host, path, &pack->map));
    if (!is_ours(&pack->map))
        return grd_fail(p->host, GRD_ERR_FORMAT,
                        "cache_file: %s: no file of packed pictures: it is left as it is; give another name", path);
    *found = check(p, expected, pack) == GRD_OK;
    if (*found)
        return GRD_OK;
    grd_say(ctx, GRD_LOG_WARN, "%s: %s: packing the %d pictures anew", path, p->host->err.text, p->list.n);
    grd_clear(p->host);
    grd_map_close(&pack->map);
    return GRD_OK;
}

grd_status grd_pictures_pack_open(grd_ctx *ctx, const grd_pictures *p, struct grd_pictures_pack **out)
{
    char name[GRD_SHA256_HEX + 1], key[GRD_SHA256_HEX + 1], path[PATH];
    bool found;
    *out = NULL;
    GRD_TRY(identify(p, name, key));
    GRD_TRY(path_of(p, name, path));
    struct grd_pictures_pack *pack = GRD_NEW(p->host, struct grd_pictures_pack);
    if (!pack)
        return GRD_ERR_MEMORY;
    const head expected = head_of(p, key);
    pack->host = p->host;
    pack->n = p->list.n;
    pack->index = GRD_NEW_N(p->host, entry, p->list.n);
    grd_status status = pack->index ? look(ctx, p, path, &expected, pack, &found) : GRD_ERR_MEMORY;
    if (status == GRD_OK && !found)
        status = make(p, path, &expected, pack);
    if (status == GRD_OK)
        *out = pack;
    else
        grd_pictures_pack_free(pack);
    return status;
}

void grd_pictures_pack_free(struct grd_pictures_pack *pack)
{
    if (!pack)
        return;
    grd_map_close(&pack->map);
    grd_free(pack->host, pack->index);
    grd_free(pack->host, pack);
}

bool grd_pictures_pack_find(const struct grd_pictures_pack *pack, int64_t i, grd_pixels *pixels)
{
    if (!pack || !pack->index[i].at)
        return false;
    const entry *e = &pack->index[i];
    const uint8_t *mask = pack->map.bytes + e->at;
    *pixels = (grd_pixels){ .height = e->height, .width = e->width, .image = mask + (size_t)pack->mask * e->height * e->width,
                            .mask = mask, .narrow = pack->mask == 1 };
    return true;
}
