#define _GNU_SOURCE
#include "helper_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const small_config = "run: {name: small, epochs: 2, batch: 20, threads: 1}\n"
                                 "data:\n"
                                 "  source: spirals\n"
                                 "  n: 160\n"
                                 "  classes: 3\n"
                                 "  subsets: {fit: {per_class: 40}, choose: {}}\n"
                                 "  train: fit\n"
                                 "  val: choose\n"
                                 "model: {layers: [{linear: 8}, relu, {linear: 3}]}\n"
                                 "loss: cross_entropy\n"
                                 "metrics: [accuracy]\n"
                                 "optim: {adam: {lr: 1e-2}}\n";

static char folder[256];

int enter_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/gradus-cli-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    write_text("ok.yaml", small_config);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

int leave_folder(void **state)
{
    (void)state;
    return chdir("/") == 0 && nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -1;
}

/* ---- files ---- */

void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

char *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
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

char *read_metrics(const char *dir)
{
    char path[300];
    snprintf(path, sizeof path, "%s/metrics.jsonl", dir);
    char *text = read_text(path, NULL), *out = text;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n'), *cut = strstr(line, ", \"seconds\":");
        assert_true(end && cut && cut < end);
        memmove(out, line, (size_t)(cut - line));
        out += cut - line;
        *out++ = '\n';
        line = end + 1;
    }
    *out = 0;
    return text;
}

bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

void write_idx(const char *dir, const char *part, int n)
{
    enum { SIDE = 4, PIXELS = SIDE * SIDE };
    char path[300];
    uint8_t *bytes = calloc(1, 16 + (size_t)n * PIXELS);
    assert_non_null(bytes);
    const uint8_t images[16] = { 0, 0, 8, 3, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, SIDE, 0, 0, 0, SIDE };
    memcpy(bytes, images, sizeof images);
    for (int i = 0; i < n * PIXELS; i++)
        bytes[16 + i] = (uint8_t)(i * 7 % 256);
    snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", dir, part);
    write_bytes(path, bytes, 16 + (size_t)n * PIXELS);
    const uint8_t labels[8] = { 0, 0, 8, 1, 0, 0, (uint8_t)(n >> 8), (uint8_t)n };
    memcpy(bytes, labels, sizeof labels);
    for (int i = 0; i < n; i++)
        bytes[8 + i] = (uint8_t)(i % 10);
    snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", dir, part);
    write_bytes(path, bytes, 8 + (size_t)n);
    free(bytes);
}

/* ---- running ---- */

static pid_t start(const char *line, const char *out, const char *err, size_t limit)
{
    char copy[512], *word[32] = { "gradus" }, *rest;
    int n = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &rest); w && n < 31; w = strtok_r(NULL, " ", &rest))
        word[n++] = w;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    int in = open("/dev/null", O_RDONLY);
    int to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int errors = strcmp(out, err) == 0 ? to : open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (in < 0 || to < 0 || errors < 0 || dup2(in, 0) < 0 || dup2(to, 1) < 0 || dup2(errors, 2) < 0)
        _exit(126);
    if (limit && setrlimit(RLIMIT_FSIZE, &(struct rlimit){ limit, limit }) != 0)
        _exit(126);
    execv(GRD_BINARY_DIR "/gradus", word);
    _exit(127);
}

int gradus_wait(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Kept until the next run; nobody frees. */
static result finish(pid_t pid, const char *out)
{
    static result last;
    free(last.out);
    free(last.err);
    last.code = gradus_wait(pid);
    last.out = out ? read_text(out, NULL) : calloc(1, 1);
    last.err = read_text(".err", NULL);
    return last;
}

result gradus(const char *line)
{
    return finish(start(line, ".out", ".err", 0), ".out");
}

result gradus_limited(const char *line, size_t bytes)
{
    return finish(start(line, ".out", ".err", bytes), ".out");
}

result gradus_into(const char *line, const char *stdout_path)
{
    return finish(start(line, stdout_path, ".err", 0), NULL);
}

pid_t gradus_start(const char *line, const char *log)
{
    return start(line, log, log, 0);
}

void expect(const char *line, int code, const char *text)
{
    result r = gradus(line);
    bool in_out = text[0] == '>';
    if (r.code != code || !strstr(in_out ? r.out : r.err, text + in_out))
        fail_msg("gradus %s: exit %d, expected %d; expected \"%s\" in %s, found\n%s%s", line, r.code, code, text + in_out,
                 in_out ? "stdout" : "stderr", r.out, r.err);
}
