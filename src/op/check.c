#include "op/check.h"

#include "base/ctx.h"
#include "base/options.h"
#include "op/registry.h"

#include <gradus/plan.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers of either type ---- */

double grd_trial_get(const grd_trial *t, const void *reals, int64_t i)
{
    return t->element == sizeof(double) ? ((const double *)reals)[i] : (double)((const float *)reals)[i];
}

void grd_trial_set(const grd_trial *t, void *reals, int64_t i, double value)
{
    if (t->element == sizeof(double))
        ((double *)reals)[i] = value;
    else
        ((float *)reals)[i] = (float)value;
}

grd_kind grd_trial_kind(const grd_trial *t, int i)
{
    return t->op->in_kind && t->op->n_in > 0 ? t->op->in_kind[i] : GRD_KIND_REAL;
}

bool grd_trial_has_gradient(const grd_trial *t, int k)
{
    return !(t->op->flags & GRD_NO_GRAD) && (!(t->op->flags & GRD_LOSS) || k == 0);
}

/* ---- a sample's text ---- */

typedef struct input_text { grd_shape shape; double lo, hi; bool ranged, weight; } input_text; /* weight: its name begins with w */

/* One word, "x[2,3]:-1..1", at *text, which moves on. */
static bool parse_input(const char **text, input_text *in)
{
    const char *c = strchr(*text, '[');
    char *end;
    memset(in, 0, sizeof *in);
    in->weight = **text == 'w';
    if (!c)
        return false;
    for (c++; *c && *c != ']';) {
        if (in->shape.rank == GRD_MAX_RANK)
            return false;
        in->shape.dim[in->shape.rank++] = strtoll(c, &end, 10);
        if (end == c)
            return false;
        c = *end == ',' ? end + 1 : end;
    }
    if (*c != ']')
        return false;
    c++;
    if (*c == ':') {
        const char *dots = strstr(c, "..");
        char lo[32];
        if (!dots || dots - c > 30)
            return false;
        snprintf(lo, sizeof lo, "%.*s", (int)(dots - c - 1), c + 1); /* else "-2..2" would be read as -2. and .2 */
        in->lo = strtod(lo, NULL);
        in->hi = strtod(dots + 2, &end);
        in->ranged = true;
        c = end;
    }
    *text = c + strspn(c, " ");
    return true;
}

/* ---- values ---- */

/* n values spread evenly over lo..hi, in a random order. */
static void spread(grd_trial *t, void *reals, int64_t n, double lo, double hi, uint64_t seed)
{
    grd_key key = { .seed = seed };
    for (int64_t i = 0; i < n; i++)
        grd_trial_set(t, reals, i, n == 1 ? lo + 0.5 * (hi - lo) : lo + (hi - lo) * (double)i / (double)(n - 1));
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t w[4];
        grd_random4(&key, 0, (uint64_t)i, w);
        int64_t j = (int64_t)(w[0] % (uint64_t)(i + 1));
        double a = grd_trial_get(t, reals, i), b = grd_trial_get(t, reals, j);
        grd_trial_set(t, reals, i, b);
        grd_trial_set(t, reals, j, a);
    }
}

static bool make_input(grd_trial *t, int i, const input_text *in, uint64_t seed)
{
    int64_t n = grd_count(&in->shape);
    bool index = grd_trial_kind(t, i) == GRD_KIND_INDEX;
    t->in[i] = grd_arena_alloc(&t->arena, (size_t)n * (index ? sizeof(int32_t) : t->element));
    if (!t->in[i])
        return false;
    t->args.in[i] = t->in[i];
    char name[16];
    snprintf(name, sizeof name, "input %d", i);
    uint64_t own = grd_hash(seed, name);
    if (!index) {
        bool state = grd_trial_kind(t, i) == GRD_KIND_STATE;
        spread(t, t->in[i], n, in->ranged ? in->lo : state ? 0.5 : -1, in->ranged ? in->hi : state ? 1.5 : 1, own);
        return true;
    }
    int64_t lo = in->ranged ? (int64_t)in->lo : 0, hi = in->ranged ? (int64_t)in->hi : 1;
    grd_key key = { .seed = own };
    for (int64_t e = 0; e < n; e++) {
        uint32_t w[4];
        grd_random4(&key, 0, (uint64_t)e, w);
        ((int32_t *)t->in[i])[e] = (int32_t)(lo + (int64_t)(w[0] % (uint64_t)(hi - lo + 1)));
    }
    return true;
}

static void *nan_buffer(grd_trial *t, int64_t n)
{
    void *buffer = grd_arena_alloc(&t->arena, (size_t)(n > 0 ? n : 1) * t->element);
    for (int64_t i = 0; buffer && i < n; i++)
        grd_trial_set(t, buffer, i, NAN);
    return buffer;
}

static grd_status make_buffers(grd_trial *t, uint64_t seed)
{
    grd_args *a = &t->args;
    int states = 0;
    for (int i = 0; i < t->n_in; i++) {
        int64_t n = grd_count(&t->in_shape[i]);
        if (grd_trial_kind(t, i) == GRD_KIND_STATE && states < GRD_MAX_STATE && !(a->next_state[states++] = (void *)nan_buffer(t, n)))
            return GRD_ERR_MEMORY;
        if (grd_trial_kind(t, i) == GRD_KIND_REAL && !(a->din[i] = (void *)nan_buffer(t, n)))
            return GRD_ERR_MEMORY;
    }
    for (int k = 0; k < t->op->n_out; k++) {
        int64_t n = grd_count(&t->infer.out[k]);
        void *dout = nan_buffer(t, n);
        a->out[k] = (void *)nan_buffer(t, n);
        if (!a->out[k] || !dout)
            return GRD_ERR_MEMORY;
        spread(t, dout, n, 0.3, 1.7, grd_hash(seed, "projection"));
        a->dout[k] = grd_trial_has_gradient(t, k) ? dout : NULL;
    }
    size_t scratch = t->infer.scratch > t->infer.scratch_back ? t->infer.scratch : t->infer.scratch_back;
    a->save = grd_arena_alloc(&t->arena, t->infer.save + 1);
    a->scratch = grd_arena_alloc(&t->arena, scratch + 1);
    if (!a->save || !a->scratch)
        return GRD_ERR_MEMORY;
    memset(a->save, 0xff, t->infer.save); /* NaN in floats, -1 in integers */
    memset(a->scratch, 0xff, scratch);
    return GRD_OK;
}

static grd_status infer(grd_trial *t)
{
    t->infer.attr = t->attr;
    t->infer.n_in = t->n_in;
    t->infer.in = t->in_shape;
    t->infer.train = true;
    return t->op->shape(&t->infer);
}

static grd_status bad_sample(grd_trial *t, const char *text)
{
    return grd_fail(t->host, GRD_ERR_ARG, "op \"%s\": sample \"%s\": expected words like x[2,3]:-1..1, as many as the op has inputs", t->op->name, text);
}

static grd_status fill(grd_trial *t, const grd_op_sample *sample, uint64_t seed, int64_t batch)
{
    const grd_op *op = t->op;
    if (op->options) {
        t->attr = grd_arena_alloc(&t->arena, op->options_size);
        if (!t->attr)
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_options_parse(t->host, &t->arena, op->options, t->attr, op->name, sample->attr));
        GRD_TRY(grd_options_resolve(t->host, op->options, op->options_size, op->name, t->attr, t->attr));
    }
    input_text in[GRD_MAX_IN];
    int most = op->n_in < 0 ? GRD_MAX_IN : op->n_in, least = op->n_in < 0 ? 1 : op->n_in_min ? op->n_in_min : op->n_in;
    for (const char *c = sample->in; *c; t->n_in++)
        if (t->n_in == most || !parse_input(&c, &in[t->n_in]))
            return bad_sample(t, sample->in);
    if (t->n_in < least)
        return bad_sample(t, sample->in);
    int64_t first = in[0].shape.rank ? in[0].shape.dim[0] : 0;
    for (int i = 0; i < t->n_in; i++) {
        if (batch > 0 && in[i].shape.rank && in[i].shape.dim[0] == first && !in[i].weight)
            in[i].shape.dim[0] = batch;
        t->in_shape[i] = in[i].shape;
    }
    t->args = (grd_args){ .attr = t->attr, .n_in = t->n_in, .n_out = op->n_out, .in_shape = t->in_shape, .out_shape = t->infer.out,
                          .key = { .seed = grd_hash(seed, "key"), .step = 3, .row = 5 }, .train = true, .threads = 1 };
    if (infer(t) != GRD_OK)
        return GRD_ERR_SHAPE;
    for (int i = 0; i < t->n_in; i++)
        if (!make_input(t, i, &in[i], seed))
            return GRD_ERR_MEMORY;
    return make_buffers(t, seed);
}

grd_status grd_trial_begin(grd_trial *t, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample, uint64_t seed, int64_t batch)
{
    memset(t, 0, sizeof *t);
    t->op = op;
    t->host = host;
    t->element = grd_dtype_size(dtype);
    grd_arena_init(&t->arena, host);
    return fill(t, sample, seed, batch);
}

void grd_trial_end(grd_trial *t) { grd_arena_free(&t->arena); }

/* ---- gradient ---- */

/* <projection, outputs>: what the gradient is taken of. */
static double projected(grd_trial *t)
{
    double sum = 0;
    t->op->forward(&t->args);
    for (int k = 0; k < t->op->n_out; k++)
        for (int64_t i = 0; t->args.dout[k] && i < grd_count(&t->infer.out[k]); i++)
            sum += grd_trial_get(t, t->args.out[k], i) * grd_trial_get(t, t->args.dout[k], i);
    return sum;
}

static double difference(grd_trial *t, void *x, int64_t i)
{
    static const double at[4] = { 1, -1, 2, -2 }, factor[4] = { 8, -8, -1, 1 };
    double x0 = grd_trial_get(t, x, i), h = 1e-3, sum = 0;
    for (int k = 0; k < 4; k++) {
        grd_trial_set(t, x, i, x0 + at[k] * h);
        sum += factor[k] * projected(t);
    }
    grd_trial_set(t, x, i, x0);
    return sum / (12 * h);
}

grd_status grd_trial_gradient_error(grd_trial *t, double *error)
{
    *error = 0;
    if (t->op->flags & GRD_NO_GRAD)
        return GRD_OK;
    projected(t);
    t->op->backward(&t->args);
    for (int i = 0; i < t->n_in; i++) {
        if (grd_trial_kind(t, i) != GRD_KIND_REAL)
            continue;
        int64_t n = grd_count(&t->in_shape[i]);
        void *analytic = grd_arena_alloc(&t->arena, (size_t)n * t->element);
        if (!analytic)
            return GRD_ERR_MEMORY;
        memcpy(analytic, t->args.din[i], (size_t)n * t->element);
        double worst = 0, size_a = 0, size_n = 0;
        for (int64_t e = 0; e < n; e++) {
            double a = grd_trial_get(t, analytic, e), d = difference(t, t->in[i], e);
            worst = isfinite(a) ? fmax(worst, fabs(a - d)) : INFINITY;
            size_a = fmax(size_a, fabs(a));
            size_n = fmax(size_n, fabs(d));
            if (isinf(worst))
                break;
        }
        *error = fmax(*error, worst / (size_a + size_n + 1e-12));
    }
    return GRD_OK;
}

grd_status grd_gradcheck_op(grd_ctx *ctx, const char *name, grd_gradcheck_result *result)
{
    const grd_op *op = grd_op_find(ctx, name, GRD_F64);
    if (!op)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "gradient check: there is no op \"%s\" with a double row", name);
    *result = (grd_gradcheck_result){ op->name, 0, true };
    for (int s = 0; s < op->n_samples; s++) {
        grd_trial trial;
        double error = 0;
        grd_status status = grd_trial_begin(&trial, &ctx->host, op, GRD_F64, &op->samples[s], ctx->seed + 1, 0);
        if (status == GRD_OK)
            status = grd_trial_gradient_error(&trial, &error);
        else if (status == GRD_ERR_SHAPE)
            grd_fail(&ctx->host, status, "op \"%s\": sample %d is refused: %s", name, s, trial.infer.why);
        grd_trial_end(&trial);
        GRD_TRY(status);
        result->max_rel_error = fmax(result->max_rel_error, error);
    }
    result->pass = result->max_rel_error <= GRD_GRADCHECK_BOUND;
    return GRD_OK;
}
