/* Samples by their names: choosing or leaving out those of a list, and giving them other labels. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1024 };

typedef struct wanted { const char *name; int64_t entry, found; } wanted; /* found: a place in the set, -1 */

static int by_name(const void *x, const void *y) { return strcmp(((const wanted *)x)->name, ((const wanted *)y)->name); }

static grd_status sort_names(grd_host *host, const char *const *name, int64_t n, wanted *list)
{
    for (int64_t i = 0; i < n; i++)
        list[i] = (wanted){ name[i], i, -1 };
    qsort(list, (size_t)n, sizeof *list, by_name);
    for (int64_t i = 1; i < n; i++)
        if (strcmp(list[i - 1].name, list[i].name) == 0)
            return grd_fail(host, GRD_ERR_ARG, "names: \"%.200s\" stands twice in the list", list[i].name);
    return GRD_OK;
}

static wanted *look_up(wanted *list, int64_t n, const char *name)
{
    const wanted key = { name, 0, 0 };
    return n ? bsearch(&key, list, (size_t)n, sizeof key, by_name) : NULL;
}

/* Notes in the list where each name stands in the set. */
static grd_status find_samples(const grd_dataset *d, wanted *list, int64_t n, bool *found)
{
    grd_host *host = &d->ctx->host;
    char text[LONGEST];
    for (int64_t i = 0; i < d->n; i++) {
        wanted *hit = look_up(list, n, grd_dataset_name(d, i, text, sizeof text));
        const char *slash = strrchr(text, '/');
        if (!hit && slash)
            hit = look_up(list, n, slash + 1);
        if (!hit)
            continue;
        if (hit->found >= 0)
            return grd_fail(host, GRD_ERR_ARG, "names: \"%.200s\" fits two samples, %lld and %lld: give the whole path", hit->name,
                            (long long)grd_dataset_index(d, hit->found), (long long)grd_dataset_index(d, i));
        hit->found = i;
    }
    for (int64_t k = 0; k < n; k++) {
        if (found)
            found[list[k].entry] |= list[k].found >= 0;
        else if (list[k].found < 0)
            return grd_fail(host, GRD_ERR_ARG, "names: no sample \"%.200s\" among %lld; they are called like \"%.200s\"", list[k].name,
                            (long long)d->n, d->n ? grd_dataset_name(d, 0, text, sizeof text) : "");
    }
    return GRD_OK;
}

/* The list with the places of its names; freed by the caller, also on failure. */
static grd_status resolve(const grd_dataset *d, const char *const *name, int64_t n, bool *found, wanted **list)
{
    *list = GRD_NEW_N(&d->ctx->host, wanted, n);
    if (!*list)
        return GRD_ERR_MEMORY;
    GRD_TRY(sort_names(&d->ctx->host, name, n, *list));
    return find_samples(d, *list, n, found);
}

/* Source indices of the samples listed, in the list's order, or of the others; returns how many. index has room for both. */
static int64_t pick(const grd_dataset *d, const wanted *list, int64_t n, bool others, int64_t *index)
{
    int64_t most = others ? d->n : n, count = 0;
    for (int64_t i = 0; i < most; i++)
        index[i] = others ? i : -1;
    for (int64_t k = 0; k < n; k++) {
        if (list[k].found >= 0 && others)
            index[list[k].found] = -1;
        else if (list[k].found >= 0)
            index[list[k].entry] = list[k].found;
    }
    for (int64_t i = 0; i < most; i++)
        if (index[i] >= 0)
            index[count++] = grd_dataset_index(d, index[i]);
    return count;
}

grd_status grd_dataset_named(const grd_dataset *d, const char *const *name, int64_t n, bool others, bool *found,
                             grd_dataset **out)
{
    grd_host *host = &d->ctx->host;
    wanted *list;
    *out = NULL;
    GRD_TRY(grd_dataset_by_number(d, "names"));
    grd_status status = resolve(d, name, n, found, &list);
    int64_t *index = status == GRD_OK ? GRD_NEW_N(host, int64_t, others ? d->n : n) : NULL;
    if (index) {
        int64_t count = pick(d, list, n, others, index);
        status = grd_dataset_view(d, index, count, true, out);
    } else if (status == GRD_OK) {
        status = GRD_ERR_MEMORY;
    }
    grd_free(host, list);
    return status;
}

/* ---- other labels ---- */

static int by_index(const void *x, const void *y)
{
    const grd_label *a = x, *b = y;
    return a->index < b->index ? -1 : a->index > b->index;
}

bool grd_labels_find(const grd_labels *labels, int64_t index, int32_t *label)
{
    const grd_label key = { index, 0 };
    const grd_label *hit = labels ? bsearch(&key, labels->item, (size_t)labels->n, sizeof key, by_index) : NULL;
    if (hit)
        *label = hit->label;
    return hit;
}

grd_status grd_dataset_relabel(const grd_dataset *d, const char *const *name, const int32_t *label, int64_t n, bool *found,
                               grd_dataset **out)
{
    grd_host *host = &d->ctx->host;
    const grd_opened *source = d->source;
    int f = grd_field_find(source->field, source->n_fields, "label");
    wanted *list = NULL;
    *out = NULL;
    GRD_TRY(grd_dataset_by_number(d, "relabel"));
    if (f < 0 || source->field[f].shape.rank != 0 || source->field[f].classes < 1)
        return grd_fail(host, GRD_ERR_ARG, "relabel: %s has no class index \"label\"", source->row->name);
    if (d->labels)
        return grd_fail(host, GRD_ERR_ARG, "relabel: the data set has been given other labels before");
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= source->field[f].classes)
            return grd_fail(host, GRD_ERR_ARG, "relabel: \"%.200s\": label %d, expected 0..%lld", name[i], (int)label[i],
                            (long long)source->field[f].classes - 1);
    grd_labels *labels = grd_alloc(host, sizeof *labels + (size_t)n * sizeof *labels->item);
    grd_status status = labels ? resolve(d, name, n, found, &list) : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_dataset_view(d, NULL, d->n, true, out);
    if (status == GRD_OK) {
        labels->refs = 1;
        labels->field = f;
        for (int64_t k = 0; k < n; k++)
            if (list[k].found >= 0)
                labels->item[labels->n++] = (grd_label){ grd_dataset_index(d, list[k].found), label[list[k].entry] };
        qsort(labels->item, (size_t)labels->n, sizeof *labels->item, by_index);
        (*out)->labels = labels;
        labels = NULL;
    }
    grd_free(host, labels);
    grd_free(host, list);
    return status;
}
