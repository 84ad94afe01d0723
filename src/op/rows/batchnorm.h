/* Batch normalisation, shared by batchnorm, batchnorm_relu and batchnorm_add_relu. x is seen as [N,C,S].
 * save: mean [C], 1/std [C], as used. Both scratches: two doubles a channel. */
#ifndef GRD_OP_BATCHNORM_H
#define GRD_OP_BATCHNORM_H

#include "op/rows/sums.h"

#define BATCHNORM_OPTIONS                                                                                                    \
    GRD_REAL(grd_f_batchnorm_opts, momentum, 0.1, 0, 1, "weight of the batch in the running statistics"),                    \
        GRD_REAL(grd_f_batchnorm_opts, eps, 1e-5, 0, 1, "added to the variance"),                                            \
        GRD_FLAG(grd_f_batchnorm_opts, frozen, "use the running statistics in training too, and leave them as they are")

static const grd_kind batchnorm_kinds[] = { GRD_KIND_REAL,  GRD_KIND_REAL,  GRD_KIND_REAL,
                                            GRD_KIND_STATE, GRD_KIND_STATE, GRD_KIND_STATE };

static inline grd_status batchnorm_shape(grd_infer *f)
{
    static const char *const name[] = { "x", "w", "b", "mean", "var" };
    const grd_f_batchnorm_opts *o = f->attr;
    const grd_shape *x = &f->in[0];
    if (x->rank < 2)
        return grd_refuse(f, "x has rank %d, expected [N,C] or [N,C,...]", x->rank);
    for (int i = 1; i <= 4; i++)
        if (f->in[i].rank != 1 || f->in[i].dim[0] != x->dim[1])
            return grd_refuse(f, "%s must have one value per channel of x: [%lld]", name[i], (long long)x->dim[1]);
    if (grd_count(&f->in[5]) != 1)
        return grd_refuse(f, "count must be one number");
    if (f->train && !o->frozen && grd_count(x) == x->dim[1])
        return grd_refuse(f, "one value per channel has no variance: training needs a batch of at least 2, or a larger picture");
    f->out[0] = *x;
    f->save = sizeof(real) * 2 * (size_t)x->dim[1];
    f->scratch = f->scratch_back = sizeof(double) * 2 * (size_t)x->dim[1];
    f->flops = 8.0 * (double)grd_count(x);
    return GRD_OK;
}

/* Mean and (biased) variance of each channel. */
static inline void batchnorm_stats(const real *x, int64_t n, int64_t c, int64_t s, double *mean, double *var)
{
    double count = (double)n * (double)s;
    memset(mean, 0, sizeof *mean * (size_t)c);
    memset(var, 0, sizeof *var * (size_t)c);
    for (int64_t i = 0; i < n * c; i++)
        mean[i % c] += sum_of(x + i * s, s);
    for (int64_t k = 0; k < c; k++)
        mean[k] /= count;
    for (int64_t i = 0; i < n * c; i++)
        var[i % c] += sum_squares(x + i * s, mean[i % c], s);
    for (int64_t k = 0; k < c; k++)
        var[k] /= count;
}

/* What the commit step will store: moved by the batch, or (var NULL) as it was. */
static inline void batchnorm_next(const grd_args *a, double momentum, const double *mean, const double *var, double count)
{
    int64_t c = a->in_shape[0].dim[1];
    const real *now[3] = { a->in[3], a->in[4], a->in[5] };
    for (int64_t k = 0; k < c && a->next_state[0]; k++)
        a->next_state[0][k] = (real)(var ? (1 - momentum) * (double)now[0][k] + momentum * mean[k] : (double)now[0][k]);
    for (int64_t k = 0; k < c && a->next_state[1]; k++) {
        double old = (double)now[1][k]; /* the running variance is the unbiased one */
        a->next_state[1][k] = (real)(var ? (1 - momentum) * old + momentum * var[k] * count / (count - 1) : old);
    }
    if (a->next_state[2])
        a->next_state[2][0] = now[2][0] + (var ? 1 : 0);
}

/* add: what is added before the ReLU, or NULL. */
static inline void batchnorm_forward(const grd_args *a, bool relu, const real *add)
{
    const grd_f_batchnorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t n = shape->dim[0], c = shape->dim[1], s = grd_span(shape, 2, shape->rank);
    const real *x = a->in[0], *w = a->in[1], *b = a->in[2];
    real *y = a->out[0], *save = a->save;
    double *mean = a->scratch, *var = mean + c;
    if (a->train && !o->frozen) {
        batchnorm_stats(x, n, c, s, mean, var);
        batchnorm_next(a, o->momentum, mean, var, (double)n * (double)s);
    } else {
        for (int64_t k = 0; k < c; k++) {
            mean[k] = (double)((const real *)a->in[3])[k];
            var[k] = (double)((const real *)a->in[4])[k];
        }
        batchnorm_next(a, 0, NULL, NULL, 0);
    }
    double *rstd = var;
    for (int64_t k = 0; k < c; k++) {
        rstd[k] = 1 / sqrt(var[k] + o->eps);
        if (save) {
            save[k] = (real)mean[k];
            save[c + k] = (real)rstd[k];
        }
    }
    for (int64_t i = 0; i < n * c; i++) {
        real m = (real)mean[i % c], scale = (real)rstd[i % c] * w[i % c], shift = b[i % c];
        for (int64_t j = i * s; j < (i + 1) * s; j++) {
            real v = (x[j] - m) * scale + shift + (add ? add[j] : 0);
            y[j] = relu && v < 0 ? 0 : v;
        }
    }
}

/* dy of a following ReLU is 0 where its output is. */
static inline real batchnorm_gate(const real *relu_y, const real *dy, int64_t j)
{
    return relu_y && relu_y[j] <= 0 ? 0 : dy[j];
}

/* relu_y: the output of the ReLU that is part of the op, or NULL. */
static inline void batchnorm_backward(const grd_args *a, const real *relu_y)
{
    const grd_f_batchnorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t n = shape->dim[0], c = shape->dim[1], s = grd_span(shape, 2, shape->rank);
    const real *x = a->in[0], *w = a->in[1], *dy = a->dout[0], *mean = a->save, *rstd = mean + c;
    real *dx = a->din[0];
    double *sum = a->scratch, *product = sum + c, count = (double)n * (double)s;
    memset(sum, 0, sizeof *sum * 2 * (size_t)c);
    for (int64_t i = 0; i < n * c; i++) {
        int64_t k = i % c, base = i * s;
        double part, part_x;
        GRD_WIDE_SUM(part, s, j, (double)batchnorm_gate(relu_y, dy, base + j));
        GRD_WIDE_SUM(part_x, s, j, (double)batchnorm_gate(relu_y, dy, base + j) * (double)(x[base + j] - mean[k]));
        sum[k] += part;
        product[k] += part_x;
    }
    for (int64_t k = 0; k < c; k++) {
        if (a->din[1])
            a->din[1][k] = (real)(product[k] * (double)rstd[k]);
        if (a->din[2])
            a->din[2][k] = (real)sum[k];
    }
    if (!dx)
        return;
    bool constant = !a->train || o->frozen; /* the statistics do not depend on x */
    for (int64_t i = 0; i < n * c; i++) {
        int64_t k = i % c;
        real scale = w[k] * rstd[k], m = mean[k];
        real shift = constant ? 0 : (real)(sum[k] / count);
        real slope = constant ? 0 : (real)(product[k] / count) * rstd[k] * rstd[k];
        for (int64_t j = i * s; j < (i + 1) * s; j++)
            dx[j] = scale * (batchnorm_gate(relu_y, dy, j) - shift - (x[j] - m) * slope);
    }
}

#endif
