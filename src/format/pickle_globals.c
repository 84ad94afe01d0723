/* What the names in a pickle stand for. This list is all that can be called: adding a row is the only way to widen it. */
#include "format/pickle_globals.h"

#include <stdio.h>
#include <string.h>

grd_status grd_pickle_fail(const grd_pickle *pickle, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return grd_fail(pickle->arena->host, GRD_ERR_FORMAT, "%s: pickle, byte %zu: %s", pickle->name, pickle->at, text);
}

const char *grd_pickle_kind(const grd_value *value)
{
    if (value->kind == GRD_VALUE_GLOBAL)
        return "class or function";
    return value->kind == GRD_VALUE_STORAGE ? "storage" : grd_value_kind_name(value->kind);
}

grd_status grd_pickle_spend(grd_pickle *pickle, uint64_t bytes)
{
    if (bytes > *pickle->budget)
        return grd_pickle_fail(pickle, "the data needs far more memory than the file's size");
    *pickle->budget -= bytes;
    return GRD_OK;
}

static grd_value *wrong(const grd_pickle *pickle, const char *what)
{
    grd_pickle_fail(pickle, "%s", what);
    return NULL;
}

/* ---- plain data ---- */

static grd_value *first_argument(grd_pickle *pickle, const grd_value *args)
{
    grd_value *first = grd_value_item(args, 0);
    return first ? first : wrong(pickle, "a call without the argument it needs");
}

/* OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...]) */
static grd_value *make_ordered(grd_pickle *pickle, const grd_value *args)
{
    grd_value *dict = grd_value_ordered(pickle->arena);
    const grd_value *pairs = grd_value_item(args, 0);
    for (int i = 0; dict && i < grd_value_count(pairs); i++) {
        const grd_value *pair = grd_value_item(pairs, i);
        grd_value *key = grd_value_item(pair, 0), *value = grd_value_item(pair, 1);
        if (!key || !value || grd_value_count(pair) != 2 || (key->kind != GRD_VALUE_TEXT && key->kind != GRD_VALUE_INT))
            return wrong(pickle, "OrderedDict: its argument is not a list of pairs");
        if (grd_pickle_spend(pickle, 64) != GRD_OK || grd_value_set_key(pickle->arena, dict, key, value) != GRD_OK)
            return NULL;
    }
    return dict;
}

/* ---- tensors ---- */

static bool read_dims(const grd_value *dims, int64_t out[GRD_MAX_RANK], int *rank)
{
    *rank = grd_value_count(dims);
    if (!grd_value_is(dims, GRD_VALUE_TUPLE) && !grd_value_is(dims, GRD_VALUE_LIST))
        return false;
    for (int i = 0; i < *rank && i < GRD_MAX_RANK; i++) {
        if (!grd_value_is(dims->list.item[i], GRD_VALUE_INT))
            return false;
        out[i] = dims->list.item[i]->integer;
    }
    return true;
}

static grd_status check_view(const grd_pickle *pickle, const grd_storage *storage, const grd_strided *view)
{
    int64_t reach = grd_strided_reach(view);
    char text[64];
    if (reach < 0)
        return grd_pickle_fail(pickle, "a tensor of impossible size: shape %s, offset %lld",
                               grd_shape_text(&view->shape, text, sizeof text), (long long)view->offset);
    if (reach > storage->view_count)
        return grd_pickle_fail(pickle, "a tensor %s needs %lld elements of a storage of %lld",
                               grd_shape_text(&view->shape, text, sizeof text), (long long)reach, (long long)storage->view_count);
    return GRD_OK;
}

/* _rebuild_tensor(storage, offset, size, stride); version 2 adds requires_grad and hooks. */
static grd_value *rebuild_tensor(grd_pickle *pickle, const grd_value *args)
{
    const grd_value *source = grd_value_item(args, 0), *offset = grd_value_item(args, 1);
    grd_strided view = { 0 };
    int strides = 0;
    if (!source || source->kind != GRD_VALUE_STORAGE || !grd_value_is(offset, GRD_VALUE_INT) ||
        !read_dims(grd_value_item(args, 2), view.shape.dim, &view.shape.rank) ||
        !read_dims(grd_value_item(args, 3), view.stride, &strides) || strides != view.shape.rank)
        return wrong(pickle, "_rebuild_tensor: expected a storage, an offset, a shape and as many strides");
    if (view.shape.rank > GRD_MAX_RANK) {
        grd_pickle_fail(pickle, "a tensor with %d dimensions, expected at most %d", view.shape.rank, GRD_MAX_RANK);
        return NULL;
    }
    const grd_storage *storage = &((const grd_pickle_special *)source)->storage;
    view.offset = offset->integer;
    if (check_view(pickle, storage, &view) != GRD_OK || !GRD_RESERVE(pickle->arena->host, &pickle->tensors))
        return NULL;
    view.offset += storage->view_offset;
    grd_value *value = grd_value_tensor(pickle->arena, storage->type->dtype, &view.shape, NULL);
    if (!value)
        return NULL;
    value->tensor.stored = storage->type->stored;
    pickle->tensors.item[pickle->tensors.n++] = (grd_tensor_ref){ value, storage, view };
    return value;
}

/* _rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes, which are left out. */
static grd_value *rebuild_from_type(grd_pickle *pickle, const grd_value *args)
{
    const grd_value *function = grd_value_item(args, 0), *arguments = grd_value_item(args, 2);
    const grd_pickle_special *f = (const grd_pickle_special *)function;
    if (!function || function->kind != GRD_VALUE_GLOBAL || f->type || f->global->call == rebuild_from_type)
        return wrong(pickle, "_rebuild_from_type_v2: expected a function that rebuilds a tensor");
    return grd_pickle_call(pickle, function, arguments);
}

static const grd_pickle_global globals[] = {
    { "collections", "OrderedDict", make_ordered },
    { "collections", "Counter", first_argument },
    { "__builtin__", "set", first_argument },
    { "builtins", "set", first_argument },
    { "_codecs", "encode", first_argument },
    { "torch", "Size", first_argument },
    { "torch", "device", first_argument },
    { "torch", "Tensor", NULL },
    { "torch.nn.parameter", "Parameter", NULL },
    { "torch.serialization", "_get_layout", first_argument },
    { "torch._utils", "_rebuild_tensor", rebuild_tensor },
    { "torch._utils", "_rebuild_tensor_v2", rebuild_tensor },
    { "torch._utils", "_rebuild_parameter", first_argument },
    { "torch._utils", "_rebuild_parameter_with_state", first_argument },
    { "torch._tensor", "_rebuild_from_type_v2", rebuild_from_type },
};

/* Element types stand in a pickle as names in module torch; here they are text. */
static const char *const dtypes[] = { "float32", "float64", "float16", "bfloat16", "int64", "int32",     "int16",
                                      "int8",    "uint8",   "bool",    "half",     "complex64", "complex128" };

static bool same(const char *text, const char *bytes, size_t size)
{
    return strlen(text) == size && memcmp(text, bytes, size) == 0;
}

static grd_value *special(grd_pickle *pickle, grd_value_kind kind)
{
    grd_pickle_special *s = grd_arena_alloc(pickle->arena, sizeof *s);
    if (!s)
        return NULL;
    s->value.kind = kind;
    return &s->value;
}

grd_value *grd_pickle_global_named(grd_pickle *pickle, const char *module, size_t module_size, const char *name, size_t name_size)
{
    bool torch = same("torch", module, module_size);
    const grd_storage_type *type = torch ? grd_storage_type_named(name, name_size) : NULL;
    const grd_pickle_global *global = NULL;
    for (size_t i = 0; !type && !global && i < sizeof globals / sizeof *globals; i++)
        if (same(globals[i].module, module, module_size) && same(globals[i].name, name, name_size))
            global = &globals[i];
    if (type || global) {
        grd_value *value = special(pickle, GRD_VALUE_GLOBAL);
        if (value) {
            ((grd_pickle_special *)value)->global = global;
            ((grd_pickle_special *)value)->type = type;
        }
        return value;
    }
    for (size_t i = 0; torch && i < sizeof dtypes / sizeof *dtypes; i++)
        if (same(dtypes[i], name, name_size)) {
            char text[32];
            snprintf(text, sizeof text, "torch.%s", dtypes[i]);
            return grd_value_text(pickle->arena, text);
        }
    char a[GRD_PRINTABLE], b[GRD_PRINTABLE];
    grd_pickle_fail(pickle, "refused to load \"%s.%s\": a checkpoint may hold tensors, numbers, text, lists and dicts only; "
                    "in PyTorch save model.state_dict() instead of objects",
                    grd_printable(module, module_size, a), grd_printable(name, name_size, b));
    return NULL;
}

grd_value *grd_pickle_call(grd_pickle *pickle, const grd_value *function, const grd_value *args)
{
    if (!function || function->kind != GRD_VALUE_GLOBAL || !grd_value_is(args, GRD_VALUE_TUPLE))
        return wrong(pickle, "a call of something that is not a function with a tuple of arguments");
    const grd_pickle_special *f = (const grd_pickle_special *)function;
    if (f->type || !f->global->call) {
        grd_pickle_fail(pickle, "refused to make an object of class \"%s\"", f->type ? f->type->class_name : f->global->name);
        return NULL;
    }
    return f->global->call(pickle, args);
}

/* ('storage', class, key, location, elements) and in the older format None or (key, offset, elements) for a part of it */
grd_value *grd_pickle_storage(grd_pickle *pickle, const grd_value *id)
{
    const grd_value *class = grd_value_item(id, 1), *key = grd_value_item(id, 2), *count = grd_value_item(id, 4);
    const char *tag = grd_value_to_text(grd_value_item(id, 0), "");
    if (strcmp(tag, "storage") != 0 || !class || class->kind != GRD_VALUE_GLOBAL || !((const grd_pickle_special *)class)->type ||
        !grd_value_is(key, GRD_VALUE_TEXT) || !grd_value_is(count, GRD_VALUE_INT) || count->integer < 0)
        return wrong(pickle, "a reference that is not ('storage', class, key, location, number of elements)");
    grd_value *value = special(pickle, GRD_VALUE_STORAGE);
    if (!value)
        return NULL;
    grd_storage *storage = &((grd_pickle_special *)value)->storage;
    *storage = (grd_storage){ key->text.bytes, key->text.size, ((const grd_pickle_special *)class)->type, count->integer, 0,
                              count->integer };
    const grd_value *view = grd_value_item(id, 5);
    if (!grd_value_is(view, GRD_VALUE_TUPLE))
        return value;
    int64_t offset = grd_value_to_int(grd_value_item(view, 1), -1), part = grd_value_to_int(grd_value_item(view, 2), -1);
    if (offset < 0 || part < 0 || offset > storage->count || part > storage->count - offset)
        return wrong(pickle, "a part of a storage that does not lie inside it");
    storage->view_offset = offset;
    storage->view_count = part;
    return value;
}
