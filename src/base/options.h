/* Option tables: text to struct, defaults, ranges, printing. See grd_option in gradus/base.h. */
#ifndef GRD_BASE_OPTIONS_H
#define GRD_BASE_OPTIONS_H

#include "base/host.h"

int grd_options_count(const grd_option *table);                       /* NULL table: 0 */
const grd_option *grd_options_find(const grd_option *table, const char *key);
/* Sets one option from words: one for a scalar, several for a list (is_list also when there is one in brackets). TEXT is
 * not copied. `who` begins the message: `adamw: no option "learning_rate"; did you mean "lr"?` */
grd_status grd_options_set(grd_host *host, const grd_option *table, void *opts, const char *who, const char *key,
                           const char *const *words, int n_words, bool is_list);
/* "key=value key=[1,2] 3": a word without = is the value of the first option (second word: second, ...). Text values go to arena. */
grd_status grd_options_parse(grd_host *host, grd_arena *arena, const grd_option *table, void *opts, const char *who, const char *spec);
/* Writes into `out` (may be `opts`) the real values: defaults filled in, ranges checked, off = 0. opts NULL: all defaults. */
grd_status grd_options_resolve(grd_host *host, const grd_option *table, size_t size, const char *who, const void *opts, void *out);
/* A resolved value as config text: "0.1", "true", "[1, 2]", "off". Returns text. */
char *grd_options_print(const grd_option *option, const void *resolved, char *text, size_t size);
/* The default as config text; "required" if there is none. */
char *grd_options_default(const grd_option *option, char *text, size_t size);
const char *grd_option_type_name(const grd_option *option); /* "integer", "number", "true|false", its choices, ... */

/* The known word closest to `word`, or NULL if none is near. Words are given one by one. */
typedef struct grd_nearest {
    const char *word, *best;
    int distance;
} grd_nearest;
void grd_nearest_try(grd_nearest *nearest, const char *candidate);
/* "; did you mean \"lr\"?" or "" into text. */
const char *grd_nearest_text(const grd_nearest *nearest, char *text, size_t size);

/* Splits "name key=value ..." at the first space: name into `name`, returns the rest. */
const char *grd_spec_name(const char *spec, char *name, size_t size);

#endif
