/* The neural-network rows against numbers that PyTorch 2 (double, CPU) gave once for the same inputs, and the conventions that
 * no gradient check sees: masks, borders, padding, labels out of range. */
#include "helper_rows.h"

#include "base/ctx.h"

#include <gradus/ops.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- inputs and results by formula: three waves of different length ---- */

static void fill(grd_trial *t)
{
    for (int k = 0; k < t->n_in; k++) {
        const int64_t n = grd_count(&t->in_shape[k]);
        const double lo = t->range[k].lo, hi = t->range[k].hi;
        for (int64_t i = 0; i < n; i++) {
            if (grd_trial_kind(t, k) == GRD_KIND_INDEX)
                ((int32_t *)t->in[k])[i] = (int32_t)lo + (int32_t)((7 * i + i * i / 3 + k) % ((int64_t)hi - (int64_t)lo + 1));
            else
                grd_trial_set(t, t->in[k], i, lo + (hi - lo) * (0.5 + 0.5 * sin(1.7 * (double)i + 0.9 * k + 0.3)));
        }
    }
    for (int k = 0; k < t->op->n_out; k++)
        for (int64_t i = 0; t->args.dout[k] && i < grd_count(&t->infer.out[k]); i++)
            grd_trial_set(t, (void *)(uintptr_t)t->args.dout[k], i, cos(0.7 * (double)i + 0.5 * k + 0.2));
}

/* A whole tensor in one number. */
static double projected(const grd_trial *t, const void *reals, const grd_shape *shape)
{
    double sum = 0;
    for (int64_t i = 0; i < grd_count(shape); i++)
        sum += grd_trial_get(t, reals, i) * cos(1.1 * (double)i + 0.4);
    return sum;
}

/* ---- golden numbers: each output, next state (in training) and gradient of a real input, projected ---- */

typedef struct golden {
    const char *op, *attr, *in;
    bool evaluation;
    int n;
    double number[8];
} golden;

static const golden goldens[] = {
    { "batchnorm", NULL, "x[4,3] w[3]:0.5..1.5 b[3] mean[3]:-1..1 var[3]:0.5..2 count[1]:3..3", false, 7,
      { 0.49065169607513, -0.0900412214499895, -0.794413431672513, 3.68424397601154, -0.973678829722856, 1.9605309853124,
        0.981531611046896 } },
    { "batchnorm", "momentum=0.25 eps=0.01", "x[2,3,2,3] w[3] b[3] mean[3]:-1..1 var[3]:0.5..2 count[1]:3..3", false, 7,
      { -0.50671207664289, -0.0196835874920581, -0.659398779691427, 3.68424397601154, -8.20850732482732, 0.369603993928106,
        1.10212947258672 } },
    { "batchnorm", "eps=0.01", "x[2,3,2,3] w[3] b[3] mean[3]:-1..1 var[3]:0.5..2 count[1]:3..3", true, 4,
      { 0.338633547916233, -4.91267392441312, 0.651211026897211, 1.10212947258672 } },
    { "batchnorm", "frozen=true", "x[2,3,2,3] w[3] b[3] mean[3]:-1..1 var[3]:0.5..2 count[1]:3..3", false, 7,
      { 0.345809919925334, -0.0406213410757027, -0.886506842141836, 2.76318298200866, -4.93221346410756, 0.656329587109403,
        1.10212947258672 } },
    { "batchnorm_relu", NULL, "x[2,3,2,3] w[3] b[3] mean[3]:-1..1 var[3]:0.5..2 count[1]:3..3", false, 7,
      { 1.95600832654552, -0.0322462396422449, -0.795663617161672, 3.68424397601154, -4.97712394531787, -1.61387560219225,
        -0.751107106913203 } },
    { "groupnorm", "groups=2", "x[2,4,3] w[4] b[4]", false, 4,
      { 8.63811169584263, 3.24926672141778, 0.210613999492871, -2.25142061468391 } },
    { "groupnorm", "groups=3 eps=0.01", "x[2,6]", false, 2,
      { -1.96754105385447, 0.191363402976961 } },
    { "layernorm", NULL, "x[2,3,5] w[5] b[5]", false, 4,
      { -3.56800718233563, 0.0227846969742984, 0.0944169286951774, 0.320766262069208 } },
    { "layernorm", "dims=2", "x[2,3,5] w[3,5]", false, 3,
      { 0.721607413842761, -3.94558974879558, 0.292141171871569 } },
    { "embedding", "padding_idx=1", "index[2,3]:0..3 w[4,3]", false, 2,
      { 0.808267220504059, 3.60681096129408 } },
    { "lstm", NULL, "x[2,3,2] w_ih[12,2] w_hh[12,3]", false, 6,
      { 0.213743011963251, -0.0681376674329859, -0.149024475225468, -0.0354473173472053, -1.58809607383771,
        0.0635998280942722 } },
    { "lstm", NULL, "x[3,4,2] w_ih[8,2] w_hh[8,2] b_ih[8] b_hh[8] lengths[3]:1..4", false, 8,
      { 0.35454928273838, -0.12720654392514, -0.178181718356312, 0.202926976300149, 0.649483584252709, 0.101380464645749,
        -0.268520091820746, -0.268520091820746 } },
    { "gru", NULL, "x[2,3,2] w_ih[9,2] w_hh[9,3]", false, 5,
      { 0.491438516614438, -0.137468125531486, -0.496582325551983, -1.18166809186062, 0.151265738707737 } },
    { "gru", NULL, "x[3,4,2] w_ih[6,2] w_hh[6,2] b_ih[6] b_hh[6] lengths[3]:1..4", false, 7,
      { 0.074340652085463, -0.345811084494002, 0.256907589231411, 0.402037290377718, 0.0269315139418861, -0.308169005629966,
        -0.336634770320843 } },
    { "attention", "heads=2", "q[2,3,4] k[2,5,4] v[2,5,6]", false, 4,
      { 1.05131779705956, -0.463663775268707, -0.434877945137534, 0.225101962182647 } },
    { "attention", "heads=3 causal=true scale=0.7", "q[2,5,6] k[2,4,6] v[2,4,3]", false, 4,
      { 0.354562953314421, 0.140527679564839, 0.523353099568977, -1.75695492030426 } },
    { "attention_qkv", "heads=2", "qkv[3,4,12] lengths[3]:1..4", false, 2, { 1.62628883241697, -0.359941803742284 } },
    { "attention_qkv", "heads=3 causal=true", "qkv[2,5,18]", false, 2, { 7.68491293811696, -0.781942521745259 } },
    { "conv2d", "stride=[2,3] pad=[1,2] dilation=[1,2] groups=2", "x[2,4,5,4] w[6,2,3,2] b[6]", false, 4,
      { 2.21231660148484, 22.3451810881331, 0.0588511969418337, 0.702595433559078 } },
    { "conv2d", "pad=1", "x[1,2,3,3] w[3,2,3,3]", false, 3,
      { 2.40451213445832, 1.78240531557828, 1.86108894272767 } },
    { "conv2d_act", "stride=2 act=tanh", "x[1,2,5,5] w[3,2,3,3] b[3]", false, 4,
      { -0.504287794487048, -6.97771213003252, 0.755134166682696, -1.80939344102374 } },
    { "linear_act", "act=sigmoid", "x[3,4] w[2,4] b[2]", false, 4,
      { 0.300991334869967, 0.698062350570146, 0.250195563823382, 0.0425381662028052 } },
    { "maxpool2d", "kernel=[3,2] stride=2 pad=1", "x[1,2,5,6]", false, 2,
      { 1.88678397853024, -1.38337924142243 } },
    { "avgpool2d", "kernel=[3,2] stride=2 pad=1", "x[1,2,5,6]", false, 2,
      { -0.00890254385936222, 0.113724702709052 } },
    { "avgpool2d", "kernel=3 stride=2 pad=1 count_pad=false", "x[1,2,5,6]", false, 2,
      { -0.0929506498881246, 0.463422898543566 } },
    { "adaptive_avgpool2d", "size=[2,3]", "x[1,2,5,7]", false, 2,
      { 0.0142482581452224, 0.0770297736784391 } },
    { "upsample", "scale=2", "x[1,2,3,4]", false, 2, { -1.58054149376302, 0.0698495294860484 } },
    { "upsample", "size=7", "x[2,3,5]", false, 2, { 6.42136884699101, 0.856006558131683 } },
    { "upsample", "size=[3,11]", "x[1,2,5,7]", false, 2, { -11.3173253549886, 0.426556114497364 } },
    { "upsample", "scale=2 mode=bilinear", "x[1,2,3,4]", false, 2, { -2.60154085247932, -0.0533373635457908 } },
    { "upsample", "size=[3,9] mode=bilinear", "x[1,2,5,4]", false, 2, { -1.00763099555064, 0.0545065491483661 } },
    { "upsample", "size=[7,4] mode=bilinear align_corners=true", "x[1,2,3,5]", false, 2,
      { -0.719250367796097, 0.205260997498031 } },
    { "prelu", NULL, "x[2,3,2] w[3]:0.1..0.4", false, 3,
      { 0.128672119475221, -1.39484997563169, 0.682990340328935 } },
    { "cross_entropy", NULL, "x[5,4]:-2..2 y[5]:0..3", false, 3,
      { 7.2465442028655, 4.60530497001443, 1.06076044647726 } },
    { "cross_entropy", "ignore_index=2 label_smoothing=0.1", "x[2,3,4] y[2,4]:0..2", false, 3,
      { 6.50675655583294, 5.52636596401731, -0.481699381738329 } },
    { "cross_entropy", "ignore_index=1 label_smoothing=0.2", "x[6,3] y[6]:0..2 w[3]:0.5..2", false, 4,
      { 2.24025875277806, 1.32788397463874, -0.587370822398486, -2.09480768896094 } },
    { "cross_entropy", "axis=-1 label_smoothing=0.1", "x[2,3,5] y[2,3]:0..4", false, 3,
      { 8.64302182748167, 5.526365964017311, 0.137603063698974 } },
    { "mse", NULL, "a[2,3] b[2,3]:-2..2", false, 4,
      { 7.60419866707767, 5.52636596401731, -2.04258950302498, 2.04258950302498 } },
    { "l1", NULL, "a[2,3] b[2,3]:-2..2", false, 4,
      { 6.11720889568311, 5.52636596401731, -0.0187516791936267, 0.0187516791936267 } },
    { "huber", "delta=0.5", "a[2,3] b[2,3]:-2..2", false, 4,
      { 2.3700140955984, 5.52636596401731, -0.0141733649480963, 0.0141733649480963 } },
    { "smooth_l1", "beta=0.5", "a[2,3] b[2,3]:-2..2", false, 4,
      { 4.7400281911968, 5.52636596401731, -0.0283467298961926, 0.0283467298961926 } },
    { "bce", NULL, "p[2,3]:0.1..0.9 t[2,3]:0..1", false, 4,
      { 3.52794922845673, 5.52636596401731, 0.971719890808777, -3.56027144443018 } },
    { "bce_logits", "pos_weight=2.5", "x[2,3]:-3..3 t[2,3]:0..1", false, 4,
      { 6.43395099919633, 5.52636596401731, 0.542167443656911, -10.5725484737388 } },
};
enum { N_GOLDENS = sizeof goldens / sizeof *goldens };

static int results(grd_trial *t, const golden *g, double *out)
{
    int n = 0, state = 0;
    fill(t);
    if (g->evaluation) {
        t->args.train = false;
        memset(t->args.next_state, 0, sizeof t->args.next_state);
    }
    grd_trial_forward(t);
    grd_trial_backward(t);
    for (int k = 0; k < t->op->n_out; k++)
        out[n++] = projected(t, t->args.out[k], &t->infer.out[k]);
    for (int i = 0; i < t->n_in; i++)
        if (grd_trial_kind(t, i) == GRD_KIND_STATE && !g->evaluation)
            out[n++] = projected(t, t->args.next_state[state++], &t->in_shape[i]);
    for (int i = 0; i < t->n_in; i++)
        if (t->args.din[i])
            out[n++] = projected(t, t->args.din[i], &t->in_shape[i]);
    return n;
}

static void begin(grd_trial *t, grd_ctx *ctx, const char *op, grd_dtype dtype, const char *attr, const char *in)
{
    const grd_op *row = grd_op_find(ctx, op, dtype);
    assert_non_null(row);
    const grd_op_sample sample = { attr, in };
    if (grd_trial_begin(t, &ctx->host, row, dtype, &sample, 1) != GRD_OK)
        fail_msg("%s %s {%s}: refused: %s", op, in, attr ? attr : "", t->infer.why);
}

static void agree_with_pytorch(grd_dtype dtype, double bound)
{
    grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &exact_memory });
    for (const golden *g = goldens; g < goldens + N_GOLDENS; g++) {
        grd_trial t;
        double out[GRD_MAX_IN + GRD_MAX_OUT + GRD_MAX_STATE];
        begin(&t, ctx, g->op, dtype, g->attr, g->in);
        const int n = results(&t, g, out);
        assert_int_equal(n, g->n);
        for (int k = 0; k < n; k++)
            if (!(fabs(out[k] - g->number[k]) <= bound * (1 + fabs(g->number[k]))))
                fail_msg("%s %s {%s}: number %d is %.15g, PyTorch has %.15g", g->op, g->in, g->attr ? g->attr : "", k, out[k],
                         g->number[k]);
        grd_trial_end(&t);
    }
    grd_close(ctx);
}

static void double_rows_agree_with_pytorch(void **state)
{
    (void)state;
    agree_with_pytorch(GRD_F64, 1e-12);
}

static void float_rows_agree_with_pytorch(void **state)
{
    (void)state;
    agree_with_pytorch(GRD_F32, 1e-5);
}

/* ---- conventions, in double ---- */

#define BEGIN(t, op, attr, in)  \
    grd_ctx *ctx = grd_open(NULL); \
    grd_trial t;                \
    begin(&t, ctx, op, GRD_F64, attr, in)

#define END(t)          \
    grd_trial_end(&(t)); \
    grd_close(ctx)

static double *reals(const void *buffer) { return (double *)(uintptr_t)buffer; }

static void dropout_draws_by_row_and_element(void **state)
{
    (void)state;
    BEGIN(t, "dropout", "p=0.3", "x[5,7]");
    const double *x = t.in[0], *y = reals(t.args.out[0]);
    grd_trial_forward(&t);
    for (uint64_t n = 0; n < 5; n++)
        for (uint64_t e = 0; e < 7; e++) {
            uint32_t word[4];
            grd_random4(&t.args.key, n, e / 4, word);
            const bool kept = grd_uniform(word[e % 4]) >= 0.3;
            assert_true(fabs(y[n * 7 + e] - (kept ? x[n * 7 + e] / 0.7 : 0)) < 1e-15);
        }
    END(t);
}

static void dropout_does_not_depend_on_how_rows_are_cut_into_batches(void **state)
{
    (void)state;
    BEGIN(t, "dropout", NULL, "x[6,9]");
    double whole[54];
    grd_trial_forward(&t);
    memcpy(whole, t.args.out[0], sizeof whole);
    const grd_shape three = { 2, { 3, 9 } };
    t.args.in_shape = t.args.out_shape = &three;
    for (int part = 0; part < 2; part++) {
        grd_args a = t.args;
        a.key.row += 3 * (uint64_t)part;
        a.in[0] = (const double *)t.in[0] + 27 * part;
        t.op->forward(&a);
        assert_memory_equal(t.args.out[0], whole + 27 * part, sizeof whole / 2);
    }
    END(t);
}

static void dropped_channels_are_whole(void **state)
{
    (void)state;
    BEGIN(t, "dropout", "channel=true", "x[40,5,2,3]:1..2");
    int kept = 0;
    grd_trial_forward(&t);
    for (int c = 0; c < 200; c++) {
        const double *y = reals(t.args.out[0]) + 6 * c;
        for (int i = 1; i < 6; i++)
            assert_int_equal(y[i] != 0, y[0] != 0);
        kept += y[0] != 0;
    }
    assert_in_range(kept, 70, 130);
    END(t);
}

static void frozen_batchnorm_leaves_its_state(void **state)
{
    (void)state;
    BEGIN(t, "batchnorm", "frozen=true", "x[4,3] w[3] b[3] mean[3] var[3]:0.5..2 count[1]:3..3");
    grd_trial_forward(&t);
    for (int s = 0; s < 3; s++)
        assert_memory_equal(t.args.next_state[s], t.in[3 + s], sizeof(double) * (s < 2 ? 3 : 1));
    END(t);
}

static void a_batch_of_one_value_is_refused_in_training_only(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op = grd_op_find(ctx, "batchnorm", GRD_F64);
    const grd_shape c = { 1, { 3 } }, in[6] = { { 4, { 1, 3, 1, 1 } }, c, c, c, c, { 1, { 1 } } };
    const grd_f_batchnorm_opts running = { 0.1, 1e-5, false }, frozen = { 0.1, 1e-5, true };
    grd_infer f = { .attr = &running, .n_in = 6, .in = in, .train = true };
    assert_int_equal(op->shape(&f), GRD_ERR_SHAPE);
    assert_non_null(strstr(f.why, "at least 2"));
    f.train = false;
    assert_int_equal(op->shape(&f), GRD_OK);
    f.train = true;
    f.attr = &frozen;
    assert_int_equal(op->shape(&f), GRD_OK);
    grd_close(ctx);
}

static void upsample_says_what_it_cannot_do(void **state)
{
    (void)state;
    static const struct { grd_upsample_opts opts; int rank; const char *why; } refused[] = {
        { { 0 }, 4, "either scale or size" },
        { { .scale = 2, .scale_w = 2, .size = 7, .size_w = 7 }, 4, "either scale or size" },
        { { .scale = 2 }, 4, "1 or more along both" },
        { { .scale = 2, .scale_w = 2 }, 2, "rank 2" },
        { { .scale = 2, .scale_w = 3 }, 3, "found two values" },
        { { .size = 7, .size_w = 7, .mode = 1 }, 3, "nearest only" },
        { { .size = 7, .size_w = 7, .align_corners = true }, 4, "bilinear only" },
        { { .scale = 100000, .scale_w = 100000 }, 4, "an int32" },
        { { .scale = 1000000, .scale_w = 1 }, 4, "an int32" },
    };
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op = grd_op_find(ctx, "upsample", GRD_F64);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const grd_shape in = { refused[i].rank, { 1, 3, 1000, 1000 } };
        grd_infer f = { .attr = &refused[i].opts, .n_in = 1, .in = &in };
        assert_int_equal(op->shape(&f), GRD_ERR_SHAPE);
        assert_non_null(strstr(f.why, refused[i].why));
    }
    grd_close(ctx);
}

static void past_a_length_nothing_matters(const char *op, const char *in)
{
    BEGIN(t, op, NULL, in);
    const int32_t length[3] = { 5, 2, 0 };
    double y[45], h[9], *x = t.in[0];
    memcpy(t.in[5], length, sizeof length);
    grd_trial_forward(&t);
    memcpy(y, t.args.out[0], sizeof y);
    memcpy(h, t.args.out[1], sizeof h);
    for (int n = 0; n < 3; n++)
        for (int s = length[n]; s < 5; s++) {
            for (int k = 0; k < 3; k++)
                assert_true(y[(n * 5 + s) * 3 + k] == 0);
            x[(n * 5 + s) * 2] = x[(n * 5 + s) * 2 + 1] = NAN;
        }
    grd_trial_forward(&t);
    assert_memory_equal(t.args.out[0], y, sizeof y);
    assert_memory_equal(t.args.out[1], h, sizeof h);
    assert_memory_equal(h, y + 4 * 3, 3 * sizeof *h);        /* the last valid steps */
    assert_memory_equal(h + 3, y + (5 + 1) * 3, 3 * sizeof *h);
    grd_trial_backward(&t);
    for (int i = 0; i < 5; i++)
        for (int64_t e = 0; e < grd_count(&t.in_shape[i]); e++)
            assert_true(isfinite(reals(t.args.din[i])[e]));
    for (int e = 4; e < 10; e++)
        assert_true(reals(t.args.din[0])[10 + e] == 0);
    END(t);
}

static void what_lies_past_a_length_does_not_matter(void **state)
{
    (void)state;
    past_a_length_nothing_matters("lstm", "x[3,5,2] w_ih[12,2] w_hh[12,3] b_ih[12] b_hh[12] lengths[3]");
    past_a_length_nothing_matters("gru", "x[3,5,2] w_ih[9,2] w_hh[9,3] b_ih[9] b_hh[9] lengths[3]");
}

static void the_border_never_wins_a_maximum(void **state)
{
    (void)state;
    BEGIN(t, "maxpool2d", "kernel=3 stride=1 pad=1", "x[1,1,2,2]:-9..-1");
    const double x[4] = { -4, -3, -INFINITY, -7 };
    memcpy(t.in[0], x, sizeof x);
    grd_trial_forward(&t);
    for (int i = 0; i < 4; i++)
        assert_true(reals(t.args.out[0])[i] == -3);
    END(t);
}

static void an_index_out_of_range_gives_nan_and_no_gradient(void **state)
{
    (void)state;
    BEGIN(t, "embedding", NULL, "index[3]:0..1 w[2,2]");
    const int32_t index[3] = { -1, 1, 2 };
    memcpy(t.in[0], index, sizeof index);
    grd_trial_forward(&t);
    grd_trial_backward(&t);
    const double *y = reals(t.args.out[0]), *dy = reals(t.args.dout[0]), *dw = reals(t.args.din[1]);
    for (int i = 0; i < 6; i++)
        assert_int_equal(isnan(y[i]) != 0, i / 2 != 1);
    assert_true(dw[0] == 0 && dw[1] == 0 && dw[2] == dy[2] && dw[3] == dy[3]);
    END(t);
}

static void the_padding_row_gets_no_gradient(void **state)
{
    (void)state;
    BEGIN(t, "embedding", "padding_idx=1", "index[3]:1..1 w[2,2]");
    grd_trial_forward(&t);
    grd_trial_backward(&t);
    assert_memory_equal(t.args.out[0], (const double *)t.in[1] + 2, 2 * sizeof(double));
    for (int i = 0; i < 4; i++)
        assert_true(reals(t.args.din[1])[i] == 0);
    END(t);
}

static void a_label_that_is_no_class_makes_the_loss_nan(void **state)
{
    (void)state;
    static const char *const loss[] = { "cross_entropy", "focal" };
    static const int32_t bad[] = { 3, -1, INT32_MAX, INT32_MIN };
    for (int k = 0; k < 8; k++) {
        BEGIN(t, loss[k % 2], NULL, "x[2,3] y[2]:0..2");
        ((int32_t *)t.in[1])[1] = bad[k / 2];
        grd_trial_forward(&t);
        grd_trial_backward(&t);
        assert_true(isnan(reals(t.args.out[0])[0]));
        for (int i = 0; i < 6; i++)
            assert_int_equal(isnan(reals(t.args.din[0])[i]) != 0, i >= 3);
        END(t);
    }
}

static void ignored_labels_count_nothing(void **state)
{
    (void)state;
    static const char *const loss[] = { "cross_entropy", "focal" };
    for (int k = 0; k < 2; k++) {
        BEGIN(t, loss[k], NULL, "x[2,3] y[2]:-100..-100");
        grd_trial_forward(&t);
        grd_trial_backward(&t);
        assert_true(reals(t.args.out[0])[0] == 0 && reals(t.args.out[1])[0] == 0);
        for (int i = 0; i < 6; i++)
            assert_true(reals(t.args.din[0])[i] == 0);
        END(t);
    }
}

static void focal_without_focus_is_cross_entropy(void **state)
{
    (void)state;
    BEGIN(t, "focal", "gamma=0", "x[5,4] y[5]:0..3");
    grd_trial c;
    begin(&c, ctx, "cross_entropy", GRD_F64, NULL, "x[5,4] y[5]:0..3");
    fill(&t);
    fill(&c);
    grd_trial_forward(&t);
    grd_trial_backward(&t);
    grd_trial_forward(&c);
    grd_trial_backward(&c);
    assert_true(fabs(reals(t.args.out[0])[0] - reals(c.args.out[0])[0]) < 1e-14);
    for (int i = 0; i < 20; i++)
        assert_true(fabs(reals(t.args.din[0])[i] - reals(c.args.din[0])[i]) < 1e-15);
    grd_trial_end(&c);
    END(t);
}

static void a_loss_whose_sum_is_not_read_has_no_gradient(void **state)
{
    (void)state;
    static const char *const loss[][2] = { { "cross_entropy", "x[2,3] y[2]:0..2" }, { "focal", "x[2,3] y[2]:0..2" },
                                           { "mse", "a[2,3] b[2,3]" }, { "bce_logits", "a[2,3] b[2,3]" } };
    for (int k = 0; k < 4; k++) {
        BEGIN(t, loss[k][0], NULL, loss[k][1]);
        grd_trial_forward(&t);
        t.args.dout[0] = NULL;
        grd_trial_backward(&t);
        for (int i = 0; i < 6; i++)
            assert_true(reals(t.args.din[0])[i] == 0);
        END(t);
    }
}

static void losses_of_extreme_inputs_are_finite(void **state)
{
    (void)state;
    BEGIN(t, "bce_logits", NULL, "x[4] t[4]:0..1");
    const double x[4] = { 1e4, -1e4, 1e4, -1e4 }, target[4] = { 0, 1, 1, 0 };
    memcpy(t.in[0], x, sizeof x);
    memcpy(t.in[1], target, sizeof target);
    grd_trial_forward(&t);
    grd_trial_backward(&t);
    assert_true(reals(t.args.out[0])[0] == 2e4);
    grd_trial c;
    begin(&c, ctx, "bce", GRD_F64, NULL, "p[2] t[2]");
    memcpy(c.in[0], (double[]){ 0, 1 }, 2 * sizeof(double));
    memcpy(c.in[1], (double[]){ 1, 0 }, 2 * sizeof(double));
    grd_trial_forward(&c);
    assert_true(reals(c.args.out[0])[0] == 200); /* logarithms not below -100 */
    reals(c.in[0])[0] = 1.5;
    grd_trial_forward(&c);
    assert_true(isnan(reals(c.args.out[0])[0]));
    grd_trial_end(&c);
    END(t);
}

static void a_mixed_loss_normalises_term_by_term(void **state)
{
    (void)state;
    BEGIN(t, "loss_mix", "factor=[2,3,5]", "s[]:8..8 n[]:4..4 t[]:5..5 m[]:10..10 u[]:7..7 k[]:0..0");
    for (int i = 0; i < t.n_in; i++)
        reals(t.in[i])[0] = t.range[i].lo;
    grd_trial_forward(&t);
    assert_true(reals(t.args.out[0])[0] == 2 * 8 + 3 * 5 * 4 / 10.0); /* the term of weight 0 counts 0 */
    assert_true(reals(t.args.out[1])[0] == 4);
    END(t);
}

static void accuracy_and_confusion_count(void **state)
{
    (void)state;
    const double x[12] = { 1, 1, 0, 0, 2, 1, NAN, 0, 0, 3, 1, 2 };
    const int32_t y[4] = { 0, 2, 0, -100 };
    BEGIN(t, "accuracy", NULL, "x[4,3] y[4]");
    memcpy(t.in[0], x, sizeof x);
    memcpy(t.in[1], y, sizeof y);
    grd_trial_forward(&t);
    assert_true(reals(t.args.out[0])[0] == 1 && reals(t.args.out[1])[0] == 3); /* of equals the first; NaN is a miss */
    grd_trial c;
    begin(&c, ctx, "confusion", GRD_F64, NULL, "x[4,3] y[4]");
    memcpy(c.in[0], x, sizeof x);
    memcpy(c.in[1], y, sizeof y);
    grd_trial_forward(&c);
    for (int i = 0; i < 9; i++)
        assert_true(reals(c.args.out[0])[i] == (i == 0 || i == 7));
    grd_trial_end(&c);
    END(t);
}

static void one_output_is_compared_with_the_threshold(void **state)
{
    (void)state;
    static const char *const in[] = { "x[4] y[4]", "x[4,1] y[4]" };
    const double x[4] = { 0.4, 0.5, 0.9, -3 };
    const int32_t y[4] = { 1, 1, 0, 0 };
    for (int k = 0; k < 2; k++) {
        BEGIN(t, "accuracy", "threshold=0.5", in[k]);
        memcpy(t.in[0], x, sizeof x);
        memcpy(t.in[1], y, sizeof y);
        grd_trial_forward(&t);
        assert_true(reals(t.args.out[0])[0] == 2 && reals(t.args.out[1])[0] == 4);
        END(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_rows_agree_with_pytorch),
        cmocka_unit_test(float_rows_agree_with_pytorch),
        cmocka_unit_test(dropout_draws_by_row_and_element),
        cmocka_unit_test(dropout_does_not_depend_on_how_rows_are_cut_into_batches),
        cmocka_unit_test(dropped_channels_are_whole),
        cmocka_unit_test(frozen_batchnorm_leaves_its_state),
        cmocka_unit_test(a_batch_of_one_value_is_refused_in_training_only),
        cmocka_unit_test(upsample_says_what_it_cannot_do),
        cmocka_unit_test(what_lies_past_a_length_does_not_matter),
        cmocka_unit_test(the_border_never_wins_a_maximum),
        cmocka_unit_test(an_index_out_of_range_gives_nan_and_no_gradient),
        cmocka_unit_test(the_padding_row_gets_no_gradient),
        cmocka_unit_test(a_label_that_is_no_class_makes_the_loss_nan),
        cmocka_unit_test(ignored_labels_count_nothing),
        cmocka_unit_test(focal_without_focus_is_cross_entropy),
        cmocka_unit_test(a_loss_whose_sum_is_not_read_has_no_gradient),
        cmocka_unit_test(losses_of_extreme_inputs_are_finite),
        cmocka_unit_test(a_mixed_loss_normalises_term_by_term),
        cmocka_unit_test(accuracy_and_confusion_count),
        cmocka_unit_test(one_output_is_compared_with_the_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
