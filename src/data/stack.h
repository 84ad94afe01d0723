/* One field of a batch whose samples differ in shape: they are kept one behind the other until the largest is known, then laid
 * out side by side and filled up. */
#ifndef GRD_DATA_STACK_H
#define GRD_DATA_STACK_H

#include "base/host.h"

#include <gradus/data.h>

typedef struct grd_stack {
    grd_allocator mem;
    const grd_field *field;
    char *bytes;       /* samples as they came */
    size_t used, room;
    int64_t n, most;   /* samples in it, at most */
    size_t *offset;    /* [most] */
    grd_shape *shape;  /* [most] */
    char *out;         /* the batch */
    size_t out_room;
} grd_stack;

grd_status grd_stack_init(grd_stack *stack, grd_host *host, const grd_field *field, int64_t most);
void grd_stack_drop(grd_stack *stack, grd_host *host);
void grd_stack_clear(grd_stack *stack);
/* One more sample. GRD_ERR_MEMORY without a message. */
grd_status grd_stack_add(grd_stack *stack, const void *data, const grd_shape *shape);
/* The batch [n, largest shape...], varying dimensions rounded up to a multiple; valid until the next call. */
grd_status grd_stack_lay(grd_stack *stack, int64_t multiple, grd_shape *shape, void **data);

#endif
