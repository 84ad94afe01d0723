/* The optimizer step in one pass over the flat arenas, for float and double. */
#include "backend/cpu/kernels.h"

#include <math.h>

#define SQRT_DOUBLE(x) sqrt(x)

#define T float
#define NAME(x) x##_f32
#define SQRT(x) sqrtf(x)
#define GRD_KERNEL_T(x) GRD_KERNEL(x##_f32)
#include "backend/cpu/step_template.h"
#undef T
#undef NAME
#undef SQRT
#undef GRD_KERNEL_T

#define T double
#define NAME(x) x##_f64
#define SQRT(x) sqrt(x)
#define GRD_KERNEL_T(x) GRD_KERNEL(x##_f64)
#include "backend/cpu/step_template.h"
