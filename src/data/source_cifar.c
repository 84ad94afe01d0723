/* CIFAR-10 and CIFAR-100 in their binary form: records of one label byte (two: coarse, fine) and 3072 bytes, the red, green and
 * blue planes of 32x32 pixels (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009). The files lie in a
 * folder or are read from the archive they come in. They stay in memory as they are. */
#include "base/ctx.h"
#include "base/file.h"
#include "data/rows.h"
#include "data/words.h"
#include "format/tar.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PIXELS = 3072, MOST_FILES = 5, MOST_NAMES = 100, MOST_TEXT = 1 << 16, PATH = 1024 };

typedef struct opts {
    const char *dir;
    int part;
} opts;

typedef struct names_file { /* of classes, a name a line */
    const char *file;
    int n;
    const char *const *known; /* what stands for a file that is not there; NULL: numbers do */
} names_file;

typedef struct kind { /* what is different of the two */
    const char *folder, *archive; /* as published, the latter without its last ending */
    const char *train[MOST_FILES + 1], *test[2];
    int label_bytes; /* the last one is the label */
    names_file fine, coarse;
} kind;

static const char *const names_10[] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
};

static const kind cifar_10 = {
    .folder = "cifar-10-batches-bin", .archive = "cifar-10-binary.tar",
    .train = { "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", NULL },
    .test = { "test_batch.bin", NULL }, .label_bytes = 1, .fine = { "batches.meta.txt", 10, names_10 },
};
static const kind cifar_100 = {
    .folder = "cifar-100-binary", .archive = "cifar-100-binary.tar", .train = { "train.bin", NULL }, .test = { "test.bin", NULL },
    .label_bytes = 2, .fine = { "fine_label_names.txt", 100, NULL }, .coarse = { "coarse_label_names.txt", 20, NULL },
};

typedef struct state {
    grd_host *host;
    grd_arena texts;
    const kind *set;
    const char *const *file; /* of the part, ends with NULL */
    uint8_t *bytes[MOST_FILES];
    int64_t records[MOST_FILES], n;
    const char *name[MOST_NAMES]; /* of the fine classes */
    bool named;
} state;

static int64_t record_bytes(const kind *set) { return set->label_bytes + PIXELS; }

/* ---- what a file must be ---- */

static grd_status check_labels(const state *s, int k)
{
    const uint8_t *record = s->bytes[k];
    for (int64_t i = 0; i < s->records[k]; i++, record += record_bytes(s->set)) {
        const int fine = record[s->set->label_bytes - 1];
        if (fine >= s->set->fine.n)
            return grd_fail(s->host, GRD_ERR_DATA, "%s: record %lld: label %d, expected 0..%d", s->file[k], (long long)i, fine,
                            s->set->fine.n - 1);
        if (s->set->label_bytes == 2 && record[0] >= s->set->coarse.n)
            return grd_fail(s->host, GRD_ERR_DATA, "%s: record %lld: coarse label %d, expected 0..%d", s->file[k], (long long)i,
                            record[0], s->set->coarse.n - 1);
    }
    return GRD_OK;
}

/* The bytes become the state's. */
static grd_status take_batch(state *s, int k, void *bytes, uint64_t size)
{
    const int64_t record = record_bytes(s->set);
    if (size == 0 || size % (uint64_t)record) {
        grd_free(s->host, bytes);
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: %llu bytes, expected records of %lld", s->file[k], (unsigned long long)size,
                        (long long)record);
    }
    s->bytes[k] = bytes;
    s->records[k] = (int64_t)(size / (uint64_t)record);
    s->n += s->records[k];
    return check_labels(s, k);
}

/* `text` has a zero byte behind it. */
static grd_status take_names(state *s, char *text, size_t size)
{
    const names_file *f = &s->set->fine;
    grd_lines lines;
    int n = 0;
    GRD_TRY(grd_lines_start(&lines, s->host, f->file, text, size));
    for (const char *line; (line = grd_lines_next(&lines)); n++) {
        if (n == f->n)
            return grd_fail(s->host, GRD_ERR_FORMAT, "%s:%lld: \"%.40s\" after the names of %d classes", f->file,
                            (long long)lines.number, line, f->n);
        s->name[n] = grd_arena_strdup(&s->texts, line);
        if (!s->name[n])
            return GRD_ERR_MEMORY;
    }
    if (n < f->n)
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: %d names, expected %d", f->file, n, f->n);
    s->named = true;
    return GRD_OK;
}

/* ---- from a folder ---- */

static grd_status read_folder(state *s, const char *folder)
{
    char path[PATH];
    void *bytes;
    size_t size;
    for (int k = 0; s->file[k]; k++) {
        GRD_TRY(grd_path_join(s->host, path, sizeof path, folder, s->file[k]));
        GRD_TRY(grd_file_read(s->host, path, 0, &bytes, &size));
        GRD_TRY(take_batch(s, k, bytes, size));
    }
    GRD_TRY(grd_path_join(s->host, path, sizeof path, folder, s->set->fine.file));
    if (!grd_file_exists(path))
        return GRD_OK;
    GRD_TRY(grd_file_read(s->host, path, MOST_TEXT, &bytes, &size));
    grd_status status = take_names(s, bytes, size);
    grd_free(s->host, bytes);
    return status;
}

/* ---- from an archive ---- */

/* All of the entry, with one zero byte more. The size is what the archive says; memory comes as bytes do. */
static grd_status read_entry(state *s, grd_tar *tar, const grd_tar_entry *entry, uint64_t most, void **bytes)
{
    enum { STEP = 1 << 22 };
    size_t have = 0, got = STEP;
    if (entry->size > most)
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: %llu bytes, expected at most %llu", entry->name,
                        (unsigned long long)entry->size, (unsigned long long)most);
    uint8_t *all = NULL;
    grd_status status = GRD_OK;
    for (size_t cap = 0; status == GRD_OK && got == STEP; have += got) {
        if (have + STEP + 1 > cap) {
            cap = have ? 2 * have + STEP + 1 : STEP + 1;
            if (cap > entry->size + STEP + 1)
                cap = (size_t)entry->size + STEP + 1;
            void *larger = grd_grow(s->host, all, have, cap);
            if (!larger) {
                grd_free(s->host, all);
                return GRD_ERR_MEMORY;
            }
            all = larger;
        }
        status = grd_tar_read(tar, all + have, STEP, &got);
    }
    if (status == GRD_OK && have != entry->size)
        status = grd_fail(s->host, GRD_ERR_FORMAT, "%s: %zu bytes, the archive says %llu", entry->name, have,
                          (unsigned long long)entry->size);
    if (status != GRD_OK) {
        grd_free(s->host, all);
        return status;
    }
    all[have] = 0;
    *bytes = all;
    return GRD_OK;
}

static grd_status take_entry(state *s, grd_tar *tar, const grd_tar_entry *entry)
{
    const uint64_t most = (uint64_t)1 << 32;
    const char *slash = strrchr(entry->name, '/'), *name = slash ? slash + 1 : entry->name;
    void *bytes;
    if (entry->type != 'f')
        return GRD_OK;
    if (strcmp(name, s->set->fine.file) == 0) {
        GRD_TRY(read_entry(s, tar, entry, MOST_TEXT, &bytes));
        grd_status status = take_names(s, bytes, (size_t)entry->size);
        grd_free(s->host, bytes);
        return status;
    }
    for (int k = 0; s->file[k]; k++) {
        if (strcmp(name, s->file[k]) != 0)
            continue;
        if (s->bytes[k])
            return grd_fail(s->host, GRD_ERR_FORMAT, "%s: twice in the archive", s->file[k]);
        GRD_TRY(read_entry(s, tar, entry, most, &bytes));
        return take_batch(s, k, bytes, entry->size);
    }
    return GRD_OK;
}

/* Whether there is nothing more to look for. */
static bool complete(const state *s)
{
    for (int k = 0; s->file[k]; k++)
        if (!s->bytes[k])
            return false;
    return s->named;
}

static grd_status read_archive(state *s, const char *path)
{
    grd_tar *tar;
    grd_tar_entry entry;
    bool more = true;
    GRD_TRY(grd_tar_open(s->host, path, &tar));
    grd_status status = GRD_OK;
    while (status == GRD_OK && !complete(s) && (status = grd_tar_next(tar, &entry, &more)) == GRD_OK && more)
        status = take_entry(s, tar, &entry);
    grd_tar_close(tar);
    for (int k = 0; s->file[k] && status == GRD_OK; k++)
        if (!s->bytes[k])
            status = grd_fail(s->host, GRD_ERR_FORMAT, "%s: no file %s in it", path, s->file[k]);
    return status;
}

/* ---- where it is ---- */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* dir is an archive, or a folder that holds the files, their folder or their archive. */
static grd_status find(state *s, const char *dir)
{
    static const char *const ends[] = { ".tar", ".tar.gz", ".tar.xz", ".tgz" };
    char path[PATH], name[PATH];
    if (!grd_file_exists(dir))
        return grd_fail(s->host, GRD_ERR_IO, "%s: no such folder or archive", dir);
    if (!is_folder(dir))
        return read_archive(s, dir);
    GRD_TRY(grd_path_join(s->host, path, sizeof path, dir, s->file[0]));
    if (grd_file_exists(path))
        return read_folder(s, dir);
    GRD_TRY(grd_path_join(s->host, path, sizeof path, dir, s->set->folder));
    if (is_folder(path))
        return read_folder(s, path);
    for (size_t e = 0; e < 2 * sizeof ends / sizeof *ends; e++) { /* under the published name, or that of the folder */
        snprintf(name, sizeof name, "%.*s%s", e % 2 ? (int)strlen(s->set->folder) : (int)strlen(s->set->archive) - 4,
                 e % 2 ? s->set->folder : s->set->archive, ends[e / 2]);
        GRD_TRY(grd_path_join(s->host, path, sizeof path, dir, name));
        if (grd_file_exists(path))
            return read_archive(s, path);
    }
    return grd_fail(s->host, GRD_ERR_IO, "%s: none of %s, %s and %s.gz or .xz in it", dir, s->file[0], s->set->folder,
                    s->set->archive);
}

static void close_cifar(void *self)
{
    state *s = self;
    for (int k = 0; k < MOST_FILES; k++)
        grd_free(s->host, s->bytes[k]);
    grd_arena_free(&s->texts);
    grd_free(s->host, s);
}

static grd_status open_set(void **out, const opts *o, grd_ctx *ctx, const kind *set)
{
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->set = set;
    s->file = o->part ? set->test : set->train;
    grd_arena_init(&s->texts, s->host);
    grd_status status = find(s, o->dir);
    for (int c = 0; c < set->fine.n && !s->named && set->fine.known; c++)
        s->name[c] = set->fine.known[c];
    if (status == GRD_OK)
        *out = s;
    else
        close_cifar(s);
    return status;
}

static grd_status open_10(void **out, const void *options, grd_ctx *ctx) { return open_set(out, options, ctx, &cifar_10); }
static grd_status open_100(void **out, const void *options, grd_ctx *ctx) { return open_set(out, options, ctx, &cifar_100); }

/* ---- reading ---- */

static int64_t length(const void *self) { return ((const state *)self)->n; }

static int fields(const void *self, grd_field *out, int max)
{
    const kind *set = ((const state *)self)->set;
    if (max >= 3) {
        const int fine = set->fine.n, coarse = set->coarse.n;
        out[0] = (grd_field){ .name = "image", .dtype = GRD_U8, .lo = 0, .hi = 255, .shape = { 3, { 3, 32, 32 } } };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .lo = 0, .hi = fine - 1, .classes = fine };
        out[2] = (grd_field){ .name = "coarse", .dtype = GRD_I32, .lo = 0, .hi = coarse - 1, .classes = coarse };
    }
    return 1 + set->label_bytes;
}

/* Its file and record. */
static const uint8_t *locate(const state *s, int64_t i, int *file, int64_t *record)
{
    for (*file = 0; i >= s->records[*file]; ++*file)
        i -= s->records[*file];
    *record = i;
    return s->bytes[*file] + i * record_bytes(s->set);
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    int file;
    int64_t record;
    const uint8_t *bytes = locate(s, i, &file, &record);
    memcpy(out->data[0], bytes + s->set->label_bytes, PIXELS);
    *(int32_t *)out->data[1] = bytes[s->set->label_bytes - 1];
    if (s->set->label_bytes == 2)
        *(int32_t *)out->data[2] = bytes[0];
    return GRD_OK;
}

static const char *class_name(const void *self, int64_t label)
{
    const state *s = self;
    return label >= 0 && label < s->set->fine.n ? s->name[label] : NULL;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    const state *s = self;
    int file;
    int64_t record;
    locate(s, i, &file, &record);
    snprintf(text, size, "%s:%lld", s->file[file], (long long)record);
}

static bool peek(const void *self, int64_t i, int field, double *value)
{
    const state *s = self;
    int file;
    int64_t record;
    if (field < 1)
        return false;
    *value = locate(s, i, &file, &record)[field == 2 ? 0 : s->set->label_bytes - 1];
    return true;
}

/* ---- rows ---- */

static const grd_option options_10[] = {
    GRD_TEXT(opts, dir, "cifar10", "folder with the .bin files or their archive (.tar, .tar.gz, .tar.xz), or the archive itself"),
    GRD_ENUM(opts, part, 0, "train|test", "which of the two parts"),
    GRD_END,
};
static const grd_option options_100[] = {
    GRD_TEXT(opts, dir, "cifar100",
             "folder with the .bin files or their archive (.tar, .tar.gz, .tar.xz), or the archive itself"),
    GRD_ENUM(opts, part, 0, "train|test", "which of the two parts"),
    GRD_END,
};

#define CIFAR_ROW(row_name, row_doc, row_options, row_open)                                                      \
    { .name = row_name, .doc = row_doc, .options = row_options, .options_size = sizeof(opts), .open = row_open,  \
      .length = length, .fields = fields, .get = get, .close = close_cifar, .class_name = class_name,            \
      .name_of = name_of, .peek = peek }

const grd_source grd_source_cifar10 =
    CIFAR_ROW("cifar10", "CIFAR-10: 50,000 + 10,000 pictures of 10 classes, image u8 [3,32,32], label i32 (Krizhevsky, 2009).",
              options_10, open_10);
const grd_source grd_source_cifar100 = CIFAR_ROW(
    "cifar100", "CIFAR-100: 50,000 + 10,000 pictures of 100 classes in 20 groups, image u8 [3,32,32], label i32, coarse i32.",
    options_100, open_100);
