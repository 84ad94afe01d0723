/* Trees of plain data: building and looking up. */
#include "format/value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

static grd_value *make(grd_arena *arena, grd_value_kind kind)
{
    grd_value *value = grd_arena_alloc(arena, sizeof *value);
    if (value)
        value->kind = kind;
    return value;
}

grd_value *grd_value_none(grd_arena *arena)
{
    return make(arena, GRD_VALUE_NONE);
}

grd_value *grd_value_bool(grd_arena *arena, bool boolean)
{
    grd_value *value = make(arena, GRD_VALUE_BOOL);
    if (value)
        value->boolean = boolean;
    return value;
}

grd_value *grd_value_int(grd_arena *arena, int64_t integer)
{
    grd_value *value = make(arena, GRD_VALUE_INT);
    if (value)
        value->integer = integer;
    return value;
}

grd_value *grd_value_real(grd_arena *arena, double real)
{
    grd_value *value = make(arena, GRD_VALUE_REAL);
    if (value)
        value->real = real;
    return value;
}

grd_value *grd_value_bytes(grd_arena *arena, const char *bytes, size_t size)
{
    grd_value *value = make(arena, GRD_VALUE_TEXT);
    char *copy = value ? grd_arena_alloc(arena, size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, bytes, size);
    value->text = (grd_text){ copy, size };
    return value;
}

grd_value *grd_value_text(grd_arena *arena, const char *text)
{
    return grd_value_bytes(arena, text, strlen(text));
}

grd_value *grd_value_list(grd_arena *arena)
{
    return make(arena, GRD_VALUE_LIST);
}

grd_value *grd_value_tuple(grd_arena *arena)
{
    return make(arena, GRD_VALUE_TUPLE);
}

grd_value *grd_value_dict(grd_arena *arena)
{
    return make(arena, GRD_VALUE_DICT);
}

grd_value *grd_value_ordered(grd_arena *arena)
{
    grd_value *value = make(arena, GRD_VALUE_DICT);
    if (value)
        value->dict.ordered = true;
    return value;
}

grd_value *grd_value_tensor(grd_arena *arena, grd_dtype dtype, const grd_shape *shape, const void *data)
{
    grd_value *value = make(arena, GRD_VALUE_TENSOR);
    if (value)
        value->tensor = (grd_tensor_data){ .dtype = dtype, .shape = *shape, .data = data };
    return value;
}

/* Room for one more of n items; an arena has no realloc, so the old array stays until the arena goes. */
static grd_status make_room(grd_arena *arena, void **items, int n, int *cap, size_t size)
{
    if (n < *cap)
        return GRD_OK;
    if (n > INT_MAX / 4)
        return grd_fail(arena->host, GRD_ERR_MEMORY, "a list or dict of more than %d items", n);
    int larger = *cap ? *cap * 2 : 4;
    void *memory = grd_arena_alloc(arena, (size_t)larger * size);
    if (!memory)
        return GRD_ERR_MEMORY;
    if (n)
        memcpy(memory, *items, (size_t)n * size);
    *items = memory;
    *cap = larger;
    return GRD_OK;
}

grd_status grd_value_append(grd_arena *arena, grd_value *list, grd_value *item)
{
    if (!list || !item)
        return GRD_ERR_MEMORY; /* the constructor that gave NULL has said so */
    if (list->kind != GRD_VALUE_LIST && list->kind != GRD_VALUE_TUPLE)
        return grd_fail(arena->host, GRD_ERR_ARG, "cannot append to a %s, expected a list", grd_value_kind_name(list->kind));
    grd_list *l = &list->list;
    void *items = l->item;
    GRD_TRY(make_room(arena, &items, l->n, &l->cap, sizeof *l->item));
    l->item = items;
    l->item[l->n++] = item;
    return GRD_OK;
}

/* ---- dicts: an array of entries and an open hash index of it (index + 1; 0 is empty) ---- */

static uint32_t hash_key(const grd_value *key)
{
    const unsigned char *bytes = (const unsigned char *)&key->integer;
    size_t size = sizeof key->integer;
    if (key->kind == GRD_VALUE_TEXT) {
        bytes = (const unsigned char *)key->text.bytes;
        size = key->text.size;
    }
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    return (uint32_t)(h ^ (h >> 32));
}

static bool same_key(const grd_value *a, const grd_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == GRD_VALUE_INT)
        return a->integer == b->integer;
    return a->text.size == b->text.size && memcmp(a->text.bytes, b->text.bytes, a->text.size) == 0;
}

/* The slot that holds the key's entry, or the empty one where it belongs. */
static int *find_slot(const grd_dict *dict, const grd_value *key)
{
    uint32_t mask = (uint32_t)dict->slots - 1;
    for (uint32_t i = hash_key(key) & mask;; i = (i + 1) & mask)
        if (!dict->slot[i] || same_key(dict->item[dict->slot[i] - 1].key, key))
            return &dict->slot[i];
}

static grd_status make_index(grd_arena *arena, grd_dict *dict)
{
    if ((dict->n + 1) * 2 <= dict->slots)
        return GRD_OK;
    int slots = dict->slots ? dict->slots * 4 : 8;
    int *slot = grd_arena_alloc(arena, (size_t)slots * sizeof *slot);
    if (!slot)
        return GRD_ERR_MEMORY;
    dict->slot = slot;
    dict->slots = slots;
    for (int i = 0; i < dict->n; i++)
        *find_slot(dict, dict->item[i].key) = i + 1;
    return GRD_OK;
}

grd_status grd_value_set_key(grd_arena *arena, grd_value *value, const grd_value *key, grd_value *item)
{
    if (!value || !key || !item)
        return GRD_ERR_MEMORY;
    if (value->kind != GRD_VALUE_DICT || (key->kind != GRD_VALUE_TEXT && key->kind != GRD_VALUE_INT))
        return grd_fail(arena->host, GRD_ERR_ARG, "cannot set a key of kind %s in a %s, expected text or int in a dict",
                        grd_value_kind_name(key->kind), grd_value_kind_name(value->kind));
    grd_dict *dict = &value->dict;
    void *items = dict->item;
    GRD_TRY(make_room(arena, &items, dict->n, &dict->cap, sizeof *dict->item));
    dict->item = items;
    GRD_TRY(make_index(arena, dict));
    int *slot = find_slot(dict, key);
    if (*slot) {
        dict->item[*slot - 1].value = item;
        return GRD_OK;
    }
    dict->item[dict->n++] = (grd_dict_entry){ key, item };
    *slot = dict->n;
    return GRD_OK;
}

grd_status grd_value_set(grd_arena *arena, grd_value *dict, const char *key, grd_value *value)
{
    return grd_value_set_key(arena, dict, grd_value_text(arena, key), value);
}

grd_status grd_value_set_int(grd_arena *arena, grd_value *dict, int64_t key, grd_value *value)
{
    return grd_value_set_key(arena, dict, grd_value_int(arena, key), value);
}

/* ---- looking up ---- */

static grd_value *get_key(const grd_value *value, const grd_value *key)
{
    if (!grd_value_is(value, GRD_VALUE_DICT) || !value->dict.n)
        return NULL;
    int found = *find_slot(&value->dict, key);
    return found ? value->dict.item[found - 1].value : NULL;
}

static grd_value *get_bytes(const grd_value *dict, const char *bytes, size_t size)
{
    return get_key(dict, &(grd_value){ .kind = GRD_VALUE_TEXT, .text = { bytes, size } });
}

grd_value *grd_value_get(const grd_value *dict, const char *key)
{
    return get_bytes(dict, key, strlen(key));
}

grd_value *grd_value_get_int(const grd_value *dict, int64_t key)
{
    return get_key(dict, &(grd_value){ .kind = GRD_VALUE_INT, .integer = key });
}

grd_value *grd_value_find(const grd_value *root, const char *path)
{
    const grd_value *value = root;
    while (value) {
        size_t size = strcspn(path, "/");
        char *end = NULL;
        long number = strtol(path, &end, 10);
        bool is_number = size && end == path + size;
        const grd_value *next = get_bytes(value, path, size);
        if (!next && is_number)
            next = grd_value_is(value, GRD_VALUE_DICT) ? grd_value_get_int(value, number)
                                                       : grd_value_item(value, number <= INT_MAX ? (int)number : -1);
        value = next;
        if (!path[size])
            break;
        path += size + 1;
    }
    return (grd_value *)value;
}

int grd_value_count(const grd_value *value)
{
    if (grd_value_is(value, GRD_VALUE_DICT))
        return value->dict.n;
    return grd_value_is(value, GRD_VALUE_LIST) || grd_value_is(value, GRD_VALUE_TUPLE) ? value->list.n : 0;
}

grd_value *grd_value_item(const grd_value *list, int i)
{
    if (!grd_value_is(list, GRD_VALUE_LIST) && !grd_value_is(list, GRD_VALUE_TUPLE))
        return NULL;
    return i >= 0 && i < list->list.n ? list->list.item[i] : NULL;
}

bool grd_value_is(const grd_value *value, grd_value_kind kind)
{
    return value && value->kind == kind;
}

bool grd_value_to_bool(const grd_value *value, bool fallback)
{
    if (grd_value_is(value, GRD_VALUE_INT))
        return value->integer != 0;
    return grd_value_is(value, GRD_VALUE_BOOL) ? value->boolean : fallback;
}

int64_t grd_value_to_int(const grd_value *value, int64_t fallback)
{
    if (grd_value_is(value, GRD_VALUE_BOOL))
        return value->boolean;
    return grd_value_is(value, GRD_VALUE_INT) ? value->integer : fallback;
}

static double first_element(const grd_tensor_data *tensor)
{
    switch (tensor->dtype) {
    case GRD_F32: return *(const float *)tensor->data;
    case GRD_F64: return *(const double *)tensor->data;
    case GRD_I32: return *(const int32_t *)tensor->data;
    case GRD_I64: return (double)*(const int64_t *)tensor->data;
    case GRD_U8: return *(const uint8_t *)tensor->data;
    }
    return 0;
}

double grd_value_to_real(const grd_value *value, double fallback)
{
    if (grd_value_is(value, GRD_VALUE_INT))
        return (double)value->integer;
    if (grd_value_is(value, GRD_VALUE_TENSOR) && grd_count(&value->tensor.shape) == 1)
        return first_element(&value->tensor);
    return grd_value_is(value, GRD_VALUE_REAL) ? value->real : fallback;
}

const char *grd_value_to_text(const grd_value *value, const char *fallback)
{
    return grd_value_is(value, GRD_VALUE_TEXT) ? value->text.bytes : fallback;
}

const char *grd_value_kind_name(grd_value_kind kind)
{
    static const char *const name[] = { "none", "bool", "int", "real", "text", "list", "tuple", "dict", "tensor" };
    return name[kind];
}

/* ---- comparing ---- */

static bool same_items(const grd_list *a, const grd_list *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (!grd_value_equal(a->item[i], b->item[i]))
            return false;
    return true;
}

static bool same_entries(const grd_dict *a, const grd_dict *b)
{
    if (a->n != b->n || a->ordered != b->ordered)
        return false;
    for (int i = 0; i < a->n; i++)
        if (!same_key(a->item[i].key, b->item[i].key) || !grd_value_equal(a->item[i].value, b->item[i].value))
            return false;
    return true;
}

static bool same_tensor(const grd_tensor_data *a, const grd_tensor_data *b)
{
    if (a->dtype != b->dtype || !grd_shape_equal(&a->shape, &b->shape))
        return false;
    size_t bytes = (size_t)grd_count(&a->shape) * grd_dtype_size(a->dtype);
    return !bytes || memcmp(a->data, b->data, bytes) == 0;
}

bool grd_value_equal(const grd_value *a, const grd_value *b)
{
    if (!a || !b || a->kind != b->kind)
        return a == b;
    switch (a->kind) {
    case GRD_VALUE_NONE: return true;
    case GRD_VALUE_BOOL: return a->boolean == b->boolean;
    case GRD_VALUE_REAL: return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    case GRD_VALUE_INT:
    case GRD_VALUE_TEXT: return same_key(a, b);
    case GRD_VALUE_LIST:
    case GRD_VALUE_TUPLE: return same_items(&a->list, &b->list);
    case GRD_VALUE_DICT: return same_entries(&a->dict, &b->dict);
    case GRD_VALUE_TENSOR: return same_tensor(&a->tensor, &b->tensor);
    }
    return false;
}
