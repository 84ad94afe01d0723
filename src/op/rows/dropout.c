/* Dropout. The mask is a function of (key, row, element), so nothing is saved: backward draws it again. */
#include "op/row.h"

static grd_status shape(grd_infer *f)
{
    const grd_dropout_opts *o = f->attr;
    int least = o->channel ? 2 : 1;
    if (f->in[0].rank < least)
        return grd_refuse(f, "x has rank %d, expected %s", f->in[0].rank, o->channel ? "[N,C,...]" : "[N,...]");
    f->out[0] = f->in[0];
    return GRD_OK;
}

/* y = mask x / (1 - p); a mask value holds for a run of values: one, or a channel's. */
static void apply_mask(const grd_args *a, const real *x, real *y)
{
    const grd_dropout_opts *o = a->attr;
    const grd_shape *s = &a->in_shape[0];
    if (!a->train) {
        if (x != y)
            memcpy(y, x, sizeof *y * (size_t)grd_count(s));
        return;
    }
    int64_t rows = s->dim[0], run = o->channel ? grd_span(s, 2, s->rank) : 1, draws = grd_span(s, 1, s->rank) / run;
    real scale = o->p < 1 ? (real)(1 / (1 - o->p)) : 0;
    for (int64_t n = 0; n < rows; n++) {
        for (int64_t e = 0; e < draws; e += 4) {
            uint32_t word[4];
            grd_random4(&a->key, (uint64_t)n, (uint64_t)e / 4, word);
            int64_t end = e + 4 < draws ? e + 4 : draws;
            for (int64_t d = e; d < end; d++) {
                real m = grd_uniform(word[d - e]) >= o->p ? scale : 0;
                for (int64_t i = (n * draws + d) * run; i < (n * draws + d + 1) * run; i++)
                    y[i] = m * x[i];
            }
        }
    }
}

static void forward(const grd_args *a)
{
    apply_mask(a, a->in[0], a->out[0]);
}

static void backward(const grd_args *a)
{
    if (a->din[0])
        apply_mask(a, a->dout[0], a->din[0]);
}

static const grd_option options[] = {
    GRD_REAL(grd_dropout_opts, p, 0.5, 0, 1, "probability that a value is dropped"),
    GRD_FLAG(grd_dropout_opts, channel, "drop whole channels of x [N,C,...]"),
    GRD_END,
};

static const grd_op_sample samples[] = {
    { NULL, "x[3,7]" },
    { "p=0.3", "x[2,3,5]" },
    { "p=0.4 channel=true", "x[3,5,2,3]" },
    { "p=0", "x[2,5]" },
    { "p=1", "x[1,3]" },
};

const grd_op GRD_ROW(dropout) = {
    .name = "dropout",
    .doc = "In training sets each value (or each channel) to 0 with probability p and scales the others; in evaluation copies.\n"
           "y = m x / (1 - p), m = 1 where u >= p, else 0; u uniform in [0,1).\n"
           "dx = m dy / (1 - p).\n"
           "u belongs to (seed, op, step, row in the global batch, element of the row in row-major order, or channel): the same\n"
           "for any layout, batch cut or number of threads. p = 1 gives zeros.\n"
           "Srivastava et al. 2014; channels: Tompson et al. 2015.",
    .n_in = 1,
    .n_out = 1,
    .flags = GRD_RANDOM | GRD_INPLACE | GRD_INPLACE_BWD | GRD_EVAL_IDENTITY | GRD_CHEAP,
    .options = options,
    .options_size = sizeof(grd_dropout_opts),
    .shape = shape,
    .forward = forward,
    .backward = backward,
    GRD_SAMPLES(samples),
};
