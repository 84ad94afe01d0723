/* Whatever is wrong with what a user gives: one clear line that says where, what was found, what was expected; an exit code
 * that is not 0; nothing left half-written. (Under AddressSanitizer these runs are its test too.) */
#include "helper_cli.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The command fails with exactly one line on stderr, which holds `text`. */
static void refused(const char *line, int code, const char *text)
{
    result r = gradus(line);
    const char *end = strchr(r.err, '\n');
    bool one_line = end && !end[1];
    if (r.code != code || !one_line || strncmp(r.err, "gradus", 6) != 0 || !strstr(r.err, text) || *r.out)
        fail_msg("gradus %s: exit %d, expected %d and one line with\n%s\nfound\n%s%s", line, r.code, code, text, r.out, r.err);
    assert_false(is_there("runs")); /* found before anything was written */
}

/* ---- configs ---- */

/* ok.yaml with one line in another form; the lines count from 1. */
static void bad_line(int number, const char *text, const char *message)
{
    char out[1024] = "", expected[400];
    const char *at = small_config;
    for (int i = 1; *at; i++) {
        const char *end = strchr(at, '\n');
        size_t n = strlen(out);
        if (i == number)
            snprintf(out + n, sizeof out - n, "%s\n", text);
        else
            snprintf(out + n, sizeof out - n, "%.*s\n", (int)(end - at), at);
        at = end + 1;
    }
    write_text("bad.yaml", out);
    snprintf(expected, sizeof expected, "bad.yaml:%d: %s", number, message);
    refused("train bad.yaml", 2, expected);
}

static void configs_are_refused_at_the_line_with_the_fix(void **state)
{
    (void)state;
    bad_line(1, "run: {name: small, epocs: 2}", "run: no option \"epocs\"; did you mean \"epochs\"?");
    bad_line(1, "run: {epochs: two}", "run: epochs: expected a whole number, found \"two\"");
    bad_line(1, "run: {epochs: 0}", "run: epochs: 0 is out of range, expected 1 to ");
    bad_line(1, "run: {epochs: [2]}", "run: epochs: expected a whole number, found a list");
    bad_line(1, "run: {memory: least}", "run: memory: expected one of normal|low, found \"least\"");
    bad_line(1, "rnu: {epochs: 2}", "no section \"rnu\"; did you mean \"run\"?");
    bad_line(3, "  source: spiral", "data: no source \"spiral\"; did you mean \"spirals\"?");
    bad_line(4, "  m: 160", "data: no option \"m\"");
    bad_line(6, "  subsets: {fit: {per_class: 400}, choose: {}}", "");
    bad_line(7, "  train: fti", "data: train: no subset \"fti\"; did you mean \"fit\"?");
    bad_line(9, "model: {layers: [{linar: 8}]}", "model: no layer or block \"linar\"; did you mean \"linear\"?");
    bad_line(9, "model: {layers: [{linear: {outs: 8}}]}", "linear: no option \"outs\"; did you mean \"out\"?");
    bad_line(9, "model: {layers: [{linear: 0}]}", "linear: out: 0 is out of range, expected 1 to ");
    bad_line(9, "model: {layers: [{conv2d: {out: 3, kernel: 3}}]}", "conv2d \"0\": ");
    bad_line(9, "model: {layers: [{linear: 8, as: a}, {linear: 3}, {add: a}]}",
             "add \"2\": the shapes do not broadcast: sizes must be equal from the last dimension on, or 1: a \"1\" [N,3], b \"a\" [N,8]");
    bad_line(9, "model: {layers: [{linear: 3}, {add: nobody}]}", "model: no earlier value is named \"nobody\"");
    bad_line(9, "model: {layers: [{linear: $size}]}", "model: $size: there is no constant \"size\"");
    bad_line(9, "model: {layers: [{linear: 2}]}", "stage \"train\": classes and outputs: 3 classes in field \"label\", but the model "
                                                  "has 2 outputs: expected one for each class");
    bad_line(10, "loss: cross_entrpy", "loss: no loss \"cross_entrpy\"; did you mean \"cross_entropy\"?");
    bad_line(10, "loss: {mse: {target: nothing}}", "data has no field \"nothing\"");
    bad_line(11, "metrics: [acuracy]", "");
    bad_line(12, "optim: {adm: {lr: 1e-2}}", "optim: no optimizer \"adm\"; did you mean \"adam\"?");
    bad_line(12, "optim: {adam: {lr: -1}}", "adam: lr: -1 is out of range, expected 0 to ");
    bad_line(12, "schedule: cosinus", "");
    bad_line(12, "train: {early_stop: {patience: -2}}", "early_stop: patience: -2 is out of range");
    bad_line(12, "optim: {adam: {lr: 1e-2}",
             "not valid YAML: while parsing a flow mapping that begins here: line 13: did not find expected ',' or '}'");
    bad_line(12, "run: {seed: 1}", "key \"run\" is there twice");
    bad_line(12, "init: {from: later}", "no stage \"later\"");
}

static void config_files_and_overrides_are_refused(void **state)
{
    (void)state;
    refused("train none.yaml", 2, "none.yaml: cannot open: No such file or directory");
    refused("train .", 2, ".: not a run: it has no config.yaml");
    refused("train ok.yaml run.sed=1", 2, "run.sed=1: run: no option \"sed\"; did you mean \"seed\"?");
    refused("train ok.yaml run.epochs=many", 2, "run.epochs=many: run: epochs: expected a whole number, found \"many\"");
    refused("train ok.yaml stages.fit.run.epochs=1", 2, "stages.fit.run.epochs=1: no stage \"fit\"");
    refused("train ok.yaml data=3", 2, "data=3: ");
    write_text("empty.yaml", "");
    refused("train empty.yaml", 2, "empty.yaml");
    write_text("list.yaml", "- 1\n- 2\n");
    refused("train list.yaml", 2, "list.yaml:1: config: expected a map of keys, found a list");
    write_text("nodata.yaml", "model: {layers: [{linear: 3}]}\nloss: cross_entropy\n");
    refused("train nodata.yaml run.seed=2", 2, "nodata.yaml:1: stage \"train\": data is missing");
    write_text("loop.yaml", "extends: loop.yaml\n");
    refused("train loop.yaml", 2, "loop.yaml:1: extends: more than 8 files in a row; does one extend itself?");
    write_bytes("binary.yaml", "\0\1\2\377\376", 5);
    refused("train binary.yaml", 2, "binary.yaml");
    char *deep = calloc(1, 200001);
    assert_non_null(deep);
    memset(deep, '[', 200000);
    write_text("deep.yaml", deep);
    free(deep);
    refused("train deep.yaml", 2, "deep.yaml");
}

static void command_lines_are_refused(void **state)
{
    (void)state;
    expect("", 2, "usage: gradus VERB");
    refused("trian ok.yaml", 2, "gradus: no verb \"trian\"; known: train, eval, ");
    expect("train", 2, "gradus train: expected one config, or the folder of a run\nusage: gradus train ");
    expect("train ok.yaml --jsn", 2, "gradus train: no option \"--jsn\"");
    expect("train ok.yaml --threads 0", 2, "gradus train: --threads: expected 1 to 1024");
    expect("bench ok.yaml --seconds -1", 2, "gradus bench: --seconds: expected more than 0");
    refused("ops conv3d", 2, "gradus ops: no op or layer \"conv3d\"; `gradus ops` lists them");
}

/* ---- data ---- */

static const char idx_config[] = "data: {source: fashion-mnist, dir: d, transform: [scale]}\n"
                                 "model: {layers: [flatten, {linear: 10}]}\n"
                                 "loss: cross_entropy\n"
                                 "run: {epochs: 1}\n";

static void data_files_are_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(mkdir("d", 0777), 0);
    write_text("idx.yaml", idx_config);
    refused("train idx.yaml data.dir=nowhere", 1, "fashion-mnist: nowhere: no such folder");
    refused("train idx.yaml", 1, "d: no such file; looked for train-images-idx3-ubyte, ");
    write_idx("d", "train", 60);
    write_idx("d", "t10k", 20);
    size_t size;
    char *images = read_text("d/train-images-idx3-ubyte", &size);

    write_bytes("d/train-images-idx3-ubyte", images, size - 100); /* cut short */
    refused("train idx.yaml", 1, "d/train-images-idx3-ubyte: the header says 60 x 4 x 4 bytes, the file holds 860: it was cut off");
    write_bytes("d/train-images-idx3-ubyte", images, 7);
    refused("train idx.yaml", 1, "d/train-images-idx3-ubyte: 7 bytes, expected a header of 16");
    write_bytes("d/train-images-idx3-ubyte", images, 0);
    refused("train idx.yaml", 1, "d/train-images-idx3-ubyte: 0 bytes, expected a header of 16");
    images[3] = 1;
    write_bytes("d/train-images-idx3-ubyte", images, size);
    refused("train idx.yaml", 1, "magic number 0x00000801, expected 0x00000803");
    images[3] = 3;
    images[7]--; /* one image less than labels */
    write_bytes("d/train-images-idx3-ubyte", images, size - 16);
    refused("train idx.yaml", 1, "59");
    images[7]++;
    memset(images + 4, 0xff, 4); /* more than there is */
    write_bytes("d/train-images-idx3-ubyte", images, size);
    refused("train idx.yaml", 1, "d/train-images-idx3-ubyte: ");
    write_idx("d", "train", 60);

    char *labels = read_text("d/train-labels-idx1-ubyte", &size);
    labels[8 + 41] = 11;
    write_bytes("d/train-labels-idx1-ubyte", labels, size);
    refused("train idx.yaml", 1, "d/train-labels-idx1-ubyte: record 41: label 11, expected 0..9");
    refused("check idx.yaml", 1, "d/train-labels-idx1-ubyte: record 41: label 11, expected 0..9");
    write_idx("d", "train", 60);
    expect("train idx.yaml", 0, ">train");
    free(images);
    free(labels);
}

/* ---- checkpoints ---- */

static void checkpoints_are_refused(void **state)
{
    (void)state;
    expect("train ok.yaml run.dir=r --quiet", 0, "");
    size_t size;
    char *best = read_text("r/train/best.pth", &size), line[200];
    for (size_t keep = 0; keep < size; keep += size / 9 + 1) { /* cut anywhere */
        write_bytes("cut.pth", best, keep);
        refused("show cut.pth", 1, "cut.pth: ");
        refused("eval r weights=cut.pth split=val", 1, "cut.pth: ");
        snprintf(line, sizeof line, "train ok.yaml init.from=cut.pth run.dir=r%zu", keep);
        result r = gradus(line);
        assert_int_equal(r.code, 1);
        assert_non_null(strstr(r.err, "cut.pth: "));
    }
    best[size / 2] ^= 1; /* one bit */
    write_bytes("bit.pth", best, size);
    result r = gradus("show bit.pth");
    assert_true(r.code == 1 && strncmp(r.err, "gradus: bit.pth: ", 17) == 0);
    write_text("text.pth", "not a checkpoint\n");
    refused("show text.pth", 1, "text.pth: not a .pth file: begins with \"not a ch\"");
    refused("show none.pth", 1, "none.pth: cannot open: No such file or directory");
    refused("eval r split=tset", 2, "eval: split \"tset\": stage \"train\" has train, val");
    refused("eval r stage=none", 2, "no stage \"none\"");

    /* of another network */
    expect("train ok.yaml run.dir=other --quiet model.layers=[{linear:9},relu,{linear:3}]", 2, "");
    write_text("other.yaml", "extends: ok.yaml\nmodel: {layers: [{linear: 9}, relu, {linear: 3}]}\n");
    expect("train other.yaml run.dir=other --quiet", 0, "");
    refused("eval r weights=other/train/best.pth split=val", 2, "\"0.weight\" is [9,2], the model's is [8,2]");

    /* a pickle that would run a program, had it been executed */
    static const char evil[] = "\x80\x02" "cos\nsystem\nq\x00U\x0ctouch hackedq\x01\x85q\x02Rq\x03.";
    write_bytes("evil.pth", evil, sizeof evil - 1);
    refused("show evil.pth", 1, "evil.pth: ");
    assert_false(is_there("hacked"));
    free(best);
}

static void a_run_with_a_broken_checkpoint_is_not_overwritten(void **state)
{
    (void)state;
    expect("train ok.yaml run.dir=r run.max_steps=7 --quiet", 0, "");
    unlink("r/train/done.json"); /* as if it had been stopped */
    size_t size;
    char *last = read_text("r/train/last.pth", &size);
    write_bytes("r/train/last.pth", last, size / 2);
    result r = gradus("train r");
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.err, "r/train/last.pth: "));
    assert_true(is_there("r/train/best.pth"));
    free(last);
    expect("train ok.yaml run.dir=r", 2, "r: there is a run in this folder; to go on with it: gradus train r");
}

/* ---- disk ---- */

static void a_full_disk_is_said_and_costs_nothing(void **state)
{
    (void)state;
    expect("train ok.yaml run.dir=r run.epochs=1 --quiet", 0, "");
    write_text("wide.yaml", "extends: ok.yaml\nmodel: {layers: [{linear: 4000}, relu, {linear: 3}]}\n");
    result r = gradus_limited("train wide.yaml run.dir=w", 20000);
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.err, "gradus: w/train/"));
    assert_non_null(strstr(r.err, "File too large"));
    assert_false(is_there("w/train/best.pth")); /* no half of one under its name */
    expect("train w --quiet", 0, "");         /* with room again: it goes on */
    assert_true(is_there("w/train/best.pth"));
    r = gradus_into("ops", "/dev/full");
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.err, "gradus: cannot write the output: No space left on device"));
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(mkdir("locked", 0555), 0);
        refused("train ok.yaml run.dir=locked/r", 1, "locked/r: cannot make the folder: Permission denied");
    }
    refused("train ok.yaml run.dir=/proc/none", 1, "/proc/none: cannot make the folder: ");
    refused("train ok.yaml run.dir=ok.yaml/r", 1, "ok.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configs_are_refused_at_the_line_with_the_fix, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(config_files_and_overrides_are_refused, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(command_lines_are_refused, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(data_files_are_refused_by_name, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(checkpoints_are_refused, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_run_with_a_broken_checkpoint_is_not_overwritten, enter_folder, leave_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_is_said_and_costs_nothing, enter_folder, leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
