/* The sections of a config as option tables: a key, its type, default, range and help line are written here and nowhere else.
 * Rows (sources, layers, losses, optimizers, ...) bring their own tables. */
#ifndef GRD_CONFIG_SECTIONS_H
#define GRD_CONFIG_SECTIONS_H

#include "config/tree.h"

#include <gradus/graph.h>
#include <gradus/train.h>

enum { GRD_MEMORY_NORMAL, GRD_MEMORY_LOW }; /* grd_run_section.memory, in the order of its choices */

typedef struct grd_run_section {
    const char *name, *dir;
    int64_t seed, batch, eval_batch, epochs, max_steps, threads;
    int backend, memory, device;
    bool exact_conv;
} grd_run_section;

typedef struct grd_data_section {
    const char *source, *train, *val, *test;
    double val_fraction;
    int64_t folds, fold;
    const char *stratify, *group, *exclude, *relabel;
    int order;
    int64_t num_samples, overfit;
    bool no_shuffle, drop_last;
    int64_t shuffle_buffer;
    int64_t workers, pad_multiple;
    int sampler, on_error;
} grd_data_section;

extern const int grd_sampler_choices[]; /* GRD_SAMPLER_* by the section's `sampler` */

typedef struct grd_subset_section {
    int64_t per_class, count;
    double fraction;
    const char *stratify, *list;
} grd_subset_section;

typedef struct grd_model_section {
    const char *input;
} grd_model_section;

typedef struct grd_loss_section { /* beside a loss row's own options */
    const char *output, *target;
    double weight;
} grd_loss_section;

enum { GRD_DEBUG_NONE, GRD_DEBUG_NAN, GRD_DEBUG_CHECK, GRD_DEBUG_NOREUSE, GRD_DEBUG_TRACE };

typedef struct grd_train_section {
    double clip_norm, clip_value;
    int64_t accumulate, steps_per_epoch;
    double ema;
    double checkpoint_seconds;
    int debug;
    bool no_baseline;
} grd_train_section;

typedef struct grd_stop_section {
    bool off;
    int64_t patience;
    double min_delta;
} grd_stop_section;

typedef struct grd_init_section {
    const char *from;
    bool freeze;
} grd_init_section;

typedef struct grd_section {
    const char *name, *doc;
    const grd_option *options;
    size_t size;
    const char *more; /* keys that are read by hand, "subsets transform": the rest of the section */
} grd_section;

extern const grd_section grd_section_run, grd_section_data, grd_section_subset, grd_section_model, grd_section_loss,
    grd_section_train, grd_section_stop, grd_section_init;
/* In the order of documentation, NULL at the end. */
extern const grd_section *const grd_sections[];
/* Top-level keys, what each is; the last has a NULL name. */
typedef struct grd_top_key {
    const char *name, *doc;
} grd_top_key;
extern const grd_top_key grd_top_keys[];

/* The backend's name in a resolved run section. */
const char *grd_backend_choice(int backend);
extern const unsigned grd_debug_flags[]; /* GRD_PLAN_* by GRD_DEBUG_* */

/* Reads a section's map (NULL: all defaults) into `out`, resolved; keys in `more` are left to the caller, keys of `other` (a
 * row's table, may be NULL) too. */
grd_status grd_section_read(grd_host *host, const grd_section *section, const grd_yaml *map, const grd_option *other, void *out);
/* An error with the nearest known key if a key of the map is in none of both tables nor in `more`. */
grd_status grd_check_keys(grd_host *host, const char *who, const grd_yaml *map, const grd_option *table, const grd_option *other,
                          const char *more);

/* ---- rows: `NAME`, `{NAME: value}`, `{NAME: {key: value}}`, with sibling keys such as `as` ---- */

typedef struct grd_row_ref {
    const grd_yaml *node; /* for messages */
    const char *name;
    const grd_yaml *value; /* NULL if there is none */
} grd_row_ref;

/* `beside`: the one key that may stand beside the row's ("as"), or NULL. */
grd_status grd_row_read(grd_host *host, const char *what, const grd_yaml *node, const char *beside, grd_row_ref *row);
/* The value into a zeroed options struct: a single value or list is the first option, a map is by key; keys of `other` and
 * `more` are left out. Not resolved. Words are kept by reference. */
grd_status grd_row_options(grd_host *host, const grd_row_ref *row, const grd_option *table, const grd_option *other,
                           const char *more, void *opts);
/* "name key=value key=[1,2]", as specs are written; table may be NULL (nothing is checked). */
grd_status grd_row_spec(grd_arena *arena, const grd_row_ref *row, const grd_option *table, char **spec);
/* One option from a node. */
grd_status grd_option_read(grd_host *host, const grd_option *table, void *opts, const char *who, const char *key,
                           const grd_yaml *value);
/* "; did you mean ...?" among words that `next` gives one by one until NULL. */
const char *grd_hint(const char *word, const char *(*next)(const void *ctx, int i), const void *ctx, char *text, size_t size);

#endif
