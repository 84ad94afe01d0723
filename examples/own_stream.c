/* Data that never lie in memory, nor anywhere by number: a stream is a source with cursors instead of length and get. This one
 * makes points in a square, shard by shard; label 1 is inside a circle. It is trained on, stopped in the middle of an epoch, and
 * resumed: the weights come out as if nothing had happened. */
#include <gradus/gradus.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct points {
    int64_t shards, n; /* n: of each shard */
} points;

static const grd_option points_options[] = {
    GRD_INT(points, shards, 4, 1, 1e6, "of them"),
    GRD_INT(points, n, 500, 1, 1e12, "points in each"),
    GRD_END,
};

static grd_status points_open(void **state, const void *options, grd_ctx *ctx)
{
    points *p = malloc(sizeof *p);
    if (!p)
        return grd_source_fail(ctx, GRD_ERR_MEMORY, "out of memory");
    *p = *(const points *)options;
    *state = p;
    return GRD_OK;
}

static int points_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    if (max >= 2) {
        out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } }, .lo = -1, .hi = 1 };
        out[1] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = 1, .classes = 2 };
    }
    return 2;
}

static void points_close(void *state)
{
    free(state);
}

/* How many there are depends on the data, never on the number of workers. */
static int64_t points_shards(const void *state)
{
    return ((const points *)state)->shards;
}

/* ---- a cursor: one reader of one shard ---- */

typedef struct cursor {
    const points *of;
    grd_key key; /* of seed, epoch and shard: other points in every epoch */
    int64_t at;
} cursor;

static grd_status points_begin(const void *state, int64_t shard, const grd_key *key, void **out, grd_sample *errors)
{
    cursor *c = malloc(sizeof *c);
    (void)shard; /* a file's number, where there are files */
    if (!c)
        return grd_sample_fail(errors, GRD_ERR_MEMORY, "out of memory");
    *c = (cursor){ .of = state, .key = *key };
    *out = c;
    return GRD_OK;
}

static grd_status points_next(void *self, grd_sample *out, bool *end)
{
    cursor *c = self;
    uint32_t word[4];
    *end = c->at == c->of->n;
    if (*end)
        return GRD_OK;
    grd_random4(&c->key, (uint64_t)c->at++, 0, word);
    double x = 2 * grd_uniform(word[0]) - 1, y = 2 * grd_uniform(word[1]) - 1;
    ((float *)out->data[0])[0] = (float)x;
    ((float *)out->data[0])[1] = (float)y;
    *(int32_t *)out->data[1] = x * x + y * y < 0.64;
    return GRD_OK;
}

static void points_tell(const void *self, char *text, size_t size)
{
    snprintf(text, size, "%lld", (long long)((const cursor *)self)->at);
}

static grd_status points_seek(void *self, const char *position, grd_sample *errors)
{
    cursor *c = self;
    char *end;
    c->at = strtoll(position, &end, 10);
    if (*end || c->at < 0 || c->at > c->of->n)
        return grd_sample_fail(errors, GRD_ERR_FORMAT, "position \"%s\", expected 0..%lld", position, (long long)c->of->n);
    return GRD_OK;
}

static void points_end(void *self)
{
    free(self);
}

static const grd_source source = {
    .name = "points",
    .doc = "Points in the square [-1,1]^2: x f32 [2], label i32, 1 inside a circle. A stream, generated.",
    .options = points_options,
    .options_size = sizeof(points),
    .open = points_open,
    .fields = points_fields,
    .close = points_close,
    .stream = &(const grd_stream_calls){ .shards = points_shards, .begin = points_begin, .next = points_next, .tell = points_tell,
                                         .seek = points_seek, .end = points_end },
};

/* ---- training on it ---- */

static volatile int stop; /* as a signal handler would set it */

static grd_status stop_at(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    (void)state;
    (void)t;
    if (event == GRD_EVENT_STEP_END && now->step == 45)
        stop = 1;
    return GRD_OK;
}

static const grd_handler stopper = { .name = "stopper", .doc = "interrupts the second epoch", .on = stop_at };

enum { WEIGHTS = 2 * 32 }; /* of the first layer */

/* Three epochs of 32 batches, whole passes. dir: where checkpoints are; NULL = nowhere. resume: go on there; else, if there is
 * a dir, a new run is stopped in its second epoch. */
static grd_status train(const char *dir, bool resume, float weights[WEIGHTS])
{
    stop = 0;
    grd_ctx *c = grd_open(&(grd_opts){ .seed = 1, .threads = 1 });
    if (!c)
        return GRD_ERR_MEMORY;
    grd_graph *g = grd_graph_new(c);
    grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 2 });
    grd_var label = grd_input(g, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_linear(grd_tanh(grd_linear(x, &(grd_linear_opts){ .out = 32 })), &(grd_linear_opts){ .out = 2 });
    grd_dataset *data;
    grd_trainer *t;
    grd_status s = grd_source_register(c, &source);
    if (s == GRD_OK)
        s = grd_dataset_open(c, "points", NULL, &data);
    if (s == GRD_OK)
        s = grd_trainer_new(c, &(grd_trainer_opts){ .loss = grd_cross_entropy(h, label, NULL), .train = data, .no_shuffle = true,
                                                    .epochs = 3, .batch = 64, .workers = 2, .optim = "adam lr=0.02", .dir = dir,
                                                    .resume = resume, .stop = &stop }, &t);
    if (s == GRD_OK && dir && !resume)
        s = grd_trainer_add(t, &stopper, NULL);
    if (s == GRD_OK)
        s = grd_trainer_fit(t);
    if (s == GRD_OK || s == GRD_ERR_STOPPED) {
        const grd_train_state *now = grd_trainer_state(t);
        printf("%s in epoch %lld after %lld steps, loss %.4f\n", s == GRD_OK ? "done" : "stopped", (long long)now->epoch,
               (long long)now->step, now->loss);
        int64_t n;
        memcpy(weights, grd_model_arena(grd_trainer_model(t), &n), WEIGHTS * sizeof *weights);
    } else {
        fprintf(stderr, "%s: %s\n", grd_status_name(s), grd_error(c));
    }
    grd_close(c);
    return s;
}

int main(void)
{
    const char *dir = "own_stream_run";
    float straight[WEIGHTS], resumed[WEIGHTS];
    bool good = train(NULL, false, straight) == GRD_OK && train(dir, false, resumed) == GRD_ERR_STOPPED &&
                train(dir, true, resumed) == GRD_OK;
    bool same = good && memcmp(straight, resumed, sizeof straight) == 0;
    printf("%s\n", same ? "the same bits" : "not the same");
    return !same;
}
