/* A source whose samples have several named fields of different sizes: pictures of bars, each as high and wide as it likes, with
 * a mask, a label and a list of numbers. A loader fills a batch up to its largest sample. */
#include <gradus/gradus.h>

#include <stdio.h>

enum { SAMPLES = 12 };
enum { IMAGE, MASK, LABEL, BARS }; /* in the order of `fields` */

static grd_status bars_open(void **state, const void *options, grd_ctx *ctx)
{
    (void)options;
    (void)ctx;
    *state = NULL; /* nothing to keep */
    return GRD_OK;
}

static int64_t bars_length(const void *state)
{
    (void)state;
    return SAMPLES;
}

/* -1: differs from sample to sample. A list of one varying length, `bars`, brings a field `bars_length` with it. */
static int bars_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max >= 4) {
        out[IMAGE] = (grd_field){ .name = "image", .dtype = GRD_U8, .shape = { 3, { 1, -1, -1 } }, .hi = 255 };
        out[MASK] =
            (grd_field){ .name = "mask", .dtype = GRD_I32, .shape = { 2, { -1, -1 } }, .classes = 2, .ignore = -1, .pad = -1 };
        out[LABEL] = (grd_field){ .name = "label", .dtype = GRD_I32, .classes = 2 };
        out[BARS] = (grd_field){ .name = "bars", .dtype = GRD_F32, .shape = { 1, { -1 } } };
    }
    return 4;
}

/* Every second column is a bar of random height. Room is asked for where the shape varies; a fixed field lies ready. */
static grd_status bars_get(const void *state, int64_t index, grd_sample *out)
{
    (void)state;
    const int64_t height = 4 + index % 3, width = 5 + index % 4, n = (width + 1) / 2;
    uint8_t *image = grd_sample_room(out, IMAGE, &(grd_shape){ 3, { 1, height, width } });
    int32_t *mask = image ? grd_sample_room(out, MASK, &(grd_shape){ 2, { height, width } }) : NULL;
    float *bars = mask ? grd_sample_room(out, BARS, &(grd_shape){ 1, { n } }) : NULL;
    if (!bars)
        return GRD_ERR_MEMORY;
    for (int64_t x = 0; x < width; x++) {
        uint32_t word[4];
        grd_random4(&(grd_key){ .seed = grd_hash(0, "bars") }, (uint64_t)index, (uint64_t)x, word);
        const int64_t high = x % 2 ? 0 : 1 + (int64_t)(grd_uniform(word[0]) * (double)height);
        if (x % 2 == 0)
            bars[x / 2] = (float)high;
        for (int64_t y = 0; y < height; y++) {
            mask[y * width + x] = height - y <= high;
            image[y * width + x] = mask[y * width + x] ? 200 : 20;
        }
    }
    *(int32_t *)out->data[LABEL] = index % 3 == 0;
    return GRD_OK;
}

/* What messages and lists call a sample. */
static void bars_name(const void *state, int64_t index, char *text, size_t size)
{
    (void)state;
    snprintf(text, size, "bars/%lld", (long long)index);
}

static const grd_source bars = {
    .name = "bars",
    .doc = "Pictures of bars: image u8 [1,H,W], mask i32 [H,W], label i32, bars f32 [n], their heights. Generated.",
    .open = bars_open,
    .length = bars_length,
    .fields = bars_fields,
    .get = bars_get,
    .name_of = bars_name,
};

static grd_status use(grd_ctx *c)
{
    grd_dataset *all;
    grd_loader *loader;
    grd_status s = grd_dataset_open_source(c, &bars, NULL, &all);
    if (s == GRD_OK)
        s = grd_dataset_verify(c, all, NULL, 0);
    if (s == GRD_OK)
        s = grd_loader_new(c, all, &(grd_loader_opts){ .batch = 4, .shuffle = true, .workers = 2, .seed = 1 }, &loader);
    if (s == GRD_OK)
        s = grd_loader_start(loader, 1, 0);
    const grd_batch *batch = NULL;
    int64_t samples = 0;
    while (s == GRD_OK && (s = grd_loader_next(loader, &batch)) == GRD_OK && batch) {
        const grd_shape *image = &batch->shape[IMAGE];
        const int32_t *length = batch->data[BARS + 1];
        printf("%lld pictures in %lld x %lld:", (long long)batch->n, (long long)image->dim[3], (long long)image->dim[2]);
        for (int64_t i = 0; i < batch->n; i++) {
            char name[32];
            printf(" %s (%d bars)", grd_dataset_name(all, batch->index[i], name, sizeof name), (int)length[i]);
        }
        printf("\n");
        samples += batch->n;
    }
    return s == GRD_OK && samples != SAMPLES ? GRD_ERR_DATA : s;
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
