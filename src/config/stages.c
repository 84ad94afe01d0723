/* One stage: its sections read and checked, its place in the run's folder. */
#include "config/pipeline.h"

#include "base/options.h"
#include "optim/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

grd_status grd_stage_find(grd_pipeline *p, const char *name, grd_stage **stage)
{
    grd_nearest nearest = { name ? name : "", NULL, 0 };
    *stage = NULL;
    for (int i = 0; i < p->config.n_stages; i++) {
        if (!name || strcmp(p->config.stage[i].name, name) == 0)
            *stage = &p->stage[i]; /* no name: the last */
        grd_nearest_try(&nearest, p->config.stage[i].name);
    }
    char hint[96];
    return *stage ? GRD_OK
                  : grd_fail(p->host, GRD_ERR_CONFIG, "no stage \"%s\"%s", name, grd_nearest_text(&nearest, hint, sizeof hint));
}

grd_status grd_stage_path(const grd_stage *s, const char *file, char path[1200])
{
    int n = snprintf(path, 1200, "%s/%s%s%s", s->pipeline->dir, s->config->name, *file ? "/" : "", file);
    return n < 1200 ? GRD_OK : grd_fail(s->pipeline->host, GRD_ERR_IO, "%s: the path is too long", s->pipeline->dir);
}

/* ---- reading ---- */

static grd_status check_top_keys(grd_host *host, const grd_yaml *all)
{
    for (const grd_yaml *c = all->first; c; c = c->next) {
        grd_nearest nearest = { c->key, NULL, 0 };
        bool known = false;
        for (const grd_top_key *k = grd_top_keys; k->name; k++) {
            known = known || strcmp(k->name, c->key) == 0;
            grd_nearest_try(&nearest, k->name);
        }
        char hint[96];
        if (!known)
            return grd_yaml_fail(host, c, "no section \"%.80s\"%s", c->key, grd_nearest_text(&nearest, hint, sizeof hint));
    }
    return GRD_OK;
}

static grd_status read_optim(grd_stage *s, const grd_yaml *node)
{
    grd_pipeline *p = s->pipeline;
    s->optim = "adam";
    s->optim_node = node;
    if (!node)
        return GRD_OK;
    grd_row_ref row;
    char *spec;
    GRD_TRY(grd_row_read(p->host, "optim", node, NULL, &row));
    grd_nearest nearest = { row.name, NULL, 0 };
    const optim_row *found = NULL;
    for (const optim_row *const *r = grd_optim_rows; *r; r++) {
        grd_nearest_try(&nearest, (*r)->name);
        if (strcmp((*r)->name, row.name) == 0)
            found = *r;
    }
    char hint[96];
    if (!found)
        return grd_yaml_fail(p->host, row.node, "optim: no optimizer \"%.60s\"%s", row.name,
                             grd_nearest_text(&nearest, hint, sizeof hint));
    _Alignas(16) char options[GRD_OPTIM_MAX_OPTIONS] = { 0 }; /* each value where it stands: an error has its own line */
    GRD_TRY(grd_row_options(p->host, &row, found->options, NULL, NULL, options));
    GRD_TRY(grd_row_spec(&p->arena, &row, found->options, &spec));
    s->optim = spec;
    return GRD_OK;
}

static grd_status read_schedule(grd_stage *s, const grd_yaml *node)
{
    grd_pipeline *p = s->pipeline;
    s->schedule = "constant";
    if (!node)
        return GRD_OK;
    grd_row_ref row;
    char *spec;
    grd_schedule *schedule;
    GRD_TRY(grd_row_read(p->host, "schedule", node, NULL, &row));
    GRD_TRY(grd_row_spec(&p->arena, &row, NULL, &spec));
    s->schedule = spec;
    grd_status status = grd_schedule_new(p->ctx, spec, 1, 1, 1, &schedule); /* so that a fault has its line */
    if (status != GRD_OK)
        return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(p->host, row.node);
    grd_schedule_free(schedule);
    return GRD_OK;
}

static grd_status read_kind(grd_stage *s, const grd_yaml *all)
{
    grd_host *host = s->pipeline->host;
    const grd_yaml *kind = grd_yaml_get(all, "kind"), *ridge = grd_yaml_get(all, "ridge");
    s->linear = kind && grd_yaml_is(kind, "linear");
    if (kind && !s->linear && !grd_yaml_is(kind, "train"))
        return grd_yaml_fail(host, kind, "kind: expected train or linear");
    if (!ridge)
        return GRD_OK;
    GRD_TRY(grd_check_keys(host, "ridge", ridge, NULL, NULL, "lambda"));
    const grd_yaml *lambda = grd_yaml_get(ridge, "lambda");
    char *end = NULL;
    s->lambda = !lambda || grd_yaml_is(lambda, "default") ? GRD_RIDGE_DEFAULT
                : grd_yaml_is(lambda, "auto")             ? GRD_RIDGE_AUTO
                                                          : strtod(lambda->text ? lambda->text : "", &end);
    if (end && (*end || !(s->lambda > 0)))
        return grd_yaml_fail(host, lambda, "ridge: lambda: expected a positive number, default or auto");
    return GRD_OK;
}

bool grd_is_checkpoint(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".pth") == 0;
}

/* Known before anything runs: the stage that is to come before this one. */
static grd_status check_init(grd_stage *s)
{
    grd_pipeline *p = s->pipeline;
    const grd_yaml *init = grd_yaml_get(s->config->all, "init"), *from = grd_yaml_get(init, "from");
    grd_stage *other;
    if (!init)
        return GRD_OK;
    if (!from)
        return s->init.freeze ? GRD_OK : grd_yaml_fail(p->host, init, "init: from is missing: a stage, or a .pth file");
    if (grd_is_checkpoint(s->init.from))
        return GRD_OK;
    if (grd_stage_find(p, s->init.from, &other) != GRD_OK)
        return grd_yaml_fail_in(p->host, from);
    if (other - p->stage >= s->index)
        return grd_yaml_fail(p->host, from, "init: stage \"%s\" does not come before \"%s\"", s->init.from, s->config->name);
    if (other->linear)
        return grd_yaml_fail(p->host, from, "init: stage \"%s\" is linear in closed form: it has no layers to take",
                             s->init.from);
    return GRD_OK;
}

grd_status grd_stage_read(grd_stage *s)
{
    grd_host *host = s->pipeline->host;
    const grd_yaml *all = s->config->all, *train = grd_yaml_get(all, "train");
    GRD_TRY(check_top_keys(host, all));
    GRD_TRY(read_kind(s, all));
    GRD_TRY(grd_section_read(host, &grd_section_run, grd_yaml_get(all, "run"), NULL, &s->run));
    const grd_yaml *data = grd_yaml_get(all, "data");
    if (!data)
        return grd_yaml_fail(host, all, "stage \"%s\": data is missing, such as data: {source: fashion-mnist}", s->config->name);
    const grd_yaml *source = data->kind == GRD_YAML_MAP ? grd_yaml_get(data, "source") : NULL;
    const grd_source *row = source && source->text ? grd_source_find(s->pipeline->ctx, source->text) : NULL;
    if (!source && data->kind == GRD_YAML_MAP)
        return grd_yaml_fail(host, data, "data: source is missing, such as source: fashion-mnist");
    if (row || !source)
        GRD_TRY(grd_section_read(host, &grd_section_data, data, row ? row->options : NULL, &s->data));
    GRD_TRY(grd_section_read(host, &grd_section_train, train, NULL, &s->train));
    const grd_yaml *stop = train ? grd_yaml_get(train, "early_stop") : NULL;
    s->stop.off = stop && (grd_yaml_is(stop, "off") || grd_yaml_is(stop, "false"));
    if (!s->stop.off) {
        GRD_TRY(grd_section_read(host, &grd_section_stop, stop, NULL, &s->stop));
    }
    GRD_TRY(grd_section_read(host, &grd_section_init, grd_yaml_get(all, "init"), NULL, &s->init));
    GRD_TRY(check_init(s));
    GRD_TRY(read_optim(s, grd_yaml_get(all, "optim")));
    return read_schedule(s, grd_yaml_get(all, "schedule"));
}
