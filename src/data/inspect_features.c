/* A row of numbers for each sample, for quick looks: a small picture, the columns of a table, or how often hashed tokens stand in
 * a text. */
#include "data/inspect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 16, TOKEN_BINS = 1024, MOST_COLUMNS = 4096 };
#define MOST_NUMBERS ((int64_t)1 << 27) /* of all rows together: 512 MiB */

/* ---- what a row is ---- */

/* 28 becomes 14, 32 becomes 16: by a whole number where there is one. */
static int small_side(int64_t side)
{
    if (side <= 0)
        return SIDE;
    int64_t by = (side + SIDE - 1) / SIDE;
    return (int)((side + by - 1) / by);
}

static void plan_picture(grd_report *r, const grd_field *f)
{
    const int64_t *dim = f->shape.dim;
    grd_features *p = &r->features;
    int rank = f->shape.rank;
    p->kind = GRD_FEATURES_PICTURE;
    p->channels = rank == 2 ? 1 : dim[0] > 0 && dim[0] <= 4 ? (int)dim[0] : 1;
    p->height = small_side(dim[rank - 2]);
    p->width = small_side(dim[rank - 1]);
    while (p->height * p->width > 16 && r->n * p->channels * p->height * p->width > MOST_NUMBERS) {
        p->height = (p->height + 1) / 2;
        p->width = (p->width + 1) / 2;
    }
    p->n = (int64_t)p->channels * p->height * p->width;
}

static bool is_column(const grd_report *r, int f)
{
    return f < r->set[0]->source->n_fields && f != r->target && f != r->group && r->field[f].shape.rank <= 1 &&
           !grd_shape_varies(&r->field[f].shape);
}

const char *grd_report_element(const grd_report *r, int field, int64_t element, char text[GRD_COLUMN_NAME])
{
    const char *own = grd_dataset_element(r->set[0], field, element);
    if (own && *own) {
        size_t n = 0, step;
        for (; own[n]; n += step) {
            step = grd_utf8_length(own + n, strlen(own + n));
            step = step ? step : 1;
            if (n + step >= GRD_COLUMN_NAME)
                break;
            memcpy(text + n, own + n, step);
            if ((unsigned char)text[n] < ' ') /* a header's cell may have lines */
                text[n] = ' ';
        }
        text[n] = 0;
    } else if (r->field[field].shape.rank == 0) {
        snprintf(text, GRD_COLUMN_NAME, "%s", r->field[field].name);
    } else {
        snprintf(text, GRD_COLUMN_NAME, "%s[%lld]", r->field[field].name, (long long)element);
    }
    return text;
}

static grd_status plan_table(grd_report *r)
{
    int64_t n = 0;
    for (int f = 0; f < r->n_fields; f++)
        n += is_column(r, f) ? grd_count(&r->field[f].shape) : 0;
    if (n == 0 || n > MOST_COLUMNS || r->n * n > MOST_NUMBERS)
        return GRD_OK;
    r->column = GRD_NEW_N(r->host, grd_column, n);
    if (!r->column)
        return GRD_ERR_MEMORY;
    for (int f = 0; f < r->n_fields; f++)
        for (int64_t e = 0; is_column(r, f) && e < grd_count(&r->field[f].shape); e++) {
            grd_column *c = &r->column[r->n_columns++];
            *c = (grd_column){ .field = f, .element = e };
            grd_report_element(r, f, e, c->name);
        }
    r->features.kind = GRD_FEATURES_TABLE;
    r->features.n = n;
    return GRD_OK;
}

grd_status grd_features_plan(grd_report *r)
{
    const grd_field *f = r->input >= 0 ? &r->field[r->input] : NULL;
    if (f && grd_is_picture(f))
        plan_picture(r, f);
    else if (f && f->shape.rank == 1 && grd_shape_varies(&f->shape) && f->dtype != GRD_F32 && r->n * TOKEN_BINS <= MOST_NUMBERS)
        r->features = (grd_features){ .kind = GRD_FEATURES_TOKENS, .n = TOKEN_BINS };
    else
        return plan_table(r);
    return GRD_OK;
}

/* ---- filling it ---- */

typedef struct plane {
    const void *data;
    grd_dtype dtype;
    int64_t at, height, width;
} plane;

/* Mean of the box of the plane that becomes pixel y, x of a small picture; NaN without finite values. */
static float box_mean(const plane *p, int64_t y, int64_t x, int64_t height, int64_t width)
{
    int64_t y0 = y * p->height / height, y1 = ((y + 1) * p->height + height - 1) / height;
    int64_t x0 = x * p->width / width, x1 = ((x + 1) * p->width + width - 1) / width, n = 0;
    double sum = 0;
    for (int64_t i = y0; i < y1; i++)
        for (int64_t j = x0; j < x1; j++) {
            double v = grd_element(p->data, p->dtype, p->at + i * p->width + j);
            if (isfinite(v)) {
                sum += v;
                n++;
            }
        }
    return n ? (float)(sum / (double)n) : NAN;
}

static void small_picture(const grd_report *r, const grd_sample *s, float *row)
{
    const grd_features *p = &r->features;
    const grd_shape *shape = &s->shape[r->input];
    int64_t height = shape->dim[shape->rank - 2], width = shape->dim[shape->rank - 1],
            channels = shape->rank == 3 ? shape->dim[0] : 1;
    for (int c = 0; c < p->channels; c++) {
        plane from = { s->data[r->input], r->field[r->input].dtype, (c < channels ? c : channels - 1) * height * width, height,
                       width };
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++)
                *row++ = grd_count(shape) ? box_mean(&from, y, x, p->height, p->width) : NAN;
    }
}

/* Tokens of i32 one by one, bytes as they stand and in threes; logarithms of the counts, in a row of length 1. */
static void count_tokens(const grd_report *r, const grd_sample *s, float *row)
{
    const grd_dtype dtype = r->field[r->input].dtype;
    int64_t n = grd_count(&s->shape[r->input]);
    double square = 0;
    uint32_t last[2] = { 0, 0 };
    memset(row, 0, sizeof *row * TOKEN_BINS);
    for (int64_t e = 0; e < n; e++) {
        uint32_t token = (uint32_t)(int64_t)grd_element(s->data[r->input], dtype, e);
        uint32_t word = dtype == GRD_U8 ? token | last[0] << 8 | last[1] << 16 : token;
        row[(word * 2654435761u) >> 22]++;
        last[1] = last[0];
        last[0] = token;
    }
    for (int k = 0; k < TOKEN_BINS; k++) {
        row[k] = log1pf(row[k]);
        square += (double)row[k] * row[k];
    }
    for (int k = 0; k < TOKEN_BINS && square > 0; k++)
        row[k] /= (float)sqrt(square);
}

void grd_features_of(const grd_report *r, const grd_sample *s, float *row)
{
    if (r->features.kind == GRD_FEATURES_PICTURE)
        small_picture(r, s, row);
    else if (r->features.kind == GRD_FEATURES_TOKENS)
        count_tokens(r, s, row);
    for (int k = 0; k < r->n_columns; k++)
        row[k] = (float)grd_element(s->data[r->column[k].field], r->field[r->column[k].field].dtype, r->column[k].element);
}
