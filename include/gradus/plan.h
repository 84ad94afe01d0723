/* Gradus, chapter "advanced": models (parameter values of a graph), plans (a graph compiled for one set of input shapes),
 * running them, and what can be seen of them. The trainer uses nothing else. */
#ifndef GRADUS_PLAN_H
#define GRADUS_PLAN_H

#include <gradus/graph.h>
#include <gradus/op.h>

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRD_MAX_INPUTS 16
#define GRD_MAX_KEEP 16

/* ---- model: values of parameters and state, in one arena each, in registration order --------- */

typedef struct grd_model grd_model;

typedef struct grd_model_opts {
    grd_dtype dtype;    /* GRD_F32 (0) or GRD_F64 */
    int threads;        /* 0 = the context's */
    const char *backend;/* NULL = the context's; "auto", "ref", "onednn", "cpu" */
    uint64_t seed;      /* 0 = the context's */
    const char *no_fuse;/* names of fusion rules to leave out, comma-separated; "all" */
    bool exact_conv;    /* convolutions by their definition only, none by Winograd (faster, errors up to 1e-4 of the largest value) */
    bool low_memory;    /* cheap values are made again in backward, not kept from forward, where that lowers the peak: the same bits */
} grd_model_opts;

/* Takes the graph's parameters and states as they are now (the graph must be complete) and sets initial values. */
GRD_API grd_status grd_model_new(grd_graph *graph, const grd_model_opts *opts, grd_model **model);
GRD_API void grd_model_free(grd_model *model);
GRD_API grd_graph *grd_model_graph(const grd_model *model);

typedef struct grd_tensor {  /* one parameter or state of a model; pointers stay valid as long as the model */
    const char *name;        /* "encoder.1.weight" */
    grd_shape shape;
    grd_dtype dtype;
    bool is_state, counter;
    bool trainable;
    void *data;              /* after writing through it call grd_model_touch */
    void *grad;              /* NULL for states */
    int64_t offset;          /* in elements, in the parameter (or state) arena */
} grd_tensor;

GRD_API int grd_model_count(const grd_model *model); /* parameters, then states */
GRD_API grd_tensor grd_model_tensor(const grd_model *model, int i);
GRD_API int grd_model_find(const grd_model *model, const char *name); /* index or -1 */
GRD_API int64_t grd_model_params(const grd_model *model); /* number of trained scalars, frozen ones included */
/* The whole arenas; aligned to 64 bytes. Parameters are packed without gaps but each starts at a multiple of 16 elements:
 * gaps hold zeros in every arena. *elements is the arena's length, gaps included. */
GRD_API void *grd_model_arena(grd_model *model, int64_t *elements);
GRD_API void *grd_model_grad_arena(grd_model *model);
GRD_API void *grd_model_state_arena(grd_model *model, int64_t *elements);
/* Parameters whose path starts with `prefix` ("encoder" matches "encoder.1.weight", not "encoder2.weight"; "" matches
 * all). A batch norm whose weight is frozen runs in eval mode. Drops cached plans. Returns how many matched. */
GRD_API int grd_model_freeze(grd_model *model, const char *prefix, bool frozen);
GRD_API void grd_model_touch(grd_model *model); /* values were changed from outside */

/* ---- plan ---------------------------------------------------------------------------------- */

typedef struct grd_plan grd_plan;

enum {
    GRD_PLAN_NO_FUSE = 1, GRD_PLAN_NO_REUSE = 2, GRD_PLAN_NO_INPLACE = 4,
    GRD_PLAN_CHECK = 8,   /* every step also by the reference kernels and compared; a run fails at the first that is off by more than ten
                           * times its bound (rows state it for small samples). Implies NO_REUSE and NO_INPLACE */
    GRD_PLAN_NAN = 16,    /* stop at the first NaN or infinity */
    GRD_PLAN_PROFILE = 32,
    GRD_PLAN_TRACE = 64,  /* log each step's name, shapes and output range */
    GRD_PLAN_LOW_MEMORY = 128 /* as the model's low_memory, for this plan */
};

typedef struct grd_compile_opts {
    bool train;                  /* dropout drops, batch norm uses the batch */
    grd_var loss;                /* with `backward`: gradients of its sum are computed */
    bool backward;
    grd_var keep[GRD_MAX_KEEP];  /* values to be readable after a run (loss outputs always are) */
    int n_keep;
    grd_var want_grad[GRD_MAX_KEEP]; /* gradients of values (inputs too) to be readable */
    int n_want_grad;
    unsigned flags;              /* GRD_PLAN_* */
} grd_compile_opts;

/* Compiles, or finds in the model's cache, the plan for these options and input shapes. input_shape[i] belongs to the
 * graph's i-th input (grd_model_input_name); shapes of inputs that the plan does not reach are not read.
 * The plan belongs to the model. */
GRD_API grd_status grd_model_plan(grd_model *model, const grd_compile_opts *opts, const grd_shape *input_shape, grd_plan **plan);
GRD_API int grd_model_inputs(const grd_model *model);
GRD_API const char *grd_model_input_name(const grd_model *model, int i);
GRD_API grd_var grd_model_input(const grd_model *model, int i);

typedef struct grd_run {
    const void *input[GRD_MAX_INPUTS]; /* by input index: real (the model's dtype) or int32_t; 64-byte aligned is best */
    uint64_t step, row;   /* of random ops: optimizer step (or any counter), first row in the global batch */
    bool accumulate;      /* add to the gradients that are there instead of overwriting them */
    const void *params;   /* another parameter arena of the same layout (EMA); NULL = the model's. After writing to it: grd_model_touch */
    bool no_commit;       /* leave running statistics as they are */
} grd_run;

GRD_API grd_status grd_plan_run(grd_plan *plan, const grd_run *run);
/* A kept value after a run: plain row-major, valid until the next run of any plan of this model. NULL if not kept. */
GRD_API const void *grd_plan_value(const grd_plan *plan, grd_var v, grd_shape *shape);
GRD_API const void *grd_plan_grad(const grd_plan *plan, grd_var v, grd_shape *shape);
/* The loss sum and weight of the last run (of plan's opts.loss). */
GRD_API void grd_plan_loss(const grd_plan *plan, double *sum, double *weight);

typedef struct grd_plan_info {
    int steps, reorders, fused;
    size_t arena_bytes, save_bytes, param_bytes, grad_bytes, state_bytes, no_reuse_bytes, lower_bound_bytes;
    double flops;            /* of one run, forward and backward: multiplications and additions as the formulas have them */
    double moved_bytes;      /* of one run: what each step must read and write at least, see grd_plan_roofline */
    int again;               /* low_memory: steps that make a value again; their share of flops and moved_bytes; arena_bytes without them */
    double again_flops, again_moved_bytes;
    size_t plain_arena_bytes;
} grd_plan_info;

GRD_API grd_plan_info grd_plan_describe(const grd_plan *plan);
/* Steps as a table: name, op, pass, implementation, layouts, shapes, memory, FLOPs; refusals as sentences below it. */
GRD_API void grd_plan_print(const grd_plan *plan, FILE *out);
/* Layers as a table: path, op, output shape, parameters, FLOPs forward. */
GRD_API void grd_graph_print(const grd_model *model, const grd_plan *plan, FILE *out);
/* With GRD_PLAN_PROFILE: time, share, GFLOP/s per step, since compile. */
GRD_API void grd_plan_profile(const grd_plan *plan, FILE *out);

/* What the machine can do at most, measured. */
typedef struct grd_machine {
    int threads;
    const char *isa;      /* "base", "avx2" or "avx512": the set in use, as DNNL_MAX_CPU_ISA caps it */
    double fma_peak;      /* float FLOP/s: independent multiply-adds in registers */
    double stream;        /* bytes/s of a[i] = b[i] + k c[i] on more memory than the last cache holds; 3 values an element */
} grd_machine;

/* Takes about 0.3 s, and for that time four times the last cache in memory (64 to 512 MiB). */
GRD_API grd_status grd_machine_measure(grd_ctx *ctx, int threads, grd_machine *machine);
/* Seconds that one run of the plan would take at the machine's limits: for each step the larger of its direct FLOPs at fma_peak and the
 * bytes that it must move at stream, summed. A step must read each of its inputs and write each of its outputs once; save, scratch and
 * reorders are an implementation's choice and not counted. No bound for what stays in cache from step to step, nor for algorithms
 * with fewer FLOPs than the direct one. */
GRD_API double grd_plan_roofline(const grd_plan *plan, const grd_machine *machine);
/* With GRD_PLAN_CHECK: largest error max|a-b| / (max|b| + 1e-6) over all steps so far, and which step had it. A step whose
 * implementation states a bound of its own (Winograd) counts in proportion: at that bound as another at its row's. */
GRD_API double grd_plan_check_error(const grd_plan *plan, const char **step);

/* ---- gradient checks ------------------------------------------------------------------------ */

typedef struct grd_gradcheck_result {
    const char *name;      /* of the row, or of the parameter; valid as long as ctx or model */
    double max_rel_error;  /* max|a-n| / (max|a| + max|n| + 1e-12) */
    bool pass;             /* <= GRD_GRADCHECK_BOUND */
} grd_gradcheck_result;

/* The gradients of one row on all its samples, in double. */
GRD_API grd_status grd_gradcheck_op(grd_ctx *ctx, const char *op, grd_gradcheck_result *result);
/* All parameters of a double model for one batch: at most `per_param` elements of each are moved, picked by seed.
 * results: grd_model_count(model) entries are enough; *n tells how many were filled. */
GRD_API grd_status grd_gradcheck_model(grd_model *model, grd_var loss, const grd_shape *input_shape, const grd_run *run,
                                       int per_param, grd_gradcheck_result *results, int *n);

#ifdef __cplusplus
}
#endif
#endif
