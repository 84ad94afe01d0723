/* YAML text to a config tree, by libyaml's events. Scalars stay text: option tables give them types. */
#include "config/tree.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

typedef struct grd_reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    grd_arena *arena;
    const char *file;
    bool is_override;
    int nodes;
} grd_reader;

static grd_status fail_at(grd_reader *r, size_t line, const char *format, const char *what)
{
    const grd_yaml where = { .file = r->file, .line = r->is_override ? 0 : (int)line + 1 };
    grd_fail(r->arena->host, GRD_ERR_CONFIG, format, what);
    return grd_yaml_fail_in(r->arena->host, &where);
}

static grd_status next_event(grd_reader *r)
{
    if (r->have_event)
        yaml_event_delete(&r->event);
    r->have_event = yaml_parser_parse(&r->parser, &r->event);
    if (r->have_event)
        return GRD_OK;
    if (r->parser.error == YAML_MEMORY_ERROR)
        return grd_fail(r->arena->host, GRD_ERR_MEMORY, "%s: out of memory", r->file);
    const yaml_parser_t *y = &r->parser;
    const char *problem = y->problem ? y->problem : "unknown problem";
    size_t line = y->error == YAML_READER_ERROR ? 0 : y->problem_mark.line;
    if (!y->context || y->context_mark.line >= line)
        return fail_at(r, line, "not valid YAML: %s", problem);
    char text[200];
    snprintf(text, sizeof text, "%s that begins here: line %zu: %s", y->context, line + 1, problem);
    return fail_at(r, y->context_mark.line, "not valid YAML: %s", text);
}

static grd_status plain_only(grd_reader *r, const void *anchor, const void *tag)
{
    if (anchor)
        return fail_at(r, r->event.start_mark.line, "anchors (%s) are not read here; use blocks or extends", "&");
    if (tag)
        return fail_at(r, r->event.start_mark.line, "tags (%s) are not read here", "!");
    return GRD_OK;
}

static grd_status read_node(grd_reader *r, int depth, grd_yaml **out);

/* Text of the scalar event; a zero byte inside would cut it. */
static grd_status scalar_text(grd_reader *r, const char **text)
{
    const char *value = (const char *)r->event.data.scalar.value;
    if (strlen(value) != r->event.data.scalar.length)
        return fail_at(r, r->event.start_mark.line, "%s", "a text with a zero byte in it");
    *text = grd_arena_strdup(r->arena, value);
    return *text ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status read_list(grd_reader *r, int depth, grd_yaml *list)
{
    for (;;) {
        GRD_TRY(next_event(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return GRD_OK;
        grd_yaml *child;
        GRD_TRY(read_node(r, depth + 1, &child));
        grd_yaml_append(list, child);
    }
}

static grd_status read_map(grd_reader *r, int depth, grd_yaml *map)
{
    for (;;) {
        GRD_TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return GRD_OK;
        size_t line = r->event.start_mark.line;
        if (r->event.type != YAML_SCALAR_EVENT)
            return fail_at(r, line, "%s", "a key must be a single word");
        GRD_TRY(plain_only(r, r->event.data.scalar.anchor, r->event.data.scalar.tag));
        const char *key = NULL;
        GRD_TRY(scalar_text(r, &key));
        if (strcmp(key, "<<") == 0)
            return fail_at(r, line, "%s: merge keys are not read here; use extends", key);
        for (const grd_yaml *c = map->first; c; c = c->next)
            if (strcmp(c->key, key) == 0)
                return fail_at(r, line, "key \"%s\" is there twice", key);
        GRD_TRY(next_event(r));
        grd_yaml *child;
        GRD_TRY(read_node(r, depth + 1, &child));
        child->key = key;
        child->line = r->is_override ? 0 : (int)line + 1;
        grd_yaml_append(map, child);
    }
}

/* Reads the node that the current event begins. */
static grd_status read_node(grd_reader *r, int depth, grd_yaml **out)
{
    size_t line = r->event.start_mark.line;
    if (depth > GRD_YAML_MAX_DEPTH)
        return fail_at(r, line, "%s", "nested too deeply");
    if (++r->nodes > GRD_YAML_MAX_NODES)
        return fail_at(r, line, "%s", "too many values for a config");
    const grd_yaml where = { .file = r->file, .line = r->is_override ? 0 : (int)line + 1 };
    grd_yaml_kind kind = r->event.type == YAML_MAPPING_START_EVENT    ? GRD_YAML_MAP
                         : r->event.type == YAML_SEQUENCE_START_EVENT ? GRD_YAML_LIST
                                                                      : GRD_YAML_SCALAR;
    if (kind == GRD_YAML_SCALAR && r->event.type != YAML_SCALAR_EVENT)
        return fail_at(r, line, "aliases (%s) are not read here; use blocks or extends", "*");
    grd_yaml *node = *out = grd_yaml_new(r->arena, kind, &where);
    if (!node)
        return GRD_ERR_MEMORY;
    if (kind == GRD_YAML_MAP) {
        GRD_TRY(plain_only(r, r->event.data.mapping_start.anchor, r->event.data.mapping_start.tag));
        return read_map(r, depth, node);
    }
    if (kind == GRD_YAML_LIST) {
        GRD_TRY(plain_only(r, r->event.data.sequence_start.anchor, r->event.data.sequence_start.tag));
        return read_list(r, depth, node);
    }
    GRD_TRY(plain_only(r, r->event.data.scalar.anchor, r->event.data.scalar.tag));
    node->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return scalar_text(r, &node->text);
}

static grd_status read_stream(grd_reader *r, grd_yaml **tree)
{
    GRD_TRY(next_event(r)); /* the stream begins */
    GRD_TRY(next_event(r));
    if (r->event.type == YAML_STREAM_END_EVENT) { /* nothing but comments: an empty scalar, that is null */
        const grd_yaml where = { .file = r->file, .line = r->is_override ? 0 : 1 };
        *tree = grd_yaml_new(r->arena, GRD_YAML_SCALAR, &where);
        if (!*tree)
            return GRD_ERR_MEMORY;
        (*tree)->text = "";
        return GRD_OK;
    }
    GRD_TRY(next_event(r)); /* past the document's begin */
    GRD_TRY(read_node(r, 1, tree));
    GRD_TRY(next_event(r)); /* its end */
    GRD_TRY(next_event(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail_at(r, r->event.start_mark.line, "%s", "a second document begins; a config is one");
    return GRD_OK;
}

grd_status grd_yaml_parse(grd_arena *arena, const char *file, bool is_override, const char *text, size_t size, grd_yaml **tree)
{
    grd_reader reader = { .arena = arena, .file = file, .is_override = is_override };
    *tree = NULL;
    if (size > GRD_YAML_MAX_BYTES)
        return grd_fail(arena->host, GRD_ERR_CONFIG, "%s: %zu bytes, a config has at most %d", file, size, GRD_YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&reader.parser))
        return grd_fail(arena->host, GRD_ERR_MEMORY, "%s: out of memory", file);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
    grd_status status = read_stream(&reader, tree);
    if (reader.have_event)
        yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return status;
}
