/* The backend `cpu`, inside: what a file for a family of ops offers to the dispatch. */
#ifndef GRD_BACKEND_CPU_ROWS_H
#define GRD_BACKEND_CPU_ROWS_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"

#include <gradus/ops.h>

/* NULL = accepted, with impl->run; else the reason. A state of its own is from GRD_NEW, with impl->owns_state. */
#define GRD_CPU_PREPARE(name) const char *name(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)

GRD_CPU_PREPARE(grd_cpu_unary);         /* any element-wise op of one input that has a kernel */
GRD_CPU_PREPARE(grd_cpu_binary);        /* add, sub, mul */
GRD_CPU_PREPARE(grd_cpu_batchnorm);     /* batchnorm, batchnorm_relu, batchnorm_add_relu */
GRD_CPU_PREPARE(grd_cpu_pool);          /* maxpool2d, avgpool2d, adaptive_avgpool2d */
GRD_CPU_PREPARE(grd_cpu_upsample);
GRD_CPU_PREPARE(grd_cpu_concat);
GRD_CPU_PREPARE(grd_cpu_winograd);      /* conv2d, conv2d_act */
GRD_CPU_PREPARE(grd_cpu_upconv);        /* conv_transpose2d, 2x2 at stride 2 */
GRD_CPU_PREPARE(grd_cpu_layernorm);
GRD_CPU_PREPARE(grd_cpu_attention);     /* attention, attention_qkv */
GRD_CPU_PREPARE(grd_cpu_softmax);       /* softmax, log_softmax */
GRD_CPU_PREPARE(grd_cpu_cross_entropy);
GRD_CPU_PREPARE(grd_cpu_embedding);

/* Why a convolution does not go by Winograd on that instruction set (grd_isa_level); NULL: it does. */
const char *grd_cpu_winograd_reason(const grd_node *node, int level);
#define GRD_WINOGRAD_BOUND 1e-4 /* error against double, as grd_op.bound_f32 */

/* The functions a step runs with; all their state is in the arguments. */
static inline const char *grd_cpu_accept(grd_impl *impl, grd_pass pass, void (*forward)(const grd_impl *, const grd_args *),
                                         void (*backward)(const grd_impl *, const grd_args *))
{
    impl->run = pass == GRD_FORWARD ? forward : backward;
    impl->state = (void *)(uintptr_t)grd_cpu();
    return NULL;
}

/* Into how many pieces work of n units is cut, for as many partial results; a piece has at least `grain`. */
static inline int64_t grd_cpu_pieces(int threads, int64_t n, int64_t grain)
{
    const int64_t most = n / grain;
    return most < 1 ? 1 : most < threads ? most : threads;
}

#endif
