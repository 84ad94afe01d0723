/* Running one stage: weights it starts from, training or the closed form, the test, the result on disk. */
#include "config/pipeline.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Weights of another stage, or of a file, for the layers named in `layers` (all, if none are). */
static grd_status take_weights(grd_stage *s, grd_model *model)
{
    grd_pipeline *p = s->pipeline;
    const grd_yaml *layers = grd_yaml_get(grd_yaml_get(s->config->all, "init"), "layers");
    char path[1200];
    int loaded;
    if (!s->init.from)
        return GRD_OK;
    if (grd_is_checkpoint(s->init.from)) {
        snprintf(path, sizeof path, "%s", s->init.from);
    } else {
        grd_stage *other;
        GRD_TRY(grd_stage_find(p, s->init.from, &other));
        GRD_TRY(grd_stage_path(other, "best.pth", path));
    }
    if (!layers)
        return grd_model_load(model, path, NULL, &loaded);
    bool list = layers->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = list ? layers->first : layers; c; c = list ? c->next : NULL)
        GRD_TRY(grd_model_load(model, path, &(grd_load_opts){ .prefix = c->text }, &loaded));
    return GRD_OK;
}

static grd_status run_linear(grd_stage *s, const grd_stage_data *data)
{
    grd_pipeline *p = s->pipeline;
    grd_linear_model *ridge;
    grd_metric val[GRD_MAX_RESULTS];
    int n;
    char path[1200];
    GRD_TRY(grd_stage_path(s, "best.pth", path));
    GRD_TRY(grd_stage_ridge(s, data, &ridge));
    grd_status status = grd_linear_model_save(ridge, path);
    if (status == GRD_OK && data->val) {
        status = grd_stage_evaluate_ridge(ridge, data->val, val, &n, NULL);
        s->result.val_loss = val[0].value;
    }
    if (status == GRD_OK && data->test)
        status = grd_stage_evaluate_ridge(ridge, data->test, s->result.test, &s->result.n_test, NULL);
    s->result.epochs = s->result.best_epoch = 1;
    if (status == GRD_OK)
        grd_pipeline_say(p, "ridge regression in closed form: %lld samples, %lld features, lambda %.4g",
                         (long long)grd_dataset_length(data->train), (long long)grd_linear_model_features(ridge),
                         grd_linear_model_lambda(ridge));
    grd_linear_model_free(ridge);
    return status;
}

static grd_trainer_opts trainer_opts(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, const char *dir)
{
    const grd_pipeline *p = s->pipeline;
    grd_trainer_opts o = {
        .stage = s->config->name,
        .model = net->model,
        .loss = net->loss,
        .train = data->train,
        .val = data->val,
        .optim = s->optim,
        .schedule = s->schedule,
        .epochs = s->run.epochs,
        .max_steps = s->run.max_steps,
        .batch = s->run.batch,
        .eval_batch = s->run.eval_batch,
        .accumulate = s->train.accumulate,
        .steps_per_epoch = s->train.steps_per_epoch,
        .clip_norm = s->train.clip_norm > 0 ? s->train.clip_norm : GRD_OFF,
        .clip_value = s->train.clip_value > 0 ? s->train.clip_value : GRD_OFF,
        .ema = s->train.ema > 0 ? s->train.ema : GRD_OFF,
        .workers = (int)s->data.workers,
        .no_shuffle = s->data.no_shuffle,
        .drop_last = s->data.drop_last,
        .sampler = grd_sampler_choices[s->data.sampler],
        .shuffle_buffer = s->data.shuffle_buffer,
        .pad_multiple = s->data.pad_multiple,
        .on_error = s->data.on_error ? GRD_ERRORS_SKIP : GRD_ERRORS_STOP,
        .seed = (uint64_t)s->run.seed,
        .dir = dir,
        .resume = true,
        .patience = s->stop.off || s->stop.min_delta > 0 ? GRD_OFF : s->stop.patience,
        .progress = p->opts.progress,
        .progress_file = p->opts.out,
        .progress_ascii = p->opts.ascii,
        .checkpoint_seconds = s->train.checkpoint_seconds > 0 ? s->train.checkpoint_seconds : GRD_OFF,
        .debug = grd_debug_flags[s->train.debug],
        .stop = p->opts.stop,
    };
    for (int i = 0; i < net->n_metrics; i++) {
        o.metrics[i] = net->metric[i];
        o.metric_names[i] = net->metric_name[i];
    }
    return o;
}

static void say_findings(const grd_stage *s, const grd_stage_data *data, const grd_stage_net *net)
{
    grd_finding found[GRD_MAX_FINDINGS];
    int n = grd_doctor(s, data, net, found);
    for (int i = 0; i < n; i++)
        grd_pipeline_say(s->pipeline, "warning: %s: %s", found[i].name, found[i].text);
}

static grd_status run_training(grd_stage *s, const grd_stage_data *data)
{
    grd_stage_net net;
    grd_trainer *trainer = NULL;
    char dir[1200];
    GRD_TRY(grd_stage_build(s, data, GRD_F32, &net));
    say_findings(s, data, &net);
    grd_status status = take_weights(s, net.model);
    if (status == GRD_OK)
        status = grd_stage_path(s, "", dir);
    if (status == GRD_OK) {
        grd_trainer_opts opts = trainer_opts(s, data, &net, dir);
        status = grd_trainer_new(s->pipeline->ctx, &opts, &trainer);
        if (status == GRD_ERR_CONFIG && s->optim_node)
            status = grd_yaml_fail_in(s->pipeline->host, s->optim_node);
    }
    if (status == GRD_OK && !s->stop.off && s->stop.min_delta > 0)
        status = grd_trainer_add(trainer, &grd_handler_early_stop,
                                 &(grd_early_stop_opts){ .patience = s->stop.patience, .min_delta = s->stop.min_delta });
    if (status == GRD_OK)
        status = grd_trainer_fit(trainer);
    if (status == GRD_OK) {
        const grd_train_state *now = grd_trainer_state(trainer);
        s->result.epochs = now->epoch;
        s->result.best_epoch = now->best_epoch;
        s->result.val_loss = data->val ? now->best_loss : NAN;
        if (data->test)
            status = grd_stage_evaluate(s, &net, data->test, s->result.test, &s->result.n_test, NULL);
        if (status == GRD_OK)
            grd_stage_add_baseline(s, data, &net);
    }
    grd_trainer_free(trainer);
    grd_stage_free_net(&net);
    return status;
}

grd_status grd_stage_run(grd_stage *s)
{
    grd_stage_data data;
    char dir[1200];
    GRD_TRY(grd_stage_path(s, "", dir));
    GRD_TRY(grd_make_dirs(s->pipeline->host, dir));
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_keep_split(s, &data);
    if (status == GRD_OK)
        status = grd_stage_keep_learned(s, &data);
    if (status == GRD_OK)
        status = s->linear ? run_linear(s, &data) : run_training(s, &data);
    grd_stage_close_data(&data);
    GRD_TRY(status);
    s->result.done = true;
    return grd_stage_save_result(s);
}
