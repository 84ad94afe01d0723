/* A moving average of the weights: evaluated instead of them, kept as the best ones, and never mixed up with them, not even where
 * a plan keeps weights in an order of its own. */
#include "helper_train.h"

#include "plan/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 36, CHANNELS = 16, SIDE = 8, PIXELS = CHANNELS * SIDE * SIDE, CLASSES = 3, BATCH = 16 /* the last one has 4 */ };

/* Pictures of three kinds and a network of convolutions for them. */
typedef struct pictures {
    grd_ctx *ctx;
    grd_graph *graph;
    grd_var logits, loss, accuracy;
    grd_dataset *data;
    float *x;
} pictures;

static void open_pictures(pictures *p)
{
    int32_t label[N];
    p->x = malloc(sizeof *p->x * N * PIXELS);
    assert_non_null(p->x);
    for (int i = 0; i < N; i++) {
        label[i] = i % CLASSES;
        for (int k = 0; k < PIXELS; k++)
            p->x[i * PIXELS + k] = (float)(sin(0.37 * i + 1.1 * k) + sin(0.2 * k * (1 + label[i])));
    }
    p->ctx = grd_open(&(grd_opts){ .seed = 3, .threads = 2 });
    grd_field field[2] = { { .name = "image", .dtype = GRD_F32, .shape = { 3, { CHANNELS, SIDE, SIDE } } },
                           { .name = "label", .dtype = GRD_I32, .classes = CLASSES } };
    OK(p->ctx, grd_dataset_from_arrays(p->ctx, N, 2, field, (const void *const[]){ p->x, label }, true, &p->data));
    p->graph = grd_graph_new(p->ctx);
    grd_var x = grd_input(p->graph, "image", GRD_F32, 4, (int64_t[]){ GRD_VARIES, CHANNELS, SIDE, SIDE });
    grd_var y = grd_input(p->graph, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_relu(grd_batchnorm(grd_conv2d(x, &(grd_conv2d_opts){ .out = 32, .kernel = 3, .pad = 1 }), NULL));
    h = grd_relu(grd_conv2d(grd_maxpool2d(h, &(grd_pool2d_opts){ .kernel = 2 }), &(grd_conv2d_opts){ .out = 16, .kernel = 1 }));
    p->logits = grd_linear(grd_flatten(h), &(grd_linear_opts){ .out = CLASSES });
    p->loss = grd_cross_entropy(p->logits, y, NULL);
    p->accuracy = grd_accuracy(p->logits, y, NULL);
}

static void close_pictures(pictures *p)
{
    grd_close(p->ctx);
    free(p->x);
}

static grd_model *model_of(const pictures *p, uint64_t seed)
{
    grd_model *model;
    OK(p->ctx, grd_model_new(p->graph, &(grd_model_opts){ .seed = seed }, &model));
    return model;
}

static double loss_with(const pictures *p, grd_model *model, const void *params)
{
    grd_metric value[2];
    int n;
    OK(p->ctx, grd_evaluate(model, &(grd_eval_opts){ .loss = p->loss, .metrics = { p->accuracy }, .data = p->data, .batch = BATCH,
                                                     .params = params }, value, &n));
    return value[0].value;
}

typedef struct scores { float of[BATCH * CLASSES]; } scores;

static scores scores_with(const pictures *p, grd_model *model, const void *params)
{
    grd_compile_opts opts = { .loss = GRD_NONE, .keep = { p->logits }, .n_keep = 1 };
    grd_shape shape[GRD_MAX_INPUTS] = { { 4, { BATCH, CHANNELS, SIDE, SIDE } }, { 1, { BATCH } } };
    grd_plan *plan;
    int packs = 0;
    scores out;
    OK(p->ctx, grd_model_plan(model, &opts, shape, &plan));
    for (int i = 0; i < plan->n_steps; i++)
        packs += plan->step[i].ir->pack;
    assert_true(packs > 0); /* else there is nothing to mix up */
    OK(p->ctx, grd_plan_run(plan, &(grd_run){ .input = { p->x }, .params = params }));
    memcpy(out.of, grd_plan_value(plan, p->logits, NULL), sizeof out.of);
    return out;
}

static void assert_same_scores(scores a, scores b) { assert_memory_equal(a.of, b.of, sizeof a.of); }

static void other_parameters_are_evaluated_as_by_a_model_that_holds_them(void **state)
{
    (void)state;
    char dir[256], path[512];
    pictures p;
    int64_t n;
    make_folder(dir, "other");
    snprintf(path, sizeof path, "%s/other.pth", dir);
    open_pictures(&p);
    grd_model *model = model_of(&p, 1), *same = model_of(&p, 1), *other = model_of(&p, 2), *loaded = model_of(&p, 9);
    OK(p.ctx, grd_model_save(other, path));
    OK(p.ctx, grd_model_load(loaded, path, NULL, NULL));
    double own = loss_with(&p, same, NULL), others = loss_with(&p, loaded, NULL);
    scores own_scores = scores_with(&p, same, NULL), others_scores = scores_with(&p, loaded, NULL);
    assert_true(own != others);
    float *arena = grd_model_arena(other, &n);
    for (int turn = 0; turn < 3; turn++) { /* in turn, and nobody says that anything has changed */
        assert_true(loss_with(&p, model, NULL) == own);
        assert_true(loss_with(&p, model, arena) == others);
        assert_same_scores(scores_with(&p, model, NULL), own_scores);
        assert_same_scores(scores_with(&p, model, arena), others_scores);
    }
    for (int64_t i = 0; i < n; i++) /* written to, and said so */
        arena[i] *= 0.5f;
    grd_model_touch(model);
    grd_model_touch(other);
    double halved = loss_with(&p, other, NULL);
    assert_true(halved != others);
    assert_true(loss_with(&p, model, arena) == halved);
    assert_true(loss_with(&p, model, NULL) == own);
    close_pictures(&p);
    remove_folder(dir);
}

/* ---- a run ---- */

typedef struct watcher {
    const pictures *p;
    grd_model *model, *beside;    /* trained; another that is given what is evaluated */
    double *average, decay, worst; /* by a plain loop, in double; largest difference */
    float *best;                  /* what was evaluated when it was best */
    bool raw_differs;
} watcher;
static watcher *watching;         /* handlers of tests have no other way to reach the test */

static void follow(watcher *w, const grd_train_state *now, const float *evaluated)
{
    int64_t n;
    const float *weights = grd_model_arena(w->model, &n);
    for (int64_t i = 0; i < n; i++) {
        w->average[i] = now->step == 1 ? (double)weights[i] : w->decay * w->average[i] + (1 - w->decay) * (double)weights[i];
        w->worst = fmax(w->worst, fabs(w->average[i] - (double)evaluated[i]));
    }
    w->raw_differs |= now->step > 1 && memcmp(weights, evaluated, sizeof *weights * (size_t)n) != 0;
}

static grd_status on_watcher(void *state, grd_event event, const grd_train_state *now, grd_trainer *trainer)
{
    (void)state;
    watcher *w = watching;
    int64_t n, n_states;
    const float *evaluated = grd_trainer_eval_params(trainer);
    if (event == GRD_EVENT_STEP_END)
        follow(w, now, evaluated);
    if (event != GRD_EVENT_EPOCH_END)
        return GRD_OK;
    void *params = grd_model_arena(w->beside, &n), *states = grd_model_state_arena(w->beside, &n_states);
    memcpy(params, evaluated, sizeof *evaluated * (size_t)n);
    const void *now_there = grd_model_state_arena(w->model, &n_states);
    memcpy(states, now_there, sizeof *evaluated * (size_t)n_states);
    grd_model_touch(w->beside);
    assert_true(now->val_loss == loss_with(w->p, w->beside, NULL));
    if (now->improved)
        memcpy(w->best, evaluated, sizeof *evaluated * (size_t)n);
    return GRD_OK;
}

static const grd_handler watch = { .name = "watch", .on = on_watcher };

static void validation_and_the_best_weights_are_the_average_s(void **state)
{
    (void)state;
    char dir[256], path[512];
    pictures p;
    grd_trainer *trainer;
    int64_t n;
    make_folder(dir, "best");
    snprintf(path, sizeof path, "%s/best.pth", dir);
    open_pictures(&p);
    watcher w = { .p = &p, .model = model_of(&p, 1), .beside = model_of(&p, 2), .decay = 0.8 };
    const float *weights = grd_model_arena(w.model, &n);
    w.average = calloc((size_t)n, sizeof *w.average);
    w.best = calloc((size_t)n, sizeof *w.best);
    assert_true(w.average && w.best);
    watching = &w;
    OK(p.ctx, grd_trainer_new(p.ctx, &(grd_trainer_opts){ .model = w.model, .loss = p.loss, .train = p.data, .val = p.data,
                                                          .optim = "adam lr=1e-2", .epochs = 5, .batch = BATCH, .ema = w.decay,
                                                          .dir = dir, .patience = GRD_OFF }, &trainer));
    OK(p.ctx, grd_trainer_add(trainer, &watch, NULL));
    OK(p.ctx, grd_trainer_fit(trainer));
    assert_true(w.worst < 1e-6 && w.raw_differs);
    assert_memory_equal(weights, w.best, sizeof *weights * (size_t)n); /* what the model holds in the end */
    assert_true(loss_with(&p, w.model, NULL) == grd_trainer_state(trainer)->best_loss);
    OK(p.ctx, grd_model_load(w.beside, path, NULL, NULL));
    weights = grd_model_arena(w.beside, &n);
    assert_memory_equal(weights, w.best, sizeof *weights * (size_t)n);
    free(w.average);
    free(w.best);
    close_pictures(&p);
    remove_folder(dir);
}

static void a_decay_that_is_none_is_refused(void **state)
{
    (void)state;
    static const double bad[] = { 1, 1.5, -0.1, NAN, INFINITY };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run r;
        run_open(&r, NULL);
        r.opts.ema = bad[i];
        assert_int_equal(grd_trainer_new(r.ctx, &r.opts, &r.trainer), GRD_ERR_ARG);
        assert_non_null(strstr(grd_error(r.ctx), "ema: "));
        run_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_parameters_are_evaluated_as_by_a_model_that_holds_them),
        cmocka_unit_test(validation_and_the_best_weights_are_the_average_s),
        cmocka_unit_test(a_decay_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
