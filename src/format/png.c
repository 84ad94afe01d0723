/* PNG through libpng. It reports errors by longjmp, so all its calls that may fail stand in one function. */
#include "format/png.h"

#include "format/bytes.h"

#include <png.h>

#include <setjmp.h>
#include <stdio.h>

enum { MAX_SIZE = 1 << 20 };

typedef struct sink {
    grd_bytes bytes;
    char text[120];      /* libpng's complaint */
} sink;

static void put(png_structp png, png_bytep data, size_t size)
{
    sink *to = png_get_io_ptr(png);
    grd_bytes_put(&to->bytes, data, size);
    if (to->bytes.failed)
        png_error(png, "out of memory");
}

static void flush(png_structp png)
{
    (void)png;
}

static void on_error(png_structp png, png_const_charp text)
{
    sink *to = png_get_error_ptr(png);
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
    sink to = { .text = "out of memory" };
    grd_bytes_init(&to.bytes, host);
    png_structp png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &to, on_error, on_warning, host, take, give);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool done = false;
    if (info) {
        png_set_write_fn(png, &to, put, flush);
        done = encode(png, info, width, height, channels, pixels);
    }
    png_destroy_write_struct(&png, &info);
    if (!done) {
        grd_bytes_free(&to.bytes);
        return grd_fail(host, GRD_ERR_MEMORY, "png: %s", to.text); /* sizes are checked above: memory is all that can be wrong */
    }
    *bytes = to.bytes.data;
    *size = to.bytes.size;
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
