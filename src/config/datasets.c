/* From `data` to data sets: the source's parts, subsets drawn by seed, transforms. */
#include "config/pipeline.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

typedef struct opening {
    grd_stage *stage;
    grd_host *host;
    const grd_yaml *node; /* the data section */
    const grd_source *source;
    grd_dataset *part[2]; /* train, test of the source; the pipeline keeps them */
    const char *name[GRD_MAX_SUBSETS];
    grd_dataset *subset[GRD_MAX_SUBSETS];
    int n;
} opening;

static const char *source_name(const void *ctx, int i)
{
    const grd_source *s = grd_source_at(ctx, i);
    return s ? s->name : NULL;
}

static grd_status find_source(opening *o)
{
    const grd_yaml *node = grd_yaml_get(o->node, "source");
    o->source = grd_source_find(o->stage->pipeline->ctx, node->text ? node->text : "");
    if (o->source)
        return GRD_OK;
    char hint[96];
    return grd_yaml_fail(o->host, node, "data: no source \"%s\"%s", node->text ? node->text : "",
                         grd_hint(node->text ? node->text : "", source_name, o->stage->pipeline->ctx, hint, sizeof hint));
}

/* The same part of the same source, opened before with the same options. */
static grd_dataset *kept_part(const opening *o, int part)
{
    const grd_pipeline *p = o->stage->pipeline;
    for (int i = 0; i < p->n_kept; i++) {
        const grd_kept_part *k = &p->kept[i];
        bool same = k->source == o->source && k->part == part;
        for (const grd_option *t = o->source->options; same && t && t->name; t++)
            same = grd_yaml_same(grd_yaml_get(k->node, t->name), grd_yaml_get(o->node, t->name));
        if (same)
            return k->set;
    }
    return NULL;
}

static void keep_part(opening *o, int part)
{
    grd_pipeline *p = o->stage->pipeline;
    p->kept[p->n_kept++] = (grd_kept_part){ o->source, o->node, part, o->part[part] };
    grd_disown(&p->child); /* a context frees what came last first: the pipeline must go before the sets it keeps */
    grd_adopt(&p->ctx->root, &p->child, grd_pipeline_free_child);
}

void grd_drop_kept(grd_pipeline *p)
{
    while (p->n_kept > 0)
        grd_dataset_free(p->kept[--p->n_kept].set);
}

/* Part 0 is train, 1 is test. A source without parts has only the first. */
static grd_status open_part(opening *o, int part)
{
    if (!o->part[part])
        o->part[part] = kept_part(o, part);
    if (o->part[part])
        return GRD_OK;
    const grd_option *table = o->source->options;
    if (part && !grd_options_find(table, "part"))
        return grd_yaml_fail(o->host, o->node, "data: source %s has no part \"test\"", o->source->name);
    void *options = grd_alloc(o->host, o->source->options_size);
    if (!options)
        return GRD_ERR_MEMORY;
    grd_status status = GRD_OK;
    for (const grd_yaml *c = o->node->first; c && status == GRD_OK; c = c->next)
        if (grd_options_find(table, c->key) && !grd_options_find(grd_section_data.options, c->key) && !grd_yaml_is_null(c))
            status = grd_option_read(o->host, table, options, o->source->name, c->key, c);
    if (status == GRD_OK && grd_options_find(table, "part"))
        status = grd_options_set(o->host, table, options, o->source->name, "part", (const char *[]){ part ? "test" : "train" }, 1,
                                 false);
    if (status == GRD_OK) {
        status = grd_dataset_open_source(o->stage->pipeline->ctx, o->source, options, &o->part[part]);
        if (status == GRD_OK)
            keep_part(o, part);
        else if (status == GRD_ERR_CONFIG)
            status = grd_yaml_fail_in(o->host, o->node);
    }
    grd_free(o->host, options);
    return status;
}

static grd_status draw_subsets(opening *o)
{
    const grd_yaml *node = grd_yaml_get(o->node, "subsets");
    if (!node)
        return GRD_OK;
    if (node->kind != GRD_YAML_MAP)
        return grd_yaml_fail(o->host, node, "subsets: expected a map of names, found %s", grd_yaml_kind_name(node));
    grd_subset subset[GRD_MAX_SUBSETS];
    memset(subset, 0, sizeof subset);
    for (const grd_yaml *c = node->first; c; c = c->next) {
        if (o->n == GRD_MAX_SUBSETS)
            return grd_yaml_fail(o->host, c, "subsets: more than %d", GRD_MAX_SUBSETS);
        if (!grd_good_name(c->key) || strcmp(c->key, "train") == 0 || strcmp(c->key, "test") == 0)
            return grd_yaml_fail(o->host, c, "subsets: \"%.60s\": expected a name of letters, digits, _ and -, not train or test",
                                 c->key);
        grd_subset_section s;
        GRD_TRY(grd_section_read(o->host, &grd_section_subset, grd_yaml_is_null(c) ? NULL : c, NULL, &s));
        o->name[o->n] = c->key;
        subset[o->n++] = (grd_subset){ c->key, s.per_class, s.count, s.fraction, s.stratify };
    }
    GRD_TRY(open_part(o, 0));
    grd_status status = grd_dataset_subsets(o->part[0], subset, o->n, (uint64_t)o->stage->run.seed, o->subset);
    return status == GRD_OK ? GRD_OK : grd_yaml_fail_in(o->host, node);
}

static const char *set_name(const void *ctx, int i)
{
    const opening *o = ctx;
    return i < o->n ? o->name[i] : i == o->n ? "train" : i == o->n + 1 ? "test" : NULL;
}

/* A set of one's own that shows all of `from`. */
static grd_status whole_view(opening *o, const grd_dataset *from, grd_dataset **set)
{
    int64_t n = grd_dataset_length(from), *index = GRD_NEW_N(o->host, int64_t, n);
    if (!index)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    grd_status status = grd_dataset_select(from, index, n, set);
    grd_free(o->host, index);
    return status;
}

/* A new view of the set called `name`. */
static grd_status named_set(opening *o, const char *key, const char *name, grd_dataset **set)
{
    grd_dataset *from = NULL;
    for (int i = 0; i < o->n; i++)
        if (strcmp(o->name[i], name) == 0)
            from = o->subset[i];
    int part = strcmp(name, "test") == 0;
    if (!from && (part || strcmp(name, "train") == 0)) {
        GRD_TRY(open_part(o, part));
        from = o->part[part];
    }
    if (from)
        return whole_view(o, from, set);
    char hint[96];
    const grd_yaml *where = grd_yaml_get(o->node, key);
    return grd_yaml_fail(o->host, where ? where : o->node, "data: %s: no subset \"%.60s\"%s", key, name,
                         grd_hint(name, set_name, o, hint, sizeof hint));
}

/* Which sets a transform is for. */
enum { FOR_ALL, FOR_TRAINING, FOR_OTHERS };

/* One transform; what it learns, it learns on the training set. */
static grd_status transform_one(opening *o, const grd_yaml *node, int whom, grd_stage_data *data)
{
    grd_row_ref row;
    char *spec;
    grd_dataset *next = NULL, **set[] = { &data->train, &data->val, &data->test };
    GRD_TRY(grd_row_read(o->host, "transform", node, NULL, &row));
    GRD_TRY(grd_row_spec(&o->stage->pipeline->arena, &row, NULL, &spec));
    for (int k = whom == FOR_OTHERS; k < (whom == FOR_TRAINING ? 1 : 3); k++) {
        if (!*set[k])
            continue;
        bool follows = k && whom == FOR_ALL;
        grd_status status = follows ? grd_dataset_transform_as(*set[k], data->train, &next) : grd_dataset_transform(*set[k], spec, &next);
        if (status != GRD_OK)
            return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(o->host, row.node);
        grd_dataset_free(*set[k]);
        *set[k] = next;
    }
    return GRD_OK;
}

/* A list, or a single one. */
static const grd_yaml *first_of(const grd_yaml *list) { return list && list->kind == GRD_YAML_LIST ? list->first : list; }
static const grd_yaml *next_of(const grd_yaml *list, const grd_yaml *c) { return list->kind == GRD_YAML_LIST ? c->next : NULL; }

static grd_status transform_list(opening *o, const char *key, int whom, grd_stage_data *data)
{
    const grd_yaml *list = grd_yaml_get(o->node, key);
    for (const grd_yaml *c = first_of(list); c; c = next_of(list, c))
        GRD_TRY(transform_one(o, c, whom, data));
    return GRD_OK;
}

static bool is_place(const grd_yaml *node) { return node->kind == GRD_YAML_SCALAR && strcmp(node->text, "augment") == 0; }

static grd_status transform_apart(opening *o, grd_stage_data *data)
{
    GRD_TRY(transform_list(o, "augment", FOR_TRAINING, data));
    return transform_list(o, "evaluate", FOR_OTHERS, data);
}

/* `transform` is for every set; at the word `augment` in it, or before all of it, comes what `augment` and `evaluate` list. */
static grd_status transform_all(opening *o, grd_stage_data *data)
{
    const grd_yaml *list = grd_yaml_get(o->node, "transform");
    int places = 0;
    for (const grd_yaml *c = first_of(list); c; c = next_of(list, c)) {
        places += is_place(c);
        if (places > 1)
            return grd_yaml_fail(o->host, c, "transform: augment stands there twice");
    }
    if (!places)
        GRD_TRY(transform_apart(o, data));
    for (const grd_yaml *c = first_of(list); c; c = next_of(list, c))
        GRD_TRY(is_place(c) ? transform_apart(o, data) : transform_one(o, c, FOR_ALL, data));
    return GRD_OK;
}

static grd_status split_off_val(opening *o, grd_stage_data *data)
{
    double f = o->stage->data.val_fraction;
    grd_dataset *two[2];
    grd_status status =
        grd_dataset_split(data->train, (double[]){ 1 - f, f }, 2, (uint64_t)o->stage->run.seed, o->stage->data.stratify, two);
    if (status != GRD_OK)
        return grd_yaml_fail_in(o->host, o->node);
    grd_dataset_free(data->train);
    data->train = two[0];
    data->val = two[1];
    return GRD_OK;
}

static grd_status open_sets(opening *o, grd_stage_data *data)
{
    const grd_data_section *s = &o->stage->data;
    if (grd_yaml_get(o->node, "part"))
        return grd_yaml_fail(o->host, grd_yaml_get(o->node, "part"), "data: part: train, val and test say which parts are read");
    GRD_TRY(find_source(o));
    GRD_TRY(draw_subsets(o));
    GRD_TRY(named_set(o, "train", s->train, &data->train));
    if (s->val)
        GRD_TRY(named_set(o, "val", s->val, &data->val));
    else if (s->val_fraction > 0)
        GRD_TRY(split_off_val(o, data));
    bool has_test = grd_yaml_get(o->node, "test") || grd_options_find(o->source->options, "part");
    if (has_test)
        GRD_TRY(named_set(o, "test", s->test, &data->test));
    GRD_TRY(transform_all(o, data));
    data->n_fields = grd_dataset_fields(data->train, &data->field);
    return GRD_OK;
}

grd_status grd_stage_open_data(grd_stage *stage, grd_stage_data *data)
{
    memset(data, 0, sizeof *data);
    opening o = { .stage = stage, .host = stage->pipeline->host, .node = grd_yaml_get(stage->config->all, "data") };
    grd_status status = open_sets(&o, data);
    for (int i = 0; i < o.n; i++)
        grd_dataset_free(o.subset[i]);
    if (status != GRD_OK)
        grd_stage_close_data(data);
    return status;
}

void grd_stage_close_data(grd_stage_data *data)
{
    grd_dataset_free(data->train);
    grd_dataset_free(data->val);
    grd_dataset_free(data->test);
    memset(data, 0, sizeof *data);
}
