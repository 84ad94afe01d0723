/* layernorm, softmax, embedding, cross entropy: work along lines of the last dimensions, threads share the
 * lines. What is summed over lines is summed in one part a thread, then the parts in order. */
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <gradus/ops.h>

#include <math.h>
#include <string.h>

enum { GRAIN = 8192 }; /* elements a thread */

static int64_t lines_grain(int64_t m) { return 1 + GRAIN / m; }

static const grd_cpu_table *kernels(const grd_impl *impl) { return impl->state; }

/* ---- layernorm ---- */

typedef struct norm_range {
    const grd_cpu_table *cpu;
    grd_norm_job job;
    float *parts;          /* backward: dw and db of each piece */
    int64_t lines, pieces;
} norm_range;

static norm_range norm_start(const grd_impl *impl, const grd_args *args)
{
    const grd_f_layernorm_opts *o = args->attr;
    const grd_shape *x = args->in_shape;
    norm_range r = { .cpu = kernels(impl), .parts = args->scratch };
    r.job = (grd_norm_job){ .x = args->in[0], .w = args->n_in > 1 ? args->in[1] : NULL, .b = args->n_in > 2 ? args->in[2] : NULL,
                            .y = (float *)(void *)args->out[0], .dy = (const float *)(const void *)args->dout[0],
                            .dx = (float *)(void *)args->din[0], .stats = args->save, .m = 1, .eps = (float)o->eps };
    for (int i = x->rank - (int)o->dims; i < x->rank; i++)
        r.job.m *= x->dim[i];
    r.lines = grd_count(x) / r.job.m;
    r.pieces = grd_cpu_pieces(impl->threads, r.lines, lines_grain(r.job.m));
    return r;
}

static void norm_lines(void *ctx, int64_t begin, int64_t end)
{
    const norm_range *r = ctx;
    r->cpu->layernorm(&r->job, begin, end);
}

static void layernorm_forward(const grd_impl *impl, const grd_args *args)
{
    norm_range r = norm_start(impl, args);
    grd_parallel_for(impl->threads, r.lines, lines_grain(r.job.m), norm_lines, &r);
}

static void norm_pieces(void *ctx, int64_t begin, int64_t end)
{
    const norm_range *r = ctx;
    for (int64_t p = begin; p < end; p++) {
        float *part = r->parts + 2 * p * r->job.m;
        r->cpu->layernorm_gradient(&r->job, r->lines * p / r->pieces, r->lines * (p + 1) / r->pieces, part, part + r->job.m);
    }
}

static void layernorm_backward(const grd_impl *impl, const grd_args *args)
{
    norm_range r = norm_start(impl, args);
    grd_parallel_for(impl->threads, r.pieces, 1, norm_pieces, &r);
    for (int64_t p = 1; p < r.pieces; p++)
        r.cpu->add_into(r.parts, r.parts + 2 * p * r.job.m, 2 * r.job.m);
    for (int i = 1; i < args->n_in; i++)
        if (args->din[i])
            memcpy(args->din[i], r.parts + (i - 1) * r.job.m, sizeof(float) * (size_t)r.job.m);
}

GRD_CPU_PREPARE(grd_cpu_layernorm)
{
    const grd_f_layernorm_opts *o = node->attr;
    const grd_shape *x = node->in_shape;
    size_t m = 1;
    for (int i = x->rank - (int)o->dims; i < x->rank; i++)
        m *= (size_t)x->dim[i];
    if (pass == GRD_BACKWARD)
        impl->scratch = sizeof(float) * 2 * m * (size_t)env->threads;
    return grd_cpu_accept(impl, pass, layernorm_forward, layernorm_backward);
}

/* ---- softmax, log_softmax ---- */

typedef struct soft_range { const grd_cpu_table *cpu; const float *x, *dy; float *to; int64_t n; bool logarithm; } soft_range;

static void soft_lines(void *ctx, int64_t begin, int64_t end)
{
    const soft_range *r = ctx;
    for (int64_t i = begin * r->n; i < end * r->n; i += r->n)
        r->cpu->softmax(r->to + i, r->x + i, r->n, r->logarithm);
}

static void soft_gradient_lines(void *ctx, int64_t begin, int64_t end)
{
    const soft_range *r = ctx;
    for (int64_t i = begin * r->n; i < end * r->n; i += r->n)
        r->cpu->softmax_gradient(r->to + i, r->x + i, r->dy + i, r->n, r->logarithm);
}

static void soft_run(const grd_impl *impl, const grd_args *args, bool logarithm, bool forward)
{
    const grd_shape *x = args->in_shape;
    soft_range r = { kernels(impl), forward ? args->in[0] : (const void *)args->out[0],
                     (const float *)(const void *)args->dout[0],
                     (float *)(void *)(forward ? args->out[0] : args->din[0]), x->dim[x->rank - 1], logarithm };
    if (r.to)
        grd_parallel_for(impl->threads, grd_count(x) / r.n, lines_grain(r.n), forward ? soft_lines : soft_gradient_lines, &r);
}

static void softmax_forward(const grd_impl *impl, const grd_args *args) { soft_run(impl, args, false, true); }
static void softmax_backward(const grd_impl *impl, const grd_args *args) { soft_run(impl, args, false, false); }
static void log_softmax_forward(const grd_impl *impl, const grd_args *args) { soft_run(impl, args, true, true); }
static void log_softmax_backward(const grd_impl *impl, const grd_args *args) { soft_run(impl, args, true, false); }

static bool is_last(int64_t axis, int rank) { return axis == -1 || axis == rank - 1; }

GRD_CPU_PREPARE(grd_cpu_softmax)
{
    (void)env;
    if (!is_last(((const grd_softmax_opts *)node->attr)->axis, node->in_shape[0].rank))
        return "an axis other than the last";
    if (strcmp(node->op->name, "softmax") == 0)
        return grd_cpu_accept(impl, pass, softmax_forward, softmax_backward);
    return grd_cpu_accept(impl, pass, log_softmax_forward, log_softmax_backward);
}

/* ---- cross_entropy ---- */

typedef struct class_range {
    const grd_cpu_table *cpu;
    grd_class_job job;
    double *parts;         /* sum and weight of each piece */
    int64_t lines, pieces;
} class_range;

static class_range class_start(const grd_impl *impl, const grd_args *args)
{
    const grd_cross_entropy_opts *o = args->attr;
    const grd_shape *x = args->in_shape;
    class_range r = { .cpu = kernels(impl), .parts = args->scratch };
    const int axis = (int)(o->axis < 0 ? o->axis + x->rank : o->axis);
    r.job = (grd_class_job){ .x = args->in[0], .label = args->in[1], .dx = (float *)(void *)args->din[0],
                             .g = args->dout[0] ? ((const float *)(const void *)args->dout[0])[0] : 0,
                             .classes = x->dim[axis], .stride = 1, .ignore = o->ignore_index };
    for (int i = axis + 1; i < x->rank; i++)
        r.job.stride *= x->dim[i];
    r.lines = grd_count(x) / r.job.classes;
    r.pieces = grd_cpu_pieces(impl->threads, r.lines, lines_grain(r.job.classes));
    return r;
}

/* The job of one set of planes (logits of one sample, classes at an inner axis) and where position i is in it. */
static grd_class_job planes_of(const grd_class_job *j, int64_t set)
{
    grd_class_job job = *j;
    job.x += set * j->classes * j->stride;
    job.label += set * j->stride;
    if (j->dx)
        job.dx += set * j->classes * j->stride;
    return job;
}

/* Lines begin..end-1: a run of lines, or of positions of one set of planes after the other. */
static double loss_of(const class_range *r, int64_t begin, int64_t end, double *weight)
{
    const int64_t stride = r->job.stride;
    if (stride == 1)
        return r->cpu->class_loss(&r->job, begin, end, weight);
    double sum = 0;
    *weight = 0;
    for (int64_t at = begin, next; at < end; at = next) {
        const int64_t set = at / stride, first = set * stride;
        const grd_class_job job = planes_of(&r->job, set);
        double part;
        next = first + stride < end ? first + stride : end;
        sum += r->cpu->class_loss_planes(&job, at - first, next - first, &part);
        *weight += part;
    }
    return sum;
}

static void class_pieces(void *ctx, int64_t begin, int64_t end)
{
    const class_range *r = ctx;
    for (int64_t p = begin; p < end; p++)
        r->parts[2 * p] = loss_of(r, r->lines * p / r->pieces, r->lines * (p + 1) / r->pieces, &r->parts[2 * p + 1]);
}

static void cross_entropy_forward(const grd_impl *impl, const grd_args *args)
{
    class_range r = class_start(impl, args);
    grd_parallel_for(impl->threads, r.pieces, 1, class_pieces, &r);
    double sum = 0, weight = 0;
    for (int64_t p = 0; p < r.pieces; p++) {
        sum += r.parts[2 * p];
        weight += r.parts[2 * p + 1];
    }
    *(float *)(void *)args->out[0] = (float)sum;
    *(float *)(void *)args->out[1] = (float)weight;
}

static void class_gradient_lines(void *ctx, int64_t begin, int64_t end)
{
    const class_range *r = ctx;
    const int64_t stride = r->job.stride;
    if (stride == 1) {
        r->cpu->class_loss_gradient(&r->job, begin, end);
        return;
    }
    for (int64_t at = begin, next; at < end; at = next) {
        const int64_t set = at / stride, first = set * stride;
        const grd_class_job job = planes_of(&r->job, set);
        next = first + stride < end ? first + stride : end;
        r->cpu->class_loss_planes_gradient(&job, at - first, next - first);
    }
}

static void cross_entropy_backward(const grd_impl *impl, const grd_args *args)
{
    class_range r = class_start(impl, args);
    if (r.job.dx)
        grd_parallel_for(impl->threads, r.lines, lines_grain(r.job.classes), class_gradient_lines, &r);
}

GRD_CPU_PREPARE(grd_cpu_cross_entropy)
{
    const grd_cross_entropy_opts *o = node->attr;
    if (node->n_in > 2)
        return "class weights";
    if (o->label_smoothing > 0)
        return "label smoothing";
    if (pass == GRD_FORWARD)
        impl->scratch = sizeof(double) * 2 * (size_t)env->threads;
    return grd_cpu_accept(impl, pass, cross_entropy_forward, cross_entropy_backward);
}

/* ---- embedding ---- */

typedef struct table_range { const grd_cpu_table *cpu; const grd_args *args; int64_t n, rows, d, skip; } table_range;

static table_range table_start(const grd_impl *impl, const grd_args *args)
{
    const grd_shape *w = &args->in_shape[1];
    return (table_range){ kernels(impl), args, grd_count(args->in_shape), w->dim[0], w->dim[1],
                          ((const grd_f_embedding_opts *)args->attr)->padding_idx };
}

static void look_up(void *ctx, int64_t begin, int64_t end)
{
    const table_range *r = ctx;
    const int32_t *index = r->args->in[0];
    const float *w = r->args->in[1];
    for (int64_t i = begin; i < end; i++) {
        float *y = (float *)(void *)r->args->out[0] + i * r->d;
        if (index[i] >= 0 && index[i] < r->rows)
            memcpy(y, w + index[i] * r->d, sizeof *y * (size_t)r->d);
        else
            for (int64_t k = 0; k < r->d; k++)
                y[k] = NAN;
    }
}

static void embedding_forward(const grd_impl *impl, const grd_args *args)
{
    table_range r = table_start(impl, args);
    grd_parallel_for(impl->threads, r.n, lines_grain(r.d), look_up, &r);
}

/* Rows begin..end-1 of dw. Every piece walks over all indices, so that the order of sums does not depend on the cut. */
static void gather(void *ctx, int64_t begin, int64_t end)
{
    const table_range *r = ctx;
    const int32_t *index = r->args->in[0];
    const float *dy = (const float *)(const void *)r->args->dout[0];
    float *dw = (float *)(void *)r->args->din[1];
    memset(dw + begin * r->d, 0, sizeof *dw * (size_t)((end - begin) * r->d));
    for (int64_t i = 0; i < r->n; i++)
        if (index[i] >= begin && index[i] < end && index[i] != r->skip)
            r->cpu->add_into(dw + index[i] * r->d, dy + i * r->d, r->d);
}

static void embedding_backward(const grd_impl *impl, const grd_args *args)
{
    table_range r = table_start(impl, args);
    if (args->din[1])
        grd_parallel_for(r.n * r.d < 2 * GRAIN ? 1 : impl->threads, r.rows, 1, gather, &r);
}

GRD_CPU_PREPARE(grd_cpu_embedding)
{
    (void)node;
    (void)env;
    return grd_cpu_accept(impl, pass, embedding_forward, embedding_backward);
}
