/* Gradus, chapter "simple": building a graph. Define, then run: these calls only describe; nothing is computed.
 *
 * A grd_var is a small value nobody frees. Shape errors appear at the building call: it returns an invalid var, the
 * first error stays in the graph (grd_graph_status) and in grd_error(ctx). An op on an invalid var gives an invalid var. */
#ifndef GRADUS_GRAPH_H
#define GRADUS_GRAPH_H

#include <gradus/base.h>
#include <gradus/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct grd_graph grd_graph;
typedef struct grd_var {
    grd_graph *graph;
    int32_t id; /* < 0: invalid */
} grd_var;

GRD_API grd_graph *grd_graph_new(grd_ctx *ctx); /* NULL: no memory */
GRD_API void grd_graph_free(grd_graph *graph);  /* NULL is fine; models and plans made from it are freed too */
GRD_API grd_status grd_graph_status(const grd_graph *graph);
GRD_API grd_ctx *grd_graph_ctx(const grd_graph *graph);

/* An input fed at every run. dtype GRD_F32 (real: double in a double model) or GRD_I32 (indices). dims may hold
 * GRD_VARIES (batch) and GRD_VARIES_T. The name is also that of the batch field that feeds it. */
GRD_API grd_var grd_input(grd_graph *graph, const char *name, grd_dtype dtype, int rank, const int64_t *dims);
GRD_API grd_var grd_find_input(const grd_graph *graph, const char *name); /* invalid if there is none */

/* ---- names: scopes give dotted paths, "encoder.1.weight" --------------------------------- */

/* Opens a scope named `name`, or by the next index among its siblings if NULL. Parameters and ops made until
 * grd_scope_pop get its path in front. */
GRD_API void grd_scope_push(grd_graph *graph, const char *name);
GRD_API void grd_scope_pop(grd_graph *graph);

/* ---- parameters and state ----------------------------------------------------------------- */

typedef enum grd_init_kind {
    GRD_INIT_ZEROS = 0,
    GRD_INIT_CONSTANT, /* a */
    GRD_INIT_UNIFORM,  /* in [a, b) */
    GRD_INIT_NORMAL    /* mean a, standard deviation b */
} grd_init_kind;

typedef struct grd_init {
    grd_init_kind kind;
    double a, b;
    int64_t zero_row; /* 1 + index of a row set to zero and kept there (padding of an embedding); 0 = none */
} grd_init;

/* A trained array with the path of the scope + "." + name. Values are a function of (model seed, path). Using a path
 * twice with the same shape gives the same parameter (tied weights); with another shape it is an error. */
GRD_API grd_var grd_param(grd_graph *graph, const char *name, grd_init init, int rank, const int64_t *dims);
/* Not trained, updated by the ops that own it; counter: stored as int64 in checkpoints (num_batches_tracked). */
GRD_API grd_var grd_state(grd_graph *graph, const char *name, double value, bool counter, int rank, const int64_t *dims);

/* ---- looking at it ------------------------------------------------------------------------- */

GRD_API bool grd_valid(grd_var v);
GRD_API grd_shape grd_var_shape(grd_var v); /* symbols where it varies; rank -1 if invalid */
GRD_API const char *grd_var_name(grd_var v); /* its path, owned by the graph */

/* Applies any row by name: `attr` is the row's options struct or NULL. Returns output 0; grd_output gives the others. */
GRD_API grd_var grd_apply(const char *op, const void *attr, const grd_var *in, int n_in);
GRD_API grd_var grd_output(grd_var first, int k);

#ifdef __cplusplus
}
#endif
#endif
