/* gru: w_ih x of all steps is one product before the walk through time, each step one more with w_hh, then all gates at once.
 * Threads share the rows of the batch and walk without waiting for each other. Backward the same way round: the gradients of x and
 * of the weights are products over all steps at the end.
 * save, ours: gates [N,T,lds] and q [N,T,H], what r is a factor of. */
#include "backend/cpu/kernels.h"
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"

#include <stdio.h>
#include <string.h>

enum { X, W_IH, W_HH, B_IH, B_HH, LENGTHS }; /* inputs */
enum { Y, LAST_H };                          /* outputs */

typedef struct gru_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t n, t, f, h;
    int64_t gates, lds;       /* 3H; how far rows of them are apart */
    bool lengths;
    int threads;
    int64_t pieces;
} gru_state;

/* The parts of save and scratch. */
typedef struct gru_memory {
    float *s, *q;             /* [N,T,lds], [N,T,H] */
    float *u, *b;             /* w_hh h of one step [N,lds]; biases [4H]: r and z summed, b_in, b_hn */
    float *ds, *du, *dh;      /* gradients of w_ih x [N,T,lds], of w_hh h (see gradient_row), of h [N,H] */
    float *first;             /* [N,lds]: of w_hh h at the first step */
    float *sums;              /* [3H] */
    float *x;                 /* [N,T,F]: the input with zeros past a row's length; only where there are lengths */
    float *zero;              /* [H]: h before the first step */
} gru_memory;

typedef struct job { const gru_state *s; const grd_args *args; gru_memory m; } job;

static float *take(float **at, int64_t n)
{
    float *memory = *at;
    *at += (n + 15) / 16 * 16; /* all parts on cache lines */
    return memory;
}

static void split_save(const gru_state *s, float *at, gru_memory *m)
{
    m->s = take(&at, s->n * s->t * s->lds);
    m->q = take(&at, s->n * s->t * s->h);
}

static size_t save_floats(const gru_state *s) { return (size_t)(s->n * s->t * (s->lds + s->h) + 2 * 16); }

static size_t forward_floats(const gru_state *s) { return (size_t)(s->n * s->lds + 5 * s->h + 3 * 16) + save_floats(s); }

/* A plan without backward gives no save: its part then lies at the end. */
static void split_forward(const gru_state *s, const grd_args *a, gru_memory *m)
{
    float *at = a->scratch;
    m->u = take(&at, s->n * s->lds);
    m->b = take(&at, 4 * s->h);
    m->zero = take(&at, s->h);
    split_save(s, a->save ? a->save : at, m);
}

static size_t backward_floats(const gru_state *s)
{
    return (size_t)((2 * s->t + 1) * s->n * s->lds + s->n * s->h + 4 * s->h + (s->lengths ? s->n * s->t * s->f : 0) + 7 * 16);
}

static void split_backward(const gru_state *s, const grd_args *a, gru_memory *m)
{
    float *at = a->scratch;
    split_save(s, a->save, m);
    m->ds = take(&at, s->n * s->t * s->lds);
    m->du = take(&at, s->n * s->t * s->lds);
    m->first = take(&at, s->n * s->lds);
    m->dh = take(&at, s->n * s->h);
    m->sums = take(&at, s->gates);
    m->zero = take(&at, s->h);
    m->x = s->lengths ? take(&at, s->n * s->t * s->f) : NULL;
}

static int64_t length_of(const grd_args *a, int64_t n, int64_t t)
{
    const int64_t length = a->n_in > LENGTHS ? ((const int32_t *)a->in[LENGTHS])[n] : t;
    return length < 0 ? 0 : length > t ? t : length;
}

/* ---- forward ---- */

static void gather_biases(const gru_state *s, const grd_args *a, float *b)
{
    memset(b, 0, sizeof *b * (size_t)(4 * s->h));
    if (a->n_in <= B_HH)
        return;
    s->cpu->add_into(b, a->in[B_IH], 3 * s->h);
    s->cpu->add_into(b, a->in[B_HH], 2 * s->h);
    s->cpu->add_into(b + 3 * s->h, (const float *)a->in[B_HH] + 2 * s->h, s->h);
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const gru_state *s = j->s;
    const int64_t n0 = s->n * begin / s->pieces, n1 = s->n * end / s->pieces;
    float *y = (float *)(void *)j->args->out[Y], *last = (float *)(void *)j->args->out[LAST_H];
    const size_t state = sizeof *y * (size_t)s->h;
    memset(last + n0 * s->h, 0, state * (size_t)(n1 - n0));
    memset(j->m.u + n0 * s->lds, 0, sizeof *y * (size_t)((n1 - n0) * s->lds)); /* h before the first step is zero */
    for (int64_t t = 0; t < s->t; t++) {
        const grd_gemm g = { false, true, n1 - n0, s->gates, s->h, s->t * s->h, s->h, s->lds,
                             t ? y + (n0 * s->t + t - 1) * s->h : NULL, j->args->in[W_HH], j->m.u + n0 * s->lds };
        if (t)
            grd_gemm_whole(&g);
        for (int64_t n = n0; n < n1; n++) {
            const int64_t at = n * s->t + t, length = length_of(j->args, n, s->t);
            float *h = y + at * s->h;
            if (t >= length) {
                memset(h, 0, state);
                continue;
            }
            s->cpu->gru_cell(s->h, j->m.b, j->m.s + at * s->lds, j->m.u + n * s->lds, j->m.q + at * s->h, t ? h - s->h : j->m.zero,
                             h);
            if (t == length - 1)
                memcpy(last + n * s->h, h, state);
        }
    }
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    job j = { .s = impl->state, .args = args };
    const gru_state *s = j.s;
    split_forward(s, args, &j.m);
    gather_biases(s, args, j.m.b);
    memset(j.m.zero, 0, sizeof(float) * (size_t)s->h);
    grd_gemm_shared(&(grd_gemm){ false, true, s->n * s->t, s->gates, s->f, s->f, s->f, s->lds, args->in[X], args->in[W_IH], j.m.s },
                    s->threads);
    grd_parallel_for((int)s->pieces, s->pieces, 1, forward_rows, &j);
}

/* ---- backward ---- */

static const float *gradient_of(const grd_args *a, int k) { return (const float *)(const void *)a->dout[k]; }
static float *wanted(const grd_args *a, int i) { return i < a->n_in ? (float *)(void *)a->din[i] : NULL; }

/* Where the gradient of w_hh h_{t-1} goes: beside y_{t-1}, so that that of w_hh is one product with y. Beside a sequence's last y
 * are zeros, its first step has a place of its own: h before it is zero. */
static float *gradient_row(const job *j, int64_t n, int64_t t)
{
    return t ? j->m.du + (n * j->s->t + t - 1) * j->s->lds : j->m.first + n * j->s->lds;
}

static void gates_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const gru_state *s = j->s;
    const float *dy = gradient_of(j->args, Y), *y = (const float *)(const void *)j->args->out[Y];
    const size_t row = sizeof(float) * (size_t)s->gates;
    for (int64_t n = n0; n < n1; n++) {
        const int64_t at = n * s->t + t;
        float *dh = j->m.dh + n * s->h, *ds = j->m.ds + at * s->lds, *du = gradient_row(j, n, t);
        if (t >= length_of(j->args, n, s->t)) {
            memset(ds, 0, row);
            memset(du, 0, row);
            continue;
        }
        if (dy)
            s->cpu->add_into(dh, dy + at * s->h, s->h);
        s->cpu->gru_cell_gradient(s->h, j->m.s + at * s->lds, j->m.q + at * s->h, t ? y + (at - 1) * s->h : j->m.zero, dh, ds, du);
    }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const gru_state *s = j->s;
    const int64_t n0 = s->n * begin / s->pieces, n1 = s->n * end / s->pieces;
    const float *last = gradient_of(j->args, LAST_H);
    float *dh = j->m.dh + n0 * s->h;
    const size_t bytes = sizeof *dh * (size_t)((n1 - n0) * s->h);
    if (last)
        memcpy(dh, last + n0 * s->h, bytes);
    else
        memset(dh, 0, bytes);
    for (int64_t n = n0; n < n1; n++)
        memset(gradient_row(j, n, s->t), 0, sizeof *dh * (size_t)s->gates);
    for (int64_t t = s->t - 1; t >= 0; t--) {
        gates_backward(j, t, n0, n1);
        if (t)
            grd_gemm_add(&(grd_gemm){ false, false, n1 - n0, s->h, s->gates, s->t * s->lds, s->h, s->h, gradient_row(j, n0, t),
                                      j->args->in[W_HH], dh });
    }
}

/* What lies past a row's length may be NaN, which a gradient of 0 would not keep out of a sum. */
static const float *valid_inputs(const job *j)
{
    const gru_state *s = j->s;
    const float *x = j->args->in[X];
    for (int64_t n = 0; s->lengths && n < s->n; n++) {
        const int64_t valid = length_of(j->args, n, s->t) * s->f, all = s->t * s->f;
        memcpy(j->m.x + n * all, x + n * all, sizeof *x * (size_t)valid);
        memset(j->m.x + n * all + valid, 0, sizeof *x * (size_t)(all - valid));
    }
    return s->lengths ? j->m.x : x;
}

static void products_backward(const job *j)
{
    const gru_state *s = j->s;
    const int64_t rows = s->n * s->t;
    float *dx = wanted(j->args, X), *dw_ih = wanted(j->args, W_IH), *dw_hh = wanted(j->args, W_HH);
    const float *y = (const float *)(const void *)j->args->out[Y];
    if (dx)
        grd_gemm_shared(&(grd_gemm){ false, false, rows, s->f, s->gates, s->lds, s->f, s->f, j->m.ds, j->args->in[W_IH], dx },
                        s->threads);
    if (dw_ih)
        grd_gemm_shared(&(grd_gemm){ true, false, s->gates, s->f, rows, s->lds, s->f, s->f, j->m.ds, valid_inputs(j), dw_ih },
                        s->threads);
    if (dw_hh)
        grd_gemm_shared(&(grd_gemm){ true, false, s->gates, s->h, rows, s->lds, s->h, s->h, j->m.du, y, dw_hh }, s->threads);
}

static void sum_rows(const job *j, const float *from, int64_t rows, float *to)
{
    j->s->cpu->act_gradient(&(grd_act_job){ .dy = from, .db = to, .rows = rows, .cols = j->s->gates, .ld = j->s->lds });
}

static void biases_backward(const job *j)
{
    const gru_state *s = j->s;
    float *db_ih = wanted(j->args, B_IH), *db_hh = wanted(j->args, B_HH);
    if (db_ih)
        sum_rows(j, j->m.ds, s->n * s->t, db_ih);
    if (!db_hh)
        return;
    sum_rows(j, j->m.du, s->n * s->t, db_hh);
    sum_rows(j, j->m.first, s->n, j->m.sums);
    s->cpu->add_into(db_hh, j->m.sums, s->gates);
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    job j = { .s = impl->state, .args = args };
    split_backward(j.s, args, &j.m);
    memset(j.m.zero, 0, sizeof(float) * (size_t)j.s->h);
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, backward_rows, &j);
    products_backward(&j);
    biases_backward(&j);
}

/* ---- prepare ---- */

static void drop(grd_impl *impl, grd_host *host)
{
    grd_free(host, impl->state);
    impl->state = NULL;
}

GRD_PREPARE(grd_onednn_gru)
{
    const grd_shape *in = node->in_shape;
    if (pass == GRD_BACKWARD && (!node->forward || !node->forward->private_save))
        return "forward ran elsewhere";
    gru_state *s = GRD_NEW(env->host, gru_state);
    if (!s)
        return "out of memory";
    *s = (gru_state){ .base = { drop }, .cpu = grd_cpu(), .n = in[X].dim[0], .t = in[X].dim[1], .f = in[X].dim[2],
                      .h = in[W_HH].dim[1], .gates = in[W_HH].dim[0], .lengths = node->n_in > LENGTHS };
    s->lds = s->gates + (s->gates % 512 ? 0 : 16); /* rows a multiple of 2 KiB apart would fall on the same cache lines */
    s->threads = grd_gemm_threads(env->threads, (double)(s->n * s->t) * (double)s->gates * (double)(s->f + s->h));
    s->pieces = s->threads < s->n ? s->threads : s->n;
    impl->private_save = true;
    impl->save = sizeof(float) * save_floats(s);
    impl->scratch = sizeof(float) * (pass == GRD_FORWARD ? forward_floats(s) : backward_floats(s));
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "gemm:%s", grd_isa_name());
    return NULL;
}
