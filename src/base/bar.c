#define _GNU_SOURCE
#include "base/bar.h"

#include <gradus/base.h>

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE = 512, UNKNOWN_BAR = 10 };

const char *grd_clock_text(double seconds, char text[24])
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9)
        return "?";
    int64_t s = (int64_t)seconds;
    if (s >= 3600)
        snprintf(text, 24, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
    else
        snprintf(text, 24, "%02lld:%02lld", (long long)(s / 60), (long long)(s % 60));
    return text;
}

grd_bar grd_bar_make(FILE *file, int mode, bool ascii)
{
    grd_bar bar = { .file = mode == GRD_PROGRESS_OFF ? NULL : file, .ascii = ascii };
    bar.bar = bar.file && (mode == GRD_PROGRESS_BAR || (mode != GRD_PROGRESS_PLAIN && isatty(fileno(bar.file))));
    return bar;
}

/* `cells` columns, filled to the eighth (to the tenth in ASCII). Returns its bytes. */
static size_t bar_text(double share, int cells, bool ascii, char *text)
{
    int parts = ascii ? 10 : 8, filled = (int)(share * cells * parts + 1e-9);
    char *out = text;
    for (int i = 0; i < cells; i++) {
        int part = filled - i * parts;
        if (part <= 0)
            *out++ = ' ';
        else if (ascii)
            *out++ = part >= parts ? '#' : (char)('0' + part);
        else { /* U+2588 is full, U+258F one eighth */
            *out++ = (char)0xE2;
            *out++ = (char)0x96;
            *out++ = (char)(part >= parts ? 0x88 : 0x90 - part);
        }
    }
    *out = 0;
    return (size_t)(out - text);
}

static int columns(FILE *file)
{
    struct winsize size;
    return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 0;
}

/* Writes over the line that stands there; `wide` is how many columns the text takes. */
static void write_over(grd_bar *bar, const char *text, int wide)
{
    fprintf(bar->file, "\r%s", text);
    if (bar->width > wide)
        fprintf(bar->file, "%*s", bar->width - wide, "");
    bar->width = wide;
    fflush(bar->file);
}

/* Nobody knows how much there is: words only. */
static void draw_unknown(grd_bar *bar, const char *name, const char *tail)
{
    char text[2 * LINE];
    snprintf(text, sizeof text, "%s: %s", name, tail);
    if (!bar->bar) {
        fprintf(bar->file, "%s\n", text);
        fflush(bar->file);
        return;
    }
    int wide = columns(bar->file), n = (int)strlen(text);
    if (wide && n > wide - 1)
        text[n = wide - 1] = 0;
    write_over(bar, text, n);
}

void grd_bar_draw(grd_bar *bar, const char *name, double share, const char *tail)
{
    char head[LINE], rest[LINE], cells_text[3 * LINE + 1], text[6 * LINE];
    if (!bar->file)
        return;
    if (isnan(share)) {
        draw_unknown(bar, name, tail);
        return;
    }
    int percent = (int)(100 * share);
    if (!bar->bar) {
        fprintf(bar->file, "%s: %3d%% %s\n", name, percent, tail);
        fflush(bar->file);
        return;
    }
    snprintf(head, sizeof head, "%s: %3d%%|", name, percent);
    snprintf(rest, sizeof rest, "%s", tail);
    int wide = columns(bar->file), fixed = (int)strlen(head) + 2 + (int)strlen(rest);
    int cells = !wide ? UNKNOWN_BAR : wide - 1 - fixed > 1 ? wide - 1 - fixed : 1;
    cells = cells > LINE ? LINE : cells;
    bar_text(share, cells, bar->ascii, cells_text);
    int over = wide ? fixed + cells - (wide - 1) : 0; /* a narrow terminal cuts the end off: it would wrap and scroll */
    if (over > 0)
        rest[over < (int)strlen(rest) ? (int)strlen(rest) - over : 0] = 0;
    snprintf(text, sizeof text, "%s%s| %s", head, cells_text, rest);
    write_over(bar, text, (int)strlen(head) + cells + 2 + (int)strlen(rest));
}

void grd_bar_stay(grd_bar *bar, const char *text)
{
    if (!bar->file)
        return;
    if (bar->bar)
        write_over(bar, text, (int)strlen(text));
    else
        fputs(text, bar->file);
    fputc('\n', bar->file);
    bar->width = 0;
    fflush(bar->file);
}

void grd_bar_leave(grd_bar *bar)
{
    if (bar->width) {
        fputc('\n', bar->file);
        bar->width = 0;
        fflush(bar->file);
    }
}
