/* Data of one's own: a source is one struct. This one makes points in a square; label 1 is inside a circle. Registered, it
 * is opened by name with options, checked, split, shuffled and batched as any other. */
#include <gradus/gradus.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct circle_opts {
    int64_t n;
    double radius;
} circle_opts;

static const grd_option circle_options[] = {
    GRD_INT(circle_opts, n, 1000, 1, 1e9, "number of points"),
    GRD_REAL(circle_opts, radius, 0.8, 0, 1, "of the circle; the square's side is 2"),
    GRD_END,
};

static grd_status circle_open(void **state, const void *options, grd_ctx *ctx)
{
    (void)ctx;
    circle_opts *o = malloc(sizeof *o);
    if (!o)
        return GRD_ERR_MEMORY;
    *o = *(const circle_opts *)options; /* resolved: defaults are filled in, ranges checked */
    *state = o;
    return GRD_OK;
}

static int64_t circle_length(const void *state)
{
    return ((const circle_opts *)state)->n;
}

static int circle_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } }, .lo = -1, .hi = 1 };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .shape = { 0, { 0 } }, .hi = 1, .classes = 2 };
    }
    return 2;
}

/* Called from several threads at once; the same index always gives the same sample. */
static grd_status circle_get(const void *state, int64_t index, grd_sample *out)
{
    const circle_opts *o = state;
    uint32_t word[4];
    grd_random4(&(grd_key){ .seed = grd_hash(0, "circle") }, (uint64_t)index, 0, word);
    double x = 2 * grd_uniform(word[0]) - 1, y = 2 * grd_uniform(word[1]) - 1;
    ((float *)out->data[0])[0] = (float)x;
    ((float *)out->data[0])[1] = (float)y;
    *(int32_t *)out->data[1] = x * x + y * y < o->radius * o->radius;
    return GRD_OK;
}

static void circle_close(void *state)
{
    free(state);
}

static const grd_source circle = {
    .name = "circle",
    .doc = "Points in the square [-1,1]^2: x f32 [2], label i32, 1 inside a circle around the centre. Generated.",
    .options = circle_options,
    .options_size = sizeof(circle_opts),
    .open = circle_open,
    .length = circle_length,
    .fields = circle_fields,
    .get = circle_get,
    .close = circle_close,
};

static grd_status use(grd_ctx *c)
{
    grd_dataset *all, *part[2];
    int64_t counts[2] = { 0, 0 };
    grd_status s = grd_source_register(c, &circle);
    if (s == GRD_OK)
        s = grd_dataset_open(c, "circle", "n=500 radius=0.7", &all);
    if (s == GRD_OK)
        s = grd_dataset_verify(c, all, counts, 2); /* every sample against its fields' promises */
    if (s == GRD_OK)
        s = grd_dataset_split(all, (double[]){ 0.8, 0.2 }, 2, &(grd_split_opts){ .seed = 1, .stratify = "label" }, part);
    if (s != GRD_OK)
        return s;
    printf("outside %lld, inside %lld; split into %lld and %lld\n", (long long)counts[0], (long long)counts[1],
           (long long)grd_dataset_length(part[0]), (long long)grd_dataset_length(part[1]));

    grd_loader *loader;
    s = grd_loader_new(c, part[0], &(grd_loader_opts){ .batch = 64, .shuffle = true, .workers = 2, .seed = 1 }, &loader);
    if (s == GRD_OK)
        s = grd_loader_start(loader, 1, 0);
    const grd_batch *batch = NULL;
    int64_t samples = 0, inside = 0;
    while (s == GRD_OK && (s = grd_loader_next(loader, &batch)) == GRD_OK && batch) {
        const int32_t *label = batch->data[1];
        for (int64_t i = 0; i < batch->n; i++)
            inside += label[i];
        samples += batch->n;
    }
    if (s != GRD_OK)
        return s;
    printf("one epoch: %lld samples, %lld inside\n", (long long)samples, (long long)inside);
    return samples == 400 && counts[0] + counts[1] == 500 ? GRD_OK : GRD_ERR_DATA;
}

int main(void)
{
    grd_ctx *c = grd_open(NULL);
    if (!c)
        return 1;
    grd_status s = use(c);
    if (s != GRD_OK)
        fprintf(stderr, "%s: %s\n", grd_status_name(s), grd_error(c));
    grd_close(c);
    return s != GRD_OK;
}
