/* The backend `onednn`: dispatch by op name. Float only. */
#include "backend/onednn/onednn.h"

#include <string.h>

static const struct {
    const char *op;
    const char *(*prepare)(grd_impl *, const grd_node *, grd_pass, const grd_env *);
} rows[] = {
    { "linear", grd_onednn_linear }, { "linear_act", grd_onednn_linear }, { "matmul", grd_onednn_matmul },
    { "lstm", grd_onednn_lstm },
    { "gru", grd_onednn_gru },
    { "conv2d", grd_onednn_conv2d }, { "conv2d_act", grd_onednn_conv2d },
    { "conv_transpose2d", grd_onednn_conv2d },
};

static const char *prepare(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)
{
    if (node->dtype != GRD_F32)
        return "float only";
    if (pass == GRD_REORDER)
        return grd_onednn_reorder(impl, node, pass, env);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, node->op->name) == 0)
            return rows[i].prepare(impl, node, pass, env);
    return "no primitive for this op";
}

static void run(const grd_impl *impl, const grd_args *args) { impl->run(impl, args); }

static void drop(grd_impl *impl, grd_host *host)
{
    if (impl->state)
        ((const grd_onednn_state *)impl->state)->drop(impl, host);
}

const grd_backend grd_backend_onednn = { "onednn", prepare, run, drop };
