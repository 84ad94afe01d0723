/* A config file as stages: the file it extends, overrides, inheritance. Knows `extends` and `stages`, no other key. */
#ifndef GRD_CONFIG_CONFIG_H
#define GRD_CONFIG_CONFIG_H

#include "config/tree.h"

#define GRD_MAX_STAGES 64

typedef struct grd_config_stage {
    const char *name;
    const grd_yaml *own; /* what the stage says over the top level, `extends` followed; may be NULL */
    const grd_yaml *all; /* the top level with `own` merged over it */
} grd_config_stage;

typedef struct grd_config {
    grd_arena *arena;
    const char *path;
    bool plain;          /* no `stages`: one stage named train */
    const grd_yaml *top; /* without extends and stages */
    int n_stages;
    grd_config_stage stage[GRD_MAX_STAGES];
} grd_config;

/* Reads `path`. An override "key.sub=value" (value: YAML in flow style) wins over what the file says at the top and in every
 * stage; "stages.NAME.key=value" in one stage, and over the former. Everything lives in the arena. */
grd_status grd_config_load(grd_config *config, grd_arena *arena, const char *path, const char *const *overrides, int n_overrides);
/* Writes what grd_config_load reads back as the same stages. */
void grd_config_print(const grd_config *config, FILE *out);
/* Names of stages, blocks, runs and layers are parts of file names and of parameter paths. */
bool grd_good_name(const char *name);

#endif
