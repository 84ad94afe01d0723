/* Decoded samples in memory. An entry is put in its place by one atomic exchange and never changes after
 * it: readers need no lock. */
#include "data/pictures.h"

#include <stdatomic.h>
#include <string.h>

struct grd_pictures_cache {
    grd_host *host;
    int64_t n;
    size_t most;
    _Atomic size_t used;
    _Atomic(grd_cached *) entry[];
};

grd_status grd_pictures_cache_new(grd_host *host, int64_t n, int64_t megabytes, struct grd_pictures_cache **cache)
{
    struct grd_pictures_cache *c = grd_alloc(host, sizeof *c + (size_t)n * sizeof c->entry[0]);
    *cache = c;
    if (!c)
        return GRD_ERR_MEMORY;
    c->host = host;
    c->n = n;
    c->most = (size_t)megabytes << 20;
    atomic_init(&c->used, 0);
    for (int64_t i = 0; i < n; i++)
        atomic_init(&c->entry[i], NULL);
    return GRD_OK;
}

void grd_pictures_cache_free(struct grd_pictures_cache *cache)
{
    if (!cache)
        return;
    for (int64_t i = 0; i < cache->n; i++)
        grd_free(cache->host, atomic_load(&cache->entry[i]));
    grd_free(cache->host, cache);
}

const grd_cached *grd_pictures_cache_find(const struct grd_pictures_cache *cache, int64_t i)
{
    return cache ? atomic_load_explicit(&((struct grd_pictures_cache *)cache)->entry[i], memory_order_acquire) : NULL;
}

void grd_pictures_cache_keep(struct grd_pictures_cache *cache, int64_t i, int64_t height, int64_t width, const void *image,
                            size_t image_bytes, const void *mask, size_t mask_bytes)
{
    if (!cache)
        return;
    const size_t bytes = sizeof(grd_cached) + image_bytes + mask_bytes;
    if (atomic_fetch_add(&cache->used, bytes) + bytes > cache->most) {
        atomic_fetch_sub(&cache->used, bytes);
        return;
    }
    grd_host worker; /* the context's message is not for threads */
    grd_host_init(&worker, &cache->host->mem);
    grd_cached *fresh = grd_alloc_raw(&worker, bytes), *none = NULL;
    if (fresh) {
        *fresh = (grd_cached){ height, width, image_bytes, mask_bytes };
        memcpy(fresh->bytes, image, image_bytes);
        if (mask_bytes)
            memcpy(fresh->bytes + image_bytes, mask, mask_bytes);
    }
    if (!fresh || !atomic_compare_exchange_strong(&cache->entry[i], &none, fresh)) { /* no memory, or another thread was first */
        atomic_fetch_sub(&cache->used, bytes);
        grd_free(&worker, fresh);
    }
}
