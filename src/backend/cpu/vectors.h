/* Vectors of 16, 8 and 1 lanes for *_kernels.c, which may lie anywhere and alias anything. On narrower machines the compiler takes
 * several registers for one. Not for parameters or results of functions: how those are passed depends on the instruction set. */
#ifndef GRD_BACKEND_CPU_VECTORS_H
#define GRD_BACKEND_CPU_VECTORS_H

#include "backend/cpu/kernels.h"

typedef float grd_v16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t grd_i16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t grd_b16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef float grd_v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t grd_i8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint8_t grd_b8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef float grd_v1 __attribute__((vector_size(4), may_alias));
typedef int32_t grd_i1 __attribute__((vector_size(4), may_alias));
typedef uint8_t grd_b1 __attribute__((vector_size(1), may_alias));

#endif
