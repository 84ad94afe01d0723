/* Every backend against the double rows: on each sample that it accepts, forward and backward, with one thread and two, for the
 * sample's batch and for larger and odd ones, all gradients wanted or some, pictures plain or blocked by channel. */
#include "helper_rows.h"

#include "backend/backend.h"
#include "base/ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One sample on one backend. What the backend is to read and what it wrote are converted from and to plain. */
typedef struct bench {
    grd_host *host;
    const grd_backend *backend;
    int threads;
    int lanes;             /* pictures are offered as nChw16c, nChw8c; 0: everything plain */
    grd_trial f, d;        /* float, whose buffers all lie plain; double */
    void *owned[512];
    int n_owned;
    double worst;          /* of the row's bound; where an implementation states its own, in proportion */
    int passes;            /* that the backend ran */
} bench;

static const grd_layout plain;

/* Memory of exactly that size, all NaN. */
static void *take(bench *b, size_t bytes)
{
    assert_true(b->n_owned < (int)(sizeof b->owned / sizeof *b->owned));
    void *memory = grd_alloc(b->host, bytes);
    assert_non_null(memory);
    memset(memory, 0xff, bytes);
    return b->owned[b->n_owned++] = memory;
}

static void let_go(bench *b)
{
    while (b->n_owned > 0)
        grd_free(b->host, b->owned[--b->n_owned]);
}

static void *take_in(bench *b, const grd_layout *layout, const grd_shape *shape)
{
    return take(b, grd_layout_bytes(layout, shape, sizeof(float)));
}

static const void *as_wanted(bench *b, const grd_layout *want, const void *memory, const grd_shape *shape)
{
    assert_int_not_equal(want->kind, GRD_LAYOUT_OPAQUE); /* nobody could bring a value into it */
    if (want->kind == GRD_LAYOUT_PLAIN || !memory)
        return memory;
    void *copy = take_in(b, want, shape);
    grd_layout_copy(&plain, memory, want, copy, shape, sizeof(float));
    return copy;
}

/* nChw16c or nChw8c. */
static grd_layout blocked(const grd_shape *shape, int lanes)
{
    grd_layout l = { .kind = GRD_LAYOUT_BLOCKED, .n_inner = 1, .inner_dim = { 1 }, .inner_size = { lanes } };
    int64_t stride = lanes;
    for (int i = shape->rank - 1; i >= 0; i--) {
        int64_t blocks = i == 1 ? (shape->dim[i] + lanes - 1) / lanes : shape->dim[i];
        l.padded[i] = i == 1 ? blocks * lanes : blocks;
        l.stride[i] = stride;
        stride *= blocks;
    }
    l.bytes = sizeof(float) * (size_t)stride;
    return l;
}

/* own: the bound its implementation states; 0 = the row's. */
static void judge(bench *b, double own, const grd_layout *layout, const void *got, const void *wanted, const grd_shape *shape,
                  const char *what)
{
    assert_int_not_equal(layout->kind, GRD_LAYOUT_OPAQUE);
    if (layout->kind != GRD_LAYOUT_PLAIN) {
        void *copy = take_in(b, &plain, shape);
        grd_layout_copy(layout, got, &plain, copy, shape, sizeof(float));
        void *again = take_in(b, layout, shape);
        grd_layout_copy(&plain, copy, layout, again, shape, sizeof(float));
        if (memcmp(got, again, layout->bytes) != 0)
            fail_msg("%s on %s, %s: padding is not zero", b->f.op->name, b->backend->name, what);
        got = copy;
    }
    const double error = relative_error(&b->f, got, &b->d, wanted, grd_count(shape));
    const double bound = own > 0 ? own : row_bound(b->f.op), counts = error * row_bound(b->f.op) / bound;
    char text[80];
    if (!(error <= bound))
        print_error("%s on %s, %s %s: error %.3g, bound %.3g\n", b->f.op->name, b->backend->name, what,
                    grd_shape_text(shape, text, sizeof text), error, bound);
    b->worst = counts > b->worst ? counts : b->worst;
}

/* ---- one pass ---- */

static bool prepare(bench *b, grd_impl *impl, grd_pass pass, const grd_impl *forward, unsigned want_din)
{
    static const grd_layout none[GRD_MAX_IN];
    grd_layout offered[GRD_MAX_IN];
    const grd_trial *t = &b->f;
    for (int i = 0; i < t->n_in; i++)
        offered[i] = b->lanes && t->in_shape[i].rank == 4 ? blocked(&t->in_shape[i], b->lanes) : plain;
    const grd_env env = { .host = b->host, .threads = b->threads };
    grd_node node = { .op = t->op, .attr = t->attr, .path = "sample", .dtype = GRD_F32, .train = true, .n_in = t->n_in,
                      .n_out = t->op->n_out, .in_shape = t->in_shape, .out_shape = t->infer.out, .want_din = want_din,
                      .in_layout = forward ? forward->in : offered, .out_layout = forward ? forward->out : none,
                      .dout_layout = none, .forward = forward };
    for (int k = 0; pass == GRD_BACKWARD && k < t->op->n_out; k++)
        node.have_dout |= t->args.dout[k] ? 1u << k : 0;
    memset(impl, 0, sizeof *impl);
    impl->backend = b->backend;
    impl->run = b->backend->run;
    impl->threads = b->threads;
    impl->save = t->infer.save;
    impl->scratch = pass == GRD_FORWARD ? t->infer.scratch : t->infer.scratch_back;
    const char *refusal = b->backend->prepare(impl, &node, pass, &env);
    assert_true(!refusal || *refusal);
    return !refusal;
}

static grd_args common(bench *b, const grd_impl *impl)
{
    grd_args args = b->f.args;
    args.threads = impl->threads;
    args.scratch = take(b, impl->scratch);
    for (int i = 0; i < b->f.n_in; i++)
        args.in[i] = as_wanted(b, &impl->in[i], args.in[i], &b->f.in_shape[i]);
    return args;
}

/* Returns what it left for backward. */
static void *run_forward(bench *b, const grd_impl *impl)
{
    grd_args args = common(b, impl);
    args.save = take(b, impl->save);
    for (int k = 0; k < args.n_out; k++)
        args.out[k] = take_in(b, &impl->out[k], &args.out_shape[k]);
    for (int k = 0, i = 0; i < args.n_in; i++)
        if (grd_trial_kind(&b->f, i) == GRD_KIND_STATE)
            args.next_state[k++] = take_in(b, &plain, &args.in_shape[i]);
    impl->run(impl, &args);
    for (int k = 0; k < args.n_out; k++)
        judge(b, impl->bound, &impl->out[k], args.out[k], b->d.args.out[k], &args.out_shape[k], "output");
    for (int k = 0, i = 0; i < args.n_in; i++)
        if (grd_trial_kind(&b->f, i) == GRD_KIND_STATE) {
            judge(b, impl->bound, &plain, args.next_state[k], b->d.args.next_state[k], &args.in_shape[i], "next state");
            k++;
        }
    b->passes++;
    return args.save;
}

static void run_backward(bench *b, const grd_impl *impl, unsigned want_din, void *save)
{
    grd_args args = common(b, impl);
    args.save = save;
    for (int k = 0; k < args.n_out; k++) {
        args.out[k] = (void *)(uintptr_t)as_wanted(b, &impl->out[k], args.out[k], &args.out_shape[k]);
        args.dout[k] = as_wanted(b, &impl->dout[k], args.dout[k], &args.out_shape[k]);
    }
    for (int i = 0; i < args.n_in; i++)
        args.din[i] = args.din[i] && (want_din & 1u << i) ? take_in(b, &impl->din[i], &args.in_shape[i]) : NULL;
    impl->run(impl, &args);
    for (int i = 0; i < args.n_in; i++)
        if (args.din[i])
            judge(b, impl->bound, &impl->din[i], args.din[i], b->d.args.din[i], &args.in_shape[i], "gradient of input");
    b->passes++;
}

/* ---- both passes, in all mixtures with the row's own kernels ---- */

static void try_backward(bench *b, const grd_impl *forward, void *save, unsigned want_din)
{
    grd_impl backward;
    if (!want_din)
        return;
    if (prepare(b, &backward, GRD_BACKWARD, forward, want_din)) {
        run_backward(b, &backward, want_din, save);
        b->backend->drop(&backward, b->host);
    } else {
        assert_false(forward && forward->private_save); /* who keeps its own notes must be able to read them */
    }
}

static void try_both(bench *b)
{
    grd_impl forward;
    void *save = b->f.args.save;
    const grd_op *op = b->f.op;
    unsigned real_inputs = 0;
    for (int i = 0; i < b->f.n_in; i++)
        real_inputs |= b->f.args.din[i] ? 1u << i : 0;
    const bool accepted = prepare(b, &forward, GRD_FORWARD, NULL, 0);
    if (accepted)
        save = run_forward(b, &forward);
    if (!(op->flags & GRD_NO_GRAD)) {
        try_backward(b, accepted ? &forward : NULL, save, real_inputs);
        for (int i = 0; i < b->f.n_in; i++) {
            try_backward(b, accepted ? &forward : NULL, save, real_inputs & 1u << i);
            try_backward(b, accepted ? &forward : NULL, save, real_inputs & ~(1u << i));
            let_go(b);
            if (accepted)
                save = run_forward(b, &forward);
        }
        if (accepted && !forward.private_save) { /* the row's own backward goes on from there */
            memcpy(b->f.args.save, save, b->f.infer.save);
            grd_trial_backward(&b->f);
            for (int i = 0; i < b->f.n_in; i++)
                if (b->f.args.din[i])
                    judge(b, 0, &plain, b->f.args.din[i], b->d.args.din[i], &b->f.in_shape[i],
                          "gradient, after its forward, of input");
        }
    }
    let_go(b);
    if (accepted)
        b->backend->drop(&forward, b->host);
}

/* Whether the backend takes the sample in any way: else nothing need be computed. */
static bool accepts(bench *b)
{
    for (int pass = GRD_FORWARD; pass <= GRD_BACKWARD; pass++) {
        grd_impl impl;
        if (pass == GRD_BACKWARD && (b->f.op->flags & GRD_NO_GRAD))
            continue;
        if (prepare(b, &impl, (grd_pass)pass, NULL, GRD_ALL)) {
            b->backend->drop(&impl, b->host);
            return true;
        }
    }
    return false;
}

static void try_sample(bench *b, const grd_op *op, const grd_op *wide, const grd_op_sample *sample, int64_t batch, bool all)
{
    assert_int_equal(grd_trial_open(&b->f, b->host, op, GRD_F32, sample), GRD_OK);
    assert_int_equal(grd_trial_open(&b->d, b->host, wide, GRD_F64, sample), GRD_OK);
    if (batch) {
        set_batch(&b->f, batch, all);
        set_batch(&b->d, batch, all);
    }
    if (grd_trial_make(&b->f, 11) != GRD_OK) {
        assert_true(batch > 0); /* as it stands every sample is accepted */
    } else if (accepts(b)) {
        assert_int_equal(grd_trial_make(&b->d, 11), GRD_OK);
        grd_trial_forward(&b->f); /* what a backward reads that begins with the row's own forward */
        grd_trial_forward(&b->d);
        if (!(op->flags & GRD_NO_GRAD))
            grd_trial_backward(&b->d);
        try_both(b);
    }
    grd_trial_end(&b->f);
    grd_trial_end(&b->d);
}

static void backends_agree(int threads)
{
    grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &exact_memory });
    int beyond = 0;
    for (const grd_backend *const *backend = grd_backends; *backend; backend++) {
        const grd_op *op;
        int passes = 0;
        if (threads > 1 && *backend == &grd_backend_ref)
            continue; /* serial */
        for (int i = 0; (op = grd_op_at(ctx, i, GRD_F32)); i++) {
            const grd_op *wide = grd_op_at(ctx, i, GRD_F64);
            bench b = { .host = &ctx->host, .backend = *backend, .threads = threads };
            for (int s = 0; s < op->n_samples; s++) {
                try_sample(&b, op, wide, &op->samples[s], 0, false);
                if (*backend == &grd_backend_ref)
                    continue; /* the rows' own kernels: test_rows has seen them in other shapes */
                for (int64_t batch = 1; batch < 300; batch = batch * 12 + 1)
                    for (int all = 0; all < 2; all++)
                        try_sample(&b, op, wide, &op->samples[s], batch, all);
                for (b.lanes = 8; b.lanes <= 16; b.lanes += 8)
                    for (int64_t batch = 0; batch < 20; batch += 7)
                        try_sample(&b, op, wide, &op->samples[s], batch, batch == 14);
                b.lanes = 0;
            }
            passes += b.passes;
            beyond += !(b.worst <= row_bound(op));
        }
        print_message("%s, %d threads: %d passes\n", (*backend)->name, threads, passes);
        assert_true(passes > 0);
    }
    grd_close(ctx);
    assert_int_equal(beyond, 0);
}

static void every_backend_agrees_with_double_on_one_thread(void **state)
{
    (void)state;
    backends_agree(1);
}

static void every_backend_agrees_with_double_on_two_threads(void **state)
{
    (void)state;
    backends_agree(2);
}

/* Sizes that a sample should not have, since gradients by differences would take too long: many tiles, masks that cut through
 * them, rows in the thousands. */
static void backends_agree_where_work_is_cut_into_pieces(void **state)
{
    static const struct { const char *op; grd_op_sample sample; } cases[] = {
        { "attention", { "heads=2", "q[2,70,8] k[2,600,8] v[2,600,6]" } },
        { "attention", { "causal=true", "q[1,560,4] k[1,540,4] v[1,540,5]" } },
        { "attention", { "causal=true", "q[1,130,3] k[1,300,3] v[1,300,3]" } },
        { "attention", { "heads=3", "q[3,65,6] k[3,130,6] v[3,130,6] lengths[3]:0..130" } },
        { "attention_qkv", { "heads=4 causal=true", "qkv[2,128,96]" } },
        { "attention_qkv", { "heads=2 causal=true", "qkv[3,200,12] lengths[3]:1..200" } },
        { "lstm", { NULL, "x[7,20,10] w_ih[128,10] w_hh[128,32] b_ih[128] b_hh[128] lengths[7]:0..20" } },
        { "lstm", { NULL, "x[9,11,33] w_ih[512,33]:-0.3..0.3 w_hh[512,128]:-0.3..0.3" } },
        { "gru", { NULL, "x[7,20,10] w_ih[96,10] w_hh[96,32] b_ih[96] b_hh[96] lengths[7]:0..20" } },
        { "gru", { NULL, "x[9,11,33] w_ih[1536,33]:-0.3..0.3 w_hh[1536,512]:-0.1..0.1" } },
        { "layernorm", { NULL, "x[300,129] w[129] b[129]" } },
        { "layernorm", { "dims=2", "x[5,40,70] w[40,70]" } },
        { "softmax", { NULL, "x[200,150]:-9..9" } },
        { "log_softmax", { NULL, "x[200,150]:-9..9" } },
        { "cross_entropy", { "axis=-1 ignore_index=3", "x[9,50,65]:-9..9 y[9,50]:0..64" } },
        { "embedding", { "padding_idx=1", "index[50,40]:0..99 w[100,33]" } },
        { "add", { NULL, "a[20,40,60] b[40,60]" } },
        { "sub", { NULL, "a[300,130] b[1,130]" } },
        { "mul", { NULL, "a[300,130] b[300,130]" } },
        { "gelu", { NULL, "x[300,130]:-9..9" } },
        { "tanh", { NULL, "x[300,130]:-9..9" } },
    };
    (void)state;
    grd_ctx *ctx = grd_open(&(grd_opts){ .allocator = &exact_memory });
    for (const grd_backend *const *backend = grd_backends; *backend != &grd_backend_ref; backend++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            for (int threads = 1; threads <= 2; threads++) {
                const grd_op *op = grd_op_find(ctx, cases[i].op, GRD_F32);
                bench b = { .host = &ctx->host, .backend = *backend, .threads = threads };
                try_sample(&b, op, grd_op_find(ctx, cases[i].op, GRD_F64), &cases[i].sample, 0, false);
                assert_true(b.worst <= row_bound(op));
            }
        }
    }
    grd_close(ctx);
}

/* ref takes whatever there is, in both passes. */
static void the_reference_accepts_every_row(void **state)
{
    (void)state;
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op;
    for (int i = 0; (op = grd_op_at(ctx, i, GRD_F32)); i++) {
        bench b = { .host = &ctx->host, .backend = &grd_backend_ref, .threads = 1 };
        assert_int_equal(grd_trial_begin(&b.f, b.host, op, GRD_F32, &op->samples[0], 1), GRD_OK);
        for (int pass = GRD_FORWARD; pass <= GRD_BACKWARD; pass++) {
            grd_impl impl;
            if (pass == GRD_BACKWARD && (op->flags & GRD_NO_GRAD))
                continue;
            assert_true(prepare(&b, &impl, (grd_pass)pass, NULL, 1));
            grd_backend_ref.drop(&impl, b.host);
        }
        grd_trial_end(&b.f);
    }
    grd_close(ctx);
}

/* ---- a planted slip ---- */

static void wrong_run(const grd_impl *impl, const grd_args *args)
{
    (void)impl;
    const float *x = args->in[0];
    for (int64_t i = 0; i < grd_count(args->in_shape); i++)
        ((float *)(void *)args->out[0])[i] = x[i] * x[i] + 1e-4f;
}

static const char *wrong_prepare(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)
{
    (void)impl;
    (void)env;
    return pass == GRD_FORWARD && strcmp(node->op->name, "square") == 0 ? NULL : "not this one";
}

static void wrong_drop(grd_impl *impl, grd_host *host)
{
    (void)impl;
    (void)host;
}

static void a_backend_that_is_off_is_seen(void **state)
{
    (void)state;
    static const grd_backend wrong = { "wrong", wrong_prepare, wrong_run, wrong_drop };
    grd_ctx *ctx = grd_open(NULL);
    const grd_op *op = grd_op_find(ctx, "square", GRD_F32);
    bench b = { .host = &ctx->host, .backend = &wrong, .threads = 1 };
    try_sample(&b, op, grd_op_find(ctx, "square", GRD_F64), &op->samples[0], 0, false);
    assert_true(b.passes > 0 && b.worst > row_bound(op));
    grd_close(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_accepts_every_row),
        cmocka_unit_test(a_backend_that_is_off_is_seen),
        cmocka_unit_test(every_backend_agrees_with_double_on_one_thread),
        cmocka_unit_test(backends_agree_where_work_is_cut_into_pieces),
        cmocka_unit_test(every_backend_agrees_with_double_on_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
