/* Plans and graphs as tables. */
#include "plan/plan.h"

#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

grd_plan_info grd_plan_describe(const grd_plan *p)
{
    const grd_model *m = p->model;
    size_t element = grd_model_element(m);
    grd_plan_info info = { .steps = p->n_steps, .reorders = p->ir.reorders, .fused = p->ir.fused, .arena_bytes = p->ir.arena_bytes,
                           .save_bytes = p->ir.save_bytes, .no_reuse_bytes = p->ir.no_reuse_bytes, .lower_bound_bytes = p->ir.lower_bound,
                           .param_bytes = (size_t)m->param_elements * element, .state_bytes = (size_t)m->state_elements * element,
                           .grad_bytes = p->opts.backward ? (size_t)m->param_elements * element : 0 };
    info.again = p->ir.again;
    info.plain_arena_bytes = p->ir.plain_bytes ? p->ir.plain_bytes : p->ir.arena_bytes;
    for (int i = 0; i < p->n_steps; i++) {
        const ir_step *s = p->step[i].ir;
        double moved = grd_step_moved_bytes(p, s);
        info.flops += s->flops;
        info.moved_bytes += moved;
        info.again_flops += s->again ? s->flops : 0;
        info.again_moved_bytes += s->again ? moved : 0;
    }
    return info;
}

static const char *human(double v, const char *unit, char *text, size_t size)
{
    static const char *const prefix[] = { "", "k", "M", "G", "T" };
    int k = 0;
    for (; v >= 1000 && k < 4; k++)
        v /= 1000;
    snprintf(text, size, v < 10 && k ? "%.2f %s%s" : v < 100 && k ? "%.1f %s%s" : "%.0f %s%s", v, prefix[k], unit);
    return text;
}

static const char *bytes_text(size_t n, char *text, size_t size)
{
    if (n < 10240)
        snprintf(text, size, "%zu B", n);
    else if (n < 10u << 20)
        snprintf(text, size, "%.1f KiB", (double)n / 1024);
    else
        snprintf(text, size, "%.1f MiB", (double)n / (1 << 20));
    return text;
}

static const char *layout_name(const grd_plan *p, int v)
{
    if (v < 0)
        return "-";
    const grd_layout *l = &p->ir.values.item[v].layout;
    return l->kind == GRD_LAYOUT_PLAIN ? "plain" : *l->name ? l->name : "blocked";
}

/* The value a step is about: its first output, or the first gradient it gives. */
static int main_value(const ir_step *s)
{
    for (int i = 0; s->kind == IR_BACKWARD && i < s->n_in; i++)
        if (s->din[i] >= 0)
            return s->din[i];
    return s->out[0];
}

void grd_step_implementation(const ir_step *s, char *text, size_t size)
{
    if (!s->has_impl)
        snprintf(text, size, "plan");
    else
        snprintf(text, size, "%s%s%s", s->impl.backend->name, *s->impl.name ? " " : "", s->impl.name);
}

void grd_plan_print(const grd_plan *p, FILE *out)
{
    char shape[80], impl[80], memory[32], flops[32];
    fprintf(out, "%4s  %-9s %-14s %-28s %-28s %-10s %-20s %10s %10s\n", "step", "pass", "op", "path", "implementation",
            "layout", "shape", "bytes", "FLOPs");
    for (int i = 0; i < p->n_steps; i++) {
        const ir_step *s = p->step[i].ir;
        int v = main_value(s);
        grd_step_implementation(s, impl, sizeof impl);
        fprintf(out, "%4d  %-9s %-14s %-28s %-28s %-10s %-20s %10s %10s\n", i, grd_step_kind_name(s),
                s->node >= 0 ? p->ir.nodes.item[s->node].op->name : "", s->path, impl, layout_name(p, v),
                v >= 0 ? grd_shape_text(&p->ir.values.item[v].shape, shape, sizeof shape) : "-",
                bytes_text(v >= 0 ? p->ir.values.item[v].bytes : 0, memory, sizeof memory), human(s->flops, "", flops, sizeof flops));
    }
    bool any = false;
    for (int i = 0; i < p->n_steps; i++) {
        if (!p->step[i].ir->refusals)
            continue;
        if (!any)
            fprintf(out, "why not another implementation:\n");
        any = true;
        fprintf(out, "%4d  %s\n", i, p->step[i].ir->refusals);
    }
    grd_plan_info info = grd_plan_describe(p);
    char a[32], b[32], c[32];
    fprintf(out, "%d steps, %d fused, %d reorders, %s FLOPs a run\n", info.steps, info.fused, info.reorders,
            human(info.flops, "", flops, sizeof flops));
    fprintf(out, "values: %zu bytes (%s) in one arena; the least that the lifetimes allow %s; without reuse %s\n", info.arena_bytes,
            bytes_text(info.arena_bytes, a, sizeof a), bytes_text(info.lower_bound_bytes, b, sizeof b),
            bytes_text(info.no_reuse_bytes, c, sizeof c));
    if (p->ir.plain_bytes) {
        fprintf(out, "memory low: ");
        grd_plan_print_again(p, out);
    }
}

void grd_plan_print_again(const grd_plan *p, FILE *out)
{
    grd_plan_info i = grd_plan_describe(p);
    char with[32], without[32], flops[32], moved[32];
    bytes_text(i.arena_bytes, with, sizeof with);
    bytes_text(i.plain_arena_bytes, without, sizeof without);
    if (!i.again) {
        fprintf(out, "values %s, as without it: nothing made again would lower that\n", with);
        return;
    }
    fprintf(out, "values %s instead of %s (%.0f %%): %d steps run again in backward, %s FLOPs (+%.2g %%) and %s (+%.2g %%) more\n",
            with, without, 100.0 * (double)i.arena_bytes / (double)i.plain_arena_bytes, i.again,
            human(i.again_flops, "", flops, sizeof flops), 100 * i.again_flops / (i.flops - i.again_flops),
            human(i.again_moved_bytes, "B moved", moved, sizeof moved),
            100 * i.again_moved_bytes / (i.moved_bytes - i.again_moved_bytes));
}

/* ---- layers ---- */

/* Parameters whose path begins with the call's path; counted at the first call that has it. */
static int64_t params_of(const grd_model *m, const grd_call *call)
{
    int64_t n = 0;
    for (int i = 0; i < call->n_in; i++) {
        const grd_value *v = &m->graph->values.item[call->in[i]];
        if (v->origin == GRD_FROM_PARAM)
            n += grd_count(&m->graph->params.item[v->index].shape);
    }
    return n;
}

void grd_graph_print(const grd_model *m, const grd_plan *p, FILE *out)
{
    char shape[80], flops[32];
    fprintf(out, "%-30s %-18s %-22s %12s %12s\n", "layer", "op", "output", "parameters", "FLOPs");
    for (int c = 0; c < m->graph->calls.n; c++) {
        const grd_call *call = &m->graph->calls.item[c];
        double work = 0;
        bool reached = false;
        for (int n = 0; p && n < p->ir.nodes.n; n++)
            if (strcmp(p->ir.nodes.item[n].path, call->path) == 0 && !p->ir.nodes.item[n].dead) {
                work += p->ir.nodes.item[n].flops;
                reached = true;
            }
        fprintf(out, "%-30s %-18s %-22s %12lld %12s\n", call->path, call->op[0]->name,
                grd_shape_text(&m->graph->values.item[call->out[0]].shape, shape, sizeof shape), (long long)params_of(m, call),
                reached ? human(work, "", flops, sizeof flops) : "fused");
    }
    int64_t total = grd_model_params(m), frozen = 0;
    for (int i = 0; i < m->n_tensors; i++)
        if (!m->graph->params.item[i].is_state && m->frozen[i])
            frozen += grd_count(&m->graph->params.item[i].shape);
    fprintf(out, "%lld parameters, %lld of them frozen\n", (long long)total, (long long)frozen);
}
