/* A plan: an immutable array of steps whose arguments are slots (base + offset). Running binds the bases and calls. */
#ifndef GRD_PLAN_PLAN_H
#define GRD_PLAN_PLAN_H

#include "plan/ir.h"

typedef struct plan_slot {
    uint8_t base;   /* grd_base */
    int64_t offset; /* bytes */
} plan_slot;

typedef struct plan_step {
    const ir_step *ir;             /* names, shapes, implementation */
    grd_args args;                 /* pointers as of the last binding */
    plan_slot in[GRD_MAX_IN], out[GRD_MAX_OUT], next_state[GRD_MAX_STATE], save, scratch, dout[GRD_MAX_OUT], din[GRD_MAX_IN];
    uint64_t packed;               /* version of the parameters + 1 when last run, for pack steps; and from which arena */
    const void *packed_from;
    double seconds;                /* profile */
    int64_t runs;
} plan_step;

struct grd_plan {
    grd_model *model;
    grd_ir ir;                     /* kept: it is what printing and debugging show */
    grd_shape input_shape[GRD_MAX_INPUTS];
    bool reaches[GRD_MAX_INPUTS];  /* inputs that are read */
    plan_step *step;
    int n_steps;
    void *own;                     /* constants and packed weights */
    const void *bound[GRD_BASES];
    double check_error;
    const char *check_step;
    grd_compile_opts opts;
};

grd_status grd_plan_check_backend(const grd_model *model); /* its name is known */
grd_status grd_plan_compile(grd_model *model, const grd_compile_opts *opts, const grd_shape *input_shape, grd_plan **plan);
void grd_plan_free(grd_plan *plan);
bool grd_plan_matches(const grd_plan *plan, const grd_compile_opts *opts, const grd_shape *input_shape);

/* debug.c */
grd_status grd_debug_check(grd_plan *plan, plan_step *step);  /* again by the reference kernels, and compare */
grd_status grd_debug_nan(grd_plan *plan, const plan_step *step);
void grd_debug_trace(grd_plan *plan, const plan_step *step);
const char *grd_step_kind_name(const ir_step *step); /* "again" of one that recomputes */
/* print.c: "onednn gemm:avx512" */
void grd_step_implementation(const ir_step *step, char *text, size_t size);

/* What `memory: low` is worth in a plan that was compiled with it. */
void grd_plan_print_again(const grd_plan *plan, FILE *out);

/* profile.c */
double grd_step_moved_bytes(const grd_plan *plan, const ir_step *step); /* at least, see grd_plan_roofline */
double grd_roofline(const grd_machine *machine, double flops, double bytes); /* seconds */
/* Work beside the plan's steps, a line of its own in a profile. */
typedef struct grd_profile_line { const char *name; double seconds, flops, moved_bytes; } grd_profile_line;
/* machine NULL: without a comparison to its limits. after.name NULL: none. */
void grd_profile_print(const grd_plan *plan, const grd_machine *machine, grd_profile_line after, FILE *out);
/* Bytes of a value of the plan's arena or elsewhere, as a pointer of the last binding. */
void *grd_plan_pointer(const grd_plan *plan, int value);

#endif
