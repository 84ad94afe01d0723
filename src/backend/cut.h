/* Memory of a step, as scratch and save, that is cut into parts. */
#ifndef GRD_BACKEND_CUT_H
#define GRD_BACKEND_CUT_H

#include <stddef.h>
#include <stdint.h>

/* Without memory the parts are NULL and only `used` (floats) counts. */
typedef struct grd_cut { float *memory; int64_t used; } grd_cut;

/* n floats, beginning on a cache line. */
static inline float *grd_take(grd_cut *cut, int64_t n)
{
    float *part = cut->memory ? cut->memory + cut->used : NULL;
    cut->used += (n + 15) / 16 * 16;
    return part;
}

#endif
