/* Sources of images with labels in IDX files: `idx` for any, and the two sets that everybody has. Everything is read and
 * checked when the source opens and kept as bytes; reading a sample is a copy. */
#include "base/ctx.h"
#include "base/file.h"
#include "data/idx.h"
#include "data/rows.h"

#include <stdio.h>
#include <string.h>

typedef struct opts {
    const char *dir;
    int part;
    const char *images, *labels;
    int64_t classes;
} opts;

typedef struct state {
    grd_host *host;
    grd_idx images, labels;
    int64_t classes;
    const char *const *names; /* of the classes; NULL = unknown */
    const char *part;
} state;

static const char *const fashion_names[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                             "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot" };
static const char *const digit_names[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };

/* ---- opening ---- */

/* The first of the usual file names that is there. kind: "images", "labels". */
static grd_status find_file(grd_host *host, const opts *o, const char *kind, const char *given, int rank, char path[1024])
{
    char name[4][1024];
    int n = 4;
    const char *prefix = o->part == 0 ? "train" : "t10k";
    if (given) {
        n = 2;
        snprintf(name[0], sizeof name[0], "%s", given);
        snprintf(name[1], sizeof name[1], "%s.gz", given);
    } else {
        snprintf(name[0], sizeof name[0], "%s-%s-idx%d-ubyte", prefix, kind, rank);
        snprintf(name[1], sizeof name[1], "%s-%s-idx%d-ubyte.gz", prefix, kind, rank);
        snprintf(name[2], sizeof name[2], "%s-%s.idx%d-ubyte", prefix, kind, rank);
        snprintf(name[3], sizeof name[3], "%s-%s.idx%d-ubyte.gz", prefix, kind, rank);
    }
    for (int i = 0; i < n; i++) {
        GRD_TRY(grd_path_join(host, path, 1024, o->dir, name[i]));
        if (grd_file_exists(path))
            return GRD_OK;
    }
    grd_fail(host, GRD_ERR_IO, "%s: no such file; looked for %s, %s", o->dir, name[0], name[1]);
    if (n == 4)
        grd_fail(host, GRD_ERR_IO, "%s, %s, %s", host->err.text, name[2], name[3]);
    return GRD_ERR_IO;
}

static grd_status check_labels(grd_host *host, const state *s, const char *images_path, const char *labels_path)
{
    int64_t n = s->labels.dim[0];
    if (s->images.dim[0] != n)
        return grd_fail(host, GRD_ERR_FORMAT, "%s holds %lld records, %s %lld: they do not belong together", images_path,
                        (long long)s->images.dim[0], labels_path, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (s->labels.bytes[i] >= s->classes)
            return grd_fail(host, GRD_ERR_DATA, "%s: record %lld: label %d, expected 0..%lld", labels_path, (long long)i,
                            s->labels.bytes[i], (long long)s->classes - 1);
    return GRD_OK;
}

static void close_idx(void *self)
{
    state *s = self;
    grd_free(s->host, s->images.bytes);
    grd_free(s->host, s->labels.bytes);
    grd_free(s->host, s);
}

/* hint: what to do when the folder is not there. */
static grd_status open_files(void **out, const opts *o, grd_ctx *ctx, const char *const *names, const char *hint)
{
    grd_host *host = &ctx->host;
    char images_path[1024], labels_path[1024];
    if (!grd_file_exists(o->dir))
        return grd_fail(host, GRD_ERR_IO, "%s: no such folder%s", o->dir, hint);
    GRD_TRY(find_file(host, o, "images", o->images, 3, images_path));
    GRD_TRY(find_file(host, o, "labels", o->labels, 1, labels_path));
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = host;
    s->classes = o->classes ? o->classes : 10;
    s->names = names;
    s->part = o->part == 0 ? "train" : "test";
    grd_status status = grd_idx_read(host, images_path, 3, &s->images);
    if (status == GRD_OK)
        status = grd_idx_read(host, labels_path, 1, &s->labels);
    if (status == GRD_OK)
        status = check_labels(host, s, images_path, labels_path);
    if (status == GRD_OK)
        *out = s;
    else
        close_idx(s);
    return status;
}

static grd_status open_idx(void **out, const void *options, grd_ctx *ctx) { return open_files(out, options, ctx, NULL, ""); }

static grd_status open_fashion(void **out, const void *options, grd_ctx *ctx)
{
    return open_files(out, options, ctx, fashion_names, "; install Debian's package dataset-fashion-mnist, or give dir");
}

static grd_status open_mnist(void **out, const void *options, grd_ctx *ctx)
{
    return open_files(out, options, ctx, digit_names, "; give dir, the folder with MNIST's four files");
}

/* ---- reading ---- */

static int64_t length(const void *self) { return ((const state *)self)->images.dim[0]; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "image", .dtype = GRD_U8, .lo = 0, .hi = 255,
                              .shape = { 3, { 1, s->images.dim[1], s->images.dim[2] } } };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .lo = 0, .hi = (double)s->classes - 1, .classes = s->classes };
    }
    return 2;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    size_t bytes = (size_t)s->images.dim[1] * (size_t)s->images.dim[2];
    memcpy(out->data[0], s->images.bytes + (size_t)i * bytes, bytes);
    *(int32_t *)out->data[1] = s->labels.bytes[i];
    return GRD_OK;
}

static const char *class_name(const void *self, int64_t label)
{
    const state *s = self;
    return s->names && label >= 0 && label < s->classes ? s->names[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    snprintf(text, size, "%s/%lld", ((const state *)self)->part, (long long)i);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    *value = ((const state *)self)->labels.bytes[i];
    return field == 1;
}

/* ---- rows ---- */

#define COMMON_OPTIONS                                                       \
    GRD_ENUM(opts, part, 0, "train|test", "which of the two parts"),         \
        GRD_TEXT(opts, images, NULL, "file name of the images, in dir"),     \
        GRD_TEXT(opts, labels, NULL, "file name of the labels, in dir")

static const grd_option idx_options[] = {
    GRD_TEXT_REQUIRED(opts, dir, "folder with the files, plain or .gz"),
    COMMON_OPTIONS,
    GRD_INT(opts, classes, 10, 1, 256, "labels are 0 .. classes - 1"),
    GRD_END,
};
static const grd_option fashion_options[] = {
    GRD_TEXT(opts, dir, "/usr/share/datasets/fashion-mnist", "folder with the four files, plain or .gz; MNIST's will do too"),
    COMMON_OPTIONS,
    GRD_END,
};
static const grd_option mnist_options[] = {
    GRD_TEXT(opts, dir, "mnist", "folder with the four files, plain or .gz"),
    COMMON_OPTIONS,
    GRD_END,
};

#define IDX_ROW(row_name, row_doc, row_options, row_open)                                                            \
    { .name = row_name, .doc = row_doc, .options = row_options, .options_size = sizeof(opts), .open = row_open,      \
      .length = length, .fields = fields, .get = get, .close = close_idx, .class_name = class_name, .name_of = name_of,          \
      .peek = peek }

const grd_source grd_source_idx = IDX_ROW(
    "idx", "Images and labels in two IDX files, plain or gzipped: image u8 [1,H,W] in 0..255, label i32.", idx_options, open_idx);
const grd_source grd_source_fashion_mnist =
    IDX_ROW("fashion-mnist", "Fashion-MNIST: 60,000 + 10,000 pictures of clothes, 28x28 grey, 10 classes (Zalando, 2017; MIT).",
            fashion_options, open_fashion);
const grd_source grd_source_mnist = IDX_ROW(
    "mnist", "MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey (LeCun, Cortes, Burges, 1998).", mnist_options, open_mnist);
