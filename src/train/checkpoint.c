/* Handler: when to write last.pth and best.pth, and best.pth's second name. What is in them is in snapshot.c.
 *
 * In the middle of an epoch every `seconds`; at the end of an epoch unless saving would take more than a twentieth of the time;
 * and before a run ends. When it is written changes nothing in what a run computes. */
#define _GNU_SOURCE
#include "base/file.h"
#include "train/trainer.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct checkpoint {
    grd_checkpoint_opts opts;
    grd_host *host;
    char last[1024], best[1024];
    int64_t best_step;     /* whose weights best.pth holds; -1: there is none */
    bool started;
    double due;            /* earliest time of the next one at an epoch's end */
    double timer;          /* when the clock within an epoch was set */
} checkpoint;

enum { SHARE = 20 };       /* of the time at most one part goes into saving at epoch ends */

static const grd_option options[] = {
    GRD_REAL_OFF(grd_checkpoint_opts, seconds, 60, 0, 1e9, "between two checkpoints within an epoch; off: at epoch ends only"),
    GRD_END
};

static grd_status open_checkpoint(void **state, const void *opts, grd_trainer *t)
{
    if (!t->opts.dir)
        return grd_fail(t->host, GRD_ERR_ARG, "checkpoint: the trainer has no folder (dir)");
    checkpoint *c = GRD_NEW(t->host, checkpoint);
    if (!c)
        return GRD_ERR_MEMORY;
    c->opts = *(const grd_checkpoint_opts *)opts;
    c->host = t->host;
    *state = c;
    grd_status status = grd_path_join(t->host, c->last, sizeof c->last, t->opts.dir, "last.pth");
    if (status == GRD_OK)
        status = grd_path_join(t->host, c->best, sizeof c->best, t->opts.dir, "best.pth");
    if (status != GRD_OK)
        grd_free(t->host, c);
    return status;
}

static void close_checkpoint(void *state)
{
    checkpoint *c = state;
    if (c)
        grd_free(c->host, c);
}

/* ---- names ---- */

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

static bool is_second_name(const char *name, const char *stage)
{
    size_t n = strlen(name);
    return begins(name, stage) && begins(name + strlen(stage), "_epoch_") && strstr(name, "_best_eval_loss_") && n > 4 &&
           strcmp(name + n - 4, ".pth") == 0;
}

/* Before a run (keep NULL): what a killed process has left half-written and, unless it is resumed, an older run's checkpoints.
 * Later: second names of best.pth other than `keep`. */
static bool unwanted(const char *name, const grd_train_state *now, const char *keep)
{
    if (keep)
        return is_second_name(name, now->stage) && strcmp(name, keep) != 0;
    if (begins(name, "last.pth.tmp") || begins(name, "best.pth.tmp"))
        return true;
    return !now->resumed && (strcmp(name, "last.pth") == 0 || strcmp(name, "best.pth") == 0 || is_second_name(name, now->stage));
}

static void tidy(const grd_train_state *now, const char *keep)
{
    DIR *dir = opendir(now->dir);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (unwanted(entry->d_name, now, keep))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

/* A file system without hard links gets a copy. */
static grd_status second_name(checkpoint *c, const grd_trainer *t)
{
    char name[200], path[1024];
    snprintf(name, sizeof name, "%.100s_epoch_%lld_best_eval_loss_%.6g.pth", t->now.stage, (long long)t->best.epoch,
             t->best.loss);
    GRD_TRY(grd_path_join(c->host, path, sizeof path, t->opts.dir, name));
    (void)unlink(path);
    if (link(c->best, path) != 0) {
        void *bytes;
        size_t size;
        GRD_TRY(grd_file_read(c->host, c->best, 0, &bytes, &size));
        grd_status status = grd_file_write(c->host, path, bytes, size);
        grd_free(c->host, bytes);
        GRD_TRY(status);
    }
    tidy(&t->now, name);
    return GRD_OK;
}

/* ---- saving ---- */

static grd_status save_best(checkpoint *c, grd_trainer *t)
{
    if (t->best.step < 0 || c->best_step == t->best.step)
        return GRD_OK;
    GRD_TRY(grd_snapshot_save_best(t, c->best));
    c->best_step = t->best.step;
    return second_name(c, t);
}

static grd_status save_all(checkpoint *c, grd_trainer *t)
{
    double begun = grd_clock();
    bool with_best = t->best.step >= 0 && t->best.step != c->best_step && t->best.step != t->now.step;
    GRD_TRY(grd_snapshot_save(t, c->last, with_best));
    GRD_TRY(save_best(c, t));
    c->timer = grd_clock();
    c->due = c->timer + SHARE * (c->timer - begun);
    return GRD_OK;
}

static grd_status begin(checkpoint *c, grd_trainer *t)
{
    tidy(&t->now, NULL);
    c->best_step = t->now.resumed ? grd_snapshot_best_step(t, c->best) : -1;
    c->timer = grd_clock();
    c->started = true;
    return c->best_step >= 0 && c->best_step == t->best.step ? second_name(c, t) : GRD_OK;
}

static grd_status on_checkpoint(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    checkpoint *c = state;
    (void)now;
    switch (event) {
    case GRD_EVENT_START: return begin(c, t);
    case GRD_EVENT_STEP_END:
        if (c->opts.seconds > 0 && grd_clock() - c->timer >= c->opts.seconds)
            grd_trainer_checkpoint(t);
        break;
    case GRD_EVENT_EPOCH_END:
        if (grd_clock() >= c->due)
            grd_trainer_checkpoint(t);
        break;
    case GRD_EVENT_CHECKPOINT: return save_all(c, t);
    case GRD_EVENT_END: return c->started ? save_best(c, t) : GRD_OK; /* after a failure best.pth may be behind */
    default: break;
    }
    return GRD_OK;
}

const grd_handler grd_handler_checkpoint = {
    .name = "checkpoint", .doc = "writes last.pth (exact resume) and best.pth", .options = options,
    .options_size = sizeof(grd_checkpoint_opts), .open = open_checkpoint, .on = on_checkpoint, .close = close_checkpoint,
};
