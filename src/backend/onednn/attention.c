/* attention and attention_qkv: tiles of scores by gemm, softmax by our kernels while a tile is in the cache. The matrix of all
 * scores is never there: forward keeps one number a query (log of the sum of exp), backward makes the tiles again. Threads share
 * the heads of all rows of the batch. */
#include "backend/cpu/kernels.h"
#include "backend/onednn/gemm.h"
#include "backend/onednn/onednn.h"

#include "base/parallel.h"

#include <gradus/ops.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A tile: queries, and keys in forward and in backward. Backward skips the tiles that a causal mask empties, so its are small. */
enum { QUERIES = 64, KEYS = 512, KEYS_BACK = 64 };

typedef struct attention_state {
    grd_onednn_state base;
    const grd_cpu_table *cpu;
    int64_t n, t, s, heads, d, dv;
    int64_t ldq, ldk, ldv;             /* how far rows of q, k and v are apart */
    int64_t at_k, at_v;                /* where k and v begin in their input */
    int q_in, k_in, v_in, lengths_in;  /* which inputs they are */
    float scale;
    bool causal;
    int64_t pieces;                    /* threads, or heads if those are fewer */
    size_t part;                       /* floats of scratch a piece */
} attention_state;

typedef struct job { const attention_state *s; const grd_args *args; } job;

/* One head of one row of the batch. */
typedef struct head {
    const float *q, *k, *v, *dy;
    float *dq, *dk, *dv, *y, *total, *scratch;
    int64_t seen;                      /* keys */
} head;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static float *moved(const void *base, int64_t by) { return base ? (float *)(uintptr_t)base + by : NULL; }

static head head_at(const job *j, int64_t i, int64_t piece)
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
                   .scratch = (float *)a->scratch + piece * (int64_t)s->part,
                   .seen = length < 0 ? 0 : least(length, s->s) };
}

/* C = op(A) op(B), added to C if `add`. */
static void product(bool ta, const float *a, int64_t lda, bool tb, const float *b, int64_t ldb, float *c, int64_t ldc, int64_t m,
                    int64_t n, int64_t k, bool add)
{
    const grd_gemm g = { ta, tb, m, n, k, lda, ldb, ldc, a, b, c };
    if (add)
        grd_gemm_add(&g);
    else
        grd_gemm_whole(&g);
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

/* ---- forward ---- */

static void forward_queries(const attention_state *s, const head *h, int64_t q0, int64_t rows)
{
    float *tile = h->scratch, *most = tile + QUERIES * KEYS, *sum = most + QUERIES;
    const int64_t ldy = s->heads * s->dv, keys = keys_before(s, h, q0 + rows);
    float *y = h->y + q0 * ldy;
    grd_attend_job scores = { .s = tile, .y = y, .most = most, .sum = sum, .rows = rows, .ldy = ldy, .dv = s->dv,
                              .scale = s->scale };
    for (int64_t r = 0; r < rows; r++) {
        most[r] = -INFINITY;
        sum[r] = 0;
    }
    if (!keys)
        zero_rows(y, rows, s->dv, ldy);
    for (int64_t k0 = 0; k0 < keys; k0 += KEYS) {
        scores.keys = scores.ld = least(KEYS, keys - k0);
        scores.first = k0 == 0;
        scores.causal = s->causal;
        scores.seen = s->causal ? q0 + 1 - k0 : scores.keys;
        product(false, h->q + q0 * s->ldq, s->ldq, true, h->k + k0 * s->ldk, s->ldk, tile, scores.ld, rows, scores.keys, s->d,
                false);
        s->cpu->attend_scores(&scores);
        product(false, tile, scores.ld, false, h->v + k0 * s->ldv, s->ldv, y, ldy, rows, s->dv, scores.keys, k0 > 0);
    }
    s->cpu->attend_finish(&scores, h->total ? h->total + q0 : NULL);
}

static void forward_pieces(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const attention_state *s = j->s;
    const int64_t all = s->n * s->heads;
    for (int64_t p = begin; p < end; p++) {
        for (int64_t i = all * p / s->pieces; i < all * (p + 1) / s->pieces; i++) {
            const head h = head_at(j, i, p);
            for (int64_t q = 0; q < s->t; q += QUERIES)
                forward_queries(s, &h, q, least(QUERIES, s->t - q));
        }
    }
}

static void forward(const grd_impl *impl, const grd_args *args)
{
    job j = { impl->state, args };
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, forward_pieces, &j);
}

/* ---- backward ---- */

/* One tile of probabilities and of score gradients, and what it adds to dq, dk and dv. */
static void backward_tile(const attention_state *s, const head *h, int64_t q0, int64_t rows, int64_t k0, int64_t keys, bool first)
{
    float *p = h->scratch, *ds = p + QUERIES * KEYS_BACK, *e = ds + QUERIES * KEYS_BACK;
    const int64_t ldy = s->heads * s->dv;
    const float *q = h->q + q0 * s->ldq, *k = h->k + k0 * s->ldk, *v = h->v + k0 * s->ldv, *dy = h->dy + q0 * ldy;
    product(false, q, s->ldq, true, k, s->ldk, p, keys, rows, keys, s->d, false);
    product(false, dy, ldy, true, v, s->ldv, ds, keys, rows, keys, s->dv, false);
    s->cpu->attend_gradient(&(grd_attend_job){ .s = p, .rows = rows, .keys = keys, .ld = keys, .scale = s->scale,
                                               .causal = s->causal, .seen = s->causal ? least(q0 + 1, h->seen) - k0 : keys },
                            h->total + q0, e + q0, ds);
    if (h->dv)
        product(true, p, keys, false, dy, ldy, h->dv + k0 * s->ldv, s->ldv, keys, s->dv, rows, !first);
    if (h->dk)
        product(true, ds, keys, false, q, s->ldq, h->dk + k0 * s->ldk, s->ldk, keys, s->d, rows, !first);
    if (h->dq)
        product(false, ds, keys, false, k, s->ldk, h->dq + q0 * s->ldq, s->ldq, rows, s->d, keys, k0 > 0);
}

static void backward_head(const attention_state *s, const head *h)
{
    float *e = h->scratch + 2 * QUERIES * KEYS_BACK;
    const int64_t ldy = s->heads * s->dv, seen = keys_before(s, h, s->t);
    for (int64_t i = 0; i < s->t; i++)
        e[i] = s->cpu->dot(h->dy + i * ldy, h->y + i * ldy, s->dv);
    zero_rows(h->dq, seen ? 0 : s->t, s->d, s->ldq);
    zero_rows(moved(h->dk, seen * s->ldk), s->s - seen, s->d, s->ldk);
    zero_rows(moved(h->dv, seen * s->ldv), s->s - seen, s->dv, s->ldv);
    for (int64_t k0 = 0; k0 < seen; k0 += KEYS_BACK) {
        const int64_t keys = least(KEYS_BACK, seen - k0), from = s->causal ? k0 / QUERIES * QUERIES : 0;
        for (int64_t q0 = from; q0 < s->t; q0 += QUERIES)
            backward_tile(s, h, q0, least(QUERIES, s->t - q0), k0, keys, q0 == from);
    }
}

static void backward_pieces(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const attention_state *s = j->s;
    const int64_t all = s->n * s->heads;
    for (int64_t p = begin; p < end; p++) {
        for (int64_t i = all * p / s->pieces; i < all * (p + 1) / s->pieces; i++) {
            const head h = head_at(j, i, p);
            backward_head(s, &h);
        }
    }
}

static void backward(const grd_impl *impl, const grd_args *args)
{
    job j = { impl->state, args };
    grd_parallel_for((int)j.s->pieces, j.s->pieces, 1, backward_pieces, &j);
}

/* ---- prepare ---- */

static void drop(grd_impl *impl, grd_host *host)
{
    grd_free(host, impl->state);
    impl->state = NULL;
}

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

GRD_PREPARE(grd_onednn_attention)
{
    const grd_attention_opts *o = node->attr;
    const grd_shape *in = node->in_shape;
    attention_state *s = GRD_NEW(env->host, attention_state);
    if (!s)
        return "out of memory";
    *s = strcmp(node->op->name, "attention") == 0 ? separate(in, o->heads) : packed(in, o->heads);
    s->base.drop = drop;
    s->cpu = grd_cpu();
    s->n = in[0].dim[0];
    s->t = in[0].dim[1];
    s->heads = o->heads;
    s->causal = o->causal;
    s->scale = (float)(o->scale > 0 ? o->scale : 1 / sqrt((double)s->d));
    const double work = (double)(s->n * s->heads) * (double)s->t * (double)s->s * (double)(s->d + s->dv);
    s->pieces = least(grd_gemm_threads(env->threads, work), s->n * s->heads);
    s->part = pass == GRD_FORWARD ? QUERIES * KEYS + 2 * QUERIES : 2 * QUERIES * KEYS_BACK + (size_t)(s->t + 15) / 16 * 16;
    impl->scratch = sizeof(float) * s->part * (size_t)s->pieces;
    impl->state = s;
    impl->run = pass == GRD_FORWARD ? forward : backward;
    snprintf(impl->name, sizeof impl->name, "gemm:%s", grd_isa_name());
    return NULL;
}
