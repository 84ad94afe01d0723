/* Each fusion rule by itself: it is applied where it should be, and a network with it computes what the network without it does, to
 * rounding. And layouts: nothing is reordered inside a chain of convolutions. */
#define _GNU_SOURCE
#include "backend/backend.h"
#include "plan/ir.h"

#include <gradus/gradus.h>
#include <gradus/op.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 6, CHANNELS = 16, SIDE = 9, CLASSES = 4 };

static grd_var conv(grd_var x, int64_t out, int64_t kernel)
{
    return grd_conv2d(x, &(grd_conv2d_opts){ .out = out, .kernel = kernel, .pad = kernel / 2 });
}

/* ---- one pattern a rule: from [N,16,9,9] to anything ---- */

static grd_var linear_act(grd_var x)
{
    return grd_tanh(grd_linear(grd_flatten(x), &(grd_linear_opts){ .out = 7 }));
}

static grd_var conv2d_act(grd_var x)
{
    return grd_sigmoid(conv(x, 16, 3));
}

static grd_var add_relu(grd_var x)
{
    return grd_relu(grd_add(conv(x, 16, 3), conv(x, 16, 1)));
}

static grd_var batchnorm_relu(grd_var x)
{
    return grd_relu(grd_batchnorm(conv(x, 16, 3), NULL));
}

static grd_var batchnorm_add_relu(grd_var x)
{
    return grd_relu(grd_add(grd_batchnorm(conv(x, 16, 3), NULL), conv(x, 16, 1)));
}

static const struct {
    const char *rule, *with; /* rules that must have been applied before */
    grd_var (*pattern)(grd_var x);
} patterns[] = {
    { "linear_act", "", linear_act },
    { "conv2d_act", "", conv2d_act },
    { "add_relu", "", add_relu },
    { "batchnorm_relu", "", batchnorm_relu },
    { "batchnorm_add_relu", "add_relu", batchnorm_add_relu },
};
enum { N_PATTERNS = sizeof patterns / sizeof *patterns };

/* ---- running one ---- */

typedef struct outcome {
    int fused;
    double loss;
    float *grads;
    int64_t n;
} outcome;

static outcome run_net(grd_var (*pattern)(grd_var), const char *no_fuse)
{
    static float image[N * CHANNELS * SIDE * SIDE];
    static int32_t label[N];
    grd_ctx *ctx = grd_open(&(grd_opts){ .seed = 5, .threads = 2 });
    grd_graph *g = grd_graph_new(ctx);
    grd_var x = grd_input(g, "image", GRD_F32, 4, (int64_t[]){ GRD_VARIES, CHANNELS, SIDE, SIDE });
    grd_var y = grd_input(g, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var logits = grd_linear(grd_flatten(pattern(x)), &(grd_linear_opts){ .out = CLASSES });
    grd_var loss = grd_cross_entropy(logits, y, NULL);
    grd_key key = { .seed = 9 };
    for (size_t i = 0; i < sizeof image / sizeof *image; i++) {
        uint32_t word[4];
        grd_random4(&key, 0, i, word);
        image[i] = (float)(2 * grd_uniform(word[0]) - 1);
        label[i % N] = (int32_t)(word[1] % CLASSES);
    }
    grd_model *m;
    grd_plan *p;
    grd_shape shape[2] = { { 4, { N, CHANNELS, SIDE, SIDE } }, { 1, { N } } };
    grd_run run = { .input = { image, label } };
    outcome out;
    double weight;
    if (grd_model_new(g, &(grd_model_opts){ .no_fuse = no_fuse }, &m) != GRD_OK ||
        grd_model_plan(m, &(grd_compile_opts){ .train = true, .loss = loss, .backward = true }, shape, &p) != GRD_OK ||
        grd_plan_run(p, &run) != GRD_OK)
        fail_msg("%s", grd_error(ctx));
    grd_plan_loss(p, &out.loss, &weight);
    out.fused = grd_plan_describe(p).fused;
    grd_model_arena(m, &out.n);
    out.grads = malloc(sizeof(float) * (size_t)out.n);
    memcpy(out.grads, grd_model_grad_arena(m), sizeof(float) * (size_t)out.n);
    grd_close(ctx);
    return out;
}

/* All rules but `rule` and those in `with`. */
static void all_but(const char *rule, const char *with, char *list, size_t size)
{
    list[0] = 0;
    for (const ir_rule *r = grd_fuse_rules; r->name; r++)
        if (strcmp(r->name, rule) != 0 && strcmp(r->name, with) != 0)
            snprintf(list + strlen(list), size - strlen(list), "%s%s", *list ? "," : "", r->name);
}

static void each_rule_alone_changes_nothing_but_time(void **state)
{
    (void)state;
    for (int i = 0; i < N_PATTERNS; i++) {
        char list[256];
        all_but(patterns[i].rule, patterns[i].with, list, sizeof list);
        outcome fused = run_net(patterns[i].pattern, list), apart = run_net(patterns[i].pattern, "all");
        assert_int_equal(fused.fused, 1 + (*patterns[i].with != 0));
        assert_int_equal(apart.fused, 0);
        assert_true(fabs(fused.loss - apart.loss) <= 1e-5 * fabs(apart.loss));
        double worst = 0, size = 0;
        for (int64_t k = 0; k < apart.n; k++) {
            worst = fmax(worst, fabs((double)fused.grads[k] - (double)apart.grads[k]));
            size = fmax(size, fabs((double)apart.grads[k]));
        }
        if (worst > 2e-5 * size)
            fail_msg("%s: gradients differ by %g of %g", patterns[i].rule, worst, size);
        free(fused.grads);
        free(apart.grads);
    }
}

static void every_rule_has_a_pattern_here(void **state)
{
    (void)state;
    for (const ir_rule *r = grd_fuse_rules; r->name; r++) {
        bool found = false;
        for (int i = 0; i < N_PATTERNS; i++)
            found = found || strcmp(patterns[i].rule, r->name) == 0;
        if (!found)
            fail_msg("fusion rule \"%s\" has no test", r->name);
        assert_true(r->doc && *r->doc);
    }
}

/* ---- layouts ---- */

/* Reorders of values that are no parameters, or gradients of such. */
static int reorders_of_values(const grd_plan *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    assert_non_null(memory);
    grd_plan_print(p, memory);
    fclose(memory);
    int n = 0;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        size_t length = strcspn(line, "\n");
        char copy[400];
        snprintf(copy, sizeof copy, "%.*s", (int)length, line);
        n += strstr(copy, " reorder ") && !strstr(copy, "weight");
    }
    free(text);
    return n;
}

static void a_chain_of_convolutions_has_no_reorder_inside(void **state)
{
    (void)state;
    if (grd_isa_level() == 0 || !grd_backends[2]) /* blocked layouts come with oneDNN and wide vectors */
        skip();
    int before = 0;
    for (int length = 1; length <= 3; length += 2) { /* a longer chain reorders no more than a short one */
        grd_ctx *ctx = grd_open(&(grd_opts){ .threads = 1 });
        grd_graph *g = grd_graph_new(ctx);
        grd_var x = grd_input(g, "image", GRD_F32, 4, (int64_t[]){ GRD_VARIES, 16, 32, 32 });
        grd_var y = grd_input(g, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
        grd_var h = x;
        for (int i = 0; i < length; i++) {
            grd_var skip_from = grd_relu(grd_batchnorm(conv(h, 32, 3), NULL));
            h = grd_maxpool2d(skip_from, &(grd_pool2d_opts){ .kernel = 2 });
            grd_var side = grd_avgpool2d(skip_from, &(grd_pool2d_opts){ .kernel = 2 });
            h = grd_relu(grd_add(h, side));
            h = grd_concat((grd_var[]){ h, side }, 2, NULL);
            h = conv(grd_conv_transpose2d(h, &(grd_conv_transpose2d_opts){ .out = 32, .kernel = 2, .stride = 2 }), 32, 3);
            h = grd_maxpool2d(h, &(grd_pool2d_opts){ .kernel = 2 });
            for (int mode = GRD_UPSAMPLE_NEAREST; mode <= GRD_UPSAMPLE_BILINEAR; mode++) {
                h = grd_upsample(grd_relu(grd_batchnorm(h, NULL)), &(grd_upsample_opts){ .scale = 2, .mode = mode });
                h = conv(grd_maxpool2d(conv(h, 32, 3), &(grd_pool2d_opts){ .kernel = 2 }), 32, 3);
            }
        }
        h = grd_linear(grd_flatten(grd_adaptive_avgpool2d(h, NULL)), &(grd_linear_opts){ .out = CLASSES });
        grd_var loss = grd_cross_entropy(h, y, NULL);
        grd_model *m;
        grd_plan *p;
        grd_shape shape[2] = { { 4, { N, 16, 32, 32 } }, { 1, { N } } };
        if (grd_model_new(g, NULL, &m) != GRD_OK ||
            grd_model_plan(m, &(grd_compile_opts){ .train = true, .loss = loss, .backward = true }, shape, &p) != GRD_OK)
            fail_msg("%s", grd_error(ctx));
        int n = reorders_of_values(p);
        if (length > 1)
            assert_int_equal(n, before);
        before = n;
        grd_close(ctx);
    }
    assert_in_range(before, 0, 4); /* the image, the pooled values, their gradient */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_alone_changes_nothing_but_time),
        cmocka_unit_test(every_rule_has_a_pattern_here),
        cmocka_unit_test(a_chain_of_convolutions_has_no_reorder_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
