#include "plan/ir.h"

#include "tensor/tensor.h"

#include <string.h>

grd_status ir_fail(grd_ir *ir, grd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    grd_vfail(ir->host, status, format, args);
    va_end(args);
    ir->status = status;
    return status;
}

size_t ir_element(const grd_ir *ir, grd_kind kind)
{
    return kind == GRD_KIND_INDEX ? sizeof(int32_t) : grd_model_element(ir->model);
}

int ir_add_value(grd_ir *ir, const grd_shape *shape, grd_kind kind, const char *name)
{
    if (!GRD_RESERVE(ir->host, &ir->values)) {
        ir->status = GRD_ERR_MEMORY;
        return -1;
    }
    ir->values.item[ir->values.n] = (ir_value){ .shape = *shape, .kind = kind, .base = GRD_BASE_ARENA, .alias = -1, .first = -1, .last = -1,
                                                .graph_value = -1, .param = -1, .name = name,
                                                .bytes = (size_t)grd_count(shape) * ir_element(ir, kind) };
    return ir->values.n++;
}

int ir_add_node(grd_ir *ir, const ir_node *node)
{
    if (!GRD_RESERVE(ir->host, &ir->nodes)) {
        ir->status = GRD_ERR_MEMORY;
        return -1;
    }
    ir->nodes.item[ir->nodes.n] = *node;
    return ir->nodes.n++;
}

void ir_clear_step(ir_step *s, ir_step_kind kind, const char *path)
{
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->path = path;
    s->node = s->save = s->scratch = -1;
    for (int i = 0; i < GRD_MAX_IN; i++)
        s->in[i] = s->din[i] = -1;
    for (int k = 0; k < GRD_MAX_OUT; k++)
        s->out[k] = s->dout[k] = -1;
    for (int k = 0; k < GRD_MAX_STATE; k++)
        s->next_state[k] = -1;
}

ir_step *ir_add_step(grd_ir *ir, ir_step_kind kind, const char *path)
{
    if (!GRD_RESERVE(ir->host, &ir->steps)) {
        ir->status = GRD_ERR_MEMORY;
        return NULL;
    }
    ir_step *s = &ir->steps.item[ir->steps.n++];
    ir_clear_step(s, kind, path);
    return s;
}

int ir_root(const grd_ir *ir, int v)
{
    while (ir->values.item[v].alias >= 0)
        v = ir->values.item[v].alias;
    return v;
}
