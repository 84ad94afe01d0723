/* Running the command as a user does: in a folder of its own, what it prints and its exit code taken down. */
#ifndef GRD_TESTS_CLI_HELPER_H
#define GRD_TESTS_CLI_HELPER_H

/* cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <sys/types.h>

/* cmocka's setup and teardown: a new folder as the current one; back and away with it. */
int enter_folder(void **state);
int leave_folder(void **state);

/* A small config, ok.yaml: random samples, two subsets, two epochs of six steps. */
extern const char *const small_config;

void write_text(const char *path, const char *text);
void write_bytes(const char *path, const void *bytes, size_t size);
char *read_text(const char *path, size_t *size); /* zero-terminated; free() it. size may be NULL */
char *read_metrics(const char *dir);             /* dir/metrics.jsonl without the seconds */
bool is_there(const char *path);
/* n images of 4x4 and n labels (i % 10) as IDX files under the usual names, part "train" or "t10k". */
void write_idx(const char *dir, const char *part, int n);

typedef struct result {
    int code; /* exit code; 128 + signal */
    char *out, *err;
} result;

/* `line` is cut at spaces; its first word follows the command's name. */
result gradus(const char *line);
/* The same with files limited to so many bytes, as on a full disk; with another file as stdout. */
result gradus_limited(const char *line, size_t bytes);
result gradus_into(const char *line, const char *stdout_path);
/* Starts it and returns at once; what it prints goes to the file `log`. */
pid_t gradus_start(const char *line, const char *log);
int gradus_wait(pid_t pid);

/* Both are checked: the code, and a piece of text in what was printed (stderr; stdout if it begins with '>'). */
void expect(const char *line, int code, const char *text);

#endif
