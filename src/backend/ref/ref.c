/* The reference backend: the rows' own kernels, and reorders by definition. Accepts everything; serial. */
#include "backend/backend.h"

#include <stddef.h>

typedef struct ref_reorder {
    grd_layout from, to;
    grd_shape shape;
    size_t element;
} ref_reorder;

static void run_forward(const grd_impl *impl, const grd_args *args)
{
    ((const grd_op *)impl->state)->forward(args);
}

static void run_backward(const grd_impl *impl, const grd_args *args)
{
    ((const grd_op *)impl->state)->backward(args);
}

static void run_reorder(const grd_impl *impl, const grd_args *args)
{
    const ref_reorder *r = impl->state;
    grd_layout_copy(&r->from, args->in[0], &r->to, args->out[0], &r->shape, r->element);
}

static const char *prepare(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)
{
    impl->threads = 1;
    if (pass != GRD_REORDER) {
        impl->state = (void *)(uintptr_t)node->op;
        impl->run = pass == GRD_FORWARD ? run_forward : run_backward;
        return NULL;
    }
    if (node->from->kind == GRD_LAYOUT_OPAQUE || node->to->kind == GRD_LAYOUT_OPAQUE)
        return "only its own backend can reorder an opaque layout";
    ref_reorder *r = GRD_NEW(env->host, ref_reorder);
    if (!r)
        return "out of memory";
    *r = (ref_reorder){ *node->from, *node->to, node->in_shape[0], grd_dtype_size(node->dtype) };
    impl->state = r;
    impl->run = run_reorder;
    return NULL;
}

static void run(const grd_impl *impl, const grd_args *args) { impl->run(impl, args); }

static void drop(grd_impl *impl, grd_host *host)
{
    if (impl->run == run_reorder)
        grd_free(host, impl->state);
    impl->state = NULL;
}

const grd_backend grd_backend_ref = { "ref", prepare, run, drop };
