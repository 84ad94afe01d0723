/* What a step costs at least: FLOPs and bytes of a small net, counted by hand, and the machine's limits. */
#define _GNU_SOURCE
#include "plan/plan.h"

#include <gradus/nn.h>
#include <gradus/ops.h>
#include <gradus/optim.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 8, IN = 6, HIDDEN = 40, OUT = 3 };

typedef struct net {
    grd_ctx *ctx;
    grd_model *model;
    grd_plan *plan;
} net;

/* x [8,6] - linear 40 - linear 3 - cross entropy */
static net linear_net(void)
{
    net t = { .ctx = grd_open(&(grd_opts){ .threads = 1 }) };
    grd_graph *g = grd_graph_new(t.ctx);
    grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, IN });
    grd_var y = grd_input(g, "y", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_linear(x, &(grd_linear_opts){ .as = "first", .out = HIDDEN });
    grd_var loss = grd_cross_entropy(grd_linear(h, &(grd_linear_opts){ .as = "second", .out = OUT }), y, NULL);
    grd_shape shape[2] = { { 2, { N, IN } }, { 1, { N } } };
    grd_compile_opts opts = { .train = true, .loss = loss, .backward = true, .flags = GRD_PLAN_PROFILE };
    if (grd_model_new(g, NULL, &t.model) != GRD_OK || grd_model_plan(t.model, &opts, shape, &t.plan) != GRD_OK)
        fail_msg("%s", grd_error(t.ctx));
    return t;
}

static const ir_step *step_of(const net *t, const char *path, ir_step_kind kind)
{
    for (int i = 0; i < t->plan->n_steps; i++)
        if (t->plan->step[i].ir->kind == kind && strcmp(t->plan->step[i].ir->path, path) == 0)
            return t->plan->step[i].ir;
    fail_msg("no step \"%s\"", path);
    return NULL;
}

static void expect_step(const net *t, const char *path, ir_step_kind kind, double flops, double values)
{
    const ir_step *s = step_of(t, path, kind);
    if (s->flops != flops || grd_step_moved_bytes(t->plan, s) != 4 * values)
        fail_msg("%s: %g FLOPs, %g bytes; expected %g, %g", path, s->flops, grd_step_moved_bytes(t->plan, s), flops, 4 * values);
}

static void a_linear_step_costs_what_one_counts_by_hand(void **state)
{
    (void)state;
    net t = linear_net();
    const double x = N * IN, w1 = HIDDEN * IN, h = N * HIDDEN, w2 = OUT * HIDDEN, o = N * OUT;
    expect_step(&t, "first", IR_FORWARD, 2 * h * IN, x + w1 + HIDDEN + h);
    expect_step(&t, "second", IR_FORWARD, 2 * o * HIDDEN, h + w2 + OUT + o);
    /* both gradients; of the first layer only that of its parameters, though the row reads w */
    expect_step(&t, "second", IR_BACKWARD, 2 * 2 * o * HIDDEN + o, o + h + w2 + h + w2 + OUT);
    expect_step(&t, "first", IR_BACKWARD, 2 * h * IN + h, h + x + w1 + w1 + HIDDEN);
    grd_plan_info info = grd_plan_describe(t.plan);
    double flops = 0, bytes = 0;
    for (int i = 0; i < t.plan->n_steps; i++) {
        flops += t.plan->step[i].ir->flops;
        bytes += grd_step_moved_bytes(t.plan, t.plan->step[i].ir);
    }
    assert_true(info.flops == flops && info.moved_bytes == bytes);
    grd_close(t.ctx);
}

static void the_optimizer_moves_parameters_moments_and_gradients(void **state)
{
    (void)state;
    net t = linear_net();
    const double params = HIDDEN * IN + HIDDEN + OUT * HIDDEN + OUT;
    grd_optim *optim;
    assert_int_equal(grd_optim_new(t.model, "adam", &optim), GRD_OK);
    assert_true(grd_optim_moved_bytes(optim) == 4 * 7 * params); /* read p g m v, write p m v */
    grd_model_freeze(t.model, "first", true);
    assert_true(grd_optim_moved_bytes(optim) == 4 * 7 * (OUT * HIDDEN + OUT));
    assert_int_equal(grd_optim_set_ema(optim, 0.9), GRD_OK);
    assert_true(grd_optim_moved_bytes(optim) == 4 * 9 * (OUT * HIDDEN + OUT)); /* and its average, read and written */
    assert_int_equal(grd_optim_new(t.model, "sgd", &optim), GRD_OK);
    assert_true(grd_optim_moved_bytes(optim) == 4 * 3 * (OUT * HIDDEN + OUT));
    grd_close(t.ctx);
}

static void the_roofline_takes_the_larger_of_both_limits_a_step(void **state)
{
    (void)state;
    net t = linear_net();
    grd_plan_info info = grd_plan_describe(t.plan);
    grd_machine machine = { .threads = 1, .isa = "none", .fma_peak = 1e9, .stream = 1e30 };
    assert_true(fabs(grd_plan_roofline(t.plan, &machine) - info.flops * 1e-9) < 1e-15);
    machine = (grd_machine){ .threads = 1, .isa = "none", .fma_peak = 1e30, .stream = 2e9 };
    assert_true(fabs(grd_plan_roofline(t.plan, &machine) - info.moved_bytes / 2e9) < 1e-15);
    assert_true(grd_roofline(&machine, 5e30, 2e9) == 5 && grd_roofline(&machine, 5e29, 2e9) == 1);
    machine = (grd_machine){ .threads = 1, .isa = "none", .fma_peak = 1e9, .stream = 1e9 };
    double both = grd_plan_roofline(t.plan, &machine);
    assert_true(both > info.flops * 1e-9 && both > info.moved_bytes * 1e-9);
    grd_close(t.ctx);
}

static void a_profile_has_a_line_for_each_step(void **state)
{
    (void)state;
    net t = linear_net();
    static float x[N * IN];
    static int32_t y[N];
    assert_int_equal(grd_plan_run(t.plan, &(grd_run){ .input = { x, y } }), GRD_OK);
    grd_machine machine = { .threads = 1, .isa = "none", .fma_peak = 1e9, .stream = 1e9 };
    FILE *file = tmpfile();
    assert_non_null(file);
    grd_profile_print(t.plan, &machine, (grd_profile_line){ "adam", 1e-3, 0, 4000 }, file);
    grd_plan_profile(t.plan, file);
    rewind(file);
    char line[512];
    int lines = 0, updates = 0;
    while (fgets(line, sizeof line, file)) {
        lines++;
        if (strncmp(line, "update", 6) != 0)
            continue;
        updates++;
        double ms, share, gflops, gbs, roof, times;
        assert_int_equal(sscanf(line, "update adam %lf %lf%% %lf %lf %lf %lf", &ms, &share, &gflops, &gbs, &roof, &times), 6);
        assert_true(ms == 1 && roof == 0.004 && times == 250 && share > 0 && share <= 100 && gflops == 0);
    }
    assert_int_equal(lines, 2 * (t.plan->n_steps + 2) + 1);
    assert_int_equal(updates, 1);
    fclose(file);
    grd_close(t.ctx);
}

static void the_machine_is_measured_at_the_instruction_set_in_use(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_machine full, capped;
    assert_int_equal(grd_machine_measure(ctx, 1, &full), GRD_OK);
    assert_true(full.threads == 1 && strcmp(full.isa, grd_isa_name()) == 0);
    assert_true(full.fma_peak > 1e8 && full.fma_peak < 1e13 && full.stream > 1e7 && full.stream < 1e13);
    const bool wider = grd_isa_level() > 0; /* than 128 bits, and two operations in one */
    assert_int_equal(setenv("DNNL_MAX_CPU_ISA", "SSE41", 1), 0);
    assert_int_equal(grd_machine_measure(ctx, 1, &capped), GRD_OK);
    assert_string_equal(capped.isa, "base");
    assert_int_equal(unsetenv("DNNL_MAX_CPU_ISA"), 0);
    for (int i = 0; i < 10 && wider && full.fma_peak < 1.2 * capped.fma_peak; i++) /* others may have had the core */
        assert_int_equal(grd_machine_measure(ctx, 1, &full), GRD_OK);
    assert_true(!wider || full.fma_peak > 1.2 * capped.fma_peak);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_step_costs_what_one_counts_by_hand),
        cmocka_unit_test(the_optimizer_moves_parameters_moments_and_gradients),
        cmocka_unit_test(the_roofline_takes_the_larger_of_both_limits_a_step),
        cmocka_unit_test(a_profile_has_a_line_for_each_step),
        cmocka_unit_test(the_machine_is_measured_at_the_instruction_set_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
