/* Walks over an array run by run along its last dimension, with the offsets that belong to it in up to two other arrays:
 * broadcast against it, reduced, or with its dimensions in another order. Neighbouring dimensions that all of them step through
 * alike are walked as one, so that equal shapes are one run and a bias or a channel vector has runs as long as can be. */
#ifndef GRD_OP_ROWS_WALK_H
#define GRD_OP_ROWS_WALK_H

#include "op/row.h"

typedef struct walk {
    int outer;                                     /* dimensions that are walked: all but the last */
    int64_t dim[GRD_MAX_RANK], index[GRD_MAX_RANK];
    int64_t stride[2][GRD_MAX_RANK];
    int64_t runs, n;                               /* how many runs, elements of each */
    int64_t at[2], step[2];                        /* where this run begins in the other arrays, how far an element moves there */
} walk;

/* stride[k][i]: how far a step along dimension i of `shape` moves in the other array k. */
static inline walk walk_start(const grd_shape *shape, int64_t stride[2][GRD_MAX_RANK])
{
    walk w = { .runs = 1 };
    int last = -1;
    for (int i = 0; i < shape->rank; i++) {
        const int64_t d = shape->dim[i];
        if (d == 1)
            continue;
        const bool joins = last >= 0 && w.stride[0][last] == d * stride[0][i] && w.stride[1][last] == d * stride[1][i];
        last += !joins;
        w.dim[last] = joins ? w.dim[last] * d : d;
        w.stride[0][last] = stride[0][i];
        w.stride[1][last] = stride[1][i];
    }
    w.outer = last > 0 ? last : 0;
    for (int i = 0; i < w.outer; i++)
        w.runs *= w.dim[i];
    w.n = last >= 0 ? w.dim[last] : 1;
    for (int k = 0; k < 2; k++)
        w.step[k] = last >= 0 ? w.stride[k][last] : 1;
    return w;
}

static inline void walk_next(walk *w)
{
    for (int i = w->outer - 1; i >= 0; i--) {
        w->at[0] += w->stride[0][i];
        w->at[1] += w->stride[1][i];
        if (++w->index[i] < w->dim[i])
            return;
        w->at[0] -= w->stride[0][i] * w->dim[i];
        w->at[1] -= w->stride[1][i] * w->dim[i];
        w->index[i] = 0;
    }
}

/* Strides of `in` seen from `out`, which it broadcasts to: 0 where it repeats. */
static inline void walk_broadcast(const grd_shape *in, const grd_shape *out, int64_t stride[GRD_MAX_RANK])
{
    int64_t size = 1;
    for (int i = out->rank - 1; i >= 0; i--) {
        const int j = i - (out->rank - in->rank);
        const int64_t d = j < 0 ? 1 : in->dim[j];
        stride[i] = d == 1 ? 0 : size;
        size *= d;
    }
}

/* Rank and sizes that two inputs broadcast to, the last `skip` dimensions left to the caller; false if they do not fit. */
static inline bool broadcast_dims(const grd_shape *a, const grd_shape *b, int skip, grd_shape *y)
{
    y->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < y->rank - skip; i++) {
        const int ia = i - (y->rank - a->rank), ib = i - (y->rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return false;
        y->dim[i] = da > db ? da : db;
    }
    return true;
}

#endif
