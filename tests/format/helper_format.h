/* What the tests of formats share: hosts that count and refuse memory, files, a sample tree, hand-made zip archives, a Python
 * as oracle. */
#ifndef GRD_TESTS_FORMAT_HELPER_H
#define GRD_TESTS_FORMAT_HELPER_H

#include "format/bytes.h"
#include "format/pth.h"

/* cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct counter {
    int64_t calls, live;
    int64_t refuse; /* the call (from 1) that gets nothing; 0 = none */
} counter;
void counting_host(grd_host *host, counter *c);

/* Fails the test with the host's message. */
#define OK(host, call)                                                                                                           \
    do {                                                                                                                         \
        if ((call) != GRD_OK)                                                                                                    \
            fail_msg("%s: %s", #call, (host)->err.text);                                                                         \
    } while (0)
/* The call fails with this status, and the message contains this text. */
#define FAILS(host, expected, sentence, call)                                                                                    \
    do {                                                                                                                         \
        assert_int_equal((call), (expected));                                                                                    \
        if (!strstr((host)->err.text, (sentence)))                                                                               \
            fail_msg("found \"%s\", expected \"%s\"", (host)->err.text, (sentence));                                             \
    } while (0)

const char *temp_dir(void);          /* one for the test program; removed by remove_temp_dir */
int remove_temp_dir(void **state);   /* for a group's teardown */
char *in_temp_dir(const char *name); /* a path; valid until the next 4 calls */
void put_file(const char *path, const void *bytes, size_t size);

/* All kinds of values, tensors of all types and odd shapes, tied ones, within some 4 KB. The data are static. */
grd_value *sample_tree(grd_arena *arena);
/* A tree written to memory; grd_free the bytes. */
void *tree_bytes(grd_host *host, const grd_value *root, size_t *size);

/* ---- zip archives by hand, independent of the library's writer ---- */
typedef struct zip_maker {
    grd_bytes out, directory;
    int entries;
    bool deflate; /* records that follow are deflated */
} zip_maker;
void zip_start(zip_maker *zip, grd_host *host);
void zip_put(zip_maker *zip, const char *name, const void *data, size_t size);
void zip_finish(zip_maker *zip); /* the archive is then in out */
/* A .pth of one pickle: data.pkl, version and, unless NULL, data/0. */
void zip_pth(zip_maker *zip, grd_host *host, const char *pickle, size_t pickle_size, const void *storage, size_t storage_size);

/* ---- packed bytes, and real data ---- */
void *pack_gzip(const void *bytes, size_t size, size_t *packed); /* free */
void *pack_xz(const void *bytes, size_t size, size_t *packed);
/* A file of the real data (GRADUS_DATA, else beside the source tree); NULL if it is not there. Valid until the next call. */
const char *real_file(const char *name);

/* ---- Python ---- */
bool python_has(const char *module);                       /* GRADUS_PYTHON names a Python that imports it */
void run_python(const char *script, const char *argument); /* fails the test if the script does */

#endif
