/* An optimizer's state in the layout of torch.optim: state by parameter number, one group with all hyper-parameters. */
#include "train/state_dict.h"

#include <stdio.h>
#include <string.h>

/* Parameters in PyTorch's sense: states are no parameters. Returns the tensor of the next one after *i, or false. */
static bool next_param(const grd_model *model, int *i, grd_tensor *tensor)
{
    while (++*i < grd_model_count(model)) {
        *tensor = grd_model_tensor(model, *i);
        if (!tensor->is_state)
            return true;
    }
    return false;
}

static char *moment_at(grd_optim *optim, int k, const grd_tensor *tensor)
{
    return (char *)grd_optim_moment(optim, k) + (size_t)tensor->offset * grd_dtype_size(tensor->dtype);
}

static grd_value *param_state(grd_arena *arena, grd_optim *optim, const grd_tensor *tensor, int64_t steps)
{
    grd_value *state = grd_value_dict(arena);
    if (strcmp(grd_optim_name(optim), "sgd") != 0) { /* which keeps no count */
        float *step = grd_arena_alloc(arena, sizeof *step);
        if (!step)
            return NULL;
        *step = (float)steps;
        if (grd_value_set(arena, state, "step", grd_value_tensor(arena, GRD_F32, &(grd_shape){ .rank = 0 }, step)) != GRD_OK)
            return NULL;
    }
    for (int k = 0; k < grd_optim_moments(optim); k++) {
        grd_value *moment = grd_value_tensor(arena, tensor->dtype, &tensor->shape, moment_at(optim, k, tensor));
        if (grd_value_set(arena, state, grd_optim_moment_name(optim, k), moment) != GRD_OK)
            return NULL;
    }
    return state;
}

static grd_value *option_value(grd_arena *arena, const grd_option *option, const void *values)
{
    const void *field = (const char *)values + option->offset;
    switch (option->type) {
    case GRD_OPTION_INT: return grd_value_int(arena, *(const int64_t *)field);
    case GRD_OPTION_REAL: return grd_value_real(arena, *(const double *)field);
    case GRD_OPTION_BOOL: return grd_value_bool(arena, *(const bool *)field != ((option->flags & GRD_OPTION_INVERTED) != 0));
    case GRD_OPTION_TEXT: return grd_value_text(arena, *(const char *const *)field ? *(const char *const *)field : "");
    default: return grd_value_none(arena);
    }
}

/* Adds one hyper-parameter; our beta1 and beta2 are PyTorch's tuple betas. */
static grd_status add_option(grd_arena *arena, grd_value *group, const grd_option *option, const void *values, double lr)
{
    if (strcmp(option->name, "lr") == 0)
        return grd_value_set(arena, group, "lr", grd_value_real(arena, lr));
    grd_value *value = option_value(arena, option, values);
    if (strcmp(option->name, "beta1") != 0 && strcmp(option->name, "beta2") != 0)
        return grd_value_set(arena, group, option->name, value);
    if (!grd_value_get(group, "betas"))
        GRD_TRY(grd_value_set(arena, group, "betas", grd_value_tuple(arena)));
    return grd_value_append(arena, grd_value_get(group, "betas"), value);
}

/* What PyTorch has besides, at its defaults. */
static grd_status add_switches(grd_arena *arena, grd_value *group, const char *name)
{
    bool sgd = strcmp(name, "sgd") == 0;
    static const char *const off[] = { "maximize", "differentiable", "capturable" };
    for (size_t i = 0; i < 3 - (size_t)sgd; i++)
        GRD_TRY(grd_value_set(arena, group, off[i], grd_value_bool(arena, false)));
    GRD_TRY(grd_value_set(arena, group, "foreach", grd_value_none(arena)));
    GRD_TRY(grd_value_set(arena, group, "fused", grd_value_none(arena)));
    if (sgd)
        return GRD_OK;
    return grd_value_set(arena, group, "decoupled_weight_decay", grd_value_bool(arena, strcmp(name, "adamw") == 0));
}

static grd_value *param_group(grd_arena *arena, grd_optim *optim, double lr, int n_params)
{
    grd_value *group = grd_value_dict(arena), *numbers = grd_value_list(arena);
    const void *values;
    for (const grd_option *o = grd_optim_options(optim, &values); o && o->name; o++)
        if (add_option(arena, group, o, values, lr) != GRD_OK)
            return NULL;
    if (add_switches(arena, group, grd_optim_name(optim)) != GRD_OK)
        return NULL;
    for (int i = 0; i < n_params; i++)
        if (grd_value_append(arena, numbers, grd_value_int(arena, i)) != GRD_OK)
            return NULL;
    return grd_value_set(arena, group, "params", numbers) == GRD_OK ? group : NULL;
}

grd_value *grd_optim_dict(grd_arena *arena, const grd_model *model, grd_optim *optim, double lr)
{
    grd_value *dict = grd_value_dict(arena), *state = grd_value_dict(arena), *groups = grd_value_list(arena);
    const int64_t *steps = grd_optim_steps(optim);
    grd_tensor tensor;
    int number = 0;
    for (int i = -1; next_param(model, &i, &tensor); number++)
        if (steps[i] && grd_optim_moments(optim) &&
            grd_value_set_int(arena, state, number, param_state(arena, optim, &tensor, steps[i])) != GRD_OK)
            return NULL;
    bool made = grd_value_append(arena, groups, param_group(arena, optim, lr, number)) == GRD_OK &&
                grd_value_set(arena, dict, "state", state) == GRD_OK &&
                grd_value_set(arena, dict, "param_groups", groups) == GRD_OK;
    return made ? dict : NULL;
}

grd_value *grd_optim_step_list(grd_arena *arena, const grd_model *model, grd_optim *optim)
{
    grd_value *list = grd_value_list(arena);
    const int64_t *steps = grd_optim_steps(optim);
    grd_tensor tensor;
    for (int i = -1; next_param(model, &i, &tensor);)
        if (grd_value_append(arena, list, grd_value_int(arena, steps[i])) != GRD_OK)
            return NULL;
    return list;
}

static grd_status load_moment(grd_host *host, const char *file, const grd_value *state, int number, grd_optim *optim, int k,
                              const grd_tensor *tensor)
{
    const char *name = grd_optim_moment_name(optim, k);
    const grd_value *value = grd_value_get(state, name);
    if (!grd_value_is(value, GRD_VALUE_TENSOR) || !grd_shape_equal(&value->tensor.shape, &tensor->shape)) {
        char text[80];
        return grd_fail(host, GRD_ERR_FORMAT, "%s: optimizer: state %d (\"%s\"): no \"%s\" of shape %s", file, number,
                        tensor->name, name, grd_shape_text(&tensor->shape, text, sizeof text));
    }
    grd_elements_copy(tensor->dtype, moment_at(optim, k, tensor), value->tensor.dtype, value->tensor.data,
                      grd_count(&tensor->shape));
    return GRD_OK;
}

grd_status grd_optim_dict_load(grd_host *host, const char *file, const grd_value *dict, const grd_value *steps,
                               const grd_model *model, grd_optim *optim)
{
    const grd_value *state = grd_value_get(dict, "state");
    int64_t *count = grd_optim_steps(optim);
    grd_tensor tensor;
    int number = 0;
    for (int i = -1; next_param(model, &i, &tensor); number++) {
        int64_t n = grd_value_to_int(grd_value_item(steps, number), -1);
        if (n < 0)
            return grd_fail(host, GRD_ERR_FORMAT, "%s: no step count of parameter %d (\"%s\")", file, number, tensor.name);
        for (int k = 0; n && k < grd_optim_moments(optim); k++)
            GRD_TRY(load_moment(host, file, grd_value_get_int(state, number), number, optim, k, &tensor));
        count[i] = n;
    }
    return GRD_OK;
}
