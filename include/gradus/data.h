/* Gradus, chapter "training": data. Samples and batches are named fields; a source is one struct; a data set is a source
 * seen through a selection of indices and a chain of transforms; a loader makes batches with worker threads. */
#ifndef GRADUS_DATA_H
#define GRADUS_DATA_H

#include <gradus/base.h>
#include <gradus/tensor.h>

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRD_MAX_FIELDS 16
#define GRD_FIELD_NAME 32

typedef struct grd_field {
    char name[GRD_FIELD_NAME];   /* "image", "label", "mask", "points", "text", "name", ... */
    grd_dtype dtype;             /* of the sample's data */
    grd_shape shape;             /* without a batch dimension; -1 = varies from sample to sample */
    double lo, hi;               /* range promised by the source, checked by grd_dataset_verify; lo == hi: unknown */
    int64_t classes;             /* of class indices (i32, one or an array): number of classes; else 0 */
    int64_t ignore;              /* with classes: if not 0, this index too may stand there and means "no label" (-1) */
    double pad;                  /* what fills a batch up where its samples' shapes differ */
} grd_field;

/* One sample: for each field its data, grd_count(&shape[i]) elements of the field's dtype. */
typedef struct grd_sample {
    int n;
    const grd_field *field;
    void *data[GRD_MAX_FIELDS];
    grd_shape shape[GRD_MAX_FIELDS];  /* of what is there: no -1 */
    char error[400];                  /* what was wrong: file, index, found, expected */
    struct grd_sample_memory *memory; /* where the data lie; from grd_sample_new */
} grd_sample;

/* For `get` and `apply`: room for new content of a field, of `shape` and of any dtype that the field has along the chain; data[i]
 * and shape[i] then tell of it. What was there before stays readable where it was until the next call for the same field. A field
 * whose shape varies has no room before the first call. Not needed where a field's buffer is written in place (data of a fixed
 * shape). NULL: there is no memory, or the shape is impossible; the message is left in the sample. */
GRD_API void *grd_sample_room(grd_sample *sample, int i, const grd_shape *shape);

/* For `get` and `apply`: working memory, aligned to 64 bytes, kept for the sample's next user; valid until the next call. NULL:
 * there is none; the message is left in the sample. */
GRD_API void *grd_sample_scratch(grd_sample *sample, size_t bytes);

/* For `get` and `apply`, which run in worker threads: leaves the message in the sample, from where it reaches the caller of
 * grd_dataset_get or grd_loader_next with the names of source and batch in front. Returns status. */
GRD_API grd_status grd_sample_fail(grd_sample *sample, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);

/* ---- sources: one file each; users register their own -------------------------------------- */

#define GRD_POSITION 120 /* room for a cursor's position, with its end */

/* Data that are read in turn instead of by number: `stream` of a source that has no length and get. They lie in shards (files,
 * ranges), whose number depends on the data alone; each is read by a cursor of its own. Several cursors are at work at once, in
 * different threads; one cursor is used by one thread at a time. */
typedef struct grd_stream_calls {
    int64_t (*shards)(const void *state); /* 0 to 2^32 - 1 */
    /* A cursor at the first sample of a shard. key: for what the source draws at random, a function of (seed, epoch, shard). A
     * failure leaves its message in `errors` by grd_sample_fail; so do next and seek. */
    grd_status (*begin)(const void *state, int64_t shard, const grd_key *key, void **cursor, grd_sample *errors);
    /* The next sample, written as by `get`; *end (false before) becomes true if there is none. GRD_ERR_DATA: this sample is no
     * good and the next call gives the one behind it; any other failure is the end of the shard. */
    grd_status (*next)(void *cursor, grd_sample *out, bool *end);
    /* Where a cursor is, as text of visible ASCII characters (1 to GRD_POSITION - 1, no spaces), and putting a new one there:
     * the next sample is then that which would have come next. Both NULL: a loader that is restored reads the shard again up to
     * there. */
    void (*tell)(const void *cursor, char *text, size_t size);
    grd_status (*seek)(void *cursor, const char *position, grd_sample *errors);
    void (*end)(void *cursor); /* may be NULL */
} grd_stream_calls;

typedef struct grd_source {
    const char *name, *doc;
    const grd_option *options;
    size_t options_size;
    /* options: resolved, valid during the call only. A failure leaves its sentence by grd_source_fail. */
    grd_status (*open)(void **state, const void *options, grd_ctx *ctx);
    int64_t (*length)(const void *state);                                 /* at most 2^32 - 1 */
    int (*fields)(const void *state, grd_field *out, int max);            /* returns how many; dtypes f32, i32, u8 */
    grd_status (*get)(const void *state, int64_t index, grd_sample *out); /* thread-safe, nothing random */
    void (*close)(void *state);                                           /* may be NULL */
    /* Class names of field `label`, if known: may be NULL. */
    const char *(*class_name)(const void *state, int64_t label);
    /* What a person calls sample `index` (a path, a row of a file): written into text, cut if need be. May be NULL: its number. */
    void (*name_of)(const void *state, int64_t index, char *text, size_t size);
    /* The value of a field that is one number, without making the rest of the sample; false: not known so cheaply. Lets splits by
     * class pass over pictures without decoding them. May be NULL. */
    bool (*peek)(const void *state, int64_t index, int field, double *value);
    /* What a person calls element `element` of a field (the column of a table); NULL: it has no name of its own. May be NULL. */
    const char *(*element_name)(const void *state, int field, int64_t element);
    /* Given instead of length and get: the source is a stream. Then name_of names shards, and relabelling, splits, selections and
     * samplers, which need samples by number, are refused. */
    const grd_stream_calls *stream;
} grd_source;

/* For `open` of a source and `fields` of a transform: the message in ctx, without the row's name. Returns status. */
GRD_API grd_status grd_source_fail(grd_ctx *ctx, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);
GRD_API grd_status grd_source_register(grd_ctx *ctx, const grd_source *source); /* must outlive ctx */
GRD_API const grd_source *grd_source_find(const grd_ctx *ctx, const char *name);
GRD_API const grd_source *grd_source_at(const grd_ctx *ctx, int i); /* NULL past the end */

/* ---- data sets ------------------------------------------------------------------------------- */

typedef struct grd_dataset grd_dataset;

/* `spec`: the source's options as "key=value ..."; NULL = defaults. A data set made from another shares its source and
 * may outlive it. */
GRD_API grd_status grd_dataset_open(grd_ctx *ctx, const char *source, const char *spec, grd_dataset **dataset);
GRD_API grd_status grd_dataset_open_source(grd_ctx *ctx, const grd_source *source, const void *options, grd_dataset **dataset);
/* Arrays in memory: data[i] holds n samples of field[i] back to back; copied if `copy`, else it must outlive the set. Class
 * indices are checked. */
GRD_API grd_status grd_dataset_from_arrays(grd_ctx *ctx, int64_t n, int n_fields, const grd_field *field, const void *const *data,
                                           bool copy, grd_dataset **dataset);
GRD_API void grd_dataset_free(grd_dataset *dataset);
GRD_API int64_t grd_dataset_length(const grd_dataset *dataset); /* -1: a stream, nobody knows before its end */
/* After the transforms. A field of rank 1 whose length varies, NAME, brings a field NAME_length with it (i32, one number). */
GRD_API int grd_dataset_fields(const grd_dataset *dataset, const grd_field **field);
GRD_API int64_t grd_dataset_index(const grd_dataset *dataset, int64_t i); /* index in the source */
GRD_API const char *grd_dataset_class(const grd_dataset *dataset, int64_t label); /* NULL if unknown */
/* What the source calls sample i: "images/12.jpg", or its number. Returns text. */
GRD_API const char *grd_dataset_name(const grd_dataset *dataset, int64_t i, char *text, size_t size);
/* What the source calls one element of a field, if a person knows it by a name and no transform has given the field another
 * shape; else NULL. */
GRD_API const char *grd_dataset_element(const grd_dataset *dataset, int field, int64_t element);
/* One sample into `out`, which grd_sample_new made for this set; key: for random transforms (NULL = none). Thread-safe: the
 * message of a failure is in out->error, not in the context. */
GRD_API grd_status grd_dataset_get(const grd_dataset *dataset, int64_t i, const grd_key *key, grd_sample *out);
GRD_API grd_status grd_sample_new(const grd_dataset *dataset, grd_ctx *ctx, grd_sample **sample);
GRD_API void grd_sample_free(grd_sample *sample, grd_ctx *ctx);

/* Views. Each gives a new set that shares the source. */
GRD_API grd_status grd_dataset_select(const grd_dataset *dataset, const int64_t *index, int64_t n, grd_dataset **out);
/* How a data set is cut into parts. */
enum { GRD_ORDER_PHILOX, GRD_ORDER_NUMPY };
typedef struct grd_split_opts {
    uint64_t seed;
    const char *stratify; /* a class field: each class is divided in the same proportions (largest remainder; what one class rounds
                             away the next ones get). NULL = not */
    const char *group;    /* a field of whole numbers (a person, a patient): samples of one number stay together, so that fractions
                             are met as well as the groups allow. With stratify: the classes' proportions too. NULL = not */
    int order;            /* GRD_ORDER_*: our own random order, or that of numpy.random.seed(seed); permutation(n) (legacy MT19937) */
} grd_split_opts;
/* n sets with the given fractions (summing to at most 1) of a random order by seed, which they keep. opts NULL: seed 0. An empty
 * part is an error. */
GRD_API grd_status grd_dataset_split(const grd_dataset *dataset, const double *fraction, int n, const grd_split_opts *opts,
                                     grd_dataset **out);
/* Of k folds (equal fractions, as above) fold `fold` (from 0) as validation set, the others as training set. */
GRD_API grd_status grd_dataset_fold(const grd_dataset *dataset, int folds, int fold, const grd_split_opts *opts, grd_dataset **train,
                                    grd_dataset **val);
/* The samples whose names (grd_dataset_name, or the part of it after the last slash) are listed, in the list's order; or with
 * `others` all that are not listed, in the set's order. A name that fits two samples, or stands twice, is an error; one that fits none
 * too, but if `found` is given: found[i] becomes true for those that are there (and is left as it is for others). */
GRD_API grd_status grd_dataset_named(const grd_dataset *dataset, const char *const *name, int64_t n, bool others, bool *found,
                                     grd_dataset **out);
/* The same samples with other labels: name[i] has class label[i] in field `label`. found: as above. */
GRD_API grd_status grd_dataset_relabel(const grd_dataset *dataset, const char *const *name, const int32_t *label, int64_t n,
                                       bool *found, grd_dataset **out);

typedef struct grd_subset {
    const char *name;
    int64_t per_class; /* n of each class (of field `label`), or */
    int64_t count;     /* n in all, or */
    double fraction;   /* of all; all three 0: the rest */
    const char *stratify; /* with count or fraction: the class field whose proportions among what is left are kept; NULL = none */
} grd_subset;
/* Disjoint subsets drawn by seed in the given order, "the rest" last; at most one takes it. Asking for more than there is: an
 * error that says how many there are. */
GRD_API grd_status grd_dataset_subsets(const grd_dataset *dataset, const grd_subset *subset, int n, uint64_t seed,
                                       grd_dataset **out);

/* ---- batches: stacked samples -------------------------------------------------------------------- */

typedef struct grd_batch {
    int64_t n;              /* samples in it */
    int64_t first;          /* position of its first sample in the epoch's order */
    int64_t number;         /* batch number in the epoch, from 0 */
    int64_t skipped;        /* samples left out because they could not be read (on_error: skip) */
    int n_fields;
    const grd_field *field;
    void *data[GRD_MAX_FIELDS];      /* [n, shape...], dtype f32 or i32 or u8 as the field; aligned to 64 bytes */
    grd_shape shape[GRD_MAX_FIELDS]; /* with the batch dimension; of varying fields the largest of the batch, filled up with `pad` */
    const int64_t *index;   /* n source indices; of a stream: places in their shards */
} grd_batch;

/* ---- transforms: rows too --------------------------------------------------------------------- */

typedef struct grd_transform_open { /* what a transform is made for */
    const void *options;            /* resolved */
    const grd_field *in;            /* fields before it */
    int n;
    const grd_dataset *fit;         /* what it learns from, if it does: the training split as it comes before it */
    const char *saved;              /* or what `save` wrote when it learned; NULL */
    grd_ctx *ctx;
} grd_transform_open;

typedef struct grd_transform_call { /* what it is applied with */
    const void *options;
    const void *state;              /* of `open`; NULL without */
    const grd_field *in, *out;      /* fields before and after it; shapes that vary are in the sample */
    int n;
    const grd_key *key;             /* NULL unless `random`, and where nothing random is wanted */
} grd_transform_call;

typedef struct grd_transform {
    const char *name, *doc;
    const grd_option *options;
    size_t options_size;
    /* Changes the description of the n fields, their number and names stay; grd_source_fail says why it does not fit. state: of
     * `open`, which comes before. */
    grd_status (*fields)(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx);
    /* Changes a sample, in place or by grd_sample_room. Thread-safe. In a loader the key is a function of (seed, epoch, sample's
     * place in the data set; in a stream: shard and place in it). */
    grd_status (*apply)(const grd_transform_call *call, grd_sample *sample);
    /* Instead of apply: changes a whole batch, in the loader only; key: of (seed, epoch, number of the batch). Shapes stay. */
    grd_status (*apply_batch)(const grd_transform_call *call, grd_batch *batch, grd_sample *errors);
    /* Applies this row and the one behind it in one go, where it can, to the same result; *done says whether. May be NULL. */
    grd_status (*apply_both)(const grd_transform_call *call, const struct grd_transform *next, const grd_transform_call *next_call,
                             grd_sample *sample, bool *done);
    bool random;
    bool keeps_classes; /* never changes a class index: splits by class need not run it */
    /* Work that is done once, and what is learned from data (means, categories). All may be NULL. */
    grd_status (*open)(const grd_transform_open *call, void **state);
    void (*close)(void *state);
    int (*save)(const void *state, char *text, size_t size); /* what was learned, as JSON; as snprintf */
    const char *const *samples; /* options to be tried by the tests, "size=8 antialias=false"; ends with NULL */
} grd_transform;

GRD_API grd_status grd_transform_register(grd_ctx *ctx, const grd_transform *transform);
GRD_API const grd_transform *grd_transform_find(const grd_ctx *ctx, const char *name);
GRD_API const grd_transform *grd_transform_at(const grd_ctx *ctx, int i);
/* One more transform at the end of the chain: "normalize mean=[0.5] std=[0.5]". One that learns, learns from this set. */
GRD_API grd_status grd_dataset_transform(const grd_dataset *dataset, const char *spec, grd_dataset **out);
/* The same with what it learned elsewhere, as grd_dataset_learned told. */
GRD_API grd_status grd_dataset_transform_saved(const grd_dataset *dataset, const char *spec, const char *saved, grd_dataset **out);
/* One more transform: the last one of `from`, with what it learned there. For a validation set after its training set. */
GRD_API grd_status grd_dataset_transform_as(const grd_dataset *dataset, const grd_dataset *from, grd_dataset **out);
/* What the last transform learned, as JSON; cut at size. Returns its length, 0 if it learns nothing. */
GRD_API int grd_dataset_learned(const grd_dataset *dataset, char *text, size_t size);

/* ---- loader ------------------------------------------------------------------------------------ */

typedef struct grd_loader grd_loader;

/* In what order samples come. */
enum {
    GRD_SAMPLER_PLAIN,        /* as they are, or with `shuffle` a new random order in every epoch */
    GRD_SAMPLER_WEIGHTED,     /* n draws with replacement, in proportion to `weights` */
    GRD_SAMPLER_BALANCED,     /* the same, every class of field `label` equally likely */
    GRD_SAMPLER_BUCKETED      /* batches of samples of about the same length (of the first field that varies): less padding */
};
enum { GRD_ERRORS_STOP, GRD_ERRORS_SKIP };

typedef struct grd_loader_opts {
    int64_t batch;         /* 32 */
    bool shuffle;
    bool drop_last;        /* leave out the short last batch */
    int workers;           /* threads, up to 256; 0 = samples are made in the calling thread */
    int prefetch;          /* batches ahead; 0 = 2 a worker, at least 2 */
    uint64_t seed;
    int sampler;           /* GRD_SAMPLER_* */
    const double *weights; /* one a sample, for GRD_SAMPLER_WEIGHTED; copied */
    int64_t pad_multiple;  /* varying lengths are filled up to a multiple of this: fewer different shapes; 0 = 1 */
    int rank, ranks;       /* of several processes, this one takes every ranks-th sample from rank on; 0 ranks = one. Each gets equally
                              many: the first ones of the order fill up at its end */
    int on_error;          /* GRD_ERRORS_*: a sample that cannot be read ends the batch, or is left out and counted */
    int64_t shuffle_buffer; /* of a stream that is shuffled: so many samples, in all, are read ahead and put in random order */
} grd_loader_opts;

/* Of a stream: its shards are dealt out to lanes, at most 16: lane k reads shard k, k + lanes, ... one after the other and gives
 * batches of its samples; only its last one may be short. The epoch is the first batch of each lane in turn, the second of each,
 * and so on, lanes that have ended left out. With `shuffle` shards are dealt in random order, and each lane reads its share of
 * shuffle_buffer samples ahead and gives them in random order, before it reads the next ones. So batches depend on the data,
 * options, seed and epoch alone, as always; at most one worker a lane is at work.
 *
 * All threads are started here and all memory is allocated; epochs allocate nothing, but that buffers of fields that vary grow to
 * their largest. The context's allocator is then called from the workers. The data set may be freed before the loader. A set
 * without a single batch is an error. */
GRD_API grd_status grd_loader_new(grd_ctx *ctx, const grd_dataset *dataset, const grd_loader_opts *opts, grd_loader **loader);
GRD_API void grd_loader_free(grd_loader *loader);
GRD_API int64_t grd_loader_batches(const grd_loader *loader); /* per epoch; -1: of a stream, not known before its end */
/* Begins epoch `epoch` (its order is a function of seed and epoch) at batch `first_batch` (of a stream only 0: grd_loader_restore
 * goes on in the middle). Whatever was under way is dropped. */
GRD_API grd_status grd_loader_start(grd_loader *loader, int64_t epoch, int64_t first_batch);
/* The next batch in order, valid until the next call; *batch = NULL at the end of the epoch. A worker's error arrives
 * here, at the batch it belongs to, with file and index; the call after it goes on with the batch after it. */
GRD_API grd_status grd_loader_next(grd_loader *loader, const grd_batch **batch);
GRD_API int64_t grd_loader_skipped(const grd_loader *loader); /* samples left out since the epoch began, or was restored */
/* Where the epoch is, behind the last batch that the caller has had, as one line of text; cut at size, returns its length as
 * snprintf. A loader of the same data and options goes on from there after grd_loader_restore, which stands for
 * grd_loader_start. */
GRD_API int grd_loader_save(const grd_loader *loader, char *text, size_t size);
GRD_API grd_status grd_loader_restore(grd_loader *loader, const char *text);

/* ---- getting data sets from their publishers ---------------------------------------------------- */

#define GRD_REMOTE_MIRRORS 4
#define GRD_REMOTE_FILES 8

typedef struct grd_remote_file {
    const char *name;      /* under which it is kept: no path */
    const char *path;      /* what stands behind a mirror's address; NULL = name */
    int64_t size;          /* bytes; 0 = not known */
    const char *sha256;    /* 64 hexadecimal digits; NULL = not known: nothing but the size can be checked */
} grd_remote_file;

typedef struct grd_remote {                      /* where a data set can be had; up to the first NULL or all */
    const char *name, *doc;
    const char *mirror[GRD_REMOTE_MIRRORS];      /* http or https addresses, tried in order */
    grd_remote_file file[GRD_REMOTE_FILES];
} grd_remote;

GRD_API const grd_remote *grd_remote_at(int i);  /* the known ones; NULL past the end */
GRD_API const grd_remote *grd_remote_find(const char *name);

typedef struct grd_fetched {                     /* what became of a file */
    const char *name, *path;
    int64_t bytes;                               /* its size */
    int64_t received;                            /* bytes that came for it now; 0: it was there */
    const char *sha256;                          /* found */
    bool verified;                               /* and expected; false: nothing to compare with is known */
} grd_fetched;

typedef struct grd_fetch_opts {
    const char *dir;       /* where files go, made if need be; "." */
    const char *from;      /* a folder that holds them: nothing is asked of the network */
    int64_t timeout;       /* 30 s without a byte: a connection counts as dead */
    int progress;          /* GRD_PROGRESS_* */
    FILE *progress_file;   /* NULL = nothing is shown */
    bool progress_ascii;
    void (*done)(void *user, const grd_fetched *file); /* after each file; may be NULL */
    void *user;
    const volatile int *stop; /* becomes non-zero: GRD_ERR_STOPPED; what has come stays for the next time */
} grd_fetch_opts;

/* Gets the set's files. One comes as NAME.part and has its name only when size and SHA-256 are right; a NAME.part that an earlier
 * attempt left is continued (but of files whose hash is not known: nothing could tell that the pieces belong together). A file
 * that is there is checked and left as it is. GRD_ERR_UNSUPPORTED: built without libcurl, and no `from`. */
GRD_API grd_status grd_fetch(grd_ctx *ctx, const grd_remote *set, const grd_fetch_opts *opts);

/* ---- looking at it ------------------------------------------------------------------------------- */

/* Reads all samples and checks each against its fields' promises (range, class index); the first fault is the error.
 * counts: if not NULL, samples per class of field `label`, room for `n_counts`. */
GRD_API grd_status grd_dataset_verify(grd_ctx *ctx, const grd_dataset *dataset, int64_t *counts, int64_t n_counts);

typedef struct grd_shown { /* one picture of a sheet */
    int64_t place, index;  /* in the sheet, from 0; in the source */
    char name[160];        /* what the source calls it */
    char label[160];       /* the class's name or number; of soft labels "cat 0.70 dog 0.30"; "" = there is none */
} grd_shown;

typedef struct grd_sheet_opts {
    int64_t n;     /* pictures; 0 = 16 */
    int columns;   /* 0: about as wide as high */
    int64_t epoch; /* whose order and random numbers */
    void (*each)(void *user, const grd_shown *shown); /* called for every picture in turn; may be NULL */
    void *user;
} grd_sheet_opts;
/* Writes a PNG of the first pictures that a loader with these options (NULL: its defaults) would give, as it would give them: fields
 * `mask` over them in colours, `points` on them, labels and names under them. Floats: from their smallest (black) to their largest. */
GRD_API grd_status grd_dataset_sheet(grd_ctx *ctx, const grd_dataset *dataset, const grd_loader_opts *load, const grd_sheet_opts *opts,
                                     const char *path);

#ifdef __cplusplus
}
#endif
#endif
