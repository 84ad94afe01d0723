#include "data/pictures.h"

#include "base/file.h"
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

static const int channel_choices[] = { 1, 3, 4 };
enum { CACHE_NONE, CACHE_MEMORY, CACHE_PACKED };
enum { PATH = 2048 };

int grd_pictures_channels(const grd_pictures *p) { return channel_choices[p->view.channels]; }

static grd_image_opts image_opts(const grd_pictures *p)
{
    return (grd_image_opts){ .channels = grd_pictures_channels(p), .eight_bit = true, .planes = true,
                             .min_height = (int)p->view.min_size, .min_width = (int)p->view.min_size_w };
}

/* ---- filling it ---- */

grd_status grd_pictures_new(grd_host *host, const grd_pictures_opts *view, const char *root, grd_pictures **pictures)
{
    grd_pictures *p = GRD_NEW(host, grd_pictures);
    *pictures = NULL;
    if (!p)
        return GRD_ERR_MEMORY;
    p->host = host;
    p->view = *view;
    p->no_label = -1;
    grd_arena_init(&p->texts, host);
    p->root = grd_arena_strdup(&p->texts, root);
    if (!p->root) {
        grd_pictures_close(p);
        return GRD_ERR_MEMORY;
    }
    *pictures = p;
    return GRD_OK;
}

grd_status grd_pictures_add(grd_pictures *p, const grd_listed *picture)
{
    if (p->list.n >= INT32_MAX / 2)
        return grd_fail(p->host, GRD_ERR_ARG, "%s: more than %d pictures", p->root, INT32_MAX / 2);
    if (!GRD_RESERVE(p->host, &p->list))
        return GRD_ERR_MEMORY;
    p->list.item[p->list.n++] = *picture;
    return GRD_OK;
}

void grd_pictures_close(void *self)
{
    grd_pictures *p = self;
    if (!p)
        return;
    grd_pictures_cache_free(p->cache);
    grd_pictures_pack_free(p->pack);
    grd_free(p->host, p->list.item);
    grd_free(p->host, p->number.item);
    grd_arena_free(&p->texts);
    grd_free(p->host, p);
}

/* ---- one size for all? ---- */

/* Size of one picture from the first bytes of its file, or, where a header is longer, all of them. */
static bool probe(const grd_pictures *p, const char *path, uint8_t *head, size_t head_size, grd_image *image)
{
    grd_host quiet; /* what cannot be read is told when it is asked for */
    grd_host_init(&quiet, &p->host->mem);
    const grd_image_opts opts = image_opts(p);
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    setvbuf(file, NULL, _IONBF, 0);
    size_t got = fread(head, 1, head_size, file), size;
    fclose(file);
    if (grd_image_probe(&quiet, path, head, got, &opts, image) == GRD_OK)
        return true;
    void *bytes;
    if (got < head_size || grd_file_read(&quiet, path, 0, &bytes, &size) != GRD_OK)
        return false;
    grd_status status = grd_image_probe(&quiet, path, bytes, size, &opts, image);
    grd_free(&quiet, bytes);
    return status == GRD_OK;
}

/* Ends at the first picture of another size; files that cannot be read have none. */
static grd_status look_at_sizes(grd_pictures *p)
{
    enum { HEAD = 4096 };
    char path[PATH];
    uint8_t *head = grd_alloc(p->host, HEAD);
    if (!head)
        return GRD_ERR_MEMORY;
    bool same = true;
    grd_status status = GRD_OK;
    for (int i = 0; i < p->list.n && same && status == GRD_OK; i++) {
        grd_image image;
        status = grd_path_join(p->host, path, sizeof path, p->root, p->list.item[i].image);
        if (status != GRD_OK || !probe(p, path, head, HEAD, &image))
            continue;
        same = p->height == 0 || (p->height == image.height && p->width == image.width);
        p->height = image.height;
        p->width = image.width;
    }
    grd_free(p->host, head);
    if (!same)
        p->height = p->width = 0;
    return status;
}

static grd_status check_paths(const grd_pictures *p)
{
    char path[PATH];
    for (int i = 0; i < p->list.n; i++) {
        GRD_TRY(grd_path_join(p->host, path, sizeof path, p->root, p->list.item[i].image));
        if (p->has_mask)
            GRD_TRY(grd_path_join(p->host, path, sizeof path, p->root, p->list.item[i].mask));
    }
    return GRD_OK;
}

static grd_status open_cache(grd_pictures *p, grd_ctx *ctx)
{
    if (p->view.cache_file && p->view.cache != CACHE_PACKED)
        return grd_fail(p->host, GRD_ERR_ARG, "cache_file: only cache: packed has a file");
    switch (p->view.cache) {
    case CACHE_MEMORY: return grd_pictures_cache_new(p->host, p->list.n, p->view.cache_mb, &p->cache);
    case CACHE_PACKED: return grd_pictures_pack_open(ctx, p, &p->pack);
    }
    return GRD_OK;
}

grd_status grd_pictures_ready(grd_pictures *p, grd_ctx *ctx)
{
    if (p->list.n == 0)
        return grd_fail(p->host, GRD_ERR_DATA, "%s: no pictures", p->root);
    if (p->view.min_size && (p->has_mask || (p->n_numbers && strcmp(p->number_name, "points") == 0)))
        return grd_fail(p->host, GRD_ERR_ARG, "min_size: pictures of another size than their file do not fit their %s",
                        p->has_mask ? "masks" : "points");
    GRD_TRY(check_paths(p));
    GRD_TRY(look_at_sizes(p));
    grd_status status = open_cache(p, ctx);
    p->view.cache_file = NULL; /* the options end with `open` */
    return status;
}

/* ---- the row's functions ---- */

int64_t grd_pictures_length(const void *self) { return ((const grd_pictures *)self)->list.n; }

static grd_mask_rule mask_rule(const grd_pictures *p) { return (grd_mask_rule){ &p->classes, p->no_label }; }

int grd_pictures_fields(const void *self, grd_field *out, int max)
{
    const grd_pictures *p = self;
    const int64_t h = p->height ? p->height : -1, w = p->width ? p->width : -1;
    const grd_mask_rule rule = mask_rule(p);
    int n = 0;
    if (max < 4)
        return 4;
    out[n++] = (grd_field){ .name = "image", .dtype = GRD_U8, .shape = { 3, { grd_pictures_channels(p), h, w } }, .hi = 255 };
    if (p->has_label)
        out[n++] = (grd_field){ .name = "label", .dtype = GRD_I32, .lo = 0, .hi = p->classes.n - 1, .classes = p->classes.n };
    if (p->has_mask) {
        const int64_t classes = grd_mask_classes(&rule), ignore = p->no_label >= 0 ? -1 : 0;
        out[n++] = (grd_field){ .name = "mask", .dtype = GRD_I32, .shape = { 2, { h, w } }, .lo = 0, .hi = (double)classes - 1,
                                .classes = classes, .ignore = ignore, .pad = (double)ignore };
    }
    if (p->n_numbers) {
        const bool points = strcmp(p->number_name, "points") == 0;
        grd_field *f = &out[n++];
        *f = (grd_field){ .dtype = GRD_F32, .shape = { 1, { p->n_numbers } } };
        snprintf(f->name, sizeof f->name, "%s", p->number_name);
        if (points)
            f->shape = (grd_shape){ 2, { p->n_numbers / 2, 2 } };
    }
    return n;
}

/* Image and mask into the sample: fields 0 and, with masks, the one after the label. */
static grd_status put_pixels(const grd_pictures *p, grd_sample *out, const grd_pixels *from)
{
    const int channels = grd_pictures_channels(p), mask_field = p->has_label ? 2 : 1;
    const size_t pixels = (size_t)from->height * (size_t)from->width;
    void *to = grd_sample_room(out, 0, &(grd_shape){ 3, { channels, from->height, from->width } });
    if (!to)
        return GRD_ERR_MEMORY;
    memcpy(to, from->image, (size_t)channels * pixels);
    if (!p->has_mask)
        return GRD_OK;
    int32_t *label = grd_sample_room(out, mask_field, &(grd_shape){ 2, { from->height, from->width } });
    if (!label)
        return GRD_ERR_MEMORY;
    if (!from->narrow)
        memcpy(label, from->mask, sizeof *label * pixels);
    for (size_t i = 0; from->narrow && i < pixels; i++)
        label[i] = ((const uint8_t *)from->mask)[i] - 1;
    return GRD_OK;
}

grd_status grd_pictures_decode(const grd_pictures *p, grd_host *host, int64_t i, grd_image *image, int32_t **mask)
{
    char path[PATH];
    const grd_listed *item = &p->list.item[i];
    const grd_image_opts opts = image_opts(p);
    const grd_mask_rule rule = mask_rule(p);
    int64_t height, width;
    GRD_TRY(grd_path_join(host, path, sizeof path, p->root, item->image));
    GRD_TRY(grd_image_read(host, path, &opts, image));
    if (p->height && (image->height != p->height || image->width != p->width))
        return grd_fail(host, GRD_ERR_DATA, "%s: %d x %d, expected %lld x %lld as all others", path, image->width, image->height,
                        (long long)p->width, (long long)p->height);
    if (!p->has_mask)
        return GRD_OK;
    GRD_TRY(grd_path_join(host, path, sizeof path, p->root, item->mask));
    GRD_TRY(grd_mask_read(host, path, &rule, mask, &height, &width));
    if (height != image->height || width != image->width)
        return grd_fail(host, GRD_ERR_DATA, "%s: %lld x %lld, its picture %s is %d x %d", path, (long long)width,
                        (long long)height, item->image, image->width, image->height);
    return GRD_OK;
}

static grd_status get_decoded(const grd_pictures *p, int64_t i, grd_sample *out)
{
    grd_host host; /* this thread's own message */
    grd_image image = { 0 };
    int32_t *mask = NULL;
    grd_host_init(&host, &p->host->mem);
    grd_status status = grd_pictures_decode(p, &host, i, &image, &mask);
    if (status != GRD_OK) {
        grd_sample_fail(out, status, "%s", host.err.text);
    } else {
        const size_t pixels = (size_t)image.height * (size_t)image.width, bytes = pixels * (size_t)grd_pictures_channels(p);
        grd_pictures_cache_keep(p->cache, i, image.height, image.width, image.pixels, bytes, mask,
                               mask ? pixels * sizeof *mask : 0);
        status = put_pixels(p, out, &(grd_pixels){ image.height, image.width, image.pixels, mask, false });
    }
    grd_free(&host, mask);
    grd_image_free(&host, &image);
    return status;
}

/* From where they are kept; *found: they are. */
static grd_status get_kept(const grd_pictures *p, int64_t i, grd_sample *out, bool *found)
{
    grd_pixels pixels;
    const grd_cached *kept = grd_pictures_cache_find(p->cache, i);
    if (kept)
        pixels = (grd_pixels){ kept->height, kept->width, kept->bytes, kept->bytes + kept->image_bytes, false };
    *found = kept || grd_pictures_pack_find(p->pack, i, &pixels);
    return *found ? put_pixels(p, out, &pixels) : GRD_OK;
}

grd_status grd_pictures_get(const void *self, int64_t i, grd_sample *out)
{
    const grd_pictures *p = self;
    bool found;
    GRD_TRY(get_kept(p, i, out, &found));
    if (!found)
        GRD_TRY(get_decoded(p, i, out));
    if (p->has_label)
        *(int32_t *)out->data[1] = p->list.item[i].label;
    if (p->n_numbers)
        memcpy(out->data[1 + p->has_label + p->has_mask], p->number.item + i * p->n_numbers,
               sizeof(float) * (size_t)p->n_numbers);
    return GRD_OK;
}

const char *grd_pictures_class(const void *self, int64_t label)
{
    const grd_pictures *p = self;
    if (p->has_mask && p->no_label >= 0 && label >= p->no_label)
        label++; /* the void class is none */
    return p->classes.name && label >= 0 && label < p->classes.n ? p->classes.name[label] : NULL;
}

void grd_pictures_name(const void *self, int64_t i, char *text, size_t size)
{
    snprintf(text, size, "%s", ((const grd_pictures *)self)->list.item[i].image);
}

bool grd_pictures_peek(const void *self, int64_t i, int field, double *value)
{
    const grd_pictures *p = self;
    if (!p->has_label || field != 1)
        return false;
    *value = p->list.item[i].label;
    return true;
}
