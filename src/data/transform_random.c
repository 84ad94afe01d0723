/* random_apply and random_choice: other rows inside, applied now and then, or one of them. */
#include "data/transform_image.h"

#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 16, MOST_SPEC = 1000 };

typedef struct opts {
    double p;
    grd_reals weights;
    const char *transform;
} opts;

typedef struct state {
    grd_ctx *ctx;
    int n;
    grd_step *step[MOST];
} state;

static void close_rows(void *self)
{
    state *s = self;
    for (int k = 0; s && k < s->n; k++)
        grd_step_release(&s->ctx->host, s->step[k]);
    if (s)
        grd_free(&s->ctx->host, s);
}

/* ---- the rows' texts: "(grayscale 3)(gaussian_blur 5)", "[grayscale, hflip]", or one without options ---- */

/* Copies the next one and goes on behind it; false at the end. An unclosed one is taken to the end of the text. */
static bool next_spec(const char **at, char spec[MOST_SPEC], bool *too_long)
{
    const char *c = *at + strspn(*at, " ,[]");
    int depth = 0;
    size_t n = 0;
    *too_long = false;
    if (!*c)
        return false;
    if (*c == '(') {
        const char *end = c;
        do
            depth += (*end == '(') - (*end == ')');
        while (*end++ && depth);
        n = (size_t)(end - c) - 2;
        c++;
        *at = end;
    } else {
        n = strcspn(c, " ,]()");
        *at = c + n;
    }
    *too_long = n >= MOST_SPEC;
    snprintf(spec, MOST_SPEC, "%.*s", *too_long ? 0 : (int)n, c);
    return n > 0;
}

static grd_status add_row(state *s, const grd_transform_open *call, const grd_field *in, const char *spec)
{
    if (s->n == MOST)
        return grd_source_fail(call->ctx, GRD_ERR_ARG, "transform: more than %d", MOST);
    GRD_TRY(grd_step_new(call->ctx, in, call->n, call->fit, spec, NULL, &s->step[s->n]));
    const grd_step *step = s->step[s->n++];
    if (!step->row->apply || step->row->save)
        return grd_source_fail(call->ctx, GRD_ERR_ARG, "transform: `%s` %s: it cannot stand in here", step->row->name,
                               step->row->save ? "learns from data" : "works on whole batches");
    if (!step->row->keeps_classes)
        return grd_source_fail(call->ctx, GRD_ERR_ARG, "transform: `%s` may change labels: it cannot stand in here", step->row->name);
    return GRD_OK;
}

/* chained: each sees what the one before it left. */
static grd_status open_rows(const grd_transform_open *call, bool chained, void **out)
{
    const opts *o = call->options;
    char spec[MOST_SPEC];
    bool too_long;
    state *s = GRD_NEW(&call->ctx->host, state);
    if (!s)
        return GRD_ERR_MEMORY;
    s->ctx = call->ctx;
    grd_status status = GRD_OK;
    for (const char *at = o->transform; status == GRD_OK && next_spec(&at, spec, &too_long);)
        status = too_long ? grd_source_fail(call->ctx, GRD_ERR_ARG, "transform: one is longer than %d letters", MOST_SPEC - 1)
                          : add_row(s, call, chained && s->n ? s->step[s->n - 1]->field : call->in, spec);
    if (status == GRD_OK && s->n == 0)
        status = grd_source_fail(call->ctx, GRD_ERR_ARG, "transform: expected at least one");
    *out = s;
    if (status != GRD_OK) {
        close_rows(s);
        *out = NULL;
    }
    return status;
}

/* ---- fields: what holds whichever was applied ---- */

static grd_status merge(grd_ctx *ctx, grd_field *to, const grd_field *other, int n, const char *name)
{
    for (int f = 0; f < n; f++) {
        grd_field *a = &to[f];
        const grd_field *b = &other[f];
        if (a->dtype != b->dtype || a->shape.rank != b->shape.rank)
            return grd_source_fail(ctx, GRD_ERR_ARG, "transform: with `%s` field \"%s\" is %s of rank %d, without it %s of rank %d",
                                   name, a->name, grd_dtype_name(b->dtype), b->shape.rank, grd_dtype_name(a->dtype), a->shape.rank);
        for (int k = 0; k < a->shape.rank; k++)
            a->shape.dim[k] = a->shape.dim[k] == b->shape.dim[k] ? a->shape.dim[k] : -1;
        a->classes = a->classes > b->classes ? a->classes : b->classes;
        bool known = a->lo < a->hi && b->lo < b->hi;
        a->lo = !known ? 0 : a->lo < b->lo ? a->lo : b->lo;
        a->hi = !known ? 0 : a->hi > b->hi ? a->hi : b->hi;
    }
    return GRD_OK;
}

/* ---- random_apply ---- */

static grd_status apply_open(const grd_transform_open *call, void **out) { return open_rows(call, true, out); }

static grd_status apply_fields(const void *options, const void *self, grd_field *field, int n, grd_ctx *ctx)
{
    (void)options;
    const state *s = self;
    for (int k = 0; k < s->n; k++) /* of one type all along: a sample's memory is as wide as the chain says */
        for (int f = 0; f < n; f++)
            if (s->step[k]->field[f].dtype != field[f].dtype)
                return grd_source_fail(ctx, GRD_ERR_ARG, "transform: `%s` makes field \"%s\" %s, it was %s", s->step[k]->row->name,
                                       field[f].name, grd_dtype_name(s->step[k]->field[f].dtype), grd_dtype_name(field[f].dtype));
    return merge(ctx, field, s->step[s->n - 1]->field, n, s->step[s->n - 1]->row->name);
}

static grd_status apply_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    const state *s = call->state;
    grd_draws d = grd_draws_of(call);
    if (!grd_draw_chance(&d, o->p))
        return GRD_OK;
    for (int k = 0; k < s->n; k++)
        GRD_TRY(grd_step_apply(s->step[k], k, call->n, call->key, sample));
    return GRD_OK;
}

static const grd_option apply_options[] = {
    GRD_REAL(opts, p, 0.5, 0, 1, "how often"),
    { "transform", GRD_OPTION_TEXT, offsetof(opts, transform), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_ROWS,
      "a transform, or a list of them: all or none" },
    GRD_END,
};

static const char *const apply_samples[] = { "transform=(color_jitter brightness=0.3)", "p=0.8 transform=(random_rotation 30)(grayscale 3)",
                                             "transform=[random_grayscale,random_vertical_flip]", "p=0.4 transform=(pad 1)", NULL };

const grd_transform grd_transform_random_apply = {
    .name = "random_apply", .doc = "Other transforms, all of them or none; as torchvision's RandomApply.", .options = apply_options,
    .options_size = sizeof(opts), .fields = apply_fields, .apply = apply_apply, .open = apply_open, .close = close_rows,
    .random = true, .keeps_classes = true, .samples = apply_samples,
};

/* ---- random_choice ---- */

static grd_status choice_open(const grd_transform_open *call, void **out) { return open_rows(call, false, out); }

static grd_status choice_fields(const void *options, const void *self, grd_field *field, int n, grd_ctx *ctx)
{
    const opts *o = options;
    const state *s = self;
    double sum = 0;
    bool good = o->weights.n == 0 || o->weights.n == s->n;
    for (int k = 0; k < o->weights.n; k++) {
        good = good && o->weights.v[k] >= 0 && o->weights.v[k] < 1e9;
        sum += o->weights.v[k];
    }
    if (!good || (o->weights.n && !(sum > 0)))
        return grd_source_fail(ctx, GRD_ERR_ARG, "p: expected %d numbers of at least 0, one for each transform", s->n);
    memcpy(field, s->step[0]->field, sizeof *field * (size_t)n);
    for (int k = 1; k < s->n; k++)
        GRD_TRY(merge(ctx, field, s->step[k]->field, n, s->step[k]->row->name));
    return GRD_OK;
}

static grd_status choice_apply(const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    const state *s = call->state;
    grd_draws d = grd_draws_of(call);
    double sum = 0;
    int k = 0;
    for (int i = 0; i < o->weights.n; i++)
        sum += o->weights.v[i];
    double at = call->key ? grd_draw(&d, 0, o->weights.n ? sum : s->n) : 0;
    for (; k < s->n - 1; k++) {
        double weight = o->weights.n ? o->weights.v[k] : 1;
        if (at < weight)
            break;
        at -= weight;
    }
    return grd_step_apply(s->step[k], k, call->n, call->key, sample);
}

static const grd_option choice_options[] = {
    { "transform", GRD_OPTION_TEXT, offsetof(opts, transform), 0, 0, 0, NULL, GRD_OPTION_REQUIRED | GRD_OPTION_ROWS,
      "a list of transforms, of which one is applied" },
    { "p", GRD_OPTION_REALS, offsetof(opts, weights), 0, 0, 0, NULL, 0, "how often each of them, as weights; default: evenly" },
    GRD_END,
};

static const char *const choice_samples[] = { "transform=(grayscale 3)(color_jitter 0.4)",
                                              "transform=(center_crop 14)(resize [14,14]) p=[1,3]",
                                              "transform=[random_grayscale,random_horizontal_flip]", NULL };

const grd_transform grd_transform_random_choice = {
    .name = "random_choice", .doc = "One of several transforms; as torchvision's RandomChoice. Without randomness the first.",
    .options = choice_options, .options_size = sizeof(opts), .fields = choice_fields, .apply = choice_apply, .open = choice_open,
    .close = close_rows, .random = true, .keeps_classes = true, .samples = choice_samples,
};
