/* Metrics: counted in the graph, without gradients. */
#include "op/row.h"

static const grd_kind kinds[] = { GRD_KIND_REAL, GRD_KIND_INDEX };

static const grd_option options[] = {
    GRD_INT(grd_accuracy_opts, ignore_index, -100, -2147483647, 2147483647, "label that does not count"),
    GRD_REAL(grd_accuracy_opts, threshold, 0, -1e9, 1e9, "with one output: class 1 from this value on (0 for logits, 0.5 for probabilities)"),
    GRD_END
};

/* [N,C,d...] with labels [N,d...], or one output [N] or [N,1] with labels [N]. */
static bool fits(const grd_shape *x, const grd_shape *y)
{
    if (x->rank == 1)
        return y->rank == 1 && y->dim[0] == x->dim[0];
    bool same = x->rank >= 2 && y->rank == x->rank - 1;
    for (int i = 0, k = 0; same && i < x->rank; i++)
        same = i == 1 || x->dim[i] == y->dim[k++];
    return same;
}

typedef struct walk { int64_t n, classes, inner; } walk;

static walk walk_of(const grd_args *a)
{
    const grd_shape *x = a->in_shape;
    int64_t inner = x->rank > 2 ? grd_span(x, 2, x->rank) : 1;
    return (walk){ x->dim[0] * inner, x->rank > 1 ? x->dim[1] : 1, inner };
}

/* The predicted class: the first of the largest; -1 if there is a NaN. */
static int64_t predicted(const grd_args *a, const walk *w, int64_t i)
{
    const real *x = (const real *)a->in[0] + i / w->inner * w->classes * w->inner + i % w->inner;
    if (w->classes == 1)
        return isnan(x[0]) ? -1 : x[0] >= (real)((const grd_accuracy_opts *)a->attr)->threshold;
    int64_t best = 0;
    for (int64_t c = 0; c < w->classes; c++) {
        if (isnan(x[c * w->inner]))
            return -1;
        best = x[c * w->inner] > x[best * w->inner] ? c : best;
    }
    return best;
}

static grd_status accuracy_shape(grd_infer *f)
{
    if (!fits(&f->in[0], &f->in[1]))
        return grd_refuse(f, "logits [N,C] or [N,C,...] and labels [N] or [N,...] expected");
    f->out[0].rank = f->out[1].rank = 0;
    return GRD_OK;
}

static void accuracy_forward(const grd_args *a)
{
    const int32_t *label = a->in[1];
    walk w = walk_of(a);
    int64_t right = 0, all = 0;
    for (int64_t i = 0; i < w.n; i++) {
        if (label[i] == ((const grd_accuracy_opts *)a->attr)->ignore_index)
            continue;
        right += predicted(a, &w, i) == label[i];
        all++;
    }
    a->out[0][0] = (real)right;
    a->out[1][0] = (real)all;
}

static const grd_op_sample samples[] = { { NULL, "x[5,4] y[5]:0..3" }, { "ignore_index=1", "x[2,3,4] y[2,4]:0..2" }, { "threshold=0.1", "x[6] y[6]" } };

const grd_op GRD_ROW(accuracy) = {
    .name = "accuracy",
    .doc = "How often the largest output is the label's.\nsum = number of hits (the first of equal largest counts), weight = number of labels that count\n"
           "With one output the class is 1 from `threshold` on. No gradient.",
    .n_in = 2, .n_out = 2, .in_names = "logits labels", .in_kind = kinds, .flags = GRD_NO_GRAD, .options = options, .options_size = sizeof(grd_accuracy_opts),
    .shape = accuracy_shape, .forward = accuracy_forward, GRD_SAMPLES(samples),
};

static grd_status confusion_shape(grd_infer *f)
{
    if (!fits(&f->in[0], &f->in[1]))
        return grd_refuse(f, "logits [N,C] or [N,C,...] and labels [N] or [N,...] expected");
    int64_t c = f->in[0].rank > 1 && f->in[0].dim[1] > 1 ? f->in[0].dim[1] : 2;
    f->out[0] = (grd_shape){ 2, { c, c } };
    return GRD_OK;
}

static void confusion_forward(const grd_args *a)
{
    const int32_t *label = a->in[1];
    walk w = walk_of(a);
    int64_t c = a->out_shape[0].dim[0];
    memset(a->out[0], 0, sizeof(real) * (size_t)(c * c));
    for (int64_t i = 0; i < w.n; i++) {
        int64_t p = predicted(a, &w, i);
        if (label[i] != ((const grd_accuracy_opts *)a->attr)->ignore_index && label[i] >= 0 && label[i] < c && p >= 0)
            a->out[0][label[i] * c + p] += 1;
    }
}

const grd_op GRD_ROW(confusion) = {
    .name = "confusion",
    .doc = "Counts of (label, prediction).\ny[t,p] = how often label t was taken for p; [C,C], rows are the truth\nNo gradient.",
    .n_in = 2, .n_out = 1, .in_names = "logits labels", .in_kind = kinds, .flags = GRD_NO_GRAD, .options = options, .options_size = sizeof(grd_accuracy_opts),
    .shape = confusion_shape, .forward = confusion_forward, GRD_SAMPLES(samples),
};
