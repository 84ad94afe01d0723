/* Gradus, chapter "simple": context, status, messages, memory, option tables, random keys.
 *
 * Rules that hold for the whole library
 *   - The library never prints, exits or aborts, and has no global mutable state.
 *   - A context is used by one thread at a time. Freeing it frees everything made from it.
 *   - Every function that can fail returns a grd_status; the text is in grd_error(ctx).
 *   - Options structs: a zeroed field means "default". GRD_OFF switches a number off.
 */
#ifndef GRADUS_BASE_H
#define GRADUS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define GRD_API
#else
#define GRD_API __attribute__((visibility("default")))
#endif

#if defined(__GNUC__)
#define GRD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define GRD_PRINTF(fmt, args)
#endif

#define GRD_VERSION "0.1.0"

typedef enum grd_status {
    GRD_OK = 0,
    GRD_ERR_ARG,      /* an argument or option is out of its range */
    GRD_ERR_SHAPE,    /* shapes do not fit together */
    GRD_ERR_MEMORY,   /* the allocator refused */
    GRD_ERR_IO,       /* a file or the disk */
    GRD_ERR_FORMAT,   /* bytes read from outside are not what they should be */
    GRD_ERR_CONFIG,   /* a config file or an override */
    GRD_ERR_DATA,     /* a sample is not what the data set promised */
    GRD_ERR_NUMBER,   /* NaN or infinity where there must be none */
    GRD_ERR_STOPPED,  /* stopped on request; what had to be saved is saved */
    GRD_ERR_UNSUPPORTED
} grd_status;

/* A short fixed name, such as "GRD_ERR_SHAPE". Never NULL. */
GRD_API const char *grd_status_name(grd_status status);

/* ---- memory ------------------------------------------------------------------------------ */

/* A replacement for malloc. `alloc` returns memory aligned to 64 bytes, not cleared, or NULL; both functions must be
 * callable from several threads at once. */
typedef struct grd_allocator {
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *memory);
    void *user;
} grd_allocator;

/* ---- context ----------------------------------------------------------------------------- */

typedef struct grd_ctx grd_ctx;

typedef enum grd_level { GRD_LOG_DEBUG, GRD_LOG_INFO, GRD_LOG_WARN } grd_level;

typedef struct grd_opts {
    uint64_t seed;      /* of everything random; 0 = 0 */
    int threads;        /* of kernels; 0 = all cores */
    const char *backend;/* "auto" (NULL), "ref", "onednn", "cpu": the only one besides ref that may be used */
    const grd_allocator *allocator; /* copied; NULL = the C library's */
    void (*log)(void *user, grd_level level, const char *line); /* NULL = silent */
    void *log_user;
} grd_opts;

/* Returns NULL only when there is no memory at all. `opts` may be NULL. */
GRD_API grd_ctx *grd_open(const grd_opts *opts);
GRD_API void grd_close(grd_ctx *ctx);

/* The text of the last failure: where, what was found, what was expected. Empty when nothing failed. Owned by ctx. */
GRD_API const char *grd_error(const grd_ctx *ctx);
GRD_API grd_status grd_error_status(const grd_ctx *ctx);
GRD_API const char *grd_version(void); /* "0.1.0" */

/* How progress is shown: a bar if the file is a terminal, else plain lines; or as it is told. */
enum { GRD_PROGRESS_AUTO = 1, GRD_PROGRESS_BAR, GRD_PROGRESS_PLAIN, GRD_PROGRESS_OFF };

/* ---- option tables ------------------------------------------------------------------------
 * One table per options struct serves the C struct, config keys, command-line overrides, help text and search spaces.
 * In the struct zero means default. After grd_options_resolve every field holds its real value (off is then 0). */

typedef enum grd_option_type {
    GRD_OPTION_INT,    /* int64_t */
    GRD_OPTION_REAL,   /* double */
    GRD_OPTION_BOOL,   /* bool; with GRD_OPTION_INVERTED the field is named no_NAME and the key NAME */
    GRD_OPTION_ENUM,   /* int: index into choices, stored + 1 so that zero is "default"; resolved: the index itself */
    GRD_OPTION_TEXT,   /* const char * (owned by whoever filled the struct) */
    GRD_OPTION_PAIR,   /* two int64_t in a row (height, width); a zero second one means "as the first" */
    GRD_OPTION_INTS,   /* grd_ints */
    GRD_OPTION_REALS   /* grd_reals */
} grd_option_type;

#define GRD_OFF (-1000000000) /* no clipping, no smoothing, ...; resolves to 0 */
#define GRD_ZERO GRD_OFF      /* a true 0 where a zeroed field would mean a default that is not 0 */
#define GRD_MAX_LIST 8

typedef struct grd_ints {
    int n;
    int64_t v[GRD_MAX_LIST];
} grd_ints;

typedef struct grd_reals {
    int n;
    double v[GRD_MAX_LIST];
} grd_reals;

enum {
    GRD_OPTION_INVERTED = 1, /* a flag whose default is true, stored as its opposite */
    GRD_OPTION_CAN_OFF = 2,  /* the word `off` is accepted in config; resolves to 0 */
    GRD_OPTION_REQUIRED = 4, /* no default: must be given */
    GRD_OPTION_PARTS = 8,    /* TEXT of a source that has an option `part`: without "{part}" in one of these, and no CUTS option
                              given, all is train */
    GRD_OPTION_ROWS = 16,    /* TEXT that holds rows with options of their own: "(pad 3)(resize size=[4,5])", "[a, b]", "a" */
    GRD_OPTION_CUTS = 32     /* of such a source: if it is given, it says how one file is cut into parts */
};

typedef struct grd_option {
    const char *name;      /* the config key */
    grd_option_type type;
    size_t offset;         /* in the options struct */
    double def, min, max;  /* numbers; min == max == 0: unbounded. ENUM: def is an index into choices */
    const char *text;      /* TEXT: default (may be NULL); ENUM: choices, "none|mean|sum"; INTS/REALS: default, "1,2" */
    unsigned flags;
    const char *help;      /* one line */
} grd_option;

/* Lines of an option table. */
#define GRD_INT(S, field, def, min, max, help) \
    { #field, GRD_OPTION_INT, offsetof(S, field), (def), (min), (max), NULL, 0, help }
#define GRD_INT_REQUIRED(S, field, min, max, help) \
    { #field, GRD_OPTION_INT, offsetof(S, field), 0, (min), (max), NULL, GRD_OPTION_REQUIRED, help }
#define GRD_REAL(S, field, def, min, max, help) \
    { #field, GRD_OPTION_REAL, offsetof(S, field), (def), (min), (max), NULL, 0, help }
#define GRD_REAL_OFF(S, field, def, min, max, help) \
    { #field, GRD_OPTION_REAL, offsetof(S, field), (def), (min), (max), NULL, GRD_OPTION_CAN_OFF, help }
#define GRD_FLAG(S, field, help) \
    { #field, GRD_OPTION_BOOL, offsetof(S, field), 0, 0, 0, NULL, 0, help }
#define GRD_FLAG_ON(S, key, help) /* field no_KEY */ \
    { #key, GRD_OPTION_BOOL, offsetof(S, no_##key), 1, 0, 0, NULL, GRD_OPTION_INVERTED, help }
#define GRD_ENUM(S, field, def, choices, help) \
    { #field, GRD_OPTION_ENUM, offsetof(S, field), (def), 0, 0, choices, 0, help }
#define GRD_TEXT(S, field, def, help) \
    { #field, GRD_OPTION_TEXT, offsetof(S, field), 0, 0, 0, def, 0, help }
#define GRD_TEXT_REQUIRED(S, field, help) \
    { #field, GRD_OPTION_TEXT, offsetof(S, field), 0, 0, 0, NULL, GRD_OPTION_REQUIRED, help }
#define GRD_PAIR(S, field, def, min, max, help) /* fields NAME and NAME_w */ \
    { #field, GRD_OPTION_PAIR, offsetof(S, field), (def), (min), (max), NULL, 0, help }
#define GRD_PAIR_REQUIRED(S, field, min, max, help) \
    { #field, GRD_OPTION_PAIR, offsetof(S, field), 0, (min), (max), NULL, GRD_OPTION_REQUIRED, help }
#define GRD_INTS(S, field, def, help) \
    { #field, GRD_OPTION_INTS, offsetof(S, field), 0, 0, 0, def, 0, help }
#define GRD_REALS(S, field, def, help) \
    { #field, GRD_OPTION_REALS, offsetof(S, field), 0, 0, 0, def, 0, help }
#define GRD_END { NULL, GRD_OPTION_INT, 0, 0, 0, 0, NULL, 0, NULL } /* every table ends with it */

/* ---- random numbers -----------------------------------------------------------------------
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). A number is a pure function of (key, step, row, element): the same
 * whatever the layout, fusion, threads or workers. */

typedef struct grd_key {
    uint64_t seed;  /* the run's seed mixed with the hash of the path of what draws */
    uint64_t step;  /* optimizer step, epoch, ...: what the drawing is repeated for */
    uint64_t row;   /* first row of this batch in the global batch */
} grd_key;

/* Mixes a name into a seed. */
GRD_API uint64_t grd_hash(uint64_t seed, const char *name);
/* Block `block` of row `row`: four 32-bit words. Element e of a row is word e % 4 of block e / 4. */
GRD_API void grd_random4(const grd_key *key, uint64_t row, uint64_t block, uint32_t out[4]);
/* Uniform in [0, 1) with 24 bits from one word; exact in float and double. */
static inline double grd_uniform(uint32_t word) { return (double)(word >> 8) * (1.0 / 16777216.0); }

#ifdef __cplusplus
}
#endif
#endif
