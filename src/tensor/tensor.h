/* Shapes, internal part. */
#ifndef GRD_TENSOR_TENSOR_H
#define GRD_TENSOR_TENSOR_H

#include <gradus/tensor.h>

grd_shape grd_shape_of(int rank, const int64_t *dim);
static inline size_t grd_align_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

#endif
