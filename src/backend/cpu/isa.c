/* Which instruction set to use: what the CPU has, capped by DNNL_MAX_CPU_ISA as oneDNN is. */
#include "backend/backend.h"
#include "backend/cpu/kernels.h"

#include <stdlib.h>
#include <string.h>

#define TABLE(isa)                                                             \
    static const grd_cpu_table *table_##isa(void)                              \
    {                                                                          \
        static const grd_cpu_table table = { GRD_CPU_KERNELS(MEMBER_##isa) };  \
        return &table;                                                         \
    }
#define MEMBER_base(result, name, args) grd_cpu_##name##_base,
#define MEMBER_avx2(result, name, args) grd_cpu_##name##_avx2,
#define MEMBER_avx512(result, name, args) grd_cpu_##name##_avx512,
#define DECLARE_base(result, name, args) result grd_cpu_##name##_base args;
#define DECLARE_avx2(result, name, args) result grd_cpu_##name##_avx2 args;
#define DECLARE_avx512(result, name, args) result grd_cpu_##name##_avx512 args;

GRD_CPU_KERNELS(DECLARE_base)
TABLE(base)
#ifdef GRD_X86
GRD_CPU_KERNELS(DECLARE_avx2)
GRD_CPU_KERNELS(DECLARE_avx512)
TABLE(avx2)
TABLE(avx512)
#endif

static int cpu_level(void)
{
#ifdef GRD_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return 2;
#ifdef GRD_AVX512_BY_AVX2
    if (__builtin_cpu_supports("avx2"))
        return 2;
#endif
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return 1;
#endif
    return 0;
}

/* oneDNN's names; anything above AVX-512 core, or unknown, caps nothing. */
static int cap(void)
{
    const char *limit = getenv("DNNL_MAX_CPU_ISA");
    if (!limit)
        limit = getenv("ONEDNN_MAX_CPU_ISA");
    if (!limit)
        return 2;
    if (strcmp(limit, "SSE41") == 0 || strcmp(limit, "AVX") == 0)
        return 0;
    return strncmp(limit, "AVX2", 4) == 0 ? 1 : 2;
}

int grd_isa_level(void)
{
    int have = cpu_level(), most = cap();
    return have < most ? have : most;
}

const char *grd_isa_name(void)
{
    static const char *const name[] = { "base", "avx2", "avx512" };
    return name[grd_isa_level()];
}

const grd_cpu_table *grd_cpu_level(int level)
{
    if (level > cpu_level())
        return NULL;
#ifdef GRD_X86
    if (level == 2)
        return table_avx512();
    if (level == 1)
        return table_avx2();
#endif
    return table_base();
}

const grd_cpu_table *grd_cpu(void) { return grd_cpu_level(grd_isa_level()); }
