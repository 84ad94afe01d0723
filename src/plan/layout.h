/* How a value lies in memory: plain row-major, or strided with inner blocks (nChw16c and its like), or as only its backend
 * knows. Blocked padding is always zero. */
#ifndef GRD_PLAN_LAYOUT_H
#define GRD_PLAN_LAYOUT_H

#include <gradus/tensor.h>

#define GRD_MAX_INNER 4

typedef enum grd_layout_kind { GRD_LAYOUT_PLAIN = 0, GRD_LAYOUT_BLOCKED, GRD_LAYOUT_OPAQUE } grd_layout_kind;

typedef struct grd_layout {
    grd_layout_kind kind;
    int n_inner;
    int inner_dim[GRD_MAX_INNER], inner_size[GRD_MAX_INNER]; /* outermost first */
    int64_t stride[GRD_MAX_RANK];  /* elements, of the dimensions divided by their blocks */
    int64_t padded[GRD_MAX_RANK];  /* dimensions rounded up to their blocks */
    size_t bytes;                  /* 0 for plain: follows from the shape */
    uint64_t opaque;               /* kind OPAQUE: equal numbers are equal layouts */
    char name[24];                 /* "nChw16c" or what the backend calls it */
} grd_layout;

bool grd_layout_equal(const grd_layout *a, const grd_layout *b);
/* Bytes a value takes. */
size_t grd_layout_bytes(const grd_layout *layout, const grd_shape *shape, size_t element);
bool grd_layout_has_padding(const grd_layout *layout, const grd_shape *shape);
/* Offset in elements of a logical index; plain and blocked only. */
int64_t grd_layout_offset(const grd_layout *layout, const grd_shape *shape, const int64_t *index);
/* Copies between two layouts of one shape (plain or blocked), padding set to zero: the definition every backend's reorder must
 * agree with. */
void grd_layout_copy(const grd_layout *from, const void *src, const grd_layout *to, void *dst, const grd_shape *shape, size_t element);

#endif
