/* The pickle machine: a stack, marks and a memo, all bounded by the bytes read so far. */
#include "format/pickle_globals.h"

#include "format/pth.h"

#include <string.h>

typedef struct values {
    grd_value **item;
    int n, cap;
} values;

typedef struct machine {
    grd_pickle *pickle;
    grd_arena *arena;
    size_t begin;
    values stack, memo;
    struct { int *item; int n, cap; } marks; /* heights of the stack */
    bool stopped;
} machine;

typedef grd_status (*opcode)(machine *m);

/* ---- bytes, stack, memo ---- */

static grd_status take(machine *m, uint64_t n, const uint8_t **bytes)
{
    grd_pickle *p = m->pickle;
    *bytes = p->bytes + p->at;
    if (n > p->size - p->at)
        return grd_pickle_fail(p, "the data ends in the middle of an item");
    p->at += (size_t)n;
    return GRD_OK;
}

static grd_status take_number(machine *m, int size, uint64_t *number)
{
    const uint8_t *bytes;
    *number = 0;
    GRD_TRY(take(m, (uint64_t)size, &bytes));
    *number = grd_little(bytes, size);
    return GRD_OK;
}

static grd_status push(machine *m, grd_value *value)
{
    if (!value)
        return m->arena->host->err.status;
    if (m->stack.n >= 1 << 28)
        return grd_pickle_fail(m->pickle, "more than %d items", m->stack.n);
    GRD_TRY(grd_pickle_spend(m->pickle, sizeof *value));
    if (!GRD_RESERVE(m->arena->host, &m->stack))
        return GRD_ERR_MEMORY;
    m->stack.item[m->stack.n++] = value;
    return GRD_OK;
}

/* Items above the last mark, which is where pops end. */
static int available(const machine *m)
{
    return m->stack.n - (m->marks.n ? m->marks.item[m->marks.n - 1] : 0);
}

static grd_status need(const machine *m, int n)
{
    return available(m) >= n ? GRD_OK : grd_pickle_fail(m->pickle, "the stack has %d items, expected %d", available(m), n);
}

static grd_value *pop(machine *m)
{
    return m->stack.item[--m->stack.n];
}

static grd_value *top(const machine *m)
{
    return m->stack.item[m->stack.n - 1];
}

/* Drops the last mark; the items above it begin at *first. */
static grd_status pop_mark(machine *m, int *first)
{
    *first = 0;
    if (!m->marks.n)
        return grd_pickle_fail(m->pickle, "an item that needs a mark, and there is none");
    *first = m->marks.item[--m->marks.n];
    return GRD_OK;
}

static grd_status remember(machine *m, uint64_t index)
{
    GRD_TRY(need(m, 1));
    if (index > m->pickle->at - m->begin || index >= 1 << 28)
        return grd_pickle_fail(m->pickle, "memo entry %llu, expected fewer than bytes so far", (unsigned long long)index);
    for (values *memo = &m->memo; memo->n <= (int)index;) {
        if (!GRD_RESERVE(m->arena->host, memo))
            return GRD_ERR_MEMORY;
        memo->item[memo->n++] = NULL;
    }
    m->memo.item[index] = top(m);
    return GRD_OK;
}

static grd_status recall(machine *m, uint64_t index)
{
    if (index >= (uint64_t)m->memo.n || !m->memo.item[index])
        return grd_pickle_fail(m->pickle, "memo entry %llu is used but was never set", (unsigned long long)index);
    return push(m, m->memo.item[index]);
}

/* ---- scalars ---- */

static grd_status push_int(machine *m, int64_t integer)
{
    return push(m, grd_value_int(m->arena, integer));
}

static grd_status op_int8(machine *m)
{
    uint64_t n;
    GRD_TRY(take_number(m, 1, &n));
    return push_int(m, (int64_t)n);
}

static grd_status op_int16(machine *m)
{
    uint64_t n;
    GRD_TRY(take_number(m, 2, &n));
    return push_int(m, (int64_t)n);
}

static grd_status op_int32(machine *m)
{
    uint64_t n;
    GRD_TRY(take_number(m, 4, &n));
    return push_int(m, (int64_t)(n ^ 0x80000000u) - 0x80000000LL);
}

/* Two's complement, lowest byte first. What does not fit 64 bits becomes text "0x...", which no part of ours computes with. */
static grd_status push_long(machine *m, uint64_t size)
{
    const uint8_t *bytes;
    GRD_TRY(take(m, size, &bytes));
    bool negative = size && (bytes[size - 1] & 0x80);
    if (size <= 8) {
        uint64_t n = grd_little(bytes, (int)size);
        if (negative && size < 8)
            n |= ~UINT64_C(0) << (8 * size);
        int64_t integer;
        memcpy(&integer, &n, sizeof integer);
        return push_int(m, integer);
    }
    GRD_TRY(grd_pickle_spend(m->pickle, 2 * size + 4));
    char *text = grd_arena_alloc(m->arena, (size_t)(2 * size + 4)), *end = text;
    if (!text)
        return GRD_ERR_MEMORY;
    if (negative)
        *end++ = '-';
    *end++ = '0';
    *end++ = 'x';
    const char digits[] = "0123456789abcdef";
    size_t lowest = 0; /* negation keeps zero bytes at the low end, negates the first other one, inverts those above */
    while (negative && !bytes[lowest])
        lowest++;
    for (size_t i = (size_t)size; i-- > 0;) {
        unsigned byte = !negative || i < lowest ? bytes[i] : (i == lowest ? 0x100u - bytes[i] : 0xFFu - bytes[i]) & 0xFF;
        *end++ = digits[byte >> 4];
        *end++ = digits[byte & 15];
    }
    grd_value *value = grd_value_text(m->arena, "");
    if (value)
        value->text = (grd_text){ text, (size_t)(end - text) };
    return push(m, value);
}

static grd_status op_long1(machine *m)
{
    uint64_t size;
    GRD_TRY(take_number(m, 1, &size));
    return push_long(m, size);
}

static grd_status op_long4(machine *m)
{
    uint64_t size;
    GRD_TRY(take_number(m, 4, &size));
    return push_long(m, size);
}

static grd_status op_real(machine *m)
{
    const uint8_t *bytes;
    GRD_TRY(take(m, 8, &bytes));
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i]; /* the only big-endian number */
    double real;
    memcpy(&real, &bits, sizeof real);
    return push(m, grd_value_real(m->arena, real));
}

static grd_status op_none(machine *m)
{
    return push(m, grd_value_none(m->arena));
}

static grd_status op_true(machine *m)
{
    return push(m, grd_value_bool(m->arena, true));
}

static grd_status op_false(machine *m)
{
    return push(m, grd_value_bool(m->arena, false));
}

static grd_status push_text(machine *m, int size_bytes)
{
    uint64_t size;
    const uint8_t *bytes;
    GRD_TRY(take_number(m, size_bytes, &size));
    GRD_TRY(take(m, size, &bytes));
    GRD_TRY(grd_pickle_spend(m->pickle, size + 1));
    return push(m, grd_value_bytes(m->arena, (const char *)bytes, (size_t)size));
}

static grd_status op_text8(machine *m)
{
    return push_text(m, 1);
}

static grd_status op_text32(machine *m)
{
    return push_text(m, 4);
}

/* ---- containers ---- */

static grd_status op_mark(machine *m)
{
    if (!GRD_RESERVE(m->arena->host, &m->marks))
        return GRD_ERR_MEMORY;
    m->marks.item[m->marks.n++] = m->stack.n;
    return GRD_OK;
}

static grd_status op_dict(machine *m)
{
    return push(m, grd_value_dict(m->arena));
}

static grd_status op_list(machine *m)
{
    return push(m, grd_value_list(m->arena));
}

static grd_status op_empty_tuple(machine *m)
{
    return push(m, grd_value_tuple(m->arena));
}

static grd_status append(machine *m, grd_value *list, int first)
{
    for (int i = first; i < m->stack.n; i++) {
        GRD_TRY(grd_pickle_spend(m->pickle, 2 * sizeof(grd_value *)));
        GRD_TRY(grd_value_append(m->arena, list, m->stack.item[i]));
    }
    m->stack.n = first;
    return GRD_OK;
}

static grd_status push_tuple(machine *m, int first)
{
    grd_value *tuple = grd_value_tuple(m->arena);
    if (!tuple)
        return GRD_ERR_MEMORY;
    GRD_TRY(append(m, tuple, first));
    return push(m, tuple);
}

static grd_status op_tuple(machine *m)
{
    int first;
    GRD_TRY(pop_mark(m, &first));
    return push_tuple(m, first);
}

static grd_status op_tuple1(machine *m)
{
    GRD_TRY(need(m, 1));
    return push_tuple(m, m->stack.n - 1);
}

static grd_status op_tuple2(machine *m)
{
    GRD_TRY(need(m, 2));
    return push_tuple(m, m->stack.n - 2);
}

static grd_status op_tuple3(machine *m)
{
    GRD_TRY(need(m, 3));
    return push_tuple(m, m->stack.n - 3);
}

static grd_status extend(machine *m, int first)
{
    grd_value *list = first > 0 ? m->stack.item[first - 1] : NULL;
    if (!grd_value_is(list, GRD_VALUE_LIST))
        return grd_pickle_fail(m->pickle, "items appended to a %s, expected a list",
                               list ? grd_pickle_kind(list) : "missing item");
    return append(m, list, first);
}

static grd_status op_append(machine *m)
{
    GRD_TRY(need(m, 2));
    return extend(m, m->stack.n - 1);
}

static grd_status op_appends(machine *m)
{
    int first;
    GRD_TRY(pop_mark(m, &first));
    return extend(m, first);
}

static grd_status set_items(machine *m, int first)
{
    grd_value *dict = first > 0 ? m->stack.item[first - 1] : NULL;
    if (!grd_value_is(dict, GRD_VALUE_DICT) || (m->stack.n - first) % 2)
        return grd_pickle_fail(m->pickle, "%d items set in a %s, expected pairs and a dict", m->stack.n - first,
                               dict ? grd_pickle_kind(dict) : "missing item");
    for (int i = first; i < m->stack.n; i += 2) {
        grd_value *key = m->stack.item[i];
        if (key->kind != GRD_VALUE_TEXT && key->kind != GRD_VALUE_INT)
            continue; /* a key of a kind that we have no use for */
        GRD_TRY(grd_pickle_spend(m->pickle, 64));
        GRD_TRY(grd_value_set_key(m->arena, dict, key, m->stack.item[i + 1]));
    }
    m->stack.n = first;
    return GRD_OK;
}

static grd_status op_setitem(machine *m)
{
    GRD_TRY(need(m, 3));
    return set_items(m, m->stack.n - 2);
}

static grd_status op_setitems(machine *m)
{
    int first;
    GRD_TRY(pop_mark(m, &first));
    return set_items(m, first);
}

/* ---- memo ---- */

static grd_status op_put8(machine *m)
{
    uint64_t index;
    GRD_TRY(take_number(m, 1, &index));
    return remember(m, index);
}

static grd_status op_put32(machine *m)
{
    uint64_t index;
    GRD_TRY(take_number(m, 4, &index));
    return remember(m, index);
}

static grd_status op_get8(machine *m)
{
    uint64_t index;
    GRD_TRY(take_number(m, 1, &index));
    return recall(m, index);
}

static grd_status op_get32(machine *m)
{
    uint64_t index;
    GRD_TRY(take_number(m, 4, &index));
    return recall(m, index);
}

static grd_status op_memoize(machine *m)
{
    return remember(m, (uint64_t)m->memo.n);
}

/* ---- names and calls ---- */

static grd_status take_line(machine *m, const char **line, size_t *size)
{
    const grd_pickle *p = m->pickle;
    const uint8_t *begin = p->bytes + p->at, *end = memchr(begin, '\n', p->size - p->at);
    *line = (const char *)begin;
    *size = 0;
    if (!end)
        return grd_pickle_fail(p, "the data ends in the middle of a name");
    *size = (size_t)(end - begin);
    m->pickle->at += *size + 1;
    return GRD_OK;
}

static grd_status op_global(machine *m)
{
    const char *module, *name;
    size_t module_size, name_size;
    GRD_TRY(take_line(m, &module, &module_size));
    GRD_TRY(take_line(m, &name, &name_size));
    return push(m, grd_pickle_global_named(m->pickle, module, module_size, name, name_size));
}

static grd_status op_stack_global(machine *m)
{
    GRD_TRY(need(m, 2));
    const grd_value *name = pop(m), *module = pop(m);
    if (!grd_value_is(name, GRD_VALUE_TEXT) || !grd_value_is(module, GRD_VALUE_TEXT))
        return grd_pickle_fail(m->pickle, "a class whose name is not text");
    return push(m, grd_pickle_global_named(m->pickle, module->text.bytes, module->text.size, name->text.bytes, name->text.size));
}

static grd_status op_call(machine *m)
{
    GRD_TRY(need(m, 2));
    const grd_value *args = pop(m), *function = pop(m);
    return push(m, grd_pickle_call(m->pickle, function, args));
}

/* Attributes of an object, such as a state_dict's _metadata: left out. */
static grd_status op_build(machine *m)
{
    GRD_TRY(need(m, 2));
    pop(m);
    return GRD_OK;
}

static grd_status op_storage(machine *m)
{
    GRD_TRY(need(m, 1));
    return push(m, grd_pickle_storage(m->pickle, pop(m)));
}

/* ---- the whole ---- */

static grd_status op_protocol(machine *m)
{
    uint64_t protocol;
    GRD_TRY(take_number(m, 1, &protocol));
    if (protocol < 2 || protocol > 5)
        return grd_pickle_fail(m->pickle, "pickle protocol %d, expected 2 to 5", (int)protocol);
    return GRD_OK;
}

static grd_status op_frame(machine *m)
{
    uint64_t size;
    return take_number(m, 8, &size);
}

static grd_status op_stop(machine *m)
{
    GRD_TRY(need(m, 1));
    if (m->stack.n != 1 || m->marks.n)
        return grd_pickle_fail(m->pickle, "%d items left over at the end, expected 1", m->stack.n);
    m->stopped = true;
    return GRD_OK;
}

static const opcode opcodes[256] = {
    [0x80] = op_protocol, [0x95] = op_frame, ['.'] = op_stop,
    ['N'] = op_none, [0x88] = op_true, [0x89] = op_false,
    ['K'] = op_int8, ['M'] = op_int16, ['J'] = op_int32, [0x8a] = op_long1, [0x8b] = op_long4, ['G'] = op_real,
    ['X'] = op_text32, [0x8c] = op_text8, ['T'] = op_text32, ['U'] = op_text8, ['B'] = op_text32, ['C'] = op_text8,
    ['('] = op_mark, ['}'] = op_dict, [']'] = op_list, [0x8f] = op_list,
    [')'] = op_empty_tuple, ['t'] = op_tuple, [0x85] = op_tuple1, [0x86] = op_tuple2, [0x87] = op_tuple3,
    ['a'] = op_append, ['e'] = op_appends, [0x90] = op_appends, ['s'] = op_setitem, ['u'] = op_setitems,
    ['q'] = op_put8, ['r'] = op_put32, [0x94] = op_memoize, ['h'] = op_get8, ['j'] = op_get32,
    ['c'] = op_global, [0x93] = op_stack_global, ['R'] = op_call, [0x81] = op_call, ['b'] = op_build, ['Q'] = op_storage,
};

static grd_status run(machine *m)
{
    while (!m->stopped) {
        const uint8_t *code;
        GRD_TRY(take(m, 1, &code));
        if (!opcodes[*code])
            return grd_pickle_fail(m->pickle, "opcode 0x%02x is not one of plain data", *code);
        GRD_TRY(opcodes[*code](m));
    }
    return GRD_OK;
}

/* A memo can make lists that hold themselves, and trees that are small in the file and endless to walk. */
static grd_status check_tree(const grd_pickle *p, const grd_value *value, int depth, uint64_t *nodes)
{
    if (value->kind > GRD_VALUE_TENSOR)
        return grd_pickle_fail(p, "a %s where data is expected", grd_pickle_kind(value));
    if (depth > GRD_PTH_MAX_DEPTH)
        return grd_pickle_fail(p, "lists and dicts nested more than %d deep", GRD_PTH_MAX_DEPTH);
    if (!(*nodes)--)
        return grd_pickle_fail(p, "far more items than the file's size");
    for (int i = 0; i < grd_value_count(value); i++) {
        const grd_value *item = value->kind == GRD_VALUE_DICT ? value->dict.item[i].value : value->list.item[i];
        GRD_TRY(check_tree(p, item, depth + 1, nodes));
    }
    return GRD_OK;
}

grd_status grd_pickle_read(grd_pickle *pickle)
{
    machine m = { .pickle = pickle, .arena = pickle->arena, .begin = pickle->at };
    grd_status status = run(&m);
    if (status == GRD_OK) {
        uint64_t nodes = 1000000 + (pickle->at - m.begin);
        pickle->root = m.stack.item[0];
        status = check_tree(pickle, pickle->root, 0, &nodes);
    }
    grd_host *host = pickle->arena->host;
    grd_free(host, m.stack.item);
    grd_free(host, m.memo.item);
    grd_free(host, m.marks.item);
    return status;
}

void grd_pickle_drop(grd_pickle *pickle)
{
    grd_free(pickle->arena->host, pickle->tensors.item);
    pickle->tensors.item = NULL;
}
