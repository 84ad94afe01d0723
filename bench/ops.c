/* Every kind of op at sizes of the nine workloads, forward and backward, by every backend that takes it, in plain and in blocked layout,
 * beside what the machine can do.
 *
 * A step is what a plan would run: inputs in the layout that the backend wants, backward after its own forward. Its buffers are the same
 * every time, so what fits stays in the cache: small ones may pass the speed of memory. */
#define _POSIX_C_SOURCE 200809L
#include "ops.h"

#include "backend/cpu/planes.h"
#include "base/ctx.h"
#include "base/parallel.h"
#include "op/check.h"

#include <gradus/plan.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_TIMES = 2000, MAX_BUFFERS = 3 * GRD_MAX_IN + 2 * GRD_MAX_OUT + 4 };

static const char usage[] =
    "usage: ops [--op NAME] [--workload NAME] [--backend NAME] [--threads N] [--seconds S] [--json]\n\n"
    "One line for each op, pass, backend and layout; of its runs in S seconds (0.05) the median. GFLOP/s by the formula's operations, "
    "GB/s\n"
    "by the bytes that must be read and written once; roofline: the larger of both at the machine's peaks, printed first; times: of the\n"
    "roofline. Winograd needs fewer operations, and what stays in cache is faster than memory: times may be below 1.\n"
    "  --op, --workload   only those of that name\n"
    "  --backend          cpu, onednn or ref; without it cpu and onednn, and ref where neither takes the op\n"
    "  --threads          1\n"
    "  --json             an object a line\n";

typedef struct settings {
    const char *op, *workload, *backend; /* NULL = all; ref only if named */
    int threads;
    double seconds; /* for each line */
    bool json;
} settings;

typedef struct bench {
    settings set;
    grd_ctx *ctx;
    grd_machine machine;
    int lines;
} bench;

/* A case by one backend. */
typedef struct step {
    const ops_case *is;
    const grd_trial *trial; /* plain values */
    grd_impl impl[2];       /* forward, backward */
    grd_args args;
    grd_host *host;
    void *buffer[MAX_BUFFERS];
    int n_buffers;
} step;

typedef struct line {
    const ops_case *is;
    const grd_impl *impl;
    const char *pass, *layout;
    char shapes[160];
    double seconds, flops, bytes;
} line;

static const grd_layout plain;

/* ---- what a step does ---- */

/* As a plan counts (autodiff.c): a product has two gradients, each of its own cost; a vector's beside a matrix is a sum over the output. */
static double flops_of(const step *s, bool backward)
{
    const grd_trial *t = s->trial;
    const double outputs = (double)grd_count(&t->infer.out[0]), forward = t->infer.flops > 0 ? t->infer.flops : outputs;
    int whole = 0, vectors = 0;
    for (int i = 0; i < t->n_in; i++)
        if (s->is->want >> i & 1)
            ++*(i > 0 && t->in_shape[i].rank <= 1 && t->in_shape[0].rank > 1 ? &vectors : &whole);
    return backward ? forward * (whole > 2 ? 2 : whole) + vectors * outputs : forward;
}

/* As a plan counts (profile.c): read once, written once, without a layout's padding, save and scratch. All values have 4 bytes. */
static double bytes_of(const step *s, bool backward)
{
    const grd_trial *t = s->trial;
    double values = 0;
    for (int i = 0; i < t->n_in; i++) {
        const int read = !backward || t->op->bwd_in >> i & 1, next = !backward && grd_trial_kind(t, i) == GRD_KIND_STATE;
        const int gradient = backward && s->is->want >> i & 1;
        values += (double)grd_count(&t->in_shape[i]) * (read + next + gradient);
    }
    for (int k = 0; k < t->op->n_out; k++) {
        const int touched = !backward || t->op->bwd_out >> k & 1, gradient = backward && t->args.dout[k];
        values += (double)grd_count(&t->infer.out[k]) * (touched + gradient);
    }
    return values * (double)sizeof(float);
}

/* ---- measuring and telling ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Median seconds of a run. The first is not counted: it finds its memory untouched. */
static double measure(const bench *b, const grd_impl *impl, const grd_args *args)
{
    double times[MAX_TIMES];
    int n = 0;
    impl->run(impl, args);
    const double end = now() + b->set.seconds;
    do {
        const double begin = now();
        impl->run(impl, args);
        times[n++] = now() - begin;
    } while (n < MAX_TIMES && now() < end);
    qsort(times, (size_t)n, sizeof *times, compare);
    return times[n / 2];
}

static void tell_json(const bench *b, const line *l, double gflops, double gbytes, double limit)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "workload", l->is->workload,
                               "op", l->is->op, "shapes", l->shapes, "pass", l->pass, "backend", l->impl->backend->name,
                               "implementation", l->impl->name, "layout", l->layout, "threads", b->set.threads, "ms",
                               l->seconds * 1e3, "gflop_s", gflops, "gb_s", gbytes, "roofline_ms", limit * 1e3, "peak_gflop_s",
                               b->machine.fma_peak * 1e-9, "peak_gb_s", b->machine.stream * 1e-9);
    json_dumpf(object, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static void tell(bench *b, const line *l)
{
    const double compute = l->flops / b->machine.fma_peak, move = l->bytes / b->machine.stream, limit = compute > move ? compute : move;
    const double gflops = l->flops / l->seconds * 1e-9, gbytes = l->bytes / l->seconds * 1e-9;
    char name[80];
    snprintf(name, sizeof name, "%s %s", l->impl->backend->name, l->impl->name);
    if (b->set.json)
        tell_json(b, l, gflops, gbytes, limit);
    else
        printf("%-9s %-18s %-36s %-8s %-26s %-8s %10.4f %9.2f %9.2f %10.4f %8.2f\n", l->is->workload, l->is->op, l->shapes, l->pass,
               name, l->layout, l->seconds * 1e3, gflops, gbytes, limit * 1e3, l->seconds / limit);
    fflush(stdout);
    b->lines++;
}

static void tell_header(const bench *b)
{
    if (b->set.json)
        return;
    printf("%d thread%s, %s: %.1f GFLOP/s, %.1f GB/s\n", b->machine.threads, b->machine.threads == 1 ? "" : "s", b->machine.isa,
           b->machine.fma_peak * 1e-9, b->machine.stream * 1e-9);
    printf("%-9s %-18s %-36s %-8s %-26s %-8s %10s %9s %9s %10s %8s\n", "workload", "op", "shapes", "pass", "implementation", "layout",
           "ms", "GFLOP/s", "GB/s", "roofline", "times");
}

/* Of the first two inputs: the rest are vectors. */
static void shapes_text(const grd_trial *t, char *text, size_t size)
{
    char first[64], second[64] = "";
    grd_shape_text(&t->in_shape[0], first, sizeof first);
    if (t->n_in > 1)
        grd_shape_text(&t->in_shape[1], second, sizeof second);
    snprintf(text, size, "%s%s%s", first, t->n_in > 1 ? " " : "", second);
}

/* ---- one op by one backend ---- */

static grd_status laid_out(step *s, const grd_layout *layout, const void *values, const grd_shape *shape, void **memory)
{
    *memory = s->n_buffers < MAX_BUFFERS ? grd_alloc(s->host, grd_layout_bytes(layout, shape, sizeof(float))) : NULL;
    if (!*memory)
        return GRD_ERR_MEMORY;
    s->buffer[s->n_buffers++] = *memory;
    if (values && layout->kind != GRD_LAYOUT_OPAQUE)
        grd_layout_copy(&plain, values, layout, *memory, shape, sizeof(float));
    return GRD_OK;
}

static grd_status room(step *s, size_t bytes, void **memory)
{
    const grd_layout run = { .kind = GRD_LAYOUT_OPAQUE, .bytes = bytes };
    return laid_out(s, &run, NULL, &(grd_shape){ 0 }, memory);
}

/* Inputs and outputs as an implementation wants them; what it writes; scratch. */
static grd_status bind(step *s, bool backward)
{
    const grd_trial *t = s->trial;
    const grd_impl *m = &s->impl[backward];
    void *memory;
    for (int i = 0; i < t->n_in; i++) {
        const bool real = grd_trial_kind(t, i) == GRD_KIND_REAL;
        GRD_TRY(laid_out(s, real ? &m->in[i] : &plain, t->args.in[i], &t->in_shape[i], &memory));
        s->args.in[i] = memory;
        s->args.din[i] = NULL;
        if (backward && s->is->want >> i & 1) {
            GRD_TRY(laid_out(s, &m->din[i], NULL, &t->in_shape[i], &memory));
            s->args.din[i] = memory;
        }
    }
    for (int k = 0; k < t->op->n_out; k++) {
        if (!backward || !grd_layout_equal(&m->out[k], &s->impl[0].out[k])) {
            GRD_TRY(laid_out(s, &m->out[k], t->args.out[k], &t->infer.out[k], &memory));
            s->args.out[k] = memory;
        }
        if (backward && t->args.dout[k]) {
            GRD_TRY(laid_out(s, &m->dout[k], t->args.dout[k], &t->infer.out[k], &memory));
            s->args.dout[k] = memory;
        }
    }
    return room(s, m->scratch, &s->args.scratch);
}

static bool prepare(step *s, grd_node *node, bool backward, const grd_backend *backend, const bench *b)
{
    grd_impl *m = &s->impl[backward];
    const grd_env env = { .host = s->host, .threads = b->set.threads };
    *m = (grd_impl){ .backend = backend, .run = backend->run, .threads = b->set.threads, .save = s->trial->infer.save,
                     .scratch = backward ? s->trial->infer.scratch_back : s->trial->infer.scratch };
    return !backend->prepare(m, node, backward ? GRD_BACKWARD : GRD_FORWARD, &env);
}

static void note(bench *b, const step *s, bool backward)
{
    const grd_impl *m = &s->impl[backward];
    const grd_layout *layout = m->out[0].kind == GRD_LAYOUT_PLAIN ? &m->in[0] : &m->out[0];
    line l = { .is = s->is, .impl = m, .pass = backward ? "backward" : "forward", .flops = flops_of(s, backward),
               .bytes = bytes_of(s, backward), .layout = layout->kind == GRD_LAYOUT_PLAIN ? "plain" : layout->name };
    shapes_text(s->trial, l.shapes, sizeof l.shapes);
    l.seconds = measure(b, m, &s->args);
    tell(b, &l);
}

static grd_status measure_passes(bench *b, step *s, grd_node *node)
{
    const grd_trial *t = s->trial;
    GRD_TRY(bind(s, false));
    GRD_TRY(room(s, s->impl[0].save, &s->args.save));
    note(b, s, false);
    node->forward = &s->impl[0];
    node->want_din = s->is->want;
    node->in_layout = s->impl[0].in;
    node->out_layout = node->dout_layout = s->impl[0].out;
    for (int k = 0; k < t->op->n_out; k++)
        node->have_dout |= t->args.dout[k] ? 1u << k : 0;
    if (!s->is->want || !prepare(s, node, true, s->impl[0].backend, b))
        return GRD_OK;
    const grd_status status = bind(s, true);
    if (status == GRD_OK)
        note(b, s, true);
    s->impl[1].backend->drop(&s->impl[1], s->host);
    return status;
}

/* Inputs are offered in a layout; what the backend makes of it is kept in *seen. Nothing to measure if that is what it was. */
static grd_status by_backend(bench *b, const ops_case *c, const grd_trial *t, const grd_backend *backend, const grd_layout *offered,
                             grd_impl *seen)
{
    step s = { .is = c, .trial = t, .args = t->args, .host = &b->ctx->host };
    s.args.threads = b->set.threads;
    s.args.save = s.args.scratch = NULL;
    grd_node node = { .op = t->op, .attr = t->attr, .path = c->op, .dtype = GRD_F32, .train = true, .n_in = t->n_in,
                      .n_out = t->op->n_out, .in_shape = t->in_shape, .out_shape = t->infer.out, .in_layout = offered };
    grd_status status = GRD_OK;
    grd_clear(s.host);
    if (!prepare(&s, &node, false, backend, b))
        return GRD_OK;
    const bool again = seen->backend && grd_layout_equal(&seen->in[0], &s.impl[0].in[0]) &&
                       grd_layout_equal(&seen->out[0], &s.impl[0].out[0]) && strcmp(seen->name, s.impl[0].name) == 0;
    if (!again)
        status = measure_passes(b, &s, &node);
    *seen = s.impl[0];
    backend->drop(&s.impl[0], s.host);
    while (s.n_buffers > 0)
        grd_free(s.host, s.buffer[--s.n_buffers]);
    return status;
}

/* ---- cases ---- */

static grd_layout blocked(const grd_shape *shape)
{
    const grd_layout like = { .kind = GRD_LAYOUT_BLOCKED, .inner_size = { grd_isa_level() == 2 ? 16 : 8 } };
    return shape->rank == 4 ? grd_planes_layout(&like, shape) : plain;
}

/* `before`: how many lines there were before this case. The reference comes last. */
static bool wanted(const bench *b, const grd_backend *backend, int before)
{
    if (b->set.backend)
        return strcmp(b->set.backend, backend->name) == 0;
    return backend != &grd_backend_ref || b->lines == before;
}

static grd_status run_op(bench *b, const ops_case *c)
{
    grd_trial t;
    const grd_op *op = grd_op_find(b->ctx, c->op, GRD_F32);
    if (!op)
        return grd_fail(&b->ctx->host, GRD_ERR_ARG, "there is no op \"%s\"", c->op);
    grd_status status = grd_trial_begin(&t, &b->ctx->host, op, GRD_F32, &(grd_op_sample){ c->attr, c->in }, 1);
    if (status == GRD_ERR_SHAPE)
        grd_fail(&b->ctx->host, status, "%s: %s: %s", c->op, c->in, t.infer.why);
    grd_layout offered[2][GRD_MAX_IN];
    memset(offered, 0, sizeof offered);
    for (int i = 0; i < t.n_in; i++)
        offered[1][i] = blocked(&t.in_shape[i]);
    const int before = b->lines;
    for (const grd_backend *const *k = grd_backends; status == GRD_OK && *k; k++) {
        if (!wanted(b, *k, before))
            continue;
        grd_impl seen = { 0 };
        for (int i = 0; i < 2 && status == GRD_OK; i++)
            status = by_backend(b, c, &t, *k, offered[i], &seen);
    }
    grd_trial_end(&t);
    return status;
}

static void reorder_by(bench *b, const ops_case *c, const grd_trial *x, const grd_backend *backend, const grd_layout *from,
                       const grd_layout *to)
{
    const grd_env env = { .host = &b->ctx->host, .threads = b->set.threads };
    const grd_node node = { .path = c->op, .dtype = GRD_F32, .n_in = 1, .n_out = 1, .in_shape = x->in_shape,
                            .out_shape = x->in_shape, .from = from, .to = to };
    grd_impl m = { .backend = backend, .run = backend->run, .threads = b->set.threads };
    const double bytes = 2.0 * (double)sizeof(float) * (double)grd_count(&x->in_shape[0]);
    line l = { .is = c, .impl = &m, .pass = "forward", .bytes = bytes, .layout = from->kind == GRD_LAYOUT_PLAIN ? to->name : "plain" };
    step s = { .is = c, .trial = x, .host = &b->ctx->host };
    void *in, *out;
    if (backend->prepare(&m, &node, GRD_REORDER, &env))
        return;
    if (laid_out(&s, from, x->in[0], &x->in_shape[0], &in) == GRD_OK && laid_out(&s, to, NULL, &x->in_shape[0], &out) == GRD_OK &&
        room(&s, m.scratch, &s.args.scratch) == GRD_OK) {
        const grd_args args = { .n_in = 1, .n_out = 1, .in_shape = x->in_shape, .out_shape = x->in_shape, .in = { in }, .out = { out },
                                .scratch = s.args.scratch, .threads = b->set.threads };
        l.seconds = measure(b, &m, &args);
        shapes_text(x, l.shapes, sizeof l.shapes);
        tell(b, &l);
    }
    while (s.n_buffers > 0)
        grd_free(s.host, s.buffer[--s.n_buffers]);
    backend->drop(&m, &b->ctx->host);
}

static grd_status run_reorder(bench *b, const ops_case *c)
{
    grd_trial x; /* relu's: any op of one input has the values */
    GRD_TRY(grd_trial_begin(&x, &b->ctx->host, grd_op_find(b->ctx, "relu", GRD_F32), GRD_F32, &(grd_op_sample){ NULL, c->in }, 1));
    const grd_layout other = blocked(&x.in_shape[0]);
    const int before = b->lines;
    for (const grd_backend *const *k = grd_backends; *k; k++) {
        if (!wanted(b, *k, before))
            continue;
        reorder_by(b, c, &x, *k, &plain, &other);
        reorder_by(b, c, &x, *k, &other, &plain);
    }
    grd_trial_end(&x);
    return b->ctx->host.err.status == GRD_ERR_MEMORY ? GRD_ERR_MEMORY : GRD_OK;
}

static grd_status run_cases(bench *b)
{
    for (size_t i = 0; i < sizeof ops_cases / sizeof *ops_cases; i++) {
        const ops_case *c = &ops_cases[i];
        if ((b->set.op && strcmp(b->set.op, c->op) != 0) || (b->set.workload && strcmp(b->set.workload, c->workload) != 0))
            continue;
        GRD_TRY(strcmp(c->op, "reorder") == 0 ? run_reorder(b, c) : run_op(b, c));
    }
    if (b->lines)
        return GRD_OK;
    return grd_fail(&b->ctx->host, GRD_ERR_ARG, "nothing to measure: no such op, workload or backend together; see bench/ops.h");
}

/* ---- command line ---- */

static bool read_number(const char *text, double least, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && *value >= least && *value <= most;
}

static bool read_settings(int argc, char **argv, settings *s)
{
    double value;
    *s = (settings){ .threads = 1, .seconds = 0.05 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            s->json = true;
            continue;
        }
        const char *name = argv[i], *word = ++i < argc ? argv[i] : NULL;
        if (!word)
            return false;
        if (strcmp(name, "--op") == 0)
            s->op = word;
        else if (strcmp(name, "--workload") == 0)
            s->workload = word;
        else if (strcmp(name, "--backend") == 0)
            s->backend = word;
        else if (strcmp(name, "--threads") == 0 && read_number(word, 1, 1024, &value))
            s->threads = (int)value;
        else if (strcmp(name, "--seconds") == 0 && read_number(word, 0, 60, &value))
            s->seconds = value;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bench b = { 0 };
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!read_settings(argc, argv, &b.set)) {
        fputs(usage, stderr);
        return 2;
    }
    b.ctx = grd_open(&(grd_opts){ .threads = b.set.threads });
    if (!b.ctx) {
        fputs("ops: out of memory\n", stderr);
        return 1;
    }
    grd_parallel_threads(b.set.threads);
    grd_status status = grd_machine_measure(b.ctx, b.set.threads, &b.machine);
    if (status == GRD_OK) {
        tell_header(&b);
        status = run_cases(&b);
    }
    if (status != GRD_OK)
        fprintf(stderr, "ops: %s\n", grd_error(b.ctx));
    grd_close(b.ctx);
    return status != GRD_OK;
}
