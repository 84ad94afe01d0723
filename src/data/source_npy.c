/* npy and npz: NumPy's arrays as fields, the first dimension counting samples. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "data/rows.h"
#include "data/texts.h"
#include "format/npy.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct opts {
    const char *file; /* of npz */
    const char *arrays;
    int part, map;
    int64_t classes;
} opts;

enum { MAP_AUTO, MAP_ALWAYS, MAP_NEVER };
enum { LARGE = 64 << 20 }; /* bytes of a file that MAP_AUTO maps */

typedef struct held {
    const char *where; /* begins messages */
    void *data;        /* as the field's type; NULL: converted when a sample is asked for */
    grd_npy npy;       /* then, in a file that is mapped */
    size_t bytes;      /* of one sample of data */
    int64_t count;     /* elements of one sample */
} held;

typedef struct state {
    grd_host *host;
    grd_arena arena;
    const char *file; /* that begins names of samples */
    int64_t n;
    int n_fields;
    grd_field field[GRD_MAX_FIELDS];
    held array[GRD_MAX_FIELDS];
    grd_npz npz;      /* of arrays that are mapped in it */
    bool npz_open;
} state;

static void close_arrays(void *self)
{
    state *s = self;
    for (int f = 0; f < s->n_fields; f++) {
        grd_free(s->host, s->array[f].data);
        grd_npy_close(&s->array[f].npy);
    }
    if (s->npz_open)
        grd_npz_close(&s->npz);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

/* ---- one array ---- */

static grd_dtype dtype_of(const char *field, grd_npy_type type)
{
    if (strcmp(field, "label") == 0)
        return GRD_I32;
    if (type == GRD_NPY_BOOL || type == GRD_NPY_U8)
        return GRD_U8;
    return type == GRD_NPY_F16 || type == GRD_NPY_F32 || type == GRD_NPY_F64 ? GRD_F32 : GRD_I32;
}

/* Its name and shape, as a field of s. */
static grd_status describe(state *s, const char *name, const grd_npy *npy, const char *where)
{
    grd_host *host = s->host;
    if (s->n_fields == GRD_MAX_FIELDS)
        return grd_fail(host, GRD_ERR_ARG, "arrays: more than %d", GRD_MAX_FIELDS);
    grd_field *f = &s->field[s->n_fields];
    *f = (grd_field){ .dtype = dtype_of(name, npy->type) };
    if ((size_t)snprintf(f->name, sizeof f->name, "%s", name) >= sizeof f->name)
        return grd_fail(host, GRD_ERR_ARG, "arrays: field \"%.60s\": a name has at most %d bytes", name, GRD_FIELD_NAME - 1);
    if (npy->rank < 1 || npy->rank - 1 > GRD_MAX_RANK - 1)
        return grd_fail(host, GRD_ERR_DATA, "%s: %d dimensions, expected 1 to %d: samples first", where, npy->rank, GRD_MAX_RANK);
    if (s->n_fields && npy->dim[0] != s->n)
        return grd_fail(host, GRD_ERR_DATA, "%s: %lld samples, expected %lld as field \"%s\" has", where, (long long)npy->dim[0],
                        (long long)s->n, s->field[0].name);
    if (npy->count == 0)
        return grd_fail(host, GRD_ERR_DATA, "%s: an empty array", where);
    s->n = npy->dim[0];
    f->shape.rank = npy->rank - 1;
    for (int k = 1; k < npy->rank; k++)
        f->shape.dim[k - 1] = npy->dim[k];
    if (f->dtype == GRD_U8)
        f->hi = npy->type == GRD_NPY_BOOL ? 1 : 255;
    return GRD_OK;
}

/* A field's values are checked as classes, or their number is found. */
static grd_status find_classes(state *s, int f, int64_t given, const char *where)
{
    const int32_t *label = s->array[f].data;
    const int64_t n = s->n * grd_count(&s->field[f].shape);
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        if (label[i] < 0 || (given && label[i] >= given))
            return grd_fail(s->host, GRD_ERR_DATA, "%s: sample %lld: label %d, expected 0..%lld", where,
                            (long long)(i / grd_count(&s->field[f].shape)), (int)label[i],
                            given ? (long long)given - 1 : (long long)INT32_MAX);
        most = label[i] > most ? label[i] : most;
    }
    s->field[f].classes = given ? given : most + 1;
    s->field[f].hi = (double)s->field[f].classes - 1;
    return GRD_OK;
}

/* The whole array as the field's type. */
static grd_status convert(state *s, held *a, const grd_npy *npy, grd_dtype dtype)
{
    size_t all;
    if (!grd_size_mul(grd_dtype_size(dtype), (size_t)npy->count, &all))
        return grd_fail(s->host, GRD_ERR_MEMORY, "%s: out of memory", a->where);
    a->data = grd_alloc_raw(s->host, all);
    return a->data ? grd_npy_convert(npy, a->where, 0, npy->count, dtype, a->data) : GRD_ERR_MEMORY;
}

/* Labels are always read: their classes are counted. Takes npy over. */
static grd_status add(state *s, const char *name, grd_npy *npy, bool mapped, const char *where, int64_t classes)
{
    const int f = s->n_fields;
    held *a = &s->array[f < GRD_MAX_FIELDS ? f : 0];
    grd_status status = describe(s, name, npy, where);
    if (status == GRD_OK) {
        s->n_fields++;
        *a = (held){ .npy = { .host = s->host }, .where = grd_arena_strdup(&s->arena, where), .count = npy->count / s->n };
        a->bytes = grd_dtype_size(s->field[f].dtype) * (size_t)a->count;
        status = a->where ? GRD_OK : GRD_ERR_MEMORY;
    }
    const bool label = strcmp(name, "label") == 0;
    if (status == GRD_OK && mapped && !label) {
        a->npy = *npy;
        return GRD_OK;
    }
    if (status == GRD_OK)
        status = convert(s, a, npy, s->field[f].dtype);
    grd_npy_close(npy);
    return status == GRD_OK && label ? find_classes(s, f, classes, where) : status;
}

/* ---- files ---- */

/* "FIELD:WHAT" cut in two, in place. */
static grd_status cut_pair(grd_host *host, char *text, const char **what)
{
    char *colon = strchr(text, ':');
    *what = NULL;
    if (!colon || colon == text || !colon[1])
        return grd_fail(host, GRD_ERR_ARG, "arrays: \"%.80s\", expected FIELD:NAME", text);
    *colon = 0;
    *what = colon + 1 + strspn(colon + 1, " ");
    return GRD_OK;
}

static grd_status pairs_of(state *s, const opts *o, const char ***pair, int *n)
{
    GRD_TRY(grd_text_names(&s->arena, "arrays", o->arrays, pair, n));
    return *n <= GRD_MAX_FIELDS ? GRD_OK : grd_fail(s->host, GRD_ERR_ARG, "arrays: %d, expected at most %d", *n, GRD_MAX_FIELDS);
}

/* Whether a file is to be mapped, as far as its size decides. */
static bool to_map(const opts *o, const char *path)
{
    struct stat info;
    return o->map == MAP_ALWAYS || (o->map == MAP_AUTO && stat(path, &info) == 0 && info.st_size >= LARGE);
}

/* What MAP_AUTO cannot map it reads. */
static grd_status read_or_map(state *s, const opts *o, const char *path, grd_npy *npy, bool *mapped)
{
    *mapped = to_map(o, path);
    grd_status status = *mapped ? grd_npy_map(s->host, path, npy) : grd_npy_read(s->host, path, npy);
    if (*mapped && status == GRD_ERR_UNSUPPORTED && o->map == MAP_AUTO) {
        *mapped = false;
        grd_clear(s->host);
        return grd_npy_read(s->host, path, npy);
    }
    return status;
}

static grd_status read_npy(state *s, const opts *o)
{
    const char **pair, *path;
    int n;
    GRD_TRY(pairs_of(s, o, &pair, &n));
    if (n == 0)
        return grd_fail(s->host, GRD_ERR_ARG, "arrays: expected FIELD:FILE.npy, with commas between");
    for (int i = 0; i < n; i++) {
        grd_npy npy;
        bool mapped;
        char *name = grd_arena_strdup(&s->arena, pair[i]);
        if (!name)
            return GRD_ERR_MEMORY;
        GRD_TRY(cut_pair(s->host, name, &path));
        GRD_TRY(grd_text_part(&s->arena, "arrays", path, o->part, &path));
        GRD_TRY(read_or_map(s, o, path, &npy, &mapped));
        s->file = s->file ? s->file : path;
        GRD_TRY(add(s, name, &npy, mapped, path, o->classes));
    }
    return GRD_OK;
}

/* An array of an archive that may be mapped; compressed ones cannot. */
static grd_status load(state *s, const opts *o, const char *array, grd_npy *npy, bool *mapped)
{
    *mapped = s->npz.map.bytes && grd_npz_is_stored(&s->npz, array);
    if (!*mapped)
        return grd_npz_load(&s->npz, array, npy);
    grd_status status = grd_npz_view(&s->npz, array, npy);
    if (status != GRD_ERR_UNSUPPORTED || o->map != MAP_AUTO)
        return status;
    *mapped = false;
    grd_clear(s->host);
    return grd_npz_load(&s->npz, array, npy);
}

static grd_status add_named(state *s, const opts *o, const char *name, const char *array)
{
    grd_npy npy;
    bool mapped;
    char where[400];
    GRD_TRY(load(s, o, array, &npy, &mapped));
    snprintf(where, sizeof where, "%.200s: %.100s", s->file, array);
    if (o->map == MAP_ALWAYS && !mapped) {
        grd_npy_close(&npy);
        return grd_fail(s->host, GRD_ERR_UNSUPPORTED, "%s: compressed: it cannot be mapped; numpy.savez does not compress",
                        where);
    }
    return add(s, name, &npy, mapped, where, o->classes);
}

/* All arrays by their own names. */
static grd_status add_all(state *s, const opts *o)
{
    for (size_t i = 0; i < s->npz.zip.n; i++) {
        const grd_zip_entry *e = &s->npz.zip.entry[i];
        const size_t end = e->name_size > 4 && memcmp(e->name + e->name_size - 4, ".npy", 4) == 0 ? 4 : 0;
        char *name = grd_arena_format(&s->arena, "%.*s", (int)(e->name_size - end < 1000 ? e->name_size - end : 1000), e->name);
        if (!name)
            return GRD_ERR_MEMORY;
        GRD_TRY(add_named(s, o, name, name));
    }
    return s->n_fields ? GRD_OK : grd_fail(s->host, GRD_ERR_DATA, "%s: no arrays", s->file);
}

static grd_status read_npz(state *s, const opts *o)
{
    const char **pair, *array;
    int n;
    GRD_TRY(pairs_of(s, o, &pair, &n));
    GRD_TRY(grd_text_part(&s->arena, "file", o->file, o->part, &s->file));
    GRD_TRY((to_map(o, s->file) ? grd_npz_map : grd_npz_open)(s->host, s->file, &s->npz));
    s->npz_open = true;
    if (!n)
        GRD_TRY(add_all(s, o));
    for (int i = 0; i < n; i++) {
        char *name = grd_arena_strdup(&s->arena, pair[i]);
        if (!name)
            return GRD_ERR_MEMORY;
        GRD_TRY(cut_pair(s->host, name, &array));
        GRD_TRY(add_named(s, o, name, array));
    }
    if (!s->npz.map.bytes) { /* all is converted */
        grd_npz_close(&s->npz);
        s->npz_open = false;
    }
    return GRD_OK;
}

static grd_status open_with(grd_status (*read)(state *, const opts *), void **out, const opts *o, grd_ctx *ctx)
{
    state *s = GRD_NEW(&ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    grd_arena_init(&s->arena, s->host);
    grd_status status = read(s, o);
    if (status == GRD_OK && s->n > (int64_t)GRD_MAX_SAMPLES)
        status = grd_fail(s->host, GRD_ERR_DATA, "%s: %lld samples, expected at most %lld", s->file, (long long)s->n,
                          (long long)GRD_MAX_SAMPLES);
    if (status == GRD_OK)
        *out = s;
    else
        close_arrays(s);
    return status;
}

static grd_status open_npy(void **out, const void *options, grd_ctx *ctx) { return open_with(read_npy, out, options, ctx); }
static grd_status open_npz(void **out, const void *options, grd_ctx *ctx) { return open_with(read_npz, out, options, ctx); }

/* ---- samples ---- */

static int64_t length(const void *self) { return ((const state *)self)->n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    for (int f = 0; f < s->n_fields && f < max; f++)
        out[f] = s->field[f];
    return s->n_fields;
}

/* Sample i of a mapped array; the message goes to the host, which is the calling thread's. */
static grd_status convert_one(const state *s, grd_host *host, int f, int64_t i, void *out)
{
    grd_npy npy = s->array[f].npy;
    grd_host_init(host, &s->host->mem);
    npy.host = host;
    return grd_npy_convert(&npy, s->array[f].where, i * s->array[f].count, s->array[f].count, s->field[f].dtype, out);
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    grd_host host;
    for (int f = 0; f < s->n_fields; f++) {
        const held *a = &s->array[f];
        grd_status status = GRD_OK;
        if (a->data)
            memcpy(out->data[f], (const char *)a->data + (size_t)i * a->bytes, a->bytes);
        else if ((status = convert_one(s, &host, f, i, out->data[f])) != GRD_OK)
            return grd_sample_fail(out, status, "%s", host.err.text);
    }
    return GRD_OK;
}

static void name_of(const void *self, int64_t i, char *text, size_t size)
{
    snprintf(text, size, "%s:%lld", ((const state *)self)->file, (long long)i);
}

static bool peek(const void *self, int64_t i, int f, double *value)
{
    const state *s = self;
    grd_host host;
    int32_t whole;
    if (f >= s->n_fields || s->field[f].shape.rank || s->field[f].dtype != GRD_I32)
        return false;
    if (s->array[f].data)
        whole = ((const int32_t *)s->array[f].data)[i];
    else if (convert_one(s, &host, f, i, &whole) != GRD_OK)
        return false;
    *value = whole;
    return true;
}

#define COMMON_OPTIONS                                                                          \
    GRD_ENUM(opts, part, 0, "train|val|test", "which part"),                                    \
        { "mmap", GRD_OPTION_ENUM, offsetof(opts, map), MAP_AUTO, 0, 0, "auto|true|false", 0,   \
          "true: files are mapped, samples converted when they are asked for: memory need not hold them; auto: those of 64 MB " \
          "or more. A mapped file must not be cut off while it is used" },                      \
        GRD_INT(opts, classes, 0, 0, INT32_MAX, "of field label; 0: one more than its largest value in this part"), GRD_END

static const grd_option npy_options[] = {
    { "arrays", GRD_OPTION_TEXT, offsetof(opts, arrays), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "\"image:x.npy,label:y.npy\": which file is which field; {part} in them becomes train, val or test" },
    COMMON_OPTIONS,
};
static const grd_option npz_options[] = {
    { "file", GRD_OPTION_TEXT, offsetof(opts, file), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_PARTS,
      "the .npz; {part} in it becomes train, val or test" },
    GRD_TEXT(opts, arrays, NULL, "\"image:x,label:y\": which array is which field; default: all, by their own names"),
    COMMON_OPTIONS,
};

#define ROW(row_name, row_doc, row_options, row_open)                                                                     \
    { .name = row_name, .doc = row_doc, .options = row_options, .options_size = sizeof(opts), .open = row_open,           \
      .length = length, .fields = fields, .get = get, .close = close_arrays, .name_of = name_of, .peek = peek }

const grd_source grd_source_npy = ROW("npy",
                                      "NumPy's arrays in files: bytes stay u8, other integers become i32, floats f32; samples "
                                      "are the first dimension.",
                                      npy_options, open_npy);
const grd_source grd_source_npz = ROW("npz", "NumPy's arrays in one .npz, likewise.", npz_options, open_npz);
