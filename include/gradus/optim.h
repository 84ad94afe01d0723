/* Gradus, chapter "training": optimizers, schedules, clipping. All work on a model's flat arenas. */
#ifndef GRADUS_OPTIM_H
#define GRADUS_OPTIM_H

#include <gradus/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizers as rows --------------------------------------------------------------------- */

#define GRD_MAX_MOMENTS 3

/* defaults: 1e-2, 0, 0, 0 */
typedef struct grd_sgd_opts { double lr, momentum, weight_decay, dampening; bool nesterov; } grd_sgd_opts;
/* defaults: 1e-3, .9, .999, 1e-8, 0 (L2 in the gradient) */
typedef struct grd_adam_opts { double lr, beta1, beta2, eps, weight_decay; bool amsgrad; } grd_adam_opts;
/* defaults: as of adam, but weight_decay 1e-2, decoupled */
typedef struct grd_adamw_opts { double lr, beta1, beta2, eps, weight_decay; bool amsgrad; } grd_adamw_opts;

typedef struct grd_optim grd_optim;

/* `spec`: "adamw lr=3e-3 weight_decay=5e-4". State covers the parameters that are trainable at each step; step counts
 * are kept per parameter, as PyTorch does. Belongs to the model. */
GRD_API grd_status grd_optim_new(grd_model *model, const char *spec, grd_optim **optim);
GRD_API void grd_optim_free(grd_optim *optim);
GRD_API const char *grd_optim_name(const grd_optim *optim);
GRD_API double grd_optim_lr(const grd_optim *optim); /* the base rate from the spec */

typedef struct grd_step_opts {
    double lr;          /* 0 = the base rate; GRD_ZERO = a true 0 */
    double weight;      /* the group's total weight: gradients are divided by it; 0 = 1 */
    double clip_norm;   /* 0 = off: largest L2 norm of the divided gradient over all trainable parameters */
    double clip_value;  /* 0 = off: then each element into -v..v, before the norm */
} grd_step_opts;

/* One update from the model's gradients. *norm (may be NULL): gradient norm before clipping. A norm that is not finite leaves
 * everything as it was and gives GRD_ERR_NUMBER, naming the first parameter at fault. */
GRD_API grd_status grd_optim_step(grd_optim *optim, const grd_step_opts *opts, double *norm);

/* Keeps a moving average of the parameters from the next step on: average += (1 - decay) (parameter - average) after each step,
 * the first of which copies (as PyTorch's AveragedModel with get_ema_multi_avg_fn). It rides along in the pass of the update. States
 * such as batch norm's statistics are not averaged. decay: above 0, below 1. */
GRD_API grd_status grd_optim_set_ema(grd_optim *optim, double decay);
GRD_API void *grd_optim_ema(grd_optim *optim);         /* the average, an arena like the model's; NULL without one */
GRD_API int64_t *grd_optim_ema_steps(grd_optim *optim); /* that it has seen; with 0 the next one copies */

/* Bytes that a step must move: each trained parameter, its moments and its average read and written, its gradient read. */
GRD_API double grd_optim_moved_bytes(const grd_optim *optim);

/* For checkpoints: moments mirror the parameter arena. names: "exp_avg", "exp_avg_sq", "momentum_buffer" (PyTorch's). */
GRD_API int grd_optim_moments(const grd_optim *optim);
GRD_API const char *grd_optim_moment_name(const grd_optim *optim, int k);
GRD_API void *grd_optim_moment(grd_optim *optim, int k); /* the arena */
GRD_API int64_t *grd_optim_steps(grd_optim *optim);      /* per parameter index; 0 = has never moved (no state yet) */
/* The resolved options, for printing and for PyTorch's param_groups. */
GRD_API const grd_option *grd_optim_options(const grd_optim *optim, const void **values);

/* ---- schedules ------------------------------------------------------------------------------- */

typedef struct grd_schedule grd_schedule;

/* "constant", "step size=10 gamma=0.1" (epochs), "multistep milestones=[30,60] gamma=0.1", "exponential gamma=0.95",
 * "cosine warmup=500 min=0" (warm-up in optimizer steps, then cosine to min over the rest of the run), "plateau factor=0.1
 * patience=10 threshold=1e-4 cooldown=0 min=0". total_steps and steps_per_epoch are optimizer steps, -1 =
 * not known (of a stream): an error for schedules that go by them. */
GRD_API grd_status grd_schedule_new(grd_ctx *ctx, const char *spec, double base_lr, int64_t steps_per_epoch, int64_t total_steps,
                                    grd_schedule **schedule);
GRD_API void grd_schedule_free(grd_schedule *schedule);
GRD_API double grd_schedule_lr(const grd_schedule *schedule, int64_t step); /* for optimizer step `step`, from 0 */
GRD_API void grd_schedule_epoch(grd_schedule *schedule, double val_loss);   /* an epoch ended (plateau looks at the loss) */
/* Plateau's state as plain numbers, for exact resume. Both return/take how many were used (at most 8). */
GRD_API int grd_schedule_save(const grd_schedule *schedule, double state[8]);
GRD_API void grd_schedule_load(grd_schedule *schedule, const double *state, int n);

#ifdef __cplusplus
}
#endif
#endif
