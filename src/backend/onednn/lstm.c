/* lstm: each step is one product of [x_t h_{t-1}] with both weight matrices, which lie in panels, then all gates at once. Threads
 * share the rows of the batch and walk through time without waiting for each other. The gradient of the weights is one product over
 * all steps at the end.
 * save, ours: step by step, rows of the batch within: [x_t h_{t-1}] (zeros past a row's length), gates, c. */
#include "backend/onednn/gemm.h"
#include "backend/onednn/recurrent.h"

#include "base/parallel.h"

#include <stdio.h>

enum { X = GRD_RNN_X, W_IH = GRD_RNN_W_IH, W_HH = GRD_RNN_W_HH, B_IH = GRD_RNN_B_IH, B_HH = GRD_RNN_B_HH };
enum { Y, LAST_H, LAST_C }; /* outputs */

typedef struct lstm_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t n, t, f, h;
    int64_t wide, ldx, ldz;   /* F + H; how far rows of [x h] and of gates are apart */
    int threads;
    int64_t pieces;
} lstm_state;

/* The parts of save and scratch. */
typedef struct lstm_memory {
    float *xh, *z, *c;                 /* [T,N,ldx], [T,N,ldz], [T,N,H] */
    float *panels, *b;                 /* of [w_ih w_hh]' [F+H,4H]; sum of both biases [4H] */
    float *panels_x, *panels_h;        /* of w_ih [4H,F] and of w_hh [4H,H] */
    float *dz, *dh, *dc, *before, *dw; /* [T,N,ldz], [N,H], [N,H], dh of the step before [N,H], [4H,F+H] */
    float *zero;                       /* [H]: c before the first step */
} lstm_memory;

typedef struct job { const lstm_state *s; const grd_args *args; lstm_memory m; } job;

static void cut_save(const lstm_state *s, grd_cut *cut, lstm_memory *m)
{
    m->xh = grd_take(cut, s->t * s->n * s->ldx);
    m->z = grd_take(cut, s->t * s->n * s->ldz);
    m->c = grd_take(cut, s->t * s->n * s->h);
}

/* A plan without backward gives no save: its part then lies behind the others. Returns the floats of scratch. */
static int64_t cut_forward(const lstm_state *s, float *scratch, float *save, lstm_memory *m)
{
    grd_cut cut = { scratch, 0 };
    m->panels = grd_take(&cut, s->cpu->panel_floats(s->wide, 4 * s->h));
    m->b = grd_take(&cut, 4 * s->h);
    cut_save(s, save ? &(grd_cut){ save, 0 } : &cut, m);
    return cut.used;
}

static int64_t cut_backward(const lstm_state *s, float *scratch, float *save, lstm_memory *m)
{
    grd_cut cut = { scratch, 0 };
    cut_save(s, &(grd_cut){ save, 0 }, m);
    m->panels_x = grd_take(&cut, s->cpu->panel_floats(4 * s->h, s->f));
    m->panels_h = grd_take(&cut, s->cpu->panel_floats(4 * s->h, s->h));
    m->dw = grd_take(&cut, 4 * s->h * s->wide);
    m->dz = grd_take(&cut, s->t * s->n * s->ldz);
    m->dh = grd_take(&cut, s->n * s->h);
    m->dc = grd_take(&cut, s->n * s->h);
    m->before = grd_take(&cut, s->n * s->h);
    m->zero = grd_take(&cut, s->h);
    return cut.used;
}

/* ---- forward ---- */

static void add_biases(const lstm_state *s, const grd_args *a, float *b)
{
    memset(b, 0, sizeof *b * (size_t)(4 * s->h));
    for (int i = B_IH; i <= B_HH && i < a->n_in; i++)
        s->cpu->add_into(b, a->in[i], 4 * s->h);
}

/* Rows n0..n1-1 of [x_t h_{t-1}]; h is the last valid one. */
static void gather_inputs(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    const float *x = j->args->in[X], *h = (const float *)(const void *)j->args->out[LAST_H];
    for (int64_t n = n0; n < n1; n++) {
        float *row = j->m.xh + (t * s->n + n) * s->ldx;
        if (t >= grd_rnn_length(j->args, n, s->t)) {
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
        s->cpu->panel_product(&(grd_panel_job){ .m = n1 - n0, .n = gates, .k = k, .lda = s->ldx, .ldc = s->ldz, .deep = s->wide,
                                                .a = j->m.xh + at * s->ldx, .panels = j->m.panels, .c = j->m.z + at * s->ldz });
        for (int64_t n = n0; n < n1; n++) {
            float *to = y + (n * s->t + t) * s->h;
            if (t >= grd_rnn_length(j->args, n, s->t)) {
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
    const lstm_state *s = j.s;
    cut_forward(s, args->scratch, args->save, &j.m);
    grd_rnn_pack_turned(s->cpu, args->in[W_IH], 0, s->f, 4 * s->h, s->wide, j.m.panels);
    grd_rnn_pack_turned(s->cpu, args->in[W_HH], s->f, s->h, 4 * s->h, s->wide, j.m.panels);
    add_biases(s, args, j.m.b);
    grd_parallel_for((int)s->pieces, s->pieces, 1, forward_rows, &j);
}

/* ---- backward ---- */

/* Gradient of the gates' sums at step t; dh and dc become those before the gates. */
static void gates_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    const float *dy = grd_rnn_gradient(j->args, Y);
    for (int64_t n = n0; n < n1; n++) {
        const int64_t at = t * s->n + n;
        float *dh = j->m.dh + n * s->h, *dz = j->m.dz + at * s->ldz;
        if (t >= grd_rnn_length(j->args, n, s->t)) {
            memset(dz, 0, sizeof *dz * (size_t)(4 * s->h));
            continue;
        }
        if (dy)
            s->cpu->add_into(dh, dy + (n * s->t + t) * s->h, s->h);
        s->cpu->lstm_cell_gradient(s->h, j->m.z + at * s->ldz, j->m.c + at * s->h, t ? j->m.c + (at - s->n) * s->h : j->m.zero,
                                   dh, j->m.dc + n * s->h, dz);
    }
}

/* dx_t = dz w_ih and dh_{t-1} = dz w_hh, as far as somebody reads them. */
static void inputs_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const lstm_state *s = j->s;
    const int64_t gates = 4 * s->h;
    const float *dz = j->m.dz + (t * s->n + n0) * s->ldz;
    float *dx = grd_rnn_wanted(j->args, X);
    if (dx)
        s->cpu->panel_product(&(grd_panel_job){ .m = n1 - n0, .n = s->f, .k = gates, .lda = s->ldz, .ldc = s->t * s->f, .deep = gates,
                                                .a = dz, .panels = j->m.panels_x, .c = dx + (n0 * s->t + t) * s->f });
    if (!t)
        return;
    s->cpu->panel_product(&(grd_panel_job){ .m = n1 - n0, .n = s->h, .k = gates, .lda = s->ldz, .ldc = s->h, .deep = gates, .a = dz,
                                            .panels = j->m.panels_h, .c = j->m.before + n0 * s->h });
    for (int64_t n = n0; n < n1; n++)
        if (t < grd_rnn_length(j->args, n, s->t))
            memcpy(j->m.dh + n * s->h, j->m.before + n * s->h, sizeof(float) * (size_t)s->h);
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const lstm_state *s = j->s;
    const int64_t n0 = s->n * begin / s->pieces, n1 = s->n * end / s->pieces, from = n0 * s->h, n = (n1 - n0) * s->h;
    const float *dh = grd_rnn_gradient(j->args, LAST_H), *dc = grd_rnn_gradient(j->args, LAST_C);
    grd_rnn_start(j->m.dh + from, dh ? dh + from : NULL, n);
    grd_rnn_start(j->m.dc + from, dc ? dc + from : NULL, n);
    for (int64_t t = s->t - 1; t >= 0; t--) {
        gates_backward(j, t, n0, n1);
        inputs_backward(j, t, n0, n1);
    }
}

/* dw [4H,F+H] = sum over steps and rows of dz' [x h], then cut into its two parts. */
static void weights_backward(const job *j)
{
    const lstm_state *s = j->s;
    float *dw_ih = grd_rnn_wanted(j->args, W_IH), *dw_hh = grd_rnn_wanted(j->args, W_HH);
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
    float *b_ih = grd_rnn_wanted(j->args, B_IH), *b_hh = grd_rnn_wanted(j->args, B_HH), *db = b_ih ? b_ih : b_hh;
    if (!db)
        return;
    s->cpu->act_gradient(&(grd_act_job){ .dy = j->m.dz, .db = db, .rows = s->t * s->n, .cols = 4 * s->h, .ld = s->ldz });
    if (b_ih && b_hh)
        memcpy(b_hh, b_ih, sizeof *db * (size_t)(4 * s->h));
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    job j = { .s = impl->state, .args = args };
    const lstm_state *s = j.s;
    cut_backward(s, args->scratch, args->save, &j.m);
    if (grd_rnn_wanted(args, X))
        grd_rnn_pack(s->cpu, args->in[W_IH], 4 * s->h, s->f, j.m.panels_x);
    grd_rnn_pack(s->cpu, args->in[W_HH], 4 * s->h, s->h, j.m.panels_h);
    memset(j.m.zero, 0, sizeof(float) * (size_t)s->h);
    grd_parallel_for((int)s->pieces, s->pieces, 1, backward_rows, &j);
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
                       .h = in[W_HH].dim[1] };
    s->wide = s->f + s->h;
    s->ldx = (s->wide + 15) / 16 * 16;
    s->ldz = grd_rnn_apart(4 * s->h);
    s->threads = grd_parallel_worth(env->threads, 4.0 * (double)(s->n * s->t) * (double)s->h * (double)s->wide);
    s->pieces = s->threads < s->n ? s->threads : s->n;
    impl->private_save = true;
    lstm_memory none;
    grd_cut save = { NULL, 0 };
    cut_save(s, &save, &none);
    impl->save = sizeof(float) * (size_t)save.used;
    const int64_t scratch = pass == GRD_FORWARD ? cut_forward(s, NULL, NULL, &none) : cut_backward(s, NULL, NULL, &none);
    impl->scratch = sizeof(float) * (size_t)scratch;
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "panels:%s", grd_isa_name());
    return NULL;
}
