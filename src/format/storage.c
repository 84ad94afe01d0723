/* Element types of storages, and gathering of strided views. */
#include "format/storage.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are read and written as they lie in memory: little-endian machines only"
#endif

static float from_bits(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static uint32_t load16(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8;
}

/* IEEE 754 binary16: sign, 5 bits of exponent with bias 15, 10 of fraction. */
static float half_to_float(uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 31)
        return from_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent)
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float small = (float)fraction * (1.0f / 16777216.0f); /* subnormal: fraction * 2^-24 */
    return sign ? -small : small;
}

static void half_to_f32(void *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((float *)out)[i] = half_to_float(load16(in + 2 * i));
}

static void bfloat16_to_f32(void *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((float *)out)[i] = from_bits(load16(in + 2 * i) << 16);
}

static void int16_to_i32(void *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((int32_t *)out)[i] = (int32_t)(load16(in + 2 * i) ^ 0x8000) - 0x8000;
}

static void int8_to_i32(void *out, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((int32_t *)out)[i] = (int32_t)(in[i] ^ 0x80u) - 0x80;
}

/* The first type of each dtype is the one that is written. */
static const grd_storage_type types[] = {
    { "FloatStorage", "float32", 4, GRD_F32, NULL },
    { "DoubleStorage", "float64", 8, GRD_F64, NULL },
    { "LongStorage", "int64", 8, GRD_I64, NULL },
    { "IntStorage", "int32", 4, GRD_I32, NULL },
    { "ByteStorage", "uint8", 1, GRD_U8, NULL },
    { "HalfStorage", "float16", 2, GRD_F32, half_to_f32 },
    { "BFloat16Storage", "bfloat16", 2, GRD_F32, bfloat16_to_f32 },
    { "BoolStorage", "bool", 1, GRD_U8, NULL },
    { "ShortStorage", "int16", 2, GRD_I32, int16_to_i32 },
    { "CharStorage", "int8", 1, GRD_I32, int8_to_i32 },
};
enum { TYPES = sizeof types / sizeof *types };

const grd_storage_type *grd_storage_type_named(const char *class_name, size_t size)
{
    for (int i = 0; i < TYPES; i++)
        if (strlen(types[i].class_name) == size && memcmp(types[i].class_name, class_name, size) == 0)
            return &types[i];
    return NULL;
}

const grd_storage_type *grd_storage_type_of(grd_dtype dtype)
{
    int i = 0;
    while (types[i].dtype != dtype)
        i++;
    return &types[i];
}

#define MAX_ELEMENTS ((int64_t)1 << 48) /* far beyond any file, far below overflow */

int64_t grd_strided_reach(const grd_strided *view)
{
    int64_t count = 1, last = view->offset;
    if (last < 0 || last > MAX_ELEMENTS)
        return -1;
    for (int i = 0; i < view->shape.rank; i++) {
        int64_t dim = view->shape.dim[i], stride = view->stride[i];
        if (dim < 0 || stride < 0 || dim > MAX_ELEMENTS || stride > MAX_ELEMENTS)
            return -1;
        if (dim && count > MAX_ELEMENTS / dim)
            return -1;
        count *= dim;
        if (dim > 1 && stride > (MAX_ELEMENTS - last) / (dim - 1))
            return -1;
        last += dim > 1 ? (dim - 1) * stride : 0;
    }
    return count ? last + 1 : 0;
}

bool grd_strided_plain(const grd_strided *view)
{
    int64_t expected = 1;
    for (int i = view->shape.rank - 1; i >= 0; i--) {
        if (view->shape.dim[i] != 1 && view->stride[i] != expected)
            return false;
        expected *= view->shape.dim[i];
    }
    return true;
}

static void copy_run(const grd_storage_type *type, uint8_t *out, const uint8_t *in, size_t n)
{
    if (type->convert)
        type->convert(out, in, n);
    else
        memcpy(out, in, n * type->size);
}

void grd_strided_gather(const grd_strided *view, const grd_storage_type *type, const uint8_t *data, void *out)
{
    const grd_shape *shape = &view->shape;
    size_t count = (size_t)grd_count(shape), out_size = grd_dtype_size(type->dtype);
    if (!count)
        return;
    bool plain = grd_strided_plain(view);
    int outer = plain ? 0 : shape->rank;       /* dimensions that are walked element by element */
    size_t run = plain ? count : 1;
    if (!plain && view->stride[outer - 1] == 1)
        run = (size_t)shape->dim[--outer];
    int64_t index[GRD_MAX_RANK] = { 0 }, at = view->offset;
    for (size_t done = 0;;) {
        copy_run(type, (uint8_t *)out + done * out_size, data + (size_t)at * type->size, run);
        done += run;
        if (done == count)
            return;
        int d = outer - 1;
        while (++index[d] == shape->dim[d]) {
            at -= (shape->dim[d] - 1) * view->stride[d];
            index[d--] = 0;
        }
        at += view->stride[d];
    }
}
