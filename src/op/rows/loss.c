/* Losses: each gives (sum, weight); the gradient is that of the sum. The trainer divides once, by the weight of all samples of a step. */
#include "op/rows/sums.h"

/* ---- element by element: prediction a against target b ---- */

static grd_status pair_shape(grd_infer *f)
{
    if (!grd_shape_equal(&f->in[0], &f->in[1]))
        return grd_refuse(f, "prediction and target differ in shape");
    f->out[0].rank = f->out[1].rank = 0;
    return GRD_OK;
}

/* sum of NAME_value(p, t, options) over all elements; dp = g DA, dt = g DB with p = a[i], t = b[i] */
#define PAIR(name_, opts, table, size, DA, DB, samples_, text)                            \
    static void forward_##name_(const grd_args *args)                                     \
    {                                                                                     \
        const opts *o = args->attr;                                                       \
        const real *a = args->in[0], *b = args->in[1];                                    \
        int64_t n = grd_count(args->in_shape);                                            \
        double sum;                                                                       \
        (void)o;                                                                          \
        GRD_WIDE_SUM(sum, n, i, name_##_value(a[i], b[i], o));                            \
        args->out[0][0] = (real)sum;                                                      \
        args->out[1][0] = (real)n;                                                        \
    }                                                                                     \
    static void backward_##name_(const grd_args *args)                                    \
    {                                                                                     \
        const opts *o = args->attr;                                                       \
        const real *a = args->in[0], *b = args->in[1], g = args->dout[0][0];              \
        int64_t n = grd_count(args->in_shape);                                            \
        (void)o;                                                                          \
        for (int64_t i = 0; args->din[0] && i < n; i++) {                                 \
            real p = a[i], t = b[i];                                                      \
            args->din[0][i] = g * (DA);                                                   \
        }                                                                                 \
        for (int64_t i = 0; args->din[1] && i < n; i++) {                                 \
            real p = a[i], t = b[i];                                                      \
            args->din[1][i] = g * (DB);                                                   \
            (void)t;                                                                      \
        }                                                                                 \
    }                                                                                     \
    const grd_op GRD_ROW(name_) = {                                                       \
        .name = #name_, .doc = text, .n_in = 2, .n_out = 2, .in_names = "prediction target", \
        .flags = GRD_LOSS, .bwd_in = 3, .options = table, .options_size = size,           \
        .shape = pair_shape, .forward = forward_##name_, .backward = backward_##name_,    \
        GRD_SAMPLES(samples_),                                                            \
    };

static const grd_op_sample pair_samples[] = { { NULL, "a[3,4]:-1..1 b[3,4]:-0.9..0.8" }, { NULL, "a[2,3,2,2] b[2,3,2,2]:1.5..3" }, { NULL, "a[1,1] b[1,1]:2..2" } };

static inline double mse_value(real p, real t, const void *o)
{
    (void)o;
    return ((double)p - (double)t) * ((double)p - (double)t);
}
PAIR(mse, void, NULL, 0, 2 * (p - t), 2 * (t - p), pair_samples,
     "Squared error.\nsum = sum (p - t)^2, weight = number of elements\ndp = 2 (p - t), dt = -dp\nNot to be coupled with a softmax.")

static inline real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

static inline double l1_value(real p, real t, const void *o)
{
    (void)o;
    return fabs((double)p - (double)t);
}
PAIR(l1, void, NULL, 0, sign(p - t), sign(t - p), pair_samples,
     "Absolute error.\nsum = sum |p - t|, weight = number of elements\ndp = sign(p - t), 0 where they are equal; dt = -dp")

static const grd_option huber_options[] = { GRD_REAL(grd_huber_opts, delta, 1, 1e-9, 1e9, "error from which on it is linear"), GRD_END };
static const grd_op_sample huber_samples[] = { { NULL, "a[3,4]:-1..1 b[3,4]:-2.9..2.8" }, { "delta=0.4", "a[2,3,2,2] b[2,3,2,2]:-1..1.3" } };

static inline double huber_value(real p, real t, const grd_huber_opts *o)
{
    double e = fabs((double)p - (double)t);
    return e <= o->delta ? 0.5 * e * e : o->delta * (e - 0.5 * o->delta);
}
static inline real huber_slope(real e, const grd_huber_opts *o)
{
    real d = (real)o->delta;
    return e < -d ? -d : e > d ? d : e;
}
PAIR(huber, grd_huber_opts, huber_options, sizeof(grd_huber_opts), huber_slope(p - t, o), huber_slope(t - p, o), huber_samples,
     "Squared error that becomes linear.\nwith e = p - t: e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2); weight = number of elements\n"
     "dp = e cut to -delta..delta, dt = -dp\nHuber 1964")

static const grd_option smooth_l1_options[] = { GRD_REAL(grd_smooth_l1_opts, beta, 1, 1e-9, 1e9, "error from which on it is linear"), GRD_END };
static const grd_op_sample smooth_l1_samples[] = { { NULL, "a[3,4]:-1..1 b[3,4]:-2.9..2.8" }, { "beta=0.4", "a[2,3,2,2] b[2,3,2,2]:-1..1.3" } };

static inline double smooth_l1_value(real p, real t, const grd_smooth_l1_opts *o)
{
    double e = fabs((double)p - (double)t);
    return e < o->beta ? 0.5 * e * e / o->beta : e - 0.5 * o->beta;
}
static inline real smooth_l1_slope(real e, const grd_smooth_l1_opts *o)
{
    real b = (real)o->beta;
    return e <= -b ? -1 : e >= b ? 1 : e / b;
}
PAIR(smooth_l1, grd_smooth_l1_opts, smooth_l1_options, sizeof(grd_smooth_l1_opts), smooth_l1_slope(p - t, o), smooth_l1_slope(t - p, o), smooth_l1_samples,
     "Absolute error, rounded at zero: huber / beta.\nwith e = p - t: e^2 / (2 beta) for |e| < beta, else |e| - beta / 2; weight = number of elements\n"
     "dp = e / beta cut to -1..1, dt = -dp\nGirshick 2015")

/* log(x), not below -100, as PyTorch's */
static inline double safe_log(double x) { return x > 0 ? fmax(log(x), -100) : -100; }

static const grd_op_sample bce_samples[] = { { NULL, "p[3,4]:0.1..0.9 t[3,4]:0.05..0.95" }, { NULL, "p[7]:0.2..0.7 t[7]:0..1" } };

static inline double bce_value(real p, real t, const void *o)
{
    (void)o;
    double x = (double)p, y = (double)t;
    return isnan(x) ? x : -(y * safe_log(x) + (1 - y) * safe_log(1 - x));
}
static inline real bce_slope(real p, real t)
{
    real q = p * (1 - p);
    return (p - t) / (q > (real)1e-12 ? q : (real)1e-12);
}
PAIR(bce, void, NULL, 0, bce_slope(p, t), (real)(safe_log(1 - (double)p) - safe_log((double)p)), bce_samples,
     "Binary cross entropy on probabilities.\nsum = -sum (t log p + (1 - t) log(1 - p)), logarithms not below -100; weight = number of elements\n"
     "dp = (p - t) / (p (1 - p)), dt = log(1 - p) - log p\nFrom logits bce_logits is exact where this is not.")

static const grd_option bce_logits_options[] = { GRD_REAL(grd_bce_logits_opts, pos_weight, 1, 0, 1e9, "factor of the positive term"), GRD_END };
static const grd_op_sample bce_logits_samples[] = { { NULL, "x[3,4]:-3..3 t[3,4]:0.05..0.95" }, { "pos_weight=2.5", "x[2,7]:-9..9 t[2,7]:0..1" } };

/* log(1 + exp(-x)) without overflow */
static inline double log1p_exp_neg(double x) { return (x > 0 ? 0 : -x) + log1p(exp(-fabs(x))); }

static inline double bce_logits_value(real p, real t, const grd_bce_logits_opts *o)
{
    double x = (double)p, y = (double)t, w = 1 + (o->pos_weight - 1) * y;
    return (1 - y) * x + w * log1p_exp_neg(x);
}
static inline real bce_logits_slope(real x, real t, const grd_bce_logits_opts *o)
{
    real w = 1 + ((real)o->pos_weight - 1) * t, s = 1 / (1 + REAL(exp)(x)); /* sigmoid(-x) */
    return 1 - t - w * s;
}
PAIR(bce_logits, grd_bce_logits_opts, bce_logits_options, sizeof(grd_bce_logits_opts), bce_logits_slope(p, t, o),
     (real)(((o->pos_weight - 1) * log1p_exp_neg((double)p)) - (double)p), bce_logits_samples,
     "Binary cross entropy on logits.\nsum = sum (1 - t) x + (1 + (pos_weight - 1) t) log(1 + exp(-x)), weight = number of elements\n"
     "dx = 1 - t - (1 + (pos_weight - 1) t) / (1 + exp(x)); sigmoid(x) - t for pos_weight 1")

/* ---- classes: logits [N,C,d...] against indices [N,d...] ---- */

static const grd_kind class_kinds[] = { GRD_KIND_REAL, GRD_KIND_INDEX, GRD_KIND_REAL };

static grd_status class_shape(grd_infer *f)
{
    const grd_shape *x = &f->in[0], *y = &f->in[1];
    bool fits = x->rank >= 2 && y->rank == x->rank - 1;
    for (int i = 0, k = 0; fits && i < x->rank; i++)
        fits = i == 1 || x->dim[i] == y->dim[k++];
    if (!fits)
        return grd_refuse(f, "logits [N,C] or [N,C,...] and labels [N] or [N,...] expected");
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != x->dim[1]))
        return grd_refuse(f, "class weights must have %lld values", (long long)x->dim[1]);
    f->out[0].rank = f->out[1].rank = 0;
    return GRD_OK;
}

typedef struct pixels { int64_t n, classes, inner; } pixels; /* position i: logits at base + c inner */

static pixels pixels_of(const grd_args *a)
{
    const grd_shape *x = a->in_shape;
    int64_t inner = grd_span(x, 2, x->rank);
    return (pixels){ x->dim[0] * inner, x->dim[1], inner };
}

static inline int64_t base_of(const pixels *p, int64_t i) { return i / p->inner * p->classes * p->inner + i % p->inner; }

/* log sum_c exp(x_c) */
static double log_sum(const real *x, const pixels *p)
{
    double most = (double)x[0], sum = 0;
    for (int64_t c = 1; c < p->classes; c++)
        most = fmax(most, (double)x[c * p->inner]);
    for (int64_t c = 0; c < p->classes; c++)
        sum += exp((double)x[c * p->inner] - most);
    return most + log(sum);
}

static const grd_option cross_entropy_options[] = {
    GRD_INT(grd_cross_entropy_opts, ignore_index, -100, -2147483647, 2147483647, "label that does not count"),
    GRD_REAL(grd_cross_entropy_opts, label_smoothing, 0, 0, 1, "share of the target spread over all classes"),
    GRD_END
};

static void cross_entropy_forward(const grd_args *a)
{
    const grd_cross_entropy_opts *o = a->attr;
    const int32_t *label = a->in[1];
    const real *cw = a->n_in > 2 ? a->in[2] : NULL;
    pixels p = pixels_of(a);
    double sum = 0, weight = 0, s = o->label_smoothing;
    for (int64_t i = 0; i < p.n; i++) {
        const real *x = (const real *)a->in[0] + base_of(&p, i);
        if (label[i] == o->ignore_index)
            continue;
        if (label[i] < 0 || label[i] >= p.classes) {
            sum = weight = NAN;
            break;
        }
        double l = log_sum(x, &p), w = cw ? (double)cw[label[i]] : 1, spread = 0;
        for (int64_t c = 0; s > 0 && c < p.classes; c++)
            spread += (cw ? (double)cw[c] : 1) * (l - (double)x[c * p.inner]);
        sum += (1 - s) * w * (l - (double)x[label[i] * p.inner]) + s / (double)p.classes * spread;
        weight += w;
    }
    a->out[0][0] = (real)sum;
    a->out[1][0] = (real)weight;
}

static void cross_entropy_backward(const grd_args *a)
{
    const grd_cross_entropy_opts *o = a->attr;
    const int32_t *label = a->in[1];
    const real *cw = a->n_in > 2 ? a->in[2] : NULL;
    pixels p = pixels_of(a);
    double g = (double)a->dout[0][0], s = o->label_smoothing, all = (double)p.classes;
    real *dw = a->n_in > 2 ? a->din[2] : NULL;
    if (dw)
        set_zero(dw, p.classes);
    for (int64_t c = 0; cw && c < p.classes; c++)
        all += (double)cw[c] - 1;
    for (int64_t i = 0; (a->din[0] || dw) && i < p.n; i++) {
        const real *x = (const real *)a->in[0] + base_of(&p, i);
        bool counts = label[i] != o->ignore_index, valid = label[i] >= 0 && label[i] < p.classes;
        double l = counts && valid ? log_sum(x, &p) : 0, w = cw && valid ? (double)cw[label[i]] : 1;
        /* all targets t_c = (1-s) w [c = y] + s/C cw_c: dx_c = (sum t) softmax_c - t_c */
        double total = (1 - s) * w + s / (double)p.classes * all;
        for (int64_t c = 0; dw && counts && valid && c < p.classes; c++)
            dw[c] += (real)(g * ((1 - s) * (c == label[i]) + s / (double)p.classes) * (l - (double)x[c * p.inner]));
        real *dx = a->din[0] ? a->din[0] + base_of(&p, i) : NULL;
        for (int64_t c = 0; dx && c < p.classes; c++) {
            double t = (1 - s) * w * (c == label[i]) + s / (double)p.classes * (cw ? (double)cw[c] : 1);
            dx[c * p.inner] = !counts ? 0 : !valid ? (real)NAN : (real)(g * (total * exp((double)x[c * p.inner] - l) - t));
        }
    }
}

static const grd_op_sample cross_entropy_samples[] = {
    { NULL, "x[5,4]:-2..2 y[5]:0..3" }, { "ignore_index=2", "x[4,3,2,2] y[4,2,2]:0..2" }, { "label_smoothing=0.1", "x[6,5] y[6]:0..4" },
    { "label_smoothing=0.2 ignore_index=1", "x[3,4,5] y[3,5]:0..3" }, { NULL, "x[6,3] y[6]:0..2 w[3]:0.5..2" },
    { "label_smoothing=0.3 ignore_index=0", "x[7,3] y[7]:0..2 w[3]:0.5..2" },
};

const grd_op GRD_ROW(cross_entropy) = {
    .name = "cross_entropy",
    .doc = "Cross entropy of softmax(logits) against class indices.\nsum = -sum_i w_y log p_y, weight = sum_i w_y; p = softmax(x), w the class weights or 1\n"
           "dx = w_y (p - onehot(y)), 0 where y = ignore_index\nLabel smoothing s puts 1 - s on y and s / C on every class. A label that is neither a class "
           "nor ignore_index makes the loss NaN.\nlogits [N,C] or [N,C,...], labels [N] or [N,...], class weights [C] or none.",
    .n_in = 3, .n_in_min = 2, .n_out = 2, .in_names = "logits labels class_weight", .in_kind = class_kinds, .flags = GRD_LOSS, .bwd_in = 7,
    .options = cross_entropy_options, .options_size = sizeof(grd_cross_entropy_opts), .shape = class_shape, .forward = cross_entropy_forward,
    .backward = cross_entropy_backward, GRD_SAMPLES(cross_entropy_samples),
};

/* ---- focal ---- */

static const grd_option focal_options[] = {
    GRD_REAL(grd_focal_opts, gamma, 2, 0, 100, "how strongly easy samples are weighed down"),
    GRD_REAL(grd_focal_opts, alpha, 1, 0, 1e9, "factor"),
    GRD_INT(grd_focal_opts, ignore_index, -100, -2147483647, 2147483647, "label that does not count"),
    GRD_END
};

static grd_status focal_shape(grd_infer *f) { return class_shape(f); }

static void focal_forward(const grd_args *a)
{
    const grd_focal_opts *o = a->attr;
    const int32_t *label = a->in[1];
    pixels p = pixels_of(a);
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const real *x = (const real *)a->in[0] + base_of(&p, i);
        if (label[i] == o->ignore_index)
            continue;
        if (label[i] < 0 || label[i] >= p.classes) {
            sum = weight = NAN;
            break;
        }
        double log_p = (double)x[label[i] * p.inner] - log_sum(x, &p);
        sum -= o->alpha * pow(-expm1(log_p), o->gamma) * log_p;
        weight += 1;
    }
    a->out[0][0] = (real)sum;
    a->out[1][0] = (real)weight;
}

static void focal_backward(const grd_args *a)
{
    const grd_focal_opts *o = a->attr;
    const int32_t *label = a->in[1];
    pixels p = pixels_of(a);
    double g = (double)a->dout[0][0];
    for (int64_t i = 0; a->din[0] && i < p.n; i++) {
        const real *x = (const real *)a->in[0] + base_of(&p, i);
        real *dx = a->din[0] + base_of(&p, i);
        bool counts = label[i] != o->ignore_index, valid = label[i] >= 0 && label[i] < p.classes;
        double l = counts && valid ? log_sum(x, &p) : 0, log_p = counts && valid ? (double)x[label[i] * p.inner] - l : 0;
        double q = -expm1(log_p), py = exp(log_p); /* q = 1 - p_y */
        /* d loss / d log p_y */
        double slope = -o->alpha * (pow(q, o->gamma) - (o->gamma > 0 && q > 0 ? o->gamma * pow(q, o->gamma - 1) * py * log_p : 0));
        for (int64_t c = 0; c < p.classes; c++)
            dx[c * p.inner] = !counts ? 0 : !valid ? (real)NAN : (real)(g * slope * ((c == label[i]) - exp((double)x[c * p.inner] - l)));
    }
}

static const grd_op_sample focal_samples[] = {
    { NULL, "x[5,4]:-2..2 y[5]:0..3" }, { "gamma=0.5 alpha=0.25", "x[4,3,2] y[4,2]:0..2" }, { "gamma=0 ignore_index=1", "x[6,5] y[6]:0..4" },
};

const grd_op GRD_ROW(focal) = {
    .name = "focal",
    .doc = "Cross entropy that weighs easy samples down.\nsum = -alpha sum_i (1 - p_y)^gamma log p_y, weight = number of labels that count; p = softmax(x)\n"
           "dx = s (onehot(y) - p), s = -alpha ((1 - p_y)^gamma - gamma (1 - p_y)^(gamma - 1) p_y log p_y)\nShapes and bad labels as cross_entropy. Lin et al. 2017",
    .n_in = 2, .n_out = 2, .in_names = "logits labels", .in_kind = class_kinds, .flags = GRD_LOSS, .bwd_in = 3, .options = focal_options,
    .options_size = sizeof(grd_focal_opts), .shape = focal_shape, .forward = focal_forward, .backward = focal_backward, GRD_SAMPLES(focal_samples),
};

/* ---- loss_mix ---- */

static const grd_option mix_options[] = { GRD_REALS(grd_loss_mix_opts, factor, NULL, "factor of each term; none given: all 1"), GRD_END };

static double factor_of(const grd_args *a, int k)
{
    const grd_reals *f = &((const grd_loss_mix_opts *)a->attr)->factor;
    return k < f->n ? f->v[k] : 1;
}

/* What term k's sum is multiplied with. */
static double share(const grd_args *a, int k)
{
    double first = (double)((const real *)a->in[1])[0], own = (double)((const real *)a->in[2 * k + 1])[0];
    return own != 0 ? factor_of(a, k) * first / own : 0;
}

static grd_status mix_shape(grd_infer *f)
{
    const grd_loss_mix_opts *o = f->attr;
    if (f->n_in % 2 || (o->factor.n && o->factor.n != f->n_in / 2))
        return grd_refuse(f, "pairs of sum and weight expected, and one factor for each pair");
    for (int i = 0; i < f->n_in; i++)
        if (f->in[i].rank != 0)
            return grd_refuse(f, "input %d is no scalar", i);
    f->out[0].rank = f->out[1].rank = 0;
    return GRD_OK;
}

static void mix_forward(const grd_args *a)
{
    double sum = 0;
    for (int k = 0; k < a->n_in / 2; k++)
        sum += share(a, k) * (double)((const real *)a->in[2 * k])[0];
    a->out[0][0] = (real)sum;
    a->out[1][0] = ((const real *)a->in[1])[0];
}

static void mix_backward(const grd_args *a)
{
    double g = (double)a->dout[0][0], first = (double)((const real *)a->in[1])[0], of_first = 0;
    for (int k = 0; k < a->n_in / 2; k++) {
        double part = share(a, k) * g, value = (double)((const real *)a->in[2 * k])[0], own = (double)((const real *)a->in[2 * k + 1])[0];
        if (a->din[2 * k])
            a->din[2 * k][0] = (real)part;
        if (k && a->din[2 * k + 1])
            a->din[2 * k + 1][0] = (real)(own != 0 ? -part * value / own : 0);
        of_first += k && first != 0 ? part * value / first : 0;
    }
    if (a->din[1])
        a->din[1][0] = (real)of_first;
}

static const grd_op_sample mix_samples[] = { { "factor=[1,0.5]", "s[]:1..1 n[]:4..4 t[]:3..3 m[]:8..8" }, { NULL, "s[]:2..2 n[]:5..5" } };

const grd_op GRD_ROW(loss_mix) = {
    .name = "loss_mix",
    .doc = "A weighted sum of losses, each normalised by its own weight within the batch.\nsum = sum_k f_k s_k n_0 / n_k, weight = n_0\nds_k = f_k n_0 / n_k, dn_k = -f_k s_k n_0 / n_k^2, dn_0 = sum_{k>0} f_k s_k / n_k\n"
           "Inputs: sum and weight of each term. Batches weigh by the first term's weight.",
    .n_in = -1, .n_out = 2, .in_names = "sum", .flags = GRD_LOSS, .bwd_in = GRD_ALL, .options = mix_options, .options_size = sizeof(grd_loss_mix_opts),
    .shape = mix_shape, .forward = mix_forward, .backward = mix_backward, GRD_SAMPLES(mix_samples),
};
