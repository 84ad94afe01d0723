/* A run from its config: folders, stages in order, evaluation, checks and the step benchmark. */
#define _GNU_SOURCE
#include "config/pipeline.h"

#include "base/file.h"
#include "plan/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

void grd_pipeline_say(const grd_pipeline *p, const char *format, ...)
{
    if (!p->opts.out)
        return;
    va_list args;
    va_start(args, format);
    vfprintf(p->opts.out, format, args);
    va_end(args);
    fputc('\n', p->opts.out);
    fflush(p->opts.out);
}

/* ---- opening ---- */

static void free_pipeline(void *self) { grd_pipeline_free(self); }

void grd_pipeline_free(grd_pipeline *p)
{
    if (!p)
        return;
    grd_disown(&p->child);
    grd_host *host = p->host;
    grd_arena_free(&p->arena);
    grd_free(host, p->confusion);
    grd_free(host, p);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* "recipes/mnist.yaml" -> "mnist" */
static void name_from_path(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
}

static grd_status read_config(grd_pipeline *p, const char *path)
{
    char config[1200];
    p->resumes = is_folder(path);
    snprintf(config, sizeof config, "%s%s", path, p->resumes ? "/config.yaml" : "");
    if (p->resumes && !grd_file_exists(config))
        return grd_fail(p->host, GRD_ERR_CONFIG, "%s: not a run: it has no config.yaml", path);
    const char *kept = grd_arena_strdup(&p->arena, config);
    if (!kept)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_config_load(&p->config, &p->arena, kept, p->opts.overrides, p->opts.n_overrides));
    for (int i = 0; i < p->config.n_stages; i++) {
        p->stage[i] = (grd_stage){ .pipeline = p, .config = &p->config.stage[i], .index = i };
        GRD_TRY(grd_stage_read(&p->stage[i]));
        p->stage[i].result = (grd_stage_result){ .name = p->config.stage[i].name, .linear = p->stage[i].linear, .val_loss = NAN };
    }
    const grd_run_section *run = &p->stage[0].run;
    if (run->name)
        snprintf(p->name, sizeof p->name, "%s", run->name);
    else
        name_from_path(path, p->name, sizeof p->name);
    if (!p->resumes)
        return GRD_OK;
    snprintf(p->dir, sizeof p->dir, "%s", path);
    for (size_t n = strlen(p->dir); n > 1 && p->dir[n - 1] == '/'; n--)
        p->dir[n - 1] = 0;
    for (int i = 0; i < p->config.n_stages; i++)
        GRD_TRY(grd_stage_load_result(&p->stage[i]));
    return GRD_OK;
}

static grd_status keep_overrides(grd_pipeline *p)
{
    const char **copy = grd_arena_alloc(&p->arena, sizeof *copy * (size_t)(p->opts.n_overrides + 1));
    for (int i = 0; copy && i < p->opts.n_overrides; i++)
        if (!(copy[i] = grd_arena_strdup(&p->arena, p->opts.overrides[i])))
            return GRD_ERR_MEMORY;
    p->opts.overrides = copy;
    return copy ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_pipeline_open(grd_ctx *ctx, const char *path, const grd_pipeline_opts *opts, grd_pipeline **pipeline)
{
    *pipeline = NULL;
    grd_pipeline *p = GRD_NEW(&ctx->host, grd_pipeline);
    if (!p)
        return GRD_ERR_MEMORY;
    p->ctx = ctx;
    p->host = &ctx->host;
    if (opts)
        p->opts = *opts;
    grd_arena_init(&p->arena, p->host);
    grd_adopt(&ctx->root, &p->child, free_pipeline);
    grd_status status = keep_overrides(p);
    if (status == GRD_OK)
        status = read_config(p, path);
    if (status != GRD_OK) {
        grd_pipeline_free(p);
        return status;
    }
    *pipeline = p;
    return GRD_OK;
}

const char *grd_pipeline_dir(const grd_pipeline *p) { return p->dir; }
const char *grd_pipeline_name(const grd_pipeline *p) { return p->name; }
int grd_pipeline_stages(const grd_pipeline *p) { return p->config.n_stages; }
const char *grd_pipeline_stage(const grd_pipeline *p, int i) { return i >= 0 && i < p->config.n_stages ? p->config.stage[i].name : NULL; }
const grd_stage_result *grd_pipeline_result(const grd_pipeline *p, int i) { return i >= 0 && i < p->config.n_stages ? &p->stage[i].result : NULL; }

/* ---- the run's folder ---- */

static grd_status choose_dir(grd_pipeline *p)
{
    const char *wanted = p->stage[0].run.dir;
    char config[1200];
    if (wanted) {
        snprintf(p->dir, sizeof p->dir, "%s", wanted);
        snprintf(config, sizeof config, "%s/config.yaml", wanted);
        if (grd_file_exists(config))
            return grd_fail(p->host, GRD_ERR_CONFIG, "%s: there is a run in this folder; to go on with it: gradus train %s", wanted, wanted);
        return GRD_OK;
    }
    if (!grd_good_name(p->name))
        return grd_fail(p->host, GRD_ERR_CONFIG, "run: name: \"%s\": expected letters, digits, _ and -", p->name);
    for (int k = 1; k < 100000; k++) {
        snprintf(p->dir, sizeof p->dir, k > 1 ? "runs/%s-%d" : "runs/%s", p->name, k);
        if (!grd_file_exists(p->dir))
            return GRD_OK;
    }
    return grd_fail(p->host, GRD_ERR_IO, "runs/%s: no free number", p->name);
}

static grd_status write_config(grd_pipeline *p)
{
    char path[1200], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/config.yaml", p->dir);
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return grd_fail(p->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    grd_config_print(&p->config, memory);
    bool written = fclose(memory) == 0;
    grd_status status = written ? grd_file_write(p->host, path, text, size) : grd_fail(p->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    free(text);
    return status;
}

/* Everything that can be wrong before the first step is found before the first step: of all stages, data and model. */
static grd_status try_stages(grd_pipeline *p)
{
    for (int i = 0; i < p->config.n_stages; i++) {
        grd_stage_data data;
        grd_stage_net net;
        if (p->stage[i].result.done)
            continue;
        GRD_TRY(grd_stage_open_data(&p->stage[i], &data));
        grd_status status = GRD_OK;
        if (!p->stage[i].linear) {
            status = grd_stage_build(&p->stage[i], &data, GRD_F32, &net);
            if (status == GRD_OK)
                grd_stage_free_net(&net);
        }
        grd_stage_close_data(&data);
        GRD_TRY(status);
    }
    return GRD_OK;
}

/* ---- train ---- */

static void log_line(grd_pipeline *p, const char *line)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/run.log", p->dir);
    FILE *log = fopen(path, "a");
    if (!log)
        return; /* a lost line of the log is no reason to stop */
    time_t now = time(NULL);
    struct tm t;
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime_r(&now, &t));
    fprintf(log, "%s %s\n", when, line);
    fclose(log);
}

static grd_status run_stages(grd_pipeline *p)
{
    for (int i = 0; i < p->config.n_stages; i++) {
        grd_stage *s = &p->stage[i];
        char line[1000];
        if (s->result.done) {
            grd_pipeline_say(p, "[%d/%d] %s: done before", i + 1, p->config.n_stages, s->config->name);
            continue;
        }
        if (!p->config.plain)
            grd_pipeline_say(p, "[%d/%d] %s", i + 1, p->config.n_stages, s->config->name);
        snprintf(line, sizeof line, "%s: begins", s->config->name);
        log_line(p, line);
        grd_status status = grd_stage_run(s);
        snprintf(line, sizeof line, "%s: %s", s->config->name, status == GRD_OK ? "done" : p->host->err.text);
        log_line(p, line);
        GRD_TRY(status);
    }
    return GRD_OK;
}

grd_status grd_pipeline_train(grd_pipeline *p)
{
    if (!p->resumes)
        GRD_TRY(choose_dir(p));
    GRD_TRY(try_stages(p));
    GRD_TRY(grd_make_dirs(p->host, p->dir));
    if (!p->resumes)
        GRD_TRY(write_config(p));
    grd_pipeline_say(p, "%s run %s in %s", p->resumes ? "going on with" : "new", p->name, p->dir);
    GRD_TRY(run_stages(p));
    grd_results_table(p);
    return grd_results_pictures(p);
}

/* ---- eval ---- */

static grd_status eval_linear(grd_stage *s, const grd_dataset *data, grd_metric *values, int *n)
{
    (void)data;
    (void)values;
    *n = 0;
    return grd_fail(s->pipeline->host, GRD_ERR_UNSUPPORTED, "stage \"%s\" is linear in closed form: its test result is in done.json; eval looks at trained models",
                    s->config->name);
}

static grd_status eval_net(grd_stage *s, const grd_stage_data *all, const grd_dataset *data, grd_metric *values, int *n, int64_t *classes)
{
    grd_pipeline *p = s->pipeline;
    grd_stage_net net;
    char path[1200];
    int loaded;
    GRD_TRY(grd_stage_build(s, all, GRD_F32, &net));
    grd_eval_opts o = { .loss = net.loss, .data = data, .batch = s->run.eval_batch ? s->run.eval_batch : 256, .workers = (int)s->data.workers,
                        .confusion = GRD_NONE };
    for (int i = 0; i < net.n_metrics; i++) {
        o.metrics[i] = net.metric[i];
        o.metric_names[i] = net.metric_name[i];
    }
    grd_shape out = grd_var_shape(net.output);
    grd_status status = grd_stage_path(s, "best.pth", path);
    *classes = strcmp(net.loss_op, "cross_entropy") == 0 || strcmp(net.loss_op, "focal") == 0 ? out.dim[1] : 0;
    if (status == GRD_OK && *classes) {
        grd_free(p->host, p->confusion);
        p->confusion = GRD_NEW_N(p->host, int64_t, *classes * *classes);
        o.confusion_out = p->confusion;
        o.confusion = grd_confusion(net.output, grd_find_input(net.graph, net.target), NULL);
        status = p->confusion && grd_valid(o.confusion) ? GRD_OK : GRD_ERR_MEMORY;
    }
    if (status == GRD_OK)
        status = grd_model_load(net.model, path, NULL, &loaded);
    if (status == GRD_OK)
        status = grd_evaluate(net.model, &o, values, n);
    for (int i = 0; status == GRD_OK && i < *n; i++)
        values[i].name = grd_arena_strdup(&p->arena, values[i].name);
    grd_stage_free_net(&net);
    return status;
}

grd_status grd_pipeline_eval(grd_pipeline *p, const char *name, const char *split, grd_metric *values, int *n, const int64_t **confusion, int64_t *classes)
{
    grd_stage *s;
    grd_stage_data data;
    int64_t found = 0;
    *n = 0;
    if (!p->resumes)
        return grd_fail(p->host, GRD_ERR_CONFIG, "%s: eval needs the folder of a run", p->config.path);
    GRD_TRY(grd_stage_find(p, name, &s));
    split = split ? split : "test";
    GRD_TRY(grd_stage_open_data(s, &data));
    const grd_dataset *set = strcmp(split, "train") == 0 ? data.train : strcmp(split, "val") == 0 ? data.val : strcmp(split, "test") == 0 ? data.test : NULL;
    grd_status status;
    if (!set)
        status = grd_fail(p->host, GRD_ERR_CONFIG, "eval: split \"%s\": this stage has %s%s%s", split, "train", data.val ? ", val" : "", data.test ? ", test" : "");
    else
        status = s->linear ? eval_linear(s, set, values, n) : eval_net(s, &data, set, values, n, &found);
    grd_stage_close_data(&data);
    if (confusion)
        *confusion = found ? p->confusion : NULL;
    if (classes)
        *classes = found;
    return status;
}

/* ---- check, gradcheck, bench: one batch of a stage ---- */

typedef struct one_batch { grd_loader *loader; const grd_batch *batch; grd_shape shape[GRD_MAX_INPUTS]; const void *input[GRD_MAX_INPUTS]; } one_batch;

static grd_status take_batch(grd_stage *s, const grd_stage_data *data, const grd_model *model, int64_t size, one_batch *b)
{
    memset(b, 0, sizeof *b);
    GRD_TRY(grd_loader_new(s->pipeline->ctx, data->train, &(grd_loader_opts){ .batch = size, .seed = (uint64_t)s->run.seed }, &b->loader));
    grd_status status = grd_loader_start(b->loader, 0, 0);
    if (status == GRD_OK)
        status = grd_loader_next(b->loader, &b->batch);
    for (int i = 0; status == GRD_OK && i < grd_model_inputs(model); i++)
        for (int f = 0; f < b->batch->n_fields; f++)
            if (strcmp(b->batch->field[f].name, grd_model_input_name(model, i)) == 0) {
                b->shape[i] = b->batch->shape[f];
                b->input[i] = b->batch->data[f];
            }
    if (status != GRD_OK)
        grd_loader_free(b->loader);
    return status;
}

static grd_status check_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, FILE *out)
{
    one_batch b;
    grd_plan *plan;
    int64_t size = s->run.batch < grd_dataset_length(data->train) ? s->run.batch : grd_dataset_length(data->train);
    GRD_TRY(take_batch(s, data, net->model, size, &b));
    grd_compile_opts opts = { .train = true, .loss = net->loss, .backward = true };
    grd_status status = grd_model_plan(net->model, &opts, b.shape, &plan);
    if (status == GRD_OK) {
        grd_graph_print(net->model, plan, out);
        fprintf(out, "\ntraining step, batch %lld, %d threads:\n", (long long)size, net->model->threads);
        grd_plan_print(plan, out);
        grd_plan_info info = grd_plan_describe(plan);
        fprintf(out, "parameters %zu bytes, gradients %zu bytes, state %zu bytes; values %zu bytes\n", info.param_bytes, info.grad_bytes, info.state_bytes,
                info.arena_bytes);
    }
    grd_loader_free(b.loader);
    return status;
}

grd_status grd_pipeline_check(grd_pipeline *p, FILE *out, int *findings)
{
    *findings = 0;
    for (int i = 0; i < p->config.n_stages; i++) {
        grd_stage *s = &p->stage[i];
        grd_stage_data data;
        grd_stage_net net;
        GRD_TRY(grd_stage_open_data(s, &data));
        fprintf(out, "%sstage %s: %lld samples to train on, %lld to choose by, %lld to test on\n", i ? "\n" : "", s->config->name,
                (long long)grd_dataset_length(data.train), data.val ? (long long)grd_dataset_length(data.val) : 0LL,
                data.test ? (long long)grd_dataset_length(data.test) : 0LL);
        for (int f = 0; f < data.n_fields; f++) {
            char shape[80];
            fprintf(out, "  field %s: %s %s\n", data.field[f].name, grd_dtype_name(data.field[f].dtype), grd_shape_text(&data.field[f].shape, shape, sizeof shape));
        }
        grd_status status = grd_dataset_verify(p->ctx, data.train, NULL, 0);
        if (status == GRD_OK && s->linear) {
            fprintf(out, "  ridge regression in closed form\n");
        } else if (status == GRD_OK) {
            status = grd_stage_build(s, &data, GRD_F32, &net);
            if (status == GRD_OK) {
                status = check_net(s, &data, &net, out);
                if (status == GRD_OK)
                    *findings += grd_doctor(s, &data, &net, out);
                grd_stage_free_net(&net);
            }
        }
        grd_stage_close_data(&data);
        GRD_TRY(status);
    }
    return GRD_OK;
}

static grd_status gradcheck_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, grd_gradcheck_result *results, int most, int *n)
{
    grd_pipeline *p = s->pipeline;
    one_batch b;
    int64_t size = grd_dataset_length(data->train) < 4 ? grd_dataset_length(data->train) : 4;
    if (grd_model_count(net->model) > most)
        return grd_fail(p->host, GRD_ERR_ARG, "gradient check: %d parameters, room for %d", grd_model_count(net->model), most);
    GRD_TRY(take_batch(s, data, net->model, size, &b));
    grd_run run = { .no_commit = true };
    grd_arena wide;
    grd_arena_init(&wide, p->host);
    for (int i = 0; i < grd_model_inputs(net->model); i++) {
        run.input[i] = b.input[i];
        if (net->graph->inputs.item[i].dtype != GRD_F32 || !b.input[i])
            continue;
        int64_t count = grd_count(&b.shape[i]);
        double *copy = grd_arena_alloc(&wide, sizeof(double) * (size_t)count);
        for (int64_t e = 0; copy && e < count; e++)
            copy[e] = ((const float *)b.input[i])[e];
        run.input[i] = copy;
    }
    grd_status status = grd_gradcheck_model(net->model, net->loss, b.shape, &run, 8, results, n);
    for (int i = 0; i < *n; i++)
        results[i].name = grd_arena_strdup(&p->arena, results[i].name);
    grd_arena_free(&wide);
    grd_loader_free(b.loader);
    return status;
}

grd_status grd_pipeline_gradcheck(grd_pipeline *p, const char *name, grd_gradcheck_result *results, int most, int *n)
{
    grd_stage *s;
    grd_stage_data data;
    grd_stage_net net;
    *n = 0;
    GRD_TRY(grd_stage_find(p, name, &s));
    if (s->linear)
        return GRD_OK; /* nothing is learned by gradients */
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_build(s, &data, GRD_F64, &net);
    if (status == GRD_OK) {
        status = gradcheck_net(s, &data, &net, results, most, n);
        grd_stage_free_net(&net);
    }
    grd_stage_close_data(&data);
    return status;
}

/* ---- bench ---- */

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { WARM_UP = 5, MOST_STEPS = 20000 };

static grd_status time_steps(grd_stage *s, const grd_stage_net *net, grd_plan *plan, grd_optim *optim, const one_batch *b, double length, double *ms, int64_t *n)
{
    double end = 0;
    for (*n = -WARM_UP; *n < MOST_STEPS && (*n < 10 || seconds_now() < end); ++*n) {
        double begin = seconds_now(), sum, weight;
        if (*n == 0)
            end = begin + length;
        grd_run run = { .step = (uint64_t)(*n + WARM_UP) };
        memcpy(run.input, b->input, sizeof run.input);
        GRD_TRY(grd_plan_run(plan, &run));
        grd_plan_loss(plan, &sum, &weight);
        GRD_TRY(grd_optim_step(optim, &(grd_step_opts){ .weight = weight, .clip_norm = s->train.clip_norm, .clip_value = s->train.clip_value }, NULL));
        if (*n >= 0)
            ms[*n] = (seconds_now() - begin) * 1e3;
    }
    (void)net;
    return GRD_OK;
}

static grd_status bench_net(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net, double length, grd_bench_result *r, FILE *profile)
{
    grd_pipeline *p = s->pipeline;
    one_batch b;
    grd_plan *plan;
    grd_optim *optim;
    GRD_TRY(take_batch(s, data, net->model, s->run.batch, &b));
    double *ms = GRD_NEW_N(p->host, double, MOST_STEPS);
    grd_compile_opts opts = { .train = true, .loss = net->loss, .backward = true, .flags = profile ? GRD_PLAN_PROFILE : 0 };
    grd_status status = ms ? grd_model_plan(net->model, &opts, b.shape, &plan) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_optim_new(net->model, s->optim, &optim);
    if (status == GRD_OK)
        status = time_steps(s, net, plan, optim, &b, length, ms, &r->steps);
    if (status == GRD_OK) {
        qsort(ms, (size_t)r->steps, sizeof *ms, by_value);
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        r->workload = p->name;
        r->threads = net->model->threads;
        r->median_ms = ms[r->steps / 2];
        r->min_ms = ms[0];
        r->params = grd_model_params(net->model);
        r->rss_mib = (double)usage.ru_maxrss / 1024;
        if (profile)
            grd_plan_profile(plan, profile);
    }
    grd_free(p->host, ms);
    grd_loader_free(b.loader);
    return status;
}

grd_status grd_pipeline_bench(grd_pipeline *p, double length, grd_bench_result *result, FILE *profile)
{
    grd_stage *s = &p->stage[0];
    grd_stage_data data;
    grd_stage_net net;
    memset(result, 0, sizeof *result);
    if (s->linear)
        return grd_fail(p->host, GRD_ERR_CONFIG, "bench: the first stage is linear in closed form: it has no steps");
    GRD_TRY(grd_stage_open_data(s, &data));
    grd_status status = grd_stage_build(s, &data, GRD_F32, &net);
    if (status == GRD_OK) {
        status = bench_net(s, &data, &net, length, result, profile);
        grd_stage_free_net(&net);
    }
    grd_stage_close_data(&data);
    return status;
}
