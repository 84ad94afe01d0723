/* The best weights of a run, kept beside the model's in memory and given back when it ends. With a moving average of the weights
 * they are the average's, as evaluated; states are always the model's. */
#include "train/trainer.h"

#include "plan/model.h"

#include <math.h>
#include <string.h>

grd_status grd_best_open(grd_trainer *t)
{
    int64_t n_params, n_states;
    grd_model_arena(t->model, &n_params);
    grd_model_state_arena(t->model, &n_states);
    size_t element = grd_dtype_size(t->model->dtype);
    t->best.step = -1;
    t->best.loss = INFINITY;
    t->best.params = grd_alloc(t->host, (size_t)n_params * element);
    t->best.states = grd_alloc(t->host, (size_t)n_states * element);
    return t->best.params && t->best.states ? GRD_OK : GRD_ERR_MEMORY;
}

void grd_best_close(grd_trainer *t)
{
    grd_free(t->host, t->best.params);
    grd_free(t->host, t->best.states);
}

void grd_best_take(grd_trainer *t, double loss)
{
    size_t element = grd_dtype_size(t->model->dtype);
    int64_t n;
    const void *params = grd_model_arena(t->model, &n), *average = grd_trainer_eval_params(t);
    memcpy(t->best.params, average ? average : params, (size_t)n * element);
    const void *states = grd_model_state_arena(t->model, &n);
    memcpy(t->best.states, states, (size_t)n * element);
    t->best.loss = t->now.best_loss = loss;
    t->best.epoch = t->now.best_epoch = t->now.epoch;
    t->best.step = t->now.step;
}

void grd_best_give(grd_trainer *t)
{
    if (t->best.step < 0)
        return;
    size_t element = grd_dtype_size(t->model->dtype);
    int64_t n;
    void *params = grd_model_arena(t->model, &n);
    memcpy(params, t->best.params, (size_t)n * element);
    void *states = grd_model_state_arena(t->model, &n);
    memcpy(states, t->best.states, (size_t)n * element);
    grd_model_touch(t->model);
}
