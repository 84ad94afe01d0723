/* From a file to stages. The order, weakest first: the file named by `extends`, the file, for a stage the stage it extends,
 * then its own keys, overrides of everything, overrides of the stage. */
#include "config/config.h"

#include "base/file.h"
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_EXTENDS = 8 };

bool grd_good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= 64 && !name[n];
}

/* ---- files ---- */

static grd_status wants_map(grd_host *host, const grd_yaml *node, const char *what)
{
    if (node->kind == GRD_YAML_MAP)
        return GRD_OK;
    return grd_yaml_fail(host, node, "%s: expected a map of keys, found %s", what, grd_yaml_kind_name(node));
}

/* Everything of a map but some keys. */
static grd_yaml *without(grd_arena *arena, const grd_yaml *map, const char *key, const char *other)
{
    grd_yaml *rest = grd_yaml_new(arena, GRD_YAML_MAP, map);
    for (const grd_yaml *c = map->first; c && rest; c = c->next) {
        if (strcmp(c->key, key) == 0 || (other && strcmp(c->key, other) == 0))
            continue;
        grd_yaml *copy = grd_yaml_copy(arena, c);
        if (!copy)
            return NULL;
        grd_yaml_append(rest, copy);
    }
    return rest;
}

static grd_status read_text(grd_arena *arena, const char *path, char **text, size_t *size)
{
    void *bytes;
    grd_status status = grd_file_read(arena->host, path, GRD_YAML_MAX_BYTES, &bytes, size);
    if (status == GRD_ERR_MEMORY)
        return status;
    if (status != GRD_OK)
        return arena->host->err.status = GRD_ERR_CONFIG;
    *text = grd_arena_alloc(arena, *size + 1);
    if (*text)
        memcpy(*text, bytes, *size + 1);
    grd_free(arena->host, bytes);
    return *text ? GRD_OK : GRD_ERR_MEMORY;
}

/* The path of `name` as seen from the folder of `from`. */
static const char *beside(grd_arena *arena, const char *from, const char *name)
{
    const char *slash = strrchr(from, '/');
    if (name[0] == '/' || !slash)
        return grd_arena_strdup(arena, name);
    return grd_arena_format(arena, "%.*s%s", (int)(slash - from + 1), from, name);
}

/* `$GRADUS_DATA/...` in any value: the folder with real data, from the environment, else ../shared/data. */
static bool put_data_folder(grd_arena *arena, grd_yaml *node)
{
    static const char word[] = "$GRADUS_DATA";
    const size_t n = sizeof word - 1;
    for (grd_yaml *c = node->first; c; c = c->next)
        if (!put_data_folder(arena, c))
            return false;
    if (node->kind != GRD_YAML_SCALAR || strncmp(node->text, word, n) != 0 || (node->text[n] && node->text[n] != '/'))
        return true;
    const char *folder = getenv("GRADUS_DATA");
    node->text = grd_arena_format(arena, "%s%s", folder && *folder ? folder : "../shared/data", node->text + n);
    return node->text;
}

static grd_status load_file(grd_arena *arena, const char *path, int depth, grd_yaml **tree)
{
    char *text;
    size_t size;
    grd_yaml *file;
    GRD_TRY(read_text(arena, path, &text, &size));
    GRD_TRY(grd_yaml_parse(arena, path, false, text, size, &file));
    GRD_TRY(wants_map(arena->host, file, "config"));
    if (!put_data_folder(arena, file))
        return GRD_ERR_MEMORY;
    const grd_yaml *extends = grd_yaml_get(file, "extends");
    *tree = file;
    if (!extends)
        return GRD_OK;
    if (extends->kind != GRD_YAML_SCALAR)
        return grd_yaml_fail(arena->host, extends, "extends: expected the path of a config, found %s",
                             grd_yaml_kind_name(extends));
    if (depth >= MAX_EXTENDS)
        return grd_yaml_fail(arena->host, extends, "extends: more than %d files in a row; does one extend itself?", MAX_EXTENDS);
    const char *base_path = beside(arena, path, extends->text);
    if (!base_path)
        return GRD_ERR_MEMORY;
    grd_yaml *base;
    grd_status status = load_file(arena, base_path, depth + 1, &base);
    if (status != GRD_OK && !grd_file_exists(base_path))
        return grd_yaml_fail_in(arena->host, extends);
    GRD_TRY(status);
    grd_yaml *own = without(arena, file, "extends", NULL);
    *tree = own ? grd_yaml_merge(arena, base, own) : NULL;
    return *tree ? GRD_OK : GRD_ERR_MEMORY;
}

/* ---- overrides ---- */

/* Two trees of overrides: of everything, and of stages by name. */
typedef struct grd_overrides {
    grd_yaml *all, *stages;
} grd_overrides;

/* "a.b.c=value" as the tree {a: {b: {c: value}}}. */
static grd_status read_override(grd_arena *arena, const char *text, grd_yaml **tree)
{
    grd_host *host = arena->host;
    const char *equal = strchr(text, '=');
    if (!equal || equal == text)
        return grd_fail(host, GRD_ERR_CONFIG, "%s: expected key=value", text);
    char *keys = grd_arena_format(arena, "%.*s", (int)(equal - text), text);
    grd_yaml *value;
    if (!keys)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_yaml_parse(arena, text, true, equal + 1, strlen(equal + 1), &value));
    const grd_yaml where = { .file = text };
    grd_yaml *root = grd_yaml_new(arena, GRD_YAML_MAP, &where), *map = root;
    for (int depth = 0; map; depth++) {
        char *dot = strchr(keys, '.');
        if (dot)
            *dot = 0;
        if (!*keys || depth >= GRD_YAML_MAX_DEPTH / 2)
            return grd_fail(host, GRD_ERR_CONFIG, "%s: expected keys with dots between them before the =", text);
        grd_yaml *child = dot ? grd_yaml_new(arena, GRD_YAML_MAP, &where) : value;
        if (!child)
            break;
        child->key = keys;
        grd_yaml_append(map, child);
        if (!dot) {
            *tree = root;
            return GRD_OK;
        }
        map = child;
        keys = dot + 1;
    }
    return GRD_ERR_MEMORY;
}

static grd_status add_override(grd_arena *arena, grd_overrides *overrides, const char *text)
{
    grd_yaml *tree = NULL;
    GRD_TRY(read_override(arena, text, &tree));
    bool of_stage = strcmp(tree->first->key, "stages") == 0;
    const grd_yaml *stage = of_stage && tree->first->kind == GRD_YAML_MAP ? tree->first->first : NULL;
    if (of_stage && (!stage || stage->kind != GRD_YAML_MAP))
        return grd_fail(arena->host, GRD_ERR_CONFIG, "%s: expected stages.NAME.KEY=VALUE", text);
    if (strcmp(tree->first->key, "extends") == 0)
        return grd_fail(arena->host, GRD_ERR_CONFIG, "%s: extends belongs in a file", text);
    grd_yaml **into = of_stage ? &overrides->stages : &overrides->all;
    const grd_yaml *new = of_stage ? tree->first : tree;
    *into = grd_yaml_merge(arena, *into, new);
    return *into ? GRD_OK : GRD_ERR_MEMORY;
}

/* ---- stages ---- */

static grd_status unknown_stage(grd_host *host, const grd_yaml *where, const grd_yaml *stages, const char *name)
{
    grd_nearest nearest = { name, NULL, 0 };
    for (const grd_yaml *s = stages->first; s; s = s->next)
        grd_nearest_try(&nearest, s->key);
    char hint[96];
    return grd_yaml_fail(host, where, "no stage \"%s\"%s", name, grd_nearest_text(&nearest, hint, sizeof hint));
}

/* What a stage says, the stages it extends merged under it. */
static grd_status own_keys(grd_arena *arena, const grd_yaml *stages, const grd_yaml *stage, int depth, const grd_yaml **own)
{
    grd_host *host = arena->host;
    *own = NULL;
    if (grd_yaml_is_null(stage))
        return GRD_OK;
    char what[96];
    snprintf(what, sizeof what, "stages.%.64s", stage->key);
    GRD_TRY(wants_map(host, stage, what));
    const grd_yaml *extends = grd_yaml_get(stage, "extends");
    *own = without(arena, stage, "extends", NULL);
    if (!*own)
        return GRD_ERR_MEMORY;
    if (!extends)
        return GRD_OK;
    if (extends->kind != GRD_YAML_SCALAR)
        return grd_yaml_fail(host, extends, "extends: expected the name of a stage, found %s", grd_yaml_kind_name(extends));
    if (depth >= MAX_EXTENDS)
        return grd_yaml_fail(host, extends, "extends: more than %d stages in a row; does one extend itself?", MAX_EXTENDS);
    const grd_yaml *other = stages->first, *base;
    while (other && strcmp(other->key, extends->text) != 0)
        other = other->next;
    if (!other)
        return unknown_stage(host, extends, stages, extends->text);
    GRD_TRY(own_keys(arena, stages, other, depth + 1, &base));
    if (base)
        *own = grd_yaml_merge(arena, base, *own);
    return *own ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status add_stage(grd_config *config, const grd_yaml *stages, const grd_yaml *stage, const grd_overrides *overrides)
{
    grd_arena *arena = config->arena;
    if (!grd_good_name(stage->key))
        return grd_yaml_fail(arena->host, stage, "stage \"%.80s\": a name has letters, digits, - and _", stage->key);
    if (config->n_stages == GRD_MAX_STAGES)
        return grd_yaml_fail(arena->host, stage, "more than %d stages", GRD_MAX_STAGES);
    grd_config_stage *s = &config->stage[config->n_stages++];
    s->name = stage->key;
    GRD_TRY(own_keys(arena, stages, stage, 0, &s->own));
    const grd_yaml *over[] = { overrides->all, overrides->stages ? grd_yaml_get(overrides->stages, s->name) : NULL };
    s->all = s->own ? grd_yaml_merge(arena, config->top, s->own) : config->top;
    for (int k = 0; k < 2 && s->all; k++) {
        if (!over[k])
            continue;
        if (s->own || k)
            s->own = grd_yaml_merge(arena, s->own, over[k]);
        s->all = grd_yaml_merge(arena, s->all, over[k]);
    }
    return s->all && (s->own || !over[1]) ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status split_stages(grd_config *config, const grd_yaml *tree, const grd_overrides *overrides)
{
    grd_arena *arena = config->arena;
    const grd_yaml *stages = grd_yaml_get(tree, "stages");
    grd_yaml *one = NULL;
    config->plain = stages == NULL;
    if (!stages) {
        const grd_yaml where = { .file = config->path, .line = 1, .key = "train" };
        one = grd_yaml_new(arena, GRD_YAML_MAP, tree);
        grd_yaml *train = one ? grd_yaml_new(arena, GRD_YAML_MAP, &where) : NULL;
        if (!train)
            return GRD_ERR_MEMORY;
        grd_yaml_append(one, train);
        stages = one;
    }
    GRD_TRY(wants_map(arena->host, stages, "stages"));
    for (const grd_yaml *o = overrides->stages ? overrides->stages->first : NULL; o; o = o->next) {
        const grd_yaml *s = stages->first;
        while (s && strcmp(s->key, o->key) != 0)
            s = s->next;
        if (!s)
            return unknown_stage(arena->host, o, stages, o->key);
    }
    for (const grd_yaml *s = stages->first; s; s = s->next)
        GRD_TRY(add_stage(config, stages, s, overrides));
    if (!config->n_stages)
        return grd_yaml_fail(arena->host, stages, "stages: expected at least one");
    return GRD_OK;
}

grd_status grd_config_load(grd_config *config, grd_arena *arena, const char *path, const char *const *overrides, int n_overrides)
{
    memset(config, 0, sizeof *config);
    config->arena = arena;
    config->path = grd_arena_strdup(arena, path);
    if (!config->path)
        return GRD_ERR_MEMORY;
    grd_yaml *tree;
    GRD_TRY(load_file(arena, config->path, 0, &tree));
    grd_overrides over = { NULL, NULL };
    for (int i = 0; i < n_overrides; i++) {
        const char *text = grd_arena_strdup(arena, overrides[i]);
        if (!text)
            return GRD_ERR_MEMORY;
        GRD_TRY(add_override(arena, &over, text));
    }
    config->top = without(arena, tree, "stages", "extends");
    if (config->top && over.all)
        config->top = grd_yaml_merge(arena, config->top, over.all);
    if (!config->top)
        return GRD_ERR_MEMORY;
    return split_stages(config, tree, &over);
}

void grd_config_print(const grd_config *config, FILE *out)
{
    if (config->plain) {
        grd_yaml_print(config->stage[0].all, out);
        return;
    }
    grd_yaml_print(config->top, out);
    fputs("stages:\n", out);
    for (int i = 0; i < config->n_stages; i++) {
        grd_yaml stage = { .kind = GRD_YAML_MAP, .file = config->path, .key = config->stage[i].name };
        grd_yaml body = stage, whole = stage;
        if (config->stage[i].own)
            body = *config->stage[i].own;
        body.key = config->stage[i].name;
        body.next = NULL;
        grd_yaml_append(&whole, &body);
        grd_yaml_print_at(&whole, 2, out);
    }
}
