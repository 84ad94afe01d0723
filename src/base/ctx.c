#include "base/ctx.h"

#include "base/parallel.h"

#include <stdio.h>
#include <string.h>

const char *grd_version(void) { return GRD_VERSION; }

const char *grd_status_name(grd_status status)
{
    static const char *const names[] = {
        [GRD_OK] = "GRD_OK", [GRD_ERR_ARG] = "GRD_ERR_ARG", [GRD_ERR_SHAPE] = "GRD_ERR_SHAPE",
        [GRD_ERR_MEMORY] = "GRD_ERR_MEMORY", [GRD_ERR_IO] = "GRD_ERR_IO", [GRD_ERR_FORMAT] = "GRD_ERR_FORMAT",
        [GRD_ERR_CONFIG] = "GRD_ERR_CONFIG", [GRD_ERR_DATA] = "GRD_ERR_DATA", [GRD_ERR_NUMBER] = "GRD_ERR_NUMBER",
        [GRD_ERR_STOPPED] = "GRD_ERR_STOPPED", [GRD_ERR_UNSUPPORTED] = "GRD_ERR_UNSUPPORTED",
    };
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "GRD_ERR_UNKNOWN";
}

grd_ctx *grd_open(const grd_opts *opts)
{
    static const grd_opts none;
    if (!opts)
        opts = &none;
    grd_host host;
    grd_host_init(&host, opts->allocator);
    grd_ctx *ctx = GRD_NEW(&host, grd_ctx);
    if (!ctx)
        return NULL;
    ctx->host = host;
    ctx->seed = opts->seed;
    ctx->threads = opts->threads > 0 ? opts->threads : grd_cores();
    snprintf(ctx->backend, sizeof ctx->backend, "%s", opts->backend ? opts->backend : "auto");
    ctx->log = opts->log;
    ctx->log_user = opts->log_user;
    return ctx;
}

void grd_close(grd_ctx *ctx)
{
    if (!ctx)
        return;
    grd_disown(&ctx->root);
    for (int k = 0; k < GRD_REGISTRIES; k++)
        grd_free(&ctx->host, ctx->registry[k].item);
    grd_free(&ctx->host, ctx->op_layers);
    grd_host host = ctx->host;
    grd_free(&host, ctx);
}

const char *grd_error(const grd_ctx *ctx) { return ctx ? ctx->host.err.text : "out of memory"; }
grd_status grd_error_status(const grd_ctx *ctx) { return ctx ? ctx->host.err.status : GRD_ERR_MEMORY; }

void grd_adopt(grd_child *parent, grd_child *child, void (*free)(void *self))
{
    child->parent = parent;
    child->free = free;
    child->prev = NULL;
    child->next = parent->first;
    if (parent->first)
        parent->first->prev = child;
    parent->first = child;
}

void grd_disown(grd_child *child)
{
    while (child->first)
        child->first->free(child->first);
    if (!child->parent)
        return;
    if (child->prev)
        child->prev->next = child->next;
    else
        child->parent->first = child->next;
    if (child->next)
        child->next->prev = child->prev;
    child->parent = child->prev = child->next = NULL;
}

grd_status grd_registry_add(grd_ctx *ctx, grd_registry_kind kind, const void *row)
{
    grd_registry *list = &ctx->registry[kind];
    if (!GRD_RESERVE(&ctx->host, list))
        return GRD_ERR_MEMORY;
    list->item[list->n++] = row;
    return GRD_OK;
}

void grd_say(grd_ctx *ctx, grd_level level, const char *format, ...)
{
    if (!ctx->log)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ctx->log(ctx->log_user, level, line);
}
