/* What the tests of data share: a counting allocator that can refuse, IDX bytes, temporary folders, small sources. */
#ifndef GRD_TESTS_DATA_HELPER_H
#define GRD_TESTS_DATA_HELPER_H

#include <gradus/data.h>

/* cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

typedef struct counter { /* atomic: workers may allocate */
    _Atomic int64_t calls, live;
    _Atomic int64_t refuse; /* the call (from 1) that gets nothing; 0 = none */
} counter;
grd_allocator counting(counter *c);

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

/* An IDX array of unsigned bytes, value of byte i = i % modulus (of labels: modulus 10). */
bytes idx_bytes(int rank, const int64_t *dim, int modulus);
bytes gzipped(bytes plain);
void put(const char *dir, const char *name, bytes b, size_t size); /* the first `size` of b into dir/name */
/* n images of 4x3 and n labels, as training set of the usual names (".gz" or "" as `end`). */
void put_idx_pair(const char *dir, int64_t n, const char *end);

const char *temp_dir(void);  /* made, empty; the text stays valid until the next call */
void remove_dir(const char *dir);

/* Where real data are: GRADUS_DATA, else beside the source tree. NULL if there is no such file (said on stderr). */
const char *real_dir(const char *name, const char *file);

/* A user's source "flaky": x f32 [3] = 10 i + k, tag u8 = i % 251, label i32 = i % 4. Every `bad`-th sample cannot be read;
 * slow: microseconds that a sample takes, at random up to this. */
extern const grd_source flaky_source;

/* Fails the test with the context's message. */
#define ok(ctx, call) \
    do { \
        if ((call) != GRD_OK) \
            fail_msg("%s: %s", #call, grd_error(ctx)); \
    } while (0)
/* The call fails with this status, and the message contains this text. */
#define fails(ctx, status, text, call) \
    do { \
        assert_int_equal((call), (status)); \
        if (!strstr(grd_error(ctx), (text))) \
            fail_msg("found \"%s\", expected \"%s\"", grd_error(ctx), (text)); \
    } while (0)

#endif
