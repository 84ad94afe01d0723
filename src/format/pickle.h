/* Pickle, as much of it as PyTorch's files use: plain data, and tensors as references to storages that lie elsewhere. */
#ifndef GRD_FORMAT_PICKLE_H
#define GRD_FORMAT_PICKLE_H

#include "format/bytes.h"
#include "format/storage.h"

#include <limits.h>

/* ---- writing ---- */

/* Storages in the order of their keys "0", "1", ... */
typedef struct grd_storage_list {
    const grd_tensor_data **item; /* a tensor whose whole memory is the storage */
    int n, cap;
} grd_storage_list;

/* The tree as protocol 2 into `out`; the storages it refers to are added to `storages` (grd_free its item). `name` begins
 * messages. */
grd_status grd_pickle_write(grd_host *host, const char *name, const grd_value *root, grd_bytes *out, grd_storage_list *storages);

/* ---- reading ---- */

typedef struct grd_storage {
    const char *key;             /* text with an ending zero */
    size_t key_size;
    const grd_storage_type *type;
    int64_t count;               /* elements */
    int64_t view_offset, view_count; /* of the older format: a part of the storage; else 0, count */
} grd_storage;

typedef struct grd_tensor_ref {
    grd_value *value;            /* dtype, shape and stored are set; data is to be */
    const grd_storage *storage;
    grd_strided view;
} grd_tensor_ref;

typedef struct grd_pickle {
    grd_arena *arena;            /* takes the tree */
    const char *name;            /* begins messages */
    const uint8_t *bytes;
    size_t size, at;             /* `at` is behind the end of a pickle that was read */
    uint64_t *budget;            /* bytes that the tree may still take */
    grd_value *root;
    struct { grd_tensor_ref *item; int n, cap; } tensors;  /* grd_pickle_drop frees it */
} grd_pickle;

/* Reads the pickle at `at`. Executes nothing: the classes and functions that it knows are data and rebuilding of tensors; any
 * other is refused by name. */
grd_status grd_pickle_read(grd_pickle *pickle);
void grd_pickle_drop(grd_pickle *pickle);

#endif
