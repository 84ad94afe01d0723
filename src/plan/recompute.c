/* Recompute (`memory: low`): a cheap value that waits from forward for backward gives up its place after its last forward use and is
 * made again before its first use in backward: by the same implementation from the same inputs, and so to the same bits. States are
 * not committed again. Which values is decided on lifetimes alone, greedily by bytes freed per cost; what does not lower the peak is
 * not kept. */
#include "plan/memory.h"

#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    int step;
    double gain;         /* bytes that do not wait, per cost */
    int free_from, free_to; /* the last step that may use it forward, the first in backward */
    int refused;         /* how often it did not help */
    bool kept;           /* part of the result */
} candidate;

typedef struct entry { int step; bool again; } entry; /* of the new order */

typedef struct recompute {
    grd_ir *ir;
    int n, n_values, back;     /* back: the first backward step; values from n_values on are those made again */
    mem_step *seen;            /* of the steps as they are */
    mem_value *values;
    int *maker;                /* value -> the forward step that writes it, -1 */
    int *last_forward, *first_back;
    bool *cheap, *again;       /* by step: may be run again; is */
    int *reasons;              /* by step: for how many candidates */
    candidate *list;
    int n_list;
    /* what `arrange` makes of `again` */
    entry *order;
    mem_step *new_seen;
    int n_order;
    bool *done;
    int *stack;
    size_t *room;
    int64_t work;              /* steps arranged so far: bounds the time by a count, the same in every run */
} recompute;

enum {
    LEAST_SHARE = 512,         /* of the peak, that a candidate must free */
    MOST_REFUSED = 3,
    MOST_CHAIN = 8,            /* steps to make one value again */
    MOST_WORK = 2000000
};

/* ---- which steps are cheap ---- */

static double bytes_of(const grd_ir *ir, const int *list, int n)
{
    double bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += list[i] >= 0 ? (double)ir->values.item[list[i]].bytes : 0;
    return bytes;
}

static double cost_of(const grd_ir *ir, const ir_step *s)
{
    return s->flops + bytes_of(ir, s->in, s->n_in) + bytes_of(ir, s->out, s->n_out);
}

static bool is_cheap(const grd_ir *ir, const ir_step *s)
{
    if (s->kind == IR_FORWARD)
        return ir->nodes.item[s->node].op->flags & (GRD_ELEMENTWISE | GRD_CHEAP);
    return s->kind == IR_REORDER;
}

static void note_written(recompute *r, int step, int v)
{
    int root = v < 0 ? -1 : ir_root(r->ir, v);
    if (root < 0 || r->ir->values.item[root].base != GRD_BASE_ARENA)
        return;
    r->maker[root] = step;
    r->cheap[step] = r->cheap[step] && !r->values[root].keep;
}

static void find_makers(recompute *r)
{
    for (int v = 0; v < r->n_values; v++)
        r->maker[v] = r->last_forward[v] = r->first_back[v] = -1;
    for (int i = 0; i < r->back; i++) {
        const ir_step *s = &r->ir->steps.item[i];
        r->cheap[i] = is_cheap(r->ir, s);
        for (int k = 0; s->kind != IR_VIEW && k < s->n_out; k++)
            note_written(r, i, s->out[k]);
        for (int k = 0; k < GRD_MAX_STATE; k++)
            note_written(r, i, s->next_state[k]);
        note_written(r, i, s->save);
        note_written(r, i, s->scratch);
    }
    for (int i = 0; i < r->n; i++) {
        for (int k = 0; k < r->seen[i].n && r->ir->steps.item[i].kind != IR_COMMIT; k++) {
            int v = r->seen[i].touched[k];
            if (i < r->back)
                r->last_forward[v] = i;
            else if (r->first_back[v] < 0)
                r->first_back[v] = i;
        }
    }
}

/* ---- a new order of steps ---- */

/* In backward a value is the one made again, if it is. */
static int renamed(const recompute *r, int v)
{
    return r->maker[v] >= 0 && r->again[r->maker[v]] ? r->n_values + v : v;
}

static void append(recompute *r, int step, bool again)
{
    const mem_step *s = &r->seen[step];
    mem_step *to = &r->new_seen[r->n_order];
    *to = *s;
    r->order[r->n_order++] = (entry){ step, again };
    if (step >= r->back ? r->ir->steps.item[step].kind == IR_COMMIT : !again)
        return;
    for (int k = 0; k < s->n; k++)
        to->touched[k] = renamed(r, s->touched[k]);
    if (s->from >= 0) {
        to->from = renamed(r, s->from);
        to->to = renamed(r, s->to);
    }
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* What this step reads and is not there yet, and what that needs, in the order of forward. */
static void append_missing(recompute *r, int step)
{
    int n = 0;
    for (int at = -1; at < n; at++) {
        const mem_step *s = &r->seen[at < 0 ? step : r->stack[at]];
        for (int k = 0; k < s->n; k++) {
            int maker = r->maker[s->touched[k]];
            if (maker < 0 || !r->again[maker] || r->done[maker])
                continue;
            r->done[maker] = true;
            r->stack[n++] = maker;
        }
    }
    qsort(r->stack, (size_t)n, sizeof *r->stack, by_number);
    for (int i = 0; i < n; i++)
        append(r, r->stack[i], true);
}

static mem_peak arrange(recompute *r)
{
    memset(r->done, 0, (size_t)r->n);
    r->n_order = 0;
    for (int i = 0; i < r->n; i++) {
        if (i >= r->back && r->ir->steps.item[i].kind != IR_COMMIT)
            append_missing(r, i);
        append(r, i, false);
    }
    r->work += r->n_order;
    bool in_place = !(r->ir->opts.flags & (GRD_PLAN_NO_INPLACE | GRD_PLAN_CHECK));
    mem_find_lives(r->new_seen, r->n_order, r->values, 2 * r->n_values, in_place);
    return mem_find_peak(r->values, 2 * r->n_values, r->n_order, r->room);
}

/* ---- candidates ---- */

/* The step, and the cheap ones before it whose values no backward step would have waiting anyway. Returns how many; 0: too many. */
static int chain_of(const recompute *r, int step, int chain[MOST_CHAIN])
{
    int n = 1;
    chain[0] = step;
    for (int at = 0; at < n; at++) {
        const mem_step *s = &r->seen[chain[at]];
        for (int k = 0; k < s->n; k++) {
            int v = s->touched[k], maker = r->maker[v], i = 0;
            if (maker < 0 || !r->cheap[maker] || r->first_back[v] >= 0)
                continue;
            while (i < n && chain[i] != maker)
                i++;
            if (i < n)
                continue;
            if (n == MOST_CHAIN)
                return 0;
            chain[n++] = maker;
        }
    }
    return n;
}

static void add_candidate(recompute *r, int step, size_t peak)
{
    candidate c = { .step = step, .free_from = step, .free_to = r->n };
    size_t bytes = 0;
    for (int k = 0; k < r->seen[step].n; k++) {
        int v = r->seen[step].touched[k];
        if (r->maker[v] != step || r->first_back[v] < 0)
            continue;
        bytes += r->values[v].bytes;
        c.free_from = r->last_forward[v] > c.free_from ? r->last_forward[v] : c.free_from;
        c.free_to = r->first_back[v] < c.free_to ? r->first_back[v] : c.free_to;
    }
    int chain[MOST_CHAIN], n = bytes && bytes >= peak / LEAST_SHARE ? chain_of(r, step, chain) : 0;
    double cost = 1;
    for (int i = 0; i < n; i++)
        cost += cost_of(r->ir, &r->ir->steps.item[chain[i]]);
    c.gain = (double)bytes / cost;
    if (n)
        r->list[r->n_list++] = c;
}

static int better_first(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    if (a->gain != b->gain)
        return a->gain < b->gain ? 1 : -1;
    return a->step - b->step;
}

/* Takes a candidate's steps into the new order, or out of it again. */
static void set(recompute *r, candidate *c, bool kept)
{
    int chain[MOST_CHAIN], n = chain_of(r, c->step, chain);
    for (int i = 0; i < n; i++) {
        r->reasons[chain[i]] += kept ? 1 : -1;
        r->again[chain[i]] = r->reasons[chain[i]] > 0;
    }
    c->kept = kept;
}

/* ---- choosing ---- */

/* The first candidate in order that lowers the peak, or the number of steps that have it. */
static bool take_one(recompute *r, mem_peak *peak)
{
    int e = peak->at < r->n_order ? peak->at : r->n_order - 1;
    while (r->order[e].again) /* it stands before the step that asked for it */
        e++;
    int at = r->order[e].step;
    for (int i = 0; i < r->n_list && r->work < MOST_WORK; i++) {
        candidate *c = &r->list[i];
        if (c->kept || c->refused >= MOST_REFUSED || at <= c->free_from || at >= c->free_to)
            continue;
        set(r, c, true);
        mem_peak now = arrange(r);
        if (now.bytes < peak->bytes || (now.bytes == peak->bytes && now.times < peak->times)) {
            *peak = now;
            return true;
        }
        set(r, c, false);
        c->refused++;
    }
    arrange(r); /* as it is without the last one tried */
    return false;
}

/* What later ones made superfluous, the least worth first. */
static void drop_idle(recompute *r, size_t peak)
{
    for (int i = r->n_list - 1; i >= 0; i--) {
        if (!r->list[i].kept)
            continue;
        set(r, &r->list[i], false);
        if (arrange(r).bytes > peak)
            set(r, &r->list[i], true);
    }
}

static grd_status choose(recompute *r)
{
    size_t low, bound;
    mem_peak peak = arrange(r);
    GRD_TRY(mem_place(r->ir->host, r->values, 2 * r->n_values, r->n_order, true, &r->ir->plain_bytes, &bound));
    for (int i = 0; i < r->back; i++)
        if (r->cheap[i])
            add_candidate(r, i, peak.bytes);
    qsort(r->list, (size_t)r->n_list, sizeof *r->list, better_first);
    while (take_one(r, &peak))
        continue;
    drop_idle(r, peak.bytes);
    arrange(r);
    GRD_TRY(mem_place(r->ir->host, r->values, 2 * r->n_values, r->n_order, true, &low, &bound));
    if (low >= r->ir->plain_bytes) {
        memset(r->again, 0, (size_t)r->n);
        arrange(r);
    }
    return GRD_OK;
}

/* ---- making it so ---- */

/* The value that stands for v in backward; made when first asked for. `made` is by value. */
static int made_again(recompute *r, int *made, int v)
{
    grd_ir *ir = r->ir;
    if (v < 0)
        return v;
    int root = ir_root(ir, v);
    if (renamed(r, root) == root)
        return v;
    int list[2] = { root, v };
    for (int i = 0; i < 2; i++) {
        if (made[list[i]] >= 0)
            continue;
        ir_value copy = ir->values.item[list[i]];
        int to = ir_add_value(ir, &copy.shape, copy.kind, copy.name);
        if (to < 0)
            return -1;
        copy.graph_value = -1;
        copy.alias = i ? made[root] : -1;
        ir->values.item[to] = copy;
        made[list[i]] = to;
    }
    return made[v];
}

static void rename_step(recompute *r, int *made, ir_step *s)
{
    for (int i = 0; i < GRD_MAX_IN; i++) {
        s->in[i] = made_again(r, made, s->in[i]);
        s->din[i] = made_again(r, made, s->din[i]);
    }
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        s->out[k] = made_again(r, made, s->out[k]);
        s->dout[k] = made_again(r, made, s->dout[k]);
    }
    for (int k = 0; k < GRD_MAX_STATE; k++)
        s->next_state[k] = made_again(r, made, s->next_state[k]);
    s->save = made_again(r, made, s->save);
    s->scratch = made_again(r, made, s->scratch);
}

static grd_status rebuild(recompute *r)
{
    grd_ir *ir = r->ir;
    if (r->n_order == r->n)
        return GRD_OK;
    ir_step *steps = GRD_NEW_N(ir->host, ir_step, r->n_order);
    int *made = GRD_NEW_N(ir->host, int, r->n_values + 1);
    for (int v = 0; made && v < r->n_values; v++)
        made[v] = -1;
    for (int i = 0; steps && made && i < r->n_order; i++) {
        entry e = r->order[i];
        steps[i] = ir->steps.item[e.step];
        steps[i].again = e.again;
        if (e.again || (e.step >= r->back && steps[i].kind != IR_COMMIT))
            rename_step(r, made, &steps[i]);
        ir->again += e.again;
    }
    grd_free(ir->host, made);
    if (!steps || !made || ir->status != GRD_OK) {
        grd_free(ir->host, steps);
        return ir->status = GRD_ERR_MEMORY;
    }
    grd_free(ir->host, ir->steps.item);
    ir->steps.item = steps;
    ir->steps.n = ir->steps.cap = r->n_order;
    return GRD_OK;
}

/* ---- the pass ---- */

static bool make_room(recompute *r, grd_arena *room)
{
    size_t n = (size_t)r->n + 1, v = (size_t)r->n_values + 1;
    r->seen = grd_arena_alloc(room, sizeof *r->seen * n);
    r->values = grd_arena_alloc(room, sizeof *r->values * 2 * v);
    r->maker = grd_arena_alloc(room, sizeof *r->maker * v);
    r->last_forward = grd_arena_alloc(room, sizeof *r->last_forward * v);
    r->first_back = grd_arena_alloc(room, sizeof *r->first_back * v);
    r->cheap = grd_arena_alloc(room, n);
    r->again = grd_arena_alloc(room, n);
    r->done = grd_arena_alloc(room, n);
    r->reasons = grd_arena_alloc(room, sizeof *r->reasons * n);
    r->list = grd_arena_alloc(room, sizeof *r->list * n);
    r->stack = grd_arena_alloc(room, sizeof *r->stack * n);
    r->order = grd_arena_alloc(room, sizeof *r->order * 2 * n);
    r->new_seen = grd_arena_alloc(room, sizeof *r->new_seen * 2 * n);
    r->room = grd_arena_alloc(room, sizeof *r->room * 2 * (n + 1));
    return r->seen && r->values && r->maker && r->last_forward && r->first_back && r->cheap && r->again && r->done && r->reasons &&
           r->list && r->stack && r->order && r->new_seen && r->room;
}

static int first_backward(const grd_ir *ir)
{
    int i = 0;
    while (i < ir->steps.n && ir->steps.item[i].kind != IR_BACKWARD)
        i++;
    return i;
}

grd_status ir_recompute(grd_ir *ir)
{
    bool wanted = ir->model->low_memory || (ir->opts.flags & GRD_PLAN_LOW_MEMORY);
    if (!wanted || !ir->opts.backward)
        return GRD_OK;
    recompute r = { .ir = ir, .n = ir->steps.n, .n_values = ir->values.n, .back = first_backward(ir) };
    grd_arena room;
    grd_arena_init(&room, ir->host);
    grd_status status = make_room(&r, &room) ? GRD_OK : GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        mem_see(ir, r.seen, r.values);
        for (int v = 0; v < r.n_values; v++) {
            r.values[r.n_values + v] = r.values[v];
            r.values[r.n_values + v].keep = false;
        }
        find_makers(&r);
        status = choose(&r);
    }
    if (status == GRD_OK)
        status = rebuild(&r);
    grd_arena_free(&room);
    return status;
}
