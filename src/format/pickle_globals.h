/* The classes and functions that a pickle may name, and the two kinds of value that exist only while one is read. */
#ifndef GRD_FORMAT_PICKLE_GLOBALS_H
#define GRD_FORMAT_PICKLE_GLOBALS_H

#include "format/pickle.h"

/* Further kinds of grd_value, of type grd_pickle_special: a class or function, and a storage. */
#define GRD_VALUE_GLOBAL ((grd_value_kind)(GRD_VALUE_TENSOR + 1))
#define GRD_VALUE_STORAGE ((grd_value_kind)(GRD_VALUE_TENSOR + 2))

typedef struct grd_pickle_global {
    const char *module, *name;
    grd_value *(*call)(grd_pickle *pickle, const grd_value *args); /* NULL: may be named, not called */
} grd_pickle_global;

typedef struct grd_pickle_special {
    grd_value value;
    const grd_pickle_global *global;  /* of a GLOBAL that is not a storage's class */
    const grd_storage_type *type;     /* of a GLOBAL that is */
    grd_storage storage;              /* of a STORAGE */
} grd_pickle_special;

/* All of these return NULL after a failure, with the message in the host. */
grd_value *grd_pickle_global_named(grd_pickle *pickle, const char *module, size_t module_size, const char *name,
                                   size_t name_size);
grd_value *grd_pickle_call(grd_pickle *pickle, const grd_value *function, const grd_value *args);
grd_value *grd_pickle_storage(grd_pickle *pickle, const grd_value *id); /* of a persistent id */

grd_status grd_pickle_fail(const grd_pickle *pickle, const char *format, ...) GRD_PRINTF(2, 3);
const char *grd_pickle_kind(const grd_value *value);
grd_status grd_pickle_spend(grd_pickle *pickle, uint64_t bytes);

#endif
