/* Samples that are the same: equal inputs by a hash of 128 bits, and pictures that look alike.
 *
 * Alike: 64 bits of a small grey picture, each whether one of its low frequencies (discrete cosine transform) is above the
 * mean of all pictures. Two that differ in at most 3 bits agree in one of four words of 16 bits, so only pictures that share a
 * word are compared, and of those only neighbours when very many share it. What then has a correlation of pixels below ALIKE
 * is dropped. */
#define _GNU_SOURCE
#include "data/inspect.h"

#include "base/parallel.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 8, BITS = SIDE * SIDE, WORDS = 4, MOST_BITS = 3, NEIGHBOURS = 256 };
#define ALIKE 0.995

typedef struct entry {
    uint64_t key[2];
    int64_t sample;
} entry;

static int by_key(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    for (int k = 0; k < 2; k++)
        if (a->key[k] != b->key[k])
            return a->key[k] < b->key[k] ? -1 : 1;
    return a->sample < b->sample ? -1 : a->sample > b->sample;
}

/* Calls found with each run of equal keys. */
static grd_status each_run(const grd_report *r, entry *list, int64_t n, grd_same_found found, void *user)
{
    int64_t *same = GRD_NEW_N(r->host, int64_t, n);
    grd_status status = same ? GRD_OK : GRD_ERR_MEMORY;
    qsort(list, (size_t)n, sizeof *list, by_key);
    for (int64_t i = 0, k; i < n && status == GRD_OK; i = k) {
        for (k = i; k < n && list[k].key[0] == list[i].key[0] && list[k].key[1] == list[i].key[1]; k++)
            same[k - i] = list[k].sample;
        if (k - i > 1)
            status = found(user, same, k - i);
    }
    grd_free(r->host, same);
    return status;
}

grd_status grd_same_exact(const grd_report *r, grd_same_found found, void *user)
{
    entry *list = GRD_NEW_N(r->host, entry, r->n);
    int64_t n = 0;
    if (!list)
        return GRD_ERR_MEMORY;
    for (int64_t i = 0; i < r->n; i++) /* blank pictures are a finding of their own */
        if (r->input >= 0 && !(r->seen[i].flags & (GRD_SEEN_UNREADABLE | GRD_SEEN_CONSTANT)))
            list[n++] = (entry){ { r->seen[i].hash[0], r->seen[i].hash[1] }, i };
    grd_status status = each_run(r, list, n, found, user);
    grd_free(r->host, list);
    return status;
}

/* ---- alike ---- */

typedef struct looks {
    const grd_report *r;
    int pixels;
    float *wave;    /* [BITS][pixels] */
    float *mean;    /* [BITS] */
    float *value;   /* [n][BITS] */
    uint64_t *bits; /* [n] */
    int64_t *root;  /* of the group that a sample is in; itself */
} looks;

static void make_waves(looks *l)
{
    const grd_features *p = &l->r->features;
    for (int b = 0; b < BITS; b++) { /* the mean grey, frequency 0, gives way to one more */
        int u = b ? b / SIDE : SIDE - 1, v = b ? b % SIDE : SIDE;
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++)
                l->wave[b * l->pixels + y * p->width + x] =
                    (float)(cos(M_PI * u * (y + 0.5) / p->height) * cos(M_PI * v * (x + 0.5) / p->width));
    }
}

static float grey(const looks *l, const float *row, int k)
{
    float sum = 0;
    for (int c = 0; c < l->r->features.channels; c++)
        sum += row[c * l->pixels + k];
    return isfinite(sum) ? sum : 0;
}

/* Pixels with mean 0 and length 1; all 0 if they are all the same. */
static void level(const looks *l, int64_t i, float *out)
{
    const float *row = l->r->features.row + i * l->r->features.n;
    double sum = 0, square = 0;
    for (int k = 0; k < l->pixels; k++) {
        out[k] = grey(l, row, k);
        sum += out[k];
    }
    for (int k = 0; k < l->pixels; k++) {
        out[k] -= (float)(sum / l->pixels);
        square += (double)out[k] * out[k];
    }
    float scale = square > 1e-12 ? (float)(1 / sqrt(square)) : 0;
    for (int k = 0; k < l->pixels; k++)
        out[k] *= scale;
}

enum { MOST_PIXELS = 16 * 16 };

static void value_rows(void *ctx, int64_t begin, int64_t end)
{
    looks *l = ctx;
    float even[MOST_PIXELS];
    for (int64_t i = begin; i < end; i++) {
        level(l, i, even);
        for (int b = 0; b < BITS; b++) {
            float sum = 0;
            for (int k = 0; k < l->pixels; k++)
                sum += l->wave[b * l->pixels + k] * even[k];
            l->value[i * BITS + b] = sum;
        }
    }
}

static void make_bits(looks *l)
{
    const int64_t n = l->r->n;
    for (int b = 0; b < BITS; b++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += l->value[i * BITS + b];
        l->mean[b] = (float)(sum / (double)n);
    }
    for (int64_t i = 0; i < n; i++)
        for (int b = 0; b < BITS; b++)
            l->bits[i] |= (uint64_t)(l->value[i * BITS + b] > l->mean[b]) << b;
}

static int differing(uint64_t a, uint64_t b)
{
    int n = 0;
    for (a ^= b; a && n <= MOST_BITS; a &= a - 1)
        n++;
    return n;
}

static bool alike(const looks *l, int64_t i, int64_t k)
{
    float a[MOST_PIXELS], b[MOST_PIXELS];
    double sum = 0;
    const grd_seen *x = &l->r->seen[i], *y = &l->r->seen[k];
    if (x->hash[0] == y->hash[0] && x->hash[1] == y->hash[1])
        return false; /* equal: another finding */
    level(l, i, a);
    level(l, k, b);
    for (int e = 0; e < l->pixels; e++)
        sum += (double)a[e] * b[e];
    return sum >= ALIKE;
}

static int64_t root_of(const looks *l, int64_t i)
{
    while (l->root[i] != i) {
        l->root[i] = l->root[l->root[i]];
        i = l->root[i];
    }
    return i;
}

/* Compares those that share the word; list has room for all. */
static void compare_word(looks *l, int word, entry *list, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = l->bits[list[i].sample];
        list[i].key[0] = bits >> 16 * word & 0xFFFF;
        list[i].key[1] = bits;
    }
    qsort(list, (size_t)n, sizeof *list, by_key);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = i + 1; k < n && k <= i + NEIGHBOURS && list[k].key[0] == list[i].key[0]; k++) {
            int64_t a = list[i].sample, b = list[k].sample;
            if (differing(list[i].key[1], list[k].key[1]) <= MOST_BITS && root_of(l, a) != root_of(l, b) && alike(l, a, b)) {
                a = root_of(l, a), b = root_of(l, b);
                l->root[a > b ? a : b] = a > b ? b : a;
            }
        }
}

static grd_status find_alike(looks *l, entry *list, grd_same_found found, void *user)
{
    const grd_report *r = l->r;
    int64_t n = 0;
    make_waves(l);
    grd_parallel_for(r->ctx->threads, r->n, 64, value_rows, l);
    make_bits(l);
    for (int64_t i = 0; i < r->n; i++) {
        l->root[i] = i;
        if (!(r->seen[i].flags & (GRD_SEEN_UNREADABLE | GRD_SEEN_CONSTANT)))
            list[n++].sample = i;
    }
    for (int word = 0; word < WORDS; word++) {
        GRD_TRY(grd_report_progress(r, "comparing pictures", word, WORDS));
        compare_word(l, word, list, n);
    }
    for (int64_t i = 0; i < n; i++) {
        list[i].key[0] = (uint64_t)root_of(l, list[i].sample);
        list[i].key[1] = 0;
    }
    return each_run(r, list, n, found, user);
}

grd_status grd_same_near(const grd_report *r, grd_same_found found, void *user)
{
    const grd_features *p = &r->features;
    if (p->kind != GRD_FEATURES_PICTURE || p->height < SIDE || p->width < SIDE)
        return GRD_OK; /* too small to tell */
    looks l = { .r = r, .pixels = p->height * p->width };
    l.wave = GRD_NEW_N(r->host, float, BITS *l.pixels);
    l.mean = GRD_NEW_N(r->host, float, BITS);
    l.value = GRD_NEW_N(r->host, float, r->n *BITS);
    l.bits = GRD_NEW_N(r->host, uint64_t, r->n);
    l.root = GRD_NEW_N(r->host, int64_t, r->n);
    entry *list = GRD_NEW_N(r->host, entry, r->n);
    grd_status status = GRD_ERR_MEMORY;
    if (l.wave && l.mean && l.value && l.bits && l.root && list)
        status = find_alike(&l, list, found, user);
    void *const owned[] = { l.wave, l.mean, l.value, l.bits, l.root, list };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        grd_free(r->host, owned[i]);
    return status;
}
