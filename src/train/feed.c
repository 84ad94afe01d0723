#include "train/feed.h"

#include "graph/graph.h"
#include "plan/model.h"

#include <stdio.h>
#include <string.h>

/* Marks the inputs that any root depends on. */
static grd_status mark_reached(grd_feed *f, const grd_var *root, int n_roots, bool *reached)
{
    const grd_graph *g = grd_model_graph(f->model);
    bool *wanted = GRD_NEW_N(f->host, bool, g->values.n);
    if (!wanted)
        return GRD_ERR_MEMORY;
    for (int i = 0; i < n_roots; i++)
        wanted[root[i].id] = true;
    for (int c = g->calls.n - 1; c >= 0; c--) {
        const grd_call *call = &g->calls.item[c];
        bool any = false;
        for (int k = 0; k < call->n_out; k++)
            any = any || wanted[call->out[k]];
        for (int i = 0; any && i < call->n_in; i++)
            wanted[call->in[i]] = true;
    }
    for (int i = 0; i < g->inputs.n; i++)
        reached[i] = wanted[g->inputs.item[i].value];
    grd_free(f->host, wanted);
    return GRD_OK;
}

static int find_field(const grd_field *field, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(field[i].name, name) == 0)
            return i;
    return -1;
}

static grd_status no_field(grd_feed *f, const char *input, const grd_field *field, int n)
{
    char list[GRD_MAX_FIELDS * (GRD_FIELD_NAME + 2)] = "";
    for (int i = 0; i < n; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", field[i].name);
    return grd_fail(f->host, GRD_ERR_DATA, "%s: the data has no field \"%s\" for the model's input of that name; it has: %s",
                    f->who, input, list);
}

/* What would make it fit. */
static const char *advice(const grd_field *field, const grd_shape *want, bool index)
{
    if (index)
        return "an input that takes indices (i32) needs a field of class or token numbers";
    if (field->dtype == GRD_U8)
        return "add a transform that makes it real, for example `transform: [scale]`";
    if (field->dtype == GRD_I32)
        return "class or token numbers feed an i32 input, for example a loss's labels or an embedding";
    bool fixed = true;
    int64_t count = 1;
    for (int d = 1; d < want->rank; d++) {
        fixed = fixed && want->dim[d] > 0;
        count *= want->dim[d];
    }
    if (fixed && count == grd_count(&field->shape))
        return "the number of elements agrees: give the input the field's shape and begin the model with flatten or reshape";
    return "change the input's shape, or add a transform";
}

static grd_status check_field(grd_feed *f, int input, const grd_field *field)
{
    const grd_graph *g = grd_model_graph(f->model);
    const grd_input_def *def = &g->inputs.item[input];
    grd_shape want = g->values.item[def->value].shape, have = { .rank = field->shape.rank + 1, .dim = { GRD_VARIES } };
    bool index = def->dtype == GRD_I32, wide = f->model->dtype == GRD_F64;
    bool type = index ? field->dtype == GRD_I32 : field->dtype == GRD_F32 || (wide && field->dtype == GRD_F64);
    bool shape = have.rank == want.rank && want.dim[0] == GRD_VARIES;
    for (int d = 1; d < have.rank && d < GRD_MAX_RANK; d++) {
        have.dim[d] = field->shape.dim[d - 1] < 0 ? GRD_VARIES_T : field->shape.dim[d - 1];
        shape = shape && d < want.rank && (want.dim[d] < 0 || want.dim[d] == have.dim[d]);
        f->varies = f->varies || have.dim[d] < 0;
    }
    if (type && shape)
        return GRD_OK;
    char text[2][80];
    return grd_fail(f->host, GRD_ERR_DATA, "%s: field \"%s\" is %s %s, the model's input \"%s\" takes %s %s; %s", f->who,
                    field->name, grd_dtype_name(field->dtype), grd_shape_text(&have, text[0], sizeof text[0]), def->name,
                    index ? "i32" : grd_dtype_name(f->model->dtype), grd_shape_text(&want, text[1], sizeof text[1]),
                    advice(field, &want, index));
}

grd_status grd_feed_init(grd_feed *f, grd_model *model, const grd_dataset *data, const char *who, const grd_var *root,
                         int n_roots)
{
    f->model = model;
    f->host = &model->ctx->host;
    snprintf(f->who, sizeof f->who, "%s", who);
    bool reached[GRD_MAX_INPUTS] = { false };
    GRD_TRY(mark_reached(f, root, n_roots, reached));
    const grd_field *field;
    int n = grd_dataset_fields(data, &field);
    for (int i = 0; i < grd_model_inputs(model); i++) {
        f->field[i] = -1;
        if (!reached[i])
            continue;
        int k = find_field(field, n, grd_model_input_name(model, i));
        if (k < 0)
            return no_field(f, grd_model_input_name(model, i), field, n);
        GRD_TRY(check_field(f, i, &field[k]));
        f->field[i] = k;
        f->seen[i] = field[k];
    }
    return GRD_OK;
}

void grd_feed_drop(grd_feed *f)
{
    for (int i = 0; i < GRD_MAX_INPUTS; i++) {
        grd_free(f->host, f->wide[i]);
        f->wide[i] = NULL;
        f->wide_room[i] = 0;
    }
}

void grd_feed_shapes(const grd_feed *f, int64_t n, grd_shape shape[GRD_MAX_INPUTS])
{
    for (int i = 0; i < grd_model_inputs(f->model); i++) {
        shape[i] = (grd_shape){ .rank = 0 };
        if (f->field[i] < 0)
            continue;
        const grd_shape *each = &f->seen[i].shape;
        shape[i].rank = each->rank + 1;
        shape[i].dim[0] = n;
        memcpy(shape[i].dim + 1, each->dim, sizeof *each->dim * (size_t)each->rank);
    }
}

/* A double model's copy of an f32 field. */
static grd_status widen(grd_feed *f, int i, const float *from, int64_t n, const void **to)
{
    if (n > f->wide_room[i]) {
        grd_free(f->host, f->wide[i]);
        f->wide_room[i] = 0;
        f->wide[i] = GRD_NEW_N(f->host, double, n);
        if (!f->wide[i])
            return GRD_ERR_MEMORY;
        f->wide_room[i] = n;
    }
    for (int64_t e = 0; e < n; e++)
        f->wide[i][e] = (double)from[e];
    *to = f->wide[i];
    return GRD_OK;
}

grd_status grd_feed_batch(grd_feed *f, const grd_batch *batch, grd_shape shape[GRD_MAX_INPUTS], grd_run *run)
{
    for (int i = 0; i < grd_model_inputs(f->model); i++) {
        int k = f->field[i];
        shape[i] = (grd_shape){ .rank = 0 };
        run->input[i] = NULL;
        if (k < 0)
            continue;
        shape[i] = batch->shape[k];
        run->input[i] = batch->data[k];
        if (f->model->dtype == GRD_F64 && f->seen[i].dtype == GRD_F32)
            GRD_TRY(widen(f, i, batch->data[k], grd_count(&shape[i]), &run->input[i]));
    }
    return GRD_OK;
}
