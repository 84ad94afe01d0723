/* Gradus, chapter "advanced": the op row. One struct says all there is to say about an op. CONTRIBUTING.md shows how to
 * add one. An op's file is compiled twice, with grd_real as float and (GRD_REAL_IS_DOUBLE) as double. */
#ifndef GRADUS_OP_H
#define GRADUS_OP_H

#include <gradus/base.h>
#include <gradus/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef GRD_REAL_IS_DOUBLE
typedef double grd_real;
#else
typedef float grd_real;
#endif

#define GRD_MAX_IN 16
#define GRD_MAX_OUT 4
#define GRD_MAX_STATE 3

typedef enum grd_kind {
    GRD_KIND_REAL = 0, /* float or double, as the graph */
    GRD_KIND_INDEX,    /* int32_t */
    GRD_KIND_STATE     /* real, not trained, kept from step to step (running statistics) */
} grd_kind;

/* What a kernel sees: no graph, no plan, no context. All buffers are plain row-major unless an implementation asked for
 * another layout; none overlap except where the row says so. */
typedef struct grd_args {
    const void *attr;               /* the row's own options struct, resolved; NULL if the row has none */
    int n_in, n_out;
    const grd_shape *in_shape, *out_shape;
    const void *in[GRD_MAX_IN];
    grd_real *out[GRD_MAX_OUT];
    grd_real *next_state[GRD_MAX_STATE]; /* one per input of kind state, in order; NULL when not training */
    void *save;                     /* forward leaves it for backward; NULL in a plan without backward */
    void *scratch;                  /* contents undefined at entry */
    const grd_real *dout[GRD_MAX_OUT]; /* NULL: that output has no gradient (treat as zero) */
    grd_real *din[GRD_MAX_IN];      /* backward WRITES it; NULL = not wanted */
    grd_key key;                    /* of a random row */
    bool train;
    int threads;                    /* reference kernels are serial and ignore it */
} grd_args;

/* What a shape rule sees and fills. Sizes are bytes. */
typedef struct grd_infer {
    const void *attr;
    int n_in;
    const grd_shape *in;            /* all dimensions >= 1 */
    bool train;
    grd_shape out[GRD_MAX_OUT];     /* n_out of them, to be set */
    size_t save, scratch, scratch_back;
    double flops;                   /* of forward; 0 = one per output element. Each wanted gradient counts the same again */
    char why[200];                  /* set by grd_refuse */
} grd_infer;

/* Sets the reason and returns GRD_ERR_SHAPE: `return grd_refuse(f, "kernel %d is larger than ...", k);` */
GRD_API grd_status grd_refuse(grd_infer *infer, const char *format, ...) GRD_PRINTF(2, 3);

/* A sample the tests, the gradient check and `gradus bench` run the row on.
 *   in: one word per input, "x[2,3,8,8] w[4,3,3,3]"; the name is free. Reals are spread evenly over lo..hi in random
 *   order, so that all values differ; another range may follow, "x[2,3]:0.1..0.9" (reals) or "y[4]:0..9" (indices, inclusive;
 *   indices without a range are 0..1). */
typedef struct grd_op_sample {
    const char *attr;  /* "kernel=3 pad=1", NULL for defaults */
    const char *in;
} grd_op_sample;

enum {
    GRD_BWD_SAVE = 1u << 0,      /* backward reads save */
    GRD_INPLACE = 1u << 1,       /* forward: out[0] may be in[0]'s buffer (same shape); the same bits come out */
    GRD_INPLACE_BWD = 1u << 2,   /* backward: din[0] may be dout[0]'s buffer */
    GRD_RANDOM = 1u << 3,        /* reads key (in training) */
    GRD_NO_GRAD = 1u << 4,       /* has no backward, on purpose */
    GRD_ELEMENTWISE = 1u << 5,   /* out[0][i] depends on in[k][i] only, all shapes equal (after the shape rule) */
    GRD_ZERO_AT_ZERO = 1u << 6,  /* f(0) = 0: may run over zero padding */
    GRD_VIEW = 1u << 7,          /* out[0] is in[0] in another shape: costs no step */
    GRD_LOSS = 1u << 8,          /* two scalar outputs: sum, weight. Only the sum has a gradient */
    GRD_INTERNAL = 1u << 9,      /* made by fusion only, not offered to users */
    GRD_EVAL_IDENTITY = 1u << 10, /* in evaluation out[0] = in[0] (dropout) */
    GRD_CHEAP = 1u << 11         /* forward costs little more than reading and writing: may run again in backward (low_memory);
                                    element-wise rows always may */
};

#define GRD_ALL 0xffffffffu

typedef struct grd_op {
    const char *name;
    const char *doc;             /* Markdown-free text, lines by \n: what; "y = ..." formula; "dx = ..." gradient in matrix
                                    form; limits; source */
    int n_in, n_out;             /* n_in -1: any number from 1 to GRD_MAX_IN */
    int n_in_min;                /* 0: exactly n_in; else the last n_in - n_in_min inputs may be left out */
    const char *in_names;        /* "x w b": for messages and documentation; NULL = "x" */
    const grd_kind *in_kind;     /* n_in of them; NULL = all real */
    unsigned flags;
    uint32_t bwd_in, bwd_out;    /* bit i: backward reads in[i] / out[i] */
    const grd_option *options;   /* ends with GRD_END; NULL = none */
    size_t options_size;
    grd_status (*shape)(grd_infer *infer);
    void (*forward)(const grd_args *args);
    void (*backward)(const grd_args *args);
    const grd_op_sample *samples;
    int n_samples;
    double bound_f32;            /* largest error of a float kernel of any backend against double on the samples, as
                                    max|a-b| / (max|b| + 1e-6) per tensor; 0 = 1e-5 */
} grd_op;

#define GRD_GRADCHECK_BOUND 1e-7 /* largest relative error of a gradient against differences */

/* Adds a user's op. f64 may be NULL (no double graphs, no gradient check then). Rows must outlive the context. */
GRD_API grd_status grd_op_register(grd_ctx *ctx, const grd_op *f32, const grd_op *f64);
/* The row with that name, or NULL. dtype GRD_F32 or GRD_F64. Internal rows are found too. */
GRD_API const grd_op *grd_op_find(const grd_ctx *ctx, const char *name, grd_dtype dtype);
/* Row i of all, public ones first, then internal, then registered; NULL past the end. */
GRD_API const grd_op *grd_op_at(const grd_ctx *ctx, int i, grd_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
