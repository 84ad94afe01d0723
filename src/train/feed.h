/* Batch fields to graph inputs, by name: which field feeds which input, and whether it fits. */
#ifndef GRD_TRAIN_FEED_H
#define GRD_TRAIN_FEED_H

#include "base/host.h"

#include <gradus/data.h>
#include <gradus/plan.h>

typedef struct grd_feed {
    grd_model *model;
    grd_host *host;
    char who[64];                   /* begins messages */
    int field[GRD_MAX_INPUTS];      /* of the batch; -1: this input is not needed */
    grd_field seen[GRD_MAX_INPUTS]; /* what that field was when the feed was made */
    double *wide[GRD_MAX_INPUTS];   /* a double model reads f32 fields through these */
    int64_t wide_room[GRD_MAX_INPUTS];
    bool varies;                    /* a field's shape changes from sample to sample */
} grd_feed;

/* roots: what is going to be computed; inputs it does not depend on need no field. The feed is zeroed before. */
grd_status grd_feed_init(grd_feed *feed, grd_model *model, const grd_dataset *data, const char *who, const grd_var *root,
                         int n_roots);
void grd_feed_drop(grd_feed *feed);
/* Input shapes of a batch of n samples, for compiling ahead; needs !varies. */
void grd_feed_shapes(const grd_feed *feed, int64_t n, grd_shape shape[GRD_MAX_INPUTS]);
/* The same of a batch that is there, and its buffers. */
grd_status grd_feed_batch(grd_feed *feed, const grd_batch *batch, grd_shape shape[GRD_MAX_INPUTS], grd_run *run);

#endif
