#include "tensor/tensor.h"

#include <stdio.h>

size_t grd_dtype_size(grd_dtype dtype)
{
    static const size_t size[] = { [GRD_F32] = 4, [GRD_F64] = 8, [GRD_I32] = 4, [GRD_I64] = 8, [GRD_U8] = 1 };
    return size[dtype];
}

const char *grd_dtype_name(grd_dtype dtype)
{
    static const char *const name[] = { [GRD_F32] = "f32", [GRD_F64] = "f64", [GRD_I32] = "i32", [GRD_I64] = "i64", [GRD_U8] = "u8" };
    return name[dtype];
}

int64_t grd_count(const grd_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++)
        n *= shape->dim[i];
    return n;
}

bool grd_shape_equal(const grd_shape *a, const grd_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

grd_shape grd_shape_of(int rank, const int64_t *dim)
{
    grd_shape s = { .rank = rank };
    for (int i = 0; i < rank && i < GRD_MAX_RANK; i++)
        s.dim[i] = dim[i];
    return s;
}

char *grd_shape_text(const grd_shape *shape, char *text, size_t size)
{
    if (shape->rank < 0) {
        snprintf(text, size, "[invalid]");
        return text;
    }
    static const char *const symbol[] = { "", "N", "T", "?" };
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < shape->rank && used < size; i++) {
        int64_t d = shape->dim[i];
        const char *comma = i ? "," : "";
        if (d < 0)
            used += (size_t)snprintf(text + used, size - used, "%s%s", comma, symbol[d < -3 ? 3 : -d]);
        else
            used += (size_t)snprintf(text + used, size - used, "%s%lld", comma, (long long)d);
    }
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}
