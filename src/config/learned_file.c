/* What a stage's transforms learned: read from the run's folder, and written down. */
#include "config/learned_file.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static grd_status no_memory(const grd_learned_list *l) { return grd_fail(l->host, GRD_ERR_MEMORY, "%s: out of memory", l->path); }

void grd_learned_close(grd_learned_list *l)
{
    json_decref(l->old);
    json_decref(l->now);
    l->old = l->now = NULL;
}

static grd_status read_file(grd_learned_list *l)
{
    void *bytes;
    size_t size;
    json_error_t error;
    GRD_TRY(grd_file_read(l->host, l->path, (size_t)1 << 30, &bytes, &size));
    l->old = json_loadb(bytes, size, 0, &error);
    grd_free(l->host, bytes);
    if (!l->old)
        return grd_fail(l->host, GRD_ERR_FORMAT, "%s: line %d: %s", l->path, error.line, error.text);
    if (!json_is_array(l->old))
        return grd_fail(l->host, GRD_ERR_FORMAT, "%s: expected a JSON list", l->path);
    return GRD_OK;
}

grd_status grd_learned_open(const grd_stage *stage, grd_learned_list *l)
{
    *l = (grd_learned_list){ .host = stage->pipeline->host };
    GRD_TRY(grd_stage_path(stage, "transforms.json", l->path));
    l->now = json_array();
    grd_status status = l->now ? GRD_OK : no_memory(l);
    if (status == GRD_OK && stage->pipeline->resumes && grd_file_exists(l->path))
        status = read_file(l);
    if (status != GRD_OK)
        grd_learned_close(l);
    return status;
}

/* Takes over `learned`. */
static grd_status note(grd_learned_list *l, const char *spec, json_t *learned)
{
    json_t *item = json_pack("{s:s, s:o}", "transform", spec, "learned", learned);
    return item && json_array_append_new(l->now, item) == 0 ? GRD_OK : no_memory(l);
}

static grd_status note_new(grd_learned_list *l, const grd_dataset *set, const char *spec)
{
    const int size = grd_dataset_learned(set, NULL, 0);
    json_error_t error;
    if (size <= 0)
        return GRD_OK;
    char *text = grd_alloc(l->host, (size_t)size + 1);
    if (!text)
        return GRD_ERR_MEMORY;
    grd_dataset_learned(set, text, (size_t)size + 1);
    json_t *learned = json_loads(text, JSON_DECODE_ANY, &error);
    grd_free(l->host, text);
    return learned ? note(l, spec, learned)
                   : grd_fail(l->host, GRD_ERR_FORMAT, "transform \"%s\": what it learned is no JSON: %s", spec, error.text);
}

/* The file's next entry, if that is what `spec` learned. Of a transform that learns nothing there is none. */
static json_t *next_old(const grd_learned_list *l, const char *spec)
{
    const json_t *item = json_array_get(l->old, json_array_size(l->now));
    const char *name = json_string_value(json_object_get(item, "transform"));
    return name && strcmp(name, spec) == 0 ? json_object_get(item, "learned") : NULL;
}

grd_status grd_learned_transform(grd_learned_list *l, const grd_dataset *base, const char *spec, grd_dataset **out)
{
    json_t *old = next_old(l, spec);
    if (old) {
        char *text = json_dumps(old, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
        grd_status status = text ? grd_dataset_transform_saved(base, spec, text, out) : no_memory(l);
        free(text);
        return status == GRD_OK ? note(l, spec, json_incref(old)) : status;
    }
    GRD_TRY(grd_dataset_transform(base, spec, out));
    grd_status status = GRD_OK;
    if (l->old && grd_dataset_learned(*out, NULL, 0) > 0)
        status = grd_fail(l->host, GRD_ERR_DATA,
                          "%s: the run was begun with other transforms: it knows nothing that \"%s\" learned as "
                          "number %d of those that learn",
                          l->path, spec, (int)json_array_size(l->now) + 1);
    if (status == GRD_OK)
        status = note_new(l, *out, spec);
    if (status != GRD_OK) {
        grd_dataset_free(*out);
        *out = NULL;
    }
    return status;
}

grd_status grd_learned_end(grd_learned_list *l, grd_arena *arena, const char **out)
{
    *out = NULL;
    if (l->old && json_array_size(l->old) != json_array_size(l->now))
        return grd_fail(l->host, GRD_ERR_DATA, "%s: the run was begun with %d transforms that learn, now there are %d", l->path,
                        (int)json_array_size(l->old), (int)json_array_size(l->now));
    if (json_array_size(l->now) == 0)
        return GRD_OK;
    char *text = json_dumps(l->now, JSON_REAL_PRECISION(17));
    *out = text ? grd_arena_strdup(arena, text) : NULL;
    free(text);
    return *out ? GRD_OK : no_memory(l);
}

grd_status grd_stage_keep_learned(const grd_stage *s, const grd_stage_data *data)
{
    char path[1200];
    GRD_TRY(grd_stage_path(s, "transforms.json", path));
    if (!data->learned || grd_file_exists(path))
        return GRD_OK;
    return grd_file_write(s->pipeline->host, path, data->learned, strlen(data->learned));
}
