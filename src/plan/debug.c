/* Debug executors: `check` runs each step again by the reference kernels and compares, `nan` stops at the first number that is none,
 * `trace` logs every step. They may allocate. */
#include "plan/plan.h"

#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *grd_step_kind_name(const ir_step *s)
{
    static const char *const name[] = { [IR_FORWARD] = "forward", [IR_BACKWARD] = "backward", [IR_VIEW] = "view", [IR_SUM] = "sum",
                                        [IR_ZERO] = "zero", [IR_REORDER] = "reorder", [IR_COMMIT] = "commit" };
    return s->again ? "again" : name[s->kind];
}

static double number_at(const grd_plan *p, const void *memory, int64_t i)
{
    return p->model->dtype == GRD_F64 ? ((const double *)memory)[i] : (double)((const float *)memory)[i];
}

typedef struct range { double lo, hi; int64_t bad, n; } range;

/* Smallest and largest finite number, and the first that is not finite (-1). */
static range range_of(const grd_plan *p, int v)
{
    const ir_value *value = &p->ir.values.item[v];
    const void *memory = grd_plan_pointer(p, v);
    range r = { INFINITY, -INFINITY, -1, (int64_t)(value->bytes / grd_model_element(p->model)) };
    for (int64_t i = 0; memory && i < r.n; i++) {
        double x = number_at(p, memory, i);
        if (!isfinite(x)) {
            r.bad = r.bad < 0 ? i : r.bad;
            continue;
        }
        r.lo = x < r.lo ? x : r.lo;
        r.hi = x > r.hi ? x : r.hi;
    }
    return r;
}

/* What a step writes: outputs forward, gradients backward. Returns how many. */
static int written(const ir_step *s, int list[GRD_MAX_IN + GRD_MAX_OUT])
{
    int n = 0;
    for (int i = 0; s->kind == IR_BACKWARD && i < s->n_in; i++)
        if (s->din[i] >= 0)
            list[n++] = s->din[i];
    for (int k = 0; s->kind != IR_BACKWARD && s->kind != IR_COMMIT && k < s->n_out; k++)
        list[n++] = s->out[k];
    return n;
}

static const char *op_name(const grd_plan *p, const ir_step *s)
{
    return s->node >= 0 ? p->ir.nodes.item[s->node].op->name : "";
}

grd_status grd_debug_nan(grd_plan *p, const plan_step *step)
{
    const ir_step *s = step->ir;
    int list[GRD_MAX_IN + GRD_MAX_OUT], n = written(s, list);
    for (int i = 0; i < n; i++) {
        const ir_value *value = &p->ir.values.item[list[i]];
        if (value->kind == GRD_KIND_INDEX)
            continue;
        range r = range_of(p, list[i]);
        if (r.bad < 0)
            continue;
        char inputs[300], shape[80];
        size_t used = 0;
        inputs[0] = 0;
        for (int k = 0; k < s->n_in && used < sizeof inputs; k++) {
            if (s->in[k] < 0 || p->ir.values.item[s->in[k]].kind != GRD_KIND_REAL)
                continue;
            range in = range_of(p, s->in[k]);
            used += (size_t)snprintf(inputs + used, sizeof inputs - used, "%s\"%s\" %.4g..%.4g", used ? ", " : "",
                                     p->ir.values.item[s->in[k]].name, in.lo, in.hi);
        }
        return grd_fail(p->ir.host, GRD_ERR_NUMBER, "%s \"%s\" %s: %s %s has a value that is not finite at element %lld; inputs: %s",
                        op_name(p, s), s->path, grd_step_kind_name(s), s->kind == IR_BACKWARD ? "gradient of" : "output of",
                        grd_shape_text(&value->shape, shape, sizeof shape), (long long)r.bad, inputs);
    }
    return GRD_OK;
}

void grd_debug_trace(grd_plan *p, const plan_step *step)
{
    const ir_step *s = step->ir;
    int list[GRD_MAX_IN + GRD_MAX_OUT], n = written(s, list);
    for (int i = 0; i < n; i++) {
        char shape[80];
        range r = range_of(p, list[i]);
        grd_say(p->model->ctx, GRD_LOG_DEBUG, "%-9s %-12s %-28s %-18s %.6g..%.6g%s", grd_step_kind_name(s), op_name(p, s), s->path,
                grd_shape_text(&p->ir.values.item[list[i]].shape, shape, sizeof shape), r.lo, r.hi, r.bad >= 0 ? " NOT FINITE" : "");
    }
}

/* ---- check ---- */

typedef struct checker {
    grd_plan *p;
    const plan_step *step;
    grd_args args;             /* the reference's */
    grd_arena arena;
    const ir_node *node;
} checker;

/* The value as the reference wants it: plain (flat steps: as it lies). */
static const void *as_plain(checker *c, int v)
{
    if (v < 0)
        return NULL;
    const ir_value *value = &c->p->ir.values.item[v];
    const void *memory = grd_plan_pointer(c->p, v);
    if (value->layout.kind == GRD_LAYOUT_PLAIN || c->node->flat || !memory)
        return memory;
    void *copy = grd_arena_alloc(&c->arena, (size_t)grd_count(&value->shape) * grd_model_element(c->p->model));
    static const grd_layout plain;
    if (copy)
        grd_layout_copy(&value->layout, memory, &plain, copy, &value->shape, grd_model_element(c->p->model));
    return copy;
}

static void *scratch_for(checker *c, const grd_shape *shape)
{
    return grd_arena_alloc(&c->arena, (size_t)grd_count(shape) * grd_model_element(c->p->model));
}

/* A row states its bound for its samples, which are small; rounding grows with the length of sums, and those of a step may be a
 * hundred thousand times as long. Real faults are far larger. */
static const double SLACK = 10;

static grd_status compare(checker *c, int v, const void *reference, const grd_shape *shape)
{
    const void *got = as_plain(c, v);
    if (!got || !reference)
        return c->p->ir.host->err.status == GRD_ERR_MEMORY ? GRD_ERR_MEMORY : GRD_OK;
    int64_t n = grd_count(shape);
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = number_at(c->p, got, i), b = number_at(c->p, reference, i);
        if (isnan(a) != isnan(b)) {
            error = INFINITY;
            break;
        }
        if (a == b || isnan(a))
            continue;
        error = fabs(a - b) > error ? fabs(a - b) : error;
        size = fabs(b) > size && isfinite(b) ? fabs(b) : size;
    }
    for (int64_t i = 0; i < n && error > 0; i++)
        size = fmax(size, isfinite(number_at(c->p, reference, i)) ? fabs(number_at(c->p, reference, i)) : 0);
    /* A loss' gradient may be p - 1 with p near 1: what is rounded is as large as the gradient of the sum, 1, whatever is left. */
    if (c->step->ir->kind == IR_BACKWARD && c->node->op->flags & GRD_LOSS && c->args.dout[0])
        size = fmax(size, fabs(number_at(c->p, c->args.dout[0], 0)));
    error /= size + 1e-6;
    const ir_step *s = c->step->ir;
    const double row = c->node->op->bound_f32 > 0 ? c->node->op->bound_f32 : 1e-5, bound = s->impl.bound > 0 ? s->impl.bound : row;
    if (error * row / bound > c->p->check_error) {
        c->p->check_error = error * row / bound;
        c->p->check_step = s->path;
    }
    if (error <= SLACK * bound)
        return GRD_OK;
    char impl[80], text[80];
    grd_step_implementation(s, impl, sizeof impl);
    return grd_fail(c->p->ir.host, GRD_ERR_NUMBER, "%s \"%s\" %s by %s: %s \"%s\" %s is off by %.2g of the reference's largest "
                    "value, expected at most %.2g", c->node->op->name, s->path, grd_step_kind_name(s), impl,
                    s->kind == IR_BACKWARD ? "gradient of" : "output", c->p->ir.values.item[v].name,
                    grd_shape_text(shape, text, sizeof text), error, SLACK * bound);
}

static grd_status check_forward(checker *c)
{
    const ir_step *s = c->step->ir;
    for (int k = 0; k < s->n_out; k++)
        c->args.out[k] = scratch_for(c, &s->shape_out[k]);
    int state = 0;
    for (int i = 0; i < s->n_in; i++)
        if (s->shape_in[i].rank >= 0 && state < GRD_MAX_STATE && c->step->args.next_state[state] &&
            c->p->ir.values.item[s->in[i]].kind == GRD_KIND_STATE)
            c->args.next_state[state++] = scratch_for(c, &s->shape_in[i]);
    c->args.save = grd_arena_alloc(&c->arena, c->node->save + 64);
    c->node->op->forward(&c->args);
    for (int k = 0; k < s->n_out; k++)
        GRD_TRY(compare(c, s->out[k], c->args.out[k], &s->shape_out[k]));
    return GRD_OK;
}

static grd_status check_backward(checker *c)
{
    const ir_step *s = c->step->ir;
    for (int k = 0; k < s->n_out; k++) {
        c->args.out[k] = (void *)(uintptr_t)as_plain(c, s->out[k]);
        c->args.dout[k] = as_plain(c, s->dout[k]);
    }
    for (int i = 0; i < s->n_in; i++)
        c->args.din[i] = s->din[i] >= 0 ? scratch_for(c, &s->shape_in[i]) : NULL;
    c->node->op->backward(&c->args);
    for (int i = 0; i < s->n_in; i++)
        if (s->din[i] >= 0)
            GRD_TRY(compare(c, s->din[i], c->args.din[i], &s->shape_in[i]));
    return GRD_OK;
}

grd_status grd_debug_check(grd_plan *p, plan_step *step)
{
    const ir_step *s = step->ir;
    bool compute = s->kind == IR_FORWARD || s->kind == IR_BACKWARD;
    if (!compute || s->impl.backend == &grd_backend_ref || (s->kind == IR_BACKWARD && s->impl.private_save))
        return GRD_OK;
    checker c = { .p = p, .step = step, .args = step->args, .node = &p->ir.nodes.item[s->node] };
    grd_arena_init(&c.arena, p->ir.host);
    for (int i = 0; i < s->n_in; i++)
        c.args.in[i] = as_plain(&c, s->in[i]);
    size_t scratch = c.node->scratch > c.node->scratch_back ? c.node->scratch : c.node->scratch_back;
    c.args.scratch = grd_arena_alloc(&c.arena, scratch + 64);
    c.args.threads = 1;
    grd_status status = s->kind == IR_FORWARD ? check_forward(&c) : check_backward(&c);
    grd_arena_free(&c.arena);
    return status;
}

double grd_plan_check_error(const grd_plan *p, const char **step)
{
    if (step)
        *step = p->check_step;
    return p->check_error;
}
