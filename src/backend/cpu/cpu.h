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

#endif
