/* Handler: a TensorBoard event file beside the checkpoints. Every 10th step: Loss/step, lr, grad_norm; at epoch ends: Loss/train
 * (the epoch's mean), Loss/val, metric/NAME, and lr and grad_norm if that step was none of the tenths. The x axis is optimizer
 * steps. */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/options.h"
#include "format/tfevents.h"
#include "train/trainer.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct tensorboard {
    grd_tensorboard_opts opts;
    grd_host *host;
    const char *dir;
    grd_events *events;
    int64_t last;          /* step of the newest lr: a tag's steps never repeat */
    char file[256];        /* of the part before a resume, */
    int64_t keep;          /* and how much of it counts */
} tensorboard;

static const grd_option options[] = {
    GRD_INT(grd_tensorboard_opts, every, 10, 1, 1e15, "steps between two points of the curves by step"),
    GRD_END
};

static grd_status open_board(void **state, const void *opts, grd_trainer *t)
{
    if (!t->opts.dir)
        return grd_fail(t->host, GRD_ERR_ARG, "tensorboard: the trainer has no folder (dir)");
    tensorboard *s = GRD_NEW(t->host, tensorboard);
    if (!s)
        return GRD_ERR_MEMORY;
    s->opts = *(const grd_tensorboard_opts *)opts;
    s->host = t->host;
    s->dir = t->opts.dir;
    s->last = -1;
    *state = s;
    return GRD_OK;
}

static void close_board(void *state)
{
    tensorboard *s = state;
    if (!s)
        return;
    (void)grd_events_close(s->events);
    grd_free(s->host, s);
}

/* Cuts off what the earlier part wrote after its last checkpoint. */
static grd_status cut(tensorboard *s)
{
    char path[1024];
    struct stat info;
    GRD_TRY(grd_path_join(s->host, path, sizeof path, s->dir, s->file));
    if (stat(path, &info) == 0 && info.st_size > s->keep && truncate(path, (off_t)s->keep) != 0)
        return grd_fail(s->host, GRD_ERR_IO, "%s: cannot be cut: %s", path, strerror(errno));
    return GRD_OK;
}

/* A new file each time. A viewer drops what older files in the folder have from this step on. */
static grd_status begin(tensorboard *s, const grd_train_state *now)
{
    if (s->file[0])
        GRD_TRY(cut(s));
    GRD_TRY(grd_events_open(s->host, &(grd_events_opts){ .dir = s->dir }, &s->events));
    s->last = now->resumed ? now->step : -1;
    return grd_events_restart(s->events, grd_wall_clock(), now->step + now->resumed);
}

static grd_status put_rates(tensorboard *s, double time, const grd_train_state *now)
{
    if (s->last == now->step)
        return GRD_OK;
    s->last = now->step;
    GRD_TRY(grd_events_scalar(s->events, time, now->step, "lr", now->lr));
    return grd_events_scalar(s->events, time, now->step, "grad_norm", now->grad_norm);
}

static grd_status put_step(tensorboard *s, const grd_train_state *now)
{
    double time = grd_wall_clock();
    GRD_TRY(grd_events_scalar(s->events, time, now->step, "Loss/step", now->loss));
    return put_rates(s, time, now);
}

static grd_status put_epoch(tensorboard *s, const grd_train_state *now)
{
    double time = grd_wall_clock();
    GRD_TRY(grd_events_scalar(s->events, time, now->step, "Loss/train", now->train_loss));
    if (!isnan(now->val_loss))
        GRD_TRY(grd_events_scalar(s->events, time, now->step, "Loss/val", now->val_loss));
    for (int k = 0; k < now->n_metrics; k++) {
        char tag[96];
        snprintf(tag, sizeof tag, "metric/%s", now->metric[k].name);
        GRD_TRY(grd_events_scalar(s->events, time, now->step, tag, now->metric[k].value));
    }
    GRD_TRY(put_rates(s, time, now));
    return grd_events_flush(s->events);
}

static grd_status on_board(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    tensorboard *s = state;
    (void)t;
    grd_events *events = s->events;
    switch (event) {
    case GRD_EVENT_START: return begin(s, now);
    case GRD_EVENT_STEP_END: return now->step % s->opts.every == 0 ? put_step(s, now) : GRD_OK;
    case GRD_EVENT_EPOCH_END: return put_epoch(s, now);
    case GRD_EVENT_END: s->events = NULL; return grd_events_close(events);
    default: return GRD_OK;
    }
}

static grd_status save_board(void *state, char *text, size_t size)
{
    tensorboard *s = state;
    GRD_TRY(grd_events_flush(s->events));
    const char *path = grd_events_path(s->events), *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    json_t *json = json_pack("{s:s, s:I}", "file", name, "bytes", (json_int_t)grd_events_length(s->events));
    size_t n = json ? json_dumpb(json, text, size, 0) : size;
    json_decref(json);
    if (n >= size)
        return grd_fail(s->host, GRD_ERR_MEMORY, "tensorboard: no room for its state");
    text[n] = 0;
    return GRD_OK;
}

static grd_status load_board(void *state, const char *text)
{
    tensorboard *s = state;
    json_t *json = json_loads(text, 0, NULL), *bytes = json_object_get(json, "bytes");
    const char *file = json_string_value(json_object_get(json, "file"));
    bool good = file && strstr(file, "tfevents") && !strchr(file, '/') && strlen(file) < sizeof s->file &&
                json_is_integer(bytes) && json_integer_value(bytes) >= 0;
    if (good) {
        snprintf(s->file, sizeof s->file, "%s", file);
        s->keep = json_integer_value(bytes);
    }
    json_decref(json);
    return good ? GRD_OK : grd_fail(s->host, GRD_ERR_FORMAT, "tensorboard: a state that is none: %.60s", text);
}

const grd_handler grd_handler_tensorboard = {
    .name = "tensorboard", .doc = "writes scalars to a TensorBoard event file", .options = options,
    .options_size = sizeof(grd_tensorboard_opts), .open = open_board, .on = on_board, .close = close_board, .save = save_board,
    .load = load_board,
};
