/* Finding sources and transforms by name: the built-in tables first, then the rows that users registered. */
#include "base/ctx.h"
#include "data/rows.h"

#include <string.h>

#define SOURCE_ENTRY(name) &grd_source_##name,
#define TRANSFORM_ENTRY(name) &grd_transform_##name,
static const grd_source *const sources[] = { GRD_SOURCES(SOURCE_ENTRY) };
static const grd_transform *const transforms[] = { GRD_TRANSFORMS(TRANSFORM_ENTRY) };
enum { N_SOURCES = sizeof sources / sizeof *sources, N_TRANSFORMS = sizeof transforms / sizeof *transforms };

static const void *users_row(const grd_ctx *ctx, grd_registry_kind kind, int i)
{
    const grd_registry *users = ctx ? &ctx->registry[kind] : NULL;
    return users && i < users->n ? users->item[i] : NULL;
}

const grd_source *grd_source_at(const grd_ctx *ctx, int i)
{
    if (i < 0)
        return NULL;
    return i < N_SOURCES ? sources[i] : users_row(ctx, GRD_REGISTRY_SOURCE, i - N_SOURCES);
}

const grd_transform *grd_transform_at(const grd_ctx *ctx, int i)
{
    if (i < 0)
        return NULL;
    return i < N_TRANSFORMS ? transforms[i] : users_row(ctx, GRD_REGISTRY_TRANSFORM, i - N_TRANSFORMS);
}

const grd_source *grd_source_find(const grd_ctx *ctx, const char *name)
{
    const grd_source *row;
    for (int i = 0; (row = grd_source_at(ctx, i)); i++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

const grd_transform *grd_transform_find(const grd_ctx *ctx, const char *name)
{
    const grd_transform *row;
    for (int i = 0; (row = grd_transform_at(ctx, i)); i++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

grd_status grd_source_register(grd_ctx *ctx, const grd_source *source)
{
    const char *name = source->name && *source->name ? source->name : NULL;
    if (!name || !source->doc)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "source \"%s\" has no %s", name ? name : "", name ? "doc" : "name");
    const grd_stream_calls *stream = source->stream;
    if (!source->open || !source->fields || (!stream && (!source->length || !source->get)))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "source \"%s\" lacks one of open, length, fields, get", name);
    if (stream && (!stream->shards || !stream->begin || !stream->next || !stream->tell != !stream->seek))
        return grd_fail(&ctx->host, GRD_ERR_ARG,
                        "source \"%s\": its stream lacks one of shards, begin, next, or has tell without seek", name);
    if (stream && (source->length || source->get || source->peek))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "source \"%s\" is a stream, and has length, get or peek", name);
    if (grd_source_find(ctx, name))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "source \"%s\": there is one of that name already", name);
    return grd_registry_add(ctx, GRD_REGISTRY_SOURCE, source);
}

grd_status grd_transform_register(grd_ctx *ctx, const grd_transform *transform)
{
    const char *name = transform->name && *transform->name ? transform->name : NULL;
    if (!name || !transform->doc)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "transform \"%s\" has no %s", name ? name : "", name ? "doc" : "name");
    if (!transform->fields || !transform->apply == !transform->apply_batch)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "transform \"%s\" lacks %s", name,
                        transform->fields ? "apply or apply_batch, one of both" : "fields");
    if (grd_transform_find(ctx, name))
        return grd_fail(&ctx->host, GRD_ERR_ARG, "transform \"%s\": there is one of that name already", name);
    return grd_registry_add(ctx, GRD_REGISTRY_TRANSFORM, transform);
}

grd_status grd_source_fail(grd_ctx *ctx, grd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    grd_vfail(&ctx->host, status, format, args);
    va_end(args);
    return status;
}
