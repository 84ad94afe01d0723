/* Arrays in memory as a source. It has no name in the table: a config cannot hold arrays. */
#include "base/ctx.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

#include <string.h>

typedef struct opts { /* of the row below; never seen by a user */
    int64_t n;
    int n_fields;
    const grd_field *field;
    const void *const *data;
    bool copy;
} opts;

typedef struct state {
    grd_host *host;
    int64_t n;
    int n_fields;
    bool owned;
    grd_field field[GRD_MAX_FIELDS];
    const uint8_t *data[GRD_MAX_FIELDS];
    size_t bytes[GRD_MAX_FIELDS]; /* of one sample */
} state;

static void close_array(void *self)
{
    state *s = self;
    for (int f = 0; f < s->n_fields && s->owned; f++)
        grd_free(s->host, (void *)s->data[f]); /* our own copy */
    grd_free(s->host, s);
}

static grd_status check_classes(grd_host *host, const state *s, int f)
{
    const grd_field *field = &s->field[f];
    for (int64_t i = 0; i < s->n && field->classes; i++) {
        int32_t label;
        memcpy(&label, s->data[f] + (size_t)i * s->bytes[f], sizeof label);
        if (label < 0 || label >= field->classes)
            return grd_fail(host, GRD_ERR_DATA, "record %lld: %s %d, expected 0..%lld", (long long)i, field->name, (int)label,
                            (long long)field->classes - 1);
    }
    return GRD_OK;
}

static grd_status copy_array(grd_host *host, state *s, int f)
{
    size_t size = 0;
    if (!grd_size_mul(s->bytes[f], (size_t)s->n, &size))
        return grd_fail(host, GRD_ERR_ARG, "field \"%s\": %lld samples do not fit into memory", s->field[f].name,
                        (long long)s->n);
    void *copy = grd_alloc(host, size);
    if (copy)
        memcpy(copy, s->data[f], size);
    s->data[f] = copy;
    return copy ? GRD_OK : GRD_ERR_MEMORY;
}

static grd_status open_array(void **out, const void *options, grd_ctx *ctx)
{
    const opts *o = options;
    grd_host *host = &ctx->host;
    if (o->n < 0 || o->n > (int64_t)GRD_MAX_SAMPLES)
        return grd_fail(host, GRD_ERR_ARG, "%lld samples, expected 0 to %lld", (long long)o->n, (long long)GRD_MAX_SAMPLES);
    GRD_TRY(grd_fields_check(host, "from arrays", o->field, o->n_fields));
    for (int f = 0; f < o->n_fields; f++)
        if (grd_shape_varies(&o->field[f].shape))
            return grd_fail(host, GRD_ERR_SHAPE, "from arrays: field \"%s\" varies from sample to sample; an array has one shape",
                            o->field[f].name);
    state *s = GRD_NEW(host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    *s = (state){ .host = host, .n = o->n, .owned = o->copy };
    grd_status status = GRD_OK;
    for (int f = 0; f < o->n_fields && status == GRD_OK; f++) {
        s->field[f] = o->field[f];
        s->data[f] = o->data[f];
        s->bytes[f] = grd_dtype_size(o->field[f].dtype) * (size_t)grd_count(&o->field[f].shape);
        if (o->copy)
            status = copy_array(host, s, f);
        s->n_fields++;
        if (status == GRD_OK)
            status = check_classes(host, s, f);
    }
    if (status == GRD_OK)
        *out = s;
    else
        close_array(s);
    return status;
}

static int64_t length(const void *self) { return ((const state *)self)->n; }

static int fields(const void *self, grd_field *out, int max)
{
    const state *s = self;
    for (int f = 0; f < s->n_fields && f < max; f++)
        out[f] = s->field[f];
    return s->n_fields;
}

static grd_status get(const void *self, int64_t i, grd_sample *out)
{
    const state *s = self;
    for (int f = 0; f < s->n_fields; f++)
        memcpy(out->data[f], s->data[f] + (size_t)i * s->bytes[f], s->bytes[f]);
    return GRD_OK;
}

static const grd_source array = {
    .name = "array", .doc = "Arrays in memory.", .options_size = sizeof(opts),
    .open = open_array, .length = length, .fields = fields, .get = get, .close = close_array,
};

grd_status grd_dataset_from_arrays(grd_ctx *ctx, int64_t n, int n_fields, const grd_field *field, const void *const *data,
                                   bool copy, grd_dataset **dataset)
{
    const opts o = { n, n_fields, field, data, copy };
    return grd_dataset_open_source(ctx, &array, &o, dataset);
}
