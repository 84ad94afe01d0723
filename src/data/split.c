/* Cutting a data set into disjoint parts by seed. One random order of all samples decides everything: parts are filled from
 * it in turn, so a part keeps that order, and the same seed gives the same parts on every platform. */
#include "data/split.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A random order of all samples and what has been taken from it. */
typedef struct pool {
    const grd_dataset *data;
    int64_t *order;
    bool *taken;    /* by place in the order */
    int64_t left;
    grd_classes classes;
    int64_t *quota; /* work space: wanted of each class */
    int64_t quota_n;
} pool;

static grd_status pool_open(pool *p, const grd_dataset *d, const char *who, uint64_t seed, int order)
{
    grd_host *host = &d->ctx->host;
    *p = (pool){ .data = d, .left = d->n, .classes = { .field = -1, .n = 1 } };
    p->order = GRD_NEW_N(host, int64_t, d->n);
    p->taken = GRD_NEW_N(host, bool, d->n);
    if (!p->order || !p->taken)
        return GRD_ERR_MEMORY;
    if (order == GRD_ORDER_NUMPY)
        return grd_numpy_permutation(host, seed, p->order, d->n);
    for (int64_t i = 0; i < d->n; i++)
        p->order[i] = i;
    grd_key key = { grd_hash(seed, who), 0, 0 };
    grd_shuffle(&key, p->order, d->n);
    return GRD_OK;
}

static void pool_close(pool *p)
{
    grd_host *host = &p->data->ctx->host;
    grd_free(host, p->order);
    grd_free(host, p->taken);
    grd_free(host, p->classes.of);
    grd_free(host, p->quota);
}

/* Reads the classes of field `name` (NULL: all one class) and clears the quotas. */
static grd_status pool_classes(pool *p, const char *who, const char *name)
{
    grd_host *host = &p->data->ctx->host;
    if (name)
        GRD_TRY(grd_classes_read(p->data, who, name, &p->classes));
    if (p->quota_n < p->classes.n) {
        grd_free(host, p->quota);
        p->quota_n = 0;
        p->quota = GRD_NEW_N(host, int64_t, p->classes.n);
        if (!p->quota)
            return GRD_ERR_MEMORY;
        p->quota_n = p->classes.n;
    }
    memset(p->quota, 0, (size_t)p->classes.n * sizeof *p->quota);
    return GRD_OK;
}

static int64_t class_at(const pool *p, int64_t place) { return p->classes.of ? p->classes.of[p->order[place]] : 0; }

/* The next `count` samples of the order whose class still has a quota (use_quota), as a new data set. */
static grd_status take(pool *p, int64_t count, bool use_quota, grd_dataset **out)
{
    int64_t *index = GRD_NEW_N(&p->data->ctx->host, int64_t, count);
    if (!index)
        return GRD_ERR_MEMORY;
    int64_t n = 0;
    for (int64_t place = 0; place < p->data->n && n < count; place++) {
        if (p->taken[place] || (use_quota && p->quota[class_at(p, place)]-- <= 0))
            continue;
        p->taken[place] = true;
        index[n++] = grd_dataset_index(p->data, p->order[place]);
    }
    p->left -= n;
    return grd_dataset_view(p->data, index, n, true, out);
}

/* ---- shares of whole numbers ---- */

/* A product of fraction and count; a hair beside a whole number it is that number (0.7 * 10 is 7). */
static double portion(double fraction, int64_t count)
{
    double x = fraction * (double)count, whole = floor(x + 0.5);
    return fabs(x - whole) < 1e-9 * ((double)count + 1) ? whole : x;
}

/* Divides `count` in the proportions of `share` (n, summing to 1) by largest remainder. `debt` (n, zero at first) carries what
 * earlier calls rounded away, so that many small classes do not all round the same way. */
static void apportion(int64_t count, const double *share, int n, double *debt, int64_t *part)
{
    int64_t given = 0;
    for (int k = 0; k < n; k++) {
        double exact = portion(share[k], count);
        part[k] = (int64_t)floor(exact);
        debt[k] += exact - (double)part[k];
        given += part[k];
    }
    for (; given < count; given++) {
        int most = 0;
        for (int k = 1; k < n; k++)
            if (debt[k] > debt[most] + 1e-9)
                most = k;
        part[most]++;
        debt[most] -= 1;
    }
}

/* ---- split ---- */

static grd_status check_fractions(grd_host *host, const double *fraction, int n, double *sum)
{
    *sum = 0;
    if (n < 1)
        return grd_fail(host, GRD_ERR_ARG, "split: %d parts, expected at least one", n);
    for (int k = 0; k < n; k++) {
        if (!(fraction[k] > 0 && fraction[k] <= 1))
            return grd_fail(host, GRD_ERR_ARG, "split: fraction %g of part %d, expected more than 0 and at most 1", fraction[k],
                            k);
        *sum += fraction[k];
    }
    if (*sum > 1 + 1e-9)
        return grd_fail(host, GRD_ERR_ARG, "split: the fractions add up to %g, expected at most 1", *sum);
    return GRD_OK;
}

/* quota[c * (n + 1) + k]: how many of class c go to part k; part n is what no fraction asks for. */
static void split_quotas(const pool *p, const double *share, int n, int64_t *quota, double *debt)
{
    int64_t *count = p->quota;
    for (int64_t place = 0; place < p->data->n; place++)
        count[class_at(p, place)]++;
    for (int64_t c = 0; c < p->classes.n; c++)
        apportion(count[c], share, n + 1, debt, quota + c * (n + 1));
}

/* Each class fills the parts one after the other, in the random order. */
static grd_status assign_samples(const pool *p, const double *share, int n, int32_t *part)
{
    grd_host *host = &p->data->ctx->host;
    size_t cells;
    if (!grd_size_mul((size_t)n + 1, (size_t)p->classes.n, &cells) || cells > SIZE_MAX / sizeof(int64_t))
        return grd_fail(host, GRD_ERR_ARG, "split: too many parts and classes");
    double *debt = GRD_NEW_N(host, double, (size_t)n + 1);
    int64_t *quota = debt ? GRD_NEW_N(host, int64_t, cells) : NULL;
    if (quota) {
        split_quotas(p, share, n, quota, debt);
        for (int64_t place = 0; place < p->data->n; place++) {
            int64_t *left = quota + class_at(p, place) * (n + 1);
            int k = 0;
            while (k < n && left[k] <= 0)
                k++;
            left[k]--;
            part[place] = k;
        }
    }
    grd_free(host, debt);
    grd_free(host, quota);
    return quota ? GRD_OK : GRD_ERR_MEMORY;
}

/* part[place]: which of the n parts the sample at that place of the order goes to; n: none. */
static grd_status assign(pool *p, const double *fraction, double sum, int n, const grd_split_opts *o, int32_t *part)
{
    grd_host *host = &p->data->ctx->host;
    GRD_TRY(pool_classes(p, "split", o->stratify));
    double *share = GRD_NEW_N(host, double, (size_t)n + 1);
    if (!share)
        return GRD_ERR_MEMORY;
    memcpy(share, fraction, (size_t)n * sizeof *share);
    share[n] = sum < 1 - 1e-9 ? 1 - sum : 0;
    grd_status status;
    if (o->group)
        status = grd_split_groups(p->data, o->group, p->order, &p->classes, share, n + 1, part);
    else
        status = assign_samples(p, share, n, part);
    grd_free(host, share);
    return status;
}

/* The samples whose part is `which`, or with `others` all of another one but n, in the random order. */
static grd_status part_view(const pool *p, const int32_t *part, int n, int which, bool others, grd_dataset **out)
{
    int64_t count = 0, *index = GRD_NEW_N(&p->data->ctx->host, int64_t, p->data->n);
    if (!index)
        return GRD_ERR_MEMORY;
    for (int64_t place = 0; place < p->data->n; place++)
        if (part[place] < n && (part[place] == which) != others)
            index[count++] = grd_dataset_index(p->data, p->order[place]);
    if (count)
        return grd_dataset_view(p->data, index, count, true, out);
    grd_free(&p->data->ctx->host, index);
    return GRD_ERR_DATA;
}

static grd_status free_all_on_failure(grd_status status, grd_dataset **set, int n)
{
    for (int k = 0; k < n && status != GRD_OK; k++) {
        grd_dataset_free(set[k]);
        set[k] = NULL;
    }
    return status;
}

/* Opens the pool and says which part each sample goes to; both are freed by the caller, also on failure. */
static grd_status divide(const grd_dataset *d, const double *fraction, int n, const grd_split_opts *o, pool *p, int32_t **part)
{
    grd_host *host = &d->ctx->host;
    double sum;
    *p = (pool){ .data = d };
    *part = NULL;
    GRD_TRY(grd_dataset_by_number(d, "split"));
    GRD_TRY(check_fractions(host, fraction, n, &sum));
    GRD_TRY(pool_open(p, d, "split", o->seed, o->order));
    *part = GRD_NEW_N(host, int32_t, d->n);
    return *part ? assign(p, fraction, sum, n, o, *part) : GRD_ERR_MEMORY;
}

static const grd_split_opts split_defaults;

grd_status grd_dataset_split(const grd_dataset *d, const double *fraction, int n, const grd_split_opts *opts, grd_dataset **out)
{
    pool p;
    int32_t *part;
    for (int k = 0; k < n; k++)
        out[k] = NULL;
    grd_status status = divide(d, fraction, n, opts ? opts : &split_defaults, &p, &part);
    for (int k = 0; k < n && status == GRD_OK; k++) {
        status = part_view(&p, part, n, k, false, &out[k]);
        if (status == GRD_ERR_DATA)
            status = grd_fail(&d->ctx->host, GRD_ERR_ARG, "split: part %d (fraction %g of %lld samples) would be empty", k, fraction[k],
                              (long long)d->n);
    }
    grd_free(&d->ctx->host, part);
    pool_close(&p);
    return free_all_on_failure(status, out, n);
}

grd_status grd_dataset_fold(const grd_dataset *d, int folds, int fold, const grd_split_opts *opts, grd_dataset **train,
                            grd_dataset **val)
{
    grd_host *host = &d->ctx->host;
    pool p;
    int32_t *part;
    grd_dataset *two[2] = { NULL, NULL };
    *train = *val = NULL;
    GRD_TRY(grd_dataset_by_number(d, "folds"));
    if (folds < 2 || folds > d->n || folds > GRD_MAX_FOLDS)
        return grd_fail(host, GRD_ERR_ARG, "folds: %d of %lld samples, expected 2 to %lld, each with a sample", folds, (long long)d->n,
                        (long long)(d->n < GRD_MAX_FOLDS ? d->n : GRD_MAX_FOLDS));
    if (fold < 0 || fold >= folds)
        return grd_fail(host, GRD_ERR_ARG, "folds: fold %d of %d, expected 0..%d", fold, folds, folds - 1);
    double *fraction = GRD_NEW_N(host, double, folds);
    if (!fraction)
        return GRD_ERR_MEMORY;
    for (int k = 0; k < folds; k++)
        fraction[k] = 1.0 / folds;
    grd_status status = divide(d, fraction, folds, opts ? opts : &split_defaults, &p, &part);
    for (int k = 0; k < 2 && status == GRD_OK; k++) {
        status = part_view(&p, part, folds, fold, k == 0, &two[k]);
        if (status == GRD_ERR_DATA)
            status = grd_fail(host, GRD_ERR_ARG, "folds: fold %d of %d would be empty", fold, folds);
    }
    grd_free(host, part);
    grd_free(host, fraction);
    pool_close(&p);
    status = free_all_on_failure(status, two, 2);
    *train = two[0];
    *val = two[1];
    return status;
}

/* ---- subsets ---- */

static const char *subset_name(const grd_subset *s) { return s->name ? s->name : "unnamed"; }

static bool is_rest(const grd_subset *s) { return !s->per_class && !s->count && s->fraction == 0; }

static grd_status check_subsets(grd_host *host, const grd_subset *subset, int n)
{
    const grd_subset *rest = NULL;
    double sum = 0;
    for (int k = 0; k < n; k++) {
        const grd_subset *s = &subset[k];
        const char *name = subset_name(s);
        if ((s->per_class != 0) + (s->count != 0) + (s->fraction != 0) > 1)
            return grd_fail(host, GRD_ERR_ARG, "subset \"%s\": give one of per_class, count and fraction", name);
        if (s->per_class < 0 || s->count < 0 || !(s->fraction >= 0 && s->fraction <= 1))
            return grd_fail(host, GRD_ERR_ARG, "subset \"%s\": per_class %lld, count %lld, fraction %g: out of range", name,
                            (long long)s->per_class, (long long)s->count, s->fraction);
        if (is_rest(s) && rest)
            return grd_fail(host, GRD_ERR_ARG, "subset \"%s\": \"%s\" takes the rest already", name, subset_name(rest));
        rest = is_rest(s) ? s : rest;
        sum += s->fraction;
    }
    if (sum > 1 + 1e-9)
        return grd_fail(host, GRD_ERR_ARG, "subsets: the fractions add up to %g, expected at most 1", sum);
    return GRD_OK;
}

static void count_left(pool *p)
{
    for (int64_t place = 0; place < p->data->n; place++)
        if (!p->taken[place])
            p->quota[class_at(p, place)]++;
}

static grd_status take_per_class(pool *p, const grd_subset *s, const char *who, grd_dataset **out)
{
    grd_host *host = &p->data->ctx->host;
    GRD_TRY(pool_classes(p, who, "label"));
    count_left(p);
    for (int64_t c = 0; c < p->classes.n; c++) {
        const char *name = grd_dataset_class(p->data, c);
        if (p->quota[c] < s->per_class)
            return grd_fail(host, GRD_ERR_ARG, "%s: %lld of each class wanted, class %lld%s%s%s has %lld left", who,
                            (long long)s->per_class, (long long)c, name ? " (" : "", name ? name : "", name ? ")" : "",
                            (long long)p->quota[c]);
        p->quota[c] = s->per_class;
    }
    return take(p, s->per_class * p->classes.n, true, out);
}

static grd_status take_count(pool *p, int64_t count, const char *stratify, const char *who, grd_dataset **out)
{
    grd_host *host = &p->data->ctx->host;
    if (count < 1)
        return grd_fail(host, GRD_ERR_ARG, "%s: no samples are left for it (of %lld)", who, (long long)p->data->n);
    if (count > p->left)
        return grd_fail(host, GRD_ERR_ARG, "%s: %lld samples wanted, %lld of %lld are left", who, (long long)count,
                        (long long)p->left, (long long)p->data->n);
    if (!stratify)
        return take(p, count, false, out);
    GRD_TRY(pool_classes(p, who, stratify));
    count_left(p);
    int n = (int)p->classes.n;
    double *share = GRD_NEW_N(host, double, 2 * (size_t)n);
    if (!share)
        return GRD_ERR_MEMORY;
    for (int c = 0; c < n; c++)
        share[c] = (double)p->quota[c] / (double)p->left;
    apportion(count, share, n, share + n, p->quota);
    grd_free(host, share);
    return take(p, count, true, out);
}

grd_status grd_dataset_subsets(const grd_dataset *d, const grd_subset *subset, int n, uint64_t seed, grd_dataset **out)
{
    for (int k = 0; k < n; k++)
        out[k] = NULL;
    GRD_TRY(grd_dataset_by_number(d, "subsets"));
    GRD_TRY(check_subsets(&d->ctx->host, subset, n));
    pool p;
    grd_status status = pool_open(&p, d, "subsets", seed, GRD_ORDER_PHILOX);
    double fractions = 0; /* rounded together, so that fractions that add up to 1 take all */
    int64_t by_fraction = 0, rest = -1;
    char who[96];
    for (int k = 0; k < n && status == GRD_OK; k++) {
        const grd_subset *s = &subset[k];
        snprintf(who, sizeof who, "subset \"%s\"", subset_name(s));
        if (is_rest(s)) {
            rest = k;
        } else if (s->per_class) {
            status = take_per_class(&p, s, who, &out[k]);
        } else {
            fractions += s->fraction;
            int64_t upto = (int64_t)floor(portion(fractions, d->n) + 0.5);
            status = take_count(&p, s->count ? s->count : upto - by_fraction, s->stratify, who, &out[k]);
            by_fraction = upto;
        }
    }
    if (status == GRD_OK && rest >= 0) {
        snprintf(who, sizeof who, "subset \"%s\"", subset_name(&subset[rest]));
        status = take_count(&p, p.left, NULL, who, &out[rest]);
    }
    pool_close(&p);
    return free_all_on_failure(status, out, n);
}
