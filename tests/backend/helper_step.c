#include "helper_step.h"

#include "base/options.h"
#include "base/parallel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_IN = 4 };

typedef struct bench { /* one case, laid out */
    grd_ctx *ctx;
    grd_arena arena;
    const grd_op *f32, *f64;
    void *attr;
    int n_in;
    grd_shape in_shape[GRD_MAX_IN], out_shape[GRD_MAX_OUT];
    size_t save[2], scratch[2], scratch_back[2]; /* float, double */
    double *in[MAX_IN], *out, *dout, *din[MAX_IN];
} bench;

static void *fresh(size_t bytes) /* 64-aligned, full of NaN: nobody may rely on zeros */
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0xff, (bytes + 127) / 64 * 64);
    return memory;
}

static int parse_shapes(const char *text, grd_shape *shape)
{
    int n = 0;
    for (const char *c = strchr(text, '['); c; c = strchr(c, '['), n++) {
        shape[n] = (grd_shape){ 0 };
        while (*c != ']') {
            char *end;
            shape[n].dim[shape[n].rank++] = strtoll(c + 1, &end, 10);
            c = end;
        }
    }
    return n;
}

static void infer(bench *b, const grd_op *op, int wide)
{
    grd_infer f = { .attr = b->attr, .n_in = b->n_in, .in = b->in_shape, .train = true };
    if (op->shape(&f) != GRD_OK)
        fail_msg("%s: %s", op->name, f.why);
    b->out_shape[0] = f.out[0];
    b->save[wide] = f.save;
    b->scratch[wide] = f.scratch;
    b->scratch_back[wide] = f.scratch_back;
}

static double draw(uint64_t row, uint64_t i)
{
    grd_key key = { .seed = 11 };
    uint32_t w[4];
    grd_random4(&key, row, i, w);
    return (double)(float)(2 * grd_uniform(w[0]) - 1);
}

static double *filled(const grd_shape *shape, uint64_t seed)
{
    int64_t n = grd_count(shape);
    double *v = fresh(sizeof *v * (size_t)n);
    for (int64_t i = 0; i < n; i++)
        v[i] = draw(seed, (uint64_t)i);
    return v;
}

static void reference(bench *b)
{
    grd_args a = { .attr = b->attr,
                   .n_in = b->n_in,
                   .n_out = 1,
                   .in_shape = b->in_shape,
                   .out_shape = b->out_shape,
                   .train = true,
                   .threads = 1 };
    void *save = fresh(b->save[1]), *scratch = fresh(b->scratch[1] + b->scratch_back[1]);
    for (int i = 0; i < b->n_in; i++) {
        a.in[i] = b->in[i];
        a.din[i] = (void *)(b->din[i] = fresh(sizeof(double) * (size_t)grd_count(&b->in_shape[i])));
    }
    b->out = fresh(sizeof(double) * (size_t)grd_count(b->out_shape));
    a.out[0] = (void *)b->out;
    a.dout[0] = (void *)b->dout;
    a.save = save;
    a.scratch = scratch;
    b->f64->forward(&a);
    b->f64->backward(&a);
    free(save);
    free(scratch);
}

static bench set_up(const step_case *c)
{
    bench b = { .ctx = grd_open(NULL) };
    b.f32 = grd_op_find(b.ctx, c->op, GRD_F32);
    b.f64 = grd_op_find(b.ctx, c->op, GRD_F64);
    assert_non_null(b.f32);
    grd_host *host = &b.ctx->host;
    grd_arena_init(&b.arena, host);
    b.attr = grd_arena_alloc(&b.arena, b.f32->options_size + 1);
    if (grd_options_parse(host, &b.arena, b.f32->options, b.attr, c->op, c->attr) != GRD_OK ||
        grd_options_resolve(host, b.f32->options, b.f32->options_size, c->op, b.attr, b.attr) != GRD_OK)
        fail_msg("%s", grd_error(b.ctx));
    b.n_in = parse_shapes(c->in, b.in_shape);
    infer(&b, b.f64, 1);
    infer(&b, b.f32, 0);
    for (int i = 0; i < b.n_in; i++)
        b.in[i] = filled(&b.in_shape[i], (uint64_t)i);
    b.dout = filled(b.out_shape, 99);
    reference(&b);
    return b;
}

static void tear_down(bench *b)
{
    for (int i = 0; i < b->n_in; i++) {
        free(b->in[i]);
        free(b->din[i]);
    }
    free(b->out);
    free(b->dout);
    grd_arena_free(&b->arena);
    grd_close(b->ctx);
}

/* Plain double values as float in a layout. */
static float *laid_out(const double *v, const grd_layout *layout, const grd_shape *shape)
{
    static const grd_layout plain;
    int64_t n = grd_count(shape);
    float *flat = fresh(sizeof(float) * (size_t)n), *out = fresh(grd_layout_bytes(layout, shape, sizeof(float)));
    for (int64_t i = 0; i < n; i++)
        flat[i] = (float)v[i];
    grd_layout_copy(&plain, flat, layout, out, shape, sizeof(float));
    free(flat);
    return out;
}

static float *plain_copy(const float *v, const grd_layout *layout, const grd_shape *shape)
{
    static const grd_layout plain;
    float *out = fresh(sizeof(float) * (size_t)grd_count(shape));
    grd_layout_copy(layout, v, &plain, out, shape, sizeof(float));
    return out;
}

double step_error(const float *a, const double *b, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        worst = d <= worst ? worst : d; /* NaN counts */
        largest = fmax(largest, fabs(b[i]));
        if (isnan(d))
            return INFINITY;
    }
    return worst / (largest + 1e-6);
}

static void note(step_result *r, double error, const char *where)
{
    if (error > r->error) {
        r->error = error;
        r->where = where;
    }
}

static void check_padding(const grd_layout *l, const float *v, const grd_shape *shape)
{
    if (!grd_layout_has_padding(l, shape) || l->kind == GRD_LAYOUT_OPAQUE)
        return;
    float *flat = plain_copy(v, l, shape), *again = fresh(l->bytes);
    static const grd_layout plain;
    grd_layout_copy(&plain, flat, l, again, shape, sizeof(float));
    assert_memory_equal(v, again, l->bytes); /* the same with zeros in the padding */
    free(flat);
    free(again);
}

static bool prepare(bench *b, const grd_backend *backend, const grd_node *node, grd_pass pass, int threads, grd_impl *impl,
                    step_result *r)
{
    grd_env env = { .host = &b->ctx->host, .threads = threads };
    *impl = (grd_impl){ .backend = backend, .run = backend->run, .threads = threads, .save = b->save[0],
                        .scratch = pass == GRD_FORWARD ? b->scratch[0] : b->scratch_back[0] };
    r->refused = backend->prepare(impl, node, pass, &env);
    return r->refused == NULL;
}

static void run_forward(bench *b, const step_case *c, const grd_impl *impl, int repeats, grd_args *a, step_result *r)
{
    (void)c;
    r->forward_plain = impl->out[0].kind == GRD_LAYOUT_PLAIN;
    for (int i = 0; i < b->n_in; i++) {
        a->in[i] = laid_out(b->in[i], &impl->in[i], &b->in_shape[i]);
        r->forward_plain &= impl->in[i].kind == GRD_LAYOUT_PLAIN;
    }
    a->out[0] = fresh(grd_layout_bytes(&impl->out[0], b->out_shape, sizeof(float)));
    a->scratch = fresh(impl->scratch);
    for (int k = 0; k < repeats; k++)
        impl->run(impl, a);
    r->out = plain_copy(a->out[0], &impl->out[0], b->out_shape);
    r->out_count = grd_count(b->out_shape);
    r->out_error = step_error(r->out, b->out, r->out_count);
    note(r, r->out_error, "out");
    check_padding(&impl->out[0], a->out[0], b->out_shape);
    for (int i = 0; i < b->n_in; i++)
        free((void *)(uintptr_t)a->in[i]);
    free(a->out[0]);
    free(a->scratch);
}

static void run_backward(bench *b, const step_case *c, const grd_impl *impl, int repeats, grd_args *a, step_result *r)
{
    static const char *const gradient[] = { "gradient of input 0", "gradient of input 1", "gradient of input 2",
                                            "gradient of input 3" };
    for (int i = 0; i < b->n_in; i++) {
        a->in[i] = laid_out(b->in[i], &impl->in[i], &b->in_shape[i]);
        a->din[i] = c->want >> i & 1 ? fresh(grd_layout_bytes(&impl->din[i], &b->in_shape[i], sizeof(float))) : NULL;
    }
    a->out[0] = laid_out(b->out, &impl->out[0], b->out_shape);
    a->dout[0] = laid_out(b->dout, &impl->dout[0], b->out_shape);
    a->scratch = fresh(impl->scratch);
    for (int k = 0; k < repeats; k++)
        impl->run(impl, a);
    for (int i = 0; i < b->n_in; i++) {
        if (a->din[i]) {
            r->din[i] = plain_copy(a->din[i], &impl->din[i], &b->in_shape[i]);
            r->din_count[i] = grd_count(&b->in_shape[i]);
            r->din_error[i] = step_error(r->din[i], b->din[i], r->din_count[i]);
            note(r, r->din_error[i], gradient[i]);
            check_padding(&impl->din[i], a->din[i], &b->in_shape[i]);
        }
        free((void *)(uintptr_t)a->in[i]);
        free(a->din[i]);
    }
    free(a->out[0]);
    free((void *)(uintptr_t)a->dout[0]);
    free(a->scratch);
}

step_result step_run(const grd_backend *backend, const step_case *c, int threads, int repeats)
{
    bench b = set_up(c);
    step_result r = { .where = "nothing" };
    int before = grd_parallel_threads(threads);
    grd_layout none[GRD_MAX_IN];
    memset(none, 0, sizeof none);
    grd_node node = { .op = b.f32,
                      .attr = b.attr,
                      .path = "step",
                      .dtype = GRD_F32,
                      .train = true,
                      .n_in = b.n_in,
                      .n_out = 1,
                      .in_shape = b.in_shape,
                      .out_shape = b.out_shape,
                      .in_layout = none,
                      .out_layout = none,
                      .dout_layout = none };
    grd_args a = { .attr = b.attr,
                   .n_in = b.n_in,
                   .n_out = 1,
                   .in_shape = b.in_shape,
                   .out_shape = b.out_shape,
                   .train = true,
                   .threads = threads };
    grd_impl forward, backward;
    if (prepare(&b, backend, &node, GRD_FORWARD, threads, &forward, &r)) {
        memcpy(r.name, forward.name, sizeof r.name);
        run_forward(&b, c, &forward, repeats, &a, &r);
        node.forward = &forward;
        node.want_din = c->want;
        node.have_dout = 1;
        node.out_layout = forward.out;
        if (c->want && prepare(&b, backend, &node, GRD_BACKWARD, threads, &backward, &r)) {
            run_backward(&b, c, &backward, repeats, &a, &r);
            backend->drop(&backward, &b.ctx->host);
        }
        backend->drop(&forward, &b.ctx->host);
    }
    grd_parallel_threads(before);
    tear_down(&b);
    return r;
}

void step_release(step_result *r)
{
    free(r->out);
    for (int i = 0; i < GRD_MAX_IN; i++)
        free(r->din[i]);
}
