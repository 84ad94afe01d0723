/* Source "scenes": pictures with two white markers on a dark ground, a mask that numbers them, and their places as points. */
#ifndef GRD_TESTS_DATA_SCENES_H
#define GRD_TESTS_DATA_SCENES_H

#include "helper_data.h"

/* Fields image u8 or f32 [3,H,W], mask i32 [H,W] (0 ground, 1 and 2 the markers), points f32 [2,2], label i32 of 4 classes, soft
 * f32 [4] (that label one-hot). */
enum { SCENE_IMAGE, SCENE_MASK, SCENE_POINTS, SCENE_LABEL, SCENE_SOFT, SCENE_FIELDS };
enum { SCENES = 6 }; /* of sizes 24x31, 11x13, 1x1, 1x9, 9x1, 40x24 (height x width) */

typedef struct scene_opts {
    int64_t height, width; /* the same for all; 0 = as above: sizes vary */
    bool floats;           /* image f32 0..1 */
    bool noise;            /* any colours everywhere, instead of markers on a ground */
} scene_opts;

/* The set lives as long as ctx. */
grd_dataset *scenes(grd_ctx *ctx, scene_opts o);

#endif
