/* Scaled dot product attention, many heads. The two rows differ only in where queries, keys and values lie: three inputs, or one
 * with all of them side by side. Probabilities are never kept: backward makes them again from the scores.
 * save: [N,heads,T], log sum_j exp(s_ij) of each query; infinite where a query sees no key (probabilities then come out as 0). */
#include "op/rows/sums.h"

static const grd_kind kinds[] = { GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_REAL, GRD_KIND_INDEX };
static const grd_kind packed_kinds[] = { GRD_KIND_REAL, GRD_KIND_INDEX };

typedef struct view { int64_t at, ld; } view; /* where the first row begins in its tensor, how far rows are apart */

typedef struct heads_of {
    int64_t n, t, s, heads, d, dv;  /* batch, queries, keys, heads; features of a head in q and k, in v */
    view q, k, v;
    int q_in, k_in, v_in, lengths_in; /* which inputs they are */
    real scale;
    bool causal;
} heads_of;

static heads_of separate(const grd_attention_opts *o, const grd_shape *in)
{
    const int64_t heads = o->heads;
    heads_of h = { .n = in[0].dim[0], .t = in[0].dim[1], .s = in[1].dim[1], .heads = heads, .d = in[0].dim[2] / heads,
                   .dv = in[2].dim[2] / heads, .q = { 0, in[0].dim[2] }, .k = { 0, in[1].dim[2] }, .v = { 0, in[2].dim[2] },
                   .q_in = 0, .k_in = 1, .v_in = 2, .lengths_in = 3, .causal = o->causal };
    h.scale = (real)(o->scale > 0 ? o->scale : 1 / sqrt((double)h.d));
    return h;
}

static heads_of packed(const grd_attention_opts *o, const grd_shape *in)
{
    const int64_t heads = o->heads, wide = in[0].dim[2], d = wide / 3;
    heads_of h = { .n = in[0].dim[0], .t = in[0].dim[1], .s = in[0].dim[1], .heads = heads, .d = d / heads, .dv = d / heads,
                   .q = { 0, wide }, .k = { d, wide }, .v = { 2 * d, wide }, .lengths_in = 1, .causal = o->causal };
    h.scale = (real)(o->scale > 0 ? o->scale : 1 / sqrt((double)h.d));
    return h;
}

/* ---- shapes ---- */

static grd_status finish_shape(grd_infer *f, const heads_of *h)
{
    if (f->n_in > h->lengths_in && (f->in[h->lengths_in].rank != 1 || f->in[h->lengths_in].dim[0] != h->n))
        return grd_refuse(f, "lengths must hold one number of keys per row of the batch");
    f->out[0] = (grd_shape){ 3, { h->n, h->t, h->heads * h->dv } };
    f->save = sizeof(real) * (size_t)(h->n * h->heads * h->t);
    f->scratch = sizeof(real) * (size_t)h->s;
    f->scratch_back = sizeof(real) * (size_t)h->s;
    f->flops = 2.0 * (double)(h->n * h->heads) * (double)h->t * (double)h->s * (double)(h->d + h->dv) * (h->causal ? 0.5 : 1);
    return GRD_OK;
}

static grd_status separate_shape(grd_infer *f)
{
    const grd_attention_opts *o = f->attr;
    const grd_shape *q = &f->in[0], *k = &f->in[1], *v = &f->in[2];
    if (q->rank != 3 || k->rank != 3 || v->rank != 3)
        return grd_refuse(f, "q [N,T,D], k [N,S,D] and v [N,S,E] expected");
    if (k->dim[0] != q->dim[0] || v->dim[0] != q->dim[0] || k->dim[1] != v->dim[1] || k->dim[2] != q->dim[2])
        return grd_refuse(f, "q [N,T,D], k [N,S,D] and v [N,S,E] do not fit together");
    if (q->dim[2] % o->heads || v->dim[2] % o->heads)
        return grd_refuse(f, "%lld and %lld features cannot be cut into %lld equal heads", (long long)q->dim[2],
                          (long long)v->dim[2], (long long)o->heads);
    const heads_of h = separate(o, f->in);
    return finish_shape(f, &h);
}

static grd_status packed_shape(grd_infer *f)
{
    const grd_attention_opts *o = f->attr;
    const grd_shape *x = &f->in[0];
    if (x->rank != 3)
        return grd_refuse(f, "qkv has rank %d, expected [N,T,3D]: queries, keys and values side by side", x->rank);
    if (x->dim[2] % 3 || x->dim[2] / 3 % o->heads)
        return grd_refuse(f, "%lld features are not three times a number that %lld heads divide", (long long)x->dim[2],
                          (long long)o->heads);
    const heads_of h = packed(o, f->in);
    return finish_shape(f, &h);
}

/* ---- one query ---- */

/* Keys that query i of row n sees: the first so many. */
static int64_t visible(const grd_args *a, const heads_of *h, int64_t n, int64_t i)
{
    int64_t keys = a->n_in > h->lengths_in ? ((const int32_t *)a->in[h->lengths_in])[n] : h->s;
    keys = keys < 0 ? 0 : keys > h->s ? h->s : keys;
    return h->causal && i + 1 < keys ? i + 1 : keys;
}

/* Row i of a query, key or value matrix of one head. */
static int64_t row_at(const view *v, int64_t n, int64_t rows, int64_t i, int64_t head, int64_t d)
{
    return v->at + (n * rows + i) * v->ld + head * d;
}

static void scores(const grd_args *a, const heads_of *h, int64_t n, int64_t head, int64_t i, int64_t keys, real *s)
{
    const real *q = (const real *)a->in[h->q_in] + row_at(&h->q, n, h->t, i, head, h->d);
    const real *k = (const real *)a->in[h->k_in] + row_at(&h->k, n, h->s, 0, head, h->d);
    for (int64_t j = 0; j < keys; j++)
        s[j] = h->scale * dot(q, k + j * h->k.ld, h->d);
}

static void forward_query(const grd_args *a, const heads_of *h, int64_t n, int64_t head, int64_t i)
{
    const int64_t keys = visible(a, h, n, i);
    real *s = a->scratch, *y = a->out[0] + ((n * h->t + i) * h->heads + head) * h->dv, most = -INFINITY, sum = 0;
    const real *v = (const real *)a->in[h->v_in] + row_at(&h->v, n, h->s, 0, head, h->dv);
    scores(a, h, n, head, i, keys, s);
    for (int64_t j = 0; j < keys; j++)
        most = s[j] > most || isnan(s[j]) ? s[j] : most;
    for (int64_t j = 0; j < keys; j++)
        sum += s[j] = REAL(exp)(s[j] - most);
    set_zero(y, h->dv);
    for (int64_t j = 0; j < keys; j++)
        add_scaled(y, s[j] / sum, v + j * h->v.ld, h->dv);
    if (a->save)
        ((real *)a->save)[(n * h->heads + head) * h->t + i] = keys ? most + REAL(log)(sum) : INFINITY;
}

/* With p the probabilities and e = dy y': dv_j += p_j dy; ds_j = p_j (dy v_j' - e), dq = scale ds k, dk_j += scale ds_j q. */
static void backward_query(const grd_args *a, const heads_of *h, int64_t n, int64_t head, int64_t i)
{
    const int64_t keys = visible(a, h, n, i), at_y = ((n * h->t + i) * h->heads + head) * h->dv;
    const int64_t at_q = row_at(&h->q, n, h->t, i, head, h->d);
    const int64_t at_k = row_at(&h->k, n, h->s, 0, head, h->d), at_v = row_at(&h->v, n, h->s, 0, head, h->dv);
    const real *q = (const real *)a->in[h->q_in] + at_q, *k = (const real *)a->in[h->k_in] + at_k;
    const real *v = (const real *)a->in[h->v_in] + at_v, *dy = a->dout[0] + at_y;
    const real total = ((const real *)a->save)[(n * h->heads + head) * h->t + i], e = dot(dy, a->out[0] + at_y, h->dv);
    real *s = a->scratch;
    scores(a, h, n, head, i, keys, s);
    for (int64_t j = 0; j < keys; j++) {
        const real p = REAL(exp)(s[j] - total), ds = h->scale * p * (dot(dy, v + j * h->v.ld, h->dv) - e);
        if (a->din[h->v_in])
            add_scaled(a->din[h->v_in] + at_v + j * h->v.ld, p, dy, h->dv);
        if (a->din[h->q_in])
            add_scaled(a->din[h->q_in] + at_q, ds, k + j * h->k.ld, h->d);
        if (a->din[h->k_in])
            add_scaled(a->din[h->k_in] + at_k + j * h->k.ld, ds, q, h->d);
    }
}

typedef void one_query(const grd_args *a, const heads_of *h, int64_t n, int64_t head, int64_t i);

static void all_queries(const grd_args *a, const heads_of *h, one_query *query)
{
    for (int64_t n = 0; n < h->n; n++)
        for (int64_t head = 0; head < h->heads; head++)
            for (int64_t i = 0; i < h->t; i++)
                query(a, h, n, head, i);
}

static void backward_all(const grd_args *a, const heads_of *h)
{
    for (int i = 0; i < h->lengths_in; i++)
        if (a->din[i])
            set_zero(a->din[i], grd_count(&a->in_shape[i]));
    all_queries(a, h, backward_query);
}

static void separate_forward(const grd_args *a)
{
    const heads_of h = separate(a->attr, a->in_shape);
    all_queries(a, &h, forward_query);
}

static void separate_backward(const grd_args *a)
{
    const heads_of h = separate(a->attr, a->in_shape);
    backward_all(a, &h);
}

static void packed_forward(const grd_args *a)
{
    const heads_of h = packed(a->attr, a->in_shape);
    all_queries(a, &h, forward_query);
}

static void packed_backward(const grd_args *a)
{
    const heads_of h = packed(a->attr, a->in_shape);
    backward_all(a, &h);
}

/* ---- rows ---- */

static const grd_option options[] = {
    GRD_INT(grd_attention_opts, heads, 1, 1, 4096, "heads: equal parts of the features that attend on their own"),
    GRD_FLAG(grd_attention_opts, causal, "a step sees itself and those before it"),
    GRD_REAL(grd_attention_opts, scale, 0, 0, 1e6, "factor of the scores; 0: 1 / sqrt(features of a head)"),
    GRD_END,
};

#define FORMULA                                                                                                             \
    "For each head, with its parts of the features: Y = P V, P = softmax(S) by rows, S = scale Q K^T.\n"                    \
    "causal: query i sees keys 0..i. lengths [N] (i32; none: all): row n of the batch has so many keys, a number outside\n" \
    "0..S counts as the nearer of the two. A query that sees no key gives zeros.\n"                                         \
    "dV = P^T dY, dS = P * (dY V^T - e 1^T) with e_i = <dy_i, y_i>, dQ = scale dS K, dK = scale dS^T Q.\n"

static const grd_op_sample separate_samples[] = {
    { NULL, "q[2,3,4] k[2,5,4] v[2,5,3]" },
    { "heads=2", "q[2,3,4] k[2,4,4] v[2,4,6] lengths[2]:1..4" },
    { "heads=3 causal=true", "q[2,5,6] k[2,5,6] v[2,5,3]" },
    { "heads=2 causal=true scale=0.3", "q[3,4,2] k[3,3,2] v[3,3,2] lengths[3]:0..3" },
    { NULL, "q[1,1,1] k[1,2,1] v[1,2,1]" },
};

const grd_op GRD_ROW(attention) = {
    .name = "attention",
    .doc = "Scaled dot product attention.\n" FORMULA
           "q [N,T,D], k [N,S,D], v [N,S,E] give y [N,T,E]; heads divides D and E.\n"
           "Vaswani et al. 2017; without the T x S matrix in memory: Dao et al. 2022.",
    .n_in = 4,
    .n_in_min = 3,
    .n_out = 1,
    .in_names = "q k v lengths",
    .in_kind = kinds,
    .flags = GRD_BWD_SAVE,
    .bwd_in = 15,
    .bwd_out = 1,
    .options = options,
    .options_size = sizeof(grd_attention_opts),
    .shape = separate_shape,
    .forward = separate_forward,
    .backward = separate_backward,
    GRD_SAMPLES(separate_samples),
};

static const grd_op_sample packed_samples[] = {
    { NULL, "qkv[2,3,12]" },
    { "heads=2 causal=true", "qkv[2,5,12]" },
    { "heads=2 scale=0.4", "qkv[3,4,6] lengths[3]:0..4" },
    { "causal=true", "qkv[2,7,9] lengths[2]:2..7" },
    { NULL, "qkv[1,1,3]" },
};

const grd_op GRD_ROW(attention_qkv) = {
    .name = "attention_qkv",
    .doc = "Self-attention on queries, keys and values that lie side by side, as one linear layer gives them.\n" FORMULA
           "qkv [N,T,3D], features q, k, v, D of each; y [N,T,D]; heads divides D.\n"
           "Vaswani et al. 2017; without the T x T matrix in memory: Dao et al. 2022.",
    .n_in = 2,
    .n_in_min = 1,
    .n_out = 1,
    .in_names = "qkv lengths",
    .in_kind = packed_kinds,
    .flags = GRD_BWD_SAVE,
    .bwd_in = 3,
    .bwd_out = 1,
    .options = options,
    .options_size = sizeof(grd_attention_opts),
    .shape = packed_shape,
    .forward = packed_forward,
    .backward = packed_backward,
    GRD_SAMPLES(packed_samples),
};
