/* Elements of NumPy's types as elements of ours. Integers go through int64 (uint64 apart), floats through double. */
#include "format/npy.h"

#include <float.h>
#include <math.h>
#include <string.h>

static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? (double)NAN : HUGE_VAL)
                              : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

typedef struct element {
    bool real;     /* else an integer */
    bool above;    /* an integer beyond int64 */
    int64_t whole;
    double value;  /* always */
} element;

/* An element in this machine's byte order, wherever it lies. */
typedef union bits {
    uint8_t byte[8], u8;
    int8_t i8;
    uint16_t u16;
    int16_t i16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t i64;
    float f32;
    double f64;
} bits;

static bits bits_at(const grd_npy *npy, int64_t i)
{
    bits b = { 0 }, swapped;
    const size_t size = grd_npy_size(npy->type);
    const uint8_t *at = (const uint8_t *)npy->data + (size_t)i * size;
    switch (size) { /* each a single load */
    case 1: memcpy(b.byte, at, 1); break;
    case 2: memcpy(b.byte, at, 2); break;
    case 4: memcpy(b.byte, at, 4); break;
    default: memcpy(b.byte, at, 8);
    }
    if (!npy->swap)
        return b;
    for (size_t k = 0; k < size; k++)
        swapped.byte[k] = b.byte[size - 1 - k];
    return swapped;
}

static element element_at(const grd_npy *npy, int64_t i)
{
    element e = { .real = npy->type >= GRD_NPY_F16 };
    const bits b = bits_at(npy, i);
    switch (npy->type) {
    case GRD_NPY_BOOL: e.whole = b.u8 != 0; break;
    case GRD_NPY_U8: e.whole = b.u8; break;
    case GRD_NPY_I8: e.whole = b.i8; break;
    case GRD_NPY_U16: e.whole = b.u16; break;
    case GRD_NPY_I16: e.whole = b.i16; break;
    case GRD_NPY_U32: e.whole = b.u32; break;
    case GRD_NPY_I32: e.whole = b.i32; break;
    case GRD_NPY_I64: e.whole = b.i64; break;
    case GRD_NPY_U64:
        e.above = b.u64 > INT64_MAX;
        e.whole = e.above ? INT64_MAX : (int64_t)b.u64;
        break;
    case GRD_NPY_F16: e.value = half_value(b.u16); return e;
    case GRD_NPY_F32: e.value = (double)b.f32; return e;
    case GRD_NPY_F64: e.value = b.f64; return e;
    }
    e.value = (double)e.whole;
    return e;
}

/* The integer that e is, if it is one within lo..hi. */
static bool to_integer(element *e, int64_t lo, int64_t hi)
{
    if (e->real) {
        if (!(e->value >= -9223372036854775808.0 && e->value < 9223372036854775808.0) || e->value != floor(e->value))
            return false;
        e->whole = (int64_t)e->value;
    }
    return !e->above && e->whole >= lo && e->whole <= hi;
}

static bool store(element *e, grd_dtype to, void *out, int64_t i)
{
    const int64_t exact = (int64_t)1 << (to == GRD_F32 ? 24 : 53); /* integers that floats hold without gaps */
    switch (to) {
    case GRD_F32:
        ((float *)out)[i] = (float)e->value;
        return e->real ? !isinf(((float *)out)[i]) || isinf(e->value) : to_integer(e, -exact, exact);
    case GRD_F64:
        ((double *)out)[i] = e->value;
        return e->real || to_integer(e, -exact, exact);
    case GRD_I32:
        if (!to_integer(e, INT32_MIN, INT32_MAX))
            return false;
        ((int32_t *)out)[i] = (int32_t)e->whole;
        return true;
    case GRD_I64:
        if (!to_integer(e, INT64_MIN, INT64_MAX))
            return false;
        ((int64_t *)out)[i] = e->whole;
        return true;
    case GRD_U8:
        if (!to_integer(e, 0, 255))
            return false;
        ((uint8_t *)out)[i] = (uint8_t)e->whole;
        return true;
    }
    return false;
}

static bool same_type(grd_npy_type from, grd_dtype to)
{
    return from == grd_npy_type_of(to);
}

/* NumPy's usual floats to ours, many at once; false: one would become infinite. */
static bool narrow(const grd_npy *npy, int64_t first, int64_t n, float *out)
{
    const uint8_t *at = (const uint8_t *)npy->data + (size_t)first * sizeof(double);
    bool lost = false;
    for (int64_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, at + (size_t)i * sizeof value, sizeof value);
        out[i] = (float)value;
        lost |= fabs(value) <= DBL_MAX && !(fabsf(out[i]) <= FLT_MAX);
    }
    return !lost;
}

grd_status grd_npy_convert(const grd_npy *npy, const char *name, int64_t first, int64_t n, grd_dtype to, void *out)
{
    if (first < 0 || n < 0 || first > npy->count || n > npy->count - first)
        return grd_fail(npy->host, GRD_ERR_ARG, "%s: elements %lld to %lld wanted, there are %lld", name, (long long)first,
                        (long long)first + (long long)n, (long long)npy->count);
    if (same_type(npy->type, to)) {
        size_t size = grd_npy_size(npy->type);
        memcpy(out, (const uint8_t *)npy->data + (size_t)first * size, (size_t)n * size);
        for (int64_t i = 0; i < n && npy->swap; i++)
            memcpy((uint8_t *)out + (size_t)i * size, bits_at(npy, first + i).byte, size);
        return GRD_OK;
    }
    if (npy->type == GRD_NPY_F64 && to == GRD_F32 && !npy->swap && narrow(npy, first, n, out))
        return GRD_OK;
    for (int64_t i = 0; i < n; i++) {
        element e = element_at(npy, first + i);
        if (!store(&e, to, out, i))
            return grd_fail(npy->host, GRD_ERR_DATA, "%s: element %lld of %s is %s%.17g, which %s cannot hold", name,
                            (long long)(first + i), grd_npy_name(npy->type), e.above ? "more than " : "", e.value,
                            grd_dtype_name(to));
    }
    return GRD_OK;
}

grd_npy_type grd_npy_type_of(grd_dtype dtype)
{
    switch (dtype) {
    case GRD_F32: return GRD_NPY_F32;
    case GRD_F64: return GRD_NPY_F64;
    case GRD_I32: return GRD_NPY_I32;
    case GRD_I64: return GRD_NPY_I64;
    case GRD_U8: break;
    }
    return GRD_NPY_U8;
}
