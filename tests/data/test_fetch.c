/* Fetching from servers that truncate, corrupt, redirect, hang, lie and die: a file has its name when it is right, or never. */
#define _GNU_SOURCE
#include "base/sha256.h"
#include "helper_setup.h"
#include "helper_http.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 300000 };

static uint8_t body[SIZE];
static char hash[GRD_SHA256_HEX + 1];
static http_server server;

/* ---- what the tests share ---- */

static int fill(void **state)
{
    (void)state;
    grd_sha256 s;
    for (int i = 0; i < SIZE; i++)
        body[i] = (uint8_t)((uint32_t)i * 2654435761u >> 13);
    grd_sha256_begin(&s);
    grd_sha256_add(&s, body, SIZE);
    grd_sha256_end(&s, hash);
    signal(SIGXFSZ, SIG_IGN);
    return setenv("no_proxy", "*", 1);
}

static int begin(void **state)
{
    http_start(&server, body, SIZE);
    return setup(state);
}

static int end(void **state)
{
    if (!server.stop)
        http_stop(&server);
    return teardown(state);
}

static bool there(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void take_away(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static int64_t size_of(const char *name)
{
    char path[512];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void assert_right(const char *name)
{
    static uint8_t found[SIZE + 1];
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(found, 1, sizeof found, f), SIZE);
    fclose(f);
    assert_memory_equal(found, body, SIZE);
    assert_false(there("a.bin.part"));
}

static void put_part(size_t n, uint8_t wrong)
{
    uint8_t *copy = malloc(SIZE + 1000);
    assert_non_null(copy);
    memset(copy, 7, SIZE + 1000);
    memcpy(copy, body, SIZE);
    copy[0] ^= wrong;
    put(dir, "a.bin.part", (bytes){ copy, SIZE + 1000 }, n);
    free(copy);
}

/* a.bin from one or two of the server's folders; size and hash as the caller knows them. */
static grd_status fetch(const char *first, const char *second, int64_t size, const char *sha256, grd_fetch_opts opts)
{
    char address[2][64];
    grd_remote set = { .name = "set",
                       .mirror = { http_address(&server, first, address[0]) },
                       .file = { { .name = "a.bin", .size = size, .sha256 = sha256 } } };
    set.mirror[1] = second ? http_address(&server, second, address[1]) : NULL;
    opts.dir = dir;
    opts.timeout = opts.timeout ? opts.timeout : 10;
    return grd_fetch(ctx, &set, &opts);
}

static const grd_fetch_opts plain;

/* Bytes of the body that the server sent. */
static int64_t sent(void)
{
    int64_t n = 0;
    http_stop(&server);
    for (int i = 0; i < server.n; i++)
        n += server.request[i].sent;
    return n;
}

/* ---- servers ---- */

static void remember(void *user, const grd_fetched *f)
{
    *(grd_fetched *)user = *f;
    assert_string_equal(f->sha256, hash);
    assert_string_equal(f->name, "a.bin");
}

static void a_file_comes_and_is_verified(void **state)
{
    (void)state;
    grd_fetched f = { 0 };
    ok(ctx, fetch("well", NULL, SIZE, hash, (grd_fetch_opts){ .done = remember, .user = &f }));
    assert_right("a.bin");
    assert_true(f.verified && f.bytes == SIZE && f.received == SIZE);
    assert_int_equal(sent(), SIZE);
    assert_int_equal(server.n, 1);
}

static void a_file_that_is_there_is_checked_and_not_asked_for(void **state)
{
    (void)state;
    grd_fetched f = { 0 };
    put(dir, "a.bin", (bytes){ body, SIZE }, SIZE);
    ok(ctx, fetch("well", NULL, SIZE, hash, (grd_fetch_opts){ .done = remember, .user = &f }));
    assert_true(f.verified && f.bytes == SIZE && f.received == 0);
    assert_int_equal(sent(), 0);
    assert_int_equal(server.n, 0);
}

static void another_file_of_that_name_is_never_written_over(void **state)
{
    (void)state;
    char text[512];
    put(dir, "a.bin", (bytes){ body, SIZE }, 1000);
    snprintf(text, sizeof text, "set: there already, but not the right one (remove it to fetch it): %s/a.bin: 1000 bytes, "
             "expected 300000", dir);
    fails(ctx, GRD_ERR_DATA, text, fetch("well", NULL, SIZE, hash, plain));
    assert_int_equal(size_of("a.bin"), 1000);
}

static void a_connection_that_dies_is_taken_up_where_it_broke(void **state)
{
    (void)state;
    ok(ctx, fetch("dies", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    assert_int_equal(sent(), SIZE);
    assert_int_equal(server.n, 5);
    assert_int_equal(server.request[0].from, -1);
    for (int i = 1; i < 5; i++)
        assert_int_equal(server.request[i].from, i * HTTP_PIECE);
}

static void resuming_takes_only_the_missing_bytes(void **state)
{
    (void)state;
    put_part(100000, 0);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    assert_int_equal(sent(), SIZE - 100000);
    assert_int_equal(server.request[0].from, 100000);
}

static void a_part_that_is_complete_is_not_asked_for(void **state)
{
    (void)state;
    put_part(SIZE, 0);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    assert_int_equal(sent(), 0);
}

static void a_part_of_something_else_is_thrown_away(void **state)
{
    (void)state;
    put_part(100000, 1);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    assert_int_equal(sent(), SIZE - 100000 + SIZE);
}

static void a_part_longer_than_the_file_is_thrown_away(void **state)
{
    (void)state;
    put_part(SIZE + 1, 0);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    put_part(SIZE + 1, 0);
    take_away("a.bin");
    ok(ctx, fetch("well", NULL, 0, hash, plain)); /* here the server says so: 416 */
    assert_right("a.bin");
    assert_int_equal(sent(), 2 * SIZE);
}

static void a_server_that_sends_no_parts_sends_all(void **state)
{
    (void)state;
    put_part(100000, 0);
    ok(ctx, fetch("whole", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    assert_int_equal(sent(), SIZE);
}

static void redirections_are_followed_to_http_only_and_not_for_ever(void **state)
{
    (void)state;
    ok(ctx, fetch("moved", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    take_away("a.bin");
    fails(ctx, GRD_ERR_IO, "Maximum (10) redirects followed", fetch("round", NULL, SIZE, hash, plain));
    fails(ctx, GRD_ERR_IO, "/away/a.bin: Protocol \"file\" ", fetch("away", NULL, 0, NULL, plain));
    assert_false(there("a.bin") || there("a.bin.part"));
}

static void corrupted_bytes_get_no_name(void **state)
{
    (void)state;
    char text[200];
    fails(ctx, GRD_ERR_DATA, "/corrupt/a.bin: SHA-256 ", fetch("corrupt", NULL, SIZE, hash, plain));
    snprintf(text, sizeof text, ", expected %s", hash);
    assert_non_null(strstr(grd_error(ctx), text));
    assert_false(there("a.bin") || there("a.bin.part"));
    ok(ctx, fetch("corrupt", "well", SIZE, hash, plain));
    assert_right("a.bin");
}

static void a_mirror_goes_on_where_the_one_before_gave_up(void **state)
{
    (void)state;
    fails(ctx, GRD_ERR_IO, "/halves/a.bin: ", fetch("halves", NULL, SIZE, hash, plain));
    assert_false(there("a.bin"));
    assert_int_equal(size_of("a.bin.part"), SIZE / 2);
    ok(ctx, fetch("gone", "well", SIZE, hash, plain));
    assert_right("a.bin");
    http_stop(&server);
    const http_request *last = &server.request[server.n - 1];
    assert_int_equal(last->from, SIZE / 2);
    assert_int_equal(last->sent, SIZE / 2);
}

static void a_silent_server_counts_as_dead_after_the_timeout(void **state)
{
    (void)state;
    ok(ctx, fetch("silent", "well", SIZE, hash, (grd_fetch_opts){ .timeout = 1 }));
    assert_right("a.bin");
    assert_int_equal(sent(), SIZE);
}

static void what_is_not_the_file_is_refused_with_the_reason(void **state)
{
    (void)state;
    const struct {
        const char *folder, *text;
        int64_t size;
        size_t part;
    } of[] = {
        { "gone", "/gone/a.bin: HTTP status 404, expected 200", SIZE, 0 },
        { "page", "/page/a.bin: 22 bytes, expected 300000", SIZE, 0 },
        { "page", "/page/a.bin: SHA-256 ", 0, 0 },
        { "empty", "/empty/a.bin: Empty reply from server", SIZE, 0 },
        { "endless", "/endless/a.bin: more than 300000 bytes", SIZE, 0 },
        { "well", "/well/a.bin: 300000 bytes, expected 400000", 400000, 0 },
        { "well", "/well/a.bin: 300000 bytes, expected 400000", 400000, 1000 },
        { "shifted", "/shifted/a.bin: bytes from 1001 on, expected from 1000 on", SIZE, 1000 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if (of[i].part)
            put_part(of[i].part, 0);
        assert_int_not_equal(fetch(of[i].folder, NULL, of[i].size, hash, plain), GRD_OK);
        if (!strstr(grd_error(ctx), of[i].text))
            fail_msg("%s: found \"%s\", expected \"%s\"", of[i].folder, grd_error(ctx), of[i].text);
        assert_false(there("a.bin"));
        take_away("a.bin.part");
    }
    assert_int_equal(fetch("gone", "page", SIZE, hash, plain), GRD_ERR_IO);
    assert_non_null(strstr(grd_error(ctx), "404"));
    assert_non_null(strstr(grd_error(ctx), "22 bytes")); /* all mirrors' reasons */
    ok(ctx, fetch("page", "well", SIZE, hash, plain));
    assert_right("a.bin");
}

static void without_a_known_hash_it_is_fetched_whole_and_the_hash_told(void **state)
{
    (void)state;
    grd_fetched f = { .verified = true };
    put_part(100000, 1);
    ok(ctx, fetch("well", NULL, 0, NULL, (grd_fetch_opts){ .done = remember, .user = &f }));
    assert_right("a.bin");
    assert_false(f.verified);
    assert_int_equal(sent(), SIZE);
}

static void without_a_known_hash_nothing_half_is_kept(void **state)
{
    (void)state;
    fails(ctx, GRD_ERR_IO, "/dies/a.bin: ", fetch("dies", NULL, 0, NULL, plain));
    assert_false(there("a.bin") || there("a.bin.part"));
}

/* ---- this side ---- */

static void no_space_is_said_and_what_came_is_continued_later(void **state)
{
    (void)state;
    struct rlimit before, small = { 123456, RLIM_INFINITY };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    grd_status status = fetch("well", "well", SIZE, hash, plain);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, GRD_ERR_IO);
    assert_non_null(strstr(grd_error(ctx), "/a.bin.part: cannot write: File too large"));
    assert_false(there("a.bin"));
    assert_int_equal(size_of("a.bin.part"), 123456);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    http_stop(&server);
    assert_int_equal(server.n, 2); /* the second mirror was not asked: it would not have helped */
    assert_int_equal(server.request[1].from, 123456);
}

static volatile int stop;

static void on_alarm(int number)
{
    (void)number;
    stop = 1;
}

static void stopped_on_request_it_goes_on_the_next_time(void **state)
{
    (void)state;
    stop = 0;
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &(struct itimerval){ .it_value = { 0, 200000 } }, NULL);
    fails(ctx, GRD_ERR_STOPPED, "/slow/a.bin: stopped", fetch("slow", "well", SIZE, hash, (grd_fetch_opts){ .stop = &stop }));
    int64_t half = size_of("a.bin.part");
    assert_true(half > 0 && half < SIZE && !there("a.bin"));
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    http_stop(&server);
    assert_int_equal(server.n, 2);
    assert_int_equal(server.request[1].from, half);
}

static void killed_in_the_middle_it_goes_on_the_next_time(void **state)
{
    (void)state;
    int port[2];
    http_stop(&server); /* no threads while forking */
    assert_int_equal(pipe(port), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool told = read(port[0], &server.port, sizeof server.port) == (ssize_t)sizeof server.port;
        _exit(told && fetch("slow", NULL, SIZE, hash, plain) == GRD_OK ? 0 : 1);
    }
    http_start(&server, body, SIZE);
    assert_int_equal(write(port[1], &server.port, sizeof server.port), sizeof server.port);
    for (int i = 0; i < 5000 && size_of("a.bin.part") < 20000; i++)
        usleep(2000);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(port[0]);
    close(port[1]);
    int64_t half = size_of("a.bin.part");
    assert_true(half >= 20000 && half < SIZE && !there("a.bin"));
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
    http_stop(&server);
    assert_int_equal(server.request[server.n - 1].from, half);
}

static void two_do_not_fetch_one_file(void **state)
{
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/a.bin.part", dir);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    fails(ctx, GRD_ERR_IO, "a.bin.part: another process is fetching it", fetch("well", NULL, SIZE, hash, plain));
    close(fd);
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
    assert_right("a.bin");
}

static void from_a_folder_it_is_verified_too(void **state)
{
    (void)state;
    char from[300];
    const grd_fetch_opts opts = { .from = from };
    snprintf(from, sizeof from, "%s/from", dir);
    assert_int_equal(mkdir(from, 0777), 0);
    fails(ctx, GRD_ERR_IO, "/from/a.bin: cannot open: No such file", fetch("well", NULL, SIZE, hash, opts));
    body[5] ^= 1;
    put(from, "a.bin", (bytes){ body, SIZE }, SIZE);
    body[5] ^= 1;
    fails(ctx, GRD_ERR_DATA, "/from/a.bin: SHA-256 ", fetch("well", NULL, SIZE, hash, opts));
    put(from, "a.bin", (bytes){ body, SIZE }, 1000);
    fails(ctx, GRD_ERR_DATA, "/from/a.bin: 1000 bytes, expected 300000", fetch("well", NULL, SIZE, hash, opts));
    assert_false(there("a.bin") || there("a.bin.part"));
    put(from, "a.bin", (bytes){ body, SIZE }, SIZE);
    ok(ctx, fetch("well", NULL, SIZE, hash, opts));
    assert_right("a.bin");
    assert_int_equal(sent(), 0);
    assert_int_equal(server.n, 0);
}

static void a_row_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const struct {
        grd_remote_file file;
        const char *text;
    } of[] = {
        { { .name = "../a" }, "set: file \"../a\": expected a name without a folder and without a dot in front" },
        { { .name = "b/a" }, "set: file \"b/a\": expected a name without a folder" },
        { { .name = "" }, "set: file \"\": expected a name" },
        { { .name = "a", .size = -1 }, "set: a: size -1, expected 0 or more" },
        { { .name = "a", .sha256 = "12" }, "set: a: SHA-256 \"12\", expected 64 hexadecimal digits" },
        { { .name = "a", .sha256 = "g234567890123456789012345678901234567890123456789012345678901234" },
          "expected 64 hexadecimal digits" },
        { { .name = "a" }, "set: no address is known" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        grd_remote set = { .name = "set", .file = { of[i].file } };
        fails(ctx, GRD_ERR_ARG, of[i].text, grd_fetch(ctx, &set, &(grd_fetch_opts){ .dir = dir }));
    }
    assert_false(there("a") || there("a.part"));
}

static void no_memory_is_an_error_and_nothing_leaks(void **state)
{
    (void)state;
    memory.refuse = memory.calls + 1;
    assert_int_equal(fetch("well", NULL, SIZE, hash, plain), GRD_ERR_MEMORY);
    assert_false(there("a.bin"));
    ok(ctx, fetch("well", NULL, SIZE, hash, plain));
}

static void progress_is_shown_where_it_is_wanted(void **state)
{
    (void)state;
    char text[20000] = "";
    FILE *out = tmpfile();
    assert_non_null(out);
    ok(ctx, fetch("slow", NULL, SIZE, hash,
                  (grd_fetch_opts){ .progress_file = out, .progress = GRD_PROGRESS_BAR, .progress_ascii = true }));
    rewind(out);
    assert_true(fread(text, 1, sizeof text - 1, out) > 0);
    fclose(out);
    assert_non_null(strstr(text, "\ra.bin: "));
    assert_non_null(strstr(text, "/0.3 MB ["));
    assert_non_null(strstr(text, " MB/s]"));
}

/* ---- the table ---- */

static void known_sets_are_complete(void **state)
{
    (void)state;
    const grd_remote *set;
    int n = 0;
    for (; (set = grd_remote_at(n)); n++) {
        assert_ptr_equal(grd_remote_find(set->name), set);
        assert_true(set->doc && *set->doc && set->mirror[0] && set->file[0].name);
        for (int i = 0; i < GRD_REMOTE_MIRRORS && set->mirror[i]; i++) {
            assert_int_equal(strncmp(set->mirror[i], "http", 4), 0);
            assert_int_equal(set->mirror[i][strlen(set->mirror[i]) - 1], '/');
        }
        for (int i = 0; i < GRD_REMOTE_FILES && set->file[i].name; i++) {
            const char *sha256 = set->file[i].sha256;
            assert_true(!sha256 || (strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64));
        }
    }
    assert_true(n >= 10);
    assert_null(grd_remote_at(-1));
    assert_null(grd_remote_find("nothing"));
}

static void known_hashes_are_those_of_the_publishers_files(void **state)
{
    (void)state;
    const char *from = real_dir("mnist", "train-images-idx3-ubyte.gz");
    if (!from)
        skip();
    ok(ctx, grd_fetch(ctx, grd_remote_find("mnist"), &(grd_fetch_opts){ .dir = dir, .from = from }));
    assert_true(there("train-images-idx3-ubyte.gz") && there("t10k-labels-idx1-ubyte.gz"));
}

/* Port 1 is nobody's: it is asked for or it is not. */
static bool can_ask(void)
{
    grd_ctx *c = grd_open(NULL);
    const grd_remote set = { .mirror = { "http://127.0.0.1:1/" }, .file = { { .name = "a.bin" } } };
    bool can = grd_fetch(c, &set, NULL) != GRD_ERR_UNSUPPORTED;
    grd_close(c);
    return can;
}

#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest offline[] = {
        WITH_SERVER(a_file_that_is_there_is_checked_and_not_asked_for),
        WITH_SERVER(another_file_of_that_name_is_never_written_over),
        WITH_SERVER(a_part_that_is_complete_is_not_asked_for),
        WITH_SERVER(from_a_folder_it_is_verified_too),
        WITH_SERVER(a_row_that_makes_no_sense_is_refused),
        cmocka_unit_test(known_sets_are_complete),
        WITH_SERVER(known_hashes_are_those_of_the_publishers_files),
    };
    const struct CMUnitTest online[] = {
        WITH_SERVER(a_file_comes_and_is_verified),
        WITH_SERVER(a_connection_that_dies_is_taken_up_where_it_broke),
        WITH_SERVER(resuming_takes_only_the_missing_bytes),
        WITH_SERVER(a_part_of_something_else_is_thrown_away),
        WITH_SERVER(a_part_longer_than_the_file_is_thrown_away),
        WITH_SERVER(a_server_that_sends_no_parts_sends_all),
        WITH_SERVER(redirections_are_followed_to_http_only_and_not_for_ever),
        WITH_SERVER(corrupted_bytes_get_no_name),
        WITH_SERVER(a_mirror_goes_on_where_the_one_before_gave_up),
        WITH_SERVER(a_silent_server_counts_as_dead_after_the_timeout),
        WITH_SERVER(what_is_not_the_file_is_refused_with_the_reason),
        WITH_SERVER(without_a_known_hash_it_is_fetched_whole_and_the_hash_told),
        WITH_SERVER(without_a_known_hash_nothing_half_is_kept),
        WITH_SERVER(no_space_is_said_and_what_came_is_continued_later),
        WITH_SERVER(stopped_on_request_it_goes_on_the_next_time),
        WITH_SERVER(killed_in_the_middle_it_goes_on_the_next_time),
        WITH_SERVER(two_do_not_fetch_one_file),
        WITH_SERVER(no_memory_is_an_error_and_nothing_leaks),
        WITH_SERVER(progress_is_shown_where_it_is_wanted),
    };
    int failed = cmocka_run_group_tests(offline, fill, NULL);
    if (can_ask())
        return failed + cmocka_run_group_tests(online, fill, NULL);
    fprintf(stderr, "skipped: fetching from servers; built without libcurl\n");
    return failed;
}
