/* A run from its config: opening it, its folder, its stages in order. */
#define _GNU_SOURCE
#include "config/pipeline.h"

#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- what is said: to the caller's file and to RUN/run.log ---- */

static void log_line(const grd_pipeline *p, const char *line)
{
    char path[1200], when[32];
    snprintf(path, sizeof path, "%s/run.log", p->dir);
    FILE *log = p->logs ? fopen(path, "a") : NULL;
    if (!log)
        return; /* a lost line of the log is no reason to stop */
    time_t now = time(NULL);
    struct tm t;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime_r(&now, &t));
    fprintf(log, "%s %s\n", when, line);
    fclose(log);
}

void grd_pipeline_say(const grd_pipeline *p, const char *format, ...)
{
    char line[1600];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_line(p, line);
    if (!p->opts.out)
        return;
    fprintf(p->opts.out, "%s\n", line);
    fflush(p->opts.out);
}

/* ---- opening ---- */

void grd_pipeline_free_child(void *self)
{
    grd_pipeline_free(self);
}

void grd_pipeline_free(grd_pipeline *p)
{
    if (!p)
        return;
    grd_disown(&p->child);
    grd_host *host = p->host;
    grd_drop_kept(p);
    grd_arena_free(&p->arena);
    grd_free(host, p->confusion);
    grd_free(host, p);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* "recipes/mnist.v2.yaml" -> "mnist_v2" */
static void name_from_path(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : path);
    name[strlen(name) > 64 ? 64 : strlen(name)] = 0;
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
    for (char *c = name; *c; c++) {
        char letter[2] = { *c, 0 };
        if (!grd_good_name(letter))
            *c = '_';
    }
}

static grd_status read_config(grd_pipeline *p, const char *path)
{
    char config[1200];
    p->resumes = is_folder(path);
    if (strlen(path) >= sizeof p->dir)
        return grd_fail(p->host, GRD_ERR_CONFIG, "%.60s...: the path is too long", path);
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
    grd_adopt(&ctx->root, &p->child, grd_pipeline_free_child);
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

const char *grd_pipeline_dir(const grd_pipeline *p)
{
    return p->dir;
}
const char *grd_pipeline_name(const grd_pipeline *p)
{
    return p->name;
}
int grd_pipeline_stages(const grd_pipeline *p)
{
    return p->config.n_stages;
}
const char *grd_pipeline_stage(const grd_pipeline *p, int i)
{
    return i >= 0 && i < p->config.n_stages ? p->config.stage[i].name : NULL;
}
const grd_stage_result *grd_pipeline_result(const grd_pipeline *p, int i)
{
    return i >= 0 && i < p->config.n_stages ? &p->stage[i].result : NULL;
}

/* ---- the run's folder ---- */

/* A folder that is given must not hold a run; known before any work is done. */
static grd_status check_dir(grd_pipeline *p)
{
    const char *wanted = p->stage[0].run.dir;
    char config[1200];
    if (!wanted)
        return grd_good_name(p->name)
                   ? GRD_OK
                   : grd_fail(p->host, GRD_ERR_CONFIG, "run: name: \"%s\": expected letters, digits, _ and -", p->name);
    if (!*wanted || strlen(wanted) >= sizeof p->dir)
        return grd_fail(p->host, GRD_ERR_CONFIG, "run: dir: expected the path of a folder, of at most %zu letters",
                        sizeof p->dir - 1);
    snprintf(config, sizeof config, "%s/config.yaml", wanted);
    if (grd_file_exists(config))
        return grd_fail(p->host, GRD_ERR_CONFIG, "%.500s: there is a run in this folder; to go on with it: gradus train %.60s",
                        wanted, wanted);
    return GRD_OK;
}

/* runs/NAME, or the first of runs/NAME-2, ... that is not there; never one that another process made. */
static grd_status make_dir(grd_pipeline *p)
{
    enum { MOST_RUNS = 100000 };
    if (p->stage[0].run.dir) {
        snprintf(p->dir, sizeof p->dir, "%s", p->stage[0].run.dir);
        return grd_make_dirs(p->host, p->dir);
    }
    GRD_TRY(grd_make_dirs(p->host, "runs"));
    for (int k = 1; k < MOST_RUNS; k++) {
        snprintf(p->dir, sizeof p->dir, k > 1 ? "runs/%s-%d" : "runs/%s", p->name, k);
        if (mkdir(p->dir, 0777) == 0)
            return GRD_OK;
        if (errno != EEXIST)
            return grd_fail(p->host, GRD_ERR_IO, "%s: cannot create: %s", p->dir, strerror(errno));
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
    grd_status status =
        written ? grd_file_write(p->host, path, text, size) : grd_fail(p->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    free(text);
    return status;
}

/* ---- training ---- */

/* A finding that training can only fail by, as the config's error. */
static grd_status ask_doctor(grd_stage *s, const grd_stage_data *data, const grd_stage_net *net)
{
    grd_finding found[GRD_MAX_FINDINGS];
    int n = grd_doctor(s, data, net, found);
    for (int i = 0; i < n; i++)
        if (found[i].is_error)
            return grd_yaml_fail(s->pipeline->host, grd_yaml_get(s->config->all, "model"), "stage \"%s\": %s: %s",
                                 s->config->name, found[i].name, found[i].text);
    return GRD_OK;
}

/* A schedule that goes by the number of steps, and a stream that does not tell it. */
static grd_status check_schedule(const grd_stage *s, const grd_stage_data *data)
{
    const grd_yaml *node = grd_yaml_get(s->config->all, "schedule");
    grd_schedule *schedule;
    if (grd_dataset_length(data->train) >= 0 || s->train.steps_per_epoch)
        return GRD_OK;
    const int64_t total = s->run.max_steps ? s->run.max_steps : -1;
    grd_status status = grd_schedule_new(s->pipeline->ctx, s->schedule, 1, -1, total, &schedule);
    if (status == GRD_ERR_CONFIG && node)
        return grd_yaml_fail_in(s->pipeline->host, node);
    if (status == GRD_OK)
        grd_schedule_free(schedule);
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
            status = check_schedule(&p->stage[i], &data);
            if (status == GRD_OK)
                status = grd_stage_build(&p->stage[i], &data, GRD_F32, &net);
            if (status == GRD_OK) {
                status = ask_doctor(&p->stage[i], &data, &net);
                grd_stage_free_net(&net);
            }
        }
        grd_stage_close_data(&data);
        GRD_TRY(status);
    }
    return GRD_OK;
}

static grd_status run_stages(grd_pipeline *p)
{
    int n = p->config.n_stages;
    for (int i = 0; i < n; i++) {
        grd_stage *s = &p->stage[i];
        if (s->result.done) {
            grd_pipeline_say(p, "[%d/%d] %s: done before", i + 1, n, s->config->name);
            continue;
        }
        if (p->opts.stop && *p->opts.stop)
            return grd_fail(p->host, GRD_ERR_STOPPED, "stopped before stage \"%s\"", s->config->name);
        grd_pipeline_say(p, "[%d/%d] %s", i + 1, n, s->config->name);
        GRD_TRY(grd_stage_run(s));
    }
    return GRD_OK;
}

static grd_status train(grd_pipeline *p)
{
    if (!p->resumes || p->opts.n_overrides)
        GRD_TRY(write_config(p));
    p->logs = true;
    grd_pipeline_say(p, "%s run %s in %s", p->resumes ? "going on with" : "new", p->name, p->dir);
    GRD_TRY(run_stages(p));
    return grd_results_pictures(p);
}

grd_status grd_pipeline_train(grd_pipeline *p)
{
    if (!p->resumes)
        GRD_TRY(check_dir(p));
    GRD_TRY(try_stages(p));
    if (!p->resumes)
        GRD_TRY(make_dir(p));
    grd_status status = train(p);
    if (status != GRD_OK)
        log_line(p, p->host->err.text);
    p->logs = false;
    return status;
}
