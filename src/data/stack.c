#include "data/stack.h"

#include "data/dataset.h"
#include "tensor/tensor.h"

#include <string.h>

grd_status grd_stack_init(grd_stack *s, grd_host *host, const grd_field *field, int64_t most)
{
    *s = (grd_stack){ .mem = host->mem, .field = field, .most = most };
    s->offset = GRD_NEW_N(host, size_t, most);
    s->shape = GRD_NEW_N(host, grd_shape, most);
    return s->offset && s->shape ? GRD_OK : GRD_ERR_MEMORY;
}

void grd_stack_drop(grd_stack *s, grd_host *host)
{
    grd_free(host, s->offset);
    grd_free(host, s->shape);
    grd_free(host, s->bytes);
    grd_free(host, s->out);
    *s = (grd_stack){ .n = 0 };
}

void grd_stack_clear(grd_stack *s)
{
    s->n = 0;
    s->used = 0;
}

/* Room for `wanted` bytes in *memory, of which the first `keep` stay. */
static grd_status reserve(const grd_stack *s, char **memory, size_t *room, size_t keep, size_t wanted)
{
    if (wanted <= *room)
        return GRD_OK;
    if (wanted > SIZE_MAX / 4)
        return GRD_ERR_MEMORY;
    size_t roomy = wanted + wanted / 4;
    char *larger = s->mem.alloc(s->mem.user, roomy);
    if (!larger)
        return GRD_ERR_MEMORY;
    if (keep)
        memcpy(larger, *memory, keep);
    if (*memory)
        s->mem.free(s->mem.user, *memory);
    *memory = larger;
    *room = roomy;
    return GRD_OK;
}

grd_status grd_stack_add(grd_stack *s, const void *data, const grd_shape *shape)
{
    const size_t size = grd_dtype_size(s->field->dtype) * (size_t)grd_count(shape); /* of a sample that is there */
    GRD_TRY(reserve(s, &s->bytes, &s->room, s->used, s->used + size));
    if (size)
        memcpy(s->bytes + s->used, data, size);
    s->offset[s->n] = s->used;
    s->shape[s->n++] = *shape;
    s->used += size;
    return GRD_OK;
}

static void fill(void *to, grd_dtype dtype, double pad, int64_t n)
{
    if (dtype == GRD_U8)
        memset(to, (int)pad, (size_t)n);
    else if (pad == 0)
        memset(to, 0, grd_dtype_size(dtype) * (size_t)n);
    else
        for (int64_t i = 0; i < n; i++)
            if (dtype == GRD_I32)
                ((int32_t *)to)[i] = (int32_t)pad;
            else
                ((float *)to)[i] = (float)pad;
}

/* Copies a block of `from` [shape] into the corner of `to` [whole], both row-major, from dimension k on. */
static void place(const grd_shape *shape, const grd_shape *whole, int k, size_t wide, const char *from, char *to)
{
    if (k >= shape->rank - 1) {
        memcpy(to, from, wide * (size_t)(shape->rank ? shape->dim[k] : 1));
        return;
    }
    size_t step_from = wide, step_to = wide;
    for (int j = k + 1; j < shape->rank; j++) {
        step_from *= (size_t)shape->dim[j];
        step_to *= (size_t)whole->dim[j];
    }
    for (int64_t i = 0; i < shape->dim[k]; i++)
        place(shape, whole, k + 1, wide, from + (size_t)i * step_from, to + (size_t)i * step_to);
}

grd_status grd_stack_lay(grd_stack *s, int64_t multiple, grd_shape *shape, void **data)
{
    const size_t wide = grd_dtype_size(s->field->dtype);
    grd_shape most = s->field->shape;
    for (int k = 0; k < most.rank; k++) {
        if (most.dim[k] >= 0)
            continue;
        for (int64_t i = 0; i < s->n; i++)
            most.dim[k] = s->shape[i].dim[k] > most.dim[k] ? s->shape[i].dim[k] : most.dim[k];
        most.dim[k] = most.dim[k] < 1 ? 1 : most.dim[k]; /* a batch of empty texts has one column of padding */
        if (multiple > 1)
            most.dim[k] = (most.dim[k] + multiple - 1) / multiple * multiple;
    }
    size_t size = wide * (size_t)s->n;
    for (int k = 0; k < most.rank; k++)
        if (!grd_size_mul(size, (size_t)most.dim[k], &size) || size > SIZE_MAX / 4)
            return GRD_ERR_MEMORY;
    GRD_TRY(reserve(s, &s->out, &s->out_room, 0, size));
    const size_t each = s->n ? size / (size_t)s->n : 0;
    for (int64_t i = 0; i < s->n; i++) {
        char *to = s->out + (size_t)i * each;
        if (!grd_shape_equal(&s->shape[i], &most))
            fill(to, s->field->dtype, s->field->pad, (int64_t)(each / wide));
        if (grd_count(&s->shape[i]) > 0)
            place(&s->shape[i], &most, 0, wide, s->bytes + s->offset[i], to);
    }
    shape->rank = most.rank + 1;
    shape->dim[0] = s->n;
    memcpy(shape->dim + 1, most.dim, sizeof *most.dim * (size_t)most.rank);
    *data = s->out;
    return GRD_OK;
}
