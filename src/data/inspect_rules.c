/* The rules of the check: one row each, what it looks at, how bad it is, and what to do. */
#include "data/inspect.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct grd_rule {
    const char *name;
    int level;
    uint8_t flag;                                            /* of samples seen alone; then `what` is said of them */
    const char *what;                                        /* "%lld samples ...", with their number */
    grd_status (*look)(grd_report *r, const grd_rule *rule); /* or by itself */
    const char *advice;
};

grd_status grd_finding_add(grd_report *r, const grd_rule *rule, int level, int64_t count, const int64_t *sample, int64_t n,
                           const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int64_t *copy = GRD_NEW_N(r->host, int64_t, n);
    const char *kept = grd_arena_strdup(&r->arena, text);
    if (!copy || !kept || !GRD_RESERVE(r->host, &r->findings)) {
        grd_free(r->host, copy);
        return GRD_ERR_MEMORY;
    }
    if (n)
        memcpy(copy, sample, sizeof *copy * (size_t)n);
    r->findings.item[r->findings.n++] = (grd_check_finding){ rule->name, level, kept, rule->advice, count, n, copy };
    return GRD_OK;
}

/* ---- lists of samples ---- */

typedef struct picked {
    int64_t *item, n, groups;
    grd_report *r;
    int which;
} picked; /* item: room for all */

static grd_status begin_list(grd_report *r, picked *p)
{
    *p = (picked){ .r = r, .item = GRD_NEW_N(r->host, int64_t, r->n) };
    return p->item ? GRD_OK : GRD_ERR_MEMORY;
}

/* One more name in a list for a message; what does not fit becomes "...". */
static void list_name(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);
    if (used + strlen(name) + 8 < size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
    else if (used + 5 < size && (used < 3 || strcmp(list + used - 3, "...") != 0))
        snprintf(list + used, size - used, " ...");
}

static void columns_with_missing(const grd_report *r, char *text, size_t size)
{
    for (int k = 0; k < r->n_columns; k++)
        if (r->column[k].missing)
            list_name(text, size, r->column[k].name);
}

static grd_status why_unreadable(grd_report *r, int64_t i, char *text, size_t size)
{
    grd_sample *sample;
    GRD_TRY(grd_sample_new(r->set[0], r->ctx, &sample));
    snprintf(text, size, "%s", grd_report_get(r, i, sample) == GRD_OK ? "" : sample->error);
    grd_sample_free(sample, r->ctx);
    return GRD_OK;
}

static grd_status look_at_flag(grd_report *r, const grd_rule *rule)
{
    char what[120], more[420] = "";
    picked p;
    GRD_TRY(begin_list(r, &p));
    for (int64_t i = 0; i < r->n; i++)
        if (r->seen[i].flags & rule->flag)
            p.item[p.n++] = i;
    grd_status status = GRD_OK;
    if (p.n && rule->flag == GRD_SEEN_UNREADABLE)
        status = why_unreadable(r, p.item[0], more, sizeof more);
    if (p.n && rule->flag == GRD_SEEN_MISSING)
        columns_with_missing(r, more, sizeof more);
    snprintf(what, sizeof what, "%lld %s %s", (long long)p.n, p.n == 1 ? "sample" : "samples", rule->what);
    if (p.n && status == GRD_OK)
        status = grd_finding_add(r, rule, rule->level, p.n, p.item, p.n, "%s%s%s", what,
                                 !more[0] ? "" : rule->flag == GRD_SEEN_MISSING ? ": " : "; the first: ", more);
    grd_free(r->host, p.item);
    return status;
}

/* ---- samples that are the same ---- */

enum { WITHIN, ACROSS, CONFLICT };

static bool is_wanted(const picked *p, const int64_t *same, int64_t n)
{
    const grd_seen *s = p->r->seen;
    bool across = false, conflict = false;
    for (int64_t i = 1; i < n; i++) {
        across = across || s[same[i]].set != s[same[0]].set;
        conflict = conflict || s[same[i]].label != s[same[0]].label;
    }
    return p->which == CONFLICT ? conflict : p->which == ACROSS ? across : true;
}

/* Within: only those that share a set with another of the group. */
static grd_status take_same(void *user, const int64_t *same, int64_t n)
{
    picked *p = user;
    int64_t before = p->n;
    if (!is_wanted(p, same, n))
        return GRD_OK;
    int64_t of_set[GRD_CHECK_MAX_SETS] = { 0 };
    for (int64_t i = 0; i < n; i++)
        of_set[p->r->seen[same[i]].set]++;
    for (int64_t i = 0; i < n; i++)
        if (p->which != WITHIN || of_set[p->r->seen[same[i]].set] > 1)
            p->item[p->n++] = same[i];
    p->groups += p->n > before;
    return GRD_OK;
}

static grd_status add_same(grd_report *r, const grd_rule *rule, int which, bool near, const char *what)
{
    picked p;
    GRD_TRY(begin_list(r, &p));
    p.which = which;
    grd_status status = (near ? grd_same_near : grd_same_exact)(r, take_same, &p);
    if (status == GRD_OK && p.groups)
        status = grd_finding_add(r, rule, rule->level, p.n, p.item, p.n, "%lld samples in %lld group%s %s", (long long)p.n,
                                 (long long)p.groups, p.groups == 1 ? "" : "s", what);
    grd_free(r->host, p.item);
    return status;
}

static grd_status look_within(grd_report *r, const grd_rule *rule)
{
    return add_same(r, rule, WITHIN, false, "are equal within one set");
}

static grd_status look_across(grd_report *r, const grd_rule *rule)
{
    return add_same(r, rule, ACROSS, false, "are equal and stand in more than one set");
}

static grd_status look_alike_within(grd_report *r, const grd_rule *rule)
{
    return add_same(r, rule, WITHIN, true, "look alike within one set");
}

static grd_status look_alike_across(grd_report *r, const grd_rule *rule)
{
    return add_same(r, rule, ACROSS, true, "look alike and stand in more than one set");
}

static grd_status look_conflict(grd_report *r, const grd_rule *rule)
{
    return r->label < 0 ? GRD_OK : add_same(r, rule, CONFLICT, false, "are equal, with different labels");
}

typedef struct member {
    int64_t group, sample;
} member;

static int by_group(const void *x, const void *y)
{
    const member *a = x, *b = y;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->sample < b->sample ? -1 : a->sample > b->sample;
}

static grd_status look_groups(grd_report *r, const grd_rule *rule)
{
    if (r->group < 0)
        return GRD_OK;
    picked p;
    char name[GRD_COLUMN_NAME];
    member *list = GRD_NEW_N(r->host, member, r->n);
    grd_status status = begin_list(r, &p);
    if (!list || status != GRD_OK) {
        grd_free(r->host, list);
        grd_free(r->host, p.item);
        return GRD_ERR_MEMORY;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (!(r->seen[i].flags & GRD_SEEN_UNREADABLE))
            list[n++] = (member){ r->seen[i].group, i };
    qsort(list, (size_t)n, sizeof *list, by_group);
    for (int64_t i = 0, k; i < n; i = k) {
        bool across = false;
        for (k = i; k < n && list[k].group == list[i].group; k++)
            across = across || r->seen[list[k].sample].set != r->seen[list[i].sample].set;
        for (int64_t e = i; e < k && across; e++)
            p.item[p.n++] = list[e].sample;
        p.groups += across;
    }
    if (p.groups)
        status = grd_finding_add(r, rule, rule->level, p.n, p.item, p.n,
                                 "%lld group%s of \"%s\" in more than one set, %lld samples", (long long)p.groups,
                                 p.groups == 1 ? "" : "s", grd_report_element(r, r->group, 0, name), (long long)p.n);
    grd_free(r->host, list);
    grd_free(r->host, p.item);
    return status;
}

/* ---- columns ---- */

static grd_status look_constant_columns(grd_report *r, const grd_rule *rule)
{
    char names[300] = "";
    int64_t count = 0;
    for (int k = 0; k < r->n_columns; k++)
        if (r->column[k].n > 1 && r->column[k].min == r->column[k].max) {
            count++;
            list_name(names, sizeof names, r->column[k].name);
        }
    return count ? grd_finding_add(r, rule, rule->level, count, NULL, 0, "%lld columns have one value in all samples: %s",
                                   (long long)count, names)
                 : GRD_OK;
}

/* By itself nearly as good as knowing the target: what is left to err by is a tenth of what the commonest class leaves. */
static bool tells_too_well(const grd_report *r, const grd_column *c)
{
    if (r->label < 0)
        return c->leak > 0.999;
    int64_t all = 0, most = 0;
    for (int64_t k = 0; k < r->classes; k++) {
        int64_t count = 0;
        for (int s = 0; s < r->n_sets; s++)
            count += r->class_count[s * r->classes + k];
        all += count;
        most = count > most ? count : most;
    }
    return c->leak > 0.99 && all && 1 - c->leak <= 0.1 * (1 - (double)most / (double)all);
}

static grd_status look_target_leak(grd_report *r, const grd_rule *rule)
{
    char names[300] = "", target[GRD_COLUMN_NAME];
    int64_t count = 0;
    for (int k = 0; k < r->n_columns; k++)
        if (tells_too_well(r, &r->column[k])) {
            char text[80];
            snprintf(text, sizeof text, "%s (%.4f)", r->column[k].name, r->column[k].leak);
            list_name(names, sizeof names, text);
            count++;
        }
    if (!count || 2 * count > r->n_columns) /* an easy task: every column tells */
        return GRD_OK;
    return grd_finding_add(r, rule, rule->level, count, NULL, 0, "%lld of %d columns alone tell \"%s\": %s (%s)",
                           (long long)count, r->n_columns, grd_report_element(r, r->target, 0, target), names,
                           r->label >= 0 ? "accuracy" : "correlation");
}

/* ---- outliers: far from the median, in units of the median distance from it ---- */

enum { LEAST_VALUES = 50 };
#define FAR (10 * 1.4826)

static int by_number(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

static void mark_far_columns(const grd_report *r, picked *p, char *names, size_t size)
{
    for (int64_t i = 0; i < r->n; i++)
        for (int k = 0; k < r->n_columns; k++) {
            const grd_column *c = &r->column[k];
            double x = r->features.row[i * r->features.n + k];
            if (c->n >= LEAST_VALUES && c->mad > 0 && fabs(x - c->median) > FAR * c->mad) {
                p->item[p->n++] = i;
                break;
            }
        }
    for (int k = 0; k < r->n_columns && p->n; k++) {
        const grd_column *c = &r->column[k];
        if (c->n >= LEAST_VALUES && c->mad > 0 && fmax(c->max - c->median, c->median - c->min) > FAR * c->mad)
            list_name(names, size, c->name);
    }
}

static grd_status mark_far_pictures(const grd_report *r, picked *p)
{
    double *list = GRD_NEW_N(r->host, double, r->n), median, mad;
    int64_t n = 0;
    if (!list)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < r->n; i++)
        if (!(r->seen[i].flags & GRD_SEEN_UNREADABLE))
            list[n++] = r->seen[i].mean;
    if (n >= LEAST_VALUES) {
        qsort(list, (size_t)n, sizeof *list, by_number);
        median = list[n / 2];
        for (int64_t i = 0; i < n; i++)
            list[i] = fabs(list[i] - median);
        qsort(list, (size_t)n, sizeof *list, by_number);
        mad = list[n / 2];
        for (int64_t i = 0; i < r->n && mad > 0; i++)
            if (!(r->seen[i].flags & GRD_SEEN_UNREADABLE) && fabs(r->seen[i].mean - median) > FAR * mad)
                p->item[p->n++] = i;
    }
    grd_free(r->host, list);
    return GRD_OK;
}

static grd_status look_outliers(grd_report *r, const grd_rule *rule)
{
    char names[300] = "";
    picked p;
    GRD_TRY(begin_list(r, &p));
    grd_status status = GRD_OK;
    if (r->n_columns)
        mark_far_columns(r, &p, names, sizeof names);
    else if (r->features.kind == GRD_FEATURES_PICTURE)
        status = mark_far_pictures(r, &p);
    if (status == GRD_OK && p.n)
        status = grd_finding_add(r, rule, rule->level, p.n, p.item, p.n, "%lld samples lie far out in %s", (long long)p.n,
                                 names[0] ? names : "mean brightness");
    grd_free(r->host, p.item);
    return status;
}

/* ---- classes ---- */

enum { FEW_TIMES = 10 }; /* a class with less than a tenth of the mean */

static grd_status look_imbalance(grd_report *r, const grd_rule *rule)
{
    char names[300] = "", text[24];
    int64_t all = 0, small = 0;
    if (r->classes < 2)
        return GRD_OK;
    picked p;
    GRD_TRY(begin_list(r, &p));
    for (int64_t c = 0; c < r->classes; c++)
        all += r->class_count[c];
    for (int64_t c = 0; c < r->classes && all; c++)
        if (r->class_count[c] * r->classes * FEW_TIMES < all) {
            char entry[100];
            snprintf(entry, sizeof entry, "%.60s (%lld)", grd_report_class(r, c, text), (long long)r->class_count[c]);
            list_name(names, sizeof names, entry);
            small++;
        }
    for (int64_t i = 0; i < r->first[1]; i++) {
        int32_t c = r->seen[i].label;
        if (c >= 0 && r->class_count[c] * r->classes * FEW_TIMES < all)
            p.item[p.n++] = i;
    }
    grd_status status = GRD_OK;
    if (small)
        status = grd_finding_add(r, rule, rule->level, small, p.item, p.n,
                                 "%lld of %lld classes have less than a tenth of the samples of a mean class (%.1f) in %s: %s",
                                 (long long)small, (long long)r->classes, (double)all / (double)r->classes, r->name[0], names);
    grd_free(r->host, p.item);
    return status;
}

/* Total variation between the classes' shares in two sets, beside what chance makes of the smaller one. */
static grd_status look_drift(grd_report *r, const grd_rule *rule)
{
    for (int s = 1; s < r->n_sets && r->classes > 1; s++) {
        double all[2] = { 0, 0 }, off = 0, chance = 0;
        for (int64_t c = 0; c < r->classes; c++) {
            all[0] += (double)r->class_count[c];
            all[1] += (double)r->class_count[s * r->classes + c];
        }
        for (int64_t c = 0; c < r->classes && all[0] > 0 && all[1] > 0; c++) {
            double p = (double)r->class_count[c] / all[0], q = (double)r->class_count[s * r->classes + c] / all[1];
            off += fabs(p - q) / 2;
            chance += sqrt(p * (1 - p) * (1 / all[0] + 1 / all[1])) / 2;
        }
        if (off > 0.1 && off > 3 * chance)
            GRD_TRY(grd_finding_add(r, rule, rule->level, 1, NULL, 0,
                                    "%.0f %% of the labels of %s would have to change to have %s's shares", 100 * off, r->name[s],
                                    r->name[0]));
    }
    return GRD_OK;
}

static grd_status look_suspects(grd_report *r, const grd_rule *rule)
{
    picked p;
    if (!r->n_confident)
        return GRD_OK;
    GRD_TRY(begin_list(r, &p));
    for (int i = 0; i < r->suspects.n; i++)
        if (r->suspects.item[i].confident)
            p.item[p.n++] = r->suspects.item[i].sample;
    grd_status status =
        grd_finding_add(r, rule, rule->level, r->n_confident, p.item, p.n,
                        "%lld labels are contradicted by a quick model (%.1f %% right, cross-validated) that is sure of another "
                        "class",
                        (long long)r->n_confident, 100 * r->model_accuracy);
    grd_free(r->host, p.item);
    return status;
}

static const grd_rule rules[] = {
    { "unreadable", GRD_FINDING_ERROR, GRD_SEEN_UNREADABLE, "cannot be read", NULL,
      "get the files again from where they came, or list them in data.exclude" },
    { "label-range", GRD_FINDING_ERROR, GRD_SEEN_LABEL, "have a class index out of range", NULL,
      "correct the labels, by data.relabel if they are few, or list the samples in data.exclude" },
    { "value-range", GRD_FINDING_ERROR, GRD_SEEN_VALUE, "have values outside the range that the source promises", NULL,
      "look for another unit, a wrong scale, or a damaged file" },
    { "mask-size", GRD_FINDING_ERROR, GRD_SEEN_MASK, "have a mask of another size than their image", NULL,
      "pair image and mask anew: one of the two has been resized, turned, or belongs to another picture" },
    { "duplicate-across-splits", GRD_FINDING_ERROR, 0, NULL, look_across,
      "list the training set's copies in data.exclude: a test on samples that were trained on tells nothing" },
    { "group-leak", GRD_FINDING_ERROR, 0, NULL, look_groups,
      "split by group (data.group), so that no person or recording is on both sides" },
    { "target-leak", GRD_FINDING_ERROR, 0, NULL, look_target_leak,
      "leave the column out unless it is truly known before the target is; it is often a copy of it, or made after it" },
    { "label-conflict", GRD_FINDING_WARNING, 0, NULL, look_conflict,
      "decide which label is right (data.relabel), or leave the samples out" },
    { "duplicate", GRD_FINDING_WARNING, 0, NULL, look_within, "keep one of each (data.exclude), unless repeating them is meant" },
    { "near-duplicate-across-splits", GRD_FINDING_WARNING, 0, NULL, look_alike_across,
      "look at them: copies of one original belong into one set (data.group, data.exclude)" },
    { "near-duplicate", GRD_FINDING_NOTE, 0, NULL, look_alike_within,
      "look at them: many copies of one original count as one sample" },
    { "missing", GRD_FINDING_WARNING, GRD_SEEN_MISSING, "have values that are missing (NaN) or infinite", NULL,
      "fill them in by a transform that learns from the training set, or leave the samples out" },
    { "constant", GRD_FINDING_WARNING, GRD_SEEN_CONSTANT, "are pictures of one colour", NULL,
      "look at them; leave them out if they are empty" },
    { "constant", GRD_FINDING_WARNING, 0, NULL, look_constant_columns, "leave the columns out: they tell nothing" },
    { "imbalance", GRD_FINDING_WARNING, 0, NULL, look_imbalance,
      "collect more of these, or draw them more often (data.sampler: balanced); judge by figures per class" },
    { "split-drift", GRD_FINDING_WARNING, 0, NULL, look_drift,
      "split by class (data.stratify), unless the sets are meant to differ" },
    { "outlier", GRD_FINDING_NOTE, 0, NULL, look_outliers, "look at them: a wrong unit or a typing error, or rare but true" },
    { "suspect", GRD_FINDING_NOTE, 0, NULL, look_suspects,
      "look at the suspects, the worst first; correct labels by data.relabel" },
};

grd_status grd_rules_apply(grd_report *r)
{
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (!r->opts.only_stats || rules[k].flag == GRD_SEEN_UNREADABLE)
            GRD_TRY((rules[k].look ? rules[k].look : look_at_flag)(r, &rules[k]));
    for (int i = 1; i < r->findings.n; i++) /* the worst first, else in the rules' order */
        for (int k = i; k > 0 && r->findings.item[k - 1].level < r->findings.item[k].level; k--) {
            grd_check_finding swap = r->findings.item[k];
            r->findings.item[k] = r->findings.item[k - 1];
            r->findings.item[k - 1] = swap;
        }
    return GRD_OK;
}
