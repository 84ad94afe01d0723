/* csv: a table of numbers and categories, maybe with pictures, one sample a row. */
#include "base/ctx.h"
#include "data/listing.h"
#include "data/rows.h"
#include "data/table.h"

#include <stdio.h>
#include <string.h>

typedef grd_table_opts opts;

typedef struct state {
    grd_table t;
    grd_pictures *pictures; /* in files that a column names; or NULL */
    bool points;
} state;

static void close_csv(void *self)
{
    state *s = self;
    grd_host *host = s->t.host;
    grd_pictures_close(s->pictures);
    grd_table_close(&s->t);
    grd_free(host, s);
}

/* The table's paths, as the sources of pictures have them. */
static grd_status list_pictures(state *s, const opts *o, grd_ctx *ctx)
{
    if (!s->t.image_path)
        return GRD_OK;
    if (o->points && o->view.min_size)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "min_size: pictures of another size than their file do not fit their points");
    GRD_TRY(grd_pictures_new(&ctx->host, &o->view, "", &s->pictures));
    grd_pictures *p = s->pictures;
    p->part = o->part;
    p->root = grd_list_root(&p->texts, s->t.file, o->image_root, o->part);
    if (!p->root)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < s->t.n; i++)
        GRD_TRY(grd_pictures_add(p, &(grd_listed){ .image = s->t.image_path[i], .line = (int64_t)s->t.line[i] }));
    return grd_pictures_ready(p, ctx);
}

static grd_status open_csv(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    grd_status status = grd_table_open(&ctx->host, o, &s->t);
    if (status != GRD_OK) {
        grd_free(&ctx->host, s);
        return status;
    }
    s->points = o->points;
    status = list_pictures(s, o, ctx);
    if (status == GRD_OK)
        *out = s;
    else
        close_csv(s);
    return status;
}

static int64_t length(const void *self) { return ((const state *)self)->t.n; }

static bool has_image(const state *s) { return s->pictures || s->t.pixels; }

static grd_field feature_field(const state *s)
{
    const int64_t n = s->t.width;
    if (s->points)
        return (grd_field){ .name = "points", .dtype = GRD_F32, .shape = { 2, { n / 2, 2 } } };
    return (grd_field){ .name = "features", .dtype = GRD_F32, .shape = { 1, { n } } };
}

/* The picture, features or points, the target, the group: those that there are. */
static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    const grd_table *t = &s->t;
    int n = 0;
    if (max < 4)
        return 4;
    if (s->pictures)
        n = grd_pictures_fields(s->pictures, out, max);
    if (t->pixels)
        out[n++] = (grd_field){ .name = "image", .dtype = GRD_U8, .shape = t->image_shape, .hi = 255 };
    if (t->feature)
        out[n++] = feature_field(s);
    if (t->label)
        out[n++] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = (double)t->classes - 1, .classes = t->classes };
    if (t->value)
        out[n++] = (grd_field){ .name = "target", .dtype = GRD_F32, .shape = { 1, { 1 } } };
    if (t->group)
        out[n++] = (grd_field){ .name = "group", .dtype = GRD_I32, .hi = (double)t->groups - 1 };
    return n;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    const grd_table *t = &s->t;
    const int64_t pixels = t->image_shape.dim[0] * t->image_shape.dim[1] * t->image_shape.dim[2];
    int f = has_image(s);
    if (s->pictures)
        GRD_TRY(grd_pictures_get(s->pictures, i, out));
    if (t->pixels)
        memcpy(out->data[0], t->pixels + i * pixels, (size_t)pixels);
    if (t->feature)
        memcpy(out->data[f++], t->feature + i * t->width, sizeof(float) * (size_t)t->width);
    if (t->label)
        *(int32_t *)out->data[f++] = t->label[i];
    if (t->value)
        *(float *)out->data[f++] = t->value[i];
    if (t->group)
        *(int32_t *)out->data[f++] = t->group[i];
    return GRD_OK;
}

static const char *class_name(const void *self, int64_t label)
{
    const grd_table *t = &((const state *)self)->t;
    return t->class_name && label >= 0 && label < t->classes ? t->class_name[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const grd_table *t = &((const state *)self)->t;
    snprintf(text, size, "%s:%llu", t->file, (unsigned long long)t->line[i]);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    const state *s = self;
    const grd_table *t = &s->t;
    int f = has_image(s) + (t->feature != NULL);
    if (t->label && field == f++)
        return *value = t->label[i], true;
    if (t->value && field == f++)
        return *value = t->value[i], true;
    if (t->group && field == f)
        return *value = t->group[i], true;
    return false;
}

static const char *element_name(const void *self, int field, int64_t element)
{
    const state *s = self;
    const grd_table *t = &s->t;
    int f = has_image(s);
    if (t->feature && field == f++)
        return t->column[element];
    if ((t->label || t->value) && field == f++)
        return t->target;
    return t->group && field == f ? t->grouped_by : NULL;
}

static const grd_option options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "the table, plain, .gz or .xz; {part} in it becomes train, val or test" },
    GRD_ENUM(opts, part, 0, "train|val|test", "which part"),
    GRD_TEXT(opts, target, NULL, "column that is to be predicted: field label, or target if it is a number"),
    GRD_TEXT(opts, features, NULL,
             "columns with commas between, by name or number from 1; default: all but target, group and image"),
    GRD_TEXT(opts, drop, NULL, "columns that are no features, instead"),
    GRD_ENUM(opts, task, GRD_TABLE_AUTO, "auto|regression|classification",
             "auto: a target of numbers is regression, of texts classes"),
    GRD_TEXT(opts, classes, NULL, "names of the classes in order, with commas between; default: those of train, sorted"),
    GRD_ENUM(opts, categories, 0, "index|onehot", "what becomes of features that are texts; a missing one: NaN, or zeros"),
    GRD_FLAG(opts, points, "the features are x and y of points in turn: field points [D/2,2], which moves with the picture"),
    GRD_TEXT(opts, image, NULL, "column with a picture: its numbers from 0 to 255, with blanks between, or the path of its file"),
    GRD_INTS(opts, image_shape, NULL,
             "of a picture whose numbers stand in the cell: [height, width] or [channels, height, width]"),
    GRD_TEXT(opts, image_root, NULL, "folder that paths of pictures begin at, below the table's, which is the default"),
    GRD_PICTURES_OPTIONS(opts),
    GRD_TEXT(opts, group, NULL, "column that becomes field group: equal cells, equal numbers"),
    GRD_REALS(opts, binarize, NULL,
              "[0.3, 0.7]: the lowest 30 % of the target's values (of train's file) are class 0, those from 70 % on 1, "
              "rows between are left out"),
    { "parts", GRD_OPTION_REALS, offsetof(opts, parts), 0, 0, 0, NULL, GRD_OPTION_CUTS,
      "fractions of the rows that are train, val, test, before binarize, in the order of numpy.random.permutation" },
    { "part_column", GRD_OPTION_TEXT, offsetof(opts, part_column), 0, 0, 0, NULL, GRD_OPTION_CUTS,
      "column that says which part a row is of; it is no feature" },
    GRD_TEXT(opts, part_values, "train,val,test", "what stands in it for train, val and test"),
    GRD_INT(opts, parts_seed, 0, 0, 4294967295.0, "of parts: numpy.random.seed"),
    GRD_TEXT(opts, separator, NULL, "one character, tab or space; default: found out"),
    GRD_FLAG_ON(opts, header, "the first line names the columns"),
    GRD_FLAG_ON(opts, quotes, "quotes enclose cells"),
    GRD_FLAG(opts, trim, "blanks around cells do not count"),
    GRD_TEXT(opts, comment, NULL, "lines that begin with it are passed over"),
    GRD_TEXT(opts, decimal, ".", "decimal point: . or a comma"),
    GRD_TEXT(opts, missing, NULL,
             "cells that stand for no value, besides empty ones, with commas between; default: NA,N/A,nan,NaN,null,?"),
    GRD_END,
};

const grd_source grd_source_csv = {
    .name = "csv",
    .doc = "A table as text, one sample a row: features f32 [D] (missing ones NaN) or points f32 [D/2,2], label i32 or target\n"
           "f32 [1], group i32, and before them image u8 [C,H,W], if a column holds pictures or their paths.",
    .options = options, .options_size = sizeof(opts), .open = open_csv, .length = length, .fields = fields, .get = get,
    .close = close_csv, .class_name = class_name, .name_of = name_of, .peek = peek, .element_name = element_name,
};
