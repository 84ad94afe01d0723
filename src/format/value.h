/* A tree of plain data: what a checkpoint holds. None, bool, int, real, text, list, tuple, dict, tensor, and nothing else.
 *
 * All nodes live in a grd_arena and are freed with it; a tensor's elements are not copied and must outlive the tree.
 * Constructors return NULL when there is no memory (the message is in the arena's host). grd_value_set and
 * grd_value_append take that NULL and fail, so a tree is built without checking each node:
 *
 *     grd_value *root = grd_value_dict(arena);
 *     GRD_TRY(grd_value_set(arena, root, "epoch", grd_value_int(arena, 3)));
 *
 * Look-ups take NULL and nodes of any kind, and return NULL or the fallback if the thing asked for is not there. */
#ifndef GRD_FORMAT_VALUE_H
#define GRD_FORMAT_VALUE_H

#include "base/host.h"

#include <gradus/tensor.h>

typedef enum grd_value_kind {
    GRD_VALUE_NONE, GRD_VALUE_BOOL, GRD_VALUE_INT, GRD_VALUE_REAL, GRD_VALUE_TEXT,
    GRD_VALUE_LIST, GRD_VALUE_TUPLE, GRD_VALUE_DICT, GRD_VALUE_TENSOR
} grd_value_kind;

typedef struct grd_value grd_value;

typedef struct grd_text {
    const char *bytes;    /* ends with a zero that is not counted */
    size_t size;
} grd_text;

typedef struct grd_list { /* a tuple too */
    grd_value **item;
    int n, cap;
} grd_list;

typedef struct grd_dict_entry {
    const grd_value *key; /* TEXT or INT */
    grd_value *value;
} grd_dict_entry;

typedef struct grd_dict { /* in the order of insertion; keys are unique */
    grd_dict_entry *item;
    int n, cap;
    bool ordered; /* a collections.OrderedDict (PyTorch's state_dict), else a dict */
    int *slot, slots;     /* hash index of the entries */
} grd_dict;

typedef struct grd_tensor_data {
    grd_dtype dtype;
    grd_shape shape;
    const void *data;     /* row-major, aligned to the element size; may be NULL if it has no elements */
    const char *stored;   /* the element type in the file that was read, "float16"; NULL in a tree that was built */
} grd_tensor_data;

struct grd_value {
    grd_value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double real;
        grd_text text;
        grd_list list;
        grd_dict dict;
        grd_tensor_data tensor;
    };
};

/* ---- building ---- */
grd_value *grd_value_none(grd_arena *arena);
grd_value *grd_value_bool(grd_arena *arena, bool boolean);
grd_value *grd_value_int(grd_arena *arena, int64_t integer);
grd_value *grd_value_real(grd_arena *arena, double real);
grd_value *grd_value_text(grd_arena *arena, const char *text);                    /* copied; UTF-8 */
grd_value *grd_value_bytes(grd_arena *arena, const char *bytes, size_t size);      /* copied; may hold zeros */
grd_value *grd_value_list(grd_arena *arena);
grd_value *grd_value_tuple(grd_arena *arena);
grd_value *grd_value_dict(grd_arena *arena);
grd_value *grd_value_ordered(grd_arena *arena);                                    /* an OrderedDict */
grd_value *grd_value_tensor(grd_arena *arena, grd_dtype dtype, const grd_shape *shape, const void *data);

grd_status grd_value_append(grd_arena *arena, grd_value *list_or_tuple, grd_value *item);
/* Adds an entry at the end, or replaces the value of a key that is there. */
grd_status grd_value_set(grd_arena *arena, grd_value *dict, const char *key, grd_value *value);
grd_status grd_value_set_int(grd_arena *arena, grd_value *dict, int64_t key, grd_value *value);
/* key: TEXT or INT, kept by the dict. */
grd_status grd_value_set_key(grd_arena *arena, grd_value *dict, const grd_value *key, grd_value *value);

/* ---- looking up ---- */
grd_value *grd_value_get(const grd_value *dict, const char *key);
grd_value *grd_value_get_int(const grd_value *dict, int64_t key);
/* Follows a path of keys and list indices with slashes between: "optimizer/state/0/exp_avg". A part that is a number finds an
 * integer key where there is no such text key. */
grd_value *grd_value_find(const grd_value *root, const char *path);
int grd_value_count(const grd_value *value);                              /* items of a list, tuple or dict; else 0 */
grd_value *grd_value_item(const grd_value *list, int i);                  /* NULL if out of range */

bool grd_value_is(const grd_value *value, grd_value_kind kind);           /* NULL: false */
bool grd_value_to_bool(const grd_value *value, bool fallback);            /* BOOL or INT */
int64_t grd_value_to_int(const grd_value *value, int64_t fallback);       /* INT or BOOL */
double grd_value_to_real(const grd_value *value, double fallback);        /* REAL or INT, or a tensor with one element */
const char *grd_value_to_text(const grd_value *value, const char *fallback); /* TEXT */

const char *grd_value_kind_name(grd_value_kind kind);                     /* "none", "bool", "int", ... */
/* Same kinds, order of entries, types, shapes and bits of tensors (reals: the same bits, too). */
bool grd_value_equal(const grd_value *a, const grd_value *b);

#endif
