/* Optimizers step and average as PyTorch's do, on float and double models, and leave everything alone when a gradient is not a number. */
#include <gradus/nn.h>
#include <gradus/optim.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    grd_ctx *ctx;
    grd_graph *g;
    grd_model *m;
} fixture;

/* Parameters "a" [na], "b" [nb], a state between them, "c" [3]. */
static fixture make(grd_dtype dtype, int threads, int64_t na, int64_t nb, const grd_allocator *allocator)
{
    fixture f = { .ctx = grd_open(&(grd_opts){ .seed = 1, .threads = threads, .allocator = allocator }) };
    f.g = grd_graph_new(f.ctx);
    const grd_init init = { .kind = GRD_INIT_UNIFORM, .a = -1, .b = 1 };
    grd_param(f.g, "a", init, 1, &na);
    grd_state(f.g, "running", 0, false, 1, (int64_t[]){ 5 });
    grd_param(f.g, "b", init, 1, &nb);
    grd_param(f.g, "c", init, 1, (int64_t[]){ 3 });
    if (grd_model_new(f.g, &(grd_model_opts){ .dtype = dtype }, &f.m) != GRD_OK)
        fail_msg("%s", grd_error(f.ctx));
    return f;
}

static grd_optim *open_optim(fixture *f, const char *spec)
{
    grd_optim *o;
    if (grd_optim_new(f->m, spec, &o) != GRD_OK)
        fail_msg("%s", grd_error(f->ctx));
    return o;
}

static void put(void *array, grd_dtype dtype, int64_t i, double v)
{
    if (dtype == GRD_F64)
        ((double *)array)[i] = v;
    else
        ((float *)array)[i] = (float)v;
}

static double get(const void *array, grd_dtype dtype, int64_t i)
{
    return dtype == GRD_F64 ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static grd_tensor named(const fixture *f, const char *name) { return grd_model_tensor(f->m, grd_model_find(f->m, name)); }

/* ---- trajectories ---- */

/* Six parameters begin at sin(i + 1); the gradient of step t is cos(i/2 + 0.7 t)(1 + 0.1 i). Five steps of torch.optim in
 * double. */
typedef struct golden { const char *spec; double p[6]; double clip; } golden;

static const golden goldens[] = {
    { "sgd lr=0.1",
      { 0.792696896316275, 1.0113463819408512, 0.39504465999862637, -0.3945861383182519, -0.5705163758698903,
        0.03305683474573231 },
      0 },
    { "sgd lr=0.1 momentum=0.9 weight_decay=0.01",
      { 0.3043993523872493, 0.7508523969380272, 0.4899661817102609, 0.0931079169903948, 0.23222767892209709, 0.9713885340100972 },
      0 },
    { "sgd lr=0.1 momentum=0.9 dampening=0.3",
      { 0.348697853813313, 0.6868868887735627, 0.3065926166529424, -0.17931928010441592, -0.06042968331539369,
        0.7439073978554993 },
      0 },
    { "sgd lr=0.1 momentum=0.8 weight_decay=0.02 nesterov=true",
      { 0.4420341224556771, 0.92912888067754, 0.675097795709379, 0.2336821761913328, 0.27231075366583424, 0.8747059523357601 },
      0 },
    { "adam lr=0.05",
      { 0.6798099498088602, 0.8156672413887711, 0.14605357944910305, -0.6460945615214364, -0.7254008160256108,
        -0.06347978875787247 },
      0 },
    { "adam lr=0.05 weight_decay=0.1 beta1=0.8 beta2=0.95 eps=1e-6",
      { 0.684205210300862, 0.8175823911209454, 0.1596739035523428, -0.6323315300011766, -0.7241265693443759,
        -0.07081972241357462 },
      0 },
    { "adam lr=0.05 amsgrad=true beta2=0.5",
      { 0.6825307665184481, 0.8183599358759881, 0.13660049193740134, -0.6727822309037487, -0.7487934986093332,
        -0.0748158616201904 },
      0 },
    { "adamw lr=0.05",
      { 0.6779346625253532, 0.8135842929396147, 0.14580791314972955, -0.6442164652130645, -0.7232502570559413,
        -0.06302744046396941 },
      0 },
    { "adamw lr=0.05 weight_decay=0.3 amsgrad=true beta2=0.6",
      { 0.6274906591606267, 0.7558169556911899, 0.13122932425126976, -0.6128797713362173, -0.6805993259500456,
        -0.05633575438556497 },
      0 },
    { "adamw lr=0.05",
      { 0.6810406772847666, 0.812394423395842, 0.13991756519127085, -0.6444272832121671, -0.7214404134897969,
        -0.0649270828206521 },
      0.5 },
    { "sgd lr=0.1 momentum=0.9",
      { 0.7194650988906521, 0.8716131778971932, 0.21537207541311837, -0.571081539186779, -0.6945060535639744,
        0.003538562069268665 },
      0.5 },
};
enum { N_GOLDENS = sizeof goldens / sizeof *goldens };

/* The six numbers are spread over all three parameters: a [2], b [1], c [3]. */
static void locate(const fixture *f, int i, grd_tensor *t, int64_t *e)
{
    *t = named(f, i < 2 ? "a" : i < 3 ? "b" : "c");
    *e = i < 2 ? i : i < 3 ? 0 : i - 3;
}

static void set_start(fixture *f)
{
    for (int i = 0; i < 6; i++) {
        grd_tensor t;
        int64_t e;
        locate(f, i, &t, &e);
        put(t.data, t.dtype, e, sin(i + 1.0));
    }
}

static void set_gradient(fixture *f, int step, double weight)
{
    for (int i = 0; i < 6; i++) {
        grd_tensor t;
        int64_t e;
        locate(f, i, &t, &e);
        put(t.grad, t.dtype, e, weight * cos(0.5 * i + 0.7 * step) * (1 + 0.1 * i));
    }
}

static void expect_trajectory(const golden *g, grd_dtype dtype, double weight, int threads)
{
    fixture f = make(dtype, threads, 2, 1, NULL);
    grd_optim *o = open_optim(&f, g->spec);
    set_start(&f);
    for (int t = 0; t < 5; t++) {
        set_gradient(&f, t, weight);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = weight, .clip_norm = g->clip }, NULL), GRD_OK);
    }
    for (int i = 0; i < 6; i++) {
        grd_tensor t;
        int64_t e;
        locate(&f, i, &t, &e);
        double found = get(t.data, dtype, e), bound = dtype == GRD_F64 ? 1e-12 : 1e-6;
        if (!(fabs(found - g->p[i]) <= bound * fmax(fabs(g->p[i]), dtype == GRD_F64 ? 0.01 : 0.3)))
            fail_msg("%s: parameter %d is %.17g, expected %.17g", g->spec, i, found, g->p[i]);
    }
    int64_t n, used = 0;
    const void *arena = grd_model_arena(f.m, &n);
    for (int64_t i = 0; i < n; i++)
        used += get(arena, dtype, i) != 0;
    assert_int_equal(used, 6); /* gaps stay zero */
    grd_close(f.ctx);
}

static void trajectories_are_those_of_pytorch(void **state)
{
    (void)state;
    for (int i = 0; i < N_GOLDENS; i++)
        for (int threads = 1; threads <= 2; threads++) {
            expect_trajectory(&goldens[i], GRD_F64, 1, threads);
            expect_trajectory(&goldens[i], GRD_F32, 1, threads);
        }
}

static void gradients_are_divided_by_the_weight(void **state)
{
    (void)state;
    for (int i = 0; i < N_GOLDENS; i++) {
        expect_trajectory(&goldens[i], GRD_F64, 37, 1);
        expect_trajectory(&goldens[i], GRD_F32, 37, 1);
    }
}

/* v = 0.9 v - lr dw, w += v, with v kept as -lr times our buffer. */
static void momentum_step_of_the_course(void **state)
{
    (void)state;
    fixture f = make(GRD_F64, 1, 20, 1, NULL);
    grd_optim *o = open_optim(&f, "sgd lr=1e-3 momentum=0.9");
    grd_tensor a = named(&f, "a");
    double *buffer = (double *)grd_optim_moment(o, 0) + a.offset;
    assert_string_equal(grd_optim_moment_name(o, 0), "momentum_buffer");
    for (int i = 0; i < 20; i++) {
        put(a.data, GRD_F64, i, -0.4 + i / 19.0);
        put(a.grad, GRD_F64, i, -0.6 + i / 19.0);
        buffer[i] = -(0.6 + 0.3 * i / 19.0) / 1e-3;
    }
    grd_optim_steps(o)[grd_model_find(f.m, "a")] = 1;
    assert_int_equal(grd_optim_step(o, &(grd_step_opts){ 0 }, NULL), GRD_OK);
    for (int i = 0; i < 20; i++) {
        assert_true(fabs(-1e-3 * buffer[i] - (0.5406 + (0.8096 - 0.5406) * i / 19)) < 1e-12);
        assert_true(fabs(get(a.data, GRD_F64, i) - (0.1406 + (1.4096 - 0.1406) * i / 19)) < 1e-12);
    }
    grd_close(f.ctx);
}

/* ---- clipping ---- */

static void norm_is_reported_before_clipping(void **state)
{
    (void)state;
    for (int dtype = GRD_F32; dtype <= GRD_F64; dtype++) {
        fixture f = make((grd_dtype)dtype, 1, 2, 1, NULL);
        grd_optim *o = open_optim(&f, "sgd lr=1");
        grd_tensor a = named(&f, "a"), c = named(&f, "c");
        put(a.grad, a.dtype, 1, 6);
        put(c.grad, c.dtype, 2, 8);
        put(a.data, a.dtype, 1, 0);
        put(c.data, c.dtype, 2, 0);
        double norm = 0;
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 2, .clip_norm = 1 }, &norm), GRD_OK);
        assert_true(fabs(norm - 5) < 1e-12);
        assert_true(fabs(get(a.data, a.dtype, 1) + 0.6) < 1e-6 && fabs(get(c.data, c.dtype, 2) + 0.8) < 1e-6);
        put(a.data, a.dtype, 1, 0);
        put(c.data, c.dtype, 2, 0);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 2, .clip_norm = 7 }, &norm), GRD_OK); /* short enough */
        assert_true(fabs(get(a.data, a.dtype, 1) + 3) < 1e-6 && fabs(get(c.data, c.dtype, 2) + 4) < 1e-6);
        grd_close(f.ctx);
    }
}

static void values_are_cut_before_the_norm(void **state)
{
    (void)state;
    for (int dtype = GRD_F32; dtype <= GRD_F64; dtype++) {
        fixture f = make((grd_dtype)dtype, 1, 2, 1, NULL);
        grd_optim *o = open_optim(&f, "sgd lr=1");
        grd_tensor a = named(&f, "a");
        put(a.grad, a.dtype, 0, 100);
        put(a.grad, a.dtype, 1, -8);
        for (int k = 0; k < 2; k++)
            put(a.data, a.dtype, k, 0);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 2, .clip_value = 3 }, NULL), GRD_OK);
        assert_true(fabs(get(a.data, a.dtype, 0) + 3) < 1e-6 && fabs(get(a.data, a.dtype, 1) - 3) < 1e-6);
        for (int k = 0; k < 2; k++)
            put(a.data, a.dtype, k, 0);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 2, .clip_value = 3, .clip_norm = 1 }, NULL), GRD_OK);
        assert_true(fabs(get(a.data, a.dtype, 0) + sqrt(0.5)) < 1e-5 && fabs(get(a.data, a.dtype, 1) - sqrt(0.5)) < 1e-5);
        grd_close(f.ctx);
    }
}

static void a_bad_gradient_changes_nothing_and_is_named(void **state)
{
    (void)state;
    const double bad[] = { NAN, INFINITY, -INFINITY };
    for (int k = 0; k < 6; k++) {
        grd_dtype dtype = k < 3 ? GRD_F32 : GRD_F64;
        fixture f = make(dtype, 1, 40, 30, NULL);
        grd_optim *o = open_optim(&f, "adam lr=0.1");
        int64_t n;
        void *arena = grd_model_arena(f.m, &n);
        size_t bytes = (size_t)n * grd_dtype_size(dtype);
        void *before = malloc(3 * bytes);
        for (int64_t i = 0; i < 30; i++)
            put(named(&f, "b").grad, dtype, i, 0.1);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ 0 }, NULL), GRD_OK);
        memcpy(before, arena, bytes);
        memcpy((char *)before + bytes, grd_optim_moment(o, 0), bytes);
        memcpy((char *)before + 2 * bytes, grd_optim_moment(o, 1), bytes);
        put(named(&f, "b").grad, dtype, 17, bad[k % 3]);
        put(named(&f, "c").grad, dtype, 0, bad[k % 3]);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .clip_value = 1 }, NULL), GRD_ERR_NUMBER);
        assert_non_null(strstr(grd_error(f.ctx), "\"b\""));
        assert_non_null(strstr(grd_error(f.ctx), "17"));
        assert_memory_equal(before, arena, bytes);
        assert_memory_equal((char *)before + bytes, grd_optim_moment(o, 0), bytes);
        assert_memory_equal((char *)before + 2 * bytes, grd_optim_moment(o, 1), bytes);
        assert_int_equal(grd_optim_steps(o)[grd_model_find(f.m, "b")], 1);
        free(before);
        grd_close(f.ctx);
    }
}

/* ---- freezing ---- */

static void frozen_parameters_rest_and_begin_afresh(void **state)
{
    (void)state;
    fixture f = make(GRD_F64, 1, 2, 1, NULL);
    grd_optim *o = open_optim(&f, "adam lr=0.05");
    set_start(&f);
    grd_model_freeze(f.m, "a", true);
    for (int t = 0; t < 5; t++) {
        if (t == 3)
            grd_model_freeze(f.m, "a", false);
        set_gradient(&f, t < 3 ? t : t - 3, 1);
        if (t < 3)
            put(named(&f, "a").grad, GRD_F64, 0, NAN); /* left over from who knows when */
        if (t >= 3) { /* b and c go on; their gradient is that of step t */
            double a0 = get(named(&f, "a").grad, GRD_F64, 0), a1 = get(named(&f, "a").grad, GRD_F64, 1);
            set_gradient(&f, t, 1);
            put(named(&f, "a").grad, GRD_F64, 0, a0);
            put(named(&f, "a").grad, GRD_F64, 1, a1);
        }
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ 0 }, NULL), GRD_OK);
        if (t < 3)
            assert_true(get(named(&f, "a").data, GRD_F64, 1) == sin(2.0));
    }
    assert_int_equal(grd_optim_steps(o)[grd_model_find(f.m, "a")], 2);
    assert_int_equal(grd_optim_steps(o)[grd_model_find(f.m, "c")], 5);
    /* a: two steps of torch.optim.Adam; b, c: five */
    assert_true(fabs(get(named(&f, "a").data, GRD_F64, 0) - 0.7422533740709143) < 1e-12);
    assert_true(fabs(get(named(&f, "a").data, GRD_F64, 1) - 0.814126641642972) < 1e-12);
    assert_true(fabs(get(named(&f, "b").data, GRD_F64, 0) - 0.14605357944910305) < 1e-12);
    assert_true(fabs(get(named(&f, "c").data, GRD_F64, 2) - -0.06347978875787247) < 1e-12);
    grd_close(f.ctx);
}

/* ---- threads ---- */

static void thread_count_does_not_change_a_bit(void **state)
{
    (void)state;
    const int64_t n = 150001;
    for (int which = 0; which < 3; which++) {
        static const char *const spec[] = { "sgd lr=0.1 momentum=0.9 nesterov=true", "adamw lr=0.01",
                                            "adam lr=0.01 amsgrad=true weight_decay=0.1" };
        fixture f[2];
        double norm[2];
        for (int k = 0; k < 2; k++) {
            f[k] = make(GRD_F32, k + 1, n, 70000, NULL);
            grd_optim *o = open_optim(&f[k], spec[which]);
            grd_tensor a = named(&f[k], "a"), b = named(&f[k], "b");
            for (int t = 0; t < 3; t++) {
                for (int64_t i = 0; i < n; i++)
                    put(a.grad, GRD_F32, i, sin((double)i * 0.7 + t));
                for (int64_t i = 0; i < 70000; i++)
                    put(b.grad, GRD_F32, i, 3 * cos((double)i * 0.3 - t));
                assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 3, .clip_norm = 2 }, &norm[k]), GRD_OK);
            }
        }
        int64_t size;
        const void *one = grd_model_arena(f[0].m, &size), *two = grd_model_arena(f[1].m, &size);
        assert_true(norm[0] == norm[1]);
        assert_memory_equal(one, two, sizeof(float) * (size_t)size);
        for (int k = 0; k < 2; k++)
            grd_close(f[k].ctx);
    }
}

/* ---- moving average ---- */

/* Six numbers as PyTorch's AveragedModel has them after so many updates, in double: copied first, then averaged. */
static void average_loop(const fixture *f, int updates, double decay, double average[6])
{
    for (int i = 0; i < 6; i++) {
        grd_tensor t;
        int64_t e;
        locate(f, i, &t, &e);
        double p = get(t.data, t.dtype, e);
        average[i] = updates == 1 ? p : decay * average[i] + (1 - decay) * p;
    }
}

static void expect_average(const fixture *f, grd_optim *o, const double average[6])
{
    for (int i = 0; i < 6; i++) {
        grd_tensor t;
        int64_t e;
        locate(f, i, &t, &e);
        double found = get(grd_optim_ema(o), t.dtype, t.offset + e), bound = t.dtype == GRD_F64 ? 1e-14 : 3e-7;
        if (!(fabs(found - average[i]) <= bound))
            fail_msg("average %d is %.17g, expected %.17g", i, found, average[i]);
    }
}

static void the_average_is_that_of_a_plain_loop_with_every_optimizer(void **state)
{
    (void)state;
    for (int which = 0; which < N_GOLDENS * 4; which++) {
        const golden *g = &goldens[which / 4];
        fixture f = make(which & 1 ? GRD_F64 : GRD_F32, 1 + (which >> 1 & 1), 2, 1, NULL);
        grd_optim *o = open_optim(&f, g->spec);
        double average[6];
        assert_null(grd_optim_ema(o));
        assert_int_equal(grd_optim_set_ema(o, 0.7), GRD_OK);
        set_start(&f); /* after: the first update copies */
        for (int t = 0; t < 5; t++) {
            set_gradient(&f, t, 3);
            assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .weight = 3, .clip_norm = g->clip }, NULL), GRD_OK);
            average_loop(&f, t + 1, 0.7, average);
            expect_average(&f, o, average);
        }
        assert_int_equal(*grd_optim_ema_steps(o), 5);
        int64_t n, used = 0;
        grd_model_arena(f.m, &n);
        for (int64_t i = 0; i < n; i++)
            used += get(grd_optim_ema(o), named(&f, "a").dtype, i) != 0;
        assert_int_equal(used, 6); /* gaps stay zero */
        grd_close(f.ctx);
    }
}

/* "a" rests in steps 0 and 1 and from 5 on, its average follows it all the time. */
static void the_average_of_frozen_parameters_is_pytorch_s(void **state)
{
    (void)state;
    fixture f = make(GRD_F64, 1, 2, 1, NULL);
    grd_optim *o = open_optim(&f, "adam lr=0.05");
    double average[6];
    set_start(&f);
    assert_int_equal(grd_optim_set_ema(o, 0.7), GRD_OK);
    grd_model_freeze(f.m, "a", true);
    for (int t = 0; t < 8; t++) {
        if (t == 2 || t == 5)
            grd_model_freeze(f.m, "a", t == 5);
        set_gradient(&f, t, 1);
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ 0 }, NULL), GRD_OK);
        average_loop(&f, t + 1, 0.7, average);
        expect_average(&f, o, average);
        if (t < 2)
            assert_true(average[0] == sin(1.0) && get(grd_optim_ema(o), GRD_F64, named(&f, "a").offset) == sin(1.0));
    }
    grd_close(f.ctx);
}

static void an_average_changes_no_weight_and_no_thread_count_changes_it(void **state)
{
    (void)state;
    const int64_t n = 150001;
    static const char *const spec[] = { "sgd lr=0.1 momentum=0.9 nesterov=true", "adamw lr=0.01", "adam lr=0.01 amsgrad=true" };
    for (int which = 0; which < 3; which++) {
        fixture f[4]; /* without; with, on 1, 2 and 3 threads */
        grd_optim *o[4];
        for (int k = 0; k < 4; k++) {
            f[k] = make(GRD_F32, k ? k : 1, n, 70000, NULL);
            o[k] = open_optim(&f[k], spec[which]);
            if (k)
                assert_int_equal(grd_optim_set_ema(o[k], 0.9), GRD_OK);
            for (int t = 0; t < 4; t++) {
                if (t == 2)
                    grd_model_freeze(f[k].m, "b", true); /* it rests, and is averaged on */
                for (int64_t i = 0; i < n; i++)
                    put(named(&f[k], "a").grad, GRD_F32, i, sin((double)i * 0.7 + t));
                for (int64_t i = 0; i < 70000; i++)
                    put(named(&f[k], "b").grad, GRD_F32, i, 3 * cos((double)i * 0.3 - t));
                assert_int_equal(grd_optim_step(o[k], &(grd_step_opts){ .clip_norm = 2 }, NULL), GRD_OK);
            }
        }
        int64_t size;
        const void *plain = grd_model_arena(f[0].m, &size);
        for (int k = 1; k < 4; k++) {
            assert_memory_equal(plain, grd_model_arena(f[k].m, &size), sizeof(float) * (size_t)size);
            assert_memory_equal(grd_optim_ema(o[1]), grd_optim_ema(o[k]), sizeof(float) * (size_t)size);
        }
        assert_memory_not_equal(plain, grd_optim_ema(o[1]), sizeof(float) * (size_t)size);
        for (int k = 0; k < 4; k++)
            grd_close(f[k].ctx);
    }
}

static void a_decay_must_be_between_0_and_1(void **state)
{
    (void)state;
    fixture f = make(GRD_F32, 1, 2, 1, NULL);
    grd_optim *o = open_optim(&f, "adam");
    const double bad[] = { 0, 1, -0.5, 1.5, NAN };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(grd_optim_set_ema(o, bad[i]), GRD_ERR_ARG);
        assert_non_null(strstr(grd_error(f.ctx), "expected a decay above 0 and below 1"));
        assert_null(grd_optim_ema(o));
    }
    grd_close(f.ctx);
}

/* ---- specs, life, memory ---- */

static void specs_are_read_and_faults_explained(void **state)
{
    (void)state;
    static const struct { const char *spec, *says; } bad[] = {
        { "adamw learning_rate=3e-3", "no option \"learning_rate\"" }, { "adan", "did you mean \"adam\"?" },
        { "adam lr=fast", "lr" },                                      { "adam beta1=1", "beta1" },
        { "sgd nesterov=true", "nesterov needs momentum" },            { "sgd lr=-1", "lr" },
    };
    fixture f = make(GRD_F32, 1, 2, 1, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        grd_optim *o = (grd_optim *)&f;
        assert_int_equal(grd_optim_new(f.m, bad[i].spec, &o), GRD_ERR_CONFIG);
        assert_null(o);
        if (!strstr(grd_error(f.ctx), bad[i].says))
            fail_msg("%s: \"%s\"", bad[i].spec, grd_error(f.ctx));
    }
    grd_optim *o = open_optim(&f, "adamw lr=3e-3 amsgrad=true");
    const void *values;
    const grd_option *table = grd_optim_options(o, &values);
    assert_string_equal(table[0].name, "lr");
    assert_true(((const grd_adamw_opts *)values)->weight_decay == 1e-2);
    assert_string_equal(grd_optim_name(o), "adamw");
    assert_true(grd_optim_lr(o) == 3e-3);
    assert_int_equal(grd_optim_moments(o), 3);
    assert_string_equal(grd_optim_moment_name(o, 2), "max_exp_avg_sq");
    assert_null(grd_optim_moment_name(o, 3));
    grd_optim_free(o);
    grd_optim_free(NULL);
    grd_close(f.ctx);
}

static void a_rate_of_zero_is_not_the_base_rate(void **state)
{
    (void)state;
    fixture f = make(GRD_F64, 1, 2, 1, NULL);
    grd_optim *o = open_optim(&f, "sgd lr=0.5");
    set_start(&f);
    set_gradient(&f, 0, 1);
    assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .lr = GRD_ZERO }, NULL), GRD_OK);
    assert_true(get(named(&f, "a").data, GRD_F64, 0) == sin(1.0));
    assert_int_equal(grd_optim_step(o, &(grd_step_opts){ 0 }, NULL), GRD_OK);
    assert_true(fabs(get(named(&f, "a").data, GRD_F64, 0) - (sin(1.0) - 0.5)) < 1e-12);
    assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .lr = 0.25 }, NULL), GRD_OK);
    assert_true(fabs(get(named(&f, "a").data, GRD_F64, 0) - (sin(1.0) - 0.75)) < 1e-12);
    grd_close(f.ctx);
}

typedef struct meter { int left, live, made; } meter;

static void *meter_alloc(void *user, size_t bytes)
{
    meter *m = user;
    if (m->left == 0)
        return NULL;
    m->left -= m->left > 0;
    m->live++;
    m->made++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void meter_free(void *user, void *memory)
{
    ((meter *)user)->live--;
    free(memory);
}

static void a_refused_allocation_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    bool done = false;
    for (int fail = 0; !done; fail++) {
        meter m = { -1, 0, 0 };
        fixture f = make(GRD_F32, 1, 2, 1, &(grd_allocator){ meter_alloc, meter_free, &m });
        grd_optim *o;
        int before = m.live;
        m.left = fail;
        grd_status status = grd_optim_new(f.m, "adam lr=0.1", &o);
        if (status != GRD_OK) {
            assert_null(o);
            assert_int_equal(m.live, before);
        } else {
            status = grd_optim_set_ema(o, 0.9);
        }
        m.left = -1;
        done = status == GRD_OK;
        if (!done)
            assert_int_equal(status, GRD_ERR_MEMORY);
        grd_close(f.ctx);
        assert_int_equal(m.live, 0);
        assert_true(fail < 20);
    }
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    meter m = { -1, 0, 0 };
    fixture f = make(GRD_F32, 2, 40000, 50000, &(grd_allocator){ meter_alloc, meter_free, &m });
    grd_optim *o = open_optim(&f, "adamw lr=0.1");
    assert_int_equal(grd_optim_set_ema(o, 0.9), GRD_OK);
    int before = m.made;
    for (int t = 0; t < 10; t++)
        assert_int_equal(grd_optim_step(o, &(grd_step_opts){ .clip_norm = 1, .clip_value = 1 }, NULL), GRD_OK);
    assert_int_equal(m.made, before);
    grd_close(f.ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_are_those_of_pytorch),
        cmocka_unit_test(gradients_are_divided_by_the_weight),
        cmocka_unit_test(momentum_step_of_the_course),
        cmocka_unit_test(norm_is_reported_before_clipping),
        cmocka_unit_test(values_are_cut_before_the_norm),
        cmocka_unit_test(a_bad_gradient_changes_nothing_and_is_named),
        cmocka_unit_test(frozen_parameters_rest_and_begin_afresh),
        cmocka_unit_test(thread_count_does_not_change_a_bit),
        cmocka_unit_test(the_average_is_that_of_a_plain_loop_with_every_optimizer),
        cmocka_unit_test(the_average_of_frozen_parameters_is_pytorch_s),
        cmocka_unit_test(an_average_changes_no_weight_and_no_thread_count_changes_it),
        cmocka_unit_test(a_decay_must_be_between_0_and_1),
        cmocka_unit_test(specs_are_read_and_faults_explained),
        cmocka_unit_test(a_rate_of_zero_is_not_the_base_rate),
        cmocka_unit_test(a_refused_allocation_is_an_error_and_leaks_nothing),
        cmocka_unit_test(steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
