#include "helper_rows.h"

#include "op/registry.h"

#include <gradus/plan.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 11 };

static bool say(char *why, size_t size, const char *format, const char *text, long number)
{
    snprintf(why, size, format, text, number);
    return true;
}

double row_bound(const grd_op *op) { return op->bound_f32 > 0 ? op->bound_f32 : 1e-5; }

static bool gradient_wanted(const grd_op *op) { return !(op->flags & GRD_NO_GRAD); }

/* ---- buffers compared bit by bit ---- */

typedef struct snapshot { void *buffer[GRD_MAX_IN + GRD_MAX_OUT]; size_t bytes[GRD_MAX_IN + GRD_MAX_OUT]; int n; } snapshot;

static void keep(snapshot *s, const void *memory, size_t bytes)
{
    s->buffer[s->n] = malloc(bytes ? bytes : 1);
    memcpy(s->buffer[s->n], memory, bytes);
    s->bytes[s->n++] = bytes;
}

static void drop(snapshot *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->buffer[i]);
    s->n = 0;
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

static bool same(const snapshot *a, const snapshot *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->bytes[i] != b->bytes[i] || memcmp(a->buffer[i], b->buffer[i], a->bytes[i]) != 0)
            return false;
    return true;
}

/* Runs forward and backward once and keeps what came out. */
static snapshot reference(grd_trial *t)
{
    t->op->forward(&t->args);
    if (!gradient_wanted(t->op))
        return keep_outputs(t);
    t->op->backward(&t->args);
    return keep_gradients(t);
}

static bool begin(grd_trial *t, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    if (grd_trial_begin(t, host, op, dtype, sample, SEED, 0) == GRD_OK)
        return true;
    snprintf(why, size, "the sample is refused: %s", *t->infer.why ? t->infer.why : host->err.text);
    grd_trial_end(t);
    return false;
}

#define BEGIN(t)                                                     \
    grd_trial t;                                                     \
    if (!begin(&t, host, op, dtype, sample, why, size))              \
    return true

/* ---- the promises ---- */

static bool wrong_gradient(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    double error = 0;
    if (dtype != GRD_F64)
        return false;
    BEGIN(t);
    grd_trial_gradient_error(&t, &error);
    grd_trial_end(&t);
    snprintf(why, size, "gradient error %.3g, bound %.3g", error, GRD_GRADCHECK_BOUND);
    return !(error <= GRD_GRADCHECK_BOUND);
}

/* What backward says it does not read is NaN when it runs. */
static bool reads_more(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    if (!gradient_wanted(op))
        return false;
    BEGIN(t);
    snapshot before = reference(&t);
    t.op->forward(&t.args);
    for (int i = 0; i < t.n_in; i++)
        if (!(op->bwd_in & 1u << i))
            memset(t.in[i], 0xff, in_bytes(&t, i));
    for (int k = 0; k < op->n_out; k++)
        if (!(op->bwd_out & 1u << k))
            memset(t.args.out[k], 0xff, out_bytes(&t, k));
    if (!(op->flags & GRD_BWD_SAVE))
        memset(t.args.save, 0xff, t.infer.save);
    t.op->backward(&t.args);
    snapshot after = keep_gradients(&t);
    bool broken = !same(&before, &after);
    drop(&before);
    drop(&after);
    grd_trial_end(&t);
    return broken && say(why, size, "backward reads %s", "what it says it does not", 0);
}

/* Backward writes: what was in the buffers does not matter. */
static bool adds(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    if (!gradient_wanted(op))
        return false;
    BEGIN(t);
    snapshot before = reference(&t);
    for (int i = 0; i < t.n_in; i++)
        for (int64_t e = 0; t.args.din[i] && e < grd_count(&t.in_shape[i]); e++)
            grd_trial_set(&t, t.args.din[i], e, 7.25);
    memset(t.args.scratch, 0x11, t.infer.scratch > t.infer.scratch_back ? t.infer.scratch : t.infer.scratch_back);
    t.op->backward(&t.args);
    snapshot after = keep_gradients(&t);
    bool broken = !same(&before, &after);
    drop(&before);
    drop(&after);
    grd_trial_end(&t);
    return broken && say(why, size, "backward depends on %s", "what was in its buffers", 0);
}

/* A gradient that is not wanted (NULL) is skipped, the others keep their bits. */
static bool needs_all(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    if (!gradient_wanted(op))
        return false;
    BEGIN(t);
    snapshot all = reference(&t);
    bool broken = false;
    for (int skip = 0, at = 0; skip < t.n_in && !broken; skip++) {
        grd_real *own = t.args.din[skip];
        if (!own)
            continue;
        t.args.din[skip] = NULL;
        t.op->backward(&t.args);
        t.args.din[skip] = own;
        for (int i = 0, k = 0; i < t.n_in; i++) {
            if (!t.args.din[i])
                continue;
            if (k != at)
                broken = broken || memcmp(all.buffer[k], t.args.din[i], all.bytes[k]) != 0;
            k++;
        }
        at++;
    }
    drop(&all);
    grd_trial_end(&t);
    return broken && say(why, size, "%s change when one is not wanted", "the gradients", 0);
}

static bool spoilt_in_place(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    BEGIN(t);
    bool broken = false;
    if ((op->flags & GRD_INPLACE) && in_bytes(&t, 0) == out_bytes(&t, 0)) {
        t.op->forward(&t.args);
        snapshot apart = keep_outputs(&t);
        memcpy(t.args.out[0], t.in[0], in_bytes(&t, 0));
        t.args.in[0] = t.args.out[0];
        t.op->forward(&t.args);
        snapshot over = keep_outputs(&t);
        broken = !same(&apart, &over) && say(why, size, "forward in place gives %s", "other bits", 0);
        drop(&apart);
        drop(&over);
        t.args.in[0] = t.in[0];
    }
    if (!broken && gradient_wanted(op) && (op->flags & GRD_INPLACE_BWD) && in_bytes(&t, 0) == out_bytes(&t, 0)) {
        snapshot apart = reference(&t);
        memcpy(t.args.din[0], t.args.dout[0], out_bytes(&t, 0));
        t.args.dout[0] = t.args.din[0];
        t.op->backward(&t.args);
        snapshot over = keep_gradients(&t);
        broken = !same(&apart, &over) && say(why, size, "backward in place gives %s", "other bits", 0);
        drop(&apart);
        drop(&over);
    }
    grd_trial_end(&t);
    return broken;
}

/* Element-wise: moving one element of an input moves that element of the output only. */
static bool not_elementwise(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    if (!(op->flags & GRD_ELEMENTWISE))
        return false;
    BEGIN(t);
    bool broken = false;
    bool equal = true;
    for (int i = 0; i < t.n_in; i++)
        equal = equal && grd_shape_equal(&t.in_shape[i], &t.infer.out[0]);
    t.op->forward(&t.args);
    snapshot before = keep_outputs(&t);
    int64_t n = grd_count(&t.infer.out[0]), moved = n / 2;
    for (int i = 0; equal && i < t.n_in; i++) {
        double x = grd_trial_get(&t, t.in[i], moved);
        grd_trial_set(&t, t.in[i], moved, x + 0.125);
        t.op->forward(&t.args);
        for (int64_t e = 0; e < n; e++)
            broken = broken || (e != moved && memcmp((char *)before.buffer[0] + (size_t)e * t.element, (char *)(void *)t.args.out[0] + (size_t)e * t.element, t.element) != 0);
        grd_trial_set(&t, t.in[i], moved, x);
    }
    for (int i = 0; equal && i < t.n_in; i++)
        memset(t.in[i], 0, in_bytes(&t, i));
    t.op->forward(&t.args);
    for (int64_t e = 0; equal && (op->flags & GRD_ZERO_AT_ZERO) && e < n; e++)
        broken = broken || grd_trial_get(&t, t.args.out[0], e) != 0;
    drop(&before);
    grd_trial_end(&t);
    return broken && say(why, size, "the row says element-wise or f(0) = 0 and %s", "is not", 0);
}

/* NaN goes through element-wise rows; NaN and infinity crash none. */
static bool swallows_nan(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    BEGIN(t);
    bool broken = false;
    const double odd[3] = { INFINITY, -INFINITY, NAN };
    for (int k = 0; k < 3; k++) {
        grd_trial_set(&t, grd_trial_kind(&t, 0) == GRD_KIND_INDEX ? t.args.save : t.in[0], 0, grd_trial_kind(&t, 0) == GRD_KIND_INDEX ? 0 : odd[k]);
        t.op->forward(&t.args);
        if (gradient_wanted(op))
            t.op->backward(&t.args);
    }
    if (op->flags & GRD_ELEMENTWISE)
        broken = !isnan(grd_trial_get(&t, t.args.out[0], 0));
    grd_trial_end(&t);
    return broken && say(why, size, "%s is swallowed", "NaN", 0);
}

/* Whether the same inputs give the same bits twice. */
static bool not_repeatable(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    BEGIN(t);
    snapshot a = reference(&t), b = reference(&t);
    bool broken = !same(&a, &b);
    drop(&a);
    drop(&b);
    grd_trial_end(&t);
    return broken && say(why, size, "two runs give %s", "different bits", 0);
}

/* Every output element and every wanted gradient is written (buffers begin as NaN). */
static bool leaves_holes(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    BEGIN(t);
    bool broken = false;
    t.op->forward(&t.args);
    for (int k = 0; k < op->n_out; k++)
        for (int64_t e = 0; e < grd_count(&t.infer.out[k]); e++)
            broken = broken || isnan(grd_trial_get(&t, t.args.out[k], e));
    for (int i = 0, s = 0; i < t.n_in; i++) {
        if (grd_trial_kind(&t, i) != GRD_KIND_STATE)
            continue;
        for (int64_t e = 0; e < grd_count(&t.in_shape[i]); e++)
            broken = broken || isnan(grd_trial_get(&t, t.args.next_state[s], e));
        s++;
    }
    if (gradient_wanted(op))
        t.op->backward(&t.args);
    for (int i = 0; gradient_wanted(op) && i < t.n_in; i++)
        for (int64_t e = 0; t.args.din[i] && e < grd_count(&t.in_shape[i]); e++)
            broken = broken || isnan(grd_trial_get(&t, t.args.din[i], e));
    grd_trial_end(&t);
    return broken && say(why, size, "%s is not written", "an element", 0);
}

/* Mutated samples are refused with a sentence, or run. */
static bool mutated_goes_wrong(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    BEGIN(t);
    bool broken = false;
    int refused = 0, tried = 0;
    for (int i = 0; i < t.n_in && !broken; i++) {
        for (int kind = 0; kind < 3; kind++) {
            grd_shape shape[GRD_MAX_IN];
            memcpy(shape, t.in_shape, sizeof shape);
            if (kind == 0 && shape[i].rank < GRD_MAX_RANK)
                shape[i].dim[shape[i].rank++] = 3;
            else if (kind == 1 && shape[i].rank > 0)
                shape[i].rank--;
            else if (kind == 2 && shape[i].rank > 0)
                shape[i].dim[shape[i].rank - 1] += 1;
            else
                continue;
            grd_infer f = { .attr = t.attr, .n_in = t.n_in, .in = shape, .train = true };
            tried++;
            if (op->shape(&f) != GRD_OK) {
                refused++;
                broken = broken || !*f.why;
                continue;
            }
            for (int k = 0; k < op->n_out; k++)
                broken = broken || f.out[k].rank < 0 || f.out[k].rank > GRD_MAX_RANK || grd_count(&f.out[k]) < 1;
        }
    }
    bool must_refuse = t.n_in > 1 && !(op->flags & GRD_ELEMENTWISE) && op->n_in != -1;
    broken = broken || (must_refuse && refused == 0);
    grd_trial_end(&t);
    return broken && say(why, size, "a mutated sample is neither refused with a sentence nor %s", "consistent", 0);
}

/* A batch of one. */
static bool batch_of_one_goes_wrong(grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, char *why, size_t size)
{
    grd_trial t;
    bool broken = false;
    grd_status status = grd_trial_begin(&t, host, op, dtype, sample, SEED, 1);
    if (status == GRD_OK) {
        t.op->forward(&t.args);
        for (int k = 0; k < op->n_out; k++)
            for (int64_t e = 0; e < grd_count(&t.infer.out[k]); e++)
                broken = broken || isnan(grd_trial_get(&t, t.args.out[k], e));
        if (gradient_wanted(op))
            t.op->backward(&t.args);
    } else {
        broken = status != GRD_ERR_SHAPE || !*t.infer.why;
    }
    grd_trial_end(&t);
    return broken && say(why, size, "%s gives NaN or is refused without a sentence", "a batch of one", 0);
}

const row_promise row_promises[] = {
    { "gradient agrees with differences", wrong_gradient },
    { "backward writes, and does not add", adds },
    { "backward reads only what the row says", reads_more },
    { "unwanted gradients are skipped", needs_all },
    { "in place gives the same bits", spoilt_in_place },
    { "element-wise where it says so", not_elementwise },
    { "everything is written", leaves_holes },
    { "two runs give the same bits", not_repeatable },
    { "NaN goes through, infinity does not crash", swallows_nan },
    { "mutated samples are refused or consistent", mutated_goes_wrong },
    { "a batch of one works", batch_of_one_goes_wrong },
    { NULL, NULL }
};

const char *first_broken(grd_host *host, const grd_op *op, grd_dtype dtype, char *why, size_t size)
{
    for (const row_promise *p = row_promises; p->name; p++)
        for (int s = 0; s < op->n_samples; s++)
            if (p->broken(host, op, dtype, &op->samples[s], why, size))
                return p->name;
    return NULL;
}

double relative_error(const grd_trial *ta, const void *a, const grd_trial *tb, const void *b, int64_t n)
{
    double worst = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = grd_trial_get(ta, a, i), y = grd_trial_get(tb, b, i);
        if (isnan(x) != isnan(y))
            return INFINITY;
        if (isnan(x) || x == y)
            continue;
        worst = fmax(worst, fabs(x - y));
        most = fmax(most, fabs(y));
    }
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, isnan(grd_trial_get(tb, b, i)) ? 0 : fabs(grd_trial_get(tb, b, i)));
    return worst / (most + 1e-6);
}
