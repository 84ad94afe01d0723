/* The training loop and its events, nothing else. Setting up is in setup.c, everything that looks on is a handler. */
#define _GNU_SOURCE
#include "train/trainer.h"

#include "base/file.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

double grd_trainer_seconds(const grd_trainer *t) { return t->seconds_before + grd_clock() - t->begun; }

grd_model *grd_trainer_model(const grd_trainer *t) { return t->model; }
const grd_train_state *grd_trainer_state(const grd_trainer *t) { return &t->now; }
const void *grd_trainer_eval_params(const grd_trainer *t) { return grd_optim_ema(t->optim); }
grd_ctx *grd_trainer_ctx(const grd_trainer *t) { return t->ctx; }
void grd_trainer_stop(grd_trainer *t) { t->stop_asked = true; }
void grd_trainer_checkpoint(grd_trainer *t) { t->checkpoint_asked = true; }

/* ---- events ---- */

static grd_status emit(grd_trainer *t, grd_event event)
{
    t->now.seconds = grd_trainer_seconds(t);
    for (int i = 0; i < t->handlers.n; i++) {
        const grd_added *h = &t->handlers.item[i];
        grd_clear(t->host);
        grd_status status = h->row->on(h->state, event, &t->now, t);
        if (status != GRD_OK && !t->host->err.text[0])
            return grd_fail(t->host, status, "%s: handler \"%s\" failed (%s)", t->now.stage, h->row->name,
                            grd_status_name(status));
        GRD_TRY(status);
    }
    return GRD_OK;
}

/* Every handler gets it, whatever the others return; the first failure is kept if all was well before. */
static grd_status emit_to_all(grd_trainer *t, grd_event event, grd_status before)
{
    grd_message kept = t->host->err;
    t->now.seconds = grd_trainer_seconds(t);
    for (int i = 0; i < t->handlers.n; i++) {
        const grd_added *h = &t->handlers.item[i];
        grd_status status = h->row->on(h->state, event, &t->now, t);
        if (before == GRD_OK && status != GRD_OK) {
            before = status;
            kept = t->host->err;
        }
    }
    t->host->err = kept;
    return before;
}

static grd_status checkpoint(grd_trainer *t)
{
    t->checkpoint_asked = false;
    GRD_TRY(emit(t, GRD_EVENT_CHECKPOINT));
    t->saved_step = t->now.step;
    return GRD_OK;
}

/* ---- a step ---- */

/* The message that is there, preceded by where. */
static grd_status at_step(grd_trainer *t)
{
    return grd_fail_in(t->host, "%s: epoch %lld, step %lld: ", t->now.stage, (long long)t->now.epoch, (long long)t->now.step + 1);
}

/* A number that is not finite has come up: runs the batch again, looking at every step, to say where it began. */
static grd_status explain(grd_trainer *t, const grd_shape *shape, const grd_run *bad, const char *what)
{
    char found[320];
    snprintf(found, sizeof found, "%s", what);
    grd_compile_opts opts = t->compile;
    opts.flags |= GRD_PLAN_NAN;
    grd_run run = *bad;
    run.accumulate = false;
    run.no_commit = true;
    grd_plan *plan;
    if (grd_model_plan(t->model, &opts, shape, &plan) == GRD_OK && grd_plan_run(plan, &run) == GRD_ERR_NUMBER)
        grd_fail_in(t->host, "%s; ", found);
    else
        grd_fail(t->host, GRD_ERR_NUMBER, "%s", found);
    return at_step(t);
}

typedef struct group {     /* the batches of one optimizer step */
    double sum, weight;    /* of their losses */
    uint64_t rows;
    int64_t batches, skipped;
    grd_shape shape[GRD_MAX_INPUTS]; /* of the last batch, to run it again */
    grd_run run;
} group;

/* The next batch of the epoch; NULL: there is none. */
static grd_status next_batch(grd_trainer *t, const grd_batch **batch)
{
    *batch = t->ahead;
    t->ahead = NULL;
    if (!*batch)
        GRD_TRY(grd_loader_next(t->loader, batch));
    if (*batch || !t->opts.steps_per_epoch)
        return GRD_OK;
    GRD_TRY(grd_loader_start(t->loader, ++t->pass, 0));
    return grd_loader_next(t->loader, batch);
}

static grd_status run_batch(grd_trainer *t, group *g, const grd_batch *batch)
{
    grd_plan *plan;
    double sum, weight;
    g->run = (grd_run){ .step = (uint64_t)t->now.step, .row = g->rows, .accumulate = g->batches > 0 };
    GRD_TRY(grd_feed_batch(&t->feed, batch, g->shape, &g->run));
    GRD_TRY(grd_model_plan(t->model, &t->compile, g->shape, &plan));
    GRD_TRY(grd_plan_run(plan, &g->run));
    grd_plan_loss(plan, &sum, &weight);
    g->sum += sum;
    g->weight += weight;
    g->skipped += batch->skipped;
    g->rows += (uint64_t)batch->n;
    g->batches++;
    return GRD_OK;
}

static void account(grd_trainer *t, const group *g, double norm)
{
    t->now.step++;
    t->now.batch += g->batches;
    t->now.samples += (int64_t)g->rows;
    t->now.skipped += g->skipped;
    t->now.grad_norm = norm;
    t->now.clipped = t->opts.clip_norm > 0 && norm > t->opts.clip_norm;
    t->now.clipped_steps += t->now.clipped;
    if (g->weight > 0) { /* a group of ignored labels only has no loss */
        t->now.loss = g->sum / g->weight;
        t->epoch_sum += g->sum;
        t->epoch_weight += g->weight;
        t->now.train_loss = t->epoch_sum / t->epoch_weight;
    }
}

/* One group of batches, the last one of an epoch may be short, and the optimizer's step: gradients are of sums and divided
 * once by the group's weight. */
static grd_status take_step(grd_trainer *t)
{
    group g = { 0 };
    t->now.lr = grd_schedule_lr(t->schedule, t->now.step);
    GRD_TRY(emit(t, GRD_EVENT_STEP_BEGIN));
    int64_t left = t->now.batches - t->now.batch, batches = t->opts.accumulate;
    batches = t->now.batches < 0 || left > batches ? batches : left;
    while (g.batches < batches) {
        const grd_batch *batch;
        if (next_batch(t, &batch) != GRD_OK)
            return at_step(t);
        if (!batch && t->now.batches < 0)
            break; /* a short group; look_ahead had its first batch */
        if (!batch)
            return grd_fail(t->host, GRD_ERR_DATA, "%s: epoch %lld: the data ended after %lld of %lld batches", t->now.stage,
                            (long long)t->now.epoch, (long long)(t->now.batch + g.batches), (long long)t->now.batches);
        if (run_batch(t, &g, batch) != GRD_OK)
            return at_step(t);
        if (!isfinite(g.sum) || !isfinite(g.weight)) {
            char what[64];
            snprintf(what, sizeof what, "the loss is %g", g.sum / g.weight);
            return explain(t, g.shape, &g.run, what);
        }
    }
    double norm;
    grd_step_opts opts = { .lr = t->now.lr > 0 ? t->now.lr : DBL_MIN /* 0 would mean the base rate */, .weight = g.weight,
                           .clip_norm = t->opts.clip_norm, .clip_value = t->opts.clip_value };
    grd_status status = grd_optim_step(t->optim, &opts, &norm);
    if (status == GRD_ERR_NUMBER)
        return explain(t, g.shape, &g.run, t->host->err.text);
    if (status != GRD_OK)
        return at_step(t);
    account(t, &g, norm);
    return emit(t, GRD_EVENT_STEP_END);
}

/* ---- epochs ---- */

static bool interrupted(const grd_trainer *t) { return t->opts.stop && *t->opts.stop; }
static bool limit_reached(const grd_trainer *t) { return t->opts.max_steps && t->now.step >= t->opts.max_steps; }
static bool epoch_over(const grd_trainer *t) { return t->now.batches < 0 ? t->pass_over : t->now.batch >= t->now.batches; }

static bool finished(const grd_trainer *t)
{
    bool closed = t->closed_step == t->now.step && t->now.epoch > 0;
    return (t->epoch_closed && t->now.epoch >= t->opts.epochs) || (closed && (t->stop_asked || limit_reached(t)));
}

static grd_status stopped(grd_trainer *t)
{
    if (t->saved_step != t->now.step)
        GRD_TRY(checkpoint(t));
    return grd_fail(t->host, GRD_ERR_STOPPED, "%s: stopped in epoch %lld after step %lld%s", t->now.stage,
                    (long long)t->now.epoch, (long long)t->now.step,
                    t->opts.dir ? "; all is saved, a resume goes on from there" : "");
}

static void begin_epoch(grd_trainer *t)
{
    t->now.epoch++;
    t->pass_over = false;
    if (!t->opts.steps_per_epoch)
        t->place = NULL; /* where the epoch before ended */
    t->now.batch = t->now.samples = t->now.skipped = t->now.clipped_steps = 0;
    t->now.train_loss = t->epoch_sum = t->epoch_weight = 0;
    t->now.improved = false;
    t->epoch_closed = false;
}

/* Puts the loader where the epoch goes on. */
static grd_status start_data(grd_trainer *t)
{
    const char *place = t->place;
    t->place = NULL;
    if (place)
        return grd_loader_restore(t->loader, place);
    if (!t->opts.steps_per_epoch) {
        t->pass = t->now.epoch;
        return epoch_over(t) ? GRD_OK : grd_loader_start(t->loader, t->pass, t->now.batches < 0 ? 0 : t->now.batch);
    }
    return t->pass ? GRD_OK : grd_loader_start(t->loader, t->pass = 1, 0); /* else in the middle of a pass, or at its end */
}

/* Whether the epoch goes on. Of a stream that only the next batch can tell. */
static grd_status look_ahead(grd_trainer *t, bool *more)
{
    if (t->now.batches < 0 && !t->pass_over) {
        if (next_batch(t, &t->ahead) != GRD_OK)
            return at_step(t);
        t->pass_over = !t->ahead;
        if (t->pass_over && t->now.batch == 0)
            return grd_fail(t->host, GRD_ERR_DATA, "%s: epoch %lld: the stream has no batch", t->now.stage,
                            (long long)t->now.epoch);
    }
    *more = !epoch_over(t);
    return GRD_OK;
}

static grd_status run_steps(grd_trainer *t)
{
    GRD_TRY(start_data(t));
    while (!t->stop_asked && !limit_reached(t)) {
        bool more = false;
        GRD_TRY(look_ahead(t, &more));
        if (!more)
            break;
        GRD_TRY(take_step(t));
        if (interrupted(t))
            return stopped(t);
        if (t->checkpoint_asked)
            GRD_TRY(checkpoint(t));
    }
    return GRD_OK;
}

static grd_status evaluate(grd_trainer *t)
{
    t->now.val_loss = NAN;
    if (!t->opts.val)
        return GRD_OK;
    if (grd_evaluator_run(&t->eval) != GRD_OK)
        return grd_fail_in(t->host, "%s: evaluation after epoch %lld: ", t->now.stage, (long long)t->now.epoch);
    t->now.val_loss = t->eval.result[0].value;
    t->now.n_metrics = t->eval.n_metrics;
    memcpy(t->now.metric, t->eval.result + 1, sizeof *t->now.metric * (size_t)t->eval.n_metrics);
    return GRD_OK;
}

/* The end of an epoch, or of the part of one that max_steps or a handler has cut off. */
static grd_status close_epoch(grd_trainer *t)
{
    GRD_TRY(evaluate(t));
    double loss = t->opts.val ? t->now.val_loss : t->epoch_weight > 0 ? t->now.train_loss : NAN;
    if (!isfinite(loss))
        return grd_fail(t->host, GRD_ERR_NUMBER, "%s: epoch %lld, step %lld: the %s loss is %g", t->now.stage,
                        (long long)t->now.epoch, (long long)t->now.step, t->opts.val ? "validation" : "training", loss);
    t->now.improved = loss < t->best.loss;
    if (t->now.improved)
        grd_best_take(t, loss);
    if (t->opts.val)
        GRD_TRY(emit(t, GRD_EVENT_EVAL_END));
    t->epoch_closed = epoch_over(t);
    t->closed_step = t->now.step;
    t->saved_step = -1; /* whatever was saved at this step was saved before the epoch was closed */
    if (t->epoch_closed)
        grd_schedule_epoch(t->schedule, loss);
    GRD_TRY(emit(t, GRD_EVENT_EPOCH_END));
    return t->checkpoint_asked ? checkpoint(t) : GRD_OK;
}

static grd_status run_epochs(grd_trainer *t)
{
    while (!finished(t)) {
        if (interrupted(t))
            return stopped(t);
        if (t->epoch_closed)
            begin_epoch(t);
        GRD_TRY(emit(t, GRD_EVENT_EPOCH_BEGIN));
        GRD_TRY(run_steps(t));
        GRD_TRY(close_epoch(t));
    }
    return t->saved_step != t->now.step ? checkpoint(t) : GRD_OK;
}

/* ---- the run ---- */

static grd_status start(grd_trainer *t)
{
    if (t->opts.dir)
        GRD_TRY(grd_make_dirs(t->host, t->opts.dir));
    if (t->opts.dir && t->opts.resume) {
        char path[1024];
        GRD_TRY(grd_path_join(t->host, path, sizeof path, t->opts.dir, "last.pth"));
        if (grd_file_exists(path)) {
            GRD_TRY(grd_snapshot_load(t, path));
            t->saved_step = t->now.step;
            t->now.resumed = true;
        }
    }
    return emit(t, GRD_EVENT_START);
}

grd_status grd_trainer_fit(grd_trainer *t)
{
    if (t->fitted)
        return grd_fail(t->host, GRD_ERR_ARG, "%s: this trainer has run; make a new one", t->now.stage);
    t->fitted = true;
    t->begun = grd_clock();
    grd_status status = start(t);
    if (status == GRD_OK)
        status = run_epochs(t);
    if (status != GRD_OK && status != GRD_ERR_STOPPED) {
        snprintf(t->error, sizeof t->error, "%s", t->host->err.text);
        t->now.error = t->error;
        emit_to_all(t, GRD_EVENT_ERROR, status);
    }
    grd_best_give(t);
    return emit_to_all(t, GRD_EVENT_END, status);
}
