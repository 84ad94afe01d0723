/* Pictures [N,C,H,W] (and [N,C], [N,C,S]) as our kernels see them, in plain or channel-blocked layouts: n pictures of `blocks` runs, each
 * run `rows` places of `lanes` channels side by side.
 *
 *   nChw16c   blocks = C/16 (rounded up), rows = H W, lanes = 16: the last block's missing channels are zeros
 *   plain     blocks = C, rows = H W, lanes = 1
 *   [N,C]     one run: rows = N, lanes = C */
#ifndef GRD_BACKEND_CPU_PLANES_H
#define GRD_BACKEND_CPU_PLANES_H

#include "backend/backend.h"

typedef struct grd_planes {
    int64_t n, blocks, rows, lanes;
    int64_t height, width; /* of rank 4 */
    int64_t channels;      /* blocks * lanes: with padding */
} grd_planes;

/* False for layouts that are none of these. */
bool grd_planes_of(const grd_layout *layout, const grd_shape *shape, grd_planes *p);
/* The layout of another picture blocked alike (`like` plain: plain). */
grd_layout grd_planes_layout(const grd_layout *like, const grd_shape *shape);

static inline int64_t grd_planes_run(const grd_planes *p) { return p->rows * p->lanes; } /* elements */
static inline int64_t grd_planes_count(const grd_planes *p) { return p->n * p->blocks; }  /* runs */

#endif
