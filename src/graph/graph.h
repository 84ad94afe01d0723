/* The graph as plain data: values, nodes, parameters, in the order they were made (which is a topological order). */
#ifndef GRD_GRAPH_GRAPH_H
#define GRD_GRAPH_GRAPH_H

#include "base/ctx.h"

#include <gradus/graph.h>
#include <gradus/op.h>

typedef enum grd_origin { GRD_FROM_INPUT, GRD_FROM_PARAM, GRD_FROM_STATE, GRD_FROM_NODE } grd_origin;

typedef struct grd_value {
    grd_shape shape;         /* as the user sees it, with symbols */
    grd_shape trial[2];      /* with the symbols replaced by two sets of stand-in numbers */
    grd_kind kind;
    grd_origin origin;
    int index;               /* of the input, parameter, state or node */
    int port;                /* which output of the node */
    const char *name;        /* path */
} grd_value;

typedef struct grd_call {    /* a node: one op applied */
    const grd_op *op[2];     /* float row, double row (may be NULL) */
    const void *attr;        /* resolved */
    const char *path;
    int n_in, n_out;
    int in[GRD_MAX_IN], out[GRD_MAX_OUT]; /* values */
} grd_call;

typedef struct grd_param_def {
    const char *name;
    grd_shape shape;
    grd_init init;
    bool is_state, counter;
    int value;
} grd_param_def;

typedef struct grd_input_def {
    const char *name;
    grd_dtype dtype;
    int value;
} grd_input_def;

typedef struct grd_scope {
    const char *path;        /* "" at the top */
    int next;                /* index the next sibling gets */
    bool layer;              /* a layer's own scope: ops in it carry its path */
} grd_scope;

#define GRD_MAX_SCOPE 32

struct grd_graph {
    grd_child child;
    grd_ctx *ctx;
    grd_arena arena;
    grd_status status;
    struct { grd_value *item; int n, cap; } values;
    struct { grd_call *item; int n, cap; } calls;
    struct { grd_param_def *item; int n, cap; } params; /* parameters and states */
    struct { grd_input_def *item; int n, cap; } inputs;
    grd_scope scope[GRD_MAX_SCOPE];
    int depth;
};

/* A layer's scope: `name` NULL = the next index. */
void grd_scope_push_layer(grd_graph *graph, const char *name);
/* The first error of a graph; later ones are dropped. Returns an invalid var. */
grd_var grd_graph_fail(grd_graph *graph, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);

/* Runs a row's shape rule with its checks on the number and rank of outputs. `why` gets the rule's sentence. */
grd_status grd_infer_shapes(const grd_op *op, const void *attr, const grd_shape *in, int n_in, bool train, grd_infer *infer);

#endif
