/* random_horizontal_flip and random_vertical_flip. */
#include "data/transform_image.h"

typedef struct opts {
    double p;
    const char *pairs;
} opts;

static grd_status fields(const void *options, const void *state, grd_field *field, int n, grd_ctx *ctx)
{
    (void)state;
    const opts *o = options;
    GRD_TRY(grd_scene_check(ctx, field, n));
    const grd_scene s = grd_scene_of(field, n);
    if (o->pairs && s.points < 0)
        return grd_source_fail(ctx, GRD_ERR_ARG, "pairs: there is no field \"points\"");
    GRD_TRY(grd_pairs(ctx, o->pairs, s.points < 0 ? -1 : field[s.points].shape.dim[0], NULL));
    grd_scene_resized(field, n, field[s.image].shape.dim[1], field[s.image].shape.dim[2]);
    return GRD_OK;
}

static grd_status flip(grd_move_kind kind, const grd_transform_call *call, grd_sample *sample)
{
    const opts *o = call->options;
    grd_draws d = grd_draws_of(call);
    const grd_move move = { .kind = grd_draw_chance(&d, o->p) ? kind : GRD_MOVE_NONE, .pairs = o->pairs };
    return grd_move_apply(&move, call, sample);
}

static grd_status horizontal(const grd_transform_call *call, grd_sample *s) { return flip(GRD_MOVE_FLIP_HORIZONTAL, call, s); }
static grd_status vertical(const grd_transform_call *call, grd_sample *s) { return flip(GRD_MOVE_FLIP_VERTICAL, call, s); }

static const grd_option options_table[] = {
    GRD_REAL(opts, p, 0.5, 0, 1, "how often"),
    GRD_TEXT(opts, pairs, NULL, "points that change places, as left and right eye do: 0-1,2-4"),
    GRD_END,
};

static const char *const samples[] = { "", "p=1 pairs=0-1", "p=1", NULL };

const grd_transform grd_transform_random_horizontal_flip = {
    .name = "random_horizontal_flip", .doc = "Left becomes right, as torchvision's RandomHorizontalFlip; points may change places too.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = horizontal, .random = true,
    .keeps_classes = true, .samples = samples,
};

const grd_transform grd_transform_random_vertical_flip = {
    .name = "random_vertical_flip", .doc = "Top becomes bottom, as torchvision's RandomVerticalFlip; points may change places too.",
    .options = options_table, .options_size = sizeof(opts), .fields = fields, .apply = vertical, .random = true,
    .keeps_classes = true, .samples = samples,
};
