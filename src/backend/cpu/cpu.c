/* The backend `cpu`: steps by our own vector kernels. A family of ops is a file and its rows in the table below. */
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <stdio.h>
#include <string.h>

enum { GRAIN = 16384 }; /* elements a thread: below, waking it costs more than it saves */

/* ---- add_relu ---- */

typedef struct ranges { const grd_impl *impl; const grd_args *args; } ranges;
static const grd_cpu_table *kernels(const grd_impl *impl) { return impl->state; }

static void add_relu_range(void *ctx, int64_t begin, int64_t end)
{
    const ranges *r = ctx;
    kernels(r->impl)->add_relu((float *)(void *)r->args->out[0] + begin, (const float *)r->args->in[0] + begin,
                               (const float *)r->args->in[1] + begin, end - begin);
}

static void add_relu_forward(const grd_impl *impl, const grd_args *args)
{
    ranges r = { impl, args };
    grd_parallel_for(impl->threads, grd_count(args->in_shape), GRAIN, add_relu_range, &r);
}

static void add_relu_gradient_range(void *ctx, int64_t begin, int64_t end)
{
    const ranges *r = ctx;
    const float *y = (const float *)(const void *)r->args->out[0] + begin,
                *dy = (const float *)(const void *)r->args->dout[0] + begin;
    float *first = (float *)(void *)(r->args->din[0] ? r->args->din[0] : r->args->din[1]);
    if (!first)
        return;
    kernels(r->impl)->relu_gradient(first + begin, y, dy, end - begin);
    if (r->args->din[0] && r->args->din[1])
        memcpy((float *)(void *)r->args->din[1] + begin, first + begin, sizeof(float) * (size_t)(end - begin));
}

static void add_relu_backward(const grd_impl *impl, const grd_args *args)
{
    ranges r = { impl, args };
    grd_parallel_for(impl->threads, grd_count(args->in_shape), GRAIN, add_relu_gradient_range, &r);
}

static GRD_CPU_PREPARE(prepare_add_relu)
{
    (void)node;
    (void)env;
    return grd_cpu_accept(impl, pass, add_relu_forward, add_relu_backward);
}

/* ---- dispatch ---- */

static const struct {
    const char *op;
    const char *(*prepare)(grd_impl *, const grd_node *, grd_pass, const grd_env *);
} rows[] = {
    { "add_relu", prepare_add_relu },
    { "add", grd_cpu_binary },
    { "sub", grd_cpu_binary },
    { "mul", grd_cpu_binary },
    { "batchnorm", grd_cpu_batchnorm },
    { "batchnorm_relu", grd_cpu_batchnorm },
    { "batchnorm_add_relu", grd_cpu_batchnorm },
    { "layernorm", grd_cpu_layernorm },
    { "maxpool2d", grd_cpu_pool },
    { "avgpool2d", grd_cpu_pool },
    { "adaptive_avgpool2d", grd_cpu_pool },
    { "upsample", grd_cpu_upsample },
    { "concat", grd_cpu_concat },
    { "softmax", grd_cpu_softmax },
    { "log_softmax", grd_cpu_softmax },
    { "cross_entropy", grd_cpu_cross_entropy },
    { "attention", grd_cpu_attention },
    { "attention_qkv", grd_cpu_attention },
    { "embedding", grd_cpu_embedding },
    { "conv2d", grd_cpu_winograd },
    { "conv2d_act", grd_cpu_winograd },
    { "conv_transpose2d", grd_cpu_upconv },
};

static void drop(grd_impl *impl, grd_host *host)
{
    if (impl->owns_state)
        grd_free(host, impl->state);
    impl->state = NULL;
    impl->owns_state = false;
}

static const char *prepare(grd_impl *impl, const grd_node *node, grd_pass pass, const grd_env *env)
{
    if (pass == GRD_REORDER)
        return "no reorders";
    if (node->dtype != GRD_F32)
        return "float only";
    snprintf(impl->name, sizeof impl->name, "%s", grd_isa_name());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, node->op->name) != 0)
            continue;
        const char *reason = rows[i].prepare(impl, node, pass, env);
        if (reason)
            drop(impl, env->host);
        return reason;
    }
    return grd_cpu_unary(impl, node, pass, env);
}

static void run(const grd_impl *impl, const grd_args *args) { impl->run(impl, args); }

const grd_backend grd_backend_cpu = { "cpu", prepare, run, drop };
