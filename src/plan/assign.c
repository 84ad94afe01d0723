/* Layout: picks an implementation for every step, in order; the layouts it wants and gives decide where reorders go. A value may
 * exist in several layouts; each is made once and shared. Element-wise steps run on whatever dense layout their input has. */
#include "plan/ir.h"

#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

typedef struct version { int of, value; } version;

typedef struct assigner {
    grd_ir *ir;
    struct { ir_step *item; int n, cap; } steps;     /* the new list */
    struct { version *item; int n, cap; } versions;  /* other layouts of a value */
} assigner;

static const grd_layout plain; /* kind PLAIN */

static ir_value *value_at(const assigner *a, int v) { return &a->ir->values.item[v]; }

static grd_status push_step(assigner *a, const ir_step *step)
{
    if (!GRD_RESERVE(a->ir->host, &a->steps))
        return a->ir->status = GRD_ERR_MEMORY;
    a->steps.item[a->steps.n++] = *step;
    return GRD_OK;
}

static void set_layout(assigner *a, int v, const grd_layout *layout)
{
    ir_value *value = value_at(a, v);
    value->layout = *layout;
    value->bytes = grd_layout_bytes(layout, &value->shape, ir_element(a->ir, value->kind));
}

/* ---- choosing ---- */

static bool allowed(const grd_model *m, const grd_backend *b)
{
    return strcmp(m->backend, "auto") == 0 || strcmp(b->name, "ref") == 0 || strcmp(m->backend, b->name) == 0;
}

/* The first backend that accepts; the sentences of those before it are kept. */
static grd_status choose(assigner *a, ir_step *s, const grd_node *node, grd_pass pass, size_t save, size_t scratch)
{
    grd_ir *ir = a->ir;
    grd_env env = { .host = ir->host, .threads = ir->model->threads, .exact_conv = ir->model->exact_conv };
    char refusals[1024];
    size_t used = 0;
    refusals[0] = 0;
    for (const grd_backend *const *b = grd_backends; *b; b++) {
        if (!allowed(ir->model, *b))
            continue;
        memset(&s->impl, 0, sizeof s->impl);
        s->impl.backend = *b;
        s->impl.save = save;
        s->impl.scratch = scratch;
        s->impl.threads = ir->model->threads;
        s->impl.run = (*b)->run;
        grd_clear(ir->host);
        const char *reason = (*b)->prepare(&s->impl, node, pass, &env);
        if (!reason) {
            s->has_impl = true;
            s->refusals = used ? grd_arena_strdup(&ir->arena, refusals) : NULL;
            return GRD_OK;
        }
        if (ir->host->err.status == GRD_ERR_MEMORY)
            return ir->status = GRD_ERR_MEMORY;
        if (used < sizeof refusals)
            used += (size_t)snprintf(refusals + used, sizeof refusals - used, "%s%s: %s", used ? "; " : "", (*b)->name, reason);
    }
    return ir_fail(ir, GRD_ERR_UNSUPPORTED, "%s: no backend runs this step (%s)", s->path, refusals);
}

/* ---- versions ---- */

static int emit_reorder(assigner *a, int from, int to, const char *path)
{
    grd_ir *ir = a->ir;
    ir_step s;
    ir_clear_step(&s, IR_REORDER, path);
    s.n_in = s.n_out = 1;
    s.in[0] = from;
    s.out[0] = to;
    s.shape_in[0] = s.shape_out[0] = value_at(a, from)->shape;
    grd_node node = { .path = path, .dtype = ir->model->dtype, .n_in = 1, .n_out = 1, .in_shape = s.shape_in, .out_shape = s.shape_out,
                      .from = &value_at(a, from)->layout, .to = &value_at(a, to)->layout };
    if (choose(a, &s, &node, GRD_REORDER, 0, 0) != GRD_OK)
        return -1;
    if (s.impl.scratch) {
        s.scratch = ir_add_value(ir, &(grd_shape){ .rank = 1, .dim = { 1 } }, GRD_KIND_REAL, path);
        if (s.scratch < 0)
            return -1;
        value_at(a, s.scratch)->bytes = s.impl.scratch;
    }
    s.pack = value_at(a, to)->base == GRD_BASE_OWN;
    ir->reorders++;
    return push_step(a, &s) == GRD_OK ? to : -1;
}

/* v in layout `want`: itself, a version made before, or a new one. -1: failed. */
static int in_layout(assigner *a, int v, const grd_layout *want)
{
    grd_ir *ir = a->ir;
    if (grd_layout_equal(&value_at(a, v)->layout, want))
        return v;
    for (int i = 0; i < a->versions.n; i++)
        if (a->versions.item[i].of == v && grd_layout_equal(&value_at(a, a->versions.item[i].value)->layout, want))
            return a->versions.item[i].value;
    grd_shape shape = value_at(a, v)->shape;
    int to = ir_add_value(ir, &shape, value_at(a, v)->kind, value_at(a, v)->name);
    if (to < 0 || !GRD_RESERVE(ir->host, &a->versions)) {
        ir->status = GRD_ERR_MEMORY;
        return -1;
    }
    set_layout(a, to, want);
    if (value_at(a, v)->base == GRD_BASE_PARAM && !ir->opts.backward) { /* packed once per change of the parameters */
        ir_value *packed = value_at(a, to);
        packed->base = GRD_BASE_OWN;
        packed->offset = (int64_t)grd_align_up(ir->own_bytes, 64);
        ir->own_bytes = (size_t)packed->offset + packed->bytes;
    }
    a->versions.item[a->versions.n++] = (version){ v, to };
    return emit_reorder(a, v, to, value_at(a, v)->name);
}

static bool need(assigner *a, int *v, const grd_layout *want)
{
    if (*v < 0)
        return true;
    *v = in_layout(a, *v, want);
    return *v >= 0;
}

/* ---- element-wise steps on other layouts ---- */

/* No holes between elements: the buffer is one run of numbers. */
static bool dense(const grd_layout *l, const grd_shape *shape, size_t element)
{
    if (l->kind != GRD_LAYOUT_BLOCKED)
        return false;
    size_t n = element;
    for (int i = 0; i < shape->rank; i++)
        n *= (size_t)l->padded[i];
    return n == l->bytes;
}

static bool same_shape(const assigner *a, int v, const ir_value *x)
{
    return value_at(a, v)->kind == GRD_KIND_REAL && grd_shape_equal(&value_at(a, v)->shape, &x->shape);
}

static bool can_run_flat(const assigner *a, const ir_node *node)
{
    const ir_value *x = value_at(a, node->in[0]);
    if (!(node->op->flags & GRD_ELEMENTWISE) || !dense(&x->layout, &x->shape, ir_element(a->ir, GRD_KIND_REAL)))
        return false;
    if (!(node->op->flags & GRD_ZERO_AT_ZERO) && grd_layout_has_padding(&x->layout, &x->shape))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (!same_shape(a, node->in[i], x))
            return false;
    return grd_shape_equal(&value_at(a, node->out[0])->shape, &x->shape);
}

/* The kernel is told one dimension and plain layouts; the values keep theirs. */
static void flatten_step(const assigner *a, ir_step *s, const ir_node *node)
{
    size_t element = ir_element(a->ir, GRD_KIND_REAL);
    grd_shape flat = { .rank = 1, .dim = { (int64_t)(node->flat_layout.bytes / element) } };
    for (int i = 0; i < s->n_in; i++)
        s->shape_in[i] = flat;
    for (int k = 0; k < s->n_out; k++)
        s->shape_out[k] = flat;
}

/* ---- steps ---- */

/* The layout that input i must be in. */
static const grd_layout *wanted(const assigner *a, const ir_step *s, const ir_node *node, int i)
{
    if (node->flat)
        return &node->flat_layout;
    return value_at(a, s->in[i])->kind == GRD_KIND_REAL ? &s->impl.in[i] : &plain;
}

static grd_status assign_forward(assigner *a, ir_step *s)
{
    grd_ir *ir = a->ir;
    ir_node *node = &ir->nodes.item[s->node];
    grd_layout in[GRD_MAX_IN];
    node->flat = can_run_flat(a, node);
    for (int i = 0; i < s->n_in; i++) {
        s->shape_in[i] = value_at(a, s->in[i])->shape;
        in[i] = value_at(a, s->in[i])->layout;
    }
    for (int k = 0; k < s->n_out; k++)
        s->shape_out[k] = value_at(a, s->out[k])->shape;
    if (node->flat) {
        node->flat_layout = in[0];
        flatten_step(a, s, node);
        memset(in, 0, sizeof in);
    }
    grd_node view = { .op = node->op, .attr = node->attr, .path = node->path, .dtype = ir->model->dtype, .train = node->train,
                      .n_in = s->n_in, .n_out = s->n_out, .in_shape = s->shape_in, .out_shape = s->shape_out, .in_layout = in };
    GRD_TRY(choose(a, s, &view, GRD_FORWARD, node->save, node->scratch));
    for (int i = 0; i < s->n_in; i++)
        if (!need(a, &s->in[i], wanted(a, s, node, i)))
            return ir->status;
    for (int k = 0; k < s->n_out; k++)
        set_layout(a, s->out[k], node->flat ? &node->flat_layout : &s->impl.out[k]);
    if (s->save < 0 && s->impl.save && ir->opts.backward) /* a save only this backend has */
        s->save = node->save_value = ir_add_value(ir, &(grd_shape){ .rank = 1, .dim = { 1 } }, GRD_KIND_REAL, node->path);
    if (s->save >= 0)
        value_at(a, s->save)->bytes = s->impl.save;
    return ir->status;
}

static const grd_impl *forward_impl(const assigner *a, int node)
{
    for (int i = 0; i < a->steps.n; i++)
        if (a->steps.item[i].kind == IR_FORWARD && a->steps.item[i].node == node)
            return &a->steps.item[i].impl;
    return NULL;
}

static grd_status assign_backward(assigner *a, ir_step *s)
{
    grd_ir *ir = a->ir;
    const ir_node *node = &ir->nodes.item[s->node];
    grd_layout in[GRD_MAX_IN], out[GRD_MAX_OUT], dout[GRD_MAX_OUT];
    memset(in, 0, sizeof in);
    memset(out, 0, sizeof out);
    memset(dout, 0, sizeof dout);
    grd_node view = { .op = node->op, .attr = node->attr, .path = node->path, .dtype = ir->model->dtype, .train = node->train,
                      .n_in = s->n_in, .n_out = s->n_out, .in_shape = s->shape_in, .out_shape = s->shape_out, .in_layout = in,
                      .out_layout = out, .dout_layout = dout, .forward = forward_impl(a, s->node) };
    for (int i = 0; i < s->n_in; i++) {
        s->shape_in[i] = value_at(a, node->in[i])->shape;
        in[i] = value_at(a, node->in[i])->layout;
        view.want_din |= s->din[i] >= 0 ? 1u << i : 0;
    }
    for (int k = 0; k < s->n_out; k++) {
        s->shape_out[k] = value_at(a, node->out[k])->shape;
        out[k] = value_at(a, node->out[k])->layout;
        if (s->dout[k] >= 0) {
            view.have_dout |= 1u << k;
            dout[k] = value_at(a, s->dout[k])->layout;
        }
    }
    if (node->flat) {
        flatten_step(a, s, node);
        memset(in, 0, sizeof in);
        memset(out, 0, sizeof out);
        memset(dout, 0, sizeof dout);
    }
    GRD_TRY(choose(a, s, &view, GRD_BACKWARD, node->save, node->scratch_back));
    const bool private_save = view.forward && view.forward->private_save; /* reorders below may move the steps it lies in */
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i] >= 0 && !need(a, &s->in[i], wanted(a, s, node, i)))
            return ir->status;
    for (int k = 0; k < s->n_out; k++)
        if (!need(a, &s->out[k], node->flat ? &node->flat_layout : &s->impl.out[k]) ||
            !need(a, &s->dout[k], node->flat ? &node->flat_layout : &s->impl.dout[k]))
            return ir->status;
    if (private_save)
        s->save = node->save_value;
    return GRD_OK;
}

/* Gradients get the layout the implementation gives; the gradient arena is plain, so a reorder may follow. */
static grd_status place_gradients(assigner *a, ir_step *s, int after[GRD_MAX_IN])
{
    grd_ir *ir = a->ir;
    const ir_node *node = &ir->nodes.item[s->node];
    for (int i = 0; i < s->n_in; i++) {
        after[i] = -1;
        if (s->din[i] < 0)
            continue;
        const grd_layout *given = node->flat ? &node->flat_layout : &s->impl.din[i];
        if (given->kind == GRD_LAYOUT_PLAIN || value_at(a, s->din[i])->base != GRD_BASE_GRAD) {
            set_layout(a, s->din[i], given);
            continue;
        }
        grd_shape shape = value_at(a, s->din[i])->shape;
        int temporary = ir_add_value(ir, &shape, GRD_KIND_REAL, value_at(a, s->din[i])->name);
        if (temporary < 0)
            return ir->status;
        set_layout(a, temporary, given);
        after[i] = s->din[i];
        s->din[i] = temporary;
    }
    return GRD_OK;
}

static grd_status assign_compute(assigner *a, ir_step *s)
{
    grd_ir *ir = a->ir;
    int after[GRD_MAX_IN];
    memset(after, -1, sizeof after);
    bool backward = s->kind == IR_BACKWARD;
    grd_status status = backward ? assign_backward(a, s) : assign_forward(a, s);
    if (status == GRD_OK && backward)
        status = place_gradients(a, s, after);
    if (status == GRD_OK && s->impl.scratch) {
        s->scratch = ir_add_value(ir, &(grd_shape){ .rank = 1, .dim = { 1 } }, GRD_KIND_REAL, s->path);
        if (s->scratch >= 0)
            value_at(a, s->scratch)->bytes = s->impl.scratch;
        status = ir->status;
    }
    if (status == GRD_OK)
        status = push_step(a, s);
    if (status != GRD_OK) {
        if (s->has_impl)
            s->impl.backend->drop(&s->impl, ir->host);
        return status;
    }
    int n_in = s->n_in;
    int din[GRD_MAX_IN];
    memcpy(din, s->din, sizeof din);
    for (int i = 0; i < n_in; i++)
        if (after[i] >= 0 && emit_reorder(a, din[i], after[i], value_at(a, after[i])->name) < 0)
            return ir->status;
    return GRD_OK;
}

static grd_status assign_view(assigner *a, ir_step *s)
{
    if (!need(a, &s->in[0], &plain))
        return a->ir->status;
    value_at(a, s->out[0])->alias = s->in[0];
    set_layout(a, s->out[0], &plain);
    return push_step(a, s);
}

static grd_status assign_sum(assigner *a, ir_step *s)
{
    bool to_arena = value_at(a, s->out[0])->base == GRD_BASE_GRAD;
    grd_layout common = to_arena ? plain : value_at(a, s->in[0])->layout;
    if (common.kind == GRD_LAYOUT_OPAQUE)
        common = plain;
    for (int i = 0; i < s->n_in; i++)
        if (!need(a, &s->in[i], &common))
            return a->ir->status;
    set_layout(a, s->out[0], &common);
    return push_step(a, s);
}

/* What is read from outside is plain. */
static grd_status keep_plain(assigner *a, int *v)
{
    if (*v < 0)
        return GRD_OK;
    value_at(a, *v)->keep = true;
    *v = in_layout(a, *v, &plain);
    if (*v < 0)
        return a->ir->status;
    value_at(a, *v)->keep = true;
    return GRD_OK;
}

static grd_status assign_step(assigner *a, ir_step *s)
{
    if (s->kind == IR_FORWARD || s->kind == IR_BACKWARD)
        return assign_compute(a, s);
    if (s->kind == IR_VIEW)
        return assign_view(a, s);
    if (s->kind == IR_SUM)
        return assign_sum(a, s);
    return push_step(a, s);
}

grd_status ir_assign(grd_ir *ir)
{
    assigner a = { .ir = ir };
    grd_status status = GRD_OK;
    for (int i = 0; i < ir->steps.n && status == GRD_OK; i++) {
        ir_step copy = ir->steps.item[i];
        status = assign_step(&a, &copy);
    }
    for (int k = 0; k < ir->n_kept && status == GRD_OK; k++)
        status = keep_plain(&a, &ir->kept[k]);
    grd_free(ir->host, a.versions.item);
    grd_free(ir->host, ir->steps.item);
    ir->steps.item = a.steps.item;
    ir->steps.n = a.steps.n;
    ir->steps.cap = a.steps.cap;
    return status;
}
