#include "backend/cpu/planes.h"

#include <stdio.h>
#include <string.h>

static grd_layout blocked(const grd_shape *shape, int lanes)
{
    grd_layout l = { .kind = GRD_LAYOUT_BLOCKED, .n_inner = 1, .inner_dim = { 1 }, .inner_size = { lanes } };
    int64_t stride = lanes;
    for (int i = shape->rank - 1; i >= 0; i--) {
        bool channel = i == 1;
        l.padded[i] = channel ? (shape->dim[i] + lanes - 1) / lanes * lanes : shape->dim[i];
        l.stride[i] = stride;
        stride *= channel ? l.padded[i] / lanes : l.padded[i];
    }
    l.bytes = (size_t)stride * sizeof(float);
    snprintf(l.name, sizeof l.name, "nChw%dc", lanes);
    return l;
}

bool grd_planes_of(const grd_layout *layout, const grd_shape *shape, grd_planes *p)
{
    int rank = shape->rank;
    if (rank < 2)
        return false;
    *p = (grd_planes){ .n = shape->dim[0], .blocks = shape->dim[1], .rows = 1, .lanes = 1 };
    for (int i = 2; i < rank; i++)
        p->rows *= shape->dim[i];
    p->height = rank == 4 ? shape->dim[2] : 1;
    p->width = rank == 4 ? shape->dim[3] : p->rows;
    if (layout->kind == GRD_LAYOUT_BLOCKED) {
        if (rank != 4 || layout->n_inner != 1 || layout->inner_dim[0] != 1 ||
            (layout->inner_size[0] != 16 && layout->inner_size[0] != 8))
            return false;
        grd_layout same = blocked(shape, layout->inner_size[0]);
        if (!grd_layout_equal(&same, layout))
            return false;
        p->lanes = layout->inner_size[0];
        p->blocks = (shape->dim[1] + p->lanes - 1) / p->lanes;
    } else if (layout->kind != GRD_LAYOUT_PLAIN) {
        return false;
    } else if (p->rows == 1) {
        *p = (grd_planes){ .n = 1, .blocks = 1, .rows = shape->dim[0], .lanes = shape->dim[1], .height = 1, .width = 1 };
    }
    p->channels = p->blocks * p->lanes;
    return true;
}

grd_layout grd_planes_layout(const grd_layout *like, const grd_shape *shape)
{
    static const grd_layout plain;
    return like->kind == GRD_LAYOUT_BLOCKED ? blocked(shape, like->inner_size[0]) : plain;
}
