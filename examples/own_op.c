/* An op of one's own: one row says all there is to say about it. Registered, its gradient is checked, and it is used in
 * a graph as any other op. */
#include <gradus/gradus.h>

#include <math.h>
#include <stdio.h>

/* y = x + (sqrt(x^2 + 1) - 1) / 2, once for float graphs, once for double ones (the gradient check is done in double). */
#define KERNELS(real, squareroot)                                             \
    static void forward_##real(const grd_args *a)                             \
    {                                                                         \
        const real *x = a->in[0];                                             \
        real *y = (void *)a->out[0];                                          \
        int64_t n = grd_count(a->in_shape);                                   \
        for (int64_t i = 0; i < n; i++)                                       \
            y[i] = x[i] + (squareroot(x[i] * x[i] + 1) - 1) / 2;              \
    }                                                                         \
    static void backward_##real(const grd_args *a)                            \
    {                                                                         \
        const real *x = a->in[0], *dy = (const void *)a->dout[0];             \
        real *dx = (void *)a->din[0];                                         \
        int64_t n = dx ? grd_count(a->in_shape) : 0; /* NULL: nobody wants it */ \
        for (int64_t i = 0; i < n; i++)                                       \
            dx[i] = dy[i] * (1 + x[i] / (2 * squareroot(x[i] * x[i] + 1)));   \
    }
KERNELS(float, sqrtf)
KERNELS(double, sqrt)

static grd_status same_shape(grd_infer *f)
{
    f->out[0] = f->in[0];
    return GRD_OK;
}

static const grd_op_sample samples[] = { { NULL, "x[3,5]" }, { NULL, "x[1]:-9..9" }, { NULL, "x[2,1,7]" } };

#define ROW(real)                                                                          \
    static const grd_op bent_##real = {                                                    \
        .name = "bent",                                                                    \
        .doc = "Bent identity.\ny = x + (sqrt(x^2 + 1) - 1) / 2.\n"                        \
               "dx = dy (1 + x / (2 sqrt(x^2 + 1))).",                                     \
        .n_in = 1, .n_out = 1, .flags = GRD_ELEMENTWISE | GRD_ZERO_AT_ZERO, .bwd_in = 1u << 0, \
        .shape = same_shape, .forward = forward_##real, .backward = backward_##real,       \
        .samples = samples, .n_samples = sizeof samples / sizeof *samples,                 \
    };
ROW(float)
ROW(double)

static grd_status use(grd_ctx *c)
{
    grd_gradcheck_result check;
    grd_status s = grd_op_register(c, &bent_float, &bent_double);
    if (s == GRD_OK)
        s = grd_gradcheck_op(c, "bent", &check);
    if (s != GRD_OK)
        return s;
    printf("gradient of %s: relative error %.1e, bound %.0e\n", check.name, check.max_rel_error, GRD_GRADCHECK_BOUND);

    grd_graph *g = grd_graph_new(c);
    if (!g)
        return GRD_ERR_MEMORY;
    grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 2 });
    grd_var y = grd_apply("bent", NULL, &x, 1);
    grd_model *model;
    grd_plan *plan;
    s = grd_model_new(g, NULL, &model);
    if (s == GRD_OK)
        s = grd_model_plan(model, &(grd_compile_opts){ .keep = { y }, .n_keep = 1 }, &(grd_shape){ 2, { 2, 2 } }, &plan);
    if (s == GRD_OK)
        s = grd_plan_run(plan, &(grd_run){ .input = { (float[]){ -1, 0, 1, 2 } } });
    if (s != GRD_OK)
        return s;
    const float *value = grd_plan_value(plan, y, NULL);
    printf("bent(-1, 0, 1, 2) = %.4f, %.4f, %.4f, %.4f\n", value[0], value[1], value[2], value[3]);
    return check.pass && value[1] == 0 && fabsf(value[3] - 2.618034f) < 1e-5f ? GRD_OK : GRD_ERR_NUMBER;
}

int main(void)
{
    grd_ctx *c = grd_open(NULL);
    if (!c)
        return 1;
    grd_status s = use(c);
    if (s != GRD_OK)
        fprintf(stderr, "%s: %s\n", grd_status_name(s), grd_error(c));
    grd_close(c);
    return s != GRD_OK;
}
