/* attention and attention_qkv, a head at a time: what its products read again and again is laid out in panels once; then tiles of
 * scores are made, and used while they are in the cache. The matrix of all scores is never there: forward keeps one number a query
 * (log of the sum of exp), backward makes the tiles again. Threads share the heads of all rows of the batch. */
#include "backend/cpu/rows.h"
#include "backend/cut.h"

#include "base/parallel.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A tile: queries, and keys in forward and in backward (whole panels). The smaller, the less is made that a causal mask empties. */
enum { QUERIES = 48, KEYS = 512, KEYS_BACK = 64, PAD = 16 }; /* padded: rows 2 KiB apart would fall on the same cache lines */

typedef struct attention_state {
    const grd_cpu_table *cpu;
    int64_t n, t, s, heads, d, dv;
    int64_t ldq, ldk, ldv;             /* how far rows of q, k and v are apart */
    int64_t at_k, at_v;                /* where k and v begin in their input */
    int q_in, k_in, v_in, lengths_in;  /* which inputs they are */
    float scale;
    bool causal;
    int64_t pieces;                    /* threads, or heads if those are fewer */
    int64_t part;                      /* floats of scratch a piece */
} attention_state;

typedef struct job { const attention_state *s; const grd_args *args; } job;

/* One head of one row of the batch. */
typedef struct head {
    const float *q, *k, *v, *dy;
    float *dq, *dk, *dv, *y, *total;
    int64_t seen;                      /* keys */
} head;

/* A piece's scratch. Panels hold the right sides of products, of one head: as they lie, or turned [features, keys]. */
typedef struct memory {
    float *tile, *gradient;            /* of scores: [QUERIES, KEYS or KEYS_BACK] */
    float *most, *sum, *e;             /* [QUERIES], [QUERIES], [T]: dy y' */
    float *turned_k, *turned_v;
    float *q, *k, *v, *dy;
} memory;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static float *moved(const void *base, int64_t by) { return base ? (float *)(uintptr_t)base + by : NULL; }

static head head_at(const job *j, int64_t i)
{
    const attention_state *s = j->s;
    const grd_args *a = j->args;
    const int64_t n = i / s->heads, h = i % s->heads, e = s->heads * s->dv;
    const int64_t q = n * s->t * s->ldq + h * s->d, k = s->at_k + n * s->s * s->ldk + h * s->d;
    const int64_t v = s->at_v + n * s->s * s->ldv + h * s->dv, y = n * s->t * e + h * s->dv;
    const int64_t length = a->n_in > s->lengths_in ? ((const int32_t *)a->in[s->lengths_in])[n] : s->s;
    return (head){ .q = moved(a->in[s->q_in], q), .k = moved(a->in[s->k_in], k), .v = moved(a->in[s->v_in], v),
                   .dy = moved(a->dout[0], y), .dq = moved(a->din[s->q_in], q), .dk = moved(a->din[s->k_in], k),
                   .dv = moved(a->din[s->v_in], v), .y = moved(a->out[0], y), .total = moved(a->save, i * s->t),
                   .seen = length < 0 ? 0 : least(length, s->s) };
}

/* Returns the floats of a piece's scratch. */
static int64_t cut_forward(const attention_state *s, float *scratch, memory *m)
{
    grd_cut cut = { scratch, 0 };
    m->tile = grd_take(&cut, QUERIES * (KEYS + PAD));
    m->most = grd_take(&cut, QUERIES);
    m->sum = grd_take(&cut, QUERIES);
    m->turned_k = grd_take(&cut, s->cpu->panel_floats(s->d, s->s));
    m->v = grd_take(&cut, s->cpu->panel_floats(s->s, s->dv));
    return cut.used;
}

static int64_t cut_backward(const attention_state *s, float *scratch, memory *m)
{
    grd_cut cut = { scratch, 0 };
    m->tile = grd_take(&cut, QUERIES * (KEYS_BACK + PAD));
    m->gradient = grd_take(&cut, QUERIES * (KEYS_BACK + PAD));
    m->e = grd_take(&cut, s->t);
    m->turned_k = grd_take(&cut, s->cpu->panel_floats(s->d, s->s));
    m->turned_v = grd_take(&cut, s->cpu->panel_floats(s->dv, s->s));
    m->k = grd_take(&cut, s->cpu->panel_floats(s->s, s->d));
    m->q = grd_take(&cut, s->cpu->panel_floats(s->t, s->d));
    m->dy = grd_take(&cut, s->cpu->panel_floats(s->t, s->dv));
    return cut.used;
}

static void zero_rows(float *x, int64_t rows, int64_t cols, int64_t ld)
{
    for (int64_t r = 0; x && r < rows; r++)
        memset(x + r * ld, 0, sizeof *x * (size_t)cols);
}

/* Keys that some query before `end` sees. */
static int64_t keys_before(const attention_state *s, const head *h, int64_t end)
{
    return s->causal ? least(h->seen, end) : h->seen;
}

/* Scores of `rows` queries x (from query q0 on) with keys k0 on, or what has their form; panels: of keys, turned. */
static void score(const attention_state *s, const float *x, int64_t ldx, int64_t depth, const float *panels, int64_t rows, int64_t k0,
                  int64_t keys, float *tile, int64_t ld)
{
    s->cpu->panel_product(&(grd_panel_job){ .m = rows, .n = keys, .k = depth, .lda = ldx, .ldc = ld, .deep = depth, .a = x,
                                            .panels = panels + k0 * depth, .c = tile });
}

/* ---- forward ---- */

static void forward_queries(const attention_state *s, const head *h, const memory *m, int64_t q0, int64_t rows)
{
    const int64_t ldy = s->heads * s->dv, keys = keys_before(s, h, q0 + rows);
    float *y = h->y + q0 * ldy;
    grd_attend_job scores = { .s = m->tile, .y = y, .most = m->most, .sum = m->sum, .rows = rows, .ld = KEYS + PAD, .ldy = ldy,
                              .dv = s->dv, .scale = s->scale, .causal = s->causal };
    for (int64_t r = 0; r < rows; r++) {
        m->most[r] = -INFINITY;
        m->sum[r] = 0;
    }
    if (!keys)
        zero_rows(y, rows, s->dv, ldy);
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        scores.keys = least(KEYS, keys - k0);
        scores.first = k0 == 0;
        scores.seen = s->causal ? q0 + 1 - k0 : scores.keys;
        score(s, h->q + q0 * s->ldq, s->ldq, s->d, m->turned_k, rows, k0, scores.keys, m->tile, scores.ld);
        s->cpu->attend_scores(&scores);
        s->cpu->panel_product(&(grd_panel_job){ .m = rows, .n = s->dv, .k = scores.keys, .lda = scores.ld, .ldc = ldy, .deep = s->s,
                                                .a = m->tile, .panels = m->v, .first = k0, .c = y, .add = k0 > 0 });
    }
    s->cpu->attend_finish(&scores, h->total ? h->total + q0 : NULL);
}

static void forward_head(const attention_state *s, const head *h, const memory *m)
{
    const int64_t seen = keys_before(s, h, s->t);
    s->cpu->panel_pack(h->k, 1, s->ldk, 0, s->d, seen, s->d, m->turned_k);
    s->cpu->panel_pack(h->v, s->ldv, 1, 0, seen, s->dv, s->s, m->v);
    for (int64_t q = 0; q < s->t; q += QUERIES)
        forward_queries(s, h, m, q, least(QUERIES, s->t - q));
}

/* ---- backward ---- */

/* One tile of probabilities and of score gradients, and what it adds to dq, dk and dv. */
static void backward_tile(const attention_state *s, const head *h, const memory *m, int64_t q0, int64_t rows, int64_t k0, int64_t keys)
{
    enum { LD = KEYS_BACK + PAD };
    const int64_t ldy = s->heads * s->dv;
    score(s, h->q + q0 * s->ldq, s->ldq, s->d, m->turned_k, rows, k0, keys, m->tile, LD);
    score(s, h->dy + q0 * ldy, ldy, s->dv, m->turned_v, rows, k0, keys, m->gradient, LD);
    s->cpu->attend_gradient(&(grd_attend_job){ .s = m->tile, .rows = rows, .keys = keys, .ld = LD, .scale = s->scale,
                                               .causal = s->causal, .seen = s->causal ? least(q0 + 1, h->seen) - k0 : keys },
                            h->total + q0, m->e + q0, m->gradient);
    grd_panel_job to_v = { .m = keys, .n = s->dv, .k = rows, .lda = LD, .ldc = s->ldv, .deep = s->t, .a = m->tile, .turned = true,
                           .panels = m->dy, .first = q0, .c = moved(h->dv, k0 * s->ldv), .add = true };
    grd_panel_job to_k = { .m = keys, .n = s->d, .k = rows, .lda = LD, .ldc = s->ldk, .deep = s->t, .a = m->gradient, .turned = true,
                           .panels = m->q, .first = q0, .c = moved(h->dk, k0 * s->ldk), .add = true };
    grd_panel_job to_q = { .m = rows, .n = s->d, .k = keys, .lda = LD, .ldc = s->ldq, .deep = s->s, .a = m->gradient,
                           .panels = m->k, .first = k0, .c = moved(h->dq, q0 * s->ldq), .add = k0 > 0 };
    if (h->dv)
        s->cpu->panel_product(&to_v);
    if (h->dk)
        s->cpu->panel_product(&to_k);
    if (h->dq)
        s->cpu->panel_product(&to_q);
}

static void backward_head(const attention_state *s, const head *h, const memory *m)
{
    const int64_t ldy = s->heads * s->dv, seen = keys_before(s, h, s->t);
    for (int64_t i = 0; i < s->t; i++)
        m->e[i] = s->cpu->dot(h->dy + i * ldy, h->y + i * ldy, s->dv);
    zero_rows(h->dq, seen ? 0 : s->t, s->d, s->ldq);
    zero_rows(h->dk, s->s, s->d, s->ldk);
    zero_rows(h->dv, s->s, s->dv, s->ldv);
    s->cpu->panel_pack(h->k, 1, s->ldk, 0, s->d, seen, s->d, m->turned_k);
    s->cpu->panel_pack(h->v, 1, s->ldv, 0, s->dv, seen, s->dv, m->turned_v);
    if (h->dq)
        s->cpu->panel_pack(h->k, s->ldk, 1, 0, seen, s->d, s->s, m->k);
    if (h->dk)
        s->cpu->panel_pack(h->q, s->ldq, 1, 0, s->t, s->d, s->t, m->q);
    if (h->dv)
        s->cpu->panel_pack(h->dy, ldy, 1, 0, s->t, s->dv, s->t, m->dy);
    for (int64_t q0 = 0; q0 < s->t; q0 += QUERIES) {
        const int64_t rows = least(QUERIES, s->t - q0), keys = keys_before(s, h, q0 + rows);
        for (int64_t k0 = 0; k0 < keys; k0 += KEYS_BACK)
            backward_tile(s, h, m, q0, rows, k0, least(KEYS_BACK, keys - k0));
    }
}

/* ---- both ---- */

static void run_pieces(const job *j, int64_t begin, int64_t end, int64_t (*cut)(const attention_state *, float *, memory *),
                       void (*run)(const attention_state *, const head *, const memory *))
{
    const attention_state *s = j->s;
    const int64_t all = s->n * s->heads;
    for (int64_t p = begin; p < end; p++) {
        memory m = { 0 };
        cut(s, (float *)j->args->scratch + p * s->part, &m);
        for (int64_t i = all * p / s->pieces; i < all * (p + 1) / s->pieces; i++) {
            const head h = head_at(j, i);
            run(s, &h, &m);
        }
    }
}

static void forward_pieces(void *ctx, int64_t begin, int64_t end) { run_pieces(ctx, begin, end, cut_forward, forward_head); }

static void backward_pieces(void *ctx, int64_t begin, int64_t end) { run_pieces(ctx, begin, end, cut_backward, backward_head); }

static void forward(const grd_impl *impl, const grd_args *args)
{
    job j = { impl->state, args };
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, forward_pieces, &j);
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    job j = { impl->state, args };
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, backward_pieces, &j);
}

/* ---- prepare ---- */

static attention_state separate(const grd_shape *in, int64_t heads)
{
    return (attention_state){ .s = in[1].dim[1], .d = in[0].dim[2] / heads, .dv = in[2].dim[2] / heads, .ldq = in[0].dim[2],
                              .ldk = in[1].dim[2], .ldv = in[2].dim[2], .k_in = 1, .v_in = 2, .lengths_in = 3 };
}

static attention_state packed(const grd_shape *in, int64_t heads)
{
    const int64_t wide = in[0].dim[2], d = wide / 3;
    return (attention_state){ .s = in[0].dim[1], .d = d / heads, .dv = d / heads, .ldq = wide, .ldk = wide, .ldv = wide,
                              .at_k = d, .at_v = 2 * d, .lengths_in = 1 };
}

GRD_CPU_PREPARE(grd_cpu_attention)
{
    const grd_attention_opts *o = node->attr;
    const grd_shape *in = node->in_shape;
    attention_state *s = GRD_NEW(env->host, attention_state);
    if (!s)
        return "out of memory";
    *s = strcmp(node->op->name, "attention") == 0 ? separate(in, o->heads) : packed(in, o->heads);
    s->cpu = grd_cpu();
    s->n = in[0].dim[0];
    s->t = in[0].dim[1];
    s->heads = o->heads;
    s->causal = o->causal;
    s->scale = (float)(o->scale > 0 ? o->scale : 1 / sqrt((double)s->d));
    const double work = (double)(s->n * s->heads) * (double)s->t * (double)s->s * (double)(s->d + s->dv);
    s->pieces = least(grd_parallel_worth(env->threads, work), s->n * s->heads);
    s->part = (pass == GRD_FORWARD ? cut_forward : cut_backward)(s, NULL, &(memory){ 0 });
    impl->scratch = sizeof(float) * (size_t)(s->part * s->pieces);
    impl->state = s;
    impl->owns_state = true;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "tiles:%s", grd_isa_name());
    return NULL;
}
