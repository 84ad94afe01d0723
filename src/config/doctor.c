/* The doctor: advice that teachers of such courses give again and again. What it knows is a table: a name, a function that looks,
 * and whether training can only fail. */
#include "config/pipeline.h"

#include "graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct patient {
    const grd_stage *stage;
    const grd_stage_data *data;
    const grd_stage_net *net;
    char *text;
    size_t size;
} patient;

/* The op that made the model's output, or NULL. */
static const char *last_op(const patient *x)
{
    const grd_value *v = &x->net->graph->values.item[x->net->output.id];
    return v->origin == GRD_FROM_NODE ? x->net->graph->calls.item[v->index].op[0]->name : NULL;
}

static bool is_op(const char *op, const char *const *list, int n)
{
    for (int i = 0; op && i < n; i++)
        if (strcmp(op, list[i]) == 0)
            return true;
    return false;
}

static bool softmax_before_cross_entropy(patient *x)
{
    static const char *const softmax[] = { "softmax", "log_softmax" }, *const loss[] = { "cross_entropy", "focal" };
    if (!is_op(last_op(x), softmax, 2) || !is_op(x->net->loss_op, loss, 2))
        return false;
    snprintf(x->text, x->size, "the model ends in %s and the loss %s applies softmax itself: leave the layer out",
             last_op(x), x->net->loss_op);
    return true;
}

static bool softmax_with_regression(patient *x)
{
    static const char *const softmax[] = { "softmax", "log_softmax" }, *const loss[] = { "mse", "l1", "huber", "smooth_l1" };
    if (!is_op(last_op(x), softmax, 2) || !is_op(x->net->loss_op, loss, 4))
        return false;
    snprintf(x->text, x->size,
             "a regression loss (%s) is coupled with %s: gradients vanish; use cross_entropy on the logits", x->net->loss_op,
             last_op(x));
    return true;
}

static bool sigmoid_before_logits(patient *x)
{
    static const char *const sigmoid[] = { "sigmoid" }, *const loss[] = { "bce_logits", "cross_entropy" };
    if (!is_op(last_op(x), sigmoid, 1) || !is_op(x->net->loss_op, loss, 2))
        return false;
    snprintf(x->text, x->size, "the model ends in sigmoid and %s wants logits: leave the layer out, or use bce",
             x->net->loss_op);
    return true;
}

static bool raw_before_probabilities(patient *x)
{
    static const char *const sigmoid[] = { "sigmoid", "softmax", "hardsigmoid" }, *const loss[] = { "bce" };
    if (is_op(last_op(x), sigmoid, 3) || !is_op(x->net->loss_op, loss, 1))
        return false;
    snprintf(x->text, x->size, "bce wants probabilities and the model does not end in sigmoid: use bce_logits");
    return true;
}

static bool relu_at_the_end(patient *x)
{
    static const char *const relu[] = { "relu", "relu6" }, *const loss[] = { "cross_entropy", "focal", "bce_logits" };
    if (!is_op(last_op(x), relu, 2) || !is_op(x->net->loss_op, loss, 3))
        return false;
    snprintf(x->text, x->size, "the model ends in %s: logits below zero are cut off; leave the last activation out",
             last_op(x));
    return true;
}

/* How many classes the output scores: dimension 1, or the last if only that leaves the labels' shape (sequences). */
static int64_t scored_classes(const patient *x)
{
    const grd_shape out = grd_var_shape(x->net->output), labels = grd_var_shape(grd_find_input(x->net->graph, x->net->target));
    bool fits = true;
    for (int i = 1; i < labels.rank && i + 1 < out.rank; i++)
        fits &= labels.dim[i] == out.dim[i + 1];
    return out.dim[fits ? 1 : out.rank - 1];
}

/* Classes of the target and outputs of the model, for a loss that takes class indices. */
static bool class_outputs(const patient *x, const char **field, int64_t *classes, int64_t *outputs)
{
    static const char *const loss[] = { "cross_entropy", "focal" };
    grd_shape out = grd_var_shape(x->net->output);
    for (int i = 0; is_op(x->net->loss_op, loss, 2) && i < x->data->n_fields; i++) {
        const grd_field *f = &x->data->field[i];
        if (strcmp(f->name, x->net->target) != 0 || !f->classes || out.rank < 2)
            continue;
        *field = f->name;
        *classes = f->classes;
        *outputs = scored_classes(x);
        return true;
    }
    return false;
}

static bool too_few_outputs(patient *x)
{
    const char *field;
    int64_t classes, outputs;
    if (!class_outputs(x, &field, &classes, &outputs) || outputs >= classes)
        return false;
    snprintf(x->text, x->size, "%lld classes in field \"%s\", but the model has %lld outputs: expected one for each class",
             (long long)classes, field, (long long)outputs);
    return true;
}

static bool too_many_outputs(patient *x)
{
    const char *field;
    int64_t classes, outputs;
    if (!class_outputs(x, &field, &classes, &outputs) || outputs <= classes)
        return false;
    snprintf(x->text, x->size, "%lld classes in field \"%s\", but the model has %lld outputs: some can never be right",
             (long long)classes, field, (long long)outputs);
    return true;
}

static bool no_validation_set(patient *x)
{
    if (x->data->val)
        return false;
    snprintf(x->text, x->size,
             "there is no validation set: best weights and early stopping go by the training loss; say data: {val: ...}");
    return true;
}

static bool batch_larger_than_data(patient *x)
{
    int64_t n = grd_dataset_length(x->data->train);
    if (n < 0 || x->stage->run.batch <= n)
        return false;
    snprintf(x->text, x->size, "a batch of %lld, but only %lld samples: every step sees all of them",
             (long long)x->stage->run.batch, (long long)n);
    return true;
}

static bool large_numbers(patient *x)
{
    for (int i = 0; i < x->data->n_fields; i++) {
        const grd_field *f = &x->data->field[i];
        if (f->dtype != GRD_F32 || f->lo >= f->hi || (f->hi <= 20 && f->lo >= -20) ||
            strcmp(f->name, grd_var_name(x->net->input)) != 0)
            continue;
        snprintf(x->text, x->size,
                 "field \"%s\" goes from %g to %g: bring inputs to about -1..1 with transform: [scale] or normalize", f->name,
                 f->lo, f->hi);
        return true;
    }
    return false;
}

static bool odd_learning_rate(patient *x)
{
    const char *lr = strstr(x->stage->optim, "lr=");
    double rate = lr ? strtod(lr + 3, NULL) : 1e-3;
    bool adaptive = strncmp(x->stage->optim, "adam", 4) == 0;
    if (rate > 0 && (rate < (adaptive ? 0.05 : 5.0)) && rate > 1e-7)
        return false;
    snprintf(x->text, x->size, "a learning rate of %g is unusual for %.20s: 1e-4 to 1e-2 are common", rate,
             x->stage->optim);
    return true;
}

static bool no_clipping(patient *x)
{
    if (x->stage->train.clip_norm > 0 || x->stage->train.clip_value > 0)
        return false;
    snprintf(x->text, x->size, "gradient clipping is off: one bad batch can ruin the run");
    return true;
}

/* An average that is too long for the run: at its end the first step's weights, of which it is a copy, still have a
 * share of decay^(steps - 1). */
static bool slow_average(patient *x)
{
    const double most = 0.05;
    const grd_run_section *run = &x->stage->run;
    int64_t n = grd_dataset_length(x->data->train), batches = (n + run->batch - 1) / run->batch;
    const int64_t each = x->stage->train.steps_per_epoch;
    double steps = (double)((batches + x->stage->train.accumulate - 1) / x->stage->train.accumulate) * (double)run->epochs;
    if (n < 0 || each)
        steps = each ? (double)each * (double)run->epochs : INFINITY; /* a stream's passes: who knows */
    if (run->max_steps && (double)run->max_steps < steps)
        steps = (double)run->max_steps;
    double share = pow(x->stage->train.ema, steps - 1);
    if (x->stage->train.ema <= 0 || steps < 2 || share <= most)
        return false;
    snprintf(x->text, x->size,
             "after %.0f steps the average is still the first step's weights by %.0f %%; with ema: %.4g it would be by %.0f %%", steps,
             100 * share, pow(most, 1 / (steps - 1)), 100 * most);
    return true;
}

static const struct {
    const char *name;
    bool (*look)(patient *x);
    bool is_error;
} rows[] = {
    { "classes and outputs", too_few_outputs, true },
    { "classes and outputs", too_many_outputs, false },
    { "softmax before cross entropy", softmax_before_cross_entropy, false },
    { "softmax with a regression loss", softmax_with_regression, false },
    { "sigmoid before a loss on logits", sigmoid_before_logits, false },
    { "no sigmoid before bce", raw_before_probabilities, false },
    { "activation after the last layer", relu_at_the_end, false },
    { "validation", no_validation_set, false },
    { "batch size", batch_larger_than_data, false },
    { "input range", large_numbers, false },
    { "learning rate", odd_learning_rate, false },
    { "clipping", no_clipping, false },
    { "moving average", slow_average, false },
};

int grd_doctor(const grd_stage *stage, const grd_stage_data *data, const grd_stage_net *net, grd_finding found[GRD_MAX_FINDINGS])
{
    _Static_assert(sizeof rows / sizeof *rows <= GRD_MAX_FINDINGS, "room for all findings");
    int n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        patient x = { stage, data, net, found[n].text, sizeof found[n].text };
        found[n].name = rows[i].name;
        found[n].is_error = rows[i].is_error;
        n += rows[i].look(&x);
    }
    return n;
}
