/* oneDNN v2.6 and v3 behind one face, chosen by DNNL_VERSION_MAJOR. v2 fills operation descriptors and passes memory descriptors
 * as structs; v3 has neither: one call makes a primitive descriptor, and memory descriptors are opaque pointers. All that differs
 * between the two is in this file; the rest of the folder is the same source for both. */
#ifndef GRD_BACKEND_ONEDNN_SHIM_H
#define GRD_BACKEND_ONEDNN_SHIM_H

#include "plan/layout.h"

#include <dnnl.h>
#include <string.h>

typedef struct shim_conv { /* sizes along height, width; dilation 0 = dense */
    dnnl_dims_t stride, dilation, pad, pad_end;
    dnnl_alg_kind_t algorithm;
    bool transposed; /* a deconvolution */
} shim_conv;

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t shim_md;          /* owned, to be released */
typedef const_dnnl_memory_desc_t shim_md_in; /* read only */
typedef const_dnnl_primitive_desc_t shim_pd_in;
#define SHIM_MD(md) (md)

static inline dnnl_status_t shim_md_by_tag(shim_md *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t shim_md_by_strides(shim_md *md, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(md, rank, dims, dnnl_f32, strides);
}

static inline void shim_md_release(shim_md *md)
{
    if (*md)
        dnnl_memory_desc_destroy(*md);
    *md = NULL;
}

/* Strides, padded sizes and inner blocks; false if it has no such form (Winograd weights and their like). */
static inline bool shim_md_blocks(shim_md_in md, grd_layout *l)
{
    dnnl_format_kind_t kind;
    dnnl_dims_t *strides, *padded, *size, *dim;
    int rank, n;
    if (dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked ||
        dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &rank) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_strides, &strides) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_padded_dims, &padded) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &n) != dnnl_success || n > GRD_MAX_INNER || rank > GRD_MAX_RANK)
        return false;
    if (n > 0 && (dnnl_memory_desc_query(md, dnnl_query_inner_blks, &size) != dnnl_success ||
                  dnnl_memory_desc_query(md, dnnl_query_inner_idxs, &dim) != dnnl_success))
        return false;
    l->n_inner = n;
    for (int i = 0; i < rank; i++) {
        l->stride[i] = (*strides)[i];
        l->padded[i] = (*padded)[i];
    }
    for (int k = 0; k < n; k++) {
        l->inner_dim[k] = (int)(*dim)[k];
        l->inner_size[k] = (int)(*size)[k];
    }
    return true;
}

static inline dnnl_status_t shim_conv_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c, shim_md_in x,
                                              shim_md_in w, shim_md_in b, shim_md_in y, const_dnnl_primitive_attr_t attr)
{
    if (c->transposed)
        return dnnl_deconvolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training, dnnl_deconvolution_direct, x, w, b,
                                                                y, c->stride, c->dilation, c->pad, c->pad_end, attr);
    return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training, c->algorithm, x, w, b, y,
                                                          c->stride, c->dilation, c->pad, c->pad_end, attr);
}

static inline dnnl_status_t shim_conv_backward_data(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c,
                                                    shim_md_in dx, shim_md_in w, shim_md_in dy, shim_pd_in forward,
                                                    const_dnnl_primitive_attr_t attr)
{
    if (c->transposed)
        return dnnl_deconvolution_backward_data_primitive_desc_create(pd, engine, dnnl_deconvolution_direct, dx, w, dy, c->stride,
                                                                      c->dilation, c->pad, c->pad_end, forward, attr);
    return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, c->algorithm, dx, w, dy, c->stride,
                                                                c->dilation, c->pad, c->pad_end, forward, attr);
}

static inline dnnl_status_t shim_conv_backward_weights(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c,
                                                       shim_md_in x, shim_md_in dw, shim_md_in db, shim_md_in dy,
                                                       shim_pd_in forward, const_dnnl_primitive_attr_t attr)
{
    if (c->transposed)
        return dnnl_deconvolution_backward_weights_primitive_desc_create(pd, engine, dnnl_deconvolution_direct, x, dw, db, dy,
                                                                         c->stride, c->dilation, c->pad, c->pad_end, forward, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, c->algorithm, x, dw, db, dy, c->stride,
                                                                   c->dilation, c->pad, c->pad_end, forward, attr);
}

static inline dnnl_status_t shim_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha)
{
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0);
}

#else /* v2 */

typedef dnnl_memory_desc_t shim_md;
typedef const dnnl_memory_desc_t *shim_md_in;
typedef const_dnnl_primitive_desc_t shim_pd_in;
#define SHIM_MD(md) (&(md))

static inline dnnl_status_t shim_md_by_tag(shim_md *md, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag);
}

static inline dnnl_status_t shim_md_by_strides(shim_md *md, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_init_by_strides(md, rank, dims, dnnl_f32, strides);
}

static inline void shim_md_release(shim_md *md) { (void)md; }

static inline bool shim_md_blocks(shim_md_in md, grd_layout *l)
{
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    if (md->format_kind != dnnl_blocked || md->ndims > GRD_MAX_RANK || b->inner_nblks > GRD_MAX_INNER)
        return false;
    l->n_inner = b->inner_nblks;
    for (int i = 0; i < md->ndims; i++) {
        l->stride[i] = b->strides[i];
        l->padded[i] = md->padded_dims[i];
    }
    for (int k = 0; k < l->n_inner; k++) {
        l->inner_dim[k] = (int)b->inner_idxs[k];
        l->inner_size[k] = (int)b->inner_blks[k];
    }
    return true;
}

static inline dnnl_status_t shim_conv_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c, shim_md_in x,
                                              shim_md_in w, shim_md_in b, shim_md_in y, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d; /* a deconvolution's is the same type */
    dnnl_status_t status;
    if (c->transposed)
        status = dnnl_dilated_deconvolution_forward_desc_init(&d, dnnl_forward_training, dnnl_deconvolution_direct, x, w, b, y,
                                                              c->stride, c->dilation, c->pad, c->pad_end);
    else
        status = dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_training, c->algorithm, x, w, b, y, c->stride,
                                                            c->dilation, c->pad, c->pad_end);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, engine, NULL);
}

static inline dnnl_status_t shim_conv_backward_data(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c,
                                                    shim_md_in dx, shim_md_in w, shim_md_in dy, shim_pd_in forward,
                                                    const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t status;
    if (c->transposed)
        status = dnnl_dilated_deconvolution_backward_data_desc_init(&d, dnnl_deconvolution_direct, dx, w, dy, c->stride, c->dilation,
                                                                    c->pad, c->pad_end);
    else
        status = dnnl_dilated_convolution_backward_data_desc_init(&d, c->algorithm, dx, w, dy, c->stride, c->dilation, c->pad,
                                                                  c->pad_end);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, engine, forward);
}

static inline dnnl_status_t shim_conv_backward_weights(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const shim_conv *c,
                                                       shim_md_in x, shim_md_in dw, shim_md_in db, shim_md_in dy,
                                                       shim_pd_in forward, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t status;
    if (c->transposed)
        status = dnnl_dilated_deconvolution_backward_weights_desc_init(&d, dnnl_deconvolution_direct, x, dw, db, dy, c->stride,
                                                                       c->dilation, c->pad, c->pad_end);
    else
        status = dnnl_dilated_convolution_backward_weights_desc_init(&d, c->algorithm, x, dw, db, dy, c->stride, c->dilation,
                                                                     c->pad, c->pad_end);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &d, attr, engine, forward);
}

static inline dnnl_status_t shim_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha)
{
    return dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, 0);
}

#endif
#endif
