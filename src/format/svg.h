/* Line plots as SVG: one panel, or several in a grid. */
#ifndef GRD_FORMAT_SVG_H
#define GRD_FORMAT_SVG_H

#include "base/file.h"

typedef struct grd_svg_series {
    const char *name;      /* in the legend; NULL = not shown there */
    const double *x, *y;   /* [n]; x NULL: 1, 2, 3, ...; a point that is not finite (1e100 and beyond
                            * count as infinite), or not positive on a log axis, breaks the line */
    int64_t n;
    bool dashed;
} grd_svg_series;

typedef struct grd_svg_panel {
    const char *title, *x_label, *y_label; /* NULL = none; UTF-8 */
    bool log_y;
    const grd_svg_series *series;
    int n_series;          /* more than 8 share colours */
} grd_svg_panel;

typedef struct grd_svg_plot {
    const char *title;     /* above all panels; NULL = none */
    const grd_svg_panel *panel;
    int n_panels;
    int columns;           /* 0: 1 for one panel, else 2 (3 from 5 panels on) */
    int width, height;     /* of one panel in pixels; 0: 800 x 500 for one panel, 520 x 340 for several */
} grd_svg_plot;

/* Into memory: *text is allocated from host, ends with a zero that *size does not count, and is owned by the caller. */
grd_status grd_svg_encode(grd_host *host, const grd_svg_plot *plot, char **text, size_t *size);
/* Into a file, atomically. */
grd_status grd_svg_write(grd_host *host, const char *path, const grd_svg_plot *plot);

#endif
