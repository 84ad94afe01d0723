#include "plan/layout.h"

#include <string.h>

bool grd_layout_equal(const grd_layout *a, const grd_layout *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == GRD_LAYOUT_PLAIN)
        return true;
    if (a->kind == GRD_LAYOUT_OPAQUE)
        return a->opaque == b->opaque && a->bytes == b->bytes;
    if (a->n_inner != b->n_inner || a->bytes != b->bytes)
        return false;
    for (int k = 0; k < a->n_inner; k++)
        if (a->inner_dim[k] != b->inner_dim[k] || a->inner_size[k] != b->inner_size[k])
            return false;
    return memcmp(a->stride, b->stride, sizeof a->stride) == 0 && memcmp(a->padded, b->padded, sizeof a->padded) == 0;
}

size_t grd_layout_bytes(const grd_layout *layout, const grd_shape *shape, size_t element)
{
    return layout->kind == GRD_LAYOUT_PLAIN ? (size_t)grd_count(shape) * element : layout->bytes;
}

bool grd_layout_has_padding(const grd_layout *layout, const grd_shape *shape)
{
    if (layout->kind == GRD_LAYOUT_OPAQUE)
        return true;
    for (int i = 0; layout->kind == GRD_LAYOUT_BLOCKED && i < shape->rank; i++)
        if (layout->padded[i] != shape->dim[i])
            return true;
    return false;
}

int64_t grd_layout_offset(const grd_layout *layout, const grd_shape *shape, const int64_t *index)
{
    int64_t offset = 0;
    if (layout->kind == GRD_LAYOUT_PLAIN) {
        for (int i = 0; i < shape->rank; i++)
            offset = offset * shape->dim[i] + index[i];
        return offset;
    }
    int64_t rest[GRD_MAX_RANK], inner = 1;
    for (int i = 0; i < shape->rank; i++)
        rest[i] = index[i];
    for (int k = layout->n_inner - 1; k >= 0; k--) { /* innermost block first */
        int d = layout->inner_dim[k];
        offset += rest[d] % layout->inner_size[k] * inner;
        rest[d] /= layout->inner_size[k];
        inner *= layout->inner_size[k];
    }
    for (int i = 0; i < shape->rank; i++)
        offset += rest[i] * layout->stride[i];
    return offset;
}

void grd_layout_copy(const grd_layout *from, const void *src, const grd_layout *to, void *dst, const grd_shape *shape,
                     size_t element)
{
    if (grd_layout_has_padding(to, shape))
        memset(dst, 0, to->bytes);
    int64_t n = grd_count(shape), index[GRD_MAX_RANK] = { 0 };
    for (int64_t e = 0; e < n; e++) {
        memcpy((char *)dst + (size_t)grd_layout_offset(to, shape, index) * element,
               (const char *)src + (size_t)grd_layout_offset(from, shape, index) * element, element);
        for (int i = shape->rank - 1; i >= 0 && ++index[i] == shape->dim[i]; i--)
            index[i] = 0;
    }
}
