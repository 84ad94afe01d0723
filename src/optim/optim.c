/* One update in one pass: gradients are divided, cut, clipped, decayed and applied by a single kernel over runs of trainable
 * parameters that have moved equally often; a moving average takes each block while it is in the cache. The norm is summed in
 * blocks of fixed size, in order, whatever the thread count. */
#include "base/options.h"
#include "base/parallel.h"
#include "optim/rows.h"
#include "plan/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Elements: of a partial sum, of a thread's share, of a block that is averaged before the next is updated. */
enum { BLOCK = 8192, GRAIN = 32768, CACHED = 1024 };

struct grd_optim {
    grd_child child;
    grd_model *model;
    grd_host *host;
    const optim_row *row;
    _Alignas(16) char options[GRD_OPTIM_MAX_OPTIONS];
    grd_arena arena;
    int n_moments;
    void *moment[GRD_MAX_MOMENTS];
    int64_t *steps;
    double *partial;  /* sums of squares, one per block */
    void *ema;        /* moving average of the parameters; NULL: none is kept */
    double ema_decay;
    int64_t ema_steps;
};

/* ---- life ---- */

static void free_optim(void *self) { grd_optim_free(self); }

void grd_optim_free(grd_optim *o)
{
    if (!o)
        return;
    grd_disown(&o->child);
    grd_host *host = o->host;
    for (int k = 0; k < GRD_MAX_MOMENTS; k++)
        grd_free(host, o->moment[k]);
    grd_free(host, o->steps);
    grd_free(host, o->partial);
    grd_free(host, o->ema);
    grd_arena_free(&o->arena);
    grd_free(host, o);
}

static grd_status find_row(grd_host *host, const char *name, const optim_row **row)
{
    grd_nearest nearest = { name, NULL, 0 };
    for (const optim_row *const *r = grd_optim_rows; *r; r++) {
        if (strcmp((*r)->name, name) == 0) {
            *row = *r;
            return GRD_OK;
        }
        grd_nearest_try(&nearest, (*r)->name);
    }
    char hint[80];
    return grd_fail(host, GRD_ERR_CONFIG, "optim: no optimizer \"%s\"%s", name, grd_nearest_text(&nearest, hint, sizeof hint));
}

static grd_status set_up(grd_optim *o, const char *spec)
{
    char name[32];
    const char *rest = grd_spec_name(spec, name, sizeof name);
    GRD_TRY(find_row(o->host, name, &o->row));
    GRD_TRY(grd_options_parse(o->host, &o->arena, o->row->options, o->options, name, rest));
    GRD_TRY(grd_options_resolve(o->host, o->row->options, o->row->options_size, name, o->options, o->options));
    const char *clash = o->row->check ? o->row->check(o->options) : NULL;
    if (clash)
        return grd_fail(o->host, GRD_ERR_CONFIG, "%s: %s", name, clash);
    int64_t n = o->model->param_elements;
    o->n_moments = o->row->n_moments(o->options);
    for (int k = 0; k < o->n_moments; k++)
        if (!(o->moment[k] = grd_alloc(o->host, (size_t)n * grd_model_element(o->model))))
            return GRD_ERR_MEMORY;
    o->steps = GRD_NEW_N(o->host, int64_t, o->model->n_tensors);
    o->partial = GRD_NEW_N(o->host, double, n / BLOCK + 1);
    return o->steps && o->partial ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_optim_new(grd_model *m, const char *spec, grd_optim **optim)
{
    *optim = NULL;
    grd_host *host = &m->ctx->host;
    grd_optim *o = GRD_NEW(host, grd_optim);
    if (!o)
        return GRD_ERR_MEMORY;
    o->model = m;
    o->host = host;
    grd_arena_init(&o->arena, host);
    grd_adopt(grd_model_child(m), &o->child, free_optim);
    grd_status status = set_up(o, spec);
    if (status != GRD_OK) {
        grd_optim_free(o);
        return status;
    }
    *optim = o;
    return GRD_OK;
}

grd_status grd_optim_set_ema(grd_optim *o, double decay)
{
    if (!(decay > 0 && decay < 1))
        return grd_fail(o->host, GRD_ERR_ARG, "optim: ema: %g, expected a decay above 0 and below 1", decay);
    size_t bytes = (size_t)o->model->param_elements * grd_model_element(o->model);
    if (!o->ema && !(o->ema = grd_alloc(o->host, bytes)))
        return GRD_ERR_MEMORY;
    memcpy(o->ema, o->model->params, bytes);
    o->ema_decay = decay;
    o->ema_steps = 0;
    return GRD_OK;
}

/* ---- looking at it ---- */

const char *grd_optim_name(const grd_optim *o) { return o->row->name; }
double grd_optim_lr(const grd_optim *o) { return o->row->lr(o->options); }
int grd_optim_moments(const grd_optim *o) { return o->n_moments; }
const char *grd_optim_moment_name(const grd_optim *o, int k) { return k >= 0 && k < o->n_moments ? o->row->moments[k] : NULL; }
void *grd_optim_moment(grd_optim *o, int k) { return k >= 0 && k < o->n_moments ? o->moment[k] : NULL; }
int64_t *grd_optim_steps(grd_optim *o) { return o->steps; }
void *grd_optim_ema(grd_optim *o) { return o->ema; }
int64_t *grd_optim_ema_steps(grd_optim *o) { return &o->ema_steps; }

double grd_optim_moved_bytes(const grd_optim *o)
{
    double elements = 0;
    for (int i = 0; i < o->model->n_tensors; i++) {
        grd_tensor t = grd_model_tensor(o->model, i);
        elements += t.trainable ? (double)grd_count(&t.shape) : 0;
    }
    return elements * (3 + 2 * o->n_moments + 2 * (o->ema != NULL)) * (double)grd_model_element(o->model);
}

const grd_option *grd_optim_options(const grd_optim *o, const void **values)
{
    *values = o->options;
    return o->row->options;
}

/* ---- runs of parameters ---- */

typedef struct run { int first, next; int64_t begin, end; } run; /* parameters first..next-1, elements begin..end-1 */

typedef enum which {
    TRAINED,       /* trainable parameters */
    TRAINED_ALIKE, /* and of one step count */
    RESTING        /* frozen ones that have moved before */
} which;

static bool belongs(const grd_optim *o, const grd_tensor *t, int i, which kind)
{
    return kind == RESTING ? !t->is_state && !t->trainable && o->steps[i] > 0 : t->trainable;
}

/* The next run of parameters of this kind after `r`. */
static bool next_run(const grd_optim *o, which kind, run *r)
{
    const grd_model *m = o->model;
    int i = r->next;
    for (; i < m->n_tensors; i++) {
        grd_tensor t = grd_model_tensor(m, i);
        if (belongs(o, &t, i, kind))
            break;
    }
    if (i == m->n_tensors)
        return false;
    r->first = i;
    r->begin = m->offset[i];
    for (; i < m->n_tensors; i++) {
        grd_tensor t = grd_model_tensor(m, i);
        if (t.is_state) /* states lie in another arena: between parameters of one run there is nothing */
            continue;
        if (!belongs(o, &t, i, kind) || (kind == TRAINED_ALIKE && o->steps[i] != o->steps[r->first]))
            break;
        r->end = t.offset + grd_count(&t.shape);
    }
    r->next = i;
    return true;
}

/* ---- norm ---- */

typedef struct norm_job {
    const grd_optim *o;
    const char *g;
    int64_t n;
    double scale, clip_value, *partial;
    const grd_cpu_table *cpu;
} norm_job;

static void norm_blocks(void *ctx, int64_t begin, int64_t end)
{
    const norm_job *j = ctx;
    bool wide = j->o->model->dtype == GRD_F64;
    for (int64_t b = begin; b < end; b++) {
        int64_t n = j->n - b * BLOCK < BLOCK ? j->n - b * BLOCK : BLOCK;
        const void *at = j->g + (size_t)(b * BLOCK) * grd_model_element(j->o->model);
        j->partial[b] = (wide ? j->cpu->squares_f64 : j->cpu->squares_f32)(at, n, j->scale, j->clip_value);
    }
}

static double gradient_norm(grd_optim *o, const grd_cpu_table *cpu, double scale, double clip_value)
{
    double sum = 0;
    run r = { 0 };
    while (next_run(o, TRAINED, &r)) {
        const char *g = (const char *)o->model->grads + (size_t)r.begin * grd_model_element(o->model);
        norm_job job = { o, g, r.end - r.begin, scale, clip_value, o->partial, cpu };
        int64_t blocks = (job.n + BLOCK - 1) / BLOCK;
        grd_parallel_for(o->model->threads, blocks, GRAIN / BLOCK, norm_blocks, &job);
        for (int64_t b = 0; b < blocks; b++)
            sum += o->partial[b];
    }
    return sqrt(sum);
}

static grd_status not_finite(const grd_optim *o, double norm)
{
    for (int i = 0; i < o->model->n_tensors; i++) {
        grd_tensor t = grd_model_tensor(o->model, i);
        int64_t n = grd_count(&t.shape);
        for (int64_t e = 0; t.trainable && e < n; e++) {
            double g = t.dtype == GRD_F64 ? ((const double *)t.grad)[e] : (double)((const float *)t.grad)[e];
            if (!isfinite(g))
                return grd_fail(o->host, GRD_ERR_NUMBER,
                                "optim: the gradient of \"%s\" is %g at element %lld; nothing was updated", t.name, g,
                                (long long)e);
        }
    }
    return grd_fail(o->host, GRD_ERR_NUMBER, "optim: the gradient norm is %g; nothing was updated", norm);
}

/* ---- update ---- */

typedef struct step_range {
    void (*kernel)(const grd_step_job *, int64_t, int64_t);              /* NULL: nothing is updated */
    void (*average)(void *, const void *, double, int64_t, int64_t);     /* NULL: no average is kept */
    const grd_step_job *job;
    void *ema;
    double share;  /* 1 - decay */
    int64_t from;
} step_range;

static void update_range(void *ctx, int64_t begin, int64_t end)
{
    const step_range *r = ctx;
    r->kernel(r->job, r->from + begin, r->from + end);
}

/* The average takes what the update has just written: memory is read and written once. */
static void update_and_average_range(void *ctx, int64_t begin, int64_t end)
{
    const step_range *r = ctx;
    for (int64_t at = r->from + begin, last = r->from + end; at < last; at += CACHED) {
        int64_t next = last - at < CACHED ? last : at + CACHED;
        if (r->kernel)
            r->kernel(r->job, at, next);
        r->average(r->ema, r->job->p, r->share, at, next);
    }
}

/* All runs of a step. In the first that an average sees there is nothing to average with: it copies. */
static void update_all(grd_optim *o, double lr, grd_step_job *job)
{
    grd_model *m = o->model;
    const grd_cpu_table *cpu = grd_cpu();
    bool wide = m->dtype == GRD_F64, average = o->ema && o->ema_steps > 0;
    step_range range = { .job = job, .average = wide ? cpu->average_f64 : cpu->average_f32, .ema = o->ema,
                         .share = 1 - o->ema_decay };
    run r = { 0 };
    while (average && next_run(o, RESTING, &r)) {
        range.from = r.begin;
        grd_parallel_for(m->threads, r.end - r.begin, GRAIN, update_and_average_range, &range);
    }
    range.kernel = o->row->kernel(cpu, wide);
    r = (run){ 0 };
    while (next_run(o, TRAINED_ALIKE, &r)) {
        o->row->prepare(o->options, lr, o->steps[r.first] + 1, job);
        range.from = r.begin;
        grd_parallel_for(m->threads, r.end - r.begin, GRAIN, average ? update_and_average_range : update_range, &range);
        for (int i = r.first; i < r.next; i++)
            o->steps[i] += !m->graph->params.item[i].is_state;
    }
    if (o->ema && o->ema_steps++ == 0)
        memcpy(o->ema, m->params, (size_t)m->param_elements * grd_model_element(m));
}

grd_status grd_optim_step(grd_optim *o, const grd_step_opts *opts, double *norm_out)
{
    grd_model *m = o->model;
    const grd_cpu_table *cpu = grd_cpu();
    grd_step_job job = { .p = m->params,
                         .g = m->grads,
                         .scale = 1 / (opts->weight != 0 ? opts->weight : 1),
                         .clip_value = opts->clip_value,
                         .factor = 1 };
    for (int k = 0; k < o->n_moments; k++)
        job.m[k] = o->moment[k];
    /* checked on the gradients as they are: cutting would hide an infinity */
    double raw = gradient_norm(o, cpu, job.scale, 0);
    if (!isfinite(raw))
        return not_finite(o, raw);
    double norm = opts->clip_value > 0 ? gradient_norm(o, cpu, job.scale, opts->clip_value) : raw;
    if (norm_out)
        *norm_out = raw;
    if (opts->clip_norm > 0 && norm > opts->clip_norm)
        job.factor = opts->clip_norm / (norm + 1e-6);
    update_all(o, opts->lr == GRD_ZERO ? 0 : opts->lr != 0 ? opts->lr : grd_optim_lr(o), &job);
    grd_model_touch(m);
    return GRD_OK;
}
