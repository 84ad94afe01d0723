/* The check of a stage's data sets, with what its config says of their fields. */
#include "config/pipeline.h"

#include <stdio.h>
#include <string.h>

/* `loss: {mse: {target: image}}`, or `loss: {kind: mse, target: image}`; NULL if it says none. */
static const char *loss_target(const grd_stage *s)
{
    const grd_yaml *loss = grd_yaml_get(s->config->all, "loss");
    if (loss && loss->kind == GRD_YAML_LIST)
        loss = loss->first;
    if (!loss || loss->kind != GRD_YAML_MAP)
        return NULL;
    const grd_yaml *target = grd_yaml_get(loss, "target");
    if (!target && loss->first && loss->first->kind == GRD_YAML_MAP)
        target = grd_yaml_get(loss->first, "target");
    return target && target->kind == GRD_YAML_SCALAR ? target->text : NULL;
}

static const char *model_input(const grd_stage *s)
{
    const grd_yaml *model = grd_yaml_get(s->config->all, "model"), *input = NULL;
    if (model && model->kind == GRD_YAML_MAP)
        input = grd_yaml_get(model, "input");
    return input && input->kind == GRD_YAML_SCALAR ? input->text : NULL;
}

/* The name, if the data has such a field before its transforms. */
static const char *if_there(const grd_stage_data *data, const char *name)
{
    for (int f = 0; f < data->n_fields && name; f++)
        if (strcmp(data->field[f].name, name) == 0)
            return name;
    return NULL;
}

grd_status grd_pipeline_data_check(grd_pipeline *p, const char *stage, const grd_check_opts *given, grd_report **report)
{
    grd_stage *s = &p->stage[0];
    grd_stage_data data;
    grd_check_opts opts = given ? *given : (grd_check_opts){ 0 };
    *report = NULL;
    if (stage)
        GRD_TRY(grd_stage_find(p, stage, &s));
    GRD_TRY(grd_stage_open_raw(s, &data));
    const grd_check_set all[] = { { "train", data.train }, { "val", data.val }, { "test", data.test } };
    grd_check_set set[3];
    int n = 0;
    for (int k = 0; k < 3; k++) /* with data.overfit val is train again: no leak */
        if (all[k].set && !(k == 1 && s->data.overfit))
            set[n++] = all[k];
    opts.title = opts.title ? opts.title : p->name;
    opts.input = opts.input ? opts.input : if_there(&data, model_input(s));
    opts.target = opts.target ? opts.target : if_there(&data, loss_target(s));
    opts.group = opts.group ? opts.group : s->data.group;
    opts.stop = opts.stop ? opts.stop : p->opts.stop;
    grd_status status = grd_data_check(p->ctx, set, n, &opts, report);
    grd_stage_close_data(&data);
    return status;
}
