/* The check of data sets: which fields mean what, the steps of the pass, and what a report answers. */
#define _GNU_SOURCE
#include "data/inspect.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *const grd_level_names[GRD_FINDING_LEVELS] = { "note", "warning", "error" };

double grd_element(const void *data, grd_dtype dtype, int64_t e)
{
    if (dtype == GRD_U8)
        return ((const uint8_t *)data)[e];
    return dtype == GRD_I32 ? (double)((const int32_t *)data)[e] : (double)((const float *)data)[e];
}

grd_status grd_report_progress(const grd_report *r, const char *what, int64_t done, int64_t total)
{
    if (r->opts.progress)
        r->opts.progress(r->opts.user, what, done, total);
    return r->opts.stop && *r->opts.stop ? grd_fail(r->host, GRD_ERR_STOPPED, "data check: stopped") : GRD_OK;
}

static int set_of(const grd_report *r, int64_t i)
{
    int s = 0;
    while (s + 1 < r->n_sets && i >= r->first[s + 1])
        s++;
    return s;
}

grd_status grd_report_get(const grd_report *r, int64_t i, grd_sample *sample)
{
    int s = set_of(r, i);
    return grd_dataset_get(r->set[s], i - r->first[s], NULL, sample);
}

const char *grd_report_class(const grd_report *r, int64_t label, char text[24])
{
    const char *name = label >= 0 ? grd_dataset_class(r->set[0], label) : NULL;
    snprintf(text, 24, "%lld", (long long)label);
    return name ? name : text;
}

/* ---- what the fields mean ---- */

static bool is_class(const grd_field *f)
{
    return f->classes > 0 && f->shape.rank == 0;
}

static grd_status named_field(grd_report *r, const char *key, const char *name, int *at)
{
    *at = name ? grd_field_find(r->field, r->n_fields, name) : -1;
    if (name && *at < 0)
        return grd_fail(r->host, GRD_ERR_CONFIG, "data check: %s: the data has no field \"%s\"", key, name);
    return GRD_OK;
}

static void guess_target(grd_report *r)
{
    static const char *const usual[] = { "label", "target", "y" };
    for (size_t k = 0; k < sizeof usual / sizeof *usual && r->target < 0; k++)
        r->target = grd_field_find(r->field, r->n_fields, usual[k]);
    for (int f = 0; f < r->n_fields && r->target < 0; f++)
        if (is_class(&r->field[f]) && f != r->group)
            r->target = f;
}

static void guess_input(grd_report *r)
{
    r->input = grd_field_find(r->field, r->n_fields, "image");
    for (int rank = GRD_MAX_RANK; rank >= 0 && r->input < 0; rank--)
        for (int f = 0; f < r->set[0]->source->n_fields && r->input < 0; f++)
            if (f != r->target && f != r->group && f != r->mask && r->field[f].shape.rank == rank)
                r->input = f;
}

static grd_status find_fields(grd_report *r)
{
    r->n_fields = grd_dataset_fields(r->set[0], &r->field);
    for (int s = 1; s < r->n_sets; s++)
        for (int f = 0; f < r->n_fields; f++)
            if (r->set[s]->n_fields != r->n_fields || strcmp(r->set[s]->field[f].name, r->field[f].name) != 0 ||
                r->set[s]->field[f].dtype != r->field[f].dtype || r->set[s]->field[f].shape.rank != r->field[f].shape.rank)
                return grd_fail(r->host, GRD_ERR_DATA, "data check: %s and %s have different fields", r->name[0], r->name[s]);
    GRD_TRY(named_field(r, "group", r->opts.group, &r->group));
    GRD_TRY(named_field(r, "target", r->opts.target, &r->target));
    GRD_TRY(named_field(r, "input", r->opts.input, &r->input));
    r->mask = grd_field_find(r->field, r->n_fields, "mask");
    if (r->target < 0 || r->target == r->input) /* of a model that reconstructs its input, the labels are looked at */
        r->target = -1, guess_target(r);
    if (r->input < 0)
        guess_input(r);
    r->label = r->target >= 0 && is_class(&r->field[r->target]) ? r->target : -1;
    r->classes = r->label >= 0 ? r->field[r->label].classes : 0;
    return GRD_OK;
}

/* ---- life ---- */

static void free_report(void *self)
{
    grd_report_free(self);
}

void grd_report_free(grd_report *r)
{
    if (!r)
        return;
    grd_disown(&r->child);
    for (int s = 0; s < r->n_sets; s++)
        grd_dataset_free(r->set[s]);
    for (int i = 0; i < r->findings.n; i++)
        grd_free(r->host, (void *)r->findings.item[i].sample); /* our own copy */
    grd_free(r->host, r->findings.item);
    grd_free(r->host, r->suspects.item);
    grd_free(r->host, r->class_count);
    grd_free(r->host, r->seen);
    grd_free(r->host, r->features.row);
    grd_free(r->host, r->column);
    grd_arena_free(&r->arena);
    grd_free(r->host, r);
}

/* The options' texts are the report's own from here on. */
static grd_status keep_options(grd_report *r, const grd_check_opts *opts)
{
    const char **text[] = { &r->opts.title, &r->opts.input, &r->opts.target, &r->opts.group };
    r->opts = *opts;
    for (size_t k = 0; k < sizeof text / sizeof *text; k++)
        if (*text[k] && !(*text[k] = grd_arena_strdup(&r->arena, *text[k])))
            return GRD_ERR_MEMORY;
    return GRD_OK;
}

static grd_status keep_sets(grd_report *r, const grd_check_set *set, int n)
{
    if (n < 1 || n > GRD_CHECK_MAX_SETS)
        return grd_fail(r->host, GRD_ERR_ARG, "data check: %d sets, expected 1 to %d", n, GRD_CHECK_MAX_SETS);
    for (int s = 0; s < n; s++) {
        r->name[s] = grd_arena_strdup(&r->arena, set[s].name);
        if (!r->name[s])
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_dataset_by_number(set[s].set, "data check"));
        GRD_TRY(grd_dataset_view(set[s].set, NULL, grd_dataset_length(set[s].set), false, &r->set[s]));
        r->n_sets = s + 1;
        r->first[s + 1] = r->first[s] + grd_dataset_length(set[s].set);
    }
    r->n = r->first[n];
    return GRD_OK;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static grd_status look(grd_report *r)
{
    const double begun = seconds_now();
    GRD_TRY(find_fields(r));
    GRD_TRY(grd_features_plan(r));
    r->seen = GRD_NEW_N(r->host, grd_seen, r->n);
    r->class_count = GRD_NEW_N(r->host, int64_t, r->n_sets * r->classes);
    r->features.row = GRD_NEW_N(r->host, float, r->n * r->features.n);
    if (!r->seen || !r->class_count || !r->features.row)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_check_scan(r));
    GRD_TRY(grd_columns_look(r));
    if (!r->opts.only_stats)
        GRD_TRY(grd_suspects_find(r));
    GRD_TRY(grd_rules_apply(r));
    grd_free(r->host, r->features.row);
    r->features.row = NULL;
    r->seconds = seconds_now() - begun;
    return GRD_OK;
}

grd_status grd_data_check(grd_ctx *ctx, const grd_check_set *set, int n, const grd_check_opts *opts, grd_report **report)
{
    *report = NULL;
    grd_report *r = GRD_NEW(&ctx->host, grd_report);
    if (!r)
        return GRD_ERR_MEMORY;
    r->ctx = ctx;
    r->host = &ctx->host;
    grd_arena_init(&r->arena, r->host);
    grd_adopt(&ctx->root, &r->child, free_report);
    grd_status status = keep_options(r, opts ? opts : &(grd_check_opts){ 0 });
    if (status == GRD_OK)
        status = keep_sets(r, set, n);
    if (status == GRD_OK)
        status = look(r);
    if (status == GRD_OK)
        *report = r;
    else
        grd_report_free(r);
    return status;
}

/* ---- answers ---- */

int grd_report_count(const grd_report *r, int level)
{
    int n = 0;
    for (int i = 0; i < r->findings.n; i++)
        n += r->findings.item[i].level == level;
    return n;
}

const char *grd_report_summary(const grd_report *r, char *text, size_t size)
{
    int errors = grd_report_count(r, GRD_FINDING_ERROR), warnings = grd_report_count(r, GRD_FINDING_WARNING);
    int notes = grd_report_count(r, GRD_FINDING_NOTE);
    snprintf(text, size, "%lld samples: %d error%s, %d warning%s, %d note%s", (long long)r->n, errors, errors == 1 ? "" : "s",
             warnings, warnings == 1 ? "" : "s", notes, notes == 1 ? "" : "s");
    return text;
}

int grd_report_findings(const grd_report *r, const grd_check_finding **finding)
{
    *finding = r->findings.item;
    return r->findings.n;
}

int64_t grd_report_suspects(const grd_report *r, const grd_suspect **suspect)
{
    *suspect = r->suspects.item;
    return r->suspects.n;
}

const char *grd_report_name(const grd_report *r, int64_t i, const char **set, char *text, size_t size)
{
    int s = set_of(r, i);
    if (set)
        *set = r->name[s];
    return grd_dataset_name(r->set[s], i - r->first[s], text, size);
}
