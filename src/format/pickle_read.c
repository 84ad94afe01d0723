/* The reading half: a small stack machine that knows data and nothing else. A class or function is a mark on the stack that only the
 * few rebuilding steps below understand; any other is refused by name, so nothing is ever executed. */
#include "format/pickle.h"

#include "format/pth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STACK = 1 << 20, MAX_NODES = 1 << 22 };

typedef enum item_kind { VALUE, MARK, FUNCTION, STORAGE_CLASS, STORAGE } item_kind;

/* Functions that are understood. */
typedef enum function {
    ORDERED_DICT, REBUILD_TENSOR, REBUILD_TENSOR_V2, REBUILD_PARAMETER, SIZE, SET, DEVICE, ENCODE, COUNTER, PLAIN_NAME
} function;

typedef struct item {
    item_kind kind;
    union {
        grd_value *value;
        function function;
        const grd_storage_type *type;
        const grd_storage *storage;
    };
    const char *name;    /* of a function */
} item;

typedef struct machine {
    grd_pickle *p;
    grd_host *host;
    struct { item *item; int n, cap; } stack;
    struct { item *item; int n, cap; } memo;
    int nodes;
} machine;

static grd_status bad(machine *m, const char *what)
{
    return grd_fail(m->host, GRD_ERR_FORMAT, "%s: data.pkl: byte %zu: %s", m->p->name, m->p->at, what);
}

/* ---- bytes ---- */

static const uint8_t *take(machine *m, size_t n)
{
    if (n > m->p->size - m->p->at)
        return NULL;
    const uint8_t *at = m->p->bytes + m->p->at;
    m->p->at += n;
    return at;
}

static bool number(machine *m, int size, uint64_t *out)
{
    const uint8_t *at = take(m, (size_t)size);
    *out = at ? grd_little(at, size) : 0;
    return at != NULL;
}

/* A line's text, without its end; into the arena. */
static char *line(machine *m)
{
    const uint8_t *begin = m->p->bytes + m->p->at, *end = memchr(begin, '\n', m->p->size - m->p->at);
    if (!end || end - begin > 200)
        return NULL;
    char *text = grd_arena_alloc(m->p->arena, (size_t)(end - begin) + 1);
    if (text)
        memcpy(text, begin, (size_t)(end - begin));
    m->p->at += (size_t)(end - begin) + 1;
    return text;
}

/* ---- stack ---- */

static grd_status push(machine *m, item it)
{
    if (m->stack.n >= MAX_STACK)
        return bad(m, "the stack is too deep");
    if (!GRD_RESERVE(m->host, &m->stack))
        return GRD_ERR_MEMORY;
    m->stack.item[m->stack.n++] = it;
    return GRD_OK;
}

static grd_status push_value(machine *m, grd_value *v)
{
    if (!v)
        return GRD_ERR_MEMORY;
    if (++m->nodes > MAX_NODES)
        return bad(m, "too many values");
    if (*m->p->budget < sizeof *v)
        return bad(m, "it describes more than the file can hold");
    *m->p->budget -= sizeof *v;
    return push(m, (item){ .kind = VALUE, .value = v });
}

static item *top(machine *m) { return m->stack.n && m->stack.item[m->stack.n - 1].kind != MARK ? &m->stack.item[m->stack.n - 1] : NULL; }

/* Index of the first item above the last mark, which is taken away when `n` are dropped; -1 if there is no mark. */
static int above_mark(const machine *m)
{
    for (int i = m->stack.n - 1; i >= 0; i--)
        if (m->stack.item[i].kind == MARK)
            return i + 1;
    return -1;
}

/* What a list holds for an item: its value; a function's name as text; nothing else is data. */
static grd_value *as_value(machine *m, const item *it)
{
    if (it->kind == VALUE)
        return it->value;
    if (it->kind == FUNCTION && it->function == PLAIN_NAME)
        return grd_value_text(m->p->arena, it->name);
    return NULL;
}

static grd_value *node_of(machine *m, int depth, grd_value_kind kind)
{
    int at = m->stack.n - 1 - depth;
    if (at < 0 || m->stack.item[at].kind != VALUE)
        return NULL;
    grd_value *v = m->stack.item[at].value;
    return v->kind == kind ? v : NULL;
}

/* ---- depth: a value may not contain itself, nor nest too deep ---- */

/* `looks` bounds the walk: shared nodes could make it exponential. */
static bool too_deep(const grd_value *v, int room, int *looks)
{
    if (room == 0 || ++*looks > MAX_NODES)
        return true;
    if (v->kind == GRD_VALUE_DICT)
        for (int i = 0; i < v->dict.n; i++)
            if (too_deep(v->dict.item[i].value, room - 1, looks))
                return true;
    if (v->kind == GRD_VALUE_LIST || v->kind == GRD_VALUE_TUPLE)
        for (int i = 0; i < v->list.n; i++)
            if (too_deep(v->list.item[i], room - 1, looks))
                return true;
    return false;
}

/* ---- containers ---- */

static grd_status tuple_from(machine *m, int first, bool with_mark)
{
    grd_value *t = grd_value_tuple(m->p->arena);
    /* a storage reference is a tuple of mixed items: kept on the stack until BINPERSID takes it */
    for (int i = first; t && i < m->stack.n; i++) {
        grd_value *v = as_value(m, &m->stack.item[i]);
        if (!v && (m->stack.item[i].kind == STORAGE_CLASS || m->stack.item[i].kind == STORAGE || m->stack.item[i].kind == FUNCTION))
            v = grd_value_none(m->p->arena);
        GRD_TRY(v ? grd_value_append(m->p->arena, t, v) : bad(m, "a tuple of something that is no data"));
    }
    m->stack.n = first - with_mark;
    return push_value(m, t);
}

static grd_status set_items(machine *m, int first, grd_value *dict)
{
    if (!dict || (m->stack.n - first) % 2)
        return bad(m, "entries without a dict");
    for (int i = first; i < m->stack.n; i += 2) {
        grd_value *key = as_value(m, &m->stack.item[i]), *value = as_value(m, &m->stack.item[i + 1]);
        if (!key || !value)
            return bad(m, "an entry that is no data");
        if (key->kind == GRD_VALUE_TEXT || key->kind == GRD_VALUE_INT)
            GRD_TRY(grd_value_set_key(m->p->arena, dict, key, value));
    }
    return GRD_OK;
}

static grd_status append_items(machine *m, int first, grd_value *list)
{
    if (!list)
        return bad(m, "items without a list");
    for (int i = first; i < m->stack.n; i++) {
        grd_value *v = as_value(m, &m->stack.item[i]);
        GRD_TRY(v ? grd_value_append(m->p->arena, list, v) : bad(m, "an item that is no data"));
    }
    return GRD_OK;
}

/* ---- classes and functions ---- */

static grd_status push_global(machine *m, const char *module, const char *name)
{
    static const struct { const char *module, *name; function function; } known[] = {
        { "collections", "OrderedDict", ORDERED_DICT }, { "collections", "Counter", COUNTER },
        { "torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR_V2 }, { "torch._utils", "_rebuild_tensor", REBUILD_TENSOR },
        { "torch._utils", "_rebuild_parameter", REBUILD_PARAMETER }, { "torch", "Size", SIZE }, { "torch", "device", DEVICE },
        { "builtins", "set", SET }, { "__builtin__", "set", SET }, { "_codecs", "encode", ENCODE },
    };
    static const char *const types[] = { "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].module, module) == 0 && strcmp(known[i].name, name) == 0)
            return push(m, (item){ .kind = FUNCTION, .function = known[i].function, .name = known[i].name });
    bool torch = strcmp(module, "torch") == 0;
    const grd_storage_type *type = torch ? grd_storage_type_named(name, strlen(name)) : NULL;
    if (type)
        return push(m, (item){ .kind = STORAGE_CLASS, .type = type });
    for (size_t i = 0; torch && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i], name) == 0)
            return push(m, (item){ .kind = FUNCTION, .function = PLAIN_NAME, .name = types[i] });
    char a[GRD_PRINTABLE], b[GRD_PRINTABLE];
    return grd_fail(m->host, GRD_ERR_FORMAT, "%s: refused: the file wants to load \"%s.%s\", which is not plain data", m->p->name,
                    grd_printable(module, strlen(module), a), grd_printable(name, strlen(name), b));
}

/* The dimensions in a tuple of ints. */
static bool dims_of(const grd_value *t, int64_t *dim, int *n)
{
    if (!t || t->kind != GRD_VALUE_TUPLE || t->list.n > GRD_MAX_RANK)
        return false;
    for (*n = 0; *n < t->list.n; ++*n) {
        if (t->list.item[*n]->kind != GRD_VALUE_INT || t->list.item[*n]->integer < 0)
            return false;
        dim[*n] = t->list.item[*n]->integer;
    }
    return true;
}

/* (storage, offset, size, stride, ...) lie on the stack above the mark. */
static grd_status rebuild_tensor(machine *m, int first)
{
    grd_strided view = { .offset = 0 };
    int strides;
    if (m->stack.n - first < 4 || m->stack.item[first].kind != STORAGE || m->stack.item[first + 1].kind != VALUE ||
        m->stack.item[first + 1].value->kind != GRD_VALUE_INT || m->stack.item[first + 2].kind != VALUE || m->stack.item[first + 3].kind != VALUE ||
        !dims_of(m->stack.item[first + 2].value, view.shape.dim, &view.shape.rank) || !dims_of(m->stack.item[first + 3].value, view.stride, &strides) ||
        strides != view.shape.rank)
        return bad(m, "a tensor that is not described as PyTorch does (at most 6 dimensions)");
    const grd_storage *s = m->stack.item[first].storage;
    view.offset = m->stack.item[first + 1].value->integer + s->view_offset;
    if (view.offset < 0 || grd_strided_reach(&view) < 0)
        return bad(m, "a tensor of impossible size");
    grd_value *v = grd_value_tensor(m->p->arena, s->type->dtype, &view.shape, NULL);
    if (!v || !GRD_RESERVE(m->host, &m->p->tensors))
        return GRD_ERR_MEMORY;
    v->tensor.stored = s->type->stored;
    m->p->tensors.item[m->p->tensors.n++] = (grd_tensor_ref){ v, s, view };
    m->stack.n = first;
    return push_value(m, v);
}

/* A function and its arguments, which lie above a mark (a tuple that TUPLE would have made). */
static grd_status reduce_call(machine *m, int first)
{
    int f = first - 2; /* function, mark, arguments */
    if (f < 0 || m->stack.item[f].kind != FUNCTION)
        return bad(m, "a call of something that is no function");
    function which = m->stack.item[f].function;
    int n = m->stack.n - first;
    if (which == REBUILD_TENSOR || which == REBUILD_TENSOR_V2) {
        GRD_TRY(rebuild_tensor(m, first));
    } else if (which == REBUILD_PARAMETER && n >= 1 && m->stack.item[first].kind == VALUE) {
        m->stack.n = first + 1;
    } else if (which == ORDERED_DICT || which == COUNTER) {
        if (n != 0)
            return bad(m, "an OrderedDict with arguments");
        GRD_TRY(push_value(m, which == ORDERED_DICT ? grd_value_ordered(m->p->arena) : grd_value_dict(m->p->arena)));
    } else if ((which == SIZE || which == SET || which == DEVICE || which == ENCODE) && n >= 1 && m->stack.item[first].kind == VALUE) {
        m->stack.n = first + 1;
    } else {
        return bad(m, "a call that is not understood");
    }
    m->stack.item[f] = m->stack.item[m->stack.n - 1];
    m->stack.n = f + 1;
    return GRD_OK;
}

/* ('storage', class, key, location, count) above a mark becomes a storage. */
static grd_status persistent(machine *m, int first)
{
    int n = m->stack.n - first;
    const item *it = &m->stack.item[first];
    bool good = n >= 5 && it[0].kind == VALUE && it[0].value->kind == GRD_VALUE_TEXT && strcmp(it[0].value->text.bytes, "storage") == 0 &&
                it[1].kind == STORAGE_CLASS && it[2].kind == VALUE && it[2].value->kind == GRD_VALUE_TEXT && it[4].kind == VALUE &&
                it[4].value->kind == GRD_VALUE_INT && it[4].value->integer >= 0;
    if (!good)
        return bad(m, "a reference that is no storage");
    grd_storage *s = grd_arena_alloc(m->p->arena, sizeof *s);
    if (!s)
        return GRD_ERR_MEMORY;
    *s = (grd_storage){ it[2].value->text.bytes, it[2].value->text.size, it[1].type, it[4].value->integer, 0, it[4].value->integer };
    m->stack.n = first - 1;
    return push(m, (item){ .kind = STORAGE, .storage = s });
}

/* ---- tuples that the next opcode takes apart stay on the stack ---- */

/* Whether the opcode at `at` (memo opcodes skipped) is R or Q: then the items of this tuple are its arguments. */
static char next_opcode(const machine *m)
{
    size_t at = m->p->at;
    while (at < m->p->size) {
        char c = (char)m->p->bytes[at];
        if (c != 'q' && c != 'r' && c != '\x94')
            return c;
        at += c == 'q' ? 2 : c == 'r' ? 5 : 1;
    }
    return 0;
}

static void skip_memo(machine *m)
{
    while (m->p->at < m->p->size && (m->p->bytes[m->p->at] == 'q' || m->p->bytes[m->p->at] == 'r')) {
        size_t n = m->p->bytes[m->p->at] == 'q' ? 2 : 5;
        m->p->at = m->p->size - m->p->at < n ? m->p->size : m->p->at + n;
    }
}

/* A tuple of the items from `first` on; with_mark: below them lies a mark. */
static grd_status tuple_or_arguments(machine *m, int first, bool with_mark)
{
    char next = next_opcode(m);
    if (next != 'R' && next != 'Q')
        return tuple_from(m, first, with_mark);
    if (!with_mark) { /* put a mark below the arguments */
        GRD_TRY(push(m, (item){ .kind = MARK }));
        memmove(&m->stack.item[first + 1], &m->stack.item[first], sizeof(item) * (size_t)(m->stack.n - 1 - first));
        m->stack.item[first++].kind = MARK;
    }
    skip_memo(m);
    take(m, 1);
    return next == 'R' ? reduce_call(m, first) : persistent(m, first);
}

/* ---- memo ---- */

static grd_status remember(machine *m, uint64_t key)
{
    item *it = top(m);
    if (!it || key > MAX_NODES)
        return bad(m, "a memo entry that cannot be");
    while ((uint64_t)m->memo.n <= key) {
        if (!GRD_RESERVE(m->host, &m->memo))
            return GRD_ERR_MEMORY;
        m->memo.item[m->memo.n++] = (item){ .kind = MARK };
    }
    m->memo.item[key] = *it;
    return GRD_OK;
}

static grd_status recall(machine *m, uint64_t key)
{
    if (key >= (uint64_t)m->memo.n || m->memo.item[key].kind == MARK)
        return bad(m, "a memo entry that is not there");
    return push(m, m->memo.item[key]);
}

/* ---- opcodes ---- */

static grd_status put_text(machine *m, int size_bytes)
{
    uint64_t n;
    if (!number(m, size_bytes, &n))
        return bad(m, "the text is cut off");
    const uint8_t *text = take(m, n);
    return text ? push_value(m, grd_value_bytes(m->p->arena, (const char *)text, n)) : bad(m, "the text is longer than the file");
}

static grd_status put_long(machine *m)
{
    uint64_t n;
    const uint8_t *at = number(m, 1, &n) ? take(m, n) : NULL;
    if (!at)
        return bad(m, "the number is cut off");
    if (n > 8) {
        char text[40];
        snprintf(text, sizeof text, "0x... (%d bytes)", (int)n);
        return push_value(m, grd_value_text(m->p->arena, text));
    }
    uint64_t v = grd_little(at, (int)n);
    if (n && n < 8 && at[n - 1] & 0x80)
        v |= ~(uint64_t)0 << (8 * n);
    return push_value(m, grd_value_int(m->p->arena, (int64_t)v));
}

static grd_status put_double(machine *m)
{
    const uint8_t *at = take(m, 8);
    uint64_t bits = 0;
    double v;
    for (int i = 0; at && i < 8; i++)
        bits = bits << 8 | at[i];
    memcpy(&v, &bits, sizeof v);
    return at ? push_value(m, grd_value_real(m->p->arena, v)) : bad(m, "the number is cut off");
}

static grd_status container_end(machine *m, char code)
{
    int first = code == 's' ? m->stack.n - 2 : code == 'a' ? m->stack.n - 1 : above_mark(m);
    int marked = code == 'u' || code == 'e';
    if (first < 1 + marked)
        return bad(m, "a container without a beginning");
    item *into = &m->stack.item[first - 1 - marked];
    grd_value *v = into->kind == VALUE ? into->value : NULL;
    if (code == 's' || code == 'u')
        GRD_TRY(set_items(m, first, v && v->kind == GRD_VALUE_DICT ? v : NULL));
    else
        GRD_TRY(append_items(m, first, v && v->kind == GRD_VALUE_LIST ? v : NULL));
    m->stack.n = first - marked;
    return GRD_OK;
}

static grd_status reduce_tuple(machine *m)
{
    /* the arguments were an empty tuple or one that came from the memo */
    grd_value *args = node_of(m, 0, GRD_VALUE_TUPLE);
    if (!args)
        return bad(m, "a call without arguments");
    m->stack.item[m->stack.n - 1] = (item){ .kind = MARK };
    int first = m->stack.n;
    for (int i = 0; i < args->list.n; i++)
        GRD_TRY(push(m, (item){ .kind = VALUE, .value = args->list.item[i] }));
    return reduce_call(m, first);
}

static grd_status step(machine *m, char code)
{
    uint64_t n;
    grd_arena *arena = m->p->arena;
    switch (code) {
    case '\x80': return number(m, 1, &n) && n <= 5 ? GRD_OK : bad(m, "a pickle protocol that is not known");
    case '}': return push_value(m, grd_value_dict(arena));
    case ']': return push_value(m, grd_value_list(arena));
    case ')':
        if (next_opcode(m) == 'R') {
            skip_memo(m);
            take(m, 1);
            GRD_TRY(push(m, (item){ .kind = MARK }));
            return reduce_call(m, m->stack.n);
        }
        return push_value(m, grd_value_tuple(arena));
    case '\x8f': return push_value(m, grd_value_list(arena));
    case '(': return push(m, (item){ .kind = MARK });
    case 't': {
        int first = above_mark(m);
        return first < 0 ? bad(m, "a tuple without a beginning") : tuple_or_arguments(m, first, true);
    }
    case '\x85':
    case '\x86':
    case '\x87': {
        int count = (unsigned char)code - 0x84;
        bool there = m->stack.n >= count;
        for (int i = 0; there && i < count; i++)
            there = m->stack.item[m->stack.n - 1 - i].kind != MARK;
        return there ? tuple_or_arguments(m, m->stack.n - count, false) : bad(m, "a tuple of too few");
    }
    case 'R': return reduce_tuple(m);
    case 's':
    case 'u':
    case 'a':
    case 'e': return container_end(m, code);
    case 'X': return put_text(m, 4);
    case 'U':
    case '\x8c': return put_text(m, 1);
    case 'K': return number(m, 1, &n) ? push_value(m, grd_value_int(arena, (int64_t)n)) : bad(m, "cut off");
    case 'M': return number(m, 2, &n) ? push_value(m, grd_value_int(arena, (int64_t)n)) : bad(m, "cut off");
    case 'J': return number(m, 4, &n) ? push_value(m, grd_value_int(arena, (int32_t)(uint32_t)n)) : bad(m, "cut off");
    case '\x8a': return put_long(m);
    case 'G': return put_double(m);
    case 'N': return push_value(m, grd_value_none(arena));
    case '\x88': return push_value(m, grd_value_bool(arena, true));
    case '\x89': return push_value(m, grd_value_bool(arena, false));
    case 'c': {
        char *module = line(m), *name = module ? line(m) : NULL;
        return name ? push_global(m, module, name) : bad(m, "a class name that is cut off");
    }
    case 'q': return number(m, 1, &n) ? remember(m, n) : bad(m, "cut off");
    case 'r': return number(m, 4, &n) ? remember(m, n) : bad(m, "cut off");
    case 'h': return number(m, 1, &n) ? recall(m, n) : bad(m, "cut off");
    case 'j': return number(m, 4, &n) ? recall(m, n) : bad(m, "cut off");
    case 'b': /* attributes of an object (an OrderedDict's _metadata): left out */
        if (m->stack.n < 2 || !top(m))
            return bad(m, "attributes of nothing");
        m->stack.n--;
        return GRD_OK;
    default: {
        char text[80];
        snprintf(text, sizeof text, "opcode 0x%02x, which plain data does not need", (unsigned char)code);
        return bad(m, text);
    }
    }
}

static grd_status run(machine *m)
{
    for (;;) {
        const uint8_t *code = take(m, 1);
        if (!code)
            return bad(m, "it ends in the middle");
        if (*code == '.')
            break;
        GRD_TRY(step(m, (char)*code));
    }
    if (m->stack.n != 1 || m->stack.item[0].kind != VALUE)
        return bad(m, "it does not end in one value");
    m->p->root = m->stack.item[0].value;
    int looks = 0;
    return too_deep(m->p->root, GRD_PTH_MAX_DEPTH, &looks) ? bad(m, "nested too deep, or containing itself") : GRD_OK;
}

grd_status grd_pickle_read(grd_pickle *pickle)
{
    machine m = { .p = pickle, .host = pickle->arena->host };
    grd_status status = run(&m);
    grd_free(m.host, m.stack.item);
    grd_free(m.host, m.memo.item);
    return status;
}

void grd_pickle_drop(grd_pickle *pickle)
{
    grd_free(pickle->arena->host, pickle->tensors.item);
    pickle->tensors.item = NULL;
    pickle->tensors.n = pickle->tensors.cap = 0;
}
