/* Making a trainer: options checked, data matched to the model, plans compiled, handlers opened in their fixed order. */
#include "train/trainer.h"

#include "base/options.h"
#include "plan/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- options ---- */

static double real_or(double value, double fallback) { return value == 0 ? fallback : value == GRD_OFF ? 0 : value; }
static int64_t int_or(int64_t value, int64_t fallback) { return value == 0 ? fallback : value == GRD_OFF ? 0 : value; }

static grd_status check(grd_trainer *t, const char *name, double value, double least)
{
    if (value >= least)
        return GRD_OK;
    return grd_fail(t->host, GRD_ERR_ARG, "%s: %s: %g, expected at least %g", t->opts.stage, name, value, least);
}

static const char *copy(grd_trainer *t, const char *text) { return text ? grd_arena_strdup(&t->texts, text) : NULL; }

static grd_status copy_texts(grd_trainer *t)
{
    grd_trainer_opts *o = &t->opts;
    const char **text[] = { &o->stage, &o->optim, &o->schedule, &o->dir };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        if (*text[i] && !(*text[i] = copy(t, *text[i])))
            return GRD_ERR_MEMORY;
    for (int i = 0; i < GRD_MAX_METRICS; i++)
        if (o->metric_names[i] && !(o->metric_names[i] = copy(t, o->metric_names[i])))
            return GRD_ERR_MEMORY;
    return GRD_OK;
}

static grd_status resolve(grd_trainer *t, const grd_trainer_opts *opts)
{
    grd_trainer_opts *o = &t->opts;
    *o = *opts;
    o->stage = o->stage ? o->stage : "train";
    o->optim = o->optim ? o->optim : "adam";
    o->schedule = o->schedule ? o->schedule : "constant";
    GRD_TRY(copy_texts(t));
    o->epochs = int_or(o->epochs, 10);
    o->batch = int_or(o->batch, 32);
    o->eval_batch = int_or(o->eval_batch, o->batch);
    o->accumulate = int_or(o->accumulate, 1);
    o->max_steps = int_or(o->max_steps, 0);
    o->steps_per_epoch = int_or(o->steps_per_epoch, 0);
    o->clip_norm = real_or(o->clip_norm, 2);
    o->clip_value = real_or(o->clip_value, 0);
    o->ema = real_or(o->ema, 0);
    o->shuffle_buffer = int_or(o->shuffle_buffer, 1000);
    o->patience = int_or(o->patience, 10);
    o->seed = o->seed ? o->seed : t->ctx->seed;
    GRD_TRY(check(t, "epochs", (double)o->epochs, 1));
    GRD_TRY(check(t, "batch", (double)o->batch, 1));
    GRD_TRY(check(t, "eval_batch", (double)o->eval_batch, 1));
    GRD_TRY(check(t, "accumulate", (double)o->accumulate, 1));
    GRD_TRY(check(t, "max_steps", (double)o->max_steps, 0));
    GRD_TRY(check(t, "steps_per_epoch", (double)o->steps_per_epoch, 0));
    GRD_TRY(check(t, "clip_norm", o->clip_norm, 0));
    GRD_TRY(check(t, "clip_value", o->clip_value, 0));
    GRD_TRY(check(t, "patience", (double)o->patience, 0));
    GRD_TRY(check(t, "workers", o->workers, 0));
    if (!o->train || grd_dataset_length(o->train) == 0)
        return grd_fail(t->host, GRD_ERR_DATA, "%s: there are no samples to train on", o->stage);
    if (o->val && grd_dataset_length(o->val) == 0)
        return grd_fail(t->host, GRD_ERR_DATA, "%s: the validation set is empty", o->stage);
    if (!grd_valid(o->loss))
        return grd_fail(t->host, GRD_ERR_ARG, "%s: the loss is not valid%s%s", o->stage, o->loss.graph ? ": " : "",
                        o->loss.graph ? t->host->err.text : "");
    return GRD_OK;
}

/* ---- parts ---- */

static grd_status open_model(grd_trainer *t)
{
    t->model = t->opts.model;
    if (!t->model) {
        GRD_TRY(grd_model_new(t->opts.loss.graph, &(grd_model_opts){ .seed = t->opts.seed }, &t->model));
        t->own_model = true;
    }
    grd_var unused;
    return grd_ratio_outputs(t->model, t->opts.loss, t->opts.stage, "loss", &t->compile.loss, &unused);
}

static grd_status open_eval(grd_trainer *t)
{
    const grd_trainer_opts *o = &t->opts;
    if (!o->val)
        return GRD_OK;
    grd_eval_opts eval = { .loss = o->loss, .data = o->val, .batch = o->eval_batch, .workers = o->workers,
                           .pad_multiple = o->pad_multiple, .on_error = o->on_error, .params = grd_trainer_eval_params(t) };
    memcpy(eval.metrics, o->metrics, sizeof eval.metrics);
    memcpy(eval.metric_names, o->metric_names, sizeof eval.metric_names);
    return grd_evaluator_open(&t->eval, t->model, &eval, o->seed, o->debug, o->stage);
}

static grd_status open_data(grd_trainer *t)
{
    const grd_trainer_opts *o = &t->opts;
    int64_t length = grd_dataset_length(o->train);
    if (o->drop_last && length >= 0 && length < o->batch)
        return grd_fail(t->host, GRD_ERR_DATA, "%s: %lld samples do not fill one batch of %lld, and drop_last is on", o->stage,
                        (long long)length, (long long)o->batch);
    GRD_TRY(grd_feed_init(&t->feed, t->model, o->train, o->stage, &t->compile.loss, 1));
    grd_loader_opts loader = { .batch = o->batch, .shuffle = !o->no_shuffle, .drop_last = o->drop_last, .workers = o->workers,
                               .seed = o->seed, .sampler = o->sampler, .pad_multiple = o->pad_multiple, .on_error = o->on_error,
                               .shuffle_buffer = o->shuffle_buffer };
    GRD_TRY(grd_loader_new(t->ctx, o->train, &loader, &t->loader));
    t->now.batches = grd_loader_batches(t->loader);
    if (!o->steps_per_epoch)
        return GRD_OK;
    if (o->steps_per_epoch > INT64_MAX / o->accumulate)
        return grd_fail(t->host, GRD_ERR_ARG, "%s: steps_per_epoch: %lld is too many", o->stage, (long long)o->steps_per_epoch);
    t->now.batches = o->steps_per_epoch * o->accumulate;
    return GRD_OK;
}

static grd_status open_plans(grd_trainer *t)
{
    t->compile.train = t->compile.backward = true;
    t->compile.flags = t->opts.debug;
    int64_t length = grd_dataset_length(t->opts.train), batch = t->opts.batch;
    int64_t sizes[2] = { length < 0 || batch < length ? batch : length,
                         length > batch && !t->opts.drop_last ? length % batch : 0 };
    for (int i = 0; i < 2 && !t->feed.varies; i++) {
        grd_shape shape[GRD_MAX_INPUTS];
        grd_plan *plan;
        grd_feed_shapes(&t->feed, sizes[i], shape);
        if (sizes[i])
            GRD_TRY(grd_model_plan(t->model, &t->compile, shape, &plan));
    }
    return GRD_OK;
}

static grd_status open_optim(grd_trainer *t)
{
    int64_t steps = t->now.batches < 0 ? -1 : (t->now.batches + t->opts.accumulate - 1) / t->opts.accumulate, total = -1;
    if (steps > 0 && t->opts.epochs > INT64_MAX / steps)
        return grd_fail(t->host, GRD_ERR_ARG, "%s: epochs: %lld is too many", t->opts.stage, (long long)t->opts.epochs);
    if (steps > 0)
        total = steps * t->opts.epochs;
    if (t->opts.max_steps && (total < 0 || t->opts.max_steps < total))
        total = t->opts.max_steps;
    GRD_TRY(grd_optim_new(t->model, t->opts.optim, &t->optim));
    if (t->opts.ema != 0)
        GRD_TRY(grd_optim_set_ema(t->optim, t->opts.ema));
    return grd_schedule_new(t->ctx, t->opts.schedule, grd_optim_lr(t->optim), steps, total, &t->schedule);
}

/* ---- handlers ---- */

grd_status grd_trainer_add(grd_trainer *t, const grd_handler *row, const void *opts)
{
    if (!GRD_RESERVE(t->host, &t->handlers))
        return GRD_ERR_MEMORY;
    grd_added added = { .row = row };
    if (row->options_size) {
        added.options = grd_alloc(t->host, row->options_size);
        grd_status status = added.options ? GRD_OK : GRD_ERR_MEMORY;
        if (added.options && opts)
            memcpy(added.options, opts, row->options_size); /* what no table speaks of, a FILE, goes through */
        if (status == GRD_OK && row->options)
            status = grd_options_resolve(t->host, row->options, row->options_size, row->name, added.options, added.options);
        if (status != GRD_OK) {
            grd_free(t->host, added.options);
            return status;
        }
    }
    grd_clear(t->host);
    grd_status status = row->open ? row->open(&added.state, added.options, t) : GRD_OK;
    if (status != GRD_OK) {
        grd_free(t->host, added.options);
        if (!t->host->err.text[0])
            grd_fail(t->host, status, "%s: handler \"%s\" did not open (%s)", t->opts.stage, row->name, grd_status_name(status));
        return status;
    }
    t->handlers.item[t->handlers.n++] = added;
    return GRD_OK;
}

static grd_status add_handlers(grd_trainer *t)
{
    const grd_trainer_opts *o = &t->opts;
    if (o->patience)
        GRD_TRY(grd_trainer_add(t, &grd_handler_early_stop, &(grd_early_stop_opts){ .patience = o->patience }));
    if (o->dir) {
        GRD_TRY(grd_trainer_add(t, &grd_handler_checkpoint, &(grd_checkpoint_opts){ .seconds = o->checkpoint_seconds }));
        GRD_TRY(grd_trainer_add(t, &grd_handler_metrics_log, NULL));
        GRD_TRY(grd_trainer_add(t, &grd_handler_tensorboard, NULL));
    }
    if (!o->progress_file || o->progress == GRD_PROGRESS_OFF)
        return GRD_OK;
    grd_progress_opts progress = { .mode = o->progress, .file = o->progress_file, .ascii = o->progress_ascii };
    return grd_trainer_add(t, &grd_handler_progress, &progress);
}

/* ---- life ---- */

static void free_trainer(void *self) { grd_trainer_free(self); }

void grd_trainer_free(grd_trainer *t)
{
    if (!t)
        return;
    grd_disown(&t->child);
    for (int i = t->handlers.n - 1; i >= 0; i--) {
        const grd_added *h = &t->handlers.item[i];
        if (h->row->close)
            h->row->close(h->state);
        grd_free(t->host, h->options);
    }
    grd_free(t->host, t->handlers.item);
    grd_evaluator_close(&t->eval);
    grd_loader_free(t->loader);
    if (t->feed.host)
        grd_feed_drop(&t->feed);
    grd_schedule_free(t->schedule);
    grd_optim_free(t->optim);
    grd_best_close(t);
    if (t->own_model)
        grd_model_free(t->model);
    grd_arena_free(&t->texts);
    grd_free(t->host, t);
}

static void fill_state(grd_trainer *t)
{
    const grd_trainer_opts *o = &t->opts;
    t->now.stage = o->stage;
    t->now.dir = o->dir;
    t->now.epochs = o->epochs;
    t->now.lr = grd_schedule_lr(t->schedule, 0);
    t->now.val_loss = NAN;
    t->now.best_loss = INFINITY;
    t->now.clip_norm = o->clip_norm;
    t->now.clip_value = o->clip_value;
    t->epoch_closed = true;
    t->saved_step = -1;
}

grd_status grd_trainer_new(grd_ctx *ctx, const grd_trainer_opts *opts, grd_trainer **trainer)
{
    *trainer = NULL;
    grd_trainer *t = GRD_NEW(&ctx->host, grd_trainer);
    if (!t)
        return GRD_ERR_MEMORY;
    t->ctx = ctx;
    t->host = &ctx->host;
    grd_arena_init(&t->texts, t->host);
    grd_status status = resolve(t, opts);
    grd_status (*const part[])(grd_trainer *) = { open_model, open_data, open_optim, open_eval, open_plans, grd_best_open };
    for (size_t i = 0; status == GRD_OK && i < sizeof part / sizeof *part; i++)
        status = part[i](t);
    if (status == GRD_OK) {
        fill_state(t);
        status = add_handlers(t);
    }
    if (status != GRD_OK) {
        grd_trainer_free(t);
        return status;
    }
    grd_adopt(&ctx->root, &t->child, free_trainer); /* after its loaders: it is freed before them */
    *trainer = t;
    return GRD_OK;
}
