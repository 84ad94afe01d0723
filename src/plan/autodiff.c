/* Autodiff: nodes become steps, forward in order and backward in reverse. Gradients nobody wants are not computed; a value read by
 * several gets a buffer from each and one sum; parameters' gradients go straight to the gradient arena. */
#include "plan/ir.h"

#include <string.h>

typedef struct ir_grads {     /* per value, while going backward */
    bool *needed;             /* a wanted gradient depends on it */
    int *pending;             /* contributions still to come */
    int *n;                   /* contributions so far */
    int (*part)[GRD_MAX_IN];  /* their values (a chain of sums keeps it bounded) */
} ir_grads;

/* ---- forward ---- */

static int buffer(grd_ir *ir, size_t bytes, const char *name)
{
    if (!bytes)
        return -1;
    int v = ir_add_value(ir, &(grd_shape){ .rank = 1, .dim = { (int64_t)bytes } }, GRD_KIND_REAL, name);
    if (v >= 0)
        ir->values.item[v].bytes = bytes;
    return v;
}

static void emit_forward(grd_ir *ir, int n, bool with_backward)
{
    ir_node *node = &ir->nodes.item[n];
    bool view = node->op->flags & GRD_VIEW;
    ir_step *s = ir_add_step(ir, view ? IR_VIEW : IR_FORWARD, node->path);
    if (!s)
        return;
    s->node = n;
    s->n_in = node->n_in;
    s->n_out = node->n_out;
    memcpy(s->in, node->in, sizeof s->in);
    memcpy(s->out, node->out, sizeof s->out);
    s->flops = node->flops;
    node->forward_step = ir->steps.n - 1;
    if (view)
        return;
    if (with_backward)
        node->save_value = buffer(ir, node->save, node->path);
    int n_state = 0, next[GRD_MAX_STATE] = { -1, -1, -1 }, state[GRD_MAX_STATE];
    for (int i = 0; i < node->n_in && node->train && n_state < GRD_MAX_STATE; i++) {
        if (ir->values.item[node->in[i]].kind != GRD_KIND_STATE)
            continue;
        grd_shape shape = ir->values.item[node->in[i]].shape;
        state[n_state] = node->in[i];
        next[n_state++] = ir_add_value(ir, &shape, GRD_KIND_REAL, node->path);
    }
    if (ir->status != GRD_OK)
        return;
    s = &ir->steps.item[ir->steps.n - 1];
    s->save = node->save_value;
    memcpy(s->next_state, next, sizeof next);
    if (!n_state)
        return;
    ir_step *commit = ir_add_step(ir, IR_COMMIT, node->path); /* moved to the end when all is known */
    if (!commit)
        return;
    commit->node = n;
    commit->n_in = commit->n_out = n_state;
    for (int k = 0; k < n_state; k++) {
        commit->in[k] = next[k];
        commit->out[k] = state[k];
    }
}

/* Running statistics are stored after everything that reads the old ones. */
static void move_commits_to_end(grd_ir *ir)
{
    int n = 0, n_commits = 0;
    for (int i = 0; i < ir->steps.n; i++)
        n_commits += ir->steps.item[i].kind == IR_COMMIT;
    if (!n_commits)
        return;
    ir_step *commits = grd_arena_alloc(&ir->arena, sizeof *commits * (size_t)n_commits);
    if (!commits) {
        ir->status = GRD_ERR_MEMORY;
        return;
    }
    n_commits = 0;
    for (int i = 0; i < ir->steps.n; i++) {
        ir_step *s = &ir->steps.item[i];
        if (s->kind == IR_COMMIT) {
            commits[n_commits++] = *s;
            continue;
        }
        if (s->kind == IR_FORWARD || s->kind == IR_VIEW)
            ir->nodes.item[s->node].forward_step = n;
        ir->steps.item[n++] = *s;
    }
    memcpy(&ir->steps.item[n], commits, sizeof *commits * (size_t)n_commits);
}

/* ---- which gradients are needed ---- */

static bool is_real(const grd_ir *ir, int v) { return ir->values.item[v].kind == GRD_KIND_REAL; }

static bool trainable(const grd_ir *ir, int v)
{
    const ir_value *value = &ir->values.item[v];
    return value->base == GRD_BASE_PARAM && !ir->model->frozen[value->param];
}

static grd_status find_needed(grd_ir *ir, ir_grads *g)
{
    for (int v = 0; v < ir->values.n; v++)
        g->needed[v] = trainable(ir, v);
    for (int i = 0; i < ir->opts.n_want_grad; i++)
        g->needed[ir->of_graph[ir->opts.want_grad[i].id]] = true;
    for (int n = 0; n < ir->nodes.n; n++) {
        const ir_node *node = &ir->nodes.item[n];
        bool any = false;
        for (int i = 0; !node->dead && i < node->n_in; i++)
            any = any || (g->needed[node->in[i]] && is_real(ir, node->in[i]));
        if (!any || (node->op->flags & GRD_NO_GRAD))
            continue;
        for (int k = 0; k < node->n_out; k++)
            g->needed[node->out[k]] = true;
    }
    return GRD_OK;
}

/* ---- backward ---- */

/* A new value for one contribution to v's gradient. */
static int new_part(grd_ir *ir, ir_grads *g, int v)
{
    grd_shape shape = ir->values.item[v].shape;
    int d = ir_add_value(ir, &shape, GRD_KIND_REAL, ir->values.item[v].name);
    if (d < 0)
        return -1;
    g->part[v][g->n[v]++] = d;
    return d;
}

static void to_grad_arena(grd_ir *ir, int value, int param_value)
{
    ir_value *d = &ir->values.item[value];
    d->base = GRD_BASE_GRAD;
    d->offset = ir->values.item[param_value].offset;
    d->param = ir->values.item[param_value].param;
}

static int emit_sum(grd_ir *ir, const int *part, int n, int out, const char *path)
{
    ir_step *s = ir_add_step(ir, IR_SUM, path);
    if (!s)
        return -1;
    s->n_in = n;
    s->n_out = 1;
    memcpy(s->in, part, sizeof *part * (size_t)n);
    s->out[0] = out;
    return out;
}

/* Adds up a value's contributions when there are as many as a step can read. */
static void compact(grd_ir *ir, ir_grads *g, int v)
{
    if (g->n[v] < GRD_MAX_IN)
        return;
    int parts[GRD_MAX_IN];
    memcpy(parts, g->part[v], sizeof parts);
    g->n[v] = 0;
    int sum = new_part(ir, g, v);
    if (sum >= 0)
        emit_sum(ir, parts, GRD_MAX_IN, sum, ir->values.item[v].name);
}

/* All contributions are in: the one gradient of v, or -1 if there is none. */
static int finish(grd_ir *ir, ir_grads *g, int v)
{
    bool param = trainable(ir, v);
    if (g->n[v] == 0 && !param)
        return -1;
    if (g->n[v] == 1) {
        int only = g->part[v][0];
        if (param && ir->values.item[only].alias < 0)
            to_grad_arena(ir, only, v);
        if (!param || ir->values.item[only].alias < 0)
            return only;
    }
    grd_shape shape = ir->values.item[v].shape;
    int out = ir_add_value(ir, &shape, GRD_KIND_REAL, ir->values.item[v].name);
    if (out < 0)
        return -1;
    if (param)
        to_grad_arena(ir, out, v);
    if (g->n[v])
        return emit_sum(ir, g->part[v], g->n[v], out, ir->values.item[v].name);
    ir_step *zero = ir_add_step(ir, IR_ZERO, ir->values.item[v].name);
    if (zero) {
        zero->n_out = 1;
        zero->out[0] = out;
    }
    return out;
}

static void emit_view_backward(grd_ir *ir, ir_grads *g, int n, int dout)
{
    const ir_node *node = &ir->nodes.item[n];
    int x = node->in[0];
    const char *path = node->path;
    int d = new_part(ir, g, x);
    ir_step *s = d < 0 ? NULL : ir_add_step(ir, IR_VIEW, path);
    if (!s)
        return;
    ir->values.item[d].alias = dout; /* settled again in the layout pass, which may put a reorder between */
    s->node = n;
    s->n_in = s->n_out = 1;
    s->in[0] = dout;
    s->out[0] = d;
}

/* A product has two gradients, each of its own cost. That of a vector beside a matrix (a bias, a scale) is a sum over the output. */
static double backward_flops(const grd_ir *ir, const ir_node *node, const int *din)
{
    int whole = 0, vectors = 0;
    for (int i = 0; i < node->n_in; i++) {
        const ir_value *x = &ir->values.item[node->in[i]];
        bool vector = i > 0 && x->shape.rank <= 1 && ir->values.item[node->in[0]].shape.rank > 1;
        if (din[i] >= 0)
            ++*(vector ? &vectors : &whole);
    }
    return node->flops * (whole > 2 ? 2 : whole) + vectors * (double)grd_count(&ir->values.item[node->out[0]].shape);
}

static void emit_backward(grd_ir *ir, ir_grads *g, int n)
{
    const ir_node node = ir->nodes.item[n];
    int dout[GRD_MAX_OUT], any = -1;
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        dout[k] = k < node.n_out ? ir->grad_of[node.out[k]] : -1;
        any = dout[k] >= 0 ? dout[k] : any;
    }
    bool wanted = false;
    for (int i = 0; i < node.n_in; i++)
        wanted = wanted || (g->needed[node.in[i]] && is_real(ir, node.in[i]));
    if (any < 0 || !wanted)
        return;
    if (node.op->flags & GRD_NO_GRAD) {
        ir_fail(ir, GRD_ERR_UNSUPPORTED, "%s \"%s\": this op has no gradient, and one is needed through it", node.op->name, node.path);
        return;
    }
    if (node.op->flags & GRD_VIEW) {
        emit_view_backward(ir, g, n, dout[0]);
        return;
    }
    int din[GRD_MAX_IN];
    for (int i = 0; i < GRD_MAX_IN; i++) {
        din[i] = -1;
        if (i >= node.n_in || !g->needed[node.in[i]] || !is_real(ir, node.in[i]))
            continue;
        compact(ir, g, node.in[i]);
        din[i] = new_part(ir, g, node.in[i]);
    }
    ir_step *s = ir->status == GRD_OK ? ir_add_step(ir, IR_BACKWARD, node.path) : NULL;
    if (!s)
        return;
    s->node = n;
    s->n_in = node.n_in;
    s->n_out = node.n_out;
    for (int i = 0; i < node.n_in; i++)
        s->in[i] = node.op->bwd_in & 1u << i ? node.in[i] : -1;
    for (int k = 0; k < node.n_out; k++)
        s->out[k] = node.op->bwd_out & 1u << k ? node.out[k] : -1;
    memcpy(s->dout, dout, sizeof dout);
    memcpy(s->din, din, sizeof din);
    s->save = node.op->flags & GRD_BWD_SAVE ? node.save_value : -1;
    s->flops = backward_flops(ir, &node, din);
}

static void count_pending(const grd_ir *ir, ir_grads *g)
{
    for (int n = 0; n < ir->nodes.n; n++)
        for (int i = 0; !ir->nodes.item[n].dead && i < ir->nodes.item[n].n_in; i++)
            g->pending[ir->nodes.item[n].in[i]]++;
}

static grd_status go_backward(grd_ir *ir, int n_values)
{
    ir_grads g = { grd_arena_alloc(&ir->arena, (size_t)n_values + 1), grd_arena_alloc(&ir->arena, sizeof(int) * (size_t)(n_values + 1)),
                   grd_arena_alloc(&ir->arena, sizeof(int) * (size_t)(n_values + 1)),
                   grd_arena_alloc(&ir->arena, sizeof(int[GRD_MAX_IN]) * (size_t)(n_values + 1)) };
    if (!g.needed || !g.pending || !g.n || !g.part)
        return GRD_ERR_MEMORY;
    GRD_TRY(find_needed(ir, &g));
    count_pending(ir, &g);
    int loss = ir->of_graph[ir->opts.loss.id];
    if (!g.needed[loss])
        return ir_fail(ir, GRD_ERR_ARG, "compile: the loss \"%s\" depends on no trainable parameter", ir->values.item[loss].name);
    ir->grad_of[loss] = ir->one;
    for (int n = ir->nodes.n - 1; n >= 0 && ir->status == GRD_OK; n--) {
        if (ir->nodes.item[n].dead)
            continue;
        for (int k = 0; k < ir->nodes.item[n].n_out; k++) {
            int v = ir->nodes.item[n].out[k];
            if (v != loss)
                ir->grad_of[v] = finish(ir, &g, v);
        }
        emit_backward(ir, &g, n);
        for (int i = 0; i < ir->nodes.item[n].n_in; i++) {
            int v = ir->nodes.item[n].in[i];
            bool leaf = ir->values.item[v].base != GRD_BASE_ARENA;
            if (--g.pending[v] == 0 && leaf && g.needed[v]) /* a parameter's gradient is done as early as can be */
                ir->grad_of[v] = finish(ir, &g, v);
        }
    }
    return ir->status;
}

/* Trainable parameters that this loss does not reach have gradient zero. */
static void zero_unreached(grd_ir *ir)
{
    const grd_model *m = ir->model;
    for (int p = 0; p < m->n_tensors && ir->status == GRD_OK; p++) {
        const grd_param_def *def = &m->graph->params.item[p];
        if (def->is_state || m->frozen[p] || (ir->of_graph[def->value] >= 0 && ir->grad_of[ir->of_graph[def->value]] >= 0))
            continue;
        int v = ir_add_value(ir, &def->shape, GRD_KIND_REAL, def->name);
        ir_step *zero = v < 0 ? NULL : ir_add_step(ir, IR_ZERO, def->name);
        if (!zero)
            return;
        zero->n_out = 1;
        zero->out[0] = v;
        ir_value *value = &ir->values.item[v];
        value->base = GRD_BASE_GRAD;
        value->offset = m->offset[p] * (int64_t)grd_model_element(m);
        value->param = p;
    }
}

grd_status ir_autodiff(grd_ir *ir)
{
    int n_values = ir->values.n;
    ir->grad_of = grd_arena_alloc(&ir->arena, sizeof(int) * (size_t)(n_values + 1));
    if (!ir->grad_of)
        return GRD_ERR_MEMORY;
    for (int v = 0; v <= n_values; v++)
        ir->grad_of[v] = -1;
    ir->n_grad_of = n_values;
    for (int n = 0; n < ir->nodes.n && ir->status == GRD_OK; n++)
        if (!ir->nodes.item[n].dead)
            emit_forward(ir, n, ir->opts.backward);
    if (ir->status == GRD_OK && ir->opts.backward) {
        ir->one = ir_add_value(ir, &(grd_shape){ .rank = 0 }, GRD_KIND_REAL, "1");
        if (ir->one >= 0) {
            ir->values.item[ir->one].base = GRD_BASE_OWN;
            ir->values.item[ir->one].offset = 0;
            ir->own_bytes = 64;
            go_backward(ir, n_values);
        }
        if (ir->status == GRD_OK)
            zero_unreached(ir);
    }
    if (ir->status == GRD_OK)
        move_commits_to_end(ir);
    return ir->status;
}
