/* Memory: when each value is alive, where a step may write over its input, and offsets in one arena. In some order, each value goes to the
 * lowest place that is free for its whole life: largest first (Pisarchyk, Lee 2020), or another order if that leaves gaps. */
#include "plan/memory.h"

#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

/* ---- what counts of a step ---- */

static void touch(const grd_ir *ir, mem_step *m, int v)
{
    int root = v < 0 ? -1 : ir_root(ir, v);
    if (root >= 0 && ir->values.item[root].base == GRD_BASE_ARENA)
        m->touched[m->n++] = root;
}

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

/* `to` may be written where `from` lies, if nothing else of this step needs that. */
static void may_write_over(const grd_ir *ir, const ir_step *s, mem_step *m, int from, int to)
{
    if (from < 0 || to < 0)
        return;
    int root = ir_root(ir, from);
    const ir_value *a = &ir->values.item[root], *b = &ir->values.item[to];
    if (a->base != GRD_BASE_ARENA || b->base != GRD_BASE_ARENA || b->alias >= 0 || a->bytes != b->bytes ||
        !grd_layout_equal(&ir->values.item[from].layout, &b->layout) || uses_in_step(ir, s, root) != 1)
        return;
    m->from = root;
    m->to = to;
}

static mem_step see_step(const grd_ir *ir, const ir_step *s)
{
    mem_step m = { .from = -1, .to = -1 };
    for (int i = 0; i < GRD_MAX_IN; i++) {
        touch(ir, &m, s->in[i]);
        touch(ir, &m, s->din[i]);
    }
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        touch(ir, &m, s->out[k]);
        touch(ir, &m, s->dout[k]);
    }
    for (int k = 0; k < GRD_MAX_STATE; k++)
        touch(ir, &m, s->next_state[k]);
    touch(ir, &m, s->save);
    touch(ir, &m, s->scratch);
    bool compute = (s->kind == IR_FORWARD || s->kind == IR_BACKWARD) && !s->impl.no_inplace;
    unsigned flags = compute ? ir->nodes.item[s->node].op->flags : 0;
    if ((s->kind == IR_SUM && s->n_in > 1) || (s->kind == IR_FORWARD && (flags & GRD_INPLACE)))
        may_write_over(ir, s, &m, s->in[0], s->out[0]);
    if (s->kind == IR_BACKWARD && (flags & GRD_INPLACE_BWD))
        may_write_over(ir, s, &m, s->dout[0], s->din[0]);
    return m;
}

void mem_see(const grd_ir *ir, mem_step *steps, mem_value *values)
{
    for (int i = 0; i < ir->steps.n; i++)
        steps[i] = see_step(ir, &ir->steps.item[i]);
    for (int v = 0; v < ir->values.n; v++) {
        size_t bytes = ir->values.item[v].bytes;
        values[v] = (mem_value){ .bytes = grd_align_up(bytes ? bytes : 1, ALIGN), .first = -1, .last = -1, .over = -1 };
    }
    for (int v = 0; v < ir->values.n; v++)
        if (ir->values.item[v].keep)
            values[ir_root(ir, v)].keep = true;
}

/* ---- lifetimes ---- */

static int place_of(const mem_value *values, int v)
{
    while (values[v].over >= 0)
        v = values[v].over;
    return v;
}

void mem_find_lives(const mem_step *steps, int n_steps, mem_value *values, int n_values, bool in_place)
{
    for (int v = 0; v < n_values; v++)
        values[v].first = values[v].last = values[v].over = -1;
    for (int i = 0; i < n_steps; i++) {
        for (int k = 0; k < steps[i].n; k++) {
            mem_value *value = &values[steps[i].touched[k]];
            value->first = value->first < 0 ? i : value->first;
            value->last = i;
        }
    }
    for (int v = 0; v < n_values; v++)
        if (values[v].keep && values[v].first >= 0)
            values[v].last = n_steps;
    for (int i = 0; in_place && i < n_steps; i++) {
        if (steps[i].from < 0)
            continue;
        int root = place_of(values, steps[i].from);
        mem_value *a = &values[root], *b = &values[steps[i].to];
        if (a->last != i || b->first != i)
            continue;
        b->over = root;
        a->last = b->last;
    }
}

static bool has_place(const mem_value *value) { return value->first >= 0 && value->over < 0; }

mem_peak mem_find_peak(const mem_value *values, int n_values, int n_steps, size_t *room)
{
    memset(room, 0, sizeof *room * (size_t)(n_steps + 2));
    for (int v = 0; v < n_values; v++) {
        if (!has_place(&values[v]))
            continue;
        room[values[v].first] += values[v].bytes;
        room[values[v].last + 1] -= values[v].bytes; /* sums of unsigned numbers come out right */
    }
    mem_peak peak = { 0 };
    size_t alive = 0;
    for (int i = 0; i <= n_steps; i++) {
        alive += room[i];
        if (alive > peak.bytes)
            peak = (mem_peak){ alive, i, 0 };
        peak.times += alive == peak.bytes;
    }
    return peak;
}

/* ---- places ---- */

typedef struct block {
    size_t bytes, offset;
    int first, last, value;
    bool at_peak; /* alive where most is */
} block;

static int larger_first(const void *x, const void *y)
{
    const block *a = x, *b = y;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a->value - b->value;
}

static int earlier_first(const void *x, const void *y)
{
    const block *a = x, *b = y;
    return a->first != b->first ? a->first - b->first : larger_first(x, y);
}

static int ends_later_first(const void *x, const void *y)
{
    const block *a = x, *b = y;
    return a->last != b->last ? b->last - a->last : larger_first(x, y);
}

static int at_peak_first(const void *x, const void *y)
{
    const block *a = x, *b = y;
    return a->at_peak != b->at_peak ? (int)b->at_peak - (int)a->at_peak : larger_first(x, y);
}

/* The lowest gap among the placed blocks that are alive at the same time; they stand in the order of their offsets. */
static size_t find_gap(block *const *placed, int n, const block *b)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        const block *p = placed[i];
        if (p->last < b->first || b->last < p->first)
            continue;
        if (p->offset >= at + b->bytes)
            break;
        at = p->offset + p->bytes > at ? p->offset + p->bytes : at;
    }
    return at;
}

/* In the order of the blocks. Returns which one sticks out most. placed: room for all. */
static int place_in_order(block *blocks, int n, block **placed)
{
    int highest = 0;
    for (int i = 0; i < n; i++) {
        block *b = &blocks[i];
        b->offset = find_gap(placed, i, b);
        int k = i;
        for (; k > 0 && placed[k - 1]->offset > b->offset; k--)
            placed[k] = placed[k - 1];
        placed[k] = b;
        if (b->offset + b->bytes > blocks[highest].offset + blocks[highest].bytes)
            highest = i;
    }
    return highest;
}

static void to_front(block *blocks, int k)
{
    block first = blocks[k];
    memmove(&blocks[1], &blocks[0], sizeof *blocks * (size_t)k);
    blocks[0] = first;
}

static void store_offsets(const block *blocks, int n, mem_value *values)
{
    for (int i = 0; i < n; i++)
        values[blocks[i].value].offset = blocks[i].offset;
}

/* The best of some orders, few where there are many blocks: four rules, and from each on what sticks out most goes first. */
static size_t place_blocks(block *blocks, int n, block **placed, size_t bound, mem_value *values)
{
    enum { MOST_TRIES = 16, MOST_WORK = 4000000 };
    int (*const rule[])(const void *, const void *) = { larger_first, at_peak_first, earlier_first, ends_later_first };
    int64_t tries = 1 + MOST_WORK / ((int64_t)n * n + 1);
    size_t best = SIZE_MAX;
    for (size_t r = 0; r < sizeof rule / sizeof *rule && best > bound; r++) {
        qsort(blocks, (size_t)n, sizeof *blocks, rule[r]);
        for (int t = 0; t < MOST_TRIES && t < tries && best > bound; t++) {
            int highest = place_in_order(blocks, n, placed);
            size_t top = blocks[highest].offset + blocks[highest].bytes;
            if (top < best) {
                best = top;
                store_offsets(blocks, n, values);
            }
            to_front(blocks, highest);
        }
    }
    return best;
}

static size_t place_apart(block *blocks, int n, mem_value *values)
{
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        blocks[i].offset = end;
        end += blocks[i].bytes;
    }
    store_offsets(blocks, n, values);
    return end;
}

grd_status mem_place(grd_host *host, mem_value *values, int n_values, int n_steps, bool reuse, size_t *bytes, size_t *bound)
{
    block *blocks = GRD_NEW_N(host, block, n_values + 1);
    block **placed = GRD_NEW_N(host, block *, n_values + 1);
    size_t *room = GRD_NEW_N(host, size_t, n_steps + 2);
    grd_status status = blocks && placed && room ? GRD_OK : GRD_ERR_MEMORY;
    mem_peak peak = status == GRD_OK ? mem_find_peak(values, n_values, n_steps, room) : (mem_peak){ 0 };
    int n = 0;
    for (int v = 0; status == GRD_OK && v < n_values; v++) {
        const mem_value *value = &values[v];
        if (has_place(value))
            blocks[n++] = (block){ value->bytes, 0, value->first, value->last, v, value->first <= peak.at && peak.at <= value->last };
    }
    *bytes = *bound = 0;
    if (n) {
        *bound = peak.bytes;
        *bytes = reuse ? place_blocks(blocks, n, placed, *bound, values) : place_apart(blocks, n, values);
    }
    grd_free(host, blocks);
    grd_free(host, placed);
    grd_free(host, room);
    return status;
}

/* ---- the pass ---- */

static void store(grd_ir *ir, const mem_value *values)
{
    for (int v = 0; v < ir->values.n; v++) {
        ir_value *value = &ir->values.item[v];
        value->first = values[v].first;
        value->last = values[v].last;
        if (values[v].first < 0)
            continue;
        value->offset = (int64_t)values[v].offset;
        value->alias = values[v].over;
        if (values[v].over < 0)
            ir->no_reuse_bytes += values[v].bytes;
    }
    for (int n = 0; n < ir->nodes.n; n++)
        if (ir->nodes.item[n].save_value >= 0)
            ir->save_bytes += ir->values.item[ir->nodes.item[n].save_value].bytes;
}

grd_status ir_place(grd_ir *ir)
{
    unsigned flags = ir->opts.flags;
    int n = ir->values.n;
    mem_step *steps = GRD_NEW_N(ir->host, mem_step, ir->steps.n + 1);
    mem_value *values = GRD_NEW_N(ir->host, mem_value, n + 1);
    grd_status status = steps && values ? GRD_OK : GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        mem_see(ir, steps, values);
        mem_find_lives(steps, ir->steps.n, values, n, !(flags & (GRD_PLAN_NO_INPLACE | GRD_PLAN_CHECK)));
        status = mem_place(ir->host, values, n, ir->steps.n, !(flags & (GRD_PLAN_NO_REUSE | GRD_PLAN_CHECK)), &ir->arena_bytes,
                           &ir->lower_bound);
    }
    if (status == GRD_OK)
        store(ir, values);
    grd_free(ir->host, steps);
    grd_free(ir->host, values);
    return status;
}
