/* Handler: ends a run when the validation loss (the train loss without a validation set) has not fallen for a while. The best
 * weights are given back by the trainer, however a run ends. */
#include "base/options.h"
#include "train/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

typedef struct early_stop {
    grd_early_stop_opts opts;
    grd_host *host;
    double best;        /* that counted; infinity at first */
    int64_t waited;     /* epochs since */
} early_stop;

static const grd_option options[] = {
    GRD_INT(grd_early_stop_opts, patience, 10, 1, 1e9, "epochs without a better loss that are borne"),
    GRD_REAL(grd_early_stop_opts, min_delta, 0, 0, 1e9, "a loss counts as better if it is lower by more than this"),
    GRD_END
};

static grd_status open_early_stop(void **state, const void *opts, grd_trainer *t)
{
    early_stop *s = GRD_NEW(t->host, early_stop);
    if (!s)
        return GRD_ERR_MEMORY;
    s->opts = *(const grd_early_stop_opts *)opts;
    s->host = t->host;
    s->best = INFINITY;
    *state = s;
    return GRD_OK;
}

static void close_early_stop(void *state)
{
    early_stop *s = state;
    if (s)
        grd_free(s->host, s);
}

static grd_status on_early_stop(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    early_stop *s = state;
    if (event == GRD_EVENT_EPOCH_END) {
        double loss = isnan(now->val_loss) ? now->train_loss : now->val_loss;
        bool better = loss < s->best - s->opts.min_delta;
        s->best = better ? loss : s->best;
        s->waited = better ? 0 : s->waited + 1;
    }
    /* at START: a run that this had ended is taken up again */
    if ((event == GRD_EVENT_EPOCH_END || event == GRD_EVENT_START) && s->waited >= s->opts.patience)
        grd_trainer_stop(t);
    return GRD_OK;
}

static grd_status save_early_stop(void *state, char *text, size_t size)
{
    const early_stop *s = state;
    json_t *json =
        json_pack("{s:I, s:o}", "waited", (json_int_t)s->waited, "best", isfinite(s->best) ? json_real(s->best) : json_null());
    size_t n = json ? json_dumpb(json, text, size, JSON_REAL_PRECISION(17)) : size;
    json_decref(json);
    if (n >= size)
        return grd_fail(s->host, GRD_ERR_MEMORY, "early_stop: no room for its state");
    text[n] = 0;
    return GRD_OK;
}

static grd_status load_early_stop(void *state, const char *text)
{
    early_stop *s = state;
    json_t *json = json_loads(text, 0, NULL), *best = json_object_get(json, "best");
    bool good = json_is_integer(json_object_get(json, "waited")) && (json_is_number(best) || json_is_null(best));
    if (good) {
        s->waited = json_integer_value(json_object_get(json, "waited"));
        s->best = json_is_null(best) ? INFINITY : json_number_value(best);
    }
    json_decref(json);
    return good ? GRD_OK : grd_fail(s->host, GRD_ERR_FORMAT, "early_stop: a state that is none: %.60s", text);
}

const grd_handler grd_handler_early_stop = {
    .name = "early_stop", .doc = "ends a run when the loss has not fallen for `patience` epochs", .options = options,
    .options_size = sizeof(grd_early_stop_opts), .open = open_early_stop, .on = on_early_stop, .close = close_early_stop,
    .save = save_early_stop, .load = load_early_stop,
};
