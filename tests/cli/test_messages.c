/* What the command says about data that are wrong: for each case below one line on stderr, which stands in golden_messages.txt
 * beside this file (name, tab, message; the test's folder as DIR). GRADUS_UPDATE_GOLDEN=1 writes that file anew: read what
 * changed. A message says where, what was found and what was expected, in one sentence. */
#define _POSIX_C_SOURCE 200809L
#include "spoilt_files.h"

#define GOLDEN GRD_SOURCE_DIR "/tests/cli/golden_messages.txt"

typedef struct bad_case {
    const char *name, *data; /* what stands in data: {...} of c.yaml; all of c.yaml if there is a line's end in it */
    void (*make)(void);
    const char *file, *text; /* one more file */
    const char *line;        /* NULL: check c.yaml */
} bad_case;

/* ---- the cases ---- */

#define CSV "source: csv, file: t.csv, target: y"
#define CATS "source: image_folder, dir: ."
#define FACES "source: keypoints, dir: ., images: train-images-idx3-ubyte, points: p.csv"
#define TABLE "a,b,y\n1,2,x\n3,4,z\n5,6,x\n7,8,z\n"

static const bad_case cases[] = {
    { .name = "idx-folder", .data = "source: idx, dir: none" },
    { .name = "idx-no-files", .data = "source: idx, dir: ." },
    { .name = "idx-empty", .data = "source: idx, dir: .", .make = idx_empty },
    { .name = "idx-cut", .data = "source: idx, dir: .", .make = idx_short },
    { .name = "idx-magic", .data = "source: idx, dir: .", .make = idx_magic },
    { .name = "idx-counts-lie", .data = "source: idx, dir: .", .make = idx_count },
    { .name = "idx-unequal-counts", .data = "source: idx, dir: .", .make = idx_unequal },
    { .name = "idx-label", .data = "source: idx, dir: .", .make = idx_label },
    { .name = "idx-gzip-cut", .data = "source: idx, dir: .", .make = idx_gzip },
    { .name = "cifar-cut", .data = "source: cifar10, dir: .", .make = cifar_size },
    { .name = "cifar-label", .data = "source: cifar10, dir: .", .make = cifar_label },
    { .name = "cifar-missing", .data = "source: cifar10, dir: .", .make = cifar_missing },
    { .name = "tar-cut", .data = "source: cifar10, dir: .", .make = tar_cut },
    { .name = "tar-checksum", .data = "source: cifar10, dir: .", .make = tar_checksum },

    { .name = "csv-no-file", .data = CSV },
    { .name = "csv-empty", .data = CSV, .file = "t.csv", .text = "" },
    { .name = "csv-header-only", .data = CSV, .file = "t.csv", .text = "a,b,y\n" },
    { .name = "csv-date", .data = CSV, .file = "t.csv", .text = "a,b,y\n1,2024-02-30,x\n2,2024-03-01,z\n" },
    { .name = "csv-ragged", .data = CSV, .file = "t.csv", .text = "a,b,y\n1,2,x\n3,z\n" },
    { .name = "csv-quote", .data = CSV, .file = "t.csv", .text = "a,b,y\n1,\"2,x\n3,4,z\n" },
    { .name = "csv-column", .data = CSV "r", .file = "t.csv", .text = "a,b,yr2\n1,2,x\n" },
    { .name = "csv-number", .data = CSV ", task: regression", .file = "t.csv", .text = "a,b,y\n1,2,3\n3,4,many\n" },
    { .name = "csv-no-target", .data = CSV, .file = "t.csv", .text = "a,b,y\n1,2,x\n3,4,\n" },
    { .name = "csv-class", .data = CSV ", classes: \"x,w\"", .file = "t.csv", .text = TABLE },
    { .name = "csv-zero-byte", .data = CSV, .make = binary_table },
    { .name = "csv-parts", .data = CSV ", parts: [0.8, 0.2, 0.1]", .file = "t.csv", .text = TABLE },
    { .name = "csv-xz", .data = "source: csv, file: t.csv.xz, target: y", .make = xz_damaged },

    { .name = "npy-not", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_not },
    { .name = "npy-header", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_header },
    { .name = "npy-complex", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_type },
    { .name = "npy-objects", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_object },
    { .name = "npy-cut", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_short },
    { .name = "npy-overflow", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_huge },
    { .name = "npy-scalar", .data = "source: npy, arrays: \"image:x.npy\"", .make = npy_scalar },
    { .name = "npy-unequal", .data = "source: npy, arrays: \"image:x.npy,label:y.npy\"", .make = npy_unequal },
    { .name = "npy-label", .data = "source: npy, arrays: \"image:x.npy,label:y.npy\", classes: 3",
      .make = npy_label },
    { .name = "npz-member", .data = "source: npz, file: a.npz, arrays: \"image:images\"", .make = npz },
    { .name = "npz-cut", .data = "source: npz, file: a.npz", .make = npz_cut },
    { .name = "npz-damaged", .data = "source: npz, file: a.npz", .make = npz_damaged },

    { .name = "text-no-file", .data = "source: text, file: t.txt, length: 4" },
    { .name = "text-empty", .data = "source: text, file: t.txt, length: 4", .file = "t.txt", .text = "" },
    { .name = "text-utf8", .data = "source: text, file: t.txt, length: 4, save_vocab: v.json",
      .file = "t.txt", .text = "abc\nab\xff" "def and more\n" },
    { .name = "text-short", .data = "source: text, file: t.txt, length: 400", .file = "t.txt", .text = "abc\n" },
    { .name = "text-parts", .data = "source: text, file: t.txt, length: 2, parts: [0.9, 0.2, 0.1]",
      .file = "t.txt", .text = "abcdefgh" },
    { .name = "bpe-model", .data = "source: text, file: t.txt, length: 4, tokenizer: bpe, vocab: v.json",
      .make = bpe_json },
    { .name = "vocab-item", .data = "source: text, file: t.txt, length: 4, vocab: v.json", .make = vocab_json },
    { .name = "vocab-utf8", .data = "source: text, file: t.txt, length: 4, vocab: v.json", .make = vocab_utf8 },
    { .name = "vocab-cut", .data = "source: text, file: t.txt, length: 4, vocab: v.json", .make = vocab_cut },
    { .name = "labelled-column", .data = "source: labelled_text, file: t.tsv",
      .file = "t.tsv", .text = "label\twords\nx\tone\n" },
    { .name = "labelled-empty", .data = "source: labelled_text, file: t.tsv",
      .file = "t.tsv", .text = "label\ttext\n" },
    { .name = "parallel-unequal", .data = "source: parallel_text, from: \"{part}.en\", to: \"{part}.de\"",
      .make = unequal_lines },
    { .name = "parallel-empty", .data = "source: parallel_text, from: \"{part}.en\", to: \"{part}.de\"",
      .make = no_lines },
    { .name = "keypoints-odd", .data = FACES, .make = faces_of_half_points },
    { .name = "keypoints-rows", .data = FACES, .make = faces_few },
    { .name = "keypoints-word", .data = FACES, .make = faces_of_words },

    { .name = "png-cut", .data = CATS, .make = png_cut, .line = "data stats c.yaml" },
    { .name = "png-crc", .data = CATS, .make = png_crc },
    { .name = "png-header", .data = CATS, .make = png_header_only },
    { .name = "png-of-text", .data = CATS, .make = png_of_text },
    { .name = "jpeg-cut", .data = CATS, .make = jpeg_cut },
    { .name = "jpeg-header", .data = CATS, .make = jpeg_head },
    { .name = "bmp-of-jpeg", .data = CATS, .make = bmp_of_jpeg },
    { .name = "picture-empty", .data = CATS, .make = empty_picture, .line = "data show c.yaml --out o.png" },
    { .name = "picture-sizes", .data = CATS ", transform: [scale]", .make = another_size },
    { .name = "folder-missing", .data = "source: image_folder, dir: none" },
    { .name = "folder-empty", .data = "source: image_folder, dir: none", .make = no_class },
    { .name = "folder-class-empty", .data = CATS, .make = empty_class },
    { .name = "folder-class-unknown", .data = CATS ", classes: names.txt", .make = unknown_class },
    { .name = "mask-size", .data = "source: image_pairs, dir: ., classes: 3", .make = mask_size },
    { .name = "mask-16-bit", .data = "source: image_pairs, dir: ., classes: 3", .make = mask_class },
    { .name = "mask-colour", .data = "source: image_pairs, dir: ., classes: classes.txt", .make = mask_color },
    { .name = "mask-missing", .data = "source: image_pairs, dir: ., classes: 3", .make = mask_missing },
    { .name = "mask-no-classes-file", .data = "source: image_pairs, dir: ., classes: names.txt",
      .make = picture_and_mask },
    { .name = "classes-same-colour", .data = "source: image_pairs, dir: ., classes: classes.txt",
      .make = two_of_a_color },
    { .name = "list-missing", .data = "source: file_list, list: l.txt" },
    { .name = "list-empty", .data = "source: file_list, list: l.txt", .file = "l.txt", .text = "# nothing\n" },
    { .name = "list-file", .data = "source: file_list, list: l.txt", .make = one_picture,
      .file = "l.txt", .text = "a.png 0\nb.png 1\n" },
    { .name = "list-words", .data = "source: file_list, list: l.txt", .make = one_picture,
      .file = "l.txt", .text = "a.png 0\na.png\n" },
    { .name = "list-label", .data = "source: file_list, list: l.txt, classes: 2", .make = one_picture,
      .file = "l.txt", .text = "a.png 0\na.png 2\n" },
    { .name = "list-number", .data = "source: file_list, list: l.txt, columns: image points", .make = one_picture,
      .file = "l.txt", .text = "a.png 1 2\na.png 1 x\n" },
    { .name = "list-points-odd", .data = "source: file_list, list: l.txt, columns: image points", .make = one_picture,
      .file = "l.txt", .text = "a.png 1 2 3\n" },

    { .name = "source-unknown", .data = "source: image_foldr, dir: ." },
    { .name = "option-unknown", .data = "source: csv, fiel: t.csv", .file = "t.csv", .text = TABLE },
    { .name = "option-missing", .data = "source: csv, target: y", .file = "t.csv", .text = TABLE },
    { .name = "fraction-over-1", .data = CSV ", val_fraction: 1.5", .file = "t.csv", .text = TABLE },
    { .name = "fraction-of-few", .data = CSV ", val_fraction: 0.01", .file = "t.csv", .text = TABLE },
    { .name = "subsets-over-1", .data = CSV ", subsets: {a: {fraction: 0.7}, b: {fraction: 0.6}}, train: a",
      .file = "t.csv", .text = TABLE },
    { .name = "subset-count", .data = CSV ", subsets: {a: {count: 70}}, train: a", .file = "t.csv", .text = TABLE },
    { .name = "folds-1", .data = CSV ", folds: 1", .file = "t.csv", .text = TABLE },
    { .name = "fold-range", .data = CSV ", folds: 3, fold: 3", .file = "t.csv", .text = TABLE },
    { .name = "folds-many", .data = CSV ", folds: 50", .file = "t.csv", .text = TABLE },
    { .name = "stratify-field", .data = CSV ", val_fraction: 0.5, stratify: lable", .file = "t.csv", .text = TABLE },
    { .name = "exclude-nothing", .data = CATS ", exclude: x.txt", .make = two_classes,
      .file = "x.txt", .text = "cat/9.png\n" },
    { .name = "exclude-no-file", .data = CATS ", exclude: x.txt", .make = two_classes },
    { .name = "exclude-all", .data = CATS ", exclude: x.txt", .make = two_classes,
      .file = "x.txt", .text = "cat/1.png\ndog/1.png\n" },
    { .name = "relabel-class", .data = CATS ", relabel: x.txt", .make = two_classes,
      .file = "x.txt", .text = "cat/1.png fox\n" },
    { .name = "relabel-line", .data = CATS ", relabel: x.txt", .make = two_classes,
      .file = "x.txt", .text = "cat/1.png\n" },
    { .name = "batch-0", .data = CSV, .file = "t.csv", .text = TABLE, .line = "check c.yaml run.batch=0" },
    { .name = "sampler-unknown", .data = CSV ", sampler: balance", .file = "t.csv", .text = TABLE },
    { .name = "sampler-no-classes", .data = CSV ", sampler: balanced",
      .file = "t.csv", .text = "a,y\n1,2\n3,4\n5,6.5\n", .line = "data bench c.yaml" },
    { .name = "sampler-no-lengths", .data = CSV ", sampler: bucketed",
      .file = "t.csv", .text = TABLE, .line = "data bench c.yaml" },
    { .name = "transform-unknown", .data = CSV ", transform: [standardise]", .file = "t.csv", .text = TABLE },
    { .name = "transform-field", .data = CSV ", transform: [random_horizontal_flip]",
      .file = "t.csv", .text = TABLE },
    { .name = "crop-too-large", .data = CATS ", transform: [{random_crop: 12}]", .make = two_classes },
    { .name = "yaml-indent", .data = "data:\n  source: csv\n file: t.csv\n" },
    { .name = "yaml-list", .data = "data: [csv, t.csv]\nmodel: {layers: [{linear: 2}]}\nloss: cross_entropy\n" },
    { .name = "yaml-twice", .data = "data: {source: csv, file: a.csv, file: b.csv}\nmodel: {layers: [{linear: 2}]}\nloss: cross_entropy\n" },
    { .name = "yaml-no-source", .data = "data: {file: a.csv}\nmodel: {layers: [{linear: 2}]}\nloss: cross_entropy\n" },
    { .name = "yaml-utf8", .data = "data: {source: csv, file: caf\xe9.csv}\n" },
    { .name = "yaml-tab", .data = "data:\n\tsource: csv\n" },
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* ---- the golden file ---- */

/* The message of `name` in the file's text; NULL if there is none. */
static const char *golden_of(const char *text, const char *name, size_t *size)
{
    for (const char *line = text; *line;) {
        const char *end = line + strcspn(line, "\n"), *tab = memchr(line, '\t', (size_t)(end - line));
        if (tab && strlen(name) == (size_t)(tab - line) && strncmp(line, name, strlen(name)) == 0) {
            *size = (size_t)(end - tab - 1);
            return tab + 1;
        }
        line = *end ? end + 1 : end;
    }
    return NULL;
}

static int case_of(const char *name, size_t size)
{
    for (int i = 0; i < N_CASES; i++)
        if (strlen(cases[i].name) == size && strncmp(cases[i].name, name, size) == 0)
            return i;
    return -1;
}

/* The folder's name becomes DIR. */
static void hide_folder(char *text)
{
    char dir[300];
    assert_non_null(getcwd(dir, sizeof dir));
    for (char *at; (at = strstr(text, dir));) {
        memcpy(at, "DIR", 3);
        memmove(at + 3, at + strlen(dir), strlen(at + strlen(dir)) + 1);
    }
}

/* What the command says; the exit code is 2 for what the config says and 1 for what the data are. */
static char *message_of(const bad_case *c)
{
    char config[700];
    void *state = NULL;
    assert_int_equal(enter_folder(&state), 0);
    snprintf(config, sizeof config,
             strchr(c->data, '\n') ? "%s" : "data: {%s}\nmodel: {layers: [flatten, {linear: 10}]}\nloss: cross_entropy\n", c->data);
    write_text("c.yaml", config);
    if (c->make)
        c->make();
    if (c->file)
        write_text(c->file, c->text);
    result r = gradus(c->line ? c->line : "check c.yaml");
    const char *end = strchr(r.err, '\n');
    const bool good = (r.code == 1 || r.code == 2) && end && !end[1];
    char *message = good ? strdup(r.err) : NULL;
    if (good) {
        message[end - r.err] = 0;
        hide_folder(message);
    } else {
        print_error("%s: exit %d, expected 1 or 2 and one line on stderr, found\n%s%s", c->name, r.code, r.err, r.out);
    }
    assert_int_equal(leave_folder(&state), 0);
    return message;
}

static void every_message_is_as_written_down(void **state)
{
    (void)state;
    const bool update = getenv("GRADUS_UPDATE_GOLDEN");
    char *golden = update ? calloc(1, 1) : read_text(GOLDEN, NULL);
    FILE *out = update ? fopen(GOLDEN, "w") : NULL;
    assert_true(golden && (out || !update));
    int wrong = 0;
    for (int i = 0; i < N_CASES; i++) {
        assert_int_equal(case_of(cases[i].name, strlen(cases[i].name)), i); /* no name twice */
        char *found = message_of(&cases[i]);
        size_t size = 0;
        const char *expected = golden_of(golden, cases[i].name, &size);
        if (update && found)
            fprintf(out, "%s\t%s\n", cases[i].name, found);
        if (!found || (!update && (!expected || strlen(found) != size || strncmp(found, expected, size) != 0))) {
            print_error("%s: expected\n%.*s\nfound\n%s\n", cases[i].name, (int)size, expected ? expected : "", found ? found : "");
            wrong++;
        }
        free(found);
    }
    if (out)
        assert_int_equal(fclose(out), 0);
    free(golden);
    assert_int_equal(wrong, 0);
}

static void every_line_of_the_file_has_its_case(void **state)
{
    (void)state;
    char *golden = read_text(GOLDEN, NULL);
    int n = 0;
    for (char *line = golden, *rest; (line = strtok_r(n ? NULL : line, "\n", &rest)); n++)
        if (case_of(line, strcspn(line, "\t")) != n)
            fail_msg("golden_messages.txt:%d: \"%.*s\" is not case %d of this test", n + 1, (int)strcspn(line, "\t"), line, n + 1);
    assert_int_equal(n, N_CASES);
    free(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_message_is_as_written_down),
                                        cmocka_unit_test(every_line_of_the_file_has_its_case) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
