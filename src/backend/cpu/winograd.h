/* Winograd convolution, 3x3 at stride 1: what the driver (winograd.c) hands to the kernels (winograd_kernels.c).
 *
 * The target picture is cut into tiles of m x m places (m = 4 or 2); a tile needs a patch of p x p source places, p = m + 2. With the
 * matrices B, G, A of the scheme (winograd_template.h), at each of the p p points:
 *
 *   convolution    V = B' patch B, U = G w G', target tile = A' (sum over channels V U) A
 *   its gradient   D = A dy A', dw = G' (sum over tiles V D) G
 *
 * The sums are small matrix products, one a point. Pictures are channel-blocked (nChw16c or nChw8c, by the instruction set); tiles go
 * through in groups whose transformed values stay in the second-level cache. Lavin and Gray 2015, arXiv:1509.09308. */
#ifndef GRD_BACKEND_CPU_WINOGRAD_H
#define GRD_BACKEND_CPU_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

/* Source and target of one pass. Of backward data the source is dy; its patches may be gated: dz = dy act'(y). */
typedef struct grd_wino_map {
    int m;                                    /* 4 or 2 */
    int64_t batch, h, w, oh, ow;              /* places of source and target */
    int64_t pad_h, pad_w;                     /* the patch of a target tile at (i, j) begins at (i - pad_h, j - pad_w) */
    int64_t tiles_h, tiles_w;                 /* of one picture */
    int64_t channels, o_channels;             /* of source and target */
    int64_t blocks, o_blocks;                 /* of lanes, rounded up */
    int64_t group;                            /* tiles that go through at once */
    int64_t v_step, m_step;                   /* floats from one point to the next in transformed tiles: source, target side */
    int64_t u_step;                           /* in transformed weights, and in sums of weight gradients */
    int act, gate;                            /* GRD_ACT_*: put behind the target; of the gate */
    float slope;
} grd_wino_map;

/* w [O,C,3,3] as the pass sees it: w(o, c) at w + o o_step + c c_step, turned by 180 degrees for backward data. */
typedef struct grd_wino_weights {
    const float *w;
    int64_t o_step, c_step;
    bool turned;
    float *u;
} grd_wino_weights;

/* One thread's share of a pass. */
typedef struct grd_wino_job {
    const grd_wino_map *map;
    const float *x;        /* source pictures */
    const float *gate;     /* convolution: y at the source's places, gradient: y at the target's; NULL = no gate */
    float *y;              /* convolution: target, written */
    const float *dy;       /* gradient: at the target's places */
    const float *bias;     /* convolution: o_channels, or NULL */
    const float *u;
    float *v, *t;          /* transformed tiles of a group: source, target side */
    float *sums;           /* gradient: u_step a point, written; NULL = only db */
    float *db;             /* gradient: o_blocks * lanes, written; NULL = not wanted */
} grd_wino_job;

#endif
