/* RUN/STAGE/transforms.json: what a stage's transforms learned from its training set, so that a run that goes on and an
 * evaluation change samples exactly as the training did: [{"transform": "standardize", "learned": {"mean": [...], "std":
 * [...]}}, ...]. */
#ifndef GRD_CONFIG_LEARNED_FILE_H
#define GRD_CONFIG_LEARNED_FILE_H

#include "config/pipeline.h"

#include <jansson.h>

typedef struct grd_learned_list {
    grd_host *host;
    char path[1200];
    json_t *old;   /* of the file; NULL: there is none */
    json_t *now;   /* of the transforms made so far */
} grd_learned_list;

/* Reads the file, if the run was begun before and there is one. On failure nothing is left to close. */
grd_status grd_learned_open(const grd_stage *stage, grd_learned_list *list);
/* base with the transform of `spec` at the end: with what it learned before, or it learns from base. A list that does not
 * know this transform at this place is an error. */
grd_status grd_learned_transform(grd_learned_list *list, const grd_dataset *base, const char *spec, grd_dataset **out);
/* Whether the file tells of no more transforms than there are. *text: all of them as JSON, in the arena; NULL: none learns. */
grd_status grd_learned_end(grd_learned_list *list, grd_arena *arena, const char **text);
void grd_learned_close(grd_learned_list *list);

#endif
