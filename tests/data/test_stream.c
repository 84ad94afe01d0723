/* Streams: the same batches whatever the workers, exact going on from any batch, errors in their place. */
#define _GNU_SOURCE
#include "helper_setup.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- a stream: shard k has shard[k] samples, x = 1000 k + i, and a text of i % 4 letters; what is wrong is asked for ---- */

typedef struct tape_opts {
    const char *shard;
    int64_t bad;       /* sample of every shard that is no good; -1 = none */
    int64_t torn;      /* sample of every shard at which it breaks */
    int64_t locked;    /* shard that cannot be begun */
    int64_t slow;      /* microseconds a sample takes, up to */
    int64_t position;  /* 0 tell and seek, 1 a text with spaces, 2 an empty one */
} tape_opts;

typedef struct tape {
    tape_opts o;
    int shard[40];
    int n;
    atomic_int open;   /* cursors */
    atomic_int reads;  /* samples that were asked for */
} tape;

typedef struct cursor {
    tape *tape;
    int64_t shard, at;
    uint64_t drawn;    /* by the key */
} cursor;

static const grd_option tape_options[] = {
    GRD_TEXT(tape_opts, shard, "7", "samples of each, with commas between; -: none"),
    GRD_INT(tape_opts, bad, -1, -1, 1e6, "sample that is no good"),
    GRD_INT(tape_opts, torn, -1, -1, 1e6, "sample at which a shard breaks"),
    GRD_INT(tape_opts, locked, -1, -1, 1e6, "shard that cannot be begun"),
    GRD_INT(tape_opts, slow, 0, 0, 1e6, "microseconds"),
    GRD_INT(tape_opts, position, 0, 0, 9, "what tell says"),
    GRD_END,
};

static tape *last; /* that was opened */

static grd_status tape_open(void **state, const void *options, grd_ctx *c)
{
    (void)c;
    tape *t = calloc(1, sizeof *t);
    t->o = *(const tape_opts *)options;
    for (char *at = (char *)t->o.shard; *at != '-' && t->n < 40; at += *at == ',') {
        t->shard[t->n++] = (int)strtol(at, &at, 10);
        if (!*at)
            break;
    }
    *state = last = t;
    return GRD_OK;
}

static int64_t tape_shards(const void *state) { return ((const tape *)state)->n; }

static int tape_fields(const void *state, grd_field *out, int max)
{
    (void)state;
    assert_true(max >= 3);
    out[0] = (grd_field){ .name = "x", .dtype = GRD_F32, .shape = { 1, { 2 } }, .hi = 1e6 };
    out[1] = (grd_field){ .name = "text", .dtype = GRD_I32, .shape = { 1, { -1 } } };
    out[2] = (grd_field){ .name = "label", .dtype = GRD_I32, .hi = 1, .classes = 2 };
    return 3;
}

static grd_status tape_begin(const void *state, int64_t shard, const grd_key *key, void **out, grd_sample *errors)
{
    tape *t = (tape *)state;
    if (shard == t->o.locked)
        return grd_sample_fail(errors, GRD_ERR_IO, "tape %lld: no such reel", (long long)shard);
    cursor *c = malloc(sizeof *c);
    uint32_t word[4];
    grd_random4(key, 0, 0, word);
    *c = (cursor){ .tape = t, .shard = shard, .drawn = word[0] };
    t->open++;
    *out = c;
    return GRD_OK;
}

static grd_status tape_next(void *self, grd_sample *out, bool *end)
{
    cursor *c = self;
    tape *t = c->tape;
    const int64_t i = c->at;
    t->reads++;
    *end = i == t->shard[c->shard];
    if (*end)
        return GRD_OK;
    if (t->o.slow)
        nanosleep(&(struct timespec){ .tv_nsec = 1000 * (int64_t)((c->drawn + (uint64_t)i * 7919) % (uint64_t)t->o.slow) }, NULL);
    if (i == t->o.torn)
        return grd_sample_fail(out, GRD_ERR_FORMAT, "the tape is torn");
    c->at++;
    if (i == t->o.bad)
        return grd_sample_fail(out, GRD_ERR_DATA, "only noise");
    ((float *)out->data[0])[0] = (float)(1000 * c->shard + i);
    ((float *)out->data[0])[1] = (float)(c->drawn % 65536);
    const grd_shape shape = { 1, { i % 4 } };
    int32_t *text = grd_sample_room(out, 1, &shape);
    if (!text)
        return GRD_ERR_MEMORY;
    for (int64_t k = 0; k < i % 4; k++)
        text[k] = (int32_t)(i + k);
    *(int32_t *)out->data[2] = (int32_t)(i % 2);
    return GRD_OK;
}

static void tape_tell(const void *self, char *text, size_t size)
{
    const cursor *c = self;
    static const char *const format[] = { "at:%lld", "at %lld", "" };
    if (c->tape->o.position == 2)
        text[0] = 0;
    else
        snprintf(text, size, c->tape->o.position ? format[1] : format[0], (long long)c->at);
}

static grd_status tape_seek(void *self, const char *position, grd_sample *errors)
{
    cursor *c = self;
    long long at;
    if (sscanf(position, "at:%lld", &at) != 1 || at < 0 || at > c->tape->shard[c->shard])
        return grd_sample_fail(errors, GRD_ERR_FORMAT, "position \"%s\", expected at:NUMBER", position);
    c->at = at;
    return GRD_OK;
}

static void tape_end(void *self)
{
    ((cursor *)self)->tape->open--;
    free(self);
}

static void tape_close(void *state)
{
    assert_int_equal(((tape *)state)->open, 0);
    free(state);
}

static void tape_name(const void *state, int64_t shard, char *text, size_t size)
{
    (void)state;
    snprintf(text, size, "reel %lld", (long long)shard);
}

#define TAPE .doc = "a stream", .options = tape_options, .options_size = sizeof(tape_opts), .open = tape_open, \
             .fields = tape_fields, .close = tape_close
#define TAPE_CALLS .shards = tape_shards, .begin = tape_begin, .next = tape_next, .end = tape_end

static const grd_source tape_source = {
    .name = "tape", TAPE, .name_of = tape_name,
    .stream = &(const grd_stream_calls){ TAPE_CALLS, .tell = tape_tell, .seek = tape_seek },
};
static const grd_source forgetful_source = { .name = "forgetful", TAPE, .stream = &(const grd_stream_calls){ TAPE_CALLS } };

/* Adds random numbers to x: to its first number by the sample's key, to its second by the batch's. */
static grd_status any_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *c)
{
    (void)options, (void)state, (void)field, (void)n, (void)c;
    return GRD_OK;
}

static float drawn(const grd_key *key)
{
    uint32_t word[4] = { 0 };
    if (key)
        grd_random4(key, 0, 0, word);
    return (float)grd_uniform(word[0]) / 2;
}

static grd_status jitter_sample(const grd_transform_call *call, grd_sample *s)
{
    ((float *)s->data[0])[0] += drawn(call->key);
    return GRD_OK;
}

static grd_status jitter_batch(const grd_transform_call *call, grd_batch *b, grd_sample *errors)
{
    (void)errors;
    for (int64_t i = 0; i < b->n; i++)
        ((float *)b->data[0])[2 * i + 1] += drawn(call->key);
    return GRD_OK;
}

static const grd_transform jitter = {
    .name = "jitter", .doc = "of samples", .fields = any_fields, .apply = jitter_sample, .random = true
};
static const grd_transform jolt = {
    .name = "jolt", .doc = "of batches", .fields = any_fields, .apply_batch = jitter_batch, .random = true
};

static grd_dataset *shaken(const grd_dataset *raw)
{
    grd_dataset *d, *both;
    ok(ctx, grd_dataset_transform(raw, "jitter", &d));
    ok(ctx, grd_dataset_transform(d, "jolt", &both));
    return both;
}

static int setup_streams(void **state)
{
    return setup(state) || grd_source_register(ctx, &tape_source) != GRD_OK || grd_source_register(ctx, &forgetful_source) != GRD_OK ||
           grd_transform_register(ctx, &jitter) != GRD_OK || grd_transform_register(ctx, &jolt) != GRD_OK;
}

static grd_dataset *open_stream(const char *source, const char *spec)
{
    grd_dataset *d;
    ok(ctx, grd_dataset_open(ctx, source, spec, &d));
    return d;
}

static grd_loader *loader(const grd_dataset *d, const grd_loader_opts *o)
{
    grd_loader *l;
    ok(ctx, grd_loader_new(ctx, d, o, &l));
    return l;
}

/* ---- a batch, or its error, as bytes: what must be equal ---- */

typedef struct text {
    char *at;
    size_t used, size;
} text;

static void add(text *t, const void *from, size_t n)
{
    if (t->used + n > t->size)
        assert_non_null(t->at = realloc(t->at, t->size = 2 * (t->used + n)));
    memcpy(t->at + t->used, from, n);
    t->used += n;
}

/* false: the epoch is over */
static bool add_next(text *t, grd_loader *l)
{
    const grd_batch *b;
    grd_status status = grd_loader_next(l, &b);
    if (status == GRD_OK && !b)
        return false;
    add(t, &status, sizeof status);
    if (status != GRD_OK) {
        add(t, grd_error(ctx), strlen(grd_error(ctx)));
        return true;
    }
    const int64_t numbers[] = { b->n, b->first, b->number, b->skipped };
    add(t, numbers, sizeof numbers);
    add(t, b->index, (size_t)b->n * sizeof *b->index);
    for (int f = 0; f < b->n_fields; f++)
        add(t, b->data[f], (size_t)grd_count(&b->shape[f]) * grd_dtype_size(b->field[f].dtype));
    return true;
}

static int drain(text *t, grd_loader *l)
{
    int n = 0;
    while (add_next(t, l))
        n++;
    return n;
}

static void equal(const text *a, const text *b)
{
    assert_int_equal(a->used, b->used);
    if (a->used)
        assert_memory_equal(a->at, b->at, a->used);
}

static text epochs(const grd_dataset *d, const grd_loader_opts *o, int n)
{
    text t = { 0 };
    grd_loader *l = loader(d, o);
    for (int e = 0; e < n; e++) {
        ok(ctx, grd_loader_start(l, e, 0));
        drain(&t, l);
    }
    grd_loader_free(l);
    return t;
}

/* "shard*1000+i of the first sample x how many" of each batch, in order; "!" for an error. */
static const char *sequence(const grd_dataset *d, const grd_loader_opts *o)
{
    static char all[2000];
    int at = 0;
    grd_loader *l = loader(d, o);
    ok(ctx, grd_loader_start(l, 0, 0));
    for (int64_t k = 0;; k++) {
        const grd_batch *b;
        grd_status status = grd_loader_next(l, &b);
        if (status == GRD_OK && !b)
            break;
        if (status != GRD_OK) {
            at += snprintf(all + at, sizeof all - (size_t)at, " !");
            continue;
        }
        assert_int_equal(b->number, k);
        at += snprintf(all + at, sizeof all - (size_t)at, " %gx%lld", (double)((float *)b->data[0])[0], (long long)b->n);
    }
    grd_loader_free(l);
    all[at] = 0;
    return all;
}

static void lanes_give_their_batches_in_turn(void **state)
{
    (void)state;
    grd_loader_opts o = { .batch = 4 };
    for (o.workers = 0; o.workers < 4; o.workers++) {
        /* unequal shards, the second empty, the fourth a whole number of batches */
        assert_string_equal(sequence(open_stream("tape", "shard=9,0,2,8"), &o), " 0x4 2000x2 3000x4 4x4 3004x4 8x1");
        assert_string_equal(sequence(open_stream("tape", "shard=9"), &o), " 0x4 4x4 8x1");
        assert_string_equal(sequence(open_stream("tape", "shard=0,0,0"), &o), "");
        assert_string_equal(sequence(open_stream("tape", "shard=0,3"), &o), " 1000x3");
    }
    o.drop_last = true;
    for (o.workers = 0; o.workers < 4; o.workers++)
        assert_string_equal(sequence(open_stream("tape", "shard=9,0,2,8"), &o), " 0x4 3000x4 4x4 3004x4");
}

static void more_shards_than_lanes_follow_one_another_in_their_lane(void **state)
{
    (void)state; /* 18 shards, 16 lanes: shard 16 follows shard 0 in a batch, 17 shard 1 */
    const char *spec = "shard=3,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,2";
    grd_loader *l = loader(open_stream("tape", spec), &(grd_loader_opts){ .batch = 4, .workers = 3 });
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
    const float *x = b->data[0];
    assert_true(x[0] == 0 && x[2] == 1 && x[4] == 2 && x[6] == 16000);
    assert_true(b->index[3] == 0 && b->index[2] == 2);
    assert_int_equal(b->first, 0);
    ok(ctx, grd_loader_next(l, &b));
    assert_int_equal(b->n, 3);
    assert_true(((const float *)b->data[0])[2] == 17000);
    assert_int_equal(b->first, 4);
    int64_t samples = 7;
    for (; grd_loader_next(l, &b) == GRD_OK && b;)
        samples += b->n;
    assert_int_equal(samples, 18 + 2 + 2 + 1);
}

static void workers_0_1_3_8_give_identical_batches(void **state)
{
    (void)state;
    static const char *const specs[] = { "shard=40,3,0,65,17 slow=200", "shard=40,3,0,65,17 bad=20 slow=200", "shard=93 slow=50",
                                         "shard=40,30,20 torn=18", "shard=9,9,9,9 locked=2" };
    static const int workers[] = { 1, 3, 8 };
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
        const grd_dataset *d = shaken(open_stream("tape", specs[s]));
        for (int k = 0; k < 4; k++) {
            grd_loader_opts o = { .batch = 7, .seed = 5, .on_error = k % 2, .shuffle = k / 2, .shuffle_buffer = 60 };
            text expected = epochs(d, &o, 2);
            for (int w = 0; w < 3; w++) {
                o.workers = workers[w];
                text found = epochs(d, &o, 2);
                equal(&found, &expected);
                free(found.at);
            }
            free(expected.at);
        }
    }
}

static void seed_epoch_shard_and_place_make_the_random_numbers(void **state)
{
    (void)state;
    const grd_dataset *d = shaken(open_stream("tape", "shard=3,3"));
    float seen[4][12];
    const struct { uint64_t seed; int64_t epoch; } runs[4] = { { 1, 0 }, { 1, 1 }, { 2, 0 }, { 1, 0 } };
    for (int r = 0; r < 4; r++) {
        grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 3, .seed = runs[r].seed, .workers = r });
        const grd_batch *b;
        ok(ctx, grd_loader_start(l, runs[r].epoch, 0));
        for (int k = 0; k < 2; k++) {
            ok(ctx, grd_loader_next(l, &b));
            memcpy(seen[r] + 6 * k, b->data[0], 6 * sizeof(float));
        }
        for (int i = 0; i < 12; i += 2) /* noise, on what was read */
            seen[r][i] -= (float)(i / 6 * 1000 + i / 2 % 3);
    }
    assert_memory_equal(seen[0], seen[3], sizeof seen[0]);
    for (int i = 0; i < 12; i += 2)
        for (int k = 0; k < 12; k += 2)
            assert_true((i == k || seen[0][i] != seen[0][k]) && seen[0][i] != seen[1][k] && seen[0][i] != seen[2][k]);
    assert_true(seen[0][1] != seen[1][1] && seen[0][1] != seen[2][1] && seen[0][1] != seen[0][7]); /* the source's own */
}

static void shuffled_each_sample_comes_once_in_an_order_of_seed_and_epoch(void **state)
{
    (void)state;
    static const int shard[] = { 40, 3, 0, 65, 17 };
    grd_dataset *d = open_stream("tape", "shard=40,3,0,65,17");
    int64_t order[4][125];
    const struct { uint64_t seed; int64_t epoch; } runs[4] = { { 1, 0 }, { 1, 1 }, { 2, 0 }, { 1, 0 } };
    for (int r = 0; r < 4; r++) {
        grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 4, .seed = runs[r].seed, .shuffle = true, .shuffle_buffer = 100,
                                                      .workers = r });
        const grd_batch *b;
        int64_t n = 0, ordered = 0;
        bool seen[5][65] = { { false } };
        ok(ctx, grd_loader_start(l, runs[r].epoch, 0));
        while (grd_loader_next(l, &b) == GRD_OK && b)
            for (int64_t i = 0; i < b->n; i++) {
                const int x = (int)((const float *)b->data[0])[2 * i];
                assert_true(x / 1000 < 5 && x % 1000 < shard[x / 1000] && !seen[x / 1000][x % 1000]);
                assert_int_equal(b->index[i], x % 1000);
                seen[x / 1000][x % 1000] = true;
                ordered += i > 0 && b->index[i] == b->index[i - 1] + 1;
                order[r][n++] = x;
            }
        assert_int_equal(n, 125);
        assert_true(ordered < 20);
    }
    assert_memory_equal(order[0], order[3], sizeof order[0]);
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    assert_memory_not_equal(order[0], order[2], sizeof order[0]);
}

/* After each batch: save, restore in another loader, the rest is the same. */
static void check_restoring(const char *source, const char *spec, const grd_loader_opts *opts, int restoring_workers)
{
    grd_dataset *d = shaken(open_stream(source, spec));
    grd_loader_opts other = *opts;
    other.workers = restoring_workers;
    for (int stop = 0, over = 0; !over; stop++) {
        text before = { 0 }, rest = { 0 }, restored = { 0 };
        char place[4000];
        grd_loader *l = loader(d, opts), *fresh = loader(d, &other);
        ok(ctx, grd_loader_start(l, 6, 0));
        for (int k = 0; k < stop && !over; k++)
            over = !add_next(&before, l);
        assert_in_range(grd_loader_save(l, place, sizeof place), 1, sizeof place - 1);
        drain(&rest, l);
        ok(ctx, grd_loader_start(fresh, 1, 0)); /* in the middle of something else */
        add_next(&before, fresh);
        ok(ctx, grd_loader_restore(fresh, place));
        drain(&restored, fresh);
        equal(&restored, &rest);
        assert_true(over == (rest.used == 0) || stop > 0);
        free(before.at);
        free(rest.at);
        free(restored.at);
        grd_loader_free(l);
        grd_loader_free(fresh);
    }
    grd_dataset_free(d);
}

static void restored_after_any_batch_the_rest_is_the_same(void **state)
{
    (void)state;
    for (int workers = 0; workers <= 3; workers += 3) {
        grd_loader_opts o = { .batch = 4, .seed = 9, .workers = workers };
        check_restoring("tape", "shard=9,0,2,8,21 slow=100", &o, 3 - workers);
        check_restoring("tape", "shard=9,0,2,8,21 bad=5", &o, 3 - workers);
        check_restoring("tape", "shard=9,11,3 torn=6", &o, 2);
        check_restoring("tape", "shard=3,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,2,9,0,0,5", &o, 2);
        check_restoring("forgetful", "shard=9,0,2,8 bad=5", &o, 3 - workers);
        o.shuffle = true;
        o.shuffle_buffer = 30;
        check_restoring("tape", "shard=9,0,2,8,21 bad=5", &o, 3 - workers);
        check_restoring("tape", "shard=9,11,3 torn=6", &o, 2);
        check_restoring("forgetful", "shard=9,0,2,28,17 bad=5", &o, 3 - workers);
        check_restoring("tape", "shard=3,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,3,2,9,0,0,5", &o, 2);
        o.shuffle = false;
        o.on_error = GRD_ERRORS_SKIP;
        check_restoring("tape", "shard=9,0,2,8 bad=5", &o, 0);
        o.drop_last = true;
        check_restoring("tape", "shard=9,0,2,8", &o, 2);
    }
}

static void a_position_saves_reading_again(void **state)
{
    (void)state;
    static const char *const names[] = { "tape", "forgetful" };
    for (int k = 0; k < 2; k++) {
        char place[1000];
        grd_loader *l = loader(open_stream(names[k], "shard=1000"), &(grd_loader_opts){ .batch = 100 });
        tape *t = last;
        const grd_batch *b;
        ok(ctx, grd_loader_start(l, 0, 0));
        for (int i = 0; i < 8; i++)
            ok(ctx, grd_loader_next(l, &b));
        grd_loader_save(l, place, sizeof place);
        t->reads = 0;
        ok(ctx, grd_loader_restore(l, place));
        ok(ctx, grd_loader_next(l, &b));
        assert_int_equal(b->index[0], 800);
        assert_int_equal(b->number, 8);
        assert_int_equal(b->first, 800);
        assert_int_equal(t->reads, k ? 900 : 100);
    }
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    char place[1000], bad[1100];
    grd_dataset *d = open_stream("tape", "shard=9,5");
    grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 2, .seed = 3, .workers = 2 });
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 4, 0));
    ok(ctx, grd_loader_next(l, &b));
    int n = grd_loader_save(l, place, sizeof place);
    assert_string_equal(place, "stream tape shards 2 lanes 2 batch 2 seed 3 shuffle 0 epoch 4 batches 1 samples 2 round 0 lane 1 "
                               "| 0 2 at:2 0 | 1 0 - 0");
    char small[20];
    assert_int_equal(grd_loader_save(l, small, sizeof small), n);
    assert_memory_equal(small, place, 19);
    assert_int_equal(grd_loader_save(l, NULL, 0), n);
    static const char *const no_place = "is no place in this stream (stream tape shards 2 lanes 2 batch 2 seed 3 shuffle 0)";
    for (int k = 0; k < n; k++) { /* cut off anywhere */
        snprintf(bad, sizeof bad, "%.*s", k, place);
        fails(ctx, GRD_ERR_FORMAT, no_place, grd_loader_restore(l, bad));
    }
    static const char *const tails[] = {
        "epoch 4 batches 1 samples 2 round 0 lane 2 | 0 2 at:2 0 | 1 0 - 0",
        "epoch 4 batches 1 samples 2 round 0 lane 1 | 1 2 at:2 0 | 0 0 - 0",
        "epoch 4 batches 1 samples 2 round 0 lane 1 | 4 0 - 0 | 1 0 - 0",
        "epoch 4 batches 1 samples 2 round 0 lane 1 | 2 7 - 0 | 1 0 - 0",
        "epoch 4 batches 1 samples 2 round 0 lane 1 | 0 2 at:2 0 | 1 0 - 0 x",
        "epoch -4 batches 1 samples 2 round 0 lane 1 | 0 2 - 0 | 1 0 - 0",
        "epoch 4 batches 1 samples 2 round 9999999999999999999 lane 1 | 0 2 - 0 | 1 0 - 0",
    };
    for (size_t k = 0; k < sizeof tails / sizeof *tails; k++) {
        snprintf(bad, sizeof bad, "stream tape shards 2 lanes 2 batch 2 seed 3 shuffle 0 %s", tails[k]);
        fails(ctx, GRD_ERR_FORMAT, no_place, grd_loader_restore(l, bad));
        fails(ctx, GRD_ERR_ARG, "grd_loader_start comes before", grd_loader_next(l, &b));
    }
    fails(ctx, GRD_ERR_FORMAT, "batch 3 seed 3 shuffle 0)",
          grd_loader_restore(loader(d, &(grd_loader_opts){ .batch = 3, .seed = 3 }), place));
    const char *head = "stream tape shards 2 lanes 2 batch 2 seed 3 shuffle 0 epoch 4 batches 1 samples 2 round 0 lane 1";
    snprintf(bad, sizeof bad, "%s | 0 2 at:77 0 | 1 0 - 0", head);
    fails(ctx, GRD_ERR_FORMAT, "loader: tape: shard 0 (reel 0), sample 2: position \"at:77\", expected at:NUMBER",
          grd_loader_restore(l, bad));
    snprintf(bad, sizeof bad, "%s | 0 2 - 0 | 1 6 - 0", head);
    fails(ctx, GRD_ERR_DATA, "loader: tape: shard 1 has 5 samples, expected at least 6: the data have changed",
          grd_loader_restore(l, bad));
    snprintf(bad, sizeof bad, "%s | 0 2 at:2 1 | 1 0 - 0", head); /* of a block, and there is none */
    fails(ctx, GRD_ERR_FORMAT, no_place, grd_loader_restore(l, bad));
    grd_loader *shuffled = loader(d, &(grd_loader_opts){ .batch = 2, .seed = 3, .shuffle = true, .shuffle_buffer = 16 });
    fails(ctx, GRD_ERR_FORMAT, "seed 3 shuffle 8)", grd_loader_restore(shuffled, place));
    fails(ctx, GRD_ERR_DATA, "loader: tape: 7 samples to be shuffled, expected at least 8: the data have changed",
          grd_loader_restore(shuffled, "stream tape shards 2 lanes 2 batch 2 seed 3 shuffle 8 epoch 4 batches 1 samples 2 "
                                       "round 0 lane 1 | 0 2 at:2 8 | 1 0 - 0"));
    ok(ctx, grd_loader_restore(l, place)); /* and all is well again */
    ok(ctx, grd_loader_next(l, &b));
    assert_int_equal(b->number, 1);
    assert_true(((const float *)b->data[0])[0] == 1000);
}

static void sets_have_a_place_too(void **state)
{
    (void)state;
    grd_dataset *d;
    char place[100];
    ok(ctx, grd_dataset_open(ctx, "random", "n=50 shape=[2]", &d));
    grd_loader_opts o = { .batch = 8, .shuffle = true, .workers = 2 };
    grd_loader *l = loader(d, &o), *fresh = loader(d, &o);
    for (int stop = 0; stop < 8; stop++) {
        text rest = { 0 }, restored = { 0 };
        ok(ctx, grd_loader_start(l, 3, 0));
        for (int k = 0; k < stop; k++) {
            const grd_batch *b;
            ok(ctx, grd_loader_next(l, &b));
        }
        grd_loader_save(l, place, sizeof place);
        drain(&rest, l);
        ok(ctx, grd_loader_restore(fresh, place));
        drain(&restored, fresh);
        equal(&restored, &rest);
        free(rest.at);
        free(restored.at);
    }
    fails(ctx, GRD_ERR_FORMAT, "loader: \"epoch 3 batch 2 more\" is no place in an epoch of this data set",
          grd_loader_restore(l, "epoch 3 batch 2 more"));
    fails(ctx, GRD_ERR_FORMAT, "is no place", grd_loader_restore(l, ""));
    fails(ctx, GRD_ERR_ARG, "loader: batch 9, the epoch has 7", grd_loader_restore(l, "epoch 3 batch 9"));
}

static void errors_name_shard_and_place_and_the_next_sample_follows(void **state)
{
    (void)state;
    for (int workers = 0; workers <= 3; workers += 3) {
        grd_loader *l = loader(open_stream("tape", "shard=9,3 bad=5"), &(grd_loader_opts){ .batch = 4, .workers = workers });
        const grd_batch *b;
        ok(ctx, grd_loader_start(l, 0, 0));
        ok(ctx, grd_loader_next(l, &b));
        ok(ctx, grd_loader_next(l, &b));
        fails(ctx, GRD_ERR_DATA, "batch 2: tape: shard 0 (reel 0), sample 5: only noise", grd_loader_next(l, &b));
        assert_null(b);
        ok(ctx, grd_loader_next(l, &b));
        assert_int_equal(b->number, 3);
        assert_int_equal(b->index[0], 6);
        assert_int_equal(b->n, 3);
        ok(ctx, grd_loader_next(l, &b));
        assert_null(b);
    }
}

static void what_is_left_out_is_counted(void **state)
{
    (void)state;
    for (int workers = 0; workers <= 3; workers += 3) {
        grd_loader *l = loader(open_stream("tape", "shard=9,3,6 bad=5"),
                               &(grd_loader_opts){ .batch = 4, .workers = workers, .on_error = GRD_ERRORS_SKIP });
        const grd_batch *b;
        int64_t n = 0, skipped = 0;
        ok(ctx, grd_loader_start(l, 0, 0));
        while (grd_loader_next(l, &b) == GRD_OK && b) {
            n += b->n;
            skipped += b->skipped;
            assert_true(b->n + b->skipped <= 4);
        }
        assert_int_equal(n, 8 + 3 + 5);
        assert_int_equal(skipped, 2);
        assert_int_equal(grd_loader_skipped(l), 2);
    }
    grd_loader *l = loader(open_stream("tape", "shard=6 bad=5"), &(grd_loader_opts){ .batch = 5, .on_error = GRD_ERRORS_SKIP });
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
    fails(ctx, GRD_ERR_DATA, "batch 1: none of its 1 samples can be read; the last one: tape: shard 0", grd_loader_next(l, &b));
}

static void a_broken_shard_is_never_passed_over_in_silence(void **state)
{
    (void)state;
    for (int skip = 0; skip < 2; skip++) {
        grd_loader_opts o = { .batch = 4, .on_error = skip };
        grd_loader *l = loader(open_stream("tape", "shard=9,3 torn=6"), &o);
        const grd_batch *b;
        ok(ctx, grd_loader_start(l, 0, 0));
        ok(ctx, grd_loader_next(l, &b));
        ok(ctx, grd_loader_next(l, &b));
        fails(ctx, GRD_ERR_FORMAT, "batch 2: tape: shard 0 (reel 0), sample 6: the tape is torn", grd_loader_next(l, &b));
        ok(ctx, grd_loader_next(l, &b));
        assert_null(b);
        l = loader(open_stream("tape", "shard=3,3,3 locked=1"), &o);
        ok(ctx, grd_loader_start(l, 0, 0));
        ok(ctx, grd_loader_next(l, &b));
        fails(ctx, GRD_ERR_IO, "batch 1: tape: shard 1 (reel 1): tape 1: no such reel", grd_loader_next(l, &b));
        ok(ctx, grd_loader_next(l, &b));
        assert_true(((const float *)b->data[0])[0] == 2000);
    }
    grd_loader *l = loader(open_stream("tape", "shard=9 position=1"), &(grd_loader_opts){ .batch = 4 });
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 0, 0));
    fails(ctx, GRD_ERR_ARG, "tape: shard 0: its position is not 1 to 119 visible ASCII characters", grd_loader_next(l, &b));
    l = loader(open_stream("tape", "shard=9 position=1"), &(grd_loader_opts){ .batch = 4, .shuffle = true, .shuffle_buffer = 4 });
    ok(ctx, grd_loader_start(l, 0, 0));
    for (int k = 0; k < 2; k++)
        fails(ctx, GRD_ERR_ARG, "visible ASCII characters", grd_loader_next(l, &b));
    ok(ctx, grd_loader_next(l, &b)); /* and no more */
    assert_null(b);
    l = loader(open_stream("tape", "shard=9 position=2"), &(grd_loader_opts){ .batch = 4 });
    ok(ctx, grd_loader_start(l, 0, 0));
    fails(ctx, GRD_ERR_ARG, "visible ASCII characters", grd_loader_next(l, &b));
}

static void what_needs_numbers_is_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_dataset *d = open_stream("tape", "shard=9,3"), *out[2];
    const char *stream = ": tape is a stream: its samples are read in turn and cannot be picked", *name = "1";
    const int32_t label = 0;
    grd_loader *l;
    grd_sample *sample;
    assert_int_equal(grd_dataset_length(d), -1);
    assert_int_equal(grd_loader_batches(loader(d, NULL)), -1);
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_select(d, (int64_t[]){ 0 }, 1, out));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_split(d, (double[]){ 0.5, 0.5 }, 2, NULL, out));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_fold(d, 2, 0, NULL, &out[0], &out[1]));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_subsets(d, &(grd_subset){ .count = 1 }, 1, 0, out));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_named(d, &name, 1, false, NULL, out));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_relabel(d, &name, &label, 1, NULL, out));
    fails(ctx, GRD_ERR_ARG, stream, grd_dataset_transform(d, "impute median field=x", out));
    fails(ctx, GRD_ERR_ARG,
          "loader: tape is a stream: to shuffle it samples must be read ahead; give shuffle_buffer, or switch shuffle off",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .shuffle = true }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: tape is a stream: of the samplers only plain can be used",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .sampler = GRD_SAMPLER_BALANCED }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: tape is a stream: it cannot be shared out among 2 ranks",
          grd_loader_new(ctx, d, &(grd_loader_opts){ .ranks = 2 }, &l));
    fails(ctx, GRD_ERR_ARG, "loader: tape has no shards", grd_loader_new(ctx, open_stream("tape", "shard=-"), NULL, &l));
    fails(ctx, GRD_ERR_ARG, "loader: batch 1 of a stream: it begins at 0", grd_loader_start(loader(d, NULL), 0, 1));
    ok(ctx, grd_sample_new(d, ctx, &sample));
    assert_int_equal(grd_dataset_get(d, 0, NULL, sample), GRD_ERR_ARG);
    assert_string_equal(sample->error, "tape: a stream: its samples are read in turn, by a loader");
    grd_sample_free(sample, ctx);
}

static void whole_passes_read_streams_as_sets(void **state)
{
    (void)state;
    int64_t counts[2];
    char learned[200];
    grd_dataset *d = open_stream("tape", "shard=3,0,2"), *normal;
    ok(ctx, grd_dataset_verify(ctx, d, counts, 2));
    assert_int_equal(counts[0], 3);
    assert_int_equal(counts[1], 2);
    fails(ctx, GRD_ERR_DATA, "tape: shard 0 (reel 0), sample 1: only noise",
          grd_dataset_verify(ctx, open_stream("tape", "shard=3 bad=1"), NULL, 0));
    ok(ctx, grd_dataset_transform(d, "standardize x", &normal)); /* 0 1 2 2000 2001 */
    grd_dataset_learned(normal, learned, sizeof learned);
    double mean;
    assert_int_equal(sscanf(learned, "{\"mean\": [%lf", &mean), 1);
    assert_true(mean > 800.79 && mean < 800.81);
}

static void bad_rows_are_not_registered(void **state)
{
    (void)state;
    grd_source s = tape_source;
    grd_stream_calls calls = *s.stream;
    s.name = "other";
    s.stream = &calls;
    calls.seek = NULL;
    fails(ctx, GRD_ERR_ARG, "source \"other\": its stream lacks one of shards, begin, next, or has tell without seek",
          grd_source_register(ctx, &s));
    calls.tell = NULL;
    s.length = tape_shards;
    fails(ctx, GRD_ERR_ARG, "source \"other\" is a stream, and has length, get or peek", grd_source_register(ctx, &s));
    s.length = NULL;
    ok(ctx, grd_source_register(ctx, &s));
}

static void freed_or_restarted_in_mid_epoch_it_neither_hangs_nor_leaks(void **state)
{
    (void)state;
    grd_dataset *d = open_stream("tape", "shard=50,50,50,50 slow=300");
    for (int workers = 0; workers < 6; workers++)
        for (int taken = 0; taken < 5; taken++) {
            grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 9, .workers = workers });
            const grd_batch *b;
            for (int e = 0; e < taken; e++) {
                ok(ctx, grd_loader_start(l, e, 0));
                for (int k = 1; k < taken; k++)
                    ok(ctx, grd_loader_next(l, &b));
            }
            grd_loader_free(l);
        }
    grd_loader *l = loader(d, &(grd_loader_opts){ .workers = 3 }); /* left to the context, its data set freed before it */
    grd_dataset_free(d);
    const grd_batch *b;
    ok(ctx, grd_loader_start(l, 0, 0));
    ok(ctx, grd_loader_next(l, &b));
}

static void epochs_allocate_nothing(void **state)
{
    (void)state;
    grd_dataset *d = open_stream("tape", "shard=40,30,0,20");
    for (int workers = 0; workers <= 2; workers += 2) {
        grd_loader *l = loader(d, &(grd_loader_opts){ .batch = 8, .workers = workers });
        int64_t before = 0;
        for (int e = 0; e < 12; e++) {
            const grd_batch *b = NULL;
            if (e == 8) /* by now buffers of fields that vary have their size */
                before = memory.calls;
            ok(ctx, grd_loader_start(l, 0, 0));
            do
                ok(ctx, grd_loader_next(l, &b));
            while (b);
        }
        if (!workers)
            assert_int_equal(memory.calls, before);
        grd_loader_free(l);
    }
}

static grd_status use(grd_ctx *c, int workers, bool shuffle)
{
    grd_dataset *d, *t;
    grd_loader *l;
    const grd_batch *b;
    char place[1000];
    grd_status s;
#define TRY(call) \
    if ((s = (call)) != GRD_OK) \
    return s
    TRY(grd_source_register(c, &tape_source));
    TRY(grd_dataset_open(c, "tape", "shard=9,0,4", &d));
    TRY(grd_dataset_transform(d, "standardize x", &t));
    TRY(grd_dataset_verify(c, t, NULL, 0));
    TRY(grd_loader_new(c, t, &(grd_loader_opts){ .batch = 3, .workers = workers, .shuffle = shuffle, .shuffle_buffer = 8 }, &l));
    TRY(grd_loader_start(l, 0, 0));
    TRY(grd_loader_next(l, &b));
    TRY(grd_loader_next(l, &b));
    grd_loader_save(l, place, sizeof place);
    TRY(grd_loader_restore(l, place));
    do
        TRY(grd_loader_next(l, &b));
    while (b);
    return GRD_OK;
}

static void refused_allocations_leak_and_crash_nothing(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++)
        for (int64_t n = 1, refused = 1; refused; n++) {
            counter all = { .refuse = n };
            grd_allocator a = counting(&all);
            grd_ctx *c = grd_open(&(grd_opts){ .allocator = &a });
            if (!c)
                continue;
            const int workers = k % 2 * 2;
            grd_status status = use(c, workers, k / 2);
            refused = all.calls >= n;
            const bool dropped = workers && status == GRD_OK; /* by a restore: nobody wanted what could not be made */
            if (!dropped && (status != (refused ? GRD_ERR_MEMORY : GRD_OK) || (refused && !strstr(grd_error(c), "memory"))))
                fail_msg("allocation %lld: %s: %s", (long long)n, grd_status_name(status), grd_error(c));
            grd_close(c);
            assert_int_equal(all.live, 0);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_streams, teardown)
    const struct CMUnitTest tests[] = {
        TEST(lanes_give_their_batches_in_turn),
        TEST(more_shards_than_lanes_follow_one_another_in_their_lane),
        TEST(workers_0_1_3_8_give_identical_batches),
        TEST(seed_epoch_shard_and_place_make_the_random_numbers),
        TEST(shuffled_each_sample_comes_once_in_an_order_of_seed_and_epoch),
        TEST(restored_after_any_batch_the_rest_is_the_same),
        TEST(a_position_saves_reading_again),
        TEST(what_is_no_place_is_refused),
        TEST(sets_have_a_place_too),
        TEST(errors_name_shard_and_place_and_the_next_sample_follows),
        TEST(what_is_left_out_is_counted),
        TEST(a_broken_shard_is_never_passed_over_in_silence),
        TEST(what_needs_numbers_is_refused_with_a_sentence),
        TEST(whole_passes_read_streams_as_sets),
        TEST(bad_rows_are_not_registered),
        TEST(freed_or_restarted_in_mid_epoch_it_neither_hangs_nor_leaks),
        TEST(epochs_allocate_nothing),
        TEST(refused_allocations_leak_and_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
