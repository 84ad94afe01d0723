/* What transforms learn from the training set: numbers per channel, the first dimension of a field; of tables, per column. */
#ifndef GRD_DATA_LEARNED_H
#define GRD_DATA_LEARNED_H

#include "data/dataset.h"

typedef struct grd_learned {
    grd_host *host;
    int64_t n;             /* channels */
    const char *name[2];   /* of the lists, as in JSON: "mean", "std"; the second one NULL: there is one list */
    double *v[2];
} grd_learned;

/* The field of that name, which must hold floats; GRD_ERR_ARG with a sentence else. */
grd_status grd_learned_field(grd_host *host, const grd_field *field, int n, const char *name, int *index);
/* Room for what is learned of field `index`, whose channels must not vary. */
grd_status grd_learned_new(const grd_transform_open *call, int index, const char *first, const char *second, grd_learned **out);
/* The same, from what grd_learned_save wrote. */
grd_status grd_learned_load(const grd_transform_open *call, int index, const char *first, const char *second, grd_learned **out);
/* What `open` of a transform does: from call->saved, or made and filled by `learn`. */
typedef grd_status grd_learned_learn(const grd_transform_open *call, int index, grd_learned *learned);
grd_status grd_learned_make(const grd_transform_open *call, int index, const char *first, const char *second,
                            grd_learned_learn *learn, void **state);
int grd_learned_save(const void *learned, char *text, size_t size);
void grd_learned_free(void *learned); /* NULL is allowed */

/* Calls see(user, channel, x, n) for each channel of each sample of call->fit in order. */
typedef grd_status grd_learned_see(void *user, int64_t channel, const float *x, int64_t n);
grd_status grd_learned_pass(const grd_transform_open *call, int index, grd_learned_see *see, void *user);

/* Mean and population standard deviation of each channel into lists 0 and 1, in double, NaN left out. A channel without a
 * number is an error. */
grd_status grd_learned_moments(const grd_transform_open *call, int index, grd_learned *learned);
/* "column 3 of \"features\" has no number in the training set" */
grd_status grd_learned_nothing(const grd_transform_open *call, int index, int64_t channel);

/* How a field's elements lie: `channels` runs of `size` each. */
void grd_channels(const grd_shape *shape, int64_t *channels, int64_t *size);

#endif
