/* The house rules that a reader relies on and a compiler does not see: dependencies point one way, the command knows public
 * headers only, public headers stand alone, numbers are never bent by compiler flags, nothing but the API is exported,
 * nothing is left half done, lines fit on a screen. It reads the source tree and knows nothing of the library. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>

#include <cmocka.h>

/* ---- the order, base first: an include may point to its own level or below ---- */

typedef struct level {
    const char *name;
    int level;
} level;

static const level folders[] = {
    { "base", 0 },  { "tensor", 1 }, { "op", 2 },   { "graph", 3 }, { "plan", 3 }, { "backend", 3 }, { "nn", 4 },
    { "optim", 5 }, { "format", 6 }, { "data", 7 }, { "train", 8 }, { "tune", 9 }, { "config", 10 },
};
static const level public_headers[] = {
    { "base.h", 0 }, { "tensor.h", 1 }, { "op.h", 2 },   { "ops.h", 2 },   { "graph.h", 3 }, { "plan.h", 3 },
    { "nn.h", 4 },   { "optim.h", 5 },  { "data.h", 7 }, { "inspect.h", 7 }, { "train.h", 8 }, { "run.h", 10 },  { "gradus.h", 11 },
};
enum { UNKNOWN = -1 };

/* The level of the word up to the next slash or the end. */
static int level_of(const level *table, size_t n, const char *word)
{
    size_t length = strcspn(word, "/");
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0)
            return table[i].level;
    return UNKNOWN;
}
#define LEVEL_OF(table, word) level_of(table, sizeof(table) / sizeof *(table), word)

/* What is wrong with `header` ("base/host.h", "gradus/op.h", "math.h") in the file `path` ("src/op/registry.c"); NULL = nothing. */
static const char *include_fault(const char *path, const char *header, bool quoted)
{
    bool in_src = strncmp(path, "src/", 4) == 0, in_cli = strncmp(path, "cli/", 4) == 0;
    bool to_public = strncmp(header, "gradus/", 7) == 0, to_folder = strchr(header, '/') && LEVEL_OF(folders, header) != UNKNOWN;
    if (to_public && LEVEL_OF(public_headers, header + 7) == UNKNOWN)
        return "is a public header without a place in the order";
    if (in_cli)
        return to_folder || (quoted && strchr(header, '/')) ? "is not public" : NULL;
    if (!in_src)
        return to_folder || quoted ? "is not public" : NULL; /* include/gradus */
    int mine = LEVEL_OF(folders, path + 4);
    if (mine == UNKNOWN)
        return "stands in a folder without a place in the order";
    if (to_public)
        return LEVEL_OF(public_headers, header + 7) > mine ? "points up" : NULL;
    if (to_folder)
        return LEVEL_OF(folders, header) > mine ? "points up" : NULL;
    return quoted && strchr(header, '/') ? "is in no folder of ours" : NULL;
}

/* ---- reading the tree ---- */

typedef struct finding {
    int files, faults;
} finding;
typedef void (*look)(const char *path, char *text, finding *found); /* path from the source folder on */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static char *read_text(const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", GRD_SOURCE_DIR, path);
    FILE *file = fopen(full, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    text[size] = 0;
    fclose(file);
    return text;
}

/* Calls fn on every file below `path` (or on `path` itself) whose name ends with one of the words in `endings`. */
static void walk(const char *path, const char *const *endings, look fn, finding *found)
{
    char full[1024];
    struct stat info;
    snprintf(full, sizeof full, "%s/%s", GRD_SOURCE_DIR, path);
    if (stat(full, &info) != 0)
        return;
    if (!S_ISDIR(info.st_mode)) {
        bool wanted = false;
        for (int i = 0; endings[i]; i++)
            wanted = wanted || ends_with(path, endings[i]);
        if (wanted) {
            char *text = read_text(path);
            found->files++;
            fn(path, text, found);
            free(text);
        }
        return;
    }
    DIR *dir = opendir(full);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char below[1024];
        assert_true(snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below);
        walk(below, endings, fn, found);
    }
    closedir(dir);
}

static const char *const c_files[] = { ".c", ".h", NULL };
static const char *const build_files[] = { "CMakeLists.txt", ".cmake", ".in", "Makefile", ".ci/run", ".sh", NULL };
static const char *const all_files[] = { ".c", ".h", ".txt", ".cmake", ".in", ".md", ".yaml", ".sh", "Makefile", ".ci/run", NULL };
static const char *const everything[] = { "src",   "cli",  "include", "tests", "examples",       "recipes",  "bench",     "docs",
                                          "cmake", "tools", ".ci/run", "Makefile", "CMakeLists.txt", "README.md", "CONTRIBUTING.md",
                                          "packages.txt" };
#define WALK_ALL(endings, fn, found)                                                 \
    for (size_t root_ = 0; root_ < sizeof everything / sizeof *everything; root_++) \
    walk(everything[root_], endings, fn, found)

/* ---- includes ---- */

static void look_at_includes(const char *path, char *text, finding *found)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char open, header[256];
        line += strspn(line, " \t");
        if (*line != '#' || sscanf(line + 1, " include %c%255[^\">]", &open, header) != 2)
            continue;
        const char *fault = include_fault(path, header, open == '"');
        if (fault) {
            print_error("%s: #include of %s: it %s\n", path, header, fault);
            found->faults++;
        }
    }
}

static void includes_point_down(void **state)
{
    (void)state;
    finding found = { 0, 0 };
    walk("src", c_files, look_at_includes, &found);
    assert_true(found.files > 20);
    assert_int_equal(found.faults, 0);
}

static void command_and_public_headers_know_public_headers_only(void **state)
{
    (void)state;
    finding found = { 0, 0 };
    walk("cli", c_files, look_at_includes, &found);
    walk("include", c_files, look_at_includes, &found);
    assert_true(found.files > 10);
    assert_int_equal(found.faults, 0);
}

static void wrong_includes_are_caught(void **state)
{
    (void)state;
    assert_null(include_fault("src/op/registry.c", "base/ctx.h", true));
    assert_null(include_fault("src/op/registry.c", "gradus/ops.h", false));
    assert_null(include_fault("src/plan/plan.c", "backend/backend.h", true));
    assert_null(include_fault("src/backend/ref/ref.c", "plan/layout.h", true));
    assert_null(include_fault("src/op/rows/norm.c", "batchnorm.h", true));
    assert_null(include_fault("src/data/loader.c", "pthread.h", false));
    assert_null(include_fault("src/data/loader.c", "sys/stat.h", false));
    assert_null(include_fault("cli/main.c", "gradus/gradus.h", false));
    assert_null(include_fault("cli/main.c", "cli.h", true));
    assert_non_null(include_fault("src/base/host.c", "tensor/tensor.h", true));
    assert_non_null(include_fault("src/base/host.c", "gradus/plan.h", false));
    assert_non_null(include_fault("src/op/registry.c", "graph/graph.h", true));
    assert_non_null(include_fault("src/format/png.c", "data/dataset.h", true));
    assert_non_null(include_fault("src/train/trainer.c", "config/config.h", true));
    assert_non_null(include_fault("src/train/trainer.c", "gradus/gradus.h", false));
    assert_non_null(include_fault("src/train/trainer.c", "../config/config.h", true));
    assert_non_null(include_fault("src/newcomer/a.c", "base/host.h", true));
    assert_non_null(include_fault("src/train/trainer.c", "gradus/newcomer.h", false));
    assert_non_null(include_fault("cli/main.c", "base/host.h", true));
    assert_non_null(include_fault("cli/main.c", "base/host.h", false));
    assert_non_null(include_fault("cli/main.c", "../src/base/host.h", true));
    assert_non_null(include_fault("include/gradus/op.h", "op/row.h", true));
}

/* ---- words that must not be there; spelled in two halves, for this file is read too ---- */

static int count_word(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        n++;
    return n;
}

static void look_for(const char *path, const char *text, const char *word, finding *found)
{
    int n = count_word(text, word);
    if (n > 0)
        print_error("%s: \"%s\" stands there %d times\n", path, word, n);
    found->faults += n;
}

static void look_for_bent_numbers(const char *path, char *text, finding *found)
{
    static const char *const words[] = { "-ffast" "-math", "-Of" "ast", "-funsafe" "-math", "-fassociative" "-math",
                                         "-ffinite" "-math", "-march=na" "tive" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        look_for(path, text, words[i], found);
}

static void no_build_file_bends_numbers(void **state)
{
    (void)state;
    finding found = { 0, 0 };
    WALK_ALL(build_files, look_for_bent_numbers, &found);
    WALK_ALL(c_files, look_for_bent_numbers, &found); /* pragmas and attributes */
    assert_true(found.files > 20);
    assert_int_equal(found.faults, 0);
#ifdef __FAST_MATH__
    fail_msg("this build was configured with fast math in CFLAGS");
#endif
}

static void look_for_unfinished(const char *path, char *text, finding *found)
{
    look_for(path, text, "TO" "DO", found);
    look_for(path, text, "FIX" "ME", found);
}

static void nothing_is_left_half_done(void **state)
{
    (void)state;
    finding found = { 0, 0 };
    WALK_ALL(all_files, look_for_unfinished, &found);
    assert_true(found.files > 20);
    assert_int_equal(found.faults, 0);
}

/* ---- lines that fit on a screen ---- */

enum { COLUMNS = 140 };

static void look_at_lines(const char *path, char *text, finding *found)
{
    char *rest = text;
    for (int n = 1; rest; n++) {
        size_t columns = strlen(strsep(&rest, "\n"));
        if (columns > COLUMNS) {
            print_error("%s:%d: %zu columns, expected at most %d\n", path, n, columns, COLUMNS);
            found->faults++;
        }
    }
}

static void no_line_is_too_wide(void **state)
{
    (void)state;
    static const char *const roots[] = { "src", "cli", "include", "examples", "bench", "tests" };
    finding found = { 0, 0 };
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        walk(roots[i], c_files, look_at_lines, &found);
    assert_true(found.files > 20);
    assert_int_equal(found.faults, 0);
}

/* ---- what the compiler and the linker make of it ---- */

static void look_at_header_alone(const char *path, char *text, finding *found)
{
    (void)text;
    char command[1024];
    snprintf(command, sizeof command,
             "printf '#include <%s>\\ntypedef int grd_not_empty;\\n' | %s -std=c11 -Wall -Wextra -Wpedantic -Werror "
             "-fsyntax-only -I'%s/include' -x c -", path + strlen("include/"), GRD_CC, GRD_SOURCE_DIR);
    if (system(command) != 0) {
        print_error("%s does not compile alone\n", path);
        found->faults++;
    }
}

static void public_headers_stand_alone(void **state)
{
    (void)state;
    static const char *const headers[] = { ".h", NULL };
    finding found = { 0, 0 };
    walk("include", headers, look_at_header_alone, &found);
    assert_true(found.files > 5);
    assert_int_equal(found.faults, 0);
}

static void only_the_api_is_exported(void **state)
{
    (void)state;
    FILE *nm = popen("nm -D --defined-only '" GRD_SHARED "'", "r");
    assert_non_null(nm);
    char line[512], name[400];
    int n = 0, faults = 0;
    bool api = false, inner = false;
    while (fgets(line, sizeof line, nm)) {
        if (sscanf(line, "%*s %*c %399s", name) != 1 || strncmp(name, "__odr_asan", 10) == 0) /* of a sanitizer's build */
            continue;
        n++;
        api = api || strcmp(name, "grd_open") == 0;
        inner = inner || strcmp(name, "grd_alloc") == 0;
        if (strncmp(name, "grd_", 4) != 0) {
            print_error("exported: %s\n", name);
            faults++;
        }
    }
    assert_int_equal(pclose(nm), 0);
    assert_true(n > 50);
    assert_true(api);
    assert_false(inner);
    assert_int_equal(faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(includes_point_down),
        cmocka_unit_test(command_and_public_headers_know_public_headers_only),
        cmocka_unit_test(wrong_includes_are_caught),
        cmocka_unit_test(no_build_file_bends_numbers),
        cmocka_unit_test(nothing_is_left_half_done),
        cmocka_unit_test(no_line_is_too_wide),
        cmocka_unit_test(public_headers_stand_alone),
        cmocka_unit_test(only_the_api_is_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
