/* A small RGB canvas. */
#include "format/picture.h"

#include "format/font.h"
#include "format/png.h"

#include <math.h>
#include <string.h>

enum { MAX_SIZE = 32768 };

grd_status grd_picture_init(grd_picture *picture, grd_host *host, int width, int height, uint32_t colour)
{
    *picture = (grd_picture){ .host = host };
    if (width < 1 || height < 1 || width > MAX_SIZE || height > MAX_SIZE)
        return grd_fail(host, GRD_ERR_ARG, "picture: %d x %d pixels, expected 1 to %d each way", width, height, MAX_SIZE);
    picture->rgb = grd_alloc(host, (size_t)width * (size_t)height * 3);
    if (!picture->rgb)
        return GRD_ERR_MEMORY;
    picture->width = width;
    picture->height = height;
    grd_picture_fill(picture, 0, 0, width, height, colour);
    return GRD_OK;
}

void grd_picture_free(grd_picture *picture)
{
    if (picture->rgb)
        grd_free(picture->host, picture->rgb);
    picture->rgb = NULL;
}

/* ---- drawing ---- */

/* Begin and end of [at, at + size) inside [0, limit). */
static void clip(int at, int size, int limit, int *begin, int *end)
{
    int64_t last = (int64_t)at + size;
    *begin = at < 0 ? 0 : at;
    *end = last < limit ? (int)(last < 0 ? 0 : last) : limit;
}

void grd_picture_fill(grd_picture *picture, int x, int y, int width, int height, uint32_t colour)
{
    int left, right, top, bottom;
    clip(x, width, picture->width, &left, &right);
    clip(y, height, picture->height, &top, &bottom);
    for (int j = top; j < bottom; j++)
        for (int i = left; i < right; i++) {
            uint8_t *at = picture->rgb + ((size_t)j * (size_t)picture->width + (size_t)i) * 3;
            at[0] = (uint8_t)(colour >> 16);
            at[1] = (uint8_t)(colour >> 8);
            at[2] = (uint8_t)colour;
        }
}

static uint32_t rgb(uint32_t red, uint32_t green, uint32_t blue)
{
    return red << 16 | green << 8 | blue;
}

void grd_picture_image(grd_picture *picture, int x, int y, int width, int height, int channels, const uint8_t *pixels, int scale)
{
    for (int j = 0; j < height; j++)
        for (int i = 0; i < width; i++) {
            const uint8_t *p = pixels + ((size_t)j * (size_t)width + (size_t)i) * (size_t)channels;
            uint32_t colour = channels == 3 ? rgb(p[0], p[1], p[2]) : rgb(p[0], p[0], p[0]);
            grd_picture_fill(picture, x + i * scale, y + j * scale, scale, scale, colour);
        }
}

static uint32_t brightness(float value, float lo, float hi)
{
    float level = (value - lo) / (hi - lo) * 255 + 0.5f;
    return level > 255 ? 255 : level > 0 ? (uint32_t)level : 0; /* NaN: 0 */
}

void grd_picture_planes(grd_picture *picture, int x, int y, int width, int height, int channels, const float *planes, float lo,
                        float hi, int scale)
{
    size_t plane = (size_t)width * (size_t)height;
    for (int j = 0; j < height; j++)
        for (int i = 0; i < width; i++) {
            const float *p = planes + (size_t)j * (size_t)width + (size_t)i;
            float red = p[0], green = channels == 3 ? p[plane] : red, blue = channels == 3 ? p[2 * plane] : red;
            uint32_t colour = rgb(brightness(red, lo, hi), brightness(green, lo, hi), brightness(blue, lo, hi));
            if (isnan(red) || isnan(green) || isnan(blue))
                colour = 0xFF00FF;
            grd_picture_fill(picture, x + i * scale, y + j * scale, scale, scale, colour);
        }
}

void grd_picture_text(grd_picture *picture, int x, int y, const char *text, uint32_t colour, int scale)
{
    static const uint8_t box[GRD_FONT_HEIGHT] = { 0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f, 0, 0 };
    for (; *text; text++, x += (GRD_FONT_WIDTH + 1) * scale) {
        unsigned char letter = (unsigned char)*text;
        const uint8_t *rows = letter >= GRD_FONT_FIRST && letter <= GRD_FONT_LAST ? grd_font[letter - GRD_FONT_FIRST] : box;
        for (int j = 0; j < GRD_FONT_HEIGHT; j++)
            for (int i = 0; i < GRD_FONT_WIDTH; i++)
                if (rows[j] >> (GRD_FONT_WIDTH - 1 - i) & 1)
                    grd_picture_fill(picture, x + i * scale, y + j * scale, scale, scale, colour);
    }
}

int grd_picture_text_width(const char *text, int scale)
{
    int n = (int)strlen(text);
    return n ? (n * (GRD_FONT_WIDTH + 1) - 1) * scale : 0;
}

int grd_picture_text_height(int scale)
{
    return GRD_FONT_HEIGHT * scale;
}

/* ---- grids ---- */

enum { MARGIN = 12, GAP = 6, LETTERS = 2, LINE = GRD_FONT_HEIGHT * LETTERS, INK = 0x202020, PAPER = 0xFFFFFF };

typedef struct layout {
    int scale;
    int left, top;             /* of the first image */
    int step_x, step_y;        /* from image to image */
    int width, height;         /* of the picture */
} layout;

static int text_width(const char *text)
{
    return text ? grd_picture_text_width(text, LETTERS) : 0;
}

/* Columns are as wide as their images or their widest caption. */
static grd_status lay_out(grd_host *host, const grd_picture_grid *grid, layout *l)
{
    const int limit = MAX_SIZE;
    const int given[] = { grid->rows, grid->columns, grid->width, grid->height };
    bool fits = (grid->channels == 1 || grid->channels == 3) && grid->scale <= limit;
    for (int i = 0; i < 4; i++)
        fits = fits && given[i] >= 1 && given[i] <= limit;
    if (!fits)
        return grd_fail(host, GRD_ERR_ARG, "picture: %d x %d images of %d x %d, %d channels; expected 1 to %d, 1 or 3 channels",
                        grid->rows, grid->columns, grid->width, grid->height, grid->channels, limit);
    int scale = grid->scale > 0 ? grid->scale : (56 + grid->height / 2) / grid->height;
    l->scale = scale < 1 ? 1 : scale;
    int captions = 0;
    int64_t cell = (int64_t)grid->width * l->scale;
    for (int r = 0; r < grid->rows; r++)
        captions = text_width(grid->row[r].caption) > captions ? text_width(grid->row[r].caption) : captions;
    for (int c = 0; grid->column_caption && c < grid->columns; c++)
        cell = text_width(grid->column_caption[c]) > cell ? text_width(grid->column_caption[c]) : cell;
    l->left = MARGIN + (captions ? captions + MARGIN : 0);
    l->top = MARGIN + (grid->title ? LINE + MARGIN : 0) + (grid->column_caption ? LINE + GAP : 0);
    int64_t tall = (int64_t)grid->height * l->scale, width = l->left + grid->columns * (cell + GAP) - GAP + MARGIN;
    int64_t height = l->top + grid->rows * (tall + GAP) - GAP + MARGIN, title = text_width(grid->title) + 2 * MARGIN;
    width = title > width ? title : width;
    if (width > limit || height > limit)
        return grd_fail(host, GRD_ERR_ARG, "picture: a grid of %lld x %lld pixels, expected at most %d each way",
                        (long long)width, (long long)height, limit);
    l->step_x = (int)cell + GAP;
    l->step_y = (int)tall + GAP;
    l->width = (int)width;
    l->height = (int)height;
    return GRD_OK;
}

grd_status grd_picture_from_grid(grd_picture *picture, grd_host *host, const grd_picture_grid *grid)
{
    layout l = { 0 };
    *picture = (grd_picture){ .host = host };
    GRD_TRY(lay_out(host, grid, &l));
    GRD_TRY(grd_picture_init(picture, host, l.width, l.height, PAPER));
    if (grid->title)
        grd_picture_text(picture, MARGIN, MARGIN, grid->title, INK, LETTERS);
    for (int c = 0; grid->column_caption && c < grid->columns; c++)
        grd_picture_text(picture, l.left + c * l.step_x, l.top - GAP - LINE, grid->column_caption[c], INK, LETTERS);
    float hi = grid->lo == 0 && grid->hi == 0 ? 1 : grid->hi;
    size_t image = (size_t)grid->channels * (size_t)grid->height * (size_t)grid->width;
    for (int r = 0; r < grid->rows; r++) {
        int y = l.top + r * l.step_y;
        if (grid->row[r].caption)
            grd_picture_text(picture, MARGIN, y + (l.step_y - GAP - LINE) / 2, grid->row[r].caption, INK, LETTERS);
        for (int c = 0; c < grid->columns; c++)
            grd_picture_planes(picture, l.left + c * l.step_x, y, grid->width, grid->height, grid->channels,
                               grid->row[r].images + (size_t)c * image, grid->lo, hi, l.scale);
    }
    return GRD_OK;
}

grd_status grd_picture_write(const grd_picture *picture, const char *path)
{
    return grd_png_write(picture->host, path, picture->width, picture->height, 3, picture->rgb);
}
