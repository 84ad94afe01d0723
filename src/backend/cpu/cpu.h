/* The backend `cpu`, inside: what a file for a family of ops offers to the dispatch. */
#ifndef GRD_BACKEND_CPU_CPU_H
#define GRD_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

#include <gradus/ops.h>

/* NULL = accepted, with impl->state from grd_alloc (released by the backend) and impl->run; else the reason. */
#define GRD_CPU_PREPARE(name) const char *name(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)

GRD_CPU_PREPARE(grd_cpu_batchnorm); /* batchnorm, batchnorm_relu, batchnorm_add_relu */
GRD_CPU_PREPARE(grd_cpu_pool);      /* maxpool2d, avgpool2d, adaptive_avgpool2d */
GRD_CPU_PREPARE(grd_cpu_concat);
GRD_CPU_PREPARE(grd_cpu_winograd);  /* conv2d, conv2d_act */

/* Why a convolution does not go by Winograd on that instruction set (grd_isa_level); NULL: it does. */
const char *grd_cpu_winograd_reason(const grd_node *node, int level);
#define GRD_WINOGRAD_BOUND 1e-4 /* error against double, as grd_op.bound_f32 */

#endif
