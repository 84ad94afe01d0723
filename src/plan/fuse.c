/* Fuse: named rewrite rules over the nodes, before autodiff. A fused op is a row of its own with its own backward; each rule can be
 * switched off by name (grd_model_opts.no_fuse). */
#include "op/fused.h"
#include "plan/ir.h"

#include <stdio.h>
#include <string.h>

/* The only reader of a value nobody else wants, or -1. */
static int only_consumer(const grd_ir *ir, int value)
{
    int found = -1;
    for (int n = 0; n < ir->nodes.n; n++) {
        const ir_node *node = &ir->nodes.item[n];
        for (int i = 0; !node->dead && i < node->n_in; i++) {
            if (node->in[i] != value)
                continue;
            if (found >= 0)
                return -1;
            found = n;
        }
    }
    return ir->values.item[value].keep ? -1 : found;
}

static const grd_op *find_row(const grd_ir *ir, const char *name)
{
    return grd_op_find(ir->model->ctx, name, ir->model->dtype);
}

/* `first` takes over the output of `second`, its only consumer, under the row `op`. */
static bool merge(grd_ir *ir, int first, int second, const grd_op *op, const void *attr)
{
    ir_node *a = &ir->nodes.item[first];
    ir_node *b = &ir->nodes.item[second];
    ir_node merged = *b; /* at the later place: all inputs exist there */
    merged.op = op;
    merged.attr = attr;
    merged.path = a->path;
    merged.n_in = a->n_in;
    memcpy(merged.in, a->in, sizeof a->in);
    merged.train = a->train;
    if (!op || ir_shape_node(ir, &merged) != GRD_OK)
        return false;
    ir->nodes.item[second] = merged;
    ir->nodes.item[first].dead = true;
    ir->fused++;
    return true;
}

static int activation_of(const ir_node *node, double *slope)
{
    static const struct { const char *op; int act; } known[] = {
        { "relu", GRD_ACT_RELU }, { "sigmoid", GRD_ACT_SIGMOID }, { "tanh", GRD_ACT_TANH }, { "leaky_relu", GRD_ACT_LEAKY_RELU },
    };
    *slope = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(node->op->name, known[i].op) != 0)
            continue;
        if (known[i].act == GRD_ACT_LEAKY_RELU)
            *slope = ((const grd_leaky_relu_opts *)node->attr)->slope;
        /* the gradient is taken from the sign of y: it must be that of x */
        return known[i].act == GRD_ACT_LEAKY_RELU && *slope <= 0 ? GRD_ACT_NONE : known[i].act;
    }
    return GRD_ACT_NONE;
}

/* The node and its only consumer, if the first is a `name`. */
static int follower(const grd_ir *ir, int n, const char *name)
{
    const ir_node *node = &ir->nodes.item[n];
    return strcmp(node->op->name, name) == 0 ? only_consumer(ir, node->out[0]) : -1;
}

static bool fuse_linear_act(grd_ir *ir, int n)
{
    int next = follower(ir, n, "linear");
    double slope;
    int act = next >= 0 ? activation_of(&ir->nodes.item[next], &slope) : GRD_ACT_NONE;
    if (act == GRD_ACT_NONE)
        return false;
    grd_linear_act_opts *attr = grd_arena_alloc(&ir->arena, sizeof *attr);
    if (!attr)
        return false;
    *attr = (grd_linear_act_opts){ act, slope };
    return merge(ir, n, next, find_row(ir, "linear_act"), attr);
}

static bool fuse_conv2d_act(grd_ir *ir, int n)
{
    int next = follower(ir, n, "conv2d");
    double slope;
    int act = next >= 0 ? activation_of(&ir->nodes.item[next], &slope) : GRD_ACT_NONE;
    if (act == GRD_ACT_NONE)
        return false;
    grd_conv2d_act_opts *attr = grd_arena_alloc(&ir->arena, sizeof *attr);
    if (!attr)
        return false;
    *attr = (grd_conv2d_act_opts){ *(const grd_f_conv2d_opts *)ir->nodes.item[n].attr, act, slope };
    return merge(ir, n, next, find_row(ir, "conv2d_act"), attr);
}

static bool fuse_add_relu(grd_ir *ir, int n)
{
    int next = follower(ir, n, "add");
    if (next < 0 || strcmp(ir->nodes.item[next].op->name, "relu") != 0)
        return false;
    const ir_node *add = &ir->nodes.item[n];
    bool equal = grd_shape_equal(&ir->values.item[add->in[0]].shape, &ir->values.item[add->in[1]].shape);
    return equal && merge(ir, n, next, find_row(ir, "add_relu"), NULL);
}

static bool fuse_batchnorm_relu(grd_ir *ir, int n)
{
    int next = follower(ir, n, "batchnorm");
    if (next < 0 || strcmp(ir->nodes.item[next].op->name, "relu") != 0)
        return false;
    return merge(ir, n, next, find_row(ir, "batchnorm_relu"), ir->nodes.item[n].attr);
}

/* A batchnorm whose only reader is an add_relu of equal shapes: the end of a residual block. */
static bool fuse_batchnorm_add_relu(grd_ir *ir, int n)
{
    int next = follower(ir, n, "batchnorm");
    if (next < 0 || strcmp(ir->nodes.item[next].op->name, "add_relu") != 0)
        return false;
    const ir_node *norm = &ir->nodes.item[n], *sum = &ir->nodes.item[next];
    int other = sum->in[0] == norm->out[0] ? sum->in[1] : sum->in[0];
    if (other == norm->out[0])
        return false;
    ir_node *first = &ir->nodes.item[n];
    first->in[first->n_in++] = other;
    if (merge(ir, n, next, find_row(ir, "batchnorm_add_relu"), first->attr))
        return true;
    first->n_in--;
    return false;
}

const ir_rule grd_fuse_rules[] = {
    { "linear_act", "linear + relu, sigmoid, tanh or leaky_relu", fuse_linear_act },
    { "conv2d_act", "conv2d + relu, sigmoid, tanh or leaky_relu", fuse_conv2d_act },
    { "add_relu", "add of equal shapes + relu", fuse_add_relu },
    { "batchnorm_relu", "batchnorm + relu", fuse_batchnorm_relu },
    { "batchnorm_add_relu", "batchnorm + add of equal shapes + relu", fuse_batchnorm_add_relu },
    { NULL, NULL, NULL }
};

/* Is `name` in the comma-separated list? */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *c = list; *c; c += strcspn(c, ",") + (c[strcspn(c, ",")] == ',')) {
        size_t length = strcspn(c, ",");
        if ((length == n && strncmp(c, name, n) == 0) || (length == 3 && strncmp(c, "all", 3) == 0))
            return true;
    }
    return false;
}

grd_status ir_fuse(grd_ir *ir)
{
    if (ir->opts.flags & GRD_PLAN_NO_FUSE)
        return GRD_OK;
    for (const ir_rule *rule = grd_fuse_rules; rule->name; rule++) {
        if (listed(ir->model->no_fuse, rule->name))
            continue;
        for (int n = 0; n < ir->nodes.n; n++)
            if (!ir->nodes.item[n].dead)
                rule->apply(ir, n);
        if (ir->status != GRD_OK)
            return ir->status;
    }
    return GRD_OK;
}
