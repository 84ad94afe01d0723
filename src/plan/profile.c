/* What steps cost: FLOPs, bytes that they must move, the time measured, and the time at the machine's limits (the roofline:
 * Williams, Waterman, Patterson 2009). */
#include "plan/plan.h"

#include "tensor/tensor.h"

#include <stdio.h>

/* ---- what must be moved ---- */

typedef struct reads { int root[GRD_MAX_IN + 2 * GRD_MAX_OUT], n; } reads;

static double bytes_of(const grd_ir *ir, int v)
{
    const ir_value *value = &ir->values.item[v];
    return (double)grd_count(&value->shape) * (double)ir_element(ir, value->kind); /* without a layout's padding */
}

/* The same memory is read once. */
static double read_once(const grd_ir *ir, reads *seen, const int *list, int n)
{
    double bytes = 0;
    for (int i = 0; i < n; i++) {
        if (list[i] < 0)
            continue;
        int root = ir_root(ir, list[i]), k = 0;
        while (k < seen->n && seen->root[k] != root)
            k++;
        if (k < seen->n)
            continue;
        seen->root[seen->n++] = root;
        bytes += bytes_of(ir, list[i]);
    }
    return bytes;
}

static double written(const grd_ir *ir, const int *list, int n)
{
    double bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += list[i] >= 0 ? bytes_of(ir, list[i]) : 0;
    return bytes;
}

double grd_step_moved_bytes(const grd_plan *p, const ir_step *s)
{
    const grd_ir *ir = &p->ir;
    reads seen = { .n = 0 };
    bool copy = s->kind == IR_REORDER || (s->kind == IR_SUM && s->n_in == 1);
    if (s->kind == IR_VIEW || copy)
        return 0;
    double bytes = read_once(ir, &seen, s->in, s->n_in);
    if (s->kind != IR_BACKWARD)
        return bytes + written(ir, s->out, s->n_out) + written(ir, s->next_state, GRD_MAX_STATE);
    bytes += read_once(ir, &seen, s->out, s->n_out) + read_once(ir, &seen, s->dout, s->n_out);
    return bytes + written(ir, s->din, s->n_in);
}

/* ---- the roofline ---- */

double grd_roofline(const grd_machine *m, double flops, double bytes)
{
    double compute = flops / m->fma_peak, move = bytes / m->stream;
    return compute > move ? compute : move;
}

double grd_plan_roofline(const grd_plan *p, const grd_machine *m)
{
    double seconds = 0;
    for (int i = 0; i < p->n_steps; i++)
        seconds += grd_roofline(m, p->step[i].ir->flops, grd_step_moved_bytes(p, p->step[i].ir));
    return seconds;
}

/* ---- profile ---- */

typedef struct row { const char *pass, *op, *path, *implementation; double seconds, flops, bytes; } row;

static void print_row(const row *r, double total, const grd_machine *machine, FILE *out)
{
    double at_best = machine ? grd_roofline(machine, r->flops, r->bytes) : 0, each = r->seconds;
    fprintf(out, "%-9s %-14s %-28s %-28s %10.4f %6.1f%% %10.2f %10.2f", r->pass, r->op, r->path, r->implementation, each * 1e3,
            total > 0 ? 100 * each / total : 0, each > 0 ? r->flops / each * 1e-9 : 0, each > 0 ? r->bytes / each * 1e-9 : 0);
    if (machine && at_best > 0)
        fprintf(out, " %10.4f %8.2f", at_best * 1e3, each / at_best);
    else if (machine)
        fprintf(out, " %10s %8s", "-", "-");
    fputc('\n', out);
}

static double seconds_of(const plan_step *s) { return s->runs ? s->seconds / (double)s->runs : 0; }

void grd_profile_print(const grd_plan *p, const grd_machine *machine, grd_profile_line after, FILE *out)
{
    double seconds = after.seconds, flops = after.flops, bytes = after.moved_bytes;
    double best = machine ? grd_plan_roofline(p, machine) + grd_roofline(machine, after.flops, after.moved_bytes) : 0;
    for (int i = 0; i < p->n_steps; i++) {
        seconds += seconds_of(&p->step[i]);
        flops += p->step[i].ir->flops;
        bytes += grd_step_moved_bytes(p, p->step[i].ir);
    }
    fprintf(out, "%-9s %-14s %-28s %-28s %10s %7s %10s %10s", "pass", "op", "path", "implementation", "ms", "share", "GFLOP/s",
            "GB/s");
    fprintf(out, machine ? " %10s %8s\n" : "\n", "roofline", "times");
    for (int i = 0; i < p->n_steps; i++) {
        const ir_step *s = p->step[i].ir;
        char impl[80];
        grd_step_implementation(s, impl, sizeof impl);
        print_row(&(row){ grd_step_kind_name(s), s->node >= 0 ? p->ir.nodes.item[s->node].op->name : "", s->path, impl,
                          seconds_of(&p->step[i]), s->flops, grd_step_moved_bytes(p, s) },
                  seconds, machine, out);
    }
    if (after.name)
        print_row(&(row){ "update", after.name, "", "", after.seconds, after.flops, after.moved_bytes }, seconds, machine, out);
    fprintf(out, "%.4f ms a step, %.2f GFLOP/s, %.2f GB/s", seconds * 1e3, seconds > 0 ? flops / seconds * 1e-9 : 0,
            seconds > 0 ? bytes / seconds * 1e-9 : 0);
    if (machine)
        fprintf(out, "; roofline %.4f ms: %.2f times it. This machine, %d thread%s, %s: %.1f GFLOP/s, %.1f GB/s", best * 1e3,
                best > 0 ? seconds / best : 0, machine->threads, machine->threads == 1 ? "" : "s", machine->isa,
                machine->fma_peak * 1e-9, machine->stream * 1e-9);
    fputc('\n', out);
}

void grd_plan_profile(const grd_plan *p, FILE *out) { grd_profile_print(p, NULL, (grd_profile_line){ 0 }, out); }
