/* The pass: every sample is made once. Work is cut into the same lanes whatever the number of threads, so sums are the same
 * too. */
#include "data/inspect.h"

#include "base/parallel.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, CHUNK = 2048 };

typedef struct lane {
    grd_sample *sample;
    grd_field_stats stats[GRD_MAX_FIELDS];
    int64_t *class_count;
    grd_status status;
} lane;

typedef struct scan {
    grd_report *r;
    lane lane[LANES];
    int set;
    int64_t begin, end; /* of the chunk, in the set */
} scan;

/* ---- one field ---- */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static void hash_bytes(const void *data, size_t size, uint64_t hash[2])
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, size - i < 8 ? size - i : 8);
        hash[0] = mix(hash[0], word);
        hash[1] = mix(hash[1], word * UINT64_C(0xC2B2AE3D27D4EB4F) + 1);
    }
    hash[0] = mix(hash[0], size);
    hash[1] = mix(hash[1], size + 1);
}

static void widen(grd_field_stats *t, const grd_shape *shape)
{
    for (int k = 0; k < shape->rank; k++) {
        t->least[k] = t->samples == 0 || shape->dim[k] < t->least[k] ? shape->dim[k] : t->least[k];
        t->most[k] = shape->dim[k] > t->most[k] ? shape->dim[k] : t->most[k];
    }
}

/* One element into the statistics; false if it is not finite. */
static bool add(grd_field_stats *t, int c, double x)
{
    if (!isfinite(x)) {
        t->missing++;
        return false;
    }
    if (t->count[c]++ == 0)
        t->shift[c] = x;
    x -= t->shift[c];
    t->sum[c] += x;
    t->squares[c] += x * x;
    return true;
}

static bool allowed(const grd_field *f, double x)
{
    bool bounded = f->lo < f->hi || f->classes;
    double lo = f->classes ? 0 : f->lo, hi = f->classes ? (double)f->classes - 1 : f->hi;
    double slack = f->dtype == GRD_F32 ? 1e-6 * (fabs(lo) + fabs(hi)) : 0;
    return !bounded || (x >= lo - slack && x <= hi + slack);
}

typedef struct seen_field {
    double min, max, sum;
    bool missing;
} seen_field;

static seen_field look_at_field(const grd_field *f, const void *data, const grd_shape *shape, grd_field_stats *t)
{
    seen_field got = { INFINITY, -INFINITY, 0, false };
    int64_t n = grd_count(shape),
            channels = grd_is_picture(f) && shape->rank == 3 && shape->dim[0] <= GRD_STAT_CHANNELS ? shape->dim[0] : 1;
    t->channels = channels > t->channels ? (int)channels : t->channels;
    widen(t, shape);
    for (int c = 0; c < channels; c++)
        for (int64_t e = c * n / channels; e < (c + 1) * n / channels; e++) {
            double x = grd_element(data, f->dtype, e);
            if (f->ignore && x == (double)f->ignore)
                continue; /* no label */
            if (!add(t, c, x)) {
                got.missing = true;
                continue;
            }
            got.min = x < got.min ? x : got.min;
            got.max = x > got.max ? x : got.max;
            got.sum += x;
        }
    t->min = t->samples == 0 || got.min < t->min ? got.min : t->min;
    t->max = t->samples == 0 || got.max > t->max ? got.max : t->max;
    t->samples++;
    return got;
}

/* ---- one sample ---- */

static int mask_size_differs(const grd_report *r, const grd_sample *s)
{
    if (r->mask < 0 || r->input < 0 || !grd_is_picture(&r->field[r->input]) || !grd_is_picture(&r->field[r->mask]))
        return 0;
    const grd_shape *a = &s->shape[r->input], *b = &s->shape[r->mask];
    return a->dim[a->rank - 2] != b->dim[b->rank - 2] || a->dim[a->rank - 1] != b->dim[b->rank - 1] ? GRD_SEEN_MASK : 0;
}

static void look_at_sample(const grd_report *r, lane *l, grd_seen *seen)
{
    const grd_sample *s = l->sample;
    for (int f = 0; f < s->n; f++) {
        const grd_field *field = &r->field[f];
        int64_t n = grd_count(&s->shape[f]);
        seen_field got = look_at_field(field, s->data[f], &s->shape[f], &l->stats[f]);
        if (n && got.min <= got.max && (!allowed(field, got.min) || !allowed(field, got.max)))
            seen->flags |= field->classes ? GRD_SEEN_LABEL : GRD_SEEN_VALUE;
        if (got.missing)
            seen->flags |= GRD_SEEN_MISSING;
        if (f == r->input && grd_is_picture(field)) {
            seen->mean = n ? got.sum / (double)n : 0;
            seen->flags |= n > 1 && got.min == got.max ? GRD_SEEN_CONSTANT : 0;
        }
        bool input = r->features.kind == GRD_FEATURES_TABLE ? f < r->set[0]->source->n_fields && f != r->target && f != r->group
                                                            : f == r->input;
        if (input) {
            hash_bytes(s->shape[f].dim, sizeof *s->shape[f].dim * (size_t)s->shape[f].rank, seen->hash);
            hash_bytes(s->data[f], grd_dtype_size(field->dtype) * (size_t)n, seen->hash);
        }
    }
    seen->flags |= (uint8_t)mask_size_differs(r, s);
    if (r->group >= 0 && grd_count(&s->shape[r->group]) == 1)
        seen->group = (int64_t)grd_element(s->data[r->group], r->field[r->group].dtype, 0);
    if (r->target >= 0 && grd_count(&s->shape[r->target]) == 1)
        seen->target = grd_element(s->data[r->target], r->field[r->target].dtype, 0);
    if (r->label >= 0 && seen->target >= 0 && seen->target < (double)r->classes) {
        seen->label = (int32_t)seen->target;
        l->class_count[seen->label]++;
    }
}

static void scan_lanes(void *ctx, int64_t begin, int64_t end)
{
    scan *s = ctx;
    const grd_report *r = s->r;
    for (int64_t k = begin; k < end; k++) {
        lane *l = &s->lane[k];
        int64_t n = s->end - s->begin, to = s->begin + (k + 1) * n / LANES;
        for (int64_t i = s->begin + k * n / LANES; i < to && l->status == GRD_OK; i++) {
            int64_t at = r->first[s->set] + i;
            grd_seen *seen = &r->seen[at];
            float *row = r->features.row + at * r->features.n;
            *seen = (grd_seen){ .label = -1, .set = (uint8_t)s->set, .target = NAN };
            grd_status status = grd_dataset_get(r->set[s->set], i, NULL, l->sample);
            if (status == GRD_OK) {
                look_at_sample(r, l, seen);
                grd_features_of(r, l->sample, row);
                continue;
            }
            seen->flags = GRD_SEEN_UNREADABLE;
            for (int64_t e = 0; e < r->features.n; e++)
                row[e] = NAN;
            if (status == GRD_ERR_MEMORY)
                l->status = status;
        }
    }
}

/* ---- putting it together ---- */

static void merge(grd_field_stats *to, const grd_field_stats *from, int rank)
{
    if (!from->samples)
        return;
    for (int k = 0; k < rank; k++) {
        to->least[k] = !to->samples || from->least[k] < to->least[k] ? from->least[k] : to->least[k];
        to->most[k] = from->most[k] > to->most[k] ? from->most[k] : to->most[k];
    }
    to->min = !to->samples || from->min < to->min ? from->min : to->min;
    to->max = !to->samples || from->max > to->max ? from->max : to->max;
    to->channels = from->channels > to->channels ? from->channels : to->channels;
    to->samples += from->samples;
    to->missing += from->missing;
    for (int c = 0; c < GRD_STAT_CHANNELS; c++) {
        double n = (double)from->count[c];
        if (!from->count[c])
            continue;
        if (!to->count[c])
            to->shift[c] = from->shift[c];
        double move = from->shift[c] - to->shift[c];
        to->squares[c] += from->squares[c] + 2 * move * from->sum[c] + n * move * move;
        to->sum[c] += from->sum[c] + n * move;
        to->count[c] += from->count[c];
    }
}

static grd_status scan_set(scan *s)
{
    grd_report *r = s->r;
    const int64_t n = r->first[s->set + 1] - r->first[s->set];
    for (s->begin = 0; s->begin < n; s->begin = s->end) {
        s->end = s->begin + CHUNK < n ? s->begin + CHUNK : n;
        grd_parallel_for(r->ctx->threads, LANES, 1, scan_lanes, s);
        for (int k = 0; k < LANES; k++)
            if (s->lane[k].status != GRD_OK)
                return grd_fail(r->host, s->lane[k].status, "%s", s->lane[k].sample->error);
        GRD_TRY(grd_report_progress(r, "reading", r->first[s->set] + s->end, r->n));
    }
    for (int k = 0; k < LANES; k++) {
        for (int f = 0; f < r->n_fields; f++)
            merge(&r->stats[s->set][f], &s->lane[k].stats[f], r->field[f].shape.rank);
        for (int64_t c = 0; c < r->classes; c++)
            r->class_count[s->set * r->classes + c] += s->lane[k].class_count[c];
    }
    return GRD_OK;
}

static grd_status open_lanes(scan *s)
{
    grd_report *r = s->r;
    for (int k = 0; k < LANES; k++) {
        lane *l = &s->lane[k];
        memset(l->stats, 0, sizeof l->stats);
        l->status = GRD_OK;
        l->class_count = GRD_NEW_N(r->host, int64_t, r->classes);
        if (!l->class_count)
            return GRD_ERR_MEMORY;
        GRD_TRY(grd_sample_new(r->set[s->set], r->ctx, &l->sample));
    }
    return GRD_OK;
}

static void close_lanes(scan *s)
{
    for (int k = 0; k < LANES; k++) {
        grd_free(s->r->host, s->lane[k].class_count);
        grd_sample_free(s->lane[k].sample, s->r->ctx);
        s->lane[k] = (lane){ .sample = NULL };
    }
}

grd_status grd_check_scan(grd_report *r)
{
    scan *s = GRD_NEW(r->host, scan);
    if (!s)
        return GRD_ERR_MEMORY;
    s->r = r;
    grd_status status = GRD_OK;
    for (s->set = 0; s->set < r->n_sets && status == GRD_OK; s->set++) {
        status = open_lanes(s);
        if (status == GRD_OK)
            status = scan_set(s);
        close_lanes(s);
    }
    grd_free(r->host, s);
    return status;
}
