/* Seconds. */
#ifndef GRD_BASE_CLOCK_H
#define GRD_BASE_CLOCK_H

double grd_clock(void);      /* from some moment on, never set back: for durations */
double grd_wall_clock(void); /* since 1970 */

#endif
