/* Compile: runs the passes and turns ids into slots. */
#include "plan/plan.h"

#include "base/parallel.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

grd_status grd_plan_check_backend(const grd_model *m)
{
    if (strcmp(m->backend, "auto") == 0)
        return GRD_OK;
    char known[200] = "auto";
    for (const grd_backend *const *b = grd_backends; *b; b++) {
        if (strcmp((*b)->name, m->backend) == 0)
            return GRD_OK;
        snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", (*b)->name);
    }
    return grd_fail(&m->ctx->host, GRD_ERR_ARG, "backend: there is no \"%s\" here; known: %s", m->backend, known);
}

/* ---- the cache's question ---- */

static bool same_var(grd_var a, grd_var b) { return a.graph == b.graph && (!a.graph || a.id == b.id); }

bool grd_plan_matches(const grd_plan *p, const grd_compile_opts *o, const grd_shape *input_shape)
{
    const grd_compile_opts *mine = &p->opts;
    if (mine->train != o->train || mine->backward != o->backward || mine->flags != o->flags || !same_var(mine->loss, o->loss) ||
        mine->n_keep != o->n_keep || mine->n_want_grad != o->n_want_grad)
        return false;
    for (int i = 0; i < o->n_keep; i++)
        if (!same_var(mine->keep[i], o->keep[i]))
            return false;
    for (int i = 0; i < o->n_want_grad; i++)
        if (!same_var(mine->want_grad[i], o->want_grad[i]))
            return false;
    for (int i = 0; i < p->model->graph->inputs.n; i++)
        if (p->reaches[i] && !grd_shape_equal(&p->input_shape[i], &input_shape[i]))
            return false;
    return true;
}

/* ---- passes ---- */

static grd_status check_options(const grd_model *m, const grd_compile_opts *o)
{
    grd_host *host = &m->ctx->host;
    if (o->n_keep < 0 || o->n_keep > GRD_MAX_KEEP || o->n_want_grad < 0 || o->n_want_grad > GRD_MAX_KEEP)
        return grd_fail(host, GRD_ERR_ARG, "compile: at most %d values to keep and %d gradients", GRD_MAX_KEEP, GRD_MAX_KEEP);
    if (o->n_want_grad && !o->backward)
        return grd_fail(host, GRD_ERR_ARG, "compile: gradients are wanted but not `backward`");
    if (!o->loss.graph)
        return o->backward ? grd_fail(host, GRD_ERR_ARG, "compile: `backward` needs a loss") : GRD_OK;
    if (!grd_valid(o->loss) || o->loss.graph != m->graph)
        return grd_fail(host, GRD_ERR_ARG, "compile: the loss is not a valid variable of the model's graph");
    const grd_value *v = &m->graph->values.item[o->loss.id];
    bool is_loss = v->origin == GRD_FROM_NODE && v->port == 0 && (m->graph->calls.item[v->index].op[0]->flags & GRD_LOSS);
    return is_loss ? GRD_OK : grd_fail(host, GRD_ERR_ARG, "compile: \"%s\" is not a loss (an op with sum and weight)", v->name);
}

/* What is read after a run, and before fusing: those values must survive. */
static void note_kept(grd_ir *ir)
{
    const grd_compile_opts *o = &ir->opts;
    memset(ir->kept, -1, sizeof ir->kept);
    ir->n_kept = IR_MAX_KEPT;
    if (o->loss.graph) {
        const grd_graph *g = ir->model->graph;
        const grd_call *call = &g->calls.item[g->values.item[o->loss.id].index];
        ir->kept[0] = ir->of_graph[call->out[0]];
        ir->kept[1] = ir->of_graph[call->out[1]];
    }
    for (int i = 0; i < o->n_keep; i++)
        ir->kept[2 + i] = ir->of_graph[o->keep[i].id];
    for (int k = 0; k < IR_MAX_KEPT; k++)
        if (ir->kept[k] >= 0)
            ir->values.item[ir->kept[k]].keep = true;
}

static void note_gradients(grd_ir *ir)
{
    for (int i = 0; i < ir->opts.n_want_grad; i++) {
        int v = ir->of_graph[ir->opts.want_grad[i].id];
        int d = v < ir->n_grad_of ? ir->grad_of[v] : -1;
        ir->kept[2 + GRD_MAX_KEEP + i] = d;
        if (d >= 0)
            ir->values.item[d].keep = true;
    }
}

static grd_status run_passes(grd_ir *ir)
{
    GRD_TRY(ir_lower(ir));
    note_kept(ir);
    GRD_TRY(ir_fuse(ir));
    GRD_TRY(ir_autodiff(ir));
    note_gradients(ir);
    GRD_TRY(ir_assign(ir));
    GRD_TRY(ir_recompute(ir));
    return ir_place(ir);
}

/* ---- slots ---- */

static plan_slot slot_of(const grd_ir *ir, int v)
{
    if (v < 0)
        return (plan_slot){ GRD_BASE_NONE, 0 };
    const ir_value *root = &ir->values.item[ir_root(ir, v)];
    return (plan_slot){ (uint8_t)root->base, root->offset };
}

static void fill_step(grd_plan *p, plan_step *step, const ir_step *s)
{
    const grd_ir *ir = &p->ir;
    step->ir = s;
    grd_args *args = &step->args;
    args->n_in = s->n_in;
    args->n_out = s->n_out;
    args->in_shape = s->shape_in;
    args->out_shape = s->shape_out;
    args->threads = s->has_impl ? s->impl.threads : ir->model->threads;
    if (s->kind == IR_FORWARD || s->kind == IR_BACKWARD) {
        const ir_node *node = &ir->nodes.item[s->node];
        args->attr = node->attr;
        args->train = node->train;
        args->key.seed = grd_hash(ir->model->seed, node->path);
    }
    for (int i = 0; i < GRD_MAX_IN; i++) {
        step->in[i] = slot_of(ir, s->in[i]);
        step->din[i] = slot_of(ir, s->din[i]);
    }
    for (int k = 0; k < GRD_MAX_OUT; k++) {
        step->out[k] = slot_of(ir, s->out[k]);
        step->dout[k] = slot_of(ir, s->dout[k]);
    }
    for (int k = 0; k < GRD_MAX_STATE; k++)
        step->next_state[k] = slot_of(ir, s->next_state[k]);
    step->save = slot_of(ir, s->save);
    step->scratch = slot_of(ir, s->scratch);
}

static grd_status make_steps(grd_plan *p)
{
    grd_ir *ir = &p->ir;
    p->step = GRD_NEW_N(ir->host, plan_step, ir->steps.n + 1);
    p->own = grd_alloc(ir->host, ir->own_bytes);
    if (!p->step || !p->own)
        return GRD_ERR_MEMORY;
    if (ir->opts.backward) {
        if (ir->model->dtype == GRD_F64)
            *(double *)p->own = 1;
        else
            *(float *)p->own = 1;
    }
    for (int i = 0; i < ir->steps.n; i++)
        if (ir->steps.item[i].kind != IR_VIEW)
            fill_step(p, &p->step[p->n_steps++], &ir->steps.item[i]);
    return grd_model_reserve(ir->model, ir->arena_bytes);
}

static void note_inputs(grd_plan *p, const grd_shape *input_shape)
{
    for (int v = 0; v < p->ir.values.n; v++) {
        int i = (int)p->ir.values.item[v].base - GRD_BASE_INPUT;
        if (i < 0)
            continue;
        p->reaches[i] = true;
        p->input_shape[i] = input_shape[i];
    }
    p->ir.input_shape = p->input_shape;
}

grd_status grd_plan_compile(grd_model *m, const grd_compile_opts *opts, const grd_shape *input_shape, grd_plan **plan)
{
    *plan = NULL;
    grd_host *host = &m->ctx->host;
    GRD_TRY(check_options(m, opts));
    grd_plan *p = GRD_NEW(host, grd_plan);
    if (!p)
        return GRD_ERR_MEMORY;
    p->model = m;
    p->opts = *opts;
    p->ir = (grd_ir){ .model = m, .host = host, .opts = *opts, .input_shape = input_shape, .train = opts->train, .one = -1 };
    grd_arena_init(&p->ir.arena, host);
    int before = grd_parallel_threads(m->threads); /* libraries decide by it how they will run */
    grd_status status = run_passes(&p->ir);
    if (status == GRD_OK)
        status = make_steps(p);
    grd_parallel_threads(before);
    if (status != GRD_OK) {
        grd_plan_free(p);
        return status;
    }
    note_inputs(p, input_shape);
    *plan = p;
    grd_clear(host);
    return GRD_OK;
}

void grd_plan_free(grd_plan *p)
{
    if (!p)
        return;
    grd_host *host = p->ir.host;
    for (int i = 0; i < p->ir.steps.n; i++)
        if (p->ir.steps.item[i].has_impl && !p->ir.steps.item[i].again)
            p->ir.steps.item[i].impl.backend->drop(&p->ir.steps.item[i].impl, host);
    grd_free(host, p->ir.values.item);
    grd_free(host, p->ir.nodes.item);
    grd_free(host, p->ir.steps.item);
    grd_arena_free(&p->ir.arena);
    grd_free(host, p->step);
    grd_free(host, p->own);
    grd_free(host, p);
}
