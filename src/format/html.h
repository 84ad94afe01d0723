/* A self-contained HTML page: text, tables, pictures inside it, bars. No scripts, nothing that is fetched. */
#ifndef GRD_FORMAT_HTML_H
#define GRD_FORMAT_HTML_H

#include "format/bytes.h"

/* All add to `out`, whose first refusal sticks. Texts are UTF-8 from anywhere: they are escaped. */
void grd_html_begin(grd_bytes *out, const char *title);
void grd_html_end(grd_bytes *out);
void grd_html_escape(grd_bytes *out, const char *text);
void grd_html_tag(grd_bytes *out, const char *tag, const char *text); /* <tag>text</tag> */

void grd_html_table(grd_bytes *out, const char *const *head, int n); /* begins it; rows of cells follow */
void grd_html_row(grd_bytes *out);
void grd_html_cell(grd_bytes *out, const char *format, ...) GRD_PRINTF(2, 3);
void grd_html_table_end(grd_bytes *out);

/* pixels: [height][width][channels], 1 or 3; shown `scale` times as large. caption: NULL = none. Figures flow side by side. */
grd_status grd_html_figure(grd_bytes *out, int width, int height, int channels, const uint8_t *pixels, int scale,
                           const char *caption);

/* Bars side by side, a colour a series: value [n_series][n]. name NULL: no names below, and small enough for the cell of a table. */
void grd_html_bars(grd_bytes *out, const char *const *name, int n, const char *const *series, int n_series, const double *value);

#endif
