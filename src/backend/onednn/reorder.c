/* Copies from one layout to another. */
#include "backend/onednn/program.h"

#include <stdio.h>

GRD_PREPARE(grd_onednn_reorder)
{
    (void)pass;
    shim_md from, to;
    if (!grd_dnn_describe(node->from, node->in_shape, &from))
        return "a layout that oneDNN has no name for";
    if (!grd_dnn_describe(node->to, node->in_shape, &to)) {
        shim_md_release(&from);
        return "a layout that oneDNN has no name for";
    }
    const char *reason = "out of memory";
    grd_dnn_program *p = grd_dnn_open(env->host, sizeof *p);
    if (p) {
        grd_dnn_reorder(p, SHIM_MD(from), (grd_dnn_slot){ GRD_DNN_IN, 0, 0 }, SHIM_MD(to), (grd_dnn_slot){ GRD_DNN_OUT, 0, 0 });
        p->failed |= p->n_calls != 1; /* equal layouts are nobody's step */
        reason = grd_dnn_close(p, impl, env->host);
        snprintf(impl->name, sizeof impl->name, "reorder");
    }
    shim_md_release(&from);
    shim_md_release(&to);
    return reason;
}
