/* What a finished stage came to, on disk: RUN/STAGE/done.json marks it as done. */
#include "config/pipeline.h"

#include "base/file.h"

#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
static double number_or_nan(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

grd_status grd_stage_save_result(const grd_stage *s)
{
    const grd_stage_result *r = &s->result;
    char path[1200];
    GRD_TRY(grd_stage_path(s, "done.json", path));
    json_t *test = json_object(), *all = json_object();
    for (int i = 0; i < r->n_test; i++)
        json_object_set_new(test, r->test[i].name, number_or_null(r->test[i].value));
    json_object_set_new(all, "epochs", json_integer(r->epochs));
    json_object_set_new(all, "best_epoch", json_integer(r->best_epoch));
    json_object_set_new(all, "val_loss", number_or_null(r->val_loss));
    json_object_set_new(all, "test", test);
    if (r->baseline.name)
        json_object_set_new(all, "ridge", json_pack("{s:o}", r->baseline.name, number_or_null(r->baseline.value)));
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(all);
    if (!text)
        return grd_fail(s->pipeline->host, GRD_ERR_MEMORY, "%s: out of memory", path);
    grd_status status = grd_file_write(s->pipeline->host, path, text, strlen(text));
    free(text);
    return status;
}

grd_status grd_stage_load_result(grd_stage *s)
{
    grd_pipeline *p = s->pipeline;
    char path[1200];
    void *bytes;
    size_t size;
    s->result = (grd_stage_result){ .name = s->config->name, .linear = s->linear, .val_loss = NAN };
    GRD_TRY(grd_stage_path(s, "done.json", path));
    if (!grd_file_exists(path))
        return GRD_OK;
    GRD_TRY(grd_file_read(p->host, path, 1 << 20, &bytes, &size));
    json_error_t fault;
    json_t *all = json_loadb(bytes, size, 0, &fault);
    grd_free(p->host, bytes);
    if (!json_is_object(all)) {
        json_decref(all);
        return grd_fail(p->host, GRD_ERR_FORMAT, "%s:%d: %s", path, fault.line, all ? "no object" : fault.text);
    }
    s->result.done = true;
    s->result.epochs = json_integer_value(json_object_get(all, "epochs"));
    s->result.best_epoch = json_integer_value(json_object_get(all, "best_epoch"));
    json_t *val = json_object_get(all, "val_loss");
    s->result.val_loss = number_or_nan(val);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(all, "test"), name, value) if (s->result.n_test < GRD_MAX_RESULTS)
        s->result.test[s->result.n_test++] = (grd_metric){ grd_arena_strdup(&p->arena, name), number_or_nan(value) };
    json_object_foreach(json_object_get(all, "ridge"), name, value)
        s->result.baseline = (grd_metric){ grd_arena_strdup(&p->arena, name), number_or_nan(value) };
    json_decref(all);
    return GRD_OK;
}
