/* A progress line that is drawn over itself on a terminal:
 *
 *   HEAD: 45%|####      | TAIL
 */
#ifndef GRD_BASE_BAR_H
#define GRD_BASE_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct grd_bar {
    FILE *file;  /* NULL: nothing is drawn */
    bool bar;    /* a terminal, or it is wanted anyway; else plain lines */
    bool ascii;  /* of # and digits, not of eighth blocks (UTF-8) */
    int width;   /* columns of the line that stands there */
} grd_bar;

grd_bar grd_bar_make(FILE *file, int mode, bool ascii); /* mode: GRD_PROGRESS_*; 0 = auto */
/* The line at share 0..1, as wide as the terminal; of a narrow one TAIL's end is cut off. Plain: "HEAD:  45% TAIL".
 * share NaN: nobody knows how much there is: "HEAD: TAIL". */
void grd_bar_draw(grd_bar *bar, const char *head, double share, const char *tail);
/* This text instead; it stays. */
void grd_bar_stay(grd_bar *bar, const char *text);
/* The line that stands there, if one does, stays as it is. */
void grd_bar_leave(grd_bar *bar);

const char *grd_clock_text(double seconds, char text[24]); /* "02:05", "1:02:05", "?" */

#endif
