/* Where memory comes from and where errors go. A grd_host is what all internal code is handed: the context has one, each
 * loader worker has one of its own (same allocator, own message). */
#ifndef GRD_BASE_HOST_H
#define GRD_BASE_HOST_H

#include <gradus/base.h>

#include <stdarg.h>

typedef struct grd_message {
    grd_status status;
    char text[640];
} grd_message;

typedef struct grd_host {
    grd_allocator mem;
    grd_message err;
} grd_host;

void grd_host_init(grd_host *host, const grd_allocator *mem); /* mem NULL = the C library */

/* Cleared memory, aligned to 64 bytes; never NULL for bytes == 0. On refusal: NULL and GRD_ERR_MEMORY in host. */
void *grd_alloc(grd_host *host, size_t bytes);
/* As it comes: for large buffers that are written before they are read. */
void *grd_alloc_raw(grd_host *host, size_t bytes);
void grd_free(grd_host *host, void *memory);
/* A larger copy (the rest cleared); the old one is freed on success and kept on failure. */
void *grd_grow(grd_host *host, void *memory, size_t old_bytes, size_t new_bytes);
char *grd_strdup(grd_host *host, const char *text);
char *grd_format(grd_host *host, const char *format, ...) GRD_PRINTF(2, 3); /* allocated text */

static inline size_t grd_align_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

#define GRD_NEW(host, type) ((type *)grd_alloc((host), sizeof(type)))
#define GRD_NEW_N(host, type, n) ((type *)grd_alloc((host), sizeof(type) * (size_t)(n)))

/* Records a failure and returns its status: `return grd_fail(host, GRD_ERR_IO, "%s: %s", path, strerror(errno));` */
grd_status grd_fail(grd_host *host, grd_status status, const char *format, ...) GRD_PRINTF(3, 4);
grd_status grd_vfail(grd_host *host, grd_status status, const char *format, va_list args);
/* Puts "text" before the message that is there. Returns its status. */
grd_status grd_fail_in(grd_host *host, const char *format, ...) GRD_PRINTF(2, 3);
void grd_clear(grd_host *host);

/* For functions that give up at the first failure. */
#define GRD_TRY(expression)                    \
    do {                                       \
        grd_status try_status_ = (expression); \
        if (try_status_ != GRD_OK)             \
            return try_status_;                \
    } while (0)

/* ---- arena: many small things freed at once ---- */
typedef struct grd_arena {
    grd_host *host;
    struct grd_chunk *chunk;
    size_t used, size;
} grd_arena;

void grd_arena_init(grd_arena *arena, grd_host *host);
void *grd_arena_alloc(grd_arena *arena, size_t bytes); /* cleared, aligned to 16 */
char *grd_arena_strdup(grd_arena *arena, const char *text);
char *grd_arena_format(grd_arena *arena, const char *format, ...) GRD_PRINTF(2, 3);
void grd_arena_free(grd_arena *arena);

/* ---- growing arrays ---- */
/* Makes room for one more in a {type *item; int n, cap;} struct; false on refusal. */
bool grd_reserve_(grd_host *host, void **item, int n, int *cap, size_t item_size);
#define GRD_RESERVE(host, list) grd_reserve_((host), (void **)&(list)->item, (list)->n, &(list)->cap, sizeof(*(list)->item))

#endif
