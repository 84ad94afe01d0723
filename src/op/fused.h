/* Options of the rows that only fusion makes: shared by the rows, the fuse pass and the backends. Values are resolved ones. */
#ifndef GRD_OP_FUSED_H
#define GRD_OP_FUSED_H

#include <gradus/ops.h>

enum { GRD_ACT_NONE, GRD_ACT_RELU, GRD_ACT_SIGMOID, GRD_ACT_TANH, GRD_ACT_LEAKY_RELU };
#define GRD_ACT_CHOICES "none|relu|sigmoid|tanh|leaky_relu"

typedef struct grd_linear_act_opts {
    int act;
    double slope; /* of leaky_relu */
} grd_linear_act_opts;

typedef struct grd_conv2d_act_opts {
    grd_f_conv2d_opts conv;
    int act;
    double slope;
} grd_conv2d_act_opts;

#endif
