/* What the passes work on: values, nodes and steps as plain data, ids instead of pointers.
 *
 *   lower    graph -> nodes with concrete shapes               lower.c
 *   fuse     rewrites nodes by named rules                     fuse.c
 *   autodiff nodes -> steps, forward and backward              autodiff.c
 *   layout   picks implementations, inserts reorders           assign.c
 *   recompute cheap values again in backward, if asked for     recompute.c
 *   memory   lifetimes -> offsets in one arena                 memory.c
 *   plan     ids -> slots; the immutable array that runs       plan.c, execute.c */
#ifndef GRD_PLAN_IR_H
#define GRD_PLAN_IR_H

#include "backend/backend.h"
#include "plan/model.h"

typedef enum grd_base { /* what a slot is relative to; inputs are GRD_BASE_INPUT + index */
    GRD_BASE_NONE, GRD_BASE_ARENA, GRD_BASE_PARAM, GRD_BASE_GRAD, GRD_BASE_STATE, GRD_BASE_OWN, GRD_BASE_INPUT,
    GRD_BASES = GRD_BASE_INPUT + GRD_MAX_INPUTS
} grd_base;

typedef struct ir_value {
    grd_shape shape;
    grd_kind kind;
    grd_layout layout;
    grd_base base;
    int64_t offset;      /* bytes from the base; of arena values set by the memory pass */
    size_t bytes;
    int alias;           /* a view: the value whose memory it is; -1 */
    int first, last;     /* steps; arena values only; -1: never */
    bool keep;           /* must outlive the run */
    int graph_value;     /* -1: made by a pass */
    int param;           /* of a parameter or state: its index */
    const char *name;
} ir_value;

typedef struct ir_node { /* one forward op */
    const grd_op *op;
    const void *attr;
    const char *path;
    int n_in, n_out;
    int in[GRD_MAX_IN], out[GRD_MAX_OUT];
    size_t save, scratch, scratch_back;
    double flops;
    bool train;          /* false also for a frozen norm in training */
    bool dead;           /* taken away by a pass */
    bool flat;           /* element-wise on another than the plain layout: runs on one flat dimension */
    grd_layout flat_layout;
    int save_value;      /* -1 */
    int forward_step;
} ir_node;

typedef enum ir_step_kind {
    IR_FORWARD, IR_BACKWARD,
    IR_VIEW,    /* no work: out[0] is in[0]'s memory */
    IR_SUM,     /* out[0] = in[0] + in[1] + ...; one input: a copy */
    IR_ZERO,    /* out[0] = 0 */
    IR_REORDER, /* out[0] = in[0] in another layout */
    IR_COMMIT   /* out[k] = in[k]: next state becomes state */
} ir_step_kind;

typedef struct ir_step {
    ir_step_kind kind;
    int node;                      /* FORWARD, BACKWARD, COMMIT; else -1 */
    const char *path;
    int n_in, n_out;
    int in[GRD_MAX_IN];            /* values; -1: not read */
    int out[GRD_MAX_OUT];
    int next_state[GRD_MAX_STATE]; /* -1 */
    int dout[GRD_MAX_OUT], din[GRD_MAX_IN];
    int save, scratch;             /* values; -1 */
    grd_impl impl;
    bool has_impl;                 /* to be dropped */
    bool again;                    /* an earlier forward step once more: that one owns the implementation */
    bool pack;                     /* a reorder of parameters that is redone only when they changed */
    grd_shape shape_in[GRD_MAX_IN], shape_out[GRD_MAX_OUT]; /* what the kernel is told */
    double flops;
    const char *refusals;          /* sentences of the backends that were asked before, or NULL */
} ir_step;

#define IR_MAX_KEPT (2 + 2 * GRD_MAX_KEEP)

typedef struct grd_ir {
    grd_model *model;
    grd_host *host;
    grd_arena arena;
    grd_compile_opts opts;
    const grd_shape *input_shape;
    bool train;
    struct { ir_value *item; int n, cap; } values;
    struct { ir_node *item; int n, cap; } nodes;
    struct { ir_step *item; int n, cap; } steps;
    int *of_graph;       /* graph value -> value, -1 */
    int *grad_of;        /* value (at autodiff time) -> its finished gradient, -1 */
    int n_grad_of;
    int one;             /* the scalar 1 that seeds the loss */
    int kept[IR_MAX_KEPT], n_kept; /* values read from outside: loss sum, weight, keep..., gradients; plain after the layout pass; -1 */
    size_t own_bytes;    /* memory of the plan itself: constants, packed weights */
    size_t arena_bytes, no_reuse_bytes, lower_bound, save_bytes;
    size_t plain_bytes;  /* of the arena if nothing were made again; 0: not asked for */
    int fused, reorders, again;
    grd_status status;
} grd_ir;

/* New entries; -1 and ir->status on refusal. */
int ir_add_value(grd_ir *ir, const grd_shape *shape, grd_kind kind, const char *name);
int ir_add_node(grd_ir *ir, const ir_node *node);
ir_step *ir_add_step(grd_ir *ir, ir_step_kind kind, const char *path); /* NULL on refusal; valid until the next one */
void ir_clear_step(ir_step *step, ir_step_kind kind, const char *path);
/* The value whose memory v is in. */
int ir_root(const grd_ir *ir, int v);
size_t ir_element(const grd_ir *ir, grd_kind kind);
grd_status ir_fail(grd_ir *ir, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);

grd_status ir_lower(grd_ir *ir);
grd_status ir_fuse(grd_ir *ir);
grd_status ir_autodiff(grd_ir *ir);
grd_status ir_assign(grd_ir *ir);
grd_status ir_recompute(grd_ir *ir);
grd_status ir_place(grd_ir *ir);

/* Concrete shapes, sizes and flops of a node from those of its inputs (lower.c; fuse.c for the rows it makes). Makes the outputs
 * if they are -1, else checks them. */
grd_status ir_shape_node(grd_ir *ir, ir_node *node);

typedef struct ir_rule { const char *name, *doc; bool (*apply)(grd_ir *ir, int node); } ir_rule;
extern const ir_rule grd_fuse_rules[]; /* ends with a NULL name */

#endif
