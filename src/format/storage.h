/* PyTorch's storages: the element types a .pth file can hold, and views of them as row-major tensors. */
#ifndef GRD_FORMAT_STORAGE_H
#define GRD_FORMAT_STORAGE_H

#include "format/value.h"

typedef struct grd_storage_type {
    const char *class_name;  /* in module torch: "FloatStorage" */
    const char *stored;      /* PyTorch's name of the element type: "float32" */
    size_t size;             /* of an element in the file */
    grd_dtype dtype;         /* in memory */
    void (*convert)(void *out, const uint8_t *in, size_t n); /* NULL: the bytes are what they are in memory */
} grd_storage_type;

const grd_storage_type *grd_storage_type_named(const char *class_name, size_t size); /* NULL if unknown */
const grd_storage_type *grd_storage_type_of(grd_dtype dtype);                        /* what such a tensor is written as */

/* Which elements of a storage a tensor has: offset + sum of index * stride, all in elements and >= 0. */
typedef struct grd_strided {
    grd_shape shape;
    int64_t stride[GRD_MAX_RANK];
    int64_t offset;
} grd_strided;

/* The number of elements a storage must have, or -1 if a number of this kind cannot be right (overflow, negative). */
int64_t grd_strided_reach(const grd_strided *view);
bool grd_strided_plain(const grd_strided *view); /* row-major without gaps */
/* Elements of the view as row-major memory of the type's dtype. The view must lie inside `data`. */
void grd_strided_gather(const grd_strided *view, const grd_storage_type *type, const uint8_t *data, void *out);

#endif
