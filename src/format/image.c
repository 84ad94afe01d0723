/* Which decoder, and what is the same for all of them: caps, channels, turning upright, planes. */
#include "format/image.h"

#include "backend/cpu/kernels.h"
#include "base/file.h"
#include "format/bytes.h"
#include "format/image_codec.h"

#include <string.h>

grd_status grd_image_check_size(const grd_image_input *in, int64_t width, int64_t height)
{
    if (width < 1 || height < 1)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: %lld x %lld pixels, expected at least one", in->name, (long long)width,
                        (long long)height);
    if (width > INT32_MAX || height > INT32_MAX || width > in->opts.max_pixels / height)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: %lld x %lld pixels, expected at most %lld together", in->name,
                        (long long)width, (long long)height, (long long)in->opts.max_pixels);
    return GRD_OK;
}

static size_t bytes_of(const grd_image *image)
{
    return (size_t)image->width * (size_t)image->height * (size_t)image->channels * (size_t)(image->depth / 8);
}

grd_status grd_image_alloc(const grd_image_input *in, grd_image *image)
{
    image->pixels = grd_alloc_raw(in->host, bytes_of(image));
    return image->pixels ? GRD_OK : grd_fail_in(in->host, "%s: ", in->name);
}

/* ---- channels and places ---- */

/* Where pixel (x, y) of the file goes: first + x right + y down, channels `apart`. In elements. */
typedef struct places {
    int64_t first, right, down, apart;
} places;

/* EXIF 2.3, tag Orientation: what the file's first row and first column are. From 5 on width and height change places. */
static places places_of(int orientation, int64_t width, int64_t height, int64_t channels, bool planes)
{
    bool turned = orientation >= 5;
    int64_t step = planes ? 1 : channels, out_width = turned ? height : width;
    bool last_column = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8; /* x runs backwards */
    bool last_row = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;    /* y runs backwards */
    places to = { .right = turned ? step * out_width : step,
                  .down = turned ? step : step * out_width,
                  .apart = planes ? width * height : 1 };
    if (last_column) {
        to.first += to.right * (width - 1);
        to.right = -to.right;
    }
    if (last_row) {
        to.first += to.down * (height - 1);
        to.down = -to.down;
    }
    return to;
}

/* One row from `from` to `to` channels, per element type. */
#define CONVERT(name, type, most)                                                                                                \
    static void name(const type *in, int from, type *out, int to, int64_t n)                                                     \
    {                                                                                                                            \
        for (int64_t x = 0; x < n; x++, in += from, out += to) {                                                                 \
            if (to == 1) {                                                                                                       \
                out[0] = from < 3 ? in[0] : (type)((in[0] * 19595u + in[1] * 38470u + in[2] * 7471u + 0x8000u) >> 16);           \
                continue;                                                                                                        \
            }                                                                                                                    \
            for (int c = 0; c < 3; c++)                                                                                          \
                out[c] = in[from < 3 ? 0 : c];                                                                                   \
            if (to == 4)                                                                                                         \
                out[3] = from == 2 ? in[1] : from == 4 ? in[3] : most;                                                           \
        }                                                                                                                        \
    }
CONVERT(convert_8, uint8_t, UINT8_MAX)
CONVERT(convert_16, uint16_t, UINT16_MAX)

#define PLACE(name, type)                                                                                                        \
    static void name(const type *in, int channels, const places *to, int64_t y, type *out, int64_t n)                            \
    {                                                                                                                            \
        for (int c = 0; c < channels; c++) {                                                                                     \
            type *at = out + to->first + y * to->down + c * to->apart;                                                           \
            if (to->right == 1)                                                                                                  \
                for (int64_t x = 0; x < n; x++)                                                                                  \
                    at[x] = in[x * channels + c];                                                                                \
            else                                                                                                                 \
                for (int64_t x = 0; x < n; x++)                                                                                  \
                    at[x * to->right] = in[x * channels + c];                                                                    \
        }                                                                                                                        \
    }
PLACE(place_8, uint8_t)
PLACE(place_16, uint16_t)

static void move_row(const grd_cpu_table *cpu, const grd_image *from, const grd_image *to, const places *where, int64_t y,
                     void *line)
{
    size_t row_bytes = (size_t)from->width * (size_t)from->channels * (size_t)(from->depth / 8);
    const void *row = (const uint8_t *)from->pixels + (size_t)y * row_bytes;
    if (from->channels != to->channels) {
        if (from->depth == 8)
            convert_8(row, from->channels, line, to->channels, from->width);
        else
            convert_16(row, from->channels, line, to->channels, from->width);
        row = line;
    }
    if (from->depth == 8 && to->channels == 3 && where->right == 1) {
        uint8_t *at = (uint8_t *)to->pixels + where->first + y * where->down;
        cpu->image_split3(row, at, at + where->apart, at + 2 * where->apart, from->width);
    } else if (from->depth == 8) {
        place_8(row, to->channels, where, y, to->pixels, from->width);
    } else {
        place_16(row, to->channels, where, y, to->pixels, from->width);
    }
}

/* From what the decoder gave to what is wanted. */
static grd_status finish(const grd_image_input *in, grd_image *image)
{
    grd_image out = *image;
    bool turned = in->orientation >= 5, planes = in->opts.planes && image->channels > 1;
    out.width = turned ? image->height : image->width;
    out.height = turned ? image->width : image->height;
    out.channels = in->opts.channels && !in->opts.indices ? in->opts.channels : image->channels;
    planes = planes || (in->opts.planes && out.channels > 1);
    if (!in->probe && (in->orientation > 1 || planes || out.channels != image->channels)) {
        GRD_TRY(grd_image_alloc(in, &out));
        void *line = grd_alloc_raw(in->host, (size_t)image->width * (size_t)(out.channels * out.depth / 8));
        if (!line) {
            grd_free(in->host, out.pixels);
            return grd_fail_in(in->host, "%s: ", in->name);
        }
        const grd_cpu_table *cpu = grd_cpu();
        places where = places_of(in->orientation, image->width, image->height, out.channels, planes);
        for (int64_t y = 0; y < image->height; y++)
            move_row(cpu, image, &out, &where, y, line);
        grd_free(in->host, line);
        grd_free(in->host, image->pixels);
    }
    *image = out;
    return GRD_OK;
}

/* ---- telling formats apart ---- */

typedef struct magic {
    const char *bytes, *name;
    size_t at, size;
    grd_status (*decode)(grd_image_input *in, grd_image *image); /* NULL: known, but not read */
    grd_image_format format;
} magic;

static const magic formats[] = {
    { "\x89PNG\r\n\x1a\n", "PNG", 0, 8, grd_png_decode, GRD_IMAGE_PNG },
    { "\xff\xd8\xff", "JPEG", 0, 3, grd_jpeg_decode, GRD_IMAGE_JPEG },
    { "BM", "BMP", 0, 2, grd_bmp_decode, GRD_IMAGE_BMP },
    { "GIF8", "GIF", 0, 4, NULL, 0 },
    { "II*\0", "TIFF", 0, 4, NULL, 0 },
    { "MM\0*", "TIFF", 0, 4, NULL, 0 },
    { "WEBP", "WebP", 8, 4, NULL, 0 },
    { "ftyp", "HEIF or AVIF", 4, 4, NULL, 0 },
};

static const magic *format_of(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (size >= formats[i].at + formats[i].size && memcmp(bytes + formats[i].at, formats[i].bytes, formats[i].size) == 0)
            return &formats[i];
    return NULL;
}

static grd_status check_opts(grd_host *host, const char *name, const grd_image_opts *o)
{
    if (o->channels != 0 && o->channels != 1 && o->channels != 3 && o->channels != 4)
        return grd_fail(host, GRD_ERR_ARG, "%s: %d channels wanted, expected 1, 3 or 4", name, o->channels);
    if (o->min_width < 0 || o->min_height < 0 || o->max_pixels < 0)
        return grd_fail(host, GRD_ERR_ARG, "%s: %d x %d pixels wanted of at most %lld, expected none below 0", name, o->min_width,
                        o->min_height, (long long)o->max_pixels);
    return GRD_OK;
}

static grd_status decode(grd_image_input *in, grd_image *image)
{
    char head[GRD_PRINTABLE];
    const magic *format = format_of(in->bytes, in->size);
    if (in->size == 0)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: no bytes, expected a PNG, JPEG or BMP", in->name);
    if (!format)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: begins with \"%s\", expected a PNG, JPEG or BMP", in->name,
                        grd_printable(in->bytes, in->size < 8 ? in->size : 8, head));
    if (!format->decode)
        return grd_fail(in->host, GRD_ERR_UNSUPPORTED, "%s: a %s file, expected a PNG, JPEG or BMP", in->name, format->name);
    image->format = format->format;
    GRD_TRY(format->decode(in, image));
    if (in->opts.indices && image->colors == 0)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: a %s without a palette, expected indices", in->name, format->name);
    return finish(in, image);
}

static grd_status run(grd_host *host, const char *name, const void *bytes, size_t size, const grd_image_opts *opts, bool probe,
                      grd_image *image)
{
    grd_image_input in = { .host = host, .name = name, .bytes = bytes, .size = size, .probe = probe, .orientation = 1 };
    *image = (grd_image){ 0 };
    if (opts)
        in.opts = *opts;
    GRD_TRY(check_opts(host, name, &in.opts));
    if (!in.opts.max_pixels)
        in.opts.max_pixels = GRD_IMAGE_MAX_PIXELS;
    grd_status status = decode(&in, image);
    if (status != GRD_OK)
        grd_image_free(host, image);
    return status;
}

grd_status grd_image_decode(grd_host *host, const char *name, const void *bytes, size_t size, const grd_image_opts *opts,
                            grd_image *image)
{
    return run(host, name, bytes, size, opts, false, image);
}

grd_status grd_image_probe(grd_host *host, const char *name, const void *bytes, size_t size, const grd_image_opts *opts,
                           grd_image *image)
{
    return run(host, name, bytes, size, opts, true, image);
}

grd_status grd_image_read(grd_host *host, const char *path, const grd_image_opts *opts, grd_image *image)
{
    void *bytes;
    size_t size;
    *image = (grd_image){ 0 };
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_image_decode(host, path, bytes, size, opts, image);
    grd_free(host, bytes);
    return status;
}

void grd_image_free(grd_host *host, grd_image *image)
{
    grd_free(host, image->pixels);
    image->pixels = NULL;
}
