/* Writing pickle protocol 2: the opcodes that PyTorch's restricted unpickler takes, no memo. */
#include "format/pickle.h"

#include "format/pth.h"

#include <string.h>

typedef struct writer {
    grd_host *host;
    const char *name;
    grd_bytes *out;
    grd_storage_list *storages;
} writer;

static grd_status write_value(writer *w, const grd_value *value, int depth);

static void op(writer *w, char code)
{
    grd_bytes_put(w->out, &code, 1);
}

static void write_int(writer *w, int64_t integer)
{
    if (integer >= 0 && integer <= 0xFF) {
        op(w, 'K');
        grd_bytes_number(w->out, (uint64_t)integer, 1);
    } else if (integer >= 0 && integer <= 0xFFFF) {
        op(w, 'M');
        grd_bytes_number(w->out, (uint64_t)integer, 2);
    } else if (integer >= INT32_MIN && integer <= INT32_MAX) {
        op(w, 'J');
        grd_bytes_number(w->out, (uint64_t)integer, 4);
    } else {
        op(w, '\x8a');
        grd_bytes_number(w->out, 8, 1);
        grd_bytes_number(w->out, (uint64_t)integer, 8);
    }
}

static void write_real(writer *w, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    op(w, 'G');
    for (int i = 7; i >= 0; i--)
        grd_bytes_number(w->out, bits >> (8 * i), 1);
}

static grd_status write_text(writer *w, const char *text, size_t size)
{
    if (size > UINT32_MAX)
        return grd_fail(w->host, GRD_ERR_ARG, "%s: a text of %zu bytes, expected less than 4 GiB", w->name, size);
    for (size_t i = 0, n; i < size; i += n) {
        n = grd_utf8_length(text + i, size - i);
        char shown[GRD_PRINTABLE];
        if (!n)
            return grd_fail(w->host, GRD_ERR_ARG, "%s: the text \"%s\" is not UTF-8", w->name, grd_printable(text, size, shown));
    }
    op(w, 'X');
    grd_bytes_number(w->out, size, 4);
    grd_bytes_put(w->out, text, size);
    return GRD_OK;
}

static grd_status write_items(writer *w, const grd_list *list, int depth)
{
    for (int i = 0; i < list->n; i++)
        GRD_TRY(write_value(w, list->item[i], depth));
    return GRD_OK;
}

static grd_status write_list(writer *w, const grd_list *list, int depth)
{
    op(w, ']');
    if (!list->n)
        return GRD_OK;
    op(w, '(');
    GRD_TRY(write_items(w, list, depth));
    op(w, 'e');
    return GRD_OK;
}

static grd_status write_tuple(writer *w, const grd_list *list, int depth)
{
    if (list->n > 3)
        op(w, '(');
    GRD_TRY(write_items(w, list, depth));
    op(w, list->n > 3 ? 't' : ")\x85\x86\x87"[list->n]);
    return GRD_OK;
}

static void write_ordered(writer *w)
{
    grd_bytes_text(w->out, "ccollections\nOrderedDict\n)R");
}

static grd_status write_dict(writer *w, const grd_dict *dict, int depth)
{
    if (dict->ordered)
        write_ordered(w);
    else
        op(w, '}');
    if (!dict->n)
        return GRD_OK;
    op(w, '(');
    for (int i = 0; i < dict->n; i++) {
        GRD_TRY(write_value(w, dict->item[i].key, depth));
        GRD_TRY(write_value(w, dict->item[i].value, depth));
    }
    op(w, 'u');
    return GRD_OK;
}

/* The key of the tensor's storage, or -1: no memory. */
static int storage_key(writer *w, const grd_tensor_data *tensor, int64_t count)
{
    grd_storage_list *list = w->storages;
    for (int i = 0; count && i < list->n; i++) {
        const grd_tensor_data *other = list->item[i];
        if (other->data == tensor->data && other->dtype == tensor->dtype && grd_count(&other->shape) == count)
            return i;
    }
    if (!GRD_RESERVE(w->host, list))
        return -1;
    list->item[list->n] = tensor;
    return list->n++;
}

static void write_dims(writer *w, const int64_t *dim, int rank)
{
    if (rank > 3)
        op(w, '(');
    for (int i = 0; i < rank; i++)
        write_int(w, dim[i]);
    op(w, rank > 3 ? 't' : ")\x85\x86\x87"[rank]);
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks) */
static grd_status write_tensor(writer *w, const grd_tensor_data *tensor)
{
    const grd_shape *shape = &tensor->shape;
    int64_t count = grd_count(shape), stride[GRD_MAX_RANK];
    int key = storage_key(w, tensor, count);
    if (key < 0)
        return GRD_ERR_MEMORY;
    for (int i = shape->rank - 1; i >= 0; i--)
        stride[i] = i == shape->rank - 1 ? 1 : stride[i + 1] * (shape->dim[i + 1] > 1 ? shape->dim[i + 1] : 1);
    grd_bytes_text(w->out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    GRD_TRY(write_text(w, "storage", 7));
    grd_bytes_print(w->out, "ctorch\n%s\n", grd_storage_type_of(tensor->dtype)->class_name);
    char text[16];
    GRD_TRY(write_text(w, text, (size_t)snprintf(text, sizeof text, "%d", key)));
    GRD_TRY(write_text(w, "cpu", 3));
    write_int(w, count);
    grd_bytes_text(w->out, "tQK");
    grd_bytes_zeros(w->out, 1);
    write_dims(w, shape->dim, shape->rank);
    write_dims(w, stride, shape->rank);
    op(w, '\x89');
    write_ordered(w);
    grd_bytes_text(w->out, "tR");
    return GRD_OK;
}

static grd_status write_value(writer *w, const grd_value *value, int depth)
{
    if (depth > GRD_PTH_MAX_DEPTH)
        return grd_fail(w->host, GRD_ERR_ARG, "%s: lists and dicts nested more than %d deep", w->name, GRD_PTH_MAX_DEPTH);
    switch (value->kind) {
    case GRD_VALUE_NONE: op(w, 'N'); break;
    case GRD_VALUE_BOOL: op(w, value->boolean ? '\x88' : '\x89'); break;
    case GRD_VALUE_INT: write_int(w, value->integer); break;
    case GRD_VALUE_REAL: write_real(w, value->real); break;
    case GRD_VALUE_TEXT: return write_text(w, value->text.bytes, value->text.size);
    case GRD_VALUE_LIST: return write_list(w, &value->list, depth + 1);
    case GRD_VALUE_TUPLE: return write_tuple(w, &value->list, depth + 1);
    case GRD_VALUE_DICT: return write_dict(w, &value->dict, depth + 1);
    case GRD_VALUE_TENSOR: return write_tensor(w, &value->tensor);
    }
    return grd_bytes_status(w->out);
}

grd_status grd_pickle_write(grd_host *host, const char *name, const grd_value *root, grd_bytes *out, grd_storage_list *storages)
{
    writer w = { host, name, out, storages };
    grd_bytes_text(out, "\x80\x02");
    GRD_TRY(write_value(&w, root, 0));
    op(&w, '.');
    return grd_bytes_status(out);
}
