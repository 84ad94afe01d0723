/* Our vector kernels, for every instruction set this CPU has, against the formulas written plainly in double. */
#define _GNU_SOURCE
#include "helper_step.h"

#include "backend/cpu/kernels.h"
#include "op/fused.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEVELS = 3, MOST = 1003 };
static const int64_t lengths[] = { 1, 3, 7, 8, 15, 16, 17, 100, MOST };
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

static double draw(int what, int64_t i)
{
    grd_key key = { .seed = 5 };
    uint32_t w[4];
    grd_random4(&key, (uint64_t)what, (uint64_t)i, w);
    return (double)(float)(2 * grd_uniform(w[0]) - 1);
}

static bool near(double a, double b, double bound) { return fabs(a - b) <= bound * (fabs(b) + 1); }

/* ---- random numbers ---- */

static void many_first_words_are_those_of_single_calls(void **state)
{
    (void)state;
    const grd_key key = { .seed = 0x123456789abcdef0u, .step = 0x1200000007u, .row = 0x3400000005u };
    const uint64_t block = 0xfffffff0u; /* across a carry */
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (int k = 0; cpu && k < N_LENGTHS; k++) {
            uint32_t many[MOST + 1], word[4];
            const int n = (int)lengths[k];
            many[n] = 77;
            cpu->random_first(&key, 3, block, n, many);
            for (int i = 0; i < n; i++) {
                grd_random4(&key, 3, block + (uint64_t)i, word);
                assert_int_equal(many[i], word[0]);
            }
            assert_int_equal(many[n], 77);
        }
    }
}

/* ---- products by panels ---- */

enum { DEEP = 37, FIRST = 5, APART = 3 };

/* B [k,n] lies turned, or its rows apart, in rows FIRST on of panels that are DEEP deep; A [m,k] turned, or not. */
static void one_panel_product(const grd_cpu_table *cpu, int64_t m, int64_t n, bool turned, bool add, bool turned_a)
{
    const int64_t k = DEEP, rest = DEEP - FIRST, lda = (turned_a ? m : k) + APART, ldc = n + APART, row = turned ? 1 : n + APART,
                  col = turned ? k + APART : 1;
    const int64_t row_a = turned_a ? 1 : lda, col_a = turned_a ? lda : 1;
    float *a = malloc(sizeof *a * (size_t)((m + k) * lda)), *b = malloc(sizeof *b * (size_t)((k + APART) * (n + APART)));
    float *c = malloc(sizeof *c * (size_t)(m * ldc)), *panels = malloc(sizeof *panels * (size_t)cpu->panel_floats(k, n));
    for (int64_t i = 0; i < (m + k) * lda; i++)
        a[i] = (float)draw(0, i);
    for (int64_t i = 0; i < (k + APART) * (n + APART); i++)
        b[i] = (float)draw(1, i);
    for (int64_t i = 0; i < m * ldc; i++)
        c[i] = (float)draw(2, i);
    cpu->panel_pack(b, row, col, 0, FIRST, n, k, panels);
    cpu->panel_pack(b + FIRST * row, row, col, FIRST, rest, n, k, panels);
    static const struct range { int64_t first, rows; } ranges[] = { { 0, DEEP }, { 0, FIRST }, { FIRST, DEEP - FIRST } };
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        const int64_t first = ranges[r].first, used = ranges[r].rows;
        cpu->panel_product(&(grd_panel_job){ .m = m, .n = n, .k = used, .lda = lda, .ldc = ldc, .deep = k, .a = a, .panels = panels,
                                             .c = c, .add = add, .turned = turned_a, .first = first });
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < ldc; j++) {
                double sum = add || j >= n ? draw(2, i * ldc + j) : 0;
                for (int64_t q = 0; q < used && j < n; q++)
                    sum += (double)a[i * row_a + q * col_a] * (double)b[(first + q) * row + j * col];
                if (!near((double)c[i * ldc + j], sum, 1e-5))
                    fail_msg("%d x %d, %d deep, element %d, %d: %g, expected %g", (int)m, (int)n, (int)used, (int)i, (int)j,
                             (double)c[i * ldc + j], sum);
                c[i * ldc + j] = (float)draw(2, i * ldc + j);
            }
    }
    free(a);
    free(b);
    free(c);
    free(panels);
}

static void products_by_panels_are_products_and_touch_nothing_else(void **state)
{
    (void)state;
    static const int64_t rows[] = { 1, 2, 5, 6, 7, 8, 9, 13, 32 }, cols[] = { 1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 150 };
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (size_t i = 0; cpu && i < sizeof rows / sizeof *rows; i++)
            for (size_t k = 0; k < sizeof cols / sizeof *cols; k++)
                for (int how = 0; how < 8; how++)
                    one_panel_product(cpu, rows[i], cols[k], how & 1, how & 2, how & 4);
    }
}

/* ---- softmax ---- */

/* One that is overlooked would be exp(1000). */
static void softmax_sees_the_largest_wherever_it_is(void **state)
{
    (void)state;
    enum { LONGEST = 70 };
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (int64_t n = 1; cpu && n <= LONGEST; n++)
            for (int64_t at = 0; at < n; at++) {
                float x[LONGEST], y[LONGEST];
                for (int64_t i = 0; i < n; i++)
                    x[i] = i == at ? 1000 : -1;
                cpu->softmax(y, x, n, false);
                for (int64_t i = 0; i < n; i++)
                    if (y[i] != (float)(i == at))
                        fail_msg("%d numbers, the largest is %d: element %d became %g", (int)n, (int)at, (int)i, (double)y[i]);
            }
    }
}

/* ---- optimizer steps ---- */

typedef struct numbers { double p[MOST], g[MOST], m[3][MOST]; } numbers;

static numbers *some_numbers(void)
{
    numbers *v = malloc(sizeof *v);
    for (int64_t i = 0; i < MOST; i++) {
        v->p[i] = draw(0, i);
        v->g[i] = 3 * draw(1, i);
        v->m[0][i] = draw(2, i);
        v->m[1][i] = fabs(draw(3, i));
        v->m[2][i] = fabs(draw(4, i));
    }
    return v;
}

static double plain_gradient(const grd_step_job *j, double g)
{
    g *= j->scale;
    if (j->clip_value > 0)
        g = fmax(-j->clip_value, fmin(j->clip_value, g));
    return g * j->factor;
}

static void plain_adam(const grd_step_job *j, numbers *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double g = plain_gradient(j, v->g[i]);
        if (j->decoupled)
            v->p[i] -= j->lr * j->weight_decay * v->p[i];
        else
            g += j->weight_decay * v->p[i];
        v->m[0][i] = j->beta1 * v->m[0][i] + (1 - j->beta1) * g;
        v->m[1][i] = j->beta2 * v->m[1][i] + (1 - j->beta2) * g * g;
        double second = v->m[1][i];
        if (j->amsgrad)
            second = v->m[2][i] = fmax(v->m[2][i], second);
        v->p[i] -= j->lr * (v->m[0][i] / j->correction1) / (sqrt(second / j->correction2) + j->eps);
    }
}

static void plain_sgd(const grd_step_job *j, numbers *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double d = plain_gradient(j, v->g[i]) + j->weight_decay * v->p[i];
        if (j->momentum > 0) {
            v->m[0][i] = j->first ? d : j->momentum * v->m[0][i] + (1 - j->dampening) * d;
            d = j->nesterov ? d + j->momentum * v->m[0][i] : v->m[0][i];
        }
        v->p[i] -= j->lr * d;
    }
}

typedef void (*step_kernel)(const grd_step_job *job, int64_t begin, int64_t end);

/* The kernel on float or double copies of the same numbers, in two pieces; compared with what `plain` made of them. */
static void check_step(grd_step_job job, step_kernel kernel, bool wide, int n_moments,
                       void (*plain)(const grd_step_job *, numbers *, int64_t), int64_t n)
{
    numbers *v = some_numbers();
    double *given[5] = { v->p, v->g, v->m[0], v->m[1], v->m[2] };
    void *copy[5];
    for (int k = 0; k < 5; k++) {
        copy[k] = malloc(sizeof(double) * MOST);
        for (int64_t i = 0; i < MOST; i++) {
            if (wide)
                ((double *)copy[k])[i] = given[k][i];
            else
                ((float *)copy[k])[i] = (float)given[k][i];
        }
    }
    job.p = copy[0];
    job.g = copy[1];
    for (int k = 0; k < n_moments; k++)
        job.m[k] = copy[2 + k];
    kernel(&job, 0, n / 3);
    kernel(&job, n / 3, n);
    plain(&job, v, n);
    for (int k = 0; k < 5; k++) {
        for (int64_t i = 0; i < MOST; i++) { /* past n nothing may have moved */
            double found = wide ? ((double *)copy[k])[i] : (double)((float *)copy[k])[i];
            if (!near(found, given[k][i], wide ? 1e-14 : 2e-6))
                fail_msg("array %d of %s, element %d of %d: %.9g, expected %.9g", k, wide ? "double" : "float", (int)i, (int)n,
                         found, given[k][i]);
        }
        free(copy[k]);
    }
    free(v);
}

static void adam_steps_agree_with_the_formula(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (int variant = 0; cpu && variant < 16; variant++)
            for (int k = 0; k < N_LENGTHS; k++) {
                grd_step_job job = { .scale = 0.25,
                                     .factor = variant & 1 ? 0.7 : 1,
                                     .clip_value = variant & 2 ? 0.4 : 0,
                                     .lr = 0.03,
                                     .weight_decay = 0.1,
                                     .beta1 = 0.9,
                                     .beta2 = 0.99,
                                     .eps = 1e-8,
                                     .correction1 = 0.271,
                                     .correction2 = 0.0297,
                                     .decoupled = variant & 4,
                                     .amsgrad = variant & 8 };
                check_step(job, cpu->adam_f32, false, 2 + job.amsgrad, plain_adam, lengths[k]);
                check_step(job, cpu->adam_f64, true, 2 + job.amsgrad, plain_adam, lengths[k]);
            }
    }
}

static void sgd_steps_agree_with_the_formula(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (int variant = 0; cpu && variant < 16; variant++)
            for (int k = 0; k < N_LENGTHS; k++) {
                grd_step_job job = { .scale = 0.5,
                                     .factor = variant & 1 ? 0.7 : 1,
                                     .clip_value = variant & 2 ? 0.4 : 0,
                                     .lr = 0.03,
                                     .weight_decay = 0.1,
                                     .momentum = variant & 4 ? 0.9 : 0,
                                     .dampening = variant & 1 ? 0.2 : 0,
                                     .nesterov = (variant & 12) == 12,
                                     .first = variant & 2 };
                check_step(job, cpu->sgd_f32, false, job.momentum > 0, plain_sgd, lengths[k]);
                check_step(job, cpu->sgd_f64, true, job.momentum > 0, plain_sgd, lengths[k]);
            }
    }
}

static void pieces_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        if (!cpu)
            continue;
        float *array[2][4];
        for (int side = 0; side < 2; side++)
            for (int k = 0; k < 4; k++) {
                array[side][k] = malloc(sizeof(float) * MOST);
                for (int64_t i = 0; i < MOST; i++)
                    array[side][k][i] = (float)fabs(draw(k, i));
            }
        for (int side = 0; side < 2; side++) {
            float **a = array[side];
            grd_step_job job = { .p = a[0],
                                 .g = a[1],
                                 .m = { a[2], a[3] },
                                 .scale = 0.3,
                                 .factor = 0.9,
                                 .lr = 0.01,
                                 .weight_decay = 0.1,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .eps = 1e-8,
                                 .correction1 = 0.2,
                                 .correction2 = 0.3 };
            for (int64_t begin = 0, step = side ? 37 : MOST; begin < MOST; begin += step)
                cpu->adam_f32(&job, begin, begin + step < MOST ? begin + step : MOST);
        }
        for (int k = 0; k < 4; k++) {
            assert_memory_equal(array[0][k], array[1][k], sizeof(float) * MOST);
            free(array[0][k]);
            free(array[1][k]);
        }
    }
}

static void sums_of_squares_agree(void **state)
{
    (void)state;
    float g[MOST];
    double wide[MOST];
    for (int64_t i = 0; i < MOST; i++)
        wide[i] = (double)(g[i] = (float)draw(1, i));
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        for (int cut = 0; cpu && cut < 2; cut++)
            for (int k = 0; k < N_LENGTHS; k++) {
                double sum = 0, top = cut ? 0.2 : 0;
                for (int64_t i = 0; i < lengths[k]; i++) {
                    double x = wide[i] * 0.5;
                    x = cut ? fmax(-top, fmin(top, x)) : x;
                    sum += x * x;
                }
                assert_true(near(cpu->squares_f32(g, lengths[k], 0.5, top), sum, 1e-13));
                assert_true(near(cpu->squares_f64(wide, lengths[k], 0.5, top), sum, 1e-13));
            }
        if (cpu) {
            float odd[20] = { 0 };
            odd[13] = NAN;
            assert_true(isnan(cpu->squares_f32(odd, 20, 1, 0)));
            odd[13] = -INFINITY;
            assert_true(isinf(cpu->squares_f32(odd, 20, 1, 0)));
        }
    }
}

/* ---- fused kernels ---- */

static double act(int kind, double slope, double z)
{
    switch (kind) {
    case GRD_ACT_RELU: return z > 0 ? z : 0;
    case GRD_ACT_LEAKY_RELU: return z > 0 ? z : slope * z;
    case GRD_ACT_SIGMOID: return 1 / (1 + exp(-z));
    case GRD_ACT_TANH: return tanh(z);
    default: return z;
    }
}

static double act_slope(int kind, double slope, double y)
{
    switch (kind) {
    case GRD_ACT_RELU: return y > 0;
    case GRD_ACT_LEAKY_RELU: return y > 0 ? 1 : slope;
    case GRD_ACT_SIGMOID: return y * (1 - y);
    case GRD_ACT_TANH: return 1 - y * y;
    default: return 1;
    }
}

enum { ROWS = 7, LD = 45 };

static void check_activation(const grd_cpu_table *cpu, int kind, int64_t cols, bool bias)
{
    float y[ROWS * LD], z[ROWS * LD], dy[ROWS * LD], dz[ROWS * LD], b[LD], db[LD];
    for (int i = 0; i < ROWS * LD; i++) {
        y[i] = z[i] = (float)(2 * draw(0, i));
        dy[i] = (float)draw(1, i);
        dz[i] = 77;
    }
    for (int c = 0; c < LD; c++) {
        b[c] = (float)draw(2, c);
        db[c] = 77;
    }
    const float slope = 0.125f;
    cpu->act_bias(
        &(grd_act_job){ .b = bias ? b : NULL, .y = y, .rows = ROWS, .cols = cols, .ld = LD, .act = kind, .slope = slope });
    cpu->act_gradient(&(grd_act_job){
        .y = y, .dy = dy, .dz = dz, .db = bias ? db : NULL, .rows = ROWS, .cols = cols, .ld = LD, .act = kind, .slope = slope });
    for (int c = 0; c < LD; c++) {
        double sum = 0;
        for (int r = 0; r < ROWS; r++) {
            int i = r * LD + c;
            double expected = act(kind, (double)slope, (double)z[i] + (bias ? (double)b[c] : 0)),
                   gradient = (double)dy[i] * act_slope(kind, (double)slope, (double)y[i]);
            sum += gradient;
            assert_true(c < cols ? near((double)y[i], expected, 1e-6) : y[i] == z[i]);
            assert_true(c < cols ? near((double)dz[i], gradient, 1e-6) : dz[i] == 77);
        }
        assert_true(bias && c < cols ? near((double)db[c], sum, 1e-5) : db[c] == 77);
    }
}

static void activations_and_their_gradients_agree(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++)
        for (int kind = GRD_ACT_NONE; kind <= GRD_ACT_LEAKY_RELU; kind++)
            for (int64_t cols = 1; cols <= LD && grd_cpu_level(level); cols += 4)
                for (int bias = 0; bias < 2; bias++)
                    check_activation(grd_cpu_level(level), kind, cols, bias);
}

static void bias_gradient_without_activation(void **state)
{
    (void)state;
    float dy[6] = { 1, 2, 3, 4, 5, 6 }, db[3];
    grd_cpu()->act_gradient(&(grd_act_job){ .dy = dy, .db = db, .rows = 2, .cols = 3, .ld = 3 });
    assert_true(db[0] == 5 && db[1] == 7 && db[2] == 9);
}

static void add_relu_agrees_and_lets_nan_through(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++) {
        const grd_cpu_table *cpu = grd_cpu_level(level);
        if (!cpu)
            continue;
        float a[MOST], b[MOST], y[MOST], dx[MOST];
        for (int i = 0; i < MOST; i++) {
            a[i] = (float)draw(0, i);
            b[i] = (float)draw(1, i);
        }
        a[500] = NAN;
        cpu->add_relu(y, a, b, MOST);
        cpu->relu_gradient(dx, y, b, MOST);
        for (int i = 0; i < MOST; i++) {
            float s = a[i] + b[i];
            if (i == 500)
                assert_true(isnan(y[i]));
            else
                assert_true(y[i] == (s > 0 ? s : 0) && dx[i] == (s > 0 ? b[i] : 0));
        }
    }
}

/* ---- the backend and the choice ---- */

static void backend_runs_add_relu(void **state)
{
    (void)state;
    static const step_case list[] = { { "add_relu", NULL, "a[3,5] b[3,5]", 3 },
                                      { "add_relu", NULL, "a[1] b[1]", 1 },
                                      { "add_relu", NULL, "a[50,1000] b[50,1000]", 2 },
                                      { "add_relu", NULL, "a[2,100,300] b[2,100,300]", 3 } };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (int threads = 1; threads <= 3; threads++) {
            step_result r = step_run(&grd_backend_cpu, &list[i], threads, 2);
            assert_null(r.refused);
            assert_true(r.error <= 1e-6);
            assert_string_equal(r.name, grd_isa_name());
            step_release(&r);
        }
}

static void backend_refuses_with_a_sentence(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_env env = { .host = &ctx->host, .threads = 1 };
    grd_impl impl = { 0 };
    grd_node wide = { .op = grd_op_find(ctx, "add_relu", GRD_F64), .dtype = GRD_F64 },
             other = { .op = grd_op_find(ctx, "sin", GRD_F32), .dtype = GRD_F32 };
    assert_string_equal(grd_backend_cpu.prepare(&impl, &wide, GRD_FORWARD, &env), "float only");
    assert_string_equal(grd_backend_cpu.prepare(&impl, &other, GRD_FORWARD, &env), "no kernel for this op");
    assert_string_equal(grd_backend_cpu.prepare(&impl, &other, GRD_REORDER, &env), "no reorders");
    grd_close(ctx);
}

static void instruction_set_is_capped_by_the_environment(void **state)
{
    (void)state;
    const char *set = getenv("DNNL_MAX_CPU_ISA");
    char *before = set ? strdup(set) : NULL;
    unsetenv("DNNL_MAX_CPU_ISA");
    unsetenv("ONEDNN_MAX_CPU_ISA");
    int best = grd_isa_level();
    setenv("DNNL_MAX_CPU_ISA", "SSE41", 1);
    assert_int_equal(grd_isa_level(), 0);
    assert_string_equal(grd_isa_name(), "base");
    assert_ptr_equal(grd_cpu(), grd_cpu_level(0));
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
    assert_int_equal(grd_isa_level(), best < 1 ? best : 1);
    setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16", 1);
    assert_int_equal(grd_isa_level(), best);
    unsetenv("DNNL_MAX_CPU_ISA");
    setenv("ONEDNN_MAX_CPU_ISA", "AVX", 1);
    assert_int_equal(grd_isa_level(), 0);
    unsetenv("ONEDNN_MAX_CPU_ISA");
    if (before)
        setenv("DNNL_MAX_CPU_ISA", before, 1);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_first_words_are_those_of_single_calls),
        cmocka_unit_test(products_by_panels_are_products_and_touch_nothing_else),
        cmocka_unit_test(softmax_sees_the_largest_wherever_it_is),
        cmocka_unit_test(adam_steps_agree_with_the_formula),     cmocka_unit_test(sgd_steps_agree_with_the_formula),
        cmocka_unit_test(pieces_give_the_bits_of_the_whole),     cmocka_unit_test(sums_of_squares_agree),
        cmocka_unit_test(activations_and_their_gradients_agree), cmocka_unit_test(bias_gradient_without_activation),
        cmocka_unit_test(add_relu_agrees_and_lets_nan_through),  cmocka_unit_test(backend_runs_add_relu),
        cmocka_unit_test(backend_refuses_with_a_sentence),       cmocka_unit_test(instruction_set_is_capped_by_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
