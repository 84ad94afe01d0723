/* Draws for generated sources: sample i is a function of (seed, i) alone. */
#ifndef GRD_DATA_DRAW_H
#define GRD_DATA_DRAW_H

#include <gradus/base.h>

#include <math.h>

#define GRD_PI 3.14159265358979323846

/* Two independent normal numbers, mean 0, standard deviation 1, from two words (Box and Muller, 1958). */
static inline void grd_normal2(const uint32_t word[2], double out[2])
{
    double radius = sqrt(-2 * log(((double)word[0] + 1) / 4294967296.0)), angle = 2 * GRD_PI * ((double)word[1] / 4294967296.0);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

#endif
