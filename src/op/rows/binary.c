/* Arithmetic of two inputs with broadcasting as in NumPy: dimensions are matched from the last; one of size 1 is repeated. */
#include "op/rows/sums.h"
#include "op/rows/walk.h"

static grd_status broadcast_shape(grd_infer *f)
{
    if (broadcast_dims(&f->in[0], &f->in[1], 0, &f->out[0]))
        return GRD_OK;
    return grd_refuse(f, "the shapes do not broadcast: sizes must be equal from the last dimension on, or 1");
}

static walk start(const grd_args *args)
{
    int64_t stride[2][GRD_MAX_RANK];
    for (int k = 0; k < 2; k++)
        walk_broadcast(&args->in_shape[k], args->out_shape, stride[k]);
    return walk_start(args->out_shape, stride);
}

/* One run: p of a and q of b, each a vector (step 1) or one number (step 0). */
#define EACH(w, a, b, statement)                     \
    do {                                             \
        if ((w).step[0] == 1 && (w).step[1] == 1) {  \
            for (int64_t i = 0; i < (w).n; i++) {    \
                const real p = (a)[i], q = (b)[i];   \
                statement;                           \
                (void)p, (void)q;                    \
            }                                        \
        } else if ((w).step[0] == 1) {               \
            const real q = *(b);                     \
            for (int64_t i = 0; i < (w).n; i++) {    \
                const real p = (a)[i];               \
                statement;                           \
                (void)p, (void)q;                    \
            }                                        \
        } else {                                     \
            const real p = *(a);                     \
            for (int64_t i = 0; i < (w).n; i++) {    \
                const real q = (b)[i];               \
                statement;                           \
                (void)p, (void)q;                    \
            }                                        \
        }                                            \
    } while (0)

#define READ_A 1
#define READ_B 2
#define READ_Y 4

/* y = F of p and q. The gradients of one element are DA and DB, of g = dy, p, q and r = y; `reads` names which of them. What is
 * not read may not be touched: dy stands in for it, which is as long. din[1] comes first, since din[0] may lie over dy. */
#define BINARY(name_, F, DA, DB, reads, more, samples_, text)                                                          \
    static void forward_##name_(const grd_args *args)                                                                  \
    {                                                                                                                  \
        walk w = start(args);                                                                                          \
        real *y = args->out[0];                                                                                        \
        for (int64_t run = 0; run < w.runs; run++, walk_next(&w), y += w.n) {                                          \
            const real *a = (const real *)args->in[0] + w.at[0], *b = (const real *)args->in[1] + w.at[1];             \
            EACH(w, a, b, y[i] = F);                                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    static inline void gradient_##name_(const grd_args *args, int side)                                                \
    {                                                                                                                  \
        walk w = start(args);                                                                                          \
        const bool repeated = grd_count(&args->in_shape[side]) != grd_count(args->out_shape);                          \
        const real *dy = args->dout[0];                                                                                \
        if (repeated)                                                                                                  \
            set_zero(args->din[side], grd_count(&args->in_shape[side]));                                               \
        for (int64_t run = 0; run < w.runs; run++, walk_next(&w), dy += w.n) {                                         \
            const real *a = (reads) & READ_A ? (const real *)args->in[0] + w.at[0] : dy;                               \
            const real *b = (reads) & READ_B ? (const real *)args->in[1] + w.at[1] : dy;                               \
            const real *y = (reads) & READ_Y ? args->out[0] + run * w.n : dy;                                          \
            real *to = args->din[side] + w.at[side];                                                                   \
            if (!repeated) {                                                                                           \
                EACH(w, a, b, const real g = dy[i]; const real r = y[i]; to[i] = side ? (DB) : (DA); (void)r);         \
            } else if (w.step[side] == 1) {                                                                            \
                EACH(w, a, b, const real g = dy[i]; const real r = y[i]; to[i] += side ? (DB) : (DA); (void)r);        \
            } else {                                                                                                   \
                double sum = 0;                                                                                        \
                EACH(w, a, b, const real g = dy[i]; const real r = y[i]; sum += side ? (DB) : (DA); (void)r);          \
                *to += (real)sum;                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void backward_##name_(const grd_args *args)                                                                 \
    {                                                                                                                  \
        if (args->din[1])                                                                                              \
            gradient_##name_(args, 1);                                                                                 \
        if (args->din[0])                                                                                              \
            gradient_##name_(args, 0);                                                                                 \
    }                                                                                                                  \
    const grd_op GRD_ROW(name_) = {                                                                                    \
        .name = #name_, .doc = text, .n_in = 2, .n_out = 1, .in_names = "a b",                                         \
        .flags = GRD_ELEMENTWISE | GRD_INPLACE | GRD_INPLACE_BWD | (more), .bwd_in = (reads) & (READ_A | READ_B),      \
        .bwd_out = (reads) & READ_Y ? 1 : 0, .shape = broadcast_shape, .forward = forward_##name_,                     \
        .backward = backward_##name_, GRD_SAMPLES(samples_),                                                           \
    };

static const grd_op_sample signed_samples[] = {
    { NULL, "a[3,4] b[3,4]" }, { NULL, "a[2,3,5] b[5]" }, { NULL, "a[2,3,5] b[3,1]" }, { NULL, "a[4,1] b[3]" },
    { NULL, "a[2,1,3] b[1,4,1]" },
    { NULL, "a[1] b[2,3,2,2]:0.2..1" }, { NULL, "a[] b[7]" }, { NULL, "a[3,1,5] b[3,2,5]" }, { NULL, "a[] b[]" },
};
static const grd_op_sample divisor_samples[] = {
    { NULL, "a[3,4] b[3,4]:0.5..2" }, { NULL, "a[2,3,5] b[5]:-2..-0.5" }, { NULL, "a[4,1] b[3]:0.5..2" },
    { NULL, "a[7] b[]:0.5..2" },
    { NULL, "a[2,1,3] b[1,4,1]:0.5..2" },
};

BINARY(add, p + q, g, g, 0, GRD_ZERO_AT_ZERO, signed_samples,
       "Sum with broadcasting.\ny = a + b\nda = dy, db = dy, each summed over the dimensions along which it was repeated")
BINARY(sub, p - q, g, -g, 0, GRD_ZERO_AT_ZERO, signed_samples,
       "Difference with broadcasting.\ny = a - b\nda = dy, db = -dy, each summed over the dimensions along which it was repeated")
BINARY(mul, p *q, g *q, g *p, READ_A | READ_B, GRD_ZERO_AT_ZERO, signed_samples,
       "Product, element by element, with broadcasting.\ny = a b\n"
       "da = dy b, db = dy a, each summed over the dimensions along which it was repeated")
BINARY(div, p / q, g / q, -g *r / q, READ_B | READ_Y, 0, divisor_samples,
       "Quotient with broadcasting.\ny = a / b\n"
       "da = dy / b, db = -dy y / b, each summed over the dimensions along which it was repeated\n"
       "Infinite or NaN where b is 0")
