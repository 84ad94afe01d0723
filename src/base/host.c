#define _GNU_SOURCE
#include "base/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

static bool is_large(size_t bytes) { return bytes >= 2 * (size_t)HUGE_PAGE; }

/* Where the C library's own block begins stands before ours. */
static void *begin_at(void *raw, size_t alignment)
{
    uintptr_t at = ((uintptr_t)raw + sizeof raw + alignment - 1) / alignment * alignment;
    memcpy((char *)at - sizeof raw, &raw, sizeof raw);
    return (void *)at;
}

/* Large blocks come cleared and untouched: their pages are there when they are first written. They ask for huge pages, where the
 * system leaves that to programs: products of matrices run through more pages than the CPU remembers, and one page fault brings
 * 2 MiB in place of 4 KiB. */
static void *libc_alloc(void *user, size_t bytes)
{
    (void)user;
    if (bytes > PTRDIFF_MAX / 2)
        return NULL;
    if (!is_large(bytes)) {
        void *raw = malloc(grd_align_up(bytes, LINE) + LINE + sizeof raw); /* kernels may read a line to its end */
        return raw ? begin_at(raw, LINE) : NULL;
    }
    void *raw = calloc(1, grd_align_up(bytes, LINE) + HUGE_PAGE + sizeof raw);
    void *memory = raw ? begin_at(raw, HUGE_PAGE) : NULL;
#ifdef MADV_HUGEPAGE
    if (memory)
        madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* a wish: it may be refused */
#endif
    return memory;
}

static void libc_free(void *user, void *memory)
{
    void *raw;
    (void)user;
    if (!memory)
        return;
    memcpy(&raw, (char *)memory - sizeof raw, sizeof raw);
    free(raw);
}

void grd_host_init(grd_host *host, const grd_allocator *mem)
{
    memset(host, 0, sizeof *host);
    host->mem = mem ? *mem : (grd_allocator){ libc_alloc, libc_free, NULL };
}

void *grd_alloc_raw(grd_host *host, size_t bytes)
{
    void *memory = host->mem.alloc(host->mem.user, bytes ? bytes : 1);
    if (!memory)
        grd_fail(host, GRD_ERR_MEMORY, "out of memory: %zu bytes wanted", bytes);
    return memory;
}

void *grd_alloc(grd_host *host, size_t bytes)
{
    void *memory = grd_alloc_raw(host, bytes);
    if (memory && (host->mem.alloc != libc_alloc || !is_large(bytes)))
        memset(memory, 0, bytes ? bytes : 1);
    return memory;
}

void grd_free(grd_host *host, void *memory)
{
    if (memory)
        host->mem.free(host->mem.user, memory);
}

void *grd_grow(grd_host *host, void *memory, size_t old_bytes, size_t new_bytes)
{
    void *larger = grd_alloc(host, new_bytes);
    if (!larger)
        return NULL;
    if (memory)
        memcpy(larger, memory, old_bytes < new_bytes ? old_bytes : new_bytes);
    grd_free(host, memory);
    return larger;
}

char *grd_strdup(grd_host *host, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = grd_alloc(host, n);
    return copy ? memcpy(copy, text, n) : NULL;
}

char *grd_format(grd_host *host, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : grd_alloc(host, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

grd_status grd_vfail(grd_host *host, grd_status status, const char *format, va_list args)
{
    char text[sizeof host->err.text]; /* an argument may be the old message */
    vsnprintf(text, sizeof text, format, args);
    memcpy(host->err.text, text, sizeof text);
    host->err.status = status;
    return status;
}

grd_status grd_fail(grd_host *host, grd_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    grd_vfail(host, status, format, args);
    va_end(args);
    return status;
}

grd_status grd_fail_in(grd_host *host, const char *format, ...)
{
    char text[sizeof host->err.text];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "%s", host->err.text);
    memcpy(host->err.text, text, sizeof text);
    return host->err.status;
}

void grd_clear(grd_host *host)
{
    host->err.status = GRD_OK;
    host->err.text[0] = 0;
}

/* ---- arena ---- */

typedef struct grd_chunk {
    struct grd_chunk *next;
    size_t unused; /* keeps the payload aligned to 16 */
} grd_chunk;

void grd_arena_init(grd_arena *arena, grd_host *host)
{
    *arena = (grd_arena){ .host = host };
}

void *grd_arena_alloc(grd_arena *arena, size_t bytes)
{
    const size_t standard = 16 * 1024;
    bytes = (bytes + 15) / 16 * 16;
    if (arena->used + bytes > arena->size) {
        size_t size = bytes > standard ? bytes : standard;
        grd_chunk *chunk = grd_alloc(arena->host, sizeof *chunk + size);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunk;
        arena->chunk = chunk;
        arena->used = 0;
        arena->size = size;
    }
    char *payload = (char *)(arena->chunk + 1) + arena->used;
    arena->used += bytes;
    return payload;
}

char *grd_arena_strdup(grd_arena *arena, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = grd_arena_alloc(arena, n);
    return copy ? memcpy(copy, text, n) : NULL;
}

char *grd_arena_format(grd_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : grd_arena_alloc(arena, (size_t)n + 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void grd_arena_free(grd_arena *arena)
{
    for (grd_chunk *chunk = arena->chunk, *next; chunk; chunk = next) {
        next = chunk->next;
        grd_free(arena->host, chunk);
    }
    arena->chunk = NULL;
    arena->used = arena->size = 0;
}

bool grd_reserve_(grd_host *host, void **item, int n, int *cap, size_t item_size)
{
    if (n < *cap)
        return true;
    int larger = *cap ? *cap * 2 : 16;
    void *memory = grd_grow(host, *item, (size_t)n * item_size, (size_t)larger * item_size);
    if (!memory)
        return false;
    *item = memory;
    *cap = larger;
    return true;
}
