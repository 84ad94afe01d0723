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
} grd_stage_data;

/* The model of a stage. */
typedef struct grd_stage_net {
    grd_graph *graph;
    grd_model *model;
    grd_var input, output, loss, metric[GRD_MAX_METRICS];
    const char *metric_name[GRD_MAX_METRICS];
    int n_metrics;
    const char *target;              /* field of the (first) loss */
    const char *loss_op;
    bool reconstructs;               /* the loss' target is the input */
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
    const char *optim, *schedule;    /* specs */
    const grd_yaml *optim_node;
    double lambda;                   /* ridge */
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
    bool resumes;                    /* opened from a run's folder */
    grd_stage stage[GRD_MAX_STAGES];
    int64_t *confusion;
};

void grd_pipeline_say(const grd_pipeline *p, const char *format, ...) GRD_PRINTF(2, 3);

/* datasets.c */
grd_status grd_stage_open_data(grd_stage *stage, grd_stage_data *data);
void grd_stage_close_data(grd_stage_data *data);

/* network.c: the graph from `model`, `loss`, `metrics`; and its model. dtype F64 for gradient checks. */
grd_status grd_stage_build(grd_stage *stage, const grd_stage_data *data, grd_dtype dtype, grd_stage_net *net);
void grd_stage_free_net(grd_stage_net *net);

/* stages.c */
grd_status grd_stage_read(grd_stage *stage);                 /* the sections, checked */
grd_status grd_stage_run(grd_stage *stage);                  /* trains and tests; resumes */
grd_status grd_stage_path(const grd_stage *stage, const char *file, char path[1200]);
grd_status grd_stage_load_result(grd_stage *stage);          /* from done.json, if it is there */
grd_status grd_stage_find(grd_pipeline *p, const char *name, grd_stage **stage);

/* results.c: what a finished run leaves: table, reconstructions.png, loss-curves.svg */
void grd_results_table(const grd_pipeline *p);
grd_status grd_results_pictures(grd_pipeline *p);

/* doctor.c: prints what looks wrong; returns how many findings */
int grd_doctor(grd_stage *stage, const grd_stage_data *data, const grd_stage_net *net, FILE *out);

#endif
