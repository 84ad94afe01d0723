#define _GNU_SOURCE
#include "helper_rows.h"

#include "op/registry.h"

#include <gradus/plan.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *exact_alloc(void *user, size_t bytes)
{
    void *memory;
    (void)user;
    return posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

static void exact_free(void *user, void *memory)
{
    (void)user;
    free(memory);
}

const grd_allocator exact_memory = { exact_alloc, exact_free, NULL };

double row_bound(const grd_op *op) { return op->bound_f32 > 0 ? op->bound_f32 : 1e-5; }

static bool differentiable(const grd_op *op) { return !(op->flags & GRD_NO_GRAD); }

static bool say(row_case *c, const char *format, ...) GRD_PRINTF(2, 3);
static bool say(row_case *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = snprintf(c->why, sizeof c->why, "sample %s {%s}: ", c->sample->in, c->sample->attr ? c->sample->attr : "");
    if (n > 0 && n < (int)sizeof c->why)
        vsnprintf(c->why + n, sizeof c->why - (size_t)n, format, args);
    va_end(args);
    return true;
}

static bool begin(row_case *c, grd_trial *t)
{
    if (grd_trial_begin(t, c->host, c->op, c->dtype, c->sample, c->seed) == GRD_OK)
        return true;
    say(c, "is refused: %s", *t->infer.why ? t->infer.why : c->host->err.text);
    grd_trial_end(t);
    return false;
}

/* Opens the trial `t`; a check ends here if the row refuses its own sample. */
#define BEGIN(c, t)        \
    grd_trial t;           \
    if (!begin((c), &(t))) \
    return true

/* ---- buffers compared bit by bit ---- */

typedef struct snapshot {
    void *buffer[GRD_MAX_IN];
    size_t bytes[GRD_MAX_IN];
    int n;
} snapshot;

static void keep(snapshot *s, const void *memory, size_t bytes)
{
    s->buffer[s->n] = malloc(bytes ? bytes : 1);
    memcpy(s->buffer[s->n], memory, bytes);
    s->bytes[s->n++] = bytes;
}

static void drop(snapshot *s)
{
    while (s->n > 0)
        free(s->buffer[--s->n]);
}

static size_t in_bytes(const grd_trial *t, int i)
{
    return (size_t)grd_count(&t->in_shape[i]) * (grd_trial_kind(t, i) == GRD_KIND_INDEX ? sizeof(int32_t) : t->element);
}

static size_t out_bytes(const grd_trial *t, int k) { return (size_t)grd_count(&t->infer.out[k]) * t->element; }

static snapshot keep_outputs(const grd_trial *t)
{
    snapshot s = { .n = 0 };
    for (int k = 0; k < t->op->n_out; k++)
        keep(&s, t->args.out[k], out_bytes(t, k));
    return s;
}

static snapshot keep_gradients(const grd_trial *t)
{
    snapshot s = { .n = 0 };
    for (int i = 0; i < t->n_in; i++)
        if (t->args.din[i])
            keep(&s, t->args.din[i], in_bytes(t, i));
    return s;
}

/* Compares and lets go of both. */
static bool same(snapshot *a, snapshot *b)
{
    bool equal = a->n == b->n;
    for (int i = 0; equal && i < a->n; i++)
        equal = a->bytes[i] == b->bytes[i] && memcmp(a->buffer[i], b->buffer[i], a->bytes[i]) == 0;
    drop(a);
    drop(b);
    return equal;
}

static snapshot outputs(grd_trial *t)
{
    grd_trial_forward(t);
    return keep_outputs(t);
}

static snapshot gradients(grd_trial *t)
{
    grd_trial_backward(t);
    return keep_gradients(t);
}

static snapshot outputs_then_gradients(grd_trial *t)
{
    grd_trial_forward(t);
    return gradients(t);
}

static void run(grd_trial *t)
{
    grd_trial_forward(t);
    if (differentiable(t->op))
        grd_trial_backward(t);
}

static bool has_nan(const grd_trial *t, const void *reals, int64_t n)
{
    bool found = false;
    for (int64_t e = 0; e < n; e++)
        found = found || isnan(grd_trial_get(t, reals, e));
    return found;
}

/* ---- the promises ---- */

static bool wrong_gradient(row_case *c)
{
    double error = 1;
    if (c->dtype != GRD_F64)
        return false;
    BEGIN(c, t);
    grd_trial_gradient_error(&t, GRD_TRIAL_ELEMENTS, 1e-12, &error);
    grd_trial_end(&t);
    return !(error <= GRD_GRADCHECK_BOUND) && say(c, "gradient error %.3g, bound %.3g", error, GRD_GRADCHECK_BOUND);
}

/* What is not to be read is spoilt: NaN, or for indices another one of their range. */
static void spoil_input(grd_trial *t, int i)
{
    if (grd_trial_kind(t, i) != GRD_KIND_INDEX) {
        memset(t->in[i], 0xff, in_bytes(t, i));
        return;
    }
    int32_t *index = t->in[i], lo = (int32_t)t->range[i].lo, hi = (int32_t)t->range[i].hi;
    for (int64_t e = 0; e < grd_count(&t->in_shape[i]); e++)
        index[e] = index[e] == lo ? hi : lo;
}

static bool reads_more(row_case *c)
{
    if (!differentiable(c->op))
        return false;
    BEGIN(c, t);
    snapshot clean = outputs_then_gradients(&t);
    for (int i = 0; i < t.n_in; i++)
        if (!(c->op->bwd_in & 1u << i))
            spoil_input(&t, i);
    for (int k = 0; k < c->op->n_out; k++)
        if (!(c->op->bwd_out & 1u << k))
            memset(t.args.out[k], 0xff, out_bytes(&t, k));
    if (!(c->op->flags & GRD_BWD_SAVE))
        memset(t.args.save, 0xff, t.infer.save);
    snapshot spoilt = gradients(&t);
    grd_trial_end(&t);
    return !same(&clean, &spoilt) && say(c, "backward reads what the row says it does not");
}

/* Backward writes: what was in the buffers does not matter, be it NaN, numbers or what it wrote before. */
static bool adds(row_case *c)
{
    if (!differentiable(c->op))
        return false;
    BEGIN(c, t);
    bool broken = false;
    run(&t);
    for (int pass = 0; pass < 3; pass++) {
        snapshot before = keep_gradients(&t);
        for (int i = 0; pass == 1 && i < t.n_in; i++)
            for (int64_t e = 0; t.args.din[i] && e < grd_count(&t.in_shape[i]); e++)
                grd_trial_set(&t, t.args.din[i], e, 7.25);
        memset(t.scratch_back, pass == 2 ? 0x11 : 0xff, t.infer.scratch_back);
        t.args.scratch = t.scratch_back;
        c->op->backward(&t.args);
        snapshot after = keep_gradients(&t);
        broken = !same(&before, &after) || broken;
    }
    grd_trial_end(&t);
    return broken && say(c, "backward depends on what was in its buffers");
}

/* A gradient that is not wanted (NULL) is skipped, the others keep their bits: each left out in turn, then each alone. */
static bool needs_all(row_case *c)
{
    if (!differentiable(c->op))
        return false;
    BEGIN(c, t);
    bool broken = false;
    grd_real *own[GRD_MAX_IN];
    memcpy(own, t.args.din, sizeof own);
    for (int pass = 0; pass < 2 * t.n_in; pass++) {
        const int chosen = pass / 2;
        memcpy(t.args.din, own, sizeof own);
        grd_trial_forward(&t);
        grd_trial_backward(&t);
        for (int i = 0; i < t.n_in; i++)
            if ((i == chosen) == (pass % 2 == 0))
                t.args.din[i] = NULL;
        snapshot with_all = keep_gradients(&t), with_some = gradients(&t);
        broken = !same(&with_all, &with_some) || broken;
    }
    grd_trial_end(&t);
    return broken && say(c, "gradients change when another one is not wanted");
}

/* An output without a gradient (NULL) counts as one whose gradient is zero. */
static bool needs_all_outputs(row_case *c)
{
    if (!differentiable(c->op) || c->op->n_out == 1 || (c->op->flags & GRD_LOSS))
        return false;
    BEGIN(c, t);
    bool broken = false;
    grd_trial_forward(&t);
    for (int k = 0; k < c->op->n_out; k++) {
        const grd_real *own = t.args.dout[k];
        void *zeros = calloc(1, out_bytes(&t, k));
        t.args.dout[k] = zeros;
        snapshot zero = gradients(&t);
        t.args.dout[k] = NULL;
        snapshot none = gradients(&t);
        t.args.dout[k] = own;
        free(zeros);
        broken = !same(&zero, &none) || broken;
    }
    grd_trial_end(&t);
    return broken && say(c, "an output without gradient is not one whose gradient is zero");
}

static bool spoilt_in_place(row_case *c)
{
    BEGIN(c, t);
    const bool fits = in_bytes(&t, 0) == out_bytes(&t, 0);
    bool broken = false;
    if ((c->op->flags & GRD_INPLACE) && fits) {
        snapshot apart = outputs(&t);
        memcpy(t.args.out[0], t.in[0], in_bytes(&t, 0));
        t.args.in[0] = t.args.out[0];
        snapshot over = outputs(&t);
        t.args.in[0] = t.in[0];
        broken = !same(&apart, &over) && say(c, "forward in place gives other bits");
    }
    if (!broken && differentiable(c->op) && (c->op->flags & GRD_INPLACE_BWD) && fits) {
        snapshot apart = outputs_then_gradients(&t);
        memcpy(t.args.din[0], t.args.dout[0], out_bytes(&t, 0));
        t.args.dout[0] = t.args.din[0];
        snapshot over = gradients(&t);
        broken = !same(&apart, &over) && say(c, "backward in place gives other bits");
    }
    grd_trial_end(&t);
    return broken;
}

static void reverse(const grd_trial *t, void *reals, int64_t n)
{
    for (int64_t i = 0; i < n / 2; i++) {
        const double a = grd_trial_get(t, reals, i);
        grd_trial_set(t, reals, i, grd_trial_get(t, reals, n - 1 - i));
        grd_trial_set(t, reals, n - 1 - i, a);
    }
}

/* Element-wise: moving one element of an input moves that element of the output only, and the place of an element does not
 * matter. Said of equal shapes. */
static bool not_elementwise(row_case *c)
{
    if (!(c->op->flags & GRD_ELEMENTWISE))
        return false;
    BEGIN(c, t);
    bool broken = false, equal = true;
    for (int i = 0; i < t.n_in; i++)
        equal = equal && grd_shape_equal(&t.in_shape[i], &t.infer.out[0]);
    const int64_t n = grd_count(&t.infer.out[0]), moved = n / 2;
    for (int i = 0; equal && i < t.n_in; i++) {
        const double x = grd_trial_get(&t, t.in[i], moved);
        snapshot before = outputs(&t);
        grd_trial_set(&t, t.in[i], moved, x + 0.125);
        grd_trial_forward(&t);
        grd_trial_set(&t, t.args.out[0], moved, grd_trial_get(&t, before.buffer[0], moved));
        snapshot after = keep_outputs(&t);
        broken = !same(&before, &after) || broken;
        grd_trial_set(&t, t.in[i], moved, x);
    }
    if (equal && !(c->op->flags & GRD_RANDOM)) {
        grd_trial_forward(&t);
        reverse(&t, t.args.out[0], n);
        snapshot before = keep_outputs(&t);
        for (int i = 0; i < t.n_in; i++)
            reverse(&t, t.in[i], n);
        snapshot after = outputs(&t);
        broken = !same(&before, &after) || broken;
    }
    grd_trial_end(&t);
    return broken && say(c, "the row says that it is element-wise and it is not");
}

/* f(0) = 0, and a gradient of 0 stays 0 there: padding may be run over in both directions. */
static bool not_zero_at_zero(row_case *c)
{
    if (!(c->op->flags & GRD_ZERO_AT_ZERO))
        return false;
    BEGIN(c, t);
    bool broken = false;
    for (int i = 0; i < t.n_in; i++)
        memset(t.in[i], 0, in_bytes(&t, i));
    memset((void *)(uintptr_t)t.args.dout[0], 0, out_bytes(&t, 0));
    run(&t);
    for (int64_t e = 0; e < grd_count(&t.infer.out[0]); e++)
        broken = broken || grd_trial_get(&t, t.args.out[0], e) != 0;
    for (int i = 0; i < t.n_in; i++)
        for (int64_t e = 0; t.args.din[i] && e < grd_count(&t.in_shape[i]); e++)
            broken = broken || grd_trial_get(&t, t.args.din[i], e) != 0;
    grd_trial_end(&t);
    return broken && say(c, "the row says that it keeps zeros and it does not");
}

/* NaN goes through element-wise rows (random ones may drop it); NaN and infinity crash none. */
static bool swallows_nan(row_case *c)
{
    static const double odd[3] = { INFINITY, -INFINITY, NAN };
    BEGIN(c, t);
    bool broken = false;
    for (int i = 0; i < t.n_in; i++) {
        if (grd_trial_kind(&t, i) == GRD_KIND_INDEX)
            continue;
        const double x = grd_trial_get(&t, t.in[i], 0);
        for (int k = 0; k < 3; k++) {
            grd_trial_set(&t, t.in[i], 0, odd[k]);
            run(&t);
        }
        if ((c->op->flags & GRD_ELEMENTWISE) && !(c->op->flags & GRD_RANDOM))
            broken = broken || !isnan(grd_trial_get(&t, t.args.out[0], 0));
        grd_trial_set(&t, t.in[i], 0, x);
    }
    grd_trial_end(&t);
    return broken && say(c, "a NaN is swallowed");
}

/* Indices come from data: one out of range may give any number, but no access out of bounds (which a sanitizer sees). */
static bool trusts_indices(row_case *c)
{
    static const int32_t wild[] = { -1, INT32_MAX, INT32_MIN, 1000, -100 };
    BEGIN(c, t);
    for (int i = 0; i < t.n_in; i++) {
        if (grd_trial_kind(&t, i) != GRD_KIND_INDEX)
            continue;
        int32_t *index = t.in[i];
        const int64_t last = grd_count(&t.in_shape[i]) - 1;
        for (size_t k = 0; k < sizeof wild / sizeof *wild; k++) {
            index[last] = wild[k];
            run(&t);
        }
        index[last] = (int32_t)t.range[i].hi + 1;
        run(&t);
        index[last] = (int32_t)t.range[i].lo;
    }
    grd_trial_end(&t);
    return false;
}

static bool not_repeatable(row_case *c)
{
    BEGIN(c, t);
    snapshot a = outputs(&t), b = outputs(&t);
    bool broken = !same(&a, &b);
    grd_trial_end(&t);
    return broken && say(c, "two runs give different bits");
}

/* Every output, next state and wanted gradient is written in all its elements (all begin as NaN), and none is NaN. */
static bool incomplete(grd_trial *t)
{
    bool broken = false;
    run(t);
    for (int k = 0; k < t->op->n_out; k++)
        broken = broken || has_nan(t, t->args.out[k], grd_count(&t->infer.out[k]));
    for (int i = 0, state = 0; i < t->n_in; i++) {
        const int64_t n = grd_count(&t->in_shape[i]);
        if (grd_trial_kind(t, i) == GRD_KIND_STATE)
            broken = has_nan(t, t->args.next_state[state++], n) || broken;
        if (differentiable(t->op) && t->args.din[i])
            broken = broken || has_nan(t, t->args.din[i], n);
    }
    return broken;
}

static bool leaves_holes(row_case *c)
{
    BEGIN(c, t);
    bool broken = incomplete(&t);
    grd_trial_end(&t);
    return broken && say(c, "an element is not written, or NaN");
}

/* In evaluation there is no next state to write, and no save where no backward follows. */
static bool needs_training(row_case *c)
{
    BEGIN(c, t);
    t.args.train = false;
    memset(t.args.next_state, 0, sizeof t.args.next_state);
    t.args.save = NULL;
    grd_trial_forward(&t);
    bool broken = false;
    for (int k = 0; k < c->op->n_out; k++)
        broken = broken || has_nan(&t, t.args.out[k], grd_count(&t.infer.out[k]));
    if (c->op->flags & GRD_EVAL_IDENTITY)
        broken = broken || in_bytes(&t, 0) != out_bytes(&t, 0) || memcmp(t.args.out[0], t.in[0], in_bytes(&t, 0)) != 0;
    grd_trial_end(&t);
    return broken && say(c, "evaluation leaves holes, or is no identity where the row says so");
}

/* ---- other shapes than the samples' ---- */

/* Indices of the sample may be out of range in another shape: NaN is the right answer then. */
static bool indexed(const grd_trial *t)
{
    bool any = false;
    for (int i = 0; i < t->n_in; i++)
        any = any || grd_trial_kind(t, i) == GRD_KIND_INDEX;
    return any;
}

/* Runs the trial in the shapes it has now: refused with a sentence, or consistent. */
static bool other_shape_goes_wrong(row_case *c, grd_trial *t, bool *refused)
{
    const grd_status status = grd_trial_make(t, c->seed);
    *refused = status == GRD_ERR_SHAPE;
    if (*refused)
        return !*t->infer.why && say(c, "another shape is refused without a sentence");
    if (status != GRD_OK)
        return say(c, "another shape makes no sense: %s", c->host->err.text);
    for (int k = 0; k < c->op->n_out; k++)
        if (t->infer.out[k].rank < 0 || t->infer.out[k].rank > GRD_MAX_RANK)
            return say(c, "another shape gives an output of rank %d", t->infer.out[k].rank);
    return incomplete(t) && !indexed(t) && say(c, "another shape leaves holes or gives NaN");
}

enum { MUTATIONS = 3 + 2 * GRD_MAX_RANK };

/* Mutation m of a shape; false if it has none such. */
static bool mutate(grd_shape *s, int m)
{
    const int d = (m - 3) / 2;
    if (m == 0 && s->rank < GRD_MAX_RANK) {
        s->dim[s->rank++] = 3;
    } else if (m == 1 && s->rank > 0) {
        s->rank--;
    } else if (m == 2 && s->rank > 1) {
        memmove(s->dim, s->dim + 1, sizeof *s->dim * (size_t)--s->rank);
    } else if (m >= 3 && d < s->rank) {
        s->dim[d] = m % 2 ? s->dim[d] + 1 : 0;
    } else {
        return false;
    }
    return true;
}

static bool mutated_goes_wrong(row_case *c)
{
    bool broken = false, any = false;
    for (int m = 0; m < MUTATIONS * GRD_MAX_IN && !broken; m++) {
        const int i = m / MUTATIONS, kind = m % MUTATIONS;
        grd_trial t;
        bool refused = false;
        if (grd_trial_open(&t, c->host, c->op, c->dtype, c->sample) == GRD_OK && i < t.n_in && mutate(&t.in_shape[i], kind)) {
            broken = other_shape_goes_wrong(c, &t, &refused);
            if (!broken && !refused && kind >= 3 && kind % 2 == 0)
                broken = say(c, "input %d: a size of zero is accepted", i);
        }
        any = any || (refused && (kind < 3 || kind % 2));
        grd_trial_end(&t);
    }
    const bool free_shapes = c->op->n_in == 1 || c->op->n_in == -1 || (c->op->flags & GRD_ELEMENTWISE);
    return broken || (!any && !free_shapes && say(c, "whatever the shapes, none is refused"));
}

void set_batch(grd_trial *t, int64_t n, bool all)
{
    const int64_t first = t->in_shape[0].rank ? t->in_shape[0].dim[0] : 0;
    for (int i = 0; i < t->n_in; i++)
        if (t->in_shape[i].rank && t->in_shape[i].dim[0] == first && (all || i == 0 || grd_trial_kind(t, i) == GRD_KIND_INDEX))
            t->in_shape[i].dim[0] = n;
}

/* A batch of one and an odd one, where the shape rule takes them. Gradients that are zero but for rounding count as equal. */
static bool batch_goes_wrong(row_case *c)
{
    static const int64_t size[] = { 1, 5 };
    bool broken = false;
    for (int k = 0; k < 4 && !broken; k++) {
        grd_trial t;
        bool refused = false;
        double error = 0;
        grd_trial_open(&t, c->host, c->op, c->dtype, c->sample);
        set_batch(&t, size[k / 2], k % 2 == 0);
        broken = other_shape_goes_wrong(c, &t, &refused);
        if (!broken && !refused && c->dtype == GRD_F64 && !indexed(&t)) {
            grd_trial_gradient_error(&t, 32, 1e-3, &error);
            broken = !(error <= GRD_GRADCHECK_BOUND) && say(c, "gradient error %.3g for a batch of %d", error, (int)size[k / 2]);
        }
        grd_trial_end(&t);
    }
    return broken;
}

/* ---- float against double ---- */

double relative_error(const grd_trial *ta, const void *a, const grd_trial *tb, const void *b, int64_t n)
{
    double worst = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = grd_trial_get(ta, a, i), y = grd_trial_get(tb, b, i);
        if (isnan(x) && isnan(y))
            continue; /* an index out of range, and both say so */
        if (!isfinite(x) || !isfinite(y))
            return INFINITY;
        worst = fmax(worst, fabs(x - y));
        most = fmax(most, fabs(y));
    }
    return worst / (most + 1e-6);
}

static bool float_strays(row_case *c)
{
    if (!c->wide)
        return false;
    BEGIN(c, t);
    grd_trial d;
    double error = INFINITY;
    if (grd_trial_begin(&d, c->host, c->wide, GRD_F64, c->sample, c->seed) == GRD_OK) {
        run(&t);
        run(&d);
        error = 0;
        for (int k = 0; k < c->op->n_out; k++)
            error = fmax(error, relative_error(&t, t.args.out[k], &d, d.args.out[k], grd_count(&t.infer.out[k])));
        for (int i = 0; differentiable(c->op) && i < t.n_in; i++)
            if (t.args.din[i])
                error = fmax(error, relative_error(&t, t.args.din[i], &d, d.args.din[i], grd_count(&t.in_shape[i])));
    }
    grd_trial_end(&d);
    grd_trial_end(&t);
    return !(error <= row_bound(c->op)) && say(c, "float differs from double by %.3g, bound %.3g", error, row_bound(c->op));
}

/* ---- all of them ---- */

const row_promise row_promises[] = {
    { "everything is written", leaves_holes },
    { "two runs give the same bits", not_repeatable },
    { "gradient agrees with differences", wrong_gradient },
    { "backward writes, and does not add", adds },
    { "backward reads only what the row says", reads_more },
    { "unwanted gradients are skipped", needs_all },
    { "outputs without gradient are skipped", needs_all_outputs },
    { "in place gives the same bits", spoilt_in_place },
    { "element-wise where it says so", not_elementwise },
    { "keeps zeros where it says so", not_zero_at_zero },
    { "NaN goes through, infinity does not crash", swallows_nan },
    { "wild indices stay in bounds", trusts_indices },
    { "evaluation needs nothing of training", needs_training },
    { "mutated samples are refused or consistent", mutated_goes_wrong },
    { "batches of one and odd ones work", batch_goes_wrong },
    { "float agrees with double", float_strays },
    { NULL, NULL }
};

const char *first_broken(row_case *c)
{
    c->why[0] = 0;
    for (const row_promise *p = row_promises; p->name; p++)
        for (int s = 0; s < c->op->n_samples; s++) {
            c->sample = &c->op->samples[s];
            if (p->broken(c))
                return p->name;
        }
    return NULL;
}
