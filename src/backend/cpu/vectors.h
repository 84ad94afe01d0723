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

/* The widest that the instruction set at hand has registers for (8 lanes at least): in memory, and as a value. */
#ifdef GRD_ISA_avx512
enum { GRD_WIDEST = 16 };
typedef grd_v16 grd_vn;
#else
enum { GRD_WIDEST = 8 };
typedef grd_v8 grd_vn;
#endif
typedef float grd_wide __attribute__((vector_size(4 * GRD_WIDEST)));
typedef int32_t grd_iwide __attribute__((vector_size(4 * GRD_WIDEST)));

#endif
