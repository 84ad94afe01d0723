/* Writing .npy (version 1) and .npz; reading .npz, which is the zip reader and the reader of .npy. */
#include "format/npy.h"

#include "base/file.h"

#include <string.h>

static const char *const descr[] = { "|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8" };

static void put_elements(grd_bytes *b, size_t size, const void *data, int64_t count)
{
    const uint16_t one = 1;
    const uint8_t *from = data;
    if (*(const uint8_t *)&one == 1 || size == 1) {
        grd_bytes_put(b, data, (size_t)count * size);
        return;
    }
    for (size_t i = 0; i < (size_t)count; i++)
        for (size_t k = size; k-- > 0;)
            grd_bytes_put(b, from + i * size + k, 1);
}

/* The whole file in memory. The caller frees b, also on failure. */
static grd_status npy_bytes(grd_bytes *b, const char *name, grd_npy_type type, int rank, const int64_t *dim, const void *data)
{
    int64_t count = 1;
    char text[GRD_NPY_MAX_RANK * 21 + 128];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[type]);
    if (rank < 0 || rank > GRD_NPY_MAX_RANK)
        return grd_fail(b->host, GRD_ERR_ARG, "%s: %d dimensions, expected 0 to %d", name, rank, GRD_NPY_MAX_RANK);
    for (int k = 0; k < rank; k++) {
        if (dim[k] < 0 || (dim[k] && count > (int64_t)(PTRDIFF_MAX / 8) / dim[k]))
            return grd_fail(b->host, GRD_ERR_ARG, "%s: dimension %d is %lld", name, k + 1, (long long)dim[k]);
        count *= dim[k];
        n += snprintf(text + n, sizeof text - (size_t)n, k ? " %lld," : "%lld,", (long long)dim[k]);
    }
    n -= rank > 1; /* only a tuple of one keeps its comma */
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    size_t padding = (64 - (10 + (size_t)n + 1) % 64) % 64;
    grd_bytes_put(b, "\x93NUMPY\1\0", 8);
    grd_bytes_number(b, (size_t)n + padding + 1, 2);
    grd_bytes_put(b, text, (size_t)n);
    for (size_t i = 0; i < padding; i++)
        grd_bytes_text(b, " ");
    grd_bytes_text(b, "\n");
    put_elements(b, grd_npy_size(type), data, count);
    return grd_bytes_status(b);
}

grd_status grd_npy_write(grd_host *host, const char *path, grd_npy_type type, int rank, const int64_t *dim, const void *data)
{
    grd_bytes b;
    grd_bytes_init(&b, host);
    grd_status status = npy_bytes(&b, path, type, rank, dim, data);
    if (status == GRD_OK)
        status = grd_file_write(host, path, b.data, b.size);
    grd_bytes_free(&b);
    return status;
}

static grd_status add_item(grd_zip_writer *zip, const char *path, const grd_npz_item *item)
{
    char name[256];
    grd_bytes b;
    if (snprintf(name, sizeof name, "%s.npy", item->name) >= (int)sizeof name)
        return grd_fail(zip->host, GRD_ERR_ARG, "%s: an array's name is too long", path);
    grd_bytes_init(&b, zip->host);
    grd_status status = npy_bytes(&b, name, item->type, item->rank, item->dim, item->data);
    if (status == GRD_OK)
        status = grd_zip_add(zip, name, b.data, b.size);
    grd_bytes_free(&b);
    return status;
}

grd_status grd_npz_write(grd_host *host, const char *path, const grd_npz_item *item, int n)
{
    grd_atomic atomic;
    grd_zip_writer zip;
    GRD_TRY(grd_atomic_open(host, &atomic, path));
    grd_zip_begin(&zip, host, path, atomic.file);
    grd_status status = GRD_OK;
    for (int i = 0; i < n && status == GRD_OK; i++)
        status = add_item(&zip, path, &item[i]);
    if (status == GRD_OK)
        status = grd_zip_end(&zip);
    grd_zip_drop(&zip);
    if (status == GRD_OK)
        return grd_atomic_commit(host, &atomic);
    grd_atomic_abort(&atomic);
    return status;
}

/* ---- reading .npz ---- */

grd_status grd_npz_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_npz *npz)
{
    *npz = (grd_npz){ .budget = ((uint64_t)1 << 30) + 64 * (uint64_t)size };
    grd_arena_init(&npz->arena, host);
    npz->path = grd_arena_strdup(&npz->arena, name);
    grd_status status = npz->path ? GRD_OK : GRD_ERR_MEMORY;
    if (status == GRD_OK)
        status = grd_zip_open(&npz->zip, &npz->arena, npz->path, bytes, size, &npz->budget);
    if (status != GRD_OK)
        grd_arena_free(&npz->arena);
    return status;
}

grd_status grd_npz_open(grd_host *host, const char *path, grd_npz *npz)
{
    void *bytes;
    size_t size;
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_npz_parse(host, path, bytes, size, npz);
    if (status != GRD_OK)
        grd_free(host, bytes);
    else
        npz->bytes = bytes;
    return status;
}

grd_status grd_npz_map(grd_host *host, const char *path, grd_npz *npz)
{
    grd_map map;
    GRD_TRY(grd_map_open(host, path, &map));
    grd_status status = grd_npz_parse(host, path, map.bytes, map.size, npz);
    if (status != GRD_OK)
        grd_map_close(&map);
    else
        npz->map = map;
    return status;
}

void grd_npz_close(grd_npz *npz)
{
    grd_free(npz->arena.host, npz->bytes);
    grd_map_close(&npz->map);
    npz->bytes = NULL;
    grd_arena_free(&npz->arena);
}

static grd_status not_there(const grd_npz *npz, const char *name)
{
    char list[300] = "", text[GRD_PRINTABLE];
    for (size_t i = 0; i < npz->zip.n; i++) {
        size_t used = strlen(list), cut = npz->zip.entry[i].name_size;
        cut -= cut > 4 && memcmp(npz->zip.entry[i].name + cut - 4, ".npy", 4) == 0 ? 4 : 0;
        if (used + cut + 8 > sizeof list) {
            strcpy(list + used, ", ...");
            break;
        }
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", grd_printable(npz->zip.entry[i].name, cut, text));
    }
    return grd_fail(npz->arena.host, GRD_ERR_FORMAT, "%s: no array \"%s\"; there are: %s", npz->path, name, list);
}

static grd_zip_entry *entry_of(const grd_npz *npz, const char *name)
{
    char text[600];
    int n = snprintf(text, sizeof text, "%s.npy", name);
    return n < (int)sizeof text ? grd_zip_find(&npz->zip, text, (size_t)n) : NULL;
}

bool grd_npz_is_stored(const grd_npz *npz, const char *name)
{
    const grd_zip_entry *entry = entry_of(npz, name);
    return entry && entry->method == 0;
}

static grd_status load(grd_npz *npz, const char *name, bool view, grd_npy *npy)
{
    char text[600];
    *npy = (grd_npy){ .host = npz->arena.host };
    grd_zip_entry *entry = entry_of(npz, name);
    if (!entry)
        return not_there(npz, name);
    GRD_TRY(grd_zip_load(&npz->zip, entry));
    snprintf(text, sizeof text, "%.400s: %.150s", npz->path, name);
    return (view ? grd_npy_view : grd_npy_parse)(npz->arena.host, text, entry->data, (size_t)entry->size, npy);
}

grd_status grd_npz_load(grd_npz *npz, const char *name, grd_npy *npy) { return load(npz, name, false, npy); }
grd_status grd_npz_view(grd_npz *npz, const char *name, grd_npy *npy) { return load(npz, name, true, npy); }
