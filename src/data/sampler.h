/* Orders: which samples an epoch has, and in what order. */
#ifndef GRD_DATA_SAMPLER_H
#define GRD_DATA_SAMPLER_H

#include "data/dataset.h"

typedef struct grd_sampler {
    grd_host *host;
    int kind;             /* GRD_SAMPLER_* */
    bool shuffle;
    uint64_t seed;
    int64_t n;            /* samples of the set */
    int64_t n_order;      /* of an epoch */
    int64_t batch;
    int rank, ranks;
    double *cumulative;   /* [n], of weights */
    int64_t *length;      /* [n] */
    int64_t *room, *place; /* work space of bucketed: [n], [whole batches] */
    int64_t *order;       /* [n_order], or all n before ranks take theirs; NULL = 0, 1, 2, ... */
} grd_sampler;

/* Reads what it needs of the data (classes, lengths). Freed by grd_sampler_drop, also after a failure. */
grd_status grd_sampler_init(grd_sampler *sampler, const grd_dataset *data, const grd_loader_opts *opts, int64_t batch);
void grd_sampler_drop(grd_sampler *sampler);
void grd_sampler_start(grd_sampler *sampler, int64_t epoch);
static inline int64_t grd_sampler_at(const grd_sampler *s, int64_t i) { return s->order ? s->order[i] : i; }

#endif
