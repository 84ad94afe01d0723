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
    int64_t length;
    int n_fields;
    grd_field field[GRD_MAX_FIELDS];
} grd_opened;

typedef struct grd_step { /* one transform with its options */
    int refs;
    const grd_transform *row;
    void *options;                   /* resolved */
    grd_arena texts;                 /* what TEXT options point to */
    grd_field field[GRD_MAX_FIELDS]; /* after it */
} grd_step;

struct grd_dataset {
    grd_child child;
    grd_ctx *ctx;
    grd_opened *source;
    int64_t n;
    int64_t *index; /* in the source; NULL = all of it, in order */
    grd_step **step;
    int n_steps;
    const grd_field *field;        /* after the last step */
    size_t bytes[GRD_MAX_FIELDS];  /* of one sample, after the last step */
    size_t room[GRD_MAX_FIELDS];   /* the most it takes anywhere along the chain */
    size_t align[GRD_MAX_FIELDS];  /* of the widest element along the chain */
};

/* A set that shares base's source and transforms. Takes over `index` (n entries; NULL = base's own), also on failure. A set
 * that is not adopted is freed by its owner, not with the context. */
grd_status grd_dataset_view(const grd_dataset *base, int64_t *index, int64_t n, bool adopt, grd_dataset **out);

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
