/* A run: a config, its stages, and what each is made into. Internal to src/config. */
#ifndef GRD_CONFIG_PIPELINE_H
#define GRD_CONFIG_PIPELINE_H

#include "base/ctx.h"
#include "config/config.h"
#include "config/sections.h"

#include <gradus/nn.h>
#include <gradus/op.h>
#include <gradus/ops.h>
#include <gradus/run.h>

#define GRD_MAX_SUBSETS 16

/* The data sets of a stage, transforms applied. */
typedef struct grd_stage_data {
    grd_dataset *train, *val, *test; /* val, test: NULL if there is none */
    const grd_field *field;
    int n_fields;
    const char *learned; /* what transforms learned, as JSON; NULL: nothing */
} grd_stage_data;

/* A part of a source that stays open for the stages that follow. */
typedef struct grd_kept_part {
    const grd_source *source;
    const grd_yaml *node; /* the data section that opened it */
    int part;
    grd_dataset *set;
} grd_kept_part;

/* The model of a stage. */
typedef struct grd_stage_net {
    grd_graph *graph;
    grd_model *model;
    grd_var input, output, loss, metric[GRD_MAX_METRICS];
    const char *metric_name[GRD_MAX_METRICS];
    int n_metrics;
    const char *target; /* field of the (first) loss */
    const char *loss_op;
    bool one_loss;     /* the loss is one op, unweighted */
    bool reconstructs; /* the loss' target is the input */
    grd_var confusion; /* counts [classes, classes]; GRD_NONE if the model does not classify */
    int64_t classes;
} grd_stage_net;

typedef struct grd_stage {
    grd_pipeline *pipeline;
    const grd_config_stage *config;
    int index;
    bool linear;
    grd_run_section run;
    grd_data_section data;
    grd_train_section train;
    grd_stop_section stop;
    grd_init_section init;
    const char *optim, *schedule; /* specs */
    const grd_yaml *optim_node;
    double lambda; /* ridge */
    grd_stage_result result;
} grd_stage;

struct grd_pipeline {
    grd_child child;
    grd_ctx *ctx;
    grd_host *host;
    grd_arena arena;
    grd_config config;
    grd_pipeline_opts opts;
    char dir[1024], name[96];
    bool resumes; /* opened from a run's folder */
    bool logs;    /* to RUN/run.log */
    grd_stage stage[GRD_MAX_STAGES];
    grd_kept_part kept[3 * GRD_MAX_STAGES];
    int n_kept;
    int64_t *confusion;
};

void grd_pipeline_free_child(void *self);
void grd_pipeline_say(const grd_pipeline *p, const char *format, ...) GRD_PRINTF(2, 3);

/* datasets.c */
void grd_drop_kept(grd_pipeline *p);
grd_status grd_stage_open_data(grd_stage *stage, grd_stage_data *data);
grd_status grd_stage_open_raw(grd_stage *stage, grd_stage_data *data); /* as the files have them: without transforms */
void grd_stage_close_data(grd_stage_data *data);

/* network.c: the graph from `model`, `loss`, `metrics`; and its model. dtype F64 for gradient checks. */
grd_status grd_stage_build(grd_stage *stage, const grd_stage_data *data, grd_dtype dtype, grd_stage_net *net);
void grd_stage_free_net(grd_stage_net *net);

/* stages.c */
grd_status grd_stage_read(grd_stage *stage); /* the sections, checked */
bool grd_is_checkpoint(const char *name);    /* NAME.pth */
grd_status grd_stage_path(const grd_stage *stage, const char *file, char path[1200]);
grd_status grd_stage_find(grd_pipeline *p, const char *name, grd_stage **stage);

/* stage_run.c */
grd_status grd_stage_run(grd_stage *stage); /* trains and tests; resumes */

/* learned_file.c: writes the stage's transforms.json, if there is none */
grd_status grd_stage_keep_learned(const grd_stage *stage, const grd_stage_data *data);
/* split_file.c: writes the stage's split.json, or compares with the one that is there */
grd_status grd_stage_keep_split(const grd_stage *stage, const grd_stage_data *data);

/* done.c */
grd_status grd_stage_save_result(const grd_stage *stage);
grd_status grd_stage_load_result(grd_stage *stage); /* if it is there */

/* eval.c; counts [classes, classes] may be NULL */
grd_status grd_stage_evaluate(grd_stage *stage, const grd_stage_net *net, const grd_dataset *set, grd_metric *values, int *n,
                              int64_t *counts);
bool grd_stage_has_baseline(const grd_stage_data *data); /* `gradus linear` can read it */
/* The baseline of a stage that was trained, into its result, if it is cheap and one of the stage's metrics says how to compare. */
void grd_stage_add_baseline(grd_stage *stage, const grd_stage_data *data, const grd_stage_net *net);
grd_status grd_stage_ridge(grd_stage *stage, const grd_stage_data *data, grd_linear_model **ridge);
grd_status grd_stage_evaluate_ridge(const grd_linear_model *ridge, const grd_dataset *set, grd_metric *values, int *n,
                                    int64_t *counts);

/* batch.c: one batch of a stage's training set, bound to a model's inputs */
typedef struct grd_one_batch {
    grd_loader *loader;
    int64_t n;
    grd_shape shape[GRD_MAX_INPUTS];
    const void *input[GRD_MAX_INPUTS];
} grd_one_batch;
grd_status grd_one_batch_open(grd_pipeline *p, const grd_dataset *set, const grd_model *model, int64_t size, uint64_t seed,
                              bool shuffle, grd_one_batch *batch);
void grd_one_batch_close(grd_one_batch *batch);

/* results.c: what a finished run leaves: reconstructions.png, loss-curves.svg */
grd_status grd_results_pictures(grd_pipeline *p);

/* doctor.c: what looks wrong; returns how many findings */
#define GRD_MAX_FINDINGS 16
typedef struct grd_finding {
    const char *name;
    bool is_error; /* training can only fail; else advice */
    char text[300];
} grd_finding;
int grd_doctor(const grd_stage *stage, const grd_stage_data *data, const grd_stage_net *net, grd_finding found[GRD_MAX_FINDINGS]);

#endif
