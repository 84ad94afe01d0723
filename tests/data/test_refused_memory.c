/* Every allocation refused in turn: an error each time, nothing leaked, nothing crashed; without refusal it succeeds. */
#include "helper_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[256];

/* Everything that the data part offers, given up at the first failure. */
static grd_status everything(grd_ctx *ctx, int workers)
{
    grd_dataset *d, *t, *u, *part[3], *few;
    grd_loader *l;
    const grd_batch *b;
    char spec[300];
    grd_status s;
    snprintf(spec, sizeof spec, "dir=%s", dir);
#define TRY(call) \
    if ((s = (call)) != GRD_OK) \
    return s
    TRY(grd_source_register(ctx, &flaky_source));
    TRY(grd_dataset_open(ctx, "mnist", spec, &d));
    TRY(grd_dataset_transform(d, "scale", &t));
    TRY(grd_dataset_transform(t, "normalize mean=[0.5] std=[0.5]", &u));
    TRY(grd_dataset_split(u, (double[]){ 0.5, 0.3, 0.2 }, 3, &(grd_split_opts){ .seed = 1, .stratify = "label" }, part));
    TRY(grd_dataset_subsets(
        part[0],
        (grd_subset[]){ { .name = "a", .per_class = 1 }, { .name = "b", .count = 10, .stratify = "label" }, { .name = "rest" } },
        3, 1, part));
    TRY(grd_dataset_select(part[2], (int64_t[]){ 0, 1, 2, 3, 4, 5, 6 }, 7, &few));
    TRY(grd_dataset_verify(ctx, few, NULL, 0));
    TRY(grd_loader_new(ctx, few, &(grd_loader_opts){ .batch = 3, .shuffle = true, .workers = workers }, &l));
    TRY(grd_loader_start(l, 0, 0));
    TRY(grd_loader_next(l, &b));
    float x[4] = { 0 };
    grd_field field = { .name = "x", .shape = { 1, { 2 } } };
    TRY(grd_dataset_from_arrays(ctx, 2, 1, &field, (const void *const[]){ x }, true, &d));
    TRY(grd_dataset_open(ctx, "spirals", NULL, &d));
    TRY(grd_dataset_open(ctx, "moons", NULL, &d));
    return grd_dataset_open(ctx, "random", "shape=[2,3]", &d);
}

static void refuse_each(const char *end, int workers)
{
    put_idx_pair(dir, 100, end);
    for (int64_t n = 1;; n++) {
        counter memory = { .refuse = n };
        grd_allocator a = counting(&memory);
        grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &a });
        if (ctx) {
            grd_status status = everything(ctx, workers);
            bool refused = memory.calls >= n;
            if (status != (refused ? GRD_ERR_MEMORY : GRD_OK) || (refused && !strstr(grd_error(ctx), "memory")))
                fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(ctx));
            grd_close(ctx);
            if (!refused) {
                assert_true(n > 60);
                assert_int_equal(memory.live, 0);
                break;
            }
        }
        assert_int_equal(memory.live, 0);
    }
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s", temp_dir());
    refuse_each(".gz", 0);
    refuse_each("", 2);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(refused_allocations_leak_and_crash_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
