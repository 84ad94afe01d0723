#define _GNU_SOURCE
#include "helper_train.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void check_ok(const grd_ctx *ctx, grd_status status, const char *file, int line)
{
    if (status != GRD_OK) {
        fprintf(stderr, "%s:%d: %s: %s\n", file, line, grd_status_name(status), grd_error(ctx));
        fail();
    }
}

static void build(run *r)
{
    r->graph = grd_graph_new(r->ctx);
    grd_var x = grd_input(r->graph, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 2 });
    grd_var y = grd_input(r->graph, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_relu(grd_batchnorm(grd_linear(x, &(grd_linear_opts){ .out = 24 }), NULL));
    h = grd_linear(grd_dropout(h, 0.1), &(grd_linear_opts){ .out = 3 });
    r->logits = h;
    r->loss = grd_cross_entropy(h, y, NULL);
    r->accuracy = grd_accuracy(h, y, NULL);
}

void run_open(run *r, const grd_opts *opts)
{
    memset(r, 0, sizeof *r);
    r->ctx = grd_open(opts ? opts : &(grd_opts){ .seed = 7, .threads = 2 });
    assert_non_null(r->ctx);
    build(r);
    OK(r->ctx, grd_model_new(r->graph, NULL, &r->model));
    OK(r->ctx, grd_dataset_open(r->ctx, "spirals", "n=100 classes=3 seed=1", &r->train));
    OK(r->ctx, grd_dataset_open(r->ctx, "spirals", "n=60 classes=3 seed=2", &r->val));
    r->opts = (grd_trainer_opts){ .model = r->model,
                                  .loss = r->loss,
                                  .metrics = { r->accuracy },
                                  .train = r->train,
                                  .val = r->val,
                                  .optim = "adam lr=1e-2",
                                  .epochs = 3,
                                  .batch = 16,
                                  .patience = GRD_OFF };
}

void run_start(run *r) { OK(r->ctx, grd_trainer_new(r->ctx, &r->opts, &r->trainer)); }

grd_status run_fit(run *r)
{
    run_start(r);
    return grd_trainer_fit(r->trainer);
}

void run_close(run *r)
{
    grd_close(r->ctx);
    memset(r, 0, sizeof *r);
}

/* ---- files ---- */

void make_folder(char path[256], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, 256, "%s/gradus-%s-XXXXXX", tmp ? tmp : "/tmp", name);
    assert_non_null(mkdtemp(path));
}

void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

char *read_text(const char *dir, const char *name, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct stat info;
    assert_int_equal(fstat(fileno(file), &info), 0);
    char *text = calloc(1, (size_t)info.st_size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)info.st_size, file), info.st_size);
    fclose(file);
    if (size)
        *size = (size_t)info.st_size;
    return text;
}

bool is_there(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

int count_files(const char *path, const char *part)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strstr(entry->d_name, part) != NULL;
    closedir(dir);
    return n;
}

char *read_metrics(const char *dir)
{
    char *text = read_text(dir, "metrics.jsonl", NULL), *out = text;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n'), *cut = strstr(line, ", \"seconds\":");
        assert_non_null(end);
        assert_true(cut && cut < end);
        memmove(out, line, (size_t)(cut - line));
        out += cut - line;
        *out++ = '\n';
        line = end + 1;
    }
    *out = 0;
    return text;
}

void *model_values(run *r, size_t *size)
{
    int64_t params, states;
    const char *p = grd_model_arena(r->model, &params), *s = grd_model_state_arena(r->model, &states);
    *size = (size_t)(params + states) * sizeof(float);
    char *copy = malloc(*size);
    assert_non_null(copy);
    memcpy(copy, p, (size_t)params * sizeof(float));
    memcpy(copy + (size_t)params * sizeof(float), s, (size_t)states * sizeof(float));
    return copy;
}

/* ---- memory ---- */

static void *counted_alloc(void *user, size_t bytes)
{
    counter *c = user;
    long call = __atomic_add_fetch(&c->calls, 1, __ATOMIC_RELAXED);
    return c->fail_at && call >= c->fail_at ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void counted_free(void *user, void *memory)
{
    (void)user;
    free(memory);
}

grd_allocator counting(counter *c) { return (grd_allocator){ counted_alloc, counted_free, c }; }
