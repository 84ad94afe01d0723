/* BMP, read as Windows and OS/2 write it: a file header of 14 bytes, an information header whose size tells its version (12 OS/2;
 * 40, 52, 56, 64, 108, 124), colour masks, a palette, rows from the bottom up in multiples of 4 bytes, or runs of indices. */
#include "format/bytes.h"
#include "format/image_codec.h"

#include <string.h>

enum { FILE_HEADER = 14, CORE = 12, INFO = 40 };
enum { PLAIN = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, ALPHA_BITFIELDS = 6 };

typedef struct mask {
    uint32_t bits, most; /* most: the largest value, behind the shift */
    int shift;
} mask;

typedef struct bmp {
    grd_image_input *in;
    grd_image *image;
    size_t pixels_at, palette_at, header;
    unsigned bits, compression, colors_used;
    bool top_down, grey; /* grey: every colour of the palette */
    mask mask[4];        /* red, green, blue, alpha */
} bmp;

static uint32_t word(const bmp *b, size_t at)
{
    return (uint32_t)grd_little(b->in->bytes + at, 4);
}
static uint32_t half(const bmp *b, size_t at)
{
    return (uint32_t)grd_little(b->in->bytes + at, 2);
}

/* ---- header ---- */

static grd_status expect_bytes(const bmp *b, size_t n)
{
    return b->in->size >= n
               ? GRD_OK
               : grd_fail(b->in->host, GRD_ERR_FORMAT, "%s: BMP: truncated in its header: %zu bytes, expected %zu or more",
                          b->in->name, b->in->size, n);
}

static bool is_header_size(size_t n)
{
    return n == CORE || n == INFO || n == 52 || n == 56 || n == 64 || n == 108 || n == 124;
}

static grd_status check_kind(const bmp *b)
{
    unsigned bits = b->bits, c = b->compression;
    bool known = c == PLAIN  ? bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32
                 : c == RLE8 ? bits == 8 && !b->top_down
                 : c == RLE4 ? bits == 4 && !b->top_down
                             : (c == BITFIELDS || c == ALPHA_BITFIELDS) && (bits == 16 || bits == 32) && b->header != 64;
    return known ? GRD_OK
                 : grd_fail(b->in->host, GRD_ERR_UNSUPPORTED,
                            "%s: BMP: %u bits a pixel with compression %u%s, expected 1, 4, 8, 16, "
                            "24 or 32 bits with 0, 8 with 1, 4 with 2, 16 or 32 with 3 or 6",
                            b->in->name, bits, c, b->top_down ? ", rows from the top" : "");
}

static grd_status read_sizes(bmp *b)
{
    GRD_TRY(expect_bytes(b, FILE_HEADER + 4));
    b->pixels_at = word(b, 10);
    b->header = word(b, FILE_HEADER);
    if (!is_header_size(b->header))
        return grd_fail(b->in->host, GRD_ERR_FORMAT, "%s: BMP: a header of %zu bytes, expected 12, 40, 52, 56, 64, 108 or 124",
                        b->in->name, b->header);
    GRD_TRY(expect_bytes(b, FILE_HEADER + b->header));
    int64_t width, height;
    if (b->header == CORE) {
        width = half(b, 18);
        height = half(b, 20);
        b->bits = half(b, 24);
    } else {
        width = (int32_t)word(b, 18);
        height = (int32_t)word(b, 22);
        b->bits = half(b, 28);
        b->compression = word(b, 30);
        b->colors_used = word(b, 46);
    }
    b->top_down = height < 0;
    height = height < 0 ? -height : height;
    GRD_TRY(grd_image_check_size(b->in, width, height));
    b->image->width = (int)width;
    b->image->height = (int)height;
    b->palette_at = FILE_HEADER + b->header;
    return check_kind(b);
}

static mask mask_of(uint32_t bits)
{
    mask m = { .bits = bits };
    while (bits && !(bits >> m.shift & 1))
        m.shift++;
    m.most = bits >> m.shift;
    return m;
}

static grd_status read_masks(bmp *b)
{
    uint32_t bits[4] = { 0xff0000, 0xff00, 0xff, 0 };
    if (b->bits == 16)
        memcpy(bits, (uint32_t[]){ 0x7c00, 0x3e0, 0x1f, 0 }, sizeof bits);
    if (b->compression == BITFIELDS || b->compression == ALPHA_BITFIELDS) {
        bool apart = b->header == INFO; /* behind the header, not in it */
        int n = apart ? (b->compression == ALPHA_BITFIELDS ? 4 : 3) : b->header >= 56 ? 4 : 3;
        GRD_TRY(expect_bytes(b, FILE_HEADER + INFO + 4 * (size_t)n));
        for (int i = 0; i < n; i++)
            bits[i] = word(b, FILE_HEADER + INFO + 4 * (size_t)i);
        b->palette_at += apart ? 4 * (size_t)n : 0;
    }
    for (int i = 0; i < 4; i++) {
        b->mask[i] = mask_of(bits[i]);
        uint32_t run = b->mask[i].most;
        if ((run & (run + 1)) != 0 || (i < 3 && run == 0) || (b->bits == 16 && bits[i] > 0xffff))
            return grd_fail(b->in->host, GRD_ERR_FORMAT, "%s: BMP: mask %d of 4 is 0x%08x, expected bits in a row within %u",
                            b->in->name, i + 1, (unsigned)bits[i], b->bits);
    }
    b->image->channels = b->mask[3].bits ? 4 : 3;
    return GRD_OK;
}

static grd_status read_palette(bmp *b)
{
    size_t entry = b->header == CORE ? 3 : 4, most = (size_t)1 << b->bits, n = b->colors_used ? b->colors_used : most;
    if (n > most)
        n = most;
    if (b->pixels_at >= b->palette_at && (b->pixels_at - b->palette_at) / entry < n) /* some writers leave the rest out */
        n = (b->pixels_at - b->palette_at) / entry;
    GRD_TRY(expect_bytes(b, b->palette_at + n * entry));
    if (n == 0)
        return grd_fail(b->in->host, GRD_ERR_FORMAT, "%s: BMP: no palette, expected up to %zu colours", b->in->name, most);
    b->image->colors = (int)n;
    b->grey = true;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *bgr = b->in->bytes + b->palette_at + i * entry;
        memcpy(b->image->palette[i], (uint8_t[]){ bgr[2], bgr[1], bgr[0], 255 }, 4);
        b->grey = b->grey && bgr[0] == bgr[1] && bgr[1] == bgr[2];
    }
    b->image->channels = b->grey || b->in->opts.indices ? 1 : 3;
    return GRD_OK;
}

/* ---- rows ---- */

static uint8_t *row_of(const bmp *b, int y) /* of the y-th row in the file */
{
    int64_t at = b->top_down ? y : b->image->height - 1 - y;
    return (uint8_t *)b->image->pixels + at * b->image->width * b->image->channels;
}

static void put_index(const bmp *b, uint8_t *row, int x, unsigned index)
{
    const uint8_t *color = b->image->palette[index];
    if (b->in->opts.indices)
        row[x] = (uint8_t)index;
    else if (b->grey)
        row[x] = color[0];
    else
        memcpy(row + 3 * x, color, 3);
}

static unsigned index_at(const uint8_t *bytes, int x, unsigned bits)
{
    unsigned per_byte = 8 / bits, place = (unsigned)x % per_byte;
    return (unsigned)(bytes[(unsigned)x / per_byte] >> (8 - bits * (place + 1))) & ((1u << bits) - 1);
}

static void read_row(const bmp *b, const uint8_t *bytes, uint8_t *row)
{
    int channels = b->image->channels, size = (int)b->bits / 8;
    for (int x = 0; x < b->image->width; x++) {
        if (b->bits <= 8) {
            put_index(b, row, x, index_at(bytes, x, b->bits));
        } else if (b->bits == 24) {
            memcpy(row + 3 * x, (uint8_t[]){ bytes[3 * x + 2], bytes[3 * x + 1], bytes[3 * x] }, 3);
        } else {
            uint32_t value = (uint32_t)grd_little(bytes + (size_t)x * (size_t)size, size);
            for (int c = 0; c < channels; c++) {
                const mask *m = &b->mask[c];
                row[x * channels + c] = (uint8_t)((uint64_t)((value & m->bits) >> m->shift) * 255 / m->most);
            }
        }
    }
}

static grd_status truncated(const bmp *b, int rows)
{
    return grd_fail(b->in->host, GRD_ERR_FORMAT, "%s: BMP: truncated after %d of %d rows", b->in->name, rows, b->image->height);
}

static grd_status read_rows(bmp *b)
{
    size_t stride = ((size_t)b->image->width * b->bits + 31) / 32 * 4, used = ((size_t)b->image->width * b->bits + 7) / 8;
    size_t have = b->in->size - b->pixels_at,
           rows = have / stride + (have % stride >= used); /* the last one may lack its padding */
    if (rows < (size_t)b->image->height)
        return truncated(b, (int)rows);
    GRD_TRY(grd_image_alloc(b->in, b->image));
    for (int y = 0; y < b->image->height; y++)
        read_row(b, b->in->bytes + b->pixels_at + (size_t)y * stride, row_of(b, y));
    return GRD_OK;
}

/* ---- runs ---- */

typedef struct cursor {
    size_t at;
    int x, y;
} cursor;

/* n pixels, of the two indices in `pair` in turn or of the bytes there. False if they leave the picture's rows or the file. */
static bool put_run(const bmp *b, cursor *c, int n, bool literal)
{
    const uint8_t *bytes = b->in->bytes + c->at;
    unsigned bits = b->bits;
    if (n > b->image->width - c->x)
        return false;
    for (int i = 0; i < n; i++)
        put_index(b, row_of(b, c->y), c->x + i, index_at(bytes, literal ? i : i % (int)(8 / bits), bits));
    c->x += n;
    return true;
}

/* What stands behind a zero byte: 0 end of row, 1 end of picture, 2 a jump, else so many literal pixels, padded to 2 bytes.
 * Returns false if that cannot be. */
static bool escape(const bmp *b, cursor *c, int code, bool *done)
{
    const uint8_t *bytes = b->in->bytes;
    size_t left = b->in->size - c->at;
    *done = code == 1;
    if (code == 0) {
        c->x = 0;
        c->y++;
    } else if (code == 2) {
        if (left < 2)
            return false;
        c->x += bytes[c->at];
        c->y += bytes[c->at + 1];
        c->at += 2;
        return c->x <= b->image->width && c->y <= b->image->height;
    } else if (code > 2) {
        size_t size = ((size_t)code * b->bits + 7) / 8;
        if (left < size || !put_run(b, c, code, true))
            return false;
        size += size % 2;
        c->at += size < left ? size : left;
    }
    return true;
}

static grd_status read_runs(bmp *b)
{
    cursor c = { .at = b->pixels_at };
    bool done = false;
    GRD_TRY(grd_image_alloc(b->in, b->image));
    for (int y = 0; y < b->image->height; y++) /* what runs leave out is colour 0 */
        for (int x = 0; x < b->image->width; x++)
            put_index(b, row_of(b, y), x, 0);
    while (!done && c.y < b->image->height) {
        if (b->in->size - c.at < 2)
            return c.y == b->image->height - 1 && c.x == b->image->width ? GRD_OK : truncated(b, c.y);
        int n = b->in->bytes[c.at], code = b->in->bytes[c.at + 1];
        size_t start = c.at;
        c.at += n ? 1 : 2;
        bool good = n ? put_run(b, &c, n, false) : escape(b, &c, code, &done);
        c.at += n ? 1 : 0;
        if (!good)
            return grd_fail(b->in->host, GRD_ERR_FORMAT,
                            "%s: BMP: the run at byte %zu leaves the picture or the file after %d of "
                            "%d rows",
                            b->in->name, start, c.y < b->image->height ? c.y : b->image->height, b->image->height);
    }
    return GRD_OK;
}

grd_status grd_bmp_decode(grd_image_input *in, grd_image *image)
{
    bmp b = { .in = in, .image = image };
    image->depth = 8;
    GRD_TRY(read_sizes(&b));
    if (b.bits == 24)
        image->channels = 3;
    else
        GRD_TRY(b.bits <= 8 ? read_palette(&b) : read_masks(&b));
    if (in->probe)
        return GRD_OK;
    if (b.pixels_at < FILE_HEADER + b.header)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: BMP: pixels at byte %zu, expected them behind the header of %zu", in->name,
                        b.pixels_at, FILE_HEADER + b.header);
    if (b.pixels_at > in->size)
        return truncated(&b, 0);
    return b.compression == RLE8 || b.compression == RLE4 ? read_runs(&b) : read_rows(&b);
}
