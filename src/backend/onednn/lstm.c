/* lstm: each step is one product of [x_t h_{t-1}] with both weight matrices side by side, then all gates at once. Threads share
 * the rows of the batch and walk through time without waiting for each other. The gradient of the weights is one product over
 * all steps at the end.
 * save, ours: step by step, rows of the batch within: [x_t h_{t-1}] (zeros past a row's length), gates, c. */
#include "backend/cpu/kernels.h"
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"

#include <stdio.h>
#include <string.h>

enum { X, W_IH, W_HH, B_IH, B_HH, LENGTHS }; /* inputs */
enum { Y, LAST_H, LAST_C };                  /* outputs */

typedef struct lstm_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t n, t, f, h;
    int64_t wide, ldx, ldz;   /* F + H; how far rows of [x h] and of gates are apart */
    bool across;              /* forward multiplies by the transposed weights: faster with AVX-512, slower without */
    int threads;
    int64_t pieces;
} lstm_state;

/* The parts of save and scratch. */
typedef struct lstm_memory {
    float *xh, *z, *c;                 /* [T,N,ldx], [T,N,ldz], [T,N,H] */
    float *w, *b;                      /* [4H,F+H], or [F+H,4H] if across; sum of both biases [4H] */
    float *dz, *dxh, *dh, *dc, *dw;    /* [T,N,ldz], [N,ldx], [N,H], [N,H], [4H,F+H] */
    float *zero;                       /* [H]: c before the first step */
} lstm_memory;

typedef struct job { const lstm_state *s; const grd_args *args; lstm_memory m; } job;

static float *take(float **at, int64_t n)
{
    float *memory = *at;
    *at += (n + 15) / 16 * 16; /* all parts on cache lines */
    return memory;
}

static void split_save(const lstm_state *s, float *at, lstm_memory *m)
{
    m->xh = take(&at, s->t * s->n * s->ldx);
    m->z = take(&at, s->t * s->n * s->ldz);
    m->c = take(&at, s->t * s->n * s->h);
}

static size_t save_floats(const lstm_state *s) { return (size_t)(s->t * s->n * (s->ldx + s->ldz + s->h) + 48); }

static size_t forward_floats(const lstm_state *s) { return (size_t)(4 * s->h * (s->wide + 1) + 32) + save_floats(s); }

/* A plan without backward gives no save: its part then lies behind the weights. */
static void split_forward(const lstm_state *s, const grd_args *a, lstm_memory *m)
{
    float *at = a->scratch;
    m->w = take(&at, 4 * s->h * s->wide);
    m->b = take(&at, 4 * s->h);
    split_save(s, a->save ? a->save : at, m);
}

static size_t backward_floats(const lstm_state *s)
{
    return (size_t)(8 * s->h * s->wide + s->t * s->n * s->ldz + s->n * (s->ldx + 2 * s->h) + s->h + 7 * 16);
}

static void split_backward(const lstm_state *s, const grd_args *a, lstm_memory *m)
{
    float *at = a->scratch;
    split_save(s, a->save, m);
    m->w = take(&at, 4 * s->h * s->wide);
    m->dw = take(&at, 4 * s->h * s->wide);
    m->dz = take(&at, s->t * s->n * s->ldz);
    m->dxh = take(&at, s->n * s->ldx);
    m->dh = take(&at, s->n * s->h);
    m->dc = take(&at, s->n * s->h);
    m->zero = take(&at, s->h);
}

/* ---- weights ---- */

/* [w_ih w_hh], transposed if `across`. */
static void pack_weights(const lstm_state *s, const grd_args *a, bool across, float *w)
{
    const float *w_ih = a->in[W_IH], *w_hh = a->in[W_HH];
    const int64_t gates = 4 * s->h;
    for (int64_t j = 0; j < gates; j++) {
        if (!across) {
            memcpy(w + j * s->wide, w_ih + j * s->f, sizeof *w * (size_t)s->f);
            memcpy(w + j * s->wide + s->f, w_hh + j * s->h, sizeof *w * (size_t)s->h);
            continue;
        }
        for (int64_t k = 0; k < s->f; k++)
            w[k * gates + j] = w_ih[j * s->f + k];
        for (int64_t k = 0; k < s->h; k++)
            w[(s->f + k) * gates + j] = w_hh[j * s->h + k];
    }
}

static void add_biases(const lstm_state *s, const grd_args *a, float *b)
{
    memset(b, 0, sizeof *b * (size_t)(4 * s->h));
    for (int i = B_IH; i <= B_HH && i < a->n_in; i++)
        s->cpu->add_into(b, a->in[i], 4 * s->h);
}

static int64_t length_of(const grd_args *a, int64_t n, int64_t t)
{
    const int64_t length = a->n_in > LENGTHS ? ((const int32_t *)a->in[LENGTHS])[n] : t;
    return length < 0 ? 0 : length > t ? t : length;
}

/* ---- forward ---- */

/* Rows n0..n1-1 of [x_t h_{t-1}]; h is the last valid one. */
static void gather_inputs(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    const float *x = j->args->in[X], *h = (const float *)(const void *)j->args->out[LAST_H];
    for (int64_t n = n0; n < n1; n++) {
        float *row = j->m.xh + (t * s->n + n) * s->ldx;
        if (t >= length_of(j->args, n, s->t)) {
            memset(row, 0, sizeof *row * (size_t)s->wide);
            continue;
        }
        memcpy(row, x + (n * s->t + t) * s->f, sizeof *row * (size_t)s->f);
        memcpy(row + s->f, h + n * s->h, sizeof *row * (size_t)s->h);
    }
}

static void forward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const lstm_state *s = j->s;
    const int64_t n0 = s->n * begin / s->pieces, n1 = s->n * end / s->pieces, gates = 4 * s->h;
    float *y = (float *)(void *)j->args->out[Y], *h = (float *)(void *)j->args->out[LAST_H];
    float *c = (float *)(void *)j->args->out[LAST_C];
    const size_t state = sizeof *h * (size_t)s->h;
    memset(h + n0 * s->h, 0, state * (size_t)(n1 - n0));
    memset(c + n0 * s->h, 0, state * (size_t)(n1 - n0));
    for (int64_t t = 0; t < s->t; t++) {
        const int64_t at = t * s->n + n0, k = t ? s->wide : s->f; /* h before the first step is zero */
        gather_inputs(j, t, n0, n1);
        const grd_gemm g = { false, !s->across, n1 - n0, gates, k, s->ldx, s->across ? gates : s->wide, s->ldz,
                             j->m.xh + at * s->ldx, j->m.w, j->m.z + at * s->ldz };
        grd_gemm_whole(&g);
        for (int64_t n = n0; n < n1; n++) {
            float *to = y + (n * s->t + t) * s->h;
            if (t >= length_of(j->args, n, s->t)) {
                memset(to, 0, state);
                continue;
            }
            s->cpu->lstm_cell(s->h, j->m.b, j->m.z + (t * s->n + n) * s->ldz, c + n * s->h, h + n * s->h);
            memcpy(to, h + n * s->h, state);
            memcpy(j->m.c + (t * s->n + n) * s->h, c + n * s->h, state);
        }
    }
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    job j = { .s = impl->state, .args = args };
    split_forward(j.s, args, &j.m);
    pack_weights(j.s, args, j.s->across, j.m.w);
    add_biases(j.s, args, j.m.b);
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, forward_rows, &j);
}

/* ---- backward ---- */

static const float *gradient_of(const grd_args *a, int k) { return (const float *)(const void *)a->dout[k]; }
static float *wanted(const grd_args *a, int i) { return i < a->n_in ? (float *)(void *)a->din[i] : NULL; }

static void start_gradient(float *to, const float *from, size_t bytes)
{
    if (from)
        memcpy(to, from, bytes);
    else
        memset(to, 0, bytes);
}

/* Gradient of the gates' sums at step t; dh and dc become those before the gates. */
static void gates_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    const float *dy = gradient_of(j->args, Y);
    for (int64_t n = n0; n < n1; n++) {
        const int64_t at = t * s->n + n;
        float *dh = j->m.dh + n * s->h, *dz = j->m.dz + at * s->ldz;
        if (t >= length_of(j->args, n, s->t)) {
            memset(dz, 0, sizeof *dz * (size_t)(4 * s->h));
            continue;
        }
        if (dy)
            s->cpu->add_into(dh, dy + (n * s->t + t) * s->h, s->h);
        s->cpu->lstm_cell_gradient(s->h, j->m.z + at * s->ldz, j->m.c + at * s->h, t ? j->m.c + (at - s->n) * s->h : j->m.zero,
                                   dh, j->m.dc + n * s->h, dz);
    }
}

/* [dx_t dh_{t-1}] = dz [w_ih w_hh], as far as somebody reads it. */
static void inputs_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    float *dx = wanted(j->args, X);
    const int64_t first = dx ? 0 : s->f, last = t ? s->wide : s->f;
    if (first == last)
        return;
    const grd_gemm g = { false, false, n1 - n0, last - first, 4 * s->h, s->ldz, s->wide, s->ldx,
                         j->m.dz + (t * s->n + n0) * s->ldz, j->m.w + first, j->m.dxh + n0 * s->ldx + first };
    grd_gemm_whole(&g);
    for (int64_t n = n0; n < n1; n++) {
        const float *row = j->m.dxh + n * s->ldx;
        if (dx)
            memcpy(dx + (n * s->t + t) * s->f, row, sizeof *dx * (size_t)s->f);
        if (t && t < length_of(j->args, n, s->t))
            memcpy(j->m.dh + n * s->h, row + s->f, sizeof *row * (size_t)s->h);
    }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const lstm_state *s = j->s;
    const int64_t n0 = s->n * begin / s->pieces, n1 = s->n * end / s->pieces, from = n0 * s->h;
    const float *dh = gradient_of(j->args, LAST_H), *dc = gradient_of(j->args, LAST_C);
    start_gradient(j->m.dh + from, dh ? dh + from : NULL, sizeof(float) * (size_t)((n1 - n0) * s->h));
    start_gradient(j->m.dc + from, dc ? dc + from : NULL, sizeof(float) * (size_t)((n1 - n0) * s->h));
    for (int64_t t = s->t - 1; t >= 0; t--) {
        gates_backward(j, t, n0, n1);
        inputs_backward(j, t, n0, n1);
    }
}

/* dw [4H,F+H] = sum over steps and rows of dz' [x h], then cut into its two parts. */
static void weights_backward(const job *j)
{
    const lstm_state *s = j->s;
    float *dw_ih = wanted(j->args, W_IH), *dw_hh = wanted(j->args, W_HH);
    const int64_t first = dw_ih ? 0 : s->f, last = dw_hh ? s->wide : s->f, gates = 4 * s->h;
    if (first == last)
        return;
    const grd_gemm g = { true, false, gates, last - first, s->t * s->n, s->ldz, s->ldx, s->wide, j->m.dz, j->m.xh + first,
                         j->m.dw + first };
    grd_gemm_shared(&g, s->threads);
    for (int64_t k = 0; k < gates; k++) {
        if (dw_ih)
            memcpy(dw_ih + k * s->f, j->m.dw + k * s->wide, sizeof(float) * (size_t)s->f);
        if (dw_hh)
            memcpy(dw_hh + k * s->h, j->m.dw + k * s->wide + s->f, sizeof(float) * (size_t)s->h);
    }
}

static void biases_backward(const job *j)
{
    const lstm_state *s = j->s;
    float *b_ih = wanted(j->args, B_IH), *b_hh = wanted(j->args, B_HH), *db = b_ih ? b_ih : b_hh;
    if (!db)
        return;
    s->cpu->act_gradient(&(grd_act_job){ .dy = j->m.dz, .db = db, .rows = s->t * s->n, .cols = 4 * s->h, .ld = s->ldz });
    if (b_ih && b_hh)
        memcpy(b_hh, b_ih, sizeof *db * (size_t)(4 * s->h));
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    job j = { .s = impl->state, .args = args };
    split_backward(j.s, args, &j.m);
    pack_weights(j.s, args, false, j.m.w);
    memset(j.m.zero, 0, sizeof(float) * (size_t)j.s->h);
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, backward_rows, &j);
    weights_backward(&j);
    biases_backward(&j);
}

/* ---- prepare ---- */

static void drop(grd_impl *impl, grd_host *host)
{
    grd_free(host, impl->state);
    impl->state = NULL;
}

GRD_PREPARE(grd_onednn_lstm)
{
    const grd_shape *in = node->in_shape;
    if (pass == GRD_BACKWARD && (!node->forward || !node->forward->private_save))
        return "forward ran elsewhere";
    lstm_state *s = GRD_NEW(env->host, lstm_state);
    if (!s)
        return "out of memory";
    *s = (lstm_state){ .base = { drop }, .cpu = grd_cpu(), .n = in[X].dim[0], .t = in[X].dim[1], .f = in[X].dim[2],
                       .h = in[W_HH].dim[1], .across = grd_isa_level() == 2 };
    s->wide = s->f + s->h;
    s->ldx = (s->wide + 15) / 16 * 16;
    s->ldz = 4 * s->h + (4 * s->h % 512 ? 0 : 16); /* rows a multiple of 2 KiB apart would fall on the same cache lines */
    s->threads = grd_gemm_threads(env->threads, 4.0 * (double)(s->n * s->t) * (double)s->h * (double)s->wide);
    s->pieces = s->threads < s->n ? s->threads : s->n;
    impl->private_save = true;
    impl->save = sizeof(float) * save_floats(s);
    impl->scratch = sizeof(float) * (pass == GRD_FORWARD ? forward_floats(s) : backward_floats(s));
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "gemm:%s", grd_isa_name());
    return NULL;
}
