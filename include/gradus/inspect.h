/* Gradus, chapter "training": looking at data before anything is trained on them. One pass over all sets gives statistics,
 * findings by rule, and the samples whose label a quick model most contradicts. */
#ifndef GRADUS_INSPECT_H
#define GRADUS_INSPECT_H

#include <gradus/data.h>

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GRD_FINDING_NOTE, GRD_FINDING_WARNING, GRD_FINDING_ERROR, GRD_FINDING_LEVELS };
#define GRD_CHECK_MAX_SETS 3

typedef struct grd_check_set {
    const char *name; /* "train", "val", "test" */
    const grd_dataset *set;
} grd_check_set;

typedef struct grd_check_opts {
    const char *title;          /* of the page; NULL = none */
    const char *input, *target; /* fields; NULL: image or the first that is no number; label, target or y */
    const char *group;          /* a field of whole numbers that must not stand in two sets; NULL = none */
    bool only_stats;            /* no findings, no suspects */
    void (*progress)(void *user, const char *what, int64_t done, int64_t total); /* NULL = none */
    void *user;
    const volatile int *stop; /* not 0: GRD_ERR_STOPPED; NULL = never */
} grd_check_opts;

typedef struct grd_report grd_report;

/* Looks at every sample of the n sets (the first one is trained on; all have the same fields), as they are given: without the
 * transforms that an epoch draws by chance. A sample that cannot be read is a finding, not a failure. */
GRD_API grd_status grd_data_check(grd_ctx *ctx, const grd_check_set *set, int n, const grd_check_opts *opts, grd_report **report);
GRD_API void grd_report_free(grd_report *report);

typedef struct grd_check_finding {
    const char *rule; /* "duplicate-across-splits" */
    int level;        /* GRD_FINDING_* */
    const char *text; /* what was found */
    const char *advice;
    int64_t count;         /* of samples, or of what the text says (columns, classes) */
    int64_t n;             /* of samples listed */
    const int64_t *sample; /* for grd_report_name */
} grd_check_finding;

typedef struct grd_suspect {
    int64_t sample;
    int32_t label, predicted;
    double score;   /* how much likelier the prediction is than the label: 0 .. 1 */
    bool confident; /* the prediction is as sure as it is for samples of that class */
} grd_suspect;

GRD_API int grd_report_count(const grd_report *report, int level); /* findings of that level */
GRD_API int grd_report_findings(const grd_report *report, const grd_check_finding **finding);
GRD_API int64_t grd_report_suspects(const grd_report *report, const grd_suspect **suspect); /* the worst first */
/* The sample's name and, if `set` is given, the set that it is in. Returns text. */
GRD_API const char *grd_report_name(const grd_report *report, int64_t sample, const char **set, char *text, size_t size);

GRD_API void grd_report_print(const grd_report *report, FILE *out); /* findings and suspects */
GRD_API void grd_report_stats(const grd_report *report, FILE *out); /* tables */
/* One object: findings, suspects, sets, columns. */
GRD_API grd_status grd_report_json(const grd_report *report, FILE *out);
/* One self-contained HTML page; beside it (PATH without its ending) PATH-exclude.txt for data.exclude, and PATH-relabel.txt for
 * data.relabel with what the quick model predicts of its suspects: to be read before it is used. */
GRD_API grd_status grd_report_write(const grd_report *report, const char *path);

#ifdef __cplusplus
}
#endif
#endif
