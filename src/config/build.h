/* What the files that turn a stage's config into a graph share: layers.c, losses.c, network.c. */
#ifndef GRD_CONFIG_BUILD_H
#define GRD_CONFIG_BUILD_H

#include "config/pipeline.h"

enum { GRD_MAX_NAMED = 256 };

typedef struct grd_builder {
    grd_stage *stage;
    grd_host *host;
    grd_arena *arena;
    const grd_stage_data *data;
    grd_stage_net *net;
    const grd_yaml *model, *blocks;
    grd_var lengths; /* of the rows of the model's input, or GRD_NONE */
    struct {
        const char *name;
        grd_var value;
    } named[GRD_MAX_NAMED];
    int n_named, depth, n_layers;
} grd_builder;

/* layers.c */
/* Applies the list to *x. */
grd_status grd_build_layers(grd_builder *b, const grd_yaml *layers, grd_var *x);
/* Keys of `model` must be known or be constants that some layer uses. */
grd_status grd_check_constants(grd_builder *b);
grd_status grd_named_value(grd_builder *b, const grd_yaml *where, const char *name, grd_var *value);
grd_status grd_name_value(grd_builder *b, const grd_yaml *where, const char *name, grd_var value);
/* The graph has an error: with file and line before it. */
grd_status grd_graph_error(grd_builder *b, const grd_yaml *node);

/* network.c */
/* The graph's input for a field of the data; made when first asked for. */
grd_status grd_field_input(grd_builder *b, const grd_yaml *where, const char *name, grd_var *x);

/* losses.c */
grd_status grd_build_loss(grd_builder *b);
grd_status grd_build_metrics(grd_builder *b);

#endif
