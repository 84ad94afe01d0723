/* All transform rows that work on pictures, by their own samples: what every one of them has to keep. A row without samples
 * fails. */
#include "helper_scenes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static grd_ctx *ctx;

static grd_status same_fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *c)
{
    (void)options, (void)state, (void)field, (void)n, (void)c;
    return GRD_OK;
}
static grd_status same(const grd_transform_call *call, grd_sample *sample)
{
    (void)call, (void)sample;
    return GRD_OK;
}
static const char *const same_samples[] = { "", NULL };
static const grd_transform same_row = { .name = "same", .doc = "Nothing.", .fields = same_fields, .apply = same, .keeps_classes = true,
                                        .samples = same_samples };

static int setup(void **state)
{
    (void)state;
    ctx = grd_open(NULL);
    return ctx && grd_transform_register(ctx, &same_row) == GRD_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    grd_close(ctx);
    return 0;
}

/* ---- going over all rows ---- */

typedef struct trial {
    const grd_transform *row;
    const char *spec;   /* "NAME options" */
    bool random_values; /* what it leaves of a picture is not what was there */
    bool *differs;      /* of the row: some sample under some key was not that under another */
} trial;

typedef void (*tester)(const trial *t);

static void draws_by_key_alone(const trial *t);

static void for_each_sample(tester test)
{
    const grd_transform *row;
    for (int i = 0; (row = grd_transform_at(ctx, i)); i++) {
        if (!row->samples || !row->samples[0])
            fail_msg("transform \"%s\" has no samples", row->name);
        bool differs = false;
        for (int k = 0; row->samples[k]; k++) {
            char spec[300];
            snprintf(spec, sizeof spec, "%s %s", row->name, row->samples[k]);
            test(&(trial){ row, spec, strcmp(row->name, "gaussian_noise") == 0 || strcmp(row->name, "random_erasing") == 0,
                           &differs });
        }
        if (test == draws_by_key_alone && !row->apply_batch && differs != row->random)
            fail_msg("%s: other keys give %s", row->name, differs ? "other samples" : "the same samples");
    }
}

/* NULL: the row refuses it, with a sentence that begins with its name. */
static grd_dataset *tried(const trial *t, scene_opts o)
{
    grd_dataset *d;
    char spec[400];
    snprintf(spec, sizeof spec, "%s%s", t->spec, t->row->apply_batch ? " label=soft" : "");
    if (grd_dataset_transform(scenes(ctx, o), spec, &d) == GRD_OK)
        return d;
    size_t n = strlen(t->row->name);
    if (strncmp(grd_error(ctx), t->row->name, n) != 0 || grd_error(ctx)[n] != ':' || strlen(grd_error(ctx)) < n + 12)
        fail_msg("%s: refused with \"%s\"", t->spec, grd_error(ctx));
    return NULL;
}

static grd_key key_of(uint64_t number) { return (grd_key){ .seed = 5, .step = 2, .row = number }; }

/* False: the sample is refused, with a sentence. */
static bool got(const trial *t, const grd_dataset *d, int64_t i, const grd_key *key, grd_sample *s)
{
    grd_status status = grd_dataset_get(d, i, key, s);
    if (status != GRD_OK && (status != GRD_ERR_DATA || strlen(s->error) < 30))
        fail_msg("%s: sample %d: \"%s\"", t->spec, (int)i, s->error);
    return status == GRD_OK;
}

static size_t bytes_of(const grd_sample *s, int f)
{
    size_t n = grd_dtype_size(s->field[f].dtype);
    for (int k = 0; k < s->shape[f].rank; k++)
        n *= (size_t)s->shape[f].dim[k];
    return n;
}

static double value_at(const grd_sample *s, int f, size_t i)
{
    switch (s->field[f].dtype) { /* of data, not of an op */
    case GRD_U8: return ((uint8_t *)s->data[f])[i];
    case GRD_I32: return ((int32_t *)s->data[f])[i];
    default: return (double)((float *)s->data[f])[i];
    }
}

static uint64_t hash_of(const grd_sample *s)
{
    uint64_t h = 1469598103934665603u;
    for (int f = 0; f < s->n; f++)
        for (size_t i = 0; i < bytes_of(s, f); i++)
            h = (h ^ ((uint8_t *)s->data[f])[i]) * 1099511628211u;
    return h;
}

static const scene_opts all_scenes[] = {
    { .floats = false }, { .floats = true }, { .height = 24, .width = 31 }, { .height = 24, .width = 31, .floats = true },
    { .height = 1, .width = 1 }, { .height = 1, .width = 9, .floats = true }, { .height = 9, .width = 1 }, { .noise = true },
    { .noise = true, .floats = true },
};
enum { N_SCENES = sizeof all_scenes / sizeof *all_scenes, KEYS = 20 };

/* ---- what is tried ---- */

static void accepts_and_refuses(const trial *t)
{
    int accepted = 0;
    for (int k = 0; k < N_SCENES; k++)
        accepted += tried(t, all_scenes[k]) != NULL;
    if (!accepted)
        fail_msg("%s: no set of pictures takes it: %s", t->spec, grd_error(ctx));
    if (t->row == &same_row)
        return;
    const grd_field other = { .name = "other", .dtype = GRD_I32, .hi = 1, .classes = 2 };
    grd_dataset *d, *refused;
    int32_t label[2] = { 0, 1 };
    ok(ctx, grd_dataset_from_arrays(ctx, 2, 1, &other, (const void *const[]){ label }, true, &d));
    assert_int_not_equal(grd_dataset_transform(d, t->spec, &refused), GRD_OK);
    if (strncmp(grd_error(ctx), t->row->name, strlen(t->row->name)) != 0)
        fail_msg("%s: refused with \"%s\"", t->spec, grd_error(ctx));
}

static void fields_hold(const trial *t, const grd_sample *s, int64_t i)
{
    for (int f = 0; f < s->n; f++) {
        const grd_field *field = &s->field[f];
        for (size_t k = 0; k < bytes_of(s, f) / grd_dtype_size(field->dtype); k++) {
            double v = value_at(s, f, k), near = 1e-5 * (fabs(field->lo) + fabs(field->hi));
            bool good = isfinite(v) && (field->lo == field->hi || (v >= field->lo - near && v <= field->hi + near) ||
                                        (field->ignore && v == (double)field->ignore));
            if (!good)
                fail_msg("%s: sample %d: field \"%s\": %g, promised %g to %g", t->spec, (int)i, field->name, v, field->lo, field->hi);
        }
    }
}

static void keeps_its_promises(const trial *t)
{
    bool any = false;
    for (int k = 0; k < N_SCENES; k++) {
        grd_dataset *d = tried(t, all_scenes[k]);
        grd_sample *s;
        if (!d)
            continue;
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < SCENES; i++)
            for (uint64_t n = 0; n < KEYS; n++) {
                const grd_key key = key_of(n);
                if (!got(t, d, i, n ? &key : NULL, s)) /* shapes and types are checked in there */
                    break;
                any = true;
                fields_hold(t, s, i);
            }
        grd_sample_free(s, ctx);
    }
    if (!any)
        fail_msg("%s: every sample is refused", t->spec);
}

static void draws_by_key_alone(const trial *t)
{
    if (t->row->apply_batch)
        return;
    for (int k = 2; k < 4; k++) {
        grd_dataset *d = tried(t, all_scenes[k]);
        grd_sample *s;
        uint64_t hash[KEYS], plain;
        if (!d)
            continue;
        ok(ctx, grd_sample_new(d, ctx, &s));
        assert_true(got(t, d, 0, NULL, s));
        plain = hash_of(s);
        for (int round = 0; round < 2; round++)
            for (uint64_t n = 0; n < KEYS; n++) {
                const grd_key key = key_of(n);
                assert_true(got(t, d, 0, &key, s));
                if (round && hash[n] != hash_of(s))
                    fail_msg("%s: the same key gives another sample", t->spec);
                hash[n] = hash_of(s);
                *t->differs = *t->differs || hash[n] != hash[0];
            }
        assert_true(got(t, d, 0, NULL, s));
        if (plain != hash_of(s))
            fail_msg("%s: random without a key", t->spec);
        grd_sample_free(s, ctx);
    }
}

/* The same draws on bytes and on floats. */
static void bytes_and_floats_agree(const trial *t)
{
    static const scene_opts of_bytes = { .noise = true }, of_floats = { .noise = true, .floats = true };
    enum { LEVELS = 4 }; /* every one of color_jitter's four steps rounds bytes */
    grd_dataset *a = tried(t, of_bytes), *b = tried(t, of_floats);
    grd_sample *u, *v;
    if (!a || !b || strstr(t->spec, "fill=") || strstr(t->spec, "clip=") || t->row->apply_batch)
        return;
    ok(ctx, grd_sample_new(a, ctx, &u));
    ok(ctx, grd_sample_new(b, ctx, &v));
    for (int64_t i = 0; i < SCENES; i++)
        for (uint64_t n = 0; n < KEYS; n++) {
            const grd_key key = key_of(n);
            bool first = got(t, a, i, &key, u), second = got(t, b, i, &key, v);
            assert_int_equal(first, second);
            if (!first || u->field[SCENE_IMAGE].dtype != GRD_U8)
                break;
            assert_true(grd_shape_equal(&u->shape[SCENE_IMAGE], &v->shape[SCENE_IMAGE]));
            for (size_t k = 0; k < bytes_of(u, SCENE_IMAGE); k++) {
                double x = value_at(u, SCENE_IMAGE, k), y = 255 * value_at(v, SCENE_IMAGE, k);
                y = y < 0 ? 0 : y > 255 ? 255 : y; /* a float picture may leave the range by cubes */
                if (fabs(x - y) > LEVELS)
                    fail_msg("%s: sample %d, key %d, value %zu: %g of bytes, %g of floats", t->spec, (int)i, (int)n, k, x, y);
            }
            for (int f = SCENE_MASK; f <= SCENE_POINTS; f++)
                assert_memory_equal(u->data[f], v->data[f], bytes_of(u, f));
        }
    grd_sample_free(u, ctx);
    grd_sample_free(v, ctx);
}

/* Whether one of the pixels around (x, y) is `wanted` in the mask (0: any marker) or bright in the picture. */
static bool seen(const grd_sample *s, int f, double x, double y, int wanted)
{
    const grd_shape *shape = &s->shape[f];
    int64_t h = shape->dim[shape->rank - 2], w = shape->dim[shape->rank - 1], at_x = (int64_t)rint(x), at_y = (int64_t)rint(y);
    double bright = value_at(s, f, 0), dark = bright, best = -1e9;
    for (size_t k = 0; k < (size_t)(h * w); k++) {
        double v = value_at(s, f, k);
        bright = v > bright ? v : bright;
        dark = v < dark ? v : dark;
    }
    for (int64_t dy = -1; dy <= 1; dy++)
        for (int64_t dx = -1; dx <= 1; dx++) {
            int64_t px = at_x + dx, py = at_y + dy;
            if (px < 0 || py < 0 || px >= w || py >= h)
                continue;
            double v = value_at(s, f, (size_t)(py * w + px));
            if (f == SCENE_MASK && (wanted ? v == wanted : v > 0))
                return true;
            best = v > best ? v : best;
        }
    return f == SCENE_IMAGE && (best > dark + 0.3 * (bright - dark) || bright - dark < 1e-6);
}

static void mask_and_points_follow(const trial *t)
{
    int looked = 0;
    if (t->row->apply_batch)
        return;
    for (int k = 0; k < 4; k++) {
        grd_dataset *d = tried(t, all_scenes[k]);
        grd_sample *s;
        if (!d)
            continue;
        ok(ctx, grd_sample_new(d, ctx, &s));
        for (int64_t i = 0; i < SCENES; i += 5) /* the large ones */
            for (uint64_t n = 0; n < 4 * KEYS; n++) {
                const grd_key key = key_of(n);
                assert_true(got(t, d, i, &key, s));
                const float *xy = s->data[SCENE_POINTS];
                const int64_t *side = s->shape[SCENE_IMAGE].dim + 1;
                assert_int_equal(side[0], s->shape[SCENE_MASK].dim[0]);
                assert_int_equal(side[1], s->shape[SCENE_MASK].dim[1]);
                for (int p = 0; p < 2; p++) {
                    double x = (double)xy[2 * p], y = (double)xy[2 * p + 1];
                    if (x < 0 || y < 0 || x > (double)side[1] - 1 || y > (double)side[0] - 1)
                        continue;
                    looked++;
                    if (!seen(s, SCENE_MASK, x, y, strstr(t->spec, "pairs") ? 0 : p + 1))
                        fail_msg("%s: sample %d, key %d: point %d at %.2f, %.2f is not where the mask has it", t->spec, (int)i, (int)n, p,
                                 x, y);
                    if (!t->random_values && !seen(s, SCENE_IMAGE, x, y, 0))
                        fail_msg("%s: sample %d, key %d: point %d at %.2f, %.2f: the picture is dark there", t->spec, (int)i, (int)n, p,
                                 x, y);
                }
            }
        grd_sample_free(s, ctx);
    }
    if (!looked)
        fail_msg("%s: no point was in sight", t->spec);
}

#define OF_EVERY_ROW(name, tester)    \
    static void name(void **state)    \
    {                                 \
        (void)state;                  \
        for_each_sample(tester);      \
    }
OF_EVERY_ROW(every_row_takes_its_samples_and_refuses_other_fields, accepts_and_refuses)
OF_EVERY_ROW(every_row_gives_what_its_fields_promise_at_odd_sizes_too, keeps_its_promises)
OF_EVERY_ROW(every_row_draws_by_its_key_alone, draws_by_key_alone)
OF_EVERY_ROW(every_row_does_the_same_to_bytes_and_floats, bytes_and_floats_agree)
OF_EVERY_ROW(mask_and_points_go_where_the_picture_goes, mask_and_points_follow)

/* ---- single rows ---- */

static grd_dataset *chain(grd_dataset *d, const char *const *spec)
{
    for (int k = 0; spec[k]; k++) {
        grd_dataset *next;
        ok(ctx, grd_dataset_transform(d, spec[k], &next));
        d = next;
    }
    return d;
}

/* Rows that work in one pass where they stand side by side give the bits of two. */
static void two_rows_in_one_pass_give_the_same_bits(void **state)
{
    (void)state;
    static const char *const pair[][2] = { { "resize 30", "random_crop 20" }, { "resize 30", "random_crop 28 padding=3" },
                                           { "resize [33,35]", "center_crop 20" }, { "resize 5", "center_crop 20" },
                                           { "resize 9 antialias=false", "random_crop [9,5] pad_if_needed=true" },
                                           { "scale", "normalize mean=[0.4,0.5,0.6] std=[0.2,0.25,0.3]" },
                                           { "scale to=[-1,1]", "normalize 0.1 0.7" } };
    for (size_t p = 0; p < sizeof pair / sizeof *pair; p++) {
        const char *const together[] = { "same", pair[p][0], pair[p][1], NULL }, *const apart[] = { pair[p][0], "same", pair[p][1], NULL };
        grd_dataset *a = chain(scenes(ctx, (scene_opts){ .noise = true }), together);
        grd_dataset *b = chain(scenes(ctx, (scene_opts){ .noise = true }), apart);
        grd_sample *u, *v;
        ok(ctx, grd_sample_new(a, ctx, &u));
        ok(ctx, grd_sample_new(b, ctx, &v));
        for (int64_t i = 0; i < 2; i++)
            for (uint64_t n = 0; n < KEYS; n++) {
                const grd_key key = key_of(n);
                assert_int_equal(grd_dataset_get(a, i, &key, u), GRD_OK);
                assert_int_equal(grd_dataset_get(b, i, &key, v), GRD_OK);
                for (int f = 0; f < u->n; f++) {
                    assert_true(grd_shape_equal(&u->shape[f], &v->shape[f]));
                    if (f == SCENE_POINTS) /* one map or two: the last bit of a float */
                        for (int k = 0; k < 4; k++)
                            assert_true(fabs(value_at(u, f, (size_t)k) - value_at(v, f, (size_t)k)) < 1e-4);
                    else
                        assert_memory_equal(u->data[f], v->data[f], bytes_of(u, f));
                }
            }
        grd_sample_free(u, ctx);
        grd_sample_free(v, ctx);
    }
}

static void batches_are_the_same_whatever_the_workers(void **state)
{
    (void)state;
    static const char *const spec[] = { "random_resized_crop 12", "random_horizontal_flip pairs=0-1", "color_jitter 0.2 0.2 0.2 0.1",
                                        "random_apply p=0.5 transform=(random_rotation 20)(gaussian_blur 3)",
                                        "random_choice transform=(random_erasing p=1)(gaussian_noise)", "scale",
                                        "normalize mean=0.5 std=0.5", "mixup label=soft", "cutmix label=soft", NULL };
    grd_dataset *d = chain(scenes(ctx, (scene_opts){ .noise = true }), spec);
    uint64_t expected[3] = { 0 };
    for (int workers = 0; workers < 4; workers++) {
        grd_loader *l;
        ok(ctx, grd_loader_new(ctx, d, &(grd_loader_opts){ .batch = 4, .shuffle = true, .workers = workers }, &l));
        for (int epoch = 0; epoch < 3; epoch++) {
            const grd_batch *b;
            uint64_t h = 7;
            ok(ctx, grd_loader_start(l, epoch, 0));
            for (;;) {
                ok(ctx, grd_loader_next(l, &b));
                if (!b)
                    break;
                for (int f = 0; f < b->n_fields; f++) {
                    size_t n = grd_dtype_size(b->field[f].dtype);
                    for (int k = 0; k < b->shape[f].rank; k++)
                        n *= (size_t)b->shape[f].dim[k];
                    for (size_t k = 0; k < n; k++)
                        h = (h ^ ((uint8_t *)b->data[f])[k]) * 1099511628211u;
                }
            }
            if (workers == 0)
                expected[epoch] = h;
            assert_true(h == expected[epoch]);
        }
        grd_loader_free(l);
    }
    assert_true(expected[0] != expected[1] && expected[1] != expected[2]);
}

/* Labels stay a distribution over the classes of the two that were mixed, and say how much of each there is. */
static void mixed_labels_tell_the_shares(void **state)
{
    (void)state;
    static const char *const rows[] = { "mixup label=soft", "cutmix label=soft" };
    for (int r = 0; r < 2; r++) {
        grd_dataset *d = scenes(ctx, (scene_opts){ .height = 16, .width = 16, .floats = true, .noise = true });
        d = chain(d, (const char *const[]){ rows[r], NULL });
        grd_loader *l;
        const grd_batch *b;
        ok(ctx, grd_loader_new(ctx, d, &(grd_loader_opts){ .batch = 4 }, &l));
        bool mixed = false;
        for (int epoch = 0; epoch < 5; epoch++) {
            ok(ctx, grd_loader_start(l, epoch, 0));
            ok(ctx, grd_loader_next(l, &b));
            const float *soft = b->data[SCENE_SOFT], *image = b->data[SCENE_IMAGE];
            for (int i = 0; i < 4; i++) {
                int before = (i + 3) % 4;
                float keep = soft[4 * i + i % 4], sum = keep + soft[4 * i + before];
                assert_true(fabsf(sum - 1) < 1e-5f);
                mixed = mixed || (keep > 0.01f && keep < 0.99f);
                int own = 0, n = 3 * 16 * 16;
                for (int k = 0; k < n; k++) { /* the source's formula */
                    int c = k / 256, y = k / 16 % 16, x = k % 16;
                    float mine = (float)((y * 37 + x * 61 + c * 101 + i * 7 + y * x * 11) % 256) / 255;
                    float other = (float)((y * 37 + x * 61 + c * 101 + before * 7 + y * x * 11) % 256) / 255;
                    float v = image[i * n + k];
                    own += v == mine;
                    if (r == 0)
                        assert_true(fabsf(v - (keep * mine + (1 - keep) * other)) < 1e-5f);
                    else
                        assert_true(v == mine || v == other);
                }
                if (r == 1)
                    assert_true(fabsf((float)own / (float)n - keep) < 1e-6f);
            }
        }
        assert_true(mixed);
        grd_loader_free(l);
    }
}

static void what_does_not_fit_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "resize", "resize: size is required (new shorter side, or [height, width])" },
        { "resize size=[1,2,3]", "resize: size: expected one number or [height, width], 1 to 16777216" },
        { "resize 0", "resize: size: expected one number or [height, width], 1 to 16777216" },
        { "resize [20000,20000]", "resize: size: a picture of 20000 x 20000 pixels (width x height), expected at most 134217728 in all" },
        { "resize 8 interpolation=lanczos", "resize: interpolation: expected one of nearest|bilinear|bicubic|area, found \"lanczos\"" },
        { "random_crop 40",
          "random_crop: size: 40 x 40 (width x height), the picture has 31 x 24 with its padding; pad_if_needed would fill it up" },
        { "random_crop 8 padding=[1,2,3]",
          "random_crop: padding: expected one, two or four numbers, 0 to 4194304: all, "
          "[left and right, top and bottom], [left, top, right, bottom]" },
        { "pad 3 fill=[1,2]", "pad: fill: 2 values, expected one or 3 (channels)" },
        { "pad 3 fill=300", "pad: fill: 300, expected 0 to 255, as the picture is bytes" },
        { "random_horizontal_flip pairs=0-1,2", "random_horizontal_flip: pairs: \"2\", expected pairs of points as 0-1,2-4" },
        { "random_horizontal_flip pairs=0-7", "random_horizontal_flip: pairs: 0-7, there are points 0 to 1" },
        { "random_rotation -3", "random_rotation: degrees: expected [lo, hi] within -360 to 360, or one number a for [-a, a]" },
        { "random_affine 3 translate=[2,0]", "random_affine: translate: expected two numbers of 0 to 1: shares of width and height" },
        { "random_affine 3 shear=90", "random_affine: shear: expected [lo, hi] within -89 to 89, or one number a for [-a, a]" },
        { "random_resized_crop 8 scale=[0.5,2]", "random_resized_crop: scale: expected [lo, hi] within 1e-06 to 1" },
        { "color_jitter hue=0.7", "color_jitter: hue: expected one number or [lo, hi], factors within -0.5 to 0.5" },
        { "grayscale 2", "grayscale: num_output_channels: 2, expected 1 or 3" },
        { "gaussian_blur 4", "gaussian_blur: kernel_size: expected one odd number or [width, height], 1 to 1023" },
        { "gaussian_blur 63", "gaussian_blur: kernel_size: half of 63 x 63 (width x height) is not smaller than the picture, 31 x 24" },
        { "random_erasing noise=true", "random_erasing: noise: field \"image\" is u8, expected f32: put it behind `normalize`" },
        { "random_apply transform=(scale)", "random_apply: transform: `scale` makes field \"image\" f32, it was u8" },
        { "random_apply transform=(cutmix label=soft)",
          "random_apply: transform: `cutmix` works on whole batches: it cannot stand in here" },
        { "random_apply transform=()", "random_apply: transform: expected at least one" },
        { "random_apply transform=(hflip)", "data: no transform \"hflip\"" },
        { "random_choice transform=(pad 1)(pad x)", "pad: padding: expected a list of whole numbers, found \"x\"" },
        { "random_choice transform=(pad 1)(pad 2) p=1", "random_choice: p: expected 2 numbers of at least 0, one for each transform" },
        { "mixup", "mixup: field \"label\" is i32 [], expected f32 [classes]: put `one_hot` before it" },
        { "mixup label=soft", "mixup: field \"image\" is u8, expected f32: put `scale` before it" },
    };
    grd_dataset *d = scenes(ctx, (scene_opts){ .height = 24, .width = 31 }), *out;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        assert_int_not_equal(grd_dataset_transform(d, table[k][0], &out), GRD_OK);
        if (!strstr(grd_error(ctx), table[k][1]))
            fail_msg("%s: found \"%s\", expected \"%s\"", table[k][0], grd_error(ctx), table[k][1]);
    }
}

static void a_picture_that_does_not_fit_is_refused_with_its_name(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        { "random_crop 10", "random_crop: sample 2: a picture of 1 x 1 pixels (width x height) is smaller than the crop of 10 x 10; "
                            "pad_if_needed would fill it up" },
        { "pad 2 padding_mode=reflect", "pad: sample 2: a picture of 1 x 1 pixels (width x height) is too small for this border: "
                                        "padding_mode reflect takes less than the picture has" },
        { "gaussian_blur 3", "gaussian_blur: sample 2: a picture of 1 x 1 pixels (width x height) is too small for a kernel of 3 x 3" },
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        grd_dataset *d = chain(scenes(ctx, (scene_opts){ .noise = true }), (const char *const[]){ table[k][0], NULL });
        grd_sample *s;
        ok(ctx, grd_sample_new(d, ctx, &s));
        assert_int_equal(grd_dataset_get(d, 2, NULL, s), GRD_ERR_DATA);
        assert_string_equal(s->error, table[k][1]);
        grd_sample_free(s, ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_takes_its_samples_and_refuses_other_fields),
        cmocka_unit_test(every_row_gives_what_its_fields_promise_at_odd_sizes_too),
        cmocka_unit_test(every_row_draws_by_its_key_alone),
        cmocka_unit_test(every_row_does_the_same_to_bytes_and_floats),
        cmocka_unit_test(mask_and_points_go_where_the_picture_goes),
        cmocka_unit_test(two_rows_in_one_pass_give_the_same_bits),
        cmocka_unit_test(batches_are_the_same_whatever_the_workers),
        cmocka_unit_test(mixed_labels_tell_the_shares),
        cmocka_unit_test(what_does_not_fit_is_refused_with_a_sentence),
        cmocka_unit_test(a_picture_that_does_not_fit_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
