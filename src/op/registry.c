#include "op/registry.h"

#include "base/ctx.h"
#include "base/options.h"

#include <stdio.h>
#include <string.h>

#define DECLARE_PUBLIC(kind, name, o) extern const grd_op grd_row_##name##_f32, grd_row_##name##_f64;
#define DECLARE_INTERNAL(name) extern const grd_op grd_row_##name##_f32, grd_row_##name##_f64;
GRD_PUBLIC_OPS(DECLARE_PUBLIC)
GRD_INTERNAL_OPS(DECLARE_INTERNAL)

#define ENTRY_PUBLIC(kind, name, o) { &grd_row_##name##_f32, &grd_row_##name##_f64 },
#define ENTRY_INTERNAL(name) { &grd_row_##name##_f32, &grd_row_##name##_f64 },

static const grd_op *const built_in[][2] = { GRD_PUBLIC_OPS(ENTRY_PUBLIC) GRD_INTERNAL_OPS(ENTRY_INTERNAL) };
enum { N_BUILT_IN = sizeof built_in / sizeof *built_in };

const grd_op *grd_op_at(const grd_ctx *ctx, int i, grd_dtype dtype)
{
    int wide = dtype == GRD_F64;
    if (i < 0)
        return NULL;
    if (i < N_BUILT_IN)
        return built_in[i][wide];
    const grd_registry *users = ctx ? &ctx->registry[wide ? GRD_REGISTRY_OP_F64 : GRD_REGISTRY_OP_F32] : NULL;
    return users && i - N_BUILT_IN < users->n ? users->item[i - N_BUILT_IN] : NULL;
}

const grd_op *grd_op_find(const grd_ctx *ctx, const char *name, grd_dtype dtype)
{
    const grd_op *op;
    for (int i = 0; (op = grd_op_at(ctx, i, dtype)); i++)
        if (strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

grd_status grd_refuse(grd_infer *infer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(infer->why, sizeof infer->why, format, args);
    va_end(args);
    return GRD_ERR_SHAPE;
}

grd_status grd_op_validate(const grd_op *op, char *why, size_t size)
{
    const char *fault = NULL;
    bool no_grad = op->flags & GRD_NO_GRAD;
    if (!op->name || !*op->name)
        fault = "has no name";
    else if (!op->doc || !*op->doc)
        fault = "has no doc";
    else if (!op->shape || !op->forward)
        fault = "has no shape rule or no forward";
    else if (!op->backward && !no_grad)
        fault = "has no backward and does not say so (GRD_NO_GRAD)";
    else if (op->backward && no_grad)
        fault = "has a backward and says that it has none (GRD_NO_GRAD)";
    else if (op->n_in == 0 || op->n_in < -1 || op->n_in > GRD_MAX_IN)
        fault = "has an impossible number of inputs";
    else if (op->n_out < 1 || op->n_out > GRD_MAX_OUT)
        fault = "has an impossible number of outputs";
    else if (op->n_samples < 1)
        fault = "has no samples: nothing would test it";
    snprintf(why, size, "op \"%s\" %s", op->name ? op->name : "?", fault ? fault : "");
    return fault ? GRD_ERR_ARG : GRD_OK;
}

grd_status grd_op_register(grd_ctx *ctx, const grd_op *f32, const grd_op *f64)
{
    char why[200];
    const grd_op *rows[2] = { f32, f64 };
    for (int k = 0; k < 2; k++)
        if (rows[k] && grd_op_validate(rows[k], why, sizeof why) != GRD_OK)
            return grd_fail(&ctx->host, GRD_ERR_ARG, "%s", why);
    if (!f32 || (f64 && strcmp(f32->name, f64->name) != 0))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "an op needs a float row, and the same name in its double row");
    if (grd_op_find(ctx, f32->name, GRD_F32))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "op \"%s\": there is one of that name already", f32->name);
    GRD_TRY(grd_registry_add(ctx, GRD_REGISTRY_OP_F32, f32));
    if (f64)
        GRD_TRY(grd_registry_add(ctx, GRD_REGISTRY_OP_F64, f64));
    return GRD_OK;
}
