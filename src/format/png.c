/* PNG through libpng, both ways. It reports errors by longjmp, so all its calls that may fail stand in one function each way. */
#include "format/png.h"

#include "format/bytes.h"
#include "format/image_codec.h"

#include <png.h>

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SIZE = 1 << 20 };

/* ---- what both ways share ---- */

typedef struct complaint { /* libpng's */
    char text[120];
} complaint;

static void on_error(png_structp png, png_const_charp text)
{
    complaint *to = png_get_error_ptr(png);
    snprintf(to->text, sizeof to->text, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp take(png_structp png, png_alloc_size_t size)
{
    return grd_alloc(png_get_mem_ptr(png), size);
}

static void give(png_structp png, png_voidp memory)
{
    grd_free(png_get_mem_ptr(png), memory);
}

/* ---- writing ---- */

static void put(png_structp png, png_bytep data, size_t size)
{
    grd_bytes *to = png_get_io_ptr(png);
    grd_bytes_put(to, data, size);
    if (to->failed)
        png_error(png, "out of memory");
}

static void flush(png_structp png)
{
    (void)png;
}

static bool encode(png_structp png, png_infop info, int width, int height, int channels, const uint8_t *pixels)
{
    static const int type[] = { [1] = PNG_COLOR_TYPE_GRAY, [3] = PNG_COLOR_TYPE_RGB, [4] = PNG_COLOR_TYPE_RGBA };
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, type[channels], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    size_t stride = (size_t)width * (size_t)channels;
    for (int y = 0; y < height; y++)
        png_write_row(png, pixels + (size_t)y * stride);
    png_write_end(png, info);
    return true;
}

grd_status grd_png_encode(grd_host *host, int width, int height, int channels, const uint8_t *pixels, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE || (channels != 1 && channels != 3 && channels != 4))
        return grd_fail(host, GRD_ERR_ARG, "png: %d x %d pixels with %d channels, expected 1 to %d pixels and 1, 3 or 4 channels",
                        width, height, channels, MAX_SIZE);
    complaint why = { .text = "out of memory" };
    grd_bytes to;
    grd_bytes_init(&to, host);
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &why, on_error, on_warning, host, take, give);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool done = false;
    if (info) {
        png_set_write_fn(png, &to, put, flush);
        done = encode(png, info, width, height, channels, pixels);
    }
    png_destroy_write_struct(&png, &info);
    if (!done) {
        grd_bytes_free(&to);
        return grd_fail(host, GRD_ERR_MEMORY, "png: %s", why.text); /* sizes are checked above: memory is all that can be wrong */
    }
    *bytes = to.data;
    *size = to.size;
    return GRD_OK;
}

grd_status grd_png_write(grd_host *host, const char *path, int width, int height, int channels, const uint8_t *pixels)
{
    void *bytes;
    size_t size;
    GRD_TRY(grd_png_encode(host, width, height, channels, pixels, &bytes, &size));
    grd_status status = grd_file_write(host, path, bytes, size);
    grd_free(host, bytes);
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    complaint why;         /* first: on_error gets it */
    grd_image_input *in;
    grd_image *image;
    size_t at;             /* bytes read */
    int pass, passes, row; /* where reading stands */
    bool ended;            /* more bytes were wanted than there are */
    grd_status status;     /* GRD_OK: libpng complains */
} reader;

static void get(png_structp png, png_bytep data, size_t size)
{
    reader *r = png_get_io_ptr(png);
    if (size > r->in->size - r->at) {
        r->ended = true;
        png_error(png, "the file ends");
    }
    memcpy(data, r->in->bytes + r->at, size);
    r->at += size;
}

static void stop(png_structp png, reader *r, grd_status status)
{
    if (status != GRD_OK) {
        r->status = status;
        png_longjmp(png, 1);
    }
}

static void keep_palette(png_structp png, png_infop info, grd_image *image)
{
    png_colorp color;
    png_bytep alpha = NULL;
    int n_alpha = 0;
    if (!png_get_PLTE(png, info, &color, &image->colors))
        return;
    if (png_get_valid(png, info, PNG_INFO_tRNS))
        png_get_tRNS(png, info, &alpha, &n_alpha, NULL);
    for (int i = 0; i < image->colors; i++) {
        uint8_t *rgba = image->palette[i];
        rgba[0] = color[i].red;
        rgba[1] = color[i].green;
        rgba[2] = color[i].blue;
        rgba[3] = i < n_alpha ? alpha[i] : 255;
    }
}

/* Deflate makes at most 1032 bytes of one: a header that promises more is refused before memory is asked for. */
static grd_status check_promise(const grd_image_input *in, const grd_image *image, size_t row_bytes)
{
    const size_t ratio = 1032;
    size_t limit = in->size > SIZE_MAX / ratio ? SIZE_MAX : in->size * ratio;
    if (row_bytes <= limit / (size_t)image->height)
        return GRD_OK;
    return grd_fail(in->host, GRD_ERR_FORMAT, "%s: PNG: the header says %d x %d pixels, more than %zu bytes can hold", in->name,
                    image->width, image->height, in->size);
}

static void read_head(png_structp png, png_infop info, reader *r)
{
    const grd_image_opts *o = &r->in->opts;
    grd_image *image = r->image;
    png_read_info(png, info);
    int type = png_get_color_type(png, info);
    stop(png, r, grd_image_check_size(r->in, png_get_image_width(png, info), png_get_image_height(png, info)));
    image->width = (int)png_get_image_width(png, info);
    image->height = (int)png_get_image_height(png, info);
    image->depth = png_get_bit_depth(png, info) == 16 && !o->eight_bit ? 16 : 8;
    stop(png, r, check_promise(r->in, image, png_get_rowbytes(png, info)));
    if (type == PNG_COLOR_TYPE_PALETTE)
        keep_palette(png, info, image);
    if (o->indices && image->colors)
        png_set_packing(png);
    else
        png_set_expand(png); /* palettes to colours, grey to 8 bits, a transparent colour to alpha */
    if (o->eight_bit)
        png_set_strip_16(png);
    r->passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    image->channels = png_get_channels(png, info);
}

static void from_big_endian(uint16_t *pixels, size_t n)
{
    const uint8_t *bytes = (const uint8_t *)pixels;
    for (size_t i = 0; i < n; i++)
        pixels[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
}

/* False on failure. */
static bool decode(png_structp png, png_infop info, reader *r)
{
    grd_image *image = r->image;
    if (setjmp(png_jmpbuf(png)))
        return false;
    read_head(png, info, r);
    if (r->in->probe)
        return true;
    size_t stride = png_get_rowbytes(png, info);
    if (stride != (size_t)image->width * (size_t)(image->channels * image->depth / 8))
        png_error(png, "rows of an unexpected size");
    stop(png, r, grd_image_alloc(r->in, image));
    for (r->pass = 0; r->pass < r->passes; r->pass++)
        for (r->row = 0; r->row < image->height; r->row++)
            png_read_row(png, (png_bytep)image->pixels + (size_t)r->row * stride, NULL);
    if (image->depth == 16)
        from_big_endian(image->pixels, (size_t)image->width * (size_t)image->height * (size_t)image->channels);
    return true;
}

static grd_status complain(const reader *r)
{
    const grd_image_input *in = r->in;
    char where[80] = "";
    if (r->passes > 1)
        snprintf(where, sizeof where, " of pass %d of %d", r->pass + 1, r->passes);
    if (!r->image->pixels)
        return r->ended ? grd_fail(in->host, GRD_ERR_FORMAT, "%s: PNG: truncated in its header, after %zu bytes", in->name,
                                   in->size)
                        : grd_fail(in->host, GRD_ERR_FORMAT, "%s: PNG: %s", in->name, r->why.text);
    if (r->ended)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: PNG: truncated after %d of %d rows%s", in->name, r->row, r->image->height,
                        where);
    return grd_fail(in->host, GRD_ERR_FORMAT, "%s: PNG: damaged after %d of %d rows%s: %s", in->name, r->row, r->image->height,
                    where, r->why.text);
}

grd_status grd_png_decode(grd_image_input *in, grd_image *image)
{
    reader r = { .in = in, .image = image };
    grd_clear(in->host);
    png_structp png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, in->host, take, give);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool done = false;
    if (info) {
        png_set_read_fn(png, &r, get);
        png_set_compression_buffer_size(png, 1024); /* it asks for so much at once: a cut file loses fewer whole rows */
        png_set_user_limits(png, 0x7fffffff, 0x7fffffff); /* the cap on pixels is ours */
        done = decode(png, info, &r);
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (done)
        return GRD_OK;
    if (r.status != GRD_OK)
        return r.status;
    if (in->host->err.status == GRD_ERR_MEMORY) /* libpng turns a refusal into a complaint of its own */
        return grd_fail_in(in->host, "%s: PNG: ", in->name);
    return complain(&r);
}
