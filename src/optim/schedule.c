/* Learning-rate schedules as rows, with PyTorch's formulas. Those by epoch count whole epochs; the warm-up counts optimizer
 * steps. */
#include "base/ctx.h"
#include "base/options.h"

#include <gradus/optim.h>

#include <math.h>
#include <string.h>

typedef struct step_opts { int64_t size; double gamma; } step_opts;
typedef struct multistep_opts { grd_ints milestones; double gamma; } multistep_opts;
typedef struct exponential_opts { double gamma; } exponential_opts;
typedef struct cosine_opts { int64_t warmup; double min; } cosine_opts;
typedef struct plateau_opts { double factor, threshold, min; int64_t patience, cooldown; } plateau_opts;

typedef struct schedule_row schedule_row;

struct grd_schedule {
    grd_child child;
    grd_host *host;
    const schedule_row *row;
    _Alignas(16) char options[128];
    grd_arena arena;
    double base;
    int64_t per_epoch, total;
    double scale, best;         /* plateau */
    int64_t bad, cooling;
};

struct schedule_row {
    const char *name, *doc;
    const grd_option *options;
    size_t options_size;
    double (*lr)(const grd_schedule *s, int64_t step);
    void (*epoch)(grd_schedule *s, double val_loss); /* may be NULL */
    bool by_epoch, by_total; /* needs to know the steps of an epoch, of the run */
};

static int64_t epoch_of(const grd_schedule *s, int64_t step) { return s->per_epoch > 0 ? step / s->per_epoch : 0; }

static double constant_lr(const grd_schedule *s, int64_t step)
{
    (void)step;
    return s->base;
}

static double step_lr(const grd_schedule *s, int64_t step)
{
    const step_opts *o = (const void *)s->options;
    return s->base * pow(o->gamma, (double)(epoch_of(s, step) / o->size));
}

static double multistep_lr(const grd_schedule *s, int64_t step)
{
    const multistep_opts *o = (const void *)s->options;
    int passed = 0;
    for (int k = 0; k < o->milestones.n; k++)
        passed += epoch_of(s, step) >= o->milestones.v[k];
    return s->base * pow(o->gamma, passed);
}

static double exponential_lr(const grd_schedule *s, int64_t step)
{
    return s->base * pow(((const exponential_opts *)(const void *)s->options)->gamma, (double)epoch_of(s, step));
}

/* Loshchilov, Hutter 2017, with a linear warm-up before. */
static double cosine_lr(const grd_schedule *s, int64_t step)
{
    const cosine_opts *o = (const void *)s->options;
    if (step < o->warmup)
        return s->base * (double)(step + 1) / (double)o->warmup;
    double length = (double)(s->total - o->warmup), done = length > 0 ? (double)(step - o->warmup) / length : 1;
    return o->min + (s->base - o->min) * 0.5 * (1 + cos(3.14159265358979323846 * fmin(done, 1)));
}

static double plateau_lr(const grd_schedule *s, int64_t step)
{
    (void)step;
    return fmax(s->base * s->scale, ((const plateau_opts *)(const void *)s->options)->min);
}

static void plateau_epoch(grd_schedule *s, double loss)
{
    const plateau_opts *o = (const void *)s->options;
    if (loss < s->best * (1 - o->threshold)) { /* NaN is no improvement */
        s->best = loss;
        s->bad = 0;
    } else {
        s->bad++;
    }
    if (s->cooling > 0) {
        s->cooling--;
        s->bad = 0;
    }
    if (s->bad > o->patience) {
        s->scale *= o->factor;
        s->cooling = o->cooldown;
        s->bad = 0;
    }
}

static const grd_option step_options[] = { GRD_INT(step_opts, size, 10, 1, 1e9, "epochs between two cuts"),
                                           GRD_REAL(step_opts, gamma, 0.1, 0, 1e3, "factor of each cut"), GRD_END };
static const grd_option multistep_options[] = { { "milestones", GRD_OPTION_INTS, offsetof(multistep_opts, milestones), 0, 0, 0,
                                                  "30,60", 0, "epochs at which the rate is cut" },
                                                GRD_REAL(multistep_opts, gamma, 0.1, 0, 1e3, "factor of each cut"),
                                                GRD_END };
static const grd_option exponential_options[] = { GRD_REAL(exponential_opts, gamma, 0.95, 0, 1e3, "factor of each epoch"),
                                                  GRD_END };
static const grd_option cosine_options[] = { GRD_INT(cosine_opts, warmup, 0, 0, 1e15, "optimizer steps of linear warm-up"),
                                             GRD_REAL(cosine_opts, min, 0, 0, 1e9, "rate at the end"), GRD_END };
static const grd_option plateau_options[] = {
    GRD_REAL(plateau_opts, factor, 0.1, 0, 1, "factor of each cut"),
    GRD_INT(plateau_opts, patience, 10, 0, 1e9, "epochs without improvement that are borne"),
    GRD_REAL(plateau_opts, threshold, 1e-4, 0, 1, "relative improvement that counts"),
    GRD_INT(plateau_opts, cooldown, 0, 0, 1e9, "epochs after a cut in which nothing is counted"),
    GRD_REAL(plateau_opts, min, 0, 0, 1e9, "smallest rate"),
    GRD_END
};

static const schedule_row rows[] = {
    { "constant", "the base rate", NULL, 0, constant_lr, NULL, false, false },
    { "step", "cut every `size` epochs", step_options, sizeof(step_opts), step_lr, NULL, true, false },
    { "multistep", "cut at given epochs", multistep_options, sizeof(multistep_opts), multistep_lr, NULL, true, false },
    { "exponential", "cut a little every epoch", exponential_options, sizeof(exponential_opts), exponential_lr, NULL, true,
      false },
    { "cosine", "warm-up, then half a cosine down to `min` at the end of the run", cosine_options, sizeof(cosine_opts), cosine_lr,
      NULL, false, true },
    { "plateau", "cut when the validation loss no longer falls", plateau_options, sizeof(plateau_opts), plateau_lr,
      plateau_epoch, false, false },
};
enum { N_ROWS = sizeof rows / sizeof *rows };

_Static_assert(sizeof(multistep_opts) <= sizeof(((grd_schedule *)0)->options), "room for the options");

static void free_schedule(void *self) { grd_schedule_free(self); }

void grd_schedule_free(grd_schedule *s)
{
    if (!s)
        return;
    grd_disown(&s->child);
    grd_arena_free(&s->arena);
    grd_free(s->host, s);
}

static grd_status set_up(grd_schedule *s, const char *spec)
{
    char name[32], hint[80];
    const char *rest = grd_spec_name(spec, name, sizeof name);
    grd_nearest nearest = { name, NULL, 0 };
    for (int i = 0; i < N_ROWS; i++) {
        grd_nearest_try(&nearest, rows[i].name);
        if (strcmp(rows[i].name, name) == 0)
            s->row = &rows[i];
    }
    if (!s->row)
        return grd_fail(s->host, GRD_ERR_CONFIG, "schedule: no schedule \"%s\"%s", name,
                        grd_nearest_text(&nearest, hint, sizeof hint));
    if ((s->row->by_epoch && s->per_epoch < 0) || (s->row->by_total && s->total < 0))
        return grd_fail(s->host, GRD_ERR_CONFIG,
                        "schedule: %s goes by the number of steps%s, and that of a stream is not known: %s", name,
                        s->row->by_epoch ? " in an epoch" : "",
                        s->row->by_epoch ? "give steps_per_epoch" : "give steps_per_epoch or max_steps");
    GRD_TRY(grd_options_parse(s->host, &s->arena, s->row->options, s->options, name, rest));
    return grd_options_resolve(s->host, s->row->options, s->row->options_size, name, s->options, s->options);
}

grd_status grd_schedule_new(grd_ctx *ctx, const char *spec, double base_lr, int64_t steps_per_epoch, int64_t total_steps,
                            grd_schedule **schedule)
{
    *schedule = NULL;
    grd_schedule *s = GRD_NEW(&ctx->host, grd_schedule);
    if (!s)
        return GRD_ERR_MEMORY;
    s->host = &ctx->host;
    s->base = base_lr;
    s->per_epoch = steps_per_epoch;
    s->total = total_steps;
    s->scale = 1;
    s->best = INFINITY;
    grd_arena_init(&s->arena, s->host);
    grd_adopt(&ctx->root, &s->child, free_schedule);
    grd_status status = set_up(s, spec && *spec ? spec : "constant");
    if (status != GRD_OK) {
        grd_schedule_free(s);
        return status;
    }
    *schedule = s;
    return GRD_OK;
}

double grd_schedule_lr(const grd_schedule *s, int64_t step) { return s->row->lr(s, step); }

void grd_schedule_epoch(grd_schedule *s, double val_loss)
{
    if (s->row->epoch)
        s->row->epoch(s, val_loss);
}

int grd_schedule_save(const grd_schedule *s, double state[8])
{
    const double now[4] = { s->scale, s->best, (double)s->bad, (double)s->cooling };
    memcpy(state, now, sizeof now);
    return 4;
}

void grd_schedule_load(grd_schedule *s, const double *state, int n)
{
    if (n < 4)
        return;
    s->scale = state[0];
    s->best = state[1];
    s->bad = (int64_t)state[2];
    s->cooling = (int64_t)state[3];
}
