/* Splitting by groups: a person, a patient, a recording stands in one part only. Groups are taken from the largest to the smallest
 * (equal ones in the random order), each goes where the parts then come closest to their shares of every class. */
#include "data/split.h"

#include <stdlib.h>

typedef struct member { int64_t group, place; } member; /* the group's number, the sample's place in the order */
typedef struct group { int64_t first, n, place; } group; /* members first .. first + n - 1; place: of its first in the order */

static int by_group(const void *x, const void *y)
{
    const member *a = x, *b = y;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int by_size(const void *x, const void *y)
{
    const group *a = x, *b = y;
    if (a->n != b->n)
        return a->n > b->n ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static grd_status read_groups(const grd_dataset *d, const char *field, const int64_t *order, member *out)
{
    grd_host *host = &d->ctx->host;
    int64_t *number = GRD_NEW_N(host, int64_t, d->n);
    grd_status status = number ? grd_numbers_read(d, "split by group", field, number) : GRD_ERR_MEMORY;
    for (int64_t place = 0; place < d->n && status == GRD_OK; place++)
        out[place] = (member){ number[order[place]], place };
    grd_free(host, number);
    return status;
}

/* How far part k is from its share, summed over classes, relative to the class, once the group's `add` is in it. */
static double distance(const int64_t *have, const int64_t *add, const int64_t *total, double share, int64_t classes)
{
    double sum = 0;
    for (int64_t c = 0; c < classes; c++) {
        double want = share * (double)total[c], off = total[c] ? ((double)(have[c] + (add ? add[c] : 0)) - want) / (double)total[c] : 0;
        sum += off * off;
    }
    return sum;
}

typedef struct table { int64_t *total, *add, *have; } table; /* [classes], [classes], [parts, classes] */

static int best_part(const table *t, const double *share, int n_parts, int64_t classes)
{
    int best = -1;
    double least = 0;
    for (int k = 0; k < n_parts; k++) {
        const int64_t *have = t->have + k * classes;
        if (!(share[k] > 0))
            continue;
        double gain = distance(have, t->add, t->total, share[k], classes) - distance(have, NULL, t->total, share[k], classes);
        if (best < 0 || gain < least - 1e-15) {
            best = k;
            least = gain;
        }
    }
    return best;
}

static void deal(const member *who, const group *groups, int64_t n_groups, const int64_t *order, const grd_classes *classes,
                 const double *share, int n_parts, const table *t, int32_t *part)
{
    const int64_t n = classes->n;
    for (int64_t g = 0; g < n_groups; g++) {
        const member *m = who + groups[g].first;
        for (int64_t c = 0; c < n; c++)
            t->add[c] = 0;
        for (int64_t i = 0; i < groups[g].n; i++)
            t->add[classes->of ? classes->of[order[m[i].place]] : 0]++;
        int k = best_part(t, share, n_parts, n);
        for (int64_t c = 0; c < n; c++)
            t->have[k * n + c] += t->add[c];
        for (int64_t i = 0; i < groups[g].n; i++)
            part[m[i].place] = k;
    }
}

static int64_t gather(const member *who, int64_t n, group *groups)
{
    int64_t n_groups = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || who[i].group != who[i - 1].group)
            groups[n_groups++] = (group){ i, 0, who[i].place };
        groups[n_groups - 1].n++;
    }
    return n_groups;
}

grd_status grd_split_groups(const grd_dataset *d, const char *field, const int64_t *order, const grd_classes *classes,
                            const double *share, int n_parts, int32_t *part)
{
    grd_host *host = &d->ctx->host;
    size_t cells;
    if (!grd_size_mul((size_t)classes->n, (size_t)n_parts + 2, &cells) || cells > SIZE_MAX / sizeof(int64_t))
        return grd_fail(host, GRD_ERR_ARG, "split: too many parts and classes");
    member *who = GRD_NEW_N(host, member, d->n);
    group *groups = GRD_NEW_N(host, group, d->n);
    int64_t *cell = GRD_NEW_N(host, int64_t, cells);
    grd_status status = who && groups && cell ? read_groups(d, field, order, who) : GRD_ERR_MEMORY;
    if (status == GRD_OK) {
        const table t = { cell, cell + classes->n, cell + 2 * classes->n };
        for (int64_t i = 0; i < d->n; i++)
            t.total[classes->of ? classes->of[i] : 0]++;
        qsort(who, (size_t)d->n, sizeof *who, by_group);
        int64_t n_groups = gather(who, d->n, groups);
        qsort(groups, (size_t)n_groups, sizeof *groups, by_size);
        deal(who, groups, n_groups, order, classes, share, n_parts, &t, part);
    }
    grd_free(host, who);
    grd_free(host, groups);
    grd_free(host, cell);
    return status;
}
