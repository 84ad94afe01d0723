/* The context: a host, the registries, and the children that are freed with it. */
#ifndef GRD_BASE_CTX_H
#define GRD_BASE_CTX_H

#include "base/host.h"

/* A thing with a life, embedded first in every handle. Freeing a parent frees its children, last made first. */
typedef struct grd_child {
    struct grd_child *prev, *next;   /* siblings */
    struct grd_child *first;         /* its own children */
    struct grd_child *parent;
    void (*free)(void *self);        /* frees the handle; must call grd_disown first */
} grd_child;

void grd_adopt(grd_child *parent, grd_child *child, void (*free)(void *self));
void grd_disown(grd_child *child);        /* frees its children and takes it out of its parent's list */

typedef struct grd_registry {             /* rows added by users, by kind */
    const void **item;
    int n, cap;
} grd_registry;

typedef enum grd_registry_kind { GRD_REGISTRY_OP_F32, GRD_REGISTRY_OP_F64, GRD_REGISTRY_LAYER, GRD_REGISTRY_SOURCE,
                                 GRD_REGISTRY_TRANSFORM, GRD_REGISTRIES } grd_registry_kind;

struct grd_ctx {
    grd_child root;
    grd_host host;
    uint64_t seed;
    int threads;
    char backend[16];
    void (*log)(void *user, grd_level level, const char *line);
    void *log_user;
    grd_registry registry[GRD_REGISTRIES];
    void *op_layers;   /* unary ops dressed as layers, made when first asked for (nn/table.c) */
};

grd_status grd_registry_add(grd_ctx *ctx, grd_registry_kind kind, const void *row);
void grd_say(grd_ctx *ctx, grd_level level, const char *format, ...) GRD_PRINTF(3, 4);

#endif
