/* HTML pages. Bars are inline SVG in the colours of Okabe and Ito (2008). */
#include "format/html.h"

#include "format/png.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1100px;margin:2em auto;padding:0 1em}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin:1.8em 0 .4em;border-bottom:1px solid #ddd}h3{font-size:1em;margin:1em 0 .2em}"
    "table{border-collapse:collapse;margin:.5em 0}th,td{padding:.2em .8em .2em 0;text-align:left;vertical-align:top}"
    "th{border-bottom:1px solid #bbb;font-weight:600}td{border-bottom:1px solid #eee;overflow-wrap:break-word}"
    "figure{display:inline-block;margin:2px 5px 4px 0;vertical-align:top;max-width:150px}"
    "figcaption{font-size:11px;line-height:1.25;color:#555;overflow-wrap:anywhere}img{image-rendering:pixelated;display:block}"
    ".error{color:#b00020;font-weight:600}.warning{color:#b45f06;font-weight:600}.note{color:#0b5394}.small{font-size:12px;color:"
    "#555}";

void grd_html_escape(grd_bytes *out, const char *text)
{
    for (size_t n; *text; text += n) {
        n = grd_utf8_length(text, strlen(text));
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity)
            grd_bytes_text(out, entity);
        else if (!n || ((unsigned char)*text < 32 && *text != '\n'))
            grd_bytes_text(out, "?");
        else
            grd_bytes_put(out, text, n);
        n = n ? n : 1;
    }
}

void grd_html_begin(grd_bytes *out, const char *title)
{
    grd_bytes_text(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    grd_html_escape(out, title);
    grd_bytes_text(out, "</title><style>");
    grd_bytes_text(out, style);
    grd_bytes_text(out, "</style></head><body>\n");
    grd_html_tag(out, "h1", title);
}

void grd_html_end(grd_bytes *out)
{
    grd_bytes_text(out, "</body></html>\n");
}

void grd_html_tag(grd_bytes *out, const char *tag, const char *text)
{
    grd_bytes_print(out, "<%s>", tag);
    grd_html_escape(out, text);
    grd_bytes_print(out, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

/* ---- tables: rows and cells need not be closed in HTML ---- */

void grd_html_table(grd_bytes *out, const char *const *head, int n)
{
    grd_bytes_text(out, "<table><tr>");
    for (int i = 0; i < n; i++)
        grd_html_tag(out, "th", head[i]);
}

void grd_html_row(grd_bytes *out)
{
    grd_bytes_text(out, "<tr>");
}

void grd_html_cell(grd_bytes *out, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    grd_html_tag(out, "td", text);
}

void grd_html_table_end(grd_bytes *out)
{
    grd_bytes_text(out, "</table>\n");
}

/* ---- pictures ---- */

static void put_base64(grd_bytes *out, const uint8_t *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);
        const char four[4] = { digit[bits >> 18], digit[bits >> 12 & 63], left > 1 ? digit[bits >> 6 & 63] : '=',
                               left > 2 ? digit[bits & 63] : '=' };
        grd_bytes_put(out, four, sizeof four);
    }
}

grd_status grd_html_figure(grd_bytes *out, int width, int height, int channels, const uint8_t *pixels, int scale,
                           const char *caption)
{
    void *png;
    size_t size;
    GRD_TRY(grd_png_encode(out->host, width, height, channels, pixels, &png, &size));
    grd_bytes_print(out, "<figure><img alt=\"\" width=\"%d\" height=\"%d\" src=\"data:image/png;base64,", width * scale,
                    height * scale);
    put_base64(out, png, size);
    grd_free(out->host, png);
    grd_bytes_text(out, "\">");
    if (caption)
        grd_html_tag(out, "figcaption", caption);
    grd_bytes_text(out, "</figure>");
    return grd_bytes_status(out);
}

/* ---- bars ---- */

static const char *const colours[] = { "#0072b2", "#e69f00", "#009e73", "#cc79a7" };
enum { COLOURS = sizeof colours / sizeof *colours, HEIGHT = 140, SMALL = 36, WIDEST = 1000 };

static void put_bar_name(grd_bytes *out, double x, const char *name)
{
    grd_bytes_print(out, "<text x=\"%.1f\" y=\"%d\" font-size=\"11\" text-anchor=\"end\" transform=\"rotate(-40 %.1f %d)\">", x,
                    HEIGHT + 14, x, HEIGHT + 14);
    grd_html_escape(out, name);
    grd_bytes_text(out, "</text>");
}

void grd_html_bars(grd_bytes *out, const char *const *name, int n, const char *const *series, int n_series, const double *value)
{
    const int height = name ? HEIGHT : SMALL; /* without names: small enough for a row of a table */
    double most = 0, wide = n ? fmin((name ? 26.0 : 8.0) * n_series, (double)WIDEST / n) : 0, left = name ? 60 : 4;
    double bar = wide * 0.8 / n_series;
    for (int i = 0; i < n * n_series; i++)
        most = fmax(most, value[i]);
    grd_bytes_print(out, "<svg width=\"%.0f\" height=\"%d\" font-family=\"sans-serif\">", left + wide * n + 10,
                    height + (name ? 80 : 4));
    for (int s = 0; s < n_series; s++)
        for (int i = 0; i < n; i++) {
            double high = most > 0 ? value[s * n + i] / most * (height - (series ? 20 : 2)) : 0;
            grd_bytes_print(out,
                            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>%g</title></rect>",
                            left + wide * i + bar * s, height - high, bar, high, colours[s % COLOURS], value[s * n + i]);
        }
    for (int i = 0; i < n && name; i++)
        put_bar_name(out, left + wide * i + wide / 2, name[i]);
    for (int s = 0; s < n_series && series; s++) {
        grd_bytes_print(out, "<text x=\"%.1f\" y=\"12\" font-size=\"12\" fill=\"%s\">", left + 90.0 * s, colours[s % COLOURS]);
        grd_html_escape(out, series[s]);
        grd_bytes_text(out, "</text>");
    }
    grd_bytes_text(out, "</svg>\n");
}
