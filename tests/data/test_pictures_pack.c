/* cache: packed: the same samples as without it, and no file that is wrong is believed. */
#define _GNU_SOURCE /* utimensat, setrlimit */
#include "helper_setup.h"

#include "base/file.h"
#include "base/host.h"
#include "format/png.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

enum { HEAD = 112, ENTRY = 24, PICTURES = 3 };

static char said[1000];

static void listen(void *user, grd_level level, const char *line)
{
    (void)user;
    (void)level;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static int setup_listening(void **state)
{
    (void)state;
    said[0] = 0;
    return setup_with((grd_opts){ .log = listen });
}

/* ---- files ---- */

static const char *in(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void png(const char *name, int width, int height, int channels, int first, int modulus)
{
    grd_host host;
    uint8_t pixels[1024];
    for (int i = 0; i < width * height * channels; i++)
        pixels[i] = (uint8_t)((first + i) % modulus);
    grd_host_init(&host, NULL);
    assert_int_equal(grd_png_write(&host, in(name), width, height, channels, pixels), GRD_OK);
}

/* Three pictures of different sizes with masks of classes 0..2, of which 0 is void. */
static void write_set(void)
{
    char name[20];
    put_text("l.txt", "0.png 0m.png\n1.png 1m.png\n2.png 2m.png\n");
    for (int i = 0; i < PICTURES; i++) {
        snprintf(name, sizeof name, "%d.png", i);
        png(name, 5 + i, 4, 3, 40 * i, 251);
        snprintf(name, sizeof name, "%dm.png", i);
        png(name, 5 + i, 4, 1, i, 3);
    }
}

static grd_status open_set(const char *more, grd_dataset **d)
{
    char spec[1200];
    snprintf(spec, sizeof spec, "list=%s/l.txt columns=image,mask classes=3 void=0 %s", dir, more);
    return grd_dataset_open(ctx, "file_list", spec, d);
}

static grd_status open_packed(grd_dataset **d)
{
    char more[400];
    snprintf(more, sizeof more, "cache=packed cache_file=%s/pack", dir);
    return open_set(more, d);
}

static bytes read_pack(void)
{
    grd_host host;
    bytes b;
    void *data;
    grd_host_init(&host, NULL);
    assert_int_equal(grd_file_read(&host, in("pack"), 0, &data, &b.size), GRD_OK);
    b.data = malloc(b.size);
    memcpy(b.data, data, b.size);
    grd_free(&host, data);
    return b;
}

static int files_named(const char *part)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));)
        n += strstr(e->d_name, part) != NULL;
    closedir(d);
    return n;
}

static void same_samples(const grd_dataset *a, const grd_dataset *b)
{
    grd_sample *s, *t;
    assert_int_equal(grd_dataset_length(a), grd_dataset_length(b));
    ok(ctx, grd_sample_new(a, ctx, &s));
    ok(ctx, grd_sample_new(b, ctx, &t));
    for (int64_t i = 0; i < grd_dataset_length(a); i++) {
        grd_status status = grd_dataset_get(a, i, NULL, s);
        assert_int_equal(grd_dataset_get(b, i, NULL, t), status);
        if (status != GRD_OK) {
            assert_string_equal(s->error, t->error);
            continue;
        }
        for (int f = 0; f < s->n; f++) {
            int64_t size = s->field[f].dtype == GRD_U8 ? 1 : 4;
            assert_true(grd_shape_equal(&s->shape[f], &t->shape[f]));
            for (int k = 0; k < s->shape[f].rank; k++)
                size *= s->shape[f].dim[k];
            assert_memory_equal(s->data[f], t->data[f], (size_t)size);
        }
    }
    grd_sample_free(s, ctx);
    grd_sample_free(t, ctx);
}

/* The pack of write_set is opened, has the samples that there are without it, and this is said of it ("" = nothing). */
static void expect(const char *sentence)
{
    grd_dataset *plain, *packed;
    said[0] = 0;
    ok(ctx, open_set("", &plain));
    ok(ctx, open_packed(&packed));
    if (*sentence ? !strstr(said, sentence) : *said)
        fail_msg("found \"%s\", expected \"%s\"", said, sentence);
    same_samples(plain, packed);
    grd_dataset_free(packed);
    grd_dataset_free(plain);
    assert_int_equal(files_named(".tmp"), 0);
}

/* ---- what it gives ---- */

static uint64_t batches_of(const char *more, int workers)
{
    grd_dataset *d, *cropped;
    grd_loader *l;
    const grd_batch *b;
    uint64_t hash = 1469598103934665603u;
    ok(ctx, open_set(more, &d));
    ok(ctx, grd_dataset_transform(d, "random_crop size=3", &cropped));
    ok(ctx, grd_loader_new(ctx, cropped, &(grd_loader_opts){ .batch = 2, .shuffle = true, .workers = workers, .seed = 5 }, &l));
    for (int epoch = 0; epoch < 3; epoch++) {
        ok(ctx, grd_loader_start(l, epoch, 0));
        for (;;) {
            ok(ctx, grd_loader_next(l, &b));
            if (!b)
                break;
            for (int64_t i = 0; i < b->n * 27; i++)
                hash = (hash ^ ((const uint8_t *)b->data[0])[i]) * 1099511628211u;
            for (int64_t i = 0; i < b->n * 9; i++)
                hash = (hash ^ (uint64_t)((const int32_t *)b->data[1])[i]) * 1099511628211u;
        }
    }
    grd_loader_free(l);
    grd_dataset_free(cropped);
    grd_dataset_free(d);
    return hash;
}

static void batches_are_the_same_with_every_cache(void **state)
{
    (void)state;
    char packed[400];
    write_set();
    snprintf(packed, sizeof packed, "cache=packed cache_file=%s/pack", dir);
    const uint64_t plain = batches_of("", 0);
    for (int workers = 0; workers < 4; workers += 3) {
        assert_true(batches_of("cache=memory", workers) == plain);
        assert_true(batches_of(packed, workers) == plain);
    }
}

static void a_later_run_reads_the_file_and_no_picture(void **state)
{
    (void)state;
    grd_dataset *d;
    grd_sample *s;
    struct stat before, after;
    write_set();
    expect("packing 3 pictures into ");
    assert_int_equal(stat(in("1.png"), &before), 0);
    bytes old = { calloc(1, (size_t)before.st_size), (size_t)before.st_size };
    put(dir, "1.png", old, old.size); /* zeros, but size and time are what they were */
    assert_int_equal(utimensat(AT_FDCWD, in("1.png"), (struct timespec[]){ before.st_atim, before.st_mtim }, 0), 0);
    assert_int_equal(stat(in("pack"), &before), 0);
    said[0] = 0;
    ok(ctx, open_packed(&d));
    assert_string_equal(said, "");
    assert_int_equal(stat(in("pack"), &after), 0);
    assert_true(before.st_ino == after.st_ino);
    ok(ctx, grd_sample_new(d, ctx, &s));
    assert_int_equal(grd_dataset_get(d, 1, NULL, s), GRD_OK);
    assert_int_equal(((uint8_t *)s->data[0])[1], 43); /* red of the second pixel */
    assert_int_equal(((int32_t *)s->data[1])[1], 1);
    assert_int_equal(((int32_t *)s->data[1])[2], -1);
    grd_sample_free(s, ctx);
    free(old.data);
}

static void a_picture_that_cannot_be_read_is_told_when_it_is_asked_for(void **state)
{
    (void)state;
    write_set();
    put_text("1.png", "nothing like a picture");
    expect("packing 3 pictures into ");
    expect("");
    write_set();
    expect("made of other pictures, or with other options");
}

static void without_a_name_it_lies_beside_the_runs(void **state)
{
    (void)state;
    grd_dataset *d;
    char here[1000], path[300];
    write_set();
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(dir), 0);
    ok(ctx, open_set("cache=packed", &d));
    assert_int_equal(chdir(here), 0);
    assert_true(sscanf(said, "packing 3 pictures into %299s", path) == 1);
    assert_memory_equal(path, "runs/pictures-", 14);
    assert_true(grd_file_exists(in(path)));
}

static void the_pictures_of_msrc_come_out_as_they_went_in(void **state)
{
    (void)state;
    const char *real = real_dir("msrc", "classes.txt");
    char spec[1400], more[1800];
    grd_dataset *plain, *packed;
    if (!real)
        skip();
    snprintf(spec, sizeof spec,
             "list=%s/{part}.txt part=val columns=image image=images/{}.jpg mask=labels/{}.png classes=classes.txt void=0", real);
    snprintf(more, sizeof more, "%s cache=packed cache_file=%s/{part}.pack", spec, dir);
    ok(ctx, grd_dataset_open(ctx, "file_list", spec, &plain));
    for (int k = 0; k < 2; k++) {
        ok(ctx, grd_dataset_open(ctx, "file_list", more, &packed));
        assert_true(k == 0 ? strstr(said, "packing 59 pictures into ") != NULL : !*said);
        same_samples(plain, packed);
        said[0] = 0;
    }
    assert_true(grd_file_exists(in("val.pack")));
}

/* ---- what it refuses ---- */

static void a_file_cut_off_anywhere_is_made_anew(void **state)
{
    (void)state;
    char sentence[120];
    write_set();
    expect("packing");
    bytes whole = read_pack();
    for (size_t n = 0; n < whole.size; n += n < HEAD ? 1 : 23) {
        put(dir, "pack", whole, n);
        if (n < HEAD)
            snprintf(sentence, sizeof sentence, "/pack: cut off after %zu bytes: packing the 3 pictures anew", n);
        else
            snprintf(sentence, sizeof sentence, "/pack: cut off after %zu of %zu bytes", n, whole.size);
        expect(sentence);
        bytes again = read_pack();
        assert_true(again.size == whole.size && memcmp(again.data, whole.data, whole.size) == 0);
        free(again.data);
    }
    bytes longer = { calloc(whole.size + 1, 1), whole.size + 1 };
    memcpy(longer.data, whole.data, whole.size);
    put(dir, "pack", longer, longer.size);
    expect("cut off after ");
    expect("");
    free(longer.data);
    free(whole.data);
}

static void a_flipped_byte_anywhere_is_found(void **state)
{
    (void)state;
    grd_dataset *d;
    write_set();
    expect("packing");
    bytes whole = read_pack();
    for (size_t at = 0; at < whole.size; at += at < HEAD + PICTURES * ENTRY || at + 4 > whole.size ? 1 : 3) {
        whole.data[at] ^= 0x20;
        put(dir, "pack", whole, whole.size);
        if (at < 8)
            fails(ctx, GRD_ERR_FORMAT, "/pack: no file of packed pictures: it is left as it is", open_packed(&d));
        else if (at < 16)
            expect("/pack: written by another version or kind of machine: packing");
        else if (at < HEAD)
            expect("/pack: damaged in its head: packing");
        else if (at < HEAD + PICTURES * ENTRY)
            expect("/pack: damaged in its index: packing");
        else
            expect(at + 1 == whole.size ? "/pack: damaged at 2.png: packing" : "/pack: damaged at ");
        whole.data[at] ^= 0x20;
    }
    free(whole.data);
}

static void put_number(bytes *b, size_t at, uint32_t number) { memcpy(b->data + at, &number, sizeof number); }

/* All checksums made right again: what the file then says is looked at all the same. */
static void seal(bytes *b)
{
    size_t at = HEAD + PICTURES * ENTRY;
    for (size_t i = 0; i < PICTURES; i++) {
        const size_t size = (5 + i) * 4 * 4; /* a mask's byte and three of a picture */
        put_number(b, HEAD + i * ENTRY + 16, (uint32_t)crc32(0, b->data + at, (uInt)size));
        at += size;
    }
    put_number(b, HEAD - 8, (uint32_t)crc32(0, b->data + HEAD, PICTURES * ENTRY));
    put_number(b, HEAD - 4, (uint32_t)crc32(0, b->data, HEAD - 4));
}

static void a_file_that_lies_with_right_checksums_is_not_believed(void **state)
{
    (void)state;
    static const struct { size_t at; uint32_t number; const char *sentence; } lie[] = {
        { HEAD + PICTURES * ENTRY, 3, "damaged at 0.png" },       /* label 2 of 2 classes */
        { HEAD + 8, 1 << 20, "its index is wrong at 0.png" },     /* a height beyond the file */
        { HEAD + 8, 0, "its index is wrong at 0.png" },
        { HEAD + 8, UINT32_MAX, "its index is wrong at 0.png" },
        { HEAD + ENTRY, 8, "its index is wrong at 1.png" },       /* begins in the head */
        { HEAD + ENTRY + 4, 1, "its index is wrong at 1.png" },   /* or far away */
        { HEAD + 2 * ENTRY, 0, "longer than its samples" },       /* not there */
        { 16, 4, "damaged in its head" },                         /* samples */
        { 32, 4, "damaged in its head" },                         /* channels */
        { 36, 4, "damaged in its head" },                         /* bytes of a label */
    };
    write_set();
    expect("packing");
    bytes whole = read_pack();
    seal(&whole);
    put(dir, "pack", whole, whole.size);
    expect(""); /* these are the right ones */
    for (size_t i = 0; i < sizeof lie / sizeof *lie; i++) {
        bytes b = { malloc(whole.size), whole.size };
        memcpy(b.data, whole.data, whole.size);
        put_number(&b, lie[i].at, lie[i].number);
        seal(&b);
        put(dir, "pack", b, b.size);
        expect(lie[i].sentence);
        free(b.data);
    }
    free(whole.data);
}

static void somebody_elses_file_is_left_alone(void **state)
{
    (void)state;
    grd_dataset *d;
    write_set();
    put_text("pack", "my only copy");
    fails(ctx, GRD_ERR_FORMAT, "/pack: no file of packed pictures: it is left as it is; give another name", open_packed(&d));
    bytes b = read_pack();
    assert_true(b.size == 12 && memcmp(b.data, "my only copy", 12) == 0);
    free(b.data);
}

static void another_picture_or_option_makes_it_anew(void **state)
{
    (void)state;
    static const char other[] = "/pack: made of other pictures, or with other options: packing the 3 pictures anew";
    grd_dataset *d;
    char more[400];
    struct stat info;
    write_set();
    expect("packing");
    png("2.png", 7, 4, 3, 99, 251); /* another content */
    expect(other);
    expect("");
    assert_int_equal(stat(in("0m.png"), &info), 0);
    info.st_mtim.tv_nsec ^= 1;
    assert_int_equal(utimensat(AT_FDCWD, in("0m.png"), (struct timespec[]){ info.st_atim, info.st_mtim }, 0), 0);
    expect(other);
    put_text("l.txt", "0.png 0m.png\n2.png 2m.png\n1.png 1m.png\n");
    expect(other);
    static const char *const option[] = { "channels=1", "void=-1", "classes=4" };
    for (int k = 0; k < 3; k++) {
        said[0] = 0;
        snprintf(more, sizeof more, "cache=packed cache_file=%s/pack %s", dir, option[k]);
        ok(ctx, open_set(more, &d));
        assert_non_null(strstr(said, other));
        grd_dataset_free(d);
    }
    expect(other);
    expect("");
}

static void options_that_do_not_fit_say_so(void **state)
{
    (void)state;
    grd_dataset *d;
    write_set();
    fails(ctx, GRD_ERR_ARG, "file_list: cache_file: only cache: packed has a file", open_set("cache_file=x", &d));
    put_text("l-val.txt", "0.png 0m.png\n");
    put_text("l-train.txt", "0.png 0m.png\n");
    char spec[800];
    snprintf(spec, sizeof spec, "list=%s/l-{part}.txt part=val columns=image,mask classes=3 cache=packed cache_file=x.pack", dir);
    fails(ctx, GRD_ERR_ARG, "file_list: cache_file: \"x.pack\", expected {part} in it: each part has a file of its own",
          grd_dataset_open(ctx, "file_list", spec, &d));
}

/* ---- when it is made ---- */

static void a_full_disk_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    grd_dataset *d;
    struct rlimit old, small;
    write_set();
    expect("packing");
    bytes whole = read_pack();
    assert_int_equal(unlink(in("pack")), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    signal(SIGXFSZ, SIG_IGN);
    for (size_t n = 0; n < whole.size; n += 41) {
        small.rlim_cur = n;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        grd_status status = open_packed(&d);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        fails(ctx, GRD_ERR_IO, "/pack: cannot write: ", status);
        assert_int_equal(files_named("pack"), 0);
    }
    free(whole.data);
}

/* Some of them want other options, so that they take the file from one another. */
static void processes_that_make_it_at_once_do_no_harm(void **state)
{
    (void)state;
    enum { CHILDREN = 6 };
    char more[400], grey[420];
    pid_t child[CHILDREN];
    write_set();
    snprintf(more, sizeof more, "cache=packed cache_file=%s/pack", dir);
    snprintf(grey, sizeof grey, "%s channels=1", more);
    for (int k = 0; k < CHILDREN; k++) {
        child[k] = fork();
        if (child[k])
            continue;
        for (int turn = 0; turn < 6; turn++) {
            grd_dataset *plain, *packed;
            ok(ctx, open_set(k % 3 ? "" : "channels=1", &plain));
            ok(ctx, open_set(k % 3 ? more : grey, &packed));
            same_samples(plain, packed);
            grd_dataset_free(packed);
            grd_dataset_free(plain);
        }
        _exit(0);
    }
    for (int k = 0; k < CHILDREN; k++) {
        int status;
        assert_int_equal(waitpid(child[k], &status, 0), child[k]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(files_named(".tmp"), 0);
    assert_int_equal(files_named("pack"), 1);
}

static void refused_memory_is_an_error_wherever_it_happens(void **state)
{
    (void)state;
    char spec[600];
    write_set();
    snprintf(spec, sizeof spec, "list=%s/l.txt columns=image,mask classes=3 cache=packed cache_file=%s/{part}-pack", dir, dir);
    for (int there = 0; there < 2; there++) {
        bool done = false;
        for (int refuse = 1; !done; refuse++) {
            counter c = { 0 };
            grd_allocator a = counting(&c);
            grd_ctx *own = grd_open(&(grd_opts){ .allocator = &a });
            grd_dataset *d;
            c.refuse = c.calls + refuse;
            grd_status status = grd_dataset_open(own, "file_list", spec, &d);
            done = c.calls < c.refuse;
            assert_true(status == GRD_OK || (status == GRD_ERR_MEMORY && !done)); /* sizes that are not seen now are seen later */
            grd_close(own);
            assert_int_equal(c.live, 0);
            assert_int_equal(files_named(".tmp"), 0);
            if (!there && !done) /* what was packed before memory was refused is whole */
                unlink(in("train-pack"));
        }
    }
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup_listening, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(batches_are_the_same_with_every_cache),
        ONE(a_later_run_reads_the_file_and_no_picture),
        ONE(a_picture_that_cannot_be_read_is_told_when_it_is_asked_for),
        ONE(without_a_name_it_lies_beside_the_runs),
        ONE(the_pictures_of_msrc_come_out_as_they_went_in),
        ONE(a_file_cut_off_anywhere_is_made_anew),
        ONE(a_flipped_byte_anywhere_is_found),
        ONE(a_file_that_lies_with_right_checksums_is_not_believed),
        ONE(somebody_elses_file_is_left_alone),
        ONE(another_picture_or_option_makes_it_anew),
        ONE(options_that_do_not_fit_say_so),
        ONE(a_full_disk_is_an_error_and_leaves_nothing),
        ONE(processes_that_make_it_at_once_do_no_harm),
        ONE(refused_memory_is_an_error_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
