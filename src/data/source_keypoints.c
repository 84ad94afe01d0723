/* Pictures in an IDX file and points on them in a table: columns x0, y0, x1, y1, ... in pixels, and maybe `file`, their names. */
#include "base/ctx.h"
#include "base/file.h"
#include "data/idx.h"
#include "data/listing.h"
#include "data/rows.h"
#include "format/csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 2048, MOST_POINTS = 1024, GIVEN = 68, CHOSEN = 15 };

typedef struct opts {
    const char *dir;
    int part;
    const char *images, *points;
    int subset;
} opts;

typedef struct state {
    grd_host *host;
    grd_arena texts;
    grd_idx images;
    int64_t n_points;
    float *points;     /* [n][n_points][2] */
    const char **name; /* NULL: none */
} state;

static void close_keypoints(void *self)
{
    state *s = self;
    grd_free(s->host, s->images.bytes);
    grd_free(s->host, s->points);
    grd_free(s->host, s->name);
    grd_arena_free(&s->texts);
    grd_free(s->host, s);
}

/* ---- 15 points of 68 ----
 * The 68 are those of the iBUG annotation (Sagonas et al. 2013): 17 to 26 brows, 30 tip of the nose, 36 to 47 eyes, 48 to 67
 * mouth. The 15 are those of the Facial Keypoints Detection challenge, in its order. Left is the subject's left: the picture's
 * right. */

typedef struct span { int first, last; } span; /* their mean */
static const span chosen[CHOSEN] = {
    { 42, 47 }, { 36, 41 },                         /* centre of the left, of the right eye */
    { 42, 42 }, { 45, 45 }, { 39, 39 }, { 36, 36 }, /* left eye: inner, outer corner; right eye */
    { 22, 22 }, { 26, 26 }, { 21, 21 }, { 17, 17 }, /* left brow: inner, outer end; right brow */
    { 30, 30 },                                     /* tip of the nose */
    { 54, 54 }, { 48, 48 }, { 51, 51 }, { 57, 57 }, /* mouth: left, right corner; top, bottom lip */
};

/* In place: the points before are never needed again. */
static void choose_points(state *s)
{
    float few[CHOSEN][2];
    for (int64_t i = 0; i < s->images.dim[0]; i++) {
        const float *all = s->points + i * 2 * GIVEN;
        for (int k = 0; k < CHOSEN; k++)
            for (int c = 0; c < 2; c++) {
                double sum = 0;
                for (int j = chosen[k].first; j <= chosen[k].last; j++)
                    sum += all[2 * j + c];
                few[k][c] = (float)(sum / (chosen[k].last - chosen[k].first + 1));
            }
        memcpy(s->points + i * 2 * CHOSEN, few, sizeof few);
    }
    s->n_points = CHOSEN;
}

/* ---- the table ---- */

static int column_of(const grd_csv *csv, int64_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%c%lld", number % 2 ? 'y' : 'x', (long long)(number / 2));
    return grd_csv_find(csv, name);
}

static grd_status count_points(state *s, const grd_csv *csv)
{
    int64_t n = 0;
    while (n < 2 * MOST_POINTS && column_of(csv, n) >= 0)
        n++;
    s->n_points = n / 2;
    if (n == 0 || n % 2 || n == 2 * MOST_POINTS)
        return grd_fail(s->host, GRD_ERR_FORMAT,
                        "%s: %lld columns of x0, y0, x1, y1, ...; expected an x and a y of each point, 1 to %d", csv->name,
                        (long long)n, MOST_POINTS - 1);
    return GRD_OK;
}

static grd_status read_numbers(state *s, const grd_csv *csv)
{
    const int64_t stride = 2 * s->n_points;
    double *column = GRD_NEW_N(s->host, double, csv->n_rows);
    s->points = GRD_NEW_N(s->host, float, csv->n_rows * stride);
    grd_status status = column && s->points ? GRD_OK : GRD_ERR_MEMORY;
    for (int64_t k = 0; k < stride && status == GRD_OK; k++) {
        const int at = column_of(csv, k);
        status = grd_csv_numbers(csv, at, column, 1);
        for (int64_t i = 0; i < csv->n_rows && status == GRD_OK; i++) {
            s->points[i * stride + k] = (float)column[i];
            if (!isfinite(s->points[i * stride + k]))
                status = grd_fail(s->host, GRD_ERR_DATA, "%s:%llu: %s: \"%.40s\", expected a number", csv->name,
                                  (unsigned long long)csv->row[i].line, csv->column[at], grd_csv_cell(csv, i, at));
        }
    }
    grd_free(s->host, column);
    return status;
}

static grd_status read_names(state *s, const grd_csv *csv)
{
    const int at = grd_csv_find(csv, "file");
    if (at < 0)
        return GRD_OK;
    s->name = GRD_NEW_N(s->host, const char *, csv->n_rows);
    for (int64_t i = 0; s->name && i < csv->n_rows; i++) {
        s->name[i] = grd_arena_strdup(&s->texts, grd_csv_cell(csv, i, at));
        if (!s->name[i])
            return GRD_ERR_MEMORY;
    }
    return s->name ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status take_table(state *s, const opts *o, const grd_csv *csv, const char *images_path)
{
    if (csv->n_rows != s->images.dim[0])
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s holds %lld pictures, %s %lld rows: they do not belong together", images_path,
                        (long long)s->images.dim[0], csv->name, (long long)csv->n_rows);
    GRD_TRY(count_points(s, csv));
    if (o->subset && s->n_points != GIVEN)
        return grd_fail(s->host, GRD_ERR_ARG, "subset: 15: %s has %lld points, expected %d", csv->name, (long long)s->n_points,
                        GIVEN);
    GRD_TRY(read_numbers(s, csv));
    if (o->subset)
        choose_points(s);
    return read_names(s, csv);
}

/* ---- opening ---- */

/* The file's path, with ".gz" where it is only there so. */
static grd_status path_of(state *s, const opts *o, const char *pattern, char path[PATH])
{
    const char *name = grd_fill_path(&s->texts, pattern, o->part, ""), *dir = grd_fill_path(&s->texts, o->dir, o->part, "");
    if (!name || !dir)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_path_join(s->host, path, PATH - 3, dir, name));
    if (grd_file_exists(path))
        return GRD_OK;
    const size_t n = strlen(path);
    memcpy(path + n, ".gz", 4);
    if (grd_file_exists(path))
        return GRD_OK;
    path[n] = 0;
    return grd_fail(s->host, GRD_ERR_IO, "%s: no such file, nor with .gz", path);
}

static grd_status read_files(state *s, const opts *o)
{
    char images[PATH], points[PATH];
    grd_csv csv;
    GRD_TRY(path_of(s, o, o->images, images));
    GRD_TRY(path_of(s, o, o->points, points));
    GRD_TRY(grd_idx_read(s->host, images, 3, &s->images));
    GRD_TRY(grd_csv_read(s->host, points, NULL, &csv));
    grd_status status = take_table(s, o, &csv, images);
    grd_csv_close(&csv);
    return status;
}

static grd_status open_keypoints(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    const char *told_by = strstr(o->images, "{part}") && strstr(o->points, "{part}") ? o->images : o->dir;
    GRD_TRY(grd_check_part(&ctx->host, "dir", told_by, o->part));
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    grd_arena_init(&s->texts, s->host);
    grd_status status = read_files(s, o);
    if (status == GRD_OK)
        *out = s;
    else
        close_keypoints(s);
    return status;
}

/* ---- reading ---- */

static int64_t length(const void *self) { return ((const state *)self)->images.dim[0]; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "image", .dtype = GRD_U8, .lo = 0, .hi = 255,
                              .shape = { 3, { 1, s->images.dim[1], s->images.dim[2] } } };
        out[1] = (grd_field){ .name = "points", .dtype = GRD_F32, .shape = { 2, { s->n_points, 2 } } };
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    const size_t bytes = (size_t)(s->images.dim[1] * s->images.dim[2]), numbers = 2 * (size_t)s->n_points;
    memcpy(out->data[0], s->images.bytes + (size_t)i * bytes, bytes);
    memcpy(out->data[1], s->points + (size_t)i * numbers, numbers * sizeof(float));
    return GRD_OK;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const state *s = self;
    if (s->name)
        snprintf(text, size, "%s", s->name[i]);
    else
        snprintf(text, size, "%lld", (long long)i);
}

static const grd_option keypoints_options[] = {
    GRD_PATH_OF_PART(opts, dir, "folder with the files; {part} in it or in their names stands for train, val and test"),
    GRD_ENUM(opts, part, 0, GRD_PARTS, "which part"),
    { "images", GRD_OPTION_TEXT, offsetof(opts, images), 0, 0, 0, "{part}-images-idx3-ubyte", GRD_OPTION_PARTS,
      "IDX file of the pictures, in dir, plain or .gz" },
    { "points", GRD_OPTION_TEXT, offsetof(opts, points), 0, 0, 0, "{part}-keypoints68.csv", GRD_OPTION_PARTS,
      "table of the points, in dir, plain or .gz" },
    GRD_ENUM(opts, subset, 0, "all|15", "15: of 68 iBUG points of a face those that Kaggle's challenge has, in its order"),
    GRD_END,
};

const grd_source grd_source_keypoints = {
    .name = "keypoints",
    .doc = "Pictures in an IDX file with points in a table (x0, y0, x1, ... in pixels): image u8 [1,H,W], points f32 [n,2].",
    .options = keypoints_options,
    .options_size = sizeof(opts),
    .open = open_keypoints,
    .length = length,
    .fields = fields,
    .get = get,
    .close = close_keypoints,
    .name_of = name_of,
};
