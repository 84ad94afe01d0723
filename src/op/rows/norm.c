/* Normalisations: over the batch, over groups of channels, over the last dimensions. */
#include "op/rows/batchnorm.h"

/* ---- batchnorm ---- */

static void forward_batch(const grd_args *a)
{
    batchnorm_forward(a, false, NULL);
}

static void backward_batch(const grd_args *a)
{
    batchnorm_backward(a, NULL);
}

static const grd_option batch_options[] = { BATCHNORM_OPTIONS, GRD_END };

static const grd_op_sample batch_samples[] = {
    { NULL, "x[5,3] w[3]:0.5..1.5 b[3] mean[3] var[3]:0.5..2 count[1]:3..3" },
    { "momentum=0.3 eps=1e-3", "x[2,4,3,5] w[4] b[4] mean[4] var[4]:0.5..2 count[1]:0..0" },
    { "frozen=true", "x[3,2,5] w[2] b[2] mean[2] var[2]:0.5..2 count[1]:7..7" },
    { NULL, "x[1,7,1,5] w[7] b[7] mean[7] var[7]:0.5..2 count[1]:1..1" },
};

const grd_op GRD_ROW(batchnorm) = {
    .name = "batchnorm",
    .doc = "Batch normalisation: each channel is brought to mean 0 and variance 1 over the batch and all positions.\n"
           "y = w (x - m) r + b, r = 1 / sqrt(v + eps). In training m and v are the batch's mean and biased variance, and\n"
           "next mean = (1 - momentum) mean + momentum m, next var likewise from the unbiased variance, next count = count + 1.\n"
           "In evaluation, or when frozen, m = mean and v = var, and the state stays.\n"
           "With h = (x - m) r and M values a channel: db = sum dy, dw = sum dy h, dx = w r (dy - db/M - h dw/M);\n"
           "with the running statistics dx = w r dy.\n"
           "x [N,C] or [N,C,...]; w, b, mean, var [C]; count [1]. Training needs at least two values a channel.\n"
           "Ioffe, Szegedy 2015; conventions as PyTorch's.",
    .n_in = 6,
    .n_out = 1,
    .in_names = "x w b mean var count",
    .in_kind = batchnorm_kinds,
    .flags = GRD_BWD_SAVE | GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 1u << 0 | 1u << 1,
    .options = batch_options,
    .options_size = sizeof(grd_f_batchnorm_opts),
    .shape = batchnorm_shape,
    .forward = forward_batch,
    .backward = backward_batch,
    GRD_SAMPLES(batch_samples),
};

/* ---- groupnorm ----
 * x is seen as [R,G',S]: R = N * groups rows, each of C/groups runs of S values with one w and b. save: mean, 1/std a row. */

static void row_stats(const real *x, int64_t n, double eps, real *save)
{
    double mean = sum_of(x, n) / (double)n;
    save[0] = (real)mean;
    save[1] = (real)(1 / sqrt(sum_squares(x, mean, n) / (double)n + eps));
}

static grd_status affine_shape(grd_infer *f, const grd_shape *affine, const char *what)
{
    char text[64];
    for (int i = 1; i < f->n_in; i++)
        if (!grd_shape_equal(&f->in[i], affine))
            return grd_refuse(f, "%s must have %s: %s", i == 1 ? "w" : "b", what, grd_shape_text(affine, text, sizeof text));
    return GRD_OK;
}

static grd_status shape_group(grd_infer *f)
{
    const grd_f_groupnorm_opts *o = f->attr;
    const grd_shape *x = &f->in[0];
    if (x->rank < 2)
        return grd_refuse(f, "x has rank %d, expected [N,C] or [N,C,...]", x->rank);
    if (o->groups < 1 || x->dim[1] % o->groups)
        return grd_refuse(f, "%lld channels cannot be cut into %lld equal groups", (long long)x->dim[1], (long long)o->groups);
    grd_status s = affine_shape(f, &(grd_shape){ 1, { x->dim[1] } }, "one value per channel of x");
    if (s != GRD_OK)
        return s;
    f->out[0] = *x;
    f->save = sizeof(real) * 2 * (size_t)(x->dim[0] * o->groups);
    f->scratch_back = sizeof(double) * 2 * (size_t)x->dim[1];
    f->flops = 8.0 * (double)grd_count(x);
    return GRD_OK;
}

static void forward_group(const grd_args *a)
{
    const grd_f_groupnorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t groups = o->groups, rows = shape->dim[0] * groups, runs = shape->dim[1] / groups, s = grd_span(shape, 2, shape->rank);
    const real *w = a->n_in > 1 ? a->in[1] : NULL, *b = a->n_in > 2 ? a->in[2] : NULL;
    real *save = a->save, own[2];
    for (int64_t r = 0; r < rows; r++) {
        const real *x = (const real *)a->in[0] + r * runs * s;
        real *y = a->out[0] + r * runs * s, *stats = save ? save + 2 * r : own;
        row_stats(x, runs * s, o->eps, stats);
        for (int64_t k = 0; k < runs; k++) {
            int64_t c = r % groups * runs + k;
            real mean = stats[0], scale = w ? stats[1] * w[c] : stats[1], shift = b ? b[c] : 0;
            for (int64_t i = k * s; i < (k + 1) * s; i++)
                y[i] = (x[i] - mean) * scale + shift;
        }
    }
}

static void backward_group(const grd_args *a)
{
    const grd_f_groupnorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t channels = shape->dim[1], groups = o->groups, rows = shape->dim[0] * groups, runs = channels / groups;
    int64_t s = grd_span(shape, 2, shape->rank);
    const real *w = a->n_in > 1 ? a->in[1] : NULL, *save = a->save;
    double *dw = a->scratch, *db = dw + channels, count = (double)runs * (double)s;
    memset(dw, 0, sizeof *dw * 2 * (size_t)channels);
    for (int64_t r = 0; r < rows; r++) {
        const real *x = (const real *)a->in[0] + r * runs * s, *dy = a->dout[0] + r * runs * s;
        real *dx = a->din[0] ? a->din[0] + r * runs * s : NULL, mean = save[2 * r], rstd = save[2 * r + 1];
        double sum = 0, product = 0; /* of g = w dy, and g (x - mean) */
        for (int64_t k = 0; k < runs; k++) {
            int64_t c = r % groups * runs + k;
            double weight = w ? (double)w[c] : 1, part = sum_of(dy + k * s, s);
            double part_x = sum_products(dy + k * s, x + k * s, (double)mean, s);
            db[c] += part;
            dw[c] += part_x * (double)rstd;
            sum += weight * part;
            product += weight * part_x;
        }
        real shift = (real)(sum / count), slope = (real)(product / count) * rstd * rstd;
        for (int64_t k = 0; k < runs && dx; k++) {
            real weight = w ? w[r % groups * runs + k] : 1;
            for (int64_t i = k * s; i < (k + 1) * s; i++)
                dx[i] = rstd * (weight * dy[i] - shift - (x[i] - mean) * slope);
        }
    }
    for (int64_t c = 0; c < channels; c++) {
        if (a->din[1])
            a->din[1][c] = (real)dw[c];
        if (a->din[2])
            a->din[2][c] = (real)db[c];
    }
}

static const grd_option group_options[] = {
    GRD_INT_REQUIRED(grd_f_groupnorm_opts, groups, 1, 1e6, "groups the channels are cut into"),
    GRD_REAL(grd_f_groupnorm_opts, eps, 1e-5, 0, 1, "added to the variance"),
    GRD_END,
};

static const grd_op_sample group_samples[] = {
    { "groups=2", "x[3,6] w[6] b[6]" },
    { "groups=3 eps=1e-3", "x[2,6,3,3] w[6] b[6]" },
    { "groups=1", "x[2,3,5] w[3]" },
    { "groups=5", "x[1,5,7]" },
};

const grd_op GRD_ROW(groupnorm) = {
    .name = "groupnorm",
    .doc = "Group normalisation: the channels of each sample are cut into groups, each brought to mean 0 and variance 1.\n"
           "y = w (x - m) r + b, r = 1 / sqrt(v + eps), m and v (biased) over the M = C/groups * positions values of a group.\n"
           "With h = (x - m) r and g = w dy: db = sum dy, dw = sum dy h (over samples and positions),\n"
           "dx = r (g - sum(g)/M - h sum(g h)/M), sums over the group.\n"
           "x [N,C] or [N,C,...]; w, b [C], may be left out (1 and 0). The same in training and evaluation.\n"
           "Wu, He 2018.",
    .n_in = 3,
    .n_out = 1,
    .n_in_min = 1,
    .in_names = "x w b",
    .flags = GRD_BWD_SAVE | GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 1u << 0 | 1u << 1,
    .options = group_options,
    .options_size = sizeof(grd_f_groupnorm_opts),
    .shape = shape_group,
    .forward = forward_group,
    .backward = backward_group,
    GRD_SAMPLES(group_samples),
};

/* ---- layernorm ----
 * x is seen as [R,M], M the product of the last `dims` dimensions. save: mean, 1/std a row. */

static grd_status shape_layer(grd_infer *f)
{
    const grd_f_layernorm_opts *o = f->attr;
    const grd_shape *x = &f->in[0];
    if (o->dims < 1 || o->dims >= x->rank)
        return grd_refuse(f, "dims is %lld, expected 1 to %d: the first dimension of x is the batch", (long long)o->dims,
                          x->rank - 1);
    grd_shape last = { .rank = (int)o->dims };
    for (int i = 0; i < last.rank; i++)
        last.dim[i] = x->dim[x->rank - last.rank + i];
    grd_status s = affine_shape(f, &last, "the last dimensions of x");
    if (s != GRD_OK)
        return s;
    int64_t m = grd_count(&last);
    f->out[0] = *x;
    f->save = sizeof(real) * 2 * (size_t)(grd_count(x) / m);
    f->scratch_back = sizeof(double) * 2 * (size_t)m;
    f->flops = 8.0 * (double)grd_count(x);
    return GRD_OK;
}

static void forward_layer(const grd_args *a)
{
    const grd_f_layernorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t m = grd_span(shape, shape->rank - (int)o->dims, shape->rank), rows = grd_count(shape) / m;
    const real *w = a->n_in > 1 ? a->in[1] : NULL, *b = a->n_in > 2 ? a->in[2] : NULL;
    real *save = a->save, own[2];
    for (int64_t r = 0; r < rows; r++) {
        const real *x = (const real *)a->in[0] + r * m;
        real *y = a->out[0] + r * m, *stats = save ? save + 2 * r : own;
        row_stats(x, m, o->eps, stats);
        for (int64_t i = 0; i < m; i++)
            y[i] = (x[i] - stats[0]) * stats[1] * (w ? w[i] : 1) + (b ? b[i] : 0);
    }
}

static void backward_layer(const grd_args *a)
{
    const grd_f_layernorm_opts *o = a->attr;
    const grd_shape *shape = &a->in_shape[0];
    int64_t m = grd_span(shape, shape->rank - (int)o->dims, shape->rank), rows = grd_count(shape) / m;
    const real *w = a->n_in > 1 ? a->in[1] : NULL, *save = a->save;
    double *dw = a->scratch, *db = dw + m;
    memset(dw, 0, sizeof *dw * 2 * (size_t)m);
    for (int64_t r = 0; r < rows; r++) {
        const real *x = (const real *)a->in[0] + r * m, *dy = a->dout[0] + r * m;
        real mean = save[2 * r], rstd = save[2 * r + 1];
        double sum, product; /* of g = w dy, and g (x - mean) */
        GRD_WIDE_SUM(sum, m, i, (double)dy[i] * (w ? (double)w[i] : 1));
        GRD_WIDE_SUM(product, m, i, (double)dy[i] * (w ? (double)w[i] : 1) * (double)(x[i] - mean));
        for (int64_t i = 0; i < m; i++) {
            dw[i] += (double)dy[i] * (double)((x[i] - mean) * rstd);
            db[i] += (double)dy[i];
        }
        if (!a->din[0])
            continue;
        real *dx = a->din[0] + r * m, shift = (real)(sum / (double)m), slope = (real)(product / (double)m) * rstd * rstd;
        for (int64_t i = 0; i < m; i++)
            dx[i] = rstd * (dy[i] * (w ? w[i] : 1) - shift - (x[i] - mean) * slope);
    }
    for (int64_t i = 0; i < m; i++) {
        if (a->din[1])
            a->din[1][i] = (real)dw[i];
        if (a->din[2])
            a->din[2][i] = (real)db[i];
    }
}

static const grd_option layer_options[] = {
    GRD_INT(grd_f_layernorm_opts, dims, 1, 1, GRD_MAX_RANK, "how many of the last dimensions are one layer"),
    GRD_REAL(grd_f_layernorm_opts, eps, 1e-5, 0, 1, "added to the variance"),
    GRD_END,
};

static const grd_op_sample layer_samples[] = {
    { NULL, "x[4,7] w[7] b[7]" },
    { "eps=1e-3", "x[2,3,5] w[5]" },
    { "dims=2", "x[3,3,5] w[3,5] b[3,5]" },
    { NULL, "x[1,9]" },
};

const grd_op GRD_ROW(layernorm) = {
    .name = "layernorm",
    .doc = "Layer normalisation: the last `dims` dimensions of each row are brought to mean 0 and variance 1.\n"
           "y = w (x - m) r + b, r = 1 / sqrt(v + eps), m and v (biased) over the M values of a row.\n"
           "With h = (x - m) r and g = w dy: db = sum dy, dw = sum dy h (over rows),\n"
           "dx = r (g - sum(g)/M - h sum(g h)/M), sums over the row.\n"
           "x [N,...]; w and b have the shape of the last dimensions, may be left out (1 and 0).\n"
           "Ba, Kiros, Hinton 2016.",
    .n_in = 3,
    .n_out = 1,
    .n_in_min = 1,
    .in_names = "x w b",
    .flags = GRD_BWD_SAVE | GRD_INPLACE | GRD_INPLACE_BWD | GRD_CHEAP,
    .bwd_in = 1u << 0 | 1u << 1,
    .options = layer_options,
    .options_size = sizeof(grd_f_layernorm_opts),
    .shape = shape_layer,
    .forward = forward_layer,
    .backward = backward_layer,
    GRD_SAMPLES(layer_samples),
};
