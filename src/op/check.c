#include "op/check.h"

#include "base/ctx.h"
#include "base/options.h"
#include "op/registry.h"

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

/* "[2,3]" at *text, which moves behind it. */
static bool parse_shape(const char **text, grd_shape *shape)
{
    const char *c = *text + 1;
    while (*c && *c != ']') {
        char *end;
        if (shape->rank == GRD_MAX_RANK)
            return false;
        shape->dim[shape->rank++] = strtoll(c, &end, 10);
        if (end == c || (*end != ',' && *end != ']'))
            return false;
        c = *end == ',' ? end + 1 : end;
    }
    *text = c + 1;
    return *c == ']';
}

/* ":-1..1" at *text, which moves behind it. The first number is cut out: "-2..2" would else be read as -2. and .2 */
static bool parse_range(const char **text, double *lo, double *hi)
{
    const char *c = *text + 1, *dots = strstr(c, "..");
    char number[32], *end;
    if (!dots || dots - c >= (ptrdiff_t)sizeof number)
        return false;
    memcpy(number, c, (size_t)(dots - c));
    number[dots - c] = 0;
    *lo = strtod(number, &end);
    if (end == number || *end)
        return false;
    *hi = strtod(dots + 2, &end);
    *text = end;
    return end != dots + 2 && *lo <= *hi && fabs(*lo) < 1e9 && fabs(*hi) < 1e9;
}

/* One word, "x[2,3]:-1..1", at *text, which moves to the next one. */
static bool parse_input(grd_trial *t, int i, const char **text)
{
    const grd_kind kind = grd_trial_kind(t, i);
    const char *c = strchr(*text, '[');
    if (!c || !parse_shape(&c, &t->in_shape[i]))
        return false;
    t->range[i].lo = kind == GRD_KIND_STATE ? 0.5 : kind == GRD_KIND_INDEX ? 0 : -1;
    t->range[i].hi = kind == GRD_KIND_STATE ? 1.5 : 1;
    if (*c == ':' && !parse_range(&c, &t->range[i].lo, &t->range[i].hi))
        return false;
    if (*c && *c != ' ')
        return false;
    *text = c + strspn(c, " ");
    return true;
}

grd_status grd_trial_open(grd_trial *t, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample)
{
    memset(t, 0, sizeof *t);
    t->op = op;
    t->host = host;
    t->element = grd_dtype_size(dtype);
    grd_arena_init(&t->arena, host);
    if (op->options) {
        t->attr = grd_arena_alloc(&t->arena, op->options_size);
        if (!t->attr)
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_options_parse(host, &t->arena, op->options, t->attr, op->name, sample->attr));
        GRD_TRY(grd_options_resolve(host, op->options, op->options_size, op->name, t->attr, t->attr));
    }
    const int most = op->n_in < 0 ? GRD_MAX_IN : op->n_in, least = op->n_in < 0 ? 1 : op->n_in_min ? op->n_in_min : op->n_in;
    const char *c = sample->in + strspn(sample->in, " ");
    bool good = true;
    for (; good && *c && t->n_in < most; t->n_in += good)
        good = parse_input(t, t->n_in, &c);
    if (!good || *c || t->n_in < least)
        return grd_fail(host, GRD_ERR_ARG, "op \"%s\": sample \"%s\": expected %d to %d words like x[2,3]:-1..1", op->name,
                        sample->in, least, most);
    return GRD_OK;
}

/* ---- values ---- */

static uint64_t draw(uint64_t seed, int64_t i)
{
    uint32_t word[4];
    grd_random4(&(grd_key){ .seed = seed }, 0, (uint64_t)i, word);
    return (uint64_t)word[0] << 32 | word[1];
}

/* n values spread evenly over lo..hi in a random order, so that all differ. `offset` says where in its own n-th of the range each
 * lies: not in the middle, so that no value is 0, where many ops have a kink, and not the same for two inputs, so that no two of
 * them are equal. */
static void spread(grd_trial *t, void *reals, int64_t n, double lo, double hi, double offset, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        grd_trial_set(t, reals, i, (double)(float)(lo + (hi - lo) * ((double)i + offset) / (double)n));
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)(draw(seed, i) % (uint64_t)(i + 1));
        const double a = grd_trial_get(t, reals, i);
        grd_trial_set(t, reals, i, grd_trial_get(t, reals, j));
        grd_trial_set(t, reals, j, a);
    }
}

static void fill_input(grd_trial *t, int i, uint64_t seed)
{
    const int64_t n = grd_count(&t->in_shape[i]);
    const double lo = t->range[i].lo, hi = t->range[i].hi;
    char name[16];
    snprintf(name, sizeof name, "input %d", i % GRD_MAX_IN);
    seed = grd_hash(seed, name);
    if (grd_trial_kind(t, i) != GRD_KIND_INDEX) {
        spread(t, t->in[i], n, lo, hi, i % 2 ? 1.0 / 3 : 1.0 / 6, seed);
        return;
    }
    const uint64_t size = (uint64_t)((int64_t)hi - (int64_t)lo + 1);
    for (int64_t e = 0; e < n; e++)
        ((int32_t *)t->in[i])[e] = (int32_t)((int64_t)lo + (int64_t)(draw(seed, e) % size));
}

/* ---- buffers ---- */

static bool bytes_of(const grd_shape *shape, size_t element, size_t *bytes)
{
    *bytes = element;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 1 || (uint64_t)shape->dim[i] > (SIZE_MAX / 4) / *bytes)
            return false;
        *bytes *= (size_t)shape->dim[i];
    }
    return true;
}

/* All bits set: NaN in floats, -1 in integers. */
static void *poisoned(grd_trial *t, size_t bytes)
{
    void *buffer = t->n_owned < GRD_TRIAL_BUFFERS ? grd_alloc(t->host, bytes) : NULL;
    if (!buffer)
        return NULL;
    t->owned[t->n_owned++] = buffer;
    return memset(buffer, 0xff, bytes);
}

static void *poisoned_reals(grd_trial *t, const grd_shape *shape)
{
    size_t bytes;
    return bytes_of(shape, t->element, &bytes) ? poisoned(t, bytes) : NULL;
}

static bool make_input(grd_trial *t, int i, int *states)
{
    const grd_kind kind = grd_trial_kind(t, i);
    size_t bytes;
    if (!bytes_of(&t->in_shape[i], kind == GRD_KIND_INDEX ? sizeof(int32_t) : t->element, &bytes) ||
        !(t->in[i] = poisoned(t, bytes)))
        return false;
    t->args.in[i] = t->in[i];
    if (kind == GRD_KIND_STATE)
        return *states < GRD_MAX_STATE && (t->args.next_state[(*states)++] = poisoned(t, bytes));
    return kind == GRD_KIND_INDEX || (t->args.din[i] = poisoned(t, bytes));
}

static bool make_buffers(grd_trial *t)
{
    int states = 0;
    for (int i = 0; i < t->n_in; i++)
        if (!make_input(t, i, &states))
            return false;
    for (int k = 0; k < t->op->n_out; k++) {
        if (!(t->args.out[k] = poisoned_reals(t, &t->infer.out[k])))
            return false;
        if (grd_trial_has_gradient(t, k) && !(t->args.dout[k] = poisoned_reals(t, &t->infer.out[k])))
            return false;
    }
    t->args.save = poisoned(t, t->infer.save);
    t->scratch = poisoned(t, t->infer.scratch);
    t->scratch_back = poisoned(t, t->infer.scratch_back);
    return t->args.save && t->scratch && t->scratch_back;
}

static grd_status infer(grd_trial *t)
{
    t->infer = (grd_infer){ .attr = t->attr, .n_in = t->n_in, .in = t->in_shape, .train = true };
    for (int i = 0; i < t->n_in; i++)
        for (int d = 0; d < t->in_shape[i].rank; d++)
            if (t->in_shape[i].dim[d] < 1)
                return grd_refuse(&t->infer, "input %d has a dimension of size %lld", i, (long long)t->in_shape[i].dim[d]);
    return t->op->shape(&t->infer);
}

grd_status grd_trial_make(grd_trial *t, uint64_t seed)
{
    if (infer(t) != GRD_OK)
        return GRD_ERR_SHAPE;
    t->args = (grd_args){ .attr = t->attr, .n_in = t->n_in, .n_out = t->op->n_out, .in_shape = t->in_shape,
                          .out_shape = t->infer.out, .key = { .seed = grd_hash(seed, "key"), .step = 3, .row = 5 },
                          .train = true, .threads = 1 };
    if (!make_buffers(t))
        return grd_fail(t->host, GRD_ERR_MEMORY, "op \"%s\": out of memory, or a sample larger than it", t->op->name);
    for (int i = 0; i < t->n_in; i++)
        fill_input(t, i, seed);
    for (int k = 0; k < t->op->n_out; k++)
        if (t->args.dout[k])
            spread(t, (void *)(uintptr_t)t->args.dout[k], grd_count(&t->infer.out[k]), 0.3, 1.7, 0.5,
                   grd_hash(seed, "projection"));
    return GRD_OK;
}

grd_status grd_trial_begin(grd_trial *t, grd_host *host, const grd_op *op, grd_dtype dtype, const grd_op_sample *sample,
                           uint64_t seed)
{
    GRD_TRY(grd_trial_open(t, host, op, dtype, sample));
    return grd_trial_make(t, seed);
}

void grd_trial_end(grd_trial *t)
{
    while (t->n_owned > 0)
        grd_free(t->host, t->owned[--t->n_owned]);
    grd_arena_free(&t->arena);
}

void grd_trial_forward(grd_trial *t)
{
    t->args.scratch = memset(t->scratch, 0xff, t->infer.scratch);
    t->op->forward(&t->args);
}

void grd_trial_backward(grd_trial *t)
{
    t->args.scratch = memset(t->scratch_back, 0xff, t->infer.scratch_back);
    t->op->backward(&t->args);
}

/* ---- gradient ---- */

/* <projection, outputs>: what the gradient is taken of. */
static double projected(grd_trial *t)
{
    double sum = 0;
    grd_trial_forward(t);
    for (int k = 0; k < t->op->n_out; k++)
        for (int64_t i = 0; t->args.dout[k] && i < grd_count(&t->infer.out[k]); i++)
            sum += grd_trial_get(t, t->args.out[k], i) * grd_trial_get(t, t->args.dout[k], i);
    return sum;
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h */
static double difference(grd_trial *t, void *x, int64_t i, double h)
{
    static const double at[4] = { 1, -1, 2, -2 }, factor[4] = { 8, -8, -1, 1 };
    const double x0 = grd_trial_get(t, x, i);
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        grd_trial_set(t, x, i, x0 + at[k] * h);
        sum += factor[k] * projected(t);
    }
    grd_trial_set(t, x, i, x0);
    return sum / (12 * h);
}

/* Differences are taken with h; where they do not agree with `a`, with ever smaller ones until two in a row agree with each
 * other, if they do: by chance a kink (a relu behind a sum of products) may lie within reach of the larger step. `close`: what
 * counts as agreement. */
static double slope(grd_trial *t, void *x, int64_t i, double a, double close)
{
    const double first = difference(t, x, i, 1e-3);
    double before = first, h = 1e-3;
    if (fabs(a - first) <= close)
        return first;
    for (int k = 0; k < 5; k++) {
        const double n = difference(t, x, i, h /= 3);
        if (fabs(n - before) <= close)
            return n;
        before = n;
    }
    return first;
}

static double tensor_error(grd_trial *t, int input, int64_t most, double floor)
{
    const int64_t n_all = grd_count(&t->in_shape[input]), n_tried = n_all < most ? n_all : most;
    double worst = 0, size_a = 0, size_n = 0;
    for (int64_t e = 0; e < n_all; e++) {
        const double a = grd_trial_get(t, t->args.din[input], e);
        if (!isfinite(a))
            return 1;
        size_a = fmax(size_a, fabs(a));
    }
    for (int64_t k = 0; k < n_tried; k++) {
        const int64_t e = k * n_all / n_tried;
        const double a = grd_trial_get(t, t->args.din[input], e);
        const double n = slope(t, t->in[input], e, a, 0.1 * GRD_GRADCHECK_BOUND * size_a);
        if (!isfinite(n))
            return 1;
        worst = fmax(worst, fabs(a - n));
        size_n = fmax(size_n, fabs(n));
    }
    return worst / (size_a + size_n + floor);
}

grd_status grd_trial_gradient_error(grd_trial *t, int64_t most, double floor, double *error)
{
    *error = 0;
    if (t->op->flags & GRD_NO_GRAD)
        return GRD_OK;
    if (t->element != sizeof(double))
        return grd_fail(t->host, GRD_ERR_ARG, "op \"%s\": differences need the double row", t->op->name);
    grd_trial_forward(t);
    grd_trial_backward(t);
    for (int i = 0; i < t->n_in; i++)
        if (grd_trial_kind(t, i) == GRD_KIND_REAL)
            *error = fmax(*error, tensor_error(t, i, most, floor));
    return GRD_OK;
}
