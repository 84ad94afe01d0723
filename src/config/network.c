/* From `model`, `loss` and `metrics` to a graph. A layer entry is NAME, {NAME: value} or {NAME: {...}}, with `as: NAME` beside it; NAME is a
 * block, a layer, or one of the two joins concat and add. $NAME stands for a constant of `model` or an argument of a block. */
#include "config/pipeline.h"

#include "base/options.h"
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAMED = 64, MAX_NESTING = 16 };

typedef struct scope_env {              /* arguments of the block that is being built */
    const grd_yaml *names, *values;     /* lists of the same length; or both NULL */
    const struct scope_env *outer;
} scope_env;

typedef struct builder {
    grd_stage *stage;
    grd_host *host;
    grd_arena *arena;
    const grd_stage_data *data;
    grd_stage_net *net;
    const grd_yaml *model, *blocks;
    struct { const char *name; grd_var value; } named[MAX_NAMED];
    int n_named, depth;
} builder;

/* ---- $names ---- */

static const grd_yaml *meaning(const builder *b, const scope_env *env, const char *name)
{
    for (; env; env = env->outer) {
        const grd_yaml *n = env->names ? env->names->first : NULL, *v = env->values ? env->values->first : NULL;
        for (; n && v; n = n->next, v = v->next)
            if (grd_yaml_is(n, name))
                return v;
    }
    if (grd_options_find(grd_section_model.options, name) || strcmp(name, "layers") == 0 || strcmp(name, "blocks") == 0)
        return NULL;
    return grd_yaml_get(b->model, name);
}

/* A copy with every $name replaced. */
static grd_status substitute(builder *b, const scope_env *env, const grd_yaml *node, grd_yaml **out)
{
    if (node->kind == GRD_YAML_SCALAR) {
        const grd_yaml *value = node;
        if (node->text && node->text[0] == '$') {
            value = meaning(b, env, node->text + 1);
            if (!value)
                return grd_yaml_fail(b->host, node, "model: no constant \"%s\" for %s", node->text + 1, node->text);
        }
        *out = grd_yaml_copy(b->arena, value);
        if (!*out)
            return GRD_ERR_MEMORY;
        (*out)->key = node->key;
        (*out)->file = node->file;
        (*out)->line = node->line;
        return GRD_OK;
    }
    *out = grd_yaml_new(b->arena, node->kind, node);
    if (!*out)
        return GRD_ERR_MEMORY;
    (*out)->key = node->key;
    for (const grd_yaml *c = node->first; c; c = c->next) {
        grd_yaml *child;
        GRD_TRY(substitute(b, env, c, &child));
        grd_yaml_append(*out, child);
    }
    return GRD_OK;
}

/* ---- layers ---- */

static grd_status build_list(builder *b, const scope_env *env, const grd_yaml *list, grd_var *x);

/* The graph has an error: with file and line before it. */
static grd_status graph_error(builder *b, const grd_yaml *node)
{
    grd_status status = grd_graph_status(b->net->graph);
    return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(b->host, node);
}

static const char *known_name(const void *ctx, int i)
{
    const builder *b = ctx;
    const grd_yaml *block = b->blocks ? b->blocks->first : NULL;
    for (; block && i > 0; i--)
        block = block->next;
    if (block)
        return block->key;
    static const char *const joins[] = { "concat", "add" };
    if (i < 2)
        return joins[i];
    const grd_layer *layer = grd_layer_at(b->stage->pipeline->ctx, i - 2);
    return layer ? layer->name : NULL;
}

static const char *value_name(const void *ctx, int i)
{
    const builder *b = ctx;
    return i < b->n_named ? b->named[i].name : NULL;
}

static grd_status named_value(builder *b, const grd_yaml *node, grd_var *value)
{
    const char *name = node->kind == GRD_YAML_SCALAR ? node->text : "";
    for (int i = b->n_named - 1; i >= 0; i--) {
        if (strcmp(b->named[i].name, name) == 0) {
            *value = b->named[i].value;
            return GRD_OK;
        }
    }
    char hint[96];
    return grd_yaml_fail(b->host, node, "model: no earlier value is named \"%s\" (as: NAME)%s", name, grd_hint(name, value_name, b, hint, sizeof hint));
}

/* {concat: e1}, {add: [e1, e2]}: the current value first. */
static grd_status build_join(builder *b, const grd_row_ref *row, grd_var *x)
{
    if (!row->value || row->value->kind == GRD_YAML_MAP)
        return grd_yaml_fail(b->host, row->node, "%s: expected the name of an earlier value, or a list of names", row->name);
    grd_var list[GRD_MAX_IN] = { *x };
    int n = 1;
    bool is_list = row->value->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = is_list ? row->value->first : row->value; c; c = is_list ? c->next : NULL) {
        if (n == GRD_MAX_IN)
            return grd_yaml_fail(b->host, c, "%s: more than %d values", row->name, GRD_MAX_IN);
        GRD_TRY(named_value(b, c, &list[n++]));
    }
    if (strcmp(row->name, "concat") == 0) {
        *x = grd_concat(list, n, NULL);
    } else {
        for (int i = 1; i < n; i++)
            *x = grd_add(*x, list[i]);
    }
    return grd_valid(*x) ? GRD_OK : graph_error(b, row->node);
}

static grd_status build_block(builder *b, const grd_row_ref *row, const grd_yaml *body, const char *as, grd_var *x)
{
    const grd_yaml *args = body->kind == GRD_YAML_MAP ? grd_yaml_get(body, "args") : NULL;
    const grd_yaml *layers = body->kind == GRD_YAML_MAP ? grd_yaml_get(body, "layers") : body;
    if (body->kind == GRD_YAML_MAP)
        GRD_TRY(grd_check_keys(b->host, body->key, body, NULL, NULL, "args layers"));
    if (!layers || layers->kind != GRD_YAML_LIST)
        return grd_yaml_fail(b->host, body, "block \"%s\": expected a list of layers, or {args: [...], layers: [...]}", row->name);
    if (b->depth == MAX_NESTING)
        return grd_yaml_fail(b->host, row->node, "block \"%s\": nested deeper than %d; does it contain itself?", row->name, MAX_NESTING);
    grd_yaml wrapped = { .kind = GRD_YAML_LIST };
    scope_env env = { NULL, NULL, NULL };
    if (args || row->value) {
        if (!args || !row->value)
            return grd_yaml_fail(b->host, row->node, "block \"%s\": %s", row->name, args ? "its args are missing" : "takes no value: it has no args");
        grd_yaml *one = NULL;
        if (row->value->kind == GRD_YAML_SCALAR) {
            if (!(one = grd_yaml_copy(b->arena, row->value)))
                return GRD_ERR_MEMORY;
            grd_yaml_append(&wrapped, one);
        }
        env.names = args;
        env.values = one ? &wrapped : row->value;
        int have = 0, want = args->n;
        for (const grd_yaml *v = env.values->first; v; v = v->next)
            have++;
        if (args->kind != GRD_YAML_LIST || have != want)
            return grd_yaml_fail(b->host, row->node, "block \"%s\": %d values for %d args", row->name, have, want);
    }
    /* a plain block is named by its name; one with arguments may come often and is numbered */
    grd_scope_push(b->net->graph, as ? as : args ? NULL : row->name);
    b->depth++;
    grd_status status = build_list(b, &env, layers, x);
    b->depth--;
    grd_scope_pop(b->net->graph);
    return status;
}

static grd_status build_layer(builder *b, const grd_row_ref *row, const char *as, grd_var *x)
{
    const grd_layer *layer = grd_layer_find(b->stage->pipeline->ctx, row->name);
    if (!layer) {
        char hint[96];
        return grd_yaml_fail(b->host, row->node, "model: no layer or block \"%s\"%s", row->name, grd_hint(row->name, known_name, b, hint, sizeof hint));
    }
    void *options = grd_arena_alloc(b->arena, layer->options_size + 16);
    if (!options)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_row_options(b->host, row, layer->options, NULL, NULL, options));
    *x = grd_layer_apply(layer, *x, as, options);
    return grd_valid(*x) ? GRD_OK : graph_error(b, row->node);
}

static grd_status build_entry(builder *b, const scope_env *env, const grd_yaml *entry, grd_var *x)
{
    grd_yaml *node;
    GRD_TRY(substitute(b, env, entry, &node));
    grd_row_ref row;
    GRD_TRY(grd_row_read(b->host, "model: layers", node, "as", &row));
    const grd_yaml *as_node = node->kind == GRD_YAML_MAP ? grd_yaml_get(node, "as") : NULL;
    const char *as = as_node ? as_node->text : NULL;
    if (as_node && (as_node->kind != GRD_YAML_SCALAR || !grd_good_name(as)))
        return grd_yaml_fail(b->host, as_node, "model: as: expected a name of letters, digits, _ and -");
    const grd_yaml *block = b->blocks ? grd_yaml_get(b->blocks, row.name) : NULL;
    bool join = strcmp(row.name, "concat") == 0 || strcmp(row.name, "add") == 0;
    GRD_TRY(block ? build_block(b, &row, block, as, x) : join ? build_join(b, &row, x) : build_layer(b, &row, as, x));
    if (!as)
        return GRD_OK;
    if (b->n_named == MAX_NAMED)
        return grd_yaml_fail(b->host, as_node, "model: more than %d named values", MAX_NAMED);
    b->named[b->n_named].name = as;
    b->named[b->n_named++].value = *x;
    return GRD_OK;
}

static grd_status build_list(builder *b, const scope_env *env, const grd_yaml *list, grd_var *x)
{
    for (const grd_yaml *c = list->first; c; c = c->next)
        GRD_TRY(build_entry(b, env, c, x));
    return GRD_OK;
}

/* The same block twice in a list would share its parameters: that must be said by `as`. */
static grd_status check_repeats(builder *b, const grd_yaml *list)
{
    for (const grd_yaml *c = list->first; c; c = c->next)
        for (const grd_yaml *d = c->next; d && c->kind == GRD_YAML_SCALAR; d = d->next)
            if (d->kind == GRD_YAML_SCALAR && strcmp(c->text, d->text) == 0 && b->blocks && grd_yaml_get(b->blocks, c->text))
                return grd_yaml_fail(b->host, d, "model: block \"%s\" stands in the list twice; give one another name: {%s: , as: NAME}", c->text, c->text);
    return GRD_OK;
}

/* ---- inputs ---- */

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

/* The graph's input for a field; made when first asked for. */
static grd_status field_input(builder *b, const grd_yaml *where, const char *name, grd_var *x)
{
    *x = grd_find_input(b->net->graph, name);
    if (grd_valid(*x))
        return GRD_OK;
    const grd_field *f = find_field(b->data, name);
    char text[96];
    if (!f)
        return grd_yaml_fail(b->host, where, "data has no field \"%s\"%s", name, grd_hint(name, field_name, b->data, text, sizeof text));
    if (f->dtype != GRD_F32 && f->dtype != GRD_I32)
        return grd_yaml_fail(b->host, where, "field \"%s\" is %s %s: numbers for the model are made by data: {transform: [scale]}", name,
                             grd_dtype_name(f->dtype), grd_shape_text(&f->shape, text, sizeof text));
    int64_t dim[GRD_MAX_RANK] = { GRD_VARIES };
    if (f->shape.rank + 1 > GRD_MAX_RANK)
        return grd_yaml_fail(b->host, where, "field \"%s\" has rank %d, at most %d", name, f->shape.rank, GRD_MAX_RANK - 1);
    for (int i = 0; i < f->shape.rank; i++)
        dim[i + 1] = f->shape.dim[i] < 0 ? GRD_VARIES_T : f->shape.dim[i];
    *x = grd_input(b->net->graph, f->name, f->dtype, f->shape.rank + 1, dim);
    return grd_valid(*x) ? GRD_OK : graph_error(b, where);
}

static const char *default_input(const grd_stage_data *data)
{
    for (int i = 0; i < data->n_fields; i++)
        if (data->field[i].classes == 0 && strcmp(data->field[i].name, "label") != 0)
            return data->field[i].name;
    return data->n_fields ? data->field[0].name : "image";
}

/* ---- loss and metrics ---- */

static const char *loss_name(const void *ctx, int i)
{
    for (int k = 0;; k++) {
        const grd_op *op = grd_op_at(ctx, k, GRD_F32);
        if (!op)
            return NULL;
        if ((op->flags & GRD_LOSS) && strcmp(op->name, "loss_mix") != 0 && i-- == 0)
            return op->name;
    }
}

typedef struct loss_term { grd_var value; double weight; const char *op, *target; } loss_term;

/* {mse: {target: image}}, mse, or {kind: mse, target: image}. */
static grd_status build_term(builder *b, const grd_yaml *node, loss_term *term)
{
    grd_ctx *ctx = b->stage->pipeline->ctx;
    grd_row_ref row = { .node = node };
    const grd_yaml *kind = node->kind == GRD_YAML_MAP ? grd_yaml_get(node, "kind") : NULL;
    if (kind) {
        row.name = kind->text ? kind->text : "";
        row.value = node;
    } else {
        GRD_TRY(grd_row_read(b->host, "loss", node, NULL, &row));
    }
    const grd_op *op = grd_op_find(ctx, row.name, GRD_F32);
    if (!op || !(op->flags & GRD_LOSS) || strcmp(op->name, "loss_mix") == 0) {
        char hint[96];
        return grd_yaml_fail(b->host, row.node, "loss: no loss \"%s\"%s", row.name, grd_hint(row.name, loss_name, ctx, hint, sizeof hint));
    }
    bool map = row.value && row.value->kind == GRD_YAML_MAP;
    grd_loss_section section;
    memset(&section, 0, sizeof section);
    if (map)
        GRD_TRY(grd_check_keys(b->host, row.name, row.value, grd_section_loss.options, op->options, kind ? "kind" : NULL));
    for (const grd_yaml *c = map ? row.value->first : NULL; c; c = c->next)
        if (grd_options_find(grd_section_loss.options, c->key) && !grd_yaml_is_null(c))
            GRD_TRY(grd_option_read(b->host, grd_section_loss.options, &section, row.name, c->key, c));
    GRD_TRY(grd_options_resolve(b->host, grd_section_loss.options, sizeof section, row.name, &section, &section));
    void *options = grd_arena_alloc(b->arena, op->options_size + 16);
    if (!options)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_row_options(b->host, &row, op->options, grd_section_loss.options, kind ? "kind" : NULL, options));
    grd_var in[2] = { b->net->output };
    if (section.output) {
        grd_yaml name = *row.node;
        name.kind = GRD_YAML_SCALAR;
        name.text = section.output;
        GRD_TRY(named_value(b, &name, &in[0]));
    }
    const char *target = section.target ? section.target : "label";
    GRD_TRY(field_input(b, row.node, target, &in[1]));
    *term = (loss_term){ grd_apply(op->name, op->options ? options : NULL, in, 2), section.weight, op->name, target };
    return grd_valid(term->value) ? GRD_OK : graph_error(b, row.node);
}

static grd_status build_loss(builder *b)
{
    const grd_yaml *all = b->stage->config->all, *node = grd_yaml_get(all, "loss");
    if (!node)
        return grd_yaml_fail(b->host, all, "stage \"%s\": loss is missing, such as loss: cross_entropy", b->stage->config->name);
    bool list = node->kind == GRD_YAML_LIST;
    grd_var value[GRD_MAX_LIST];
    double factor[GRD_MAX_LIST];
    loss_term term = { .weight = 1 };
    int n = 0;
    for (const grd_yaml *c = list ? node->first : node; c; c = list ? c->next : NULL) {
        if (n == GRD_MAX_LIST)
            return grd_yaml_fail(b->host, c, "loss: more than %d terms", GRD_MAX_LIST);
        GRD_TRY(build_term(b, c, &term));
        if (!n) {
            b->net->loss_op = term.op;
            b->net->target = term.target;
        }
        value[n] = term.value;
        factor[n++] = term.weight;
    }
    if (!n)
        return grd_yaml_fail(b->host, node, "loss: expected at least one");
    b->net->loss = n == 1 && factor[0] == 1 ? value[0] : grd_loss_mix(value, factor, n);
    b->net->reconstructs = strcmp(b->net->target, grd_var_name(b->net->input)) == 0;
    return grd_valid(b->net->loss) ? GRD_OK : graph_error(b, node);
}

static const char *metric_name(const void *ctx, int i)
{
    static const char *const own[] = { "accuracy" };
    return i < 1 ? own[i] : loss_name(ctx, i - 1);
}

static grd_status build_metrics(builder *b)
{
    const grd_yaml *list = grd_yaml_get(b->stage->config->all, "metrics");
    grd_ctx *ctx = b->stage->pipeline->ctx;
    bool many = list && list->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = many ? list->first : list; c; c = many ? c->next : NULL) {
        grd_row_ref row;
        GRD_TRY(grd_row_read(b->host, "metrics", c, NULL, &row));
        const grd_op *op = grd_op_find(ctx, row.name, GRD_F32);
        bool known = op && (strcmp(row.name, "accuracy") == 0 || ((op->flags & GRD_LOSS) && strcmp(row.name, "loss_mix") != 0));
        if (!known) {
            char hint[96];
            return grd_yaml_fail(b->host, row.node, "metrics: no metric \"%s\"%s", row.name, grd_hint(row.name, metric_name, ctx, hint, sizeof hint));
        }
        if (b->net->n_metrics == GRD_MAX_METRICS)
            return grd_yaml_fail(b->host, c, "metrics: more than %d", GRD_MAX_METRICS);
        void *options = grd_arena_alloc(b->arena, op->options_size + 16);
        if (!options)
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_row_options(b->host, &row, op->options, NULL, NULL, options));
        grd_var in[2] = { b->net->output };
        GRD_TRY(field_input(b, row.node, b->net->target, &in[1]));
        grd_var v = grd_apply(op->name, op->options ? options : NULL, in, 2);
        if (!grd_valid(v))
            return graph_error(b, row.node);
        b->net->metric[b->net->n_metrics] = v;
        b->net->metric_name[b->net->n_metrics++] = op->name;
    }
    return GRD_OK;
}

/* ---- all of it ---- */

static grd_status build_all(builder *b)
{
    grd_stage *stage = b->stage;
    const grd_yaml *all = stage->config->all;
    b->model = grd_yaml_get(all, "model");
    if (!b->model)
        return grd_yaml_fail(b->host, all, "stage \"%s\": model is missing, such as model: {layers: [flatten, {linear: 10}]}", stage->config->name);
    if (b->model->kind != GRD_YAML_MAP)
        return grd_yaml_fail(b->host, b->model, "model: expected a map of keys, found %s", grd_yaml_kind_name(b->model));
    b->blocks = grd_yaml_get(b->model, "blocks");
    if (b->blocks && b->blocks->kind != GRD_YAML_MAP)
        return grd_yaml_fail(b->host, b->blocks, "model: blocks: expected a map of names, found %s", grd_yaml_kind_name(b->blocks));
    const grd_yaml *layers = grd_yaml_get(b->model, "layers");
    if (!layers || layers->kind != GRD_YAML_LIST)
        return grd_yaml_fail(b->host, layers ? layers : b->model, "model: layers: expected a list%s", layers ? "" : ", it is missing");
    const grd_yaml *input = grd_yaml_get(b->model, "input");
    GRD_TRY(check_repeats(b, layers));
    GRD_TRY(field_input(b, input ? input : b->model, input && input->text ? input->text : default_input(b->data), &b->net->input));
    grd_var x = b->net->input;
    GRD_TRY(build_list(b, NULL, layers, &x));
    b->net->output = x;
    GRD_TRY(build_loss(b));
    return build_metrics(b);
}

grd_status grd_stage_build(grd_stage *stage, const grd_stage_data *data, grd_dtype dtype, grd_stage_net *net)
{
    grd_pipeline *p = stage->pipeline;
    memset(net, 0, sizeof *net);
    net->graph = grd_graph_new(p->ctx);
    if (!net->graph)
        return GRD_ERR_MEMORY;
    builder *b = GRD_NEW(p->host, builder);
    if (!b)
        return GRD_ERR_MEMORY;
    *b = (builder){ .stage = stage, .host = p->host, .arena = &p->arena, .data = data, .net = net };
    grd_status status = build_all(b);
    grd_free(p->host, b);
    grd_model_opts opts = { .dtype = dtype, .threads = (int)stage->run.threads, .backend = grd_backend_choice(stage->run.backend),
                            .seed = (uint64_t)stage->run.seed };
    if (status == GRD_OK)
        status = grd_model_new(net->graph, &opts, &net->model);
    if (status != GRD_OK)
        grd_stage_free_net(net);
    return status;
}

void grd_stage_free_net(grd_stage_net *net)
{
    grd_graph_free(net->graph); /* the model too */
    memset(net, 0, sizeof *net);
}
