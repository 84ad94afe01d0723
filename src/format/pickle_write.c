/* The writing half: protocol 2, without a memo (nodes that are shared are written again). */
#include "format/pickle.h"

#include <stdio.h>
#include <string.h>

typedef struct writer { grd_host *host; const char *name; grd_bytes *out; grd_storage_list *storages; int depth; } writer;

enum { MAX_DEPTH = 64 };

static void op(writer *w, char code) { grd_bytes_put(w->out, &code, 1); }
static void global(writer *w, const char *module_and_name) { grd_bytes_text(w->out, module_and_name); } /* "ctorch\nFloatStorage\n" */

static void put_text(writer *w, const char *text, size_t size)
{
    op(w, 'X');
    grd_bytes_number(w->out, size, 4);
    grd_bytes_put(w->out, text, size);
}

static void put_int(writer *w, int64_t v)
{
    if (v >= 0 && v < 256) {
        op(w, 'K');
        grd_bytes_number(w->out, (uint64_t)v, 1);
    } else if (v >= 0 && v < 65536) {
        op(w, 'M');
        grd_bytes_number(w->out, (uint64_t)v, 2);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
        op(w, 'J');
        grd_bytes_number(w->out, (uint64_t)v, 4);
    } else {
        op(w, '\x8a');
        grd_bytes_number(w->out, 8, 1);
        grd_bytes_number(w->out, (uint64_t)v, 8);
    }
}

static void put_real(writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    op(w, 'G'); /* the only big-endian number of the format */
    for (int shift = 56; shift >= 0; shift -= 8)
        grd_bytes_number(w->out, bits >> shift, 1);
}

/* The key of the storage a tensor's memory is in: the same for the same memory. */
static int storage_of(writer *w, const grd_tensor_data *t)
{
    grd_storage_list *list = w->storages;
    for (int i = 0; i < list->n; i++)
        if (t->data && list->item[i]->data == t->data && list->item[i]->dtype == t->dtype && grd_count(&list->item[i]->shape) == grd_count(&t->shape))
            return i;
    if (!GRD_RESERVE(w->host, list)) {
        w->out->failed = true;
        return 0;
    }
    list->item[list->n] = t;
    return list->n++;
}

static void put_tensor(writer *w, const grd_tensor_data *t)
{
    const grd_storage_type *type = grd_storage_type_of(t->dtype);
    char key[16];
    int64_t stride[GRD_MAX_RANK], step = 1;
    snprintf(key, sizeof key, "%d", storage_of(w, t));
    global(w, "ctorch._utils\n_rebuild_tensor_v2\n");
    op(w, '(');
    op(w, '(');
    put_text(w, "storage", 7);
    grd_bytes_print(w->out, "ctorch\n%s\n", type->class_name);
    put_text(w, key, strlen(key));
    put_text(w, "cpu", 3);
    put_int(w, grd_count(&t->shape));
    op(w, 't');
    op(w, 'Q');
    put_int(w, 0);
    op(w, '(');
    for (int i = 0; i < t->shape.rank; i++)
        put_int(w, t->shape.dim[i]);
    op(w, 't');
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->shape.dim[i] > 0 ? t->shape.dim[i] : 1;
    }
    op(w, '(');
    for (int i = 0; i < t->shape.rank; i++)
        put_int(w, stride[i]);
    op(w, 't');
    op(w, '\x89');
    global(w, "ccollections\nOrderedDict\n");
    op(w, ')');
    op(w, 'R');
    op(w, 't');
    op(w, 'R');
}

static grd_status put_value(writer *w, const grd_value *v);

static grd_status put_dict(writer *w, const grd_dict *d)
{
    if (d->ordered) {
        global(w, "ccollections\nOrderedDict\n");
        op(w, ')');
        op(w, 'R');
    } else {
        op(w, '}');
    }
    if (!d->n)
        return GRD_OK;
    op(w, '(');
    for (int i = 0; i < d->n; i++) {
        GRD_TRY(put_value(w, d->item[i].key));
        GRD_TRY(put_value(w, d->item[i].value));
    }
    op(w, 'u');
    return GRD_OK;
}

static grd_status put_list(writer *w, const grd_value *v)
{
    bool tuple = v->kind == GRD_VALUE_TUPLE;
    if (!tuple)
        op(w, ']');
    if (!tuple && !v->list.n)
        return GRD_OK;
    op(w, '(');
    for (int i = 0; i < v->list.n; i++)
        GRD_TRY(put_value(w, v->list.item[i]));
    op(w, tuple ? 't' : 'e');
    return GRD_OK;
}

static grd_status put_value(writer *w, const grd_value *v)
{
    if (w->depth >= MAX_DEPTH)
        return grd_fail(w->host, GRD_ERR_ARG, "%s: data nested deeper than %d", w->name, MAX_DEPTH);
    w->depth++;
    grd_status status = GRD_OK;
    switch (v->kind) {
    case GRD_VALUE_NONE: op(w, 'N'); break;
    case GRD_VALUE_BOOL: op(w, v->boolean ? '\x88' : '\x89'); break;
    case GRD_VALUE_INT: put_int(w, v->integer); break;
    case GRD_VALUE_REAL: put_real(w, v->real); break;
    case GRD_VALUE_TEXT: put_text(w, v->text.bytes, v->text.size); break;
    case GRD_VALUE_LIST:
    case GRD_VALUE_TUPLE: status = put_list(w, v); break;
    case GRD_VALUE_DICT: status = put_dict(w, &v->dict); break;
    case GRD_VALUE_TENSOR: put_tensor(w, &v->tensor); break;
    }
    w->depth--;
    return status;
}

grd_status grd_pickle_write(grd_host *host, const char *name, const grd_value *root, grd_bytes *out, grd_storage_list *storages)
{
    writer w = { host, name, out, storages, 0 };
    grd_bytes_put(out, "\x80\x02", 2);
    GRD_TRY(put_value(&w, root));
    op(&w, '.');
    return out->failed ? grd_fail(host, GRD_ERR_MEMORY, "%s: out of memory", name) : GRD_OK;
}
