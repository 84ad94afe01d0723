/* Memory: when each value is alive, where a step may write over its input, and offsets in one arena. Largest first, each at the lowest place
 * that is free for its whole life (greedy by size; Pisarchyk, Lee 2020). */
#include "plan/ir.h"

#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

/* ---- lifetimes ---- */

static void touch(grd_ir *ir, int v, int step)
{
    if (v < 0)
        return;
    ir_value *value = &ir->values.item[ir_root(ir, v)];
    if (value->first < 0)
        value->first = step;
    value->last = step;
    value->keep = value->keep || ir->values.item[v].keep;
}

static void touch_step(grd_ir *ir, int index)
{
    const ir_step *s = &ir->steps.item[index];
    for (int i = 0; i < GRD_MAX_IN; i++) {
        touch(ir, s->in[i], index);
        touch(ir, s->din[i], index);
    }
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        touch(ir, s->out[k], index);
        touch(ir, s->dout[k], index);
    }
    for (int k = 0; k < GRD_MAX_STATE; k++)
        touch(ir, s->next_state[k], index);
    touch(ir, s->save, index);
    touch(ir, s->scratch, index);
}

static void find_lives(grd_ir *ir)
{
    for (int i = 0; i < ir->steps.n; i++)
        touch_step(ir, i);
    for (int v = 0; v < ir->values.n; v++)
        if (ir->values.item[v].keep && ir->values.item[v].first >= 0)
            ir->values.item[v].last = ir->steps.n;
}

/* ---- in place ---- */

static int uses_in_step(const grd_ir *ir, const ir_step *s, int root)
{
    int n = 0;
    for (int i = 0; i < GRD_MAX_IN; i++)
        n += s->in[i] >= 0 && ir_root(ir, s->in[i]) == root;
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        n += s->kind == IR_BACKWARD && s->out[k] >= 0 && ir_root(ir, s->out[k]) == root;
        n += s->dout[k] >= 0 && ir_root(ir, s->dout[k]) == root;
    }
    return n;
}

/* `to` is written where `from` lies, if `from` ends here and nothing else of this step needs it. */
static void write_over(grd_ir *ir, const ir_step *s, int index, int from, int to)
{
    if (from < 0 || to < 0)
        return;
    int root = ir_root(ir, from);
    ir_value *a = &ir->values.item[root], *b = &ir->values.item[to];
    if (a->base != GRD_BASE_ARENA || b->base != GRD_BASE_ARENA || b->alias >= 0 || a->keep || a->last != index || b->first != index ||
        a->bytes != b->bytes || !grd_layout_equal(&ir->values.item[from].layout, &b->layout) || uses_in_step(ir, s, root) != 1)
        return;
    b->alias = root;
    a->last = b->last;
    a->keep = b->keep;
}

static void find_in_place(grd_ir *ir)
{
    for (int i = 0; i < ir->steps.n; i++) {
        const ir_step *s = &ir->steps.item[i];
        if (s->kind == IR_SUM && s->n_in > 1) {
            write_over(ir, s, i, s->in[0], s->out[0]);
            continue;
        }
        if ((s->kind != IR_FORWARD && s->kind != IR_BACKWARD) || s->impl.no_inplace)
            continue;
        unsigned flags = ir->nodes.item[s->node].op->flags;
        if (s->kind == IR_FORWARD && (flags & GRD_INPLACE))
            write_over(ir, s, i, s->in[0], s->out[0]);
        if (s->kind == IR_BACKWARD && (flags & GRD_INPLACE_BWD))
            write_over(ir, s, i, s->dout[0], s->din[0]);
    }
}

/* ---- places ---- */

typedef struct block { size_t bytes, offset; int first, last, value; } block;

static int larger_first(const void *x, const void *y)
{
    const block *a = x, *b = y;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a->value - b->value;
}

static int by_offset(const void *x, const void *y)
{
    const block *a = *(const block *const *)x, *b = *(const block *const *)y;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The lowest gap among the placed blocks that are alive at the same time. `near` has room for all of them. */
static size_t find_gap(const block *placed, int n, const block *b, const block **near)
{
    int m = 0;
    for (int i = 0; i < n; i++)
        if (placed[i].first <= b->last && b->first <= placed[i].last)
            near[m++] = &placed[i];
    qsort(near, (size_t)m, sizeof *near, by_offset);
    size_t at = 0;
    for (int i = 0; i < m; i++) {
        if (near[i]->offset >= at + b->bytes)
            break;
        if (near[i]->offset + near[i]->bytes > at)
            at = near[i]->offset + near[i]->bytes;
    }
    return at;
}

static size_t bound_of_lives(const grd_ir *ir, const block *blocks, int n)
{
    size_t most = 0;
    for (int s = 0; s <= ir->steps.n; s++) {
        size_t alive = 0;
        for (int i = 0; i < n; i++)
            if (blocks[i].first <= s && s <= blocks[i].last)
                alive += blocks[i].bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

grd_status ir_place(grd_ir *ir)
{
    find_lives(ir);
    if (!(ir->opts.flags & (GRD_PLAN_NO_INPLACE | GRD_PLAN_CHECK)))
        find_in_place(ir);
    bool reuse = !(ir->opts.flags & (GRD_PLAN_NO_REUSE | GRD_PLAN_CHECK));
    block *blocks = GRD_NEW_N(ir->host, block, ir->values.n + 1);
    const block **near = GRD_NEW_N(ir->host, const block *, ir->values.n + 1);
    int n = 0;
    for (int v = 0; blocks && near && v < ir->values.n; v++) {
        const ir_value *value = &ir->values.item[v];
        if (value->base != GRD_BASE_ARENA || value->alias >= 0 || value->first < 0)
            continue;
        blocks[n++] = (block){ grd_align_up(value->bytes ? value->bytes : 1, ALIGN), 0, value->first, value->last, v };
        ir->no_reuse_bytes += blocks[n - 1].bytes;
    }
    grd_status status = blocks && near ? GRD_OK : GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        ir->lower_bound = bound_of_lives(ir, blocks, n);
        qsort(blocks, (size_t)n, sizeof *blocks, larger_first);
        for (int i = 0; i < n; i++) {
            blocks[i].offset = reuse ? find_gap(blocks, i, &blocks[i], near) : ir->arena_bytes;
            ir->values.item[blocks[i].value].offset = (int64_t)blocks[i].offset;
            if (blocks[i].offset + blocks[i].bytes > ir->arena_bytes)
                ir->arena_bytes = blocks[i].offset + blocks[i].bytes;
        }
        for (int s = 0; s < ir->nodes.n; s++)
            if (ir->nodes.item[s].save_value >= 0)
                ir->save_bytes += ir->values.item[ir->nodes.item[s].save_value].bytes;
    }
    grd_free(ir->host, blocks);
    grd_free(ir->host, near);
    return status;
}
