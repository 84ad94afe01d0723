#define _GNU_SOURCE
#include "base/clock.h"

#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double grd_clock(void) { return seconds(CLOCK_MONOTONIC); }
double grd_wall_clock(void) { return seconds(CLOCK_REALTIME); }
