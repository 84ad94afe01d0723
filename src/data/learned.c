/* What transforms learn from the training set, kept as JSON with numbers that read back to the same bits. */
#include "data/learned.h"

#include "data/lane.h"
#include "tensor/tensor.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

grd_status grd_learned_field(grd_host *host, const grd_field *field, int n, const char *name, int *index)
{
    *index = grd_field_find(field, n, name);
    if (*index < 0)
        return grd_fail(host, GRD_ERR_ARG, "no field \"%s\"", name);
    if (field[*index].dtype != GRD_F32)
        return grd_fail(host, GRD_ERR_ARG, "field \"%s\" is %s, expected f32: put `scale` before it", name,
                        grd_dtype_name(field[*index].dtype));
    return GRD_OK;
}

void grd_channels(const grd_shape *shape, int64_t *channels, int64_t *size)
{
    *channels = shape->rank ? shape->dim[0] : 1;
    *size = *channels ? grd_count(shape) / *channels : 0;
}

/* ---- the lists ---- */

void grd_learned_free(void *self)
{
    grd_learned *l = self;
    if (!l)
        return;
    grd_free(l->host, l->v[0]);
    grd_free(l->host, l->v[1]);
    grd_free(l->host, l);
}

grd_status grd_learned_new(const grd_transform_open *call, int index, const char *first, const char *second, grd_learned **out)
{
    grd_host *host = &call->ctx->host;
    const grd_field *f = &call->in[index];
    *out = NULL;
    if (f->shape.rank && f->shape.dim[0] < 0)
        return grd_fail(host, GRD_ERR_ARG, "field \"%s\": its first dimension varies: there are no channels to learn from",
                        f->name);
    grd_learned *l = GRD_NEW(host, grd_learned);
    if (!l)
        return GRD_ERR_MEMORY;
    *l = (grd_learned){ .host = host, .n = f->shape.rank ? f->shape.dim[0] : 1, .name = { first, second } };
    l->v[0] = GRD_NEW_N(host, double, l->n);
    l->v[1] = l->v[0] && second ? GRD_NEW_N(host, double, l->n) : NULL;
    if (!l->v[0] || (second && !l->v[1])) {
        grd_learned_free(l);
        return GRD_ERR_MEMORY;
    }
    *out = l;
    return GRD_OK;
}

static grd_status load_list(const json_t *root, grd_learned *l, int k)
{
    const json_t *list = json_object_get(root, l->name[k]);
    if (!json_is_array(list) || (int64_t)json_array_size(list) != l->n)
        return grd_fail(l->host, GRD_ERR_FORMAT, "what was learned: \"%s\": expected a list of %lld numbers", l->name[k],
                        (long long)l->n);
    for (int64_t i = 0; i < l->n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        l->v[k][i] = json_number_value(item);
        if (!json_is_number(item) || !isfinite(l->v[k][i]))
            return grd_fail(l->host, GRD_ERR_FORMAT, "what was learned: \"%s\": item %lld is no number", l->name[k],
                            (long long)i);
    }
    return GRD_OK;
}

grd_status grd_learned_load(const grd_transform_open *call, int index, const char *first, const char *second, grd_learned **out)
{
    json_error_t error;
    json_t *root = json_loads(call->saved, JSON_REJECT_DUPLICATES, &error);
    *out = NULL;
    if (!root)
        return grd_fail(&call->ctx->host, GRD_ERR_FORMAT, "what was learned: %s", error.text);
    grd_learned *l;
    grd_status status = grd_learned_new(call, index, first, second, &l);
    for (int k = 0; k < 2 && status == GRD_OK; k++)
        if (l->name[k])
            status = load_list(root, l, k);
    json_decref(root);
    if (status == GRD_OK)
        *out = l;
    else
        grd_learned_free(l);
    return status;
}

grd_status grd_learned_make(const grd_transform_open *call, int index, const char *first, const char *second,
                            grd_learned_learn *learn, void **state)
{
    grd_learned *l;
    if (call->saved) {
        GRD_TRY(grd_learned_load(call, index, first, second, &l));
        *state = l;
        return GRD_OK;
    }
    GRD_TRY(grd_learned_new(call, index, first, second, &l));
    grd_status status = learn(call, index, l);
    if (status == GRD_OK)
        *state = l;
    else
        grd_learned_free(l);
    return status;
}

int grd_learned_save(const void *self, char *text, size_t size)
{
    const grd_learned *l = self;
    int at = 0;
#define PUT(...)                                                                                                                 \
    at += snprintf(text + ((size_t)at < size ? (size_t)at : size), (size_t)at < size ? size - (size_t)at : 0, __VA_ARGS__)
    for (int k = 0; k < 2 && l->name[k]; k++) {
        PUT("%s\"%s\": [", k ? ", " : "{", l->name[k]);
        for (int64_t i = 0; i < l->n; i++)
            PUT("%s%.17g", i ? ", " : "", l->v[k][i]);
        PUT("]");
    }
    PUT("}");
#undef PUT
    return at;
}

/* ---- learning ---- */

grd_status grd_learned_pass(const grd_transform_open *call, int index, grd_learned_see *see, void *user)
{
    grd_sample *s;
    int64_t channels, size;
    GRD_TRY(grd_sample_new(call->fit, call->ctx, &s));
    grd_status status = GRD_OK;
    grd_walk walk = grd_walk_begin(call->fit);
    for (bool end = false; status == GRD_OK;) {
        status = grd_walk_next(&walk, s, &end);
        if (end)
            break;
        if (status != GRD_OK) {
            grd_fail(&call->ctx->host, status, "%s", s->error);
            break;
        }
        grd_channels(&s->shape[index], &channels, &size);
        for (int64_t c = 0; c < channels && status == GRD_OK; c++)
            status = see(user, c, (const float *)s->data[index] + c * size, size);
    }
    grd_walk_end(&walk);
    grd_sample_free(s, call->ctx);
    return status;
}

grd_status grd_learned_nothing(const grd_transform_open *call, int index, int64_t channel)
{
    char count[32] = "";
    if (grd_dataset_length(call->fit) >= 0)
        snprintf(count, sizeof count, "%lld ", (long long)grd_dataset_length(call->fit));
    return grd_fail(&call->ctx->host, GRD_ERR_DATA,
                    "column %lld of \"%s\" (from 0) has no number in the %ssamples of the training set", (long long)channel,
                    call->in[index].name, count);
}

typedef struct moments { /* of what was seen of one channel */
    double n, mean, m2;
} moments;

/* The part's own moments in two passes over it, then both together (Chan, Golub, LeVeque 1979): nothing cancels. */
static grd_status see_moments(void *user, int64_t channel, const float *x, int64_t n)
{
    moments *all = (moments *)user + channel, part = { 0, 0, 0 };
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool counts = !isnan(x[i]);
        sum += counts ? x[i] : 0;
        part.n += counts;
    }
    if (part.n == 0)
        return GRD_OK;
    part.mean = sum / part.n;
    for (int64_t i = 0; i < n; i++) {
        const double d = isnan(x[i]) ? 0 : x[i] - part.mean;
        part.m2 += d * d;
    }
    const double both = all->n + part.n, d = part.mean - all->mean;
    all->m2 += part.m2 + d * d * all->n * part.n / both;
    all->mean += d * part.n / both;
    all->n = both;
    return GRD_OK;
}

grd_status grd_learned_moments(const grd_transform_open *call, int index, grd_learned *l)
{
    moments *m = GRD_NEW_N(l->host, moments, l->n);
    if (!m)
        return GRD_ERR_MEMORY;
    grd_status status = grd_learned_pass(call, index, see_moments, m);
    for (int64_t c = 0; c < l->n && status == GRD_OK; c++) {
        if (m[c].n == 0 || !isfinite(m[c].mean) || !isfinite(m[c].m2))
            status = m[c].n == 0 ? grd_learned_nothing(call, index, c)
                                 : grd_fail(l->host, GRD_ERR_DATA, "column %lld of \"%s\" (from 0) is not finite", (long long)c,
                                            call->in[index].name);
        l->v[0][c] = m[c].mean;
        l->v[1][c] = m[c].n ? sqrt(m[c].m2 / m[c].n) : 0;
    }
    grd_free(l->host, m);
    return status;
}
