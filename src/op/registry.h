/* All rows by name. Public ones come from the table in gradus/ops.h, internal ones (made by fusion only) from the table
 * below, users' from the context. */
#ifndef GRD_OP_REGISTRY_H
#define GRD_OP_REGISTRY_H

#include <gradus/op.h>
#include <gradus/ops.h>

/* X(name): rows that only the fuse pass makes (op/rows/fused.c). */
#define GRD_INTERNAL_OPS(X) X(linear_act) X(conv2d_act) X(add_relu) X(batchnorm_relu) X(batchnorm_add_relu)

/* Checks what a row says of itself: options, samples, doc, backward or GRD_NO_GRAD. A sentence into why. */
grd_status grd_op_validate(const grd_op *op, char *why, size_t size);

#endif
