/* From a stage's config to a graph and its model: inputs from the data's fields, layers, loss, metrics, frozen layers. */
#include "config/build.h"

#include <stdio.h>
#include <string.h>

static const grd_field *find_field(const grd_stage_data *data, const char *name)
{
    for (int i = 0; i < data->n_fields; i++)
        if (strcmp(data->field[i].name, name) == 0)
            return &data->field[i];
    return NULL;
}

static const char *field_name(const void *ctx, int i)
{
    const grd_stage_data *data = ctx;
    return i < data->n_fields ? data->field[i].name : NULL;
}

grd_status grd_field_input(grd_builder *b, const grd_yaml *where, const char *name, grd_var *x)
{
    *x = grd_find_input(b->net->graph, name);
    if (grd_valid(*x))
        return GRD_OK;
    const grd_field *f = find_field(b->data, name);
    char text[96];
    if (!f)
        return grd_yaml_fail(b->host, where, "data has no field \"%.60s\"%s", name,
                             grd_hint(name, field_name, b->data, text, sizeof text));
    if (f->dtype != GRD_F32 && f->dtype != GRD_I32)
        return grd_yaml_fail(b->host, where,
                             "field \"%s\" is %s %s: numbers for the model are made by data: {transform: [scale]}", name,
                             grd_dtype_name(f->dtype), grd_shape_text(&f->shape, text, sizeof text));
    int64_t dim[GRD_MAX_RANK] = { GRD_VARIES };
    if (f->shape.rank + 1 > GRD_MAX_RANK)
        return grd_yaml_fail(b->host, where, "field \"%s\" has rank %d, at most %d", name, f->shape.rank, GRD_MAX_RANK - 1);
    for (int i = 0; i < f->shape.rank; i++)
        dim[i + 1] = f->shape.dim[i] < 0 ? GRD_VARIES_T : f->shape.dim[i];
    *x = grd_input(b->net->graph, f->name, f->dtype, f->shape.rank + 1, dim);
    return grd_valid(*x) ? GRD_OK : grd_graph_error(b, where);
}

/* Where the input's length varies from row to row, the field that tells it goes to every layer along time. */
static grd_status find_lengths(grd_builder *b)
{
    const char *name = grd_var_name(b->net->input);
    const grd_field *f = find_field(b->data, name);
    char lengths[GRD_FIELD_NAME + 8];
    snprintf(lengths, sizeof lengths, "%s_length", name);
    if (!f || f->shape.rank != 1 || f->shape.dim[0] >= 0 || !find_field(b->data, lengths))
        return GRD_OK;
    return grd_field_input(b, b->model, lengths, &b->lengths);
}

/* The first field that is no label. */
static const char *default_input(const grd_stage_data *data)
{
    for (int i = 0; i < data->n_fields; i++)
        if (data->field[i].classes == 0 && strcmp(data->field[i].name, "label") != 0)
            return data->field[i].name;
    return data->field[0].name;
}

/* Counts of truth and prediction, for `eval --confusion`, if the output is one score a class. */
static grd_status build_confusion(grd_builder *b)
{
    grd_stage_net *net = b->net;
    grd_var labels = grd_find_input(net->graph, net->target);
    grd_shape out = grd_var_shape(net->output);
    const grd_field *f = find_field(b->data, net->target);
    net->confusion = GRD_NONE;
    if (!f || f->classes < 2 || out.rank != 2 || out.dim[1] < 2 || grd_var_shape(labels).rank != 1)
        return GRD_OK;
    net->confusion = grd_confusion(net->output, labels, NULL);
    net->classes = out.dim[1];
    return grd_valid(net->confusion) ? GRD_OK : grd_graph_error(b, b->model);
}

static grd_status build_all(grd_builder *b)
{
    const grd_yaml *all = b->stage->config->all;
    b->model = grd_yaml_get(all, "model");
    if (!b->model)
        return grd_yaml_fail(b->host, all, "stage \"%s\": model is missing, such as model: {layers: [flatten, {linear: 10}]}",
                             b->stage->config->name);
    if (b->model->kind != GRD_YAML_MAP)
        return grd_yaml_fail(b->host, b->model, "model: expected a map of keys, found %s", grd_yaml_kind_name(b->model));
    b->blocks = grd_yaml_get(b->model, "blocks");
    if (b->blocks && b->blocks->kind != GRD_YAML_MAP)
        return grd_yaml_fail(b->host, b->blocks, "model: blocks: expected a map of names, found %s",
                             grd_yaml_kind_name(b->blocks));
    GRD_TRY(grd_check_constants(b));
    const grd_yaml *layers = grd_yaml_get(b->model, "layers");
    if (!layers || layers->kind != GRD_YAML_LIST)
        return grd_yaml_fail(b->host, layers ? layers : b->model, "model: layers: expected a list%s",
                             layers ? "" : ", it is missing");
    const grd_yaml *input = grd_yaml_get(b->model, "input");
    if (input && input->kind != GRD_YAML_SCALAR)
        return grd_yaml_fail(b->host, input, "model: input: expected the name of a field, found %s", grd_yaml_kind_name(input));
    GRD_TRY(grd_field_input(b, input ? input : b->model, input ? input->text : default_input(b->data), &b->net->input));
    GRD_TRY(grd_name_value(b, b->model, grd_var_name(b->net->input), b->net->input));
    GRD_TRY(find_lengths(b));
    b->net->output = b->net->input;
    GRD_TRY(grd_build_layers(b, layers, &b->net->output));
    GRD_TRY(grd_build_loss(b));
    GRD_TRY(grd_build_metrics(b));
    return build_confusion(b);
}

/* Freezes what `init` says; every name there must be one of the model's. */
static grd_status freeze(grd_stage *stage, grd_stage_net *net)
{
    const grd_yaml *init = grd_yaml_get(stage->config->all, "init"), *layers = grd_yaml_get(init, "layers");
    if (!layers && stage->init.freeze)
        grd_model_freeze(net->model, "", true);
    bool list = layers && layers->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = list ? layers->first : layers; c; c = list ? c->next : NULL) {
        if (c->kind != GRD_YAML_SCALAR)
            return grd_yaml_fail(stage->pipeline->host, c, "init: layers: expected names, found %s", grd_yaml_kind_name(c));
        if (!grd_model_freeze(net->model, c->text, stage->init.freeze))
            return grd_yaml_fail(stage->pipeline->host, c, "init: layers: the model has no parameters under \"%.60s\"", c->text);
    }
    return GRD_OK;
}

grd_status grd_stage_build(grd_stage *stage, const grd_stage_data *data, grd_dtype dtype, grd_stage_net *net)
{
    grd_pipeline *p = stage->pipeline;
    memset(net, 0, sizeof *net);
    grd_builder *b = GRD_NEW(p->host, grd_builder);
    if (!b)
        return GRD_ERR_MEMORY;
    *b = (grd_builder){ .stage = stage, .host = p->host, .arena = &p->arena, .data = data, .net = net };
    net->graph = grd_graph_new(p->ctx);
    grd_status status = net->graph ? build_all(b) : GRD_ERR_MEMORY;
    grd_free(p->host, b);
    grd_model_opts opts = { .dtype = dtype,
                            .threads = (int)stage->run.threads,
                            .exact_conv = stage->run.exact_conv,
                            .low_memory = stage->run.memory == GRD_MEMORY_LOW,
                            .backend = grd_backend_choice(stage->run.backend),
                            .seed = (uint64_t)stage->run.seed };
    if (status == GRD_OK)
        status = grd_model_new(net->graph, &opts, &net->model);
    if (status == GRD_OK)
        status = freeze(stage, net);
    if (status != GRD_OK)
        grd_stage_free_net(net);
    return status;
}

void grd_stage_free_net(grd_stage_net *net)
{
    grd_graph_free(net->graph); /* the model too */
    memset(net, 0, sizeof *net);
}
