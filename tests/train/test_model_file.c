/* Models to files and back. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void saved_and_loaded_values_are_the_same_bits(void **state)
{
    (void)state;
    char dir[256], path[512];
    run a, b;
    size_t size;
    int loaded;
    make_folder(dir, "model");
    snprintf(path, sizeof path, "%s/m.pth", dir);
    run_open(&a, NULL);
    OK(a.ctx, run_fit(&a));
    OK(a.ctx, grd_model_save(a.model, path));
    run_open(&b, &(grd_opts){ .seed = 99 });
    OK(b.ctx, grd_model_load(b.model, path, NULL, &loaded));
    assert_int_equal(loaded, grd_model_count(b.model));
    void *left = model_values(&a, &size), *right = model_values(&b, &size);
    assert_memory_equal(left, right, size);
    free(left);
    free(right);
    run_close(&a);
    run_close(&b);
    remove_folder(dir);
}

/* in -> hidden (named "enc") -> out ("head") */
static grd_model *small(grd_ctx *ctx, int hidden, int out)
{
    grd_graph *g = grd_graph_new(ctx);
    grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 3 });
    grd_linear(grd_linear(x, &(grd_linear_opts){ .as = "enc", .out = hidden }), &(grd_linear_opts){ .as = "head", .out = out });
    grd_model *model;
    OK(ctx, grd_model_new(g, &(grd_model_opts){ .seed = (uint64_t)(hidden * 100 + out) }, &model));
    return model;
}

static float first_value(grd_model *model, const char *name)
{
    return *(float *)grd_model_tensor(model, grd_model_find(model, name)).data;
}

static void prefix_and_partial_take_what_is_asked_for(void **state)
{
    (void)state;
    char dir[256], path[512];
    int n;
    make_folder(dir, "part");
    snprintf(path, sizeof path, "%s/m.pth", dir);
    grd_ctx *ctx = grd_open(NULL);
    grd_model *saved = small(ctx, 4, 2), *other = small(ctx, 4, 5), *deeper = small(ctx, 4, 2);
    OK(ctx, grd_model_save(saved, path));
    float before = first_value(other, "head.weight");
    OK(ctx, grd_model_load(other, path, &(grd_load_opts){ .prefix = "enc" }, &n));
    assert_int_equal(n, 2);
    assert_true(first_value(other, "enc.weight") == first_value(saved, "enc.weight"));
    assert_true(first_value(other, "head.weight") == before);
    assert_int_equal(grd_model_load(deeper, path, &(grd_load_opts){ .prefix = "en" }, &n), GRD_ERR_FORMAT);
    assert_non_null(strstr(grd_error(ctx), "none of the model's tensors under \"en\" is in it"));
    grd_close(ctx);
    remove_folder(dir);
}

static void what_does_not_fit_is_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    char dir[256], path[512];
    make_folder(dir, "refuse");
    snprintf(path, sizeof path, "%s/m.pth", dir);
    grd_ctx *ctx = grd_open(NULL);
    grd_model *saved = small(ctx, 4, 2), *other = small(ctx, 4, 5);
    OK(ctx, grd_model_save(saved, path));
    float before = first_value(other, "enc.weight");
    assert_int_equal(grd_model_load(other, path, NULL, NULL), GRD_ERR_SHAPE);
    assert_non_null(strstr(grd_error(ctx), "m.pth: \"head.weight\" is [2,4], the model's is [5,4]"));
    assert_true(first_value(other, "enc.weight") == before);
    grd_graph *g = grd_graph_new(ctx);
    grd_model *less;
    grd_linear(grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 3 }), &(grd_linear_opts){ .as = "enc", .out = 4 });
    OK(ctx, grd_model_new(g, NULL, &less));
    assert_int_equal(grd_model_load(less, path, NULL, NULL), GRD_ERR_FORMAT);
    assert_non_null(strstr(grd_error(ctx), "m.pth: holds \"head.weight\", which the model does not have"));
    OK(ctx, grd_model_load(less, path, &(grd_load_opts){ .partial = true }, NULL));
    OK(ctx, grd_model_save(less, path));
    assert_int_equal(grd_model_load(saved, path, NULL, NULL), GRD_ERR_FORMAT);
    assert_non_null(strstr(grd_error(ctx), "m.pth: has no tensor \"head.weight\", which the model needs"));
    assert_int_equal(grd_model_load(saved, "/no/such/file.pth", NULL, NULL), GRD_ERR_IO);
    grd_close(ctx);
    remove_folder(dir);
}

static char *shown(grd_ctx *ctx, const char *path, bool json)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    OK(ctx, grd_checkpoint_show(ctx, path, json, out));
    fclose(out);
    return text;
}

static void show_tells_what_is_in_a_checkpoint(void **state)
{
    (void)state;
    char dir[256], path[512];
    run r;
    make_folder(dir, "show");
    snprintf(path, sizeof path, "%s/last.pth", dir);
    run_open(&r, NULL);
    r.opts.dir = dir;
    OK(r.ctx, run_fit(&r));
    char *text = shown(r.ctx, path, false);
    assert_non_null(strstr(text, "0.weight"));
    assert_non_null(strstr(text, "[24,2]"));
    assert_non_null(strstr(text, "epoch 3\nstep 21\n"));
    assert_non_null(strstr(text, "optimizer adam, state of 6 parameters"));
    free(text);
    text = shown(r.ctx, path, true);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "tensors")), grd_model_count(r.model));
    assert_int_equal(json_integer_value(json_object_get(json, "step")), 21);
    assert_int_equal(json_integer_value(json_object_get(json, "epoch")), 3);
    json_decref(json);
    free(text);
    run_close(&r);
    remove_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_and_loaded_values_are_the_same_bits),
        cmocka_unit_test(prefix_and_partial_take_what_is_asked_for),
        cmocka_unit_test(what_does_not_fit_is_refused_and_nothing_is_changed),
        cmocka_unit_test(show_tells_what_is_in_a_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
