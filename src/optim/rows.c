/* SGD, Adam and AdamW, with PyTorch's formulas and defaults. */
#include "optim/rows.h"

#include <math.h>

typedef void (*step_kernel)(const grd_step_job *job, int64_t begin, int64_t end);

/* ---- sgd ---- */

static const grd_option sgd_options[] = {
    GRD_REAL(grd_sgd_opts, lr, 1e-2, 0, 1e9, "learning rate"),
    GRD_REAL(grd_sgd_opts, momentum, 0, 0, 1, "share of the last direction that is kept"),
    GRD_REAL(grd_sgd_opts, weight_decay, 0, 0, 1e9, "L2 penalty, added to the gradient"),
    GRD_REAL(grd_sgd_opts, dampening, 0, 0, 1, "share of the gradient that momentum does not take"),
    GRD_FLAG(grd_sgd_opts, nesterov, "look ahead along the momentum (Nesterov)"),
    GRD_END
};

static int sgd_moments(const void *options) { return ((const grd_sgd_opts *)options)->momentum > 0; }
static double sgd_lr(const void *options) { return ((const grd_sgd_opts *)options)->lr; }

static const char *sgd_check(const void *options)
{
    const grd_sgd_opts *o = options;
    return o->nesterov && (o->momentum == 0 || o->dampening != 0) ? "nesterov needs momentum, and no dampening" : NULL;
}

static void sgd_prepare(const void *options, double lr, int64_t t, grd_step_job *job)
{
    const grd_sgd_opts *o = options;
    job->lr = lr;
    job->momentum = o->momentum;
    job->dampening = o->dampening;
    job->weight_decay = o->weight_decay;
    job->nesterov = o->nesterov;
    job->first = t == 1;
}

static step_kernel sgd_kernel(const grd_cpu_table *table, bool wide) { return wide ? table->sgd_f64 : table->sgd_f32; }

static const optim_row sgd = {
    .name = "sgd", .doc = "Stochastic gradient descent with momentum (Polyak 1964; Nesterov 1983)",
    .options = sgd_options, .options_size = sizeof(grd_sgd_opts), .moments = { "momentum_buffer" },
    .n_moments = sgd_moments, .lr = sgd_lr, .check = sgd_check, .prepare = sgd_prepare, .kernel = sgd_kernel,
};

/* ---- adam, adamw: the same struct but for the default of weight_decay ---- */

#define ADAM_OPTIONS(S, decay, decay_help)                                                            \
    GRD_REAL(S, lr, 1e-3, 0, 1e9, "learning rate"), GRD_REAL(S, beta1, 0.9, 0, 0.999999999, "decay of the first moment"), \
        GRD_REAL(S, beta2, 0.999, 0, 0.999999999, "decay of the second moment"),                                \
        GRD_REAL(S, eps, 1e-8, 1e-30, 1, "added to the root of the second moment"),                       \
        GRD_REAL(S, weight_decay, decay, 0, 1e9, decay_help), GRD_FLAG(S, amsgrad, "keep the largest second moment"), GRD_END

static const grd_option adam_options[] = { ADAM_OPTIONS(grd_adam_opts, 0, "L2 penalty, added to the gradient") };
static const grd_option adamw_options[] = { ADAM_OPTIONS(grd_adamw_opts, 1e-2, "shrinks parameters by lr x this at each step") };

_Static_assert(sizeof(grd_adam_opts) == sizeof(grd_adamw_opts) &&
                   offsetof(grd_adam_opts, amsgrad) == offsetof(grd_adamw_opts, amsgrad),
               "adam and adamw share their functions");

static int adam_moments(const void *options) { return ((const grd_adam_opts *)options)->amsgrad ? 3 : 2; }
static double adam_lr(const void *options) { return ((const grd_adam_opts *)options)->lr; }

static void adam_prepare(const void *options, double lr, int64_t t, grd_step_job *job)
{
    const grd_adam_opts *o = options;
    job->lr = lr;
    job->beta1 = o->beta1;
    job->beta2 = o->beta2;
    job->eps = o->eps;
    job->weight_decay = o->weight_decay;
    job->amsgrad = o->amsgrad;
    job->correction1 = 1 - pow(o->beta1, (double)t);
    job->correction2 = 1 - pow(o->beta2, (double)t);
}

static void adamw_prepare(const void *options, double lr, int64_t t, grd_step_job *job)
{
    adam_prepare(options, lr, t, job);
    job->decoupled = true;
}

static step_kernel adam_kernel(const grd_cpu_table *table, bool wide) { return wide ? table->adam_f64 : table->adam_f32; }

static const optim_row adam = {
    .name = "adam", .doc = "Adam (Kingma, Ba 2015)",
    .options = adam_options, .options_size = sizeof(grd_adam_opts), .moments = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" },
    .n_moments = adam_moments, .lr = adam_lr, .prepare = adam_prepare, .kernel = adam_kernel,
};

static const optim_row adamw = {
    .name = "adamw", .doc = "Adam with decoupled weight decay (Loshchilov, Hutter 2019)",
    .options = adamw_options, .options_size = sizeof(grd_adamw_opts), .moments = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" },
    .n_moments = adam_moments, .lr = adam_lr, .prepare = adamw_prepare, .kernel = adam_kernel,
};

const optim_row *const grd_optim_rows[] = { &sgd, &adam, &adamw, NULL };
