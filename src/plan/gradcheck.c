/* Gradients against fourth-order central differences, in double: of a row on its samples, of a whole model. */
#include "op/check.h"
#include "plan/model.h"

#include <math.h>
#include <stddef.h>

static grd_status loss_at(grd_plan *plan, const grd_run *run, double *loss)
{
    double weight;
    GRD_TRY(grd_plan_run(plan, run));
    grd_plan_loss(plan, loss, &weight);
    return GRD_OK;
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h */
static grd_status difference(grd_plan *plan, const grd_run *run, double *x, double h, double *slope, double *noise)
{
    static const double at[4] = { 1, -1, 2, -2 }, factor[4] = { 8, -8, -1, 1 };
    double x0 = *x, sum = 0, most = 0;
    for (int k = 0; k < 4; k++) {
        double f;
        *x = x0 + at[k] * h;
        grd_status status = loss_at(plan, run, &f);
        *x = x0;
        if (status != GRD_OK)
            return status;
        sum += factor[k] * f;
        most = fmax(most, fabs(f));
    }
    *slope = sum / (12 * h);
    *noise = 4e-16 * most / h; /* what rounding of the losses can do to it */
    return GRD_OK;
}

/* A model has kinks (relu, max pooling) that a large step crosses, and a small one rounds: of falling steps the estimate is taken
 * that agrees best with the next, its rounding counted in: small steps may agree by chance. The analytic gradient has no say. */
static grd_status best_difference(grd_plan *plan, const grd_run *run, double *x, double *slope)
{
    double before, noise, best = INFINITY;
    GRD_TRY(difference(plan, run, x, 1e-3, &before, &noise));
    *slope = before;
    for (double h = 2.5e-4; h > 5e-8; h /= 4) {
        double now, next_noise;
        GRD_TRY(difference(plan, run, x, h, &now, &next_noise));
        if (fabs(now - before) + noise < best) {
            best = fabs(now - before) + noise;
            *slope = before;
        }
        before = now;
        noise = next_noise;
    }
    return GRD_OK;
}

static grd_status check_tensor(grd_model *m, const grd_tensor *t, grd_plan *forward, const grd_run *run, const double *analytic,
                               int per_param, grd_gradcheck_result *result)
{
    int64_t n = grd_count(&t->shape), tries = n < per_param ? n : per_param;
    grd_key key = { .seed = grd_hash(m->seed, t->name) };
    double worst = 0, size_a = 0, size_n = 0;
    for (int64_t k = 0; k < tries; k++) {
        uint32_t word[4];
        grd_random4(&key, 1, (uint64_t)k, word);
        int64_t i = tries == n ? k : (int64_t)(grd_uniform(word[0]) * (double)n);
        double slope;
        GRD_TRY(best_difference(forward, run, (double *)t->data + i, &slope));
        double a = analytic[t->offset + i];
        worst = fmax(worst, fabs(a - slope));
        size_a = fmax(size_a, fabs(a));
        size_n = fmax(size_n, fabs(slope));
    }
    *result = (grd_gradcheck_result){ t->name, worst / (size_a + size_n + 1e-12), false };
    /* a gradient that is zero on both sides to rounding is right */
    if (size_a < 1e-10 && size_n < 1e-10)
        result->max_rel_error = 0;
    result->pass = result->max_rel_error <= GRD_GRADCHECK_BOUND;
    return GRD_OK;
}

grd_status grd_gradcheck_model(grd_model *m, grd_var loss, const grd_shape *input_shape, const grd_run *run, int per_param,
                               grd_gradcheck_result *results, int *n)
{
    *n = 0;
    grd_host *host = &m->ctx->host;
    if (m->dtype != GRD_F64)
        return grd_fail(host, GRD_ERR_ARG, "gradient check: the model must be double (dtype GRD_F64)");
    grd_compile_opts opts = { .train = true, .loss = loss, .backward = true };
    grd_plan *both, *forward;
    GRD_TRY(grd_model_plan(m, &opts, input_shape, &both));
    opts.backward = false;
    GRD_TRY(grd_model_plan(m, &opts, input_shape, &forward));
    grd_run again = *run;
    again.no_commit = true;
    again.accumulate = false;
    GRD_TRY(grd_plan_run(both, &again));
    double *analytic = m->grads;
    for (int i = 0; i < m->n_tensors; i++) {
        grd_tensor t = grd_model_tensor(m, i);
        if (!t.trainable)
            continue;
        GRD_TRY(check_tensor(m, &t, forward, &again, analytic, per_param, &results[*n]));
        ++*n;
        grd_model_touch(m);
    }
    return GRD_OK;
}

grd_status grd_gradcheck_op(grd_ctx *ctx, const char *name, grd_gradcheck_result *result)
{
    const grd_op *op = grd_op_find(ctx, name, GRD_F64);
    if (!op)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "gradient check: there is no op \"%s\" with a double row", name);
    *result = (grd_gradcheck_result){ op->name, 0, true };
    for (int s = 0; s < op->n_samples; s++) {
        grd_trial trial;
        double error = 0;
        grd_status status = grd_trial_begin(&trial, &ctx->host, op, GRD_F64, &op->samples[s], ctx->seed + 1);
        if (status == GRD_OK)
            status = grd_trial_gradient_error(&trial, GRD_TRIAL_ELEMENTS, 1e-12, &error);
        else if (status == GRD_ERR_SHAPE)
            grd_fail(&ctx->host, status, "op \"%s\": sample %d is refused: %s", name, s, trial.infer.why);
        grd_trial_end(&trial);
        GRD_TRY(status);
        result->max_rel_error = fmax(result->max_rel_error, error);
    }
    result->pass = result->max_rel_error <= GRD_GRADCHECK_BOUND;
    return GRD_OK;
}
