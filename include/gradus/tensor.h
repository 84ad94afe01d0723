/* Gradus, chapter "simple": element types and shapes. */
#ifndef GRADUS_TENSOR_H
#define GRADUS_TENSOR_H

#include <gradus/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum grd_dtype { GRD_F32, GRD_F64, GRD_I32, GRD_I64, GRD_U8 } grd_dtype;

#define GRD_MAX_RANK 6

/* Sizes are in elements, row-major, the last dimension fastest. rank 0 is a scalar. In a graph that is being built a
 * dimension may be one of the symbols below; in a compiled plan all are >= 0. */
typedef struct grd_shape {
    int rank;
    int64_t dim[GRD_MAX_RANK];
} grd_shape;

#define GRD_VARIES (-1)   /* the batch size, printed N */
#define GRD_VARIES_T (-2) /* a length that changes from batch to batch, printed T */
#define GRD_VARIES_OTHER (-3) /* derived from the two above, printed ? */

GRD_API size_t grd_dtype_size(grd_dtype dtype);       /* bytes */
GRD_API const char *grd_dtype_name(grd_dtype dtype);  /* "f32" */
GRD_API int64_t grd_count(const grd_shape *shape);    /* product of the dimensions; 1 for a scalar */
GRD_API bool grd_shape_equal(const grd_shape *a, const grd_shape *b);
/* "[N,3,32,32]" into text; returns text. 64 bytes always hold it up to 10-digit dimensions. */
GRD_API char *grd_shape_text(const grd_shape *shape, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
