/* Line plots as SVG. Colours are those of Okabe and Ito (2008), which colour-blind people tell apart too. */
#include "format/svg.h"

#include "format/bytes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BEYOND 1e100 /* numbers from here on are not drawn, as infinity: ranges could overflow */

static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5539", "#444444" };
enum { COLOURS = sizeof colours / sizeof *colours, MAX_TICKS = 24 };
enum { LETTER = 7 };           /* pixels: about the width of a letter at font size 12 */
enum { MARKED_POINTS = 30 };   /* up to so many points of a series are marked one by one */

/* One direction of a panel: data from lo to hi (logarithms on a log axis) onto pixels from begin to end. */
typedef struct axis {
    double lo, hi;
    int begin, end;
    bool log;
    double tick[MAX_TICKS];    /* in the data's unit */
    int n_ticks;
    double step;               /* between ticks; 0 on a log axis */
} axis;

typedef struct panel_frame {
    const grd_svg_panel *panel;
    axis x, y;
} panel_frame;

/* ---- text ---- */

static void put_escaped(grd_bytes *out, const char *text)
{
    for (size_t n; *text; text += n) {
        n = grd_utf8_length(text, strlen(text));
        const char *entity = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : NULL;
        if (entity)
            grd_bytes_text(out, entity);
        else if (!n || (unsigned char)*text < 32)
            grd_bytes_text(out, "?");
        else
            grd_bytes_put(out, text, n);
        n = n ? n : 1;
    }
}

static int letters(const char *text)
{
    int n = 0;
    for (; text && *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

static void put_text(grd_bytes *out, double x, double y, const char *anchor, int size, const char *attributes, const char *text)
{
    grd_bytes_print(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\"%s>", x, y, anchor, size, attributes);
    put_escaped(out, text);
    grd_bytes_text(out, "</text>\n");
}

static void put_line(grd_bytes *out, double x1, double y1, double x2, double y2, const char *attributes)
{
    grd_bytes_print(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, attributes);
}

typedef struct box {
    double x, y, width, height;
} box;

static void put_box(grd_bytes *out, box b, const char *attributes)
{
    grd_bytes_print(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" %s/>\n", b.x, b.y, b.width, b.height,
                    attributes);
}

/* A tick's number with as many decimals as the step needs. */
static void tick_text(const axis *a, double value, char *text, size_t size)
{
    double largest = fmax(fabs(a->tick[0]), fabs(a->tick[a->n_ticks - 1]));
    int decimals = a->step > 0 ? (int)ceil(-log10(a->step) - 1e-9) : 0;
    if (a->step > 0 && largest < 1e6 && decimals <= 6)
        snprintf(text, size, "%.*f", decimals > 0 ? decimals : 0, fabs(value) < a->step / 2 ? 0.0 : value);
    else
        snprintf(text, size, "%.5g", a->step > 0 && fabs(value) < a->step / 2 ? 0.0 : value);
    char *exponent = strchr(text, 'e'); /* 1e-05 as 1e-5 */
    if (exponent && exponent[2] == '0')
        memmove(exponent + 2, exponent + 3, strlen(exponent + 2));
}

/* ---- ranges and ticks ---- */

static double x_at(const grd_svg_series *series, int64_t i)
{
    return series->x ? series->x[i] : (double)(i + 1);
}

static bool has_point(const panel_frame *f, const grd_svg_series *series, int64_t i)
{
    if (i < 0 || i >= series->n)
        return false;
    return fabs(x_at(series, i)) < BEYOND && fabs(series->y[i]) < BEYOND && (!f->y.log || series->y[i] > 0);
}

static void include(axis *a, double value)
{
    value = a->log ? log10(value) : value;
    a->lo = fmin(a->lo, value);
    a->hi = fmax(a->hi, value);
}

/* Room at both ends; a single value, or none, gets a range too. */
static void widen(axis *a, double share)
{
    if (a->lo > a->hi)
        a->lo = 0, a->hi = 1;
    double room = (a->hi - a->lo) * share, least = a->log ? 0.1 : fmax(fabs(a->lo) * 1e-6, 1e-12);
    if (a->hi - a->lo < least)
        room = a->log ? 0.5 : fmax(fabs(a->lo) * 0.1, 0.5);
    a->lo -= room;
    a->hi += room;
}

static void find_ranges(panel_frame *f)
{
    f->x.lo = f->y.lo = INFINITY;
    f->x.hi = f->y.hi = -INFINITY;
    f->y.log = f->panel->log_y;
    for (int s = 0; s < f->panel->n_series; s++)
        for (int64_t i = 0; i < f->panel->series[s].n; i++)
            if (has_point(f, &f->panel->series[s], i)) {
                include(&f->x, x_at(&f->panel->series[s], i));
                include(&f->y, f->panel->series[s].y[i]);
            }
    widen(&f->x, 0.02);
    widen(&f->y, 0.06);
}

/* 1, 2 or 5 times a power of ten, such that about n steps fill the range. */
static double nice_step(double range, int n)
{
    double raw = range / n, power = pow(10, floor(log10(raw))), rest = raw / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

static void add_tick(axis *a, double value)
{
    double at = a->log ? log10(value) : value;
    if (a->n_ticks < MAX_TICKS && at >= a->lo - 1e-9 * (a->hi - a->lo) && at <= a->hi + 1e-9 * (a->hi - a->lo))
        a->tick[a->n_ticks++] = value;
}

static void linear_ticks(axis *a, double lo, double hi, int wanted)
{
    a->n_ticks = 0;
    a->step = nice_step(hi - lo, wanted < 2 ? 2 : wanted);
    double first = ceil(lo / a->step - 1e-9);
    for (int i = 0; isfinite(first) && i < MAX_TICKS; i++)
        add_tick(a, (first + i) * a->step);
}

/* Powers of ten; if they are few, multiples of them too; if they are many, every n-th; in a narrow range as on a linear axis. */
static void log_ticks(axis *a, int wanted)
{
    static const double coarse[] = { 1, 2, 5 }, fine[] = { 1, 1.5, 2, 3, 5, 7 };
    double decades = a->hi - a->lo;
    if (decades < 0.8) {
        linear_ticks(a, pow(10, a->lo), pow(10, a->hi), wanted);
        return;
    }
    int stride = (int)ceil(decades / wanted), factors = decades < wanted / 6.0 ? 6 : decades < wanted / 3.0 ? 3 : 1;
    a->step = 0;
    for (int e = (int)floor(a->lo) / stride * stride - stride; e <= a->hi; e += stride)
        for (int i = 0; i < factors; i++)
            add_tick(a, (factors > 3 ? fine : coarse)[i] * pow(10, e));
}

static bool whole_numbers(const panel_frame *f)
{
    for (int s = 0; s < f->panel->n_series; s++)
        for (int64_t i = 0; i < f->panel->series[s].n; i++)
            if (has_point(f, &f->panel->series[s], i) && x_at(&f->panel->series[s], i) != floor(x_at(&f->panel->series[s], i)))
                return false;
    return true;
}

static void find_ticks(panel_frame *f, int width, int height)
{
    int wanted_x = width / 80;
    if (whole_numbers(f) && f->x.hi - f->x.lo < wanted_x) /* epochs: no halves */
        wanted_x = (int)fmax(1, f->x.hi - f->x.lo);
    linear_ticks(&f->x, f->x.lo, f->x.hi, wanted_x);
    if (whole_numbers(f) && f->x.step < 1) {
        f->x.n_ticks = 0;
        f->x.step = 1;
        for (double v = ceil(f->x.lo); v <= f->x.hi && f->x.n_ticks < MAX_TICKS; v++)
            add_tick(&f->x, v);
    }
    if (f->y.log)
        log_ticks(&f->y, height / 40);
    else
        linear_ticks(&f->y, f->y.lo, f->y.hi, height / 50);
}

static double to_pixel(const axis *a, double value)
{
    double at = ((a->log ? log10(value) : value) - a->lo) / (a->hi - a->lo);
    return a->begin + at * (a->end - a->begin);
}

/* ---- parts of a panel ---- */

static int widest_tick(const axis *a)
{
    int widest = 0;
    char text[40];
    for (int i = 0; i < a->n_ticks; i++) {
        tick_text(a, a->tick[i], text, sizeof text);
        widest = letters(text) > widest ? letters(text) : widest;
    }
    return widest * LETTER;
}

static void draw_axes(grd_bytes *out, const panel_frame *f)
{
    char text[40];
    for (int i = 0; i < f->y.n_ticks; i++) {
        double y = to_pixel(&f->y, f->y.tick[i]);
        tick_text(&f->y, f->y.tick[i], text, sizeof text);
        put_line(out, f->x.begin, y, f->x.end, y, "stroke=\"#e3e3e3\"");
        put_text(out, f->x.begin - 7, y + 4, "end", 12, "", text);
    }
    for (int i = 0; i < f->x.n_ticks; i++) {
        double x = to_pixel(&f->x, f->x.tick[i]);
        tick_text(&f->x, f->x.tick[i], text, sizeof text);
        put_line(out, x, f->y.begin, x, f->y.begin + 4, "stroke=\"#777777\"");
        put_text(out, x, f->y.begin + 18, "middle", 12, "", text);
    }
    put_box(out, (box){ f->x.begin, f->y.end, f->x.end - f->x.begin, f->y.begin - f->y.end }, "fill=\"none\" stroke=\"#777777\"");
}

static const char *dashes(const grd_svg_series *series)
{
    return series->dashed ? " stroke-dasharray=\"7 4\"" : "";
}

/* One polyline for each run of points without a gap. */
static void draw_lines(grd_bytes *out, const panel_frame *f, const grd_svg_series *series, const char *colour)
{
    for (int64_t i = 0; i < series->n; i++) {
        if (!has_point(f, series, i))
            continue;
        if (!has_point(f, series, i - 1))
            grd_bytes_print(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\"%s points=\"",
                            colour, dashes(series));
        grd_bytes_print(out, "%.1f,%.1f ", to_pixel(&f->x, x_at(series, i)), to_pixel(&f->y, series->y[i]));
        if (!has_point(f, series, i + 1))
            grd_bytes_text(out, "\"/>\n");
    }
}

/* Points that no line joins are always marked. */
static void draw_points(grd_bytes *out, const panel_frame *f, const grd_svg_series *series, const char *colour)
{
    for (int64_t i = 0; i < series->n; i++) {
        bool alone = !has_point(f, series, i - 1) && !has_point(f, series, i + 1);
        if (has_point(f, series, i) && (alone || series->n <= MARKED_POINTS))
            grd_bytes_print(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"/>\n", to_pixel(&f->x, x_at(series, i)),
                            to_pixel(&f->y, series->y[i]), alone ? "4" : "2.5", colour);
    }
}

/* Looks at each point and at some places between each two. */
static bool hides_lines(const panel_frame *f, box b)
{
    enum { BETWEEN = 8 };
    for (int s = 0; s < f->panel->n_series; s++) {
        const grd_svg_series *series = &f->panel->series[s];
        for (int64_t i = 0; i < series->n; i++) {
            if (!has_point(f, series, i))
                continue;
            int64_t from = has_point(f, series, i - 1) ? i - 1 : i;
            double x0 = to_pixel(&f->x, x_at(series, from)), y0 = to_pixel(&f->y, series->y[from]);
            double x1 = to_pixel(&f->x, x_at(series, i)), y1 = to_pixel(&f->y, series->y[i]);
            for (int k = 1; k <= BETWEEN; k++) {
                double x = x0 + (x1 - x0) * k / BETWEEN, y = y0 + (y1 - y0) * k / BETWEEN;
                if (x > b.x - 4 && x < b.x + b.width + 4 && y > b.y - 4 && y < b.y + b.height + 4)
                    return true;
            }
        }
    }
    return false;
}

static box legend_size(const grd_svg_panel *panel)
{
    int longest = 0, n = 0;
    for (int s = 0; s < panel->n_series; s++) {
        int length = letters(panel->series[s].name);
        longest = length > longest ? length : longest;
        n += length > 0;
    }
    return n ? (box){ .width = 46 + longest * LETTER, .height = n * 18 + 8 } : (box){ 0 };
}

/* In a corner where it hides nothing, the top right one first, as loss curves leave it free; else beside the frame, which makes
 * room. */
static box place_legend(panel_frame *f)
{
    box b = legend_size(f->panel);
    for (int corner = 0; corner < 4; corner++) {
        b.x = corner & 1 ? f->x.begin + 8 : f->x.end - 8 - b.width;
        b.y = corner & 2 ? f->y.begin - 8 - b.height : f->y.end + 8;
        if (b.height < f->y.begin - f->y.end - 16 && !hides_lines(f, b))
            return b;
    }
    b.x = f->x.end - b.width;
    b.y = f->y.end;
    f->x.end -= (int)b.width + 12;
    return b;
}

static void draw_legend(grd_bytes *out, const panel_frame *f, box b)
{
    if (b.height <= 0)
        return;
    put_box(out, b, "fill=\"#ffffff\" stroke=\"#cccccc\"");
    double y = b.y + 13;
    for (int s = 0; s < f->panel->n_series; s++) {
        const grd_svg_series *series = &f->panel->series[s];
        if (!letters(series->name))
            continue;
        char stroke[96];
        snprintf(stroke, sizeof stroke, "stroke=\"%s\" stroke-width=\"2\"%s", colours[s % COLOURS], dashes(series));
        put_line(out, b.x + 8, y, b.x + 34, y, stroke);
        put_text(out, b.x + 40, y + 4, "start", 12, "", series->name);
        y += 18;
    }
}

static void draw_panel(grd_bytes *out, const grd_svg_panel *panel, int left, int top, int width, int height)
{
    panel_frame f = { .panel = panel };
    find_ranges(&f);
    f.y.begin = top + height - (panel->x_label ? 52 : 34);
    f.y.end = top + (panel->title ? 40 : 16);
    find_ticks(&f, width - 96, f.y.begin - f.y.end);
    f.x.begin = left + 16 + widest_tick(&f.y) + (panel->y_label ? 24 : 0);
    f.x.end = left + width - 22;
    box legend = place_legend(&f);
    draw_axes(out, &f);
    for (int s = 0; s < panel->n_series; s++) {
        draw_lines(out, &f, &panel->series[s], colours[s % COLOURS]);
        draw_points(out, &f, &panel->series[s], colours[s % COLOURS]);
    }
    draw_legend(out, &f, legend);
    double middle_x = (f.x.begin + f.x.end) / 2.0, middle_y = (f.y.begin + f.y.end) / 2.0;
    char turned[64];
    snprintf(turned, sizeof turned, " transform=\"rotate(-90 %d %.1f)\"", left + 20, middle_y);
    if (panel->title)
        put_text(out, middle_x, top + 26, "middle", 16, " font-weight=\"bold\"", panel->title);
    if (panel->x_label)
        put_text(out, middle_x, f.y.begin + 40, "middle", 13, "", panel->x_label);
    if (panel->y_label)
        put_text(out, left + 20, middle_y, "middle", 13, turned, panel->y_label);
}

/* ---- the whole ---- */

grd_status grd_svg_encode(grd_host *host, const grd_svg_plot *plot, char **text, size_t *size)
{
    *text = NULL;
    *size = 0;
    int n = plot->n_panels, columns = plot->columns > 0 ? plot->columns : n <= 1 ? 1 : n < 5 ? 2 : 3;
    int width = plot->width > 0 ? plot->width : n <= 1 ? 800 : 520, height = plot->height > 0 ? plot->height : n <= 1 ? 500 : 340;
    int rows = (n + columns - 1) / columns, top = plot->title ? 44 : 0;
    grd_bytes out;
    grd_bytes_init(&out, host);
    int whole_width = columns * width, whole_height = rows * height + top;
    grd_bytes_print(&out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" ",
                    whole_width, whole_height, whole_width, whole_height);
    grd_bytes_text(&out, "font-family=\"sans-serif\" fill=\"#222222\">\n");
    put_box(&out, (box){ 0, 0, whole_width, whole_height }, "fill=\"#ffffff\"");
    if (plot->title)
        put_text(&out, whole_width / 2.0, 30, "middle", 20, " font-weight=\"bold\"", plot->title);
    for (int i = 0; i < n; i++)
        draw_panel(&out, &plot->panel[i], i % columns * width, top + i / columns * height, width, height);
    grd_bytes_text(&out, "</svg>\n");
    grd_bytes_zeros(&out, 1);
    if (out.failed) {
        grd_bytes_free(&out);
        return GRD_ERR_MEMORY;
    }
    *text = (char *)out.data;
    *size = out.size - 1;
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
