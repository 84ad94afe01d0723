/* Shapes, internal part. */
#ifndef GRD_TENSOR_TENSOR_H
#define GRD_TENSOR_TENSOR_H

#include <gradus/tensor.h>

grd_shape grd_shape_of(int rank, const int64_t *dim);

#endif
