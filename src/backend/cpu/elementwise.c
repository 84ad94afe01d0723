/* Element-wise ops of one and two inputs. They run over any dense layout as over one line of numbers. */
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <string.h>

enum { GRAIN = 16384 }; /* elements a thread: below, waking it costs more than it saves */

/* ---- one input ---- */

typedef struct unary_job {
    const grd_unary_kernel *kernel;
    const grd_args *args;
    const float *from; /* backward: what the row keeps */
} unary_job;

static void unary_range(void *ctx, int64_t begin, int64_t end)
{
    const unary_job *j = ctx;
    const grd_args *a = j->args;
    j->kernel->forward((float *)(void *)a->out[0] + begin, (const float *)a->in[0] + begin, end - begin, a->attr);
}

static void unary_forward(const grd_impl *impl, const grd_args *args)
{
    unary_job j = { impl->state, args, NULL };
    grd_parallel_for(impl->threads, grd_count(args->in_shape), GRAIN, unary_range, &j);
}

static void unary_gradient_range(void *ctx, int64_t begin, int64_t end)
{
    const unary_job *j = ctx;
    const grd_args *a = j->args;
    j->kernel->backward((float *)(void *)a->din[0] + begin, j->from + begin, (const float *)(const void *)a->dout[0] + begin,
                        end - begin, a->attr);
}

static void unary_backward(const grd_impl *impl, const grd_args *args, const void *from)
{
    unary_job j = { impl->state, args, from };
    if (args->din[0])
        grd_parallel_for(impl->threads, grd_count(args->in_shape), GRAIN, unary_gradient_range, &j);
}

static void backward_from_x(const grd_impl *impl, const grd_args *args) { unary_backward(impl, args, args->in[0]); }
static void backward_from_y(const grd_impl *impl, const grd_args *args) { unary_backward(impl, args, args->out[0]); }
static void backward_from_neither(const grd_impl *impl, const grd_args *args) { unary_backward(impl, args, args->dout[0]); }

GRD_CPU_PREPARE(grd_cpu_unary)
{
    (void)env;
    const grd_unary_kernel *kernel = grd_cpu()->unary(node->op->name);
    if (!kernel)
        return "no kernel for this op";
    impl->state = (void *)(uintptr_t)kernel;
    impl->run = pass == GRD_FORWARD     ? unary_forward
                : node->op->bwd_in & 1  ? backward_from_x
                : node->op->bwd_out & 1 ? backward_from_y
                                        : backward_from_neither;
    return NULL;
}

/* ---- two inputs: b as long as a, or repeated over its leading dimensions ---- */

typedef void binary_kernel(float *y, const float *a, const float *b, int64_t rows, int64_t cols, int64_t ldb);

typedef struct binary_job {
    binary_kernel *kernel;
    float *y;
    const float *a, *b;
    int64_t cols, ldb;
} binary_job;

/* A range of elements if ldb, else of rows. */
static void binary_range(void *ctx, int64_t begin, int64_t end)
{
    const binary_job *j = ctx;
    if (j->ldb)
        j->kernel(j->y + begin, j->a + begin, j->b + begin, 1, end - begin, 0);
    else
        j->kernel(j->y + begin * j->cols, j->a + begin * j->cols, j->b, end - begin, j->cols, 0);
}

static void binary_run(const grd_impl *impl, const grd_args *args, binary_kernel *kernel, float *y, const float *a,
                       const float *b)
{
    const int64_t n = grd_count(args->out_shape), cols = grd_count(&args->in_shape[1]);
    binary_job j = { kernel, y, a, b, cols, cols == n };
    grd_parallel_for(impl->threads, cols == n ? n : n / cols, cols == n ? GRAIN : 1 + GRAIN / cols, binary_range, &j);
}

static float *din(const grd_args *args, int i) { return (float *)(void *)args->din[i]; }
static const float *dout(const grd_args *args) { return (const float *)(const void *)args->dout[0]; }

#define FORWARD(name)                                                                                                   \
    static void name##_forward(const grd_impl *impl, const grd_args *args)                                              \
    {                                                                                                                   \
        binary_run(impl, args, ((const grd_cpu_table *)impl->state)->name, (float *)(void *)args->out[0], args->in[0],  \
                   args->in[1]);                                                                                        \
    }
FORWARD(add)
FORWARD(sub)
FORWARD(mul)

typedef struct copy_job {
    float *to;
    const float *from;
    const grd_unary_kernel *kernel; /* applied on the way; NULL = none */
    int64_t rows, cols;
    const grd_cpu_table *cpu;
} copy_job;

static void copy_range(void *ctx, int64_t begin, int64_t end)
{
    const copy_job *j = ctx;
    if (j->kernel)
        j->kernel->forward(j->to + begin, j->from + begin, end - begin, NULL);
    else
        memcpy(j->to + begin, j->from + begin, sizeof(float) * (size_t)(end - begin));
}

static void column_sums_range(void *ctx, int64_t begin, int64_t end)
{
    const copy_job *j = ctx;
    j->cpu->act_gradient(&(grd_act_job){ .dy = j->from + begin, .db = j->to + begin, .rows = j->rows, .cols = end - begin,
                                         .ld = j->cols });
    if (j->kernel)
        j->kernel->forward(j->to + begin, j->to + begin, end - begin, NULL);
}

/* db = dy (kernel: neg of it), summed over the rows that b was repeated for; da = dy. */
static void sum_backward(const grd_impl *impl, const grd_args *args, const grd_unary_kernel *kernel)
{
    const int64_t n = grd_count(args->out_shape), cols = grd_count(&args->in_shape[1]);
    copy_job j = { din(args, 1), dout(args), kernel, n / cols, cols, impl->state };
    if (j.to && cols == n)
        grd_parallel_for(impl->threads, n, GRAIN, copy_range, &j);
    else if (j.to)
        grd_parallel_for(n < 2 * GRAIN ? 1 : impl->threads, cols, 64, column_sums_range, &j);
    j = (copy_job){ din(args, 0), dout(args), NULL, 0, 0, NULL };
    if (j.to && j.to != j.from)
        grd_parallel_for(impl->threads, n, GRAIN, copy_range, &j);
}

static void add_backward(const grd_impl *impl, const grd_args *args) { sum_backward(impl, args, NULL); }

static void sub_backward(const grd_impl *impl, const grd_args *args)
{
    sum_backward(impl, args, ((const grd_cpu_table *)impl->state)->unary("neg"));
}

static void mul_backward(const grd_impl *impl, const grd_args *args)
{
    binary_kernel *mul = ((const grd_cpu_table *)impl->state)->mul;
    if (args->din[1])
        binary_run(impl, args, mul, din(args, 1), dout(args), args->in[0]);
    if (args->din[0]) /* last: it may lie over dy */
        binary_run(impl, args, mul, din(args, 0), dout(args), args->in[1]);
}

/* Whether b's dimensions, ones in front left out, are the last of y. */
static bool repeats(const grd_shape *b, const grd_shape *y)
{
    int first = 0;
    while (first < b->rank && b->dim[first] == 1)
        first++;
    const int rank = b->rank - first;
    for (int i = 0; i < rank; i++)
        if (rank > y->rank || b->dim[first + i] != y->dim[y->rank - rank + i])
            return false;
    return true;
}

GRD_CPU_PREPARE(grd_cpu_binary)
{
    (void)env;
    enum { LEAST = 8 }; /* a shorter run is no vector */
    const grd_shape *in = node->in_shape;
    const int64_t n = grd_count(node->out_shape), na = grd_count(&in[0]), nb = grd_count(&in[1]);
    const char *op = node->op->name;
    if (na != n || !repeats(&in[1], node->out_shape) || (nb != n && nb < LEAST))
        return "broadcast other than of the second input along leading dimensions";
    if (strcmp(op, "add") == 0)
        return grd_cpu_accept(impl, pass, add_forward, add_backward);
    if (strcmp(op, "sub") == 0)
        return grd_cpu_accept(impl, pass, sub_forward, sub_backward);
    if (pass == GRD_BACKWARD && nb != n && (node->want_din & 2))
        return "the gradient of a factor that is repeated";
    return grd_cpu_accept(impl, pass, mul_forward, mul_backward);
}
