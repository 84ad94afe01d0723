/* The built-in layers, one row each, defined beside the function that builds them. */
#ifndef GRD_NN_LAYERS_H
#define GRD_NN_LAYERS_H

#include <gradus/nn.h>

extern const grd_layer grd_layer_linear, grd_layer_conv2d, grd_layer_conv_transpose2d, grd_layer_batchnorm, grd_layer_groupnorm,
    grd_layer_layernorm, grd_layer_embedding, grd_layer_lstm, grd_layer_prelu, grd_layer_positions, grd_layer_self_attention,
    grd_layer_gru;

#endif
