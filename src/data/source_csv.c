/* csv: a table of numbers and categories, one sample a row. */
#include "base/ctx.h"
#include "data/rows.h"
#include "data/table.h"

#include <stdio.h>
#include <string.h>

typedef grd_table_opts opts;

static void close_csv(void *self)
{
    grd_table *t = self;
    grd_host *host = t->host;
    grd_table_close(t);
    grd_free(host, t);
}

static grd_status open_csv(void **out, const void *options, grd_ctx *ctx)
{
    grd_table *t = GRD_NEW(&ctx->host, grd_table);
    if (!t)
        return GRD_ERR_MEMORY;
    grd_status status = grd_table_open(&ctx->host, options, t);
    if (status == GRD_OK)
        *out = t;
    else
        grd_free(&ctx->host, t);
    return status;
}

static int64_t length(const void *self) { return ((const grd_table *)self)->n; }

/* features, then the target, then the group: those that there are. */
static int fields(const void *self, grd_field *out, int max)
{
    const grd_table *t = self;
    int n = 0;
    if (max < 3)
        return 3;
    if (t->feature)
        out[n++] = (grd_field){ .name = "features", .dtype = GRD_F32, .shape = { 1, { t->width } } };
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
    const grd_table *t = self;
    int f = 0;
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
    const grd_table *t = self;
    return t->class_name && label >= 0 && label < t->classes ? t->class_name[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const grd_table *t = self;
    snprintf(text, size, "%s:%llu", t->file, (unsigned long long)t->line[i]);
}

static void element_name(const void *self, int field, int64_t element, char *text, size_t size)
{
    const grd_table *t = self;
    if (t->feature && field == 0 && element < t->width)
        snprintf(text, size, "%s", t->feature_name[element]);
    else
        snprintf(text, size, "%lld", (long long)element);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    const grd_table *t = self;
    int f = t->feature != NULL;
    if (t->label && field == f++)
        return *value = t->label[i], true;
    if (t->value && field == f++)
        return *value = t->value[i], true;
    if (t->group && field == f)
        return *value = t->group[i], true;
    return false;
}

static const grd_option options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "the table, plain, .gz or .xz; {part} in it becomes train, val or test" },
    GRD_ENUM(opts, part, 0, "train|val|test", "which part"),
    GRD_TEXT(opts, target, NULL, "column that is to be predicted: field label, or target if it is a number"),
    GRD_TEXT(opts, features, NULL, "columns with commas between, by name or number from 1; default: all but target and group"),
    GRD_TEXT(opts, drop, NULL, "columns that are no features, instead"),
    GRD_ENUM(opts, task, GRD_TABLE_AUTO, "auto|regression|classification",
             "auto: a target of numbers is regression, of texts classes"),
    GRD_TEXT(opts, classes, NULL, "names of the classes in order, with commas between; default: those of train, sorted"),
    GRD_ENUM(opts, categories, 0, "index|onehot", "what becomes of features that are texts; a missing one: NaN, or zeros"),
    GRD_TEXT(opts, group, NULL, "column that becomes field group: equal cells, equal numbers"),
    GRD_REALS(opts, binarize, NULL,
              "[0.3, 0.7]: the lowest 30 % of the target's values (of train's file) are class 0, those from 70 % on 1, "
              "rows between are left out"),
    { "parts", GRD_OPTION_REALS, offsetof(opts, parts), 0, 0, 0, NULL, GRD_OPTION_PARTS,
      "fractions of the rows that are train, val, test, before binarize, in the order of numpy.random.permutation" },
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
    .doc = "A table as text, one sample a row: features f32 [D] (missing ones NaN), and label i32 or target f32 [1].",
    .options = options, .options_size = sizeof(opts), .open = open_csv, .length = length, .fields = fields, .get = get,
    .close = close_csv, .class_name = class_name, .name_of = name_of, .peek = peek,
    .element_name = element_name,
};
