/* The report as one HTML page. Samples that are shown are made again: the pass keeps no pictures. */
#include "data/inspect.h"

#include "format/html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 72, NAME = 300, SHOWN = 12, SHOWN_NAMES = 30, PER_CLASS = 10, MOST_CLASSES = 60, SUSPECTS = 80, OVERLAYS = 8,
       BINS = 24 };

typedef struct page {
    const grd_report *r;
    grd_bytes *out;
    grd_sample *sample;
    uint8_t pixels[SIDE * SIDE * 3];
    double lo, hi; /* black and white */
} page;

/* ---- pictures ---- */

static bool shows_pictures(const grd_report *r)
{
    return r->input >= 0 && grd_is_picture(&r->field[r->input]);
}

static void find_range(page *p)
{
    const grd_field *f = &p->r->field[p->r->input];
    p->lo = 0, p->hi = 0;
    for (int s = 0; s < p->r->n_sets; s++)
        if (p->r->stats[s][p->r->input].samples) {
            p->lo = fmin(p->lo, p->r->stats[s][p->r->input].min);
            p->hi = fmax(p->hi, p->r->stats[s][p->r->input].max);
        }
    if (f->dtype == GRD_U8 && p->hi > 15)
        p->hi = 255;
    if (!(p->hi > p->lo))
        p->hi = p->lo + 1;
}

/* Colours of classes in a mask: far apart, the first (background) none. */
static void tint(uint8_t *rgb, double class)
{
    static const uint8_t colour[][3] = { { 230, 159, 0 }, { 86, 180, 233 }, { 0, 158, 115 },  { 240, 228, 66 },
                                         { 0, 114, 178 }, { 213, 94, 0 },   { 204, 121, 167 } };
    if (!(class >= 1))
        return;
    const uint8_t *c = colour[(int64_t)(class - 1) % 7];
    for (int k = 0; k < 3; k++)
        rgb[k] = (uint8_t)((rgb[k] + c[k]) / 2);
}

/* The sample as RGB, made smaller by leaving out pixels; false if it has none. */
static bool draw(page *p, bool overlay, int *width, int *height)
{
    const grd_report *r = p->r;
    const grd_shape *shape = &p->sample->shape[r->input];
    int64_t h = shape->dim[shape->rank - 2], w = shape->dim[shape->rank - 1], channels = shape->rank == 3 ? shape->dim[0] : 1;
    if (grd_count(shape) < 1)
        return false;
    int64_t longer = h > w ? h : w;
    *height = (int)(longer > SIDE ? h * SIDE / longer : h);
    *width = (int)(longer > SIDE ? w * SIDE / longer : w);
    *height += *height == 0;
    *width += *width == 0;
    for (int y = 0; y < *height; y++)
        for (int x = 0; x < *width; x++) {
            int64_t at = y * h / *height * w + x * w / *width;
            uint8_t *rgb = p->pixels + (y * *width + x) * 3;
            for (int c = 0; c < 3; c++) {
                double v = grd_element(p->sample->data[r->input], r->field[r->input].dtype, (channels >= 3 ? c : 0) * h * w + at);
                v = (v - p->lo) / (p->hi - p->lo) * 255;
                rgb[c] = v > 0 ? v < 255 ? (uint8_t)(v + 0.5) : 255 : 0;
            }
            if (overlay)
                tint(rgb, grd_element(p->sample->data[r->mask], r->field[r->mask].dtype, at));
        }
    return true;
}

/* One figure of sample i; without a picture its name alone. */
static grd_status figure(page *p, int64_t i, const char *caption, bool overlay)
{
    int width, height;
    if (grd_report_get(p->r, i, p->sample) != GRD_OK || !draw(p, overlay, &width, &height)) {
        grd_html_tag(p->out, "figure", caption);
        return GRD_OK;
    }
    int scale = SIDE / (width > height ? width : height);
    return grd_html_figure(p->out, width, height, 3, p->pixels, scale < 1 ? 1 : scale, caption);
}

static void caption_of(const grd_report *r, int64_t i, char *text, size_t size)
{
    char name[NAME], label[24];
    const char *set;
    const char *of = grd_report_name(r, i, &set, name, sizeof name);
    if (r->seen[i].label >= 0)
        snprintf(text, size, "%s %s: %s", set, of, grd_report_class(r, r->seen[i].label, label));
    else
        snprintf(text, size, "%s %s", set, of);
}

/* ---- findings ---- */

static grd_status put_samples(page *p, const grd_check_finding *f)
{
    char text[NAME + 80];
    bool pictures = shows_pictures(p->r);
    int64_t most = pictures ? SHOWN : SHOWN_NAMES;
    if (f->n)
        grd_bytes_text(p->out, "<div class=\"small\">");
    for (int64_t i = 0; i < f->n && i < most; i++) {
        caption_of(p->r, f->sample[i], text, sizeof text);
        if (pictures)
            GRD_TRY(figure(p, f->sample[i], text, false));
        else
            grd_html_escape(p->out, i ? "; " : "");
        if (!pictures)
            grd_html_escape(p->out, text);
    }
    if (f->n > most)
        grd_bytes_print(p->out, " and %lld more", (long long)(f->n - most));
    grd_bytes_text(p->out, f->n ? "</div>\n" : "");
    return GRD_OK;
}

static grd_status put_findings(page *p)
{
    const grd_report *r = p->r;
    char summary[160];
    grd_html_tag(p->out, "p", grd_report_summary(r, summary, sizeof summary));
    grd_html_tag(p->out, "h2", r->findings.n ? "Findings" : "No findings");
    for (int i = 0; i < r->findings.n; i++) {
        const grd_check_finding *f = &r->findings.item[i];
        grd_bytes_print(p->out, "<h3><span class=\"%s\">%s</span> ", grd_level_names[f->level], grd_level_names[f->level]);
        grd_html_escape(p->out, f->rule);
        grd_bytes_text(p->out, "</h3>\n");
        grd_html_tag(p->out, "div", f->text);
        grd_bytes_text(p->out, "<div class=\"small\">What to do: ");
        grd_html_escape(p->out, f->advice);
        grd_bytes_text(p->out, "</div>\n");
        GRD_TRY(put_samples(p, f));
    }
    return GRD_OK;
}

/* ---- suspects ---- */

static grd_status put_suspects(page *p)
{
    const grd_report *r = p->r;
    char name[NAME], text[NAME + 120], label[24], predicted[24];
    const char *set;
    if (!r->suspects.n)
        return GRD_OK;
    grd_html_tag(p->out, "h2", "Suspect labels");
    grd_bytes_print(
        p->out,
        "<p class=\"small\">Label, then what a quick model says that has not seen the sample (it is right for %.1f %% of all). "
        "The worst first, %d of %d.</p>\n",
        100 * r->model_accuracy, r->suspects.n < SUSPECTS ? r->suspects.n : SUSPECTS, r->suspects.n);
    static const char *const head[] = { "set", "sample", "label", "predicted", "score" };
    bool pictures = shows_pictures(r);
    if (!pictures)
        grd_html_table(p->out, head, 5);
    for (int i = 0; i < r->suspects.n && i < SUSPECTS; i++) {
        const grd_suspect *s = &r->suspects.item[i];
        const char *of = grd_report_name(r, s->sample, &set, name, sizeof name);
        const char *is = grd_report_class(r, s->label, label), *says = grd_report_class(r, s->predicted, predicted);
        snprintf(text, sizeof text, "%s -> %s (%.2f) %s %s", is, says, s->score, set, of);
        if (pictures) {
            GRD_TRY(figure(p, s->sample, text, false));
            continue;
        }
        const char *const cell[] = { set, of, is, says };
        grd_html_row(p->out);
        for (int k = 0; k < 4; k++)
            grd_html_cell(p->out, "%s", cell[k]);
        grd_html_cell(p->out, "%.3f", s->score);
    }
    if (!pictures)
        grd_html_table_end(p->out);
    return GRD_OK;
}

/* ---- what there is ---- */

static void put_sets(page *p)
{
    static const char *const head[] = { "set", "samples", "field", "type", "sizes", "min", "max", "mean", "std", "missing" };
    const grd_report *r = p->r;
    grd_html_tag(p->out, "h2", "Sets");
    grd_html_table(p->out, head, 10);
    for (int s = 0; s < r->n_sets; s++)
        for (int f = 0; f < r->n_fields; f++) {
            const grd_field_stats *t = &r->stats[s][f];
            char least[96] = "", most[96] = "", mean[100] = "", std[100] = "";
            for (int k = 0; k < r->field[f].shape.rank; k++) {
                snprintf(least + strlen(least), sizeof least - strlen(least), "%s%lld", k ? " x " : "", (long long)t->least[k]);
                snprintf(most + strlen(most), sizeof most - strlen(most), "%s%lld", k ? " x " : "", (long long)t->most[k]);
            }
            for (int c = 0; c < t->channels; c++) {
                double n = (double)t->count[c], off = n > 0 ? t->sum[c] / n : 0, var = n > 0 ? t->squares[c] / n - off * off : 0;
                snprintf(mean + strlen(mean), sizeof mean - strlen(mean), "%.5g ", t->shift[c] + off);
                snprintf(std + strlen(std), sizeof std - strlen(std), "%.5g ", sqrt(var > 0 ? var : 0));
            }
            const char *const cell[] = { r->name[s], r->field[f].name, grd_dtype_name(r->field[f].dtype) };
            grd_html_row(p->out);
            grd_html_cell(p->out, "%s", cell[0]);
            grd_html_cell(p->out, "%lld", (long long)t->samples);
            grd_html_cell(p->out, "%s", cell[1]);
            grd_html_cell(p->out, "%s", cell[2]);
            bool same = strcmp(least, most) == 0;
            grd_html_cell(p->out, "%s%s%s", least, same ? "" : " to ", same ? "" : most);
            grd_html_cell(p->out, "%.5g", t->min);
            grd_html_cell(p->out, "%.5g", t->max);
            grd_html_cell(p->out, "%s", mean);
            grd_html_cell(p->out, "%s", std);
            grd_html_cell(p->out, "%lld", (long long)t->missing);
        }
    grd_html_table_end(p->out);
}

/* Shares of classes, the sets side by side. */
static grd_status put_classes(page *p)
{
    const grd_report *r = p->r;
    int n = (int)(r->classes < MOST_CLASSES ? r->classes : MOST_CLASSES);
    if (n < 1)
        return GRD_OK;
    double *share = GRD_NEW_N(r->host, double, n * r->n_sets);
    const char **name = GRD_NEW_N(r->host, const char *, n);
    char(*text)[24] = grd_alloc(r->host, sizeof *text * (size_t)n);
    grd_status status = share && name && text ? GRD_OK : GRD_ERR_MEMORY;
    for (int c = 0; c < n && status == GRD_OK; c++) {
        name[c] = grd_report_class(r, c, text[c]);
        for (int s = 0; s < r->n_sets; s++) {
            int64_t all = r->first[s + 1] - r->first[s];
            share[s * n + c] = all ? 100 * (double)r->class_count[s * r->classes + c] / (double)all : 0;
        }
    }
    if (status == GRD_OK) {
        grd_html_tag(p->out, "h2", "Classes, % of each set");
        grd_html_bars(p->out, name, n, r->name, r->n_sets, share);
    }
    grd_free(r->host, share);
    grd_free(r->host, name);
    grd_free(r->host, text);
    return status;
}

static grd_status put_class_sheet(page *p, int64_t class)
{
    const grd_report *r = p->r;
    char text[NAME + 80], label[24];
    int n = 0;
    for (int64_t i = r->first[0]; i < r->first[1] && n < PER_CLASS; i++) {
        if (r->seen[i].label != class || r->seen[i].flags & GRD_SEEN_UNREADABLE)
            continue;
        if (n++ == 0)
            grd_html_tag(p->out, "h3", grd_report_class(r, class, label));
        GRD_TRY(figure(p, i, grd_report_name(r, i, NULL, text, sizeof text), false));
    }
    return GRD_OK;
}

static grd_status put_sheets(page *p)
{
    const grd_report *r = p->r;
    char text[NAME + 80];
    if (!shows_pictures(r))
        return GRD_OK;
    grd_html_tag(p->out, "h2", r->classes ? "Some of each class" : "Some samples");
    for (int64_t c = 0; c < r->classes && c < MOST_CLASSES; c++)
        GRD_TRY(put_class_sheet(p, c));
    for (int64_t i = 0; i < r->first[1] && i < 2 * PER_CLASS && !r->classes; i++) {
        caption_of(r, i, text, sizeof text);
        GRD_TRY(figure(p, i, text, false));
    }
    if (r->mask < 0 || !grd_is_picture(&r->field[r->mask]))
        return GRD_OK;
    grd_html_tag(p->out, "h2", "Images under their masks");
    for (int64_t i = 0, n = 0; i < r->first[1] && n < OVERLAYS; i++) {
        if (r->seen[i].flags & (GRD_SEEN_UNREADABLE | GRD_SEEN_MASK))
            continue;
        caption_of(r, i, text, sizeof text);
        GRD_TRY(figure(p, i, text, true));
        n++;
    }
    return GRD_OK;
}

/* ---- columns, with a histogram each ---- */

static grd_status count_bins(page *p, double *bins)
{
    const grd_report *r = p->r;
    const int64_t step = r->n / 20000 + 1; /* enough for a picture of it */
    for (int64_t i = 0; i < r->n; i += step) {
        grd_status status = grd_report_get(r, i, p->sample);
        if (status == GRD_ERR_MEMORY)
            return grd_fail(r->host, status, "%s", p->sample->error);
        for (int k = 0; k < r->n_columns && status == GRD_OK; k++) {
            const grd_column *c = &r->column[k];
            double x = grd_element(p->sample->data[c->field], r->field[c->field].dtype, c->element);
            if (isfinite(x) && c->max > c->min && x >= c->min && x <= c->max)
                bins[k * BINS + (int)fmin(BINS - 1, (x - c->min) / (c->max - c->min) * BINS)]++;
        }
    }
    return GRD_OK;
}

static grd_status put_columns(page *p)
{
    static const char *const head[] = { "column", "min",     "median",           "max",      "mean",
                                        "std",    "missing", "tells the target", "histogram" };
    const grd_report *r = p->r;
    if (!r->n_columns)
        return GRD_OK;
    double *bins = GRD_NEW_N(r->host, double, r->n_columns *BINS);
    grd_status status = bins ? count_bins(p, bins) : GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        grd_html_tag(p->out, "h2", "Columns");
        grd_html_table(p->out, head, 9);
    }
    for (int k = 0; k < r->n_columns && status == GRD_OK; k++) {
        const grd_column *c = &r->column[k];
        const double number[] = { c->min, c->median, c->max, c->mean, c->std };
        grd_html_row(p->out);
        grd_html_cell(p->out, "%s", c->name);
        for (int e = 0; e < 5; e++)
            grd_html_cell(p->out, "%.5g", number[e]);
        grd_html_cell(p->out, "%lld", (long long)c->missing);
        grd_html_cell(p->out, "%.3f", c->leak);
        grd_bytes_text(p->out, "<td>");
        grd_html_bars(p->out, NULL, BINS, NULL, 1, bins + k * BINS);
    }
    if (status == GRD_OK)
        grd_html_table_end(p->out);
    grd_free(r->host, bins);
    return status;
}

/* ---- all of it ---- */

static grd_status put_all(page *p)
{
    GRD_TRY(put_findings(p));
    GRD_TRY(put_suspects(p));
    put_sets(p);
    GRD_TRY(put_classes(p));
    GRD_TRY(put_columns(p));
    return put_sheets(p);
}

grd_status grd_report_page(const grd_report *r, grd_bytes *out)
{
    char title[300];
    page *p = GRD_NEW(r->host, page);
    if (!p)
        return GRD_ERR_MEMORY;
    p->r = r;
    p->out = out;
    if (r->input >= 0)
        find_range(p);
    snprintf(title, sizeof title, "Data check%s%.250s", r->opts.title ? ": " : "", r->opts.title ? r->opts.title : "");
    grd_html_begin(out, title);
    grd_status status = grd_sample_new(r->set[0], r->ctx, &p->sample);
    if (status == GRD_OK)
        status = put_all(p);
    grd_html_end(out);
    grd_sample_free(p->sample, r->ctx);
    grd_free(r->host, p);
    return status == GRD_OK ? grd_bytes_status(out) : status;
}
