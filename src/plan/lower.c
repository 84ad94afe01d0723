/* Lower: the part of the graph that the wanted values need, with concrete shapes. */
#include "plan/ir.h"

#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

/* ---- which calls are needed ---- */

static void mark(const grd_graph *g, int value, bool *needed)
{
    if (g->values.item[value].origin == GRD_FROM_NODE)
        needed[g->values.item[value].index] = true;
}

static grd_status mark_root(grd_ir *ir, grd_var v, bool *needed, const char *what)
{
    if (!grd_valid(v) || v.graph != ir->model->graph)
        return ir_fail(ir, GRD_ERR_ARG, "compile: %s is not a valid variable of the model's graph", what);
    mark(v.graph, v.id, needed);
    return GRD_OK;
}

static grd_status mark_needed(grd_ir *ir, bool *needed)
{
    const grd_graph *g = ir->model->graph;
    if (ir->opts.loss.graph || ir->opts.backward)
        GRD_TRY(mark_root(ir, ir->opts.loss, needed, "the loss"));
    for (int i = 0; i < ir->opts.n_keep; i++)
        GRD_TRY(mark_root(ir, ir->opts.keep[i], needed, "a value to keep"));
    for (int i = 0; i < ir->opts.n_want_grad; i++)
        GRD_TRY(mark_root(ir, ir->opts.want_grad[i], needed, "a value whose gradient is wanted"));
    for (int c = g->calls.n - 1; c >= 0; c--)
        for (int i = 0; needed[c] && i < g->calls.item[c].n_in; i++)
            mark(g, g->calls.item[c].in[i], needed);
    return GRD_OK;
}

/* ---- leaves ---- */

static grd_status input_shape(grd_ir *ir, const grd_value *v, grd_shape *shape)
{
    const grd_shape *given = &ir->input_shape[v->index];
    bool fits = given->rank == v->shape.rank;
    for (int i = 0; fits && i < given->rank; i++)
        fits = given->dim[i] >= 1 && (v->shape.dim[i] < 0 || v->shape.dim[i] == given->dim[i]);
    *shape = *given;
    if (fits)
        return GRD_OK;
    char want[80], have[80];
    return ir_fail(ir, GRD_ERR_SHAPE, "input \"%s\": shape %s, expected %s", v->name, grd_shape_text(given, have, sizeof have),
                   grd_shape_text(&v->shape, want, sizeof want));
}

/* The IR value of a graph value; leaves are made when first met. */
static int value_of(grd_ir *ir, int graph_value)
{
    if (ir->of_graph[graph_value] >= 0)
        return ir->of_graph[graph_value];
    const grd_model *m = ir->model;
    const grd_value *v = &m->graph->values.item[graph_value];
    grd_shape shape = v->shape;
    if (v->origin == GRD_FROM_INPUT && input_shape(ir, v, &shape) != GRD_OK)
        return -1;
    int id = ir_add_value(ir, &shape, v->kind, v->name);
    if (id < 0)
        return -1;
    ir_value *value = &ir->values.item[id];
    value->graph_value = graph_value;
    if (v->origin == GRD_FROM_INPUT) {
        value->base = (grd_base)(GRD_BASE_INPUT + v->index);
    } else if (v->origin != GRD_FROM_NODE) {
        value->base = v->origin == GRD_FROM_PARAM ? GRD_BASE_PARAM : GRD_BASE_STATE;
        value->param = v->index;
        value->offset = m->offset[v->index] * (int64_t)grd_model_element(m);
    }
    return ir->of_graph[graph_value] = id;
}

/* ---- nodes ---- */

grd_status ir_shape_node(grd_ir *ir, ir_node *node)
{
    grd_shape in[GRD_MAX_IN];
    for (int i = 0; i < node->n_in; i++)
        in[i] = ir->values.item[node->in[i]].shape;
    grd_infer infer;
    grd_status status = grd_infer_shapes(node->op, node->attr, in, node->n_in, node->train, &infer);
    if (status != GRD_OK) {
        char text[400];
        size_t used = 0;
        text[0] = 0;
        for (int i = 0; i < node->n_in && used < sizeof text; i++) {
            char shape[80];
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", grd_shape_text(&in[i], shape, sizeof shape));
        }
        return ir_fail(ir, status, "%s \"%s\": %s: %s", node->op->name, node->path, infer.why, text);
    }
    node->n_out = node->op->n_out;
    node->save = infer.save;
    node->scratch = infer.scratch;
    node->scratch_back = infer.scratch_back;
    node->flops = infer.flops > 0 ? infer.flops : (double)grd_count(&infer.out[0]);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] < 0)
            node->out[k] = ir_add_value(ir, &infer.out[k], GRD_KIND_REAL, node->path);
        if (node->out[k] < 0)
            return ir->status;
    }
    return GRD_OK;
}

static bool has_frozen_state(const grd_ir *ir, const ir_node *node)
{
    for (int i = 0; i < node->n_in; i++) {
        const ir_value *v = &ir->values.item[node->in[i]];
        if (v->kind == GRD_KIND_STATE && v->param >= 0 && ir->model->frozen[v->param])
            return true;
    }
    return false;
}

static grd_status lower_call(grd_ir *ir, const grd_call *call)
{
    const grd_op *op = call->op[ir->model->dtype == GRD_F64];
    if (!op)
        return ir_fail(ir, GRD_ERR_UNSUPPORTED, "%s \"%s\": the op has no double row", call->op[0]->name, call->path);
    ir_node node = { .op = op, .attr = call->attr, .path = call->path, .n_in = call->n_in, .save_value = -1, .forward_step = -1 };
    for (int i = 0; i < call->n_in; i++) {
        node.in[i] = value_of(ir, call->in[i]);
        if (node.in[i] < 0)
            return ir->status;
    }
    node.train = ir->train && !has_frozen_state(ir, &node);
    if (!node.train && (op->flags & GRD_EVAL_IDENTITY)) {
        ir->of_graph[call->out[0]] = node.in[0];
        return GRD_OK;
    }
    for (int k = 0; k < GRD_MAX_OUT; k++)
        node.out[k] = -1;
    GRD_TRY(ir_shape_node(ir, &node));
    for (int k = 0; k < node.n_out; k++) {
        ir->of_graph[call->out[k]] = node.out[k];
        ir->values.item[node.out[k]].graph_value = call->out[k];
    }
    return ir_add_node(ir, &node) < 0 ? ir->status : GRD_OK;
}

grd_status ir_lower(grd_ir *ir)
{
    const grd_graph *g = ir->model->graph;
    bool *needed = grd_arena_alloc(&ir->arena, (size_t)g->calls.n + 1);
    ir->of_graph = grd_arena_alloc(&ir->arena, sizeof(int) * (size_t)(g->values.n + 1));
    if (!needed || !ir->of_graph)
        return GRD_ERR_MEMORY;
    for (int v = 0; v < g->values.n; v++)
        ir->of_graph[v] = -1;
    GRD_TRY(mark_needed(ir, needed));
    for (int c = 0; c < g->calls.n; c++)
        if (needed[c])
            GRD_TRY(lower_call(ir, &g->calls.item[c]));
    /* roots that are leaves themselves */
    for (int i = 0; i < ir->opts.n_keep; i++)
        if (value_of(ir, ir->opts.keep[i].id) < 0)
            return ir->status;
    for (int i = 0; i < ir->opts.n_want_grad; i++)
        if (value_of(ir, ir->opts.want_grad[i].id) < 0)
            return ir->status;
    return GRD_OK;
}
