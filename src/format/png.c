#include "format/png.h"

#include <png.h>

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"

typedef struct png_sink { grd_bytes bytes; char text[120]; } png_sink;

static void put(png_structp png, png_bytep data, png_size_t size)
{
    grd_bytes_put(&((png_sink *)png_get_io_ptr(png))->bytes, data, size);
}

static void flush(png_structp png) { (void)png; }

static void on_error(png_structp png, png_const_charp text)
{
    png_sink *sink = png_get_error_ptr(png);
    strncpy(sink->text, text, sizeof sink->text - 1);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* All that libpng may leave by longjmp; no variable changes after setjmp. */
static bool encode(png_structp png, png_infop info, int width, int height, int channels, const uint8_t *pixels)
{
    static const int type[] = { 0, PNG_COLOR_TYPE_GRAY, 0, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGBA };
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, type[channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < height; y++)
        png_write_row(png, pixels + (size_t)y * (size_t)width * (size_t)channels);
    png_write_end(png, info);
    return true;
}

grd_status grd_png_encode(grd_host *host, int width, int height, int channels, const uint8_t *pixels, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    if (width < 1 || height < 1 || width > 1 << 20 || height > 1 << 20 || (channels != 1 && channels != 3 && channels != 4))
        return grd_fail(host, GRD_ERR_ARG, "png: %d x %d with %d channels: expected sizes from 1 and 1, 3 or 4 channels", width, height, channels);
    png_sink sink = { .text = "" };
    grd_bytes_init(&sink.bytes, host);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &sink, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool done = false;
    if (info) {
        png_set_write_fn(png, &sink, put, flush);
        done = encode(png, info, width, height, channels, pixels);
    }
    png_destroy_write_struct(&png, &info);
    grd_status status = !done ? grd_fail(host, GRD_ERR_MEMORY, "png: %s", *sink.text ? sink.text : "out of memory") : grd_bytes_status(&sink.bytes);
    if (status != GRD_OK) {
        grd_bytes_free(&sink.bytes);
        return status;
    }
    *bytes = sink.bytes.data;
    *size = sink.bytes.size;
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
