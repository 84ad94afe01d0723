#include "helper_image.h"

#include <jpeglib.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

static void put(png_structp png, png_bytep data, size_t size)
{
    picture_bytes *to = png_get_io_ptr(png);
    to->data = realloc(to->data, to->size + size);
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void flush(png_structp png)
{
    (void)png;
}

picture_bytes png_file(int width, int height, int type, int bits, bool interlaced, bool transparent, const uint8_t *rows)
{
    picture_bytes to = { 0 };
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_int_equal(setjmp(png_jmpbuf(png)), 0);
    png_set_write_fn(png, &to, put, flush);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, bits, type,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_color color[256];
        for (int i = 0; i < 1 << bits; i++)
            color[i] = (png_color){ (png_byte)i, (png_byte)(2 * i), (png_byte)(3 * i) };
        png_set_PLTE(png, info, color, 1 << bits);
        if (transparent)
            png_set_tRNS(png, info, (png_byte[]){ 0, 100 }, 2, NULL);
    } else if (transparent) {
        png_set_tRNS(png, info, NULL, 0, &(png_color_16){ .gray = 1, .red = 1, .green = 2, .blue = 3 });
    }
    png_write_info(png, info);
    size_t stride = png_get_rowbytes(png, info);
    for (int pass = png_set_interlace_handling(png); pass > 0; pass--)
        for (int y = 0; y < height; y++)
            png_write_row(png, rows + (size_t)y * stride);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return to;
}

picture_bytes jpeg_file(int width, int height, int components, bool progressive, int orientation, bool big, const uint8_t *pixels)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &size);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = components;
    c.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    if (orientation) {
        uint8_t little[] = "Exif\0\0II*\0\x08\0\0\0\2\0\x0f\1\2\0\1\0\0\0x\0\0\0\x12\1\3\0\1\0\0\0\0\0\0\0\0\0\0\0";
        uint8_t large[] = "Exif\0\0MM\0*\0\0\0\x08\0\2\1\x0f\0\2\0\0\0\1x\0\0\0\1\x12\0\3\0\0\0\1\0\0\0\0\0\0\0\0";
        little[6 + 8 + 2 + 12 + 8] = (uint8_t)orientation;
        large[6 + 8 + 2 + 12 + 9] = (uint8_t)orientation;
        jpeg_write_marker(&c, JPEG_APP0 + 1, big ? large : little, sizeof little - 1);
    }
    for (int y = 0; y < height; y++) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)y * (size_t)(width * components);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (picture_bytes){ bytes, size };
}

static void number(uint8_t *at, int64_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (uint8_t)((uint64_t)value >> 8 * i);
}

picture_bytes bmp_file(const bmp_kind *k)
{
    size_t inside = k->header >= 52 ? (size_t)(k->header >= 56 ? 4 : 3) : 0,
           apart = k->n_masks && !inside ? (size_t)k->n_masks : 0;
    size_t entry = k->header == 12 ? 3 : 4, at = 14 + (size_t)k->header + 4 * apart + entry * (size_t)k->n_colors;
    picture_bytes b = { calloc(at + k->size, 1), at + k->size };
    memcpy(b.data, "BM", 2);
    number(b.data + 2, (int64_t)b.size, 4);
    number(b.data + 10, (int64_t)at, 4);
    number(b.data + 14, k->header, 4);
    if (k->header == 12) {
        number(b.data + 18, k->width, 2);
        number(b.data + 20, k->height, 2);
        number(b.data + 22, 1, 2);
        number(b.data + 24, k->bits, 2);
    } else {
        number(b.data + 18, k->width, 4);
        number(b.data + 22, k->height, 4);
        number(b.data + 26, 1, 2);
        number(b.data + 28, k->bits, 2);
        number(b.data + 30, k->compression, 4);
        number(b.data + 46, k->n_colors, 4);
    }
    for (int i = 0; i < k->n_masks; i++)
        number(b.data + 54 + 4 * i, k->masks[i], 4);
    if (k->n_colors)
        memcpy(b.data + at - entry * (size_t)k->n_colors, k->palette, entry * (size_t)k->n_colors);
    memcpy(b.data + at, k->pixels, k->size);
    return b;
}
