/* Running a plan: bind the bases, call the steps. Nothing is decided, looked up or allocated here. */
#define _GNU_SOURCE
#include "base/parallel.h"
#include "plan/plan.h"

#include "tensor/tensor.h"

#include <string.h>
#include <time.h>

/* ---- binding ---- */

static void *resolve(const grd_plan *p, plan_slot slot)
{
    const char *base = p->bound[slot.base];
    return base ? (void *)(uintptr_t)(base + slot.offset) : NULL;
}

static void bind_step(const grd_plan *p, plan_step *s)
{
    grd_args *a = &s->args;
    for (int i = 0; i < a->n_in; i++) {
        a->in[i] = resolve(p, s->in[i]);
        a->din[i] = resolve(p, s->din[i]);
    }
    for (int k = 0; k < a->n_out; k++) {
        a->out[k] = resolve(p, s->out[k]);
        a->dout[k] = resolve(p, s->dout[k]);
    }
    for (int k = 0; k < GRD_MAX_STATE; k++)
        a->next_state[k] = resolve(p, s->next_state[k]);
    a->save = resolve(p, s->save);
    a->scratch = resolve(p, s->scratch);
}

static bool bind_base(grd_plan *p, int base, const void *memory)
{
    bool changed = p->bound[base] != memory;
    p->bound[base] = memory;
    return changed;
}

static grd_status bind(grd_plan *p, const grd_run *run, void *grads)
{
    grd_model *m = p->model;
    bool changed = bind_base(p, GRD_BASE_ARENA, m->arena);
    changed |= bind_base(p, GRD_BASE_PARAM, run->params ? run->params : m->params);
    changed |= bind_base(p, GRD_BASE_GRAD, grads);
    changed |= bind_base(p, GRD_BASE_STATE, m->states);
    changed |= bind_base(p, GRD_BASE_OWN, p->own);
    for (int i = 0; i < m->graph->inputs.n; i++) {
        if (!p->reaches[i])
            continue;
        if (!run->input[i])
            return grd_fail(&m->ctx->host, GRD_ERR_ARG, "run: input \"%s\" is not bound", m->graph->inputs.item[i].name);
        changed |= bind_base(p, GRD_BASE_INPUT + i, run->input[i]);
    }
    for (int i = 0; changed && i < p->n_steps; i++)
        bind_step(p, &p->step[i]);
    return GRD_OK;
}

/* ---- the plan's own steps ---- */

typedef struct sum_job { grd_args *args; bool wide; } sum_job;

#define ADD_RANGE(type)                                            \
    do {                                                           \
        type *out = (type *)(void *)job->args->out[0];             \
        const type *x = job->args->in[0];                          \
        if (job->args->n_in == 1) {                                \
            if (out != x)                                          \
                memcpy(out + begin, x + begin, sizeof(type) * (size_t)(end - begin)); \
            return;                                                \
        }                                                          \
        const type *y = job->args->in[1];                          \
        for (int64_t i = begin; i < end; i++)                      \
            out[i] = x[i] + y[i];                                  \
        for (int k = 2; k < job->args->n_in; k++) {                \
            const type *z = job->args->in[k];                      \
            for (int64_t i = begin; i < end; i++)                  \
                out[i] += z[i];                                    \
        }                                                          \
    } while (0)

static void sum_range(void *ctx, int64_t begin, int64_t end)
{
    const sum_job *job = ctx;
    if (job->wide)
        ADD_RANGE(double);
    else
        ADD_RANGE(float);
}

static void run_sum(grd_plan *p, plan_step *s)
{
    sum_job job = { &s->args, p->model->dtype == GRD_F64 };
    size_t bytes = p->ir.values.item[s->ir->out[0]].bytes;
    grd_parallel_for(p->model->threads, (int64_t)(bytes / grd_model_element(p->model)), 16384, sum_range, &job);
}

static void run_own(grd_plan *p, plan_step *s, const grd_run *run)
{
    if (s->ir->kind == IR_SUM) {
        run_sum(p, s);
    } else if (s->ir->kind == IR_ZERO) {
        memset(s->args.out[0], 0, p->ir.values.item[s->ir->out[0]].bytes);
    } else if (s->ir->kind == IR_COMMIT && !run->no_commit) {
        for (int k = 0; k < s->args.n_in; k++)
            memcpy(s->args.out[k], s->args.in[k], p->ir.values.item[s->ir->in[k]].bytes);
    }
}

/* ---- running ---- */

static void run_step(grd_plan *p, plan_step *s, const grd_run *run)
{
    if (!s->ir->has_impl) {
        run_own(p, s, run);
        return;
    }
    if (s->ir->pack) {
        uint64_t version = p->model->version + 1;
        if (s->packed == version && s->packed_from == p->bound[GRD_BASE_PARAM])
            return;
        s->packed = version;
        s->packed_from = p->bound[GRD_BASE_PARAM];
    }
    s->args.key.step = run->step;
    s->args.key.row = run->row;
    s->ir->impl.run(&s->ir->impl, &s->args);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static grd_status run_debug(grd_plan *p, const grd_run *run)
{
    for (int i = 0; i < p->n_steps; i++) {
        plan_step *s = &p->step[i];
        double begin = now();
        run_step(p, s, run);
        s->seconds += now() - begin;
        s->runs++;
        if (p->opts.flags & GRD_PLAN_TRACE)
            grd_debug_trace(p, s);
        if (p->opts.flags & GRD_PLAN_NAN)
            GRD_TRY(grd_debug_nan(p, s));
        if (p->opts.flags & GRD_PLAN_CHECK)
            GRD_TRY(grd_debug_check(p, s));
    }
    return GRD_OK;
}

static grd_status run_all(grd_plan *p, const grd_run *run)
{
    int before = grd_parallel_threads(p->model->threads);
    grd_status status = GRD_OK;
    if (p->opts.flags & (GRD_PLAN_CHECK | GRD_PLAN_NAN | GRD_PLAN_PROFILE | GRD_PLAN_TRACE))
        status = run_debug(p, run);
    else
        for (int i = 0; i < p->n_steps; i++)
            run_step(p, &p->step[i], run);
    grd_parallel_threads(before);
    return status;
}

/* Accumulation: this run's gradients go to a second arena and are added to the first. */
static void add_gradients(grd_model *m)
{
    grd_args args = { .n_in = 2, .in = { m->grads, m->extra_grads }, .out = { m->grads } };
    sum_job job = { &args, m->dtype == GRD_F64 };
    grd_parallel_for(m->threads, m->param_elements, 16384, sum_range, &job);
}

grd_status grd_plan_run(grd_plan *p, const grd_run *run)
{
    grd_model *m = p->model;
    bool accumulate = run->accumulate && p->opts.backward;
    if (accumulate && !m->extra_grads) {
        m->extra_grads = grd_alloc(&m->ctx->host, (size_t)m->param_elements * grd_model_element(m));
        if (!m->extra_grads)
            return GRD_ERR_MEMORY;
    }
    GRD_TRY(bind(p, run, accumulate ? m->extra_grads : m->grads));
    GRD_TRY(run_all(p, run));
    if (accumulate)
        add_gradients(m);
    return GRD_OK;
}

/* ---- reading results ---- */

void *grd_plan_pointer(const grd_plan *p, int v)
{
    if (v < 0)
        return NULL;
    const ir_value *root = &p->ir.values.item[ir_root(&p->ir, v)];
    return resolve(p, (plan_slot){ (uint8_t)root->base, root->offset });
}

static const void *read_kept(const grd_plan *p, int v, grd_shape *shape)
{
    if (v < 0)
        return NULL;
    if (shape)
        *shape = p->ir.values.item[v].shape;
    return grd_plan_pointer(p, v);
}

const void *grd_plan_value(const grd_plan *p, grd_var v, grd_shape *shape)
{
    for (int i = 0; i < p->opts.n_keep; i++)
        if (p->opts.keep[i].id == v.id)
            return read_kept(p, p->ir.kept[2 + i], shape);
    return NULL;
}

const void *grd_plan_grad(const grd_plan *p, grd_var v, grd_shape *shape)
{
    for (int i = 0; i < p->opts.n_want_grad; i++)
        if (p->opts.want_grad[i].id == v.id)
            return read_kept(p, p->ir.kept[2 + GRD_MAX_KEEP + i], shape);
    return NULL;
}

static double read_scalar(const grd_plan *p, int v)
{
    const void *memory = grd_plan_pointer(p, v);
    if (!memory)
        return 0;
    return p->model->dtype == GRD_F64 ? *(const double *)memory : (double)*(const float *)memory;
}

void grd_plan_loss(const grd_plan *p, double *sum, double *weight)
{
    *sum = read_scalar(p, p->ir.kept[0]);
    *weight = read_scalar(p, p->ir.kept[1]);
}
