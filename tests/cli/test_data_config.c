/* The data section as a user writes it: which samples a run sees, and what is said when lists and folds do not fit. */
#include "helper_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 40 + 20 pictures of 4x4, labels i % 10. */
static int enter(void **state)
{
    int code = enter_folder(state);
    write_idx(".", "train", 40);
    write_idx(".", "t10k", 20);
    write_text("c.yaml", "run: {batch: 8, epochs: 1}\n"
                         "data: {source: idx, dir: ., transform: [scale]}\n"
                         "model: {layers: [flatten, {linear: 10}]}\n"
                         "loss: cross_entropy\n");
    return code;
}

static void folds_cut_train(void **state)
{
    (void)state;
    expect("check c.yaml data.folds=5", 0, ">32 samples to train on, 8 to choose by, 20 to test on");
    expect("check c.yaml data.folds=5 data.fold=4 data.stratify=label", 0, ">32 samples to train on, 8 to choose by");
    expect("check c.yaml data.folds=5 data.fold=5", 2, "data: fold: 5, expected 0..4 as there are 5 folds");
    expect("check c.yaml data.folds=5 data.val_fraction=0.1", 2, "folds, val and val_fraction each say what val is");
    expect("check c.yaml data.folds=41", 2, "folds: 41 of 40 samples");
}

static void listed_samples_are_left_out(void **state)
{
    (void)state;
    write_text("bad.txt", "# found by eye\n3\n\n 17 \n");
    expect("check c.yaml data.exclude=bad.txt", 0, ">38 samples to train on, 18 to test on"); /* 3 and 17 of both parts */
    write_text("bad.txt", "3\n170\n");
    expect("check c.yaml data.exclude=bad.txt", 2, "bad.txt: 1 of 2 names are those of no sample, the first is \"170\"");
    expect("check c.yaml data.exclude=none.txt", 2, "none.txt");
}

static void listed_labels_stand_instead(void **state)
{
    (void)state;
    write_text("labels.txt", "3 7\n4 0\n");
    expect("check c.yaml data.relabel=labels.txt", 0, ">40 samples");
    write_text("labels.txt", "3 7\n4\n");
    expect("check c.yaml data.relabel=labels.txt", 2, "labels.txt:2: expected NAME LABEL, found \"4\"");
    write_text("labels.txt", "3 10\n");
    expect("check c.yaml data.relabel=labels.txt", 2, "relabel: \"3\": label 10, expected 0..9");
    write_text("labels.txt", "3 frog\n");
    expect("check c.yaml data.relabel=labels.txt", 2, "\"3\": label \"frog\", expected a class' number or name");
}

static void a_list_makes_a_subset(void **state)
{
    (void)state;
    write_text("val.txt", "5\n9\n30\n");
    write_text("s.yaml", "extends: c.yaml\n"
                         "data: {train: rest, val: chosen, subsets: {some: {count: 7}, chosen: {list: val.txt}, rest: {}}}\n");
    expect("check s.yaml", 0, ">30 samples to train on, 3 to choose by");
    expect("check s.yaml data.subsets.chosen.count=3", 2, "\"chosen\": give a list, or how many are drawn, not both");
}

static void a_few_samples_are_fitted_by_heart(void **state)
{
    (void)state;
    expect("check c.yaml data.num_samples=12", 0, ">12 samples to train on");
    expect("check c.yaml data.overfit=6", 0, ">6 samples to train on, 6 to choose by");
    write_text("a.yaml", "extends: c.yaml\ndata: {augment: [nonsense]}\n");
    expect("check a.yaml", 2, "no transform \"nonsense\"");
    expect("check a.yaml data.overfit=6", 0, ">6 samples"); /* without augment */
}

static void transforms_stand_where_the_list_says(void **state)
{
    (void)state;
    write_text("t.yaml", "extends: c.yaml\ndata: {transform: [scale, augment], augment: [{normalize: {mean: 0.5, std: 0.5}}]}\n");
    expect("check t.yaml", 0, ">40 samples");
    write_text("t.yaml", "extends: c.yaml\ndata: {transform: [augment, scale], augment: [{normalize: {mean: 0.5, std: 0.5}}]}\n");
    expect("check t.yaml", 2, "t.yaml:2: normalize: field \"image\" is u8, expected f32: put `scale` before it");
    write_text("t.yaml", "extends: c.yaml\ndata: {transform: [augment, scale, augment]}\n");
    expect("check t.yaml", 2, "augment stands there twice");
    write_text("t.yaml", "extends: c.yaml\ndata: {evaluate: [{normalize: {mean: 0.5, std: 0.5}}]}\n");
    expect("check t.yaml", 2, "put `scale` before it"); /* of the test set: it has no scale before it */
}

static void the_split_is_kept_and_a_run_that_goes_on_must_find_it(void **state)
{
    (void)state;
    write_text("val.txt", "5\n9\n");
    write_text("s.yaml", "extends: c.yaml\ndata: {train: rest, val: chosen, subsets: {chosen: {list: val.txt}, rest: {count: 3}}}\n");
    expect("train s.yaml run.dir=r run.max_steps=1", 0, "");
    char *split = read_text("r/train/split.json", NULL);
    assert_non_null(strstr(split, "\"val\": [5, 9],"));
    free(split);
    assert_int_equal(remove("r/train/done.json"), 0); /* as if it had been stopped */
    expect("train r", 0, "");
    write_text("val.txt", "5\n8\n");
    assert_int_equal(remove("r/train/done.json"), 0);
    expect("train r", 1, "r/train/split.json: the run was begun with other samples than the data now give");
}

static void transforms_may_hold_transforms(void **state)
{
    (void)state;
    write_text("n.yaml", "extends: c.yaml\n"
                         "data:\n"
                         "  augment:\n"
                         "    - random_apply: {p: 0.7, transform: {random_rotation: {degrees: [-5, 5], interpolation: bilinear}}}\n"
                         "    - random_choice:\n"
                         "        p: [2, 1, 1]\n"
                         "        transform:\n"
                         "          - random_vertical_flip\n"
                         "          - {pad: 0}\n"
                         "          - random_apply: {transform: [{gaussian_blur: {kernel_size: [3, 1]}}, {random_horizontal_flip: 1}]}\n"
                         "    - random_choice: {transform: [random_horizontal_flip, random_vertical_flip]}\n");
    expect("check n.yaml", 0, ">field image: f32 [1,4,4]");
    write_text("bad.yaml", "extends: c.yaml\ndata: {augment: [{random_apply: {transform: [{pad: 0}, {pad: {padding: 1}}]}}]}\n");
    expect("check bad.yaml", 2, ">field image: f32 [1,N,N]"); /* with and without the border: no linear layer takes that */
    write_text("bad.yaml", "extends: c.yaml\ndata: {augment: [{random_apply: {transform: [{pad: {paddings: 1}}]}}]}\n");
    expect("check bad.yaml", 2, "bad.yaml:2: random_apply: pad: no option \"paddings\"; did you mean \"padding\"?");
    write_text("bad.yaml", "extends: c.yaml\ndata: {augment: [{random_apply: {transform: [[pad]]}}]}\n");
    expect("check bad.yaml", 2, "bad.yaml:2: random_apply: transform: expected rows in the list, found a list");
    write_text("bad.yaml", "extends: c.yaml\ndata: {augment: [{pad: {padding: {a: 1}}}]}\n");
    expect("check bad.yaml", 2, "bad.yaml:2: pad: padding: expected a value, found a map");
}

static void show_writes_a_sheet_and_prints_its_samples(void **state)
{
    (void)state;
    expect("data show c.yaml --count 5 split=val data.val_fraction=0.25 --out v.png", 0, ">v.png");
    expect("data show c.yaml --count 3 --json data.shuffle=false", 0,
           ">\"samples\": [{\"index\": 0, \"name\": \"train/0\", \"label\": \"0\"}, {");
    expect("data show c.yaml split=none", 2, "none");
    expect("data show c.yaml --count 0", 2, "--count: expected 1 to 400");
    expect("data show", 2, "expected one config");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave_folder)
    const struct CMUnitTest tests[] = {
        TEST(folds_cut_train),
        TEST(listed_samples_are_left_out),
        TEST(listed_labels_stand_instead),
        TEST(a_list_makes_a_subset),
        TEST(a_few_samples_are_fitted_by_heart),
        TEST(the_split_is_kept_and_a_run_that_goes_on_must_find_it),
        TEST(transforms_stand_where_the_list_says),
        TEST(transforms_may_hold_transforms),
        TEST(show_writes_a_sheet_and_prints_its_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
