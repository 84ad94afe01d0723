/* The check of data sets, internal part: what one pass leaves of each sample, and what is made of it. */
#ifndef GRD_DATA_INSPECT_H
#define GRD_DATA_INSPECT_H

#include "data/dataset.h"
#include "format/bytes.h"

#include <gradus/inspect.h>

/* What is wrong with a sample, seen on it alone. */
enum { GRD_SEEN_UNREADABLE = 1, GRD_SEEN_LABEL = 2, GRD_SEEN_VALUE = 4, GRD_SEEN_MASK = 8, GRD_SEEN_MISSING = 16,
       GRD_SEEN_CONSTANT = 32 };

typedef struct grd_seen { /* all that is kept of a sample, beside its row of features */
    uint64_t hash[2];     /* of the input */
    int64_t group;
    double mean;   /* of the picture */
    double target; /* one number; NaN if there is none */
    int32_t label; /* -1: none */
    uint8_t set, flags;
} grd_seen;

enum { GRD_STAT_CHANNELS = 4 };

typedef struct grd_field_stats { /* of one field in one set */
    int64_t samples, missing;    /* elements that are not finite */
    double min, max;
    int64_t least[GRD_MAX_RANK], most[GRD_MAX_RANK];
    int channels; /* of a picture; else 1 */
    int64_t count[GRD_STAT_CHANNELS];
    double shift[GRD_STAT_CHANNELS], sum[GRD_STAT_CHANNELS], squares[GRD_STAT_CHANNELS]; /* around shift, the first value */
} grd_field_stats;

#define GRD_COLUMN_NAME 64

typedef struct grd_column { /* of a table: one element of a field of numbers */
    int field;
    int64_t element;
    char name[GRD_COLUMN_NAME];
    int64_t missing, n;
    double min, max, mean, std, median, mad, leak; /* leak: how well it alone tells the target, 0 .. 1 */
} grd_column;

/* What a row of features is made of. */
enum { GRD_FEATURES_NONE, GRD_FEATURES_PICTURE, GRD_FEATURES_TABLE, GRD_FEATURES_TOKENS };

typedef struct grd_features {
    int kind;
    int channels, height, width; /* of a small picture */
    int64_t n;                   /* a row */
    float *row;                  /* [samples][n] */
} grd_features;

typedef struct grd_rule grd_rule;

struct grd_report {
    grd_child child;
    grd_ctx *ctx;
    grd_host *host;
    grd_arena arena;
    grd_check_opts opts;
    int n_sets;
    const char *name[GRD_CHECK_MAX_SETS];
    grd_dataset *set[GRD_CHECK_MAX_SETS];
    int64_t first[GRD_CHECK_MAX_SETS + 1]; /* of each set among all samples */
    int64_t n;
    int n_fields;
    const grd_field *field;
    int input, target, label, group, mask; /* fields; -1 = there is none. label: the target if it is one class */
    int64_t classes;
    int64_t *class_count; /* [sets][classes] */
    grd_seen *seen;       /* [n] */
    grd_field_stats stats[GRD_CHECK_MAX_SETS][GRD_MAX_FIELDS];
    grd_features features;
    grd_column *column;
    int n_columns;
    struct {
        grd_check_finding *item;
        int n, cap;
    } findings;
    struct {
        grd_suspect *item;
        int n, cap;
    } suspects;
    int64_t n_confident;
    double model_accuracy; /* of the quick model, cross-validated; 0 = none */
    double seconds;
};

static inline bool grd_is_picture(const grd_field *f)
{
    return f->shape.rank == 3 || f->shape.rank == 2;
}
double grd_element(const void *data, grd_dtype dtype, int64_t e);

/* The sample with number i among all; in a sample of grd_sample_new. */
grd_status grd_report_get(const grd_report *r, int64_t i, grd_sample *sample);
/* Tells how far it is; GRD_ERR_STOPPED if it is to stop. */
grd_status grd_report_progress(const grd_report *r, const char *what, int64_t done, int64_t total);
const char *grd_report_class(const grd_report *r, int64_t label, char text[24]);
const char *grd_report_summary(const grd_report *r, char *text, size_t size); /* "400 samples: 1 error, 0 warnings, 2 notes" */

/* inspect_scan.c: fills seen, stats, class_count and the rows of features */
grd_status grd_check_scan(grd_report *r);
/* inspect_features.c */
grd_status grd_features_plan(grd_report *r); /* what the rows are; and the columns of a table */
void grd_features_of(const grd_report *r, const grd_sample *sample, float *row);
/* inspect_columns.c: statistics of each column, and how well each alone tells the target */
grd_status grd_columns_look(grd_report *r);
/* What a person calls an element: by the name in its file, or "field[element]"; cut at a whole character. Returns text. */
const char *grd_report_element(const grd_report *r, int field, int64_t element, char text[GRD_COLUMN_NAME]);

/* inspect_same.c: samples with one input. Calls `found` with each group: same[0..n) in ascending order. */
typedef grd_status (*grd_same_found)(void *user, const int64_t *same, int64_t n);
grd_status grd_same_exact(const grd_report *r, grd_same_found found, void *user);
/* The same of pictures that look alike, but are not equal. */
grd_status grd_same_near(const grd_report *r, grd_same_found found, void *user);

/* inspect_suspects.c */
grd_status grd_suspects_find(grd_report *r);

/* inspect_rules.c: applies every rule; for statistics only that of samples that are not in them, as they cannot be read */
grd_status grd_rules_apply(grd_report *r);
/* A finding; takes a copy of the list. */
grd_status grd_finding_add(grd_report *r, const grd_rule *rule, int level, int64_t count, const int64_t *sample, int64_t n,
                           const char *format, ...) GRD_PRINTF(7, 8);
extern const char *const grd_level_names[GRD_FINDING_LEVELS];

/* inspect_page.c */
grd_status grd_report_page(const grd_report *r, grd_bytes *out);

#endif
