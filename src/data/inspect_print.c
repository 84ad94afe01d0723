/* A report as text for people, as JSON, and as the files of grd_report_write. */
#include "data/inspect.h"

#include "base/file.h"
#include "tensor/tensor.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 1024, SHOWN = 5, SHOWN_SUSPECTS = 10 };

/* ---- text ---- */

static void print_names(const grd_report *r, const grd_check_finding *f, FILE *out)
{
    char text[NAME];
    const char *set;
    for (int64_t i = 0; i < f->n && i < SHOWN; i++) {
        const char *name = grd_report_name(r, f->sample[i], &set, text, sizeof text);
        fprintf(out, "%s%s %s", i ? ", " : "    ", set, name);
    }
    if (f->n)
        fprintf(out, "%s\n", f->n > SHOWN ? ", ..." : "");
}

void grd_report_print(const grd_report *r, FILE *out)
{
    char text[NAME], label[24], predicted[24];
    const char *set;
    for (int i = 0; i < r->findings.n; i++) {
        const grd_check_finding *f = &r->findings.item[i];
        fprintf(out, "%s: %s: %s\n", grd_level_names[f->level], f->rule, f->text);
        print_names(r, f, out);
        fprintf(out, "    -> %s\n", f->advice);
    }
    for (int i = 0; i < r->suspects.n && i < SHOWN_SUSPECTS; i++) {
        const grd_suspect *s = &r->suspects.item[i];
        if (i == 0)
            fprintf(out, "\nmost suspect labels of %d listed (--json, --out):\n", r->suspects.n);
        const char *name = grd_report_name(r, s->sample, &set, text, sizeof text);
        fprintf(out, "  %s %s: label %s, predicted %s, score %.3f\n", set, name, grd_report_class(r, s->label, label),
                grd_report_class(r, s->predicted, predicted), s->score);
    }
    char summary[160];
    fprintf(out, "%s%s; %.1f s\n", r->suspects.n ? "\n" : "", grd_report_summary(r, summary, sizeof summary), r->seconds);
}

static const char *sizes_text(const grd_report *r, int s, int f, char *text, size_t size)
{
    const grd_field_stats *t = &r->stats[s][f];
    grd_shape least = r->field[f].shape, most = least;
    char a[96], b[96];
    for (int k = 0; k < least.rank; k++) {
        least.dim[k] = t->least[k];
        most.dim[k] = t->most[k];
    }
    grd_shape_text(&least, a, sizeof a);
    grd_shape_text(&most, b, sizeof b);
    bool same = strcmp(a, b) == 0;
    snprintf(text, size, "%s%s%s", a, same ? "" : " to ", same ? "" : b);
    return text;
}

static double mean_of(const grd_field_stats *t, int c)
{
    return t->count[c] ? t->shift[c] + t->sum[c] / (double)t->count[c] : NAN;
}

static double std_of(const grd_field_stats *t, int c)
{
    double n = (double)t->count[c], var = n > 0 ? t->squares[c] / n - t->sum[c] / n * (t->sum[c] / n) : NAN;
    return sqrt(var > 0 ? var : var - var);
}

static void print_classes(const grd_report *r, FILE *out)
{
    char text[24];
    fprintf(out, "\n%-20s", r->field[r->label].name);
    for (int s = 0; s < r->n_sets; s++)
        fprintf(out, "%18s", r->name[s]);
    fputc('\n', out);
    for (int64_t c = 0; c < r->classes; c++) {
        fprintf(out, "%-20.19s", grd_report_class(r, c, text));
        for (int s = 0; s < r->n_sets; s++) {
            int64_t n = r->class_count[s * r->classes + c], all = r->first[s + 1] - r->first[s];
            fprintf(out, "%9lld %6.2f %%", (long long)n, all ? 100.0 * (double)n / (double)all : 0);
        }
        fputc('\n', out);
    }
}

void grd_report_stats(const grd_report *r, FILE *out)
{
    char sizes[200];
    for (int s = 0; s < r->n_sets; s++) {
        fprintf(out, "%s: %lld samples\n", r->name[s], (long long)(r->first[s + 1] - r->first[s]));
        for (int f = 0; f < r->n_fields; f++) {
            const grd_field_stats *t = &r->stats[s][f];
            if (!t->samples)
                continue;
            fprintf(out, "  %s: %s %s, %g to %g, mean", r->field[f].name, grd_dtype_name(r->field[f].dtype),
                    sizes_text(r, s, f, sizes, sizeof sizes), t->min, t->max);
            for (int c = 0; c < t->channels; c++)
                fprintf(out, " %.7g", mean_of(t, c));
            fprintf(out, ", std");
            for (int c = 0; c < t->channels; c++)
                fprintf(out, " %.7g", std_of(t, c));
            if (t->missing)
                fprintf(out, ", %lld values missing", (long long)t->missing);
            fputc('\n', out);
        }
    }
    if (r->classes > 0)
        print_classes(r, out);
    if (r->n_columns)
        fprintf(out, "\n%-24s%12s%12s%12s%12s%12s%9s\n", "column", "min", "median", "max", "mean", "std", "missing");
    for (int k = 0; k < r->n_columns; k++) {
        const grd_column *c = &r->column[k];
        fprintf(out, "%-24s%12.5g%12.5g%12.5g%12.5g%12.5g%9lld\n", c->name, c->min, c->median, c->max, c->mean, c->std,
                (long long)c->missing);
    }
}

/* ---- JSON ---- */

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Names come from files: what is not UTF-8 is shown as far as it can be. */
static json_t *text_of(const char *text)
{
    json_t *value = json_string(text);
    if (value)
        return value;
    char ascii[GRD_PRINTABLE];
    return json_string(grd_printable(text, strlen(text), ascii));
}

static json_t *class_of(const grd_report *r, int64_t label)
{
    char text[24];
    return grd_dataset_class(r->set[0], label) ? text_of(grd_report_class(r, label, text)) : json_integer(label);
}

static json_t *finding_json(const grd_report *r, const grd_check_finding *f)
{
    char text[NAME];
    const char *set;
    json_t *names = json_array(), *sets = json_array();
    for (int64_t i = 0; i < f->n; i++) {
        json_array_append_new(names, text_of(grd_report_name(r, f->sample[i], &set, text, sizeof text)));
        json_array_append_new(sets, json_string(set));
    }
    json_t *o = json_object();
    json_object_set_new(o, "rule", json_string(f->rule));
    json_object_set_new(o, "level", json_string(grd_level_names[f->level]));
    json_object_set_new(o, "count", json_integer(f->count));
    json_object_set_new(o, "samples", names);
    json_object_set_new(o, "sets", sets);
    json_object_set_new(o, "text", text_of(f->text));
    json_object_set_new(o, "advice", json_string(f->advice));
    return o;
}

static json_t *suspect_json(const grd_report *r, const grd_suspect *s)
{
    char text[NAME];
    const char *set;
    json_t *o = json_object();
    json_object_set_new(o, "name", text_of(grd_report_name(r, s->sample, &set, text, sizeof text)));
    json_object_set_new(o, "label", class_of(r, s->label));
    json_object_set_new(o, "predicted", class_of(r, s->predicted));
    json_object_set_new(o, "score", number(s->score));
    json_object_set_new(o, "set", json_string(set));
    json_object_set_new(o, "confident", json_boolean(s->confident));
    return o;
}

static json_t *field_json(const grd_report *r, int s, int f)
{
    const grd_field_stats *t = &r->stats[s][f];
    json_t *o = json_object(), *mean = json_array(), *std = json_array(), *least = json_array(), *most = json_array();
    for (int c = 0; c < t->channels; c++) {
        json_array_append_new(mean, number(mean_of(t, c)));
        json_array_append_new(std, number(std_of(t, c)));
    }
    for (int k = 0; k < r->field[f].shape.rank; k++) {
        json_array_append_new(least, json_integer(t->least[k]));
        json_array_append_new(most, json_integer(t->most[k]));
    }
    json_object_set_new(o, "name", json_string(r->field[f].name));
    json_object_set_new(o, "dtype", json_string(grd_dtype_name(r->field[f].dtype)));
    json_object_set_new(o, "least", least);
    json_object_set_new(o, "most", most);
    json_object_set_new(o, "min", t->samples ? number(t->min) : json_null());
    json_object_set_new(o, "max", t->samples ? number(t->max) : json_null());
    json_object_set_new(o, "mean", mean);
    json_object_set_new(o, "std", std);
    json_object_set_new(o, "missing", json_integer(t->missing));
    return o;
}

static json_t *set_json(const grd_report *r, int s)
{
    json_t *o = json_object(), *fields = json_array(), *counts = json_array();
    for (int f = 0; f < r->n_fields; f++)
        json_array_append_new(fields, field_json(r, s, f));
    for (int64_t c = 0; c < r->classes; c++)
        json_array_append_new(counts, json_integer(r->class_count[s * r->classes + c]));
    json_object_set_new(o, "name", json_string(r->name[s]));
    json_object_set_new(o, "samples", json_integer(r->first[s + 1] - r->first[s]));
    json_object_set_new(o, "fields", fields);
    json_object_set_new(o, "class_counts", counts);
    return o;
}

static json_t *column_json(const grd_column *c)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "min", c->min }, { "max", c->max },       { "mean", c->mean },
        { "std", c->std }, { "median", c->median }, { "tells_target", c->leak },
    };
    json_t *o = json_object();
    json_object_set_new(o, "name", text_of(c->name));
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        json_object_set_new(o, numbers[k].key, c->n ? number(numbers[k].value) : json_null());
    json_object_set_new(o, "missing", json_integer(c->missing));
    return o;
}

grd_status grd_report_json(const grd_report *r, FILE *out)
{
    json_t *all = json_object(), *findings = json_array(), *suspects = json_array(), *sets = json_array(),
           *columns = json_array();
    json_t *classes = json_array();
    for (int i = 0; i < r->findings.n; i++)
        json_array_append_new(findings, finding_json(r, &r->findings.item[i]));
    for (int i = 0; i < r->suspects.n; i++)
        json_array_append_new(suspects, suspect_json(r, &r->suspects.item[i]));
    for (int s = 0; s < r->n_sets; s++)
        json_array_append_new(sets, set_json(r, s));
    for (int k = 0; k < r->n_columns; k++)
        json_array_append_new(columns, column_json(&r->column[k]));
    for (int64_t c = 0; c < r->classes; c++)
        json_array_append_new(classes, class_of(r, c));
    json_object_set_new(all, "findings", findings);
    json_object_set_new(all, "suspects", suspects);
    json_object_set_new(all, "sets", sets);
    json_object_set_new(all, "columns", columns);
    json_object_set_new(all, "classes", classes);
    json_object_set_new(all, "model_accuracy", r->model_accuracy > 0 ? number(r->model_accuracy) : json_null());
    json_object_set_new(all, "seconds", number(r->seconds));
    /* an object that memory has failed lacks a part; its text then is not given out */
    bool whole = all && findings && suspects && sets && columns && classes && json_object_size(all) == 7;
    int failed = whole ? json_dumpf(all, out, JSON_REAL_PRECISION(9)) : -1;
    json_decref(all);
    fputc('\n', out);
    return failed ? grd_fail(r->host, whole ? GRD_ERR_IO : GRD_ERR_MEMORY, "data check: cannot write the JSON") : GRD_OK;
}

/* ---- files ---- */

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Of the findings that a list can mend, the samples to leave out: of copies within a set all but the first. */
static bool to_leave_out(const grd_report *r, const grd_check_finding *f, int64_t i)
{
    static const char *const whole[] = { "unreadable", "label-range", "value-range", "mask-size" };
    const grd_seen *s = &r->seen[f->sample[i]];
    for (size_t k = 0; k < sizeof whole / sizeof *whole; k++)
        if (strcmp(f->rule, whole[k]) == 0)
            return true;
    if (strcmp(f->rule, "duplicate-across-splits") == 0)
        return s->set == 0;
    if (strcmp(f->rule, "duplicate") != 0)
        return false;
    for (int64_t k = i; k-- > 0 && r->seen[f->sample[k]].hash[0] == s->hash[0];)
        if (r->seen[f->sample[k]].set == s->set)
            return true;
    return false;
}

static grd_status exclude_list(const grd_report *r, grd_arena *arena, grd_bytes *out)
{
    int64_t most = 0, n = 0;
    char text[NAME];
    for (int k = 0; k < r->findings.n; k++)
        most += r->findings.item[k].n;
    const char **name = GRD_NEW_N(r->host, const char *, most);
    if (!name)
        return GRD_ERR_MEMORY;
    grd_status status = GRD_OK;
    for (int k = 0; k < r->findings.n; k++)
        for (int64_t i = 0; i < r->findings.item[k].n && status == GRD_OK; i++)
            if (to_leave_out(r, &r->findings.item[k], i)) {
                name[n] = grd_arena_strdup(arena, grd_report_name(r, r->findings.item[k].sample[i], NULL, text, sizeof text));
                status = name[n++] ? GRD_OK : GRD_ERR_MEMORY;
            }
    if (status == GRD_OK && n)
        qsort(name, (size_t)n, sizeof *name, by_text);
    grd_bytes_text(out, "# for data.exclude: what cannot be used, and copies\n");
    for (int64_t i = 0; i < n && status == GRD_OK; i++)
        if (i == 0 || strcmp(name[i], name[i - 1]) != 0)
            grd_bytes_print(out, "%s\n", name[i]);
    grd_free(r->host, name);
    return status;
}

static void relabel_list(const grd_report *r, grd_bytes *out)
{
    char text[NAME];
    const char *set;
    grd_bytes_text(out, "# for data.relabel, once looked at: a quick model's prediction for each suspect, the worst first\n");
    for (int i = 0; i < r->suspects.n; i++) {
        const grd_suspect *s = &r->suspects.item[i];
        const char *name = grd_report_name(r, s->sample, &set, text, sizeof text);
        if (strcmp(set, r->name[0]) == 0) /* names may stand in several sets: those of the first one */
            grd_bytes_print(out, "%s %d\n", name, (int)s->predicted);
    }
}

static grd_status write_beside(const grd_report *r, const char *path, const char *end, const grd_bytes *bytes)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    int stem = dot && (!slash || dot > slash + 1) && dot != path ? (int)(dot - path) : (int)strlen(path);
    char *beside = end ? grd_format(r->host, "%.*s%s", stem, path, end) : grd_strdup(r->host, path);
    if (!beside)
        return GRD_ERR_MEMORY;
    grd_status status = grd_bytes_status(bytes);
    if (status == GRD_OK)
        status = grd_file_write(r->host, beside, bytes->data, bytes->size);
    grd_free(r->host, beside);
    return status;
}

grd_status grd_report_write(const grd_report *r, const char *path)
{
    grd_bytes page, exclude, relabel;
    grd_arena arena;
    grd_arena_init(&arena, r->host);
    grd_bytes_init(&page, r->host);
    grd_bytes_init(&exclude, r->host);
    grd_bytes_init(&relabel, r->host);
    grd_status status = grd_report_page(r, &page);
    if (status == GRD_OK)
        status = exclude_list(r, &arena, &exclude);
    relabel_list(r, &relabel);
    if (status == GRD_OK)
        status = write_beside(r, path, NULL, &page);
    if (status == GRD_OK)
        status = write_beside(r, path, "-exclude.txt", &exclude);
    if (status == GRD_OK)
        status = write_beside(r, path, "-relabel.txt", &relabel);
    grd_bytes_free(&page);
    grd_bytes_free(&exclude);
    grd_bytes_free(&relabel);
    grd_arena_free(&arena);
    return status;
}
