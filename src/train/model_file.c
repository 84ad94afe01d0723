/* Models to .pth files and back, and what is in such a file. */
#include "train/state_dict.h"

#include "base/ctx.h"
#include "format/pth.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

grd_status grd_model_save(grd_model *model, const char *path)
{
    grd_host *host = &grd_graph_ctx(grd_model_graph(model))->host;
    grd_arena arena;
    grd_arena_init(&arena, host);
    int64_t n;
    const grd_value *root = grd_state_dict(&arena, model, grd_model_arena(model, &n), grd_model_state_arena(model, &n));
    grd_status status = root ? grd_pth_write(host, path, root) : GRD_ERR_MEMORY;
    grd_arena_free(&arena);
    return status;
}

grd_status grd_model_load(grd_model *model, const char *path, const grd_load_opts *opts, int *loaded)
{
    grd_host *host = &grd_graph_ctx(grd_model_graph(model))->host;
    grd_pth pth;
    GRD_TRY(grd_pth_read(host, path, &pth));
    const grd_value *dict = grd_state_dict_find(pth.root);
    int64_t n;
    grd_status status = dict ? grd_state_dict_load(host, path, dict, model, opts, grd_model_arena(model, &n),
                                                   grd_model_state_arena(model, &n), loaded)
                             : grd_fail(host, GRD_ERR_FORMAT, "%s: holds no dict of tensors", path);
    grd_pth_close(&pth);
    if (status == GRD_OK)
        grd_model_touch(model);
    return status;
}

/* ---- show ---- */

/* What a checkpoint says of itself; missing numbers are -1. */
typedef struct summary {
    const grd_value *root, *tensors;
    int64_t epoch, step, best_epoch;
    double lr, best_loss, ema;     /* ema: decay of the average that the weights are, or that is beside them */
    bool has_both;                 /* weights and their average */
    const char *optim, *stage;
    int64_t n_tensors, n_values;
    int moved;                     /* parameters with optimizer state */
} summary;

static summary summarise(const grd_value *root)
{
    summary s = { .root = root, .tensors = grd_state_dict_find(root) };
    const grd_value *ours = grd_value_get(root, "gradus");
    s.epoch = grd_value_to_int(grd_value_get(root, "epoch"), -1);
    s.step = grd_value_to_int(grd_value_get(ours, "step"), -1);
    s.lr = grd_value_to_real(grd_value_get(root, "lr"), -1);
    s.best_epoch = grd_value_to_int(grd_value_get(ours, "best_epoch"), -1);
    s.best_loss = grd_value_to_real(grd_value_get(ours, "best_loss"), -1);
    s.ema = grd_value_to_real(grd_value_get(ours, "ema"), -1);
    s.has_both = grd_value_is(grd_value_get(root, "state_dict_ema"), GRD_VALUE_DICT);
    s.optim = grd_value_to_text(grd_value_get(ours, "optim"), NULL);
    s.stage = grd_value_to_text(grd_value_get(ours, "stage"), NULL);
    s.moved = grd_value_count(grd_value_find(root, "optimizer/state"));
    for (int i = 0; s.tensors && i < s.tensors->dict.n; i++) {
        const grd_value *tensor = s.tensors->dict.item[i].value;
        if (!grd_value_is(tensor, GRD_VALUE_TENSOR))
            continue;
        s.n_tensors++;
        s.n_values += grd_count(&tensor->tensor.shape);
    }
    return s;
}

static const char *type_name(const grd_value *tensor)
{
    return tensor->tensor.stored ? tensor->tensor.stored : grd_dtype_name(tensor->tensor.dtype);
}

static void print_tensors(const summary *s, FILE *out)
{
    int width = 4;
    for (int i = 0; s->tensors && i < s->tensors->dict.n; i++) {
        int n = (int)strlen(grd_value_to_text(s->tensors->dict.item[i].key, ""));
        width = n > width && n <= 60 ? n : width;
    }
    fprintf(out, "%-*s  %-18s %-8s %12s\n", width, "name", "shape", "type", "values");
    for (int i = 0; s->tensors && i < s->tensors->dict.n; i++) {
        const grd_value *tensor = s->tensors->dict.item[i].value;
        char shape[80];
        if (grd_value_is(tensor, GRD_VALUE_TENSOR))
            fprintf(out, "%-*s  %-18s %-8s %12lld\n", width, grd_value_to_text(s->tensors->dict.item[i].key, "?"),
                    grd_shape_text(&tensor->tensor.shape, shape, sizeof shape), type_name(tensor),
                    (long long)grd_count(&tensor->tensor.shape));
    }
    fprintf(out, "%-*s  %-18s %-8s %12lld\n", width, "total", "", "", (long long)s->n_values);
}

static void print_rest(const summary *s, FILE *out)
{
    if (s->stage)
        fprintf(out, "stage %s\n", s->stage);
    if (s->epoch >= 0)
        fprintf(out, "epoch %lld\n", (long long)s->epoch);
    if (s->step >= 0)
        fprintf(out, "step %lld\n", (long long)s->step);
    if (s->lr >= 0)
        fprintf(out, "learning rate %g\n", s->lr);
    if (s->optim)
        fprintf(out, "optimizer %s, state of %d parameters\n", s->optim, s->moved);
    if (s->ema > 0)
        fprintf(out, s->has_both ? "moving average of the weights (ema %g) beside them, as state_dict_ema\n"
                                 : "the weights are a moving average (ema %g)\n", s->ema);
    if (s->best_epoch > 0)
        fprintf(out, "best loss %.6g, epoch %lld\n", s->best_loss, (long long)s->best_epoch);
    if (!grd_value_is(s->root, GRD_VALUE_DICT) || s->root == s->tensors)
        return;
    fprintf(out, "keys:");
    for (int i = 0; i < s->root->dict.n; i++)
        fprintf(out, "%s %s", i ? "," : "", grd_value_to_text(s->root->dict.item[i].key, "?"));
    fprintf(out, "\n");
}

/* Text from a file is UTF-8 or not: json_string refuses what is not, and gives NULL. */
static json_t *json_name(const grd_value *key)
{
    json_t *text = json_string(grd_value_to_text(key, "?"));
    return text ? text : json_string("?");
}

static json_t *tensors_json(const summary *s)
{
    json_t *list = json_array();
    for (int i = 0; s->tensors && i < s->tensors->dict.n; i++) {
        const grd_value *tensor = s->tensors->dict.item[i].value;
        if (!grd_value_is(tensor, GRD_VALUE_TENSOR))
            continue;
        json_t *shape = json_array();
        for (int d = 0; d < tensor->tensor.shape.rank; d++)
            json_array_append_new(shape, json_integer(tensor->tensor.shape.dim[d]));
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:s, s:I}", "name", json_name(s->tensors->dict.item[i].key), "shape", shape,
                                        "dtype", type_name(tensor), "values", (json_int_t)grd_count(&tensor->tensor.shape)));
    }
    return list;
}

static grd_status print_json(grd_host *host, const char *path, const summary *s, FILE *out)
{
    json_t *root = json_object();
    json_object_set_new(root, "file", json_string(path));
    json_object_set_new(root, "tensors", tensors_json(s));
    json_object_set_new(root, "values", json_integer(s->n_values));
    if (s->stage)
        json_object_set_new(root, "stage", json_string(s->stage));
    if (s->optim)
        json_object_set_new(root, "optimizer", json_string(s->optim));
    if (s->epoch >= 0)
        json_object_set_new(root, "epoch", json_integer(s->epoch));
    if (s->step >= 0)
        json_object_set_new(root, "step", json_integer(s->step));
    if (s->lr >= 0)
        json_object_set_new(root, "lr", json_real(s->lr));
    if (s->ema > 0) {
        json_object_set_new(root, "ema", json_real(s->ema));
        json_object_set_new(root, "ema_key", json_string(s->has_both ? "state_dict_ema" : "state_dict"));
    }
    if (s->best_epoch > 0) {
        json_object_set_new(root, "best_epoch", json_integer(s->best_epoch));
        json_object_set_new(root, "best_loss", json_real(s->best_loss));
    }
    bool written = root && json_dumpf(root, out, JSON_REAL_PRECISION(17)) == 0 && fputc('\n', out) != EOF;
    json_decref(root);
    return written ? GRD_OK : grd_fail(host, GRD_ERR_IO, "%s: its description cannot be written", path);
}

grd_status grd_checkpoint_show(grd_ctx *ctx, const char *path, bool json, FILE *out)
{
    grd_pth pth;
    GRD_TRY(grd_pth_read(&ctx->host, path, &pth));
    summary s = summarise(pth.root);
    grd_status status = GRD_OK;
    if (json) {
        status = print_json(&ctx->host, path, &s, out);
    } else {
        fprintf(out, "%s\n", path);
        print_tensors(&s, out);
        print_rest(&s, out);
    }
    grd_pth_close(&pth);
    return status;
}
