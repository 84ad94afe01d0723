/* Embedding: rows of a table, picked by index. */
#include "op/row.h"

static const grd_kind kinds[] = { GRD_KIND_INDEX, GRD_KIND_REAL };

static grd_status shape(grd_infer *f)
{
    const grd_f_embedding_opts *o = f->attr;
    const grd_shape *index = &f->in[0], *w = &f->in[1];
    if (w->rank != 2)
        return grd_refuse(f, "w has rank %d, expected [V,D]: one row per index", w->rank);
    if (index->rank >= GRD_MAX_RANK)
        return grd_refuse(f, "index has rank %d, expected at most %d", index->rank, GRD_MAX_RANK - 1);
    if (w->dim[0] > INT32_MAX)
        return grd_refuse(f, "w has more rows than an index can name");
    if (o->padding_idx >= w->dim[0])
        return grd_refuse(f, "padding_idx is %lld, w has %lld rows", (long long)o->padding_idx, (long long)w->dim[0]);
    f->out[0] = *index;
    f->out[0].dim[f->out[0].rank++] = w->dim[1];
    return GRD_OK;
}

static void forward(const grd_args *a)
{
    const int32_t *index = a->in[0];
    const real *w = a->in[1];
    int64_t n = grd_count(&a->in_shape[0]), v = a->in_shape[1].dim[0], d = a->in_shape[1].dim[1];
    for (int64_t i = 0; i < n; i++) {
        real *y = a->out[0] + i * d;
        if (index[i] >= 0 && index[i] < v)
            memcpy(y, w + index[i] * d, sizeof *y * (size_t)d);
        else
            for (int64_t k = 0; k < d; k++)
                y[k] = (real)NAN;
    }
}

static void backward(const grd_args *a)
{
    const grd_f_embedding_opts *o = a->attr;
    const int32_t *index = a->in[0];
    int64_t n = grd_count(&a->in_shape[0]), v = a->in_shape[1].dim[0], d = a->in_shape[1].dim[1];
    real *dw = a->din[1];
    if (!dw)
        return;
    memset(dw, 0, sizeof *dw * (size_t)(v * d));
    for (int64_t i = 0; i < n; i++) {
        const real *dy = a->dout[0] + i * d;
        if (index[i] < 0 || index[i] >= v || index[i] == o->padding_idx)
            continue;
        for (int64_t k = 0; k < d; k++)
            dw[index[i] * d + k] += dy[k];
    }
}

static const grd_option options[] = {
    GRD_INT(grd_f_embedding_opts, padding_idx, -1, -1, INT32_MAX, "row that gets no gradient; -1: none"),
    GRD_END,
};

/* The padding row is not among the indices: where it is, the gradient is 0 on purpose and no difference quotient. */
static const grd_op_sample samples[] = {
    { NULL, "index[7]:0..4 w[5,3]" },
    { "padding_idx=4", "index[2,3]:0..3 w[5,4]" },
    { "padding_idx=0", "index[1]:2..2 w[3,1]" },
    { NULL, "index[2,2,2]:0..1 w[2,5]" },
};

const grd_op GRD_ROW(embedding) = {
    .name = "embedding",
    .doc = "Looks up rows of a table.\n"
           "y[...,:] = w[index[...],:].\n"
           "dw[v,:] = sum of dy[...,:] where index = v (dense); row padding_idx gets 0. With E one-hot: y = E w, dw = E^T dy.\n"
           "index [...] (i32), w [V,D], y [...,D]. An index outside 0..V-1 gives a row of NaN and no gradient.",
    .n_in = 2,
    .n_out = 1,
    .in_names = "index w",
    .in_kind = kinds,
    .bwd_in = 1u << 0,
    .options = options,
    .options_size = sizeof(grd_f_embedding_opts),
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
