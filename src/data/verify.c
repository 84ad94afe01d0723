/* Looking at every sample of a data set once: is each what its fields promise? */
#include "data/lane.h"

#include <math.h>

static double element(const void *data, grd_dtype dtype, int64_t e)
{
    if (dtype == GRD_U8)
        return ((const uint8_t *)data)[e];
    return dtype == GRD_I32 ? (double)((const int32_t *)data)[e] : (double)((const float *)data)[e];
}

static grd_status verify_field(grd_host *host, const char *source, int64_t index, const grd_field *f, const grd_sample *sample,
                               int at)
{
    bool bounded = f->lo < f->hi || f->classes;
    double lo = f->classes ? 0 : f->lo, hi = f->classes ? (double)f->classes - 1 : f->hi;
    double slack = f->dtype == GRD_F32 ? 1e-6 * (fabs(lo) + fabs(hi)) : 0; /* a transform's float against its range in double */
    const void *data = sample->data[at];
    int64_t n = grd_count(&sample->shape[at]);
    for (int64_t e = 0; e < n; e++) {
        double x = element(data, f->dtype, e);
        if (!isfinite(x))
            return grd_fail(host, GRD_ERR_DATA, "%s: sample %lld: %s: %g at element %lld", source, (long long)index, f->name, x,
                            (long long)e);
        if (bounded && !(x >= lo - slack && x <= hi + slack) && !(f->ignore && x == (double)f->ignore))
            return grd_fail(host, GRD_ERR_DATA, "%s: sample %lld: %s: %.9g at element %lld, expected %g..%g", source,
                            (long long)index, f->name, x, (long long)e, lo, hi);
    }
    return GRD_OK;
}

static grd_status verify_next(grd_host *host, grd_walk *walk, grd_sample *sample, bool *end)
{
    const grd_dataset *d = walk->lane.data;
    grd_status status = grd_walk_next(walk, sample, end);
    if (status != GRD_OK)
        return grd_fail(host, status, "%s", sample->error);
    for (int f = 0; f < sample->n && !*end; f++)
        GRD_TRY(verify_field(host, d->source->row->name, walk->place, &d->field[f], sample, f));
    return GRD_OK;
}

grd_status grd_dataset_verify(grd_ctx *ctx, const grd_dataset *d, int64_t *counts, int64_t n_counts)
{
    grd_host *host = &ctx->host;
    int label = grd_field_find(d->field, d->n_fields, "label");
    if (counts && (label < 0 || d->field[label].classes < 1 || d->field[label].shape.rank != 0))
        return grd_fail(host, GRD_ERR_ARG, "verify: no class index \"label\" to count");
    if (counts && d->field[label].classes > n_counts)
        return grd_fail(host, GRD_ERR_ARG, "verify: room for %lld counts, there are %lld classes", (long long)n_counts,
                        (long long)d->field[label].classes);
    for (int64_t c = 0; counts && c < n_counts; c++)
        counts[c] = 0;
    grd_sample *sample;
    GRD_TRY(grd_sample_new(d, ctx, &sample));
    grd_status status = GRD_OK;
    grd_walk walk = grd_walk_begin(d);
    for (bool end = false; status == GRD_OK;) {
        status = verify_next(host, &walk, sample, &end);
        if (end)
            break;
        if (status == GRD_OK && counts)
            counts[*(const int32_t *)sample->data[label]]++;
    }
    grd_walk_end(&walk);
    grd_sample_free(sample, ctx);
    return status;
}
