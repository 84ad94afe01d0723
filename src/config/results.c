/* What a finished run leaves to look at: a table, originals above reconstructions, loss curves. */
#include "config/pipeline.h"

#include "base/file.h"
#include "format/picture.h"
#include "format/svg.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- table ---- */

static const grd_metric *metric_of(const grd_stage_result *r, const char *name)
{
    for (int i = 0; i < r->n_test; i++)
        if (strcmp(r->test[i].name, name) == 0)
            return &r->test[i];
    return NULL;
}

/* The test's metrics that some stage has, loss first; one that only repeats the loss under its own name is left out. */
static int find_columns(const grd_pipeline *p, const char *name[GRD_MAX_RESULTS])
{
    int n = 0;
    for (int i = 0; i < p->config.n_stages; i++) {
        const grd_stage_result *r = &p->stage[i].result;
        for (int k = 0; k < r->n_test && n < GRD_MAX_RESULTS; k++) {
            bool known = k > 0 && r->test[k].value == r->test[0].value;
            for (int c = 0; c < n && !known; c++)
                known = strcmp(name[c], r->test[k].name) == 0;
            if (!known)
                name[n++] = r->test[k].name;
        }
    }
    return n;
}

static void print_cell(FILE *out, double value, bool percent)
{
    if (!isfinite(value))
        fprintf(out, "  %13s", "-");
    else if (percent)
        fprintf(out, "  %11.2f %%", 100 * value);
    else
        fprintf(out, "  %13.5f", value);
}

/* What a line through the same data reaches, under the column that it can be compared in. */
static void print_baseline(FILE *out, const grd_metric *baseline, const char *const *column, int n)
{
    fprintf(out, "%-14s %7s %7s", "  ridge", "-", "-");
    print_cell(out, NAN, false);
    for (int c = 0; c < n; c++)
        print_cell(out, strcmp(column[c], baseline->name) == 0 ? baseline->value : NAN, strcmp(column[c], "accuracy") == 0);
    fputc('\n', out);
}

void grd_pipeline_table(const grd_pipeline *p, FILE *out)
{
    const char *column[GRD_MAX_RESULTS];
    int n = find_columns(p, column), lines = 0;
    fprintf(out, "%-14s %7s %7s  %13s", "stage", "epochs", "best", "val loss");
    for (int c = 0; c < n; c++)
        fprintf(out, "  %*s%s", (int)(strlen(column[c]) < 8 ? 13 - strlen(column[c]) : 5), "test ", column[c]);
    fputc('\n', out);
    for (int i = 0; i < p->config.n_stages; i++) {
        const grd_stage_result *r = &p->stage[i].result;
        fprintf(out, "%-14s %7lld %7lld", r->name, (long long)r->epochs, (long long)r->best_epoch);
        print_cell(out, r->val_loss, false);
        for (int c = 0; c < n; c++) {
            const grd_metric *metric = metric_of(r, column[c]);
            print_cell(out, metric ? metric->value : NAN, strcmp(column[c], "accuracy") == 0);
        }
        fputc('\n', out);
        if (r->baseline.name)
            print_baseline(out, &r->baseline, column, n);
        lines += r->baseline.name != NULL;
    }
    if (lines)
        fprintf(out, "ridge: a linear model of the same data, the baseline to beat; more of them by gradus linear.\n");
    if (n)
        fprintf(out, "The test set was read once for each stage, with its best weights.\n");
}

/* ---- reconstructions ---- */

enum { COLUMNS = 12 };

static grd_status draw_grid(grd_pipeline *p, const grd_stage *s, const float *original, const float *made, const grd_shape *shape)
{
    char path[1200];
    int rank = shape->rank;
    int channels = rank == 4 ? (int)shape->dim[1] : 1, height = (int)shape->dim[rank - 2], width = (int)shape->dim[rank - 1];
    grd_picture_row rows[2] = { { "original", original }, { "reconstruction", made } };
    char title[256];
    snprintf(title, sizeof title, "%s: test images above what \"%s\" makes of them", p->name, s->config->name);
    grd_picture_grid grid = { .title = title,
                              .row = rows,
                              .rows = 2,
                              .columns = (int)shape->dim[0],
                              .channels = channels,
                              .height = height,
                              .width = width };
    grd_picture picture;
    GRD_TRY(grd_picture_from_grid(&picture, p->host, &grid));
    snprintf(path, sizeof path, "%s/reconstructions.png", p->dir);
    grd_status status = grd_picture_write(&picture, path);
    grd_picture_free(&picture);
    if (status == GRD_OK)
        grd_pipeline_say(p, "originals above reconstructions: %s", path);
    return status;
}

static grd_status reconstruct(grd_pipeline *p, grd_stage *s, const grd_stage_data *data, const grd_stage_net *net)
{
    char path[1200];
    int loaded, index = 0;
    grd_one_batch b;
    grd_plan *plan;
    GRD_TRY(grd_stage_path(s, "best.pth", path));
    GRD_TRY(grd_model_load(net->model, path, NULL, &loaded));
    GRD_TRY(grd_one_batch_open(p, data->test, net->model, COLUMNS, 0, false, &b));
    while (strcmp(grd_model_input_name(net->model, index), net->target) != 0)
        index++;
    grd_run run = { .row = 0 };
    memcpy(run.input, b.input, sizeof run.input);
    grd_compile_opts opts = { .keep = { net->output }, .n_keep = 1 };
    grd_status status = grd_model_plan(net->model, &opts, b.shape, &plan);
    if (status == GRD_OK)
        status = grd_plan_run(plan, &run);
    if (status == GRD_OK)
        status = draw_grid(p, s, b.input[index], grd_plan_value(plan, net->output, NULL), &b.shape[index]);
    grd_one_batch_close(&b);
    return status;
}

/* One picture a sample: [N,H,W] or [N,1 or 3,H,W]. */
static bool is_picture(const grd_shape *s)
{
    enum { LARGEST = 1024 };
    if (s->rank != 3 && !(s->rank == 4 && (s->dim[1] == 1 || s->dim[1] == 3)))
        return false;
    for (int d = s->rank - 2; d < s->rank; d++)
        if (s->dim[d] < 2 || s->dim[d] > LARGEST)
            return false;
    return true;
}

/* The first stage whose loss compares the output with the input, if the input is a picture. */
static grd_status draw_reconstructions(grd_pipeline *p)
{
    for (int i = 0; i < p->config.n_stages; i++) {
        grd_stage *s = &p->stage[i];
        grd_stage_data data;
        grd_stage_net net;
        if (s->linear)
            continue;
        GRD_TRY(grd_stage_open_data(s, &data));
        grd_status status = grd_stage_build(s, &data, GRD_F32, &net);
        bool here = false;
        if (status == GRD_OK) {
            grd_shape in = grd_var_shape(net.input);
            here = net.reconstructs && data.test && is_picture(&in);
            if (here)
                status = reconstruct(p, s, &data, &net);
            grd_stage_free_net(&net);
        }
        grd_stage_close_data(&data);
        GRD_TRY(status);
        if (here)
            return GRD_OK;
    }
    return GRD_OK;
}

/* ---- curves ---- */

enum { MAX_EPOCHS_DRAWN = 20000 };

typedef struct curves {
    int64_t n;
    double *epoch, *train, *val;
} curves;

static double number_or_nan(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The records of epochs in a stage's metrics.jsonl. */
static grd_status read_curves(grd_pipeline *p, const grd_stage *s, curves *c)
{
    char path[1200];
    void *bytes;
    size_t size;
    GRD_TRY(grd_stage_path(s, "metrics.jsonl", path));
    if (!grd_file_exists(path))
        return GRD_OK;
    GRD_TRY(grd_file_read(p->host, path, 0, &bytes, &size));
    c->epoch = grd_arena_alloc(&p->arena, sizeof(double) * MAX_EPOCHS_DRAWN * 3);
    c->train = c->epoch ? c->epoch + MAX_EPOCHS_DRAWN : NULL;
    c->val = c->epoch ? c->train + MAX_EPOCHS_DRAWN : NULL;
    for (char *line = bytes; c->epoch && *line && c->n < MAX_EPOCHS_DRAWN;) {
        char *end = line + strcspn(line, "\n");
        json_t *record = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json_is_object(record) && json_object_get(record, "train_loss")) {
            c->epoch[c->n] = number_or_nan(json_object_get(record, "epoch"));
            c->train[c->n] = number_or_nan(json_object_get(record, "train_loss"));
            c->val[c->n++] = number_or_nan(json_object_get(record, "val_loss"));
        }
        json_decref(record);
        line = *end ? end + 1 : end;
    }
    grd_free(p->host, bytes);
    return c->epoch ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status draw_curves(grd_pipeline *p)
{
    grd_svg_panel panel[GRD_MAX_STAGES];
    grd_svg_series series[GRD_MAX_STAGES][2];
    int n = 0;
    for (int i = 0; i < p->config.n_stages; i++) {
        curves c = { 0 };
        GRD_TRY(read_curves(p, &p->stage[i], &c));
        if (!c.n)
            continue;
        bool has_val = false;
        for (int64_t e = 0; e < c.n; e++)
            has_val = has_val || isfinite(c.val[e]);
        series[n][0] = (grd_svg_series){ .name = "train", .x = c.epoch, .y = c.train, .n = c.n };
        series[n][1] = (grd_svg_series){ .name = "val", .x = c.epoch, .y = c.val, .n = c.n };
        panel[n] = (grd_svg_panel){ .title = p->stage[i].config->name,
                                    .x_label = "epoch",
                                    .y_label = "loss",
                                    .series = series[n],
                                    .n_series = has_val ? 2 : 1 };
        n++;
    }
    if (!n)
        return GRD_OK;
    char path[1200];
    snprintf(path, sizeof path, "%s/loss-curves.svg", p->dir);
    GRD_TRY(grd_svg_write(p->host, path, &(grd_svg_plot){ .title = n > 1 ? p->name : NULL, .panel = panel, .n_panels = n }));
    grd_pipeline_say(p, "loss curves: %s", path);
    return GRD_OK;
}

grd_status grd_results_pictures(grd_pipeline *p)
{
    GRD_TRY(draw_reconstructions(p));
    return draw_curves(p);
}
