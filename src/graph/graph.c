/* Building: scopes and names, inputs, parameters, ops with their shape rules. */
#include "graph/graph.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

/* Stand-ins for N and T. A dimension that differs between the two trials varies; primes keep products apart. */
static const int64_t stand_in[2][2] = { { 1009, 509 }, { 1013, 521 } };

/* ---- life ---- */

static void free_graph(void *self) { grd_graph_free(self); }

grd_graph *grd_graph_new(grd_ctx *ctx)
{
    grd_graph *g = GRD_NEW(&ctx->host, grd_graph);
    if (!g)
        return NULL;
    g->ctx = ctx;
    grd_arena_init(&g->arena, &ctx->host);
    g->scope[0] = (grd_scope){ .path = "" };
    grd_adopt(&ctx->root, &g->child, free_graph);
    return g;
}

void grd_graph_free(grd_graph *g)
{
    if (!g)
        return;
    grd_disown(&g->child);
    grd_host *host = &g->ctx->host;
    grd_free(host, g->values.item);
    grd_free(host, g->calls.item);
    grd_free(host, g->params.item);
    grd_free(host, g->inputs.item);
    grd_arena_free(&g->arena);
    grd_free(host, g);
}

grd_status grd_graph_status(const grd_graph *g) { return g->status; }
grd_ctx *grd_graph_ctx(const grd_graph *g) { return g->ctx; }

grd_var grd_graph_fail(grd_graph *g, grd_status status, const char *format, ...)
{
    if (g->status == GRD_OK) {
        va_list args;
        va_start(args, format);
        grd_vfail(&g->ctx->host, status, format, args);
        va_end(args);
        g->status = status;
    }
    return (grd_var){ g, -1 };
}

static grd_var out_of_memory(grd_graph *g)
{
    return grd_graph_fail(g, GRD_ERR_MEMORY, "out of memory while building the graph");
}

/* ---- scopes ---- */

static const char *join_path(grd_graph *g, const char *scope, const char *name)
{
    return *scope ? grd_arena_format(&g->arena, "%s.%s", scope, name) : grd_arena_strdup(&g->arena, name);
}

static const char *next_path(grd_graph *g, const char *name)
{
    grd_scope *s = &g->scope[g->depth];
    char number[16];
    snprintf(number, sizeof number, "%d", s->next++);
    return join_path(g, s->path, name ? name : number);
}

static void push(grd_graph *g, const char *name, bool layer)
{
    const char *path = next_path(g, name);
    if (!path || g->depth + 1 >= GRD_MAX_SCOPE) {
        grd_graph_fail(g, GRD_ERR_ARG, "scope \"%s\": nested deeper than %d", path ? path : "", GRD_MAX_SCOPE);
        g->scope[g->depth].next++;
        return;
    }
    g->scope[++g->depth] = (grd_scope){ .path = path, .layer = layer };
}

void grd_scope_push(grd_graph *g, const char *name) { push(g, name, false); }
void grd_scope_push_layer(grd_graph *g, const char *name) { push(g, name, true); }

void grd_scope_pop(grd_graph *g)
{
    if (g->depth > 0)
        g->depth--;
}

/* An op takes an index among its siblings; inside a layer it carries the layer's path, the second one "path#1", ... */
static const char *op_path(grd_graph *g)
{
    grd_scope *s = &g->scope[g->depth];
    if (!s->layer)
        return next_path(g, NULL);
    int k = s->next++;
    return k ? grd_arena_format(&g->arena, "%s#%d", s->path, k) : s->path;
}

/* ---- values ---- */

static int add_value(grd_graph *g, const grd_value *value)
{
    if (!GRD_RESERVE(&g->ctx->host, &g->values))
        return -1;
    g->values.item[g->values.n] = *value;
    return g->values.n++;
}

static void set_trials(grd_value *v)
{
    for (int k = 0; k < 2; k++) {
        v->trial[k] = v->shape;
        for (int i = 0; i < v->shape.rank; i++)
            if (v->shape.dim[i] < 0)
                v->trial[k].dim[i] = stand_in[k][v->shape.dim[i] == GRD_VARIES_T];
    }
}

static void set_symbols(grd_value *v)
{
    v->shape = v->trial[0];
    for (int i = 0; i < v->shape.rank; i++) {
        int64_t a = v->trial[0].dim[i], b = v->trial[1].dim[i];
        if (a == b)
            continue;
        v->shape.dim[i] = a == stand_in[0][0] && b == stand_in[1][0]   ? GRD_VARIES
                          : a == stand_in[0][1] && b == stand_in[1][1] ? GRD_VARIES_T
                                                                       : GRD_VARIES_OTHER;
    }
}

static bool good_dims(int rank, const int64_t *dims, bool may_vary)
{
    if (rank < 0 || rank > GRD_MAX_RANK)
        return false;
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        bool symbol = may_vary && (dims[i] == GRD_VARIES || dims[i] == GRD_VARIES_T);
        if (!symbol && (dims[i] < 1 || dims[i] > INT64_MAX / 64 / count))
            return false;
        count *= symbol ? 1 : dims[i];
    }
    return true;
}

grd_var grd_input(grd_graph *g, const char *name, grd_dtype dtype, int rank, const int64_t *dims)
{
    if (!good_dims(rank, dims, true))
        return grd_graph_fail(g, GRD_ERR_SHAPE, "input \"%s\": rank 0 to %d with sizes from 1, or GRD_VARIES, expected", name,
                              GRD_MAX_RANK);
    if (dtype != GRD_F32 && dtype != GRD_I32)
        return grd_graph_fail(g, GRD_ERR_ARG, "input \"%s\": type %s, expected f32 or i32", name, grd_dtype_name(dtype));
    if (grd_valid(grd_find_input(g, name)))
        return grd_graph_fail(g, GRD_ERR_ARG, "input \"%s\": there is one of that name already", name);
    grd_value v = { .kind = dtype == GRD_I32 ? GRD_KIND_INDEX : GRD_KIND_REAL, .origin = GRD_FROM_INPUT, .index = g->inputs.n };
    v.shape.rank = rank;
    for (int i = 0; i < rank; i++)
        v.shape.dim[i] = dims[i];
    set_trials(&v);
    v.name = grd_arena_strdup(&g->arena, name);
    int id = v.name && GRD_RESERVE(&g->ctx->host, &g->inputs) ? add_value(g, &v) : -1;
    if (id < 0)
        return out_of_memory(g);
    g->inputs.item[g->inputs.n++] = (grd_input_def){ v.name, dtype, id };
    return (grd_var){ g, id };
}

grd_var grd_find_input(const grd_graph *g, const char *name)
{
    for (int i = 0; i < g->inputs.n; i++)
        if (strcmp(g->inputs.item[i].name, name) == 0)
            return (grd_var){ (grd_graph *)(uintptr_t)g, g->inputs.item[i].value };
    return (grd_var){ NULL, -1 };
}

static grd_var add_param(grd_graph *g, const char *name, grd_init init, bool is_state, bool counter, int rank, const int64_t *dims)
{
    const char *path = join_path(g, g->scope[g->depth].path, name);
    if (!path)
        return out_of_memory(g);
    const char *what = is_state ? "state" : "parameter";
    if (!good_dims(rank, dims, false))
        return grd_graph_fail(g, GRD_ERR_SHAPE, "%s \"%s\": rank 0 to %d with sizes from 1 expected", what, path, GRD_MAX_RANK);
    grd_value v = { .kind = is_state ? GRD_KIND_STATE : GRD_KIND_REAL, .origin = is_state ? GRD_FROM_STATE : GRD_FROM_PARAM,
                    .index = g->params.n, .name = path };
    v.shape.rank = rank;
    for (int i = 0; i < rank; i++)
        v.shape.dim[i] = dims[i];
    set_trials(&v);
    for (int i = 0; i < g->params.n; i++) {
        const grd_param_def *p = &g->params.item[i];
        if (strcmp(p->name, path) != 0)
            continue;
        if (p->is_state == is_state && grd_shape_equal(&p->shape, &v.shape))
            return (grd_var){ g, p->value }; /* tied */
        char old[80], now[80];
        return grd_graph_fail(g, GRD_ERR_SHAPE, "%s \"%s\": there is one of that name already, %s, now wanted %s", what, path,
                              grd_shape_text(&p->shape, old, sizeof old), grd_shape_text(&v.shape, now, sizeof now));
    }
    int id = GRD_RESERVE(&g->ctx->host, &g->params) ? add_value(g, &v) : -1;
    if (id < 0)
        return out_of_memory(g);
    g->params.item[g->params.n++] = (grd_param_def){ path, v.shape, init, is_state, counter, id };
    return (grd_var){ g, id };
}

grd_var grd_param(grd_graph *g, const char *name, grd_init init, int rank, const int64_t *dims)
{
    return add_param(g, name, init, false, false, rank, dims);
}

grd_var grd_state(grd_graph *g, const char *name, double value, bool counter, int rank, const int64_t *dims)
{
    return add_param(g, name, (grd_init){ GRD_INIT_CONSTANT, value, 0, 0 }, true, counter, rank, dims);
}

bool grd_valid(grd_var v) { return v.graph && v.id >= 0 && v.id < v.graph->values.n; }

grd_shape grd_var_shape(grd_var v)
{
    return grd_valid(v) ? v.graph->values.item[v.id].shape : (grd_shape){ .rank = -1 };
}

const char *grd_var_name(grd_var v) { return grd_valid(v) ? v.graph->values.item[v.id].name : "(invalid)"; }

/* ---- ops ---- */

grd_status grd_infer_shapes(const grd_op *op, const void *attr, const grd_shape *in, int n_in, bool train, grd_infer *infer)
{
    memset(infer, 0, sizeof *infer);
    infer->attr = attr;
    infer->n_in = n_in;
    infer->in = in;
    infer->train = train;
    for (int i = 0; i < n_in; i++)
        for (int d = 0; d < in[i].rank; d++)
            if (in[i].dim[d] < 1)
                return grd_refuse(infer, "input %d has a dimension of size %lld", i, (long long)in[i].dim[d]);
    GRD_TRY(op->shape(infer));
    for (int k = 0; k < op->n_out; k++)
        if (infer->out[k].rank < 0 || infer->out[k].rank > GRD_MAX_RANK)
            return grd_refuse(infer, "output %d would have rank %d, at most %d", k, infer->out[k].rank, GRD_MAX_RANK);
    return GRD_OK;
}

/* The i-th word of a row's in_names; the last word serves any further input. */
static void input_name(const grd_op *op, int i, char *text, size_t size)
{
    const char *c = op->in_names ? op->in_names : "x";
    for (; i > 0 && strchr(c, ' '); i--)
        c = strchr(c, ' ') + 1;
    snprintf(text, size, "%.*s", (int)strcspn(c, " "), c);
}

/* ": x "block1.3" [N,32,16,16], w [64,16,3,3]" */
static void describe_inputs(const grd_graph *g, const grd_op *op, const grd_var *in, int n, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < n && used < size; i++) {
        const grd_value *v = &g->values.item[in[i].id];
        char name[32], shape[80];
        input_name(op, i, name, sizeof name);
        grd_shape_text(&v->shape, shape, sizeof shape);
        bool named = v->origin == GRD_FROM_NODE || v->origin == GRD_FROM_INPUT;
        used += (size_t)snprintf(text + used, size - used, named ? "%s%s \"%s\" %s" : "%s%s%.0s %s", i ? ", " : ": ", name, v->name, shape);
    }
}

static grd_var refuse_op(grd_graph *g, grd_status status, const grd_op *op, const char *path, const char *why, const grd_var *in, int n)
{
    char inputs[400];
    describe_inputs(g, op, in, n, inputs, sizeof inputs);
    return grd_graph_fail(g, status, "%s \"%s\": %s%s", op->name, path, why, inputs);
}

static grd_status check_inputs(const grd_graph *g, const grd_op *op, const grd_var *in, int n_in, char *why, size_t size)
{
    int most = op->n_in < 0 ? GRD_MAX_IN : op->n_in;
    int least = op->n_in < 0 ? 1 : op->n_in_min ? op->n_in_min : op->n_in;
    if (n_in < least || n_in > most) {
        snprintf(why, size, "%d inputs, expected %d to %d", n_in, least, most);
        return GRD_ERR_ARG;
    }
    for (int i = 0; i < n_in; i++) {
        grd_kind have = g->values.item[in[i].id].kind, want = op->in_kind && op->n_in > 0 ? op->in_kind[i] : GRD_KIND_REAL;
        if (have == want)
            continue;
        static const char *const kind[] = { "real numbers", "indices (i32)", "state" };
        char name[32];
        input_name(op, i, name, sizeof name);
        snprintf(why, size, "%s holds %s, expected %s", name, kind[have], kind[want]);
        return GRD_ERR_ARG;
    }
    return GRD_OK;
}

/* Output shapes of both trials into values; a sentence into why. */
static grd_status infer_outputs(const grd_graph *g, const grd_op *op, const void *attr, const grd_var *in, int n_in, grd_value *out,
                                char *why, size_t size)
{
    for (int t = 0; t < 2; t++) {
        grd_shape shape[GRD_MAX_IN];
        for (int i = 0; i < n_in; i++)
            shape[i] = g->values.item[in[i].id].trial[t];
        grd_infer infer;
        if (grd_infer_shapes(op, attr, shape, n_in, false, &infer) != GRD_OK) {
            snprintf(why, size, "%s", infer.why);
            return GRD_ERR_SHAPE;
        }
        for (int k = 0; k < op->n_out; k++)
            out[k].trial[t] = infer.out[k];
    }
    for (int k = 0; k < op->n_out; k++) {
        if (out[k].trial[0].rank != out[k].trial[1].rank) {
            snprintf(why, size, "the rank of output %d depends on the batch size", k);
            return GRD_ERR_SHAPE;
        }
        set_symbols(&out[k]);
    }
    return GRD_OK;
}

grd_var grd_apply(const char *name, const void *attr, const grd_var *in, int n_in)
{
    grd_graph *g = NULL;
    for (int i = 0; i < n_in && !g; i++)
        g = in[i].graph;
    if (!g)
        return (grd_var){ NULL, -1 };
    const char *path = op_path(g);
    if (!path)
        return out_of_memory(g);
    grd_call call = { .op = { grd_op_find(g->ctx, name, GRD_F32), grd_op_find(g->ctx, name, GRD_F64) }, .path = path, .n_in = n_in };
    const grd_op *op = call.op[0];
    if (!op)
        return grd_graph_fail(g, GRD_ERR_ARG, "\"%s\": there is no op \"%s\"", path, name);
    for (int i = 0; i < n_in; i++) {
        if (in[i].graph != g)
            return grd_graph_fail(g, GRD_ERR_ARG, "%s \"%s\": input %d belongs to another graph", name, path, i);
        if (!grd_valid(in[i]))
            return grd_graph_fail(g, GRD_ERR_ARG, "%s \"%s\": input %d is not valid", name, path, i);
    }
    char why[256];
    grd_status status = check_inputs(g, op, in, n_in, why, sizeof why);
    if (status != GRD_OK)
        return refuse_op(g, status, op, path, why, in, n_in);
    if (op->options) {
        void *resolved = grd_arena_alloc(&g->arena, op->options_size);
        if (!resolved)
            return out_of_memory(g);
        char who[160];
        snprintf(who, sizeof who, "%s \"%s\"", name, path);
        status = grd_options_resolve(&g->ctx->host, op->options, op->options_size, who, attr, resolved);
        if (status != GRD_OK) {
            if (g->status == GRD_OK)
                g->status = status;
            return (grd_var){ g, -1 };
        }
        call.attr = resolved;
    }
    grd_value out[GRD_MAX_OUT];
    memset(out, 0, sizeof out);
    status = infer_outputs(g, op, call.attr, in, n_in, out, why, sizeof why);
    if (status != GRD_OK)
        return refuse_op(g, status, op, path, why, in, n_in);
    call.n_out = op->n_out;
    for (int i = 0; i < n_in; i++)
        call.in[i] = in[i].id;
    for (int k = 0; k < op->n_out; k++) {
        out[k].origin = GRD_FROM_NODE;
        out[k].index = g->calls.n;
        out[k].port = k;
        out[k].name = path;
        call.out[k] = add_value(g, &out[k]);
        if (call.out[k] < 0)
            return out_of_memory(g);
    }
    if (!GRD_RESERVE(&g->ctx->host, &g->calls))
        return out_of_memory(g);
    g->calls.item[g->calls.n++] = call;
    return (grd_var){ g, call.out[0] };
}

grd_var grd_output(grd_var first, int k)
{
    if (!grd_valid(first))
        return first;
    grd_graph *g = first.graph;
    const grd_value *v = &g->values.item[first.id];
    if (v->origin != GRD_FROM_NODE || k < 0 || k >= g->calls.item[v->index].n_out)
        return grd_graph_fail(g, GRD_ERR_ARG, "\"%s\": there is no output %d", v->name, k);
    return (grd_var){ g, g->calls.item[v->index].out[k] };
}
