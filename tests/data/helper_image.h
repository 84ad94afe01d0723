/* The transforms of image_oracle.py by name, run by our kernels. */
#ifndef GRD_TESTS_DATA_HELPER_IMAGE_H
#define GRD_TESTS_DATA_HELPER_IMAGE_H

#include "data/image_pixels.h"

enum { IMAGE_PARAMETERS = 12 };

/* False: no such name. */
bool image_case(const char *name, const double p[IMAGE_PARAMETERS], const grd_pixels *in, const grd_pixels *out);

typedef struct image_difference {
    double largest; /* in grey levels of 255 */
    double share;   /* of values that differ by more than 1 level */
} image_difference;
image_difference image_compare(const grd_pixels *found, const void *expected);

#endif
