/* A model's values, and an optimizer's, as trees in PyTorch's layout, and back. */
#ifndef GRD_TRAIN_STATE_DICT_H
#define GRD_TRAIN_STATE_DICT_H

#include "format/value.h"

#include <gradus/optim.h>
#include <gradus/train.h>

/* An OrderedDict of tensors that point into the two arenas (the model's, or copies of them); counters become int64, as in
 * PyTorch. NULL: no memory. */
grd_value *grd_state_dict(grd_arena *arena, const grd_model *model, const void *params, const void *states);
/* The dict of tensors in a file's tree: the root itself, or under a usual name. NULL: none. */
const grd_value *grd_state_dict_find(const grd_value *root);
/* Into two arenas laid out as the model's. All is checked before anything is written. `file` begins messages; opts may be
 * NULL. */
grd_status grd_state_dict_load(grd_host *host, const char *file, const grd_value *dict, const grd_model *model,
                               const grd_load_opts *opts, void *params, void *states, int *loaded);

/* {'state': {0: {...}}, 'param_groups': [{...}]}, as torch.optim's load_state_dict takes it. NULL: no memory. */
grd_value *grd_optim_dict(grd_arena *arena, const grd_model *model, grd_optim *optim, double lr);
/* Moments from there; step counts from `steps`, a list with one number a parameter. */
grd_status grd_optim_dict_load(grd_host *host, const char *file, const grd_value *dict, const grd_value *steps,
                               const grd_model *model, grd_optim *optim);
grd_value *grd_optim_step_list(grd_arena *arena, const grd_model *model, grd_optim *optim);

/* n elements of any type into float or double. */
void grd_elements_copy(grd_dtype to, void *dst, grd_dtype from, const void *src, int64_t n);

#endif
