/* From `data` to data sets: the source's parts, subsets drawn by seed, transforms. */
#include "config/learned_file.h"
#include "config/lists.h"
#include "config/pipeline.h"

#include "base/options.h"
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

enum { TRAIN, VAL, TEST, PARTS };
static const char *const part_name[PARTS] = { "train", "val", "test" };

typedef struct opening {
    grd_stage *stage;
    grd_host *host;
    const grd_yaml *node; /* the data section */
    const grd_source *source;
    bool raw; /* without transforms */
    grd_dataset *part[PARTS]; /* of the source; the pipeline keeps them */
    grd_dataset *seen[PARTS]; /* the same without what is excluded, with other labels; or NULL: the same */
    grd_name_list exclude, relabel;
    grd_learned_list learned;
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

/* A set of one's own that shows all of `from`. */
static grd_status whole_view(const grd_dataset *from, grd_dataset **set)
{
    return grd_dataset_view(from, NULL, grd_dataset_length(from), true, set);
}

/* Whether the paths given for a source hold {part}, if it is them that tell parts apart. */
static bool paths_have_parts(const opening *o)
{
    bool theirs = false;
    for (const grd_option *t = o->source->options; t && t->name; t++) {
        const grd_yaml *node = grd_yaml_get(o->node, t->name);
        if ((t->flags & GRD_OPTION_CUTS) && node && !grd_yaml_is_null(node))
            return true;
        if (!(t->flags & GRD_OPTION_PARTS))
            continue;
        const char *path = node && node->text ? node->text : t->text;
        if (path && strstr(path, "{part}"))
            return true;
        theirs = true;
    }
    return !theirs;
}

/* Whether the source's option `part` knows it; of sources without parts all is train. */
static bool has_part(const opening *o, int part)
{
    const grd_option *t = grd_options_find(o->source->options, "part");
    const size_t n = strlen(part_name[part]);
    if (!t || t->type != GRD_OPTION_ENUM || !paths_have_parts(o))
        return part == TRAIN;
    for (const char *c = t->text; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (strncmp(c, part_name[part], n) == 0 && (!c[n] || c[n] == '|'))
            return true;
    return false;
}

static grd_status read_options(opening *o, int part, void *options)
{
    const grd_option *table = o->source->options;
    for (const grd_yaml *c = o->node->first; c; c = c->next)
        if (grd_options_find(table, c->key) && !grd_options_find(grd_section_data.options, c->key) && !grd_yaml_is_null(c))
            GRD_TRY(grd_option_read(o->host, table, options, o->source->name, c->key, c));
    if (!grd_options_find(table, "part"))
        return GRD_OK;
    return grd_options_set(o->host, table, options, o->source->name, "part", (const char *[]){ part_name[part] }, 1, false);
}

static grd_status open_whole_part(opening *o, int part)
{
    o->part[part] = kept_part(o, part);
    if (o->part[part])
        return GRD_OK;
    if (!has_part(o, part))
        return grd_yaml_fail(o->host, o->node, "data: source %s has no part \"%s\"", o->source->name, part_name[part]);
    void *options = grd_alloc(o->host, o->source->options_size);
    if (!options)
        return GRD_ERR_MEMORY;
    grd_status status = read_options(o, part, options);
    if (status == GRD_OK) {
        status = grd_dataset_open_source(o->stage->pipeline->ctx, o->source, options, &o->part[part]);
        if (status == GRD_OK)
            keep_part(o, part);
        else if (status == GRD_ERR_CONFIG || status == GRD_ERR_ARG)
            status = grd_yaml_fail_in(o->host, o->node);
    }
    grd_free(o->host, options);
    return status;
}

/* The part as the lists leave it. */
static grd_status open_part(opening *o, int part)
{
    const grd_data_section *s = &o->stage->data;
    if (o->seen[part])
        return GRD_OK;
    GRD_TRY(open_whole_part(o, part));
    GRD_TRY(whole_view(o->part[part], &o->seen[part]));
    grd_status status = GRD_OK;
    if (s->exclude)
        status = grd_name_list_exclude(&o->exclude, &o->seen[part]);
    if (s->relabel && status == GRD_OK)
        status = grd_name_list_relabel(&o->relabel, &o->stage->pipeline->arena, s->relabel, &o->seen[part]);
    return status == GRD_OK || status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(o->host, o->node);
}

static grd_status read_lists(opening *o)
{
    const grd_data_section *s = &o->stage->data;
    grd_arena *arena = &o->stage->pipeline->arena;
    if (s->exclude)
        GRD_TRY(grd_name_list_read(arena, grd_yaml_get(o->node, "exclude"), s->exclude, false, &o->exclude));
    if (s->relabel)
        GRD_TRY(grd_name_list_read(arena, grd_yaml_get(o->node, "relabel"), s->relabel, true, &o->relabel));
    return GRD_OK;
}

/* Names that are in no part that was opened; the other parts are opened for it only if there are such. */
static grd_status check_lists(opening *o)
{
    const grd_data_section *s = &o->stage->data;
    if (!s->exclude && !s->relabel)
        return GRD_OK;
    for (int part = 0; part < PARTS; part++)
        if (has_part(o, part))
            GRD_TRY(open_part(o, part));
    if (s->exclude)
        GRD_TRY(grd_name_list_check(&o->exclude, o->host, grd_yaml_get(o->node, "exclude"), s->exclude));
    return s->relabel ? grd_name_list_check(&o->relabel, o->host, grd_yaml_get(o->node, "relabel"), s->relabel) : GRD_OK;
}

/* A subset by its list; *rest loses its samples. */
static grd_status take_list(opening *o, const grd_yaml *node, const char *path, grd_dataset **rest, grd_dataset **out)
{
    grd_name_list list;
    GRD_TRY(grd_name_list_read(&o->stage->pipeline->arena, node, path, false, &list));
    grd_status status = grd_dataset_named(*rest, list.name, list.n, false, NULL, out);
    if (status == GRD_OK)
        status = grd_name_list_exclude(&list, rest);
    return status == GRD_OK || status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(o->host, node);
}

/* The subsets of lists first, then those that are drawn, from what is left. */
static grd_status fill_subsets(opening *o, const grd_yaml *node, const grd_subset *subset, const char *const *list)
{
    grd_dataset *rest, *drawn[GRD_MAX_SUBSETS] = { NULL };
    grd_subset draw[GRD_MAX_SUBSETS];
    int n = 0;
    GRD_TRY(open_part(o, TRAIN));
    GRD_TRY(whole_view(o->seen[TRAIN], &rest));
    grd_status status = GRD_OK;
    const grd_yaml *c = node->first;
    for (int i = 0; i < o->n && status == GRD_OK; i++, c = c->next) {
        if (list[i])
            status = take_list(o, c, list[i], &rest, &o->subset[i]);
        else
            draw[n++] = subset[i];
    }
    if (status == GRD_OK && n > 0) {
        status = grd_dataset_subsets(rest, draw, n, (uint64_t)o->stage->run.seed, drawn);
        if (status != GRD_OK)
            status = grd_yaml_fail_in(o->host, node);
    }
    for (int i = 0, k = 0; i < o->n; i++)
        if (!list[i] && status == GRD_OK)
            o->subset[i] = drawn[k++];
    grd_dataset_free(rest);
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
    const char *list[GRD_MAX_SUBSETS];
    memset(subset, 0, sizeof subset);
    for (const grd_yaml *c = node->first; c; c = c->next) {
        if (o->n == GRD_MAX_SUBSETS)
            return grd_yaml_fail(o->host, c, "subsets: more than %d", GRD_MAX_SUBSETS);
        if (!grd_good_name(c->key) || strcmp(c->key, "train") == 0 || strcmp(c->key, "test") == 0)
            return grd_yaml_fail(o->host, c, "subsets: \"%.60s\": expected a name of letters, digits, _ and -, not train or test",
                                 c->key);
        grd_subset_section s;
        GRD_TRY(grd_section_read(o->host, &grd_section_subset, grd_yaml_is_null(c) ? NULL : c, NULL, &s));
        if (s.list && (s.per_class || s.count || s.fraction > 0))
            return grd_yaml_fail(o->host, c, "subsets: \"%.60s\": give a list, or how many are drawn, not both", c->key);
        list[o->n] = s.list;
        o->name[o->n] = c->key;
        subset[o->n++] = (grd_subset){ c->key, s.per_class, s.count, s.fraction, s.stratify };
    }
    return fill_subsets(o, node, subset, list);
}

static const char *set_name(const void *ctx, int i)
{
    const opening *o = ctx;
    return i < o->n ? o->name[i] : i < o->n + PARTS ? part_name[i - o->n] : NULL;
}

/* A new view of the set called `name`. */
static grd_status named_set(opening *o, const char *key, const char *name, grd_dataset **set)
{
    grd_dataset *from = NULL;
    for (int i = 0; i < o->n; i++)
        if (strcmp(o->name[i], name) == 0)
            from = o->subset[i];
    for (int part = 0; part < PARTS && !from; part++) {
        if (strcmp(name, part_name[part]) != 0 || (part == VAL && !has_part(o, part)))
            continue;
        GRD_TRY(open_part(o, part));
        from = o->seen[part];
    }
    if (from)
        return whole_view(from, set);
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
    const grd_transform *known = grd_transform_find(o->stage->pipeline->ctx, row.name);
    GRD_TRY(grd_row_spec(&o->stage->pipeline->arena, &row, known ? known->options : NULL, &spec));
    for (int k = whom == FOR_OTHERS; k < (whom == FOR_TRAINING ? 1 : 3); k++) {
        if (!*set[k])
            continue;
        bool follows = k && whom == FOR_ALL;
        grd_status status = follows ? grd_dataset_transform_as(*set[k], data->train, &next)
                            : k     ? grd_dataset_transform(*set[k], spec, &next)
                                    : grd_learned_transform(&o->learned, *set[k], spec, &next);
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
    if (!o->stage->data.overfit)
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
    const grd_data_section *s = &o->stage->data;
    const grd_split_opts split = { .seed = (uint64_t)o->stage->run.seed, .stratify = s->stratify, .group = s->group,
                                   .order = s->order ? GRD_ORDER_NUMPY : GRD_ORDER_PHILOX };
    grd_dataset *two[2];
    grd_status status = s->folds ? grd_dataset_fold(data->train, (int)s->folds, (int)s->fold, &split, &two[0], &two[1])
                                 : grd_dataset_split(data->train, (double[]){ 1 - s->val_fraction, s->val_fraction }, 2, &split, two);
    if (status != GRD_OK)
        return grd_yaml_fail_in(o->host, o->node);
    grd_dataset_free(data->train);
    data->train = two[0];
    data->val = two[1];
    return GRD_OK;
}

/* n samples of *set instead of all: the first ones of a set that a split has put in random order, else drawn by seed. */
static grd_status keep_some(opening *o, int64_t n, bool in_order, grd_dataset **set)
{
    grd_dataset *some;
    grd_status status;
    if (grd_dataset_by_number(*set, "num_samples, overfit") != GRD_OK)
        return grd_yaml_fail_in(o->host, o->node);
    if (n >= grd_dataset_length(*set))
        return GRD_OK;
    if (in_order) {
        int64_t *index = GRD_NEW_N(o->host, int64_t, n);
        if (!index)
            return GRD_ERR_MEMORY;
        for (int64_t i = 0; i < n; i++)
            index[i] = i;
        status = grd_dataset_select(*set, index, n, &some);
        grd_free(o->host, index);
    } else {
        status = grd_dataset_subsets(*set, &(grd_subset){ .name = "some", .count = n }, 1, (uint64_t)o->stage->run.seed, &some);
    }
    if (status != GRD_OK)
        return status;
    grd_dataset_free(*set);
    *set = some;
    return GRD_OK;
}

static grd_status open_train_and_val(opening *o, grd_stage_data *data)
{
    const grd_data_section *s = &o->stage->data;
    if (s->folds == 1)
        return grd_yaml_fail(o->host, grd_yaml_get(o->node, "folds"), "data: folds: 1, expected 2 or more");
    if (s->folds && s->fold >= s->folds)
        return grd_yaml_fail(o->host, grd_yaml_get(o->node, "fold"), "data: fold: %lld, expected 0..%lld as there are %lld folds",
                             (long long)s->fold, (long long)s->folds - 1, (long long)s->folds);
    if (s->folds && (s->val || s->val_fraction > 0))
        return grd_yaml_fail(o->host, o->node, "data: folds, val and val_fraction each say what val is: give one of them");
    GRD_TRY(named_set(o, "train", s->train, &data->train));
    if (grd_dataset_length(data->train) == 0)
        return grd_yaml_fail(o->host, o->node, "data: train: no samples are left%s, expected at least one",
                             s->exclude ? " by exclude" : "");
    if (s->val)
        GRD_TRY(named_set(o, "val", s->val, &data->val));
    else if (s->val_fraction > 0 || s->folds)
        GRD_TRY(split_off_val(o, data));
    else if (has_part(o, VAL))
        GRD_TRY(named_set(o, "val", "val", &data->val));
    bool in_order = s->val_fraction > 0 || s->folds;
    if (s->num_samples)
        GRD_TRY(keep_some(o, s->num_samples, in_order, &data->train));
    if (!s->overfit)
        return GRD_OK;
    GRD_TRY(keep_some(o, s->overfit, in_order || s->num_samples, &data->train));
    grd_dataset_free(data->val);
    data->val = NULL;
    return whole_view(data->train, &data->val);
}

static grd_status open_sets(opening *o, grd_stage_data *data)
{
    if (grd_yaml_get(o->node, "part"))
        return grd_yaml_fail(o->host, grd_yaml_get(o->node, "part"), "data: part: train, val and test say which parts are read");
    GRD_TRY(find_source(o));
    GRD_TRY(read_lists(o));
    GRD_TRY(draw_subsets(o));
    GRD_TRY(open_train_and_val(o, data));
    if (grd_yaml_get(o->node, "test") || has_part(o, TEST))
        GRD_TRY(named_set(o, "test", o->stage->data.test, &data->test));
    GRD_TRY(check_lists(o));
    if (!o->raw) {
        GRD_TRY(grd_learned_open(o->stage, &o->learned));
        GRD_TRY(transform_all(o, data));
        GRD_TRY(grd_learned_end(&o->learned, &o->stage->pipeline->arena, &data->learned));
    }
    data->n_fields = grd_dataset_fields(data->train, &data->field);
    return GRD_OK;
}

static grd_status open_stage(grd_stage *stage, bool raw, grd_stage_data *data)
{
    memset(data, 0, sizeof *data);
    opening o = { .stage = stage, .raw = raw, .host = stage->pipeline->host, .node = grd_yaml_get(stage->config->all, "data") };
    grd_status status = open_sets(&o, data);
    for (int i = 0; i < o.n; i++)
        grd_dataset_free(o.subset[i]);
    for (int part = 0; part < PARTS; part++)
        grd_dataset_free(o.seen[part]);
    grd_learned_close(&o.learned);
    if (status != GRD_OK)
        grd_stage_close_data(data);
    return status;
}

grd_status grd_stage_open_data(grd_stage *stage, grd_stage_data *data) { return open_stage(stage, false, data); }

grd_status grd_stage_open_raw(grd_stage *stage, grd_stage_data *data) { return open_stage(stage, true, data); }

void grd_stage_close_data(grd_stage_data *data)
{
    grd_dataset_free(data->train);
    grd_dataset_free(data->val);
    grd_dataset_free(data->test);
    memset(data, 0, sizeof *data);
}

/* ---- for those who only look at the data ---- */

grd_status grd_pipeline_dataset(grd_pipeline *p, const char *stage_name, const char *set, grd_dataset **dataset)
{
    grd_stage *stage = &p->stage[0];
    grd_stage_data data;
    *dataset = NULL;
    if (stage_name)
        GRD_TRY(grd_stage_find(p, stage_name, &stage));
    GRD_TRY(grd_stage_open_data(stage, &data));
    grd_dataset **const of[PARTS] = { &data.train, &data.val, &data.test };
    for (int part = 0; part < PARTS; part++)
        if (strcmp(set, part_name[part]) == 0) {
            *dataset = *of[part];
            *of[part] = NULL;
        }
    grd_stage_close_data(&data);
    return GRD_OK;
}

grd_status grd_pipeline_loader(grd_pipeline *p, const char *stage_name, grd_loader_opts *opts)
{
    grd_stage *stage = &p->stage[0];
    if (stage_name)
        GRD_TRY(grd_stage_find(p, stage_name, &stage));
    const grd_data_section *s = &stage->data;
    *opts = (grd_loader_opts){ .batch = stage->run.batch, .shuffle = !s->no_shuffle, .drop_last = s->drop_last,
                               .workers = (int)s->workers, .seed = (uint64_t)stage->run.seed,
                               .sampler = grd_sampler_choices[s->sampler], .pad_multiple = s->pad_multiple,
                               .on_error = s->on_error ? GRD_ERRORS_SKIP : GRD_ERRORS_STOP,
                               .shuffle_buffer = s->shuffle_buffer };
    return GRD_OK;
}
