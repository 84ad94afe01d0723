/* All layers by name: those with parameters, unary ops dressed as layers, users' own. */
#include "nn/layers.h"

#include "base/options.h"
#include "graph/graph.h"

#include <gradus/ops.h>

#include <stdio.h>
#include <string.h>

static const grd_layer *const with_parameters[] = {
    &grd_layer_linear,    &grd_layer_conv2d, &grd_layer_conv_transpose2d, &grd_layer_batchnorm, &grd_layer_groupnorm, &grd_layer_layernorm,
    &grd_layer_embedding, &grd_layer_lstm,   &grd_layer_prelu,            &grd_layer_positions, &grd_layer_self_attention,
    &grd_layer_gru,
};
enum { N_WITH = sizeof with_parameters / sizeof *with_parameters };

/* A unary op's builder, from the table of ops. */
#define BUILD_UNARY(name) \
    static grd_var build_##name(grd_var x, const void *options) { return grd_apply(#name, options, &x, 1); }
#define EACH_UNARY(name, o) BUILD_UNARY(name)
#define EACH_UNARY_O(name, o) BUILD_UNARY(name)
#define EACH_BINARY(name, o)
#define EACH_BINARY_O(name, o)
#define EACH_MANY_O(name, o)
#define EACH_ROW(name, o)
#define EACH(kind, name, o) EACH_##kind(name, o)
GRD_PUBLIC_OPS(EACH)
BUILD_UNARY(flatten)
BUILD_UNARY(dropout)
BUILD_UNARY(attention_qkv)

#define ENTRY_UNARY(name, o) { #name, build_##name },
#define ENTRY_UNARY_O(name, o) { #name, build_##name },
#define ENTRY_BINARY(name, o)
#define ENTRY_BINARY_O(name, o)
#define ENTRY_MANY_O(name, o)
#define ENTRY_ROW(name, o)
#define ENTRY(kind, name, o) ENTRY_##kind(name, o)
static const struct { const char *op; grd_var (*build)(grd_var, const void *); } of_ops[] = {
    GRD_PUBLIC_OPS(ENTRY) { "flatten", build_flatten }, { "dropout", build_dropout },
    { "attention_qkv", build_attention_qkv },
};
enum { N_OPS = sizeof of_ops / sizeof *of_ops };

static const grd_layer *op_layers(const grd_ctx *ctx)
{
    if (ctx->op_layers)
        return ctx->op_layers;
    grd_ctx *c = (grd_ctx *)(uintptr_t)ctx; /* a cache: what is seen from outside does not change */
    grd_layer *list = GRD_NEW_N(&c->host, grd_layer, N_OPS);
    for (int i = 0; list && i < N_OPS; i++) {
        const grd_op *op = grd_op_find(ctx, of_ops[i].op, GRD_F32);
        list[i] = (grd_layer){ op->name, op->doc, op->options, op->options_size, of_ops[i].build, true, NULL };
    }
    c->op_layers = list;
    return list;
}

const grd_layer *grd_layer_at(const grd_ctx *ctx, int i)
{
    if (i < 0)
        return NULL;
    if (i < N_WITH)
        return with_parameters[i];
    i -= N_WITH;
    if (i < N_OPS) {
        const grd_layer *list = op_layers(ctx);
        return list ? &list[i] : NULL;
    }
    i -= N_OPS;
    const grd_registry *users = &ctx->registry[GRD_REGISTRY_LAYER];
    return i < users->n ? users->item[i] : NULL;
}

const grd_layer *grd_layer_find(const grd_ctx *ctx, const char *name)
{
    const grd_layer *layer;
    for (int i = 0; (layer = grd_layer_at(ctx, i)); i++)
        if (strcmp(layer->name, name) == 0)
            return layer;
    return NULL;
}

grd_status grd_layer_register(grd_ctx *ctx, const grd_layer *layer)
{
    if (!layer->name || (!layer->build && !layer->build_with))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "a layer needs a name and a build function");
    if (grd_layer_find(ctx, layer->name))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "layer \"%s\": there is one of that name already", layer->name);
    return grd_registry_add(ctx, GRD_REGISTRY_LAYER, layer);
}

/* Real values of a layer's options; NULL, and the graph has the error, if they are not in order. */
static const void *resolve(const grd_layer *layer, grd_graph *g, const void *options)
{
    char who[200];
    void *resolved = grd_arena_alloc(&g->arena, layer->options_size);
    if (!resolved) {
        grd_graph_fail(g, GRD_ERR_MEMORY, "%s: out of memory", layer->name);
        return NULL;
    }
    snprintf(who, sizeof who, "%s \"%s\"", layer->name, g->scope[g->depth].path);
    grd_status status = grd_options_resolve(&g->ctx->host, layer->options, layer->options_size, who, options, resolved);
    if (status != GRD_OK && g->status == GRD_OK)
        g->status = status;
    return status == GRD_OK ? resolved : NULL;
}

static grd_var build(const grd_layer *layer, grd_var x, grd_var lengths, const void *options)
{
    if (!layer->raw && layer->options && !(options = resolve(layer, x.graph, options)))
        return (grd_var){ x.graph, -1 };
    return layer->build_with ? layer->build_with(x, lengths, options) : layer->build(x, options);
}

grd_var grd_layer_apply_with(const grd_layer *layer, grd_var x, grd_var lengths, const char *as, const void *options)
{
    if (!x.graph)
        return x;
    grd_scope_push_layer(x.graph, as);
    grd_var y = grd_valid(x) ? build(layer, x, lengths, options) : (grd_var){ x.graph, -1 };
    grd_scope_pop(x.graph);
    return y;
}

grd_var grd_layer_apply(const grd_layer *layer, grd_var x, const char *as, const void *options)
{
    return grd_layer_apply_with(layer, x, GRD_NONE, as, options);
}
