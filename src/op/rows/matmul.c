/* Matrix products: linear and batched matmul. */
#include "op/rows/product.h"
#include "op/rows/walk.h"

/* ---- linear ---- */

static grd_status linear_rule(grd_infer *f)
{
    return linear_shape(f);
}

static void linear_forward(const grd_args *a)
{
    linear_product(a, a->out[0]);
}

static void linear_backward(const grd_args *a)
{
    linear_gradients(a, a->dout[0]);
}

static const grd_op_sample linear_samples[] = {
    { NULL, "x[3,4] w[5,4] b[5]" }, { NULL, "x[2,3,7] w[2,7]" }, { NULL, "x[1,1] w[3,1] b[3]" },
    { NULL, "x[17,33] w[19,33] b[19]" },
};

const grd_op GRD_ROW(linear) = {
    .name = "linear",
    .doc = "Affine map of the last dimension.\n"
           "Y = X W' + 1 b'; X [M, I] (all leading dimensions as one), W [O, I], b [O] or none\n"
           "dX = dY W, dW = dY' X, db = dY' 1",
    .n_in = 3, .n_in_min = 2, .n_out = 1, .in_names = "x w b", .bwd_in = 3,
    .shape = linear_rule, .forward = linear_forward, .backward = linear_backward, GRD_SAMPLES(linear_samples),
};

/* ---- matmul ---- */

static const grd_option options[] = {
    GRD_FLAG(grd_matmul_opts, transpose_a, "use a with its last two dimensions exchanged"),
    GRD_FLAG(grd_matmul_opts, transpose_b, "use b with its last two dimensions exchanged"),
    GRD_END
};

/* Leading dimensions broadcast; the last two are the matrices'. */
static grd_status matmul_shape(grd_infer *f)
{
    const grd_matmul_opts *o = f->attr;
    const grd_shape *a = &f->in[0], *b = &f->in[1];
    if (a->rank < 2 || b->rank < 2)
        return grd_refuse(f, "both need rank 2 or more");
    int64_t m = a->dim[a->rank - 2 + o->transpose_a], ka = a->dim[a->rank - 1 - o->transpose_a];
    int64_t kb = b->dim[b->rank - 2 + o->transpose_b], n = b->dim[b->rank - 1 - o->transpose_b];
    if (ka != kb)
        return grd_refuse(f, "inner sizes differ: %lld of a, %lld of b", (long long)ka, (long long)kb);
    grd_shape *y = &f->out[0];
    if (!broadcast_dims(a, b, 2, y))
        return grd_refuse(f, "the dimensions before the last two do not broadcast");
    y->dim[y->rank - 2] = m;
    y->dim[y->rank - 1] = n;
    f->flops = 2.0 * (double)grd_count(y) * (double)ka;
    return GRD_OK;
}

/* Which matrix of an input belongs to matrix `batch` of the output. */
static int64_t matrix_of(const grd_shape *in, const grd_shape *y, int64_t batch)
{
    int64_t at = 0, stride = 1;
    for (int i = y->rank - 3; i >= 0; i--) {
        int j = i - (y->rank - in->rank);
        int64_t index = batch % y->dim[i];
        batch /= y->dim[i];
        if (j < 0)
            continue;
        at += (in->dim[j] == 1 ? 0 : index) * stride;
        stride *= in->dim[j];
    }
    return at;
}

typedef struct sizes { int64_t m, n, k, batches; bool ta, tb; } sizes;

static sizes sizes_of(const grd_args *a)
{
    const grd_matmul_opts *o = a->attr;
    const grd_shape *y = a->out_shape, *x = a->in_shape;
    return (sizes){ y->dim[y->rank - 2], y->dim[y->rank - 1], x->dim[x->rank - 1 - o->transpose_a], grd_span(y, 0, y->rank - 2),
                    o->transpose_a, o->transpose_b };
}

static void matmul_forward(const grd_args *a)
{
    sizes s = sizes_of(a);
    for (int64_t i = 0; i < s.batches; i++) {
        const real *x = (const real *)a->in[0] + matrix_of(&a->in_shape[0], a->out_shape, i) * s.m * s.k;
        const real *z = (const real *)a->in[1] + matrix_of(&a->in_shape[1], a->out_shape, i) * s.k * s.n;
        real *y = a->out[0] + i * s.m * s.n;
        set_zero(y, s.m * s.n);
        product_add(x, s.ta, z, s.tb, y, s.m, s.n, s.k);
    }
}

/* dA = dY op(B)', or its transpose where A is used transposed; dB likewise. Matrices used several times collect sums. */
static void matmul_backward(const grd_args *a)
{
    sizes s = sizes_of(a);
    for (int side = 0; side < 2; side++)
        if (a->din[side])
            set_zero(a->din[side], grd_count(&a->in_shape[side]));
    for (int64_t i = 0; i < s.batches; i++) {
        int64_t ia = matrix_of(&a->in_shape[0], a->out_shape, i) * s.m * s.k;
        int64_t ib = matrix_of(&a->in_shape[1], a->out_shape, i) * s.k * s.n;
        const real *x = (const real *)a->in[0] + ia, *z = (const real *)a->in[1] + ib, *dy = a->dout[0] + i * s.m * s.n;
        if (a->din[0] && !s.ta)
            product_add(dy, false, z, !s.tb, a->din[0] + ia, s.m, s.k, s.n);
        else if (a->din[0])
            product_add(z, s.tb, dy, true, a->din[0] + ia, s.k, s.m, s.n);
        if (a->din[1] && !s.tb)
            product_add(x, !s.ta, dy, false, a->din[1] + ib, s.k, s.n, s.m);
        else if (a->din[1])
            product_add(dy, true, x, s.ta, a->din[1] + ib, s.n, s.k, s.m);
    }
}

static const grd_op_sample samples[] = {
    { NULL, "a[3,4] b[4,5]" }, { "transpose_a=true", "a[4,3] b[4,5]" }, { "transpose_b=true", "a[2,3,4] b[2,5,4]" },
    { "transpose_a=true transpose_b=true", "a[2,4,3] b[2,5,4]" }, { NULL, "a[2,3,4,5] b[5,2]" }, { NULL, "a[2,1,3,4] b[3,4,2]" },
    { "transpose_a=true", "a[3,5,2] b[2,1,5,4]" }, { "transpose_b=true", "a[17,21] b[9,21]" },
};

const grd_op GRD_ROW(matmul) = {
    .name = "matmul",
    .doc = "Matrix product of the last two dimensions; leading ones broadcast.\nY = A B (A or B transposed where asked)\n"
           "dA = dY B', dB = A' dY",
    .n_in = 2, .n_out = 1, .in_names = "a b", .bwd_in = 3, .options = options, .options_size = sizeof(grd_matmul_opts),
    .shape = matmul_shape, .forward = matmul_forward, .backward = matmul_backward, GRD_SAMPLES(samples),
};
