#include "plan/model.h"

#include "backend/cpu/kernels.h"
#include "base/parallel.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- initial values: a function of (seed, path, element) only ---- */

static double draw(const grd_init *init, const grd_key *key, int64_t element)
{
    uint32_t word[4];
    grd_random4(key, 0, (uint64_t)element, word);
    double u = grd_uniform(word[0]);
    if (init->kind == GRD_INIT_UNIFORM)
        return init->a + (init->b - init->a) * u;
    double r = sqrt(-2 * log(1 - u)), angle = 6.283185307179586 * grd_uniform(word[1]); /* Box, Muller 1958 */
    return init->a + init->b * r * cos(angle);
}

static void set_value(grd_dtype dtype, void *data, int64_t i, double value)
{
    if (dtype == GRD_F64)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

typedef struct init_job {
    const grd_model *m;
    const grd_param_def *p;
    void *data;
    grd_key key;
    int64_t row; /* elements of one row */
} init_job;

static void uniform_range(const init_job *j, int64_t begin, int64_t end)
{
    enum { MANY = 256 };
    const grd_init *init = &j->p->init;
    uint32_t word[MANY];
    for (int64_t at = begin; at < end; at += MANY) {
        int n = end - at < MANY ? (int)(end - at) : MANY;
        grd_cpu()->random_first(&j->key, 0, (uint64_t)at, n, word);
        for (int i = 0; i < n; i++)
            set_value(j->m->dtype, j->data, at + i, (double)(float)(init->a + (init->b - init->a) * grd_uniform(word[i])));
    }
}

static void initialise_range(void *ctx, int64_t begin, int64_t end)
{
    const init_job *j = ctx;
    const grd_init *init = &j->p->init;
    if (init->kind == GRD_INIT_UNIFORM && !init->zero_row) {
        uniform_range(j, begin, end);
        return;
    }
    for (int64_t e = begin; e < end; e++) {
        bool zero = init->kind == GRD_INIT_ZEROS || (init->zero_row && e / j->row == init->zero_row - 1);
        double value = zero ? 0 : init->kind == GRD_INIT_CONSTANT ? init->a : draw(init, &j->key, e);
        /* through float, so that a float and a double model begin at the same point */
        set_value(j->m->dtype, j->data, e, (double)(float)value);
    }
}

static void initialise(const grd_model *m, int i)
{
    enum { GRAIN = 16384 };
    const grd_param_def *p = &m->graph->params.item[i];
    int64_t n = grd_count(&p->shape);
    init_job job = { m, p, grd_model_tensor(m, i).data, { .seed = grd_hash(m->seed, p->name) },
                     p->shape.rank ? n / p->shape.dim[0] : n };
    grd_parallel_for(m->threads, n, GRAIN, initialise_range, &job);
    size_t element = grd_model_element(m), end = grd_align_up((size_t)n, GRD_PARAM_ALIGN);
    memset((char *)job.data + (size_t)n * element, 0, (end - (size_t)n) * element);
}

/* ---- life ---- */

static void free_model(void *self) { grd_model_free(self); }

static grd_status allocate(grd_model *m)
{
    grd_host *host = &m->ctx->host;
    grd_graph *g = m->graph;
    m->n_tensors = g->params.n;
    m->offset = GRD_NEW_N(host, int64_t, m->n_tensors);
    m->frozen = GRD_NEW_N(host, bool, m->n_tensors);
    if (!m->offset || !m->frozen)
        return GRD_ERR_MEMORY;
    for (int i = 0; i < m->n_tensors; i++) {
        int64_t *end = g->params.item[i].is_state ? &m->state_elements : &m->param_elements;
        m->offset[i] = *end;
        *end += (int64_t)grd_align_up((size_t)grd_count(&g->params.item[i].shape), GRD_PARAM_ALIGN);
        m->n_params += !g->params.item[i].is_state;
    }
    size_t element = grd_model_element(m);
    m->params = grd_alloc_raw(host, (size_t)m->param_elements * element); /* initialise fills it, gaps and all */
    m->grads = grd_alloc(host, (size_t)m->param_elements * element);
    m->states = grd_alloc(host, (size_t)m->state_elements * element);
    return m->params && m->grads && m->states ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_model_new(grd_graph *g, const grd_model_opts *opts, grd_model **model)
{
    static const grd_model_opts defaults;
    *model = NULL;
    grd_ctx *ctx = g->ctx;
    if (g->status != GRD_OK)
        return g->status; /* the message is there */
    if (!opts)
        opts = &defaults;
    if (opts->dtype != GRD_F32 && opts->dtype != GRD_F64)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "model: type %s, expected f32 or f64", grd_dtype_name(opts->dtype));
    if (g->inputs.n > GRD_MAX_INPUTS)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "model: %d inputs, at most %d", g->inputs.n, GRD_MAX_INPUTS);
    grd_model *m = GRD_NEW(&ctx->host, grd_model);
    if (!m)
        return GRD_ERR_MEMORY;
    m->graph = g;
    m->ctx = ctx;
    m->dtype = opts->dtype;
    m->threads = opts->threads > 0 ? opts->threads : ctx->threads;
    m->exact_conv = opts->exact_conv;
    m->low_memory = opts->low_memory;
    m->seed = opts->seed ? opts->seed : ctx->seed;
    snprintf(m->backend, sizeof m->backend, "%s", opts->backend ? opts->backend : ctx->backend);
    snprintf(m->no_fuse, sizeof m->no_fuse, "%s", opts->no_fuse ? opts->no_fuse : "");
    grd_adopt(&g->child, &m->child, free_model);
    grd_status status = grd_plan_check_backend(m);
    if (status == GRD_OK)
        status = allocate(m);
    if (status != GRD_OK) {
        grd_model_free(m);
        return status;
    }
    for (int i = 0; i < m->n_tensors; i++)
        initialise(m, i);
    *model = m;
    return GRD_OK;
}

static void drop_plans(grd_model *m)
{
    for (int i = 0; i < m->plans.n; i++)
        grd_plan_free(m->plans.item[i]);
    m->plans.n = 0;
}

void grd_model_free(grd_model *m)
{
    if (!m)
        return;
    grd_disown(&m->child);
    drop_plans(m);
    grd_host *host = &m->ctx->host;
    void *const owned[] = { m->plans.item, m->offset, m->frozen, m->params, m->grads, m->extra_grads, m->states, m->arena, m };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(host, owned[i]);
}

/* ---- looking at it ---- */

grd_graph *grd_model_graph(const grd_model *m) { return m->graph; }
int grd_model_threads(const grd_model *m) { return m->threads; }
grd_child *grd_model_child(grd_model *m) { return &m->child; }
int grd_model_count(const grd_model *m) { return m->n_tensors; }
void grd_model_touch(grd_model *m) { m->version++; }

grd_tensor grd_model_tensor(const grd_model *m, int i)
{
    if (i < 0 || i >= m->n_tensors)
        return (grd_tensor){ 0 };
    const grd_param_def *p = &m->graph->params.item[i];
    size_t at = (size_t)m->offset[i] * grd_model_element(m);
    return (grd_tensor){ .name = p->name, .shape = p->shape, .dtype = m->dtype, .is_state = p->is_state, .counter = p->counter,
                         .trainable = !p->is_state && !m->frozen[i], .data = (char *)(p->is_state ? m->states : m->params) + at,
                         .grad = p->is_state ? NULL : (char *)m->grads + at, .offset = m->offset[i] };
}

int grd_model_find(const grd_model *m, const char *name)
{
    for (int i = 0; i < m->n_tensors; i++)
        if (strcmp(m->graph->params.item[i].name, name) == 0)
            return i;
    return -1;
}

int64_t grd_model_params(const grd_model *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n_tensors; i++)
        if (!m->graph->params.item[i].is_state)
            n += grd_count(&m->graph->params.item[i].shape);
    return n;
}

void *grd_model_arena(grd_model *m, int64_t *elements)
{
    *elements = m->param_elements;
    return m->params;
}

void *grd_model_grad_arena(grd_model *m) { return m->grads; }

void *grd_model_state_arena(grd_model *m, int64_t *elements)
{
    *elements = m->state_elements;
    return m->states;
}

int grd_model_inputs(const grd_model *m) { return m->graph->inputs.n; }

const char *grd_model_input_name(const grd_model *m, int i)
{
    return i >= 0 && i < m->graph->inputs.n ? m->graph->inputs.item[i].name : NULL;
}

grd_var grd_model_input(const grd_model *m, int i)
{
    return i >= 0 && i < m->graph->inputs.n ? (grd_var){ m->graph, m->graph->inputs.item[i].value } : (grd_var){ NULL, -1 };
}

int grd_model_freeze(grd_model *m, const char *prefix, bool frozen)
{
    size_t n = strlen(prefix);
    int matched = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        const char *name = m->graph->params.item[i].name;
        if (n && (strncmp(name, prefix, n) != 0 || (name[n] != '.' && name[n] != 0)))
            continue;
        m->frozen[i] = frozen;
        matched += !m->graph->params.item[i].is_state;
    }
    drop_plans(m);
    return matched;
}

/* ---- plans ---- */

grd_status grd_model_reserve(grd_model *m, size_t bytes)
{
    if (bytes <= m->arena_bytes)
        return GRD_OK;
    grd_host *host = &m->ctx->host;
    grd_free(host, m->arena); /* its values end with the next run anyway */
    m->arena_bytes = 0;
    m->arena = grd_alloc_raw(host, bytes); /* steps write what others read */
    if (!m->arena)
        return GRD_ERR_MEMORY;
    m->arena_bytes = bytes;
    return GRD_OK;
}

grd_status grd_model_plan(grd_model *m, const grd_compile_opts *opts, const grd_shape *input_shape, grd_plan **plan)
{
    *plan = NULL;
    grd_host *host = &m->ctx->host;
    if (m->graph->status != GRD_OK)
        return m->graph->status;
    if (m->graph->params.n != m->n_tensors)
        return grd_fail(host, GRD_ERR_ARG, "model: the graph got new parameters after the model was made");
    for (int i = 0; i < m->plans.n; i++) {
        if (grd_plan_matches(m->plans.item[i], opts, input_shape)) {
            *plan = m->plans.item[i];
            return GRD_OK;
        }
    }
    if (m->plans.n == GRD_MAX_PLANS) {
        grd_plan_free(m->plans.item[0]);
        memmove(m->plans.item, m->plans.item + 1, sizeof *m->plans.item * (GRD_MAX_PLANS - 1));
        m->plans.n--;
    }
    if (!GRD_RESERVE(host, &m->plans))
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_plan_compile(m, opts, input_shape, plan));
    m->plans.item[m->plans.n++] = *plan;
    return GRD_OK;
}
