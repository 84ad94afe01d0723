/* Handler: metrics.jsonl, one JSON object a line. An epoch's: {"event": "epoch", "epoch", "step", "train_loss", "val_loss" (null
 * without a validation set), each metric by its name, "lr", "grad_norm" (of the last step), "clipped_steps", "seconds"}; every
 * 50th step's: {"event": "step", "epoch", "step", "loss", "lr", "grad_norm", "seconds"}. Numbers have 17 significant digits; two
 * equal runs differ in "seconds" only. */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/options.h"
#include "train/trainer.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct metrics_log {
    grd_metrics_log_opts opts;
    grd_host *host;
    char path[1024];
    FILE *file;
    int64_t keep;      /* bytes of an earlier part of a resumed run */
} metrics_log;

static const grd_option options[] = {
    GRD_INT(grd_metrics_log_opts, every, 50, 1, 1e15, "steps between two records of steps"),
    GRD_END
};

static grd_status open_log(void **state, const void *opts, grd_trainer *t)
{
    if (!t->opts.dir)
        return grd_fail(t->host, GRD_ERR_ARG, "metrics_log: the trainer has no folder (dir)");
    metrics_log *s = GRD_NEW(t->host, metrics_log);
    if (!s)
        return GRD_ERR_MEMORY;
    s->opts = *(const grd_metrics_log_opts *)opts;
    s->host = t->host;
    *state = s;
    grd_status status = grd_path_join(t->host, s->path, sizeof s->path, t->opts.dir, "metrics.jsonl");
    if (status != GRD_OK)
        grd_free(t->host, s);
    return status;
}

static void close_log(void *state)
{
    metrics_log *s = state;
    if (!s)
        return;
    if (s->file)
        fclose(s->file);
    grd_free(s->host, s);
}

static grd_status io_error(metrics_log *s, const char *what)
{
    return grd_fail(s->host, GRD_ERR_IO, "%s: %s: %s", s->path, what, strerror(errno));
}

static grd_status begin(metrics_log *s)
{
    s->file = fopen(s->path, s->keep ? "r+b" : "wb");
    if (!s->file)
        return io_error(s, "cannot open");
    struct stat info;
    if (fstat(fileno(s->file), &info) != 0)
        return io_error(s, "cannot be looked at");
    if (info.st_size < s->keep)
        return grd_fail(s->host, GRD_ERR_FORMAT, "%s: %lld bytes, the checkpoint speaks of %lld", s->path,
                        (long long)info.st_size, (long long)s->keep);
    if (ftruncate(fileno(s->file), (off_t)s->keep) != 0 || fseeko(s->file, (off_t)s->keep, SEEK_SET) != 0)
        return io_error(s, "cannot be cut");
    return GRD_OK;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* Takes the object over. */
static grd_status put_line(metrics_log *s, json_t *line, double seconds)
{
    json_object_set_new(line, "seconds", number(seconds));
    bool written = line && json_dumpf(line, s->file, JSON_REAL_PRECISION(17)) == 0 && fputc('\n', s->file) != EOF;
    json_decref(line);
    return written ? GRD_OK : io_error(s, "cannot write");
}

static grd_status log_step(metrics_log *s, const grd_train_state *now)
{
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:o, s:o, s:o}", "event", "step", "epoch", (json_int_t)now->epoch, "step",
                  (json_int_t)now->step, "loss", number(now->loss), "lr", number(now->lr), "grad_norm", number(now->grad_norm));
    return put_line(s, line, now->seconds);
}

static grd_status log_epoch(metrics_log *s, const grd_train_state *now)
{
    json_t *line = json_pack("{s:s, s:I, s:I, s:o, s:o}", "event", "epoch", "epoch", (json_int_t)now->epoch, "step",
                             (json_int_t)now->step, "train_loss", number(now->train_loss), "val_loss", number(now->val_loss));
    for (int k = 0; k < now->n_metrics; k++)
        json_object_set_new(line, now->metric[k].name, number(now->metric[k].value));
    json_object_set_new(line, "lr", number(now->lr));
    json_object_set_new(line, "grad_norm", number(now->grad_norm));
    json_object_set_new(line, "clipped_steps", json_integer(now->clipped_steps));
    GRD_TRY(put_line(s, line, now->seconds));
    return fflush(s->file) == 0 ? GRD_OK : io_error(s, "cannot write");
}

static grd_status end(metrics_log *s)
{
    FILE *file = s->file;
    s->file = NULL;
    return !file || fclose(file) == 0 ? GRD_OK : io_error(s, "cannot write");
}

static grd_status on_log(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    metrics_log *s = state;
    (void)t;
    switch (event) {
    case GRD_EVENT_START: return begin(s);
    case GRD_EVENT_STEP_END: return now->step % s->opts.every == 0 ? log_step(s, now) : GRD_OK;
    case GRD_EVENT_EPOCH_END: return log_epoch(s, now);
    case GRD_EVENT_END: return end(s);
    default: return GRD_OK;
    }
}

/* The bytes so far, which are on disk when a checkpoint speaks of them. */
static grd_status save_log(void *state, char *text, size_t size)
{
    metrics_log *s = state;
    if (fflush(s->file) != 0 || fdatasync(fileno(s->file)) != 0)
        return io_error(s, "cannot write");
    snprintf(text, size, "{\"bytes\": %lld}", (long long)ftello(s->file));
    return GRD_OK;
}

static grd_status load_log(void *state, const char *text)
{
    metrics_log *s = state;
    json_t *json = json_loads(text, 0, NULL), *bytes = json_object_get(json, "bytes");
    bool good = json_is_integer(bytes) && json_integer_value(bytes) >= 0;
    s->keep = good ? json_integer_value(bytes) : 0;
    json_decref(json);
    return good ? GRD_OK : grd_fail(s->host, GRD_ERR_FORMAT, "metrics_log: a state that is none: %.60s", text);
}

const grd_handler grd_handler_metrics_log = {
    .name = "metrics_log", .doc = "writes metrics.jsonl", .options = options, .options_size = sizeof(grd_metrics_log_opts),
    .open = open_log, .on = on_log, .close = close_log, .save = save_log, .load = load_log,
};
