/* One stage: its sections read and checked, its training, its test, its result on disk. */
#include "config/pipeline.h"

#include "base/file.h"
#include "base/options.h"
#include "optim/rows.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static grd_status check_top_keys(grd_host *host, const grd_yaml *all)
{
    for (const grd_yaml *c = all->first; c; c = c->next) {
        grd_nearest nearest = { c->key, NULL, 0 };
        bool known = false;
        for (const grd_top_key *k = grd_top_keys; k->name; k++) {
            known = known || strcmp(k->name, c->key) == 0;
            grd_nearest_try(&nearest, k->name);
        }
        char hint[96];
        if (!known)
            return grd_yaml_fail(host, c, "no section \"%.80s\"%s", c->key, grd_nearest_text(&nearest, hint, sizeof hint));
    }
    return GRD_OK;
}

static grd_status read_optim(grd_stage *s, const grd_yaml *node)
{
    grd_pipeline *p = s->pipeline;
    s->optim = "adam";
    s->optim_node = node;
    if (!node)
        return GRD_OK;
    grd_row_ref row;
    char *spec;
    GRD_TRY(grd_row_read(p->host, "optim", node, NULL, &row));
    grd_nearest nearest = { row.name, NULL, 0 };
    const optim_row *found = NULL;
    for (const optim_row *const *r = grd_optim_rows; *r; r++) {
        grd_nearest_try(&nearest, (*r)->name);
        if (strcmp((*r)->name, row.name) == 0)
            found = *r;
    }
    char hint[96];
    if (!found)
        return grd_yaml_fail(p->host, row.node, "optim: no optimizer \"%.60s\"%s", row.name, grd_nearest_text(&nearest, hint, sizeof hint));
    _Alignas(16) char options[GRD_OPTIM_MAX_OPTIONS] = { 0 }; /* each value where it stands: an error has its own line */
    GRD_TRY(grd_row_options(p->host, &row, found->options, NULL, NULL, options));
    GRD_TRY(grd_row_spec(&p->arena, &row, found->options, &spec));
    s->optim = spec;
    return GRD_OK;
}

static grd_status read_schedule(grd_stage *s, const grd_yaml *node)
{
    grd_pipeline *p = s->pipeline;
    s->schedule = "constant";
    if (!node)
        return GRD_OK;
    grd_row_ref row;
    char *spec;
    grd_schedule *schedule;
    GRD_TRY(grd_row_read(p->host, "schedule", node, NULL, &row));
    GRD_TRY(grd_row_spec(&p->arena, &row, NULL, &spec));
    s->schedule = spec;
    grd_status status = grd_schedule_new(p->ctx, spec, 1, 1, 1, &schedule); /* so that a fault has its line */
    if (status != GRD_OK)
        return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(p->host, row.node);
    grd_schedule_free(schedule);
    return GRD_OK;
}

static grd_status read_kind(grd_stage *s, const grd_yaml *all)
{
    grd_host *host = s->pipeline->host;
    const grd_yaml *kind = grd_yaml_get(all, "kind"), *ridge = grd_yaml_get(all, "ridge");
    s->linear = kind && grd_yaml_is(kind, "linear");
    if (kind && !s->linear && !grd_yaml_is(kind, "train"))
        return grd_yaml_fail(host, kind, "kind: expected train or linear");
    if (!ridge)
        return GRD_OK;
    GRD_TRY(grd_check_keys(host, "ridge", ridge, NULL, NULL, "lambda"));
    const grd_yaml *lambda = grd_yaml_get(ridge, "lambda");
    char *end = NULL;
    s->lambda = !lambda || grd_yaml_is(lambda, "default") ? GRD_RIDGE_DEFAULT : grd_yaml_is(lambda, "auto") ? GRD_RIDGE_AUTO
                                                                            : strtod(lambda->text ? lambda->text : "", &end);
    if (end && (*end || !(s->lambda > 0)))
        return grd_yaml_fail(host, lambda, "ridge: lambda: expected a positive number, default or auto");
    return GRD_OK;
}

grd_status grd_stage_read(grd_stage *s)
{
    grd_host *host = s->pipeline->host;
    const grd_yaml *all = s->config->all, *train = grd_yaml_get(all, "train");
    GRD_TRY(check_top_keys(host, all));
    GRD_TRY(read_kind(s, all));
    GRD_TRY(grd_section_read(host, &grd_section_run, grd_yaml_get(all, "run"), NULL, &s->run));
    const grd_yaml *data = grd_yaml_get(all, "data");
    if (!data)
        return grd_yaml_fail(host, all, "stage \"%s\": data is missing, such as data: {source: fashion-mnist}", s->config->name);
    const grd_yaml *source = data->kind == GRD_YAML_MAP ? grd_yaml_get(data, "source") : NULL;
    const grd_source *row = source && source->text ? grd_source_find(s->pipeline->ctx, source->text) : NULL;
    if (row || !source)
        GRD_TRY(grd_section_read(host, &grd_section_data, data, row ? row->options : NULL, &s->data));
    GRD_TRY(grd_section_read(host, &grd_section_train, train, NULL, &s->train));
    const grd_yaml *stop = train ? grd_yaml_get(train, "early_stop") : NULL;
    s->stop.off = stop && (grd_yaml_is(stop, "off") || grd_yaml_is(stop, "false"));
    if (!s->stop.off) {
        GRD_TRY(grd_section_read(host, &grd_section_stop, stop, NULL, &s->stop));
    }
    GRD_TRY(grd_section_read(host, &grd_section_init, grd_yaml_get(all, "init"), NULL, &s->init));
    GRD_TRY(read_optim(s, grd_yaml_get(all, "optim")));
    return read_schedule(s, grd_yaml_get(all, "schedule"));
}

grd_status grd_stage_find(grd_pipeline *p, const char *name, grd_stage **stage)
{
    grd_nearest nearest = { name ? name : "", NULL, 0 };
    *stage = NULL;
    for (int i = 0; i < p->config.n_stages; i++) {
        if (!name || strcmp(p->config.stage[i].name, name) == 0)
            *stage = &p->stage[i]; /* no name: the last */
        grd_nearest_try(&nearest, p->config.stage[i].name);
    }
    char hint[96];
    return *stage ? GRD_OK : grd_fail(p->host, GRD_ERR_CONFIG, "%s: no stage \"%s\"%s", p->config.path, name, grd_nearest_text(&nearest, hint, sizeof hint));
}

/* ---- where it starts ---- */

grd_status grd_stage_path(const grd_stage *s, const char *file, char path[1200])
{
    int n = snprintf(path, 1200, "%s/%s%s%s", s->pipeline->dir, s->config->name, *file ? "/" : "", file);
    return n < 1200 ? GRD_OK : grd_fail(s->pipeline->host, GRD_ERR_IO, "%s: the path is too long", s->pipeline->dir);
}

/* Weights of another stage, or of a file, for the layers named in `layers` (all, if none are). */
static grd_status take_weights(grd_stage *s, grd_model *model)
{
    grd_pipeline *p = s->pipeline;
    const grd_yaml *node = grd_yaml_get(s->config->all, "init"), *layers = node ? grd_yaml_get(node, "layers") : NULL;
    const grd_yaml *from = node ? grd_yaml_get(node, "from") : NULL;
    char path[1200];
    if (!s->init.from)
        return node ? grd_yaml_fail(p->host, node, "init: from is missing: a stage, or a .pth file") : GRD_OK;
    size_t length = strlen(s->init.from);
    if (length > 4 && strcmp(s->init.from + length - 4, ".pth") == 0) {
        snprintf(path, sizeof path, "%s", s->init.from);
    } else {
        grd_stage *other;
        if (grd_stage_find(p, s->init.from, &other) != GRD_OK)
            return grd_yaml_fail_in(p->host, from);
        if (other->index >= s->index)
            return grd_yaml_fail(p->host, from, "init: stage \"%s\" does not come before \"%s\"", s->init.from, s->config->name);
        GRD_TRY(grd_stage_path(other, "best.pth", path));
    }
    bool list = layers && layers->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = list ? layers->first : layers; c || !layers; c = list ? c->next : NULL) {
        const char *prefix = c && c->text ? c->text : NULL;
        int loaded;
        GRD_TRY(grd_model_load(model, path, &(grd_load_opts){ .prefix = prefix }, &loaded));
        if (prefix && !loaded)
            return grd_yaml_fail(p->host, c, "init: layers: %s has no parameters under \"%s\"", path, prefix);
        if (s->init.freeze)
            grd_model_freeze(model, prefix ? prefix : "", true);
        if (!c)
            break;
    }
    return GRD_OK;
}

/* ---- result on disk ---- */

static grd_status save_result(const grd_stage *s)
{
    const grd_stage_result *r = &s->result;
    char path[1200];
    GRD_TRY(grd_stage_path(s, "done.json", path));
    json_t *test = json_object(), *all = json_object();
    for (int i = 0; i < r->n_test; i++)
        json_object_set_new(test, r->test[i].name, isfinite(r->test[i].value) ? json_real(r->test[i].value) : json_null());
    json_object_set_new(all, "epochs", json_integer(r->epochs));
    json_object_set_new(all, "best_epoch", json_integer(r->best_epoch));
    json_object_set_new(all, "val_loss", isfinite(r->val_loss) ? json_real(r->val_loss) : json_null());
    json_object_set_new(all, "test", test);
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(all);
    if (!text)
        return grd_fail(s->pipeline->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    grd_status status = grd_file_write(s->pipeline->host, path, text, strlen(text));
    free(text);
    return status;
}

grd_status grd_stage_load_result(grd_stage *s)
{
    grd_pipeline *p = s->pipeline;
    char path[1200];
    void *bytes;
    size_t size;
    s->result = (grd_stage_result){ .name = s->config->name, .linear = s->linear, .val_loss = NAN };
    GRD_TRY(grd_stage_path(s, "done.json", path));
    if (!grd_file_exists(path))
        return GRD_OK;
    GRD_TRY(grd_file_read(p->host, path, 1 << 20, &bytes, &size));
    json_error_t fault;
    json_t *all = json_loadb(bytes, size, 0, &fault);
    grd_free(p->host, bytes);
    if (!json_is_object(all)) {
        json_decref(all);
        return grd_fail(p->host, GRD_ERR_FORMAT, "%s:%d: %s", path, fault.line, all ? "no object" : fault.text);
    }
    s->result.done = true;
    s->result.epochs = json_integer_value(json_object_get(all, "epochs"));
    s->result.best_epoch = json_integer_value(json_object_get(all, "best_epoch"));
    json_t *val = json_object_get(all, "val_loss");
    s->result.val_loss = json_is_number(val) ? json_number_value(val) : NAN;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(all, "test"), name, value)
        if (s->result.n_test < 1 + GRD_MAX_METRICS)
            s->result.test[s->result.n_test++] = (grd_metric){ grd_arena_strdup(&p->arena, name), json_is_number(value) ? json_number_value(value) : NAN };
    json_decref(all);
    return GRD_OK;
}

/* ---- training and testing ---- */

static grd_status run_linear(grd_stage *s, const grd_stage_data *data)
{
    grd_pipeline *p = s->pipeline;
    const char *input = NULL;
    for (int i = 0; i < data->n_fields && !input; i++)
        input = data->field[i].classes ? NULL : data->field[i].name;
    grd_ridge *ridge;
    double loss, accuracy;
    char path[1200];
    GRD_TRY(grd_ridge_fit(p->ctx, data->train, data->val, input ? input : "image", "label", s->lambda, &ridge));
    grd_status status = GRD_OK;
    s->result.epochs = s->result.best_epoch = 1;
    if (data->val) {
        status = grd_ridge_evaluate(ridge, data->val, &loss, &accuracy, NULL);
        s->result.val_loss = loss;
    }
    if (status == GRD_OK && data->test) {
        status = grd_ridge_evaluate(ridge, data->test, &loss, &accuracy, NULL);
        s->result.test[0] = (grd_metric){ "loss", loss };
        s->result.test[1] = (grd_metric){ "accuracy", accuracy };
        s->result.n_test = 2;
    }
    if (status == GRD_OK)
        status = grd_stage_path(s, "best.pth", path);
    if (status == GRD_OK)
        status = grd_ridge_save(ridge, path);
    if (status == GRD_OK)
        grd_pipeline_say(p, "ridge regression in closed form: %lld samples, %lld features, lambda %.4g", (long long)grd_dataset_length(data->train),
                         (long long)grd_ridge_features(ridge), grd_ridge_lambda(ridge));
    grd_ridge_free(ridge);
    return status;
}

static grd_trainer_opts trainer_opts(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, const char *dir)
{
    const grd_pipeline *p = s->pipeline;
    grd_trainer_opts o = {
        .stage = s->config->name, .model = net->model, .loss = net->loss, .train = data->train, .val = data->val, .optim = s->optim,
        .schedule = s->schedule, .epochs = s->run.epochs, .max_steps = s->run.max_steps, .batch = s->run.batch, .eval_batch = s->run.eval_batch,
        .accumulate = s->train.accumulate, .clip_norm = s->train.clip_norm > 0 ? s->train.clip_norm : GRD_OFF,
        .clip_value = s->train.clip_value > 0 ? s->train.clip_value : GRD_OFF, .workers = (int)s->data.workers, .no_shuffle = s->data.no_shuffle,
        .drop_last = s->data.drop_last, .seed = (uint64_t)s->run.seed, .dir = dir, .resume = true,
        .patience = s->stop.off ? GRD_OFF : s->stop.patience, .progress = p->opts.progress, .progress_file = p->opts.out,
        .progress_ascii = p->opts.ascii, .checkpoint_seconds = s->train.checkpoint_seconds > 0 ? s->train.checkpoint_seconds : GRD_OFF,
        .debug = grd_debug_flags[s->train.debug], .stop = p->opts.stop,
    };
    for (int i = 0; i < net->n_metrics; i++) {
        o.metrics[i] = net->metric[i];
        o.metric_names[i] = net->metric_name[i];
    }
    return o;
}

static grd_status test_once(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net)
{
    grd_eval_opts o = { .loss = net->loss, .data = data->test, .batch = s->run.eval_batch ? s->run.eval_batch : s->run.batch < 256 ? 256 : s->run.batch,
                        .workers = (int)s->data.workers, .confusion = GRD_NONE };
    for (int i = 0; i < net->n_metrics; i++) {
        o.metrics[i] = net->metric[i];
        o.metric_names[i] = net->metric_name[i];
    }
    if (!data->test)
        return GRD_OK;
    GRD_TRY(grd_evaluate(net->model, &o, s->result.test, &s->result.n_test));
    for (int i = 0; i < s->result.n_test; i++) /* the names outlive the model */
        s->result.test[i].name = grd_arena_strdup(&s->pipeline->arena, s->result.test[i].name);
    return GRD_OK;
}

static grd_status run_training(grd_stage *s, const grd_stage_data *data)
{
    grd_stage_net net;
    grd_trainer *trainer = NULL;
    char dir[1200];
    GRD_TRY(grd_stage_build(s, data, GRD_F32, &net));
    grd_status status = take_weights(s, net.model);
    if (status == GRD_OK)
        status = grd_stage_path(s, "", dir);
    if (status == GRD_OK) {
        grd_trainer_opts opts = trainer_opts(s, data, &net, dir);
        status = grd_trainer_new(s->pipeline->ctx, &opts, &trainer);
        if (status == GRD_ERR_CONFIG && s->optim_node)
            status = grd_yaml_fail_in(s->pipeline->host, s->optim_node);
    }
    if (status == GRD_OK)
        status = grd_trainer_fit(trainer);
    if (status == GRD_OK) {
        const grd_train_state *now = grd_trainer_state(trainer);
        s->result.epochs = now->epoch;
        s->result.best_epoch = now->best_epoch;
        s->result.val_loss = data->val ? now->best_loss : NAN;
        status = test_once(s, data, &net);
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
    grd_status status = s->linear ? run_linear(s, &data) : run_training(s, &data);
    grd_stage_close_data(&data);
    GRD_TRY(status);
    s->result.done = true;
    return save_result(s);
}
