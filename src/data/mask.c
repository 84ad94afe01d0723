/* Pictures of classes: the index of a palette, a grey value, or a colour that a class has. */
#include "data/pictures.h"

#include "base/file.h"
#include "format/image.h"

#include <string.h>

int64_t grd_mask_classes(const grd_mask_rule *rule)
{
    return rule->classes->n - (rule->no_label >= 0 && rule->no_label < rule->classes->n);
}

/* The label that class `value` of the file becomes; -1 means no label, -2 that there is no such class. */
static int32_t label_of(const grd_mask_rule *rule, int64_t value)
{
    if (value == rule->no_label)
        return -1;
    if (value >= rule->classes->n)
        return -2;
    return (int32_t)(value - (rule->no_label >= 0 && rule->no_label < value));
}

static int32_t label_of_color(const grd_mask_rule *rule, const uint8_t *rgb)
{
    for (int c = 0; c < rule->classes->n; c++)
        if (memcmp(rule->classes->color[c], rgb, 3) == 0)
            return label_of(rule, c);
    return -2;
}

static grd_status bad_index(grd_host *host, const char *path, const grd_image *image, int64_t at, int64_t value, int64_t classes)
{
    return grd_fail(host, GRD_ERR_DATA, "%s: pixel %lld, %lld: class %lld, expected 0..%lld", path,
                    (long long)(at % image->width), (long long)(at / image->width), (long long)value, (long long)classes - 1);
}

static grd_status bad_color(grd_host *host, const char *path, const grd_image *image, int64_t at, const uint8_t *rgb)
{
    return grd_fail(host, GRD_ERR_DATA, "%s: pixel %lld, %lld: colour %d %d %d, which no class has", path,
                    (long long)(at % image->width), (long long)(at / image->width), rgb[0], rgb[1], rgb[2]);
}

/* Bytes by a table of what each of the 256 values means. */
static grd_status by_index(grd_host *host, const char *path, const grd_image *image, const grd_mask_rule *rule, int32_t *out)
{
    const int64_t n = (int64_t)image->width * image->height;
    const bool by_color = image->colors && rule->classes->color;
    const uint8_t *in = image->pixels;
    int32_t table[256];
    for (int v = 0; v < 256; v++)
        table[v] = !by_color ? label_of(rule, v) : v < image->colors ? label_of_color(rule, image->palette[v]) : -2;
    for (int64_t i = 0; i < n; i++) {
        out[i] = table[in[i]];
        if (out[i] == -2 && by_color)
            return bad_color(host, path, image, i, image->palette[in[i]]);
        if (out[i] == -2)
            return bad_index(host, path, image, i, in[i], rule->classes->n);
    }
    return GRD_OK;
}

static grd_status by_grey_16(grd_host *host, const char *path, const grd_image *image, const grd_mask_rule *rule, int32_t *out)
{
    const int64_t n = (int64_t)image->width * image->height;
    const uint16_t *in = image->pixels;
    for (int64_t i = 0; i < n; i++) {
        out[i] = label_of(rule, in[i]);
        if (out[i] == -2)
            return bad_index(host, path, image, i, in[i], rule->classes->n);
    }
    return GRD_OK;
}

/* Neighbours mostly have the same colour. */
static grd_status by_rgb(grd_host *host, const char *path, const grd_image *image, const grd_mask_rule *rule, int32_t *out)
{
    const int64_t n = (int64_t)image->width * image->height;
    const uint8_t *in = image->pixels;
    for (int64_t i = 0; i < n; i++, in += 3) {
        out[i] = i > 0 && memcmp(in, in - 3, 3) == 0 ? out[i - 1] : label_of_color(rule, in);
        if (out[i] == -2)
            return bad_color(host, path, image, i, in);
    }
    return GRD_OK;
}

static grd_status to_labels(grd_host *host, const char *path, const grd_image *image, const grd_mask_rule *rule, int32_t *out)
{
    if (image->channels == 3)
        return by_rgb(host, path, image, rule, out);
    return image->depth == 16 ? by_grey_16(host, path, image, rule, out) : by_index(host, path, image, rule, out);
}

/* How this file is to be decoded so that its classes can be told. */
static grd_status choose(grd_host *host, const char *path, const grd_image *head, const grd_mask_rule *rule, grd_image_opts *opts)
{
    if (head->colors) {
        opts->indices = true;
    } else if (head->channels == 1) {
        opts->channels = 1;
    } else {
        if (!rule->classes->color)
            return grd_fail(host, GRD_ERR_DATA, "%s: %d channels, expected a palette or grey: `classes` gives no colours", path,
                            head->channels);
        opts->channels = 3;
        opts->eight_bit = true;
    }
    return GRD_OK;
}

grd_status grd_mask_read(grd_host *host, const char *path, const grd_mask_rule *rule, int32_t **out, int64_t *height,
                         int64_t *width)
{
    void *bytes;
    size_t size;
    grd_image image;
    grd_image_opts opts = { 0 };
    *out = NULL;
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_image_probe(host, path, bytes, size, &opts, &image);
    if (status == GRD_OK)
        status = choose(host, path, &image, rule, &opts);
    if (status == GRD_OK)
        status = grd_image_decode(host, path, bytes, size, &opts, &image);
    grd_free(host, bytes);
    if (status != GRD_OK)
        return status;
    *height = image.height;
    *width = image.width;
    *out = grd_alloc_raw(host, sizeof **out * (size_t)image.width * (size_t)image.height);
    status = *out ? to_labels(host, path, &image, rule, *out) : GRD_ERR_MEMORY;
    grd_image_free(host, &image);
    if (status != GRD_OK) {
        grd_free(host, *out);
        *out = NULL;
    }
    return status;
}
