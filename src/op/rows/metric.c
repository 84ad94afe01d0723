/* Metrics: counted in the graph, without gradients. */
#include "op/row.h"

static const grd_kind kinds[] = { GRD_KIND_REAL, GRD_KIND_INDEX };

static int class_axis(const grd_accuracy_opts *o, const grd_shape *x) { return grd_axis(o->axis, x->rank); }

/* logits [N,C,d...] and labels [N,d...], or one output [N] and labels [N]. */
static grd_status check(grd_infer *f)
{
    const grd_shape *x = &f->in[0], *y = &f->in[1];
    const int axis = class_axis(f->attr, x);
    bool fits = x->rank == 1 ? grd_shape_equal(x, y) : x->rank >= 2 && axis >= 1 && y->rank == x->rank - 1;
    for (int i = 0; fits && x->rank > 1 && i < y->rank; i++)
        fits = y->dim[i] == x->dim[i < axis ? i : i + 1];
    if (!fits)
        return grd_refuse(f, "logits [N,C] or [N,C,...] and labels [N] or [N,...] expected, or one output [N] and labels [N]");
    return GRD_OK;
}

/* The predicted class at position i of the labels: the first of the largest; -1 if there is a NaN. */
static int64_t predicted(const grd_args *a, int64_t i)
{
    const grd_accuracy_opts *o = a->attr;
    const grd_shape *s = &a->in_shape[0];
    const int axis = class_axis(o, s);
    int64_t classes = s->rank > 1 ? s->dim[axis] : 1, stride = s->rank > 2 ? grd_span(s, axis + 1, s->rank) : 1, best = 0;
    const real *x = (const real *)a->in[0] + i / stride * classes * stride + i % stride;
    if (classes == 1)
        return isnan(x[0]) ? -1 : x[0] >= (real)o->threshold;
    for (int64_t c = 0; c < classes; c++) {
        if (isnan(x[c * stride]))
            return -1;
        if (x[c * stride] > x[best * stride])
            best = c;
    }
    return best;
}

/* ---- accuracy ---- */

static grd_status accuracy_shape(grd_infer *f)
{
    f->out[0].rank = f->out[1].rank = 0;
    return check(f);
}

static void accuracy_forward(const grd_args *a)
{
    const grd_accuracy_opts *o = a->attr;
    const int32_t *label = a->in[1];
    int64_t n = grd_count(&a->in_shape[1]), right = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        if (label[i] == o->ignore_index)
            continue;
        int64_t p = predicted(a, i);
        right += p >= 0 && p == label[i];
        all++;
    }
    a->out[0][0] = (real)right;
    a->out[1][0] = (real)all;
}

static const grd_option options[] = {
    GRD_INT(grd_accuracy_opts, ignore_index, -100, INT32_MIN, INT32_MAX, "label that does not count"),
    GRD_INT(grd_accuracy_opts, axis, 1, -GRD_MAX_RANK, GRD_MAX_RANK, "dimension of the classes; -1: the last (sequences)"),
    GRD_REAL(grd_accuracy_opts, threshold, 0, -1e9, 1e9, "with one output: class 1 from here on (logits 0, probabilities 0.5)"),
    GRD_END,
};

static const grd_op_sample samples[] = {
    { NULL, "x[5,4] y[5]:0..3" },
    { "ignore_index=1", "x[2,3,4] y[2,4]:0..2" },
    { "threshold=0.1", "x[6] y[6]" },
    { NULL, "x[7,1] y[7]" },
    { "axis=-1", "x[2,4,3] y[2,4]:0..2" },
};

const grd_op GRD_ROW(accuracy) = {
    .name = "accuracy",
    .doc = "How often the largest output is the label's.\n"
           "sum = number of hits, weight = number of labels that are not ignore_index\n"
           "logits [N,C] or [N,C,...] (classes elsewhere: axis), labels [N] or [N,...] (i32). "
           "Of equal outputs the first is the largest; a NaN among\n"
           "them, or a label that is no class, is a miss. With one output ([N] or C = 1) the class is 1 from `threshold`\n"
           "on, as the value is: no sigmoid is applied. No gradient.",
    .n_in = 2,
    .n_out = 2,
    .in_names = "logits labels",
    .in_kind = kinds,
    .flags = GRD_NO_GRAD,
    .options = options,
    .options_size = sizeof(grd_accuracy_opts),
    .shape = accuracy_shape,
    .forward = accuracy_forward,
    GRD_SAMPLES(samples),
};

/* ---- confusion ---- */

static grd_status confusion_shape(grd_infer *f)
{
    const grd_shape *x = &f->in[0];
    grd_status status = check(f);
    if (status != GRD_OK)
        return status;
    int64_t classes = x->rank > 1 ? x->dim[class_axis(f->attr, x)] : 1;
    classes = classes > 1 ? classes : 2;
    f->out[0] = (grd_shape){ 2, { classes, classes } };
    return GRD_OK;
}

static void confusion_forward(const grd_args *a)
{
    const grd_accuracy_opts *o = a->attr;
    const int32_t *label = a->in[1];
    int64_t n = grd_count(&a->in_shape[1]), classes = a->out_shape[0].dim[0];
    memset(a->out[0], 0, sizeof(real) * (size_t)(classes * classes));
    for (int64_t i = 0; i < n; i++) {
        int64_t p = predicted(a, i);
        if (label[i] != o->ignore_index && label[i] >= 0 && label[i] < classes && p >= 0)
            a->out[0][label[i] * classes + p] += 1;
    }
}

const grd_op GRD_ROW(confusion) = {
    .name = "confusion",
    .doc = "Counts of (label, prediction).\n"
           "y[t,p] = how often label t was taken for p; [C,C], rows are the truth\n"
           "Logits, labels and options as accuracy; one output gives [2,2]. A label that is no class, and a row with a NaN,\n"
           "are not counted. No gradient.",
    .n_in = 2,
    .n_out = 1,
    .in_names = "logits labels",
    .in_kind = kinds,
    .flags = GRD_NO_GRAD,
    .options = options,
    .options_size = sizeof(grd_accuracy_opts),
    .shape = confusion_shape,
    .forward = confusion_forward,
    GRD_SAMPLES(samples),
};
