/* A model's values as a state_dict with PyTorch's names, shapes and types, and back. */
#include "train/state_dict.h"

#include <stdio.h>
#include <string.h>

static double element(grd_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case GRD_F32: return (double)((const float *)data)[i];
    case GRD_F64: return ((const double *)data)[i];
    case GRD_I32: return (double)((const int32_t *)data)[i];
    case GRD_I64: return (double)((const int64_t *)data)[i];
    case GRD_U8: break;
    }
    return (double)((const uint8_t *)data)[i];
}

void grd_elements_copy(grd_dtype to, void *dst, grd_dtype from, const void *src, int64_t n)
{
    if (to == from && n) {
        memcpy(dst, src, (size_t)n * grd_dtype_size(to));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (to == GRD_F64)
            ((double *)dst)[i] = element(from, src, i);
        else
            ((float *)dst)[i] = (float)element(from, src, i);
    }
}

/* Where tensor i lies in an arena laid out as the model's. */
static char *place(const grd_tensor *tensor, const void *params, const void *states)
{
    return (char *)(uintptr_t)(tensor->is_state ? states : params) + (size_t)tensor->offset * grd_dtype_size(tensor->dtype);
}

static grd_value *counter_value(grd_arena *arena, const grd_tensor *tensor, const void *data)
{
    int64_t n = grd_count(&tensor->shape), *whole = grd_arena_alloc(arena, (size_t)n * sizeof *whole);
    for (int64_t i = 0; whole && i < n; i++)
        whole[i] = (int64_t)element(tensor->dtype, data, i);
    return whole ? grd_value_tensor(arena, GRD_I64, &tensor->shape, whole) : NULL;
}

grd_value *grd_state_dict(grd_arena *arena, const grd_model *model, const void *params, const void *states)
{
    grd_value *dict = grd_value_ordered(arena);
    for (int i = 0; i < grd_model_count(model); i++) {
        grd_tensor tensor = grd_model_tensor(model, i);
        const void *data = place(&tensor, params, states);
        grd_value *value = tensor.counter ? counter_value(arena, &tensor, data)
                                          : grd_value_tensor(arena, tensor.dtype, &tensor.shape, data);
        if (grd_value_set(arena, dict, tensor.name, value) != GRD_OK)
            return NULL;
    }
    return dict;
}

/* ---- reading ---- */

static bool holds_tensors(const grd_value *dict)
{
    if (!grd_value_is(dict, GRD_VALUE_DICT))
        return false;
    for (int i = 0; i < dict->dict.n; i++)
        if (grd_value_is(dict->dict.item[i].value, GRD_VALUE_TENSOR))
            return true;
    return false;
}

const grd_value *grd_state_dict_find(const grd_value *root)
{
    static const char *const usual[] = { "state_dict", "model_state_dict", "model" };
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (holds_tensors(grd_value_get(root, usual[i])))
            return grd_value_get(root, usual[i]);
    return holds_tensors(root) ? root : NULL;
}

/* A key without what DataParallel and torch.compile put before it. */
static const char *plain_name(const grd_value *key)
{
    const char *name = grd_value_to_text(key, "");
    static const char *const wrapper[] = { "module.", "_orig_mod." };
    for (size_t i = 0; i < sizeof wrapper / sizeof *wrapper; i++) {
        size_t n = strlen(wrapper[i]);
        if (strncmp(name, wrapper[i], n) == 0) {
            name += n;
            i = (size_t)-1; /* from the first again */
        }
    }
    return name;
}

static const grd_value *find_tensor(const grd_value *dict, const char *name)
{
    const grd_value *exact = grd_value_get(dict, name);
    if (exact)
        return exact;
    for (int i = 0; i < dict->dict.n; i++)
        if (strcmp(plain_name(dict->dict.item[i].key), name) == 0)
            return dict->dict.item[i].value;
    return NULL;
}

static bool below(const char *name, const char *prefix)
{
    size_t n = prefix ? strlen(prefix) : 0;
    return !n || (strncmp(name, prefix, n) == 0 && (name[n] == '.' || name[n] == 0 || prefix[n - 1] == '.'));
}

static grd_status check_tensor(grd_host *host, const char *file, const grd_tensor *want, const grd_value *have, bool partial)
{
    if (!have && (partial || want->counter)) /* counters are younger than many files */
        return GRD_OK;
    if (!have)
        return grd_fail(host, GRD_ERR_FORMAT, "%s: has no tensor \"%s\", which the model needs", file, want->name);
    if (!grd_value_is(have, GRD_VALUE_TENSOR))
        return grd_fail(host, GRD_ERR_FORMAT, "%s: \"%s\" is of kind %s, expected a tensor", file, want->name,
                        grd_value_kind_name(have->kind));
    char text[2][80];
    if (!grd_shape_equal(&have->tensor.shape, &want->shape))
        return grd_fail(host, GRD_ERR_SHAPE, "%s: \"%s\" is %s, the model's is %s", file, want->name,
                        grd_shape_text(&have->tensor.shape, text[0], sizeof text[0]),
                        grd_shape_text(&want->shape, text[1], sizeof text[1]));
    return GRD_OK;
}

static grd_status check_extra(grd_host *host, const char *file, const grd_value *dict, const grd_model *model)
{
    for (int i = 0; i < dict->dict.n; i++) {
        const char *name = plain_name(dict->dict.item[i].key);
        if (grd_value_is(dict->dict.item[i].value, GRD_VALUE_TENSOR) && grd_model_find(model, name) < 0)
            return grd_fail(host, GRD_ERR_FORMAT, "%s: holds \"%s\", which the model does not have", file, name);
    }
    return GRD_OK;
}

grd_status grd_state_dict_load(grd_host *host, const char *file, const grd_value *dict, const grd_model *model,
                               const grd_load_opts *opts, void *params, void *states, int *loaded)
{
    static const grd_load_opts all;
    opts = opts ? opts : &all;
    int n = 0;
    if (!opts->prefix && !opts->partial)
        GRD_TRY(check_extra(host, file, dict, model));
    for (int write = 0; write < 2; write++) {
        for (int i = 0; i < grd_model_count(model); i++) {
            grd_tensor tensor = grd_model_tensor(model, i);
            if (!below(tensor.name, opts->prefix))
                continue;
            const grd_value *value = find_tensor(dict, tensor.name);
            if (!write)
                GRD_TRY(check_tensor(host, file, &tensor, value, opts->partial));
            n += !write && value;
            if (write && value)
                grd_elements_copy(tensor.dtype, place(&tensor, params, states), value->tensor.dtype, value->tensor.data,
                                  grd_count(&tensor.shape));
        }
        if (!n)
            return grd_fail(host, GRD_ERR_FORMAT, "%s: none of the model's tensors%s%s%s is in it", file,
                            opts->prefix ? " under \"" : "", opts->prefix ? opts->prefix : "", opts->prefix ? "\"" : "");
    }
    if (loaded)
        *loaded = n;
    return GRD_OK;
}
