/* Data sets, internal part: an open source and a chain of transforms, both shared by counting references, seen through a
 * list of indices. A data set never changes once it is made, so workers read it without locks. */
#ifndef GRD_DATA_DATASET_H
#define GRD_DATA_DATASET_H

#include "base/ctx.h"

#include <gradus/data.h>

#define GRD_MAX_SAMPLES UINT32_MAX /* of one data set: orders are drawn with 32-bit words */

typedef struct grd_opened { /* an open source */
    int refs;
    const grd_source *row;
    void *state;
    int64_t length;   /* -1: a stream */
    int64_t shards;   /* of a stream */
    int n_fields;
    grd_field field[GRD_MAX_FIELDS];
} grd_opened;

typedef struct grd_step { /* one transform with its options */
    int refs;
    const grd_transform *row;
    void *options;                   /* resolved */
    void *state;                     /* of the row's open */
    struct grd_step *origin;         /* whose options and state these are, if not its own */
    grd_arena texts;                 /* what TEXT options point to */
    grd_field field[GRD_MAX_FIELDS]; /* after it */
} grd_step;

typedef struct grd_label { int64_t index; int32_t label; } grd_label; /* index in the source */

typedef struct grd_labels { /* labels that stand instead of the source's */
    int refs, field;
    int64_t n;
    grd_label item[]; /* by index */
} grd_labels;

struct grd_dataset {
    grd_child child;
    grd_ctx *ctx;
    grd_opened *source;
    grd_labels *labels; /* NULL = the source's own */
    int64_t n;      /* -1: a stream */
    int64_t *index; /* in the source; NULL = all of it, in order */
    grd_step **step;
    int n_steps;
    grd_field field[GRD_MAX_FIELDS]; /* after the last step; then the lengths of those that vary */
    int n_fields;
    int length_of[GRD_MAX_FIELDS]; /* of a length: the field it belongs to; else -1 */
    bool varies[GRD_MAX_FIELDS];   /* somewhere along the chain */
    size_t bytes[GRD_MAX_FIELDS];  /* of one sample, after the last step; 0 where it varies there */
    size_t room[GRD_MAX_FIELDS];   /* the most it takes anywhere along the chain; 0 where it varies anywhere */
    size_t wide[GRD_MAX_FIELDS];   /* of the widest element along the chain */
};

/* Where a sample's data lie: for each field two buffers that take turns, so that a transform reads one and writes the other. */
typedef struct grd_sample_memory {
    grd_allocator mem;
    void *buffer[GRD_MAX_FIELDS][2];
    size_t capacity[GRD_MAX_FIELDS][2]; /* bytes */
    void *scratch;
    size_t scratch_capacity;
    void *last[GRD_MAX_FIELDS];         /* where the last step may leave it; NULL = in a buffer */
    bool at_last;                       /* the last step is at work */
    void *place[GRD_MAX_FIELDS];        /* where the field is made first, if not in a buffer of its own (a batch) */
    size_t wide[GRD_MAX_FIELDS], room[GRD_MAX_FIELDS], bytes[GRD_MAX_FIELDS]; /* as of the data set */
} grd_sample_memory;

static inline bool grd_shape_varies(const grd_shape *shape)
{
    for (int k = 0; k < shape->rank; k++)
        if (shape->dim[k] < 0)
            return true;
    return false;
}

/* An error for `who`, which needs samples by number, if the set is a stream. */
grd_status grd_dataset_by_number(const grd_dataset *dataset, const char *who);

/* A set that shares base's source and transforms. Takes over `index` (n entries; NULL = base's own), also on failure. A set
 * that is not adopted is freed by its owner, not with the context. */
grd_status grd_dataset_view(const grd_dataset *base, int64_t *index, int64_t n, bool adopt, grd_dataset **out);

/* base with one more transform (which gets a reference more). */
grd_status grd_dataset_extend(const grd_dataset *base, grd_step *step, grd_dataset **out);
/* A transform on its own, for n fields `in`; fit: what it may learn from; saved: or what it learned, or NULL. */
grd_status grd_step_new(grd_ctx *ctx, const grd_field *in, int n, const grd_dataset *fit, const char *spec, const char *saved,
                        grd_step **out);
/* Applies it as number k of a chain; key: the sample's, NULL = nothing random. */
grd_status grd_step_apply(const grd_step *step, int k, int n, const grd_key *key, grd_sample *sample);
void grd_step_release(grd_host *host, grd_step *step);
/* The row's own message with its name in front, or one for a row that left none. */
grd_status grd_row_failed(grd_host *host, const char *name, grd_status status);

/* Making a sample: before its source writes it, and when it has: checked, relabelled (index: in the source; -1: of a stream),
 * transformed. *who: the row that failed. */
grd_status grd_sample_begin(const grd_dataset *dataset, grd_sample *sample);
grd_status grd_sample_complete(const grd_dataset *dataset, int64_t index, const grd_key *key, grd_sample *sample,
                               const char **who);

/* Puts the text before the message that is there. Returns status. */
grd_status grd_sample_fail_in(grd_sample *sample, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);

/* Whether the sample has another label; NULL: none has. */
bool grd_labels_find(const grd_labels *labels, int64_t index, int32_t *label);

/* Index of the field of that name, or -1. */
int grd_field_find(const grd_field *field, int n, const char *name);
/* Whether source or transform `who` describes its fields well. */
grd_status grd_fields_check(grd_host *host, const char *who, const grd_field *field, int n);

/* A random order of order[0..n) by key (Fisher-Yates); the same on every platform. n <= GRD_MAX_SAMPLES. */
void grd_shuffle(const grd_key *key, int64_t *order, int64_t n);

/* a * b, or false if it does not fit. */
static inline bool grd_size_mul(size_t a, size_t b, size_t *product)
{
    if (b && a > SIZE_MAX / b)
        return false;
    *product = a * b;
    return true;
}

#endif
