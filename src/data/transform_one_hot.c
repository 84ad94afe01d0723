/* one_hot: a class index becomes a vector of zeros with a one at its place. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "data/rows.h"
#include "tensor/tensor.h"

#include <string.h>

typedef struct opts {
    const char *field;
} opts;

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    const opts *o = options;
    const int i = grd_field_find(field, n, o->field);
    (void)state;
    if (i < 0)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "no field \"%s\"", o->field);
    if (!field[i].classes || field[i].shape.rank)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "field \"%s\" is not one class index", o->field);
    field[i].shape = (grd_shape){ 1, { field[i].classes } };
    field[i].dtype = GRD_F32;
    field[i].classes = field[i].ignore = 0;
    field[i].lo = 0;
    field[i].hi = 1;
    return GRD_OK;
}

/* The index that means "no label" becomes zeros. */
static grd_status apply(const grd_transform_call *call, grd_sample *sample)
{
    const int i = grd_field_find(call->in, call->n, ((const opts *)call->options)->field);
    const int32_t label = *(const int32_t *)sample->data[i];
    const int64_t classes = call->in[i].classes;
    if ((label < 0 || label >= classes) && !(call->in[i].ignore && label == call->in[i].ignore))
        return grd_sample_fail(sample, GRD_ERR_DATA, "field \"%s\" is %d, expected 0..%lld", call->in[i].name, (int)label,
                               (long long)classes - 1);
    float *out = grd_sample_room(sample, i, &call->out[i].shape);
    if (!out)
        return GRD_ERR_MEMORY;
    memset(out, 0, sizeof *out * (size_t)classes);
    if (label >= 0 && label < classes)
        out[label] = 1;
    return GRD_OK;
}

static const grd_option options_table[] = { GRD_TEXT(opts, field, "label", "which field"), GRD_END };

static const char *const one_hot_samples[] = { "", NULL };

const grd_transform grd_transform_one_hot = {
    .name = "one_hot", .doc = "A class index as f32 [classes]: zeros, and 1 at its place.", .options = options_table,
    .options_size = sizeof(opts), .fields = fields, .apply = apply,
    .samples = one_hot_samples,
};
