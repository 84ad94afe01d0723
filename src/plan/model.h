/* A model: parameter, gradient and state arenas of one graph, its cache of plans, and the one arena their values share. */
#ifndef GRD_PLAN_MODEL_H
#define GRD_PLAN_MODEL_H

#include "graph/graph.h"

#include <gradus/plan.h>

#define GRD_PARAM_ALIGN 16 /* elements: each parameter starts at a multiple */
#define GRD_MAX_PLANS 64   /* in a model's cache; the oldest is dropped */

struct grd_model {
    grd_child child;
    grd_graph *graph;
    grd_ctx *ctx;
    grd_dtype dtype;
    int threads;
    uint64_t seed;
    bool exact_conv, low_memory;
    char backend[16];
    char no_fuse[128];        /* names of fusion rules that are switched off, comma-separated */
    int n_params, n_tensors;  /* parameters and states; indices as in graph->params */
    int64_t *offset;          /* elements, in the parameter or state arena */
    bool *frozen;
    int64_t param_elements, state_elements;
    void *params, *grads, *extra_grads, *states; /* extra_grads: for accumulation, made when first needed */
    void *arena;              /* values of whichever plan runs */
    size_t arena_bytes;
    uint64_t version;         /* of parameter values: packed weights are redone when it has changed */
    struct { grd_plan **item; int n, cap; } plans;
};

int grd_model_threads(const grd_model *model);
grd_child *grd_model_child(grd_model *model); /* to adopt under */
/* Makes the shared arena at least this large. */
grd_status grd_model_reserve(grd_model *model, size_t bytes);
static inline size_t grd_model_element(const grd_model *model) { return grd_dtype_size(model->dtype); }

#endif
