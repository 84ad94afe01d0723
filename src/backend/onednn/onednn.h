/* The backend `onednn`, inside: what a file for a family of ops offers to the dispatch. */
#ifndef GRD_BACKEND_ONEDNN_ONEDNN_H
#define GRD_BACKEND_ONEDNN_ONEDNN_H

#include "backend/backend.h"

#define GRD_PREPARE(name) const char *name(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)

GRD_PREPARE(grd_onednn_linear);  /* linear, linear_act */
GRD_PREPARE(grd_onednn_matmul);
GRD_PREPARE(grd_onednn_conv2d);  /* conv2d, conv2d_act, conv_transpose2d */
GRD_PREPARE(grd_onednn_lstm);
GRD_PREPARE(grd_onednn_gru);
GRD_PREPARE(grd_onednn_reorder);

/* What every state begins with: how to release it. */
typedef struct grd_onednn_state {
    void (*drop)(grd_impl *impl, grd_host *host);
} grd_onednn_state;

#endif
