/* `loss` and `metrics`: ops on the model's output and a field of the data. */
#include "config/build.h"

#include "base/options.h"

#include <string.h>

/* Rows that a config may name as a loss. */
static bool is_loss(const grd_op *op)
{
    return op && (op->flags & GRD_LOSS) && !(op->flags & GRD_INTERNAL) && op->n_in >= 2;
}
/* Two numbers (sum, weight) of output and target, without a gradient: accuracy; a loss will do too. */
static bool is_metric(const grd_op *op)
{
    return is_loss(op) || (op && (op->flags & GRD_NO_GRAD) && op->n_in == 2 && op->n_out == 2);
}

static const char *nth_op(const void *ctx, int i, bool (*wanted)(const grd_op *op))
{
    const grd_op *op;
    for (int k = 0; (op = grd_op_at(ctx, k, GRD_F32)); k++)
        if (wanted(op) && i-- == 0)
            return op->name;
    return NULL;
}

static const char *loss_name(const void *ctx, int i)
{
    return nth_op(ctx, i, is_loss);
}
static const char *metric_name(const void *ctx, int i)
{
    return nth_op(ctx, i, is_metric);
}

static bool wants_index(const grd_op *op)
{
    return op->in_kind && op->in_kind[1] == GRD_KIND_INDEX;
}

/* The field a loss looks at if it names none: labels for indices; for real numbers the only real field besides the input. */
static const char *default_target(const grd_builder *b, const grd_op *op)
{
    const char *found = NULL;
    for (int i = 0; i < b->data->n_fields; i++) {
        const grd_field *f = &b->data->field[i];
        bool fits = wants_index(op) ? f->classes > 0 : f->dtype == GRD_F32 && strcmp(f->name, grd_var_name(b->net->input)) != 0;
        if (!fits)
            continue;
        if (strcmp(f->name, "label") == 0)
            return f->name;
        if (found)
            return NULL;
        found = f->name;
    }
    return found;
}

typedef struct loss_term {
    grd_var value;
    double weight;
    const char *op, *target;
} loss_term;

/* {mse: {target: image}}, mse, or {kind: mse, target: image}: which loss, its own options, and the section beside them. */
static grd_status read_term(grd_builder *b, const grd_yaml *node, grd_row_ref *row, const grd_op **op, void **options,
                            grd_loss_section *section)
{
    grd_ctx *ctx = b->stage->pipeline->ctx;
    const grd_yaml *kind = node->kind == GRD_YAML_MAP ? grd_yaml_get(node, "kind") : NULL;
    if (kind && kind->kind == GRD_YAML_SCALAR)
        *row = (grd_row_ref){ node, kind->text, node };
    else
        GRD_TRY(grd_row_read(b->host, "loss", node, NULL, row));
    *op = grd_op_find(ctx, row->name, GRD_F32);
    char hint[96];
    if (!is_loss(*op))
        return grd_yaml_fail(b->host, row->node, "loss: no loss \"%.60s\"%s", row->name,
                             grd_hint(row->name, loss_name, ctx, hint, sizeof hint));
    bool map = row->value && row->value->kind == GRD_YAML_MAP;
    const char *more = kind ? "kind" : NULL;
    memset(section, 0, sizeof *section);
    if (map)
        GRD_TRY(grd_check_keys(b->host, row->name, row->value, (*op)->options, grd_section_loss.options, more));
    for (const grd_yaml *c = map ? row->value->first : NULL; c; c = c->next)
        if (grd_options_find(grd_section_loss.options, c->key) && !grd_yaml_is_null(c))
            GRD_TRY(grd_option_read(b->host, grd_section_loss.options, section, row->name, c->key, c));
    grd_status status = grd_options_resolve(b->host, grd_section_loss.options, sizeof *section, row->name, section, section);
    if (status != GRD_OK)
        return grd_yaml_fail_in(b->host, row->node);
    *options = grd_arena_alloc(b->arena, (*op)->options_size + 16);
    if (!*options)
        return GRD_ERR_MEMORY;
    return grd_row_options(b->host, row, (*op)->options, grd_section_loss.options, more, *options);
}

static grd_status build_term(grd_builder *b, const grd_yaml *node, loss_term *term)
{
    grd_row_ref row;
    const grd_op *op;
    void *options = NULL;
    grd_loss_section section;
    GRD_TRY(read_term(b, node, &row, &op, &options, &section));
    grd_var in[2] = { b->net->output };
    if (section.output)
        GRD_TRY(grd_named_value(b, row.node, section.output, &in[0]));
    const char *target = section.target ? section.target : default_target(b, op);
    if (!target)
        return grd_yaml_fail(b->host, row.node, "loss: %s: target is missing: the field that the output is compared with",
                             row.name);
    GRD_TRY(grd_field_input(b, row.node, target, &in[1]));
    *term = (loss_term){ grd_apply(op->name, op->options ? options : NULL, in, 2), section.weight, op->name, target };
    return grd_valid(term->value) ? GRD_OK : grd_graph_error(b, row.node);
}

grd_status grd_build_loss(grd_builder *b)
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
    b->net->one_loss = n == 1 && factor[0] == 1;
    b->net->loss = b->net->one_loss ? value[0] : grd_loss_mix(value, factor, n);
    b->net->reconstructs = strcmp(b->net->target, grd_var_name(b->net->input)) == 0;
    return grd_valid(b->net->loss) ? GRD_OK : grd_graph_error(b, node);
}

static grd_status build_metric(grd_builder *b, const grd_yaml *node)
{
    grd_ctx *ctx = b->stage->pipeline->ctx;
    grd_row_ref row;
    GRD_TRY(grd_row_read(b->host, "metrics", node, NULL, &row));
    const grd_op *op = grd_op_find(ctx, row.name, GRD_F32);
    char hint[96];
    if (!is_metric(op))
        return grd_yaml_fail(b->host, row.node, "metrics: no metric \"%.60s\"%s", row.name,
                             grd_hint(row.name, metric_name, ctx, hint, sizeof hint));
    for (int i = 0; i < b->net->n_metrics; i++)
        if (strcmp(b->net->metric_name[i], op->name) == 0)
            return grd_yaml_fail(b->host, row.node, "metrics: \"%s\" is there twice", op->name);
    if (b->net->n_metrics == GRD_MAX_METRICS)
        return grd_yaml_fail(b->host, node, "metrics: more than %d", GRD_MAX_METRICS);
    void *options = grd_arena_alloc(b->arena, op->options_size + 16);
    if (!options)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_row_options(b->host, &row, op->options, NULL, NULL, options));
    grd_var in[2] = { b->net->output };
    GRD_TRY(grd_field_input(b, row.node, b->net->target, &in[1]));
    grd_var v = grd_apply(op->name, op->options ? options : NULL, in, 2);
    if (!grd_valid(v))
        return grd_graph_error(b, row.node);
    b->net->metric[b->net->n_metrics] = v;
    b->net->metric_name[b->net->n_metrics++] = op->name;
    return GRD_OK;
}

grd_status grd_build_metrics(grd_builder *b)
{
    const grd_yaml *list = grd_yaml_get(b->stage->config->all, "metrics");
    bool many = list && list->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = many ? list->first : list; c; c = many ? c->next : NULL)
        GRD_TRY(build_metric(b, c));
    return GRD_OK;
}
