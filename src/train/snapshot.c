/* Checkpoints of a run. last.pth holds all that an exact resume needs, best.pth the best weights. With a moving average last.pth
 * holds the average beside the weights, as `state_dict_ema`; what is in best.pth is the average.
 *
 * Killed at any moment the two fit together: last.pth names the step of the best weights and is always written first; as long as
 * best.pth does not hold those weights, last.pth carries them itself (as `best_state`, or because they are its own). A best.pth
 * that is newer than last.pth (a run that failed) is taken as it is: training again from last.pth comes by the same weights. */
#include "train/trainer.h"

#include "base/file.h"
#include "format/pth.h"
#include "train/state_dict.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FORMAT = 1, HANDLER_TEXT = 1024 };

#define SET(dict, key, value) GRD_TRY(grd_value_set(arena, (dict), (key), (value)))

/* ---- the run's numbers: one table for writing and reading ---- */

typedef struct number {
    const char *key;
    int64_t *whole;  /* one of the two */
    double *real;
} number;

enum { NUMBERS = 18, CONDITIONS = 6 };

static void numbers_of(grd_trainer *t, number out[NUMBERS])
{
    const number list[NUMBERS] = {
        { "step", &t->now.step, NULL },
        { "batch", &t->now.batch, NULL },
        { "samples", &t->now.samples, NULL },
        { "skipped", &t->now.skipped, NULL },
        { "closed_step", &t->closed_step, NULL },
        { "clipped_steps", &t->now.clipped_steps, NULL },
        { "best_step", &t->best.step, NULL },
        { "best_epoch", &t->best.epoch, NULL },
        { "best_loss", NULL, &t->best.loss },
        { "epoch_sum", NULL, &t->epoch_sum },
        { "epoch_weight", NULL, &t->epoch_weight },
        { "loss", NULL, &t->now.loss },
        { "train_loss", NULL, &t->now.train_loss },
        { "val_loss", NULL, &t->now.val_loss },
        { "grad_norm", NULL, &t->now.grad_norm },
        { "step_lr", NULL, &t->now.lr },
        { "seconds", NULL, &t->now.seconds },
        { "epoch", &t->now.epoch, NULL },
    };
    memcpy(out, list, sizeof list);
}

/* What was evaluated at this step, if last.pth is of it: the average, else the weights. */
static const char *evaluated_key(const grd_trainer *t) { return t->opts.ema > 0 ? "state_dict_ema" : "state_dict"; }

/* What a resume must find unchanged: with other values there is no going on with the same bits. */
static void conditions_of(const grd_trainer *t, const char *key[CONDITIONS], int64_t value[CONDITIONS])
{
    const char *const names[CONDITIONS] = { "train_samples", "batch_size", "accumulate", "shuffle", "seed", "steps_per_epoch" };
    const int64_t now[CONDITIONS] = { grd_dataset_length(t->opts.train), t->opts.batch, t->opts.accumulate, !t->opts.no_shuffle,
                                      (int64_t)t->opts.seed, t->opts.steps_per_epoch };
    memcpy(key, names, sizeof names);
    memcpy(value, now, sizeof now);
}

/* ---- writing ---- */

static grd_status put_handlers(grd_trainer *t, grd_arena *arena, grd_value *ours)
{
    grd_value *dict = grd_value_dict(arena);
    for (int i = 0; i < t->handlers.n; i++) {
        const grd_added *h = &t->handlers.item[i];
        if (!h->row->save)
            continue;
        char text[HANDLER_TEXT] = "";
        grd_clear(t->host);
        grd_status status = h->row->save(h->state, text, sizeof text);
        if (status != GRD_OK && !t->host->err.text[0])
            grd_fail(t->host, status, "%s: handler \"%s\" could not save its state", t->now.stage, h->row->name);
        GRD_TRY(status);
        SET(dict, h->row->name, grd_value_text(arena, text));
    }
    return grd_value_set(arena, ours, "handlers", dict);
}

/* Where the data are, if epoch and batch do not say it. */
static grd_status put_place(grd_trainer *t, grd_arena *arena, grd_value *ours)
{
    if (!grd_trainer_needs_place(t))
        return GRD_OK;
    const char *place = t->place;
    if (!place) {
        const size_t size = (size_t)grd_loader_save(t->loader, NULL, 0) + 1;
        char *text = grd_arena_alloc(arena, size);
        if (!text)
            return GRD_ERR_MEMORY;
        grd_loader_save(t->loader, text, size);
        place = text;
    }
    SET(ours, "pass", grd_value_int(arena, t->pass));
    return grd_value_set(arena, ours, "place", grd_value_text(arena, place));
}

static grd_status put_ours(grd_trainer *t, grd_arena *arena, grd_value *root, bool with_best)
{
    grd_value *ours = grd_value_dict(arena), *schedule = grd_value_list(arena);
    number list[NUMBERS];
    const char *key[CONDITIONS];
    int64_t value[CONDITIONS];
    double state[8];
    t->now.seconds = grd_trainer_seconds(t);
    SET(ours, "format", grd_value_int(arena, FORMAT));
    SET(ours, "version", grd_value_text(arena, grd_version()));
    SET(ours, "stage", grd_value_text(arena, t->now.stage));
    SET(ours, "optim", grd_value_text(arena, grd_optim_name(t->optim)));
    if (t->opts.ema > 0)
        SET(ours, "ema", grd_value_real(arena, t->opts.ema));
    numbers_of(t, list);
    for (int i = 0; i < NUMBERS; i++)
        SET(ours, list[i].key, list[i].whole ? grd_value_int(arena, *list[i].whole) : grd_value_real(arena, *list[i].real));
    SET(ours, "epoch_closed", grd_value_bool(arena, t->epoch_closed));
    conditions_of(t, key, value);
    for (int i = 0; i < CONDITIONS; i++)
        SET(ours, key[i], grd_value_int(arena, value[i]));
    for (int i = 0, n = grd_schedule_save(t->schedule, state); i < n; i++)
        GRD_TRY(grd_value_append(arena, schedule, grd_value_real(arena, state[i])));
    SET(ours, "schedule", schedule);
    SET(ours, "optim_steps", grd_optim_step_list(arena, t->model, t->optim));
    GRD_TRY(put_place(t, arena, ours));
    GRD_TRY(put_handlers(t, arena, ours));
    SET(ours, "best_state", with_best ? grd_state_dict(arena, t->model, t->best.params, t->best.states) : grd_value_none(arena));
    return grd_value_set(arena, root, "gradus", ours);
}

static grd_status put_last(grd_trainer *t, grd_arena *arena, grd_value *root, bool with_best)
{
    int64_t n;
    double lr = grd_schedule_lr(t->schedule, t->now.step);
    const void *states = grd_model_state_arena(t->model, &n), *average = grd_trainer_eval_params(t);
    SET(root, "state_dict", grd_state_dict(arena, t->model, grd_model_arena(t->model, &n), states));
    if (average)
        SET(root, "state_dict_ema", grd_state_dict(arena, t->model, average, states));
    SET(root, "optimizer", grd_optim_dict(arena, t->model, t->optim, lr));
    SET(root, "lr", grd_value_real(arena, lr));
    SET(root, "epoch", grd_value_int(arena, t->now.epoch));
    return put_ours(t, arena, root, with_best);
}

grd_status grd_snapshot_save(grd_trainer *t, const char *path, bool with_best)
{
    grd_arena arena;
    grd_arena_init(&arena, t->host);
    grd_value *root = grd_value_dict(&arena);
    grd_status status = put_last(t, &arena, root, with_best);
    if (status == GRD_OK)
        status = grd_pth_write(t->host, path, root);
    grd_arena_free(&arena);
    return status;
}

/* No times in it: the same run gives the same bytes. */
static grd_status put_best(grd_trainer *t, grd_arena *arena, grd_value *root)
{
    grd_value *ours = grd_value_dict(arena);
    SET(root, "state_dict", grd_state_dict(arena, t->model, t->best.params, t->best.states));
    SET(root, "epoch", grd_value_int(arena, t->best.epoch));
    SET(ours, "format", grd_value_int(arena, FORMAT));
    SET(ours, "version", grd_value_text(arena, grd_version()));
    SET(ours, "stage", grd_value_text(arena, t->now.stage));
    SET(ours, "step", grd_value_int(arena, t->best.step));
    SET(ours, "best_epoch", grd_value_int(arena, t->best.epoch));
    SET(ours, "best_loss", grd_value_real(arena, t->best.loss));
    if (t->opts.ema > 0)
        SET(ours, "ema", grd_value_real(arena, t->opts.ema));
    return grd_value_set(arena, root, "gradus", ours);
}

grd_status grd_snapshot_save_best(grd_trainer *t, const char *path)
{
    grd_arena arena;
    grd_arena_init(&arena, t->host);
    grd_value *root = grd_value_dict(&arena);
    grd_status status = put_best(t, &arena, root);
    if (status == GRD_OK)
        status = grd_pth_write(t->host, path, root);
    grd_arena_free(&arena);
    return status;
}

/* ---- reading ---- */

int64_t grd_snapshot_best_step(grd_trainer *t, const char *path)
{
    grd_pth pth;
    if (!grd_file_exists(path) || grd_pth_read(t->host, path, &pth) != GRD_OK) {
        grd_clear(t->host);
        return -1;
    }
    int64_t step = grd_value_to_int(grd_value_find(pth.root, "gradus/step"), -1);
    grd_pth_close(&pth);
    return step;
}

static grd_status check_conditions(grd_trainer *t, const char *path, const grd_value *ours)
{
    if (grd_value_to_int(grd_value_get(ours, "format"), 0) != FORMAT)
        return grd_fail(t->host, GRD_ERR_FORMAT, "%s: no state of a training run (\"gradus\", format %d) is in it", path, FORMAT);
    const char *optim = grd_value_to_text(grd_value_get(ours, "optim"), "?");
    if (strcmp(optim, grd_optim_name(t->optim)) != 0)
        return grd_fail(t->host, GRD_ERR_ARG, "%s: written by a run with optimizer %s, this one has %s", path, optim,
                        grd_optim_name(t->optim));
    const char *key[CONDITIONS];
    int64_t value[CONDITIONS];
    conditions_of(t, key, value);
    for (int i = 0; i < CONDITIONS; i++) {
        bool younger = strcmp(key[i], "steps_per_epoch") == 0; /* than the first checkpoints */
        int64_t then = grd_value_to_int(grd_value_get(ours, key[i]), younger ? 0 : -1);
        if (then != value[i])
            return grd_fail(t->host, GRD_ERR_ARG, "%s: written by a run with %s %" PRId64 ", this one has %" PRId64
                            ": it cannot go on from there", path, key[i], then, value[i]);
    }
    return GRD_OK;
}

static grd_status get_numbers(grd_trainer *t, const char *path, const grd_value *ours)
{
    number list[NUMBERS];
    numbers_of(t, list);
    for (int i = 0; i < NUMBERS; i++) {
        const grd_value *value = grd_value_get(ours, list[i].key);
        if (!grd_value_is(value, list[i].whole ? GRD_VALUE_INT : GRD_VALUE_REAL))
            return grd_fail(t->host, GRD_ERR_FORMAT, "%s: gradus/%s: %s, expected a number", path, list[i].key,
                            value ? grd_value_kind_name(value->kind) : "missing");
        if (list[i].whole)
            *list[i].whole = value->integer;
        else
            *list[i].real = value->real;
    }
    t->epoch_closed = grd_value_to_bool(grd_value_get(ours, "epoch_closed"), false);
    t->now.best_epoch = t->best.epoch;
    t->now.best_loss = t->best.loss;
    t->seconds_before = t->now.seconds;
    if (t->now.step < 0 || t->now.epoch < 0 || t->now.batch < 0 || (t->now.batches >= 0 && t->now.batch > t->now.batches))
        return grd_fail(t->host, GRD_ERR_FORMAT, "%s: epoch %" PRId64 ", batch %" PRId64 " of %" PRId64 ": no such place", path,
                        t->now.epoch, t->now.batch, t->now.batches);
    const grd_value *schedule = grd_value_get(ours, "schedule");
    double state[8];
    int n = grd_value_count(schedule) < 8 ? grd_value_count(schedule) : 8;
    for (int i = 0; i < n; i++)
        state[i] = grd_value_to_real(grd_value_item(schedule, i), 0);
    grd_schedule_load(t->schedule, state, n);
    return GRD_OK;
}

static grd_status get_place(grd_trainer *t, const char *path, const grd_value *ours)
{
    if (!grd_trainer_needs_place(t) || t->now.epoch == 0)
        return GRD_OK;
    const char *text = grd_value_to_text(grd_value_get(ours, "place"), NULL);
    t->pass = grd_value_to_int(grd_value_get(ours, "pass"), -1);
    if (!text || t->pass < 0)
        return grd_fail(t->host, GRD_ERR_FORMAT, "%s: it does not say where in the data the run was (gradus/place)", path);
    t->place = grd_arena_strdup(&t->texts, text);
    return t->place ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status get_handlers(grd_trainer *t, const char *path, const grd_value *ours)
{
    for (int i = 0; i < t->handlers.n; i++) {
        const grd_added *h = &t->handlers.item[i];
        const char *text = grd_value_to_text(grd_value_get(grd_value_get(ours, "handlers"), h->row->name), NULL);
        if (!h->row->load || !text)
            continue;
        grd_clear(t->host);
        grd_status status = h->row->load(h->state, text);
        if (status != GRD_OK && !t->host->err.text[0])
            return grd_fail(t->host, status, "%s: handler \"%s\" cannot take its state back", path, h->row->name);
        GRD_TRY(status);
    }
    return GRD_OK;
}

static grd_status best_from_file(grd_trainer *t, const char *last)
{
    char path[1024];
    grd_pth pth;
    GRD_TRY(grd_path_join(t->host, path, sizeof path, t->opts.dir, "best.pth"));
    if (!grd_file_exists(path))
        return grd_fail(t->host, GRD_ERR_IO, "%s: missing, and %s relies on it for the best weights (epoch %" PRId64 ")", path,
                        last, t->best.epoch);
    GRD_TRY(grd_pth_read(t->host, path, &pth));
    const grd_value *ours = grd_value_get(pth.root, "gradus"), *dict = grd_value_get(pth.root, "state_dict");
    int64_t step = grd_value_to_int(grd_value_get(ours, "step"), -1);
    grd_status status = GRD_OK;
    if (step < t->best.step || !grd_value_is(dict, GRD_VALUE_DICT))
        status = grd_fail(t->host, GRD_ERR_FORMAT, "%s: holds weights of step %" PRId64 ", %s expects those of step %" PRId64,
                          path, step, last, t->best.step);
    if (status == GRD_OK)
        status = grd_state_dict_load(t->host, path, dict, t->model, NULL, t->best.params, t->best.states, NULL);
    if (status == GRD_OK && step > t->best.step) {
        t->best.step = step;
        t->best.epoch = t->now.best_epoch = grd_value_to_int(grd_value_get(ours, "best_epoch"), t->best.epoch);
        t->best.loss = t->now.best_loss = grd_value_to_real(grd_value_get(ours, "best_loss"), t->best.loss);
    }
    grd_pth_close(&pth);
    return status;
}

static grd_status get_best(grd_trainer *t, const char *path, const grd_value *root)
{
    if (t->best.step < 0)
        return GRD_OK;
    const grd_value *dict = grd_value_find(root, "gradus/best_state");
    if (!grd_value_is(dict, GRD_VALUE_DICT) && t->best.step == t->now.step)
        dict = grd_value_get(root, evaluated_key(t));
    if (!grd_value_is(dict, GRD_VALUE_DICT))
        return best_from_file(t, path);
    return grd_state_dict_load(t->host, path, dict, t->model, NULL, t->best.params, t->best.states, NULL);
}

/* An average cannot be begun, or dropped, in the middle of a run: best losses are of the one or the other. */
static grd_status get_average(grd_trainer *t, const char *path, const grd_value *root)
{
    const grd_value *dict = grd_value_get(root, "state_dict_ema");
    bool then = grd_value_is(dict, GRD_VALUE_DICT), now = t->opts.ema > 0;
    if (then != now)
        return grd_fail(t->host, GRD_ERR_ARG, "%s: written by a run %s ema, this one has it %s: it cannot go on from there", path,
                        then ? "with" : "without", now ? "on" : "off");
    if (!now)
        return GRD_OK;
    int64_t n;
    GRD_TRY(grd_state_dict_load(t->host, path, dict, t->model, NULL, grd_optim_ema(t->optim), grd_model_state_arena(t->model, &n),
                                NULL));
    *grd_optim_ema_steps(t->optim) = t->now.step;
    return GRD_OK;
}

static grd_status get_last(grd_trainer *t, const char *path, const grd_value *root)
{
    const grd_value *ours = grd_value_get(root, "gradus"), *dict = grd_value_get(root, "state_dict");
    GRD_TRY(check_conditions(t, path, ours));
    if (!grd_value_is(dict, GRD_VALUE_DICT))
        return grd_fail(t->host, GRD_ERR_FORMAT, "%s: has no state_dict", path);
    int64_t n;
    GRD_TRY(grd_state_dict_load(t->host, path, dict, t->model, NULL, grd_model_arena(t->model, &n),
                                grd_model_state_arena(t->model, &n), NULL));
    grd_model_touch(t->model);
    GRD_TRY(grd_optim_dict_load(t->host, path, grd_value_get(root, "optimizer"), grd_value_get(ours, "optim_steps"), t->model,
                                t->optim));
    GRD_TRY(get_numbers(t, path, ours));
    GRD_TRY(get_place(t, path, ours));
    GRD_TRY(get_average(t, path, root));
    GRD_TRY(get_best(t, path, root));
    return get_handlers(t, path, ours);
}

grd_status grd_snapshot_load(grd_trainer *t, const char *path)
{
    grd_pth pth;
    GRD_TRY(grd_pth_read(t->host, path, &pth));
    grd_status status = get_last(t, path, pth.root);
    grd_pth_close(&pth);
    return status;
}
