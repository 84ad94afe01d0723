/* Arithmetic of two inputs with broadcasting: dimensions are matched from the last; one of size 1 is repeated. */
#include "op/row.h"

static grd_status broadcast_shape(grd_infer *f)
{
    const grd_shape *a = &f->in[0], *b = &f->in[1];
    grd_shape *y = &f->out[0];
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < y->rank; i++) {
        int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return grd_refuse(f, "sizes %lld and %lld of dimension %d do not broadcast", (long long)da, (long long)db, i);
        y->dim[i] = da > db ? da : db;
    }
    return GRD_OK;
}

/* The walk over the output: for each run of the last dimension the offsets into a and b and their step (0 or 1). */
typedef struct walk {
    int rank;
    int64_t dim[GRD_MAX_RANK], stride[2][GRD_MAX_RANK], index[GRD_MAX_RANK], at[2], rows, n;
} walk;

static walk start(const grd_shape *y, const grd_shape *in)
{
    walk w = { .rank = y->rank, .n = y->rank ? y->dim[y->rank - 1] : 1 };
    for (int k = 0; k < 2; k++) {
        int64_t stride = 1;
        for (int i = y->rank - 1; i >= 0; i--) {
            int j = i - (y->rank - in[k].rank);
            int64_t d = j < 0 ? 1 : in[k].dim[j];
            w.stride[k][i] = d == 1 ? 0 : stride;
            stride *= d;
        }
    }
    w.rows = 1;
    for (int i = 0; i < y->rank; i++) {
        w.dim[i] = y->dim[i];
        w.rows *= i < y->rank - 1 ? y->dim[i] : 1;
    }
    return w;
}

static void next_row(walk *w)
{
    for (int i = w->rank - 2; i >= 0; i--) {
        w->at[0] += w->stride[0][i];
        w->at[1] += w->stride[1][i];
        if (++w->index[i] < w->dim[i])
            return;
        w->at[0] -= w->stride[0][i] * w->dim[i];
        w->at[1] -= w->stride[1][i] * w->dim[i];
        w->index[i] = 0;
    }
}

static inline int64_t last_step(const walk *w, int k) { return w->rank ? w->stride[k][w->rank - 1] : 0; }

/* y = F(p, q); the gradients of one element are DA and DB with g = dy. Only what is wanted is computed. */
#define BINARY(name_, F, DA, DB, reads, more, samples_, text)                                        \
    static void forward_##name_(const grd_args *args)                                                \
    {                                                                                                \
        walk w = start(args->out_shape, args->in_shape);                                             \
        int64_t sa = last_step(&w, 0), sb = last_step(&w, 1);                                        \
        real *y = args->out[0];                                                                      \
        for (int64_t r = 0; r < w.rows; r++, next_row(&w), y += w.n) {                               \
            const real *a = (const real *)args->in[0] + w.at[0], *b = (const real *)args->in[1] + w.at[1]; \
            if (sa == 1 && sb == 1)                                                                  \
                for (int64_t i = 0; i < w.n; i++) {                                                  \
                    real p = a[i], q = b[i];                                                         \
                    y[i] = F;                                                                        \
                }                                                                                    \
            else                                                                                     \
                for (int64_t i = 0; i < w.n; i++) {                                                  \
                    real p = a[i * sa], q = b[i * sb];                                               \
                    y[i] = F;                                                                        \
                }                                                                                    \
        }                                                                                            \
    }                                                                                                \
    static void backward_##name_(const grd_args *args)                                               \
    {                                                                                                \
        for (int side = 0; side < 2; side++) {                                                       \
            real *d = args->din[side];                                                               \
            if (!d)                                                                                  \
                continue;                                                                            \
            bool whole = grd_shape_equal(&args->in_shape[side], args->out_shape);                    \
            if (!whole)                                                                              \
                memset(d, 0, sizeof(real) * (size_t)grd_count(&args->in_shape[side]));               \
            walk w = start(args->out_shape, args->in_shape);                                         \
            int64_t sa = last_step(&w, 0), sb = last_step(&w, 1), sd = side ? sb : sa;               \
            const real *dy = args->dout[0];                                                          \
            for (int64_t r = 0; r < w.rows; r++, next_row(&w), dy += w.n) {                          \
                const real *a = args->in[0], *b = args->in[1];                                       \
                real *to = d + w.at[side];                                                           \
                for (int64_t i = 0; i < w.n; i++) {                                                  \
                    real g = dy[i], p = (reads) ? a[w.at[0] + i * sa] : 0, q = (reads) ? b[w.at[1] + i * sb] : 0; \
                    real v = side ? (DB) : (DA);                                                     \
                    (void)p;                                                                         \
                    (void)q;                                                                         \
                    if (whole)                                                                       \
                        to[i] = v;                                                                   \
                    else                                                                             \
                        to[i * sd] += v;                                                             \
                }                                                                                    \
            }                                                                                        \
        }                                                                                            \
    }                                                                                                \
    const grd_op GRD_ROW(name_) = {                                                                  \
        .name = #name_, .doc = text, .n_in = 2, .n_out = 1, .in_names = "a b",                       \
        .flags = GRD_ELEMENTWISE | (more), .bwd_in = (reads) ? 3 : 0,                                \
        .shape = broadcast_shape, .forward = forward_##name_, .backward = backward_##name_,          \
        GRD_SAMPLES(samples_),                                                                       \
    };

static const grd_op_sample signed_samples[] = {
    { NULL, "a[3,4] b[3,4]" }, { NULL, "a[2,3,5] b[5]" }, { NULL, "a[2,3,5] b[3,1]" }, { NULL, "a[4,1] b[3]" }, { NULL, "a[2,1,3] b[1,4,1]" },
    { NULL, "a[1] b[2,3,2,2]" }, { NULL, "a[] b[7]" },
};
static const grd_op_sample positive_samples[] = {
    { NULL, "a[3,4] b[3,4]:0.5..2" }, { NULL, "a[2,3,5] b[5]:-2..-0.5" }, { NULL, "a[4,1] b[3]:0.5..2" }, { NULL, "a[7] b[]:0.5..2" },
};

BINARY(add, p + q, g, g, 0, GRD_ZERO_AT_ZERO, signed_samples, "Sum with broadcasting.\ny = a + b\nda = dy, db = dy, summed over repeated dimensions")
BINARY(sub, p - q, g, -g, 0, GRD_ZERO_AT_ZERO, signed_samples, "Difference with broadcasting.\ny = a - b\nda = dy, db = -dy, summed over repeated dimensions")
BINARY(mul, p *q, g *q, g *p, 1, GRD_ZERO_AT_ZERO, signed_samples, "Product with broadcasting.\ny = a b\nda = dy b, db = dy a, summed over repeated dimensions")
BINARY(div, p / q, g / q, -g *p / (q * q), 1, 0, positive_samples, "Quotient with broadcasting.\ny = a / b\nda = dy / b, db = -dy a / b^2, summed over repeated dimensions")
