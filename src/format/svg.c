/* Line plots. Colours are told apart by colour-blind people too (Okabe, Ito 2008). */
#include "format/svg.h"

#include "format/bytes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5539", "#444444" };

typedef struct frame { double x0, x1, y0, y1; int left, top, width, height; bool log_y; } frame; /* data range; pixels of the plot area */

/* ---- text ---- */

static void escaped(grd_bytes *out, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (as)
            grd_bytes_text(out, as);
        else if ((unsigned char)*text >= 32)
            grd_bytes_put(out, text, 1);
    }
}

static void label(grd_bytes *out, double x, double y, const char *anchor, int size, const char *more, const char *text)
{
    grd_bytes_print(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\"%s>", x, y, anchor, size, more);
    escaped(out, text);
    grd_bytes_text(out, "</text>\n");
}

/* ---- range ---- */

static double x_of(const grd_svg_series *s, int64_t i) { return s->x ? s->x[i] : (double)(i + 1); }
static bool drawn(const frame *f, double x, double y) { return isfinite(x) && isfinite(y) && (!f->log_y || y > 0); }

static void find_range(frame *f, const grd_svg_panel *panel)
{
    f->x0 = f->y0 = INFINITY;
    f->x1 = f->y1 = -INFINITY;
    for (int s = 0; s < panel->n_series; s++)
        for (int64_t i = 0; i < panel->series[s].n; i++) {
            double x = x_of(&panel->series[s], i), y = panel->series[s].y[i];
            if (!drawn(f, x, y))
                continue;
            f->x0 = fmin(f->x0, x);
            f->x1 = fmax(f->x1, x);
            f->y0 = fmin(f->y0, y);
            f->y1 = fmax(f->y1, y);
        }
    if (f->x0 > f->x1) { /* nothing to draw */
        f->x0 = f->y0 = f->log_y ? 1 : 0;
        f->x1 = f->y1 = f->log_y ? 10 : 1;
    }
    if (f->x0 == f->x1) {
        f->x0 -= 0.5;
        f->x1 += 0.5;
    }
    if (f->log_y) {
        f->y0 = log10(f->y0);
        f->y1 = log10(f->y1);
    }
    double room = f->y1 > f->y0 ? 0.05 * (f->y1 - f->y0) : fmax(fabs(f->y0) * 0.1, 1e-3);
    f->y0 -= room;
    f->y1 += room;
}

/* 1, 2 or 5 times a power of ten, such that about `n` fit. */
static double nice_step(double range, int n)
{
    double raw = range / n, power = pow(10, floor(log10(raw))), rest = raw / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

static double to_x(const frame *f, double x) { return f->left + (x - f->x0) / (f->x1 - f->x0) * f->width; }
static double to_y(const frame *f, double y) { return f->top + f->height - (y - f->y0) / (f->y1 - f->y0) * f->height; }

/* ---- parts ---- */

static void axes(grd_bytes *out, const frame *f)
{
    char text[32];
    double step = nice_step(f->y1 - f->y0, f->height / 45);
    if (f->log_y && step < 1 && f->y1 - f->y0 > 1)
        step = 1;
    for (double v = ceil(f->y0 / step) * step; v <= f->y1 + step * 1e-9; v += step) {
        double at = to_y(f, v), value = f->log_y ? pow(10, v) : fabs(v) < step * 1e-9 ? 0 : v;
        snprintf(text, sizeof text, "%.4g", value);
        grd_bytes_print(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e3e3\"/>\n", f->left, f->left + f->width, at, at);
        label(out, f->left - 7, at + 4, "end", 12, "", text);
    }
    step = nice_step(f->x1 - f->x0, f->width / 70);
    for (double v = ceil(f->x0 / step) * step; v <= f->x1 + step * 1e-9; v += step) {
        double at = to_x(f, v);
        snprintf(text, sizeof text, "%.6g", fabs(v) < step * 1e-9 ? 0 : v);
        grd_bytes_print(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#777\"/>\n", at, at, f->top + f->height, f->top + f->height + 4);
        label(out, at, f->top + f->height + 18, "middle", 12, "", text);
    }
    grd_bytes_print(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#777\"/>\n", f->left, f->top, f->width, f->height);
}

static void line(grd_bytes *out, const frame *f, const grd_svg_series *s, const char *colour)
{
    bool open = false;
    const char *dash = s->dashed ? " stroke-dasharray=\"6 4\"" : "";
    for (int64_t i = 0; i <= s->n; i++) {
        double x = i < s->n ? x_of(s, i) : NAN, y = i < s->n ? s->y[i] : NAN;
        if (!drawn(f, x, y)) {
            if (open)
                grd_bytes_print(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\"%s/>\n", colour, dash);
            open = false;
            continue;
        }
        double px = to_x(f, x), py = to_y(f, f->log_y ? log10(y) : y);
        bool alone = !open && (i + 1 >= s->n || !drawn(f, x_of(s, i + 1), s->y[i + 1]));
        if (alone) { /* a single point is no line */
            grd_bytes_print(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", px, py, colour);
            continue;
        }
        grd_bytes_print(out, open ? "%s%.1f,%.1f" : "<polyline points=\"%s%.1f,%.1f", open ? " " : "", px, py);
        open = true;
    }
}

/* Top right, where loss curves leave room. */
static void legend(grd_bytes *out, const frame *f, const grd_svg_panel *panel)
{
    int longest = 0, n = 0;
    for (int s = 0; s < panel->n_series; s++) {
        int length = panel->series[s].name ? (int)strlen(panel->series[s].name) : 0;
        longest = length > longest ? length : longest;
        n += length > 0;
    }
    if (!n)
        return;
    int width = 44 + longest * 8, x = f->left + f->width - width - 8, y = f->top + 8;
    grd_bytes_print(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#ffffff\" fill-opacity=\"0.85\" stroke=\"#cccccc\"/>\n", x, y, width, n * 18 + 8);
    for (int s = 0, k = 0; s < panel->n_series; s++) {
        if (!panel->series[s].name || !*panel->series[s].name)
            continue;
        double at = y + 17 + 18.0 * k++;
        grd_bytes_print(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2\"%s/>\n", x + 8, x + 32, at - 4, at - 4,
                        colours[s % 8], panel->series[s].dashed ? " stroke-dasharray=\"6 4\"" : "");
        label(out, x + 38, at, "start", 12, "", panel->series[s].name);
    }
}

static void draw_panel(grd_bytes *out, const grd_svg_panel *panel, int x, int y, int width, int height)
{
    frame f = { .log_y = panel->log_y };
    find_range(&f, panel);
    f.left = x + 74;
    f.top = y + 40;
    f.width = width - 74 - 22;
    f.height = height - 40 - 52;
    axes(out, &f);
    for (int s = 0; s < panel->n_series; s++)
        line(out, &f, &panel->series[s], colours[s % 8]);
    legend(out, &f, panel);
    char turn[80];
    double middle = f.top + f.height / 2.0;
    snprintf(turn, sizeof turn, " transform=\"rotate(-90 %d %.1f)\"", x + 18, middle);
    if (panel->title)
        label(out, f.left + f.width / 2.0, y + 26, "middle", 16, " font-weight=\"bold\"", panel->title);
    if (panel->x_label)
        label(out, f.left + f.width / 2.0, f.top + f.height + 40, "middle", 13, "", panel->x_label);
    if (panel->y_label)
        label(out, x + 18, middle, "middle", 13, turn, panel->y_label);
}

grd_status grd_svg_encode(grd_host *host, const grd_svg_plot *plot, char **text, size_t *size)
{
    *text = NULL;
    *size = 0;
    int n = plot->n_panels, columns = plot->columns > 0 ? plot->columns : n <= 1 ? 1 : n < 5 ? 2 : 3;
    int width = plot->width > 0 ? plot->width : n <= 1 ? 800 : 520, height = plot->height > 0 ? plot->height : n <= 1 ? 500 : 340;
    int rows = (n + columns - 1) / columns, top = plot->title ? 40 : 0;
    grd_bytes out;
    grd_bytes_init(&out, host);
    grd_bytes_print(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" fill=\"#222222\">\n",
                    columns * width, rows * height + top, columns * width, rows * height + top);
    grd_bytes_text(&out, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    if (plot->title)
        label(&out, columns * width / 2.0, 28, "middle", 20, " font-weight=\"bold\"", plot->title);
    for (int i = 0; i < n; i++)
        draw_panel(&out, &plot->panel[i], i % columns * width, top + i / columns * height, width, height);
    grd_bytes_text(&out, "</svg>\n");
    size_t length = out.size;
    grd_bytes_zeros(&out, 1);
    grd_status status = grd_bytes_status(&out);
    if (status != GRD_OK) {
        grd_bytes_free(&out);
        return status;
    }
    *text = (char *)out.data;
    *size = length;
    return GRD_OK;
}

grd_status grd_svg_write(grd_host *host, const char *path, const grd_svg_plot *plot)
{
    char *text;
    size_t size;
    GRD_TRY(grd_svg_encode(host, plot, &text, &size));
    grd_status status = grd_file_write(host, path, text, size);
    grd_free(host, text);
    return status;
}
