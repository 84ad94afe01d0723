/* From `model` to layers. An entry is NAME, {NAME: value} or {NAME: {...}}, with `as: NAME` beside it; NAME is a block, a
 * layer, one of the two joins concat and add, or residual (a list of layers whose result is added to what went in). $NAME
 * stands for a constant of `model` or an argument of a block. */
#include "config/build.h"

#include "base/options.h"

#include <string.h>

enum { MAX_NESTING = 16, MAX_LAYERS = 10000 };

/* ---- $names ---- */

static bool is_model_key(const char *name)
{
    return grd_options_find(grd_section_model.options, name) || strcmp(name, "layers") == 0 || strcmp(name, "blocks") == 0;
}

/* args: the map of the block that is being built, NULL at the top. */
static const grd_yaml *meaning(const grd_builder *b, const grd_yaml *args, const char *name)
{
    const grd_yaml *value = grd_yaml_get(args, name);
    return value ? value : is_model_key(name) ? NULL : grd_yaml_get(b->model, name);
}

typedef struct names {
    const grd_builder *b;
    const grd_yaml *args;
} names;

static const char *constant_name(const void *ctx, int i)
{
    const names *n = ctx;
    const grd_yaml *c = n->args ? n->args->first : NULL;
    for (; c && i > 0; i--)
        c = c->next;
    for (const grd_yaml *m = c ? NULL : n->b->model->first; m; m = m->next)
        if (!is_model_key(m->key) && i-- == 0)
            return m->key;
    return c ? c->key : NULL;
}

/* A copy with every $name replaced. */
static grd_status substitute(grd_builder *b, const grd_yaml *args, const grd_yaml *node, grd_yaml **out)
{
    if (node->kind == GRD_YAML_SCALAR) {
        const grd_yaml *value = node;
        if (node->text[0] == '$' && !node->quoted) {
            value = meaning(b, args, node->text + 1);
            char hint[96];
            if (!value)
                return grd_yaml_fail(b->host, node, "model: %s: there is no constant \"%s\"%s", node->text, node->text + 1,
                                     grd_hint(node->text + 1, constant_name, &(names){ b, args }, hint, sizeof hint));
        }
        *out = grd_yaml_copy(b->arena, value);
        if (!*out)
            return GRD_ERR_MEMORY;
        (*out)->key = node->key;
        (*out)->file = node->file;
        (*out)->line = node->line;
        return GRD_OK;
    }
    *out = grd_yaml_new(b->arena, node->kind, node);
    if (!*out)
        return GRD_ERR_MEMORY;
    for (const grd_yaml *c = node->first; c; c = c->next) {
        grd_yaml *child;
        GRD_TRY(substitute(b, args, c, &child));
        grd_yaml_append(*out, child);
    }
    return GRD_OK;
}

static bool uses(const grd_yaml *node, const char *name)
{
    if (node->kind == GRD_YAML_SCALAR)
        return node->text[0] == '$' && strcmp(node->text + 1, name) == 0;
    for (const grd_yaml *c = node->first; c; c = c->next)
        if (uses(c, name))
            return true;
    return false;
}

static const char *model_key(const void *ctx, int i)
{
    static const char *const keys[] = { "layers", "blocks", "input" };
    (void)ctx;
    return i < 3 ? keys[i] : NULL;
}

grd_status grd_check_constants(grd_builder *b)
{
    char hint[96];
    for (const grd_yaml *c = b->model->first; c; c = c->next) {
        bool used = is_model_key(c->key);
        for (const grd_yaml *other = b->model->first; other && !used; other = other->next)
            used = is_model_key(other->key) && uses(other, c->key);
        if (!used)
            return grd_yaml_fail(b->host, c, "model: no option \"%.60s\", and as a constant no layer uses it ($%.60s)%s", c->key,
                                 c->key, grd_hint(c->key, model_key, NULL, hint, sizeof hint));
    }
    return GRD_OK;
}

/* ---- values by name ---- */

grd_status grd_graph_error(grd_builder *b, const grd_yaml *node)
{
    grd_status status = grd_graph_status(b->net->graph);
    return status == GRD_ERR_MEMORY ? status : grd_yaml_fail_in(b->host, node);
}

static const char *value_name(const void *ctx, int i)
{
    const grd_builder *b = ctx;
    return i < b->n_named ? b->named[i].name : NULL;
}

grd_status grd_named_value(grd_builder *b, const grd_yaml *where, const char *name, grd_var *value)
{
    for (int i = b->n_named - 1; i >= 0; i--) {
        if (strcmp(b->named[i].name, name) == 0) {
            *value = b->named[i].value;
            return GRD_OK;
        }
    }
    char hint[96];
    return grd_yaml_fail(b->host, where, "model: no earlier value is named \"%.60s\" (as: NAME)%s", name,
                         grd_hint(name, value_name, b, hint, sizeof hint));
}

grd_status grd_name_value(grd_builder *b, const grd_yaml *where, const char *name, grd_var value)
{
    if (b->n_named == GRD_MAX_NAMED)
        return grd_yaml_fail(b->host, where, "model: more than %d named values", GRD_MAX_NAMED);
    b->named[b->n_named].name = name;
    b->named[b->n_named++].value = value;
    return GRD_OK;
}

/* ---- joins: the current value first ---- */

static grd_var join_concat(const grd_var *list, int n)
{
    return grd_concat(list, n, NULL);
}

static grd_var join_add(const grd_var *list, int n)
{
    grd_var sum = list[0];
    for (int i = 1; i < n; i++)
        sum = grd_add(sum, list[i]);
    return sum;
}

typedef struct join_row {
    const char *name;
    grd_var (*join)(const grd_var *list, int n);
} join_row;

static const join_row joins[] = { { "concat", join_concat }, { "add", join_add } };
enum { N_JOINS = sizeof joins / sizeof *joins };

static const join_row *find_join(const char *name)
{
    for (int i = 0; i < N_JOINS; i++)
        if (strcmp(joins[i].name, name) == 0)
            return &joins[i];
    return NULL;
}

/* {concat: e1}, {add: [e1, e2]} */
static grd_status build_join(grd_builder *b, const grd_row_ref *row, const join_row *join, grd_var *x)
{
    if (!row->value || row->value->kind == GRD_YAML_MAP)
        return grd_yaml_fail(b->host, row->node, "%s: expected the name of an earlier value, or a list of names", row->name);
    grd_var list[GRD_MAX_IN] = { *x };
    int n = 1;
    bool is_list = row->value->kind == GRD_YAML_LIST;
    for (const grd_yaml *c = is_list ? row->value->first : row->value; c; c = is_list ? c->next : NULL) {
        if (n == GRD_MAX_IN)
            return grd_yaml_fail(b->host, c, "%s: more than %d values", row->name, GRD_MAX_IN);
        if (c->kind != GRD_YAML_SCALAR)
            return grd_yaml_fail(b->host, c, "%s: expected the name of an earlier value, found %s", row->name,
                                 grd_yaml_kind_name(c));
        GRD_TRY(grd_named_value(b, c, c->text, &list[n++]));
    }
    *x = join->join(list, n);
    return grd_valid(*x) ? GRD_OK : grd_graph_error(b, row->node);
}

/* ---- blocks ---- */

static grd_status build_list(grd_builder *b, const grd_yaml *args, const grd_yaml *list, grd_var *x);

static const char *child_key(const void *ctx, int i)
{
    const grd_yaml *c = ((const grd_yaml *)ctx)->first;
    for (; c && i > 0; i--)
        c = c->next;
    return c ? c->key ? c->key : c->text : NULL;
}

static const char *arg_name(const grd_yaml *arg)
{
    return arg->key ? arg->key : arg->text;
}

/* What is given for the i-th argument: {unit: 32}, {unit: [32, 3]} or {unit: {out: 32}}. */
static const grd_yaml *given_arg(const grd_yaml *value, const grd_yaml *args, const grd_yaml *arg, int i)
{
    if (!value)
        return NULL;
    if (value->kind == GRD_YAML_MAP)
        return grd_yaml_get(value, arg_name(arg));
    if (value->kind == GRD_YAML_SCALAR || args->n == 1)
        return i == 0 ? value : NULL;
    const grd_yaml *c = value->first;
    for (; c && i > 0; i--)
        c = c->next;
    return c;
}

/* The block's `args` ([out, kernel], or {out: 32, kernel: 3} with defaults) and what the entry gives, as one map. */
static grd_status bind_args(grd_builder *b, const grd_row_ref *row, const grd_yaml *args, grd_yaml **bound)
{
    char hint[96];
    const grd_yaml *value = row->value;
    if (args->kind == GRD_YAML_SCALAR)
        return grd_yaml_fail(b->host, args, "block \"%s\": args: expected a list of names, or a map of names and defaults",
                             row->name);
    *bound = grd_yaml_new(b->arena, GRD_YAML_MAP, row->node);
    if (!*bound)
        return GRD_ERR_MEMORY;
    int i = 0;
    for (const grd_yaml *arg = args->first; arg; arg = arg->next, i++) {
        if (args->kind == GRD_YAML_LIST && arg->kind != GRD_YAML_SCALAR)
            return grd_yaml_fail(b->host, arg, "block \"%s\": args: expected names, found %s", row->name,
                                 grd_yaml_kind_name(arg));
        const grd_yaml *v = given_arg(value, args, arg, i);
        if (!v && (args->kind == GRD_YAML_LIST || grd_yaml_is_null(arg)))
            return grd_yaml_fail(b->host, row->node, "block \"%s\": no value for its argument \"%s\"", row->name, arg_name(arg));
        grd_yaml *copy = grd_yaml_copy(b->arena, v ? v : arg);
        if (!copy)
            return GRD_ERR_MEMORY;
        copy->key = arg_name(arg);
        grd_yaml_append(*bound, copy);
    }
    if (value && value->kind == GRD_YAML_LIST && args->n != 1 && value->n > args->n)
        return grd_yaml_fail(b->host, value, "block \"%s\": %d values for %d arguments", row->name, value->n, args->n);
    for (const grd_yaml *v = value && value->kind == GRD_YAML_MAP ? value->first : NULL; v; v = v->next)
        if (!grd_yaml_get(*bound, v->key))
            return grd_yaml_fail(b->host, v, "block \"%s\": no argument \"%.60s\"%s", row->name, v->key,
                                 grd_hint(v->key, child_key, args, hint, sizeof hint));
    return GRD_OK;
}

static const grd_yaml *block_args(const grd_yaml *block)
{
    return block->kind == GRD_YAML_MAP ? grd_yaml_get(block, "args") : NULL;
}

static grd_status build_block(grd_builder *b, const grd_row_ref *row, const grd_yaml *body, const char *as, grd_var *x)
{
    const grd_yaml *args = block_args(body);
    const grd_yaml *layers = body->kind == GRD_YAML_MAP ? grd_yaml_get(body, "layers") : body;
    if (body->kind == GRD_YAML_MAP)
        GRD_TRY(grd_check_keys(b->host, body->key, body, NULL, NULL, "args layers"));
    if (!layers || layers->kind != GRD_YAML_LIST)
        return grd_yaml_fail(b->host, body, "block \"%s\": expected a list of layers, or {args: [...], layers: [...]}",
                             row->name);
    if (b->depth == MAX_NESTING)
        return grd_yaml_fail(b->host, row->node, "block \"%s\": nested deeper than %d; does it contain itself?", row->name,
                             MAX_NESTING);
    if (!args && row->value)
        return grd_yaml_fail(b->host, row->node, "block \"%s\": takes no value: it has no args", row->name);
    grd_yaml *bound = NULL;
    if (args)
        GRD_TRY(bind_args(b, row, args, &bound));
    /* a plain block is named by its name; one with arguments may come often and is numbered */
    grd_scope_push(b->net->graph, as ? as : args ? NULL : row->name);
    b->depth++;
    grd_status status = build_list(b, bound, layers, x);
    b->depth--;
    grd_scope_pop(b->net->graph);
    return status;
}

/* ---- residual ---- */

/* A list of layers in a scope of its own, or (NULL) in the current one. */
static grd_status build_branch(grd_builder *b, const grd_yaml *list, const char *scope, grd_var *x)
{
    if (scope)
        grd_scope_push(b->net->graph, scope);
    grd_status status = build_list(b, NULL, list, x);
    if (scope)
        grd_scope_pop(b->net->graph);
    return status;
}

/* {residual: [layers]}: y = x + layers(x); {residual: {layers: [...], shortcut: [...]}}: y = shortcut(x) + layers(x). Parameters are
 * named by the layer's number, those of the shortcut behind "shortcut.". */
static grd_status build_residual(grd_builder *b, const grd_row_ref *row, const char *as, grd_var *x)
{
    const grd_yaml *value = row->value, *layers = value, *shortcut = NULL;
    if (value && value->kind == GRD_YAML_MAP) {
        GRD_TRY(grd_check_keys(b->host, "residual", value, NULL, NULL, "layers shortcut"));
        layers = grd_yaml_get(value, "layers");
        shortcut = grd_yaml_get(value, "shortcut");
    }
    if (!layers || layers->kind != GRD_YAML_LIST || (shortcut && shortcut->kind != GRD_YAML_LIST))
        return grd_yaml_fail(b->host, value ? value : row->node,
                             "residual: expected a list of layers, or {layers: [...], shortcut: [...]}");
    if (b->depth == MAX_NESTING)
        return grd_yaml_fail(b->host, row->node, "residual: nested deeper than %d", MAX_NESTING);
    grd_var around = *x;
    grd_scope_push(b->net->graph, as);
    b->depth++;
    grd_status status = build_branch(b, layers, NULL, x);
    if (status == GRD_OK && shortcut)
        status = build_branch(b, shortcut, "shortcut", &around);
    b->depth--;
    if (status == GRD_OK)
        *x = grd_add(*x, around);
    grd_scope_pop(b->net->graph);
    return status != GRD_OK || grd_valid(*x) ? status : grd_graph_error(b, row->node);
}

/* ---- layers ---- */

static const char *known_name(const void *ctx, int i)
{
    const grd_builder *b = ctx;
    int n_blocks = b->blocks ? b->blocks->n : 0;
    if (i < n_blocks)
        return child_key(b->blocks, i);
    i -= n_blocks;
    if (i < N_JOINS)
        return joins[i].name;
    if (i == N_JOINS)
        return "residual";
    const grd_layer *layer = grd_layer_at(b->stage->pipeline->ctx, i - N_JOINS - 1);
    return layer ? layer->name : NULL;
}

static grd_status build_layer(grd_builder *b, const grd_row_ref *row, const char *as, grd_var *x)
{
    const grd_layer *layer = grd_layer_find(b->stage->pipeline->ctx, row->name);
    if (!layer) {
        char hint[96];
        return grd_yaml_fail(b->host, row->node, "model: no layer or block \"%.60s\"%s", row->name,
                             grd_hint(row->name, known_name, b, hint, sizeof hint));
    }
    void *options = grd_arena_alloc(b->arena, layer->options_size + 16);
    if (!options)
        return GRD_ERR_MEMORY;
    GRD_TRY(grd_row_options(b->host, row, layer->options, NULL, NULL, options));
    *x = grd_layer_apply_with(layer, *x, b->lengths, as, options);
    return grd_valid(*x) ? GRD_OK : grd_graph_error(b, row->node);
}

/* The name an entry gives its parameters; NULL: its number. */
static const char *scope_name(const grd_builder *b, const grd_yaml *entry)
{
    if (entry->kind == GRD_YAML_LIST)
        return NULL;
    const grd_yaml *as = entry->kind == GRD_YAML_MAP ? grd_yaml_get(entry, "as") : NULL;
    if (as)
        return as->kind == GRD_YAML_SCALAR ? as->text : NULL;
    const char *name = entry->kind == GRD_YAML_SCALAR ? entry->text : entry->first ? entry->first->key : "";
    const grd_yaml *block = grd_yaml_get(b->blocks, name);
    return block && !block_args(block) ? name : NULL;
}

/* Two entries of one name would share their parameters. */
static grd_status check_repeats(grd_builder *b, const grd_yaml *list)
{
    for (const grd_yaml *c = list->first; c; c = c->next) {
        const char *name = scope_name(b, c);
        for (const grd_yaml *d = c->next; d && name; d = d->next)
            if (scope_name(b, d) && strcmp(name, scope_name(b, d)) == 0)
                return grd_yaml_fail(
                    b->host, d, "model: \"%.60s\" names two entries of one list; give one another name: {...: ..., as: NAME}",
                    name);
    }
    return GRD_OK;
}

static grd_status build_entry(grd_builder *b, const grd_yaml *args, const grd_yaml *entry, grd_var *x)
{
    grd_yaml *node;
    if (++b->n_layers > MAX_LAYERS)
        return grd_yaml_fail(b->host, entry, "model: more than %d layers", MAX_LAYERS);
    GRD_TRY(substitute(b, args, entry, &node));
    grd_row_ref row;
    GRD_TRY(grd_row_read(b->host, "model: layers", node, "as", &row));
    const grd_yaml *as_node = node->kind == GRD_YAML_MAP ? grd_yaml_get(node, "as") : NULL;
    if (as_node && (as_node->kind != GRD_YAML_SCALAR || !grd_good_name(as_node->text)))
        return grd_yaml_fail(b->host, as_node, "model: as: expected a name of letters, digits, _ and -");
    const char *as = as_node ? as_node->text : NULL;
    const grd_yaml *block = grd_yaml_get(b->blocks, row.name);
    const join_row *join = find_join(row.name);
    if (block)
        GRD_TRY(build_block(b, &row, block, as, x));
    else if (join)
        GRD_TRY(build_join(b, &row, join, x));
    else if (strcmp(row.name, "residual") == 0)
        GRD_TRY(build_residual(b, &row, as, x));
    else
        GRD_TRY(build_layer(b, &row, as, x));
    const char *name = scope_name(b, node);
    return name ? grd_name_value(b, entry, name, *x) : GRD_OK;
}

static grd_status build_list(grd_builder *b, const grd_yaml *args, const grd_yaml *list, grd_var *x)
{
    GRD_TRY(check_repeats(b, list));
    for (const grd_yaml *c = list->first; c; c = c->next)
        GRD_TRY(build_entry(b, args, c, x));
    return GRD_OK;
}

grd_status grd_build_layers(grd_builder *b, const grd_yaml *layers, grd_var *x)
{
    for (const grd_yaml *c = b->blocks ? b->blocks->first : NULL; c; c = c->next)
        if (!grd_good_name(c->key))
            return grd_yaml_fail(b->host, c, "block \"%.60s\": a name has letters, digits, _ and -", c->key);
    return build_list(b, NULL, layers, x);
}
