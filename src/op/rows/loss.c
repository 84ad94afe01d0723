/* Losses: each gives (sum, weight); the gradient is that of the sum. The trainer divides once, by the weight of all samples
 * of a step. Sums are made in double. */
#include "op/rows/sums.h"

/* The gradient of the sum; none if only the weight is used. */
static real sum_gradient(const grd_args *a) { return a->dout[0] ? a->dout[0][0] : 0; }

static grd_status two_scalars(grd_infer *f)
{
    f->out[0].rank = f->out[1].rank = 0;
    return GRD_OK;
}

/* ---- element by element: prediction p against target t ---- */

static grd_status pair_shape(grd_infer *f)
{
    if (!grd_shape_equal(&f->in[0], &f->in[1]))
        return grd_refuse(f, "prediction and target differ in shape");
    f->flops = 4.0 * (double)grd_count(&f->in[0]);
    return two_scalars(f);
}

/* A row from NAME_value(p, t, o), a double, and the slopes DP and DT, expressions in p, t and o (the options). */
#define PAIR(name_, opts, table, size, shape_, DP, DT, samples_, text)                       \
    static void forward_##name_(const grd_args *args)                                        \
    {                                                                                        \
        const opts *o = args->attr;                                                          \
        const real *p = args->in[0], *t = args->in[1];                                       \
        int64_t n = grd_count(args->in_shape);                                               \
        double sum;                                                                          \
        GRD_WIDE_SUM(sum, n, i, name_##_value((double)p[i], (double)t[i], o));               \
        args->out[0][0] = (real)sum;                                                         \
        args->out[1][0] = (real)n;                                                           \
    }                                                                                        \
    static void backward_##name_(const grd_args *args)                                       \
    {                                                                                        \
        const opts *o = args->attr;                                                          \
        const real *prediction = args->in[0], *target = args->in[1], g = sum_gradient(args); \
        int64_t n = grd_count(args->in_shape);                                               \
        (void)o;                                                                             \
        for (int64_t i = 0; args->din[0] && i < n; i++) {                                    \
            real p = prediction[i], t = target[i];                                           \
            args->din[0][i] = g * (DP);                                                      \
        }                                                                                    \
        for (int64_t i = 0; args->din[1] && i < n; i++) {                                    \
            real p = prediction[i], t = target[i];                                           \
            (void)t;                                                                         \
            args->din[1][i] = g * (DT);                                                      \
        }                                                                                    \
    }                                                                                        \
    const grd_op GRD_ROW(name_) = {                                                          \
        .name = #name_, .doc = text, .n_in = 2, .n_out = 2, .in_names = "prediction target", \
        .flags = GRD_LOSS, .bwd_in = 3, .options = table, .options_size = size,              \
        .shape = shape_, .forward = forward_##name_, .backward = backward_##name_,           \
        GRD_SAMPLES(samples_),                                                               \
    };

static const grd_op_sample pair_samples[] = {
    { NULL, "a[3,4]:-1..1 b[3,4]:-0.9..0.8" },
    { NULL, "a[2,3,2,2] b[2,3,2,2]:1.5..3" },
    { NULL, "a[1,1] b[1,1]:2..2" },
};

static inline double mse_value(double p, double t, const void *o)
{
    (void)o;
    return (p - t) * (p - t);
}

PAIR(mse, void, NULL, 0, pair_shape, 2 * (p - t), 2 * (t - p), pair_samples,
     "Squared error.\n"
     "sum = sum (p - t)^2, weight = number of elements\n"
     "dp = 2 (p - t), dt = -dp")

static inline real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static inline double l1_value(double p, double t, const void *o)
{
    (void)o;
    return fabs(p - t);
}

PAIR(l1, void, NULL, 0, pair_shape, sign(p - t), sign(t - p), pair_samples,
     "Absolute error.\n"
     "sum = sum |p - t|, weight = number of elements\n"
     "dp = sign(p - t), 0 where they are equal; dt = -dp")

static const grd_option huber_options[] = {
    GRD_REAL(grd_huber_opts, delta, 1, 1e-9, 1e9, "error from which on it is linear"),
    GRD_END,
};

static const grd_op_sample rounded_samples[] = {
    { NULL, "a[3,4]:-1..1 b[3,4]:-2.9..2.8" },
    { NULL, "a[2,3,2,2] b[2,3,2,2]:-0.2..0.3" },
    { NULL, "a[1]:0..0 b[1]:5..5" },
};

static grd_status huber_shape(grd_infer *f)
{
    const grd_huber_opts *o = f->attr;
    if (!(o->delta > 0))
        return grd_refuse(f, "delta is %g, expected a positive number", o->delta);
    return pair_shape(f);
}

static inline double huber_value(double p, double t, const grd_huber_opts *o)
{
    double e = fabs(p - t);
    return e <= o->delta ? 0.5 * e * e : o->delta * (e - 0.5 * o->delta);
}

static inline real huber_slope(real e, const grd_huber_opts *o)
{
    real d = (real)o->delta;
    return e < -d ? -d : e > d ? d : e;
}

PAIR(huber, grd_huber_opts, huber_options, sizeof(grd_huber_opts), huber_shape, huber_slope(p - t, o), huber_slope(t - p, o),
     rounded_samples,
     "Squared error that becomes linear.\n"
     "sum = sum of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), e = p - t; weight = number of elements\n"
     "dp = e cut to -delta..delta, dt = -dp\n"
     "Huber 1964")

static const grd_option smooth_l1_options[] = {
    GRD_REAL(grd_smooth_l1_opts, beta, 1, 0, 1e9, "error from which on it is linear; 0: l1"),
    GRD_END,
};

static inline double smooth_l1_value(double p, double t, const grd_smooth_l1_opts *o)
{
    double e = fabs(p - t);
    return e < o->beta ? 0.5 * e * e / o->beta : e - 0.5 * o->beta;
}

static inline real smooth_l1_slope(real e, const grd_smooth_l1_opts *o)
{
    real b = (real)o->beta;
    return e > -b && e < b ? e / b : sign(e);
}

static const grd_op_sample smooth_l1_samples[] = {
    { NULL, "a[3,4]:-1..1 b[3,4]:-2.9..2.8" },
    { "beta=0.4", "a[2,3,2,2] b[2,3,2,2]:-1..1.3" },
    { "beta=0", "a[5,1] b[5,1]:2..3" },
};

PAIR(smooth_l1, grd_smooth_l1_opts, smooth_l1_options, sizeof(grd_smooth_l1_opts), pair_shape, smooth_l1_slope(p - t, o),
     smooth_l1_slope(t - p, o), smooth_l1_samples,
     "Absolute error, rounded at zero: huber / beta.\n"
     "sum = sum of e^2 / (2 beta) where |e| < beta, else |e| - beta / 2, e = p - t; weight = number of elements\n"
     "dp = e / beta cut to -1..1, dt = -dp\n"
     "Girshick 2015")

/* ---- two classes ---- */

/* log(x), not below -100; NaN outside 0..1 */
static inline double log_share(double x) { return x >= 0 && x <= 1 ? fmax(log(x), -100) : NAN; }

static inline double bce_value(double p, double t, const void *o)
{
    (void)o;
    return -(t * log_share(p) + (1 - t) * log_share(1 - p));
}

static inline real bce_slope(real p, real t)
{
    real spread = p * (1 - p);
    return (p - t) / (spread > (real)1e-12 ? spread : (real)1e-12);
}

static const grd_op_sample bce_samples[] = {
    { NULL, "p[3,4]:0.1..0.9 t[3,4]:0.05..0.95" },
    { NULL, "p[7]:0.2..0.7 t[7]:0..1" },
    { NULL, "p[1,1,1]:0.3..0.3 t[1,1,1]:1..1" },
};

PAIR(bce, void, NULL, 0, pair_shape, bce_slope(p, t), (real)(log_share(1 - (double)p) - log_share((double)p)), bce_samples,
     "Binary cross entropy on probabilities.\n"
     "sum = -sum (t log p + (1 - t) log(1 - p)), logarithms not below -100; weight = number of elements\n"
     "dp = (p - t) / max(p (1 - p), 1e-12), dt = log(1 - p) - log p\n"
     "A p outside 0..1 makes the loss NaN. On logits use bce_logits, which is exact where this is not.")

static const grd_option bce_logits_options[] = {
    GRD_REAL(grd_bce_logits_opts, pos_weight, 1, 0, 1e9, "factor of the positive term"),
    GRD_END,
};

/* log(1 + exp(-x)) without overflow */
static inline double softplus_of_minus(double x) { return (x > 0 ? 0 : -x) + log1p(exp(-fabs(x))); }

static inline double bce_logits_value(double x, double t, const grd_bce_logits_opts *o)
{
    return (1 - t) * x + (1 + (o->pos_weight - 1) * t) * softplus_of_minus(x);
}

static inline real bce_logits_slope(real x, real t, const grd_bce_logits_opts *o)
{
    real small = REAL(exp)(-REAL(fabs)(x)), large = 1 / (1 + small);
    real positive = x < 0 ? small * large : large, negative = x < 0 ? large : small * large; /* sigmoid of x and -x */
    return (1 - t) * positive - (real)o->pos_weight * t * negative;
}

static const grd_op_sample bce_logits_samples[] = {
    { NULL, "x[3,4]:-3..3 t[3,4]:0.05..0.95" },
    { "pos_weight=2.5", "x[2,7]:-9..9 t[2,7]:0..1" },
    { "pos_weight=0", "x[1,3] t[1,3]:0..1" },
};

PAIR(bce_logits, grd_bce_logits_opts, bce_logits_options, sizeof(grd_bce_logits_opts), pair_shape, bce_logits_slope(p, t, o),
     (real)((o->pos_weight - 1) * softplus_of_minus((double)p) - (double)p), bce_logits_samples,
     "Binary cross entropy on logits.\n"
     "sum = -sum (pos_weight t log s + (1 - t) log(1 - s)), s = 1 / (1 + exp(-x)); weight = number of elements\n"
     "dx = (1 - t) s - pos_weight t (1 - s): s - t for pos_weight 1; dt = (pos_weight - 1) log(1 + exp(-x)) - x")

/* ---- classes: logits [N,C,d...], or C at another axis, against indices [N,d...] ---- */

static const grd_kind class_kinds[] = { GRD_KIND_REAL, GRD_KIND_INDEX, GRD_KIND_REAL };

/* Whether the labels' shape is that of the logits without the classes. */
static bool without_axis(const grd_shape *x, int axis, const grd_shape *y)
{
    bool fits = x->rank >= 2 && y->rank == x->rank - 1;
    for (int i = 0; fits && i < y->rank; i++)
        fits = y->dim[i] == x->dim[i < axis ? i : i + 1];
    return fits;
}

static grd_status class_shape(grd_infer *f, int64_t class_axis)
{
    const grd_shape *x = &f->in[0], *y = &f->in[1];
    const int axis = grd_axis(class_axis, x->rank);
    if (axis == 1 && x->rank > 2 && !without_axis(x, 1, y) && without_axis(x, x->rank - 1, y))
        return grd_refuse(f, "logits [N,C,...] and labels [N,...] expected; classes that come last want axis: -1");
    if (axis < 1 || !without_axis(x, axis, y))
        return grd_refuse(f, "logits [N,C] or [N,C,...] and labels [N] or [N,...] expected");
    if (f->n_in > 2 && (f->in[2].rank != 1 || f->in[2].dim[0] != x->dim[axis]))
        return grd_refuse(f, "class_weight must have one value per class: [%lld]", (long long)x->dim[axis]);
    f->flops = 4.0 * (double)grd_count(x);
    return two_scalars(f);
}

/* One position of the labels and its logits, logit[c * stride]. */
typedef struct position {
    const real *logit;
    int64_t classes, stride, offset; /* offset of logit[0] in the tensor */
    int64_t label;                   /* -1: no class */
    bool ignored;
} position;

static int64_t count_positions(const grd_args *a) { return grd_count(&a->in_shape[1]); }

static position position_of(const grd_args *a, int64_t i, int64_t class_axis, int64_t ignore_index)
{
    const grd_shape *x = &a->in_shape[0];
    const int axis = grd_axis(class_axis, x->rank);
    int64_t classes = x->dim[axis], stride = grd_span(x, axis + 1, x->rank), label = ((const int32_t *)a->in[1])[i];
    int64_t offset = i / stride * classes * stride + i % stride;
    return (position){ (const real *)a->in[0] + offset, classes, stride, offset, label >= 0 && label < classes ? label : -1,
                       label == ignore_index };
}

static double logit(const position *p, int64_t c) { return (double)p->logit[c * p->stride]; }

/* log sum_c exp(x_c) */
static double log_sum(const position *p)
{
    double most = logit(p, 0), sum = 0;
    for (int64_t c = 1; c < p->classes; c++)
        most = fmax(most, logit(p, c));
    for (int64_t c = 0; c < p->classes; c++)
        sum += exp(logit(p, c) - most);
    return most + log(sum);
}

/* The whole gradient of a position that has none of its own: 0, or NaN where the label is no class. */
static void fill(real *dx, const position *p, real value)
{
    for (int64_t c = 0; c < p->classes; c++)
        dx[p->offset + c * p->stride] = value;
}

/* ---- cross_entropy: targets t_c = w_y (1 - s) [c = y] + w_c s / C, loss = sum_c t_c (log_sum - x_c) ---- */

static double class_weight(const grd_args *a, int64_t c) { return a->n_in > 2 ? (double)((const real *)a->in[2])[c] : 1; }

static void cross_entropy_forward(const grd_args *a)
{
    const grd_cross_entropy_opts *o = a->attr;
    int64_t n = count_positions(a);
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < n; i++) {
        position p = position_of(a, i, o->axis, o->ignore_index);
        if (p.ignored)
            continue;
        if (p.label < 0) {
            sum = weight = NAN;
            break;
        }
        double l = log_sum(&p), w = class_weight(a, p.label), spread = 0;
        for (int64_t c = 0; o->label_smoothing > 0 && c < p.classes; c++)
            spread += class_weight(a, c) * (l - logit(&p, c));
        sum += (1 - o->label_smoothing) * w * (l - logit(&p, p.label)) + o->label_smoothing / (double)p.classes * spread;
        weight += w;
    }
    a->out[0][0] = (real)sum;
    a->out[1][0] = (real)weight;
}

static void cross_entropy_backward(const grd_args *a)
{
    const grd_cross_entropy_opts *o = a->attr;
    int64_t n = count_positions(a), classes = a->in_shape[0].dim[grd_axis(o->axis, a->in_shape[0].rank)];
    real *dx = a->din[0], *dw = a->n_in > 2 ? a->din[2] : NULL;
    double g = (double)sum_gradient(a), one = 1 - o->label_smoothing, each = o->label_smoothing / (double)classes, spread = 0;
    if (dw)
        set_zero(dw, classes);
    for (int64_t c = 0; c < classes; c++)
        spread += each * class_weight(a, c);
    for (int64_t i = 0; i < n; i++) {
        position p = position_of(a, i, o->axis, o->ignore_index);
        if (p.ignored || p.label < 0) {
            if (dx)
                fill(dx, &p, p.ignored ? 0 : (real)NAN);
            continue;
        }
        double l = log_sum(&p), w = one * class_weight(a, p.label);
        for (int64_t c = 0; dx && c < classes; c++) { /* (sum of all targets) softmax_c - target_c */
            double target = (c == p.label ? w : 0) + each * class_weight(a, c);
            dx[p.offset + c * p.stride] = (real)(g * ((w + spread) * exp(logit(&p, c) - l) - target));
        }
        for (int64_t c = 0; dw && c < classes; c++)
            dw[c] += (real)(g * ((c == p.label ? one : 0) + each) * (l - logit(&p, c)));
    }
}

static grd_status cross_entropy_shape(grd_infer *f) { return class_shape(f, ((const grd_cross_entropy_opts *)f->attr)->axis); }

static const grd_option cross_entropy_options[] = {
    GRD_INT(grd_cross_entropy_opts, ignore_index, -100, INT32_MIN, INT32_MAX, "label that does not count"),
    GRD_REAL(grd_cross_entropy_opts, label_smoothing, 0, 0, 1, "share of the target spread over all classes"),
    GRD_INT(grd_cross_entropy_opts, axis, 1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension of the classes; -1: the last (sequences)"),
    GRD_END,
};

static const grd_op_sample cross_entropy_samples[] = {
    { NULL, "x[5,4]:-2..2 y[5]:0..3" },
    { "ignore_index=2", "x[4,3,2,2] y[4,2,2]:0..2" },
    { "label_smoothing=0.1", "x[6,5] y[6]:0..4" },
    { "label_smoothing=0.2 ignore_index=1", "x[3,4,5] y[3,5]:0..3" },
    { NULL, "x[6,3] y[6]:0..2 w[3]:0.5..2" },
    { "label_smoothing=0.3 ignore_index=0", "x[7,3] y[7]:0..2 w[3]:0.5..2" },
    { "axis=-1", "x[3,4,5]:-2..2 y[3,4]:0..4" },
    { "axis=2 label_smoothing=0.1", "x[2,3,4,2] y[2,3,2]:0..3 w[4]:0.5..2" },
};

const grd_op GRD_ROW(cross_entropy) = {
    .name = "cross_entropy",
    .doc = "Cross entropy of softmax(logits) against class indices.\n"
           "sum = -sum_i w_y log p_y, weight = sum_i w_y; p = softmax(x), w the class weights or 1\n"
           "dx = w_y (p - onehot(y)), 0 where y = ignore_index\n"
           "With label smoothing s: sum = -sum_i ((1 - s) w_y log p_y + s/C sum_c w_c log p_c), the same weight.\n"
           "logits [N,C] or [N,C,...] (classes elsewhere: axis), labels [N] or [N,...] (i32), class weights [C] or none.\n"
           "A label that is neither a class nor ignore_index makes the loss and its gradient NaN.\n"
           "Smoothing: Szegedy et al. 2016; with weights and ignored labels as PyTorch's.",
    .n_in = 3,
    .n_in_min = 2,
    .n_out = 2,
    .in_names = "logits labels class_weight",
    .in_kind = class_kinds,
    .flags = GRD_LOSS,
    .bwd_in = 7,
    .options = cross_entropy_options,
    .options_size = sizeof(grd_cross_entropy_opts),
    .shape = cross_entropy_shape,
    .forward = cross_entropy_forward,
    .backward = cross_entropy_backward,
    GRD_SAMPLES(cross_entropy_samples),
};

/* ---- focal ---- */

static void focal_forward(const grd_args *a)
{
    const grd_focal_opts *o = a->attr;
    int64_t n = count_positions(a);
    double sum = 0, weight = 0;
    for (int64_t i = 0; i < n; i++) {
        position p = position_of(a, i, o->axis, o->ignore_index);
        if (p.ignored)
            continue;
        if (p.label < 0) {
            sum = weight = NAN;
            break;
        }
        double log_p = logit(&p, p.label) - log_sum(&p);
        sum -= o->alpha * pow(-expm1(log_p), o->gamma) * log_p;
        weight += 1;
    }
    a->out[0][0] = (real)sum;
    a->out[1][0] = (real)weight;
}

/* d loss / d log p_y. Where p_y = 1 the second term's limit is 0. */
static double focal_slope(const grd_focal_opts *o, double log_p)
{
    double rest = -expm1(log_p); /* 1 - p_y */
    double bend = o->gamma > 0 && rest > 0 ? o->gamma * pow(rest, o->gamma - 1) * exp(log_p) * log_p : 0;
    return -o->alpha * (pow(rest, o->gamma) - bend);
}

static void focal_backward(const grd_args *a)
{
    const grd_focal_opts *o = a->attr;
    int64_t n = count_positions(a);
    real *dx = a->din[0];
    double g = (double)sum_gradient(a);
    for (int64_t i = 0; dx && i < n; i++) {
        position p = position_of(a, i, o->axis, o->ignore_index);
        if (p.ignored || p.label < 0) {
            fill(dx, &p, p.ignored ? 0 : (real)NAN);
            continue;
        }
        double l = log_sum(&p), slope = g * focal_slope(o, logit(&p, p.label) - l);
        for (int64_t c = 0; c < p.classes; c++)
            dx[p.offset + c * p.stride] = (real)(slope * ((c == p.label) - exp(logit(&p, c) - l)));
    }
}

static grd_status focal_shape(grd_infer *f) { return class_shape(f, ((const grd_focal_opts *)f->attr)->axis); }

static const grd_option focal_options[] = {
    GRD_REAL(grd_focal_opts, gamma, 2, 0, 100, "how strongly easy samples are weighed down"),
    GRD_REAL(grd_focal_opts, alpha, 1, 0, 1e9, "factor"),
    GRD_INT(grd_focal_opts, ignore_index, -100, INT32_MIN, INT32_MAX, "label that does not count"),
    GRD_INT(grd_focal_opts, axis, 1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension of the classes; -1: the last (sequences)"),
    GRD_END,
};

static const grd_op_sample focal_samples[] = {
    { NULL, "x[5,4]:-2..2 y[5]:0..3" },
    { "gamma=0.5 alpha=0.25", "x[4,3,2] y[4,2]:0..2" },
    { "gamma=0 ignore_index=1", "x[6,5] y[6]:0..4" },
    { "axis=-1", "x[3,4,5] y[3,4]:0..4" },
};

const grd_op GRD_ROW(focal) = {
    .name = "focal",
    .doc = "Cross entropy that weighs easy samples down.\n"
           "sum = -alpha sum_i (1 - p_y)^gamma log p_y, weight = number of labels that count; p = softmax(x)\n"
           "dx = d (onehot(y) - p), d = -alpha ((1 - p_y)^gamma - gamma (1 - p_y)^(gamma - 1) p_y log p_y)\n"
           "Shapes and labels as cross_entropy.\n"
           "Lin et al. 2017",
    .n_in = 2,
    .n_out = 2,
    .in_names = "logits labels",
    .in_kind = class_kinds,
    .flags = GRD_LOSS,
    .bwd_in = 3,
    .options = focal_options,
    .options_size = sizeof(grd_focal_opts),
    .shape = focal_shape,
    .forward = focal_forward,
    .backward = focal_backward,
    GRD_SAMPLES(focal_samples),
};

/* ---- loss_mix: inputs sum_0 weight_0 sum_1 weight_1 ... ---- */

static double scalar(const grd_args *a, int i) { return (double)((const real *)a->in[i])[0]; }

/* What term k's sum is multiplied with. */
static double share(const grd_args *a, int k)
{
    const grd_reals *f = &((const grd_loss_mix_opts *)a->attr)->factor;
    double factor = k < f->n ? f->v[k] : 1, weight = scalar(a, 2 * k + 1);
    return weight != 0 ? factor * scalar(a, 1) / weight : 0;
}

static grd_status mix_shape(grd_infer *f)
{
    const grd_loss_mix_opts *o = f->attr;
    if (f->n_in % 2)
        return grd_refuse(f, "%d inputs, expected the sum and the weight of each term", f->n_in);
    if (o->factor.n && o->factor.n != f->n_in / 2)
        return grd_refuse(f, "%d factors for %d terms", o->factor.n, f->n_in / 2);
    for (int i = 0; i < f->n_in; i++)
        if (f->in[i].rank != 0)
            return grd_refuse(f, "input %d has rank %d, expected a scalar", i, f->in[i].rank);
    return two_scalars(f);
}

static void mix_forward(const grd_args *a)
{
    double sum = 0;
    for (int k = 0; k < a->n_in / 2; k++)
        sum += share(a, k) * scalar(a, 2 * k);
    a->out[0][0] = (real)sum;
    a->out[1][0] = (real)scalar(a, 1);
}

static void mix_backward(const grd_args *a)
{
    double g = (double)sum_gradient(a), first = scalar(a, 1), of_first = 0;
    for (int k = 0; k < a->n_in / 2; k++) {
        double part = g * share(a, k), sum = scalar(a, 2 * k), weight = scalar(a, 2 * k + 1);
        if (a->din[2 * k])
            a->din[2 * k][0] = (real)part;
        if (k && a->din[2 * k + 1])
            a->din[2 * k + 1][0] = (real)(weight != 0 ? -part * sum / weight : 0);
        of_first += k && first != 0 ? part * sum / first : 0;
    }
    if (a->din[1])
        a->din[1][0] = (real)of_first;
}

static const grd_option mix_options[] = {
    GRD_REALS(grd_loss_mix_opts, factor, NULL, "factor of each term; none given: all 1"),
    GRD_END,
};

static const grd_op_sample mix_samples[] = {
    { "factor=[1,0.5]", "s[]:1..1 n[]:4..4 t[]:3..3 m[]:8..8" },
    { NULL, "s[]:2..2 n[]:5..5" },
    { NULL, "s[]:2..2 n[]:5..5 t[]:-1..-1 m[]:2..2 u[]:3..3 k[]:7..7" },
};

const grd_op GRD_ROW(loss_mix) = {
    .name = "loss_mix",
    .doc = "A weighted sum of losses, each normalised by its own weight within the batch.\n"
           "sum = sum_k f_k s_k n_0 / n_k (a term of weight 0 counts 0), weight = n_0\n"
           "ds_k = f_k n_0 / n_k, dn_k = -f_k s_k n_0 / n_k^2, dn_0 = sum_{k>0} f_k s_k / n_k\n"
           "Inputs: sum and weight of each term. Batches weigh by the first term's weight.",
    .n_in = -1,
    .n_out = 2,
    .in_names = "sum",
    .flags = GRD_LOSS,
    .bwd_in = GRD_ALL,
    .options = mix_options,
    .options_size = sizeof(grd_loss_mix_opts),
    .shape = mix_shape,
    .forward = mix_forward,
    .backward = mix_backward,
    GRD_SAMPLES(mix_samples),
};
