/* What `scale` needs to know of a `normalize` behind it. */
#ifndef GRD_DATA_TRANSFORM_NORMALIZE_H
#define GRD_DATA_TRANSFORM_NORMALIZE_H

#include <gradus/data.h>

int grd_normalize_field(const grd_transform_call *call); /* index of the field it changes */
void grd_normalize_channel(const grd_transform_call *call, int64_t channel, float *x, int64_t n);

#endif
