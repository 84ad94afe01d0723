/* Schedules give the rates of torch.optim.lr_scheduler. */
#include <gradus/optim.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PER_EPOCH = 7 };

static grd_schedule *open_schedule(grd_ctx *ctx, const char *spec, int64_t per_epoch, int64_t total)
{
    grd_schedule *s;
    if (grd_schedule_new(ctx, spec, 0.2, per_epoch, total, &s) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    return s;
}

/* Rates of whole epochs, the same at the first and at the last step of each. */
static void expect_epochs(const char *spec, const double *rate, int n)
{
    grd_ctx *ctx = grd_open(NULL);
    grd_schedule *s = open_schedule(ctx, spec, PER_EPOCH, n * PER_EPOCH);
    for (int e = 0; e < n; e++) {
        double first = grd_schedule_lr(s, e * PER_EPOCH), last = grd_schedule_lr(s, e * PER_EPOCH + PER_EPOCH - 1);
        if (!(fabs(first - rate[e]) <= 1e-13 && first == last))
            fail_msg("%s: epoch %d: %.15g and %.15g, expected %.15g", spec, e, first, last, rate[e]);
        grd_schedule_epoch(s, 1);
    }
    grd_close(ctx);
}

static void epoch_schedules_are_those_of_pytorch(void **state)
{
    (void)state;
    expect_epochs("step size=3 gamma=0.5", (double[]){ 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025 }, 10);
    expect_epochs("multistep milestones=[2,5,6] gamma=0.1",
                  (double[]){ 0.2, 0.2, 0.02, 0.02, 0.02, 0.002, 0.0002, 0.0002, 0.0002 }, 9);
    expect_epochs("exponential gamma=0.9", (double[]){ 0.2, 0.18, 0.162, 0.1458, 0.13122, 0.118098 }, 6);
    expect_epochs("constant", (double[]){ 0.2, 0.2, 0.2 }, 3);
    expect_epochs("", (double[]){ 0.2, 0.2 }, 2);
}

static void cosine_is_that_of_pytorch(void **state)
{
    (void)state;
    static const double rate[] = { 0.2,   0.192768555588572,  0.172175144212722, 0.141354926074684,
                                   0.105, 0.0686450739253165, 0.037824855787278, 0.0172314444114278 };
    grd_ctx *ctx = grd_open(NULL);
    grd_schedule *s = open_schedule(ctx, "cosine min=0.01", 3, 8);
    for (int t = 0; t < 8; t++)
        assert_true(fabs(grd_schedule_lr(s, t) - rate[t]) <= 1e-14);
    assert_true(fabs(grd_schedule_lr(s, 8) - 0.01) <= 1e-15);
    assert_true(fabs(grd_schedule_lr(s, 1000) - 0.01) <= 1e-15); /* past its end */
    grd_close(ctx);
}

static void cosine_warms_up_and_goes_on_from_the_base_rate(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_schedule *s = open_schedule(ctx, "cosine warmup=5 min=0.01", 3, 13), *plain = open_schedule(ctx, "cosine min=0.01", 3, 8);
    for (int t = 0; t < 5; t++)
        assert_true(fabs(grd_schedule_lr(s, t) - 0.2 * (t + 1) / 5) <= 1e-15);
    for (int t = 0; t < 9; t++)
        assert_true(grd_schedule_lr(s, 5 + t) == grd_schedule_lr(plain, t));
    grd_schedule *longer = open_schedule(ctx, "cosine warmup=50", 3, 10); /* a warm-up longer than the run */
    assert_true(fabs(grd_schedule_lr(longer, 9) - 0.04) <= 1e-15 && isfinite(grd_schedule_lr(longer, 60)));
    grd_close(ctx);
}

static const double losses[] = { 1, .9, .95, .91, .9, .89999, .5, .6, .6, .6, .6, .6, .6, .6, .6, NAN, .6, .6, .6, .6 };
static const double plateau_rates[] = { .2,  .2,  .2,  .2,  .2,   .1,   .1,   .1,   .1,  .1,
                                        .05, .05, .05, .05, .025, .025, .025, .025, .02, .02 };
enum { N_LOSSES = sizeof losses / sizeof *losses };

static void plateau_is_that_of_pytorch(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    grd_schedule *s = open_schedule(ctx, "plateau factor=0.5 patience=2 cooldown=1 min=0.02", 3, 100);
    for (int e = 0; e < N_LOSSES; e++) {
        double found = grd_schedule_lr(s, e * 3);
        if (!(fabs(found - plateau_rates[e]) <= 1e-15))
            fail_msg("epoch %d: %g, expected %g", e, found, plateau_rates[e]);
        grd_schedule_epoch(s, losses[e]);
    }
    grd_close(ctx);
}

static void plateau_resumes_exactly_at_any_epoch(void **state)
{
    (void)state;
    const char *spec = "plateau factor=0.5 patience=2 cooldown=1 min=0.02";
    grd_ctx *ctx = grd_open(NULL);
    for (int stop = 0; stop < N_LOSSES; stop++) {
        grd_schedule *first = open_schedule(ctx, spec, 3, 100), *second = open_schedule(ctx, spec, 3, 100);
        for (int e = 0; e < stop; e++)
            grd_schedule_epoch(first, losses[e]);
        double kept[8];
        grd_schedule_load(second, kept, grd_schedule_save(first, kept));
        for (int e = stop; e < N_LOSSES; e++) {
            assert_true(fabs(grd_schedule_lr(second, 0) - plateau_rates[e]) <= 1e-15);
            grd_schedule_epoch(second, losses[e]);
        }
        grd_schedule_free(first);
        grd_schedule_free(second);
    }
    grd_close(ctx);
}

static void faults_are_explained(void **state)
{
    (void)state;
    static const struct { const char *spec, *says; } bad[] = {
        { "cosin", "did you mean \"cosine\"?" }, { "step size=0", "size" },     { "cosine warmup=-3", "warmup" },
        { "plateau factr=1", "\"factor\"" },     { "multistep milestones=[a]", "milestones" },
    };
    grd_ctx *ctx = grd_open(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        grd_schedule *s = (grd_schedule *)ctx;
        assert_int_equal(grd_schedule_new(ctx, bad[i].spec, 0.1, 1, 1, &s), GRD_ERR_CONFIG);
        assert_null(s);
        if (!strstr(grd_error(ctx), bad[i].says))
            fail_msg("%s: \"%s\"", bad[i].spec, grd_error(ctx));
    }
    grd_schedule_free(NULL);
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoch_schedules_are_those_of_pytorch), cmocka_unit_test(cosine_is_that_of_pytorch),
        cmocka_unit_test(cosine_warms_up_and_goes_on_from_the_base_rate), cmocka_unit_test(plateau_is_that_of_pytorch),
        cmocka_unit_test(plateau_resumes_exactly_at_any_epoch), cmocka_unit_test(faults_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
