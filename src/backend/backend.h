/* A backend runs steps. It is asked once, when a plan compiles (`prepare`: decides, allocates, may refuse with a sentence),
 * and then only runs (`run`: decides nothing, allocates nothing). It may be faster than the reference, never different
 * beyond its stated bound. Acceptance is a rule on op, shapes and CPU, the same in every run. */
#ifndef GRD_BACKEND_BACKEND_H
#define GRD_BACKEND_BACKEND_H

#include "base/host.h"
#include "plan/layout.h"

#include <gradus/op.h>

typedef enum grd_pass { GRD_FORWARD, GRD_BACKWARD, GRD_REORDER } grd_pass;

typedef struct grd_backend grd_backend;
typedef struct grd_impl grd_impl;

/* What `prepare` sees of a step. */
typedef struct grd_node {
    const grd_op *op;              /* NULL for a reorder */
    const void *attr;              /* resolved options */
    const char *path;
    grd_dtype dtype;               /* GRD_F32 or GRD_F64 */
    bool train;
    int n_in, n_out;
    const grd_shape *in_shape, *out_shape;
    unsigned want_din;             /* BACKWARD: bit i = gradient of input i is wanted */
    unsigned have_dout;            /* BACKWARD: bit k = output k has a gradient */
    const grd_layout *in_layout;   /* how the inputs lie now: a hint, n_in of them */
    const grd_layout *out_layout;  /* BACKWARD: how the outputs lie */
    const grd_layout *dout_layout; /* BACKWARD: how their gradients lie now: a hint */
    const grd_impl *forward;       /* BACKWARD: what ran forward */
    const grd_layout *from, *to;   /* REORDER */
} grd_node;

/* What `prepare` fills. Preset: all layouts plain, save and scratch as the row's shape rule says. */
struct grd_impl {
    const grd_backend *backend;
    char name[48];                 /* "jit:avx512_core", printed after the backend's name */
    void *state;                   /* the backend's own */
    bool owns_state;               /* cpu: drop frees state, else it is a constant */
    grd_layout in[GRD_MAX_IN], out[GRD_MAX_OUT], dout[GRD_MAX_OUT], din[GRD_MAX_IN]; /* wanted and given */
    size_t save, scratch;          /* bytes */
    bool private_save;             /* save is not as the row defines it: this backend must accept the backward too */
    bool no_inplace;               /* even if the row allows it */
    double bound;                  /* largest error against double, as the row's bound_f32; 0 = the row's */
    int threads;                   /* preset: the plan's; passed on in grd_args.threads */
    void (*run)(const grd_impl *impl, const grd_args *args); /* preset: the backend's run */
};

typedef struct grd_env {           /* what a plan compiles for */
    grd_host *host;
    int threads;
    bool exact_conv;               /* no convolution by Winograd */
} grd_env;

struct grd_backend {
    const char *name;
    /* NULL = accepted; else the reason, a static string or one in env->host's message. */
    const char *(*prepare)(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env);
    void (*run)(const grd_impl *impl, const grd_args *args); /* a reorder: in[0] -> out[0] */
    void (*drop)(grd_impl *impl, grd_host *host);
};

/* In order of preference, NULL at the end: cpu, onednn (if built in), ref, which accepts every row. */
extern const grd_backend *const grd_backends[];
extern const grd_backend grd_backend_cpu, grd_backend_onednn, grd_backend_ref;

/* The instruction set in use: "base", "avx2" or "avx512"; capped by DNNL_MAX_CPU_ISA. */
const char *grd_isa_name(void);
int grd_isa_level(void); /* 0 base, 1 avx2, 2 avx512 */

#endif
