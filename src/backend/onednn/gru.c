/* gru: w_ih x of all steps is one product before the walk through time, each step one more with w_hh in panels, then all gates at once.
 * Threads share the rows of the batch and walk without waiting for each other. Backward the same way round: the gradients of x and
 * of the weights are products over all steps at the end.
 * save, ours: gates [N,T,lds] and q [N,T,H], what r is a factor of. */
#include "backend/onednn/gemm.h"
#include "backend/onednn/recurrent.h"

#include "base/parallel.h"

#include <stdio.h>

enum { X = GRD_RNN_X, W_IH = GRD_RNN_W_IH, W_HH = GRD_RNN_W_HH, B_IH = GRD_RNN_B_IH, B_HH = GRD_RNN_B_HH };
enum { Y, LAST_H }; /* outputs */

typedef struct gru_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t n, t, f, h;
    int64_t gates, lds, ldh;  /* 3H; how far rows of them and of h are apart */
    bool lengths;
    int threads;
    int64_t pieces;
} gru_state;

/* The parts of save and scratch. */
typedef struct gru_memory {
    float *s, *q;             /* [N,T,lds], [N,T,H] */
    float *panels;            /* of w_hh' [H,3H]; backward of w_hh [3H,H] */
    float *before, *u;        /* h of the step before, side by side [N,ldh]; w_hh h [N,lds] */
    float *b;                 /* biases [4H]: r and z summed, b_in, b_hn */
    float *ds, *du, *dh;      /* gradients of w_ih x [N,T,lds], of w_hh h (see gradient_row), of h [N,H] */
    float *first;             /* [N,lds]: of w_hh h at the first step */
    float *sums;              /* [3H] */
    float *x;                 /* [N,T,F]: the input with zeros past a row's length; only where there are lengths */
    float *zero;              /* [H]: h before the first step */
} gru_memory;

typedef struct job { const gru_state *s; const grd_args *args; gru_memory m; } job;

static void cut_save(const gru_state *s, grd_cut *cut, gru_memory *m)
{
    m->s = grd_take(cut, s->n * s->t * s->lds);
    m->q = grd_take(cut, s->n * s->t * s->h);
}

/* A plan without backward gives no save: its part then lies behind the others. Returns the floats of scratch. */
static int64_t cut_forward(const gru_state *s, float *scratch, float *save, gru_memory *m)
{
    grd_cut cut = { scratch, 0 };
    m->panels = grd_take(&cut, s->cpu->panel_floats(s->h, s->gates));
    m->before = grd_take(&cut, s->n * s->ldh);
    m->u = grd_take(&cut, s->n * s->lds);
    m->b = grd_take(&cut, 4 * s->h);
    m->zero = grd_take(&cut, s->h);
    cut_save(s, save ? &(grd_cut){ save, 0 } : &cut, m);
    return cut.used;
}

static int64_t cut_backward(const gru_state *s, float *scratch, float *save, gru_memory *m)
{
    grd_cut cut = { scratch, 0 };
    cut_save(s, &(grd_cut){ save, 0 }, m);
    m->panels = grd_take(&cut, s->cpu->panel_floats(s->gates, s->h));
    m->ds = grd_take(&cut, s->n * s->t * s->lds);
    m->du = grd_take(&cut, s->n * s->t * s->lds);
    m->first = grd_take(&cut, s->n * s->lds);
    m->dh = grd_take(&cut, s->n * s->h);
    m->sums = grd_take(&cut, s->gates);
    m->zero = grd_take(&cut, s->h);
    m->x = s->lengths ? grd_take(&cut, s->n * s->t * s->f) : NULL;
    return cut.used;
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

/* u = h_{t-1} w_hh'. In y the rows are a whole sequence apart, often on the same cache lines: they are brought together first. */
static void recur(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const gru_state *s = j->s;
    const float *y = (const float *)(const void *)j->args->out[Y];
    for (int64_t n = n0; n < n1; n++)
        memcpy(j->m.before + n * s->ldh, y + (n * s->t + t - 1) * s->h, sizeof *y * (size_t)s->h);
    s->cpu->panel_product(&(grd_panel_job){ .m = n1 - n0, .n = s->gates, .k = s->h, .lda = s->ldh, .ldc = s->lds, .deep = s->h,
                                            .a = j->m.before + n0 * s->ldh, .panels = j->m.panels, .c = j->m.u + n0 * s->lds });
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
        if (t)
            recur(j, t, n0, n1);
        for (int64_t n = n0; n < n1; n++) {
            const int64_t at = n * s->t + t, length = grd_rnn_length(j->args, n, s->t);
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
    cut_forward(s, args->scratch, args->save, &j.m);
    grd_rnn_pack_turned(s->cpu, args->in[W_HH], 0, s->h, s->gates, s->h, j.m.panels);
    gather_biases(s, args, j.m.b);
    memset(j.m.zero, 0, sizeof(float) * (size_t)s->h);
    grd_gemm_shared(&(grd_gemm){ false, true, s->n * s->t, s->gates, s->f, s->f, s->f, s->lds, args->in[X], args->in[W_IH], j.m.s },
                    s->threads);
    grd_parallel_for((int)s->pieces, s->pieces, 1, forward_rows, &j);
}

/* ---- backward ---- */

/* Where the gradient of w_hh h_{t-1} goes: beside y_{t-1}, so that that of w_hh is one product with y. Beside a sequence's last y
 * are zeros, its first step has a place of its own: h before it is zero. */
static float *gradient_row(const job *j, int64_t n, int64_t t)
{
    return t ? j->m.du + (n * j->s->t + t - 1) * j->s->lds : j->m.first + n * j->s->lds;
}

static void gates_backward(const job *j, int64_t t, int64_t n0, int64_t n1)
{
    const gru_state *s = j->s;
    const float *dy = grd_rnn_gradient(j->args, Y), *y = (const float *)(const void *)j->args->out[Y];
    const size_t row = sizeof(float) * (size_t)s->gates;
    for (int64_t n = n0; n < n1; n++) {
        const int64_t at = n * s->t + t;
        float *dh = j->m.dh + n * s->h, *ds = j->m.ds + at * s->lds, *du = gradient_row(j, n, t);
        if (t >= grd_rnn_length(j->args, n, s->t)) {
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
    const float *last = grd_rnn_gradient(j->args, LAST_H);
    float *dh = j->m.dh + n0 * s->h;
    grd_rnn_start(dh, last ? last + n0 * s->h : NULL, (n1 - n0) * s->h);
    for (int64_t n = n0; n < n1; n++)
        memset(gradient_row(j, n, s->t), 0, sizeof *dh * (size_t)s->gates);
    for (int64_t t = s->t - 1; t >= 0; t--) {
        gates_backward(j, t, n0, n1);
        if (t)
            s->cpu->panel_product(&(grd_panel_job){ .m = n1 - n0, .n = s->h, .k = s->gates, .lda = s->t * s->lds, .ldc = s->h,
                                                    .deep = s->gates, .a = gradient_row(j, n0, t), .panels = j->m.panels, .c = dh,
                                                    .add = true });
    }
}

/* What lies past a row's length may be NaN, which a gradient of 0 would not keep out of a sum. */
static const float *valid_inputs(const job *j)
{
    const gru_state *s = j->s;
    const float *x = j->args->in[X];
    for (int64_t n = 0; s->lengths && n < s->n; n++) {
        const int64_t valid = grd_rnn_length(j->args, n, s->t) * s->f, all = s->t * s->f;
        memcpy(j->m.x + n * all, x + n * all, sizeof *x * (size_t)valid);
        memset(j->m.x + n * all + valid, 0, sizeof *x * (size_t)(all - valid));
    }
    return s->lengths ? j->m.x : x;
}

static void products_backward(const job *j)
{
    const gru_state *s = j->s;
    const int64_t rows = s->n * s->t;
    float *dx = grd_rnn_wanted(j->args, X), *dw_ih = grd_rnn_wanted(j->args, W_IH), *dw_hh = grd_rnn_wanted(j->args, W_HH);
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
    float *db_ih = grd_rnn_wanted(j->args, B_IH), *db_hh = grd_rnn_wanted(j->args, B_HH);
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
    cut_backward(j.s, args->scratch, args->save, &j.m);
    grd_rnn_pack(j.s->cpu, args->in[W_HH], j.s->gates, j.s->h, j.m.panels);
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
                      .h = in[W_HH].dim[1], .gates = in[W_HH].dim[0], .lengths = node->n_in > GRD_RNN_LENGTHS };
    s->lds = grd_rnn_apart(s->gates);
    s->ldh = grd_rnn_apart(s->h);
    s->threads = grd_parallel_worth(env->threads, (double)(s->n * s->t) * (double)s->gates * (double)(s->f + s->h));
    s->pieces = s->threads < s->n ? s->threads : s->n;
    impl->private_save = true;
    gru_memory none;
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
