/* A contact sheet: pictures of batches as a network will see them, masks over them, points on them, names under them. */
#include "data/dataset.h"

#include "format/picture.h"
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GAP = 8, LEAST_SIDE = 96, MOST_SIDE = 320, MOST_PICTURES = 400, GROUND = 0xf4f4f4, INK = 0x222222 };

typedef struct sheet {
    grd_host *host;
    const grd_dataset *data;
    int image, mask, points, label;
    grd_picture picture;
    int columns, rows, cell_w, cell_h, zoom, step; /* a pixel becomes zoom x zoom; of larger pictures every step-th is shown */
    int64_t channels, height, width;               /* of the first batch: the cells are made for it */
    uint8_t *rgb;                                  /* one picture, [rows][columns][3] */
} sheet;

/* ---- fields ---- */

static bool is_picture(const grd_field *f)
{
    return f->shape.rank == 3 && (f->dtype == GRD_U8 || f->dtype == GRD_F32) && f->shape.dim[0] >= 1 && f->shape.dim[0] <= 4;
}

static grd_status find_fields(sheet *s)
{
    const grd_dataset *d = s->data;
    s->image = grd_field_find(d->field, d->n_fields, "image");
    for (int f = 0; f < d->n_fields && s->image < 0; f++)
        s->image = is_picture(&d->field[f]) ? f : -1;
    if (s->image < 0 || !is_picture(&d->field[s->image]))
        return grd_fail(s->host, GRD_ERR_ARG, "sheet: the data set has no pictures: a field u8 or f32 [1 to 4 channels, height, width]");
    s->mask = grd_field_find(d->field, d->n_fields, "mask");
    s->points = grd_field_find(d->field, d->n_fields, "points");
    s->label = grd_field_find(d->field, d->n_fields, "label");
    const grd_field *m = s->mask >= 0 ? &d->field[s->mask] : NULL;
    if (m && ((m->dtype != GRD_U8 && m->dtype != GRD_I32) || m->shape.rank < 2 || (m->shape.rank == 3 && m->shape.dim[0] != 1)))
        s->mask = -1;
    const grd_field *p = s->points >= 0 ? &d->field[s->points] : NULL;
    if (p && (p->dtype != GRD_F32 || p->shape.rank != 2 || p->shape.dim[1] != 2))
        s->points = -1;
    return GRD_OK;
}

static void lay_out(sheet *s, const grd_batch *batch, int64_t n, int columns)
{
    const int64_t *dim = batch->shape[s->image].dim + 1;
    s->channels = dim[0];
    s->height = dim[1];
    s->width = dim[2];
    int64_t longer = s->height > s->width ? s->height : s->width;
    s->zoom = longer < LEAST_SIDE ? (int)(LEAST_SIDE / longer) : 1;
    s->step = (int)((longer + MOST_SIDE - 1) / MOST_SIDE);
    s->cell_w = (int)((s->width + s->step - 1) / s->step) * s->zoom;
    s->cell_h = (int)((s->height + s->step - 1) / s->step) * s->zoom;
    s->columns = columns ? columns : (int)ceil(sqrt((double)n * s->cell_h / s->cell_w));
    s->columns = s->columns < 1 ? 1 : s->columns > n ? (int)n : s->columns;
    s->rows = (int)((n + s->columns - 1) / s->columns);
}

static int line_height(void) { return grd_picture_text_height(1) + 2; }

static grd_status start(sheet *s, const grd_batch *batch, int64_t n, int columns)
{
    lay_out(s, batch, n, columns);
    s->rgb = grd_alloc(s->host, (size_t)s->cell_w * (size_t)s->cell_h * 3);
    if (!s->rgb)
        return GRD_ERR_MEMORY;
    return grd_picture_init(&s->picture, s->host, GAP + s->columns * (s->cell_w + GAP),
                            GAP + s->rows * (s->cell_h + 2 * line_height() + GAP), GROUND);
}

/* ---- one picture ---- */

static double value_at(const grd_batch *b, int f, int64_t i)
{
    return b->field[f].dtype == GRD_U8    ? ((const uint8_t *)b->data[f])[i]
           : b->field[f].dtype == GRD_I32 ? ((const int32_t *)b->data[f])[i]
                                          : (double)((const float *)b->data[f])[i];
}

/* Floats of any range: the smallest is black, the largest white. */
static void range_of(const grd_batch *b, int f, int64_t begin, int64_t n, double range[2])
{
    range[0] = 0;
    range[1] = 255;
    if (b->field[f].dtype == GRD_U8)
        return;
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int64_t i = begin; i < begin + n; i++) {
        double v = value_at(b, f, i);
        range[0] = v < range[0] ? v : range[0];
        range[1] = v > range[1] ? v : range[1];
    }
}

/* Colours of classes go round the circle by the golden section; class 0 and the index that means no label are left clear. */
static void tint(uint8_t rgb[3], int64_t class)
{
    double turn = fmod((double)class * 0.61803398875, 1) * 6;
    for (int c = 0; c < 3; c++) {
        double k = fmod(5 - 2 * c + turn, 6), other = k < 4 - k ? k : 4 - k;
        other = other < 0 ? 0 : other > 1 ? 1 : other;
        rgb[c] = (uint8_t)(0.5 * rgb[c] + 0.5 * 255 * (1 - 0.85 * other));
    }
}

static void show_pixels(sheet *s, const grd_batch *b, int64_t r)
{
    const int64_t plane = s->height * s->width, begin = r * s->channels * plane;
    int w = (int)((s->width + s->step - 1) / s->step), h = (int)((s->height + s->step - 1) / s->step);
    double range[2];
    range_of(b, s->image, begin, s->channels * plane, range);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t *rgb = s->rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
            int64_t at = (int64_t)y * s->step * s->width + (int64_t)x * s->step;
            for (int c = 0; c < 3; c++) {
                double v = (value_at(b, s->image, begin + (s->channels >= 3 ? c : 0) * plane + at) - range[0]) / (range[1] - range[0]);
                rgb[c] = (uint8_t)(v >= 0 && v <= 1 ? v * 255 : 0);
            }
            int64_t class = s->mask >= 0 ? (int64_t)value_at(b, s->mask, r * plane + at) : 0;
            if (class > 0 && (!b->field[s->mask].ignore || class != b->field[s->mask].ignore))
                tint(rgb, class);
        }
}

static void show_points(sheet *s, const grd_batch *b, int64_t r, int left, int top)
{
    int64_t n = b->shape[s->points].dim[1];
    const float *xy = (const float *)b->data[s->points] + r * n * 2;
    for (int64_t k = 0; k < n; k++, xy += 2) {
        double x = ((double)xy[0] + 0.5) / s->step * s->zoom, y = ((double)xy[1] + 0.5) / s->step * s->zoom;
        if (!(x >= 0 && y >= 0 && x < s->cell_w && y < s->cell_h))
            continue;
        int px = left + (int)x, py = top + (int)y;
        grd_picture_fill(&s->picture, px - 3, py - 1, 7, 3, 0xffffff);
        grd_picture_fill(&s->picture, px - 1, py - 3, 3, 7, 0xffffff);
        grd_picture_fill(&s->picture, px - 2, py, 5, 1, 0xe00030);
        grd_picture_fill(&s->picture, px, py - 2, 1, 5, 0xe00030);
    }
}

/* "frog", "3", of soft labels "frog 0.70 cat 0.30", of a number "3.25". */
static void label_of(const sheet *s, const grd_batch *b, int64_t r, char *text, size_t size)
{
    text[0] = 0;
    if (s->label < 0)
        return;
    const grd_shape *shape = &b->shape[s->label];
    int64_t n = grd_count(shape) / shape->dim[0];
    bool soft = shape->rank == 2 && n > 1 && b->field[s->label].dtype == GRD_F32;
    size_t used = 0;
    for (int64_t k = 0; k < n && used < size && (soft || k < 4); k++) {
        double v = value_at(b, s->label, r * n + k);
        const char *class = grd_dataset_class(s->data, soft ? k : (int64_t)v);
        char number[32];
        snprintf(number, sizeof number, "%.4g", soft ? (double)k : v);
        class = class && (soft || b->field[s->label].classes) ? class : number;
        if (soft && v > 0.005)
            used += (size_t)snprintf(text + used, size - used, "%s%s %.2f", used ? " " : "", class, v);
        else if (!soft)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " " : "", class);
    }
}

/* The end of the text that is wide enough for a cell. */
static const char *cut(const char *text, int width)
{
    while (*text && grd_picture_text_width(text, 1) > width)
        text++;
    return text;
}

static void show(sheet *s, const grd_batch *b, int64_t r, int64_t place, const grd_shown *shown)
{
    int left = GAP + (int)(place % s->columns) * (s->cell_w + GAP);
    int top = GAP + (int)(place / s->columns) * (s->cell_h + 2 * line_height() + GAP);
    show_pixels(s, b, r);
    grd_picture_image(&s->picture, left, top, s->cell_w / s->zoom, s->cell_h / s->zoom, 3, s->rgb, s->zoom);
    if (s->points >= 0)
        show_points(s, b, r, left, top);
    const char *name = strrchr(shown->name, '/') ? strrchr(shown->name, '/') + 1 : shown->name;
    char label[sizeof shown->label];
    snprintf(label, sizeof label, "%s", shown->label);
    while (*label && grd_picture_text_width(label, 1) > s->cell_w)
        label[strlen(label) - 1] = 0;
    grd_picture_text(&s->picture, left, top + s->cell_h + 2, label, INK, 1);
    grd_picture_text(&s->picture, left, top + s->cell_h + 2 + line_height(), cut(name, s->cell_w), 0x777777, 1);
}

/* ---- all of them ---- */

static void name_sample(const grd_dataset *d, int64_t index, char *text, size_t size)
{
    if (d->source->row->name_of && !d->source->row->stream)
        d->source->row->name_of(d->source->state, index, text, size);
    else
        snprintf(text, size, "%lld", (long long)index);
}

/* Of varying fields a batch may be smaller than the first one: its cells stay as they are. */
static bool same_size(const sheet *s, const grd_batch *b)
{
    const int64_t *dim = b->shape[s->image].dim + 1;
    bool mask = s->mask < 0 || grd_count(&b->shape[s->mask]) == b->shape[s->mask].dim[0] * s->height * s->width;
    return mask && dim[0] == s->channels && dim[1] == s->height && dim[2] == s->width;
}

static grd_status fill(sheet *s, grd_loader *loader, const grd_sheet_opts *o, int64_t n)
{
    const grd_batch *b;
    grd_shown shown;
    GRD_TRY(grd_loader_start(loader, o->epoch, 0));
    for (int64_t place = 0; place < n;) {
        GRD_TRY(grd_loader_next(loader, &b));
        if (!b)
            break;
        if (place == 0)
            GRD_TRY(start(s, b, n, o->columns));
        if (!same_size(s, b))
            break;
        for (int64_t r = 0; r < b->n && place < n; r++, place++) {
            shown.index = b->index[r];
            shown.place = place;
            name_sample(s->data, shown.index, shown.name, sizeof shown.name);
            label_of(s, b, r, shown.label, sizeof shown.label);
            show(s, b, r, place, &shown);
            if (o->each)
                o->each(o->user, &shown);
        }
    }
    return GRD_OK;
}

grd_status grd_dataset_sheet(grd_ctx *ctx, const grd_dataset *d, const grd_loader_opts *load, const grd_sheet_opts *opts,
                             const char *path)
{
    static const grd_sheet_opts defaults;
    const grd_sheet_opts *o = opts ? opts : &defaults;
    grd_loader_opts l = load ? *load : (grd_loader_opts){ .batch = 0 };
    int64_t n = o->n ? o->n : 16;
    if (n < 1 || n > MOST_PICTURES || o->columns < 0)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "sheet: %lld pictures in %d columns, expected 1 to %d", (long long)n, o->columns,
                        MOST_PICTURES);
    n = n < d->n || d->n < 0 ? n : d->n;
    sheet s = { .host = &ctx->host, .data = d };
    grd_loader *loader;
    GRD_TRY(find_fields(&s));
    bool varies = grd_shape_varies(&d->field[s.image].shape);
    l.batch = varies ? n : l.batch; /* one batch: all cells are of one size */
    GRD_TRY(grd_loader_new(ctx, d, &l, &loader));
    grd_status status = fill(&s, loader, o, n);
    if (status == GRD_OK)
        status = grd_picture_write(&s.picture, path);
    grd_picture_free(&s.picture);
    grd_free(&ctx->host, s.rgb);
    grd_loader_free(loader);
    return status;
}
