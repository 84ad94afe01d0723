#include "backend/onednn/program.h"

#include "tensor/tensor.h"

#include <stdio.h>

grd_dnn_program *grd_dnn_open(grd_host *host, size_t bytes)
{
    grd_dnn_program *p = grd_alloc(host, bytes);
    if (!p)
        return NULL;
    p->base.drop = grd_dnn_drop;
    p->failed = dnnl_engine_create(&p->engine, dnnl_cpu, 0) != dnnl_success ||
                dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) != dnnl_success ||
                dnnl_primitive_attr_create(&p->attr) != dnnl_success ||
                dnnl_primitive_attr_set_scratchpad_mode(p->attr, dnnl_scratchpad_mode_user) != dnnl_success;
    return p;
}

static void release(grd_dnn_program *p)
{
    for (int c = 0; c < p->n_calls; c++) {
        for (int i = 0; i < p->call[c].n; i++)
            dnnl_memory_destroy(p->call[c].arg[i].memory);
        dnnl_primitive_destroy(p->call[c].primitive);
    }
    if (p->attr)
        dnnl_primitive_attr_destroy(p->attr);
    if (p->stream)
        dnnl_stream_destroy(p->stream);
    if (p->engine)
        dnnl_engine_destroy(p->engine);
}

void grd_dnn_drop(grd_impl *impl, grd_host *host)
{
    release(impl->state);
    grd_free(host, impl->state);
    impl->state = NULL;
}

grd_dnn_slot grd_dnn_temp(grd_dnn_program *p, size_t bytes)
{
    grd_dnn_slot slot = { GRD_DNN_TEMP, 0, p->temp };
    p->temp += grd_align_up(bytes, 64);
    return slot;
}

void grd_dnn_arg(grd_dnn_program *p, int arg, shim_md_in md, grd_dnn_slot slot)
{
    if (p->failed)
        return;
    grd_dnn_call *c = &p->call[p->n_calls - 1];
    dnnl_memory_t memory = NULL;
    p->failed = c->n == GRD_DNN_MAX_ARGS || dnnl_memory_create(&memory, md, p->engine, DNNL_MEMORY_NONE) != dnnl_success;
    if (p->failed)
        return;
    c->slot[c->n] = slot;
    c->arg[c->n++] = (dnnl_exec_arg_t){ arg, memory };
}

void grd_dnn_add(grd_dnn_program *p, const_dnnl_primitive_desc_t pd)
{
    if (!p->failed)
        p->failed = p->n_calls == GRD_DNN_MAX_CALLS || dnnl_primitive_create(&p->call[p->n_calls].primitive, pd) != dnnl_success;
    if (!p->failed) {
        p->n_calls++;
        shim_md_in md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
        size_t bytes = md ? dnnl_memory_desc_get_size(md) : 0;
        if (bytes > 0)
            grd_dnn_arg(p, DNNL_ARG_SCRATCHPAD, md, (grd_dnn_slot){ GRD_DNN_SCRATCHPAD, 0, 0 });
        if (bytes > p->scratchpad)
            p->scratchpad = bytes;
    }
}

grd_dnn_slot grd_dnn_reorder(grd_dnn_program *p, shim_md_in from, grd_dnn_slot source, shim_md_in to, grd_dnn_slot target)
{
    if (dnnl_memory_desc_equal(from, to))
        return source;
    dnnl_primitive_desc_t pd;
    if (target.index < 0)
        target = grd_dnn_temp(p, dnnl_memory_desc_get_size(to));
    if (!p->failed)
        p->failed = dnnl_reorder_primitive_desc_create(&pd, from, p->engine, to, p->engine, p->attr) != dnnl_success;
    if (p->failed)
        return target;
    grd_dnn_add(p, pd);
    grd_dnn_arg(p, DNNL_ARG_FROM, from, source);
    grd_dnn_arg(p, DNNL_ARG_TO, to, target);
    dnnl_primitive_desc_destroy(pd);
    return target;
}

/* ---- running ---- */

static void *address(const grd_dnn_program *p, const grd_args *a, const grd_dnn_slot *slot)
{
    switch (slot->from) {
    case GRD_DNN_IN: return (void *)(uintptr_t)a->in[slot->index];
    case GRD_DNN_OUT: return a->out[slot->index];
    case GRD_DNN_DOUT: return (void *)(uintptr_t)a->dout[slot->index];
    case GRD_DNN_DIN: return a->din[slot->index];
    case GRD_DNN_TEMP: return (char *)a->scratch + slot->offset;
    case GRD_DNN_SCRATCHPAD: return (char *)a->scratch + p->temp;
    }
    return NULL;
}

static void run(const grd_impl *impl, const grd_args *args)
{
    const grd_dnn_program *p = impl->state;
    if (p->before)
        p->before(impl, args);
    for (int c = 0; c < p->n_calls; c++) {
        const grd_dnn_call *call = &p->call[c];
        for (int i = 0; i < call->n; i++)
            dnnl_memory_set_data_handle(call->arg[i].memory, address(p, args, &call->slot[i]));
        dnnl_primitive_execute(call->primitive, p->stream, call->n, call->arg);
    }
    dnnl_stream_wait(p->stream);
    if (p->after)
        p->after(impl, args);
}

const char *grd_dnn_close(grd_dnn_program *p, grd_impl *impl, grd_host *host)
{
    if (p->failed) {
        release(p);
        grd_free(host, p);
        return "oneDNN has no primitive for these sizes";
    }
    impl->state = p;
    impl->run = run;
    impl->scratch = p->temp + p->scratchpad;
    return NULL;
}

/* ---- layouts ---- */

bool grd_dnn_plain(int rank, const int64_t *dims, shim_md *md)
{
    dnnl_dims_t size = { 0 }, stride = { 0 };
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        size[i] = dims[i];
        stride[i] = step;
        step *= dims[i];
    }
    return shim_md_by_strides(md, rank, size, stride) == dnnl_success;
}

/* Row-major, whatever it says of dimensions of size 1. */
static bool is_plain(const grd_layout *l, const grd_shape *shape)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (shape->dim[i] != 1 && l->stride[i] != step)
            return false;
        step *= shape->dim[i];
    }
    return l->n_inner == 0 && !grd_layout_has_padding(l, shape);
}

/* "nChw16c": dimensions from the slowest to the fastest, capital if there are blocks of it, then the blocks. */
static void name_layout(grd_layout *l, int rank, const char *letters)
{
    size_t used = 0;
    bool done[GRD_MAX_RANK] = { false };
    for (int n = 0; n < rank; n++) {
        int slowest = -1;
        for (int i = 0; i < rank; i++)
            if (!done[i] && (slowest < 0 || l->stride[i] > l->stride[slowest]))
                slowest = i;
        done[slowest] = true;
        char letter = letters[slowest];
        for (int k = 0; k < l->n_inner; k++)
            if (l->inner_dim[k] == slowest)
                letter = (char)(letters[slowest] - 'a' + 'A');
        l->name[used++] = letter;
    }
    for (int k = 0; k < l->n_inner && used < sizeof l->name; k++)
        used += (size_t)snprintf(l->name + used, sizeof l->name - used, "%d%c", l->inner_size[k], letters[l->inner_dim[k]]);
}

grd_layout grd_dnn_layout(shim_md_in md, const grd_shape *shape, const char *letters)
{
    grd_layout l;
    memset(&l, 0, sizeof l); /* equality compares unused entries too */
    l.kind = GRD_LAYOUT_BLOCKED;
    l.bytes = dnnl_memory_desc_get_size(md);
    if (!shim_md_blocks(md, &l)) {
        l.kind = GRD_LAYOUT_OPAQUE;
        return l;
    }
    if (is_plain(&l, shape)) {
        memset(&l, 0, sizeof l);
        return l;
    }
    name_layout(&l, shape->rank, letters);
    return l;
}

bool grd_dnn_describe(const grd_layout *layout, const grd_shape *shape, shim_md *md)
{
    dnnl_dims_t dims = { 0 }, stride = { 0 };
    memcpy(dims, shape->dim, sizeof shape->dim);
    memcpy(stride, layout->stride, sizeof layout->stride);
    if (layout->kind == GRD_LAYOUT_OPAQUE || shape->rank < 1)
        return false;
    if (layout->kind == GRD_LAYOUT_PLAIN)
        return grd_dnn_plain(shape->rank, shape->dim, md);
    if (layout->n_inner == 0)
        return shim_md_by_strides(md, shape->rank, dims, stride) == dnnl_success;
    /* There is no call that takes strides and blocks in both versions: the tag is looked for. */
    for (int tag = dnnl_format_tag_any + 1; tag < dnnl_format_tag_last; tag++) {
        if (shim_md_by_tag(md, shape->rank, dims, (dnnl_format_tag_t)tag) != dnnl_success)
            continue;
        grd_layout l = grd_dnn_layout(SHIM_MD(*md), shape, "abcdef");
        if (grd_layout_equal(&l, layout))
            return true;
        shim_md_release(md);
    }
    return false;
}
